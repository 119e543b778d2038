"""What CiDuty types about a window and its work. All of it is checked here; what the gates want later: `rules.py`."""

import re
from datetime import datetime

from django import forms
from django.conf import settings
from django.db.models import Q

from ciduty.outbox.addresses import NotAnAddress, on_the_wire
from ciduty.people.models import Approver, Person
from ciduty.people.roles import CIDUTY_ROLES
from ciduty.typed import BROKEN, BugNumber
from downtimes import local_times, mirrored, windows
from downtimes.local_times import AskAgain
from downtimes.models import Downtime, Item
from downtimes.rules import AHEAD, TIMES, Close, Facts, Policy, Urgency
from downtimes.window_fields import Line, Words

MOST_TREES = 50
MOST_GROUPS = 20
MOST_PUBLIC_TEXT = 1000
MOST_MINUTES = 3 * 24 * 60
_BETWEEN = re.compile(r"[\s,;]+")
_TREE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,79}")


class TitleForm(forms.Form):
    """What a window is called."""

    title = Line(
        max_length=120,
        help_text="Everybody reads it, once the downtime is announced: what is done, not where it may hurt.",
        error_messages={"required": "Write a title: lists and calendars name the downtime by it."},
    )

    def __init__(self, *args, **kwargs):
        """Write labels without a colon."""
        super().__init__(*args, label_suffix="", **kwargs)


class NewForm(TitleForm):
    """A window that is begun. `op` names this very form, so that sent twice it makes one."""

    op = forms.RegexField("^[0-9a-f]{8}$", widget=forms.HiddenInput, error_messages={"required": BROKEN})


