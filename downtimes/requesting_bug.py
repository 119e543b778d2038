"""The words of a nomination in Bugzilla: the bug that is filed for it, or the comment on one that is there already."""

from dataclasses import dataclass

from django.conf import settings

from ciduty.bugzilla.cleaning import clean_line
from downtimes.models import Nomination
from downtimes.rules import Urgency


@dataclass(frozen=True)
class NewBug:
    """A bug that is filed for a nomination: everybody reads it."""

    product: str
    component: str
    summary: str


def fields_of(nomination: Nomination, new: NewBug, by) -> dict:
    """Return the bug that is filed for a nomination: with the flag, and whoever asks on CC."""
    fields = {
        "product": new.product,
        "component": new.component,
        "summary": " ".join(new.summary.split()),
        "description": f"{words_of(nomination)}\n\nAsked for by {clean_line(str(by), 120)}.",
        "flags": [{"name": settings.CIDUTY_TREECLOSURE_FLAG, "status": "?"}],
    }
    login = by.bugzilla_logins.order_by("pk").values_list("login", flat=True).first()
    return fields | ({"cc": [login]} if login else {})  # the bot files it: on CC they hear what is said


def words_of(nomination: Nomination) -> str:
    """Return what is asked for, as the bug says it."""
    lines = ["A tree-closing downtime is asked for.", "", f"System: {nomination.system}"]
    if nomination.urgency:
        lines.append(f"Urgency: {Urgency(nomination.urgency).label}")
    if nomination.stands_in_for:
        lines.append(f"It stands in for bug {nomination.stands_in_for}: whoever works on that one keeps both in step.")
    lines += ["", "Wording for the downtime notice:", nomination.public_text]
    lines += _part(f"Steps, {nomination.minutes} minutes when all goes well:", nomination.steps)
    lines += _part(f"Rollback, {nomination.rollback_minutes} minutes:", nomination.rollback)
    lines += _part("Preferred windows:", nomination.preferred)
    return "\n".join(lines)


def _part(title: str, words: str) -> list[str]:
    return ["", title, words] if words.strip() else []


def request_to_make_visible(bug_id: int) -> str:
    """Return the ready-made request to whoever restricted a bug (R5, R6), for copying into it."""
    return (
        f"A tree-closing downtime is asked for on bug {bug_id}, and {settings.CIDUTY_TEAM} cannot see the bug.\n\n"
        "Please change it from “infra only” to “Moco specific”: then all of Release Engineering sees it, and it shows "
        "in the queries for downtimes.\n\n"
        "If it must stay “infra only”, please have its assignee file a separate bug that "
        f"{settings.CIDUTY_TEAM} can use for scheduling, without any confidential detail, and closely track all "
        "changes to it."
    )
