"""Rings the workers: something is due. Only a doorbell: a ring that is lost costs seconds, for beat and tick look too.

A frozen broker must not hold up a page (safety.md F35): a thread of its own rings, and equal rings melt into one.
"""

import os
import threading

import structlog
from celery import current_app
from django.db import transaction

log = structlog.get_logger(__name__)


class _Ringer:
    """The thread that rings, one for each process: a fork starts its own."""

    def __init__(self):
        self.process = os.getpid()
        self.wanted: set[tuple[str, str]] = set()
        self.changed = threading.Condition()
        self.busy = False
        threading.Thread(target=self._run, name="bell", daemon=True).start()

    def ring(self, task: str, queue: str) -> None:
        with self.changed:
            self.wanted.add((task, queue))
            self.changed.notify_all()

    def wait(self, seconds: float) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: not self.wanted and not self.busy, seconds)

    def _run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.wanted)
                task, queue = self.wanted.pop()
                self.busy = True
            self._publish(task, queue)
            with self.changed:
                self.busy = False
                self.changed.notify_all()

    def _publish(self, task: str, queue: str) -> None:
        try:
            current_app.send_task(task, queue=queue, retry=False, expires=60)
        except (
            Exception
        ) as problem:  # whatever the broker's library raises: rows are the truth, and the tick finds them
            log.warning("The bell did not ring; the tick delivers.", task=task, problem=type(problem).__name__)


_ringer: _Ringer | None = None
_lock = threading.Lock()


def ring(task: str, queue: str) -> None:
    """Send for a task by its full name, and return at once whatever the broker does."""
    global _ringer
    with _lock:
        if _ringer is None or _ringer.process != os.getpid():
            _ringer = _Ringer()
        _ringer.ring(task, queue)


def ring_after_commit(task: str, queue: str) -> None:
    """Ring once the transaction is committed; a failure to ring never becomes the page's."""
    transaction.on_commit(lambda: ring(task, queue), robust=True)  # a partial would make Django's own logging crash


def wait_until_rung(seconds: float = 5) -> bool:
    """Wait until every ring so far has gone out or failed; for tests and commands that end soon after."""
    return _ringer is None or _ringer.process != os.getpid() or _ringer.wait(seconds)