class WindowForm(TitleForm):
    """The window: its times in one of three zones, what is closed, who is there, who else is told."""

    zone = forms.ChoiceField(label="The times below are", widget=forms.RadioSelect)
    starts_on = forms.DateField(
        label="Start", required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    starts_time = forms.TimeField(
        label="at", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    starts_meant = forms.CharField(required=False, widget=forms.HiddenInput, label="Which start?")
    ends_on = forms.DateField(
        label="End", required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    ends_time = forms.TimeField(
        label="at", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    ends_meant = forms.CharField(required=False, widget=forms.HiddenInput, label="Which end?")
    urgency = forms.ChoiceField(choices=[("", "Not weighed yet"), *Urgency.choices], required=False)
    close = forms.ChoiceField(choices=[("", "Not chosen yet"), *Close.choices], required=False, label="What is closed")
    trees = Words(
        required=False,
        rows=2,
        help_text=f"Names with commas or blanks between them, {MOST_TREES} at most, as in autoland, mozilla-central.",
    )
    tracking_bug = BugNumber(required=False, label="Tracking bug", help_text="Its number is public.")
    sheriff = Line(required=False, max_length=120, help_text="Who confirms that the trees are open again.")
    duty = forms.ModelChoiceField(
        Person.objects.none(),
        required=False,
        label="Duty person for the whole window",
        empty_label="Nobody yet",
        help_text="They confirm it themselves, on the plan’s page.",
    )
    separate_because = Words(
        required=False,
        rows=2,
        label="Why it is separate from a downtime near it",
        help_text="Only needed where another downtime is less than 24 hours away.",
    )
    extra_groups = Words(
        required=False,
        rows=2,
        label="Groups that are told as well",
        help_text=f"Mail addresses beside those of the lists, {MOST_GROUPS} at most.",
    )
    policy = forms.ChoiceField(choices=Policy.choices, label="The pre-approvers have agreed when")
    quorum = forms.IntegerField(
        min_value=1, max_value=99, help_text="Counts only where a quorum decides.", label="Quorum"
    )
    revision = forms.IntegerField(widget=forms.HiddenInput, min_value=0, error_messages={"required": BROKEN})

    def __init__(self, *args, downtime: Downtime, at: datetime, **kwargs):
        """Show the window as it stands, in the desk's zone."""
        self.downtime, self.at = downtime, at
        self.zones = local_times.zones(settings.CIDUTY_CALENDAR)
        super().__init__(*args, initial=_initial(downtime, self.zones[local_times.IN_DESK][1]), **kwargs)
        self.fields["zone"].choices = [(key, label) for key, (label, _) in self.zones.items()]
        people = Q(role__in=CIDUTY_ROLES, is_active=True) | Q(pk=downtime.duty_id)
        self.fields["duty"].queryset = Person.objects.filter(people).order_by("name", "username")

    def clean_trees(self):
        """Return the trees as a list, each once."""
        names = list({name.lower(): name for name in _parts(self.cleaned_data["trees"])}.values())
        strange = next((name for name in names if not _TREE.fullmatch(name)), None)
        if strange is not None:
            raise forms.ValidationError(
                f"“{strange[:40]}” is no tree: use letters, digits, dots, slashes and hyphens, as in mozilla-central."
            )
        if len(names) > MOST_TREES:
            raise forms.ValidationError(f"{len(names)} trees are named and {MOST_TREES} is the most: name fewer.")
        return names

    def clean_extra_groups(self):
        """Return the addresses as a list, each once."""
        typed, addresses = _parts(self.cleaned_data["extra_groups"]), {}
        for address in typed:
            try:
                wire = on_the_wire(address)
            except NotAnAddress as problem:
                raise forms.ValidationError(f"“{address[:60]}” is no mail address: {problem}.") from None
            addresses.setdefault(wire.lower(), wire)
        if len(addresses) > MOST_GROUPS:
            raise forms.ValidationError(f"{len(addresses)} groups are named and {MOST_GROUPS} is the most: use a list.")
        return list(addresses.values())

    def clean(self):
        """Read the two moments, and refuse a window that no gate would ever let through."""
        cleaned = super().clean()
        starts_at, ends_at = self._moment("starts"), self._moment("ends")
        if not self.errors:
            self._check_window(starts_at, ends_at)
            self._check_quorum()
        cleaned |= {"starts_at": starts_at, "ends_at": ends_at}
        return cleaned

    def _moment(self, which: str) -> datetime | None:
        day, time = self.cleaned_data.get(f"{which}_on"), self.cleaned_data.get(f"{which}_time")
        if {f"{which}_on", f"{which}_time", "zone"} & set(self.errors) or (day is None and time is None):
            return None
        if day is None or time is None:
            missing = "time" if time is None else "date"
            self.add_error(f"{which}_on", f"Only half of it is there: enter the {missing} as well, or clear both.")
            return None
        zone = self.zones[self.cleaned_data["zone"]][1]
        try:
            return local_times.moment_of(
                datetime.combine(day, time.replace(second=0, microsecond=0)),
                zone,
                self.cleaned_data.get(f"{which}_meant", ""),
            )
        except AskAgain as problem:
            self._ask(which, problem)
            return None

    def _ask(self, which: str, problem: AskAgain) -> None:
        """Ask which of the two moments was meant; none is chosen beforehand."""
        if not problem.choices:
            self.add_error(f"{which}_on", str(problem))
            return
        widget = forms.RadioSelect(choices=[(choice.value, choice.words) for choice in problem.choices])
        self.fields[f"{which}_meant"].widget = widget
        self.add_error(f"{which}_meant", str(problem))

    def _check_window(self, starts_at: datetime | None, ends_at: datetime | None) -> None:
        facts = Facts(at=self.at, starts_at=starts_at, ends_at=ends_at)
        if starts_at is not None and ends_at is not None and (sentence := TIMES.refuses(facts)):
            self.add_error("ends_on", sentence)
        # A window that is running may still be corrected, as long as its start stays where it was.
        if starts_at != self.downtime.starts_at and (sentence := AHEAD.refuses(facts)):
            self.add_error("starts_on", sentence)

    def _check_quorum(self) -> None:
        if self.cleaned_data["policy"] != Policy.QUORUM:
            return
        known = Approver.objects.pre_approvers().count()
        if self.cleaned_data["quorum"] > known:
            self.add_error(
                "quorum",
                f"A quorum of {self.cleaned_data['quorum']} would never be reached: there are {known} pre-approvers. "
                "Choose a smaller one.",
            )

    @property
    def changes(self) -> dict:
        """Return the window's fields as `windows.edit` takes them."""
        return {name: self.cleaned_data[name] for name in windows.FIELDS if name in self.cleaned_data}

    def start_anew_from(self, revision: int) -> None:
        """Let the form be saved again over what somebody else saved, now that it was said."""
        self.data = self.data.copy()
        self.data["revision"] = revision


def _initial(downtime: Downtime, zone) -> dict:
    known = {name: getattr(downtime, name) for name in windows.FIELDS}
    known |= {"trees": ", ".join(downtime.trees), "extra_groups": "\n".join(downtime.extra_groups)}
    known |= {"zone": local_times.IN_DESK, "revision": downtime.revision, "duty": downtime.duty_id}
    for which in ("starts", "ends"):
        at = getattr(downtime, f"{which}_at")
        if at is not None:
            reading = at.astimezone(zone)
            known |= {f"{which}_on": reading.date(), f"{which}_time": reading.time()}
            known |= {f"{which}_meant": local_times.value_of(at)}
    return known


def _parts(text: str) -> list[str]:
    return [part for part in _BETWEEN.split(text) if part]


class ItemForm(forms.Form):
    """One piece of work: what the public reads of it, who does it, how long it takes, and how it is undone."""

    public_text = Words(
        required=False,
        max_length=MOST_PUBLIC_TEXT,
        label="Public text",
        help_text="The notice, the calendar and the public page say exactly this. Be vague about what is confidential.",
    )
    confirms = forms.BooleanField(required=False)
    worker = Line(
        required=False,
        max_length=255,
        help_text="The Bugzilla login of who really does the work: it must be the bug’s assignee.",
    )
    steps = Words(required=False)
    minutes = forms.IntegerField(
        required=False, min_value=1, max_value=MOST_MINUTES, label="Minutes, when all goes well"
    )
    rollback = Words(required=False, label="How it is rolled back")
    rollback_minutes = forms.IntegerField(
        required=False, min_value=0, max_value=MOST_MINUTES, label="Minutes for the rollback"
    )
    shown = forms.CharField(widget=forms.HiddenInput, error_messages={"required": BROKEN})
    shown_as = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args, item: Item, stands: str, **kwargs):
        """Show the work as it is; `stands`: who may read the bug now."""
        initial = {name: getattr(item, name) for name in windows.ITEM_FIELDS} | {
            "shown": windows.look_of(item),
            "shown_as": stands,
        }
        super().__init__(*args, initial=initial, label_suffix="", **kwargs)
        self.fields["confirms"].label = f"I read this text: all may read it, with the bug {stands} as it is now"

    def clean_worker(self):
        """Return the login in lower case; Bugzilla's placeholder for nobody is not somebody."""
        login = self.cleaned_data["worker"].lower()
        if " " in login:
            raise forms.ValidationError(
                "A login has no blank in it: write the one login of who does the work, as in Bugzilla."
            )
        if mirrored.is_placeholder(login):
            raise forms.ValidationError(f"{login} is Bugzilla’s word for nobody: write who really does the work.")
        return login

    @property
    def changes(self) -> dict:
        """Return the fields as `windows.edit_item` takes them."""
        return {name: self.cleaned_data[name] for name in windows.ITEM_FIELDS}

    def start_anew_from(self, item: Item, stands: str) -> None:
        """Let the form be saved again, now that it was said what changed meanwhile."""
        self.data = self.data.copy()
        self.data["shown"], self.data["shown_as"] = windows.look_of(item), stands
