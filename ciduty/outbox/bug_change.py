"""Changes one bug almost exactly once: read, check, write, verify (safety.md F2). A new bug: `bug_filing.py`."""

from datetime import timedelta

import structlog

from ciduty.bugzilla.errors import BugzillaFailure, NotVisible, Rejected, Unknown
from ciduty.bugzilla.values import BugState
from ciduty.outbox import changes, judging, whiteboard
from ciduty.outbox.bug_attempt import (
    LOOKS_AFTER,
    LOOKS_AGAIN,
    SETTLES_AFTER,
    WHAT_NOW,
    Attempt,
    accepted,
    for_a_person,
    later,
    next_look,
    refused,
)
from ciduty.outbox.changes import Applied, Conflict
from ciduty.outbox.outcome import Outcome

log = structlog.get_logger(__name__)

#: Comments are read from a replica. One that lags longer than this is broken, and a person looks (safety.md F2).
LONGEST_LAG = timedelta(minutes=10)


class Change(Attempt):
    """One try to change one bug."""

    def run(self) -> Outcome:
        """Read, check, and write at most once. Raises a BugzillaFailure when the bug could not be read."""
        row = self.row
        verdict, read, complete = self._look()
        if isinstance(verdict, Applied):
            return _applied(verdict)
        if row.uncertain_since and self.waited < SETTLES_AFTER:
            return later(row, row.last_words or "Nobody knows yet whether it was written.", next_look(self.waited))
        if isinstance(verdict, Conflict):
            return for_a_person(row, f"{verdict.why}. Somebody else moved it: {WHAT_NOW}")
        if not complete:
            return self._wait_for_the_replica()
        try:
            changed = self.write(lambda: self.client.update(row.bug_id, verdict.body))
        except Rejected as failure:
            return refused(row, failure)
        except Unknown as failure:
            return self._look_at_once(failure)
        return self._verify(verdict.body, read, changed)

    def _look(self) -> tuple[Applied | Conflict | changes.ToWrite, BugState, bool]:
        """Return the verdict on the bug as it is, its state, and whether all of its comments could be looked through.

        The state comes from the primary, the comments from a replica that may lag: where a write may have gone out
        before, no ref there is a proof only once the replica has come as far as the state.
        """
        row, complete, found = self.row, True, False
        read = self.client.state_of(row.bug_id)
        if "comment" in row.wants:
            try:
                complete = row.attempts == 1 or self.client.copy_shows(read)
                found = self.client.has_comment_with(row.bug_id, self.ref, self.since)
            except NotVisible:  # the primary shows the bug: the replica does not know it yet
                complete = False
        return changes.judge(row.wants, row.seen, row.op, read, found), read, complete

    def _wait_for_the_replica(self) -> Outcome:
        words = "Bugzilla shows comments late at the moment, so nobody knows yet whether ours is there"
        if self.row.uncertain_since and self.waited > LONGEST_LAG:
            return for_a_person(self.row, f"{words}. Look for “{self.ref}” in the bug, then try again.")
        return later(self.row, f"{words}.", LOOKS_AGAIN)

    def _look_at_once(self, failure: Unknown) -> Outcome:
        verdict, _, _ = self._look()
        return _applied(verdict) if isinstance(verdict, Applied) else later(self.row, str(failure), LOOKS_AFTER[0])

    # --- what Bugzilla says it did ------------------------------------------------------------------------------------

    def _verify(self, body: dict, read: BugState, changed: dict) -> Outcome:
        """Compare what Bugzilla says it changed with what was asked: it ignores what it does not know without a word.

        It also writes back whatever differs from its own earlier read, so that it may change what nobody asked for.
        """
        expected = judging.expected_changes(body, read)
        unasked = sorted(set(changed) - expected - judging.tolerated_changes(body))
        words = "Bugzilla took it."
        if unasked:
            log.error("Bugzilla changed what nobody asked for.", row=str(self.row), fields=unasked)
            words += f" It also changed what nobody asked for ({', '.join(unasked)}): look at the bug's history."
        overwritten = _overwritten(changed)
        if "whiteboard" in body and overwritten is not None and not whiteboard.same(overwritten, read.whiteboard):
            return self._merge(overwritten, body["whiteboard"], words)
        if expected - set(changed):
            row = self.row
            left = judging.fields(row.wants, row.seen, row.op, self.client.state_of(row.bug_id))
            if left:
                return _written_but(
                    f"{words} But this is not as wanted: {', '.join(sorted(left))}. Somebody moved it at the same "
                    f"moment, or Bugzilla ignores it: {WHAT_NOW}"
                )
        return accepted(words)

    def _merge(self, theirs: str, ours: str, words: str) -> Outcome:
        """Put back what somebody wrote into the whiteboard between our read and our write, with our token in it.

        Only the whiteboard, and only once: the rest is written.
        """
        wants, bug_id = self.row.wants, self.row.bug_id
        merged = whiteboard.with_token(theirs, wants["token_kind"], wants["token"], self.row.op)
        try:
            kept = whiteboard.same(self.client.state_of(bug_id).whiteboard, ours)
            if kept:
                changed = self.write(lambda: self.client.update(bug_id, {"whiteboard": merged}))
                kept = whiteboard.same(_overwritten(changed) or "", ours)
        except Unknown:
            kept = self._stands(merged)
        except BugzillaFailure:
            kept = False
        if kept:
            return accepted(f"{words} Somebody wrote into the whiteboard at the same moment: both are kept.")
        return _written_but(
            f"{words} But somebody wrote into the whiteboard at the same moment, and their words may be gone: look at "
            "the bug's history and put them back by hand."
        )

    def _stands(self, merged: str) -> bool:
        try:
            return whiteboard.same(self.client.state_of(self.row.bug_id).whiteboard, merged)
        except BugzillaFailure:
            return False


def _applied(verdict: Applied) -> Outcome:
    if verdict.but:
        return accepted(f"Bugzilla has it; somebody has changed something of it since: {verdict.but}.")
    return accepted("Bugzilla has it.")


def _written_but(words: str) -> Outcome:
    return Outcome("park", words, changes={"uncertain_since": None})


def _overwritten(changed: dict) -> str | None:
    """Return what Bugzilla says our write of the whiteboard has overwritten."""
    change = changed.get("whiteboard")
    removed = change.get("removed") if isinstance(change, dict) else None
    return removed if isinstance(removed, str) else None
