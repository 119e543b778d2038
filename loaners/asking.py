"""Asking for a loaner on our own page: the application is written down, and the outbox files its bug.

What may be typed: `asking_forms.py`; what stands in the bug: `asking_bug.py`; how it gets on: `asking_progress.py`.
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from ciduty import bell, clock
from ciduty.bugzilla import poll
from ciduty.bugzilla import tasks as polling
from ciduty.bugzilla.models import Bug, TrackedId, Visibility
from ciduty.outbox import post, purposes, rows
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from ciduty.people.models import Person
from ciduty.record import write
from ciduty.states import NotAllowed
from loaners import lending, sync
from loaners.asking_bug import fields_of
from loaners.asking_open import FILE, still_open, warning_of
from loaners.models import Application

TRACKED_BECAUSE = "a loaner request that was filed from here"


def about(application: Application) -> str:
    """Return how the record and the outbox name an application; once it is filed, its bug is what they speak of."""
    return f"application {application.pk}"


def key_of(person, token: str) -> str:
    """Return the key of one form that one person was shown; nobody can send it in another's name."""
    return f"{person.pk}-{token}"


def sent_before(person, token: str) -> Application | None:
    """Return what the same form wrote before: sent twice, or again with the back button."""
    return Application.objects.filter(key=key_of(person, token)).first()


def until_by_default(at: datetime, zone: str) -> date:
    """Return the day on which a loan ends unless somebody chooses another, in their own zone."""
    return _today(at, zone) + timedelta(days=settings.CIDUTY_LOAN_DAYS)


def last_day(at: datetime, zone: str) -> date:
    """Return the last day until which a machine may be asked for."""
    return _today(at, zone) + lending.LONGEST


def why_not_until(day: date, at: datetime, zone: str) -> str:
    """Return why a machine cannot be asked for until a day, as a sentence, or "" when it can."""
    if day < _today(at, zone):
        return f"{day} is past: choose today ({_today(at, zone)}) or a later day."
    if day > last_day(at, zone):
        return (
            f"{day} is too far ahead: a machine is lent for {lending.LONGEST.days} days at most. Choose a day up to "
            f"{last_day(at, zone)}; a loan can be extended."
        )
    return ""


def _today(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone) if zone else settings.CIDUTY_CALENDAR.tzinfo).date()


@transaction.atomic
def ask(application: Application, *, again: bool = False) -> Application:
    """Write an application down together with the bug that is to be filed for it, and return it.

    Sent twice under one key it is one application and one bug. Raises NotAllowed when the person has something open and
    did not say `again`, and outbox.changes.Unwritable for what Bugzilla would refuse in any case.
    """
    person = Person.objects.select_for_update().get(pk=application.person_id)  # two forms of theirs come in turn
    before = Application.objects.filter(key=application.key).first()
    if before is not None:
        return before
    warning = "" if again else warning_of(still_open(person))
    if warning:
        raise NotAllowed(warning)
    application.asked_at = clock.now()
    application.save()
    row = post.new_bug(
        key=f"{about(application)} bug",
        purpose=FILE,
        about=about(application),
        fields=fields_of(application),
        by=person,
    )
    application.update_id = row.pk
    application.save(update_fields=["update_id"])
    sentence = f"Asked for a {application.machine_class} until {application.until}"
    write.entry(about(application), "asked", sentence, by=person, caused=[row])
    return application


def register() -> None:
    """Make known why bugs are filed, where applications stand, and that words go when their bug turns private."""
    purposes.register(purposes.Purpose(FILE, "Filing a loaner request", may_still_go, happened))
    rows.link("application", lambda number: reverse("loaner_application", args=[number]))
    if follow not in poll.followers:
        poll.followers.append(follow)


def may_still_go(row: BugUpdate) -> purposes.Stop | None:
    """Hold the request of somebody who has left meanwhile."""
    application = Application.objects.filter(update_id=row.pk).select_related("person").first()
    if application is None:
        return purposes.Stop("Nobody's application belongs to this bug: look who asked before it is filed.")
    if not application.person.is_active:
        return purposes.Stop(f"{application.person} may not sign in any more: look whether the loan is still wanted.")
    return None


def happened(row: BugUpdate) -> None:
    """Join an application with the bug that was filed for it, and have the bug read with the next poll."""
    if row.state != State.ACCEPTED or not row.bug_id:
        return
    application = Application.objects.filter(update_id=row.pk, bug_id=None).select_related("person").first()
    if application is None:
        return  # told before
    if Application.objects.filter(bug_id=row.bug_id).exists():
        sentence = f"Bug {row.bug_id} belongs to another application already: it was not joined with this one"
        write.entry(about(application), "not joined", sentence, caused=[row])
        return
    application.bug_id = row.bug_id
    application.save(update_fields=["bug_id"])
    _track(row.bug_id)
    sentence = f"Asked for a {application.machine_class} until {application.until}"
    asked_at = {"by": application.person, "at": application.asked_at}
    write.entry(f"loaner {row.bug_id}", "asked", sentence, caused=[row], **asked_at)
    sync.look_at(row.bug_id, clock.now())  # where a poll was quicker than this
    poll.want_sync()
    bell.ring_after_commit(polling.poll_if_due.name, "sync")


def _track(bug_id: int) -> None:
    """Let the next poll ask for a bug by its number; those that were read since then need it no more."""
    TrackedId.objects.filter(why=TRACKED_BECAUSE, bug_id__in=Bug.objects.values("pk")).delete()
    TrackedId.objects.get_or_create(bug_id=bug_id, defaults={"why": TRACKED_BECAUSE})


def follow() -> int:
    """Erase the words of applications whose bug was restricted: they stand in Bugzilla (design.md, decision 3).

    Called after every poll. A bug that merely could not be read for a while keeps them.
    """
    restricted = Bug.objects.filter(visibility=Visibility.RESTRICTED, held_back=True).values("pk")
    worded = Application.objects.filter(bug_id__in=restricted).exclude(why="", system_needs="")
    return worded.update(why="", system_needs="")
