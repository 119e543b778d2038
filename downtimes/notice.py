"""Drafts the notice of a downtime from its window: the same window gives the same words, byte for byte.

Of a bug it says the number and what a person typed for the public, never a word of the mirror (design.md, decision 3).
How a version is frozen: `versions.py`.
"""

import re
from dataclasses import dataclass

from django.conf import settings
from django.template.loader import render_to_string

from ciduty.bugzilla.cleaning import clean_line, clean_text
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import composing
from downtimes import notice_times, rules
from downtimes.models import Downtime, Item
from downtimes.rules import Close

#: What a page may hold of one answer; the forms refuse more.
MOST = 10_000
TO_BE_CONFIRMED = "(text to be confirmed)"
_EMPTY_LINES = re.compile(r"\n{3,}")
_CLOSED = {
    Close.HARD: "Hard close: all the trees named here are closed for the whole window, and nobody can push to them.",
    Close.SOFT: "Soft close: autoland is closed for the whole window. The other trees stay open with a message of the "
    "day, and developers take care of their own restarts.",
}


@dataclass(frozen=True)
class Draft:
    """A mail's subject and body, as they would be sent now: cleaned, and wrapped at 72 columns."""

    subject: str
    body: str


@dataclass(frozen=True)
class SaidItem:
    """A piece of work, and what the notice says of it beside the bug's number; "" while nobody confirmed a text."""

    item: Item
    text: str


def draft(downtime: Downtime) -> Draft:
    """Return the notice as it would be sent now. Fields that were set and not saved count, for previews."""
    return drafted(downtime, items_as_said(downtime))


def drafted(downtime: Downtime, items: list[SaidItem]) -> Draft:
    """Return the notice for work that was looked up already."""
    title = clean_line(downtime.title, MOST)
    when = notice_times.subject_line(downtime.starts_at, downtime.ends_at)
    body = render_to_string("downtimes/mail/notice.txt", _words(downtime, title, items))
    kept = _EMPTY_LINES.sub("\n\n", "\n".join(line.rstrip() for line in body.split("\n")))
    return Draft(
        clean_line(f"[Downtime] {when}: {title}", composing.LONGEST_SUBJECT), composing.wrapped(kept.strip("\n"))
    )


def items_as_said(downtime: Downtime) -> list[SaidItem]:
    """Return its work in order, each with the text that may be said of it. Two queries."""
    items = list(downtime.items.all())
    visibility = dict(Bug.objects.filter(pk__in=[item.bug_id for item in items]).values_list("pk", "visibility"))
    return [SaidItem(item, _text_of(item, visibility.get(item.bug_id, Visibility.RESTRICTED))) for item in items]


def _text_of(item: Item, visibility: str) -> str:
    """Return the text of an item (R20): of a bug that is not public, only what was confirmed as the bug stands now."""
    is_confirmed = item.confirmed_by_id is not None and item.confirmed_as == visibility
    if visibility != Visibility.PUBLIC and not is_confirmed:
        return ""
    return clean_text(item.public_text, MOST).strip()


# --- the words --------------------------------------------------------------------------------------------------------


def _words(downtime: Downtime, title: str, items: list[SaidItem]) -> dict:
    """Return what the template is filled with: cleaned texts, and nothing that could hold a word of a bug."""
    return {
        "title": title,
        "times": notice_times.in_three_zones(downtime.starts_at, downtime.ends_at),
        "length": notice_times.length(downtime.starts_at, downtime.ends_at),
        "closed": _CLOSED.get(downtime.close, ""),
        "trees": ", ".join(clean_line(tree, MOST) for tree in downtime.trees),
        "items": [_line_of(said) for said in items],
        "tracking_bug": downtime.tracking_bug,
        "what_stops": _paragraphs(downtime.what_stops),
        "what_keeps_working": _paragraphs(downtime.what_keeps_working),
        "effect_on_releases": _paragraphs(downtime.effect_on_releases),
        "how_to_object": _paragraphs(downtime.how_to_object) or how_to_object(),
        "emergency": _emergency(downtime),
        "team": settings.CIDUTY_TEAM,
        "channel": settings.CIDUTY_CHANNEL,
        "self_serve_url": settings.CIDUTY_SELF_SERVE_URL,
        "end_to_end_url": settings.CIDUTY_END_TO_END_URL,
    }


def how_to_object() -> str:
    """Return how to object, for a notice whose author wrote nothing else."""
    return (
        f"Reply to this mail, or tell {settings.CIDUTY_TEAM} in {settings.CIDUTY_CHANNEL}, before the downtime starts. "
        "We would rather move it than surprise you."
    )


def _line_of(said: SaidItem) -> str:
    text = "\n  ".join(line.strip() for line in said.text.split("\n") if line.strip())
    return f"Bug {said.item.bug_id}: {text}" if text else f"Bug {said.item.bug_id} {TO_BE_CONFIRMED}"


def is_emergency(downtime: Downtime) -> bool:
    """Answer whether a reason and a manager allow less than 24 hours (design.md, decision 4): both are printed then."""
    manager = str(downtime.emergency_by or "")
    because = downtime.emergency_because
    return rules.is_emergency(rules.Facts(downtime.made_at, emergency_because=because, emergency_manager=manager))


def _emergency(downtime: Downtime) -> dict | None:
    if not is_emergency(downtime):
        return None
    manager = clean_line(str(downtime.emergency_by), MOST)
    return {"because": _paragraphs(downtime.emergency_because), "manager": manager}


def _paragraphs(text: str) -> str:
    return clean_text(text, MOST).strip()
