"""The process behind senders.py: knows the product, forks senders and runs errands, and ends when its caller does.

Reads one JSON object a line and answers each with one. It never opens a connection itself: forks would share it.
"""

import json
import os
import signal
import sys
import time
import traceback
from datetime import timedelta

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import DatabaseError, close_old_connections, connection, transaction  # noqa: E402

from ciduty.bugzilla import session  # noqa: E402
from ciduty.outbox import delivery, post, purposes, rules, smtp, workflow  # noqa: E402
from ciduty.outbox.models import BugUpdate, Mail  # noqa: E402
from ciduty.outbox.rules import Priority, State  # noqa: E402
from ciduty.trees import polling  # noqa: E402
from tests.instruments import run_presses  # noqa: E402

PURPOSE = "faults: anything"
TEXT = "This mail was sent by the fault suite.\n\nLine {number} of many.\n"


# --- senders: each runs in a process of its own until it is killed ----------------------------------------------------


def deliver_mail() -> None:
    """Deliver mail as the product does, task after task."""
    _deliver_for_ever(delivery.MAIL)


def update_bugs() -> None:
    """Write to Bugzilla as the product does, task after task."""
    _deliver_for_ever(delivery.BUGS)


def change_trees() -> None:
    """Write to the tree status service as the product does, task after task."""
    _deliver_for_ever(delivery.TREES)


def _deliver_for_ever(channel: delivery.Channel) -> None:
    while True:
        try:
            done = delivery.deliver(channel, seconds=2)
        except DatabaseError as problem:  # a task that fails so is over, and the next one comes
            print(f"A task ended: {type(problem).__name__}", file=sys.stderr, flush=True)
            done = None
            time.sleep(0.2)
        close_old_connections()
        if not done:
            time.sleep(0.02)


class _Unwatched:
    def renew(self) -> None:
        pass

    renew_when_old = renew


def mark_before_sending() -> None:
    """Mark a mail as sent, commit, then send it: what the product does not do. It lives here only."""
    with smtp.Postman() as postman:
        while True:
            with transaction.atomic():
                due = Mail.objects.filter(state=State.DUE).order_by("pk")
                row = due.select_for_update(skip_locked=True).first()
                if row is not None:
                    Mail.objects.filter(pk=row.pk).update(state=State.ACCEPTED)
            if row is None:
                time.sleep(0.02)
            else:
                postman.send(row, _Unwatched())


SENDERS = {function.__name__: function for function in (deliver_mail, update_bugs, change_trees, mark_before_sending)}
SENDERS |= run_presses.SENDERS


# --- errands: each runs in a process of its own and returns what JSON can say -----------------------------------------


def migrate() -> None:
    """Bring the tables up to date."""
    call_command("migrate", interactive=False, verbosity=0)


def post_mails(count: int, about: str) -> int:
    """Write so many mails, each to a recipient of its own.

    Approvals all: of other mails two go at a time at most, and those that a killed sender held count until their lease
    is over.
    """
    with transaction.atomic():
        for number in range(count):
            post.mail(
                key=f"{about} {number}", purpose=PURPOSE, about=about, to=f"list{number}@example.com",
                subject=f"Fault suite, mail {number}", text=TEXT.format(number=number), priority=Priority.URGENT,
            )  # fmt: skip
    return count


def post_comments(bug_ids: list[int], each: int, about: str) -> int:
    """Write so many comments for each bug."""
    with transaction.atomic():
        for number in range(each):
            for bug_id in bug_ids:
                post.bug_update(
                    key=f"{about} {bug_id} {number}", purpose=PURPOSE, about=about, bug_id=bug_id,
                    wants={"comment": f"Comment {number} of the fault suite on bug {bug_id}."},
                )  # fmt: skip
    return each * len(bug_ids)


def try_parked_again(kind: str) -> int:
    """Try again whatever was parked, as a person would, and return how many those were."""
    parked = list({"mail": Mail, "bug": BugUpdate}[kind].objects.parked())
    for row in parked:
        workflow.try_again(row, by=None)
    return len(parked)


ERRANDS = {function.__name__: function for function in (migrate, post_mails, post_comments, try_parked_again)}
ERRANDS |= run_presses.ERRANDS


# --- the process itself -----------------------------------------------------------------------------------------------


def _forked(work) -> int:
    """Run `work` in a process of its own and return its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.environ["PGAPPNAME"] = f"sender {os.getpid()}"  # so that PostgreSQL can tell who waits for a lock
        work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _run(errand: str, **arguments) -> dict:
    """Run an errand in a process of its own: one that has connections must not fork."""
    reading, writing = os.pipe()

    def work():
        answer = ERRANDS[errand](**arguments)
        connection.close()
        with os.fdopen(writing, "w") as pipe:
            json.dump({"answer": answer}, pipe)

    pid = _forked(work)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(said) if said else {"failed": f"{errand} failed: see the log of the senders"}


class _Parent:
    def __init__(self):
        self.children: set[int] = set()

    def start(self, sender: str) -> dict:
        pid = _forked(SENDERS[sender])
        self.children.add(pid)
        return {"answer": pid}

    def kill(self, pid: int) -> dict:
        """Kill a sender that was started here, and none else; not reaped before, so the id is still its own."""
        self.children.remove(pid)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        return {"answer": os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)}

    run = staticmethod(_run)


def main(lease: float, patience: float) -> None:
    """Serve until the caller is gone.

    In seconds: `lease` stands in for the minute for which a row is held, `patience` for the twenty seconds for which
    Bugzilla may say nothing.
    """
    rules.LEASE = timedelta(seconds=lease)
    polling.LEASE = timedelta(seconds=lease)
    all_within, _ = session.BorderSession.__init__.__defaults__
    session.BorderSession.__init__.__defaults__ = (all_within, patience)
    purposes.register(purposes.Purpose(PURPOSE, "Fault suite"))
    parent = _Parent()
    try:
        for line in sys.stdin:
            asked = json.loads(line)
            answer = getattr(parent, asked.pop("do"))(**asked)
            print(json.dumps(answer), flush=True)
    finally:
        for pid in list(parent.children):
            parent.kill(pid)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
