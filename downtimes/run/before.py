"""How the trees of a downtime stood before we touched them: kept when it begins, given back when they reopen."""

from ciduty.trees import polling
from ciduty.trees.models import Tree
from downtimes.models import Downtime, RunTree
from downtimes.run import facts


def keep(downtime: Downtime) -> list[RunTree]:
    """Write a row for each tree that the plan names, with how it stands now, and return them."""
    rows = facts.planned_trees(downtime)
    standing = standing_of([row.name for row in rows])
    for row in rows:
        row.before = standing[row.name]
    return RunTree.objects.bulk_create(rows)


def standing_of(names: list[str]) -> dict[str, dict]:
    """Return how trees of these names stand, as it was read last. At most two queries."""
    by_hand = polling.current_service() is None
    rows = trees_of(names)
    return {name: _standing(rows.get(name), by_hand) for name in names}


def trees_of(names: list[str]) -> dict[str, Tree]:
    """Return the trees of these names that what is configured now tells of, by name; none that is gone."""
    service = polling.current_service()
    if service is not None and service.pk is None:
        return {}  # it was never read
    rows = Tree.objects.filter(name__in=names, service=service, gone_at=None)
    return {row.name: row for row in rows}


def _standing(row: Tree | None, by_hand: bool) -> dict:
    # Where duty keeps the trees by hand, one that nobody ever spoke of is open.
    status = (row.status if row else "") or ("open" if by_hand else "")
    if row is None:
        return {"status": status, "reason": "", "tags": [], "log_id": None, "motd": ""}
    return {"status": status, "reason": row.reason, "tags": row.tags, "log_id": row.log_id, "motd": row.motd}
