"""Count the desk's working time: days, hours, holidays and zones; not the moment it is now, which callers pass in.

One rule turns the desk's wall clock into moments: the desk opens and closes at the *first* moment at which its clock
reads that time or later. So a time that the clock shows twice is its first showing, a time that it skips is the moment
of the jump, and spans never overlap, in any zone.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
from holidays.registry import EntityLoader

ZERO = timedelta(0)
DAY = timedelta(days=1)
GIVE_UP_AFTER = timedelta(days=3 * 365 + 1)  # three years of the calendar; no promise of the desk is longer
# Beyond these moments nothing counts: near the ends of the calendar a change of zone would overflow.
EARLIEST = datetime(3, 1, 1, tzinfo=UTC)
LATEST = datetime(9998, 1, 1, tzinfo=UTC)

FIXED_OFFSET = re.compile(r"UTC(?:([+-])([0-9]{1,2})(?::([0-5][0-9]))?)?")
WIDEST_OFFSET = timedelta(hours=14)  # no place on earth is further from UTC
HOURS = re.compile(r"\s*([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})\s*")


class NoWorkingTime(ValueError):
    """The working time asked for is not reached within three years."""


@dataclass(frozen=True)
class Calendar:
    """The desk's working hours; a span that runs over midnight belongs to the local day on which it opens."""

    zone: str  # an IANA name, or a fixed offset: "UTC", "UTC+2" (east of Greenwich), "UTC-5", "UTC+02:30"
    opens: time
    closes: time
    country: str = "RO"  # whose public holidays are free: a code of the holidays package, or "" for none
    weekdays: frozenset[int] = frozenset({0, 1, 2, 3, 4})  # Monday is 0

    def __post_init__(self) -> None:
        """Refuse hours, a zone, a country or weekdays that cannot be counted with (ValueError)."""
        _zone(self.zone)
        if self.opens == self.closes:
            raise ValueError(
                f"The working hours are empty, because they open and close at {self.opens:%H:%M}: "
                "expected two different times, such as 09:00-17:00."
            )
        if self.country:
            _check_country(self.country)
        if not self.weekdays <= frozenset(range(7)):
            raise ValueError(f"The weekdays {set(self.weekdays)} are not all days: expected 0 (Monday) to 6 (Sunday).")

    @classmethod
    def parse(cls, zone: str, hours: str, country: str) -> "Calendar":
        """Read a calendar from settings such as "Europe/Bucharest", "09:00-17:00" and "RO"; raises ValueError."""
        written = HOURS.fullmatch(hours)
        if written is None:
            raise ValueError(f"The working hours {hours!r} are not two times: expected hours such as 09:00-17:00.")
        try:
            opens, closes = time(int(written[1]), int(written[2])), time(int(written[3]), int(written[4]))
        except ValueError:
            raise ValueError(
                f"The working hours {hours!r} name a time that no clock shows: "
                "expected 00:00 (midnight) to 23:59 on both sides, such as 09:00-17:00."
            ) from None
        return cls(zone=zone.strip(), opens=opens, closes=closes, country=country.strip().upper())

    @property
    def working_day(self) -> timedelta:
        """Return the length of one full span in wall-clock hours, which summer time does not change."""
        return (datetime.combine(date.min, self.closes) - datetime.combine(date.min, self.opens)) % DAY

    @property
    def tzinfo(self) -> tzinfo:
        """Return the zone whose wall clock the desk works by."""
        return _zone(self.zone)


@dataclass(frozen=True)
class Interval:
    """A half-open stretch of time: its start is inside, its end is not; both in UTC when it comes from here."""

    start: datetime
    end: datetime | None  # None only in a pause that is still going on

    @property
    def length(self) -> timedelta:
        """Return the real elapsed time."""
        return self.end - self.start


def working_intervals(
    calendar: Calendar, start: datetime, end: datetime, pauses: Iterable[Interval] = ()
) -> list[Interval]:
    """List every counted interval between two moments, in order, pauses cut out and merged where they touch.

    A pause whose end is None has not ended yet; one that ends before it starts is ignored. Raises ValueError for a
    moment without a zone.
    """
    counted: list[Interval] = []
    for stretch in _unpaused(_in_utc(start), _in_utc(end), pauses):
        for year in _years(calendar, stretch.start, stretch.end):
            for span in year.spans_in(stretch):
                touches = counted and counted[-1].end == span.start
                counted.append(Interval(counted.pop().start if touches else span.start, span.end))
    return counted


