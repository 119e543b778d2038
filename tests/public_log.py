"""Changes as sources tell them, for tests of what everybody reads. Tests nothing."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import count

from changelog import store, workflow
from changelog.models import Change, Source
from changelog.models.sources import SourceKind
from changelog.proposals import LandedAt, Proposal
from changelog.rules import State
from ciduty.bugzilla.models import Visibility
from tests.cast import BugFactory

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
BUCHAREST, DENVER, KATHMANDU = (timezone(timedelta(minutes=minutes)) for minutes in (120, -420, 345))
_numbers = count(1)


def source(name="autoland"):
    """Return a source that tells of its own accord."""
    return Source.objects.get_or_create(name=name, defaults={"kind": SourceKind.IMPORT})[0]


def told(summary="Move the pool", *, state=State.PUBLISHED, at=NOON, repository="autoland", by=None, **fields):
    """Return a change that landed at a moment, in a state; `fields` are those of a proposal, or `when` it was told."""
    number = next(_numbers)
    when = fields.pop("when", at)
    fields.setdefault("identity", f"git:{number:040x}")
    landings = (LandedAt(repository, at, "pusher", str(number), f"{number:040x}", f"https://example.com/{number}"),)
    fields.setdefault("landings", landings if repository else ())
    proposal = Proposal(summary=summary, **fields)
    public = state in (State.PUBLISHED, State.WITHDRAWN)
    store.store([proposal], source=source(repository or "people"), at=when, publishes=public)
    change = Change.objects.get(identity=proposal.identity)
    if state == State.HELD:
        workflow.hold(change, by)
    if state == State.WITHDRAWN:
        workflow.withdraw(change, by, "It was told twice.")
    return change


def told_many(number, step=HOUR, **fields):
    """Let that many changes be told at once, "Number 0" at noon and each next one a step before."""
    proposals = [
        Proposal(
            identity=f"git:{next(_numbers):040x}", summary=f"Number {one}",
            landings=(LandedAt("autoland", NOON - step * one),), **fields,
        )
        for one in range(number)
    ]  # fmt: skip
    store.store(proposals, source=source(), at=NOON, publishes=True)
    return list(Change.objects.filter(identity__in=[one.identity for one in proposals]).order_by("-at"))


def private_bug(number):
    """Let the mirror know of a bug that is not public."""
    return BugFactory(id=number, visibility=Visibility.RESTRICTED, is_loaner_request=False).pk
