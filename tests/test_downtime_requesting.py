"""Asking for a downtime: one form, one nomination, one bug with its flag, and a page of what became of it."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla.models import Bug, TrackedId, Visibility
from ciduty.outbox import delivery
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from downtimes import requesting
from downtimes.models import Nomination
from downtimes.rules import NominationState
from tests.cast import BugTextFactory, DowntimeFactory, ItemFactory, NominationFactory, cycle_done, every_row, file

pytestmark = pytest.mark.django_db

ASK = "/downtimes/request/"
WORDING = "The switches of one data centre get new firmware."
FLAG = "needs-treeclosure"


def key_of(client):
    return re.search(r'name="key" value="([0-9a-f]{16})"', client.get(ASK).content.decode())[1]


def answers(client, **other):
    """Return a form that is filled in properly, with a fresh key."""
    fields = {
        "key": key_of(client),
        "system": "hg.mozilla.org",
        "bug": "bug 1400500",
        "public_text": WORDING,
        "steps": "Load the firmware.\nRestart.",
        "minutes": "40",
        "rollback": "Load the old one.",
        "rollback_minutes": "20",
        "preferred": "Saturdays",
        "urgency": "routine",
    }
    return {name: value for name, value in (fields | other).items() if value is not None}


def send(client, **other):
    return client.post(ASK, answers(client, **other))


def new_bug(**other):
    component = "Infrastructure & Operations :: CIDuty"
    return {"bug": "", "file_one": "on", "summary": "Firmware of the switches", "component": component} | other


def deliver():
    return dict(delivery.deliver(delivery.BUGS))


def page_of(client, nomination):
    return client.get(f"/downtimes/request/{nomination.pk}/").content.decode()


def flags_of(bugzilla, bug):
    return [(flag["name"], flag["status"]) for flag in bugzilla.world.bug(bug)["flags"]]


def comments(bugzilla, bug):
    rows = bugzilla.world.db.execute("SELECT text FROM comments WHERE bug_id = ? ORDER BY id", [bug]).fetchall()
    return [text for (text,) in rows]


def work(bugzilla, **fields):
    """File a bug of IT that is about to need a downtime."""
    where = {"component": "RelOps: Hardware", "creator": "scheduler@example.com", "id": 1_400_600}
    return file(bugzilla, "Firmware of the switches", **where | fields)


@pytest.fixture
def it(clients):
    """The browser of somebody of IT."""
    return clients[Role.SCHEDULER]


# --- a bug that is there ----------------------------------------------------------------------------------------------


def test_asking_with_a_bug_sets_its_flag_and_writes_what_is_wanted_into_it(it, bugzilla, people):
    bug = work(bugzilla)
    response = send(it, bug=str(bug))
    nomination = Nomination.objects.get()
    assert response.headers["Location"] == f"/downtimes/request/{nomination.pk}/"
    assert (nomination.bug_id, nomination.state) == (bug, NominationState.REQUESTED)
    assert nomination.asked_by == nomination.text_by == people[Role.SCHEDULER]
    assert (nomination.public_text, nomination.minutes, nomination.rollback_minutes) == (WORDING, 40, 20)
    assert flags_of(bugzilla, bug) == [], "nothing is sent by the page itself"
    assert deliver() == {"sent": 1}
    assert flags_of(bugzilla, bug) == [(FLAG, "?")]
    words = comments(bugzilla, bug)[-1]
    for part in (WORDING, "hg.mozilla.org", "Load the firmware.", "40 minutes", "20 minutes", "Saturdays", "scheduler"):
        assert part in words


def test_the_bug_is_mirrored_with_the_next_poll_although_it_stands_in_a_foreign_component(it, bugzilla):
    bug = work(bugzilla)
    send(it, bug=str(bug))
    assert TrackedId.objects.filter(bug_id=bug).exists()
    deliver()
    cycle_done()
    assert Bug.objects.get(pk=bug).carries_flag
    assert Nomination.objects.count() == 1, "the flag that we set ourselves makes no second one"


def test_the_same_form_sent_twice_is_one_nomination_and_one_comment(it, bugzilla):
    bug = work(bugzilla)
    fields = answers(it, bug=str(bug))
    first, second = it.post(ASK, fields), it.post(ASK, fields | {"public_text": "Other words"})
    assert first.headers["Location"] == second.headers["Location"]
    deliver(), deliver()
    assert Nomination.objects.get().public_text == WORDING
    assert len(comments(bugzilla, bug)) == 2, "the description and ours"


def test_what_will_be_written_can_be_seen_first_and_looking_writes_nothing(it, bugzilla):
    bug = work(bugzilla)
    fields = answers(it, bug=str(bug))
    before = every_row(leave_out=["django_session"])
    page = it.post(ASK, fields | {"preview": "1"}).content.decode()
    assert every_row(leave_out=["django_session"]) == before
    assert "Nothing was sent yet" in page
    assert f"Flag {FLAG}" in page
    assert f"ref {fields['key'][:8]}" in page
    it.post(ASK, fields)
    deliver()
    assert comments(bugzilla, bug)[-1].endswith(f"ref {fields['key'][:8]}"), "as it was shown"


def test_a_bug_that_carries_the_flag_already_gets_the_words_alone(it, bugzilla):
    bug = work(bugzilla, flags=[{"name": FLAG, "status": "?"}])
    cycle_done()
    assert Nomination.objects.get().public_text == "", "asked for by the flag"
    send(it, bug=str(bug))
    nomination = Nomination.objects.get()
    assert nomination.public_text == WORDING
    assert deliver() == {"sent": 1}
    assert flags_of(bugzilla, bug) == [(FLAG, "?")]
    assert WORDING in comments(bugzilla, bug)[-1]


def test_two_forms_under_one_key_that_pass_each_other_are_one_request(people):
    def form(words):
        return Nomination(bug_id=1_400_600, key=f"{by.pk}-0123456789abcdef", system="hg", public_text=words)

    by = people[Role.SCHEDULER]
    first, second = requesting.ask(form("First."), by=by), requesting.ask(form("Second."), by=by)
    assert first == second
    assert Nomination.objects.get().public_text == "First."
    assert BugUpdate.objects.count() == 1


# --- a bug that is filed ----------------------------------------------------------------------------------------------


def test_a_bug_is_filed_with_the_flag_and_whoever_asked_on_cc(it, bugzilla):
    send(it, **new_bug())
    assert deliver() == {"sent": 1}
    nomination = Nomination.objects.get()
    filed = bugzilla.world.bug(nomination.bug_id)
    assert (filed["summary"], filed["component"]) == ("Firmware of the switches", "CIDuty")
    assert flags_of(bugzilla, nomination.bug_id) == [(FLAG, "?")]
    assert filed["cc"] == ["scheduler@example.com"]
    assert WORDING in comments(bugzilla, nomination.bug_id)[0]
    cycle_done()
    assert Nomination.objects.count() == 1
    assert f"bug {nomination.bug_id}" in page_of(it, nomination)


def test_a_poll_that_is_quicker_than_the_outbox_leaves_one_nomination(it, bugzilla, monkeypatch):
    send(it, **new_bug())
    monkeypatch.setattr(delivery, "tell_purposes", lambda model: 0)
    deliver()
    cycle_done()
    assert Nomination.objects.get().bug_id is None, "the outbox has not told yet"
    monkeypatch.undo()
    delivery.tell_purposes(BugUpdate)
    assert Nomination.objects.get().bug_id == BugUpdate.objects.get().bug_id


def test_a_nomination_that_the_flag_made_gives_way_to_the_one_that_had_its_bug_filed(it, bugzilla):
    send(it, **new_bug())
    ours = Nomination.objects.get()
    deliver()
    bug = BugUpdate.objects.get().bug_id
    Nomination.objects.filter(pk=ours.pk).update(bug_id=None)
    by_flag = NominationFactory(bug_id=bug, text_by=None, asked_by=None, public_text="")
    requesting.filed(BugUpdate.objects.get())
    ours.refresh_from_db()
    assert ours.bug_id == bug
    assert not Nomination.objects.filter(pk=by_flag.pk).exists()
    assert Entry.objects.filter(about=by_flag.about, verb="joined").exists(), "it does not go without a word"


def test_a_preview_of_a_bug_shows_where_it_is_filed_and_with_which_flag(it, bugzilla):
    page = send(it, **new_bug(), preview="1").content.decode()
    for part in ("Infrastructure &amp; Operations :: CIDuty", f"{FLAG}?", "scheduler@example.com on CC", WORDING):
        assert part in page
    assert not Nomination.objects.exists()


def test_what_is_taken_back_before_it_was_filed_is_never_filed(it, bugzilla, settings):
    send(it, **new_bug())
    nomination = Nomination.objects.get()
    it.post(f"/downtimes/request/{nomination.pk}/withdraw/", {"op": "0123abcd"})
    deliver()
    assert BugUpdate.objects.get().state == State.CANCELLED
    assert bugzilla.world.db.execute("SELECT count(*) FROM bugs").fetchone()[0] == 0


def test_what_is_taken_back_while_it_is_filed_has_its_flag_cleared(it, bugzilla):
    send(it, **new_bug())
    row = BugUpdate.objects.get()
    nomination = Nomination.objects.get()
    claimed, _ = delivery.claim(BugUpdate)
    assert claimed == row
    it.post(f"/downtimes/request/{nomination.pk}/withdraw/", {"op": "0123abcd"})
    bug = file(bugzilla, flags=[{"name": FLAG, "status": "?"}])
    BugUpdate.objects.update(state=State.ACCEPTED, bug_id=bug, accepted_at=clock.now())
    requesting.filed(BugUpdate.objects.get())
    requesting.filed(row)
    nomination.refresh_from_db()
    assert (nomination.bug_id, nomination.state) == (bug, NominationState.WITHDRAWN)
    deliver()
    assert flags_of(bugzilla, bug) == []


def test_the_bug_of_somebody_who_left_meanwhile_is_held(it, bugzilla, people):
    send(it, **new_bug())
    people[Role.SCHEDULER].is_active = False
    people[Role.SCHEDULER].save()
    assert deliver() == {"held": 1}
    assert "may not sign in any more" in BugUpdate.objects.get().last_words


@pytest.mark.parametrize("fields", [{"state": NominationState.DECLINED}, {"public_text": "Theirs."}])
def test_a_nomination_that_somebody_worked_on_does_not_give_way(it, bugzilla, people, fields):
    send(it, **new_bug())
    ours = Nomination.objects.get()
    bug = 1_400_700
    BugUpdate.objects.update(state=State.ACCEPTED, bug_id=bug, accepted_at=clock.now())
    theirs = NominationFactory(bug_id=bug, text_by=people[Role.DUTY], **fields)
    requesting.filed(BugUpdate.objects.get())
    ours.refresh_from_db()
    assert ours.bug_id is None
    assert Nomination.objects.filter(pk=theirs.pk).exists()
    assert Entry.objects.filter(about=ours.about, verb="not joined").exists()


# --- the form ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"system": " "}, "Name the system"),
        ({"bug": ""}, "Name the bug, or tick"),
        ({"bug": "the switches"}, "This is no bug number"),
        ({"bug": "0"}, "This is no bug number"),
        ({"bug": str(2**31)}, "This is no bug number"),
        ({"file_one": "on"}, "clear one of both"),
        ({"bug": "", "file_one": "on"}, "Write the summary"),
        ({"bug": "", "file_one": "on", "summary": "x" * 256}, "255 fit"),
        ({"bug": "", "file_one": "on", "summary": "x", "component": "No such"}, "no such component"),
        ({"public_text": "  "}, "Write what the notice shall say"),
        ({"public_text": "x" * 2001}, "2,000 fit"),
        ({"public_text": "tr\u202eees"}, "U+202E"),
        ({"steps": ""}, "Write the steps"),
        ({"minutes": "0"}, "from 1 to 4320"),
        ({"minutes": "4321"}, "from 1 to 4320"),
        ({"minutes": "soon"}, "from 1 to 4320"),
        ({"rollback": ""}, "Write how it is rolled back"),
        ({"rollback_minutes": "-1"}, "from 0 to 4320"),
        ({"urgency": ""}, "Choose how urgent it is"),
        ({"urgency": "now"}, "There is no such urgency"),
        ({"stands_in_for": "1400500"}, "cannot stand in for itself"),
        ({"key": "zz"}, "no longer whole"),
    ],
)
def test_a_form_that_lacks_something_says_what_and_keeps_what_was_typed(it, fields, problem):
    response = it.post(ASK, answers(it) | fields)
    page = response.content.decode()
    assert response.status_code == 422
    assert "Nothing was sent yet" in page
    assert problem in page
    assert "Load the old one." in page or "rollback" in fields
    assert not Nomination.objects.exists()


@pytest.mark.parametrize(("field", "value"), [("minutes", 1), ("minutes", 4320), ("rollback_minutes", 0)])
def test_the_shortest_and_the_longest_work_can_be_asked_for(it, field, value):
    send(it, **{field: str(value)})
    assert getattr(Nomination.objects.get(), field) == value


@pytest.mark.parametrize("written", ["1400500", "bug 1400500", "https://bugzilla.example.com/show_bug.cgi?id=1400500"])
def test_a_bug_is_taken_as_people_write_it(it, written):
    send(it, bug=written)
    assert Nomination.objects.get().bug_id == 1400500


def test_a_link_can_fill_in_bug_and_system(it):
    page = it.get(f"{ASK}?bug=1400501&system=tbpl.mozilla.org&stands_in_for=1400502").content.decode()
    for value in ("1400501", "tbpl.mozilla.org", "1400502"):
        assert f'value="{value}"' in page


def test_the_sixteen_systems_of_the_process_can_be_chosen(it):
    page = it.get(ASK).content.decode()
    assert page.count("<option value=") >= 16
    assert 'value="hg.mozilla.org"' in page


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER, Role.DUTY, Role.LEAD])
def test_everybody_who_is_signed_in_may_ask(clients, role):
    assert send(clients[role]).status_code == 302
    assert Nomination.objects.get().asked_by.role == role


def test_a_stranger_is_sent_to_the_sign_in_page(stranger):
    for address in (ASK, "/downtimes/request/1/"):
        assert stranger.get(address).headers["Location"].startswith("/sign-in/")


# --- asked for before -------------------------------------------------------------------------------------------------


def test_somebody_writes_their_own_wording_anew_while_nobody_has_decided(it, people):
    nomination = NominationFactory(text_by=people[Role.SCHEDULER])
    send(it, bug=str(nomination.bug_id))
    nomination.refresh_from_db()
    assert (nomination.public_text, nomination.state) == (WORDING, NominationState.REQUESTED)


def test_nobody_writes_over_what_somebody_else_asked_for(clients, people):
    nomination = NominationFactory(text_by=people[Role.SCHEDULER])
    response = send(clients[Role.DEVELOPER], bug=str(nomination.bug_id))
    assert response.status_code == 422
    assert "Somebody else has asked" in response.content.decode()
    nomination.refresh_from_db()
    assert nomination.public_text == "New firmware for the switches."


def test_what_is_accepted_is_not_asked_for_again(it, people):
    nomination = NominationFactory(state=NominationState.ACCEPTED, text_by=people[Role.SCHEDULER])
    response = send(it, bug=str(nomination.bug_id))
    assert response.status_code == 422
    assert "is accepted into a downtime already" in response.content.decode()


@pytest.mark.parametrize("state", [NominationState.DECLINED, NominationState.WITHDRAWN])
def test_what_was_declined_or_taken_back_is_asked_for_again(it, people, duty, state):
    decided = {"because": "Not now.", "decided_by": duty, "decided_at": clock.now(), "flag_wanted": "-"}
    nomination = NominationFactory(state=state, text_by=people[Role.SCHEDULER], **decided)
    send(it, bug=str(nomination.bug_id))
    nomination.refresh_from_db()
    assert (nomination.state, nomination.because, nomination.flag_wanted) == (NominationState.REQUESTED, "", "")
    assert nomination.decided_by is None
    [flag] = BugUpdate.objects.get().wants["flags"]
    assert flag["status"] == "?"


# --- what became of it ------------------------------------------------------------------------------------------------


def test_the_page_shows_each_step_until_a_decision_and_refreshes_itself(it, bugzilla, clients):
    bug = work(bugzilla)
    send(it, bug=str(bug))
    nomination = Nomination.objects.get()
    page = page_of(it, nomination)
    assert "On its way to Bugzilla" in page
    assert 'hx-trigger="every 2s"' in page
    deliver()
    clock.move(timedelta(seconds=5))
    cycle_done()
    page = page_of(it, nomination)
    assert "Bugzilla has it" in page
    assert "has it in the queue" in page
    assert 'hx-trigger="every 15s"' in page
    part = it.get(f"/downtimes/request/{nomination.pk}/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert WORDING in part


def test_the_page_shows_the_decision_its_reason_and_the_window(it, duty):
    decided = {"decided_by": duty, "decided_at": clock.now()}
    accepted = NominationFactory(state=NominationState.ACCEPTED, **decided)
    ItemFactory(downtime=DowntimeFactory(title="Network in mdc1"), nomination=accepted, bug_id=accepted.bug_id)
    assert "Network in mdc1" in page_of(it, accepted)
    declined = NominationFactory(state=NominationState.DECLINED, because="It needs no closure.", **decided)
    assert "It needs no closure." in page_of(it, declined)
    until = (clock.now() + timedelta(days=9)).date()
    deferred = NominationFactory(
        state=NominationState.DEFERRED, because="After the release.", deferred_until=until, **decided
    )
    page = page_of(it, deferred)
    assert f"{until:%d %b %Y}" in page
    assert "After the release." in page


def test_somebody_sees_their_own_and_whoever_sees_plans_sees_all(clients, people):
    own = NominationFactory(text_by=people[Role.DEVELOPER])
    other = NominationFactory(text_by=people[Role.SCHEDULER])
    assert clients[Role.DEVELOPER].get(f"/downtimes/request/{own.pk}/").status_code == 200
    assert clients[Role.DEVELOPER].get(f"/downtimes/request/{other.pk}/").status_code == 404
    assert clients[Role.MANAGER].get(f"/downtimes/request/{other.pk}/").status_code == 200
    assert f"Bug {own.bug_id}" in clients[Role.DEVELOPER].get(ASK).content.decode()
    assert str(other.bug_id) not in clients[Role.DEVELOPER].get(ASK).content.decode()


@pytest.mark.parametrize("number", [0, 99_999, 2**63, 2**70])
def test_a_nomination_that_is_not_there_is_not_found(it, number):
    assert it.get(f"/downtimes/request/{number}/").status_code == 404
    assert it.post(f"/downtimes/request/{number}/withdraw/").status_code == 404


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_the_words_of_a_bug_that_is_not_public_are_shown_to_nobody_who_may_not_read_them(clients, visibility):
    words = BugTextFactory(bug__visibility=visibility, summary="CANARY", assignee="CANARY@example.com")
    nomination = NominationFactory(bug_id=words.bug_id)
    for role in (Role.SCHEDULER, Role.MANAGER):
        assert "CANARY" not in page_of(clients[role], nomination)
    assert ("CANARY" in page_of(clients[Role.DUTY], nomination)) == (visibility == Visibility.STAFF)


def test_without_a_bugzilla_it_is_written_down_and_waits(it):
    send(it)
    assert BugUpdate.objects.get().state == State.HELD
    assert "sees that on their desk" in page_of(it, Nomination.objects.get())


def test_a_page_costs_the_same_however_much_was_said_and_asked(it, people):
    def queries(address):
        with CaptureQueriesContext(connection) as caught:
            assert it.get(address).status_code == 200
        return len(caught)

    nomination = NominationFactory(text_by=people[Role.SCHEDULER])
    addresses = [ASK, f"/downtimes/request/{nomination.pk}/"]
    few = [queries(address) for address in addresses]
    for _ in range(15):
        NominationFactory(text_by=people[Role.SCHEDULER])
    assert [queries(address) for address in addresses] == few
    assert max(few) < 30


# --- taking it back ---------------------------------------------------------------------------------------------------


def withdraw(client, nomination, op="0123abcd"):
    return client.post(f"/downtimes/request/{nomination.pk}/withdraw/", {"op": op}, follow=True)


def test_taking_it_back_clears_the_flag_and_leaves_the_bug(it, bugzilla):
    bug = work(bugzilla)
    send(it, bug=str(bug))
    deliver()
    nomination = Nomination.objects.get()
    page = withdraw(it, nomination).content.decode()
    assert "Taken back" in page
    assert deliver() == {"sent": 1}
    assert flags_of(bugzilla, bug) == []
    assert bugzilla.world.bug(bug)["status"] == "NEW"
    clock.move(timedelta(seconds=5))
    cycle_done()
    assert Nomination.objects.get().state == NominationState.WITHDRAWN


def test_taken_back_twice_is_taken_back_once(it, people):
    nomination = NominationFactory(text_by=people[Role.SCHEDULER])
    for op in ("0123abcd", "abcd0123"):
        assert "It was taken back." in withdraw(it, nomination, op).content.decode()
    assert BugUpdate.objects.count() == 1
    assert Entry.objects.filter(about=nomination.about, verb="withdraw").count() == 1


@pytest.mark.parametrize("state", [NominationState.ACCEPTED, NominationState.DECLINED])
def test_what_was_decided_is_not_taken_back(it, people, state):
    nomination = NominationFactory(text_by=people[Role.SCHEDULER], state=state)
    assert "withdraw/" not in page_of(it, nomination)
    page = withdraw(it, nomination).content.decode()
    assert f"is {state} by now" in page
    assert not BugUpdate.objects.exists()


def test_ciduty_takes_back_what_somebody_else_asked_for_and_a_manager_does_not(clients, people):
    nomination = NominationFactory(text_by=people[Role.SCHEDULER])
    assert withdraw(clients[Role.MANAGER], nomination).status_code == 403
    withdraw(clients[Role.DUTY], nomination)
    nomination.refresh_from_db()
    assert nomination.state == NominationState.WITHDRAWN
