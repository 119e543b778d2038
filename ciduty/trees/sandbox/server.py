"""The socket side of the sandbox: HTTP, one request to a connection as its gunicorn, the ledger, faults of the wire."""

import json
import re
import socket
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from ciduty.trees.sandbox.exchange import Answer, Request
from ciduty.trees.sandbox.faults import Fault, Faults
from ciduty.trees.sandbox.lando import Lando
from ciduty.trees.sandbox.moments import real_utc
from ciduty.trees.sandbox.pages import SHERIFF, Pages
from ciduty.trees.sandbox.rights import Client, first_tokens
from ciduty.trees.sandbox.schema import LANDO
from ciduty.trees.sandbox.standalone import Standalone

LONGEST_LEDGER = 50_000  # requests remembered; a sandbox may run for weeks
LONGEST_BODY = 1024 * 1024  # bytes
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
    """A tree status on a loopback port, in threads of this process. Use `with`, or `start` and `stop`.

    `tokens` leads from a bearer token to its Client (none given: BOT_TOKEN may do everything); `sheriff` is whom the
    page writes into the log.
    """

    def __init__(self, world, host="127.0.0.1", port=0, tokens: dict[str, Client] | None = None, sheriff=SHERIFF):
        self.world, self.host, self.port = world, host, port
        self.tokens = first_tokens() if tokens is None else tokens
        self.faults = Faults(world)
        self.pages = Pages(world, sheriff)
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
                target=self._server.serve_forever, args=(0.05,), name="sandbox-treestatus", daemon=True
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

    def answer(self, request: Request) -> Answer:
        """Answer a request for the API or a page, as things are or as a fault has them."""
        instead = self.faults.take(request, "status", "html", "empty", "redirect")
        if instead:
            return instead.answer()
        if self.pages.has(request):
            return self.pages.answer(request)
        stale = self.faults.take(request, "stale") if request.method in ("GET", "HEAD") else None
        world = stale.world_then if stale else self.world
        gone = {fault.get("tree") for fault in self.faults.take_all(request, "vanish")}
        front = Lando(world) if world.generation == LANDO else Standalone(world, self.tokens)
        with world.hiding(gone):
            world.next_worker()
            return front.answer(request)

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
                except (ValueError, TypeError, re.error) as problem:
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
        """End the connections that are still being answered."""
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

    def log_message(self, *_):
        """Log nothing: headers hold tokens."""

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
        if sandbox.faults.take(request, "applied_then_cut"):
            sandbox.record(request, 0, at)
            self._hang_up()
            return
        sandbox.record(request, answer.status, at)
        self._send(answer, cut=sandbox.faults.take(request, "cut"))

    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _read(self) -> Request | None:
        parts = urlsplit("//host" + self.path if self.path.startswith("/") else self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LONGEST_BODY or "transfer-encoding" in headers:
            self._send(Answer(413, b"Request Entity Too Large", "text/plain"))
            return None
        return Request(self.command, parts.path, parts.query, headers, self.rfile.read(int(length)))

    def _answer(self, sandbox: Sandbox, request: Request) -> Answer:
        try:
            return sandbox.answer(request)
        except Exception as problem:  # noqa: BLE001 - the edge: a real server answers something too
            where = traceback.extract_tb(problem.__traceback__)[-1]
            print(f"sandbox: {type(problem).__name__} in {where.filename}:{where.lineno}", file=sys.stderr)
            return Answer(500, b"Internal Server Error", "text/plain; charset=utf-8")

    # --- the wire ---------------------------------------------------------------------------------------------------

    def _send(self, answer: Answer, cut: Fault | None = None):
        self.send_response_only(answer.status, answer.reason)
        self.send_header("Server", "sandbox")
        self.send_header("Date", self.date_time_string())
        self.send_header("Connection", "close")  # which also ends the loop that reads requests
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, str(value))
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        header = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer = []
        body = b"" if self.command == "HEAD" or answer.status == 204 else answer.body
        if cut:
            self.wfile.write(header + body[: cut.get("after_bytes", len(body) // 2)])
            self._hang_up()
            return
        self.wfile.write(header + body)

    def _hang_up(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client was faster
