"""When sources are read and digests go: Celery only rings; whose turn it is stands in rows."""

from datetime import timedelta

from celery import shared_task

from changelog.digests import sending
from changelog.sources import collecting
from ciduty.models import beat

#: A round begins sources for 90 s, and each may take a minute.
THREE_MINUTES = 180
#: With the tick mail waits its turn behind: it gives a round no more than this.
WITH_THE_TICK = 20  # seconds


@shared_task(time_limit=THREE_MINUTES)
def collect():
    """Read the sources whose turn it is. Safe to run twice, and at the same time: each source has its lease."""
    beat("worker")
    collecting.collect_due()


def collect_with_the_tick(late_by: timedelta) -> str:
    """Read what the worker left lying, and say what came of it."""
    seconds = WITH_THE_TICK if late_by else collecting.ROUND
    return str(collecting.collect_due(late_by=late_by, seconds=seconds))


@shared_task(time_limit=THREE_MINUTES)
def send_digests():
    """Write the digests whose morning has come. Safe to run twice: a period is written once."""
    beat("worker")
    sending.send_due()


def send_digests_with_the_tick(late_by: timedelta) -> str:
    """Write what the worker left lying, and say how many."""
    written = sending.send_due()
    return f"{written} written" if written else "nothing due"
