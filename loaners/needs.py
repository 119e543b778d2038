"""What the desk shows of loaners: who waits, since when, answer by, time left; and the counts for the front door."""

from datetime import datetime

from django.urls import reverse

from ciduty.desk.needs import Section
from loaners.models import LoanerRequest
from loaners.rows import rows_for

ROWS = 50


def section(person, at: datetime) -> Section:
    """Return the unanswered requests at a moment, the most urgent first."""
    waiting = LoanerRequest.objects.unanswered()
    rows = waiting.most_urgent_first().select_related("bug", "bug__text")[:ROWS]
    return Section(
        title="Waiting for an answer",
        template="loaners/_waiting.html",
        rows=rows_for(person, rows, at),
        total=waiting.count(),
        more_at=reverse("loaner_requests"),
    )


def counts(at: datetime) -> list[tuple[str, int]]:
    """Return how many wait, and how many of them longer than promised."""
    return [
        ("loaner requests waiting for an answer", LoanerRequest.objects.unanswered().count()),
        ("of them waiting longer than one working day", LoanerRequest.objects.overdue(at).count()),
    ]
