"""What comes in by mail: a genuine bounce fails its row, a reply joins its mail and decides nothing; none is lost."""

import hashlib
import os
import random
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from django.db import connection, connections
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ciduty import bell, clock
from ciduty.outbox import composing, delivery, incoming, purposes, receiving
from ciduty.outbox.models import Incoming, IncomingKind, Mail
from ciduty.outbox.purposes import Purpose
from ciduty.outbox.rules import State
from ciduty.record.models import Actor, Entry

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent
SENT_TO = "developer@example.com"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    """Which tasks were sent for; and no bounce waits long for a sender that does not exist."""
    heard = []
    monkeypatch.setattr(bell, "ring", lambda task, queue: heard.append((task, queue)))
    monkeypatch.setattr(receiving, "SETTLES_WITHIN", 0.1)
    return heard


def mail(state=State.ACCEPTED, accepted=HOUR, **fields):
    """Return a mail that a server accepted so long ago."""
    at = clock.now()
    number = Mail.objects.count() + 1
    fields = {
        "key": f"mail {number}", "purpose": "tests: note", "about": "loaner 1400123", "state": state,
        "created_at": at, "due_since": at, "next_try_at": at, "accepted_at": at - accepted, "recipient": SENT_TO,
        "subject": "A note", "message": b"as it was sent", "message_id": f"<note-{number}@example.com>",
    } | fields  # fmt: skip
    return Mail.objects.create(**fields)


def message(*headers, body="See above."):
    return ("\r\n".join(headers) + "\r\n\r\n" + body.replace("\n", "\r\n")).encode()


def back_to(row):
    return composing.return_path(row.pk)


# --- how three mail servers report ------------------------------------------------------------------------------------


def report(to, parts, *, subject="Undelivered", sender="MAILER-DAEMON@mail.example.com", extra=()):
    """A multipart/report as RFC 6522 has it; `parts` are (type, body)."""
    body = "".join(f"--frontier\nContent-Type: {kind}\n\n{text}\n\n" for kind, text in parts) + "--frontier--\n"
    return message(
        "Return-Path: <>",
        f"Delivered-To: {to}",
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        "Auto-Submitted: auto-replied",
        'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="frontier"',
        *extra,
        body=body,
    )


def like_postfix(to, *, action="failed", status="5.1.1", said="550 5.1.1 no such mailbox here", subject="Undelivered"):
    words = "I am the mail system of mail.example.com. Your message did not get through.\n\n<developer@example.com>"
    fields = (
        "Reporting-MTA: dns; mail.example.com\nX-Postfix-Queue-ID: 4XyZ\n"
        "Arrival-Date: Tue, 3 Mar 2026 09:00:00 +0000\n\n"
        f"Final-Recipient: rfc822; developer@example.com\nOriginal-Recipient: rfc822;developer@example.com\n"
        f"Action: {action}\nStatus: {status}\nRemote-MTA: dns; mx.example.com\nDiagnostic-Code: smtp; {said}"
    )
    enclosed = "From: ciduty@example.com\nMessage-ID: <note-1@example.com>\nSubject: A note"
    parts = [("text/plain", words), ("message/delivery-status", fields), ("text/rfc822-headers", enclosed)]
    return report(to, parts, subject=subject, sender="MAILER-DAEMON@mail.example.com (Mail system)")


def like_exim(to):
    words = (
        "A message that you sent has failed.\n\n  developer@example.com\n    host mx.example.com: 550 mailbox is gone"
    )
    fields = (
        "Reporting-MTA: dns; mail.example.com\n\nAction: failed\nFinal-Recipient: rfc822;developer@example.com\n"
        "Status: 5.0.0\nRemote-MTA: dns; mx.example.com\nDiagnostic-Code: smtp; 550-mailbox\n 550 is gone"
    )
    enclosed = "From: ciduty@example.com\nMessage-ID: <note-1@example.com>\n\nSomething happened."
    parts = [("text/plain", words), ("message/delivery-status", fields), ("message/rfc822", enclosed)]
    return report(
        to,
        parts,
        sender="Mail system <Mailer-Daemon@mail.example.com>",
        extra=["X-Failed-Recipients: developer@example.com"],
    )


