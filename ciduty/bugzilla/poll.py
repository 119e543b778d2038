"""One poll of Bugzilla, from its server's time to the watermark (safety.md F1). How a call fails: `client.py`.

The watermark moves only when every bug of the cycle is stored or set aside; a cycle that was cut off is done again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import models, transaction

from ciduty import clock, leases
from ciduty.bugzilla import breaker, events, mirror
from ciduty.bugzilla.client import Client
from ciduty.bugzilla.conversation import Conversations
from ciduty.bugzilla.errors import Auth, BugzillaFailure, Unavailable
from ciduty.bugzilla.models import (
    Bug,
    Connection,
    Cycle,
    CycleOutcome,
    Quarantine,
    Source,
    TrackedId,
)
from ciduty.bugzilla.reading import Batch, Reader
from ciduty.bugzilla.scope import OVERLAP, Scope
from ciduty.bugzilla.values import Bug as BugRead
from ciduty.people.models import ciduty_logins

log = structlog.get_logger(__name__)

SIGN_IN_PROOF_HOLDS = timedelta(days=1)
RECONCILE_EVERY = timedelta(hours=1)
#: One call may take 60 s; a cycle renews its lease before each.
LEASE = timedelta(minutes=2)
KEEP_CYCLES = timedelta(days=2)

#: What jobs do with news: each is called after every cycle, safe to call twice, and reads the mirror, never the
#: network.
followers: list[Callable[[], None]] = []


class NotConfigured(RuntimeError):
    """There is no Bugzilla to poll."""


class _PollGate(breaker.Breaker):
    """The breaker, for who holds the poll's lease: each call renews it, and none goes out once it was taken over."""

    def __init__(self, row: Connection, held: leases.Held):
        super().__init__(row)
        self._held = held

    def ask(self) -> None:
        self._held.renew_when_old()
        super().ask()


def new_client(row: Connection, gate: breaker.Breaker | None = None) -> Client:
    """Return a client of the configured Bugzilla behind its breaker."""
    return Client(
        settings.BUGZILLA_URL,
        settings.BUGZILLA_API_KEY,
        key_in=settings.BUGZILLA_KEY_IN,
        login=settings.BUGZILLA_LOGIN,
        version=row.version,
        gate=gate or breaker.Breaker(row),
    )


def current_source() -> Source:
    """Return how far the configured Bugzilla was read for the configured scope."""
    source, _ = Source.objects.get_or_create(address=settings.BUGZILLA_URL, scope=Scope.configured().fingerprint())
    return source


def known_source() -> Source:
    """Return the same for a page, which writes nothing: an unsaved row before the first poll."""
    asked = {"address": settings.BUGZILLA_URL, "scope": Scope.configured().fingerprint()}
    return Source.objects.filter(**asked).first() or Source(**asked)


def latest_cycles(count: int) -> list[Cycle]:
    """Return the latest cycles of the configured Bugzilla and scope, the newest first, with their source. One query."""
    asked = {"source__address": settings.BUGZILLA_URL, "source__scope": Scope.configured().fingerprint()}
    return list(Cycle.objects.filter(**asked).select_related("source").order_by("-pk")[:count])


def poll(reconcile: bool = False) -> Cycle | None:
    """Run one cycle now and return it, or None when another process is at it. Raises NotConfigured without an address.

    `reconcile` reads every mirrored bug again, as is done once an hour.
    """
    if not settings.BUGZILLA_URL:
        raise NotConfigured("Bugzilla is not configured: set BUGZILLA_URL and BUGZILLA_API_KEY (see .env.example).")
    held = leases.take("poll bugzilla", LEASE)
    if held is None:
        return None
    try:
        cycle = _Poll(held, reconcile).run()
        for follow in followers:  # under the lease too: one that follows older news must not write after a newer one
            held.renew()
            follow()
    finally:
        held.release()
    return cycle


