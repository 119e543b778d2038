"""What is said shortly before a downtime begins, once each, and what is drafted once it is overdue."""

from datetime import timedelta

import pytest
from django.db import connection

from ciduty import clock
from ciduty.outbox.models import Mail
from ciduty.people.roles import Role
from downtimes import announcing, reminders, tasks
from downtimes.models import Item
from downtimes.rules import State
from downtimes.run import beginning, reminding, steering, working
from downtimes.run.closing import BY_HAND
from downtimes.run.rules import Step
from tests import downtime_stage, run_stage
from tests.cast import BugzillaLoginFactory, PersonFactory, at_once

pytestmark = pytest.mark.django_db

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
DUTY, WORKER = "duty@example.com", "worker@example.com"


@pytest.fixture(autouse=True)
def somebody_listens(settings):
    """The clock stands on a working morning; duty keeps the trees by hand; nothing is delivered."""
    run_stage.morning()
    settings.EMAIL_URL, settings.SITE_URL = "smtp://127.0.0.1:9", "https://ciduty.example.com"
    with run_stage.trees_kept(settings, BY_HAND):
        yield


@pytest.fixture
def announced(people):
    """A downtime that begins in three days, announced."""
    return downtime_stage.announced(people)


def at(downtime, before):
    """Let it be so long before its start, and remind; returns who was written to, and of what."""
    clock.move(downtime.starts_at - before - clock.now())
    reminding.remind()
    return sent()


def sent():
    """Return every reminder of a start: to whom, and which."""
    mails = Mail.objects.filter(purpose=reminding.REMINDER).order_by("pk")
    return [(mail.recipient, "quarter" if " quarter to " in mail.key else "hour") for mail in mails]


def text_of(kind):
    mail = Mail.objects.filter(purpose=reminding.REMINDER, key__contains=f" {kind} to ").first()
    return bytes(mail.message).decode()


# --- an hour, and a quarter of an hour --------------------------------------------------------------------------------


def test_an_hour_before_who_works_in_it_is_told_to_be_there_and_a_quarter_before_duty_touches_base(announced):
    assert at(announced, 60 * MINUTE + 5 * SECOND) == []
    hour = [(WORKER, "hour"), (DUTY, "hour")]
    assert at(announced, 60 * MINUTE - 5 * SECOND) == hour
    assert at(announced, 15 * MINUTE + 5 * SECOND) == hour, "once each"
    assert at(announced, 15 * MINUTE - 5 * SECOND) == at(announced, MINUTE) == [*hour, (DUTY, "quarter")]
    for kind in ("hour", "quarter"):
        text = text_of(kind)
        assert "Switches in mdc1" in text and "Fri 6 Mar 2026 09:00 UTC (11:00 EET, 01:00 PST)" in text
        assert f"https://ciduty.example.com/downtimes/{announced.pk}/run/" in text
        assert "Trees: autoland, mozilla-central" in text
        assert max(map(len, text.split("\n"))) <= 80 and "#ci" in text
    assert "until the trees are open again" in text_of("hour")
    assert "Told the sheriff before the start" in text_of("quarter")
    assert all(mail.not_after == announced.starts_at for mail in Mail.objects.filter(purpose=reminding.REMINDER))


def test_what_was_ticked_off_already_is_not_asked_for(announced):
    steering.do_step(announced, Step.SHERIFF_TOLD, "Sheriff", by=announced.duty)
    at(announced, 10 * MINUTE)
    assert "Told the sheriff" not in text_of("quarter") and "Touched base" in text_of("quarter")


def test_who_was_late_to_remind_reminds_once_and_duty_of_the_nearer_step_alone(announced):
    assert at(announced, 10 * MINUTE) == [(WORKER, "hour"), (DUTY, "quarter")]


@pytest.mark.parametrize("after", [SECOND, MINUTE])
def test_what_has_begun_or_is_late_reminds_nobody(announced, after):
    assert at(announced, -after) == []


def test_every_worker_is_reminded_once_at_the_address_of_their_account(people, announced):
    person = PersonFactory(username="it", email="somebody@example.com")
    BugzillaLoginFactory(person=person, login="IT@example.com")
    for worker in ("it@example.com", "it@example.com", DUTY, "no-address", ""):
        item = downtime_stage.add_work(announced)
        Item.objects.filter(pk=item.pk).update(worker=worker)
    assert at(announced, 50 * MINUTE) == [(DUTY, "hour"), ("somebody@example.com", "hour"), (WORKER, "hour")]


