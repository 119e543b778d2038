"""Files a new bug once; where nobody knows whether it was filed, it is looked for, and never filed again unasked.

Its mark is the last line of its description: a server may have whiteboards switched off.
"""

import re
from datetime import timedelta

from ciduty.bugzilla.errors import Rejected
from ciduty.outbox import changes
from ciduty.outbox.bug_attempt import LOOKS_AFTER, Attempt, accepted, later, next_look, refused
from ciduty.outbox.outcome import Outcome

#: Bugs are searched in a replica, and are indexed late: longer than a change is looked for.
LOOKS_FOR = timedelta(minutes=10)
LOOKS = (*LOOKS_AFTER, LOOKS_FOR)

#: bugzilla.mozilla.org wants a type (135 without one); upstream refuses to hear of it (53, recorded).
UNKNOWN_FIELD, TYPE_WANTED = 53, 135
TYPE = "task"


class Filing(Attempt):
    """One try to file one bug."""

    def run(self) -> Outcome:
        """Look for the bug where a write may have gone out before, else file it. Raises Unknown, and other failures."""
        row = self.row
        if row.bug_id:
            return accepted(f"It is bug {row.bug_id}.")
        if row.attempts > 1:
            found = self._look()
            if found:
                return self._filed(found)
        if row.uncertain_since is None:
            return self._file()
        if self.waited < LOOKS_FOR:
            words = row.last_words or "Nobody knows yet whether it was filed."
            return later(row, words, next_look(self.waited, LOOKS))
        return Outcome(
            "park", f"Bugzilla may or may not have filed it, and does not show it after {LOOKS_FOR.seconds // 60} "
            f"minutes: look for “{self.ref}” in {self._place}; then either enter its number here or file it again.",
        )  # fmt: skip

    @property
    def _place(self) -> str:
        return f"{self.row.wants['new']['product']}: {self.row.wants['new']['component']}"

    def _look(self) -> list[int]:
        new = self.row.wants["new"]
        return self.client.bugs_filed_with(self.ref, new["product"], new["component"], self.since, self.login)

    def _filed(self, found: list[int]) -> Outcome:
        words = f"Bugzilla has it: bug {found[0]}."
        if len(found) > 1:
            words += f" It stands there {len(found)} times ({', '.join(map(str, found))}): close the others by hand."
        return accepted(words, bug_id=found[0])

    def _file(self) -> Outcome:
        body = changes.body_of_new_bug(self.row.wants, self.row.op)
        try:
            number = self._create(body)
        except Rejected as failure:
            return refused(self.row, failure)
        return accepted(f"Bugzilla filed it: bug {number}.", bug_id=number)

    def _create(self, body: dict) -> int:
        """File it; where Bugzilla wants a type or none, once more as it wants: its refusal proves nothing was filed."""
        try:
            return self.write(lambda: self.client.create(body))
        except Rejected as failure:
            other = _with_other_type(body, failure)
            if other is None:
                raise
        return self.write(lambda: self.client.create(other))


def _with_other_type(body: dict, failure: Rejected) -> dict | None:
    if failure.code == TYPE_WANTED and "type" not in body:
        return body | {"type": TYPE}
    if failure.code == UNKNOWN_FIELD and "type" in body and re.search(r"\btype is not", str(failure)):
        return {name: value for name, value in body.items() if name != "type"}
    return None
