"""Moments as people type them at night: "2026-11-21 14:30 UTC", "14:30 +0200", "20 minutes ago". Pure.

A moment without a zone takes the one that the form names. What a clock skips or shows twice is no single moment.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_AGO = re.compile(r"(\d{1,5}) ?(m|min|minutes?|h|hours?|d|days?) ago", re.IGNORECASE)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_MOMENT = re.compile(
    r"(?:(?P<day>\d{4}-\d{2}-\d{2}|today|yesterday)[T ,]+)?"
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.\d{1,9})?)?"
    r" ?(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}|[A-Za-z]+/[A-Za-z_/+-]+)?",
    re.IGNORECASE,
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}|today|yesterday", re.IGNORECASE)
_ABBREVIATION = re.compile(r"(.*\d) ?([A-Z]{3,5})")
#: A plus sign that nobody escaped comes out of an address as a blank.
_LOST_PLUS = re.compile(r"(\d:\d{2}) (\d{2}:?\d{2})")
#: Nothing of CI is older, and far from the ends of the calendar nothing overflows.
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
#: As it stands in addresses, and is typed back.
FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class NoMoment(ValueError):
    """What was typed names no single moment. `str()` is a sentence for a person."""


def written(at: datetime) -> str:
    """Return a moment as a permalink has it: whole seconds, UTC."""
    return at.astimezone(UTC).strftime(FORMAT)


def is_relative(text: str) -> bool:
    """Answer whether the words mean another moment when they are read again."""
    text = text.strip().lower()
    moment = _MOMENT.fullmatch(text)
    day = moment["day"] if moment else "today"
    return text == "now" or _AGO.fullmatch(text) is not None or day in (None, "today", "yesterday")


def read(text: str, zone: tzinfo, at: datetime) -> datetime | None:
    """Return the moment that is meant, aware, in whole seconds; None where the words are none. Raises NoMoment.

    `zone` is meant where none is named; `at` is now.
    """
    text = _LOST_PLUS.sub(r"\1+\2", " ".join(text.split()))
    if text.lower() == "now":
        return at.replace(microsecond=0)
    ago = _AGO.fullmatch(text)
    if ago:
        return _ago(int(ago[1]) * _UNITS[ago[2][0].lower()], at)
    if _DAY.fullmatch(text):
        raise NoMoment(f"“{text}” is a whole day: say the time too, like {text} 14:30 UTC.")
    found = _MOMENT.fullmatch(text)
    if found:
        return _of(found, text, _zone(found["zone"]) or zone, at)
    named = _ABBREVIATION.fullmatch(text)
    if named and _MOMENT.fullmatch(named[1]):
        raise NoMoment(f"{named[2]} is the name of several zones: write UTC, or an offset like {named[1]} +0200.")
    return None


def _ago(length: timedelta, at: datetime) -> datetime:
    try:
        return (at - length).replace(microsecond=0)
    except OverflowError:  # 99999 days are older than the calendar of some zones
        raise NoMoment("No log reaches back that far: write the day instead.") from None


def _zone(name: str | None) -> tzinfo | None:
    if not name:
        return None
    if name.upper() in ("Z", "UTC", "GMT"):
        return UTC
    if name[0] in "+-":
        digits = name[1:].replace(":", "")
        length = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        if length >= timedelta(hours=24):
            raise NoMoment(f"{name} is no offset from UTC: write it like +0200.")
        return timezone(-length if name[0] == "-" else length)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise NoMoment(
            f"There is no zone {name}: write UTC, an offset like +0200, or a name like Europe/Rome."
        ) from None


def _of(found: re.Match, text: str, zone: tzinfo, at: datetime) -> datetime:
    day = (found["day"] or "today").lower()
    try:
        if day in ("today", "yesterday"):
            day = (at.astimezone(zone) - timedelta(days=day == "yesterday")).date().isoformat()
        clock = f"{int(found['hour']):02d}:{found['minute']}:{found['second'] or '00'}"
        local = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone)
        told = local.astimezone(UTC)
        late = local.replace(fold=1).astimezone(UTC)
    except (ValueError, OverflowError):
        raise NoMoment(f"“{text}” is no moment of any day: write it like 2026-11-21 14:30 UTC.") from None
    if not _EARLIEST <= told < _LATEST:
        raise NoMoment(f"“{text}” is no moment of this log: choose one between 1970 and 2199.")
    if told == late:
        return told
    if told.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise NoMoment(f"The clock of {zone} skips {local:%H:%M} on {day}: write it in UTC.")
    raise NoMoment(
        f"The clock of {zone} shows {local:%H:%M} twice on {day}: write {told:%Y-%m-%d %H:%M} UTC for the first time, "
        f"or {late:%Y-%m-%d %H:%M} UTC for the second."
    )