def working_time(calendar: Calendar, start: datetime, end: datetime, pauses: Iterable[Interval] = ()) -> timedelta:
    """Return the sum of `working_intervals`, in real elapsed time; zero when the end is not after the start."""
    total = ZERO
    for stretch in _unpaused(_in_utc(start), _in_utc(end), pauses):
        for year in _years(calendar, stretch.start, stretch.end):
            total += year.counted_by(stretch.end) - year.counted_by(stretch.start)
    return total


def add_working_time(
    calendar: Calendar, start: datetime, amount: timedelta, pauses: Iterable[Interval] = ()
) -> datetime:
    """Return the earliest moment, in UTC, at which `amount` of working time has been counted since the start.

    Raises ValueError for a negative amount or a moment without a zone, and NoWorkingTime when the amount is not
    reached within three years: never, for instance, behind a pause that has not ended yet.
    """
    start = _in_utc(start)
    if amount < ZERO:
        raise ValueError(f"Working time cannot be added backwards: the amount is {amount}, expected zero or more.")
    if amount == ZERO:
        return start
    missing = amount
    for stretch in _unpaused(start, _give_up_at(start), pauses):
        for year in _years(calendar, stretch.start, stretch.end):
            before = year.counted_by(stretch.start)
            counted = year.counted_by(stretch.end) - before
            if missing <= counted:
                return year.moment_of(before + missing)
            missing -= counted
    raise NoWorkingTime(
        f"{amount} of working time is not reached within three years of {start:%Y-%m-%d %H:%M} UTC: "
        f"{missing} is missing; check the working hours, the weekdays and the pauses."
    )


def is_working(calendar: Calendar, at: datetime) -> bool:
    """Say whether the desk is open: from the second it opens, until before the second it closes."""
    at = _in_utc(at)
    return any(year.is_open(at) for year in _years(calendar, at, at))


def next_opening(calendar: Calendar, at: datetime) -> datetime:
    """Return the first opening at or after a moment, in UTC; raises NoWorkingTime if none comes within three years."""
    at = _in_utc(at)
    for year in _years(calendar, at, _give_up_at(at)):
        opening = year.opening_from(at)
        if opening is not None:
            return opening
    raise NoWorkingTime(f"The desk does not open within three years of {at:%Y-%m-%d %H:%M} UTC: check its weekdays.")


@dataclass(frozen=True)
class _Year:
    """The spans that open in one local year, in order, ready for bisection."""

    opens: list[datetime]
    closes: list[datetime]
    counted: list[timedelta]  # what has been counted before each span; one more at the end: the whole year

    def counted_by(self, at: datetime) -> timedelta:
        """Return the working time of this year that lies before a moment."""
        opened = bisect_right(self.opens, at)
        if opened == 0:
            return ZERO
        return self.counted[opened - 1] + (min(at, self.closes[opened - 1]) - self.opens[opened - 1])

    def moment_of(self, counted: timedelta) -> datetime:
        """Return the earliest moment by which so much of this year is counted: a closing rather than an opening."""
        span = bisect_left(self.counted, counted) - 1
        return self.opens[span] + (counted - self.counted[span])

    def spans_in(self, stretch: Interval) -> Iterator[Interval]:
        """Give the spans that lie in a stretch of time, cut to it."""
        for span in range(bisect_right(self.closes, stretch.start), bisect_left(self.opens, stretch.end)):
            yield Interval(max(self.opens[span], stretch.start), min(self.closes[span], stretch.end))

    def is_open(self, at: datetime) -> bool:
        """Say whether a moment lies in a span of this year."""
        opened = bisect_right(self.opens, at)
        return opened > 0 and at < self.closes[opened - 1]

    def opening_from(self, at: datetime) -> datetime | None:
        """Return the first opening of this year that is not before a moment, if there is one."""
        span = bisect_left(self.opens, at)
        return self.opens[span] if span < len(self.opens) else None


