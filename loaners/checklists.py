"""The steps of preparing a machine and of taking it back: what ships, and what a loan's steps are copied from.

The steps are those of the loaner process (domain.md, chapter 1, rows 6 to 16). A change makes a new version; loans that
have begun keep theirs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Max

from ciduty import clock
from ciduty.states import NotAllowed
from loaners.models import Checklist, ListKind, LoanerRequest, MachineClass, Step


@dataclass(frozen=True)
class Shipped:
    """A step as it ships. `only`: for which classes ("all", "pool", "cloud", "windows")."""

    key: str
    text: str
    second_look: bool = False
    only: str = "all"


PREPARE = (
    Shipped("tracking bug", "Reopen or file the host’s tracking bug and let it depend on the loan’s bug", only="pool"),
    Shipped("quarantine", "Quarantine the host, with the reason “on loan, bug …”, and let its task end", only="pool"),
    Shipped("create", "Create the instance; its name takes up to 20 minutes to resolve", only="cloud"),
    Shipped("group switch", "Move the host to the loaner group, so that policies do not undo the loan", only="windows"),
    Shipped("clean secrets", "Remove every key, token and credential, and look for what was missed", second_look=True),
    Shipped("vpn", "Grant the VPN: add the person to the loan group (they reconnect); write the grant down below"),
    Shipped("access", "Prepare the access that was asked for, and try it once yourself"),
)
RECLAIM = (
    Shipped("revoke", "Take the person out of the VPN loan group, and end every other grant"),
    Shipped("terminate", "Terminate the instance and remove its name", only="cloud"),
    Shipped("re-image", "Re-image the host", only="pool"),
    Shipped("group back", "Move the host back to its production group", only="windows"),
    Shipped("re-enable", "Lift the quarantine", only="pool"),
    Shipped("takes jobs", "See it take a job and finish it", only="pool"),
)
SHIPPED = {ListKind.PREPARE: PREPARE, ListKind.RECLAIM: RECLAIM}
#: Without these a list is none, whoever revises it: no machine leaves with a secret, and no access outlives its loan.
NEVER_WITHOUT = {ListKind.PREPARE: "clean secrets", ListKind.RECLAIM: "revoke"}


def _applies(step: Shipped, machine_class: MachineClass) -> bool:
    return {
        "all": True,
        "pool": not machine_class.is_cloud,
        "cloud": machine_class.is_cloud,
        "windows": machine_class.needs_group_switch,
    }[step.only]


def shipped_steps(machine_class: MachineClass, kind: ListKind) -> list[dict]:
    """Return the steps that ship for a class, as a checklist stores them."""
    return [
        {"key": step.key, "text": step.text, "runbook": machine_class.runbook_url, "second_look": step.second_look}
        for step in SHIPPED[kind]
        if _applies(step, machine_class)
    ]


def current(machine_class: MachineClass, kind: ListKind) -> Checklist:
    """Return the newest version of a class's checklist; the shipped one is written down at the first use."""
    newest = Checklist.objects.filter(machine_class=machine_class, kind=kind).order_by("-version").first()
    if newest is not None:
        return newest
    first = {"steps": shipped_steps(machine_class, kind), "made_at": clock.now()}
    made, _ = Checklist.objects.get_or_create(machine_class=machine_class, kind=kind, version=1, defaults=first)
    return made


def revise(machine_class: MachineClass, kind: ListKind, steps: list[dict], by=None) -> Checklist:
    """Write a new version of a checklist. Loans that have begun keep theirs.

    Raises NotAllowed for a list without the step that nothing goes without, for one that names a step twice, and when
    somebody else wrote a version at the same moment.
    """
    _check(kind, steps)
    last = Checklist.objects.filter(machine_class=machine_class, kind=kind).aggregate(last=Max("version"))["last"] or 0
    try:
        with transaction.atomic():
            return Checklist.objects.create(
                machine_class=machine_class, kind=kind, version=last + 1, steps=steps, made_at=clock.now(), made_by=by
            )
    except IntegrityError:
        raise NotAllowed(
            f"Somebody else wrote version {last + 1} of this list at the same moment: look at it, then change it anew."
        ) from None


def _check(kind: ListKind, steps: list[dict]) -> None:
    keys = [step["key"] for step in steps]
    if len(set(keys)) < len(keys):
        raise NotAllowed("The list names a step twice: give each step a name of its own.")
    needed = NEVER_WITHOUT[kind]
    if needed not in keys:
        raise NotAllowed(f"The list lacks the step “{needed}”, without which no loan goes on: keep it.")
    if kind == ListKind.PREPARE and not next(step for step in steps if step["key"] == needed).get("second_look"):
        raise NotAllowed(f"The step “{needed}” needs a second look: keep it.")


def begin(request: LoanerRequest, kind: ListKind) -> list[Step]:
    """Copy the steps of the machine's class to a loan; called when preparing or taking back begins."""
    checklist = current(request.machine.machine_class, kind)
    return Step.objects.bulk_create(
        Step(
            request=request,
            kind=kind,
            position=position,
            key=step["key"],
            text=step["text"],
            runbook_url=step.get("runbook", ""),
            second_look=step.get("second_look", False),
            checklist_version=checklist.version,
        )
        for position, step in enumerate(checklist.steps, start=1)
    )


def missing(request: LoanerRequest, kind: ListKind) -> list[str]:
    """Return what is still to be done of a list, as sentences, in the order of the steps."""
    steps = list(request.steps.filter(kind=kind))
    told = [lacking for step in steps if (lacking := _lacking(step))]
    if NEVER_WITHOUT[kind] not in [step.key for step in steps]:
        told.append(f"The step “{NEVER_WITHOUT[kind]}” (it is not among the steps of this loan)")
    return told


def without_proof(steps: Iterable[Step]) -> list[str]:
    """Return which of these steps are done and nobody wrote down how that was seen."""
    return [f"{step.text} (done, and no proof is written down)" for step in steps if step.done_at and not step.evidence]


def _lacking(step: Step) -> str:
    if step.done_at is None:
        return f"{step.text} (not done)"
    if step.second_look and step.checked_at is None:
        return f"{step.text} (done, and not looked at a second time)"
    return ""
