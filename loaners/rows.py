"""A request as a page may show it to one person: here its words and names are let through or kept back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ciduty import access
from ciduty.bugzilla.models import Visibility
from loaners.models import LoanerRequest
from loaners.rules import Standing


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


def rows_for(person, requests: Iterable[LoanerRequest], at: datetime) -> list[Row]:
    """Return the requests as this person may see them at a moment. Wants `bug` and `bug__text` selected."""
    reads_staff_words = access.may_read_staff_words(person)
    return [_row(request, at, reads_staff_words) for request in requests]


def _row(request: LoanerRequest, at: datetime, reads_staff_words: bool) -> Row:
    visibility = request.bug.visibility
    staff_only = visibility == Visibility.STAFF
    readable = visibility == Visibility.PUBLIC or (staff_only and reads_staff_words)
    text = getattr(request.bug, "text", None)
    standing, left = request.standing(at), request.left(at)
    if not readable or text is None:
        return Row(request, standing, left, readable=False, staff_only=staff_only)
    return Row(
        request,
        standing,
        left,
        readable=True,
        staff_only=staff_only,
        summary=text.summary or "(no summary)",
        requester=text.creator_name or text.creator,
        requester_login=text.creator,
        # nobody@ is the account that Bugzilla puts where nobody has taken the bug
        assignee="" if text.assignee.startswith("nobody@") else text.assignee_name or text.assignee,
    )
