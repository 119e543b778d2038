"""What must hold while a downtime runs: what a tree amounts to, and the gates before begin, close, reopen, TREE OPEN.

Pure: values and the moment in, answers out. Rules are numbered as in the process of 2012 (R28 to R34); F is safety.md.
The clock decides nothing here: *closed* and *open* are what polling said after we asked (design.md, decisions 7 and 8).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import TextChoices

#: A reading older than this verifies nothing: while something runs, trees are read every minute.
VERIFIED_WITHIN = timedelta(minutes=3)
#: Tree closing windows: a reminder an hour before, touching base a quarter of an hour before.
REMIND_BEFORE, TOUCH_BASE_BEFORE = timedelta(hours=1), timedelta(minutes=15)
#: What is closed first, and reopened last, on a soft close.
AUTOLAND = "autoland"
MESSAGE = "Tree closing window in progress: developers handle their own restarts"
#: What people put between our message and theirs.
BETWEEN_MESSAGES = " \t\r\n;,|·–—-"


class Phase(TextChoices):
    """When a link to a check stands on the run sheet."""

    BEFORE = "before", "Before: what is normal"
    AFTER = "after", "After: before the trees reopen"


class Step(TextChoices):
    """What people tick off on the run sheet."""

    NORMAL = "normal", "Looked at what is normal, and kept pictures of it"
    TOUCHED_BASE = "touched base", "Touched base with the operations centre"
    REPLIES_READ = "replies read", "Read what came in on the lists"
    SHERIFF_TOLD = "sheriff told", "Told the sheriff before the start"
    CHECKED = "checked", "Monitoring is normal, the queues are alive, Treeherder is up"
    SHERIFF_AGREES = "sheriff agrees", "The sheriff says that the trees are open and all is well"


#: Words for whoever took the run over stand among the steps; nobody ticks it off.
HANDED_OVER = "handed over"


class Word(TextChoices):
    """What the run sheet says of a tree."""

    TO_CLOSE = "to close", "To be closed"
    CLOSING = "closing", "Not closed yet"
    CLOSED = "closed", "Closed by us"
    CLOSED_BEFORE = "closed before", "Closed already, not by us"
    CLOSED_BY_OTHERS = "closed by others", "Closed for another reason"
    REOPENED_BY_OTHERS = "reopened by others", "Reopened by somebody else"
    TO_TELL = "to tell", "Message to be set"
    TELLING = "telling", "Message not seen yet"
    TOLD = "told", "Open, with our message"
    REOPENING = "reopening", "Not open yet"
    OPEN = "open", "Open"
    LEFT = "left", "Left as it is"
    GONE = "gone", "Gone from the service"
    UNKNOWN = "unknown", "Not known"


#: Nobody can push there because of us, or need not: it was closed before, and not by us.
NEEDS_NOTHING_TO_CLOSE = frozenset({Word.CLOSED, Word.CLOSED_BEFORE, Word.CLOSED_BY_OTHERS, Word.TOLD, Word.LEFT})
#: What we may give back.
OURS = frozenset({Word.CLOSED, Word.TOLD})
#: One may push, with approval where it is required.
OPENS = frozenset({"open", "approval required"})
#: Nothing is owed to it any more.
SETTLED = frozenset({Word.OPEN, Word.LEFT, Word.CLOSED_BEFORE})


@dataclass(frozen=True)
class Reading:
    """One tree as polling read it last. `status` is "" for one that nobody knows; `read_at` by our clock."""

    status: str = ""
    reason: str = ""
    log_id: int | None = None
    motd: str = ""
    is_gone: bool = False
    is_sure: bool = True  # the service answers, or duty says it by hand
    read_at: datetime | None = None
    ours_stands: bool = False  # by hand: the closure that we wrote stands on it
    since: datetime | None = None  # of its status, as far as anybody knows


@dataclass(frozen=True)
class TreeRow:
    """What we wrote down of one tree of a downtime (`models.running.RunTree`)."""

    name: str
    only_message: bool = False
    status_before: str = ""
    asked_at: datetime | None = None
    closed_at: datetime | None = None
    log_id: int | None = None
    reopen_asked_at: datetime | None = None
    opened_at: datetime | None = None
    left_because: str = ""
    is_left: bool = False
    by_hand: bool = False


@dataclass(frozen=True)
class TreeFacts:
    """One tree of a downtime at a moment: what it amounts to, and the sentence that says why it stands so."""

    row: TreeRow
    reading: Reading
    word: Word
    is_verified: bool  # read by polling, lately, and after the last thing that we asked for

    @property
    def name(self) -> str:
        """Return its name."""
        return self.row.name

    @property
    def is_settled(self) -> bool:
        """Answer whether nothing is owed to it any more, as far as we verified."""
        is_over = self.word in SETTLED or self.was_never_ours
        return is_over and (self.is_verified or self.word == Word.LEFT)

    @property
    def was_never_ours(self) -> bool:
        """Answer whether others closed it before it began, and opened it, and nobody asked us to close it."""
        is_open = self.word in (Word.TO_CLOSE, Word.TO_TELL)
        return is_open and self.row.asked_at is None and is_closed(self.row.status_before)


def is_closed(status: str) -> bool:
    """Answer whether nobody can push; with approval one can."""
    return status == "closed"


def is_known(status: str) -> bool:
    """Answer whether a status says if one may push: the service may tell words that nobody here knows (F56)."""
    return is_closed(status) or status in OPENS


def is_verified(row: TreeRow, reading: Reading, at: datetime) -> bool:
    """Answer whether a reading tells how a tree stands now: fresh, and later than the last thing that was asked."""
    if not reading.is_sure or reading.read_at is None:
        return False
    if row.by_hand:
        return True  # what duty says by hand is so
    if at - reading.read_at > VERIFIED_WITHIN:
        return False
    asked = [moment for moment in (row.asked_at, row.reopen_asked_at) if moment is not None]
    return all(reading.read_at >= moment for moment in asked)


def word_of(row: TreeRow, reading: Reading) -> Word:
    """Return what a tree amounts to, from what we wrote down and what was read last."""
    if row.is_left:
        return Word.LEFT
    if reading.is_gone:
        return Word.GONE
    if not is_known(reading.status):
        return Word.UNKNOWN
    if row.only_message:
        return _word_of_message(row, reading)
    if row.closed_at is None:
        return _word_before_closed(row, reading)
    return _word_after_closed(row, reading)


def in_short(words: str) -> str:
    """Return words as they are compared: people who paste them change case and blanks."""
    return " ".join(words.split()).casefold()


def is_our_message(motd: str) -> bool:
    """Answer whether our message of the day stands on a tree; other words may stand beside it."""
    return in_short(MESSAGE) in in_short(motd)


def without_our_message(motd: str) -> str:
    """Return what others wrote beside our message."""
    parts = re.split(r"\s+".join(map(re.escape, MESSAGE.split())), motd, flags=re.IGNORECASE)
    if len(parts) == 1:
        return motd
    return " ".join(words for part in parts if (words := part.strip(BETWEEN_MESSAGES)))


def given_back(before: str, motd: str) -> str:
    """Return the message of the day that a tree gets back: what it had, and what others wrote beside ours since."""
    before, beside = without_our_message(before), without_our_message(motd)
    return beside if in_short(before) in in_short(beside) else f"{before} {beside}".strip()


def _word_of_message(row: TreeRow, reading: Reading) -> Word:
    if is_closed(reading.status):
        return Word.CLOSED_BEFORE if is_closed(row.status_before) else Word.CLOSED_BY_OTHERS
    if row.opened_at is not None:
        return Word.OPEN
    if row.reopen_asked_at is not None:
        return Word.REOPENING
    if row.closed_at is not None:
        return Word.TOLD if row.by_hand or is_our_message(reading.motd) else Word.REOPENED_BY_OTHERS
    return Word.TELLING if row.asked_at is not None else Word.TO_TELL


def _word_before_closed(row: TreeRow, reading: Reading) -> Word:
    if is_closed(reading.status) and is_closed(row.status_before):
        return Word.CLOSED_BEFORE
    if row.asked_at is None:
        return Word.CLOSED_BEFORE if is_closed(reading.status) else Word.TO_CLOSE
    return Word.CLOSED_BY_OTHERS if is_closed(reading.status) else Word.CLOSING


def _word_after_closed(row: TreeRow, reading: Reading) -> Word:
    if not is_closed(reading.status):
        if row.opened_at is not None:
            return Word.OPEN  # a poll that followed what we asked saw it, by its log
        return Word.REOPENING if row.reopen_asked_at is not None else Word.REOPENED_BY_OTHERS
    if not _is_ours(row, reading):
        return Word.CLOSED_BY_OTHERS
    return Word.REOPENING if row.reopen_asked_at is not None else Word.CLOSED


def _is_ours(row: TreeRow, reading: Reading) -> bool:
    """Answer whether the closure that was read is the one that we wrote down: by its log, never by its words (F55)."""
    if row.by_hand:
        return reading.ours_stands
    return row.log_id is not None and reading.log_id == row.log_id


def tree_facts(row: TreeRow, reading: Reading, at: datetime) -> TreeFacts:
    """Return what one tree amounts to at a moment."""
    return TreeFacts(row, reading, word_of(row, reading), is_verified(row, reading, at))


# --- what the gates look at -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WorkFacts:
    """One piece of work, as the gates see it. `outcome`: "" while none is written down."""

    bug: int
    is_under_way: bool = False
    outcome: str = ""
    bug_told: bool = True  # its bug was told the outcome, or the outbox holds what will be


@dataclass(frozen=True)
class RunFacts:
    """A downtime that is to begin, or runs, at a moment. Moments are aware; `at` is the database's."""

    at: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    is_held: bool = False
    unread_replies: int = 0
    sheriff_told: str = ""  # by name
    is_duty: bool = True  # who asks is the duty person of this downtime, and so is there
    duty: str = ""
    trees: tuple[TreeFacts, ...] = ()
    unknown_trees: tuple[str, ...] = ()  # named in the plan, and unknown to the service
    service_problem: str = ""  # why the trees are not known now
    changing: tuple[str, ...] = ()  # trees of which the outbox holds a change that is under way
    checked: bool = False
    work: tuple[WorkFacts, ...] = ()
    sheriff_agrees: str = ""  # by name


