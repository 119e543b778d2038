"""Which sources need somebody: those that fail, those that went quiet, those whose history changed. Asks no network.

A log that nobody fills looks like a day on which nothing changed (domain.md 4): so silence is said aloud.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from changelog.models import Source
from changelog.models.sources import POLLED
from changelog.sources.reading import moment
from ciduty.templatetags.ciduty import hours

#: One answer that is lost is the weather of the network; a second one in a row needs somebody.
FAILS_BEFORE_FLAG = 2
#: ... and so does whatever keeps a source unread for longer.
UNREAD_FOR = timedelta(hours=1)
#: Nobody asked for so many of its intervals, and at least so long: our own worker and tick stand still.
FORGOTTEN_INTERVALS, FORGOTTEN_FOR = 6, timedelta(minutes=30)
#: What a reader noted (a history that was rewritten) stays on the desk for a day, and on the record for good.
NOTE_STANDS = timedelta(days=1)


@dataclass(frozen=True)
class Flag:
    """That a source needs somebody: why, in one sentence of ours, and since when (None: from the beginning)."""

    source: Source
    sentence: str
    since: datetime | None


def flagged(at: datetime) -> list[Flag]:
    """Return the sources in use that need somebody, by their names. One query."""
    sources = Source.objects.filter(is_active=True).order_by("name")
    return [flag for flag in (flag_of(source, at) for source in sources) if flag is not None]


def flag_of(source: Source, at: datetime) -> Flag | None:
    """Return what is the matter with a source, the worst first, or None when all is well. No query."""
    if not source.is_active:
        return None
    if source.kind in POLLED:
        for look in (_failing, _forgotten, _quiet, _noted):
            flag = look(source, at)
            if flag is not None:
                return flag
        return None
    return _quiet(source, at)


def _failing(source: Source, at: datetime) -> Flag | None:
    if not source.problem:
        return None
    unread = at - (source.read_at or began_at(source) or source.tried_at or at)
    if source.failures < FAILS_BEFORE_FLAG and unread <= UNREAD_FOR:
        return None
    return Flag(source, f"It could not be read: {source.problem}", source.read_at)


def _forgotten(source: Source, at: datetime) -> Flag | None:
    patience = max(FORGOTTEN_FOR, FORGOTTEN_INTERVALS * timedelta(seconds=settings.CIDUTY_COLLECT_SECONDS))
    waited_since = max(filter(None, [source.tried_at, source.blocked_until]), default=None)
    if waited_since is None or at - waited_since <= patience:
        return None
    return Flag(source, "Nobody has asked it for a while: are the worker and the tick running?", source.tried_at)


def _quiet(source: Source, at: datetime) -> Flag | None:
    if not is_quiet(source, at):
        return None
    rhythm = in_days(source.rhythm_hours)
    if source.heard_at is None:
        return Flag(source, f"It has told nothing yet, and something is expected every {rhythm}.", began_at(source))
    return Flag(
        source, f"It has been quiet for {_length(at - source.heard_at)}; something is expected every {rhythm}.",
        source.heard_at,
    )  # fmt: skip


def _noted(source: Source, at: datetime) -> Flag | None:
    noted_at = _kept(source, "noted_at")
    if noted_at is None or not source.cursor.get("note") or at - noted_at > NOTE_STANDS:
        return None
    return Flag(source, source.cursor["note"], noted_at)


def is_quiet(source: Source, at: datetime) -> bool:
    """Answer whether nothing was heard for longer than its rhythm. A source without a rhythm may be silent."""
    if not source.rhythm_hours:
        return False
    heard = source.heard_at or began_at(source)
    return heard is not None and at - heard > timedelta(hours=source.rhythm_hours)


def began_at(source: Source) -> datetime | None:
    """Return when a source was read for the first time, or None before that."""
    return _kept(source, "began_at")


def _kept(source: Source, name: str) -> datetime | None:
    value = source.cursor.get(name)
    return moment(value) if value else None


def next_try(source: Source) -> datetime | None:
    """Return when a source is asked again; None means as soon as somebody looks.

    A failing one waits for its breaker alone; one that has more to tell does not wait at all.
    """
    if source.blocked_until is not None:
        return source.blocked_until
    if source.tried_at is None or source.cursor.get("goes_on"):
        return None
    return source.tried_at + timedelta(seconds=settings.CIDUTY_COLLECT_SECONDS)


def is_limited(source: Source, at: datetime) -> bool:
    """Answer whether its host told us to wait: nobody may ask sooner. (After a failure anybody may.)"""
    return source.blocked_until is not None and source.blocked_until > at and not source.failures


def worst_first(sources: Iterable[Source], at: datetime) -> list[tuple[Source, Flag | None]]:
    """Return sources with their flags: flagged ones first, then by name, those not in use last."""
    flags = [(source, flag_of(source, at)) for source in sources]
    return sorted(flags, key=lambda one: (not one[0].is_active, one[1] is None, one[0].name.casefold()))


def in_days(number: int) -> str:
    """Write a rhythm of so many hours: `36 hours`, `2 days`, `day`."""
    if number % 24 == 0:
        return "day" if number == 24 else f"{number // 24} days"
    return "hour" if number == 1 else f"{number} hours"


def _length(time: timedelta) -> str:
    return f"{time.days} days" if time >= timedelta(days=2) else hours(time)
