"""The public downtimes as a calendar file (RFC 5545): one event each, under the same UID for its whole life.

Status and impact are those of MAINTNOTE, so that other teams' tools can read them. Which words are shown: `showing.py`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse
from icalendar import Calendar, Event, vText

from downtimes.rules import Close
from downtimes.showing import PublicFacts, PublicItem, Standing

#: How a downtime stands -> STATUS of the event (RFC 5545, 3.8.1.11), which is that of its MAINTNOTE too.
STATUS = {
    Standing.RUNNING: "CONFIRMED",
    Standing.OVERDUE: "CONFIRMED",
    Standing.PLANNED: "CONFIRMED",
    Standing.WAITING: "CONFIRMED",
    Standing.HELD: "TENTATIVE",
    Standing.CHANGING: "TENTATIVE",
    Standing.POSTPONED: "TENTATIVE",
    Standing.DONE: "CONFIRMED",
    Standing.LAPSED: "TENTATIVE",  # it was never run, and nobody has called it off
    Standing.CANCELLED: "CANCELLED",
}
#: What only MAINTNOTE has a word for.
MAINTNOTE = {Standing.RUNNING: "IN-PROCESS", Standing.OVERDUE: "IN-PROCESS", Standing.DONE: "COMPLETED"}
IMPACT = {Close.SOFT: "DEGRADED", Close.HARD: "OUTAGE"}


def calendar(downtimes: Iterable[PublicFacts]) -> bytes:
    """Return the calendar file: the same bytes for the same facts, so that its hash tells whether it changed."""
    file = Calendar()
    file.add("prodid", "-//ciduty//downtimes//EN")
    file.add("version", "2.0")
    file.add("method", "PUBLISH")
    file.add("x-wr-calname", f"Tree closures, {settings.CIDUTY_TEAM}")
    for facts in downtimes:
        file.add_component(_event(facts))
    return file.to_ical()


def uid_of(number: int) -> str:
    """Return the name of a downtime's event, which never changes."""
    return f"downtime-{number}@{urlsplit(settings.SITE_URL).hostname}"


def _event(facts: PublicFacts) -> Event:
    event = Event()
    event.add("uid", uid_of(facts.pk))
    event.add("sequence", facts.sequence)
    event.add("dtstamp", _utc(facts.told_at))
    event.add("last-modified", _utc(facts.told_at))
    event.add("dtstart", _utc(facts.starts_at))
    if facts.ends_at is not None:
        event.add("dtend", _utc(facts.ends_at))
    event.add("summary", facts.title)
    event.add("description", description(facts))
    event.add("status", STATUS[facts.standing])
    event.add("url", f"{settings.SITE_URL.rstrip('/')}{reverse('downtime', args=[facts.pk])}")
    event.add("transp", "TRANSPARENT")  # it takes nobody's time, unless they want to push
    event.add("x-maintnote-provider", vText(settings.CIDUTY_TEAM))
    event.add("x-maintnote-maintenance-id", vText(uid_of(facts.pk)))
    for tree in facts.trees:
        event.add("x-maintnote-object-id", vText(tree))
    if facts.close in IMPACT:
        event.add("x-maintnote-impact", vText(IMPACT[facts.close]))
    event.add("x-maintnote-status", vText(MAINTNOTE.get(facts.standing, STATUS[facts.standing])))
    return event


def description(facts: PublicFacts) -> str:
    """Return the words of the event, from what people typed for the public."""
    parts = [
        facts.standing.label + (f": {facts.because}" if facts.because else ""),
        facts.close_in_words + (f" ({', '.join(facts.trees)})" if facts.trees else ""),
        facts.reason,
        "\n".join(_work(item) for item in facts.items),
        _titled("What will not work", facts.what_stops),
        _titled("What keeps working", facts.what_keeps_working),
        _titled("Effect on releases", facts.effect_on_releases),
        _titled("How to object", facts.how_to_object),
        f"Tracking bug: {facts.tracking_bug}" if facts.tracking_bug else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _work(item: PublicItem) -> str:
    number = f"Bug {item.bug}" + (f" ({item.outcome})" if item.outcome else "")
    return ": ".join(filter(None, [number, item.text]))


def _titled(title: str, words: str) -> str:
    return f"{title}: {words}" if words else ""


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
