"""R12, R22, R23, R24: CiDuty is there, who works agrees, pre-approvers hear of it before any list, lists get a copy."""

from datetime import timedelta

import pytest

from ciduty import clock
from ciduty.outbox import as_sent
from ciduty.outbox.models import Mail
from ciduty.states import NotAllowed
from downtimes import agreement, answering, asking_to_agree, facts, rules
from downtimes.models import Downtime, ListUse, MailingList
from downtimes.rules import Asked, Decision, Policy, Votes
from tests.cast import ApproverFactory, MailingListFactory, planned_downtime

pytestmark = pytest.mark.django_db

OP, OP2 = "0123abcd", "1123abcd"
APPROVE, OBJECT, QUESTION = Decision.APPROVE, Decision.OBJECT, Decision.QUESTION


@pytest.fixture(autouse=True)
def mail_leaves(settings):
    """A mail server is configured; nothing is delivered."""
    settings.EMAIL_URL = "smtp://127.0.0.1:9"


def says(version, address, decision=APPROVE):
    ask = version.asks.select_related("version__downtime", "approver").get(approver__address=address)
    return answering.answer(ask, decision, "Why?", via="code")


def against(downtime, verb="announce"):
    """Return what stands against a verb now, of the gates of agreement."""
    seen = facts.facts_of(Downtime.objects.get(pk=downtime.pk), clock.now())
    gates = [gate for gate in rules.GATES[verb] if gate in (rules.WORKERS, rules.PRE_APPROVERS)]
    return " ".join(filter(None, (gate.refuses(seen) for gate in gates)))


@pytest.fixture
def agreed(duty):
    """A downtime whose one worker agreed, and two pre-approvers who were asked; and the version."""
    ApproverFactory(name="Anna", address="anna@example.com")
    ApproverFactory(name="Bert", address="bert@example.com")
    downtime = planned_downtime()
    version = asking_to_agree.ask_workers(downtime, by=duty, op=OP)
    says(version, "worker@example.com")
    asking_to_agree.ask_pre_approvers(downtime, by=duty, op=OP)
    return downtime, version


# --- R12: who knows the work agrees to its time -----------------------------------------------------------------------


def test_r12_the_time_is_agreed_by_who_does_the_work_and_a_worker_who_cannot_objects(duty):
    downtime = planned_downtime()
    version = asking_to_agree.ask_workers(downtime, by=duty, op=OP)
    text = as_sent.read(bytes(Mail.objects.get().message)).text
    assert f"{downtime.starts_at:%H:%M}" in text
    says(version, "worker@example.com", OBJECT)
    assert "worker@example.com objected" in against(downtime)


def test_r12_a_time_that_was_changed_is_agreed_anew(duty):
    downtime = planned_downtime()
    says(asking_to_agree.ask_workers(downtime, by=duty, op=OP), "worker@example.com")
    assert against(downtime, "ask the pre-approvers") == ""
    Downtime.objects.update(starts_at=downtime.starts_at + timedelta(hours=1))
    downtime.refresh_from_db()
    with pytest.raises(NotAllowed, match="changed since people agreed"):
        asking_to_agree.ask_pre_approvers(downtime, by=duty, op=OP)
    second = asking_to_agree.ask_workers(downtime, by=duty, op=OP2)
    assert agreement.votes(second, Asked.WORKER) == Votes(asked=1, missing=("worker@example.com",))


# --- R22: everybody who works in it approves the draft ----------------------------------------------------------------


def test_r22_every_worker_is_mailed_the_draft_and_all_of_them_must_approve(duty):
    downtime = planned_downtime("one@example.com", "two@example.com")
    assert "nobody was asked" in against(downtime)
    version = asking_to_agree.ask_workers(downtime, by=duty, op=OP)
    assert set(Mail.objects.values_list("recipient", flat=True)) == {"one@example.com", "two@example.com"}
    says(version, "one@example.com")
    assert "Not every worker has agreed yet: two@example.com" in against(downtime)
    says(version, "two@example.com")
    assert "worker" not in against(downtime)


@pytest.mark.parametrize(("decision", "words"), [(OBJECT, "objected"), (QUESTION, "asked a question")])
def test_r22_one_worker_who_objects_or_asks_stops_it(duty, decision, words):
    downtime = planned_downtime("one@example.com", "two@example.com")
    version = asking_to_agree.ask_workers(downtime, by=duty, op=OP)
    says(version, "one@example.com")
    says(version, "two@example.com", decision)
    assert f"two@example.com {words}" in against(downtime)
    says(version, "two@example.com")
    assert "two@example.com" not in against(downtime)


def test_r22_a_settled_question_of_a_worker_still_waits_for_their_approval(duty):
    downtime = planned_downtime()
    version = asking_to_agree.ask_workers(downtime, by=duty, op=OP)
    answering.settle(says(version, "worker@example.com", QUESTION), "These.", by=duty)
    assert against(downtime, "ask the pre-approvers") == "Not every worker has agreed yet: worker@example.com."


