"""The question "what changed before this broke?" once somebody has judged an answer, and the verdicts of people."""

from django.conf import settings
from django.db import models

from changelog.models.changes import Change


class Judged(models.TextChoices):
    """What a person says of a change that stood before something broke. Machines only mark suspects."""

    CONFIRMED = "confirmed", "Confirmed"
    RULED_OUT = "ruled out", "Ruled out"
    OPEN = "open", "Open again"  # takes an earlier verdict back


class Question(models.Model):
    """One question, as its permalink asks it. Kept once somebody judges a change in its answer or posts it."""

    query = models.CharField(max_length=600, unique=True)  # canonical: "bad=hg:1f86&pool=..."; no word of a bug
    since = models.DateTimeField()
    until = models.DateTimeField()  # the moment it broke
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()

    def __str__(self):
        return f"question {self.pk}"

    @property
    def about(self) -> str:
        """How the record and the outbox name it."""
        return f"question {self.pk}"


class Verdict(models.Model):
    """What one person said of one change in the answer to a question. Never changed: the newest one counts."""

    question = models.ForeignKey(Question, on_delete=models.CASCADE, related_name="verdicts")
    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="verdicts")
    judged = models.CharField(max_length=12, choices=Judged.choices)
    because = models.CharField(max_length=300, blank=True)  # public
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "pk"]
