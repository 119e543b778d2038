"""Stores what Bugzilla said, and takes away what may no longer be kept. Asks nobody over the network.

A batch is stored in one savepoint; where the database refuses it, each bug is tried in a savepoint of its own, so that
one bad bug is set aside alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from django.conf import settings
from django.db import DatabaseError, models, transaction

from ciduty.bugzilla import values, visibility
from ciduty.bugzilla.models import (
    Bug,
    BugEvent,
    BugText,
    MirrorStamp,
    Quarantine,
    Visibility,
)

log = structlog.get_logger(__name__)

_KEPT = [
    "status",
    "resolution",
    "is_open",
    "visibility",
    "held_back",
    "offered",
    "is_loaner_request",
    "carries_flag",
    "moved_away",
    "flags",
    "created_at",
    "changed_at",
    "not_visible_since",
]
_WORDS = [
    "summary",
    "whiteboard",
    "alias",
    "product",
    "component",
    "creator",
    "creator_name",
    "assignee",
    "assignee_name",
    "groups",
    "flag_people",
    "original_sha256",
]


@dataclass
class Tally:
    """What a cycle did to the mirror."""

    read: int = 0
    changed: int = 0
    hidden: int = 0
    set_aside: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """When bugs were read: by our clock and by Bugzilla's."""

    at: datetime
    server_time: datetime


def store(bugs: list[values.Bug], reading: Reading, tally: Tally) -> None:
    """Store the bugs as they were read, each wholly or, where the database refuses it, set aside alone."""
    try:
        with transaction.atomic():
            _store_together(bugs, reading, tally)
    except (DatabaseError, ValueError) as error:  # psycopg2 raises ValueError for what it cannot send at all
        if len(bugs) == 1:
            set_aside(bugs[0].id, f"the database refuses it ({type(error).__name__})", reading.at, tally)
            return
        for bug in bugs:
            store([bug], reading, tally)


def _store_together(bugs: list[values.Bug], reading: Reading, tally: Tally) -> None:
    known = Bug.objects.select_related("text").in_bulk([bug.id for bug in bugs])
    fresh, words, unchanged = [], [], []
    hidden = 0
    for bug in bugs:
        before = known.get(bug.id)
        row = _row(bug, before)
        text = None if row.visibility == Visibility.RESTRICTED else _text(bug)
        if before is not None and _same(before, row, text):
            unchanged.append(bug.id)
            continue
        fresh.append(row)
        if text:
            words.append(text)
        elif before is not None and before.visibility != Visibility.RESTRICTED:
            hidden += 1
    _write(fresh, words, reading)
    if unchanged:
        Bug.objects.filter(pk__in=unchanged).update(read_at=reading.at, read_server_time=reading.server_time)
    Quarantine.objects.filter(bug_id__in=[bug.id for bug in bugs]).delete()
    tally.read += len(bugs)
    tally.changed += len(fresh)
    tally.hidden += hidden


def _write(rows: list[Bug], words: list[BugText], reading: Reading) -> None:
    if not rows:
        return
    stamp = next_stamp()
    for row in rows:
        row.read_at, row.read_server_time, row.stamp = reading.at, reading.server_time, stamp
    Bug.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=[*_KEPT, "read_at", "read_server_time", "stamp"],
    )
    _forget_words([row.pk for row in rows if row.visibility == Visibility.RESTRICTED])
    BugText.objects.bulk_create(words, update_conflicts=True, unique_fields=["bug"], update_fields=_WORDS)


def hide(bug_ids: Iterable[int], reading: Reading, tally: Tally) -> None:
    """Take away the words of bugs that this key can no longer see; number, status, flags and times stay.

    A bug that was never mirrored leaves no row.
    """
    bug_ids = list(bug_ids)
    rows = Bug.objects.filter(pk__in=bug_ids, not_visible_since=None)
    with transaction.atomic():
        ids = list(rows.values_list("pk", flat=True))
        _forget_words(ids)
        tally.hidden += Bug.objects.filter(pk__in=ids).update(
            visibility=Visibility.RESTRICTED,
            offered=Visibility.RESTRICTED,
            held_back=True,
            not_visible_since=reading.at,
            read_at=reading.at,
            read_server_time=reading.server_time,
            stamp=next_stamp(),
        )
        # Of all of them: one that was set aside before it was ever mirrored would stay so for ever.
        Quarantine.objects.filter(bug_id__in=bug_ids).delete()


