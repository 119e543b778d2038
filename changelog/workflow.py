"""What people and other apps do with changes: one function per verb. What sources tell many at once: `store.py`.

A verb is always: ask the rule, move, change what else changes, count anew; all in one transaction.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction
from django.db.models import F

from changelog import index, rules, store
from changelog.confidential import not_public
from changelog.models import BugOfChange, Change, Revision, Source
from changelog.models.sources import SourceKind
from changelog.proposals import Proposal
from changelog.publishing import together, wording
from changelog.rules import MOVES, State
from ciduty import clock, states
from ciduty.bugzilla.cleaning import clean_line
from ciduty.record import write
from ciduty.states import NotAllowed

#: What a person may correct, and how a revision names it to readers.
CORRECTABLE = {
    "summary": "summary",
    "impact": "impact",
    "public_summary": "public wording",
    "kind": "kind",
    "system_id": "system",
    "pools": "pools",
    "platforms": "platforms",
    "bugs": "bugs",
    "effective_at": "took effect",
    "effective_offset": "zone",
}
LOOK_AGAIN = "Somebody corrected it while you wrote: look at it again, and correct what is still wrong."
CHANGED_MEANWHILE = "It reads otherwise than what you saw: look at it again, then publish it."


def own_source() -> Source:
    """Return the source of what ciduty itself does."""
    return Source.objects.get_or_create(name="ciduty", defaults={"kind": SourceKind.OWN})[0]


def people_source() -> Source:
    """Return the source of what people enter here."""
    return Source.objects.get_or_create(name="people", defaults={"kind": SourceKind.PERSON})[0]


def propose(proposal: Proposal, *, by=None, source: Source | None = None, at: datetime | None = None) -> Change:
    """Propose one change, and return it; told again, it is the same one. For the other apps: loaners, downtimes.

    The source's rule says whether it is public at once. Raises store.Unusable for one without words.
    """
    at = at or clock.now()
    with transaction.atomic():
        stored = store.store([proposal], source=source or own_source(), at=at, by=by)
        change = Change.objects.get(identity=proposal.identity)
        if stored.new:
            verb, said = ("publish", "Published") if change.state == State.PUBLISHED else ("propose", "Proposed")
            write.entry(change.about, verb, f"{said} {change}.", by=by, at=at, after={"state": change.state})
    return change


def publish(
    change: Change,
    by,
    *,
    impact: str | None = None,
    summary: str | None = None,
    public_summary: str | None = None,
    seen_revision: int | None = None,
) -> None:
    """Publish a proposed change, with its one line. None leaves a text as it is. Raises NotAllowed.

    Where a bug that it names is not public, it needs `public_summary`: words that a person typed for everybody, now.
    `seen_revision` is `change.revision` as its reader saw it: what nobody read is not published.
    """
    with _moved([change], "publish") as (at, [there]):
        _seen(there, seen_revision)
        typed = wording.typed_texts(there, impact=impact, summary=summary, public_summary=public_summary)
        values = wording.worded(there, typed, public_summary).values
        states.move(there, MOVES, "publish", f"Published {there}.", by=by, at=at, **_published(there, values, by, at))
        _name_bugs(there.pk, there.bugs)
    change.refresh_from_db()


def word(
    change: Change, by, *, public_summary: str, impact: str | None = None, seen_revision: int | None = None
) -> None:
    """Word a change for everybody that was published, by a rule or by somebody, and names a bug that is not public.

    It is public from now on. Raises NotAllowed.
    """
    with index.reindexing([change.pk], not_public) as [there]:
        at = clock.now()
        waits = wording.waits(there, not_public(there.bugs))
        if refusal := rules.why_not_word(State(there.state), there.published_at, waits):
            raise NotAllowed(refusal)
        _seen(there, seen_revision)
        typed = wording.typed_texts(there, impact=impact, public_summary=public_summary)
        values = wording.worded(there, typed, public_summary).values
        Change.objects.filter(pk=there.pk).update(**_published(there, values, by, at))
        _name_bugs(there.pk, values.get("bugs", there.bugs))
        write.entry(there.about, "word", f"Worded {there} for everybody.", by=by, at=at)
    change.refresh_from_db()


def _published(change: Change, values: dict, by, at: datetime) -> dict:
    """Return the fields that are set when a change becomes public with these values."""
    changed = {"revision": F("revision") + 1} if values else {}
    return changed | _by_hand(change, values) | {"published_at": at, "published_by": by, "changed_at": at}


def _seen(change: Change, seen_revision: int | None) -> None:
    if seen_revision is not None and change.revision != seen_revision:
        raise NotAllowed(CHANGED_MEANWHILE)


def publish_as_one(
    changes: Collection[Change],
    by,
    *,
    summary: str,
    impact: str = "",
    public_summary: str = "",
    seen_revisions: dict[int, int] | None = None,
) -> Change:
    """Publish several proposals as one change: the newest carries the words, the others are its parts. Returns it.

    Raises NotAllowed when one of them is not proposed any more, or words are missing. `seen_revisions`: by id.
    """
    if not 2 <= len({one.pk for one in changes}) <= rules.MOST_AS_ONE:
        raise NotAllowed(
            f"{len(changes)} chosen, and from 2 to {rules.MOST_AS_ONE} can be published as one: "
            "one alone is published by itself."
        )
    with _moved(changes, "publish") as (at, there):
        for one in there:
            _seen(one, (seen_revisions or {}).get(one.pk))
        lead = max(there, key=lambda one: (one.at, one.pk))
        parts = [one for one in there if one is not lead]
        words = {"summary": summary, "impact": impact, "public_summary": public_summary or None}
        values = together.gathered(lead, parts) | wording.typed_texts(lead, **words)
        values = wording.worded(lead, values, public_summary or None).values
        together.remember(lead, parts, values, by, at)
        for part in parts:
            states.move(
                part, MOVES, "publish", f"Published {part} as a part of {lead}.", by=by, at=at,
                part_of=lead, published_at=at, published_by=by, changed_at=at,
            )  # fmt: skip
        states.move(lead, MOVES, "publish", f"Published {lead}.", by=by, at=at, **_published(lead, values, by, at))
        _name_bugs(lead.pk, lead.bugs)
    lead.refresh_from_db()
    return lead


def take_back(change: Change, by) -> None:
    """Undo a publication within ten minutes: it is a proposal again, and so are its parts. Raises NotAllowed."""
    # Nobody need know: how it read meanwhile is no public history.
    _all_of_it(change, "take back", by, "Took {} back.", published_at=None, published_by=None, part_of=None)


def hold(change: Change, by, because: str = "") -> None:
    """Take a change from the public at once, its parts and its words too; the record keeps it. Raises NotAllowed."""
    _all_of_it(change, "hold", by, "Held {}.", because=clean_line(because, 300))


def release(change: Change, by) -> None:
    """Make a held change a proposal again. What it said in public before stays unseen. Raises NotAllowed."""
    _all_of_it(change, "release", by, "Released {}.", because="", published_at=None, published_by=None, part_of=None)


def _all_of_it(change: Change, verb: str, by, sentence: str, **further) -> None:
    """Move a change, and those of its parts that stand where it stands."""
    same = Change.objects.filter(part_of=change.pk, state__in=MOVES.sources(verb))
    with _moved([change, *same], verb) as (at, there):
        had_parts = any(one.part_of_id == change.pk for one in there)
        Revision.objects.filter(change__in=there).update(is_public=False)
        for one in there:
            states.move(one, MOVES, verb, sentence.format(one), by=by, at=at, changed_at=at, **further)
        if had_parts and MOVES.target(verb) == State.PROPOSED:
            apart = together.apart(change.pk)
            Change.objects.filter(pk=change.pk).update(**apart, revision=F("revision") + 1)
            _name_bugs(change.pk, apart.get("bugs", change.bugs))
    change.refresh_from_db()


def dismiss(change: Change, by) -> None:
    """Put a proposal aside: nobody outside heard of it. Raises NotAllowed."""
    _simple(change, "dismiss", by, "Dismissed {}.")


def reopen(change: Change, by) -> None:
    """Make a dismissed change a proposal again. Raises NotAllowed."""
    _simple(change, "reopen", by, "Reopened {}.")


def withdraw(change: Change, by, because: str) -> None:
    """Withdraw a published change: it stays on record, marked, with the reason. Raises NotAllowed without one."""
    because = wording.public_line(because, change)
    if not because:
        raise NotAllowed("Say why it is withdrawn: readers who saw it want to know.")
    _simple(change, "withdraw", by, "Withdrew {}.", because)


def restore(change: Change, by) -> None:
    """Publish a withdrawn change again. Raises NotAllowed."""
    _simple(change, "restore", by, "Restored {}.")


def _simple(change: Change, verb: str, by, sentence: str, because: str = "") -> None:
    with _moved([change], verb) as (at, [there]):
        states.move(there, MOVES, verb, sentence.format(there), by=by, at=at, because=because, changed_at=at)
    change.refresh_from_db()


def correct(change: Change, by, seen_revision: int, *, because: str = "", hide_former: bool = False, **fields) -> bool:
    """Correct what a change says; returns whether anything differed. The former words stay visible as a revision.

    `seen_revision` is `change.revision` as the form was made: somebody else's correction is never overwritten.
    `hide_former`: the former words must not be seen. Raises NotAllowed.
    """
    unknown = set(fields) - set(CORRECTABLE)
    assert not unknown, f"{unknown} cannot be corrected"
    with index.reindexing([change.pk], not_public) as [there]:
        at = clock.now()
        differs = wording.typed_texts(there, **{name: fields[name] for name in wording.TEXTS if name in fields})
        differs |= {name: value for name, value in fields.items() if name not in wording.TEXTS}
        differs = {name: value for name, value in differs.items() if getattr(there, name) != value}
        if not differs and not hide_former:
            return False  # sent twice, or somebody else corrected it the same way
        if there.revision != seen_revision:
            raise NotAllowed(LOOK_AGAIN)
        _write_correction(there, by, at, differs, wording.public_line(because, there), hide_former)
    change.refresh_from_db()
    return True


def _write_correction(there: Change, by, at: datetime, differs: dict, because: str, hide_former: bool) -> None:
    corrected, written = dict(differs), wording.corrected(there, differs)
    # Words about a bug that is not public are no public history, whatever becomes of the bug's number here.
    hidden = bool(there.hidden_bugs) or bool(not_public(written.get("bugs", there.bugs)))
    if hide_former or hidden:
        Revision.objects.filter(change=there).update(is_public=False)
    if "bugs" in written and written["bugs"] != there.bugs:
        corrected["bugs"] = written["bugs"]
        _name_bugs(there.pk, written["bugs"])
    Revision.objects.create(
        change=there, at=at, by=by, because=because, is_public=there.is_public and not hide_former and not hidden,
        before={name: store.plain(getattr(there, name)) for name in corrected},
        after={name: store.plain(value) for name, value in corrected.items()},
    )  # fmt: skip
    if "effective_at" in differs:
        written["at"] = differs["effective_at"] or there.landed_at or there.authored_at or there.proposed_at
    if "confirmed_for" in written and there.state == State.PUBLISHED and not there.is_public:
        written |= {"published_at": at, "published_by": by}  # it waited for these words
    Change.objects.filter(pk=there.pk).update(changed_at=at, revision=F("revision") + 1, **_by_hand(there, written))
    named = ", ".join(CORRECTABLE[name] for name in corrected)
    sentence = f"Corrected {there}: {named}." if named else f"Hid the former words of {there}."
    write.entry(there.about, "correct", sentence, by=by, at=at)


def _name_bugs(change_id: int, bugs: Iterable[int]) -> None:
    BugOfChange.objects.filter(change_id=change_id).exclude(bug_id__in=bugs).delete()
    BugOfChange.objects.bulk_create(
        [BugOfChange(change_id=change_id, bug_id=bug) for bug in bugs], ignore_conflicts=True
    )


@contextmanager
def _moved(changes: Iterable[Change], verb: str) -> Iterator[tuple[datetime, list[Change]]]:
    """Lock changes, ask the rule for each, let the caller move them, and count them anew."""
    wanted = {one.pk for one in changes}
    with index.reindexing(wanted, not_public) as there:
        at = clock.now()  # once they are locked: whoever waited decides by the moment at which they act
        for one in there:
            if refusal := rules.why_not(verb, State(one.state), one.published_at, at):
                raise NotAllowed(refusal)
        yield at, there


def _by_hand(change: Change, values: dict) -> dict:
    named = sorted({*change.by_hand, *(set(values) & set(store.TOLD))})
    return values | ({"by_hand": named} if named != change.by_hand else {})


def confidential_bugs(change: Change) -> frozenset[int]:
    """Return the bugs that a change names and that are not public, for staff pages that ask for other words."""
    return not_public(change.bugs)


def needs_words(change: Change) -> bool:
    """Answer whether a person must word it for everybody before it can be public."""
    return wording.waits(change, not_public(change.bugs))
