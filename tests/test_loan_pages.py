"""A loan is clicked through on its page: each role finds exactly the verbs that it may do, and each does one thing."""

import csv
import io
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.bugzilla.sandbox import Fault
from ciduty.outbox import as_sent, delivery
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.outbox.rules import State
from ciduty.people.roles import Role
from ciduty.record import write
from loaners import checklists, loan_verbs, queue
from loaners.models import Grant, ListKind, LoanerRequest
from loaners.rules import HAS_MACHINE, MOVES, OUT, OVER, RequestState
from tests.cast import (
    A_MORNING,
    ApplicationFactory,
    BugTextFactory,
    LoanerRequestFactory,
    MachineFactory,
    PersonFactory,
    browser_of,
    cycle_done,
    every_row,
    file,
)

pytestmark = pytest.mark.django_db

OP = "0123abcd"
NEXT_WEEK = timedelta(days=7)
#: What each verb's form is sent with, beside its op.
TYPED = {
    "approve": {"words": ""},
    "ask for information": {"question": "Which suite?"},
    "hear back": {"words": "mochitest"},
    "decline": {"because": "Use try."},
    "prepare": {},
    "hand over": {"how_to": "ssh to it"},
    "extend": {},
    "give back": {},
    "reclaim": {},
    "finish": {},
    "cancel": {},
}
ADDRESSES = {verb: deed.address for verb, deed in loan_verbs.DEEDS.items()}
PATHS = {
    "approve": "approve", "ask for information": "ask", "hear back": "hear-back", "decline": "decline",
    "prepare": "prepare", "hand over": "hand-over", "extend": "extend", "give back": "give-back",
    "reclaim": "reclaim", "finish": "finish", "cancel": "cancel",
}  # fmt: skip


@pytest.fixture(autouse=True)
def somebody_listens(settings):
    """Bugzilla and a mail server are configured; nothing is delivered unless a test does it."""
    settings.BUGZILLA_URL = "http://127.0.0.1:9"
    settings.EMAIL_URL = "smtp://127.0.0.1:9"


def loan(state, *, due_in=NEXT_WEEK, **words):
    """Return a developer's request in a state, with what belongs to it: a machine, its steps, its dates."""
    at = clock.now()
    words = {"creator": "developer@example.com", "assignee": "nobody@example.com"} | words
    fields = {"state": state, "opened_at": at - timedelta(hours=1), "answer_by": at + timedelta(hours=7)}
    if state not in (RequestState.REQUESTED, RequestState.NEEDS_INFO):
        fields |= {"answered_at": at, "answered_with": "comment"}
    if state in HAS_MACHINE:
        of_state = {RequestState.PREPARING: "reserved", RequestState.RECLAIMING: "re-imaging"}.get(state, "on loan")
        fields["machine"] = MachineFactory(state=of_state)
    if state in OUT:
        fields |= {"handed_over_at": at - NEXT_WEEK, "due_at": at + due_in}
    row = LoanerRequestFactory(bug=BugTextFactory(bug__is_open=state not in OVER, **words).bug, **fields)
    for kind, wanted in ((ListKind.PREPARE, RequestState.PREPARING), (ListKind.RECLAIM, RequestState.RECLAIMING)):
        if state == wanted:
            checklists.begin(row, kind)
    return row


def path_of(row, verb=""):
    return f"/loaners/{row.pk}/" + (f"{PATHS[verb]}/" if verb else "")


def look(client, row):
    response = client.get(path_of(row))
    assert response.status_code == 200
    return response.content.decode()


def sent(client, row, verb, op=OP, follow=True, **typed):
    day = (clock.now() + timedelta(days=20)).date()
    fields = {"op": op} | TYPED[verb] | {"until": day} if verb in ("hand over", "extend") else {"op": op} | TYPED[verb]
    if verb == "prepare" and "machine" not in typed:
        fields["machine"] = MachineFactory().pk
    return client.post(path_of(row, verb), fields | typed, follow=follow)


def words_of(response):
    return re.sub(r"\s+", " ", response.content.decode())


def verbs_on(page, row):
    return {verb for verb in PATHS if f'action="{path_of(row, verb)}' in page}


def now_there(row):
    return LoanerRequest.objects.get(pk=row.pk)


def finish_steps(row, by, other):
    at = clock.now()
    row.steps.update(done_at=at, done_by=by, evidence="seen", checked_at=at, checked_by=other)


