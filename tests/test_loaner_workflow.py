"""Every verb of a request does what the table says, in no other state, once, and says it on the bug."""

import re
from datetime import timedelta
from functools import partial
from itertools import product

import pytest

from ciduty import clock, states
from ciduty.bugzilla.models import BugText, Visibility
from ciduty.bugzilla.sandbox import Fault
from ciduty.outbox import delivery, post, sealing
from ciduty.outbox import workflow as outbox
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.outbox.rules import State
from ciduty.people.roles import Role
from ciduty.record.models import Actor, Entry
from ciduty.states import NotAllowed
from loaners import lending, reclaiming, workflow
from loaners.models import AnsweredHere, LoanerRequest
from loaners.rules import MACHINE_MOVES, MOVES, MachineState, RequestState
from tests.cast import (
    ApplicationFactory,
    BugzillaLoginFactory,
    MachineFactory,
    at_once,
    browser_of,
    cycle_done,
    every_row,
    file,
    request_in,
    request_with_words,
)

pytestmark = pytest.mark.django_db

OP, ANOTHER_OP = "0a1b2c3d", "4e5f6a7b"
ASKED = "requested, needs info, approved"
OUT = "active, return requested"
#: What a request promises, written out once more: verb, from where, to where.
PROMISED = {
    "ask for information": ("requested, approved", "needs info"),
    "hear back": ("needs info", "requested"),
    "approve": ("requested, needs info", "approved"),
    "decline": (ASKED, "declined"),
    "cancel": (ASKED, "cancelled"),
    "prepare": ("approved", "preparing"),
    "hand over": ("preparing", "active"),
    "extend": (OUT, "active"),
    "give back": ("active", "return requested"),
    "reclaim": ("preparing, " + OUT, "reclaiming"),
    "finish": ("reclaiming", "returned"),
    "settled in Bugzilla": (ASKED, "returned"),
    "closed in Bugzilla": (ASKED, "cancelled"),
    "reopened in Bugzilla": ("returned, declined, cancelled", "requested"),
}
PROMISED_OF_MACHINES = {
    "reserve": ("available", "reserved"),
    "lend": ("reserved", "on loan"),
    "take back": ("reserved, on loan", "re-imaging"),
    "return to the pool": ("reserved, re-imaging, broken", "available"),
    "mark broken": ("available, re-imaging", "broken"),
    "retire": ("available, broken", "retired"),
    "bring back": ("retired", "available"),
}


def a_fortnight_and(days):
    return clock.now().date() + timedelta(days=14 + days)


#: What a person does, as the pages call it.
VERBS = {
    "ask for information": lambda request, by, op: workflow.ask_for_information(request, by=by, question="Why?", op=op),
    "approve": lambda request, by, op: workflow.approve(request, by=by, op=op),
    "decline": lambda request, by, op: workflow.decline(request, by=by, because="Try is enough.", op=op),
    "cancel": lambda request, by, op: workflow.cancel(request, by=by, op=op),
    "prepare": lambda request, by, op: lending.prepare(request, the_free_machine(), by=by),
    "hand over": lambda request, by, op: lending.hand_over(
        request, by=by, how_to="ssh developer@host", until=a_fortnight_and(0), op=op
    ),
    "extend": lambda request, by, op: lending.extend(request, by=by, until=a_fortnight_and(7), op=op),
    "give back": lambda request, by, op: lending.give_back(request, by=by, op=op),
    "reclaim": lambda request, by, op: reclaiming.reclaim(request, by=by),
    "finish": lambda request, by, op: reclaiming.finish(request, by=by, op=op),
}
#: What each says: the fields of the bug that it wants, and what its comment must say.
SAYS = {
    "ask for information": ({"comment", "needinfo"}, "Why?"),
    "approve": ({"comment"}, "is approved"),
    "decline": ({"comment", "status", "resolution"}, "We cannot lend a machine for this: Try is enough."),
    "cancel": ({"comment", "status", "resolution"}, "was taken back"),
    "hand over": ({"comment"}, "is yours until"),
    "extend": ({"comment"}, "The loan now ends on"),
    "give back": ({"comment"}, "is given back"),
    "finish": ({"comment", "status", "resolution"}, "was re-imaged and takes jobs again"),
}
PAIRS = list(product(RequestState, VERBS))
ALLOWED = [(state, verb) for state, verb in PAIRS if state in PROMISED[verb][0].split(", ")]
FORBIDDEN = [pair for pair in PAIRS if pair not in ALLOWED]


