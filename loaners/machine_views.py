"""The pool on pages: the table with its filters and its strip, one machine and its verbs, the form, the import."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ciduty import access, csv_files
from ciduty.desk.context import moment_of
from ciduty.record.timeline import timeline
from ciduty.states import NotAllowed
from loaners import machine_import, machine_rows, machine_sheet, machine_strip, machines
from loaners.machine_forms import ImportForm, MachineForm, ReasonForm
from loaners.machine_rows import Chosen
from loaners.models import Machine, MachineClass
from loaners.rows import rows_for
from loaners.rules import MachineState

PAGE = 50
LOANS = 50
#: Verb -> the name of its address, what its button says, and what its reason is asked as ("" where none is asked).
BUTTONS = {
    "return to the pool": ("machine_return", "Return to the pool", ""),
    "bring back": ("machine_bring_back", "Bring back", ""),
    "mark broken": ("machine_mark_broken", "Mark broken", "What is wrong with it"),
    "retire": ("machine_retire", "Retire", "Why it leaves the pool"),
}


@require_safe
def machines_page(request):
    """List the machines that are looked for, who has each and until when; as a CSV file with `format=csv`."""
    at, chosen = moment_of(request), Chosen.of(request.GET)
    found = chosen.among(Machine.objects.order_by("machine_class__name", "host"), at)
    if request.GET.get("format") == "csv":
        held = machine_rows.held_for(request.user, machine_rows.with_loans(found), at)
        return csv_files.download("machines.csv", machine_rows.CSV_HEADER, machine_rows.csv_rows(held))
    page = Paginator(machine_rows.with_loans(found), PAGE).get_page(request.GET.get("page"))
    asked = request.GET.copy()
    asked.pop("page", None)
    context = {
        "page": page,
        "rows": machine_rows.held_for(request.user, page, at),
        "chosen": chosen,
        "asked": asked.urlencode(),
        "counts": machine_rows.counts(),
        "states": [*MachineState.choices, (machine_rows.OVERDUE, "Overdue")],
        "strip": machine_strip.strip(request.user, found, at),
        "may_change": access.may_change_machines(request.user),
    }
    return render(request, "loaners/machines/list.html", context)


@require_safe
def machine(request, machine_id):
    """Show one machine: its facts, who has it, its loans so far, and what may be done with it."""
    return render(request, "loaners/machines/machine.html", _page_of(request, _machine_or_404(machine_id)))


def _machine_or_404(machine_id: int, *, lock: bool = False) -> Machine:
    there = Machine.objects.select_related("machine_class")
    return get_object_or_404(there.select_for_update(of=("self",)) if lock else there, pk=machine_id)


def _page_of(request, row: Machine, form: ReasonForm | None = None, verb: str = "") -> dict:
    at = moment_of(request)
    loans = row.requests.select_related("bug", "bug__text").order_by("-handed_over_at", "-pk")[:LOANS]
    [held] = machine_rows.held_for(request.user, machine_rows.with_loans(Machine.objects.filter(pk=row.pk)), at)
    may_change = access.may_change_machines(request.user)
    reason = machines.why_suggested(row) if row.state == MachineState.AVAILABLE else None
    return {
        "machine": row,
        "held": held,
        "loans": rows_for(request.user, loans, at),
        "suggestion": reason,
        "buttons": _buttons(held, form, verb) if may_change else [],
        "may_change": may_change,
        "timeline": timeline(row.about),
    }


def _buttons(held, form: ReasonForm | None, tried: str) -> list[dict]:
    return [
        {
            "verb": verb,
            "label": label,
            "address": reverse(name, args=[held.machine.pk]),
            "asks": asks,
            "form": form if verb == tried else None,
        }
        for verb, (name, label, asks) in BUTTONS.items()
        if not machines.why_not(verb, held.machine, held.loan)
    ]


@require_POST
def move(request, machine_id, verb):
    """Do one verb to a machine by hand."""
    row = _machine_or_404(machine_id)
    form = ReasonForm(request.POST, verb=verb)
    if not form.is_valid() and not machines.why_not(verb, row, machines.loan_of(row)):
        return render(request, "loaners/machines/machine.html", _page_of(request, row, form, verb), status=422)
    try:
        machines.do_by_hand(verb, row, by=request.user, reason=form.cleaned_data.get("reason", ""))
    except NotAllowed as problem:
        messages.warning(request, str(problem))
    else:
        messages.success(request, f"{row} is {row.get_state_display().lower()} now.")
    return redirect("machine", row.pk)


@require_http_methods(["GET", "HEAD", "POST"])
def add_machine(request):
    """Put a new machine into the pool."""
    return _edit(request, Machine())


@require_http_methods(["GET", "HEAD", "POST"])
@transaction.atomic  # what the form compares stays so until it is saved
def edit_machine(request, machine_id):
    """Change the facts of a machine."""
    return _edit(request, _machine_or_404(machine_id, lock=request.method == "POST"))


def _edit(request, row: Machine):
    form = MachineForm(request.POST if request.method == "POST" else None, machine=row)
    if request.method == "POST" and form.is_valid():
        try:
            return _save(request, row, form)
        except NotAllowed as problem:
            form.add_error("host", str(problem))
    status = 422 if form.errors else 200
    return render(request, "loaners/machines/form.html", {"form": form, "machine": row}, status=status)


def _save(request, row: Machine, form: MachineForm):
    if row.pk is None:
        row = Machine(**form.facts)
        machines.add(row, request.user)
        messages.success(request, f"{row} is in the pool now.")
    elif machines.change(row, request.user, form.facts):
        messages.success(request, f"{form.facts['host']} was changed.")
    else:
        messages.success(request, f"Nothing was changed: {row} stood there so already.")
    return redirect("machine", row.pk)


@require_http_methods(["GET", "HEAD", "POST"])
def import_machines(request):
    """Take a file of machines, and show what it would change; nothing is saved."""
    if request.method != "POST":
        return _import_page(request, ImportForm(label_suffix=""))
    form = ImportForm(request.POST, request.FILES, label_suffix="")
    if not form.is_valid():
        return _import_page(request, form, status=422)
    text, name = form.cleaned_data["file"], machine_import.name_of(request.FILES["file"].name)
    return _preview(request, form.sheet, {"text": text, "name": name})


@require_POST
def confirm_import(request):
    """Do what the preview showed; where the pool changed meanwhile, show anew what would be done now."""
    try:
        sheet, kept = machine_import.opened(request.POST.get("import", ""), request.user)
    except NotAllowed as problem:
        messages.warning(request, str(problem))
        return redirect("import_machines")
    try:
        done = machine_import.do(sheet, kept["shown"], request.user, kept["name"])
    except machine_import.Outdated:
        return _preview(request, sheet, kept, outdated=True)
    said = f"{len(done.added)} added, {len(done.changed)} changed, {done.same} left as they were"
    messages.success(request, f"{kept['name']} is in the pool: {said}, {len(done.refused)} refused.")
    return redirect("machines")


def _preview(request, sheet, kept: dict, *, outdated: bool = False):
    planned = machine_import.plan(sheet)
    context = {
        "plan": planned,
        "sheet": sheet,
        "name": kept["name"],
        "outdated": outdated,
        "sealed": machine_import.seal(kept["text"], kept["name"], planned, request.user),
    }
    return _import_page(request, ImportForm(label_suffix=""), context, status=409 if outdated else 200)


def _import_page(request, form: ImportForm, context: dict | None = None, status: int = 200):
    known = {
        "plan": None,
        "form": form,
        "columns": machine_sheet.COLUMNS,
        "classes": MachineClass.objects.all(),
        "states": MachineState.values,
    }
    return render(request, "loaners/machines/import.html", known | (context or {}), status=status)