# --- which verbs stand on the page ------------------------------------------------------------------------------------


def allowed(state):
    return {verb for verb in PATHS if MOVES.allow(verb, state)}


@pytest.mark.parametrize("role", [Role.DUTY, Role.LEAD])
@pytest.mark.parametrize("state", RequestState)
def test_ciduty_finds_exactly_the_verbs_that_the_table_allows(clients, state, role):
    row = loan(state)
    expected = allowed(state) - {"hear back"}
    if state == RequestState.APPROVED:  # choosing needs a class, and this request names none
        assert "Choose a class" in look(clients[role], row)
        expected -= {"prepare"}
    assert verbs_on(look(clients[role], row), row) == expected


@pytest.mark.parametrize("state", RequestState)
def test_the_requester_finds_what_is_theirs_and_the_manager_only_reads(clients, state):
    row = loan(state)
    theirs = allowed(state) & {"hear back", "extend", "give back", "cancel"}
    assert verbs_on(look(clients[Role.DEVELOPER], row), row) == theirs
    page = look(clients[Role.MANAGER], row)
    assert not verbs_on(page, row)
    assert 'id="now"' not in page


def test_a_closed_or_restricted_bug_is_spoken_to_by_nobody_and_the_page_says_why(clients):
    row = loan(RequestState.REQUESTED)
    Bug.objects.filter(pk=row.pk).update(is_open=False)
    page = look(clients[Role.DUTY], row)
    assert not verbs_on(page, row) and "This bug is closed" in page
    Bug.objects.filter(pk=row.pk).update(is_open=True, visibility=Visibility.RESTRICTED)
    page = look(clients[Role.DUTY], row)
    assert not verbs_on(page, row) and "This bug is restricted" in page


@pytest.mark.parametrize("verb", PATHS)
@pytest.mark.parametrize("state", RequestState)
def test_what_the_table_forbids_changes_nothing_and_says_so(clients, state, verb):
    if MOVES.allow(verb, state):
        return
    row = loan(state)
    client = clients[Role.DEVELOPER if verb == "hear back" else Role.DUTY]
    day = (clock.now() + timedelta(days=20)).date()
    typed = {"op": OP, "until": day, "machine": MachineFactory().pk} | TYPED[verb]
    client.get(path_of(row))
    before = every_row(leave_out=["django_session"])
    response = client.post(path_of(row, verb), typed)
    assert response.status_code == 302
    assert every_row(leave_out=["django_session"]) == before
    page = words_of(client.get(path_of(row)))
    assert f"is {RequestState(state).label.lower()} by now" in page


def test_nobody_acts_on_somebody_elses_request(clients, people):
    row = loan(RequestState.ACTIVE)
    assert sent(clients[Role.MANAGER], row, "give back").status_code == 403
    stranger_to_it = browser_of(PersonFactory(username="developer2"))
    assert sent(stranger_to_it, row, "extend").status_code == 404
    assert sent(clients[Role.DEVELOPER], row, "reclaim").status_code == 403
    waits = loan(RequestState.NEEDS_INFO)
    assert sent(clients[Role.DUTY], waits, "hear back").status_code == 403
    assert now_there(row).state == RequestState.ACTIVE and now_there(waits).state == RequestState.NEEDS_INFO


# --- through the whole life -------------------------------------------------------------------------------------------


