"""Takes in what comes by mail: bounces fail their rows, replies join what they answer, the rest is kept and seen.

Nothing that anybody writes decides anything, except a mail server's report to a return path that we signed (safety.md
F30, C5). Nothing is ever sent in answer: so no loop begins here (F33). How a mail is read: `incoming.py`.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from ciduty import bell, clock, states
from ciduty.logs import without_tokens
from ciduty.outbox import composing, incoming, purposes, tasks
from ciduty.outbox.incoming import Letter, Nature
from ciduty.outbox.models import LAST_WORDS, Incoming, IncomingKind, Mail
from ciduty.outbox.rules import MOVES, State
from ciduty.record import write

#: Octets; what follows is not read.
MOST_OF_A_MAIL = 1024 * 1024
#: Mail servers give up after five days and then report it (RFC 5321, 4.5.4.1); later a report is somebody's play.
BOUNCES_WITHIN = timedelta(days=7)
#: Seconds that a bounce waits for the sender of its row, which has heard "250" and has not written it down yet.
SETTLES_WITHIN = 5

_KINDS = {Nature.FAILURE: IncomingKind.BOUNCE, Nature.NO_SENDER: IncomingKind.BOUNCE, Nature.DELAY: IncomingKind.DELAY}


@dataclass(frozen=True)
class Taken:
    """What became of a mail: `row` keeps it, `sentence` says what was done, without a word of it."""

    kind: IncomingKind
    row: Incoming
    sentence: str


def take(message: bytes, recipient: str = "") -> Taken:
    """Take in one mail as its server handed it over; `recipient` is the envelope's, where that is known.

    Never raises because of what stands in the mail. The same mail again is no news.
    """
    message = _without_envelope_line(message)[:MOST_OF_A_MAIL]
    sha256 = hashlib.sha256(message).hexdigest()
    letter = incoming.read(message)
    kind, mail = _sorted(letter, recipient)
    if kind == IncomingKind.BOUNCE:
        _let_its_sender_write_down(mail)
    with transaction.atomic():
        if mail is not None:
            mail = Mail.objects.select_for_update().get(pk=mail.pk)
        row, is_new = Incoming.objects.get_or_create(sha256=sha256, defaults=_kept(kind, mail, letter))
        if not is_new:
            return Taken(IncomingKind(row.kind), row, f"This mail came before, as {row}: nothing was done.")
        return Taken(kind, row, _done(row, letter))


def _without_envelope_line(message: bytes) -> bytes:
    """Drop Postfix's `From ...` line: it holds the time of the try, and the next try would look like another mail."""
    return message.partition(b"\n")[2] if message.startswith(b"From ") else message


def _sorted(letter: Letter, recipient: str) -> tuple[IncomingKind, Mail | None]:
    """Return what a mail is, now that it is known whether its return path is ours, and the mail that it is about."""
    returned = _returned(letter, recipient)
    answered = _named(letter.answers)
    nature = letter.nature
    if nature == Nature.NO_SENDER and (returned is None or letter.sender.lower() == returned.recipient.lower()):
        # An absent person's own server answers with the same empty return path; a report comes from no person.
        nature = Nature.LETTER if returned is None else Nature.AUTOMATIC
    if nature in _KINDS and returned is not None:
        return _KINDS[nature], returned
    if nature in _KINDS:
        # Forged, or not ours: it changes nothing. It is joined to what it quotes, to be erased with it.
        return IncomingKind.OTHER, answered or _named(letter.encloses)
    if nature == Nature.AUTOMATIC:
        return IncomingKind.AUTO_REPLY, returned or answered or _named(letter.encloses)
    return (IncomingKind.REPLY if answered else IncomingKind.OTHER), answered


def _returned(letter: Letter, recipient: str) -> Mail | None:
    """Return the mail whose genuine return path this one came to."""
    for address in [recipient] if recipient else letter.came_to:
        pk = composing.row_of_return_path(address)
        if pk is not None:
            return Mail.objects.filter(pk=pk).first()
    return None


def _named(message_ids: tuple[str, ...]) -> Mail | None:
    """Return the mail of ours that the first of these Message-IDs names."""
    found = {mail.message_id: mail for mail in Mail.objects.filter(message_id__in=message_ids)}
    return next((found[message_id] for message_id in message_ids if message_id in found), None)


def _let_its_sender_write_down(mail: Mail) -> None:
    until = time.monotonic() + SETTLES_WITHIN
    while Mail.objects.filter(pk=mail.pk, state=State.SENDING).exists() and time.monotonic() < until:
        time.sleep(0.2)


def _kept(kind: IncomingKind, mail: Mail | None, letter: Letter) -> dict:
    at = clock.now()
    kept = {"kind": kind, "mail": mail, "message_id": letter.message_id, "received_at": at}
    if mail is not None and mail.erased_at is not None:  # its bug turned private, and its words are gone already
        return kept | {"erased_at": at}
    return kept | {"sender": letter.sender, "subject": letter.subject, "text": without_tokens(letter.text)}


def _done(row: Incoming, letter: Letter) -> str:
    """Do what a kept mail calls for, and return what was done."""
    if row.kind == IncomingKind.BOUNCE:
        return _bounce(row, letter)
    if row.kind == IncomingKind.REPLY:
        sentence = f"A reply to {row.mail} came in"
        write.entry(row.mail.about, "reply", sentence, from_outside=True, caused=[row], at=row.received_at)
        return f"{sentence}: kept as {row}."
    about = f" about {row.mail}" if row.mail else ""
    return f"{row.get_kind_display()}{about}: kept as {row}, nothing else was done."


def _bounce(row: Incoming, letter: Letter) -> str:
    mail, at = row.mail, row.received_at
    why_not = _why_not(mail, at)
    if why_not:
        return f"A bounce of {mail}, but {why_not}: kept as {row}, nothing else was done."
    words = "" if mail.erased_at else f"It came back: {letter.reason or 'no reason was given'}"
    states.move(
        mail, MOVES, "bounce", f"{str(mail).capitalize()} came back ({purposes.label_of(mail)})", at=at,
        entry={"from_outside": True, "caused": [row]},
        hook_owed=True, last_words=words[:LAST_WORDS], last_code=letter.code,
    )  # fmt: skip
    bell.ring_after_commit(*tasks.bell_of(mail))
    return f"{str(mail).capitalize()} came back: it is {mail.get_state_display().lower()} now. Kept as {row}."


def _why_not(mail: Mail, at: datetime) -> str:
    """Return why a bounce does not count, or "" when it fails its mail."""
    if not MOVES.allow("bounce", mail.state):
        return f"that is {mail.get_state_display().lower()}"
    if mail.accepted_at is None:
        return "no mail server had accepted that"
    if at - mail.accepted_at > BOUNCES_WITHIN:
        return f"that was accepted more than {BOUNCES_WITHIN.days} days ago"
    return ""
