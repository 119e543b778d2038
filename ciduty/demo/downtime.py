"""The demo's downtime: agreed to and announced two days ago, about to begin. Everything was done by the real verbs.

Its mails and bug updates count as done by hand: nobody's inbox, and no bug, is filled with what happened before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage

from django.db import transaction

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import post, receiving
from ciduty.outbox import workflow as outbox
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.outbox.rules import UNDER_WAY, State
from ciduty.people.models import Person
from ciduty.people.roles import Role
from downtimes import announcing, answering, asking_to_agree, requesting, review, windows
from downtimes.models import Downtime, Nomination
from downtimes.rules import Asked, Close, Decision, Urgency

TITLE = "Core switches in mdc1 and the database of Treeherder"
TREES = ["autoland", "mozilla-central"]
BEGINS_IN, LENGTH = timedelta(minutes=3), timedelta(hours=1)
ANNOUNCED_AGO, ANSWERED_AGO = timedelta(days=2), timedelta(minutes=25)
#: The notice, beside what is generated.
WORDS = {
    "what_stops": "Builders in mdc1 lose their network, and Treeherder shows results late.",
    "what_keeps_working": "Pushes to try, and all machines in the cloud.",
    "effect_on_releases": "None: no release is built on that day.",
}
REPLY = """\
A merge to autoland may still be on its way when you close. Could you wait
for it, or tell me in the channel before you begin?
"""


@dataclass(frozen=True)
class Work:
    """One piece of work; its bug stands in the sandbox under this summary."""

    summary: str
    system: str
    public_text: str
    steps: str
    minutes: int
    rollback: str
    rollback_minutes: int


WORK = (
    Work(
        summary="New firmware for the core switches in mdc1",
        system="Switches in mdc1",
        public_text="The core switches in mdc1 get new firmware: builders there lose their network for some minutes.",
        steps="Drain the builders of mdc1.\nUpdate the second switch, then the first.\nLook at the ports.",
        minutes=25,
        rollback="Boot the firmware of before, which stays on the second partition.",
        rollback_minutes=15,
    ),
    Work(
        summary="Move the database of Treeherder to a larger machine",
        system="Treeherder",
        public_text="Treeherder’s database moves to a larger machine: results are shown late for a quarter of an hour.",
        steps="Stop the ingestion.\nSwitch to the replica on the larger machine.\nStart the ingestion.",
        minutes=15,
        rollback="Switch back to the machine of before.",
        rollback_minutes=10,
    ),
)


def load() -> bool:
    """Load the downtime, unless it is there, and return whether it is there now: its bugs may not be read yet."""
    if Downtime.objects.filter(title=TITLE).exists():
        return True
    people = {role: Person.objects.filter(username=role, role=role).first() for role in (Role.DUTY, Role.SCHEDULER)}
    bugs = dict(
        Bug.objects.filter(visibility=Visibility.PUBLIC, text__summary__in=[one.summary for one in WORK])
        .exclude(text__assignee="")
        .values_list("text__summary", "pk")
    )
    if None in people.values() or len(bugs) < len(WORK):
        return False
    with transaction.atomic():
        _load(people[Role.DUTY], people[Role.SCHEDULER], bugs)
    return True


def _load(duty: Person, scheduler: Person, bugs: dict[str, int]) -> None:
    starts_at = _to_the_minute(clock.now() + BEGINS_IN)
    with _ago(ANNOUNCED_AGO):
        downtime = _planned(duty, starts_at)
        for work in WORK:
            _accept(work, bugs[work.summary], downtime, duty, scheduler)
        windows.confirm_duty(downtime, by=duty)
        _agree(downtime, duty)
        version = downtime.versions.get()
        announcing.announce(downtime, by=duty, version=version.number)
        _count_as_done(downtime, duty)
    with _ago(ANSWERED_AGO):
        _answer(downtime)


@contextmanager
def _ago(length: timedelta) -> Iterator[None]:
    """Do something as if it was so long ago. Inside a transaction: no other process sees the clock move."""
    clock.move(-length)
    yield
    clock.move(length)


def _to_the_minute(at: datetime) -> datetime:
    return (at + timedelta(seconds=59)).replace(second=0, microsecond=0)


def _planned(duty: Person, starts_at: datetime) -> Downtime:
    downtime = windows.create(TITLE, by=duty)
    fields = WORDS | {
        "starts_at": starts_at, "ends_at": starts_at + LENGTH, "urgency": Urgency.SOON, "close": Close.HARD,
        "trees": TREES, "duty": duty, "sheriff": "the sheriff on duty",
        "separate_because": "The supplier of the switches comes on this day.",
    }  # fmt: skip
    windows.edit(downtime, fields, by=duty, revision=downtime.revision)
    return downtime


def _accept(work: Work, bug_id: int, downtime: Downtime, duty: Person, scheduler: Person) -> None:
    asked = Nomination(
        bug_id=bug_id, key=requesting.key_of(scheduler, post.new_op()), system=work.system, urgency=Urgency.SOON,
        public_text=work.public_text, steps=work.steps, minutes=work.minutes, rollback=work.rollback,
        rollback_minutes=work.rollback_minutes,
    )  # fmt: skip
    nomination = requesting.ask(asked, by=scheduler)
    review.accept(nomination, by=duty, op=post.new_op(), downtime=downtime)


def _agree(downtime: Downtime, duty: Person) -> None:
    """Ask everybody, each of whom approves."""
    for ask, role in (
        (asking_to_agree.ask_workers, Asked.WORKER),
        (asking_to_agree.ask_pre_approvers, Asked.PRE_APPROVER),
    ):
        version = ask(downtime, by=duty, op=post.new_op())
        for one in version.asks.filter(role=role).select_related("version__downtime", "approver"):
            answering.answer(one, Decision.APPROVE, "", via=answering.CODE)
    downtime.refresh_from_db()


def _count_as_done(downtime: Downtime, duty: Person) -> None:
    about = [downtime.about, *(item.nomination.about for item in downtime.items.select_related("nomination"))]
    for model in (Mail, BugUpdate):
        for row in model.objects.filter(about__in=about, state__in=[*UNDER_WAY, State.HELD]).order_by("pk"):
            outbox.done_by_hand(row, duty)


def _answer(downtime: Downtime) -> None:
    """Let somebody answer the announcement on a list: it is read before trees are closed (R28)."""
    batches = downtime.announcements.values("batch")
    announced = Mail.objects.filter(batch__in=batches, mandatory=True).order_by("pk").first()
    reply = EmailMessage()
    reply["From"], reply["To"] = "Demo developer <developer@example.com>", announced.recipient
    reply["Subject"] = f"Re: {announced.subject}"
    reply["In-Reply-To"] = announced.message_id
    reply["Message-ID"] = f"<answer-{downtime.pk}@lists.example.com>"
    reply.set_content(REPLY)
    receiving.take(reply.as_bytes())
