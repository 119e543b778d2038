"""Publishing: each verb in each state, what everybody knows then, and that nothing private gets out on the way."""

from datetime import timedelta

import pytest
from django.db import connection

from changelog import confidential, index, rules, store, workflow
from changelog.models import BugOfChange, Change, DayCount, PublicVersion, Revision, Source
from changelog.proposals import LandedAt, Proposal
from changelog.rules import MOVES, State
from ciduty import clock
from ciduty.bugzilla.models import Bug, MirrorStamp, Visibility
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from tests.cast import A_MORNING, BugFactory, at_once

pytestmark = pytest.mark.django_db

CANARY = "kestrel"
WORDS = "Maintenance of a worker image."
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


def source_of(name="build-puppet", **fields):
    return Source.objects.get_or_create(name=name, defaults={"kind": "git"} | fields)[0]


def proposed(summary="Bump the worker image", *, number=1, source=None, **facts):
    """Return a proposal that a source told of."""
    identity = facts.pop("identity", f"git:{number:040x}")
    facts = {"message": summary, "authored_at": A_MORNING + timedelta(minutes=number)} | facts
    store.store([Proposal(identity=identity, **facts)], source=source or source_of(), at=clock.now())
    return Change.objects.get(identity=identity)


def in_state(state, duty, *, number=1, was_public=True):
    """Return a change in a state, as its verbs lead there."""
    change = proposed(number=number, summary=f"{CANARY} {number}")
    if state == State.PROPOSED:
        return change
    if was_public:
        workflow.publish(change, duty)
    if state == State.HELD:
        workflow.hold(change, duty)
    elif state == State.WITHDRAWN and was_public:
        workflow.withdraw(change, duty, "It was another image.")
    elif state == State.WITHDRAWN:
        workflow.dismiss(change, duty)
    return change


def do(verb, change, by):
    names = {"take back": workflow.take_back}
    verbs = {"withdraw": lambda: workflow.withdraw(change, by, "It was another image.")}
    verbs.get(verb, lambda: (names.get(verb) or getattr(workflow, verb))(change, by))()


def private_bug(number=1400123, visibility=Visibility.RESTRICTED):
    return BugFactory(id=number, visibility=visibility).pk


def turn(bug, visibility):
    """Let the mirror see a bug turn private or public, as the poll does, and the log follow it."""
    MirrorStamp.objects.get_or_create(pk=1)
    stamp = MirrorStamp.objects.get(pk=1).value + 1
    MirrorStamp.objects.update(value=stamp)
    Bug.objects.filter(pk=bug).update(visibility=visibility, stamp=stamp)
    confidential.follow()


def counted():
    """Return how many changes the public counts, which a recount must give too."""
    counts = {row.facet: row.count for row in DayCount.objects.exclude(count=0)}
    recount = {}
    for change in Change.objects.public():
        for facet, _ in index._counted(change):
            recount[facet] = recount.get(facet, 0) + 1
    sums = {}
    for row in DayCount.objects.all():
        sums[row.facet] = sums.get(row.facet, 0) + row.count
    assert {facet: count for facet, count in sums.items() if count} == recount
    return counts.get("", 0)


# --- every state, every verb ------------------------------------------------------------------------------------------


STATES = [(state, was_public) for state in State for was_public in (True, False)]
STATES = [(s, w) for s, w in STATES if not (s == State.PROPOSED and w) and not (s == State.PUBLISHED and not w)]


