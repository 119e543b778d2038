"""How far an application has come, on its way from our page to a request with its clock."""

from dataclasses import dataclass

from ciduty import access
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from loaners.models import Application, LoanerRequest


@dataclass(frozen=True)
class Progress:
    """How far an application has come. `request` is None until the mirror has read its bug."""

    application: Application
    update: BugUpdate | None
    request: LoanerRequest | None
    bug_id: int | None
    readable: bool

    @property
    def state(self) -> State | None:
        """Return where the filing of the bug stands."""
        return State(self.update.state) if self.update else None

    @property
    def is_settled(self) -> bool:
        """Answer whether nothing on the page will change by itself any more."""
        return self.request is not None or self.state == State.CANCELLED


def progress_of(application: Application, person) -> Progress:
    """Return how far an application has come, as this person may see it."""
    update = BugUpdate.objects.filter(pk=application.update_id).first()
    bug_id = application.bug_id or (update.bug_id if update else None)
    bug = Bug.objects.filter(pk=bug_id).first() if bug_id else None
    readable = bug is None or bug.visibility == Visibility.PUBLIC
    if bug is not None and bug.visibility == Visibility.STAFF:
        readable = access.may_read_staff_words(person)
    request = LoanerRequest.objects.filter(pk=bug_id).first() if bug_id else None
    return Progress(application, update, request, bug_id, readable)


def visible_applications(person):
    """Return the applications that this person may know of: their own, for CiDuty everybody's."""
    applications = Application.objects.select_related("person", "machine_class")
    return applications if access.may_answer_loaner_requests(person) else applications.filter(person=person)
