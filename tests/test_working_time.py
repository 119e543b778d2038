"""A loaner request is answered within one working day: what counts as the desk's working time, and what does not."""

from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciduty.working_time import (
    Calendar,
    Interval,
    NoWorkingTime,
    add_working_time,
    is_working,
    next_opening,
    working_intervals,
    working_time,
)

DESK = Calendar.parse("Europe/Bucharest", "09:00-17:00", "RO")
ALL_WEEK = frozenset(range(7))
HOUR = timedelta(hours=1)


def local(written: str, zone: str = "Europe/Bucharest") -> datetime:
    """Read "2026-02-17 10:00", with or without seconds, on the wall clock of a zone."""
    return datetime.fromisoformat(written).replace(tzinfo=ZoneInfo(zone))


def utc(written: str) -> datetime:
    return local(written, "UTC")


def desk(hours, zone="Europe/Bucharest", country="", weekdays=ALL_WEEK) -> Calendar:
    opens, closes = (time.fromisoformat(written) for written in hours.split("-"))
    return Calendar(zone, opens, closes, country, weekdays)


# --- one working day, by example: Bucharest's clock on both sides ----------------------------------------------------

ONE_WORKING_DAY = {
    "plain day": ("2026-02-17 10:00", "2026-02-18 10:00"),
    "before the desk opens": ("2026-02-17 06:30", "2026-02-17 17:00"),
    "one second before it opens": ("2026-02-17 08:59:59", "2026-02-17 17:00"),
    "as it opens": ("2026-02-17 09:00", "2026-02-17 17:00"),
    "one second after it opened": ("2026-02-17 09:00:01", "2026-02-18 09:00:01"),
    "one second before it closes": ("2026-02-17 16:59:59", "2026-02-18 16:59:59"),
    "as it closes": ("2026-02-17 17:00", "2026-02-18 17:00"),
    "one second after it closed": ("2026-02-17 17:00:01", "2026-02-18 17:00"),
    "evening": ("2026-02-17 20:00", "2026-02-18 17:00"),
    "Friday afternoon": ("2026-02-20 16:00", "2026-02-23 16:00"),
    "Saturday": ("2026-02-21 12:00", "2026-02-23 17:00"),
    "Sunday, one second before midnight": ("2026-02-22 23:59:59", "2026-02-23 17:00"),
    "before Orthodox Good Friday": ("2026-04-09 16:00", "2026-04-14 16:00"),
    "Western Good Friday is worked": ("2026-04-03 10:00", "2026-04-06 10:00"),
    "over 30 November and 1 December": ("2026-11-27 16:00", "2026-12-02 16:00"),
    "on 1 December itself": ("2026-12-01 11:00", "2026-12-02 17:00"),
    "over the new year": ("2026-12-31 16:00", "2027-01-04 16:00"),
    "a holiday on a Saturday moves nothing": ("2026-08-14 16:00", "2026-08-17 16:00"),
    "over the Sunday on which summer time begins": ("2026-03-27 16:00", "2026-03-30 16:00"),
    "over the Sunday on which summer time ends": ("2026-10-23 16:00", "2026-10-26 16:00"),
}


@pytest.mark.parametrize(("asked_at", "answer_by"), ONE_WORKING_DAY.values(), ids=ONE_WORKING_DAY)
def test_one_working_day_ends_at(asked_at, answer_by):
    answered_at = add_working_time(DESK, local(asked_at), DESK.working_day)
    assert answered_at == local(answer_by)
    assert answered_at.tzinfo is UTC
    assert working_time(DESK, local(asked_at), local(answer_by)) == 8 * HOUR


def test_a_working_day_is_the_span_on_the_wall_clock():
    assert DESK.working_day == 8 * HOUR
    assert desk("22:00-06:00").working_day == 8 * HOUR
    assert desk("09:30-00:00").working_day == timedelta(hours=14, minutes=30)


