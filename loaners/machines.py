"""What happens to machines, one function for each verb, and which free one a loan harms least.

The workflow of requests calls `reserve`, `lend`, `take_back` and `come_back` inside its own transaction. Forms and the
import are elsewhere. What is allowed: `rules.py`.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet

from ciduty import clock, states
from ciduty.record import write
from ciduty.states import NotAllowed
from loaners import rules
from loaners.models import LoanerRequest, Machine, MachineClass
from loaners.rules import MACHINE_MOVES, MachineState

#: A loan or its end has the machine: only the loan's own page moves it on.
TAKEN = frozenset({MachineState.RESERVED, MachineState.ON_LOAN, MachineState.RE_IMAGING})
#: What a person may do on the machine's page; the other verbs belong to the loan.
BY_HAND = ("mark broken", "return to the pool", "retire", "bring back")
#: What the record tells of a machine's facts. Notes are typed freely: that they changed is told, their words are not.
RECORDED = ("host", "machine_class", "location", "is_spare", "tracking_bug")
FACTS = (*RECORDED, "notes")


# --- which one to lend ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reason:
    """Why a machine is suggested, and what to think of before it is taken; `warning` is "" where nothing is."""

    sentence: str
    warning: str = ""


def candidates(machine_class: MachineClass) -> QuerySet[Machine]:
    """Return the free machines of a class, the least harmful first: spare ones, then those free the longest."""
    free = Machine.objects.filter(machine_class=machine_class, state=MachineState.AVAILABLE)
    return free.order_by("-is_spare", "changed_at", "pk")


def suggest(machine_class: MachineClass) -> Machine | None:
    """Return the free machine of a class whose loan harms CI least, or None when none is free."""
    return candidates(machine_class).first()


def why_suggested(machine: Machine) -> Reason:
    """Return why a free machine is suggested: spare or not, since when free (UTC), what stays. One query."""
    others = Machine.objects.filter(machine_class=machine.machine_class_id, state=MachineState.AVAILABLE)
    left = others.exclude(pk=machine.pk).aggregate(free=Count("pk"), spare=Count("pk", filter=Q(is_spare=True)))
    in_ci = left["free"] - left["spare"]
    if machine.is_spare:
        why = "Spare, CI does not need it"
    else:
        why = "Not spare, and a spare one is free" if left["spare"] else "CI gives it up, for no spare one is free"
    stays = "1 other of its class stays" if in_ci == 1 else f"{in_ci or 'no'} others of its class stay"
    sentence = f"{why}; free since {machine.changed_at:%a %d %b %Y %H:%M} UTC; {stays} in CI."
    if left["free"]:
        return Reason(sentence)
    return Reason(
        sentence, f"It is the last free machine of {machine.machine_class}: nothing is left for the next one."
    )


# --- what a loan does -------------------------------------------------------------------------------------------------


def reserve(machine: Machine, request: LoanerRequest, by) -> None:
    """Take a free machine for a request. Of two people at once one gets it; the other's NotAllowed says who has it."""
    _move(machine, "reserve", f"Reserved for the loan of bug {request.pk}", by)


def lend(machine: Machine, request: LoanerRequest, by) -> None:
    """Mark a reserved machine as handed over."""
    _move(machine, "lend", f"Handed over for the loan of bug {request.pk}", by)


def take_back(machine: Machine, request: LoanerRequest, by) -> None:
    """Mark a machine as coming back: it is cleaned or re-imaged before anybody else gets it."""
    _move(machine, "take back", f"Taken back from the loan of bug {request.pk}; to be re-imaged", by)


@transaction.atomic
def come_back(machine: Machine, request: LoanerRequest, by) -> None:
    """Let a machine leave a loan that is over: back to the pool; out of it, where it was made for the loan (cloud).

    One that was marked broken while it was taken back stays broken.
    """
    now_there = _locked(machine)
    if now_there.state == MachineState.BROKEN:
        return
    _move(machine, "return to the pool", f"Back from the loan of bug {request.pk}", by)
    if now_there.machine_class.is_cloud:
        _move(machine, "retire", "Terminated: it was made for this loan", by)


# --- what a person does -----------------------------------------------------------------------------------------------


def return_to_pool(machine: Machine, by, reason: str = "") -> None:
    """Make a machine free for CI and for loans again."""
    _move(machine, "return to the pool", _because("Returned to the pool", reason), by)


def mark_broken(machine: Machine, by, reason: str) -> None:
    """Take a machine out of use until it is repaired. Raises NotAllowed without a reason."""
    if not reason:
        raise NotAllowed(f"Say what is wrong with {machine}: whoever repairs it reads only that.")
    _move(machine, "mark broken", _because("Marked broken", reason), by)


def retire(machine: Machine, by, reason: str = "") -> None:
    """Take a machine out of the pool for good; its history stays."""
    _move(machine, "retire", _because("Retired", reason), by)


def bring_back(machine: Machine, by, reason: str = "") -> None:
    """Put a retired machine back into the pool."""
    _move(machine, "bring back", _because("Brought back", reason), by)


