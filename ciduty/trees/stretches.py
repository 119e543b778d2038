"""For how long trees were closed, and why: read from their history. The counting is pure.

A closure that changes its category is two stretches; one that is only worded anew is one, in its last words.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import OuterRef, Subquery

from ciduty.trees.models import Tree, TreeEvent
from ciduty.trees.rules import Status


@dataclass(frozen=True)
class Stretch:
    """That one tree was closed from `starts_at` to `ends_at`; None where it is closed still."""

    tree: str
    starts_at: datetime
    ends_at: datetime | None
    category: str
    reason: str

    def within(self, since: datetime, until: datetime) -> timedelta:
        """Return how much of it lies between two moments."""
        end = until if self.ends_at is None else min(self.ends_at, until)
        return max(end - max(self.starts_at, since), timedelta())


def of_events(tree: str, events: Iterable[TreeEvent]) -> list[Stretch]:
    """Return when one tree was closed, from its events in their order."""
    found: list[Stretch] = []
    running: Stretch | None = None
    for event in events:
        is_closed = event.to_status == Status.CLOSED
        if running is not None and is_closed and event.category == running.category:
            running = replace(running, reason=event.reason)
            continue
        if running is not None:
            found.append(replace(running, ends_at=event.at))
        running = Stretch(tree, event.at, None, event.category, event.reason) if is_closed else None
    if running is not None:
        found.append(running)
    return [one for one in found if one.ends_at is None or one.ends_at > one.starts_at]


def between(since: datetime, until: datetime, tree: Tree | None = None) -> list[Stretch]:
    """Return when trees were closed between two moments, both included, by their starts. Two queries.

    One that was closed before is there with its own start.
    """
    trees = Tree.objects.all() if tree is None else Tree.objects.filter(pk=tree.pk)
    before = TreeEvent.objects.filter(tree=OuterRef("pk"), at__lt=since).order_by("-at", "-pk")
    first = trees.annotate(first=Subquery(before.values("pk")[:1])).values_list("first", flat=True)
    columns = ("tree__name", "at", "to_status", "category", "reason")
    opening = _events(TreeEvent.objects.filter(pk__in=first), columns)
    events = TreeEvent.objects.filter(at__gte=since, at__lte=until)
    later = _events(events if tree is None else events.filter(tree=tree), columns)
    found = []
    for name in sorted(set(opening) | set(later)):
        found += of_events(name, opening.get(name, []) + later.get(name, []))
    return sorted(
        (one for one in found if one.ends_at is None or one.ends_at >= since), key=lambda one: (one.starts_at, one.tree)
    )


def _events(events, columns) -> dict[str, list[TreeEvent]]:
    found: dict[str, list[TreeEvent]] = {}
    for name, at, to_status, category, reason in events.order_by("at", "pk").values_list(*columns):
        event = TreeEvent(at=at, to_status=to_status, category=category, reason=reason)
        found.setdefault(name, []).append(event)
    return found