def test_no_time_added_is_the_start_itself_even_at_night():
    assert add_working_time(DESK, local("2026-02-17 20:00"), timedelta(0)) == local("2026-02-17 20:00")


def test_one_microsecond_more_than_the_day_moves_to_the_next_morning():
    amount = 8 * HOUR + timedelta.resolution
    answered_at = add_working_time(DESK, local("2026-02-17 09:00"), amount)
    assert answered_at == local("2026-02-18 09:00") + timedelta.resolution


def test_no_working_time_passes_backwards_or_in_no_time():
    assert working_time(DESK, local("2026-02-17 12:00"), local("2026-02-17 12:00")) == timedelta(0)
    assert working_time(DESK, local("2026-02-18 12:00"), local("2026-02-17 12:00")) == timedelta(0)
    assert working_intervals(DESK, local("2026-02-18 12:00"), local("2026-02-17 12:00")) == []
    assert working_intervals(DESK, local("2026-02-17 17:00"), local("2026-02-18 09:00")) == []


def test_a_year_of_working_days_is_counted():
    # 261 days from Monday to Friday. Free: 1, 2, 6, 7 January, 10, 13 April, 1 May, 1 June, 30 November, 1, 25
    # December.
    assert working_time(DESK, local("2026-01-01 00:00"), local("2027-01-01 00:00")) == (261 - 11) * 8 * HOUR


# --- the desk is open, and when it opens -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-02-17 08:59:59", False),
        ("2026-02-17 09:00:00", True),
        ("2026-02-17 16:59:59", True),
        ("2026-02-17 17:00:00", False),
        ("2026-02-21 12:00:00", False),
        ("2026-12-01 12:00:00", False),
    ],
)
def test_the_desk_is_open_from_opening_until_before_closing(at, expected):
    assert is_working(DESK, local(at)) is expected


@pytest.mark.parametrize(
    ("at", "opens_at"),
    [
        ("2026-02-17 08:59:59", "2026-02-17 09:00"),
        ("2026-02-17 09:00:00", "2026-02-17 09:00"),
        ("2026-02-17 09:00:01", "2026-02-18 09:00"),
        ("2026-02-20 17:00:00", "2026-02-23 09:00"),
        ("2026-12-31 17:00:00", "2027-01-04 09:00"),
    ],
)
def test_the_next_opening_is_not_before_the_moment(at, opens_at):
    assert next_opening(DESK, local(at)) == local(opens_at)
    assert next_opening(DESK, local(at)).tzinfo is UTC


# --- holidays and midnight -------------------------------------------------------------------------------------------


def test_a_holiday_is_a_date_on_the_desks_own_clock():
    los_angeles = Calendar.parse("America/Los_Angeles", "09:00-17:00", "US")
    eve = local("2026-12-24 16:30", "America/Los_Angeles")  # already Christmas in UTC
    assert is_working(los_angeles, eve)
    assert add_working_time(los_angeles, eve, HOUR) == local("2026-12-28 09:30", "America/Los_Angeles")


def test_a_holiday_that_is_moved_to_a_weekday_is_free():
    new_york = Calendar.parse("America/New_York", "09:00-17:00", "US")
    thursday = local("2026-07-02 16:00", "America/New_York")  # 4 July 2026 is a Saturday, so Friday is free
    assert add_working_time(new_york, thursday, 2 * HOUR) == local("2026-07-06 10:00", "America/New_York")


def test_a_holiday_moved_into_the_year_before_is_free():
    new_york = Calendar.parse("America/New_York", "09:00-17:00", "US")  # 1 January 2022 is a Saturday
    assert not is_working(new_york, local("2021-12-31 12:00", "America/New_York"))


def test_without_a_country_no_day_is_a_holiday():
    assert is_working(Calendar.parse("Europe/Bucharest", "09:00-17:00", ""), local("2026-12-01 12:00"))


