"""The border, the mirror and the clock under attack: odd servers, sleeping processes, clocks put back, histories."""

import gzip
import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from itertools import count
from time import monotonic

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from ciduty import clock, leases
from ciduty.bugzilla import events, mirror, poll, values
from ciduty.bugzilla.client import Client
from ciduty.bugzilla.errors import Auth, Rejected, Unavailable
from ciduty.bugzilla.models import ActorKind, Bug, BugEvent, BugText, Connection, Quarantine, Visibility
from ciduty.bugzilla.reading import Reader
from ciduty.bugzilla.sandbox import Fault
from ciduty.bugzilla.sandbox.seed import BOT_KEY
from ciduty.bugzilla.session import BorderSession
from ciduty.desk.freshness import freshness
from loaners import rules
from loaners.models import LoanerRequest
from tests.cast import LOAN, LONG_AGO, cycle_done, file

KEY = "k" * 40
HOUR = timedelta(hours=1)
REQUESTER = "developer@example.com"


# --- the wire ---------------------------------------------------------------------------------------------------------


class OddServer:
    """A server made by hand: `answer(request line, how many on this connection)` returns (raw bytes, hang up after)."""

    def __init__(self, answer, family=socket.AF_INET, host="127.0.0.1"):
        self.answer, self.host, self.asked = answer, host, []
        self.listener = socket.create_server((host, 0), family=family)
        self.port = self.listener.getsockname()[1]
        self.connections = 0

    @property
    def url(self):
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        nth = 0
        with connection, connection.makefile("rb") as lines:
            while request := lines.readline():
                while lines.readline().strip():
                    pass
                nth += 1
                raw, hang_up = self.answer(request.decode(), nth)
                self.asked.append(request.decode().split()[1])
                try:
                    connection.sendall(raw)
                    if hang_up:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                except OSError:
                    return


