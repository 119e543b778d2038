"""A PostgreSQL and a Redis of the tests' own: on free ports of loopback, in temporary folders, gone with the process.

Nothing here knows ciduty. Each is ended by its own process id, and ends by itself when the tests are killed (on Linux).
"""

import contextlib
import glob
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg2
import redis

#: Runs a command that gets a signal when whoever started it ends. As another account the promise must be given after
#: the change of account, which would void it; hence no preexec_fn. Arguments: signal, account or "", command ...
_ENDS_WITH_US = """
import ctypes, os, pwd, sys
number, account, *command = sys.argv[1:]
if account:
    who = pwd.getpwnam(account)
    os.initgroups(account, who.pw_gid); os.setgid(who.pw_gid); os.setuid(who.pw_uid)
    os.environ["HOME"] = who.pw_dir
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(number))
os.execvp(command[0], command)
"""
PATIENCE = 10  # seconds for a server to end, and for what else is waited for
COMES_UP_WITHIN = 60  # seconds; a PostgreSQL that was stopped hard works through its log first


class NotInstalled(RuntimeError):
    """A server's program is not on this machine."""


def start(command: list[str], *, account: str = "", end_by=signal.SIGTERM, **options) -> subprocess.Popen:
    """Start a process that gets `end_by` when this one ends, even by SIGKILL; `options` go to Popen."""
    wrapped = [sys.executable, "-c", _ENDS_WITH_US, str(int(end_by)), account, *command]
    return subprocess.Popen(wrapped, stdin=options.pop("stdin", subprocess.DEVNULL), **options)


#: Ports that the system gives to no outgoing connection; each run of the tests begins elsewhere.
_PORTS = itertools.cycle(range(20_000, 30_000))
for _ in range(os.getpid() % 500 * 20):
    next(_PORTS)


def free_port(together: int = 1) -> int:
    """Return a port that nobody listens on, with those after it if several are wanted; none is returned again soon."""
    for _ in range(10_000):
        ports = [next(_PORTS) for _ in range(together)]
        if ports[-1] - ports[0] == together - 1 and all(map(_is_free, ports)):
            return ports[0]
    raise RuntimeError("No port of this machine is free.")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(ready, what: str, seconds: float = PATIENCE, every: float = 0.02):
    """Wait until `ready()` is true, and return it. Raises TimeoutError that names what was waited for."""
    ends = time.monotonic() + seconds
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > ends:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


class _Server:
    """One server process with a folder and a port of its own. Use `with`."""

    end_by = signal.SIGTERM
    account = ""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=f"ciduty-{type(self).__name__.lower()}-"))
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    def __enter__(self):
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.end(self.end_by)
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self) -> None:
        """Do what is needed once."""

    def start(self) -> None:
        """Start the process and wait until it serves. Raises TimeoutError with the end of its log."""
        with (self.folder / "log").open("ab") as log:
            self.process = start(
                self.command(), account=self.account, end_by=self.end_by, stdout=log, stderr=log, cwd="/"
            )
        try:
            wait_until(self.serves, type(self).__name__, COMES_UP_WITHIN)
        except TimeoutError as problem:
            raise TimeoutError(f"{problem}\n{(self.folder / 'log').read_text()[-2000:]}") from None

    def end(self, number: int) -> None:
        """End the process with a signal and wait; SIGKILL follows when it does not go."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(number)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)  # a frozen process hears nothing else
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Postgres(_Server):
    """A PostgreSQL cluster. Its superuser needs no password; it listens on loopback only, and on no socket file."""

    end_by = signal.SIGQUIT  # what `pg_ctl -m immediate` sends: nothing is tidied up, the next start recovers

    def prepare(self) -> None:
        """Make the cluster, as the account `postgres` where we are root: initdb refuses root."""
        if os.geteuid() == 0:
            self.account = "postgres"
            shutil.chown(self.folder, user=pwd.getpwnam("postgres").pw_uid)
        initdb = [_postgres_program("initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust"]
        initdb += ["-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        made = start(initdb, account=self.account, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/")
        said, _ = made.communicate(timeout=60)
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{said.decode()[-2000:]}")

    def command(self) -> list[str]:
        """Return how the server is started: in the foreground, so that its process id is ours."""
        chosen = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 60,
            "shared_buffers": "32MB",
            "log_min_error_statement": "panic",
        }
        options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
        return [_postgres_program("postgres"), "-D", str(self.folder / "data"), *options]

    def serves(self) -> bool:
        """Answer whether it takes connections."""
        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def restart(self) -> None:
        """Restart as `pg_ctl -m immediate restart` does: every connection is cut, every transaction lost."""
        self.end(signal.SIGQUIT)
        self.start()

    def url(self, name: str) -> str:
        """Return DATABASE_URL for one of its databases."""
        return f"postgres://postgres@127.0.0.1:{self.port}/{name}"

    def connect(self, name: str):
        """Return a connection of our own to one of its databases, in autocommit."""
        connection = psycopg2.connect(self.url(name), connect_timeout=5)
        connection.autocommit = True
        return connection

    def create(self, name: str, template: str = "template1") -> str:
        """Create a database, a copy of another one, and return its DATABASE_URL."""
        with contextlib.closing(self.connect("postgres")) as connection:
            connection.cursor().execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)


def _postgres_program(name: str) -> str:
    """Return the path of a server program: Debian keeps them out of PATH, one folder for each version."""
    known = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    newest = max(known, key=lambda path: int(path.split("/")[4]), default=None)
    found = newest or shutil.which(name)
    if found is None:
        raise NotInstalled(f"The program {name} is not here: apt install postgresql")
    return found


class Redis(_Server):
    """A Redis that keeps nothing on disk."""

    end_by = signal.SIGKILL  # a frozen one hears nothing else

    def command(self) -> list[str]:
        """Return how the server is started."""
        program = shutil.which("redis-server")
        if program is None:
            raise NotInstalled("The program redis-server is not here: apt install redis-server")
        return [program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(self.folder)]

    def serves(self) -> bool:
        """Answer whether it answers."""
        try:
            return self.client().ping()
        except redis.ConnectionError:
            return False

    @property
    def url(self) -> str:
        """Return REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """Return a connection of our own."""
        return redis.Redis(port=self.port, socket_timeout=2)

    def refuse(self) -> None:
        """Stop it: whoever connects is refused. `start` begins again, empty."""
        self.end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it take connections and answer none, as a machine that swaps does."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        self.process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Forget everything."""
        self.client().flushall()
