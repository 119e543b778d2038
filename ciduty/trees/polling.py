"""One poll of the tree status service: when it is due, what is asked, and what is written when nothing came.

Rows decide; a lease lets one process through. How it is asked: `adapters/reading.py`; what is kept: `storing.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction

from ciduty import bell, clock, leases
from ciduty.trees import rules, storing
from ciduty.trees.adapters.http import Unavailable
from ciduty.trees.adapters.reading import LogTold, Reader, Told
from ciduty.trees.models import Closure, Service, Tree
from ciduty.trees.rules import Status

log = structlog.get_logger(__name__)

#: Longer than a poll can take.
LEASE = timedelta(minutes=2)
#: In the demo somebody waits before the page to see what the sheriff did.
IN_THE_DEMO = timedelta(seconds=10)
#: Logs that one poll asks for: only of trees that changed. More is the first poll of a large service.
MOST_LOGS = 60

_askers: list[Callable[[datetime], bool]] = []
#: Called with the poll's moment after each poll that answered; `AppConfig.ready()` adds to it.
followers: list[Callable[[datetime], None]] = []


@dataclass(frozen=True)
class Outcome:
    """What came of a poll; `problem` is one sentence, or "" when the service was read."""

    read: int = 0
    changed: int = 0
    problem: str = ""
    at: datetime | None = field(default=None, compare=False)  # before it was asked


def needed_often(asker: Callable[[datetime], bool]) -> None:
    """Have a job asked, with the moment, whether trees are to be read every minute: something is planned or runs."""
    if asker not in _askers:
        _askers.append(asker)


def is_needed_often(at: datetime) -> bool:
    """Answer whether something is planned or closed. What has been closed for a week is closed for good."""
    if Closure.objects.standing().exists() or any(asker(at) for asker in _askers):
        return True
    closed = Tree.objects.filter(status=Status.CLOSED, gone_at=None)
    return closed.filter(since__gt=at - rules.CLOSED_FOR_GOOD).exists()


def current_service() -> Service | None:
    """Return the configured service as it is known; unsaved before its first poll, None where there is none."""
    if not settings.TREESTATUS_URL:
        return None
    address = settings.TREESTATUS_URL
    return Service.objects.filter(address=address).first() or Service(address=address)


def poll_if_due(late_by: timedelta = timedelta()) -> Outcome | None:
    """Read the trees when their time has come. `late_by` leaves room for others to do it first."""
    service = current_service()
    if service is None:
        return None
    at = clock.now()
    every = IN_THE_DEMO if settings.DEMO else rules.OFTEN if is_needed_often(at) else rules.SELDOM
    blocked_until = service.blocked_until
    if blocked_until is not None and blocked_until - at > rules.LONGEST_WAIT:
        blocked_until = None  # nobody blocks for so long: the clock was put back
    return poll() if rules.is_due(service.tried_at, blocked_until, every, at, late_by) else None


def ask_now() -> None:
    """Let the trees be read as soon as this is committed, however lately they were: somebody waits for the answer."""
    if settings.TREESTATUS_URL:
        Service.objects.filter(address=settings.TREESTATUS_URL).update(tried_at=None)
        bell.ring_after_commit("ciduty.trees.tasks.poll_if_due", "sync")


def poll() -> Outcome | None:
    """Read the trees now; None where nothing is configured, or another process is at it."""
    if not settings.TREESTATUS_URL:
        return None
    held = leases.take("poll trees", LEASE)
    if held is None:
        return None
    try:
        outcome = _poll(held)
        if not outcome.problem:
            _tell_followers(held, outcome.at)
        return outcome
    except leases.LeaseLost:
        log.warning("The trees were read by somebody else meanwhile.")
        return None
    finally:
        held.release()


def _tell_followers(held: leases.Held, at: datetime) -> None:
    """Let jobs look at what was read: under the lease, so that none follows older news after newer."""
    for follow in followers:
        held.renew()
        try:
            follow(at)
        except Exception:  # a bug of theirs: what was read stands, and the next poll calls them again
            log.exception("What was read of the trees was not followed.", follower=follow.__module__)


def _poll(held: leases.Held) -> Outcome:
    at = clock.now()  # before we ask: the answer is at least as new
    service, _ = Service.objects.get_or_create(address=settings.TREESTATUS_URL)
    Service.objects.filter(pk=service.pk).update(tried_at=at)
    reader = Reader(service.address, service.base)
    try:
        told = reader.trees()
    except Unavailable as failure:
        return _failed(held, service, failure, at)
    logs = _logs(reader, service, told)
    with transaction.atomic():
        held.renew()  # first: its row stays locked until all is written, and LeaseLost writes nothing
        changed = storing.store(service, told, logs, at)
        Service.objects.filter(pk=service.pk).update(
            generation=told.generation, base=told.base, read_at=at, problem="", failures=0, failing_since=None,
            blocked_until=None, left_out=told.left_out,
        )  # fmt: skip
    log.info("The trees were read.", trees=len(told.trees), changed=changed, left_out=told.left_out)
    return Outcome(len(told.trees), changed, at=at)


def _logs(reader: Reader, service: Service, told: Told) -> dict[str, list[LogTold]]:
    """Return the logs of the trees that changed: when and by whom. Without them the poll's own moment must do."""
    logs: dict[str, list[LogTold]] = {}
    moved = [one.name for one in storing.known(service).moved(told) if one.log_id is not None]
    for name in moved[:MOST_LOGS]:
        try:
            logs[name] = reader.logs(name)
        except Unavailable as failure:
            log.warning("The log of a tree could not be read.", problem=str(failure))
            break
    return logs


@transaction.atomic
def _failed(held: leases.Held, service: Service, failure: Unavailable, at: datetime) -> Outcome:
    held.renew()
    row = Service.objects.select_for_update().get(pk=service.pk)
    row.failures += 1
    row.problem = str(failure)[:300]
    row.failing_since = row.failing_since or at
    row.blocked_until = at + min(max(rules.pause(row.failures), failure.wait), rules.LONGEST_WAIT)
    row.save(update_fields=["failures", "problem", "failing_since", "blocked_until"])
    log.warning("The trees could not be read.", problem=row.problem, failures=row.failures)
    return Outcome(problem=row.problem, at=at)
