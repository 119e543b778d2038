"""Reads a mail that came in: what it says of itself, for `receiving.py` to decide. Pure; nothing here is trusted.

Anybody may send anything: every length and count is bounded before the standard library's parser sees it (one header of
1 MiB keeps it busy for minutes), and what it stumbles over is left out.
"""

import codecs
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import EmailPolicy
from email.utils import getaddresses
from enum import Enum

from ciduty.bugzilla.cleaning import clean_line, clean_text

#: Characters of one header that are read; of References the last ones, for the newest stand at the end.
MOST_OF_A_HEADER = 4_000
#: Boundary lines; a mail with more is read as one part.
MOST_BOUNDARIES = 1_000
MOST_ADDRESSES = 50
MOST_REFERENCES = 50
MOST_REPORTS = 50
MOST_TEXT = 64 * 1024

#: What the parser is known to raise over malformed mail, beside its own errors (RuntimeError: nested too deeply).
STUMBLES = (AssertionError, AttributeError, LookupError, MessageError, RuntimeError, TypeError, ValueError)
#: Codecs that are no charset of mail, and slow.
_NOT_CHARSETS = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"}
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")
_TAG = re.compile(r"(<[^<>]*>)")
_BREAKS = re.compile(r"<\s*/?\s*(?:br|p|div|li|tr|h[1-6]|blockquote)\b", re.IGNORECASE)
_UNSEEN = re.compile(r"<\s*(script|style|head)\b", re.IGNORECASE)
_OUT_OF_OFFICE = re.compile(r"\W*(out of (the )?office|auto(matic)?[ -]?(reply|response)|vacation)\b", re.IGNORECASE)
_DELAY = re.compile(r"\W*warning\b|.{0,200}\bdelay", re.IGNORECASE)
_REPLY_CODE = re.compile(r"(?<![\d.])([45]\d\d)(?:[ -]|$)")
_REASON = re.compile(r"(?<![\d.])5\d\d[ -]|(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?![\d.])")


class Nature(Enum):
    """What a mail looks like, before anybody asked whether it may be believed."""

    FAILURE = "says that a mail could not be delivered"
    DELAY = "says that a mail is still under way, or has arrived"
    AUTOMATIC = "was sent by a machine"
    NO_SENDER = "names no return path, as reports of failure do"
    LETTER = "was written by somebody"


@dataclass(frozen=True)
class Letter:
    """What was read. Everything is cleaned and cut to what a column takes."""

    nature: Nature = Nature.LETTER
    came_to: tuple[str, ...] = ()  # addresses, the surest first
    answers: tuple[str, ...] = ()  # Message-IDs of In-Reply-To and References, the surest first
    encloses: tuple[str, ...] = ()  # Message-IDs of mails that it brings back
    message_id: str = ""
    sender: str = ""
    subject: str = ""
    text: str = ""
    reason: str = ""  # of a failure, in the mail server's words
    code: int | None = None


UNREADABLE = Letter(subject="(unreadable)", text="This mail could not be read. The mail server's log says who sent it.")


def read(message: bytes) -> Letter:
    """Return what a message says; of one that cannot be parsed, its headers; of one without any, UNREADABLE."""
    whole = message.count(b"\n--") <= MOST_BOUNDARIES
    for headers_only in [False, True] if whole else [True]:
        try:
            return _read(BytesParser(policy=_POLICY).parsebytes(message, headersonly=headers_only))
        except STUMBLES:
            continue
    return UNREADABLE


class _Bounded(EmailPolicy):
    """The standard policy, for headers of a bounded length in every part."""

    def header_source_parse(self, sourcelines):
        name, value = super().header_source_parse(sourcelines)
        newest_last = name.lower() == "references"
        return name, value[-MOST_OF_A_HEADER:] if newest_last else value[:MOST_OF_A_HEADER]


_POLICY = _Bounded()


