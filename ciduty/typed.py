"""What the forms of every job are made of: words, a line, the number of a bug; a form that is a button alone."""

import re
import unicodedata

from django import forms
from django.core.exceptions import ValidationError

MOST_BUG = 2**31 - 1
#: The largest number that a row of ours can have: an address with a larger one leads nowhere.
MOST_ID = 2**63 - 1
#: A form that lost its hidden fields was not made by our page.
BROKEN = "This form is no longer whole: open the page again."


class Words(forms.CharField):
    """Text as a person types it. Line ends are counted once; what cannot be sent is refused by its code point."""

    #: What to do with text that is too long, as the end of a sentence.
    advice = "shorten it"

    def to_python(self, value):
        """Return the text with newlines as one character each."""
        return super().to_python(re.sub("\r\n?", "\n", value) if isinstance(value, str) else value)

    def run_validators(self, value):
        """Name the first character that nobody can see, then look at the length."""
        for character in value:
            if unicodedata.category(character) in ("Cc", "Cs", "Cf") and character not in "\n\t\u200d":
                raise ValidationError(
                    f"It holds a character that cannot be seen (U+{ord(character):04X}): remove it, or type the words "
                    "instead of pasting them."
                )
        if len(value) > (self.max_length or len(value)):
            raise ValidationError(f"It is {len(value):,} characters long, and {self.max_length:,} fit: {self.advice}.")


class Line(Words):
    """A text on one line."""

    def clean(self, value):
        """Return it with every stretch of white space as one blank."""
        return " ".join(super().clean(value).split())


class BugNumber(forms.CharField):
    """A bug as people write it: 1412345, bug 1412345, or its address in Bugzilla."""

    _WRITTEN = re.compile(r"(?:bug\s*)?#?\s*([0-9]{1,10})|https?://\S+[?&]id=([0-9]{1,10})(?:[&#]\S*)?", re.IGNORECASE)

    def clean(self, value):
        """Return the number, or None for nothing."""
        value = super().clean(value)
        if not value:
            return None
        written = self._WRITTEN.fullmatch(value[:300])
        number = int(written[1] or written[2]) if written else 0
        if not 0 < number <= MOST_BUG:
            raise ValidationError("This is no bug number: write it like 1412345, or paste the bug’s address.")
        return number


class OpForm(forms.Form):
    """A button alone. `op` names this very form, so that sent twice it is one."""

    op = forms.RegexField("^[0-9a-f]{8}$", widget=forms.HiddenInput(attrs={"id": False}))

    def __init__(self, *args, **kwargs):
        """Write labels without a colon."""
        super().__init__(*args, label_suffix="", **kwargs)
