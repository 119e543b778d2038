"""One try of one change of trees: reads how they stand, writes what is still wanted, looks what became of it.

The service has no conditions and gives no number for a write: somebody else's closure is overwritten without a word
(safety.md F55). So `/trees` is read before each write, a tree that moved since it was seen is left alone, and the logs
afterwards tell whether somebody came between. `uncertain_since` is committed before each write: whatever ends the
sender then, the next one reads first, and writes only what is not done. Who else changed a tree is named nowhere: only
CiDuty may know.
"""

import time
from datetime import timedelta

import structlog

from ciduty import clock
from ciduty.leases import LeaseLost
from ciduty.outbox import rules, tree_wants
from ciduty.outbox.models import TreeChange
from ciduty.outbox.outcome import Outcome
from ciduty.outbox.rules import State
from ciduty.outbox.tree_wants import ALREADY, DONE, GONE, NOT_OURS, Want, in_words
from ciduty.trees.adapters.http import NotReached, Unavailable
from ciduty.trees.adapters.reading import LANDO, LogTold, Reader, Told, TreeTold
from ciduty.trees.adapters.writing import NoRight, Refused, Writer
from ciduty.trees.rules import Status

log = structlog.get_logger(__name__)

#: A request that was cut off may still arrive: gunicorn ends its own after half a minute.
SETTLES_AFTER = timedelta(minutes=1)
LOOKS_AGAIN = timedelta(seconds=15)
#: What the service took it shows at once; what it does not show by then, somebody has to look at.
SHOWS_WITHIN = timedelta(minutes=10)

READ_ONLY = (
    "Lando's tree status takes no changes over its API: change the trees in Lando, then say here that it was done by "
    "hand. TREESTATUS_WRITES=none tells ciduty so."
)
NO_RIGHT = "the service does not take TREESTATUS_TOKEN, or it may not change trees: set one that may, then try again"
WHAT_NOW = "look at the trees, then do by hand what is still wanted, or cancel this."
NOT_SHOWN = "The service took it and does not show it yet."


