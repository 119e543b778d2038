"""The flag queue and its three decisions: each shows first what will be written, and writes it when it is sent."""

import hashlib
import json
from datetime import datetime

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from ciduty.desk.context import moment_of
from ciduty.desk.freshness import freshness
from ciduty.outbox import changes, post
from ciduty.outbox.rules import State
from ciduty.states import NotAllowed
from downtimes import flag_writes, review, review_rows
from downtimes.models import Nomination
from downtimes.requesting_views import nomination_or_404
from downtimes.review_forms import AcceptForm, DeclineForm, DeferForm, planned_windows

PAGE = 50
#: Verb -> the name of its address, what its button says, and what is said when it was done.
VERBS = {
    "accept": ("accept_nomination", "Accept into a window", "Accepted."),
    "defer": ("defer_nomination", "Defer to a date", "Deferred."),
    "decline": ("decline_nomination", "Decline", "Declined."),
}


@require_safe
def review_nominations(request):
    """Show the flag queue: what is to be decided, what was deferred, accepted or declined, and what drifts."""
    at = moment_of(request)
    tabs = review_rows.tabs(review.today(at))
    shown = request.GET.get("show") if request.GET.get("show") in tabs else "open"
    everything = Nomination.objects.select_related("asked_by", "decided_by")
    counts = review_rows.counts(everything, tabs)
    page = Paginator(everything.filter(tabs[shown].which).order_by(*tabs[shown].order), PAGE)
    page.count = counts[shown]
    page = page.get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": review_rows.rows_for(request.user, page),
        "drifting": review_rows.drifting(request.user),
        "shown": shown,
        "choices": [(name, tab.label, counts[name]) for name, tab in tabs.items()],
        "freshness": freshness(at),
    }
    part = "downtimes/review/_queue.html" if request.htmx else "downtimes/review/queue.html"
    return render(request, part, context)


@require_http_methods(["GET", "HEAD", "POST"])
def decide(request, nomination_id, verb):
    """Show the form of one decision, then what it writes; with `send` carry it out."""
    row = nomination_or_404(request.user, nomination_id)
    at = moment_of(request)
    if request.method != "POST":
        return _page(request, row, verb, form_of(verb, at, initial={"op": post.new_op()}))
    form = form_of(verb, at, request.POST)
    if not form.is_valid():
        return _page(request, row, verb, form, status=422)
    said = said_of(verb, form)
    shown = mark_of(row, verb, said, request.user)
    try:
        if "send" in request.POST and request.POST.get("shown") == shown:
            return _done(request, row, verb, _do(row, verb, form, request.user))
        op, refusal = form.cleaned_data["op"], review.why_not_decide(row, verb)
        preview = None if refusal else flag_writes.preview(row.bug_id, verb, by=request.user, op=op, **said)
    except (NotAllowed, changes.Unwritable) as problem:
        row.refresh_from_db()
        form.add_error(None, str(problem))
        return _page(request, row, verb, form, status=422)
    return _page(request, row, verb, form, preview=preview, shown=shown)


def form_of(verb: str, at: datetime, *args, **kwargs):
    """Return the form of a verb, with what was typed or as it is new."""
    if verb == "accept":
        return AcceptForm(*args, windows=planned_windows(), **kwargs)
    return DeferForm(*args, at=at, **kwargs) if verb == "defer" else DeclineForm(*args, **kwargs)


def _do(row: Nomination, verb: str, form, by):
    typed = form.cleaned_data
    if verb == "accept":
        where = {"downtime": form.downtime, "title": typed["title"], "words": typed["words"]}
        return review.accept(row, by=by, op=typed["op"], **where)
    if verb == "defer":
        return review.defer(row, by=by, until=typed["until"], because=typed["because"], op=typed["op"])
    return review.decline(row, by=by, because=typed["because"], op=typed["op"])


def said_of(verb: str, form) -> dict:
    """Return what a decision says in the bug: the comment, and the start of its window."""
    typed = form.cleaned_data
    if verb == "accept":
        starts_at = form.downtime.starts_at if form.downtime else None
        return {"comment": review.words_of_accept(starts_at, typed["words"]), "starts_at": starts_at}
    if verb == "defer":
        return {"comment": review.words_of_defer(typed["until"], typed["because"])}
    return {"comment": review.words_of_decline(typed["because"])}


def mark_of(row: Nomination, verb: str, said: dict, by) -> str:
    """Return what tells two writes apart: nothing else is sent than what was shown."""
    wants = flag_writes.wants_of(row.bug_id, verb, by=by, **said)
    return hashlib.sha256(json.dumps(wants, sort_keys=True).encode()).hexdigest()[:16]


def _done(request, row: Nomination, verb: str, update):
    if update.state == State.HELD:
        messages.warning(request, f"{VERBS[verb][2]} What is written to the bug is held. {update.last_words}")
    else:
        messages.success(request, f"{VERBS[verb][2]} The word of it is on its way to Bugzilla.")
    others = review.ride_alongs(row) if verb == "accept" else []
    if others:
        numbers = ", ".join(f"bug {one.bug_id}" if one.bug_id else str(one) for one in others)
        messages.info(request, f"Also waiting for {row.system}: {numbers}. They could share the window.")
    return redirect(reverse("review_nominations"))


def _page(request, row: Nomination, verb: str, form, *, preview=None, shown: str = "", status: int = 200):
    [looked_at] = review_rows.rows_for(request.user, [row])
    context = {
        "row": looked_at,
        "verb": verb,
        "address": reverse(VERBS[verb][0], args=[row.pk]),
        "label": VERBS[verb][1],
        "form": form,
        "preview": preview,
        "shown": shown,
        "is_other": bool(preview) and "send" in request.POST,
        "refusal": review.why_not_decide(row, verb),
        "ride_alongs": review.ride_alongs(row) if verb == "accept" else [],
    }
    return render(request, "downtimes/review/decide.html", context, status=status)
