"""Pages about sources: which there are and how they stand, one of them, the form with its trial, "Read now"."""

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from changelog.models import SeenRevision, Source
from changelog.models.sources import POLLED
from changelog.rules import State
from changelog.sources import keeping, standing, trial
from changelog.sources.filters import Filters
from changelog.sources.forms import SourceForm
from ciduty import access, bell
from ciduty.desk.context import moment_of
from ciduty.record.timeline import timeline
from ciduty.states import NotAllowed
from ciduty.typed import MOST_ID

COLLECT = "changelog.tasks.collect"  # by its name: the task imports the readers
PAGE = "changelog/sources/source.html"


@require_safe
def change_sources(request):
    """List every source, those that need somebody first."""
    at = moment_of(request)
    sources = Source.objects.select_related("default_system")
    rows = [_row(source, flag) for source, flag in standing.worst_first(sources, at)]
    context = {
        "rows": rows,
        "flagged": sum(row["flag"] is not None for row in rows),
        "may_keep": access.may_keep_sources(request.user),
        "token_is_missing": _token_is_missing(rows),
    }
    return render(request, "changelog/sources/list.html", context)


def _row(source: Source, flag) -> dict:
    is_polled = source.kind in POLLED
    return {
        "source": source,
        "flag": flag,
        "is_polled": is_polled,
        "rhythm": standing.in_days(source.rhythm_hours) if source.rhythm_hours else "",
        "next_try": standing.next_try(source) if is_polled and source.is_active else None,
    }


def _token_is_missing(rows: list[dict]) -> bool:
    return any(row["source"].kind.startswith("github") for row in rows) and not keeping.has_token()


@require_safe
def change_source(request, source_id):
    """Show one source: how it is read, what is kept of it, what came of it, its record."""
    source, at = _source_or_404(source_id), moment_of(request)
    context = {
        "row": _row(source, standing.flag_of(source, at)),
        "source": source,
        "filters": Filters.of(source.filters).in_words(),
        "counts": _counts(source),
        "began_at": standing.began_at(source),
        "may_keep": access.may_keep_sources(request.user),
        "timeline": timeline(source.about),
    }
    return render(request, PAGE, context)


def _counts(source: Source) -> dict:
    by_state = {f"{state}": Count("pk", filter=Q(state=state)) for state in State}
    counts = source.changes.aggregate(**by_state)
    seen = SeenRevision.objects.filter(repository=source.name).count()
    return {"seen": seen, "states": [(state.label, counts[str(state)]) for state in State]}


@require_POST
def read_change_source(request, source_id):
    """Have a source read now; the page shows what came of it when it was."""
    source = _source_or_404(source_id)
    try:
        with transaction.atomic():
            keeping.want_read(source, moment_of(request))
            bell.ring_after_commit(COLLECT, "sync")
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    else:
        messages.success(request, f"{source} is read in a moment: open this page again to see what came of it.")
    return redirect("change_source", source.pk)


@require_http_methods(["GET", "HEAD", "POST"])
def add_change_source(request):
    """Add a source, after a look at what its filters would keep."""
    form = SourceForm(request.POST if request.method == "POST" else None, source=Source())
    if request.method == "POST" and form.is_valid() and "try" not in request.POST:
        try:
            source = _save_new(form, request.user)
        except NotAllowed as problem:
            form.add_error("name", str(problem))
        else:
            messages.success(request, f"{source} is read from now on.")
            return redirect("change_source", source.pk)
    return _form(request, form)


def _save_new(form: SourceForm, by) -> Source:
    with transaction.atomic():
        source = keeping.add(form.facts, by)
        bell.ring_after_commit(COLLECT, "sync")
    return source


@require_http_methods(["GET", "HEAD", "POST"])
def edit_change_source(request, source_id):
    """Change a source, after a look at what its filters would keep."""
    if request.method != "POST" or "try" in request.POST:
        source = _source_or_404(source_id)
        return _form(request, SourceForm(request.POST if request.method == "POST" else None, source=source))
    with transaction.atomic():  # what the form compares stays so until it is saved
        source = _source_or_404(source_id, lock=True)
        form = SourceForm(request.POST, source=source)
        if form.is_valid():
            try:
                changed = keeping.change(source, form.facts, request.user)
            except NotAllowed as problem:
                form.add_error(None, str(problem))
            else:
                return _saved(request, source, changed)
    return _form(request, form)


def _saved(request, source: Source, changed: list[str]):
    if changed:
        bell.ring_after_commit(COLLECT, "sync")
        messages.success(request, f"{source} was changed: {', '.join(changed)}.")
    else:
        messages.success(request, f"Nothing was changed: {source} stood there so already.")
    return redirect("change_source", source.pk)


def _form(request, form: SourceForm):
    seen = None
    if request.method == "POST" and form.is_valid():
        facts = form.facts
        # A place that was read already is looked at anew: the trial has neither its cursor nor its number.
        draft = Source(**{name: facts.get(name, getattr(form.source, name)) for name in keeping.FACTS})
        seen = trial.look(draft, moment_of(request)) if draft.kind in POLLED else None
    context = {"form": form, "source": form.source, "trial": seen, "said": "Nothing was saved yet."}
    return render(request, "changelog/sources/form.html", context, status=422 if form.errors else 200)


def _source_or_404(source_id: int, *, lock: bool = False) -> Source:
    if source_id > MOST_ID:
        raise Http404
    sources = Source.objects.select_related("default_system")
    return get_object_or_404(sources.select_for_update(of=("self",)) if lock else sources, pk=source_id)
