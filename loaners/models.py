"""Loaner requests as Bugzilla tells them, with their clock.

What is promised stands in `rules.py`; words in the mirror.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from ciduty.bugzilla.models import Bug
from loaners import rules


class LoanerRequestQuerySet(models.QuerySet):
    """The words the desk asks in."""

    def unanswered(self):
        """Open requests that nobody of CiDuty has answered."""
        return self.filter(answered_at=None, closed_at=None)

    def most_urgent_first(self):
        """Running clocks by their deadline; those that wait for the requester last, the oldest first."""
        return self.order_by(
            models.Case(models.When(Q(paused_since=None), then=0), default=1), "answer_by", "opened_at", "pk"
        )

    def overdue(self, at):
        """Unanswered requests whose deadline has passed, or had passed when the clock was paused."""
        passed = Q(paused_since=None, answer_by__lt=at) | Q(answer_by__lt=models.F("paused_since"))
        return self.unanswered().filter(passed)

    def of_logins(self, logins):
        """Requests filed by these Bugzilla logins, as far as their words may be kept."""
        return self.filter(bug__text__creator__in=logins)


class LoanerRequest(models.Model):
    """One request for a loaner: a bug in one of the loan components."""

    bug = models.OneToOneField(Bug, on_delete=models.CASCADE, primary_key=True, related_name="loaner_request")
    opened_at = models.DateTimeField()
    answer_by = models.DateTimeField(null=True)  # less the pauses so far
    paused_since = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    answered_with = models.CharField(max_length=20, blank=True)
    closed_at = models.DateTimeField(null=True)

    objects = LoanerRequestQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["answered_at", "closed_at", "answer_by"])]

    def __str__(self):
        return f"Loaner request, bug {self.pk}"

    def left(self, at):
        """Return the working time left at a moment, negative when overdue; None where no clock runs."""
        if self.answer_by is None or self.answered_at or self.closed_at:
            return None
        counted_to = min(at, self.paused_since) if self.paused_since else at
        return rules.time_left(settings.CIDUTY_CALENDAR, self.answer_by, counted_to)

    def standing(self, at):
        """Return how the request stands with its clock at a moment."""
        return rules.standing(
            deadline=self.answer_by,
            paused=self.paused_since is not None,
            answered=self.answered_at is not None,
            closed=self.closed_at is not None,
            left=self.left(at),
            at=min(at, self.paused_since) if self.paused_since else at,
        )


class SyncState(models.Model):
    """The last stamp of the mirror that loaners have read."""

    stamp = models.PositiveBigIntegerField(default=0)
    logins_fingerprint = models.CharField(max_length=64, blank=True)  # who counts as CiDuty, and the calendar
