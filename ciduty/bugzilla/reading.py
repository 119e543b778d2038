"""Reads bugs by id in bulk, and finds the one that spoils a batch. Stores nothing.

Ids that are missing from an answer are asked singly: missing means "not visible", not "deleted" (safety.md F08, F09).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from ciduty.bugzilla import values
from ciduty.bugzilla.client import IDS_AT_ONCE, Client
from ciduty.bugzilla.errors import NotVisible, Rejected, Unavailable

#: More unreadable bugs than this in one cycle are no bad bugs but a bad server.
MOST_UNREADABLE = 50
#: So many missing ids are asked singly at once; more are first asked for together again.
FEW = 5


@dataclass
class Batch:
    """What became of a batch of ids."""

    found: dict[int, values.Bug] = field(default_factory=dict)
    not_visible: set[int] = field(default_factory=set)
    unreadable: dict[int, str] = field(default_factory=dict)


class Reader:
    """Reads batches for one cycle.

    `not_asked_singly`: ids whose absence says nothing new, because they are known to be hidden or may not exist at all.
    """

    def __init__(self, client: Client, not_asked_singly: Iterable[int] = ()):
        self._client = client
        self._not_asked_singly = frozenset(not_asked_singly)
        self._sign_in_is_proven = False
        self._unreadable = 0

    def batches(self, ids: Iterable[int]) -> Iterator[Batch]:
        """Yield what became of the ids, some IDS_AT_ONCE at a time.

        Raises a BugzillaFailure when the server is unwell.
        """
        remaining = iter(sorted(set(ids)))
        while chunk := list(islice(remaining, IDS_AT_ONCE)):
            batch = Batch()
            self._read(chunk, batch)
            yield batch

    def _read(self, ids: list[int], batch: Batch) -> None:
        try:
            raw = self._client.bugs(ids)
        except (Rejected, Unavailable) as failure:
            self._halve(ids, batch, failure)
            return
        for bug_id in ids:
            if bug_id in raw:
                self._take(bug_id, raw[bug_id], batch)
        missing = [bug_id for bug_id in ids if bug_id not in raw]
        if raw and len(missing) > FEW:  # the answer may have been cut without a mark: ask for the rest together
            self._read(missing, batch)
            return
        for bug_id in missing:
            if bug_id in self._not_asked_singly:
                batch.not_visible.add(bug_id)
            else:
                self._ask_singly(bug_id, batch)

    def _halve(self, ids: list[int], batch: Batch, failure) -> None:
        if isinstance(failure, Unavailable) and not failure.reached:
            raise failure
        self._client.server_time()  # raises when it is not this batch but the server that is unwell
        if len(ids) == 1:
            self._ask_singly(ids[0], batch)
            return
        middle = len(ids) // 2
        self._read(ids[:middle], batch)
        self._read(ids[middle:], batch)

    def _ask_singly(self, bug_id: int, batch: Batch) -> None:
        try:
            raw = self._client.bug(bug_id)
        except NotVisible:
            self._prove_sign_in()
            batch.not_visible.add(bug_id)
        except (Rejected, Unavailable) as failure:
            if isinstance(failure, Unavailable) and not failure.reached:
                raise
            self._set_aside(bug_id, str(failure), batch)
        else:
            self._take(bug_id, raw, batch)

    def _take(self, bug_id: int, raw: dict, batch: Batch) -> None:
        try:
            batch.found[bug_id] = values.bug(raw)
        except values.Malformed as problem:
            self._set_aside(bug_id, f"Bugzilla's answer makes no sense: {problem}", batch)

    def _set_aside(self, bug_id: int, problem: str, batch: Batch) -> None:
        batch.unreadable[bug_id] = problem
        self._unreadable += 1
        if self._unreadable > MOST_UNREADABLE:
            raise Unavailable(
                f"more than {MOST_UNREADABLE} bugs could not be read; the last one: {problem}", reached=True
            )

    def _prove_sign_in(self) -> None:
        """Before any bug is taken for hidden: a key that is no longer signed in would hide them all."""
        if not self._sign_in_is_proven:
            self._client.signed_in_as()
            self._sign_in_is_proven = True
