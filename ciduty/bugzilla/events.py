"""Turns a bug's comments and history into events: who acted when, in the terms of a clock. Keeps no words."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from ciduty.bugzilla import values
from ciduty.bugzilla.models import ActorKind, BugEvent, EventKind

#: History writes flags as `needinfo?(somebody@example.com)`, several in one entry, folded per second.
_NEEDINFO = re.compile(r"\bneedinfo\?(?:\(([^()\s]*)\))?")


@dataclass(frozen=True)
class Roles:
    """Who is who, as Bugzilla logins in lower case."""

    ciduty: frozenset[str]
    bot: str

    def kind(self, login: str, requester: str) -> ActorKind:
        """Return what somebody is to a request; the requester stays one even where CiDuty asks for itself."""
        if not login:
            return ActorKind.OTHER  # a deleted account; a bot or requester without a login is not the same nobody
        if login == self.bot:
            return ActorKind.BOT
        if login == requester:
            return ActorKind.REQUESTER
        return ActorKind.CIDUTY if login in self.ciduty else ActorKind.OTHER


def of_bug(
    bug: values.Bug,
    comments: Iterable[values.Comment],
    history: Iterable[values.FieldChange],
    roles: Roles,
    restricted: bool,
) -> list[BugEvent]:
    """Return the unsaved events of a bug, oldest first. For a restricted bug they hold no login."""
    found = [_event(bug, EventKind.COMMENT, comment.by, comment.at) for comment in comments if comment.number > 0]
    history = list(history)
    for change in history:
        found += _of_change(bug, change)
    found += _arrival(bug, history)
    found += _untold_needinfos(bug, found)
    for event in found:
        event.by_kind = roles.kind(event.by, bug.creator)
        event.asks_requester = bool(bug.creator) and event.needinfo_of == bug.creator
        if restricted:
            event.by = event.needinfo_of = ""
    return sorted(found, key=lambda event: event.at)


def _event(bug, kind, by, at, needinfo_of="") -> BugEvent:
    return BugEvent(bug_id=bug.id, kind=kind, by=by, at=at, needinfo_of=needinfo_of)


def _of_change(bug: values.Bug, change: values.FieldChange) -> list[BugEvent]:
    if change.field == "assigned_to":
        taken = change.added and not change.added.lower().startswith("nobody@")
        return [_event(bug, EventKind.ASSIGNED, change.by, change.at)] if taken else []
    if change.field in {"status", "bug_status"}:
        closed = change.added in {"RESOLVED", "VERIFIED", "CLOSED"}
        was_closed = change.removed in {"RESOLVED", "VERIFIED", "CLOSED"}
        if closed and not was_closed:
            return [_event(bug, EventKind.CLOSED, change.by, change.at)]
        return [_event(bug, EventKind.REOPENED, change.by, change.at)] if was_closed and not closed else []
    if change.field == "flagtypes.name":
        asked = _NEEDINFO.findall(change.added)
        cleared = _NEEDINFO.findall(change.removed)
        return [
            *(_event(bug, EventKind.NEEDINFO_CLEARED, change.by, change.at, login.lower()) for login in cleared),
            *(_event(bug, EventKind.NEEDINFO_SET, change.by, change.at, login.lower()) for login in asked),
        ]
    return []


def _arrival(bug: values.Bug, history: list[values.FieldChange]) -> list[BugEvent]:
    """Return when a bug that was filed elsewhere first came to the loan requests."""
    loans = {component for _, component in settings.CIDUTY_LOANER_COMPONENTS}
    moves = [change for change in history if change.field == "component"]
    if not moves or moves[0].removed in loans:
        return []  # it was filed here
    arrivals = [change for change in moves if change.added in loans]
    return [_event(bug, EventKind.MOVED_HERE, change.by, change.at) for change in arrivals[:1]]


def _untold_needinfos(bug: values.Bug, told: list[BugEvent]) -> list[BugEvent]:
    """Return what history did not tell of needinfos, so that those that wait at its end are those the bug carries.

    A needinfo set while filing may stand in no history, one whose flag type was removed is cleared by nobody, and what
    one person did within a second is told as cleared first and set then, whatever the order was.
    """
    untold, waiting = [], defaultdict(list)
    set_at = {(event.needinfo_of, event.at) for event in told if event.kind == EventKind.NEEDINFO_SET}
    for event in sorted(told, key=lambda event: event.at):
        if event.kind == EventKind.NEEDINFO_SET:
            waiting[event.needinfo_of].append(event.at)
        elif event.kind == EventKind.NEEDINFO_CLEARED:
            if waiting[event.needinfo_of]:
                waiting[event.needinfo_of].pop()
            elif (event.needinfo_of, event.at) not in set_at:
                untold.append(_event(bug, EventKind.NEEDINFO_SET, bug.creator, bug.created_at, event.needinfo_of))
    carried = defaultdict(list)
    for flag in sorted(bug.flags, key=lambda flag: flag.created_at):
        if flag.name == "needinfo" and flag.status == "?":
            carried[flag.requestee].append(flag)
    for login in waiting.keys() | carried.keys():
        more = len(carried[login]) - len(waiting[login])
        untold += [
            _event(bug, EventKind.NEEDINFO_SET, flag.setter, flag.created_at, login)
            for flag in carried[login][: max(0, more)]
        ]
        # Nobody knows when it went: its time is not taken off the promise.
        untold += [_event(bug, EventKind.NEEDINFO_CLEARED, "", at, login) for at in waiting[login][: max(0, -more)]]
    return untold
