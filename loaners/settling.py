"""What Bugzilla means for where a request is: closed, reopened, a question asked or answered there.

A machine that is out is never brought back by a bug: then there is a disagreement, for a person (`reclaiming.py`).
"""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from ciduty import states
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from loaners import rules
from loaners.models import LoanerRequest
from loaners.rules import ASKED, MOVES, OVER, Event, RequestState

#: A question may be answered in the very cycle that first saw it: these are looked at with every poll.
LISTENING = Q(loaner_request__state=RequestState.NEEDS_INFO)


def state_of_new(bug: Bug, events: Iterable[Event]) -> RequestState:
    """Return where a request is that is seen for the first time."""
    if bug.is_open:
        asked = rules.paused_since(events) is not None
        return RequestState.NEEDS_INFO if asked else RequestState.REQUESTED
    return RequestState.RETURNED if bug.resolution == "FIXED" else RequestState.CANCELLED


def settle(bugs: list[Bug], known: dict[int, LoanerRequest], events: dict[int, list[Event]], at: datetime) -> None:
    """Move the requests of these bugs where Bugzilla leads.

    `known`: the requests as they stood before these news, locked by the caller; those that are new are not among them.
    """
    for bug in bugs:
        request = known.get(bug.pk)
        if request is None:
            continue
        verb, sentence = _verb(bug, request, events.get(bug.pk, []))
        if verb:
            changes = {"declined_because": "", "returned_at": None} if verb == "reopened in Bugzilla" else {}
            states.move(request, MOVES, verb, sentence, at=at, entry={"from_outside": True}, **changes)
    _forget_words(bugs)


def _verb(bug: Bug, request: LoanerRequest, events: list[Event]) -> tuple[str, str]:
    """Return what Bugzilla does with a request, and the sentence for the record; ("", "") for nothing."""
    state = request.state
    if not bug.is_open:
        if state not in ASKED:
            return "", ""
        if bug.resolution == "FIXED":
            return "settled in Bugzilla", "The bug was resolved as fixed in Bugzilla"
        return "closed in Bugzilla", "The bug was closed in Bugzilla"
    # What we closed ourselves has `closed_at` only when the mirror has seen it closed: until then it is no reopening.
    if state in OVER and request.closed_at is not None and request.machine_id is None:
        return "reopened in Bugzilla", "The bug was reopened in Bugzilla"
    asked = rules.paused_since(events) is not None
    if state == RequestState.REQUESTED and asked:
        return "ask for information", "A question waits for the requester in Bugzilla"
    if state == RequestState.NEEDS_INFO and not asked and _shows_our_question(bug, request):
        return "hear back", "No question waits for the requester in Bugzilla any more"
    return "", ""


def _shows_our_question(bug: Bug, request: LoanerRequest) -> bool:
    """Answer whether the mirror has seen the last question that we asked: until then nobody can have answered it.

    Only our own clock is asked, when Bugzilla took it and when the bug was read: Bugzilla's may be hours away.
    """
    ours = BugUpdate.objects.filter(about=request.about, purpose="loaners: ask for information")
    asked = ours.exclude(state=State.CANCELLED).order_by("pk").last()
    if asked is None:
        return True
    return asked.accepted_at is not None and bug.read_at is not None and bug.read_at > asked.accepted_at


def _forget_words(bugs: list[Bug]) -> None:
    """Take our reason for declining away with the words of a bug that turned restricted: it may speak of them."""
    restricted = [bug.pk for bug in bugs if bug.visibility == Visibility.RESTRICTED and bug.held_back]
    LoanerRequest.objects.filter(pk__in=restricted).exclude(declined_because="").update(declined_because="")
