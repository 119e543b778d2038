"""Atom and JSON Feed of what was published or changed last, for any filter of the log.

The newest news come first: an old commit that is published late still reaches every reader. An entry keeps its id for
ever; what was withdrawn is told as withdrawn. Text was cleaned where it was stored, and is cleaned again at this
border: one control character would take the feed from everybody (safety.md 1.13).
"""

import json
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import escape
from django.views.decorators.http import require_safe

from changelog import find
from changelog.public import filters
from changelog.public.page import public
from changelog.public.shown import Shown, in_both, shown
from ciduty.bugzilla.cleaning import clean_line, clean_text

#: An entry is named by the site and its number, in the scheme of RFC 4151: both stay when the site's paths change.
_TAG = "tag:{host},2026:change/{pk}"
_LONGEST = 20_000
_A_FEED_OF_NOTHING = datetime(2026, 1, 1, tzinfo=UTC)


@public
@require_safe
def atom(request):
    """Give the news as Atom (RFC 4287)."""
    query, problems = filters.read(request.GET)
    if problems:
        return _refused(problems)
    try:
        news = find.news(query)
    except find.TooBroad as trouble:
        return _refused({"q": str(trouble)})
    feed = Atom1Feed(
        title=_title(query),
        link=_page(query),
        description="",
        feed_url=_absolute("changes_atom", query),
        author_name=clean_line(settings.CIDUTY_TEAM, 120),
        feed_guid=_absolute("changes_atom", query),
        language="en",
    )
    for change in news:
        one = shown(change)
        feed.add_item(
            title=clean_line(one.headline, 400) or f"Change {one.pk}",
            link=one.url,
            description="".join(f"<p>{escape(line)}</p>" for line in told(one)),
            unique_id=entry_id(one),
            pubdate=_in_utc(one.published_at),
            updateddate=_in_utc(one.changed_at),
            author_name=clean_line(one.author, 200) or None,
            categories=[clean_line(name, 200) for name in categories(one)],
        )
    if not news:
        feed.latest_post_date = lambda: _A_FEED_OF_NOTHING  # nothing happened: the clock alone makes no news
    return HttpResponse(feed.writeString("utf-8"), content_type=Atom1Feed.content_type)


@public
@require_safe
def json_feed(request):
    """Give the news as JSON Feed 1.1 (jsonfeed.org)."""
    query, problems = filters.read(request.GET)
    if problems:
        return _refused(problems)
    try:
        news = [shown(change) for change in find.news(query)]
    except find.TooBroad as trouble:
        return _refused({"q": str(trouble)})
    body = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": _title(query),
        "home_page_url": _page(query),
        "feed_url": _absolute("changes_json_feed", query),
        "language": "en",
        "authors": [{"name": clean_line(settings.CIDUTY_TEAM, 120)}],
        "items": [_item(one) for one in news],
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return HttpResponse(text.encode(), content_type="application/feed+json; charset=utf-8")


def _item(one: Shown) -> dict:
    item = {
        "id": entry_id(one),
        "url": one.url,
        "title": clean_line(one.headline, 400),
        "content_text": "\n".join(told(one)),
        "date_published": _in_utc(one.published_at).isoformat(),
        "date_modified": _in_utc(one.changed_at).isoformat(),
        "tags": [clean_line(name, 200) for name in categories(one)],
        "_ciduty": {
            "state": one.state,
            "at": one.at.isoformat(),
            "authored_at": one.authored and one.authored.isoformat(),
            "landed_at": one.landed and one.landed.isoformat(),
            "effective_at": one.effective and one.effective.isoformat(),
            "bugs": list(one.bugs),
        },
    }
    return item | ({"authors": [{"name": clean_line(one.author, 200)}]} if one.author else {})


def told(one: Shown) -> list[str]:
    """Return what an entry says below its title, line by line: impact first, each moment with its own zone."""
    lines = [f"Withdrawn: {one.because or 'it does not stand any more.'}"] if one.is_withdrawn else []
    lines += [one.impact] if one.impact else []
    moments = (("Took effect", one.effective), ("Landed", one.landed), ("Written", one.authored))
    lines += [f"{name}: {in_both(at)}" for name, at in moments if at is not None]
    named = (
        ("System", [one.system] if one.system else []), ("Kind", [one.kind_label]), ("Worker pools", one.pools),
        ("Platforms", one.platforms), ("Landed in", one.repositories), ("Author", [one.author] if one.author else []),
        ("Bugs", [str(bug) for bug in one.bugs]),
    )  # fmt: skip
    lines += [f"{name}: {', '.join(values)}" for name, values in named if values]
    return [clean_text(line, _LONGEST).replace("\n", " ").replace("\t", " ") for line in lines]


def entry_id(one: Shown) -> str:
    """Return the id of a change in every feed, for ever."""
    return _TAG.format(host=urlsplit(settings.SITE_URL).hostname, pk=one.pk)


def categories(one: Shown) -> list[str]:
    """Return by what a reader may sort it."""
    named = [one.kind, one.system_slug, *one.pools, *one.repositories]
    return [name for name in named if name] + (["withdrawn"] if one.is_withdrawn else [])


def _title(query: find.Query) -> str:
    said = filters.in_words(query)
    return clean_line("Changes of CI" if said == "everything" else f"Changes of CI: {said}", 300)


def _absolute(name: str, query: find.Query) -> str:
    asked = filters.canonical(query)
    return f"{settings.SITE_URL}{reverse(name)}{'?' if asked else ''}{asked}"


def _page(query: find.Query) -> str:
    return _absolute("changes", query)


def _in_utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _refused(problems: dict[str, str]) -> HttpResponse:
    text = "".join(f"{name}: {problem}\n" for name, problem in problems.items())
    return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")
