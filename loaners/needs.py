"""What the desk shows of loaners: who waits, what to prepare or take back, who is late; counts for the front door."""

from datetime import datetime

from django.urls import reverse

from ciduty.desk.needs import Section
from loaners import queue
from loaners.models import LoanerRequest
from loaners.rows import rows_for

ROWS = 50
#: Tab of the list -> what the desk calls it. They take room only where there is something.
LATER = {
    "disagreeing": "Bugzilla disagrees",
    "overdue": "Overdue loans",
    "back": "Given back, to be taken back",
    "prepare": "To prepare",
}


def section(person, at: datetime) -> list[Section]:
    """Return the unanswered requests, the most urgent first, and what else waits for CiDuty at a moment."""
    tabs = queue.tabs_of_ciduty(at)
    looked_at = {name: tabs[name] for name in ("waiting", *LATER)}
    counts = queue.counts(LoanerRequest.objects.all(), looked_at)
    found = [_section("waiting", "Waiting for an answer", "loaners/_waiting.html", looked_at, counts, person, at)]
    for name, title in LATER.items():
        if counts[name]:
            found.append(_section(name, title, "loaners/_loans.html", looked_at, counts, person, at))
    return found


def _section(name, title, template, tabs, counts, person, at) -> Section:
    requests = LoanerRequest.objects.select_related("bug", "bug__text", "machine")
    rows = requests.filter(tabs[name].which).order_by(*tabs[name].order)[:ROWS]
    return Section(
        title=title,
        template=template,
        rows=rows_for(person, rows, at),
        total=counts[name],
        more_at=f"{reverse('loaner_requests')}?show={name}",
    )


def counts(at: datetime) -> list[tuple[str, int]]:
    """Return how many wait, and how many of them longer than promised."""
    waiting = LoanerRequest.objects.filter(queue.UNANSWERED)
    all_of_them = waiting.count()
    return [
        (f"loaner request{'' if all_of_them == 1 else 's'} waiting for an answer", all_of_them),
        ("of them waiting longer than one working day", waiting.overdue(at).count()),
    ]
