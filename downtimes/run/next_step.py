"""The one thing to do next, read off the gates and the words of the trees: for the head of the run sheet."""

from dataclasses import dataclass

from downtimes import rules
from downtimes.rules import State
from downtimes.run import closing
from downtimes.run import rules as run_rules
from downtimes.run.rules import TOUCH_BASE_BEFORE, RunFacts, Step, Word
from downtimes.run.sheet_rows import outcomes_missing

#: We asked, and polling has not seen it.
WAITED_FOR = frozenset({Word.CLOSING, Word.TELLING})
#: Nobody asked yet.
NOT_ASKED = frozenset({Word.TO_CLOSE, Word.TO_TELL})
LOST = frozenset({Word.REOPENED_BY_OTHERS, Word.GONE, Word.UNKNOWN})


@dataclass(frozen=True)
class Next:
    """One sentence and one button. `verb`: the end of the address that is posted to, or "" where `to` leads there."""

    sentence: str
    button: str = ""
    to: str = ""
    verb: str = ""


def next_of(known) -> Next:
    """Return what is to be done next (`known`: the core of the sheet)."""
    state = known.downtime.state
    if state == State.ANNOUNCED:
        return _before(known)
    if state in rules.UNDER_WAY:
        return _trees(known) or _work(known) or _reopening(known) or _end(known)
    if state == State.DONE:
        return Next("It is over: everybody was told TREE OPEN.", "What was learned", f"{_base(known)}review/")
    if state == State.CANCELLED:
        return Next("It was cancelled: nothing is to be done.")
    return Next("It is not announced yet.", "Look at its plan", f"{_base(known)}plan/")


def _base(known) -> str:
    return f"/downtimes/{known.downtime.pk}/"


def _before(known) -> Next:
    downtime, at, seen = known.downtime, known.at, known.seen
    if run_rules.TIME_IS_NOT_OVER.refuses(seen):
        return Next("Its time is over, and it was never begun: postpone it, or cancel it.", "Look at its plan",
                    f"{_base(known)}plan/")  # fmt: skip
    if seen.is_held:
        return Next("It is on hold: let it go ahead, postpone it or cancel it.", "Look at the hold", "#hold")
    if seen.unread_replies:
        return Next("Read what came in on the lists.", "To the replies", "#replies")
    if not seen.sheriff_told:
        return Next("Tell the sheriff.", "To the sheriff’s line", "#before")
    if Step.NORMAL not in known.steps:
        return Next("Look at what is normal, before anything is closed.", "To the checks", "#before")
    touched = Step.TOUCHED_BASE in known.steps
    if downtime.starts_at and at < downtime.starts_at:
        if not touched and at >= downtime.starts_at - TOUCH_BASE_BEFORE:
            return Next("Touch base with the operations centre.", "To its line", "#before")
        return Next("Wait for the announced time: no tree is closed before.")
    if known.begin:
        return Next(known.begin[0], "What stands against beginning", "#begin")
    return Next("The announced time has come: begin.", "Begin", verb="begin")


def _trees(known) -> Next | None:
    words = {tree.word for tree in known.trees}
    if not known.trees or _is_reopening(known):
        return None
    if words & NOT_ASKED:
        return Next("Close the trees.", "Close the trees", verb="close")
    if words & WAITED_FOR:
        failed = [tree.name for tree in known.trees if tree.name in known.failed]
        if failed:
            return Next(_in_vain(failed, "closed"), "Close the trees", verb="close")
        names = run_rules.named(tree.name for tree in known.trees if tree.word in WAITED_FOR)
        return _waiting(f"Close {names} at the service, with the reason below: polling sees it.",
                        f"Wait until {names} really reads closed.")  # fmt: skip
    if words & LOST:
        name = next(tree.name for tree in known.trees if tree.word in LOST)
        return Next(f"Look after {name}: it does not stand as we left it.", "To the trees", "#trees")
    return None


def _in_vain(names: list[str], what: str) -> str:
    return f"{run_rules.named(names)} could not be {what}: read why beside it, mend that, then ask anew."


def _waiting(by_people: str, by_itself: str) -> Next:
    """Return what is done until polling has seen a change: people do it at the service, or it is under way."""
    if closing.how() == closing.LINK:
        return Next(by_people, "To its page and the reason", "#reason-of-it")
    return Next(by_itself, "Look now", verb="look")


def _is_reopening(known) -> bool:
    """Answer whether somebody asked for a tree to be reopened: from then on none is closed any more."""
    return any(tree.row.reopen_asked_at is not None for tree in known.seen.trees)


def _work(known) -> Next | None:
    missing = outcomes_missing(known.work)
    if not missing:
        return None
    moving = [one.bug for one in known.work if one.started_at and not one.ended_at]
    if moving:
        return Next(f"Bug {moving[0]} is under way: land it, or roll it back.", "To the work", f"#bug-{moving[0]}")
    first = next(one.bug for one in known.work if one.state not in rules.OUTCOMES)
    still = "1 piece of work waits" if missing == 1 else f"{missing} pieces of work wait"
    return Next(f"{still}: bug {first} is next.", "To the work", f"#bug-{first}")


def _reopening(known) -> Next | None:
    seen: RunFacts = known.seen
    words = {tree.word for tree in known.trees}
    if words & run_rules.OURS:
        if not seen.checked:
            return Next("Look whether all is well, before the trees reopen.", "To the checks", "#after")
        against = run_rules.refusals("reopen", seen)
        if against:
            return Next(against[0], "To the trees", "#trees")
        return Next("Reopen the trees that are ours.", "Reopen the trees", verb="reopen")
    if Word.REOPENING in words:
        failed = [tree.name for tree in known.trees if tree.name in known.failed]
        if failed and not run_rules.refusals("reopen", seen):
            return Next(_in_vain(failed, "reopened"), "Reopen the trees", verb="reopen")
        names = run_rules.named(tree.name for tree in known.trees if tree.word == Word.REOPENING)
        return _waiting(f"Reopen {names} at the service: polling sees it.",
                        f"Wait until {names} really reads open.")  # fmt: skip
    unsettled = run_rules.TREES_SETTLED.refuses(seen) or run_rules.CHANGES_ARRIVED.refuses(seen)
    return Next(unsettled, "To the trees", "#trees") if unsettled else None


def _end(known) -> Next:
    seen: RunFacts = known.seen
    if not seen.sheriff_agrees:
        return Next("Ask the sheriff whether all is well.", "To the sheriff’s word", "#after")
    if any(one.outcome and not one.bug_told for one in seen.work):
        return Next("Tell the bugs what became of them.", "Read what is written", f"{_base(known)}run/bugs/")
    against = run_rules.refusals("tree open", seen)
    if against:
        return Next(against[0], "What stands against it", "#tree-open")
    return Next("Everything is done: tell everybody TREE OPEN.", "Read TREE OPEN", f"{_base(known)}run/tree-open/")
