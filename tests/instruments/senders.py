"""Real senders in processes of their own, to be killed at any moment. What they do stands in sender_process.py.

They are forked from a warm parent: to start Django costs half a second, and a thousand are killed.
"""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import psycopg2.extensions

from tests.instruments.servers import start

ROOT = Path(__file__).resolve().parent.parent.parent
#: A sender that the server has answered 250, and that has not committed it: so its row's update looks from inside.
SETTLES = re.compile(r'UPDATE "(outbox_\w+)" SET .*\'accepted\'.*"id" = (\d+)', re.DOTALL)


class Senders:
    """The parent of senders, on one database. Use `with`; all of them end with it."""

    def __init__(self, environment: dict[str, str], log: Path, lease: float, patience: float = 20):
        """`lease`: seconds after which the row of a dead sender is taken over; the product's own is a minute.

        `patience`: seconds that they wait for Bugzilla's next byte; 20 in the product.
        """
        self.url, self.log = environment["DATABASE_URL"], log
        self._environment, self._limits = os.environ | environment, [str(lease), str(patience)]
        self.running: list[int] = []

    def __enter__(self):
        self.running.clear()
        with self.log.open("ab") as log:
            self._process = start(
                [sys.executable, "-m", "tests.instruments.sender_process", *self._limits],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=self._environment, cwd=ROOT, text=True,
            )  # fmt: skip
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _ask(self, **asked):
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"failed": "the parent of the senders ended"}
        if "failed" in answer:
            raise RuntimeError(f"{answer['failed']}\n{self.log.read_text()[-3000:]}")
        return answer["answer"]

    def run(self, errand: str, **arguments):
        """Run an errand of sender_process.py and return what it returns."""
        return self._ask(do="run", errand=errand, **arguments)

    def start(self, sender: str, count: int = 1) -> None:
        """Start senders."""
        for _ in range(count):
            self.running.append(self._ask(do="start", sender=sender))

    def kill(self, pid: int) -> None:
        """Kill a sender with SIGKILL. Raises RuntimeError when it had ended by itself: no sender may."""
        self.running.remove(pid)
        ended_by = self._ask(do="kill", pid=pid)
        if ended_by != 9:
            raise RuntimeError(f"A sender had ended by itself ({ended_by}):\n{self.log.read_text()[-3000:]}")

    def kill_all(self) -> None:
        """Kill every sender."""
        for pid in list(self.running):
            self.kill(pid)


class Rows:
    """A look at the rows of one kind from outside, past the product."""

    def __init__(self, url: str, table: str):
        self.url, self.table = url, table

    def ask(self, query: str, *arguments) -> list[tuple]:
        """Return the rows of a query; `{table}` stands for the table."""
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(query.format(table=self.table), arguments)
            return cursor.fetchall()

    def do(self, statement: str) -> None:
        """Change rows, past the product; `{table}` stands for the table."""
        with closing(psycopg2.connect(self.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement.format(table=self.table))

    def states(self) -> dict[str, int]:
        """Return how many rows are in each state."""
        return dict(self.ask("SELECT state, count(*) FROM {table} GROUP BY state"))

    def under_way(self) -> int:
        """Return how many rows still go by themselves, or have not told their purpose yet."""
        still = "state IN ('due', 'sending', 'retry', 'unknown') OR hook_owed"
        return self.ask(f"SELECT count(*) FROM {{table}} WHERE {still}")[0][0]


class Settling:
    """Holds every sender exactly between the server's 250 and its own commit: the table is locked meanwhile."""

    def __init__(self, url: str, table: str):
        self._table = table
        self._lock, self._look = psycopg2.connect(url), psycopg2.connect(url)
        self._look.autocommit = True

    def __enter__(self):
        self._hold()
        return self

    def __exit__(self, *_):
        for connection in (self._lock, self._look):
            connection.close()

    def _hold(self) -> None:
        self._lock.cursor().execute(f"LOCK TABLE {self._table} IN EXCLUSIVE MODE")

    def caught(self) -> tuple[int, int, int]:
        """Return the sender's process id, its backend's and its row's number. Raises TimeoutError."""
        for _ in range(100):
            for _ in range(20):  # all may have been about to claim: then nobody comes there while we hold them
                if found := self._look_for_one():
                    return found
                time.sleep(0.002)
            self._lock.rollback()
            time.sleep(0.02)
            self._hold()
        raise TimeoutError("No sender came between 250 and commit.")

    def _look_for_one(self) -> tuple[int, int, int] | None:
        with self._look.cursor() as cursor:
            cursor.execute(
                "SELECT application_name, pid, query FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND application_name LIKE 'sender %'"
            )
            for name, backend, query in cursor.fetchall():
                found = SETTLES.match(query)
                if found and found[1] == self._table:
                    return int(name.split()[1]), backend, int(found[2])
        return None
