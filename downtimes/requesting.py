"""Asking for a tree closure: a nomination is written down, and the outbox sets its flag or files its bug (R1 to R6).

What may be typed: `requesting_forms.py`; what stands in the bug: `requesting_bug.py`; what became of it:
`requesting_page.py`.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from ciduty import access, clock, states
from ciduty.bugzilla.models import Bug, TrackedId, Visibility
from ciduty.outbox import post, purposes
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from ciduty.people.models import Person
from ciduty.record import write
from ciduty.states import NotAllowed
from downtimes import flag_writes
from downtimes.models import Nomination
from downtimes.requesting_bug import NewBug, fields_of, words_of
from downtimes.rules import NOMINATION_MOVES, OPEN_NOMINATIONS, NominationState

FILE = "downtimes: file"
TRACKED_BECAUSE = "a bug that a downtime is asked for"
#: What a person types; the rest of a nomination is what became of it.
TYPED = (
    "system", "public_text", "steps", "minutes", "rollback", "rollback_minutes", "preferred", "urgency",
    "stands_in_for",
)  # fmt: skip
#: A decision that is over leaves nothing behind.
UNDECIDED = {"because": "", "decided_by": None, "decided_at": None, "deferred_until": None, "flag_wanted": ""}


def key_of(person, token: str) -> str:
    """Return the key of one form that one person was shown; nobody can send it in another's name."""
    return f"{person.pk}-{token}"


def op_of_key(key: str) -> str:
    """Return the mark of what a form writes, by the key of the form: it stands in the preview already."""
    return key.rpartition("-")[2][:8]


def sent_before(person, token: str) -> Nomination | None:
    """Return what the same form wrote before: sent twice, or again with the back button."""
    return Nomination.objects.filter(key=key_of(person, token)).first()


def is_own(person, nomination: Nomination) -> bool:
    """Answer whether somebody asked for this themselves."""
    return person.pk in (nomination.asked_by_id, nomination.text_by_id)


def visible(person):
    """Return the nominations that somebody may know of: their own, for who sees plans everybody's."""
    nominations = Nomination.objects.select_related("asked_by", "text_by", "decided_by")
    if access.may_see_downtime_plans(person):
        return nominations
    return nominations.filter(asked_by=person) | nominations.filter(text_by=person)


# --- asking -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def ask(nomination: Nomination, *, by, new: NewBug | None = None) -> Nomination:
    """Write a nomination down with what Bugzilla is to be told, and return it; sent twice under one key it is one.

    `new`: the bug is to be filed; else `nomination.bug_id` names it. Raises NotAllowed for a bug that somebody else
    nominated or that is planned already, and outbox.changes.Unwritable for what Bugzilla would refuse in any case.
    """
    by = Person.objects.select_for_update().get(pk=by.pk)  # two forms of theirs come in turn
    before = Nomination.objects.filter(key=nomination.key).first()
    if before is not None:
        return before
    at = clock.now()
    nomination.asked_by = nomination.text_by = by
    nomination.asked_at = at
    if new is not None:
        nomination.save()
        return _file(nomination, new, by, at)
    typed = {name: getattr(nomination, name) for name in TYPED}
    values = typed | {"key": nomination.key, "asked_by": by, "text_by": by, "asked_at": at}
    row, is_new = Nomination.objects.get_or_create(bug_id=nomination.bug_id, defaults=values)
    if not is_new:
        return _ask_again(row, typed | {"key": nomination.key}, by, at)
    _written_down(row, "asked", f"Asked for a tree closure for bug {row.bug_id}", by, at)
    nominate(row, by, op_of_key(row.key))
    return row


def _file(nomination: Nomination, new: NewBug, by, at: datetime) -> Nomination:
    row = post.new_bug(
        key=f"{nomination.about} bug",
        purpose=FILE,
        about=nomination.about,
        fields=fields_of(nomination, new, by),
        by=by,
    )
    nomination.update_id = row.pk
    nomination.save(update_fields=["update_id"])
    _follow(nomination.stands_in_for)
    after = {"audience": str(Visibility.PUBLIC)}
    sentence = "Asked for a tree closure, and for a bug to be filed"
    write.entry(nomination.about, "asked", sentence, by=by, at=at, after=after, caused=[row])
    return nomination


def _ask_again(row: Nomination, typed: dict, by, at: datetime) -> Nomination:
    """Put words to a bug that is nominated already, or ask anew where it was declined or taken back."""
    row = Nomination.objects.select_for_update().get(pk=row.pk)
    refusal = why_not_ask_again(row, by)
    if refusal:
        raise NotAllowed(refusal)
    changes = typed | {"text_by": by}
    if row.state in OPEN_NOMINATIONS:
        changes["asked_by"] = row.asked_by or by
        Nomination.objects.filter(pk=row.pk).update(**changes)
        row.refresh_from_db()
        _written_down(row, "worded", f"Wrote what is wanted for bug {row.bug_id}", by, at)
    else:
        changes |= UNDECIDED | {"asked_by": by, "asked_at": at}
        sentence = f"Asked again for a tree closure for bug {row.bug_id}"
        audience = {"after": {"state": str(NominationState.REQUESTED), "audience": _audience(row.bug_id)}}
        states.move(row, NOMINATION_MOVES, "ask again", sentence, by=by, at=at, entry=audience, **changes)
    nominate(row, by, op_of_key(row.key))
    return row