def like_exchange(to):
    inner = (
        "multipart/alternative; boundary=inside",
        "--inside\nContent-Type: text/plain; charset=us-ascii\n\nYour message was not delivered.\n"
        "--inside\nContent-Type: text/html\n\n<p>Your message was not <b>delivered</b>.</p>\n--inside--",
    )
    fields = (
        "Reporting-MTA: dns;mail.example.com\nReceived-From-MTA: dns;relay.example.com\n\n"
        "Final-recipient: RFC822;developer@example.com\nAction: Failed\nStatus: 5.1.10\n"
        "Diagnostic-code: smtp;550 5.1.10 RESOLVER; no such recipient\nX-Display-Name: developer"
    )
    enclosed = "From: ciduty@example.com\nMessage-ID: <note-1@example.com>\n\nSomething happened."
    parts = [inner, ("message/delivery-status", fields), ("message/rfc822", enclosed)]
    return report(to, parts, subject="Undeliverable: A note", sender="Mail <postmaster@example.com>")


def in_plain_words(
    to, *, sender="MAILER-DAEMON@mail.example.com", subject="failure notice", extra=("Return-Path: <>",)
):
    body = "Hi. I could not deliver your message.\n\n<developer@example.com>:\nRemote host said: 550 5.7.1 go away\n"
    return message(*extra, f"To: {to}", f"From: {sender}", f"Subject: {subject}", body=body)


FAILURES = {
    "postfix": (like_postfix, "550 5.1.1 no such mailbox here", 550),
    "exim": (like_exim, "550-mailbox 550 is gone (status 5.0.0)", 550),
    "exchange": (like_exchange, "550 5.1.10 RESOLVER; no such recipient", 550),
    "plain words": (in_plain_words, "Remote host said: 550 5.7.1 go away", 550),
}


# --- bounces ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", FAILURES)
def test_a_bounce_to_a_genuine_return_path_fails_its_row_and_says_why(server, rung, django_capture_on_commit_callbacks):
    reported, words, code = FAILURES[server]
    row = mail()
    with django_capture_on_commit_callbacks(execute=True):
        taken = receiving.take(reported(back_to(row)))
    row.refresh_from_db()
    assert (taken.kind, taken.row.mail, row.state) == (IncomingKind.BOUNCE, row, State.FAILED)
    assert (row.last_words, row.last_code, row.hook_owed) == (f"It came back: {words}", code, True)
    assert taken.sentence == f"Mail {row.pk} came back: it is failed now. Kept as {taken.row}."
    assert rung == [("ciduty.outbox.tasks.deliver_mail", "mail")]
    assert "550" in taken.row.text or server in ("postfix", "exchange")
    entry = Entry.objects.get(about="loaner 1400123")
    assert (entry.verb, entry.actor, entry.caused) == ("bounce", Actor.OUTSIDE, [str(taken.row)])
    assert (entry.before, entry.after) == ({"state": "accepted"}, {"state": "failed"})
    assert entry.sentence == f"Mail {row.pk} came back ({purposes.label_of(row)})"


def test_the_purpose_of_a_mail_that_came_back_is_told(monkeypatch):
    heard = []
    monkeypatch.setattr(purposes, "_registry", {})
    purposes.register(Purpose("tests: note", "A note", happened=lambda row: heard.append((row.pk, row.state))))
    row = mail()
    receiving.take(like_postfix(back_to(row)))
    assert delivery.tell_purposes(Mail) == 1
    assert heard == [(row.pk, State.FAILED)]


def test_a_second_bounce_of_the_same_row_changes_nothing_more():
    row = mail()
    receiving.take(like_postfix(back_to(row)))
    second = receiving.take(like_exchange(back_to(row)))
    row.refresh_from_db()
    assert second.sentence == f"A bounce of {row}, but that is failed: kept as {second.row}, nothing else was done."
    assert "no such mailbox" in row.last_words
    assert (Incoming.objects.count(), Entry.objects.count()) == (2, 1)


