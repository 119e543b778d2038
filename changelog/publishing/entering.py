"""What people enter themselves, one line or a whole form: a change of its own, the same one when it is sent twice."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from changelog import workflow
from changelog.models import Change, Source
from changelog.proposals import LandedAt, Proposal
from changelog.publishing import one_line
from changelog.publishing.one_line import Place
from changelog.rules import State
from ciduty import access
from ciduty.states import NotAllowed
from ciduty.systems.models import System


@dataclass(frozen=True)
class Entered:
    """A change that somebody entered. `waits`: the sentence why it is not published yet, although it was to be."""

    change: Change
    is_new: bool
    waits: str = ""


def enter(proposal: Proposal, *, by, publishes: bool, public_summary: str = "") -> Entered:
    """Enter a change in somebody's name, once. Raises NotAllowed, and enters nothing, when it cannot be published."""
    with transaction.atomic():
        # Sent twice at the same moment: the second one waits here, and finds what the first one entered.
        source = Source.objects.select_for_update().get(pk=workflow.people_source().pk)
        there = Change.objects.filter(identity=proposal.identity).first()
        if there is not None:
            return Entered(there, is_new=False)
        change = workflow.propose(proposal, by=by, source=source)
        if publishes and change.state == State.PROPOSED:
            workflow.publish(change, by, public_summary=public_summary or None)
    return Entered(change, is_new=True)


def say(line: str, *, by, op: str, at: datetime) -> Entered:
    """Take one line down; it took effect at this moment. CiDuty's own is published at once, others' is proposed.

    Where it names a bug that is not public it is kept as a proposal, for it needs other words.
    """
    said = one_line.parse(line, places())
    landings = (LandedAt(said.place.repository, at),) if said.place.repository else ()
    proposal = Proposal(
        identity=identity_of("said", by, op), message=line, summary=said.summary, kind=said.kind, bugs=said.bugs,
        system=said.place.system, author=str(by), effective_at=at, landings=landings,
    )  # fmt: skip
    entered = enter(proposal, by=by, publishes=False)
    if not entered.is_new or entered.change.state != State.PROPOSED or not access.may_publish_changes(by):
        return entered
    try:
        workflow.publish(entered.change, by)
    except NotAllowed as problem:
        return Entered(entered.change, is_new=True, waits=str(problem))
    return entered


def identity_of(how: str, by, op: str) -> str:
    """Return the identity of what one form of one person enters."""
    return f"{how}:{by.pk}:{op}"


def places() -> dict[str, Place]:
    """Return what can be named before the colon, by its name in lower case. Two queries."""
    found = {}
    systems = System.objects.in_use().values_list("pk", "slug", "title")
    slugs = {pk: slug for pk, slug, _ in systems}
    sources = Source.objects.filter(is_active=True).values_list("name", "kind", "default_system", "default_kind")
    for name, _, system, default_kind in sources:
        place = Place(slugs.get(system, ""), name, default_kind)
        found[name.casefold()] = place
        found.setdefault(name.casefold().rpartition("/")[2], place)
    for _, slug, title in systems:
        found[slug.casefold()] = found[title.casefold()] = Place(system=slug)
    return found
