"""What CiDuty and the requester do with a request until a machine is chosen, one function for each verb.

What is allowed is asked of `rules.py` and the bug. Preparing, handing over: `lending.py`; taking back: `reclaiming.py`.
Every verb begins with `begin`: two people at once come in turn, and a form that was sent twice does one thing.
"""

from django.conf import settings
from django.db import transaction

from ciduty import access, clock, states
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import post, purposes
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from ciduty.people.models import logins_of
from ciduty.record import write
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from loaners import notices, reminders, sync
from loaners.models import AnsweredHere, LoanerRequest
from loaners.requester import requester_of
from loaners.rules import MOVES

ASK = "loaners: ask for information"
#: Why bugs of requests are changed: the purposes' names in rows, and what pages call them.
PURPOSES = {
    "loaners: answer": "Answer to a loaner request",
    ASK: "Question to who asked for a loaner",
    "loaners: hear back": "Answer to our question",
    "loaners: approve": "Approval of a loaner request",
    "loaners: decline": "Refusal of a loaner request",
    "loaners: cancel": "Loaner request taken back",
    "loaners: hand over": "A loaner is handed over",
    "loaners: extend": "A loan is extended",
    "loaners: give back": "A loaner is given back",
    "loaners: reclaim": "A loaner is taken back",
    "loaners: finish": "A loan is over",
}
#: These answer the requester: the promise of one working day is kept when Bugzilla has taken them.
ANSWERING = frozenset({"loaners: answer", ASK, "loaners: approve", "loaners: decline", "loaners: hand over"})
#: These close the bug: a write of theirs whose outcome nobody knows may be what closed it.
CLOSING = frozenset({"loaners: decline", "loaners: cancel", "loaners: finish"})


def about(bug_id: int) -> str:
    """Return how the record and the outbox name a request."""
    return f"loaner {bug_id}"


def why_not_answer(request: LoanerRequest) -> str:
    """Return why nobody may write to the bug from here, as a sentence, or "" when they may."""
    if request.bug.visibility == Visibility.RESTRICTED:
        return "This bug is restricted: answer it in Bugzilla, so that no word of it passes through here."
    if not request.bug.is_open:
        return "This bug is closed: reopen it in Bugzilla first."
    return ""


def signed(words: str, by) -> str:
    """Return a comment with the name of who wrote it: in Bugzilla it is the bot's. Only CiDuty signs as the team."""
    of_the_team = access.may_answer_loaner_requests(by)
    return f"{words}\n\n{by}, {settings.CIDUTY_TEAM}" if of_the_team else f"{words}\n\n{by}"


def changes_of_answer(by, comment: str, take_as: str = "") -> dict:
    """Return what an answer wants of the bug: a comment signed with the person's name; the bug taken as a login."""
    wants = {}
    if comment:
        wants["comment"] = signed(comment, by)
    if take_as:
        wants["assigned_to"] = take_as
    return wants


def seen_before_answer(request: LoanerRequest) -> dict:
    """Return what the mirror read of the bug, for the check before the write."""
    assignee = request.bug.text.assignee if hasattr(request.bug, "text") else None
    return {"audience": request.bug.visibility} | ({} if assignee is None else {"assigned_to": assignee})


# --- what every verb does ---------------------------------------------------------------------------------------------


def lock(request: LoanerRequest) -> None:
    """Let two who act on one request come in turn, and bring it up to date."""
    LoanerRequest.objects.select_for_update().get(pk=request.pk)
    request.refresh_from_db()


def said_before(request: LoanerRequest, verb: str, op: str) -> BugUpdate | Entry | None:
    """Lock the request, and return what the same form did before: what it told the bug, or else its entry.

    Raises NotAllowed when the form did something else before: the back button shows a form that was sent.
    """
    lock(request)
    row = BugUpdate.objects.filter(op=op).first()
    if row is not None and row.key != _key(request, verb, op):
        raise NotAllowed("This form was sent before, for something else: load the page anew and choose again.")
    return row or Entry.objects.filter(about=request.about, verb=verb, after__op=op).first()


def begin(request: LoanerRequest, verb: str, op: str = "") -> BugUpdate | Entry | None:
    """Lock the request for a verb, and return what the same form did before, or None when it is still to be done.

    Raises NotAllowed when the table forbids the verb, or somebody moved the request since `request` was read: whoever
    decided on what it was then decides anew.
    """
    shown = request.state
    before = said_before(request, verb, op) if op else lock(request)
    if before is None and (request.state != shown or not MOVES.allow(verb, request.state)):
        raise NotAllowed(
            f"The request of bug {request.pk} is {request.get_state_display().lower()} by now, so this was not done "
            f"({verb}): look at its page."
        )
    return before


