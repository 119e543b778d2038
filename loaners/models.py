"""Loaner requests as Bugzilla tells them, with their clock.

What is promised stands in `rules.py`; words in the mirror.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from ciduty.bugzilla.models import Bug
from loaners import rules
from loaners.rules import MachineState, RequestState


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
    state = models.CharField(max_length=20, choices=RequestState.choices, default=RequestState.REQUESTED)
    machine = models.ForeignKey("Machine", null=True, on_delete=models.PROTECT, related_name="requests")
    handed_over_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)  # when the machine is to be back
    extensions = models.PositiveSmallIntegerField(default=0)
    reminded = models.SmallIntegerField(default=-1)  # the number of the last reminder for this due date
    returned_at = models.DateTimeField(null=True)
    declined_because = models.TextField(blank=True)  # also stands in the comment on the bug

    objects = LoanerRequestQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["answered_at", "closed_at", "answer_by"]),
            models.Index(fields=["state", "due_at"]),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["machine"],
                condition=models.Q(state__in=[str(state) for state in sorted(rules.HAS_MACHINE)]),
                name="one_loan_per_machine",
            )
        ]

    def __str__(self):
        return f"Loaner request, bug {self.pk}"

    @property
    def about(self) -> str:
        """Return how the record and the outbox name the request."""
        return f"loaner {self.pk}"

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


class Application(models.Model):
    """What somebody asked for on our own page. Its bug is filed through the outbox; until then it has no number."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=40, unique=True)  # of the form that was sent: twice is once
    machine_class = models.ForeignKey("MachineClass", on_delete=models.PROTECT, related_name="+")
    debugging_bug = models.PositiveIntegerField(null=True)
    why = models.TextField()
    until = models.DateField()
    system_needs = models.TextField(blank=True)
    access = models.CharField(max_length=40, blank=True)
    time_zone = models.CharField(max_length=60)
    asked_at = models.DateTimeField()
    update_id = models.BigIntegerField(null=True)  # of the outbox's row that files the bug
    bug_id = models.PositiveIntegerField(null=True, unique=True)

    def __str__(self):
        return f"Application {self.pk}"


class MachineClass(models.Model):
    """A kind of machine, under the name that the field uses (t-w1064-ms)."""

    name = models.CharField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    is_cloud = models.BooleanField(default=False)  # made for a loan and terminated after; others are re-imaged
    needs_group_switch = models.BooleanField(default=False)  # Windows: the loaner group
    self_service_url = models.URLField(blank=True)  # the one-click interactive task, where there is one
    runbook_url = models.URLField(blank=True)
    is_lent = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "machine classes"

    def __str__(self):
        return self.name


class Machine(models.Model):
    """One machine of the pool."""

    host = models.CharField(max_length=120, unique=True)
    machine_class = models.ForeignKey(MachineClass, on_delete=models.PROTECT, related_name="machines")
    location = models.CharField(max_length=60, blank=True)
    state = models.CharField(max_length=12, choices=MachineState.choices, default=MachineState.AVAILABLE)
    is_spare = models.BooleanField(default=False)  # CI does not need it: the least harmful one to lend
    notes = models.TextField(blank=True)
    tracking_bug = models.PositiveIntegerField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["host"]
        indexes = [models.Index(fields=["machine_class", "state"])]

    def __str__(self):
        return self.host

    @property
    def about(self) -> str:
        """Return how the record names the machine."""
        return f"machine {self.pk}"


class ListKind(models.TextChoices):
    """What a checklist is for."""

    PREPARE = "prepare", "Preparing"
    RECLAIM = "reclaim", "Taking back"


class Checklist(models.Model):
    """The steps for one class and kind, as of one version; a loan keeps the version that it began with."""

    machine_class = models.ForeignKey(MachineClass, on_delete=models.PROTECT, related_name="checklists")
    kind = models.CharField(max_length=10, choices=ListKind.choices)
    version = models.PositiveIntegerField()
    steps = models.JSONField()  # of {key, text, runbook, second_look, grants, revokes}: `checklists.py`
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["machine_class", "kind", "version"], name="one_checklist_per_version")
        ]

    def __str__(self):
        return f"{self.get_kind_display()} {self.machine_class}, version {self.version}"


class Step(models.Model):
    """One step of one loan, copied from its checklist when the work began; who did it, when, and the proof."""

    request = models.ForeignKey(LoanerRequest, on_delete=models.CASCADE, related_name="steps")
    kind = models.CharField(max_length=10, choices=ListKind.choices)
    position = models.PositiveSmallIntegerField()
    key = models.CharField(max_length=40)
    text = models.CharField(max_length=300)
    runbook_url = models.URLField(blank=True)
    second_look = models.BooleanField(default=False)
    checklist_version = models.PositiveIntegerField()
    done_at = models.DateTimeField(null=True)
    done_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    evidence = models.CharField(max_length=500, blank=True)
    checked_at = models.DateTimeField(null=True)
    checked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    check_evidence = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["kind", "position"]
        constraints = [models.UniqueConstraint(fields=["request", "kind", "key"], name="one_step_per_key_and_loan")]

    def __str__(self):
        return f"Step {self.key} of the loaner request, bug {self.request_id}"

    @property
    def was_checked_alone(self) -> bool:
        """Answer whether the second look was by the same person: alone at night."""
        return self.checked_by_id is not None and self.checked_by_id == self.done_by_id


class Grant(models.Model):
    """Access that was given for a loan: what, by whom, why, until when, and that it was taken away. Never a secret."""

    request = models.ForeignKey(LoanerRequest, on_delete=models.CASCADE, related_name="grants")
    what = models.CharField(max_length=120)  # "VPN group vpn-releng-loan"
    grantee = models.CharField(max_length=255)
    reason = models.CharField(max_length=200)
    granted_at = models.DateTimeField()
    granted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    evidence = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["expires_at", "pk"]

    def __str__(self):
        return f"Grant {self.pk}"


class AnsweredHere(models.Model):
    """That somebody of CiDuty answered from here, and when Bugzilla took it. In Bugzilla it is ciduty's own comment."""

    request = models.ForeignKey(LoanerRequest, on_delete=models.CASCADE, related_name="answers_here")
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20)  # as in BugEvent: comment, assigned
    update_id = models.BigIntegerField(unique=True)  # of the outbox's row

    by_kind = "ciduty"
    asks_requester = False

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self):
        return f"Answer to the loaner request, bug {self.request_id}"


class SyncState(models.Model):
    """The last stamp of the mirror that loaners have read."""

    stamp = models.PositiveBigIntegerField(default=0)
    logins_fingerprint = models.CharField(max_length=64, blank=True)  # who counts as CiDuty, and the calendar