@pytest.fixture(autouse=True)
def configured(settings):
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"


def the_free_machine():
    return MachineFactory._meta.model.objects.filter(state=MachineState.AVAILABLE).get()


def said():
    """Return what was said: purposes of changes of bugs and of mails."""
    rows = [*BugUpdate.objects.order_by("pk"), *Mail.objects.order_by("pk")]
    return [row.purpose.removeprefix("loaners: ") for row in rows]


# --- the tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moves", "every_state", "promised"),
    [(MOVES, RequestState, PROMISED), (MACHINE_MOVES, MachineState, PROMISED_OF_MACHINES)],
    ids=["requests", "machines"],
)
def test_the_table_is_what_was_promised(moves, every_state, promised):
    def in_order(sources):
        return ", ".join(state for state in every_state if state in sources)

    assert {verb: (in_order(moves.sources(verb)), moves.target(verb)) for verb in moves} == {
        verb: (in_order(sources.split(", ")), target) for verb, (sources, target) in promised.items()
    }


def test_every_verb_of_the_table_is_done_by_a_person_or_by_bugzilla():
    of_bugzilla = {"hear back", "settled in Bugzilla", "closed in Bugzilla", "reopened in Bugzilla"}
    assert set(VERBS) | of_bugzilla == set(MOVES)


# --- every pair of state and verb -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "verb"), ALLOWED)
def test_an_allowed_verb_moves_writes_one_entry_and_says_it(state, verb, people, duty):
    MachineFactory()
    request = request_in(state)
    VERBS[verb](request, duty, OP)
    assert request.state == LoanerRequest.objects.get(pk=request.pk).state == PROMISED[verb][1]
    entry = Entry.objects.get(about=request.about)
    assert (entry.verb, entry.by, entry.actor) == (verb, duty, Actor.PERSON)
    assert (entry.before["state"], entry.after["state"]) == (state, PROMISED[verb][1])
    rows = [*BugUpdate.objects.order_by("pk"), *Mail.objects.order_by("pk")]
    assert entry.caused == [str(row) for row in rows]
    told = [verb] if verb in SAYS or (verb == "reclaim" and state == "active") else []
    assert said() == told + (["letter"] if verb == "hand over" else [])
    if verb in SAYS:
        update = BugUpdate.objects.get()
        assert (update.bug_id, update.op, update.by, set(update.wants)) == (request.pk, OP, duty, SAYS[verb][0])
        assert SAYS[verb][1] in update.wants["comment"]


@pytest.mark.parametrize(("state", "verb"), FORBIDDEN)
def test_a_forbidden_verb_is_refused_in_a_sentence_and_changes_nothing_at_all(state, verb, people, duty):
    MachineFactory()
    request = request_in(state)
    before = every_row()
    with pytest.raises(NotAllowed) as refusal:
        VERBS[verb](request, duty, OP)
    assert str(refusal.value) == (
        f"The request of bug {request.pk} is {state} by now, so this was not done ({verb}): look at its page."
    )
    assert every_row() == before


@pytest.mark.parametrize(("state", "verb"), ALLOWED)
def test_the_same_form_sent_twice_does_it_once_and_is_no_error(state, verb, people, duty):
    MachineFactory()
    request = request_in(state)
    read_before = LoanerRequest.objects.get(pk=request.pk)
    machine = the_free_machine()
    row = VERBS[verb](request, duty, OP)
    before = every_row()
    for again in (read_before, LoanerRequest.objects.get(pk=request.pk)):
        if verb == "prepare":
            lending.prepare(again, machine, by=duty)
        else:
            assert VERBS[verb](again, duty, OP) == row
    assert every_row() == before