def done_before(request: LoanerRequest, verb: str, by) -> LoanerRequest | None:
    """Lock the request, and return it as it is now if this person did a verb last that leads where it is now.

    For verbs without `op`, which a loan sees once: their button was pressed twice. `request` stays as it was read.
    """
    now_there = LoanerRequest.objects.select_for_update().get(pk=request.pk)
    entries = Entry.objects.filter(about=request.about, verb=verb).order_by("pk")
    theirs = entries.values_list("by", flat=True).last() == by.pk
    return now_there if theirs and now_there.state == MOVES.target(verb) else None


def tell_bug(request: LoanerRequest, verb: str, wants: dict, *, by, op: str) -> BugUpdate:
    """Write down a change of the request's bug. Raises NotAllowed, and changes.Unwritable as post.bug_update does."""
    _refuse_where_nobody_may_write(request)
    return post.bug_update(
        key=_key(request, verb, op),
        purpose=f"loaners: {verb}",
        about=request.about,
        bug_id=request.pk,
        wants=wants,
        seen=seen_before_answer(request),
        by=by,
        op=op,
    )


def _refuse_where_nobody_may_write(request: LoanerRequest) -> None:
    refusal = why_not_answer(request)
    if refusal:
        raise NotAllowed(refusal)


def tell_bug_of_loan(request: LoanerRequest, verb: str, wants: dict, *, by, op: str) -> list[BugUpdate]:
    """Write down a change of a running loan's bug; where nobody may write to it, the record says why nobody was told.

    A machine that is out comes back whatever became of its bug, so this refuses nothing.
    """
    if why_not_answer(request):
        restricted = request.bug.visibility == Visibility.RESTRICTED
        post.nobody_told(request.about, f"the bug is {'restricted' if restricted else 'closed'} in Bugzilla.", by=by)
        return []
    return [tell_bug(request, verb, wants, by=by, op=op)]


def move(request: LoanerRequest, verb: str, sentence: str, *, by, caused=(), op: str = "", **fields) -> None:
    """Move a request by a verb, with its entry: what it wrote, and the form (`op`) that did it."""
    entry = {"caused": [str(row) for row in caused]}
    if op:
        entry["after"] = {"state": str(MOVES.target(verb)), "op": op}
    states.move(request, MOVES, verb, sentence, by=by, at=clock.now(), entry=entry, **fields)


def _key(request: LoanerRequest, verb: str, op: str) -> str:
    return f"{request.about} {verb} {op}"


# --- the verbs --------------------------------------------------------------------------------------------------------


@transaction.atomic
def answer(request: LoanerRequest, *, by, comment: str, take_as: str = "", op: str) -> BugUpdate:
    """Answer a request with a comment, by taking the bug (as a login), or both; returns the row that carries it out.

    `op` names this very answer: sent twice, it is one. Raises NotAllowed with a sentence, and outbox.changes.Unwritable
    when Bugzilla would not take it.
    """
    before = said_before(request, "answer", op)
    if before is not None:
        return before
    row = tell_bug(request, "answer", changes_of_answer(by, comment, take_as), by=by, op=op)
    done = filter(None, ["with a comment" if comment else "", "by taking the bug" if take_as else ""])
    write.entry(request.about, "answered", f"Answered {' and '.join(done)}", by=by, caused=[row])
    return row


@transaction.atomic
def ask_for_information(request: LoanerRequest, *, by, question: str, op: str) -> BugUpdate:
    """Ask the requester, by a needinfo: the clock stands still until they answer."""
    before = begin(request, "ask for information", op)
    if before is not None:
        return before
    _refuse_where_nobody_may_write(request)
    login = requester_of(request).login
    if not login:
        raise NotAllowed("Nobody is known whom Bugzilla could ask: write a comment instead.")
    wants = {"comment": signed(question, by), "needinfo": {"of": login}}
    row = tell_bug(request, "ask for information", wants, by=by, op=op)
    sentence = "Asked for information; the clock waits for the answer"
    move(request, "ask for information", sentence, by=by, caused=[row], op=op)
    return row


@transaction.atomic
def hear_back(request: LoanerRequest, *, by, comment: str, op: str) -> BugUpdate:
    """Write the requester's answer to our question into the bug, and clear what asks them there.

    The request goes on when Bugzilla shows it answered (`settling.py`): until then its clock stands still there too.
    """
    before = begin(request, "hear back", op)
    if before is not None:
        return before
    asked = _needinfos_of_requester(request)
    if not asked:
        raise NotAllowed(
            "Bugzilla has not shown us yet that you are asked: wait a minute and send it again, or answer in the bug."
        )
    wants = {"comment": signed(comment, by), "needinfo": {"clear": asked}}
    row = tell_bug(request, "hear back", wants, by=by, op=op)
    write.entry(request.about, "answered the question", "Answered the question", by=by, caused=[row])
    return row


