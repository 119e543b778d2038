"""What people do with a request and its loan: one POST for each verb. What is shown and offered: `loan_page.py`."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from ciduty import access
from ciduty.desk.context import moment_of
from ciduty.outbox import changes
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from ciduty.people.models import Person, logins_of
from ciduty.states import NotAllowed
from ciduty.typed import BROKEN, MOST_ID, OpForm
from loaners import agreeing, lending, loan_page, loan_verbs, loans_of, workflow
from loaners.forms import AnswerForm, EvidenceForm, GrantForm
from loaners.loan_page import visible_or_404
from loaners.models import Grant, ListKind, LoanerRequest, Step
from loaners.rules import MOVES

WHY_PROOF = "Say what shows that it was done: a log line, a link, a listing. That is the proof."
WHY_GONE = "Say how you saw that the access is gone: that is the proof."


@require_POST
def answer(request, bug_id):
    """Answer a request from here, or show first what would be sent."""
    row = visible_or_404(request.user, bug_id)
    form = AnswerForm(request.POST, person=request.user, logins=sorted(logins_of(request.user)))
    refusal = workflow.why_not_answer(row)
    if refusal:
        messages.warning(request, refusal)
        return _back(row)
    if not form.is_valid():
        return _again(request, row, answer=form)
    op, take_as = form.cleaned_data["op"], form.take_as if form.cleaned_data.get("take") else ""
    if "preview" in request.POST:
        preview = changes.preview(form.wants, workflow.seen_before_answer(row), op, bug_id)
        return _page(request, row, answer=form, preview=preview)
    try:
        update = workflow.answer(row, by=request.user, comment=form.cleaned_data["comment"], take_as=take_as, op=op)
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    else:
        _say(
            request, update, "Your answer is on its way to Bugzilla; this page shows when Bugzilla has taken it.",
            "Your answer is written down and held.",
        )  # fmt: skip
    return _back(row)


@require_POST
def move(request, bug_id, verb):
    """Do one verb of the loan's life; hand-overs may be looked at first."""
    row, deed = visible_or_404(request.user, bug_id), loan_verbs.DEEDS[verb]
    if not loan_verbs.may_do(request.user, verb, own=loan_verbs.is_own(request.user, row)):
        raise PermissionDenied
    form = deed.form(request.POST)
    try:
        if not form.is_valid():
            loan_verbs.refuse_unless_allowed(verb, row)  # or the form would be mended for nothing
            return _again(request, row, verb=verb, form=form)
        if "preview" in request.POST and verb == "hand over":
            loan_verbs.refuse_unless_allowed(verb, row)
            preview = loan_page.preview_of_hand_over(row, form, request.user)
            return _page(request, row, verb=verb, form=form, preview=preview)
        done = deed.do(row, request.user, form.cleaned_data)
    except (NotAllowed, changes.Unwritable) as problem:
        row.refresh_from_db()
        if form.is_valid() and loan_verbs.is_typed(form) and MOVES.allow(verb, row.state):
            form.add_error(None, str(problem))  # it may still be done: what was typed stays
            return _again(request, row, verb=verb, form=form)
        messages.warning(request, str(problem))
    else:
        _say(request, done, deed.said, "It is written down and held.")
    return _back(row)


# --- steps ------------------------------------------------------------------------------------------------------------


@require_POST
def do_step(request, bug_id, step_id):
    """Write down that a step was done."""
    row, step = _step_or_404(request, bug_id, step_id)
    form = EvidenceForm(request.POST, required=WHY_PROOF if step.kind == ListKind.RECLAIM else "")
    return _with_proof(
        request, row, form, lambda proof: lending.do_step(step, by=request.user, evidence=proof), step=step
    )


@require_POST
def check_step(request, bug_id, step_id):
    """Write down the second look at a step."""
    row, step = _step_or_404(request, bug_id, step_id)
    return _with_proof(
        request, row, EvidenceForm(request.POST),
        lambda proof: lending.check_step(step, by=request.user, evidence=proof), step=step,
    )  # fmt: skip


