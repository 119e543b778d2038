"""Writes what sources tell: many proposals at once, each change once, an edit as an edit. Who collects: elsewhere.

The natural identity decides: the same change told again, by another tree or another source, is the same row. What a
proposal's values are is `facts.py`, how many rows are written at once `bulk.py`, what undoes what `backouts.py`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice

from django.db import IntegrityError, connection, transaction

from changelog import backouts, bulk, index
from changelog.confidential import not_public
from changelog.facts import Unusable, facts_and_backouts, facts_of, landings_of, place
from changelog.models import BugOfChange, Change, Landing, Revision, Source
from changelog.proposals import Proposal
from changelog.rules import State
from ciduty.systems.models import System

__all__ = ["SHOWN", "TOLD", "Stored", "Unusable", "facts_of", "plain", "store"]

#: One transaction: small enough that memory stays flat and nobody waits long for a lock.
AT_ONCE = 500
#: After so many new changes PostgreSQL's index of words is brought up to date at once, see `_tidy`.
MANY = 1_000
#: How often two who tell the same change at the same moment may meet before it is a fault.
TRIES = 5
#: What a source may correct, unless a person has set it (`Change.by_hand`).
TOLD = (
    "summary", "message", "impact", "kind", "system_id", "author", "reviewers", "bugs", "pools", "platforms", "links",
    "files", "files_count", "authored_at", "authored_offset", "effective_at", "effective_offset",
)  # fmt: skip
#: Those of them whose correction is shown to the public as a revision.
SHOWN = (
    "summary", "message", "impact", "kind", "system_id", "author", "pools", "platforms", "bugs", "authored_at",
    "effective_at",
)  # fmt: skip
#: The columns behind TOLD, as Django's save names them.
TOLD_COLUMNS = tuple("system" if name == "system_id" else name for name in TOLD)
_PLACED = ("landed_at", "landed_offset", "at", "repositories", "push")


@dataclass
class Stored:
    """What became of proposals."""

    new: int = 0
    edited: int = 0
    landed: int = 0  # changes known before that landed somewhere else too, or differently
    same: int = 0
    landings: int = 0  # landings that were not known before, of all these changes

    def add(self, other: "Stored") -> None:
        """Take another count in."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


def store(
    proposals: Iterable[Proposal],
    *,
    source: Source,
    at: datetime,
    publishes: bool | None = None,
    by=None,
    refused: Callable[[Proposal, Unusable], None] | None = None,
) -> Stored:
    """Write proposals of one source, in batches of 500, each batch in one transaction; returns what became of them.

    `publishes`: whether what is new is public at once; by default as the source's rule says. `at` is the moment that
    decides. Proposals may come from a generator of any length. One without words is Unusable: it is handed to
    `refused` and the others are written, or raised where nobody takes it. Told again, nothing at all is written.
    """
    stored, told = Stored(), iter(proposals)
    publishes = source.publishes if publishes is None else publishes
    while batch := list(islice(told, AT_ONCE)):
        stored.add(_write(batch, source, at, publishes, by, refused))
    if stored.new >= MANY:
        _tidy()
    return stored


def _write(batch: list[Proposal], source, at, publishes, by, refused) -> Stored:
    """Write one batch; where somebody else told the same change at the same moment, it is known the next time."""
    for left in reversed(range(TRIES)):
        try:
            return _Batch(source, at, publishes, by, refused if left == TRIES - 1 else refused and _twice).write(batch)
        except IntegrityError:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def _twice(proposal: Proposal, problem: Unusable) -> None:
    """Say nothing: it was said at the first try."""


