"""The queue as a page shows it: what waits for somebody, group by group, and what may be done with each. Bounded.

However long the queue is, a page asks the database equally often.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Prefetch, QuerySet

from changelog import find, index, rules
from changelog.confidential import not_public
from changelog.models import Backout, BugOfChange, Change, DayCount, Source
from changelog.models.sources import POLLED
from changelog.publishing import wording
from changelog.rules import Kind, State
from changelog.sources import standing
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.systems.models import System

PAGE = 50
#: Lists beside the queue show so many, and say how many more.
SHORT = 5
#: Nobody reads a figure beyond this one, and counting a million takes a second.
MOST_COUNTED = 1000
#: A message is folded away; who wants more of it opens the change's own page.
LONGEST_SHOWN = 1500


def _naming_what_is_not_public() -> QuerySet:
    private = Bug.objects.exclude(visibility=Visibility.PUBLIC).values("pk")
    return BugOfChange.objects.filter(bug_id__in=private).values("change_id")


def waiting() -> QuerySet:
    """Return the proposals that nobody decided about."""
    return Change.objects.waiting()


def without_words() -> QuerySet:
    """Return what is published, by a rule or by somebody, and names a bug that is not public: nobody sees it yet."""
    published = Change.objects.filter(state=State.PUBLISHED, is_public=False, part_of=None)
    return published.filter(pk__in=_naming_what_is_not_public())


def held() -> QuerySet:
    """Return what is held."""
    return Change.objects.filter(state=State.HELD, part_of=None)


def dismissed() -> QuerySet:
    """Return what was put aside before anybody outside heard of it."""
    return Change.objects.filter(state=State.WITHDRAWN, published_at=None)


#: What a tab is called in an address -> its label, and which changes stand on it.
TABS = {
    "waiting": ("To publish", waiting),
    "words": ("Published, without words yet", without_words),
    "held": ("Held", held),
    "dismissed": ("Dismissed", dismissed),
}


@dataclass(frozen=True)
class Filter:
    """What somebody wants to see of the queue. `problems`: what could not be read, as sentences."""

    show: str = "waiting"
    source: int | None = None
    system: str = ""
    kind: str = ""
    problems: tuple[str, ...] = ()

    @property
    def is_set(self) -> bool:
        """Answer whether anything is left out of the tab."""
        return bool(self.source or self.system or self.kind)

    @property
    def query(self) -> str:
        """Return it as an address has it."""
        show = {"show": self.show} if self.show != "waiting" else {}
        return urlencode(
            show | {name: getattr(self, name) for name in ("source", "system", "kind") if getattr(self, name)}
        )

    def of(self, changes: QuerySet) -> QuerySet:
        """Return those of these changes that are wanted."""
        if self.source:
            changes = changes.filter(source=self.source)
        if self.system:
            changes = changes.filter(system__slug=self.system)
        return changes.filter(kind=self.kind) if self.kind else changes


def read_filter(params, sources: Iterable[Source], systems: Iterable[System]) -> Filter:
    """Return the filter of an address; what it does not know is said and left out."""
    known = {
        "show": TABS,
        "source": {str(source.pk) for source in sources},
        "system": {system.slug for system in systems},
        "kind": Kind.values,
    }
    typed = {name: params.get(name, "")[:80] for name in known}
    problems = tuple(
        f"There is no {name} “{typed[name]}”: it is left out."
        for name in known
        if typed[name] and typed[name] not in known[name]
    )
    read = {name: value for name, value in typed.items() if value in known[name]}
    if "source" in read:
        read["source"] = int(read["source"])
    return Filter(**read, problems=problems)


@dataclass(frozen=True)
class Row:
    """One change, what is not public of it, and what may be done with it now. `typed`: what its form holds."""

    change: Change
    private: tuple[int, ...]
    waits: bool
    verbs: tuple[str, ...]
    typed: dict = field(default_factory=dict)
    problem: str = ""

    @property
    def message(self) -> str:
        """Return what its message says beyond its summary, cut where it is long."""
        told = self.change.message.strip()
        return "" if told == self.change.summary else told[:LONGEST_SHOWN]

    @property
    def is_cut(self) -> bool:
        """Answer whether its own page shows more of the message."""
        return len(self.change.message.strip()) > LONGEST_SHOWN

    @property
    def state(self) -> State:
        """Return where it stands."""
        return State(self.change.state)

    @property
    def is_to_word(self) -> bool:
        """Answer whether it can be published now, or needs the words that it was published without."""
        return "publish" in self.verbs or (self.waits and self.state == State.PUBLISHED)

    @property
    def is_reworded(self) -> bool:
        """Answer whether its form holds another summary than the change."""
        return self.typed.get("summary", self.change.summary) != self.change.summary

    @property
    def is_about(self) -> bool:
        """Answer whether anything was read out of it."""
        change = self.change
        return bool(change.bugs or change.pools or change.platforms or change.reviewers or change.takes_back.all())

    @property
    def bugs(self) -> list[tuple[int, bool]]:
        """Return its bugs, each with whether it is not public."""
        return [(bug, bug in self.private) for bug in self.change.bugs]


@dataclass(frozen=True)
class Group:
    """Changes that came together: one push and one system, or one repository and one system."""

    title: str
    system: System | None
    rows: list[Row]


@dataclass(frozen=True)
class Page:
    """One page of a tab."""

    groups: list[Group]
    next_cursor: str
    total: int  # counted no further than MOST_COUNTED
    is_more: bool  # than MOST_COUNTED

    @property
    def rows(self) -> list[Row]:
        """Return the rows of all groups."""
        return [row for group in self.groups for row in group.rows]


def page_of(chosen: Filter, cursor: str, at: datetime, refused: Row | None = None) -> Page:
    """Return one page of what a filter wants, newest first. `refused`: a row with what was typed. Raises BadCursor."""
    changes = chosen.of(TABS[chosen.show][1]())
    counted = changes.order_by()[: MOST_COUNTED + 1].count()
    rows = with_facts(_after(changes, cursor).newest_first())[: PAGE + 1]
    found = list(rows)
    shown = rows_of(found[:PAGE], at, refused)
    next_cursor = find.cursor_of(found[PAGE - 1]) if len(found) > PAGE else ""
    return Page(_groups(shown), next_cursor, min(counted, MOST_COUNTED), counted > MOST_COUNTED)


def _after(changes: QuerySet, cursor: str) -> QuerySet:
    if not cursor:
        return changes
    at, pk = find.read_cursor(cursor)
    return changes.filter(at__lte=at).exclude(at=at, pk__gte=pk)


def with_facts(changes: QuerySet) -> QuerySet:
    """Return changes with what a row shows of others: its source, its system, what it takes back."""
    backouts = Backout.objects.select_related("undoes").only("change", "revision", "undoes__summary")
    joined = changes.select_related("source", "system").defer("words", "terms", "files")
    return joined.prefetch_related(Prefetch("takes_back", queryset=backouts))


def rows_of(changes: Iterable[Change], at: datetime, refused: Row | None = None) -> list[Row]:
    """Return changes as rows. One query, for the bugs of them all."""
    changes = list(changes)
    private = not_public({bug for change in changes for bug in change.bugs})
    return [_row(change, private, at, refused) for change in changes]


def _row(change: Change, private: frozenset[int], at: datetime, refused: Row | None) -> Row:
    mine = tuple(bug for bug in change.bugs if bug in private)
    verbs = tuple(rules.possible(State(change.state), change.published_at, at))
    waits = wording.waits(change, private)
    if refused is not None and refused.change.pk == change.pk:
        return Row(change, mine, waits, verbs, refused.typed, refused.problem)
    return Row(change, mine, waits, verbs, {name: getattr(change, name) for name in wording.TEXTS})


def _groups(rows: Iterable[Row]) -> list[Group]:
    """Return rows by what they came with, the groups in the order of their newest row."""
    groups: dict[tuple, Group] = {}
    for row in rows:
        title = _title(row.change)
        key = (row.change.push or title, row.change.system_id)
        groups.setdefault(key, Group(title, row.change.system, [])).rows.append(row)
    return list(groups.values())


def _title(change: Change) -> str:
    if change.push:
        repository, _, number = change.push.rpartition(" ")
        return f"{repository}, push {number}"
    if change.repositories:
        return ", ".join(change.repositories[:3])
    return str(change.source or "Without a source")


# --- beside the queue -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Short:
    """A short list beside the queue: its newest rows, and whether there are more."""

    rows: list[Row]
    is_more: bool


def short(changes: QuerySet, at: datetime, refused: Row | None = None) -> Short:
    """Return the newest few of a tab."""
    found = list(with_facts(changes.newest_first())[: SHORT + 1])
    return Short(rows_of(found[:SHORT], at, refused), len(found) > SHORT)


def published_on(at: datetime) -> int:
    """Return how many public changes the day of a moment has, in UTC, as the log counts them."""
    return DayCount.objects.filter(facet="", day=index.day_of(at)).values_list("count", flat=True).first() or 0


def next_read(at: datetime) -> tuple[str, datetime] | None:
    """Return which source is read next, and when at the earliest; None where none is polled."""
    polled = Source.objects.filter(is_active=True, kind__in=POLLED)
    due = [(max(at, standing.next_try(source) or at), source.name) for source in polled]
    return min(due)[::-1] if due else None
