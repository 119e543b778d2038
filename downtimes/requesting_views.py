"""The page on which IT, RelEng and WebDev ask for a tree closure, and the page that shows what became of it."""

import secrets

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ciduty import access
from ciduty.desk.context import moment_of
from ciduty.outbox import changes, post
from ciduty.outbox.rows import messages_of
from ciduty.record.timeline import timeline
from ciduty.states import NotAllowed
from ciduty.systems.models import System
from ciduty.typed import BROKEN, MOST_ID, OpForm
from downtimes import flag_writes, requesting
from downtimes.models import Nomination
from downtimes.requesting_bug import fields_of, words_of
from downtimes.requesting_forms import RequestForm
from downtimes.requesting_page import own_of, progress_of


def nomination_or_404(person, nomination_id: int) -> Nomination:
    """Return a nomination that this person may know of. Raises Http404 for any other, as for one that is not there."""
    if nomination_id > MOST_ID:
        raise Http404
    return get_object_or_404(requesting.visible(person), pk=nomination_id)


@require_http_methods(["GET", "HEAD", "POST"])
def request_downtime(request):
    """Ask for a tree closure: one form, looked at before it is sent."""
    if request.method != "POST":
        return _page(request, RequestForm(person=request.user, initial=_initial(request)))
    token = request.POST.get("key", "")
    before = requesting.sent_before(request.user, token) if token.isalnum() else None
    if before is not None:
        return redirect("nomination", before.pk)
    form = RequestForm(request.POST, person=request.user)
    if not form.is_valid():
        return _page(request, form, status=422)
    try:
        if "preview" in request.POST:
            return _page(request, form, preview=_preview(form, request.user))
        nomination = requesting.ask(form.nomination(), by=request.user, new=form.new_bug())
    except (NotAllowed, changes.Unwritable) as problem:
        form.add_error(None, str(problem))
        return _page(request, form, status=422)
    return redirect("nomination", nomination.pk)


@require_safe
def nomination(request, nomination_id):
    """Show what became of a nomination: on its way, waiting, decided, in which window."""
    row = nomination_or_404(request.user, nomination_id)
    progress = progress_of(row, request.user)
    context = {
        "progress": progress,
        "nomination": row,
        "is_own": requesting.is_own(request.user, row),
        "withdraw": OpForm(initial={"op": post.new_op()}) if progress.may_withdraw else None,
        "may_see_plans": access.may_see_downtime_plans(request.user),
        "may_see_outbox": access.may_see_outbox(request.user),
        "may_review": access.may_plan_downtimes(request.user),
        "messages_of_it": messages_of(row.about, request.user),
        "timeline": timeline(row.about),
        "at": moment_of(request),
    }
    part = "downtimes/requesting/_progress.html" if request.htmx else "downtimes/requesting/progress.html"
    return render(request, part, context)


@require_POST
def withdraw_nomination(request, nomination_id):
    """Take a nomination back."""
    row = nomination_or_404(request.user, nomination_id)
    if not requesting.is_own(request.user, row) and not access.may_plan_downtimes(request.user):
        raise PermissionDenied
    form = OpForm(request.POST)
    if not form.is_valid():
        messages.warning(request, BROKEN)
        return redirect("nomination", row.pk)
    try:
        requesting.withdraw(row, by=request.user, op=form.cleaned_data["op"])
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    else:
        messages.success(request, "It was taken back. This page shows what Bugzilla was told.")
    return redirect("nomination", row.pk)


# --- the form ---------------------------------------------------------------------------------------------------------


def _initial(request) -> dict:
    """Return what stands in a new form; `?bug=...&system=...` comes from links in documents and other tools."""
    return {
        "key": secrets.token_hex(8),
        "bug": request.GET.get("bug", "")[:10],
        "system": request.GET.get("system", "").replace("\0", "")[:120],
        "stands_in_for": request.GET.get("stands_in_for", "")[:10],
    }


def _preview(form: RequestForm, by) -> dict:
    """Return what Bugzilla is going to be told. Raises changes.Unwritable for what it would refuse in any case."""
    row, new = form.nomination(), form.new_bug()
    if new is not None:
        fields = fields_of(row, new, by)
        changes.check({"new": fields})
        return {"new": fields, "on_cc": ", ".join(fields.get("cc", []))}
    if flag_writes.is_hidden(row.bug_id):
        return {"hidden": row.bug_id}
    op = requesting.op_of_key(row.key)
    write = flag_writes.preview(row.bug_id, "nominate", by=by, op=op, comment=words_of(row))
    return {"bug_id": row.bug_id, "write": write}


def _page(request, form: RequestForm, *, preview: dict | None = None, status: int = 200):
    context = {
        "form": form,
        "preview": preview,
        "systems": System.objects.in_use().filter(needs_coordination=True).values_list("title", "serves"),  # R35
        "own": own_of(request.user),
        "is_known_to_bugzilla": request.user.bugzilla_logins.exists(),
        "may_review": access.may_plan_downtimes(request.user),
    }
    return render(request, "downtimes/requesting/request.html", context, status=status)
