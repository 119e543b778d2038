"""Which reminders to answer are due, written down once each; by beat and by the tick. The words: `notices.py`."""

from datetime import datetime, timedelta

from django.db import transaction

from ciduty import clock
from ciduty.outbox.models import Mail
from downtimes import agreement, notices, rules, versions
from downtimes.models import Ask, Downtime
from downtimes.rules import Asked, State

#: So long before the latest lawful moment: a day to read it, a quarter to do it, a last call.
BEFORE = (timedelta(hours=24), timedelta(hours=6), timedelta(hours=2))
HOUR = timedelta(hours=1)


def remind() -> int:
    """Write every reminder that is due now; returns how many. Safe to call twice and at the same time."""
    at = clock.now()
    first = at + rules.NOTICE + max(BEFORE)
    agreeing = Downtime.objects.filter(state=State.AGREEING, starts_at__gt=at + rules.NOTICE, starts_at__lte=first)
    return sum(_remind(pk) for pk in agreeing.order_by("starts_at", "pk").values_list("pk", flat=True))


def step_due(asked_at: datetime, latest: datetime, at: datetime) -> int | None:
    """Return the hours of the reminder that is due at a moment, None for none.

    Of several that came due unseen only the last is sent. Whoever was asked after its moment is not reminded by it.
    """
    due = [before for before in BEFORE if asked_at <= latest - before <= at < latest]
    return min(due) // HOUR if due else None


@transaction.atomic
def _remind(pk: int) -> int:
    downtime = Downtime.objects.select_for_update().filter(pk=pk, state=State.AGREEING).first()
    version = versions.newest(downtime) if downtime else None
    if version is None or downtime.starts_at is None:
        return 0
    at, latest = clock.now(), rules.latest_notice(downtime.starts_at)
    due = {ask: hours for ask in _who_is_missing(version) if (hours := step_due(ask.asked_at, latest, at)) is not None}
    keys = [notices.reminder_key(ask, hours) for ask, hours in due.items()]
    written = set(Mail.objects.filter(key__in=keys).values_list("key", flat=True))
    new = [(ask, hours) for ask, hours in due.items() if notices.reminder_key(ask, hours) not in written]
    for ask, hours in new:
        notices.reminder(ask, hours)
    return len(new)


def _who_is_missing(version) -> list[Ask]:
    """Return who has not answered, each person once."""
    votes = [vote for role in Asked for vote in agreement.votes_of(version, role)]
    return list({vote.ask.pk: vote.ask for vote in votes if agreement.is_missing(vote)}.values())
