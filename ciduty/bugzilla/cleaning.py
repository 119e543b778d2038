"""Makes text from outside safe to store: no NUL, no controls, no lone surrogates. Escaping is the page's matter.

Anyone may file a bug; one such character makes psycopg2, feeds or logs fail for everybody (safety.md 1.13, F19).
"""

import re
import unicodedata

#: Control characters but for tab and newline, lone surrogates, and code points that are no characters.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)
#: Characters that turn the reading direction and can make a line read as something else.
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029\x85]")
_WHITE = re.compile(r"\s+")
#: Most text is printable ASCII: one look and nothing to do.
_PLAIN = re.compile(r"[ -~]*")

CUT = " ... [cut]"


def clean_text(text: str, most: int) -> str:
    """Return the text with newlines as `\\n`, at most `most` characters long; what cannot be stored becomes U+FFFD.

    Direction marks are shown as their code point, so that a name cannot be spoofed.
    """
    text = text[: most + 1]  # a 200 KB line costs no more than its limit
    if not _PLAIN.fullmatch(text):
        text = _LINE_ENDS.sub("\n", text)
        text = _FORBIDDEN.sub("\ufffd", text)
        text = _TURNING.sub(lambda mark: f"[U+{ord(mark.group()):04X}]", text)
        text = unicodedata.normalize("NFC", text)
    if len(text) > most:
        text = text[: most - len(CUT)] + CUT
    return text


def clean_line(text: str, most: int) -> str:
    """Return the text as one line, as `clean_text` does, with runs of white space as one space."""
    return _WHITE.sub(" ", clean_text(text, most)).strip()
