"""A downtime begins when nothing stands against it, is held, handed over and extended; each by its rule's number."""

from datetime import timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox.models import Incoming, IncomingKind, Mail
from ciduty.people.models import Person
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from ciduty.trees.models import Closure
from ciduty.trees.sandbox import Fault
from downtimes import announcing, telling, versions, windows
from downtimes.models import Downtime, Told
from downtimes.rules import LONGEST, State
from downtimes.run import beginning, closing, ownership, reopening, rules, steering, working
from downtimes.run.rules import Step
from tests import run_stage
from tests.cast import BugFactory
from tests.downtime_stage import op
from tests.run_stage import MINUTE, PATCH

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def morning(settings):
    """The clock stands on a working morning; duty keeps the trees by hand unless a test says otherwise."""
    run_stage.morning()
    settings.TREESTATUS_URL = ""


@pytest.fixture
def duty(people):
    """The duty person of every downtime here."""
    return people[Role.DUTY]


@pytest.fixture
def ready(people):
    """A downtime whose announced time has come, and against which nothing stands."""
    return run_stage.ready(people)


@pytest.fixture
def running(ready, duty):
    """A downtime that has just begun."""
    return beginning.begin(ready, by=duty)


def refused(verb, *args, **options):
    """Expect a verb to be refused, and return its sentence."""
    with pytest.raises(NotAllowed) as refusal:
        verb(*args, **options)
    return str(refusal.value)


def sentences(downtime, verb):
    """Return what the record says of a verb, the newest last."""
    return list(Entry.objects.filter(about=downtime.about, verb=verb).order_by("pk").values_list("sentence", flat=True))


def told(downtime, kind):
    """Return the mails of a kind, by recipient."""
    batches = downtime.announcements.filter(kind=kind).values("batch")
    return {mail.recipient: mail for mail in Mail.objects.filter(batch__in=batches)}


def text_of(mail):
    """Return the words of a mail as they are sent."""
    return bytes(mail.message).decode()


def reply(downtime):
    """Let somebody answer the announcement on a list."""
    mail = Mail.objects.filter(about=downtime.about).exclude(batch="").first()
    return Incoming.objects.create(
        kind=IncomingKind.REPLY, mail=mail, sender="release@example.com", subject="Re: downtime",
        received_at=clock.now(), sha256=op(),
    )  # fmt: skip


# --- begin ------------------------------------------------------------------------------------------------------------


def test_it_begins_once_and_keeps_how_the_trees_stood(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        run_stage.sheriff(sandbox, "mozilla-central", "approval required", "freeze", ["merges"])
        downtime = run_stage.ready(people, close="soft", trees=["mozilla-central", "autoland"], tracking_bug=1400123)
        first = beginning.begin(downtime, by=duty)
        assert beginning.begin(downtime, by=duty).begun_at == first.begun_at
    assert (first.state, first.planned_end) == (State.RUNNING, first.ends_at)
    assert first.reason == "Downtime: Switches in mdc1 (Bug 1400123)"
    assert sentences(first, "begin") == ["Began, with 2 trees to close"]
    rows = list(first.run_trees.values_list("name", "position", "only_message"))
    assert rows == [("autoland", 1, False), ("mozilla-central", 2, True)]
    before = first.run_trees.get(name="mozilla-central").before
    assert before.pop("log_id") and before == {
        "status": "approval required", "reason": "freeze", "tags": ["merges"], "motd": "",
    }  # fmt: skip


def test_r27_r28_r29_r13_everything_that_stands_against_it_is_said_at_once(people, ready):
    ready.run_steps.all().delete()
    reply(ready)
    beginning.hold(ready, by=people[Role.LEAD], because="Chemspill")
    Mail.objects.filter(batch__in=ready.announcements.filter(kind=Told.ANNOUNCEMENT).values("batch")).update(
        accepted_at=ready.starts_at - timedelta(hours=24) + SECOND
    )
    clock.move(-timedelta(minutes=10))
    said = refused(beginning.begin, ready, by=people[Role.LEAD])
    for part in [
        "less than 24 hours before the start", "no tree is closed before", "on hold", "1 reply came in",
        "sheriff was not told", "is the duty person of it",
    ]:  # fmt: skip
        assert part in said
    assert run_stage.now(ready).state == State.ANNOUNCED and not ready.run_trees.exists()


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda downtime: clock.move(downtime.ends_at - clock.now() + SECOND), "Its time is over"),
        (lambda downtime: Mail.objects.update(state="due"), "Not every mandatory list"),
        (lambda downtime: Downtime.objects.update(title="Another"), "ask them anew"),
        (lambda downtime: Downtime.objects.update(duty_confirmed_at=None), "has not confirmed"),
        (lambda downtime: Downtime.objects.update(trees=[]), "No tree is named"),
    ],
)
def test_the_gates_of_the_plan_stand_before_it_too(ready, duty, break_it, says):
    break_it(ready)
    assert says in refused(beginning.begin, run_stage.now(ready), by=duty)


