"""Closes the trees of a downtime that runs, each of three ways: by hand, by people at the service, over its API.

Here it is only asked for: *closed* is what polling says afterwards (`verifying.py`). What is closed already is somebody
else's and is left alone, unless a person says that it is ours (`ownership.py`).
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from ciduty import clock
from ciduty.outbox import purposes
from ciduty.outbox.models import TreeChange
from ciduty.outbox.rules import State as DeliveryState
from ciduty.record import write
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from ciduty.trees import confidential, polling, workflow
from ciduty.trees.models import Closure, Tree
from ciduty.trees.rules import Category, category_of
from downtimes.models import Downtime, RunTree
from downtimes.rules import State
from downtimes.run import before, changing, facts, locking, rules
from downtimes.run.rules import MESSAGE, NEEDS_NOTHING_TO_CLOSE, Step, TreeFacts, Word

CLOSE = "downtimes: close trees"
ASKED = "close trees"
BY_HAND, LINK, PATCH = "by hand", "link", "patch"
LONGEST_REASON = 300
#: What is asked for when nobody names a tree.
TO_ASK = frozenset({Word.TO_CLOSE, Word.CLOSING, Word.TO_TELL, Word.TELLING})
#: What a person may close again, by its name.
TO_ASK_AGAIN = TO_ASK | {Word.REOPENED_BY_OTHERS, Word.OPEN}
NOT_KNOWN = frozenset({Word.GONE, Word.UNKNOWN})
CLOSED_ALREADY = frozenset({Word.CLOSED_BEFORE, Word.CLOSED_BY_OTHERS})
FORGOTTEN = {
    "closed_at": None, "log_id": None, "claimed_by": None, "closure": None, "reopen_asked_at": None,
    "reopen_asked_by": None, "opened_at": None,
}  # fmt: skip
NOT_LEFT = {"left_at": None, "left_by": None, "left_because": ""}


def how() -> str:
    """Return how trees are closed here: BY_HAND without a service, LINK where people do it there, or PATCH."""
    if not settings.TREESTATUS_URL:
        return BY_HAND
    return PATCH if settings.TREESTATUS_WRITES == "patch" else LINK


def reason_of(downtime: Downtime) -> str:
    """Return the reason of its closures, which everybody reads: as it began, or made of its title and tracking bug."""
    return downtime.reason or worded(f"Downtime: {downtime.title}", downtime.tracking_bug)


def worded(words: str, bug: int | None) -> str:
    """Return a reason that leads to its bug, cut to what fits."""
    end = f" (Bug {bug})" if bug and bug not in confidential.numbers_in(words) else ""
    most = LONGEST_REASON - len(end)
    return (words if len(words) <= most else words[: most - 1].rstrip() + "…") + end


def category(downtime: Downtime) -> str:
    """Return the category of its closures, in treestatus's words."""
    return downtime.category or Category.PLANNED


def has_our_words(downtime: Downtime, tree: Tree) -> bool:
    """Answer whether a closure says what ours says. People edit what they paste: then category and bug tell."""
    if rules.in_short(tree.reason) == rules.in_short(reason_of(downtime)):
        return True
    names_our_bug = downtime.tracking_bug in confidential.numbers_in(tree.reason)
    return how() == LINK and names_our_bug and category_of(tree.tags) == category(downtime)


def is_newer(log_id: int | None, seen: int | None) -> bool:
    """Answer whether a log entry came after the one that was seen; the service numbers them upwards."""
    return log_id is not None and (seen is None or log_id > seen)


# --- close ------------------------------------------------------------------------------------------------------------


@transaction.atomic
def close(downtime: Downtime, names: list[str] | None = None, *, by, op: str) -> list[RunTree]:
    """Ask for its trees to be closed, or those of these names, and return those that were asked for now.

    Asked twice, it is done once. Raises NotAllowed for a name that nobody knows, and for a named tree that is closed
    already and not by us.
    """
    downtime = locking.lock_running(downtime, by=by)
    take_back_leaving(downtime, names)
    at = clock.now()
    rows = {row.name: row for row in downtime.run_trees.all()}
    want_names(rows, names)
    chosen = _chosen(downtime, facts.trees_of(downtime, at), names)
    done_before = _asked_by(downtime, op)
    asked = [rows[tree.name] for tree in chosen if tree.name not in done_before]
    if how() == LINK:
        polling.ask_now()  # people may have done it there already
    if not asked:
        return []
    for row, standing in zip(asked, before.standing_of([row.name for row in asked]).values(), strict=True):
        _ask(row, standing, by, at)
    downtime.run_steps.filter(step=Step.SHERIFF_AGREES).delete()
    caused = {BY_HAND: _close_by_hand, LINK: _close_there, PATCH: _close_over_api}[how()](downtime, asked, by, op, at)
    words = {BY_HAND: "Closed {} by hand", LINK: "{} to be closed at the service", PATCH: "Asked to close {}"}[how()]
    closed = [row.name for row in asked]
    write.entry(
        downtime.about, ASKED, words.format(rules.named(closed)), by=by, at=at, caused=caused,
        after={"op": op, "trees": closed},
    )  # fmt: skip
    return asked


