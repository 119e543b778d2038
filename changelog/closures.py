"""Tells the log's timeline of closed trees. What a closure is: `ciduty/trees`; public facts only."""

from collections import defaultdict
from datetime import datetime, timedelta

from changelog import intervals
from changelog.intervals import Interval
from ciduty.trees.intervals import ClosedInterval, closures_between

#: Trees that were closed for the same reason within such a time were closed at once: one line, not seven.
AT_ONCE = timedelta(minutes=2)
MOST_NAMED = 4


def register() -> None:
    """Make known who tells of closed trees."""
    intervals.register("closures", between)


def between(since: datetime, until: datetime, at: datetime) -> list[Interval]:
    """Return the closures that overlap this time, those that began and ended together as one."""
    together: dict[tuple, list[ClosedInterval]] = defaultdict(list)
    for one in closures_between(since, until, at):
        together[one.category, one.reason, _about(one.starts_at), _about(one.ends_at)].append(one)
    return [_interval(closed) for closed in together.values()]


def _about(at: datetime) -> int:
    return int(at.timestamp() // AT_ONCE.total_seconds())


def _interval(closed: list[ClosedInterval]) -> Interval:
    trees = tuple(sorted(one.tree for one in closed))
    more = len(trees) - MOST_NAMED
    named = ", ".join(trees[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    first = closed[0]
    return Interval(
        title=f"{named} closed: {first.category}",
        starts_at=min(one.starts_at for one in closed),
        ends_at=max(one.ends_at for one in closed),
        kind="closure",
        url=first.url,
        words=first.reason,
        trees=trees,
    )
