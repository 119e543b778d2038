"""Announcing a downtime, telling of a change of plan, and the emergency; R25 to R27 by number."""

from datetime import timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import acceptance, delivery
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.outbox.rules import State as MailState
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes import announcing, facts, rules, telling, versions, windows
from downtimes.models import Announcement, Downtime, MailingList, Told
from downtimes.rules import State
from tests.downtime_stage import announced, everybody_approves, plan

pytestmark = pytest.mark.django_db

LISTS = ["all@example.com", "dev-planning@example.com", "dev-tree-management@example.com"]
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture(autouse=True)
def mail_is_configured(settings):
    settings.EMAIL_URL = "smtp://127.0.0.1:9"


@pytest.fixture
def duty(people):
    return people[Role.DUTY]


@pytest.fixture
def agreed(people):
    downtime = plan(people)
    everybody_approves(downtime, people[Role.LEAD])
    return downtime


def announce(downtime, by):
    return announcing.announce(downtime, by=by, version=versions.newest(downtime).number)


def mails_of(announcement):
    return list(Mail.objects.filter(batch=announcement.batch).order_by("recipient"))


def accept(mails, at=None):
    Mail.objects.filter(pk__in=[mail.pk for mail in mails]).update(
        state=MailState.ACCEPTED, accepted_at=at or clock.now()
    )


def refusal(verb, *args, **fields):
    with pytest.raises(NotAllowed) as refused:
        verb(*args, **fields)
    return str(refused.value)


def test_r25_each_list_gets_a_mail_of_its_own_with_the_text_that_was_agreed_to(agreed, duty):
    announcement = announce(agreed, duty)
    mails = mails_of(announcement)
    assert [mail.recipient for mail in mails] == LISTS
    assert [mail.mandatory for mail in mails] == [False, True, True]
    assert {mail.purpose for mail in mails} == {announcing.ANNOUNCE}
    assert announcement.text == versions.newest(agreed).body
    assert (announcement.kind, announcement.emergency) == (Told.ANNOUNCEMENT, False)
    agreed.refresh_from_db()
    assert (agreed.state, agreed.told_first_at is not None) == (State.ANNOUNCED, True)


def test_r26_groups_that_were_added_by_hand_are_told_too_and_nobody_twice(people, duty):
    downtime = plan(people, extra_groups=["sheriffs@example.com", "ALL@example.com"])
    everybody_approves(downtime, people[Role.LEAD])
    assert [mail.recipient for mail in mails_of(announce(downtime, duty))] == [*LISTS, "sheriffs@example.com"]


def test_pressed_twice_it_is_announced_once(agreed, duty):
    first = announce(agreed, duty)
    assert announce(agreed, duty) == first
    assert Mail.objects.filter(purpose=announcing.ANNOUNCE).count() == 3
    assert Entry.objects.filter(about=agreed.about, verb="announce").count() == 1


def test_a_version_that_the_person_did_not_see_is_not_announced(agreed, duty):
    assert "Another version" in refusal(announcing.announce, agreed, by=duty, version=7)
    assert not Announcement.objects.exists()


def test_r27_the_24_hours_run_from_the_last_mandatory_acceptance(agreed, duty):
    mails = mails_of(announce(agreed, duty))
    all_, planning, management = mails
    begun = agreed.starts_at - timedelta(hours=24)
    accept([planning], begun - HOUR)
    assert facts.told_at(agreed) is None  # one mandatory list has not accepted
    accept([management], begun)
    accept([all_], begun + HOUR)  # not mandatory: it does not count
    assert facts.told_at(agreed) == begun
    assert rules.refusals("begin", facts.facts_of(agreed, agreed.starts_at)) == []
    accept([management], begun + SECOND)
    assert "less than 24 hours" in " ".join(rules.refusals("begin", facts.facts_of(agreed, agreed.starts_at)))


def test_r27_a_bounce_that_comes_later_takes_the_24_hours_back(agreed, duty):
    mails = mails_of(announce(agreed, duty))
    accept(mails)
    assert facts.told_at(agreed) is not None
    Mail.objects.filter(pk=mails[1].pk).update(state=MailState.FAILED)
    assert facts.told_at(agreed) is None
    assert [mail.recipient for mail in acceptance.of_batch(f"notice {agreed.pk} v1").missing] == [LISTS[1]]


def test_r27_too_late_is_refused_with_the_earliest_lawful_start(people, duty):
    downtime = plan(people, starts_in=timedelta(hours=25))
    everybody_approves(downtime, people[Role.LEAD])
    clock.move(HOUR + timedelta(minutes=1))
    said = refusal(announce, downtime, duty)
    assert "earliest lawful start is" in said
    assert not Mail.objects.filter(purpose=announcing.ANNOUNCE).exists()


