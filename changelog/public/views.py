"""The log by day, one change, and the strip of how much changed when: for everybody, without a session."""

from django.conf import settings
from django.http import Http404, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_safe

from changelog import find
from changelog.models import Change
from changelog.public import density as strip
from changelog.public import filters, listing, one
from changelog.public.page import address_of, answer, public
from changelog.rules import Kind, Platform
from ciduty.desk.context import moment_of
from ciduty.systems.models import System
from ciduty.typed import MOST_ID


@public(daily=True)  # systems and people get other names without any change being touched
@require_safe
def changes(request):
    """Show what changed, by day, newest first; every question is an address to keep."""
    if any(value == "" for value in request.GET.values()):
        return _without_empty(request)
    query, problems = filters.read(request.GET)
    page, problem = find.Page([], ""), ""
    if not problems:
        try:
            page = find.page(query, request.GET.get("cursor", ""))
        except (find.BadCursor, find.TooBroad) as trouble:
            problem = str(trouble)
    asked = filters.canonical(query)
    context = {
        "days": listing.days(page.changes),
        "problems": problems,
        "problem": problem,
        "is_later_page": "cursor" in request.GET,
        "newest_first": f"?{asked}",
        "next_page": _with(asked, cursor=page.next_cursor) if page.next_cursor else "",
    }
    return answer(request, "changelog/public/list.html", context | _asking(request, query, asked))


@public(daily=True)
@require_safe
def density(request):
    """Draw how many changes each day, week or month holds; each bar leads to its changes."""
    query, problems = filters.read(request.GET)
    asked = filters.canonical(query)
    drawn = strip.strip(query, request.GET.get("span", ""), moment_of(request).date())
    context = {"strip": drawn, "problems": problems}
    return answer(request, "changelog/public/density.html", context | _asking(request, query, asked))


@public(daily=True)
@require_safe
def change(request, change_id):
    """Show all that everybody may know of one change."""
    row = Change.objects.public().select_related("system").filter(pk=min(change_id, MOST_ID)).first()
    if row is None:
        raise Http404
    return answer(request, "changelog/public/change.html", one.everything(row) | {"site_url": settings.SITE_URL})


def _without_empty(request):
    """Lead to the address that the filter's form means: a browser sends its empty fields too."""
    kept = QueryDict(mutable=True)
    for name, values in request.GET.lists():
        kept.setlist(name, [value for value in values if value])
    asked = kept.urlencode()
    return HttpResponseRedirect(f"{reverse('changes')}{'?' if asked else ''}{asked}")


def _asking(request, query: find.Query, asked: str) -> dict:
    """Return what the filter's form shows: what was typed, what may be chosen, where the same is read otherwise."""
    return {
        "typed": {name: request.GET.get(name, "") for name in filters.NAMES},
        "asked": asked,
        "narrowed": filters.parts(query),
        "more_filters": any(request.GET.get(name) for name in filters.NAMES if name != "q"),
        "systems": System.objects.in_use().values_list("slug", "title"),
        "kinds": Kind.choices,
        "platforms": Platform.choices,
        "digests": address_of("digests"),
    }


def _with(asked: str, **further: str) -> str:
    address = QueryDict(asked, mutable=True)
    for name, value in further.items():
        address[name] = value
    return f"?{address.urlencode()}"