def _years(calendar: Calendar, start: datetime, end: datetime) -> Iterator[_Year]:
    # Two days back: a span lasts almost a day, and its local date may be a day behind the date in UTC.
    first = (max(start, EARLIEST) - 2 * DAY).year
    last = (min(end, LATEST) + DAY).year
    return (_year(calendar, year) for year in range(first, last + 1))


# Counting is bisection in these; building one takes milliseconds. 256: a few calendars with decades of requests.
@lru_cache(maxsize=256)
def _year(calendar: Calendar, year: int) -> _Year:
    zone = _zone(calendar.zone)
    free = _public_holidays(calendar.country, year) if calendar.country else frozenset()
    length = calendar.working_day
    days = (date.fromordinal(n) for n in range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()))
    opens, closes, counted = [], [], [ZERO]
    for day in days:
        if day.weekday() not in calendar.weekdays or day in free:
            continue
        opening = datetime.combine(day, calendar.opens)
        opened_at, closed_at = _first_moment(opening, zone), _first_moment(opening + length, zone)
        if opened_at < closed_at:  # equal when the clock skipped the whole span: Apia had no 30 December 2011
            opens.append(opened_at)
            closes.append(closed_at)
            counted.append(counted[-1] + (closed_at - opened_at))
    return _Year(opens, closes, counted)


def _first_moment(wall: datetime, zone: tzinfo) -> datetime:
    """Return the first moment, in UTC, at which the clock of the zone reads this time or later."""
    at = wall.replace(tzinfo=zone).astimezone(UTC)  # fold is 0: of two showings, the first
    if _wall(at, zone) == wall:
        return at
    # Skipped. With fold 1 the same reading lies before the jump, with fold 0 after it (PEP 495): search between them.
    before, after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), at
    while after - before > timedelta.resolution:
        middle = before + (after - before) // 2
        if _wall(middle, zone) < wall:
            before = middle
        else:
            after = middle
    return after


def _wall(at: datetime, zone: tzinfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def _unpaused(start: datetime, end: datetime, pauses: Iterable[Interval]) -> Iterator[Interval]:
    """Give the stretches between two moments in which no pause runs, in order, none of them empty."""
    running_from = start
    waits = ((_in_utc(pause.start), LATEST if pause.end is None else _in_utc(pause.end)) for pause in pauses)
    for pause_start, pause_end in sorted(waits):
        if pause_end <= pause_start:
            continue
        if running_from < min(pause_start, end):
            yield Interval(running_from, min(pause_start, end))
        running_from = max(running_from, pause_end)
    if running_from < end:
        yield Interval(running_from, end)


def _give_up_at(start: datetime) -> datetime:
    return min(start, LATEST - GIVE_UP_AFTER) + GIVE_UP_AFTER


def _in_utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError(f"The moment {moment} has no time zone, so it names no instant: expected an aware datetime.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"The moment {moment} is outside the calendar in UTC: expected the years 1 to 9999.") from None


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    fixed = FIXED_OFFSET.fullmatch(name)
    if fixed:
        offset = timedelta(hours=int(fixed[2] or 0), minutes=int(fixed[3] or 0))
        if offset <= WIDEST_OFFSET:
            return timezone(-offset if fixed[1] == "-" else offset)
    else:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # OSError: a folder, such as Europe, of the tzdata package
            pass
    raise ValueError(
        f"The time zone {name!r} is not known: expected an IANA name such as Europe/Bucharest, "
        "or a fixed offset of at most 14 hours such as UTC+2 or UTC-03:30."
    )


def _check_country(country: str) -> None:
    # By the package's list alone: it loads every country to count in one, which a start that counts nothing can spare.
    if not re.fullmatch("[A-Z]{2}", country) or country not in EntityLoader.get_country_codes():
        raise ValueError(
            f"The country {country!r} has no known public holidays: "
            "expected a two-letter code of the holidays package such as RO, or nothing for none."
        )


@lru_cache(maxsize=256)
def _public_holidays(country: str, year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays(country, years=year))
