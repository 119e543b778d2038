"""Whose a closure is, said by a person: it is ours after all, or the tree is left as it is, with a sheriff's name.

What the log proves by itself is in `verifying.py`; which trees pass to another downtime in `keeping.py`.
"""

from datetime import datetime

from django.db import transaction

from ciduty import clock
from ciduty.record import write
from ciduty.states import NotAllowed
from ciduty.trees import confidential, polling
from ciduty.trees.models import Closure
from downtimes.models import Downtime, RunTree
from downtimes.run import before, closing, facts, locking, rules
from downtimes.run.rules import Step, TreeFacts, Word


@transaction.atomic
def claim(downtime: Downtime, name: str, *, by) -> RunTree:
    """Say that the closure which stands on a tree is ours, whatever its words; said twice, it is said once.

    Where people change trees at the service, one that reads reopened is said to be reopened by us. Raises NotAllowed
    while nobody knows how it stands, and for what was closed before it began.
    """
    downtime = locking.lock_running(downtime, by=by)
    at = clock.now()
    row, tree = _row_and_tree(downtime, name, at)
    if may_be_our_reopening(tree):
        return _claim_reopening(downtime, row, by, at)
    if tree.word == Word.CLOSED and row.claimed_by_id == by.pk:
        return row
    against = _why_not_claim(tree)
    if against:
        raise NotAllowed(against)
    now_there = before.trees_of([name])[name]
    row.asked_at, row.asked_by = row.asked_at or now_there.read_at, row.asked_by or by
    row.closed_at, row.log_id, row.claimed_by = at, now_there.log_id, by
    row.reopen_asked_at = row.reopen_asked_by = row.opened_at = row.left_at = row.left_by = None
    row.left_because = ""
    row.closure = closing.closure_of(downtime, row, now_there, at)
    row.save()
    downtime.run_steps.filter(step=Step.SHERIFF_AGREES).delete()  # they spoke of how it was before
    write.entry(downtime.about, "claim tree", f"Said that what closes {name} is ours", by=by, at=at)
    return row


def may_be_our_reopening(tree: TreeFacts) -> bool:
    """Answer whether one of us may have given a tree back at the service before anybody asked for it here."""
    return closing.how() == closing.LINK and tree.word == Word.REOPENED_BY_OTHERS and tree.is_verified


def _claim_reopening(downtime: Downtime, row: RunTree, by, at: datetime) -> RunTree:
    """Write down that we gave a tree back; that it is open, the next poll says."""
    against = rules.refusals("reopen", facts.facts_of(downtime, at, by))
    if against:
        raise NotAllowed(" ".join(against))
    row.reopen_asked_at, row.reopen_asked_by = at, by
    row.save(update_fields=["reopen_asked_at", "reopen_asked_by"])
    downtime.run_steps.filter(step=Step.SHERIFF_AGREES).delete()
    polling.ask_now()
    write.entry(downtime.about, "claim tree", f"Said that {row.name} was reopened by us", by=by, at=at)
    return row


def _row_and_tree(downtime: Downtime, name: str, at: datetime) -> tuple[RunTree, TreeFacts]:
    rows = {row.name: row for row in downtime.run_trees.all()}
    closing.want_names(rows, [name])
    return rows[name], next(tree for tree in facts.trees_of(downtime, at) if tree.name == name)


def _why_not_claim(tree: TreeFacts) -> str:
    if tree.row.by_hand:
        return f"Trees are kept by hand here: whose closures stand on {tree.name} is known. Nothing was changed."
    if tree.word not in closing.CLOSED_ALREADY or tree.row.only_message:
        return f"{tree.name} is not closed by anybody else: there is nothing to claim."
    if tree.row.status_before not in rules.OPENS and tree.row.asked_at is None:
        return f"{tree.name} was closed before this downtime began: that is not ours to open. Leave it as it is."
    if not tree.is_verified:
        return f"How {tree.name} stands is not verified now: wait for a poll that answers, then say so again."
    return ""


# --- left as it is ----------------------------------------------------------------------------------------------------


@transaction.atomic
def leave(downtime: Downtime, name: str, *, by, because: str) -> RunTree:
    """Leave a tree as it is, with the reason and the sheriff's name, which TREE OPEN tells; what was ours ends.

    Raises NotAllowed for what is closed by us, carries our message, or is being changed this moment.
    """
    downtime = locking.lock_running(downtime, by=by)
    at, because = clock.now(), " ".join(because.split())
    row, tree = _row_and_tree(downtime, name, at)
    if not because:
        raise NotAllowed(f"Say why {name} is left as it is, and which sheriff says so: TREE OPEN tells everybody.")
    if private := confidential.why_not_said([because]):
        raise NotAllowed(private)
    if row.left_at is not None and row.left_because == because[: closing.LONGEST_REASON]:
        return row
    against = _why_not_leave(downtime, tree)
    if against:
        raise NotAllowed(against)
    row.left_at, row.left_by, row.left_because = at, by, because[: closing.LONGEST_REASON]
    row.save(update_fields=["left_at", "left_by", "left_because"])
    downtime.run_steps.filter(step=Step.SHERIFF_AGREES).delete()  # they spoke of how it was before
    Closure.objects.standing().filter(about=downtime.about, tree__name=name).update(ended_at=at, ended_by=by)
    write.entry(downtime.about, "leave tree", f"Left {name} as it is, with a reason for everybody", by=by, at=at)
    return row


def _why_not_leave(downtime: Downtime, tree: TreeFacts) -> str:
    name = tree.name
    if tree.word == Word.CLOSED:
        return f"{name} is closed by us: reopen it. Only what is not ours is left as it is."
    if tree.word == Word.REOPENING and (rules.is_closed(tree.reading.status) or tree.row.only_message):
        return f"{name} does not read as before yet: wait for a poll, or give it back at the service yourself."
    if closing.holds_our_message(tree):
        return f"Our message still stands on {name}: take it away first, with the others that reopen."
    if tree.word == Word.OPEN and tree.is_verified:
        return f"{name} is open, and nothing is owed to it: there is nothing to leave."
    if name in closing.being_changed(downtime):
        return f"{name} is being changed at the service this moment: look again in a minute."
    return ""
