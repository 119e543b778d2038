"""What stands on the plan of a downtime, as one person may see it: facts, work, hints, the clock. Decides nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from ciduty import access, working_time
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.desk.context import moment_of
from ciduty.outbox import post
from ciduty.outbox.rows import messages_of
from ciduty.record.timeline import timeline
from downtimes import announcing_page, assigning, local_times, rules
from downtimes.facts import facts_of
from downtimes.models import Downtime, Item, Nomination
from downtimes.rules import Close, NominationState, Policy, State, Urgency
from downtimes.run import reviewing

#: So many that could ride along are named; the queue has the rest.
RIDE_ALONGS = 10
#: When most of those work who push (R9): no figure of the documents, but the hours of an office in California.
BUSY_HOURS = range(7, 19)
#: R14: "more than one day of notice if at all possible" is wanted, 24 hours are the limit.
COMFORTABLE = timedelta(hours=48)


@dataclass(frozen=True)
class Work:
    """One item as this person may see it. `summary` and `worker` are "" where they may not read them."""

    item: Item
    stands: Visibility
    summary: str
    worker: str
    confirmed: bool
    nomination: Nomination | None
    assign_op: str  # of the form that gives the bug to its worker, "" where that cannot be done from here

    @property
    def public_text(self) -> str:
        """Return what the notice says of it; typed by people, so all who see the plan may read it."""
        return self.item.public_text


@dataclass(frozen=True)
class RideAlong:
    """Work that waits in the queue and might share the window (R8)."""

    nomination: Nomination
    same_system: bool


def whole(request, downtime: Downtime, **typed) -> dict:
    """Return everything of the plan's page; `typed` are the forms of its verbs that are to be mended."""
    at, person = moment_of(request), request.user
    facts = facts_of(downtime, at)
    may_plan = access.may_plan_downtimes(person) and downtime.state in rules.PLANNED
    return {
        "downtime": downtime,
        "work": work_of(downtime, person),
        "may_plan": may_plan,
        "is_duty": downtime.duty_id == person.pk,
        "shown_times": times_value(downtime),
        "close_label": Close(downtime.close).label if downtime.close else "",
        "urgency_label": Urgency(downtime.urgency).label if downtime.urgency else "",
        "policy_label": Policy(downtime.policy).label,
        "against": rules.refusals("ask for agreement", facts) if downtime.state in rules.PLANNED else [],
        "minutes": sum(item.minutes or 0 for item in facts.items),
        "hints": hints(downtime, facts, at),
        "near": near(facts),
        "ride_alongs": ride_alongs(downtime, at) if may_plan else [],
        "timeline": timeline(downtime.about, without=("mail accepted",)),
        "messages_of_it": messages_of(downtime.about, person),
        "verbs": announcing_page.verbs(person, downtime, facts, at, **typed),
        "rounds": announcing_page.rounds(downtime),
        "reviews": reviewing.on_same_systems(downtime) if access.may_run_downtimes(person) else [],
    } | _times(downtime, at)


def _times(downtime: Downtime, at: datetime) -> dict:
    """Return the window in three zones, and the latest moment at which every mandatory list must have the notice."""
    calendar = settings.CIDUTY_CALENDAR
    found = {
        "starts": local_times.in_three_zones(downtime.starts_at, calendar),
        "ends": local_times.in_three_zones(downtime.ends_at, calendar),
        "latest": None,
    }
    if downtime.starts_at and downtime.ends_at:
        found["length"] = downtime.ends_at - downtime.starts_at
    latest = rules.latest_notice(downtime.starts_at) if downtime.starts_at else None
    if latest and _is_notice_to_come(downtime, latest, at):
        found |= {"latest": latest, "latest_times": local_times.in_three_zones(latest, calendar), "left": latest - at}
        found["is_late"], found["is_soon"] = at > latest, at <= latest < at + rules.NOTICE
    return found


def _is_notice_to_come(downtime: Downtime, latest: datetime, at: datetime) -> bool:
    """Answer whether the lists are still to be told; once they were, what was late says so on the desk."""
    return downtime.state in rules.PLANNED and (downtime.state != State.ANNOUNCED or at <= latest)