def test_each_verb_does_one_thing_however_often_its_form_is_sent(clients, people):
    duty, lead, developer = (clients[role] for role in (Role.DUTY, Role.LEAD, Role.DEVELOPER))
    row = loan(RequestState.REQUESTED)
    machine = MachineFactory()

    def twice(client, verb, op, **typed):
        for _ in range(2):
            assert sent(client, row, verb, op, **typed).status_code == 200
        return now_there(row)

    assert twice(duty, "ask for information", "00000001").state == RequestState.NEEDS_INFO
    assert twice(duty, "approve", "00000002").state == RequestState.APPROVED
    assert twice(duty, "prepare", "00000003", machine=machine.pk).machine == machine
    for step in row.steps.filter(kind=ListKind.PREPARE):
        for _ in range(2):
            duty.post(f"/loaners/{row.pk}/steps/{step.pk}/done/", {"evidence": "seen"})
        if step.second_look:
            lead.post(f"/loaners/{row.pk}/steps/{step.pk}/check/", {"evidence": ""})
    given = {"what": "VPN group", "grantee": "developer@example.com", "reason": "Loan", "op": OP}
    for _ in range(2):
        duty.post(f"/loaners/{row.pk}/grant/", given | {"expires": (clock.now() + NEXT_WEEK).date()})
    assert Grant.objects.count() == 1
    assert twice(duty, "hand over", "00000004").state == RequestState.ACTIVE
    assert Mail.objects.filter(purpose="loaners: letter").count() == 1
    later = (clock.now() + timedelta(days=40)).date()
    assert twice(developer, "extend", "00000005", until=later).extensions == 1
    assert twice(developer, "give back", "00000006").state == RequestState.RETURN_REQUESTED
    assert twice(duty, "reclaim", "00000007").state == RequestState.RECLAIMING
    for step in row.steps.filter(kind=ListKind.RECLAIM):
        duty.post(f"/loaners/{row.pk}/steps/{step.pk}/done/", {"evidence": "job 4711 green"})
    duty.post(f"/loaners/{row.pk}/grants/{Grant.objects.get().pk}/revoke/", {"evidence": "the group’s list"})
    assert twice(duty, "finish", "00000008").state == RequestState.RETURNED
    said = list(BugUpdate.objects.order_by("pk").values_list("purpose", flat=True))
    assert said == [f"loaners: {verb}" for verb in
                    ("ask for information", "approve", "hand over", "extend", "give back", "finish")]  # fmt: skip


@pytest.mark.parametrize("verb", ["approve", "decline", "cancel"])
def test_the_second_of_two_people_hears_what_the_first_one_did(clients, verb):
    row = loan(RequestState.REQUESTED)
    assert sent(clients[Role.DUTY], row, verb, "00000001").status_code == 200
    page = words_of(sent(clients[Role.LEAD], row, verb, "00000002"))
    assert "by now, so this was not done" in page
    assert BugUpdate.objects.count() == 1


def test_one_machine_goes_to_one_of_two_requests(clients):
    first, second, machine = loan(RequestState.APPROVED), loan(RequestState.APPROVED), MachineFactory()
    sent(clients[Role.DUTY], first, "prepare", machine=machine.pk)
    response = sent(clients[Role.LEAD], second, "prepare", machine=machine.pk)
    assert f"reserved for the loan of bug {first.pk} by now" in words_of(response)
    assert now_there(second).state == RequestState.APPROVED and now_there(second).machine is None


def test_a_form_that_was_sent_cannot_do_something_else(clients):
    row = loan(RequestState.REQUESTED)
    sent(clients[Role.DUTY], row, "ask for information", OP)
    page = words_of(sent(clients[Role.DUTY], row, "decline", OP))
    assert "sent before, for something else" in page
    assert now_there(row).state == RequestState.NEEDS_INFO


# --- what is typed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "verb", "typed", "problem"),
    [
        (RequestState.REQUESTED, "ask for information", {"question": " "}, "Write the question"),
        (RequestState.REQUESTED, "decline", {"because": ""}, "Give the reason"),
        (RequestState.REQUESTED, "decline", {"because": "x" * 20_000}, "20,000 characters long, and 10,000 fit"),
        (RequestState.REQUESTED, "approve", {"words": "no\u202e way"}, "cannot be seen (U+202E)"),
        (RequestState.REQUESTED, "approve", {"op": "zz"}, "no longer whole"),
        (RequestState.NEEDS_INFO, "hear back", {"words": ""}, "Write your answer"),
        (RequestState.APPROVED, "prepare", {"machine": "999999999999999999999"}, "not in the pool"),
        (RequestState.APPROVED, "prepare", {"machine": ""}, "Choose a machine"),
        (RequestState.PREPARING, "hand over", {"how_to": ""}, "Write how to reach the machine"),
        (RequestState.PREPARING, "hand over", {"until": "soon"}, "write it like 2026-03-17"),
        (RequestState.ACTIVE, "extend", {"until": "2001-01-01"}, "is over already"),
        (RequestState.ACTIVE, "extend", {"until": "9999-12-31"}, "too far ahead"),
        (RequestState.ACTIVE, "extend", {"until": ""}, "Say until when"),
    ],
)
def test_what_cannot_be_done_is_said_at_its_field_and_nothing_is_saved(clients, state, verb, typed, problem):
    row = loan(state, summary="Loan a t-w1064-ms machine")
    MachineFactory()
    client = clients[Role.DEVELOPER if verb == "hear back" else Role.DUTY]
    look(client, row)
    before = every_row(leave_out=["django_session"])
    response = sent(client, row, verb, follow=False, **typed)
    assert response.status_code == 422
    page = words_of(response)
    assert problem in page and "Nothing was sent yet" in page
    assert every_row(leave_out=["django_session"]) == before


