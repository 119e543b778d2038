"""How old Bugzilla's data is, and why: the honest line on every page that shows it.

Old data shown as fresh is the worst lie.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from ciduty.bugzilla import breaker, poll
from ciduty.bugzilla.models import CycleOutcome, Quarantine

#: Three polls without an answer are silence; a poll is looked for every 15 s at the most often.
POLLS_BEFORE_RED = 3


@dataclass(frozen=True)
class Freshness:
    """What is known of the last poll. `problem` is one sentence, empty when all is well."""

    configured: bool
    reading: bool  # a poll is at work right now
    heard_at: datetime | None
    silent: bool
    problem: str
    blocked: str
    wanted: bool
    warnings: tuple[str, ...]
    set_aside: int


def freshness(at: datetime) -> Freshness:
    """Return how fresh the mirror is at a moment."""
    if not settings.BUGZILLA_URL:
        problem = "Bugzilla is not configured: set BUGZILLA_URL and BUGZILLA_API_KEY."
        return Freshness(False, False, None, True, problem, "", False, (), 0)
    connection = breaker.known_connection()
    cycles = poll.latest_cycles(2)
    source = cycles[0].source if cycles else poll.known_source()
    reading = bool(cycles) and cycles[0].outcome == CycleOutcome.RUNNING
    last = next((cycle for cycle in cycles if cycle.outcome != CycleOutcome.RUNNING), None)
    period = timedelta(seconds=max(15, settings.BUGZILLA_POLL_SECONDS))
    # A poll that lies ahead tells nothing either: then the clock was put back.
    silent = source.last_done_at is None or abs(at - source.last_done_at) > POLLS_BEFORE_RED * period
    problem = last.problem if last is not None and last.outcome == CycleOutcome.FAILED else ""
    return Freshness(
        configured=True,
        reading=reading,
        heard_at=source.last_done_at,
        silent=silent,
        problem=problem,
        blocked=breaker.blocked_line(connection, at),
        wanted=bool(source.wanted_at and (last is None or source.wanted_at > last.started_at)),
        warnings=tuple(connection.warnings),
        set_aside=Quarantine.objects.count(),
    )
