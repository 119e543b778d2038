"""What a mail server answers, or fails to answer, means one thing for the mail; over real SMTP on loopback."""

import hashlib
import re
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from ciduty import environment
from ciduty.leases import LeaseLost
from ciduty.outbox import composing, rules, smtp_connection, tasks
from ciduty.outbox.models import Mail
from ciduty.outbox.smtp import Postman
from tests.instruments.mail_server import (
    CLOSE,
    Answer,
    MailServer,
    NoCertificate,
    Script,
    throw_away_certificate,
)

AT = datetime(2026, 3, 3, 9, tzinfo=UTC)
PASSWORD = "hunter2 / hunter2"


class Lease:
    """Counts how often it is looked after, and when; `lost_after` (seconds) somebody else takes the row over."""

    def __init__(self, lost_after: float | None = None):
        self.looks = [time.monotonic()]
        self.lost_after = lost_after

    def renew_when_old(self):
        self.looks.append(time.monotonic())
        if self.lost_after is not None and self.looks[-1] - self.looks[0] > self.lost_after:
            raise LeaseLost("mail 1 was taken over.")

    def longest_gap(self) -> float:
        return max(after - before for before, after in zip(self.looks, self.looks[1:], strict=False))


def mail(pk=1, to="list@example.com", text="Hello.\n", **fields):
    """Return a mail that was composed, as a row that no database holds."""
    message_id = f"<{pk}@example.com>"
    composed = composing.compose(to=to, subject="Trees", text=text, message_id=message_id, in_reply_to="", at=AT)
    values = {"message": composed.message, "sha256": composed.sha256, "message_id": message_id} | fields
    return Mail(pk=pk, recipient=to, subject=composed.subject, **values)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that nobody trusts."""
    try:
        return throw_away_certificate(tmp_path_factory.mktemp("certificate"))
    except NoCertificate as problem:
        pytest.skip(str(problem))


@pytest.fixture
def short(monkeypatch):
    """Wait tenths of seconds for what is otherwise waited for in minutes."""
    for name, seconds in {
        "CONNECT_WITHIN": 0.5, "COMMAND_WITHIN": 0.5, "BEFORE_TEXT_WITHIN": 2.0, "TEXT_WITHIN": 0.6, "QUIT_WITHIN": 0.2,
        "LOOK_EVERY": 0.05,
    }.items():  # fmt: skip
        monkeypatch.setattr(smtp_connection, name, seconds)


@pytest.fixture
def server(settings):
    """A mail server that means well until its script says otherwise."""
    with MailServer() as server:
        settings.EMAIL_URL = server.url
        yield server


def send(*rows, lease=None):
    """Send mails over one connection and return what came of each."""
    with Postman() as postman:
        return [postman.send(row, lease or Lease()) for row in rows]


def said_verbs(server):
    return [line.split(" ")[0] for line in server.said]


# --- a well-meaning server --------------------------------------------------------------------------------------------


def test_a_mail_goes_with_exactly_its_bytes_from_its_own_return_path(server):
    row = mail(17, text="Hello.\n.\n..dots\n.\n")
    (outcome,) = send(row)
    (taken,) = server.taken()
    assert (outcome.verb, outcome.code, outcome.words) == ("accept", 250, "250 fine")
    assert taken.message == row.message
    assert taken.message_id == "<17@example.com>"
    assert taken.recipients == ("list@example.com",)
    assert composing.row_of_return_path(taken.sender) == 17
    assert f"MAIL FROM:<{composing.return_path(17)}> SIZE={len(row.message)}" in server.said
    assert taken.told


def test_several_mails_go_over_one_connection_each_with_one_recipient(server):
    outcomes = send(mail(1), mail(2, "two@example.com"), mail(3))
    assert [outcome.verb for outcome in outcomes] == ["accept"] * 3
    assert [taken.recipients for taken in server.taken()] == [
        ("list@example.com",),
        ("two@example.com",),
        ("list@example.com",),
    ]
    assert server.connections == 1
    assert said_verbs(server) == [
        "ehlo", "MAIL", "RCPT", "DATA", "RSET", "MAIL", "RCPT", "DATA", "RSET", "MAIL", "RCPT", "DATA", "QUIT",
    ]  # fmt: skip


def test_a_domain_in_other_letters_is_asked_for_in_ascii(server):
    assert send(mail(to="list@bücher.example"))[0].verb == "accept"
    assert server.taken()[0].recipients == ("list@xn--bcher-kva.example",)


@pytest.mark.parametrize("code", [251, 252])
def test_a_recipient_that_the_server_will_find_elsewhere_is_accepted(server, code):
    server.script.on("RCPT", code)
    assert send(mail())[0].verb == "accept"
    assert len(server.taken()) == 1


@pytest.mark.parametrize("hang_up", [CLOSE, Answer(421, "too many mails")])
def test_a_connection_that_was_closed_between_two_mails_is_opened_once_more(server, hang_up):
    server.script.on("RSET", hang_up)
    assert [outcome.verb for outcome in send(mail(1), mail(2))] == ["accept", "accept"]
    assert server.connections == 2
    assert len(server.taken()) == 2


def test_a_refused_mail_leaves_the_connection_to_the_next(server):
    server.script.on("RCPT", 550, to="gone@example.com", always=True)
    outcomes = send(mail(1, "gone@example.com"), mail(2), mail(3, "gone@example.com"), mail(4))
    assert [outcome.verb for outcome in outcomes] == ["park", "accept", "park", "accept"]
    assert server.connections == 1
    assert [taken.message_id for taken in server.taken()] == ["<2@example.com>", "<4@example.com>"]


# --- what the server answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "END"])
@pytest.mark.parametrize(
    ("code", "verb", "server_is_out"),
    [
        (550, "park", False),
        (554, "park", False),
        (451, "put off", False),
        (452, "put off", False),
        (421, "put off", True),
        (530, "put off", True),
        (535, "put off", True),
    ],
)
def test_a_refusal_means_the_same_at_every_command(server, command, code, verb, server_is_out):
    server.script.on(command, Answer(code, "5.7.1 no\nand why"))
    (outcome,) = send(mail())
    assert (outcome.verb, outcome.code, outcome.server_is_out) == (verb, code, server_is_out)
    assert ("the end of the mail" if command == "END" else command) in outcome.words
    assert f"{code} 5.7.1 no / and why" in outcome.words
    assert server.taken() == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_an_answer_that_no_server_gives_puts_the_mail_off(server, command):
    server.script.on(command, 199)
    (outcome,) = send(mail())
    assert (outcome.verb, outcome.server_is_out) == ("put off", True)


def test_an_answer_that_no_server_gives_after_the_text_leaves_it_unknown(server):
    server.script.on("END", Answer(354, "go on", takes=True))
    (outcome,) = send(mail())
    assert outcome.verb == "lose sight of"
    assert outcome.words.startswith("The server had the mail and did not say whether it took it: 354")


def test_words_of_the_server_are_one_clean_line(server):
    server.script.on("RCPT", Answer(550, "no\x00 such\x1b[31m \u202euser " + "x" * 900))
    (outcome,) = send(mail())
    assert outcome.words.isprintable()
    assert len(outcome.words) <= 500


# --- a server that cannot be reached or spoken to ---------------------------------------------------------------------


def out(outcome):
    """Return the words of an outcome that says: no mail at all goes through this server now."""
    assert (outcome.verb, outcome.server_is_out) == ("put off", True)
    assert outcome.words.isprintable()
    return outcome.words


def test_a_server_that_is_not_there_puts_the_mail_off(settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings.EMAIL_URL = f"smtp://127.0.0.1:{port}"
    assert f"127.0.0.1:{port} failed at connecting: Connection refused" in out(send(mail())[0])


@pytest.mark.parametrize("url", ["", "smtp://", "http://localhost"])
def test_without_a_mail_server_a_mail_is_put_off(settings, url):
    settings.EMAIL_URL = url
    assert "EMAIL_URL" in out(send(mail())[0])


def test_a_server_that_closes_at_once_puts_the_mail_off(server):
    server.script.close_on_connect = True
    assert "at the greeting" in out(send(mail())[0])


@pytest.mark.parametrize("code", [554, 421, 250])
def test_a_greeting_that_turns_us_away_is_not_the_mails_fault(server, code):
    server.script.greeting = code
    assert f"at the greeting: {code}" in out(send(mail())[0])


def test_a_server_without_a_greeting_is_not_waited_for_any_longer(server, short):
    server.script.greeting = Answer(220, late=30)
    began = time.monotonic()
    assert "no answer in time" in out(send(mail())[0])
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("answer", [502, 421, CLOSE, Answer(250, "x" * 20_000), Answer(250, "\n" * 200)])
def test_trouble_at_ehlo_is_not_the_mails_fault(server, answer):
    server.script.on("EHLO", answer)
    assert "at EHLO" in out(send(mail())[0])


def test_a_server_that_speaks_something_else_is_not_the_mails_fault(settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.EMAIL_URL = f"smtp://127.0.0.1:{listener.getsockname()[1]}"

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        words = out(send(mail())[0])
        thread.join(5)
    assert "HTTP/1.1 400 Bad Request" in words


# --- the login --------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(server, settings):
    """The server takes mail from one user only."""
    server.script.auth = ("ciduty", PASSWORD)
    settings.EMAIL_URL = server.url_of("ciduty", quote(PASSWORD, safe=""))
    return server


def test_the_password_opens_the_door(guarded):
    assert send(mail(1), mail(2))[1].verb == "accept"
    assert [line for line in guarded.said if line.startswith("AUTH")] != []


def test_a_refused_login_is_not_the_mails_fault_and_shows_no_password(guarded):
    guarded.script.auth = ("ciduty", "another")
    # A server may well repeat what it was told.
    plain = "AGNpZHV0eQBodW50ZXIyIC8gaHVudGVyMg=="
    guarded.script.on("AUTH", Answer(535, f"not {PASSWORD}, not {plain}"), always=True)
    words = out(send(mail())[0])
    assert any(plain in line for line in guarded.said)  # so it is what went over the wire
    assert "at the login: 535 not ***, not ***" in words


def test_a_server_that_wants_no_login_gets_no_password(guarded):
    guarded.script.auth = None
    assert "at the login" in out(send(mail())[0])
    assert "AUTH" not in said_verbs(guarded)


def test_a_mail_account_never_shows_its_password():
    account = environment.mail_account(f"smtps://ciduty:{quote(PASSWORD, safe='')}@mail.example.com")
    assert (account.mode, account.host, account.port) == ("smtps", "mail.example.com", 465)
    assert account.password == PASSWORD
    assert "hunter2" not in repr(account)


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trusted(certificate, monkeypatch):
    """This process trusts the throw-away certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


