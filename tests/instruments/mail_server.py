"""A mail server on loopback that does what its script says, and keeps a ledger of what it took. Delivers nothing.

    with MailServer(Script(greeting=220)) as server:
        server.script.on("RCPT", 451, 451, to="list@example.com")  # twice, then it is taken
        settings.EMAIL_URL = server.url
        ...
        assert [mail.recipients for mail in server.taken()] == [("list@example.com",)]

Commands, as scripts name them: EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT, DATA, END (the dot after the text), RSET, NOOP,
QUIT. Whatever is not scripted is answered as a well-meaning server would.
"""

import base64
import random
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path

ANYBODY = "*"
#: A line of a client; the text of a mail may be longer.
LONGEST_LINE = 100_000


@dataclass(frozen=True)
class Answer:
    """One scripted answer. `code` None closes the connection without a word.

    `text` may hold several lines. `late` (seconds) passes before the first byte, `drip` (seconds) between any two.
    `more` goes out in the same packet, as if somebody in between had added it. `takes`: at END, whether the mail goes
    into the ledger; by default it does when the code is 2xx.
    """

    code: int | None
    text: str = "scripted"
    late: float = 0.0
    drip: float = 0.0
    takes: bool | None = None
    more: bytes = b""

    def wire(self) -> bytes:
        """Return the answer as it goes over the wire."""
        *first, last = self.text.split("\n")
        return ("".join(f"{self.code}-{line}\r\n" for line in first) + f"{self.code} {last}\r\n").encode() + self.more


CLOSE = Answer(None)
OK = Answer(250, "fine")


@dataclass
class Script:
    """What a server does. It may be changed while the server runs.

    `greeting`: the code of the first line. `starttls`: True, False (not offered) or "broken" (offered, then no TLS).
    `tls`: TLS from the first byte. `auth`: (user, password) without whom nothing is taken. `delay`: seconds, least and
    most, that the answer to each mail takes, drawn with `seed`. `drip`: seconds between any two bytes of every answer.
    """

    greeting: int | Answer = 220
    close_on_connect: bool = False
    starttls: bool | str = False
    tls: bool = False
    auth: tuple[str, str] | None = None
    delay: tuple[float, float] = (0.0, 0.0)
    drip: float = 0.0
    seed: int = 1
    _next: dict = field(default_factory=lambda: defaultdict(deque))
    _always: dict = field(default_factory=dict)

    def on(self, command: str, *answers: int | Answer, to: str = ANYBODY, always: bool = False) -> None:
        """Answer a command with these, one after another, then as usual; `always`: with the one for ever.

        `to`: only for this recipient; before RCPT nobody knows of one.
        """
        answers = [answer if isinstance(answer, Answer) else Answer(answer) for answer in answers]
        if always:
            (self._always[command, to],) = answers
        else:
            self._next[command, to].extend(answers)

    def drop_after_data(self, times: int = 1, to: str = ANYBODY) -> None:
        """Take so many mails and close without a word."""
        self.on("END", *[Answer(None, takes=True)] * times, to=to)

    def late_reply(self, seconds: float, command: str = "END", times: int = 1, to: str = ANYBODY) -> None:
        """Answer so many commands properly, but only after so many seconds."""
        code = {"DATA": 354, "QUIT": 221}.get(command, 250)
        self.on(command, *[Answer(code, "fine, at last", late=seconds)] * times, to=to)

    def answer_to(self, command: str, recipient: str) -> Answer | None:
        """Return the next scripted answer, a recipient's own first; None where nothing is scripted."""
        for to in (recipient, ANYBODY):
            if self._next[command, to]:
                return self._next[command, to].popleft()
            if (command, to) in self._always:
                return self._always[command, to]
        return None


@dataclass
class Taken:
    """A mail that the server took upon itself. `told`: whether its 250 went out to a client that was still there."""

    sender: str
    recipients: tuple[str, ...]
    message: bytes
    message_id: str
    at: float  # time.monotonic()
    told: bool = False


