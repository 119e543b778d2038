"""Everything of the run sheet as one person may see it at a moment. Reads only, in a constant number of queries.

What the next thing to do is, is read off the gates: `next_step.py`. The parts of the page: `sheet_parts.py`.
"""

from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings

from ciduty import access
from ciduty.outbox import post
from ciduty.outbox.rows import messages_of
from ciduty.record.models import Entry
from ciduty.record.timeline import timeline
from ciduty.trees import polling, showing
from downtimes import local_times, notice_times, rules
from downtimes.models import Downtime, Review
from downtimes.rules import State
from downtimes.run import closing, next_step, reviewing, sheet_parts, topic
from downtimes.run import rules as run_rules
from downtimes.run.rules import Step, Word
from downtimes.run.sheet_core import Core, core
from downtimes.run.sheet_rows import MINUTE

#: Where each step stands on the sheet, if not before the start; and each form that may be refused.
PLACES = {Step.REPLIES_READ: "replies", Step.CHECKED: "after", Step.SHERIFF_AGREES: "after"}
MENDED = {
    "hold": "hold",
    "go_ahead": "hold",
    "extend": "extend",
    "trees": "trees",
    "leave": "trees",
    "take_over": "take-over",
}

# --- what refreshes itself --------------------------------------------------------------------------------------------


def live(downtime: Downtime, person, at: datetime, seen: str = "") -> dict:
    """Return what the page asks for every ten seconds: the head and the trees. `seen` is what the open page knows."""
    return _live(core(downtime, person, at), seen)


def _live(known: Core, seen: str = "") -> dict:
    downtime, at = known.downtime, known.at
    print_of_it, words = _fingerprint(known), {tree.word for tree in known.trees}
    may_steer = known.is_running and known.rights.runs
    return {
        "downtime": downtime,
        "run": f"/downtimes/{downtime.pk}/run/",
        "runs": known.rights.runs,
        "is_running": known.is_running,
        "is_planned": downtime.state in rules.PLANNED,
        "is_over": downtime.state in rules.OVER,
        "is_overdue": known.is_overdue,
        "state_word": state_word(known),
        "countdown": countdown(known),
        "next": next_step.next_of(known),
        "trees": known.trees,
        "troubles": [tree for tree in known.trees if tree.is_trouble] if known.is_running else [],
        "may_close": may_steer and bool(words & closing.TO_ASK),
        "may_reopen": may_steer and _is_to_reopen(known) and not run_rules.refusals("reopen", known.seen),
        "service": showing.service_facts(polling.current_service(), at),
        "op": post.new_op(),
        "seen": print_of_it,
        "changed": _last_words(downtime) if seen and seen != print_of_it else "",
    }


def _is_to_reopen(known: Core) -> bool:
    """Answer whether a tree is ours, or was asked to reopen in vain."""
    return any(
        tree.word in run_rules.OURS or (tree.word == Word.REOPENING and tree.name in known.failed)
        for tree in known.trees
    )


def _fingerprint(known: Core) -> str:
    """Return what the parts of the page that do not refresh themselves were made from."""
    downtime = known.downtime
    parts = [
        downtime.state, downtime.held_at, downtime.duty_id, downtime.ends_at, downtime.open_at,
        known.seen.unread_replies, sorted((one.step, one.at) for one in known.steps.values()),
        [(one.pk, one.state, one.started_at, one.ended_at, one.update_id) for one in downtime.items.all()],
        [(one.name, one.word) for one in known.trees],
    ]  # fmt: skip
    return sha256(repr(parts).encode()).hexdigest()[:16]


def _last_words(downtime: Downtime) -> str:
    """Return what was done last, as the record says it: somebody else went on meanwhile."""
    newest = Entry.objects.of(downtime.about).order_by("-at", "-pk").first()
    return f"{newest.by or 'ciduty'}: {newest.sentence}" if newest else "somebody went on"


