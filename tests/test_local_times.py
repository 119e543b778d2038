"""A local time names one moment, or whoever typed it is asked again; every moment is shown in three zones."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ciduty.working_time import Calendar
from downtimes import local_times
from downtimes.local_times import AskAgain, in_three_zones, moment_of, value_of

ZONES = {name: ZoneInfo(name) for name in ("Europe/Bucharest", "America/Los_Angeles", "America/New_York")}
YEARS = range(2026, 2037)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DESK = Calendar.parse("Europe/Bucharest", "09:00-17:00", "RO")
any_case = hypothesis_settings(deadline=None, derandomize=True)


def changes(zone):
    """Return every moment at which a zone's clock is put forward or back in these years."""
    at, end, found = datetime(YEARS[0], 1, 1, tzinfo=UTC), datetime(YEARS[-1] + 1, 1, 1, tzinfo=UTC), []
    while at < end:
        later = at + HOUR
        if at.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            found.append(later)  # these three change at a full hour of UTC
        at = later
    return found


def wall(at, zone):
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


CHANGES = [(name, at) for name, zone in ZONES.items() for at in changes(zone)]
FORWARD = [
    (name, at) for name, at in CHANGES if wall(at, ZONES[name]) - wall(at - MINUTE, ZONES[name]) == MINUTE + HOUR
]
BACK = [(name, at) for name, at in CHANGES if (name, at) not in FORWARD]


def test_each_of_the_three_zones_changes_twice_in_each_of_the_years():
    assert len(CHANGES) == len(ZONES) * len(YEARS) * 2
    assert len(FORWARD) == len(BACK) == len(ZONES) * len(YEARS)


@pytest.mark.parametrize(("name", "at"), FORWARD)
def test_a_time_that_the_clocks_skip_is_asked_again_with_the_times_before_and_after(name, at):
    zone = ZONES[name]
    skipped_from, skipped_until = wall(at - MINUTE, zone) + MINUTE, wall(at, zone)
    assert skipped_until - skipped_from == HOUR
    for minutes in (0, 1, 30, 59):
        typed = skipped_from + MINUTE * minutes
        with pytest.raises(AskAgain, match="does not exist, because the clocks go forward") as asked:
            moment_of(typed, zone)
        before, after = asked.value.choices
        assert (wall(before.at, zone), wall(after.at, zone)) == (typed - HOUR, typed + HOUR)
        assert after.at - before.at == HOUR, "an hour of real time lies between them"
        assert moment_of(typed, zone, before.value) == before.at
        assert moment_of(typed, zone, after.value) == after.at


@pytest.mark.parametrize(("name", "at"), FORWARD)
def test_the_minutes_beside_a_skipped_hour_are_taken_at_once(name, at):
    zone = ZONES[name]
    assert moment_of(wall(at, zone), zone) == at
    assert moment_of(wall(at - MINUTE, zone), zone) == at - MINUTE


@pytest.mark.parametrize(("name", "at"), BACK)
def test_a_time_that_the_clocks_show_twice_is_asked_again_with_both(name, at):
    zone = ZONES[name]
    for minutes in (0, 1, 30, 59):
        typed = wall(at + MINUTE * minutes, zone)
        with pytest.raises(AskAgain, match="exists twice, because the clocks go back") as asked:
            moment_of(typed, zone)
        first, second = asked.value.choices
        assert second.at - first.at == HOUR
        assert wall(first.at, zone) == wall(second.at, zone) == typed
        assert first.words != second.words, "their abbreviations differ"
        assert [moment_of(typed, zone, choice.value) for choice in (first, second)] == [first.at, second.at]


@pytest.mark.parametrize(("name", "at"), BACK)
def test_the_minutes_beside_a_doubled_hour_are_taken_at_once(name, at):
    zone = ZONES[name]
    assert moment_of(wall(at + HOUR, zone), zone) == at + HOUR
    assert moment_of(wall(at - HOUR - MINUTE, zone), zone) == at - HOUR - MINUTE


@any_case
@given(
    st.sampled_from(sorted(ZONES)),
    st.datetimes(datetime(2026, 1, 1), datetime(2036, 12, 31), timezones=st.just(UTC)),
)
def test_every_moment_that_was_shown_is_read_back_as_itself(name, at):
    at = at.replace(second=0, microsecond=0)
    assert moment_of(wall(at, ZONES[name]), ZONES[name], value_of(at)) == at


