"""What stands on the page of one request, as one person may see it: facts, clock, work, verbs. Decides nothing."""

import hashlib

from django.conf import settings
from django.http import Http404
from django.shortcuts import get_object_or_404

from ciduty import access, clock, working_time
from ciduty.bugzilla.models import Visibility
from ciduty.desk.context import moment_of
from ciduty.desk.freshness import freshness
from ciduty.outbox import as_sent, changes, composing, post
from ciduty.outbox.rows import messages_of
from ciduty.people.models import ciduty_logins, logins_of
from ciduty.record.timeline import timeline
from loaners import (
    agreeing,
    checklists,
    lending,
    loan_verbs,
    machines,
    notices,
    queue,
    reclaiming,
    requester,
    rules,
    sync,
    workflow,
)
from loaners.forms import AnswerForm
from loaners.models import ListKind, LoanerRequest, MachineClass
from loaners.rows import rows_for
from loaners.rules import MOVES, RequestState
from loaners.wishes import Wish, wish_of

MOST_BUG = 2**31 - 1
INTERVALS = 60
#: What the record says of steps and access: for those who do them and for managers (safety.md C2).
WORK = frozenset({"step done", "step checked", "step undone", "access granted", "access revoked"})
#: While it is in these states, the steps of this list are done.
STEPS_IN = {RequestState.PREPARING: ListKind.PREPARE, RequestState.RECLAIMING: ListKind.RECLAIM}


def visible_or_404(person, bug_id: int) -> LoanerRequest:
    """Return a request that this person may know of. Raises Http404 for any other, as for one that does not exist."""
    if bug_id > MOST_BUG:
        raise Http404
    return get_object_or_404(queue.visible(person), pk=bug_id)


def parts(request, row: LoanerRequest) -> dict:
    """Return what the page says of a request: all of it refreshes itself, and none of it is typed into."""
    at = moment_of(request)
    [shown] = rows_for(request.user, [row], at)
    about = workflow.about(row.pk)
    lends, sees_work = access.may_lend_machines(request.user), access.may_see_every_loaner_request(request.user)
    steps, grants = list(row.steps.select_related("done_by", "checked_by")), list(row.grants.all())
    return {
        "row": row,
        "shown": shown,
        "standing": shown.standing,
        "freshness": freshness(at),
        "wish": wish_of(row) if shown.readable else None,
        "place": queue.place_of(row),
        "person_page": _person_page(request.user, row) if shown.readable else None,
        "disagreement": agreeing.disagreement(row) if access.may_see_every_loaner_request(request.user) else "",
        "with_the_bug": agreeing.way_with_the_bug(row) if lends else "",
        "may_reclaim": lends and MOVES.allow("reclaim", row.state),
        "settle_op": post.new_op(),
        "lends": lends,
        "sees_work": sees_work,
        "steps": steps,
        # whoever works through a list sees it where it is worked on
        "steps_to_read": [step for step in steps if not (lends and step.kind == STEPS_IN.get(row.state))],
        "grants": grants,
        "seen": _seen(row, steps, grants),
        "messages_of_it": messages_of(about, request.user),
        "timeline": timeline(about, without=() if sees_work else WORK),
        "may_answer": access.may_answer_loaner_requests(request.user),
        "why_not_answer": workflow.why_not_answer(row),
        "may_hold_back": access.may_release_words(request.user) and shown.readable,
        "may_release": access.may_release_words(request.user)
        and row.bug.held_back
        and row.bug.offered != Visibility.RESTRICTED,
    } | _clock(row, at)


def _clock(row: LoanerRequest, at) -> dict:
    """Return every interval that the clock counted, and why it paused."""
    events = sync.events_of([row.pk], ciduty_logins()).get(row.pk, [])
    calendar = settings.CIDUTY_CALENDAR
    ended = row.answered_at or row.closed_at or at
    pauses = [pause for pause in rules.pauses(events, until=at) if pause.start < ended]
    counted = working_time.working_intervals(calendar, row.opened_at, ended, pauses)
    return {
        "events": events,
        "ended": ended,
        "intervals": counted[-INTERVALS:],
        "intervals_left_out": max(0, len(counted) - INTERVALS),
        "counted": working_time.working_time(calendar, row.opened_at, ended, pauses),
        "promise": calendar.working_day * rules.WORKING_DAYS_TO_ANSWER,
        "pauses": pauses,
        "calendar": calendar,
        "answered_here": row.answers_here.filter(at=row.answered_at).select_related("by").first(),
    }


def _person_page(person, row: LoanerRequest):
    """Return whose loans and grants may be looked at from here, or None."""
    who = requester.requester_of(row).person
    return who if who is not None and (who == person or access.may_see_every_loaner_request(person)) else None