def _asked_by(downtime: Downtime, op: str) -> set[str]:
    """Return the trees that this very form asked for before: an old page that is sent again closes nothing anew."""
    entries = Entry.objects.filter(about=downtime.about, verb=ASKED, after__op=op)
    return {name for entry in entries for name in entry.after["trees"]}


def take_back_leaving(downtime: Downtime, names: list[str] | None) -> None:
    """Let trees that somebody left as they are be ours again: now they are named."""
    if names:
        downtime.run_trees.filter(name__in=names).update(**NOT_LEFT)


def want_names(rows: dict[str, RunTree], names: list[str] | None) -> None:
    """Raise NotAllowed for names that no tree of this downtime has."""
    strange = [name for name in names or [] if name not in rows]
    if strange:
        raise NotAllowed(f"No tree of this downtime is called {rules.named(strange)}: open the page again.")


def _chosen(downtime: Downtime, trees: tuple[TreeFacts, ...], names: list[str] | None) -> list[TreeFacts]:
    """Return the trees that are to be asked for. Raises NotAllowed for what nobody knows, and what is not ours."""
    among = [tree for tree in trees if names is None or tree.name in names]
    unknown = [tree.name for tree in among if tree.word in NOT_KNOWN]
    if unknown:
        raise NotAllowed(
            f"Nobody knows how {rules.named(unknown)} stands, and unknown is not open: look at the service. Name the "
            "other trees to close those."
        )
    done_there = _closed_there(downtime, among)
    asked = {tree.name: tree.row.asked_at for tree in among if tree.word in (Word.CLOSING, Word.TELLING)}
    waits = set(asked)
    if how() == PATCH:
        later = {tree.name for tree in among if tree.word == Word.TELLING}
        waits = changing.waited_for(downtime, CLOSE, among, asked, later)
    closed = [tree.name for tree in among if tree.word in CLOSED_ALREADY and tree.name not in done_there]
    if names is not None and closed:
        raise NotAllowed(
            f"{rules.named(closed)} is closed already, and not by us: it is left alone. If it is ours, say so there."
        )
    wanted = TO_ASK if names is None else TO_ASK_AGAIN
    return [
        tree for tree in among if (tree.word in wanted and tree.name not in waits) or tree.name in done_there
    ]  # fmt: skip


def _closed_there(downtime: Downtime, trees: list[TreeFacts]) -> set[str]:
    """Return the trees that a person closed at the service in our words before they told us."""
    rows = before.trees_of([tree.name for tree in trees if tree.word == Word.CLOSED_BEFORE and _is_unasked(tree)])
    kept = dict(downtime.run_trees.filter(name__in=rows).values_list("name", "before"))
    return {
        name for name, row in rows.items()
        if is_newer(row.log_id, kept[name].get("log_id")) and has_our_words(downtime, row)
    }  # fmt: skip


def _is_unasked(tree: TreeFacts) -> bool:
    row = tree.row
    return row.asked_at is None and not row.only_message and not rules.is_closed(row.status_before) and not row.by_hand


def _ask(row: RunTree, standing: dict, by, at: datetime) -> None:
    """Write down that a tree was asked for, and how it stood."""
    row.asked_at, row.asked_by = at, by
    for name, value in FORGOTTEN.items():
        setattr(row, name, value)
    if not rules.is_closed(standing["status"]):
        row.before = standing
    row.save()


def _close_by_hand(downtime: Downtime, rows: list[RunTree], by, op: str, at: datetime) -> list:
    names = [row.name for row in rows if not row.only_message]
    until = downtime.ends_at if downtime.ends_at and downtime.ends_at > at else None
    closures = workflow.close_by_hand(
        names, reason=reason_of(downtime), category=category(downtime), bug=downtime.tracking_bug, expected_end=until,
        by=by, op=f"{downtime.about} {op}", about=downtime.about,
    ) if names else []  # fmt: skip
    ours = {closure.tree.name: closure for closure in closures}
    for row in rows:
        row.closed_at, row.closure = at, ours.get(row.name)
        row.save(update_fields=["closed_at", "closure"])
    return closures


def _close_there(downtime: Downtime, rows: list[RunTree], by, op: str, at: datetime) -> list:
    return []  # a person does it


def _close_over_api(downtime: Downtime, rows: list[RunTree], by, op: str, at: datetime) -> list:
    hard = [row for row in rows if not row.only_message]
    caused = []
    if hard:
        wants = {
            "trees": [row.name for row in hard], "status": "closed", "reason": reason_of(downtime),
            "tags": [category(downtime)], "remember": True,
        }  # fmt: skip
        seen = {row.name: _seen(row.before) for row in hard}
        caused.append(changing.post_change(downtime, CLOSE, f"close {op}", wants, seen, by))
    return caused + post_messages(downtime, at)


def _seen(standing: dict) -> dict:
    return {name: standing.get(name) for name in ("status", "reason", "log_id")}


