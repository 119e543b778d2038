"""Tells the lists: the announcement, its update, postponement and cancellation; and the emergency under 24 hours.

Each list is a mail of its own in the outbox. What is sent is a frozen version, word for word, that people agreed to;
later words reply to the first mail and go to everyone who was told.
"""

from datetime import datetime

from django.db import transaction

from ciduty import access, clock, states
from ciduty.outbox import post, purposes
from ciduty.outbox.models import Mail
from ciduty.outbox.rules import Priority
from ciduty.record import write
from ciduty.states import NotAllowed
from downtimes import change_events, facts, flag_writes, rules, telling, versions, windows
from downtimes.models import Announcement, Downtime, NoticeVersion, Told
from downtimes.rules import MOVES, State

ANNOUNCE = telling.ANNOUNCE


# --- the announcement -------------------------------------------------------------------------------------------------


@transaction.atomic
def announce(downtime: Downtime, *, by, version: int) -> Announcement:
    """Tell every list the version of this number; pressed twice, it is told once. Raises NotAllowed with every reason.

    The number is the one that the person saw: another one was frozen meanwhile, and they look at it first.
    """
    downtime = telling.lock(downtime)
    frozen = versions.newest(downtime)
    if frozen is None or frozen.number != version:
        raise NotAllowed("Another version of the notice was frozen meanwhile: read it before you announce it.")
    before = Announcement.objects.filter(batch=batch_of(frozen)).first()
    if before is not None:
        return before
    at = clock.now()
    seen = facts.facts_of(downtime, at)
    against = rules.refusals("announce", seen)
    if against:
        raise NotAllowed(" ".join(against))
    told_before = Announcement.objects.filter(downtime=downtime).exists()
    announcement = Announcement.objects.create(
        downtime=downtime,
        kind=Told.UPDATE if told_before else Told.ANNOUNCEMENT,
        version=frozen,
        batch=batch_of(frozen),
        text=frozen.body,
        emergency=rules.is_emergency(seen) and not rules.notice_kept(at, seen.starts_at),
        made_by=by,
        made_at=at,
    )
    mails = [_announce_to(address, mandatory, announcement, by) for address, mandatory in telling.recipients(downtime)]
    sentence = f"{announcement.get_kind_display()} of version {frozen.number} to {len(mails)} lists and groups"
    states.move(
        downtime, MOVES, "announce", sentence, by=by, at=at,
        entry={"caused": [str(mail) for mail in mails]},
        told_first_at=downtime.told_first_at or at, sequence=downtime.sequence + (1 if told_before else 0),
    )  # fmt: skip
    change_events.tell(downtime, at)
    return announcement


def batch_of(version: NoticeVersion) -> str:
    """Return how the outbox names the round of mails that tells one version."""
    return str(version)


def _announce_to(address: str, mandatory: bool, announcement: Announcement, by) -> Mail:
    downtime, version = announcement.downtime, announcement.version
    return post.mail(
        key=f"{version} to {address}"[:200],
        purpose=ANNOUNCE,
        about=downtime.about,
        to=address,
        subject=version.subject,
        text=version.body,
        by=by,
        priority=Priority.URGENT,
        mandatory=mandatory,
        batch=announcement.batch,
        in_reply_to=dict(telling.told(downtime)).get(address, ""),
        not_after=downtime.starts_at,
    )


# --- another plan -----------------------------------------------------------------------------------------------------


@transaction.atomic
def postpone(
    downtime: Downtime, *, by, because: str, starts_at: datetime, ends_at: datetime, revision: int
) -> Downtime:
    """Move the window to another time, and tell everyone who was told: it is agreed to and announced anew."""
    downtime = _unchanged(downtime, revision)
    telling.want_reason(because, "postponed", downtime)
    at = clock.now()
    seen = rules.Facts(at=at, starts_at=starts_at, ends_at=ends_at)
    against = [sentence for gate in (rules.TIMES, rules.AHEAD) if (sentence := gate.refuses(seen))]
    if (starts_at, ends_at) == (downtime.starts_at, downtime.ends_at):
        against.append("These are the times that it has already: enter others.")
    if against:
        raise NotAllowed(" ".join(against))
    before = (downtime.starts_at, downtime.ends_at)
    words = telling.words_of(downtime, because, by, starts_at=starts_at, ends_at=ends_at)
    mails = telling.everyone(downtime, Told.POSTPONEMENT, words, because=because, by=by, at=at)
    sentence = f"Postponed from {before[0]:%Y-%m-%d %H:%M} to {starts_at:%Y-%m-%d %H:%M} UTC"
    states.move(
        downtime, MOVES, "postpone", sentence, by=by, at=at, entry={"caused": [str(mail) for mail in mails]},
        starts_at=starts_at, ends_at=ends_at, duty_confirmed_at=None, emergency_because="", emergency_by=None,
        held_at=None, held_because="", sequence=downtime.sequence + 1, revision=downtime.revision + 1,
    )  # fmt: skip
    downtime.run_steps.all().delete()  # who was told of the start was told of another one
    flag_writes.tell_time(downtime, by=by)
    change_events.tell(downtime, at)
    return downtime


