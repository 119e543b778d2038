"""After each poll that answered: which trees really are closed by us, and which really are open again.

Polling alone says so, and only what was read after we asked counts (design.md, decision 8). Followed twice, it is
written once.
"""

from dataclasses import dataclass, field
from datetime import datetime

import structlog
from django.db import transaction

from ciduty.outbox.models import TreeChange
from ciduty.record import write
from ciduty.trees.models import Closure, Tree
from downtimes import telling
from downtimes.models import Downtime, RunTree
from downtimes.rules import State
from downtimes.run import before, closing, reopening, rules

log = structlog.get_logger(__name__)


def follow(at: datetime) -> None:
    """Look at the trees of every downtime that runs, as a poll of this moment read them, and post what waited for it.

    What was seen is written down even where nothing can be posted, and one downtime keeps none from being followed.
    """
    for downtime in Downtime.objects.under_way().order_by("pk"):
        for step in (_look, _post):
            try:
                with transaction.atomic():
                    step(downtime, at)
            except Exception:  # a bug of ours, or what no service takes: the next poll tries again
                log.exception("A downtime was not followed.", downtime=downtime.about, step=step.__name__)


@dataclass
class _Found:
    """What one poll showed anew of the trees of one downtime, by name."""

    closed: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    below: list[str] = field(default_factory=list)


def _look(downtime: Downtime, at: datetime) -> None:
    downtime = telling.lock(downtime)
    if not _is_followed(downtime):
        return
    rows = [row for row in downtime.run_trees.select_related("closure", "asked_by") if row.left_at is None]
    trees = before.trees_of([row.name for row in rows])
    found = _Found()
    for row in rows:
        _look_at(downtime, row, trees.get(row.name), found, at)
    found.below = closing.keep_below(downtime, rows)
    _write(downtime, found, at)


def _post(downtime: Downtime, at: datetime) -> None:
    downtime = telling.lock(downtime)
    if _is_followed(downtime):
        closing.post_messages(downtime, at)
        reopening.post_what_waits(downtime, at)


def _is_followed(downtime: Downtime) -> bool:
    return downtime.state == State.RUNNING and closing.how() != closing.BY_HAND


def _look_at(downtime: Downtime, row: RunTree, tree: Tree | None, found: _Found, at: datetime) -> None:
    """Write down what a tree shows that was not known yet. None: it is gone."""
    if row.asked_at is None:
        return
    if row.closed_at is None:
        if tree is not None and _is_closed_by_us(downtime, row, tree):
            _set_closed(downtime, row, tree, found, at)
    elif row.opened_at is None:
        if tree is not None and _is_given_back(row, tree):
            _set_opened(row, found, at)
        elif row.closure is not None and row.closure.ended_at is None and not _stands(row, tree):
            _end(row.closure, None, at)
            found.lost.append(row.name)


def _is_closed_by_us(downtime: Downtime, row: RunTree, tree: Tree) -> bool:
    if tree.read_at < row.asked_at:
        return False
    if row.only_message:
        return rules.is_our_message(tree.motd)
    if not rules.is_closed(tree.status) or not closing.is_newer(tree.log_id, row.before.get("log_id")):
        return False
    return closing.has_our_words(downtime, tree) or _was_written(downtime, tree)


def _was_written(downtime: Downtime, tree: Tree) -> bool:
    """Answer whether a change that we sent made the very log entry that stands now."""
    changes = TreeChange.objects.filter(about=downtime.about, purpose=closing.CLOSE)
    found = [one.found.get(tree.name) or {} for one in changes]
    return any(one.get("did") in ("done", "already") and one.get("log_id") == tree.log_id for one in found)


def _set_closed(downtime: Downtime, row: RunTree, tree: Tree, found: _Found, at: datetime) -> None:
    row.closed_at = at
    if row.only_message:
        found.told.append(row.name)
    else:
        row.log_id, row.closure = tree.log_id, closing.closure_of(downtime, row, tree, at)
        found.closed.append(row.name)
    row.save(update_fields=["closed_at", "log_id", "closure"])


def _is_given_back(row: RunTree, tree: Tree) -> bool:
    if row.reopen_asked_at is None or tree.read_at < row.reopen_asked_at:
        return False
    if row.only_message:
        return not rules.is_our_message(tree.motd)
    return tree.status in ("open", "approval required") and closing.is_newer(tree.log_id, row.log_id)


def _set_opened(row: RunTree, found: _Found, at: datetime) -> None:
    row.opened_at = at
    row.save(update_fields=["opened_at"])
    if row.closure is not None:
        _end(row.closure, row.reopen_asked_by_id, at)
    found.opened.append(row.name)


def _stands(row: RunTree, tree: Tree | None) -> bool:
    """Answer whether the closure that we wrote down is the one that stands on its tree."""
    if tree is None or row.log_id is None:
        return False
    return rules.is_closed(tree.status) and tree.log_id == row.log_id


def _end(closure: Closure, by_id: int | None, at: datetime) -> None:
    Closure.objects.standing().filter(pk=closure.pk).update(ended_at=at, ended_by=by_id)


def _write(downtime: Downtime, found: _Found, at: datetime) -> None:
    said = {
        "trees closed": (found.closed, "Polling saw {} closed by us"),
        "trees told": (found.told, "Polling saw our message on {}"),
        "trees open": (found.opened, "Polling saw {} as before"),
        "trees below": (found.below, "Somebody changed {} just before us: as they made it, it is given back"),
        "trees lost": (found.lost, "Polling saw that our closure does not stand any more on {}"),
    }
    for verb, (names, words) in said.items():
        if names:
            write.entry(downtime.about, verb, words.format(rules.named(names, most=20)), at=at)
