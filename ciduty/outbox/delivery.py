"""Delivers rows: claims one under a lease, lets its sender try, writes down what came of it, tells its purpose.

The attempt is committed before the world is asked, so a sender that dies leaves a row that is seen (design.md, decision
1). How each is sent stands in `smtp.py`, `bug_writing.py` and `tree_writing.py`.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from ciduty import clock, states
from ciduty.leases import LeaseLost
from ciduty.outbox import bug_attempt, bug_writing, purposes, rules, smtp, tree_change, tree_writing
from ciduty.outbox.models import LAST_WORDS, BugUpdate, Delivery, Mail, TreeChange
from ciduty.outbox.rules import MOVES, Priority, State
from ciduty.record import write

log = structlog.get_logger(__name__)

#: Verb of the table -> what the tick says of it.
SAID = {
    "accept": "sent", "put off": "retried", "lose sight of": "retried", "park": "parked", "keep back": "held",
    "drop": "cancelled",
}  # fmt: skip


@dataclass(frozen=True)
class Channel:
    """One way out. `sender()` gives something with `send(row, holding) -> Outcome`, and closes what it opened."""

    name: str
    model: type[Delivery]
    sender: Callable[[], AbstractContextManager]


MAIL = Channel("mail", Mail, smtp.Postman)
BUGS = Channel("bug updates", BugUpdate, bug_writing.Writer)
TREES = Channel("tree changes", TreeChange, tree_writing.Writer)


#: Kind of a row -> how long its sender only looks after a write that nobody knows of, and where a person looks.
ONLY_LOOKS = {"bug": (bug_attempt.SETTLES_AFTER, "the bug"), "tree": (tree_change.SETTLES_AFTER, "the trees")}


@dataclass
class Holding:
    """A row in our hands, for as long as its lease is renewed."""

    row: Delivery
    renewed: float = field(default_factory=time.monotonic)

    def renew(self) -> None:
        """Prolong the lease from now. Raises LeaseLost when somebody else took the row over."""
        mine = type(self.row).objects.filter(pk=self.row.pk, fence=self.row.fence, state=State.SENDING)
        if not mine.update(lease_until=clock.now() + rules.LEASE):
            raise LeaseLost(f"{self.row} was taken over.")
        self.renewed = time.monotonic()

    def renew_when_old(self) -> None:
        """Renew after a quarter of the lease; to be called every few seconds while the world is waited for."""
        if time.monotonic() - self.renewed > rules.LEASE.total_seconds() / 4:
            self.renew()


def deliver(
    channel: Channel, *, seconds: float = 45, late_by: timedelta = timedelta(), only_urgent: bool = False
) -> Counter:
    """Deliver what is due, for so many seconds at most, and return how many rows were sent, retried, parked ...

    `late_by` leaves to others what has only just come due.
    """
    tally, until = Counter(), time.monotonic() + seconds
    tell_purposes(channel.model)
    with channel.sender() as sender:
        while time.monotonic() < until:
            row, ended = claim(channel.model, late_by=late_by, only_urgent=only_urgent)
            if ended:
                tally[SAID[ended]] += 1
                continue
            if row is None:
                break
            outcome = _send(sender, row)
            if outcome is None:
                continue
            if _settle(row, outcome):
                tally[SAID[outcome.verb]] += 1
            if outcome.server_is_out:
                break
    tell_purposes(channel.model)
    return tally


def _send(sender, row: Delivery):
    try:
        return sender.send(row, Holding(row))
    except LeaseLost:
        log.warning("A row was taken over while it was sent.", row=str(row))
        return None


def claim(model, *, late_by: timedelta = timedelta(), only_urgent: bool = False) -> tuple[Delivery | None, str]:
    """Take one row whose time has come and commit the attempt; returns it, or None and the verb that ended it."""
    with transaction.atomic():
        at = clock.now()
        row = _next(model, at, late_by, only_urgent)
        if row is None:
            return None, ""
        if row.state == State.SENDING:  # its sender died; what it did meanwhile nobody knows
            row.deaths += 1
        ended = _why_not(row, at)
        if ended is None:
            states.claim(
                row, MOVES, "claim", fence=row.fence + 1, lease_until=at + rules.LEASE, attempts=row.attempts + 1,
                tries=row.tries + 1, deaths=row.deaths, last_tried_at=at,
            )  # fmt: skip
            return row, ""
        verb, why = ended
        states.claim(row, MOVES, verb, last_words=why[:LAST_WORDS], deaths=row.deaths, hook_owed=verb != "keep back")
        _record(row, verb, why, at)
        return None, verb


def _next(model, at: datetime, late_by: timedelta, only_urgent: bool) -> Delivery | None:
    rows = model.objects.claimable(at - late_by).in_turn()
    if only_urgent:
        rows = rows.filter(priority=Priority.URGENT)
    elif model is Mail and _others_under_way(at) >= rules.OTHERS_AT_ONCE:
        rows = rows.filter(priority=Priority.URGENT)
    row = rows.order_by("priority", "next_try_at", "pk").select_for_update(skip_locked=True, of=("self",)).first()
    return row


def _others_under_way(at: datetime) -> int:
    return Mail.objects.filter(state=State.SENDING, priority__gt=Priority.URGENT, lease_until__gt=at).count()


def _why_not(row: Delivery, at: datetime) -> tuple[str, str] | None:
    """Return the verb that ends a row instead of its being sent, and why; None when it may go.

    A write of unknown outcome is looked for first: what was written is not held back any more.
    """
    uncertain_since = getattr(row, "uncertain_since", None)
    if uncertain_since is None:
        return _why_not_send(row, at)
    settles_after, where = ONLY_LOOKS[row.kind]
    if at - uncertain_since < settles_after and row.deaths < rules.MOST_DEATHS:
        return None
    ended = _why_not_send(row, at)
    return ended and (ended[0], f"It may have been written or not: look at {where}. {ended[1]}")


def _why_not_send(row: Delivery, at: datetime) -> tuple[str, str] | None:
    over = rules.is_over(due_since=row.due_since, not_after=row.not_after, at=at)
    if over and row.not_after is not None and at > row.not_after:
        return "drop", f"It was not sent: {over}."
    if over:
        return "park", f"It was given up: {over}. The last answer: {row.last_words or 'none'}"
    if row.erased_at is not None:
        return "drop", "Its words were erased: its bug is restricted."
    if row.deaths >= rules.MOST_DEATHS:
        return "park", f"Its sender died {row.deaths} times over it: see the log, then try again."
    purpose = purposes.named(row.purpose)
    if purpose is None:
        return "keep back", f"No part of this version of ciduty knows the purpose {row.purpose!r}."
    try:
        with transaction.atomic():
            stop = purpose.may_still_go(row)
    except Exception as problem:  # a hook's bug holds its own row, and the others leave
        log.exception("The check before sending failed.", row=str(row))
        return "keep back", f"The check before sending failed ({type(problem).__name__}): see the log, then try again."
    if stop is None:
        return None
    return ("drop" if stop.for_good else "keep back"), stop.why


def _settle(row: Delivery, outcome) -> bool:
    """Write down what came of a try. False when the row was taken over: then its new holder's word counts."""
    at = clock.now()
    changes = {
        "lease_until": None,
        "last_words": outcome.words[:LAST_WORDS],
        "last_code": outcome.code,
    } | outcome.changes
    if outcome.verb in ("put off", "lose sight of"):
        changes["next_try_at"] = at + (outcome.after or rules.next_try(row.tries))
    else:
        changes["hook_owed"] = outcome.verb != "keep back"
    if outcome.verb == "accept":
        changes["accepted_at"] = at
    with transaction.atomic():
        settled = states.settle(row, MOVES, outcome.verb, fence=row.fence, **changes)
        if settled and outcome.verb in ("accept", "park", "keep back"):
            _record(row, outcome.verb, outcome.words, at)
    if not settled:
        log.warning("A row was settled by somebody else meanwhile.", row=str(row))
    return settled


