"""Whatever keeps ciduty from starting is said in one line that names it and what is expected, and never a secret."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import environ
import pytest

from ciduty import ports

ROOT = Path(__file__).resolve().parent.parent
SECRET = "hunter2-hunter2"


def run(*command, cwd=ROOT, **settings):
    """Run a command with these settings and nothing else of ours; a value of None leaves the name out."""
    ours = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    settings = {name: str(value) for name, value in settings.items() if value is not None}
    return subprocess.run(command, cwd=cwd, env=ours | settings, capture_output=True, text=True, timeout=30)


def manage(*arguments, **settings):
    return run(sys.executable, str(ROOT / "manage.py"), *arguments, **settings)


def one_line(result):
    """Return the only line of a start that was refused."""
    assert result.returncode not in (0, None), result.stdout
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("ciduty cannot start: ")
    return lines[0]


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CIDUTY_DEMO", "maybe", "1 or 0"),
        ("PORT", "eighty", "a whole number from 1 to 65535"),
        ("PORT", "65536", "a whole number from 1 to 65535"),
        ("BUGZILLA_POLL_SECONDS", "-5", "a whole number from 1 to"),
        ("SITE_URL", "ciduty.example.com", "an address such as"),
        ("BUGZILLA_URL", "https://bugzilla.example.com:port", "an address such as"),
        ("BUGZILLA_URL", f"https://bot:{SECRET}@bugzilla.example.com", "without a user name"),
        ("BUGZILLA_KEY_IN", "cookie", "header, query"),
        ("TREESTATUS_URL", "treestatus.example.com", "an address such as"),
        ("TREESTATUS_URL", f"https://bot:{SECRET}@treestatus.example.com", "without a user name"),
        ("TREESTATUS_URL", "https://treestatus.example.com/" + "x" * 300, "at most 300 characters"),
        ("TREESTATUS_WRITES", "restore", "none, patch"),
        ("TREESTATUS_WRITES", "patch", "none, unless TREESTATUS_URL is set too"),
        ("TREESTATUS_TOKEN", f"{SECRET} {SECRET}", "without blanks"),
        ("LOG_LEVEL", "LOUD", "INFO, DEBUG"),
        ("CIDUTY_COMPONENTS", "CIDuty", "Product::Component"),
        ("CIDUTY_WORK_TZ", "Mars/Olympus", "Mars/Olympus"),
        ("CIDUTY_WORK_HOURS", "nine to five", "nine to five"),
        ("CIDUTY_HOLIDAYS", "Utopia", "UTOPIA"),
        ("SECRET_KEY", SECRET, "at least 32"),
        ("DATABASE_URL", f"mysql://ciduty:{SECRET}@localhost/ciduty", "postgres://"),
        ("DATABASE_URL", f"postgres://ciduty:{SECRET}@localhost:port/ciduty", "postgres://"),
        ("REDIS_URL", f"amqp://:{SECRET}@localhost", "redis://"),
        ("EMAIL_URL", f"http://mail:{SECRET}@localhost", "smtp://"),
        ("EMAIL_URL", f"mail:{SECRET}@localhost", "smtp://"),
        ("EMAIL_URL", SECRET, "(not shown)"),
        ("EMAIL_URL", f"smtp://mail:{SECRET}/@localhost", "%XX for special characters"),
        ("EMAIL_URL", f"smtps://mail:{SECRET}@localhost:port", "smtps://..."),
        ("EMAIL_URL", f"smtp+tls://mail:{SECRET}@", "smtp+tls://..."),
        ("EMAIL_URL", "smtp://mail@localhost", "user:password"),
        ("EMAIL_URL", f"smtp://mail:{SECRET}%0d%0aDATA@localhost", "user:password"),
        ("MAIL_FROM", "CiDuty <ciduty@example.com>", "one plain address"),
        ("MAIL_FROM", "ciduty@example.com, other@example.com", "one plain address"),
        ("MAIL_FROM", "a" * 31 + "@example.com", "at most 30 characters"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(name, value, expected, tmp_path):
    result = manage("check", CIDUTY_STATE_DIR=tmp_path, **{name: value})
    line = one_line(result)
    assert result.returncode == 1
    assert name in line
    assert expected in line
    assert SECRET not in line


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path):
    # A folder under a file: nobody may write there, root neither.
    (tmp_path / "file").touch()
    line = one_line(manage("check", CIDUTY_STATE_DIR=tmp_path / "file" / "state"))
    assert "CIDUTY_STATE_DIR" in line
    assert str(tmp_path / "file" / "state") in line


def test_the_example_file_is_accepted_as_it_is_and_changes_no_default(tmp_path):
    show = "from django.conf import settings as s; print({n: str(getattr(s, n)) for n in dir(s) if n.isupper()})"
    with_nothing, with_example = (
        manage("shell", "-v", "0", "-c", show, CIDUTY_STATE_DIR=tmp_path, CIDUTY_ENV_FILE=file)
        for file in ("", ROOT / ".env.example")
    )
    assert with_example.returncode == 0, with_example.stderr
    assert "CIDUTY_HOLIDAYS" in (ROOT / ".env.example").read_text()
    assert len(with_nothing.stdout) > 1000
    assert with_example.stdout == with_nothing.stdout


def test_the_example_file_lists_every_setting():
    source = (ROOT / "ciduty" / "settings.py").read_text()
    read = set(re.findall(r'(?:environment\.\w+|environ\.get)\(\s*"([A-Z_]+)"', source)) - {"CIDUTY_ENV_FILE"}
    listed = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert len(read) > 25
    assert read - listed == set()
    assert listed - read == {"POSTGRES_PASSWORD"}  # docker-compose.yml reads it


def test_the_example_file_explains_every_setting_and_holds_no_secret(monkeypatch):
    lines = (ROOT / ".env.example").read_text().splitlines()
    for above, line in zip(lines, lines[1:], strict=False):
        assert not re.match(r"[A-Z_]+=", line) or above.startswith("# ") or line.startswith("CIDUTY_")
    monkeypatch.setattr(environ.Env, "ENVIRON", {})
    environ.Env.read_env(ROOT / ".env.example")
    assert not {name for name in ("SECRET_KEY", "BUGZILLA_API_KEY", "POSTGRES_PASSWORD") if environ.Env.ENVIRON[name]}


# --- ports and folders of the whole product ---------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "purpose"), [(0, "the pages"), (1, "the sandbox Bugzilla"), (2, "the mail sink")])
def test_a_taken_port_is_named_with_what_it_is_for(offset, purpose, tmp_path):
    # Not one that the system picks: those beside it are picked too, for connections of others.
    port = ports.four_free() + offset
    with socket.create_server(("127.0.0.1", port)):
        result = manage("supervise", CIDUTY_STATE_DIR=tmp_path, CIDUTY_DEMO=1, PORT=port - offset)
    line = one_line(result)
    assert f"port {port} ({purpose}" in line
    assert "is taken" in line
    assert "make run PORT=" in line


def test_a_port_taken_only_on_ipv6_is_noticed_too(tmp_path):
    # A browser asks ::1 first: it would show somebody else's page under our address.
    try:
        taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with taken:
        line = one_line(manage("supervise", CIDUTY_STATE_DIR=tmp_path, PORT=taken.getsockname()[1]))
    assert "is taken" in line


def test_a_database_that_does_not_answer_is_said_without_its_password(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()[1]
    address = f"postgres://ciduty:{SECRET}@127.0.0.1:{nobody}/ciduty"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    line = one_line(manage("supervise", CIDUTY_STATE_DIR=tmp_path, PORT=free, DATABASE_URL=address))
    assert "DATABASE_URL" in line
    assert str(nobody) in line
    assert SECRET not in line


# --- the environment: bin/environment is what `make run` and `make test` begin with ---------------------------------


@pytest.fixture
def clone(tmp_path):
    """A clone without an environment: what bin/environment needs, and no more."""
    folder = tmp_path / "clone"
    (folder / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "bin" / "environment", folder / "bin")
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-build.lock"):
        (folder / name).write_text("")  # nothing to install: no test reaches for the network
    return folder


@pytest.fixture
def only_python(tmp_path):
    """Return a function that makes every Python of PATH behave like a script."""

    def make(script):
        folder = tmp_path / "path"
        folder.mkdir(exist_ok=True)
        for name in ("python3.13", "python3.12", "python3.11", "python3"):
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return f"{folder}:/usr/bin:/bin"

    return make


REAL = f'exec "{getattr(sys, "_base_executable", sys.executable)}" "$@"'


def test_a_python_that_is_too_old_is_refused(clone, only_python):
    path = only_python('case "$2" in *version_info*"(3, 11)"*) exit 1;; *) echo 3.10;; esac')
    line = one_line(run("bin/environment", "runtime", cwd=clone, PATH=path))
    assert "Python 3.11 or newer" in line
    assert "3.10" in line
    assert not (clone / ".venv").exists()


def test_a_machine_without_python_is_told_so(clone, only_python):
    line = one_line(run("bin/environment", "runtime", cwd=clone, PATH=only_python("exit 127")))
    assert "Python 3.11 or newer" in line
    assert "none was found" in line


def test_a_missing_venv_module_names_the_package_to_install(clone, only_python):
    path = only_python(f'case "$*" in *ensurepip*) exit 1;; esac; {REAL}')
    line = one_line(run("bin/environment", "development", cwd=clone, PATH=path))
    assert "apt install python3-venv" in line


def test_a_folder_that_cannot_be_written_is_named(clone, only_python):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    clone.chmod(0o500)
    try:
        line = one_line(run("bin/environment", "runtime", cwd=clone, PATH=only_python(REAL)))
    finally:
        clone.chmod(0o700)
    assert "may not write" in line
    assert str(clone) in line


def test_a_failed_installation_shows_pips_last_words_and_is_done_again_from_the_start(clone, only_python):
    path = only_python(REAL)
    (clone / "requirements.lock").write_text("no-hash-here==1.0\n")
    failed = run("bin/environment", "runtime", cwd=clone, PATH=path)
    *lines, last = failed.stderr.strip().splitlines()
    assert failed.returncode == 1
    assert last.startswith("ciduty cannot start: pip could not install requirements.lock")
    assert 0 < len(lines) <= 5
    assert "no-hash-here" in "".join(lines)

    (clone / "requirements.lock").write_text("")
    again = run("bin/environment", "runtime", cwd=clone, PATH=path)
    assert (again.returncode, again.stderr) == (0, "")
    assert "Making the Python" in again.stdout  # a half-made one is not to be trusted

    once_more = run("bin/environment", "runtime", cwd=clone, PATH=path)
    assert (once_more.returncode, once_more.stdout, once_more.stderr) == (0, "", "")


def test_the_locks_hold_hashes_and_no_address():
    for name in ("requirements-build.lock", "requirements.lock", "requirements-dev.lock"):
        lock = (ROOT / name).read_text()
        assert "--hash=sha256:" in lock
        assert "://" not in lock
        assert "--index" not in lock
