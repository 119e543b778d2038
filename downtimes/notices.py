"""The mails before an announcement: to workers and pre-approvers, copies to lists, reminders, differences, receipts.

The words stand in templates/downtimes/mail/. All that they hold is public text typed by people, and our own sentences.
"""

import re
from datetime import UTC, datetime

from django.conf import settings
from django.template.loader import render_to_string

from ciduty import clock
from ciduty.outbox import post
from ciduty.outbox.models import Mail
from ciduty.outbox.rules import Priority
from downtimes import agreement, notice_times, rules, versions
from downtimes.models import Answer, Ask, MailingList, NoticeVersion
from downtimes.rules import Asked, Decision

QUESTION_TEMPLATES = {Asked.WORKER: "worker", Asked.PRE_APPROVER: "pre_approver"}
MARKS = {versions.SAME: "  ", versions.ADDED: "+ ", versions.REMOVED: "- "}
_EMPTY_LINES = re.compile(r"\n{3,}")
#: The earlier text speaks of a bug that was public then, and is not repeated.
HIDDEN = "The earlier text is not repeated: a bug in it is not public any more."
#: How a decision reads in a sentence about who took it.
DID = {Decision.APPROVE: "approved", Decision.OBJECT: "objected to", Decision.QUESTION: "asked a question about"}


# --- moments and addresses --------------------------------------------------------------------------------------------


def moment(at: datetime) -> str:
    """Write a moment in the three zones: `Tue 1 Dec 2026 08:00 UTC (10:00 EET, 00:00 PST)`; a day where it differs."""
    utc = at.astimezone(UTC)
    zones = (settings.CIDUTY_CALENDAR.tzinfo, notice_times.PACIFIC)
    beside = dict.fromkeys(_beside(at.astimezone(zone), utc) for zone in zones)
    return f"{utc:%a} {utc.day} {utc:%b %Y %H:%M} UTC ({', '.join(beside)})"


def _beside(local: datetime, utc: datetime) -> str:
    day = "" if local.date() == utc.date() else f"{local:%a} "
    return f"{day}{local:%H:%M} {local.tzname()}"


def sign_off_page(token: str) -> str:
    """Return the full address of one person's own page. Its link shows; it never decides."""
    return f"{settings.SITE_URL}/sign-off/{token}/"


def answer_page(downtime) -> str:
    """Return the full address at which who has an account answers once they are signed in; it holds no token."""
    return f"{settings.SITE_URL}/downtimes/{downtime.pk}/answer/"


# --- mails to one person ----------------------------------------------------------------------------------------------


def question(ask: Ask, token: str, code: str, *, by) -> Mail:
    """Ask one person to agree. The only mail that holds their token and their code."""
    version = ask.version
    earlier = latest_ask_before(ask)
    return _mail(
        agreement.key_of(version, f"ask {ask.pk} {ask.token_sha256[:8]}"),
        agreement.AGREEMENT,
        QUESTION_TEMPLATES[Asked(ask.role)],
        version,
        to=ask.approver.address,
        by=by,
        priority=Priority.URGENT,
        in_reply_to=message_id_of(earlier),
        not_after=version.downtime.starts_at,
        ask=ask,
        page=sign_off_page(token),
        code=code,
        answers_until=moment(agreement.answers_until(version)),
        changes=_changes(earlier.version, version) if earlier else "",
        earlier=earlier,
    )


def latest_ask_before(ask: Ask) -> Ask | None:
    """Return when the same person was asked last about an older version of the same downtime."""
    older = Ask.objects.filter(version__downtime=ask.version.downtime_id, version__number__lt=ask.version.number)
    return older.filter(approver=ask.approver_id).select_related("version").order_by("-version__number").first()


def message_id_of(ask: Ask | None) -> str:
    """Return the Message-ID of the mail that asked, "" where there is none."""
    if ask is None or ask.mail_id is None:
        return ""
    return Mail.objects.filter(pk=ask.mail_id).values_list("message_id", flat=True).first() or ""


def outdated(old: Ask, version: NoticeVersion, *, by) -> Mail:
    """Tell one who was asked about an older version that it does not hold any more, with what changed since."""
    return _mail(
        agreement.key_of(version, f"outdated {old.approver_id}"),
        agreement.OUTDATED,
        "outdated",
        version,
        to=old.approver.address,
        by=by,
        in_reply_to=message_id_of(old),
        not_after=version.downtime.starts_at,
        ask=old,
        changes=_changes(old.version, version),
    )


