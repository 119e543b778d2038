"""The catalogue: one row for each system that CI stands on. What changed in it stands in the change log.

Everything here but the escalation may be read by everybody: names of teams and channels, never of persons.
"""

from django.db import models
from django.utils.text import slugify


class SystemQuerySet(models.QuerySet):
    """The words that jobs ask in."""

    def in_use(self):
        """Systems that are not retired, by their titles."""
        return self.filter(is_active=True).order_by("title")


class System(models.Model):
    """One system: what it serves, who owns it, whom to ask at three in the morning."""

    slug = models.SlugField(max_length=80, unique=True)  # in addresses and in the change log's filters
    title = models.CharField(max_length=120)
    serves = models.CharField(max_length=300, blank=True)
    owner = models.CharField(max_length=120, blank=True)  # a team
    channel = models.CharField(max_length=120, blank=True)  # where the team can be asked
    escalation = models.TextField(blank=True)  # whom to wake, and when; for people who sign in only
    runbook = models.URLField(max_length=360, blank=True)
    needs_coordination = models.BooleanField(default=False)  # R35: maintenance needs a coordinated downtime
    is_active = models.BooleanField(default=True)

    objects = SystemQuerySet.as_manager()

    class Meta:
        ordering = ["title", "pk"]

    def __str__(self):
        return self.title

    @property
    def about(self) -> str:
        """How the record names it."""
        return f"system {self.pk}"


def slug_of(name: str) -> str:
    """Return a name as it stands in addresses: hg.mozilla.org becomes hg-mozilla-org; "" where nothing is left."""
    return slugify(name.replace(".", "-"))[:80].strip("-_")


def named(title: str, **facts) -> System:
    """Return the system of this title, entered with `facts` if the catalogue does not have it."""
    slug = slug_of(title) or "unnamed"
    return System.objects.get_or_create(slug=slug, defaults={"title": title[:120]} | facts)[0]
