"""Machines as pages show them to one person: what stands in the table, who has each, until when; the same as CSV."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet

from loaners import rules
from loaners.models import LoanerRequest, Machine, MachineClass
from loaners.rows import Row, due_standing, rows_for
from loaners.rules import MachineState, Standing

#: A state, or what is derived from the loans.
OVERDUE = "overdue"
CSV_HEADER = (
    "host", "class", "location", "state", "spare", "tracking bug", "notes",
    "state since", "bug of the loan", "who has it", "due back", "overdue",
)  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """What somebody looks for: a class by its name, a state (or OVERDUE), a text in host, location or notes."""

    machine_class: str = ""
    state: str = ""
    text: str = ""

    @classmethod
    def of(cls, asked) -> "Chosen":
        """Read the question of a page's address; what is no state is no question."""
        state = asked.get("state", "")
        known = state in MachineState.values or state == OVERDUE
        return cls(asked.get("class", "")[:60], state if known else "", asked.get("q", "").replace("\0", "")[:120])

    def among(self, machines: QuerySet[Machine], at: datetime) -> QuerySet[Machine]:
        """Return those of the machines that are looked for."""
        if self.machine_class:
            machines = machines.filter(machine_class__name=self.machine_class)
        if self.state == OVERDUE:
            late = LoanerRequest.objects.filter(machine=OuterRef("pk"), state__in=rules.OUT, due_at__lt=at)
            machines = machines.filter(Exists(late))
        elif self.state:
            machines = machines.filter(state=self.state)
        if self.text:
            text = self.text.strip()
            machines = machines.filter(Q(host__icontains=text) | Q(location__icontains=text) | Q(notes__icontains=text))
        return machines


@dataclass(frozen=True)
class Held:
    """One machine on a page, with the loan that has it. `who` is empty where this person may not read it."""

    machine: Machine
    state: MachineState
    loan: LoanerRequest | None
    who: str
    is_overdue: bool


def is_overdue(loan: LoanerRequest, at: datetime) -> bool:
    """Answer whether a machine is still out after the moment at which it was due."""
    return due_standing(loan, at) == Standing.OVERDUE


def with_loans(machines: QuerySet[Machine]) -> QuerySet[Machine]:
    """Return the machines with their class and the loans that have them: two queries, however many."""
    loans = LoanerRequest.objects.filter(state__in=rules.HAS_MACHINE).select_related("bug", "bug__text")
    return machines.select_related("machine_class").prefetch_related(
        Prefetch("requests", queryset=loans, to_attr="loans_now")
    )


def held_for(person, machines: Iterable[Machine], at: datetime) -> list[Held]:
    """Return machines as this person may see them. Wants `with_loans`."""
    machines = list(machines)
    loans = [loan for machine in machines for loan in machine.loans_now]
    shown: dict[int, Row] = {row.request.pk: row for row in rows_for(person, loans, at)}
    return [_held(machine, shown, at) for machine in machines]


def _held(machine: Machine, shown: dict[int, Row], at: datetime) -> Held:
    loan = machine.loans_now[0] if machine.loans_now else None
    who = shown[loan.pk].requester if loan else ""
    return Held(machine, MachineState(machine.state), loan, who, loan is not None and is_overdue(loan, at))


@dataclass(frozen=True)
class ClassCount:
    """How many machines of a class are in each state; `by_state` in the order of the states."""

    machine_class: MachineClass
    by_state: list[tuple[MachineState, int]]
    in_all: int


def counts() -> list[ClassCount]:
    """Return every class that has machines, with its counts. Two queries."""
    grouped = Machine.objects.order_by().values_list("machine_class", "state").annotate(number=Count("pk"))
    found = {(machine_class, state): number for machine_class, state, number in grouped}
    counted = []
    for machine_class in MachineClass.objects.all():
        by_state = [(state, found.get((machine_class.pk, state), 0)) for state in MachineState]
        if in_all := sum(number for _, number in by_state):
            counted.append(ClassCount(machine_class, by_state, in_all))
    return counted


def csv_rows(held: Iterable[Held]):
    """Yield one row for each machine, as CSV_HEADER names them; the first seven can be imported again."""
    for one in held:
        machine, loan = one.machine, one.loan
        yield (
            machine.host, machine.machine_class.name, machine.location, machine.state, machine.is_spare,
            machine.tracking_bug, machine.notes, machine.changed_at, loan.pk if loan else None, one.who,
            loan.due_at if loan else None, one.is_overdue,
        )  # fmt: skip
