"""A row moves as its table says and in no other way; of two who move it at once, one does."""

import threading
from itertools import product

import pytest
from django.db import connections

from ciduty import clock, states
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.outbox.rules import FINAL, MOVES, PARKED, UNDER_WAY, WAITING, State
from ciduty.record.models import Actor, Entry
from ciduty.states import Moves, NotAllowed
from tests.cast import A_MORNING

pytestmark = pytest.mark.django_db

#: What the outbox promises, written out once more: verb, from where, to where.
PROMISED = {
    "claim": ("due retry unknown sending", "sending"),
    "accept": ("sending", "accepted"),
    "put off": ("sending", "retry"),
    "lose sight of": ("sending", "unknown"),
    "park": ("due retry unknown sending", "failed"),
    "keep back": ("due retry unknown sending", "held"),
    "drop": ("due retry unknown sending", "cancelled"),
    "bounce": ("accepted", "failed"),
    "hold": ("due retry unknown", "held"),
    "try again": ("retry unknown held failed", "due"),
    "cancel": ("due retry unknown held failed", "cancelled"),
    "done by hand": ("due retry unknown held failed", "accepted"),
}
PAIRS = list(product(State, MOVES))
ALLOWED = [(state, verb) for state, verb in PAIRS if state in PROMISED[verb][0].split()]
FORBIDDEN = [pair for pair in PAIRS if pair not in ALLOWED]


def row(state, **fields):
    """Return a mail in a state, claimed seven times so far."""
    moment = {"created_at": A_MORNING, "due_since": A_MORNING, "next_try_at": A_MORNING}
    names = {"key": "mail 1", "purpose": "tests: note", "about": "loaner 1400123", "message_id": "<1@example.com>"}
    return Mail.objects.create(state=state, fence=7, message=b"", **moment, **names, **fields)


def kept(mail):
    return Mail.objects.values().get(pk=mail.pk)


# --- the table --------------------------------------------------------------------------------------------------------


def test_the_outboxs_table_is_what_was_promised():
    assert {
        verb: (" ".join(state for state in State if MOVES.allow(verb, state)), MOVES.target(verb)) for verb in MOVES
    } == {
        verb: (" ".join(state for state in State if state in sources.split()), target)
        for verb, (sources, target) in PROMISED.items()
    }


def test_every_state_waits_is_under_way_is_parked_or_is_done():
    assert UNDER_WAY | PARKED | FINAL == set(State)
    assert UNDER_WAY & (PARKED | FINAL) == set()
    assert WAITING < UNDER_WAY


def test_a_verb_that_is_not_in_the_table_is_a_slip_and_no_refusal():
    with pytest.raises(KeyError):
        MOVES.allow("abandon", State.DUE)


def test_a_table_keeps_the_order_in_which_it_was_written():
    assert list(Moves({"b": (["x"], "y"), "a": (["y"], "x")})) == ["b", "a"]


# --- a person or an event moves a row ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "verb"), ALLOWED)
def test_an_allowed_move_is_made_and_recorded(state, verb, duty):
    mail, at = row(state), clock.now()
    states.move(mail, MOVES, verb, "It was moved", by=duty, at=at, last_words="because")
    assert (mail.state, mail.last_words) == (PROMISED[verb][1], "because")
    assert kept(mail)["state"] == PROMISED[verb][1]
    entry = Entry.objects.get()
    assert (entry.about, entry.verb, entry.sentence, entry.by, entry.at) == (mail.about, verb, "It was moved", duty, at)
    assert (entry.before, entry.after) == ({"state": str(state)}, {"state": PROMISED[verb][1]})


@pytest.mark.parametrize(("state", "verb"), FORBIDDEN)
def test_a_forbidden_move_is_refused_in_a_sentence_and_nothing_is_written(state, verb, duty):
    mail = row(state)
    before = kept(mail)
    with pytest.raises(NotAllowed) as refusal:
        states.move(mail, MOVES, verb, "It was moved", by=duty, at=A_MORNING, last_words="because")
    assert str(refusal.value) == f"Mail {mail.pk} is {state.label.lower()} by now: it was not changed ({verb})."
    assert kept(mail) == before
    assert Entry.objects.count() == 0


def test_what_counts_is_the_state_in_the_database_and_not_the_one_that_the_page_showed():
    mail = row(State.HELD)
    Mail.objects.filter(pk=mail.pk).update(state=State.CANCELLED)
    with pytest.raises(NotAllowed, match="is cancelled by now"):
        states.move(mail, MOVES, "try again", "Tried again", at=A_MORNING)