def test_a_span_over_midnight_belongs_to_the_day_it_opens():
    night = desk("22:00-06:00", country="RO", weekdays=DESK.weekdays)
    assert is_working(night, local("2026-02-21 05:59:59"))  # Saturday morning: Friday's span
    assert not is_working(night, local("2026-02-21 22:00"))
    assert not is_working(night, local("2026-02-23 05:00"))  # Monday morning: it would be Sunday's
    assert not is_working(night, local("2026-12-02 05:00"))  # the night of 1 December
    assert is_working(night, local("2026-12-03 05:00"))


def test_a_span_over_new_year_is_counted_from_both_of_its_years():
    night = desk("22:00-06:00")
    assert working_time(night, local("2026-12-31 23:00"), local("2027-01-01 03:00")) == 4 * HOUR
    assert working_time(night, local("2027-01-01 01:00"), local("2027-01-01 12:00")) == 5 * HOUR
    assert is_working(night, local("2027-01-01 05:59:59"))
    assert add_working_time(night, local("2027-01-01 05:00"), 2 * HOUR) == local("2027-01-01 23:00")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_local_year_counts_even_when_it_is_another_year_in_utc(zone):
    all_day = desk("00:00-23:59", zone)
    assert is_working(all_day, local("2027-01-01 00:00", zone))
    assert is_working(all_day, local("2026-12-31 23:58:59", zone))
    assert not is_working(all_day, local("2026-12-31 23:59", zone))


def test_a_span_of_the_old_year_may_run_into_the_second_day_of_the_new_one_in_utc():
    nearly_always = desk("23:00-22:00", "Pacific/Pago_Pago")
    late = local("2027-01-01 21:00", "Pacific/Pago_Pago")  # opened on 31 December there; 2 January in UTC
    assert is_working(nearly_always, late)
    assert working_time(nearly_always, late, late + 2 * HOUR) == HOUR


# --- summer time and clocks that skip or repeat ----------------------------------------------------------------------


@pytest.mark.parametrize("sunday", ["2026-03-29", "2026-10-25"])
def test_a_sunday_of_summer_time_is_a_plain_day_when_the_desk_is_closed_at_the_change(sunday):
    every_day = desk("09:00-17:00")
    opens_at = local(f"{sunday} 09:00")
    assert next_opening(every_day, local(f"{sunday} 00:00")) == opens_at
    assert working_time(every_day, opens_at, opens_at + 20 * HOUR) == 8 * HOUR
    assert add_working_time(every_day, opens_at, every_day.working_day) == local(f"{sunday} 17:00")


def test_the_night_that_summer_time_begins_is_an_hour_shorter():
    night = desk("22:00-06:00")
    assert working_time(night, local("2026-03-28 22:00"), local("2026-03-29 12:00")) == 7 * HOUR
    assert add_working_time(night, local("2026-03-28 22:00"), night.working_day) == local("2026-03-29 23:00")


def test_the_night_that_summer_time_ends_is_an_hour_longer():
    night = desk("22:00-06:00")
    assert working_time(night, local("2026-10-24 22:00"), local("2026-10-25 12:00")) == 9 * HOUR
    assert add_working_time(night, local("2026-10-24 22:00"), night.working_day) == local("2026-10-25 05:00")


def test_an_opening_that_the_clock_skips_is_the_moment_of_the_jump():
    early = desk("03:30-08:00")  # 03:00 jumps to 04:00
    assert next_opening(early, local("2026-03-29 00:00")) == utc("2026-03-29 01:00")
    assert not is_working(early, utc("2026-03-29 00:59:59"))


def test_a_closing_that_the_clock_skips_is_the_moment_of_the_jump():
    late = desk("22:00-03:30")
    assert is_working(late, utc("2026-03-29 00:59:59"))
    assert not is_working(late, utc("2026-03-29 01:00"))


def test_a_span_that_the_clock_skips_altogether_is_no_span():
    skipped = desk("03:15-03:45")
    assert next_opening(skipped, local("2026-03-28 12:00")) == local("2026-03-30 03:15")
    assert working_intervals(skipped, local("2026-03-28 12:00"), local("2026-03-29 12:00")) == []


