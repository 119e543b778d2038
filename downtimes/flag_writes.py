"""What we write into Bugzilla about a piece of work: the flag, the proposed time, a comment (R17, R18, R33).

The one place that writes the tree-closure flag. Who decides what: `requesting.py`, `review.py`, `run/bug_words.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.conf import settings

from ciduty import access, bell
from ciduty.bugzilla import poll
from ciduty.bugzilla import tasks as polling
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import changes, post, purposes
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import UNDER_WAY, State
from ciduty.states import NotAllowed
from downtimes.models import Downtime, Nomination
from downtimes.rules import OPEN_NOMINATIONS, NominationState

#: Our token in the whiteboard: `[downtime 2026-12-01T08:00Z c7f3a1b2]`.
TOKEN_KIND = "downtime"
PACIFIC = ZoneInfo("America/Los_Angeles")
PREFIX = "downtimes: "
RESCHEDULE = PREFIX + "reschedule"


@dataclass(frozen=True)
class Write:
    """What one verb writes. `flag`: "" leaves the flag alone, X clears it. `states`: while it still may go.

    `bare` is said instead of what a person typed where the bug is restricted.
    """

    label: str
    flag: str
    states: frozenset
    bare: str
    clears_time: bool = False


WRITES = {
    "nominate": Write(
        "A bug is nominated for a tree closure", "?",
        frozenset(NominationState) - {NominationState.WITHDRAWN}, "Nominated for a tree-closing downtime.",
    ),
    "accept": Write(
        "A bug is accepted into a downtime", "+", frozenset({NominationState.ACCEPTED}),
        "Accepted for a tree-closing downtime.",
    ),
    "decline": Write(
        "A nomination is declined", "-", frozenset({NominationState.DECLINED}),
        "Declined: no tree closure is planned for this.",
    ),
    "defer": Write(
        "A nomination is deferred", "", frozenset({NominationState.DEFERRED}),
        "Deferred: nothing is decided yet.",
    ),
    "withdraw": Write(
        "A nomination is taken back", "X", frozenset({NominationState.WITHDRAWN}),
        "Taken back: no tree closure is wanted for this any more.",
    ),
    "take out": Write(
        "A bug is taken out of a downtime", "?", OPEN_NOMINATIONS,
        "Taken out of the downtime that was proposed: it waits for a decision again.", clears_time=True,
    ),
    "reschedule": Write(
        "The proposed time of a bug changes", "", frozenset({NominationState.ACCEPTED}),
        "The proposed time of the downtime has changed.", clears_time=True,
    ),
    "landed": Write(
        "A bug is told that its work landed", "X", frozenset({NominationState.DONE}),
        "landed-and-stuck in the tree-closing downtime.", clears_time=True,
    ),
    "rolled back": Write(
        "A bug is told that its work was rolled back", "?", OPEN_NOMINATIONS | {NominationState.ACCEPTED},
        "rolled-back in the tree-closing downtime: it waits for a decision again.", clears_time=True,
    ),
    "not done": Write(
        "A bug is told that its work was not done", "?", OPEN_NOMINATIONS | {NominationState.ACCEPTED},
        "not done in the tree-closing downtime: it waits for a decision again.", clears_time=True,
    ),
}  # fmt: skip
#: What became of the work; said whatever is decided next.
OUTCOMES = frozenset(PREFIX + verb for verb in ("landed", "rolled back", "not done"))


@dataclass(frozen=True)
class Known:
    """What is known of a bug before something is written into it: as it was read last, and the flag we wrote since."""

    bug: Bug | None
    said: str

    @property
    def is_hidden(self) -> bool:
        """Answer whether Bugzilla refused to show us this bug when it was read last."""
        return self.bug is not None and self.bug.not_visible_since is not None


def known_of(bug_ids: Iterable[int]) -> dict[int, Known]:
    """Return what is known of bugs. Two queries, however many they are."""
    bug_ids = list(bug_ids)
    bugs, ours = Bug.objects.in_bulk(bug_ids), {}
    for row in BugUpdate.objects.filter(bug_id__in=bug_ids, purpose__startswith=PREFIX).order_by("-pk"):
        ours.setdefault(row.bug_id, []).append(row)
    return {bug: Known(bugs.get(bug), _last_said(ours.get(bug, ()), bugs.get(bug))) for bug in bug_ids}


def token_words(starts_at: datetime) -> str:
    """Return our token of a proposed start, without the brackets and the mark (R18)."""
    return f"{TOKEN_KIND} {starts_at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def in_three_zones(at: datetime) -> str:
    """Return a moment as a comment tells it: in UTC, in the desk's zone and in Pacific time."""
    desk, pacific = at.astimezone(settings.CIDUTY_CALENDAR.tzinfo), at.astimezone(PACIFIC)
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({desk:%d %b %H:%M %Z}, {pacific:%d %b %H:%M %Z})"


