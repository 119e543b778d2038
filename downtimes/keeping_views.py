"""The lead's page: which lists are told of downtimes, who is asked to agree, where one looks. Changes: `keeping.py`."""

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from ciduty.people.models import Approver, Person
from ciduty.record.timeline import timeline
from ciduty.states import NotAllowed
from downtimes import keeping
from downtimes.keeping_forms import ApproverForm, LinkForm, ListForm
from downtimes.models import CheckLink, MailingList

#: Where a form stands on the page.
_PLACES = {ListForm: "lists", ApproverForm: "approvers", LinkForm: "links"}


@require_safe
def lists_and_approvers(request):
    """Show every list and every approver, each with its form."""
    return _page(request)


@require_POST
def keep_list(request):
    """Add a list, or change the one whose number was sent."""
    row = _row(request, MailingList)
    return _keep(request, ListForm(request.POST, row=row), keeping.keep_list)


@require_POST
def keep_approver(request):
    """Add an approver, or change the one whose number was sent."""
    row = _row(request, Approver)
    return _keep(request, ApproverForm(request.POST, row=row), keeping.keep_approver)


@require_POST
def keep_check_link(request):
    """Add a link of the run sheet, or change the one whose number was sent."""
    row = _row(request, CheckLink)
    return _keep(request, LinkForm(request.POST, row=row), keeping.keep_check_link)


def _row(request, model):
    number = request.POST.get("id", "")
    if not number:
        return model()
    return get_object_or_404(
        model, pk=int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else 0
    )


def _keep(request, form, keep):
    if form.is_valid():
        try:
            row = keep(form.row, form.facts, by=request.user)
        except NotAllowed as problem:
            form.add_error(None, str(problem))
        else:
            messages.success(request, f"Saved: {row}.")
            return redirect("lists_and_approvers")
    return _page(request, refused=form)


def _page(request, refused=None):
    people = list(Person.objects.filter(is_active=True).order_by("name", "username"))
    approvers = list(Approver.objects.select_related("person", "alternate"))
    offered = {"people": people, "alternates": [one for one in approvers if one.is_active]}
    forms = {
        "lists": [ListForm(row=row) for row in MailingList.objects.all()] + [ListForm()],
        "approvers": [ApproverForm(row=row, **offered) for row in approvers] + [ApproverForm(**offered)],
        "links": [LinkForm(row=row) for row in CheckLink.objects.all()] + [LinkForm()],
    }
    if refused is not None:
        _put_back(forms[_PLACES[type(refused)]], refused)
    context = forms | {"warnings": keeping.warnings(), "refused": refused, "timeline": timeline(keeping.LISTS)}
    status = 200 if refused is None else 422
    return render(request, "downtimes/keeping/lists_and_approvers.html", context, status=status)


def _put_back(forms: list, refused) -> None:
    """Show what was typed and what is wrong with it in the place of the row that it belongs to."""
    for position, form in enumerate(forms):
        if form.row.pk == refused.row.pk:
            forms[position] = refused