@contextmanager
def encrypted_server(settings, certificate, host="localhost", **script):
    with MailServer(Script(auth=("ciduty", PASSWORD), **script), certificate) as server:
        mode = "smtps" if server.script.tls else "smtp+tls"
        settings.EMAIL_URL = f"{mode}://ciduty:{quote(PASSWORD, safe='')}@{host}:{server.port}"
        yield server


def nothing_was_said(server):
    """Answer whether neither a password nor a word of a mail reached the server."""
    return server.taken() == [] and not {"AUTH", "MAIL", "RCPT", "DATA"} & set(said_verbs(server))


@pytest.mark.parametrize("script", [{"starttls": True}, {"tls": True}])
def test_mail_and_password_go_encrypted(settings, trusted, script):
    with encrypted_server(settings, trusted, **script) as server:
        assert [outcome.verb for outcome in send(mail(1), mail(2))] == ["accept", "accept"]
        assert len(server.taken()) == 2
        assert server.connections == 1


@pytest.mark.parametrize("script", [{"starttls": True}, {"tls": True}])
def test_a_certificate_that_nobody_vouches_for_ends_it(settings, certificate, script):
    with encrypted_server(settings, certificate, **script) as server:
        assert "self-signed certificate" in out(send(mail())[0])
        assert nothing_was_said(server)


