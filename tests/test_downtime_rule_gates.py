"""Every gate of downtimes/rules.py from both sides: what it refuses, and the nearest that it lets through.

`make test-gates` switches each gate off in turn and shows that its test here turns red.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from downtimes import rules
from downtimes.rules import Facts, ItemFacts, Other, Policy, Votes

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
START = MONDAY + timedelta(days=3)
ITEM = ItemFacts(
    bug=1400123,
    text="Reboot of the build database",
    restricted=False,
    confirmed=True,
    worker="worker@example.com",
    assignee="worker@example.com",
    minutes=60,
    rollback_minutes=30,
)
AGREED = Votes(asked=2, approved=2)
#: A downtime against which nothing stands.
SOUND = Facts(
    at=MONDAY,
    starts_at=START,
    ends_at=START + timedelta(hours=2),
    urgency="routine",
    close="hard",
    trees=("autoland", "mozilla-central"),
    duty="Duty",
    duty_confirmed=True,
    items=(ITEM,),
    workers=AGREED,
    pre_approvers=AGREED,
    mandatory_lists=2,
    told_at=START - timedelta(hours=24),
)
SECOND = timedelta(seconds=1)


def with_item(**changed):
    return replace(SOUND, items=(ITEM, replace(ITEM, bug=1400124, **changed)))


def near(gap):
    other = Other("Another downtime", START - gap - timedelta(hours=1), START - gap)
    return replace(SOUND, others=(other,))


def emergency(facts, because="The disk is full", manager="Manager"):
    return replace(facts, emergency_because=because, emergency_manager=manager)


TOO_LATE = replace(SOUND, at=START - timedelta(hours=24) + SECOND)
TOLD_LATE = replace(SOUND, told_at=START - timedelta(hours=24) + SECOND)
WAITING = Votes(asked=3, approved=1, missing=("Pre-approver", "Other pre-approver"))
#: Gate -> verb, what it refuses, a word of the sentence, and the nearest cases that pass.
CASES = {
    rules.TIMES: (
        "ask for agreement",
        replace(SOUND, ends_at=START),
        "ends before it starts",
        [replace(SOUND, items=(replace(ITEM, minutes=1),), ends_at=START + timedelta(minutes=1))],
    ),
    rules.AHEAD: (
        "announce",
        emergency(replace(SOUND, at=START)),
        "in the past",
        [emergency(replace(SOUND, at=START - SECOND))],
    ),
    rules.ITEMS: (
        "ask for agreement",
        replace(SOUND, items=()),
        "No work is planned",
        [replace(SOUND, items=(replace(ITEM, minutes=1),) * rules.MOST_ITEMS)],
    ),
    rules.WORDING: ("ask for agreement", with_item(text="  "), "bug 1400124", [with_item(text="x")]),
    rules.VAGUE: ("announce", with_item(restricted=True, confirmed=False), "bug 1400124", [with_item(restricted=True)]),
    rules.URGENCY: ("ask for agreement", replace(SOUND, urgency=""), "how urgent", [SOUND]),
    rules.CLOSE: (
        "ask for agreement",
        replace(SOUND, trees=()),
        "No tree is named",
        [replace(SOUND, trees=("autoland",))],
    ),
    rules.WORKER: (
        "ask for agreement",
        with_item(assignee="somebody@example.com"),
        "not the assignee",
        [SOUND, with_item(assignee=None)],
    ),
    rules.ROLLBACK: (
        "ask for agreement",
        with_item(rollback_minutes=None),
        "roll back",
        [with_item(rollback_minutes=0)],
    ),
    rules.FITS: ("ask for agreement", with_item(minutes=61), "121 minutes", [with_item(minutes=60)]),
    rules.DUTY: ("begin", replace(SOUND, duty_confirmed=False), "has not confirmed", [SOUND]),
    rules.GAP_TO_OTHERS: (
        "ask for agreement",
        near(rules.GAP - SECOND),
        "less than 24 hours away",
        [near(rules.GAP), replace(near(SECOND), separate_because="Less risk")],
    ),
    rules.RECONFIG: ("ask for agreement", with_item(needs_reconfig=True), "needs-reconfig", [SOUND]),
    rules.WORKERS: (
        "announce",
        replace(SOUND, workers=Votes(asked=2, approved=1, missing=("Worker",))),
        "Worker",
        [SOUND],
    ),
    rules.PRE_APPROVERS: (
        "announce",
        replace(SOUND, pre_approvers=Votes(asked=2, missing=("Pre-approver",))),
        "0 of 1",
        [replace(SOUND, pre_approvers=Votes(asked=2, approved=1, missing=("Pre-approver",)))],
    ),
    rules.SAME_TEXT: ("announce", replace(SOUND, text_is_frozen=False), "ask them anew", [SOUND]),
    rules.LISTS: ("announce", replace(SOUND, mandatory_lists=0), "No list", [replace(SOUND, mandatory_lists=1)]),
    rules.NOTICE_AHEAD: (
        "announce",
        TOO_LATE,
        "earliest lawful start is 2026-03-05 09:00 UTC",
        [replace(SOUND, at=START - timedelta(hours=24)), emergency(TOO_LATE)],
    ),
    rules.NOTICE_KEPT: ("begin", TOLD_LATE, "less than 24 hours", [SOUND, emergency(TOLD_LATE)]),
}


@pytest.mark.parametrize("gate", CASES, ids=lambda gate: gate.name)
def test_the_gate_refuses_alone_and_lets_the_nearest_lawful_case_through(gate):
    verb, refused, word, allowed = CASES[gate]
    against = rules.refusals(verb, refused)
    assert [word in sentence for sentence in against] == [True], against
    assert [rules.refusals(verb, facts) for facts in allowed] == [[]] * len(allowed)


def test_every_gate_that_stands_before_a_verb_has_its_case():
    assert {gate.name for gates in rules.GATES.values() for gate in gates} == {gate.name for gate in CASES}


@pytest.mark.parametrize("because, manager", [("", "Manager"), ("  ", "Manager"), ("The disk is full", "")])
def test_r27_an_emergency_needs_both_a_reason_and_a_manager(because, manager):
    late = emergency(TOO_LATE, because, manager)
    assert len(rules.refusals("announce", late)) == 1
    assert len(rules.refusals("begin", emergency(TOLD_LATE, because, manager))) == 1


def test_r27_an_emergency_still_waits_until_the_mandatory_lists_have_it():
    assert rules.refusals("begin", emergency(replace(SOUND, told_at=None))) == [
        "No mandatory list has accepted the announcement yet."
    ]


@pytest.mark.parametrize(
    ("policy", "votes", "passes"),
    [
        (Policy.NO_OBJECTION, WAITING, False),  # the others may still object
        (Policy.NO_OBJECTION, replace(WAITING, missing=()), True),
        (Policy.NO_OBJECTION, Votes(asked=3), False),
        (Policy.NO_OBJECTION, replace(WAITING, missing=(), objections=("Pre-approver",)), False),
        (Policy.NO_OBJECTION, replace(WAITING, missing=(), questions=("Pre-approver",)), False),
        (Policy.ALL, WAITING, False),
        (Policy.ALL, Votes(asked=3, approved=3), True),
        (Policy.QUORUM, Votes(asked=3, approved=1, missing=("Other",)), False),
        (Policy.QUORUM, Votes(asked=3, approved=2, missing=("Other",)), True),
        (Policy.QUORUM, Votes(asked=3, approved=2, objections=("Other",)), False),
    ],
)
def test_r23_each_policy_says_when_the_pre_approvers_have_agreed(policy, votes, passes):
    until = MONDAY + SECOND
    facts = replace(SOUND, policy=policy, quorum=2, pre_approvers=votes, answers_until=until)
    assert (rules.refusals("announce", facts) == []) == passes


def test_r23_the_deadline_itself_ends_the_waiting_for_objections():
    waiting = replace(SOUND, pre_approvers=WAITING, answers_until=MONDAY + SECOND)
    assert len(rules.refusals("announce", waiting)) == 1
    assert rules.refusals("announce", replace(waiting, at=MONDAY + SECOND)) == []
    assert rules.refusals("announce", emergency(waiting)) == []  # a broken tree does not wait for silence
