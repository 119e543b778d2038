"""Bugzilla's read replica: the world as it was some seconds ago, for searches, comments and history. No writes."""

import sqlite3
from collections import deque

from ciduty.bugzilla.sandbox.schema import TABLES_OF_A_BUG

MOST_STEPS = 5000  # changes that can be taken back; a replica never lags further in a test


class Undo:
    """Remembers what each bug was before each change."""

    def __init__(self):
        self._steps = deque(maxlen=MOST_STEPS)

    def add(self, steps: list[tuple[str, int, dict]]) -> None:
        """Remember committed changes: the moment as a stamp, the bug, and its rows before."""
        self._steps.extend(steps)

    def as_of(self, db: sqlite3.Connection, moment: str) -> sqlite3.Connection:
        """Return a copy of the database as it was at a moment (a stamp in UTC)."""
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        copy.row_factory = sqlite3.Row
        db.backup(copy)
        copy.execute("BEGIN")
        for at, bug_id, rows in reversed(self._steps):
            if at > moment:
                put_back(copy, bug_id, rows)
        copy.execute("COMMIT")
        return copy


def rows_of(db: sqlite3.Connection, bug_id: int) -> dict[str, list[tuple]]:
    """Return every row that belongs to a bug, by table."""
    return {
        table: [tuple(row) for row in db.execute(f"SELECT * FROM {table} WHERE {column} = ?", [bug_id])]
        for table, column in TABLES_OF_A_BUG.items()
    }


def put_back(db: sqlite3.Connection, bug_id: int, rows: dict[str, list[tuple]]) -> None:
    """Make a bug what it was."""
    for table, column in TABLES_OF_A_BUG.items():
        db.execute(f"DELETE FROM {table} WHERE {column} = ?", [bug_id])
        for row in rows[table]:
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
