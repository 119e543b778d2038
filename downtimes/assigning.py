"""Gives a bug to who really does its work (R16), through the outbox; what Bugzilla made of it, the mirror shows."""

from django.db import transaction

from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import post, purposes
from ciduty.outbox.models import BugUpdate
from ciduty.record import write
from ciduty.states import NotAllowed
from downtimes import rules
from downtimes.models import Downtime, Item

ASSIGN = "downtimes: assign"


def why_not(item: Item, bug: Bug | None) -> str:
    """Return why the bug of an item cannot be assigned from here, as a sentence, or "" when it can."""
    if not item.worker:
        return "Nobody is named who does this work: enter the worker first."
    if bug is None or bug.visibility == Visibility.RESTRICTED or not hasattr(bug, "text"):
        return "This bug is restricted: assign it in Bugzilla."
    if not bug.is_open:
        return "This bug is closed: reopen it in Bugzilla first."
    if bug.text.assignee.lower() == item.worker:
        return f"{item.worker} has the bug already."
    return ""


@transaction.atomic
def assign(item: Item, *, by, op: str) -> BugUpdate:
    """Write down that the worker shall have the bug, and return the row. `op`: the form; sent twice, it is one.

    Raises NotAllowed with a sentence.
    """
    downtime = Downtime.objects.select_for_update().get(pk=item.downtime_id)
    before = BugUpdate.objects.filter(op=op, purpose=ASSIGN).first()
    if before is not None:
        return before
    bug = Bug.objects.select_related("text").filter(pk=item.bug_id).first()
    refusal = why_not(item, bug)
    if downtime.state not in rules.PLANNED:
        refusal = f"“{downtime.title}” is {downtime.get_state_display().lower()} by now: nothing of it can be changed."
    if refusal:
        raise NotAllowed(refusal)
    row = post.bug_update(
        key=f"{downtime.about} assign {op}", purpose=ASSIGN, about=downtime.about, bug_id=item.bug_id, by=by, op=op,
        wants={"assigned_to": item.worker}, seen={"assigned_to": bug.text.assignee},
    )  # fmt: skip
    write.entry(downtime.about, "assigned", f"Assigned bug {item.bug_id} to its worker", by=by, caused=[row])
    return row


def register() -> None:
    """Make known why bugs are assigned."""
    purposes.register(purposes.Purpose(ASSIGN, "A bug goes to who does its work"))
