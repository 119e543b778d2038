"""What pages and programs are told of trees: how each stands, since when, why, until when, and how sure that is.

Reads only. Words pass through `confidential.py`; who closed a tree is for CiDuty alone (`by`, `owner`).
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from ciduty.trees import confidential, polling, rules, stretches
from ciduty.trees.models import Closure, Service, Tree
from ciduty.trees.rules import Freshness, Standing, TreeCategory
from ciduty.trees.stretches import Stretch


@dataclass(frozen=True)
class ServiceFacts:
    """How sure we are of all trees together. `problem` is one sentence of ours, or ""."""

    freshness: Freshness
    read_at: datetime | None
    failing_since: datetime | None
    problem: str
    address: str
    left_out: int

    @property
    def is_sure(self) -> bool:
        """Answer whether what is shown may be relied on."""
        return self.freshness in rules.SURE


@dataclass(frozen=True)
class ClosureFacts:
    """A closure of ours that stands, as everybody may know it but for `owner`."""

    pk: int
    reason: str
    category: str
    bug: int | None
    closed_at: datetime
    expected_end: datetime | None
    about: str
    owner: str
    owner_id: int | None


@dataclass(frozen=True)
class TreeFacts:
    """One tree as it stands."""

    pk: int
    name: str
    kind: str  # what sort of tree, in words; "" where nobody told
    standing: Standing
    said: str  # what the service calls a status that we do not know
    is_sure: bool
    is_open: bool | None
    since: datetime | None
    reason: str
    category: str
    category_name: str
    bugs: tuple[int, ...]
    motd: str
    expected_end: datetime | None
    closures: tuple[ClosureFacts, ...]
    by: str
    by_hand: bool
    read_at: datetime
    gone_at: datetime | None
    times_closed: int  # lately

    def is_overdue(self, at: datetime) -> bool:
        """Answer whether it should be open again by now."""
        return self.standing == Standing.CLOSED and self.expected_end is not None and self.expected_end < at


@dataclass(frozen=True)
class Board:
    """All trees at a moment, those that close often first, and what closed them lately."""

    service: ServiceFacts
    trees: tuple[TreeFacts, ...]
    stretches: tuple[Stretch, ...]
    since: datetime
    at: datetime

    def standing(self, standing: Standing) -> list[TreeFacts]:
        """Return the trees that stand so."""
        return [tree for tree in self.trees if tree.standing == standing]

    @property
    def closed(self) -> list[TreeFacts]:
        """Return the trees that are closed."""
        return self.standing(Standing.CLOSED)

    @property
    def in_question(self) -> list[TreeFacts]:
        """Return the trees of which nobody can say whether they are open."""
        return [tree for tree in self.trees if tree.standing in (Standing.UNKNOWN, Standing.GONE)]


def service_facts(service: Service | None, at: datetime) -> ServiceFacts:
    """Return how sure we are of a service's word; None stands for none configured."""
    if service is None:
        return ServiceFacts(Freshness.BY_HAND, None, None, "", "", 0)
    freshness = rules.freshness_of(service.read_at, service.failures, at)
    return ServiceFacts(
        freshness, service.read_at, service.failing_since, service.problem, service.address, service.left_out
    )


def board(at: datetime, *, with_history: bool = True) -> Board:
    """Return every tree at a moment. Six queries, however many there are.

    Without the history of the last weeks it is four, and the trees stand by name.
    """
    service = polling.current_service()
    facts = service_facts(service, at)
    rows = list(Tree.objects.all())
    closures = list(Closure.objects.standing().select_related("owner"))
    lately = stretches.between(at - rules.LATELY, at) if with_history else []
    private = _private(rows, closures, lately)
    times = Counter(one.tree for one in lately)
    mine: dict[int, list[Closure]] = {}
    for closure in closures:
        mine.setdefault(closure.tree_id, []).append(closure)
    trees = [_tree(row, service, facts, mine.get(row.pk, []), times[row.name], private) for row in rows]
    trees.sort(key=lambda tree: (tree.standing == Standing.GONE, -tree.times_closed, tree.name))
    return Board(facts, tuple(trees), tuple(lately), at - rules.LATELY, at)


