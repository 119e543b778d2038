"""Tells the change log that a machine left its pool for a loan, and that it is back: never for whom, nor why.

A machine in the cloud is made for its loan: no pool has one less, and nothing is told.
"""

from datetime import datetime

from changelog import workflow
from changelog.proposals import Proposal
from changelog.rules import Kind
from ciduty.bugzilla.models import Visibility
from loaners.models import LoanerRequest, Machine


def handed_over(request: LoanerRequest, machine: Machine, at: datetime) -> None:
    """Propose that the machine's pool has one less; in the caller's transaction."""
    less = "CI does not use it" if machine.is_spare else "the pool has one machine less"
    _propose(request, machine, "out", f"{machine.host} is on loan: {less}", at)


def came_back(request: LoanerRequest, machine: Machine, at: datetime) -> None:
    """Propose that the machine's pool has it again; in the caller's transaction."""
    more = "CI does not use it" if machine.is_spare else "the pool has one machine more"
    _propose(request, machine, "back", f"{machine.host} is back from a loan: {more}", at)


def _propose(request: LoanerRequest, machine: Machine, what: str, summary: str, at: datetime) -> None:
    if machine.machine_class.is_cloud:
        return
    workflow.propose(
        Proposal(
            # Not the request's number: it is that of a bug which may turn restricted.
            identity=f"ciduty:machine:{machine.pk}:{what}:{at:%Y-%m-%dT%H:%M:%S.%fZ}",
            kind=Kind.HARDWARE,
            summary=summary,
            pools=(machine.machine_class.name,),
            bugs=(request.pk,) if request.bug.visibility == Visibility.PUBLIC else (),
            effective_at=at,
        ),
        at=at,
    )