def test_a_midnight_that_does_not_exist_is_the_moment_of_the_jump():
    sao_paulo = desk("00:00-08:00", "America/Sao_Paulo")  # 4 November 2018 began at 01:00
    assert next_opening(sao_paulo, utc("2018-11-03 20:00")) == utc("2018-11-04 03:00")
    assert working_time(sao_paulo, utc("2018-11-04 00:00"), utc("2018-11-04 20:00")) == 7 * HOUR


def test_a_time_that_the_clock_shows_twice_is_its_first_showing():
    early, late = desk("03:30-08:00"), desk("22:00-03:30")  # 04:00 goes back to 03:00
    assert next_opening(early, local("2026-10-25 00:00")) == utc("2026-10-25 00:30")
    assert is_working(early, utc("2026-10-25 01:15"))  # 03:15 for the second time: it has opened once, it stays open
    assert not is_working(late, utc("2026-10-25 00:30"))
    assert not is_working(late, utc("2026-10-25 01:15"))


def test_spans_merge_where_a_skipped_hour_makes_them_touch():
    nearly_always = desk("04:00-03:00")
    found = working_intervals(nearly_always, local("2026-03-28 12:00"), local("2026-03-29 12:00"))
    assert found == [Interval(utc("2026-03-28 10:00"), utc("2026-03-29 09:00"))]


def test_half_an_hour_of_summer_time_is_half_an_hour():
    night = desk("22:00-06:00", "Australia/Lord_Howe")
    begins, ends = (local(f"{day} 22:00", "Australia/Lord_Howe") for day in ("2026-10-03", "2026-04-04"))
    assert working_time(night, begins, begins + 12 * HOUR) == timedelta(hours=7, minutes=30)
    assert working_time(night, ends, ends + 12 * HOUR) == timedelta(hours=8, minutes=30)


def test_a_friday_that_a_country_skipped_is_not_worked():
    apia = desk("09:00-17:00", "Pacific/Apia", weekdays=DESK.weekdays)  # no 30 December 2011: east of the date line
    thursday = local("2011-12-29 16:00", "Pacific/Apia")
    assert add_working_time(apia, thursday, 2 * HOUR) == local("2012-01-02 10:00", "Pacific/Apia")
    assert not is_working(apia, local("2011-12-31 12:00", "Pacific/Apia"))


def test_a_fixed_offset_is_an_hour_later_than_bucharest_in_july():
    fixed = Calendar.parse("UTC+2", "09:00-17:00", "RO")
    july, january = utc("2026-07-15 00:00"), utc("2026-01-15 00:00")
    assert next_opening(DESK, july) == utc("2026-07-15 06:00")
    assert next_opening(fixed, july) == utc("2026-07-15 07:00")
    assert next_opening(DESK, january) == next_opening(fixed, january) == utc("2026-01-15 07:00")


@pytest.mark.parametrize(
    ("zone", "opens_at"),
    [
        ("UTC", "09:00"),
        ("UTC+2", "07:00"),
        ("UTC+02:30", "06:30"),
        ("UTC-5", "14:00"),
        ("UTC-03:30", "12:30"),
        ("UTC+14", "19:00"),
        ("Asia/Kathmandu", "03:15"),
    ],
)
def test_a_zone_is_east_of_greenwich_when_its_sign_is_plus(zone, opens_at):
    opening = next_opening(desk("09:00-17:00", zone), utc("2026-01-14 00:00"))
    assert opening == utc(f"2026-01-14 {opens_at}")


# --- the clock pauses while a needinfo waits for the requester -------------------------------------------------------

TUESDAY_9, TUESDAY_17 = local("2026-02-17 09:00"), local("2026-02-17 17:00")


def pause(start: str, end: str | None) -> Interval:
    return Interval(local(f"2026-02-{start}"), local(f"2026-02-{end}") if end else None)