# --- the emergency ----------------------------------------------------------------------------------------------------


def emergency(downtime, people, because="The disks are full"):
    downtime = announcing.ask_for_emergency(
        downtime, by=people[Role.DUTY], because=because, revision=Downtime.objects.get(pk=downtime.pk).revision
    )
    return announcing.agree_to_emergency(downtime, by=people[Role.MANAGER], revision=downtime.revision)


def test_r27_an_emergency_goes_under_24_hours_and_prints_its_reason_and_its_manager(people, duty):
    downtime = plan(people, starts_in=timedelta(hours=5))
    assert "earliest lawful start" in refusal(everybody_approves, downtime, people[Role.LEAD])
    downtime = emergency(downtime, people)
    everybody_approves(downtime, people[Role.LEAD])
    announcement = announce(downtime, duty)
    assert announcement.emergency
    assert "The disks are full" in announcement.text
    assert str(people[Role.MANAGER]) in announcement.text


@pytest.mark.parametrize("role", [Role.DUTY, Role.LEAD, Role.SCHEDULER, Role.DEVELOPER])
def test_r27_nobody_but_a_manager_agrees_to_an_emergency(people, role):
    downtime = plan(people, starts_in=timedelta(hours=5))
    downtime = announcing.ask_for_emergency(downtime, by=people[Role.DUTY], because="Disks", revision=0)
    said = refusal(announcing.agree_to_emergency, downtime, by=people[role], revision=downtime.revision)
    assert "Only a manager" in said


def test_r27_a_manager_who_asked_for_it_is_no_second_person(people):
    manager = people[Role.MANAGER]
    downtime = plan(people, starts_in=timedelta(hours=5))
    downtime = announcing.ask_for_emergency(downtime, by=manager, because="Disks", revision=0)
    said = refusal(announcing.agree_to_emergency, downtime, by=manager, revision=downtime.revision)
    assert "A second person" in said


def test_r27_another_reason_or_another_time_takes_the_managers_word_back(people):
    downtime = emergency(plan(people, starts_in=timedelta(hours=5)), people)
    again = announcing.ask_for_emergency(downtime, by=people[Role.DUTY], because="Network", revision=downtime.revision)
    assert again.emergency_by is None
    downtime = emergency(again, people)
    windows.edit(downtime, {"starts_at": downtime.starts_at - HOUR}, by=people[Role.DUTY], revision=downtime.revision)
    downtime.refresh_from_db()
    assert downtime.emergency_by is None


def test_an_emergency_without_a_reason_is_refused(people):
    downtime = plan(people)
    assert "Say why" in refusal(
        announcing.ask_for_emergency, downtime, by=people[Role.DUTY], because="  ", revision=downtime.revision
    )


# --- another plan -----------------------------------------------------------------------------------------------------


def postpone(downtime, by, days=7, because="A release is in flight"):
    times = {name: getattr(downtime, name) + timedelta(days=days) for name in ("starts_at", "ends_at")}
    return announcing.postpone(downtime, by=by, because=because, revision=downtime.revision, **times)


def test_an_update_answers_the_first_mail_and_goes_to_everyone_who_was_told(people, duty):
    downtime = announced(people)
    first = {mail.recipient: mail.message_id for mail in Mail.objects.filter(purpose=announcing.ANNOUNCE)}
    MailingList.objects.filter(name="all@").update(is_used=False)
    windows.edit(downtime, {"what_stops": "Everything."}, by=duty, revision=downtime.revision)
    everybody_approves(downtime, people[Role.LEAD])
    update = announce(downtime, duty)
    assert update.kind == Told.UPDATE
    assert {mail.recipient: mail.in_reply_to for mail in mails_of(update)} == first
    downtime.refresh_from_db()
    assert downtime.sequence == 1


def test_a_postponement_tells_everyone_who_was_told_and_asks_for_agreement_anew(people, duty):
    downtime = announced(people)
    first = {mail.recipient: mail.message_id for mail in Mail.objects.filter(purpose=announcing.ANNOUNCE)}
    accept(Mail.objects.filter(purpose=announcing.ANNOUNCE))
    postponed = postpone(downtime, duty)
    mails = list(Mail.objects.filter(purpose=telling.TELL))
    assert {mail.recipient: mail.in_reply_to for mail in mails} == first
    assert "A release is in flight" in bytes(mails[0].message).decode()
    assert (postponed.state, postponed.duty_confirmed_at, postponed.sequence) == (State.DRAFT, None, 1)
    assert facts.told_at(postponed) is None  # the old notice proves nothing for the new time


