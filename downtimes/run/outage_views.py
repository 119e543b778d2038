"""The outage without a plan: one page, from "the trees must be closed" to everybody told."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from ciduty.desk.context import moment_of
from ciduty.outbox import post
from ciduty.states import NotAllowed
from downtimes.models import Downtime, ListUse, MailingList
from downtimes.run import outage
from downtimes.run.outage_forms import OutageForm

SHOW = "show"


@require_http_methods(["GET", "HEAD", "POST"])
def add_outage(request):
    """Close trees now and tell everybody; or show the mail first, as it would go."""
    is_sent = request.method == "POST"
    first = {"op": post.new_op(), "trees": request.GET.getlist("tree")[:1]}
    form = OutageForm(request.POST if is_sent else None, initial=first)
    mail = None
    if is_sent and form.is_valid():
        asked = _asked(request, form)
        if SHOW in request.POST:
            mail = _mail(request, asked)
        else:
            try:
                made = outage.begin_outage(by=request.user, op=form.cleaned_data["op"], **asked)
            except NotAllowed as problem:
                form.add_error(None, str(problem))
            else:
                messages.success(request, _said(made))
                return redirect("run_downtime", made.pk)
    context = {
        "form": form,
        "mail": mail,
        "lists": MailingList.objects.filter(use=ListUse.ANNOUNCE, is_used=True),
        "running": Downtime.objects.under_way().order_by("pk"),
    }
    return render(request, "downtimes/run/outage.html", context, status=422 if form.errors else 200)


def _asked(request, form: OutageForm) -> dict:
    typed = form.cleaned_data
    within = form.expected_within
    return {name: typed[name] for name in ("category", "reason", "bug", "text")} | {
        "trees": form.names,
        "expected_end": moment_of(request) + within if within else None,
    }


def _mail(request, asked: dict) -> dict:
    text = asked.pop("text")
    draft = outage.drafted(by=request.user, at=moment_of(request), **asked)
    subject, body = outage.mail_of(draft, text, request.user)
    return {"subject": subject, "body": body}


def _said(downtime: Downtime) -> str:
    trees = len(downtime.trees)
    told = downtime.announcements.exists()
    return f"{trees} tree{' is' if trees == 1 else 's are'} to be closed: what polling sees of it stands below. " + (
        "Every list is told." if told else "No list is told: none is written down yet."
    )
