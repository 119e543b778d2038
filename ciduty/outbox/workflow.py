"""What a person does with a row that is to be said: one function for each verb. Delivering it: `delivery.py`."""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from ciduty import bell, clock, states
from ciduty.outbox import post, purposes, rules, tasks, tree_writing
from ciduty.outbox.models import LAST_WORDS, BugUpdate, Delivery, Mail, TreeChange
from ciduty.outbox.rules import MOVES, State
from ciduty.states import NotAllowed

MOST_BUG = 2**31 - 1
#: So many are put back at one press: each writes its own entry in the record.
AT_ONCE = 500


def why_not(verb: str, row: Delivery, at: datetime) -> str:
    """Return why a person may not do this to a row at a moment, as a sentence, or "" when they may."""
    name = str(row).capitalize()
    if not MOVES.allow(verb, row.state):
        if row.state == State.SENDING:
            return f"{name} is being sent right now: wait a minute, and look what became of it."
        return f"{name} is {State(row.state).label.lower()} by now: it was not changed."
    return _why_not_try_again(row, name, at) if verb == "try again" else ""


def _why_not_try_again(row: Delivery, name: str, at: datetime) -> str:
    if row.erased_at:
        return f"{name} cannot be sent any more: its words were erased, because its bug is restricted. Cancel it."
    if row.kind == "mail" and not row.sha256:
        return f"{name} was never composed: it says why. Write it anew where it came from, and cancel this one."
    over = rules.is_over(due_since=at, not_after=row.not_after, at=at)
    if over:
        return f"{name} is not sent any more: {over}. Cancel it, or say that it was done by hand."
    if row.kind == "mail" and not settings.EMAIL_URL:
        return post.NO_MAIL
    if row.kind == "bug" and not settings.BUGZILLA_URL:
        return post.NO_BUGZILLA
    if row.kind == "tree" and not tree_writing.is_configured():
        return post.NO_TREES
    return ""


def would_file_twice(row: Delivery) -> bool:
    """Answer whether to try again may file a bug that is filed already: a write went out, and nobody knows."""
    return row.kind == "bug" and row.files_a_bug and row.uncertain_since is not None


def try_again(row: Delivery, by, *, file_it_again: bool = False) -> None:
    """Put a row back to be sent now, with all its tries ahead.

    A new bug of which nobody knows whether it was filed takes a person who says so: `file_it_again`. Raises NotAllowed.
    """
    with transaction.atomic():
        at = _ask("try again", row)
        changes, done = {}, f"Tried {row} again"
        if would_file_twice(row):
            if not file_it_again:
                raise NotAllowed(
                    f"Nobody knows whether {row} was filed already: look in Bugzilla for “ref {row.op}” first, then "
                    "file it again, or say which bug it is."
                )
            changes, done = {"uncertain_since": None}, f"Let {row} be filed again, whether it was filed or not"
        if row.kind == "tree":
            changes = {"found": {}}  # what the service did not show is written anew: to close twice is to close
        states.move(
            row, MOVES, "try again", _sentence(done, row), by=by, at=at, entry={"caused": [row]},
            due_since=at, next_try_at=at, tries=0, deaths=0, accepted_at=None, **changes,
        )  # fmt: skip
        bell.ring_after_commit(*tasks.bell_of(row))


def hold(row: Delivery, by) -> None:
    """Keep a row back until somebody tries it again. Raises NotAllowed."""
    with transaction.atomic():
        at = _ask("hold", row)
        words = _said(f"{by} held it.", row)
        states.move(
            row, MOVES, "hold", _sentence(f"Held {row}", row), by=by, at=at, entry={"caused": [row]}, last_words=words
        )


def cancel(row: Delivery, by) -> None:
    """Let a row never go. Raises NotAllowed."""
    with transaction.atomic():
        at = _ask("cancel", row)
        words = _said(f"{by} cancelled it.", row)
        states.move(
            row, MOVES, "cancel", _sentence(f"Cancelled {row}", row), by=by, at=at, entry={"caused": [row]},
            last_words=words, hook_owed=True,
        )  # fmt: skip
        bell.ring_after_commit(*tasks.bell_of(row))


def done_by_hand(row: Delivery, by, bug_id: int | None = None) -> None:
    """Count a row as accepted now: a person did it outside. A new bug needs its number. Raises NotAllowed."""
    with transaction.atomic():
        at = _ask("done by hand", row)
        changes, done = {"last_words": f"{by} did it by hand."[:LAST_WORDS], "last_code": None}, f"Did {row} by hand"
        if row.kind in ("bug", "tree"):
            changes["uncertain_since"] = None
        if row.kind == "bug" and row.files_a_bug:
            if bug_id is None or not 0 < bug_id <= MOST_BUG:
                raise NotAllowed(f"{str(row).capitalize()} needs the number of the bug that was filed: say which.")
            changes["bug_id"] = bug_id
            done = f"Filed {row} by hand as bug {bug_id}"
        states.move(
            row, MOVES, "done by hand", _sentence(done, row), by=by, at=at, entry={"caused": [row]},
            accepted_at=at, hook_owed=True, **changes,
        )  # fmt: skip
        bell.ring_after_commit(*tasks.bell_of(row))


def waiting_for_settings() -> list[QuerySet]:
    """Return the rows that were held for want of a setting that is there now, the oldest first."""
    mails = Mail.objects.filter(state=State.HELD, last_words=post.NO_MAIL).defer("message").order_by("pk")
    updates = BugUpdate.objects.filter(state=State.HELD, last_words=post.NO_BUGZILLA).order_by("pk")
    trees = TreeChange.objects.filter(state=State.HELD, last_words=post.NO_TREES).order_by("pk")
    waiting = (
        (mails, settings.EMAIL_URL), (updates, settings.BUGZILLA_URL), (trees, tree_writing.is_configured()),
    )  # fmt: skip
    return [rows for rows, is_set in waiting if is_set]


def try_all_again(by) -> tuple[int, int]:
    """Try again what was held for want of a setting; returns how many went, and how many did not."""
    went = left = 0
    for row in [row for rows in waiting_for_settings() for row in rows[:AT_ONCE]]:
        try:
            try_again(row, by)
        except NotAllowed:  # past its time, or somebody was quicker: the row itself says what is the matter
            left += 1
        else:
            went += 1
    return went, left


def _ask(verb: str, row: Delivery) -> datetime:
    """Lock a row, bring it up to date and ask the rules; returns the moment. Raises NotAllowed with a sentence."""
    row.refresh_from_db(from_queryset=type(row)._base_manager.select_for_update())
    at = clock.now()
    refusal = why_not(verb, row, at)
    if refusal:
        raise NotAllowed(refusal)
    return at


def _sentence(done: str, row: Delivery) -> str:
    return f"{done} ({purposes.label_of(row)})"


def _said(did: str, row: Delivery) -> str:
    return (f"{did} Before that: {row.last_words}" if row.last_words else did)[:LAST_WORDS]