def _tidy() -> None:
    """Let PostgreSQL put many new words where it finds them: until then each search reads all of them one by one.

    See https://www.postgresql.org/docs/15/gin-implementation.html#GIN-FAST-UPDATE.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT gin_clean_pending_list('change_lookup')")


class _Batch:
    def __init__(self, source: Source, at: datetime, publishes: bool, by, refused):
        self.source, self.at, self.publishes, self.by, self.refused = source, at, publishes, by, refused
        self.tally = index.Tally()
        self.stored = Stored()

    @transaction.atomic
    def write(self, batch: list[Proposal]) -> Stored:
        told: dict[str, Proposal] = {}
        for proposal in batch:
            earlier = told.get(proposal.identity)
            told[proposal.identity] = earlier.joined(proposal) if earlier else proposal
        self._read(told)
        told = {identity: told[identity] for identity in self.facts}
        # Locked in the order of their numbers, as everybody does: `index.reindexing` too.
        rows = Change.objects.filter(identity__in=list(told)).select_for_update(of=("self",)).order_by("pk")
        known = {change.identity: change for change in rows}
        named = {bug for one in self.facts.values() for bug in one["bugs"]}
        private = not_public(named | {bug for change in known.values() for bug in change.bugs})
        self._insert([one for identity, one in told.items() if identity not in known], private)
        if known:
            self._correct([told[identity] for identity in known], known, private)
        self.tally.apply()
        return self.stored

    def _read(self, told: dict[str, Proposal]) -> None:
        """Read what proposals say; raise Unusable, or hand it to whoever takes what cannot be used."""
        slugs = {proposal.system for proposal in told.values() if proposal.system}
        systems = dict(System.objects.filter(slug__in=slugs).values_list("slug", "pk")) if slugs else {}
        self.facts: dict[str, dict] = {}
        self.takes_back: dict[str, tuple[str, ...]] = {}
        for identity, proposal in told.items():
            try:
                facts, takes_back = facts_and_backouts(proposal, self.source, systems)
            except Unusable as problem:
                if self.refused is None:
                    raise
                self.refused(proposal, problem)
                continue
            self.facts[identity], self.takes_back[identity] = facts, takes_back

    # --- what is new ------------------------------------------------------------------------------------------------

    def _insert(self, told: list[Proposal], private: frozenset[int]) -> None:
        if not told:
            return
        changes, landings, numbered = [], [], bulk.numbered(told)

        def making():
            for number, proposal in numbered:
                change, there = self._made(proposal, private, number)
                changes.append(change)
                landings.append(there)
                yield change

        bulk.insert(making())
        bulk.insert_what_belongs(changes, landings)
        takes_back = ((change.pk, self.takes_back[change.identity]) for change in changes)
        backouts.tie([(pk, revisions) for pk, revisions in takes_back if revisions])
        backouts.tie_waiting(changes)
        self.stored.new += len(changes)
        self.stored.landings += sum(map(len, landings))

    def _made(self, proposal: Proposal, private: frozenset[int], number: int | None) -> tuple[Change, list[dict]]:
        """Return a new change, and its landings; no query, for it runs while the rows before it are written."""
        change = bulk.made(
            id=number,
            identity=proposal.identity,
            source_id=self.source.pk,
            state=State.PUBLISHED if self.publishes else State.PROPOSED,
            proposed_at=self.at,
            proposed_by_id=self.by and self.by.pk,
            changed_at=self.at,
            published_at=self.at if self.publishes else None,
            published_by_id=self.by and self.by.pk if self.publishes else None,
            **self.facts[proposal.identity],
        )
        landings = landings_of(proposal)
        place(change, landings, self.at, self.at)
        index.derive(change, private)
        self.tally.after(change)
        return change, landings

    # --- what is told again -----------------------------------------------------------------------------------------

    def _correct(self, told: list[Proposal], known: dict[str, Change], private: frozenset[int]) -> None:
        landings: dict[int, dict[str, Landing]] = {}
        for landing in Landing.objects.filter(change__in=known.values()):
            landings.setdefault(landing.change_id, {})[landing.repository] = landing
        for proposal in told:
            change, there = known[proposal.identity], landings.setdefault(known[proposal.identity].pk, {})
            before = {name: getattr(change, name) for name in TOLD}
            counted = Change(is_public=change.is_public, at=change.at, terms=change.terms)
            corrected = self._take_over(change, self.facts[proposal.identity])
            landed = self._land(change, proposal, there)
            if not corrected and not landed:
                self.stored.same += 1
                continue
            gathered = change.repositories if landed and change.parts.exists() else []
            place(change, map(_told, there.values()), change.at, self.at)
            if gathered:  # it is found by where its parts landed, too
                change.repositories = list(dict.fromkeys([*change.repositories, *gathered]))
            self.tally.before(counted)
            self._save(change, before, corrected, private)
            self.tally.after(change)
            self.stored.edited += bool(corrected)
            self.stored.landed += landed

    def _take_over(self, change: Change, facts: dict) -> list[str]:
        """Set what the source tells differently now, and return the names of it."""
        if change.source_id != self.source.pk and change.source_id is not None:
            return []  # another tree tells of the same change: its landing counts, its words are there already
        corrected = [
            name
            for name in TOLD
            if name not in change.by_hand and getattr(change, name) != facts[name] and facts[name] not in ("", None, [])
        ]
        for name in corrected:
            setattr(change, name, facts[name])
        return corrected

    def _land(self, change: Change, proposal: Proposal, there: dict[str, Landing]) -> bool:
        """Add landings that are new, and correct those that are told differently; answer whether there were any."""
        did = False
        for told in landings_of(proposal):
            known = there.get(told["repository"])
            if known is None:
                there[told["repository"]] = Landing.objects.create(change=change, **told)
                self.stored.landings += 1
                did = True
                continue
            # A whole revision is more than its first twelve digits, and never the other way round.
            if told["revision"] and known.revision.startswith(told["revision"]):
                told["revision"] = known.revision
            differs = [name for name, value in told.items() if getattr(known, name) != value and value != ""]
            if differs:
                for name in differs:
                    setattr(known, name, told[name])
                known.save(update_fields=differs)
                did = True
        return did

    def _save(self, change: Change, before: dict, corrected: list[str], private: frozenset[int]) -> None:
        was_public, hidden = change.is_public, list(change.hidden_bugs)
        index.derive(change, private)
        # What stood there beside the name of a bug that is not public is not shown as former words either.
        was_public = was_public and not hidden and not change.hidden_bugs
        change.changed_at = self.at
        change.revision += 1
        change.save(update_fields=[*TOLD_COLUMNS, *index.DERIVED, *_PLACED, "changed_at", "revision"])
        shown = [name for name in corrected if name in SHOWN]
        if shown:
            Revision.objects.create(
                change=change, at=self.at, by=self.by, is_public=was_public,
                before={name: plain(before[name]) for name in shown},
                after={name: plain(getattr(change, name)) for name in shown},
            )  # fmt: skip
        if "bugs" in corrected:
            BugOfChange.objects.filter(change=change).exclude(bug_id__in=change.bugs).delete()
            named = [BugOfChange(change=change, bug_id=bug) for bug in change.bugs]
            BugOfChange.objects.bulk_create(named, ignore_conflicts=True)
        if "message" in corrected or "summary" in corrected:
            backouts.tie_again(change.pk, self.takes_back[change.identity])


def _told(landing: Landing) -> dict:
    return {name: getattr(landing, name) for name in ("repository", "at", "offset", "push_id")}


def plain(value):
    """Return a field's value as a revision keeps it: moments as text."""
    return value.isoformat() if isinstance(value, datetime) else value