class MailServer:
    """The server: a context manager that listens on a free port of 127.0.0.1 until it is left, within a second."""

    def __init__(self, script: Script | None = None, certificate: Path | None = None):
        """`certificate`: key and certificate in one file (`throw_away_certificate`), needed for TLS."""
        self.script = script or Script()
        self.certificate = certificate
        self.said: list[str] = []  # every line of every client, but for the texts of mails
        self.connections = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._taken: list[Taken] = []
        self._open: dict[threading.Thread, socket.socket] = {}
        self._dice = random.Random(self.script.seed)

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="mail server", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        _shut(self._listener)
        self._acceptor.join(1)
        with self.lock:
            still_open = dict(self._open)
        for connection in still_open.values():
            _shut(connection)
        for thread in still_open:
            thread.join(1)

    @property
    def url(self) -> str:
        """What EMAIL_URL is set to for this server, without a login."""
        mode = "smtps" if self.script.tls else "smtp+tls" if self.script.starttls else "smtp"
        return f"{mode}://localhost:{self.port}"

    def url_of(self, user: str, password: str, mode: str = "smtp") -> str:
        """Return what EMAIL_URL is set to for signing in."""
        return f"{mode}://{user}:{password}@localhost:{self.port}"

    def taken(self) -> list[Taken]:
        """Return every mail that the server took so far, whether or not the client learnt of it."""
        with self.lock:
            return list(self._taken)

    def delay(self) -> float:
        """Draw how long the answer to a mail takes."""
        with self.lock:
            return self._dice.uniform(*self.script.delay)

    def write_down(self, taken: Taken) -> None:
        """Put a mail into the ledger."""
        with self.lock:
            self._taken.append(taken)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), name="mail session", daemon=True)
            with self.lock:
                self.connections += 1
                self._open[thread] = connection
            thread.start()
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        session = _Session(self, connection)
        try:
            session.run()
        except OSError:  # the client went, or broke off the handshake
            pass
        finally:
            session.connection.close()
            connection.close()
            with self.lock:
                self._open.pop(threading.current_thread(), None)


class _Gone(OSError):
    """The script closes the connection, or the server stops."""


