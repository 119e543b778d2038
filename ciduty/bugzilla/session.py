"""The requests session of the border: where the key goes, no redirect, bounded in time and size.

python-bugzilla would put the key in every address, wait 300 s, and follow a redirect to another host with the key in a
header (safety.md F6).
"""

import json
import logging
import re
import socket
import threading
from http.client import HTTPException
from time import monotonic
from urllib.parse import quote, quote_plus, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from ciduty.bugzilla.errors import Throttled, Unavailable

CONNECT_WITHIN = 5  # seconds
READ_WITHIN = 20  # seconds between two bytes
ALL_WITHIN = 60  # seconds for the whole answer: a server that drips would otherwise hold a call without end
MOST_BYTES = 16 * 1024 * 1024

_KEY_IN_TEXT = re.compile(r"((?:Bugzilla_)?api_key=)[^&\s\"']+", re.IGNORECASE)


class _NoKeyInLog(logging.Filter):
    """urllib3 prints whole addresses at DEBUG; with the key as a parameter that would be a leak."""

    def filter(self, record):
        record.msg, record.args = _KEY_IN_TEXT.sub(r"\1(key)", record.getMessage()), None
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_NoKeyInLog())
logging.getLogger("urllib3.util.retry").addFilter(_NoKeyInLog())


class _Running(threading.local):
    """The deadline of this thread's call, so that a connection can tell it which socket to end."""

    deadline = None


_running = _Running()


class _Deadline:
    """Ends a call's socket when time is up: a server that drips never stalls long enough for a read timeout."""

    def __init__(self, seconds: float):
        self.passed = False
        self.on_kept_connection = False  # whether the request went out on a connection that had been used before
        self._socket = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def watch(self, sock, kept: bool) -> None:
        """Remember the socket that the call reads from, and whether an earlier call has `kept` it open."""
        self._socket, self.on_kept_connection = sock, kept
        if self.passed:  # time was up before there was a socket: looking up the name took too long
            self._end()

    def _end(self):
        self.passed = True
        if self._socket is not None:
            try:
                # Not the TLS socket's own shutdown: that would take the cipher away from under the reading thread.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        _running.deadline = self
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.cancel()
        _running.deadline = None


def _watched(base):
    class Connection(base):
        """A connection that tells the running deadline its socket."""

        used = False

        def connect(self):
            super().connect()
            self.used = False
            if _running.deadline:
                _running.deadline.watch(self.sock, kept=False)

        def request(self, *args, **kwargs):
            if _running.deadline and self.sock is not None:
                _running.deadline.watch(self.sock, kept=self.used)
            try:
                return super().request(*args, **kwargs)
            finally:
                self.used = True

    return Connection


class _Adapter(HTTPAdapter):
    """No retries by the transport: a write that was cut off may have been applied. `BorderSession` asks once more."""

    def __init__(self):
        super().__init__(max_retries=Retry(0, read=False), pool_connections=2, pool_maxsize=4)

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, **kwargs)
        pools = self.poolmanager.pool_classes_by_scheme
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("HTTPPool", (pools["http"],), {"ConnectionCls": _watched(HTTPConnection)}),
            "https": type("HTTPSPool", (pools["https"],), {"ConnectionCls": _watched(HTTPSConnection)}),
        }


