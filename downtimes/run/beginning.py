"""The announced time has come: begin, or hold it back and let it go ahead. The words: templates/downtimes/mail/."""

from datetime import datetime

from django.db import transaction

from ciduty import clock, states
from ciduty.record import write
from ciduty.states import NotAllowed
from downtimes import change_events, telling
from downtimes import facts as plan_facts
from downtimes import rules as plan_rules
from downtimes.models import Downtime, Told
from downtimes.rules import MOVES, State
from downtimes.run import before, closing, facts, locking, rules


@transaction.atomic
def begin(downtime: Downtime, *, by) -> Downtime:
    """Begin to run it, and keep how its trees stand; pressed twice, it begins once.

    Raises NotAllowed with every reason, of the plan and of the run.
    """
    locking.want_ciduty(by)
    downtime = telling.lock(downtime)
    if downtime.state == State.RUNNING:
        return downtime
    if not MOVES.allow("begin", downtime.state):
        state = downtime.get_state_display().lower()
        raise NotAllowed(f"This downtime is {state}: only one that was announced begins. Look at its plan.")
    at = clock.now()
    against = why_not_begin(downtime, at, by)
    if against:
        raise NotAllowed(" ".join(against))
    rows = before.keep(downtime)
    sentence = f"Began, with {len(rows)} {'tree' if len(rows) == 1 else 'trees'} to close"
    states.move(
        downtime, MOVES, "begin", sentence, by=by, at=at, begun_at=at, planned_end=downtime.ends_at,
        reason=closing.reason_of(downtime), revision=downtime.revision + 1,
    )  # fmt: skip
    change_events.tell(downtime, at)
    return downtime


def why_not_begin(downtime: Downtime, at: datetime, by) -> list[str]:
    """Return every sentence that stands against beginning now, of the plan first; none: it may begin."""
    planned = plan_rules.refusals("begin", plan_facts.facts_of(downtime, at))
    return planned + rules.refusals("begin", facts.facts_of(downtime, at, by))


# --- on hold ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def hold(downtime: Downtime, *, by, because: str) -> Downtime:
    """Keep it from beginning, and tell everyone who was told; held twice, it is held once (R28)."""
    downtime = locking.lock(downtime, {State.ANNOUNCED}, "only one that was announced is held back", by=by)
    if downtime.held_at is not None:
        return downtime
    telling.want_reason(because, "on hold", downtime)
    at = clock.now()
    words = telling.words_of(downtime, because, by)
    mails = telling.everyone(downtime, Told.HOLD, words, because=because, by=by, at=at)
    return _set_hold(downtime, at, because.strip(), "hold", "Held it back, with the reason to everyone who was told",
                     mails, by, at)  # fmt: skip


@transaction.atomic
def go_ahead(downtime: Downtime, *, by, because: str) -> Downtime:
    """Let it go ahead after it was held, and tell everyone who was told; where nothing is held, nothing is done."""
    downtime = locking.lock(downtime, {State.ANNOUNCED}, "only one that is held back goes ahead", by=by)
    if downtime.held_at is None:
        return downtime
    telling.want_reason(because, "going ahead", downtime)
    at = clock.now()
    too_late = rules.TIME_IS_NOT_OVER.refuses(rules.RunFacts(at=at, ends_at=downtime.ends_at))
    if too_late:
        raise NotAllowed(too_late)
    words = telling.words_of(downtime, because, by)
    mails = telling.everyone(downtime, Told.GO_AHEAD, words, because=because, by=by, at=at)
    return _set_hold(downtime, None, "", "go ahead", "Let it go ahead, and everyone who was told hears of it",
                     mails, by, at)  # fmt: skip


def _set_hold(downtime: Downtime, held_at, because: str, verb: str, sentence: str, mails, by, at: datetime) -> Downtime:
    Downtime.objects.filter(pk=downtime.pk).update(
        held_at=held_at, held_because=because, sequence=downtime.sequence + 1, revision=downtime.revision + 1
    )
    write.entry(downtime.about, verb, sentence, by=by, at=at, caused=mails)
    downtime.refresh_from_db()
    change_events.tell(downtime, at)
    return downtime