def signed(words: str, by) -> str:
    """Return a comment with the name of who wrote it: in Bugzilla it is the bot's. Only CiDuty signs as the team."""
    return f"{words}\n\n{by}, {settings.CIDUTY_TEAM}" if access.may_plan_downtimes(by) else f"{words}\n\n{by}"


def standing(bug: Bug | None) -> list[dict]:
    """Return the tree-closure flags of a bug as the mirror read them; one, or none, unless Bugzilla allows several."""
    return [flag for flag in bug.flags if flag["name"] == settings.CIDUTY_TREECLOSURE_FLAG] if bug else []


def wants_of(bug_id: int, verb: str, *, by, starts_at: datetime | None = None, comment: str = "") -> dict:
    """Return what a verb wants of a bug (`outbox/changes.py`). Into a restricted bug goes no word that was typed."""
    restricted = Bug.objects.filter(pk=bug_id, visibility=Visibility.RESTRICTED).exists()
    return _wants(restricted, verb, by, starts_at, comment)


def _wants(restricted: bool, verb: str, by, starts_at: datetime | None, comment: str) -> dict:
    write = WRITES[verb]
    wants = {"comment": signed(write.bare if restricted or not comment.strip() else comment, by)}
    if write.flag:
        wants["flags"] = [{"name": settings.CIDUTY_TREECLOSURE_FLAG, "status": write.flag}]
    if starts_at is not None:
        wants |= {"token": token_words(starts_at), "token_kind": TOKEN_KIND}
    elif write.clears_time:
        wants |= {"token": "", "token_kind": TOKEN_KIND}
    return wants


def seen_of(bug_id: int) -> dict:
    """Return what is known of a bug's flag now, for the check before the write: what we said last, or the mirror."""
    return _seen(known_of([bug_id])[bug_id])


def _seen(known: Known) -> dict:
    bug, said, name = known.bug, known.said, settings.CIDUTY_TREECLOSURE_FLAG
    seen = {"audience": bug.visibility} if bug else {}
    if said:
        return seen | {"flags": {name: None if said == "X" else {"status": said}}}
    flags = standing(bug)
    if bug is None or len(flags) > 1:
        return seen
    return seen | {"flags": {name: {"id": flags[0]["id"], "status": flags[0]["status"]} if flags else None}}


def said_and_not_read(bug_id: int, bug: Bug | None, *, before: int | None = None) -> str:
    """Return the status of the flag that we wrote last and the mirror has not read yet, or "".

    `before`: only rows with a smaller number. What is held or failed is not among it.
    """
    ours = BugUpdate.objects.filter(bug_id=bug_id, purpose__startswith=PREFIX)
    if before is not None:
        ours = ours.filter(pk__lt=before)
    return _last_said(ours.order_by("-pk"), bug)


def _last_said(ours: Iterable[BugUpdate], bug: Bug | None) -> str:
    """Return the flag that the newest of these rows writes and the mirror has not read yet; the newest come first."""
    read_at = bug.read_at if bug is not None else None
    unread = (
        row
        for row in ours
        if row.state in UNDER_WAY or (row.state == State.ACCEPTED and (read_at is None or row.accepted_at >= read_at))
    )
    return next(filter(None, map(flag_of, unread)), "")


def flag_of(row: BugUpdate) -> str:
    """Return the status of the flag that a row writes, or "" where it leaves the flag alone."""
    asked = row.wants["new"].get("flags", []) if row.files_a_bug else row.wants.get("flags", [])
    return next((flag["status"] for flag in asked if flag["name"] == settings.CIDUTY_TREECLOSURE_FLAG), "")


def tell(
    nomination: Nomination, verb: str, *, by, op: str, starts_at: datetime | None = None, comment: str = ""
) -> BugUpdate:
    """Write down what a verb says in the bug of a nomination, and return the row.

    `starts_at`: the proposed start of its window. Raises NotAllowed while the bug has no number, and
    changes.Unwritable for what Bugzilla would refuse in any case.
    """
    if nomination.bug_id is None:
        raise NotAllowed("Bugzilla has not filed the bug of this work yet: wait until it has a number.")
    return post.bug_update(
        key=f"{nomination.about} {verb} {op}",
        purpose=PREFIX + verb,
        about=nomination.about,
        bug_id=nomination.bug_id,
        wants=wants_of(nomination.bug_id, verb, by=by, starts_at=starts_at, comment=comment),
        seen=seen_of(nomination.bug_id),
        by=by,
        op=op,
    )


def tell_time(downtime: Downtime, *, by) -> list[BugUpdate]:
    """Tell the bugs of a window its proposed start, where they were told another one or none; returns the rows (R18).

    For whoever moves a window, inside their transaction; called twice, it tells once.
    """
    rows = []
    items = downtime.items.filter(nomination__state=NominationState.ACCEPTED).select_related("nomination")
    wanted = token_words(downtime.starts_at) if downtime.starts_at else ""
    for item in items:
        if _token_told(item.nomination) == wanted or is_hidden(item.bug_id):
            continue
        told = in_three_zones(downtime.starts_at) if downtime.starts_at else "not set any more"
        comment = f"The proposed time of the tree-closing downtime is {told}. Nothing is announced by this."
        at = downtime.starts_at
        rows.append(tell(item.nomination, "reschedule", by=by, op=post.new_op(), starts_at=at, comment=comment))
    return rows


