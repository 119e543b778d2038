"""The mirror of bugs, and the state of connection and poll. What is stored when: `mirror.py`, `poll.py`.

A bug's words stand apart in BugText, and only while they may be shown to somebody (design.md, decision 3).
"""

from django.db import models


class Visibility(models.TextChoices):
    """Who may read a bug's words; confidential until proven public."""

    PUBLIC = "public", "Public"
    STAFF = "staff", "Staff only"
    RESTRICTED = "restricted", "Restricted"


class BugQuerySet(models.QuerySet):
    """The words that polls and jobs ask in."""

    def active(self):
        """Bugs that are re-read on every poll: open requests and all that carry the tree-closure flag."""
        return self.filter(models.Q(is_open=True, is_loaner_request=True) | models.Q(carries_flag=True))

    def changed_since(self, stamp: int):
        """Bugs that the mirror wrote after this stamp, in the order it wrote them."""
        return self.filter(stamp__gt=stamp).order_by("stamp", "pk")


class Bug(models.Model):
    """What may be kept of any bug, restricted or not: number, status, flags and times."""

    id = models.PositiveIntegerField(primary_key=True)
    status = models.CharField(max_length=64, blank=True)
    resolution = models.CharField(max_length=64, blank=True)
    is_open = models.BooleanField(default=True)
    visibility = models.CharField(max_length=12, choices=Visibility.choices, default=Visibility.RESTRICTED)
    # Once restricted, a bug stays vague until a person of CiDuty releases its words (safety.md F14).
    held_back = models.BooleanField(default=False)
    # What Bugzilla said last, before `held_back` was weighed.
    offered = models.CharField(max_length=12, choices=Visibility.choices, default=Visibility.RESTRICTED)
    # Our own classification by component, kept because the component's name goes with the words.
    is_loaner_request = models.BooleanField(default=False)
    carries_flag = models.BooleanField(default=False)
    moved_away = models.BooleanField(default=False)
    flags = models.JSONField(default=list)  # of {id, name, status, created_at, set_at}; people stand in BugText
    created_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)  # last heard from, by our clock
    read_server_time = models.DateTimeField(null=True)  # the same by Bugzilla's clock
    not_visible_since = models.DateTimeField(null=True)
    conversation_read_at = models.DateTimeField(null=True)  # by Bugzilla's clock
    stamp = models.PositiveBigIntegerField(default=0, db_index=True)

    objects = BugQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["is_open", "is_loaner_request"]),
            models.Index(fields=["carries_flag"]),
        ]

    def __str__(self):
        return f"Bug {self.pk}"


class BugText(models.Model):
    """The words of a bug that is PUBLIC or STAFF. No unique index on any of it: a violation would print it in a log."""

    bug = models.OneToOneField(Bug, on_delete=models.CASCADE, primary_key=True, related_name="text")
    summary = models.TextField(blank=True)
    whiteboard = models.TextField(blank=True)
    alias = models.TextField(blank=True)
    product = models.TextField(blank=True)
    component = models.TextField(blank=True)
    creator = models.TextField(blank=True)
    creator_name = models.TextField(blank=True)
    assignee = models.TextField(blank=True)
    assignee_name = models.TextField(blank=True)
    groups = models.JSONField(default=list)
    flag_people = models.JSONField(default=dict)  # flag id -> [setter, requestee]
    original_sha256 = models.CharField(max_length=64, blank=True)

    def __str__(self):
        return f"Words of bug {self.pk}"


class EventKind(models.TextChoices):
    """What somebody did in a bug that a clock may care about."""

    COMMENT = "comment", "commented"
    ASSIGNED = "assigned", "assigned it"
    NEEDINFO_SET = "needinfo set", "asked for information"
    NEEDINFO_CLEARED = "needinfo cleared", "cleared the needinfo"
    CLOSED = "closed", "closed it"
    REOPENED = "reopened", "reopened it"
    MOVED_HERE = "moved here", "moved it to the loan requests"


