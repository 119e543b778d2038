"""Every gate of downtimes/run/rules.py from both sides, by the number of its rule; and what a tree amounts to.

`make test-gates` switches each gate off in turn and shows that its test here turns red.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from downtimes.run import rules
from downtimes.run.rules import Reading, RunFacts, TreeRow, Word, WorkFacts, tree_facts, word_of

START = datetime(2026, 3, 5, 9, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
AT = START + timedelta(hours=1)
ASKED, SEEN, BACK = AT - 30 * MINUTE, AT - 29 * MINUTE, AT - 5 * MINUTE
OURS, THEIRS = 12, 13

PLAIN = TreeRow("autoland", status_before="open")
WANTED = replace(PLAIN, asked_at=ASKED)
CLOSED = replace(WANTED, closed_at=SEEN, log_id=OURS)
REOPENING = replace(CLOSED, reopen_asked_at=BACK)
REOPENED = replace(REOPENING, opened_at=AT)
LEFT = replace(CLOSED, is_left=True, left_because="Sheriff keeps it closed")
OPEN = Reading("open", log_id=11, read_at=AT)
READ_CLOSED = Reading("closed", log_id=OURS, read_at=AT)
BY_OTHERS = Reading("closed", reason="hg is down", log_id=THEIRS, read_at=AT)
OPENED = Reading("open", log_id=14, read_at=AT)
TELLING = replace(WANTED, name="try", only_message=True)
TOLD = replace(TELLING, closed_at=SEEN)
MESSAGE = Reading("open", log_id=11, motd=rules.MESSAGE, read_at=AT)


def tree(row, reading, at=AT):
    return tree_facts(row, reading, at)


WORK = WorkFacts(bug=1400123, outcome="landed-and-stuck")
#: A run against which nothing stands before any verb; of its trees each verb asks for others.
SOUND = RunFacts(
    at=AT,
    starts_at=START,
    ends_at=START + timedelta(hours=3),
    sheriff_told="Sheriff",
    duty="Duty",
    trees=(tree(REOPENED, OPENED),),
    checked=True,
    work=(WORK,),
    sheriff_agrees="Sheriff",
)
STARTING = replace(SOUND, trees=(tree(CLOSED, READ_CLOSED),))


def trees(*pairs, of=SOUND):
    return replace(of, trees=tuple(tree(*pair) for pair in pairs))


STALE = replace(OPENED, read_at=AT - rules.VERIFIED_WITHIN - SECOND)
#: Gate -> verb, what it refuses, a word of the sentence, and the nearest cases that pass.
CASES = {
    rules.TIME_HAS_COME: (
        "begin", replace(SOUND, at=START - SECOND), "2026-03-05 09:00 UTC", [replace(SOUND, at=START)],
    ),
    rules.TIME_IS_NOT_OVER: (
        "begin", replace(SOUND, at=SOUND.ends_at), "postpone it, or cancel it",
        [replace(SOUND, at=SOUND.ends_at - SECOND)],
    ),
    rules.NOT_HELD: ("begin", replace(SOUND, is_held=True), "on hold", [SOUND]),
    rules.REPLIES_READ: ("begin", replace(SOUND, unread_replies=1), "1 reply came in", [SOUND]),
    rules.SHERIFF_TOLD: ("begin", replace(SOUND, sheriff_told=""), "sheriff was not told", [SOUND]),
    rules.DUTY_IS_THERE: ("begin", replace(SOUND, is_duty=False), "Duty is the duty person", [SOUND]),
    rules.TREES_KNOWN: ("begin", replace(SOUND, unknown_trees=("autolnad",)), "No tree is called autolnad", [SOUND]),
    rules.TREES_CLOSED: (
        "start", trees((CLOSED, READ_CLOSED), (WANTED, OPEN)), "autoland is not closed yet",
        [
            STARTING,
            trees((CLOSED, READ_CLOSED), (LEFT, OPEN)),
            trees((CLOSED, READ_CLOSED), (replace(PLAIN, status_before="closed"), BY_OTHERS)),
            trees((WANTED, BY_OTHERS)),
            trees((CLOSED, READ_CLOSED), (TOLD, MESSAGE)),
        ],
    ),
    rules.CHECKED: ("reopen", replace(SOUND, checked=False), "Nobody checked", [SOUND]),
    rules.WORK_RESTS: (
        "reopen", replace(SOUND, work=(WORK, WorkFacts(bug=1400124, is_under_way=True))), "1400124 is still under way",
        [replace(SOUND, work=(WORK, WorkFacts(bug=1400124)))],
    ),
    rules.TREES_SETTLED: (
        "sheriff agrees", trees((REOPENED, STALE)), "autoland is not verified since",
        [trees((REOPENED, replace(STALE, read_at=AT - rules.VERIFIED_WITHIN))), trees((LEFT, BY_OTHERS))],
    ),
    rules.CHANGES_ARRIVED: (
        "sheriff agrees", replace(SOUND, changing=("autoland",)), "A change of autoland is still on its way", [SOUND],
    ),
    rules.SHERIFF_AGREES: ("tree open", replace(SOUND, sheriff_agrees=""), "No sheriff has said", [SOUND]),
    rules.OUTCOMES_KNOWN: (
        "tree open", replace(SOUND, work=(WORK, WorkFacts(bug=1400124))), "written down for bug 1400124",
        [SOUND, replace(SOUND, work=())],
    ),
    rules.BUGS_TOLD: (
        "tree open", replace(SOUND, work=(replace(WORK, bug_told=False),)), "bug 1400123 was not told", [SOUND],
    ),
}  # fmt: skip


@pytest.mark.parametrize("gate", CASES, ids=lambda gate: gate.name)
def test_the_gate_refuses_alone_and_lets_the_nearest_lawful_case_through(gate):
    verb, refused, word, allowed = CASES[gate]
    against = rules.refusals(verb, refused)
    assert [word in sentence for sentence in against] == [True], against
    assert [rules.refusals(verb, facts) for facts in allowed] == [[]] * len(allowed)


def test_every_gate_that_stands_before_a_verb_has_its_case():
    assert {gate.name for gates in rules.GATES.values() for gate in gates} == {gate.name for gate in CASES}


def test_the_rules_of_a_run_are_guarded_by_number():
    numbers = {number for gate in CASES for number in gate.rule.split(", ")}
    assert {"R27", "R28", "R29", "R30", "R31", "R32", "R33", "F55", "F56", "F57"} <= numbers
    before_tree_open = [gate.rule for gate in rules.GATES["tree open"]]  # R34 itself
    assert before_tree_open == ["R31, F55, F57", "R31, F55", "R32", "R33", "R33"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"unread_replies": 2}, "2 replies came in on the lists that nobody has read: read them"),
        ({"is_duty": False, "duty": ""}, "Nobody is the duty person"),
        (
            {"service_problem": "the tree status service was not read since 09:00 UTC."},
            "not known now: the tree status",
        ),
    ],
)
def test_the_other_words_of_the_gates_before_it_begins(changed, says):
    against = rules.refusals("begin", replace(SOUND, **changed))
    assert len(against) == 1 and says in against[0]


# --- which trees keep TREE OPEN locked --------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["sheriff agrees", "tree open"])
@pytest.mark.parametrize(
    ("row", "reading", "says"),
    [
        (CLOSED, READ_CLOSED, "still closed by us: reopen it"),
        (REOPENING, READ_CLOSED, "does not read open yet"),
        (REOPENING, OPENED, "its log does not show that it was reopened after we asked"),
        (REOPENED, replace(OPENED, status="locked"), "ask the sheriff, then leave it"),
        (replace(PLAIN, status_before="closed"), replace(OPENED, is_sure=False), "not verified"),
        (CLOSED, BY_OTHERS, "closed for another reason meanwhile (hg is down): it is not ours to open"),
        (REOPENED, BY_OTHERS, "closed for another reason meanwhile"),
        (CLOSED, OPENED, "reopened by somebody else"),
        (CLOSED, replace(READ_CLOSED, is_gone=True), "gone is not open"),
        (CLOSED, Reading(), "unknown is not open"),
        (WANTED, OPEN, "close it, or leave it"),
        (TOLD, MESSAGE, "Our message still stands"),
        (TOLD, OPENED, "lost our message to somebody else"),
        (REOPENED, replace(OPENED, is_sure=False), "not verified"),
        (REOPENED, replace(OPENED, read_at=BACK - SECOND), "not verified"),
        (REOPENED, replace(OPENED, read_at=None), "not verified: wait"),
    ],
)
def test_f55_f56_f57_a_tree_that_is_not_verified_to_be_as_before_locks_tree_open_and_says_why(verb, row, reading, says):
    against = rules.refusals(verb, trees((row, reading), (REOPENED, OPENED)))
    assert len(against) == 1 and row.name in against[0] and says in against[0]


@pytest.mark.parametrize(
    ("row", "reading"),
    [
        (REOPENED, OPENED),
        (REOPENED, replace(OPENED, status="approval required")),
        (LEFT, BY_OTHERS),
        (LEFT, Reading()),
        (replace(LEFT, name="try"), replace(READ_CLOSED, is_gone=True)),
        (replace(PLAIN, status_before="closed"), replace(BY_OTHERS, log_id=3)),
        (replace(PLAIN, status_before="closed"), OPENED),
        (replace(TOLD, reopen_asked_at=BACK, opened_at=AT), OPENED),
    ],
)
def test_what_is_open_or_left_or_was_closed_before_locks_nothing(row, reading):
    assert rules.refusals("tree open", trees((row, reading))) == []


@pytest.mark.parametrize("late", [timedelta(), SECOND])
def test_work_starts_only_on_what_was_verified_lately(late):
    """R30, F57: the trees first, and nobody relies on an old answer."""
    reading = replace(READ_CLOSED, read_at=AT - rules.VERIFIED_WITHIN - late)
    assert bool(rules.refusals("start", trees((CLOSED, reading)))) == bool(late)


# --- what a tree amounts to -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reading", "word"),
    [
        (PLAIN, OPEN, Word.TO_CLOSE),
        (PLAIN, replace(OPEN, status="approval required"), Word.TO_CLOSE),
        (PLAIN, BY_OTHERS, Word.CLOSED_BEFORE),
        (replace(PLAIN, status_before="closed"), BY_OTHERS, Word.CLOSED_BEFORE),
        (replace(PLAIN, status_before="closed"), OPEN, Word.TO_CLOSE),
        (WANTED, OPEN, Word.CLOSING),
        (WANTED, BY_OTHERS, Word.CLOSED_BY_OTHERS),
        (CLOSED, READ_CLOSED, Word.CLOSED),
        (CLOSED, BY_OTHERS, Word.CLOSED_BY_OTHERS),
        (CLOSED, OPENED, Word.REOPENED_BY_OTHERS),
        (REOPENING, READ_CLOSED, Word.REOPENING),
        (REOPENING, BY_OTHERS, Word.CLOSED_BY_OTHERS),
        (REOPENING, OPENED, Word.REOPENING),
        (PLAIN, replace(OPEN, status="locked"), Word.UNKNOWN),
        (REOPENED, replace(OPENED, status="locked"), Word.UNKNOWN),
        (replace(CLOSED, log_id=None), replace(READ_CLOSED, log_id=None), Word.CLOSED_BY_OTHERS),
        (REOPENED, OPENED, Word.OPEN),
        (REOPENED, BY_OTHERS, Word.CLOSED_BY_OTHERS),
        (LEFT, BY_OTHERS, Word.LEFT),
        (CLOSED, replace(READ_CLOSED, is_gone=True), Word.GONE),
        (CLOSED, Reading(), Word.UNKNOWN),
        (replace(TELLING, asked_at=None), OPEN, Word.TO_TELL),
        (TELLING, OPEN, Word.TELLING),
        (TOLD, MESSAGE, Word.TOLD),
        (TOLD, replace(MESSAGE, motd=f"Be kind.  {rules.MESSAGE.upper()}"), Word.TOLD),
        (TOLD, OPEN, Word.REOPENED_BY_OTHERS),
        (TOLD, replace(MESSAGE, status="closed"), Word.CLOSED_BY_OTHERS),
        (replace(TOLD, status_before="closed"), replace(MESSAGE, status="closed"), Word.CLOSED_BEFORE),
        (replace(TOLD, reopen_asked_at=BACK), MESSAGE, Word.REOPENING),
        (replace(TOLD, reopen_asked_at=BACK, opened_at=AT), OPEN, Word.OPEN),
        (replace(TOLD, reopen_asked_at=BACK, opened_at=AT), BY_OTHERS, Word.CLOSED_BY_OTHERS),
        (replace(CLOSED, by_hand=True), replace(READ_CLOSED, ours_stands=True), Word.CLOSED),
        (replace(CLOSED, by_hand=True), READ_CLOSED, Word.CLOSED_BY_OTHERS),
        (replace(REOPENED, by_hand=True), READ_CLOSED, Word.CLOSED_BY_OTHERS),
        (replace(REOPENED, by_hand=True), OPEN, Word.OPEN),
        (replace(TOLD, by_hand=True), OPEN, Word.TOLD),
    ],
)
def test_what_the_run_sheet_says_of_a_tree(row, reading, word):
    assert word_of(row, reading) == word


@pytest.mark.parametrize(
    ("before", "motd", "back"),
    [
        ("", rules.MESSAGE, ""),
        ("Be kind.", rules.MESSAGE, "Be kind."),
        ("Be kind.", f"{rules.MESSAGE}; merge day: ask us", "Be kind. merge day: ask us"),
        ("Be kind.", f"Be kind. | {rules.MESSAGE.upper()}", "Be kind."),
        ("", f"Merge day.\n{rules.MESSAGE.replace(' ', '  ')} - Ask us.", "Merge day. Ask us."),
        (rules.MESSAGE, rules.MESSAGE, ""),
    ],
)
def test_our_message_alone_is_taken_away_and_what_others_wrote_stays(before, motd, back):
    assert rules.given_back(before, motd) == back


MOMENTS = [{}, {"asked_at": ASKED}, {"asked_at": ASKED, "closed_at": SEEN, "log_id": OURS}]
MOMENTS += [MOMENTS[2] | {"reopen_asked_at": BACK}, MOMENTS[2] | {"reopen_asked_at": BACK, "opened_at": AT}]
MOMENTS += [one | {"is_left": True} for one in MOMENTS]


def test_no_situation_calls_open_what_is_not_read_to_be_open_nor_ours_what_is_not():
    situations = product(
        MOMENTS, [False, True], ["open", "closed"], [False, True],
        ["", "open", "closed", "approval required", "locked"], [None, 11, OURS, THEIRS], [False, True],
        ["", rules.MESSAGE],
    )  # fmt: skip
    for moments, only_message, before, by_hand, status, log_id, is_gone, motd in situations:
        row = TreeRow("try", only_message=only_message, status_before=before, by_hand=by_hand, **moments)
        reading = Reading(status, log_id=log_id, motd=motd, is_gone=is_gone, read_at=AT)
        word = word_of(row, reading)
        if row.is_left:
            assert word == Word.LEFT
        elif is_gone or status in ("", "locked"):
            assert word in (Word.GONE, Word.UNKNOWN)
        elif word == Word.OPEN:
            assert status != "closed" and row.opened_at
        elif word in (Word.OPEN, Word.REOPENED_BY_OTHERS, Word.TO_TELL, Word.TELLING, Word.TOLD):
            assert status != "closed"
        elif word == Word.CLOSED:
            assert status == "closed" and row.closed_at and log_id == OURS and not by_hand
        assert word not in rules.OURS or row.closed_at
        assert word not in rules.SETTLED or status != "open" or row.is_left or row.reopen_asked_at


@pytest.mark.parametrize(
    ("row", "reading", "verified"),
    [
        (CLOSED, READ_CLOSED, True),
        (CLOSED, replace(READ_CLOSED, read_at=ASKED), True),
        (CLOSED, replace(READ_CLOSED, read_at=ASKED - SECOND), False),
        (REOPENING, replace(READ_CLOSED, read_at=BACK - SECOND), False),
        (CLOSED, replace(READ_CLOSED, is_sure=False), False),
        (CLOSED, replace(READ_CLOSED, read_at=None), False),
        (replace(CLOSED, by_hand=True), replace(READ_CLOSED, read_at=ASKED - MINUTE), True),
    ],
)
def test_verified_is_what_was_read_lately_and_after_we_asked(row, reading, verified):
    at = reading.read_at if reading.read_at and row is not REOPENING else AT
    assert rules.is_verified(row, reading, at) == verified


@pytest.mark.parametrize(("at", "overdue"), [(START, False), (START + SECOND, True)])
def test_overdue_begins_after_the_end(at, overdue):
    assert rules.is_overdue(START, at) == overdue
    assert not rules.is_overdue(None, at)
