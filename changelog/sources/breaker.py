"""When a source that failed is asked again, and what a host's limit means for all sources that stand there.

Each source has a breaker of its own: one that is broken is asked less and less often, and holds up no other.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from changelog.models import Source
from changelog.models.sources import POLLED, SourceKind
from changelog.sources import reach
from changelog.sources.reading import Failure, Limited

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=30)
_OF_GITHUB = frozenset({SourceKind.GITHUB_COMMITS, SourceKind.GITHUB_RELEASES})


def pause(failures: int) -> timedelta:
    """Return how long a source rests after so many failures in a row: 1, 2, 4 ... 30 minutes."""
    return min(FIRST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE)


def failed(source: Source, failure: Failure, at: datetime) -> None:
    """Open the breaker of a source; its cursor stays where it was. Call it in a transaction that has locked the row."""
    source.failures += 1
    source.problem = str(failure)[:300]
    source.blocked_until = at + pause(source.failures)
    source.save(update_fields=["failures", "problem", "blocked_until"])


@transaction.atomic
def limited(source: Source, limit: Limited, at: datetime) -> None:
    """Ask nobody at this source's host before the limit is over: it is one for all who ask from here.

    A limit is an answer: failures in a row end with it.
    """
    until, home = at + limit.wait, host_of(source)
    for one in Source.objects.select_for_update().filter(kind__in=POLLED, is_active=True).order_by("pk"):
        if host_of(one) == home:
            one.blocked_until, one.failures = until, 0
            one.problem = f"{limit} Not asked again before {until:%H:%M} UTC."[:300]
            one.save(update_fields=["blocked_until", "failures", "problem"])


def host_of(source: Source) -> tuple:
    """Return what a limit counts for: all of GitHub's API together, else the host."""
    if source.kind in _OF_GITHUB and reach.host_and_port(source.address)[0].lower() in ("github.com", "www.github.com"):
        return reach.origin(settings.GITHUB_API_URL)
    return reach.origin(source.address)
