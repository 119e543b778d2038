"""TREE OPEN: the letter that is generated from the outcomes, and the end of a downtime (R32 to R34).

It goes out once every tree is verified, a sheriff said so, every outcome is known and every bug was told.
"""

from datetime import datetime
from hashlib import sha256

from django.conf import settings
from django.db import transaction

from ciduty import clock, states
from ciduty.bugzilla.cleaning import clean_line
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import composing, purposes
from ciduty.outbox.models import Mail
from ciduty.states import NotAllowed
from ciduty.trees import confidential
from downtimes import change_events, notice, notice_times, notices, showing, telling
from downtimes.models import Announcement, Downtime, Told
from downtimes.notice import Draft, SaidItem
from downtimes.rules import MOVES, ItemState, Kind, State
from downtimes.run import facts, outcome_changes, reviewing, rules
from downtimes.run.rules import TreeFacts, Word

_TITLES = {
    ItemState.LANDED: "Done (landed-and-stuck)",
    ItemState.ROLLED_BACK: "Rolled back",
    ItemState.NOT_DONE: "Not done",
}


def letter(downtime: Downtime, at: datetime) -> Draft:
    """Return the mail TREE OPEN as it would be sent at a moment. Its words hold no moment that only passes by."""
    words = words_of(downtime, at)
    return Draft(telling.subject_of(downtime, Told.TREE_OPEN), telling.text_of(Told.TREE_OPEN, words))


def sha256_of(draft: Draft) -> str:
    """Return what two letters have in common only if they are the same, word for word."""
    return sha256(f"{draft.subject}\n\n{draft.body}".encode()).hexdigest()


@transaction.atomic
def finish(downtime: Downtime, *, by, shown_sha256: str) -> Downtime:
    """Tell everybody who was told that the trees are open, and end the downtime; pressed twice, it is told once.

    `shown_sha256` is of the letter that the person read. Raises NotAllowed with every reason that stands against it.
    """
    downtime = telling.lock(downtime)
    if downtime.state == State.DONE:
        return downtime
    at = clock.now()
    if not MOVES.allow("finish", downtime.state):
        state = downtime.get_state_display().lower()
        raise NotAllowed(f"This downtime is {state}: TREE OPEN is told of one that runs.")
    against = rules.refusals("tree open", facts.facts_of(downtime, at, by))
    if against:
        raise NotAllowed(" ".join(against))
    if sha256_of(letter(downtime, at)) != shown_sha256:
        raise NotAllowed("The letter changed after you read it: nothing was sent. Read it as it is now, then send it.")
    mails = telling.everyone(downtime, Told.TREE_OPEN, words_of(downtime, at), because="", by=by, at=at)
    states.move(
        downtime, MOVES, "finish", f"TREE OPEN to {_people(len(mails))}", by=by, at=at,
        entry={"caused": [str(mail) for mail in mails]}, open_at=at, sequence=downtime.sequence + 1,
    )  # fmt: skip
    outcome_changes.propose(downtime, at)
    change_events.tell(downtime, at)
    reviewing.make(downtime, at)
    return downtime


def _people(number: int) -> str:
    return "everyone who was told: 1 address" if number == 1 else f"everyone who was told: {number} addresses"


# --- the words --------------------------------------------------------------------------------------------------------


def words_of(downtime: Downtime, at: datetime) -> dict:
    """Return what the letter is filled with: our own sentences, and words that people typed for the public."""
    trees = facts.trees_of(downtime, at)
    opened = [tree.row.opened_at for tree in trees if tree.word == Word.OPEN and tree.row.opened_at]
    opened_at = max(opened, default=None)
    return {
        "title": telling.title_of(downtime),
        "is_outage": downtime.kind == Kind.UNPLANNED,
        "are_all_open": bool(opened) and all(tree.word == Word.OPEN for tree in trees),
        "opened_at": notices.moment(opened_at) if opened_at else "",
        "trees": [_tree(tree) for tree in trees],
        "outcomes": _outcomes(downtime),
        "tracking_bug": downtime.tracking_bug,
        "team": settings.CIDUTY_TEAM,
        "channel": settings.CIDUTY_CHANNEL,
        "page": telling.page_of(downtime),
    } | _times(downtime, opened_at)