@pytest.mark.parametrize("verb", list(MOVES))
@pytest.mark.parametrize(("state", "was_public"), STATES)
def test_each_verb_in_each_state_does_what_the_rule_allows_and_else_nothing(duty, state, was_public, verb):
    change = in_state(state, duty, was_public=was_public)
    before, entries = Change.objects.values().get(), Entry.objects.count()
    refusal = rules.why_not(verb, state, change.published_at, clock.now())
    if refusal:
        with pytest.raises(NotAllowed) as problem:
            do(verb, change, duty)
        assert str(problem.value) == refusal
        assert Change.objects.values().get() == before and Entry.objects.count() == entries
    else:
        do(verb, change, duty)
        assert change.state == MOVES.target(verb) == Change.objects.get().state
        newest = Entry.objects.latest("pk")
        assert (newest.about, newest.verb, newest.by) == (change.about, verb, duty)
        seen = change.state == State.PUBLISHED or (change.state == State.WITHDRAWN and was_public)
        assert change.is_public is seen is (counted() == 1)


def test_done_twice_it_is_one_act_and_the_second_hears_how_it_stands(duty, lead):
    change = proposed()
    workflow.publish(change, duty, impact="Tests run slower")
    with pytest.raises(NotAllowed, match="It is published by now"):
        workflow.publish(change, lead, impact="Nothing to see")
    change.refresh_from_db()
    assert (change.impact, change.published_by) == ("Tests run slower", duty)
    assert Entry.objects.filter(verb="publish").count() == 1


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time: only PostgreSQL can race")
@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_publish_once_and_one_of_them_hears_it(people):
    duty, lead = list(people.values())[-2:]
    change = proposed()

    def act(by, verb):
        def run():
            try:
                do(verb, Change.objects.get(pk=change.pk), by)
            except NotAllowed as problem:
                return str(problem)
            return "done"

        return run

    said = at_once([act(duty, "publish"), act(lead, "publish"), act(lead, "dismiss")])
    assert said.count("done") == 1
    assert all(one == "done" or one.startswith("It is ") for one in said)
    assert Entry.objects.count() == 1


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time: only PostgreSQL can race")
@pytest.mark.django_db(transaction=True)
def test_selections_that_overlap_never_lock_each_other_out(people):
    duty, lead = list(people.values())[-2:]
    for number in range(0, 20, 4):
        # The newest has the lowest number: who carries the words is not who is locked last.
        changes = [proposed(number=number + one + 1, authored_at=A_MORNING - one * MINUTE) for one in range(3)]
        said = at_once([
            lambda by=by, chosen=chosen: _as_one(chosen, by)
            for by, chosen in ((duty, changes), (lead, changes[::-1][:2]), (lead, changes[:2]))
        ])  # fmt: skip
        assert sorted(said) == ["done", "refused", "refused"]


def _as_one(changes, by):
    try:
        workflow.publish_as_one(changes, by, summary="All of it")
    except NotAllowed:
        return "refused"
    return "done"


# --- words ------------------------------------------------------------------------------------------------------------


def test_it_is_published_with_its_line_and_a_source_does_not_overwrite_that(duty):
    change = proposed("bump  image\nr=somebody", number=7)
    workflow.publish(change, duty, summary=" New worker\u00a0image ", impact="Builds wait for 5 minutes")
    assert (change.summary, change.impact) == ("New worker image", "Builds wait for 5 minutes")
    assert change.published_by == duty and change.revision == 1
    proposed("bump image again", number=7)
    change.refresh_from_db()
    assert change.summary == "New worker image" and change.message == "bump image again"


def test_none_leaves_a_text_and_an_empty_summary_is_refused(duty):
    change = proposed()
    with pytest.raises(NotAllowed, match="at least one line"):
        workflow.publish(change, duty, summary="  ")
    workflow.publish(change, duty)
    assert (change.summary, change.impact, change.revision, change.by_hand) == ("Bump the worker image", "", 0, [])


def test_what_nobody_read_is_not_published(duty):
    change = proposed(number=3)
    proposed("Delete every worker", number=3)  # its source corrects it meanwhile
    with pytest.raises(NotAllowed, match="It reads otherwise than what you saw"):
        workflow.publish(change, duty, seen_revision=change.revision)
    change.refresh_from_db()
    assert change.state == State.PROPOSED
    workflow.publish(change, duty, seen_revision=change.revision)
    assert change.is_public


