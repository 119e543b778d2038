"""What people type about changes. All of it is checked here; what may be said to everybody: `wording.py`."""

import re
from datetime import datetime
from urllib.parse import urlsplit

from django import forms
from django.conf import settings

from changelog import rules
from changelog.models import Change
from changelog.proposals import Proposal
from changelog.publishing import entering, moments
from changelog.rules import Kind, Platform
from ciduty.systems.models import System
from ciduty.typed import BROKEN, MOST_BUG, Line, OpForm, Words

_BETWEEN = re.compile(r"[\s,;]+")
_POOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
PUBLIC_WORDS = "Words for everybody"


def _line(label: str, most: int, **further) -> Line:
    further = {"required": False} | further
    return Line(label=label, max_length=most, widget=forms.TextInput(attrs={"autocomplete": "off"}), **further)


class SayForm(OpForm):
    """One line, and nothing else."""

    line = _line(
        "What changed?", rules.LONGEST_SUMMARY, required=True,
        error_messages={"required": "Type what changed, as in “autoland: bumped worker image to 42, bug 1899999”."},
    )  # fmt: skip

    def send_anew(self, op: str) -> None:
        """Let what was typed be sent as something of its own."""
        self.data = self.data.copy()
        self.data["op"] = op


class PublishForm(forms.Form):
    """The one line of impact, and other words where they are needed. `seen` is the revision that its reader saw."""

    impact = _line("Impact", rules.LONGEST_IMPACT)
    summary = _line("Summary", rules.LONGEST_SUMMARY)
    public_summary = _line(PUBLIC_WORDS, rules.LONGEST_SUMMARY)
    seen = forms.IntegerField(min_value=0, max_value=2**31 - 1, error_messages={"required": BROKEN, "invalid": BROKEN})


class BecauseForm(forms.Form):
    """Why, on one line. Whether it is needed is the rule's to say."""

    because = _line("Because", 300)


class AsOneForm(forms.Form):
    """What several changes are called together. Which ones: `chosen`, ids with the revisions that were seen."""

    summary = _line(
        "What changed, in one line", rules.LONGEST_SUMMARY, required=True,
        error_messages={"required": "Say in one line what they are together."},
    )  # fmt: skip
    impact = _line("Impact", rules.LONGEST_IMPACT)
    public_summary = _line(PUBLIC_WORDS + ", if a bug is not public", rules.LONGEST_SUMMARY)

    def __init__(self, *args, **kwargs):
        """Write labels without a colon."""
        super().__init__(*args, label_suffix="", **kwargs)