def test_f56_f57_it_does_not_begin_while_nobody_knows_its_trees(settings, people, duty):
    with run_stage.trees_kept(settings, PATCH, names=["autoland"]) as sandbox:
        downtime = run_stage.ready(people)
        assert "No tree is called mozilla-central" in refused(beginning.begin, downtime, by=duty)
        sandbox.faults.add(Fault("html", status=500))
        run_stage.read(MINUTE)
        assert "is not known now: the tree status service was not read" in refused(beginning.begin, downtime, by=duty)


@pytest.mark.parametrize("state", [State.DRAFT, State.AGREEING, State.DONE, State.CANCELLED])
def test_only_what_was_announced_begins_is_held_or_is_taken_over(people, ready, duty, state):
    Downtime.objects.filter(pk=ready.pk).update(state=state)
    assert "only one that was announced begins" in refused(beginning.begin, ready, by=duty)
    assert "held back" in refused(beginning.hold, ready, by=duty, because="x")
    assert "goes ahead" in refused(beginning.go_ahead, ready, by=duty, because="x")
    assert "taken over" in refused(steering.take_over, ready, by=people[Role.LEAD])
    for step in Step:
        assert "Look at it as it is now" in refused(steering.do_step, ready, step, "Sheriff", by=duty)


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER])
def test_only_ciduty_runs_a_downtime(people, ready, role):
    by = people[role]
    end = ready.ends_at + MINUTE
    for said in [
        refused(beginning.begin, ready, by=by),
        refused(beginning.hold, ready, by=by, because="x"),
        refused(beginning.go_ahead, ready, by=by, because="x"),
        refused(steering.do_step, ready, Step.NORMAL, by=by),
        refused(steering.take_over, ready, by=by),
        refused(steering.extend, ready, by=by, because="x", ends_at=end, shown_end=ready.ends_at.isoformat()),
        refused(closing.close, ready, by=by, op=op()),
        refused(reopening.reopen, ready, by=by, op=op()),
    ]:
        assert "Only CiDuty" in said


# --- hold -------------------------------------------------------------------------------------------------------------


def test_r28_on_hold_it_does_not_begin_and_everyone_who_was_told_hears_of_it(people, ready, duty):
    lead = people[Role.LEAD]
    first = {address: message_id for address, message_id in telling.told(ready)}
    assert "Say why it is on hold" in refused(beginning.hold, ready, by=lead, because=" ")
    held = beginning.hold(ready, by=lead, because="A security fix is about to land.")
    assert beginning.hold(ready, by=lead, because="Again").held_because == "A security fix is about to land."
    mails = told(ready, Told.HOLD)
    assert {address: mail.in_reply_to for address, mail in mails.items()} == first and len(first) == 3
    text = text_of(mails["dev-planning@example.com"])
    assert "is on hold" in text and "A security fix is about to land." in text and "stay open" in text
    assert (held.sequence, held.revision) == (ready.sequence + 1, ready.revision + 1)
    assert "on hold" in refused(beginning.begin, ready, by=duty)
    assert "Say why it is going ahead" in refused(beginning.go_ahead, ready, by=lead, because="")
    free = beginning.go_ahead(ready, by=lead, because="The fix has landed.")
    assert beginning.go_ahead(ready, by=lead, because="Again").sequence == free.sequence
    assert (free.held_at, free.held_because, free.sequence) == (None, "", held.sequence + 1)
    mails = told(ready, Told.GO_AHEAD)
    assert {address: mail.in_reply_to for address, mail in mails.items()} == first
    assert "goes ahead" in text_of(mails["all@example.com"]) and "The fix has landed." in text_of(
        mails["all@example.com"]
    )
    assert [len(sentences(ready, verb)) for verb in ("hold", "go ahead")] == [1, 1]
    assert versions.is_current(versions.newest(free))
    assert beginning.begin(free, by=duty).state == State.RUNNING
    assert "held back" in refused(beginning.hold, free, by=lead, because="Too late")


def test_what_was_held_until_its_time_is_over_does_not_go_ahead(people, ready, duty):
    beginning.hold(ready, by=duty, because="A security fix.")
    clock.move(ready.ends_at - clock.now() + SECOND)
    assert "postpone it, or cancel it" in refused(beginning.go_ahead, ready, by=duty, because="The fix landed")
    assert run_stage.now(ready).held_at is not None and not told(ready, Told.GO_AHEAD)


