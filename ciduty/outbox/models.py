"""What we say to the outside: one row for each recipient of a mail, each change of a bug, and each change of trees;
and what came back.

States and moves: `rules.py`. Who writes rows: `post.py`. Who delivers them: `delivery.py`.
"""

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q

from ciduty.outbox import rules
from ciduty.outbox.rules import Priority, State

LAST_WORDS = 500


class DeliveryQuerySet(models.QuerySet):
    """The words that senders, gates and pages ask in."""

    def under_way(self):
        """Rows that still go by themselves."""
        return self.filter(state__in=rules.UNDER_WAY)

    def claimable(self, at):
        """Rows whose time has come at a moment, and rows whose sender died."""
        waiting = Q(state__in=rules.WAITING, next_try_at__lte=at)
        return self.filter(waiting | Q(state=State.SENDING, lease_until__lte=at))

    def parked(self):
        """Rows that wait for a person."""
        return self.filter(state__in=rules.PARKED)

    def in_turn(self):
        """Rows that wait for no other one."""
        return self

    def about(self, about: str):
        """Rows about one object, the oldest first."""
        return self.filter(about=about).order_by("pk")


class BugUpdateQuerySet(DeliveryQuerySet):
    """Of one bug strictly in order: whatever was written down before must be done before."""

    def in_turn(self):
        """Rows of whose bug nothing earlier is under way."""
        earlier = BugUpdate.objects.under_way().filter(bug_id=OuterRef("bug_id"), pk__lt=OuterRef("pk"))
        return self.filter(~Exists(earlier))


class TreeChangeQuerySet(DeliveryQuerySet):
    """Of one tree strictly in order, as of one bug."""

    def in_turn(self):
        """Rows of whose trees nothing earlier is under way. One more query: there are few."""
        taken, waiting = set(), []
        for row in TreeChange.objects.under_way().only("wants").order_by("pk"):
            if taken.intersection(row.trees):
                waiting.append(row.pk)
            taken.update(row.trees)
        return self.exclude(pk__in=waiting)


class Delivery(models.Model):
    """One effect on the outside. `key` names the effect: to post it twice is to post it once."""

    key = models.CharField(max_length=200, unique=True)  # numbers and names of ours, never words of a bug
    purpose = models.CharField(max_length=80)
    about = models.CharField(max_length=80, db_index=True)  # the object, as the record names it: "loaner 1400123"
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    state = models.CharField(max_length=12, choices=State.choices, default=State.DUE)
    created_at = models.DateTimeField()
    due_since = models.DateTimeField()  # from when on it is tried; 72 hours are counted from here
    next_try_at = models.DateTimeField()
    not_after = models.DateTimeField(null=True)  # past this it must not go any more
    tries = models.PositiveIntegerField(default=0)  # since it was due
    attempts = models.PositiveIntegerField(default=0)  # in all
    deaths = models.PositiveIntegerField(default=0)  # senders that died over it
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveBigIntegerField(default=0)
    last_tried_at = models.DateTimeField(null=True)
    last_words = models.CharField(max_length=LAST_WORDS, blank=True)  # the server's, or why it stands still
    last_code = models.PositiveIntegerField(null=True)
    accepted_at = models.DateTimeField(null=True)
    hook_owed = models.BooleanField(default=False)  # its purpose has not been told yet how it ended
    erased_at = models.DateTimeField(null=True)  # its words were erased: its bug turned private

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        abstract = True
        indexes = [
            models.Index(fields=["state", "priority", "next_try_at"]),
            models.Index(fields=["hook_owed"], condition=Q(hook_owed=True), name="%(class)s_hook_owed"),
        ]


class Mail(Delivery):
    """One mail to one recipient. Its bytes and its Message-ID are the same at every try."""

    recipient = models.CharField(max_length=320)
    subject = models.CharField(max_length=200, blank=True)
    message = models.BinaryField()  # as it goes over the wire; empty when it could not be composed
    sha256 = models.CharField(max_length=64, blank=True)
    message_id = models.CharField(max_length=200, unique=True)
    in_reply_to = models.CharField(max_length=200, blank=True)
    mandatory = models.BooleanField(default=False)
    batch = models.CharField(max_length=80, blank=True, db_index=True)  # what was announced: "notice 17 v3"
    bug_id = models.PositiveIntegerField(null=True, db_index=True)  # the bug whose words it may hold

    kind = "mail"

    class Meta(Delivery.Meta):
        pass

    def __str__(self):
        return f"mail {self.pk}"


class BugUpdate(Delivery):
    """One change of one bug, or one new bug: what shall be true, and what was read before (`changes.py`)."""

    op = models.CharField(max_length=12, unique=True)  # stands in the comment as "ref ..." and proves the write
    bug_id = models.PositiveIntegerField(null=True, db_index=True)  # of a new bug: None until it is filed
    wants = models.JSONField(default=dict)
    seen = models.JSONField(default=dict)
    uncertain_since = models.DateTimeField(null=True)  # a write went out and nobody knows yet what became of it

    kind = "bug"

    objects = BugUpdateQuerySet.as_manager()

    class Meta(Delivery.Meta):
        indexes = [*Delivery.Meta.indexes, models.Index(fields=["bug_id", "state"])]

    def __str__(self):
        return f"bug update {self.pk}"

    @property
    def files_a_bug(self) -> bool:
        """Answer whether this is a new bug."""
        return "new" in self.wants


class TreeChange(Delivery):
    """One change of one tree or several: what they shall be, what was seen, what was found (`tree_wants.py`)."""

    wants = models.JSONField(default=dict)
    seen = models.JSONField(default=dict)
    found = models.JSONField(default=dict)  # what became of each tree
    uncertain_since = models.DateTimeField(null=True)  # a write went out and nobody knows yet what became of it

    kind = "tree"
    bug_id = None  # trees and their reasons are public: no words of a bug stand here

    objects = TreeChangeQuerySet.as_manager()

    class Meta(Delivery.Meta):
        pass

    def __str__(self):
        return f"tree change {self.pk}"

    @property
    def trees(self) -> list[str]:
        """Return the names of its trees, in order."""
        return list(self.wants.get("trees") or [one["tree"] for one in self.wants.get("each", [])])


#: Every way out, in the order in which pages count them.
CHANNELS = (Mail, BugUpdate, TreeChange)


class IncomingKind(models.TextChoices):
    """What a mail that came to us is."""

    BOUNCE = "bounce", "Bounce"
    REPLY = "reply", "Reply"
    AUTO_REPLY = "auto-reply", "Automatic reply"
    DELAY = "delay", "Delay"
    OTHER = "other", "Other mail"


class Incoming(models.Model):
    """A mail that came to us: a bounce, or a reply that joins what it answers. Only a bounce decides anything."""

    kind = models.CharField(max_length=12, choices=IncomingKind.choices)
    mail = models.ForeignKey(Mail, null=True, on_delete=models.CASCADE, related_name="incoming")
    message_id = models.CharField(max_length=300, blank=True)
    sha256 = models.CharField(max_length=64, unique=True)  # of the whole message: the same one again is no news
    sender = models.CharField(max_length=320, blank=True)
    subject = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True)
    received_at = models.DateTimeField()
    erased_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-received_at", "-pk"]

    def __str__(self):
        return f"incoming mail {self.pk}"
