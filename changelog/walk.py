"""Walks back through time in PostgreSQL's index until a page is full: neither a frequent word nor a rare one reads all.

One GIN index holds words, filters and stretches of time (migration 0002). One statement asks for the newest stretch
first and for each older and wider one only if the page is not full yet: the rows read are those found, times the
step from one stretch to the next. Measured with 1,000,000 changes: 1 to 4 ms, three filters at once 5 ms.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import OperationalError, connection

from changelog import index

#: No page for everybody keeps the database longer than this (safety.md C5).
LONGEST = timedelta(seconds=2)
#: The stretches of a walk: the unit of the terms that name it, and how many days it goes back; all the rest comes last.
STRETCHES = (("day", 3), ("week", 21), ("quarter", 91), ("quarter", 364))
Place = tuple[datetime, int]


class TooBroad(RuntimeError):
    """The database gave up looking. `str()` is a sentence for a person."""


@dataclass(frozen=True)
class Within:
    """Where in time is looked: from `newest` backwards, `since` included, `until` not, after the place of a cursor."""

    newest: datetime
    since: datetime | None
    until: datetime | None
    after: Place | None

    def clauses(self) -> Iterator[tuple[str, list]]:
        """Yield what a row must fulfil."""
        if self.since:
            yield "at >= %s", [self.since]
        if self.until:
            yield "at < %s", [self.until]
        if self.after:
            at, pk = self.after
            yield "at <= %s AND (at < %s OR id < %s)", [at, at, pk]


def newest() -> datetime | None:
    """Return the moment of the newest public change, or None while there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(at) FROM changelog_change WHERE is_public")
        return cursor.fetchone()[0]


def places(terms: Sequence[str], words: str, within: Within, count: int) -> list[Place]:
    """Return the moments and numbers of at most `count` public changes with these terms and words, newest first.

    `words` is a web search; terms or words there must be. Raises TooBroad.
    """
    branches, values = [], []
    for times, begins, ends in stretches(within.newest, within.since):
        where, params = condition(terms, words, times)
        clauses = [("is_public", []), (where, params), *within.clauses()]
        clauses += [("at >= %s", [begins])] if begins else []
        clauses += [("at < %s", [ends])] if ends else []
        # OFFSET 0 keeps the planner from walking the index of moments in search of a page that never fills.
        fulfilled = " AND ".join(clause for clause, _ in clauses)
        branches.append(
            f"(SELECT at, id FROM (SELECT at, id FROM changelog_change WHERE {fulfilled} OFFSET 0) AS found "
            "ORDER BY at DESC, id DESC LIMIT %s)"
        )
        values += [value for _, given in clauses for value in given] + [count]
    return _asked(f"SELECT at, id FROM ({' UNION ALL '.join(branches)}) AS walk LIMIT %s", [*values, count])


def condition(terms: Sequence[str], words: str, times: Iterable[str] = ()) -> tuple[str, list[str]]:
    """Return what the index is asked: filters and words as one condition, the stretch of time as another.

    Together, the rarest filter would be read for all time; apart, the index skips from one to the other.
    """
    parts, values = [], []
    if terms:
        parts.append("%s::tsquery")
        values.append(" & ".join(f"'{one}'" for one in terms))
    if words:
        parts.append("websearch_to_tsquery('english', %s)")
        values.append(words)
    asked = f"changelog_change.lookup @@ ({' && '.join(parts)})"
    if stretch := " | ".join(f"'{one}'" for one in times):
        return f"{asked} AND changelog_change.lookup @@ %s::tsquery", [*values, stretch]
    return asked, values


def stretches(newest: datetime, since: datetime | None) -> Iterator[tuple[list[str], datetime | None, datetime | None]]:
    """Yield stretches of time from the newest to the oldest: their terms, where they begin (included) and end (not).

    No two of them hold the same moment; the last one has no terms and no beginning, it is all the rest.
    """
    day, ends = index.day_of(newest), None
    youngest = day
    for unit, days in STRETCHES:
        if day.toordinal() <= days:
            break  # a cursor may name any year: all the rest is one stretch
        oldest = day - timedelta(days=days - 1)
        begins = datetime.combine(oldest, time(), UTC)
        yield _terms(unit, oldest, youngest), begins, ends
        if since and since >= begins:
            return
        ends, youngest = begins, oldest - timedelta(days=1)
    yield [], None, ends


def _terms(unit: str, oldest: date, youngest: date) -> list[str]:
    """Return the terms of all days, weeks or quarters that these days lie in, both included."""
    place = ("day", "week", "quarter").index(unit)
    days = (youngest - timedelta(days=back) for back in range((youngest - oldest).days + 1))
    return list(dict.fromkeys(index.times(day)[place] for day in days))


def _asked(statement: str, values: list) -> list[Place]:
    # A broad search may look expensive enough to be compiled first, which takes longer than looking.
    limits = f"SET LOCAL jit = off; SET LOCAL statement_timeout = {int(LONGEST.total_seconds() * 1000)}; "
    with connection.cursor() as cursor:
        try:
            # One message is one transaction: the limits end with it. Inside of somebody's own they would stay.
            cursor.execute(statement if connection.in_atomic_block else limits + statement, values)
        except OperationalError as error:
            if getattr(error.__cause__, "pgcode", "") != "57014":  # query_canceled
                raise
            raise TooBroad(
                f"Looking took longer than {int(LONGEST.total_seconds())} seconds: narrow it by time or by a system, "
                "or give a rarer word."
            ) from None
        rows = cursor.fetchall()
    return sorted(((at.astimezone(UTC), pk) for at, pk in rows), reverse=True)
