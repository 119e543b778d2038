"""What Bugzilla told us about loaner requests: reads the mirror, never the network, and keeps each request's clock."""

import hashlib
from datetime import datetime

from django.conf import settings
from django.db import transaction

from ciduty import clock
from ciduty.bugzilla.models import ActorKind, Bug, BugEvent
from ciduty.people.models import ciduty_logins
from ciduty.working_time import NoWorkingTime
from loaners import rules
from loaners.models import LoanerRequest, SyncState

_FOLLOWED = ["opened_at", "answer_by", "paused_since", "answered_at", "answered_with", "closed_at"]
AT_ONCE = 500


def follow() -> int:
    """Bring every request up to what the mirror has seen since the last time; returns how many were looked at.

    When somebody joins or leaves CiDuty, or the working hours change, all of them are looked at again.
    """
    logins = ciduty_logins()
    basis = hashlib.sha256(repr((sorted(logins), settings.CIDUTY_CALENDAR)).encode()).hexdigest()
    state, _ = SyncState.objects.get_or_create(pk=1)
    since = state.stamp if state.logins_fingerprint == basis else 0
    bugs = Bug.objects.filter(is_loaner_request=True).changed_since(since)
    newest, seen = state.stamp, 0
    moment = clock.now()
    while batch := list(bugs[seen : seen + AT_ONCE]):
        with transaction.atomic():
            _bring_up(batch, logins, moment)
        seen += len(batch)
        newest = max(newest, batch[-1].stamp)
    if seen or since != state.stamp:
        SyncState.objects.filter(pk=1).update(stamp=newest, logins_fingerprint=basis)
    return seen


def _bring_up(bugs: list[Bug], logins: frozenset[str], moment: datetime) -> None:
    known = LoanerRequest.objects.in_bulk([bug.pk for bug in bugs])
    events: dict[int, list[BugEvent]] = {}
    for event in BugEvent.objects.filter(bug__in=[bug.pk for bug in bugs]):
        _recognise(event, logins)
        events.setdefault(event.bug_id, []).append(event)
    rows = [_request(bug, known.get(bug.pk), events.get(bug.pk, []), moment) for bug in bugs if bug.created_at]
    LoanerRequest.objects.bulk_create(rows, update_conflicts=True, unique_fields=["bug"], update_fields=_FOLLOWED)


def _recognise(event: BugEvent, logins: frozenset[str]) -> None:
    """Somebody may have been mapped to CiDuty after they wrote: where the login is still known, it decides."""
    if event.by and event.by_kind in {ActorKind.CIDUTY, ActorKind.OTHER}:
        event.by_kind = ActorKind.CIDUTY if event.by in logins else ActorKind.OTHER


def _request(bug: Bug, before: LoanerRequest | None, events: list[BugEvent], moment: datetime) -> LoanerRequest:
    row = LoanerRequest(bug_id=bug.pk, opened_at=rules.asked_at(bug.created_at, events))
    answer = rules.first_answer(events)
    if answer:
        row.answered_at, row.answered_with = answer.at, answer.kind
    if not bug.is_open:
        row.closed_at = (before and before.closed_at) or bug.changed_at
        return row
    if answer is None:
        row.paused_since = rules.paused_since(events)
        so_far = rules.pauses(events, until=row.paused_since or moment)
        try:
            row.answer_by = rules.answer_by(settings.CIDUTY_CALENDAR, row.opened_at, so_far)
        except NoWorkingTime:
            row.answer_by = None
    return row