def _needinfos_of_requester(request: LoanerRequest) -> list[int]:
    """Return the numbers of the flags that ask the requester, as the mirror knows them."""
    who = requester_of(request)
    logins = {who.login.lower()} | (logins_of(who.person) if who.person else set())
    people = request.bug.text.flag_people if hasattr(request.bug, "text") else {}
    return [
        flag["id"]
        for flag in request.bug.flags
        if flag["name"] == "needinfo"
        and flag["status"] == "?"
        and people.get(str(flag["id"]), ["", ""])[1].lower() in logins
    ]


@transaction.atomic
def approve(request: LoanerRequest, *, by, comment: str = "", op: str) -> BugUpdate:
    """Approve a request: a machine may be chosen for it."""
    before = begin(request, "approve", op)
    if before is not None:
        return before
    words = comment or notices.approved()
    row = tell_bug(request, "approve", {"comment": signed(words, by)}, by=by, op=op)
    move(request, "approve", "Approved", by=by, caused=[row], op=op)
    return row


@transaction.atomic
def decline(request: LoanerRequest, *, by, because: str, op: str) -> BugUpdate:
    """Decline a request with a reason that the requester reads on the bug, which is resolved."""
    before = begin(request, "decline", op)
    if before is not None:
        return before
    if not because.strip():
        raise NotAllowed("Say why it is declined: the requester reads it on the bug.")
    wants = {"comment": signed(notices.declined(because), by), "status": "RESOLVED", "resolution": "WONTFIX"}
    row = tell_bug(request, "decline", wants, by=by, op=op)
    sentence = "Declined, with the reason on the bug"
    move(request, "decline", sentence, by=by, caused=[row], op=op, declined_because=because)
    return row


@transaction.atomic
def cancel(request: LoanerRequest, *, by, op: str) -> BugUpdate:
    """Take a request back before a machine was chosen; the requester may do it, and CiDuty."""
    before = begin(request, "cancel", op)
    if before is not None:
        return before
    wants = {"comment": signed(notices.cancelled(), by), "status": "RESOLVED", "resolution": "INVALID"}
    row = tell_bug(request, "cancel", wants, by=by, op=op)
    move(request, "cancel", "Taken back before a machine was chosen", by=by, caused=[row], op=op)
    return row


# --- what the outbox asks and tells -----------------------------------------------------------------------------------


def register() -> None:
    """Make known why bugs are changed and mails are written."""
    for name, label in PURPOSES.items():
        purposes.register(purposes.Purpose(name, label, may_still_go, happened))
    purposes.register(purposes.Purpose("loaners: tracking bug", "Note on a machine’s tracking bug"))
    purposes.register(purposes.Purpose(notices.LETTER, "How to reach a loaner", reminders.letter_may_still_go))
    purposes.register(purposes.Purpose(notices.REMINDER, "Reminder of a loan", reminders.may_still_go))
    purposes.register(purposes.Purpose(notices.MANAGER, "A borrower does not answer", reminders.may_still_go))


def may_still_go(row: BugUpdate) -> purposes.Stop | None:
    """Hold what we say to a bug that was closed, or opened to more readers than it was written for (safety.md F2)."""
    bug = Bug.objects.get(pk=row.bug_id)
    ours_closed_it = row.purpose in CLOSING and row.uncertain_since is not None
    if not bug.is_open and not ours_closed_it and row.purpose != "loaners: finish":
        return purposes.Stop("The bug was closed meanwhile: look whether this is still wanted.")
    if row.seen.get("audience") == Visibility.STAFF and bug.visibility == Visibility.PUBLIC:
        return purposes.Stop("It was written for staff only, and the bug is public now: look at the words again.")
    return None


def happened(row: BugUpdate) -> None:
    """Count an answer from the moment Bugzilla took it (design.md, decision 9: here or in Bugzilla itself)."""
    if row.state == State.ACCEPTED and row.purpose in ANSWERING:
        kind = "needinfo set" if "needinfo" in row.wants else "comment" if "comment" in row.wants else "assigned"
        AnsweredHere.objects.get_or_create(
            update_id=row.pk, defaults={"request_id": row.bug_id, "at": row.accepted_at, "by": row.by, "kind": kind}
        )
        sync.look_at(row.bug_id, clock.now())
    elif row.state == State.CANCELLED and row.purpose == ASK:
        sync.look_at(row.bug_id, clock.now())  # nobody was asked: the request goes on