def test_what_was_typed_stays_when_a_rule_refuses(clients):
    row = loan(RequestState.PREPARING)
    response = sent(clients[Role.DUTY], row, "hand over", how_to="ssh to the host, port 2222")
    assert response.status_code == 422
    page = words_of(response)
    assert "It cannot be handed over yet. Still missing:" in page
    assert "ssh to the host, port 2222" in page
    row = loan(RequestState.NEEDS_INFO)
    response = sent(clients[Role.DEVELOPER], row, "hear back", words="mochitest-media-2")
    assert "Bugzilla has not shown us yet" in words_of(response) and "mochitest-media-2" in words_of(response)


def test_the_hand_over_can_be_looked_at_first_and_leaves_as_it_was_shown(clients, duty, lead):
    row = loan(RequestState.PREPARING)
    finish_steps(row, duty, lead)
    page = sent(clients[Role.DUTY], row, "hand over", preview="1", how_to="ssh -p 2222 loaner@host").content.decode()
    assert "Nothing was sent yet." in page and f"ref {OP}" in page
    assert not Mail.objects.exists() and not BugUpdate.objects.exists()
    sent(clients[Role.DUTY], row, "hand over", how_to="ssh -p 2222 loaner@host")
    letter, comment = Mail.objects.get(), BugUpdate.objects.get().wants["comment"]
    assert letter.recipient == "developer@example.com"
    shown = page.replace("&#x27;", "'").replace("&quot;", '"').replace("&gt;", ">").replace("&amp;", "&")
    assert as_sent.read(letter.message).text.strip() in shown
    assert all(line in shown for line in comment.splitlines())
    assert "2222" not in comment


def test_a_proof_is_wanted_for_each_step_of_taking_back(clients):
    row = loan(RequestState.RECLAIMING)
    step = row.steps.first()
    response = clients[Role.DUTY].post(f"/loaners/{row.pk}/steps/{step.pk}/done/", {"evidence": "  "})
    assert response.status_code == 422 and "That is the proof." in words_of(response)
    step.refresh_from_db()
    assert step.done_at is None
    page = words_of(clients[Role.DUTY].get(path_of(row)))
    assert "Still missing:" in page and f"{step.text} (not done)" in page
    assert re.search(r'<button type="submit" disabled>Finish the loan', page)


def test_a_step_says_who_did_it_who_looked_at_it_and_that_they_were_alone(clients, duty, lead):
    row = loan(RequestState.PREPARING)
    step = row.steps.get(key="clean secrets")
    address = f"/loaners/{row.pk}/steps/{step.pk}"
    clients[Role.DUTY].post(f"{address}/done/", {"evidence": "find / said nothing"})
    page = words_of(clients[Role.DUTY].get(path_of(row)))
    assert "find / said nothing" in page and "I looked at it too" in page
    row.steps.filter(pk=step.pk).update(checked_at=clock.now(), checked_by=duty)
    assert ">Alone<" in look(clients[Role.DUTY], row)
    row.steps.filter(pk=step.pk).update(checked_by=lead)
    assert ">Alone<" not in look(clients[Role.DUTY], row)
    clients[Role.DUTY].post(f"{address}/undo/")
    step.refresh_from_db()
    assert step.done_at is None
    assert (
        clients[Role.DUTY].post(f"/loaners/{loan(RequestState.PREPARING).pk}/steps/{step.pk}/done/").status_code == 404
    )


def test_the_borrower_reads_of_the_loan_and_not_of_the_work_on_the_machine(clients, duty):
    row = loan(RequestState.PREPARING)
    write.entry(row.about, "step done", "Done: the secrets", by=duty)
    write.entry(row.about, "approve", "Approved", by=duty)
    for role, told in ((Role.DEVELOPER, False), (Role.MANAGER, True), (Role.DUTY, True)):
        page = look(clients[role], row)
        assert "Approved" in page
        assert ("Done: the secrets" in page) == told


