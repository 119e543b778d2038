"""A look at a source before it is saved: its last changes, and which of them the filters keep. Writes no row."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from changelog.models import Source
from changelog.sources import readers
from changelog.sources.filters import Filters
from changelog.sources.reading import Failure
from ciduty.bugzilla.cleaning import clean_line

SHOWN = 10
#: A person waits for it.
WITHIN = 15  # seconds


@dataclass(frozen=True)
class Seen:
    """One change of a trial: `dropped` is why the filters keep it out, or ""."""

    at: datetime
    author: str
    words: str
    dropped: str


@dataclass(frozen=True)
class Trial:
    """What a trial told: the newest changes first, or the sentence that says why there are none."""

    seen: list[Seen]
    problem: str = ""

    @property
    def kept(self) -> int:
        """Return how many would be proposed."""
        return sum(not one.dropped for one in self.seen)


def look(source: Source, at: datetime) -> Trial:
    """Read the last ten changes of a source that need not be saved."""
    with TemporaryDirectory(prefix="ciduty-trial-") as folder:
        asked = readers.asked_of(
            source, at=at, seconds=WITHIN, cursor={}, first=SHOWN, folder=Path(folder) / "trial.git"
        )
        try:
            told = readers.read(asked)
        except Failure as problem:
            return Trial([], str(problem))
    filters = Filters.of(source.filters)
    newest = sorted(told.pieces, key=lambda one: one.at, reverse=True)[:SHOWN]
    return Trial([_seen(filters, one) for one in newest])


def _seen(filters: Filters, one) -> Seen:
    proposal = one.proposal
    words = proposal.summary or proposal.message.strip().partition("\n")[0]
    dropped = filters.why_dropped(proposal.message, proposal.files, one.is_whole)
    return Seen(one.at, clean_line(proposal.author, 80), clean_line(words, 160), dropped)
