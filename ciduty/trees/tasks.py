"""When the tree status service is polled: Celery only rings; whether it is due stands in a row (`polling.py`)."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from ciduty.models import beat
from ciduty.trees import polling
from ciduty.works import WorkFailed

#: A poll takes 45 s at the most; a hung one is ended, and the next begins anew.
TWO_MINUTES = 120


@shared_task(time_limit=TWO_MINUTES)
def poll_if_due():
    """Read the trees when it is time. Safe to run twice: the lease lets one through."""
    beat("worker")
    polling.poll_if_due()


def poll_with_the_tick(late_by: timedelta) -> str:
    """Read the trees where the worker did not. Raises WorkFailed when the service could not be read."""
    if not settings.TREESTATUS_URL:
        return "not configured (TREESTATUS_URL is not set)"
    outcome = polling.poll_if_due(late_by=late_by)
    if outcome is None:
        return "not due"
    if outcome.problem:
        raise WorkFailed(outcome.problem)
    return f"{outcome.read} read, {outcome.changed} changed"
