"""Moments as people type and read them: a date and a time in a zone, and back. Pure; what is stored is UTC.

A local time that a zone's clock skips or shows twice names no single moment, so whoever typed it is asked again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from ciduty.working_time import Calendar
from downtimes import notice_times

PACIFIC = notice_times.PACIFIC
#: Keys of the three zones, as forms send them.
IN_UTC, IN_DESK, IN_PACIFIC = "utc", "desk", "pacific"


@dataclass(frozen=True)
class Choice:
    """A moment that may have been meant; `value` names it in a form."""

    at: datetime
    words: str

    @property
    def value(self) -> str:
        """Return the moment as a form sends it back, in UTC."""
        return value_of(self.at)


class AskAgain(ValueError):
    """What was typed names no single moment. `str()` says why, `choices` are what may have been meant."""

    def __init__(self, sentence: str, choices: tuple[Choice, ...] = ()):
        super().__init__(sentence)
        self.choices = choices


@dataclass(frozen=True)
class Local:
    """A moment as the clock of one zone shows it."""

    zone: str
    day: str
    time: str
    abbreviation: str

    def __str__(self):
        return f"{self.day} {self.time} {self.abbreviation}"


def zones(calendar: Calendar) -> dict[str, tuple[str, tzinfo]]:
    """Return the zones in which times are typed and shown: key -> how it is called, its clock."""
    return {
        IN_UTC: ("UTC", UTC),
        IN_DESK: (f"The desk ({calendar.zone})", calendar.tzinfo),
        IN_PACIFIC: ("Pacific (America/Los_Angeles)", PACIFIC),
    }


def value_of(at: datetime | None) -> str:
    """Return a moment as a form sends it back, in UTC, to the minute."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def moment_of(wall: datetime, zone: tzinfo, meant: str = "") -> datetime:
    """Return the moment, in UTC, at which the clock of a zone reads `wall` (which has no zone of its own).

    `meant` is the value of the choice that somebody made when they were asked. Raises AskAgain for a time that does
    not exist or exists twice, unless `meant` is one of its choices.
    """
    try:
        candidates = sorted({wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)})
        readings = [at.astimezone(zone) for at in candidates]
    except OverflowError:
        raise AskAgain("The date is outside the calendar: enter a year that is still to come.") from None
    if len(candidates) == 1 and readings[0].replace(tzinfo=None, fold=0) == wall:
        return candidates[0]
    choices = tuple(Choice(at, _words(at, zone)) for at in candidates)
    for choice in choices:
        if choice.value == meant:
            return choice.at
    raise AskAgain(_why(wall, readings), choices)


def _why(wall: datetime, readings: list[datetime]) -> str:
    typed = f"{wall:%Y-%m-%d %H:%M}"
    if all(reading.replace(tzinfo=None, fold=0) == wall for reading in readings):
        first, second = (name_of(reading) for reading in readings)
        return f"{typed} exists twice, because the clocks go back then: choose {first} or {second}."
    before, after = (f"{reading:%H:%M} {name_of(reading)}" for reading in readings)
    return f"{typed} does not exist, because the clocks go forward then: choose {before} or {after}."


def _words(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%a %d %b %Y %H:%M} {name_of(at.astimezone(zone))}, which is {at:%H:%M} UTC"


def name_of(reading: datetime) -> str:
    """Return the abbreviation of a local reading's zone, such as EEST; its offset where the zone has none."""
    name = reading.tzname() or ""
    return name if name[:1].isalpha() else f"UTC{name}"


def local(at: datetime, label: str, zone: tzinfo) -> Local:
    """Return a moment as the clock of a zone shows it."""
    reading = at.astimezone(zone)
    return Local(label, f"{reading:%a %d %b %Y}", f"{reading:%H:%M}", name_of(reading))


def in_three_zones(at: datetime | None, calendar: Calendar) -> list[Local]:
    """Return a moment in UTC, in the desk's zone and in Pacific; a zone that is the same as another stands there once.

    Nothing for no moment.
    """
    if at is None:
        return []
    shown = {}
    for label, zone in zones(calendar).values():
        reading = local(at, label, zone)
        shown.setdefault(str(reading), reading)
    return list(shown.values())


def in_words(starts_at: datetime | None, ends_at: datetime | None) -> str:
    """Return a window in the three zones on one line, for sentences of mails."""
    return "; ".join(notice_times.in_three_zones(starts_at, ends_at))
