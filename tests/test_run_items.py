"""The work in a downtime that runs: it starts on closed trees, and gets its outcome from its worker or CiDuty (R33)."""

from datetime import timedelta

import pytest
from django.db import transaction

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.people.models import Person
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes.models import Item
from downtimes.rules import ITEM_MOVES, OUTCOMES, ItemState, State
from downtimes.run import ownership, steering, working
from downtimes.run.rules import Step
from tests import downtime_stage, run_stage
from tests.cast import BugFactory
from tests.run_stage import BY_HAND

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def running(settings, people):
    """A downtime that runs with closed trees, kept by hand."""
    run_stage.morning()
    with run_stage.trees_kept(settings, BY_HAND):
        yield run_stage.closed(people, quickly=True)


@pytest.fixture
def item(running):
    """Its only piece of work."""
    return running.items.get()


@pytest.fixture
def worker(running):
    """Whose work it is; they are not CiDuty."""
    return Person.objects.get(username="worker")


def refused(item, verb, **options):
    """Expect a verb to be refused, and return its sentence."""
    with pytest.raises(NotAllowed) as refusal:
        working.do(item, verb, **options)
    return str(refusal.value)


def put(item, state, **fields):
    """Let a piece of work be in a state."""
    Item.objects.filter(pk=item.pk).update(state=state, **fields)


def test_every_verb_in_every_state(item, worker):
    """What the table allows is done; what stands there already is no change; the rest is refused."""
    for state in ItemState:
        for verb in ITEM_MOVES:
            with transaction.atomic():
                put(item, state, outcome_words="So it was.")
                if ITEM_MOVES.allow(verb, state) or state == ITEM_MOVES.target(verb):
                    assert working.do(item, verb, by=worker, words="So it was.").state == ITEM_MOVES.target(verb)
                else:
                    assert "was not changed" in refused(item, verb, by=worker, words="So it was.")


def test_r33_a_piece_of_work_starts_and_lands_with_its_times_and_words(running, item, worker):
    started = working.do(item, "start", by=worker)
    clock.move(20 * MINUTE)
    again = working.do(item, "start", by=worker)
    assert (again.state, again.started_at) == (ItemState.UNDER_WAY, started.started_at)
    landed = working.do(item, "land", by=worker, words=" All switches answer. ")
    assert (landed.state, landed.outcome_words, landed.outcome_by) == ("landed", "All switches answer.", worker)
    assert landed.ended_at - landed.started_at >= 20 * MINUTE
    said = Entry.objects.filter(about=running.about, verb__in=ITEM_MOVES).order_by("pk")
    assert [(one.sentence, one.by) for one in said] == [
        (f"Work on bug {item.bug_id} started", worker), (f"Bug {item.bug_id} landed", worker),
    ]  # fmt: skip


def test_what_landed_may_be_rolled_back_and_its_bug_is_told_anew(item, worker):
    working.do(working.do(item, "start", by=worker), "land", by=worker)
    put(item, ItemState.LANDED, update_id=7)
    assert "Say why" in refused(item, "roll back", by=worker, words="  ")
    back = working.do(item, "roll back", by=worker, words="Packets were lost.")
    assert (back.state, back.outcome_words, back.update_id) == (ItemState.ROLLED_BACK, "Packets were lost.", None)
    assert back.started_at is not None


def test_what_was_said_is_taken_back_until_the_bug_was_told(item, worker):
    assert "Say why" in refused(item, "leave", by=worker)
    working.do(item, "leave", by=worker, words="No time was left.")
    assert "take it back first" in refused(item, "leave", by=worker, words="The rack has no power.")
    taken = working.do(item, "take back", by=worker)
    assert taken.state == ItemState.PLANNED
    assert (taken.started_at, taken.ended_at, taken.outcome_words, taken.outcome_by) == (None, None, "", None)
    for state in OUTCOMES:
        put(item, state, update_id=7)
        assert "was told its outcome already" in refused(item, "take back", by=worker)


def test_only_the_worker_and_ciduty_say_what_becomes_of_work(people, running, item, worker):
    other = downtime_stage.add_work(running)
    Item.objects.filter(pk=other.pk).update(worker="somebody.else@example.com")
    for role in (Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER):
        assert "Only the worker" in refused(item, "start", by=people[role])
    other.refresh_from_db()
    assert "Only the worker" in refused(other, "start", by=worker)
    Item.objects.filter(pk=item.pk).update(worker="Worker@Example.com")
    assert working.do(item, "start", by=worker).started_at
    assert working.do(other, "start", by=people[Role.LEAD]).started_at
    worker.bugzilla_logins.all().delete()
    assert "Only the worker" in refused(item, "land", by=worker)


def test_work_goes_on_only_while_the_downtime_runs(running, item, worker):
    for state in (State.ANNOUNCED, State.DONE):
        type(running).objects.filter(pk=running.pk).update(state=state)
        assert "only while it runs" in refused(item, "start", by=worker)


def test_r30_nothing_starts_before_every_tree_is_closed_or_left(settings, people):
    run_stage.morning()
    with run_stage.trees_kept(settings, BY_HAND):
        downtime = run_stage.begun(people, quickly=True)
        item, duty = downtime.items.get(), downtime.duty
        assert "autoland is not closed yet" in refused(item, "start", by=duty)
        run_stage.close(downtime, names=["autoland"])
        assert "mozilla-central is not closed yet" in refused(item, "start", by=duty)
        ownership.leave(downtime, "mozilla-central", by=duty, because="Sheriff: a release is on its way")
        assert working.do(item, "start", by=duty).state == ItemState.UNDER_WAY


def test_an_outcome_names_no_private_bug_but_its_own(item, worker):
    private = BugFactory(visibility=Visibility.RESTRICTED, is_loaner_request=False).pk
    words = f"Waits for bug {item.bug_id} and bug {private}"
    assert f"Bug {private} is not public" in refused(item, "leave", by=worker, words=words)
    Bug.objects.filter(pk=item.bug_id).update(visibility=Visibility.RESTRICTED)
    assert working.do(item, "leave", by=worker, words=f"Bug {item.bug_id} waits").state == ItemState.NOT_DONE


def test_r31_whether_all_is_well_is_looked_at_after_the_work(people, running, item):
    steering.do_step(running, Step.CHECKED, "All normal", by=running.duty)
    working.do(item, "start", by=running.duty)
    assert not running.run_steps.filter(step=Step.CHECKED).exists()


def test_who_saw_another_state_of_the_work_looks_at_it_first(people, item):
    duty = people[Role.DUTY]
    working.do(working.do(item, "start", by=duty), "land", by=duty, words="All hosts answer.")
    sentence = refused(item, "roll back", by=people[Role.LEAD], words="It hangs.", shown=ItemState.UNDER_WAY)
    assert "somebody said meanwhile" in sentence.lower() and "landed" in sentence
    item.refresh_from_db()
    assert (item.state, item.outcome_words) == (ItemState.LANDED, "All hosts answer.")
    working.do(item, "roll back", by=people[Role.LEAD], words="It hangs.", shown=ItemState.LANDED)


def test_r31_nobody_has_looked_whether_all_is_well_while_work_is_under_way(people, running, item):
    working.do(item, "start", by=people[Role.DUTY])
    with pytest.raises(NotAllowed, match="still under way"):
        steering.do_step(running, Step.CHECKED, "All normal", by=people[Role.DUTY])
    working.do(item, "land", by=people[Role.DUTY])
    steering.do_step(running, Step.CHECKED, "All normal", by=people[Role.DUTY])
