"""What every part of a run sheet is made of, read once: the downtime as its gates see it, its trees, work and steps."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import prefetch_related_objects

from ciduty import access
from ciduty.bugzilla.models import Bug
from ciduty.people.models import logins_of
from downtimes import facts as plan_facts
from downtimes import rules
from downtimes.models import Downtime
from downtimes.rules import MOVES
from downtimes.run import changing, closing, facts, reopening
from downtimes.run import rules as run_rules
from downtimes.run.rules import RunFacts, TreeFacts, Word
from downtimes.run.sheet_rows import Rights, TreeLine, WorkLine, tree_lines, work_lines


@dataclass(frozen=True)
class Core:
    """A run sheet as one person sees it at a moment."""

    downtime: Downtime
    person: object
    at: datetime
    seen: RunFacts
    rights: Rights
    trees: list[TreeLine]
    work: list[WorkLine]
    steps: dict
    begin: list[str]  # what stands against beginning
    failed: dict[str, str]  # trees that were asked for in vain, with what the outbox says of each

    @property
    def is_running(self) -> bool:
        """Answer whether it was begun and is not over."""
        return self.downtime.state in rules.UNDER_WAY

    @property
    def is_overdue(self) -> bool:
        """Answer whether it should be over by now."""
        return self.is_running and run_rules.is_overdue(self.downtime.ends_at, self.at)


def core(downtime: Downtime, person, at: datetime) -> Core:
    """Return what the parts of the sheet are made of."""
    prefetch_related_objects([downtime], "items", "run_trees")
    steps = facts.steps_of(downtime)
    seen = facts.facts_of(downtime, at, person, steps)
    rights, rows = _rights(downtime, person, seen), list(downtime.run_trees.all())
    failed = _failed(downtime, seen.trees) if rights.is_running and rights.runs else {}
    items = list(downtime.items.all())
    visibility = dict(Bug.objects.filter(pk__in=[one.bug_id for one in items]).values_list("pk", "visibility"))
    return Core(
        downtime=downtime,
        person=person,
        at=at,
        seen=seen,
        rights=rights,
        trees=tree_lines(seen, rows, rights.is_running and rights.runs, failed),
        work=work_lines(items, visibility, downtime.begun_at or downtime.starts_at, at, rights),
        steps=steps,
        begin=against_beginning(downtime, seen, at),
        failed=failed,
    )


def _failed(downtime: Downtime, trees: tuple[TreeFacts, ...]) -> dict[str, str]:
    if closing.how() != closing.PATCH:
        return {}
    readings = {tree.name: tree.reading.read_at for tree in trees}
    to_close = {tree.name: tree.row.asked_at for tree in trees if tree.word in (Word.CLOSING, Word.TELLING)}
    to_reopen = {tree.name: tree.row.reopen_asked_at for tree in trees if tree.word == Word.REOPENING}
    return changing.failed(downtime, closing.CLOSE, to_close, readings) | changing.failed(
        downtime, reopening.REOPEN, to_reopen, readings
    )


def _rights(downtime: Downtime, person, seen: RunFacts) -> Rights:
    runs = access.may_run_downtimes(person)
    return Rights(
        is_running=downtime.state in rules.UNDER_WAY,
        runs=runs,
        reads_staff_words=access.may_read_staff_words(person),
        logins=frozenset() if runs else frozenset(logins_of(person)),
        may_start=not run_rules.refusals("start", seen),
        sees_plans=access.may_see_downtime_plans(person),
    )


def against_beginning(downtime: Downtime, seen: RunFacts, at: datetime) -> list[str]:
    """Return every sentence that stands against beginning: of the plan, and of the moment."""
    if not MOVES.allow("begin", downtime.state):
        return []
    plan = rules.refusals("begin", plan_facts.facts_of(downtime, at))
    return list(dict.fromkeys([*plan, *run_rules.refusals("begin", seen)]))