@transaction.atomic
def cancel(downtime: Downtime, *, by, because: str) -> Downtime:
    """Call it off, and tell everyone who was told; its work waits in the queue again."""
    downtime = telling.lock(downtime)
    if downtime.state == State.CANCELLED:
        return downtime
    telling.want_reason(because, "cancelled", downtime)
    at = clock.now()
    words = telling.words_of(downtime, because, by)
    mails = telling.everyone(downtime, Told.CANCELLATION, words, because=because, by=by, at=at)
    states.move(
        downtime, MOVES, "cancel", "Cancelled, with the reason to everyone who was told", by=by, at=at,
        entry={"caused": [str(mail) for mail in mails]}, sequence=downtime.sequence + 1,
    )  # fmt: skip
    change_events.tell(downtime, at)
    for item in downtime.items.select_related("nomination"):
        windows.give_back(item, f"Waits for a decision again: “{downtime.title}” was cancelled", by=by)
    return downtime


def _unchanged(downtime: Downtime, revision: int) -> Downtime:
    downtime = telling.lock(downtime)
    if downtime.revision != revision:
        raise NotAllowed("Somebody changed this downtime meanwhile: look at it as it is now, then decide again.")
    return downtime


# --- under 24 hours ---------------------------------------------------------------------------------------------------


@transaction.atomic
def ask_for_emergency(downtime: Downtime, *, by, because: str, revision: int) -> Downtime:
    """Write down why it cannot wait for 24 hours; a manager must agree, and the notice prints both."""
    downtime = _unchanged(downtime, revision)
    if downtime.state not in rules.PLANNED:
        raise NotAllowed("This downtime is over: nothing can be asked for it any more.")
    telling.want_reason(because, "an emergency", downtime)
    Downtime.objects.filter(pk=downtime.pk).update(
        emergency_because=because.strip(), emergency_asked_by=by, emergency_by=None, revision=downtime.revision + 1
    )
    write.entry(
        downtime.about, "asked for an emergency", "Asked a manager to allow less than 24 hours of notice", by=by
    )
    downtime.refresh_from_db()
    return downtime


@transaction.atomic
def agree_to_emergency(downtime: Downtime, *, by, revision: int) -> Downtime:
    """Let it go under 24 hours: the second person, a manager, who neither asked for it nor made the plan."""
    downtime = _unchanged(downtime, revision)
    if not access.may_agree_to_emergencies(by):
        raise NotAllowed("Only a manager agrees to less than 24 hours of notice.")
    if by.pk in (downtime.emergency_asked_by_id, downtime.made_by_id):
        raise NotAllowed("A second person agrees to an emergency: you asked for it or made the plan yourself.")
    if not downtime.emergency_because or downtime.state not in rules.PLANNED:
        raise NotAllowed("Nobody asked for an emergency here: somebody of CiDuty writes the reason first.")
    Downtime.objects.filter(pk=downtime.pk).update(emergency_by=by, revision=downtime.revision + 1)
    write.entry(downtime.about, "agreed to the emergency", "Agreed to less than 24 hours of notice", by=by)
    downtime.refresh_from_db()
    return downtime


# --- what the outbox asks ---------------------------------------------------------------------------------------------


def register() -> None:
    """Make known why lists are written to."""
    purposes.register(purposes.Purpose(ANNOUNCE, "Announcement of a downtime", announcement_may_still_go))


def announcement_may_still_go(row: Mail) -> purposes.Stop | None:
    """Hold an announcement whose text is not what people agreed to as it stands now (design.md, decisions 3 and 5)."""
    announcement = Announcement.objects.select_related("downtime", "version").filter(batch=row.batch).first()
    if announcement is None:
        return purposes.Stop("Nobody knows any more what this announces: look at the downtime.")
    downtime = telling.lock(announcement.downtime)
    if downtime.state != State.ANNOUNCED:
        state = downtime.get_state_display().lower()
        return purposes.Stop(f"The downtime is {state} by now: it is not announced as it was.", for_good=True)
    if versions.newest(downtime).pk != announcement.version_id or not versions.is_current(announcement.version):
        return purposes.Stop("The window, the text or a bug's visibility changed since people agreed: ask them anew.")
    return None
