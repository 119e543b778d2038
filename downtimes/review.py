"""What CiDuty decides about a nomination: accept it into a window, defer it to a date, decline it (R15, R17, R18).

Each decision writes one change of the bug (`flag_writes.py`). What the queue shows: `review_rows.py`.
"""

from datetime import date, datetime, timedelta

from django.conf import settings
from django.db import transaction

from ciduty import clock, states
from ciduty.outbox.models import BugUpdate
from ciduty.states import NotAllowed
from downtimes import flag_writes, windows
from downtimes.models import Downtime, Nomination
from downtimes.rules import FURTHEST_AHEAD, NOMINATION_MOVES, OPEN_NOMINATIONS


def today(at: datetime) -> date:
    """Return the day of a moment in the desk's zone."""
    return at.astimezone(settings.CIDUTY_CALENDAR.tzinfo).date()


def why_not_until(day: date, at: datetime) -> str:
    """Return why a nomination cannot be deferred to a day, as a sentence, or ""."""
    first = today(at) + timedelta(days=1)
    if day < first:
        return f"{day} is not to come: choose {first} or a later day."
    if day > today(at) + FURTHEST_AHEAD:
        return f"{day} is more than a year ahead: decline it, or choose an earlier day."
    return ""


def why_not_decide(nomination: Nomination, verb: str) -> str:
    """Return why a nomination cannot be decided now, as a sentence, or ""."""
    if not NOMINATION_MOVES.allow(verb, nomination.state):
        state = nomination.get_state_display().lower()
        return f"This nomination is {state} by now, so this was not done ({verb}): look at its page."
    if nomination.bug_id is None:
        return "Bugzilla has not filed the bug of this nomination yet: decide when it has a number."
    return ""


# --- what is said -----------------------------------------------------------------------------------------------------


def words_of_accept(starts_at: datetime | None, words: str = "") -> str:
    """Return the comment of an acceptance. The window itself is not announced yet, so only its time is named."""
    proposed = f", proposed for {flag_writes.in_three_zones(starts_at)}" if starts_at else "; its time is not set yet"
    said = f"Accepted for a tree-closing downtime{proposed}. Nothing is agreed or announced yet."
    return f"{said}\n\n{words}" if words.strip() else said


def words_of_decline(because: str) -> str:
    """Return the comment of a refusal."""
    return f"Declined: no tree closure is planned for this.\n\n{because}"


def words_of_defer(until: date, because: str) -> str:
    """Return the comment of a deferral."""
    return f"Deferred: this is looked at again on {until}.\n\n{because}"


# --- the verbs --------------------------------------------------------------------------------------------------------


@transaction.atomic
def accept(
    nomination: Nomination, *, by, op: str, downtime: Downtime | None = None, title: str = "", words: str = ""
) -> BugUpdate:
    """Accept a nomination into a window, or into a new one of this title; returns the row that tells the bug.

    Raises NotAllowed when it was decided meanwhile, or the window takes no more work.
    """
    window = Downtime.objects.select_for_update().get(pk=downtime.pk) if downtime else None
    before = _begin(nomination, "accept", op)
    if before is not None:
        return before
    if window is None:
        window = windows.create(title, by=by)
    windows.add_item(window, nomination, by=by)
    comment = words_of_accept(window.starts_at, words)
    row = flag_writes.tell(nomination, "accept", by=by, op=op, starts_at=window.starts_at, comment=comment)
    sentence = f"Accepted into “{window.title}”"
    _move(nomination, "accept", sentence, row, by, because=words, flag_wanted="+", deferred_until=None)
    return row


@transaction.atomic
def decline(nomination: Nomination, *, by, because: str, op: str) -> BugUpdate:
    """Decline a nomination with a reason that whoever asked reads; returns the row that tells the bug."""
    before = _begin(nomination, "decline", op)
    if before is not None:
        return before
    if not because.strip():
        raise NotAllowed("Say why it is declined: whoever asked reads it.")
    row = flag_writes.tell(nomination, "decline", by=by, op=op, comment=words_of_decline(because))
    _move(
        nomination, "decline", "Declined, with the reason on its page", row, by,
        because=because, flag_wanted="-", deferred_until=None,
    )  # fmt: skip
    return row


@transaction.atomic
def defer(nomination: Nomination, *, by, until: date, because: str, op: str) -> BugUpdate:
    """Put a nomination off to a day on which it comes back by itself; the flag stays as it is."""
    before = _begin(nomination, "defer", op)
    if before is not None:
        return before
    if not because.strip():
        raise NotAllowed("Say why it is deferred: whoever asked reads it.")
    problem = why_not_until(until, clock.now())
    if problem:
        raise NotAllowed(problem)
    row = flag_writes.tell(nomination, "defer", by=by, op=op, comment=words_of_defer(until, because))
    _move(nomination, "defer", f"Deferred until {until}", row, by, because=because, deferred_until=until)
    return row


def _begin(nomination: Nomination, verb: str, op: str) -> BugUpdate | None:
    """Lock a nomination for a verb, and return what the same form did before, or None when it is still to be done.

    Raises NotAllowed when somebody decided it meanwhile, or the form did something else before.
    """
    shown = nomination.state
    Nomination.objects.select_for_update().get(pk=nomination.pk)
    nomination.refresh_from_db()
    row = BugUpdate.objects.filter(op=op).first()
    if row is not None:
        if row.key != f"{nomination.about} {verb} {op}":
            raise NotAllowed("This form was sent before, for something else: load the page anew and choose again.")
        return row
    refusal = why_not_decide(nomination, verb)
    if not refusal and nomination.state != shown:
        refusal = f"This nomination is {nomination.get_state_display().lower()} by now: look at it anew."
    if refusal:
        raise NotAllowed(refusal)
    return None


def _move(nomination: Nomination, verb: str, sentence: str, row: BugUpdate, by, **fields) -> None:
    at = clock.now()
    decided = {"decided_by": by, "decided_at": at, "update_id": row.pk}
    entry = {"caused": [str(row)]}
    states.move(nomination, NOMINATION_MOVES, verb, sentence, by=by, at=at, entry=entry, **decided, **fields)


def ride_alongs(nomination: Nomination) -> list[Nomination]:
    """Return the other open nominations of the same system: they could share the window (R8, R37). One query."""
    if not nomination.system.strip():
        return []
    waiting = Nomination.objects.filter(state__in=OPEN_NOMINATIONS, system__iexact=nomination.system.strip())
    return list(waiting.exclude(pk=nomination.pk).order_by("asked_at", "pk")[:10])
