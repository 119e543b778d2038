"""What every page's frame shows: who is signed in, where they may go, the time, the demo's switcher."""

from django.conf import settings
from django.urls import reverse

from ciduty import __version__, access, clock, working_time
from ciduty.models import ClockOffset
from ciduty.outbox import health
from ciduty.people.roles import Role


def page_frame(request):
    """Return the frame of a page. The moment is asked once per request and is the one its view used."""
    person = getattr(request, "user", None)
    if person is None:
        return {}
    return {
        "public": False,  # the frame knows who looks; pages that are the same for everybody have another one
        "now": moment_of(request),
        "desk_opens_at": _desk_opens_at(moment_of(request)),
        "team": settings.CIDUTY_TEAM,
        "channel": settings.CIDUTY_CHANNEL,
        "ciduty_version": __version__,
        "bugzilla_url": settings.BUGZILLA_URL,
        "treestatus_url": settings.TREESTATUS_URL,
        "role": access.role_of(person),
        "navigation": _navigation(request, person),
        "may_ask_for_sync": access.may_ask_for_sync(person),
        "may_read_staff_words": access.may_read_staff_words(person),
        "demo_roles": [role for role in Role if role != Role.PUBLIC] if settings.DEMO else [],
        "demo_days_ahead": _days_ahead() if settings.DEMO else 0,
    }


def _days_ahead() -> int:
    """Return by how many days the demo's clock was moved."""
    seconds = ClockOffset.objects.filter(pk=1).values_list("seconds", flat=True).first() or 0
    return seconds // 86400


def _desk_opens_at(at):
    """Return when the clocks run on, or None while they run."""
    calendar = settings.CIDUTY_CALENDAR
    return None if working_time.is_working(calendar, at) else working_time.next_opening(calendar, at)


def moment_of(request):
    """Return the moment of this request: every rule and every figure on one page uses the same one."""
    if not hasattr(request, "moment"):
        request.moment = clock.now()
    return request.moment


def _navigation(request, person):
    pages = []
    if access.may_see_desk(person):
        pages.append(("Desk", "front_door", 0))
    if person.is_authenticated:
        pages.append(("Loaners", "loaner_requests", 0))
    pages.append(("Downtimes", "downtimes", 0))
    pages.append(("Trees", "trees", 0))
    pages.append(("Changes", "change_queue" if access.may_publish_changes(person) else "changes", 0))
    if access.may(person, "see systems"):
        pages.append(("Systems", "systems", 0))
    if access.may_see_machines(person):
        pages.append(("Machines", "machines", 0))
    if access.may_see_outbox(person):
        pages.append(("Outbox", "outbox", health.need_somebody()))
    if access.may_manage_people(person):
        pages.append(("People", "people", 0))
    links = [(label, reverse(name), need) for label, name, need in pages]
    return [(label, address, _is_here(request.path, address), need) for label, address, need in links]


def _is_here(path: str, address: str) -> bool:
    """Answer whether a page belongs to an entry of the navigation: it stands below it, or beside it in its room."""
    room = address.replace("/queue/", "/")
    return path == address or (address != "/" and path.startswith(room))
