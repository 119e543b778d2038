"""Composes a mail, once: one recipient, plain text, the bytes that every try sends. Says why, when it cannot be sent.

Also: the return path that a bounce comes back to. Reads MAIL_FROM, CIDUTY_TEAM and the secret key; sends nothing.
"""

import hashlib
import re
import textwrap
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import MessageError
from email.header import Header
from email.policy import default as modern
from email.utils import format_datetime, quote
from quopri import encodestring

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from ciduty.bugzilla.cleaning import clean_line, clean_text
from ciduty.outbox import addresses

LONGEST_SUBJECT = 200
LONGEST_MESSAGE_ID = 200
LONGEST_TEAM = 60
WIDTH = 72
#: RFC 5322, 2.1.1: a longer line may be cut or refused on its way.
LONGEST_LINE = 998

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # not the tab: it is a blank
_SURROGATE = re.compile("[\ud800-\udfff]")
_MESSAGE_ID = re.compile("<[!-;=?-~]+>")
#: RFC 2369: an address between angle brackets; a comma would begin another one.
_PAGE = re.compile(r"https?://[!-+\--;=?-~]+")
#: What a line begins with and what therefore stands before each line that is broken off it.
_QUOTE = re.compile(r"(?:>[ \t]?)+")
_ITEM = re.compile(r"[ \t]*(?:[-*] |[0-9]{1,3}[.)] )?[ \t]*")
_DEEPEST = 36  # columns: what is indented further would be one word a line
#: Cleaning makes eight characters of one direction mark, and nothing longer of anything else.
_GROWS = 8


class Unsendable(ValueError):
    """This can never be sent as it is. `str()` is a line for a person: what, why, what now."""


@dataclass(frozen=True)
class Composed:
    """A mail that can be sent: its cleaned subject, its bytes and their fingerprint."""

    subject: str
    message: bytes
    sha256: str


def new_message_id() -> str:
    """Return a Message-ID that no other mail has, at the host of MAIL_FROM."""
    return f"<{uuid.uuid4().hex}@{settings.MAIL_FROM.rpartition('@')[2]}>"


def compose(
    *, to: str, subject: str, text: str, message_id: str, in_reply_to: str, at: datetime, leave: str = ""
) -> Composed:
    """Compose a mail of the moment `at` (any zone; written in UTC). The same arguments give the same bytes.

    `in_reply_to`: the Message-ID that is answered, or "". `leave`: the page where one click ends mails like this one
    (RFC 8058), or "". Raises Unsendable for what no server should be asked to take.
    """
    line = _subject(subject)
    mail_body = body(text)
    encoding, wire_body = _encoded(mail_body)
    headers = {
        "From": f"{_phrase(settings.CIDUTY_TEAM)} <{settings.MAIL_FROM}>",
        "To": _address(to),
        "Subject": _words(line, "Subject"),
        "Date": format_datetime(at.astimezone(UTC)),
        "Message-ID": _identifier(message_id, "Message-ID"),
    }
    if in_reply_to:
        headers["In-Reply-To"] = headers["References"] = _identifier(in_reply_to, "Message-ID that is answered")
    if leave:
        headers |= {"List-Unsubscribe": _page(leave), "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    headers |= {
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": encoding,
    }
    # Not email's own policy.SMTP: it folds a long In-Reply-To into encoded words, and then it joins no thread.
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    message = head.encode("ascii") + b"\r\n" + wire_body
    _read_back(message, list(headers), headers["To"], line, mail_body)
    return Composed(line, message, hashlib.sha256(message).hexdigest())


def shown(text: object, most: int) -> str:
    """Return anything as one line of at most `most` characters that is safe to store and to show; never raises."""
    if text is None:
        return ""
    return clean_line(text if isinstance(text, str) else f"({type(text).__name__})", most)


def wrapped(text: str) -> str:
    """Return the text with every line over 72 columns broken at white space; the author's line breaks stay.

    Quotes keep their marks, lists and indented lines their indent; a word that is longer by itself is left whole.
    """
    return "\n".join(part for line in text.split("\n") for part in _broken(line))


# --- the return path ----------------------------------------------------------------------------------------------


def return_path(mail_pk: int) -> str:
    """Return the address that a bounce of this mail comes back to: `ciduty+b-17-<16 hex>@...`, in lower-case marks.

    At most 64 octets stand before the @ as long as MAIL_FROM keeps to `environment.LONGEST_SENDER`.
    """
    local_part, _, domain = settings.MAIL_FROM.rpartition("@")
    return f"{local_part}+b-{mail_pk}-{_mark(mail_pk, settings.SECRET_KEY)}@{domain}"


_RETURN_PATH = re.compile(r"<?[^<>@]+\+b-([1-9][0-9]{0,18})-([0-9a-f]{16})@[^<>@]+>?")


def row_of_return_path(address: str) -> int | None:
    """Return the number of the mail whose return path this is, or None for one that this installation never made."""
    parts = _RETURN_PATH.fullmatch(address.strip().lower()) if isinstance(address, str) else None
    if parts is None:
        return None
    mail_pk, mark = int(parts[1]), parts[2]
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    genuine = [constant_time_compare(mark, _mark(mail_pk, key)) for key in keys]
    return mail_pk if any(genuine) else None


