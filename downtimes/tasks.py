"""When reminders are written: Celery only rings; which are due stands in rows.

Reminders to answer: `reminders.py`; those shortly before a start: `run/reminding.py`.
"""

from datetime import timedelta

from celery import shared_task

from ciduty.models import beat
from downtimes import reminders
from downtimes.run import reminding

#: A handful of downtimes are agreed on at a time: it takes seconds.
TWO_MINUTES = 120


@shared_task(time_limit=TWO_MINUTES)
def remind():
    """Write the reminders that are due. Safe to run twice, and at the same time."""
    beat("worker")
    remind_of_everything()


def remind_of_everything() -> int:
    """Write the reminders that are due, of answers and of starts, and return how many."""
    return reminders.remind() + reminding.remind()


def remind_with_the_tick(late_by: timedelta) -> str:
    """Write the reminders that are due, and say how many; those of the worker and of the tick are the same ones."""
    written = remind_of_everything()
    return f"{written} written" if written else "nothing due"