#: What the history says of a verb. Never the server's words: a bug's summary may stand in them.
_SENTENCES = {
    "accept": "{row} was accepted",
    "park": "{row} failed",
    "keep back": "{row} is held",
    "drop": "{row} was cancelled: its time was over or its reason is gone",
}


def _record(row: Delivery, verb: str, why: str, at: datetime) -> None:
    sentence = _SENTENCES[verb].format(row=str(row).capitalize())
    write.entry(row.about, f"{row.kind} {row.state}", f"{sentence} ({purposes.label_of(row)})", at=at, caused=[row])


def tell_purposes(model) -> int:
    """Tell the purpose of each row that ended how it ended; returns how many could be told."""
    told = 0
    for pk in list(model.objects.filter(hook_owed=True).order_by("pk").values_list("pk", flat=True)[:200]):
        told += _tell(model, pk)
    return told


def _tell(model, pk: int) -> bool:
    try:
        with transaction.atomic():
            owed = model.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=pk, hook_owed=True)
            row = owed.first()
            if row is None:
                return False
            purpose = purposes.named(row.purpose)
            if purpose is not None:
                purpose.happened(row)
            model.objects.filter(pk=pk).update(hook_owed=False)
    except Exception:  # a hook's bug is told again with the next delivery, and the others are told meanwhile
        log.exception("A purpose could not be told how its row ended.", row=f"{model.kind} {pk}")
        return False
    return True
