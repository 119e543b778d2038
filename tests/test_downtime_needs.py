"""What the desk shows of downtimes, and the figure at the front door."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla.models import Visibility
from ciduty.outbox.models import Mail
from ciduty.outbox.rules import State as MailState
from ciduty.people.roles import Role
from ciduty.trees import polling
from downtimes import announcing, answering, needs
from downtimes.rules import Asked, Decision
from tests.cast import BugTextFactory, NominationFactory
from tests.downtime_stage import announced, approve_as, plan

pytestmark = pytest.mark.django_db

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.fixture(autouse=True)
def mail_is_configured(settings):
    settings.EMAIL_URL = "smtp://127.0.0.1:9"


def sentences(at=None):
    return [(need.sentence, need.late) for need in needs.needs_of(at or clock.now())]


def accept_everything():
    Mail.objects.filter(purpose=announcing.ANNOUNCE).update(state=MailState.ACCEPTED, accepted_at=clock.now())


def test_a_window_stands_there_from_three_days_before_the_lists_must_have_it(people):
    downtime = plan(people, starts_in=timedelta(days=10))
    latest = downtime.starts_at - DAY
    assert sentences(latest - 3 * DAY - MINUTE) == []
    assert sentences(latest - 3 * DAY) == [("Draft: the lists must have it.", False)]
    assert sentences(latest) == [("Draft: the lists must have it.", False)]
    assert sentences(latest + MINUTE) == [("Too late for 24 hours of notice: postpone it.", True)]
    assert sentences(downtime.ends_at) == []


def test_a_list_that_has_not_accepted_stands_there_until_it_has(people):
    downtime = announced(people)
    assert sentences() == [("2 mandatory lists have not accepted it yet.", False)]
    assert sentences(downtime.starts_at - DAY + MINUTE) == [("2 mandatory lists have not accepted it yet.", True)]
    first = Mail.objects.filter(purpose=announcing.ANNOUNCE, mandatory=True).first()
    Mail.objects.filter(pk=first.pk).update(state=MailState.ACCEPTED, accepted_at=clock.now())
    assert sentences() == [("1 mandatory list has not accepted it yet.", False)]
    accept_everything()
    assert sentences() == []
    Mail.objects.filter(pk=first.pk).update(state=MailState.FAILED)  # a bounce
    assert sentences() == [("1 mandatory list has not accepted it yet.", False)]


def test_an_objection_after_the_announcement_is_an_alert_that_comes_first(people):
    downtime = announced(people)
    accept_everything()
    approve_as(downtime.versions.get(), Asked.PRE_APPROVER, Decision.OBJECT, "A release ships then.")
    assert sentences() == [("Pre-approver answered after it was announced: read it.", True)]
    answering.settle(downtime.versions.get().answers.get(decision=Decision.OBJECT), "It moves.", by=people[Role.DUTY])
    assert sentences() == []


def test_the_desk_shows_both_and_the_front_door_counts_what_was_announced(people, clients, stranger):
    NominationFactory(state="requested", public_text="Firmware for the switches")
    announced(people)
    desk = clients[Role.DUTY].get("/").content.decode()
    assert "Firmware for the switches" in desk and "2 mandatory lists have not accepted it yet." in desk
    door = stranger.get("/").content.decode()
    assert "<strong>1</strong>downtime planned" in door
    assert "Firmware" not in door and "mandatory" not in door


def test_the_desk_asks_as_often_for_ten_downtimes_as_for_one(people):
    def asked():
        at = clock.now()
        with CaptureQueriesContext(connection) as queries:
            needs.needs_of(at)
        return len(queries)

    announced(people)
    one = asked()
    for number in range(9):
        announced(people, starts_in=timedelta(days=5 + 3 * number))
    assert asked() == one == 6


def test_a_nomination_without_wording_shows_what_the_bug_is_about_as_far_as_duty_may_read_it(people, clients):
    for visibility, seen in ((Visibility.PUBLIC, True), (Visibility.RESTRICTED, False)):
        bug = BugTextFactory(bug__visibility=visibility, summary=f"Firmware, {visibility}").bug
        NominationFactory(state="requested", public_text="", bug_id=bug.pk)
        assert (f"Firmware, {visibility}" in clients[Role.DUTY].get("/").content.decode()) == seen


@pytest.mark.parametrize(("hours", "often"), [(1.1, False), (0.9, True), (-1, True), (-9, False)])
def test_trees_are_read_often_from_an_hour_before_a_window_until_it_is_over(people, hours, often):
    downtime = announced(people)
    length = downtime.ends_at - downtime.starts_at
    assert timedelta(hours=1) < length < timedelta(hours=9)
    assert polling.is_needed_often(downtime.starts_at - timedelta(hours=hours)) == often
