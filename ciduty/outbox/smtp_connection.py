"""One connection to the mail server: opened, encrypted, signed in to, and waited on without losing the lease.

smtplib's commands over a wait of our own: smtplib waits for each byte anew, so a server that drips one every half
minute would outlive every limit. What a reply means for a mail stands in `smtp.py`.
"""

import base64
import smtplib
import socket
import ssl
import time
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings

from ciduty.bugzilla.cleaning import clean_line
from ciduty.environment import MailAccount
from ciduty.outbox.models import LAST_WORDS

# All in seconds. Together with `tasks.WORKS_FOR` they stay under `tasks.TEN_MINUTES`, which kills the worker.
CONNECT_WITHIN = 10.0
COMMAND_WITHIN = 45.0
#: From taking up a mail to handing over its text: ten commands of 44 seconds each would outlive the worker.
BEFORE_TEXT_WITHIN = 180.0
#: RFC 5321, 4.5.3.2: a server may think for minutes over a mail that it has; giving up early makes duplicates.
TEXT_WITHIN = 300.0
QUIT_WITHIN = 5.0
#: How often the lease and the deadline are looked at while nothing comes.
LOOK_EVERY = 1.0

#: No server says so much; whoever does would fill the memory.
LONGEST_REPLY_LINE = 4096
MOST_REPLY_LINES = 100


class ServerTrouble(Exception):
    """No mail can be sent through this server now; says why in one line, and with which reply."""

    def __init__(self, words: str, code: int | None = None):
        super().__init__(words)
        self.code = code


