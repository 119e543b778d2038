"""Did every mandatory recipient accept, and when did the last one? A refusal or a bounce changes the answer."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.outbox import acceptance, composing, delivery, post, purposes, receiving, workflow
from ciduty.outbox.models import Mail
from tests.instruments.mail_server import MailServer, Script

pytestmark = pytest.mark.django_db
BATCH = "notice 17 v3"


@pytest.fixture
def purpose(monkeypatch):
    monkeypatch.setattr(purposes, "_registry", {})
    purposes.register(purposes.Purpose("tests: notice", "A notice"))


def announce(name, mandatory=True, batch=BATCH):
    return post.mail(
        key=f"{batch} {name}",
        purpose="tests: notice",
        about="downtime 17",
        to=f"{name}@example.com",
        subject="The trees close",
        text="On Saturday.",
        mandatory=mandatory,
        batch=batch,
    )


def test_the_answer_is_when_the_last_mandatory_server_accepted(purpose, settings):
    with MailServer() as server:
        settings.EMAIL_URL = server.url
        first = announce("list0")
        delivery.deliver(delivery.MAIL)
        clock.move(timedelta(minutes=10))
        second, other = announce("list1"), announce("somebody", mandatory=False)
        assert acceptance.of_batch(BATCH).accepted_at is None
        delivery.deliver(delivery.MAIL)
    for row in (first, second, other):
        row.refresh_from_db()
    answer = acceptance.of_batch(BATCH)
    assert (answer.mandatory, answer.missing) == (2, ())
    assert answer.accepted_at == second.accepted_at
    assert second.accepted_at - first.accepted_at >= timedelta(minutes=10)


def test_one_refusal_leaves_the_batch_unannounced_and_says_who_is_missing(purpose, settings):
    script = Script()
    script.on("RCPT", 550, to="list1@example.com", always=True)
    with MailServer(script) as server:
        settings.EMAIL_URL = server.url
        announce("list0"), announce("list1")
        delivery.deliver(delivery.MAIL)
    answer = acceptance.of_batch(BATCH)
    assert [row.recipient for row in answer.missing] == ["list1@example.com"]
    assert answer.accepted_at is None
    assert answer.last_accepted_at is not None


def test_a_bounce_an_hour_later_changes_the_answer(purpose, settings):
    with MailServer() as server:
        settings.EMAIL_URL = server.url
        announce("list0"), announce("list1")
        delivery.deliver(delivery.MAIL)
    assert acceptance.of_batch(BATCH).accepted_at is not None
    clock.move(timedelta(hours=1))
    bounced = Mail.objects.get(recipient="list1@example.com")
    receiving.take(
        f"From: MAILER-DAEMON@mail.example.com\nTo: {composing.return_path(bounced.pk)}\n"
        "Subject: Undelivered\n\n550 No such list.\n".encode()
    )
    answer = acceptance.of_batch(BATCH)
    assert [row.pk for row in answer.missing] == [bounced.pk]
    assert answer.accepted_at is None


def test_what_was_done_by_hand_counts_from_the_moment_somebody_says_so(purpose, settings, duty):
    settings.EMAIL_URL = ""
    row = announce("list0")
    assert acceptance.of_batch(BATCH).accepted_at is None
    clock.move(timedelta(minutes=5))
    workflow.done_by_hand(row, duty)
    row.refresh_from_db()
    assert acceptance.of_batch(BATCH).accepted_at == row.accepted_at
    assert row.accepted_at - row.created_at >= timedelta(minutes=5)


def test_a_batch_that_nobody_must_get_was_never_accepted(purpose, settings):
    settings.EMAIL_URL = ""
    announce("somebody", mandatory=False)
    announce("list0", batch="notice 17 v2")
    assert acceptance.of_batch(BATCH) == acceptance.Acceptance(0, (), None)
    assert acceptance.of_batch(BATCH).accepted_at is None


def test_a_cancelled_mandatory_mail_is_missing(purpose, settings, duty):
    settings.EMAIL_URL = ""
    row = announce("list0")
    workflow.cancel(row, duty)
    with CaptureQueriesContext(connection) as queries:
        assert [missing.pk for missing in acceptance.of_batch(BATCH).missing] == [row.pk]
    assert len(queries) == 1
