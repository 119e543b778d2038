"""The window on pages: its plan, its form, its work. What is allowed is asked of `rules.py` and `windows.py`."""

import re

from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ciduty.desk.context import moment_of
from ciduty.outbox import post
from ciduty.states import NotAllowed
from ciduty.typed import BROKEN, MOST_ID
from downtimes import assigning, mirrored, plan_page, rules, windows
from downtimes.models import Downtime, Item
from downtimes.window_forms import ItemForm, NewForm, WindowForm


def downtime_or_404(downtime_id: int) -> Downtime:
    """Return a downtime that is or was planned. Raises Http404 for a number that none has."""
    if downtime_id > MOST_ID:
        raise Http404
    return get_object_or_404(Downtime.objects.select_related("duty", "emergency_by", "made_by"), pk=downtime_id)


def _item_or_404(downtime_id: int, item_id: int) -> Item:
    downtime = downtime_or_404(downtime_id)
    if item_id > MOST_ID:
        raise Http404
    item = get_object_or_404(downtime.items.all(), pk=item_id)
    item.downtime = downtime
    return item


# --- the window -------------------------------------------------------------------------------------------------------


@require_safe
def plan_downtime(request, downtime_id):
    """Show everything of a downtime that is planned, and what still stands against asking for agreement."""
    return render(request, "downtimes/window/plan.html", plan_page.whole(request, downtime_or_404(downtime_id)))


@require_http_methods(["GET", "HEAD", "POST"])
def add_downtime(request):
    """Begin to plan a window."""
    form = NewForm(request.POST if request.method == "POST" else None, initial={"op": post.new_op()})
    if request.method == "POST" and form.is_valid():
        made = windows.create(form.cleaned_data["title"], by=request.user, op=form.cleaned_data["op"])
        return redirect("edit_downtime", made.pk)
    status = 422 if form.errors else 200
    return render(request, "downtimes/window/new.html", {"form": form}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def edit_downtime(request, downtime_id):
    """Change the window."""
    downtime = downtime_or_404(downtime_id)
    typed = request.POST if request.method == "POST" else None
    form = WindowForm(typed, downtime=downtime, at=moment_of(request))
    if request.method == "POST" and form.is_valid():
        try:
            changed = windows.edit(downtime, form.changes, by=request.user, revision=form.cleaned_data["revision"])
        except windows.Outdated as problem:
            form.start_anew_from(Downtime.objects.get(pk=downtime.pk).revision)
            form.add_error(None, str(problem))
        except NotAllowed as problem:
            form.add_error(None, str(problem))
        else:
            messages.success(request, _said(downtime, changed))
            return redirect("plan_downtime", downtime.pk)
    context = {"form": form, "downtime": downtime, "is_planned": downtime.state in rules.PLANNED}
    return render(request, "downtimes/window/edit.html", context, status=422 if form.errors else 200)


def _said(downtime: Downtime, changed: bool) -> str:
    if not changed:
        return f"Nothing was changed: “{downtime.title}” stood there so already."
    if downtime.versions.exists():
        return f"“{downtime.title}” was changed. People agreed to another text: ask them anew when it is ready."
    return f"“{downtime.title}” was changed."


@require_POST
def confirm_duty(request, downtime_id):
    """Write down that the duty person is there for the window that they saw."""
    downtime = downtime_or_404(downtime_id)
    shown = request.POST.get("times", "")
    try:
        if shown != plan_page.times_value(downtime):
            raise NotAllowed("The window was moved after you opened the page: look at its times, then confirm again.")
        windows.confirm_duty(downtime, by=request.user, times=(downtime.starts_at, downtime.ends_at))
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    else:
        messages.success(request, "You confirmed that you are there for the whole window.")
    return redirect("plan_downtime", downtime_id)


# --- the work ---------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def edit_item(request, downtime_id, item_id):
    """Change one piece of work."""
    item = _item_or_404(downtime_id, item_id)
    stands = mirrored.visibility_of(item.bug_id)
    form = ItemForm(request.POST if request.method == "POST" else None, item=item, stands=stands)
    if request.method == "POST" and form.is_valid():
        try:
            _save_item(item, form, request.user)
        except NotAllowed as problem:
            form.start_anew_from(Item.objects.filter(pk=item.pk).first() or item, mirrored.visibility_of(item.bug_id))
            form.add_error(None, str(problem))
        else:
            messages.success(request, f"The work of bug {item.bug_id} is saved.")
            return redirect(_work_at(downtime_id))
    [work] = [one for one in plan_page.work_of(item.downtime, request.user) if one.item.pk == item.pk] or [None]
    context = {"form": form, "downtime": item.downtime, "item": item, "work": work}
    return render(request, "downtimes/window/item.html", context, status=422 if form.errors else 200)


def _save_item(item: Item, form: ItemForm, by) -> None:
    windows.edit_item(
        item,
        form.changes,
        by=by,
        confirms=form.cleaned_data["confirms"],
        shown=form.cleaned_data["shown"],
        shown_as=form.cleaned_data["shown_as"],
    )


@require_POST
def move_item(request, downtime_id, item_id):
    """Move one piece of work up or down."""
    downtime_or_404(downtime_id)
    direction = request.POST.get("direction", "")
    if direction not in ("up", "down"):
        messages.warning(request, "This form is no longer whole: press Up or Down on the plan’s page.")
        return redirect(_work_at(downtime_id))
    return _do(request, downtime_id, item_id, lambda item: windows.move_item(item, direction, by=request.user))


@require_POST
def take_out_item(request, downtime_id, item_id):
    """Take one piece of work out of the window."""
    return _do(request, downtime_id, item_id, lambda item: windows.take_out(item, by=request.user))


@require_POST
def assign_item(request, downtime_id, item_id):
    """Give the bug of one piece of work to its worker."""
    op = request.POST.get("op", "")
    if not re.fullmatch("[0-9a-f]{8}", op):
        messages.warning(request, BROKEN)
        return redirect(_work_at(downtime_id))
    return _do(request, downtime_id, item_id, lambda item: assigning.assign(item, by=request.user, op=op))


def _do(request, downtime_id: int, item_id: int, verb):
    """Do a verb to a piece of work; one that was taken out meanwhile is said to be gone."""
    downtime = downtime_or_404(downtime_id)
    item = downtime.items.filter(pk=min(item_id, MOST_ID)).first()
    try:
        if item is None:
            raise NotAllowed("This work was taken out of the window meanwhile.")
        verb(item)
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    return redirect(_work_at(downtime_id))


def _work_at(downtime_id: int) -> str:
    return reverse("plan_downtime", args=[downtime_id]) + "#work"
