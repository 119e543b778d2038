"""What duty types to close trees by hand, and the button that ends a closure."""

from datetime import timedelta

from django import forms
from django.core.exceptions import ValidationError

from ciduty.trees import confidential, rules
from ciduty.trees.models import Tree
from ciduty.trees.rules import Category
from ciduty.typed import BugNumber, Line, OpForm

MOST_AT_ONCE = 100
#: Key -> when it is expected to open again, in words and as a length; None: nobody knows.
EXPECTED = {
    "unknown": ("Nobody knows yet", None),
    "30m": ("In half an hour", timedelta(minutes=30)),
    "1h": ("In an hour", timedelta(hours=1)),
    "2h": ("In two hours", timedelta(hours=2)),
    "4h": ("In four hours", timedelta(hours=4)),
    "8h": ("In eight hours", timedelta(hours=8)),
    "24h": ("In a day", timedelta(days=1)),
}


class CloseForm(OpForm):
    """Which trees are closed, why, for which bug, and until when."""

    trees = forms.MultipleChoiceField(
        label="Trees", required=False, widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": "“%(value)s” is no tree that is known here."},
    )  # fmt: skip
    others = Line(
        label="Trees that are not listed",
        required=False,
        max_length=1000,
        help_text="Their names as pushes use them, separated by blanks: autoland mozilla-central.",
    )
    category = forms.ChoiceField(
        label="Category",
        choices=[("", "Choose one"), *Category.choices],
        error_messages={
            "required": "Choose a category: a closure needs a reason and a category.",
            "invalid_choice": "This is none of the categories: choose one of the list.",
        },
    )
    reason = Line(
        label="Reason",
        max_length=300,
        help_text="Everybody who cannot push reads it: “hg.mozilla.org does not answer”.",
        error_messages={"required": "Say why it is closed: everybody who cannot push reads it."},
    )
    bug = BugNumber(label="Bug", required=False, help_text="Its number, where there is one.")
    expected = forms.ChoiceField(
        label="Expected to open again",
        choices=[(key, words) for key, (words, _) in EXPECTED.items()],
        initial="unknown",
        required=False,
        error_messages={"invalid_choice": "This is none of the times: choose one of the list."},
    )

    def __init__(self, *args, **kwargs):
        """Offer the trees that are known."""
        super().__init__(*args, **kwargs)
        names = list(Tree.objects.values_list("name", flat=True))
        self.fields["trees"].choices = [(name, name) for name in names]
        if not names:
            del self.fields["trees"]
            self.fields["others"].label = "Trees"

    def clean_others(self):
        """Return names, each of which a tree may have."""
        names = self.cleaned_data["others"].replace(",", " ").split()
        for name in names:
            if not rules.is_name(name):
                raise ValidationError(
                    f"“{name[:80]}” is no name of a tree: they are made of letters, digits and . _ + -, "
                    f"{rules.LONGEST_NAME} at most."
                )
        if len(names) > MOST_AT_ONCE:
            raise ValidationError(f"These are {len(names)} trees, and {MOST_AT_ONCE} can be closed at once.")
        return names

    def clean_reason(self):
        """Refuse a reason that names a bug which is not public: everybody reads it."""
        reason = self.cleaned_data["reason"]
        private = confidential.private_among([reason])
        named = sorted(confidential.numbers_in(reason) & private)
        if named:
            raise ValidationError(
                f"Bug {named[0]} is not public, and everybody reads the reason: say it without the number and without "
                "the bug’s words."
            )
        return reason

    def clean(self):
        """Want at least one tree."""
        cleaned = super().clean()
        if not self.names and "others" not in self.errors and "trees" not in self.errors:
            self.add_error("trees" if "trees" in self.fields else "others", "Name at least one tree.")
        return cleaned

    @property
    def names(self) -> list[str]:
        """Return the trees that were named, each once."""
        return list(dict.fromkeys([*self.cleaned_data.get("trees", []), *self.cleaned_data.get("others", [])]))

    @property
    def expected_within(self) -> timedelta | None:
        """Return in how long they are expected to open; None where nobody knows."""
        return EXPECTED[self.cleaned_data.get("expected") or "unknown"][1]
