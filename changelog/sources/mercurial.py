"""Reads the pushes of a Mercurial repository over `json-pushes`, from where the cursor stands; the border to hgweb.

The cursor holds the last push that was told ("push") and its newest changeset ("tip"): each run looks at that push
once more, so that a repository that was reset is noticed. Push ids order everything; no clock does.
https://mozilla-version-control-tools.readthedocs.io/en/latest/hgmo/pushlog.html
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from changelog.proposals import LandedAt, Proposal, of_changeset
from changelog.sources import http
from changelog.sources.reading import (
    MOST_AT_ONCE,
    MOST_NAMES,
    Asked,
    Failure,
    Limited,
    NotThere,
    Piece,
    Told,
    TooLarge,
    making_sense,
    moment_of_epoch,
    name_of,
    piece,
    revision,
    rows,
    text,
    whole_number,
)

AT_ONCE = 100  # pushes: hg.mozilla.org answers no more than a few hundred in one go
MOST_BATCHES = 10
USUAL_WAIT, MOST_WAIT = timedelta(minutes=5), timedelta(hours=1)
RESET = "Its repository was reset: the newest pushes were read again, and what had landed before stays on record."
SKIPPED = "Push {} is too large to be read: look at it there, and say by hand what it changed."


@dataclass(frozen=True)
class Changeset:
    """One changeset of a push, as it is told."""

    node: str
    author: str
    words: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Push:
    """One push: its changesets, the oldest first, and the server's moment of it, in UTC."""

    id: int
    user: str
    at: datetime
    changesets: tuple[Changeset, ...]

    @property
    def tip(self) -> str:
        """The newest changeset of it."""
        return self.changesets[-1].node if self.changesets else ""


@dataclass(frozen=True)
class Pushes:
    """Some pushes in their order, and the number of the last one that the repository has."""

    last: int
    pushes: tuple[Push, ...]


def read(asked: Asked) -> Told:
    """Return the changesets of the pushes that came since the last run, the oldest first. Raises Failure."""
    with http.Session(asked.deadline) as session:
        return _Run(asked, session).told()


@dataclass
class _Run:
    asked: Asked
    session: http.Session
    pushes: list[Push] = field(default_factory=list)
    note: str = ""

    def told(self) -> Told:
        at, last, tip = self._begin()
        if at == last:  # nothing new: one question was enough
            return Told(cursor={"push": at, "tip": tip}, note=self.note)
        batch = AT_ONCE
        for _ in range(MOST_BATCHES):
            try:
                found = self._ask(at, at + batch)
            except TooLarge:
                if batch > 1:
                    batch = max(1, batch // 10)
                    continue
                self.note = SKIPPED.format(at + 1)
                found, batch = Pushes(last, ()), 1
            last = found.last
            self.pushes += found.pushes
            at = min(at + batch, max(last, at))
            if at >= last or self._is_full():
                break
        return self._result(at, goes_on=at < last)

    def _begin(self) -> tuple[int, int, str]:
        """Return the push after which to read on, the last one there is, and the tip of the first, if it was asked for.

        Notices a repository that was reset: the push of the cursor is another one there, or none.
        """
        push = self.asked.cursor.get("push")
        if push is None:
            last = self._read({})["last"]
            return max(0, last - self.asked.first), last, ""
        last, tip = self._tip_of(push)
        if last >= push and tip == self.asked.cursor["tip"]:
            return push, last, tip
        self.note = RESET
        return max(0, min(push, last) - self.asked.first), last, ""

    def _is_full(self) -> bool:
        told = sum(len(push.changesets) for push in self.pushes)
        return told >= MOST_AT_ONCE or not self.asked.deadline.allows_a_page()

    def _result(self, at: int, goes_on: bool) -> Told:
        newest = self.pushes[-1] if self.pushes else None
        tip = newest.tip if newest and newest.id == at else self._tip_of(at)[1]
        pieces = tuple(_piece(self.asked, push, changeset) for push in self.pushes for changeset in push.changesets)
        return Told(pieces, {"push": at, "tip": tip}, goes_on=goes_on, note=self.note)

    # --- the questions ----------------------------------------------------------------------------------------------

    def _tip_of(self, push: int) -> tuple[int, str]:
        """Return the number of the last push, and the newest changeset of this one ("" where it is not told)."""
        value = self._read({"startID": max(0, push - 1), "endID": push})
        with making_sense("a push"):
            told = value["pushes"].get(str(push), {"changesets": []})["changesets"]
            return value["last"], revision(told[-1]) if told else ""

    def _ask(self, after: int, until: int) -> Pushes:
        """Return the pushes after one number up to another, that one included."""
        value = self._read({"full": 1, "startID": after, "endID": until})
        with making_sense("its pushes"):
            found = {whole_number(int(text(number))): raw for number, raw in value["pushes"].items()}
            pushes = tuple(push_of(number, found[number]) for number in sorted(found) if after < number <= until)
        return Pushes(value["last"], pushes)

    def _read(self, asked: dict) -> dict:
        """Return an answer with its pushes as they came. Without a range the server tells the last few of them."""
        answer = self.session.get(f"{self.asked.address}/json-pushes", {"version": 2} | asked)
        if answer.status != 200:
            raise _refusal(answer)
        with making_sense("its pushes"):
            value = answer.json("its pushes")
            return {"last": whole_number(value["lastpushid"] or 0), "pushes": dict(value["pushes"])}


def _refusal(answer: http.Answer) -> Failure:
    wait = answer.retry_after()
    if answer.status == 429 or (answer.status == 503 and wait is not None):
        wait = min(max(wait or USUAL_WAIT, timedelta(minutes=1)), MOST_WAIT)
        return Limited(f"Its host limits our rate (HTTP {answer.status}).", wait)
    if answer.status == 404:
        return NotThere(
            "There is no json-pushes at its address (HTTP 404): is it a Mercurial repository with a pushlog?"
        )
    return Failure(f"Its host answered HTTP {answer.status}.")


# --- values -----------------------------------------------------------------------------------------------------------


def push_of(number: int, raw: dict) -> Push:
    """Return a push. Raises what `making_sense` turns into a Failure."""
    seconds = raw["date"]
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise ValueError("no date")
    return Push(
        id=number,
        user=text(raw.get("user") or ""),
        at=moment_of_epoch(seconds).astimezone(UTC),
        changesets=tuple(map(changeset_of, rows(raw["changesets"]))),
    )


def changeset_of(raw: dict) -> Changeset:
    """Return a changeset. Raises what `making_sense` turns into a Failure."""
    return Changeset(
        node=revision(raw["node"]),
        author=text(raw.get("author") or ""),
        words=text(raw.get("desc") or ""),
        files=tuple(text(name) for name in raw.get("files") or ()),
    )


def _piece(asked: Asked, push: Push, changeset: Changeset) -> Piece:
    # The address that earlier logs of these repositories hold, so that one change keeps one.
    url = f"{asked.address}/pushloghtml?changeset={changeset.node[:12]}"
    landing = LandedAt(asked.name, push.at, pusher=push.user, push_id=str(push.id), revision=changeset.node, url=url)
    proposal = Proposal(
        of_changeset(changeset.node),
        message=changeset.words,
        author=name_of(changeset.author),
        files=changeset.files[:MOST_NAMES],
        files_count=len(changeset.files),
    )
    return piece(asked, proposal, landing)
