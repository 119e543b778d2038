"""What must hold before trees may be closed: the states, the moves, the gates and their numbers.

Pure: values and the moment in, answers out. Rules are numbered as in the process of 2012 (R1 to R37).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db.models import TextChoices

from ciduty.states import Moves

#: R27: "at least 24 hours" of real time before the start; exactly that much is enough (design.md, decision 4).
NOTICE = timedelta(hours=24)
#: R11: closer to another downtime than this, somebody says why the two stay separate (R37).
GAP = timedelta(hours=24)
#: More is no downtime but a project: nobody reads its notice.
MOST_ITEMS = 100
LONGEST = timedelta(days=3)
FURTHEST_AHEAD = timedelta(days=366)


class NominationState(TextChoices):
    """Where a piece of work is that somebody wants a tree closure for."""

    REQUESTED = "requested", "Requested"
    ACCEPTED = "accepted", "Accepted"
    DEFERRED = "deferred", "Deferred"
    DECLINED = "declined", "Declined"
    WITHDRAWN = "withdrawn", "Withdrawn"
    DONE = "done", "Done"


#: Nobody has decided, or what was decided waits for its date.
OPEN_NOMINATIONS = frozenset({NominationState.REQUESTED, NominationState.DEFERRED})

NOMINATION_MOVES = Moves(
    {
        "accept": (OPEN_NOMINATIONS, NominationState.ACCEPTED),
        "defer": (OPEN_NOMINATIONS, NominationState.DEFERRED),
        "decline": (OPEN_NOMINATIONS, NominationState.DECLINED),
        "withdraw": (OPEN_NOMINATIONS, NominationState.WITHDRAWN),
        "take out": ([NominationState.ACCEPTED], NominationState.REQUESTED),
        "finish": ([NominationState.ACCEPTED], NominationState.DONE),  # its work landed and stuck (R33)
        "ask again": (
            [NominationState.DECLINED, NominationState.WITHDRAWN, NominationState.DONE],
            NominationState.REQUESTED,
        ),
    }
)


class Urgency(TextChoices):
    """R7: how urgent the work is."""

    ROUTINE = "routine", "Routine: any quiet window"
    SOON = "soon", "Soon: within two weeks"
    URGENT = "urgent", "Urgent: within days"
    EMERGENCY = "emergency", "Emergency: something is broken now"


class Close(TextChoices):
    """What is closed."""

    HARD = "hard", "Hard close: all the trees named"
    SOFT = "soft", "Soft close: autoland closed, the others open with a message of the day"


class Kind(TextChoices):
    """Whether it was planned. What is asked of people before it begins is asked of planned ones alone."""

    PLANNED = "planned", "Planned downtime"
    UNPLANNED = "unplanned", "Unplanned outage"


class State(TextChoices):
    """Where a downtime is. *Overdue* and *late* are derived, never stored (design.md, decision 7)."""

    DRAFT = "draft", "Draft"
    AGREEING = "agreeing", "Being agreed"
    ANNOUNCED = "announced", "Announced"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    CANCELLED = "cancelled", "Cancelled"


#: The window and its text may still be changed; a change of what was agreed asks for agreement anew.
PLANNED = frozenset({State.DRAFT, State.AGREEING, State.ANNOUNCED})
#: Only people end it, once the trees are verified to be open: the clock never does.
UNDER_WAY = frozenset({State.RUNNING})
OVER = frozenset({State.DONE, State.CANCELLED})

MOVES = Moves(
    {
        "ask for agreement": (PLANNED, State.AGREEING),
        "announce": ([State.AGREEING], State.ANNOUNCED),
        "postpone": (PLANNED, State.DRAFT),
        "cancel": (PLANNED, State.CANCELLED),
        "begin": ([State.ANNOUNCED], State.RUNNING),
        "finish": (UNDER_WAY, State.DONE),
    }
)


class ItemState(TextChoices):
    """What became of a piece of work (R33); how the bug is told it: OUTCOMES."""

    PLANNED = "planned", "Planned"
    UNDER_WAY = "under way", "Under way"
    LANDED = "landed", "Landed"
    ROLLED_BACK = "rolled back", "Rolled back"
    NOT_DONE = "not done", "Not done"


#: How the process of 2012 calls them in bugs.
OUTCOMES = {
    ItemState.LANDED: "landed-and-stuck",
    ItemState.ROLLED_BACK: "rolled-back",
    ItemState.NOT_DONE: "not done",
}

ITEM_MOVES = Moves(
    {
        "start": ([ItemState.PLANNED], ItemState.UNDER_WAY),
        "land": ([ItemState.UNDER_WAY], ItemState.LANDED),
        # What has landed may turn out not to stick before the trees are open.
        "roll back": ([ItemState.UNDER_WAY, ItemState.LANDED], ItemState.ROLLED_BACK),
        "leave": ([ItemState.PLANNED], ItemState.NOT_DONE),
        "take back": ([ItemState.UNDER_WAY, *OUTCOMES], ItemState.PLANNED),
    }
)


class Decision(TextChoices):
    """What somebody answers who was asked to agree (R23)."""

    APPROVE = "approve", "Approve"
    OBJECT = "object", "Object"
    QUESTION = "question", "Question"


class Asked(TextChoices):
    """As what somebody is asked."""

    WORKER = "worker", "Worker"
    PRE_APPROVER = "pre-approver", "Pre-approver"


class Policy(TextChoices):
    """When the pre-approvers have agreed (design.md, decision 5)."""

    NO_OBJECTION = "no objection", "No open objection or question, and at least one approval"
    ALL = "all", "Everybody approves"
    QUORUM = "quorum", "A quorum approves, and nobody objects"


# --- what the gates look at -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ItemFacts:
    """One piece of work, as the gates see it."""

    bug: int
    text: str  # what the notice says of it
    restricted: bool
    confirmed: bool  # a person typed or confirmed the text for the public, with the bug as it stands now
    worker: str  # Bugzilla login of who really does it
    assignee: str | None  # the bug's, None where nobody may read it
    minutes: int | None
    rollback_minutes: int | None
    needs_reconfig: bool = False


@dataclass(frozen=True)
class Other:
    """Another downtime that stands in the calendar."""

    name: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Votes:
    """How the agreement to the newest version stands."""

    asked: int = 0
    approved: int = 0
    objections: tuple[str, ...] = ()  # names
    questions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """A downtime at a moment, as the gates see it. Moments are aware; `at` is the database's."""

    at: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    urgency: str = ""
    close: str = ""
    trees: tuple[str, ...] = ()
    duty: str = ""
    duty_confirmed: bool = False
    items: tuple[ItemFacts, ...] = ()
    others: tuple[Other, ...] = ()
    separate_because: str = ""
    text_is_frozen: bool = True  # what would be sent is the newest frozen version, word for word
    workers: Votes = field(default_factory=Votes)
    pre_approvers: Votes = field(default_factory=Votes)
    policy: str = Policy.NO_OBJECTION
    quorum: int = 1
    answers_until: datetime | None = None  # the pre-approvers may object until then
    mandatory_lists: int = 0
    emergency_because: str = ""
    emergency_manager: str = ""  # who agreed to it, never who asked for it
    told_at: datetime | None = None  # when the last mandatory list accepted the newest announcement


