"""What a person may do with a row that is to be said, in which state, and what else it changes."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from ciduty import bell, clock
from ciduty.outbox import delivery, post, purposes, workflow
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.outbox.purposes import Purpose
from ciduty.outbox.rules import MOVES, Priority, State
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from tests.cast import NEW_BUG, BugUpdateFactory, MailFactory, TreeChangeFactory

pytestmark = pytest.mark.django_db

VERBS = {
    "try again": workflow.try_again,
    "hold": workflow.hold,
    "cancel": workflow.cancel,
    "done by hand": workflow.done_by_hand,
}
FACTORIES = {"mail": MailFactory, "bug": BugUpdateFactory, "tree": TreeChangeFactory}


@pytest.fixture(autouse=True)
def configured(settings):
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"
    settings.TREESTATUS_URL, settings.TREESTATUS_WRITES = "http://127.0.0.1:9", "patch"


@pytest.fixture
def rung(monkeypatch, django_capture_on_commit_callbacks):
    """Return what rang after a verb."""
    heard = []
    monkeypatch.setattr(bell, "ring", lambda task, queue: heard.append((task.rpartition(".")[2], queue)))

    def after(verb, *args, **kwargs):
        heard.clear()
        with django_capture_on_commit_callbacks(execute=True):
            verb(*args, **kwargs)
        return list(heard)

    return after


@pytest.mark.parametrize("kind", FACTORIES)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_done_in_the_states_of_the_table_and_refused_in_all_others(duty, kind, verb, state):
    row = FACTORIES[kind](state=state)
    if MOVES.allow(verb, state):
        assert workflow.why_not(verb, row, clock.now()) == ""
        VERBS[verb](row, duty)
        assert row.state == MOVES.target(verb)
        entry = Entry.objects.get()
        assert (entry.about, entry.verb, entry.by, entry.caused) == (row.about, verb, duty, [str(row)])
        assert (entry.before, entry.after) == ({"state": state}, {"state": MOVES.target(verb)})
    else:
        with pytest.raises(NotAllowed) as refused:
            VERBS[verb](row, duty)
        assert str(refused.value) == workflow.why_not(verb, row, clock.now()) != ""
        row.refresh_from_db()
        assert (row.state, Entry.objects.count()) == (state, 0)


def test_what_is_being_sent_can_only_be_waited_for(duty):
    row = MailFactory(state=State.SENDING)
    for verb in VERBS.values():
        with pytest.raises(NotAllowed, match=f"Mail {row.pk} is being sent right now: wait a minute"):
            verb(row, duty)


@pytest.mark.parametrize("kind", FACTORIES)
def test_a_second_click_changes_nothing_and_says_how_it_stands(duty, kind):
    row = FACTORIES[kind](state=State.FAILED)
    again = type(row).objects.get(pk=row.pk)
    workflow.try_again(row, duty)
    with pytest.raises(NotAllowed, match="is due by now: it was not changed"):
        workflow.try_again(again, duty)
    assert Entry.objects.count() == 1


def test_to_try_again_gives_all_tries_and_keeps_what_the_server_said(duty):
    row = MailFactory(
        state=State.FAILED, tries=9, attempts=9, deaths=4, last_words="550 no such user", last_code=550,
        due_since=clock.now() - timedelta(days=5), accepted_at=clock.now() - timedelta(days=4),
    )  # fmt: skip
    bytes_before = bytes(row.message)
    before = clock.now()
    workflow.try_again(row, duty)
    assert before <= row.due_since == row.next_try_at <= clock.now()
    assert (row.tries, row.attempts, row.deaths, row.accepted_at) == (0, 9, 0, None)
    assert (row.last_words, row.last_code) == ("550 no such user", 550)
    assert bytes(row.message) == bytes_before


@pytest.mark.parametrize(
    ("make", "bell_of_it"),
    [
        (lambda: MailFactory(state=State.HELD), ("deliver_mail", "mail")),
        (lambda: MailFactory(state=State.HELD, priority=Priority.URGENT), ("deliver_urgent", "urgent")),
        (lambda: BugUpdateFactory(state=State.HELD), ("update_bugs", "sync")),
    ],
)
def test_what_is_tried_again_or_ended_rings_its_own_worker(duty, rung, make, bell_of_it):
    for verb in (workflow.try_again, workflow.cancel, workflow.done_by_hand):
        assert rung(verb, make(), duty) == [bell_of_it]
    row = make()
    workflow.try_again(row, duty)
    assert rung(workflow.hold, row, duty) == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"message": b"", "sha256": ""}, "was never composed"),
        ({"message": b"", "erased_at": "now"}, "its words were erased, because its bug is restricted"),
        ({"not_after": "a second ago"}, "is not sent any more: its time was over"),
    ],
)
def test_a_mail_that_can_never_go_is_not_tried_again(duty, fields, why):
    moments = {"now": clock.now(), "a second ago": clock.now() - timedelta(seconds=1)}
    row = MailFactory(state=State.FAILED, **{name: moments.get(value, value) for name, value in fields.items()})
    with pytest.raises(NotAllowed, match=why):
        workflow.try_again(row, duty)
    assert Mail.objects.get().state == State.FAILED
    workflow.cancel(row, duty)


def test_a_mail_whose_time_is_not_over_yet_is_tried_again(duty):
    row = MailFactory(state=State.HELD, not_after=clock.now() + timedelta(minutes=1))
    workflow.try_again(row, duty)
    assert row.state == State.DUE


@pytest.mark.parametrize(
    ("kind", "setting", "why"), [("mail", "EMAIL_URL", post.NO_MAIL), ("bug", "BUGZILLA_URL", post.NO_BUGZILLA)]
)
def test_without_the_setting_that_it_needs_nothing_is_tried_again(duty, settings, kind, setting, why):
    setattr(settings, setting, "")
    with pytest.raises(NotAllowed) as refused:
        workflow.try_again(FACTORIES[kind](state=State.HELD), duty)
    assert str(refused.value) == why


# --- filing a bug twice -----------------------------------------------------------------------------------------------


def uncertain(**fields):
    return BugUpdateFactory(state=State.UNKNOWN, uncertain_since=clock.now(), **fields)


def test_a_new_bug_that_may_be_filed_already_is_filed_again_only_by_who_says_so(duty):
    row = uncertain(bug_id=None, wants=NEW_BUG)
    with pytest.raises(NotAllowed, match=f"look in Bugzilla for “ref {row.op}” first"):
        workflow.try_again(row, duty)
    assert BugUpdate.objects.get().state == State.UNKNOWN
    workflow.try_again(row, duty, file_it_again=True)
    assert (row.state, row.uncertain_since) == (State.DUE, None)
    assert "filed again, whether it was filed or not" in Entry.objects.get().sentence


def test_a_click_on_an_old_page_never_files_a_bug_twice(duty):
    """The page was drawn before the answer was lost: its button said nothing of filing it again."""
    row = BugUpdateFactory(state=State.RETRY, bug_id=None, wants=NEW_BUG)
    BugUpdate.objects.update(uncertain_since=clock.now())
    with pytest.raises(NotAllowed, match="Nobody knows whether"):
        workflow.try_again(row, duty)


def test_a_change_that_may_be_there_already_is_looked_for_first(duty):
    row = uncertain()
    workflow.try_again(row, duty)
    assert row.state == State.DUE
    assert row.uncertain_since is not None


# --- holding, cancelling, doing it by hand ----------------------------------------------------------------------------


def test_what_a_person_holds_or_cancels_says_who_and_what_the_server_had_said(duty):
    held = MailFactory(state=State.RETRY, last_words="451 greylisted")
    workflow.hold(held, duty)
    assert held.last_words == "duty held it. Before that: 451 greylisted"
    cancelled = MailFactory(state=State.DUE, last_words="x" * 500)
    workflow.cancel(cancelled, duty)
    assert cancelled.last_words.startswith("duty cancelled it. Before that: xxx")
    assert len(cancelled.last_words) == 500


def test_what_a_person_ended_is_told_to_its_purpose(duty, monkeypatch):
    heard = []
    monkeypatch.setattr(purposes, "_registry", {})
    purposes.register(Purpose("outbox: check", "A check", happened=lambda row: heard.append((str(row), row.state))))
    cancelled, done, held, again = (MailFactory(state=State.HELD) for _ in range(4))
    workflow.cancel(cancelled, duty)
    workflow.done_by_hand(done, duty)
    workflow.try_again(again, duty)
    workflow.hold(again, duty)
    assert delivery.tell_purposes(Mail) == 2
    assert heard == [(str(cancelled), "cancelled"), (str(done), "accepted")]


def test_what_was_done_by_hand_counts_as_accepted_from_that_moment(duty):
    row = MailFactory(state=State.FAILED, last_words="550 no such user", last_code=550)
    before = clock.now()
    workflow.done_by_hand(row, duty)
    assert row.state == State.ACCEPTED
    assert before <= row.accepted_at <= clock.now()
    assert (row.last_words, row.last_code) == ("duty did it by hand.", None)


@pytest.mark.parametrize("bug_id", [None, 0, -1, 2**31, 10**40])
def test_a_new_bug_that_was_filed_by_hand_needs_its_number(duty, bug_id):
    row = BugUpdateFactory(state=State.HELD, bug_id=None, wants=NEW_BUG)
    with pytest.raises(NotAllowed, match="needs the number of the bug"):
        workflow.done_by_hand(row, duty, bug_id)
    assert BugUpdate.objects.get().state == State.HELD


@pytest.mark.parametrize("bug_id", [1, 1400123, 2**31 - 1])
def test_a_new_bug_that_was_filed_by_hand_has_its_number(duty, bug_id):
    row = uncertain(bug_id=None, wants=NEW_BUG)
    workflow.done_by_hand(row, duty, bug_id)
    assert (row.state, row.bug_id, row.uncertain_since) == (State.ACCEPTED, bug_id, None)
    assert f"by hand as bug {bug_id}" in Entry.objects.get().sentence


def test_the_bug_of_a_change_is_not_renamed_by_hand(duty):
    row = BugUpdateFactory(state=State.HELD, bug_id=1400123)
    workflow.done_by_hand(row, duty, 7)
    assert row.bug_id == 1400123


def test_no_entry_of_the_record_repeats_the_servers_words(duty):
    for verb in VERBS.values():
        verb(MailFactory(state=State.RETRY, last_words="550 CANARY", subject="CANARY"), duty)
    assert Entry.objects.count() == len(VERBS)
    assert "CANARY" not in str(list(Entry.objects.values()))


# --- all that waited for a setting ------------------------------------------------------------------------------------


def test_what_was_held_for_want_of_a_setting_goes_once_it_is_there(duty, settings):
    mails = [MailFactory(state=State.HELD, last_words=post.NO_MAIL) for _ in range(3)]
    update = BugUpdateFactory(state=State.HELD, last_words=post.NO_BUGZILLA)
    others = [MailFactory(state=State.HELD, last_words="duty held it."), MailFactory(state=State.FAILED)]
    settings.EMAIL_URL = ""
    assert workflow.try_all_again(duty) == (1, 0)  # the one for which the setting is there
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    too_late = MailFactory(state=State.HELD, last_words=post.NO_MAIL, not_after=clock.now() - timedelta(days=1))
    assert workflow.try_all_again(duty) == (3, 1)
    assert workflow.try_all_again(duty) == (0, 1)
    for row in (*mails, update):
        row.refresh_from_db()
        assert row.state == State.DUE
    for row in (*others, too_late):
        row.refresh_from_db()
        assert row.state in (State.HELD, State.FAILED)


@pytest.mark.django_db(transaction=True)
def test_a_verb_that_is_refused_leaves_no_lock_and_no_change_behind(duty):
    row = MailFactory(state=State.ACCEPTED)
    with pytest.raises(NotAllowed):
        workflow.cancel(row, duty)
    assert not connection.in_atomic_block
    assert Mail.objects.values_list("state", flat=True).get() == State.ACCEPTED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", [workflow.cancel, workflow.done_by_hand])
def test_of_two_people_who_click_at_once_one_is_told_that_the_other_was_quicker(duty, lead, first):
    row = MailFactory(state=State.HELD)
    start, told = threading.Barrier(2, timeout=10), []

    def click(verb, by):
        mine = Mail.objects.get(pk=row.pk)
        start.wait()
        try:
            verb(mine, by)
        except NotAllowed as refusal:
            told.append(str(refusal))
        finally:
            connection.close()

    clicks = [threading.Thread(target=click, args=args) for args in ((first, duty), (workflow.cancel, lead))]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join(20)
    assert len(told) == 1 and "by now: it was not changed" in told[0]
    assert Entry.objects.count() == 1
