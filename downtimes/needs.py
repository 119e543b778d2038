"""What the desk shows of downtimes: work that waits for a window, windows that run out of time; counts for the door."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from ciduty import access
from ciduty.desk.needs import Section
from ciduty.outbox import acceptance
from downtimes import agreement, review, review_rows, rules
from downtimes.models import Announcement, Downtime, Nomination, Told
from downtimes.rules import State

ROWS = 10
#: From so long before the latest lawful moment on, a window that is not announced stands on the desk.
NEAR = timedelta(days=3)


@dataclass(frozen=True)
class Need:
    """One line on the desk: a downtime, what it needs, until when (None: at once)."""

    downtime: Downtime
    sentence: str
    until: datetime | None
    late: bool


def section(person, at: datetime) -> list[Section]:
    """Return the nominations that nobody decided, and the downtimes that need somebody, at a moment."""
    if not access.may_plan_downtimes(person):
        return []
    found = []
    waiting = waiting_nominations(at)
    total = waiting.count()
    if total:
        rows = list(waiting.order_by("asked_at", "pk")[:ROWS])
        more_at = reverse("review_nominations")
        found.append(Section("Downtime requests to decide", "downtimes/_nominations.html", rows, total, more_at))
    needs = needs_of(at)
    if needs:
        found.append(Section("Downtimes", "downtimes/_needs.html", needs, len(needs), reverse("downtimes")))
    return found


def waiting_nominations(at: datetime):
    """Return the nominations that wait for a decision, those among them whose date has come."""
    return Nomination.objects.filter(review_rows.tabs(review.today(at))["open"].which)


def needs_of(at: datetime) -> list[Need]:
    """Return what each planned downtime needs somebody for, the most urgent first."""
    found = [need for downtime in Downtime.objects.planned().order_by("starts_at", "pk") for need in _of(downtime, at)]
    late = [
        Need(answer.version.downtime, f"{answer.approver} answered after it was announced: read it.", None, True)
        for answer in agreement.late_objections()
    ]
    return late + found


def _of(downtime: Downtime, at: datetime) -> list[Need]:
    if downtime.starts_at is None or downtime.ends_at is None or downtime.ends_at <= at:
        return []
    latest = rules.latest_notice(downtime.starts_at)
    if downtime.state != State.ANNOUNCED:
        if at > latest and not downtime.emergency_by_id:
            return [Need(downtime, "Too late for 24 hours of notice: postpone it.", None, True)]
        near = latest - at <= NEAR
        return (
            [Need(downtime, f"{downtime.get_state_display()}: the lists must have it.", latest, False)] if near else []
        )
    newest = Announcement.objects.filter(downtime=downtime).order_by("-pk").first()
    if newest is None or newest.kind not in (Told.ANNOUNCEMENT, Told.UPDATE):
        return []
    missing = acceptance.of_batch(newest.batch).missing
    if not missing:
        return []
    return [Need(downtime, f"{len(missing)} mandatory lists have not accepted it yet.", latest, at > latest)]


def counts(at: datetime) -> list[tuple[str, int]]:
    """Return how many downtimes are announced and still to come."""
    coming = Downtime.objects.public().filter(state=State.ANNOUNCED, ends_at__gt=at)
    return [("downtimes planned", coming.count())]