class _Session:
    """One client."""

    def __init__(self, server: MailServer, connection: socket.socket):
        self.server, self.connection, self.script = server, connection, server.script
        self.received = b""
        self.encrypted = self.signed_in = False
        self.forget()

    def forget(self) -> None:
        self.sender, self.recipients = None, []

    def run(self) -> None:
        if self.script.close_on_connect:
            return
        if self.script.tls:
            self._encrypt()
        greeting = self.script.greeting
        self._say(greeting if isinstance(greeting, Answer) else Answer(greeting, "mail server of the tests"))
        while True:
            line = self._line().decode("utf-8", "replace")
            self._note(line)
            verb, _, rest = line.partition(" ")
            if self._follow(verb.upper(), rest) == "QUIT":
                return

    def _follow(self, verb: str, rest: str) -> str:
        """Carry out one command and answer it; returns the verb."""
        if verb == "RCPT" and self.sender is not None:
            recipient = _address_in(rest)
            scripted = self.script.answer_to(verb, recipient)
            if scripted is None or (scripted.code or 0) // 100 == 2:
                self.recipients.append(recipient)
            self._say(scripted or OK)
            return verb
        scripted = self.script.answer_to(verb, self.recipients[0] if self.recipients else ANYBODY)
        usual = getattr(self, f"_on_{verb.lower()}", lambda _: Answer(500, "what?"))
        if scripted is None:
            answer = usual(rest)
        else:
            answer = scripted
            if (scripted.code or 0) // 100 in (2, 3) and verb not in ("EHLO", "AUTH", "STARTTLS"):
                usual(rest)
        self._say(answer)
        if verb == "DATA" and answer.code == 354:
            self._text()
        if verb == "STARTTLS" and answer.code == 220:
            self._start_tls()
        return verb

    # --- a well-meaning server ----------------------------------------------------------------------------------------

    def _on_ehlo(self, rest: str) -> Answer:
        self.forget()
        offers = ["mail server of the tests", "SIZE 10000000", "8BITMIME"]
        if self.script.starttls and not self.encrypted:
            offers.append("STARTTLS")
        if self.script.auth:
            offers.append("AUTH PLAIN LOGIN")
        return Answer(250, "\n".join(offers))

    def _on_helo(self, rest: str) -> Answer:
        self.forget()
        return OK

    def _on_starttls(self, rest: str) -> Answer:
        return Answer(220, "go on") if self.script.starttls else Answer(502, "no")

    def _on_auth(self, rest: str) -> Answer:
        user, password = self.script.auth or ("", "")
        given = rest.partition(" ")[2]
        self.signed_in = given == base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return Answer(235, "come in") if self.signed_in else Answer(535, "5.7.8 who are you?")

    def _on_mail(self, rest: str) -> Answer:
        if self.script.auth and not self.signed_in:
            return Answer(530, "5.7.0 sign in first")
        self.sender, self.recipients = _address_in(rest), []
        return OK

    def _on_rcpt(self, rest: str) -> Answer:
        return Answer(503, "MAIL first")

    def _on_data(self, rest: str) -> Answer:
        return Answer(354, "go on") if self.recipients else Answer(503, "RCPT first")

    def _on_rset(self, rest: str) -> Answer:
        self.forget()
        return OK

    def _on_noop(self, rest: str) -> Answer:
        return OK

    def _on_quit(self, rest: str) -> Answer:
        return Answer(221, "bye")

    def _text(self) -> None:
        lines = []
        while (line := self._line()) != b".":
            lines.append(line.removeprefix(b"."))  # a dot is doubled by the client (RFC 5321, 4.5.2)
        message = b"".join(line + b"\r\n" for line in lines)
        answer = self.script.answer_to("END", self.recipients[0]) or OK
        takes = answer.takes if answer.takes is not None else (answer.code or 0) // 100 == 2
        found = message_from_bytes(message)["Message-ID"] or ""
        taken = Taken(self.sender, tuple(self.recipients), message, found, time.monotonic())
        if takes:  # before the answer: who reads a 250 finds it in the ledger
            self.server.write_down(taken)
        self.forget()
        self._wait(self.server.delay())
        taken.told = self._say(answer) and takes

    # --- the wire -----------------------------------------------------------------------------------------------------

    def _start_tls(self) -> None:
        if self.script.starttls == "broken":
            self.connection.sendall(b"this is no TLS\r\n" * 10)
            raise _Gone
        self._encrypt()
        self.forget()

    def _encrypt(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server.certificate)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.encrypted, self.received = True, b""
        with self.server.lock:
            self.server._open[threading.current_thread()] = self.connection

    def _line(self) -> bytes:
        while b"\r\n" not in self.received:
            chunk = self.connection.recv(65536)
            if not chunk or len(self.received) > LONGEST_LINE:
                raise _Gone
            self.received += chunk
        line, _, self.received = self.received.partition(b"\r\n")
        return line

    def _say(self, answer: Answer) -> bool:
        """Answer, and return whether the client was still there."""
        self._wait(answer.late)
        if answer.code is None:
            raise _Gone
        if not self._client_is_there():
            return False
        drip = answer.drip or self.script.drip
        for piece in [answer.wire()] if not drip else [bytes([byte]) for byte in answer.wire()]:
            self.connection.sendall(piece)
            self._wait(drip)
        return True

    def _wait(self, seconds: float) -> None:
        if seconds and self.server.stopping.wait(seconds):
            raise _Gone

    def _client_is_there(self) -> bool:
        if self.encrypted:  # nobody can look ahead there; then sending tells
            return True
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:  # nothing to read, and not closed
            return True

    def _note(self, line: str) -> None:
        with self.server.lock:
            self.server.said.append(line)


def _address_in(rest: str) -> str:
    found = re.search(r"<([^>]*)>", rest)
    return found[1] if found else ""


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is shut
        pass


class NoCertificate(RuntimeError):
    """There is no openssl here to make one."""


def throw_away_certificate(folder: Path) -> Path:
    """Make a self-signed certificate for localhost, valid for two days; key and certificate in one file.

    Raises NoCertificate where there is no openssl command.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise NoCertificate("The openssl command is not installed (apt install openssl).")
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", key, "-out", certificate,
        ],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both
