"""The mails about digests as their readers see them: the one that asks, and the digest itself. Sends nothing.

Plain text of 72 columns. What a stranger typed into a filter stands in no mail that asks: it could be anybody's
advertisement in anybody's mailbox.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from changelog.digests import rules
from changelog.digests.news import News
from changelog.models import Subscription
from changelog.models.digests import Rhythm
from changelog.public.shown import Shown
from ciduty.outbox.composing import LONGEST_SUBJECT, WIDTH

#: Where the words of a change begin, behind the time of its day: "  14:05  ".
_INDENT = " " * 9
OF_NO_SYSTEM = "Other changes"


@dataclass(frozen=True)
class Letter:
    """A mail's subject and its text."""

    subject: str
    text: str


def question(subscription: Subscription, token: str, at: datetime) -> Letter:
    """Ask an address whether it wants a digest; the same words whatever is known of it."""
    page = settings.SITE_URL + reverse("confirm_digest", args=[token])
    until, rhythm = _moment(at + rules.CONFIRM_WITHIN), rhythm_in_words(subscription.rhythm)
    return _rendered("question", page=page, until=until, rhythm=rhythm, is_filtered=bool(subscription.query))


def digest(
    subscription: Subscription, news: News, since: datetime, until: datetime, *, words: str, leave: str
) -> Letter:
    """Tell what is new. `words`: the filter in words, "" for everything; `leave`: the address that ends it."""
    changes_page = settings.SITE_URL + reverse("changes")
    return _rendered(
        "digest",
        news=news,
        since=_moment(since),
        until=_moment(until),
        day=_day(until.astimezone(settings.CIDUTY_CALENDAR.tzinfo)),
        is_weekly=subscription.rhythm == Rhythm.WEEKLY,
        words=words,
        published="\n".join(_by_day(news.published)),
        withdrawn="\n\n".join(_entry(one, with_day=True) for one in news.withdrawn),
        restored="\n\n".join(_entry(one, with_day=True) for one in news.restored),
        changes_page=f"{changes_page}?{subscription.query}" if subscription.query else changes_page,
        rhythm=rhythm_in_words(subscription.rhythm),
        leave=leave,
    )


def _rendered(template: str, **context) -> Letter:
    context |= {"team": settings.CIDUTY_TEAM, "channel": settings.CIDUTY_CHANNEL}
    subject, _, text = render_to_string(f"changelog/digests/mail/{template}.txt", context).partition("\n")
    return Letter(textwrap.shorten(subject, LONGEST_SUBJECT, placeholder=" …"), text.strip("\n") + "\n")


def rhythm_in_words(rhythm: str) -> str:
    """Return when a digest comes, within a sentence: `every day at 08:00 (Europe/Bucharest)`."""
    label = Rhythm(rhythm).label
    return f"{label[0].lower()}{label[1:]} at {rules.LEAVES_AT:%H:%M} ({settings.CIDUTY_CALENDAR.zone})"


def _moment(at: datetime) -> str:
    utc = at.astimezone(UTC)
    return f"{utc:%a} {utc.day} {utc:%b %H:%M}"


def _day(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


# --- lines ------------------------------------------------------------------------------------------------------------


def _by_day(changes: tuple[Shown, ...]) -> Iterator[str]:
    """Yield the lines of each day, the newest first; in a day by system, in a system by time."""
    newest_first = sorted(changes, key=lambda one: one.utc, reverse=True)
    for day, of_day in groupby(newest_first, key=lambda one: one.utc.date()):
        title = f"{day:%A} {day.day} {day:%B %Y}"
        yield f"\n{title}\n{'=' * len(title)}"
        in_order = sorted(of_day, key=lambda one: (not one.system, one.system.casefold(), one.utc, one.pk))
        for system, of_system in groupby(in_order, key=lambda one: one.system):
            yield f"\n{_wrapped(system or OF_NO_SYSTEM, '')}\n"
            yield "\n\n".join(_entry(one) for one in of_system)


def _entry(one: Shown, *, with_day: bool = False) -> str:
    """Write one change: its impact first, then what was done, why it was withdrawn, its permalink."""
    said = f"{one.kind_label}: {one.summary}"
    lines = [one.impact, said] if one.impact else [said]
    if one.because:
        lines.append(f"Why it was withdrawn: {one.because}")
    first = f"  {_day(one.utc)} {one.clock}\n{_INDENT}" if with_day else f"  {one.clock}  "
    body = "\n".join(_wrapped(line, _INDENT) for line in lines)
    return f"{first}{body.removeprefix(_INDENT)}\n{_INDENT}{one.url}"


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