@pytest.mark.parametrize(("state", "verb"), ALLOWED)
def test_whoever_saw_an_older_state_is_told_and_nothing_is_done(state, verb, people, duty, lead):
    """Else one who declines what was just approved would undo it without having seen it."""
    MachineFactory()
    request = request_in(state)
    shown = LoanerRequest.objects.get(pk=request.pk)
    other = next(other for other in RequestState if other != state and other in PROMISED[verb][0]) if (
        len(PROMISED[verb][0].split(", ")) > 1
    ) else RequestState.DECLINED  # fmt: skip
    LoanerRequest.objects.filter(pk=request.pk).update(state=other)
    before = every_row()
    with pytest.raises(NotAllowed, match=f"is {other} by now"):
        VERBS[verb](shown, lead, OP)
    assert every_row() == before


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("prepare", "reclaim")])
def test_a_form_that_did_something_else_before_is_refused_and_changes_nothing(verb, people, duty):
    """The back button shows a page whose forms were sent."""
    MachineFactory()
    request = request_in(RequestState(PROMISED[verb][0].split(", ")[0]))
    post.bug_update(
        key=f"{request.about} answer {OP}", purpose="loaners: answer", about=request.about, bug_id=request.pk,
        wants={"comment": "Hello."}, op=OP,
    )  # fmt: skip
    before = every_row()
    with pytest.raises(NotAllowed, match="This form was sent before, for something else: load the page anew"):
        VERBS[verb](request, duty, OP)
    assert every_row() == before


# --- two people at once -----------------------------------------------------------------------------------------------


def doing(verb, request, by, op):
    """Return what does a verb with the request as it is now, and returns what the person is told."""
    shown = LoanerRequest.objects.get(pk=request.pk)

    def do():
        try:
            VERBS[verb](shown, by, op)
        except NotAllowed as refusal:
            return str(refusal)
        return "done"

    return do


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("state", "first", "second"),
    [
        ("requested", "approve", "decline"),
        ("requested", "approve", "approve"),
        ("requested", "decline", "cancel"),
        ("requested", "ask for information", "decline"),
        ("approved", "prepare", "cancel"),
        ("preparing", "hand over", "hand over"),
        ("preparing", "hand over", "reclaim"),
        ("active", "extend", "extend"),
        ("active", "give back", "reclaim"),
        ("active", "give back", "give back"),
        ("active", "reclaim", "reclaim"),
        ("reclaiming", "finish", "finish"),
    ],
)
def test_of_two_at_once_one_does_it_and_the_other_is_told(state, first, second, people, duty, lead):
    for number in range(4):
        machine = MachineFactory()
        request = request_in(RequestState(state))
        ops = (f"{number:07x}a", f"{number:07x}b")
        updates, entries = BugUpdate.objects.count(), Entry.objects.filter(about=request.about).count()
        outcomes = at_once([doing(first, request, duty, ops[0]), doing(second, request, lead, ops[1])])
        assert outcomes.count("done") == 1, outcomes
        [told] = [words for words in outcomes if words != "done"]
        assert re.search(r" by now, so this was not done | already: choose a later day", told), told
        assert BugUpdate.objects.count() - updates <= 1
        assert Entry.objects.filter(about=request.about).count() == entries + 1
        MachineFactory._meta.model.objects.filter(pk=machine.pk).update(state=MachineState.RETIRED)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_choose_the_same_machine_one_gets_it_and_the_other_hears_who(people, duty, lead):
    for _ in range(4):
        machine, requests = MachineFactory(), [request_in(RequestState.APPROVED) for _ in range(2)]

        def choose(request, by, machine=machine):
            try:
                lending.prepare(LoanerRequest.objects.get(pk=request.pk), machine, by=by)
            except NotAllowed as refusal:
                return str(refusal)
            return "done"

        outcomes = at_once([partial(choose, requests[0], duty), partial(choose, requests[1], lead)])
        [winner] = LoanerRequest.objects.filter(pk__in=[one.pk for one in requests], machine=machine)
        [told] = [words for words in outcomes if words != "done"]
        assert f"is reserved for the loan of bug {winner.pk} by now" in told
        assert winner.state == RequestState.PREPARING
        [loser] = [one for one in LoanerRequest.objects.filter(pk__in=[one.pk for one in requests]) if one != winner]
        assert (loser.state, loser.machine_id, loser.steps.count()) == (RequestState.APPROVED, None, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("prepare", "reclaim")])
