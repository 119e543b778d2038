"""What somebody answers who was asked to agree, and what duty answers to a question. Tokens and codes: `sign_off.py`.

An answer counts for its version only. One decision sent twice is one; another one changes it, on the record.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import TextChoices

from ciduty import clock
from ciduty.record import write
from ciduty.states import NotAllowed
from downtimes import agreement, asking_to_agree, notices, versions
from downtimes.models import Answer, Ask, Downtime, NoticeVersion
from downtimes.rules import Decision, State

ACCOUNT, CODE = "account", "code"
WHY_CLOSED = {
    State.DRAFT: "This downtime was postponed, and nothing is asked about it now: a new draft comes by mail.",
    State.ANNOUNCED: "This downtime was announced already, so nobody's approval is waited for any more.",
    State.CANCELLED: "This downtime was cancelled, so nobody's approval is waited for any more.",
}
STILL_HEARD = " An objection or a question is still heard: it alerts whoever is on duty."
TOO_LATE = "The window of this downtime has begun, so nobody's approval is waited for any more."
HIDDEN = (
    "A bug of this downtime is not public any more, so its text is looked at again and nobody can approve it for now: "
    "a newer draft comes by mail." + STILL_HEARD
)
NEWER = "A newer draft exists: answer to that one. Its mail has a link and a code of its own."
OWN = (
    "You made this version, and no one approves their own draft: an objection or a question of yours is one to itself."
)


class Standing(TextChoices):
    """What may still be answered to the version that somebody was asked about."""

    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"  # an objection or a question still arrives, as an alert
    OUTDATED = "outdated", "Outdated"


class Outdated(NotAllowed):
    """A newer version is there."""


def standing_of(ask: Ask, at: datetime) -> Standing:
    """Return whether answers count, alert, or come to a text that is not the text any more."""
    version, downtime = ask.version, ask.version.downtime
    if versions.newest(downtime) != version:
        return Standing.OUTDATED
    return Standing.OPEN if downtime.state == State.AGREEING and at < ask.expires_at else Standing.CLOSED


def why_closed(downtime: Downtime) -> str:
    """Return why nobody's approval is waited for any more."""
    return WHY_CLOSED.get(downtime.state, TOO_LATE) + STILL_HEARD


def may_answer(ask: Ask) -> bool:
    """Answer whether their answer counts at all: whoever made the version is left out."""
    return ask.approver_id not in agreement.makers(ask.version)


def is_theirs(ask: Ask, person) -> bool:
    """Answer whether somebody who is signed in is the very person who was asked: they need no code."""
    return person.is_authenticated and ask.approver.person_id == person.pk


@transaction.atomic
def answer(ask: Ask, decision: Decision, words: str, *, via: str, by=None) -> Answer:
    """Write down what somebody answers, send them a receipt, and return it.

    `via` says how they proved who they are; `by` is their account where they were signed in. Raises Outdated when a
    newer version exists, and NotAllowed where it cannot count any more.
    """
    asking_to_agree.lock(ask.version.downtime)
    at = clock.now()
    standing = standing_of(ask, at)
    if standing == Standing.OUTDATED:
        raise Outdated(NEWER)
    if not may_answer(ask):
        raise NotAllowed(OWN)
    if standing == Standing.CLOSED and decision == Decision.APPROVE:
        raise NotAllowed(why_closed(ask.version.downtime))
    if decision == Decision.APPROVE and not agreement.may_be_shown(ask.version):
        raise NotAllowed(HIDDEN)
    before = Answer.objects.filter(version=ask.version, approver=ask.approver).first()
    if before is not None and (before.decision, before.words) == (decision, words):
        return before
    said = {"decision": decision, "words": words, "via": via, "at": at, "settled_at": None}
    row, _ = Answer.objects.update_or_create(version=ask.version, approver=ask.approver, defaults=said)
    entry = _write(ask, decision, before, is_late=standing == Standing.CLOSED, by=by, at=at)
    notices.receipt(ask, row, entry, is_late=standing == Standing.CLOSED)
    return row


def _write(ask: Ask, decision: Decision, before: Answer | None, *, is_late: bool, by, at: datetime):
    late = ", after the agreement was closed" if is_late else ""
    place = f" for {ask.instead_of}" if ask.instead_of else ""
    sentence = f"{ask.approver}{place} {notices.DID[decision]} version {ask.version.number}{late}"
    return write.entry(
        ask.version.downtime.about,
        "objected late" if is_late else "answered",
        sentence if before is None else f"{sentence}; before, they had said: {before.get_decision_display().lower()}",
        by=by,
        from_outside=by is None,
        at=at,
        before={"decision": before.decision} if before else {},
        after={"decision": str(decision), "version": ask.version.number},
    )


# --- what duty answers ------------------------------------------------------------------------------------------------


def why_not_settle(answer: Answer, newest: NoticeVersion | None) -> str:
    """Return why duty cannot mark an answer as answered, as a sentence, or "" when they may.

    An objection is answered by a new version; one that came after the announcement was an alert, and ends like one.
    """
    if answer.decision == Decision.APPROVE:
        return "An approval asks nothing: there is nothing to answer."
    if newest != answer.version:
        return "A newer version exists, and this answer was about an older one: nothing waits for it any more."
    if answer.decision == Decision.OBJECT and answer.version.downtime.state == State.AGREEING:
        return "An objection is answered by a new version: change the notice or the window, and ask for agreement anew."
    return ""


@transaction.atomic
def settle(answer: Answer, words: str, *, by) -> None:
    """Mark a question as answered, and mail the words to who asked it; sent twice is one. May raise NotAllowed."""
    downtime = answer.version.downtime
    asking_to_agree.lock(downtime)
    answer.refresh_from_db(fields=["decision", "settled_at", "words", "at"])
    if answer.settled_at is not None:
        return
    refusal = why_not_settle(answer, versions.newest(downtime))
    if refusal:
        raise NotAllowed(refusal)
    at = clock.now()
    Answer.objects.filter(pk=answer.pk).update(settled_at=at)
    answer.settled_at = at
    mail = notices.settled(answer, words, by=by)
    what = "question" if answer.decision == Decision.QUESTION else "late objection"
    sentence = f"Answered the {what} of {answer.approver} about version {answer.version.number}"
    write.entry(downtime.about, "settled", sentence, by=by, at=at, caused=[mail])
