"""What all processes share: the demo's clock offset, the leases of periodic jobs, their heartbeats. No case data."""

from django.db import models

from ciduty import clock


class ClockOffset(models.Model):
    """How far the clock of decisions is moved: one row at most; only tests and the demo may write it."""

    seconds = models.IntegerField(default=0)

    class Meta:
        db_table = "ciduty_clock_offset"


class Lease(models.Model):
    """The right to run one periodic job, held for a while by one process.

    `fence` grows with every holder, so that a holder that slept past its lease cannot write over the next one.
    """

    job = models.CharField(max_length=60, primary_key=True)
    fence = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "ciduty_lease"


class Heartbeat(models.Model):
    """When a process that works by itself was last seen alive: `tick`, `worker`."""

    name = models.CharField(max_length=20, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "ciduty_heartbeat"


def beat(name: str) -> None:
    """Write down that a process is alive. Two queries: the moment, and the row."""
    at = clock.now()
    if not Heartbeat.objects.filter(pk=name).update(at=at):
        Heartbeat.objects.get_or_create(pk=name, defaults={"at": at})
