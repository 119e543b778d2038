"""The world of one sandbox Bugzilla: its store, clock and seeding. The rules stand in filing and editing."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import datetime

from ciduty.bugzilla.sandbox import editing, filing, flagging, replica, schema, writing
from ciduty.bugzilla.sandbox.directory import ANONYMOUS, Account, Directory, account_of
from ciduty.bugzilla.sandbox.moments import stamp
from ciduty.bugzilla.sandbox.stored import stored_bug
from ciduty.sandboxes import real_utc


class World(Directory):
    """Everything one Bugzilla knows. One lock: safe to use from several threads."""

    def __init__(self, path: str = ":memory:"):
        self.lock = threading.RLock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        # A killed process loses nothing with WAL; only a power cut could, and this is a toy.
        self.db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + schema.SCHEMA)
        self._clock = real_utc
        self._undo = replica.Undo()
        self._steps, self._depth = [], 0

    def close(self) -> None:
        """Close the store."""
        with self.lock:
            self.db.close()

    def is_empty(self) -> bool:
        """Say whether nothing was put into this world yet."""
        with self.lock:
            return not self.db.execute(
                "SELECT EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM products)"
            ).fetchone()[0]

    # --- time -------------------------------------------------------------------------------------------------------

    def set_clock(self, clock: Callable[[], datetime]) -> None:
        """Take the time from a callable that returns aware moments in UTC."""
        self._clock = clock

    def now(self) -> str:
        """Return this Bugzilla's time as a stamp: UTC, whole seconds."""
        return stamp(self._clock())

    def clock(self) -> datetime:
        """Return this Bugzilla's time, aware."""
        return self._clock()

    # --- the store --------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self):
        """Yield the database; all of it is written or nothing. Nested ones are part of the outer one."""
        with self.lock:
            if self._depth:
                yield self.db
                return
            self._depth, self._steps = 1, []
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
                self._undo.add(self._steps)
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    def about_to_change(self, bug_id: int, at: str) -> None:
        """Remember what a bug is, for a replica that lags behind. Call inside a transaction, before writing."""
        self._steps.append((at, bug_id, replica.rows_of(self.db, bug_id)))

    def about_to_come(self, bug_id: int, at: str) -> None:
        """Remember that a bug did not exist before a moment."""
        self._steps.append((at, bug_id, {table: [] for table in schema.TABLES_OF_A_BUG}))

    def as_of(self, moment: datetime) -> sqlite3.Connection:
        """Return a copy of the store as it was at a moment."""
        with self.lock:
            return self._undo.as_of(self.db, stamp(moment))

    # --- seeding bugs: no rights are asked --------------------------------------------------------------------------

    def add_bug(self, *, product, component, summary, creator, flags=(), at=None, id=None, **fields) -> int:
        """Put a bug into the world without asking for rights, and return its number.

        `fields` may be description, assigned_to, whiteboard, groups, status, resolution, alias, depends_on, blocks, cc,
        keywords, severity, priority. A flag may name its "setter" (else the creator). `at` is aware, else now.
        """
        asked = {"product": product, "component": component, "summary": summary, **fields}
        with self.transaction() as db:
            account = account_of(db, creator)
            when = stamp(at) if at else self.now()
            bug_id = filing.seed(self, account, asked, when, id)
            for flag in flags:
                setter = account_of(db, flag.get("setter", creator))
                flagging.put(db, bug_id, setter, flag, when)
            return bug_id

    def comment(self, bug_id: int, login: str, text: str, at=None, is_private=False) -> int:
        """Add a comment without asking for rights, and return its number."""
        with self.transaction() as db:
            when = stamp(at) if at else self.now()
            self.about_to_change(bug_id, when)
            return writing.write_comment(db, bug_id, account_of(db, login).id, when, text, is_private)

    def update(self, bug_id: int, login: str, changes: dict, at=None) -> dict:
        """Change a bug as PUT would, with history, without asking for rights. Returns what changed."""
        with self.transaction() as db:
            when = stamp(at) if at else self.now()
            return editing.change(self, bug_id, account_of(db, login), changes, when, checked=False)

    # --- reading ----------------------------------------------------------------------------------------------------

    def bug(self, bug_id: int) -> dict:
        """Return everything stored of a bug, people as logins. Raises KeyError when it does not exist."""
        with self.lock:
            return stored_bug(self.db, bug_id)

    def account(self, login: str | None) -> Account:
        """Return an account by login, or the anonymous one for None."""
        with self.lock:
            return account_of(self.db, login) if login else ANONYMOUS
