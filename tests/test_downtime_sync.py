"""From a flag in Bugzilla to a nomination in the queue: once, with its own time, and never removed without a word."""

from datetime import UTC, datetime, timedelta

import pytest

from ciduty import clock, states
from ciduty.bugzilla import mirror, poll
from ciduty.bugzilla.models import Bug, TrackedId, Visibility
from ciduty.outbox import delivery
from ciduty.outbox.models import BugUpdate
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from downtimes import flag_writes, requesting, review, sync
from downtimes.models import Nomination, SyncState
from downtimes.requesting_bug import NewBug
from downtimes.rules import NOMINATION_MOVES, NominationState
from tests.cast import BugTextFactory, NominationFactory, cycle_done, every_row, file

pytestmark = pytest.mark.django_db

FLAG = "needs-treeclosure"
ASKED = {"name": FLAG, "status": "?"}
WHERE = {"product": "mozilla.org", "component": "Server Operations", "creator": "scheduler@example.com"}
A_DAY_OF_OLD = datetime(2026, 1, 7, 15, 30, tzinfo=UTC)


def flagged(bugzilla, *flags, **fields):
    """File a bug with the flag in a component that nobody follows, and read it."""
    bug = file(bugzilla, "Firmware of the switches", **WHERE | {"flags": flags or [ASKED]} | fields)
    cycle_done()
    return bug


def set_flag(bugzilla, bug, status, by="scheduler@example.com", **fields):
    bugzilla.world.update(bug, by, {"flags": [{"name": FLAG, "status": status}]}, **fields)


def later_poll():
    clock.move(timedelta(minutes=1))
    cycle_done()


def deliver():
    return dict(delivery.deliver(delivery.BUGS))


def mirrored(status="?", **fields):
    """Return the number of a bug with the flag as the mirror holds it."""
    flag = {"id": 7, "name": FLAG, "status": status, "set_at": A_DAY_OF_OLD.isoformat()}
    words = BugTextFactory(
        bug__flags=[flag], bug__carries_flag=True, bug__stamp=mirror.next_stamp(), bug__is_loaner_request=False,
        flag_people={"7": ["scheduler@example.com", ""]}, **fields,
    )  # fmt: skip
    return words.bug_id


# --- a flag becomes a nomination --------------------------------------------------------------------------------------


def test_a_flag_in_any_product_becomes_a_nomination_with_the_flags_own_time_and_setter(bugzilla, people):
    bug = file(bugzilla, "Firmware of the switches", **WHERE)
    set_flag(bugzilla, bug, "?", at=A_DAY_OF_OLD)
    cycle_done()
    nomination = Nomination.objects.get()
    assert (nomination.bug_id, nomination.state) == (bug, NominationState.REQUESTED)
    assert nomination.asked_at == A_DAY_OF_OLD
    assert nomination.asked_by == people[Role.SCHEDULER]
    assert (nomination.public_text, nomination.text_by) == ("", None)


def test_the_record_says_that_it_came_from_bugzilla_without_a_word_of_the_bug(bugzilla):
    flagged(bugzilla)
    entry = Entry.objects.get(about=Nomination.objects.get().about)
    assert (entry.verb, entry.actor, entry.by) == ("nominated", "outside", None)
    assert "Firmware" not in entry.sentence


def test_somebody_whom_nobody_knows_leaves_the_asker_empty(db):
    mirrored(creator="x")
    assert Nomination.objects.count() == 0
    sync.follow()
    assert Nomination.objects.get().asked_by is None


def test_the_setters_login_is_known_in_any_case_of_letters(people):
    people[Role.SCHEDULER].bugzilla_logins.update(login="Scheduler@Example.com")
    mirrored()
    sync.follow()
    assert Nomination.objects.get().asked_by == people[Role.SCHEDULER]


@pytest.mark.parametrize("status", ["+", "-"])
def test_a_flag_that_was_decided_elsewhere_is_no_request(db, status):
    mirrored(status)
    sync.follow()
    assert not Nomination.objects.exists()


def test_another_flag_is_no_request(bugzilla):
    file(bugzilla, flags=[{"name": "needinfo", "status": "?", "requestee": "duty@example.com"}])
    cycle_done()
    assert not Nomination.objects.exists()


def test_following_twice_is_following_once(bugzilla):
    flagged(bugzilla)
    before = every_row()
    assert sync.follow() == 0
    assert every_row() == before


