"""Taking a machine back and ending a loan: only with a proof for each step, and with all access gone."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Bug, TrackedId, Visibility
from ciduty.outbox import delivery
from ciduty.outbox.models import BugUpdate
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from loaners import lending, machines, reclaiming, reminders, workflow
from loaners.models import LoanerRequest, Machine, Step
from loaners.rules import HAS_MACHINE, OVER, MachineState, RequestState
from tests.cast import BugFactory, MachineClassFactory, cycle_done, every_row, file, request_in

pytestmark = pytest.mark.django_db

OP, ANOTHER_OP = "0a1b2c3d", "4e5f6a7b"
LONG_HENCE = datetime(2027, 12, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def configured(settings):
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"


@pytest.fixture
def coming_back(people):
    """A request whose machine is taken back; every step is done, with proof."""
    return request_in(RequestState.RECLAIMING)


def finish(request, by, op=OP):
    reclaiming.finish(request, by=by, op=op)


def refused(act, match):
    """Expect a refusal in a sentence that changes nothing at all."""
    before = every_row()
    with pytest.raises(NotAllowed, match=match):
        act()
    assert every_row() == before


# --- taking back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["preparing", "active", "return requested"])
def test_a_machine_is_taken_back_from_wherever_it_is_and_its_steps_begin(state, people, duty):
    request = request_in(RequestState(state))
    reclaiming.reclaim(request, by=duty)
    assert (request.state, Machine.objects.get().state) == ("reclaiming", "re-imaging")
    steps = request.steps.filter(kind="reclaim")
    assert [one.key for one in steps] == ["revoke", "re-image", "group back", "re-enable", "takes jobs"]
    assert not steps.exclude(done_at=None).exists()
    assert Entry.objects.filter(about=request.machine.about).count() == 1


def test_whoever_has_the_machine_and_did_not_give_it_back_is_told(people, duty):
    request = request_in(RequestState.ACTIVE)
    reclaiming.reclaim(request, by=duty)
    comment = BugUpdate.objects.get(purpose="loaners: reclaim").wants["comment"]
    assert f"We are taking {request.machine} back: the access to it ends now" in comment


@pytest.mark.parametrize("bug", [{"is_open": False}, {"visibility": Visibility.RESTRICTED}])
def test_a_machine_comes_back_whatever_became_of_the_bug(bug, people, duty):
    request = request_in(RequestState.ACTIVE)
    Bug.objects.update(**bug)
    reclaiming.reclaim(LoanerRequest.objects.get(), by=duty)
    Step.objects.update(done_at=clock.now(), evidence="seen")
    for _ in range(2):
        finish(LoanerRequest.objects.get(), duty)
    assert LoanerRequest.objects.get().state == RequestState.RETURNED
    assert Machine.objects.get().state == MachineState.AVAILABLE
    assert not BugUpdate.objects.exists()
    assert Entry.objects.filter(about=request.about, verb="finish").count() == 1


def test_the_pages_buttons_of_another_loan_are_not_pressed_by_this_one(people, duty, lead):
    """Pressed twice by one person it is one; a second person hears that it was done."""
    request = request_in(RequestState.ACTIVE)
    shown = LoanerRequest.objects.get(pk=request.pk)
    reclaiming.reclaim(request, by=duty)
    before = every_row()
    reclaiming.reclaim(shown, by=duty)
    assert every_row() == before
    refused(lambda: reclaiming.reclaim(shown, by=lead), "is reclaiming by now")


# --- what is missing before it is over --------------------------------------------------------------------------------


def test_every_step_that_is_missing_keeps_the_loan_from_ending_and_is_named(coming_back, duty):
    assert coming_back.steps.count() == 5
    for one in coming_back.steps.all():
        Step.objects.filter(pk=one.pk).update(done_at=None)
        refused(lambda: finish(coming_back, duty), "Still missing: " + re.escape(f"{one.text} (not done)."))  # noqa: B023
        Step.objects.filter(pk=one.pk).update(done_at=clock.now())
    finish(coming_back, duty)
    assert coming_back.state == RequestState.RETURNED


def test_every_step_wants_its_proof(coming_back, duty):
    for one in coming_back.steps.all():
        Step.objects.filter(pk=one.pk).update(evidence="")
        sentence = re.escape(f"{one.text} (done, and no proof is written down)")
        refused(lambda: finish(coming_back, duty), sentence)  # noqa: B023
        Step.objects.filter(pk=one.pk).update(evidence="seen")


def test_blanks_are_no_proof(coming_back, duty):
    one = coming_back.steps.get(key="re-image")
    lending.undo_step(one, by=duty)
    lending.do_step(one, by=duty, evidence=" \t")
    refused(lambda: finish(coming_back, duty), re.escape("Re-image the host (done, and no proof is written down)"))


def test_an_access_that_was_not_taken_away_keeps_the_loan_from_ending(people, duty):
    request = request_in(RequestState.ACTIVE)
    given = lending.grant(
        request, what="VPN group vpn-releng-loan", grantee="developer", reason="loan", expires_at=LONG_HENCE, by=duty
    )
    reclaiming.reclaim(request, by=duty)
    request.steps.update(done_at=clock.now(), evidence="seen")
    refused(lambda: finish(request, duty), "Take away VPN group vpn-releng-loan from developer")
    lending.revoke(given, by=duty, evidence="gone from the group")
    finish(request, duty)
    assert request.state == RequestState.RETURNED


def test_a_loan_without_the_step_of_the_access_never_ends(coming_back, duty):
    coming_back.steps.all().delete()
    refused(lambda: finish(coming_back, duty), "Still missing: The step “revoke”")


# --- the end ----------------------------------------------------------------------------------------------------------


def test_at_the_end_the_bug_is_resolved_and_the_machine_is_free_again(coming_back, duty):
    finish(coming_back, duty)
    assert (coming_back.state, Machine.objects.get().state) == ("returned", "available")
    assert timedelta(0) <= clock.now() - coming_back.returned_at < timedelta(minutes=1)
    update = BugUpdate.objects.get()
    assert update.wants == {
        "comment": f"{coming_back.machine} was re-imaged and takes jobs again; every access that was granted for the "
        "loan was taken away.\n\nduty, CiDuty",
        "status": "RESOLVED",
        "resolution": "FIXED",
    }
    assert machines.loan_of(coming_back.machine) is None
    assert reminders.remind() == 0


def test_a_machine_of_the_cloud_is_terminated_and_leaves_the_pool(people, duty):
    cloud = MachineClassFactory(name="tst-x-ec2", is_cloud=True, needs_group_switch=False)
    request = request_in(RequestState.RECLAIMING, machine={"machine_class": cloud, "tracking_bug": 1300001})
    assert [one.key for one in request.steps.all()] == ["revoke", "terminate"]
    finish(request, duty)
    assert Machine.objects.get().state == MachineState.RETIRED
    loan, tracking = BugUpdate.objects.order_by("bug_id").values_list("wants__comment", flat=True)[::-1]
    assert "was terminated" in loan
    assert "it was terminated" in tracking
    assert "jobs" not in loan + tracking


def test_a_machine_that_broke_meanwhile_stays_out_of_the_pool_and_nobody_says_otherwise(people, duty):
    tracking = BugFactory(is_open=True)
    request = request_in(RequestState.RECLAIMING, machine={"tracking_bug": tracking.pk})
    machines.mark_broken(request.machine, duty, "the disk")
    finish(LoanerRequest.objects.get(pk=request.pk), duty)
    assert Machine.objects.get().state == MachineState.BROKEN
    of_loan, of_machine = BugUpdate.objects.get(bug_id=request.pk), BugUpdate.objects.get(bug_id=tracking.pk)
    assert "came back and is out of use" in of_loan.wants["comment"]
    assert "it is broken, and stays out of the pool" in of_machine.wants["comment"]
    assert "status" not in of_machine.wants


def test_of_a_machine_that_was_never_handed_over_the_end_says_so(people, duty):
    request = request_in(RequestState.PREPARING)
    reclaiming.reclaim(request, by=duty)
    request.steps.update(done_at=clock.now(), evidence="seen")
    finish(request, duty)
    comment = BugUpdate.objects.get().wants["comment"]
    assert "it was never handed over" in comment
    assert "granted" not in comment


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        (None, {}),
        ({"is_open": False, "status": "RESOLVED", "resolution": "WORKSFORME"}, {}),
        ({"is_open": True, "status": "REOPENED"}, {"status": "RESOLVED", "resolution": "FIXED"}),
    ],
)
def test_the_tracking_bug_is_told_and_closed_where_it_is_open(known, wanted, people, duty):
    tracking = BugFactory(**known).pk if known else 1300001
    TrackedId.objects.create(bug_id=tracking, why="the tracking bug of a machine on loan")
    request = request_in(RequestState.RECLAIMING, machine={"tracking_bug": tracking})
    finish(request, duty)
    update = BugUpdate.objects.get(bug_id=tracking)
    comment = f"Back from the loan on bug {request.pk}: it was re-imaged, and takes jobs again.\n\nduty, CiDuty"
    assert update.wants == {"comment": comment} | wanted
    assert update.seen == ({"status": "REOPENED", "resolution": ""} if wanted else {})
    assert Entry.objects.get(about=request.about).caused == [f"bug update {row.pk}" for row in BugUpdate.objects.all()]
    assert not TrackedId.objects.exists()


# --- where Bugzilla disagrees -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", RequestState)
@pytest.mark.parametrize(
    "bug",
    [{}, {"is_open": False, "status": "RESOLVED"}, {"moved_away": True}],
    ids=["open", "closed", "moved away"],
)
def test_a_closed_or_moved_bug_disagrees_while_a_machine_is_away_and_an_open_one_when_all_is_over(state, bug, people):
    request = request_in(state, **({"machine": None} if state in OVER else {}))
    Bug.objects.update(**bug)
    told = reclaiming.disagreement(LoanerRequest.objects.get())
    host = str(request.machine)
    if state in HAS_MACHINE and not bug.get("is_open", True):
        out = "is still out" if state in ("active", "return requested") else "is not back in the pool"
        assert told == f"The bug is closed in Bugzilla, and {host} {out}."
    elif state in HAS_MACHINE and bug:
        assert told == f"The bug was moved to another component in Bugzilla, and {host} is not back in the pool."
    elif state in OVER and bug.get("is_open", True):
        assert told.startswith(f"The request is {state} here, and the bug is open in Bugzilla")
    else:
        assert told == ""


def test_a_loan_that_is_over_with_an_open_bug_disagrees(coming_back, duty):
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    finish(LoanerRequest.objects.get(), duty)
    assert reclaiming.disagreement(LoanerRequest.objects.get()) == (
        "The loan is over here, and the bug is open in Bugzilla."
    )


# --- over the wire ----------------------------------------------------------------------------------------------------


def test_a_whole_taking_back_ends_with_both_bugs_closed_and_nothing_to_settle(bugzilla, people, duty, developer):
    tracking = file(bugzilla, component="RelOps: Hardware", summary="problem tracking")
    number = file(bugzilla, at=clock.now() - timedelta(hours=1))
    TrackedId.objects.create(bug_id=tracking, why="the tracking bug of a machine on loan")
    cycle_done()
    loan = request_in(RequestState.ACTIVE, machine={"tracking_bug": tracking})
    fields = {"state": "active", "machine": loan.machine, "handed_over_at": clock.now(), "due_at": LONG_HENCE}
    loan.delete()
    LoanerRequest.objects.filter(pk=number).update(**fields)
    request = LoanerRequest.objects.get(pk=number)
    lending.give_back(request, by=developer, op=ANOTHER_OP)
    reclaiming.reclaim(request, by=duty)
    request.steps.update(done_at=clock.now(), evidence="seen")
    finish(request, duty)
    assert dict(delivery.deliver(delivery.BUGS)) == {"sent": 3}
    cycle_done()
    for bug in (number, tracking):
        kept = bugzilla.world.bug(bug)
        assert (kept["status"], kept["resolution"]) == ("RESOLVED", "FIXED")
    request = LoanerRequest.objects.get(pk=number)
    assert (request.state, reclaiming.disagreement(request)) == ("returned", "")
    assert workflow.why_not_answer(request).startswith("This bug is closed")
