"""The rows of a run sheet: each tree, each piece of work, each step, as one person may see it. Reads nothing itself."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ciduty.bugzilla.models import Visibility
from downtimes.models import Item, RunStep, RunTree
from downtimes.rules import ITEM_MOVES, OUTCOMES, ItemState
from downtimes.run import ownership
from downtimes.run.rules import OURS, RunFacts, Step, TreeFacts, Word, is_closed

MINUTE = timedelta(minutes=1)
#: Something is wrong with a tree that says so while the window runs.
TROUBLE = frozenset({Word.CLOSED_BY_OTHERS, Word.REOPENED_BY_OTHERS, Word.GONE, Word.UNKNOWN})
#: Somebody else's closure, as long as nobody says that it is ours.
NOT_OURS = frozenset({Word.CLOSED_BEFORE, Word.CLOSED_BY_OTHERS})
#: Verb that wants words, or may have some -> what its button says; below a field. The others are buttons alone.
WITH_WORDS = {"land": "Landed", "roll back": "Rolled back", "leave": "Not done"}


# --- trees ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TreeLine:
    """One tree of the sheet. `why` is a sentence that all who see the sheet may read (`facts.py` saw to the reason)."""

    name: str
    word: Word
    why: str
    since: datetime | None
    whose: str
    is_verified: bool
    is_trouble: bool
    may_claim: bool
    may_leave: bool


def tree_lines(facts: RunFacts, rows: list[RunTree], is_running: bool, failed: dict[str, str]) -> list:
    """Return the trees in the order in which they are closed. `failed`: what the outbox says of those asked in vain."""
    by_name = {row.name: row for row in rows}
    return [_tree_line(tree, by_name.get(tree.name), is_running, failed.get(tree.name)) for tree in facts.trees]


def _tree_line(tree: TreeFacts, row: RunTree | None, is_running: bool, failed: str | None) -> TreeLine:
    word = tree.word
    return TreeLine(
        name=tree.name,
        word=word,
        why=_why(tree, row) if failed is None else f"{_why(tree, row)} It was tried in vain: {failed}",
        since=_since(tree, row),
        whose=_whose(word, row),
        is_verified=tree.is_verified,
        is_trouble=word in TROUBLE or failed is not None,
        may_claim=is_running and _may_be_ours(tree),
        may_leave=is_running and row is not None and word not in OURS and not tree.is_settled,
    )


def _may_be_ours(tree: TreeFacts) -> bool:
    """Answer whether a person may say that it is ours: what closes it, at a service, or that it was reopened there."""
    if ownership.may_be_our_reopening(tree):
        return True
    own = tree.row
    from_before = is_closed(own.status_before) and own.asked_at is None
    can_be = not own.by_hand and not own.only_message and not from_before
    return can_be and tree.word in NOT_OURS and tree.is_verified


def _since(tree: TreeFacts, row: RunTree | None) -> datetime | None:
    own = {
        Word.CLOSED: tree.row.closed_at,
        Word.TOLD: tree.row.closed_at,
        Word.OPEN: tree.row.opened_at,
        Word.CLOSING: tree.row.asked_at,
        Word.TELLING: tree.row.asked_at,
        Word.REOPENING: tree.row.reopen_asked_at,
        Word.LEFT: row.left_at if row else None,
    }.get(tree.word)
    return own or tree.reading.since


def _whose(word: Word, row: RunTree | None) -> str:
    if word in OURS or (word == Word.REOPENING and row is not None):
        return "ours, claimed by hand" if row is not None and row.claimed_by_id else "ours"
    return "not ours" if word in NOT_OURS else ""


def _why(tree: TreeFacts, row: RunTree | None) -> str:
    reason = tree.reading.reason or "no reason is told"
    sentences = {
        Word.TO_CLOSE: f"It reads {tree.reading.status}, and nobody asked for it to be closed yet.",
        Word.CLOSING: f"We asked, and it still reads {tree.reading.status}.",
        Word.CLOSED: reason,
        Word.CLOSED_BEFORE: f"Closed before we came: {reason}. It stays as it is.",
        Word.CLOSED_BY_OTHERS: f"Closed for another reason: {reason}.",
        Word.REOPENED_BY_OTHERS: "Somebody else reopened it: ask the sheriff, then close it again or leave it."
        + (" If it was one of us, say that it is ours." if ownership.may_be_our_reopening(tree) else ""),
        Word.TO_TELL: "It stays open, and gets a message of the day.",
        Word.TELLING: "We asked for our message, and it does not stand there yet.",
        Word.TOLD: "It is open, and our message stands there.",
        Word.REOPENING: f"We asked to reopen it, and it still reads {tree.reading.status}.",
        Word.OPEN: f"It reads {tree.reading.status}.",
        Word.LEFT: tree.row.left_because or "No reason is written down.",
        Word.GONE: "The service tells of it no more, and gone is not open.",
        Word.UNKNOWN: "Nobody knows how it stands, and unknown is not open.",
    }
    return sentences[tree.word]


# --- the work ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WorkLine:
    """One piece of work. `planned_end`: by when it should be over, counted from the start of the window."""

    pk: int
    bug: int
    text: str
    stands: Visibility
    state: ItemState
    worker: str
    minutes: int | None
    planned_end: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    took: timedelta | None  # in whole minutes
    drift: str
    is_behind: bool
    outcome: str
    steps: str
    rollback: str
    rollback_minutes: int | None
    may_start: bool
    may_take_back: bool
    with_words: tuple[tuple[str, str], ...]  # verbs below a field for public words
    typed: str = ""
    problems: tuple[str, ...] = ()


def work_lines(items: list[Item], visibility: dict, start: datetime | None, at: datetime, may) -> list[WorkLine]:
    """Return the work in order. `visibility` of each bug; `may`: what this person may (`Rights`)."""
    lines, end = [], start
    for item in items:
        if end is not None:
            end = end + MINUTE * (item.minutes or 0)
        lines.append(_work_line(item, Visibility(visibility.get(item.bug_id, Visibility.RESTRICTED)), end, at, may))
    return lines


@dataclass(frozen=True)
class Rights:
    """What one person may on the sheet of a downtime that runs."""

    is_running: bool = False
    runs: bool = False  # the person is of CiDuty
    reads_staff_words: bool = False
    logins: frozenset[str] = frozenset()
    may_start: bool = True  # every tree that was to be closed is
    sees_plans: bool = False

    def works_on(self, item: Item) -> bool:
        """Answer whether this person moves this piece of work: its worker, or CiDuty."""
        return self.is_running and (self.runs or self.is_worker_of(item))

    def is_worker_of(self, item: Item) -> bool:
        """Answer whether this person is named as its worker."""
        return bool(item.worker) and item.worker.lower() in self.logins


def _work_line(item: Item, stands: Visibility, end: datetime | None, at: datetime, may: Rights) -> WorkLine:
    readable = stands == Visibility.PUBLIC or (stands == Visibility.STAFF and may.reads_staff_words)
    reads_plan = readable or may.runs or may.sees_plans or may.is_worker_of(item)
    # What was confirmed for a bug as private as it is now is public.
    reads_words = reads_plan or (item.confirmed_by_id is not None and item.confirmed_as == stands)
    verbs = _verbs(item, may)
    drift, is_behind = _drift(item, end, at)
    return WorkLine(
        pk=item.pk,
        bug=item.bug_id,
        text=item.public_text if reads_words else "",
        stands=stands,
        state=ItemState(item.state),
        worker=item.worker if readable or may.reads_staff_words else "",
        minutes=item.minutes,
        planned_end=end,
        started_at=item.started_at,
        ended_at=item.ended_at,
        took=((item.ended_at or at) - item.started_at) // MINUTE * MINUTE if item.started_at else None,
        drift=drift,
        is_behind=is_behind,
        outcome=item.outcome_words if reads_words else "",
        steps=item.steps if reads_plan else "",
        rollback=item.rollback if reads_plan else "",
        rollback_minutes=item.rollback_minutes,
        may_start="start" in verbs,
        may_take_back="take back" in verbs,
        with_words=tuple((verb, WITH_WORDS[verb]) for verb in verbs if verb in WITH_WORDS),
    )


def _verbs(item: Item, may: Rights) -> list[str]:
    """Return the verbs that the table allows now; a bug that was told its outcome takes nothing back."""
    if not may.works_on(item):
        return []
    verbs = [verb for verb in ITEM_MOVES if ITEM_MOVES.allow(verb, item.state)]
    if not may.may_start:
        verbs = [verb for verb in verbs if verb != "start"]
    is_told = item.update_id is not None
    return [verb for verb in verbs if not (is_told and verb == "take back")]


def _drift(item: Item, end: datetime | None, at: datetime) -> tuple[str, bool]:
    """Return how far from its planned end a piece of work is, in words, and whether it is behind."""
    if end is None or (item.ended_at is None and item.state != ItemState.UNDER_WAY and at <= end):
        return "", False
    if item.state == ItemState.NOT_DONE:
        return "", False
    late = ((item.ended_at or at) - end) // MINUTE
    if item.ended_at is None and late <= 0:
        return f"{-late} min left", False
    if late > 0:
        return f"{late} min behind", True
    return f"{-late} min ahead" if late else "on time", False


def outcomes_missing(lines: list[WorkLine]) -> int:
    """Return how many pieces of work have no outcome yet."""
    return sum(1 for line in lines if line.state not in OUTCOMES)


# --- steps ------------------------------------------------------------------------------------------------------------

#: What the field of a step asks for; "" where a button alone does.
ASKS = {
    Step.NORMAL: "What you saw, or where the pictures are (optional)",
    Step.TOUCHED_BASE: "With whom (optional)",
    Step.REPLIES_READ: "What they said, in short (optional)",
    Step.SHERIFF_TOLD: "The sheriff’s name",
    Step.CHECKED: "What you looked at (optional)",
    Step.SHERIFF_AGREES: "The sheriff’s name",
}
#: What its button says.
DOES = {
    Step.NORMAL: "I looked",
    Step.TOUCHED_BASE: "I touched base",
    Step.REPLIES_READ: "I read them",
    Step.SHERIFF_TOLD: "I told the sheriff",
    Step.CHECKED: "I checked",
    Step.SHERIFF_AGREES: "The sheriff says so",
}


@dataclass(frozen=True)
class StepLine:
    """One step that people tick off, and who did it when."""

    step: Step
    done: RunStep | None
    asks: str
    does: str
    may: bool
    typed: str = ""
    problems: tuple[str, ...] = ()
    shown: int | None = None  # the newest reply that stands above it


def step_line(step: Step, done: dict[str, RunStep], may: bool, mend=None, shown: int | None = None) -> StepLine:
    """Return a step; `mend` is the form that was refused, where it was this step's."""
    mine = mend is not None and mend.data.get("step") == step
    return StepLine(
        step,
        done.get(step),
        ASKS[step],
        DOES[step],
        may,
        mend.data.get("words", "") if mine else "",
        problems_of(mend) if mine else (),
        shown,
    )


def problems_of(form) -> tuple[str, ...]:
    """Return what is wrong with a form, each sentence once."""
    return tuple(dict.fromkeys(sentence for sentences in form.errors.values() for sentence in sentences))
