"""Asking for agreement: who is asked, once each, about which text; what a newer version does to what was answered."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import as_sent, delivery, purposes
from ciduty.outbox.models import Mail
from ciduty.outbox.rules import Priority, State
from ciduty.people.models import Approver
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes import agreement, answering, asking_to_agree, notices, reminders, rules, tasks, versions
from downtimes.models import Answer, Ask, Downtime, Item, ListUse, NoticeVersion
from downtimes.rules import Asked, Decision
from tests.cast import (
    ApproverFactory,
    BugzillaLoginFactory,
    MailingListFactory,
    PersonFactory,
    every_row,
    planned_downtime,
)

pytestmark = pytest.mark.django_db

OP, OP2, OP3, OP4 = "0123abcd", "1123abcd", "2123abcd", "3123abcd"
APPROVE, OBJECT, QUESTION = Decision.APPROVE, Decision.OBJECT, Decision.QUESTION
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture(autouse=True)
def mail_leaves(settings):
    """A mail server is configured; nothing is delivered unless a test does it."""
    agreement.register()
    settings.EMAIL_URL = "smtp://127.0.0.1:9"


def asked(downtime, by, op=OP):
    return asking_to_agree.ask_workers(downtime, by=by, op=op)


def asked_further(downtime, by, op=OP2):
    return asking_to_agree.ask_pre_approvers(downtime, by=by, op=op)


def says(version, address, decision=APPROVE, words=""):
    ask = version.asks.select_related("version__downtime", "approver").get(approver__address=address)
    return answering.answer(ask, decision, words, via="account")


def changed(downtime):
    """Let somebody change the public text of the work."""
    Item.objects.filter(downtime=downtime).update(public_text="Other firmware for the switches.")


def agreed_by_workers(duty, *workers, **fields):
    """Return a downtime to which its workers agreed, and the version."""
    downtime = planned_downtime(*workers, **fields)
    version = asked(downtime, duty)
    for ask in version.asks.select_related("approver"):
        says(version, ask.approver.address)
    return downtime, version


def text_of(mail):
    return " ".join(as_sent.read(bytes(mail.message)).text.split())


def mails(purpose=agreement.AGREEMENT):
    return list(Mail.objects.filter(purpose=purpose).order_by("pk"))


def hooked(mail):
    """Return what the purpose of a mail says before it goes."""
    return purposes.named(mail.purpose).may_still_go(mail)


# --- asking the workers -----------------------------------------------------------------------------------------------


def test_asking_the_workers_freezes_a_version_and_mails_each_of_them_once(duty):
    downtime = planned_downtime("one@example.com", "two@example.com", "one@example.com")
    version = asked(downtime, duty)
    assert (downtime.state, version.number, version.made_by) == ("agreeing", 1, duty)
    assert [mail.recipient for mail in mails()] == ["one@example.com", "two@example.com"]
    for mail in mails():
        assert version.subject.removeprefix("[Downtime] ") in mail.subject
        assert "New firmware for the switches." in text_of(mail)
        assert (mail.priority, mail.about, mail.state) == (Priority.URGENT, downtime.about, State.DUE)
    entry = Entry.objects.get(about=downtime.about, verb="ask for agreement")
    assert (entry.sentence, entry.by) == ("Version 1: asked 2 workers", duty)
    assert entry.caused == [str(mail) for mail in mails()]


def test_a_worker_without_an_account_is_written_down_by_their_login_and_is_no_pre_approver(duty):
    asked(planned_downtime("worker@example.com"), duty)
    row = Approver.objects.get()
    assert (row.name, row.address, row.person, row.is_pre_approver) == (
        "worker@example.com", "worker@example.com", None, False,
    )  # fmt: skip


def test_a_worker_with_an_account_is_asked_at_its_address_and_stays_one_person(duty):
    person = BugzillaLoginFactory(person=PersonFactory(username="mary"), login="Mary.Old@example.com").person
    BugzillaLoginFactory(person=person, login="mary.new@example.com")
    asked(planned_downtime("mary.old@example.com", "mary.new@example.com"), duty)
    assert [mail.recipient for mail in mails()] == ["mary@example.com"]
    assert Approver.objects.get().person == person


def test_an_approver_who_was_written_down_without_an_account_is_joined_with_it(duty):
    before = ApproverFactory(address="Mary@example.com")
    person = BugzillaLoginFactory(person=PersonFactory(username="mary"), login="mary.bug@example.com").person
    asked(planned_downtime("mary.bug@example.com"), duty)
    assert Approver.objects.get() == before
    assert Approver.objects.get().person == person


def test_a_form_that_was_sent_twice_asks_once(duty):
    downtime = planned_downtime()
    assert asked(downtime, duty) == asked(downtime, duty)
    assert len(mails()) == NoticeVersion.objects.count() == 1


def test_nobody_is_asked_while_a_gate_stands_against_it_and_every_reason_is_said(duty):
    downtime = planned_downtime(ends_at=clock.now())
    Item.objects.update(worker="")
    with pytest.raises(NotAllowed) as refused:
        asked(downtime, duty)
    assert "ends before it starts" in str(refused.value)
    assert "Nobody is named who does the work" in str(refused.value)
    assert not NoticeVersion.objects.exists() and not Mail.objects.exists()
    assert Downtime.objects.get().state == "draft"


def test_asking_again_about_the_same_text_asks_nobody_and_says_so(duty):
    downtime = planned_downtime()
    asked(downtime, duty)
    with pytest.raises(NotAllowed, match="Nothing was changed since version 1"):
        asked(downtime, duty, OP2)
    assert len(mails()) == 1


def test_what_was_announced_is_not_taken_back_by_asking_about_the_same_text(duty):
    downtime = planned_downtime()
    version = asked(downtime, duty)
    Ask.objects.update(wrong_codes=10)
    Downtime.objects.update(state="announced")
    with pytest.raises(NotAllowed, match="Nothing was changed"):
        asked(downtime, duty, OP2)
    assert (Downtime.objects.get().state, versions.newest(downtime)) == ("announced", version)


def test_half_of_the_time_to_the_latest_lawful_moment_is_the_pre_approvers(duty):
    at = clock.now()
    assert agreement.half_way(at, at + 28 * HOUR) == at + 2 * HOUR
    assert agreement.half_way(at, at + 24 * HOUR) == at + 12 * HOUR  # too late for notice: an emergency
    assert agreement.half_way(at, at + 2 * HOUR) == at + HOUR


def test_pre_approvers_who_are_asked_late_have_half_of_what_is_left_then(duty):
    ApproverFactory()
    downtime, version = agreed_by_workers(duty)
    clock.move(timedelta(days=2))
    assert clock.now() > version.answers_until
    asked_further(downtime, duty)
    left = rules.latest_notice(downtime.starts_at) - clock.now()
    assert abs(agreement.answers_until(version) - clock.now() - left / 2) < timedelta(seconds=30)


# --- asking the pre-approvers -----------------------------------------------------------------------------------------


def test_pre_approvers_are_asked_one_mail_each_once_the_workers_agreed(duty):
    ApproverFactory(name="Anna", address="anna@example.com")
    ApproverFactory(name="Bert", address="bert@example.com")
    ApproverFactory(name="Gone", is_active=False)
    downtime = planned_downtime()
    version = asked(downtime, duty)
    with pytest.raises(NotAllowed, match="Not every worker has agreed yet: worker@example.com"):
        asked_further(downtime, duty)
    says(version, "worker@example.com")
    asked_further(downtime, duty)
    assert [mail.recipient for mail in mails()[1:]] == ["anna@example.com", "bert@example.com"]
    assert agreement.votes(version, Asked.PRE_APPROVER) == rules.Votes(asked=2, missing=("Anna", "Bert"))
    assert asked_further(downtime, duty) == version
    assert len(mails()) == 3


def test_pre_approvers_are_not_asked_about_a_text_that_was_changed_since(duty):
    ApproverFactory()
    downtime, _ = agreed_by_workers(duty)
    changed(downtime)
    with pytest.raises(NotAllowed, match="changed since people agreed"):
        asked_further(downtime, duty)


def test_without_a_pre_approver_nobody_is_asked_and_the_lead_is_named(duty):
    downtime, _ = agreed_by_workers(duty)
    with pytest.raises(NotAllowed, match="a lead adds another"):
        asked_further(downtime, duty)


def test_pre_approvers_who_were_added_since_are_asked_by_pressing_again(duty):
    ApproverFactory(address="anna@example.com")
    downtime, version = agreed_by_workers(duty)
    asked_further(downtime, duty)
    with pytest.raises(NotAllowed, match="everybody was asked"):
        asked_further(downtime, duty, OP3)
    ApproverFactory(address="new@example.com")
    asked_further(downtime, duty, OP4)
    assert [mail.recipient for mail in mails()[1:]] == ["anna@example.com", "new@example.com"]


@pytest.mark.parametrize(("until", "who"), [(0, "alternate@example.com"), (-1, "absent@example.com")])
def test_an_alternate_is_asked_while_somebody_is_absent_the_last_day_included(duty, settings, until, who):
    today = clock.now().astimezone(settings.CIDUTY_CALENDAR.tzinfo).date()
    alternate = ApproverFactory(name="Alt", address="alternate@example.com", is_pre_approver=False)
    ApproverFactory(
        name="Absent", address="absent@example.com", alternate=alternate,
        absent_from=today - timedelta(days=5), absent_until=today + timedelta(days=until),
    )  # fmt: skip
    downtime, version = agreed_by_workers(duty)
    asked_further(downtime, duty)
    assert mails()[-1].recipient == who
    assert agreement.votes(version, Asked.PRE_APPROVER).asked == 1
    if until == 0:
        assert agreement.votes(version, Asked.PRE_APPROVER).missing == ("Alt (for Absent)",)
        assert "in place of Absent, who is absent" in text_of(mails()[-1])


def test_somebody_who_stands_in_for_two_and_for_themselves_is_asked_once_and_counts_once(duty):
    today = clock.now().date() - timedelta(days=1)
    alternate = ApproverFactory(address="alternate@example.com")
    for _ in range(2):
        ApproverFactory(absent_from=today, alternate=alternate)
    downtime, version = agreed_by_workers(duty)
    asked_further(downtime, duty)
    assert agreement.votes(version, Asked.PRE_APPROVER).asked == 1
    says(version, "alternate@example.com")
    assert agreement.votes(version, Asked.PRE_APPROVER).approved == 1


def test_two_who_are_absent_and_name_each_other_are_asked_themselves(duty):
    today = clock.now().date() - timedelta(days=1)
    first = ApproverFactory(address="first@example.com", absent_from=today)
    second = ApproverFactory(address="second@example.com", absent_from=today, alternate=first)
    Approver.objects.filter(pk=first.pk).update(alternate=second)
    downtime, _ = agreed_by_workers(duty)
    asked_further(downtime, duty)
    assert {mail.recipient for mail in mails()[1:]} == {"first@example.com", "second@example.com"}


@pytest.mark.parametrize("answered", [False, True])
def test_an_alternate_takes_the_place_of_one_who_left_after_being_asked_unless_they_answered(duty, answered):
    alternate = ApproverFactory(name="Alt", address="alt@example.com", is_pre_approver=False)
    leaving = ApproverFactory(name="Leaving", address="leaving@example.com", alternate=alternate)
    downtime, version = agreed_by_workers(duty)
    asked_further(downtime, duty)
    if answered:
        says(version, "leaving@example.com", OBJECT)
    Approver.objects.filter(pk=leaving.pk).update(absent_from=clock.now().date() - timedelta(days=1))
    asked_further(downtime, duty, OP3)
    votes = agreement.votes(version, Asked.PRE_APPROVER)
    assert votes.missing == ("Alt (for Leaving)",)
    assert (votes.asked, votes.objections) == ((2, ("Leaving",)) if answered else (1, ()))


# --- one person counts once -------------------------------------------------------------------------------------------


def test_a_worker_who_is_a_pre_approver_too_answers_once_for_both(duty):
    ApproverFactory(name="Both", address="worker@example.com")
    ApproverFactory(name="Other", address="other@example.com")
    downtime = planned_downtime()
    version = asked(downtime, duty)
    assert agreement.votes(version, Asked.PRE_APPROVER) == rules.Votes()
    says(version, "worker@example.com")
    assert agreement.votes(version, Asked.PRE_APPROVER) == rules.Votes()  # the pre-approvers were not asked yet
    asked_further(downtime, duty)
    assert [mail.recipient for mail in mails()] == ["worker@example.com", "other@example.com"]
    assert agreement.votes(version, Asked.WORKER).approved == 1
    assert agreement.votes(version, Asked.PRE_APPROVER) == rules.Votes(asked=2, approved=1, missing=("Other",))


def test_where_every_pre_approver_is_a_worker_they_count_once_they_were_asked(duty):
    ApproverFactory(name="Both", address="worker@example.com")
    downtime, version = agreed_by_workers(duty)
    assert agreement.votes(version, Asked.PRE_APPROVER) == rules.Votes()
    asked_further(downtime, duty)
    assert agreement.votes(version, Asked.PRE_APPROVER) == rules.Votes(asked=1, approved=1)
    with pytest.raises(NotAllowed, match="everybody was asked"):
        asked_further(downtime, duty, OP3)


def test_a_worker_who_stands_in_for_a_pre_approver_answers_for_both(duty):
    worker = ApproverFactory(name="Worker", address="worker@example.com", is_pre_approver=False)
    ApproverFactory(name="Absent", alternate=worker, absent_from=clock.now().date() - timedelta(days=1))
    downtime, version = agreed_by_workers(duty)
    asked_further(downtime, duty)
    assert agreement.votes(version, Asked.PRE_APPROVER) == rules.Votes(asked=1, approved=1)
    assert Ask.objects.count() == 1


# --- no one approves their own draft ----------------------------------------------------------------------------------


@pytest.mark.parametrize("known_by", ["account", "address", "login"])
def test_whoever_made_the_version_is_left_out_under_whichever_name(duty, known_by, clients):
    fields = {
        "account": {"person": duty, "address": "elsewhere@example.com"},
        "address": {"address": duty.email.upper()},
        "login": {"address": "duty-old@example.com"},
    }[known_by]
    BugzillaLoginFactory(person=duty, login="duty-old@example.com")
    own = ApproverFactory(name="The maker", **fields)
    ApproverFactory(name="Other")
    downtime, version = agreed_by_workers(duty)
    asked_further(downtime, duty)
    assert agreement.votes(version, Asked.PRE_APPROVER).missing == ("Other",)
    assert not own.asks.exists()
    page = clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/agreement/").content.decode()
    assert "Left out, since no one approves their own draft: The maker." in page


def test_an_own_approval_does_not_count_even_where_the_maker_was_asked(duty):
    own = ApproverFactory(person=duty)
    downtime, version = agreed_by_workers(duty)
    ask = Ask.objects.create(
        version=version, approver=own, role=Asked.PRE_APPROVER, token_sha256="x", code_sha256="x",
        asked_at=clock.now(), expires_at=downtime.starts_at,
    )  # fmt: skip
    Answer.objects.create(version=version, approver=own, decision=APPROVE, via="account", at=clock.now())
    assert agreement.votes(version, Asked.PRE_APPROVER) == rules.Votes()
    Answer.objects.filter(approver=own).delete()
    with pytest.raises(NotAllowed, match="no one approves their own draft"):
        answering.answer(ask, APPROVE, "", via="account", by=duty)


def test_who_does_all_the_work_lets_somebody_else_ask(duty, lead):
    downtime = planned_downtime("duty@example.com")
    with pytest.raises(NotAllowed, match="let somebody else of CiDuty ask"):
        asked(downtime, duty)
    assert not NoticeVersion.objects.exists() and Downtime.objects.get().state == "draft"
    version = asked(downtime, lead, OP2)
    assert agreement.votes(version, Asked.WORKER).missing == ("duty",)


# --- answers ----------------------------------------------------------------------------------------------------------


def test_answers_are_counted_as_they_are_and_a_changed_one_is_on_the_record(duty):
    downtime = planned_downtime("a@example.com", "b@example.com", "c@example.com", "d@example.com")
    version = asked(downtime, duty)
    says(version, "a@example.com")
    says(version, "b@example.com", OBJECT, "Not this week")
    says(version, "c@example.com", QUESTION, "Which hosts?")
    votes = agreement.votes(version, Asked.WORKER)
    assert votes == rules.Votes(4, 1, ("b@example.com",), ("c@example.com",), ("d@example.com",))
    says(version, "b@example.com")
    assert agreement.votes(version, Asked.WORKER).approved == 2
    entry = Entry.objects.filter(about=downtime.about, verb="answered").last()
    assert entry.sentence == "b@example.com approved version 1; before, they had said: object"
    assert (entry.before["decision"], entry.after["decision"]) == ("object", "approve")


def test_the_record_holds_no_word_that_was_answered(duty):
    version = asked(planned_downtime(), duty)
    answer = says(version, "worker@example.com", QUESTION, "CANARY in a question")
    answering.settle(answer, "CANARY in an answer", by=duty)
    for entry in Entry.objects.all():
        assert "CANARY" not in f"{entry.sentence}{entry.before}{entry.after}"


def test_the_same_answer_twice_is_one_with_one_receipt(duty):
    version = asked(planned_downtime(), duty)
    says(version, "worker@example.com", OBJECT, "No")
    before = every_row()
    says(version, "worker@example.com", OBJECT, "No")
    assert every_row() == before
    [receipt] = mails(agreement.RECEIPT)
    assert receipt.recipient == "worker@example.com"
    assert "you objected to version 1" in text_of(receipt)
    assert receipt.in_reply_to == mails()[0].message_id


def test_a_settled_question_blocks_no_more_and_its_asker_is_mailed(duty):
    version = asked(planned_downtime(), duty)
    answer = says(version, "worker@example.com", QUESTION, "Which hosts?")
    answering.settle(answer, "Only the core switches.", by=duty)
    votes = agreement.votes(version, Asked.WORKER)
    assert (votes.questions, votes.missing) == ((), ("worker@example.com",))
    [mail] = mails(agreement.SETTLED)
    assert "Which hosts?" in text_of(mail) and "Only the core switches." in text_of(mail)
    answering.settle(answer, "Only the core switches.", by=duty)
    assert len(mails(agreement.SETTLED)) == Entry.objects.filter(verb="settled").count() == 1
    says(version, "worker@example.com")
    assert agreement.votes(version, Asked.WORKER).approved == 1


def test_an_asker_who_asks_again_blocks_again(duty):
    version = asked(planned_downtime(), duty)
    answering.settle(says(version, "worker@example.com", QUESTION, "Which?"), "These.", by=duty)
    says(version, "worker@example.com", QUESTION, "And why?")
    assert agreement.votes(version, Asked.WORKER).questions == ("worker@example.com",)


def test_an_objection_is_settled_by_a_new_version_only_while_people_agree(duty):
    version = asked(planned_downtime(), duty)
    answer = says(version, "worker@example.com", OBJECT)
    with pytest.raises(NotAllowed, match="answered by a new version"):
        answering.settle(answer, "But it must be.", by=duty)


def test_an_approval_or_an_answer_to_an_older_version_has_nothing_to_settle(duty):
    downtime = planned_downtime()
    version = asked(downtime, duty)
    with pytest.raises(NotAllowed, match="An approval asks nothing"):
        answering.settle(says(version, "worker@example.com"), "Thank you.", by=duty)
    answer = says(version, "worker@example.com", QUESTION, "Which?")
    changed(downtime)
    asked(downtime, duty, OP2)
    with pytest.raises(NotAllowed, match="about an older one"):
        answering.settle(answer, "These.", by=duty)
    assert not mails(agreement.SETTLED)


# --- a newer version --------------------------------------------------------------------------------------------------


def test_a_newer_version_voids_the_answers_and_mails_the_difference_to_everybody_who_was_asked(duty):
    ApproverFactory(name="Anna", address="anna@example.com")
    downtime, first = agreed_by_workers(duty)
    asked_further(downtime, duty)
    says(first, "anna@example.com")
    changed(downtime)
    second = asked(downtime, duty, OP3)
    assert agreement.votes(second, Asked.WORKER) == rules.Votes(asked=1, missing=("worker@example.com",))
    assert agreement.votes(second, Asked.PRE_APPROVER) == rules.Votes()
    anew = mails()[-1]
    assert anew.recipient == "worker@example.com"
    assert anew.in_reply_to == mails()[0].message_id
    [outdated] = mails(agreement.OUTDATED)
    assert outdated.recipient == "anna@example.com"
    for mail in (anew, outdated):
        assert "- " in text_of(mail) and "New firmware for the switches." in text_of(mail)
        assert "Other firmware for the switches." in text_of(mail)
    assert "sign-off" not in text_of(outdated)


def test_nobody_answers_about_an_older_version_any_more(duty):
    downtime = planned_downtime()
    first = asked(downtime, duty)
    changed(downtime)
    asked(downtime, duty, OP2)
    with pytest.raises(answering.Outdated, match="A newer draft exists"):
        says(first, "worker@example.com")
    assert not Answer.objects.exists()


def test_answers_to_an_older_version_are_shown_as_such_and_do_not_count(duty, clients):
    ApproverFactory(name="Anna", address="anna@example.com")
    downtime, first = agreed_by_workers(duty)
    asked_further(downtime, duty)
    says(first, "anna@example.com", OBJECT, "Not on a Friday")
    changed(downtime)
    asked(downtime, duty, OP3)
    page = " ".join(clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/agreement/").content.decode().split())
    assert "Approve, to version 1: does not count any more" in page
    assert "Anna: object, to version 1 (does not count any more)" in page
    assert "0 of 1 approved" in page


# --- mails that are on their way --------------------------------------------------------------------------------------


def test_a_question_goes_while_its_text_holds(duty):
    asked(planned_downtime(), duty)
    assert hooked(mails()[0]) is None


def test_a_question_about_a_text_that_was_changed_is_held(duty):
    downtime = planned_downtime()
    asked(downtime, duty)
    changed(downtime)
    assert "changed meanwhile" in hooked(mails()[0]).why
    asked(downtime, duty, OP2)
    old, new = mails()
    assert hooked(old) == agreement.OLD and hooked(new) is None


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_a_question_is_held_once_a_bug_of_it_is_not_public_any_more(duty, visibility):
    asked(planned_downtime(), duty)
    Bug.objects.update(visibility=visibility)
    assert hooked(mails()[0]) == agreement.PRIVATE


@pytest.mark.parametrize("state", ["cancelled", "draft", "announced"])
def test_a_question_nobody_waits_for_is_cancelled(duty, state):
    asked(planned_downtime(), duty)
    Downtime.objects.update(state=state)
    assert hooked(mails()[0]) == agreement.GONE
    _, verb = delivery.claim(Mail)
    assert verb == "drop"


# --- late answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["announced", "cancelled", "draft"])
def test_an_approval_comes_too_late_and_an_objection_still_alerts(duty, state):
    downtime = planned_downtime()
    version = asked(downtime, duty)
    Downtime.objects.update(state=state)
    with pytest.raises(NotAllowed, match="nobody's approval is waited for|nothing is asked"):
        says(version, "worker@example.com")
    says(version, "worker@example.com", OBJECT, "The release moved")
    entry = Entry.objects.get(verb="objected late")
    assert entry.sentence.endswith("objected to version 1, after the agreement was closed")
    assert [answer.words for answer in agreement.late_objections()] == (
        ["The release moved"] if state == "announced" else []
    )
    assert "was alerted" in text_of(mails(agreement.RECEIPT)[0])


def test_a_late_objection_ends_when_duty_answers_it(duty):
    version = asked(planned_downtime(), duty)
    Downtime.objects.update(state="announced")
    answering.settle(says(version, "worker@example.com", OBJECT), "We moved it.", by=duty)
    assert not agreement.late_objections().exists()


def test_an_objection_to_an_older_version_is_no_late_one(duty):
    downtime = planned_downtime()
    says(asked(downtime, duty), "worker@example.com", OBJECT)
    changed(downtime)
    asked(downtime, duty, OP2)
    Downtime.objects.update(state="announced")
    assert not agreement.late_objections().exists()


# --- reminders --------------------------------------------------------------------------------------------------------


@pytest.fixture
def at(monkeypatch):
    """Let it be a moment, exactly, and remind; returns how many mails that wrote."""

    def it_is(moment):
        monkeypatch.setattr(clock, "now", lambda: moment)
        return reminders.remind()

    return it_is


@pytest.mark.parametrize("hours", [24, 6, 2])
def test_a_reminder_comes_at_its_moment_once_and_not_a_second_before(duty, at, hours):
    downtime = planned_downtime()
    asked(downtime, duty)
    latest = rules.latest_notice(downtime.starts_at)
    at(latest - hours * HOUR - SECOND)
    written = len(mails(agreement.REMINDER))
    assert at(latest - hours * HOUR) == 1
    assert at(latest - hours * HOUR + SECOND) == 0
    mail = mails(agreement.REMINDER)[-1]
    assert len(mails(agreement.REMINDER)) == written + 1
    assert f"{hours} hours left" in mail.subject
    assert (mail.priority, mail.not_after, mail.in_reply_to) == (Priority.BULK, latest, mails()[0].message_id)
    assert "sign-off" not in text_of(mail)
    assert f"/downtimes/{downtime.pk}/answer/" in text_of(mail)


def test_nobody_is_reminded_who_answered_or_was_asked_after_the_moment_or_when_it_is_too_late(duty, at):
    downtime = planned_downtime("a@example.com", "b@example.com")
    version = asked(downtime, duty)
    says(version, "a@example.com")
    latest = rules.latest_notice(downtime.starts_at)
    assert at(latest - 24 * HOUR) == 1
    assert mails(agreement.REMINDER)[0].recipient == "b@example.com"
    Ask.objects.update(asked_at=latest - 5 * HOUR)
    assert at(latest - 4 * HOUR) == 0
    assert at(latest) == 0


def test_of_several_steps_the_last_is_due_and_none_once_it_is_too_late():
    latest = clock.now()
    asked_at = latest - 48 * HOUR
    due = [reminders.step_due(asked_at, latest, latest - hours * HOUR) for hours in (25, 24, 7, 6, 3, 2, 1, 0)]
    assert due == [None, 24, 24, 6, 6, 2, 2, None]
    assert reminders.step_due(latest - 5 * HOUR, latest, latest - 4 * HOUR) is None


def test_nobody_is_reminded_of_a_downtime_that_is_not_being_agreed(duty, at):
    downtime = planned_downtime()
    asked(downtime, duty)
    Downtime.objects.update(state="cancelled")
    assert at(rules.latest_notice(downtime.starts_at) - HOUR) == 0


def test_a_reminder_that_waits_is_dropped_once_they_answered(duty, at):
    downtime = planned_downtime()
    version = asked(downtime, duty)
    at(rules.latest_notice(downtime.starts_at) - HOUR)
    [mail] = mails(agreement.REMINDER)
    assert hooked(mail) is None
    says(version, "worker@example.com")
    assert hooked(mail) == agreement.ANSWERED


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_says_who_is_missing_how_long_there_is_and_what_to_write_into_the_chat(duty, clients):
    downtime = planned_downtime("one@example.com", "two@example.com", title="Switches & routers")
    version = asked(downtime, duty)
    says(version, "one@example.com")
    page = " ".join(clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/agreement/").content.decode().split())
    assert "1 of 2 approved" in page
    assert "@two@example.com: please answer about the downtime “Switches &amp; routers” before" in page
    assert "@one@example.com" not in page
    assert "The lists must have it by" in page and "left</span>" in page
    assert "Not every worker has agreed yet: two@example.com" in page
    assert "sign-off/" not in page


def test_the_buttons_ask_and_a_refusal_is_said(duty, clients):
    ApproverFactory(address="anna@example.com")
    downtime = planned_downtime()
    client, address = clients[Role.DUTY], f"/downtimes/{downtime.pk}"
    page = client.get(f"{address}/agreement/").content.decode()
    [op] = re.findall(rf'action="{address}/ask-workers/".*?name="op" value="(\w+)"', page, re.DOTALL)
    page = client.post(f"{address}/ask-workers/", {"op": op}, follow=True).content.decode()
    assert "The workers are asked about version 1" in page
    page = client.post(f"{address}/ask-pre-approvers/", {"op": OP2}, follow=True).content.decode()
    assert "Not every worker has agreed yet" in page
    page = client.post(f"{address}/ask-pre-approvers/", {"op": "x"}, follow=True).content.decode()
    assert "This form is no longer whole" in page
    says(NoticeVersion.objects.get(), "worker@example.com")
    page = client.post(f"{address}/ask-pre-approvers/", {"op": OP2}, follow=True).content.decode()
    assert "The pre-approvers are asked about version 1" in page


def test_duty_answers_a_question_on_the_page(duty, clients):
    downtime = planned_downtime()
    answer = says(asked(downtime, duty), "worker@example.com", QUESTION, "Which <b>hosts</b>?")
    address = f"/downtimes/{downtime.pk}/agreement/{answer.pk}/settle/"
    page = clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/agreement/").content.decode()
    assert f'action="{address}"' in page
    assert "Which &lt;b&gt;hosts&lt;/b&gt;?" in page
    refused = clients[Role.DUTY].post(address, {"words": ""})
    assert refused.status_code == 422
    assert "Write the answer" in refused.content.decode()
    page = clients[Role.DUTY].post(address, {"words": "The core ones."}, follow=True).content.decode()
    assert "worker@example.com gets your answer by mail." in page
    assert f'action="{address}"' not in page


def test_an_answer_is_settled_on_the_page_of_its_own_downtime_only(duty, clients):
    answer = says(asked(planned_downtime(), duty), "worker@example.com", QUESTION, "Which?")
    other = planned_downtime(starts_in=timedelta(days=40))
    assert (
        clients[Role.DUTY].post(f"/downtimes/{other.pk}/agreement/{answer.pk}/settle/", {"words": "x"}).status_code
        == 404
    )


def test_a_manager_reads_the_page_and_finds_no_button(duty, clients):
    downtime = planned_downtime()
    says(asked(downtime, duty), "worker@example.com", QUESTION, "Which?")
    page = clients[Role.MANAGER].get(f"/downtimes/{downtime.pk}/agreement/").content.decode()
    assert "worker@example.com" in page
    assert "ask-workers" not in page and "/settle/" not in page


def test_a_stranger_sees_no_agreement(duty, stranger):
    downtime = planned_downtime()
    asked(downtime, duty)
    for path in ("agreement", "answer"):
        assert stranger.get(f"/downtimes/{downtime.pk}/{path}/").headers["Location"].startswith("/sign-in/")


def test_the_page_asks_the_database_as_often_for_twenty_people_as_for_two(duty, clients):
    client = clients[Role.DUTY]

    def queries(people, day):
        downtime = planned_downtime(
            *[f"{day}-{number}@example.com" for number in range(people)], starts_in=timedelta(days=day)
        )
        downtime.items.update(minutes=5)
        version = asked(downtime, duty, f"{day:08x}")
        for number in range(people - 1):
            says(version, f"{day}-{number}@example.com", QUESTION, "Which?")
        client.get(f"/downtimes/{downtime.pk}/agreement/")
        with CaptureQueriesContext(
            connection,
        ) as captured:
            client.get(f"/downtimes/{downtime.pk}/agreement/")
        return len(captured)

    few = queries(2, 10)
    assert queries(20, 20) == few
    assert few <= 55


# --- somebody who is signed in ----------------------------------------------------------------------------------------


def test_a_worker_with_an_account_answers_signed_in_and_without_a_code(duty, developer, clients):
    downtime = planned_downtime("developer@example.com")
    version = asked(downtime, duty)
    address = f"/downtimes/{downtime.pk}/answer/"
    page = clients[Role.DEVELOPER].get(address).content.decode()
    assert "You answer as <strong>developer</strong>" in page
    assert "New firmware for the switches." in page
    assert 'name="code"' not in page and "checked" not in page
    page = clients[Role.DEVELOPER].post(address, {"decision": "approve"}, follow=True).content.decode()
    assert "Your answer to version 1: approve" in page
    answer = Answer.objects.get()
    assert (answer.approver.person, answer.via, agreement.votes(version, Asked.WORKER).approved) == (
        developer, "account", 1,
    )  # fmt: skip


def test_somebody_who_was_not_asked_has_no_such_page(duty, clients):
    downtime = planned_downtime()
    asked(downtime, duty)
    for role in (Role.DEVELOPER, Role.LEAD, Role.DUTY):
        assert clients[role].get(f"/downtimes/{downtime.pk}/answer/").status_code == 404
        assert clients[role].post(f"/downtimes/{downtime.pk}/answer/", {"decision": "approve"}).status_code == 404
    assert clients[Role.DUTY].get(f"/downtimes/{2**63}/answer/").status_code == 404


def test_an_approval_after_the_announcement_is_refused_on_the_page(duty, clients, developer):
    downtime = planned_downtime("developer@example.com")
    asked(downtime, duty)
    Downtime.objects.update(state="announced")
    answer = clients[Role.DEVELOPER].post(f"/downtimes/{downtime.pk}/answer/", {"decision": "approve"})
    assert answer.status_code == 409
    assert "was announced already" in answer.content.decode()


# --- copies to lists --------------------------------------------------------------------------------------------------


def test_lists_for_copies_get_the_draft_when_the_pre_approvers_are_asked(duty):
    ApproverFactory()
    MailingListFactory(address="release@example.com", use=ListUse.COPY)
    MailingListFactory(address="unused@example.com", use=ListUse.COPY, is_used=False)
    MailingListFactory(address="dev-planning@example.com")
    downtime, version = agreed_by_workers(duty)
    assert not mails(agreement.COPY)
    asked_further(downtime, duty)
    [copy] = mails(agreement.COPY)
    assert copy.recipient == "release@example.com"
    assert "New firmware for the switches." in text_of(copy)
    assert "http" not in text_of(copy).replace(" ".join(version.body.split()), "")


def test_times_are_written_in_three_zones_with_the_day_where_it_differs():
    at = clock.now().replace(year=2026, month=12, day=1, hour=2, minute=30)
    assert notices.moment(at) == "Tue 1 Dec 2026 02:30 UTC (04:30 EET, Mon 18:30 PST)"


def test_a_title_with_an_apostrophe_stands_in_the_mail_as_it_was_typed(duty):
    asked(planned_downtime(title='Bob\'s <switches> & "routers"'), duty)
    assert 'Bob\'s <switches> & "routers"' in mails()[0].subject


# --- a bug that turns private -----------------------------------------------------------------------------------------


def test_the_old_text_of_a_bug_that_turned_private_is_repeated_to_nobody(duty, clients, developer):
    downtime = planned_downtime("developer@example.com", "other@example.com")
    asked(downtime, duty)
    item = downtime.items.first()
    Bug.objects.filter(pk=item.bug_id).update(visibility=Visibility.RESTRICTED)
    Item.objects.filter(pk=item.pk).update(public_text="Vague words", confirmed_as=Visibility.RESTRICTED)
    asked(downtime, duty, OP2)
    for mail in mails()[2:]:
        assert notices.HIDDEN in text_of(mail)
    page = clients[Role.DEVELOPER].get(f"/downtimes/{downtime.pk}/answer/").content.decode()
    assert notices.HIDDEN in page and "Vague words" in page and "<del>" not in page


def test_a_text_is_hidden_and_cannot_be_approved_once_a_bug_of_it_is_private(duty, clients, developer):
    downtime = planned_downtime("developer@example.com")
    version = asked(downtime, duty)
    address = f"/downtimes/{downtime.pk}/answer/"
    assert "New firmware" in clients[Role.DEVELOPER].get(address).content.decode()
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    page = clients[Role.DEVELOPER].get(address).content.decode()
    assert "New firmware" not in page
    assert "is not public any more" in page
    assert clients[Role.DEVELOPER].post(address, {"decision": "approve"}).status_code == 409
    assert clients[Role.DEVELOPER].post(address, {"decision": "object"}).status_code == 302
    assert agreement.votes(version, Asked.WORKER).objections == ("developer",)


def test_a_vague_text_that_was_confirmed_for_a_private_bug_is_shown(duty, clients, developer):
    downtime = planned_downtime("developer@example.com")
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    downtime.items.update(confirmed_as=Visibility.RESTRICTED, public_text="Vague words")
    asked(downtime, duty)
    address = f"/downtimes/{downtime.pk}/answer/"
    assert "Vague words" in clients[Role.DEVELOPER].get(address).content.decode()
    assert clients[Role.DEVELOPER].post(address, {"decision": "approve"}).status_code == 302


# --- an emergency -----------------------------------------------------------------------------------------------------


def test_in_an_emergency_everybody_has_until_the_start(duty, people):
    ApproverFactory(address="anna@example.com")
    downtime = planned_downtime(
        starts_in=timedelta(hours=3), emergency_because="The disk is full.", emergency_by=people[Role.MANAGER]
    )
    version = asked(downtime, duty)
    says(version, "worker@example.com")
    asked_further(downtime, duty)
    until = agreement.answers_until(version)
    assert clock.now() + HOUR < until < downtime.starts_at - HOUR
    assert notices.moment(until) in text_of(mails()[-1])
    assert notices.moment(downtime.starts_at) in text_of(mails()[-1])
    assert reminders.remind() == 0


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (rules.Policy.ALL, "Everybody who is asked has to approve it."),
        (rules.Policy.QUORUM, "3 approvals are needed, and nobody may object."),
        (rules.Policy.NO_OBJECTION, "We wait for objections until"),
    ],
)
def test_the_mail_to_the_pre_approvers_says_what_their_answer_is_worth(duty, policy, words):
    ApproverFactory()
    downtime, _ = agreed_by_workers(duty, policy=policy, quorum=3)
    asked_further(downtime, duty)
    assert words in text_of(mails()[-1])


# --- what the desk asks -----------------------------------------------------------------------------------------------


def test_somebody_with_an_account_finds_what_waits_for_them_until_they_answered(duty, developer):
    downtime = planned_downtime("developer@example.com")
    first = asked(downtime, duty)
    assert [ask.version for ask in agreement.waiting_for(developer)] == [first]
    assert agreement.waiting_for(duty) == []
    changed(downtime)
    second = asked(downtime, duty, OP2)
    assert [ask.version for ask in agreement.waiting_for(developer)] == [second]
    answer = says(second, "developer@example.com", QUESTION, "Which?")
    assert agreement.waiting_for(developer) == []
    answering.settle(answer, "These.", by=duty)
    assert [ask.version for ask in agreement.waiting_for(developer)] == [second]
    Downtime.objects.update(state="cancelled")
    assert agreement.waiting_for(developer) == []


def test_a_worker_whom_no_mail_can_reach_is_shown_as_such(duty, clients):
    downtime = planned_downtime("not-an-address", "one@example.com")
    asked(downtime, duty)
    assert [mail.state for mail in mails()] == [State.FAILED, State.DUE]
    page = clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/agreement/").content.decode()
    assert page.count("Mail failed") == 1


def test_the_worker_and_the_tick_write_the_same_reminders(duty, at):
    downtime = planned_downtime()
    asked(downtime, duty)
    at(rules.latest_notice(downtime.starts_at) - 25 * HOUR)
    assert tasks.remind_with_the_tick(timedelta()) == "nothing due"
    at(rules.latest_notice(downtime.starts_at) - 24 * HOUR)
    tasks.remind()
    assert tasks.remind_with_the_tick(timedelta()) == "nothing due"
    Mail.objects.filter(purpose=agreement.REMINDER).delete()
    assert tasks.remind_with_the_tick(timedelta()) == "1 written"


def test_a_button_is_there_only_while_there_is_somebody_to_ask(duty, clients):
    ApproverFactory(address="anna@example.com")
    downtime = planned_downtime()

    def buttons():
        page = clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/agreement/").content.decode()
        return [name for name in ("ask-workers", "ask-pre-approvers") if f"/{name}/" in page]

    assert buttons() == ["ask-workers"]
    version = asked(downtime, duty)
    assert buttons() == []  # the workers have not answered: what stands against the pre-approvers is said instead
    says(version, "worker@example.com")
    assert buttons() == ["ask-pre-approvers"]
    asked_further(downtime, duty)
    assert buttons() == []
    new = ApproverFactory(address="new@example.com")
    assert buttons() == ["ask-pre-approvers"]
    new.delete()
    version.asks.filter(role=Asked.WORKER).update(wrong_codes=10)
    assert buttons() == ["ask-workers"]
    changed(downtime)
    assert buttons() == ["ask-workers"]
    Downtime.objects.update(state="cancelled")
    assert buttons() == []


def test_every_line_of_our_own_words_fits_into_72_columns(duty):
    ApproverFactory(name="Anna", address="anna@example.com")
    downtime, _ = agreed_by_workers(duty)
    asked_further(downtime, duty)
    changed(downtime)
    asked(downtime, duty, OP3)
    assert {mail.purpose for mail in Mail.objects.all()} == {agreement.AGREEMENT, agreement.OUTDATED, agreement.RECEIPT}
    for mail in Mail.objects.all():
        text = as_sent.read(bytes(mail.message)).text
        assert "\n\n\n" not in text
        lines = text.split("\n-----")[0].splitlines()
        ours = [line for line in lines if not line.startswith("http")]
        assert max(map(len, ours)) <= 72
        # A line that was broken because it was too long leaves a short one behind.
        assert not re.search(r"\n[^\n]{66,}\n\S{1,12}\n", "\n".join(ours))