# The pauses; the hours that the Tuesday still counts; the end of one working day that begins with the Tuesday.
PAUSES = {
    "none": ([], 8, "17 17:00"),
    "two hours": ([pause("17 10:00", "17 12:00")], 6, "18 11:00"),
    "two, unsorted": ([pause("17 14:00", "17 15:00"), pause("17 10:00", "17 12:00")], 5, "18 12:00"),
    "overlapping": ([pause("17 10:00", "17 12:00"), pause("17 11:00", "17 13:00")], 5, "18 12:00"),
    "one inside the other": ([pause("17 10:00", "17 14:00"), pause("17 11:00", "17 12:00")], 4, "18 13:00"),
    "the same twice": ([pause("17 10:00", "17 12:00")] * 2, 6, "18 11:00"),
    "touching": ([pause("17 10:00", "17 12:00"), pause("17 12:00", "17 13:00")], 5, "18 12:00"),
    "from the very start": ([pause("17 09:00", "17 10:00")], 7, "18 10:00"),
    "since before the start": ([pause("16 09:00", "17 10:00")], 7, "18 10:00"),
    "until the closing": ([pause("17 16:00", "17 17:00")], 7, "18 10:00"),
    "over the night": ([pause("17 16:00", "18 10:00")], 7, "18 11:00"),
    "over a weekend": ([pause("17 10:00", "23 12:00")], 1, "24 11:00"),
    "all of the Tuesday": ([pause("17 09:00", "17 17:00")], 0, "18 17:00"),
    "wholly at night": ([pause("17 18:00", "18 08:00")], 8, "17 17:00"),
    "wholly before": ([pause("16 10:00", "16 12:00")], 8, "17 17:00"),
    "wholly after": ([pause("17 17:00", "18 12:00")], 8, "17 17:00"),
    "reversed": ([pause("17 12:00", "17 10:00")], 8, "17 17:00"),
    "empty": ([pause("17 12:00", "17 12:00")], 8, "17 17:00"),
}


@pytest.mark.parametrize(("pauses", "hours", "answer_by"), PAUSES.values(), ids=PAUSES)
def test_a_pause_is_not_counted(pauses, hours, answer_by):
    assert working_time(DESK, TUESDAY_9, TUESDAY_17, pauses) == hours * HOUR
    assert add_working_time(DESK, TUESDAY_9, DESK.working_day, pauses) == local(f"2026-02-{answer_by}")


def test_a_pause_that_still_goes_on_leaves_out_everything_after_its_start():
    waiting = [pause("17 10:00", None)]
    assert working_time(DESK, TUESDAY_9, local("2026-03-17 09:00"), waiting) == HOUR
    assert add_working_time(DESK, TUESDAY_9, HOUR, waiting) == local("2026-02-17 10:00")
    with pytest.raises(NoWorkingTime):
        add_working_time(DESK, TUESDAY_9, HOUR + timedelta.resolution, waiting)


def test_every_counted_interval_is_listed():
    pauses = [pause("17 12:00", "17 13:00"), pause("18 15:00", "19 10:00")]
    found = working_intervals(DESK, local("2026-02-17 11:00"), local("2026-02-19 09:30"), pauses)
    assert found == [
        Interval(utc("2026-02-17 09:00"), utc("2026-02-17 10:00")),
        Interval(utc("2026-02-17 11:00"), utc("2026-02-17 15:00")),
        Interval(utc("2026-02-18 07:00"), utc("2026-02-18 13:00")),
    ]
    assert [interval.length for interval in found] == [1 * HOUR, 4 * HOUR, 6 * HOUR]


