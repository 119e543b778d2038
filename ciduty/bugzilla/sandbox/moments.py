"""Bugzilla's moments: text in UTC, whole seconds, as stored and as sent. Which moment it is, the world says."""

import re
from datetime import UTC, datetime, timedelta

from ciduty.bugzilla.sandbox.errors import Refusal

_RELATIVE = re.compile(r"([+-]?)(\d+)([hdwmy])s?", re.IGNORECASE)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "m": 30 * 24, "y": 365 * 24}


def stamp(moment: datetime) -> str:
    """Return a moment as Bugzilla sends it, whole seconds in UTC. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"the moment {moment} has no zone: pass an aware datetime")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def asked(text: str, now: str) -> str:
    """Return what a caller wrote as a date, as a stamp; no zone means UTC. Raises Refusal 56 for anything else."""
    text = text.strip()
    if text.lower() == "now":
        return now
    relative = _RELATIVE.fullmatch(text)
    if relative:  # "-24h", and "24h" which means the same
        sign, count, unit = relative.groups()
        span = timedelta(hours=int(count) * _HOURS[unit.lower()])
        base = datetime.fromisoformat(now)
        return stamp(base + span if sign == "+" else base - span)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(56, f"'{text}' is not a legal date.") from None
    return stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
