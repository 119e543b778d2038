"""The list of requests: its tabs by what needs doing, what somebody looks for in it, and the place of one in the queue.

Which requests somebody may know of at all: `visible`. What a row shows: `rows.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, When

from ciduty import access
from ciduty.bugzilla.models import Visibility
from loaners import agreeing, requester, rules
from loaners.models import Application, LoanerRequest
from loaners.rows import Row
from loaners.rules import RequestState
from loaners.wishes import Wish, wishes_of

#: Derived, and looked for like a state.
DUE_SOON, OVERDUE = "due soon", "overdue"
MOST_DIGITS = 9
CSV_HEADER = (
    "bug", "state", "loan", "answer", "summary", "who", "class", "machine", "asked", "answer by", "answered",
    "handed over", "due back", "extensions", "back",
)  # fmt: skip


def visible(person) -> QuerySet[LoanerRequest]:
    """Return the requests this person may know of: all of them, or their own."""
    requests = LoanerRequest.objects.select_related("bug", "bug__text", "machine__machine_class")
    if access.may_see_every_loaner_request(person):
        return requests
    return requester.own(requests, person).filter(bug__visibility=Visibility.PUBLIC)


# --- tabs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tab:
    """A part of the list. `order` is what `order_by` takes."""

    label: str
    which: Q
    order: tuple


_OVER = Q(state__in=rules.OVER)
_HAS_MACHINE = Q(state__in=rules.HAS_MACHINE)
#: Nobody has answered, and somebody still waits.
UNANSWERED = Q(answered_at=None, closed_at=None) & ~_OVER
PREPARING = Q(state__in=[RequestState.APPROVED, RequestState.PREPARING])
COMING_BACK = Q(state__in=[RequestState.RETURN_REQUESTED, RequestState.RECLAIMING])
_CLOSED = (Q(closed_at__isnull=False) | _OVER) & ~_HAS_MACHINE
_NEWEST = ("-opened_at", "-pk")
#: Running clocks by their deadline; those that wait for the requester last (`most_urgent_first`).
URGENT = (Case(When(Q(paused_since=None), then=0), default=1), "answer_by", "opened_at", "pk")
BY_DUE = (F("due_at").asc(nulls_last=True), "pk")


def overdue(at: datetime) -> Q:
    """Return which loans are overdue at a moment: out, and due before it."""
    return Q(state=RequestState.ACTIVE, due_at__lt=at)


def tabs_of_ciduty(at: datetime) -> dict[str, Tab]:
    """Return the tabs in the order of the work."""
    to_decide = Q(
        answered_at__isnull=False, closed_at=None, state__in=[RequestState.REQUESTED, RequestState.NEEDS_INFO]
    )
    return {
        "waiting": Tab("To answer", UNANSWERED, URGENT),
        "answered": Tab("To decide", to_decide, ("-answered_at", "-pk")),
        "prepare": Tab("To prepare", PREPARING, ("answered_at", "pk")),
        "out": Tab("Out", Q(state=RequestState.ACTIVE), BY_DUE),
        "overdue": Tab("Overdue", overdue(at), BY_DUE),
        "back": Tab("To take back", COMING_BACK, BY_DUE),
        "disagreeing": Tab("Bugzilla disagrees", _disagrees(), BY_DUE),
        "closed": Tab("Over", _CLOSED, (F("closed_at").desc(nulls_first=True), "-pk")),
        "all": Tab("All", Q(), _NEWEST),
    }


def _disagrees() -> Q:
    return agreeing.DISAGREES & ~Exists(agreeing.said_and_not_read(OuterRef("pk")))


def tabs_of_requester() -> dict[str, Tab]:
    """Return the tabs of somebody who sees only their own."""
    return {
        "open": Tab("Open", ~_CLOSED, _NEWEST),
        "closed": Tab("Over", _CLOSED, (F("closed_at").desc(nulls_first=True), "-pk")),
        "all": Tab("All", Q(), _NEWEST),
    }


def counts(requests: QuerySet[LoanerRequest], tabs: dict[str, Tab]) -> dict[str, int]:
    """Return how many of the requests stand on each tab. One query."""
    return requests.aggregate(**{name: Count("pk", filter=tab.which) for name, tab in tabs.items()})


# --- looking for some -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chosen:
    """What somebody looks for: a state (or DUE_SOON, OVERDUE), a class by its name, a person, a text or a number."""

    state: str = ""
    machine_class: str = ""
    person: str = ""
    text: str = ""

    @classmethod
    def of(cls, asked) -> "Chosen":
        """Read the question of a page's address; what is no state is no question."""
        state = asked.get("state", "")
        known = state in RequestState.values or state in (DUE_SOON, OVERDUE)
        person, text = (asked.get(name, "").replace("\0", "").strip()[:120] for name in ("person", "q"))
        return cls(state if known else "", asked.get("class", "").replace("\0", "")[:60], person, text)

    @property
    def something(self) -> bool:
        """Answer whether anything is looked for."""
        return self != Chosen()

    def among(self, requests: QuerySet[LoanerRequest], person, at: datetime) -> QuerySet[LoanerRequest]:
        """Return those that are looked for; words and names are searched only where this person may read them."""
        if self.state == OVERDUE:
            requests = requests.filter(overdue(at))
        elif self.state == DUE_SOON:
            soon = at + rules.DUE_SOON_DAYS
            requests = requests.filter(state=RequestState.ACTIVE, due_at__gte=at, due_at__lte=soon)
        elif self.state:
            requests = requests.filter(state=self.state)
        readable = _readable(person)
        if self.machine_class:
            asked_for = Q(pk__in=Application.objects.filter(machine_class__name=self.machine_class).values("bug_id"))
            named = Q(bug__text__summary__icontains=self.machine_class)
            wanted = Q(machine__isnull=True) & readable & (asked_for | named)
            requests = requests.filter(Q(machine__machine_class__name=self.machine_class) | wanted)
        if self.person:
            requests = requests.filter(readable & _of_person(self.person))
        if self.text:
            found = readable & Q(bug__text__summary__icontains=self.text)
            found |= Q(machine__host__icontains=self.text)
            digits = self.text.lower().removeprefix("bug").strip()
            if digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS:
                found |= Q(pk=int(digits))
            requests = requests.filter(found)
        return requests


