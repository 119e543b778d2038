"""What a lead types about a system."""

from django import forms
from django.core.exceptions import ValidationError

from ciduty.systems.keeping import FACTS, TAKEN_SLUGS, mark
from ciduty.systems.models import System, slug_of
from ciduty.typed import Line, Words

LONGEST_ESCALATION = 4000


class SystemForm(forms.Form):
    """One system, as somebody needs to know it at three in the morning."""

    title = Line(
        max_length=120,
        label="Name",
        help_text="As people say it: hg.mozilla.org, Taskcluster, macOS signers.",
        error_messages={"required": "Write the name that people know the system by."},
    )
    slug = forms.CharField(
        max_length=80,
        required=False,
        label="Name in addresses",
        help_text="Made from the name where this stays empty. It stands in permalinks, so it can never be changed.",
    )
    serves = Line(max_length=300, required=False, label="What does it serve?")
    owner = Line(max_length=120, required=False, label="Which team owns it?", help_text="A team, not a person.")
    channel = Line(max_length=120, required=False, label="Where can the team be asked?", help_text="A channel: #vcs.")
    escalation = Words(
        max_length=LONGEST_ESCALATION,
        required=False,
        label="Whom to wake, and when",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Only people who sign in read this.",
    )
    runbook = forms.URLField(
        max_length=360,
        required=False,
        assume_scheme="https",
        label="Runbook",
        widget=forms.URLInput(attrs={"placeholder": "https://"}),
        error_messages={"invalid": "This is no address of a page: copy it whole, beginning with https://."},
    )
    needs_coordination = forms.BooleanField(
        required=False, label="Its maintenance needs a downtime that is coordinated with the trees"
    )
    is_active = forms.BooleanField(required=False, initial=True, label="In use")
    seen = forms.CharField(required=False, max_length=16, widget=forms.HiddenInput)

    def __init__(self, *args, system: System | None = None, **kwargs):
        """Show what is known of a system, or begin with a new one."""
        self.system = system
        if system is not None:
            kwargs.setdefault("initial", {name: getattr(system, name) for name in FACTS} | {"seen": mark(system)})
        super().__init__(*args, label_suffix="", **kwargs)
        if system is not None:
            del self.fields["slug"]

    def clean_runbook(self):
        """Return an address that a browser opens as a page."""
        address = self.cleaned_data["runbook"]
        if address and not address.startswith(("https://", "http://")):
            raise ValidationError("A runbook is a page: its address begins with https:// or http://.")
        return address

    def clean(self):
        """Make the slug of a new system, and refuse one that is taken."""
        cleaned = super().clean()
        if self.system is None and "title" in cleaned and "slug" in cleaned:
            where = "slug" if cleaned["slug"] else "title"
            cleaned["slug"] = slug_of(cleaned["slug"] or cleaned["title"])
            problem = _why_not(cleaned["slug"])
            if problem:
                self.add_error(where, problem)
        return cleaned

    @property
    def facts(self) -> dict:
        """Return what was typed of the system."""
        return {name: self.cleaned_data[name] for name in FACTS}


def _why_not(slug: str) -> str:
    if not slug:
        return "No letter or digit of it can stand in an address: write a name in addresses yourself, in plain letters."
    if slug in TAKEN_SLUGS:
        return f"A page of the catalogue has the address “{slug}”: choose another name in addresses."
    other = System.objects.filter(slug=slug).first()
    if other is not None:
        return f"{other.title} has the address “{slug}” already: change that one, or choose another name in addresses."
    return ""
