"""Changes of trees on their way through the outbox: posted once, waited for, and looked at when they were made."""

from datetime import datetime

from ciduty.outbox import post, purposes
from ciduty.outbox.models import TreeChange
from ciduty.outbox.rules import UNDER_WAY, State
from ciduty.outbox.wanted import Unwritable
from ciduty.states import NotAllowed
from ciduty.trees import confidential, polling
from downtimes.models import Downtime
from downtimes.run.rules import TreeFacts, named

#: Ends the words of a change that was dropped because of some of its trees.
DROPPED = ": the others are asked for anew."
WITHHELD = "what it says names a bug that is not public."


def post_change(downtime: Downtime, purpose: str, what: str, wants: dict, seen: dict, by) -> TreeChange:
    """Write a change of trees into the outbox, and return its row. Raises NotAllowed for one that cannot go out."""
    try:
        return post.tree_change(
            key=f"{downtime.about} {what}"[:200], purpose=purpose, about=downtime.about, wants=wants, seen=seen, by=by
        )
    except Unwritable as problem:
        raise NotAllowed(f"The service would not take this: {problem}.") from None


def changes_under_way(downtime: Downtime, purpose: str) -> set[str]:
    """Return the trees of which the outbox holds a change that is under way."""
    rows = TreeChange.objects.under_way().filter(about=downtime.about, purpose=purpose)
    return {name for row in rows for name in row.trees}


def waited_for(
    downtime: Downtime, purpose: str, trees: list[TreeFacts], asked: dict[str, datetime], posted_later: set[str]
) -> set[str]:
    """Return the trees that may still come, of those that were asked for (name: since when); the others failed.

    `posted_later`: what is posted only once other trees have come.
    """
    newest = _newest(downtime, purpose, asked)
    read_at = {tree.name: tree.reading.read_at for tree in trees}
    coming = {name for name, change in newest.items() if _may_come(change, read_at[name])}
    return coming | {name for name in asked if name not in newest and name in posted_later}


def _newest(downtime: Downtime, purpose: str, asked: dict[str, datetime]) -> dict[str, TreeChange]:
    """Return the newest change of each tree since it was asked for."""
    changes = TreeChange.objects.filter(about=downtime.about, purpose=purpose).order_by("pk")
    return {name: one for one in changes for name in one.trees if name in asked and one.created_at >= asked[name]}


def _may_come(change: TreeChange, read_at: datetime | None) -> bool:
    """Answer whether a change is still to be sent, or to be seen by the next poll."""
    if change.state in UNDER_WAY:
        return True
    return change.state == State.ACCEPTED and (read_at is None or read_at <= change.accepted_at)


def failed(
    downtime: Downtime, purpose: str, asked: dict[str, datetime], readings: dict[str, datetime | None]
) -> dict[str, str]:
    """Return the trees that were asked for in vain (name: since when), with what the outbox says of each. Two queries.

    `readings`: when each was read last. What it says names no bug that is not public.
    """
    if not asked:
        return {}
    said = {}
    for name, change in _newest(downtime, purpose, asked).items():
        if not _may_come(change, readings[name]):
            said[name] = change.found.get(name, {}).get("why") or change.last_words
    private = confidential.private_among(said.values())
    return {name: confidential.public(words, private, WITHHELD) for name, words in said.items()}


def drop(names: list[str], what: str) -> purposes.Stop:
    """Return that a change is dropped because of trees for which it is not wanted any more."""
    return purposes.Stop(f"{named(names)} is not to be {what} any more{DROPPED}", for_good=True)


def post_rest(row: TreeChange, downtime: Downtime, wanted: set[str]) -> None:
    """Ask anew for the other trees of a change that was dropped because of some of them; done twice, it is done once.

    What a person cancelled stays cancelled.
    """
    if row.state != State.CANCELLED or DROPPED not in row.last_words:
        return
    later = TreeChange.objects.filter(about=row.about, purpose=row.purpose, pk__gt=row.pk)
    rest = [name for name in row.trees if name in wanted - {name for one in later for name in one.trees}]
    if not rest:
        return
    if "each" in row.wants:
        wants = {"each": [one for one in row.wants["each"] if one["tree"] in rest]}
    else:
        wants = row.wants | {"trees": rest}
    post_change(downtime, row.purpose, f"rest of {row}", wants, {name: row.seen[name] for name in rest}, row.by)


def happened(row: TreeChange) -> None:
    """Have polling look whether it is so."""
    if row.state == State.ACCEPTED:
        polling.ask_now()
