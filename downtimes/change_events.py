"""Tells the change log of downtimes that everybody may know of: as stretches of time, and as changes to publish.

The words are those of `showing.py`; a bug is named only while it is public.
"""

from datetime import datetime

from django.conf import settings
from django.urls import reverse

from changelog import index, intervals, workflow
from changelog.intervals import Interval
from changelog.proposals import Proposal
from changelog.rules import Kind
from ciduty.bugzilla.models import Bug, Visibility
from downtimes import rules, showing
from downtimes.models import Announcement, Downtime
from downtimes.showing import PublicFacts, Standing

#: Postponed ones have no time yet; cancelled ones had theirs only as far as they ran.
_WITHOUT_TIME = frozenset({Standing.POSTPONED})


def register() -> None:
    """Make known who tells of downtimes."""
    intervals.register("downtimes", between)


def identity_of(downtime_id: int) -> str:
    """Return what a downtime is in the change log, however often it is postponed."""
    return f"ciduty:downtime:{downtime_id}"


def between(since: datetime, until: datetime, at: datetime) -> list[Interval]:
    """Return the announced downtimes that overlap this time, as they are known at `at`. Four queries."""
    told = (_interval(facts) for facts in showing.all_public_facts(at, _near(since)))
    return [one for one in told if one is not None and one.starts_at <= until and one.ends_at >= since]


def _near(since: datetime):
    """Return the downtimes that may have run since: nothing is announced further ahead than a year, or lasts longer."""
    newest = Announcement.objects.filter(made_at__gte=since - rules.FURTHEST_AHEAD - rules.LONGEST)
    return Downtime.objects.filter(pk__in=newest.values("downtime"))


def _interval(facts: PublicFacts) -> Interval | None:
    ends_at = facts.ends_at
    if facts.standing == Standing.CANCELLED:
        ends_at = min(ends_at, facts.told_at)
    if facts.standing in _WITHOUT_TIME or ends_at <= facts.starts_at:
        return None
    return Interval(
        title=facts.title, starts_at=facts.starts_at, ends_at=ends_at, kind="downtime",
        url=reverse("downtime", args=[facts.pk]), words=_what_is_closed(facts), trees=facts.trees,
        identity=identity_of(facts.pk),
    )  # fmt: skip


def _what_is_closed(facts: PublicFacts) -> str:
    return ". ".join(filter(None, [facts.close_in_words, ", ".join(facts.trees)]))


def tell(downtime: Downtime, at: datetime) -> None:
    """Propose a change for a downtime that was just announced, postponed or cancelled; told again, it is the same one.

    In the caller's transaction. What everybody sees of downtimes beside changes is asked anew.
    """
    facts = showing.public_facts(downtime, at)
    if facts is None:
        return
    workflow.propose(_proposal(facts), at=at)
    index.raise_version()


def _proposal(facts: PublicFacts) -> Proposal:
    what = {Standing.POSTPONED: "Downtime postponed", Standing.CANCELLED: "Downtime cancelled"}
    times = facts.times[0]
    return Proposal(
        identity=identity_of(facts.pk),
        kind=Kind.DOWNTIME,
        summary=f"{what.get(facts.standing, 'Downtime')}: {facts.title}",
        message="\n".join(filter(None, [times, _what_is_closed(facts)])),
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
