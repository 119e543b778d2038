"""What may be said of a tree: an unknown one is neither open nor closed, old news is no news, and when we ask again."""

from datetime import timedelta

import pytest

from ciduty.trees import drawing, rules, stretches
from ciduty.trees.models import TreeEvent
from ciduty.trees.rules import Freshness, Standing
from tests.cast import A_MORNING

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("status", "standing", "is_open"),
    [
        ("open", Standing.OPEN, True), ("closed", Standing.CLOSED, False),
        ("approval required", Standing.APPROVAL, True),
        ("no change", Standing.UNKNOWN, None), ("Open", Standing.UNKNOWN, None), ("", Standing.UNKNOWN, None),
        ("unknown", Standing.UNKNOWN, None), ("gone", Standing.GONE, None),
    ],
)  # fmt: skip
def test_what_a_status_means_and_an_unknown_one_is_never_open(status, standing, is_open):
    assert rules.standing_of(status) == standing
    assert rules.is_open(rules.standing_of(status)) is is_open


@pytest.mark.parametrize("status", ["open", "closed", "approval required", "no change"])
def test_a_tree_that_is_gone_or_told_by_another_source_is_neither_open_nor_closed(status):
    assert rules.standing_of(status, is_gone=True) == Standing.GONE
    assert rules.standing_of(status, is_ours=False) == rules.standing_of(status, True, False) == Standing.UNKNOWN


@pytest.mark.parametrize(
    ("age", "failures", "freshness"),
    [
        (timedelta(), 0, Freshness.FRESH), (10 * MINUTE, 0, Freshness.FRESH),
        (10 * MINUTE + SECOND, 0, Freshness.STALE), (-10 * MINUTE - SECOND, 0, Freshness.STALE),
        (timedelta(), 1, Freshness.UNAVAILABLE),
    ],
)  # fmt: skip
def test_how_sure_we_are_of_what_was_read_so_long_ago(age, failures, freshness):
    assert rules.freshness_of(A_MORNING - age, failures, A_MORNING) == freshness


def test_what_was_never_read_is_unread_and_what_failed_at_once_is_unavailable():
    assert rules.freshness_of(None, 0, A_MORNING) == Freshness.UNREAD
    assert rules.freshness_of(None, 1, A_MORNING) == Freshness.UNAVAILABLE


@pytest.mark.parametrize(
    ("reason", "category", "refused"),
    [
        ("hg is down", "infra", ""), ("  ", "infra", "Say why"), ("", "infra", "Say why"),
        ("hg is down", "", "Choose a category"), ("hg is down", "weather", "Choose a category"),
    ],
)  # fmt: skip
def test_a_closure_needs_a_reason_and_a_category(reason, category, refused):
    said = rules.why_not_close(reason, category)
    assert said.startswith(refused) and bool(said) is bool(refused)


@pytest.mark.parametrize("category", rules.Category)
def test_each_of_the_eight_categories_closes(category):
    assert rules.why_not_close("It is.", category) == ""
    assert rules.category_of(["late", category]) == category
    assert rules.category_of(["late"]) == ""


@pytest.mark.parametrize(
    ("failures", "pause"), [(1, 30 * SECOND), (2, MINUTE), (4, 4 * MINUTE), (5, 5 * MINUTE), (900, 5 * MINUTE)]
)
def test_a_failing_service_is_asked_less_and_less_often_up_to_five_minutes(failures, pause):
    assert rules.pause(failures) == pause


@pytest.mark.parametrize(
    ("since_tried", "blocked_for", "late_by", "is_due"),
    [
        (MINUTE - SECOND, None, 0, False), (MINUTE, None, 0, True),
        (MINUTE, None, 30, False), (MINUTE + 30 * SECOND, None, 30, True),
        (2 * MINUTE, SECOND, 0, False), (2 * MINUTE, timedelta(), 0, True),
        (-SECOND, None, 0, True),
    ],
)  # fmt: skip
def test_when_the_service_is_asked_again(since_tried, blocked_for, late_by, is_due):
    blocked_until = None if blocked_for is None else A_MORNING + blocked_for
    late_by = timedelta(seconds=late_by)
    assert rules.is_due(A_MORNING - since_tried, blocked_until, MINUTE, A_MORNING, late_by) is is_due


