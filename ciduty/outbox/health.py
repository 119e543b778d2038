"""How the outbox is doing: how late the oldest due row is, how many rows need somebody, who works. Numbers only."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, F, When

from ciduty.models import Heartbeat
from ciduty.outbox import rules
from ciduty.outbox.models import CHANNELS
from ciduty.outbox.rules import State

#: Two ticks of 60 s that did not come, and as much again for one that takes long.
TICK_SILENT_AFTER = timedelta(minutes=3)


@dataclass(frozen=True)
class Health:
    """`oldest_due`: for how long the oldest row that could go has waited. None where nothing is known."""

    at: datetime
    oldest_due: timedelta | None
    need_somebody: int
    tick_at: datetime | None
    worker_at: datetime | None

    @property
    def is_late(self) -> bool:
        """Answer whether something due is left lying."""
        return too_long(self.oldest_due)

    @property
    def tick_is_silent(self) -> bool:
        """Answer whether nobody would deliver if the broker were dead. A tick that lies ahead tells nothing either."""
        return self.tick_at is None or abs(self.at - self.tick_at) > TICK_SILENT_AFTER


def state(at: datetime) -> Health:
    """Return how the outbox is doing at a moment. Four queries."""
    beats = dict(Heartbeat.objects.values_list("name", "at"))
    return Health(at, oldest_due(at), need_somebody(), beats.get("tick"), beats.get("worker"))


def too_long(waited: timedelta | None) -> bool:
    """Answer whether something that could go was left lying for longer than it may."""
    return waited is not None and waited > rules.DUE_TOO_LONG


def need_somebody() -> int:
    """Return how many rows wait for a person. One query: every page of CiDuty's asks it."""
    first, *others = (model.objects.parked().values("pk") for model in CHANNELS)
    return first.union(*others, all=True).count()


def oldest_due(at: datetime) -> timedelta | None:
    """Return for how long the oldest row that could go has waited, None when nothing is due.

    A change that waits its turn behind an earlier one of the same bug or tree is not due: the earlier one counts. Two
    queries.
    """
    since = Case(When(state=State.SENDING, then=F("lease_until")), default=F("next_try_at"))
    first, *others = (model.objects.claimable(at).in_turn().values(since=since) for model in CHANNELS)
    oldest = first.union(*others, all=True).order_by("since").first()
    return at - oldest["since"] if oldest else None
