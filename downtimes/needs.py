"""What the desk shows of downtimes: work that waits for a window, windows that run out of time, what a run waits for.

And the counts for the front door.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, prefetch_related_objects
from django.urls import reverse

from ciduty import access
from ciduty.desk.needs import Section
from ciduty.outbox import acceptance
from ciduty.outbox.models import Incoming, IncomingKind
from ciduty.trees.models import Closure
from downtimes import agreement, notice_times, review, review_rows, rules, telling
from downtimes.models import Announcement, Downtime, Nomination, RunStep
from downtimes.rules import State
from downtimes.run import facts as run_facts
from downtimes.run import reviewing
from downtimes.run import rules as run_rules
from downtimes.run.rules import OUTCOMES_KNOWN, RunFacts, Step, TreeFacts, is_overdue

ROWS = 10
#: From so long before the latest lawful moment on, a window that is not announced stands on the desk.
NEAR = timedelta(days=3)
#: So long what was announced and never begun is asked about; public_views lists it among the plans as long.
LAPSED_FOR = timedelta(days=7)


@dataclass(frozen=True)
class Need:
    """One line on the desk: a downtime, what it needs, until when (None: at once), where it is done ("": the plan)."""

    downtime: Downtime
    sentence: str
    until: datetime | None
    late: bool
    page: str = ""

    @property
    def address(self) -> str:
        """Return where it is done."""
        return self.page or reverse("plan_downtime", args=[self.downtime.pk])


def section(person, at: datetime) -> list[Section]:
    """Return the nominations that nobody decided, and the downtimes that need somebody, at a moment."""
    if not access.may_plan_downtimes(person):
        return []
    found = []
    waiting = waiting_nominations(at)
    total = waiting.count()
    if total:
        rows = review_rows.rows_for(person, waiting.select_related("asked_by").order_by("asked_at", "pk")[:ROWS])
        more_at = reverse("review_nominations")
        found.append(Section("Downtime requests to decide", "downtimes/_nominations.html", rows, total, more_at))
    needs = needs_of(at)
    if needs:
        found.append(Section("Downtimes", "downtimes/_needs.html", needs, len(needs), reverse("downtimes")))
    return found


def waiting_nominations(at: datetime):
    """Return the nominations that wait for a decision, those among them whose date has come."""
    return Nomination.objects.filter(review_rows.tabs(review.today(at))["open"].which)


def needs_of(at: datetime) -> list[Need]:
    """Return what each downtime needs somebody for, the most urgent first. Constant queries, however many there are."""
    there = _there(at)
    announced = [one for one in there if one.state == State.ANNOUNCED]
    running = [one for one in there if one.state in rules.UNDER_WAY]
    missing, unread = _lists_missing(announced), _unread([*announced, *running])
    late = [
        Need(answer.version.downtime, f"{answer.approver} answered after it was announced: read it.", None, True)
        for answer in agreement.late_objections()
    ]
    runs = _of_runs(running, at)
    rest = []
    for one in there:
        rest += _of(one, missing.get(one.pk, 0), at)
        rest += _of_replies(one, unread.get(one.pk, 0))
    overdue, in_time = ([need for need in runs if need.late is late_ones] for late_ones in (True, False))
    return [*overdue, *late, *in_time, *rest, *_reviews(at)]


def _there(at: datetime) -> list[Downtime]:
    """Return the downtimes that may need somebody, by their start: those that run, those to come, and the lapsed."""
    found = Downtime.objects.filter(state__in=rules.PLANNED | rules.UNDER_WAY).order_by("starts_at", "pk")
    runs = Q(state__in=rules.UNDER_WAY)
    ahead = Q(starts_at__isnull=False, ends_at__gt=at)
    lapsed = Q(state=State.ANNOUNCED, ends_at__gt=at - LAPSED_FOR)
    return list(found.filter(runs | ahead | lapsed))


def _lists_missing(announced: list[Downtime]) -> dict[int, int]:
    """Return how many mandatory lists have not accepted what they were told last, by downtime."""
    told = Announcement.objects.filter(downtime__in=announced).order_by("pk")
    newest = {one.downtime_id: one for one in told}
    stands = acceptance.of_batches([one.batch for one in newest.values()])
    return {downtime: len(stands[one.batch].missing) for downtime, one in newest.items()}


def _unread(downtimes: list[Downtime]) -> dict[int, int]:
    """Return how many replies came in since somebody last said that they were read, by downtime (R28)."""
    about = {one.about: one for one in downtimes}
    came = Incoming.objects.filter(
        kind=IncomingKind.REPLY, mail__about__in=list(about), mail__purpose__in=telling.TO_EVERYBODY
    )
    received = [(about[name].pk, at) for name, at in came.values_list("mail__about", "received_at")]
    if not received:
        return {}
    read = dict(RunStep.objects.filter(step=Step.REPLIES_READ, downtime__in=downtimes).values_list("downtime", "at"))
    return Counter(pk for pk, at in received if pk not in read or at > read[pk])


# --- before it begins -------------------------------------------------------------------------------------------------


def _of(downtime: Downtime, missing: int, at: datetime) -> list[Need]:
    if downtime.state in rules.UNDER_WAY:
        return []
    if downtime.state == State.ANNOUNCED:
        return _of_announced(downtime, missing, at)
    latest = rules.latest_notice(downtime.starts_at)
    if at > latest and not downtime.emergency_by_id:
        return [Need(downtime, "Too late for 24 hours of notice: postpone it.", None, True)]
    sentence = f"{downtime.get_state_display()}: the lists must have it."
    return [Need(downtime, sentence, latest, False)] if latest - at <= NEAR else []


def _of_announced(downtime: Downtime, missing: int, at: datetime) -> list[Need]:
    if downtime.ends_at <= at:
        return [Need(downtime, "It was never begun, and its time is over: postpone it, or cancel it.", None, True)]
    found, sheet = [], _sheet(downtime)
    if downtime.held_at is not None:
        sentence = "On hold: let it go ahead, postpone it or cancel it."
        found.append(Need(downtime, sentence, downtime.starts_at, at >= downtime.starts_at, sheet))
    elif downtime.starts_at <= at:
        found.append(Need(downtime, "Begin it now.", None, True, sheet))
    if missing:
        latest = rules.latest_notice(downtime.starts_at)
        sentence = f"{missing} mandatory list{' has' if missing == 1 else 's have'} not accepted it yet."
        found.append(Need(downtime, sentence, latest, at > latest))
    return found


def _of_replies(downtime: Downtime, unread: int) -> list[Need]:
    if not unread:
        return []
    return [
        Need(downtime, f"Unread replies ({unread}): a reason against it may stand there.", None, True, _sheet(downtime))
    ]


# --- while it runs, and after -----------------------------------------------------------------------------------------


def _of_runs(running: list[Downtime], at: datetime) -> list[Need]:
    """Return what each downtime that runs waits for; the longest overdue comes first. Six queries, if any runs."""
    if not running:
        return []
    prefetch_related_objects(running, "items", "run_trees", "run_steps")
    trees = _trees_of(running, at)
    needs = []
    for one in sorted(running, key=lambda one: (one.ends_at is None, one.ends_at, one.pk)):
        waits, late = _why_not_open(one, trees[one.pk], at), is_overdue(one.ends_at, at)
        over = f"OVERDUE by {_length(one.ends_at, at)}: extend it, or end it. " if late else ""
        needs.append(Need(one, over + waits, one.ends_at, late, _sheet(one)))
    return needs


def _length(since: datetime, at: datetime) -> str:
    return notice_times.length(since, at) or "less than a minute"


def _why_not_open(downtime: Downtime, trees: tuple[TreeFacts, ...], at: datetime) -> str:
    """Return what TREE OPEN waits for, the work before the trees: they reopen when it is over."""
    agreed = next((step for step in downtime.run_steps.all() if step.step == Step.SHERIFF_AGREES), None)
    seen = RunFacts(at=at, trees=trees, work=run_facts.work_of(downtime), sheriff_agrees=agreed.words if agreed else "")
    first = OUTCOMES_KNOWN.refuses(seen) or next(iter(run_rules.refusals("tree open", seen)), "")
    return f"TREE OPEN waits: {first}" if first else "Everything is as it must be: send TREE OPEN."


def _trees_of(running: list[Downtime], at: datetime) -> dict[int, tuple[TreeFacts, ...]]:
    """Return the trees of downtimes that run, as polling read them last."""
    names = sorted({row.name for one in running for row in one.run_trees.all()})
    readings = run_facts.readings_of(names, at, "")
    is_by_hand = not settings.TREESTATUS_URL
    ours = _closed_by_hand(running) if is_by_hand else set()
    return {
        one.pk: tuple(
            run_rules.tree_facts(
                run_facts.row_of(row, is_by_hand),
                replace(readings[row.name], ours_stands=(one.about, row.name) in ours),
                at,
            )
            for row in one.run_trees.all()
        )
        for one in running
    }


def _closed_by_hand(running: list[Downtime]) -> set[tuple[str, str]]:
    standing = Closure.objects.standing().filter(about__in=[one.about for one in running])
    return set(standing.values_list("about", "tree__name"))


def _reviews(at: datetime) -> list[Need]:
    today = review.today(at)
    return [
        Need(
            one.downtime, "Review due: write down what was learned.", None, one.due_on < today,
            reverse("review_downtime", args=[one.downtime_id]),
        )
        for one in reviewing.waiting(at)
    ]  # fmt: skip


def _sheet(downtime: Downtime) -> str:
    return reverse("run_downtime", args=[downtime.pk])


def has_a_window_near(at: datetime) -> bool:
    """Answer whether a window runs, or an announced one begins within the hour: then the trees are read every minute.

    What runs counts until TREE OPEN, whatever its end was to be.
    """
    near = Q(state=State.ANNOUNCED, starts_at__lte=at + timedelta(hours=1), ends_at__gt=at)
    return Downtime.objects.filter(near | Q(state__in=rules.UNDER_WAY)).exists()


def counts(at: datetime) -> list[tuple[str, int]]:
    """Return how many downtimes are announced and still to come, and how many run, where any does. One query."""
    coming, runs = Q(state=State.ANNOUNCED, ends_at__gt=at), Q(state__in=rules.UNDER_WAY)
    there = list(Downtime.objects.public().filter(coming | runs).values_list("state", "ends_at"))
    ends = [end for state, end in there if state in rules.UNDER_WAY]
    planned = len(there) - len(ends)
    found = [(f"downtime{'' if planned == 1 else 's'} planned", planned)]
    if ends:
        running = f"downtime{'' if len(ends) == 1 else 's'} running"
        over = ", longer than planned" if any(is_overdue(end, at) for end in ends) else ""
        found.append((running + over, len(ends)))
    return found