def state_word(known: Core) -> tuple[str, str]:
    """Return the state as the head says it, and the name of its colour."""
    downtime = known.downtime
    if known.is_overdue:
        return "OVERDUE", "overdue"
    if downtime.held_at is not None and downtime.state == State.ANNOUNCED:
        return "On hold", "held"
    return downtime.get_state_display(), downtime.state


def countdown(known: Core) -> str:
    """Return how far it is to its start or its end, as words; "" where no clock runs."""
    downtime, at = known.downtime, known.at
    if downtime.state in rules.PLANNED and downtime.starts_at:
        if at < downtime.starts_at:
            return f"begins in {_length(downtime.starts_at - at)}"
        return f"should have begun {_length(at - downtime.starts_at)} ago"
    if known.is_running:
        if downtime.ends_at is None:
            return "nobody knows yet when it ends"
        left = downtime.ends_at - at
        return f"ends in {_length(left)}" if left >= timedelta() else f"overdue by {_length(left)}"
    if downtime.begun_at and downtime.open_at:
        return f"took {_length(downtime.open_at - downtime.begun_at)}"
    return ""


def _length(length: timedelta) -> str:
    """Return a length of time as people count down: days only where there are some."""
    minutes = int(abs(length) / MINUTE)
    if minutes >= 48 * 60:
        return f"{minutes // (24 * 60)} d {minutes // 60 % 24} h"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


# --- the whole page ---------------------------------------------------------------------------------------------------


def sheet(downtime: Downtime, person, at: datetime, with_history: bool = False, **typed) -> dict:
    """Return everything of the page; `typed` are forms that were refused, by the name of their place.

    Its history is read where somebody asks for it, and once it is over: in the night the page must be quick.
    """
    known = core(downtime, person, at)
    runs = known.rights.runs
    return (
        _live(known)
        | sheet_parts.before(known, typed)
        | sheet_parts.closing(known, typed)
        | sheet_parts.during(known, typed)
        | sheet_parts.after(known, typed)
        | {
            "topic": topic.topic_line(at),
            "sees_plan": access.may_see_downtime_plans(person),
            "review": _review(known),
            "learned": reviewing.on_same_systems(downtime) if runs and downtime.state in rules.PLANNED else [],
            "mend_at": _mend_at(typed),
            "window": _window(downtime),
            "times": _times(known),
            "sheriff_told": known.seen.sheriff_told,
        }
        | (_history(known) if with_history or downtime.state in rules.OVER else {})
    )


def _review(known: Core) -> Review | None:
    if not known.rights.runs or known.downtime.state not in rules.OVER:
        return None
    return Review.objects.filter(downtime=known.downtime).first()


def _history(known: Core) -> dict:
    about = known.downtime.about
    return {
        "shows_history": True,
        "timeline": timeline(about, without=("mail accepted",)),
        "messages_of_it": messages_of(about, known.person),
    }


def _mend_at(typed: dict) -> str:
    """Return the part of the sheet in which a form was refused, "" where none was."""
    if "item" in typed:
        return f"piece-{typed['item'][0]}"
    if "step" in typed:
        return PLACES.get(typed["step"].data.get("step"), "before")
    return next((MENDED[place] for place in typed), "")


def _window(downtime: Downtime) -> list[str]:
    """Return the window in three zones; of one without an end, its start."""
    if downtime.starts_at and downtime.ends_at:
        return notice_times.in_three_zones(downtime.starts_at, downtime.ends_at)
    return [f"from {local}" for local in local_times.in_three_zones(downtime.starts_at, settings.CIDUTY_CALENDAR)]


def _times(known: Core) -> dict:
    """Return planned times beside the real ones."""
    downtime = known.downtime
    planned = downtime.planned_end or downtime.ends_at
    return {
        "planned_start": downtime.starts_at,
        "planned_end": planned,
        "begun": downtime.begun_at,
        "opened": downtime.open_at,
        "extended_to": downtime.ends_at if downtime.ends_at != planned else None,
    }