def reminder(ask: Ask, hours: int) -> Mail:
    """Remind one who has not answered, so many hours before the latest lawful moment. It holds no token."""
    version = ask.version
    latest = rules.latest_notice(version.downtime.starts_at)
    asked_by = Mail.objects.filter(pk=ask.mail_id).only("subject", "message_id").first()
    return _mail(
        reminder_key(ask, hours),
        agreement.REMINDER,
        "reminder",
        version,
        to=ask.approver.address,
        priority=Priority.BULK,
        in_reply_to=asked_by.message_id if asked_by else "",
        not_after=latest,
        ask=ask,
        hours=hours,
        asked_at=moment(ask.asked_at),
        asked_subject=asked_by.subject if asked_by else "",
    )


def reminder_key(ask: Ask, hours: int) -> str:
    """Return the key of one reminder: there is one for each person and step."""
    return agreement.key_of(ask.version, f"reminder {ask.pk} {hours}")


def receipt(ask: Ask, answer: Answer, entry, *, is_late: bool) -> Mail:
    """Tell a person what they answered, so that they notice an answer which was not theirs."""
    return _mail(
        agreement.key_of(ask.version, f"receipt {entry.pk}"),
        agreement.RECEIPT,
        "receipt",
        ask.version,
        to=ask.approver.address,
        in_reply_to=message_id_of(ask),
        ask=ask,
        answer=answer,
        did=DID[Decision(answer.decision)],
        at=moment(answer.at),
        is_late=is_late,
    )


def settled(answer: Answer, words: str, *, by) -> Mail:
    """Tell who asked a question, or objected late, what duty answered."""
    ask = Ask.objects.filter(version=answer.version_id, approver=answer.approver_id).first()
    return _mail(
        agreement.key_of(answer.version, f"settled {answer.pk} {answer.at:%Y%m%dT%H%M%S%f}"),
        agreement.SETTLED,
        "settled",
        answer.version,
        to=answer.approver.address,
        by=by,
        in_reply_to=message_id_of(ask),
        answer=answer,
        words=words,
        who=str(by),
    )


# --- mails to lists ---------------------------------------------------------------------------------------------------


def copy(to: MailingList, version: NoticeVersion, *, by) -> Mail:
    """Send a list the draft to read: no link, no token, no code, for its archive is everybody's (R24)."""
    return _mail(
        agreement.key_of(version, f"copy {to.pk}"),
        agreement.COPY,
        "copy",
        version,
        to=to.address,
        by=by,
        not_after=version.downtime.starts_at,
    )


# --- how they are written ---------------------------------------------------------------------------------------------


def _changes(old: NoticeVersion, new: NoticeVersion) -> str:
    """Return what changed in the text, each line with its mark, and what changed beside it."""
    if not agreement.may_be_shown(old):
        return HIDDEN
    lines = [MARKS[line.kind] + line.text for line in versions.difference(old, new) if line.kind != versions.SAME]
    return "\n".join([*lines, *versions.beside_the_text(old, new)])


def _mail(key, purpose, template, version: NoticeVersion, *, to, by=None, **more) -> Mail:
    """Render and post one mail; its template's first line is the subject."""
    delivery = {name: more.pop(name) for name in ("priority", "in_reply_to", "not_after") if name in more}
    downtime = version.downtime
    context = {
        "version": version,
        "downtime": downtime,
        "latest": moment(agreement.last_call(downtime.starts_at, clock.now())) if downtime.starts_at else "",
        "answer_page": answer_page(downtime),
        "team": settings.CIDUTY_TEAM,
        "channel": settings.CIDUTY_CHANNEL,
    }
    subject, _, text = render_to_string(f"downtimes/mail/{template}.txt", context | more).partition("\n")
    return post.mail(
        key=key,
        purpose=purpose,
        about=downtime.about,
        to=to,
        subject=_short(subject),
        text=_EMPTY_LINES.sub("\n\n", text),
        by=by,
        **delivery,
    )


def _short(subject: str) -> str:
    """Return a subject as long as a mail may carry it: titles are long, and what stands first says what it is."""
    return subject if len(subject) <= 200 else f"{subject[:199]}…"
