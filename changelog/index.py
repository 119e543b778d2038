"""What makes changes findable: derived fields of public facts only, day counts, the public version. No query here asks.

`find.py` asks. Nothing of a held change, and nothing that a bug which is not public would tell, may get in here.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

from django.db import connection, transaction

from changelog import rules
from changelog.models import Change, DayCount, PublicVersion
from changelog.rules import State

#: The derived fields; whoever saves a change without going through here leaves them stale.
DERIVED = ("hidden_bugs", "is_public", "terms", "words")
#: The terms that have a day count of their own, for the density strip.
COUNTED = ("kind", "system", "pool", "platform", "repository")
LONGEST_WORDS = 4_000
_NOT_IN_A_TERM = re.compile(r"[\s'\"\\]+")
_WORD_ENDS = re.compile(r"[/_.:=@#()\[\]{}<>|`\"']+")
_EPOCH = date(1970, 1, 1)


def fold(value: str) -> str:
    """Return a name as it stands in a term: case and white space make no difference."""
    return _NOT_IN_A_TERM.sub("_", unicodedata.normalize("NFKC", str(value)).casefold().strip())[:200]


def term(facet: str, value) -> str:
    """Return the term of a facet: `pool:gecko-t/win10`."""
    return f"{facet}:{fold(value)}"


def searchable(text: str) -> str:
    """Return a text as words are found in it: folded, with slashes and the like as blanks."""
    return " ".join(_WORD_ENDS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).split())


def day_of(at: datetime) -> date:
    """Return the day, in UTC, that a moment counts to."""
    return at.astimezone(UTC).date()


def times(day: date) -> tuple[str, str, str]:
    """Return the terms of a day, its week and its quarter of a year (91 days): how `find.py` walks back in time."""
    number = (day - _EPOCH).days
    return f"day:{number}", f"week:{number // 7}", f"quarter:{number // 91}"


def derive(change: Change, private: Collection[int]) -> None:
    """Set the derived fields of a change. `private`: those of its bugs that are not public."""
    hidden = [bug for bug in change.bugs if bug in private]
    waits = bool(set(hidden) - set(change.confirmed_for)) or (bool(hidden) and not change.public_summary)
    change.hidden_bugs = hidden
    change.is_public = rules.is_public(
        State(change.state), change.published_at is not None, change.part_of_id is not None, waits
    )
    change.terms = f" {' '.join(_terms(change))} "
    said = [change.public_summary] if hidden else [change.summary, change.message]
    told = [change.impact, change.author, *change.pools, *change.repositories, *map(str, _shown_bugs(change))]
    change.words = searchable(" ".join([*said, *told]))[:LONGEST_WORDS]


def _shown_bugs(change: Change) -> list[int]:
    return [bug for bug in change.bugs if bug not in change.hidden_bugs]


def _terms(change: Change) -> Iterator[str]:
    yield from times(day_of(change.at))
    yield term("kind", change.kind)
    if change.system_id:
        yield term("system", change.system_id)
    for facet, values in (
        ("pool", change.pools),
        ("platform", change.platforms),
        ("repository", change.repositories),
        ("bug", _shown_bugs(change)),
        ("author", [change.author] if change.author else []),
    ):
        yield from dict.fromkeys(term(facet, value) for value in values)


def _counted(change: Change) -> Iterator[tuple[str, date]]:
    """Yield what a change counts for: nothing unless it is public."""
    if not change.is_public:
        return
    day = day_of(change.at)
    yield "", day
    for one in change.terms.split():
        if one.partition(":")[0] in COUNTED:
            yield one, day


class Tally:
    """What public counts gain and lose while changes are written; applied once, in the same transaction."""

    def __init__(self):
        self._counts: Counter = Counter()
        self._touched = False

    def before(self, change: Change) -> None:
        """Take a stored change out of the counts, as it was."""
        self._touched |= change.is_public or change.part_of_id is not None  # a part stands on its whole’s page
        self._counts.subtract(_counted(change))

    def after(self, change: Change) -> None:
        """Count a change as it is now."""
        self._touched |= change.is_public or change.part_of_id is not None  # a part stands on its whole’s page
        self._counts.update(_counted(change))

    def apply(self) -> None:
        """Write the counts, and raise the public version if anything public was touched."""
        changed = sorted((facet, day, count) for (facet, day), count in self._counts.items() if count)
        with connection.cursor() as cursor:
            for start in range(0, len(changed), 300):
                _add(cursor, changed[start : start + 300])
        if self._touched:
            raise_version()


def _add(cursor, rows: list[tuple[str, date, int]]) -> None:
    table = DayCount._meta.db_table
    places = ", ".join(["(%s, %s, %s)"] * len(rows))
    cursor.execute(
        f"INSERT INTO {table} (facet, day, count) VALUES {places} "
        f"ON CONFLICT (facet, day) DO UPDATE SET count = {table}.count + excluded.count",
        [part for row in rows for part in row],
    )


def raise_version() -> None:
    """Let every public answer that was cached so far be asked anew."""
    table = PublicVersion._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (id, value) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET value = {table}.value + 1"
        )


@contextmanager
def reindexing(pks: Iterable[int], not_public: Callable[[Collection[int]], Collection[int]]) -> Iterator[list[Change]]:
    """Lock changes, let the caller write them by id, then derive and count them anew: all in one transaction.

    Yields the changes as they were, in the order of their ids; what the caller does to those objects is not saved.
    """
    pks = sorted(pks)
    with transaction.atomic():
        before = list(Change.objects.select_for_update(of=("self",)).filter(pk__in=pks).order_by("pk"))
        tally = Tally()
        for change in before:
            tally.before(change)
        yield before
        now = list(Change.objects.filter(pk__in=pks).order_by("pk"))
        private = not_public({bug for change in now for bug in change.bugs})
        for change in now:
            derive(change, private)
            tally.after(change)
        Change.objects.bulk_update(now, DERIVED, batch_size=200)
        tally.apply()
