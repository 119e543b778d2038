"""While a downtime runs: its trees close, stay ours, and reopen; each of three ways, and true only once it was read."""

from datetime import timedelta
from functools import partial

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Visibility
from ciduty.outbox import delivery
from ciduty.outbox import workflow as outbox
from ciduty.outbox.models import TreeChange
from ciduty.outbox.rules import State as DeliveryState
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from ciduty.trees import polling, workflow
from ciduty.trees.adapters.writing import Writer
from ciduty.trees.models import Closure, Service, Tree
from ciduty.trees.sandbox import BOT_TOKEN, Fault, editing
from downtimes.models import RunStep
from downtimes.rules import State
from downtimes.run import (
    beginning,
    closing,
    facts,
    finishing,
    next_step,
    ownership,
    reopening,
    rules,
    sheet,
    sheet_core,
    steering,
    verifying,
    working,
)
from downtimes.run.rules import MESSAGE, Step
from tests import run_stage
from tests.cast import BugFactory, at_once
from tests.downtime_stage import op
from tests.run_stage import BY_HAND, LINK, MINUTE, PATCH, WAYS

pytestmark = pytest.mark.django_db

begun, closed, reopened, agreed = (
    partial(stage, quickly=True) for stage in (run_stage.begun, run_stage.closed, run_stage.reopened, run_stage.agreed)
)
FOUR = ["autoland", "beta", "mozilla-central", "try"]


@pytest.fixture(autouse=True)
def morning():
    """The clock stands on a working morning."""
    run_stage.morning()


@pytest.fixture
def duty(people):
    """The duty person of every downtime here."""
    return people[Role.DUTY]


def entries(downtime, verb):
    """Return how often the record has a verb."""
    return Entry.objects.filter(about=downtime.about, verb=verb).count()


def against(downtime, verb="tree open"):
    """Return what stands against a verb now, as one text."""
    return " ".join(rules.refusals(verb, facts.facts_of(downtime, clock.now(), downtime.duty)))


def said_next(downtime):
    """Return what the sheet says is to be done next."""
    return next_step.next_of(sheet_core.core(run_stage.now(downtime), downtime.duty, clock.now()))


def closed_of(sandbox):
    """Return the reasons for which trees are closed at the service, by name."""
    trees = sandbox.world.trees(FOUR)
    return {tree["tree"]: tree["reason"] for tree in trees if tree["status"] == "closed"}


def refused(verb, *args, **options):
    """Expect a verb to be refused, and return its sentence."""
    with pytest.raises(NotAllowed) as refusal:
        verb(*args, **options)
    return str(refusal.value)


# --- the journey ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("close", ["hard", "soft"])
def test_r30_r31_the_trees_close_and_reopen(settings, people, way, close):
    with run_stage.trees_kept(settings, way) as sandbox:
        downtime = run_stage.begun(people, close=close, tracking_bug=1400123)
        to_do, done = ("to tell", "told") if close == "soft" else ("to close", "closed")
        assert run_stage.words(downtime) == {"autoland": "to close", "mozilla-central": to_do}
        run_stage.close(downtime, sandbox)
        assert run_stage.words(downtime) == {"autoland": "closed", "mozilla-central": done}
        standing = Closure.objects.standing().filter(about=downtime.about)
        assert standing.count() == (1 if close == "soft" else 2)
        closure = standing.get(tree__name="autoland")
        assert (closure.reason, closure.category) == ("Downtime: Switches in mdc1 (Bug 1400123)", "planned")
        assert (closure.bug_id, closure.owner, closure.expected_end) == (1400123, downtime.duty, downtime.ends_at)
        assert entries(downtime, "trees closed") == (way != BY_HAND)
        run_stage.work(downtime)
        assert "still closed by us: reopen it" in against(downtime)
        run_stage.reopen(downtime, sandbox)
        assert run_stage.words(downtime) == {"autoland": "open", "mozilla-central": "open"}
        assert not standing.exists() and not downtime.run_trees.filter(opened_at=None).exists()
        assert against(downtime, "sheriff agrees") == ""
        if sandbox:
            assert closed_of(sandbox) == {} and not sandbox.world.tree("mozilla-central")["message_of_the_day"]


@pytest.mark.parametrize("way", WAYS)
def test_pressed_twice_and_followed_twice_it_is_done_once(settings, people, duty, way):
    with run_stage.trees_kept(settings, way) as sandbox:
        downtime = begun(people)
        form = op()
        assert len(closing.close(downtime, None, by=duty, op=form)) == 2
        if way == PATCH:
            delivery.deliver(delivery.TREES, seconds=10)  # and no poll has seen it yet
        assert closing.close(downtime, None, by=duty, op=form) == closing.close(downtime, None, by=duty, op=op()) == []
        assert entries(downtime, "close trees") == 1
        assert TreeChange.objects.count() == (way == PATCH)
        run_stage.close(downtime, sandbox)
        rows = list(downtime.run_trees.values())
        verifying.follow(clock.now())
        run_stage.close(downtime, sandbox)
        assert list(downtime.run_trees.values()) == rows and entries(downtime, "close trees") == 1
        assert Closure.objects.count() == 2 and entries(downtime, "trees closed") == (way != BY_HAND)
        run_stage.work(downtime)
        run_stage.reopen(downtime, sandbox)
        rows = list(downtime.run_trees.values())
        assert reopening.reopen(downtime, None, by=duty, op=op()) == []
        verifying.follow(clock.now())
        assert list(downtime.run_trees.values()) == rows and TreeChange.objects.count() == (2 if way == PATCH else 0)


