"""What became of a nomination, as one person may see it: who can read its bug, what was said, what was decided."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import TextChoices

from ciduty import access
from ciduty.bugzilla import poll
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import UNDER_WAY, State
from downtimes import flag_writes, requesting
from downtimes.models import Downtime, Nomination
from downtimes.requesting_bug import request_to_make_visible
from downtimes.rules import OPEN_NOMINATIONS, NominationState


class Sight(TextChoices):
    """What ciduty knows of a bug."""

    NOT_FILED = "not filed", "Not filed yet"
    NOT_READ = "not read", "Not read yet"
    PUBLIC = "public", "Public"
    STAFF = "staff", "Staff only"
    RESTRICTED = "restricted", "Restricted"
    NOT_VISIBLE = "not visible", "Not visible"


def sight_of(nomination: Nomination, bug: Bug | None, heard_at: datetime | None) -> Sight:
    """Return what ciduty knows of the bug of a nomination. `heard_at`: when Bugzilla was last heard from."""
    if nomination.bug_id is None:
        return Sight.NOT_FILED
    if bug is None:
        return Sight.NOT_VISIBLE if heard_at is not None and heard_at > nomination.asked_at else Sight.NOT_READ
    if bug.not_visible_since is not None:
        return Sight.NOT_VISIBLE
    return Sight(bug.visibility)


def summary_of(bug: Bug | None, person) -> str:
    """Return the summary of a bug where this person may read it, else ""."""
    if bug is None or not hasattr(bug, "text"):
        return ""
    readable = bug.visibility == Visibility.PUBLIC or (
        bug.visibility == Visibility.STAFF and access.may_read_staff_words(person)
    )
    return bug.text.summary if readable else ""


@dataclass(frozen=True)
class Progress:
    """How far a nomination has come. `update` is what Bugzilla was told last, or None.

    `bug` and `original` are None where this person may know no more of them than their numbers.
    """

    nomination: Nomination
    sight: Sight
    bug: Bug | None
    summary: str
    flag: str
    update: BugUpdate | None
    downtime: Downtime | None
    original: Bug | None  # the restricted bug that it stands in for
    may_withdraw: bool
    request_of_visibility: str

    @property
    def state(self) -> NominationState:
        """Return where the nomination is."""
        return NominationState(self.nomination.state)

    @property
    def said(self) -> State | None:
        """Return where the row of the outbox stands."""
        return State(self.update.state) if self.update else None

    @property
    def is_settled(self) -> bool:
        """Answer whether nothing on the page will change by itself within seconds."""
        on_its_way = self.update is not None and self.update.state in UNDER_WAY
        return not on_its_way and self.sight not in (Sight.NOT_FILED, Sight.NOT_READ)


def progress_of(nomination: Nomination, person) -> Progress:
    """Return how far a nomination has come, as this person may see it."""
    bug, original = _bug(nomination.bug_id), _bug(nomination.stands_in_for)
    sight = sight_of(nomination, bug, poll.known_source().last_done_at)
    item = nomination.items.select_related("downtime").order_by("-pk").first()
    return Progress(
        nomination=nomination,
        sight=sight,
        bug=bug if _may_know(person, bug) else None,
        summary=summary_of(bug, person),
        flag=", ".join(flag["status"] for flag in flag_writes.standing(bug)),
        update=BugUpdate.objects.filter(pk=nomination.update_id).first() if nomination.update_id else None,
        downtime=item.downtime if item and nomination.state == NominationState.ACCEPTED else None,
        original=original if _may_know(person, original) else None,
        may_withdraw=requesting.may_withdraw(person, nomination),
        request_of_visibility=_request(nomination, sight),
    )


def _may_know(person, bug: Bug | None) -> bool:
    """Answer whether somebody may know flags, status and times of a bug: of a public one, and CiDuty of any."""
    return bug is not None and (bug.visibility == Visibility.PUBLIC or access.may_read_staff_words(person))


def _bug(bug_id: int | None) -> Bug | None:
    return Bug.objects.select_related("text").filter(pk=bug_id).first() if bug_id else None


def _request(nomination: Nomination, sight: Sight) -> str:
    """Return the ready-made request of R5 while it helps: nobody has decided, and ciduty cannot see the bug."""
    helps = sight in (Sight.NOT_VISIBLE, Sight.RESTRICTED) and nomination.state in OPEN_NOMINATIONS
    return request_to_make_visible(nomination.bug_id) if helps else ""


def own_of(person) -> list[Nomination]:
    """Return what somebody has asked for, the newest first."""
    mine = Nomination.objects.filter(asked_by=person) | Nomination.objects.filter(text_by=person)
    return list(mine.order_by("-asked_at", "-pk")[:20])