# --- steps ------------------------------------------------------------------------------------------------------------


def test_r29_r32_a_sheriff_has_a_name_and_steps_have_their_time(ready, duty):
    for step in (Step.SHERIFF_TOLD, Step.SHERIFF_AGREES):
        if step in steering.WHEN and ready.state in steering.WHEN[step]:
            assert "sheriff’s name" in refused(steering.do_step, ready, step, " ", by=duty)
    for step in (Step.CHECKED, Step.SHERIFF_AGREES):
        assert "while it runs" in refused(steering.do_step, ready, step, "Sheriff", by=duty)
    steering.do_step(ready, Step.TOUCHED_BASE, "With the operations centre", by=duty)
    running = beginning.begin(ready, by=duty)
    for step in (Step.NORMAL, Step.TOUCHED_BASE, Step.SHERIFF_TOLD):
        assert "before it begins" in refused(steering.do_step, running, step, "Sheriff", by=duty)
    assert "sheriff’s name" in refused(steering.do_step, running, Step.SHERIFF_AGREES, by=duty)
    assert "close it, or leave it" in refused(steering.do_step, running, Step.SHERIFF_AGREES, "Sheriff", by=duty)
    assert "301 characters" in refused(steering.do_step, running, Step.CHECKED, "x" * 301, by=duty)
    assert "Sheriff" not in "".join(sentences(ready, Step.SHERIFF_TOLD))  # typed words stand with the step alone


def test_a_step_done_twice_is_written_once_and_done_anew_is_written_anew(people, running, duty):
    first = steering.do_step(running, Step.CHECKED, "All normal", by=duty)
    again = steering.do_step(running, Step.CHECKED, "All normal ", by=duty)
    assert (again.pk, again.at) == (first.pk, first.at) and len(sentences(running, Step.CHECKED)) == 1
    clock.move(MINUTE)
    anew = steering.do_step(running, Step.CHECKED, "The queues are longer", by=people[Role.LEAD])
    assert anew.pk == first.pk and anew.at > first.at and anew.by == people[Role.LEAD]


def test_r28_replies_are_read_until_nobody_has_written_since(running, duty):
    reply(running)
    first = steering.do_step(running, Step.REPLIES_READ, by=duty)
    assert steering.do_step(running, Step.REPLIES_READ, by=duty).at == first.at
    clock.move(MINUTE)
    reply(running)
    assert steering.do_step(running, Step.REPLIES_READ, by=duty).at > first.at


# --- hand-over --------------------------------------------------------------------------------------------------------


def test_r13_the_run_is_handed_over_before_and_while_it_runs_and_what_was_agreed_stays(people, ready, duty):
    lead = people[Role.LEAD]
    steering.take_over(ready, by=lead, words="The sheriff was told; the racks are not.")
    taken = steering.take_over(ready, by=lead)
    assert (taken.duty, taken.revision) == (lead, ready.revision + 1) and taken.duty_confirmed_at > ready.made_at
    assert sentences(ready, rules.HANDED_OVER) == ["Took the run over from duty"]
    assert ready.run_steps.get(step=rules.HANDED_OVER).words == "The sheriff was told; the racks are not."
    assert versions.is_current(versions.newest(taken))
    assert "lead is the duty person" in refused(beginning.begin, taken, by=duty)
    running = beginning.begin(taken, by=lead)
    assert steering.take_over(running, by=duty).duty == duty
    assert not ready.run_steps.filter(step=rules.HANDED_OVER).exists()
    assert closing.close(running, by=lead, op=op())  # anybody of CiDuty helps; the duty person answers for it


# --- extension --------------------------------------------------------------------------------------------------------


def extend(downtime, ends_at, *, by, because="A power supply failed.", shown=None):
    """Extend a downtime as a form does that showed its end."""
    return steering.extend(
        downtime, by=by, because=because, ends_at=ends_at, shown_end=shown or downtime.ends_at.isoformat()
    )


