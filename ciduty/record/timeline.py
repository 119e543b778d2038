"""One object's history as a reader sees it. What is written: `write.py`. How it looks: `_timeline.html`."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Window

from ciduty.record.models import Actor, Entry

#: What a page bears and a person reads; who wants the rest asks the database.
MOST_LINES = 200
_WHO = {Actor.CIDUTY: "ciduty", Actor.OUTSIDE: "somebody outside"}


@dataclass(frozen=True)
class Line:
    """That somebody did something; `on_behalf_of` is empty where they did it for themselves."""

    at: datetime
    who: str
    on_behalf_of: str
    verb: str
    sentence: str


class Timeline(list[Line]):
    """Lines, the oldest first. `left_out` says how many still older ones are not among them."""

    left_out = 0


def timeline(about: str, without: Collection[str] = ()) -> Timeline:
    """Return what happened to an object but for the verbs in `without`, the newest 200 entries of it. One query."""
    counted = Entry.objects.of(about).exclude(verb__in=without).annotate(in_all=Window(Count("pk")))
    newest = list(counted.order_by("-at", "-pk")[:MOST_LINES])
    lines = Timeline(_line(entry) for entry in reversed(newest))
    if newest:
        lines.left_out = newest[0].in_all - len(newest)
    return lines


def _line(entry: Entry) -> Line:
    who = _WHO.get(entry.actor) or str(entry.by)
    return Line(entry.at, who, str(entry.on_behalf_of or ""), entry.verb, entry.sentence)