def test_a_bug_that_is_typed_into_the_words_is_one_of_its_bugs(duty):
    change = proposed()
    workflow.publish(change, duty, summary="Bump the image (bug 1899999)")
    assert change.bugs == [1899999] and " bug:1899999 " in change.terms
    assert [row.bug_id for row in BugOfChange.objects.all()] == [1899999]


# --- bugs that are not public -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("visibility", [Visibility.RESTRICTED, Visibility.STAFF])
def test_a_bug_that_is_not_public_needs_words_that_a_person_typed(duty, visibility):
    bug = private_bug(visibility=visibility)
    change = proposed(f"Bug {bug} - {CANARY}")
    for words in (None, "", " "):
        with pytest.raises(NotAllowed, match=f"It names bug {bug}, which is not public: word it for everybody"):
            workflow.publish(change, duty, public_summary=words)
    assert workflow.needs_words(change) and workflow.confidential_bugs(change) == {bug}
    workflow.publish(change, duty, public_summary=WORDS)
    assert change.is_public and change.public_summary == WORDS
    assert CANARY not in change.words and str(bug) not in change.words + change.terms
    assert not workflow.needs_words(change)


def test_words_for_everybody_do_not_name_the_bug_nor_does_the_line_of_impact(duty):
    bug = private_bug()
    change = proposed(f"Bug {bug} - {CANARY}")
    for typed in ({"public_summary": f"Work for #{bug}"}, {"public_summary": WORDS, "impact": f"see {bug}"}):
        with pytest.raises(NotAllowed, match=f"they name bug {bug}, which is not public"):
            workflow.publish(change, duty, **typed)
    with pytest.raises(NotAllowed, match="word it for everybody"):  # a line that names another one
        workflow.publish(proposed(number=2), duty, impact=f"As in bug {bug}")
    assert not Change.objects.public().exists()


def test_a_line_of_impact_that_its_source_told_is_not_shown_beside_other_words(duty):
    change = proposed(f"Bug {private_bug()}", impact=f"The {CANARY} stands still")
    workflow.publish(change, duty, public_summary=WORDS)
    assert change.impact == ""


def test_the_same_words_are_typed_again_for_another_bug(duty):
    first, second = private_bug(1400123), BugFactory(id=1400124).pk
    change = proposed(f"Bug {first}, bug {second} - {CANARY}")
    workflow.publish(change, duty, public_summary=WORDS)
    turn(second, Visibility.RESTRICTED)
    change.refresh_from_db()
    assert not change.is_public and workflow.needs_words(change)
    with pytest.raises(NotAllowed, match="bug 1400123, bug 1400124, which are not public"):
        workflow.word(change, duty, public_summary="")
    workflow.word(change, duty, public_summary=WORDS)
    assert change.is_public and change.confirmed_for == [first, second]


def test_words_of_an_earlier_bug_do_not_publish_what_names_another_one(duty):
    first, second = private_bug(1400123), BugFactory(id=1400124).pk
    change = proposed(f"Bug {first}, bug {second} - {CANARY}")
    workflow.publish(change, duty, public_summary=WORDS)
    workflow.take_back(change, duty)
    turn(second, Visibility.STAFF)
    change.refresh_from_db()
    with pytest.raises(NotAllowed, match="word it for everybody"):
        workflow.publish(change, duty)
    workflow.publish(change, duty, public_summary=WORDS)
    assert change.is_public


def test_a_bug_that_turns_private_takes_its_changes_from_the_public_at_once(duty):
    bug = BugFactory(id=1400123).pk
    change, other = proposed(f"Bug {bug} - {CANARY}"), proposed(number=2)
    workflow.publish(change, duty)
    workflow.publish(other, duty)
    assert counted() == 2 and CANARY in change.words
    turn(bug, Visibility.RESTRICTED)
    change.refresh_from_db()
    assert (change.state, change.is_public) == (State.PUBLISHED, False)
    assert CANARY not in change.words and f"bug:{bug}" not in change.terms and counted() == 1
    confidential.follow()
    assert counted() == 1  # it does not come back by itself
    workflow.word(change, duty, public_summary=WORDS, impact="None")
    assert change.is_public and change.words == "maintenance of a worker image none"
    assert Entry.objects.filter(about=change.about, verb="word", by=duty).count() == 1
    turn(bug, Visibility.PUBLIC)
    change.refresh_from_db()
    assert change.is_public and CANARY in change.words


