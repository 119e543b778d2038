"""What a person may do with a request on its page now: the verbs, their forms, and what carries each out.

What is allowed in which state: `rules.py`; who may: `ciduty/access.py`. The page draws a button only from here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from django import forms
from django.conf import settings

from ciduty import access
from ciduty.outbox import post
from ciduty.states import NotAllowed
from ciduty.typed import OpForm
from loaners import lending, machines, reclaiming, requester, workflow
from loaners.forms import (
    ApproveForm,
    ChooseForm,
    DeclineForm,
    GrantForm,
    HandOverForm,
    HearBackForm,
    QuestionForm,
    UntilForm,
)
from loaners.models import Grant, LoanerRequest
from loaners.rules import HAS_MACHINE, MOVES, RequestState
from loaners.wishes import Wish

#: Whoever asked may do these with their own request.
OF_REQUESTER = ("hear back", "extend", "give back", "cancel")
#: Nobody but whoever asked does these.
OF_REQUESTER_ALONE = frozenset({"hear back"})
#: These say something in the bug, and nothing is said in a closed or restricted one from here.
SAID_IN_THE_BUG = frozenset({"ask for information", "hear back", "approve", "decline", "cancel"})


@dataclass(frozen=True)
class Deed:
    """One verb as a person does it: its form, what carries it out, and what is said when it was done."""

    verb: str
    address: str  # the name of its URL
    label: str
    form: type[forms.Form]
    do: Callable[[LoanerRequest, object, dict], object]
    said: str


def _with_op(function, **names):
    """Return what calls a verb of the workflow with the form's fields: parameter = name of the field."""

    def do(row, by, typed):
        return function(row, by=by, op=typed["op"], **{parameter: typed[name] for parameter, name in names.items()})

    return do


ON_ITS_WAY = "is on its way to Bugzilla; this page shows when Bugzilla has taken it."
#: In the order in which the work goes on.
DEEDS = {
    deed.verb: deed
    for deed in (
        Deed(
            "approve", "approve_loan", "Approve", ApproveForm, _with_op(workflow.approve, comment="words"),
            f"Approved: choose a machine next. The word of it {ON_ITS_WAY}",
        ),
        Deed(
            "ask for information", "ask_about_loan", "Ask the requester", QuestionForm,
            _with_op(workflow.ask_for_information, question="question"), f"Your question {ON_ITS_WAY}",
        ),
        Deed(
            "hear back", "answer_question", "Answer the question", HearBackForm,
            _with_op(workflow.hear_back, comment="words"), f"Your answer {ON_ITS_WAY}",
        ),
        Deed(
            "decline", "decline_loan", "Decline", DeclineForm, _with_op(workflow.decline, because="because"),
            f"Declined; the reason {ON_ITS_WAY}",
        ),
        Deed(
            "prepare", "prepare_loan", "Choose a machine", ChooseForm,
            lambda row, by, typed: lending.prepare(row, typed["machine"], by=by),
            "The machine is reserved: prepare it.",
        ),
        Deed(
            "hand over", "hand_over_loan", "Hand over", HandOverForm,
            _with_op(lending.hand_over, how_to="how_to", until="until"),
            f"Handed over. The letter leaves by mail, and the comment {ON_ITS_WAY}",
        ),
        Deed(
            "extend", "extend_loan", "Extend", UntilForm, _with_op(lending.extend, until="until"),
            f"Extended. The word of it {ON_ITS_WAY}",
        ),
        Deed(
            "give back", "give_back_loan", "Give the machine back", OpForm, _with_op(lending.give_back),
            "Given back, thank you. It is taken back from here; nothing else is left to do for you.",
        ),
        Deed(
            "reclaim", "reclaim_loan", "Begin to take it back", OpForm,
            lambda row, by, typed: reclaiming.reclaim(row, by=by), "It is being taken back: these are the steps.",
        ),
        Deed(
            "finish", "finish_loan", "Finish the loan", OpForm, _with_op(reclaiming.finish),
            "The loan is over, and the machine is back in the pool.",
        ),
        Deed(
            "cancel", "cancel_loan", "Take the request back", OpForm, _with_op(workflow.cancel),
            f"The request was taken back. The word of it {ON_ITS_WAY}",
        ),
    )
}  # fmt: skip


