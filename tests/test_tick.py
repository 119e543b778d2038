"""The tick does what is due with the database alone, says so in a line for each kind, and outlives what goes wrong."""

import io
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ciduty import clock
from ciduty.bugzilla.models import Cycle
from ciduty.bugzilla.sandbox import Fault
from ciduty.management.commands import tick

ROOT = Path(__file__).resolve().parent.parent


def one_tick():
    said = io.StringIO()
    call_command("tick", stdout=said)
    return said.getvalue()


@pytest.mark.django_db
def test_without_bugzilla_the_tick_says_what_is_missing():
    assert one_tick() == "poll: not configured (BUGZILLA_URL is not set)\n"


@pytest.mark.django_db
def test_a_due_poll_is_done_once_and_then_not_due(bugzilla):
    bugzilla.world.add_bug(
        product="Infrastructure & Operations",
        component="CIDuty: Loan Requests",
        summary="Loan a machine",
        creator="developer@example.com",
    )
    assert one_tick() == "poll: done, 1 read\n"
    assert one_tick() == "poll: not due\n"
    assert Cycle.objects.count() == 1


@pytest.mark.django_db
def test_a_failed_poll_is_said_in_its_line_and_by_the_exit(bugzilla):
    bugzilla.faults.add(Fault("status", match="", status=503, body="", times=None))
    said = io.StringIO()
    with pytest.raises(CommandError, match="could not be done"):
        call_command("tick", stdout=said)
    assert said.getvalue().startswith("poll: failed: ")
    assert said.getvalue().count("\n") == 1


@pytest.mark.django_db
def test_the_lasting_tick_leaves_a_minute_to_the_worker(bugzilla, settings):
    settings.BUGZILLA_POLL_SECONDS = 300
    one_tick()
    clock.move(timedelta(seconds=359))
    assert tick.poll_bugzilla(tick.LEAVE_TO_THE_WORKER) == "not due"
    clock.move(timedelta(seconds=2))
    assert tick.poll_bugzilla(tick.LEAVE_TO_THE_WORKER) == "done, 0 read"


def broken_query(late_by):
    with connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM no_such_table")


def plain_bug(late_by):
    raise ZeroDivisionError


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("broken", "line"), [(broken_query, "broken: failed: "), (plain_bug, "")])
def test_the_lasting_tick_outlives_a_work_that_breaks(broken, line):
    said = io.StringIO()
    command = tick.Command(stdout=said)
    command._try(tick.Work("broken", broken))
    command._try(tick.Work("poll", tick.poll_bugzilla))
    first, *rest = said.getvalue().splitlines() if line else ["", *said.getvalue().splitlines()]
    assert first.startswith(line)
    assert rest == ["poll: not configured (BUGZILLA_URL is not set)"]


@pytest.mark.django_db(transaction=True)
def test_a_single_tick_does_the_other_works_before_it_fails(monkeypatch):
    monkeypatch.setattr(tick, "WORKS", [tick.Work("broken", broken_query), *tick.WORKS])
    said = io.StringIO()
    with pytest.raises(CommandError):
        call_command("tick", stdout=said)
    assert [line.partition(":")[0] for line in said.getvalue().splitlines()] == ["broken", "poll"]


def test_no_time_between_ticks_is_refused():
    with pytest.raises(CommandError, match="1 or more"):
        call_command("tick", every=0)


def test_sigterm_ends_the_lasting_tick_cleanly(tmp_path):
    # There is not even a database: that too is only a line.
    nowhere = {
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "CIDUTY_STATE_DIR": str(tmp_path),
        "BUGZILLA_URL": "http://localhost:9",
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "tick", "--every", "3600"],
        cwd=ROOT,
        env=os.environ | nowhere,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    said, problems = process.communicate(timeout=10)
    assert first.startswith("poll: failed: ")
    assert (process.returncode, said, problems) == (0, "", "")
