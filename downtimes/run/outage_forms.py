"""What duty types when trees must be closed now: which, why, until when, and what everybody is told."""

from django import forms

from ciduty.trees import polling
from ciduty.trees.forms import CloseForm
from ciduty.trees.models import Tree
from ciduty.trees.rules import Category, Status
from downtimes.run import outage
from downtimes.window_fields import Words

MOST_WORDS = 3000


class OutageForm(CloseForm):
    """Which trees are closed for an outage, and the words of the mail to the lists."""

    field_order = ("trees", "others", "reason", "category", "bug", "expected", "text")

    text = Words(
        label="What everybody is asked to do",
        rows=5,
        max_length=MOST_WORDS,
        help_text="Above it the mail says by itself which trees are closed, why, for which bug and until when.",
        error_messages={"required": "Say what everybody is to do: the lists read it."},
    )

    def __init__(self, *args, **kwargs):
        """Offer the trees that are known, and say which are closed already."""
        super().__init__(*args, **kwargs)
        self.fields["category"].initial = Category.INFRA
        self.fields["text"].initial = outage.template_text()
        if "trees" in self.fields:
            self._offer_trees()

    def _offer_trees(self) -> None:
        """With a service its own trees and no others: what it does not know cannot be closed there."""
        service = polling.current_service()
        known = Tree.objects.filter(gone_at=None)
        if service:
            known = known.filter(service_id=service.pk)
        closed = " (closed already)"
        rows = [(one.name, one.name + (closed if one.status == Status.CLOSED else "")) for one in known]
        self.fields["trees"].choices = rows
        if service and rows:
            del self.fields["others"]

    def clean_text(self):
        """Refuse words that name a bug which is not public: the lists read them."""
        problem = outage.why_not_said(self.cleaned_data["text"])
        if problem:
            raise forms.ValidationError(problem)
        return self.cleaned_data["text"]