class Change:
    """One row in hand, for one try."""

    def __init__(self, row: TreeChange, holding, address: str, token: str):
        self.row, self.holding, self.address, self.token = row, holding, address, token
        self.wants = {want.name: want for want in tree_wants.wanted(row.wants)}
        self.gives_back = tree_wants.gives_back(row.wants)
        #: What the service took at a try before, and did not show.
        self.taken = {name for name, one in row.found.items() if one["did"] == DONE and one["log_id"] is None}
        self.found: dict[str, dict] = {}
        self.to_write: list[Want] = []
        self.to_look_at: list[Want] = []
        self.written: set[str] = set()
        self.refusal: Refused | None = None
        self.who: str | None = None  # we, in its logs
        self.base = ""

    @property
    def waited(self) -> timedelta:
        """Return for how long nobody had known what became of the last write when this try began.

        At that moment its purpose was asked whether it may still go: only then it is written again.
        """
        since = self.row.uncertain_since
        return max(self.row.last_tried_at - since, timedelta()) if since else timedelta()

    def run(self) -> Outcome:
        """Bring the row as far as it goes now. Raises Unavailable, and LeaseLost when the row was taken over."""
        told = self._read()
        self.base = told.base
        if told.generation == LANDO:
            return Outcome("park", READ_ONLY)
        self.writer = Writer(self.address, told.base, self.token)
        for want in self.wants.values():
            self._judge(want, told.trees.get(want.name))
        if self.to_write and (self.row.uncertain_since is None or self.waited >= SETTLES_AFTER):
            self._write()
            told = self._read()
        for want in self.to_look_at:
            self._look_at(want, told.trees.get(want.name))
        self._forget_undoing(told)
        return self._outcome()

    # --- before a write ---------------------------------------------------------------------------------------------

    def _judge(self, want: Want, now: TreeTold | None) -> None:
        """Decide what is to be done about a tree: write it, look what became of it, or nothing."""
        seen = self.row.seen[want.name]
        if now is None:
            self._find(want, GONE, None, "The service knows no tree of this name.")
            return
        as_seen, as_wanted = _is_as_seen(want, now, seen), _is_as_wanted(want, now)
        if want.name in self.taken or (self.row.uncertain_since and (as_wanted or not as_seen)):
            self.to_look_at.append(want)
        elif as_wanted:
            self._find(want, ALREADY, now.log_id, "It was so already.")
        elif as_seen:
            self.to_write.append(want)
        else:
            self._find(want, NOT_OURS, now.log_id, _stands(want, now))

    # --- the write --------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Write trees of equal wants in one request each, until one is refused: a refusal has changed nothing."""
        groups: dict[str, list[Want]] = {}
        for want in self.to_write:
            groups.setdefault(repr(want.change), []).append(want)
        for group in groups.values():
            try:
                self._patch([want.name for want in group], group[0].change)
            except Refused as refusal:
                self.refusal = refusal
                return
            self.written.update(want.name for want in group)
            self.to_look_at += group
            self.to_write = [want for want in self.to_write if want.name not in self.written]

    def _patch(self, names: list[str], change: dict) -> None:
        before = self.row.uncertain_since if self.written or self.to_look_at else None
        self._set_uncertain(clock.now())
        try:
            self.writer.patch(names, **change)
        except (Refused, NotReached):
            self._set_uncertain(before)
            raise

    def _set_uncertain(self, since) -> None:
        """Commit whether a write is out. Raises LeaseLost, before anything is sent, when the row was taken over."""
        mine = TreeChange.objects.filter(pk=self.row.pk, fence=self.row.fence, state=State.SENDING)
        if not mine.update(uncertain_since=since, lease_until=clock.now() + rules.LEASE):
            raise LeaseLost(f"{self.row} was taken over.")
        self.row.uncertain_since, self.holding.renewed = since, time.monotonic()

    # --- after a write ----------------------------------------------------------------------------------------------

    def _look_at(self, want: Want, now: TreeTold | None) -> None:
        """Find out what became of a tree that was written, now or perhaps by a try before."""
        if now is None:
            self._find(want, GONE, None, "It vanished from the service.")
        elif want.is_motd:
            self._look_at_motd(want, now)
        else:
            self._look_into_log(want, now)

    def _look_at_motd(self, want: Want, now: TreeTold) -> None:
        if now.motd == want.motd:
            self._find(want, DONE, None)
        elif self._is_shown_late(want, now):
            self._find(want, DONE, None, NOT_SHOWN)
        else:
            self._find(want, NOT_OURS, None, _stands(want, now))

    def _look_into_log(self, want: Want, now: TreeTold) -> None:
        entries = self._entries_since_seen(want, now)
        own = next((one for one in reversed(entries) if self._is_own(want, one)), None)
        if own is not None:
            self._follow(want, own, entries)
        elif self._is_shown_late(want, now):
            self._find(want, DONE, None, NOT_SHOWN)
        elif _is_as_wanted(want, now):
            did = DONE if want.name in self.written | self.taken else ALREADY
            self._find(want, did, now.log_id, "Its log does not show who did it.")
        else:
            self._find(want, NOT_OURS, now.log_id, _stands(want, now))

    def _is_shown_late(self, want: Want, now: TreeTold) -> bool:
        """Answer whether the service took it and still tells what stood there before."""
        return want.name in self.written | self.taken and _is_as_seen(want, now, self.row.seen[want.name])

    def _entries_since_seen(self, want: Want, now: TreeTold) -> list[LogTold]:
        seen = self.row.seen[want.name].get("log_id")
        try:
            entries = self._reader().logs(want.name)
        except Unavailable:
            if self.waited < SHOWS_WITHIN or not _is_as_wanted(want, now):
                raise
            return []  # the tree itself says that it is done; who else was there stays unknown
        return [one for one in entries if seen is None or one.id > seen]

    def _is_own(self, want: Want, entry: LogTold) -> bool:
        if self.who is None:
            self.holding.renew()
            self.who = self.writer.who()
        return (entry.status, entry.reason) == (want.status, want.reason) and entry.by in (self.who or entry.by,)

    def _follow(self, want: Want, own: LogTold, entries: list[LogTold]) -> None:
        """Write down what is ours, and who came before or after it; a closure that came between is put back."""
        between = [one for one in entries if one.id < own.id and one.by != own.by]
        theirs, last = (between[-1] if between else None), entries[-1]
        loses = theirs is not None and (theirs.status, theirs.reason) != (own.status, own.reason)
        if loses and self.gives_back and (theirs.status == Status.CLOSED or theirs.status != own.status):
            self._put_back(want, theirs, last if last.id != own.id else None)
        elif last.id != own.id:
            self._find(want, DONE, own.id, f"Since then somebody made it {_said(last)}.")
        elif loses:
            below = {"status": theirs.status, "reason": theirs.reason, "tags": list(theirs.tags), "log_id": theirs.id}
            why = f"Just before, somebody made it {_said(theirs)}: ours stands on it."
            self._find(want, DONE, own.id, why, below=below)
        else:
            self._find(want, DONE, own.id)

    def _put_back(self, want: Want, theirs: LogTold, later: LogTold | None) -> None:
        """Give a tree back what somebody made of it in the moment before our write, unless it moved on since."""
        came_between = f"Just before our change somebody made it {_said(theirs)}"
        if later is not None:
            self._find(want, NOT_OURS, later.id, f"{came_between}; since then it was made {_said(later)}.")
            return
        change = {"status": theirs.status, "reason": theirs.reason, "tags": list(theirs.tags)}
        try:
            self._patch([want.name], change)
        except Refused as refusal:
            self._find(want, NOT_OURS, None, f"{came_between}; it could not be put back ({refusal}): do so by hand.")
            return
        self._find(want, NOT_OURS, None, f"{came_between}: it was put back.")

    def _forget_undoing(self, told: Told) -> None:
        """Take our own closure from what sheriffs can undo, once none of its trees stands on it. As well as it goes."""
        ours = {self.row.seen[name].get("log_id") for name, one in self.found.items() if one["did"] == DONE} - {None}
        if not ours or "each" not in self.row.wants:
            return
        stands = {name: tree.log_id for name, tree in told.trees.items()}
        try:
            self.holding.renew()
            for entry in self.writer.stack():
                is_over = all(stands.get(name) != log_id for name, log_id in entry.log_ids.items())
                if is_over and ours.intersection(entry.log_ids.values()):
                    self.holding.renew()
                    self.writer.discard(entry.id)
        except (Unavailable, Refused) as problem:
            log.warning("What was reopened can still be undone in the service.", row=str(self.row), why=str(problem))

    # --- how it ends ------------------------------------------------------------------------------------------------

    def _outcome(self) -> Outcome:
        by_what = {did: self._names(did) for did in (DONE, ALREADY, NOT_OURS, GONE)}
        kept = {"found": self.found}
        if self.refusal is not None:
            return self._refused(by_what[DONE])
        if self.to_write:  # a write before may still arrive
            words = "Nobody knows yet whether the last write arrived: it is looked at again, then written again."
            return Outcome("lose sight of", words, after=LOOKS_AGAIN, changes=kept)
        if any(one["why"] == NOT_SHOWN for one in self.found.values()):
            if self.waited >= SHOWS_WITHIN:
                return Outcome("park", f"The service took it and does not show it: {WHAT_NOW}", changes=kept)
            return Outcome("lose sight of", NOT_SHOWN, after=LOOKS_AGAIN, changes=kept)
        words = self._words(by_what)
        kept["uncertain_since"] = None
        if not by_what[DONE] and not by_what[ALREADY]:
            return Outcome("park", f"Nothing was written: {words} Now {WHAT_NOW}", changes=kept)
        return Outcome("accept", words, changes=kept)

    def _refused(self, done: list[str]) -> Outcome:
        reason = NO_RIGHT if isinstance(self.refusal, NoRight) else f"the service refused it ({self.refusal})"
        before = f"Only {', '.join(done)} was written" if done else "Nothing was written"
        changes = {"found": self.found, "uncertain_since": None}
        return Outcome("park", f"{before}: {reason}; or {WHAT_NOW}", self.refusal.status, changes=changes)

    def _words(self, by_what: dict[str, list[str]]) -> str:
        said = []
        if by_what[DONE]:
            said.append(f"The service shows it: {', '.join(by_what[DONE])}.")
        if by_what[ALREADY]:
            said.append(f"So already: {', '.join(by_what[ALREADY])}.")
        for name in by_what[NOT_OURS] + by_what[GONE]:
            said.append(f"Left alone: {name}. {self.found[name]['why']}")
        return " ".join(said)

    def _names(self, did: str) -> list[str]:
        return [name for name in self.wants if self.found.get(name, {}).get("did") == did]

    def _find(self, want: Want, did: str, log_id: int | None, why: str = "", **more) -> None:
        self.found[want.name] = {"did": did, "log_id": log_id, "why": why} | more

    def _read(self) -> Told:
        return self._reader().trees()

    def _reader(self) -> Reader:
        """Return somebody who asks, with the lease prolonged: no call outlasts it."""
        self.holding.renew()
        return Reader(self.address, self.base)


def _is_as_wanted(want: Want, now: TreeTold) -> bool:
    """Answer whether nothing is left to be done. An open tree is open, whatever words stand beside it."""
    if want.is_motd:
        return now.motd == want.motd
    return now.status == want.status and (now.reason == want.reason or not want.closes)


def _is_as_seen(want: Want, now: TreeTold, seen: dict) -> bool:
    """Answer whether nobody moved the tree since it was seen: by its log, and by its words, which may change alone."""
    if want.is_motd:
        return "motd" not in seen or now.motd == seen["motd"]
    same_words = all(seen.get(name) in (None, getattr(now, name)) for name in ("status", "reason"))
    return now.log_id == seen.get("log_id") and same_words


def _stands(want: Want, now: TreeTold) -> str:
    """Return what stands there now, in one sentence."""
    if want.is_motd:
        return f"Somebody else wrote its message of the day: “{now.motd}”."
    return f"Somebody changed it since it was seen; it reads {in_words(now.status, now.reason, now.tags)}."


def _said(entry: LogTold) -> str:
    return in_words(entry.status, entry.reason, entry.tags)
