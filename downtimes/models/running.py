"""A downtime while it runs: each of its trees, the steps that people tick off, and the review on the next working day.

What a tree's row amounts to is derived from it and what polling reads (`downtimes/run/rules.py`), never stored.
"""

from django.conf import settings
from django.db import models

from ciduty.trees.rules import LONGEST_NAME
from downtimes.models.planning import Downtime
from downtimes.run.rules import Phase, Step

PERSON = settings.AUTH_USER_MODEL


class RunTree(models.Model):
    """One tree of a downtime: how it stood before, when we asked to close it, when polling saw it closed and open."""

    downtime = models.ForeignKey(Downtime, on_delete=models.CASCADE, related_name="run_trees")
    name = models.CharField(max_length=LONGEST_NAME)
    position = models.PositiveIntegerField()  # autoland first on a soft close
    only_message = models.BooleanField(default=False)  # soft close: it stays open with a message of the day
    before = models.JSONField(default=dict)  # status, reason, tags, log_id, motd, as we saw them when we asked
    asked_at = models.DateTimeField(null=True)  # when it was asked to be closed, or its message to be set
    asked_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True)  # when polling first saw our closure, or our message
    log_id = models.PositiveBigIntegerField(null=True)  # of our closure; a newer one is somebody else's
    claimed_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")  # "that is ours"
    closure = models.ForeignKey("trees.Closure", null=True, on_delete=models.PROTECT, related_name="+")
    reopen_asked_at = models.DateTimeField(null=True)
    reopen_asked_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField(null=True)  # when polling saw it as it was before
    left_at = models.DateTimeField(null=True)  # somebody said that it is left as it is now
    left_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    left_because = models.CharField(max_length=300, blank=True)  # public: TREE OPEN says it

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["downtime", "name"], name="a_tree_once_per_downtime")]

    def __str__(self):
        return f"{self.name} in {self.downtime_id}"


class RunStep(models.Model):
    """That somebody did a step of the run sheet; done anew it is written anew. `words`: with whom, or what was seen."""

    downtime = models.ForeignKey(Downtime, on_delete=models.CASCADE, related_name="run_steps")
    step = models.CharField(max_length=24, choices=Step.choices)
    words = models.CharField(max_length=300, blank=True)
    by = models.ForeignKey(PERSON, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "pk"]
        constraints = [models.UniqueConstraint(fields=["downtime", "step"], name="a_step_once_per_downtime")]

    def __str__(self):
        return f"{self.step} of {self.downtime_id}"


class CheckLink(models.Model):
    """A page that the run sheet leads to: where one sees what is normal. Data: such addresses drift."""

    label = models.CharField(max_length=80)
    address = models.URLField(max_length=300)
    phase = models.CharField(max_length=8, choices=Phase.choices)
    what_is_normal = models.CharField(max_length=200, blank=True)
    is_used = models.BooleanField(default=True)

    class Meta:
        ordering = ["phase", "pk"]
        constraints = [models.UniqueConstraint(fields=["address", "phase"], name="a_link_once_per_phase")]

    def __str__(self):
        return self.label


class Review(models.Model):
    """What was learned: due on the next working day, shown again when a window on the same systems is planned."""

    downtime = models.OneToOneField(Downtime, on_delete=models.CASCADE, related_name="review")
    due_on = models.DateField()  # of the desk's calendar
    went_well = models.TextField(blank=True)
    to_do_better = models.TextField(blank=True)
    bugs = models.JSONField(default=list)  # filed for what remains
    written_by = models.ForeignKey(PERSON, null=True, on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["written_at", "due_on"])]

    def __str__(self):
        return f"review of {self.downtime_id}"
