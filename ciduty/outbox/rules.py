"""How a delivery goes on: its states and moves, when it is tried again, and when that is over. Pure."""

from datetime import datetime, timedelta

from django.db.models import IntegerChoices, TextChoices

from ciduty.states import Moves


class State(TextChoices):
    """Where something that we say stands."""

    DUE = "due", "Due"
    SENDING = "sending", "Sending"
    ACCEPTED = "accepted", "Accepted"
    RETRY = "retry", "Retry"
    UNKNOWN = "unknown", "Unknown"
    HELD = "held", "Held"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Priority(IntegerChoices):
    """What goes first when much is due."""

    URGENT = 0, "Approvals and notices"
    NORMAL = 1, "Answers"
    BULK = 2, "Reminders and digests"


#: Waiting for its time or for an answer: nobody has to do anything.
WAITING = frozenset({State.DUE, State.RETRY, State.UNKNOWN})
UNDER_WAY = WAITING | {State.SENDING}
#: Nothing happens by itself any more.
PARKED = frozenset({State.HELD, State.FAILED})
FINAL = frozenset({State.ACCEPTED, State.FAILED, State.CANCELLED})

MOVES = Moves(
    {
        # by whoever delivers; a sender that died leaves its row in `sending`
        "claim": (UNDER_WAY, State.SENDING),
        "accept": ([State.SENDING], State.ACCEPTED),
        "put off": ([State.SENDING], State.RETRY),
        "lose sight of": ([State.SENDING], State.UNKNOWN),
        "park": (UNDER_WAY, State.FAILED),
        "keep back": (UNDER_WAY, State.HELD),
        "drop": (UNDER_WAY, State.CANCELLED),
        "bounce": ([State.ACCEPTED], State.FAILED),
        # by a person
        "hold": (WAITING, State.HELD),
        "try again": ([State.RETRY, State.UNKNOWN, State.HELD, State.FAILED], State.DUE),
        "cancel": (WAITING | PARKED, State.CANCELLED),
        "done by hand": (WAITING | PARKED, State.ACCEPTED),
    }
)

#: safety.md F23: greylisting lets through after one to five minutes; later a quarter of an hour is soon enough.
RETRY_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15))
#: What mail servers hold as normal ("72 h": the issue; Launchpad tries for three days).
GIVE_UP_AFTER = timedelta(hours=72)
#: A sender renews it while it waits; a dead one's row is taken over after it. Recovery is promised within 120 s.
LEASE = timedelta(seconds=60)
#: A row whose senders die this often kills them (safety.md F41).
MOST_DEATHS = 5
#: A slow mail server must not keep approvals waiting: so many others at a time, and no more.
OTHERS_AT_ONCE = 2
#: Older than this and still due: something is broken (safety.md F38).
DUE_TOO_LONG = timedelta(minutes=5)


def next_try(tries: int) -> timedelta:
    """Return how long to wait after this many tries (1 or more)."""
    return RETRY_AFTER[min(tries, len(RETRY_AFTER)) - 1]


def is_over(*, due_since: datetime, not_after: datetime | None, at: datetime) -> str:
    """Return why nothing is tried any more at a moment, in a few words, or "" while it goes on."""
    if not_after is not None and at > not_after:
        return f"its time was over at {not_after:%Y-%m-%d %H:%M} UTC"
    if at - due_since > GIVE_UP_AFTER:
        return f"it was tried for {GIVE_UP_AFTER // timedelta(hours=1)} hours"
    return ""
