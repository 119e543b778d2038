"""What the desk shows of the outbox: a line for each thing that keeps words from leaving; nothing when all is well."""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from ciduty import access
from ciduty.desk.needs import Section
from ciduty.outbox import health


def section(person, at: datetime) -> Section | None:
    """Return why something does not leave at a moment, None when everything does. Three queries."""
    if not access.may_see_outbox(person):
        return None
    waited = health.oldest_due(at)
    lines = [
        ("parked", health.need_somebody()),
        ("unconfigured", not settings.EMAIL_URL),
        ("late", waited if health.too_long(waited) else None),
    ]
    rows = [{"what": what, "figure": figure} for what, figure in lines if figure]
    if not rows:
        return None
    return Section("Outbox", "outbox/_needs.html", rows, total=None, more_at=reverse("outbox"))


def counts(at: datetime) -> list[tuple[str, int]]:
    """Return no figures for the front door: what does not leave is CiDuty's own business."""
    return []
