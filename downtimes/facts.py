"""Gathers what the gates look at: the window, its work as the mirror knows it, the agreement, the lists. Reads only."""

from datetime import datetime

from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import acceptance
from downtimes import agreement, versions
from downtimes.models import Announcement, Downtime, Item, ListUse, MailingList, Told
from downtimes.rules import Asked, Facts, ItemFacts, Other, Votes

RECONFIG = "needs-reconfig"
#: What is said of the plan; a word about its running takes no announcement back.
_PLANS = (Told.ANNOUNCEMENT, Told.UPDATE, Told.POSTPONEMENT, Told.CANCELLATION)


def facts_of(downtime: Downtime, at: datetime) -> Facts:
    """Return a downtime as the gates see it at a moment."""
    version = downtime.versions.order_by("-number").first()
    return Facts(
        at=at,
        starts_at=downtime.starts_at,
        ends_at=downtime.ends_at,
        urgency=downtime.urgency,
        close=downtime.close,
        trees=tuple(downtime.trees),
        duty=str(downtime.duty or ""),
        duty_confirmed=downtime.duty_confirmed_at is not None,
        items=items_of(downtime),
        others=_others(downtime),
        separate_because=downtime.separate_because,
        text_is_frozen=version is not None and versions.is_current(version),
        workers=agreement.votes(version, Asked.WORKER) if version else Votes(),
        pre_approvers=agreement.votes(version, Asked.PRE_APPROVER) if version else Votes(),
        policy=downtime.policy,
        quorum=downtime.quorum,
        answers_until=agreement.answers_until(version) if version else None,
        mandatory_lists=MailingList.objects.filter(use=ListUse.ANNOUNCE, mandatory=True, is_used=True).count(),
        emergency_because=downtime.emergency_because,
        emergency_manager=str(downtime.emergency_by or ""),
        told_at=told_at(downtime),
    )


def items_of(downtime: Downtime) -> tuple[ItemFacts, ...]:
    """Return its work as the gates see it; a bug that was never mirrored counts as restricted."""
    items = list(downtime.items.all())
    bugs = Bug.objects.select_related("text").in_bulk([item.bug_id for item in items])
    return tuple(_item(item, bugs.get(item.bug_id)) for item in items)


def _item(item: Item, bug: Bug | None) -> ItemFacts:
    visibility = bug.visibility if bug else Visibility.RESTRICTED
    words = getattr(bug, "text", None) if visibility != Visibility.RESTRICTED else None
    return ItemFacts(
        bug=item.bug_id,
        text=item.public_text,
        restricted=visibility != Visibility.PUBLIC,
        confirmed=item.confirmed_by_id is not None and item.confirmed_as == visibility,
        worker=item.worker,
        assignee=words.assignee.lower() if words else None,
        minutes=item.minutes,
        rollback_minutes=item.rollback_minutes,
        needs_reconfig=bug is not None and any(flag["name"] == RECONFIG for flag in bug.flags),
    )


def _others(downtime: Downtime) -> tuple[Other, ...]:
    others = Downtime.objects.planned().exclude(pk=downtime.pk).exclude(starts_at=None).exclude(ends_at=None)
    return tuple(Other(other.title, other.starts_at, other.ends_at) for other in others.order_by("starts_at"))


def told_at(downtime: Downtime) -> datetime | None:
    """Return when the last mandatory list accepted the newest announcement, or None while one has not.

    A postponement or cancellation that came later takes it back.
    """
    newest = Announcement.objects.filter(downtime=downtime, kind__in=_PLANS).order_by("-pk").first()
    if newest is None or newest.kind not in (Told.ANNOUNCEMENT, Told.UPDATE):
        return None
    return acceptance.of_batch(newest.batch).accepted_at
