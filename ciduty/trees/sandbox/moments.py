"""The sandbox's moments: how they are stored, and how the two generations write them. No behaviour of trees."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path


def real_utc() -> datetime:
    """Return the real time, aware and in UTC: the sandbox knows no database clock of ciduty's."""
    return datetime.fromtimestamp(time.time(), UTC)


def ahead_by(path: Path) -> Callable[[], datetime]:
    """Return a clock that is ahead of the real time by the seconds that stand in a file; without one, it is not."""

    def now() -> datetime:
        try:
            seconds = int(path.read_text())
        except (OSError, ValueError):
            seconds = 0
        return real_utc() + timedelta(seconds=seconds)

    return now


def stamp(moment: datetime) -> str:
    """Return a moment as it is stored and as standalone writes it: microseconds, +00:00. Raises ValueError if naive."""
    if moment.tzinfo is None:
        raise ValueError(f"the moment {moment} has no zone: pass an aware datetime")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def in_milliseconds(stored: str) -> str:
    """Return a stored moment as Lando writes it: milliseconds, cut off, and a Z."""
    return stored[:23] + "Z"


def for_people(stored: str) -> str:
    """Return a stored moment as the page shows it, to the minute, in UTC."""
    return stored[:16].replace("T", " ") + " UTC"