@pytest.mark.parametrize("name", ["autoland", "mozilla-esr140", "a", "A.b_c+d", "x" * 64])
def test_names_that_trees_have(name):
    assert rules.is_name(name)


@pytest.mark.parametrize("name", ["", "x" * 65, "a/b", "..", "-a", "a b", "é", "<b>", "a\n", "a?b", "a%2F"])
def test_names_that_no_tree_may_have(name):
    assert not rules.is_name(name)


# --- for how long -----------------------------------------------------------------------------------------------------


def events(*moves):
    """Return events of (hours after the morning, status, category, reason)."""
    return [
        TreeEvent(at=A_MORNING + hours * HOUR, to_status=status, category=category, reason=reason)
        for hours, status, category, reason in moves
    ]


def found(*moves):
    """Return stretches as (begin, end, category, reason), in hours after the morning."""
    hours = [
        (one.starts_at - A_MORNING, one.ends_at and one.ends_at - A_MORNING, one.category, one.reason)
        for one in stretches.of_events("autoland", events(*moves))
    ]
    return [(begin / HOUR, end and end / HOUR, category, reason) for begin, end, category, reason in hours]


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([], []),
        ([(0, "open", "", "")], []),
        ([(0, "closed", "infra", "a"), (2, "open", "", "")], [(0, 2, "infra", "a")]),
        ([(0, "closed", "infra", "a"), (2, "approval required", "", "")], [(0, 2, "infra", "a")]),
        ([(0, "closed", "infra", "a"), (2, "gone", "", "")], [(0, 2, "infra", "a")]),
        ([(0, "closed", "infra", "a"), (2, "no change", "", "")], [(0, 2, "infra", "a")]),
        ([(0, "closed", "infra", "a")], [(0, None, "infra", "a")]),
        ([(0, "closed", "infra", "a"), (1, "closed", "infra", "b"), (3, "open", "", "")], [(0, 3, "infra", "b")]),
        (
            [(0, "closed", "infra", "a"), (1, "closed", "planned", "b"), (3, "open", "", "")],
            [(0, 1, "infra", "a"), (1, 3, "planned", "b")],
        ),
        ([(0, "closed", "infra", "a"), (0, "open", "", "")], []),
    ],
)
def test_stretches_of_a_history(moves, expected):
    assert found(*moves) == expected


def test_of_a_stretch_only_what_lies_within_counts():
    [one] = stretches.of_events("autoland", events((-2, "closed", "infra", "a"), (3, "open", "", "")))
    assert one.within(A_MORNING, A_MORNING + HOUR) == HOUR
    assert one.within(A_MORNING - 9 * HOUR, A_MORNING + 9 * HOUR) == 5 * HOUR
    assert one.within(A_MORNING + 3 * HOUR, A_MORNING + 9 * HOUR) == timedelta()


def test_bars_are_as_long_as_what_they_stand_for():
    drawn = drawing.drawing([("Infra", 4 * HOUR, 2), ("Merges", 2 * HOUR, 1), ("Other", SECOND, 1)])
    first, second, last = (bar.width for bar in drawn.bars)
    assert first == pytest.approx(2 * second, abs=0.2)
    assert last == drawing.NARROWEST
    assert max(bar.words_x for bar in drawn.bars) + 70 <= drawn.width
    assert (drawn.in_all, drawn.times) == (6 * HOUR + SECOND, 4)
    assert drawing.drawing([("Infra", timedelta(), 1)]).bars[0].width == drawing.NARROWEST
