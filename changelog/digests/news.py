"""What a digest tells: what was published in a stretch of time, and what does not hold any more. Public facts only.

Words come from `changelog/public/shown.py`; how they look in a mail: `letters.py`.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from changelog import find
from changelog.digests import rules
from changelog.find import Query
from changelog.models import Change
from changelog.public.shown import Shown, shown
from changelog.rules import State
from ciduty.record.models import Entry


@dataclass(frozen=True)
class News:
    """What is new in one stretch of time: lines for a mail, and how many more there are."""

    published: tuple[Shown, ...] = ()  # newest first
    withdrawn: tuple[Shown, ...] = ()  # told before, taken back since
    restored: tuple[Shown, ...] = ()  # told before as withdrawn, good again
    count: int = 0  # of all that was published
    is_counted: bool = True  # False: there are even more than `count`

    @property
    def more(self) -> int:
        """Return how many published ones are not among the lines."""
        return self.count - len(self.published)

    def __bool__(self):
        return bool(self.published or self.withdrawn or self.restored)


def of(query: Query, since: datetime, until: datetime, *, began: datetime) -> News:
    """Return what is new for a filter after `since`, up to and with `until`.

    `began`: since when this reader is told; what was published before was never told to them.
    """
    known = find.listed().filter(is_public=True)
    # What was published since then has changed since then, and there is an index of that.
    new = known.filter(state=State.PUBLISHED, changed_at__gt=since, published_at__gt=since, published_at__lte=until)
    published = _found(query, new, rules.MOST_COUNTED + 1)
    told = known.filter(published_at__gt=began, published_at__lte=since)
    withdrawn, restored = _moved(since, until)
    withdrawn = _found(query, told.filter(pk__in=withdrawn, state=State.WITHDRAWN)) if withdrawn else []
    restored = _found(query, told.filter(pk__in=restored, state=State.PUBLISHED)) if restored else []
    lines = max(0, rules.MOST_LINES - len(withdrawn) - len(restored))
    return News(
        published=tuple(shown(change) for change in published[:lines]),
        withdrawn=tuple(shown(change) for change in withdrawn),
        restored=tuple(shown(change) for change in restored),
        count=min(len(published), rules.MOST_COUNTED),
        is_counted=len(published) <= rules.MOST_COUNTED,
    )


def _found(query: Query, changes: QuerySet, most: int = rules.MOST_LINES) -> list[Change]:
    """Return changes that a filter finds, newest first; of too many those that changed last.

    Not ordered by the database: it would walk the whole log by moments to find a handful.
    """
    found = find.matching(changes, query).order_by("-changed_at", "-pk")[:most]
    return sorted(found, key=lambda change: (change.at, change.pk), reverse=True)


def _moved(since: datetime, until: datetime) -> tuple[set[int], set[int]]:
    """Return the changes that were withdrawn last in this stretch of time, and those that were restored.

    What was withdrawn and restored within it is neither: its reader heard of nothing.
    """
    entries = Entry.objects.filter(verb__in=("withdraw", "restore"), at__gt=since, at__lte=until)
    verbs: dict[int, list[str]] = {}
    for about, verb in entries.order_by("at", "pk").values_list("about", "verb"):
        kind, _, number = about.partition(" ")
        if kind == "change" and number.isdecimal():
            verbs.setdefault(int(number), []).append(verb)
    withdrawn = {pk for pk, done in verbs.items() if done[-1] == "withdraw" and done[0] != "restore"}
    restored = {pk for pk, done in verbs.items() if done[-1] == "restore" and done[0] != "withdraw"}
    return withdrawn, restored
