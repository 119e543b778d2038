"""Finds when a push landed by a revision of Mercurial or git, whole or its first digits, from what may be public.

A change that nobody published, or that names a bug which is not public, is not asked; what a source saw is.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min, Q

from changelog import index
from changelog.models import Change, DayCount, Landing, SeenRevision, Source
from changelog.models.sources import POLLED

SHORTEST, LONGEST = 7, 40
#: A permalink names a revision by so many digits: what Mercurial prints, and enough for git.
NAMED_BY = 12
MOST_CANDIDATES = 10
_MOST_ROWS = 40
_HEX = re.compile(r"[0-9a-f]{7,40}")
#: Sorts behind every revision that begins with what stands before it.
_BEHIND = "g"


@dataclass(frozen=True)
class Pushed:
    """That a revision reached a repository. `change` is its public change, if there is one."""

    revision: str
    repository: str
    at: datetime
    push: str = ""
    change: int | None = None


def find(digits: str) -> list[Pushed]:
    """Return where a revision landed, the first landing first; several revisions where the digits name several."""
    digits = digits.lower()
    if not _HEX.fullmatch(digits):
        return []
    found = _of_changes(digits) + _seen(digits)
    if not found:
        found = _of_landings(digits)
    best: dict[tuple[str, str], Pushed] = {}
    for one in found:  # a change's own landing knows more than what was merely seen
        best.setdefault((one.revision[:NAMED_BY], one.repository), one)
    return sorted(best.values(), key=lambda one: (one.at, one.repository))


def _of_changes(digits: str) -> list[Pushed]:
    named = Q(identity__startswith=f"hg:{digits[:NAMED_BY]}") | Q(identity__startswith=f"git:{digits}")
    rows = Change.objects.public().filter(named).values_list("pk", "identity", "hidden_bugs")[:_MOST_ROWS]
    known = {pk: identity.partition(":")[2] for pk, identity, hidden in rows if not hidden}
    if not known:
        return []
    landings = Landing.objects.filter(change__in=known).order_by("at", "pk")[:_MOST_ROWS]
    pushed = [_pushed(one, _longer(one.revision, known[one.change_id])) for one in landings]
    return [one for one in pushed if _are_one(one.revision, digits)]


def _are_one(first: str, second: str) -> bool:
    return first.startswith(second) or second.startswith(first)


def _longer(landed: str, identity: str) -> str:
    return landed if landed.startswith(identity) else identity


def _of_landings(digits: str) -> list[Pushed]:
    """Look where a landing alone names the revision: a change that a program told under its own name."""
    rows = Landing.objects.filter(revision__gte=digits, revision__lt=digits + _BEHIND, change__is_public=True)
    rows = rows.select_related("change").only("revision", "repository", "at", "push_id", "change__hidden_bugs")
    return [_pushed(one, one.revision) for one in rows[:_MOST_ROWS] if not one.change.hidden_bugs]


def _pushed(landing: Landing, revision: str) -> Pushed:
    push = f"{landing.repository} {landing.push_id}" if landing.push_id else ""
    return Pushed(revision, landing.repository, landing.at, push, landing.change_id)


def _seen(digits: str) -> list[Pushed]:
    begins_so = Q(revision__gte=digits, revision__lt=digits + _BEHIND)
    if len(digits) > NAMED_BY:
        begins_so |= Q(revision=digits[:NAMED_BY])  # a source that tells the short form alone
    rows = SeenRevision.objects.filter(begins_so).values_list("revision", "repository", "at")
    return [Pushed(*row) for row in rows[:_MOST_ROWS]]


def revisions_of(found: list[Pushed]) -> list[str]:
    """Return the different revisions among these, the first digits of one and its whole counted once."""
    return list(dict.fromkeys(one.revision[:NAMED_BY] for one in found))


def what_was_read() -> str:
    """Return which sources were read, since when and until when, as a sentence; of public changes only. Two queries."""
    sources = Source.objects.filter(kind__in=POLLED, is_active=True).exclude(read_at=None).order_by("name")[:200]
    facets = {index.term("repository", source.name): source for source in sources}
    since = dict(
        DayCount.objects.filter(facet__in=facets, count__gt=0)
        .values_list("facet")
        .annotate(Min("day"))
        .order_by("facet")
    )
    told = [
        f"{source.name} (since {since[facet]:%-d %b %Y}, last at {source.read_at:%Y-%m-%d %H:%M} UTC)"
        for facet, source in facets.items()
        if facet in since
    ]
    if not told:
        return "No repository is being read at the moment."
    more = f", and {len(told) - MOST_CANDIDATES} more" if len(told) > MOST_CANDIDATES else ""
    return f"Read so far: {'; '.join(told[:MOST_CANDIDATES])}{more}."