def test_the_same_message_again_is_no_news_even_when_the_pipe_dates_it_anew():
    row = mail()
    came = like_postfix(back_to(row))
    first = receiving.take(b"From MAILER-DAEMON  Tue Mar  3 09:00:00 2026\n" + came)
    again = receiving.take(b"From MAILER-DAEMON  Tue Mar  3 09:05:00 2026\n" + came)
    assert again == receiving.Taken(first.kind, first.row, f"This mail came before, as {first.row}: nothing was done.")
    assert first.row.sha256 == hashlib.sha256(came).hexdigest()
    assert (Incoming.objects.count(), Entry.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.replace("+b-", "+b-1"),
        lambda path: path[: path.index("@") - 1] + ("0" if path[path.index("@") - 1] != "0" else "1") + "@example.com",
        lambda path: path.partition("+")[0] + "@example.com",
        lambda path: "somebody@example.com",
    ],
)
@pytest.mark.parametrize("server", FAILURES)
def test_a_forged_or_foreign_return_path_changes_no_row(server, spoil):
    row = mail()
    before = Mail.objects.values().get(pk=row.pk)
    taken = receiving.take(FAILURES[server][0](spoil(back_to(row))))
    assert (taken.kind, Mail.objects.values().get(pk=row.pk)) == (IncomingKind.OTHER, before)
    assert taken.row.subject
    assert Entry.objects.count() == 0


def test_a_return_path_of_a_row_that_is_gone_changes_nothing():
    row = mail()
    path = back_to(row)
    row.delete()
    assert receiving.take(like_postfix(path)).kind == IncomingKind.OTHER


def test_a_return_path_is_believed_however_a_server_writes_it():
    row = mail()
    assert receiving.take(like_postfix(f"<{back_to(row).upper()}>")).kind == IncomingKind.BOUNCE


def test_the_envelope_counts_and_not_what_the_mail_says_where_the_server_tells_it():
    told, written = mail(), mail()
    taken = receiving.take(like_postfix(back_to(written)), back_to(told))
    assert taken.row.mail == told
    assert receiving.take(like_exim(back_to(written)), "ciduty@example.com").kind == IncomingKind.OTHER
    written.refresh_from_db()
    assert written.state == State.ACCEPTED


@pytest.mark.parametrize("header", ["Delivered-To", "X-Original-To", "Envelope-To", "To"])
def test_where_it_came_to_is_read_from_the_header_that_the_server_writes(header):
    row, other = mail(), mail()
    headers = ["Delivered-To", "X-Original-To", "Envelope-To", "To"]
    later = headers[headers.index(header) + 1 :]
    came = message(
        *(f"{name}: {back_to(other)}" for name in reversed(later)),
        f"{header}: {back_to(row)}",
        "From: MAILER-DAEMON@mail.example.com",
    )
    assert receiving.take(came).row.mail == row


@pytest.mark.parametrize(
    ("accepted", "fails"),
    [(timedelta(days=7) - timedelta(minutes=1), True), (timedelta(days=7) + timedelta(minutes=1), False)],
)
def test_a_bounce_counts_for_seven_days(accepted, fails):
    row = mail(accepted=accepted)
    taken = receiving.take(like_postfix(back_to(row)))
    row.refresh_from_db()
    assert (taken.kind, row.state) == (IncomingKind.BOUNCE, State.FAILED if fails else State.ACCEPTED)
    assert ("more than 7 days ago" in taken.sentence) is not fails
    assert Entry.objects.count() == (1 if fails else 0)


@pytest.mark.parametrize("state", [state for state in State if state != State.ACCEPTED])
def test_a_bounce_of_a_row_that_is_not_accepted_is_kept_and_changes_nothing(state):
    row = mail(state=state)
    before = Mail.objects.values().get(pk=row.pk)
    taken = receiving.take(like_postfix(back_to(row)))
    assert (taken.kind, taken.row.mail) == (IncomingKind.BOUNCE, row)
    assert f"but that is {state.label.lower()}: kept" in taken.sentence
    assert Mail.objects.values().get(pk=row.pk) == before
    assert Entry.objects.count() == 0


def test_a_bounce_of_what_was_done_by_hand_changes_nothing():
    row = mail(accepted_at=None)
    assert "no mail server had accepted that" in receiving.take(like_postfix(back_to(row))).sentence
    row.refresh_from_db()
    assert row.state == State.ACCEPTED


@pytest.mark.django_db(transaction=True)
def test_a_bounce_that_is_faster_than_its_sender_waits_for_it(monkeypatch):
    monkeypatch.setattr(receiving, "SETTLES_WITHIN", 5)
    row = mail(state=State.SENDING)
    sender = threading.Timer(0.6, accept, [row.pk])
    sender.start()
    receiving.take(like_postfix(back_to(row)))
    sender.join()
    row.refresh_from_db()
    assert row.state == State.FAILED