def tree_facts(row: Tree, at: datetime) -> tuple[ServiceFacts, TreeFacts, list[Stretch]]:
    """Return one tree at a moment, and when it was closed lately."""
    service = polling.current_service()
    facts = service_facts(service, at)
    closures = list(row.closures.standing().select_related("owner"))
    lately = stretches.between(at - rules.LATELY, at, row)
    private = _private([row], closures, lately)
    return facts, _tree(row, service, facts, closures, len(lately), private), lately


def _private(rows: list[Tree], closures: list[Closure], lately: list[Stretch]) -> frozenset[int]:
    texts = [text for row in rows for text in (row.reason, row.motd)] + [one.reason for one in closures]
    return confidential.private_among([*texts, *(one.reason for one in lately)], [one.bug_id for one in closures])


def _tree(
    row: Tree, service: Service | None, facts: ServiceFacts, closures: list[Closure], times: int, private: frozenset
) -> TreeFacts:
    is_ours = row.service_id == (service.pk if service else None)
    standing = rules.standing_of(row.status, row.gone_at is not None, is_ours)
    is_sure = facts.is_sure and standing != Standing.UNKNOWN
    ours = tuple(_closure(one, private) for one in closures)
    is_closed = standing == Standing.CLOSED
    ends = [one.expected_end for one in ours]
    return TreeFacts(
        pk=row.pk,
        name=row.name,
        kind=TreeCategory(row.category).label if row.category in TreeCategory.values else "",
        standing=standing,
        said=row.status if is_ours and row.gone_at is None and standing == Standing.UNKNOWN else "",
        is_sure=is_sure,
        is_open=rules.is_open(standing) if is_sure else None,
        since=row.gone_at if standing == Standing.GONE else row.since,
        reason=confidential.public(row.reason, private) if standing != Standing.GONE else "",
        category=rules.category_of(row.tags) if is_closed else "",
        category_name=rules.category_label(rules.category_of(row.tags)) if is_closed else "",
        bugs=_bugs(row, ours, private),
        motd=confidential.public(row.motd, private, confidential.MESSAGE_WITHHELD),
        expected_end=max(ends) if is_closed and ends and all(ends) else None,
        closures=ours,
        by=row.by,
        by_hand=row.by_hand,
        read_at=row.read_at,
        gone_at=row.gone_at,
        times_closed=times,
    )


def _bugs(row: Tree, ours: tuple[ClosureFacts, ...], private: frozenset[int]) -> tuple[int, ...]:
    """Return the bugs that may be led to: those of our closures, and those that the reason writes of."""
    named = [one.bug for one in ours if one.bug]
    if not confidential.numbers_in(row.reason) & private:
        named += confidential.bugs_in(row.reason)
    return tuple(dict.fromkeys(named))


def _closure(one: Closure, private: frozenset[int]) -> ClosureFacts:
    return ClosureFacts(
        pk=one.pk,
        reason=confidential.public(one.reason, private),
        category=rules.category_label(one.category),
        bug=None if one.bug_id in private else one.bug_id,
        closed_at=one.closed_at,
        expected_end=one.expected_end,
        about=one.about,
        owner=str(one.owner) if one.owner else "ciduty",
        owner_id=one.owner_id,
    )


def hours_by_category(found: list[Stretch], since: datetime, until: datetime) -> list[tuple[str, timedelta, int]]:
    """Return for each category that closed a tree: its label, for how long in all, and how often; the longest first."""
    lengths: dict[str, timedelta] = {}
    times: Counter = Counter()
    for one in found:
        label = rules.category_label(one.category)
        lengths[label] = lengths.get(label, timedelta()) + one.within(since, until)
        times[label] += 1
    return sorted(((label, lengths[label], times[label]) for label in lengths), key=lambda row: (-row[1], row[0]))
