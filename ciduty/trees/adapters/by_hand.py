"""No service: a tree is what duty says. Closed while a closure of ours stands on it, open when the last was ended."""

from datetime import datetime

from ciduty.trees.models import Closure, Tree, TreeEvent
from ciduty.trees.rules import Source, Status


def settle(tree: Tree, by: str, at: datetime) -> None:
    """Let a tree be what its standing closures say, and write what became of it. Call it in the transaction that acts.

    The newest closure gives the reason. `tree` is locked by the caller.
    """
    newest = Closure.objects.standing().filter(tree=tree).order_by("closed_at", "pk").last()
    status = Status.CLOSED if newest else Status.OPEN
    category, reason = (newest.category, newest.reason) if newest else ("", "")
    said = (status, reason, [category] if category else [])
    before = (tree.status, tree.reason, tree.tags)
    was_known = tree.by_hand and tree.gone_at is None and tree.status != ""
    if was_known and said == before:
        Tree.objects.filter(pk=tree.pk).update(read_at=at)
        return
    moved = not was_known or tree.status != status
    TreeEvent.objects.create(
        tree=tree, at=at, from_status=tree.status if was_known else "", to_status=status, reason=reason,
        category=category, by=by[:255], source=Source.BY_HAND,
    )  # fmt: skip
    Tree.objects.filter(pk=tree.pk).update(
        service=None, status=status, reason=reason, motd="", tags=said[2], log_id=None,
        since=at if moved else tree.since, by=by[:255], read_at=at, gone_at=None,
    )  # fmt: skip
