"""Two rows that all processes share: the demo's clock offset and the leases of periodic jobs. No case data."""

from django.db import models


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