def test_pauses_that_come_one_by_one_are_all_left_out():
    pauses = (pause(f"17 {hour}:00", f"17 {hour}:30") for hour in (10, 11, 12))
    assert working_time(DESK, TUESDAY_9, TUESDAY_17, pauses) == timedelta(hours=6, minutes=30)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "hours", "country", "said"),
    [
        ("Europe/Bucharest", "nine to five", "RO", "'nine to five' are not two times: expected hours such as"),
        ("Europe/Bucharest", "", "RO", "'' are not two times"),
        ("Europe/Bucharest", "09:00", "RO", "'09:00' are not two times"),
        ("Europe/Bucharest", "09:00-17:00-18:00", "RO", "'09:00-17:00-18:00' are not two times"),
        ("Europe/Bucharest", "25:00-17:00", "RO", "'25:00-17:00' name a time that no clock shows: expected 00:00"),
        ("Europe/Bucharest", "09:00-24:00", "RO", "'09:00-24:00' name a time that no clock shows: expected 00:00"),
        ("Europe/Bucharest", "09:60-17:00", "RO", "'09:60-17:00' name a time that no clock shows"),
        ("Europe/Bucharest", "09:00-09:00", "RO", "they open and close at 09:00: expected two different times"),
        ("Europe/Nowhere", "09:00-17:00", "RO", "'Europe/Nowhere' is not known: expected an IANA name such as"),
        ("Europe", "09:00-17:00", "RO", "'Europe' is not known"),
        ("../UTC", "09:00-17:00", "RO", "'../UTC' is not known"),
        ("", "09:00-17:00", "RO", "'' is not known"),
        ("UTC+14:01", "09:00-17:00", "RO", "'UTC\\+14:01' is not known: .* at most 14 hours"),
        ("UTC+2:60", "09:00-17:00", "RO", "'UTC\\+2:60' is not known"),
        ("Europe/Bucharest", "09:00-17:00", "XX", "'XX' has no known public holidays: expected a two-letter code"),
        ("Europe/Bucharest", "09:00-17:00", "NYSE", "'NYSE' has no known public holidays"),
    ],
)
def test_a_calendar_that_cannot_be_read_is_refused_with_the_value(zone, hours, country, said):
    with pytest.raises(ValueError, match=said):
        Calendar.parse(zone, hours, country)


def test_the_zone_of_the_desk_is_at_hand_for_showing_its_wall_clock():
    assert utc("2026-07-15 06:00").astimezone(DESK.tzinfo).isoformat() == "2026-07-15T09:00:00+03:00"
    fixed = desk("09:00-17:00", "UTC+2")
    assert utc("2026-07-15 07:00").astimezone(fixed.tzinfo).isoformat() == "2026-07-15T09:00:00+02:00"


def test_a_weekday_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="expected 0 .Monday. to 6 .Sunday."):
        desk("09:00-17:00", weekdays=frozenset({1, 7}))


def test_spaces_small_letters_and_single_digits_are_read():
    assert Calendar.parse(" Europe/Bucharest ", " 9:00 - 17:00 ", " ro ") == DESK


NAIVE = datetime(2026, 2, 17, 10)
CALLS_WITH_A_NAIVE_MOMENT = {
    "time from": lambda: working_time(DESK, NAIVE, TUESDAY_17),
    "time to": lambda: working_time(DESK, TUESDAY_9, NAIVE),
    "intervals": lambda: working_intervals(DESK, NAIVE, TUESDAY_17),
    "add": lambda: add_working_time(DESK, NAIVE, timedelta(0)),
    "is working": lambda: is_working(DESK, NAIVE),
    "next opening": lambda: next_opening(DESK, NAIVE),
    "start of a pause": lambda: working_time(DESK, TUESDAY_9, TUESDAY_17, [Interval(NAIVE, TUESDAY_17)]),
    "end of a pause": lambda: add_working_time(DESK, TUESDAY_9, HOUR, [Interval(TUESDAY_9, NAIVE)]),
}


@pytest.mark.parametrize("call", CALLS_WITH_A_NAIVE_MOMENT.values(), ids=CALLS_WITH_A_NAIVE_MOMENT)
def test_a_moment_without_a_zone_is_refused(call):
    with pytest.raises(ValueError, match="2026-02-17 10:00:00 has no time zone.*expected an aware datetime"):
        call()


def test_a_negative_amount_is_refused():
    with pytest.raises(ValueError, match="cannot be added backwards: the amount is -1 day, 23:00:00"):
        add_working_time(DESK, TUESDAY_9, -HOUR)