@pytest.mark.parametrize("script", [{"starttls": True}, {"tls": True}])
def test_a_certificate_of_another_host_ends_it(settings, trusted, script):
    with encrypted_server(settings, trusted, host="127.0.0.2", **script) as server:
        assert "127.0.0.2" in out(send(mail())[0])
        assert nothing_was_said(server)


def test_where_starttls_was_stripped_nothing_is_sent_and_no_password_is_seen(settings, certificate):
    with encrypted_server(settings, certificate, starttls=False) as server:
        assert "offers no STARTTLS" in out(send(mail())[0])
        assert nothing_was_said(server)
        assert said_verbs(server) == ["ehlo"]


@pytest.mark.parametrize("answer", [454, 501, CLOSE])
def test_a_refused_starttls_sends_nothing(settings, certificate, answer):
    with encrypted_server(settings, certificate, starttls=True) as server:
        server.script.on("STARTTLS", answer)
        assert "at STARTTLS" in out(send(mail())[0])
        assert nothing_was_said(server)


def test_a_broken_handshake_sends_nothing(settings, certificate):
    with encrypted_server(settings, certificate, starttls="broken") as server:
        assert out(send(mail())[0])
        assert nothing_was_said(server)


def test_what_is_said_in_clear_before_tls_is_not_believed(settings, trusted):
    with encrypted_server(settings, trusted, starttls=True) as server:
        # One packet: whoever is in between adds an answer, to be read after the handshake.
        server.script.on("STARTTLS", Answer(220, "go on", more=b"250 AUTH PLAIN\r\n"))
        assert "more than it may" in out(send(mail())[0])
        assert nothing_was_said(server)


