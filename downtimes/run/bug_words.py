"""The outcome of each piece of work, told to its bug: comment, flag and whiteboard, shown before they are sent (R33).

What is written stands in `downtimes/flag_writes.py`. The nomination moves with it: it is done, or waits again.
"""

from dataclasses import dataclass
from hashlib import sha256

from django.db import transaction

from ciduty import clock, states
from ciduty.outbox import changes, post
from ciduty.outbox.models import BugUpdate
from ciduty.record import write
from ciduty.states import NotAllowed
from downtimes import flag_writes, telling
from downtimes.models import Downtime, Item
from downtimes.rules import NOMINATION_MOVES, OUTCOMES, UNDER_WAY, ItemState, NominationState

#: Where a nomination is -> its verb. Of what landed nothing is owed any more; everything else is to be decided again,
#: also what was told as landed and did not stick.
_WAITS = {NominationState.ACCEPTED: "take out", NominationState.DONE: "ask again"}
_NOMINATION_VERBS = {
    ItemState.LANDED: {NominationState.ACCEPTED: "finish"},
    ItemState.ROLLED_BACK: _WAITS,
    ItemState.NOT_DONE: _WAITS,
}
_SENTENCES = {
    ItemState.LANDED: "{outcome}: this was done in the tree-closing downtime that began at {begun}.",
    ItemState.ROLLED_BACK: "{outcome}: this was tried in the tree-closing downtime that began at {begun}, and taken "
    "back. It waits for a decision again.",
    ItemState.NOT_DONE: "{outcome}: this was left out of the tree-closing downtime that began at {begun}. It waits for "
    "a decision again.",
}
#: What stands in `Item.update_id` where a person told the bug.
BY_HAND = 0


@dataclass(frozen=True)
class Draft:
    """What would be written into the bug of one item. `by_hand`: why a person does it instead; then no preview."""

    item: Item
    verb: str  # of `flag_writes.WRITES`
    op: str
    preview: changes.Preview | None = None
    by_hand: str = ""


def drafts(downtime: Downtime) -> list[Draft]:
    """Return what would be written into each bug whose outcome is known and not told. Three queries."""
    items = list(_untold(downtime))
    if not items:
        return []
    known = flag_writes.known_of([item.bug_id for item in items])
    return [_draft(downtime, item, known[item.bug_id]) for item in items]


def _untold(downtime: Downtime):
    waiting = downtime.items.filter(state__in=list(OUTCOMES), update_id=None)
    return waiting.select_related("nomination", "outcome_by")


def _draft(downtime: Downtime, item: Item, known: flag_writes.Known) -> Draft:
    verb, op = str(item.state), op_of(item)
    if known.is_hidden:
        why = f"CiDuty’s account cannot see bug {item.bug_id}: tell it by hand, then say that it is told."
        return Draft(item, verb, op, by_hand=why)
    if item.nomination is None:
        why = f"Nobody’s nomination belongs to bug {item.bug_id}: tell it by hand, then say that it is told."
        return Draft(item, verb, op, by_hand=why)
    try:
        comment = words_of(downtime, item)
        preview = flag_writes.preview_of(known, item.bug_id, verb, by=_signer(downtime, item), op=op, comment=comment)
    except changes.Unwritable as problem:
        why = f"Bugzilla would refuse it ({problem}): tell bug {item.bug_id} by hand, then say that it is told."
        return Draft(item, verb, op, by_hand=why)
    return Draft(item, verb, op, preview)


def op_of(item: Item) -> str:
    """Return what marks the write of an outcome: the same for the same outcome and words, another one for others."""
    facts = [item.pk, item.bug_id, item.state, item.outcome_words, item.outcome_by_id, item.started_at, item.ended_at]
    return sha256("\0".join(map(str, facts)).encode()).hexdigest()[:8]


def words_of(downtime: Downtime, item: Item) -> str:
    """Return the comment that tells an outcome, with the words that a person typed for everybody."""
    begun = flag_writes.in_three_zones(downtime.begun_at or downtime.starts_at)
    said = _SENTENCES[ItemState(item.state)].format(outcome=OUTCOMES[ItemState(item.state)], begun=begun)
    return f"{said}\n\n{item.outcome_words.strip()}" if item.outcome_words.strip() else said


def _signer(downtime: Downtime, item: Item):
    """Return whose words they are; who only sends them signs nothing."""
    return item.outcome_by or downtime.duty or downtime.made_by


@transaction.atomic
def tell(downtime: Downtime, *, by, shown: dict[int, str]) -> list[BugUpdate]:
    """Write down what each bug is told, as it was shown: item -> the op of its draft; returns the rows.

    Told twice, a bug is told once. Where a person tells it by hand, it counts as told from now on. Raises NotAllowed
    when an outcome was changed after it was shown.
    """
    downtime = telling.lock(downtime)
    waiting = {draft.item.pk: draft for draft in drafts(downtime)}
    if waiting and shown and downtime.state not in UNDER_WAY:
        raise NotAllowed("This downtime is over: tell the bugs by hand what became of them.")
    chosen = [waiting[pk] for pk in shown if pk in waiting]
    changed = [f"bug {draft.item.bug_id}" for draft in chosen if draft.op != shown[draft.item.pk]]
    if changed:
        raise NotAllowed(
            f"The outcome of {', '.join(changed)} was changed after you looked: nothing was sent. Read it as it is "
            "now, then send it."
        )
    _refuse_what_has_no_outcome(downtime, shown)
    return [row for draft in chosen if (row := _tell(downtime, draft, by)) is not None]


def _refuse_what_has_no_outcome(downtime: Downtime, shown: dict[int, str]) -> None:
    """Raise NotAllowed for work that was taken back after it was shown, and for work of no item here."""
    there = dict(downtime.items.filter(pk__in=list(shown)).values_list("pk", "state"))
    if any(there.get(pk) not in OUTCOMES for pk in shown):
        raise NotAllowed("An outcome was taken back after you looked: nothing was sent. Look at the work as it is now.")


def _tell(downtime: Downtime, draft: Draft, by) -> BugUpdate | None:
    item, row = draft.item, None
    if not draft.by_hand:
        comment = words_of(downtime, item)
        signer = _signer(downtime, item)
        row = flag_writes.tell(item.nomination, draft.verb, by=signer, op=draft.op, comment=comment)
    Item.objects.filter(pk=item.pk).update(update_id=row.pk if row else BY_HAND)
    outcome = OUTCOMES[ItemState(item.state)]
    how = "in its bug" if row else "in its bug by hand"
    sentence = f"Told the outcome of bug {item.bug_id} {how}: {outcome}"
    write.entry(downtime.about, "told a bug", sentence, by=by, caused=[row] if row else [])
    _move_nomination(downtime, item, row, by)
    if row is None:
        post.nobody_told(downtime.about, draft.by_hand, by=by)
    return row


def _move_nomination(downtime: Downtime, item: Item, row: BugUpdate | None, by) -> None:
    nomination = item.nomination
    verb = _NOMINATION_VERBS[ItemState(item.state)].get(nomination.state) if nomination else None
    if verb is None:
        return
    outcome = OUTCOMES[ItemState(item.state)]
    what = "Done" if verb == "finish" else "Waits for a decision again"
    states.move(
        nomination, NOMINATION_MOVES, verb, f"{what}: {outcome} in “{downtime.title}”", by=by, at=clock.now(),
        entry={"caused": [str(row)]} if row else {}, flag_wanted="", update_id=row.pk if row else nomination.update_id,
    )  # fmt: skip
