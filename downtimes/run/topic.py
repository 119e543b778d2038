"""The topic of the chat channel in one line: who is on duty, which trees are closed, and that anybody may ask.

Everybody reads it: reasons stay out of it, and so does a bug that is not public.
"""

from datetime import UTC, datetime

from django.conf import settings

from ciduty.trees import showing
from downtimes.models import Downtime


def topic_line(at: datetime) -> str:
    """Return the topic as it should read at a moment. Five queries, however many trees are closed."""
    return " | ".join([f"On duty: {_on_duty()}", _trees(at), f"Questions? Ask here, in {settings.CIDUTY_CHANNEL}"])


def _on_duty() -> str:
    """Return who runs the downtime that began last, or the team where none runs."""
    running = Downtime.objects.under_way().exclude(duty=None).select_related("duty").order_by("-begun_at", "-pk")
    first = running.first()
    return str(first.duty) if first else settings.CIDUTY_TEAM


def _trees(at: datetime) -> str:
    board = showing.board(at, with_history=False)
    if not board.closed:
        return "No tree is closed" if board.service.is_sure else "Tree status is not known now"
    groups: dict[tuple, list[str]] = {}
    for tree in board.closed:
        groups.setdefault((tree.bugs[:1], tree.expected_end), []).append(tree.name)
    told = "; ".join(f"{', '.join(names)}{_because(*group, at)}" for group, names in groups.items())
    return f"Trees closed: {told}" + ("" if board.service.is_sure else " (as last heard)")


def _because(bugs: tuple[int, ...], until: datetime | None, at: datetime) -> str:
    parts = [f"bug {bug}" for bug in bugs]
    if until is not None:
        same_day = until.astimezone(UTC).date() == at.astimezone(UTC).date()
        parts.append(f"until {until.astimezone(UTC):{'%H:%M' if same_day else '%Y-%m-%d %H:%M'}} UTC")
    return f" ({', '.join(parts)})" if parts else ""
