"""The window and its work, one function for each change. Each locks the downtime, asks, changes and records.

Agreement, announcing, postponing and cancelling are elsewhere. What people type is checked in `window_forms.py`.
"""

from datetime import datetime
from hashlib import sha256

from django.db import transaction
from django.db.models import Max

from ciduty import clock, states
from ciduty.bugzilla.models import Visibility
from ciduty.outbox import post
from ciduty.outbox.models import BugUpdate
from ciduty.people.models import Person
from ciduty.record import write
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes import flag_writes, mirrored
from downtimes.models import Downtime, Item, Nomination
from downtimes.rules import MOST_ITEMS, NOMINATION_MOVES, PLANNED

#: Fields of a window -> how the record and the pages name them.
FIELDS = {
    "title": "title",
    "starts_at": "start",
    "ends_at": "end",
    "urgency": "urgency",
    "close": "hard or soft close",
    "trees": "trees",
    "tracking_bug": "tracking bug",
    "sheriff": "sheriff",
    "duty": "duty person",
    "separate_because": "why it is separate",
    "what_stops": "what will not work",
    "what_keeps_working": "what keeps working",
    "effect_on_releases": "effect on releases",
    "how_to_object": "how to object",
    "policy": "policy of agreement",
    "quorum": "quorum",
    "extra_groups": "extra groups",
}
ITEM_FIELDS = {
    "public_text": "public text",
    "worker": "worker",
    "steps": "steps",
    "minutes": "duration",
    "rollback": "rollback",
    "rollback_minutes": "duration of the rollback",
}
#: What the record keeps the values of; texts are typed freely, so it says only that they changed.
RECORDED = ("starts_at", "ends_at", "urgency", "close", "trees", "tracking_bug", "policy", "quorum")
#: The duty person confirmed being there for these; another window or person is to be confirmed anew (R13).
TIMES = ("starts_at", "ends_at")
CONFIRMED = (*TIMES, "duty")
#: Whoever was told of the start, or looked before it, was told of these.
TOLD_OF_START = (*TIMES, "trees", "close")


class Outdated(NotAllowed):
    """Somebody else saved the window after this form was opened."""


@transaction.atomic
def create(title: str, *, by, op: str = "") -> Downtime:
    """Begin to plan a window, without its times, and return it. `op` names the form: sent twice, it makes one."""
    if op:
        Person.objects.select_for_update().get(pk=by.pk)  # two clicks at once come in turn
        before = Entry.objects.filter(verb="created", by=by, after__op=op, about__startswith="downtime ").first()
        if before is not None:
            return Downtime.objects.get(pk=int(before.about.partition(" ")[2]))
    at = clock.now()
    downtime = Downtime.objects.create(title=title, made_by=by, made_at=at)
    write.entry(downtime.about, "created", "Began to plan it", by=by, at=at, after={"op": op} if op else {})
    return downtime


@transaction.atomic
def edit(downtime: Downtime, fields: dict, *, by, revision: int) -> bool:
    """Change fields of a window, and return whether any was changed. `revision`: the one that the form was made from.

    Another window or duty person takes the duty person's confirmation back; the bugs are told another start (R18). Of
    another window, or other trees, the sheriff is told anew.
    Raises Outdated when somebody else saved meanwhile. What stands there already is no change: a form sent twice does
    one thing.
    """
    unknown = set(fields) - set(FIELDS)
    if unknown:
        raise ValueError(f"No fields of a window: {', '.join(sorted(unknown))}.")
    row = _locked(downtime)
    changed = [name for name in FIELDS if name in fields and getattr(row, name) != fields[name]]
    if not changed:
        downtime.refresh_from_db()
        return False
    if row.revision != revision:
        raise Outdated(
            "Somebody else changed this downtime after you opened the page: nothing was saved, and what you typed is "
            "still here. Look at the plan in another tab, then save again to put your words in place of theirs."
        )
    before = _recorded(row, changed)
    for name in changed:
        setattr(row, name, fields[name])
    if set(changed) & set(CONFIRMED):
        row.duty_confirmed_at = None
    if set(changed) & set(TIMES):
        row.emergency_by = None  # the manager let these very times go under 24 hours
    if set(changed) & set(TOLD_OF_START):
        row.run_steps.all().delete()
    row.save(update_fields=[*changed, "duty_confirmed_at", "emergency_by"])
    told = flag_writes.tell_time(row, by=by) if "starts_at" in changed else []
    entry = {"before": before, "after": _recorded(row, changed), "caused": told}
    _changed(downtime, row, "edited", f"Changed: {', '.join(FIELDS[name] for name in changed)}", by=by, **entry)
    return True


