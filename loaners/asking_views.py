"""The page on which a developer asks for a loaner, and the page that shows how the request gets on."""

import secrets

from django.conf import settings
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from ciduty import access
from ciduty.desk.context import moment_of
from ciduty.outbox import changes
from ciduty.states import NotAllowed
from ciduty.typed import MOST_ID
from ciduty.working_time import NoWorkingTime
from loaners import asking, rules
from loaners.asking_bug import about_debugged_bug, fields_of
from loaners.asking_forms import AskForm
from loaners.asking_open import still_open
from loaners.asking_progress import progress_of, visible_applications
from loaners.models import Application, MachineClass


@require_http_methods(["GET", "HEAD", "POST"])
def request_loaner(request):
    """Ask for a loaner: the quicker way first, then the rules and the questions."""
    if request.method != "POST":
        return _page(request, _form(request, initial=_initial(request)))
    token = request.POST.get("key", "")
    before = asking.sent_before(request.user, token) if token.isalnum() else None
    if before is not None:
        return redirect("loaner_application", before.pk)
    form = _form(request, request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    application = form.application()
    if "preview" in request.POST:
        return _page(request, form, preview=fields_of(application))
    try:
        application = asking.ask(application, again=form.cleaned_data.get("again", False))
    except (NotAllowed, changes.Unwritable) as problem:
        form.add_error(None, str(problem))
        return _page(request, form, status=422)
    return redirect("loaner_application", application.pk)


@require_safe
def loaner_application(request, application_id):
    """Show how an application gets on: written down, on its way, filed, waiting for an answer."""
    if application_id > MOST_ID:
        raise Http404
    application = get_object_or_404(visible_applications(request.user), pk=application_id)
    at = moment_of(request)
    progress = progress_of(application, request.user)
    context = {
        "progress": progress,
        "application": application,
        "row": progress.update,
        "answer_by": _answer_by(application),
        "debugged": about_debugged_bug(application.debugging_bug, request.user) if application.debugging_bug else "",
        "is_own": application.person_id == request.user.pk,
        "may_see_outbox": access.may_see_outbox(request.user),
        "at": at,
    }
    part = "loaners/asking/_progress.html" if request.htmx else "loaners/asking/progress.html"
    return render(request, part, context)


def _form(request, *args, **kwargs) -> AskForm:
    request.open_requests = still_open(request.user)
    return AskForm(*args, person=request.user, at=moment_of(request), open_requests=request.open_requests, **kwargs)


def _initial(request) -> dict:
    """Return what stands in a new form; `?class=...&bug=...` comes from links in documents and other tools."""
    last = Application.objects.filter(person=request.user).order_by("-pk").first()
    zone = last.time_zone if last else ""
    return {
        "key": secrets.token_hex(8),
        "machine_class": request.GET.get("class", "")[:60],
        "debugging_bug": request.GET.get("bug", "")[:10],
        "until": asking.until_by_default(moment_of(request), zone),
        "access": last.access if last else "SSH",
        "time_zone": zone,
    }


def _page(request, form: AskForm, *, preview: dict | None = None, status: int = 200):
    classes = list(MachineClass.objects.filter(is_lent=True))
    context = {
        "form": form,
        "preview": preview,
        "on_cc": ", ".join(preview.get("cc", [])) if preview else "",
        "quicker": [one for one in classes if one.self_service_url],
        "nothing_is_lent": not classes,
        "open_requests": request.open_requests,
        "is_known_to_bugzilla": request.user.bugzilla_logins.exists(),
    }
    return render(request, "loaners/asking/ask.html", context, status=status)


def _answer_by(application: Application):
    """Return by when CiDuty answers, counted from the moment of asking, or None where the desk never opens."""
    try:
        return rules.answer_by(settings.CIDUTY_CALENDAR, application.asked_at, [])
    except NoWorkingTime:
        return None
