"""Proposes what a downtime changed to the change log: each piece of work that landed or was rolled back (R34).

A person publishes it. Of a bug that is not public it says what the public may read, and does not name the bug.
"""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from changelog import workflow
from changelog.models import Change
from changelog.proposals import Proposal
from changelog.rules import Kind
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.systems.models import System, slug_of
from downtimes import showing
from downtimes.models import Downtime, Item
from downtimes.rules import ItemState
from downtimes.showing import PublicItem

_DID = {ItemState.LANDED: "", ItemState.ROLLED_BACK: "Rolled back: "}


def identity_of(downtime_id: int, bug_id: int) -> str:
    """Return what a piece of work is in the change log."""
    return f"ciduty:downtime:{downtime_id}:bug:{bug_id}"


def propose(downtime: Downtime, at: datetime) -> list[Change]:
    """Propose a change for each piece of work that landed or was rolled back; told again, it is the same one.

    In the caller's transaction, once it is over: what the public may read of each is what its page says.
    """
    facts = showing.public_facts(downtime, at)
    if facts is None:
        return []
    done = list(downtime.items.filter(state__in=list(_DID)).select_related("nomination"))
    bugs = [item.bug_id for item in done]
    public = set(Bug.objects.filter(pk__in=bugs, visibility=Visibility.PUBLIC).values_list("pk", flat=True))
    systems = _systems_of(done)
    said = {item.bug: item for item in facts.items}
    return [
        workflow.propose(_proposal(downtime, facts.title, item, said.get(item.bug_id), public, systems), at=at)
        for item in done
    ]


def _proposal(downtime: Downtime, title: str, item: Item, said: PublicItem | None, public: set, systems) -> Proposal:
    text = " ".join(said.text.split()) if said else ""
    summary = _DID[ItemState(item.state)] + (text or f"work in the downtime “{title}”")
    page = settings.SITE_URL.rstrip("/") + reverse("downtime", args=[downtime.pk])
    return Proposal(
        identity=identity_of(downtime.pk, item.bug_id),
        kind=Kind.SERVICE,
        summary=summary[:1].upper() + summary[1:],
        message=said.words if said else "",
        system=systems.get(item.pk, ""),
        bugs=(item.bug_id,) if item.bug_id in public else (),
        links=((title, page),),
        effective_at=item.ended_at,
    )


def _systems_of(items: list[Item]) -> dict[int, str]:
    """Return the catalogue's slug of each piece of work whose system, as it was typed, is one of the catalogue."""
    typed = {item.pk: slug_of(item.nomination.system) for item in items if item.nomination and item.nomination.system}
    known = set(System.objects.filter(slug__in=set(typed.values())).values_list("slug", flat=True))
    return {pk: slug for pk, slug in typed.items() if slug in known}
