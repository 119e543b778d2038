"""Taking a machine back and ending a loan; and whether Bugzilla disagrees. What is allowed: `rules.py`."""

from django.db import transaction

from ciduty import clock
from ciduty.outbox import post
from ciduty.states import NotAllowed
from loaners import change_events, checklists, machines, notices, rules, tracking, workflow
from loaners.models import ListKind, LoanerRequest
from loaners.rules import RequestState


@transaction.atomic
def reclaim(request: LoanerRequest, *, by) -> None:
    """Begin to take a machine back: given back, overdue, or never handed over. Its steps begin.

    Whoever has it and did not give it back is told on the bug.
    """
    if workflow.done_before(request, "reclaim", by) is not None:
        return
    workflow.begin(request, "reclaim")
    told = []
    if request.state == RequestState.ACTIVE:
        comment = {"comment": workflow.signed(notices.reclaimed(request), by)}
        told = workflow.tell_bug_of_loan(request, "reclaim", comment, by=by, op=post.new_op())
    machines.take_back(request.machine, request, by)
    workflow.move(request, "reclaim", f"{request.machine} is being taken back", by=by, caused=told)
    checklists.begin(request, ListKind.RECLAIM)


def why_not_finish(request: LoanerRequest) -> list[str]:
    """Return what is missing before a loan is over: steps without proof, access that was not taken away."""
    lacking = checklists.missing(request, ListKind.RECLAIM)
    lacking += checklists.without_proof(request.steps.filter(kind=ListKind.RECLAIM))
    lacking += [f"Take away {given.what} from {given.grantee}" for given in request.grants.filter(revoked_at=None)]
    return lacking


@transaction.atomic
def finish(request: LoanerRequest, *, by, op: str) -> None:
    """End a loan: the machine goes back to the pool, the bug is resolved, the tracking bug told.

    Raises NotAllowed while a step, its proof or a revocation is missing.
    """
    if workflow.begin(request, "finish", op) is not None:
        return
    lacking = why_not_finish(request)
    if lacking:
        raise NotAllowed("The loan is not over yet. Still missing: " + "; ".join(lacking) + ".")
    machines.come_back(request.machine, request, by)
    caused = []
    if not workflow.why_not_answer(request):
        words = workflow.signed(notices.finished(request), by)
        wants = {"comment": words, "status": "RESOLVED", "resolution": "FIXED"}
        caused.append(workflow.tell_bug(request, "finish", wants, by=by, op=op))
    caused += tracking.back(request, request.machine, by)
    sentence = f"{request.machine} is back; the loan is over"
    at = clock.now()
    workflow.move(request, "finish", sentence, by=by, caused=caused, op=op, returned_at=at)
    change_events.came_back(request, request.machine, at)


def disagreement(request: LoanerRequest) -> str:
    """Return how Bugzilla and the loan disagree, as a sentence, or "": a closed bug never brings a machine back.

    What we said ourselves and Bugzilla has not got yet is a disagreement here too; `agreeing.py` leaves it out.
    """
    if request.state in rules.HAS_MACHINE and not request.bug.is_open:
        out = "is still out" if request.state in rules.OUT else "is not back in the pool"
        return f"The bug is closed in Bugzilla, and {request.machine} {out}."
    if request.state in rules.HAS_MACHINE and request.bug.moved_away:
        return f"The bug was moved to another component in Bugzilla, and {request.machine} is not back in the pool."
    if request.state in rules.OVER and request.bug.is_open and request.machine_id:
        return "The loan is over here, and the bug is open in Bugzilla."
    if request.state in rules.OVER and request.bug.is_open:
        state = request.get_state_display().lower()
        return f"The request is {state} here, and the bug is open in Bugzilla: look below what it has not taken."
    return ""
