"""What was said about a bug loses its words when the bug turns private: once it is done, and replies with it."""

import hashlib
from datetime import timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import post, receiving, sealing
from ciduty.outbox.models import BugUpdate, Incoming, Mail
from ciduty.outbox.rules import FINAL, State
from tests.cast import BugFactory, cycle_done, every_row, file

pytestmark = pytest.mark.django_db

CANARY = "CANARY-7f3a"
DONE = [state for state in State if state in FINAL]
NOT_DONE = [state for state in State if state not in FINAL]


@pytest.fixture
def connected(settings):
    """Mail and Bugzilla are configured, and never reached."""
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"


@pytest.fixture
def restricted(connected):
    return BugFactory(visibility=Visibility.RESTRICTED)


def mail(bug, state=State.ACCEPTED, number=1):
    """Return a mail with words of a bug everywhere where they can stand."""
    row = post.mail(
        key=f"mail {number}", purpose="tests: note", about=f"loaner {bug.pk}", to="developer@example.com",
        subject=f"A note: {CANARY}", text=f"Something happened: {CANARY}", bug_id=bug.pk,
    )  # fmt: skip
    return brought_to(row, state)


def bug_update(bug, state=State.ACCEPTED, number=1, **fields):
    wants = {"comment": f"Done: {CANARY}", "needinfo": {"of": f"{CANARY}@example.com"}, "status": "RESOLVED"}
    wants |= {"flags": [{"name": "needs-treeclosure", "status": "?", "requestee": f"{CANARY}@example.com"}]}
    seen = {"assigned_to": f"{CANARY}@example.com", "flags": {"needs-treeclosure": {"id": 7, "status": "+"}}}
    row = BugUpdate(key=f"update {number}", purpose="tests: note", about=f"loaner {bug.pk}", bug_id=bug.pk)
    row.op, row.wants, row.seen = f"{number:08x}", wants, seen
    row.created_at = row.due_since = row.next_try_at = clock.now()
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()
    return brought_to(row, state)


def brought_to(row, state):
    type(row).objects.filter(pk=row.pk).update(state=state, last_words=f"550 refused: {CANARY}")
    row.refresh_from_db()
    return row


def reply_to(row, words=CANARY):
    came = f"From: {words}@example.com\nSubject: Re: {words}\nIn-Reply-To: {row.message_id}\n\n> {words}"
    return receiving.take(came.encode()).row


def values(row):
    return type(row).objects.values().get(pk=row.pk)


def words_in_the_database():
    return [table for table, rows in every_row().items() if CANARY.lower() in written(rows).lower()]


def written(rows):
    """Return everything that rows hold, bytes as the text that they are."""
    return str([[bytes(cell) if isinstance(cell, memoryview) else cell for cell in row] for row in rows])


@pytest.mark.parametrize("state", DONE)
def test_a_mail_that_is_done_loses_its_words_and_keeps_its_fingerprint(state, restricted):
    row = mail(restricted, state)
    assert words_in_the_database() == ["outbox_mail"]
    before, at = values(row), clock.now()
    assert sealing.follow() == 1
    after = values(row)
    assert words_in_the_database() == []
    assert (bytes(after["message"]), after["subject"], after["last_words"]) == (b"", sealing.ERASED, "")
    assert after["sha256"] == hashlib.sha256(bytes(before["message"])).hexdigest()
    assert after["erased_at"] >= at
    gone = {"message", "subject", "recipient", "last_words", "erased_at"}
    assert {name for name in before if before[name] != after[name]} == gone


@pytest.mark.parametrize("state", DONE)
def test_a_bug_update_that_is_done_loses_its_words_and_keeps_what_it_was(state, restricted):
    row = bug_update(restricted, state)
    sealing.follow()
    row.refresh_from_db()
    assert words_in_the_database() == []
    assert row.wants == {
        "comment": sealing.ERASED, "needinfo": {"of": sealing.ERASED}, "status": "RESOLVED",
        "flags": [{"name": "needs-treeclosure", "status": "?", "requestee": sealing.ERASED}],
    }  # fmt: skip
    assert row.seen == {"assigned_to": sealing.ERASED, "flags": {"needs-treeclosure": {"id": 7, "status": "+"}}}
    assert (row.state, row.last_words, row.erased_at is None) == (state, "", False)


