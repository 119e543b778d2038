"""The list of loaner requests and the page of one, as they are looked at. What is done with them: `loan_views.py`."""

from django.core.paginator import Paginator
from django.shortcuts import render
from django.views.decorators.http import require_safe

from ciduty import access, csv_files
from ciduty.desk.context import moment_of
from ciduty.desk.freshness import freshness
from ciduty.people.models import logins_of
from loaners import loan_page, queue
from loaners.models import MachineClass
from loaners.queue import Chosen
from loaners.rows import rows_for
from loaners.rules import RequestState

PAGE = 50
MOST_IN_A_FILE = 10_000


@require_safe
def loaner_requests(request):
    """List the requests of one tab that are looked for; for a developer their own. `format=csv`: all of them."""
    at = moment_of(request)
    everybodys = access.may_see_every_loaner_request(request.user)
    tabs = queue.tabs_of_ciduty(at) if everybodys else queue.tabs_of_requester()
    first = next(iter(tabs))
    shown = request.GET.get("show") if request.GET.get("show") in tabs else first
    chosen = Chosen.of(request.GET)
    looked_for = chosen.among(queue.visible(request.user), request.user, at)
    found = looked_for.filter(tabs[shown].which).order_by(*tabs[shown].order)
    if request.GET.get("format") == "csv":
        rows = queue.listed(rows_for(request.user, found[:MOST_IN_A_FILE], at))
        return csv_files.download("loaner-requests.csv", queue.CSV_HEADER, queue.csv_rows(rows))
    counts = queue.counts(looked_for, tabs)
    page = Paginator(found, PAGE)
    page.count = counts[shown]
    page = page.get_page(request.GET.get("page"))
    asked = request.GET.copy()
    for name in ("page", "show", "format"):
        asked.pop(name, None)
    context = {
        "page": page,
        "rows": queue.listed(rows_for(request.user, page, at)),
        "shown": shown,
        "choices": [(name, tab.label, counts[name]) for name, tab in tabs.items()],
        "chosen": chosen,
        "asked": asked.urlencode(),
        "classes": MachineClass.objects.values_list("name", flat=True),
        "states": [*RequestState.choices, (queue.DUE_SOON, "Due soon"), (queue.OVERDUE, "Overdue")],
        "freshness": freshness(at),
        "own_only": not everybodys,
        "logins": [] if everybodys else sorted(logins_of(request.user)),
    }
    return render(request, "loaners/_list.html" if request.htmx else "loaners/list.html", context)


@require_safe
def loaner_request(request, bug_id):
    """Show one request: how it stands, what can be done now, every interval that its clock counted."""
    row = loan_page.visible_or_404(request.user, bug_id)
    if request.htmx:
        context = loan_page.parts(request, row)
        context["changed"] = "seen" in request.GET and request.GET["seen"] != context["seen"]
        return render(request, "loaners/_parts.html", context | {"polled": True})
    return render(request, "loaners/detail.html", loan_page.whole(request, row))
