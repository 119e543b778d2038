"""What is promised to somebody who asks for a loaner, and what keeps the promise.

Pure: values and the moment in, answers out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from django.db.models import TextChoices

from ciduty import working_time
from ciduty.states import Moves
from ciduty.working_time import Calendar, Interval

#: "expect a response in less than one working day" (seed 000, Loaning instances). One full span of the desk's hours.
WORKING_DAYS_TO_ANSWER = 1
#: Less than this is left: the row says so before it is too late.
DUE_SOON = timedelta(hours=2)
#: A moment that no pause ends at.
FAR_AHEAD = datetime(9000, 1, 1, tzinfo=UTC)


class Standing(TextChoices):
    """How a request stands with its clock; derived, never stored."""

    OVERDUE = "overdue", "Overdue"
    DUE_SOON = "due soon", "Due soon"
    WAITING = "waiting", "Waiting"
    PAUSED = "paused", "Paused"
    ANSWERED = "answered", "Answered"
    CLOSED = "closed", "Closed"


class RequestState(TextChoices):
    """Where a request is in its life. *Due soon* and *overdue* are derived, never stored."""

    REQUESTED = "requested", "Requested"
    NEEDS_INFO = "needs info", "Needs info"
    APPROVED = "approved", "Approved"
    PREPARING = "preparing", "Preparing"
    ACTIVE = "active", "Active"
    RETURN_REQUESTED = "return requested", "Return requested"
    RECLAIMING = "reclaiming", "Reclaiming"
    RETURNED = "returned", "Returned"
    DECLINED = "declined", "Declined"
    CANCELLED = "cancelled", "Cancelled"


#: Nobody has got a machine yet.
ASKED = frozenset({RequestState.REQUESTED, RequestState.NEEDS_INFO, RequestState.APPROVED})
#: A machine is taken from the pool, whatever Bugzilla says of the bug.
HAS_MACHINE = frozenset(
    {RequestState.PREPARING, RequestState.ACTIVE, RequestState.RETURN_REQUESTED, RequestState.RECLAIMING}
)
#: The developer has it.
OUT = frozenset({RequestState.ACTIVE, RequestState.RETURN_REQUESTED})
OVER = frozenset({RequestState.RETURNED, RequestState.DECLINED, RequestState.CANCELLED})

MOVES = Moves(
    {
        "ask for information": ([RequestState.REQUESTED, RequestState.APPROVED], RequestState.NEEDS_INFO),
        "hear back": ([RequestState.NEEDS_INFO], RequestState.REQUESTED),
        "approve": ([RequestState.REQUESTED, RequestState.NEEDS_INFO], RequestState.APPROVED),
        "decline": (ASKED, RequestState.DECLINED),
        "cancel": (ASKED, RequestState.CANCELLED),
        "prepare": ([RequestState.APPROVED], RequestState.PREPARING),
        "hand over": ([RequestState.PREPARING], RequestState.ACTIVE),
        "extend": (OUT, RequestState.ACTIVE),
        "give back": ([RequestState.ACTIVE], RequestState.RETURN_REQUESTED),
        "reclaim": (HAS_MACHINE - {RequestState.RECLAIMING}, RequestState.RECLAIMING),
        "finish": ([RequestState.RECLAIMING], RequestState.RETURNED),
        # what Bugzilla says of a request that has no machine
        "settled in Bugzilla": (ASKED, RequestState.RETURNED),
        "closed in Bugzilla": (ASKED, RequestState.CANCELLED),
        "reopened in Bugzilla": (OVER, RequestState.REQUESTED),
    }
)


class MachineState(TextChoices):
    """Where a machine of the pool is."""

    AVAILABLE = "available", "Available"
    RESERVED = "reserved", "Reserved"
    ON_LOAN = "on loan", "On loan"
    RE_IMAGING = "re-imaging", "Re-imaging"
    BROKEN = "broken", "Broken"
    RETIRED = "retired", "Retired"


MACHINE_MOVES = Moves(
    {
        "reserve": ([MachineState.AVAILABLE], MachineState.RESERVED),
        "lend": ([MachineState.RESERVED], MachineState.ON_LOAN),
        "take back": ([MachineState.RESERVED, MachineState.ON_LOAN], MachineState.RE_IMAGING),
        "return to the pool": (
            [MachineState.RE_IMAGING, MachineState.RESERVED, MachineState.BROKEN],
            MachineState.AVAILABLE,
        ),
        "mark broken": ([MachineState.AVAILABLE, MachineState.RE_IMAGING], MachineState.BROKEN),
        "retire": ([MachineState.AVAILABLE, MachineState.BROKEN], MachineState.RETIRED),
        "bring back": ([MachineState.RETIRED], MachineState.AVAILABLE),
    }
)

#: "Reminders at T-3 days, T, T+3, then weekly": days after the loan was due, negative before.
REMINDERS = (-3, 0, 3)
THEN_EVERY = timedelta(days=7)
#: After so many unanswered ones the manager is told.
TELL_MANAGER_AFTER = 2
DUE_SOON_DAYS = timedelta(days=3)


def reminder_at(calendar: Calendar, due_at: datetime, number: int) -> datetime:
    """Return when the reminder of a number (0, 1, 2 ...) is due, in UTC: at the hour of the desk's own clock.

    A change of summer time in between moves no reminder by an hour for who reads it.
    """
    after = timedelta(days=REMINDERS[min(number, len(REMINDERS) - 1)])
    after += THEN_EVERY * max(0, number - len(REMINDERS) + 1)
    return (due_at.astimezone(calendar.tzinfo) + after).astimezone(UTC)


def reminders_due(calendar: Calendar, due_at: datetime, at: datetime) -> int:
    """Return how many reminders of a loan have come due at a moment."""
    number = 0
    while reminder_at(calendar, due_at, number) <= at:
        number += 1
    return number


class Event(Protocol):
    """What the rules need to know of something that happened in a bug (`ciduty.bugzilla.models.BugEvent`)."""

    kind: str
    at: datetime
    by_kind: str
    asks_requester: bool


#: What answers a request when a person of CiDuty does it (design.md, decision 9).
ANSWERING_KINDS = frozenset({"comment", "assigned", "needinfo set"})


@dataclass(frozen=True)
class Answer:
    """The act that answered a request."""

    at: datetime
    kind: str


def asked_at(filed_at: datetime, events: Iterable[Event]) -> datetime:
    """Return when the promise began: when the bug was filed, or when it came here from another component."""
    return max([filed_at, *(event.at for event in events if event.kind == "moved here")])


def first_answer(events: Iterable[Event]) -> Answer | None:
    """Return the first comment, assignment or needinfo by a person of CiDuty; never one by the bot or the requester.

    One from before the bug came here counts too: who was spoken to does not wait.
    """
    answering = [event for event in events if event.by_kind == "ciduty" and event.kind in ANSWERING_KINDS]
    if not answering:
        return None
    first = min(answering, key=lambda event: event.at)
    return Answer(first.at, first.kind)


def pauses(events: Iterable[Event], until: datetime) -> list[Interval]:
    """Return the times during which a needinfo waited for the requester, up to `until`."""
    found, waiting_since, waiting = [], None, 0
    for event in sorted(events, key=lambda event: event.at):
        if not event.asks_requester:
            continue
        if event.kind == "needinfo set":
            waiting_since, waiting = waiting_since or event.at, waiting + 1
        elif event.kind == "needinfo cleared" and waiting:
            waiting -= 1
            if not waiting:  # several may wait at once: the last one that is cleared ends the pause
                if waiting_since < event.at:
                    found.append(Interval(waiting_since, event.at))
                waiting_since = None
    if waiting_since is not None:
        found.append(Interval(waiting_since, max(until, waiting_since)))
    return found


def paused_since(events: Iterable[Event]) -> datetime | None:
    """Return since when a needinfo has been waiting for the requester, or None when none does."""
    return next((pause.start for pause in pauses(events, until=FAR_AHEAD) if pause.end == FAR_AHEAD), None)


def answer_by(calendar: Calendar, opened_at: datetime, pauses_so_far: Iterable[Interval]) -> datetime:
    """Return the moment at which one working day has been counted.

    Raises working_time.NoWorkingTime when it never is.
    """
    amount = calendar.working_day * WORKING_DAYS_TO_ANSWER
    return working_time.add_working_time(calendar, opened_at, amount, pauses_so_far)


def time_left(calendar: Calendar, deadline: datetime, at: datetime) -> timedelta:
    """Return the working time left until the deadline; negative, in working time too, once it has passed."""
    if at <= deadline:
        return working_time.working_time(calendar, at, deadline)
    return -working_time.working_time(calendar, deadline, at)


def standing(
    *,
    deadline: datetime | None,
    paused: bool,
    answered: bool,
    closed: bool,
    left: timedelta | None,
    at: datetime,
) -> Standing:
    """Return how a request stands. Exactly at the deadline the promise is still kept."""
    if answered:
        return Standing.ANSWERED
    if closed:
        return Standing.CLOSED
    if deadline is not None and at > deadline:
        return Standing.OVERDUE
    if paused:
        return Standing.PAUSED
    return Standing.DUE_SOON if left is not None and left < DUE_SOON else Standing.WAITING
