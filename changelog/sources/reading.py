"""What every reader is asked and what it tells: values alone, no network and no database. Readers stand beside it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from time import monotonic

from changelog.proposals import LandedAt, Proposal
from changelog.rules import EARLIEST_YEAR
from changelog.sources.filters import Filters
from ciduty.bugzilla.cleaning import clean_line

#: The newest so many are told when a source is read for the first time: the proposals of a day, not of its whole life.
FIRST = 100
#: One run tells so many at most; the cursor remembers where to go on.
MOST_AT_ONCE = 1_000
#: Of one revision so many names of files are looked at; its count is told whole.
MOST_NAMES = 20_000
#: What landed is not from the future: a date further ahead than a wrong clock or zone explains is the moment we read.
FURTHEST_AHEAD = timedelta(hours=26)
#: So many seconds are left when a further page is asked for; else the next run goes on there.
ROOM_FOR_A_PAGE = 5
_REVISION = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_ADDRESS_BEHIND = re.compile(r"\s*<[^<>]*>?\s*$")


class Failure(Exception):
    """A source could not be read. `str()` is one sentence of our own words, without a word of its answer."""


class Limited(Failure):
    """The host limits our rate: none of its sources is asked before `wait` is over."""

    def __init__(self, sentence: str, wait: timedelta):
        super().__init__(sentence)
        self.wait = wait


class NotThere(Failure):
    """What was asked for does not exist there, or is not shown to us."""


class TooLarge(Failure):
    """An answer is larger than what we take: a smaller question may help."""


class Deadline:
    """The time that one source has for one run."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._ends = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left. Raises Failure when there are none."""
        left = self._ends - monotonic()
        if left <= 0:
            raise Failure(f"It was not read to its end within {self.seconds:g} s.")
        return left

    def allows_a_page(self) -> bool:
        """Answer whether there is time for one more page."""
        return self._ends - monotonic() > min(ROOM_FOR_A_PAGE, self.seconds / 4)


@dataclass(frozen=True)
class Asked:
    """What a reader is asked: which source, from where on, what to keep, and until when. No row of the database."""

    name: str
    kind: str
    address: str
    at: datetime  # the moment of the run
    deadline: Deadline
    branch: str = ""
    filters: Filters = Filters()
    cursor: dict = field(default_factory=dict)  # {} is the first run
    known: frozenset[str] = frozenset()  # revisions seen before, the newest ones
    first: int = FIRST
    folder: Path | None = None  # where git keeps what it fetched


@dataclass(frozen=True)
class Piece:
    """One revision, as it is told; `is_whole` is False where not all of its files are known."""

    revision: str
    at: datetime
    proposal: Proposal
    is_whole: bool = True


@dataclass(frozen=True)
class Told:
    """What a source told: its revisions, the oldest first, and how far it has been read with them.

    `goes_on`: there is more, and the next run need not wait. `note`: what a person should know, in a sentence of ours.
    `limited`: it answered, and wants not to be asked again before this time is over.
    """

    pieces: tuple[Piece, ...] = ()
    cursor: dict = field(default_factory=dict)
    goes_on: bool = False
    note: str = ""
    limited: Limited | None = None


# --- values -----------------------------------------------------------------------------------------------------------


@contextmanager
def making_sense(what: str) -> Iterator[None]:
    """Turn an answer of another shape than promised into a Failure that names `what` was asked for."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as problem:
        raise Failure(f"Its answer about {what} makes no sense ({type(problem).__name__}).") from None


def text(value) -> str:
    """Return a text as it was sent. Raises ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


def whole_number(value) -> int:
    """Return a whole number from 0 up. Raises ValueError for anything else; True is no number."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("no whole number")
    return value


def rows(value) -> list[dict]:
    """Return a list of objects. Raises ValueError for anything else."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError("no list of objects")
    return value


def revision(value) -> str:
    """Return a whole revision of git or Mercurial in lower case. Raises ValueError for anything else."""
    name = text(value).lower()
    if not _REVISION.fullmatch(name):
        raise ValueError("no revision")
    return name


def moment(value) -> datetime:
    """Return a moment of ISO 8601 with the offset that it was written with. Raises ValueError without one."""
    at = datetime.fromisoformat(text(value))
    if at.tzinfo is None:
        raise ValueError("no zone")
    return at


def moment_of_epoch(seconds: float, minutes_east: int = 0) -> datetime:
    """Return the moment so many seconds after 1970, in a zone so many minutes east of UTC.

    Raises ValueError or OverflowError for what no calendar holds.
    """
    zone = timezone(timedelta(minutes=minutes_east)) if -1440 < minutes_east < 1440 else UTC
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(zone)


def sane(at: datetime | None, read_at: datetime) -> datetime | None:
    """Return a moment, or None for one that only a broken clock tells: before 1990, or ahead of our reading it."""
    if at is None or not EARLIEST_YEAR <= at.year < 9999 or at > read_at + FURTHEST_AHEAD:
        return None
    return at


def name_of(author: str) -> str:
    """Return an author's name without the address behind it; of a bare address what stands before the @."""
    author = clean_line(author, 400)
    name = _ADDRESS_BEHIND.sub("", author).strip().strip('"') or author.strip("<> ")
    return name.partition("@")[0].strip() if re.fullmatch(r"\S+@\S+", name) else name


# --- what readers have in common --------------------------------------------------------------------------------------


def piece(asked: Asked, proposal: Proposal, landing: LandedAt, *, is_whole: bool = True) -> Piece:
    """Return one revision of a source. A date that only a broken clock tells becomes the moment at which we read it."""
    at = sane(landing.at, asked.at) or asked.at
    proposal = replace(
        proposal,
        summary=proposal.summary or ("" if proposal.message.strip() else f"{landing.revision[:12]}, without a message"),
        authored_at=sane(proposal.authored_at, asked.at),
        effective_at=sane(proposal.effective_at, asked.at),
        landings=(replace(landing, at=at),),
    )
    return Piece(landing.revision, at, proposal, is_whole)