def accept(pk):
    try:
        Mail.objects.filter(pk=pk).update(state=State.ACCEPTED)
    finally:
        connections.close_all()


@pytest.mark.parametrize("action", ["delayed", "relayed", "delivered", "expanded", "Delayed (for now)"])
def test_a_report_that_is_no_failure_is_kept_and_changes_nothing(action):
    row = mail()
    taken = receiving.take(like_postfix(back_to(row), action=action, status="4.4.1", said="451 4.4.1 later"))
    row.refresh_from_db()
    assert (taken.kind, taken.row.mail, row.state) == (IncomingKind.DELAY, row, State.ACCEPTED)
    assert (Entry.objects.count(), row.hook_owed) == (0, False)


def test_a_warning_in_plain_words_is_no_failure():
    row = mail()
    for subject in ("Warning: message 1abc delayed 24 hours", "Mail delivery delayed", "WARNING: could not send yet"):
        assert receiving.take(in_plain_words(back_to(row), subject=subject)).kind == IncomingKind.DELAY
    row.refresh_from_db()
    assert row.state == State.ACCEPTED


def test_a_server_that_gave_up_after_temporary_failures_has_given_up():
    row = mail()
    receiving.take(like_postfix(back_to(row), status="4.4.7", said="451 4.4.7 tried for five days"))
    row.refresh_from_db()
    assert (row.state, row.last_code) == (State.FAILED, 451)


def test_one_failed_recipient_of_several_is_a_failure():
    row = mail()
    fields = "Reporting-MTA: dns; x\n\nAction: delivered\nStatus: 2.0.0\n\nAction: failed\nStatus: 5.2.2"
    assert receiving.take(report(back_to(row), [("message/delivery-status", fields)])).kind == IncomingKind.BOUNCE
    row.refresh_from_db()
    assert (row.state, row.last_words, row.last_code) == (State.FAILED, "It came back: status 5.2.2", None)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ("Reporting-MTA: dns; x\n\nStatus: 5.1.1", IncomingKind.BOUNCE),
        ("Reporting-MTA: dns; x\n\nStatus: 4.1.1", IncomingKind.DELAY),
        ("Reporting-MTA: dns; x\n\nStatus: 2.1.1", IncomingKind.DELAY),
        ("nothing of the kind", IncomingKind.BOUNCE),
        ("", IncomingKind.BOUNCE),
    ],
)
def test_a_report_without_an_action_is_read_by_its_status_and_else_fails(fields, kind):
    row = mail()
    assert receiving.take(report(back_to(row), [("message/delivery-status", fields)])).kind == kind


def test_a_bounce_without_structure_needs_only_the_empty_return_path():
    row = mail()
    assert receiving.take(in_plain_words(back_to(row), sender="robot@example.com")).kind == IncomingKind.BOUNCE
    other = mail()
    taken = receiving.take(in_plain_words(back_to(other), sender="robot@example.com", extra=()))
    assert (taken.kind, taken.row.mail) == (IncomingKind.OTHER, None)


# --- machines that answer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        ["Auto-Submitted: auto-replied"],
        ["Auto-Submitted: Auto-Generated; owner=x"],
        ["X-Autoreply: yes"],
        ["X-Autorespond: yes"],
        ["Precedence: bulk"],
        ["Precedence: auto_reply"],
        ["Subject: Out of Office: A note"],
        ["Subject: Automatic reply: A note"],
        ['Content-Type: multipart/report; report-type=disposition-notification; boundary="x"'],
    ],
)
@pytest.mark.parametrize("return_path", ["<>", "<developer@example.com>"])
def test_an_automatic_reply_is_kept_and_changes_nothing(headers, return_path):
    row = mail()
    came = message(
        f"Return-Path: {return_path}", f"To: {back_to(row)}", "From: developer@example.com",
        f"In-Reply-To: {row.message_id}", *headers,
    )  # fmt: skip
    taken = receiving.take(came)
    row.refresh_from_db()
    assert (taken.kind, taken.row.mail, row.state) == (IncomingKind.AUTO_REPLY, row, State.ACCEPTED)
    assert Entry.objects.count() == 0