@dataclass(frozen=True)
class Gate:
    """One reason to refuse. `refuses` returns a sentence (what, why, what now), or "" when it lets through."""

    name: str
    rule: str
    refuses: Callable[[RunFacts], str]


def named(things, most: int = 5) -> str:
    """Return names as a sentence has them: the first few, and that there are others."""
    things = list(things)
    return ", ".join(things[:most]) + (" and others" if len(things) > most else "")


def is_overdue(ends_at: datetime | None, at: datetime) -> bool:
    """Answer whether what runs should be over; derived, never stored (design.md, decision 7)."""
    return ends_at is not None and at > ends_at


def _time_has_come(facts: RunFacts) -> str:
    if facts.starts_at is None or facts.at >= facts.starts_at:
        return ""
    return (
        f"It begins at {facts.starts_at:%Y-%m-%d %H:%M} UTC, as everybody was told: no tree is closed before. Wait for "
        "it, or postpone."
    )


def _time_is_not_over(facts: RunFacts) -> str:
    if facts.ends_at is None or facts.at < facts.ends_at:
        return ""
    return "Its time is over, and it was never begun: postpone it, or cancel it."


def _not_held(facts: RunFacts) -> str:
    return "It is on hold: let it go ahead first, and everybody who was told hears of it." if facts.is_held else ""


