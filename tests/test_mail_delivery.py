"""A mail that was written down arrives, or its row says why not; a bad one holds up no other. Over real SMTP."""

import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection

from ciduty import clock
from ciduty.outbox import delivery, post, purposes, rules, smtp_connection
from ciduty.outbox.models import Mail
from ciduty.outbox.purposes import Purpose
from ciduty.outbox.rules import Priority, State
from ciduty.record.models import Entry
from tests.instruments.mail_server import Answer, MailServer

NOTE = "tests: note"
ABOUT = "tests 1"

purposes.register(Purpose(NOTE, "A note"))


@pytest.fixture
def server(settings):
    """A mail server that means well until its script says otherwise."""
    with MailServer() as server:
        settings.EMAIL_URL = server.url
        yield server


def written(key, to="list@example.com", subject="Trees closed", **words):
    words = {"text": "Hello.\n\n-- \nCiDuty\n", "about": ABOUT} | words
    return post.mail(key=key, purpose=NOTE, to=to, subject=subject, **words)


def delivered():
    """Deliver what is due and return how many rows went which way."""
    return dict(delivery.deliver(delivery.MAIL))


def recipients(server):
    return [recipient for taken in server.taken() for recipient in taken.recipients]


# --- one bad row never holds up the others ----------------------------------------------------------------------------

POISON = {
    "CR in the subject": {"subject": "Trees\rclosed"},
    "LF in the subject": {"subject": "Trees\nBcc: everybody@example.com"},
    "NUL in the subject": {"subject": "Trees\0closed"},
    "CR and LF in the address": {"to": "list@example.com\r\nDATA"},
    "NUL in what is answered": {"in_reply_to": "<a\0@example.com>"},
    "a comma in the address": {"to": "list@example.com,other@example.com"},
    "a 3,000-character subject": {"subject": "x" * 3000},
    "a 3,000-character Message-ID": {"in_reply_to": f"<{'x' * 3000}@example.com>"},
    "a lone surrogate in the subject": {"subject": "Trees \ud800"},
    "a lone surrogate in the text": {"text": "Trees \udfff"},
    "a lone surrogate in the address": {"to": "list\ud800@example.com"},
    "a lone surrogate in what is answered": {"in_reply_to": "<a\ud800@example.com>"},
    "no text": {"text": ""},
}


@pytest.mark.django_db
def test_a_poisoned_mail_alone_is_parked_with_one_clear_line_and_the_other_99_leave(server):
    for number in range(99):
        written(f"good {number}", to=f"list{number}@example.com")
    poisoned = written("poisoned", **POISON["LF in the subject"])
    assert delivered() == {"sent": 99}
    assert sorted(recipients(server)) == sorted(f"list{number}@example.com" for number in range(99))
    assert Mail.objects.filter(state=State.ACCEPTED).count() == 99
    poisoned.refresh_from_db()
    assert poisoned.state == State.FAILED
    assert poisoned.last_words == (
        "The subject holds a line break, which no mail may carry there. Remove it and send the mail anew."
    )
    assert server.connections == 1


@pytest.mark.django_db
@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_each_poison_is_parked_by_itself_and_says_why(server, poison):
    before, poisoned, after = written("before"), written("poisoned", **poison), written("after")
    assert delivered() == {"sent": 2}
    assert [taken.message_id for taken in server.taken()] == [before.message_id, after.message_id]
    poisoned.refresh_from_db()  # as the database holds it
    assert (poisoned.state, poisoned.attempts, bytes(poisoned.message)) == (State.FAILED, 0, b"")
    assert poisoned.last_words.isprintable()
    assert 20 < len(poisoned.last_words) < 400
    assert poisoned in Mail.objects.parked()