def _readable(person) -> Q:
    kinds = [Visibility.PUBLIC]
    if access.may_read_staff_words(person):
        kinds.append(Visibility.STAFF)
    return Q(bug__visibility__in=kinds)


def _of_person(name: str) -> Q:
    asked_here = Application.objects.filter(
        Q(person__name__icontains=name) | Q(person__username__icontains=name) | Q(person__email__icontains=name)
    )
    filed = Q(bug__text__creator__icontains=name) | Q(bug__text__creator_name__icontains=name)
    return Q(pk__in=asked_here.exclude(bug_id=None).values("bug_id")) | filed


# --- the place in the queue -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """That a request is the n-th of m that wait for an answer."""

    number: int
    of: int


def place_of(request: LoanerRequest) -> Place | None:
    """Return the place of a request among those whose clocks run; None for one that does not wait. One query."""
    waits = request.answered_at is None and request.closed_at is None and request.state not in rules.OVER
    if not waits or request.paused_since is not None or request.answer_by is None:
        return None
    earlier = Q(answer_by__lt=request.answer_by) | Q(
        Q(opened_at__lt=request.opened_at) | Q(opened_at=request.opened_at, pk__lt=request.pk),
        answer_by=request.answer_by,
    )
    waiting = LoanerRequest.objects.filter(UNANSWERED, paused_since=None)
    counted = waiting.aggregate(before=Count("pk", filter=earlier), of=Count("pk"))
    return Place(counted["before"] + 1, counted["of"])


# --- as rows ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """One request in the list: its row, and the class that is asked for, "" where nobody may read it."""

    row: Row
    wanted: str


def listed(rows: Iterable[Row]) -> list[Listed]:
    """Return the rows with what each asks for. Two queries for however many."""
    rows = list(rows)
    wishes = wishes_of([row.request for row in rows]) if rows else {}
    return [Listed(row, _wanted(row, wishes[row.request.pk])) for row in rows]


def _wanted(row: Row, wish: Wish) -> str:
    if row.request.machine:
        return str(row.request.machine.machine_class)
    return str(wish.machine_class or "") if row.readable else ""


def csv_rows(found: Iterable[Listed]):
    """Yield one row for each request, as CSV_HEADER names them; words and names where this person may read them."""
    for one in found:
        row, request = one.row, one.row.request
        yield (
            request.pk, row.state.label, row.due.label if row.due else "", row.standing.label,
            row.summary if row.readable else "(restricted)", row.requester, one.wanted, request.machine,
            request.opened_at, request.answer_by, request.answered_at, request.handed_over_at, request.due_at,
            request.extensions, request.returned_at,
        )  # fmt: skip