# --- who may do what now ----------------------------------------------------------------------------------------------


def is_own(person, row: LoanerRequest) -> bool:
    """Answer whether a request is this person's own. Two queries."""
    return requester.own(LoanerRequest.objects.filter(pk=row.pk), person).exists()


def may_do(person, verb: str, *, own: bool) -> bool:
    """Answer whether a person may ever do a verb with a request that is theirs, or not."""
    if own and verb in OF_REQUESTER:
        return True
    return access.may_lend_machines(person) and verb not in OF_REQUESTER_ALONE


def refuse_unless_allowed(verb: str, row: LoanerRequest) -> None:
    """Raise NotAllowed when the table forbids a verb in the state that the row was read in."""
    if not MOVES.allow(verb, row.state):
        state = row.get_state_display().lower()
        raise NotAllowed(f"The request of bug {row.pk} is {state} by now, so this was not done ({verb}).")


def is_typed(form: forms.Form) -> bool:
    """Answer whether a form has anything in it that somebody wrote or chose."""
    return bool(form.visible_fields())


def deeds_now(person, row: LoanerRequest, *, own: bool) -> list[Deed]:
    """Return what this person may do now: by their role, the table, and what may be said in the bug."""
    silent = workflow.why_not_answer(row)
    return [
        deed
        for verb, deed in DEEDS.items()
        if may_do(person, verb, own=own) and MOVES.allow(verb, row.state) and not (silent and verb in SAID_IN_THE_BUG)
    ]


# --- the forms as they are shown first --------------------------------------------------------------------------------


@dataclass
class Shown:
    """A verb on the page: its form, new or as somebody sent it."""

    deed: Deed
    form: forms.Form
    extra: dict = field(default_factory=dict)


def new_form(deed: Deed, row: LoanerRequest, wish: Wish, at, *, free=None) -> forms.Form:
    """Return a verb's form as it is shown first; `free`: the machines to choose from."""
    initial = {"op": post.new_op()}
    if deed.verb == "hand over":
        initial |= {"until": until_at_first(wish, at), "how_to": f"Host: {row.machine}\nWay in: {wish.access or 'SSH'}"}
    if deed.verb == "extend":
        initial["until"] = longer(row, at)
    if deed.verb == "prepare":
        return deed.form(initial=initial, machines=free or [])
    return deed.form(initial=initial)


def until_at_first(wish: Wish, at) -> date:
    """Return until when a loan is lent unless somebody says otherwise: what was asked for, else two weeks."""
    if wish.until and not lending.why_not_until(wish.until, at):
        return wish.until
    return _day(at) + timedelta(days=settings.CIDUTY_LOAN_DAYS)


def longer(row: LoanerRequest, at) -> date:
    """Return until when one click extends a loan: a loan's length from now, or from its end where that is later."""
    return min(lending.last_day(at), _day(max(at, row.due_at)) + timedelta(days=settings.CIDUTY_LOAN_DAYS))


def _day(at) -> date:
    return at.astimezone(settings.CIDUTY_CALENDAR.tzinfo).date()


def new_grant_form(row: LoanerRequest, wish: Wish, at) -> GrantForm:
    """Return the form for an access: to who asked, until the loan ends."""
    ends = _day(row.due_at) if row.due_at and row.due_at > at else until_at_first(wish, at)
    reason = f"Loan of {row.machine}, bug {row.pk}"
    who = requester.requester_of(row)
    return GrantForm(
        initial={"op": post.new_op(), "expires": ends, "reason": reason, "grantee": who.email or who.login or str(who)}
    )


def grant(row: LoanerRequest, form: GrantForm, by) -> Grant:
    """Write down the access that a form says."""
    typed = {name: form.cleaned_data[name] for name in ("what", "grantee", "reason")}
    return lending.grant(row, **typed, expires_at=form.expires_at, by=by)


def may_grant(row: LoanerRequest) -> bool:
    """Answer whether access is granted while the request is where it is."""
    return row.state in HAS_MACHINE - {RequestState.RECLAIMING}


def free_machines(machine_class) -> list:
    """Return the machines to choose from, the least harmful first: as many as a list bears."""
    return list(machines.candidates(machine_class)[:200])
