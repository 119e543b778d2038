"""What CiDuty types about a downtime that is over. All of it stays inside."""

import re

from django import forms

from ciduty.typed import BugNumber
from downtimes.models import Review
from downtimes.run import reviewing
from downtimes.window_fields import Line, Words

MOST_BUGS = 30


class ReviewForm(forms.Form):
    """What went well, what to do better, and the bugs that were filed for what remains."""

    went_well = Words(label="What went well", required=False, rows=4)
    to_do_better = Words(
        label="What to do better",
        required=False,
        rows=4,
        help_text="Whoever plans for the same systems reads it beside the plan.",
    )
    bugs = Line(
        label="Bugs filed for what remains",
        required=False,
        max_length=600,
        help_text="Their numbers, separated by blanks or commas.",
    )
    shown = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def __init__(self, *args, review: Review | None, **kwargs):
        """Show the review as it was written last."""
        super().__init__(*args, initial=_initial(review), label_suffix="", **kwargs)

    def start_anew_from(self, review: Review | None) -> None:
        """Let the form be saved again over what somebody else wrote, now that it was said."""
        self.data = self.data.copy()
        self.data["shown"] = reviewing.look_of(review)

    def clean_bugs(self):
        """Return the numbers in their order, each once."""
        numbers = []
        for word in re.split(r"[\s,;]+", re.sub(r"(?i)\bbugs?\b", " ", self.cleaned_data["bugs"])):
            if word:
                numbers.append(BugNumber().clean(word))
        if len(set(numbers)) > MOST_BUGS:
            raise forms.ValidationError(f"{len(set(numbers))} bugs are named and {MOST_BUGS} is the most: name fewer.")
        return list(dict.fromkeys(numbers))


def _initial(review: Review | None) -> dict:
    if review is None:
        return {}
    return {
        "went_well": review.went_well,
        "to_do_better": review.to_do_better,
        "bugs": " ".join(map(str, review.bugs)),
        "shown": reviewing.look_of(review),
    }
