"""A tree that another downtime needs closed stays closed when one that closed it is over, and passes to that other one.

Several may close one tree; reopening takes away one's own (F55). What passes on is what was written down of it, so that
the other reopens it as it stood before either came.
"""

from datetime import datetime

from ciduty.record import write
from ciduty.trees import workflow
from ciduty.trees.models import Closure, Tree
from downtimes.models import Downtime, RunTree
from downtimes.rules import State
from downtimes.run import before, closing, rules

#: Public: TREE OPEN says it.
LEFT_BECAUSE = "another downtime needs it so, and gives it back"


def lock_in_order() -> None:
    """Lock every downtime that runs, in one order: two that reopen at once come in turn."""
    list(Downtime.objects.under_way().select_for_update().order_by("pk"))


def keepers(downtime: Downtime, names: list[str]) -> dict[str, RunTree]:
    """Return the rows of other downtimes that run and need these trees as they are, by name; of several, the first."""
    waiting = RunTree.objects.filter(
        name__in=names, downtime__state=State.RUNNING, left_at=None, reopen_asked_at=None, opened_at=None
    )
    own = dict(downtime.run_trees.values_list("name", "only_message"))
    rows = waiting.exclude(downtime=downtime).select_related("downtime__duty", "closure").order_by("-downtime_id")
    return {row.name: row for row in rows if row.only_message == own[row.name]}


def pass_on(downtime: Downtime, rows: list[RunTree], *, by, at: datetime) -> list[str]:
    """Pass those of these trees that others need closed to them, and return the sentences that say so."""
    kept = keepers(downtime, [row.name for row in rows])
    trees = {} if closing.how() == closing.BY_HAND else before.trees_of(list(kept))
    said = []
    for row in rows:
        theirs = kept.get(row.name)
        if theirs is not None:
            _pass(downtime, row, theirs, trees.get(row.name), by, at)
            said.append(f"{row.name} stays as it is: {theirs.downtime.about} needs it so, and gives it back.")
    return said


def _pass(downtime: Downtime, row: RunTree, theirs: RunTree, tree: Tree | None, by, at: datetime) -> None:
    other = theirs.downtime
    if _knows_less(theirs, row):
        theirs.before = row.before
    theirs.asked_at, theirs.asked_by = theirs.asked_at or row.asked_at, theirs.asked_by or other.duty or by
    theirs.closed_at, theirs.log_id = theirs.closed_at or at, row.log_id
    if not row.only_message and (theirs.closure is None or theirs.closure.ended_at is not None):
        theirs.closure = closing.closure_of(other, theirs, tree, at) if tree else _closure_by_hand(theirs, by, at)
    theirs.save()
    row.left_at, row.left_by, row.left_because = at, by, LEFT_BECAUSE
    row.save(update_fields=["left_at", "left_by", "left_because"])
    _end_own(downtime, row, by, at)
    write.entry(downtime.about, "pass tree on", f"Left {row.name} to {other.about}, which needs it so", by=by, at=at)
    write.entry(other.about, "take tree over", f"Took {row.name} over from {downtime.about}", by=by, at=at)


def _knows_less(theirs: RunTree, row: RunTree) -> bool:
    """Answer whether what stood before us is what the other has to give back: it came later, upon what is ours."""
    if theirs.closed_at is None or theirs.log_id != row.log_id:
        return True
    upon_ours = rules.is_our_message(theirs.before.get("motd", ""))
    return upon_ours or closing.is_newer(row.before.get("log_id"), theirs.before.get("log_id"))


def _closure_by_hand(theirs: RunTree, by, at: datetime) -> Closure:
    other = theirs.downtime
    until = other.ends_at if other.ends_at and other.ends_at > at else None
    [closure] = workflow.close_by_hand(
        [theirs.name], reason=closing.reason_of(other), category=closing.category(other), bug=other.tracking_bug,
        expected_end=until, by=by, op=f"{other.about} kept {at:%Y%m%dT%H%M%S}", about=other.about,
    )  # fmt: skip
    Closure.objects.filter(pk=closure.pk).update(owner=theirs.asked_by)
    return closure


def _end_own(downtime: Downtime, row: RunTree, by, at: datetime) -> None:
    if closing.how() == closing.BY_HAND:
        workflow.end_by_hand_for(downtime.about, [row.name], by=by)
    else:
        own = Closure.objects.standing().filter(about=downtime.about, tree__name=row.name)
        own.update(ended_at=at, ended_by=by)
