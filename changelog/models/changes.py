"""A change of CI, where and when it landed, how it was corrected; and what public pages count by.

Times are kept apart: *authored* (when it was written), *landed* (when it reached a repository), *effective* (when it
took effect). Each keeps the offset of its own zone in minutes, so that it is shown as it was written.
"""

from datetime import timedelta, timezone

from django.conf import settings
from django.db import models
from django.db.models import Q

from changelog.rules import LONGEST_IMPACT, LONGEST_NAME, LONGEST_SUMMARY, Kind, State
from ciduty.systems.models import System

PERSON = settings.AUTH_USER_MODEL


class ChangeQuerySet(models.QuerySet):
    """The words that pages ask in. What is found by filters and words: `changelog/find.py`."""

    def public(self):
        """Those that everybody may know of."""
        return self.filter(is_public=True)

    def newest_first(self):
        """By the moment they took effect, else landed, else were written."""
        return self.order_by("-at", "-pk")

    def waiting(self):
        """Those that nobody has decided about."""
        return self.filter(state=State.PROPOSED, part_of=None)


class Change(models.Model):
    """One change of CI. `identity` is what it is in the world: an edit is an edit, never a second row."""

    identity = models.CharField(max_length=LONGEST_NAME, unique=True)  # "hg:1f864da71bab", "git:" + 40, "api:..."
    source = models.ForeignKey("Source", null=True, on_delete=models.PROTECT, related_name="changes")
    state = models.CharField(max_length=12, choices=State.choices, default=State.PROPOSED)
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.CONFIG)
    system = models.ForeignKey(System, null=True, on_delete=models.PROTECT, related_name="changes")
    summary = models.CharField(max_length=LONGEST_SUMMARY)
    impact = models.CharField(max_length=LONGEST_IMPACT, blank=True)  # one line, by a person
    message = models.TextField(blank=True)  # whole, as the source has it
    # Typed by a person where a bug it names is not public: then these words alone are shown, and no link (decision 3).
    public_summary = models.CharField(max_length=LONGEST_SUMMARY, blank=True)
    author = models.CharField(max_length=LONGEST_NAME, blank=True)  # a name, never an address
    reviewers = models.JSONField(default=list)
    bugs = models.JSONField(default=list)  # of ints, in the order they are named
    pools = models.JSONField(default=list)
    platforms = models.JSONField(default=list)
    links = models.JSONField(default=list)  # of {title, url}
    files = models.JSONField(default=list)
    files_count = models.PositiveIntegerField(null=True)
    repositories = models.JSONField(default=list)  # names of those it landed in, in order of landing
    authored_at = models.DateTimeField(null=True)
    authored_offset = models.SmallIntegerField(default=0)  # minutes east of UTC
    landed_at = models.DateTimeField(null=True)  # its first landing
    landed_offset = models.SmallIntegerField(default=0)
    effective_at = models.DateTimeField(null=True)
    effective_offset = models.SmallIntegerField(default=0)
    at = models.DateTimeField()  # what it is sorted by: effective, else landed, else authored, else proposed
    push = models.CharField(max_length=LONGEST_NAME, blank=True)  # "autoland 88678": changes that came together
    part_of = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="parts")
    proposed_at = models.DateTimeField()
    proposed_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(null=True)  # last; None: the public never heard of it
    published_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")  # None: by a rule
    because = models.CharField(max_length=300, blank=True)  # why it was withdrawn; public
    changed_at = models.DateTimeField()  # last, as the public sees it
    revision = models.PositiveIntegerField(default=0)  # raised with every save: a form tells what it was made from
    by_hand = models.JSONField(default=list)  # names of fields that a person has set: a source does not overwrite them
    confirmed_for = models.JSONField(default=list)  # the bugs that were not public when `public_summary` was typed
    # Derived; kept by `changelog/index.py` alone.
    hidden_bugs = models.JSONField(
        default=list
    )  # those of `bugs` that are not public: no page for everybody names them
    is_public = models.BooleanField(default=False)
    terms = models.TextField(blank=True)  # " kind:config pool:gecko-t/win10 ": what filters find, of public facts only
    words = models.TextField(blank=True)  # what a search finds, of public words only

    objects = ChangeQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["-at", "-id"], condition=Q(is_public=True), name="change_public_newest"),
            models.Index(fields=["-changed_at", "-id"], condition=Q(is_public=True), name="change_public_news"),
            models.Index(fields=["-at", "-id"], condition=Q(state=State.PROPOSED), name="change_proposed"),
            models.Index(fields=["-at", "-id"], condition=Q(state=State.HELD), name="change_held"),
            models.Index(fields=["-at", "-id"], condition=Q(state=State.WITHDRAWN), name="change_withdrawn"),
            models.Index(fields=["push"], name="change_push"),
            models.Index(fields=["part_of"], condition=Q(part_of__isnull=False), name="change_part_of"),
        ]

    def __str__(self):
        return f"change {self.pk}"

    @property
    def about(self) -> str:
        """How the record and the outbox name it."""
        return f"change {self.pk}"

    @property
    def authored_there(self):
        """When it was written, in its author's own zone."""
        return in_zone(self.authored_at, self.authored_offset)

    @property
    def landed_there(self):
        """When it landed first, in the zone that was told."""
        return in_zone(self.landed_at, self.landed_offset)

    @property
    def effective_there(self):
        """When it took effect, in the zone that was told."""
        return in_zone(self.effective_at, self.effective_offset)

    @property
    def is_withdrawn(self) -> bool:
        """Answer whether it was taken back after it was public."""
        return self.state == State.WITHDRAWN


