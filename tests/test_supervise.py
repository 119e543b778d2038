"""`make run` is one process tree: it answers before it says so, mends itself, and leaves nothing behind."""

import contextlib
import os
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

import psycopg2
import pytest

from ciduty import ports
from ciduty.management.commands.smtp_sink import file_name_of
from ciduty.supervision import Child, Tree

ROOT = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, str(ROOT / "manage.py")]
READY_WITHIN = 30  # seconds, on a busy machine

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc (Linux)")


@pytest.fixture(scope="module")
def database():
    """DATABASE_URL for the trees: nothing, or a database of their own on the server that DATABASE_URL names."""
    named = os.environ.get("DATABASE_URL", "")
    if not named.startswith("postgres"):
        yield ""
        return
    name = f"test_ciduty_tree_{os.getpid()}"
    server = contextlib.closing(psycopg2.connect(urlunsplit(urlsplit(named)._replace(path="/postgres"))))
    with server as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(named)._replace(path=f"/{name}"))
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, database):
    """A state folder with an empty, migrated database."""
    folder = tmp_path_factory.mktemp("prepared")
    environment = os.environ | {"CIDUTY_STATE_DIR": str(folder), "DATABASE_URL": database}
    subprocess.run([*MANAGE, "migrate", "-v", "0"], env=environment, check=True, timeout=60)
    return folder