@pytest.mark.parametrize("moved", ["held", "postponed", "cancelled", "draft"])
def test_what_does_not_begin_then_reminds_nobody_and_a_reminder_on_its_way_is_dropped(people, announced, moved):
    duty, starts_at = announced.duty, announced.starts_at
    at(announced, 50 * MINUTE)
    mail = Mail.objects.filter(purpose=reminding.REMINDER).first()
    assert reminding.may_still_go(mail) is None
    if moved == "held":
        beginning.hold(announced, by=duty, because="A chemspill.")
    elif moved == "postponed":
        later = {"starts_at": starts_at + timedelta(days=3), "ends_at": starts_at + timedelta(days=3, hours=3)}
        announcing.postpone(announced, by=duty, because="A part.", revision=announced.revision, **later)
    elif moved == "cancelled":
        announcing.cancel(announced, by=duty, because="Not needed.")
    else:
        type(announced).objects.filter(pk=announced.pk).update(state=State.AGREEING)
    assert reminding.may_still_go(mail).for_good
    clock.move(40 * MINUTE)
    assert reminding.remind() == 0


def test_another_start_is_reminded_of_anew_and_the_old_one_no_more(announced):
    at(announced, 50 * MINUTE)
    old = Mail.objects.filter(purpose=reminding.REMINDER).first()
    later = announced.starts_at + timedelta(days=1)
    type(announced).objects.filter(pk=announced.pk).update(starts_at=later)
    announced.refresh_from_db()
    assert reminding.may_still_go(old).for_good
    assert at(announced, 50 * MINUTE) == [(WORKER, "hour"), (DUTY, "hour")] * 2


def test_the_tick_writes_them_too_and_says_how_many(announced):
    clock.move(announced.starts_at - 50 * MINUTE - clock.now())
    assert tasks.remind_with_the_tick(MINUTE) == "2 written"
    assert tasks.remind_with_the_tick(MINUTE) == "nothing due"
    assert reminders.remind() == 0


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time: only PostgreSQL can race")
@pytest.mark.django_db(transaction=True)
def test_worker_and_tick_at_the_same_moment_write_each_reminder_once(announced):
    clock.move(announced.starts_at - 50 * MINUTE - clock.now())
    assert sorted(at_once([reminding.remind] * 3)) == [0, 0, 2]
    assert sent() == [(WORKER, "hour"), (DUTY, "hour")]


# --- past its end -----------------------------------------------------------------------------------------------------


def test_past_its_end_the_extension_is_drafted_from_the_work_that_is_left(people):
    downtime = run_stage.begun(people)
    run_stage.close(downtime)
    first = downtime.items.get()
    second, third = (downtime_stage.add_work(downtime, minutes=minutes) for minutes in (60, 25))
    clock.move(downtime.ends_at + 5 * MINUTE + 5 * SECOND - clock.now())
    working.do(first, "start", by=downtime.duty)
    clock.move(10 * MINUTE)
    late = run_stage.now(downtime)
    ends_at, because = reminding.overdue_draft(late, clock.now())
    # A moment past 12:15, then 50 minutes of the first, 60 and 25 of the others: the quarter of an hour after 14:30.
    assert f"{ends_at:%Y-%m-%d %H:%M:%S}" == "2026-03-06 14:45:00"
    assert because == (
        f"Bug {first.bug_id} is still under way. Bug {second.bug_id} and bug {third.bug_id} have not begun yet."
    )
    for item in (first, second, third):
        verb = "land" if item == first else "leave"
        working.do(item, verb, by=downtime.duty, words="No time.")
    ends_at, because = reminding.overdue_draft(late, clock.now())
    assert ends_at - clock.now() >= timedelta(minutes=29)
    assert because == "The work is over, and the trees are being checked before they reopen."
    steering.extend(late, by=people[Role.DUTY], because=because, ends_at=ends_at, shown_end=late.ends_at.isoformat())
    again, _ = reminding.overdue_draft(run_stage.now(downtime), clock.now())
    assert again > ends_at, "an extension is always longer than what was told"
