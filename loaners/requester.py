"""Whose request it is: who asked on our page, or who filed the bug. Their words stay where they are."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from ciduty.bugzilla.models import Visibility
from ciduty.people.models import BugzillaLogin, Person, logins_of
from loaners.models import Application, LoanerRequest


@dataclass(frozen=True)
class Requester:
    """Who waits. `person` is None for somebody without an account here; `email` is "" where none is known."""

    person: Person | None
    login: str
    email: str

    def __str__(self):
        return str(self.person) if self.person else self.login


def requester_of(request: LoanerRequest) -> Requester:
    """Return who asked: the person of the application, else whose Bugzilla login filed the bug.

    Bugzilla logins are mail addresses on the servers that ciduty follows; one that is none gives no address.
    """
    application = Application.objects.filter(bug_id=request.pk).select_related("person").first()
    if application is not None:
        login = application.person.bugzilla_logins.order_by("pk").values_list("login", flat=True).first() or ""
        return Requester(application.person, login, application.person.email)
    if request.bug.visibility == Visibility.RESTRICTED or not hasattr(request.bug, "text"):
        return Requester(None, "", "")
    login = request.bug.text.creator
    mapped = BugzillaLogin.objects.filter(login__iexact=login).select_related("person").first()
    person = mapped.person if mapped else None
    return Requester(person, login, person.email if person and person.email else login if "@" in login else "")


def applicants(bug_ids: Iterable[int]) -> dict[int, Person]:
    """Return who asked here, by the bug that was filed for them; two queries, their Bugzilla logins with them."""
    asked = Application.objects.filter(bug_id__in=list(bug_ids)).select_related("person")
    return {one.bug_id: one.person for one in asked.prefetch_related("person__bugzilla_logins")}


def logins_known_of(person: Person) -> list[str]:
    """Return the logins that came with `applicants`, in lower case, the oldest first; no query."""
    return [one.login.lower() for one in sorted(person.bugzilla_logins.all(), key=lambda one: one.pk)]


def own(requests: QuerySet, person: Person) -> QuerySet:
    """Return those requests that are this person's: asked for here, or filed in Bugzilla under a login of theirs."""
    asked_here = Application.objects.filter(person=person).exclude(bug_id=None).values("bug_id")
    return requests.filter(Q(bug__text__creator__in=logins_of(person)) | Q(pk__in=asked_here))
