"""The strip: one bar for each machine that is out, over the last weeks and the coming ones, measured for an SVG.

How it is drawn: `templates/loaners/machines/_strip.html`. A table beside it says the same in words.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, OuterRef, QuerySet, Subquery

from loaners import rules
from loaners.machine_rows import Held, held_for, with_loans
from loaners.models import LoanerRequest, Machine
from loaners.rules import MachineState

BACK = timedelta(weeks=4)
AHEAD = timedelta(weeks=3)
#: So many bars a person takes in, and a page bears.
BARS = 30
OUT = (MachineState.ON_LOAN, MachineState.RE_IMAGING)

# In the SVG's own units; the page scales them.
LEFT, RIGHT, WIDTH = 190, 770, 960
TOP, ROW = 34, 26


@dataclass(frozen=True)
class Stretch:
    """One part of a bar: what the machine was or will be doing, from when to when, and where that is drawn."""

    kind: str
    start: datetime
    end: datetime
    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """One machine: the middle of its bar, its stretches, and how it stands in words."""

    held: Held
    y: int
    stretches: list[Stretch]
    words: str


@dataclass(frozen=True)
class Strip:
    """The whole drawing. `weeks` are the lines at the beginning of weeks, `now_x` where today is."""

    bars: list[Bar]
    weeks: list[tuple[datetime, float]]
    now_x: float
    height: int
    left_out: int

    left, right, width, top = LEFT, RIGHT, WIDTH, TOP


def strip(person, machines: QuerySet[Machine], at: datetime) -> Strip | None:
    """Return the strip of those of the machines that are out, the longest overdue first; None where none is.

    Three queries, however many are out.
    """
    out = machines.filter(state__in=OUT)
    due = LoanerRequest.objects.filter(machine=OuterRef("pk"), state__in=rules.HAS_MACHINE).values("due_at")[:1]
    most_urgent = with_loans(out).annotate(due=Subquery(due)).order_by(F("due").asc(nulls_last=True), "host")
    in_all, held = out.count(), held_for(person, most_urgent[:BARS], at)
    if not held:
        return None
    bars = [_bar(one, TOP + ROW * number + ROW // 2, at) for number, one in enumerate(held)]
    return Strip(bars, _weeks(at), _x(at, at), TOP + ROW * len(bars) + 6, max(0, in_all - len(bars)))


def _x(moment: datetime, at: datetime) -> float:
    share = (moment - (at - BACK)) / (BACK + AHEAD)
    return round(LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, share)), 1)


def _weeks(at: datetime) -> list[tuple[datetime, float]]:
    """Return the Mondays of the strip, at midnight UTC."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - timedelta(days=midnight.weekday())
    mondays = (monday + timedelta(weeks=number) for number in range(-4, 4))
    return [(day, _x(day, at)) for day in mondays if at - BACK <= day <= at + AHEAD]


def _bar(held: Held, y: int, at: datetime) -> Bar:
    parts = [_stretch(kind, start, end, at) for kind, start, end in _parts(held, at) if start < end]
    return Bar(held, y, [part for part in parts if part.width > 0], _words(held, at))


def _stretch(kind: str, start: datetime, end: datetime, at: datetime) -> Stretch:
    x = _x(start, at)
    visible = start < at + AHEAD and end > at - BACK
    return Stretch(kind, start, end, x, round(max(_x(end, at) - x, 2.0), 1) if visible else 0)


def _parts(held: Held, at: datetime) -> Iterable[tuple[str, datetime, datetime]]:
    """Yield what a machine was doing: the loan until it was due, then overdue, then the re-imaging until now."""
    loan, changed = held.loan, held.machine.changed_at
    came_back = changed if held.state == MachineState.RE_IMAGING else None
    if loan is not None and loan.handed_over_at is not None:
        due = loan.due_at or at + AHEAD
        yield "on loan", loan.handed_over_at, min(due, came_back or due)
        yield "overdue", due, came_back or max(at, due)
    if came_back is not None:
        yield "re-imaging", came_back, at


def _words(held: Held, at: datetime) -> str:
    loan = held.loan
    if held.state == MachineState.RE_IMAGING:
        return f"re-imaging for {_days(at - held.machine.changed_at)}"
    if loan is None or loan.due_at is None:
        return "on loan, no day named"
    return f"overdue by {_days(at - loan.due_at)}" if held.is_overdue else f"due in {_days(loan.due_at - at)}"


def _days(length: timedelta) -> str:
    hours = int(length.total_seconds()) // 3600
    if hours < 48:
        return f"{max(hours, 1)} h"
    return f"{hours // 24} days"
