"""What makes a page one for everybody: no session, the same bytes for all, kept by caches for a minute, an ETag.

The tag is made of public things alone: how often anything public changed, the address, and this program. A change that
is held or proposed moves none of them. Early answers to a cache that asks again: `conditional.py`.
"""

import hashlib
import hmac
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from urllib.parse import parse_qsl

from django.conf import settings
from django.db import connection
from django.http import Http404, HttpResponse, HttpResponseNotModified
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils.http import parse_etags

from changelog.models import PublicVersion
from changelog.rules import PUBLIC_AGE
from ciduty import __version__
from ciduty.desk.context import moment_of

#: What a page's look depends on beside the database; a new program makes new tags.
_FROM_SETTINGS = ("SITE_URL", "BUGZILLA_URL", "CIDUTY_TEAM", "CIDUTY_CHANNEL", "STATIC_URL")
_LOOKS = ("changelog/**/*.py", "ciduty/templatetags/*.py", "templates/base.html", "templates/changelog/**/*.html")
_VERSION = f"SELECT value FROM {PublicVersion._meta.db_table} WHERE id = 1"


def public(view: Callable | None = None, *, daily: bool = False) -> Callable:
    """Let a view answer everybody alike: what it gives for GET and HEAD is kept for a minute and has an ETag.

    `daily`: what it shows depends on which day it is. The view must not ask who is signed in. Where it raises Http404,
    the answer is the same whether a change is held or does not exist.
    """
    if view is None:
        return lambda wrapped: public(wrapped, daily=daily)

    @wraps(view)
    def for_everybody(request, *args, **kwargs):
        if request.method not in ("GET", "HEAD"):
            return view(request, *args, **kwargs)
        # Made before the view looks: what changes meanwhile makes the next tag another one.
        tag = tag_of(request, str(moment_of(request).date()) if daily else "")
        if is_known(request, tag):
            return not_modified(tag)
        try:
            response = view(request, *args, **kwargs)
        except Http404:
            return answer(request, "changelog/public/not_here.html", {}, status=404)
        if response.status_code == 200:
            _mark(response, tag)
        return response

    return for_everybody


def answer(request, template: str, context: dict, status: int = 200) -> HttpResponse:
    """Return a page in the frame that everybody sees alike; nothing of it asks the database."""
    return HttpResponse(render_to_string(template, _frame(request) | context), status=status)


def tag_of(request, day: str = "") -> str:
    """Return the ETag of an address as things stand now. One query, of one row."""
    with connection.cursor() as cursor:
        cursor.execute(_VERSION)
        row = cursor.fetchone()
    # In one order: a cache must not keep the same question twice.
    query = sorted(parse_qsl(request.META.get("QUERY_STRING", ""), keep_blank_values=True))
    parts = (str(row[0] if row else 0), request.path_info, repr(query), day, _program(), *_chosen())
    return f'"{hmac.new(settings.SECRET_KEY.encode(), repr(parts).encode(), hashlib.sha256).hexdigest()[:32]}"'


def is_known(request, tag: str) -> bool:
    """Answer whether whoever asks has this very answer already (RFC 9110, 13.1.2: a weak comparison)."""
    known = parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))
    return tag in (one.removeprefix("W/") for one in known)


def not_modified(tag: str) -> HttpResponse:
    """Return the answer to whoever has it already."""
    response = HttpResponseNotModified()
    _mark(response, tag)
    return response


def _mark(response: HttpResponse, tag: str) -> None:
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = f"public, max-age={PUBLIC_AGE}"


def _frame(request) -> dict:
    return {
        "public": True,
        "navigation": [
            (label, address, request.path == address, 0) for label, address in _navigation() if address is not None
        ],
        "team": settings.CIDUTY_TEAM,
        "channel": settings.CIDUTY_CHANNEL,
        "bugzilla_url": settings.BUGZILLA_URL,
        "ciduty_version": __version__,
    }


@lru_cache(maxsize=1)
def _navigation() -> list[tuple[str, str | None]]:
    pages = {"Downtimes": "downtimes", "Trees": "trees", "Changes": "changes", "What broke it?": "before_it_broke"}
    return [(label, address_of(name)) for label, name in pages.items()]


def address_of(name: str) -> str | None:
    """Return the address of a page, or None where this installation has none."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return None


@lru_cache(maxsize=1)
def _program() -> str:
    """Return what tells this program from another one: its version, and what its public pages are made of."""
    look = hashlib.sha256(__version__.encode())
    for pattern in _LOOKS:
        for path in sorted(Path(settings.BASE_DIR).glob(pattern)):
            look.update(path.read_bytes())
    return look.hexdigest()


def _chosen() -> list[str]:
    return [str(getattr(settings, name)) for name in _FROM_SETTINGS]