class ActorKind(models.TextChoices):
    """Who did it, as far as a clock cares; all that is kept of a restricted bug's people."""

    CIDUTY = "ciduty", "CiDuty"
    REQUESTER = "requester", "the requester"
    BOT = "bot", "ciduty itself"
    OTHER = "other", "somebody else"


class BugEvent(models.Model):
    """That somebody acted in a bug, and when; never what they wrote."""

    bug = models.ForeignKey(Bug, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=20, choices=EventKind.choices)
    at = models.DateTimeField()
    by = models.CharField(max_length=255, blank=True)  # the login; empty while the bug is restricted
    by_kind = models.CharField(max_length=12, choices=ActorKind.choices)
    asks_requester = models.BooleanField(default=False)  # a needinfo that waits for the bug's reporter
    needinfo_of = models.CharField(max_length=255, blank=True)  # whom it waits for; empty while restricted

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["bug", "at"])]

    def __str__(self):
        return f"{self.kind} in bug {self.bug_id}"


class TrackedId(models.Model):
    """A bug that a job wants mirrored although no scope names it."""

    bug_id = models.PositiveIntegerField(primary_key=True)
    why = models.CharField(max_length=200)


class Quarantine(models.Model):
    """A bug that could not be read or stored, set aside alone; tried again at every poll until it can be."""

    bug_id = models.PositiveIntegerField(primary_key=True)
    problem = models.CharField(max_length=300)
    since = models.DateTimeField()
    last_tried_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=1)


class Connection(models.Model):
    """One Bugzilla address with one key: its breaker, and what was proven of its sign-in.

    The key itself is not here.
    """

    address = models.CharField(max_length=300)
    key_fingerprint = models.CharField(max_length=64)
    login = models.CharField(max_length=255, blank=True)
    version = models.CharField(max_length=40, blank=True)
    checked_at = models.DateTimeField(null=True)
    warnings = models.JSONField(default=list)  # sentences: components or a flag that Bugzilla does not have
    warnings_scope = models.CharField(max_length=64, blank=True)
    blocked_why = models.CharField(max_length=300, blank=True)
    blocked_kind = models.CharField(max_length=12, blank=True)  # "auth" or "throttled"
    blocked_until = models.DateTimeField(null=True)
    blocks = models.PositiveIntegerField(default=0)
    probing_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["address", "key_fingerprint"], name="one_row_per_address_and_key")
        ]


class Source(models.Model):
    """How far one Bugzilla was read for one scope; a new address or scope starts from the beginning."""

    address = models.CharField(max_length=300)
    scope = models.CharField(max_length=64)  # fingerprint of the components and the flag
    watermark = models.DateTimeField(null=True)  # Bugzilla's time
    reconciled_at = models.DateTimeField(null=True)
    last_done_at = models.DateTimeField(null=True)
    wanted_at = models.DateTimeField(null=True)  # somebody pressed Sync now

    class Meta:
        constraints = [models.UniqueConstraint(fields=["address", "scope"], name="one_row_per_address_and_scope")]


class CycleOutcome(models.TextChoices):
    """How a poll ended."""

    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class Cycle(models.Model):
    """One poll: what it read, changed and hid, or the one line that says why it could not."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="cycles")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, choices=CycleOutcome.choices, default=CycleOutcome.RUNNING)
    problem = models.CharField(max_length=300, blank=True)
    requests = models.PositiveIntegerField(default=0)
    read = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    hidden = models.PositiveIntegerField(default=0)
    quarantined = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-started_at", "-pk"]
        get_latest_by = "started_at"
        indexes = [models.Index(fields=["source", "-started_at"])]


class MirrorStamp(models.Model):
    """The counter behind `Bug.stamp`: jobs read what was written after the last stamp they saw."""

    value = models.PositiveBigIntegerField(default=0)
