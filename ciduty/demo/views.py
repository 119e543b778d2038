"""Signs somebody in as a role of the demo world, without a password.

Refuses outside the demo, whatever the site map says.
"""

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from ciduty.people.models import Person
from ciduty.people.roles import Role


@require_POST
def demo_sign_in(request):
    """Become the demo person of a role; `public` signs out."""
    if not settings.DEMO:
        raise Http404
    role = request.POST.get("role", "")
    if role == Role.PUBLIC:
        logout(request)
        return redirect("front_door")
    # The demo's people only, each named by its role: any other account still needs its password.
    person = get_object_or_404(Person, username=role, role=role, is_active=True)
    login(request, person, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("front_door")