def test_access_is_written_down_and_taken_away_with_a_proof(clients, duty):
    row = loan(RequestState.ACTIVE)
    page = look(clients[Role.DUTY], row)
    assert 'value="developer@example.com"' in page, "to who asked, unless somebody says otherwise"
    given = {"what": "VPN group", "grantee": "developer@example.com", "reason": "Loan", "op": OP}
    refused = clients[Role.DUTY].post(f"/loaners/{row.pk}/grant/", given | {"expires": "2001-01-01"})
    assert refused.status_code == 422 and "an access ends on a day to come" in words_of(refused)
    clients[Role.DUTY].post(f"/loaners/{row.pk}/grant/", given | {"expires": (clock.now() + NEXT_WEEK).date()})
    grant = Grant.objects.get()
    assert (grant.what, grant.granted_by) == ("VPN group", duty)
    gone = f"/loaners/{row.pk}/grants/{grant.pk}/revoke/"
    assert clients[Role.DUTY].post(gone, {"evidence": ""}).status_code == 422
    assert clients[Role.DUTY].post(gone, {"evidence": "not in the list any more"}).status_code == 302
    grant.refresh_from_db()
    assert (grant.revoked_by, grant.evidence) == (duty, "not in the list any more")


def test_no_form_of_a_loan_has_a_field_for_a_secret(clients):
    for state in RequestState:
        page = look(clients[Role.DUTY], loan(state))
        assert 'type="password"' not in page
        names = set(re.findall(r'name="(\w+)"', page))
        assert not {name for name in names if re.search("pass|secret|token(?!middleware)|key", name)} - {
            "csrfmiddlewaretoken"
        }


# --- choosing a machine -----------------------------------------------------------------------------------------------


def test_the_least_harmful_machine_of_the_class_is_suggested_with_its_reason_and_the_others_can_be_chosen(clients):
    busy, spare = MachineFactory(host="t-w1064-ms-100"), MachineFactory(host="t-w1064-ms-101", is_spare=True)
    row = loan(RequestState.APPROVED, summary="Loan a t-w1064-ms machine to developer")
    page = look(clients[Role.DUTY], row)
    assert f"<strong>Suggested: {spare}.</strong> Spare, CI does not need it" in page
    offered = re.findall(r'<option value="(\d+)"', page)
    assert offered == [str(spare.pk), str(busy.pk)]
    spare.delete()
    assert "It is the last free machine of t-w1064-ms" in words_of(clients[Role.DUTY].get(path_of(row)))
    busy.delete()
    assert "No machine of t-w1064-ms is free" in words_of(clients[Role.DUTY].get(path_of(row)))


def test_another_class_than_the_one_asked_for_can_be_looked_at_and_is_warned_of(clients):
    MachineFactory(machine_class__name="t-linux64-ms", host="t-linux64-ms-001")
    row = loan(RequestState.APPROVED, summary="Loan a t-w1064-ms machine to developer")
    page = words_of(clients[Role.DUTY].get(path_of(row) + "?class=t-linux64-ms"))
    assert "t-linux64-ms-001 (CI uses it" in page and "They asked for t-w1064-ms" in page


# --- the page that refreshes itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", RequestState)
def test_the_part_that_refreshes_itself_holds_nothing_that_somebody_types_into(clients, state):
    row = loan(state)
    part = clients[Role.DUTY].get(path_of(row), headers={"hx-request": "true"}).content.decode()
    assert not re.search(r"<textarea|<select|<input(?! type=\"hidden\")", part)
    assert 'id="now"' not in part
    assert {'id="facts" hx-swap-oob', 'id="clock" hx-swap-oob', 'id="history" hx-swap-oob'} <= set(
        re.findall(r'id="\w+" hx-swap-oob', part)
    )


def test_an_open_page_says_that_somebody_else_did_something(clients):
    row = loan(RequestState.REQUESTED)
    page = look(clients[Role.DUTY], row)
    polled = re.search(r'hx-get="([^"]+\?seen=\w+)"', page)[1]
    as_htmx = {"hx-request": "true"}
    assert "Something was done here" not in clients[Role.DUTY].get(polled, headers=as_htmx).content.decode()
    sent(clients[Role.LEAD], row, "approve")
    assert "Something was done here" in clients[Role.DUTY].get(polled, headers=as_htmx).content.decode()


