"""The socket side of the sandbox: HTTP/1.1 with keep-alive, the ledger of requests, and the faults of the wire."""

import json
import socket
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from ciduty.bugzilla.sandbox.faults import Fault, Faults
from ciduty.bugzilla.sandbox.moments import real_utc
from ciduty.bugzilla.sandbox.pages import Pages
from ciduty.bugzilla.sandbox.rest import Answer, Request, Rest

LONGEST_LEDGER = 50_000  # requests remembered; a sandbox may run for weeks
LONGEST_BODY = 16 * 1024 * 1024  # bytes
IDLE = 60  # seconds a connection may say nothing


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


class Sandbox:
    """A Bugzilla on a loopback port, in threads of this process. Use `with`, or `start` and `stop`."""

    def __init__(self, world, host="127.0.0.1", port=0, version="5.3.3+", max_search_results=10_000):
        self.world, self.host, self.port = world, host, port
        self.faults = Faults()
        self.rest = Rest(world, version, max_search_results, self.faults)
        self.pages = Pages(world, self.rest.is_52)
        self.requests: list[Recorded] = []
        self._server = None

    @property
    def url(self) -> str:
        """Return the address, without a slash at its end. The port is known once it was started."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> "Sandbox":
        """Start serving. A stopped sandbox starts again at the same address. Raises OSError when the port is taken."""
        if self._server is None:
            self._server = _Server((self.host, self.port), self)
            self.port = self._server.server_address[1]
            threading.Thread(
                target=self._server.serve_forever, args=(0.05,), name="sandbox-bugzilla", daemon=True
            ).start()
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

    def record(self, request: Request, status: int, at: datetime) -> None:
        """Write a request into the ledger."""
        self.requests.append(
            Recorded(request.method, request.path, request.params, request.headers, request.body, status, at)
        )
        if len(self.requests) > LONGEST_LEDGER:
            del self.requests[: LONGEST_LEDGER // 10]

    def control(self, request: Request) -> Answer:
        """Answer /sandbox/faults and /sandbox/requests, by which another process scripts this one."""
        if request.path == "/sandbox/faults":
            if request.method == "POST":
                try:
                    for fault in [Fault.from_json(one) for one in json.loads(request.body)]:
                        self.faults.add(fault)
                except (ValueError, TypeError) as problem:
                    return _as_json({"error": str(problem)}, 400)
            if request.method == "DELETE":
                self.faults.clear()
            return _as_json([fault.as_json() for fault in self.faults])
        if request.path == "/sandbox/requests":
            if request.method == "DELETE":
                self.requests.clear()
            return _as_json([_line(recorded) for recorded in list(self.requests)])
        return _as_json({"error": "there are /sandbox/faults and /sandbox/requests"}, 404)


def _as_json(content, status=200) -> Answer:
    return Answer(status, json.dumps(content).encode())


def _line(recorded: Recorded) -> dict:
    body = recorded.body.decode(errors="replace")
    return vars(recorded) | {"body": body, "at": recorded.at.isoformat()}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, sandbox: Sandbox):
        self.sandbox = sandbox
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request, client_address):
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_connections(self):
        """End the connections that clients keep open."""
        with self._open_lock:
            still_open = list(self._open)
        for connection in still_open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the client was faster

    def handle_error(self, request, client_address):
        """Say nothing of clients that hang up; a traceback would print what they sent."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE
    server_version, sys_version = "SandboxBugzilla", ""

    def log_message(self, *_):
        """Log nothing: addresses may hold a key, bodies may hold anything."""

    def _handle(self):
        at = real_utc()
        request = self._read()
        if request is None:
            return
        sandbox = self.server.sandbox
        if request.path.startswith("/sandbox/"):
            self._send(sandbox.control(request))
            return
        delay = sandbox.faults.take(request, "delay")
        if delay:
            time.sleep(delay.get("seconds", 1))
        answer = self._answer(sandbox, request)
        if answer is None or sandbox.faults.take(request, "applied_then_cut"):
            sandbox.record(request, 0, at)
            self._hang_up()
            return
        sandbox.record(request, answer.status, at)
        self._send(answer, cut=sandbox.faults.take(request, "cut"), drip=sandbox.faults.take(request, "drip"))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _handle

    def _read(self) -> Request | None:
        parts = urlsplit("//host" + self.path if self.path.startswith("/") else self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LONGEST_BODY or "transfer-encoding" in headers:
            self._send(Answer(413, b"Request Entity Too Large", "text/plain", close=True))
            return None
        body = self.rfile.read(int(length))
        return Request(self.command, parts.path, parts.query, headers, body)

    def _answer(self, sandbox: Sandbox, request: Request) -> Answer | None:
        instead = sandbox.faults.instead(request, sandbox.rest.refused)
        if instead:
            return Answer(instead.status, instead.body, instead.content_type, instead.headers)
        try:
            if request.path == "/rest" or request.path.startswith("/rest/"):
                return sandbox.rest.answer(request)
            return sandbox.pages.answer(request)
        except Exception as problem:  # noqa: BLE001 - the edge: a real Bugzilla answers something too
            where = traceback.extract_tb(problem.__traceback__)[-1]
            # Neither the message nor the request: they may hold a key or a bug's words.
            print(f"sandbox: {type(problem).__name__} in {where.filename}:{where.lineno}", file=sys.stderr)
            return Answer(500, b"Internal Server Error", "text/plain; charset=UTF-8")

    # --- the wire ---------------------------------------------------------------------------------------------------

    def _send(self, answer: Answer, cut: Fault | None = None, drip: Fault | None = None):
        header = self._header(answer)
        body = b"" if self.command == "HEAD" or answer.status in (204, 304) else answer.body
        if drip:
            self._drip(header, body, drip)
            return
        if cut:
            self.wfile.write(header + body[: cut.get("after_bytes", len(body) // 2)])
            self._hang_up()
            return
        self.wfile.write(header + body)

    def _header(self, answer: Answer) -> bytes:
        self.send_response_only(answer.status)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, str(value))
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        if answer.close or self.close_connection:
            self.send_header("Connection", "close")  # which also ends the loop that reads requests
        header = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer = []
        return header

    def _drip(self, header: bytes, body: bytes, drip: Fault):
        slow = header + body if drip.get("headers") else body
        if not drip.get("headers"):
            self.wfile.write(header)
        pause = 1 / max(1, drip.get("bytes_per_second", 10))
        for at in range(len(slow)):
            self.wfile.write(slow[at : at + 1])
            time.sleep(pause)

    def _hang_up(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client was faster
