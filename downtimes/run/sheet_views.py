"""The run sheet on its page, and as one file that is whole without the network. What is done on it: the other views."""

from csp.decorators import csp
from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from ciduty import access
from ciduty.desk.context import moment_of
from ciduty.states import NotAllowed
from ciduty.typed import MOST_ID
from downtimes.models import Downtime
from downtimes.run import pieces, saved, sheet, working


def downtime_or_404(downtime_id: int) -> Downtime:
    """Return a downtime. Raises Http404 for a number that none has."""
    if downtime_id > MOST_ID:
        raise Http404
    return get_object_or_404(Downtime.objects.select_related("duty", "emergency_by", "made_by"), pk=downtime_id)


def sheet_or_404(request, downtime_id: int) -> Downtime:
    """Return a downtime whose run sheet this person may see: who sees plans, and its workers once it is announced."""
    downtime = downtime_or_404(downtime_id)
    if not access.may_see_downtime_plans(request.user) and not working.does_work_in(downtime, request.user):
        raise Http404
    return downtime


@require_safe
def run_downtime(request, downtime_id):
    """Show the run sheet; to itself it answers with what refreshes: the head and the trees."""
    downtime = sheet_or_404(request, downtime_id)
    if request.htmx:
        parts = sheet.live(downtime, request.user, moment_of(request), request.GET.get("seen", ""))
        return render(request, "downtimes/run/_parts.html", parts)
    return _page(request, downtime)


def _page(request, downtime: Downtime, status: int = 200, **typed):
    context = sheet.sheet(downtime, request.user, moment_of(request), "history" in request.GET, **typed)
    context["pieces"] = pieces.written(context["work"], context["run"], request)
    return render(request, "downtimes/run/sheet.html", context, status=status)


@require_safe
@csp(saved.POLICY)
def run_downtime_saved(request, downtime_id):
    """Give the whole sheet as one file, to be kept or printed before the network goes away."""
    downtime = sheet_or_404(request, downtime_id)
    to_print = "print" in request.GET
    return saved.response(request, downtime, sheet.sheet(downtime, request.user, moment_of(request)), to_print)


# --- for the views of its verbs ---------------------------------------------------------------------------------------


def again(request, downtime: Downtime, **typed):
    """Show the sheet again with what was typed and what is wrong with it; nothing was saved."""
    return _page(request, downtime, 422, **typed)


def back(downtime: Downtime, anchor: str):
    """Lead back to a part of the sheet."""
    return redirect(reverse("run_downtime", args=[downtime.pk]) + f"#{anchor}")


def do(request, downtime: Downtime, verb, said: str, anchor: str, **typed):
    """Do a verb and say so. What forbids it is said too; what was typed (`typed`: place=form) stands there again."""
    try:
        verb()
    except NotAllowed as problem:
        if not typed:
            messages.warning(request, str(problem))
            return back(downtime, anchor)
        place, form = next(iter(typed.items()))
        (form[1] if isinstance(form, tuple) else form).add_error(None, str(problem))
        return again(request, downtime, **{place: form})
    messages.success(request, said)
    return back(downtime, anchor)