# --- R23: pre-approvers, before any list ------------------------------------------------------------------------------


def test_r23_pre_approvers_are_asked_after_the_workers_and_before_any_list(duty):
    ApproverFactory(address="anna@example.com")
    MailingListFactory(address="dev-planning@example.com")
    downtime = planned_downtime()
    with pytest.raises(NotAllowed, match="ask the workers for agreement first"):
        asking_to_agree.ask_pre_approvers(downtime, by=duty, op=OP)
    version = asking_to_agree.ask_workers(downtime, by=duty, op=OP)
    with pytest.raises(NotAllowed, match="Not every worker has agreed yet"):
        asking_to_agree.ask_pre_approvers(downtime, by=duty, op=OP)
    says(version, "worker@example.com")
    assert "No pre-approver was asked yet" in against(downtime)
    asking_to_agree.ask_pre_approvers(downtime, by=duty, op=OP)
    assert not Mail.objects.filter(recipient="dev-planning@example.com").exists()


@pytest.mark.parametrize(("decision", "words"), [(OBJECT, "Anna objected"), (QUESTION, "Anna asked a question")])
def test_r23_an_open_objection_or_question_stops_it_even_with_an_approval(agreed, decision, words):
    downtime, version = agreed
    says(version, "bert@example.com")
    says(version, "anna@example.com", decision)
    assert words in against(downtime)
    says(version, "anna@example.com")
    assert against(downtime) == ""


def test_r23_no_objection_waits_for_its_deadline_and_for_one_approval(agreed):
    downtime, version = agreed
    says(version, "anna@example.com")
    assert "may object until" in against(downtime)
    clock.move(version.answers_until - clock.now() + timedelta(seconds=5))
    assert against(downtime) == ""
    version.answers.filter(approver__name="Anna").delete()
    assert "0 of 1 approvals" in against(downtime)


def test_r23_a_settled_question_blocks_no_more_and_may_still_become_an_objection_until_the_deadline(agreed, duty):
    downtime, version = agreed
    says(version, "bert@example.com")
    answering.settle(says(version, "anna@example.com", QUESTION), "These.", by=duty)
    assert "may object until" in against(downtime)
    clock.move(version.answers_until - clock.now() + timedelta(seconds=5))
    assert against(downtime) == ""


def test_r23_all_means_all(agreed):
    downtime, version = agreed
    Downtime.objects.update(policy=Policy.ALL)
    says(version, "anna@example.com")
    assert "Everybody must approve, and these have not: Bert" in against(downtime)
    says(version, "bert@example.com")
    assert against(downtime) == ""


def test_r23_a_quorum_is_counted_in_people(agreed):
    downtime, version = agreed
    Downtime.objects.update(policy=Policy.QUORUM, quorum=2)
    says(version, "anna@example.com")
    says(version, "anna@example.com")
    assert "1 of 2 approvals" in against(downtime)
    says(version, "bert@example.com")
    assert against(downtime) == ""


def test_r23_no_one_approves_their_own_draft(duty):
    ApproverFactory(name="Duty", person=duty, address="duty@example.com")
    downtime = planned_downtime()
    says(asking_to_agree.ask_workers(downtime, by=duty, op=OP), "worker@example.com")
    with pytest.raises(NotAllowed, match="no one approves their own draft"):
        asking_to_agree.ask_pre_approvers(downtime, by=duty, op=OP)
    assert "No pre-approver was asked yet" in against(downtime)


def test_r23_an_answer_counts_for_the_text_that_they_read(agreed, duty):
    downtime, version = agreed
    says(version, "anna@example.com")
    says(version, "bert@example.com")
    assert against(downtime) == ""
    downtime.items.update(public_text="Something else")
    second = asking_to_agree.ask_workers(downtime, by=duty, op=OP2)
    assert agreement.votes(second, Asked.PRE_APPROVER) == Votes()
    says(second, "worker@example.com")
    assert "No pre-approver was asked yet" in against(downtime)


# --- R24: a copy to release@ and infra-all@ ---------------------------------------------------------------------------


def test_r24_the_copy_goes_with_the_question_to_the_pre_approvers_and_holds_no_way_to_answer(duty):
    ApproverFactory()
    for name in ("release", "infra-all"):
        MailingListFactory(name=name, address=f"{name}@example.com", use=ListUse.COPY)
    downtime = planned_downtime()
    says(asking_to_agree.ask_workers(downtime, by=duty, op=OP), "worker@example.com")
    lists = Mail.objects.filter(recipient__in=MailingList.objects.values("address"))
    assert not lists.exists()
    asking_to_agree.ask_pre_approvers(downtime, by=duty, op=OP)
    assert sorted(lists.values_list("recipient", flat=True)) == ["infra-all@example.com", "release@example.com"]
    for mail in lists:
        text = as_sent.read(bytes(mail.message)).text
        assert "New firmware for the switches." in text
        assert "sign-off" not in text and "code for that page" not in text and "/answer/" not in text
        assert not mail.mandatory and mail.batch == ""
