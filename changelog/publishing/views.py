"""The queue, a change's own page for CiDuty, and the verbs. What may happen: `rules.py`; what does: `workflow.py`."""

import re

from django.contrib import messages
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from changelog import rules, workflow
from changelog.models import Change
from changelog.publishing import pages, queue, wording
from changelog.publishing.forms import AsOneForm, BecauseForm, PublishForm
from changelog.publishing.queue import Row
from changelog.rules import State
from ciduty.desk.context import moment_of
from ciduty.states import NotAllowed
from ciduty.typed import MOST_ID

_CHOSEN = re.compile(r"([1-9][0-9]{0,18})\.([0-9]{1,9})")
#: What each verb is done with, but for publishing, which takes words.
_DO = {
    "take back": workflow.take_back,
    "dismiss": workflow.dismiss,
    "reopen": workflow.reopen,
    "hold": workflow.hold,
    "release": workflow.release,
    "withdraw": workflow.withdraw,
    "restore": workflow.restore,
}


@require_safe
def change_queue(request):
    """Show what waits for somebody of CiDuty."""
    return pages.queue_page(request)


@require_safe
def change_record(request, change_id):
    """Show everything of one change, whatever its state."""
    return pages.record_page(request, pages.change_or_404(change_id))


@require_POST
def publish_change(request, change_id):
    """Publish a proposal with its line; or word what was published and names a bug that is not public."""
    change = pages.change_or_404(change_id)
    form = PublishForm(request.POST)
    if not form.is_valid():
        problems = [
            f"{form.fields[name].label or 'Form'}: {problem}" for name in form.errors for problem in form.errors[name]
        ]
        return _refused(request, change, "publish", " ".join(problems), status=422)
    typed = {name: form.cleaned_data[name] for name in wording.TEXTS if name in request.POST}
    try:
        if change.state == State.PUBLISHED and workflow.needs_words(change):
            words = {"public_summary": typed.get("public_summary", ""), "impact": typed.get("impact")}
            workflow.word(change, request.user, seen_revision=form.cleaned_data["seen"], **words)
        else:
            workflow.publish(change, request.user, seen_revision=form.cleaned_data["seen"], **typed)
    except NotAllowed as problem:
        return _refused(request, change, "publish", str(problem))
    return _done(request, change)


@require_POST
def act(request, change_id, verb):
    """Do a verb that takes at most a reason."""
    change = pages.change_or_404(change_id)
    form = BecauseForm(request.POST)
    if not form.is_valid():
        return _refused(request, change, verb, f"Because: {' '.join(form.errors['because'])}", status=422)
    because = {"because": form.cleaned_data["because"]} if verb in ("hold", "withdraw") else {}
    try:
        _DO[verb](change, request.user, **because)
    except NotAllowed as problem:
        return _refused(request, change, verb, str(problem))
    return _done(request, change)


@require_POST
def publish_as_one(request):
    """Publish several proposals as one change."""
    form = AsOneForm(request.POST, auto_id="one_%s")
    seen = _chosen(request)
    if form.is_valid():
        changes = list(Change.objects.filter(pk__in=seen))
        try:
            lead = workflow.publish_as_one(changes, request.user, seen_revisions=seen, **form.cleaned_data)
        except NotAllowed as problem:
            form.add_error(None, str(problem))
        else:
            return pages.back(request, lead)
    return pages.queue_page(request, as_one=form, chosen=frozenset(seen), status=422)


def _chosen(request) -> dict[int, int]:
    """Return the changes that were chosen, each with the revision that was seen; at most one more than is allowed."""
    values = request.POST.getlist("chosen")[: rules.MOST_AS_ONE + 1]
    found = [match for match in map(_CHOSEN.fullmatch, values) if match]
    return {int(match[1]): int(match[2]) for match in found if int(match[1]) <= MOST_ID}


def _done(request, change: Change):
    if not request.htmx:
        return pages.back(request, change)
    return _said(request, change)


def _said(request, change: Change, problem: str = ""):
    """Answer a script: the row goes, and the page says what was done."""
    context = {"did": pages.did(change, moment_of(request)), "problem": problem, "next": request.POST.get("next", "")}
    return render(request, "changelog/publishing/_done.html", context)


def _refused(request, change: Change, verb: str, problem: str, status: int = 422):
    """Say why nothing was done, with what was typed; where somebody else was faster, say how it stands."""
    change.refresh_from_db()
    typed = {name: request.POST.get(name, getattr(change, name)) for name in wording.TEXTS}
    if rules.why_not(verb, State(change.state), change.published_at, moment_of(request)) and not _can_be_worded(change):
        lost = [request.POST[name].strip() for name in wording.TEXTS if request.POST.get(name, "").strip()]
        kept = f" You had typed: “{' / '.join(dict.fromkeys(lost))}”." if lost else ""
        if request.htmx:
            return _said(request, change, problem + kept)
        messages.warning(request, problem + kept)
        return pages.back(request, change)
    row = Row(change, (), False, (), typed | {"because": request.POST.get("because", "")}, problem)
    if request.htmx:
        [row] = queue.rows_of(queue.with_facts(Change.objects.filter(pk=change.pk)), moment_of(request), row)
        return render(request, "changelog/publishing/_row.html", {"row": row, "next": request.POST.get("next", "")})
    if pages.stood_on_the_queue(request, change):
        return pages.queue_page(request, refused=row, status=status)
    return pages.record_page(request, change, refused=row, status=status)


def _can_be_worded(change: Change) -> bool:
    return change.state == State.PUBLISHED and workflow.needs_words(change)