def poll_if_due(late_by: timedelta = timedelta()) -> Cycle | None:
    """Run a cycle when its time has come, or somebody asked for one.

    `late_by` leaves room for others to do it first.
    """
    if not settings.BUGZILLA_URL:
        return None
    source, moment = current_source(), clock.now()
    last = source.cycles.order_by("-pk").values_list("started_at", flat=True).first()
    if last is not None and last <= moment:  # one that lies ahead tells nothing: the clock was put back
        due = last + timedelta(seconds=settings.BUGZILLA_POLL_SECONDS)
        if source.wanted_at and source.wanted_at > last:
            due = min(due, source.wanted_at)
        if moment < due + late_by:
            return None
    return poll()


def want_sync() -> None:
    """Write down that somebody wants a cycle now; whoever polls next sees it."""
    source = current_source()
    Source.objects.filter(pk=source.pk).update(wanted_at=clock.now())


def _is_recent(at: datetime | None, moment: datetime, within: timedelta) -> bool:
    """Answer whether something was done lately; one that lies ahead was not: the clock was put back meanwhile."""
    return at is not None and timedelta() <= moment - at < within


@dataclass
class _Poll:
    """One cycle at work."""

    held: leases.Held
    reconcile: bool = False

    def run(self) -> Cycle:
        moment = clock.now()
        self.scope = Scope.configured()
        self.source = current_source()
        self.connection = breaker.current_connection()
        self.client = new_client(self.connection, _PollGate(self.connection, self.held))
        self.tally = mirror.Tally()
        Cycle.objects.filter(source=self.source, outcome=CycleOutcome.RUNNING).update(
            outcome=CycleOutcome.FAILED, problem="The process that polled ended in the middle.", finished_at=moment
        )
        self.cycle = Cycle.objects.create(source=self.source, started_at=moment)
        problem = ""
        try:
            self._read_everything(moment)
        except BugzillaFailure as failure:
            problem = str(failure)
            if isinstance(failure, Auth):
                self._block_unless_blocked(failure)
        self._close(problem)
        return self.cycle

    def _read_everything(self, moment: datetime) -> None:
        self._prove_sign_in(moment)
        server_time = self.client.server_time()
        self.reading = mirror.Reading(moment, server_time)
        roles = events.Roles(ciduty_logins(), self.connection.login)
        conversations = Conversations(self.client, self.held, self.reading, roles, self.tally)
        reconciled = self._reconcile_is_due(moment)
        known_hidden = Bug.objects.exclude(not_visible_since=None).values_list("pk", flat=True)
        wanted, suspects = self._ids_to_read(reconciled)
        reader = Reader(self.client, not_asked_singly=suspects - wanted | set(known_hidden))
        for batch in reader.batches(wanted | suspects):
            self._store(batch)
            conversations.read(batch.found.values())
        self._move_watermark(server_time, reconciled)

    def _store(self, batch: Batch) -> None:
        """Store what became of a batch. Raises LeaseLost when somebody polled meanwhile: then this is old news.

        Words that a newer poll has taken away would come back with it.
        """
        with transaction.atomic():
            self.held.renew()  # first: its row stays locked until all is written
            mirror.store(self._wanted(batch.found), self.reading, self.tally)
            mirror.hide(batch.not_visible, self.reading, self.tally)
            for bug_id, problem in batch.unreadable.items():
                mirror.set_aside(bug_id, problem, self.reading.at, self.tally)

    def _prove_sign_in(self, moment: datetime) -> None:
        """Prove that the key is signed in and that flag and components exist: daily, and after a failed sign-in."""
        row = self.connection
        if _is_recent(row.checked_at, moment, SIGN_IN_PROOF_HOLDS) and row.warnings_scope == self.source.scope:
            return
        login = self.client.signed_in_as()
        flags = self.client.flags_by_component(self.scope.products)
        if not set(flags) & self.scope.components:
            raise Unavailable(
                "Bugzilla shows this key none of the configured components: "
                "check CIDUTY_COMPONENTS and CIDUTY_LOANER_COMPONENTS",
                reached=True,
            )
        row.login, row.checked_at = login, moment
        row.warnings, row.warnings_scope = self.scope.warnings(flags), self.source.scope
        if not login:
            row.warnings.append(
                "This Bugzilla does not say whose key it is: set BUGZILLA_LOGIN, so that ciduty knows its own comments."
            )
        row.save(update_fields=["login", "checked_at", "warnings", "warnings_scope"])

    def _block_unless_blocked(self, failure: Auth) -> None:
        """A sign-in that fails without an error code (5.2 answers as to a stranger) blocks like a bad key does."""
        if not settings.BUGZILLA_API_KEY or not self.client.session.calls:
            return  # nothing was asked, so nothing was learnt
        before = self.connection.blocks  # as the cycle found it: that the stranger was answered may have closed it
        self.connection.refresh_from_db()
        if self.connection.blocked_until is None or self.connection.blocked_until <= clock.now():
            breaker.Breaker(self.connection).failed(failure, blocks_before=before)

    def _reconcile_is_due(self, moment: datetime) -> bool:
        return self.reconcile or not _is_recent(self.source.reconciled_at, moment, RECONCILE_EVERY)

    def _since(self) -> datetime | None:
        """Return from when on a bug may have changed unseen, None for ever."""
        watermark = self.source.watermark
        # Bugzilla's own clock was put back: what changed since then may carry a time from long before the watermark.
        if watermark is None or self.reading.server_time < watermark - OVERLAP / 2:
            return None
        return watermark - OVERLAP

    def _ids_to_read(self, everything: bool) -> tuple[set[int], set[int]]:
        """Return the ids to read, and those among which a bug is that no list could show."""
        unread = models.Q(read_server_time=None)
        again = Bug.objects.all() if everything else Bug.objects.active() | Bug.objects.filter(unread)
        wanted = set(again.values_list("pk", flat=True))
        wanted |= set(Quarantine.objects.values_list("bug_id", flat=True))
        wanted |= set(TrackedId.objects.values_list("bug_id", flat=True))
        listed, suspects = self.scope.ids(self.client, self._since())
        return wanted | listed, suspects

    def _wanted(self, found: dict[int, BugRead]) -> list[BugRead]:
        """Leave out what no scope names and nobody tracks; what is mirrored already stays mirrored."""
        outside = [bug_id for bug_id, bug in found.items() if not self.scope.includes(bug)]
        known = set(Bug.objects.filter(pk__in=outside).values_list("pk", flat=True)) if outside else set()
        known |= (
            set(TrackedId.objects.filter(bug_id__in=outside).values_list("bug_id", flat=True)) if outside else set()
        )
        return [bug for bug_id, bug in found.items() if bug_id not in outside or bug_id in known]

    def _move_watermark(self, server_time: datetime, reconciled: bool) -> None:
        with transaction.atomic():
            self.held.renew()  # raises LeaseLost: a cycle that slept past its lease writes no watermark
            source = Source.objects.select_for_update().get(pk=self.source.pk)
            source.watermark = server_time
            source.last_done_at = clock.now()
            if reconciled:
                source.reconciled_at = self.reading.at
            source.save()
            self.cycle.outcome = CycleOutcome.DONE
            self.cycle.save()

    def _close(self, problem: str) -> None:
        cycle, tally = self.cycle, self.tally
        cycle.finished_at = clock.now()
        cycle.requests = self.client.session.calls
        cycle.read, cycle.changed, cycle.hidden = tally.read, tally.changed, tally.hidden
        cycle.quarantined = len(tally.set_aside)
        if problem:
            cycle.outcome, cycle.problem = CycleOutcome.FAILED, problem[:300]
            log.warning("Poll cycle failed.", problem=problem, requests=cycle.requests)
        else:
            log.info(
                "Poll cycle done.", read=cycle.read, changed=cycle.changed, hidden=cycle.hidden, requests=cycle.requests
            )
        cycle.save()
        Connection.objects.filter(pk=self.connection.pk).update(version=self.client.session.version)
        Cycle.objects.filter(source=self.source, started_at__lt=cycle.started_at - KEEP_CYCLES).delete()
