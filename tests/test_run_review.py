"""The review card: due on the next working day, written once, read again when the same systems are planned for."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes.models import Downtime, Nomination, Review
from downtimes.run import reviewing
from tests.cast import A_MORNING, DowntimeFactory, ItemFactory, NominationFactory

pytestmark = pytest.mark.django_db

WORDS = {"went_well": "Both switches came back.", "to_do_better": "Drain mdc1 an hour before.", "bugs": [1400200]}


@pytest.fixture(autouse=True)
def morning():
    """The clock stands on a working morning."""
    clock.move(A_MORNING - clock.now())


@pytest.fixture
def over(people):
    """A downtime of the switches that is over, with its review still to be written."""
    return over_since(people, "Switches in mdc1")


def over_since(people, *systems, **fields):
    """Return a downtime that is over, with work on these systems."""
    fields = {"state": "done", "made_by": people[Role.DUTY], "begun_at": clock.now(), "trees": ["autoland"]} | fields
    downtime = DowntimeFactory(**fields)
    with_work(downtime, *systems)
    reviewing.make(downtime, clock.now())
    return downtime


def with_work(downtime, *systems):
    for system in systems:
        nomination = NominationFactory(system=system, state="accepted")
        ItemFactory(downtime=downtime, bug_id=nomination.bug_id, nomination=nomination)


def written(downtime, by, **words):
    """Write the review of a downtime, and return it."""
    reviewing.write(downtime.review, by=by, **WORDS | words)
    downtime.review.refresh_from_db()
    return downtime.review


@pytest.mark.parametrize(
    ("ended", "due"),
    [
        (datetime(2026, 3, 3, 9, 0, tzinfo=UTC), date(2026, 3, 4)),  # a Tuesday
        (datetime(2026, 3, 3, 23, 30, tzinfo=UTC), date(2026, 3, 5)),  # Wednesday already, at the desk
        (datetime(2026, 3, 6, 9, 0, tzinfo=UTC), date(2026, 3, 9)),  # a Friday
        (datetime(2026, 3, 7, 9, 0, tzinfo=UTC), date(2026, 3, 9)),  # a Saturday, as most windows
        (datetime(2026, 4, 30, 9, 0, tzinfo=UTC), date(2026, 5, 4)),  # before a holiday and a weekend
    ],
)
def test_it_is_due_on_the_next_working_day_of_the_desk(ended, due):
    assert reviewing.due_on(ended) == due


def test_it_waits_from_its_day_on_until_somebody_writes_it(over, duty):
    at = clock.now()
    assert reviewing.make(over, at + timedelta(days=9)) == over.review == Review.objects.get()  # made once
    assert reviewing.waiting(at) == []
    assert reviewing.waiting(at + timedelta(days=1)) == reviewing.waiting(at + timedelta(days=8)) == [over.review]
    written(over, duty)
    assert reviewing.waiting(at + timedelta(days=8)) == []


def test_what_was_learned_is_written_once_and_nobody_writes_over_another(over, duty, lead):
    review = over.review
    for wrong, says in (({"went_well": " ", "to_do_better": ""}, "teaches nobody"),):
        with pytest.raises(NotAllowed, match=says):
            reviewing.write(review, by=duty, **WORDS | wrong)
    with pytest.raises(NotAllowed, match="once everybody was told TREE OPEN"):
        reviewing.write(None, by=duty, **WORDS)
    seen = reviewing.look_of(review)
    assert reviewing.write(review, by=duty, **WORDS, shown=seen) is True
    assert reviewing.write(review, by=lead, **WORDS, shown=seen) is False  # sent twice
    with pytest.raises(NotAllowed, match="Somebody else wrote the review"):
        reviewing.write(review, by=lead, **WORDS | {"went_well": "Nothing."}, shown=seen)
    review.refresh_from_db()
    assert (review.written_by, review.went_well, review.bugs) == (duty, WORDS["went_well"], [1400200])
    assert reviewing.write(review, by=lead, **WORDS | {"bugs": []}, shown=reviewing.look_of(review)) is True
    entries = Entry.objects.filter(about=over.about, verb="reviewed")
    assert [(entry.sentence, entry.by) for entry in entries] == [
        ("Wrote the review", duty), ("Changed the review", lead),
    ]  # fmt: skip


def test_a_plan_for_the_same_systems_shows_what_was_learned(over, people, duty, clients):
    written(over, duty)
    others = written(over_since(people, "hg.mozilla.org"), duty, to_do_better="Another system")
    unwritten = over_since(people, "Switches in mdc1")
    outage = written(over_since(people, kind="unplanned", trees=["try"]), duty, to_do_better="Closed too late")
    assert reviewing.on_same_systems(unwritten) == [over.review]  # not its own, and none that nobody wrote

    plan = DowntimeFactory(made_by=duty, trees=["autoland"])
    assert reviewing.on_same_systems(plan) == []
    with_work(plan, "SWITCHES IN MDC1")
    assert reviewing.on_same_systems(plan) == [over.review]
    Downtime.objects.filter(pk=plan.pk).update(trees=["autoland", "try"])
    plan.refresh_from_db()
    assert reviewing.on_same_systems(plan) == [outage, over.review]
    with CaptureQueriesContext(connection) as one:
        reviewing.on_same_systems(plan)
    Nomination.objects.filter(system="hg.mozilla.org").update(system="switches in mdc1")
    for _ in range(3):
        written(over_since(people, kind="unplanned", trees=["try"]), duty)
    with CaptureQueriesContext(connection) as many:
        found = reviewing.on_same_systems(plan)
    assert len(one) == len(many) == 3
    assert len(found) == reviewing.SHOWN and others not in found  # the newest

    address = f"/downtimes/{plan.pk}/plan/"
    page = clients[Role.DUTY].get(address).content.decode()
    assert "Learned the last time" in page and "Drain mdc1 an hour before." in page
    for role in (Role.SCHEDULER, Role.MANAGER):  # who sees plans, and is not CiDuty
        assert "Learned the last time" not in clients[role].get(address).content.decode()


def test_the_page_takes_what_was_learned_and_loses_nothing(over, people, clients, duty, lead):
    address, browser = f"/downtimes/{over.pk}/review/", clients[Role.DUTY]
    page = browser.get(address).content.decode()
    assert "Nobody wrote it yet; it is due on Wed 4 Mar 2026" in page and "Due</span>" not in page
    clock.move(timedelta(days=1))
    assert "Due</span>" in browser.get(address).content.decode()

    typed = {"went_well": "Both came back.", "to_do_better": "", "bugs": "bug 1400200, 1400201 1400200", "shown": ""}
    wrong = browser.post(address, typed | {"bugs": "soon"})
    assert wrong.status_code == 422 and "Both came back." in wrong.content.decode()
    assert "This is no bug number" in wrong.content.decode()
    assert browser.post(address, typed | {"went_well": ""}).status_code == 422
    assert browser.post(address, typed).headers["Location"] == address
    over.review.refresh_from_db()
    assert (over.review.went_well, over.review.bugs) == ("Both came back.", [1400200, 1400201])
    assert "Written by" in browser.get(address).content.decode()

    late = clients[Role.LEAD].post(address, typed | {"went_well": "All was well."})
    assert late.status_code == 422 and "Somebody else wrote the review" in late.content.decode()
    assert "All was well." in late.content.decode()
    again = typed | {"went_well": "All was well.", "shown": late.context["form"]["shown"].value()}
    assert clients[Role.LEAD].post(address, again).status_code == 302
    over.review.refresh_from_db()
    assert (over.review.written_by, over.review.went_well) == (lead, "All was well.")

    running = DowntimeFactory(state="running", made_by=duty)
    early = browser.get(f"/downtimes/{running.pk}/review/").content.decode()
    assert "once everybody was told TREE OPEN" in early and "<textarea" not in early
    assert browser.post(f"/downtimes/{running.pk}/review/", typed).status_code == 422
    assert browser.get(f"/downtimes/{10**20}/review/").status_code == 404
    assert clients[Role.SCHEDULER].get(address).status_code == 403