def _replies(facts: RunFacts) -> str:
    if not facts.unread_replies:
        return ""
    few = facts.unread_replies == 1
    return (
        f"{facts.unread_replies} {'reply' if few else 'replies'} came in on the lists that nobody has read: read "
        f"{'it' if few else 'them'}, and hold or cancel where a reason stands in {'it' if few else 'them'}."
    )


def _sheriff_told(facts: RunFacts) -> str:
    return "" if facts.sheriff_told else "The sheriff was not told yet: tell them, and write down whom you told."


def _duty_is_there(facts: RunFacts) -> str:
    if facts.is_duty:
        return ""
    return (
        f"{facts.duty or 'Nobody'} is the duty person of it: they do this themselves, or you take the run over first."
    )


def _trees_known(facts: RunFacts) -> str:
    if facts.service_problem:
        return f"How the trees stand is not known now: {facts.service_problem}"
    if facts.unknown_trees:
        return f"No tree is called {named(facts.unknown_trees)}: an unknown tree is not open. Mend the plan’s trees."
    return ""


def _trees_closed(facts: RunFacts) -> str:
    for tree in facts.trees:
        if tree.word not in NEEDS_NOTHING_TO_CLOSE:
            return f"{tree.name} is not closed yet, and work begins on closed trees: close it, or leave it as it is."
        if not tree.is_verified and tree.word != Word.LEFT:
            return f"How {tree.name} stands is not verified now: wait for a poll that answers, or look at the service."
    return ""


def _checked(facts: RunFacts) -> str:
    if facts.checked:
        return ""
    return "Nobody checked yet that monitoring is normal, the queues are alive and Treeherder is up: look, then say so."


def _work_rests(facts: RunFacts) -> str:
    moving = [f"bug {one.bug}" for one in facts.work if one.is_under_way]
    return f"{named(moving)} is still under way: land it or roll it back first." if moving else ""


def _trees_settled(facts: RunFacts) -> str:
    if not facts.trees:
        return ""
    open_ones = [one for one in facts.trees if not one.is_settled]
    return " ".join(dict.fromkeys(why_not_settled(one) for one in open_ones))