def _read(mail: EmailMessage) -> Letter:
    head = _Head(mail)
    sender = next(iter(head.addresses("From")), "")
    subject, text = clean_line(head.decoded("Subject"), 200), _text(mail)
    nature, reason, code = _nature(mail, head, sender, subject, text)
    return Letter(
        nature=nature,
        came_to=tuple(
            address
            for name in ("Delivered-To", "X-Original-To", "Envelope-To", "To")
            for address in head.addresses(name)
        ),
        answers=tuple((head.message_ids("In-Reply-To") + head.message_ids("References"))[:MOST_REFERENCES]),
        encloses=tuple(_enclosed(mail)),
        message_id=clean_line(head.first("Message-ID"), 300),
        sender=sender,
        subject=subject,
        text=text,
        reason=reason,
        code=code,
    )


class _Head:
    """The headers of a part as they came; the ones that are asked for are decoded, one by one."""

    def __init__(self, part: EmailMessage):
        self._values: dict[str, list[str]] = {}
        for name, value in part.raw_items():
            # 8-bit characters came as surrogates; outside encoded words they are UTF-8 today.
            value = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            self._values.setdefault(name.lower(), []).append(" ".join(value.split()))

    def all(self, name: str) -> list[str]:
        return self._values.get(name.lower(), [])[:MOST_ADDRESSES]

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def decoded(self, name: str) -> str:
        """Return a header with its encoded words read."""
        try:
            return str(_POLICY.header_factory("Subject", self.first(name)))
        except STUMBLES:
            return self.first(name)

    def addresses(self, name: str) -> list[str]:
        try:
            found = [address for _, address in getaddresses(self.all(name))]
        except STUMBLES:
            return []
        return [clean_line(address, 320) for address in found if address][:MOST_ADDRESSES]

    def message_ids(self, name: str) -> list[str]:
        """Return the Message-IDs of a header, the newest first."""
        return _MESSAGE_ID.findall(" ".join(self.all(name)))[::-1]


# --- what it is -------------------------------------------------------------------------------------------------------


def _nature(mail, head: _Head, sender: str, subject: str, text: str) -> tuple[Nature, str, int | None]:
    """Return what a mail looks like and, of a failure, why it failed and the mail server's code."""
    if mail.get_content_type() == "multipart/report":
        if str(mail.get_param("report-type", "")).lower() != "delivery-status":
            return Nature.AUTOMATIC, "", None  # somebody has read it, or called it spam
        told = _reported(mail)
        if told is not None:
            return told
    from_a_server = sender.partition("@")[0].lower() in ("mailer-daemon", "postmaster")
    if from_a_server or head.first("X-Failed-Recipients") or mail.get_content_type() == "multipart/report":
        if _DELAY.match(subject):
            return Nature.DELAY, "", None
        return Nature.FAILURE, *_reason(text, subject)
    if _is_automatic(head, subject):
        return Nature.AUTOMATIC, "", None
    if head.first("Return-Path").replace(" ", "") == "<>":
        return Nature.NO_SENDER, *_reason(text, subject)
    return Nature.LETTER, "", None


def _is_automatic(head: _Head, subject: str) -> bool:
    submitted = head.first("Auto-Submitted").partition(";")[0].strip().lower()
    return bool(
        submitted not in ("", "no")
        or head.first("Precedence").lower() in ("bulk", "junk", "auto_reply", "auto-reply")
        or any(head.all(name) for name in ("X-Autoreply", "X-Auto-Reply", "X-Autorespond"))
        or _OUT_OF_OFFICE.match(subject)
    )


