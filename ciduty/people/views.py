"""Signing in, and the lead's pages: who is who, with which role and which Bugzilla logins."""

import structlog
from django.contrib import messages
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from ciduty.people.forms import PersonForm, SignInForm
from ciduty.people.models import Person

log = structlog.get_logger(__name__)


class SignIn(LoginView):
    """The sign-in page; somebody who is signed in already is sent on."""

    template_name = "people/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True


@require_safe
def people(request):
    """List everybody with role and Bugzilla logins."""
    everybody = Person.objects.order_by("-is_active", "role", "username").prefetch_related("bugzilla_logins")
    return render(request, "people/list.html", {"everybody": everybody})


@require_http_methods(["GET", "HEAD", "POST"])
def add_person(request):
    """Add somebody."""
    return _edit(request, Person(), "Added")


@require_http_methods(["GET", "HEAD", "POST"])
def person(request, person_id):
    """Change somebody's role, logins or password."""
    if person_id >= 2**63:
        raise Http404
    return _edit(request, get_object_or_404(Person, pk=person_id), "Saved")


@transaction.atomic  # the form's look at the other leads holds until the row is saved
def _edit(request, somebody, done):
    form = PersonForm(request.POST if request.method == "POST" else None, instance=somebody)
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        log.info("A person was changed.", person=saved.pk, role=saved.role, by=request.user.pk)
        messages.success(request, f"{done}: {saved}.")
        return redirect("people")
    return render(
        request, "people/person.html", {"form": form, "somebody": somebody}, status=200 if not form.errors else 422
    )