class Landing(models.Model):
    """That a change reached a repository: one changeset in three trees is one change with three landings."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="landings")
    repository = models.CharField(max_length=LONGEST_NAME)
    at = models.DateTimeField()
    offset = models.SmallIntegerField(default=0)
    pusher = models.CharField(max_length=LONGEST_NAME, blank=True)  # an account's name, without its host
    push_id = models.CharField(max_length=80, blank=True)
    revision = models.CharField(max_length=80, blank=True)
    url = models.CharField(max_length=360, blank=True)

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["revision"], name="landing_revision")]
        constraints = [
            models.UniqueConstraint(fields=["change", "repository"], name="a_change_lands_once_per_repository")
        ]

    def __str__(self):
        return f"landing {self.pk}"

    @property
    def there(self):
        """When it landed, in the zone that was told."""
        return in_zone(self.at, self.offset)


class BugOfChange(models.Model):
    """That a change names a bug. Who may see the number is decided where it is shown."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="named_bugs")
    bug_id = models.PositiveIntegerField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "bug_id"], name="a_bug_once_per_change")]


class Backout(models.Model):
    """That a change takes another one back. `undoes` is None until the other is on record too."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="takes_back")
    revision = models.CharField(max_length=40, db_index=True)  # as it is named: 7 to 40 hex digits
    undoes = models.ForeignKey(Change, null=True, on_delete=models.SET_NULL, related_name="taken_back_by")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "revision"], name="a_backout_once_per_change")]


class Revision(models.Model):
    """One correction of a change that was on record already: what stood there before, and after, field by field."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="revisions")
    at = models.DateTimeField()
    by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")  # None: its source
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    because = models.CharField(max_length=300, blank=True)
    # False where the former words must not be seen: the change was held, or was not public then.
    is_public = models.BooleanField(default=True)

    class Meta:
        ordering = ["at", "pk"]


class DayCount(models.Model):
    """How many public changes a day (in UTC) holds, in all (`facet` "") and for one term of the index."""

    day = models.DateField()
    facet = models.CharField(max_length=300)
    count = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["facet", "day"], name="one_count_per_facet_and_day")]


class PublicVersion(models.Model):
    """Raised whenever anything public has changed: what public answers are tagged with (ETag)."""

    value = models.PositiveBigIntegerField(default=0)


def in_zone(at, offset: int):
    """Return a moment with the offset that it was told with, or None."""
    return None if at is None else at.astimezone(timezone(timedelta(minutes=offset)))
