"""Downtimes that were announced, for tests of what the public sees: told as announcing tells them. Tests nothing."""

from datetime import UTC, datetime, timedelta

from ciduty.bugzilla.models import Visibility
from downtimes import showing, versions
from downtimes.models import Announcement, Downtime, Told
from downtimes.rules import State
from tests.cast import BugTextFactory, DowntimeFactory, ItemFactory

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 11, 4, 12, tzinfo=UTC)  # a Wednesday

#: What somebody may type, or an older ciduty may have let through.
HOSTILE = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "{{ 7|add:7 }}", "]]>&amp;&#x3C;", "'; DROP--",
    "a\u202eb", "a\x00b", "\ud800", "END:VEVENT\r\nBEGIN:VEVENT", "x" * 900,
]  # fmt: skip


def tell(downtime, kind=Told.ANNOUNCEMENT, at=None, **fields):
    """Write down a round of mails about a downtime as it stands now, as announcing does."""
    at = at or NOON
    version = versions.newest(downtime)
    if kind in showing.TOLD:
        version = versions.freeze(downtime, by=downtime.made_by, at=at, answers_until=at)
    number = downtime.announcements.count() + 1
    made = Announcement.objects.create(
        downtime=downtime, kind=kind, version=version, batch=f"{downtime} {kind} {number}", text="Mail.",
        made_by=downtime.made_by, made_at=at, **fields,
    )  # fmt: skip
    state = {Told.POSTPONEMENT: State.DRAFT, Told.CANCELLATION: State.CANCELLED}.get(kind, State.ANNOUNCED)
    Downtime.objects.filter(pk=downtime.pk).update(
        state=state, told_first_at=downtime.told_first_at or at, sequence=number - 1
    )
    downtime.refresh_from_db()
    return made


def announced(starts_in=2 * DAY, lasts=2 * HOUR, *, items=1, visibility=Visibility.PUBLIC, text=None, **fields):
    """Return a downtime that was announced, with work on bugs of this visibility."""
    fields = {
        "starts_at": NOON + starts_in, "ends_at": NOON + starts_in + lasts, "close": "hard",
        "trees": ["autoland", "mozilla-central"], "what_stops": "Landing.", "what_keeps_working": "Try.",
    } | fields  # fmt: skip
    downtime = DowntimeFactory(**fields)
    for number in range(items):
        bug = BugTextFactory(bug__visibility=visibility, bug__is_loaner_request=False).bug
        words = {"public_text": text} if text is not None else {}
        ItemFactory(downtime=downtime, bug_id=bug.pk, position=number + 1, confirmed_as=visibility, **words)
    tell(downtime)
    return downtime


def ran(starts_in, lasts=2 * HOUR, **fields):
    """Return a downtime that was announced, begun and ended on time, TREE OPEN told."""
    downtime = announced(starts_in, lasts, **fields)
    Downtime.objects.filter(pk=downtime.pk).update(
        state=State.DONE, begun_at=downtime.starts_at, open_at=downtime.ends_at
    )
    downtime.refresh_from_db()
    return downtime


def announced_with(content):
    """Return a downtime whose announced version holds this content, as if an older ciduty had let it through."""
    downtime = DowntimeFactory(state=State.ANNOUNCED, told_first_at=NOON)
    storable = {name: _storable(value) for name, value in content.items()}
    version = downtime.versions.create(
        number=1, subject="x", body="x", content=storable, sha256="x", made_by=downtime.made_by, made_at=NOON,
        answers_until=NOON,
    )  # fmt: skip
    Announcement.objects.create(
        downtime=downtime, kind=Told.ANNOUNCEMENT, version=version, batch="x", text="x", made_by=downtime.made_by,
        made_at=NOON,
    )  # fmt: skip
    return downtime


def _storable(value):
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return [{**one, "text": _storable(one["text"])} if isinstance(one, dict) else _storable(one) for one in value]


def facts(**changed):
    """Return what the public knows of a downtime, without any row."""
    known = {
        "pk": 1, "standing": showing.Standing.PLANNED, "title": "Switches in mdc1", "starts_at": NOON + DAY,
        "ends_at": NOON + DAY + HOUR, "close": "hard", "trees": ("autoland",), "tracking_bug": None, "items": (),
        "what_stops": "", "what_keeps_working": "", "effect_on_releases": "", "how_to_object": "",
        "emergency_because": "", "because": "", "sequence": 0, "first_told_at": NOON, "told_at": NOON,
    }  # fmt: skip
    return showing.PublicFacts(**(known | changed))