_DO = {"mark broken": mark_broken, "return to the pool": return_to_pool, "retire": retire, "bring back": bring_back}


def why_not(verb: str, machine: Machine, loan: LoanerRequest | None) -> str:
    """Return why a person may not do a verb on the machine's page, as a sentence, or ""; `loan`: who has it now."""
    if not MACHINE_MOVES.allow(verb, machine.state):
        return f"{machine} is {machine.get_state_display().lower()} by now: it was not changed ({verb})."
    if verb == "return to the pool" and loan is not None:
        return f"The loan of bug {loan.pk} still has {machine}: finish the loan on its page, with its proofs."
    return ""


@transaction.atomic
def do_by_hand(verb: str, machine: Machine, *, by, reason: str = "") -> None:
    """Do one of BY_HAND. Raises NotAllowed when the table or a loan forbids it now."""
    refusal = why_not(verb, _locked(machine), loan_of(machine))
    if refusal:
        raise NotAllowed(refusal)
    _DO[verb](machine, by, reason=reason)


def loan_of(machine: Machine) -> LoanerRequest | None:
    """Return the loan that has the machine now, or None."""
    return LoanerRequest.objects.filter(machine=machine, state__in=rules.HAS_MACHINE).first()


# --- its facts --------------------------------------------------------------------------------------------------------


def add(machine: Machine, by) -> None:
    """Put a new machine into the pool. Raises NotAllowed for a host that is there."""
    add_all([machine], by)


@transaction.atomic
def add_all(new: list[Machine], by, *, how: str = "") -> None:
    """Put new machines into the pool, all or none; `how` says what brought them. Raises NotAllowed as `add` does."""
    at = clock.now()
    for machine in new:
        machine.changed_at = at
    try:
        with transaction.atomic():
            Machine.objects.bulk_create(new)
    except IntegrityError:
        there = Machine.objects.filter(host__in=[machine.host for machine in new]).first() or new[0]
        raise NotAllowed(f"{there} is in the pool already: change the machine that is there.") from None
    for machine in new:
        sentence = f"Added to the pool, {machine.get_state_display().lower()}" + (f" ({how})" if how else "")
        after = {"state": str(machine.state)} | _recorded(machine, RECORDED)
        write.entry(machine.about, "added", sentence, by=by, at=at, after=after)


@transaction.atomic
def change(machine: Machine, by, facts: dict) -> list[str]:
    """Change facts of a machine (FACTS), and return which did. Raises NotAllowed for a host that another one has."""
    try:
        with transaction.atomic():
            return change_locked(_locked(machine), by, facts, at=clock.now())
    except IntegrityError:
        raise NotAllowed(f"{facts['host']} is in the pool already: choose another name.") from None


def change_locked(machine: Machine, by, facts: dict, *, at: datetime, how: str = "") -> list[str]:
    """Change facts of a machine that the caller has locked; `how` says what brought them."""
    changed = [name for name, value in facts.items() if getattr(machine, name) != value]
    if not changed:
        return []
    before = _recorded(machine, changed)
    for name in changed:
        setattr(machine, name, facts[name])
    machine.save(update_fields=changed)
    sentence = f"Changed: {', '.join(map(label_of, changed))}" + (f" ({how})" if how else "")
    write.entry(machine.about, "changed", sentence, by=by, at=at, before=before, after=_recorded(machine, changed))
    return changed


def label_of(fact: str) -> str:
    """Return what pages and files call a fact of a machine."""
    return {"machine_class": "class", "is_spare": "spare", "tracking_bug": "tracking bug"}.get(fact, fact)


def _recorded(machine: Machine, names) -> dict:
    values = {name: getattr(machine, name) for name in names if name in RECORDED}
    return {label_of(name): str(value) if name == "machine_class" else value for name, value in values.items()}


def _because(sentence: str, reason: str) -> str:
    return f"{sentence}: {reason}" if reason else sentence


def _locked(machine: Machine) -> Machine:
    """Lock the machine until the transaction ends, and return it as it is now."""
    return Machine.objects.select_for_update(of=("self",)).select_related("machine_class").get(pk=machine.pk)


@transaction.atomic
def _move(machine: Machine, verb: str, sentence: str, by) -> None:
    now_there = _locked(machine)
    if not MACHINE_MOVES.allow(verb, now_there.state):
        raise NotAllowed(_taken_by_now(now_there, verb))
    at = clock.now()
    states.move(machine, MACHINE_MOVES, verb, sentence, by=by, at=at, changed_at=at)


def _taken_by_now(machine: Machine, verb: str) -> str:
    state = machine.get_state_display().lower()
    loan = loan_of(machine) if machine.state in TAKEN else None
    whose = f" for the loan of bug {loan.pk}" if loan else ""
    next_step = "choose another one" if verb == "reserve" else "look at its page"
    return f"{machine} is {state}{whose} by now, so it was not changed ({verb}): {next_step}."