def post_messages(downtime: Downtime, at: datetime) -> list[TreeChange]:
    """Post the messages of a soft close that were asked for, once what it closes is closed; return the new rows."""
    if how() != PATCH or not downtime.run_trees.filter(only_message=True, closed_at=None).exists():
        return []
    trees = facts.trees_of(downtime, at)
    if not all(_needs_nothing(tree) for tree in trees if not tree.row.only_message):
        return []
    telling = {tree.name: tree.reading for tree in trees if tree.word == Word.TELLING}
    posted = set(TreeChange.objects.filter(about=downtime.about, purpose=CLOSE).values_list("key", flat=True))
    found = []
    for row in downtime.run_trees.select_related("asked_by").filter(name__in=telling):
        what = f"tell {row.name} {row.asked_at.isoformat()}"
        if f"{downtime.about} {what}" not in posted:
            motd = telling[row.name].motd  # a sheriff may have set it after we asked: that is what comes back
            row.before = row.before | {"motd": motd}
            row.save(update_fields=["before"])
            wants, seen = {"trees": [row.name], "motd": MESSAGE}, {row.name: {"motd": motd}}
            found.append(changing.post_change(downtime, CLOSE, what, wants, seen, row.asked_by))
    return found


def _needs_nothing(tree: TreeFacts) -> bool:
    return tree.word == Word.LEFT or (tree.word in NEEDS_NOTHING_TO_CLOSE and tree.is_verified)


def keep_below(downtime: Downtime, rows: list[RunTree]) -> list[str]:
    """Write down what ours stands on where somebody came between our reading and our write; return the trees (F55).

    That is given back. A poll may see our closure before its sender has read the log.
    """
    stand = [row for row in rows if row.log_id is not None and row.closed_at and row.reopen_asked_at is None]
    if not stand or how() != PATCH:
        return []
    changes = list(TreeChange.objects.filter(about=downtime.about, purpose=CLOSE).order_by("pk"))
    names = []
    for row in stand:
        mine = [one.found[row.name] for one in changes if one.found.get(row.name, {}).get("log_id") == row.log_id]
        below = next((one["below"] for one in mine if "below" in one), None)
        if below is not None and row.before.get("log_id") != below["log_id"]:
            row.before = row.before | below
            row.save(update_fields=["before"])
            names.append(row.name)
    return names


# --- what is ours, and what is on its way -----------------------------------------------------------------------------


def closure_of(downtime: Downtime, row: RunTree, tree: Tree, at: datetime) -> Closure:
    """Write down that a closure at the service is ours, and return it; its log tells it from every other one."""
    closure, _ = Closure.objects.get_or_create(
        key=f"{downtime.about} {row.name} {tree.log_id}"[:120],
        defaults={
            "tree": tree, "reason": reason_of(downtime), "category": category(downtime),
            "bug_id": downtime.tracking_bug, "owner": row.asked_by, "closed_at": at,
            "expected_end": downtime.ends_at, "about": downtime.about,
        },
    )  # fmt: skip
    return closure


def being_changed(downtime: Downtime, **only) -> set[str]:
    """Return the trees of which a change was sent and not looked at yet; `only`: of which changes."""
    sent = TreeChange.objects.filter(about=downtime.about, state__in=[DeliveryState.SENDING, DeliveryState.UNKNOWN])
    return {name for change in sent.filter(**only) for name in change.trees}


def holds_our_message(tree: TreeFacts) -> bool:
    """Answer whether our message stands on a tree, and nobody asked yet to take it away."""
    row = tree.row
    if not row.only_message or row.closed_at is None or row.reopen_asked_at is not None or tree.word in NOT_KNOWN:
        return False
    return row.by_hand or rules.is_our_message(tree.reading.motd)


# --- what the outbox asks and tells -----------------------------------------------------------------------------------


def register() -> None:
    """Make known why trees are closed over the service's API."""
    purposes.register(purposes.Purpose(CLOSE, "Trees are closed for a downtime", may_still_go, happened))


def may_still_go(row: TreeChange) -> purposes.Stop | None:
    """Drop what is not wanted any more: the downtime is over, or a tree was left or is to reopen."""
    downtime = locking.named(row.about)
    if downtime is None or downtime.state != State.RUNNING:
        return purposes.Stop("The downtime does not run any more: its trees are not closed now.", for_good=True)
    there = downtime.run_trees.filter(name__in=row.trees)
    gone = [one.name for one in there if not _is_to_close(one)]
    return changing.drop(gone, "closed") if gone else None


def _is_to_close(row: RunTree) -> bool:
    return row.asked_at is not None and row.reopen_asked_at is None and row.left_at is None


def happened(row: TreeChange) -> None:
    """Have polling look whether it is so; of what was dropped because of one tree the others still close."""
    changing.happened(row)
    downtime = locking.named(row.about)
    if downtime is not None and downtime.state == State.RUNNING:
        there = downtime.run_trees.filter(closed_at=None)
        changing.post_rest(row, downtime, {one.name for one in there if _is_to_close(one)})