def test_further_parts_of_the_entry_are_the_callers():
    mail = row(State.ACCEPTED)
    entry = {"from_outside": True, "caused": ["incoming mail 3"], "after": {"state": "failed", "code": 550}}
    states.move(mail, MOVES, "bounce", "It came back", at=A_MORNING, entry=entry)
    written = Entry.objects.get()
    assert (written.actor, written.caused, written.after) == (
        Actor.OUTSIDE,
        ["incoming mail 3"],
        {"state": "failed", "code": 550},
    )


def test_a_move_whose_entry_cannot_be_written_is_no_move():
    mail = row(State.HELD)
    with pytest.raises(TypeError):
        states.move(mail, MOVES, "cancel", "Cancelled", at=A_MORNING, entry={"nonsense": 1})
    assert kept(mail)["state"] == "held"


@pytest.mark.django_db(transaction=True)
def test_of_many_who_move_a_row_at_once_one_does_and_the_others_are_told():
    for _ in range(8):
        Mail.objects.all().delete()
        mail, entries = row(State.HELD), Entry.objects.count()
        assert sorted(at_once([lambda mail=mail: move_once(mail.pk)] * 4)) == ["moved", "told", "told", "told"]
        assert Entry.objects.count() == entries + 1


def move_once(pk):
    try:
        states.move(Mail.objects.get(pk=pk), MOVES, "cancel", "Cancelled", at=A_MORNING)
    except NotAllowed:
        return "told"
    return "moved"


def at_once(acts):
    """Do things in as many threads at the same moment, and return what they returned."""
    barrier, returned = threading.Barrier(len(acts)), []

    def run(act):
        try:
            barrier.wait(timeout=10)
            returned.append(act())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return returned


# --- a machine claims and settles -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "verb"), ALLOWED)
def test_a_claim_moves_a_row_and_writes_no_entry(state, verb):
    mail = row(state)
    states.claim(mail, MOVES, verb, fence=8, attempts=1)
    assert (mail.state, mail.fence, mail.attempts) == (PROMISED[verb][1], 8, 1)
    assert kept(mail)["state"] == PROMISED[verb][1]
    assert Entry.objects.count() == 0


@pytest.mark.parametrize(("state", "verb"), FORBIDDEN)
def test_a_claim_that_the_table_forbids_is_a_slip_and_changes_nothing(state, verb):
    mail = row(state)
    before = kept(mail)
    with pytest.raises(AssertionError, match=f"{verb} is not allowed in {state}"):
        states.claim(mail, MOVES, verb)
    assert kept(mail) == before


@pytest.mark.parametrize(("state", "verb"), ALLOWED)
def test_what_was_claimed_is_settled_under_its_fence(state, verb):
    mail = row(state)
    assert states.settle(mail, MOVES, verb, fence=7, last_words="250 taken") is True
    assert (mail.state, mail.last_words) == (PROMISED[verb][1], "250 taken")


@pytest.mark.parametrize(("state", "verb"), FORBIDDEN)
def test_what_somebody_moved_meanwhile_is_not_settled(state, verb):
    mail = row(state)
    before = kept(mail)
    assert states.settle(mail, MOVES, verb, fence=7, last_words="250 taken") is False
    assert kept(mail) == before


@pytest.mark.parametrize("fence", [6, 8])
def test_what_somebody_took_over_is_not_settled(fence):
    mail = row(State.SENDING)
    before = kept(mail)
    assert states.settle(mail, MOVES, "accept", fence=fence, last_words="250 taken") is False
    assert (kept(mail), mail.state) == (before, "sending")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_settle_at_once_one_does():
    for _ in range(8):
        Mail.objects.all().delete()
        mail = row(State.SENDING)
        settled = at_once([lambda verb=verb, mail=mail: settle_once(mail.pk, verb) for verb in ("accept", "put off")])
        assert sorted(settled) == [False, True]


def settle_once(pk, verb):
    return states.settle(Mail.objects.get(pk=pk), MOVES, verb, fence=7)


def test_bug_updates_move_by_the_same_table():
    moment = {"created_at": A_MORNING, "due_since": A_MORNING, "next_try_at": A_MORNING}
    update = BugUpdate.objects.create(key="b", purpose="p", about="loaner 1", op="c7f3a1b2", state=State.HELD, **moment)
    states.move(update, MOVES, "cancel", "Cancelled", at=A_MORNING)
    with pytest.raises(NotAllowed, match=f"Bug update {update.pk} is cancelled by now"):
        states.move(update, MOVES, "try again", "Tried again", at=A_MORNING)
