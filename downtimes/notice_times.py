"""How a notice writes its window: in UTC, the desk's zone and Pacific time, each with its abbreviation. Pure."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from django.conf import settings

#: Where most of those live who read the notices; their subject has its time alone.
PACIFIC = ZoneInfo("America/Los_Angeles")
NOT_SET = "(time not set yet)"


def subject_line(starts_at: datetime | None, ends_at: datetime | None) -> str:
    """Return the window in Pacific time: `Tue 1 Dec 2026 06:00-08:00 PST`."""
    return span(starts_at, ends_at, PACIFIC) if starts_at and ends_at else NOT_SET


def in_three_zones(starts_at: datetime | None, ends_at: datetime | None) -> list[str]:
    """Return the window in UTC, the desk's zone and Pacific time, a line each; zones that read alike stand once."""
    if not (starts_at and ends_at):
        return [NOT_SET]
    zones = (UTC, settings.CIDUTY_CALENDAR.tzinfo, PACIFIC)
    return list(dict.fromkeys(span(starts_at, ends_at, zone) for zone in zones))


def span(starts_at: datetime, ends_at: datetime, zone: tzinfo) -> str:
    """Return a stretch of time in one zone. The zone's name stands twice where summer time begins or ends in it."""
    start, end = starts_at.astimezone(zone), ends_at.astimezone(zone)
    same_day, same_name = start.date() == end.date(), _name(start) == _name(end)
    if same_day and same_name:
        return f"{_day(start)} {start:%H:%M}-{end:%H:%M} {_name(end)}"
    begins = f"{_day(start)} {start:%H:%M}" + ("" if same_name else f" {_name(start)}")
    ends = f"{end:%H:%M} {_name(end)}"
    return f"{begins} - {ends}" if same_day else f"{begins} - {_day(end)} {ends}"


def length(starts_at: datetime | None, ends_at: datetime | None) -> str:
    """Return how long it lasts, in real hours and minutes, or "" while it is not set."""
    if not (starts_at and ends_at) or ends_at <= starts_at:
        return ""
    minutes = int((ends_at - starts_at) / timedelta(minutes=1))
    parts = [_counted(minutes // 60, "hour"), _counted(minutes % 60, "minute")]
    return " ".join(part for part in parts if part)


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}" if number else ""


def _day(local: datetime) -> str:
    return f"{local:%a} {local.day} {local:%b %Y}"


def _name(local: datetime) -> str:
    """Return the zone's abbreviation; zones without one are written by their distance from UTC."""
    name = local.tzname()
    return name if name[0].isalpha() else f"UTC{name}"
