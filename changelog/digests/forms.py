"""What somebody types to get a digest: an address and a rhythm. The filter comes with the page that led here."""

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from changelog import find
from changelog.find import Query
from changelog.models import Subscription
from changelog.models.digests import Rhythm
from changelog.public import filters
from ciduty.outbox.addresses import LONGEST, NotAnAddress, on_the_wire
from ciduty.typed import OpForm

LONGEST_QUERY = Subscription._meta.get_field("query").max_length
BROKEN_FILTER = "The choice of changes in this form cannot be read: go back to the log, choose there, and come again."


class DigestForm(OpForm):
    """Who wants a digest, how often, and of what. `op` names this very form: sent twice, it is one mail."""

    address = forms.CharField(
        label="Your mail address",
        max_length=LONGEST,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        error_messages={"required": "Write the address that the mails shall go to."},
    )
    rhythm = forms.ChoiceField(
        choices=Rhythm.choices,
        widget=forms.RadioSelect,
        label="How often?",
        error_messages={
            "required": "Choose how often.",
            "invalid_choice": "There is no such rhythm: choose one of the list.",
        },
    )
    query = forms.CharField(required=False, max_length=LONGEST_QUERY, widget=forms.HiddenInput)

    def clean_address(self):
        """Return one plain mail address."""
        try:
            on_the_wire(self.cleaned_data["address"])
        except NotAnAddress as problem:
            raise ValidationError(f"This is no mail address: {problem}.") from None
        return self.cleaned_data["address"]

    def clean_query(self):
        """Return the filter as a permalink has it."""
        query, problems = filters.read(QueryDict(self.cleaned_data["query"]))
        if problems:
            raise ValidationError(BROKEN_FILTER)
        return kept(query)


def kept(query: Query) -> str:
    """Return a filter as a digest keeps it: canonical, and without a time, for a digest tells what is new."""
    return filters.canonical(find.without_time(query))