class Connection(smtplib.SMTP):
    """A connection that is waited on in short slices, between which the lease is renewed and the deadline looked at."""

    def __init__(self, account: MailAccount, holding):
        super().__init__(local_hostname=_own_name())  # without a host: it does not connect yet
        self._account = account
        self._received = b""
        self.begin(holding)

    def begin(self, holding) -> None:
        """Take up one more mail: its holding is renewed from now on, and its time begins."""
        self._holding, self._patience = holding, COMMAND_WITHIN
        self._over_at = time.monotonic() + BEFORE_TEXT_WITHIN

    def open(self) -> None:
        """Connect, see the certificate, sign in. Raises ServerTrouble."""
        step = "connecting"
        try:
            self.sock = self._connected()
            if self._account.mode == "smtps":
                step = "starting TLS"
                self._encrypt()
            step = "the greeting"
            self._want(220, step, *self.getreply())
            step = "EHLO"
            self._want(250, step, *self.ehlo())
            if self._account.mode == "smtp+tls":
                step = "STARTTLS"
                self._upgrade()
                self._want(250, step, *self.ehlo())
            step = "the login"
            if self._account.user:
                self.login(self._account.user, self._account.password)
        except smtplib.SMTPResponseException as problem:
            raise self._refused(step, problem.smtp_code, problem.smtp_error) from None
        except (OSError, ValueError) as problem:  # ValueError: a host name that cannot be looked up
            raise ServerTrouble(f"{self._where()} failed at {step}: {reason(problem)}. Is EMAIL_URL right?") from None

    def is_still_there(self) -> bool:
        """Answer whether the server would take another mail over this connection."""
        try:
            return self.docmd("RSET")[0] == 250
        except OSError:
            return False

    def text_follows(self) -> None:
        """Wait from now on as long as a server may think over a whole mail."""
        self._patience = TEXT_WITHIN
        self._over_at = time.monotonic() + TEXT_WITHIN

    def leave(self) -> None:
        """Say goodbye, if the server listens, and close."""
        self._holding, self._over_at = None, time.monotonic() + QUIT_WITHIN
        try:
            self.docmd("QUIT")
        except OSError:
            pass
        self.close()

    def words(self, code: int, reply: bytes) -> str:
        """Return a reply as one line to store: never with the password in it, whatever the server echoes."""
        lines = [line.strip() for line in reply.decode("utf-8", "replace").splitlines()]
        text = " / ".join(filter(None, lines))
        for secret in _spellings(self._account):
            text = text.replace(secret, "***")
        return clean_line(f"{code} {text}", LAST_WORDS // 2)

    # --- what smtplib does with a file and one long wait --------------------------------------------------------------

    def send(self, s) -> None:
        """Send bytes, or a command. Raises OSError; TimeoutError when it took too long."""
        left, until = memoryview(s.encode("ascii") if isinstance(s, str) else s), self._until()
        while left:
            left = left[self._in_slices(lambda rest=left: self._socket().send(rest), until) :]

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply: its code, or -1 for what is none, and its lines. Raises OSError, TimeoutError."""
        until, lines = self._until(), []
        while len(lines) < MOST_REPLY_LINES:
            line = self._line(until)
            lines.append(line[4:].strip())
            if line[3:4] != b"-":
                code = int(line[:3]) if line[:3].isdigit() else -1
                return code, b"\n".join(lines if code != -1 else [line])
        raise smtplib.SMTPServerDisconnected("the server's answer has no end")

    def _line(self, until: float) -> bytes:
        while b"\n" not in self._received:
            if len(self._received) > LONGEST_REPLY_LINE:
                raise smtplib.SMTPServerDisconnected("the server's answer has no end")
            chunk = self._in_slices(lambda: self._socket().recv(LONGEST_REPLY_LINE), until)
            if not chunk:
                raise smtplib.SMTPServerDisconnected("the server closed the connection")
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _until(self) -> float:
        return min(time.monotonic() + self._patience, self._over_at)

    def _in_slices(self, attempt, until: float):
        """Return what `attempt` does with the socket; every few seconds it looks after lease and deadline."""
        while True:
            if self._holding is not None:
                self._holding.renew_when_old()
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            self._socket().settimeout(min(LOOK_EVERY, left))
            try:
                return attempt()
            except TimeoutError:
                continue

    def _socket(self) -> socket.socket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("the connection is closed")
        return self.sock

    # --- the way in ---------------------------------------------------------------------------------------------------

    def _connected(self) -> socket.socket:
        problem = OSError("the host has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self._account.host, self._account.port, type=socket.SOCK_STREAM
        ):
            self._holding.renew_when_old()
            left = min(CONNECT_WITHIN, self._over_at - time.monotonic())
            if left <= 0:
                break
            try:
                one = socket.socket(family, kind, protocol)
            except OSError as refused:  # a machine without IPv6
                problem = refused
                continue
            try:
                one.settimeout(left)
                one.connect(address)
                return one
            except OSError as refused:
                one.close()
                problem = refused
        raise problem

    def _upgrade(self) -> None:
        if not self.has_extn("starttls"):
            raise ServerTrouble(
                f"{self._where()} offers no STARTTLS, so neither the password nor the mail was sent. Is somebody in "
                "between, or does EMAIL_URL need smtps:// or smtp://?"
            )
        self._want(220, "STARTTLS", *self.docmd("STARTTLS"))
        if self._received:  # said in clear by whoever is in between, to be believed as if it came over TLS
            raise ServerTrouble(f"{self._where()} said more than it may before TLS began, so nothing was sent.")
        self._encrypt()
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False

    def _encrypt(self) -> None:
        self._socket().settimeout(CONNECT_WITHIN)
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self._account.host)

    def _want(self, wanted: int, step: str, code: int, reply: bytes) -> None:
        if code != wanted:
            raise self._refused(step, code, reply)

    def _refused(self, step: str, code: int, reply: bytes) -> ServerTrouble:
        return ServerTrouble(
            f"{self._where()} answered at {step}: {self.words(code, reply)}", code if code > 0 else None
        )

    def _where(self) -> str:
        return f"The mail server {self._account.host}:{self._account.port}"


def reason(problem: Exception) -> str:
    """Return why a connection failed, in a few words of one line."""
    words = getattr(problem, "verify_message", "") or getattr(problem, "strerror", "") or str(problem)
    return clean_line(words or type(problem).__name__, LAST_WORDS // 2).rstrip(".")


def _own_name() -> str:
    """Return how this machine says hello: the name that people know it by; nothing is looked up."""
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    try:
        address = ip_address(host)
    except ValueError:
        return host if host.isascii() else "localhost"
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"


def _spellings(account: MailAccount) -> list[str]:
    """Return the password as it is, and as it goes over the wire at a login."""
    if not account.password:
        return []
    both = f"\0{account.user}\0{account.password}"
    return [account.password, *(base64.b64encode(text.encode()).decode() for text in (account.password, both))]