def test_three_years_to_the_microsecond_are_searched():
    daily = desk("09:00-17:00", "UTC")
    start, three_years_later = utc("2026-01-01 10:00"), utc("2029-01-01 10:00")
    amount = 3 * 365 * 8 * HOUR + 8 * HOUR  # 2028 has a 29 February
    assert add_working_time(daily, start, amount) == three_years_later
    with pytest.raises(NoWorkingTime, match="within three years of 2026-01-01 10:00 UTC: 0:00:00.000001 is missing"):
        add_working_time(daily, start, amount + timedelta.resolution)


def test_a_desk_that_never_opens_has_no_working_time():
    never = desk("09:00-17:00", weekdays=frozenset())
    with pytest.raises(NoWorkingTime):
        add_working_time(never, TUESDAY_9, timedelta.resolution)
    with pytest.raises(NoWorkingTime, match="does not open within three years of 2026-02-17 07:00 UTC"):
        next_opening(never, TUESDAY_9)


@pytest.mark.parametrize("end_of_time", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_ends_of_the_calendar_are_closed_and_break_nothing(end_of_time):
    desks = [desk("22:00-06:00", "UTC+14"), desk("22:00-06:00", "UTC-14")]
    assert not any(is_working(each, end_of_time) for each in desks)
    assert not any(working_time(each, end_of_time, end_of_time) for each in desks)


def test_the_last_year_of_the_calendar_has_no_working_time():
    last = datetime.max.replace(tzinfo=UTC)
    with pytest.raises(NoWorkingTime):
        next_opening(DESK, last)
    with pytest.raises(NoWorkingTime):
        add_working_time(DESK, last - HOUR, HOUR)


def test_a_moment_that_utc_cannot_name_is_refused():
    with pytest.raises(ValueError, match="outside the calendar in UTC"):
        is_working(DESK, datetime.min.replace(tzinfo=ZoneInfo("Asia/Kathmandu")))


# --- properties, in the places and on the days where clocks misbehave -----------------------------------------------

# Each with a moment near which its clock jumps forward, back, or over a whole day; Kathmandu's never does.
PLACES = [
    ("Europe/Bucharest", utc("2026-03-29 01:00")),
    ("Europe/Bucharest", utc("2026-10-25 01:00")),
    ("America/Los_Angeles", utc("2026-03-08 10:00")),
    ("America/Los_Angeles", utc("2026-11-01 09:00")),
    ("Australia/Lord_Howe", utc("2026-10-03 15:30")),
    ("Australia/Lord_Howe", utc("2026-04-04 15:00")),
    ("America/Sao_Paulo", utc("2018-11-04 03:00")),
    ("America/Sao_Paulo", utc("2018-02-18 02:00")),
    ("Pacific/Apia", utc("2011-12-30 10:00")),
    ("Asia/Kathmandu", utc("2026-12-31 18:15")),
    ("Africa/Casablanca", utc("2026-02-15 02:00")),
    ("UTC-03:30", utc("2024-02-29 12:00")),
]
HOURS = ["09:00-17:00", "22:00-06:00", "00:00-08:00", "02:15-02:45", "03:30-02:15"]
QUARTER = timedelta(minutes=15)

DESKS = [
    (desk(hours, zone, weekdays=weekdays), near)
    for zone, near in PLACES
    for hours in HOURS
    for weekdays in (DESK.weekdays, ALL_WEEK)
]

desks = st.sampled_from(DESKS)  # a calendar, and the moment to stay near to
offsets = st.timedeltas(min_value=timedelta(days=-4), max_value=timedelta(days=4))
amounts = st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=60))
pause_offsets = st.lists(st.tuples(offsets, offsets), max_size=4)
examples = settings(max_examples=200, deadline=None)


def pauses_near(moment: datetime, found: list[tuple[timedelta, timedelta]]) -> list[Interval]:
    return [Interval(moment + start, moment + end) for start, end in found]