def test_of_many_bugs_that_turned_private_in_one_poll_none_is_missed(duty, monkeypatch):
    monkeypatch.setattr(confidential, "AT_ONCE", 2)
    bugs = [BugFactory(id=1400100 + number, stamp=0).pk for number in range(5)]
    for number, bug in enumerate(bugs):
        workflow.publish(proposed(f"Bug {bug}", number=number), duty)
    Bug.objects.filter(pk__in=bugs).update(visibility=Visibility.RESTRICTED, stamp=7)  # one stamp for all of one answer
    confidential.follow()
    assert not Change.objects.public().exists() and counted() == 0


def test_a_rule_publishes_what_a_source_tells_and_words_are_still_waited_for(duty):
    rule, bug = source_of("autoland", publishes=True), private_bug()
    change, private = proposed(source=rule), proposed(f"Bug {bug} - {CANARY}", number=2, source=rule)
    assert (change.state, change.is_public, change.published_by) == (State.PUBLISHED, True, None)
    assert (private.state, private.is_public) == (State.PUBLISHED, False)
    clock.move(timedelta(hours=2))
    with pytest.raises(NotAllowed, match="It is published by now"):
        workflow.publish(private, duty, public_summary=WORDS)
    published_at = private.published_at
    workflow.word(private, duty, public_summary=WORDS)
    assert private.is_public and private.published_by == duty
    assert private.published_at - published_at >= timedelta(hours=2)  # nobody outside heard of it before
    with pytest.raises(NotAllowed, match="It has its words already"):
        workflow.word(private, duty, public_summary="Others")


# --- undo -------------------------------------------------------------------------------------------------------------


def test_a_publication_is_undone_within_ten_minutes_and_leaves_no_trace_outside(duty):
    change = proposed()
    workflow.publish(change, duty, impact="Builds wait")
    workflow.correct(change, duty, change.revision, impact="Builds wait long")
    clock.move(rules.UNDO_WITHIN - 30 * SECOND)
    workflow.take_back(change, duty)
    assert (change.state, change.published_at, change.is_public) == (State.PROPOSED, None, False)
    assert counted() == 0 and not Revision.objects.filter(is_public=True).exists()
    assert change.impact == "Builds wait long"  # what was typed waits in the queue


def test_later_it_is_withdrawn_with_a_reason_and_stays_there(duty):
    change = proposed()
    workflow.publish(change, duty)
    clock.move(rules.UNDO_WITHIN + 30 * SECOND)
    with pytest.raises(NotAllowed, match="more than 10 minutes"):
        workflow.take_back(change, duty)
    with pytest.raises(NotAllowed, match="Say why it is withdrawn"):
        workflow.withdraw(change, duty, " \n ")
    workflow.withdraw(change, duty, "It was another\nimage.")
    assert (change.because, change.is_public, counted()) == ("It was another image.", True, 1)


def test_the_reason_of_a_withdrawal_names_no_bug_that_is_not_public(duty):
    bug, change = private_bug(), proposed()
    workflow.publish(change, duty)
    with pytest.raises(NotAllowed, match=f"they name bug {bug}"):
        workflow.withdraw(change, duty, f"See bug {bug}")
    assert change.state == State.PUBLISHED


