"""The list of loaner requests and the page of one, with every counted interval."""

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from ciduty import access, working_time
from ciduty.bugzilla.models import Visibility
from ciduty.desk.context import moment_of
from ciduty.desk.freshness import freshness
from ciduty.people.models import logins_of
from loaners import rules
from loaners.models import LoanerRequest
from loaners.rows import rows_for

PAGE = 50
MOST_BUG = 2**31 - 1
SHOWN = {
    "waiting": "Waiting",
    "answered": "Answered",
    "closed": "Closed",
    "all": "All",
}


def visible_requests(person):
    """Return the requests this person may know of: all of them, or their own."""
    requests = LoanerRequest.objects.select_related("bug", "bug__text")
    if access.may_see_every_loaner_request(person):
        return requests
    return requests.of_logins(logins_of(person)).filter(bug__visibility=Visibility.PUBLIC)


@require_safe
def loaner_requests(request):
    """List the requests; for a developer their own, with their clock."""
    at = moment_of(request)
    shown = request.GET.get("show") if request.GET.get("show") in SHOWN else "waiting"
    everything = visible_requests(request.user)
    chosen = {
        "waiting": everything.unanswered().most_urgent_first(),
        "answered": everything.filter(closed_at=None).exclude(answered_at=None).order_by("-answered_at"),
        "closed": everything.exclude(closed_at=None).order_by("-closed_at"),
        "all": everything.order_by("-opened_at"),
    }[shown]
    page = Paginator(chosen, PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": rows_for(request.user, page, at),
        "shown": shown,
        "choices": SHOWN,
        "freshness": freshness(at),
        "own_only": not access.may_see_every_loaner_request(request.user),
        "logins": sorted(logins_of(request.user)),
    }
    return render(request, "loaners/_list.html" if request.htmx else "loaners/list.html", context)


@require_safe
def loaner_request(request, bug_id):
    """Show one request: how it stands, and every interval that its clock counted."""
    if bug_id > MOST_BUG:
        raise Http404
    row = get_object_or_404(visible_requests(request.user), pk=bug_id)
    at = moment_of(request)
    [shown] = rows_for(request.user, [row], at)
    events = list(row.bug.events.all())
    calendar = settings.CIDUTY_CALENDAR
    ended = row.answered_at or row.closed_at or at
    pauses = [pause for pause in rules.pauses(events, until=at) if pause.start < ended]
    counted = working_time.working_intervals(calendar, row.opened_at, ended, pauses)
    context = {
        "row": row,
        "shown": shown,
        "standing": shown.standing,
        "ended": ended,
        "intervals": counted[-60:],
        "intervals_left_out": max(0, len(counted) - 60),
        "counted": working_time.working_time(calendar, row.opened_at, ended, pauses),
        "promise": calendar.working_day * rules.WORKING_DAYS_TO_ANSWER,
        "pauses": pauses,
        "events": events,
        "calendar": calendar,
        "freshness": freshness(at),
        "may_hold_back": access.may_release_words(request.user) and shown.readable,
        "may_release": access.may_release_words(request.user)
        and row.bug.held_back
        and row.bug.offered != Visibility.RESTRICTED,
    }
    return render(request, "loaners/_detail.html" if request.htmx else "loaners/detail.html", context)
