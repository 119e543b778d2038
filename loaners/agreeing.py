"""Where a loan and its bug disagree, and the one-click ways to settle it. That they do is said by `reclaiming.py`.

Nothing here moves a loan: the bug is reopened or resolved, and a machine comes back by its checklist alone.
"""

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from ciduty import bell
from ciduty.bugzilla import poll
from ciduty.bugzilla import tasks as polling
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import post, purposes
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import UNDER_WAY, State
from ciduty.record import write
from ciduty.states import NotAllowed
from loaners import reclaiming, rules, workflow
from loaners.models import LoanerRequest

REOPEN, RESOLVE = "reopen the bug", "resolve the bug"
PURPOSES = {
    f"loaners: {REOPEN}": "A bug is reopened: its loan goes on",
    f"loaners: {RESOLVE}": "A bug is resolved: its loan is over",
}
WANTS = {
    REOPEN: {"status": "REOPENED"},
    RESOLVE: {"status": "RESOLVED", "resolution": "FIXED"},
}
ON_ITS_WAY = "That is on its way to Bugzilla already; this page shows when Bugzilla has taken it."
AGREED = "Bugzilla and the loan agree again: there is nothing to settle."


def said_and_not_read(bug_id) -> QuerySet:
    """Return what we said that opens or closes a bug and the mirror has not read yet. `bug_id`: a number or OuterRef.

    What is held or failed is not among it: somebody has to look.
    """
    read_at = Bug.objects.filter(pk=OuterRef("bug_id")).values("read_at")[:1]
    ours = BugUpdate.objects.filter(bug_id=bug_id, wants__has_key="status")
    return ours.filter(Q(state__in=UNDER_WAY) | Q(state=State.ACCEPTED, accepted_at__gt=read_at))


def disagreement(request: LoanerRequest) -> str:
    """Return how Bugzilla and the loan disagree, as a sentence, or "": also while our own word is on its way there."""
    sentence = reclaiming.disagreement(request)
    return "" if sentence and said_and_not_read(request.pk).exists() else sentence


def disagreeing(requests: QuerySet[LoanerRequest]) -> QuerySet[LoanerRequest]:
    """Return those of the requests that `disagreement` says something of."""
    return requests.filter(DISAGREES).exclude(Exists(said_and_not_read(OuterRef("pk"))))


_OUT = Q(state__in=rules.HAS_MACHINE)
#: As `reclaiming.disagreement` decides it, for a query.
DISAGREES = (
    (_OUT & Q(bug__is_open=False)) | (_OUT & Q(bug__moved_away=True)) | Q(state__in=rules.OVER, bug__is_open=True)
)


def way_with_the_bug(request: LoanerRequest) -> str:
    """Return what may be done to the bug so that it agrees with the loan (REOPEN, RESOLVE), "" for nothing."""
    if request.bug.visibility == Visibility.RESTRICTED:
        return ""  # no word of it passes through here: it is done in Bugzilla
    if request.state in rules.HAS_MACHINE and not request.bug.is_open:
        return REOPEN
    if request.state in rules.OVER and request.bug.is_open and request.machine_id:
        return RESOLVE
    return ""


@transaction.atomic
def settle(request: LoanerRequest, verb: str, *, by, op: str) -> BugUpdate:
    """Reopen or resolve the bug, whichever agrees with the loan. Raises NotAllowed when that is settled by now."""
    before = workflow.said_before(request, verb, op)
    if before is not None:
        return before
    if said_and_not_read(request.pk).exists():
        raise NotAllowed(ON_ITS_WAY)
    if way_with_the_bug(request) != verb:
        raise NotAllowed(AGREED)
    words = {
        REOPEN: f"{request.machine} is not back yet, so this stays open until it is.",
        RESOLVE: f"The loan is over, and {request.machine} is back.",
    }[verb]
    row = post.bug_update(
        key=f"{request.about} {verb} {op}",
        purpose=f"loaners: {verb}",
        about=request.about,
        bug_id=request.pk,
        wants=WANTS[verb] | {"comment": workflow.signed(words, by)},
        seen={"audience": request.bug.visibility},
        by=by,
        op=op,
    )
    sentence = {REOPEN: "Asked Bugzilla to reopen the bug", RESOLVE: "Asked Bugzilla to resolve the bug"}[verb]
    write.entry(request.about, verb, sentence, by=by, caused=[row])
    return row


def register() -> None:
    """Make known why bugs are reopened and resolved."""
    for name, label in PURPOSES.items():
        purposes.register(purposes.Purpose(name, label, may_still_go, happened))


def may_still_go(row: BugUpdate) -> purposes.Stop | None:
    """Drop what was settled meanwhile, and hold what was written for fewer readers."""
    request = LoanerRequest.objects.select_related("bug").get(pk=row.bug_id)
    if way_with_the_bug(request) != row.purpose.removeprefix("loaners: "):
        return purposes.Stop(AGREED, for_good=True)
    if row.seen.get("audience") == Visibility.STAFF and request.bug.visibility == Visibility.PUBLIC:
        return purposes.Stop("It was written for staff only, and the bug is public now: look at the words again.")
    return None


def happened(row: BugUpdate) -> None:
    """Have the bug read soon: the disagreement stands on pages until the mirror has seen that it is over."""
    if row.state == State.ACCEPTED:
        poll.want_sync()
        bell.ring_after_commit(polling.poll_if_due.name, "sync")