@transaction.atomic
def confirm_duty(downtime: Downtime, *, by, times: tuple[datetime | None, datetime | None] | None = None) -> None:
    """Write down that the duty person is there for the whole window (R13); nobody says it in their place.

    `times`: the window as the page showed it. Raises NotAllowed when it is another one by now.
    """
    row = _locked(downtime)
    if row.duty_id is None:
        raise NotAllowed("Nobody is named as the duty person of this window: name them first.")
    if row.duty_id != by.pk:
        raise NotAllowed(f"Only {row.duty} can say that they are there for the whole window: ask them.")
    if row.starts_at is None or row.ends_at is None:
        raise NotAllowed("The window has no start or no end yet: enter both, then confirm.")
    if times is not None and times != (row.starts_at, row.ends_at):
        raise NotAllowed("The window was moved after you opened the page: look at its times, then confirm again.")
    if row.duty_confirmed_at is None:
        row.duty_confirmed_at = clock.now()
        row.save(update_fields=["duty_confirmed_at"])
        window = f"{row.starts_at:%Y-%m-%d %H:%M} to {row.ends_at:%Y-%m-%d %H:%M} UTC"
        _changed(downtime, row, "duty confirmed", f"Confirmed being there from {window}", by=by)


# --- the work ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def add_item(downtime: Downtime, nomination: Nomination, *, by) -> Item:
    """Put the work of a nomination into a window, last, and return it. The nomination's own move is the caller's.

    The worker is who has the bug in Bugzilla. The wording is confirmed only where a person typed it and the bug is
    public. Raises NotAllowed for the item too many, and for a bug that another window has.
    """
    row = _locked(downtime)
    Nomination.objects.select_for_update().get(pk=nomination.pk)  # two windows that want it come in turn
    if nomination.bug_id is None:
        raise NotAllowed("Bugzilla has not filed the bug of this work yet: wait until it has a number.")
    there = Item.objects.filter(bug_id=nomination.bug_id, downtime__state__in=PLANNED)
    taken = there.select_related("downtime").first()
    if taken is not None and taken.downtime_id == row.pk:
        return taken
    if taken is not None:
        raise NotAllowed(f"Bug {nomination.bug_id} is planned in “{taken.downtime.title}”: take it out there first.")
    if row.items.count() >= MOST_ITEMS:
        raise NotAllowed(f"“{row.title}” holds {MOST_ITEMS} items, the most there can be: choose another window.")
    item = Item(
        downtime=row,
        nomination=nomination,
        bug_id=nomination.bug_id,
        position=(row.items.aggregate(last=Max("position"))["last"] or 0) + 1,
        worker=mirrored.assignee_of(nomination.bug_id),
        **{name: getattr(nomination, name) for name in ITEM_FIELDS if name != "worker"},
    )
    if nomination.text_by_id and item.public_text.strip() and mirrored.visibility_of(item.bug_id) == Visibility.PUBLIC:
        item.confirmed_by, item.confirmed_as = nomination.text_by, Visibility.PUBLIC
    item.save()
    _changed(downtime, row, "item added", f"Took bug {item.bug_id} into the window", by=by)
    return item


@transaction.atomic
def take_out(item: Item, *, by) -> None:
    """Take a piece of work out of its window; its nomination waits for a decision again."""
    row = _locked(item.downtime)
    there = Item.objects.filter(pk=item.pk).first()
    if there is None:
        return
    there.delete()
    give_back(there, f"Taken out of “{row.title}”; it waits for a decision again", by=by)
    _changed(item.downtime, row, "item taken out", f"Took bug {there.bug_id} out of the window", by=by)


def give_back(item: Item, sentence: str, *, by) -> None:
    """Let the nomination of a piece of work wait for a decision again, and its bug say so; within the caller's lock."""
    nomination = item.nomination
    if nomination is None or not NOMINATION_MOVES.allow("take out", nomination.state):
        return
    told = {"caused": [str(row) for row in _tell_bug_taken_out(nomination, by)]}
    states.move(nomination, NOMINATION_MOVES, "take out", sentence, by=by, at=clock.now(), entry=told, flag_wanted="")


