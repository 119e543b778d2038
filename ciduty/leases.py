"""Leases: at most one process runs a periodic job at a time, whatever Celery delivers twice. No job stands here.

Beat may run twice and a task may be delivered twice (safety.md F42, F43); the row decides who works.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from django.db import IntegrityError, models, transaction

from ciduty import clock
from ciduty.models import Lease


class LeaseLost(RuntimeError):
    """Another process took the job over: whatever is still to be written must not be."""


@dataclass
class Held:
    """A lease in our hands."""

    job: str
    fence: int
    length: timedelta
    renewed: float = field(default_factory=monotonic)

    def renew(self) -> None:
        """Prolong the lease from now. Raises LeaseLost when somebody else holds it."""
        mine = Lease.objects.filter(job=self.job, fence=self.fence)
        if not mine.update(expires_at=clock.now() + self.length):
            raise LeaseLost(f"The lease of {self.job} was taken over.")
        self.renewed = monotonic()

    def renew_when_old(self) -> None:
        """Renew after a tenth of the lease: between two calls of a long job, without a query each time."""
        if monotonic() - self.renewed > self.length.total_seconds() / 10:
            self.renew()

    def release(self) -> None:
        """Give the lease back at once; nothing happens when it is no longer ours."""
        Lease.objects.filter(job=self.job, fence=self.fence).update(expires_at=clock.now())


def take(job: str, length: timedelta) -> Held | None:
    """Take the lease of a job for `length`, or return None when another process holds it."""
    moment = clock.now()
    # No lease runs that far ahead: then the clock was put back, and its holder may be long dead.
    from_the_future = models.Q(expires_at__gt=moment + 2 * length)
    free = Lease.objects.filter(models.Q(expires_at__lte=moment) | from_the_future, job=job)
    try:
        with transaction.atomic():  # the row stays locked between the update and the read: the fence is ours
            if free.update(fence=models.F("fence") + 1, expires_at=moment + length):
                return Held(job, Lease.objects.values_list("fence", flat=True).get(job=job), length)
            Lease.objects.create(job=job, fence=1, expires_at=moment + length)
    except IntegrityError:
        return None
    return Held(job, 1, length)
