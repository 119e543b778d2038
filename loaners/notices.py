"""What we say about loans, and to whom: the words stand in templates/loaners/mail/ and here. No secret, ever.

No word of a bug either: what is said is the number, the host, days and our own sentences. So it may be said of a bug
that turned restricted, too.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.conf import settings
from django.template.loader import render_to_string

from ciduty.bugzilla.models import Visibility
from ciduty.outbox import post, purposes
from ciduty.outbox.models import Mail
from ciduty.outbox.rules import Priority, State
from loaners import rules
from loaners.models import LoanerRequest
from loaners.requester import requester_of
from loaners.rules import MachineState

LETTER = "loaners: letter"
REMINDER = "loaners: reminder"
MANAGER = "loaners: manager"
NOT_WANTED_ANY_MORE = purposes.Stop("The loan was extended or given back meanwhile.", for_good=True)
#: The third reminder and every one after it have the same aim; the count in them tells them apart.
REMINDER_TEMPLATES = ("soon", "today", "over")
FIRST_OVERDUE = len(REMINDER_TEMPLATES) - 1


# --- comments on the bug ----------------------------------------------------------------------------------------------


def approved() -> str:
    """Return the comment on a bug whose request was approved."""
    return "Your request is approved. We are choosing a machine and preparing it; you hear from us here."


def declined(because: str) -> str:
    """Return the comment on a bug whose request was declined."""
    return f"We cannot lend a machine for this: {because}"


def cancelled() -> str:
    """Return the comment on a bug whose request was taken back."""
    return "The request was taken back; no machine was prepared."


def handed_over(request: LoanerRequest, due_at: datetime) -> str:
    """Return the public comment at the hand-over: which host, until when, and where the rest is. No access data."""
    how = "How to reach it went to you by mail." if requester_of(request).email else "Ask us how to reach it."
    return (
        f"{request.machine} is yours until {day(due_at)}. {how} "
        f"To extend the loan or to give the machine back: {page_of(request)}"
    )


def extended(due_at: datetime) -> str:
    """Return the comment on a loan that was extended."""
    return f"The loan now ends on {day(due_at)}."


def given_back(request: LoanerRequest) -> str:
    """Return the comment on a machine that its borrower gave back."""
    return f"{request.machine} is given back; we take the access away and re-image it."


def reclaimed(request: LoanerRequest) -> str:
    """Return the comment on a machine that is taken back although nobody gave it back."""
    return f"We are taking {request.machine} back: the access to it ends now, and nothing on it is kept."


def finished(request: LoanerRequest) -> str:
    """Return the comment at the end of a loan, by what became of the machine."""
    what = "was terminated" if request.machine.machine_class.is_cloud else "was re-imaged and takes jobs again"
    if request.machine.state == MachineState.BROKEN:
        what = "came back and is out of use"
    if request.handed_over_at is None:
        return f"{request.machine} {what}; it was never handed over."
    return f"{request.machine} {what}; every access that was granted for the loan was taken away."


def day(at: datetime) -> str:
    """Write the day of a moment at the desk: Friday, 2026-12-04."""
    return f"{at.astimezone(settings.CIDUTY_CALENDAR.tzinfo):%A, %Y-%m-%d}"


def page_of(request: LoanerRequest) -> str:
    """Return the full address of a request's page. Its link shows; it never decides (design.md, decision 6)."""
    return f"{settings.SITE_URL}/loaners/{request.pk}/"


# --- mails ------------------------------------------------------------------------------------------------------------


def how_to_letter(request: LoanerRequest, how_to: str, due_at: datetime, *, by, op: str) -> Mail | None:
    """Write the private letter with the way to the machine; None, on the record, when nobody's address is known."""
    key = f"loaner {request.pk} how-to {op}"
    return _to_requester(request, LETTER, key, letter(request, how_to, due_at), by=by)


