"""A stored mail as a reader sees it: the bytes that go over the wire, taken apart. Composes nothing."""

import email
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header

#: What says where a mail goes and what it joins; how it is wrapped is nobody's question at 3 a.m.
SHOWN = ("From", "To", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted")


@dataclass(frozen=True)
class AsSent:
    """A mail's headers, in the order of `SHOWN`, and its text."""

    headers: tuple[tuple[str, str], ...]
    text: str


def read(message: bytes) -> AsSent:
    """Take a stored mail apart. Whatever stands in it, this never raises: what cannot be decoded is shown raw."""
    parsed = email.message_from_bytes(bytes(message))
    headers = tuple((name, _decoded(str(value))) for name in SHOWN for value in parsed.get_all(name, []))
    parts = [part for part in parsed.walk() if part.get_content_type() == "text/plain"]
    return AsSent(headers, _text(parts[0]) if parts else "")


def _decoded(value: str) -> str:
    unfolded = "".join(value.splitlines())
    try:
        return str(make_header(decode_header(unfolded)))
    except (HeaderParseError, LookupError, ValueError):
        return unfolded


def _text(part) -> str:
    payload = part.get_payload(decode=True) or b""
    try:
        text = payload.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        text = payload.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")
