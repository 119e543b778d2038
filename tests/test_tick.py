"""The tick does what is due with the database alone, says so in a line for each kind, and outlives what goes wrong."""

import io
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ciduty import clock
from ciduty.bugzilla.models import Cycle
from ciduty.bugzilla.sandbox import Fault
from ciduty.management.commands import tick
from ciduty.models import Heartbeat
from ciduty.outbox import delivery, post, workflow
from ciduty.outbox.models import Mail
from ciduty.people.roles import Role
from tests.cast import cycle_done, file
from tests.instruments.mail_server import MailServer

ROOT = Path(__file__).resolve().parent.parent
#: In the order in which they are done.
WORKS = [
    "poll", "trees", "reminders", "downtime reminders", "changes", "digests", "tree changes", "mail", "bug updates",
]  # fmt: skip


def one_tick():
    """Tick once, and return what was said of each work."""
    said = io.StringIO()
    call_command("tick", stdout=said)
    return dict(line.split(": ", 1) for line in said.getvalue().splitlines())


@pytest.mark.django_db
def test_the_tick_says_of_each_work_what_is_missing():
    assert one_tick() == {
        "poll": "not configured (BUGZILLA_URL is not set)",
        "trees": "not configured (TREESTATUS_URL is not set)",
        "reminders": "nothing due",
        "downtime reminders": "nothing due",
        "changes": "nothing due",
        "digests": "nothing due",
        "tree changes": "not configured (TREESTATUS_WRITES is none)",
        "mail": "not configured (EMAIL_URL is not set)",
        "bug updates": "not configured (BUGZILLA_URL is not set)",
    }


@pytest.mark.django_db
def test_a_due_poll_is_done_once_and_then_not_due(bugzilla):
    bugzilla.world.add_bug(
        product="Infrastructure & Operations",
        component="CIDuty: Loan Requests",
        summary="Loan a machine",
        creator="developer@example.com",
    )
    assert one_tick()["poll"] == "done, 1 read"
    assert one_tick()["poll"] == "not due"
    assert Cycle.objects.count() == 1


@pytest.mark.django_db
def test_a_failed_poll_is_said_in_its_line_and_by_the_exit(bugzilla):
    bugzilla.faults.add(Fault("status", match="", status=503, body="", times=None))
    said = io.StringIO()
    with pytest.raises(CommandError, match="could not be done"):
        call_command("tick", stdout=said)
    poll, *others = said.getvalue().splitlines()
    assert poll.startswith("poll: failed: ")
    assert [line.partition(":")[0] for line in others] == WORKS[1:]


@pytest.mark.django_db
def test_the_lasting_tick_leaves_half_a_minute_to_the_worker(bugzilla, settings):
    settings.BUGZILLA_POLL_SECONDS = 300
    one_tick()
    clock.move(timedelta(seconds=329))
    assert tick.poll_bugzilla(tick.LEAVE_TO_THE_WORKER) == "not due"
    clock.move(timedelta(seconds=2))
    assert tick.poll_bugzilla(tick.LEAVE_TO_THE_WORKER) == "done, 0 read"


# --- delivering -------------------------------------------------------------------------------------------------------


@pytest.fixture
def mail_server(settings):
    with MailServer() as server:
        settings.EMAIL_URL = server.url
        yield server


def mail(number=1):
    return post.mail(
        key=f"mail {number}", purpose="outbox: check", about="test 1", to=f"developer{number}@example.com",
        subject="A note", text="Something happened.",
    )  # fmt: skip


@pytest.mark.django_db
def test_a_single_tick_sends_everything_that_is_due_and_says_how_it_went(mail_server):
    mail_server.script.on("RCPT", 451, to="developer1@example.com")
    mail_server.script.on("RCPT", 550, to="developer2@example.com")
    for number in range(1, 6):
        mail(number)
    assert one_tick()["mail"] == "3 sent, 1 retried, 1 parked"
    assert len(mail_server.taken()) == 3
    assert one_tick()["mail"] == "nothing due"


@pytest.mark.django_db
def test_a_server_that_refuses_mails_is_no_failure_of_the_tick(settings):
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    mail()
    assert one_tick()["mail"] == "1 retried"
    assert "failed at connecting" in Mail.objects.get().last_words


@pytest.mark.django_db
def test_the_lasting_tick_leaves_a_mail_to_the_worker_for_half_a_minute(mail_server):
    mail()
    assert tick.send_mail(tick.LEAVE_TO_THE_WORKER) == "nothing due"
    clock.move(timedelta(seconds=31))
    assert tick.send_mail(tick.LEAVE_TO_THE_WORKER) == "1 sent"


@pytest.mark.django_db
def test_a_due_comment_is_written_by_the_tick(bugzilla, people):
    bug = file(bugzilla)
    cycle_done()
    wants = {"comment": "Yours is ready."}
    post.bug_update(key="answer", purpose="outbox: check", about=f"loaner {bug}", bug_id=bug, wants=wants)
    assert one_tick()["bug updates"] == "1 sent"
    assert one_tick()["bug updates"] == "nothing due"


@pytest.mark.django_db
@pytest.mark.parametrize(("late_by", "seconds"), [(timedelta(), 300), (tick.LEAVE_TO_THE_WORKER, 20)])
def test_in_the_lasting_tick_no_work_holds_up_the_others_for_long(monkeypatch, late_by, seconds):
    asked = []
    monkeypatch.setattr(delivery, "deliver", lambda channel, **options: asked.append(options) or Counter())
    tick.send_mail(late_by)
    tick.update_bugs(late_by)
    assert asked == [{"late_by": late_by, "seconds": seconds}] * 2


@pytest.mark.django_db
def test_a_purpose_hears_of_a_cancelled_mail_though_mail_is_not_configured(people):
    row = mail()
    workflow.cancel(row, people[Role.DUTY])
    assert one_tick()["mail"] == "not configured (EMAIL_URL is not set)"
    assert not Mail.objects.get().hook_owed


@pytest.mark.django_db(transaction=True)
def test_only_the_lasting_tick_has_a_heartbeat():
    one_tick()
    assert not Heartbeat.objects.exists()
    command = tick.Command(stdout=io.StringIO())
    command._try(tick.Work("nothing", lambda late_by: "nothing due"))
    first = Heartbeat.objects.get(pk="tick").at
    assert abs(clock.now() - first) < timedelta(seconds=10)
    command._try(tick.Work("broken", broken_query))
    assert Heartbeat.objects.get(pk="tick").at > first


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
    assert [line.partition(":")[0] for line in said.getvalue().splitlines()] == [
        "broken",
        *WORKS,
    ]


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
    lines = [process.stdout.readline().partition(": f")[::2] for _ in WORKS]
    process.send_signal(signal.SIGTERM)
    said, problems = process.communicate(timeout=10)
    # Trees alone know without asking the database that there is nothing to do.
    assert [(work, said[:6]) for work, said in lines if work[:5] != "trees"] == [
        (work, "ailed:") for work in WORKS if work != "trees"
    ]
    assert (process.returncode, said, problems) == (0, "", "")
