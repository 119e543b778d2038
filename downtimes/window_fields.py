"""Kinds of fields that the forms of a window are made of: text that is safe to store and to show, and bugs' numbers."""

import re

from django import forms

from ciduty.bugzilla.cleaning import clean_line, clean_text

MOST_WORDS = 4000
HIGHEST_BUG = 2**31 - 1
#: Longer than any field takes: what is too long is refused by its limit, and never cut.
MOST = 20_000


class Line(forms.CharField):
    """One line of text, cleaned of what cannot be stored or would deceive a reader."""

    def to_python(self, value):
        """Return the text on one line."""
        return clean_line(super().to_python(value), MOST)


class Words(forms.CharField):
    """Some lines of text, cleaned likewise."""

    def __init__(self, *, rows: int = 3, **kwargs):
        """Show so many rows."""
        kwargs.setdefault("max_length", MOST_WORDS)
        super().__init__(widget=forms.Textarea(attrs={"rows": rows}), **kwargs)

    def to_python(self, value):
        """Return the text with newlines as one character each."""
        return clean_text(super().to_python(value), MOST).strip()


class BugNumber(forms.CharField):
    """The number of a bug, written as 1400123 or as bug 1400123."""

    def to_python(self, value):
        """Return the number, None for nothing."""
        typed = clean_line(super().to_python(value), 400)
        digits = re.sub(r"^(bug|#)\s*", "", typed.lower())
        if not digits:
            return None
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:12]) <= HIGHEST_BUG):
            raise forms.ValidationError(
                f"“{typed[:40]}” is no bug number: write digits only, as in 1400123, or nothing."
            )
        return int(digits)

    def run_validators(self, value):
        """Leave out those for text."""
