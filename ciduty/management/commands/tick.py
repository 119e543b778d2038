"""`manage.py tick`: does whatever is due, with the database alone. The worker does it sooner; this is for when not."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections

from ciduty.bugzilla import poll
from ciduty.bugzilla.models import CycleOutcome

log = structlog.get_logger(__name__)

#: What is overdue by this much was left lying by the worker.
LEAVE_TO_THE_WORKER = timedelta(minutes=1)


class WorkFailed(RuntimeError):
    """A work was due and could not be done; the message says why."""


@dataclass(frozen=True)
class Work:
    """One kind of due work: `do` takes how late it must be and returns what it did, in a few words."""

    name: str
    do: Callable[[timedelta], str]


def poll_bugzilla(late_by: timedelta) -> str:
    """Poll when it is due. Raises WorkFailed when Bugzilla was not read."""
    if not settings.BUGZILLA_URL:
        return "not configured (BUGZILLA_URL is not set)"
    cycle = poll.poll_if_due(late_by=late_by)
    if cycle is None:
        return "not due"
    if cycle.outcome == CycleOutcome.FAILED:
        raise WorkFailed(cycle.problem)
    return f"done, {cycle.read} read"


#: Done in this order. Whoever writes rows that fall due adds its work here.
WORKS = [Work("poll", poll_bugzilla)]


class Command(BaseCommand):
    """Do what is due: once, or every so many seconds until told to stop."""

    help = "Do whatever is due now, once; exit 1 when something failed. With --every N: go on every N seconds."
    requires_system_checks = []

    def add_arguments(self, parser):
        """Take the seconds between two ticks."""
        parser.add_argument("--every", type=int, metavar="N", help="go on, every N seconds, with what is a minute late")

    def handle(self, **options):
        """Tick once, or until SIGTERM. Raises CommandError when a single tick failed."""
        if options["every"] is None:
            self._once()
        elif options["every"] < 1:
            raise CommandError("--every takes the seconds between two ticks: 1 or more.")
        else:
            self._go_on(options["every"])

    def _once(self) -> None:
        failed = False
        for work in WORKS:
            try:
                outcome = work.do(timedelta())
            except (WorkFailed, DatabaseError) as problem:
                failed, outcome = True, f"failed: {_first_line(problem)}"
            self._say(work, outcome)
        if failed:
            raise CommandError("Something that was due could not be done.")

    def _go_on(self, seconds: int) -> None:
        self.stopping = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        while not self.stopping:
            for work in WORKS:
                self._try(work)
            until = time.monotonic() + seconds
            while not self.stopping and time.monotonic() < until:
                time.sleep(0.2)

    def _try(self, work: Work) -> None:
        """Do one work; whatever happens, the next one and the next tick still come."""
        close_old_connections()  # a connection that broke would fail every tick
        try:
            self._say(work, work.do(LEAVE_TO_THE_WORKER))
        except (WorkFailed, DatabaseError) as problem:
            self._say(work, f"failed: {_first_line(problem)}")
        except Exception:
            log.exception("A work of the tick failed.", work=work.name)
        close_old_connections()

    def _on_stop(self, number, frame) -> None:
        self.stopping = True

    def _say(self, work: Work, outcome: str) -> None:
        self.stdout.write(f"{work.name}: {outcome}")
        self.stdout.flush()


def _first_line(problem: Exception) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]
