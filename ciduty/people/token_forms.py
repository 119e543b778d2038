"""What a lead chooses when a program gets its key. What a key is: `tokens.py`."""

from datetime import timedelta

from django import forms

from ciduty.people.models import Person, TokenScope
from ciduty.people.tokens import LONGEST_LIFE, LONGEST_NAME
from ciduty.typed import Line

LIVES = (30, 90, 180, LONGEST_LIFE.days)


class TokenForm(forms.Form):
    """Whose program it is, what it may do, and for how long."""

    name = Line(
        max_length=LONGEST_NAME,
        label="Which program?",
        help_text="Its name, and where it runs: somebody reads this in a year.",
        error_messages={"required": "Name the program: the list tells by it which key is whose."},
    )
    person = forms.ModelChoiceField(
        Person.objects.filter(is_active=True).order_by("name", "username"),
        label="For whom does it act?",
        empty_label="Choose somebody",
        help_text="What it does counts as done by this person, and it may never do more than they may.",
        error_messages={
            "required": "Choose the person who answers for the program.",
            "invalid_choice": "Nobody of that number may sign in: choose somebody of the list.",
        },
    )
    scopes = forms.MultipleChoiceField(
        choices=TokenScope.choices,
        widget=forms.CheckboxSelectMultiple,
        label="What may it do?",
        error_messages={
            "required": "Choose at least one thing that the key may do.",
            "invalid_choice": "There is no such right: choose from the list.",
        },
    )
    days = forms.TypedChoiceField(
        coerce=int,
        choices=[(days, f"{days} days") for days in LIVES],
        initial=90,
        label="For how long?",
        help_text="Then it stops working by itself.",
        error_messages={"invalid_choice": "Choose one of these lengths: a key lives a year at most."},
    )

    def __init__(self, *args, **kwargs):
        """Write labels without a colon."""
        super().__init__(*args, label_suffix="", **kwargs)

    @property
    def life(self) -> timedelta:
        """Return how long the key shall live."""
        return timedelta(days=self.cleaned_data["days"])