# --- the gates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gate:
    """One reason to refuse. `refuses` returns a sentence (what, why, what now), or "" when it lets through."""

    name: str
    rule: str
    refuses: Callable[[Facts], str]


def _times(facts: Facts) -> str:
    if facts.starts_at is None or facts.ends_at is None:
        return "The window has no start or no end: enter both."
    if facts.ends_at <= facts.starts_at:
        return "The window ends before it starts: enter an end after the start."
    if facts.ends_at - facts.starts_at > LONGEST:
        return f"The window is longer than {LONGEST.days} days: split it."
    return ""


def _ahead(facts: Facts) -> str:
    if facts.starts_at is not None and facts.starts_at <= facts.at:
        return "The window starts in the past: enter a start that is still to come."
    if facts.starts_at is not None and facts.starts_at - facts.at > FURTHEST_AHEAD:
        return "The window starts more than a year ahead: look at its year."
    return ""


def _items(facts: Facts) -> str:
    if not facts.items:
        return "No work is planned in this window: accept at least one bug into it."
    if len(facts.items) > MOST_ITEMS:
        return f"{len(facts.items)} items are planned and {MOST_ITEMS} is the most: split the window."
    return ""


def _numbers(items) -> str:
    return ", ".join(f"bug {item.bug}" for item in items[:5]) + (" and others" if len(items) > 5 else "")


