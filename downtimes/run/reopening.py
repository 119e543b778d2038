"""Reopens what is ours, and only that: by its log as it was read and verified, never by its words (R31, F55).

Here it is only asked for: *open* is what polling says afterwards (`verifying.py`).
"""

from datetime import datetime

from django.db import transaction

from ciduty import clock
from ciduty.outbox import purposes
from ciduty.outbox.models import TreeChange
from ciduty.record import write
from ciduty.states import NotAllowed
from ciduty.trees import polling, workflow
from ciduty.trees.rules import Status
from downtimes.models import Downtime, RunTree
from downtimes.rules import State
from downtimes.run import before, changing, closing, facts, keeping, locking, rules
from downtimes.run.closing import BY_HAND, LINK, PATCH
from downtimes.run.rules import OURS, SETTLED, Step, TreeFacts, Word

REOPEN = "downtimes: reopen trees"


@transaction.atomic
def reopen(downtime: Downtime, names: list[str] | None = None, *, by, op: str) -> list[str]:
    """Ask for its trees to be reopened, or those of these names; return why others stay, as sentences.

    Asked twice, it is done once. Raises NotAllowed with every gate that is against it, for what is not verified now,
    and for a named tree that is not ours.
    """
    locking.want_ciduty(by)
    keeping.lock_in_order()
    downtime = locking.lock_running(downtime, by=by)
    closing.take_back_leaving(downtime, names)
    at = clock.now()
    rows = {row.name: row for row in downtime.run_trees.all()}
    closing.want_names(rows, names)
    seen = facts.facts_of(downtime, at, by)
    against = rules.refusals("reopen", seen)
    if against:
        raise NotAllowed(" ".join(against))
    chosen, staying = _judged(downtime, seen.trees, names)
    _want_verified([*chosen, *staying], at)
    _want_not_changing(downtime, chosen)
    closing.keep_below(downtime, [rows[tree.name] for tree in chosen])
    sentences = [rules.why_not_settled(tree) for tree in staying]
    if sentences and (names is not None or not chosen):
        raise NotAllowed(" ".join(sentences))
    kept = keeping.pass_on(downtime, [rows[tree.name] for tree in chosen if _stands(tree)], by=by, at=at)
    goes = [rows[tree.name] for tree in chosen if rows[tree.name].left_at is None]
    if goes:
        _reopen(downtime, goes, by, op, at)
    elif kept:
        downtime.run_steps.filter(step=Step.SHERIFF_AGREES).delete()
    return sentences + kept


def _judged(
    downtime: Downtime, trees: tuple[TreeFacts, ...], names: list[str] | None
) -> tuple[list[TreeFacts], list[TreeFacts]]:
    """Return the trees that may go, and those that stay as they are; what was asked for or is settled is neither."""
    asked = {tree.name: tree.row.reopen_asked_at for tree in trees if tree.word == Word.REOPENING}
    over_api = closing.how() == PATCH
    waits = set(asked)
    if over_api:
        later = {tree.name for tree in trees if not tree.row.only_message}
        waits = changing.waited_for(downtime, REOPEN, list(trees), asked, later)
    under_way = changing.changes_under_way(downtime, REOPEN)
    chosen, staying = [], []
    for tree in trees:
        if names is not None and tree.name not in names:
            continue
        if tree.word == Word.REOPENING:
            is_named = names is not None and over_api  # it need not wait for other trees
            if tree.name not in waits or (is_named and tree.name not in under_way):
                chosen.append(tree)
        elif is_ours(tree):
            chosen.append(tree)
        elif tree.word not in SETTLED:
            staying.append(tree)
    return chosen, staying


def is_ours(tree: TreeFacts) -> bool:
    """Answer whether a tree is closed by us or carries our message, as it was read last."""
    return tree.word in OURS or closing.holds_our_message(tree)


def _stands(tree: TreeFacts) -> bool:
    """Answer whether our closure or our message stands on a tree that may go."""
    return is_ours(tree) or (tree.word == Word.REOPENING and rules.is_closed(tree.reading.status))


def _want_verified(trees: list[TreeFacts], at: datetime) -> None:
    """Raise NotAllowed for trees of which nobody knows how they stand now (F57); that one is gone is known."""
    there = [tree for tree in trees if tree.word != Word.GONE]
    unsure = [tree.name for tree in there if not tree.reading.status or not tree.is_verified]
    if unsure:
        problem = facts.service_problem(at) or "wait for the next poll."
        raise NotAllowed(
            f"How {rules.named(unsure)} stands is not verified now: {problem} Name the other trees to reopen those."
        )


def _want_not_changing(downtime: Downtime, trees: list[TreeFacts]) -> None:
    """Raise NotAllowed for trees whose closing was sent and not looked at yet: nobody knows what it stands on (F55)."""
    changing_now = closing.being_changed(downtime, purpose=closing.CLOSE)
    names = [tree.name for tree in trees if tree.name in changing_now]
    if names:
        raise NotAllowed(f"{rules.named(names)} is being changed at the service this moment: look again in a minute.")


