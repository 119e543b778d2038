"""Answering from here: one comment on the bug whatever happens, and the clock stops when Bugzilla has taken it."""

import re
from datetime import timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Visibility
from ciduty.bugzilla.sandbox import Fault
from ciduty.outbox import delivery
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from loaners.models import LoanerRequest
from tests.cast import cycle_done, file, request_with_words

pytestmark = pytest.mark.django_db

WORDS = "t-w1064-ms-042 is being prepared for you."


def comments(bugzilla, bug):
    rows = bugzilla.world.db.execute("SELECT text FROM comments WHERE bug_id = ? ORDER BY id", [bug]).fetchall()
    return [text for (text,) in rows[1:]]


def op_of(client, bug):
    page = client.get(f"/loaners/{bug}/").content.decode()
    return re.search(r'name="op" value="([0-9a-f]{8})"', page)[1]


def send(client, bug, op=None, **fields):
    return client.post(
        f"/loaners/{bug}/answer/", {"op": op or op_of(client, bug), "comment": WORDS} | fields, follow=True
    )


def deliver():
    return dict(delivery.deliver(delivery.BUGS))


@pytest.fixture
def bug(bugzilla, clients):
    """A request that waits for an answer, filed an hour ago."""
    bug = file(bugzilla, at=clock.now() - timedelta(hours=1))
    cycle_done()
    return bug


def test_an_answer_becomes_a_comment_signed_by_who_wrote_it_and_stops_the_clock(bug, bugzilla, clients, duty):
    page = send(clients[Role.DUTY], bug).content.decode()
    assert "on its way to Bugzilla" in page
    assert LoanerRequest.objects.get(pk=bug).answered_at is None, "Bugzilla has not taken it yet"
    assert deliver() == {"sent": 1}
    row = BugUpdate.objects.get()
    [text] = comments(bugzilla, bug)
    assert text.startswith(f"{WORDS}\n\n{duty}, CiDuty\n")
    assert text.endswith(f"ref {row.op}")
    request = LoanerRequest.objects.get(pk=bug)
    assert (request.answered_at, request.answered_with) == (row.accepted_at, "comment")
    page = clients[Role.DUTY].get(f"/loaners/{bug}/").content.decode()
    assert f"by {duty} from here, with a comment" in page


def test_the_next_poll_reads_the_bots_comment_and_the_answer_still_counts(bug, clients):
    send(clients[Role.DUTY], bug)
    deliver()
    before = LoanerRequest.objects.get(pk=bug).answered_at
    clock.move(timedelta(minutes=10))
    cycle_done()
    assert LoanerRequest.objects.get(pk=bug).answered_at == before


def test_taking_the_bug_answers_too_and_says_as_whom(bug, bugzilla, clients):
    page = clients[Role.DUTY].get(f"/loaners/{bug}/").content.decode()
    assert "Take the bug, as duty@example.com" in page
    send(clients[Role.DUTY], bug, comment="", take="on")
    assert deliver() == {"sent": 1}
    assert bugzilla.world.bug(bug)["assigned_to"] == "duty@example.com"
    assert comments(bugzilla, bug) == []
    assert LoanerRequest.objects.get(pk=bug).answered_with == "assigned"


def test_the_same_form_sent_twice_is_one_answer_with_one_entry_in_the_record(bug, bugzilla, clients, duty):
    op = op_of(clients[Role.DUTY], bug)
    for _ in range(2):
        send(clients[Role.DUTY], bug, op)
    deliver(), deliver()
    assert len(comments(bugzilla, bug)) == 1
    entry = Entry.objects.get(about=f"loaner {bug}", verb="answered")
    assert (entry.by, entry.sentence) == (duty, "Answered with a comment")
    assert entry.caused == [str(BugUpdate.objects.get())]


