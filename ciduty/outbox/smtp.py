"""Sends a mail over SMTP: one recipient to a transaction, exactly the composed bytes; and says what came of it.

When it is tried again stands in `rules.py`, how a server is spoken to in `smtp_connection.py`. A reply that never came
after the mail went out is neither yes nor no: the same bytes with the same Message-ID go again (safety.md F27).
"""

import hashlib

from django.conf import settings

from ciduty.environment import mail_account
from ciduty.outbox import addresses, composing
from ciduty.outbox.models import LAST_WORDS, Mail
from ciduty.outbox.outcome import Outcome
from ciduty.outbox.smtp_connection import Connection, ServerTrouble, reason

#: "Sign in first" and what else says that EMAIL_URL is wrong: no row can help it.
ABOUT_THE_LOGIN = frozenset({530, 534, 535, 538})


class Postman:
    """Sends mails one after another over one connection; a context manager, so that the connection is closed."""

    def __init__(self):
        self._connection: Connection | None = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._connection is not None:
            self._connection.leave()
            self._connection = None

    def send(self, row: Mail, holding) -> Outcome:
        """Try once to hand over one mail. Raises LeaseLost when somebody else took the row over meanwhile."""
        message = bytes(row.message)
        if not message:
            return Outcome("park", "It was never composed, so it cannot be sent. Cancel it and send the mail anew.")
        if hashlib.sha256(message).hexdigest() != row.sha256:
            return Outcome("park", "Its bytes are not those that were composed. Cancel it and send the mail anew.")
        try:
            recipient = addresses.on_the_wire(row.recipient)
        except addresses.NotAnAddress as problem:
            return Outcome("park", f"Its address cannot be written to: {problem}. Cancel it and send the mail anew.")
        try:
            connection = self._reach(holding)
            return self._envelope(connection, row, recipient, message) or self._text(connection, message)
        except ServerTrouble as trouble:
            self._drop()
            words = str(trouble)[:LAST_WORDS]
            return Outcome("put off", words, trouble.code, server_is_out=True)
        except BaseException:
            self._drop()
            raise

    def _reach(self, holding) -> Connection:
        """Return the connection, opened anew when the server has closed it since the last mail."""
        if self._connection is not None:
            self._connection.begin(holding)
            if self._connection.is_still_there():
                return self._connection
            self._drop()
        try:
            account = mail_account(settings.EMAIL_URL)
        except ValueError as problem:
            raise ServerTrouble(f"EMAIL_URL names no mail server that can be asked: {problem}.") from None
        self._connection = Connection(account, holding)
        self._connection.open()
        return self._connection

    def _drop(self) -> None:
        """Close without another word: what the server would answer now is about a mail that is over."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _envelope(self, connection: Connection, row: Mail, recipient: str, message: bytes) -> Outcome | None:
        """Say from whom and to whom; returns what came of it, or None when the server waits for the text."""
        size = f" SIZE={len(message)}" if connection.has_extn("size") else ""
        steps = (
            ("MAIL", f"MAIL FROM:<{composing.return_path(row.pk)}>{size}", 2),
            ("RCPT", f"RCPT TO:<{recipient}>", 2),
            ("DATA", "DATA", 3),
        )
        for step, command, fine in steps:
            try:
                code, reply = connection.docmd(command)
            except OSError as problem:
                return self._lost(f"at {step}, before the mail was handed over", problem)
            if code // 100 != fine:
                return self._not_taken(connection, step, code, reply) or self._nonsense(connection, step, code, reply)
        return None

    def _text(self, connection: Connection, message: bytes) -> Outcome:
        """Hand over the text and wait for the server's word on it."""
        connection.text_follows()
        try:
            connection.send(_with_dots_doubled(message) + b".\r\n")
        except OSError as problem:
            return self._lost("before the whole mail was handed over", problem)
        try:
            code, reply = connection.getreply()
        except OSError as problem:
            self._drop()
            words = f"The server had the mail and did not say whether it took it: {reason(problem)}."
            return Outcome("lose sight of", words, server_is_out=isinstance(problem, TimeoutError))
        if code // 100 == 2:
            return Outcome("accept", connection.words(code, reply), code)
        outcome = self._not_taken(connection, "the end of the mail", code, reply)
        if outcome is not None:
            return outcome
        self._drop()
        words = f"The server had the mail and did not say whether it took it: {connection.words(code, reply)}"
        return Outcome("lose sight of", words, code if code > 0 else None)

    def _not_taken(self, connection: Connection, step: str, code: int, reply: bytes) -> Outcome | None:
        """Return what a 4xx or 5xx at some step means for the row, or None for any other reply."""
        said = connection.words(code, reply)
        if code in ABOUT_THE_LOGIN:
            self._drop()
            words = f"The mail server wants another login at {step}: {said}. Is EMAIL_URL right?"
            return Outcome("put off", words, code, server_is_out=True)
        if code == 421:
            self._drop()
            return Outcome("put off", f"The mail server closed at {step}: {said}", code, server_is_out=True)
        if code // 100 == 4:
            return Outcome("put off", f"The mail server put it off at {step}: {said}", code)
        if code // 100 == 5:
            return Outcome("park", f"The mail server refused it at {step}: {said}", code)
        return None

    def _nonsense(self, connection: Connection, step: str, code: int, reply: bytes) -> Outcome:
        self._drop()
        words = f"The mail server answered what no mail server answers at {step}: {connection.words(code, reply)}"
        return Outcome("put off", words, code if code > 0 else None, server_is_out=True)

    def _lost(self, when: str, problem: OSError) -> Outcome:
        self._drop()
        words = f"The connection to the mail server was lost {when}: {reason(problem)}."
        return Outcome("put off", words, server_is_out=isinstance(problem, TimeoutError))


def _with_dots_doubled(message: bytes) -> bytes:
    """A line that is a dot ends the mail, so one more stands before each line's first (RFC 5321, 4.5.2)."""
    doubled = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..").removeprefix(b"\r\n")
    return doubled if doubled.endswith(b"\r\n") else doubled + b"\r\n"
