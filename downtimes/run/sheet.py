"""Everything of the run sheet as one person may see it at a moment. Reads only, in a constant number of queries.

What the next thing to do is, is read off the gates: `next_step.py`. The rows: `sheet_rows.py`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings
from django.db.models import prefetch_related_objects

from ciduty import access
from ciduty.bugzilla.models import Bug
from ciduty.outbox import post
from ciduty.outbox.rows import incoming_for, messages_of
from ciduty.people.models import logins_of
from ciduty.record.models import Entry
from ciduty.record.timeline import timeline
from ciduty.trees import polling, showing
from ciduty.trees.models import Service, Tree
from downtimes import facts as plan_facts
from downtimes import local_times, notice_times, rules
from downtimes.announcing_forms import CancelForm
from downtimes.models import CheckLink, Downtime, Review
from downtimes.rules import MOVES, State
from downtimes.run import closing, facts, next_step, reminding, topic
from downtimes.run import rules as run_rules
from downtimes.run.forms import ExtendForm, LeaveForm, ReasonForm, TakeOverForm
from downtimes.run.rules import Phase, RunFacts, Step
from downtimes.run.sheet_rows import (
    MINUTE,
    Rights,
    TreeLine,
    WorkLine,
    problems_of,
    step_line,
    tree_lines,
    without_private_words,
    work_lines,
)

MOST_REPLIES = 20
#: Where people close trees at Lando; the self-hosted service's page is its address.
LANDO_PAGE = "/treestatus/"
BEFORE = (Step.NORMAL, Step.SHERIFF_TOLD, Step.TOUCHED_BASE)
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


@dataclass(frozen=True)
class Core:
    """What every part of the sheet is made of: read once."""

    downtime: Downtime
    person: object
    at: datetime
    seen: RunFacts
    rights: Rights
    trees: list[TreeLine]
    work: list[WorkLine]
    steps: dict
    begin: list[str]  # what stands against beginning

    @property
    def is_running(self) -> bool:
        """Answer whether it was begun and is not over."""
        return self.downtime.state in rules.UNDER_WAY


def core(downtime: Downtime, person, at: datetime) -> Core:
    """Return what the parts of the sheet are made of."""
    prefetch_related_objects([downtime], "items", "run_trees")
    seen = without_private_words(facts.facts_of(downtime, at, person))
    rights, rows = _rights(downtime, person, seen), list(downtime.run_trees.all())
    items = list(downtime.items.all())
    visibility = dict(Bug.objects.filter(pk__in=[one.bug_id for one in items]).values_list("pk", "visibility"))
    told_since = dict(Tree.objects.filter(name__in=[tree.name for tree in seen.trees]).values_list("name", "since"))
    return Core(
        downtime=downtime,
        person=person,
        at=at,
        seen=seen,
        rights=rights,
        trees=tree_lines(seen, rows, told_since, rights.is_running and rights.runs),
        work=work_lines(items, visibility, downtime.begun_at or downtime.starts_at, at, rights),
        steps=facts.steps_of(downtime),
        begin=against_beginning(downtime, seen, at),
    )


def _rights(downtime: Downtime, person, seen: RunFacts) -> Rights:
    runs = access.may_run_downtimes(person)
    return Rights(
        is_running=downtime.state in rules.UNDER_WAY,
        runs=runs,
        reads_staff_words=access.may_read_staff_words(person),
        logins=frozenset() if runs else frozenset(logins_of(person)),
        may_start=not run_rules.refusals("start", seen),
    )


def against_beginning(downtime: Downtime, seen: RunFacts, at: datetime) -> list[str]:
    """Return every sentence that stands against beginning: of the plan, and of the moment."""
    if not MOVES.allow("begin", downtime.state):
        return []
    plan = rules.refusals("begin", plan_facts.facts_of(downtime, at))
    return list(dict.fromkeys([*plan, *run_rules.refusals("begin", seen)]))


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
        "is_overdue": _is_overdue(known),
        "state_word": state_word(known),
        "countdown": countdown(known),
        "next": next_step.next_of(known),
        "trees": known.trees,
        "troubles": [tree for tree in known.trees if tree.is_trouble] if known.is_running else [],
        "may_close": may_steer and bool(words & closing.TO_ASK),
        "may_reopen": may_steer and bool(words & run_rules.OURS) ,
        "service": showing.service_facts(polling.current_service(), at),
        "op": post.new_op(),
        "seen": print_of_it,
        "changed": _last_words(downtime) if seen and seen != print_of_it else "",
    }


def _fingerprint(known: Core) -> str:
    """Return what the parts of the page that do not refresh themselves were made from."""
    downtime = known.downtime
    parts = [
        downtime.state, downtime.held_at, downtime.duty_id, downtime.ends_at, downtime.open_at,
        known.seen.unread_replies, sorted((one.step, one.at) for one in known.steps.values()),
        [(one.pk, one.state, one.started_at, one.ended_at, one.update_id) for one in downtime.items.all()],
    ]  # fmt: skip
    return sha256(repr(parts).encode()).hexdigest()[:16]


def _last_words(downtime: Downtime) -> str:
    """Return what was done last, as the record says it: somebody else went on meanwhile."""
    newest = Entry.objects.of(downtime.about).order_by("-at", "-pk").first()
    return f"{newest.by or 'ciduty'}: {newest.sentence}" if newest else "somebody went on"


def _is_overdue(known: Core) -> bool:
    return known.is_running and run_rules.is_overdue(known.downtime.ends_at, known.at)


def state_word(known: Core) -> tuple[str, str]:
    """Return the state as the head says it, and the name of its colour."""
    downtime = known.downtime
    if _is_overdue(known):
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


def sheet(downtime: Downtime, person, at: datetime, **typed) -> dict:
    """Return everything of the page; `typed` are forms that were refused, by the name of their place."""
    known = core(downtime, person, at)
    runs = known.rights.runs
    return (
        _live(known)
        | _before(known, typed)
        | _closing(known, typed)
        | _during(known, typed)
        | _after(known, typed)
        | {
            "topic": topic.topic_line(at),
            "timeline": timeline(downtime.about, without=("mail accepted",)),
            "messages_of_it": messages_of(downtime.about, person),
            "review": Review.objects.filter(downtime=downtime).first() if runs else None,
            "mend_at": _mend_at(typed),
            "window": _window(downtime),
            "times": _times(known),
            "sheriff_told": known.seen.sheriff_told,
        }
    )


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


def _before(known: Core, typed: dict) -> dict:
    downtime, runs = known.downtime, known.rights.runs
    may_step = runs and downtime.state == State.ANNOUNCED
    mend = typed.get("step")
    replies = facts.replies_to(downtime).select_related("mail")[:MOST_REPLIES]
    links = list(CheckLink.objects.filter(is_used=True))
    is_planned = downtime.state in rules.PLANNED
    is_held = downtime.held_at is not None
    is_open = downtime.state in (State.ANNOUNCED, State.RUNNING)
    return {
        "steps_before": [step_line(step, known.steps, may_step, mend) for step in BEFORE],
        "read_step": step_line(Step.REPLIES_READ, known.steps, runs and is_open, mend),
        "links_before": [link for link in links if link.phase == Phase.BEFORE],
        "links_after": [link for link in links if link.phase == Phase.AFTER],
        "replies": incoming_for(replies) if runs else _without_senders(replies),
        "unread": known.seen.unread_replies,
        "texts": texts(known) if is_planned else [],
        "against_beginning": known.begin,
        "may_begin": runs and MOVES.allow("begin", downtime.state),
        "may_hold": runs and downtime.state == State.ANNOUNCED and not is_held,
        "hold": typed.get("hold") or (ReasonForm(auto_id="hold_%s") if is_planned else None),
        "may_go_ahead": runs and downtime.state == State.ANNOUNCED and is_held,
        "go_ahead": typed.get("go_ahead") or (ReasonForm(goes_ahead=True, auto_id="go_ahead_%s") if is_held else None),
        "may_cancel": runs and is_planned and MOVES.allow("cancel", downtime.state),
        "cancel": CancelForm(auto_id="cancel_%s") if is_planned else None,
    }


def _without_senders(replies) -> list:
    """Return replies as those outside CiDuty see them: who wrote one is CiDuty's to know."""
    shown = incoming_for(replies)
    for one in shown:
        one.mail.sender = ""
    return shown