# --- closing ----------------------------------------------------------------------------------------------------------


def test_closed_is_only_what_a_poll_reads_after_we_asked(settings, people, duty):
    with run_stage.trees_kept(settings, LINK) as sandbox:
        downtime = begun(people)
        closing.close(downtime, ["autoland"], by=duty, op=op())
        row = downtime.run_trees.get(name="autoland")
        run_stage.close_there(downtime, row, sandbox)
        assert run_stage.words(downtime) == {"autoland": "closing", "mozilla-central": "to close"}
        run_stage.read()
        assert run_stage.words(downtime)["autoland"] == "closed"
        row.refresh_from_db()
        assert row.closed_at and row.log_id == sandbox.world.tree("autoland")["log_id"] and row.asked_by == duty


@pytest.mark.parametrize("close", ["hard", "soft"])
def test_an_answer_from_before_we_asked_and_an_old_log_verify_nothing(settings, people, close):
    """F57: a closure that stood there before, in the very same words, is not the one that we asked for."""
    with run_stage.trees_kept(settings, LINK) as sandbox:
        downtime = closed(people, sandbox, close=close, trees=["autoland", "try"])
        rows, read_at = downtime.run_trees, Tree.objects.get(name="autoland").read_at
        rows.update(closed_at=None, log_id=None, asked_at=read_at + MINUTE)
        verifying.follow(clock.now())
        assert not rows.exclude(closed_at=None).exists()
        rows.update(asked_at=read_at)
        for row in rows.filter(only_message=False):
            row.before["log_id"] = Tree.objects.get(name=row.name).log_id
            row.save()
        verifying.follow(clock.now())
        assert list(rows.exclude(closed_at=None).values_list("name", flat=True)) == (["try"] if close == "soft" else [])
        rows.update(closed_at=read_at, log_id=1, opened_at=None)
        Tree.objects.update(status="open", motd="")
        rows.update(reopen_asked_at=read_at + MINUTE)
        verifying.follow(clock.now())
        assert not rows.exclude(opened_at=None).exists()
        rows.update(reopen_asked_at=read_at, log_id=Tree.objects.get(name="autoland").log_id + 9)
        verifying.follow(clock.now())
        assert list(rows.exclude(opened_at=None).values_list("name", flat=True)) == (["try"] if close == "soft" else [])


@pytest.mark.parametrize(
    ("reason", "tags", "ours"),
    [
        ("  downtime:  SWITCHES in mdc1 (bug 1400123) ", ["other"], True),
        ("Closing window https://bugzilla.mozilla.org/show_bug.cgi?id=1400123", ["planned"], True),
        ("Closing window, Bug 1400123", ["infra"], False),
        ("Closing window", ["planned"], False),
    ],
)
def test_people_edit_what_they_paste_and_the_category_with_our_bug_tells(settings, people, duty, reason, tags, ours):
    with run_stage.trees_kept(settings, LINK) as sandbox:
        downtime = begun(people, tracking_bug=1400123, trees=["autoland"])
        closing.close(downtime, None, by=duty, op=op())
        run_stage.sheriff(sandbox, "autoland", reason=reason, tags=tags)
        run_stage.read()
        assert run_stage.words(downtime) == {"autoland": "closed" if ours else "closed by others"}


def test_what_was_closed_there_before_anybody_told_us_is_ours_by_its_words(settings, people, duty):
    with run_stage.trees_kept(settings, LINK) as sandbox:
        downtime = begun(people)
        run_stage.sheriff(sandbox, "autoland", reason=closing.reason_of(downtime), tags=["planned"])
        run_stage.sheriff(sandbox, "mozilla-central", reason="hg is down")
        run_stage.read()
        assert set(run_stage.words(downtime).values()) == {"closed before"}
        assert [row.name for row in closing.close(downtime, None, by=duty, op=op())] == ["autoland"]
        run_stage.read()
        assert run_stage.words(downtime) == {"autoland": "closed", "mozilla-central": "closed before"}
        assert downtime.run_trees.get(name="autoland").before["status"] == "open"


@pytest.mark.parametrize("way", WAYS)
def test_what_was_closed_before_is_left_alone_and_needs_nothing(settings, people, duty, way):
    with run_stage.trees_kept(settings, way) as sandbox:
        if sandbox:
            run_stage.sheriff(sandbox, "autoland", reason="bustage")
        else:
            workflow.close_by_hand(["autoland"], reason="bustage", category="infra", by=people[Role.LEAD], op=op())
        downtime = closed(people, sandbox)
        assert run_stage.words(downtime) == {"autoland": "closed before", "mozilla-central": "closed"}
        assert "not by us: it is left alone" in refused(closing.close, downtime, ["autoland"], by=duty, op=op())
        run_stage.reopen(run_stage.work(downtime), sandbox)
        assert run_stage.words(downtime) == {"autoland": "closed before", "mozilla-central": "open"}
        assert against(downtime, "sheriff agrees") == ""


