"""Who gets a mail of what was published, how often, and for which filter."""

from django.db import models


class Rhythm(models.TextChoices):
    """How often a digest comes."""

    DAILY = "daily", "Every day"
    WEEKLY = "weekly", "Every Monday"


class SubscriptionState(models.TextChoices):
    """Where a subscription is."""

    ASKED = "asked", "Waits for its confirmation"
    ACTIVE = "active", "Active"
    ENDED = "ended", "Ended"


class Subscription(models.Model):
    """One address that wants one filter's digest. Mailed only once its owner confirmed it from their own mailbox."""

    address = models.CharField(max_length=254)
    query = models.CharField(max_length=600, blank=True)  # the canonical filter of /changes/, "" for everything
    rhythm = models.CharField(max_length=8, choices=Rhythm.choices, default=Rhythm.WEEKLY)
    state = models.CharField(max_length=8, choices=SubscriptionState.choices, default=SubscriptionState.ASKED)
    asked_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    told_until = models.DateTimeField(null=True)  # what was published up to here was told
    confirm_sha256 = models.CharField(max_length=64, unique=True)
    leave_sha256 = models.CharField(max_length=64, unique=True)  # of the token that every digest carries

    class Meta:
        indexes = [models.Index(fields=["state", "rhythm", "told_until"])]

    def __str__(self):
        return f"subscription {self.pk}"

    @property
    def about(self) -> str:
        """How the record and the outbox name it."""
        return f"subscription {self.pk}"