def texts(known: Core) -> list[tuple[str, str, str]]:
    """Return what is said in chat before it begins: what for, the id of its field, the text."""
    downtime = known.downtime
    trees = run_rules.named((tree.name for tree in known.trees), most=len(known.trees)) or "the trees"
    bug = f" (bug {downtime.tracking_bug})" if downtime.tracking_bug else ""
    window = local_times.in_words(downtime.starts_at, downtime.ends_at)
    starts = f"{downtime.starts_at:%H:%M} UTC" if downtime.starts_at else "the start"
    what = f"{trees} close for “{downtime.title}”{bug}"
    ask = f"Questions? Ask in {settings.CIDUTY_CHANNEL}."
    return [
        ("An hour before, in the channels", "text-hour", f"In an hour {what}: {window}. {ask}"),
        ("A quarter of an hour before, to the operations centre", "text-quarter",
         f"At {starts} {what}. Does anything speak against it? {ask}"),
        ("To the sheriff", "text-sheriff", f"Sheriff, we close {trees} at {starts}: {closing.reason_of(downtime)}."),
    ]  # fmt: skip


def _closing(known: Core, typed: dict) -> dict:
    downtime, runs = known.downtime, known.rights.runs
    how = closing.how()
    service = polling.current_service()
    return {
        "how": how,
        "reason": closing.reason_of(downtime),
        "category": downtime.category or "planned",
        "message": run_rules.MESSAGE if any(row.only_message for row in downtime.run_trees.all()) else "",
        "service_page": page_of(service) if service else "",
        "may_steer_trees": known.is_running and runs,
        "leave": typed.get("leave") or LeaveForm(auto_id="leave_%s"),
        "trees_problem": " ".join(problems_of(typed["trees"])) if "trees" in typed else "",
    }