def test_what_is_held_is_gone_with_its_former_words_and_comes_back_without_them(duty):
    change = proposed(CANARY)
    workflow.publish(change, duty)
    workflow.correct(change, duty, change.revision, summary="A worker image")
    assert Revision.objects.get().is_public
    version = PublicVersion.objects.get().value
    workflow.hold(change, duty, "It tells too much")
    assert (change.is_public, counted(), change.because) == (False, 0, "It tells too much")
    assert not Revision.objects.get().is_public
    assert PublicVersion.objects.get().value > version  # every cached answer is asked anew
    workflow.release(change, duty)
    assert (change.state, change.because, change.published_at) == (State.PROPOSED, "", None)
    workflow.publish(change, duty)
    assert change.is_public and not Revision.objects.filter(is_public=True).exists()


def test_what_was_withdrawn_is_held_too_for_its_words_still_stand_there(duty):
    change = in_state(State.WITHDRAWN, duty)
    assert change.is_public
    workflow.hold(change, duty)
    assert not change.is_public and counted() == 0


# --- as one -----------------------------------------------------------------------------------------------------------


def a_push(*, numbers=(1, 2, 3), **facts):
    at = A_MORNING
    return [
        proposed(f"Part {number} of bug {1500000 + number}", number=number, pools=(f"gecko-t/{number}",),
                 landings=(LandedAt("autoland", at, push_id="88"),), **facts)
        for number in numbers
    ]  # fmt: skip


def test_several_are_published_as_one_which_is_found_by_what_its_parts_name(duty):
    changes = a_push()
    lead = workflow.publish_as_one(changes, duty, summary="New images", impact="None")
    assert lead.pk == changes[-1].pk and (lead.summary, lead.impact, lead.is_public) == ("New images", "None", True)
    parts = list(lead.parts.order_by("pk"))
    assert [part.pk for part in parts] == [one.pk for one in changes[:2]]
    assert {(part.state, part.is_public) for part in parts} == {(State.PUBLISHED, False)}
    assert set(lead.bugs) == {1500001, 1500002, 1500003} and " pool:gecko-t/1 " in lead.terms
    assert set(BugOfChange.objects.filter(change=lead).values_list("bug_id", flat=True)) == set(lead.bugs)
    assert counted() == 1 and not Change.objects.waiting().exists()
    changes_told_again = a_push()
    assert {one.pk for one in changes_told_again} == {one.pk for one in changes}
    lead.refresh_from_db()
    assert (lead.summary, len(lead.bugs), lead.revisions.count()) == ("New images", 3, 1)


@pytest.mark.parametrize("verb", ["take back", "hold and release"])
def test_taken_apart_each_is_as_it_was_before(duty, verb):
    changes = a_push()
    facts = ("summary", "impact", "bugs", "pools", "platforms", "repositories", "by_hand", "terms", "part_of_id")
    before = list(Change.objects.order_by("pk").values(*facts))
    lead = workflow.publish_as_one(changes, duty, summary="New images", impact="None")
    if verb == "take back":
        workflow.take_back(lead, duty)
    else:
        workflow.hold(lead, duty)
        assert set(Change.objects.values_list("state", flat=True)) == {State.HELD}
        workflow.release(lead, duty)
    assert list(Change.objects.order_by("pk").values(*facts)) == before
    assert Change.objects.waiting().count() == 3 and counted() == 0
    assert BugOfChange.objects.count() == 3


def test_what_was_corrected_meanwhile_stays_when_it_is_taken_apart(duty):
    lead = workflow.publish_as_one(a_push(), duty, summary="New images")
    workflow.correct(lead, duty, lead.revision, summary="Newer images")
    workflow.take_back(lead, duty)
    assert lead.summary == "Newer images" and lead.by_hand == ["summary"] and lead.bugs == [1500003]


def test_as_one_nothing_is_published_when_one_of_them_cannot_be(duty):
    changes = a_push()
    workflow.dismiss(changes[0], duty)
    with pytest.raises(NotAllowed, match="It is withdrawn by now"):
        workflow.publish_as_one(changes, duty, summary="New images")
    with pytest.raises(NotAllowed, match="1 chosen, and from 2 to 100"):
        workflow.publish_as_one(changes[:1], duty, summary="New images")
    with pytest.raises(NotAllowed, match="It reads otherwise"):
        workflow.publish_as_one(changes[1:], duty, summary="New images", seen_revisions={changes[1].pk: 9})
    assert not Change.objects.filter(state=State.PUBLISHED).exists() and counted() == 0