@examples
@given(desks, offsets, amounts, pause_offsets)
def test_what_was_added_is_what_is_counted_and_no_earlier_moment_will_do(desk_and_moment, offset, amount, found):
    calendar, near = desk_and_moment
    start, pauses = near + offset, pauses_near(near, found)
    reached_at = add_working_time(calendar, start, amount, pauses)
    assert working_time(calendar, start, reached_at, pauses) == amount
    if amount:
        assert working_time(calendar, start, reached_at - timedelta.resolution, pauses) < amount


@examples
@given(desks, st.lists(offsets, min_size=3, max_size=3), pause_offsets)
def test_time_counted_to_a_moment_and_from_it_is_the_time_counted_over_it(desk_and_moment, offsets, found):
    calendar, near = desk_and_moment
    first, middle, last = sorted(near + offset for offset in offsets)
    pauses = pauses_near(near, found)
    parts = working_time(calendar, first, middle, pauses) + working_time(calendar, middle, last, pauses)
    assert parts == working_time(calendar, first, last, pauses)


@examples
@given(desks, offsets, offsets, pause_offsets)
def test_the_listed_intervals_are_the_counted_time(desk_and_moment, from_offset, to_offset, found):
    calendar, near = desk_and_moment
    start, end, pauses = near + from_offset, near + to_offset, pauses_near(near, found)
    listed = working_intervals(calendar, start, end, pauses)
    assert sum((interval.length for interval in listed), timedelta(0)) == working_time(calendar, start, end, pauses)
    moments = [moment for interval in listed for moment in (interval.start, interval.end)]
    assert moments == sorted(set(moments)), "an interval is empty, overlaps the one before, or touches it"
    pauses_that_count = [each for each in pauses if each.start < each.end]
    for interval in listed:
        assert start <= interval.start and interval.end <= end
        assert is_working(calendar, interval.start) and is_working(calendar, interval.end - timedelta.resolution)
        assert not any(each.start < interval.end and interval.start < each.end for each in pauses_that_count)


@examples
@given(desks, offsets)
def test_between_a_moment_and_the_next_opening_only_the_open_span_counts(desk_and_moment, offset):
    calendar, near = desk_and_moment
    at = near + offset
    opens_at = next_opening(calendar, at)
    assert is_working(calendar, opens_at) and opens_at >= at
    listed = working_intervals(calendar, at, opens_at)
    assert len(listed) == (is_working(calendar, at) and at < opens_at)


def walked(calendar: Calendar, start: datetime, quarters: int, pauses: list[Interval]) -> timedelta:
    """Count by walking with a clock that never goes back, a quarter of an hour at a time: slow, and not bisection."""
    zone = timezone(-timedelta(hours=3, minutes=30)) if calendar.zone == "UTC-03:30" else ZoneInfo(calendar.zone)
    length = calendar.working_day
    shown, counted = datetime.min, timedelta(0)
    for step in range(-2 * 96, quarters):
        at = start + step * QUARTER
        shown = max(shown, at.astimezone(zone).replace(tzinfo=None))
        opened = [datetime.combine(shown.date() - timedelta(days=back), calendar.opens) for back in (0, 1)]
        is_open = any(each.weekday() in calendar.weekdays and each <= shown < each + length for each in opened)
        if step >= 0 and is_open and not any(each.start <= at < each.end for each in pauses):
            counted += QUARTER
    return counted


quarters = st.integers(min_value=-150, max_value=150)


@examples
@given(desks, quarters, st.integers(min_value=0, max_value=300), st.lists(st.tuples(quarters, quarters), max_size=3))
def test_counting_agrees_with_walking_along_the_wall_clock(desk_and_moment, offset, length, found):
    calendar, near = desk_and_moment
    start, end = near + offset * QUARTER, near + (offset + length) * QUARTER
    pauses = [Interval(near + since * QUARTER, near + until * QUARTER) for since, until in found]
    assert working_time(calendar, start, end, pauses) == walked(calendar, start, length, pauses)