def _reopen(downtime: Downtime, rows: list[RunTree], by, op: str, at: datetime) -> None:
    for row in rows:
        row.reopen_asked_at, row.reopen_asked_by, row.opened_at = at, by, None
        row.save(update_fields=["reopen_asked_at", "reopen_asked_by", "opened_at"])
    downtime.run_steps.filter(step=Step.SHERIFF_AGREES).delete()  # they spoke of how it was before
    caused = {BY_HAND: _open_by_hand, LINK: _open_there, PATCH: _open_over_api}[closing.how()](
        downtime, rows, by, op, at
    )
    words = {
        BY_HAND: "Reopened {} by hand", LINK: "{} to be reopened at the service", PATCH: "Asked to reopen {}",
    }[closing.how()]  # fmt: skip
    names = rules.named(row.name for row in rows)
    write.entry(downtime.about, "reopen trees", words.format(names), by=by, at=at, caused=caused)


def _open_by_hand(downtime: Downtime, rows: list[RunTree], by, op: str, at: datetime) -> list:
    workflow.end_by_hand_for(downtime.about, [row.name for row in rows if not row.only_message], by=by)
    for row in rows:
        row.opened_at = at
        row.save(update_fields=["opened_at"])
    return []


def _open_there(downtime: Downtime, rows: list[RunTree], by, op: str, at: datetime) -> list:
    polling.ask_now()
    return []


def _open_over_api(downtime: Downtime, rows: list[RunTree], by, op: str, at: datetime) -> list:
    """Post what goes back: messages first, one row each; what a soft close closed waits until those are gone."""
    told, caused = [row for row in rows if row.only_message], []
    now_there = before.trees_of([row.name for row in told])
    for row in told:
        motd = now_there[row.name].motd
        wants = {"trees": [row.name], "motd": rules.given_back(row.before.get("motd", ""), motd)}
        seen = {"motd": motd}
        caused.append(changing.post_change(downtime, REOPEN, f"untell {row.name} {op}", wants, {row.name: seen}, by))
    closed = [row for row in rows if not row.only_message]
    if closed and not told:
        caused.append(_post_closed(downtime, closed, f"reopen {op}", by))
    return caused


def _post_closed(downtime: Downtime, rows: list[RunTree], what: str, by) -> TreeChange:
    now_there = before.trees_of([row.name for row in rows])
    seen = {row.name: {"status": "closed", "reason": now_there[row.name].reason, "log_id": row.log_id} for row in rows}
    return changing.post_change(downtime, REOPEN, what, {"each": [_as_before(row) for row in rows]}, seen, by)


def _as_before(row: RunTree) -> dict:
    """Return what a tree is given back: closed, where a sheriff closed it in the moment before us."""
    status = row.before.get("status")
    status = status if status in Status.values else Status.OPEN
    return {
        "tree": row.name, "status": str(status), "reason": row.before.get("reason", ""),
        "tags": row.before.get("tags", []),
    }  # fmt: skip


def post_what_waits(downtime: Downtime, at: datetime) -> list[TreeChange]:
    """Post the reopening of what a soft close closed, once no message is left to take away; return the new rows."""
    waits = downtime.run_trees.filter(only_message=False, opened_at=None).exclude(reopen_asked_at=None)
    if closing.how() != PATCH or not waits.exists():
        return []
    trees = {tree.name: tree for tree in facts.trees_of(downtime, at)}
    if any(tree.word == Word.REOPENING and tree.row.only_message for tree in trees.values()):
        return []
    posted = TreeChange.objects.filter(about=downtime.about, purpose=REOPEN)
    found = []
    for row in waits.select_related("reopen_asked_by"):
        tree = trees[row.name]
        is_posted = any(one.created_at >= row.reopen_asked_at and row.name in one.trees for one in posted)
        if tree.word == Word.REOPENING and tree.is_verified and not is_posted:
            what = f"reopen {row.name} {row.reopen_asked_at.isoformat()}"
            found.append(_post_closed(downtime, [row], what, row.reopen_asked_by))
    return found


# --- what the outbox asks and tells -----------------------------------------------------------------------------------


def register() -> None:
    """Make known why trees are reopened over the service's API."""
    purposes.register(purposes.Purpose(REOPEN, "Trees are reopened after a downtime", may_still_go, happened))


def may_still_go(row: TreeChange) -> purposes.Stop | None:
    """Drop what is not wanted any more: the downtime is over, or a tree was left or is to close again."""
    downtime = locking.named(row.about)
    if downtime is None or downtime.state != State.RUNNING:
        return purposes.Stop("The downtime does not run any more: its trees are left as they are.", for_good=True)
    there = downtime.run_trees.filter(name__in=row.trees)
    gone = [one.name for one in there if not _is_to_reopen(one)]
    return changing.drop(gone, "reopened") if gone else None


def _is_to_reopen(row: RunTree) -> bool:
    return row.reopen_asked_at is not None and row.left_at is None


def happened(row: TreeChange) -> None:
    """Have polling look whether it is so; of what was dropped because of one tree the others still reopen."""
    changing.happened(row)
    downtime = locking.named(row.about)
    if downtime is not None and downtime.state == State.RUNNING:
        there = downtime.run_trees.filter(opened_at=None)
        changing.post_rest(row, downtime, {one.name for one in there if _is_to_reopen(one)})
