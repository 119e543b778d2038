"""Gathers what changed between as plain values for `suspects.py`: of the public log alone, in a few queries.

At most 120 changes are looked at. Where there are more, the newest are, and those that name the pool that is asked for,
or else the system, or else the bug.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import QuerySet

from changelog import find, intervals
from changelog.before.asking import Asked
from changelog.before.revisions import Pushed
from changelog.before.suspects import JUST_BEFORE, Broken, Candidate, During
from changelog.find import Query
from changelog.index import fold
from changelog.intervals import Interval
from changelog.models import Backout, Change, Landing
from changelog.rules import State

#: More is not read by anybody, and a page must be fast.
MOST = 120
#: Of those many at most that name what is asked for, for each thing that is asked.
MOST_OF_ONE = 50
#: So long a change may be on its way from the tree where it landed first to the tree that broke.
ON_ITS_WAY = timedelta(days=7)
_INSTANT = timedelta(microseconds=1)
_COLUMNS = ("pk", "identity", "at", "landed_at", "effective_at", "authored_at", "state", "push", "hidden_bugs", "terms")
_TERM = re.compile(r" (kind|system|pool|platform|repository|bug):(\S+)")


@dataclass(frozen=True)
class Between:
    """What lies between: changes newest first, each with the moment at which it stands in the answer."""

    candidates: tuple[Candidate, ...]
    stands_at: dict[int, datetime]
    intervals: tuple[Interval, ...]
    looked_at: int
    is_complete: bool


def broken(asked: Asked) -> Broken:
    """Return what is known of what broke, with names as the index has them."""
    pushed = asked.bad.pushed
    return Broken(
        at=asked.until, since=asked.since, pool=fold(asked.pool), platforms=asked.platforms,
        system=asked.system.pk if asked.system else None, tree=fold(pushed.repository) if pushed else "",
        bug=asked.bad.bug,
    )  # fmt: skip


def gather(asked: Asked, verdicts: dict[int, str], at: datetime) -> Between:
    """Return what lies between. `verdicts`: the newest one by change, whose changes are always among them."""
    newest = _newest(asked)
    is_complete = len(newest) <= MOST
    known = {row[0] for row in newest[:MOST]}
    landed = _landings_in_tree(asked, known)
    named = {pk for pk, when in landed.items() if asked.since < when <= asked.until} | set(verdicts)
    if not is_complete:
        named |= _that_name(asked)
    added = _rows(Change.objects.public().filter(pk__in=named - known)) if named - known else []
    rows = newest[: MOST - len(added)] + added
    told = intervals.between(min(asked.since, asked.until - JUST_BEFORE), asked.until, at)
    taken_back, undoes = _backouts([row[0] for row in rows])
    found, stands_at = [], {}
    for row in rows:
        pk = row[0]
        more = {"taken_back_at": taken_back.get(pk), "undoes_at": undoes.get(pk), "verdict": verdicts.get(pk, "")}
        one = _candidate(row, asked, landed.get(pk), told, more)
        found.append(one)
        stands_at[pk] = one.at if one.at <= asked.until else row[2]
    found.sort(key=lambda one: (stands_at[one.pk], one.pk), reverse=True)
    return Between(tuple(found), stands_at, tuple(told), len(found), is_complete)


def _newest(asked: Asked) -> list[tuple]:
    within = Change.objects.public().filter(at__gt=asked.since, at__lte=asked.until)
    return _rows(within.newest_first()[: MOST + 1])


def _rows(changes: QuerySet) -> list[tuple]:
    return list(changes.values_list(*_COLUMNS))


def _that_name(asked: Asked) -> set[int]:
    """Return those of the many that name what is asked for."""
    between = Query(since=asked.since + _INSTANT, until=asked.until + _INSTANT)
    # The narrowest of them alone: of a platform or a tree there are as many again, and that says little.
    about = {"pool": asked.pool, "system": asked.system.pk if asked.system else None, "bug": asked.bad.bug}
    narrowest = next(((name, value) for name, value in about.items() if value), None)
    return set(_found(replace(between, **dict([narrowest])))) if narrowest else set()


def _found(query: Query) -> Sequence[int]:
    try:
        return find.ids(query, "", MOST_OF_ONE)[0]
    except find.TooBroad:  # the newest are there anyway, and the page says that there are more
        return ()


def _landings_in_tree(asked: Asked, known: set[int]) -> dict[int, datetime]:
    """Return when changes reached the tree that broke: those that are known, and those that were on their way there."""
    if asked.bad.pushed is None:
        return {}
    tree = asked.bad.pushed.repository
    on_its_way = Query(since=asked.since - ON_ITS_WAY, until=asked.since + _INSTANT, repository=tree)
    pks = known.union(_found(on_its_way))
    if not pks:
        return {}
    there = Landing.objects.filter(repository=tree).extra(where=[f"change_id IN ({_written(pks)})"])
    return dict(there.values_list("change", "at"))


def _backouts(pks: list[int]) -> tuple[dict[int, datetime], dict[int, datetime]]:
    """Return when changes were taken back, the first time, and when what they take back had come."""
    if not pks:
        return {}, {}
    numbers = _written(pks)
    tied = Backout.objects.extra(where=[f"(undoes_id IN ({numbers}) OR change_id IN ({numbers}))"])
    tied = tied.filter(change__is_public=True, undoes__is_public=True).order_by("-change__at")
    rows = list(tied.values_list("undoes", "undoes__at", "change", "change__at"))
    return {row[0]: row[3] for row in rows}, {row[2]: row[1] for row in reversed(rows)}


def _written(pks: Collection[int]) -> str:
    """Return numbers of our own rows, written out: hundreds of parameters cost more to count than to find."""
    return ", ".join(map(str, pks))


def _candidate(
    row: tuple, asked: Asked, landed_there: datetime | None, told: Iterable[Interval], known: dict
) -> Candidate:
    pk, identity, at, landed_at, effective_at, authored_at, state, push, hidden_bugs, terms = row
    facets: dict[str, list[str]] = {"kind": [""], "system": [], "pool": [], "platform": [], "repository": [], "bug": []}
    for name, value in _TERM.findall(terms):
        facets[name].append(value)
    if effective_at is None and landed_there is not None:
        at = landed_there
    return Candidate(
        pk=pk, at=at, kind=facets["kind"][-1], landed_at=landed_at,
        how=_how(effective_at, landed_at, authored_at),
        system=int(facets["system"][0]) if facets["system"] else None,
        pools=frozenset(facets["pool"]), platforms=frozenset(facets["platform"]),
        trees=frozenset(facets["repository"]), bugs=frozenset(map(int, facets["bug"])),
        in_the_push=asked.bad.pushed is not None and _is_in_push(asked.bad.pushed, pk, push) and not hidden_bugs,
        is_withdrawn=state == State.WITHDRAWN,
        is_downtime=_first(one for one in told if one.identity and one.identity == identity) if told else None,
        during=_first(one for one in told if one.starts_at <= at <= one.ends_at) if told else None,
        **known,
    )  # fmt: skip


def _how(effective_at: datetime | None, landed_at: datetime | None, authored_at: datetime | None) -> str:
    if effective_at:
        return "took effect"
    return "landed" if landed_at else "was written" if authored_at else "was entered"


def _is_in_push(pushed: Pushed, pk: int, push: str) -> bool:
    return pk == pushed.change or (push != "" and push == pushed.push)


def _first(told: Iterable[Interval]) -> During | None:
    return next((During(one.title, one.kind, one.ends_at) for one in told), None)