def times_value(downtime: Downtime) -> str:
    """Return the window as a form names it, so that nobody confirms another one than they saw."""
    return f"{local_times.value_of(downtime.starts_at)}/{local_times.value_of(downtime.ends_at)}"


# --- the work ---------------------------------------------------------------------------------------------------------


def work_of(downtime: Downtime, person) -> list[Work]:
    """Return its items in order, each with what this person may read of its bug. Two queries."""
    items = list(downtime.items.select_related("nomination"))
    bugs = Bug.objects.select_related("text").in_bulk([item.bug_id for item in items])
    staff = access.may_read_staff_words(person)
    return [_work(item, bugs.get(item.bug_id), staff) for item in items]


def _work(item: Item, bug: Bug | None, staff: bool) -> Work:
    stands = Visibility(bug.visibility) if bug else Visibility.RESTRICTED
    readable = stands == Visibility.PUBLIC or (stands == Visibility.STAFF and staff)
    return Work(
        item,
        stands,
        bug.text.summary if readable and bug is not None and hasattr(bug, "text") else "",
        item.worker if readable or staff else "",
        item.confirmed_by_id is not None and item.confirmed_as == stands,
        item.nomination,
        "" if assigning.why_not(item, bug) else post.new_op(),
    )


# --- help with planning -----------------------------------------------------------------------------------------------


def near(facts: rules.Facts) -> list[rules.Other]:
    """Return the other downtimes that are closer than the gap that should lie between two (R11, R37)."""
    if facts.starts_at is None or facts.ends_at is None:
        return []
    gap = rules.GAP
    return [o for o in facts.others if o.starts_at < facts.ends_at + gap and facts.starts_at < o.ends_at + gap]


def ride_alongs(downtime: Downtime, at: datetime) -> list[RideAlong]:
    """Return what waits in the queue and could share this window (R8), work on the same systems first. Two queries."""
    today = at.astimezone(settings.CIDUTY_CALENDAR.tzinfo).date()
    systems = {name.lower() for name in downtime.items.values_list("nomination__system", flat=True) if name}
    due = Q(state=NominationState.REQUESTED) | Q(state=NominationState.DEFERRED, deferred_until__lte=today)
    waiting = Nomination.objects.filter(due).exclude(bug_id=None).order_by("asked_at", "pk")[: RIDE_ALONGS * 10]
    found = [RideAlong(one, one.system.lower() in systems) for one in waiting]
    return sorted(found, key=lambda one: not one.same_system)[:RIDE_ALONGS]


def hints(downtime: Downtime, facts: rules.Facts, at: datetime) -> list[str]:
    """Return what a planner should weigh, as sentences; none of it forbids anything."""
    sentences = []
    if facts.starts_at is not None and facts.ends_at is not None:
        sentences += [_busy(facts), _desk_is_open(facts), _short_notice(facts, at)]
    if not downtime.effect_on_releases.strip():
        sentences.append(
            "Nobody has written yet what it means for releases: enter it on the notice’s page, and the "
            "pre-approvers are asked about it."
        )
    return [sentence for sentence in sentences if sentence]


def _busy(facts: rules.Facts) -> str:
    """R9: low impact on developers."""
    hour, end = facts.starts_at, facts.ends_at
    while hour < end:
        local = hour.astimezone(local_times.PACIFIC)
        if local.weekday() < 5 and local.hour in BUSY_HOURS:
            return (
                "It touches office hours in Pacific time, when most developers push: a weekend or a night there "
                "disturbs fewer."
            )
        hour += timedelta(minutes=30)
    return ""


def _desk_is_open(facts: rules.Facts) -> str:
    """R13: somebody of CiDuty is there for the whole window."""
    calendar = settings.CIDUTY_CALENDAR
    last = facts.ends_at - timedelta(minutes=1)
    if working_time.is_working(calendar, facts.starts_at) and working_time.is_working(calendar, last):
        return ""
    return "It lies outside the desk’s working hours: the duty person comes in for it, so ask them first."


def _short_notice(facts: rules.Facts, at: datetime) -> str:
    """R14: more than one day of notice, if at all possible."""
    if facts.starts_at - at >= COMFORTABLE or facts.starts_at <= at:
        return ""
    return "Developers get hardly more than the 24 hours they must get: a later start gives them longer notice."
