"""What Bugzilla says moves a request while no machine is away; what we say ourselves is never mistaken for its word."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla import poll
from ciduty.bugzilla.models import Bug, BugText
from ciduty.bugzilla.sandbox import Fault
from ciduty.outbox import delivery
from ciduty.outbox import workflow as outbox
from ciduty.outbox.models import BugUpdate
from ciduty.record.models import Actor, Entry
from ciduty.states import NotAllowed
from loaners import lending, reclaiming, sync, workflow
from loaners.models import LoanerRequest
from loaners.rules import ASKED, HAS_MACHINE, OVER, RequestState
from tests.cast import MACHINE_WHILE, BugFactory, LoanerRequestFactory, MachineFactory, at_once, cycle_done, file

pytestmark = pytest.mark.django_db

OP, ANOTHER_OP = "0a1b2c3d", "4e5f6a7b"
FIXED = {"status": "RESOLVED", "resolution": "FIXED"}
INVALID = {"status": "RESOLVED", "resolution": "INVALID"}
REOPENED = {"status": "REOPENED"}
ASK = {"flags": [{"name": "needinfo", "status": "?", "requestee": "developer@example.com", "new": True}]}
CLEAR = {"flags": [{"name": "needinfo", "status": "X"}]}


@pytest.fixture
def bug(bugzilla, people):
    """A request in the sandbox, seen by a poll."""
    number = file(bugzilla, at=clock.now() - timedelta(hours=1))
    cycle_done(read=1)
    return number


@pytest.fixture
def in_bugzilla(bugzilla, bug):
    """Change the bug in Bugzilla itself, poll, and return the request as it stands then."""

    def change(fields, login="developer@example.com"):
        bugzilla.world.update(bug, login, fields)
        cycle_done()
        return the_request()

    return change


def the_request():
    return LoanerRequest.objects.get()


def let_it_be(state):
    """Put the request into a state, with the machine that goes with it."""
    fields = {}
    if state in HAS_MACHINE:
        fields = {"machine": MachineFactory(state=MACHINE_WHILE[state])}
        fields |= {"handed_over_at": clock.now(), "due_at": clock.now() + timedelta(days=14)}
    LoanerRequest.objects.update(state=state, **fields)


def moves():
    return list(Entry.objects.filter(about__startswith="loaner").order_by("pk").values_list("verb", flat=True))


def sent():
    return dict(delivery.deliver(delivery.BUGS))


# --- closed and reopened in Bugzilla itself ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", RequestState)
@pytest.mark.parametrize(("closed", "ends"), [(FIXED, "returned"), (INVALID, "cancelled")])
def test_a_closed_bug_ends_a_request_that_has_no_machine_and_no_other(state, closed, ends, in_bugzilla):
    let_it_be(state)
    request = in_bugzilla(closed)
    assert request.state == (ends if state in ASKED else state)
    assert (reclaiming.disagreement(request) != "") == (state in HAS_MACHINE)
    if state in ASKED:
        entry = Entry.objects.get()
        assert (entry.about, entry.actor, entry.by) == (request.about, Actor.OUTSIDE, None)
        assert (entry.before, entry.after) == ({"state": state}, {"state": ends})
    else:
        assert moves() == []


@pytest.mark.parametrize("state", sorted(OVER))
def test_a_reopened_bug_begins_the_request_anew(state, in_bugzilla):
    let_it_be(state)
    in_bugzilla(FIXED)
    LoanerRequest.objects.update(declined_because="Try is enough.", returned_at=clock.now())
    request = in_bugzilla(REOPENED)
    assert (request.state, request.declined_because, request.returned_at) == ("requested", "", None)
    assert moves() == ["reopened in Bugzilla"]
    assert in_bugzilla(INVALID).state == "cancelled"
    assert in_bugzilla(REOPENED).state == "requested"


def test_a_reopened_bug_whose_machine_came_back_is_a_disagreement_and_no_new_request(in_bugzilla):
    in_bugzilla(FIXED)
    LoanerRequest.objects.update(state="returned", machine=MachineFactory())
    entries = Entry.objects.count()
    request = in_bugzilla(REOPENED)
    assert request.state == "returned"
    assert reclaiming.disagreement(request) == "The loan is over here, and the bug is open in Bugzilla."
    assert Entry.objects.count() == entries


@pytest.mark.parametrize("state", sorted(HAS_MACHINE))
def test_with_a_machine_away_nothing_in_bugzilla_moves_the_loan(state, in_bugzilla):
    let_it_be(state)
    before = list(LoanerRequest.objects.values_list("state", "machine", "due_at", "handed_over_at"))
    for change in (ASK, CLEAR, INVALID, REOPENED, FIXED):
        in_bugzilla(change)
        assert list(LoanerRequest.objects.values_list("state", "machine", "due_at", "handed_over_at")) == before
    assert moves() == []


def test_a_bug_that_left_the_component_disagrees_while_a_machine_is_away(in_bugzilla):
    let_it_be(RequestState.ACTIVE)
    assert reclaiming.disagreement(the_request()) == ""
    told = reclaiming.disagreement(in_bugzilla({"component": "CIDuty"}, "sheriff@example.com"))
    assert told.startswith("The bug was moved to another component in Bugzilla")


def test_the_same_news_twice_move_once(in_bugzilla):
    in_bugzilla(INVALID)
    for _ in range(2):
        sync.look_at(the_request().pk, clock.now())
        poll.poll(reconcile=True)
    assert moves() == ["closed in Bugzilla"]


# --- what we closed ourselves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["decline", "cancel"])
def test_what_we_close_is_no_reopening_while_bugzilla_has_not_got_it(verb, bug, bugzilla, duty):
    close = {
        "decline": lambda: workflow.decline(the_request(), by=duty, because="Try is enough.", op=OP),
        "cancel": lambda: workflow.cancel(the_request(), by=duty, op=OP),
    }[verb]
    close()
    ended = the_request().state
    bugzilla.world.comment(bug, "sheriff@example.com", "Anything new?")  # so that the poll has news of the open bug
    cycle_done()
    assert (the_request().state, moves()) == (ended, [verb])
    assert sent() == {"sent": 1}
    for _ in range(2):
        cycle_done()
        assert (the_request().state, the_request().closed_at is not None) == (ended, True)
    assert moves() == [verb, "bug accepted"]
    bugzilla.world.update(bug, "developer@example.com", REOPENED)
    cycle_done()
    assert the_request().state == "requested"


def test_a_request_that_was_reopened_and_declined_again_stays_declined(in_bugzilla, bug, bugzilla, duty):
    in_bugzilla(INVALID)
    assert in_bugzilla(REOPENED).state == "requested"
    workflow.decline(the_request(), by=duty, because="Try is enough.", op=OP)
    bugzilla.world.comment(bug, "sheriff@example.com", "Anything new?")
    cycle_done()
    assert the_request().state == "declined"


def test_a_refusal_that_was_refused_is_seen_and_stays_ours(bug, bugzilla, duty):
    workflow.decline(the_request(), by=duty, because="Try is enough.", op=OP)
    body = {"error": True, "code": 115, "message": "No."}
    bugzilla.faults.add(Fault("status", match="^PUT", status=401, body=body, times=1))
    assert sent() == {"parked": 1}
    cycle_done()
    request = the_request()
    assert request.state == "declined"
    assert "is declined here, and the bug is open in Bugzilla" in reclaiming.disagreement(request)


# --- a question asked and answered in Bugzilla itself -----------------------------------------------------------------


def test_a_question_in_bugzilla_waits_for_the_requester_and_the_answer_ends_it(in_bugzilla):
    assert in_bugzilla(ASK, "sheriff@example.com").state == "needs info"
    assert in_bugzilla(CLEAR).state == "requested"
    assert moves() == ["ask for information", "hear back"]
    assert set(Entry.objects.values_list("actor", flat=True)) == {Actor.OUTSIDE}


def test_a_question_of_ciduty_counts_too_though_the_promise_is_kept_by_it(in_bugzilla):
    request = in_bugzilla(ASK, "duty@example.com")
    assert (request.state, request.answered_with) == ("needs info", "needinfo set")
    assert in_bugzilla(CLEAR).state == "requested"


def test_of_two_questions_the_last_answer_ends_it_and_nothing_flutters(in_bugzilla, bug, bugzilla):
    in_bugzilla(ASK, "sheriff@example.com")
    in_bugzilla(ASK, "duty@example.com")
    first, second = bugzilla.world.bug(bug)["flags"]
    for _ in range(3):
        bugzilla.world.comment(bug, "sheriff@example.com", "Anything new?")
        cycle_done()
    assert in_bugzilla({"flags": [{"id": first["id"], "status": "X"}]}).state == "needs info"
    bugzilla.world.comment(bug, "sheriff@example.com", "Anything new?")
    cycle_done()
    assert the_request().state == "needs info"
    assert in_bugzilla({"flags": [{"id": second["id"], "status": "X"}]}).state == "requested"
    assert moves() == ["ask for information", "hear back"]


def test_a_question_to_somebody_else_is_none_for_the_requester(in_bugzilla):
    ask = {"flags": [ASK["flags"][0] | {"requestee": "sheriff@example.com"}]}
    assert in_bugzilla(ask, "duty@example.com").state == "requested"
    assert moves() == []


def test_an_approved_request_stays_approved_whatever_is_asked_in_the_bug(in_bugzilla):
    let_it_be(RequestState.APPROVED)
    assert in_bugzilla(ASK, "sheriff@example.com").state == "approved"
    assert in_bugzilla(CLEAR).state == "approved"


def test_a_bug_that_is_seen_for_the_first_time_with_a_question_waits(bugzilla, people):
    flags = [{"name": "needinfo", "status": "?", "requestee": "developer@example.com", "setter": "duty@example.com"}]
    file(bugzilla, at=clock.now() - timedelta(hours=1), flags=flags)
    cycle_done(read=1)
    assert (the_request().state, moves()) == ("needs info", [])


# --- a question that we asked ourselves -------------------------------------------------------------------------------


@pytest.fixture
def asked(bug, duty):
    """A question of ours that has not left yet."""
    return workflow.ask_for_information(the_request(), by=duty, question="Which suite?", op=OP)


def some_news(bugzilla, bug):
    """Let the poll have news of the bug, whatever it is."""
    bugzilla.world.comment(bug, "sheriff@example.com", "Anything new?")
    cycle_done()


def test_nobody_is_heard_back_from_before_bugzilla_has_the_question(asked, bug, bugzilla):
    for _ in range(2):
        some_news(bugzilla, bug)
        assert the_request().state == "needs info"
    assert sent() == {"sent": 1}
    assert the_request().state == "needs info"  # Bugzilla has it, and the mirror has not read it yet
    for _ in range(2):
        some_news(bugzilla, bug)
        assert the_request().state == "needs info"


def test_the_requesters_answer_clears_the_needinfo_and_the_request_goes_on(asked, in_bugzilla):
    assert sent() == {"sent": 1}
    cycle_done()
    request = in_bugzilla(CLEAR | {"comment": {"body": "reftest."}})
    assert request.state == "requested"
    assert moves() == ["ask for information", "bug accepted", "hear back"]


def test_an_earlier_answer_is_none_to_a_new_question(in_bugzilla, bug, bugzilla, duty):
    in_bugzilla(ASK, "sheriff@example.com")
    assert in_bugzilla(CLEAR).state == "requested"
    workflow.ask_for_information(the_request(), by=duty, question="Which suite?", op=OP)
    some_news(bugzilla, bug)
    assert the_request().state == "needs info"
    assert sent() == {"sent": 1}
    sync.look_at(bug, clock.now())
    assert the_request().state == "needs info"
    cycle_done()
    assert the_request().state == "needs info"
    assert in_bugzilla(CLEAR).state == "requested"


@pytest.mark.parametrize("hours", [-5, 5])
def test_bugzillas_clock_may_be_hours_away(hours, bugzilla, people, duty):
    away = timedelta(hours=hours)
    bugzilla.world.set_clock(lambda: datetime.now(UTC) + away)
    number = file(bugzilla, at=clock.now() + away - timedelta(hours=1))
    cycle_done(read=1)
    workflow.ask_for_information(the_request(), by=duty, question="Which suite?", op=OP)
    some_news(bugzilla, number)
    assert the_request().state == "needs info"
    assert sent() == {"sent": 1}
    some_news(bugzilla, number)
    assert the_request().state == "needs info"
    bugzilla.world.update(number, "developer@example.com", CLEAR)
    cycle_done()
    assert the_request().state == "requested"


def test_an_answer_within_the_very_cycle_that_first_saw_the_question_is_heard_with_the_next(asked, bug, bugzilla):
    """The cycle began before Bugzilla took the question, and read the bug after it was answered."""
    assert sent() == {"sent": 1}
    bugzilla.world.update(bug, "developer@example.com", CLEAR)
    accepted = BugUpdate.objects.get().accepted_at
    cycle_done()
    Bug.objects.update(read_at=accepted - timedelta(seconds=1))
    LoanerRequest.objects.update(state="needs info")
    cycle_done(changed=0)
    assert the_request().state == "requested"


@pytest.mark.parametrize("ends", ["fails", "is cancelled"])
def test_a_question_that_never_left_waits_for_a_person_until_it_is_cancelled(ends, asked, bug, bugzilla, duty):
    body = {"error": True, "code": 115, "message": "No."}
    bugzilla.faults.add(Fault("status", match="^PUT", status=401, body=body, times=1))
    assert sent() == {"parked": 1}
    some_news(bugzilla, bug)
    assert the_request().state == "needs info"
    if ends == "is cancelled":
        outbox.cancel(BugUpdate.objects.get(), duty)
        sent()
        assert the_request().state == "requested"
        assert Entry.objects.last().sentence == "No question waits for the requester in Bugzilla any more"


def test_a_question_that_was_asked_by_hand_is_one(asked, bug, bugzilla, duty, in_bugzilla):
    in_bugzilla(ASK, "duty@example.com")
    outbox.done_by_hand(BugUpdate.objects.get(), duty)
    cycle_done()
    assert the_request().state == "needs info"
    assert in_bugzilla(CLEAR).state == "requested"


# --- in the middle of what people do ----------------------------------------------------------------------------------


def test_a_machine_that_was_chosen_just_before_the_news_stays_chosen(bug, bugzilla, duty):
    let_it_be(RequestState.APPROVED)
    bugzilla.world.update(bug, "developer@example.com", INVALID)
    lending.prepare(the_request(), MachineFactory(), by=duty)
    cycle_done()
    assert the_request().state == "preparing"
    assert reclaiming.disagreement(the_request()).startswith("The bug is closed in Bugzilla")


@pytest.mark.django_db(transaction=True)
def test_whoever_chooses_a_machine_while_the_news_are_read_comes_after_them(people, duty, monkeypatch):
    """Else the news would find a state that they cannot move, and the whole poll would end there."""
    bug = BugFactory(is_open=False, status="RESOLVED", resolution="INVALID", stamp=1)
    request = LoanerRequestFactory(bug=bug, state=RequestState.APPROVED)
    machine, reads = MachineFactory(), sync.events_of
    begun = threading.Event()

    def read_slowly(*what):
        begun.set()
        time.sleep(0.5)
        return reads(*what)

    def choose():
        begun.wait(10)
        try:
            lending.prepare(LoanerRequest.objects.get(pk=request.pk), machine, by=duty)
        except NotAllowed as refusal:
            return str(refusal)
        return "done"

    monkeypatch.setattr(sync, "events_of", read_slowly)
    followed, told = sorted(at_once([sync.follow, choose]), key=str)
    assert followed == 1
    assert "is cancelled by now" in told
    assert the_request().state == "cancelled"


def test_bugs_of_which_nothing_is_known_but_their_number_move_nothing(bug, bugzilla):
    BugText.objects.all().delete()
    Bug.objects.update(created_at=None)
    sync.look_at(bug, clock.now())
    assert (the_request().state, moves()) == ("requested", [])


# --- many at once -----------------------------------------------------------------------------------------------------


def test_the_first_mirror_of_thousands_of_closed_bugs_writes_no_history_and_is_quick(
    people, django_assert_max_num_queries
):
    bugs = BugFactory.build_batch(4000, is_open=False, status="RESOLVED", resolution="FIXED", stamp=1)
    for bug in bugs[:1000]:
        bug.resolution = "INVALID"
    Bug.objects.bulk_create(bugs)
    began = time.monotonic()
    with django_assert_max_num_queries(150):
        assert sync.follow() == 4000
    took = time.monotonic() - began
    assert Entry.objects.count() == 0
    assert LoanerRequest.objects.filter(state="returned").count() == 3000
    assert LoanerRequest.objects.filter(state="cancelled").count() == 1000
    assert took < 20, took  # seconds
    with django_assert_max_num_queries(12):
        assert sync.follow() == 0
    assert Entry.objects.count() == 0


def test_thousands_that_are_looked_at_again_write_no_history_either(people, settings):
    Bug.objects.bulk_create(BugFactory.build_batch(1200, is_open=False, status="RESOLVED", resolution="FIXED", stamp=1))
    sync.follow()
    settings.CIDUTY_BUGZILLA_STAFF = frozenset({"sheriff@example.com"})
    assert sync.follow() == 1200
    assert Entry.objects.count() == 0
    assert LoanerRequest.objects.filter(state="returned").count() == 1200
