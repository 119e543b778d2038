"""What is typed to announce a downtime, to put it off, to call it off, and to ask for less than 24 hours."""

from django import forms

from ciduty.typed import BROKEN
from downtimes.window_forms import WindowForm, Words

MOST_BECAUSE = 1000


class AnnounceForm(forms.Form):
    """A button alone. `version` is the one that the person saw: nobody announces what they have not read."""

    version = forms.IntegerField(min_value=1, widget=forms.HiddenInput, error_messages={"required": BROKEN})


class RevisionForm(forms.Form):
    """A button alone. `revision` is what the person saw of the downtime."""

    revision = forms.IntegerField(min_value=0, widget=forms.HiddenInput, error_messages={"required": BROKEN})


class CancelForm(forms.Form):
    """Why it is called off."""

    because = Words(
        label="Why it is cancelled",
        max_length=MOST_BECAUSE,
        help_text="Everyone who was told reads it, and it is public.",
        error_messages={"required": "Say why it is cancelled: everyone who was told reads it."},
    )

    def __init__(self, *args, **kwargs):
        """Write labels without a colon."""
        super().__init__(*args, label_suffix="", **kwargs)


class EmergencyForm(RevisionForm, CancelForm):
    """Why it cannot wait for 24 hours of notice."""

    because = Words(
        label="Why it cannot wait for 24 hours",
        max_length=MOST_BECAUSE,
        help_text="A manager decides with it, and the notice prints it with their name.",
        error_messages={"required": "Say why it cannot wait: a manager decides with it, and the notice prints it."},
    )


class PostponeForm(WindowForm):
    """The new times, in one of three zones, and why."""

    because = Words(
        label="Why it is postponed",
        max_length=MOST_BECAUSE,
        help_text="Everyone who was told reads it, and it is public.",
        error_messages={"required": "Say why it is postponed: everyone who was told reads it."},
    )
    field_order = ["zone", "starts_on", "starts_time", "ends_on", "ends_time", "because"]

    def __init__(self, *args, **kwargs):
        """Ask for the times alone."""
        super().__init__(*args, **kwargs)
        times = {f"{which}_{part}" for which in ("starts", "ends") for part in ("on", "time", "meant")}
        for name in set(self.fields) - times - {"zone", "because", "revision"}:
            del self.fields[name]

    def clean(self):
        """Want both moments."""
        cleaned = super().clean()
        for which, name in (("starts", "start"), ("ends", "end")):
            if not self.errors and cleaned.get(f"{which}_at") is None:
                self.add_error(f"{which}_on", f"Enter the new {name}.")
        return cleaned

    def _check_quorum(self):
        """Leave the policy as it is."""