def test_a_form_sent_twice_at_the_same_moment_does_one_thing(verb, people, duty):
    MachineFactory()
    request = request_in(RequestState(PROMISED[verb][0].split(", ")[0]))
    outcomes = at_once([doing(verb, request, duty, OP) for _ in range(3)])
    assert outcomes == ["done"] * 3
    assert BugUpdate.objects.filter(op=OP).count() == Entry.objects.filter(about=request.about, verb=verb).count() == 1


# --- what is said, and by whom ----------------------------------------------------------------------------------------


def test_only_cidutys_words_are_signed_as_the_teams(people, duty, developer):
    assert workflow.signed("Yes.", duty) == "Yes.\n\nduty, CiDuty"
    assert workflow.signed("Yes.", developer) == "Yes.\n\ndeveloper"


def test_a_question_asks_who_asked_here_even_though_the_bot_filed_the_bug(duty):
    person = BugzillaLoginFactory(person__username="somebody", login="somebody@example.com").person
    request = request_in(RequestState.REQUESTED)
    ApplicationFactory(person=person, bug_id=request.pk)
    workflow.ask_for_information(request, by=duty, question="Which suite?", op=OP)
    assert BugUpdate.objects.get().wants["needinfo"] == {"of": "somebody@example.com"}


def test_nobody_is_asked_where_nobody_is_known(duty):
    request = request_in(RequestState.REQUESTED)
    BugText.objects.filter(pk=request.pk).update(creator="")
    before = every_row()
    with pytest.raises(NotAllowed, match="Nobody is known whom Bugzilla could ask: write a comment instead"):
        workflow.ask_for_information(request, by=duty, question="Which suite?", op=OP)
    assert every_row() == before


def test_a_request_is_declined_only_with_a_reason_which_is_kept(duty):
    request = request_in(RequestState.REQUESTED)
    with pytest.raises(NotAllowed, match="Say why it is declined"):
        workflow.decline(request, by=duty, because=" \n", op=OP)
    assert said() == []
    workflow.decline(request, by=duty, because="Try is enough.", op=OP)
    assert request.declined_because == "Try is enough."
    assert "Try is enough" not in Entry.objects.get().sentence


@pytest.mark.parametrize("verb", ["ask for information", "approve", "decline", "cancel"])
@pytest.mark.parametrize(
    ("bug", "why"),
    [
        ({"visibility": Visibility.RESTRICTED}, "This bug is restricted: answer it in Bugzilla"),
        ({"is_open": False}, "This bug is closed: reopen it in Bugzilla first"),
    ],
)
def test_nothing_is_decided_on_a_bug_that_nobody_can_answer(verb, bug, why, duty):
    request = request_in(RequestState.REQUESTED)
    type(request.bug).objects.filter(pk=request.pk).update(**bug)
    before = every_row()
    with pytest.raises(NotAllowed, match=why):
        VERBS[verb](LoanerRequest.objects.get(pk=request.pk), duty, OP)
    assert every_row() == before


def test_an_answer_is_none_of_the_moves_and_one_however_often_it_is_sent(duty):
    request = request_with_words()
    first = workflow.answer(request, by=duty, comment="Hello.", op=OP)
    assert workflow.answer(request, by=duty, comment="Hello.", op=OP) == first
    assert (request.state, Entry.objects.get().verb) == (RequestState.REQUESTED, "answered")


def test_a_bug_whose_words_are_not_known_is_answered_all_the_same(duty):
    request = request_with_words()
    BugText.objects.all().delete()
    workflow.answer(LoanerRequest.objects.get(), by=duty, comment="Hello.", op=OP)
    assert BugUpdate.objects.get().seen == {"audience": Visibility.PUBLIC}
    assert request.about == BugUpdate.objects.get().about


# --- what answers the requester ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["ask for information", "approve", "decline", "hand over", "extend", "cancel"])
def test_the_promise_is_kept_when_bugzilla_has_what_answers(verb, people, duty):
    request = request_in(RequestState(PROMISED[verb][0].split(", ")[0]))
    VERBS[verb](request, duty, OP)
    row, at = BugUpdate.objects.get(), clock.now()
    assert LoanerRequest.objects.get().answered_at is None
    BugUpdate.objects.filter(pk=row.pk).update(state=State.ACCEPTED, accepted_at=at)
    for _ in range(2):  # a hook that failed is called again
        workflow.happened(BugUpdate.objects.get())
    expected = at if verb in ("ask for information", "approve", "decline", "hand over") else None
    assert LoanerRequest.objects.get().answered_at == expected
    assert AnsweredHere.objects.count() == (expected is not None)


