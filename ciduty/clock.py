"""The moment that decisions use: the database's time, plus an offset that only tests and the demo may set.

Every process asks the same clock, so a web server two hours ahead and a worker two hours behind decide alike
(safety.md F48). Code that decides takes the moment as a parameter and gets it here; nothing else reads a clock.
"""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection

_OFFSET = "COALESCE((SELECT seconds FROM ciduty_clock_offset WHERE id = 1), 0)"
_QUERIES = {
    "sqlite": f"SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now'), {_OFFSET}",
    "postgresql": f"SELECT clock_timestamp(), {_OFFSET}",
}


class NotAllowedToMoveTheClock(RuntimeError):
    """The clock of a real installation is never moved."""


def now() -> datetime:
    """Return the moment that decides, aware and in UTC: the database's time plus the offset. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_QUERIES[connection.vendor])
        moment, offset = cursor.fetchone()
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return moment.astimezone(UTC) + timedelta(seconds=offset)


def move(by: timedelta) -> None:
    """Move the clock of every process by `by`. Raises NotAllowedToMoveTheClock outside tests and the demo."""
    from ciduty.models import ClockOffset  # the model needs the apps, and settings import this package before them

    if not (settings.DEMO or getattr(settings, "TESTING", False)):
        raise NotAllowedToMoveTheClock("Only tests and the demo may move the clock.")
    row, _ = ClockOffset.objects.get_or_create(pk=1)
    row.seconds += int(by.total_seconds())
    row.save()
