"""`manage.py tick`: does whatever is due, with the database alone. The worker does it sooner; this is for when not."""

import signal
import time
from datetime import timedelta

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections

from ciduty.bugzilla import poll
from ciduty.bugzilla.models import CycleOutcome
from ciduty.models import beat
from ciduty.outbox import delivery, tree_writing
from ciduty.works import Work, WorkFailed, of_jobs

log = structlog.get_logger(__name__)

#: What is overdue by this much was left lying by the worker. With a tick every 30 s a dead broker costs a minute.
LEAVE_TO_THE_WORKER = timedelta(seconds=30)
#: Seconds for which one work delivers: short where others wait their turn, long where somebody asked for everything.
TAKES_ITS_TURN, EVERYTHING = 20, 300


def poll_bugzilla(late_by: timedelta) -> str:
    """Poll when it is due. Raises WorkFailed when Bugzilla was not read."""
    if not settings.BUGZILLA_URL:
        return NO_BUGZILLA
    cycle = poll.poll_if_due(late_by=late_by)
    if cycle is None:
        return "not due"
    if cycle.outcome == CycleOutcome.FAILED:
        raise WorkFailed(cycle.problem)
    return f"done, {cycle.read} read"


def send_mail(late_by: timedelta) -> str:
    """Send the mails that are due."""
    return _deliver(delivery.MAIL, late_by) or ("nothing due" if settings.EMAIL_URL else NO_MAIL)


def update_bugs(late_by: timedelta) -> str:
    """Write to Bugzilla what is due."""
    return _deliver(delivery.BUGS, late_by) or ("nothing due" if settings.BUGZILLA_URL else NO_BUGZILLA)


def change_trees(late_by: timedelta) -> str:
    """Change the trees that are due."""
    return _deliver(delivery.TREES, late_by) or ("nothing due" if tree_writing.is_configured() else NO_TREES)


def _deliver(channel: delivery.Channel, late_by: timedelta) -> str:
    """Deliver what is so late, and return what came of it, "" when there was nothing."""
    tally = delivery.deliver(channel, late_by=late_by, seconds=TAKES_ITS_TURN if late_by else EVERYTHING)
    return ", ".join(f"{tally[said]} {said}" for said in dict.fromkeys(delivery.SAID.values()) if tally[said])


NO_MAIL, NO_BUGZILLA = "not configured (EMAIL_URL is not set)", "not configured (BUGZILLA_URL is not set)"
NO_TREES = "not configured (TREESTATUS_WRITES is none)"
#: Done in this order; what jobs write on the way leaves with it (`ciduty/works.py`).
WORKS = [
    Work("poll", poll_bugzilla), *of_jobs, Work("tree changes", change_trees), Work("mail", send_mail),
    Work("bug updates", update_bugs),
]  # fmt: skip


class Command(BaseCommand):
    """Do what is due: once, or every so many seconds until told to stop."""

    help = "Do whatever is due now, once; exit 1 when something failed. With --every N: go on every N seconds."
    requires_system_checks = []

    def add_arguments(self, parser):
        """Take the seconds between two ticks."""
        parser.add_argument(
            "--every", type=int, metavar="N", help="go on, every N seconds, with what is half a minute late"
        )

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
        self._beat()
        try:
            self._say(work, work.do(LEAVE_TO_THE_WORKER))
        except (WorkFailed, DatabaseError) as problem:
            self._say(work, f"failed: {_first_line(problem)}")
        except Exception:
            log.exception("A work of the tick failed.", work=work.name)
        close_old_connections()

    def _beat(self) -> None:
        """Say that the tick is alive, before each work: then a round that takes long is no silence."""
        try:
            beat("tick")
        except DatabaseError:
            pass  # the work says the same in its line, and /healthz turns red by itself

    def _on_stop(self, number, frame) -> None:
        self.stopping = True

    def _say(self, work: Work, outcome: str) -> None:
        self.stdout.write(f"{work.name}: {outcome}")
        self.stdout.flush()


def _first_line(problem: Exception) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]
