"""For how long each category closed trees, drawn as bars. Pure. The table beside says the same in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

# In the SVG's own units; the page scales them.
WIDTH, LABEL, ROW, BAR = 520, 190, 26, 14
_ROOM_FOR_WORDS = 84
NARROWEST = 2.0


@dataclass(frozen=True)
class Bar:
    """One category: how long its bar is, and where it and its words stand."""

    label: str
    length: timedelta
    times: int
    y: int
    width: float

    x = LABEL

    @property
    def top(self) -> int:
        """Return where the bar begins from above."""
        return self.y + (ROW - BAR) // 2

    @property
    def middle(self) -> int:
        """Return the height of its words' middle."""
        return self.y + ROW // 2

    @property
    def words_x(self) -> float:
        """Return where the words behind it begin."""
        return round(self.x + self.width + 6, 1)


@dataclass(frozen=True)
class Drawing:
    """All bars, the longest first."""

    bars: list[Bar]

    width = WIDTH
    thickness = BAR
    labels_end = LABEL - 8

    @property
    def height(self) -> int:
        """Return how high the drawing is."""
        return ROW * max(len(self.bars), 1)

    @property
    def in_all(self) -> timedelta:
        """Return how long trees were closed in all: two trees for an hour are two hours."""
        return sum((bar.length for bar in self.bars), timedelta())

    @property
    def times(self) -> int:
        """Return how often trees were closed in all."""
        return sum(bar.times for bar in self.bars)


def drawing(rows: Sequence[tuple[str, timedelta, int]]) -> Drawing:
    """Return the bars of categories: their labels, for how long, and how often."""
    longest = max((length for _, length, _ in rows), default=timedelta()) or timedelta(seconds=1)
    room = WIDTH - LABEL - _ROOM_FOR_WORDS
    return Drawing(
        [
            Bar(label, length, times, ROW * place, round(max(room * (length / longest), NARROWEST), 1))
            for place, (label, length, times) in enumerate(rows)
        ]
    )