# --- what the server says -------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_one_of_two_recipients_refused_leaves_the_other_accepted_and_this_one_failed_and_visible(server):
    server.script.on("RCPT", Answer(550, "5.1.1 no such list"), to="gone@example.com", always=True)
    gone, list_ = written("gone", to="gone@example.com"), written("list")
    assert delivered() == {"sent": 1, "parked": 1}
    for row in (gone, list_):
        row.refresh_from_db()
    assert (gone.state, gone.last_code, gone.accepted_at) == (State.FAILED, 550, None)
    assert gone.last_words == "The mail server refused it at RCPT: 550 5.1.1 no such list"
    assert list(Mail.objects.parked()) == [gone]
    assert Entry.objects.filter(about=ABOUT, verb="mail failed").count() == 1
    assert (list_.state, list_.last_code) == (State.ACCEPTED, 250)
    assert list_.accepted_at is not None
    clock.move(timedelta(hours=1))
    assert delivered() == {}  # nothing goes on by itself
    assert recipients(server) == ["list@example.com"]


@pytest.mark.django_db
def test_a_greylisted_recipient_alone_is_tried_again(server):
    server.script.on("RCPT", 451, to="grey@example.com")
    grey, list_ = written("grey", to="grey@example.com"), written("list")
    assert delivered() == {"sent": 1, "retried": 1}
    grey.refresh_from_db()
    assert (grey.state, grey.last_code, grey.tries) == (State.RETRY, 451, 1)
    assert delivered() == {}  # not before its minute is over
    clock.move(timedelta(minutes=1, seconds=1))
    assert delivered() == {"sent": 1}
    assert recipients(server) == ["list@example.com", "grey@example.com"]
    grey.refresh_from_db()
    list_.refresh_from_db()
    assert (grey.state, grey.attempts, list_.attempts) == (State.ACCEPTED, 2, 1)


@pytest.mark.django_db
def test_a_refusal_of_the_text_is_final(server):
    server.script.on("END", Answer(554, "5.7.1 looks like spam"))
    row = written("spam")
    assert delivered() == {"parked": 1}
    row.refresh_from_db()
    assert (row.state, row.last_code) == (State.FAILED, 554)
    assert "spam" in row.last_words


@pytest.mark.django_db
def test_after_a_drop_behind_the_text_the_same_bytes_with_the_same_message_id_go_again(server):
    server.script.drop_after_data()
    row, other = written("announcement"), written("other", to="other@example.com")
    assert delivered() == {"retried": 1, "sent": 1}
    row.refresh_from_db()
    other.refresh_from_db()
    assert (row.state, other.state) == (State.UNKNOWN, State.ACCEPTED)
    assert row.last_words.startswith("The server had the mail and did not say whether it took it: ")
    assert row.accepted_at is None
    clock.move(timedelta(minutes=1, seconds=1))
    assert delivered() == {"sent": 1}
    first, _, second = server.taken()
    assert (first.told, second.told) == (False, True)
    assert first.message_id == second.message_id == row.message_id
    assert first.message == second.message == bytes(row.message)
    row.refresh_from_db()
    assert row.state == State.ACCEPTED


@pytest.mark.django_db
def test_a_server_that_is_out_is_asked_once_and_every_mail_waits_for_it(server):
    server.script.greeting = 554
    rows = [written(f"mail {number}") for number in range(5)]
    assert delivered() == {"retried": 1}
    assert server.connections == 1
    server.script.greeting = 220
    clock.move(timedelta(minutes=1, seconds=1))
    assert delivered() == {"sent": 5}
    assert set(Mail.objects.values_list("state", flat=True)) == {State.ACCEPTED}
    assert len(server.taken()) == len(rows)


@pytest.mark.django_db
def test_a_refused_login_parks_nothing(server, settings):
    server.script.auth = ("ciduty", "right")
    settings.EMAIL_URL = server.url_of("ciduty", "wrong-password")
    row = written("mail")
    assert delivered() == {"retried": 1}
    row.refresh_from_db()
    assert (row.state, row.last_code) == (State.RETRY, 535)
    assert "wrong-password" not in row.last_words
    settings.EMAIL_URL = server.url_of("ciduty", "right")
    clock.move(timedelta(minutes=1, seconds=1))
    assert delivered() == {"sent": 1}


