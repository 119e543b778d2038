"""The lead's pages of the keys that programs have: which there are, a new one, an end to one. Rules: `tokens.py`.

A key stands on one page alone, the answer to the form that made it: in no address, session, message, log or record.
"""

from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ciduty import access
from ciduty.desk.context import moment_of
from ciduty.people import tokens
from ciduty.people.models import ApiToken, TokenScope
from ciduty.people.token_forms import TokenForm
from ciduty.states import NotAllowed
from ciduty.typed import MOST_ID

#: So many keys that are dead are still shown, those made last.
MOST_DEAD = 50
#: So many that live: more programs than this nobody can answer for, and the page says so.
MOST_LIVING = 500


@dataclass(frozen=True)
class ShownToken:
    """A key on the page: never more of it than how it starts. `dead` is why it does not work, or ""."""

    token: ApiToken
    may: str
    dead: str


@require_safe
def api_tokens(request):
    """Show which programs have a key, whose, for what, until when, and when each was last used. Two queries."""
    at = moment_of(request)
    known = ApiToken.objects.select_related("person", "made_by")
    living = [_shown(token, at) for token in known.filter(revoked_at=None, expires_at__gt=at)[:MOST_LIVING]]
    ended = known.exclude(revoked_at=None, expires_at__gt=at)[:MOST_DEAD]
    context = {"living": living, "ended": [_shown(token, at) for token in ended], "most": MOST_LIVING}
    return render(request, "people/tokens.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("key")
def add_api_token(request):
    """Make a key, and show it this once."""
    form = TokenForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return _form(request, form)
    at, chosen = moment_of(request), form.cleaned_data
    try:
        token, key = tokens.make(
            chosen["person"], chosen["name"], chosen["scopes"], at + form.life, by=request.user, at=at
        )
    except NotAllowed as problem:
        form.add_error(None, str(problem))
        return _form(request, form)
    answer = render(request, "people/token_made.html", {"token": token, "key": key, "may": _may(token)})
    answer.headers["Cache-Control"] = "no-store"
    return answer


@require_POST
def revoke_api_token(request, token_id):
    """End a key at once."""
    if token_id > MOST_ID:
        raise Http404
    token = get_object_or_404(ApiToken.objects.select_related("person"), pk=token_id)
    if tokens.revoke(token, by=request.user):
        messages.success(request, f"The key “{token.name}” of {token.person} does not work any more.")
    else:
        messages.warning(request, f"The key “{token.name}” of {token.person} was revoked before.")
    return redirect("api_tokens")


def _form(request, form: TokenForm):
    who = {scope.label: _who_may(scope) for scope in TokenScope}
    return render(
        request, "people/token_form.html", {"form": form, "who": who.items()}, status=422 if form.errors else 200
    )


def _who_may(scope: TokenScope) -> str:
    """Return the names of the roles whose people may do what a scope lets a program do."""
    roles = access.RIGHTS[tokens.RIGHTS[scope]]
    return "everybody who signs in" if roles == access.SIGNED_IN else ", ".join(sorted(role.label for role in roles))


def _shown(token: ApiToken, at: datetime) -> ShownToken:
    return ShownToken(token, ", ".join(token.scopes), tokens.why_dead(token, at))


def _may(token: ApiToken) -> str:
    return ", ".join(TokenScope(scope).label.lower() for scope in token.scopes)