def test_a_follower_that_forgot_how_far_it_came_makes_nothing_twice(bugzilla):
    flagged(bugzilla)
    before = list(Nomination.objects.values()), Entry.objects.count()
    SyncState.objects.update(stamp=0)
    assert sync.follow() == 1
    assert (list(Nomination.objects.values()), Entry.objects.count()) == before


def test_the_mirror_alone_is_asked(db, settings):
    settings.BUGZILLA_URL = "http://127.0.0.1:9"  # nobody answers there
    mirrored()
    assert sync.follow() == 1
    assert Nomination.objects.count() == 1


def test_the_follower_is_called_after_every_poll():
    assert poll.followers.count(sync.follow) == 1


def test_a_restricted_bug_is_nominated_by_its_number_alone(db):
    bug = mirrored(bug__visibility=Visibility.RESTRICTED)
    Bug.objects.get(pk=bug).text.delete()
    sync.follow()
    nomination = Nomination.objects.get()
    assert (nomination.bug_id, nomination.asked_by) == (bug, None)


# --- moved, cleared, closed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"flags": [{"name": FLAG, "status": "X"}]}, {"status": "RESOLVED"}])
def test_a_cleared_flag_or_a_closed_bug_removes_nothing(bugzilla, change):
    bug = flagged(bugzilla)
    if "status" in change:
        change |= {"resolution": "FIXED"}
    bugzilla.world.update(bug, "scheduler@example.com", change)
    later_poll()
    assert Nomination.objects.get().state == NominationState.REQUESTED


def test_a_flag_that_is_set_again_after_we_declined_asks_again(bugzilla, duty):
    bug = flagged(bugzilla)
    review.decline(Nomination.objects.get(), by=duty, because="No.", op="0123abcd")
    deliver()
    later_poll()
    assert Nomination.objects.get().state == NominationState.DECLINED
    set_flag(bugzilla, bug, "?")
    later_poll()
    nomination = Nomination.objects.get()
    assert (nomination.state, nomination.because, nomination.flag_wanted) == (NominationState.REQUESTED, "", "")
    assert Entry.objects.filter(about=nomination.about, verb="ask again", actor="outside").count() == 1


def test_a_flag_that_is_set_again_after_the_work_landed_asks_again(bugzilla, duty):
    bug = flagged(bugzilla)
    nomination = Nomination.objects.get()
    Nomination.objects.filter(pk=nomination.pk).update(state=NominationState.ACCEPTED)
    states.move(nomination, NOMINATION_MOVES, "finish", "Done", by=duty, at=clock.now())
    flag_writes.tell(nomination, "landed", by=duty, op="0123abcd")
    deliver()
    later_poll()
    assert Nomination.objects.get().state == NominationState.DONE
    set_flag(bugzilla, bug, "?")
    later_poll()
    assert Nomination.objects.get().state == NominationState.REQUESTED


def test_our_own_refusal_that_bugzilla_has_not_taken_yet_is_no_new_request(bugzilla, duty):
    bug = flagged(bugzilla)
    review.decline(Nomination.objects.get(), by=duty, because="No.", op="0123abcd")
    bugzilla.world.update(bug, "scheduler@example.com", {"summary": "Firmware of all switches"})
    later_poll()
    assert Nomination.objects.get().state == NominationState.DECLINED


def test_a_request_that_was_taken_back_and_is_set_again_asks_again(bugzilla, people):
    bug = flagged(bugzilla)
    requesting.withdraw(Nomination.objects.get(), by=people[Role.SCHEDULER], op="0123abcd")
    deliver()
    later_poll()
    assert Nomination.objects.get().state == NominationState.WITHDRAWN
    set_flag(bugzilla, bug, "?")
    later_poll()
    assert Nomination.objects.get().state == NominationState.REQUESTED


def test_an_accepted_one_stays_accepted_whatever_becomes_of_its_flag(bugzilla, duty):
    bug = flagged(bugzilla)
    review.accept(Nomination.objects.get(), by=duty, title="Network", op="0123abcd")
    deliver()
    for status in ("?", "-", "X"):
        set_flag(bugzilla, bug, status)
        later_poll()
        assert Nomination.objects.get().state == NominationState.ACCEPTED


# --- words of a bug that turns private --------------------------------------------------------------------------------


