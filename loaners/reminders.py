"""Which reminders of loans are due, written down once each; called by beat and by the tick. The words: `notices.py`."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from ciduty import clock
from ciduty.outbox import post, purposes
from ciduty.outbox.models import Mail
from ciduty.people.models import Person
from ciduty.people.roles import Role
from loaners import notices, rules
from loaners.models import LoanerRequest
from loaners.requester import requester_of
from loaners.rules import RequestState

#: The first reminder is due so long before the loan: a day more, for days of the wall clock are not all 24 hours long.
LOOK_AHEAD = timedelta(days=1 - rules.REMINDERS[0])
MACHINE_IS_BACK = purposes.Stop("The machine was taken back meanwhile.", for_good=True)


def remind() -> int:
    """Write every reminder that is due now, and tell the managers where two had no answer; returns how many mails.

    Safe to call twice and at the same time. Of several that came due unseen, only the last is sent.
    """
    at, written = clock.now(), 0
    out = LoanerRequest.objects.filter(state=RequestState.ACTIVE, due_at__lte=at + LOOK_AHEAD)
    for request in out.only("due_at", "reminded").order_by("pk"):
        if _number(request, at) > request.reminded:
            written += _remind(request.pk, at)
    return written


def _number(request: LoanerRequest, at: datetime) -> int:
    """Return the number of the last reminder that has come due, -1 for none."""
    return rules.reminders_due(settings.CIDUTY_CALENDAR, request.due_at, at) - 1


@transaction.atomic
def _remind(pk: int, at: datetime) -> int:
    locked = LoanerRequest.objects.select_for_update(of=("self",)).select_related("bug", "machine")
    request = locked.filter(pk=pk, state=RequestState.ACTIVE).first()  # given back: from now on it is CiDuty's turn
    if request is None:
        return 0
    number = _number(request, at)
    if number <= request.reminded:
        return 0
    LoanerRequest.objects.filter(pk=pk).update(reminded=number)
    before = notices.reminders_of_due_date(request)
    told = _tell_managers(request, number, before)
    overdue_before = notices.of_overdue(before)
    sent = notices.reminder(request, number, overdue_before=overdue_before, manager_told=told > 0)
    return told + (sent is not None)


def _tell_managers(request: LoanerRequest, number: int, before: list[int]) -> int:
    """Tell every manager once two reminders had no answer, or as many could be sent to nobody; returns how many."""
    unanswered = len(before) if requester_of(request).email else number
    if unanswered < rules.TELL_MANAGER_AFTER:
        return 0
    managers = list(Person.objects.filter(role=Role.MANAGER, is_active=True).exclude(email="").order_by("pk"))
    for manager in managers:
        notices.tell_manager(request, manager, number, len(before))
    if not managers:
        post.nobody_told(request.about, "no manager’s mail address is known.")
    return len(managers)


def may_still_go(row: Mail) -> purposes.Stop | None:
    """Cancel a reminder of a loan that was given back, taken back or extended meanwhile."""
    request = LoanerRequest.objects.filter(pk=row.bug_id, state=RequestState.ACTIVE).first()
    return None if request is not None and notices.is_of_due_date(row, request) else notices.NOT_WANTED_ANY_MORE


def letter_may_still_go(row: Mail) -> purposes.Stop | None:
    """Cancel the letter with the way to a machine that was taken back before it left."""
    request = LoanerRequest.objects.filter(pk=row.bug_id, state__in=rules.OUT).first()
    return None if request is not None else MACHINE_IS_BACK