def _wording(facts: Facts) -> str:
    silent = [item for item in facts.items if not item.text.strip()]
    return f"The notice says nothing of {_numbers(silent)}: enter its public text." if silent else ""


def _vague(facts: Facts) -> str:
    unsure = [item for item in facts.items if not item.confirmed]
    if not unsure:
        return ""
    return f"Nobody confirmed the public text of {_numbers(unsure)} as the bug stands now: read it and confirm it."


def _urgency(facts: Facts) -> str:
    return "" if facts.urgency else "Nobody said how urgent the work is: choose it."


def _close(facts: Facts) -> str:
    if not facts.close:
        return "Nobody chose between a hard and a soft close: choose one."
    return "" if facts.trees else "No tree is named: enter the trees that will be closed."


def _worker(facts: Facts) -> str:
    alone = [item for item in facts.items if not item.worker]
    if alone:
        return f"Nobody is named who does the work of {_numbers(alone)}: enter the worker."
    others = [item for item in facts.items if item.assignee is not None and item.assignee != item.worker]
    if others:
        return f"The worker is not the assignee in Bugzilla: {_numbers(others)}. Assign the bug to who really does it."
    return ""


def _rollback(facts: Facts) -> str:
    open_ended = [item for item in facts.items if not item.minutes or item.rollback_minutes is None]
    return f"Nobody said how long it takes and how long to roll back: {_numbers(open_ended)}." if open_ended else ""


def _fits(facts: Facts) -> str:
    needed = timedelta(minutes=sum(item.minutes or 0 for item in facts.items))
    if _times(facts):
        return ""
    if needed > facts.ends_at - facts.starts_at:
        return f"The work takes {needed // timedelta(minutes=1)} minutes and the window is shorter: enter a later end."
    return ""


def _duty(facts: Facts) -> str:
    if not facts.duty:
        return "Nobody of CiDuty is named who is there for the whole window: name them."
    return "" if facts.duty_confirmed else f"{facts.duty} has not confirmed being there for the whole window."


def _gap(facts: Facts) -> str:
    if facts.separate_because.strip() or facts.starts_at is None or facts.ends_at is None:
        return ""
    near = [o for o in facts.others if o.starts_at < facts.ends_at + GAP and facts.starts_at < o.ends_at + GAP]
    if not near:
        return ""
    return (
        f"{near[0].name} is less than {GAP // timedelta(hours=1)} hours away: join them, or say why they are separate."
    )


def _reconfig(facts: Facts) -> str:
    both = [item for item in facts.items if item.needs_reconfig]
    return f"needs-reconfig stands on {_numbers(both)} too: one of the two flags must go." if both else ""


def _workers_agree(facts: Facts) -> str:
    votes = facts.workers
    if votes.objections:
        return f"{', '.join(votes.objections)} objected: answer with a new version."
    if votes.questions:
        return f"{', '.join(votes.questions)} asked a question: answer it, or ask for agreement with a new version."
    if votes.missing or not votes.asked:
        return f"Not every worker has agreed yet: {', '.join(votes.missing) or 'nobody was asked'}."
    return ""


def _pre_approvers_agree(facts: Facts) -> str:
    votes = facts.pre_approvers
    if not votes.asked:
        return "No pre-approver was asked yet: ask them before any list hears of it."
    if votes.objections:
        return f"{', '.join(votes.objections)} objected: answer with a new version."
    if votes.questions:
        return f"{', '.join(votes.questions)} asked a question: answer it, or ask for agreement with a new version."
    if facts.policy == Policy.ALL:
        return f"Everybody must approve, and these have not: {', '.join(votes.missing)}." if votes.missing else ""
    needed = facts.quorum if facts.policy == Policy.QUORUM else 1
    if votes.approved < needed:
        return f"{votes.approved} of {needed} approvals are there: wait for {', '.join(votes.missing) or 'nobody'}."
    may_still_object = facts.answers_until and facts.at < facts.answers_until and not is_emergency(facts)
    if facts.policy == Policy.NO_OBJECTION and votes.missing and may_still_object:
        return (
            f"Pre-approvers may object until {facts.answers_until:%Y-%m-%d %H:%M} UTC: wait, or hear from all of them."
        )
    return ""


def _same_text(facts: Facts) -> str:
    return "" if facts.text_is_frozen else "The window or the text was changed since people agreed: ask them anew."


def _lists(facts: Facts) -> str:
    return "" if facts.mandatory_lists else "No list is marked as mandatory, so nobody would be told: add one."


