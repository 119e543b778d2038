"""What CiDuty types to accept, defer or decline a nomination. All of it is written into the bug."""

from datetime import datetime

from django import forms

from ciduty.typed import Line, OpForm, Words
from downtimes import review
from downtimes.models import Downtime

MOST_WORDS = 4000
NEW = "new"
#: So many windows can be chosen from.
MOST_WINDOWS = 100
IN_THE_BUG = "It stands in the bug, for everybody who may read that one. Nothing confidential."


def planned_windows() -> list[Downtime]:
    """Return the windows that a nomination can be accepted into, the next first. One query."""
    windows = Downtime.objects.planned().order_by("starts_at", "pk")
    return sorted(windows[:MOST_WINDOWS], key=lambda window: window.starts_at is None)


def name_of(window: Downtime) -> str:
    """Return how the list calls a window."""
    when = f"{window.starts_at:%Y-%m-%d %H:%M} UTC" if window.starts_at else "no time yet"
    return f"{window.title} ({when}, {window.get_state_display().lower()})"


class AcceptForm(OpForm):
    """Into which window: one that is planned, or a new one with its title."""

    window = forms.ChoiceField(
        label="Into which window?",
        error_messages={
            "required": "Choose a window.",
            "invalid_choice": "This window is not planned any more: choose another one.",
        },
    )
    title = Line(
        label="Title of the new window",
        required=False,
        max_length=120,
        widget=forms.TextInput,
        help_text="Everybody reads it once the downtime is announced. Its times are entered afterwards.",
    )
    words = Words(
        label="Words beside it", required=False, max_length=MOST_WORDS, help_text=IN_THE_BUG,
        widget=forms.Textarea(attrs={"rows": 2}),
    )  # fmt: skip

    def __init__(self, *args, windows: list[Downtime], **kwargs):
        """Offer these windows, and a new one."""
        super().__init__(*args, **kwargs)
        self.windows = {str(window.pk): window for window in windows}
        names = [(number, name_of(window)) for number, window in self.windows.items()]
        self.fields["window"].choices = [*names, (NEW, "A new window")]

    def clean(self):
        """Want a title for a new window."""
        cleaned = super().clean()
        if cleaned.get("window") == NEW and not cleaned.get("title") and "title" not in self.errors:
            self.add_error("title", "Give the new window a title.")
        return cleaned

    @property
    def downtime(self) -> Downtime | None:
        """Return the window that was chosen, or None for a new one."""
        return self.windows.get(self.cleaned_data["window"])


class DeferForm(OpForm):
    """Until when it is put off, and why."""

    until = forms.DateField(
        label="Until",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        help_text="It comes back into the queue by itself on this day.",
        error_messages={
            "required": "Say until when it is put off.",
            "invalid": "This is no date: write it like 2026-03-17.",
        },
    )
    because = Words(
        label="Reason", max_length=MOST_WORDS, help_text=IN_THE_BUG, widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Give the reason: whoever asked reads it."},
    )  # fmt: skip

    def __init__(self, *args, at: datetime, **kwargs):
        """Take days to come, seen from this moment."""
        super().__init__(*args, **kwargs)
        self.at = at

    def clean_until(self):
        """Return the day, if it is to come."""
        problem = review.why_not_until(self.cleaned_data["until"], self.at)
        if problem:
            raise forms.ValidationError(problem)
        return self.cleaned_data["until"]


class DeclineForm(OpForm):
    """Why no tree closure is planned for it."""

    because = Words(
        label="Reason", max_length=MOST_WORDS, help_text=f"{IN_THE_BUG} Say what they can do instead.",
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Give the reason: whoever asked reads it."},
    )  # fmt: skip
