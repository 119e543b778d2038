"""One try to write one row into Bugzilla: what a change and a new bug have in common. No question is asked here.

Before each write `uncertain_since` is committed. Whatever ends the sender then, the next one only looks, for as long as
a delayed request may still arrive; a change is written again only when that time is over and the bug shows no trace.
One window stays open: a process that is frozen for minutes just between that commit and its request, and then goes on.
"""

import time
from datetime import timedelta

from ciduty import clock
from ciduty.bugzilla.client import Client
from ciduty.bugzilla.errors import BugzillaFailure, NotVisible, Rejected, Unknown
from ciduty.leases import LeaseLost
from ciduty.outbox import changes, rules
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.outcome import Outcome
from ciduty.outbox.rules import State

#: A request that was cut off may still arrive, held up by a proxy or a busy server; after this it does not any more.
SETTLES_AFTER = timedelta(minutes=5)
LOOKS_AFTER = (timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=2), SETTLES_AFTER)
LOOKS_AGAIN = timedelta(minutes=1)
#: Bugzilla's clock may differ from ours by hours (safety.md F21): so much earlier a comment of ours is looked for.
CLOCKS_DIFFER = timedelta(hours=3)

WHAT_NOW = "look at the bug, then do by hand what is still wanted, or cancel this."
#: Codes of refusals for want of a right (safety.md F16).
NO_RIGHT = {109, 115, 130}


class Attempt:
    """One row in hand."""

    def __init__(self, row: BugUpdate, holding, client: Client, login: str):
        """`login` is the account that ciduty writes with, "" where Bugzilla does not say."""
        self.row, self.holding, self.client, self.login = row, holding, client, login
        self.since = row.created_at - CLOCKS_DIFFER
        self.ref = changes.ref(row.op)

    @property
    def waited(self) -> timedelta:
        """Return for how long nobody has known what became of the last write."""
        return max(clock.now() - self.row.uncertain_since, timedelta())

    def write(self, send):
        """Commit that a write goes out, and return what `send` returns; a failure but Unknown has applied nothing.

        Raises LeaseLost, and sends nothing, when the row was taken over.
        """
        self._set_uncertain(clock.now())
        try:
            return send()
        except Unknown:
            raise
        except BugzillaFailure:
            self._set_uncertain(None)
            raise

    def _set_uncertain(self, since) -> None:
        mine = BugUpdate.objects.filter(pk=self.row.pk, fence=self.row.fence, state=State.SENDING)
        if not mine.update(uncertain_since=since, lease_until=clock.now() + rules.LEASE):
            raise LeaseLost(f"{self.row} was taken over.")
        self.row.uncertain_since, self.holding.renewed = since, time.monotonic()


def next_look(waited: timedelta, looks: tuple[timedelta, ...] = LOOKS_AFTER) -> timedelta:
    """Return how long to wait until the next look after a write whose outcome has been unknown for so long."""
    due = (look - waited for look in looks if look > waited)
    return max(next(due, LOOKS_AGAIN), timedelta(seconds=1))


def accepted(words: str, **fields) -> Outcome:
    """Return the outcome of a row that Bugzilla has."""
    return Outcome("accept", words, changes={"uncertain_since": None} | fields)


def later(row: BugUpdate, words: str, after: timedelta | None = None, **more) -> Outcome:
    """Return the outcome of a try that is to be made again. A row of unknown outcome stays unknown."""
    return Outcome("lose sight of" if row.uncertain_since else "put off", words, after=after, **more)


def for_a_person(row: BugUpdate, why: str) -> Outcome:
    """Return the outcome of a row about which a person decides, with what is known of its write."""
    done = "It may have been written or not" if row.uncertain_since else "Nothing was written"
    return Outcome("park", f"{done}: {why}")


def not_visible(row: BugUpdate, failure: NotVisible) -> Outcome:
    """Return the outcome for a bug that ciduty does not see any more."""
    return for_a_person(
        row, f"{failure}. Somebody who sees it does this by hand (the text to copy stands here), or lets ciduty's "
        "account see it and tries again.",
    )  # fmt: skip


def refused(row: BugUpdate, failure: Rejected) -> Outcome:
    """Return the outcome of a write that Bugzilla refused: it is all or nothing, so nothing was applied."""
    remedy = "Give ciduty's account that right" if failure.code in NO_RIGHT else "Mend the cause"
    return Outcome(
        "park", f"Nothing was written: {str(failure).rstrip('.')}. {remedy} and try again; or {WHAT_NOW}", failure.code,
    )  # fmt: skip
