"""What a loan says on the tracking bug of its machine (domain.md, chapter 1, rows 6 and 16).

While the machine is away its tracking bug is mirrored, so that it is reopened and closed only from where it really is;
of one that the mirror does not know, the status is left alone.
"""

from ciduty.bugzilla.models import Bug, TrackedId
from ciduty.outbox import post
from ciduty.outbox.models import BugUpdate
from loaners import workflow
from loaners.models import LoanerRequest, Machine
from loaners.rules import MachineState

PURPOSE = "loaners: tracking bug"
TRACKED_BECAUSE = "the tracking bug of a machine on loan"


def lent(request: LoanerRequest, machine: Machine, by) -> list[BugUpdate]:
    """Say that a machine is being loaned, and let its tracking bug wait for the loan's; reopen one that is closed."""
    if not machine.tracking_bug:
        return []
    TrackedId.objects.get_or_create(bug_id=machine.tracking_bug, defaults={"why": TRACKED_BECAUSE})
    bug = Bug.objects.filter(pk=machine.tracking_bug, is_open=False).first()
    wants = {"depends_on": [request.pk]} | ({"status": "REOPENED"} if bug else {})
    return [_say(request, machine, "lent", f"Being loaned on bug {request.pk}.", wants, bug, by)]


def back(request: LoanerRequest, machine: Machine, by) -> list[BugUpdate]:
    """Say how a machine came back, and close its tracking bug unless the machine is broken."""
    if not machine.tracking_bug:
        return []
    broken = machine.state == MachineState.BROKEN
    bug = None if broken else Bug.objects.filter(pk=machine.tracking_bug, is_open=True).first()
    wants = {"status": "RESOLVED", "resolution": "FIXED"} if bug else {}
    row = _say(request, machine, "back", f"Back from the loan on bug {request.pk}: {_became(machine)}.", wants, bug, by)
    TrackedId.objects.filter(bug_id=machine.tracking_bug, why=TRACKED_BECAUSE).delete()
    return [row]


def _became(machine: Machine) -> str:
    if machine.state == MachineState.BROKEN:
        return "it is broken, and stays out of the pool"
    return "it was terminated" if machine.machine_class.is_cloud else "it was re-imaged, and takes jobs again"


def _say(request, machine, what: str, words: str, wants: dict, bug: Bug | None, by) -> BugUpdate:
    return post.bug_update(
        key=f"{request.about} tracking bug {what} {machine.pk}",
        purpose=PURPOSE,
        about=request.about,
        bug_id=machine.tracking_bug,
        wants=wants | {"comment": workflow.signed(words, by)},
        seen={"status": bug.status, "resolution": bug.resolution} if bug else {},
        by=by,
    )
