"""Trees, what became of them, and the closures that are ours. What may be said stands in `rules.py`.

Names, statuses and reasons are what the service tells, cleaned. Who may read a reason: `confidential.py`.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from ciduty.trees import rules
from ciduty.trees.rules import Category, Source

PERSON = settings.AUTH_USER_MODEL


class Service(models.Model):
    """One tree status service, by its address: how it speaks, and when we last heard from it (by our clock)."""

    address = models.CharField(max_length=300, unique=True)
    generation = models.CharField(max_length=12, blank=True)  # "standalone" or "lando", once it is known
    base = models.CharField(max_length=40, blank=True)  # where its routes stand below the address
    tried_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)  # last answered, by when we asked
    problem = models.CharField(max_length=300, blank=True)
    failures = models.PositiveIntegerField(default=0)  # in a row
    failing_since = models.DateTimeField(null=True)
    blocked_until = models.DateTimeField(null=True)
    left_out = models.PositiveIntegerField(default=0)  # trees of its last answer whose names cannot be used

    def __str__(self):
        return f"tree status service {self.pk}"

    @property
    def about(self) -> str:
        """How logs name it."""
        return f"tree status service {self.pk}"


class Tree(models.Model):
    """One tree, as it was last told: by the service, or by duty where there is none (`service` is None)."""

    name = models.CharField(max_length=rules.LONGEST_NAME, unique=True)
    service = models.ForeignKey(Service, null=True, on_delete=models.PROTECT, related_name="trees")
    category = models.CharField(max_length=40, blank=True)  # a TreeCategory where the service tells one
    status = models.CharField(max_length=40)  # as told; a Status, or a word that we do not know
    reason = models.TextField(blank=True)
    motd = models.TextField(blank=True)
    tags = models.JSONField(default=list)
    log_id = models.PositiveBigIntegerField(null=True)  # of the service; tells our closure from a newer one
    since = models.DateTimeField(null=True)  # of its status; None where nobody knows
    by = models.CharField(max_length=255, blank=True)  # who, as the service tells; for CiDuty only
    read_at = models.DateTimeField()  # by our clock
    gone_at = models.DateTimeField(null=True)  # since when the service's answer is without it

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.about

    @property
    def about(self) -> str:
        """How the record names it."""
        return f"tree {self.pk}"

    @property
    def by_hand(self) -> bool:
        """Answer whether duty said it, and no service."""
        return self.service_id is None


class TreeEvent(models.Model):
    """That a tree moved from one status to another, or that its closure was worded anew. Only ever added to."""

    tree = models.ForeignKey(Tree, on_delete=models.PROTECT, related_name="events")
    at = models.DateTimeField()  # as the service tells; ours where it does not
    from_status = models.CharField(max_length=40, blank=True)  # "" where it was not known before
    to_status = models.CharField(max_length=40)
    reason = models.TextField(blank=True)
    category = models.CharField(max_length=40, choices=Category.choices, blank=True)
    by = models.CharField(max_length=255, blank=True)  # for CiDuty only
    log_id = models.PositiveBigIntegerField(null=True)
    source = models.CharField(max_length=8, choices=Source.choices)

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["tree", "at"]), models.Index(fields=["at"])]

    def __str__(self):
        return f"event {self.pk} of tree {self.tree_id}"


class ClosureQuerySet(models.QuerySet):
    """The words that pages and jobs ask in."""

    def standing(self):
        """Those that nobody has ended."""
        return self.filter(ended_at=None)


class Closure(models.Model):
    """That CiDuty closes one tree: why, for whom, until when. Several may stand on one tree at once.

    Ending one leaves the tree closed while another stands. `about` is what it is for ("downtime 7"), or "".
    """

    tree = models.ForeignKey(Tree, on_delete=models.PROTECT, related_name="closures")
    key = models.CharField(max_length=120, unique=True)  # of the form and the tree: sent twice it is one
    reason = models.CharField(max_length=300)  # public
    category = models.CharField(max_length=40, choices=Category.choices)
    bug_id = models.PositiveIntegerField(null=True)
    owner = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField()
    expected_end = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    about = models.CharField(max_length=80, blank=True)

    objects = ClosureQuerySet.as_manager()

    class Meta:
        ordering = ["closed_at", "pk"]
        indexes = [models.Index(fields=["ended_at"])]
        constraints = [
            models.CheckConstraint(condition=~Q(reason="") & ~Q(category=""), name="a_closure_says_why"),
        ]

    def __str__(self):
        return f"closure {self.pk}"