def _token_told(nomination: Nomination) -> str:
    """Return the token that a bug was told last, "" for none; what was cancelled was never told."""
    ours = BugUpdate.objects.filter(about=nomination.about, purpose__startswith=PREFIX).exclude(state=State.CANCELLED)
    return next((row.wants["token"] for row in ours.order_by("-pk") if "token" in row.wants), "")


def is_hidden(bug_id: int) -> bool:
    """Answer whether Bugzilla refused to show us this bug when it was read last."""
    return Bug.objects.filter(pk=bug_id, not_visible_since__isnull=False).exists()


def preview(bug_id: int, verb: str, *, by, op: str, starts_at: datetime | None = None, comment: str = ""):
    """Return what `tell` would write, as it is shown before it is sent. Raises changes.Unwritable as it does."""
    wants = wants_of(bug_id, verb, by=by, starts_at=starts_at, comment=comment)
    changes.check(wants)
    return changes.preview(wants, seen_of(bug_id), op, bug_id)


def preview_of(known: Known, bug_id: int, verb: str, *, by, op: str, comment: str) -> changes.Preview:
    """Return what `tell` would write into a bug that was looked up already. Raises changes.Unwritable as it does."""
    restricted = known.bug is not None and known.bug.visibility == Visibility.RESTRICTED
    wants = _wants(restricted, verb, by, None, comment)
    changes.check(wants)
    return changes.preview(wants, _seen(known), op, bug_id)


# --- what the outbox asks and tells -----------------------------------------------------------------------------------


def register() -> None:
    """Make known why the flag of bugs is written."""
    for verb, write in WRITES.items():
        purposes.register(purposes.Purpose(PREFIX + verb, write.label, may_still_go, happened))


def may_still_go(row: BugUpdate) -> purposes.Stop | None:
    """Drop what was decided anew; hold what somebody else moved meanwhile, or what was written for fewer readers."""
    nomination = Nomination.objects.filter(bug_id=row.bug_id).first()
    if nomination is None or nomination.about != row.about:
        return purposes.Stop("Nobody’s nomination belongs to this any more: look whether it is still wanted.")
    write = WRITES[row.purpose.removeprefix(PREFIX)]
    if nomination.state not in write.states:
        state = nomination.get_state_display().lower()
        return purposes.Stop(f"The nomination is {state} by now: this is not said any more.", for_good=True)
    if row.purpose == RESCHEDULE and _is_outdated(row):
        return purposes.Stop("The window was moved again since: this time is not said any more.", for_good=True)
    if row.purpose in OUTCOMES and _is_decided_anew(row):
        return purposes.Stop("Something newer was decided and said since: tell the bug by hand, then cancel this.")
    bug = Bug.objects.filter(pk=row.bug_id).first()
    if bug is None:
        return None
    if row.seen.get("audience") == Visibility.STAFF and bug.visibility == Visibility.PUBLIC:
        return purposes.Stop("It was written for staff only, and the bug is public now: look at the words again.")
    return _moved_by_others(row, bug, write.flag)


def _is_outdated(row: BugUpdate) -> bool:
    return BugUpdate.objects.filter(about=row.about, purpose=RESCHEDULE, pk__gt=row.pk).exists()


def _is_decided_anew(row: BugUpdate) -> bool:
    newer = BugUpdate.objects.filter(about=row.about, purpose__startswith=PREFIX, pk__gt=row.pk, state=State.ACCEPTED)
    return any(map(flag_of, newer))


def _moved_by_others(row: BugUpdate, bug: Bug, wanted: str) -> purposes.Stop | None:
    """Hold a flag that somebody else has set since the decision, as far as the mirror knows; Bugzilla is asked again.

    The bug itself is compared once more at the very moment of writing (`outbox/judging.py`).
    """
    name = settings.CIDUTY_TREECLOSURE_FLAG
    read_since = bug.read_at is not None and bug.read_at > row.created_at
    if not wanted or name not in (row.seen.get("flags") or {}) or not read_since:
        return None
    if said_and_not_read(row.bug_id, bug, before=row.pk):
        return None
    was = (row.seen["flags"][name] or {}).get("status", "")
    now = ", ".join(flag["status"] for flag in standing(bug))
    if now in (was, "" if wanted == "X" else wanted):
        return None
    return purposes.Stop(
        f"Somebody else moved the flag {name} from {was or 'not set'} to {now or 'not set'} meanwhile: look at the "
        "bug, then try this again or cancel it."
    )


def happened(row: BugUpdate) -> None:
    """Have the bug read soon: pages show what Bugzilla says of its flag."""
    if row.state == State.ACCEPTED:
        read_soon()


def read_soon() -> None:
    """Ask for a poll now."""
    poll.want_sync()
    bell.ring_after_commit(polling.poll_if_due.name, "sync")