def _reported(mail) -> tuple[Nature, str, int | None] | None:
    """Return what a delivery status notification says (RFC 3464), or None when it names no recipient's status."""
    blocks = [
        _Head(block)
        for part in _parts(mail)
        if part.get_content_type() == "message/delivery-status" and part.is_multipart()
        for block in part.get_payload()[:MOST_REPORTS]
    ]
    told = [block for block in blocks if _action(block)]
    failed = next((block for block in told if _action(block) == "failed"), None)
    if failed is not None:
        status = failed.first("Status").partition(" ")[0]
        words = failed.decoded("Diagnostic-Code")
        words = words.partition(";")[2].strip() or words
        if status and status not in words:
            words = f"{words} (status {status})" if words else f"status {status}"
        return Nature.FAILURE, clean_line(words, 400), _code_in(words)
    return (Nature.DELAY, "", None) if told else None


def _action(block: _Head) -> str:
    """Return a recipient's Action; where it is missing, what the class of its Status amounts to."""
    by_class = {"2": "delivered", "4": "delayed", "5": "failed"}
    return block.first("Action").partition(" ")[0].lower() or by_class.get(block.first("Status")[:1], "")


def _reason(text: str, subject: str) -> tuple[str, int | None]:
    """Return the first line that reads like a mail server's refusal, or else the subject, and the code in it."""
    words = next((line for line in text.splitlines() if _REASON.search(line[:MOST_OF_A_HEADER])), subject)
    return clean_line(words, 400), _code_in(words)


def _code_in(words: str) -> int | None:
    found = _REPLY_CODE.search(words[:MOST_OF_A_HEADER])
    return int(found[1]) if found else None


# --- its words --------------------------------------------------------------------------------------------------------


def _parts(mail) -> Iterator[EmailMessage]:
    """Yield the parts that are no container, in order; what was enclosed is one part and not looked into."""
    waiting = [mail]
    while waiting:
        part = waiting.pop()
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting.extend(reversed(part.get_payload()))
        else:
            yield part


def _enclosed(mail) -> list[str]:
    """Return the Message-IDs of the mails that a report brings back, whole or their headers alone."""
    found = []
    for part in _parts(mail):
        if part.get_content_type() == "message/rfc822" and part.is_multipart():
            found += _Head(part.get_payload()[0]).message_ids("Message-ID")
        elif part.get_content_type() == "text/rfc822-headers":
            headers = BytesParser(policy=_POLICY).parsebytes(part.get_payload(decode=True) or b"", headersonly=True)
            found += _Head(headers).message_ids("Message-ID")
    return found[:MOST_REFERENCES]


def _text(mail) -> str:
    """Return what was written: the first plain text that holds any, else the first such HTML without its tags."""
    from_html = ""
    for part in _parts(mail):
        if part.get_content_disposition() == "attachment":
            continue
        if part.get_content_type() == "text/html":
            from_html = from_html or _without_tags(_decoded(part))
        elif part.get_content_maintype() in ("text", "multipart"):  # a multipart without parts is a broken one
            text = clean_text(_decoded(part), MOST_TEXT).strip()
            if text and part.get_content_type() != "text/rfc822-headers":
                return text
    return clean_text(from_html, MOST_TEXT)


def _decoded(part) -> str:
    content = (part.get_payload(decode=True) or b"")[: 4 * MOST_TEXT]
    try:
        charset = codecs.lookup(part.get_content_charset() or "utf-8").name
        if charset not in _NOT_CHARSETS:
            return content.decode(charset, "replace")
    except STUMBLES:
        pass
    return content.decode("utf-8", "replace")


def _without_tags(source: str) -> str:
    """Return the words of HTML, simply: good enough to be read, and linear whatever comes."""
    words, unseen = [], ""
    for number, piece in enumerate(_TAG.split(source)):
        if number % 2 == 0:
            words.append("" if unseen else piece)
        elif unseen:
            unseen = "" if piece.lower().startswith(f"</{unseen}") else unseen
        elif hides := _UNSEEN.match(piece):
            unseen = hides[1].lower()
        elif _BREAKS.match(piece):
            words.append("\n")
    lines = (" ".join(line.split()) for line in html.unescape("".join(words)).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
