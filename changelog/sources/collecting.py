"""Reads the sources whose turn it is, side by side, and stores what they tell. How each is read: the readers.

Threads only read; rows are written here, by one thread, as each source ends: one that hangs delays nobody else.
"""

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

import structlog
from django.db import DatabaseError, transaction

from changelog import store
from changelog.models import SeenRevision, Source
from changelog.models.sources import POLLED
from changelog.sources import breaker, readers, standing
from changelog.sources.filters import Filters
from changelog.sources.reading import Asked, Failure, Limited, Piece, Told
from changelog.store import Stored
from ciduty import clock, leases
from ciduty.record import write

log = structlog.get_logger(__name__)

AT_ONCE = 4
#: Seconds for one source, and for beginning new ones in one round; what is left waits for the next.
ONE_WITHIN, ROUND = 60, 90
LEAST = 1  # second: with less there is no use in beginning
#: Longer than one source may take, so that nobody begins it a second time while it is read.
LEASE = timedelta(minutes=3)
#: The newest revisions are told to the readers, so that they need not ask for their files again.
MOST_KNOWN = 3_000
#: What the cursor keeps of our own, beside what its reader does.
_OURS = ("began_at", "note", "noted_at")


@dataclass
class Tally:
    """What one round did."""

    read: int = 0
    failed: int = 0
    stored: Stored = field(default_factory=Stored)

    def __str__(self):
        if not self.read and not self.failed:
            return "nothing due"
        said = f"{self.read} sources read, {self.stored.new} new changes"
        return f"{said}, {self.failed} failed" if self.failed else said


@dataclass(frozen=True)
class _Job:
    """A source that is being read, under a lease of its own."""

    source: Source
    asked: Asked
    held: leases.Held


def due(at: datetime, late_by: timedelta = timedelta()) -> list[Source]:
    """Return the sources whose turn it is, those that waited longest first. One query."""
    sources = Source.objects.filter(is_active=True, kind__in=POLLED)
    ours = [source for source in sources if _is_due(source, at, late_by)]
    return sorted(ours, key=lambda source: (source.tried_at is not None, source.tried_at or at, source.pk))


def _is_due(source: Source, at: datetime, late_by: timedelta) -> bool:
    if source.tried_at is not None and source.tried_at > at:
        return True  # the clock was put back: what lies ahead tells nothing
    turn = standing.next_try(source)
    return turn is None or at >= turn + late_by