@any_case
@given(st.sampled_from(sorted(ZONES)), st.datetimes(datetime(2026, 1, 1), datetime(2036, 12, 31)))
def test_whatever_is_typed_names_one_moment_that_reads_so_or_two_are_offered(name, typed):
    zone = ZONES[name]
    try:
        assert wall(moment_of(typed, zone), zone) == typed
    except AskAgain as asked:
        assert len(asked.choices) == 2


@pytest.mark.parametrize("meant", ["", "nonsense", "2026-10-25T02:30Z", "2026-10-24T23:30Z", "2026-10-25T00:30Z "])
def test_an_answer_that_is_none_of_the_choices_is_asked_again(meant):
    with pytest.raises(AskAgain):
        moment_of(datetime(2026, 10, 25, 3, 30), ZONES["Europe/Bucharest"], meant)


def test_an_answer_to_another_question_changes_nothing():
    typed = datetime(2026, 12, 1, 8)
    assert moment_of(typed, ZONES["Europe/Bucharest"], "2026-10-25T00:30Z") == datetime(2026, 12, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize("typed", [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)])
@pytest.mark.parametrize("zone", ZONES.values(), ids=ZONES)
def test_the_ends_of_the_calendar_are_refused_or_read_and_never_break(typed, zone):
    try:
        moment_of(typed, zone)
    except AskAgain as asked:
        assert asked.choices == ()
        assert "outside the calendar" in str(asked)


def test_the_question_names_the_day_both_times_and_their_abbreviations():
    with pytest.raises(AskAgain) as asked:
        moment_of(datetime(2026, 3, 29, 3, 30), ZONES["Europe/Bucharest"])
    assert str(asked.value) == (
        "2026-03-29 03:30 does not exist, because the clocks go forward then: choose 02:30 EET or 04:30 EEST."
    )
    with pytest.raises(AskAgain) as asked:
        moment_of(datetime(2026, 11, 1, 1, 30), ZONES["America/Los_Angeles"])
    assert str(asked.value) == "2026-11-01 01:30 exists twice, because the clocks go back then: choose PDT or PST."
    assert asked.value.choices[0].words == "Sun 01 Nov 2026 01:30 PDT, which is 08:30 UTC"


def test_utc_knows_no_doubt():
    for _, at in CHANGES:
        assert moment_of(at.replace(tzinfo=None), UTC) == at


# --- showing ----------------------------------------------------------------------------------------------------------


def test_a_moment_is_shown_in_three_zones_with_their_abbreviations():
    at = datetime(2026, 12, 1, 14, 5, tzinfo=UTC)
    assert [str(one) for one in in_three_zones(at, DESK)] == [
        "Tue 01 Dec 2026 14:05 UTC",
        "Tue 01 Dec 2026 16:05 EET",
        "Tue 01 Dec 2026 06:05 PST",
    ]
    summer = [str(one) for one in in_three_zones(datetime(2026, 7, 1, 2, tzinfo=UTC), DESK)]
    assert summer[1:] == ["Wed 01 Jul 2026 05:00 EEST", "Tue 30 Jun 2026 19:00 PDT"]


@pytest.mark.parametrize(
    ("zone", "shown"), [("UTC", 2), ("America/Los_Angeles", 2), ("UTC+2", 3), ("America/Sao_Paulo", 3)]
)
def test_a_desk_anywhere_has_its_own_line_unless_it_reads_as_another(zone, shown):
    desk = Calendar.parse(zone, "09:00-17:00", "")
    lines = in_three_zones(datetime(2026, 12, 1, 14, tzinfo=UTC), desk)
    assert len(lines) == shown
    assert all(line.abbreviation[0].isalpha() for line in lines)


def test_no_moment_is_shown_as_nothing():
    assert in_three_zones(None, DESK) == []
    assert value_of(None) == ""


def test_a_window_is_written_on_one_line_in_three_zones():
    start = datetime(2026, 12, 1, 14, tzinfo=UTC)
    words = local_times.in_words(start, start + 2 * HOUR)
    assert words == ("Tue 1 Dec 2026 14:00-16:00 UTC; Tue 1 Dec 2026 16:00-18:00 EET; Tue 1 Dec 2026 06:00-08:00 PST")