def test_a_refused_answer_keeps_no_promise(duty):
    workflow.approve(request_in(RequestState.REQUESTED), by=duty, op=OP)
    BugUpdate.objects.update(state=State.FAILED)
    workflow.happened(BugUpdate.objects.get())
    assert LoanerRequest.objects.get().answered_at is None


# --- between our word and Bugzilla's ----------------------------------------------------------------------------------


def why_held(row):
    stop = workflow.may_still_go(row)
    return (stop.why, stop.for_good) if stop else None


def test_what_we_say_to_a_bug_that_was_closed_meanwhile_is_held_for_a_person(duty):
    request = request_in(RequestState.REQUESTED)
    row = workflow.approve(request, by=duty, op=OP)
    assert why_held(row) is None
    type(request.bug).objects.update(is_open=False)
    assert why_held(row) == ("The bug was closed meanwhile: look whether this is still wanted.", False)


@pytest.mark.parametrize("verb", ["decline", "cancel"])
def test_our_own_closing_whose_answer_was_lost_is_looked_for_in_the_bug_that_it_closed(verb, duty):
    request = request_in(RequestState.REQUESTED)
    row = VERBS[verb](request, duty, OP)
    type(request.bug).objects.update(is_open=False)
    assert why_held(row) == ("The bug was closed meanwhile: look whether this is still wanted.", False)
    row.uncertain_since = clock.now()
    assert why_held(row) is None


def test_what_was_written_for_staff_is_held_when_the_bug_is_public_now(duty):
    request = request_in(RequestState.REQUESTED)
    bugs = type(request.bug).objects
    bugs.update(visibility=Visibility.STAFF)
    row = workflow.approve(LoanerRequest.objects.get(), by=duty, op=OP)
    assert why_held(row) is None
    bugs.update(visibility=Visibility.PUBLIC)
    assert why_held(row) == (
        "It was written for staff only, and the bug is public now: look at the words again.",
        False,
    )


@pytest.fixture
def bug(bugzilla, people):
    """A request in the sandbox, seen by a poll."""
    number = file(bugzilla, at=clock.now() - timedelta(hours=1))
    cycle_done(read=1)
    return number


def refuse(bugzilla):
    body = {"error": True, "code": 115, "message": "No."}
    bugzilla.faults.add(Fault("status", match="^PUT", status=401, body=body, times=1))


@pytest.mark.parametrize("verb", ["approve", "decline", "cancel", "ask for information"])
def test_what_bugzilla_refuses_stands_on_the_page_as_failed(verb, bug, bugzilla, people, duty):
    VERBS[verb](LoanerRequest.objects.get(), duty, OP)
    refuse(bugzilla)
    assert dict(delivery.deliver(delivery.BUGS)) == {"parked": 1}
    cycle_done()
    request = LoanerRequest.objects.get()
    assert (request.state, request.answered_at) == (PROMISED[verb][1], None)
    page = browser_of(duty).get(f"/loaners/{bug}/").content.decode()
    assert workflow.PURPOSES[f"loaners: {verb}"] in page
    assert "Failed" in page


@pytest.mark.parametrize("verb", ["decline", "cancel"])
def test_a_request_that_is_over_here_and_open_in_bugzilla_is_a_disagreement(verb, bug, bugzilla, duty):
    VERBS[verb](LoanerRequest.objects.get(), duty, OP)
    refuse(bugzilla)
    delivery.deliver(delivery.BUGS)
    cycle_done()
    state = PROMISED[verb][1]
    assert reclaiming.disagreement(LoanerRequest.objects.get()) == (
        f"The request is {state} here, and the bug is open in Bugzilla: look below what it has not taken."
    )
    outbox.try_again(BugUpdate.objects.get(), duty)
    assert dict(delivery.deliver(delivery.BUGS)) == {"sent": 1}
    cycle_done()
    assert reclaiming.disagreement(LoanerRequest.objects.get()) == ""
    assert LoanerRequest.objects.get().state == state