def test_the_recipients_own_server_answers_and_reports_no_failure():
    row = mail()
    came = message(
        "Return-Path: <>", f"To: {back_to(row)}", f"From: Developer <{SENT_TO.upper()}>", "Subject: I am away"
    )
    assert receiving.take(came).kind == IncomingKind.AUTO_REPLY
    row.refresh_from_db()
    assert row.state == State.ACCEPTED


def test_auto_submitted_no_is_written_by_a_person():
    row = mail()
    came = message("Auto-Submitted: no", f"In-Reply-To: {row.message_id}", "From: developer@example.com")
    assert receiving.take(came).kind == IncomingKind.REPLY


def test_our_own_mail_that_comes_back_to_us_begins_no_loop(settings):
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    composed = composing.compose(
        to="ciduty@example.com", subject="A note", text="Something happened.", in_reply_to=mail().message_id,
        message_id=composing.new_message_id(), at=clock.now(),
    )  # fmt: skip
    mails = Mail.objects.count()
    assert receiving.take(composed.message).kind == IncomingKind.AUTO_REPLY
    assert Mail.objects.count() == mails


# --- replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "In-Reply-To: {}",
        "In-Reply-To: Your message of Tuesday {}",
        "References: <elsewhere-1@example.com>\r\n\t{}\r\n <elsewhere-2@example.com>",
    ],
)
def test_a_reply_joins_the_mail_that_it_answers(header):
    row = mail()
    came = message(
        "From: Developer <developer@example.com>", "Subject: =?utf-8?q?Re=3A_A_n=C3=B6te?=",
        "Message-ID: <mine@example.com>", header.format(row.message_id), body="I approve!\n\n> Something happened.",
    )  # fmt: skip
    taken = receiving.take(came)
    kept = Incoming.objects.get()
    assert (taken.kind, taken.row, kept.mail) == (IncomingKind.REPLY, kept, row)
    assert (kept.sender, kept.subject, kept.message_id) == ("developer@example.com", "Re: A nöte", "<mine@example.com>")
    assert kept.text == "I approve!\n\n> Something happened."
    entry = Entry.objects.get()
    assert (entry.about, entry.verb, entry.sentence) == ("loaner 1400123", "reply", f"A reply to mail {row.pk} came in")
    assert (entry.actor, entry.caused) == (Actor.OUTSIDE, [str(kept)])


def test_a_reply_decides_nothing():
    row = mail()
    before = Mail.objects.values().get(pk=row.pk)
    receiving.take(
        message(f"In-Reply-To: {row.message_id}", "From: lead@example.com", body="I approve. 550 5.1.1 failed")
    )
    assert Mail.objects.values().get(pk=row.pk) == before
    assert "approve" not in str(list(Entry.objects.values()))


def test_the_newest_reference_is_the_one_that_is_answered_and_in_reply_to_before_all():
    first, second = mail(), mail()
    thread = f"References: {first.message_id} {second.message_id}"
    assert receiving.take(message(thread)).row.mail == second
    assert receiving.take(message(thread, f"In-Reply-To: {first.message_id}")).row.mail == first


def test_of_ten_thousand_references_the_last_fifty_are_looked_at():
    row = mail()
    many = [f"<elsewhere-{number}@example.com>" for number in range(10_000)]
    assert receiving.take(message("References: " + " ".join([*many, row.message_id]))).row.mail == row
    assert receiving.take(message("References: " + " ".join([row.message_id, *many[:50]]))).row.mail is None
    assert receiving.take(message("References: " + " ".join([row.message_id, *many[:49]]))).row.mail == row


def test_a_message_id_is_compared_exactly():
    row = mail()
    for wrong in (row.message_id.upper(), row.message_id[1:-1], row.message_id.replace("@", "%@"), "<%>"):
        assert receiving.take(message(f"In-Reply-To: {wrong}")).kind == IncomingKind.OTHER


def test_a_reply_to_a_mail_whose_words_were_erased_keeps_no_words():
    row = mail(erased_at=clock.now(), message=b"")
    came = message(
        f"In-Reply-To: {row.message_id}", "From: developer@example.com", "Subject: Re: CANARY", body="> CANARY"
    )
    kept = receiving.take(came).row
    assert (kept.kind, kept.mail, kept.sender, kept.subject, kept.text) == (IncomingKind.REPLY, row, "", "", "")
    assert kept.erased_at == kept.received_at