def asked_here(bugzilla, people):
    person = people[Role.SCHEDULER]
    typed = {"system": "hg", "public_text": "CANARY 1", "steps": "CANARY 2", "rollback": "CANARY 3"}
    nomination = Nomination(key=f"{person.pk}-0123456789abcdef", minutes=1, preferred="CANARY 4", **typed)
    new = NewBug("Infrastructure & Operations", "CIDuty", "CANARY 5")
    requesting.ask(nomination, by=person, new=new)
    deliver()
    cycle_done()
    return Nomination.objects.get()


def hide(bugzilla, bug):
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": ["infra"]}})


def test_what_was_typed_for_everybody_goes_when_the_bug_turns_private(bugzilla, people, clients):
    nomination = asked_here(bugzilla, people)
    hide(bugzilla, nomination.bug_id)
    later_poll(), later_poll()
    tables = {table: rows for table, rows in every_row().items() if "CANARY" in str(rows)}
    assert tables == {}
    page = clients[Role.SCHEDULER].get(f"/downtimes/request/{nomination.pk}/").content.decode()
    assert "Nobody has written it yet" in page
    assert Entry.objects.filter(about=nomination.about, verb=sync.ERASED).count() == 1


def test_a_reason_that_was_given_while_everybody_could_read_the_bug_goes_with_its_words(bugzilla, duty):
    bug = flagged(bugzilla)
    review.decline(Nomination.objects.get(), by=duty, because="CANARY", op="0123abcd")
    deliver()
    hide(bugzilla, bug)
    later_poll(), later_poll()
    assert {table: rows for table, rows in every_row().items() if "CANARY" in str(rows)} == {}


def test_what_is_set_again_by_its_flag_alone_is_erased_too(bugzilla, duty):
    bug = flagged(bugzilla)
    nomination = Nomination.objects.get()
    review.decline(nomination, by=duty, because="No.", op="0123abcd")
    deliver()
    later_poll()
    set_flag(bugzilla, bug, "?")
    later_poll()
    review.decline(Nomination.objects.get(), by=duty, because="CANARY", op="abcd0123")
    hide(bugzilla, bug)
    later_poll()
    assert Nomination.objects.get().because == ""


def test_a_wording_that_is_typed_afterwards_stays(bugzilla, people):
    nomination = asked_here(bugzilla, people)
    hide(bugzilla, nomination.bug_id)
    later_poll()
    typed = {"system": "hg", "public_text": "Something vague.", "urgency": "routine"}
    again = Nomination(bug_id=nomination.bug_id, key=f"{people[Role.SCHEDULER].pk}-fedcba9876543210", **typed)
    requesting.ask(again, by=people[Role.SCHEDULER])
    later_poll()
    assert Nomination.objects.get().public_text == "Something vague."


def test_a_bug_that_was_restricted_all_along_keeps_what_was_typed_for_it(people):
    words = BugTextFactory(bug__visibility=Visibility.RESTRICTED, bug__held_back=True, bug__is_loaner_request=False)
    typed = {"system": "hg", "public_text": "Something vague."}
    nomination = Nomination(bug_id=words.bug_id, key=f"{people[Role.SCHEDULER].pk}-0123456789abcdef", **typed)
    requesting.ask(nomination, by=people[Role.SCHEDULER])
    sync.follow()
    assert Nomination.objects.get().public_text == "Something vague."


# --- bugs that are followed for a nomination --------------------------------------------------------------------------


def test_a_bug_is_followed_while_its_nomination_lives_and_no_longer(people):
    alive, over = NominationFactory(stands_in_for=1_400_777), NominationFactory(state="declined")
    for bug in (alive.bug_id, 1_400_777, over.bug_id):
        TrackedId.objects.create(bug_id=bug, why=requesting.TRACKED_BECAUSE)
    TrackedId.objects.create(bug_id=1_400_888, why="somebody else wants it")
    sync.follow()
    assert set(TrackedId.objects.values_list("bug_id", flat=True)) == {alive.bug_id, 1_400_777, 1_400_888}


def test_a_bug_is_followed_until_our_last_word_has_reached_it(bugzilla, people):
    bug = file(bugzilla, "Firmware of the switches", **WHERE)
    nomination = NominationFactory(bug_id=bug)
    TrackedId.objects.create(bug_id=bug, why=requesting.TRACKED_BECAUSE)
    requesting.withdraw(nomination, by=people[Role.SCHEDULER], op="0123abcd")
    sync.follow()
    assert TrackedId.objects.exists()
    deliver()
    sync.follow()
    assert not TrackedId.objects.exists()
    assert BugUpdate.objects.get().state == "accepted"