@require_POST
def undo_step(request, bug_id, step_id):
    """Take a step back that was marked as done by mistake."""
    row, step = _step_or_404(request, bug_id, step_id)
    return _do(request, row, lambda: lending.undo_step(step, by=request.user))


def _step_or_404(request, bug_id: int, step_id: int) -> tuple[LoanerRequest, Step]:
    row = visible_or_404(request.user, bug_id)
    return row, _part_or_404(row.steps, step_id)


def _part_or_404(rows, number: int):
    if number > MOST_ID:
        raise Http404
    return get_object_or_404(rows, pk=number)


# --- access -----------------------------------------------------------------------------------------------------------


@require_POST
def grant_access(request, bug_id):
    """Write down an access that was given."""
    row, form = visible_or_404(request.user, bug_id), GrantForm(request.POST)
    if not loan_verbs.may_grant(row):
        messages.warning(request, "Access is granted only while a machine is prepared or out.")
        return _back(row)
    if not form.is_valid():
        return _again(request, row, grant="new", form=form)
    return _do(request, row, lambda: loan_verbs.grant(row, form, request.user))


@require_POST
def revoke_access(request, bug_id, grant_id):
    """Write down that an access was taken away, with the proof."""
    row = visible_or_404(request.user, bug_id)
    given: Grant = _part_or_404(row.grants, grant_id)
    form = EvidenceForm(request.POST, required=WHY_GONE)
    return _with_proof(
        request, row, form, lambda proof: lending.revoke(given, by=request.user, evidence=proof), revoke=given
    )


# --- where Bugzilla disagrees -----------------------------------------------------------------------------------------


@require_POST
def settle(request, bug_id, verb):
    """Reopen or resolve the bug, so that it agrees with the loan."""
    row, form = visible_or_404(request.user, bug_id), OpForm(request.POST)
    if not form.is_valid():
        messages.warning(request, BROKEN)
        return _back(row)
    try:
        done = agreeing.settle(row, verb, by=request.user, op=form.cleaned_data["op"])
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    else:
        _say(request, done, agreeing.ON_ITS_WAY.replace(" already", ""), "It is written down and held.")
    return _back(row)


# --- one person's -----------------------------------------------------------------------------------------------------


@require_safe
def of_person(request, person_id):
    """Show what one person has on loan and which access stands: one's own, and for CiDuty and managers anybody's."""
    if person_id > MOST_ID:
        raise Http404
    person = get_object_or_404(Person, pk=person_id)
    if person != request.user and not access.may_see_every_loaner_request(request.user):
        raise Http404
    return render(request, "loaners/person.html", loans_of.person(person, request.user, moment_of(request)))


# --- what came of it --------------------------------------------------------------------------------------------------


def _with_proof(request, row: LoanerRequest, form: EvidenceForm, verb, **where):
    if not form.is_valid():
        return _again(request, row, form=form, **where)
    return _do(request, row, lambda: verb(form.cleaned_data["evidence"]))


def _do(request, row: LoanerRequest, verb):
    """Do something that shows on the page by itself; a rule that forbids it speaks."""
    try:
        verb()
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    return _back(row)


def _say(request, done, said: str, held: str) -> None:
    if isinstance(done, BugUpdate) and done.state == State.HELD:
        messages.warning(request, f"{held} {done.last_words}")
    else:
        messages.success(request, said)


def _back(row: LoanerRequest):
    return redirect(reverse("loaner_request", args=[row.pk]) + "#now")


def _page(request, row: LoanerRequest, status: int = 200, **typed):
    return render(request, "loaners/detail.html", loan_page.whole(request, row, **typed), status=status)


def _again(request, row: LoanerRequest, **typed):
    """Show the page again with what was typed and what is wrong with it; nothing was saved."""
    return _page(request, row, status=422, **typed)
