"""Finds public changes by filters and words, page by page, as fast on the last page as on the first.

How PostgreSQL does it stands in `walk.py`; SQLite, which small installations have, reads every row.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from django.db import connection
from django.db.models import Q, QuerySet

from changelog import index, walk
from changelog.models import Change
from changelog.walk import TooBroad

__all__ = ["BadCursor", "Page", "Query", "Search", "TooBroad"]

PAGE = 50
LONGEST_SEARCH = 200
MOST_WORDS = 12
#: So many of those that changed last are looked at for a filtered feed; a reader comes before there are more.
NEWS = 1_000
#: Columns that only one change's own page shows.
HEAVY = ("message", "words", "terms", "files")
#: What a list shows of a change; its own page asks for the rest.
LISTED = (
    "pk", "state", "kind", "system__slug", "system__title", "system__owner", "summary", "impact", "public_summary",
    "author", "bugs", "pools", "platforms", "repositories", "authored_at", "authored_offset", "landed_at",
    "landed_offset", "effective_at", "effective_offset", "at", "published_at", "because", "changed_at", "hidden_bugs",
    "is_public", "identity",
)  # fmt: skip
_PIECE = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
_QUOTES = str.maketrans("“”„«»", '"""""', "\0")


class BadCursor(ValueError):
    """The cursor is none of ours. `str()` is a sentence for a person."""


@dataclass(frozen=True)
class Query:
    """What somebody looks for. `system` is the number of a system in the catalogue; moments are aware."""

    since: datetime | None = None  # included
    until: datetime | None = None  # not included
    system: int | None = None
    kind: str = ""
    pool: str = ""
    platform: str = ""
    repository: str = ""
    author: str = ""
    bug: int | None = None
    q: str = ""
    system_slug: str = field(default="", compare=False)  # how an address names the system

    @property
    def terms(self) -> list[str]:
        """Return the terms of the index that a change must have."""
        facets = ("system", "kind", "pool", "platform", "repository", "author", "bug")
        return [index.term(name, value) for name in facets if (value := getattr(self, name)) not in ("", None)]

    @property
    def is_everything(self) -> bool:
        """Answer whether nothing but time narrows it."""
        return not self.terms and not self.q.strip()


@dataclass(frozen=True)
class Page:
    """One page: its changes, newest first, and the cursor of the next one, or ""."""

    changes: list[Change]
    next_cursor: str


@dataclass(frozen=True)
class Search:
    """The words of a search, folded as the index has them; several in one piece stand side by side in the text."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]


def cursor_of(change: Change) -> str:
    """Return the cursor after this change: its moment and its number."""
    return write_cursor(change.at, change.pk)


def write_cursor(at: datetime, pk: int) -> str:
    """Return the cursor after a change of this moment and number."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{pk}"


def read_cursor(text: str) -> tuple[datetime, int]:
    """Return the moment and the number of a cursor. Raises BadCursor."""
    moment, _, number = text.partition("_")
    if re.fullmatch(r"[0-9]{1,18}", number):
        try:
            return datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC), int(number)
        except ValueError:
            pass
    raise BadCursor("The cursor is none of this log: begin at its first page again.")


def listed() -> QuerySet:
    """Return changes with what a list shows of them, and no more."""
    return Change.objects.select_related("system").only(*LISTED)


def page(query: Query, cursor: str = "", size: int = PAGE, changes: QuerySet | None = None) -> Page:
    """Return one page of what a query finds. `changes`: public ones with what else a caller needs joined.

    One query, or two. Raises BadCursor, and TooBroad where the database takes too long.
    """
    after = read_cursor(cursor) if cursor else None
    rows = _rows(query, after, size + 1, listed() if changes is None else changes)
    return Page(rows[:size], cursor_of(rows[size - 1]) if len(rows) > size else "")


def ids(query: Query, cursor: str, count: int) -> tuple[list[int], str]:
    """Return the numbers of at most `count` changes of a query, newest first, and the cursor after them, or "".

    Raises BadCursor and TooBroad.
    """
    found = _places(query, read_cursor(cursor) if cursor else None, count + 1)
    return [pk for _, pk in found[:count]], write_cursor(*found[count - 1]) if len(found) > count else ""