def test_an_extension_tells_everyone_and_moves_the_end_of_closures_once(running, duty):
    closing.close(running, by=duty, op=op())
    first = running.ends_at
    later = first + timedelta(minutes=30)
    clock.move(first - clock.now() + timedelta(minutes=5))  # overdue already
    assert rules.is_overdue(first, clock.now())
    longer = extend(running, later, by=duty)
    assert extend(running, later, by=duty).sequence == longer.sequence  # sent twice
    assert (longer.ends_at, longer.planned_end, longer.sequence) == (later, first, running.sequence + 1)
    mails = told(running, Told.EXTENSION)
    assert len(mails) == 3 and all(mail.in_reply_to for mail in mails.values())
    text = text_of(mails["dev-planning@example.com"])
    assert "takes longer than planned" in text and "A power supply failed." in text
    assert f"{first:%H:%M} UTC" in text and f"{later:%H:%M} UTC" in text
    assert set(Closure.objects.values_list("expected_end", flat=True)) == {later}
    assert not rules.is_overdue(longer.ends_at, clock.now())
    latest = extend(longer, later + MINUTE, by=duty)
    assert latest.planned_end == first and len(sentences(running, "extend")) == 2


def test_an_extension_has_a_reason_and_an_end_that_comes_later_and_not_too_late(running, duty):
    end = running.ends_at
    latest = running.begun_at + LONGEST
    assert "Say why it is extended" in refused(extend, running, end + MINUTE, by=duty, because=" ")
    assert "is over already" in refused(extend, running, clock.now() - MINUTE, by=duty)
    assert "already: TREE OPEN ends it earlier" in refused(extend, running, end - MINUTE, by=duty)
    assert "3 days at the most" in refused(extend, running, latest + SECOND, by=duty)
    assert "Somebody else moved its end" in refused(extend, running, end + MINUTE, by=duty, shown="2026-03-06T09:00Z")
    assert "no longer whole" in refused(extend, running, end + MINUTE, by=duty, shown="tomorrow")
    assert not told(running, Told.EXTENSION)
    assert extend(running, latest, by=duty, shown=f"{end:%Y-%m-%dT%H:%MZ}").ends_at == latest


def test_an_outage_of_which_nobody_knew_the_end_gets_one(running, duty):
    Downtime.objects.filter(pk=running.pk).update(ends_at=None, planned_end=None, kind="unplanned")
    end = clock.now() + timedelta(hours=1)
    longer = steering.extend(running, by=duty, because="Power is back soon.", ends_at=end, shown_end="")
    assert (longer.ends_at, longer.planned_end) == (end, end)
    assert sentences(running, "extend")[0].startswith("Extended to ")


@pytest.mark.parametrize("fields", [{"trees": ["try"]}, {"close": "soft"}, {"ends_at": LONGEST}, {"title": "Another"}])
def test_r29_of_another_window_or_other_trees_the_sheriff_is_told_anew(ready, duty, fields):
    if "ends_at" in fields:
        fields = {"ends_at": ready.ends_at + MINUTE}
    windows.edit(ready, fields, by=duty, revision=ready.revision)
    assert ready.run_steps.filter(step=Step.SHERIFF_TOLD).exists() == ("title" in fields)


def test_words_for_everybody_name_no_private_bug_but_those_of_its_work(ready, duty):
    private = BugFactory(visibility=Visibility.RESTRICTED, is_loaner_request=False).pk
    own = ready.items.get().bug_id
    Bug.objects.filter(pk=own).update(visibility=Visibility.RESTRICTED)
    against, because = f"Bug {private} is not public", f"The hole of bug {private} is open"
    assert against in refused(beginning.hold, ready, by=duty, because=because)
    beginning.hold(ready, by=duty, because=f"Bug {own} is not ready.")
    assert against in refused(beginning.go_ahead, ready, by=duty, because=because)
    assert against in refused(announcing.cancel, ready, by=duty, because=because)
    Bug.objects.filter(pk=own).update(visibility=Visibility.PUBLIC)
    beginning.go_ahead(ready, by=duty, because="It is ready.")
    running = beginning.begin(ready, by=duty)
    assert against in refused(extend, running, running.ends_at + MINUTE, by=duty, because=because)
    settled = closing.close(running, by=duty, op=op())[0].name
    run_stage.reopen(run_stage.work(running))
    assert against in refused(ownership.leave, running, settled, by=duty, because=because)


def test_postponing_forgets_who_was_told_of_the_start(ready, duty):
    assert "only while it runs" in refused(extend, ready, ready.ends_at + MINUTE, by=duty)
    starts_at = clock.now() + timedelta(days=3)
    announcing.postpone(
        ready, by=duty, because="The racks are late.", starts_at=starts_at, ends_at=starts_at + timedelta(hours=3),
        revision=ready.revision,
    )  # fmt: skip
    assert not ready.run_steps.exists()
    worker = Person.objects.get(username="worker")
    assert not working.does_work_in(run_stage.now(ready), worker)  # nobody was told of what is planned now
    Downtime.objects.update(state=State.ANNOUNCED)
    assert working.does_work_in(run_stage.now(ready), worker)
