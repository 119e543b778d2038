"""Every mail that a notice becomes, as its reader will see it: for the preview alone. Nothing is saved or sent here.

The text: `notice.py`. The mails that really go: `notices.py` before the announcement, `announcing.py` with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.template.loader import render_to_string

from ciduty.outbox import as_sent, composing
from downtimes import agreement, notice, notice_times, notices, rules
from downtimes.models import Downtime, ListUse, MailingList, NoticeVersion
from downtimes.notice import Draft

#: What stands in a preview where the mail holds what only its reader may know.
THEIR_PAGE, THEIR_CODE = "(a link that is theirs alone)", "(a code that is theirs alone)"
EACH_PRE_APPROVER = "each pre-approver, in a mail of their own"
EACH_WORKER = "each worker, in a mail of their own"
#: Nobody reads mail there: the mail is composed for a look, and its address is not known yet.
SOMEBODY = "somebody@example.com"


@dataclass(frozen=True)
class Letter:
    """One mail, or many that read alike: its key and name as a tab, to whom it goes, its words."""

    key: str
    label: str
    to: str
    draft: Draft


@dataclass(frozen=True)
class Sheet:
    """A mail as a reader will see it, or, with `problem`, the sentence that says why it cannot be sent."""

    letter: Letter
    subject: str
    text: str
    problem: str = ""


def letters(downtime: Downtime, number: int, at: datetime) -> list[Letter]:
    """Return every mail that the notice becomes: lists and groups first, then who is asked and told before them.

    `number` is the one that its version would have.
    """
    draft, lists = notice.draft(downtime), list(MailingList.objects.filter(is_used=True))
    found = [Letter(f"list-{one.pk}", one.name, one.address, draft) for one in lists if one.use == ListUse.ANNOUNCE]
    found += [Letter(f"group-{place}", to, to, draft) for place, to in enumerate(downtime.extra_groups, start=1)]
    return [*found, *_before_the_lists(downtime, draft, number, at, [one for one in lists if one.use == ListUse.COPY])]


def _before_the_lists(downtime: Downtime, draft: Draft, number: int, at: datetime, copies) -> Iterator[Letter]:
    version = NoticeVersion(downtime=downtime, number=number, subject=draft.subject, body=draft.body)
    until = notices.moment(agreement.half_way(at, downtime.starts_at)) if downtime.starts_at else notice_times.NOT_SET
    asked = {"page": THEIR_PAGE, "code": THEIR_CODE, "answers_until": until}
    yield Letter("workers", "Workers", EACH_WORKER, _rendered("worker", version, **asked))
    yield Letter("pre-approvers", "Pre-approvers", EACH_PRE_APPROVER, _rendered("pre_approver", version, **asked))
    copy = _rendered("copy", version)
    yield from (Letter(f"list-{one.pk}", f"{one.name} (copy)", one.address, copy) for one in copies)


def sheet(letter: Letter, at: datetime) -> Sheet:
    """Compose a mail as the outbox will, and read it back as its reader does."""
    to = letter.to if letter.to not in (EACH_PRE_APPROVER, EACH_WORKER) else SOMEBODY
    try:
        made = composing.compose(
            to=to, subject=letter.draft.subject, text=letter.draft.body,
            message_id=composing.new_message_id(), in_reply_to="", at=at,
        )  # fmt: skip
    except composing.Unsendable as problem:
        return Sheet(letter, letter.draft.subject, letter.draft.body, str(problem))
    return Sheet(letter, made.subject, as_sent.read(made.message).text)


def _rendered(template: str, version: NoticeVersion, **more) -> Draft:
    starts_at = version.downtime.starts_at
    context = {
        "version": version,
        "downtime": version.downtime,
        "latest": notices.moment(rules.latest_notice(starts_at)) if starts_at else notice_times.NOT_SET,
        "team": settings.CIDUTY_TEAM,
        "channel": settings.CIDUTY_CHANNEL,
    }
    subject, _, text = render_to_string(f"downtimes/mail/{template}.txt", context | more).partition("\n")
    too_long = len(subject) > composing.LONGEST_SUBJECT
    return Draft(f"{subject[: composing.LONGEST_SUBJECT - 1]}…" if too_long else subject, text.lstrip("\n"))