def test_the_requester_sees_their_place_in_the_queue(clients):
    later, first = loan(RequestState.REQUESTED), loan(RequestState.REQUESTED)
    LoanerRequest.objects.filter(pk=first.pk).update(answer_by=clock.now())
    loan(RequestState.CANCELLED)
    loan(RequestState.ACTIVE)
    assert "number 1 of 2 waiting" in look(clients[Role.DEVELOPER], first)
    assert "number 2 of 2 waiting" in look(clients[Role.DEVELOPER], later)
    LoanerRequest.objects.filter(pk=first.pk).update(paused_since=clock.now())
    assert "waiting</" not in look(clients[Role.DEVELOPER], first).replace("number 1 of", "")
    assert "number 1 of 1 waiting" in look(clients[Role.DEVELOPER], later)


def test_due_soon_and_overdue_are_words_derived_from_the_due_date(clients):
    for due_in, word in ((timedelta(days=4), None), (timedelta(days=2), "Due soon"), (timedelta(days=-1), "Overdue")):
        facts = look(clients[Role.DEVELOPER], loan(RequestState.ACTIVE, due_in=due_in)).partition('id="facts"')[2]
        chips = re.findall(r'<span class="state [\w-]+">([\w ]+)</span>', facts.partition("<dt>Answer")[0])
        assert chips == ["Active", *([word] if word else [])]


# --- where Bugzilla disagrees -----------------------------------------------------------------------------------------


def disagreeing(state, **bug):
    row = loan(state)
    Bug.objects.filter(pk=row.pk).update(**bug)
    return row


def test_a_bug_that_was_closed_while_the_machine_is_out_can_be_reopened_with_one_click(clients, duty):
    row = disagreeing(RequestState.ACTIVE, is_open=False, status="RESOLVED", resolution="FIXED")
    page = look(clients[Role.DUTY], row)
    assert "Bugzilla disagrees." in page and "is still out" in page
    assert "Reopen the bug" in page and "Begin to take the machine back" in page
    for role, op in ((Role.DUTY, "00000001"), (Role.DUTY, "00000001"), (Role.LEAD, "00000002")):
        answer = clients[role].post(f"/loaners/{row.pk}/reopen-bug/", {"op": op}, follow=True)
    assert "on its way to Bugzilla already" in words_of(answer)
    update = BugUpdate.objects.get()
    assert update.wants["status"] == "REOPENED" and update.by == duty
    assert "Bugzilla disagrees." not in look(clients[Role.DUTY], row)
    assert now_there(row).state == RequestState.ACTIVE


def test_a_loan_that_is_over_resolves_its_bug_with_one_click(clients):
    row = disagreeing(RequestState.RETURNED, is_open=True)
    LoanerRequest.objects.filter(pk=row.pk).update(machine=MachineFactory())
    assert "Resolve the bug" in look(clients[Role.DUTY], row)
    clients[Role.DUTY].post(f"/loaners/{row.pk}/resolve-bug/", {"op": OP})
    assert BugUpdate.objects.get().wants["resolution"] == "FIXED"


def test_only_ciduty_and_managers_read_of_a_disagreement_and_only_ciduty_settles_it(clients):
    row = disagreeing(RequestState.ACTIVE, is_open=False)
    assert "Bugzilla disagrees." not in look(clients[Role.DEVELOPER], row)
    page = look(clients[Role.MANAGER], row)
    assert "Bugzilla disagrees." in page and "Reopen the bug" not in page


def test_a_bug_that_agrees_again_is_not_reopened(bugzilla, clients):
    bug = file(bugzilla, at=clock.now() - timedelta(hours=1))
    cycle_done()
    LoanerRequest.objects.filter(pk=bug).update(
        state=RequestState.ACTIVE, machine=MachineFactory(state="on loan"), handed_over_at=A_MORNING, due_at=A_MORNING
    )
    bugzilla.world.update(bug, "duty@example.com", {"status": "RESOLVED", "resolution": "FIXED"})
    cycle_done()
    bugzilla.faults.add(Fault("status", match="^PUT", status=503, body="", times=1))
    clients[Role.DUTY].post(f"/loaners/{bug}/reopen-bug/", {"op": OP})
    delivery.deliver(delivery.BUGS)
    bugzilla.world.update(bug, "duty@example.com", {"status": "REOPENED"})
    cycle_done()
    clock.move(timedelta(minutes=10))
    delivery.deliver(delivery.BUGS)
    assert BugUpdate.objects.get().state == State.CANCELLED


