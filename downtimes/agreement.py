"""How the agreement to a version stands: who was asked, who answered what, who is left out; and may a mail still go.

Counts and reads only. Asking: `asking_to_agree.py`; answering: `sign_off.py`; what mails say: `notices.py`.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, Max, OuterRef, Q

from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import purposes
from ciduty.outbox.models import Mail
from ciduty.people.models import Approver, logins_of
from ciduty.record.models import Entry
from downtimes import notice, versions
from downtimes.models import Answer, Ask, Downtime, NoticeVersion
from downtimes.rules import Asked, Decision, State, Votes, latest_notice

ASKED_PRE_APPROVERS = "ask the pre-approvers"
AGREEMENT = "downtimes: agreement"
COPY = "downtimes: copy of the draft"
REMINDER = "downtimes: reminder to answer"
OUTDATED = "downtimes: a version is outdated"
RECEIPT = "downtimes: receipt of an answer"
SETTLED = "downtimes: answer to a question"

GONE = purposes.Stop("The downtime was cancelled or put off meanwhile.", for_good=True)
OLD = purposes.Stop("A newer version was made meanwhile: people are asked about that one.", for_good=True)
CHANGED = purposes.Stop("The window or the text was changed meanwhile: ask for agreement anew, and cancel this mail.")
PRIVATE = purposes.Stop(
    "A bug of this downtime is not what it was when its public text was confirmed: read that text again, confirm it "
    "and ask for agreement anew."
)
ANSWERED = purposes.Stop("They have answered meanwhile.", for_good=True)


@dataclass(frozen=True)
class Vote:
    """One person who was asked in a role, and what they answered to this very version (None: nothing yet)."""

    ask: Ask
    answer: Answer | None

    @property
    def name(self) -> str:
        """Return who answers, and for whom."""
        return f"{self.ask.approver} (for {self.ask.instead_of})" if self.ask.instead_of else str(self.ask.approver)

    def says(self, decision: Decision) -> bool:
        """Answer whether this decision stands open: a question that was settled is no answer yet."""
        return self.answer is not None and self.answer.decision == decision and self.answer.settled_at is None


def votes(version: NoticeVersion, role: Asked) -> Votes:
    """Return how those stand who were asked in a role. One person counts once, their answer for both roles.

    Whoever made the version is left out. A settled question blocks no more, and its asker counts as missing.
    """
    found = votes_of(version, role)
    return Votes(
        asked=len(found),
        approved=sum(vote.says(Decision.APPROVE) for vote in found),
        objections=tuple(vote.name for vote in found if vote.says(Decision.OBJECT)),
        questions=tuple(vote.name for vote in found if vote.says(Decision.QUESTION)),
        missing=tuple(vote.name for vote in found if is_missing(vote)),
    )


def is_missing(vote: Vote) -> bool:
    """Answer whether their decision is still waited for."""
    return vote.answer is None or vote.answer.settled_at is not None


def votes_of(version: NoticeVersion, role: Asked) -> list[Vote]:
    """Return who counts in a role for a version, each with their answer to it, by name."""
    asks = version.asks.select_related("approver", "instead_of").order_by("approver__name", "pk")
    asks = [ask for ask in asks if ask.role == role or (role == Asked.PRE_APPROVER and _is_both(ask))]
    if role == Asked.PRE_APPROVER and asks and not were_pre_approvers_asked(version, asks):
        return []
    own = makers(version)
    answers = {answer.approver_id: answer for answer in version.answers.all()}
    stood_in_for = {ask.instead_of_id for ask in asks} - answers.keys()  # away since they were asked, and silent
    left_out = own | stood_in_for
    return [Vote(ask, answers.get(ask.approver_id)) for ask in asks if ask.approver_id not in left_out]


def _is_both(ask: Ask) -> bool:
    """Answer whether a worker is a pre-approver too, or stands in for one: there is one ask for each person."""
    return ask.approver.is_pre_approver or ask.instead_of_id is not None


def were_pre_approvers_asked(version: NoticeVersion, asks=None) -> bool:
    """Answer whether the pre-approvers were asked about a version; all of them may have been asked as workers."""
    asks = version.asks.all() if asks is None else asks
    if any(ask.role == Asked.PRE_APPROVER for ask in asks):
        return True
    about = f"downtime {version.downtime_id}"
    return Entry.objects.filter(about=about, verb=ASKED_PRE_APPROVERS, after__version=version.number).exists()


def makers(version: NoticeVersion) -> frozenset[int]:
    """Return the approvers who are whoever made a version, by account, mail address or Bugzilla login.

    No one approves their own draft, under whichever of their names they were asked.
    """
    person = version.made_by
    names = {person.email.lower(), *logins_of(person)} - {""}
    theirs = Q(person_id=person.pk)
    for name in names:
        theirs |= Q(address__iexact=name)
    return frozenset(Approver.objects.filter(theirs).values_list("pk", flat=True))


def last_call(starts_at: datetime, at: datetime) -> datetime:
    """Return until when answers help: the latest lawful moment for the lists or, in an emergency past it, the start."""
    latest = latest_notice(starts_at)
    return latest if latest > at else starts_at


def half_way(at: datetime, starts_at: datetime) -> datetime:
    """Return until when objections are waited for that are asked for at a moment: half of the time that is left.

    Half, so that as much is left to answer an objection.
    """
    return at + (last_call(starts_at, at) - at) / 2


def answers_until(version: NoticeVersion) -> datetime:
    """Return until when the pre-approvers may object: as frozen, or later where they were asked later.

    Workers answer first; however long they take, half of the time that is left is the pre-approvers'.
    """
    asked = version.asks.filter(role=Asked.PRE_APPROVER).aggregate(last=Max("asked_at"))["last"]
    starts_at = version.downtime.starts_at
    return max(version.answers_until, half_way(asked, starts_at)) if asked and starts_at else version.answers_until


def waiting_for(person) -> list[Ask]:
    """Return what somebody with an account is asked now and has not answered: the newest versions being agreed."""
    newer = NoticeVersion.objects.filter(downtime=OuterRef("version__downtime"), number__gt=OuterRef("version__number"))
    answered = Answer.objects.filter(version=OuterRef("version"), approver=OuterRef("approver"), settled_at=None)
    asks = Ask.objects.filter(~Exists(newer), ~Exists(answered), approver__person=person)
    waiting = asks.filter(version__downtime__state=State.AGREEING).exclude(version__made_by=person)
    return list(waiting.select_related("version__downtime").order_by("version__downtime__starts_at", "pk"))


def late_objections():
    """Return what came after the announcement and nobody settled: objections and questions to the version announced."""
    newer = NoticeVersion.objects.filter(downtime=OuterRef("version__downtime"), number__gt=OuterRef("version__number"))
    open_ones = Answer.objects.filter(~Exists(newer), settled_at=None).exclude(decision=Decision.APPROVE)
    late = open_ones.filter(version__downtime__state=State.ANNOUNCED).order_by("at", "pk")
    return late.select_related("approver", "version__downtime")


# --- what the outbox asks ---------------------------------------------------------------------------------------------


def register() -> None:
    """Make known why people are written to before a downtime is announced."""
    purposes.register(purposes.Purpose(AGREEMENT, "Question whether a downtime is agreed to", may_still_go))
    purposes.register(purposes.Purpose(COPY, "Copy of a draft notice to a list", may_still_go))
    purposes.register(purposes.Purpose(OUTDATED, "An earlier draft of a notice does not hold", may_still_go))
    purposes.register(purposes.Purpose(REMINDER, "Reminder to answer about a downtime", reminder_may_still_go))
    purposes.register(purposes.Purpose(RECEIPT, "Receipt of an answer about a downtime"))
    purposes.register(purposes.Purpose(SETTLED, "Answer to a question about a downtime"))


def key_of(version: NoticeVersion, what: str) -> str:
    """Return the key of one mail about a version; the hooks below read it back."""
    return f"downtime {version.downtime_id} v{version.number} {what}"


def version_of(row: Mail) -> NoticeVersion:
    """Return the version that a mail is about."""
    _, downtime, number, *_ = row.key.split(" ")
    return NoticeVersion.objects.select_related("downtime").get(downtime_id=downtime, number=number.removeprefix("v"))


def may_still_go(row: Mail) -> purposes.Stop | None:
    """Hold what asks about a text that is not the text any more (safety.md C3); drop what is of no use to anybody."""
    version = version_of(row)
    if version.downtime.state != State.AGREEING:
        return GONE
    if versions.newest(version.downtime) != version:
        return OLD
    if not are_texts_confirmed(version.downtime):
        return PRIVATE
    return None if versions.is_current(version) else CHANGED


def reminder_may_still_go(row: Mail) -> purposes.Stop | None:
    """Drop a reminder to who has answered; for the rest as the mail that it reminds of."""
    ask = version_of(row).asks.get(pk=row.key.split(" ")[4])
    if Answer.objects.filter(version=ask.version_id, approver=ask.approver_id, settled_at=None).exists():
        return ANSWERED
    return may_still_go(row)


def may_be_shown(version: NoticeVersion) -> bool:
    """Answer whether the text of a version may be read still: of a bug that is not public any more it says nothing old.

    Of such a bug only what a person confirmed since may stand there (safety.md C3, checked at agreement).
    """
    said = {item["bug"]: item["text"] for item in version.content["items"]}
    public = set(Bug.objects.filter(pk__in=said, visibility=Visibility.PUBLIC).values_list("pk", flat=True))
    if public == set(said):
        return True
    now = {one.item.bug_id: one.text for one in notice.items_as_said(version.downtime)}
    return all(bug in public or now.get(bug) == text for bug, text in said.items())


def are_texts_confirmed(downtime: Downtime) -> bool:
    """Answer whether every public text was confirmed with its bug as visible as it is now (safety.md C3)."""
    items = list(downtime.items.all())
    seen = dict(Bug.objects.filter(pk__in=[item.bug_id for item in items]).values_list("pk", "visibility"))
    return all(
        item.confirmed_by_id is not None and item.confirmed_as == seen.get(item.bug_id, Visibility.RESTRICTED)
        for item in items
    )
