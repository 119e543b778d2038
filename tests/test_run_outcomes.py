"""What became of each piece of work: told to its bug as it was shown, and proposed to the change log (R33, R34)."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changelog.models import Change
from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import delivery
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State as OutboxState
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from ciduty.systems import models as systems
from downtimes import flag_writes, review
from downtimes.models import Item, Nomination
from downtimes.rules import NOMINATION_MOVES, ItemState, NominationState
from downtimes.run import bug_words, facts, finishing, outcome_changes, rules, working
from downtimes.run.closing import BY_HAND
from tests import downtime_stage, run_stage
from tests.cast import cycle_done, file
from tests.downtime_stage import op

pytestmark = pytest.mark.django_db

FLAG = "needs-treeclosure"
WORDS = "All switches answer."
ENDS = {"landed": ["start", "land"], "rolled back": ["start", "roll back"], "not done": ["leave"]}


@pytest.fixture(autouse=True)
def somebody_listens(settings):
    """The clock stands on a working morning; duty keeps the trees by hand; nothing is delivered unless a test does."""
    run_stage.morning()
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"
    with run_stage.trees_kept(settings, BY_HAND):
        yield


@pytest.fixture
def closed(people):
    """A downtime that runs, its trees closed."""
    return run_stage.closed(people)


def end(item, outcome, words=WORDS):
    """Let work end with an outcome, and return it."""
    for verb in ENDS[outcome]:
        item = working.do(item, verb, by=item.downtime.duty, words=words)
    return item


def shown(downtime):
    """Return what the form of the drafts sends."""
    return {draft.item.pk: draft.op for draft in bug_words.drafts(downtime)}


def tell(downtime, sent=None, by=None):
    return bug_words.tell(downtime, by=by or downtime.duty, shown=shown(downtime) if sent is None else sent)


def flag(status):
    return {"id": 7, "name": FLAG, "status": status, "set_at": "2026-03-03T09:00:00+00:00"}


# --- what a bug is told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "word", "status", "state"),
    [
        ("landed", "landed-and-stuck", "X", NominationState.DONE),
        ("rolled back", "rolled-back", "?", NominationState.REQUESTED),
        ("not done", "not done", "?", NominationState.REQUESTED),
    ],
)
def test_r33_a_bug_is_told_its_outcome_and_the_proposed_time_goes(closed, lead, outcome, word, status, state):
    item = closed.items.get()
    Bug.objects.filter(pk=item.bug_id).update(flags=[flag("+")])
    assert bug_words.drafts(closed) == []
    end(item, outcome)
    [draft] = bug_words.drafts(closed)
    rows = {name: (before, after) for name, before, after in draft.preview.rows}
    assert rows[f"Flag {FLAG}"] == ("+", "cleared" if status == "X" else status)
    [row] = tell(closed, by=lead)
    assert (row.op, row.state) == (draft.op, OutboxState.DUE)
    assert rows["Comment"][1] == f"{row.wants['comment']}\n\nref {row.op}", "it says what was shown"
    assert row.wants["comment"].startswith(f"{word}: this was ")
    assert row.wants["comment"].endswith(f"{WORDS}\n\nduty, CiDuty"), "signed by whose words they are"
    assert "2026-03-06 09:00 UTC" in row.wants["comment"]
    assert (row.wants["flags"], row.wants["token"]) == ([{"name": FLAG, "status": status}], "")
    item.refresh_from_db()
    assert item.update_id == row.pk and facts.work_of(closed)[0].bug_told
    nomination = item.nomination
    assert (nomination.state, nomination.flag_wanted, nomination.update_id) == (state, "", row.pk)
    assert flag_writes.may_still_go(row) is None
    entry = Entry.objects.of(closed.about).filter(verb="told a bug").get()
    assert (entry.by, entry.caused) == (lead, [str(row)]) and WORDS not in entry.sentence


def test_sent_twice_each_bug_is_told_once(closed):
    end(closed.items.get(), "landed")
    sent = shown(closed)
    assert [len(tell(closed, sent)) for _ in range(2)] == [1, 0]
    assert BugUpdate.objects.filter(purpose="downtimes: landed").count() == 1
    assert bug_words.drafts(closed) == []


def test_what_was_changed_after_it_was_shown_is_read_again_first(closed):
    item = end(closed.items.get(), "landed")
    sent = shown(closed)
    working.do(item, "take back", by=closed.duty)
    with pytest.raises(NotAllowed, match="An outcome was taken back after you looked: nothing was sent"):
        tell(closed, sent)
    end(item, "rolled back", "It did not boot.")
    with pytest.raises(NotAllowed, match=f"The outcome of bug {item.bug_id} was changed after you looked"):
        tell(closed, sent)
    with pytest.raises(NotAllowed, match="An outcome was taken back"):
        tell(closed, {10**9: "0a1b2c3d"})
    assert not BugUpdate.objects.filter(purpose__in=flag_writes.OUTCOMES).exists()
    assert len(tell(closed)) == 1


def test_only_what_is_sent_is_told(people, monkeypatch):
    closed = run_stage.closed(people)
    first = closed.items.get()
    second = downtime_stage.add_work(closed)
    for item in (first, second):
        end(item, "landed")
    ops = shown(closed)
    [row] = tell(closed, {second.pk: ops[second.pk]})
    assert row.bug_id == second.bug_id
    assert [draft.item.pk for draft in bug_words.drafts(closed)] == [first.pk]
    against = rules.refusals("tree open", facts.facts_of(closed, clock.now(), closed.duty))
    assert f"bug {first.bug_id} was not told its outcome yet: look at what is written, and send it." in against


def test_into_a_restricted_bug_goes_no_word_that_was_typed(closed):
    item = closed.items.get()
    end(item, "rolled back", "Something telling.")
    Bug.objects.filter(pk=item.bug_id).update(visibility=Visibility.RESTRICTED)
    [draft] = bug_words.drafts(closed)
    [row] = tell(closed)
    assert "Something telling." not in str(draft.preview.rows) + str(row.wants)
    assert row.wants["comment"].startswith("rolled-back in the tree-closing downtime: it waits for a decision again.")


def test_a_bug_that_ciduty_cannot_see_is_told_by_hand_and_then_counts_as_told(closed):
    item = end(closed.items.get(), "not done")
    Bug.objects.filter(pk=item.bug_id).update(not_visible_since=clock.now())
    [draft] = bug_words.drafts(closed)
    assert draft.preview is None
    assert draft.by_hand == (
        f"CiDuty’s account cannot see bug {item.bug_id}: tell it by hand, then say that it is told."
    )
    assert tell(closed) == []
    item.refresh_from_db()
    assert item.update_id == bug_words.BY_HAND and facts.work_of(closed)[0].bug_told
    assert item.nomination.state == NominationState.REQUESTED
    assert Entry.objects.of(closed.about).filter(verb="told a bug", sentence__contains="by hand").exists()


def test_words_that_bugzilla_would_refuse_are_told_by_hand_and_break_no_page(closed):
    end(closed.items.get(), "landed", "x" * 70_000)
    [draft] = bug_words.drafts(closed)
    assert draft.preview is None and draft.by_hand.startswith("Bugzilla would refuse it")
    assert tell(closed) == []


def test_what_landed_and_did_not_stick_is_told_anew_and_waits_again(closed):
    item = end(closed.items.get(), "landed")
    tell(closed)
    working.do(item, "roll back", by=closed.duty, words="It fell over an hour later.")
    against = rules.refusals("tree open", facts.facts_of(closed, clock.now(), closed.duty))
    assert any(f"bug {item.bug_id} was not told its outcome yet" in sentence for sentence in against)
    [row] = tell(closed)
    assert row.purpose == "downtimes: rolled back"
    assert Nomination.objects.get(pk=item.nomination_id).state == NominationState.REQUESTED
    first = BugUpdate.objects.get(purpose="downtimes: landed")
    assert flag_writes.may_still_go(first).for_good, "what was overtaken is not said"
    assert flag_writes.may_still_go(row) is None


def test_an_outcome_that_waits_for_a_person_does_not_undo_what_was_decided_since(closed, duty):
    item = end(closed.items.get(), "not done")
    [row] = tell(closed)
    nomination = Nomination.objects.get(pk=item.nomination_id)
    later = review.accept(nomination, by=duty, op=op(), title="Another window")
    assert flag_writes.may_still_go(row) is None, "its turn comes first"
    BugUpdate.objects.filter(pk=later.pk).update(state=OutboxState.ACCEPTED, accepted_at=clock.now())
    stop = flag_writes.may_still_go(row)
    assert "Something newer was decided" in stop.why and not stop.for_good


def test_over_is_over_and_nothing_is_told_any_more(closed):
    end(closed.items.get(), "landed")
    sent = shown(closed)
    type(closed).objects.filter(pk=closed.pk).update(state="done")
    with pytest.raises(NotAllowed, match="This downtime is over"):
        tell(closed, sent)


def test_a_bug_whose_work_is_done_may_be_asked_for_again():
    assert NOMINATION_MOVES.allow("ask again", NominationState.DONE)
    assert not NOMINATION_MOVES.allow("accept", NominationState.DONE)


def test_sixty_drafts_are_read_as_often_as_one(closed):
    def asked():
        with CaptureQueriesContext(connection) as queries:
            drafts = bug_words.drafts(closed)
        return len(drafts), len(queries)

    end(closed.items.get(), "landed")
    assert asked() == (1, 3)
    for _ in range(9):
        downtime_stage.add_work(closed)
    ended = {"state": ItemState.NOT_DONE, "ended_at": clock.now(), "outcome_by": closed.duty}
    Item.objects.filter(state=ItemState.PLANNED).update(**ended)
    assert asked() == (10, 3)


def test_bugzilla_takes_the_flag_the_comment_and_the_time_away(bugzilla, people, settings):
    bug = file(bugzilla, "Firmware", component="RelOps: Hardware", product="Infrastructure & Operations",
               flags=[{"name": FLAG, "status": "?"}])  # fmt: skip
    cycle_done()
    duty = people[Role.DUTY]
    nomination = Nomination.objects.get(bug_id=bug)
    review.accept(nomination, by=duty, op=op(), title="Switches in mdc1", words="")
    [item] = Item.objects.all()
    downtime, begun = item.downtime, clock.now()
    type(downtime).objects.filter(pk=downtime.pk).update(state="running", begun_at=begun, starts_at=begun, duty=duty)
    flag_writes.tell_time(run_stage.now(downtime), by=duty)
    assert dict(delivery.deliver(delivery.BUGS)) and "[downtime" in bugzilla.world.bug(bug)["whiteboard"]
    cycle_done()
    ended = {"state": ItemState.LANDED, "ended_at": begun, "outcome_by": duty, "outcome_words": WORDS}
    Item.objects.filter(pk=item.pk).update(**ended)
    [row] = tell(run_stage.now(downtime), by=duty)
    delivery.deliver(delivery.BUGS)
    row.refresh_from_db()
    there = bugzilla.world.bug(bug)
    assert (row.state, there["flags"]) == (OutboxState.ACCEPTED, [])
    assert "[downtime" not in there["whiteboard"]
    [*_, last] = bugzilla.world.db.execute("SELECT text FROM comments WHERE bug_id = ? ORDER BY id", [bug]).fetchall()
    assert last[0].startswith("landed-and-stuck: ") and WORDS in last[0]


# --- what the change log is told --------------------------------------------------------------------------------------


def finished(people, outcome="landed", **changed):
    """Return a downtime that ended with its one piece of work, told to everybody."""
    downtime = run_stage.closed(people)
    item = end(downtime.items.get(), outcome)
    if "visibility" in changed:
        Bug.objects.filter(pk=item.bug_id).update(visibility=changed["visibility"])
    run_stage.reopen(downtime)
    run_stage.steering.do_step(downtime, rules.Step.SHERIFF_AGREES, "Sheriff", by=downtime.duty)
    tell(downtime)
    letter = finishing.letter(run_stage.now(downtime), clock.now())
    return finishing.finish(downtime, by=downtime.duty, shown_sha256=finishing.sha256_of(letter))


def proposed(downtime):
    return Change.objects.filter(identity__startswith=f"ciduty:downtime:{downtime.pk}:bug:")


@pytest.mark.parametrize(
    ("outcome", "summary"),
    [("landed", "New firmware for the switches."), ("rolled back", "Rolled back: New firmware for the switches.")],
)
def test_r34_what_landed_and_what_was_rolled_back_waits_in_the_queue_of_changes(people, clients, outcome, summary):
    known = systems.named("hg.mozilla.org")
    downtime = finished(people, outcome)
    item = downtime.items.get()
    change = proposed(downtime).get()
    assert change.identity == outcome_changes.identity_of(downtime.pk, item.bug_id)
    assert (change.state, change.kind, change.summary) == ("proposed", "service", summary)
    assert (change.effective_at, change.bugs, change.system) == (item.ended_at, [item.bug_id], known)
    assert change.links[0]["url"].endswith(f"/downtimes/{downtime.pk}/")
    assert WORDS in change.message
    assert summary in clients[Role.DUTY].get("/changes/queue/").content.decode()
    outcome_changes.propose(downtime, clock.now())
    assert proposed(downtime).count() == 1
    own = Change.objects.get(identity=f"ciduty:downtime:{downtime.pk}")
    assert (own.summary, own.effective_at) == ("Downtime: Switches in mdc1", downtime.begun_at)


def test_what_was_not_done_changed_nothing(people):
    assert not proposed(finished(people, "not done")).exists()


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_a_bug_that_is_not_public_is_not_named_by_a_change_nor_are_its_words(people, visibility):
    downtime = finished(people, visibility=visibility)
    change = proposed(downtime).get()
    assert change.bugs == []
    said = f"{change.summary} {change.message}"
    assert said.strip() == "Work in the downtime “Switches in mdc1”"
    assert str(downtime.items.get().bug_id) not in said
