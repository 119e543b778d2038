"""The parts of a run sheet from top to bottom, each with the forms that its reader may send. Reads only."""

from dataclasses import replace

from django.conf import settings

from ciduty.outbox.rows import incoming_for
from ciduty.trees import polling
from ciduty.trees.models import Service
from downtimes import local_times, rules
from downtimes.announcing_forms import CancelForm
from downtimes.models import CheckLink
from downtimes.rules import MOVES, ItemState, State
from downtimes.run import closing as trees_closing
from downtimes.run import facts, reminding
from downtimes.run import rules as run_rules
from downtimes.run.forms import ExtendForm, LeaveForm, ReasonForm, TakeOverForm
from downtimes.run.rules import Phase, Step
from downtimes.run.sheet_core import Core
from downtimes.run.sheet_rows import MINUTE, WorkLine, problems_of, step_line

MOST_REPLIES = 20
#: Where people close trees at Lando; the self-hosted service's page is its address.
LANDO_PAGE = "/treestatus/"
BEFORE = (Step.NORMAL, Step.SHERIFF_TOLD, Step.TOUCHED_BASE)


def before(known: Core, typed: dict) -> dict:
    """Return what is done before it begins: steps, links, texts, replies, the gates; hold and cancel."""
    downtime, runs = known.downtime, known.rights.runs
    may_step = runs and downtime.state == State.ANNOUNCED
    mend = typed.get("step")
    most = max(MOST_REPLIES, known.seen.unread_replies)  # none counts as read that was not shown
    replies = facts.replies_to(downtime).select_related("mail")[:most]
    replies = incoming_for(replies) if runs else _without_senders(replies)
    newest = replies[0].mail.pk if replies else None
    links = list(CheckLink.objects.filter(is_used=True))
    is_planned = downtime.state in rules.PLANNED
    is_held = downtime.held_at is not None
    is_open = downtime.state in (State.ANNOUNCED, State.RUNNING)
    return {
        "steps_before": [step_line(step, known.steps, may_step, mend) for step in BEFORE],
        "read_step": step_line(Step.REPLIES_READ, known.steps, runs and is_open, mend, newest),
        "links_before": [link for link in links if link.phase == Phase.BEFORE],
        "links_after": [link for link in links if link.phase == Phase.AFTER],
        "replies": replies,
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
    reason = trees_closing.reason_of(downtime)
    what = f"{trees} close for “{downtime.title}”{bug}"
    ask = f"Questions? Ask in {settings.CIDUTY_CHANNEL}."
    return [
        ("An hour before, in the channels", "text-hour", f"In an hour {what}: {window}. {ask}"),
        ("A quarter of an hour before, to the operations centre", "text-quarter",
         f"At {starts} {what}. Does anything speak against it? {ask}"),
        ("To the sheriff", "text-sheriff", f"Sheriff, we close {trees} at {starts}: {reason}."),
    ]  # fmt: skip


def closing(known: Core, typed: dict) -> dict:
    """Return how trees are closed here, and the forms for some of them."""
    downtime, runs = known.downtime, known.rights.runs
    how = trees_closing.how()
    service = polling.current_service()
    return {
        "how": how,
        "reason": trees_closing.reason_of(downtime),
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


def during(known: Core, typed: dict) -> dict:
    """Return the work, the later end and the hand-over."""
    downtime, runs = known.downtime, known.rights.runs
    over = [one for one in known.work if one.state in rules.OUTCOMES]
    waits = any(one.state == ItemState.PLANNED for one in known.work)
    return {
        "work": _mended(known.work, typed.get("item")),
        "is_done_count": len(over),
        "planned_minutes": sum(one.minutes or 0 for one in known.work),
        "against_starting": run_rules.refusals("start", known.seen) if known.is_running and waits else [],
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
        "because": because if known.is_overdue else "",
        "shown_end": shown.isoformat() if shown else "",
    }
    form = ExtendForm(initial=initial, auto_id="extend_%s")
    counted = f"the end that stands now, {shown:%H:%M} UTC" if shown else "now"
    form.fields[
        "by_minutes"
    ].help_text = f"Counted from {counted}: {longer} make it {(shown or known.at) + MINUTE * longer:%H:%M} UTC."
    return form


def after(known: Core, typed: dict) -> dict:
    """Return what is asked before the trees reopen and before TREE OPEN."""
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
