"""Who agreed to a downtime, asking for it, and answering: signed in, or with the code of one's mail. Rules decide.

A link shows and never decides: GET, HEAD and OPTIONS change nothing (design.md, decision 6; safety.md C4).
"""

from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ciduty.desk.context import moment_of
from ciduty.people import throttle
from ciduty.states import NotAllowed
from ciduty.typed import MOST_ID, OpForm
from downtimes import agreement_page, answering, asking_to_agree, sign_off
from downtimes.agreement_forms import AnswerForm, SettleForm, SignOffForm
from downtimes.answering import Standing
from downtimes.models import Answer, Ask, Downtime

OLD_FORM = "This form is no longer whole: nobody was asked. Press the button on this page."


# --- duty's side ------------------------------------------------------------------------------------------------------


@require_safe
def downtime_agreement(request, downtime_id):
    """Show who was asked as what, what they said to which version, who is missing, and how much time is left."""
    return _agreement(request, _downtime_or_404(downtime_id))


@require_POST
def ask_workers(request, downtime_id):
    """Freeze the notice and ask the workers."""
    return _ask(request, downtime_id, asking_to_agree.ask_workers, "The workers")


@require_POST
def ask_pre_approvers(request, downtime_id):
    """Ask the pre-approvers about the version that the workers agreed to."""
    return _ask(request, downtime_id, asking_to_agree.ask_pre_approvers, "The pre-approvers")


def _ask(request, downtime_id: int, verb, who: str):
    downtime = _downtime_or_404(downtime_id)
    form = OpForm(request.POST)
    if not form.is_valid():
        messages.warning(request, OLD_FORM)
        return redirect("downtime_agreement", downtime.pk)
    try:
        version = verb(downtime, by=request.user, op=form.cleaned_data["op"])
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    else:
        messages.success(request, f"{who} are asked about version {version.number}, each by a mail of their own.")
    return redirect("downtime_agreement", downtime.pk)


@require_POST
def settle_question(request, downtime_id, answer_id):
    """Answer a question, so that it blocks no more; the words go to who asked it."""
    downtime = _downtime_or_404(downtime_id)
    answers = Answer.objects.filter(version__downtime=downtime).select_related("version__downtime", "approver")
    answer = get_object_or_404(answers, pk=_number(answer_id))
    form = SettleForm(request.POST, auto_id=f"settle-{answer.pk}-%s")
    if not form.is_valid():
        return _agreement(request, downtime, settle=answer, form=form, status=422)
    try:
        answering.settle(answer, form.cleaned_data["words"], by=request.user)
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    else:
        messages.success(request, f"{answer.approver} gets your answer by mail.")
    return redirect("downtime_agreement", downtime.pk)


def _agreement(request, downtime: Downtime, status: int = 200, **typed):
    context = agreement_page.whole(request.user, downtime, moment_of(request), **typed)
    return render(request, "downtimes/agreement/agreement.html", context, status=status)


def _downtime_or_404(downtime_id: int) -> Downtime:
    return get_object_or_404(Downtime, pk=_number(downtime_id))


def _number(number: int) -> int:
    if number > MOST_ID:
        raise Http404
    return number


# --- the side of who was asked ----------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def sign_off_page(request, token):
    """Show one person the draft that they were asked about; their code decides, or being signed in as them."""
    ask = sign_off.ask_of(token)
    if ask is None:
        return render(request, "downtimes/agreement/unknown.html", status=404)
    if answering.is_theirs(ask, request.user):
        return _private(_answer_signed_in(request, ask, request.path))
    if request.method != "POST":
        return _private(_person(request, ask, SignOffForm(), needs_code=True))
    form = SignOffForm(request.POST)
    if not form.is_valid():
        return _private(_person(request, ask, form, needs_code=True, status=422))
    refusal = sign_off.refuse_code(ask, token, form.cleaned_data["code"], from_address=throttle.address_of(request))
    if refusal:
        form.add_error("code", refusal)
        return _private(_person(request, sign_off.ask_of(token) or ask, form, needs_code=True, status=422))
    return _private(_answer(request, ask, form, request.path, via=answering.CODE))


@require_http_methods(["GET", "HEAD", "POST"])
def answer_about_downtime(request, downtime_id):
    """Show and take the answer of somebody who is signed in and was asked about this downtime."""
    asks = Ask.objects.filter(version__downtime=_number(downtime_id), approver__person=request.user)
    asks = asks.select_related("approver__person", "instead_of", "version__downtime", "version__made_by")
    ask = asks.order_by("-version__number").first()
    if ask is None:
        raise Http404
    return _answer_signed_in(request, ask, reverse("answer_about_downtime", args=[downtime_id]))


def _answer_signed_in(request, ask: Ask, back: str):
    if request.method != "POST":
        return _person(request, ask, AnswerForm(), needs_code=False)
    form = AnswerForm(request.POST)
    if not form.is_valid():
        return _person(request, ask, form, needs_code=False, status=422)
    return _answer(request, ask, form, back, via=answering.ACCOUNT)


def _answer(request, ask: Ask, form: AnswerForm, back: str, *, via: str):
    by = request.user if via == answering.ACCOUNT else None
    needs_code = via == answering.CODE
    try:
        answering.answer(ask, form.cleaned_data["decision"], form.cleaned_data["words"], via=via, by=by)
    except answering.Outdated:
        return _person(request, ask, form, needs_code=needs_code)
    except NotAllowed as problem:
        form.add_error(None, str(problem))
        return _person(request, ask, form, needs_code=needs_code, status=409)
    return redirect(back)


def _person(request, ask: Ask, form: AnswerForm, *, needs_code: bool, status: int = 200):
    context = agreement_page.of_person(ask, moment_of(request), form=form, needs_code=needs_code)
    if context["standing"] == Standing.OUTDATED:
        return render(request, "downtimes/agreement/outdated.html", context, status=410)
    return render(request, "downtimes/agreement/answer.html", context, status=status)


def _private(response):
    """Keep a page with a token out of search engines and caches, and its address out of every Referer header.

    Not "no-referrer": browsers then send "Origin: null" with the form, and the CSRF check refuses it.
    """
    response.headers["Referrer-Policy"] = "strict-origin"
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Cache-Control"] = "no-store"
    return response
