"""What people type about a request and its loan. There is no field for a secret anywhere."""

from datetime import date, datetime

from django import forms

from ciduty import clock
from ciduty.outbox import changes
from ciduty.typed import OpForm
from loaners import lending, workflow
from loaners.asking_forms import Words
from loaners.models import Machine

NO_SECRETS = "Never a password, a key or a token."
#: What is longer is a log: it belongs into the bug.
MOST_WORDS = 10_000
_EVIDENCE = 500


class AnswerForm(forms.Form):
    """An answer: a comment, the bug taken, or both. `op` names this very answer, so that sent twice it is one."""

    comment = forms.CharField(
        label="Comment on the bug",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Everybody who may read the bug reads it. Never a password, a key or a host’s access data.",
    )
    take = forms.BooleanField(required=False)
    op = forms.RegexField("^[0-9a-f]{8}$", widget=forms.HiddenInput)

    def __init__(self, *args, person, logins, **kwargs):
        """Offer to take the bug only to somebody who has a Bugzilla login."""
        super().__init__(*args, label_suffix="", **kwargs)
        self.person, self.take_as = person, logins[0] if logins else ""
        if self.take_as:
            self.fields["take"].label = f"Take the bug, as {self.take_as}"
        else:
            del self.fields["take"]

    def clean(self):
        """Want at least one of both, and nothing that Bugzilla would refuse in any case."""
        cleaned = super().clean()
        if self.errors:
            return cleaned
        self.wants = workflow.changes_of_answer(
            self.person, cleaned["comment"], self.take_as if cleaned.get("take") else ""
        )
        if not self.wants:
            raise forms.ValidationError("Write a comment or take the bug: an empty answer says nothing.")
        try:
            changes.check(self.wants)
        except changes.Unwritable as problem:
            self.add_error("comment", str(problem))
        return cleaned


class QuestionForm(OpForm):
    """What CiDuty wants to know from the requester."""

    question = Words(
        label="Question to the requester",
        max_length=MOST_WORDS,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It becomes a comment with a needinfo. The clock stands still until they answer.",
        error_messages={"required": "Write the question: without one nobody knows what to answer."},
    )


class HearBackForm(OpForm):
    """What the requester answers to a question."""

    words = Words(
        label="Your answer",
        max_length=MOST_WORDS,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=f"The question stands in the bug, and so will your answer, for everybody to read. {NO_SECRETS}",
        error_messages={"required": "Write your answer: the clock runs on when the bug has it."},
    )


class ApproveForm(OpForm):
    """An approval, in our words or theirs."""

    words = Words(
        label="Words to the requester",
        required=False,
        max_length=MOST_WORDS,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class DeclineForm(OpForm):
    """Why no machine is lent."""

    because = Words(
        label="Reason, for the requester to read",
        max_length=MOST_WORDS,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It stands in the bug, which is resolved. Say what they can do instead.",
        error_messages={"required": "Give the reason: the requester reads it in the bug."},
    )


class MachineChoice(forms.ModelChoiceField):
    """A machine by its host, with what speaks for it and against it."""

    def label_from_instance(self, machine):
        """Return how the list calls a machine."""
        use = "spare" if machine.is_spare else "CI uses it"
        place = f", {machine.location}" if machine.location else ""
        return f"{machine.host} ({use}{place}, free since {machine.changed_at:%d %b})"


class ChooseForm(OpForm):
    """Which machine is prepared."""

    machine = MachineChoice(
        Machine.objects.all(),
        empty_label=None,
        error_messages={
            "required": "Choose a machine: one of the list.",
            "invalid_choice": "This machine is not in the pool (any more): choose one of the list.",
        },
    )

    def __init__(self, *args, machines=None, **kwargs):
        """Offer these machines; one that was taken meanwhile is refused by the rules, with a sentence."""
        super().__init__(*args, **kwargs)
        if machines is not None:
            self.fields["machine"].widget.choices = [
                (machine.pk, self.fields["machine"].label_from_instance(machine)) for machine in machines
            ]


class EvidenceForm(forms.Form):
    """What shows that a step was done."""

    evidence = Words(required=False, max_length=_EVIDENCE)

    def __init__(self, *args, required: str = "", **kwargs):
        """Want a proof where `required` says why, in a sentence."""
        super().__init__(*args, label_suffix="", **kwargs)
        self.fields["evidence"].required = bool(required)
        self.fields["evidence"].error_messages["required"] = required

    def clean_evidence(self):
        """Return it on one line."""
        return " ".join(self.cleaned_data["evidence"].split())


class Day(forms.DateField):
    """A day as the browser's calendar writes it."""

    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    default_error_messages = {"invalid": "This is no date: write it like 2026-03-17."}

    def __init__(self, **kwargs):
        """Take the one way of writing a day that means the same everywhere."""
        super().__init__(input_formats=["%Y-%m-%d"], **kwargs)


class UntilForm(OpForm):
    """Until when a loan lasts."""

    until = Day(
        label="Until",
        help_text=f"A day to come, at most {lending.LONGEST.days} days from now. It is due when the desk closes.",
        error_messages={"required": "Say until when: the machine goes back to CI then."},
    )

    def clean_until(self) -> date:
        """Return the day, if a loan can last until then."""
        problem = lending.why_not_until(self.cleaned_data["until"], clock.now())
        if problem:
            raise forms.ValidationError(problem)
        return self.cleaned_data["until"]


class HandOverForm(UntilForm):
    """The private letter and the end of the loan."""

    how_to = Words(
        label="How to reach it, for the private letter",
        max_length=MOST_WORDS,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=f"Host, way in, account name, what is special. {NO_SECRETS} Say where to get one instead.",
        error_messages={"required": "Write how to reach the machine: the letter is the only place that says it."},
    )
    field_order = ["until", "how_to", "op"]


class GrantForm(OpForm):
    """An access that was given: what, to whom, why, until when."""

    what = Words(
        label="What was granted",
        max_length=120,
        widget=forms.TextInput,
        help_text=f"A group or a way in, as in “VPN group vpn-releng-loan”. {NO_SECRETS}",
        error_messages={"required": "Say what was granted: it must be found again to take it away."},
    )
    grantee = Words(
        label="To whom",
        max_length=255,
        widget=forms.TextInput,
        error_messages={"required": "Say to whom: the access is taken away from them."},
    )
    reason = Words(
        label="Reason",
        max_length=200,
        widget=forms.TextInput,
        error_messages={"required": "Give the reason: whoever looks at the access later asks for it."},
    )
    expires = Day(label="Until", error_messages={"required": "Say until when: no access is for ever."})

    def clean(self):
        """Take every field as one line, and the day as the moment at which the desk closes on it."""
        cleaned = super().clean()
        for name in ("what", "grantee", "reason"):
            if name in cleaned:
                cleaned[name] = " ".join(cleaned[name].split())
        if "expires" in cleaned:
            problem = lending.why_not_until(cleaned["expires"], clock.now())
            if problem:
                self.add_error("expires", problem.replace("a loan", "an access"))
        return cleaned

    @property
    def expires_at(self) -> datetime:
        """Return when the access ends."""
        return lending.due_at_end_of(self.cleaned_data["expires"])
