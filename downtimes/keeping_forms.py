"""What a lead types about lists and approvers."""

from django import forms

from ciduty.outbox.addresses import NotAnAddress, on_the_wire
from ciduty.people.models import Approver, Person
from ciduty.typed import MOST_ID
from downtimes.models import CheckLink, ListUse, MailingList
from downtimes.run.rules import Phase
from downtimes.window_forms import Line

ROW = "id"


class KeptForm(forms.Form):
    """One row of one table; without a number it is a new one."""

    id = forms.IntegerField(required=False, min_value=1, max_value=MOST_ID, widget=forms.HiddenInput)

    def __init__(self, *args, row, **kwargs):
        """Show what stands in the row, with ids of its own: many forms stand on one page."""
        self.row = row
        if row.pk:
            facts = {name: getattr(row, name) for name in self.base_fields if name != ROW}
            kwargs.setdefault("initial", facts | {ROW: row.pk})
        name = type(self).__name__.removesuffix("Form").lower()
        super().__init__(*args, label_suffix="", auto_id=f"{name}-{row.pk or 'new'}-%s", **kwargs)

    @property
    def facts(self) -> dict:
        """Return what was typed of the row."""
        return {name: value for name, value in self.cleaned_data.items() if name != ROW}

    def clean_address(self):
        """Return one plain mail address."""
        try:
            on_the_wire(self.cleaned_data["address"])
        except NotAnAddress as problem:
            raise forms.ValidationError(f"This is no mail address: {problem}.") from None
        return self.cleaned_data["address"]


class ListForm(KeptForm):
    """A mailing list."""

    name = Line(max_length=80, error_messages={"required": "Write the list’s name: people know it by that."})
    address = Line(max_length=254, error_messages={"required": "Write the address that the list takes mail at."})
    use = forms.ChoiceField(choices=ListUse.choices, label="What it gets")
    mandatory = forms.BooleanField(
        required=False, label="Mandatory: the 24 hours run from when the last of these accepted"
    )
    is_used = forms.BooleanField(required=False, initial=True, label="In use")

    def __init__(self, *args, row=None, **kwargs):
        """Begin with a new list unless told otherwise."""
        super().__init__(*args, row=row or MailingList(), **kwargs)

    def clean(self):
        """Refuse the same address twice for one use: everybody on it would get it twice."""
        cleaned = super().clean()
        same = MailingList.objects.filter(address__iexact=cleaned.get("address", ""), use=cleaned.get("use", ""))
        if same.exclude(pk=self.row.pk).exists():
            self.add_error("address", "This address stands in the list already, for the same use: change that row.")
        return cleaned


class LinkForm(KeptForm):
    """A page that the run sheet leads to: where one sees what is normal."""

    label = Line(max_length=80, error_messages={"required": "Write what one sees there: the run sheet says it."})
    address = forms.URLField(
        max_length=300, assume_scheme="https", error_messages={"required": "Write the address that it stands at."}
    )
    phase = forms.ChoiceField(choices=Phase.choices, label="When one looks")
    what_is_normal = Line(required=False, max_length=200, label="What is normal there")
    is_used = forms.BooleanField(required=False, initial=True, label="In use")

    def __init__(self, *args, row=None, **kwargs):
        """Begin with a new link unless told otherwise."""
        super().__init__(*args, row=row or CheckLink(), **kwargs)

    def clean_address(self):
        """Return the address of a page: nothing else is led to."""
        address = self.cleaned_data["address"]
        if not address.lower().startswith(("http://", "https://")):
            raise forms.ValidationError("This is no address of a page: it begins with https://.")
        return address

    def clean(self):
        """Refuse the same page twice at one time."""
        cleaned = super().clean()
        same = CheckLink.objects.filter(address=cleaned.get("address", ""), phase=cleaned.get("phase", ""))
        if same.exclude(pk=self.row.pk).exists():
            self.add_error("address", "This page stands there already, for the same time: change that row.")
        return cleaned


class ApproverForm(KeptForm):
    """Somebody who is asked to agree."""

    name = Line(max_length=120, error_messages={"required": "Write the name: the page says who is missing by it."})
    address = Line(max_length=254, error_messages={"required": "Write the address: the question goes there."})
    person = forms.ModelChoiceField(
        Person.objects.filter(is_active=True).order_by("name", "username"),
        required=False,
        label="Account here",
        empty_label="None: answers with the code of the mail",
    )
    is_pre_approver = forms.BooleanField(required=False, label="Pre-approver: asked before any list hears of it")
    is_active = forms.BooleanField(required=False, initial=True, label="Active")
    alternate = forms.ModelChoiceField(
        Approver.objects.filter(is_active=True), required=False, empty_label="Nobody", label="Alternate, while absent"
    )
    absent_from = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}), label="Absent from")
    absent_until = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        label="Absent until",
        help_text="Both days included, by the desk’s clock. Without an end: until further notice.",
    )

    def __init__(self, *args, row=None, people=None, alternates=None, **kwargs):
        """Begin with a new approver unless told otherwise. `people` and `alternates` are read once for all forms."""
        super().__init__(*args, row=row or Approver(), **kwargs)
        if people is not None:
            _offer(self.fields["person"], people)
        if alternates is not None:
            _offer(self.fields["alternate"], [one for one in alternates if one.pk != self.row.pk])

    def clean_address(self):
        """Return one plain mail address that no other approver has: one person is one row."""
        address = super().clean_address()
        other = Approver.objects.filter(address__iexact=address).exclude(pk=self.row.pk).first()
        if other is not None:
            raise forms.ValidationError(f"{other.name} has this address: one person is one row, and counts once.")
        return address

    def clean_person(self):
        """Return the account; one that belongs to another approver is refused."""
        person = self.cleaned_data["person"]
        other = Approver.objects.filter(person=person).exclude(pk=self.row.pk).first() if person else None
        if other is not None:
            raise forms.ValidationError(
                f"This account belongs to {other.name}: one person is one row, and counts once."
            )
        return person

    def clean_alternate(self):
        """Refuse an alternate who is the same person."""
        alternate = self.cleaned_data["alternate"]
        if alternate is not None and alternate.pk == self.row.pk:
            raise forms.ValidationError("Nobody is their own alternate: choose somebody else.")
        return alternate

    def clean(self):
        """Refuse an absence that ends before it begins."""
        cleaned = super().clean()
        begins, ends = cleaned.get("absent_from"), cleaned.get("absent_until")
        if ends and not begins:
            self.add_error("absent_from", "Write the first day of the absence, too.")
        elif begins and ends and ends < begins:
            self.add_error("absent_until", "The absence ends before it begins: enter a later day.")
        return cleaned


def _offer(field, rows) -> None:
    """Show rows that were read already, so that twenty forms on a page ask the database once."""
    field.widget.choices = [("", field.empty_label), *((row.pk, str(row)) for row in rows)]
