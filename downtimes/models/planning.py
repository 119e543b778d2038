"""Downtimes: what was asked for, the window and its work, the frozen versions of its notice, and who agreed to which.

What is allowed stands in `rules.py`; words of bugs stand in the mirror and never here. Public text is typed by people.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from ciduty.people.models import Approver
from downtimes.rules import (
    PLANNED,
    UNDER_WAY,
    Asked,
    Close,
    Decision,
    ItemState,
    Kind,
    NominationState,
    Policy,
    State,
    Urgency,
)

PERSON = settings.AUTH_USER_MODEL


class Nomination(models.Model):
    """A piece of work that somebody wants a tree closure for: asked for here, or by the flag in Bugzilla."""

    bug_id = models.PositiveIntegerField(null=True, unique=True)  # None until Bugzilla has filed it
    key = models.CharField(max_length=80, unique=True)  # "bug 1400123", or of the form that was sent
    state = models.CharField(max_length=12, choices=NominationState.choices, default=NominationState.REQUESTED)
    system = models.CharField(max_length=120, blank=True)
    public_text = models.TextField(blank=True)  # R3: the exact wording wanted in the notice
    text_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    steps = models.TextField(blank=True)
    minutes = models.PositiveIntegerField(null=True)
    rollback = models.TextField(blank=True)
    rollback_minutes = models.PositiveIntegerField(null=True)
    preferred = models.TextField(blank=True)  # windows, in the requester's words
    urgency = models.CharField(max_length=12, choices=Urgency.choices, blank=True)
    stands_in_for = models.PositiveIntegerField(null=True)  # R6: the restricted bug that this one schedules
    asked_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()  # by the form, or by the flag's own time
    deferred_until = models.DateField(null=True)
    because = models.TextField(blank=True)  # of the last decision; the requester reads it
    decided_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    flag_wanted = models.CharField(max_length=1, blank=True)  # "+" or "-", once we decided; drift is told against it
    update_id = models.PositiveIntegerField(null=True)  # the outbox's row that files or changes the bug

    class Meta:
        indexes = [models.Index(fields=["state", "asked_at"])]

    def __str__(self):
        return f"nomination {self.pk}"

    @property
    def about(self) -> str:
        """How the record and the outbox name it."""
        return f"nomination {self.pk}"


class DowntimeQuerySet(models.QuerySet):
    """The words that pages ask in."""

    def planned(self):
        """Those that may still happen."""
        return self.filter(state__in=PLANNED)

    def under_way(self):
        """Those that were begun and are not over."""
        return self.filter(state__in=UNDER_WAY)

    def public(self):
        """Those that were announced once: nobody outside hears of one before."""
        return self.exclude(told_first_at=None)


class Downtime(models.Model):
    """One window in which trees are closed for planned work, or an outage that closed them without a plan."""

    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.PLANNED)
    state = models.CharField(max_length=12, choices=State.choices, default=State.DRAFT)
    title = models.CharField(max_length=120)  # public
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    urgency = models.CharField(max_length=12, choices=Urgency.choices, blank=True)
    close = models.CharField(max_length=8, choices=Close.choices, blank=True)
    trees = models.JSONField(default=list)
    tracking_bug = models.PositiveIntegerField(null=True)
    sheriff = models.CharField(max_length=120, blank=True)
    duty = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    duty_confirmed_at = models.DateTimeField(null=True)  # by `duty`, for these very times
    separate_because = models.TextField(blank=True)  # R37
    # The notice, in a person's words; the rest of it is generated. All of it is public.
    what_stops = models.TextField(blank=True)
    what_keeps_working = models.TextField(blank=True)
    effect_on_releases = models.TextField(blank=True)
    how_to_object = models.TextField(blank=True)
    policy = models.CharField(max_length=12, choices=Policy.choices, default=Policy.NO_OBJECTION)
    quorum = models.PositiveSmallIntegerField(default=2)
    extra_groups = models.JSONField(default=list)  # R26: addresses added by hand
    emergency_because = models.TextField(blank=True)
    emergency_asked_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    emergency_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")  # the manager
    made_by = models.ForeignKey(PERSON, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    # While it runs.
    held_at = models.DateTimeField(null=True)  # announced, and kept from beginning until somebody lets it go
    held_because = models.TextField(blank=True)  # public
    begun_at = models.DateTimeField(null=True)
    open_at = models.DateTimeField(null=True)  # when TREE OPEN was told
    planned_end = models.DateTimeField(null=True)  # before it was extended for the first time
    category = models.CharField(max_length=40, blank=True)  # of its closures; "" is planned
    reason = models.CharField(max_length=300, blank=True)  # of its closures, as it began: public
    told_first_at = models.DateTimeField(null=True)  # when the first announcement was posted: from then on public
    sequence = models.PositiveIntegerField(default=0)  # of the calendar: raised with every change that was told
    revision = models.PositiveIntegerField(default=0)  # raised with every save: a form tells what it was made from

    objects = DowntimeQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["state", "starts_at"])]
        constraints = [models.CheckConstraint(condition=Q(quorum__gte=1), name="a_quorum_is_somebody")]

    def __str__(self):
        return f"downtime {self.pk}"

    @property
    def about(self) -> str:
        """How the record and the outbox name it."""
        return f"downtime {self.pk}"


class Item(models.Model):
    """One piece of work in a window."""

    downtime = models.ForeignKey(Downtime, on_delete=models.CASCADE, related_name="items")
    nomination = models.ForeignKey(Nomination, null=True, on_delete=models.PROTECT, related_name="items")
    bug_id = models.PositiveIntegerField()
    position = models.PositiveIntegerField()
    public_text = models.TextField(blank=True)
    confirmed_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    confirmed_as = models.CharField(max_length=12, blank=True)  # the bug's Visibility when the text was confirmed
    worker = models.CharField(max_length=255, blank=True)  # Bugzilla login, in lower case
    steps = models.TextField(blank=True)
    minutes = models.PositiveIntegerField(null=True)
    rollback = models.TextField(blank=True)
    rollback_minutes = models.PositiveIntegerField(null=True)
    # While it runs.
    state = models.CharField(max_length=12, choices=ItemState.choices, default=ItemState.PLANNED)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    outcome_words = models.TextField(blank=True)  # public: TREE OPEN and the bug say it
    outcome_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    update_id = models.PositiveIntegerField(null=True)  # the outbox's row that tells the bug its outcome

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["downtime", "bug_id"], name="a_bug_once_per_downtime")]

    def __str__(self):
        return f"bug {self.bug_id}"

    @property
    def about(self) -> str:
        """How the record names it: with its downtime."""
        return f"downtime {self.downtime_id}"


class NoticeVersion(models.Model):
    """The notice as it was frozen when people were asked to agree. The database refuses to change it (`frozen.py`).

    `content` is what the hash is taken of: subject, body, recipients, window, trees, items.
    """

    downtime = models.ForeignKey(Downtime, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    subject = models.CharField(max_length=200)
    body = models.TextField()
    content = models.JSONField()
    sha256 = models.CharField(max_length=64)
    made_by = models.ForeignKey(PERSON, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    answers_until = models.DateTimeField()  # the pre-approvers' deadline

    class Meta:
        ordering = ["downtime", "number"]
        constraints = [models.UniqueConstraint(fields=["downtime", "number"], name="one_version_per_number")]

    def __str__(self):
        return f"notice {self.downtime_id} v{self.number}"


class Ask(models.Model):
    """That one person was asked to agree to one version. The token stands in one mail to one person, and nowhere here.

    `token_sha256` finds the page; `code_sha256` is of the code in the mail's text that decides (safety.md C4).
    """

    version = models.ForeignKey(NoticeVersion, on_delete=models.CASCADE, related_name="asks")
    approver = models.ForeignKey(Approver, on_delete=models.PROTECT, related_name="asks")
    instead_of = models.ForeignKey(Approver, null=True, on_delete=models.PROTECT, related_name="+")  # who is absent
    role = models.CharField(max_length=14, choices=Asked.choices)
    token_sha256 = models.CharField(max_length=64, unique=True)
    code_sha256 = models.CharField(max_length=64)
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    wrong_codes = models.PositiveIntegerField(default=0)
    mail_id = models.PositiveIntegerField(null=True)  # the outbox's row

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "approver"], name="asked_once_per_version")]

    def __str__(self):
        return f"ask {self.pk}"


class Answer(models.Model):
    """What one person answers to one version; one person counts once. What they said before stands in the record."""

    version = models.ForeignKey(NoticeVersion, on_delete=models.CASCADE, related_name="answers")
    approver = models.ForeignKey(Approver, on_delete=models.PROTECT, related_name="answers")
    decision = models.CharField(max_length=10, choices=Decision.choices)
    words = models.TextField(blank=True)
    via = models.CharField(max_length=10)  # "account" or "code"
    at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)  # a question that was answered on the same version

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "approver"], name="one_answer_per_version")]

    def __str__(self):
        return f"answer {self.pk}"


class ListUse(models.TextChoices):
    """What a list is written for."""

    ANNOUNCE = "announce", "Announcements (dev.planning, dev.tree-management, all@)"
    COPY = "copy", "Copy of the draft, without a link (release@, infra-all@)"


class MailingList(models.Model):
    """A list that is told of every downtime: data, since addresses and names drift (design.md, decision 10)."""

    name = models.CharField(max_length=80)
    address = models.CharField(max_length=254)
    use = models.CharField(max_length=10, choices=ListUse.choices, default=ListUse.ANNOUNCE)
    mandatory = models.BooleanField(default=True)
    is_used = models.BooleanField(default=True)

    class Meta:
        ordering = ["use", "pk"]
        constraints = [models.UniqueConstraint(fields=["address", "use"], name="one_list_per_use")]

    def __str__(self):
        return self.name


class Told(models.TextChoices):
    """What the lists were told."""

    ANNOUNCEMENT = "announcement", "Announcement"
    UPDATE = "update", "Update"
    POSTPONEMENT = "postponement", "Postponement"
    CANCELLATION = "cancellation", "Cancellation"
    HOLD = "hold", "On hold"
    GO_AHEAD = "go-ahead", "Going ahead"
    EXTENSION = "extension", "Extension"
    OUTAGE = "outage", "Outage"
    TREE_OPEN = "tree-open", "TREE OPEN"


class Announcement(models.Model):
    """One round of mails to everyone who must know. `batch` names its mails in the outbox."""

    downtime = models.ForeignKey(Downtime, on_delete=models.CASCADE, related_name="announcements")
    kind = models.CharField(max_length=14, choices=Told.choices)
    version = models.ForeignKey(NoticeVersion, null=True, on_delete=models.PROTECT, related_name="announcements")
    batch = models.CharField(max_length=80, unique=True)
    text = models.TextField()
    because = models.TextField(blank=True)
    emergency = models.BooleanField(default=False)
    made_by = models.ForeignKey(PERSON, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return f"announcement {self.pk}"


class SyncState(models.Model):
    """How far the mirror was followed."""

    stamp = models.PositiveBigIntegerField(default=0)