def test_a_bounce_of_a_mail_whose_words_were_erased_fails_it_without_the_servers_words():
    row = mail(erased_at=clock.now(), message=b"", last_words="")
    kept = receiving.take(like_postfix(back_to(row), said="550 5.1.1 CANARY was refused")).row
    row.refresh_from_db()
    assert (row.state, row.last_words, row.last_code, kept.text) == (State.FAILED, "", 550, "")


def test_a_bounce_that_is_not_believed_is_joined_to_what_it_quotes_so_that_both_are_erased():
    row = mail()
    taken = receiving.take(like_exchange("ciduty@example.com"))
    assert (taken.kind, taken.row.mail, row.message_id) == (IncomingKind.OTHER, row, "<note-1@example.com>")


# --- whatever else comes ----------------------------------------------------------------------------------------------


def test_other_mail_is_kept_for_a_person_to_see():
    taken = receiving.take(message("From: somebody@example.com", "Subject: Are you there?", body="Hello?"))
    kept = Incoming.objects.get()
    assert (taken.kind, kept.mail) == (IncomingKind.OTHER, None)
    assert (kept.sender, kept.subject, kept.text) == ("somebody@example.com", "Are you there?", "Hello?")
    assert taken.sentence == f"Other mail: kept as {kept}, nothing else was done."


def test_words_are_stored_cleaned_and_cut_to_what_a_column_takes():
    came = message(
        "From: " + "x" * 5000 + "@example.com", "Subject: \x00one\x07 \u202etwo " + "y" * 5000,
        "Message-ID: <" + "z" * 5000, body="\x00" + "w" * 200_000,
    )  # fmt: skip
    kept = receiving.take(came).row
    kept.refresh_from_db()
    assert (len(kept.sender), len(kept.subject), len(kept.message_id), len(kept.text)) == (320, 200, 300, 65536)
    assert "\x00" not in kept.subject + kept.text
    assert kept.subject.startswith("\ufffdone\ufffd [U+202E]two")


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", b"caf\xe9", "café"),
        ("text/plain; charset=klingon", b"caf\xc3\xa9", "café"),
        ("text/plain; charset=ascii", b"caf\xc3\xa9", "caf\ufffd\ufffd"),
        ("text/plain; charset=punycode", b"abc-def", "abc-def"),
        ("text/plain; charset=rot13", b"uryyb", "uryyb"),
        ("text/html", b"<head><b>no</b></head><p>One<br>two &amp; three</p><script>no()</script>", "One\ntwo & three"),
        ("text/html", b"<p>bell\x07", "bell\ufffd"),
        ("multipart/mixed", b"no boundary at all", "no boundary at all"),
        ('multipart/mixed; boundary="x"', b"--x\n\n--x\nContent-Type: text/plain\n\nsecond", "second"),
        ('multipart/mixed; boundary="x"', b"--x\nContent-Disposition: attachment\n\nno\n--x\n\nyes\n--x--", "yes"),
        ("application/pdf", b"%PDF", ""),
    ],
)  # fmt: skip
def test_the_words_are_found_in_whatever_they_were_written(kind, body, text):
    assert receiving.take(b"Content-Type: " + kind.encode() + b"\n\n" + body).row.text == text


def test_more_than_a_mebibyte_is_cut_and_no_error():
    row = mail()
    came = like_postfix(back_to(row)) + b"x" * (3 * receiving.MOST_OF_A_MAIL)
    taken = receiving.take(came)
    assert (taken.kind, Incoming.objects.get().sha256) == (
        IncomingKind.BOUNCE,
        hashlib.sha256(came[: receiving.MOST_OF_A_MAIL]).hexdigest(),
    )


