"""Changes of trees on their way through the outbox: posted once, waited for, and looked at when they were made."""

from datetime import datetime

from ciduty.outbox import post
from ciduty.outbox.models import TreeChange
from ciduty.outbox.rules import UNDER_WAY, State
from ciduty.outbox.wanted import Unwritable
from ciduty.states import NotAllowed
from ciduty.trees import polling
from downtimes.models import Downtime
from downtimes.run.rules import TreeFacts


def post_change(downtime: Downtime, purpose: str, what: str, wants: dict, seen: dict, by) -> TreeChange:
    """Write a change of trees into the outbox, and return its row. Raises NotAllowed for one that cannot go out."""
    try:
        return post.tree_change(
            key=f"{downtime.about} {what}"[:200], purpose=purpose, about=downtime.about, wants=wants, seen=seen, by=by
        )
    except Unwritable as problem:
        raise NotAllowed(f"The service would not take this: {problem}.") from None


def changes_under_way(downtime: Downtime, purpose: str) -> set[str]:
    """Return the trees of which the outbox holds a change that is under way."""
    rows = TreeChange.objects.under_way().filter(about=downtime.about, purpose=purpose)
    return {name for row in rows for name in row.trees}


def waited_for(
    downtime: Downtime, purpose: str, trees: list[TreeFacts], asked: dict[str, datetime], posted_later: set[str]
) -> set[str]:
    """Return the trees that may still come, of those that were asked for (name: since when); the others failed.

    `posted_later`: what is posted only once other trees have come.
    """
    changes = TreeChange.objects.filter(about=downtime.about, purpose=purpose).order_by("pk")
    newest = {name: one for one in changes for name in one.trees if name in asked and one.created_at >= asked[name]}
    read_at = {tree.name: tree.reading.read_at for tree in trees}
    coming = {name for name, change in newest.items() if _may_come(change, read_at[name])}
    return coming | {name for name in asked if name not in newest and name in posted_later}


def _may_come(change: TreeChange, read_at: datetime | None) -> bool:
    """Answer whether a change is still to be sent, or to be seen by the next poll."""
    if change.state in UNDER_WAY:
        return True
    return change.state == State.ACCEPTED and (read_at is None or read_at <= change.accepted_at)


def happened(row: TreeChange) -> None:
    """Have polling look whether it is so."""
    if row.state == State.ACCEPTED:
        polling.ask_now()
