"""What Bugzilla told us about loaner requests: reads the mirror, never the network, and keeps each request's clock."""

import hashlib
from collections.abc import Collection
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from ciduty import clock
from ciduty.bugzilla.models import ActorKind, Bug, BugEvent
from ciduty.people.models import ciduty_logins
from ciduty.working_time import NoWorkingTime
from loaners import rules, settling
from loaners.models import AnsweredHere, LoanerRequest, SyncState
from loaners.requester import applicants, logins_known_of

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
    bugs = Bug.objects.filter(is_loaner_request=True).order_by("stamp", "pk")
    news = list(bugs.filter(Q(stamp__gt=since) | settling.LISTENING).values_list("pk", flat=True))
    newest, seen = state.stamp, 0
    moment = clock.now()
    while batch := list(bugs.filter(pk__in=news[seen : seen + AT_ONCE])):
        _bring_up(batch, logins, moment)
        seen += len(batch)
        newest = max(newest, batch[-1].stamp)
    if seen or since != state.stamp:
        SyncState.objects.filter(pk=1).update(stamp=newest, logins_fingerprint=basis)
    return seen


def look_at(bug_id: int, moment: datetime) -> None:
    """Bring one request up to date at once: something was said from here."""
    _bring_up(list(Bug.objects.filter(pk=bug_id, is_loaner_request=True)), ciduty_logins(), moment)


@transaction.atomic
def _bring_up(bugs: list[Bug], logins: frozenset[str], moment: datetime) -> None:
    known = LoanerRequest.objects.select_for_update().in_bulk([bug.pk for bug in bugs])
    events = events_of([bug.pk for bug in bugs], logins)
    for answer in AnsweredHere.objects.filter(request__in=[bug.pk for bug in bugs]):
        events.setdefault(answer.request_id, []).append(answer)
    rows = [_request(bug, known.get(bug.pk), events.get(bug.pk, []), moment) for bug in bugs if bug.created_at]
    LoanerRequest.objects.bulk_create(rows, update_conflicts=True, unique_fields=["bug"], update_fields=_FOLLOWED)
    settling.settle(bugs, known, events, moment)


def events_of(bug_ids: list[int], logins: frozenset[str]) -> dict[int, list[BugEvent]]:
    """Return what happened in these bugs as the clock counts it, by bug, the oldest first. `logins` are CiDuty's."""
    asked_here = {bug: logins_known_of(person) for bug, person in applicants(bug_ids).items()}
    events: dict[int, list[BugEvent]] = {}
    for event in BugEvent.objects.filter(bug__in=bug_ids):
        _recognise(event, logins, asked_here.get(event.bug_id, ()))
        events.setdefault(event.bug_id, []).append(event)
    return events


def _recognise(event: BugEvent, logins: frozenset[str], requester: Collection[str]) -> None:
    """Decide anew who acted, where the login is still known.

    Somebody may have been mapped to CiDuty after they wrote; and a bug that was filed from here has the bot as its
    reporter, while the requester is who asked (`requester`: their logins).
    """
    if event.by and event.by in requester:
        event.by_kind = ActorKind.REQUESTER
    elif event.by and event.by_kind in {ActorKind.CIDUTY, ActorKind.OTHER}:
        event.by_kind = ActorKind.CIDUTY if event.by in logins else ActorKind.OTHER
    if event.needinfo_of in requester:
        event.asks_requester = True


def _request(bug: Bug, before: LoanerRequest | None, events: list[BugEvent], moment: datetime) -> LoanerRequest:
    opened_at = rules.asked_at(bug.created_at, events)
    row = LoanerRequest(bug_id=bug.pk, opened_at=opened_at, state=settling.state_of_new(bug, events))
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
