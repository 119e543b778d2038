"""Changes that people enter: one line, the whole form, a correction."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from changelog import workflow
from changelog.models import Change
from changelog.publishing import entering, pages, wording
from changelog.publishing.forms import AddForm, CorrectForm, SayForm
from changelog.rules import State
from changelog.store import Unusable
from ciduty import access
from ciduty.desk.context import moment_of
from ciduty.outbox import post
from ciduty.states import NotAllowed

FORM = ["GET", "HEAD", "POST"]


@require_http_methods(FORM)
def say_change(request):
    """Take one line down."""
    form = SayForm(request.POST if request.method == "POST" else None, initial={"op": post.new_op()}, auto_id="say_%s")
    if request.method == "POST" and form.is_valid():
        line, op = form.cleaned_data["line"], form.cleaned_data["op"]
        try:
            entered = entering.say(line, by=request.user, op=op, at=moment_of(request))
        except Unusable as problem:
            form.add_error("line", str(problem))
        else:
            if entered.is_new or entered.change.message == line:
                return _entered(request, entered)
            form.send_anew(post.new_op())
            form.add_error(
                "line", f"This form was sent before, as “{entered.change.message}”: send it again to add this."
            )
    context = {"say": form, "may_publish": access.may_publish_changes(request.user)}
    return render(request, "changelog/publishing/say.html", context, status=422 if form.errors else 200)


@require_http_methods(FORM)
def add_change(request):
    """Enter a change with all that is known of it."""
    may_publish, at = access.may_publish_changes(request.user), moment_of(request)
    form = AddForm(request.POST if request.method == "POST" else None, at=at, initial=_new(request, at))
    if request.method == "POST" and form.is_valid():
        publishes = may_publish and "propose" not in request.POST
        words = form.cleaned_data["public_summary"]
        try:
            entered = entering.enter(
                form.proposal(request.user), by=request.user, publishes=publishes, public_summary=words
            )
        except Unusable as problem:
            form.add_error("summary", str(problem))
        except NotAllowed as problem:
            form.add_error("public_summary", str(problem))
        else:
            return _entered(request, entered)
    context = {"form": form, "may_publish": may_publish}
    return render(request, "changelog/publishing/add.html", context, status=422 if form.errors else 200)


def _new(request, at) -> dict:
    return {"op": post.new_op(), "kind": "config", "zone": "desk", "summary": request.GET.get("summary", "")[:300]}


def _entered(request, entered):
    change = entered.change
    if entered.waits:
        messages.warning(request, f"It was taken down, and not published: {entered.waits}")
    elif not entered.is_new:
        messages.info(request, f"This was sent before: it is {change.get_state_display().lower()}.")
    if access.may_publish_changes(request.user):
        return redirect(f"{reverse('change_queue')}?did={change.pk}")
    if entered.is_new:
        done = "published" if change.state == State.PUBLISHED else "proposed: somebody of CiDuty publishes it"
        messages.success(request, f"“{change.summary}” is {done}.")
    return redirect("say_change")


@require_http_methods(FORM)
def correct_change(request, change_id):
    """Correct what a change says."""
    change = pages.change_or_404(change_id)
    form = CorrectForm(request.POST if request.method == "POST" else None, change=change, at=moment_of(request))
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data
        how = {"because": typed["because"], "hide_former": typed["hide_former"]}
        try:
            differed = workflow.correct(change, request.user, typed["seen_revision"], **how, **form.corrections)
        except NotAllowed as problem:
            form.start_anew_from(Change.objects.get(pk=change.pk).revision)
            form.add_error(None, str(problem))
        else:
            said = "It is corrected." if differed else "Nothing was changed: it stood there so already."
            messages.success(request, said)
            return redirect("change_record", change.pk)
    private = sorted(workflow.confidential_bugs(change))
    asks = wording.asks_for_words(private) if private else ""
    context = {"form": form, "change": change, "asks": asks}
    return render(request, "changelog/publishing/correct.html", context, status=422 if form.errors else 200)