def set_aside(bug_id: int, problem: str, at: datetime, tally: Tally, was_read: bool = False) -> None:
    """Put one bug into quarantine; what is stored of it stays, and every poll tries it again.

    Unless the bug itself `was_read`, nobody knows whether it is still public: its words are shown to nobody until it
    can be read again (design.md, decision 3: its last full read succeeded).
    """
    tally.set_aside[bug_id] = problem
    if not was_read:
        shown = Bug.objects.filter(pk=bug_id).exclude(visibility=Visibility.RESTRICTED)
        if shown.exists():
            shown.update(visibility=Visibility.RESTRICTED, stamp=next_stamp())
    log.warning("A bug could not be read and is set aside.", bug=bug_id, problem=problem)
    row, created = Quarantine.objects.get_or_create(
        bug_id=bug_id, defaults={"problem": problem[:300], "since": at, "last_tried_at": at}
    )
    if not created:
        row.problem, row.last_tried_at, row.tries = problem[:300], at, row.tries + 1
        row.save()


def hold_back(bug: Bug) -> None:
    """Take a bug's words away because a person says that they are sensitive, whatever Bugzilla says.

    They stay away until a person releases them (design.md, decision 3).
    """
    with transaction.atomic():
        Bug.objects.filter(pk=bug.pk).update(held_back=True, visibility=Visibility.RESTRICTED, stamp=next_stamp())
        _forget_words([bug.pk])


def release(bug: Bug) -> None:
    """Let a bug's words be shown again as Bugzilla offers them; the next poll reads it and who acted in it anew.

    Nothing happens when a poll has found it restricted again meanwhile.
    """
    offered = Bug.objects.filter(pk=bug.pk).exclude(offered=Visibility.RESTRICTED)
    offered.update(held_back=False, read_server_time=None, conversation_read_at=None)


def next_stamp() -> int:
    """Return a stamp that is larger than every one before."""
    MirrorStamp.objects.get_or_create(pk=1)
    MirrorStamp.objects.filter(pk=1).update(value=models.F("value") + 1)
    return MirrorStamp.objects.values_list("value", flat=True).get(pk=1)


def _forget_words(bug_ids: list[int]) -> None:
    if bug_ids:
        BugText.objects.filter(pk__in=bug_ids).delete()
        BugEvent.objects.filter(bug_id__in=bug_ids).update(by="", needinfo_of="")


def _row(bug: values.Bug, before: Bug | None) -> Bug:
    offer = visibility.offered(bug.groups, settings.CIDUTY_STAFF_GROUPS)
    held_back = offer == Visibility.RESTRICTED or (before is not None and before.held_back)
    is_request_now = (bug.product, bug.component) in settings.CIDUTY_LOANER_COMPONENTS
    was_request = before is not None and before.is_loaner_request
    return Bug(
        id=bug.id,
        status=bug.status,
        resolution=bug.resolution,
        is_open=bug.is_open,
        visibility=visibility.decided(offer, held_back),
        held_back=held_back,
        offered=offer,
        is_loaner_request=is_request_now or was_request,
        moved_away=was_request and not is_request_now,  # said, never acted upon (safety.md F12)
        carries_flag=any(flag.name == settings.CIDUTY_TREECLOSURE_FLAG for flag in bug.flags),
        flags=[
            {
                "id": flag.id,
                "name": flag.name,
                "status": flag.status,
                "created_at": flag.created_at.isoformat(),
                "set_at": flag.set_at.isoformat(),
            }
            for flag in bug.flags
        ],
        created_at=bug.created_at,
        changed_at=bug.changed_at,
        not_visible_since=None,
    )


def _text(bug: values.Bug) -> BugText:
    return BugText(
        bug_id=bug.id,
        summary=bug.summary,
        whiteboard=bug.whiteboard,
        alias=bug.alias,
        product=bug.product,
        component=bug.component,
        creator=bug.creator,
        creator_name=bug.creator_name,
        assignee=bug.assignee,
        assignee_name=bug.assignee_name,
        groups=list(bug.groups),
        flag_people={str(flag.id): [flag.setter, flag.requestee] for flag in bug.flags},
        original_sha256=bug.original_sha256,
    )


def _same(before: Bug, row: Bug, text: BugText | None) -> bool:
    if any(getattr(before, name) != getattr(row, name) for name in _KEPT):
        return False
    kept = getattr(before, "text", None)
    if text is None or kept is None:
        return text is None and kept is None
    return all(getattr(kept, name) == getattr(text, name) for name in _WORDS)
