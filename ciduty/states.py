"""How a row changes state: lock, look in the table, set, write the record. Nothing else sets `.state`.

Which moves exist is each app's `rules.py`; what else happens with a move is its `workflow.py`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction

from ciduty.record import write


class NotAllowed(Exception):
    """A rule forbids it. `str()` is a sentence for a person: what, why, what now."""


class Moves:
    """A table of moves that reads as sentences: verb: from -> to."""

    def __init__(self, table: Mapping[str, tuple[Iterable, str]]):
        self._table = {verb: (frozenset(sources), target) for verb, (sources, target) in table.items()}

    def __iter__(self):
        return iter(self._table)

    def sources(self, verb: str) -> frozenset:
        """Return the states from which the verb leads on. Raises KeyError for a verb that is not in the table."""
        return self._table[verb][0]

    def target(self, verb: str) -> str:
        """Return the state to which the verb leads."""
        return self._table[verb][1]

    def allow(self, verb: str, state: str) -> bool:
        """Answer whether the verb may be done in this state."""
        return state in self.sources(verb)


def move(row, moves: Moves, verb: str, sentence: str, *, by=None, at: datetime, entry: dict | None = None, **changes):
    """Move a row by a verb and write the record, in one transaction; `row` is brought up to date.

    `changes` are further fields to set, `entry` further parts of the record's entry (`record.write.entry`). Raises
    NotAllowed when the table forbids the move in the state that the row is in now.
    """
    with transaction.atomic():
        now_there = type(row)._base_manager.select_for_update().get(pk=row.pk)
        if not moves.allow(verb, now_there.state):
            state = now_there.get_state_display().lower()
            raise NotAllowed(f"{str(now_there).capitalize()} is {state} by now: it was not changed ({verb}).")
        before = now_there.state
        type(row)._base_manager.filter(pk=row.pk).update(state=moves.target(verb), **changes)
        written = {"before": {"state": before}, "after": {"state": str(moves.target(verb))}} | (entry or {})
        write.entry(row.about, verb, sentence, by=by, at=at, **written)
    row.refresh_from_db()


def claim(row, moves: Moves, verb: str, **changes) -> None:
    """Move a row that the caller has locked and looked at; without an entry: machines do this all day."""
    assert moves.allow(verb, row.state), f"{verb} is not allowed in {row.state}"
    type(row)._base_manager.filter(pk=row.pk).update(state=moves.target(verb), **changes)
    row.refresh_from_db()


def settle(row, moves: Moves, verb: str, *, fence: int, **changes) -> bool:
    """Move a row that was claimed under `fence`, or return False: somebody else has taken it over meanwhile."""
    mine = type(row)._base_manager.filter(pk=row.pk, fence=fence, state__in=moves.sources(verb))
    if not mine.update(state=moves.target(verb), **changes):
        return False
    row.refresh_from_db()
    return True
