"""Writes what the service told into rows, and what became of each tree into its history. Asks nobody.

What a poll sees is the state now; what happened between two polls comes from the trees' logs, as far as they were read.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Max

from ciduty.trees.adapters.reading import LogTold, Told, TreeTold
from ciduty.trees.models import Closure, Service, Tree, TreeEvent
from ciduty.trees.rules import GONE, Source, category_of


@dataclass
class Known:
    """The rows as they were before the answer, by name."""

    service: Service
    trees: dict[str, Tree] = field(default_factory=dict)

    def moved(self, told: Told) -> list[TreeTold]:
        """Return the trees of an answer of which the history does not know yet."""
        return [one for one in told.trees.values() if self._is_news(one)]

    def _is_news(self, one: TreeTold) -> bool:
        row = self.trees.get(one.name)
        if row is None or row.gone_at is not None or row.service_id != self.service.pk:
            return True
        return (row.status, row.reason, tuple(row.tags), row.log_id) != (one.status, one.reason, one.tags, one.log_id)


def known(service: Service, lock: bool = False) -> Known:
    """Return every tree that we know; `lock` them in a transaction. One query."""
    rows = Tree.objects.select_for_update() if lock else Tree.objects.all()
    return Known(service, {row.name: row for row in rows.order_by("pk")})


def store(service: Service, told: Told, logs: dict[str, list[LogTold]], at: datetime) -> int:
    """Write an answer of the moment `at` (ours) and the logs that were read; returns how many trees changed.

    Call it in a transaction. A tree that is missing from the answer is gone, never open (safety.md F56).
    """
    there = known(service, lock=True)
    _take_over(there, at)
    last_at = dict(TreeEvent.objects.values_list("tree_id").annotate(Max("at")).order_by())
    events: list[TreeEvent] = []
    moved = there.moved(told)
    names = {one.name for one in moved}
    for one in moved:
        row = there.trees.get(one.name) or Tree(name=one.name, status="", read_at=at)
        was = _was(row, service)
        entries = _entries_since(row if was else None, one, logs.get(one.name, []))
        became = _events(one, was, entries, at, last_at.get(row.pk))
        _bring_up_to_date(row, service, one, became, was, at)
        row.save()
        for event in became:
            event.tree = row
        events += became
    still = [there.trees[name].pk for name in told.trees if name not in names]
    Tree.objects.filter(pk__in=still).update(read_at=at)
    _read_what_has_no_history(there, told, names)
    gone = [row for name, row in there.trees.items() if name not in told.trees and row.gone_at is None]
    events += _leave(gone, service, at)
    TreeEvent.objects.bulk_create(events)
    return len(moved) + len(gone)


def _take_over(there: Known, at: datetime) -> None:
    """End what duty said by hand: from now on the service is believed. Closures of a downtime are its own matter."""
    said = [row.pk for row in there.trees.values() if row.by_hand]
    if said:
        Closure.objects.standing().filter(tree__in=said, about="").update(ended_at=at)


def _was(row: Tree, service: Service) -> str:
    """Return the status that this service told before; "" for a tree that it tells of for the first time."""
    if row.pk is None or row.service_id != service.pk:
        return ""
    return GONE if row.gone_at is not None else row.status


def _entries_since(row: Tree | None, one: TreeTold, log: Iterable[LogTold]) -> list[LogTold]:
    """Return the log's entries that the history does not know, the oldest first, up to what the answer told.

    [] where the log does not end with it: somebody acted between the two questions, and the next poll tells.
    """
    seen = row.log_id if row is not None and row.gone_at is None else None
    entries = [entry for entry in log if one.log_id is not None and entry.id <= one.log_id]
    if not entries or entries[-1].id != one.log_id or entries[-1].status != one.status:
        return []
    return [entry for entry in entries if seen is None or entry.id > seen]


def _events(one: TreeTold, was: str, entries: list[LogTold], at: datetime, last_at: datetime | None) -> list[TreeEvent]:
    """Return what became of a tree. No event lies ahead of us, nor before the one that it follows."""
    if not entries:
        return [_event(at, was, one.status, one.reason, one.tags, log_id=one.log_id, source=Source.SEEN)]
    events = []
    for entry in entries:
        told_at = min(entry.at, at)
        told_at = max(told_at, last_at or told_at)
        reason, tags = (one.reason, one.tags) if entry is entries[-1] else (entry.reason, entry.tags)
        known_as = {"log_id": entry.id, "source": Source.TOLD, "by": entry.by}
        events.append(_event(told_at, was, entry.status, reason, tags, **known_as))
        was, last_at = entry.status, told_at
    return events


def _event(at: datetime, was: str, status: str, reason: str, tags: Iterable[str], **known_as) -> TreeEvent:
    return TreeEvent(
        at=at, from_status=was, to_status=status, reason=reason, category=category_of(tags), **known_as
    )  # fmt: skip


def _bring_up_to_date(
    row: Tree, service: Service, one: TreeTold, became: list[TreeEvent], was: str, at: datetime
) -> None:
    since, status = (row.since, was) if was else (None, "")
    for event in became:
        if event.to_status != status:
            # Seen for the first time and told by nobody: it is so since some moment before.
            since = None if not status and event.source == Source.SEEN else event.at
        status = event.to_status
    only_worded_anew = bool(was) and row.log_id == one.log_id
    row.by = row.by if only_worded_anew else became[-1].by
    row.service, row.status, row.reason, row.tags = service, one.status, one.reason, list(one.tags)
    row.motd, row.category, row.log_id = one.motd, one.category, one.log_id
    row.since, row.read_at, row.gone_at = since, at, None


def _read_what_has_no_history(there: Known, told: Told, moved: set[str]) -> None:
    """Keep messages of the day and categories, whose changes the service does not log."""
    for name, one in told.trees.items():
        row = there.trees.get(name)
        if row is not None and name not in moved and (row.motd, row.category) != (one.motd, one.category):
            Tree.objects.filter(pk=row.pk).update(motd=one.motd, category=one.category)


def _leave(gone: list[Tree], service: Service, at: datetime) -> list[TreeEvent]:
    Tree.objects.filter(pk__in=[row.pk for row in gone]).update(gone_at=at, service=service)
    return [
        TreeEvent(tree=row, at=at, from_status=row.status, to_status=GONE, source=Source.SEEN) for row in gone
    ]  # fmt: skip
