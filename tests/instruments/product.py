"""The whole product as `make run` starts it, in its demo, on a PostgreSQL and a Redis of the tests' own; and a browser.

It speaks to the demo's sandbox Bugzilla, and to whatever mail server it is given.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.instruments.servers import free_port, start, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
READY_WITHIN = 120  # seconds, on a busy machine


@dataclass(frozen=True)
class Click:
    """One page that somebody asked for: how it was answered, and after how many seconds."""

    what: str
    status: int
    seconds: float


class Product:
    """The process tree of one `manage.py supervise`. Use `with`: then it is ready."""

    def __init__(self, database_url: str, redis_url: str, email_url: str):
        self._folder = tempfile.TemporaryDirectory(prefix="ciduty-product-")
        self.state = Path(self._folder.name)
        self.port = free_port(together=4)  # the pages, both sandboxes, the mail sink
        self.environment = os.environ | {
            "CIDUTY_STATE_DIR": str(self.state),
            "CIDUTY_DEMO": "1",
            "PORT": str(self.port),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "EMAIL_URL": email_url,
        }
        self._said = self.state / "said"
        self.process: subprocess.Popen | None = None

    def __enter__(self):
        with self._said.open("wb") as said:
            command = [sys.executable, str(ROOT / "manage.py"), "supervise"]
            self.process = start(command, env=self.environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        try:
            wait_until(self._is_ready, "the product", READY_WITHIN)
        except TimeoutError as problem:
            raise TimeoutError(
                f"{problem}. It said:\n{self.said}\nIts web server:\n{self.log('web')[-2000:]}"
            ) from None

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()  # its children end with it
            self.process.wait()
        self._folder.cleanup()

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"The product ended:\n{self.said}")
        return "Ctrl-C stops everything." in self.said

    @property
    def said(self) -> str:
        """What the tree said so far."""
        return self._said.read_text()

    @property
    def url(self) -> str:
        """The address of its pages."""
        return f"http://localhost:{self.port}"

    def log(self, name: str) -> str:
        """Return the log of one of its processes: web, worker, beat, tick."""
        path = self.state / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill_worker(self) -> int:
        """Kill the worker with all its threads, and return its process id."""
        (worker,) = (pid for pid, command in self._children() if "celery -A ciduty worker" in command)
        os.kill(worker, signal.SIGKILL)
        return worker

    def _children(self):
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    command = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    yield int(stat.parent.name), command


class Browser:
    """Somebody who clicks in the product and remembers how each page was answered."""

    def __init__(self, product: Product):
        self.product, self.clicks = product, []
        self._session = requests.Session()
        self._session.trust_env = False

    def open(self, path: str) -> requests.Response:
        """Open a page."""
        return self._click("GET", path)

    def press(self, path: str, **fields) -> requests.Response:
        """Press a button: send its form, and follow to the page that it leads to."""
        token = self._session.cookies.get(f"ciduty-csrf-{self.product.port}", "")
        return self._click("POST", path, data=fields, headers={"X-CSRFToken": token})

    def sign_in(self, role: str) -> None:
        """Sign in with the demo's one click."""
        self.open("/sign-in/")
        self.press("/demo/sign-in/", role=role)

    def _click(self, method: str, path: str, **options) -> requests.Response:
        began = time.monotonic()
        answer = self._session.request(method, self.product.url + path, timeout=60, **options)
        self.clicks.append(Click(f"{method} {path}", answer.status_code, time.monotonic() - began))
        return answer