class Running:
    """A tree that said it is ready."""

    def __init__(self, state, **settings):
        self.state, self.port = state, ports.four_free()
        self.environment = os.environ | {"CIDUTY_STATE_DIR": str(state), "PORT": str(self.port)} | settings
        self.output = state / "said"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*MANAGE, "supervise"], env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )
        self.wait_for(lambda: "Ctrl-C stops everything." in self.said, READY_WITHIN)
        self.wait_for(lambda: len(self.family) >= 6, 10)  # the page may answer before web's second worker is born
        self.at_first = self.family

    @property
    def said(self):
        return self.output.read_text()

    @property
    def family(self):
        """Every process below the tree, with its command line."""
        return {pid: command_of(pid) for pid in descendants(self.process.pid)}

    def one(self, words):
        """Return the process whose command line holds these words."""
        (pid,) = (pid for pid, command in self.family.items() if words in command)
        return pid

    def wait_for(self, condition, seconds):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"It did not happen within {seconds} s. Said:\n{self.said}"
            time.sleep(0.05)

    def page(self, path="/", offset=0):
        with urlopen(f"http://localhost:{self.port + offset}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()


def parents():
    """Return the parent of every process that is alive."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(stat.parent.name)] = int(parent)
    return found


def descendants(pid):
    found, known = {pid}, parents()
    for _ in range(5):
        found |= {child for child, parent in known.items() if parent in found}
    return found - {pid}


def command_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def left_of(family):
    """Return which of these processes are still there."""
    known = parents()
    return {pid: command for pid, command in family.items() if pid in known and command_of(pid) == command}


@contextlib.contextmanager
def running(state, **settings):
    tree = Running(state, **settings)
    try:
        yield tree
    finally:
        if tree.process.poll() is None:
            tree.process.send_signal(signal.SIGINT)
        tree.process.wait(timeout=15)
    assert left_of(tree.at_first) == {}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo, started as a fresh clone starts it: its own SQLite, whatever the rest of the suite runs on."""
    settings = {"CIDUTY_DEMO": "1", "BUGZILLA_POLL_SECONDS": "2", "DATABASE_URL": "", "REDIS_URL": ""}
    with running(tmp_path_factory.mktemp("demo"), **settings) as tree:
        yield tree


@pytest.fixture
def state(prepared, tmp_path):
    """A migrated state folder of one's own."""
    return shutil.copytree(prepared, tmp_path / "state")


# --- what runs --------------------------------------------------------------------------------------------------------


def test_everything_answers_that_is_said_to_be_there(demo):
    assert demo.page()[0] == 200
    assert demo.page(offset=1)[0] == 200
    for line in (
        f"ciduty is ready:  http://localhost:{demo.port}/ ",
        f"Sandbox Bugzilla: http://localhost:{demo.port + 1}/ ",
        f"Mail sink: localhost:{demo.port + 2}, mails in ",
        "as duty, lead, developer, scheduler, manager with the password demo-ciduty",
    ):
        assert line in demo.said


def test_web_worker_beat_and_tick_run_beside_the_sandbox_and_the_sink(demo):
    for words in ("supervise", "sandbox_bugzilla", "smtp_sink", "gunicorn", "tick --every 30", "celery -A ciduty beat"):
        assert any(words in command for command in [command_of(demo.process.pid), *demo.family.values()]), words
    assert demo.one("celery -A ciduty worker")


def test_the_sandbox_is_read_soon_after_the_start(demo):
    log = demo.state / "log" / "tick.log"
    demo.wait_for(lambda: re.search(r"^poll: done, [1-9]\d* read$", log.read_text(), re.MULTILINE), 20)


def test_the_worker_polls_when_beat_rings(demo):
    log = demo.state / "log" / "worker.log"
    demo.wait_for(lambda: "Poll cycle done." in log.read_text(), 30)


def test_the_pages_listen_on_this_machine_only(demo):
    for table in ("tcp", "tcp6"):
        listening = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        ours = {f"{demo.port + offset:04X}" for offset in range(3)}
        found = {fields[1] for fields in listening if fields[3] == "0A" and fields[1].split(":")[1] in ours}
        assert {address.split(":")[0] for address in found} <= {"0100007F"}
        assert len(found) == (3 if table == "tcp" else 0)


def test_the_sink_keeps_a_mail_as_it_came_and_whom_it_was_for(demo):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ciduty@example.com", "list@example.com", "TREE OPEN"
    mail.set_content("All trees are open.\n")
    with smtplib.SMTP("localhost", demo.port + 2, timeout=5) as connection:
        connection.send_message(mail, to_addrs=["../../sheriff@example.com", "manager@example.com"])
    (kept,) = (demo.state / "mail").glob("*sheriff@example.com.eml")
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-_.._sheriff@example.com.eml", kept.name)
    text = kept.read_text()
    assert text.startswith("X-Envelope-From: ciduty@example.com\nX-Envelope-To: ../../sheriff@example.com\n")
    assert text.endswith("\nAll trees are open.\n")


@pytest.mark.parametrize(
    ("recipient", "name"),
    [
        ("duty@example.com", "duty@example.com"),
        ("../etc/passwd", "_etc_passwd"),
        ("..", "nobody"),
        ('"a b\n"@example.com', "_a_b__@example.com"),
    ],
)
def test_a_recipient_never_leaves_the_mail_folder(recipient, name):
    assert file_name_of(recipient) == name


def test_a_second_tree_on_the_same_folder_is_refused(demo):
    second = subprocess.run(
        [*MANAGE, "supervise"],
        env=demo.environment | {"PORT": str(ports.four_free())},
        capture_output=True,
        text=True,
        timeout=20,
    )
    expected = f"ciduty cannot start: ciduty is already running from this folder (process {demo.process.pid}).\n"
    assert (second.returncode, second.stderr) == (1, expected)
    assert demo.page()[0] == 200


def test_a_killed_worker_is_started_again_and_said_so(demo):
    before = demo.one("celery -A ciduty worker")
    os.kill(before, signal.SIGKILL)
    demo.wait_for(lambda: "worker ended (SIGKILL); it starts again in 1 s." in demo.said, 5)
    demo.wait_for(lambda: any("celery -A ciduty worker" in command for command in demo.family.values()), 5)
    assert demo.one("celery -A ciduty worker") != before
    assert demo.page()[0] == 200


def test_a_killed_web_master_leaves_no_worker_on_its_port(demo):
    known, web = parents(), [pid for pid, command in demo.family.items() if "gunicorn" in command]
    (master,) = (pid for pid in web if known[pid] == demo.process.pid)
    os.kill(master, signal.SIGKILL)
    demo.wait_for(lambda: "web ended (SIGKILL)" in demo.said, 5)

    def answers():
        with contextlib.suppress(OSError):
            return demo.page()[0] == 200

    demo.wait_for(answers, 15)


def test_what_an_ended_child_leaves_behind_is_ended_before_it_starts_again(tmp_path):
    said = []
    tree = Tree(tmp_path, said.append)
    child = tree.start("shell", ["sh", "-c", "sleep 61 & echo $!; exit 3"], dict(os.environ))
    child.process.wait(timeout=5)
    left_behind = int(child.log.read_text())
    try:
        assert left_behind in parents()
        tree.look_after()
        assert said == [f"shell ended (exit code 3); it starts again in 1 s. Its log: {child.log}"]
        until = time.monotonic() + 5
        while left_behind in parents():
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        child.tell(signal.SIGKILL)
        tree.stop()


def test_pauses_between_restarts_double_up_to_half_a_minute(tmp_path):
    child = Child("shell", [], {}, tmp_path / "shell.log")
    moment, pauses = 1000.0, []
    for _ in range(7):
        child.started_at = moment
        child.plan_restart(moment)
        pauses.append(child.start_again_at - moment)
        moment = child.start_again_at
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    child.started_at = moment
    child.plan_restart(moment + 60)  # it ran for a minute: it is well again
    assert child.start_again_at == moment + 61


def test_a_log_of_over_five_megabytes_begins_anew(tmp_path):
    log = tmp_path / "web.log"
    for size, kept in ((5_000_000, 5_000_000), (5_000_001, 0)):
        log.write_bytes(b"x" * size)
        Child("web", [], {}, log)
        assert log.stat().st_size == kept


# --- how it ends: on what the environment names ---------------------------------------------------------------------


def test_ctrl_c_ends_every_process(state, database):
    with running(state, CIDUTY_DEMO="0", DATABASE_URL=database) as tree:
        assert len(tree.at_first) == 6  # web and its two, worker, beat, tick
        assert not any("sandbox_bugzilla" in command or "smtp_sink" in command for command in tree.at_first.values())
        assert "add_person NAME --role lead" in tree.said
        assert "Bugzilla is not configured: set BUGZILLA_URL" in tree.said
        tree.process.send_signal(signal.SIGINT)
        assert tree.process.wait(timeout=10) == 0
        assert left_of(tree.at_first) == {}
        assert tree.said.endswith("Stopped.\n")


def test_a_second_ctrl_c_does_not_wait_for_who_does_not_listen(state, database):
    with running(state, CIDUTY_DEMO="0", DATABASE_URL=database) as tree:
        worker = tree.one("celery -A ciduty worker")
        os.kill(worker, signal.SIGSTOP)  # a stopped process hears SIGKILL only
        tree.process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert tree.process.poll() is None
        tree.process.send_signal(signal.SIGINT)
        assert tree.process.wait(timeout=3.5) == 0
        assert left_of(tree.at_first) == {}


def test_children_do_not_outlive_a_killed_tree(state, database):
    with running(state, CIDUTY_DEMO="0", DATABASE_URL=database) as tree:
        os.kill(tree.process.pid, signal.SIGKILL)
        tree.wait_for(lambda: not left_of(tree.at_first), 10)


#: The pauses between restarts are cut to a twentieth, or the test would wait a quarter of a minute for five of them.
IMPATIENT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import manage
from ciduty import supervision
supervision.FIRST_PAUSE = 0.05
sys.argv = ["manage.py", "supervise"]
manage.main()
"""


def test_a_page_that_never_answers_ends_the_start_with_the_end_of_its_log(state, database, tmp_path):
    # What a broken installation looks like: the server itself cannot start.
    (tmp_path / "gunicorn").mkdir()
    (tmp_path / "gunicorn" / "__init__.py").touch()
    (tmp_path / "gunicorn" / "__main__.py").write_text("raise SystemExit('the server is broken')")
    settings = {"CIDUTY_DEMO": "0", "DATABASE_URL": database}
    settings |= {"CIDUTY_STATE_DIR": str(state), "PORT": str(ports.four_free())}
    result = subprocess.run(
        [sys.executable, "-c", IMPATIENT],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=45,
        cwd=tmp_path,  # where the children find the broken server first
    )
    assert result.returncode == 1
    assert result.stderr.startswith("ciduty cannot start: the page does not answer")
    assert "the server is broken" in result.stderr
    assert "web ended (exit code 1)" in result.stdout
    assert "web ended 5 times within 30 s; its last lines:\n    the server is broken" in result.stdout