def why_not_settled(tree: TreeFacts) -> str:
    """Return the sentence that says why TREE OPEN has to wait for a tree."""
    name, reading = tree.name, tree.reading
    if tree.word in SETTLED or tree.was_never_ours:
        since = f" since {reading.read_at:%H:%M} UTC" if reading.read_at else ""
        return f"{name} is not verified{since}: wait for a poll that answers, or look at the service."
    sentences = {
        Word.CLOSED: f"{name} is still closed by us: reopen it.",
        Word.REOPENING: _why_still_reopening(tree),
        Word.CLOSED_BY_OTHERS: f"{name} was closed for another reason meanwhile ({reading.reason or 'no reason told'}):"
        " it is not ours to open. Ask the sheriff, then leave it as it is.",
        Word.REOPENED_BY_OTHERS: f"{name} {_what_others_did(tree)} somebody else: ask the sheriff, then leave it as it"
        " is.",
        Word.TOLD: f"Our message still stands on {name}: take it away.",
        Word.GONE: f"{name} is gone from the service, and gone is not open: ask the sheriff, then leave it as it is.",
        Word.UNKNOWN: f"Nobody knows how {name} stands, and unknown is not open: look at the service"
        f"{', ask the sheriff, then leave it as it is' if reading.status else ''}.",
    }
    return sentences.get(tree.word, f"{name} was to be closed and is not: close it, or leave it as it is.")


def _why_still_reopening(tree: TreeFacts) -> str:
    if is_closed(tree.reading.status) or tree.row.only_message:
        return f"{tree.name} does not read open yet: reopen it at the service, or wait for the next poll."
    return (
        f"{tree.name} reads open, and its log does not show that it was reopened after we asked: wait for the next "
        "poll, or ask the sheriff, then leave it as it is."
    )


def _what_others_did(tree: TreeFacts) -> str:
    return "lost our message to" if tree.row.only_message else "was reopened by"


def _changes_arrived(facts: RunFacts) -> str:
    if not facts.changing:
        return ""
    return (
        f"A change of {named(facts.changing)} is still on its way to the service: wait until it has arrived. If it "
        "does not, look at the trees, then cancel it in the outbox."
    )


def _outcomes(facts: RunFacts) -> str:
    missing = [f"bug {one.bug}" for one in facts.work if not one.outcome]
    return f"No outcome is written down for {named(missing)}: landed, rolled back or not done?" if missing else ""


def _bugs_told(facts: RunFacts) -> str:
    silent = [f"bug {one.bug}" for one in facts.work if one.outcome and not one.bug_told]
    return f"{named(silent)} was not told its outcome yet: look at what is written, and send it." if silent else ""


def _sheriff_agrees(facts: RunFacts) -> str:
    if facts.sheriff_agrees:
        return ""
    return "No sheriff has said that the trees are open and all is well: ask them, and write down who said it."


TIME_HAS_COME = Gate("the announced time has come", "R27", _time_has_come)
TIME_IS_NOT_OVER = Gate("its time is not over", "R27", _time_is_not_over)
NOT_HELD = Gate("it is not on hold", "R28", _not_held)
REPLIES_READ = Gate("the replies were read", "R28", _replies)
SHERIFF_TOLD = Gate("the sheriff was told", "R29", _sheriff_told)
DUTY_IS_THERE = Gate("the duty person is there", "R13", _duty_is_there)
TREES_KNOWN = Gate("every tree is known", "R30, F56", _trees_known)
TREES_CLOSED = Gate("the trees are closed", "R30, F57", _trees_closed)
CHECKED = Gate("somebody looked whether all is well", "R31", _checked)
WORK_RESTS = Gate("no work is under way", "R31", _work_rests)
TREES_SETTLED = Gate("every tree is verified", "R31, F55, F57", _trees_settled)
SHERIFF_AGREES = Gate("the sheriff says so", "R32", _sheriff_agrees)
CHANGES_ARRIVED = Gate("no change of a tree is under way", "R31, F55", _changes_arrived)
OUTCOMES_KNOWN = Gate("every item has its outcome", "R33", _outcomes)
BUGS_TOLD = Gate("every bug was told", "R33", _bugs_told)

#: Which gates stand before which verb. Before "begin" stand those of the plan as well (`downtimes/rules.py`).
GATES: dict[str, list[Gate]] = {
    "begin": [TIME_HAS_COME, TIME_IS_NOT_OVER, NOT_HELD, REPLIES_READ, SHERIFF_TOLD, DUTY_IS_THERE, TREES_KNOWN],
    "start": [TREES_CLOSED],
    "check": [WORK_RESTS],
    "reopen": [WORK_RESTS, CHECKED],
    "sheriff agrees": [TREES_SETTLED, CHANGES_ARRIVED],
    "tree open": [TREES_SETTLED, CHANGES_ARRIVED, SHERIFF_AGREES, OUTCOMES_KNOWN, BUGS_TOLD],
}


def refusals(verb: str, facts: RunFacts) -> list[str]:
    """Return every sentence that stands against a verb, in the order of the process; none: it may be done."""
    return [sentence for gate in GATES[verb] if (sentence := gate.refuses(facts))]
