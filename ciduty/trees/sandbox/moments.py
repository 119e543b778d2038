"""The sandbox's moments: how they are stored, and how the two generations write them. No behaviour of trees."""

from datetime import UTC, datetime


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