def test_f56_a_tree_that_nobody_knows_is_an_error_and_the_others_close_by_name(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = begun(people)
        editing.delete(sandbox.world, "autoland")
        run_stage.read()
        assert "Nobody knows how autoland stands" in refused(closing.close, downtime, None, by=duty, op=op())
        assert "is called trunk" in refused(closing.close, downtime, ["trunk"], by=duty, op=op())
        run_stage.close(downtime, sandbox, names=["mozilla-central"])
        assert run_stage.words(downtime) == {"autoland": "gone", "mozilla-central": "closed"}


def test_a_soft_close_closes_autoland_first_and_reopens_it_last(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        editing.update(sandbox.world, run_stage.SHERIFF, ["try"], message_of_the_day="Be kind.")
        downtime = begun(people, close="soft", trees=["mozilla-central", "autoland", "try"])
        closing.close(downtime, None, by=duty, op=op())
        assert [row.trees for row in TreeChange.objects.all()] == [["autoland"]]
        assert closing.close(downtime, None, by=duty, op=op()) == [] and entries(downtime, "close trees") == 1
        run_stage.settle()
        assert [row.trees for row in TreeChange.objects.order_by("pk")] == [["autoland"], ["mozilla-central"], ["try"]]
        assert sandbox.world.tree("try")["message_of_the_day"] == MESSAGE
        run_stage.work(downtime)
        steering.do_step(downtime, Step.CHECKED, by=duty)
        before = TreeChange.objects.count()
        reopening.reopen(downtime, None, by=duty, op=op())
        assert reopening.reopen(downtime, None, by=duty, op=op()) == []
        new = TreeChange.objects.order_by("pk")[before:]
        assert [row.trees for row in new] == [["mozilla-central"], ["try"]]
        run_stage.settle()
        assert [row.trees for row in TreeChange.objects.order_by("pk")[before:]][2:] == [["autoland"]]
        assert set(run_stage.words(downtime).values()) == {"open"}
        assert sandbox.world.tree("try")["message_of_the_day"] == "Be kind."


def test_a_message_that_a_sheriff_sets_before_or_beside_ours_is_there_again_afterwards(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = begun(people, close="soft", trees=["autoland", "mozilla-central", "try"])
        closing.close(downtime, None, by=duty, op=op())
        editing.update(sandbox.world, run_stage.SHERIFF, ["try"], message_of_the_day="Merge day.")
        run_stage.settle()
        for name in ("try", "mozilla-central"):
            assert sandbox.world.tree(name)["message_of_the_day"] == MESSAGE
        beside = f"{MESSAGE}; ask the sheriffs"
        editing.update(sandbox.world, run_stage.SHERIFF, ["mozilla-central"], message_of_the_day=beside)
        run_stage.read(MINUTE)
        assert run_stage.words(downtime)["mozilla-central"] == "told"
        run_stage.reopen(run_stage.work(downtime), sandbox)
        assert set(run_stage.words(downtime).values()) == {"open"}
        assert sandbox.world.tree("try")["message_of_the_day"] == "Merge day."
        assert sandbox.world.tree("mozilla-central")["message_of_the_day"] == "ask the sheriffs"


def test_what_the_outbox_tried_in_vain_is_asked_for_anew(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = begun(people)
        settings.TREESTATUS_TOKEN = "not the one"
        run_stage.close(downtime, sandbox)
        assert set(run_stage.words(downtime).values()) == {"closing"}
        assert "not closed yet" in against(downtime, "start")
        assert said_next(downtime).verb == "close" and "could not be closed" in said_next(downtime).sentence
        for form in [op()] * 2:  # a page that was not loaded anew changes nothing, and keeps nothing from being done
            closing.close(downtime, None, by=duty, op=form)
            delivery.deliver(delivery.TREES, seconds=10)
        settings.TREESTATUS_TOKEN = BOT_TOKEN
        run_stage.close(downtime, sandbox)
        assert set(run_stage.words(downtime).values()) == {"closed"} and TreeChange.objects.count() == 3
        run_stage.work(downtime)
        settings.TREESTATUS_TOKEN = "not the one"
        run_stage.reopen(downtime, sandbox)
        assert set(run_stage.words(downtime).values()) == {"reopening"}
        assert said_next(downtime).verb == "reopen" and "could not be reopened" in said_next(downtime).sentence
        seen = sheet.live(run_stage.now(downtime), duty, clock.now())
        assert seen["may_reopen"] and all("does not take TREESTATUS_TOKEN" in tree.why for tree in seen["trees"])
        settings.TREESTATUS_TOKEN = BOT_TOKEN
        run_stage.reopen(downtime, sandbox)
        assert set(run_stage.words(downtime).values()) == {"open"}


def test_a_change_that_is_not_wanted_any_more_is_dropped_before_it_goes(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = begun(people)
        closing.close(downtime, None, by=duty, op=op())
        ownership.leave(downtime, "autoland", by=duty, because="Sheriff wants it open")
        run_stage.settle()
        row, rest = TreeChange.objects.order_by("pk")
        assert (row.state, rest.trees) == (DeliveryState.CANCELLED, ["mozilla-central"]), "the others go all the same"
        assert closed_of(sandbox).keys() == {"mozilla-central"}
        assert run_stage.words(downtime) == {"autoland": "left", "mozilla-central": "closed"}
        closing.happened(row)
        assert TreeChange.objects.count() == 2
        run_stage.work(downtime)
        closing.take_back_leaving(downtime, ["autoland"])
        run_stage.close(downtime, sandbox, names=["autoland"])
        steering.do_step(downtime, Step.CHECKED, by=duty)
        reopening.reopen(downtime, None, by=duty, op=op())
        run_stage.sheriff(sandbox, "autoland", reason="hg is down")
        run_stage.read(MINUTE)
        ownership.leave(downtime, "autoland", by=duty, because="Sheriff: hg is down")
        run_stage.settle()
        assert run_stage.words(downtime) == {"autoland": "left", "mozilla-central": "open"}
        assert closed_of(sandbox) == {"autoland": "hg is down"}
        assert against(downtime, "sheriff agrees") == ""


def test_what_a_person_cancelled_in_the_outbox_is_not_asked_for_anew(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = begun(people)
        closing.close(downtime, None, by=duty, op=op())
        row = TreeChange.objects.get()
        outbox.cancel(row, duty)
        ownership.leave(downtime, "autoland", by=duty, because="Sheriff wants it open")
        run_stage.settle()
        assert TreeChange.objects.count() == 1 and closed_of(sandbox) == {}
        assert said_next(downtime).verb == "close", "the sheet offers to ask anew"
        type(downtime).objects.filter(pk=downtime.pk).update(state=State.DONE)
        assert closing.may_still_go(row).for_good and reopening.may_still_go(row).for_good


# --- who closed it ----------------------------------------------------------------------------------------------------


def test_a_person_says_that_a_closure_is_ours_and_it_reopens_as_ours(settings, people, duty):
    with run_stage.trees_kept(settings, LINK) as sandbox:
        downtime = closed(people, sandbox)
        assert "nothing to claim" in refused(ownership.claim, downtime, "autoland", by=duty)
        run_stage.sheriff(sandbox, "autoland", reason="Switches, as duty asked", tags=["planned"])
        run_stage.read()
        assert run_stage.words(downtime)["autoland"] == "closed by others"
        assert not Closure.objects.standing().filter(tree__name="autoland").exists()
        RunStep.objects.create(downtime=downtime, step=Step.SHERIFF_AGREES, words="Sheriff", by=duty, at=clock.now())
        ownership.claim(downtime, "autoland", by=duty)
        assert not downtime.run_steps.exists()  # they spoke of how it was before
        row = ownership.claim(downtime, "autoland", by=duty)
        assert run_stage.words(downtime)["autoland"] == "closed"
        assert (row.claimed_by, row.log_id) == (duty, sandbox.world.tree("autoland")["log_id"])
        assert entries(downtime, "claim tree") == 1
        assert Closure.objects.standing().filter(tree__name="autoland").count() == 1
        run_stage.reopen(run_stage.work(downtime), sandbox)
        assert set(run_stage.words(downtime).values()) == {"open"}


def test_what_was_closed_before_or_is_not_verified_cannot_be_claimed(settings, people, duty):
    with run_stage.trees_kept(settings, LINK) as sandbox:
        run_stage.sheriff(sandbox, "mozilla-central")
        downtime = begun(people)
        assert "closed before" in refused(ownership.claim, downtime, "mozilla-central", by=duty)
        closing.close(downtime, ["autoland"], by=duty, op=op())
        run_stage.sheriff(sandbox, "autoland")
        run_stage.read()
        clock.move(rules.VERIFIED_WITHIN + MINUTE)
        assert "not verified now" in refused(ownership.claim, downtime, "autoland", by=duty)


@pytest.mark.parametrize("way", WAYS)
def test_only_what_is_not_ours_is_left_as_it_is(settings, people, duty, way):
    with run_stage.trees_kept(settings, way) as sandbox:
        downtime = closed(people, sandbox, close="soft")
        assert "is closed by us: reopen it" in refused(
            ownership.leave, downtime, "autoland", by=duty, because="Sheriff"
        )
        said = refused(ownership.leave, downtime, "mozilla-central", by=duty, because="Sheriff")
        assert "Our message still stands on mozilla-central" in said
        assert "which sheriff" in refused(ownership.leave, downtime, "autoland", by=duty, because="  ")
        if way == LINK:
            steering.do_step(downtime, Step.CHECKED, by=duty)
            reopening.reopen(downtime, None, by=duty, op=op())
            for name in ("autoland", "mozilla-central"):
                assert "does not read as before yet" in refused(
                    ownership.leave, downtime, name, by=duty, because="Sheriff"
                )
            downtime.run_trees.update(reopen_asked_at=None)
        run_stage.reopen(run_stage.work(downtime), sandbox)
        assert "nothing to leave" in refused(ownership.leave, downtime, "autoland", by=duty, because="Sheriff")


# --- while our window runs others act: the scene of the issue ---------------------------------------------------------


@pytest.mark.parametrize("way", [LINK, PATCH])
def test_f55_f57_only_what_is_ours_reopens_whatever_others_and_the_service_do(settings, people, duty, way):
    with run_stage.trees_kept(settings, way, names=FOUR) as sandbox:
        downtime = run_stage.work(closed(people, sandbox, trees=FOUR))
        assert set(run_stage.words(downtime).values()) == {"closed"}
        run_stage.sheriff(sandbox, "autoland", reason="hg is down")
        run_stage.sheriff(sandbox, "beta", "open", "", [])
        sandbox.faults.add(Fault("vanish", tree="try"))
        run_stage.read(MINUTE)
        seen = {"autoland": "closed by others", "beta": "reopened by others", "try": "gone"}
        assert run_stage.words(downtime) == seen | {"mozilla-central": "closed"}
        assert Closure.objects.standing().get(about=downtime.about).tree.name == "mozilla-central"
        assert entries(downtime, "trees lost") == 1
        steering.do_step(downtime, Step.CHECKED, by=duty)
        for name, why in [("autoland", "hg is down"), ("beta", "reopened by somebody else"), ("try", "gone")]:
            assert why in refused(reopening.reopen, downtime, [name], by=duty, op=op())

        # The service goes on telling how it was: what we opened does not read open.
        sandbox.faults.add(Fault("stale"))
        stay = reopening.reopen(downtime, None, by=duty, op=op())
        assert [sentence.split()[0] for sentence in stay] == ["autoland", "beta", "try"]
        if way == LINK:
            run_stage.open_there(downtime.run_trees.get(name="mozilla-central"), sandbox)
        run_stage.settle()
        assert closed_of(sandbox)["autoland"] == "hg is down" and "mozilla-central" not in closed_of(sandbox)
        assert run_stage.words(downtime)["mozilla-central"] == "reopening"
        for word in [
            "autoland was closed for another reason",
            "beta was reopened",
            "mozilla-central does not read open",
        ]:
            assert word in against(downtime)
        assert "try is gone" in against(downtime)

        # It answers with a page: nobody knows anything any more, and says so. When it is back, so is the truth.
        def nobody_knows():
            assert run_stage.read(MINUTE).problem
            assert not any(one.is_verified for one in facts.trees_of(downtime, clock.now()))
            assert "was not read since" in refused(reopening.reopen, downtime, ["autoland"], by=duty, op=op())
            assert "mozilla-central" in against(downtime) and against(downtime, "sheriff agrees")

        sandbox.faults.clear()
        sandbox.faults.add(Fault("html", status=500))
        nobody_knows()
        assert not downtime.run_trees.exclude(opened_at=None).exists()
        sandbox.faults.clear()
        sandbox.faults.add(Fault("vanish", tree="try"))
        clock.move(MINUTE)
        run_stage.settle()
        assert run_stage.words(downtime) == seen | {"mozilla-central": "open"}
        assert not Closure.objects.standing().filter(about=downtime.about).exists()
        for name in seen:
            assert name in against(downtime) and "mozilla-central" not in against(downtime)

        # Then it does not answer at all: what was open is not verified any more, and TREE OPEN waits for it too.
        sandbox.stop()
        nobody_knows()
        clock.move(rules.VERIFIED_WITHIN)
        assert "mozilla-central is not verified since" in against(downtime)


def test_f55_a_sheriff_between_our_reading_and_our_write_keeps_their_closure(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = run_stage.work(closed(people, sandbox))
        steering.do_step(downtime, Step.CHECKED, by=duty)
        reopening.reopen(downtime, None, by=duty, op=op())
        run_stage.sheriff(sandbox, "autoland", reason="hg is down")
        run_stage.settle()
        assert run_stage.words(downtime) == {"autoland": "closed by others", "mozilla-central": "open"}
        assert closed_of(sandbox) == {"autoland": "hg is down"}
        assert "hg is down" in against(downtime)
        ownership.leave(downtime, "autoland", by=duty, because="Sheriff keeps it closed: hg is down")
        assert (
            ownership.leave(downtime, "autoland", by=duty, because="Sheriff keeps it closed: hg is down").left_by
            == duty
        )
        assert against(downtime, "sheriff agrees") == "" and entries(downtime, "leave tree") == 1


def test_f55_a_sheriff_in_the_moment_before_we_close_gets_their_closure_back(settings, people, duty, monkeypatch):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = begun(people)
        closing.close(downtime, None, by=duty, op=op())
        real, acts = Writer.patch, [lambda: run_stage.sheriff(sandbox, "autoland", reason="hg is down")]

        def patch(self, names, **change):
            if acts:
                acts.pop()()
            return real(self, names, **change)

        monkeypatch.setattr(Writer, "patch", patch)
        run_stage.settle()
        assert run_stage.words(downtime) == {"autoland": "closed", "mozilla-central": "closed"}
        assert downtime.run_trees.get(name="autoland").before["reason"] == "hg is down"
        assert entries(downtime, "trees below") == 1
        TreeChange.objects.update(state=DeliveryState.UNKNOWN)
        run_stage.work(downtime)
        steering.do_step(downtime, Step.CHECKED, by=duty)
        assert "is being changed" in refused(reopening.reopen, downtime, None, by=duty, op=op())
        TreeChange.objects.update(state=DeliveryState.ACCEPTED)
        run_stage.reopen(downtime, sandbox)
        assert closed_of(sandbox) == {"autoland": "hg is down"}
        assert run_stage.words(downtime) == {"autoland": "closed by others", "mozilla-central": "open"}
        assert "closed for another reason meanwhile (hg is down)" in against(downtime)
        run_stage.sheriff(sandbox, "autoland", "open", "", [])
        run_stage.read(MINUTE)
        assert run_stage.words(downtime)["autoland"] == "open"


def test_the_trees_that_are_verified_reopen_by_name_while_one_is_not(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = run_stage.work(closed(people, sandbox))
        steering.do_step(downtime, Step.CHECKED, by=duty)
        Tree.objects.filter(name="autoland").update(read_at=clock.now() - timedelta(hours=1))
        said = refused(reopening.reopen, downtime, None, by=duty, op=op())
        assert "autoland" in said and "mozilla-central" not in said
        assert reopening.reopen(downtime, ["mozilla-central"], by=duty, op=op()) == []
        run_stage.settle()
        assert sandbox.world.tree("mozilla-central")["status"] == "open"


def test_a_tree_that_others_close_after_we_opened_it_is_not_open(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = agreed(people, sandbox)
        run_stage.sheriff(sandbox, "autoland", reason="bustage after the window")
        run_stage.read(MINUTE)
        assert run_stage.words(downtime)["autoland"] == "closed by others"
        assert "bustage after the window" in against(downtime)
        ownership.leave(downtime, "autoland", by=duty, because="Sheriff: bustage")
        assert "autoland" not in against(downtime)
        assert not downtime.run_steps.filter(step=Step.SHERIFF_AGREES).exists()  # they spoke of how it was before


def test_what_others_reopened_is_closed_again_by_its_name_and_the_sheriff_is_asked_anew(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = agreed(people, sandbox)
        run_stage.close(downtime, sandbox, names=["autoland"])
        assert run_stage.words(downtime) == {"autoland": "closed", "mozilla-central": "open"}
        assert not RunStep.objects.filter(step=Step.SHERIFF_AGREES).exists()
        run_stage.sheriff(sandbox, "autoland", "open", "", [])
        run_stage.read(MINUTE)
        assert run_stage.words(downtime)["autoland"] == "reopened by others"
        assert closing.close(downtime, None, by=duty, op=op()) == []
        run_stage.close(downtime, sandbox, names=["autoland"])
        assert run_stage.words(downtime)["autoland"] == "closed"
        run_stage.reopen(downtime, sandbox)
        assert set(run_stage.words(downtime).values()) == {"open"}
        assert not Closure.objects.standing().exists()


def test_a_tree_goes_back_to_what_it_was(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        run_stage.sheriff(sandbox, "mozilla-central", "approval required", "soft freeze", ["merges"])
        downtime = reopened(people, sandbox)
        told = sandbox.world.tree("mozilla-central")
        assert (told["status"], told["reason"], told["tags"]) == ("approval required", "soft freeze", ["merges"])
        assert run_stage.words(downtime)["mozilla-central"] == "open"


def test_by_hand_a_tree_stays_closed_while_another_closure_stands_on_it(settings, people, duty):
    with run_stage.trees_kept(settings, BY_HAND):
        downtime = run_stage.work(closed(people))
        ours = Closure.objects.standing().get(tree__name="autoland")
        assert "run sheet" in refused(workflow.end_by_hand, ours, by=duty)
        lead = people[Role.LEAD]
        other = workflow.close_by_hand(["autoland"], reason="bustage", category="infra", by=lead, op=op())[0]
        run_stage.reopen(downtime)
        assert run_stage.words(downtime) == {"autoland": "closed by others", "mozilla-central": "open"}
        assert "kept by hand" in refused(ownership.claim, downtime, "autoland", by=duty)
        workflow.end_by_hand(other, by=lead)
        assert set(run_stage.words(downtime).values()) == {"open"} and against(downtime, "sheriff agrees") == ""


def test_f57_what_reads_open_without_our_reopening_in_its_log_is_not_open(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        from_before = sandbox.world.copy()
        downtime = run_stage.work(closed(people, sandbox))
        steering.do_step(downtime, Step.CHECKED, by=duty)
        reopening.reopen(downtime, None, by=duty, op=op())
        sandbox.faults.add(Fault("stale")).world_then = from_before
        run_stage.read(MINUTE)
        assert {row.status for row in Tree.objects.all()} == {"open"}
        assert set(run_stage.words(downtime).values()) == {"reopening"}
        assert "its log does not show" in against(downtime, "sheriff agrees")
        sandbox.faults.clear()
        editing.delete(sandbox.world, "autoland")
        editing.create(sandbox.world, run_stage.SHERIFF, "autoland")  # anew, without a log
        run_stage.read(MINUTE)
        assert set(run_stage.words(downtime).values()) == {"reopening"}
        assert "as before yet" in refused(ownership.leave, downtime, "mozilla-central", by=duty, because="Sheriff")
        ownership.leave(downtime, "autoland", by=duty, because="Sheriff made it anew")
        settings.TREESTATUS_URL, settings.TREESTATUS_WRITES = "", "none"
        assert run_stage.words(downtime) == {"autoland": "left", "mozilla-central": "unknown"}
        assert "Nobody knows how mozilla-central stands" in against(downtime, "sheriff agrees")


def test_f56_a_status_that_nobody_knows_is_neither_closed_nor_opened_by_us(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        run_stage.sheriff(sandbox, "autoland", "locked", "frozen")
        downtime = begun(people)
        steering.do_step(downtime, Step.CHECKED, by=duty)
        assert "Nobody knows how autoland stands" in refused(closing.close, downtime, None, by=duty, op=op())
        run_stage.close(downtime, sandbox, names=["mozilla-central"])
        run_stage.sheriff(sandbox, "autoland")
        run_stage.read(MINUTE)
        assert "not ours to open" in refused(ownership.claim, downtime, "autoland", by=duty)
        run_stage.sheriff(sandbox, "autoland", "locked", "frozen")
        run_stage.read(MINUTE)
        assert "autoland is not closed yet" in against(downtime, "start")
        assert "leave it as it is" in refused(reopening.reopen, downtime, ["autoland"], by=duty, op=op())
        ownership.leave(downtime, "autoland", by=duty, because="Sheriff froze it")
        run_stage.reopen(run_stage.work(downtime), sandbox)
        assert run_stage.words(downtime) == {"autoland": "left", "mozilla-central": "open"}
        assert sandbox.world.tree("autoland")["status"] == "locked" and against(downtime, "sheriff agrees") == ""


def test_f55_what_we_closed_by_hand_is_not_ours_at_a_service_that_is_configured_later(settings, people, duty):
    with run_stage.trees_kept(settings, BY_HAND):
        downtime = run_stage.work(closed(people))
    with run_stage.trees_kept(settings, PATCH, names=()) as sandbox:
        for name in run_stage.TREES:  # made anew there: their logs are empty, as ours is
            editing.create(sandbox.world, run_stage.SHERIFF, name, status="closed", reason="not ready")
        Closure.objects.update(ended_at=None)  # as if this were its first answer
        run_stage.read()
        assert set(run_stage.words(downtime).values()) == {"closed by others"}
        assert not Closure.objects.standing().exists()
        steering.do_step(downtime, Step.CHECKED, by=duty)
        assert "not ours to open" in refused(reopening.reopen, downtime, None, by=duty, op=op())


def test_a_tree_that_is_gone_keeps_none_of_the_others_closed(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = run_stage.work(closed(people, sandbox))
        editing.delete(sandbox.world, "autoland")
        for _ in range(5):
            run_stage.read(MINUTE)
        steering.do_step(downtime, Step.CHECKED, by=duty)
        assert "gone is not open" in " ".join(reopening.reopen(downtime, None, by=duty, op=op()))
        run_stage.settle()
        assert run_stage.words(downtime) == {"autoland": "gone", "mozilla-central": "open"}


def test_one_downtime_that_cannot_be_followed_keeps_no_other_from_it_and_loses_nothing_it_saw(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        stuck, other = closed(people, sandbox, close="soft"), begun(people, trees=["try"])
        row = stuck.run_trees.get(name="autoland")
        row.before["tags"] = ["planned"] * 11  # more than the service takes
        row.save()
        steering.do_step(run_stage.work(stuck), Step.CHECKED, by=duty)
        reopening.reopen(stuck, None, by=duty, op=op())
        closing.close(other, None, by=duty, op=op())
        run_stage.settle()
        assert run_stage.words(other) == {"try": "closed"}
        assert run_stage.words(stuck) == {"autoland": "reopening", "mozilla-central": "open"}


@pytest.mark.parametrize("way", WAYS)
def test_an_old_form_that_is_sent_again_closes_nothing_anew_and_says_nothing_untrue(settings, people, duty, way):
    with run_stage.trees_kept(settings, way) as sandbox:
        downtime, form = begun(people, trees=["autoland"]), op()
        closing.close(downtime, None, by=duty, op=form)
        run_stage.reopen(run_stage.work(run_stage.close(downtime, sandbox)), sandbox)
        for names in (None, ["autoland"]):
            assert closing.close(downtime, names, by=duty, op=form) == []
        assert run_stage.words(downtime) == {"autoland": "open"} and against(downtime, "sheriff agrees") == ""
        run_stage.close(downtime, sandbox, names=["autoland"])
        assert run_stage.words(downtime) == {"autoland": "closed"}


def test_what_one_of_us_reopened_at_the_service_before_the_press_is_ours_by_their_word(settings, people, duty):
    with run_stage.trees_kept(settings, LINK) as sandbox:
        downtime = run_stage.work(closed(people, sandbox, close="soft"))
        for row in downtime.run_trees.all():
            run_stage.open_there(row, sandbox)
        run_stage.read(MINUTE)
        assert set(run_stage.words(downtime).values()) == {"reopened by others"}
        lines = sheet.live(run_stage.now(downtime), duty, clock.now())["trees"]
        assert all(line.may_claim and "say that it is ours" in line.why for line in lines)
        assert "Nobody checked" in refused(ownership.claim, downtime, "autoland", by=duty)
        steering.do_step(downtime, Step.CHECKED, by=duty)
        for name in run_stage.TREES:
            ownership.claim(downtime, name, by=duty)
        assert set(run_stage.words(downtime).values()) == {"reopening"}
        run_stage.read(MINUTE)
        assert set(run_stage.words(downtime).values()) == {"open"} and against(downtime, "sheriff agrees") == ""


def test_what_others_closed_before_and_opened_meanwhile_locks_nothing_and_is_told_so(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        run_stage.sheriff(sandbox, "autoland")
        downtime = reopened(people, sandbox)
        run_stage.sheriff(sandbox, "autoland", "open", "", ())
        run_stage.read(MINUTE)
        assert against(downtime, "sheriff agrees") == ""
        assert "opened meanwhile, not by us" in " ".join(finishing.letter(downtime, clock.now()).body.split())
        assert "autoland is not closed yet" in against(downtime, "start")


# --- the gates and who may --------------------------------------------------------------------------------------------


def test_r31_nothing_reopens_before_somebody_looked_and_while_work_is_under_way(settings, people, duty):
    with run_stage.trees_kept(settings, BY_HAND):
        downtime = closed(people)
        item = downtime.items.get()
        working.do(item, "start", by=duty)
        said = refused(reopening.reopen, downtime, None, by=duty, op=op())
        assert "still under way" in said and "Nobody checked" in said
        stranger = people[Role.DEVELOPER]
        for verb in (closing.close, reopening.reopen):
            assert "Only CiDuty" in refused(verb, downtime, None, by=stranger, op=op())
        assert "Only CiDuty" in refused(ownership.claim, downtime, "autoland", by=stranger)
        assert "Only CiDuty" in refused(ownership.leave, downtime, "autoland", by=stranger, because="x")
        type(downtime).objects.filter(pk=downtime.pk).update(state=State.DONE)
        assert "only while it runs" in refused(reopening.reopen, downtime, None, by=duty, op=op())
        assert "only while it runs" in refused(closing.close, downtime, None, by=duty, op=op())


def test_the_reason_leads_to_the_bug_and_fits(people):
    downtime = run_stage.downtime_stage.plan(people, title="x" * 120, tracking_bug=1400123)
    assert closing.reason_of(downtime) == f"Downtime: {'x' * 120} (Bug 1400123)"
    assert closing.worded("y" * 400, 1400123) == "y" * 285 + "… (Bug 1400123)"
    assert len(closing.worded("y" * 400, 1400123)) == closing.LONGEST_REASON
    assert closing.worded("See bug 1400123", 1400123) == "See bug 1400123"
    assert closing.worded("No bug", None) == "No bug"


# --- the poll ---------------------------------------------------------------------------------------------------------


def test_followers_hear_of_polls_that_answered_and_their_bugs_do_not_fail_the_poll(settings, people, monkeypatch):
    heard = []

    def broken(at):
        heard.append(at)
        raise KeyError("a bug of ours")

    with run_stage.trees_kept(settings, PATCH) as sandbox:
        monkeypatch.setattr(polling, "followers", [broken, heard.append])
        outcome = run_stage.read()
        assert outcome.problem == "" and heard == [outcome.at, outcome.at]
        sandbox.faults.add(Fault("html", status=500))
        assert run_stage.read().problem and len(heard) == 2


def test_look_now_has_the_next_bell_poll_however_lately_it_was_read(
    settings, people, django_capture_on_commit_callbacks
):
    with run_stage.trees_kept(settings, LINK):
        assert polling.poll_if_due() is None
        with django_capture_on_commit_callbacks() as rung:
            polling.ask_now()
        assert len(rung) == 1 and Service.objects.get().tried_at is None
        assert polling.poll_if_due() is not None
    settings.TREESTATUS_URL = ""
    polling.ask_now()


def test_a_change_that_was_accepted_has_the_trees_read_at_once(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH):
        downtime = begun(people)
        closing.close(downtime, None, by=duty, op=op())
        assert Service.objects.get().tried_at is not None
        delivery.deliver(delivery.TREES, seconds=10)
        assert Service.objects.get().tried_at is None
        assert polling.poll_if_due() is not None
        assert set(run_stage.words(downtime).values()) == {"closed"}


def test_a_sheriffs_reason_that_names_a_private_bug_stands_in_no_sentence(settings, people, duty):
    BugFactory(pk=1400999, visibility=Visibility.RESTRICTED)
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        run_stage.sheriff(sandbox, "try", reason="the secret of 1400999")
        downtime = run_stage.work(closed(people, sandbox))
        run_stage.sheriff(sandbox, "autoland", reason="the secret of 1400999")
        run_stage.read()
        steering.do_step(downtime, Step.CHECKED, by=duty)
        said = reopening.reopen(downtime, None, by=duty, op=op())
        said += [against(downtime), refused(reopening.reopen, downtime, ["autoland"], by=duty, op=op())]
        assert all("secret" not in sentence and "names a bug that is not public" in sentence for sentence in said)
        entries = Entry.objects.filter(about=downtime.about)
        assert not any("secret" in str([one.sentence, one.before, one.after]) for one in entries)


@pytest.mark.django_db(transaction=True)
def test_two_people_who_press_at_once_do_it_once(settings, people, duty):
    both = [duty, people[Role.LEAD]]

    def pressed(verb, downtime, **options):
        return at_once([lambda by=by: verb(downtime, by=by, op=op(), **options) for by in both])

    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = run_stage.ready(people)
        assert len(at_once([lambda: beginning.begin(downtime, by=duty)] * 2)) == 2
        assert downtime.run_trees.count() == 2 and entries(downtime, "begin") == 1
        assert sorted(map(len, pressed(closing.close, downtime))) == [0, 2]
        run_stage.settle()
        assert closed_of(sandbox).keys() == {"autoland", "mozilla-central"} and TreeChange.objects.count() == 1
        item = downtime.items.get()
        at_once([lambda by=by: working.do(item, "start", by=by) for by in both])
        at_once([lambda by=by: working.do(item, "land", by=by) for by in both])
        assert (entries(downtime, "start"), entries(downtime, "land")) == (1, 1)
        at_once([lambda by=by: steering.do_step(downtime, Step.CHECKED, by=by) for by in both])
        assert pressed(reopening.reopen, downtime) == [[], []]
        assert TreeChange.objects.count() == 2 and entries(downtime, "reopen trees") == 1
        run_stage.settle()
        at_once([lambda: verifying.follow(clock.now())] * 2)
        assert set(run_stage.words(downtime).values()) == {"open"} and entries(downtime, "trees open") == 1
