"""The promise: a loaner request is answered within one working day.

What answers, what pauses, and the edges on both sides.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from ciduty.working_time import Calendar, Interval
from loaners import rules
from loaners.rules import Standing

DESK = Calendar.parse("Europe/Bucharest", "09:00-17:00", "RO")
#: Monday 2 November 2026, 10:00 in Bucharest.
MONDAY_TEN = datetime(2026, 11, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@dataclass
class Happened:
    kind: str
    at: datetime
    by_kind: str = "ciduty"
    asks_requester: bool = False


@pytest.mark.parametrize("kind", ["comment", "assigned", "needinfo set"])
def test_a_comment_assignment_or_needinfo_by_ciduty_answers(kind):
    assert rules.first_answer([Happened(kind, MONDAY_TEN)]) == rules.Answer(MONDAY_TEN, kind)


@pytest.mark.parametrize("by_kind", ["requester", "bot", "other"])
@pytest.mark.parametrize("kind", ["comment", "assigned", "needinfo set"])
def test_nobody_elses_act_answers(kind, by_kind):
    assert rules.first_answer([Happened(kind, MONDAY_TEN, by_kind)]) is None


@pytest.mark.parametrize("kind", ["closed", "reopened", "needinfo cleared"])
def test_other_acts_of_ciduty_do_not_answer(kind):
    assert rules.first_answer([Happened(kind, MONDAY_TEN)]) is None


def test_the_first_answer_counts_whatever_the_order():
    events = [Happened("comment", MONDAY_TEN + HOUR), Happened("assigned", MONDAY_TEN)]
    assert rules.first_answer(events).at == MONDAY_TEN


def test_a_request_of_monday_ten_is_answered_by_tuesday_ten():
    assert rules.answer_by(DESK, MONDAY_TEN, []) == MONDAY_TEN + timedelta(days=1)


def test_a_request_of_friday_evening_is_answered_by_monday_evening():
    friday_evening = datetime(2026, 11, 6, 20, tzinfo=UTC)
    assert rules.answer_by(DESK, friday_evening, []) == datetime(2026, 11, 9, 15, tzinfo=UTC)


def test_public_holidays_do_not_count():
    friday = datetime(2026, 11, 27, 8, tzinfo=UTC)  # Monday is Saint Andrew's, Tuesday the national day
    assert rules.answer_by(DESK, friday, []) == datetime(2026, 12, 2, 8, tzinfo=UTC)


def test_a_needinfo_of_the_requester_pauses_until_it_is_cleared():
    events = [
        Happened("needinfo set", MONDAY_TEN + HOUR, "other", asks_requester=True),
        Happened("needinfo cleared", MONDAY_TEN + 3 * HOUR, "requester", asks_requester=True),
    ]
    assert rules.pauses(events, until=MONDAY_TEN + 9 * HOUR) == [Interval(MONDAY_TEN + HOUR, MONDAY_TEN + 3 * HOUR)]
    assert rules.paused_since(events) is None
    paused = rules.pauses(events, until=MONDAY_TEN + 9 * HOUR)
    assert rules.answer_by(DESK, MONDAY_TEN, paused) == MONDAY_TEN + timedelta(days=1) + 2 * HOUR


def test_a_needinfo_that_still_waits_pauses_until_now():
    events = [Happened("needinfo set", MONDAY_TEN + HOUR, "other", asks_requester=True)]
    assert rules.paused_since(events) == MONDAY_TEN + HOUR
    assert rules.pauses(events, until=MONDAY_TEN + 5 * HOUR) == [Interval(MONDAY_TEN + HOUR, MONDAY_TEN + 5 * HOUR)]


def test_a_needinfo_of_somebody_else_pauses_nothing():
    events = [Happened("needinfo set", MONDAY_TEN, "other")]
    assert rules.pauses(events, until=MONDAY_TEN + HOUR) == []
    assert rules.paused_since(events) is None


def test_two_needinfos_that_wait_at_once_are_one_pause_until_the_last_is_cleared():
    events = [
        Happened("needinfo set", MONDAY_TEN, "other", asks_requester=True),
        Happened("needinfo set", MONDAY_TEN + HOUR, "other", asks_requester=True),
        Happened("needinfo cleared", MONDAY_TEN + 2 * HOUR, "requester", asks_requester=True),
        Happened("needinfo cleared", MONDAY_TEN + 3 * HOUR, "requester", asks_requester=True),
    ]
    assert rules.pauses(events, until=MONDAY_TEN + 5 * HOUR) == [Interval(MONDAY_TEN, MONDAY_TEN + 3 * HOUR)]
    assert rules.paused_since(events[:3]) == MONDAY_TEN
    assert rules.paused_since(events) is None


def test_the_promise_begins_when_the_bug_comes_here_and_an_earlier_answer_counts():
    came = Happened("moved here", MONDAY_TEN + 2 * HOUR, "other")
    assert rules.asked_at(MONDAY_TEN, [came]) == came.at
    assert rules.asked_at(MONDAY_TEN, []) == MONDAY_TEN
    assert rules.first_answer([Happened("comment", MONDAY_TEN + HOUR), came]).at == MONDAY_TEN + HOUR


def standing(at, deadline=MONDAY_TEN + timedelta(days=1), paused=False, answered=False, closed=False):
    left = rules.time_left(DESK, deadline, at)
    return rules.standing(deadline=deadline, paused=paused, answered=answered, closed=closed, left=left, at=at)


DEADLINE = MONDAY_TEN + timedelta(days=1)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (MONDAY_TEN, Standing.WAITING),
        # Two working hours before Tuesday 10:00 is Monday 16:00.
        (datetime(2026, 11, 2, 14, tzinfo=UTC), Standing.WAITING),
        (datetime(2026, 11, 2, 14, tzinfo=UTC) + SECOND, Standing.DUE_SOON),
        (DEADLINE, Standing.DUE_SOON),
        (DEADLINE + SECOND, Standing.OVERDUE),
    ],
)
def test_a_request_stands_as_its_clock_says_with_the_edge_on_both_sides(at, expected):
    assert standing(at) == expected


def test_an_answered_request_is_never_overdue():
    assert standing(DEADLINE + timedelta(days=30), answered=True) == Standing.ANSWERED


def test_a_closed_request_waits_for_nobody():
    assert standing(DEADLINE + timedelta(days=30), closed=True) == Standing.CLOSED


def test_a_request_that_was_overdue_before_the_question_back_stays_overdue():
    assert standing(DEADLINE + SECOND, paused=True) == Standing.OVERDUE
    assert standing(DEADLINE, paused=True) == Standing.PAUSED


def test_overdue_time_is_told_in_working_time_too():
    next_morning = datetime(2026, 11, 4, 7, tzinfo=UTC)  # Wednesday 09:00
    assert rules.time_left(DESK, DEADLINE, next_morning) == -7 * HOUR
