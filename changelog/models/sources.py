"""Where changes come from, how far each source was read, and every revision that was seen on the way."""

from django.conf import settings
from django.db import models

from changelog.rules import LONGEST_NAME, Kind
from ciduty.systems.models import System


class SourceKind(models.TextChoices):
    """How a source is read; the last four are told to us and never asked."""

    GITHUB_COMMITS = "github commits", "GitHub commits"
    GITHUB_RELEASES = "github releases", "GitHub releases"
    MERCURIAL = "mercurial", "Mercurial pushes"
    GIT = "git", "Git repository"
    IMPORT = "import", "Imported history"
    API = "api", "API"
    OWN = "own", "CiDuty’s own events"
    PERSON = "person", "People"


#: Those that are polled.
POLLED = frozenset({SourceKind.GITHUB_COMMITS, SourceKind.GITHUB_RELEASES, SourceKind.MERCURIAL, SourceKind.GIT})


class Source(models.Model):
    """One source of changes: a repository, a service, a person. Its filters keep noise out before it is a row."""

    name = models.CharField(max_length=LONGEST_NAME, unique=True)  # of the repository, as people say it: "autoland"
    kind = models.CharField(max_length=20, choices=SourceKind.choices)
    address = models.CharField(max_length=360, blank=True)  # of the repository; of the API where it has its own
    branch = models.CharField(max_length=120, blank=True)  # "" is the default one
    team = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    default_kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.CONFIG)
    default_system = models.ForeignKey(System, null=True, on_delete=models.PROTECT, related_name="+")
    # {"folders": [...], "files": [...], "keyword": "deploy:", "drop_automatic": true, "tags_only": false}
    filters = models.JSONField(default=dict)
    publishes = models.BooleanField(default=False)  # its changes are published by rule, without a person
    rhythm_hours = models.PositiveIntegerField(null=True)  # quiet for longer: flagged. None: it may be silent
    cursor = models.JSONField(default=dict)  # how far it was read: last push, ETag, newest commit
    read_at = models.DateTimeField(null=True)  # last read without a problem
    tried_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)  # last time it told anything at all
    problem = models.CharField(max_length=300, blank=True)  # why the last try failed, in one sentence
    failures = models.PositiveIntegerField(default=0)  # in a row
    blocked_until = models.DateTimeField(null=True)  # its breaker: nobody asks before
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name

    @property
    def about(self) -> str:
        """How the record names it."""
        return f"source {self.pk}"


class SeenRevision(models.Model):
    """A revision that a source told of, kept although a filter dropped it: people ask what changed before a push."""

    repository = models.CharField(max_length=LONGEST_NAME)
    revision = models.CharField(max_length=80)  # whole, in lower case
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["revision", "repository"], name="a_revision_is_seen_once")]


class SyncState(models.Model):
    """How far the mirror of bugs was read for what turned private."""

    stamp = models.PositiveBigIntegerField(default=0)
