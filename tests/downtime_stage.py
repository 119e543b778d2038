"""A downtime at each step of its life, for tests: planned so that nothing stands against it, agreed to, announced."""

from datetime import timedelta

from ciduty import clock
from ciduty.bugzilla.models import Bug
from ciduty.people.models import Approver, BugzillaLogin
from ciduty.people.roles import Role
from downtimes import announcing, answering, asking_to_agree
from downtimes.models import ListUse
from downtimes.rules import Asked, Decision
from tests.cast import (
    BugTextFactory,
    DowntimeFactory,
    ItemFactory,
    MailingListFactory,
    NominationFactory,
    PersonFactory,
)

WORKER = "worker@example.com"


def plan(people, starts_in=timedelta(days=3), **fields):
    """Return a window against which nothing stands, with one item, a worker, a pre-approver and two mandatory lists."""
    at = clock.now()
    duty = people[Role.DUTY]
    starts_at = at + starts_in
    fields = {
        "title": "Switches in mdc1", "starts_at": starts_at, "ends_at": starts_at + timedelta(hours=3),
        "urgency": "soon", "close": "hard", "trees": ["autoland", "mozilla-central"], "duty": duty,
        "duty_confirmed_at": at, "made_by": duty, "made_at": at,
    } | fields  # fmt: skip
    downtime = DowntimeFactory(**fields)
    add_work(downtime)
    if not BugzillaLogin.objects.filter(login=WORKER).exists():
        BugzillaLogin.objects.create(login=WORKER, person=PersonFactory(username="worker", email=WORKER))
    Approver.objects.get_or_create(
        address="pre-approver@example.com", defaults={"name": "Pre-approver", "is_pre_approver": True}
    )
    if not downtime_lists().exists():
        MailingListFactory(name="dev.planning", address="dev-planning@example.com")
        MailingListFactory(name="dev.tree-management", address="dev-tree-management@example.com")
        MailingListFactory(name="all@", address="all@example.com", mandatory=False)
        MailingListFactory(name="release@", address="release@example.com", use=ListUse.COPY)
    return downtime


def downtime_lists():
    """Return the lists that stand in the database."""
    return MailingListFactory._meta.model.objects.all()


def add_work(downtime, bug_id=None, **fields):
    """Put one more public bug into the window, its worker the assignee; one of this number where one is given."""
    given = {"bug_id": BugTextFactory(bug__id=bug_id, bug__is_loaner_request=False).pk} if bug_id else {}
    nomination = NominationFactory(state="accepted", **given)
    item = ItemFactory(
        downtime=downtime, bug_id=nomination.bug_id, nomination=nomination, worker=WORKER,
        confirmed_by=downtime.made_by, **fields,
    )  # fmt: skip
    words = nomination_bug(item).text
    words.assignee = WORKER
    words.save()
    return item


def nomination_bug(item):
    """Return the mirrored bug of an item."""
    return Bug.objects.select_related("text").get(pk=item.bug_id)


def everybody_approves(downtime, by):
    """Ask the workers and the pre-approvers, each of whom approves; returns the version."""
    version = asking_to_agree.ask_workers(downtime, by=by, op=op())
    approve_as(version, Asked.WORKER)
    asking_to_agree.ask_pre_approvers(downtime, by=by, op=op())
    approve_as(version, Asked.PRE_APPROVER)
    downtime.refresh_from_db()
    return version


def approve_as(version, role, decision=Decision.APPROVE, words=""):
    """Let everybody who was asked in a role answer."""
    for ask in version.asks.filter(role=role):
        answering.answer(ask, decision, words, via=answering.CODE)


def announced(people, **plans):
    """Return a downtime that was agreed to and announced, its mails still due."""
    downtime = plan(people, **plans)
    version = everybody_approves(downtime, people[Role.LEAD])
    announcing.announce(downtime, by=people[Role.DUTY], version=version.number)
    downtime.refresh_from_db()
    return downtime


_ops = iter(f"{number:08x}" for number in range(1, 2**31))


def op():
    """Return what names one more form."""
    return next(_ops)
