"""Preparing a machine and lending it, one function for each verb. What is allowed: `rules.py`, `checklists.py`."""

from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import transaction

from ciduty import clock, working_time
from ciduty.bugzilla.models import Visibility
from ciduty.record import write
from ciduty.states import NotAllowed
from loaners import change_events, checklists, machines, notices, rules, tracking, workflow
from loaners.models import Grant, ListKind, LoanerRequest, Machine, Step
from loaners.rules import RequestState

#: No source says how long a loan lasts (domain.md, chapter 1): two weeks, a setting; nobody extends beyond a quarter.
LONGEST = timedelta(days=92)
#: Alone at night, the second look is by the same person "later" (the issue): a look a second after is no second look.
ALONE_AFTER = timedelta(minutes=10)


def due_at_end_of(day: date) -> datetime:
    """Return when a loan until that day is due: when the desk closes, in UTC. Open over midnight: the next morning."""
    calendar = settings.CIDUTY_CALENDAR
    closes = datetime.combine(day, calendar.opens) + calendar.working_day
    return closes.replace(tzinfo=calendar.tzinfo).astimezone(UTC)


def last_day(at: datetime) -> date:
    """Return the last day until which a machine may be lent at a moment."""
    return at.astimezone(settings.CIDUTY_CALENDAR.tzinfo).date() + LONGEST


def why_not_until(day: date, at: datetime) -> str:
    """Return why a loan cannot last until a day, as a sentence, or ""."""
    if due_at_end_of(day) <= at:
        return f"{day} is over already: a loan ends on a day to come."
    if day > last_day(at):
        return (
            f"{day} is too far ahead: a loan lasts {LONGEST.days} days at most, until {last_day(at)}, and can be "
            "extended again then."
        )
    return ""


# --- preparing --------------------------------------------------------------------------------------------------------


@transaction.atomic
def prepare(request: LoanerRequest, machine: Machine, *, by) -> None:
    """Choose a machine for an approved request: it is reserved, and the steps of its class begin.

    Raises NotAllowed when the request moved on, or the machine is no longer free.
    """
    done = workflow.done_before(request, "prepare", by)
    if done is not None and done.machine_id == machine.pk:
        return
    workflow.begin(request, "prepare")
    machines.reserve(machine, request, by)
    caused = tracking.lent(request, machine, by)
    sentence = f"{machine} was chosen and is being prepared"
    workflow.move(request, "prepare", sentence, by=by, caused=caused, machine=machine)
    checklists.begin(request, ListKind.PREPARE)


@transaction.atomic
def do_step(step: Step, *, by, evidence: str = "") -> None:
    """Write down that a step was done, by whom, when, and the proof. Pressed twice, it is done once."""
    step = _open_step(step)
    if step.done_at is not None:
        if step.done_by_id == by.pk:
            return
        raise NotAllowed(f"This step was done already, by {step.done_by}: {step.text}")
    Step.objects.filter(pk=step.pk).update(done_at=clock.now(), done_by=by, evidence=evidence.strip())
    write.entry(step.request.about, "step done", f"Done: {step.text}", by=by)


@transaction.atomic
def check_step(step: Step, *, by, evidence: str = "") -> None:
    """Write down the second look at a step: by another person, or, alone at night, by the same one with a proof."""
    step, evidence, at = _open_step(step), evidence.strip(), clock.now()
    if step.done_at is None:
        raise NotAllowed(f"Nobody has done this step yet: {step.text}")
    if step.checked_at is not None:
        if step.checked_by_id == by.pk:
            return
        raise NotAllowed(f"{step.checked_by} has looked at this step already: {step.text}")
    alone = step.done_by_id == by.pk
    if alone:
        refusal = _why_not_alone(step, evidence, at)
        if refusal:
            raise NotAllowed(refusal)
    Step.objects.filter(pk=step.pk).update(checked_at=at, checked_by=by, check_evidence=evidence)
    how = "Looked at a second time, alone" if alone else "Looked at a second time"
    write.entry(step.request.about, "step checked", f"{how}: {step.text}", by=by)


def _why_not_alone(step: Step, evidence: str, at: datetime) -> str:
    if working_time.is_working(settings.CIDUTY_CALENDAR, at):
        return "You did this step yourself: in working hours somebody else takes the second look."
    if not evidence:
        return "Alone, the second look needs a proof: say what you saw (a listing, a log, a ticket)."
    if at < step.done_at + ALONE_AFTER:
        return (
            f"Alone, the second look comes later than the first: look again after {step.done_at + ALONE_AFTER:%H:%M} "
            "UTC."
        )
    return ""


@transaction.atomic
def undo_step(step: Step, *, by) -> None:
    """Take a step back that was marked as done by mistake; the record keeps both."""
    step = _open_step(step)
    if step.done_at is None:
        raise NotAllowed(f"This step is not done: {step.text}")
    Step.objects.filter(pk=step.pk).update(
        done_at=None, done_by=None, evidence="", checked_at=None, checked_by=None, check_evidence=""
    )
    write.entry(step.request.about, "step undone", f"Not done after all: {step.text}", by=by)


def _open_step(step: Step) -> Step:
    """Lock the loan of a step whose work is under way, and return it as it is now. Raises NotAllowed when it is not.

    The loan first: whoever hands over or finishes has looked at all steps, and none may change under their hands.
    """
    request = LoanerRequest.objects.select_for_update().get(pk=step.request_id)
    wanted = RequestState.PREPARING if step.kind == ListKind.PREPARE else RequestState.RECLAIMING
    if request.state != wanted:
        raise NotAllowed(
            f"The steps of this list are closed: the request is {request.get_state_display().lower()} by now."
        )
    return Step.objects.select_related("request", "done_by", "checked_by").get(pk=step.pk)