def page_of(service: Service) -> str:
    """Return the page of a tree status service on which people close trees."""
    return service.address.rstrip("/") + LANDO_PAGE if service.generation == "lando" else service.address


def _during(known: Core, typed: dict) -> dict:
    downtime, runs = known.downtime, known.rights.runs
    started_over = [one for one in known.work if one.state in rules.OUTCOMES]
    return {
        "work": _mended(known.work, typed.get("item")),
        "is_done_count": len(started_over),
        "planned_minutes": sum(one.minutes or 0 for one in known.work),
        "against_starting": run_rules.refusals("start", known.seen) if known.is_running and known.work else [],
        "may_extend": known.is_running and runs,
        "extend": typed.get("extend") or (extend_form(known) if known.is_running and runs else None),
        "may_take_over": runs and downtime.state in (State.ANNOUNCED, State.RUNNING)
        and downtime.duty_id != known.person.pk,
        "handed_over": known.steps.get(run_rules.HANDED_OVER),
        "take_over": typed.get("take_over") or TakeOverForm(auto_id="take_over_%s"),
    }  # fmt: skip


def _mended(work: list[WorkLine], refused) -> list[WorkLine]:
    """Return the work with what was typed for one of it, and what is wrong with that."""
    if refused is None:
        return work
    pk, form = refused
    typed, problems = form.data.get("words", ""), problems_of(form)
    return [replace(one, typed=typed, problems=problems) if one.pk == pk else one for one in work]


def extend_form(known: Core) -> ExtendForm:
    """Return the form of a later end, with the end and the words that are suggested."""
    downtime = known.downtime
    ends_at, because = reminding.overdue_draft(downtime, known.at)
    shown = downtime.ends_at
    longer = max(-(-(ends_at - (shown or known.at)) // MINUTE), 1)  # whole minutes, rounded up
    initial = {
        "by_minutes": longer,
        "because": because if _is_overdue(known) else "",
        "shown_end": shown.isoformat() if shown else "",
    }
    form = ExtendForm(initial=initial, auto_id="extend_%s")
    counted = f"the end that stands now, {shown:%H:%M} UTC" if shown else "now"
    form.fields[
        "by_minutes"
    ].help_text = f"Counted from {counted}: {longer} make it {(shown or known.at) + MINUTE * longer:%H:%M} UTC."
    return form


def _after(known: Core, typed: dict) -> dict:
    seen, runs = known.seen, known.rights.runs
    may = runs and known.is_running
    mend = typed.get("step")
    running = known.is_running
    return {
        "checked_step": step_line(Step.CHECKED, known.steps, may, mend),
        "sheriff_step": step_line(Step.SHERIFF_AGREES, known.steps, may, mend),
        "against_reopening": run_rules.refusals("reopen", seen) if running else [],
        "against_sheriff": run_rules.refusals("sheriff agrees", seen) if running else [],
        "against_tree_open": run_rules.refusals("tree open", seen) if running else [],
        "to_tell": [one.bug for one in seen.work if one.outcome and not one.bug_told],
        "steps_done": known.steps,
    }
