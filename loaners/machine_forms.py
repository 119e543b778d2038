"""What CiDuty types about machines: the facts of one, why one is broken, a file of many. No field is for a secret."""

from hashlib import sha256

from django import forms

from loaners import machine_facts, machine_sheet, machines
from loaners.machine_facts import Unfit
from loaners.machine_sheet import Unreadable
from loaners.models import Machine, MachineClass


class Choice(forms.ModelChoiceField):
    """A class by its name, with what it is beside it."""

    def label_from_instance(self, machine_class):
        """Return how the choice reads."""
        return f"{machine_class.name} ({machine_class.label})"


class MachineForm(forms.Form):
    """The facts of one machine. `seen` names those that the page showed: what somebody else wrote is not run over."""

    host = forms.CharField(
        max_length=machine_facts.LONGEST_HOST,
        help_text="Its name, as in t-w1064-ms-042. It is the alias of its tracking bug, too.",
        error_messages={"required": "Write the host: every machine has a name."},
    )
    machine_class = Choice(
        MachineClass.objects.all(),
        label="Class",
        empty_label="Choose one",
        error_messages={
            "required": "Choose the class: the steps of a loan come of it.",
            "invalid_choice": "This class is not there (any more): choose one of the list.",
        },
    )
    location = forms.CharField(required=False, help_text="Data centre or region, as in mdc1.")
    is_spare = forms.BooleanField(required=False, label="Spare: CI does not need it, so it is lent first")
    tracking_bug = forms.CharField(
        required=False, label="Tracking bug", help_text="The number of the bug that follows this host’s troubles."
    )
    notes = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What whoever lends it should know. CiDuty and managers read it. Never a password, a key or a token.",
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args, machine: Machine, **kwargs):
        """Show the machine's facts, or nothing of a new one."""
        self.machine = machine
        if machine.pk:
            facts = {name: getattr(machine, name) for name in machines.FACTS} | {"seen": seen(machine)}
            kwargs["initial"] = facts | {"machine_class": machine.machine_class_id}
        super().__init__(*args, label_suffix="", **kwargs)

    def clean_host(self):
        """Return the name in lower case; one that another machine has is refused."""
        name = self._fit("host")
        other = Machine.objects.filter(host__iexact=name).exclude(pk=self.machine.pk).first()
        if other is not None:
            raise forms.ValidationError(
                f"{other.host} is in the pool already ({other.get_state_display().lower()}): change that machine, "
                "or choose another name."
            )
        return name

    def clean_location(self):
        """Return the location on one line."""
        return self._fit("location")

    def clean_tracking_bug(self):
        """Return the number, or None."""
        return self._fit("tracking_bug")

    def clean_notes(self):
        """Return the notes as they may be stored."""
        return self._fit("notes")

    def _fit(self, name):
        try:
            return getattr(machine_facts, name)(self.cleaned_data[name])
        except Unfit as problem:
            raise forms.ValidationError(str(problem)) from None

    def clean(self):
        """Refuse to run over what somebody else saved after this page was opened."""
        cleaned = super().clean()
        if self.machine.pk and cleaned.get("seen") != seen(self.machine):
            self.data = self.data.copy()
            self.data["seen"] = seen(self.machine)  # so that saving again is possible, now that it was said
            raise forms.ValidationError(
                "Somebody changed this machine after you opened the page: look at it in another tab, "
                "then save again to put your words in place of theirs."
            )
        return cleaned

    @property
    def facts(self) -> dict:
        """Return the facts that were typed."""
        return {name: self.cleaned_data[name] for name in machines.FACTS}


def seen(machine: Machine) -> str:
    """Return what two looks at a machine have in common only if its facts are the same."""
    facts = [str(getattr(machine, name)) for name in ("machine_class_id", *machines.FACTS) if name != "machine_class"]
    return sha256("\0".join(facts).encode()).hexdigest()[:16]


class ReasonForm(forms.Form):
    """Why a machine is moved by hand."""

    reason = forms.CharField(required=False, max_length=300)

    def __init__(self, *args, verb: str, **kwargs):
        """Want a reason for what is broken: whoever repairs it reads only that."""
        super().__init__(*args, **kwargs)
        reason = self.fields["reason"]
        reason.required = verb == "mark broken"
        reason.error_messages = {
            "required": "Say what is wrong with it: whoever repairs it reads only that.",
            "max_length": "The reason is longer than 300 characters: put the rest into the tracking bug.",
        }


class ImportForm(forms.Form):
    """A CSV file of machines."""

    file = forms.FileField(
        label="CSV file",
        max_length=200,
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"}),
        help_text=(
            f"At most {machine_sheet.MOST_BYTES // 1_000_000} MB and {machine_sheet.MOST_LINES} lines, in UTF-8. "
            "Commas, semicolons or tabs between the cells. Never a password, a key or a token."
        ),
        error_messages={
            "required": "Choose a file: nothing was uploaded.",
            "empty": "The file is empty: its first line names the columns, at least host and class.",
            "max_length": "The file’s name is longer than 200 characters: give it a shorter one.",
        },
    )

    def clean_file(self):
        """Return the file's text, read as a list of machines into `sheet`."""
        upload = self.cleaned_data["file"]
        try:
            if upload.size > machine_sheet.MOST_BYTES:  # before any of it is taken into memory
                raise Unreadable(machine_sheet.too_big(upload.size))
            text = machine_sheet.decode(upload.read())
            self.sheet = machine_sheet.read(text)
        except Unreadable as problem:
            raise forms.ValidationError(str(problem)) from None
        return text
