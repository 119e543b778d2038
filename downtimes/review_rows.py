"""The flag queue: its tabs, and each nomination as a page may show it to one person. Decides nothing.

Here the words of bugs are let through or kept back, and it is said where Bugzilla and we disagree (R15, R17).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.conf import settings
from django.db.models import Count, F, Q, QuerySet

from ciduty import access
from ciduty.bugzilla import poll
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import PARKED, UNDER_WAY, State
from downtimes import flag_writes
from downtimes.models import Downtime, Item, Nomination
from downtimes.requesting_page import Sight, sight_of, summary_of
from downtimes.rules import OPEN_NOMINATIONS, NominationState

#: Trap c of the process: it must never stand beside the flag for tree closures.
RECONFIG = "needs-reconfig"
#: So many of the decided ones, the newest, are compared with Bugzilla on every page.
DRIFT_AMONG = 200


@dataclass(frozen=True)
class Tab:
    """A part of the queue. `order` is what `order_by` takes."""

    label: str
    which: Q
    order: tuple


def tabs(day: date) -> dict[str, Tab]:
    """Return the tabs on a day of the desk: what was deferred comes back by itself on its date."""
    deferred = Q(state=NominationState.DEFERRED, deferred_until__gt=day)
    decided = (F("decided_at").desc(nulls_last=True), "-pk")
    over = Q(state__in=[NominationState.DECLINED, NominationState.WITHDRAWN])
    return {
        "open": Tab("To decide", Q(state__in=OPEN_NOMINATIONS) & ~deferred, ("asked_at", "pk")),
        "deferred": Tab("Deferred", deferred, ("deferred_until", "asked_at", "pk")),
        "accepted": Tab("Accepted", Q(state=NominationState.ACCEPTED), decided),
        "declined": Tab("Declined or taken back", over, decided),
        "done": Tab("Done", Q(state=NominationState.DONE), decided),
    }


def counts(nominations: QuerySet[Nomination], among: dict[str, Tab]) -> dict[str, int]:
    """Return how many stand on each tab. One query."""
    return nominations.aggregate(**{name: Count("pk", filter=tab.which) for name, tab in among.items()})


@dataclass(frozen=True)
class Row:
    """One nomination in the queue. `summary` is "" where this person may not read it."""

    nomination: Nomination
    sight: Sight
    bug: Bug | None
    summary: str
    flag: str
    asked_by: str
    drift: str
    warnings: tuple[str, ...]
    update: BugUpdate | None
    downtime: Downtime | None

    @property
    def state(self) -> NominationState:
        """Return where the nomination is."""
        return NominationState(self.nomination.state)

    @property
    def is_stuck(self) -> bool:
        """Answer whether what we said last waits for a person in the outbox."""
        return self.update is not None and self.update.state in PARKED


def rows_for(person, nominations: Iterable[Nomination]) -> list[Row]:
    """Return nominations as this person may see them. Four queries for however many. Wants `asked_by` selected."""
    nominations = list(nominations)
    if not nominations:
        return []
    heard_at = poll.known_source().last_done_at
    bugs = Bug.objects.select_related("text").in_bulk([one.bug_id for one in nominations if one.bug_id])
    said: dict[str, list[BugUpdate]] = {}
    for update in BugUpdate.objects.filter(about__in=[one.about for one in nominations]).order_by("pk"):
        said.setdefault(update.about, []).append(update)
    items = Item.objects.filter(nomination__in=nominations).select_related("downtime").order_by("pk")
    planned = {item.nomination_id: item.downtime for item in items}
    return [
        _row(person, one, bugs.get(one.bug_id), said.get(one.about, []), planned.get(one.pk), heard_at)
        for one in nominations
    ]


def _row(person, nomination, bug: Bug | None, said: list[BugUpdate], downtime, heard_at) -> Row:
    flag = ", ".join(one["status"] for one in flag_writes.standing(bug))
    sight = sight_of(nomination, bug, heard_at)
    return Row(
        nomination=nomination,
        sight=sight,
        bug=bug,
        summary=summary_of(bug, person),
        flag=flag,
        asked_by=_asked_by(person, nomination, bug),
        drift=drift_of(nomination, bug, flag, said),
        warnings=tuple(_warnings(nomination, bug, sight)),
        update=said[-1] if said else None,
        downtime=downtime if nomination.state == NominationState.ACCEPTED else None,
    )


def _asked_by(person, nomination: Nomination, bug: Bug | None) -> str:
    """Return who asked: the person, or the login that set the flag where this person may read it."""
    if nomination.asked_by is not None:
        return str(nomination.asked_by)
    readable = bug is not None and hasattr(bug, "text") and bug.visibility != Visibility.RESTRICTED
    if not readable or (bug.visibility == Visibility.STAFF and not access.may_read_staff_words(person)):
        return ""
    asked = next((flag for flag in flag_writes.standing(bug) if flag["status"] == "?"), None)
    return next(iter(bug.text.flag_people.get(str(asked["id"]), [])), "") if asked else ""


# --- what is wrong with it --------------------------------------------------------------------------------------------


def drift_of(nomination: Nomination, bug: Bug | None, flag: str, said: list[BugUpdate]) -> str:
    """Return how Bugzilla's flag and our decision differ, as a sentence, or "": also while our word is on its way.

    What we said is compared only with what was read after Bugzilla took it.
    """
    if bug is None or bug.not_visible_since is not None or bug.read_at is None:
        return ""
    last = next((row for row in reversed(said) if flag_writes.flag_of(row)), None)
    if last is not None and last.state in UNDER_WAY:
        return ""
    if last is not None and last.state == State.ACCEPTED and bug.read_at <= last.accepted_at:
        return ""
    if nomination.flag_wanted:
        disagree = flag != nomination.flag_wanted
        return f"Bugzilla says {flag or 'not set'}, we say {nomination.flag_wanted}." if disagree else ""
    was_set = last is None or last.state == State.ACCEPTED  # else our own word waits for somebody in the outbox
    if nomination.state in OPEN_NOMINATIONS and was_set and flag != "?":
        return f"Bugzilla says {flag or 'not set'}, and nobody has decided here."
    return ""


def _warnings(nomination: Nomination, bug: Bug | None, sight: Sight):
    if bug is not None and any(flag["name"] == RECONFIG for flag in bug.flags):
        yield f"{RECONFIG} stands on this bug beside {settings.CIDUTY_TREECLOSURE_FLAG}: one of the two must go."
    if bug is not None and not bug.is_open:
        yield "The bug is closed in Bugzilla."
    if sight == Sight.NOT_VISIBLE:
        yield "CiDuty cannot see this bug: the words that ask for it stand on the page of the nomination."
    elif sight == Sight.RESTRICTED:
        yield "This bug is restricted: only its number is shown, and no typed word is written into it."
    if nomination.stands_in_for:
        yield f"It stands in for bug {nomination.stands_in_for}: both must be kept in step."


def drifting(person) -> list[Row]:
    """Return what was decided here and stands otherwise in Bugzilla, the newest decision first."""
    decided = Nomination.objects.exclude(flag_wanted="").select_related("asked_by", "decided_by")
    return [row for row in rows_for(person, decided.order_by("-decided_at", "-pk")[:DRIFT_AMONG]) if row.drift]
