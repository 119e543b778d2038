"""`manage.py poll`: one clear line for every way it can end, and exit code 1 when the cycle failed."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from ciduty.bugzilla import poll
from ciduty.bugzilla.models import Bug
from ciduty.bugzilla.sandbox import Fault

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent
LOAN = {
    "product": "Infrastructure & Operations",
    "component": "CIDuty: Loan Requests",
    "creator": "developer@example.com",
}


def fails(**options):
    with pytest.raises(CommandError) as caught:
        call_command("poll")
    assert caught.value.returncode == 1
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_good_cycle_says_what_it_read_changed_and_hid(bugzilla, capsys):
    bugzilla.world.add_bug(summary="Loan", **LOAN)
    call_command("poll")
    assert "Read 1 bugs (1 new or changed, 0 hidden, 0 set aside)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("html"), "web page"),
        (Fault("empty"), "empty page"),
        (Fault("redirect", status=302, location="/x"), "redirect"),
        (Fault("status", status=503, body="down", content_type="text/plain"), "no JSON"),
    ],
)
def test_a_failed_cycle_ends_with_one_line_and_loses_nothing(bugzilla, fault, says):
    bugzilla.world.add_bug(summary="Loan", **LOAN)
    call_command("poll")
    bugzilla.faults.add(fault)
    assert says in fails()
    assert Bug.objects.count() == 1


def test_a_bad_key_ends_with_one_line(bugzilla, settings):
    settings.BUGZILLA_API_KEY = "wrong" * 8
    line = fails()
    assert "check BUGZILLA_API_KEY" in line
    assert "wrongwrong" not in line


def test_no_key_ends_with_one_line(bugzilla, settings):
    settings.BUGZILLA_API_KEY = ""
    assert "BUGZILLA_API_KEY is not set" in fails()


def test_no_address_ends_with_one_line(settings):
    settings.BUGZILLA_URL = ""
    assert "set BUGZILLA_URL" in fails()


def test_a_wrong_address_ends_with_one_line(settings):
    settings.BUGZILLA_URL, settings.BUGZILLA_API_KEY = "http://127.0.0.1:9", "x" * 40
    assert "could not be reached" in fails()


def test_a_trailing_slash_is_fine(bugzilla, settings, capsys):
    settings.BUGZILLA_URL += "/"
    call_command("poll")
    assert "Read 0 bugs" in capsys.readouterr().out


def test_five_seconds_of_silence_are_waited_for(bugzilla, capsys):
    bugzilla.faults.add(Fault("delay", seconds=5, times=1))
    call_command("poll")
    assert "Read 0 bugs" in capsys.readouterr().out


def test_one_poison_bug_among_500_is_named_and_the_others_are_read(bugzilla, capsys):
    bugs = [bugzilla.world.add_bug(summary=f"Loan {number}", **LOAN) for number in range(500)]
    bugzilla.faults.add(Fault("poison", bug_id=bugs[321], status=500))
    call_command("poll")
    told = capsys.readouterr().out
    assert "Read 499 bugs" in told
    assert f"Set aside: bug {bugs[321]}" in told


def test_reconcile_reads_every_mirrored_bug_again(bugzilla, capsys):
    bugzilla.world.add_bug(
        summary="Loan", status="RESOLVED", resolution="FIXED", at=datetime(2026, 1, 5, tzinfo=UTC), **LOAN
    )
    call_command("poll")
    call_command("poll")
    assert "Read 0 bugs" in capsys.readouterr().out
    call_command("poll", "--reconcile")
    assert "Read 1 bugs" in capsys.readouterr().out


def test_another_process_that_polls_is_waited_for_and_then_named(bugzilla, monkeypatch):
    monkeypatch.setattr("ciduty.bugzilla.management.commands.poll.WAIT_FOR_ANOTHER", 1)
    monkeypatch.setattr(poll, "poll", lambda reconcile: None)
    assert "Another process" in fails()


def test_a_database_without_tables_ends_with_one_line(tmp_path):
    environment = os.environ | {
        "CIDUTY_STATE_DIR": str(tmp_path),
        "BUGZILLA_URL": "http://127.0.0.1:9",
        "DATABASE_URL": "",
    }
    command = [sys.executable, "manage.py", "poll"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "manage.py migrate" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_processes_that_start_at_once_agree_on_the_generated_key(tmp_path):
    environment = os.environ | {"CIDUTY_STATE_DIR": str(tmp_path), "SECRET_KEY": ""}
    command = [sys.executable, "-c", "import ciduty.settings as s; print(s.SECRET_KEY)"]
    started = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    keys = {process.communicate()[0].strip() for process in started}
    assert len(keys) == 1
    assert len(keys.pop()) >= 60
