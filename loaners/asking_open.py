"""What somebody has asked for and not got yet, or got and not given back: one machine at a time is the rule."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import reverse

from ciduty.bugzilla.models import Bug
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from loaners import requester, rules
from loaners.models import Application, LoanerRequest
from loaners.wishes import wishes_of

#: Why the outbox files bugs for us.
FILE = "loaners: ask"
#: Whoever has more open than this sees the newest.
MOST_OPEN = 20


@dataclass(frozen=True)
class OpenRequest:
    """A request or loan of somebody that is not over. `machine_class` is "" where nobody knows it."""

    machine_class: str
    state: str
    address: str
    bug_id: int | None = None
    machine: str = ""


def still_open(person) -> list[OpenRequest]:
    """Return what a person has asked for and not got or not given back, the newest first."""
    found = [
        OpenRequest(str(one.machine_class), "on its way to Bugzilla", _address(one))
        for one in _not_mirrored(person).order_by("-pk")[:MOST_OPEN]
    ]
    mine = requester.own(LoanerRequest.objects.select_related("bug", "bug__text", "machine__machine_class"), person)
    requests = [one for one in mine.exclude(state__in=rules.OVER).order_by("-opened_at")[:MOST_OPEN] if _is_open(one)]
    wishes = wishes_of(requests) if requests else {}
    for request in requests:
        wanted = request.machine.machine_class if request.machine else wishes[request.pk].machine_class
        found.append(
            OpenRequest(
                machine_class=str(wanted or ""),
                state=request.get_state_display().lower(),
                address=reverse("loaner_request", args=[request.pk]),
                bug_id=request.pk,
                machine=str(request.machine or ""),
            )
        )
    return found[:MOST_OPEN]


def _is_open(request: LoanerRequest) -> bool:
    return request.closed_at is None or request.state in rules.HAS_MACHINE


def _not_mirrored(person):
    """Applications that are no request yet: not filed, or filed a moment ago; less those that were cancelled."""
    mine = Application.objects.filter(person=person).select_related("machine_class")
    cancelled = BugUpdate.objects.filter(purpose=FILE, state=State.CANCELLED, by=person).values("pk")
    filed = mine.exclude(bug_id=None).filter(bug_id__in=Bug.objects.values("pk")).values("pk")
    return mine.exclude(update_id__in=cancelled).exclude(pk__in=filed)


def _address(application: Application) -> str:
    return reverse("loaner_application", args=[application.pk])


def warning_of(open_requests: Iterable[OpenRequest]) -> str:
    """Return why one should think before asking again, as a sentence, or ""."""
    open_requests = list(open_requests)
    if not open_requests:
        return ""
    classes = sorted({one.machine_class for one in open_requests if one.machine_class})
    count = "a request or loan" if len(open_requests) == 1 else f"{len(open_requests)} requests or loans"
    what = f" ({', '.join(classes)})" if classes else ""
    return (
        f"You have {count} open{what}, and one machine at a time is the rule: tick the box if you need another one "
        "nevertheless."
    )
