"""When something is delivered: Celery only rings; what is due stands in rows. Each task is safe to run twice.

A task works through what is due and ends before its time is up; beat, a ring or the tick starts the next.
"""

from celery import shared_task

from ciduty.models import beat
from ciduty.outbox import delivery
from ciduty.outbox.models import Delivery
from ciduty.outbox.rules import Priority

#: Seconds for which a task takes up new rows. The last one may take longer: its lease is renewed while it waits.
WORKS_FOR = 45
#: A mail server may take five minutes to say that it has taken a mail; after that the worker is hung.
TEN_MINUTES = 600


@shared_task(time_limit=TEN_MINUTES)
def deliver_urgent():
    """Send the approvals and notices that are due, and nothing else: bulk mail to a slow server never holds them up."""
    beat("worker")
    delivery.deliver(delivery.MAIL, seconds=WORKS_FOR, only_urgent=True)


@shared_task(time_limit=TEN_MINUTES)
def deliver_mail():
    """Send the mails that are due, the urgent ones first."""
    beat("worker")
    delivery.deliver(delivery.MAIL, seconds=WORKS_FOR)


@shared_task(time_limit=TEN_MINUTES)
def update_bugs():
    """Write to Bugzilla what is due, bug by bug in order."""
    beat("worker")
    delivery.deliver(delivery.BUGS, seconds=WORKS_FOR)


@shared_task(time_limit=TEN_MINUTES)
def change_trees():
    """Change the trees that are due, tree by tree in order."""
    beat("worker")
    delivery.deliver(delivery.TREES, seconds=WORKS_FOR)


def bell_of(row: Delivery) -> tuple[str, str]:
    """Return the task that delivers a row, and its queue."""
    if row.kind == "bug":
        return update_bugs.name, "sync"
    if row.kind == "tree":
        return change_trees.name, "sync"
    if row.priority == Priority.URGENT:
        return deliver_urgent.name, "urgent"
    return deliver_mail.name, "mail"
