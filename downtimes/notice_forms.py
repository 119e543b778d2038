"""What a person types about a notice; the rest of it is drafted from the window. All of it becomes public."""

from django import forms

from ciduty.typed import BROKEN
from downtimes.models import Downtime
from downtimes.rules import Policy
from downtimes.window_forms import TitleForm, Words

MOST_QUORUM = 99
#: What the form holds, named as the downtime's own fields.
WORDS = ("title", "what_stops", "what_keeps_working", "effect_on_releases", "how_to_object")
FIELDS = (*WORDS, "policy", "quorum")


class NoticeForm(TitleForm):
    """The words of a notice. `revision` is the window's as the page showed it: a later save of somebody else counts."""

    what_stops = Words(
        label="What will not work",
        required=False,
        rows=4,
        help_text="What people will miss, and for how long: pushes, try, build downloads.",
    )
    what_keeps_working = Words(
        required=False, rows=4, help_text="What they would otherwise ask about in the middle of it."
    )
    effect_on_releases = Words(required=False, rows=4, help_text="Which release is near, and why it is not held up.")
    how_to_object = Words(required=False, rows=4)
    policy = forms.ChoiceField(
        label="The pre-approvers have agreed when",
        choices=Policy.choices,
        error_messages={
            "required": "Choose when the pre-approvers have agreed.",
            "invalid_choice": "There is no such policy: choose one of the list.",
        },
    )
    quorum = forms.IntegerField(
        label="Quorum",
        min_value=1,
        max_value=MOST_QUORUM,
        help_text="How many must approve, where a quorum decides.",
        error_messages={
            "required": "Say how many make a quorum.",
            "invalid": "This is no number: write it like 2.",
            "min_value": "A quorum is one person at least.",
            "max_value": f"A quorum is {MOST_QUORUM} people at most.",
        },
    )
    revision = forms.IntegerField(
        widget=forms.HiddenInput(attrs={"id": False}),
        min_value=0,
        max_value=2**31 - 1,
        error_messages={"required": BROKEN, "invalid": BROKEN},
    )

    def __init__(self, *args, otherwise: str, **kwargs):
        """Say how to object where nothing is typed: `otherwise`."""
        super().__init__(*args, **kwargs)
        self.fields["how_to_object"].help_text = f"Left empty, it says: “{otherwise}”"

    def start_anew_from(self, revision: int) -> None:
        """Let the form be saved again over what somebody else saved, now that it was said."""
        self.data = self.data.copy()
        self.data["revision"] = revision

    @property
    def typed(self) -> dict:
        """Return what is in order so far, by the names of the downtime's fields."""
        return {name: self.cleaned_data[name] for name in FIELDS if name in self.cleaned_data}


def initial(downtime: Downtime) -> dict:
    """Return what stands in a new form."""
    return {name: getattr(downtime, name) for name in (*FIELDS, "revision")}
