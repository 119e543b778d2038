"""A change as a line of a list, as HTML.

Made here and not in a template: fifty lines with thirty tags each took longer than all the rest of the page. Each word
that comes from outside goes through `escape`.
"""

from html import escape
from urllib.parse import quote

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe

from changelog.public.shown import Shown


def line(one: Shown, taken_back_by: tuple[int, ...], takes_back: tuple[int, ...]) -> SafeString:
    """Return one change of a list: when, what, what it meant, and all that it can be found by."""
    undone = ' class="undone"' if one.is_withdrawn or taken_back_by else ""
    there = f' <span class="utc">{one.there}</span>' if one.there else ""
    impact = f'<p class="impact">{escape(one.impact)}</p>\n' if one.impact else ""
    because = f'<p class="impact">Withdrawn because: {escape(one.because)}</p>\n' if one.because else ""
    return mark_safe(
        f'<li{undone}>\n<time datetime="{one.iso}">{one.clock}{there}</time>\n'
        f'<div><p class="what">{_heading(one, taken_back_by, takes_back)}</p>\n{impact}{because}'
        f'<p class="facts-line">{_facts(one)}</p></div>\n</li>'
    )


def _heading(one: Shown, taken_back_by: tuple[int, ...], takes_back: tuple[int, ...]) -> str:
    marks = [' <span class="state withdrawn">Withdrawn</span>'] if one.is_withdrawn else []
    marks += [f' <a class="state backed-out" href="/changes/{pk}/">Backed out</a>' for pk in taken_back_by]
    marks += [f' <a class="state backs-out" href="/changes/{pk}/">Backs out another</a>' for pk in takes_back]
    return f'<a href="{one.path}">{escape(one.summary)}</a>{"".join(marks)}'


def _facts(one: Shown) -> str:
    """Return what sort of change it is, where, by whom, for which bug; each filter that it answers is a link."""
    parts = [f'<span class="kind">{escape(one.kind_label)}</span>']
    if one.system:
        parts.append(f'<a href="?system={quote(one.system_slug)}">{escape(one.system)}</a>')
    parts += [f'<a href="?pool={quote(pool, safe="")}">{escape(pool)}</a>' for pool in one.pools]
    parts += [f"<span>{escape(name)}</span>" for name in (*one.platforms, *one.repositories)]
    if one.author:
        parts.append(f"<span>{escape(one.author)}</span>")
    parts += [_bug(bug) for bug in one.bugs]
    return " ".join(parts)


def _bug(bug: int) -> str:
    if not settings.BUGZILLA_URL:
        return f"<span>bug {bug:d}</span>"
    return f'<a href="{escape(settings.BUGZILLA_URL)}/show_bug.cgi?id={bug:d}">bug {bug:d}</a>'
