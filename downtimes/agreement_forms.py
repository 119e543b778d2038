"""What people type when they agree, object or ask, and what duty answers. No choice is made for anybody beforehand."""

from django import forms

from downtimes.rules import Decision
from downtimes.sign_off import CODE_DIGITS
from downtimes.window_forms import Words

MOST_WORDS = 4000
#: What each decision means to who reads the page.
CHOICES = [
    (Decision.APPROVE, "Approve: it may be announced as it stands"),
    (Decision.OBJECT, "Object: it must not be announced as it stands"),
    (Decision.QUESTION, "Question: I need to know something first"),
]


class AnswerForm(forms.Form):
    """An answer of somebody who is signed in as who was asked."""

    decision = forms.ChoiceField(
        label="Your answer",
        choices=CHOICES,
        widget=forms.RadioSelect,
        error_messages={
            "required": "Choose one of the three: nothing is decided for you.",
            "invalid_choice": "Choose one of the three: nothing is decided for you.",
        },
    )
    words = Words(
        label="Your words",
        required=False,
        max_length=MOST_WORDS,
        help_text="Why you object, or your question. Whoever plans downtimes reads it; it is never announced.",
        error_messages={"max_length": f"Your words are longer than {MOST_WORDS} characters: shorten them."},
    )

    def __init__(self, *args, **kwargs):
        """Write labels without a colon."""
        super().__init__(*args, label_suffix="", **kwargs)

    def clean(self):
        """Want the question of who has one; an objection needs no more than an approval does."""
        cleaned = super().clean()
        if cleaned.get("decision") == Decision.QUESTION and not cleaned.get("words") and "words" not in self.errors:
            self.add_error("words", "Write your question: without it nobody knows what to answer.")
        return cleaned


class SignOffForm(AnswerForm):
    """An answer of somebody who proves with the code of their mail that they read it."""

    code = forms.CharField(
        label="Your code",
        max_length=20,
        help_text=f"{CODE_DIGITS} digits, below the link in the mail that brought you here.",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        error_messages={
            "required": "Type the code of your mail: a link alone decides nothing.",
            "max_length": f"The code has {CODE_DIGITS} digits: look below the link in your mail.",
        },
    )

    def clean_code(self):
        """Return the digits, however they were set apart."""
        code = "".join(self.cleaned_data["code"].replace("-", " ").split())
        if not (len(code) == CODE_DIGITS and code.isascii() and code.isdecimal()):
            raise forms.ValidationError(f"The code has {CODE_DIGITS} digits: look below the link in your mail.")
        return code


class SettleForm(forms.Form):
    """What duty answers to a question."""

    words = Words(
        label="Your answer, for them to read",
        max_length=MOST_WORDS,
        help_text="It goes to them by mail, and their question blocks no more.",
        error_messages={
            "required": "Write the answer: they get it by mail.",
            "max_length": f"The answer is longer than {MOST_WORDS} characters: shorten it.",
        },
    )

    def __init__(self, *args, **kwargs):
        """Write labels without a colon."""
        super().__init__(*args, label_suffix="", **kwargs)
