"""What the page of a downtime's agreement shows: who was asked as what, who said what to which version, who is missing.

And the page on which one person answers. Everything here only reads.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from ciduty import access
from ciduty.outbox import post
from ciduty.outbox.models import Mail
from ciduty.people.models import Approver
from ciduty.record.timeline import timeline
from ciduty.typed import OpForm
from downtimes import agreement, answering, asking_to_agree, notices, rules, sign_off, versions
from downtimes.agreement import Vote
from downtimes.agreement_forms import AnswerForm, SettleForm
from downtimes.facts import facts_of
from downtimes.models import Answer, Ask, Downtime, NoticeVersion
from downtimes.rules import Asked, State

#: How the state of an answer is coloured (`static/ciduty.css`); the word itself is the decision's.
COLOURS = {"approve": "answered", "object": "overdue", "question": "waiting"}


@dataclass(frozen=True)
class Row:
    """One person who was asked about the newest version. `earlier`: to older ones, which do not count."""

    vote: Vote
    earlier: tuple[Answer, ...]
    mail_state: str
    settle: SettleForm | None

    @property
    def colour(self) -> str:
        """Return how their answer is coloured."""
        answer = self.vote.answer
        return COLOURS[answer.decision] if answer and answer.settled_at is None else "closed"


@dataclass(frozen=True)
class Group:
    """Those who were asked in one role, and what stands against asking them now."""

    label: str
    address: str
    button: str
    rows: tuple[Row, ...]
    votes: rules.Votes
    against: tuple[str, ...]
    may_ask: bool


# --- the page of the agreement ----------------------------------------------------------------------------------------


def whole(person, downtime: Downtime, at: datetime, *, settle: Answer | None = None, form=None) -> dict:
    """Return everything of the page. `settle` and `form`: the answer that was refused, with what was typed."""
    version = versions.newest(downtime)
    facts = facts_of(downtime, at)
    latest = rules.latest_notice(downtime.starts_at) if downtime.starts_at else None
    groups = _groups(person, downtime, version, facts, settle, form)
    return {
        "downtime": downtime,
        "version": version,
        "is_current": facts.text_is_frozen if version else True,
        "groups": groups,
        "left_out": _left_out(version) if version else [],
        "earlier": _only_earlier(downtime, version) if version else [],
        "latest": latest,
        "left": latest - at if latest else timedelta(),
        "is_late": latest is not None and latest <= at,
        "is_soon": latest is not None and timedelta() < latest - at <= timedelta(hours=24),
        "answers_until": agreement.answers_until(version) if version else None,
        "chat_lines": _chat_lines(groups, downtime, at) if version else [],
        "late": [answer for answer in agreement.late_objections().filter(version__downtime=downtime)],
        "plans": access.may_plan_downtimes(person),
        "op": OpForm(initial={"op": post.new_op()}),
        "timeline": timeline(downtime.about, without=("mail accepted",)),
        "at": at,
    }


def _groups(person, downtime, version, facts, settle, form) -> list[Group]:
    plans = access.may_plan_downtimes(person)
    verbs = [
        (Asked.WORKER, "Workers", "ask_workers", "Ask the workers", asking_to_agree.ASK_WORKERS),
        (
            Asked.PRE_APPROVER,
            "Pre-approvers",
            "ask_pre_approvers",
            "Ask the pre-approvers",
            asking_to_agree.ASK_PRE_APPROVERS,
        ),
    ]
    of_role = {Asked.WORKER: facts.workers, Asked.PRE_APPROVER: facts.pre_approvers}
    earlier = _earlier_answers(downtime, version)
    return [
        Group(
            label,
            address,
            button,
            _rows(version, role, earlier, plans, settle, form) if version else (),
            of_role[role],
            tuple(rules.refusals(verb, facts)),
            plans and asking_to_agree.is_anybody_left(role, downtime, facts.text_is_frozen, facts.at),
        )
        for role, label, address, button, verb in verbs
    ]


def _rows(version: NoticeVersion, role: Asked, earlier, plans: bool, settle, form) -> tuple[Row, ...]:
    votes = agreement.votes_of(version, role)
    mails = {mail.pk: mail for mail in Mail.objects.filter(pk__in=[vote.ask.mail_id for vote in votes]).only("state")}
    return tuple(
        Row(
            vote,
            tuple(earlier.get(vote.ask.approver_id, ())),
            mails[vote.ask.mail_id].state if vote.ask.mail_id in mails else "",
            _settle_form(vote.answer, version, settle, form) if plans else None,
        )
        for vote in votes
    )


def _settle_form(answer: Answer | None, version: NoticeVersion, settle: Answer | None, form) -> SettleForm | None:
    """Return the form with which duty answers, None where nothing waits for an answer of theirs."""
    if answer is None or answer.settled_at is not None or answering.why_not_settle(answer, version):
        return None
    return form if settle is not None and settle.pk == answer.pk else SettleForm(auto_id=f"settle-{answer.pk}-%s")


def _earlier_answers(downtime: Downtime, version: NoticeVersion | None) -> dict[int, list[Answer]]:
    """Return the answers to older versions by person, the newest first: shown greyed, "to version 1"."""
    if version is None or version.number == 1:
        return {}
    older = Answer.objects.filter(version__downtime=downtime, version__number__lt=version.number)
    found: dict[int, list[Answer]] = {}
    for answer in older.select_related("version", "approver").order_by("-version__number"):
        found.setdefault(answer.approver_id, []).append(answer)
    return found


def _only_earlier(downtime: Downtime, version: NoticeVersion) -> list[Answer]:
    """Return the last answer of each who was asked about an older version and not about this one (yet)."""
    asked = set(version.asks.values_list("approver_id", flat=True))
    return [answers[0] for who, answers in _earlier_answers(downtime, version).items() if who not in asked]


def _left_out(version: NoticeVersion) -> list[Approver]:
    """Return who would be asked and is not, since they made this version."""
    own = Approver.objects.filter(pk__in=agreement.makers(version))
    workers = {item["worker"].lower() for item in version.content["items"]}
    return [
        one
        for one in own.select_related("person").prefetch_related("person__bugzilla_logins")
        if one.is_pre_approver or workers & _names_of(one)
    ]


def _names_of(approver: Approver) -> set[str]:
    logins = approver.person.bugzilla_logins.all() if approver.person else []
    return {approver.address.lower(), *(row.login.lower() for row in logins)}


def chat_lines(groups: list[Group], downtime: Downtime, until: datetime | None) -> list[str]:
    """Return lines to paste into the chat, one for each who has not answered. No link of theirs, ever."""
    people = {row.vote.ask.approver_id: row.vote.ask for group in groups for row in group.rows if _waits(row)}
    until = f" before {notices.moment(until)}" if until else ""
    return [
        f"@{ask.approver}: please answer about the downtime “{downtime.title}”{until}. The link stands in the mail of "
        f"{ask.asked_at:%Y-%m-%d %H:%M} UTC from {settings.CIDUTY_TEAM}."
        for ask in people.values()
    ]


def _chat_lines(groups: list[Group], downtime: Downtime, at: datetime) -> list[str]:
    if downtime.state != State.AGREEING:
        return []
    return chat_lines(groups, downtime, agreement.last_call(downtime.starts_at, at) if downtime.starts_at else None)


def _waits(row: Row) -> bool:
    return agreement.is_missing(row.vote)


# --- the page of one person -------------------------------------------------------------------------------------------


def of_person(ask: Ask, at: datetime, *, form: AnswerForm, needs_code: bool) -> dict:
    """Return what one person sees who was asked: the whole text, what changed, what they said, and the form."""
    version = ask.version
    before = _version_seen_before(ask)
    may_compare = before is not None and agreement.may_be_shown(before)
    standing = answering.standing_of(ask, at)
    return {
        "ask": ask,
        "version": version,
        "downtime": version.downtime,
        "before": before,
        "difference": versions.difference(before, version) if may_compare else [],
        "beside": versions.beside_the_text(before, version) if may_compare else [notices.HIDDEN],
        "answer": Answer.objects.filter(version=version, approver=ask.approver).first(),
        "standing": standing,
        "why_closed": answering.why_closed(version.downtime) if standing == "closed" else "",
        "latest": agreement.last_call(version.downtime.starts_at, at) if version.downtime.starts_at else None,
        "is_shown": agreement.may_be_shown(version),
        "why_hidden": answering.HIDDEN,
        "may_answer": answering.may_answer(ask),
        "why_not": answering.OWN,
        "form": form,
        "needs_code": needs_code,
        "is_locked": needs_code and sign_off.is_locked(ask),
        "why_locked": sign_off.why_not_locked(),
    }


def _version_seen_before(ask: Ask) -> NoticeVersion | None:
    """Return the version that they were asked about last, or the one before this: nobody approves an unseen change."""
    earlier = notices.latest_ask_before(ask)
    if earlier is not None:
        return earlier.version
    older = NoticeVersion.objects.filter(downtime=ask.version.downtime_id, number__lt=ask.version.number)
    return older.order_by("-number").first()