def test_as_one_a_private_bug_of_any_part_asks_for_words(duty):
    bug = private_bug(1500001)
    changes = a_push()
    with pytest.raises(NotAllowed, match=f"bug {bug}, which is not public"):
        workflow.publish_as_one(changes, duty, summary=f"All of {CANARY}")
    lead = workflow.publish_as_one(changes, duty, summary=f"All of {CANARY}", public_summary=WORDS)
    assert lead.is_public and CANARY not in lead.words


def test_a_part_is_held_alone_and_the_rest_is_taken_back_without_it(duty):
    lead = workflow.publish_as_one(a_push(), duty, summary="New images")
    part = lead.parts.first()
    workflow.hold(part, duty)
    workflow.take_back(lead, duty)
    assert Change.objects.waiting().count() == 2
    workflow.release(part, duty)
    assert Change.objects.waiting().count() == 3


# --- corrections ------------------------------------------------------------------------------------------------------


def test_a_correction_is_a_revision_that_everybody_sees_and_a_source_leaves_it(duty):
    change = proposed(number=5)
    workflow.publish(change, duty)
    assert workflow.correct(change, duty, change.revision, because="Wrong pool", kind="hardware", pools=["gecko-t/win"])
    revision = Revision.objects.get()
    assert revision.before == {"kind": "image", "pools": []}
    assert revision.after == {"kind": "hardware", "pools": ["gecko-t/win"]}
    assert (revision.is_public, revision.by, revision.because) == (True, duty, "Wrong pool")
    assert change.by_hand == ["kind", "pools"] and " pool:gecko-t/win " in change.terms and counted() == 1
    assert Entry.objects.get(verb="correct").sentence == f"Corrected change {change.pk}: kind, pools."


def test_nobodys_correction_is_overwritten_unseen_and_sent_twice_it_is_one(duty, lead):
    change = proposed()
    seen = change.revision
    assert workflow.correct(change, duty, seen, kind="hardware")
    assert not workflow.correct(change, duty, seen, kind="hardware")
    with pytest.raises(NotAllowed, match="Somebody corrected it while you wrote"):
        workflow.correct(change, lead, seen, kind="service")
    change.refresh_from_db()
    assert change.kind == "hardware" and Revision.objects.count() == 1


def test_former_words_that_must_not_be_seen_are_hidden_with_all_before_them(duty):
    change = proposed()
    workflow.publish(change, duty)
    workflow.correct(change, duty, change.revision, summary=CANARY)
    workflow.correct(change, duty, change.revision, hide_former=True, summary="A worker image")
    assert not Revision.objects.filter(is_public=True).exists() and Revision.objects.count() == 2
    workflow.correct(change, duty, change.revision, hide_former=True)
    assert Entry.objects.latest("pk").sentence == f"Hid the former words of change {change.pk}."


def test_the_moment_it_took_effect_moves_it_in_the_log(duty):
    change = proposed()
    workflow.publish(change, duty)
    workflow.correct(change, duty, change.revision, effective_at=A_MORNING - timedelta(days=2), effective_offset=120)
    assert change.at == A_MORNING - timedelta(days=2) and counted() == 1
    workflow.correct(change, duty, change.revision, effective_at=None, effective_offset=0)
    assert change.at == A_MORNING + MINUTE == change.authored_at


def test_a_private_bug_that_the_message_names_is_not_left_out(duty):
    bug = private_bug()
    change = proposed(f"Bug {bug} - {CANARY}")
    workflow.publish(change, duty, public_summary=WORDS)
    with pytest.raises(NotAllowed, match=f"Its message names bug {bug}.*everybody would read the message"):
        workflow.correct(change, duty, change.revision, bugs=[])
    change.refresh_from_db()
    assert change.bugs == [bug] and CANARY not in change.words


