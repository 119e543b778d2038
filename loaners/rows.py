"""A request as a page may show it to one person: here its words and names are let through or kept back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ciduty import access
from ciduty.bugzilla.models import Visibility
from ciduty.people.models import Person
from loaners.models import LoanerRequest
from loaners.requester import applicants, logins_known_of
from loaners.rules import DUE_SOON_DAYS, OUT, OVER, RequestState, Standing


@dataclass(frozen=True)
class Row:
    """One request on a page. Summary, requester and assignee are empty where this person may not read them."""

    request: LoanerRequest
    standing: Standing
    left: timedelta | None
    readable: bool
    staff_only: bool
    summary: str = ""
    requester: str = ""
    requester_login: str = ""
    assignee: str = ""
    due: Standing | None = None

    @property
    def state(self) -> RequestState:
        """Return where the request is in its life."""
        return RequestState(self.request.state)


def due_standing(request: LoanerRequest, at: datetime) -> Standing | None:
    """Return whether the machine of a loan is overdue, or due soon; None for neither. Derived, never stored."""
    if request.state not in OUT or request.due_at is None:
        return None
    if request.due_at < at:
        return Standing.OVERDUE
    return Standing.DUE_SOON if request.due_at - at <= DUE_SOON_DAYS else None


def rows_for(person, requests: Iterable[LoanerRequest], at: datetime) -> list[Row]:
    """Return the requests as this person may see them at a moment. Wants `bug` and `bug__text` selected."""
    reads_staff_words = access.may_read_staff_words(person)
    requests = list(requests)
    asked_here = applicants([request.pk for request in requests]) if requests else {}
    return [_row(request, at, reads_staff_words, asked_here.get(request.pk)) for request in requests]


def _row(request: LoanerRequest, at: datetime, reads_staff_words: bool, applicant: Person | None) -> Row:
    visibility = request.bug.visibility
    staff_only = visibility == Visibility.STAFF
    readable = visibility == Visibility.PUBLIC or (staff_only and reads_staff_words)
    text = getattr(request.bug, "text", None)
    standing, left, due = request.standing(at), request.left(at), due_standing(request, at)
    if request.state in OVER and request.answered_at is None:  # over here, and Bugzilla was not read since
        standing, left = Standing.CLOSED, None
    if not readable or text is None:
        return Row(request, standing, left, readable=False, staff_only=staff_only, due=due)
    return Row(
        request,
        standing,
        left,
        readable=True,
        staff_only=staff_only,
        summary=text.summary or "(no summary)",
        # what was asked for here was filed by the bot: who waits is who asked
        requester=str(applicant) if applicant else text.creator_name or text.creator,
        requester_login=", ".join(logins_known_of(applicant)) if applicant else text.creator,
        # nobody@ is the account that Bugzilla puts where nobody has taken the bug
        assignee="" if text.assignee.startswith("nobody@") else text.assignee_name or text.assignee,
        due=due,
    )