def _times(downtime: Downtime, opened_at: datetime | None) -> dict:
    """Return when it was to be and when it was; what was not planned has real times alone."""
    begun_at = downtime.begun_at or downtime.starts_at
    planned_end = downtime.planned_end or downtime.ends_at
    was_extended = downtime.ends_at is not None and downtime.ends_at != planned_end
    is_planned = downtime.kind == Kind.PLANNED
    return {
        "planned": notice_times.in_three_zones(downtime.starts_at, planned_end) if is_planned else [],
        "really": notice_times.in_three_zones(begun_at, opened_at) if begun_at and opened_at else [],
        "length": notice_times.length(begun_at, opened_at),
        "extended_to": notices.moment(downtime.ends_at) if was_extended else "",
    }


def _tree(tree: TreeFacts) -> str:
    row, reading = tree.row, tree.reading
    if tree.word == Word.OPEN and row.only_message:
        return f"{row.name}: open as before, without our message"
    if tree.word == Word.OPEN and row.opened_at:
        return f"{row.name}: {reading.status}, verified {row.opened_at:%Y-%m-%d %H:%M} UTC"
    if tree.word == Word.LEFT:
        status = "gone" if reading.is_gone else reading.status or "not known"
        return f"{row.name}: {status}, left as it is: {clean_line(row.left_because, notice.MOST)}"
    if tree.word == Word.CLOSED_BEFORE:
        return f"{row.name}: closed, as it was before; not by us"
    if tree.was_never_ours:
        return f"{row.name}: {reading.status}; it was closed before, and opened meanwhile, not by us"
    return f"{row.name}: {tree.word.label.lower()}"


def _outcomes(downtime: Downtime) -> list[tuple[str, list[str]]]:
    """Return each outcome with its work, in the order of the work. What may not be said any more is a number alone."""
    said = notice.items_as_said(downtime)
    public = _public(said)
    private = confidential.private_among(one.item.outcome_words for one in said)
    return [
        (title, lines)
        for state, title in _TITLES.items()
        if (lines := [_line(one, one.item.bug_id in public, private) for one in said if one.item.state == state])
    ]


def _public(said: list[SaidItem]) -> set[int]:
    bugs = Bug.objects.filter(pk__in=[one.item.bug_id for one in said], visibility=Visibility.PUBLIC)
    return set(bugs.values_list("pk", flat=True))


def _line(said: SaidItem, is_public: bool, private: frozenset[int]) -> str:
    """Return one piece of work; where its text is kept back, the words of its outcome are too."""
    may_be_said = is_public or bool(said.text)
    words = showing.outcome_words(said.item, private) if may_be_said else ""
    lines = [line.strip() for line in f"{said.text}\n{words}".split("\n") if line.strip()]
    number = f"Bug {said.item.bug_id}"
    return f"{number}: " + "\n  ".join(lines) if lines else number


# --- what the outbox asks ---------------------------------------------------------------------------------------------


def may_still_go(row: Mail) -> purposes.Stop | None:
    """Hold TREE OPEN while words of it may not be read by everybody any more (design.md, decision 3)."""
    told = Announcement.objects.filter(batch=row.batch, kind=Told.TREE_OPEN).select_related("downtime").first()
    if told is None:
        return None
    lines = [line for _, lines in _outcomes(told.downtime) for line in lines]
    text = f"\n{told.text}\n"
    if all(f"\n{composing.wrapped(f'- {line}')}\n" in text for line in lines) and not _says_private_words(told):
        return None
    return purposes.Stop("A bug that it speaks of turned private, or its words were changed: tell the lists by hand.")


def _says_private_words(told: Announcement) -> bool:
    """Answer whether its title, or why a tree was left, stands in it and names a bug that is not public any more."""
    text = " ".join(told.text.split())
    words = [told.downtime.title, *told.downtime.run_trees.values_list("left_because", flat=True)]
    return bool(confidential.private_among(one for one in words if one and " ".join(one.split()) in text))
