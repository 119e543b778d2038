"""The work in a downtime that runs: each piece starts, lands, is rolled back or left (R33). How bugs hear of it:
`bug_words.py`.
"""

from datetime import datetime

from django.db import transaction

from ciduty import access, clock, states
from ciduty.people.models import logins_of
from ciduty.states import NotAllowed
from ciduty.trees import confidential
from downtimes.models import Downtime, Item
from downtimes.rules import ITEM_MOVES, OUTCOMES, ItemState, State
from downtimes.run import facts, locking, rules
from downtimes.run.rules import Step

#: What the record says of each verb; what people type stands with the item.
SENTENCES = {
    "start": "Work on bug {bug} started",
    "land": "Bug {bug} landed",
    "roll back": "Bug {bug} was rolled back",
    "leave": "Bug {bug} is left undone",
    "take back": "What was said of bug {bug} was taken back",
}
#: TREE OPEN and the bug say why it was not done.
WANT_WORDS = frozenset({"roll back", "leave"})
ANNOUNCED = frozenset({State.ANNOUNCED, State.RUNNING, State.DONE})
NOTHING_SAID = {"ended_at": None, "outcome_words": "", "outcome_by": None}


def may_do(item: Item, by) -> bool:
    """Answer whether the person may say what becomes of a piece of work: its worker, or CiDuty."""
    return access.may_run_downtimes(by) or item.worker.lower() in logins_of(by)


def does_work_in(downtime: Downtime, person) -> bool:
    """Answer whether somebody is named as worker in a downtime as it was announced: then the run sheet is theirs too.

    A plan that is being changed has a title and trees that nobody was told of yet.
    """
    if downtime.told_first_at is None or downtime.state not in ANNOUNCED:
        return False
    workers = {worker.lower() for worker in downtime.items.exclude(worker="").values_list("worker", flat=True)}
    return not workers.isdisjoint(logins_of(person))


@transaction.atomic
def do(item: Item, verb: str, *, by, words: str = "", shown: str = "") -> Item:
    """Say what becomes of a piece of work, and return it; said twice, it is said once. `words` are public.

    `shown` is the state that the person saw: where somebody else went on meanwhile, they look first.
    Raises NotAllowed for who neither does it nor is CiDuty, while the downtime does not run, and where a rule is
    against it.
    """
    downtime = locking.lock_running(item.downtime)
    item = downtime.items.get(pk=item.pk)
    if not may_do(item, by):
        raise NotAllowed("Only the worker of this bug, or CiDuty, says what becomes of it.")
    at, words = clock.now(), words.strip()
    if item.state == ITEM_MOVES.target(verb):
        _want_same_words(item, words)
        return item
    if shown and shown != item.state:
        raise NotAllowed(
            f"Somebody said meanwhile that bug {item.bug_id} is {item.get_state_display().lower()}: look at it as it "
            "is now, then decide again."
        )
    _ask_rules(downtime, item, verb, words, at, by)
    if verb == "start":
        downtime.run_steps.filter(step=Step.CHECKED).delete()  # whether all is well is looked at after the work
    states.move(
        item, ITEM_MOVES, verb, SENTENCES[verb].format(bug=item.bug_id), by=by, at=at, **_changes(verb, words, at, by)
    )
    return item


def _want_same_words(item: Item, words: str) -> None:
    """Raise NotAllowed rather than lose words that differ from what was said before."""
    if words and item.state in OUTCOMES and words != item.outcome_words:
        raise NotAllowed(
            f"Bug {item.bug_id} is {item.get_state_display().lower()} already, in other words: take it back first, "
            "then say it anew."
        )


def _ask_rules(downtime, item: Item, verb: str, words: str, at: datetime, by) -> None:
    if verb in WANT_WORDS and not words:
        raise NotAllowed("Say why, for everybody: TREE OPEN and the bug tell it.")
    if private := confidential.why_not_said([words], [item.bug_id]):
        raise NotAllowed(private)
    if verb == "take back" and item.update_id is not None:
        raise NotAllowed(f"Bug {item.bug_id} was told its outcome already: correct it there, in a comment.")
    if verb == "start" and ITEM_MOVES.allow(verb, item.state):
        against = rules.refusals("start", facts.facts_of(downtime, at, by))
        if against:
            raise NotAllowed(" ".join(against))


def _changes(verb: str, words: str, at: datetime, by) -> dict:
    target = ITEM_MOVES.target(verb)
    if target in OUTCOMES:
        # What was told its outcome, and has another one now, is told anew.
        return {"ended_at": at, "outcome_words": words, "outcome_by": by, "update_id": None}
    return NOTHING_SAID | {"started_at": at if target == ItemState.UNDER_WAY else None}