class BorderSession(requests.Session):
    """A session for one Bugzilla and one key.

    Raises only `Throttled` and `Unavailable`; the last of them stays in `failure`, because python-bugzilla makes new
    exceptions of those that pass through it.
    """

    def __init__(self, key: str, key_in: str, all_within: float = ALL_WITHIN, read_within: float = READ_WITHIN):
        super().__init__()
        self.trust_env = False  # no proxy, no netrc, no certificate folder that we did not choose
        self.failure = None
        self.calls = 0
        self.seconds = 0.0
        self.version = ""  # Bugzilla's, once it is known
        self._key, self._key_in = key, key_in
        self._all_within, self._read_within = all_within, read_within
        self.mount("http://", _Adapter())
        self.mount("https://", _Adapter())

    def __repr__(self):
        return "<BorderSession>"

    def send(self, request, **kwargs):
        """Send one request: signed, bounded, never redirected. Returns the answer read to its end."""
        asks_for_version = request.method == "GET" and urlsplit(request.url).path.endswith("/rest/version")
        if asks_for_version and self.version:
            return _remembered_version(request, self.version)
        self._sign(request)
        kwargs.update(allow_redirects=False, stream=True, timeout=(CONNECT_WITHIN, self._read_within))
        began = monotonic()
        with _Deadline(self._all_within) as deadline:
            response, error = self._exchange(request, kwargs)
            if response is None and request.method == "GET" and _was_closed_meanwhile(error, deadline):
                response, error = self._exchange(request, kwargs)
        failure = self._refused(response) if error is None else self._transport(error)
        self.seconds += monotonic() - began
        if deadline.passed:
            failure = Unavailable(f"Bugzilla had not finished its answer after {self._all_within:g} s", reached=True)
        if failure is not None:
            self.failure = failure
            raise failure  # outside the except block: the chained traceback would hold the address with the key
        if asks_for_version and response.status_code == 200:
            self.version = _version_in(response)
        return response

    def without_key(self, text: str) -> str:
        """Return a text of the server's without our key, which some servers repeat in their messages."""
        for form in {self._key, quote(self._key), quote(self._key, safe=""), quote_plus(self._key)} - {""}:
            text = text.replace(form, "(key)")
        return text

    def _exchange(self, request, kwargs):
        """Return the answer and None, or what has come of it (None when nothing) and the error."""
        self.calls += 1
        response = None
        try:
            response = super().send(request, **kwargs)
            response._content = self._body(response)
            response.encoding = "utf-8-sig"  # JSON is UTF-8 whatever the header says; its byte order mark is no JSON
        except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
            return response, error
        return response, None

    def _sign(self, request) -> None:
        if self._key_in == "header":
            request.headers["X-BUGZILLA-API-KEY"] = self._key
        else:
            request.prepare_url(request.url, {"Bugzilla_api_key": self._key})

    def _body(self, response) -> bytes:
        parts, size = [], 0
        for part in response.iter_content(1 << 16):
            size += len(part)
            if size > MOST_BYTES:
                response.close()
                raise _TooLarge
            parts.append(part)
        response._content_consumed = True
        return b"".join(parts)

    def _refused(self, response):
        if response.status_code == 429:
            return Throttled("Bugzilla limits our rate (HTTP 429)")
        if 300 <= response.status_code < 400 and response.status_code != 304:
            return Unavailable(
                f"Bugzilla answered with a redirect (HTTP {response.status_code}), which is not followed: "
                "is BUGZILLA_URL its final address, and is Bugzilla not under maintenance?",
                reached=True,
            )
        return None

    def _transport(self, error) -> Unavailable:
        if isinstance(error, _TooLarge):
            return Unavailable(f"Bugzilla's answer is larger than {MOST_BYTES >> 20} MiB", reached=True)
        if isinstance(error, requests.ConnectTimeout):
            return Unavailable(f"Bugzilla did not take the connection within {CONNECT_WITHIN} s", sent=False)
        if isinstance(error, requests.exceptions.SSLError):
            return Unavailable("Bugzilla's certificate or TLS could not be agreed on", sent=False)
        if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
            return Unavailable(f"Bugzilla was silent for {self._read_within:g} s")
        if "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error):
            return Unavailable("Bugzilla could not be reached: no server answers at BUGZILLA_URL", sent=False)
        if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
            return Unavailable("BUGZILLA_URL is no usable address", sent=False)
        return Unavailable("the connection to Bugzilla broke off in the middle of an answer", reached=True)


def _was_closed_meanwhile(error, deadline: _Deadline) -> bool:
    """Answer whether the server had closed a connection that we kept, so that the question never reached it.

    Servers close idle connections after a few seconds (Apache: 5); RFC 9110 9.2.2 allows to ask again what only reads.
    """
    broke_off = isinstance(error, requests.ConnectionError) and not isinstance(error, requests.Timeout)
    return broke_off and deadline.on_kept_connection and not deadline.passed


def _version_in(response) -> str:
    try:
        return str(response.json()["version"])[:40]
    except (ValueError, KeyError, TypeError):
        return ""


def _remembered_version(request, version: str) -> requests.Response:
    """Answer python-bugzilla's opening question ourselves: an idle poll is three requests, not four."""
    response = requests.Response()
    response.status_code, response.url, response.request = 200, request.url, request
    response._content = json.dumps({"version": version}).encode()
    return response


class _TooLarge(requests.RequestException):
    """The answer passed the size limit."""
