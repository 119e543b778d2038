"""What is learned of a downtime: written on the next working day, read again when the same systems are planned for.

Only CiDuty reads it. When it is asked for: `finishing.py`, with TREE OPEN.
"""

from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Lower

from ciduty import clock, working_time
from ciduty.record import write as record
from ciduty.states import NotAllowed
from downtimes.models import Downtime, Item, Review
from downtimes.rules import Kind

#: So many of the newest are shown with a plan: nobody reads more before a window.
SHOWN = 3
#: So many of the newest reviews of outages are looked through for the same trees.
OUTAGES = 100
NOT_OVER = "It is not over: what was learned is written once everybody was told TREE OPEN."
EMPTY = "Write what went well, or what to do better: an empty review teaches nobody."
OUTDATED = (
    "Somebody else wrote the review after you opened the page: nothing was saved, and what you typed is still here. "
    "Read theirs in another tab, then save again to put your words in place of them."
)


def due_on(at: datetime) -> date:
    """Return the next working day of the desk after the day of a moment."""
    calendar = settings.CIDUTY_CALENDAR
    tomorrow = at.astimezone(calendar.tzinfo).date() + timedelta(days=1)
    opening = working_time.next_opening(calendar, datetime.combine(tomorrow, time(), calendar.tzinfo))
    return opening.astimezone(calendar.tzinfo).date()


def make(downtime: Downtime, at: datetime) -> Review:
    """Have somebody asked for the review of a downtime that ended at a moment, and return it. Made once."""
    review, _ = Review.objects.get_or_create(downtime=downtime, defaults={"due_on": due_on(at)})
    return review


@transaction.atomic
def write(
    review: Review | None, *, by, went_well: str, to_do_better: str, bugs: list[int], shown: str | None = None
) -> bool:
    """Write down what was learned, and return whether that is new.

    `shown`: what `look_of` said of the review that the person saw. Raises NotAllowed before the downtime is over, for
    an empty review, and where somebody else wrote meanwhile.
    """
    if review is None:
        raise NotAllowed(NOT_OVER)
    if not (went_well.strip() or to_do_better.strip()):
        raise NotAllowed(EMPTY)
    row = Review.objects.select_for_update().get(pk=review.pk)
    typed = {"went_well": went_well, "to_do_better": to_do_better, "bugs": bugs}
    if all(getattr(row, name) == value for name, value in typed.items()):
        return False
    if shown is not None and shown != look_of(row):
        raise NotAllowed(OUTDATED)
    at = clock.now()
    Review.objects.filter(pk=row.pk).update(**typed, written_by=by, written_at=at)
    sentence = "Wrote the review" if row.written_at is None else "Changed the review"
    record.entry(row.downtime.about, "reviewed", sentence, by=by, at=at, after={"bugs": bugs})
    return True


def look_of(review: Review | None) -> str:
    """Return what two looks at a review have in common only if nobody wrote between them."""
    return review.written_at.isoformat() if review is not None and review.written_at else ""


def waiting(at: datetime) -> list[Review]:
    """Return the reviews that nobody wrote and whose day has come, the oldest first. One query."""
    today = at.astimezone(settings.CIDUTY_CALENDAR.tzinfo).date()
    due = Review.objects.filter(written_at=None, due_on__lte=today)
    return list(due.select_related("downtime").order_by("due_on", "pk"))


def on_same_systems(downtime: Downtime) -> list[Review]:
    """Return what was learned of other downtimes of the same systems, and of outages of the same trees; the newest.

    Three queries.
    """
    written = Review.objects.exclude(written_at=None).exclude(downtime=downtime).select_related("downtime")
    written = written.order_by("-written_at", "-pk")
    outages = written.filter(downtime__kind=Kind.UNPLANNED)[:OUTAGES]
    found = [one for one in outages if set(one.downtime.trees) & set(downtime.trees)][:SHOWN]
    systems = {name.strip().lower() for name in downtime.items.values_list("nomination__system", flat=True) if name}
    if systems:
        same = Item.objects.annotate(system=Lower("nomination__system")).filter(system__in=systems)
        found += written.filter(downtime__in=same.values("downtime"))[:SHOWN]
    return sorted(found, key=lambda one: one.written_at, reverse=True)[:SHOWN]