def letter(request: LoanerRequest, how_to: str, due_at: datetime) -> dict:
    """Return subject and text of the private letter, for the mail and its preview."""
    return _rendered("how_to", request, how_to=how_to, due=day(due_at))


def reminder(request: LoanerRequest, number: int, *, overdue_before: int, manager_told: bool) -> Mail | None:
    """Write the reminder of a number (0: three days ahead), of which there is one for each due date.

    `overdue_before` of this due date were overdue ones: the count keeps their texts apart. It goes until the next one
    is due. None, on the record, when nobody's address is known.
    """
    name = REMINDER_TEMPLATES[min(number, FIRST_OVERDUE)]
    nth = overdue_before + 1
    words = _rendered(f"reminder_{name}", request, due=day(request.due_at), nth=nth, manager_told=manager_told)
    key = f"{_due_date(request)} reminder {number}"
    until = rules.reminder_at(settings.CIDUTY_CALENDAR, request.due_at, number + 1)
    return _to_requester(request, REMINDER, key, words, priority=Priority.BULK, not_after=until)


def tell_manager(request: LoanerRequest, manager, number: int, unanswered: int) -> Mail:
    """Tell a manager that a borrower does not answer; `unanswered`: how many reminders went out, 0 for none could."""
    # Who borrowed it stands in the bug: a manager reads it only where everybody does.
    public = request.bug.visibility == Visibility.PUBLIC
    borrower = str(requester_of(request)) if public else ""
    return post.mail(
        key=f"{_due_date(request)} manager {manager.pk} {number}",
        purpose=MANAGER,
        about=request.about,
        to=manager.email,
        **_rendered("manager", request, due=day(request.due_at), unanswered=unanswered, borrower=borrower),
        not_after=rules.reminder_at(settings.CIDUTY_CALENDAR, request.due_at, number + 1),
        bug_id=request.pk,
    )


def reminders_of_due_date(request: LoanerRequest) -> list[int]:
    """Return the numbers of the reminders that were written for the due date of now, and not cancelled."""
    kept = Mail.objects.filter(about=request.about, purpose=REMINDER).exclude(state=State.CANCELLED)
    keys = kept.filter(key__startswith=f"{_due_date(request)} ").values_list("key", flat=True)
    return sorted(int(key.rpartition(" ")[2]) for key in keys)


def is_of_due_date(row: Mail, request: LoanerRequest) -> bool:
    """Answer whether a reminder speaks of the due date of now; an extension or another loan makes it an old one."""
    return row.key.startswith(f"{_due_date(request)} ")


def of_overdue(numbers: Iterable[int]) -> int:
    """Return how many of these reminders say that a loan is overdue."""
    return sum(number >= FIRST_OVERDUE for number in numbers)


def _due_date(request: LoanerRequest) -> str:
    """Return what the keys of mails about one due date of one loan begin with."""
    lent, due = (f"{at.astimezone(UTC):%Y%m%dT%H%M%S}" for at in (request.handed_over_at, request.due_at))
    return f"loaner {request.pk} lent {lent} due {due}"


def _to_requester(request, purpose: str, key: str, words: dict, *, by=None, **more) -> Mail | None:
    requester = requester_of(request)
    if not requester.email:
        post.nobody_told(request.about, "nobody’s mail address is known for who asked.", by=by)
        return None
    return post.mail(
        key=key, purpose=purpose, about=request.about, to=requester.email, by=by, bug_id=request.pk, **words, **more
    )


def _rendered(template: str, request: LoanerRequest, **words) -> dict:
    """Return subject and text: the template's first line is the subject. No template gets the bug or its words."""
    context = {
        "host": str(request.machine),
        "page": page_of(request),
        "bug": request.pk,
        "team": settings.CIDUTY_TEAM,
        "channel": settings.CIDUTY_CHANNEL,
    }
    subject, _, text = render_to_string(f"loaners/mail/{template}.txt", context | words).partition("\n")
    return {"subject": subject, "text": text.lstrip("\n")}