def http(body, headers=("Content-Type: application/json",), version="1.1"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/{version} 200 OK", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


TIME = {"db_time": "2026-11-21T04:05:47Z"}


def client_of(server, **options):
    return Client(server.url, KEY, **({"version": "5.3"} | options))


def test_a_server_that_closed_a_kept_connection_is_asked_again_once():
    def answer(request, nth):
        return (http(TIME), False) if nth == 1 else (b"", True)

    with OddServer(answer) as server:
        client = client_of(server)
        for _ in range(3):
            assert client.server_time().year == 2026
        assert server.connections == 3


def test_a_server_that_hangs_up_on_a_new_connection_is_not_asked_again():
    with OddServer(lambda *_: (b"", True)) as server:
        with pytest.raises(Unavailable):
            client_of(server).server_time()
        assert server.connections == 1


def test_what_may_have_been_written_is_never_sent_again():
    def answer(request, nth):
        return (http(TIME), False) if nth == 1 else (b"", True)

    with OddServer(answer) as server:
        session = BorderSession(KEY, "header")
        assert session.get(f"{server.url}/rest/time").status_code == 200
        with pytest.raises(Unavailable):
            session.put(f"{server.url}/rest/bug/1")
        assert server.connections == 1


def test_a_byte_order_mark_and_a_missing_charset_spoil_no_text():
    text = "Übergabe – naïve"
    body = b"\xef\xbb\xbf" + json.dumps({"bugs": [{"id": 7, "summary": text}]}, ensure_ascii=False).encode()
    with OddServer(lambda *_: (http(body), False)) as server:
        assert client_of(server).bugs([7])[7]["summary"] == text


@pytest.mark.parametrize("content_type", ["application/json", "text/html; charset=ISO-8859-1", "text/plain"])
def test_json_is_read_as_utf_8_whatever_the_header_says(content_type):
    body = json.dumps({"bugs": [{"id": 7, "summary": "Übergabe"}]}, ensure_ascii=False).encode()
    with OddServer(lambda *_: (http(body, (f"Content-Type: {content_type}",)), False)) as server:
        assert client_of(server).bugs([7])[7]["summary"] == "Übergabe"


def test_a_server_of_http_1_0_is_understood():
    with OddServer(lambda *_: (http(TIME, version="1.0"), True)) as server:
        client = client_of(server)
        assert client.server_time() == client.server_time()


@pytest.mark.parametrize(("status", "says"), [("503 Down", "HTTP 503"), ("404 No", "check BUGZILLA_URL")])
@pytest.mark.parametrize("body", [b"", b"<html><body>Back soon</body></html>"])
def test_a_page_with_an_error_status_is_told_by_its_status(status, says, body):
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    with OddServer(lambda *_: (head.encode() + body, False)) as server:
        for call in (client_of(server).server_time, lambda: client_of(server).bugs([1])):
            with pytest.raises(Unavailable, match=says):
                call()


def test_an_ipv6_address_is_usable():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        server = OddServer(lambda *_: (http(TIME), False), socket.AF_INET6, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with server:
        assert client_of(server).server_time().year == 2026


def test_a_compressed_bomb_ends_at_the_size_limit(monkeypatch):
    monkeypatch.setattr("ciduty.bugzilla.session.MOST_BYTES", 1 << 20)
    bomb = gzip.compress(b" " * (64 << 20))
    with OddServer(lambda *_: (http(bomb, ("Content-Encoding: gzip",)), False)) as server:
        with pytest.raises(Unavailable, match="larger than"):
            client_of(server).server_time()


def test_time_that_ran_out_before_there_was_a_connection_ends_the_call(monkeypatch):
    """Looking a name up has no time limit of its own; a server that drips afterwards would be read without end."""
    look_up = socket.getaddrinfo

    def slowly(*args, **kwargs):
        threading.Event().wait(0.4)
        return look_up(*args, **kwargs)

    def drip(request, nth):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", False

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with OddServer(drip) as server:
        session = BorderSession(KEY, "header", all_within=0.2, read_within=3)
        began = datetime.now(UTC)
        with pytest.raises(Unavailable, match="had not finished"):
            Client(server.url, KEY, version="5.3", session=session).server_time()
        assert datetime.now(UTC) - began < timedelta(seconds=2)


def test_a_server_that_repeats_the_address_in_its_refusal_tells_nobody_the_key():
    key = "k3y/with+signs&that=need%escaping"

    def answer(request, nth):
        refusal = {"error": True, "code": 999, "message": f"Cannot GET {request.split()[1]} with key {key}"}
        return http(refusal), False

    with OddServer(answer) as server:
        with pytest.raises(Rejected) as caught:
            Client(server.url, key, key_in="query").server_time()
        assert "Cannot GET" in str(caught.value)
        assert "signs" not in str(caught.value)


@pytest.mark.parametrize("key", ["“quoted”", "two\nlines", "zero\u200bwidth"])
def test_a_key_that_cannot_be_one_is_named_without_asking_anybody(key):
    with OddServer(lambda *_: (http(TIME), False)) as server:
        with pytest.raises(Auth, match="holds characters that no key has"):
            Client(server.url, key).signed_in_as()
        assert not server.asked


def test_the_version_is_remembered_whatever_case_the_address_is_written_in():
    with OddServer(lambda *_: (http({"bugs": []}), False)) as server:
        address = server.url.replace("127.0.0.1", "LOCALHOST")
        Client(address, KEY, version="5.3").bugs([1])
        assert [path.partition("?")[0] for path in server.asked] == ["/rest/bug"]


def test_the_end_of_a_tasks_time_is_no_failure_of_bugzillas(monkeypatch):
    """Taken for a bad answer it would be asked around, until the worker is killed with the lease in its hands."""
    client = Client("http://127.0.0.1:9", KEY)

    def time_is_up(*_, **__):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(client.session, "get", time_is_up)
    with pytest.raises(SoftTimeLimitExceeded):
        client.server_time()


# --- signing in -------------------------------------------------------------------------------------------------------


def old_server(users):
    """A 5.2 that takes the key; its match, as upstream's, finds nobody by less than three characters."""

    def answer(request, nth):
        path = request.split()[1]
        if path.startswith("/rest/whoami"):
            return http({"error": True, "code": 32614, "message": "no such resource"}), False
        return http({"users": users if "match=%2A" in path else []}), False

    return OddServer(answer)


@pytest.mark.parametrize("users", [[{"id": 1, "name": "bot@example.com", "can_login": True}], []])
def test_a_5_2_proves_the_sign_in_by_a_match_that_upstream_answers(users):
    with old_server(users) as server:
        assert Client(server.url, KEY, key_in="query").signed_in_as() == ""


@pytest.mark.django_db
def test_a_login_that_is_not_the_keys_own_is_named(bugzilla):
    """It would be taken for ciduty's own account, whose comments answer nobody."""
    bugzilla.rest.is_52 = True
    with pytest.raises(Auth, match="not that of duty@example.com"):
        Client(bugzilla.url, BOT_KEY, key_in="query", login="duty@example.com").signed_in_as()
    assert Client(bugzilla.url, BOT_KEY, key_in="query", login="bot@example.com").signed_in_as() == "bot@example.com"


@pytest.mark.django_db
@pytest.mark.parametrize("login", ["", "bot@example.com"])
def test_a_stranger_on_5_2_is_blocked_twice_as_long_the_second_time(bugzilla, settings, login):
    bugzilla.rest.is_52 = True  # ignores the header, and answers as to a stranger
    settings.BUGZILLA_LOGIN = login
    blocked = []
    for _ in range(3):
        poll.poll()
        row = Connection.objects.get()
        blocked.append(row.blocked_until - clock.now())
        clock.move(row.blocked_until - clock.now() + timedelta(seconds=1))
    lengths = [round(length / timedelta(minutes=1)) for length in blocked]
    assert lengths == [65, 130, 260]


@pytest.mark.django_db
def test_a_daily_proof_does_not_close_a_breaker_that_opened_meanwhile(bugzilla, monkeypatch):
    products = Client.flags_by_component

    def blocked_meanwhile(self, asked):
        found = products(self, asked)
        Connection.objects.update(blocked_until=clock.now() + HOUR, blocked_why="Blocked", blocked_kind="throttled")
        return found

    monkeypatch.setattr(Client, "flags_by_component", blocked_meanwhile)
    poll.poll()
    assert Connection.objects.get().blocked_until


# --- values -----------------------------------------------------------------------------------------------------------


def raw_bug(**fields):
    return {
        "id": 1,
        "summary": "Loan a machine",
        "status": "NEW",
        "is_open": True,
        "groups": [],
        "flags": [],
        "creator": REQUESTER,
        "creation_time": "2026-01-05T10:00:00Z",
        "last_change_time": "2026-01-05T10:00:00Z",
        **LOAN,
        **fields,
    }


@pytest.mark.parametrize("groups", [None, "", {}, 0, False])
def test_groups_that_are_no_list_prove_nothing_public(groups):
    with pytest.raises(values.Malformed, match="groups"):
        values.bug(raw_bug(groups=groups))


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z"])
def test_a_moment_that_no_page_could_show_in_every_zone_is_malformed(moment):
    with pytest.raises(values.Malformed):
        values.moment(moment, "when")


@pytest.mark.parametrize(
    "written", ["2026-01-05T10:00:00Z", "2026-01-05T10:00:00", "2026-01-05T12:00:00.000+02:00", "2026-01-05 10:00:00"]
)
def test_a_moment_is_read_with_and_without_zone_and_fractions(written):
    assert values.moment(written, "when") == LONG_AGO


# --- the mirror -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_answer_with_its_ids_as_texts_hides_no_bug(bugzilla):
    bug = file(bugzilla, "Words")
    cycle_done()
    bugzilla.faults.add(Fault("bad_bug", bug_id=bug, match=r"[?&]id=|/rest/bug/\d", patch={"id": str(bug)}))
    cycle_done(quarantined=1, hidden=0)
    row = Bug.objects.get()
    assert (row.visibility, row.held_back) == (Visibility.RESTRICTED, False)  # shown to nobody until it can be read
    bugzilla.faults.clear()
    cycle_done()
    assert Bug.objects.get().visibility == Visibility.PUBLIC
    assert BugText.objects.get().summary == "Words"


@pytest.mark.django_db
def test_bugs_that_nobody_asked_for_are_not_stored(bugzilla):
    bug = file(bugzilla)
    more = [raw_bug(id=bug), raw_bug(id=bug + 1000), raw_bug(id=bug)]
    bugzilla.faults.add(Fault("status", match=r"[?&]id=", status=200, body={"bugs": more}))
    cycle_done(read=1)
    assert set(Bug.objects.values_list("pk", flat=True)) == {bug}


@pytest.mark.django_db
def test_a_bug_set_aside_before_it_was_mirrored_leaves_quarantine_when_it_turns_private(bugzilla):
    bug = file(bugzilla)
    bugzilla.faults.add(Fault("bad_bug", bug_id=bug, remove=["groups"], match=r"[?&]id=|/rest/bug/\d"))
    cycle_done(quarantined=1)
    bugzilla.faults.clear()
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": ["infra"]}})
    cycle_done()
    assert not Quarantine.objects.exists()
    bugzilla.requests.clear()
    cycle_done()
    assert f"/rest/bug/{bug}" not in [call.path for call in bugzilla.requests]


@pytest.mark.django_db
def test_a_released_bug_gets_the_names_of_its_events_back(bugzilla):
    bug = file(bugzilla)
    bugzilla.world.comment(bug, "sheriff@example.com", "Any news?", at=LONG_AGO + HOUR)
    cycle_done()
    for change in ("add", "remove"):
        bugzilla.world.update(bug, "scheduler@example.com", {"groups": {change: ["infra-bot-sees"]}})
        cycle_done()
    clock.move(timedelta(minutes=30))
    bugzilla.world.set_clock(lambda: datetime.now(UTC) + timedelta(minutes=30))
    cycle_done()
    assert not BugEvent.objects.exclude(by="").exists()
    mirror.release(Bug.objects.get())
    cycle_done()
    assert BugEvent.objects.filter(by="sheriff@example.com").exists()


# --- two processes ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("known", [False, True])
def test_a_process_that_slept_stores_no_words_that_another_found_hidden(bugzilla, monkeypatch, known):
    bug = file(bugzilla, "Words that were public")
    if known:
        cycle_done()
    read = Reader.batches

    def asleep_after_reading(self, ids):
        for batch in read(self, ids):
            monkeypatch.undo()
            clock.move(timedelta(minutes=3))
            bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": ["infra"]}})
            assert poll.poll().hidden == int(known)  # another process, which found the lease run out
            yield batch

    monkeypatch.setattr(Reader, "batches", asleep_after_reading)
    with pytest.raises(leases.LeaseLost):
        poll.poll()
    assert not BugText.objects.exists()


@pytest.mark.django_db
def test_a_slow_server_takes_no_lease_away_from_a_poll_that_is_at_work(bugzilla, monkeypatch):
    """Every call may take a minute: however many are made between two writes, the lease must not run out."""
    bugs = [file(bugzilla, f"Loan {number}") for number in range(10)]
    cycle_done()
    for bug in bugs:
        bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": ["infra"]}})
    minutes = count(1)
    monkeypatch.setattr(leases, "monotonic", lambda: monotonic() + 60 * next(minutes))
    renewals, renew = [], leases.Held.renew
    monkeypatch.setattr(leases.Held, "renew", lambda self: (renewals.append(1), renew(self)))
    cycle = cycle_done(hidden=10)
    assert len(renewals) >= cycle.requests


@pytest.mark.django_db
def test_jobs_follow_under_the_lease(bugzilla, monkeypatch):
    taken = []
    monkeypatch.setattr(poll, "followers", [lambda: taken.append(leases.take("poll bugzilla", poll.LEASE))])
    poll.poll()
    assert taken == [None]


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_after_our_clock_was_put_back_polls_and_reconciles_go_on(bugzilla, settings):
    settings.BUGZILLA_POLL_SECONDS = 300
    closed = file(bugzilla, status="RESOLVED", resolution="FIXED")
    clock.move(timedelta(days=2))
    poll.want_sync()
    assert poll.poll_if_due()
    clock.move(timedelta(days=-2))
    assert freshness(clock.now()).silent
    bugzilla.world.update(closed, "scheduler@example.com", {"groups": {"add": ["infra"]}})
    assert poll.poll_if_due().hidden == 1
    assert not freshness(clock.now()).silent
    assert poll.poll_if_due() is None
    clock.move(timedelta(seconds=301))
    assert poll.poll_if_due()


@pytest.mark.django_db
def test_a_lease_of_a_dead_process_does_not_outlive_a_clock_that_was_put_back():
    clock.move(timedelta(days=2))
    assert leases.take("a job", timedelta(minutes=2))
    clock.move(timedelta(days=-2))
    assert leases.take("a job", timedelta(minutes=2)).fence == 2
    clock.move(timedelta(seconds=-30))
    assert leases.take("a job", timedelta(minutes=2)) is None


@pytest.mark.django_db
def test_after_bugzillas_clock_was_put_back_no_new_bug_is_missed(bugzilla):
    bugzilla.world.set_clock(lambda: datetime(2031, 5, 1, 12, tzinfo=UTC))
    cycle_done()
    bugzilla.world.set_clock(lambda: datetime(2026, 5, 1, 12, tzinfo=UTC))
    filed = file(bugzilla, at=None)
    cycle_done(read=1)
    assert Bug.objects.get().pk == filed
    assert poll.current_source().watermark == datetime(2026, 5, 1, 12, tzinfo=UTC)


# --- who acted when ---------------------------------------------------------------------------------------------------


def flag(requestee, created_at, set_at=None):
    return values.Flag(5, "needinfo", "?", "sheriff@example.com", requestee, created_at, set_at or created_at)


def told(flags=(), history=(), comments=(), bot="bot@example.com", creator=REQUESTER):
    bug = values.bug(raw_bug(creator=creator))
    object.__setattr__(bug, "flags", tuple(flags))
    roles = events.Roles(frozenset({"duty@example.com"}), bot)
    changes = [
        values.FieldChange("flagtypes.name", removed, added, "sheriff@example.com", at)
        for at, removed, added in history
    ]
    return events.of_bug(bug, comments, changes, roles, restricted=False)


def pauses(*args, **kwargs):
    end = LONG_AGO + 9 * HOUR
    return [
        ((pause.start - LONG_AGO) // HOUR, (pause.end - LONG_AGO) // HOUR)
        for pause in rules.pauses(told(*args, **kwargs), until=end)
    ]


AT = [LONG_AGO + number * HOUR for number in range(9)]
ASKED, ANOTHER = f"needinfo?({REQUESTER})", "needinfo?(manager@example.com)"


@pytest.mark.parametrize(
    ("flags", "history", "expected"),
    [
        # The requestee of one flag was changed: the flag keeps the date of its making.
        ([flag(REQUESTER, AT[1], AT[3])], [(AT[1], "", ANOTHER), (AT[3], ANOTHER, ASKED)], [(3, 9)]),
        ([flag("manager@example.com", AT[1], AT[3])], [(AT[1], "", ASKED), (AT[3], ASKED, ANOTHER)], [(1, 3)]),
        # There and back again, then cleared.
        (
            [],
            [(AT[1], "", ASKED), (AT[2], ASKED, ANOTHER), (AT[4], ANOTHER, ASKED), (AT[5], ASKED, "")],
            [(1, 2), (4, 5)],
        ),
        # Set while filing, which stands in no history; still there, and cleared since.
        ([flag(REQUESTER, AT[0])], [], [(0, 9)]),
        ([], [(AT[2], ASKED, "")], [(0, 2)]),
        # Set and cleared, or cleared and set, within a second: history folds both into one entry.
        ([], [(AT[2], ASKED, ASKED)], []),
        ([flag(REQUESTER, AT[2])], [(AT[1], "", ASKED), (AT[2], ASKED, ASKED)], [(1, 2), (2, 9)]),
        ([], [(AT[2], ASKED, ASKED), (AT[3], "", ASKED), (AT[4], ASKED, "")], [(3, 4)]),
        # The flag type was removed: nobody cleared it, and nothing pauses for ever.
        ([], [(AT[1], "", ASKED)], []),
        # Told newest first.
        ([], [(AT[4], ASKED, ""), (AT[1], "", ASKED)], [(1, 4)]),
        # The account was renamed after the question.
        ([flag(REQUESTER, AT[1])], [(AT[1], "", "needinfo?(developer@old.example.com)")], [(1, 9)]),
    ],
)
def test_the_clock_pauses_exactly_while_a_needinfo_waits_for_the_requester(flags, history, expected):
    assert pauses(flags, history) == expected


def test_nobody_without_a_name_is_the_bot_or_the_requester():
    nameless = values.comment({"id": 9, "is_private": False, "time": "2026-01-05T11:00:00Z"})
    [event] = told(comments=[nameless], bot="", creator="")
    assert event.by_kind == ActorKind.OTHER


@pytest.mark.django_db
def test_what_was_answered_before_it_became_a_loan_request_is_answered(bugzilla, people):
    bug = file(bugzilla, product="Infrastructure & Operations", component="CIDuty")
    bugzilla.world.comment(bug, "duty@example.com", "Which machine?", at=LONG_AGO + HOUR)
    cycle_done()
    assert not LoanerRequest.objects.exists()
    bugzilla.world.update(bug, "duty@example.com", {"component": LOAN["component"]})
    cycle_done()
    assert LoanerRequest.objects.get().answered_at == LONG_AGO + HOUR


@pytest.mark.django_db
def test_a_bug_that_ciduty_filed_for_somebody_waits_for_another_of_ciduty(bugzilla, people):
    bug = file(bugzilla, creator="duty@example.com")
    bugzilla.world.comment(bug, "duty@example.com", "For the developer.", at=LONG_AGO + HOUR)
    cycle_done()
    assert LoanerRequest.objects.get().answered_at is None
    bugzilla.world.comment(bug, "lead@example.com", "Taking it.")
    cycle_done()
    assert LoanerRequest.objects.get().answered_with == "comment"


@pytest.mark.django_db
def test_after_bugzillas_clock_was_put_back_an_answer_is_still_seen(bugzilla, people):
    bugzilla.world.set_clock(lambda: datetime(2031, 5, 1, 12, tzinfo=UTC))
    bug = file(bugzilla)
    bugzilla.world.comment(bug, REQUESTER, "Any news?", at=LONG_AGO + HOUR)
    cycle_done()
    bugzilla.world.set_clock(lambda: datetime(2026, 5, 1, 12, tzinfo=UTC))
    bugzilla.world.comment(bug, "duty@example.com", "Taking it.")
    cycle_done()
    assert LoanerRequest.objects.get().answered_with == "comment"
