"""Tells everyone who must know of a downtime, or who was told of it already: one mail each, as an answer to the first.

What is said and when is decided in `announcing.py` and in `run/`. The words: templates/downtimes/mail/.
"""

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.template.loader import render_to_string

from ciduty.outbox import composing, post, purposes
from ciduty.outbox.models import Mail
from ciduty.outbox.rules import Priority
from ciduty.outbox.rules import State as MailState
from ciduty.states import NotAllowed
from ciduty.trees import confidential
from downtimes import local_times, showing
from downtimes.models import Announcement, Downtime, ListUse, MailingList, NoticeVersion, Told

ANNOUNCE, TELL = "downtimes: announcement", "downtimes: change of plan"
#: What went to lists and groups, and to nobody alone.
TO_EVERYBODY = (ANNOUNCE, TELL)
#: A mail that nobody got tells nobody anything.
REACHED = (MailState.ACCEPTED, MailState.SENDING, MailState.DUE, MailState.RETRY, MailState.UNKNOWN)
#: TREE OPEN is what people look for in their mail: it stands in front.
SUBJECTS = {Told.TREE_OPEN: "TREE OPEN: {title}"}


def register(may_still_go: Callable[[Mail], purposes.Stop | None]) -> None:
    """Make known why those who were told are written to again, and what is asked before such a mail goes."""
    purposes.register(purposes.Purpose(TELL, "What became of a downtime", may_still_go))


def lock(downtime: Downtime) -> Downtime:
    """Let two who act on one downtime come in turn, and return it as it is now."""
    return Downtime.objects.select_for_update().get(pk=downtime.pk)


def want_reason(because: str, what: str, downtime: Downtime | None = None) -> None:
    """Raise NotAllowed where nobody said why, or says it with a bug that is not public.

    What a downtime is given for may name its own work: those numbers are public.
    """
    if not because.strip():
        raise NotAllowed(f"Say why it is {what}: everyone who was told reads it.")
    own = downtime.items.values_list("bug_id", flat=True) if downtime is not None else ()
    against = confidential.why_not_said([because], own)
    if against:
        raise NotAllowed(against)


def told(downtime: Downtime) -> list[tuple[str, str]]:
    """Return everyone who was told of it, each with the Message-ID of the first mail that they got."""
    batches = Announcement.objects.filter(downtime=downtime).values("batch")
    first: dict[str, str] = {}
    mails = Mail.objects.filter(batch__in=batches, state__in=REACHED).order_by("pk")
    for recipient, message_id in mails.values_list("recipient", "message_id"):
        first.setdefault(recipient, message_id)
    return list(first.items())


def recipients(downtime: Downtime) -> list[tuple[str, bool]]:
    """Return every address that is told, and whether it must be: the lists, the extra groups, who was told before."""
    lists = MailingList.objects.filter(use=ListUse.ANNOUNCE, is_used=True)
    found = {one.address.lower(): (one.address, one.mandatory) for one in lists}
    for address in [*downtime.extra_groups, *(address for address, _ in told(downtime))]:
        found.setdefault(address.lower(), (address, False))
    return list(found.values())


def subject_of(downtime: Downtime, kind: Told) -> str:
    """Return the subject of a mail that tells of a downtime."""
    return SUBJECTS.get(kind, f"[Downtime] {kind.label}: {{title}}").format(title=title_of(downtime))[:200]


def title_of(downtime: Downtime) -> str:
    """Return its title as everybody may read it now: a bug that it names may have turned private."""
    return showing.title_of(downtime.title, downtime.kind, confidential.private_among([downtime.title]))


def text_of(kind: Told, words: dict) -> str:
    """Return the text of a mail that tells of a downtime, wrapped at 72 columns."""
    return composing.wrapped(render_to_string(f"downtimes/mail/{kind}.txt", words).strip("\n"))


def everyone(
    downtime: Downtime, kind: Told, words: dict, *, because: str, by, at: datetime, also_new: bool = False
) -> list[Mail]:
    """Write to everyone who was told, and return the mails; `also_new`: to every list, told before or not.

    Where nobody had heard of it, nobody is told, and the record says so.
    """
    first = dict(told(downtime))
    to = recipients(downtime) if also_new else [(address, None) for address in first]
    if not to:
        post.nobody_told(downtime.about, "no list had heard of it yet.", by=by)
        return []
    text = text_of(kind, words)
    announcement = Announcement.objects.create(
        downtime=downtime, kind=kind, version=last_told(downtime), text=text, because=because, made_by=by, made_at=at,
        batch=f"{downtime.about} {kind} {downtime.announcements.count() + 1}",
    )  # fmt: skip
    must = {one.address.lower() for one in MailingList.objects.filter(use=ListUse.ANNOUNCE, mandatory=True)}
    return [
        post.mail(
            key=f"{announcement.batch} to {address}"[:200], purpose=TELL, about=downtime.about, to=address,
            subject=subject_of(downtime, kind), text=text, by=by, priority=Priority.URGENT,
            mandatory=address.lower() in must, batch=announcement.batch, in_reply_to=first.get(address, ""),
        )
        for address, _ in to
    ]  # fmt: skip


def last_told(downtime: Downtime) -> NoticeVersion | None:
    """Return the version whose words everybody has, or None."""
    newest = Announcement.objects.filter(downtime=downtime).exclude(version=None).order_by("-pk").first()
    return newest.version if newest else None


def page_of(downtime: Downtime) -> str:
    """Return where everybody reads how it stands now."""
    return f"{settings.SITE_URL.rstrip('/')}/downtimes/{downtime.pk}/"


def words_of(downtime: Downtime, because: str, by, starts_at=None, ends_at=None, **more) -> dict:
    """Return what the templates of these mails are filled with; times as they were, and as they are from now on."""
    return {
        "downtime": downtime,
        "title": title_of(downtime),
        "because": because,
        "by": by,
        "team": settings.CIDUTY_TEAM,
        "channel": settings.CIDUTY_CHANNEL,
        "page": page_of(downtime),
        "was": local_times.in_words(downtime.starts_at, downtime.ends_at) if downtime.ends_at else "",
        "now": local_times.in_words(starts_at, ends_at) if starts_at and ends_at else "",
    } | more