def test_words_about_a_private_bug_never_become_public_history(duty):
    bug = private_bug()
    change = proposed("Bump the image", bugs=(bug,))
    workflow.publish(change, duty, public_summary=WORDS)
    workflow.correct(change, duty, change.revision, summary=f"{CANARY} one")
    workflow.correct(change, duty, change.revision, summary="Bump the image", bugs=[])
    assert change.is_public and change.hidden_bugs == []
    assert Revision.objects.count() == 2 and not Revision.objects.filter(is_public=True).exists()


def test_words_that_were_public_before_the_bug_turned_private_do_not_come_back_without_it(duty):
    bug = BugFactory(id=1400123).pk
    change = proposed("Bump the image", bugs=(bug,))
    workflow.publish(change, duty, summary=CANARY)
    workflow.correct(change, duty, change.revision, summary="Bump the image")
    assert Revision.objects.get().is_public
    turn(bug, Visibility.RESTRICTED)
    workflow.word(change, duty, public_summary=WORDS)
    workflow.correct(change, duty, change.revision, bugs=[])
    assert change.is_public and not Revision.objects.filter(is_public=True).exists()


def test_a_correction_brings_no_private_bug_into_what_everybody_reads(duty):
    bug, change = private_bug(), proposed()
    workflow.publish(change, duty)
    for typed in ({"bugs": [bug]}, {"impact": f"See bug {bug}"}, {"summary": f"Bug {bug}"}):
        with pytest.raises(NotAllowed, match=f"bug {bug}"):
            workflow.correct(change, duty, change.revision, **typed)
    with pytest.raises(NotAllowed, match=f"bug {bug}"):
        workflow.correct(change, duty, change.revision, because=f"Bug {bug} says so", kind="hardware")
    assert workflow.correct(change, duty, change.revision, bugs=[bug], public_summary=WORDS)
    assert change.is_public and change.hidden_bugs == [bug]


def test_a_correction_can_bring_the_words_that_a_rule_did_not_have(duty):
    change = proposed(f"Bug {private_bug()} - {CANARY}", source=source_of("autoland", publishes=True))
    workflow.correct(change, duty, change.revision, kind="hardware")
    assert not change.is_public
    workflow.correct(change, duty, change.revision, public_summary=WORDS)
    assert change.is_public and change.published_by == duty and CANARY not in change.words


# --- what other apps propose; the record ------------------------------------------------------------------------------


def test_a_proposal_told_twice_is_one_and_the_record_says_so_once(duty):
    told = Proposal(identity="ciduty:downtime:7", message="Switches in mdc1", kind="downtime")
    first, again = workflow.propose(told, by=duty), workflow.propose(told, by=duty)
    assert first.pk == again.pk and (first.state, first.proposed_by) == (State.PROPOSED, duty)
    assert [entry.sentence for entry in Entry.objects.all()] == [f"Proposed change {first.pk}."]


def test_the_record_holds_no_word_of_a_change(duty):
    bug = private_bug()
    change = proposed(f"Bug {bug} - {CANARY}", impact=CANARY, author=CANARY)
    workflow.publish(change, duty, public_summary="A marten", impact="An otter")
    workflow.correct(change, duty, change.revision, summary="A heron", because="A stoat")
    workflow.withdraw(change, duty, "A weasel")
    workflow.restore(change, duty)
    workflow.hold(change, duty, "A ferret")
    workflow.release(change, duty)
    workflow.dismiss(change, duty)
    workflow.reopen(change, duty)
    written = " ".join(f"{entry.sentence} {entry.before} {entry.after}" for entry in Entry.objects.all()).lower()
    assert Entry.objects.count() == 8
    for word in (CANARY, "marten", "otter", "heron", "stoat", "weasel", "ferret", str(bug)):
        assert word not in written
