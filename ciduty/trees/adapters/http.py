"""Speaks HTTP with a tree status service: bounded in time and size, never led elsewhere, no proxy, no retry.

What the answers mean is not known here: `reading.py`, `writing.py`.
"""

import contextlib
import json
import os
import socket
import ssl
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from requests.certs import where

CONNECT_WITHIN = 5  # seconds
READ_WITHIN = 10  # seconds between two bytes
ALL_WITHIN = 15  # seconds for one answer: a server that drips would otherwise hold a call without end
MOST_BYTES = 4 * 1024 * 1024
AGENT = "ciduty (reads and changes which trees are closed)"


class Unavailable(Exception):
    """No usable answer came. `str()` is one sentence for a person; `wait` is what the service asks for."""

    def __init__(self, sentence: str, wait: timedelta = timedelta()):
        super().__init__(sentence)
        self.wait = wait


class NotReached(Unavailable):
    """No connection came about: nothing was sent."""


class NotHere(Unavailable):
    """A server answered, and it is no tree status at this path."""


@dataclass(frozen=True)
class Answer:
    """What a server answered, read to its end."""

    status: int
    body: bytes
    retry_after: str = ""

    def json(self, what: str):
        """Return the value of an answer. Raises Unavailable for what is none, NotHere where another path may be it."""
        is_page = self.body[:200].lstrip().startswith(b"<")
        if self.status == 404 or 300 <= self.status < 400:
            raise NotHere(f"No {what} at this address (HTTP {self.status}): check TREESTATUS_URL")
        if self.status != 200:
            page = " and a web page" if is_page else ""
            raise Unavailable(f"Asked for {what}, it answered HTTP {self.status}{page}", self.wait())
        if is_page:
            raise NotHere(f"Asked for {what}, it answered with a web page instead of data: check TREESTATUS_URL")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Unavailable(f"Its answer about {what} is no JSON, or was cut off") from None

    def wait(self) -> timedelta:
        """Return for how long the service asks to be left alone."""
        told = self.retry_after.strip()
        return timedelta(seconds=int(told)) if told.isascii() and told.isdigit() and len(told) < 8 else timedelta()


class _End:
    """Ends a call's socket when its time is up: one that drips never stalls long enough for a read timeout."""

    def __init__(self, sock: socket.socket, seconds: float):
        self.passed = False
        self._socket = socket.socket(fileno=os.dup(sock.fileno()))  # a handle of our own: TLS takes the first one over
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def _cut(self):
        self.passed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.cancel()
        self._timer.join()  # it may be at it: the handle is not closed from under it
        self._socket.close()


def get(url: str, within: float = ALL_WITHIN) -> Answer:
    """Return the answer to one question, whatever its status, within so many seconds. Raises Unavailable, only that."""
    return ask("GET", url, within=within)


def ask(method: str, url: str, *, body: dict | None = None, token: str = "", within: float = ALL_WITHIN) -> Answer:
    """Return the answer to one request, whatever its status. The token goes to this address and nowhere else.

    Raises NotReached when nothing was sent, Unavailable when it may have been done or not; only these.
    """
    headers = {"User-Agent": AGENT, "Accept": "application/json", "Connection": "close"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    request = _Request(method, url, headers, None if body is None else json.dumps(body).encode())
    return _answer(request, within)


@dataclass(frozen=True)
class _Request:
    method: str
    url: str
    headers: dict = field(repr=False)
    body: bytes | None


def _answer(request: _Request, within: float) -> Answer:
    parts = urlsplit(request.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        sock = socket.create_connection((parts.hostname, port), timeout=min(CONNECT_WITHIN, within))
    except (OSError, UnicodeError) as problem:
        raise _not_reached(problem) from None
    with contextlib.closing(sock), _End(sock, within) as end:
        failure = answer = None
        try:
            answer = _exchange(sock, request, port, min(READ_WITHIN, within))
        except (HTTPException, OSError, ValueError) as problem:
            failure = _broken(problem)
    if end.passed:
        raise Unavailable(f"It had not finished its answer after {within:.0f} s")
    if failure is not None:
        raise failure
    return answer


def _exchange(sock: socket.socket, request: _Request, port: int, read_within: float) -> Answer:
    parts = urlsplit(request.url)
    sock.settimeout(read_within)
    if parts.scheme == "https":
        connection = HTTPSConnection(parts.hostname, port, context=_tls())
        sock = _tls().wrap_socket(sock, server_hostname=parts.hostname)
    else:
        connection = HTTPConnection(parts.hostname, port)
    connection.sock = sock
    with contextlib.closing(connection):
        place = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(request.method, place, body=request.body, headers=request.headers)
        with connection.getresponse() as response:
            body = response.read(MOST_BYTES + 1)
            if len(body) > MOST_BYTES:
                raise _TooLarge
            return Answer(response.status, body, response.headers.get("Retry-After", ""))


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=where())


class _TooLarge(HTTPException):
    """The answer passed the size limit."""


def _not_reached(problem: Exception) -> NotReached:
    if isinstance(problem, TimeoutError):
        return NotReached(f"It did not take the connection within {CONNECT_WITHIN} s")
    if isinstance(problem, (socket.gaierror, UnicodeError)):
        return NotReached("The name of its host was not found: check TREESTATUS_URL")
    return NotReached("No server answers at TREESTATUS_URL")


def _broken(problem: Exception) -> Unavailable:
    if isinstance(problem, _TooLarge):
        return Unavailable(f"Its answer is larger than {MOST_BYTES >> 20} MiB")
    if isinstance(problem, ssl.SSLError):
        return Unavailable("Its certificate or its TLS could not be agreed on")
    if isinstance(problem, TimeoutError):
        return Unavailable(f"It was silent for {READ_WITHIN} s")
    return Unavailable("The connection broke off in the middle of its answer")