# --- the requester answers our question from here ---------------------------------------------------------------------


def asked_and_seen(bug, duty):
    workflow.ask_for_information(LoanerRequest.objects.get(), by=duty, question="Which suite?", op=ANOTHER_OP)
    assert dict(delivery.deliver(delivery.BUGS)) == {"sent": 1}
    cycle_done()
    return LoanerRequest.objects.get()


def test_an_answer_from_here_clears_what_asks_in_bugzilla_and_the_request_goes_on(bug, bugzilla, duty, developer):
    request = asked_and_seen(bug, duty)
    assert request.state == RequestState.NEEDS_INFO
    row = workflow.hear_back(request, by=developer, comment="reftest.", op=OP)
    assert workflow.hear_back(request, by=developer, comment="reftest.", op=OP) == row
    assert LoanerRequest.objects.get().state == RequestState.NEEDS_INFO  # Bugzilla has not got it yet
    assert dict(delivery.deliver(delivery.BUGS)) == {"sent": 1}
    cycle_done()
    assert LoanerRequest.objects.get().state == RequestState.REQUESTED
    assert bugzilla.world.bug(bug)["flags"] == []
    said_there = bugzilla.world.db.execute("SELECT text FROM comments WHERE bug_id = ? ORDER BY id", [bug]).fetchall()
    assert said_there[-1][0].startswith("reftest.\n\ndeveloper\n\nref ")
    assert [entry.verb for entry in Entry.objects.filter(about=request.about, actor=Actor.PERSON)] == [
        "ask for information", "answered the question",
    ]  # fmt: skip


def test_only_the_requesters_own_needinfo_is_cleared(bug, bugzilla, duty, developer):
    flags = [{"name": "needinfo", "status": "?", "requestee": "sheriff@example.com", "new": True}]
    bugzilla.world.update(bug, "duty@example.com", {"flags": flags})
    request = asked_and_seen(bug, duty)
    workflow.hear_back(request, by=developer, comment="reftest.", op=OP)
    assert dict(delivery.deliver(delivery.BUGS)) == {"sent": 1}
    assert [flag["requestee"] for flag in bugzilla.world.bug(bug)["flags"]] == ["sheriff@example.com"]


def test_a_question_that_bugzilla_has_not_shown_yet_cannot_be_answered_here(bug, duty, developer):
    workflow.ask_for_information(LoanerRequest.objects.get(), by=duty, question="Which suite?", op=ANOTHER_OP)
    before = every_row()
    with pytest.raises(NotAllowed, match="Bugzilla has not shown us yet that you are asked: wait a minute"):
        workflow.hear_back(LoanerRequest.objects.get(), by=developer, comment="reftest.", op=OP)
    assert every_row() == before


# --- no word of a restricted bug --------------------------------------------------------------------------------------


def test_the_reason_for_declining_goes_when_the_bug_turns_restricted(bug, bugzilla, duty):
    workflow.decline(LoanerRequest.objects.get(), by=duty, because="the Zanzibar leak needs no box", op=OP)
    delivery.deliver(delivery.BUGS)
    cycle_done()
    assert LoanerRequest.objects.get().declined_because
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": ["infra-bot-sees"]}})
    cycle_done()
    sealing.follow()
    rows = str(every_row())
    assert "Zanzibar" not in rows
    assert LoanerRequest.objects.get().state == RequestState.DECLINED


def test_a_person_of_ciduty_is_the_record_of_each_verb_and_role_counts_nothing_here(people):
    """Who may is asked of `access.py` by the pages; the verbs note whoever it was."""
    request = request_in(RequestState.ACTIVE)
    lending.give_back(request, by=people[Role.DEVELOPER], op=OP)
    assert Entry.objects.get(about=request.about).by == people[Role.DEVELOPER]


def test_a_move_of_the_table_that_is_slipped_past_the_verbs_is_refused_by_the_state_itself(duty):
    request = request_in(RequestState.RETURNED)
    with pytest.raises(NotAllowed):
        states.move(request, MOVES, "approve", "Approved", by=duty, at=clock.now())