def _mark(mail_pk: int, key: str) -> str:
    return salted_hmac("ciduty.outbox.return_path", str(mail_pk), secret=key, algorithm="sha256").hexdigest()[:16]


# --- what goes in -------------------------------------------------------------------------------------------------


def _address(to: object) -> str:
    try:
        return addresses.on_the_wire(to)
    except addresses.NotAnAddress as problem:
        raise Unsendable(
            f"The address {shown(to, 80)!r} cannot be written to: {problem}. Correct it and send the mail anew."
        ) from None


def _subject(subject: object) -> str:
    if not isinstance(subject, str):
        raise Unsendable("The subject is not text. Write one and send the mail anew.")
    _refuse(subject, "subject", _CONTROL)
    line = clean_line(subject, _GROWS * len(subject) + 1)
    if not line:
        raise Unsendable("The subject is empty. Write one and send the mail anew.")
    if len(line) > LONGEST_SUBJECT:
        raise Unsendable(
            f"The subject has {len(line):,} characters, and {LONGEST_SUBJECT} is the most: nobody could read it in a "
            "list of mails. Shorten it and send the mail anew."
        )
    return line


def body(text: object) -> str:
    """Return a text as the mail has it: cleaned, wrapped, with one line end at its end. Raises Unsendable."""
    if not isinstance(text, str):
        raise Unsendable("The text is not text. Write one and send the mail anew.")
    _refuse(text, "text", re.compile("\0"))
    lines = clean_text(text, _GROWS * len(text) + 1).split("\n")
    kept = "\n".join(line if line == "-- " else line.rstrip() for line in lines).strip("\n")
    if not kept.strip():
        raise Unsendable("The text is empty. Write one and send the mail anew.")
    return wrapped(kept) + "\n"


def _refuse(text: str, what: str, forbidden: re.Pattern) -> None:
    if found := forbidden.search(text):
        name = {"\r": "a line break", "\n": "a line break", "\0": "a NUL"}.get(found[0], "a control character")
        raise Unsendable(f"The {what} holds {name}, which no mail may carry there. Remove it and send the mail anew.")
    if _SURROGATE.search(text):
        raise Unsendable(f"The {what} holds half a character (a lone surrogate). Remove it and send the mail anew.")


def _identifier(text: object, what: str) -> str:
    if not isinstance(text, str) or len(text) > LONGEST_MESSAGE_ID or not _MESSAGE_ID.fullmatch(text):
        raise Unsendable(
            f"The {what} is not one: it must be <...>, without white space or control characters and of at most "
            f"{LONGEST_MESSAGE_ID} characters. Send the mail anew without it."
        )
    return text


def _page(address: object) -> str:
    if not isinstance(address, str) or len(address) > LONGEST_LINE // 2 or not _PAGE.fullmatch(address):
        raise Unsendable(
            "The address that ends mails like this one is no page. Send the mail anew; this is a fault of ciduty."
        )
    return f"<{address}>"


# --- what goes over the wire --------------------------------------------------------------------------------------


def _words(text: str, header: str) -> str:
    # A long word would be folded off whole and leave a line of nothing; encoded it can be taken apart.
    fits = all(len(word) <= 60 for word in text.split(" "))
    plain = text.isascii() and text.isprintable() and "=?" not in text and fits
    return Header(text, "us-ascii" if plain else "utf-8", maxlinelen=76, header_name=header).encode(linesep="\r\n")


def _phrase(name: str) -> str:
    name = clean_line(name, LONGEST_TEAM)
    if name.isascii() and "=?" not in name:
        return f'"{quote(name)}"'
    return _words(name, "From")


def _encoded(body: str) -> tuple[str, bytes]:
    if body.isascii() and max(map(len, body.split("\n"))) < LONGEST_LINE - len("\r\n"):
        return "7bit", body.replace("\n", "\r\n").encode("ascii")
    return "quoted-printable", encodestring(body.encode()).replace(b"\n", b"\r\n")


def _read_back(message: bytes, names: list[str], to: str, subject: str, body: str) -> None:
    """Raise Unsendable unless a reader finds exactly what was meant: each header once, and no other."""
    try:
        read = message_from_bytes(message, policy=modern)
        same = (
            read.keys() == names
            and read["To"] == to
            and [sender.addr_spec for sender in read["From"].addresses] == [settings.MAIL_FROM]
            and read["Subject"] == subject
            and read.get_content().replace("\r\n", "\n") == body
        )
    except (MessageError, ValueError, LookupError, AttributeError):  # what the standard library's reader trips over
        same = False
    if not same:
        raise Unsendable(
            "The composed mail does not read back as it was meant, so it is not sent. Simplify the subject and send "
            "the mail anew; this is a fault of ciduty."
        )


# --- breaking lines -----------------------------------------------------------------------------------------------


def _broken(line: str) -> list[str]:
    if len(line) <= WIDTH:
        return [line]
    quoted = _QUOTE.match(line)
    begins = quoted[0] if quoted else _ITEM.match(line)[0]
    hanging = begins if quoted else re.sub(r"[^\t]", " ", begins)
    rest = textwrap.wrap(
        line[len(begins) :], WIDTH, initial_indent=begins, subsequent_indent=hanging[:_DEEPEST],
        break_long_words=False, break_on_hyphens=False, expand_tabs=False, replace_whitespace=False,
    )  # fmt: skip
    return rest or [line]