def test_a_new_bug_loses_every_word_with_which_it_was_filed(restricted):
    new = {name: CANARY for name in ("product", "component", "summary", "description", "version", "anything", "alias")}
    wants = {"new": new | {"depends_on": [7], "whiteboard": CANARY}, "token": CANARY, "token_kind": CANARY}
    row = bug_update(restricted, wants=wants, seen={})
    sealing.follow()
    row.refresh_from_db()
    assert words_in_the_database() == []
    assert (row.files_a_bug, row.wants["new"]["depends_on"], set(row.wants["new"])) == (True, [7], set(wants["new"]))


@pytest.mark.parametrize("state", NOT_DONE)
def test_what_is_not_done_keeps_its_words_until_it_is(state, restricted):
    rows = [mail(restricted, state), bug_update(restricted, state)]
    reply = reply_to(rows[0])
    before = [values(row) for row in [*rows, reply]]
    assert sealing.follow() == 0
    assert [values(row) for row in [*rows, reply]] == before
    for row in rows:
        type(row).objects.filter(pk=row.pk).update(state=State.CANCELLED)
    assert sealing.follow() == 3
    assert words_in_the_database() == []


@pytest.mark.parametrize("visibility", [Visibility.PUBLIC, Visibility.STAFF])
def test_what_is_about_a_bug_that_may_be_shown_keeps_its_words(visibility, connected):
    bug, private = BugFactory(visibility=visibility), BugFactory(visibility=Visibility.RESTRICTED)
    mail(private, number=2)
    rows = [mail(bug), bug_update(bug)]
    rows += [reply_to(rows[0]), Mail.objects.create(**unbound(rows[0]))]
    before = [values(row) for row in rows]
    assert sealing.follow() == 1
    assert [values(row) for row in rows] == before


def unbound(row):
    """Return the fields of a mail like this one that holds no bug's words."""
    fields = values(row) | {"key": "unbound", "message_id": "<unbound@example.com>", "bug_id": None}
    return {name: value for name, value in fields.items() if name != "id"}


def test_replies_and_bounces_lose_their_words_with_their_mail(restricted):
    row = mail(restricted)
    kept = reply_to(row)
    assert sealing.follow() == 2
    kept.refresh_from_db()
    assert words_in_the_database() == []
    assert (kept.sender, kept.subject, kept.text, kept.mail) == ("", sealing.ERASED, "", row)
    assert kept.erased_at == row.__class__.objects.get().erased_at


def test_a_reply_that_came_in_while_its_mail_was_erased_loses_its_words_at_the_next_look(restricted):
    row = mail(restricted)
    reply_to(row)
    Mail.objects.update(message=b"", subject=sealing.ERASED, last_words="", erased_at=clock.now())
    assert words_in_the_database() == ["outbox_incoming"]
    assert sealing.follow() == 1
    assert words_in_the_database() == []


def test_a_reply_that_comes_in_afterwards_keeps_no_words(restricted):
    row = mail(restricted)
    sealing.follow()
    reply_to(row)
    assert words_in_the_database() == []
    assert sealing.follow() == 0


def test_what_somebody_tries_again_at_this_moment_keeps_its_words(restricted, monkeypatch):
    row = bug_update(restricted, State.FAILED)

    def tried_again_meanwhile(change):
        BugUpdate.objects.update(state=State.DUE)
        return {}

    monkeypatch.setattr(sealing, "without_words", tried_again_meanwhile)
    assert sealing.follow() == 0
    row.refresh_from_db()
    assert CANARY in row.wants["comment"]


def test_to_erase_twice_is_to_erase_once(restricted):
    rows = [mail(restricted), bug_update(restricted)]
    rows.append(reply_to(rows[0]))
    assert sealing.follow() == 3
    once = [values(row) for row in rows]
    clock.move(timedelta(hours=1))
    assert sealing.follow() == 0
    assert [values(row) for row in rows] == once


def test_a_poll_that_finds_a_bug_private_erases_what_was_said_about_it(bugzilla, settings):
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    number = file(bugzilla)
    cycle_done()
    bug = Bug.objects.get(pk=number)
    row, update = mail(bug), bug_update(bug)
    reply_to(row)
    cycle_done()
    assert words_in_the_database() == ["outbox_bugupdate", "outbox_incoming", "outbox_mail"]
    bugzilla.world.update(number, "scheduler@example.com", {"groups": {"add": ["infra-bot-sees"]}})
    clock.move(timedelta(minutes=5))
    cycle_done()
    assert words_in_the_database() == []
    assert {row.erased_at is None for row in (Mail.objects.get(), BugUpdate.objects.get(), Incoming.objects.get())} == {
        False
    }
    assert update.pk
