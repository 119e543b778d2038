"""Which changes may have broken it, and why, in words. Pure: values in, ordered suspects with their reasons out.

A suspect is where to look first, never a verdict: only people say *confirmed* or *ruled out* (the issue, part 5). The
points are our own judgement, tried on `tests/test_changelog_before_table.py`; only their order matters.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from changelog.models.asking import Judged
from changelog.rules import Kind

#: More than a hand of suspects is a list again, and nobody read that (domain.md, 3).
MOST = 5
#: With less nothing speaks for it but that it was there.
LEAST = 5
#: Who has not so much of the first one's points only stands in its way.
PART_OF_FIRST = 1 / 4

BACKED_OUT_LATER = 50  # somebody who looked took it out again: the strongest sign that there is
SAME_POOL = 40  # it says that it changes what broke
SAME_BUG = 40  # it was made for the very thing that the bug is about
IN_THE_PUSH = 35  # the push that broke brought it
SAME_SYSTEM = 30  # a system is wider than a pool
ENDED_JUST_BEFORE = 30  # what a downtime changed shows when the trees open
RUNNING = 20  # while it runs, what it closes is broken on purpose
ON_THE_MACHINES = 15  # a deploy or an image of that pool is what its machines run from then on
SAME_TREE = 15  # it is in the code that broke; so is much else
SAME_PLATFORM = 15
LATE_EFFECT = 3  # it lay there harmless, and took effect only then; how near it is still counts for more
DURING_DOWNTIME = 10  # made while trees were closed: nothing has run on it before
#: The nearer the likelier: what breaks at once is seen within a job's length. So much for being no older than this.
NEARNESS = (
    (timedelta(minutes=15), 20),
    (timedelta(hours=1), 15),
    (timedelta(hours=3), 10),
    (timedelta(hours=12), 7),
    (timedelta(hours=24), 5),
)
OTHER_PLATFORM = -40  # as good as an alibi, if only the words were always right
OTHER_POOLS = -20
OTHER_SYSTEM = -10  # systems stand on each other
ONLY_TAKES_BACK = -15  # what was there before is there again
NO_MACHINE_RUNS_IT = -15  # a change of process
#: How long after a downtime its end still counts as "just before".
JUST_BEFORE = timedelta(hours=2)
#: Hosts of hardware are numbered so: t-w732-ix-110. A longer number is part of a name.
MOST_HOST = 4  # digits

ON_MACHINES = {Kind.DEPLOY: "a deploy", Kind.IMAGE: "an image"}


@dataclass(frozen=True)
class Broken:
    """What is known of what broke. Names are folded as the index folds them (`index.fold`)."""

    at: datetime
    since: datetime
    pool: str = ""
    platforms: frozenset[str] = frozenset()  # asked for, or told by the pool's name
    system: int | None = None
    tree: str = ""  # of the push that broke
    bug: int | None = None


@dataclass(frozen=True)
class During:
    """A downtime or closure: as a change is one, or was made in one."""

    title: str
    kind: str
    ends_at: datetime


@dataclass(slots=True)  # hundreds of them for each question
class Candidate:
    """What the public log tells of one change. `at` is when it took effect where it broke, as far as is known."""

    pk: int
    at: datetime
    how: str = "landed"  # "took effect", "landed", "was entered": what `at` is
    kind: str = Kind.CONFIG
    system: int | None = None
    pools: frozenset[str] = frozenset()
    platforms: frozenset[str] = frozenset()
    trees: frozenset[str] = frozenset()
    bugs: frozenset[int] = frozenset()
    landed_at: datetime | None = None
    in_the_push: bool = False
    taken_back_at: datetime | None = None
    undoes_at: datetime | None = None  # when what it takes back had come
    is_downtime: During | None = None
    during: During | None = None
    is_withdrawn: bool = False
    verdict: str = ""  # a Judged, or ""


class Reason(NamedTuple):
    """One thing that speaks for a suspect, or against it (`points` below zero)."""

    words: str
    points: int

    @property
    def speaks_against(self) -> bool:
        """Answer whether it makes the suspect less likely."""
        return self.points < 0


@dataclass(frozen=True)
class Suspect:
    """A change that may have broken it: its place from 1, and its reasons, the strongest first."""

    pk: int
    place: int
    points: int
    reasons: tuple[Reason, ...] = field(default=())

    @property
    def words(self) -> str:
        """Return the reasons as one line."""
        return ", ".join(reason.words for reason in self.reasons)


def suspects(candidates: Iterable[Candidate], broken: Broken) -> list[Suspect]:
    """Return at most five suspects: confirmed ones first, then by their points, then the nearest to the break."""
    weighed = [(one, _all_of(one, broken)) for one in candidates if may_be_suspect(one, broken)]
    pointed = [(one, _points(reasons), reasons) for one, reasons in weighed]
    least = max(LEAST, max((points for _, points, _ in pointed), default=0) * PART_OF_FIRST)
    chosen = [each for each in pointed if each[1] >= least or each[0].verdict == Judged.CONFIRMED]
    chosen.sort(key=lambda each: (each[0].verdict == Judged.CONFIRMED, each[1], each[0].at, each[0].pk), reverse=True)
    return [
        Suspect(one.pk, place, points, tuple(_sorted(reasons)))
        for place, (one, points, reasons) in enumerate(chosen[:MOST], start=1)
    ]


def may_be_suspect(candidate: Candidate, broken: Broken) -> bool:
    """Answer whether a change can have broken it at all.

    Not what took effect after it broke, nor what was taken back before; not what people ruled out or withdrew.
    """
    if candidate.at > broken.at or candidate.verdict == Judged.RULED_OUT or candidate.is_withdrawn:
        return False
    return candidate.taken_back_at is None or candidate.taken_back_at > broken.at


def reasons_of(candidate: Candidate, broken: Broken) -> list[Reason]:
    """Return what speaks for a change and against it, the weightiest first and what speaks against last."""
    return _sorted(_all_of(candidate, broken))


def _all_of(candidate: Candidate, broken: Broken) -> list[Reason]:
    return [*_of_what_happened(candidate, broken), *_of_place(candidate, broken), *_of_time(candidate, broken)]


def _sorted(reasons: Iterable[Reason]) -> list[Reason]:
    return sorted(reasons, key=lambda reason: -reason.points)


def _points(reasons: Iterable[Reason]) -> int:
    return sum(reason.points for reason in reasons)


def _of_what_happened(one: Candidate, broken: Broken):
    if one.taken_back_at is not None:
        yield Reason(f"backed out later, {span(one.taken_back_at - broken.at)} after it broke", BACKED_OUT_LATER)
    if one.in_the_push:
        yield Reason("part of the push that broke", IN_THE_PUSH)
    if broken.bug is not None and broken.bug in one.bugs:
        yield Reason(f"names bug {broken.bug}", SAME_BUG)
    if one.undoes_at is not None and broken.since < one.undoes_at <= broken.at:
        yield Reason("only takes back what came in between", ONLY_TAKES_BACK)
    if one.kind == Kind.PROCESS:
        yield Reason("a change of process, which no machine runs", NO_MACHINE_RUNS_IT)


def _of_place(one: Candidate, broken: Broken):
    if broken.pool and one.pools:
        same = any(is_same_pool(pool, broken.pool) for pool in one.pools)
        yield Reason("same pool", SAME_POOL) if same else Reason("for other pools", OTHER_POOLS)
        if same and one.kind in ON_MACHINES:
            yield Reason(f"{ON_MACHINES[one.kind]} of that pool", ON_THE_MACHINES)
    if broken.system is not None and one.system is not None:
        same = one.system == broken.system
        yield Reason("same system", SAME_SYSTEM) if same else Reason("another system", OTHER_SYSTEM)
    if broken.platforms and one.platforms:
        same = bool(broken.platforms & one.platforms)
        yield Reason("same platform", SAME_PLATFORM) if same else Reason("for other platforms", OTHER_PLATFORM)
    if broken.tree and broken.tree in one.trees and not one.in_the_push:
        yield Reason(f"same tree, {broken.tree}", SAME_TREE)


def _of_time(one: Candidate, broken: Broken):
    age = broken.at - one.at
    points = next((points for most, points in NEARNESS if age <= most), 0)
    yield Reason(f"{one.how} {span(age)} before", points)
    if one.how == "took effect" and one.landed_at is not None and one.landed_at <= broken.since:
        yield Reason(f"landed {span(one.at - one.landed_at)} earlier and took effect only then", LATE_EFFECT)
    if one.is_downtime is not None:
        yield from _of_end(one.is_downtime, broken)
    elif one.during is not None and broken.at - one.during.ends_at <= JUST_BEFORE:
        yield Reason(f"made during the {one.during.kind} “{one.during.title}”", DURING_DOWNTIME)


def _of_end(downtime: During, broken: Broken):
    since_end = broken.at - downtime.ends_at
    if since_end < timedelta():
        yield Reason("was running when it broke", RUNNING)
    elif since_end <= JUST_BEFORE:
        yield Reason(f"ended {span(since_end)} before", ENDED_JUST_BEFORE)


def is_same_pool(named: str, asked: str) -> bool:
    """Answer whether a pool is the one that is asked for, or the class of the host that is asked for.

    Taskcluster writes gecko-t/win10-64 and gecko-t-win10-64 for the same pool.
    """
    if named.replace("/", "-") == asked.replace("/", "-"):
        return True
    host = asked.removeprefix(f"{named}-") if asked.startswith(f"{named}-") else ""
    return "/" not in asked and host.isdigit() and len(host) <= MOST_HOST


def span(length: timedelta) -> str:
    """Write a length of time in its one fitting unit: "12 minutes", "3 hours", "2 days"."""
    seconds = max(0, int(length.total_seconds()))
    for size, unit, least in ((86_400, "day", 2), (3_600, "hour", 2), (60, "minute", 1)):
        if seconds >= size * least:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "less than a minute"
