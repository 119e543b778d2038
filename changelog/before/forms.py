"""What people type: the question, a verdict on one change, the bug that the answer is posted to."""

from datetime import UTC
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings

from changelog.before import asking
from changelog.before.asking import Asked, CannotTell
from changelog.models.asking import Judged
from changelog.rules import LONGEST_NAME, Platform
from ciduty.systems.models import System
from ciduty.typed import BugNumber, Line, OpForm

PACIFIC = "America/Los_Angeles"  # tests stop at midnight there, and half of the pushes are from there
MOST_QUERY = 600


def zones() -> dict:
    """Return the zones in which moments are typed, by their names."""
    calendar = settings.CIDUTY_CALENDAR
    return {"UTC": UTC, calendar.zone: calendar.tzinfo, PACIFIC: ZoneInfo(PACIFIC)}


class QuestionForm(forms.Form):
    """The question, by GET: every question is a permalink. `asked` is what it means, once it is valid."""

    bad = Line(
        label="What broke, or when?",
        max_length=asking.LONGEST_WORDS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "2026-11-21 14:30 UTC"}),
        help_text="A moment, a push (revision or address), or a bug: 2026-11-21 14:30 UTC, 20 minutes ago, "
        "1f864da71bab, bug 1899999.",
        error_messages={"required": "Say what broke: a moment, a push or a bug."},
    )
    good = Line(
        label="When was it last good?",
        required=False,
        max_length=asking.LONGEST_WORDS,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="A push or a moment, if you know one. It may stay empty.",
    )
    back = forms.TypedChoiceField(
        label="Else look back",
        required=False,
        coerce=int,
        empty_value=asking.DEFAULT_BACK,
        choices=list(asking.BACK.items()),
        initial=asking.DEFAULT_BACK,
        error_messages={"invalid_choice": "Choose how far back: from 1 hour to 14 days (336 hours)."},
    )
    zone = forms.ChoiceField(
        label="Zone of these times",
        required=False,
        error_messages={"invalid_choice": "Choose a zone of the list, or write the zone behind the time: 14:30 +0200."},
    )
    pool = Line(
        label="Pool",
        required=False,
        max_length=LONGEST_NAME,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "gecko-t/win11-64-2009"}),
    )
    platform = forms.ChoiceField(
        label="Platform",
        required=False,
        choices=[("", "Any"), *Platform.choices],
        error_messages={"invalid_choice": "There is no such platform here: choose linux, windows, macos or android."},
    )
    system = forms.ModelChoiceField(
        System.objects.order_by("title"),
        label="System",
        required=False,
        to_field_name="slug",
        empty_label="Any",
        error_messages={"invalid_choice": "The catalogue has no such system: choose one of the list."},
    )

    def __init__(self, data=None, *, at, **kwargs):
        """Read relative moments as seen from `at`."""
        if data is not None:  # a permalink leaves out what is usual: shown again, it must not become the first choice
            data = data.copy()
            data.setdefault("back", str(asking.DEFAULT_BACK))
        super().__init__(data, label_suffix="", **kwargs)
        self.at, self.asked, self.candidates = at, None, ()
        self.fields["zone"].choices = [(name, name) for name in zones()]

    @property
    def times(self) -> list:
        """Return the fields beside the last good moment."""
        return [self[name] for name in ("back", "zone")]

    @property
    def places(self) -> list:
        """Return the fields that say where it broke."""
        return [self[name] for name in ("pool", "platform", "system")]

    def clean(self):
        """Look up what the words name, and whether it makes a question."""
        cleaned = super().clean()
        zone = zones().get(cleaned.get("zone"), UTC)
        bad = self._point("bad", zone)
        good = self._point("good", zone, may_be_bug=False) if cleaned.get("good") else None
        if bad is None or self.errors:
            return cleaned
        for name, problem in asking.why_not(bad, good, self.at).items():
            self.add_error(name, problem)
        if not self.errors:
            self.asked = Asked(bad, good, cleaned["back"], cleaned["pool"], cleaned["platform"], cleaned["system"])
            if len(self.asked.query) > MOST_QUERY:
                self.add_error("pool", "This question is too long to be a permalink: shorten the pool’s name.")
        return cleaned

    def _point(self, name: str, zone, **options):
        if not self.cleaned_data.get(name):
            return None
        try:
            return asking.point(self.cleaned_data[name], zone, self.at, **options)
        except CannotTell as problem:
            self.add_error(name, str(problem))
            self.candidates = problem.candidates
        return None


class VerdictForm(OpForm):
    """What a person says of one change: the button that was pressed, and why."""

    judged = forms.ChoiceField(choices=Judged.choices)
    because = Line(
        label="Why, in a line",
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Everybody reads it.",
    )


class PostForm(OpForm):
    """Which bug is told."""

    bug = BugNumber(
        label="Bug",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "placeholder": "1412345"}),
        error_messages={"required": "Say which bug is told."},
    )
