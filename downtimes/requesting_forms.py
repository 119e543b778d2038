"""What IT, RelEng and WebDev type to ask for a tree closure. No field is for a secret, and the words are public."""

from django import forms
from django.conf import settings

from ciduty.outbox.wanted import LONGEST_SUMMARY
from ciduty.typed import BugNumber, Line, Words
from downtimes import requesting
from downtimes.models import Nomination
from downtimes.requesting_bug import NewBug
from downtimes.rules import LONGEST, Urgency

#: What is longer is a plan: it belongs into the bug.
MOST_WORDS = 4000
#: What is longer is not read in a notice.
MOST_WORDING = 2000
MOST_SYSTEM = 120
MOST_MINUTES = int(LONGEST.total_seconds()) // 60
NO_SECRETS = "Never a password, a key, or the words of a restricted bug."


class Minutes(forms.IntegerField):
    """A length of time in minutes."""

    def __init__(self, *, least: int, **kwargs):
        """Take whole minutes from `least` to the longest downtime there is."""
        within = f"Write whole minutes, from {least} to {MOST_MINUTES} ({LONGEST.days} days)."
        errors = {"required": "Say how many minutes it takes.", "invalid": within}
        errors |= {"min_value": within, "max_value": within}
        super().__init__(min_value=least, max_value=MOST_MINUTES, error_messages=errors, **kwargs)


def _area(rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows})


class RequestForm(forms.Form):
    """The questions, in the order in which a person thinks of them. `key` names this very form: twice is once."""

    key = forms.RegexField("^[0-9a-f]{16}$", widget=forms.HiddenInput)
    system = Line(
        label="Which system?",
        max_length=MOST_SYSTEM,
        widget=forms.TextInput(attrs={"list": "systems", "autocomplete": "off"}),
        help_text="Choose one of the list, or type any other.",
        error_messages={"required": "Name the system: what else needs it closed is looked for by its name."},
    )
    bug = BugNumber(
        label="The bug of this work",
        required=False,
        help_text="A number or an address. The flag is set for you.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "placeholder": "1412345"}),
    )
    file_one = forms.BooleanField(label="There is none yet: file one for me", required=False)
    component = forms.ChoiceField(label="In which component?", required=False)
    summary = Line(
        label="Its summary",
        required=False,
        max_length=LONGEST_SUMMARY,
        widget=forms.TextInput,
        help_text="Everybody reads it in Bugzilla.",
    )
    stands_in_for = BugNumber(
        label="Does it stand in for a restricted bug?",
        required=False,
        help_text="The number of that one, if there is one. Both must be kept in step by whoever works on it.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off"}),
    )
    public_text = Words(
        label="The exact wording for the downtime notice",
        max_length=MOST_WORDING,
        widget=_area(3),
        help_text="All developers read it. For security-sensitive work be vague. " + NO_SECRETS,
        error_messages={"required": "Write what the notice shall say of this work: nobody else knows it better."},
    )
    steps = Words(
        label="What is done, step by step?",
        max_length=MOST_WORDS,
        widget=_area(4),
        error_messages={"required": "Write the steps: whoever plans the window must see what happens when."},
    )
    minutes = Minutes(label="Minutes when all goes well", least=1)
    rollback = Words(
        label="How is it rolled back?",
        max_length=MOST_WORDS,
        widget=_area(3),
        error_messages={"required": "Write how it is rolled back, or that it cannot be."},
    )
    rollback_minutes = Minutes(label="Minutes to roll back", least=0)
    preferred = Words(
        label="Which windows would suit you?",
        required=False,
        max_length=MOST_WORDS,
        widget=_area(2),
        help_text="Days and hours with their zone, and who has to be there. May stay empty.",
    )
    urgency = forms.ChoiceField(
        label="How urgent is it?",
        choices=Urgency.choices,
        widget=forms.RadioSelect,
        error_messages={
            "required": "Choose how urgent it is.",
            "invalid_choice": "There is no such urgency: choose one of the list.",
        },
    )

    def __init__(self, *args, person, **kwargs):
        """Offer the components of the settings."""
        super().__init__(*args, label_suffix="", **kwargs)
        self.person = person
        names = [" :: ".join(pair) for pair in settings.CIDUTY_COMPONENTS]
        self.fields["component"].choices = [(name, name) for name in names]
        self.fields["component"].error_messages["invalid_choice"] = "There is no such component: choose one."

    def clean(self):
        """Look at what belongs together: a bug that is there, or one to be filed with its summary."""
        cleaned = super().clean()
        if "bug" not in cleaned:
            return cleaned
        bug, file_one = cleaned["bug"], cleaned.get("file_one")
        if bug and file_one:
            self.add_error("bug", "A bug is named here, and one is to be filed: clear one of both.")
        elif not bug and not file_one:
            self.add_error("bug", "Name the bug, or tick “There is none yet: file one for me”.")
        elif file_one and "summary" not in self.errors and not cleaned.get("summary"):
            self.add_error("summary", "Write the summary of the bug that is filed.")
        if bug and bug == cleaned.get("stands_in_for"):
            self.add_error("stands_in_for", "A bug cannot stand in for itself: name the restricted one here.")
        return cleaned

    def nomination(self) -> Nomination:
        """Return what was asked for, not saved."""
        return Nomination(
            bug_id=self.cleaned_data["bug"],
            key=requesting.key_of(self.person, self.cleaned_data["key"]),
            **{name: self.cleaned_data[name] for name in requesting.TYPED},
        )

    def new_bug(self) -> NewBug | None:
        """Return the bug that is to be filed, or None where one is there already."""
        if not self.cleaned_data["file_one"]:
            return None
        product, component = settings.CIDUTY_COMPONENTS[0]
        if self.cleaned_data["component"]:
            product, component = self.cleaned_data["component"].split(" :: ", 1)
        return NewBug(product, component, self.cleaned_data["summary"])
