"""The world of one sandbox tree status: its store, its clock, and what can be read. How it changes, editing says."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from ciduty.sandboxes import real_utc
from ciduty.trees.sandbox import errors, schema
from ciduty.trees.sandbox.moments import stamp

#: A tree is what its last log entry says; without one, what it was made with.
_COMBINED = """
SELECT trees.name, trees.message_of_the_day, trees.category, logs.id AS log_id, logs.tags, logs.at, logs.who,
       coalesce(logs.status, trees.status) AS status, coalesce(logs.reason, trees.reason) AS reason
FROM trees LEFT JOIN logs ON logs.id =
    (SELECT id FROM logs newest WHERE newest.tree = trees.name ORDER BY at DESC, id DESC LIMIT 1)
"""
#: The order of /trees: standalone asks for one; Lando takes the rows as they lie, the last changed at the end.
_ORDER = {schema.STANDALONE: "ORDER BY trees.name DESC", schema.LANDO: "ORDER BY trees.touched"}


class World:
    """Everything one tree status knows. One lock: safe to use from several threads.

    `workers` is how many processes the real service would run: each remembers single trees of its own, and only the one
    that changes a tree forgets it.
    """

    def __init__(self, path: str = ":memory:", generation: str = schema.STANDALONE, workers: int = 1):
        if generation not in schema.GENERATIONS:
            raise ValueError(f"there is no generation {generation!r}: use one of {', '.join(schema.GENERATIONS)}")
        self.generation = generation
        self.lock = threading.RLock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        # A killed process loses nothing with WAL; only a power cut could, and this is a toy.
        self.db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + schema.SCHEMA)
        self._clock = real_utc
        self._depth = 0
        self._memory: list[dict[str, tuple[datetime, dict]]] = [{} for _ in range(workers)]
        self._worker = 0
        self._hidden: frozenset[str] = frozenset()

    def close(self) -> None:
        """Close the store."""
        with self.lock:
            self.db.close()

    def is_empty(self) -> bool:
        """Say whether there is no tree."""
        with self.lock:
            return not self.db.execute("SELECT EXISTS (SELECT 1 FROM trees)").fetchone()[0]

    def copy(self) -> "World":
        """Return a world that knows what this one knows now, and changes no more; nothing is memoized in it."""
        twin = World(generation=self.generation)
        with self.lock:
            self.db.backup(twin.db)
        twin.set_clock(lambda: self._clock())
        return twin

    # --- time -------------------------------------------------------------------------------------------------------

    def set_clock(self, clock: Callable[[], datetime]) -> None:
        """Take the time from a callable that returns aware moments in UTC."""
        self._clock = clock

    @contextmanager
    def at(self, moment: datetime) -> Iterator[None]:
        """Let it be another time meanwhile, for seeding. `moment` is aware."""
        clock, self._clock = self._clock, lambda: moment
        try:
            yield
        finally:
            self._clock = clock

    def now(self) -> str:
        """Return the time of this tree status as it is stored: UTC, microseconds."""
        return stamp(self._clock())

    def clock(self) -> datetime:
        """Return the time of this tree status, aware."""
        return self._clock()

    # --- the store --------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the database; all of it is written or nothing. Nested ones are part of the outer one."""
        with self.lock:
            if self._depth:
                yield self.db
                return
            self._depth = 1
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    # --- reading: call these under the lock ---------------------------------------------------------------------------

    def trees(self, names: list[str] | None = None) -> list[dict]:
        """Return trees in the order of this generation's list: all, or those named (all for no names, as upstream)."""
        where, arguments = "", []
        if names:
            where, arguments = "WHERE trees.name IN (SELECT value FROM json_each(?)) ", [json.dumps(names)]
        rows = self.db.execute(f"{_COMBINED} {where} {_ORDER[self.generation]}", arguments)
        return [_tree(row) for row in rows if row["name"] not in self._hidden]

    def tree(self, name: str) -> dict | None:
        """Return one tree as it really is, also a hidden one, or None."""
        row = self.db.execute(f"{_COMBINED} WHERE trees.name = ?", [name]).fetchone()
        return _tree(row) if row else None

    def memoized_tree(self, name: str) -> dict | None:
        """Return one tree as /trees/{tree} shows it: up to 300 seconds old. What does not exist is not memoized."""
        if name in self._hidden:
            return None
        memory, now = self._memory[self._worker], self._clock()
        if name in memory and memory[name][0] > now:
            return memory[name][1]
        tree = self.tree(name)
        if tree:
            memory[name] = (now + timedelta(seconds=schema.MEMOIZED_FOR), tree)
        return tree

    def logs(self, name: str, limit: int = -1) -> list[dict]:
        """Return the log of a tree, newest first; -1: all of it. Raises Refusal when there is no such tree."""
        if name in self._hidden or not self.db.execute("SELECT 1 FROM trees WHERE name = ?", [name]).fetchone():
            raise errors.no_such_tree_with_logs(self.generation, name)
        rows = self.db.execute(
            "SELECT id, tree, at AS 'when', who, status, reason, tags FROM logs WHERE tree = ? "
            "ORDER BY at DESC, id DESC LIMIT ?",
            [name, limit],
        )
        return [dict(row) | {"tags": json.loads(row["tags"])} for row in rows]

    def stack(self) -> list[dict]:
        """Return the undo stack, newest first, with what each tree was before and after."""
        rows = self.db.execute("SELECT id, reason, status, at AS 'when', who FROM changes ORDER BY at DESC, id DESC")
        return [dict(row) | {"trees": self.trees_of_change(row["id"])} for row in rows]

    def trees_of_change(self, change_id: int) -> list[dict]:
        """Return the trees of one entry of the undo stack."""
        rows = self.db.execute(
            "SELECT id, tree, last_state FROM change_trees WHERE change_id = ? ORDER BY id", [change_id]
        )
        return [dict(row) | {"last_state": json.loads(row["last_state"])} for row in rows]

    # --- what is not quite so ---------------------------------------------------------------------------------------

    def next_worker(self) -> None:
        """Let the next process answer, as a server with several does."""
        self._worker = (self._worker + 1) % len(self._memory)

    def forget(self, name: str) -> None:
        """Let the process that answers now forget a memoized tree; the others go on telling it as it was."""
        self._memory[self._worker].pop(name, None)

    @contextmanager
    def hiding(self, names: set[str]) -> Iterator[None]:
        """Let some trees be gone for whoever reads meanwhile."""
        with self.lock:
            self._hidden = frozenset(names)
            try:
                yield
            finally:
                self._hidden = frozenset()


def _tree(row: sqlite3.Row) -> dict:
    tree = dict(row)
    return tree | {"tree": tree.pop("name"), "tags": json.loads(row["tags"] or "[]")}
