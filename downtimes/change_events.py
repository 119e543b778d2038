"""Tells the change log of downtimes that everybody may know of: as stretches of time, and as changes to publish.

The words are those of `showing.py`; a bug is named only while it is public.
"""

from datetime import datetime

from django.conf import settings
from django.db.models import Q
from django.urls import reverse

from changelog import index, intervals, workflow
from changelog.intervals import Interval
from changelog.proposals import Proposal
from changelog.rules import Kind
from ciduty.bugzilla.models import Bug, Visibility
from downtimes import rules, showing
from downtimes.models import Announcement, Downtime
from downtimes.showing import PublicFacts, Standing

#: Postponed ones have no time yet; the others were never run, so no tree was closed for them.
_WITHOUT_TIME = frozenset({Standing.POSTPONED, Standing.CANCELLED, Standing.LAPSED})


def register() -> None:
    """Make known who tells of downtimes."""
    intervals.register("downtimes", between)


def identity_of(downtime_id: int) -> str:
    """Return what a downtime is in the change log, however often it is postponed."""
    return f"ciduty:downtime:{downtime_id}"


def between(since: datetime, until: datetime, at: datetime) -> list[Interval]:
    """Return the announced downtimes that overlap this time, as they are known at `at`. Four queries."""
    told = (_interval(facts, at) for facts in showing.all_public_facts(at, _near(since)))
    return [one for one in told if one is not None and one.starts_at <= until and one.ends_at >= since]


def _near(since: datetime):
    """Return the downtimes that may have run since: none is announced further ahead than a year, or still runs then."""
    newest = Announcement.objects.filter(made_at__gte=since - rules.FURTHEST_AHEAD - rules.LONGEST)
    runs_or_ran = Q(begun_at__gte=since - rules.FURTHEST_AHEAD) | Q(state__in=rules.UNDER_WAY)
    return Downtime.objects.filter(Q(pk__in=newest.values("downtime")) | runs_or_ran)


def _interval(facts: PublicFacts, at: datetime) -> Interval | None:
    ends_at = facts.end_at(at)
    if facts.standing in _WITHOUT_TIME or ends_at <= facts.starts_at:
        return None
    return Interval(
        title=facts.title, starts_at=facts.starts_at, ends_at=ends_at, kind="outage" if facts.is_outage else "downtime",
        url=reverse("downtime", args=[facts.pk]), words=_what_is_closed(facts), trees=facts.trees,
        identity=identity_of(facts.pk),
    )  # fmt: skip


def _what_is_closed(facts: PublicFacts) -> str:
    return ". ".join(filter(None, [facts.reason or facts.close_in_words, ", ".join(facts.trees)]))


def tell(downtime: Downtime, at: datetime) -> None:
    """Propose a change for a downtime that was just announced, moved, begun or ended; told again, it is the same one.

    In the caller's transaction. What everybody sees of downtimes beside changes is asked anew.
    """
    facts = showing.public_facts(downtime, at)
    if facts is None:
        return
    workflow.propose(_proposal(facts), at=at)
    index.raise_version()


def _proposal(facts: PublicFacts) -> Proposal:
    what = {Standing.POSTPONED: "Downtime postponed", Standing.CANCELLED: "Downtime cancelled"}
    noun = "Outage" if facts.is_outage else "Downtime"
    return Proposal(
        identity=identity_of(facts.pk),
        kind=Kind.DOWNTIME,
        summary=f"{what.get(facts.standing, noun)}: {facts.title}",
        message="\n".join(filter(None, [facts.times[0], _what_is_closed(facts)])),
        bugs=_public_bugs(facts),
        links=((facts.title, settings.SITE_URL.rstrip("/") + reverse("downtime", args=[facts.pk])),),
        # What is called off does not take effect: it is a change from the moment at which people were told.
        effective_at=facts.told_at if facts.standing == Standing.CANCELLED else facts.starts_at,
    )


def _public_bugs(facts: PublicFacts) -> tuple[int, ...]:
    named = [facts.tracking_bug, *(item.bug for item in facts.items)]
    public = set(
        Bug.objects.filter(pk__in=filter(None, named), visibility=Visibility.PUBLIC).values_list("pk", flat=True)
    )
    return tuple(bug for bug in dict.fromkeys(named) if bug in public)