M = 1024 * 1024
#: Each kept the parser busy for long, or made it fail, somewhere between the header and the last part.
HOSTILE = {
    "nothing": b"",
    "only NUL": b"\0" * 5000,
    "only line ends": b"\r\n" * 5000,
    "one line": b"x" * M,
    "only colons": b":\n" * 20_000,
    "ten thousand headers": b"".join(b"X-%d: y\n" % number for number in range(10_000)) + b"\nbody",
    "ten thousand recipients": b"To: developer@example.com\n" * 10_000 + b"\n",
    "a header of 1 MiB": b"Content-Type: text/plain" + b";" * M,
    "half a quoted parameter": b'Content-Type: text/plain; a="' + b'\\"' * 10_000,
    "half an encoded word": b"Subject: " + b"=?utf-8?b?A?=" * 10_000 + b"=?x?q?",
    "nested comments": b"From: " + b"(" * 100_000 + b"\n\n",
    "broken addresses": b'To: <<@@,,;:"\\ a.\xff\n\n',
    "8-bit headers": "Subject: \ud800 é\nFrom: é@é\n\n\ud800".encode("utf-8", "surrogatepass"),
    "a lone surrogate, encoded": b"Subject: =?utf-8?q?=ED=A0=80?=\n\n=ED=A0=80",
    "nested multiparts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(990)
    ),
    "nested messages": b"Content-Type: message/rfc822\n\n" * 5000,
    "many parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n" * 100_000,
    "a report of nothing": b"Content-Type: multipart/report; report-type=delivery-status\n\n",
    "a report of many": b"Content-Type: message/delivery-status\n\n" + b"Action: failed\n\n" * 2000,
    "broken base64": b"Content-Transfer-Encoding: base64\n\n" + b"A" * 1001,
    "broken uuencode": b"Content-Transfer-Encoding: x-uuencode\n\nbegin\n\xff",
    "a broken charset": b"Content-Type: text/plain; charset*=bogus'en'%ff\n\nx",
    "a charset with NUL": b'Content-Type: text/plain; charset="a\0b"\n\nx',
    "broken markup": b"Content-Type: text/html\n\n"
    + b"<" * 50_000
    + b"<script>" * 5000
    + b"&#x0;&#xD800;&#99999999999;",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_mail_is_so_broken_that_it_is_not_kept(name):
    taken = receiving.take(HOSTILE[name], "developer@example.com")
    kept = Incoming.objects.get()
    assert (taken.row, kept.kind, kept.mail) == (kept, IncomingKind.OTHER, None)


def test_what_cannot_be_parsed_at_all_is_kept_with_a_line(monkeypatch):
    monkeypatch.setattr(incoming, "_read", lambda parsed: [][1])
    kept = receiving.take(b"Subject: x\n\n").row
    assert (kept.kind, kept.subject, kept.text) == ("other", "(unreadable)", incoming.UNREADABLE.text)


def test_of_what_is_nested_too_deeply_the_headers_are_read():
    row = mail()
    came = b"From: MAILER-DAEMON@mail.example.com\nTo: " + back_to(row).encode() + b"\n" + HOSTILE["nested multiparts"]
    assert receiving.take(came).kind == IncomingKind.BOUNCE


PIECES = st.sampled_from(
    [
        b"\n", b"\r\n", b"\r", b"\0", b"\xff", b" ", b"\t", b";", b"--x", b"--x--", b"=?utf-8?b?", b"?=",
        b'"', b"<", b">", b"@", b"From: ",
        b"To: ", b"Subject: ", b"Return-Path: <>", b"References: ", b"In-Reply-To: <a@b>", b"Action: failed",
        b"Status: 5.1.1", b"Diagnostic-Code: smtp; 550", b"Auto-Submitted: x", b"MAILER-DAEMON@x", b"boundary=x",
        b"charset=", b"QUJD=",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=x", b"Content-Type: message/rfc822",
        b"Content-Type: message/delivery-status", b"Content-Type: text/html", b"Content-Transfer-Encoding: base64",
        b"Content-Disposition: attachment; filename*0*=x", b"Content-Type: text/rfc822-headers", b"\xed\xa0\x80",
    ]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=60).map(b"".join), st.text(max_size=60))
