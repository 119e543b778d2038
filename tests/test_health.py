"""/healthz turns red when what is due does not leave or the tick is silent; what waits for a person is no alarm."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla import poll
from ciduty.models import Heartbeat, beat
from ciduty.outbox import health, post, rules, tasks
from ciduty.outbox.rules import State
from tests.cast import BugUpdateFactory, MailFactory, TreeChangeFactory

pytestmark = pytest.mark.django_db

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
FACTORIES = [MailFactory, BugUpdateFactory, TreeChangeFactory]


@pytest.fixture
def ask(bugzilla, stranger, settings):
    """Bugzilla was just read and the tick is alive; return what asks /healthz, as (status, its figures)."""
    settings.BUGZILLA_POLL_SECONDS = 86400  # the clock is moved, and only what stands here shall turn red
    poll.poll()
    beat("tick")

    def ask():
        answer = stranger.get("/healthz")
        return answer.status_code, answer.json()

    return ask


def test_with_nothing_due_and_a_tick_all_is_well(ask):
    status, told = ask()
    assert status == 200
    assert told["outbox"] == {"late": False, "seconds_oldest_due": None, "need_somebody": 0}
    assert told["tick"]["silent"] is False
    assert 0 <= told["tick"]["seconds_since_last_tick"] < 10
    assert told["worker"] == {"seconds_since_last_task": None}


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("state", [State.DUE, State.RETRY, State.UNKNOWN])
@pytest.mark.parametrize(("waited", "late"), [(timedelta(seconds=290), False), (timedelta(seconds=301), True)])
def test_health_turns_red_when_the_oldest_due_row_waits_for_more_than_five_minutes(ask, factory, state, waited, late):
    at = clock.now()
    factory(state=state, created_at=at - timedelta(days=1), next_try_at=at - waited)
    status, told = ask()
    assert (status, told["outbox"]["late"]) == ((503, True) if late else (200, False))
    assert waited.total_seconds() <= told["outbox"]["seconds_oldest_due"] < waited.total_seconds() + 9


def test_five_minutes_sharp_are_not_too_long_yet():
    assert rules.DUE_TOO_LONG == 5 * MINUTE
    assert not health.too_long(5 * MINUTE)
    assert health.too_long(5 * MINUTE + timedelta(microseconds=1))
    assert not health.too_long(None)


@pytest.mark.parametrize(("since", "late"), [(5 * MINUTE, False), (5 * MINUTE + SECOND, True)])
def test_a_row_whose_sender_died_is_due_from_the_end_of_its_lease(since, late):
    at = clock.now()
    MailFactory(state=State.SENDING, created_at=at - timedelta(days=1), lease_until=at - since)
    assert health.state(at).oldest_due == since
    assert health.state(at).is_late == late


def test_what_is_being_sent_or_tried_later_is_not_due():
    at = clock.now()
    MailFactory(state=State.SENDING, created_at=at - timedelta(days=1), lease_until=at + SECOND)
    MailFactory(state=State.RETRY, created_at=at - timedelta(days=1), next_try_at=at + SECOND)
    assert health.oldest_due(at) is None


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("state", [State.HELD, State.FAILED])
def test_what_waits_for_a_person_is_counted_and_is_no_alarm(ask, factory, state):
    factory(state=state, created_at=clock.now() - timedelta(days=30))
    status, told = ask()
    assert (status, told["outbox"]) == (200, {"late": False, "seconds_oldest_due": None, "need_somebody": 1})


@pytest.mark.parametrize("state", [State.ACCEPTED, State.CANCELLED])
def test_what_is_over_is_neither_due_nor_counted(state):
    MailFactory(state=state, created_at=clock.now() - timedelta(days=30))
    assert (health.oldest_due(clock.now()), health.need_somebody()) == (None, 0)


def test_a_change_that_waits_its_turn_behind_another_of_its_bug_is_not_late():
    at = clock.now()
    BugUpdateFactory(state=State.RETRY, created_at=at - timedelta(hours=1), next_try_at=at + MINUTE)
    BugUpdateFactory(created_at=at - timedelta(hours=1))
    assert health.oldest_due(at) is None
    BugUpdateFactory(created_at=at - 10 * MINUTE, bug_id=1400124)
    assert health.oldest_due(at) == 10 * MINUTE


def test_the_oldest_of_mails_and_changes_counts():
    at = clock.now()
    MailFactory(created_at=at - 2 * MINUTE)
    BugUpdateFactory(created_at=at - 3 * MINUTE)
    MailFactory(created_at=at - 1 * MINUTE)
    assert health.oldest_due(at) == 3 * MINUTE


# --- heartbeats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "silent"), [(175, False), (181, True)])
def test_health_turns_red_when_the_tick_is_silent_for_three_minutes(ask, seconds, silent):
    clock.move(timedelta(seconds=seconds))
    status, told = ask()
    assert (status, told["tick"]["silent"]) == ((503, True) if silent else (200, False))
    assert told["tick"]["seconds_since_last_tick"] >= seconds


def test_three_minutes_sharp_are_no_silence_yet():
    at = clock.now()
    Heartbeat.objects.create(name="tick", at=at - 3 * MINUTE)
    assert not health.state(at).tick_is_silent
    assert health.state(at + timedelta(microseconds=1)).tick_is_silent


def test_a_tick_that_never_ran_is_silent(ask):
    Heartbeat.objects.all().delete()
    status, told = ask()
    assert (status, told["tick"]) == (503, {"silent": True, "seconds_since_last_tick": None})


def test_a_tick_that_lies_ahead_tells_nothing(ask):
    clock.move(timedelta(hours=-1))
    assert ask()[1]["tick"]["silent"] is True


def test_one_silence_is_over_with_the_next_tick(ask):
    clock.move(timedelta(hours=1))
    assert ask()[0] == 503
    beat("tick")
    assert ask()[0] == 200
    assert Heartbeat.objects.count() == 1


@pytest.mark.parametrize("task", [tasks.deliver_urgent, tasks.deliver_mail, tasks.update_bugs])
def test_every_task_of_the_outbox_shows_that_the_worker_lives(ask, task):
    task()
    told = ask()[1]["worker"]["seconds_since_last_task"]
    assert 0 <= told < 10


def test_a_worker_that_is_silent_is_no_alarm_as_long_as_the_tick_delivers(ask):
    tasks.deliver_mail()
    clock.move(timedelta(hours=1))
    beat("tick")
    assert ask()[0] == 200


# --- what strangers learn, and what it costs --------------------------------------------------------------------------


def test_health_tells_strangers_numbers_and_nothing_else(ask):
    MailFactory(state=State.FAILED, subject="CANARY", recipient="canary@example.com", last_words="550 CANARY")
    BugUpdateFactory(wants={"comment": "CANARY"}, purpose="canary", about="loaner canary")

    def values(part):
        return [one for value in part.values() for one in (values(value) if isinstance(value, dict) else [value])]

    assert {type(value) for value in values(ask()[1])} <= {bool, int, float, type(None)}


def test_health_asks_as_often_for_fifty_rows_as_for_none(ask, stranger):
    def asked():
        with CaptureQueriesContext(connection) as queries:
            stranger.get("/healthz")
        return len(queries)

    few = asked()
    for _ in range(25):
        MailFactory()
        BugUpdateFactory(state=State.FAILED)
    assert asked() == few <= 9


# --- the line on the desk ---------------------------------------------------------------------------------------------


@pytest.fixture
def desk(clients, settings):
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    return lambda role="duty": clients[role].get("/").content.decode()


def test_the_desk_says_nothing_of_the_outbox_while_everything_leaves(desk):
    MailFactory()
    MailFactory(state=State.ACCEPTED)
    assert "<h2>Outbox" not in desk()
    assert 'class="need"' not in desk()


def test_the_desk_says_when_something_needs_somebody(desk):
    MailFactory(state=State.FAILED)
    assert "<strong>1 needs somebody</strong> before it leaves." in desk()
    BugUpdateFactory(state=State.HELD)
    assert "<strong>2 need somebody</strong> before they leave." in desk()
    assert '<span class="need" title="2 need somebody">2</span>' in desk()


def test_the_desk_says_when_mail_is_not_configured(desk, settings):
    settings.EMAIL_URL = ""
    assert "<strong>Mail is not configured:</strong> set EMAIL_URL." in desk()


@pytest.mark.parametrize(("waited", "said"), [(timedelta(seconds=290), False), (timedelta(seconds=301), True)])
def test_the_desk_says_when_something_due_does_not_leave(desk, waited, said):
    MailFactory(created_at=clock.now() - waited)
    assert ("<strong>Something due does not leave:</strong> the oldest has waited for 5 min." in desk()) == said


@pytest.mark.parametrize("role", ["developer", "scheduler", "manager", "public"])
def test_only_ciduty_learns_of_the_outbox(desk, clients, role):
    MailFactory(state=State.FAILED)
    page = clients[role].get("/", follow=True).content.decode()
    assert "Outbox" not in page and "need somebody" not in page


def test_a_mail_that_is_held_for_want_of_a_mail_server_needs_somebody(settings):
    settings.EMAIL_URL = ""
    post.mail(
        key="a", purpose="outbox: check", about="test 1", to="developer@example.com", subject="A note", text="Text."
    )
    assert health.need_somebody() == 1
