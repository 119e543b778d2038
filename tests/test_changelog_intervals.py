"""Downtimes and loans as the change log hears of them: public facts, told once each, in the verb's own transaction."""

from datetime import timedelta

import pytest
from django.db import IntegrityError

from changelog import intervals, workflow
from changelog.intervals import Interval
from changelog.models import Change
from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.states import NotAllowed
from downtimes import announcing, change_events
from downtimes.models import Told
from loaners import change_events as loan_events
from loaners import lending, reclaiming
from loaners.rules import RequestState
from tests.announced import DAY, HOUR, NOON, announced, ran, tell
from tests.cast import MachineClassFactory, request_in
from tests.downtime_stage import announced as announced_by_people
from tests.downtime_stage import plan

OP = "0a1b2c3d"
SECOND = timedelta(seconds=1)


# --- the registry -----------------------------------------------------------------------------------------------------


def interval(title, begins, ends):
    return Interval(title, NOON + begins, NOON + ends, "closure")


def test_what_overlaps_is_told_by_its_start_and_both_edges_belong_to_it(monkeypatch):
    told = [
        interval("ends at the beginning", -9 * HOUR, -HOUR),
        interval("ended before", -9 * HOUR, -HOUR - SECOND),
        interval("begins at the end", timedelta(), HOUR),
        interval("begins after", SECOND, HOUR),
        interval("around", -DAY, DAY),
    ]
    monkeypatch.setattr(intervals, "_providers", {})
    intervals.register("trees", lambda since, until, at: told)
    found = intervals.between(NOON - HOUR, NOON, NOON)
    assert [one.title for one in found] == ["around", "ends at the beginning", "begins at the end"]


def test_a_name_means_one_provider(monkeypatch):
    monkeypatch.setattr(intervals, "_providers", {})
    for _ in range(2):
        intervals.register("downtimes", change_events.between)
    with pytest.raises(ValueError, match="'downtimes'"):
        intervals.register("downtimes", interval)


# --- downtimes as stretches of time -----------------------------------------------------------------------------------


@pytest.fixture
def noon(db):
    """The clock stands on Wednesday 4 November 2026, 12:00 UTC."""
    clock.move(NOON - clock.now())


def told_of(since=NOON - 9 * DAY, until=NOON + 9 * DAY, at=NOON):
    return intervals.between(since, until, at)


def test_an_announced_downtime_is_told_with_what_was_announced_and_a_plan_is_not(noon):
    downtime = announced(-HOUR, title="Switches in mdc1")
    plan_only = announced(title="Secret plan")
    plan_only.announcements.all().delete()
    [one] = told_of()
    assert (one.title, one.kind, one.url) == ("Switches in mdc1", "downtime", f"/downtimes/{downtime.pk}/")
    assert (one.starts_at, one.ends_at, one.trees) == (NOON - HOUR, NOON + HOUR, ("autoland", "mozilla-central"))
    assert one.words == "Hard close: all the trees named. autoland, mozilla-central"


def test_what_was_postponed_cancelled_or_never_begun_closed_no_tree_and_has_no_time(noon):
    tell(announced(DAY, title="Postponed"), Told.POSTPONEMENT)
    tell(announced(DAY, title="Called off"), Told.CANCELLATION, at=NOON)
    tell(announced(-HOUR, title="Called off once its time had come"), Told.CANCELLATION, at=NOON)
    announced(-3 * DAY, title="Never begun")
    assert told_of() == []


def test_one_that_was_announced_long_before_is_found_in_its_own_time(noon):
    downtime = ran(-2 * DAY, title="Long planned")
    downtime.announcements.update(made_at=NOON - 300 * DAY)
    assert [one.title for one in told_of(NOON - 2 * DAY, NOON - 2 * DAY)] == ["Long planned"]
    assert told_of(NOON - DAY, NOON) == []


# --- downtimes as changes ---------------------------------------------------------------------------------------------


def proposed(prefix="ciduty:downtime:"):
    return Change.objects.filter(identity__startswith=prefix)


@pytest.fixture
def mail(settings):
    settings.EMAIL_URL = "smtp://127.0.0.1:9"


def test_an_announcement_proposes_one_change_effective_at_its_start(people, mail):
    downtime = announced_by_people(people)
    change = proposed().get()
    assert (change.identity, change.state, change.kind) == (f"ciduty:downtime:{downtime.pk}", "proposed", "downtime")
    assert (change.summary, change.effective_at) == ("Downtime: Switches in mdc1", downtime.starts_at)
    assert change.bugs == [item.bug_id for item in downtime.items.all()]
    assert change.links[0]["url"].endswith(f"/downtimes/{downtime.pk}/")


def test_nothing_is_proposed_before_the_announcement_and_nothing_when_it_is_refused(people, duty, mail):
    downtime = plan(people)
    with pytest.raises(NotAllowed):
        announcing.announce(downtime, by=duty, version=1)
    assert not proposed().exists()


