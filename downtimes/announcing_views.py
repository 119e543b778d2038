"""What duty does with an agreed downtime: announce it, put it off, call it off; and the emergency. One POST each."""

from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from ciduty.desk.context import moment_of
from ciduty.states import NotAllowed
from ciduty.typed import BROKEN, MOST_ID
from downtimes import announcing, plan_page
from downtimes.announcing_forms import (
    AnnounceForm,
    CancelForm,
    EmergencyForm,
    PostponeForm,
    RevisionForm,
)
from downtimes.models import Downtime


@require_POST
def announce(request, downtime_id):
    """Tell the lists the version that the person saw."""
    downtime, form = _downtime_or_404(downtime_id), AnnounceForm(request.POST)
    if not form.is_valid():
        messages.warning(request, BROKEN)
        return _back(downtime)
    said = "Announced: the lists’ mails are on their way, and this page shows who has accepted."
    version = form.cleaned_data["version"]
    return _do(request, downtime, lambda: announcing.announce(downtime, by=request.user, version=version), said)


@require_POST
def postpone(request, downtime_id):
    """Put it off to another time, and tell everyone who was told."""
    downtime = _downtime_or_404(downtime_id)
    form = PostponeForm(request.POST, downtime=downtime, at=moment_of(request), auto_id="postpone_%s")
    if not form.is_valid():
        return _again(request, downtime, postpone=form)
    typed = {name: form.cleaned_data[name] for name in ("because", "starts_at", "ends_at", "revision")}
    said = "Postponed: who was told hears of it now. The new time is agreed to and announced anew."
    return _do(request, downtime, lambda: announcing.postpone(downtime, by=request.user, **typed), said)


@require_POST
def cancel(request, downtime_id):
    """Call it off, and tell everyone who was told."""
    downtime, form = _downtime_or_404(downtime_id), CancelForm(request.POST, auto_id="cancel_%s")
    if not form.is_valid():
        return _again(request, downtime, cancel=form)
    because = form.cleaned_data["because"]
    said = "Cancelled: who was told hears of it now."
    return _do(request, downtime, lambda: announcing.cancel(downtime, by=request.user, because=because), said)


@require_POST
def ask_for_emergency(request, downtime_id):
    """Write down why it cannot wait for 24 hours."""
    downtime, form = _downtime_or_404(downtime_id), EmergencyForm(request.POST, auto_id="emergency_%s")
    if not form.is_valid():
        return _again(request, downtime, emergency=form)
    typed = {name: form.cleaned_data[name] for name in ("because", "revision")}
    said = "Written down: a manager must agree on this page, then people agree to the text that says so."
    return _do(request, downtime, lambda: announcing.ask_for_emergency(downtime, by=request.user, **typed), said)


@require_POST
def agree_to_emergency(request, downtime_id):
    """Let it go under 24 hours, as the second person."""
    downtime, form = _downtime_or_404(downtime_id), RevisionForm(request.POST)
    if not form.is_valid():
        messages.warning(request, BROKEN)
        return _back(downtime)
    revision = form.cleaned_data["revision"]
    said = "You agreed: the notice prints the reason with your name."
    return _do(
        request, downtime, lambda: announcing.agree_to_emergency(downtime, by=request.user, revision=revision), said
    )


def _downtime_or_404(downtime_id: int) -> Downtime:
    if downtime_id > MOST_ID:
        raise Http404
    return get_object_or_404(Downtime, pk=downtime_id)


def _do(request, downtime: Downtime, verb, said: str):
    try:
        verb()
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    else:
        messages.success(request, said)
    return _back(downtime)


def _back(downtime: Downtime):
    return redirect(reverse("plan_downtime", args=[downtime.pk]) + "#now")


def _again(request, downtime: Downtime, **typed):
    """Show the plan again with what was typed and what is wrong with it; nothing was saved."""
    return render(request, "downtimes/window/plan.html", plan_page.whole(request, downtime, **typed), status=422)
