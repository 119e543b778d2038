"""The front door for strangers, the desk for duty, the error pages and the health pages."""

from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from ciduty import access, clock
from ciduty.bugzilla.models import Visibility
from ciduty.desk import needs
from ciduty.desk.context import moment_of
from ciduty.desk.freshness import freshness
from ciduty.outbox import health
from ciduty.outbox.rules import State


@require_safe
def front_door(request):
    """Show the desk to CiDuty, their own things first to others, and counts without names to strangers."""
    at = moment_of(request)
    if access.may_see_desk(request.user):
        part = "desk/_sections.html" if request.htmx else "desk/desk.html"
        return render(request, part, {"sections": needs.sections(request.user, at), "freshness": freshness(at)})
    if request.user.is_authenticated:
        return redirect("loaner_requests")
    shown = {"counts": needs.counts(at), "doors": needs.doors(at), "freshness": freshness(at)}
    return render(request, "desk/front_door.html", shown)


@require_safe
def styleguide(request):
    """Show type, spacing, state colours and every component on one page."""
    samples = {"earlier": moment_of(request) - timedelta(hours=2), "length": timedelta(hours=2, minutes=5)}
    return render(request, "desk/styleguide.html", samples | {"visibilities": Visibility, "deliveries": State})


@require_safe
def livez(request):
    """Answer that this process runs."""
    return JsonResponse({"alive": True})


@require_safe
def readyz(request):
    """Answer 200 when the database answers, 503 when it does not."""
    try:
        clock.now()
    except DatabaseTrouble:  # a connection that broke off is an InterfaceError, which is no DatabaseError
        return JsonResponse({"ready": False, "why": "The database does not answer."}, status=503)
    return JsonResponse({"ready": True})


@require_safe
def healthz(request):
    """Answer how old the last poll, the oldest due row and the last tick are; numbers only.

    503 when Bugzilla has been silent for three polls, something due waits for over five minutes, or the tick is silent.
    """
    at = moment_of(request)
    bugzilla, outbox = freshness(at), health.state(at)
    answer = {
        "bugzilla": {
            "silent": bugzilla.silent,
            "seconds_since_last_poll": _seconds(at, bugzilla.heard_at),
            "blocked": bool(bugzilla.blocked),
        },
        "outbox": {
            "late": outbox.is_late,
            "seconds_oldest_due": outbox.oldest_due.total_seconds() if outbox.oldest_due is not None else None,
            "need_somebody": outbox.need_somebody,
        },
        "tick": {"silent": outbox.tick_is_silent, "seconds_since_last_tick": _seconds(at, outbox.tick_at)},
        "worker": {"seconds_since_last_task": _seconds(at, outbox.worker_at)},
    }
    well = not (bugzilla.silent or outbox.is_late or outbox.tick_is_silent)
    return JsonResponse(answer, status=200 if well else 503)


def _seconds(at, since):
    return (at - since).total_seconds() if since is not None else None


def csrf_failed(request, reason=""):
    """Say what to do when a form came without its token."""
    return render(request, "403.html", {"csrf": True}, status=403)


def forbidden(request, exception=None):
    """Say that this page is not for this role."""
    return render(request, "403.html", status=403)


def not_found(request, exception=None):
    """Say that there is no such page, or none that this person may see: the answer is the same."""
    return render(request, "404.html", status=404)


def server_error(request):
    """Say that something broke here; nothing of the page is asked of the database."""
    # Rendered without the request: the frame of a page asks the database who is signed in and what time it is.
    return HttpResponse(render_to_string("500.html", {"team": settings.CIDUTY_TEAM}), status=500)