def test_the_reopened_bug_is_read_and_the_disagreement_is_over(bugzilla, clients):
    bug = file(bugzilla, at=clock.now() - timedelta(hours=1))
    cycle_done()
    machine = MachineFactory(state="on loan")
    LoanerRequest.objects.filter(pk=bug).update(
        state=RequestState.ACTIVE, machine=machine, handed_over_at=clock.now(), due_at=clock.now() + NEXT_WEEK
    )
    bugzilla.world.update(bug, "duty@example.com", {"status": "RESOLVED", "resolution": "FIXED"})
    cycle_done()
    assert "Bugzilla disagrees" in clients[Role.DUTY].get("/").content.decode(), "it stands on the desk"
    clients[Role.DUTY].post(f"/loaners/{bug}/reopen-bug/", {"op": OP})
    delivery.deliver(delivery.BUGS)
    assert bugzilla.world.bug(bug)["status"] == "REOPENED"
    clock.move(timedelta(minutes=10))
    cycle_done()
    assert "Bugzilla disagrees" not in clients[Role.DUTY].get("/").content.decode()
    assert now_there(LoanerRequest(pk=bug)).state == RequestState.ACTIVE


# --- the list ---------------------------------------------------------------------------------------------------------


def numbers_in(page):
    return set(map(int, re.findall(r'href="/loaners/(\d+)/"', page)))


def found(client, **asked):
    return numbers_in(client.get("/loaners/", asked).content.decode())


TAB_OF = {
    "waiting": {"requested", "needs info"},
    "prepare": {"approved", "preparing"},
    "out": {"active"},
    "overdue": set(),
    "back": {"return requested", "reclaiming"},
    "closed": {"returned", "declined", "cancelled"},
    "all": set(RequestState.values),
}


@pytest.mark.parametrize("tab", TAB_OF)
def test_every_request_stands_on_the_tab_of_what_it_needs(clients, tab):
    rows = {str(state): loan(state) for state in RequestState}
    assert found(clients[Role.DUTY], show=tab) == {rows[state].pk for state in TAB_OF[tab]}
    page = clients[Role.DUTY].get("/loaners/", {"show": tab}).content.decode()
    label = queue.tabs_of_ciduty(clock.now())[tab].label
    assert f'aria-current="true">{label} <span class="count">{len(TAB_OF[tab])}</span>' in page


def test_the_list_is_searched_by_state_class_person_and_text(clients):
    mine = loan(RequestState.REQUESTED, summary="Loan a t-linux64-ms machine: compositor crash", creator_name="Ada")
    late = loan(RequestState.ACTIVE, due_in=timedelta(days=-1), summary="Another")
    soon = loan(RequestState.ACTIVE, due_in=timedelta(days=1), summary="Another")
    duty = clients[Role.DUTY]
    assert found(duty, show="all", state="requested") == {mine.pk}
    assert found(duty, show="all", state="overdue") == {late.pk}
    assert found(duty, show="all", state="due soon") == {soon.pk}
    assert found(duty, show="all", **{"class": "t-linux64-ms"}) == {mine.pk}
    assert found(duty, show="all", **{"class": "t-w1064-ms"}) == {late.pk, soon.pk}
    assert found(duty, show="all", person="ada") == {mine.pk}
    assert found(duty, show="all", q="COMPOSITOR") == {mine.pk}
    assert found(duty, show="all", q=late.machine.host) == {late.pk}
    assert found(duty, show="all", q=f"bug {soon.pk}") == {soon.pk}
    assert found(duty, show="all", q="nothing\0 like it") == set()
    assert found(duty, show="all", q="9" * 40) == set()


def test_words_that_somebody_may_not_read_are_not_searched_for_them(clients):
    staff = loan(RequestState.REQUESTED, bug__visibility=Visibility.STAFF, summary="secret plan", creator_name="Ada")
    hidden = loan(RequestState.REQUESTED, bug__visibility=Visibility.RESTRICTED, summary="secret plan")
    ApplicationFactory(person__username="grace", bug_id=hidden.pk)
    for asked in ({"q": "secret"}, {"person": "ada"}):
        assert found(clients[Role.DUTY], show="all", **asked) == {staff.pk}
        assert found(clients[Role.MANAGER], show="all", **asked) == set()
    for asked in ({"person": "grace"}, {"class": "t-w1064-ms"}):
        assert found(clients[Role.DUTY], show="all", **asked) == set()


