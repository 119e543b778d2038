"""Gathers what the gates of a run look at: trees as polling read them, steps, work, replies. Reads only."""

from dataclasses import replace
from datetime import datetime

from ciduty.outbox.models import Incoming, IncomingKind, TreeChange
from ciduty.trees import confidential, polling, showing
from ciduty.trees.models import Closure, Tree
from ciduty.trees.rules import Freshness
from downtimes import telling
from downtimes.models import Downtime, Item, RunStep, RunTree
from downtimes.rules import OUTCOMES, Close, ItemState, Kind
from downtimes.run.rules import AUTOLAND, Reading, RunFacts, Step, TreeFacts, TreeRow, WorkFacts, tree_facts


def facts_of(downtime: Downtime, at: datetime, by, steps: dict[str, RunStep] | None = None) -> RunFacts:
    """Return a downtime as the gates see it when this person asks at a moment. Nine queries, however much is in it.

    `steps`: those that were done, where they were read already.
    """
    steps = steps_of(downtime) if steps is None else steps
    trees = trees_of(downtime, at)
    agreed = steps.get(Step.SHERIFF_AGREES)
    return RunFacts(
        at=at,
        starts_at=downtime.starts_at,
        ends_at=downtime.ends_at,
        is_held=downtime.held_at is not None,
        unread_replies=unread_replies(downtime, steps.get(Step.REPLIES_READ)),
        sheriff_told=steps[Step.SHERIFF_TOLD].words if Step.SHERIFF_TOLD in steps else "",
        is_duty=downtime.duty_id == by.pk,
        duty=str(downtime.duty or ""),
        trees=trees,
        unknown_trees=tuple(one.name for one in trees if not one.reading.status or one.reading.is_gone),
        service_problem=service_problem(at),
        changing=changing(downtime),
        checked=Step.CHECKED in steps,
        work=work_of(downtime),
        sheriff_agrees=agreed.words if agreed else "",
    )


# --- trees ------------------------------------------------------------------------------------------------------------


def trees_of(downtime: Downtime, at: datetime) -> tuple[TreeFacts, ...]:
    """Return its trees in the order in which they are closed, as they are known at a moment. Six queries at the most.

    Before it begins, those of the plan. What people typed may stand in any sentence.
    """
    rows = list(downtime.run_trees.all()) or planned_trees(downtime)
    readings = readings_of([row.name for row in rows], at, downtime.about)
    is_by_hand = polling.current_service() is None
    private = confidential.private_among(row.left_because for row in rows)
    for row in rows:
        row.left_because = confidential.public(row.left_because, private)
    return tuple(tree_facts(row_of(row, is_by_hand), readings[row.name], at) for row in rows)


def planned_trees(downtime: Downtime) -> list[RunTree]:
    """Return the rows of the trees that the plan names, unsaved: autoland first, which a soft close closes alone."""
    is_soft = downtime.kind == Kind.PLANNED and downtime.close == Close.SOFT
    names = sorted(dict.fromkeys(downtime.trees), key=lambda name: name != AUTOLAND)
    return [
        RunTree(downtime=downtime, name=name, position=place, only_message=is_soft and name != AUTOLAND)
        for place, name in enumerate(names, start=1)
    ]


def row_of(row: RunTree, is_by_hand: bool) -> TreeRow:
    """Return a row as the rules see it."""
    return TreeRow(
        name=row.name,
        only_message=row.only_message,
        status_before=row.before.get("status", ""),
        asked_at=row.asked_at,
        closed_at=row.closed_at,
        log_id=row.log_id,
        reopen_asked_at=row.reopen_asked_at,
        opened_at=row.opened_at,
        left_because=row.left_because,
        is_left=row.left_at is not None,
        by_hand=is_by_hand,
    )