@hypothesis_settings(
    max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_that_stands_in_a_mail_makes_taking_it_fail(db, came, recipient):
    taken = receiving.take(came, recipient)
    assert Incoming.objects.filter(pk=taken.row.pk, mail=None).exists()


def test_a_report_with_any_octets_spoilt_is_still_taken():
    row = mail()
    dice = random.Random(20260303)
    whole = like_exim(back_to(row))
    for _ in range(200):
        spoilt = bytearray(whole)
        for _ in range(dice.randrange(1, 12)):
            spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
        assert receiving.take(bytes(spoilt[: dice.randrange(len(spoilt))])).row.pk


# --- two at once ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("copies", ["the same mail", "two reports of one failure"])
def test_what_comes_twice_at_once_fails_its_row_once(copies):
    for _ in range(5):
        row = mail()
        path = back_to(row)
        arrivals = [like_postfix(path)] * 4
        if copies == "two reports of one failure":
            arrivals = [like_postfix(path, said=f"550 5.1.1 host {number}") for number in range(4)]
        barrier, told = threading.Barrier(4), []
        threads = [threading.Thread(target=take_at, args=(barrier, arrival, told)) for arrival in arrivals]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(told) == 4
        assert sum("it is failed now" in sentence for sentence in told) == 1
        assert row.incoming.count() == len(set(arrivals))
        assert Entry.objects.filter(caused__isnull=False, sentence__startswith=f"Mail {row.pk} ").count() == 1


def take_at(barrier, arrival, told):
    try:
        barrier.wait(timeout=10)
        told.append(receiving.take(arrival).sentence)
    finally:
        connections.close_all()


# --- the pipe ---------------------------------------------------------------------------------------------------------


def pipe(stdin, *arguments, **environment):
    """Hand a mail to the command as a mail server does: a process of its own, on the tests' database."""
    name = str(connection.settings_dict["NAME"])
    database = (
        configured.DATABASE_URL.rpartition("/")[0] + "/" + name if configured.DATABASE_URL else f"sqlite:///{name}"
    )
    environment = os.environ | {"DATABASE_URL": database, "SECRET_KEY": configured.SECRET_KEY} | environment
    command = [sys.executable, str(ROOT / "manage.py"), "receive_mail", *arguments]
    return subprocess.run(command, input=stdin, env=environment, capture_output=True, timeout=60)


@pytest.mark.django_db(transaction=True)
def test_a_mail_server_hands_a_bounce_over_and_hears_one_line_and_zero():
    row = mail()
    ended = pipe(like_postfix(back_to(row)))
    row.refresh_from_db()
    assert (ended.returncode, row.state) == (0, State.FAILED)
    assert ended.stdout.decode().splitlines() == [
        f"Mail {row.pk} came back: it is failed now. Kept as {Incoming.objects.get()}."
    ]
    again = pipe(like_postfix(back_to(row)))
    assert (again.returncode, Incoming.objects.count()) == (0, 1)
    assert b"This mail came before" in again.stdout


@pytest.mark.django_db(transaction=True)
def test_the_pipe_takes_the_envelopes_recipient_and_a_mail_of_any_length():
    row = mail()
    came = in_plain_words("undisclosed-recipients:;") + b"\xff\0" * receiving.MOST_OF_A_MAIL
    ended = pipe(came, "--recipient", back_to(row))
    row.refresh_from_db()
    assert (ended.returncode, row.state) == (0, State.FAILED)
    assert Incoming.objects.get().sha256 == hashlib.sha256(came[: receiving.MOST_OF_A_MAIL]).hexdigest()


@pytest.mark.django_db(transaction=True)
def test_what_is_ignored_is_taken_too():
    ended = pipe(b"\0\xff not a mail at all")
    assert (ended.returncode, Incoming.objects.get().kind) == (0, IncomingKind.OTHER)


def test_without_a_database_the_mail_server_shall_keep_the_mail_and_try_again(tmp_path):
    for database in ("postgres://ciduty:x@127.0.0.1:9/ciduty", f"sqlite:///{tmp_path}/empty.sqlite3"):
        ended = pipe(in_plain_words("ciduty@example.com"), DATABASE_URL=database)
        assert ended.returncode == 75
        line = ended.stderr.decode().strip()
        assert line.startswith("CommandError: The database does not serve (") and "\n" not in line


def test_a_bug_of_ours_makes_the_mail_server_try_again(monkeypatch, capfd):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(receiving, "take", broken)
    monkeypatch.setattr("ciduty.outbox.management.commands.receive_mail._read", lambda: b"Subject: x\n\n")
    with pytest.raises(CommandError) as caught:
        call_command("receive_mail")
    assert caught.value.returncode == 75


@pytest.mark.parametrize("nothing", [b"", b"\n \r\n"])
def test_without_any_mail_there_is_nothing_to_try_again(nothing):
    ended = pipe(nothing)
    assert ended.returncode == 65
    assert ended.stderr.decode().strip() == "CommandError: There was no mail on standard input."