def test_what_will_be_sent_can_be_seen_first_and_looking_sends_nothing(bug, bugzilla, clients):
    client = clients[Role.DUTY]
    op = op_of(client, bug)
    page = send(client, bug, op, preview="1", take="on").content.decode()
    assert "Nothing was sent yet." in page
    assert f"ref {op}" in page
    assert "duty@example.com" in page
    assert WORDS in page, "what was typed stays in the form"
    assert not BugUpdate.objects.exists()
    send(client, bug, op, take="on")
    deliver()
    assert comments(bugzilla, bug)[0].endswith(f"ref {op}"), "as it was shown"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"comment": "   "}, "an empty answer says nothing"),
        ({"comment": "x" * 65_530}, "Bugzilla takes 65535"),
        ({"op": "zz"}, "op"),
    ],
)
def test_an_answer_that_bugzilla_would_refuse_is_refused_in_the_form_and_nothing_is_lost(bug, clients, fields, problem):
    response = send(clients[Role.DUTY], bug, **fields)
    page = response.content.decode()
    assert response.status_code == 422
    assert "Nothing was sent yet" in page
    assert problem in page
    assert fields.get("comment", WORDS).strip() in page
    assert not BugUpdate.objects.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"bug__visibility": Visibility.RESTRICTED}, "This bug is restricted"),
        ({"bug__is_open": False}, "This bug is closed"),
    ],
)
def test_a_restricted_or_closed_bug_is_not_answered_from_here(clients, words, sentence):
    bug = request_with_words(**words).pk
    assert 'name="comment"' not in clients[Role.DUTY].get(f"/loaners/{bug}/").content.decode()
    page = send(clients[Role.DUTY], bug, op="0123abcd").content.decode()
    assert sentence in page
    assert not BugUpdate.objects.exists()


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER])
def test_only_ciduty_answers(bug, clients, role):
    assert clients[role].post(f"/loaners/{bug}/answer/", {"op": "0123abcd", "comment": WORDS}).status_code == 403
    assert not BugUpdate.objects.exists()


def test_an_answer_to_a_bug_that_was_closed_meanwhile_waits_for_a_person(bug, bugzilla, clients):
    send(clients[Role.DUTY], bug)
    bugzilla.world.update(bug, "duty@example.com", {"status": "RESOLVED", "resolution": "FIXED"})
    cycle_done()
    assert deliver() == {"held": 1}
    assert "closed meanwhile" in BugUpdate.objects.get().last_words
    assert comments(bugzilla, bug) == []


def test_words_for_staff_do_not_go_to_a_bug_that_became_public(bugzilla, clients):
    bug = file(bugzilla, groups=["moco-specific"], at=clock.now() - timedelta(hours=1))
    cycle_done()
    send(clients[Role.DUTY], bug)
    bugzilla.world.update(bug, "duty@example.com", {"groups": {"remove": ["moco-specific"]}})
    cycle_done()
    assert deliver() == {"held": 1}
    assert comments(bugzilla, bug) == []


def test_an_answer_whose_reply_was_lost_is_one_comment_and_counts(bug, bugzilla, clients):
    bugzilla.faults.add(Fault("applied_then_cut", match="^PUT", times=1))
    send(clients[Role.DUTY], bug)
    deliver()
    for _ in range(4):
        clock.move(timedelta(minutes=3))
        deliver()
    assert len(comments(bugzilla, bug)) == 1
    assert LoanerRequest.objects.get(pk=bug).answered_at is not None


def test_an_answer_that_failed_leaves_the_clock_running_and_says_so(bug, bugzilla, clients):
    bugzilla.faults.add(Fault("status", match="^PUT", status=401, body={"error": True, "code": 115, "message": "No."}))
    send(clients[Role.DUTY], bug)
    assert deliver() == {"parked": 1}
    assert LoanerRequest.objects.get(pk=bug).answered_at is None
    assert "Failed" in clients[Role.DUTY].get(f"/loaners/{bug}/").content.decode()


def test_the_desk_lets_go_of_what_was_answered_from_here(bug, bugzilla, clients):
    assert f"/loaners/{bug}/" in clients[Role.DUTY].get("/").content.decode()
    send(clients[Role.DUTY], bug)
    deliver()
    assert f'href="/loaners/{bug}/"' not in clients[Role.DUTY].get("/").content.decode()
    assert BugUpdate.objects.get().state == State.ACCEPTED