def test_r18_a_postponement_tells_the_bugs_the_new_time(people, duty):
    downtime = announced(people)
    postponed = postpone(downtime, duty)
    told = BugUpdate.objects.get(bug_id=downtime.items.get().bug_id)
    assert told.wants["token"] == f"downtime {postponed.starts_at:%Y-%m-%dT%H:%MZ}"


def test_r27_what_was_moved_after_the_announcement_does_not_begin_untold(people, duty):
    downtime = announced(people)
    accept(Mail.objects.filter(purpose=announcing.ANNOUNCE))
    assert rules.refusals("begin", facts.facts_of(downtime, downtime.starts_at)) == []
    later = downtime.starts_at + HOUR
    windows.edit(downtime, {"starts_at": later}, by=duty, revision=downtime.revision)
    windows.confirm_duty(downtime, by=duty)
    assert "ask them anew" in " ".join(rules.refusals("begin", facts.facts_of(downtime, later)))


def test_one_that_is_postponed_and_put_back_is_agreed_to_and_announced_anew(people, duty):
    downtime = announced(people)
    back = postpone(postpone(downtime, duty), duty, days=-7)
    windows.edit(back, {"sheriff": "Sheriff"}, by=duty, revision=back.revision)
    windows.confirm_duty(back, by=duty)
    version = everybody_approves(back, people[Role.LEAD])
    assert version.number == 2
    assert announce(back, duty).kind == Told.UPDATE


def test_an_announcement_that_has_not_left_does_not_leave_after_a_postponement(people, duty):
    downtime = announced(people)
    postpone(downtime, duty)
    row = Mail.objects.filter(purpose=announcing.ANNOUNCE).first()
    stop = announcing.announcement_may_still_go(row)
    assert stop is not None and stop.for_good


def test_a_cancellation_tells_everyone_who_was_told_and_gives_its_work_back_to_the_queue(people, duty):
    downtime = announced(people)
    nomination = downtime.items.get().nomination
    cancelled = announcing.cancel(downtime, by=duty, because="The firmware was withdrawn")
    assert cancelled.state == State.CANCELLED
    assert sorted(Mail.objects.filter(purpose=telling.TELL).values_list("recipient", flat=True)) == LISTS
    nomination.refresh_from_db()
    assert (nomination.state, nomination.flag_wanted) == ("requested", "")
    assert BugUpdate.objects.get(bug_id=nomination.bug_id).purpose == "downtimes: take out"
    assert announcing.cancel(downtime, by=duty, because="again") == cancelled
    assert Mail.objects.filter(purpose=telling.TELL).count() == 3


def test_what_nobody_was_told_of_is_cancelled_without_a_mail_and_the_record_says_so(people, duty):
    downtime = plan(people)
    announcing.cancel(downtime, by=duty, because="Not wanted any more")
    assert not Mail.objects.exists()
    assert Entry.objects.filter(about=downtime.about, sentence__startswith="Nobody was told").exists()


@pytest.mark.parametrize(
    ("days", "because", "word"), [(0, "Because", "already"), (7, " ", "Say why"), (-30, "Because", "in the past")]
)
def test_a_postponement_to_nowhere_or_without_a_reason_is_refused(people, duty, days, because, word):
    downtime = announced(people)
    assert word in refusal(postpone, downtime, duty, days=days, because=because)
    assert not Mail.objects.filter(purpose=telling.TELL).exists()


def test_two_who_change_it_at_once_do_not_overwrite_each_other(people, duty):
    downtime = announced(people)
    windows.edit(Downtime.objects.get(pk=downtime.pk), {"sheriff": "Sheriff"}, by=duty, revision=downtime.revision)
    assert "Somebody changed" in refusal(postpone, downtime, duty)


# --- what the outbox asks ---------------------------------------------------------------------------------------------


def test_r23_an_announcement_whose_text_was_edited_is_held(people, duty):
    downtime = announced(people)
    row = Mail.objects.filter(purpose=announcing.ANNOUNCE).first()
    assert announcing.announcement_may_still_go(row) is None
    windows.edit(downtime, {"what_stops": "Something else"}, by=duty, revision=downtime.revision)
    stop = announcing.announcement_may_still_go(row)
    assert stop is not None and not stop.for_good


def test_r20_an_announcement_with_a_bug_that_turned_private_is_held_by_the_sender(people, duty):
    downtime = announced(people)
    Bug.objects.filter(pk=downtime.items.get().bug_id).update(visibility=Visibility.RESTRICTED)
    delivery.deliver(delivery.MAIL)
    states = set(Mail.objects.filter(purpose=announcing.ANNOUNCE).values_list("state", flat=True))
    assert states == {MailState.HELD}