class ChangeForm(forms.Form):
    """What a change is: the fields that a form for a new one and one for a correction have in common."""

    system = forms.ModelChoiceField(
        System.objects.none(), required=False, to_field_name="slug", empty_label="None of the catalogue"
    )
    kind = forms.ChoiceField(choices=Kind.choices)
    summary = _line(
        "What changed, in one line", rules.LONGEST_SUMMARY, required=True,
        error_messages={"required": "Write in one line what changed."},
    )  # fmt: skip
    impact = _line("Impact", rules.LONGEST_IMPACT, help_text="What somebody notices, and where. Everybody reads it.")
    public_summary = _line(
        PUBLIC_WORDS, rules.LONGEST_SUMMARY,
        help_text="Needed where it names a bug that is not public: then these words are shown instead of all others. "
        "Say nothing of what the bug says.",
    )  # fmt: skip
    pools = Words(
        required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2}), label="Worker pools",
        help_text="Names with commas or blanks between them, as in gecko-t/win11-64-2009.",
    )  # fmt: skip
    platforms = forms.MultipleChoiceField(choices=Platform.choices, required=False, widget=forms.CheckboxSelectMultiple)
    bugs = Words(
        required=False, max_length=1000, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Numbers with commas or blanks between them.",
    )  # fmt: skip
    effective_on = forms.DateField(
        label="Took effect on", required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    effective_time = forms.TimeField(
        label="at", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    zone = forms.ChoiceField(label="by the clock of", widget=forms.RadioSelect)

    def __init__(self, *args, at: datetime, told: datetime | None = None, **kwargs):
        """Offer the systems in use and the zones; `told` is when it took effect, as it is on record."""
        self.at = at
        self.zones = moments.zones(settings.CIDUTY_CALENDAR, told)
        super().__init__(*args, label_suffix="", **kwargs)
        self.fields["system"].queryset = System.objects.in_use()
        self.fields["zone"].choices = [(key, label) for key, (label, _) in self.zones.items()]

    def clean_pools(self):
        """Return the pools as a list, each once."""
        names = list(dict.fromkeys(part for part in _BETWEEN.split(self.cleaned_data["pools"]) if part))
        strange = next((name for name in names if not _POOL.fullmatch(name)), None)
        if strange is not None:
            raise forms.ValidationError(f"“{strange[:60]}” is no pool’s name: write it like gecko-t/win11-64-2009.")
        if len(names) > rules.MOST_POOLS:
            raise forms.ValidationError(f"{len(names)} pools are named, and {rules.MOST_POOLS} fit: name fewer.")
        return names

    def clean_bugs(self):
        """Return the numbers of the bugs as a list, each once."""
        found = []
        for part in filter(None, _BETWEEN.split(re.sub(r"(?i)\bbugs?\b|#", " ", self.cleaned_data["bugs"]))):
            number = int(part) if part.isascii() and part.isdigit() and len(part) <= 10 else 0
            if not 0 < number <= MOST_BUG:
                raise forms.ValidationError(f"“{part[:40]}” is no bug’s number: write digits only, as in 1899999.")
            found.append(number)
        if len(set(found)) > rules.MOST_BUGS:
            raise forms.ValidationError(f"{len(found)} bugs are named, and {rules.MOST_BUGS} fit: name fewer.")
        return list(dict.fromkeys(found))

    def clean(self):
        """Read when it took effect: both parts or neither."""
        cleaned = super().clean()
        day, time = cleaned.get("effective_on"), cleaned.get("effective_time")
        if {"effective_on", "effective_time", "zone"} & set(self.errors) or (day is None and time is None):
            return cleaned | {"effective_at": None}
        if day is None or time is None:
            missing = "time" if time is None else "date"
            self.add_error("effective_on", f"Only half of it is there: enter the {missing} as well, or clear both.")
            return cleaned
        try:
            return cleaned | {"effective_at": moments.read(day, time, self.zones[cleaned["zone"]][1], self.at)}
        except moments.NoMoment as problem:
            self.add_error("effective_on", str(problem))
            return cleaned


class AddForm(ChangeForm):
    """A change that nobody else tells of."""

    op = forms.RegexField("^[0-9a-f]{8}$", widget=forms.HiddenInput, error_messages={"required": BROKEN})
    links = Words(
        required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text="One on each line: the address, and after a blank what it is called.",
    )  # fmt: skip
    reviewers = _line("Reviewed by", 400, help_text="Names with commas between them.")

    field_order = [
        "system", "kind", "summary", "impact", "public_summary", "pools", "platforms", "bugs", "effective_on",
        "effective_time", "zone", "links", "reviewers",
    ]  # fmt: skip

    def clean_links(self):
        """Return the links as pairs of title and address."""
        links = [_link(line.strip()) for line in self.cleaned_data["links"].splitlines() if line.strip()]
        if len(links) > rules.MOST_LINKS:
            raise forms.ValidationError(f"{len(links)} links are given, and {rules.MOST_LINKS} fit: give fewer.")
        return links

    def proposal(self, by) -> Proposal:
        """Return what was entered."""
        typed = self.cleaned_data
        return Proposal(
            identity=entering.identity_of("entered", by, typed["op"]), message=typed["summary"],
            summary=typed["summary"], impact=typed["impact"], kind=typed["kind"],
            system=typed["system"].slug if typed["system"] else "", pools=tuple(typed["pools"]),
            platforms=tuple(typed["platforms"]), bugs=tuple(typed["bugs"]), links=tuple(typed["links"]),
            reviewers=tuple(name.strip() for name in typed["reviewers"].split(",") if name.strip()),
            author=str(by), effective_at=typed["effective_at"] or self.at,
        )  # fmt: skip


def _link(line: str) -> tuple[str, str]:
    address, _, title = line.partition(" ")
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address or len(address) > 360:
        raise forms.ValidationError(f"“{address[:60]}” is no address of a page: it begins with https://, 360 at most.")
    return title.strip() or parts.hostname, address


class CorrectForm(ChangeForm):
    """A correction. `seen_revision` is what it was made from; `because` stands beside it in public."""

    seen_revision = forms.IntegerField(
        widget=forms.HiddenInput, min_value=0, max_value=2**31 - 1, error_messages={"required": BROKEN}
    )
    because = _line("Why it is corrected", 300, help_text="Everybody reads it beside the former words.")
    hide_former = forms.BooleanField(required=False, label="The former words must not be seen")

    def __init__(self, *args, change: Change, at: datetime, **kwargs):
        """Show the change as it stands, in the zone that its moment was told with."""
        self.change = change
        told = change.effective_there
        super().__init__(*args, at=at, told=told, initial=_initial(change, told), **kwargs)
        if change.system is not None:  # one that is not in use any more may stay
            self.fields["system"].queryset = (
                System.objects.in_use() | System.objects.filter(pk=change.system_id)
            ).distinct()

    @property
    def corrections(self) -> dict:
        """Return the fields that were typed otherwise than they were shown, as `workflow.correct` takes them."""
        typed, asked = self.cleaned_data, set(self.changed_data)
        fields = {
            name: typed[name]
            for name in ("summary", "impact", "public_summary", "kind", "pools", "platforms", "bugs")
            if name in asked
        }
        if "platforms" in fields:
            unknown = [name for name in self.change.platforms if name not in Platform.values]
            fields["platforms"] = [*fields["platforms"], *unknown]
        if "system" in asked:
            fields["system_id"] = typed["system"] and typed["system"].pk
        if {"effective_on", "effective_time", "zone"} & asked:
            at = typed["effective_at"]
            fields |= {"effective_at": at, "effective_offset": moments.offset_of(at) if at else 0}
        return fields

    def start_anew_from(self, revision: int) -> None:
        """Let the form be saved again over what somebody else saved, now that it was said."""
        self.data = self.data.copy()
        self.data["seen_revision"] = revision


def _initial(change: Change, told: datetime | None) -> dict:
    known = {name: getattr(change, name) for name in ("summary", "impact", "public_summary", "kind", "platforms")}
    known |= {"pools": ", ".join(change.pools), "bugs": ", ".join(map(str, change.bugs))}
    known |= {"system": change.system and change.system.slug, "seen_revision": change.revision}
    for key, (_, zone) in moments.zones(settings.CIDUTY_CALENDAR, told).items():
        if told is None or told.astimezone(zone).utcoffset() == told.utcoffset():
            return known | {"zone": key} | moments.typed(told, zone)
    return known