def test_the_table_is_downloaded_with_formulas_defused_and_restricted_words_left_out(clients):
    loan(RequestState.REQUESTED, summary="=HYPERLINK(1)", creator_name="@someone")
    loan(RequestState.ACTIVE, bug__visibility=Visibility.RESTRICTED, summary="left behind")
    answer = clients[Role.DUTY].get("/loaners/", {"show": "all", "format": "csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    by_state = {row["state"]: row for row in rows}
    assert by_state["Requested"]["summary"] == "'=HYPERLINK(1)" and by_state["Requested"]["who"] == "'@someone"
    assert by_state["Active"]["summary"] == "(restricted)" and by_state["Active"]["who"] == ""
    assert "left behind" not in answer.content.decode()
    mine = clients[Role.DEVELOPER].get("/loaners/", {"show": "all", "format": "csv"}).content.decode()
    assert len(mine.splitlines()) == 2, "the header, and the one request of theirs that is public"


def queries(client, address):
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


@pytest.mark.parametrize("address", ["/", "/loaners/?show=all", "/loaners/?show=all&format=csv", "/loaners/person/{}/"])
def test_a_list_costs_as_many_queries_for_fifty_as_for_five(clients, developer, address):
    address = address.format(developer.pk)
    for state in RequestState:
        loan(state)
    few = queries(clients[Role.DUTY], address)
    for state in [*RequestState] * 4:
        loan(state)
    assert queries(clients[Role.DUTY], address) == few <= 26


# --- one person's -----------------------------------------------------------------------------------------------------


def test_what_somebody_has_is_seen_by_themselves_by_ciduty_and_by_managers(clients, people, developer, duty):
    out, asked = loan(RequestState.ACTIVE), loan(RequestState.REQUESTED)
    given = {"granted_at": A_MORNING, "granted_by": duty, "expires_at": A_MORNING, "reason": "Loan"}
    Grant.objects.create(request=out, what="VPN group", grantee="developer@example.com", **given)
    address = f"/loaners/person/{developer.pk}/"
    for role in (Role.DEVELOPER, Role.MANAGER, Role.DUTY, Role.LEAD):
        page = clients[role].get(address).content.decode()
        assert numbers_in(page) >= {out.pk, asked.pk} and "VPN group" in page and str(out.machine) in page
    assert clients[Role.SCHEDULER].get(address).status_code == 404
    assert clients[Role.LEAD].get("/loaners/person/999999/").status_code == 404
    page = clients[Role.DUTY].get(f"/loaners/person/{people[Role.SCHEDULER].pk}/").content.decode()
    assert "has no machine, and no access stands" in page


def test_a_restricted_request_does_not_say_whose_it_is(clients, developer):
    row = loan(RequestState.ACTIVE, bug__visibility=Visibility.RESTRICTED)
    ApplicationFactory(person=developer, bug_id=row.pk)
    for role in (Role.DEVELOPER, Role.MANAGER, Role.DUTY):
        assert str(row.pk) not in clients[role].get(f"/loaners/person/{developer.pk}/").content.decode()
    page = look(clients[Role.DUTY], row)
    assert f"/loaners/person/{developer.pk}/" not in page


# --- the desk ---------------------------------------------------------------------------------------------------------


def test_the_desk_shows_what_to_prepare_to_take_back_and_what_is_late_and_nothing_empty(clients):
    page = clients[Role.DUTY].get("/").content.decode()
    headings = ("To prepare", "Overdue loans", "Given back, to be taken back", "Bugzilla disagrees")
    assert not [heading for heading in headings if heading in page]
    rows = [
        loan(RequestState.APPROVED),
        loan(RequestState.ACTIVE, due_in=timedelta(days=-1)),
        loan(RequestState.RETURN_REQUESTED),
        disagreeing(RequestState.ACTIVE, is_open=False),
    ]
    page = clients[Role.DUTY].get("/").content.decode()
    assert all(heading in page for heading in headings)
    assert {row.pk for row in rows} <= numbers_in(page)
