"""The trees on pages: all of them, one of them with its history; and by hand, where no service is configured."""

import secrets

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ciduty import access
from ciduty.desk.context import moment_of
from ciduty.states import NotAllowed
from ciduty.trees import confidential, drawing, rules, showing, workflow
from ciduty.trees.forms import CloseForm
from ciduty.trees.models import Closure, Tree, TreeEvent
from ciduty.typed import MOST_ID

PAGE = 30


@require_safe
def trees(request):
    """Show how every tree stands, since when, why and until when; and what closed trees lately."""
    at = moment_of(request)
    board = showing.board(at)
    lately = showing.hours_by_category(list(board.stretches), board.since, at)
    context = {
        "board": board,
        "service": board.service,
        "drawing": drawing.drawing(lately),
        "days": rules.LATELY.days,
        "rows": [(tree, tree.is_overdue(at)) for tree in board.trees],
        "sees_who": access.may_close_trees(request.user),
        "may_close": _may_close_by_hand(request),
    }
    return render(request, "trees/list.html", context)


def _may_close_by_hand(request) -> bool:
    return not settings.TREESTATUS_URL and access.may_close_trees(request.user)


@require_safe
def tree(request, name):
    """Show one tree: how it stands, the closures of ours on it, and its history, the newest first."""
    at = moment_of(request)
    row = _tree_or_404(name)
    service, facts, lately = showing.tree_facts(row, at)
    page = Paginator(row.events.order_by("-at", "-pk"), PAGE).get_page(request.GET.get("page"))
    context = {
        "tree": facts,
        "is_overdue": facts.is_overdue(at),
        "service": service,
        "closures": [(one, _may_end(request, one)) for one in facts.closures],
        "page": page,
        "events": _events(list(page.object_list)),
        "drawing": drawing.drawing(showing.hours_by_category(lately, at - rules.LATELY, at)),
        "days": rules.LATELY.days,
        "sees_who": access.may_close_trees(request.user),
        "may_close": _may_close_by_hand(request),
    }
    return render(request, "trees/tree.html", context)


def _tree_or_404(name: str) -> Tree:
    if not rules.is_name(name):
        raise Http404
    return get_object_or_404(Tree, name=name)


def _may_end(request, closure: showing.ClosureFacts) -> bool:
    may = _may_close_by_hand(request)
    return may and not workflow.why_not_end(closure.owner_id, closure.owner, closure.about, request.user)


def _events(events: list[TreeEvent]) -> list[tuple[TreeEvent, str, str]]:
    """Return events with their reasons as everybody may read them, and their categories' names."""
    private = confidential.private_among(event.reason for event in events)
    return [
        (event, confidential.public(event.reason, private), rules.category_label(event.category)) for event in events
    ]


# --- by hand ----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def close_tree_by_hand(request):
    """Close trees where no service is configured: what duty says counts, and is marked as such."""
    asked = request.GET.getlist("tree")[:1]
    is_sent = request.method == "POST"
    form = CloseForm(request.POST if is_sent else None, initial={"op": secrets.token_hex(4), "trees": asked})
    if is_sent and form.is_valid():
        within = form.expected_within
        try:
            closures = workflow.close_by_hand(
                form.names,
                reason=form.cleaned_data["reason"],
                category=form.cleaned_data["category"],
                bug=form.cleaned_data["bug"],
                expected_end=moment_of(request) + within if within else None,
                by=request.user,
                op=form.cleaned_data["op"],
            )
        except NotAllowed as problem:
            form.add_error(None, str(problem))
        else:
            messages.success(request, f"Closed by hand: {', '.join(form.names)}.")
            return redirect("tree", form.names[0]) if len(closures) == 1 else redirect("trees")
    context = {"form": form, "service_says": workflow.A_SERVICE_SAYS if settings.TREESTATUS_URL else ""}
    return render(request, "trees/close.html", context, status=422 if form.errors else 200)


@require_POST
def reopen_tree_by_hand(request, closure_id):
    """End one closure; the tree opens where no other stands on it."""
    if closure_id > MOST_ID:
        raise Http404
    closure = get_object_or_404(Closure.objects.select_related("tree"), pk=closure_id)
    try:
        is_open = workflow.end_by_hand(closure, by=request.user)
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    else:
        name = closure.tree.name
        still = f"Your closure of {name} is ended. {name} stays closed: another closure still stands on it."
        messages.success(request, f"{name} is open." if is_open else still)
    return redirect("tree", closure.tree.name)
