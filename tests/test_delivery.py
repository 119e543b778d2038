"""A row is claimed by one, tried under a lease, settled once, and its purpose is told until it has heard."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction

from ciduty import clock
from ciduty.leases import LeaseLost
from ciduty.outbox import delivery, post, purposes, rules
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.outbox.outcome import Outcome
from ciduty.outbox.purposes import Purpose, Stop
from ciduty.outbox.rules import MOVES, Priority, State
from ciduty.record.models import Entry

pytestmark = pytest.mark.django_db

ACCEPTED = Outcome("accept", "250 taken", code=250)
LATER = Outcome("put off", "451 greylisted", code=451)


class Sender:
    """A sender whose outcomes are told to it; keeps what it was given."""

    def __init__(self, outcomes=(), meanwhile=None):
        self.outcomes, self.meanwhile, self.given = list(outcomes), meanwhile, []

    def __call__(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def send(self, row, holding):
        self.given.append(str(row))
        if self.meanwhile:
            self.meanwhile(row, holding)
        return self.outcomes.pop(0) if self.outcomes else ACCEPTED


@pytest.fixture
def told(settings, monkeypatch):
    """What the purpose of the tests was told, as (row, state); mail and Bugzilla are configured, and never reached."""
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"
    heard = []
    monkeypatch.setattr(purposes, "_registry", {})
    purposes.register(Purpose("tests: note", "A note", happened=lambda row: heard.append((str(row), row.state))))
    return heard


def mail(number=1, **fields):
    return post.mail(
        **{"key": f"mail {number}", "purpose": "tests: note", "about": "test 1", "to": f"developer{number}@example.com"}
        | {"subject": "A note", "text": "Something happened."}
        | fields
    )


def bug_update(number, bug_id, **fields):
    wants = {"comment": f"Comment {number}"}
    return post.bug_update(
        **{"key": f"update {number}", "purpose": "tests: note", "about": "test 1", "bug_id": bug_id, "wants": wants}
        | fields
    )


def deliver(sender, channel=delivery.MAIL, **options):
    return dict(delivery.deliver(delivery.Channel(channel.name, channel.model, sender), **options))


# --- posting ----------------------------------------------------------------------------------------------------------


def test_the_same_key_twice_is_one_row_with_one_message_id(told):
    first, second = mail(), mail(text="Another text.")
    assert (first.pk, first.message_id, bytes(first.message)) == (second.pk, second.message_id, bytes(second.message))
    assert Mail.objects.count() == 1


def test_a_row_of_a_decision_that_was_taken_back_does_not_exist(told):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        mail()
        1 / 0  # noqa: B018
    assert not Mail.objects.exists()


def test_without_a_mail_server_the_row_is_held_and_says_so(told, settings):
    settings.EMAIL_URL = ""
    row = mail()
    assert (row.state, row.last_words) == (State.HELD, post.NO_MAIL)
    assert row.message
    assert deliver(Sender()) == {}


def test_without_bugzilla_the_row_is_held_and_says_so(told, settings):
    settings.BUGZILLA_URL = ""
    row = bug_update(1, 1400123)
    assert (row.state, row.last_words) == (State.HELD, post.NO_BUGZILLA)


def test_that_nobody_was_told_stands_in_the_record_with_its_reason(told, duty):
    post.nobody_told("downtime 17", "the downtime was cancelled before it was announced", by=duty)
    entry = Entry.objects.get(about="downtime 17")
    assert (entry.verb, entry.by) == ("nobody told", duty)
    assert entry.sentence == "Nobody was told, because the downtime was cancelled before it was announced"


# --- one try ----------------------------------------------------------------------------------------------------------


def test_an_accepted_row_says_when_and_in_whose_words(told):
    row = mail()
    assert deliver(Sender()) == {"sent": 1}
    row.refresh_from_db()
    assert (row.state, row.last_code, row.last_words, row.attempts) == (State.ACCEPTED, 250, "250 taken", 1)
    assert timedelta() <= clock.now() - row.accepted_at < timedelta(minutes=1)
    assert told == [("mail 1".replace("1", str(row.pk)), State.ACCEPTED)]


def test_the_attempt_is_committed_before_the_world_is_asked(told):
    row = mail()
    seen = []
    deliver(Sender(meanwhile=lambda row, _: seen.append(Mail.objects.get(pk=row.pk))))
    assert [(now.state, now.attempts) for now in seen] == [(State.SENDING, 1)]
    assert seen[0].lease_until - seen[0].last_tried_at == rules.LEASE
    assert row.attempts == 0


def test_tries_come_after_1_2_5_10_15_and_then_every_15_minutes(told):
    row = mail()
    waits = []
    for _ in range(8):
        assert deliver(Sender([LATER])) == {"retried": 1}
        row.refresh_from_db()
        waits.append(round((row.next_try_at - row.last_tried_at).total_seconds() / 60))
        clock.move(row.next_try_at - clock.now() - timedelta(seconds=1))
        assert deliver(Sender()) == {}, "a second early"
        clock.move(timedelta(seconds=2))
    assert waits == [1, 2, 5, 10, 15, 15, 15, 15]


@pytest.mark.parametrize(("hours", "state"), [(71.9, State.RETRY), (72.1, State.FAILED)])
def test_after_72_hours_a_row_is_parked_where_a_person_sees_it(told, hours, state):
    row = mail()
    deliver(Sender([LATER]))
    clock.move(timedelta(hours=hours))
    deliver(Sender([LATER]))
    row.refresh_from_db()
    assert row.state == state
    assert "451 greylisted" in row.last_words
    assert (told == [(str(row), State.FAILED)]) == (state == State.FAILED)


@pytest.mark.parametrize(("seconds", "state"), [(-2, State.ACCEPTED), (2, State.CANCELLED)])
def test_past_its_time_a_row_does_not_go_any_more(told, seconds, state):
    row = mail(not_after=clock.now() + timedelta(hours=1))
    clock.move(timedelta(hours=1, seconds=seconds))
    deliver(Sender())
    row.refresh_from_db()
    assert row.state == state


def test_urgent_rows_go_first_and_then_the_oldest(told):
    rows = [mail(1, priority=Priority.BULK), mail(2), mail(3), mail(4, priority=Priority.URGENT)]
    sender = Sender()
    deliver(sender)
    assert sender.given == [str(rows[index]) for index in (3, 1, 2, 0)]


def test_bulk_on_a_slow_server_leaves_room_for_what_is_urgent(told):
    for number in range(rules.OTHERS_AT_ONCE):
        mail(number, priority=Priority.BULK)
        assert delivery.claim(Mail)[0].state == State.SENDING
    mail(8, priority=Priority.BULK)
    assert delivery.claim(Mail) == (None, "")
    urgent = mail(9, priority=Priority.URGENT)
    assert delivery.claim(Mail)[0] == urgent


def test_when_the_server_is_out_nothing_else_is_tried_now(told):
    mail(1), mail(2)
    sender = Sender([Outcome("put off", "connection refused", server_is_out=True)])
    assert deliver(sender) == {"retried": 1}
    assert len(sender.given) == 1


def test_what_has_only_just_come_due_is_left_to_the_worker(told):
    mail()
    assert deliver(Sender(), late_by=timedelta(minutes=1)) == {}
    clock.move(timedelta(seconds=61))
    assert deliver(Sender(), late_by=timedelta(minutes=1)) == {"sent": 1}


# --- senders that die or dawdle ---------------------------------------------------------------------------------------


def test_a_dead_senders_row_is_taken_over_after_its_lease_and_not_before(told):
    row = mail()
    delivery.claim(Mail)
    clock.move(rules.LEASE - timedelta(seconds=2))
    assert delivery.claim(Mail) == (None, "")
    clock.move(timedelta(seconds=3))
    taken, _ = delivery.claim(Mail)
    assert (taken.pk, taken.fence, taken.attempts, taken.deaths) == (row.pk, 2, 2, 1)


def test_a_row_that_kills_its_senders_is_parked_after_five(told):
    row = mail()
    for _ in range(rules.MOST_DEATHS):
        assert delivery.claim(Mail)[0] is not None
        clock.move(rules.LEASE + timedelta(seconds=1))
    assert delivery.claim(Mail) == (None, "park")
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.FAILED, rules.MOST_DEATHS)
    assert "died 5 times" in row.last_words


def test_who_slept_past_the_lease_writes_nothing_over_the_next_holder(told):
    row = mail()

    def sleeps(row, holding):
        clock.move(rules.LEASE + timedelta(seconds=1))
        assert delivery.claim(Mail)[0].fence == 2

    assert deliver(Sender([Outcome("park", "550 nobody there")], meanwhile=sleeps)) == {}
    row.refresh_from_db()
    assert (row.state, row.fence, row.last_words) == (State.SENDING, 2, "")


def test_renewing_prolongs_the_lease_and_fails_once_it_is_lost(told):
    mail()
    row, _ = delivery.claim(Mail)
    holding = delivery.Holding(row)
    clock.move(timedelta(seconds=50))
    holding.renew()
    row.refresh_from_db()
    assert row.lease_until - clock.now() > timedelta(seconds=58)
    clock.move(rules.LEASE + timedelta(seconds=1))
    delivery.claim(Mail)
    with pytest.raises(LeaseLost):
        holding.renew()


@pytest.mark.django_db(transaction=True)
def test_many_senders_at_once_send_each_row_once(told):
    """On SQLite transactions come one after the other by themselves; on PostgreSQL rows are locked."""
    for number in range(40):
        mail(number, priority=Priority.URGENT)
    sender, begin = Sender(), threading.Barrier(4)

    def work():
        begin.wait()
        try:
            deliver(sender)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(sender.given) == len(set(sender.given)) == 40
    assert set(Mail.objects.values_list("state", "attempts")) == {(State.ACCEPTED, 1)}
    assert connection.vendor in ("sqlite", "postgresql")


# --- bugs in order ----------------------------------------------------------------------------------------------------


def test_the_updates_of_one_bug_go_in_order_and_other_bugs_do_not_wait(told):
    first, second, other = bug_update(1, 1400123), bug_update(2, 1400123), bug_update(3, 1400124)
    sender = Sender([Outcome("lose sight of", "no answer")])
    deliver(sender, delivery.BUGS)
    assert sender.given == [str(first), str(other)]
    clock.move(timedelta(minutes=2))
    deliver(sender, delivery.BUGS)
    assert sender.given == [str(first), str(other), str(first), str(second)]


def test_an_update_that_a_person_holds_does_not_hold_up_the_next(told):
    first, second = bug_update(1, 1400123), bug_update(2, 1400123)
    BugUpdate.objects.filter(pk=first.pk).update(**{"state": State.HELD})
    sender = Sender()
    deliver(sender, delivery.BUGS)
    assert sender.given == [str(second)]


# --- purposes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "state", "count"),
    [(Stop("The bug is restricted now."), State.HELD, 0), (Stop("Withdrawn.", for_good=True), State.CANCELLED, 1)],
)
def test_a_purpose_may_stop_a_row_at_the_last_moment(told, stop, state, count):
    purposes.register(Purpose("tests: stopped", "Stopped", may_still_go=lambda row: stop, happened=told.append))
    row, sender = mail(purpose="tests: stopped"), Sender()
    deliver(sender)
    row.refresh_from_db()
    assert (sender.given, row.state, row.last_words, row.attempts) == ([], state, stop.why, 0)
    assert len(told) == count


def test_a_row_whose_words_were_erased_is_never_sent(told):
    row, sender = mail(), Sender()
    Mail.objects.filter(pk=row.pk).update(erased_at=clock.now())
    assert deliver(sender) == {"cancelled": 1}
    assert sender.given == []


def test_a_write_of_unknown_outcome_is_looked_for_before_anything_holds_it_back(told):
    purposes.register(Purpose("tests: late", "Late", may_still_go=lambda row: Stop("The bug was closed.")))
    row = bug_update(1, 1400123, purpose="tests: late", not_after=clock.now() + timedelta(minutes=1))
    BugUpdate.objects.filter(pk=row.pk).update(state=State.UNKNOWN, uncertain_since=clock.now())
    clock.move(timedelta(minutes=2))
    sender = Sender([Outcome("lose sight of", "no trace yet")])
    assert deliver(sender, delivery.BUGS) == {"retried": 1}
    assert sender.given == [str(row)]
    clock.move(timedelta(minutes=10))
    assert deliver(sender, delivery.BUGS) == {"cancelled": 1}
    row.refresh_from_db()
    assert row.last_words.startswith("It may have been written or not")


def test_a_check_that_breaks_holds_its_own_row_and_the_others_leave(told):
    def breaks(row):
        Mail.objects.get(pk=0)

    purposes.register(Purpose("tests: broken", "Broken", may_still_go=breaks))
    broken, fine = mail(1, purpose="tests: broken"), mail(2)
    assert deliver(Sender()) == {"held": 1, "sent": 1}
    broken.refresh_from_db(), fine.refresh_from_db()
    assert (broken.state, fine.state) == (State.HELD, State.ACCEPTED)
    assert "DoesNotExist" in broken.last_words


def test_a_purpose_that_nobody_knows_holds_its_row(told):
    row = mail(purpose="an app that was removed")
    assert deliver(Sender()) == {"held": 1}
    row.refresh_from_db()
    assert "an app that was removed" in row.last_words


def test_a_purpose_is_told_until_it_has_heard(told):
    heard = []

    def hard_of_hearing(row):
        heard.append(row.pk)
        if len(heard) < 3:
            raise ZeroDivisionError

    purposes.register(Purpose("tests: deaf", "Deaf", happened=hard_of_hearing))
    row = mail(purpose="tests: deaf")
    deliver(Sender())
    for _ in range(3):
        deliver(Sender())
    assert heard == [row.pk] * 3
    assert not Mail.objects.filter(hook_owed=True).exists()


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", list(MOVES))
@pytest.mark.parametrize("state", State)
def test_nothing_leads_out_of_what_was_cancelled_and_only_a_bounce_out_of_what_was_accepted(verb, state):
    if state == State.CANCELLED:
        assert not MOVES.allow(verb, state)
    if state == State.ACCEPTED:
        assert MOVES.allow(verb, state) == (verb == "bounce")
    if state == State.SENDING:  # a person waits until its sender is done with it
        assert not (MOVES.allow(verb, state) and verb in ("hold", "try again", "cancel", "done by hand"))


def test_what_is_on_the_record_of_a_row_names_it_and_none_of_the_servers_words(told):
    row = mail()
    deliver(Sender([Outcome("park", "550 CANARY-words of the server")]))
    entry = Entry.objects.get(about="test 1")
    assert entry.caused == [str(row)]
    assert "CANARY" not in entry.sentence
