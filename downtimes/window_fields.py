"""Kinds of fields that the forms of a window are made of: text that is safe to store and to show."""

from django import forms

from ciduty.bugzilla.cleaning import clean_line, clean_text

MOST_WORDS = 4000
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
