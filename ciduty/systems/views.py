"""The catalogue's pages: which systems there are, whose, whom to ask, what changed lately; a lead keeps them."""

from django.contrib import messages
from django.db.models import Q
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from ciduty import access
from ciduty.bugzilla.cleaning import clean_line
from ciduty.desk.context import moment_of
from ciduty.record.timeline import timeline
from ciduty.states import NotAllowed
from ciduty.systems import keeping, recent
from ciduty.systems.forms import SystemForm
from ciduty.systems.models import System

LONGEST_SEARCH = 120
#: What a page bears; who has more looks for a name.
MOST = 300


@require_safe
def systems(request):
    """List the systems, those in use first; `q` looks for words. Two queries."""
    q = clean_line(request.GET.get("q", "").replace("\0", " "), LONGEST_SEARCH)
    found = list(_looked_for(q).order_by("-is_active", "title", "pk")[: MOST + 1])
    changes = recent.changes_of(found[:MOST], moment_of(request))
    context = {
        "rows": [(one, changes.get(one.pk)) for one in found[:MOST]],
        "q": q,
        "more": len(found) > MOST,
        "is_told": bool(changes),
        "may_keep": access.may_keep_systems(request.user),
    }
    return render(request, "systems/list.html", context)


def _looked_for(q: str):
    found = System.objects.all()
    for word in q.split():
        found = found.filter(
            Q(title__icontains=word) | Q(slug__icontains=word) | Q(serves__icontains=word)
            | Q(owner__icontains=word) | Q(channel__icontains=word)
        )  # fmt: skip
    return found


@require_safe
def system(request, slug):
    """Show one system: what it serves, who owns it, whom to wake, and what was done to its entry."""
    row = _system_or_404(slug)
    context = {
        "system": row,
        "changes": recent.changes_of([row], moment_of(request)).get(row.pk),
        "may_keep": access.may_keep_systems(request.user),
        "may_ask_for_downtime": access.may(request.user, "ask for a downtime"),
        "timeline": timeline(row.about),
    }
    return render(request, "systems/system.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def add_system(request):
    """Enter a system into the catalogue."""
    form = SystemForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            row = keeping.enter(form.cleaned_data["slug"], form.facts, by=request.user)
        except NotAllowed as problem:
            form.add_error(None, str(problem))
        else:
            messages.success(request, f"{row.title} stands in the catalogue.")
            return redirect("system", row.slug)
    return _form(request, form)


@require_http_methods(["GET", "HEAD", "POST"])
def edit_system(request, slug):
    """Change what is known of a system."""
    row = _system_or_404(slug)
    form = SystemForm(request.POST if request.method == "POST" else None, system=row)
    if request.method == "POST" and form.is_valid():
        try:
            keeping.change(row, form.facts, form.cleaned_data["seen"], by=request.user)
        except NotAllowed as problem:
            form = _with_the_newest_mark(request, row)
            form.add_error(None, str(problem))
        else:
            messages.success(request, f"Saved: {row.title}.")
            return redirect("system", row.slug)
    return _form(request, form)


def _with_the_newest_mark(request, row: System) -> SystemForm:
    """Return what was typed, made as from the system as it is now: saved again, it counts."""
    row.refresh_from_db()
    typed = request.POST.copy()
    typed["seen"] = keeping.mark(row)
    return SystemForm(typed, system=row)


def _form(request, form: SystemForm):
    return render(
        request, "systems/form.html", {"form": form, "system": form.system}, status=422 if form.errors else 200
    )


def _system_or_404(slug: str) -> System:
    if len(slug) > System._meta.get_field("slug").max_length:
        raise Http404
    return get_object_or_404(System, slug=slug)
