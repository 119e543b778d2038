"""What the desk shows of downtimes: work that waits for a window, windows that run out of time; counts for the door."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from ciduty import access
from ciduty.desk.needs import Section
from ciduty.outbox import acceptance
from downtimes import agreement, review, review_rows, rules
from downtimes.models import Announcement, Downtime, Nomination
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
        rows = review_rows.rows_for(person, waiting.select_related("asked_by").order_by("asked_at", "pk")[:ROWS])
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
    """Return what each planned downtime needs somebody for, the most urgent first. Four queries, however many."""
    planned = [one for one in Downtime.objects.planned().order_by("starts_at", "pk") if _is_ahead(one, at)]
    missing = _lists_missing([one for one in planned if one.state == State.ANNOUNCED])
    late = [
        Need(answer.version.downtime, f"{answer.approver} answered after it was announced: read it.", None, True)
        for answer in agreement.late_objections()
    ]
    return late + [need for one in planned if (need := _of(one, missing.get(one.pk, 0), at)) is not None]


def _is_ahead(downtime: Downtime, at: datetime) -> bool:
    return downtime.starts_at is not None and downtime.ends_at is not None and downtime.ends_at > at


def _lists_missing(announced: list[Downtime]) -> dict[int, int]:
    """Return how many mandatory lists have not accepted what they were told last, by downtime."""
    told = Announcement.objects.filter(downtime__in=announced).order_by("pk")
    newest = {one.downtime_id: one for one in told}
    stands = acceptance.of_batches([one.batch for one in newest.values()])
    return {downtime: len(stands[one.batch].missing) for downtime, one in newest.items()}


def _of(downtime: Downtime, missing: int, at: datetime) -> Need | None:
    latest = rules.latest_notice(downtime.starts_at)
    if downtime.state == State.ANNOUNCED:
        sentence = f"{missing} mandatory list{' has' if missing == 1 else 's have'} not accepted it yet."
        return Need(downtime, sentence, latest, at > latest) if missing else None
    if at > latest and not downtime.emergency_by_id:
        return Need(downtime, "Too late for 24 hours of notice: postpone it.", None, True)
    sentence = f"{downtime.get_state_display()}: the lists must have it."
    return Need(downtime, sentence, latest, False) if latest - at <= NEAR else None


def has_a_window_near(at: datetime) -> bool:
    """Answer whether an announced window runs, or begins within the hour: then the trees are read every minute."""
    announced = Downtime.objects.filter(state=State.ANNOUNCED, starts_at__lte=at + timedelta(hours=1))
    return announced.filter(ends_at__gt=at).exists()


def counts(at: datetime) -> list[tuple[str, int]]:
    """Return how many downtimes are announced and still to come."""
    coming = Downtime.objects.public().filter(state=State.ANNOUNCED, ends_at__gt=at)
    planned = coming.count()
    return [(f"downtime{'' if planned == 1 else 's'} planned", planned)]
