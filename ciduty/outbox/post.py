"""Writes down what shall be said, in the transaction that decided it; whoever is alive delivers it afterwards.

The same key twice is the same effect: the row that is there is returned, and nothing is sent again.
"""

import secrets
from datetime import datetime

from django.conf import settings
from django.db import transaction

from ciduty import bell, clock
from ciduty.outbox import changes, composing, tasks, tree_wants, tree_writing
from ciduty.outbox.models import BugUpdate, Mail, TreeChange
from ciduty.outbox.rules import Priority, State
from ciduty.record import write

NO_MAIL = "Mail is not configured: set EMAIL_URL, then try again."
NO_BUGZILLA = "Bugzilla is not configured: set BUGZILLA_URL and BUGZILLA_API_KEY, then try again."
NO_TREES = (
    "Trees are not written to: set TREESTATUS_WRITES=patch, TREESTATUS_URL and TREESTATUS_TOKEN, then try again; or "
    "change them by hand, and say so."
)


def mail(
    *,
    key: str,
    purpose: str,
    about: str,
    to: str,
    subject: str,
    text: str,
    by=None,
    priority: Priority = Priority.NORMAL,
    mandatory: bool = False,
    batch: str = "",
    in_reply_to: str = "",
    not_after: datetime | None = None,
    bug_id: int | None = None,
    leave: str = "",
) -> Mail:
    """Write one mail to one recipient, and return its row.

    What cannot be sent (a line break in the subject, two addresses in `to`) is a row that failed and says why; it never
    raises, so that the other recipients get theirs. `in_reply_to` is the Message-ID that is answered. `bug_id`: the bug
    whose words the mail may hold; they are erased here when it turns private. `not_after`: past it, it does not go.
    `leave`: the page where one click ends mails like this one.
    """
    at = clock.now()
    message_id = composing.new_message_id()
    row = Mail(
        key=key, purpose=purpose, about=about, by=by, priority=priority, mandatory=mandatory, batch=batch,
        in_reply_to=in_reply_to, not_after=not_after, bug_id=bug_id, message_id=message_id,
        created_at=at, due_since=at, next_try_at=at,
    )  # fmt: skip
    try:
        composed = composing.compose(
            to=to, subject=subject, text=text, message_id=message_id, in_reply_to=in_reply_to, at=at, leave=leave
        )
    except composing.Unsendable as problem:
        row.recipient, row.subject = composing.shown(to, 320), composing.shown(subject, 200)
        row.in_reply_to = composing.shown(in_reply_to, 200)
        return _write(row, State.FAILED, str(problem))
    row.recipient, row.subject = to, composed.subject
    row.message, row.sha256 = composed.message, composed.sha256
    if not settings.EMAIL_URL:
        return _write(row, State.HELD, NO_MAIL)
    return _write(row, State.DUE)


def bug_update(
    *,
    key: str,
    purpose: str,
    about: str,
    bug_id: int,
    wants: dict,
    seen: dict | None = None,
    by=None,
    priority: Priority = Priority.NORMAL,
    not_after: datetime | None = None,
    op: str = "",
) -> BugUpdate:
    """Write one change of one bug, and return its row. `wants` and `seen`: `changes.py`.

    `op`: eight hex digits of `new_op()`, where they were shown in a preview already. Raises changes.Unwritable for what
    Bugzilla would refuse in any case (an empty change, a comment that is too long).
    """
    return _bug_row(key, purpose, about, bug_id, wants, seen or {}, by, priority, not_after, op)


def new_bug(
    *, key: str, purpose: str, about: str, fields: dict, by=None, priority: Priority = Priority.NORMAL
) -> BugUpdate:
    """Write one new bug, and return its row; its number stands in `bug_id` once it is filed.

    `fields`: product, component, summary, description and what else Bugzilla's Create Bug takes. Raises
    changes.Unwritable when one of those four is missing or too long.
    """
    return _bug_row(key, purpose, about, None, {"new": fields}, {}, by, priority, None)


def tree_change(
    *, key: str, purpose: str, about: str, wants: dict, seen: dict, by=None, not_after: datetime | None = None
) -> TreeChange:
    """Write one change of trees, and return its row. `wants` and `seen`: `tree_wants.py`.

    Raises changes.Unwritable for what must not go out in any case: no reason, no category, a tree that nobody saw.
    """
    tree_wants.check(wants, seen)
    at = clock.now()
    row = TreeChange(
        key=key, purpose=purpose, about=about, by=by, not_after=not_after, wants=wants, seen=seen,
        created_at=at, due_since=at, next_try_at=at,
    )  # fmt: skip
    if not tree_writing.is_configured():
        return _write(row, State.HELD, NO_TREES)
    return _write(row, State.DUE)


def nobody_told(about: str, because: str, *, by=None) -> None:
    """Write down that nobody was told, and why, where somebody might ask."""
    write.entry(about, "nobody told", f"Nobody was told, because {because}", by=by)


def new_op() -> str:
    """Return what marks one change of a bug: it stands in the comment as `ref c7f3a1b2`."""
    return secrets.token_hex(4)


def _bug_row(key, purpose, about, bug_id, wants, seen, by, priority, not_after, op="") -> BugUpdate:
    changes.check(wants)
    at = clock.now()
    row = BugUpdate(
        key=key, purpose=purpose, about=about, by=by, priority=priority, not_after=not_after, op=op or new_op(),
        bug_id=bug_id, wants=wants, seen=seen, created_at=at, due_since=at, next_try_at=at,
    )  # fmt: skip
    if not settings.BUGZILLA_URL:
        return _write(row, State.HELD, NO_BUGZILLA)
    return _write(row, State.DUE)


@transaction.atomic
def _write(row, state: State, last_words: str = ""):
    """Insert a row in its first state, unless its effect was written down before."""
    values = {
        field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if field.attname != "id"
    }
    values |= {"state": state, "last_words": last_words, "hook_owed": state == State.FAILED}
    kept, is_new = type(row).objects.get_or_create(key=row.key, defaults=values)
    if is_new and state == State.DUE:
        bell.ring_after_commit(*tasks.bell_of(kept))
    return kept