@pytest.mark.django_db
def test_bytes_that_somebody_changed_in_the_database_are_not_sent(server):
    row = written("mail")
    Mail.objects.filter(pk=row.pk).update(message=bytes(row.message).replace(b"Hello", b"Hullo"))
    assert delivered() == {"parked": 1}
    assert server.said == []


@pytest.mark.django_db
def test_a_second_mail_of_one_announcement_joins_the_first_and_has_its_own_message_id(server):
    first = written("v1")
    second = written("v2", in_reply_to=first.message_id)
    delivered()
    one, other = server.taken()
    assert one.message_id != other.message_id
    assert f"\r\nIn-Reply-To: {first.message_id}\r\n".encode() in other.message
    assert second.in_reply_to == one.message_id


# --- a slow server ----------------------------------------------------------------------------------------------------


@contextmanager
def a_sender_at_work():
    """Deliver in a thread, as a worker does, and give what it counted once it is through."""
    tally = {}

    def work():
        try:
            tally.update(delivery.deliver(delivery.MAIL))
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield tally
    finally:
        thread.join(20)
        assert not thread.is_alive()


def wait_for(question, seconds=10):
    until = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)


@pytest.fixture
def quick(monkeypatch):
    """A lease of one second instead of sixty, and servers that are waited for in the same measure."""
    monkeypatch.setattr(rules, "LEASE", timedelta(seconds=1))
    monkeypatch.setattr(smtp_connection, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(smtp_connection, "TEXT_WITHIN", 6.0)


@pytest.mark.django_db(transaction=True)
def test_while_a_slow_server_thinks_the_lease_is_renewed_and_nobody_else_sends_the_mail(server, quick):
    server.script.late_reply(3)  # three leases
    row = written("slow")
    leases = set()
    with a_sender_at_work() as tally:
        wait_for(lambda: "DATA" in server.said)
        while not tally:
            lease = Mail.objects.values_list("lease_until", flat=True).get(pk=row.pk)
            leases.add(lease)
            assert delivery.claim(Mail) == (None, "")  # the second worker
            time.sleep(0.1)
    assert tally == {"sent": 1}
    leases.discard(None)
    assert len(leases) >= 5
    assert max(leases) - min(leases) > timedelta(seconds=1.5)
    row.refresh_from_db()
    assert (row.state, row.attempts, row.deaths) == (State.ACCEPTED, 1, 0)
    assert len(server.taken()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_sender_that_lost_its_row_lets_go_and_writes_nothing_down(server, quick):
    server.script.late_reply(30)
    row = written("slow")
    with a_sender_at_work() as tally:
        wait_for(lambda: "DATA" in server.said)
        # As if this sender had stood still for a minute, and another had taken the row over.
        taken_over = {"fence": 99, "lease_until": clock.now() + timedelta(hours=1), "last_words": "The other's."}
        Mail.objects.filter(pk=row.pk).update(**taken_over)
    assert tally == {}
    row.refresh_from_db()
    assert (row.state, row.fence, row.last_words) == (State.SENDING, 99, "The other's.")


@pytest.mark.django_db(transaction=True)
def test_an_approval_passes_bulk_mail_that_a_slow_server_holds_up(server, quick):
    server.script.late_reply(2, times=1, to="bulk@example.com")
    written("bulk", to="bulk@example.com", priority=Priority.BULK)
    with a_sender_at_work() as tally:
        wait_for(lambda: "DATA" in server.said)
        written("approval", to="approver@example.com", priority=Priority.URGENT)
        assert delivery.deliver(delivery.MAIL, only_urgent=True) == {"sent": 1}
        assert tally == {}  # the bulk mail still waits
    assert tally == {"sent": 1}
    told = {taken.recipients: taken.told for taken in server.taken()}
    assert told == {("bulk@example.com",): True, ("approver@example.com",): True}
