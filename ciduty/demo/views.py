"""What there is only in the demo: signing in without a password, reading the mails, moving the clock.

Each refuses outside the demo, whatever the site map says.
"""

from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.db import transaction
from django.db.models import F
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from ciduty import bell, clock
from ciduty.bugzilla import tasks as polling
from ciduty.demo import mails, sandbox_clock
from ciduty.outbox.models import CHANNELS
from ciduty.people.models import Person
from ciduty.people.roles import Role
from loaners import reminders

STEPS = {
    "an hour": timedelta(hours=1),
    "a day": timedelta(days=1),
    "three days": timedelta(days=3),
    "a week": timedelta(weeks=1),
}


@require_POST
def demo_sign_in(request):
    """Become the demo person of a role; `public` signs out."""
    _only_in_the_demo()
    role = request.POST.get("role", "")
    if role == Role.PUBLIC:
        logout(request)
        return redirect("front_door")
    # The demo's people only, each named by its role: any other account still needs its password.
    person = get_object_or_404(Person, username=role, role=role, is_active=True)
    login(request, person, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("front_door")


@require_safe
def demo_mails(request):
    """List the mails that the sink has kept, the newest first."""
    _only_in_the_demo()
    return render(request, "demo/mails.html", {"mails": mails.newest()})


@require_safe
def demo_mail(request, mail_name):
    """Show one mail, with links that work."""
    _only_in_the_demo()
    mail = mails.named(mail_name)
    if mail is None:
        raise Http404
    return render(request, "demo/mail.html", {"mail": mail})


@require_POST
def demo_clock(request):
    """Move the clock of everything ahead, so that a newcomer sees what time brings: reminders, overdue loans."""
    _only_in_the_demo()
    step = request.POST.get("by", "")
    if step not in STEPS:
        raise Http404
    _move_clock(STEPS[step])
    written = reminders.remind()
    bell.ring(polling.poll_if_due.name, "sync")
    mail = f"{written} reminder{'s' if written != 1 else ''} of loans went out: see Mails." if written else ""
    messages.success(request, f"The demo’s clock is {step} further. {mail}".strip())
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return redirect(target)
    return redirect("front_door")


@transaction.atomic
def _move_clock(step: timedelta) -> None:
    """Move the clock of every process, the sandbox's too; what is on its way was not tried for days because of it."""
    clock.move(step)
    for model in CHANNELS:
        moments = {name: F(name) + step for name in ("due_since", "next_try_at", "lease_until")}
        model.objects.under_way().update(**moments)
    sandbox_clock.follow()


def _only_in_the_demo() -> None:
    if not settings.DEMO:
        raise Http404
