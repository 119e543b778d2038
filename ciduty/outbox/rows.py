"""Rows of the outbox as a page may show them to one person: here words and names are let through or kept back.

Which rows stand on which tab: `tabs.py`. What a person may do with one: `workflow.py`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest

from django.urls import reverse

from ciduty import access, clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import purposes, workflow
from ciduty.outbox.models import BugUpdate, Delivery, Incoming, Mail, TreeChange
from ciduty.outbox.rules import PARKED, State

#: Verb of the table of moves -> the end of its address, and what its button says.
BUTTONS = {
    "try again": ("try_again", "Try again"),
    "hold": ("hold", "Hold"),
    "cancel": ("cancel", "Cancel"),
    "done by hand": ("done", "It was done by hand"),
}
#: So many messages of one object are shown on its page, the newest.
MESSAGES = 50

_links: dict[str, Callable[[str], str]] = {}


def link(kind: str, address_of: Callable[[str], str]) -> None:
    """Make known where the pages of a kind of object stand: `link("loaner", lambda number: f"/loaners/{number}/")`."""
    _links[kind] = address_of


def address_of(about: str) -> str:
    """Return the page of what a row is about ("loaner 1400123"), "" where none is known."""
    kind, _, name = about.partition(" ")
    return _links[kind](name) if kind in _links and name else ""


@dataclass(frozen=True)
class Button:
    """A verb that this person may do to a row now."""

    verb: str
    label: str
    address: str


@dataclass(frozen=True)
class Shown:
    """One row on a page. Whom it goes to and what it says are empty where this person may not read them."""

    row: Delivery
    state: State
    readable: bool
    label: str
    to: str
    subject: str = ""
    last_words: str = ""
    address: str = ""
    about_address: str = ""
    buttons: tuple[Button, ...] = ()

    @property
    def needs_somebody(self) -> bool:
        """Answer whether nothing happens to it by itself any more."""
        return self.state in PARKED


def restricted(rows: Iterable[Delivery]) -> set[int]:
    """Return the bugs of these rows that are restricted now. One query, none where no row has a bug."""
    bugs = {row.bug_id for row in rows if row.bug_id is not None}
    if not bugs:
        return set()
    return set(Bug.objects.filter(pk__in=bugs, visibility=Visibility.RESTRICTED).values_list("pk", flat=True))


def rows_for(person, rows: Iterable[Delivery], at: datetime) -> list[Shown]:
    """Return rows as this person may see them at a moment: words and addresses for CiDuty, and of no restricted bug."""
    rows = list(rows)
    sees, steers = access.may_see_outbox(person), access.may_steer_outbox(person)
    hidden = restricted(rows)
    return [_shown(row, at, sees, steers, row.bug_id not in hidden) for row in rows]


def _shown(row: Delivery, at: datetime, sees: bool, steers: bool, is_open: bool) -> Shown:
    readable = sees and is_open
    mine = {"row": row, "state": State(row.state), "readable": readable, "label": purposes.label_of(row)}
    if not sees:
        return Shown(**mine, to=_to(row, readable))
    return Shown(
        **mine,
        to=_to(row, readable),
        subject=row.subject if readable and row.kind == "mail" else "",
        last_words=row.last_words if readable else "",
        address=reverse(f"outbox_{row.kind}", args=[row.pk]),
        about_address=address_of(row.about),
        buttons=_buttons(row, at) if steers else (),
    )


def _to(row: Delivery, readable: bool) -> str:
    """Return whom or what it goes to. The person behind a restricted bug is not named either."""
    if row.kind == "mail":
        return f"to {row.recipient}" if readable else ""
    if row.kind == "tree":
        return f"to the tree{'s' if len(row.trees) > 1 else ''} {', '.join(row.trees)}"
    return "a new bug" if row.bug_id is None else f"bug {row.bug_id}"


def _buttons(row: Delivery, at: datetime) -> tuple[Button, ...]:
    again = {"try again": "File it again"} if workflow.would_file_twice(row) else {}
    return tuple(
        Button(verb, again.get(verb, label), reverse(f"outbox_{row.kind}_{name}", args=[row.pk]))
        for verb, (name, label) in BUTTONS.items()
        if not workflow.why_not(verb, row, at)
    )


def messages_of(about: str, person) -> list[Shown]:
    """Return what was said about one object, as this person may see it, the newest first. At most five queries."""
    mails = Mail.objects.about(about).defer("message").order_by("-pk")[:MESSAGES]
    updates = BugUpdate.objects.about(about).order_by("-pk")[:MESSAGES]
    changes = TreeChange.objects.about(about).order_by("-pk")[:MESSAGES]
    newest = nlargest(MESSAGES, [*mails, *updates, *changes], key=lambda row: (row.created_at, row.kind, row.pk))
    return rows_for(person, newest, clock.now()) if newest else []


@dataclass(frozen=True)
class ShownIncoming:
    """A mail that came to us, on a page. Sender and words are empty where nobody may read them."""

    mail: Incoming
    readable: bool
    answers: Delivery | None


def incoming_for(incoming: Iterable[Incoming]) -> list[ShownIncoming]:
    """Return mails that came to us as CiDuty may see them. Wants `mail` selected."""
    incoming = list(incoming)
    hidden = restricted(came.mail for came in incoming if came.mail is not None)
    return [ShownIncoming(came, came.mail is None or came.mail.bug_id not in hidden, came.mail) for came in incoming]