def _tell_bug_taken_out(nomination: Nomination, by) -> list[BugUpdate]:
    """Ask for the tree closure anew in the bug, where ciduty may write into it; the record says where it may not."""
    if flag_writes.is_hidden(nomination.bug_id):
        post.nobody_told(nomination.about, f"ciduty’s account cannot see bug {nomination.bug_id}.", by=by)
        return []
    return [flag_writes.tell(nomination, "take out", by=by, op=post.new_op())]


@transaction.atomic
def move_item(item: Item, direction: str, *, by) -> None:
    """Move a piece of work "up" or "down" by one place; the first and the last stay where they are."""
    row = _locked(item.downtime)
    order = list(row.items.all())
    here = next((place for place, one in enumerate(order) if one.pk == item.pk), None)
    if here is None:
        raise NotAllowed(f"Bug {item.bug_id} was taken out of the window meanwhile: look at the plan.")
    there = here + {"up": -1, "down": 1}[direction]
    if not 0 <= there < len(order):
        return
    order[here], order[there] = order[there], order[here]
    for position, one in enumerate(order, start=1):
        one.position = position
    Item.objects.bulk_update(order, ["position"])
    item.refresh_from_db()
    _changed(item.downtime, row, "item moved", f"Moved bug {item.bug_id} {direction}", by=by)


@transaction.atomic
def edit_item(item: Item, fields: dict, *, by, confirms: bool = False, shown: str = "", shown_as: str = "") -> bool:
    """Change a piece of work, and return whether anything was changed.

    Typing the public text confirms it for the bug as it stands now, and so does `confirms`: the person read it.
    `shown` is what `look_of` said when the page was opened, `shown_as` the bug's visibility then: over somebody else's
    words nothing is saved (Outdated), and of a bug that changed since no text is confirmed.
    """
    row = _locked(item.downtime)
    there = Item.objects.filter(pk=item.pk).first()
    if there is None:
        raise NotAllowed(f"Bug {item.bug_id} was taken out of the window meanwhile: look at the plan.")
    changed = [name for name in ITEM_FIELDS if name in fields and getattr(there, name) != fields[name]]
    if changed and shown and shown != look_of(there):
        raise Outdated(
            f"Somebody else changed the work of bug {there.bug_id} after you opened the page: nothing was saved, and "
            "what you typed is still here. Save again to put your words in place of theirs."
        )
    for name in changed:
        setattr(there, name, fields[name])
    confirmed = _confirm(there, by, shown_as) if confirms or "public_text" in changed else False
    if changed or confirmed:
        there.save()
        done = [f"changed {ITEM_FIELDS[name]}" for name in changed] + ["confirmed the public text"] * confirmed
        _changed(item.downtime, row, "item edited", f"Bug {there.bug_id}: {', '.join(done)}", by=by)
    item.refresh_from_db()
    return bool(changed or confirmed)


def look_of(item: Item) -> str:
    """Return what two looks at a piece of work have in common only if it is the same."""
    facts = [str(getattr(item, name)) for name in ITEM_FIELDS]
    return sha256("\0".join(facts).encode()).hexdigest()[:16]


def _confirm(item: Item, by, shown_as: str) -> bool:
    """Let a person stand for the public text, and return whether that is new; an empty text is confirmed by nobody."""
    stands = mirrored.visibility_of(item.bug_id)
    if not item.public_text.strip():
        item.confirmed_by, item.confirmed_as = None, ""
        return False
    if shown_as and shown_as != stands:
        raise NotAllowed(
            f"Bug {item.bug_id} is {Visibility(stands).label.lower()} by now: read its public text with that in mind, "
            "then save it."
        )
    new = item.confirmed_by_id is None or item.confirmed_as != stands
    item.confirmed_by, item.confirmed_as = by, stands
    return new


# --- what every change does -------------------------------------------------------------------------------------------


def _locked(downtime: Downtime) -> Downtime:
    """Return the row as it is now, locked. Raises NotAllowed when its planning is over."""
    row = Downtime.objects.select_for_update().get(pk=downtime.pk)
    if row.state not in PLANNED:
        raise NotAllowed(f"“{row.title}” is {row.get_state_display().lower()} by now, so nothing of it can be changed.")
    return row


def _changed(downtime: Downtime, row: Downtime, verb: str, sentence: str, *, by, **entry) -> None:
    row.revision += 1
    row.save(update_fields=["revision"])
    write.entry(row.about, verb, sentence, by=by, **entry)
    downtime.refresh_from_db()


def _recorded(row: Downtime, changed: list[str]) -> dict:
    values = {name: getattr(row, name) for name in changed if name in RECORDED}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
