"""What Bugzilla told us about tree closures: reads the mirror, never the network (R2, R15).

A flag that somebody set becomes a nomination. One that was moved or cleared there changes nothing here: it shows.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import F

from ciduty import clock, states
from ciduty.bugzilla.models import Bug, TrackedId, Visibility
from ciduty.outbox import post
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import UNDER_WAY, State
from ciduty.people.models import BugzillaLogin
from ciduty.record import write
from ciduty.record.models import Entry
from downtimes import flag_writes, requesting
from downtimes.models import Downtime, Item, Nomination, SyncState
from downtimes.requesting import UNDECIDED
from downtimes.rules import NOMINATION_MOVES, OPEN_NOMINATIONS, NominationState

AT_ONCE = 500
#: Words that were typed while the bug could be read by more people than now, and where they say so.
ERASED = "words erased"
#: A login that was taken over from the assignee of a bug that everybody, or all staff, could read.
WORKER_ERASED = "worker erased"
#: Entries that say who could read the bug when something was asked for.
WORDED = ("nominated", "asked", "worded", "ask again")
READ_BY_MORE = (Visibility.PUBLIC, Visibility.STAFF)
#: What is asked for may be asked for anew by the flag alone.
OVER = frozenset({NominationState.DECLINED, NominationState.WITHDRAWN, NominationState.DONE})


def follow() -> int:
    """Bring the nominations up to what the mirror has seen since the last time; returns how many bugs were looked at.

    Safe to call twice: a bug has one nomination.
    """
    state, _ = SyncState.objects.get_or_create(pk=1)
    since, seen = state.stamp, 0
    newest = Bug.objects.order_by("-stamp").values_list("stamp", flat=True).first() or 0
    news = list(Bug.objects.changed_since(since).filter(carries_flag=True).values_list("pk", flat=True))
    while batch := news[seen : seen + AT_ONCE]:
        for bug in Bug.objects.filter(pk__in=batch).select_related("text").order_by("stamp", "pk"):
            _look_at(bug)
        seen += len(batch)
    _forget_workers(since)
    if newest > since:
        SyncState.objects.filter(pk=1).update(stamp=newest)
    _nominate_what_became_visible()
    _forget_words()
    _track_no_more()
    return seen


def _look_at(bug: Bug) -> None:
    asked = next((flag for flag in flag_writes.standing(bug) if flag["status"] == "?"), None)
    if asked is None:
        return
    known = Nomination.objects.filter(bug_id=bug.pk).first()
    if known is None:
        _nominated(bug, asked)
    elif known.state in OVER and _is_asked_anew(bug):
        _asked_again(known, bug, asked)


@transaction.atomic
def _nominated(bug: Bug, flag: dict) -> None:
    """Make a nomination of a flag, unless its bug was filed from here and the outbox has not told so yet."""
    if BugUpdate.objects.filter(purpose=requesting.FILE, bug_id=bug.pk, state=State.ACCEPTED, hook_owed=True).exists():
        return
    values = {"key": f"bug {bug.pk}", "asked_at": _since(flag), "asked_by": _setter(bug, flag)}
    nomination, is_new = Nomination.objects.get_or_create(bug_id=bug.pk, defaults=values)
    if is_new:
        sentence = f"The flag {settings.CIDUTY_TREECLOSURE_FLAG}? was set on bug {bug.pk}"
        after = {"audience": str(bug.visibility)}
        write.entry(nomination.about, "nominated", sentence, from_outside=True, after=after)


def _is_asked_anew(bug: Bug) -> bool:
    """Answer whether somebody set the flag after Bugzilla took our last word on it.

    Only our own clock is asked, when Bugzilla took it and when the bug was read: Bugzilla's may be hours away.
    """
    ours = BugUpdate.objects.filter(bug_id=bug.pk, purpose__startswith=flag_writes.PREFIX).order_by("-pk")
    last = next((row for row in ours if flag_writes.flag_of(row)), None)
    if last is None:
        return False
    return last.state == State.ACCEPTED and bug.read_at is not None and bug.read_at > last.accepted_at


@transaction.atomic
def _asked_again(nomination: Nomination, bug: Bug, flag: dict) -> None:
    sentence = f"The flag {settings.CIDUTY_TREECLOSURE_FLAG}? was set again on bug {bug.pk}"
    changes = UNDECIDED | {"asked_at": _since(flag), "asked_by": _setter(bug, flag) or nomination.asked_by}
    after = {"state": str(NominationState.REQUESTED), "audience": str(bug.visibility)}
    outside = {"from_outside": True, "after": after}
    states.move(nomination, NOMINATION_MOVES, "ask again", sentence, at=clock.now(), entry=outside, **changes)


def _nominate_what_became_visible() -> None:
    """Have the flag set on bugs that were asked for while ciduty could not see them (R5)."""
    visible = Bug.objects.filter(not_visible_since=None).values("pk")
    silent = Nomination.objects.filter(state__in=OPEN_NOMINATIONS, update_id=None, bug_id__in=visible)
    for number in silent.exclude(text_by=None).values_list("pk", flat=True):
        with transaction.atomic():
            row = Nomination.objects.select_for_update().get(pk=number)
            requesting.nominate(row, row.text_by, post.new_op())


def _since(flag: dict) -> datetime:
    return datetime.fromisoformat(flag["set_at"])


def _setter(bug: Bug, flag: dict):
    """Return the person whose login set a flag, or None; who acted in a restricted bug nobody knows."""
    people = bug.text.flag_people if hasattr(bug, "text") else {}
    login = next(iter(people.get(str(flag["id"]), [])), "")
    known = BugzillaLogin.objects.filter(login__iexact=login).select_related("person").first() if login else None
    return known.person if known else None


def _forget_words() -> None:
    """Take away what was typed while a bug could be read by more people, once, when it turns restricted.

    What is typed afterwards is meant for the public, and stays (R20).
    """
    restricted = Bug.objects.filter(visibility=Visibility.RESTRICTED, held_back=True).values("pk")
    nominations = Nomination.objects.filter(bug_id__in=restricted)
    for nomination in nominations.exclude(public_text="", steps="", rollback="", preferred="", because=""):
        last = Entry.objects.of(nomination.about).filter(verb__in=[*WORDED, ERASED]).last()
        if last is not None and last.after.get("audience") in READ_BY_MORE:
            _forget(nomination)


@transaction.atomic
def _forget(nomination: Nomination) -> None:
    Nomination.objects.filter(pk=nomination.pk).update(
        public_text="", steps="", rollback="", preferred="", because="", text_by=None
    )
    sentence = f"Erased what was typed: bug {nomination.bug_id} is restricted now, and a new wording is wanted"
    write.entry(nomination.about, ERASED, sentence)


def _forget_workers(since: int) -> None:
    """Take away who does the work on a bug when it turns restricted: the login may be its assignee's (R16).

    Where nobody confirmed the text, a bug that the mirror wrote since the last time has turned, and that counts once.
    Whom a person names afterwards stays.
    """
    restricted = Bug.objects.filter(visibility=Visibility.RESTRICTED, held_back=True)
    named = Item.objects.filter(bug_id__in=restricted.values("pk")).exclude(worker="")
    turned = named.filter(confirmed_as="", bug_id__in=restricted.changed_since(since).values("pk"))
    for item in (named.filter(confirmed_as__in=READ_BY_MORE) | turned).order_by("downtime", "pk"):
        _forget_worker(item)


@transaction.atomic
def _forget_worker(item: Item) -> None:
    """Let a person name the worker and confirm the text anew, for the bug as it is now; the gates ask for both."""
    Downtime.objects.select_for_update().get(pk=item.downtime_id)
    about, after = item.downtime.about, {"item": item.pk}
    if not item.confirmed_as and Entry.objects.filter(about=about, verb=WORKER_ERASED, after__item=item.pk).exists():
        return
    there = Item.objects.filter(pk=item.pk, worker=item.worker, confirmed_as=item.confirmed_as)
    if there.update(worker="", confirmed_by=None, confirmed_as=""):
        Downtime.objects.filter(pk=item.downtime_id).update(revision=F("revision") + 1)
        sentence = f"Erased who does the work of bug {item.bug_id}: it is restricted now, and a person names them anew"
        write.entry(about, WORKER_ERASED, sentence, after=after)


def _track_no_more() -> None:
    """Let bugs go that were read for a nomination which is over."""
    alive = Nomination.objects.filter(state__in=OPEN_NOMINATIONS | {NominationState.ACCEPTED})
    under_way = BugUpdate.objects.filter(state__in=UNDER_WAY).exclude(bug_id=None)
    TrackedId.objects.filter(why=requesting.TRACKED_BECAUSE).exclude(
        bug_id__in=alive.exclude(bug_id=None).values("bug_id")
    ).exclude(bug_id__in=alive.exclude(stands_in_for=None).values("stands_in_for")).exclude(
        bug_id__in=under_way.values("bug_id")
    ).delete()