def readings_of(names: list[str], at: datetime, about: str) -> dict[str, Reading]:
    """Return how trees of these names were read last; one that nobody knows has no status. Four queries at the most.

    `about` is whose closures by hand are ours.
    """
    service = polling.current_service()
    sure = showing.service_facts(service, at).is_sure
    if service is None:
        standing = Closure.objects.standing().filter(about=about, tree__name__in=names)
        ours = set(standing.values_list("tree__name", flat=True))
        rows = {row.name: row for row in Tree.objects.filter(name__in=names)}
        # Where duty keeps the trees by hand, one that nobody ever spoke of is open.
        return _sayable({name: _by_hand(rows.get(name), name in ours, at) for name in names})
    rows = {row.name: row for row in Tree.objects.filter(name__in=names, service_id=service.pk)}
    return _sayable({name: _read(rows.get(name), sure) for name in names})


def _sayable(readings: dict[str, Reading]) -> dict[str, Reading]:
    """Return readings whose reasons may stand in any sentence. One query, where a reason has a number at all."""
    private = confidential.private_among(reading.reason for reading in readings.values())
    return {
        name: replace(reading, reason=confidential.public(reading.reason, private))
        for name, reading in readings.items()
    }


def _by_hand(row: Tree | None, ours: bool, at: datetime) -> Reading:
    if row is None:
        return Reading(status="open", read_at=at)
    if not row.by_hand:
        return Reading()  # a service told it, which is not configured any more: how it stands nobody knows
    return Reading(status=row.status or "open", reason=row.reason, read_at=at, ours_stands=ours, since=row.since)


def _read(row: Tree | None, is_sure: bool) -> Reading:
    if row is None:
        return Reading(is_sure=is_sure)
    return Reading(
        status=row.status,
        reason=row.reason,
        log_id=row.log_id,
        motd=row.motd,
        is_gone=row.gone_at is not None,
        is_sure=is_sure,
        read_at=row.read_at,
        since=row.since,
    )


def changing(downtime: Downtime) -> tuple[str, ...]:
    """Return the trees of which the outbox holds a change that is under way, by name. One query."""
    rows = TreeChange.objects.under_way().filter(about=downtime.about)
    return tuple(sorted({name for row in rows for name in row.trees}))


def service_problem(at: datetime) -> str:
    """Return why nobody knows how the trees stand now, as a sentence, or ""."""
    facts = showing.service_facts(polling.current_service(), at)
    if facts.is_sure:
        return ""
    if facts.freshness == Freshness.UNREAD:
        return "the tree status service was not read yet: wait for the first poll."
    since = f"since {facts.read_at:%Y-%m-%d %H:%M} UTC" if facts.read_at else "ever"
    why = f" ({facts.problem})" if facts.problem else ""
    return f"the tree status service was not read {since}{why}: look at it, then try again."


# --- people and work --------------------------------------------------------------------------------------------------


def steps_of(downtime: Downtime) -> dict[str, RunStep]:
    """Return the steps that were done, by what they are. One query."""
    return {one.step: one for one in downtime.run_steps.select_related("by")}


def replies_to(downtime: Downtime):
    """Return the mails that answered what everybody was told, the newest first; automatic ones are none.

    Who answers a mail to one person quotes what only they may read: the code of their own page.
    """
    return Incoming.objects.filter(
        kind=IncomingKind.REPLY, mail__about=downtime.about, mail__purpose__in=telling.TO_EVERYBODY
    )


def unread_replies(downtime: Downtime, read: RunStep | None) -> int:
    """Return how many replies came in since somebody last said that they were read. One query."""
    replies = replies_to(downtime)
    return (replies.filter(received_at__gt=read.at) if read else replies).count()


def work_of(downtime: Downtime) -> tuple[WorkFacts, ...]:
    """Return its work as the gates see it. One query."""
    return tuple(_work(item) for item in downtime.items.all())


def _work(item: Item) -> WorkFacts:
    return WorkFacts(
        bug=item.bug_id,
        is_under_way=item.state == ItemState.UNDER_WAY,
        outcome=OUTCOMES.get(item.state, ""),
        bug_told=item.update_id is not None,
    )
