"""What a developer types to ask for a loaner. There is no field for a secret, and the words become public."""

import zoneinfo
from functools import cache, lru_cache

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ciduty import typed
from ciduty.typed import BugNumber
from loaners import asking
from loaners.asking_open import warning_of
from loaners.models import Application, MachineClass

#: A reason that is longer is a log: it belongs into the bug that is being debugged.
MOST_WORDS = 4000
MOST_NEEDS = 300
ACCESS = {"SSH": "SSH, a shell", "VNC": "VNC, the screen of macOS or Linux", "RDP": "RDP, the screen of Windows"}
#: The areas of the IANA list that name places; the others are old aliases.
AREAS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@cache
def time_zones() -> dict[str, list[str]]:
    """Return the zones that can be chosen, by area."""
    names = sorted(zoneinfo.available_timezones())
    return {area: [name for name in names if name.startswith(f"{area}/")] for area in AREAS}


def _zone_choices():
    places = [
        (area, [(name, name.partition("/")[2].replace("_", " ")) for name in names])
        for area, names in time_zones().items()
    ]
    return [("", "Choose your time zone"), ("UTC", "UTC"), *places]


@lru_cache(maxsize=32)
def _zone_options(chosen: str) -> SafeString:
    options = []
    for value, label in _zone_choices():
        places = label if isinstance(label, list) else [(value, label)]
        written = format_html_join("", '<option value="{}"{}>{}</option>', (
            (name, mark_safe(" selected") if name == chosen else "", words) for name, words in places
        ))  # fmt: skip
        options.append(
            format_html('<optgroup label="{}">{}</optgroup>', value, written) if places is label else written
        )
    return format_html_join("", "{}", ((option,) for option in options))


class ZoneSelect(forms.Select):
    """Hundreds of names: written at once, where Django renders a template for each of them."""

    def render(self, name, value, attrs=None, renderer=None):
        """Return the list with the value chosen."""
        return format_html("<select{}>{}</select>", flatatt({"name": name} | (attrs or {})), _zone_options(value or ""))


class Words(typed.Words):
    """What a developer writes about a failure."""

    advice = "shorten it, and attach logs to the bug that is being debugged"


class ClassField(forms.ModelChoiceField):
    """A machine class by its name; one that is no longer lent says so."""

    def to_python(self, value):
        """Return the class. Raises ValidationError with a sentence for an unknown one and for one not lent."""
        if value in self.empty_values:
            return None
        known = None if "\x00" in str(value) else MachineClass.objects.filter(name=value).first()
        if known is None:
            raise ValidationError(f"There is no machine class “{str(value)[:60]}”: choose one of the list.")
        if not known.is_lent:
            raise ValidationError(f"{known} is no longer lent: choose another class, or ask in the channel.")
        return known

    def label_from_instance(self, machine_class):
        """Return how the list calls a class: by the field's name first."""
        return f"{machine_class.name}: {machine_class.label}" if machine_class.label else machine_class.name


class AskForm(forms.Form):
    """The questions, in the order in which a person thinks of them. `key` names this very form: twice is once."""

    key = forms.RegexField("^[0-9a-f]{16}$", widget=forms.HiddenInput)
    machine_class = ClassField(
        label="Machine class",
        queryset=MachineClass.objects.filter(is_lent=True),
        to_field_name="name",
        empty_label="Choose a class",
        help_text="The name stands in the task’s worker pool and in Treeherder’s job details.",
        error_messages={"required": "Choose a machine class; if you do not know which, ask in the channel."},
    )
    debugging_bug = BugNumber(
        label="The bug you are debugging",
        required=False,
        help_text="A number or an address.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "placeholder": "1412345"}),
    )
    no_bug_yet = forms.BooleanField(label="There is no bug yet", required=False)
    why = Words(
        label="Why is try, or an interactive task, not enough?",
        max_length=MOST_WORDS,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Everybody reads this in Bugzilla. Its first words become the title of your request. "
        "Never a password, a key, or the words of a restricted bug.",
        error_messages={"required": "Say why: it decides which machine helps you, and whether you need one at all."},
    )
    until = forms.DateField(
        label="Until when do you need it?",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        error_messages={
            "required": "Say until when: the machine goes back to CI then, unless you extend the loan.",
            "invalid": "This is no date: write it like 2026-03-17.",
        },
    )
    system_needs = Words(
        label="What must be on the system?",
        required=False,
        max_length=MOST_NEEDS,
        help_text="If it matters: a version of the system, a graphics driver, a screen. May stay empty.",
        widget=forms.TextInput,
    )
    access = forms.ChoiceField(
        label="How do you want to work on it?",
        choices=ACCESS.items(),
        initial="SSH",
        widget=forms.RadioSelect,
        help_text="How you get in comes by mail, never in the bug.",
        error_messages={
            "required": "Choose how you want to work on the machine.",
            "invalid_choice": "There is no such access: choose one of the list.",
        },
    )
    time_zone = forms.ChoiceField(
        label="Your time zone",
        choices=_zone_choices,
        widget=ZoneSelect,
        help_text="So that nobody waits for you in your night.",
        error_messages={
            "required": "Choose your time zone: it tells when you can be asked.",
            "invalid_choice": "There is no such time zone: choose one of the list.",
        },
    )
    again = forms.BooleanField(label="I know, and need another machine nevertheless", required=False)

    def __init__(self, *args, person, at, open_requests, **kwargs):
        """Ask `again` only where something of this person is open at this moment."""
        super().__init__(*args, label_suffix="", **kwargs)
        self.person, self.at, self.warning = person, at, warning_of(open_requests)
        if not self.warning:
            del self.fields["again"]
        days = settings.CIDUTY_LOAN_DAYS
        self.fields["until"].help_text = f"{days} days, unless you choose another date; you can extend the loan later."

    def clean_system_needs(self):
        """Return the needs as one line, as the bug shows them."""
        return " ".join(self.cleaned_data["system_needs"].split())

    def clean(self):
        """Look at what belongs together: the bug and its absence, the date and the zone, what is open already."""
        cleaned = super().clean()
        if "debugging_bug" in cleaned:
            if not cleaned["debugging_bug"] and not cleaned.get("no_bug_yet"):
                self.add_error("debugging_bug", "Say which bug you are debugging, or tick “There is no bug yet”.")
            elif cleaned["debugging_bug"] and cleaned.get("no_bug_yet"):
                self.add_error("debugging_bug", "A bug is named here, and “There is no bug yet” is ticked: clear one.")
        if cleaned.get("until"):
            problem = asking.why_not_until(cleaned["until"], self.at, cleaned.get("time_zone", ""))
            if problem:
                self.add_error("until", problem)
        if self.warning and not cleaned.get("again"):
            self.add_error("again", self.warning)
        return cleaned

    def application(self) -> Application:
        """Return what was asked for, not saved."""
        answers = ("machine_class", "debugging_bug", "why", "until", "system_needs", "access", "time_zone")
        return Application(
            person=self.person,
            key=asking.key_of(self.person, self.cleaned_data["key"]),
            **{name: self.cleaned_data[name] for name in answers},
        )
