"""What is done with a downtime as a whole while it runs, or just before: one POST each."""

from django.views.decorators.http import require_POST

from ciduty.desk.context import moment_of
from downtimes.run import beginning, steering
from downtimes.run.forms import ExtendForm, ReasonForm, StepForm, TakeOverForm
from downtimes.run.rules import Step
from downtimes.run.sheet import PLACES
from downtimes.run.sheet_views import again, do, downtime_or_404


@require_POST
def begin(request, downtime_id):
    """Begin: from now on trees are closed."""
    downtime = downtime_or_404(downtime_id)
    said = "It runs. Close the trees now."
    return do(request, downtime, lambda: beginning.begin(downtime, by=request.user), said, "sheet")


@require_POST
def hold(request, downtime_id):
    """Keep it from beginning, and tell everyone who was told."""
    downtime, form = downtime_or_404(downtime_id), ReasonForm(request.POST, auto_id="hold_%s")
    if not form.is_valid():
        return again(request, downtime, hold=form)
    because = form.cleaned_data["because"]
    said = "On hold: who was told hears of it now."
    return do(
        request, downtime, lambda: beginning.hold(downtime, by=request.user, because=because), said, "sheet", hold=form
    )


@require_POST
def go_ahead(request, downtime_id):
    """Let it go ahead after all, and tell everyone who was told."""
    downtime = downtime_or_404(downtime_id)
    form = ReasonForm(request.POST, goes_ahead=True, auto_id="go_ahead_%s")
    if not form.is_valid():
        return again(request, downtime, go_ahead=form)
    because = form.cleaned_data["because"]
    said = "It goes ahead: who was told hears of it now."
    return do(
        request, downtime, lambda: beginning.go_ahead(downtime, by=request.user, because=because), said, "sheet",
        go_ahead=form,
    )  # fmt: skip


@require_POST
def do_step(request, downtime_id):
    """Tick off a step."""
    downtime, form = downtime_or_404(downtime_id), StepForm(request.POST)
    if not form.is_valid():
        return again(request, downtime, step=form)
    step, words, shown = Step(form.cleaned_data["step"]), form.cleaned_data["words"], form.cleaned_data["shown"] or 0
    return do(
        request, downtime, lambda: steering.do_step(downtime, step, words, by=request.user, shown=shown),
        f"Written down: {step.label}.", PLACES.get(step, "before"), step=form,
    )  # fmt: skip


@require_POST
def take_over(request, downtime_id):
    """Be the duty person of it from now on."""
    downtime, form = downtime_or_404(downtime_id), TakeOverForm(request.POST, auto_id="take_over_%s")
    if not form.is_valid():
        return again(request, downtime, take_over=form)
    words = form.cleaned_data["words"]
    said = "You run it now, until the trees are open."
    return do(
        request, downtime, lambda: steering.take_over(downtime, by=request.user, words=words), said, "sheet",
        take_over=form,
    )  # fmt: skip


@require_POST
def extend(request, downtime_id):
    """Let it take longer, and tell everyone who was told."""
    downtime, form = downtime_or_404(downtime_id), ExtendForm(request.POST, auto_id="extend_%s")
    if not form.is_valid():
        return again(request, downtime, extend=form)
    typed = {name: form.cleaned_data[name] for name in ("because", "shown_end")}
    typed["ends_at"] = form.ends_at(moment_of(request))
    said = f"Extended until {typed['ends_at']:%H:%M} UTC: who was told hears of it now."
    return do(
        request, downtime, lambda: steering.extend(downtime, by=request.user, **typed), said, "sheet", extend=form
    )
