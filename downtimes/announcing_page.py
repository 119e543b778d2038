"""What can be done with a planned downtime now, and what stands against it: for the plan's page. Reads only."""

from dataclasses import dataclass
from datetime import datetime

from ciduty import access
from ciduty.outbox import acceptance
from ciduty.outbox.acceptance import Acceptance
from downtimes import rules, versions
from downtimes.announcing_forms import CancelForm, EmergencyForm, PostponeForm
from downtimes.models import Announcement, Downtime
from downtimes.rules import MOVES, Facts


@dataclass(frozen=True)
class Round:
    """One round of mails to the lists, and how it stands with their servers."""

    announcement: Announcement
    acceptance: Acceptance


def verbs(person, downtime: Downtime, seen: Facts, at: datetime, **typed) -> dict:
    """Return the verbs that the table allows this person now, with their forms; `typed` are forms to be mended."""
    planned, duty = downtime.state in rules.PLANNED, access.may_plan_downtimes(person)
    version = versions.newest(downtime)
    return {
        "may_announce": duty and MOVES.allow("announce", downtime.state),
        "against_announcing": rules.refusals("announce", seen),
        "version": version,
        "may_postpone": duty and downtime.starts_at is not None and MOVES.allow("postpone", downtime.state),
        "postpone": typed.get("postpone") or PostponeForm(downtime=downtime, at=at, auto_id="postpone_%s"),
        "may_cancel": duty and MOVES.allow("cancel", downtime.state),
        "cancel": typed.get("cancel") or CancelForm(auto_id="cancel_%s"),
        "may_ask_for_emergency": duty and planned and not is_in_time(downtime, at),
        "emergency": typed.get("emergency")
        or EmergencyForm(initial={"revision": downtime.revision}, auto_id="emergency_%s"),
        "may_agree_to_emergency": planned and may_agree(person, downtime),
        "is_emergency": rules.is_emergency(seen),
    }


def is_in_time(downtime: Downtime, at: datetime) -> bool:
    """Answer whether 24 hours of notice can still be kept; a window without a start is in time."""
    return downtime.starts_at is None or rules.notice_kept(at, downtime.starts_at)


def may_agree(person, downtime: Downtime) -> bool:
    """Answer whether this person is a second one who can let it go under 24 hours, and somebody asked for it."""
    waits = downtime.emergency_because and downtime.emergency_by_id is None
    own = person.pk in (downtime.emergency_asked_by_id, downtime.made_by_id)
    return bool(waits and not own and access.may_agree_to_emergencies(person))


def rounds(downtime: Downtime) -> list[Round]:
    """Return what the lists were told, the newest first, with how each round stands."""
    told = downtime.announcements.select_related("version", "made_by").order_by("-pk")
    return [Round(one, acceptance.of_batch(one.batch)) for one in told]
