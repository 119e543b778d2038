"""Asks a source's HTTP API: bounded in time and size, never led to another host, checked where it connects.

What the answers mean is not known here: `github.py`, `mercurial.py`.
"""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from changelog.sources import reach
from changelog.sources.reading import Deadline, Failure, TooLarge

CONNECT_WITHIN = 5  # seconds
READ_WITHIN = 15  # seconds between two bytes
ALL_WITHIN = 30  # seconds for one answer: a server that drips would otherwise hold a call without end
MOST_BYTES = 16 * 1024 * 1024
MOST_REDIRECTS = 2  # a renamed repository is one, within the same host
_REDIRECTS = {301, 302, 307, 308}
AGENT = "ciduty (collects what changed in CI)"


class _Running(threading.local):
    """What the call of this thread may not exceed, and why its connection was refused."""

    end = None


_running = _Running()


class _End:
    """Ends a call's socket when its time is up."""

    def __init__(self, seconds: float):
        self.passed = False
        self.refused: Failure | None = None
        self._socket = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def watch(self, sock) -> None:
        """Remember the socket that the call reads from, by a handle of our own: TLS takes the first one over."""
        self._let_go()
        self._socket = socket.socket(fileno=os.dup(sock.fileno()))
        if self.passed:  # looking up the name took all the time
            self._cut()

    def _cut(self):
        self.passed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _let_go(self):
        if self._socket is not None:
            self._socket.close()

    def __enter__(self):
        _running.end = self
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.cancel()
        self._timer.join()  # it may be at it: the handle is not closed from under it
        self._let_go()
        _running.end = None


def _careful(base):
    class Connection(base):
        """A connection that looks where a name leads, connects there and nowhere else, and can be ended."""

        def _new_conn(self):
            name, problem = self._dns_host, None
            try:
                machines = reach.machines_of(name, self.port)
            except Failure as refused:
                _running.end.refused = refused
                raise OSError("refused") from None
            for machine in machines[:3]:
                self._dns_host = machine  # so that nothing is looked up a second time, with another answer
                try:
                    sock = super()._new_conn()
                    _running.end.watch(sock)
                    return sock
                except (HTTPError, OSError) as failed:
                    problem = failed
                finally:
                    self._dns_host = name
            raise problem

        def request(self, *args, **kwargs):
            if self.sock is not None:
                _running.end.watch(self.sock)
            return super().request(*args, **kwargs)

    return Connection


class _Adapter(HTTPAdapter):
    """No retries by the transport: the breaker decides when a source is asked again."""

    def __init__(self):
        super().__init__(max_retries=Retry(0, read=False), pool_connections=2, pool_maxsize=1)

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, **kwargs)
        pools = self.poolmanager.pool_classes_by_scheme
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("HTTPPool", (pools["http"],), {"ConnectionCls": _careful(HTTPConnection)}),
            "https": type("HTTPSPool", (pools["https"],), {"ConnectionCls": _careful(HTTPSConnection)}),
        }


@dataclass(frozen=True)
class Answer:
    """What a server answered, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self, what: str):
        """Return the value. Raises Failure for what is none: an empty body, a web page, a truncated text."""
        start = self.body[:200].lstrip()
        if not start:
            raise Failure(f"It answered with an empty page when asked for {what}.")
        if start.startswith(b"<"):
            raise Failure(f"It answered with a web page instead of data when asked for {what}: is the address right?")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Failure(f"Its answer about {what} is no JSON, or was cut off.") from None

    def has_next_page(self) -> bool:
        """Answer whether the Link header names a next page. Its address is not used: it could lead anywhere."""
        links = requests.utils.parse_header_links(self.headers.get("Link", "")[:4000])
        return any(link.get("rel") == "next" for link in links)

    def date(self) -> datetime | None:
        """Return the server's own time, or None."""
        try:
            at = parsedate_to_datetime(self.headers.get("Date", ""))
        except ValueError:
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def retry_after(self) -> timedelta | None:
        """Return how long the server wants us to wait, or None where it does not say."""
        told = self.headers.get("Retry-After", "").strip()
        if told.isascii() and told.isdigit() and len(told) < 8:
            return timedelta(seconds=int(told))
        try:
            until = parsedate_to_datetime(told)
        except ValueError:
            return None
        here = self.date()
        return until - here if here and until.tzinfo else None


class Session:
    """The questions to one source. `token` goes to `token_home` (scheme, host, port) and nowhere else."""

    def __init__(self, deadline: Deadline, *, token: str = "", token_home: tuple[str, str, int] | None = None):
        self._deadline, self._token, self._token_home = deadline, token, token_home
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, no netrc, no certificate folder that we did not choose
        self._session.headers.update({"User-Agent": AGENT, "Accept": "application/json"})
        self._session.mount("http://", _Adapter())
        self._session.mount("https://", _Adapter())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session.close()

    def __repr__(self):
        return "<Session>"

    def get(self, url: str, parameters: dict | None = None, headers: dict | None = None) -> Answer:
        """Return the answer to one question, whatever its status. Raises Failure, and only that."""
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._once(url, parameters, headers or {})
            if answer.status not in _REDIRECTS:
                return answer
            target = urljoin(url, answer.headers.get("Location", ""))
            if reach.origin(target) != reach.origin(url):
                raise Failure("It sends us to another host, and we do not follow: has the repository moved?")
            url, parameters = target, None
        raise Failure(f"It redirected us more than {MOST_REDIRECTS} times: has the repository moved?")

    def _once(self, url: str, parameters: dict | None, headers: dict) -> Answer:
        if self._token and reach.origin(url) == self._token_home:
            headers = headers | {"Authorization": f"Bearer {self._token}"}
        within = min(ALL_WITHIN, self._deadline.left())
        timeout = (min(CONNECT_WITHIN, within), min(READ_WITHIN, within))
        failure = None
        with _End(within) as end:
            try:
                with self._session.get(
                    url, params=parameters, headers=headers, timeout=timeout, stream=True, allow_redirects=False
                ) as response:
                    answer = Answer(response.status_code, response.headers, _body(response))
            except TooLarge:
                raise
            except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
                failure = _failure(error)
        if end.refused is not None:
            raise end.refused
        if end.passed:
            raise Failure(f"It had not finished its answer after {within:.0f} s.")
        if failure is not None:
            raise failure  # outside the except block: a chained traceback would hold the address and the header
        return answer


def _body(response) -> bytes:
    parts, size = [], 0
    for part in response.iter_content(1 << 16):
        size += len(part)
        if size > MOST_BYTES:
            raise TooLarge(f"Its answer is larger than {MOST_BYTES >> 20} MiB.")
        parts.append(part)
    return b"".join(parts)


def _failure(error: Exception) -> Failure:
    if isinstance(error, requests.ConnectTimeout):
        return Failure(f"Its host did not take the connection within {CONNECT_WITHIN} s.")
    if isinstance(error, requests.exceptions.SSLError):
        return Failure("Its certificate or its TLS could not be agreed on.")
    if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
        return Failure(f"Its host was silent for {READ_WITHIN} s.")
    if "NewConnectionError" in repr(error):
        return Failure("No server answers at its address.")
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, ValueError)):
        return Failure("Its address is not usable.")
    return Failure("The connection broke off in the middle of an answer.")
