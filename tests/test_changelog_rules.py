"""What may happen to a change, by its state and the moment; and who may know of it. Values alone: no row is saved."""

from datetime import UTC, datetime, timedelta

import pytest

from changelog import rules
from changelog.rules import MOVES, State

AT = datetime(2026, 3, 3, 9, tzinfo=UTC)
NEVER, JUST_NOW, LONG_AGO = None, AT - timedelta(minutes=1), AT - timedelta(days=9)
SECOND = timedelta(seconds=1)

#: State, whether and when the public heard of it, and all that may be done then.
ALLOWED = [
    (State.PROPOSED, NEVER, {"publish", "dismiss", "hold"}),
    (State.PUBLISHED, JUST_NOW, {"take back", "hold", "withdraw"}),
    (State.PUBLISHED, LONG_AGO, {"hold", "withdraw"}),
    (State.HELD, NEVER, {"release"}),
    (State.HELD, LONG_AGO, {"release"}),
    (State.WITHDRAWN, NEVER, {"reopen"}),
    (State.WITHDRAWN, LONG_AGO, {"restore", "hold"}),
]


@pytest.mark.parametrize(("state", "was_public_at", "verbs"), ALLOWED)
def test_what_is_allowed_in_a_state_and_everything_else_is_refused_in_a_sentence(state, was_public_at, verbs):
    assert set(rules.possible(state, was_public_at, AT)) == verbs
    for verb in set(MOVES) - verbs:
        sentence = rules.why_not(verb, state, was_public_at, AT)
        assert sentence.endswith((".", "whole.")) and len(sentence) > 20


def test_every_state_and_every_verb_stand_in_the_table_above():
    assert {state for state, _, _ in ALLOWED} == set(State)
    assert {verb for _, _, verbs in ALLOWED for verb in verbs} == set(MOVES)


def test_a_publication_is_taken_back_within_ten_minutes_and_not_a_second_later():
    published = AT - rules.UNDO_WITHIN
    assert rules.why_not("take back", State.PUBLISHED, published, AT) == ""
    refusal = rules.why_not("take back", State.PUBLISHED, published, AT + SECOND)
    assert refusal == "It has been public for more than 10 minutes: withdraw it, and say why."


def test_a_refusal_says_how_it_stands():
    assert rules.why_not("publish", State.HELD, None, AT) == "It is held by now: nothing was changed (publish)."


@pytest.mark.parametrize(
    ("state", "was_public_at", "waits", "allowed"),
    [
        (State.PUBLISHED, LONG_AGO, True, True),
        (State.WITHDRAWN, LONG_AGO, True, True),
        (State.PUBLISHED, LONG_AGO, False, False),  # it has its words: that is a correction
        (State.WITHDRAWN, NEVER, True, False),  # nobody outside saw it
        (State.PROPOSED, NEVER, True, False),  # it is published with its words
        (State.HELD, LONG_AGO, True, False),
    ],
)
def test_what_was_published_without_words_gets_them(state, was_public_at, waits, allowed):
    assert (rules.why_not_word(state, was_public_at, waits) == "") is allowed


@pytest.mark.parametrize(
    ("state", "was_public", "is_part", "is_confidential", "known"),
    [
        (State.PUBLISHED, True, False, False, True),
        (State.WITHDRAWN, True, False, False, True),  # marked, with its reason
        (State.WITHDRAWN, False, False, False, False),  # dismissed
        (State.PROPOSED, False, False, False, False),
        (State.HELD, True, False, False, False),
        (State.PUBLISHED, True, True, False, False),  # with the change it belongs to
        (State.PUBLISHED, True, False, True, False),  # until it is worded
        (State.WITHDRAWN, True, False, True, False),
    ],
)
def test_who_knows_of_a_change(state, was_public, is_part, is_confidential, known):
    assert rules.is_public(state, was_public, is_part, is_confidential) is known


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("bug 1400123", True), ("See #1400123.", True), ("b=1400123,r=x", True), ("01400123", True), ("1400123", True),
        ("bug 14001234", False), ("bug 91400123", False), ("bug 140012", False), ("", False), ("1,400,123", False),
    ],
)  # fmt: skip
def test_a_text_names_a_bug_by_its_number_alone(text, named):
    assert rules.names(text, 1400123) is named
