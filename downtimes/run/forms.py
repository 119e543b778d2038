"""What is typed on the run sheet. What a verb asks of it beyond this, the verb says itself."""

from datetime import datetime, timedelta

from django import forms
from django.utils.dateparse import parse_datetime

from ciduty.typed import BROKEN, MOST_ID
from downtimes.rules import ITEM_MOVES, LONGEST, ItemState
from downtimes.run.rules import Step
from downtimes.window_fields import Line, Words

MOST_BECAUSE = 1000
#: As the columns of steps and trees take it.
MOST_WORDS = 300
#: What becomes of a piece of work is told to everybody, and to its bug.
MOST_OUTCOME = 1000
MOST_TREES = 100
#: Who ticks these off says whom they spoke to.
BY_NAME = {
    Step.SHERIFF_TOLD: "Write down whom you told: the sheriff’s name.",
    Step.SHERIFF_AGREES: "Write down who said it: the sheriff’s name.",
}


class SheetForm(forms.Form):
    """A form of the run sheet; labels stand without a colon."""

    def __init__(self, *args, **kwargs):
        """Write labels without a colon."""
        super().__init__(*args, label_suffix="", **kwargs)


class StepForm(SheetForm):
    """A step that was done: with whom, or what was seen."""

    step = forms.ChoiceField(choices=Step.choices, error_messages={"required": BROKEN, "invalid_choice": BROKEN})
    words = Line(required=False, max_length=MOST_WORDS)
    #: The newest reply that the page showed.
    shown = forms.IntegerField(
        required=False, min_value=1, max_value=MOST_ID,
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), BROKEN),
    )  # fmt: skip

    def clean(self):
        """Want the sheriff's name where the sheriff was spoken to."""
        cleaned = super().clean()
        wants = BY_NAME.get(cleaned.get("step"))
        if wants and "words" in cleaned and not cleaned["words"]:
            self.add_error("words", wants)
        return cleaned


class ReasonForm(SheetForm):
    """Why it is held, or goes ahead: everybody who was told reads it."""

    because = Words(
        label="Why it is on hold",
        rows=2,
        max_length=MOST_BECAUSE,
        help_text="Everyone who was told reads it, and it is public.",
        error_messages={"required": "Say why: everyone who was told reads it."},
    )

    def __init__(self, *args, goes_ahead: bool = False, **kwargs):
        """Ask for the reason of the one or of the other."""
        super().__init__(*args, **kwargs)
        if goes_ahead:
            self.fields["because"].label = "Why it goes ahead"


class TakeOverForm(SheetForm):
    """What the one who hands over said."""

    words = Line(
        required=False,
        max_length=MOST_WORDS,
        label="What was handed over, in a line",
        help_text="Optional. It stands on the record for CiDuty.",
    )


class ExtendForm(SheetForm):
    """A later end, counted from the one that the page showed, and why."""

    by_minutes = forms.IntegerField(
        label="By how many minutes",
        min_value=1,
        max_value=LONGEST // timedelta(minutes=1),
        widget=forms.NumberInput(attrs={"inputmode": "numeric", "step": "any"}),
        error_messages={"required": "Enter by how many minutes it is longer."},
    )
    because = Words(
        rows=2,
        max_length=MOST_BECAUSE,
        label="Why it takes longer",
        help_text="Everyone who was told reads it, and it is public.",
        error_messages={"required": "Say why it takes longer: everyone who was told reads it."},
    )
    shown_end = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def ends_at(self, at: datetime) -> datetime:
        """Return the end that is asked for; where none stood, it is counted from this moment."""
        shown = parse_datetime(self.cleaned_data["shown_end"]) if self.cleaned_data["shown_end"] else None
        return (shown or at) + timedelta(minutes=self.cleaned_data["by_minutes"])

    def clean_shown_end(self):
        """Return the end that the page showed, as it was sent; what names no moment was not sent by our page."""
        value = self.cleaned_data["shown_end"]
        try:
            shown = parse_datetime(value) if value else None
        except ValueError:
            shown = None
        if value and (shown is None or shown.tzinfo is None):
            raise forms.ValidationError(BROKEN)
        return value


class TreesForm(SheetForm):
    """Which trees are closed or reopened: those that are ticked, or all. `op` names this very form."""

    op = forms.RegexField("^[0-9a-f]{8}$", error_messages={"required": BROKEN, "invalid": BROKEN})
    trees = forms.MultipleChoiceField(required=False, error_messages={"invalid_choice": BROKEN})

    def __init__(self, *args, names, **kwargs):
        """Offer the trees of this downtime."""
        super().__init__(*args, **kwargs)
        self.fields["trees"].choices = [(name, name) for name in names]

    @property
    def names(self) -> list[str] | None:
        """Return the trees that were ticked, or None for all."""
        return self.cleaned_data["trees"] or None


class LeaveForm(SheetForm):
    """Why a tree is left as it is."""

    because = Line(
        max_length=MOST_WORDS,
        label="Why it is left as it is, and who of the sheriffs said so",
        help_text="TREE OPEN says it, so it is public.",
        error_messages={"required": "Say why, and which sheriff said so: TREE OPEN tells everybody."},
    )


class ItemForm(SheetForm):
    """What becomes of a piece of work, in public words."""

    verb = forms.ChoiceField(error_messages={"required": BROKEN, "invalid_choice": BROKEN})
    words = Words(required=False, rows=2, max_length=MOST_OUTCOME)
    shown = forms.ChoiceField(
        required=False, choices=ItemState.choices, widget=forms.HiddenInput, error_messages={"invalid_choice": BROKEN}
    )

    def __init__(self, *args, **kwargs):
        """Know the verbs of the table of moves."""
        super().__init__(*args, **kwargs)
        self.fields["verb"].choices = [(verb, verb) for verb in ITEM_MOVES]

    def clean(self):
        """Want words for what did not land: everybody asks why."""
        cleaned = super().clean()
        if cleaned.get("verb") in ("roll back", "leave") and "words" in cleaned and not cleaned["words"]:
            self.add_error("words", "Say why: TREE OPEN and the bug tell it to everybody.")
        return cleaned


class ShownForm(SheetForm):
    """A button alone, below a letter. `shown` is the hash of what the person read."""

    shown = forms.RegexField("^[0-9a-f]{64}$", error_messages={"required": BROKEN, "invalid": BROKEN})