def is_emergency(facts: Facts) -> bool:
    """Answer whether a written reason and a manager allow less than 24 hours (design.md, decision 4)."""
    return bool(facts.emergency_because.strip() and facts.emergency_manager)


def earliest_start(told_at: datetime) -> datetime:
    """Return the earliest lawful start, in UTC, when the last mandatory list accepts at this moment."""
    return told_at.astimezone(UTC) + NOTICE


def latest_notice(starts_at: datetime) -> datetime:
    """Return the latest moment, in UTC, at which the last mandatory list may accept."""
    return starts_at.astimezone(UTC) - NOTICE


def notice_kept(told_at: datetime, starts_at: datetime) -> bool:
    """Answer whether 24 real hours lie between the two, whatever the clocks on the wall do in between."""
    return earliest_start(told_at) <= starts_at.astimezone(UTC)


def _notice_can_be_kept(facts: Facts) -> str:
    if facts.starts_at is None or is_emergency(facts) or notice_kept(facts.at, facts.starts_at):
        return ""
    return (
        f"It is too late for a start at {facts.starts_at:%Y-%m-%d %H:%M} UTC: with 24 hours of notice the earliest "
        f"lawful start is {earliest_start(facts.at):%Y-%m-%d %H:%M} UTC. Postpone it, or have a manager agree to an "
        "emergency."
    )


def _notice_was_kept(facts: Facts) -> str:
    if is_emergency(facts):
        return "" if facts.told_at else "No mandatory list has accepted the announcement yet."
    if facts.told_at is None:
        return "Not every mandatory list has accepted the announcement: look at the outbox."
    if facts.starts_at is not None and notice_kept(facts.told_at, facts.starts_at):
        return ""
    return f"The lists were told less than 24 hours before the start ({facts.told_at:%Y-%m-%d %H:%M} UTC): postpone it."


TIMES = Gate("the end lies after the start", "R14", _times)
AHEAD = Gate("the window is still to come", "R14", _ahead)
ITEMS = Gate("there is work, and not too much", "R8", _items)
WORDING = Gate("every item has its wording", "R3, R19", _wording)
VAGUE = Gate("a person confirmed every public text", "R20", _vague)
URGENCY = Gate("the urgency is weighed", "R7", _urgency)
CLOSE = Gate("what is closed is named", "R30", _close)
WORKER = Gate("the assignee does the work", "R16", _worker)
ROLLBACK = Gate("steps and rollback have their time", "TCW", _rollback)
FITS = Gate("the work fits in the window", "R8", _fits)
DUTY = Gate("CiDuty is there for the whole window", "R13", _duty)
GAP_TO_OTHERS = Gate("no other downtime is near", "R11", _gap)
RECONFIG = Gate("no needs-reconfig beside it", "trap c", _reconfig)
WORKERS = Gate("the workers agreed", "R22", _workers_agree)
PRE_APPROVERS = Gate("the pre-approvers agreed", "R23", _pre_approvers_agree)
SAME_TEXT = Gate("what is sent is what was agreed", "R23", _same_text)
LISTS = Gate("somebody must be told", "R25", _lists)
NOTICE_AHEAD = Gate("24 hours can be kept", "R27", _notice_can_be_kept)
NOTICE_KEPT = Gate("24 hours were kept", "R27", _notice_was_kept)

_PLAN = [
    TIMES, AHEAD, ITEMS, WORDING, VAGUE, URGENCY, CLOSE, WORKER, ROLLBACK, FITS, DUTY, GAP_TO_OTHERS, RECONFIG,
]  # fmt: skip

#: Which gates stand before which verb. `make test-gates` takes each away in turn.
GATES: dict[str, list[Gate]] = {
    "ask for agreement": [*_PLAN, NOTICE_AHEAD],
    "ask the pre-approvers": [SAME_TEXT, WORKERS, NOTICE_AHEAD],
    "announce": [*_PLAN, SAME_TEXT, WORKERS, PRE_APPROVERS, LISTS, NOTICE_AHEAD],
    "begin": [TIMES, CLOSE, DUTY, SAME_TEXT, NOTICE_KEPT],
}


def refusals(verb: str, facts: Facts) -> list[str]:
    """Return every sentence that stands against a verb, in the order of the process; none: it may be done."""
    return [sentence for gate in GATES[verb] if (sentence := gate.refuses(facts))]
