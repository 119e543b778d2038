"""When a change took effect, as people type it: a day and a time on the clock of a zone, and back. Pure."""

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

from changelog.rules import EARLIEST_YEAR, FURTHEST_AHEAD
from ciduty.working_time import Calendar

IN_UTC, IN_DESK, AS_TOLD = "utc", "desk", "told"


class NoMoment(ValueError):
    """What was typed names no single moment that a change can have. `str()` is a sentence for a person."""


def zones(calendar: Calendar, told: datetime | None = None) -> dict[str, tuple[str, tzinfo]]:
    """Return the zones that can be chosen: key -> how it is called, its clock. `told`: with the offset it came with."""
    known = {IN_DESK: (f"The desk ({calendar.zone})", calendar.tzinfo), IN_UTC: ("UTC", UTC)}
    if told is not None and all(told.astimezone(zone).utcoffset() != told.utcoffset() for _, zone in known.values()):
        known[AS_TOLD] = (f"As it was told ({told:UTC%z})", timezone(told.utcoffset()))
    return known


def read(day: date, at: time, zone: tzinfo, now: datetime) -> datetime:
    """Return the moment at which the clock of a zone reads so, with that zone's offset. Raises NoMoment."""
    wall = datetime.combine(day, at.replace(microsecond=0))
    if wall.year < EARLIEST_YEAR:
        raise NoMoment(f"{wall:%Y-%m-%d} is before {EARLIEST_YEAR}: no change of CI is that old.")
    try:
        first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        raise NoMoment(f"{wall:%Y-%m-%d} is outside the calendar: enter a nearer date.") from None
    if first != second:
        happens = "twice, because the clocks go back" if first < second else "never, because the clocks go forward"
        raise NoMoment(f"{wall:%Y-%m-%d %H:%M} comes {happens} then: choose UTC, and type it by that clock.")
    if first - now > FURTHEST_AHEAD:
        raise NoMoment(f"{wall:%Y-%m-%d} is more than a year ahead: enter it when it is nearer.")
    return first.astimezone(timezone(wall.replace(tzinfo=zone).utcoffset()))


def typed(at: datetime | None, zone: tzinfo) -> dict:
    """Return a moment as the fields of a form show it, to the minute: its day and its time by the clock of a zone."""
    if at is None:
        return {}
    reading = at.astimezone(zone)
    return {"effective_on": reading.date(), "effective_time": reading.time().replace(second=0, microsecond=0)}


def offset_of(at: datetime) -> int:
    """Return the minutes east of UTC that a moment was told with."""
    return int(at.utcoffset() / timedelta(minutes=1))
