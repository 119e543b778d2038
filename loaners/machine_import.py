"""What a file of machines would change in the pool, shown before, and then done exactly so in one transaction.

How the file is read: `machine_sheet.py`.
"""

import json
from dataclasses import dataclass, field
from hashlib import sha256

from django.core import signing
from django.db import transaction

from ciduty import clock
from ciduty.bugzilla.cleaning import clean_line
from ciduty.states import NotAllowed
from loaners import machine_sheet, machines
from loaners.machine_sheet import Line, Sheet
from loaners.models import Machine, MachineClass
from loaners.rules import MACHINE_MOVES, MachineState

SALT = "loaners: machine import"
#: Column of the file -> the fact of a machine.
FACTS = {
    "class": "machine_class",
    "location": "location",
    "spare": "is_spare",
    "tracking bug": "tracking_bug",
    "notes": "notes",
}
#: A machine comes into the pool in one of these; the others come of a loan.
NEW_STATES = (MachineState.AVAILABLE, MachineState.BROKEN, MachineState.RETIRED)


@dataclass(frozen=True)
class Difference:
    """One fact that the file would change; both sides as a person reads them."""

    label: str
    old: str
    new: str


@dataclass
class Change:
    """One line that would do something: a new machine (`machine.pk` is None), or changes to one that is there."""

    number: int
    machine: Machine
    facts: dict = field(default_factory=dict)
    verb: str = ""
    differences: list[Difference] = field(default_factory=list)


@dataclass
class Plan:
    """What a file would do to the pool as it is now."""

    added: list[Change] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    same: int = 0
    refused: list[Line] = field(default_factory=list)

    @property
    def does_something(self) -> bool:
        """Answer whether confirming it changes anything."""
        return bool(self.added or self.changed)

    @property
    def fingerprint(self) -> str:
        """Return what two plans have in common only if they do the same to the same machines."""
        lines = [
            [change.number, change.machine.pk, change.machine.host, change.verb]
            + [[one.label, one.old, one.new] for one in change.differences]
            for change in (*self.added, *self.changed)
        ]
        refused = [[line.number, line.problem] for line in self.refused]
        return sha256(json.dumps([lines, self.same, refused]).encode()).hexdigest()


class Outdated(Exception):
    """The pool is no longer as the preview showed it; nothing was done."""


def plan(sheet: Sheet, *, lock: bool = False) -> Plan:
    """Return what a file would do to the pool now; with `lock` the pool stays so until the transaction ends."""
    classes = {machine_class.name: machine_class for machine_class in MachineClass.objects.all()}
    there = Machine.objects.select_related("machine_class").order_by("pk")
    if lock:
        there = there.select_for_update(of=("self",))
    pool, planned = {machine.host.lower(): machine for machine in there}, Plan()
    for line in sheet.lines:
        problem = line.problem or _why_no_class(line.facts["class"], classes)
        if problem:
            planned.refused.append(Line(line.number, line.facts, problem))
            continue
        facts = {name: line.facts[column] for column, name in FACTS.items() if column in line.facts}
        facts["machine_class"] = classes[line.facts["class"]]
        machine = pool.get(line.host)
        if machine is None:
            _plan_new(planned, line, facts)
        else:
            _plan_change(planned, line, facts, machine)
    return planned


def _why_no_class(name: str, classes: dict) -> str:
    if not name:
        return "The class is empty: every machine has one."
    if name not in classes:
        return f"There is no class “{clean_line(name, 60)}”: the classes are {', '.join(sorted(classes))}."
    return ""


def _plan_new(planned: Plan, line: Line, facts: dict) -> None:
    state = line.facts.get("state") or MachineState.AVAILABLE
    if state not in NEW_STATES:
        reason = f"A new machine is {', '.join(NEW_STATES[:-1])} or {NEW_STATES[-1]}: “{state}” comes of a loan."
        planned.refused.append(Line(line.number, line.facts, reason))
        return
    machine = Machine(host=line.host, state=state, **facts)
    shown = [Difference("state", "", str(state))] + [
        Difference(machines.label_of(name), "", _read(value)) for name, value in facts.items() if value
    ]
    planned.added.append(Change(line.number, machine, differences=shown))


def _plan_change(planned: Plan, line: Line, facts: dict, machine: Machine) -> None:
    changed = {name: value for name, value in facts.items() if getattr(machine, name) != value}
    wanted = line.facts.get("state") or machine.state
    verb = "" if wanted == machine.state else _verb(machine.state, wanted)
    reason = "" if wanted == machine.state or verb else _why_no_move(machine, wanted)
    if machine.state in machines.TAKEN and "machine_class" in changed:
        reason = reason or f"{machine} is {machine.state}: its class changes when it is back, for its steps come of it."
    if reason:
        planned.refused.append(Line(line.number, line.facts, reason))
    elif not changed and not verb:
        planned.same += 1
    else:
        shown = [
            Difference(machines.label_of(name), _read(getattr(machine, name)), _read(value))
            for name, value in changed.items()
        ]
        if verb:
            shown.append(Difference("state", machine.state, str(wanted)))
        planned.changed.append(Change(line.number, machine, changed, verb, shown))


def _verb(state: str, wanted: str) -> str:
    """Return the verb by which a person may bring a machine from a state to another, "" where there is none."""
    if state in machines.TAKEN:
        return ""
    verbs = (verb for verb in machines.BY_HAND if MACHINE_MOVES.allow(verb, state))
    return next((verb for verb in verbs if MACHINE_MOVES.target(verb) == wanted), "")


def _why_no_move(machine: Machine, wanted: str) -> str:
    if machine.state in machines.TAKEN:
        return f"{machine} is {machine.state}, and a file does not end a loan (it says {wanted}): it stays as it is."
    if wanted in machines.TAKEN:
        return f"{machine} is {machine.state}, and “{wanted}” comes of a loan: it stays as it is."
    return f"{machine} is {machine.state}, and from there it does not become {wanted}: it stays as it is."


def _read(value) -> str:
    """Write a fact as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def name_of(upload: str) -> str:
    """Return the name of an uploaded file as the record tells it."""
    return clean_line(upload, 80) or "a file"


def seal(text: str, name: str, shown: Plan, by) -> str:
    """Return the file and what was shown of it, signed, for the form that confirms it."""
    kept = {"text": text, "name": name, "shown": shown.fingerprint, "by": by.pk}
    return signing.dumps(kept, salt=SALT, compress=True)


def opened(sealed: str, by) -> tuple[Sheet, dict]:
    """Return the file that somebody was shown. Raises NotAllowed for what is not whole, or was shown to another."""
    try:
        kept = signing.loads(sealed, salt=SALT)
    except signing.BadSignature:
        kept = {}
    if kept.get("by") != by.pk:
        raise NotAllowed("This preview is not whole, or not yours: choose the file again.")
    return machine_sheet.read(kept["text"]), kept


@transaction.atomic
def do(sheet: Sheet, shown: str, by, name: str) -> Plan:
    """Do what was shown (its fingerprint), and return it. Raises Outdated when the pool changed meanwhile."""
    planned = plan(sheet, lock=True)
    if planned.fingerprint != shown:
        raise Outdated
    how, at = f"import of {name}", clock.now()
    try:
        machines.add_all([change.machine for change in planned.added], by, how=how)
        for change in planned.changed:
            machines.change_locked(change.machine, by, change.facts, at=at, how=how)
            if change.verb:
                machines.do_by_hand(change.verb, change.machine, by=by, reason=how)
    except NotAllowed:  # a machine that came in at this very moment: the lock holds only those that were there
        raise Outdated from None
    return planned
