"""`manage.py poll`: one full Bugzilla cycle now."""

import logging
import time

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ciduty import leases
from ciduty.bugzilla import breaker, poll
from ciduty.bugzilla.models import Cycle, CycleOutcome, Quarantine

#: Seconds; longer than a lease, so that a poll after one that was killed waits for it to run out and then polls.
WAIT_FOR_ANOTHER = int(poll.LEASE.total_seconds()) + 10


class Command(BaseCommand):
    """Poll Bugzilla once, say what was read, changed and hidden; exit 1 with one line when it could not."""

    help = "Run one full Bugzilla cycle now; exit 1 with one clear line when it could not."
    requires_system_checks = []

    def add_arguments(self, parser):
        """Take whether everything that is mirrored shall be read again, which otherwise happens once an hour."""
        parser.add_argument("--reconcile", action="store_true", help="read every mirrored bug again, as is done hourly")

    def handle(self, *args, **options):
        """Run the cycle and print its line."""
        self.reconcile = options["reconcile"]
        logging.disable(logging.WARNING)  # what the log would say is printed here
        try:
            cycle = self._poll()
        except poll.NotConfigured as problem:
            raise CommandError(str(problem)) from None
        except leases.LeaseLost:
            raise CommandError("This poll was held up, and another process took over; what it read counts.") from None
        except DatabaseError as problem:
            raise CommandError(
                f"The database does not serve ({_first_line(problem)}). If it is new: manage.py migrate"
            ) from None
        finally:
            logging.disable(logging.NOTSET)
        if cycle is None:
            raise CommandError(f"Another process has been polling for {WAIT_FOR_ANOTHER} s; nothing was done here.")
        if cycle.outcome == CycleOutcome.FAILED:
            raise CommandError(f"Bugzilla was not read: {cycle.problem}. Nothing earlier was lost.")
        self._report(cycle)

    def _poll(self) -> Cycle | None:
        for second in range(WAIT_FOR_ANOTHER):
            cycle = poll.poll(reconcile=self.reconcile)
            if cycle is not None:
                return cycle
            if second == 3:
                self.stderr.write(f"Another process is polling, or died at it: waiting, at most {WAIT_FOR_ANOTHER} s.")
            time.sleep(1)
        return None

    def _report(self, cycle: Cycle) -> None:
        row = breaker.current_connection()
        seconds = (cycle.finished_at - cycle.started_at).total_seconds()
        self.stdout.write(
            f"Read {cycle.read} bugs ({cycle.changed} new or changed, {cycle.hidden} hidden, "
            f"{cycle.quarantined} set aside) in {cycle.requests} requests and {seconds:.1f} s, "
            f"as {row.login or '(an account it does not name)'} on Bugzilla {row.version or '(version not said)'}."
        )
        for aside in Quarantine.objects.order_by("bug_id")[:20]:
            self.stdout.write(f"Set aside: bug {aside.bug_id}, {aside.problem}; tried {aside.tries} times.")
        for warning in row.warnings:
            self.stdout.write(f"Check the settings: {warning}")


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