def _seen(row: LoanerRequest, steps, grants) -> str:
    """Return what two looks at a request have in common only if the same can be done with it."""
    facts = [row.state, row.machine_id, row.due_at, row.bug.is_open, row.bug.visibility, row.answered_at is None]
    facts += [(step.pk, step.done_at, step.checked_at) for step in steps]
    facts += [(grant.pk, grant.revoked_at) for grant in grants]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


# --- what can be done -------------------------------------------------------------------------------------------------


def whole(request, row: LoanerRequest, **typed) -> dict:
    """Return everything of the page. `typed`: what somebody sent and gets back, with what is wrong with it.

    `answer`, `verb` with `form`, `step` with `form`, `grant` with `form`; `preview`: what would be sent.
    """
    context = parts(request, row) | {"preview": typed.pop("preview", None)}
    lends, at = context["lends"], moment_of(request)
    wish = context["wish"] or Wish()
    own = loan_verbs.is_own(request.user, row)
    context |= {"own": own, "typed": typed, "has_problem": _has_problem(typed), "now_steps": STEPS_IN.get(row.state)}
    deeds = loan_verbs.deeds_now(request.user, row, own=own)
    context["can"] = {deed.address: _shown(deed, request, row, wish, at, typed) for deed in deeds}
    context["why_silent"] = _why_silent(row, lends or own, context["why_not_answer"])
    if context["may_answer"] and not row.closed_at and not context["why_not_answer"]:
        context["answer"] = typed.get("answer") or _answer_form(request.user)
    if lends and loan_verbs.may_grant(row):
        context["grant_form"] = typed["form"] if "grant" in typed else loan_verbs.new_grant_form(row, wish, at)
    context["lacking"] = _lacking(row) if lends else []
    return context


def _has_problem(typed: dict) -> bool:
    form = typed.get("answer") or typed.get("form")
    return form is not None and bool(form.errors)


def _answer_form(person) -> AnswerForm:
    return AnswerForm(initial={"op": post.new_op()}, person=person, logins=sorted(logins_of(person)))


def _why_silent(row: LoanerRequest, acts: bool, why_not: str) -> str:
    """Return why verbs are missing that the state alone would allow, as a sentence, or ""."""
    if not acts or not why_not:
        return ""
    return why_not if any(MOVES.allow(verb, row.state) for verb in loan_verbs.SAID_IN_THE_BUG) else ""


def _lacking(row: LoanerRequest) -> list[str]:
    """Return what is missing before the loan goes on from a list of steps."""
    if row.state == RequestState.PREPARING:
        return checklists.missing(row, ListKind.PREPARE)
    return reclaiming.why_not_finish(row) if row.state == RequestState.RECLAIMING else []


def _shown(deed, request, row, wish, at, typed: dict) -> loan_verbs.Shown:
    extra = {}
    if deed.verb == "prepare":
        extra = _choice(request, wish)
    if deed.verb == "approve":
        extra = {"otherwise": notices.approved()}
    if deed.verb == "hand over":
        extra = {"letter_to": requester.requester_of(row).email}
    if typed.get("verb") == deed.verb:
        return loan_verbs.Shown(deed, typed["form"], extra | {"tried": True})
    return loan_verbs.Shown(deed, loan_verbs.new_form(deed, row, wish, at, free=extra.get("free")), extra)


def _choice(request, wish: Wish) -> dict:
    """Return the classes, the one that is looked at, its free machines, and why the first of them is suggested."""
    classes = list(MachineClass.objects.all())
    asked = request.GET.get("class", "") or request.POST.get("class", "")
    chosen = next((one for one in classes if one.name == asked), wish.machine_class)
    free = loan_verbs.free_machines(chosen) if chosen else []
    reason = machines.why_suggested(free[0]) if free else None
    return {"classes": classes, "class": chosen, "free": free, "reason": reason, "wanted": wish.machine_class}


# --- before anything is sent ------------------------------------------------------------------------------------------


def preview_of_hand_over(row: LoanerRequest, form, person) -> dict:
    """Return the public comment and the private letter as they will be sent."""
    due = lending.due_at_end_of(form.cleaned_data["until"])
    wants = {"comment": workflow.signed(notices.handed_over(row, due), person)}
    comment = changes.preview(wants, workflow.seen_before_answer(row), form.cleaned_data["op"], row.pk)
    to = requester.requester_of(row).email
    words = notices.letter(row, form.cleaned_data["how_to"], due)
    letter = {"to": to, "problem": ""} | words
    if to:
        try:
            made = composing.compose(
                **words, to=to, message_id=composing.new_message_id(), in_reply_to="", at=clock.now()
            )
        except composing.Unsendable as problem:
            letter["problem"] = str(problem)
        else:
            letter |= {"subject": made.subject, "text": as_sent.read(made.message).text}
    return {"comment": comment, "letter": letter}