# --- connections that break, and replies that do not come -------------------------------------------------------------


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_text_puts_the_mail_off(server, command):
    server.script.on(command, CLOSE)
    first, second = send(mail(1), mail(2))
    assert (first.verb, first.server_is_out) == ("put off", False)
    assert f"lost at {command}, before the mail was handed over" in first.words
    assert second.verb == "accept"  # over a new connection
    assert [taken.message_id for taken in server.taken()] == ["<2@example.com>"]


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_server_that_falls_silent_before_the_text_puts_the_mail_off(server, command, short):
    server.script.late_reply(30, command)
    assert f"lost at {command}" in out(send(mail())[0])
    assert server.taken() == []


def test_a_server_that_closes_after_the_text_leaves_it_unknown(server):
    server.script.drop_after_data()
    first, second = send(mail(1), mail(2))
    assert (first.verb, first.server_is_out, first.code) == ("lose sight of", False, None)
    assert first.words == (
        "The server had the mail and did not say whether it took it: the server closed the connection."
    )
    assert second.verb == "accept"
    assert [taken.told for taken in server.taken()] == [False, True]


def test_a_250_that_comes_too_late_leaves_it_unknown(server, short):
    server.script.late_reply(1.5)
    (outcome,) = send(mail())
    assert (outcome.verb, outcome.server_is_out) == ("lose sight of", True)
    assert "no answer in time" in outcome.words
    assert len(server.taken()) == 1


def test_a_250_after_a_while_is_a_250(server, short, monkeypatch):
    monkeypatch.setattr(smtp_connection, "TEXT_WITHIN", 5.0)
    server.script.late_reply(1.0)  # twice as long as any command may take
    assert send(mail())[0].verb == "accept"