def test_a_postponement_and_a_cancellation_are_the_same_change_told_anew(people, duty, mail):
    downtime = announced_by_people(people)
    later = downtime.starts_at + 7 * DAY
    downtime = announcing.postpone(
        downtime, by=duty, because="A release", starts_at=later, ends_at=later + HOUR, revision=downtime.revision
    )
    assert (proposed().get().summary, proposed().get().effective_at) == ("Downtime postponed: Switches in mdc1", later)
    announcing.cancel(downtime, by=duty, because="Not needed")
    change = proposed().get()
    assert change.summary == "Downtime cancelled: Switches in mdc1"
    assert change.effective_at == downtime.announcements.last().made_at


def test_a_change_that_a_person_published_is_corrected_in_public_when_it_is_cancelled(people, duty, mail):
    downtime = announced_by_people(people)
    workflow.publish(proposed().get(), duty)
    announcing.cancel(downtime, by=duty, because="Not needed")
    change = proposed().get()
    assert change.is_public and change.summary.startswith("Downtime cancelled")
    assert change.revisions.get().before["summary"] == "Downtime: Switches in mdc1"


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_no_bug_that_is_not_public_is_named_and_none_of_its_words(people, duty, mail, visibility):
    downtime = announced_by_people(people)
    Bug.objects.filter(pk=downtime.items.get().bug_id).update(visibility=visibility)
    announcing.cancel(downtime, by=duty, because="Not needed")
    number = str(downtime.items.get().bug_id)
    assert number not in proposed().get().message + proposed().get().summary


def test_what_breaks_in_the_telling_undoes_the_verb(people, duty, mail, monkeypatch):
    downtime = announced_by_people(people)

    def broken(*_args, **_named):
        raise IntegrityError("no room")

    monkeypatch.setattr(change_events.workflow, "propose", broken)
    with pytest.raises(IntegrityError):
        announcing.cancel(downtime, by=duty, because="Not needed")
    downtime.refresh_from_db()
    assert downtime.state == "announced"


# --- loans as changes -------------------------------------------------------------------------------------------------


@pytest.fixture
def bugzilla_is_configured(settings):
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"


def hand_over(by, **facts):
    request = request_in(RequestState.PREPARING, **facts)
    until = clock.now().date() + 14 * DAY
    lending.hand_over(request, by=by, how_to="Host and way in", until=until, op=OP)
    return request


def test_a_hand_over_says_that_the_pool_has_one_less_and_neither_who_nor_why(people, duty, bugzilla_is_configured):
    request = hand_over(duty, machine={"host": "t-w1064-ms-110"})
    change = proposed("ciduty:machine:").get()
    assert change.summary == "t-w1064-ms-110 is on loan: the pool has one machine less"
    assert (change.kind, change.pools[0], change.state) == ("hardware", "t-w1064-ms", "proposed")
    assert (change.effective_at, change.bugs) == (request.handed_over_at, [request.pk])
    told = " ".join(str(value) for value in Change.objects.values().get().values())
    assert "developer" not in told and "Host and way in" not in told


def test_a_return_says_that_the_pool_has_it_again(people, duty, bugzilla_is_configured):
    request = request_in(RequestState.RECLAIMING, machine={"host": "t-w1064-ms-110"})
    reclaiming.finish(request, by=duty, op=OP)
    change = proposed("ciduty:machine:").get()
    assert change.summary == "t-w1064-ms-110 is back from a loan: the pool has one machine more"
    assert change.effective_at == request.returned_at


def test_pressed_twice_it_is_told_once(people, duty, bugzilla_is_configured):
    request = hand_over(duty)
    lending.hand_over(request, by=duty, how_to="x", until=clock.now().date() + 14 * DAY, op=OP)
    assert proposed("ciduty:machine:").count() == 1


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_the_number_of_a_bug_that_is_not_public_stands_nowhere(people, duty, bugzilla_is_configured, visibility):
    request = request_in(RequestState.PREPARING)
    Bug.objects.filter(pk=request.pk).update(visibility=visibility)
    request.bug.refresh_from_db()
    loan_events.handed_over(request, request.machine, clock.now())
    change = proposed("ciduty:machine:").get()
    assert change.bugs == [] and str(request.pk) not in f"{change.identity} {change.summary} {change.message}"


def test_a_spare_machine_is_told_as_spare_and_one_of_the_cloud_not_at_all(people, duty, bugzilla_is_configured):
    hand_over(duty, machine={"is_spare": True})
    assert "CI does not use it" in proposed("ciduty:machine:").get().summary
    cloud = MachineClassFactory(name="tst-linux64-ec2")
    request = request_in(RequestState.PREPARING, machine={"machine_class": cloud})
    assert cloud.is_cloud
    loan_events.handed_over(request, request.machine, clock.now())
    assert proposed("ciduty:machine:").count() == 1
