"""One entry of the history. The database refuses to change or delete any (`guard.py`); what is written: `write.py`."""

from django.conf import settings
from django.db import models


class Actor(models.TextChoices):
    """Who did it, where it was no person of ours."""

    PERSON = "person", "a person"
    CIDUTY = "ciduty", "ciduty"
    OUTSIDE = "outside", "the outside"  # a mail server, Bugzilla, somebody who wrote a mail


class EntryQuerySet(models.QuerySet):
    """The words pages ask in."""

    def of(self, about: str):
        """Entries about one object, the oldest first."""
        return self.filter(about=about).select_related("by", "on_behalf_of").order_by("at", "pk")


class Entry(models.Model):
    """That somebody did something to an object. Never a word of a bug: numbers, names of fields and our own sentences.

    `about` names the object (`loaner 1400123`), `verb` what was done (`answered`), `sentence` the same for a reader.
    `caused` names the rows that it wrote (`bug update 12`, `mail 7`).
    """

    at = models.DateTimeField()
    about = models.CharField(max_length=80)
    verb = models.CharField(max_length=60)
    sentence = models.CharField(max_length=500)
    actor = models.CharField(max_length=10, choices=Actor.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    on_behalf_of = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    caused = models.JSONField(default=list)

    objects = EntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "entries"
        indexes = [models.Index(fields=["about", "at"]), models.Index(fields=["verb", "at"])]

    def __str__(self):
        return f"{self.about}: {self.verb}"