def test_a_server_that_stops_reading_in_the_middle_of_a_mail_puts_it_off(settings, short):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        settings.EMAIL_URL = f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        done = threading.Event()

        def answer():
            connection, _ = listener.accept()
            with connection:
                for reply in (b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
                    connection.sendall(reply)
                    if not reply.startswith(b"354"):
                        connection.recv(1000)
                done.wait(10)

        thread = threading.Thread(target=answer)
        thread.start()
        message = mail().message + b"More than all buffers hold.\r\n" * 400_000
        row = mail(message=message, sha256=hashlib.sha256(message).hexdigest())
        lease = Lease()
        (outcome,) = send(row, lease=lease)
        done.set()
        thread.join(5)
    assert "before the whole mail was handed over: no answer in time" in out(outcome)
    assert lease.longest_gap() < 0.4


@pytest.mark.parametrize(("command", "verb"), [("RCPT", "put off"), ("END", "lose sight of")])
def test_a_server_that_drips_does_not_outlive_the_deadline(server, short, command, verb):
    code = 250
    server.script.on(command, Answer(code, "a long answer, byte by byte " * 5, drip=0.1, takes=True))
    began, lease = time.monotonic(), Lease()
    (outcome,) = send(mail(), lease=lease)
    assert outcome.verb == verb
    assert time.monotonic() - began < 2
    assert lease.longest_gap() < 0.4


def test_many_slow_answers_do_not_outlive_the_limit_of_all_together(server, short, monkeypatch):
    monkeypatch.setattr(smtp_connection, "BEFORE_TEXT_WITHIN", 1.0)
    for command in ("EHLO", "MAIL", "RCPT", "DATA"):
        server.script.late_reply(0.4, command)  # each within its own limit
    assert "lost at RCPT" in out(send(mail())[0])


def test_all_limits_together_stay_under_what_kills_a_worker():
    limits = tasks.WORKS_FOR + smtp_connection.BEFORE_TEXT_WITHIN + smtp_connection.TEXT_WITHIN
    assert limits + smtp_connection.QUIT_WITHIN + smtp_connection.CONNECT_WITHIN < tasks.TEN_MINUTES
    # Renewed after a quarter of the lease and looked at every so often: at least every 15 seconds and a slice.
    assert smtp_connection.LOOK_EVERY + smtp_connection.CONNECT_WITHIN < rules.LEASE.total_seconds() / 4


def test_a_row_that_was_taken_over_while_the_server_thinks_is_let_go(server, short, monkeypatch):
    monkeypatch.setattr(smtp_connection, "TEXT_WITHIN", 30.0)
    monkeypatch.setattr(smtp_connection, "COMMAND_WITHIN", 3.0)
    server.script.late_reply(1.5)
    began = time.monotonic()
    with Postman() as postman:
        with pytest.raises(LeaseLost):
            postman.send(mail(1), Lease(lost_after=0.3))
        assert time.monotonic() - began < 1.4
        # Over a new connection: on the old one the next answer is about the first mail.
        assert postman.send(mail(2), Lease()).verb == "accept"
    assert server.connections == 2


def test_a_server_that_never_says_goodbye_is_left_soon(server, short):
    server.script.late_reply(30, "QUIT")
    began = time.monotonic()
    assert send(mail())[0].verb == "accept"
    assert time.monotonic() - began < 1


# --- rows that must not be sent ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"message": b"", "sha256": ""}, "never composed"),
        ({"sha256": hashlib.sha256(b"something else").hexdigest()}, "not those that were composed"),
        ({"recipient": "a@example.com>\r\nDATA"}, "address"),
    ],
)
def test_a_row_that_is_not_as_it_was_composed_is_parked_and_nobody_is_asked(server, fields, why):
    row = mail()
    for name, value in fields.items():
        setattr(row, name, value)
    (outcome,) = send(row)
    assert outcome.verb == "park"
    assert why in outcome.words
    assert server.connections == 0


def test_a_row_as_postgresql_gives_it_is_sent(server):
    row = mail()
    row.message = memoryview(row.message)
    assert send(row)[0].verb == "accept"


def test_the_name_that_is_said_at_the_greeting_is_looked_up_nowhere(server, settings):
    for address, name in {
        "https://ciduty.example.com": "ciduty.example.com", "http://192.0.2.1:8000": "[192.0.2.1]",
        "http://[2001:db8::1]": "[IPv6:2001:db8::1]",
    }.items():  # fmt: skip
        settings.SITE_URL = address
        send(mail())
        assert [line for line in server.said if line.startswith("ehlo")][-1] == f"ehlo {name}"


# --- the instrument itself --------------------------------------------------------------------------------------------


def test_the_scripted_server_stops_within_a_second_whatever_it_is_doing(settings):
    began = time.monotonic()
    with MailServer(Script(greeting=Answer(220, late=60))) as server:
        with socket.create_connection(("127.0.0.1", server.port)):
            while server.connections == 0:
                time.sleep(0.01)
        before = time.monotonic()
    assert time.monotonic() - before < 1
    assert time.monotonic() - began < 3
    assert not [thread for thread in threading.enumerate() if re.match("mail (server|session)", thread.name)]


def test_the_scripted_server_takes_its_time_as_its_seed_says():
    drawn = [MailServer(Script(delay=(0.0, 0.02), seed=seed)).delay() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(0 <= seconds <= 0.02 for seconds in drawn)