def collect_due(at: datetime | None = None, *, late_by: timedelta = timedelta(), seconds: float = ROUND) -> Tally:
    """Read the sources whose turn it is, at most four at a time, and store what they tell. Safe to run twice.

    `late_by` leaves room for others to do it first; `seconds` bounds the round. `at` is the moment of all of it, by
    default the clock's as it goes on.
    """
    tally, ends = Tally(), monotonic() + seconds
    waiting = deque(due(at or clock.now(), late_by))
    if not waiting:
        return tally
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="collect") as pool:
        running: dict[Future, _Job] = {}
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                left = ends - monotonic()
                if left < LEAST:
                    waiting.clear()  # the next round begins with them
                    break
                job = _begin(waiting.popleft(), at, min(ONE_WITHIN, left), late_by)
                if job:
                    running[pool.submit(readers.read, job.asked)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                _end(running.pop(future), future, at, tally)
    return tally


def collect(source: Source, seconds: float = ONE_WITHIN) -> Stored:
    """Read one source now, whether it is its turn or not, and store what it tells. Nothing when another is at it."""
    tally = Tally()
    job = _begin(source, None, seconds, None)
    if job is not None:
        future: Future = Future()
        try:
            future.set_result(readers.read(job.asked))
        except Failure as failure:
            future.set_exception(failure)
        _end(job, future, None, tally)
    return tally.stored


def _begin(source: Source, at: datetime | None, seconds: float, late_by: timedelta | None) -> _Job | None:
    """Take the lease of a source and write down that it is tried; None where another is at it, or was just now."""
    held = leases.take(f"changes of {source.about}", LEASE)
    if held is None:
        return None
    at = at or clock.now()
    source.refresh_from_db()
    if late_by is not None and not (source.is_active and _is_due(source, at, late_by)):
        held.release()
        return None
    Source.objects.filter(pk=source.pk).update(tried_at=at)
    known = SeenRevision.objects.filter(repository=source.name).order_by("-pk").values_list("revision", flat=True)
    asked = readers.asked_of(source, at=at, seconds=seconds, known=frozenset(known[:MOST_KNOWN]))
    return _Job(source, asked, held)


def _end(job: _Job, future: Future, at: datetime | None, tally: Tally) -> None:
    """Write what became of a source, and give its lease back."""
    problem, at = future.exception(), at or clock.now()
    limit = problem if isinstance(problem, Limited) else None
    try:
        if problem is None:
            told = future.result()
            tally.stored.add(_store(job, told, at))
            tally.read += 1
            limit = told.limited
        elif limit is None:
            _fail(job, problem, at)
    except leases.LeaseLost:
        log.warning("A source was read by somebody else, or changed, meanwhile.", source=job.source.pk)
    except DatabaseError as refused:  # what it told could not be written: that is this source's matter alone
        problem = refused
        _fail(job, refused, at)
    finally:
        job.held.release()
    tally.failed += problem is not None
    if limit is not None:  # in a transaction of its own: it locks the rows of others
        breaker.limited(job.source, limit, at)


@transaction.atomic
def _store(job: _Job, told: Told, at: datetime) -> Stored:
    """Store what a source told, and how far it was read: both or neither."""
    source = _locked(job)
    filters = Filters.of(source.filters)
    kept = [
        one.proposal for one in told.pieces
        if not filters.why_dropped(one.proposal.message, one.proposal.files, one.is_whole)
    ]  # fmt: skip
    stored = store.store(kept, source=source, at=at, refused=_refused)
    is_news = _see(source, told.pieces)
    if is_news:
        source.heard_at = _heard_at(source, told, at)
    source.cursor, source.read_at, source.failures = _cursor(source, told, at), at, 0
    if source.blocked_until == job.source.blocked_until:  # else its host was limited by another source meanwhile
        source.problem, source.blocked_until = "", None
    source.save(update_fields=["heard_at", "cursor", "read_at", "problem", "failures", "blocked_until"])
    if told.note:
        write.entry(source.about, "noted", told.note, at=at)
    log.info("A source was read.", source=source.pk, told=len(told.pieces), kept=len(kept), new=stored.new)
    return stored


def _heard_at(source: Source, told: Told, at: datetime) -> datetime:
    """Return when a source told something last: a first run tells history; what comes later is told now."""
    if source.read_at is not None and not source.cursor.get("goes_on"):
        return at
    newest = min(max(piece.at for piece in told.pieces), at)
    return max(newest, source.heard_at or newest)


@transaction.atomic
def _fail(job: _Job, problem: BaseException, at: datetime) -> None:
    source = _locked(job)
    if not isinstance(problem, Failure):  # a bug of ours: it holds up this source, and no other
        log.error("A reader broke down.", source=source.pk, exc_info=problem)
        problem = Failure(f"ciduty itself broke down while reading it ({type(problem).__name__}): see its log.")
    breaker.failed(source, problem, at)
    log.warning("A source could not be read.", source=source.pk, problem=str(problem), failures=source.failures)


def _locked(job: _Job) -> Source:
    """Return the row, locked, as it was when we began. Raises LeaseLost where it was changed, or read, meanwhile."""
    job.held.renew()  # first: the lease stays locked until all is written
    source = Source.objects.select_for_update().get(pk=job.source.pk)
    asked_for = ("kind", "address", "branch", "filters", "cursor", "is_active")
    if any(getattr(source, name) != getattr(job.source, name) for name in asked_for):
        raise leases.LeaseLost(f"{source.about} was changed while it was read.")
    return source


def _refused(proposal, problem) -> None:
    log.warning("A change that cannot be stored was left out.", identity=proposal.identity)


def _see(source: Source, pieces: tuple[Piece, ...]) -> bool:
    """Keep every revision, what the filters drop too: people ask what changed before a push. True for any news."""
    at = {piece.revision[:80]: piece.at for piece in pieces if piece.revision}
    seen = SeenRevision.objects.filter(repository=source.name)
    known = set(seen.filter(revision__in=list(at)).values_list("revision", flat=True))
    new = [SeenRevision(repository=source.name, revision=one, at=at[one]) for one in at if one not in known]
    # Only what is not there is inserted: a conflict that is ignored would use up a number of the table's sequence.
    SeenRevision.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    return bool(new)


def _cursor(source: Source, told: Told, at: datetime) -> dict:
    ours = {name: source.cursor[name] for name in _OURS if name in source.cursor}
    ours.setdefault("began_at", at.isoformat())
    if told.note:
        ours |= {"note": told.note, "noted_at": at.isoformat()}
    theirs = {name: value for name, value in told.cursor.items() if name not in (*_OURS, "goes_on")}
    return theirs | ours | ({"goes_on": True} if told.goes_on else {})
