"""What the benchmark stands on: a database of its own, a sandbox Bugzilla as a process, a worker as a process."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def own_database():
    """Give the run a database of its own: SQLite in a new folder, or a new one where DATABASE_URL points."""
    folder = tempfile.TemporaryDirectory(prefix="ciduty-bench-")
    os.environ["CIDUTY_STATE_DIR"] = folder.name
    os.environ["CIDUTY_ENV_FILE"] = ""
    os.environ["LOG_LEVEL"] = "ERROR"
    server = os.environ.get("DATABASE_URL", "")
    name = f"ciduty_bench_{os.getpid()}"
    if server:
        _on_server(server, f'CREATE DATABASE "{name}"')
        os.environ["DATABASE_URL"] = server.rpartition("/")[0] + f"/{name}"
    try:
        yield folder.name
    finally:
        if server:
            from django.db import connections

            connections.close_all()
            _on_server(server, f'DROP DATABASE "{name}" WITH (FORCE)')
        folder.cleanup()


def _on_server(url, statement):
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()


def fill(path, bugs: int) -> None:
    """Fill a sandbox world: two thirds of the bugs closed, one in sixty with a conversation, spread over two years."""
    from ciduty.bugzilla.sandbox import World, seed

    world = World(str(path))
    seed.people(world)
    seed.products(world)
    begin = datetime.now(UTC) - timedelta(days=730)
    step = timedelta(days=728) / bugs
    for number in range(bugs):
        closed = number % 3 != 0
        at = begin + step * number
        bug = world.add_bug(
            product="Infrastructure & Operations",
            component="CIDuty: Loan Requests" if number % 2 else "CIDuty",
            summary=f"Loan a t-w1064-ms machine to developer: intermittent number {number} fails on hardware only",
            description="What: t-w1064-ms. Why: try is too slow for this. How long: one week.",
            whiteboard=f"[loaner:t-w1064-ms-{number % 400:03d}]" if number % 4 == 0 else "",
            creator="developer@example.com",
            status="RESOLVED" if closed else "NEW",
            resolution="FIXED" if closed else "",
            flags=[{"name": "needs-treeclosure", "status": "?"}] if number % 40 == 0 else [],
            at=at,
        )
        if not closed and number % 20 == 1:
            world.comment(bug, "developer@example.com", "Any news?", at=at + timedelta(hours=3))
    world.close()


@contextmanager
def sandbox(path, port: int):
    """Run the sandbox Bugzilla as a process of its own and yield its address."""
    command = [sys.executable, "manage.py", "sandbox_bugzilla", "--port", str(port), "--database", str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: requests.get(f"{address}/rest/version", timeout=1).ok, "the sandbox")
        yield address
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def sink(port: int, folder: str):
    """Run the mail sink as a process of its own and yield its EMAIL_URL."""
    command = [sys.executable, "manage.py", "smtp_sink", "--port", str(port), "--folder", str(Path(folder) / "mail")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, "the mail sink")
        yield f"smtp://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def worker():
    """Run a Celery worker as a process of its own and yield its process id."""
    command = [sys.executable, "-m", "celery", "-A", "ciduty", "worker", "--pool=threads", "-c", "4", "-l", "ERROR"]
    command += ["-Q", "urgent,sync,mail", "--without-mingle", "--without-gossip", "--without-heartbeat"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def peak_memory(pid: int) -> float:
    """Return the most memory that a process has held, in MiB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def wait_until(ready, what: str, seconds: float = 300, every: float = 0.05) -> None:
    """Wait until `ready()` is true. Raises TimeoutError."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            if ready():
                return
        except (requests.RequestException, OSError):
            pass
        time.sleep(every)
    raise TimeoutError(f"{what} was not ready within {seconds} s")
