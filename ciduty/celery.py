"""The Celery application and the beat table: what runs how often, and why that often. Decides nothing: rows do."""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ciduty.settings")

app = Celery("ciduty")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(lambda: settings.INSTALLED_APPS)


@app.on_after_configure.connect
def _beat_table(sender, **_):
    sender.conf.beat_schedule = {
        # Looks whether a poll is due or asked for; the poll itself keeps to BUGZILLA_POLL_SECONDS.
        "poll Bugzilla when due": {
            "task": "ciduty.bugzilla.tasks.poll_if_due",
            "schedule": min(15, settings.BUGZILLA_POLL_SECONDS),
            "options": {"expires": 60, "queue": "sync"},
        },
        # A ring that was lost costs at most this much (design.md, decision 1).
        "send the mail that is due": {
            "task": "ciduty.outbox.tasks.deliver_mail",
            "schedule": 15,
            "options": {"expires": 15, "queue": "mail"},
        },
        "write to Bugzilla what is due": {
            "task": "ciduty.outbox.tasks.update_bugs",
            "schedule": 15,
            "options": {"expires": 15, "queue": "sync"},
        },
        "change the trees that are due": {
            "task": "ciduty.outbox.tasks.change_trees",
            "schedule": 15,
            "options": {"expires": 15, "queue": "sync"},
        },
        # A reminder names a day: whether it leaves five minutes later is nobody's matter.
        "remind of loans": {
            "task": "loaners.tasks.remind",
            "schedule": 300,
            "options": {"expires": 300, "queue": "sync"},
        },
        # One goes a quarter of an hour before a downtime begins: a minute later is early enough.
        "remind of downtimes that wait for an answer": {
            "task": "downtimes.tasks.remind",
            "schedule": 60,
            "options": {"expires": 60, "queue": "sync"},
        },
        # Every minute while something is planned or closed, else every five; whether it is time stands in rows.
        "read the trees when due": {
            "task": "ciduty.trees.tasks.poll_if_due",
            "schedule": 10 if settings.DEMO else 15,
            "options": {"expires": 60, "queue": "sync"},
        },
        # Looks which sources are due; each keeps to CIDUTY_COLLECT_SECONDS itself.
        "read the sources of changes": {
            "task": "changelog.tasks.collect",
            "schedule": min(15, settings.CIDUTY_COLLECT_SECONDS),
            "options": {"expires": 60, "queue": "sync"},
        },
        # Eight in the morning, in the desk's zone; five minutes later is nobody's matter.
        "send the digests of changes": {
            "task": "changelog.tasks.send_digests",
            "schedule": 300,
            "options": {"expires": 300, "queue": "sync"},
        },
    }
