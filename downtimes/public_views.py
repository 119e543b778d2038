"""What everybody sees of downtimes without signing in: the list, one downtime, the calendar file. Shows, never decides.

The words come from `showing.py` alone.
"""

from datetime import datetime
from hashlib import sha256

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from ciduty import access
from ciduty.desk.context import moment_of
from ciduty.typed import MOST_ID
from downtimes import agreement, calendar, needs, rules, showing, timeline
from downtimes.models import Downtime
from downtimes.rules import State
from downtimes.run import topic
from downtimes.showing import Standing

PAGE = 20
MOST_PLANS = 50
LONGEST_SEARCH = 100
#: A calendar may be this many seconds old: what turns private is gone from it within one poll (five minutes).
CALENDAR_AGE = 60


@require_safe
def downtimes(request):
    """Show which downtimes run, come, were and were cancelled, and two weeks of them drawn."""
    at = moment_of(request)
    everything = showing.all_public_facts(at)
    asked = request.GET.get("q", "").replace("\0", "")[:LONGEST_SEARCH].strip()
    over = [one for one in reversed(everything) if one.standing in showing.PAST | {Standing.CANCELLED}]
    words = asked.lower().split()
    found = [one for one in over if one.has_words(words)]
    past = [one for one in found if one.standing in showing.PAST]
    context = {
        "running": [one for one in everything if one.standing in showing.RUNS],
        "planned": [one for one in everything if one.standing in showing.AHEAD],
        "page": Paginator(past, PAGE).get_page(request.GET.get("page")),
        "cancelled": [one for one in found if one.standing == Standing.CANCELLED][:PAGE],
        "asked": asked,
        "drawing": timeline.drawing(everything, at),
        "at": at,
        "is_empty": not everything,
        "plans": plans(request.user, at),
        "asks": agreement.waiting_for(request.user) if request.user.is_authenticated else [],
        "may_plan": access.may_plan_downtimes(request.user),
        "topic": topic.topic_line(at) if access.may_run_downtimes(request.user) else "",
        "may_keep_lists": access.may_keep_lists_and_approvers(request.user),
    }
    return render(request, "downtimes/public/list.html", context)


def plans(person, at: datetime) -> list[Downtime]:
    """Return the downtimes that are not over, for those who may see plans; nothing for everybody else.

    What was announced and never begun stays for a week: somebody has to call it off.
    """
    if not access.may_see_downtime_plans(person):
        return []
    planned = Downtime.objects.filter(state__in=rules.PLANNED | rules.UNDER_WAY)
    planned = planned.exclude(state=State.ANNOUNCED, ends_at__lte=at - needs.LAPSED_FOR)
    return list(planned.order_by("starts_at", "pk")[:MOST_PLANS])


@require_safe
def downtime(request, downtime_id):
    """Show one downtime, in the words that were announced last."""
    if downtime_id > MOST_ID:
        raise Http404
    row = get_object_or_404(Downtime.objects.public(), pk=downtime_id)
    facts = showing.public_facts(row, moment_of(request))
    if facts is None:
        raise Http404
    context = {"facts": facts, "sees_plan": access.may_see_downtime_plans(request.user)}
    return render(request, "downtimes/public/downtime.html", context)


@require_safe
def downtimes_calendar(request):
    """Give the calendar file: the same for everybody, so anybody may keep it for a minute."""
    body = calendar.calendar(showing.all_public_facts(moment_of(request)))
    response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
    response.headers["Content-Disposition"] = 'inline; filename="downtimes.ics"'
    response.headers["Cache-Control"] = f"public, max-age={CALENDAR_AGE}"
    response.headers["ETag"] = f'"{sha256(body).hexdigest()[:32]}"'
    return get_conditional_response(request, etag=response.headers["ETag"], response=response)