def news(query: Query, size: int = PAGE) -> list[Change]:
    """Return what a feed tells: what was published or changed last, the newest news first.

    A filter is asked of the last 1,000 news; what is missing then is filled up with the newest changes that it finds.
    Raises TooBroad.
    """
    newest = Change.objects.public().order_by("-changed_at", "-pk")
    if query == Query():
        return list(_with_heavy(newest)[:size])
    latest = newest.values_list("pk", flat=True)[:NEWS]
    found = list(matching(_with_heavy(newest).filter(pk__in=latest), query)[:size])
    if len(found) < size:
        known = {change.pk for change in found}
        older = page(query, size=size, changes=Change.objects.select_related("system")).changes
        found += [change for change in older if change.pk not in known]
        found.sort(key=lambda change: (change.changed_at, change.pk), reverse=True)
    return found[:size]


def _with_heavy(changes: QuerySet) -> QuerySet:
    return changes.select_related("system").defer("words", "terms")


def _rows(query: Query, after: tuple[datetime, int] | None, count: int, changes: QuerySet) -> list[Change]:
    if query.is_everything:
        return list(_after(_in_time(changes.filter(is_public=True), query), after).order_by("-at", "-pk")[:count])
    if connection.vendor == "postgresql":
        found = [pk for _, pk in _places(query, after, count)]
        # Asked once more whether it is public: it may have been held since.
        # As one array: fifty numbers one by one take the ORM longer than the database.
        asked = changes.filter(is_public=True).extra(where=["changelog_change.id = ANY(%s)"], params=[found])
        rows = {change.pk: change for change in asked} if found else {}
        return [rows[pk] for pk in found if pk in rows]
    return list(_after(matching(changes.filter(is_public=True), query), after).order_by("-at", "-pk")[:count])


def _places(query: Query, after: tuple[datetime, int] | None, count: int) -> list[tuple[datetime, int]]:
    if connection.vendor == "postgresql" and not query.is_everything:
        return _walk_back(query, after, count) if can_find(query) else []
    found = matching(Change.objects.public(), query)
    return list(_after(found, after).order_by("-at", "-pk").values_list("at", "pk")[:count])


def _in_time(found: QuerySet, query: Query) -> QuerySet:
    if query.since:
        found = found.filter(at__gte=query.since)
    return found.filter(at__lt=query.until) if query.until else found


def _after(found: QuerySet, after: tuple[datetime, int] | None) -> QuerySet:
    if after is None:
        return found
    # Both together: the first part alone lets the index be entered at the right place.
    return found.filter(at__lte=after[0]).filter(Q(at__lt=after[0]) | Q(pk__lt=after[1]))


def search_of(text: str) -> Search:
    """Return the words of a search: "a phrase", -unwanted; no more than 12."""
    pieces: tuple[list[str], list[str]] = [], []
    for minus, phrase, word in _PIECE.findall(text[:LONGEST_SEARCH].translate(_QUOTES))[:MOST_WORDS]:
        folded = index.searchable(phrase or word)
        if re.search(r"\w", folded):
            pieces[bool(minus)].append(folded)
    return Search(tuple(pieces[0]), tuple(pieces[1]))


def can_find(query: Query) -> bool:
    """Answer whether a query's words can be looked for: only unwanted ones would have to read the whole log."""
    return not query.q.strip() or bool(search_of(query.q).wanted)


# --- any database -----------------------------------------------------------------------------------------------------


def matching(found: QuerySet, query: Query) -> QuerySet:
    """Return those of some changes that a query finds; for few of them, since nothing walks here. No query."""
    found = _in_time(found, query)
    if not can_find(query):
        return found.none()
    if query.is_everything:
        return found
    if connection.vendor == "postgresql":
        condition, values = walk.condition(query.terms, _as_websearch(query.q))
        return found.extra(where=[condition], params=values)
    for one in query.terms:
        found = found.filter(terms__contains=f" {one} ")
    search = search_of(query.q)
    for piece in search.wanted:
        found = found.filter(words__contains=piece)
    for piece in search.unwanted:
        found = found.exclude(words__contains=piece)
    return found


def _walk_back(query: Query, after: tuple[datetime, int] | None, count: int) -> list[tuple[datetime, int]]:
    newest = min(filter(None, [query.until, after and after[0]]), default=None)
    newest = newest or walk.newest()
    if newest is None:
        return []
    stretch = walk.Within(newest=newest, since=query.since, until=query.until, after=after)
    return walk.places(query.terms, _as_websearch(query.q), stretch, count)


def _as_websearch(text: str) -> str:
    """Return a search as PostgreSQL reads it, each piece in quotation marks: no word of it is an operator."""
    search = search_of(text)
    return " ".join([f'"{piece}"' for piece in search.wanted] + [f'-"{piece}"' for piece in search.unwanted])


def without_time(query: Query) -> Query:
    """Return the same question about all time."""
    return replace(query, since=None, until=None)