def why_not_ask_again(row: Nomination, by) -> str:
    """Return why a bug that is nominated already cannot be asked for by this form, as a sentence, or ""."""
    if row.state == NominationState.ACCEPTED:
        return (
            f"Bug {row.bug_id} is accepted into a downtime already: ask in {settings.CIDUTY_CHANNEL} to have its "
            "wording changed there."
        )
    if row.state in OPEN_NOMINATIONS and row.public_text.strip() and not is_own(by, row):
        return (
            f"Somebody else has asked for a downtime for bug {row.bug_id} already: ask them, or in "
            f"{settings.CIDUTY_CHANNEL}, to have it changed."
        )
    return ""


def nominate(row: Nomination, by, op: str) -> None:
    """Have the flag set, unless ciduty is known not to see the bug: then a person has to act first (R5, R6)."""
    _follow(row.bug_id, row.stands_in_for)
    flag_writes.read_soon()
    if flag_writes.is_hidden(row.bug_id):
        post.nobody_told(row.about, f"ciduty’s account cannot see bug {row.bug_id}.", by=by)
        return
    update = flag_writes.tell(row, "nominate", by=by, op=op, comment=words_of(row))
    row.update_id = update.pk
    row.save(update_fields=["update_id"])


def _follow(*bug_ids: int | None) -> None:
    """Let the next poll ask for these bugs by their numbers: they may stand in components that nobody follows."""
    for bug_id in filter(None, bug_ids):
        TrackedId.objects.get_or_create(bug_id=bug_id, defaults={"why": TRACKED_BECAUSE})


def _audience(bug_id: int) -> str:
    return Bug.objects.filter(pk=bug_id).values_list("visibility", flat=True).first() or ""


def _written_down(row: Nomination, verb: str, sentence: str, by, at: datetime) -> None:
    write.entry(row.about, verb, sentence, by=by, at=at, after={"audience": _audience(row.bug_id)})


# --- taking it back ---------------------------------------------------------------------------------------------------


def may_withdraw(person, nomination: Nomination) -> bool:
    """Answer whether somebody may take a nomination back now: their own; CiDuty any that is open."""
    mine = is_own(person, nomination) or access.may_plan_downtimes(person)
    return mine and NOMINATION_MOVES.allow("withdraw", nomination.state)


@transaction.atomic
def withdraw(nomination: Nomination, *, by, op: str) -> Nomination:
    """Take a nomination back and have its flag cleared. Raises NotAllowed when it was decided meanwhile."""
    row = Nomination.objects.select_for_update().get(pk=nomination.pk)
    if row.state == NominationState.WITHDRAWN:
        return row
    caused = []
    if NOMINATION_MOVES.allow("withdraw", row.state) and row.bug_id and not flag_writes.is_hidden(row.bug_id):
        caused = [flag_writes.tell(row, "withdraw", by=by, op=op)]
    fields = UNDECIDED | ({"update_id": caused[0].pk} if caused else {})
    entry = {"caused": [str(update) for update in caused]}
    states.move(
        row, NOMINATION_MOVES, "withdraw", "Taken back", by=by, at=clock.now(), entry=entry, **fields
    )  # fmt: skip
    return row


# --- what the outbox asks and tells -----------------------------------------------------------------------------------


def register() -> None:
    """Make known why bugs are filed for downtimes."""
    purposes.register(purposes.Purpose(FILE, "Filing a bug for a downtime", may_still_go, filed))


def may_still_go(row: BugUpdate) -> purposes.Stop | None:
    """Drop the bug of a nomination that was taken back, and hold that of somebody who has left meanwhile."""
    nomination = Nomination.objects.filter(update_id=row.pk).select_related("asked_by").first()
    if nomination is None:
        return purposes.Stop("Nobody’s nomination belongs to this bug: look who asked before it is filed.")
    if nomination.state == NominationState.WITHDRAWN:
        return purposes.Stop("The nomination was taken back before its bug was filed.", for_good=True)
    if nomination.asked_by is not None and not nomination.asked_by.is_active:
        return purposes.Stop(f"{nomination.asked_by} may not sign in any more: look whether this is still wanted.")
    return None


def filed(row: BugUpdate) -> None:
    """Join a nomination with the bug that was filed for it, and have the bug read with the next poll."""
    if row.state != State.ACCEPTED or not row.bug_id:
        return
    nomination = Nomination.objects.select_for_update().filter(update_id=row.pk, bug_id=None).first()
    if nomination is None:
        return  # told before
    if not _make_room(nomination, row):
        return
    nomination.bug_id = row.bug_id
    nomination.save(update_fields=["bug_id"])
    _follow(row.bug_id)
    write.entry(nomination.about, "filed", f"Filed as bug {row.bug_id}", caused=[row])
    if nomination.state == NominationState.WITHDRAWN:  # it was on its way when it was taken back
        flag_writes.tell(nomination, "withdraw", by=nomination.asked_by, op=post.new_op())
    flag_writes.read_soon()


def _make_room(nomination: Nomination, row: BugUpdate) -> bool:
    """Let a nomination that a quicker poll made of the same bug's flag give way; False when it was decided already."""
    other = Nomination.objects.select_for_update().filter(bug_id=row.bug_id).first()
    if other is None:
        return True
    if other.state != NominationState.REQUESTED or other.text_by_id or other.items.exists():
        sentence = f"Bug {row.bug_id} belongs to another nomination already: it was not joined with this one"
        write.entry(nomination.about, "not joined", sentence, caused=[row])
        return False
    write.entry(other.about, "joined", f"Joined with {nomination}, which had its bug filed", caused=[row])
    other.delete()
    return True
