"""What somebody asks for with a request: their application where they asked here, else what the summary says.

The mirror keeps no descriptions (DECISIONS.md, 6), so of a bug that was filed in Bugzilla only the summary is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ciduty.bugzilla.models import Visibility
from loaners import parsing
from loaners.models import Application, LoanerRequest, MachineClass

RESTRICTED = "This bug is restricted: what it asks for stays in Bugzilla."
IN_BUGZILLA = "Everything else stands in the bug’s description, in Bugzilla."


@dataclass(frozen=True)
class Wish:
    """What is asked for. What is empty or None is not known: `missing` says of each in a sentence why.

    It holds words of the bug: show it only where the row of the request is readable (`rows.py`).
    """

    machine_class: MachineClass | None = None
    bug: int | None = None
    until: date | None = None
    why: str = ""
    person: str = ""
    system_needs: str = ""
    access: str = ""
    time_zone: str = ""
    asked_here: bool = False
    missing: tuple[str, ...] = ()


def wish_of(request: LoanerRequest) -> Wish:
    """Return what one request asks for."""
    return wishes_of([request])[request.pk]


def wishes_of(requests: Iterable[LoanerRequest]) -> dict[int, Wish]:
    """Return what requests ask for, by bug. Two queries for however many; wants `bug` and `bug__text` selected."""
    requests = list(requests)
    asked = Application.objects.filter(bug_id__in=[request.pk for request in requests])
    applications = {one.bug_id: one for one in asked.select_related("person", "machine_class")}
    classes = {one.name.lower(): one for one in MachineClass.objects.all()}
    return {request.pk: _wish(request, applications.get(request.pk), classes) for request in requests}


def _wish(request: LoanerRequest, application: Application | None, classes: dict[str, MachineClass]) -> Wish:
    text = getattr(request.bug, "text", None)
    if request.bug.visibility == Visibility.RESTRICTED or text is None:
        return Wish(asked_here=application is not None, missing=(RESTRICTED,))
    if application is not None:
        return of_application(application)
    said = parsing.parse(text.summary, classes=classes)
    return Wish(
        machine_class=classes[said.machine_class.value] if said.machine_class else None,
        bug=said.bug.value if said.bug else None,
        until=said.until.value if said.until else None,
        person=said.person.value if said.person else text.creator_name or text.creator,
        missing=(*said.missing, IN_BUGZILLA),
    )


def of_application(application: Application) -> Wish:
    """Return what was asked for on our page."""
    return Wish(
        machine_class=application.machine_class,
        bug=application.debugging_bug,
        until=application.until,
        why=application.why,
        person=str(application.person),
        system_needs=application.system_needs,
        access=application.access,
        time_zone=application.time_zone,
        asked_here=True,
        missing=() if application.debugging_bug else ("There is no bug yet that is being debugged.",),
    )
