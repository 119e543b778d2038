"""What every sandbox is: a server on a loopback port, its clock, the ledger of requests, and /sandbox/ for scripts.

How a real server speaks and what it answers is each sandbox's own: `bugzilla/sandbox`, `trees/sandbox`.
"""

import json
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

LONGEST_LEDGER = 50_000  # requests remembered; a sandbox may run for weeks
IDLE = 60  # seconds a connection may say nothing


def real_utc() -> datetime:
    """Return the real time, aware and in UTC: the sandbox knows no database clock of ciduty's."""
    return datetime.fromtimestamp(time.time(), UTC)


def ahead_by(path: Path) -> Callable[[], datetime]:
    """Return a clock that is ahead of the real time by the seconds that stand in a file; without one, it is not."""

    def now() -> datetime:
        try:
            seconds = int(path.read_text())
        except (OSError, ValueError):
            seconds = 0
        return real_utc() + timedelta(seconds=seconds)

    return now


@dataclass(frozen=True)
class Recorded:
    """One request that came in, and the status it was answered with (0: never answered). `at` is aware, in UTC."""

    method: str
    path: str
    params: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    status: int
    at: datetime


class Serving:
    """A server on a loopback port, in threads of this process. Use `with`, or `start` and `stop`.

    A sandbox names its `handler`, gives its `faults` and reads one of them from JSON with `fault_of`.
    """

    handler: type["Handler"]
    name = "sandbox"

    def __init__(self, host: str, port: int, faults):
        self.host, self.port, self.faults = host, port, faults
        self.requests: list[Recorded] = []
        self._server = None

    @staticmethod
    def fault_of(told):
        """Return the fault that another process asks for in JSON. Raises ValueError or TypeError for what is none."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Return the address, without a slash at its end. The port is known once it was started."""
        return f"http://{self.host}:{self.port}"

    def start(self):
        """Start serving. A stopped sandbox starts again at the same address. Raises OSError when the port is taken."""
        if self._server is None:
            self._server = _Server((self.host, self.port), self)
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.05,), name=self.name, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop serving and cut every open connection, as a server that goes down does."""
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()
            server.cut_connections()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def record(self, request, status: int, at: datetime) -> None:
        """Write a request into the ledger."""
        self.requests.append(
            Recorded(request.method, request.path, request.params, request.headers, request.body, status, at)
        )
        if len(self.requests) > LONGEST_LEDGER:
            del self.requests[: LONGEST_LEDGER // 10]

    def control(self, request) -> tuple[int, bytes]:
        """Return status and JSON of /sandbox/faults and /sandbox/requests, by which another process scripts this."""
        if request.path == "/sandbox/faults":
            if request.method == "POST":
                try:
                    for fault in [self.fault_of(one) for one in json.loads(request.body)]:
                        self.faults.add(fault)
                except (ValueError, TypeError, re.error) as problem:
                    return 400, _as_json({"error": str(problem)})
            if request.method == "DELETE":
                self.faults.clear()
            return 200, _as_json([fault.as_json() for fault in self.faults])
        if request.path == "/sandbox/requests":
            if request.method == "DELETE":
                self.requests.clear()
            return 200, _as_json([_line(recorded) for recorded in list(self.requests)])
        return 404, _as_json({"error": "there are /sandbox/faults and /sandbox/requests"})


def _as_json(content) -> bytes:
    return json.dumps(content).encode()


def _line(recorded: Recorded) -> dict:
    body = recorded.body.decode(errors="replace")
    return vars(recorded) | {"body": body, "at": recorded.at.isoformat()}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, sandbox: Serving):
        self.sandbox = sandbox
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, sandbox.handler)

    def process_request(self, request, client_address):
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_connections(self):
        """End the connections that clients keep open or wait on."""
        with self._open_lock:
            still_open = list(self._open)
        for connection in still_open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the client was faster

    def handle_error(self, request, client_address):
        """Say nothing of clients that hang up; a traceback would print what they sent."""


class Handler(BaseHTTPRequestHandler):
    """One connection: reads a request, lets the sandbox answer it, writes the ledger and spoils the wire as asked.

    A sandbox's own says what a request and an answer are, answers (None: hang up) and writes the bytes.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE
    longest_body: int  # bytes
    request_of: type
    answer_of: type
    too_large = None  # the answers to a body that is too long, and where the sandbox itself broke
    broken = None
    wire_faults: tuple[str, ...] = ("cut",)

    def log_message(self, *_):
        """Log nothing: addresses and headers may hold a key, bodies may hold anything."""

    def answer(self, sandbox, request):
        """Return the answer to a request, or None to hang up without one."""
        raise NotImplementedError

    def send(self, answer, **faults) -> None:
        """Write an answer, spoilt by the faults of the wire that are not None."""
        raise NotImplementedError

    def handle_request(self) -> None:
        """Read one request and answer it."""
        at = real_utc()
        request = self._read()
        if request is None:
            return
        sandbox = self.server.sandbox
        if request.path.startswith("/sandbox/"):
            self.send(self.answer_of(*sandbox.control(request)))
            return
        delay = sandbox.faults.take(request, "delay")
        if delay:
            time.sleep(delay.get("seconds", 1))
        answer = self._answer(sandbox, request)
        if answer is None or sandbox.faults.take(request, "applied_then_cut"):
            sandbox.record(request, 0, at)
            self.hang_up()
            return
        sandbox.record(request, answer.status, at)
        self.send(answer, **{kind: sandbox.faults.take(request, kind) for kind in self.wire_faults})

    def hang_up(self) -> None:
        """End the connection in the middle of whatever is under way."""
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client was faster

    def header_bytes(self) -> bytes:
        """Return the status line and the headers that were sent so far, ended, and forget them."""
        header = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer = []
        return header

    def _read(self):
        parts = urlsplit("//host" + self.path if self.path.startswith("/") else self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.longest_body or "transfer-encoding" in headers:
            self.send(self.too_large)
            return None
        return self.request_of(self.command, parts.path, parts.query, headers, self.rfile.read(int(length)))

    def _answer(self, sandbox, request):
        try:
            return self.answer(sandbox, request)
        except Exception as problem:  # noqa: BLE001 - the edge: a real server answers something too
            where = traceback.extract_tb(problem.__traceback__)[-1]
            # Neither the message nor the request: they may hold a key or a bug's words.
            print(f"sandbox: {type(problem).__name__} in {where.filename}:{where.lineno}", file=sys.stderr)
            return self.broken
