"""When Bugzilla is polled: Celery only rings; whether a cycle is due stands in rows."""

from celery import shared_task

from ciduty.bugzilla import poll

#: A first mirror of thousands of bugs takes minutes; a hung one is ended, and the next starts from the old watermark.
TEN_MINUTES = 600


@shared_task(soft_time_limit=TEN_MINUTES, time_limit=TEN_MINUTES + 30)
def poll_if_due():
    """Poll when it is time or somebody asked for it. Safe to run twice: the lease lets one through."""
    poll.poll_if_due()