# --- access -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def grant(request: LoanerRequest, *, what: str, grantee: str, reason: str, expires_at: datetime, by) -> Grant:
    """Write down an access that was given: every grant ends by itself in a step of taking back.

    The same one again, while it stands, is the one that is there.
    """
    workflow.lock(request)
    if request.state not in rules.HAS_MACHINE - {RequestState.RECLAIMING}:
        raise NotAllowed("Access is granted only while a machine is prepared or out.")
    at = clock.now()
    if expires_at <= at:
        raise NotAllowed("A grant that is over already is none: choose a later end.")
    same = request.grants.filter(what=what, grantee=grantee, expires_at=expires_at, revoked_at=None).first()
    if same is not None:
        return same
    made = Grant.objects.create(
        request=request, what=what, grantee=grantee, reason=reason, granted_at=at, granted_by=by, expires_at=expires_at
    )
    write.entry(request.about, "access granted", f"Access granted until {notices.day(expires_at)} ({made})", by=by)
    return made


@transaction.atomic
def revoke(given: Grant, *, by, evidence: str) -> None:
    """Write down that an access was taken away, and the proof."""
    given = Grant.objects.select_for_update(of=("self",)).select_related("request", "revoked_by").get(pk=given.pk)
    if given.revoked_at is not None:
        if given.revoked_by_id == by.pk:
            return
        raise NotAllowed(f"This access was taken away already, by {given.revoked_by}.")
    if not evidence.strip():
        raise NotAllowed("Say how you saw that the access is gone: that is the proof.")
    Grant.objects.filter(pk=given.pk).update(revoked_at=clock.now(), revoked_by=by, evidence=evidence.strip())
    write.entry(given.request.about, "access revoked", f"Access taken away ({given})", by=by)


# --- the loan ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def hand_over(request: LoanerRequest, *, by, how_to: str, until: date, op: str) -> None:
    """Hand the machine over: a private letter with the way to it, a public comment without; the due date begins.

    Raises NotAllowed while a step of preparing is missing: above all, secrets cleaned and looked at a second time.
    """
    if workflow.begin(request, "hand over", op) is not None:
        return
    at = clock.now()
    refusal = _why_not_hand_over(request, how_to) or why_not_until(until, at)
    if refusal:
        raise NotAllowed(refusal)
    due = due_at_end_of(until)
    machines.lend(request.machine, request, by)
    comment = {"comment": workflow.signed(notices.handed_over(request, due), by)}
    told = workflow.tell_bug_of_loan(request, "hand over", comment, by=by, op=op)
    letter = notices.how_to_letter(request, how_to, due, by=by, op=op)
    sentence = f"{request.machine} was handed over until {notices.day(due)}"
    caused = [*told, *filter(None, [letter])]
    dates = {"handed_over_at": at, "due_at": due, "reminded": _reminders_behind(due, at)}
    workflow.move(request, "hand over", sentence, by=by, caused=caused, op=op, **dates)
    change_events.handed_over(request, request.machine, at)


def _why_not_hand_over(request: LoanerRequest, how_to: str) -> str:
    lacking = checklists.missing(request, ListKind.PREPARE)
    if lacking:
        return "It cannot be handed over yet. Still missing: " + "; ".join(lacking) + "."
    if not how_to.strip():
        return "Say how to reach the machine: the letter is the only way in which they hear it."
    if request.bug.visibility != Visibility.RESTRICTED and not request.bug.is_open:
        return workflow.why_not_answer(request)
    return ""


def _reminders_behind(due: datetime, at: datetime) -> int:
    """Return the number of the last reminder whose moment lies behind a due date just made, -1 for none."""
    return rules.reminders_due(settings.CIDUTY_CALENDAR, due, at) - 1


@transaction.atomic
def extend(request: LoanerRequest, *, by, until: date, op: str) -> None:
    """Extend a loan; its borrower may do it, and CiDuty."""
    if workflow.begin(request, "extend", op) is not None:
        return
    at, due = clock.now(), due_at_end_of(until)
    refusal = why_not_until(until, at)
    if not refusal and due <= request.due_at:
        refusal = f"The loan lasts until {notices.day(request.due_at)} already: choose a later day."
    if refusal:
        raise NotAllowed(refusal)
    comment = {"comment": workflow.signed(notices.extended(due), by)}
    told = workflow.tell_bug_of_loan(request, "extend", comment, by=by, op=op)
    dates = {"due_at": due, "reminded": _reminders_behind(due, at), "extensions": request.extensions + 1}
    workflow.move(request, "extend", f"Extended until {notices.day(due)}", by=by, caused=told, op=op, **dates)


@transaction.atomic
def give_back(request: LoanerRequest, *, by, op: str) -> None:
    """Give a machine back: its borrower is done with it, and CiDuty takes it back."""
    if workflow.begin(request, "give back", op) is not None:
        return
    comment = {"comment": workflow.signed(notices.given_back(request), by)}
    told = workflow.tell_bug_of_loan(request, "give back", comment, by=by, op=op)
    workflow.move(request, "give back", f"{request.machine} was given back", by=by, caused=told, op=op)
