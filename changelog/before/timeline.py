"""The answer's time drawn for an SVG: changes as marks, suspects by their number, downtimes as bars. Pure.

The nearer to the break the more room: a square root keeps two weeks and the last minutes on one strip. How it is drawn:
`templates/changelog/before/_strip.html`; the table below says the same in words.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt

from changelog.before.suspects import Suspect
from changelog.intervals import Interval

# In the SVG's own units; the page scales them.
WIDTH, MARGIN = 720, 16
RADIUS, STEP = 11, 25
HEAD, FOOT, LANE = 16, 26, 22
MOST_LANES = 3
NARROWEST = 6.0
LETTER, LONGEST_TITLE = 6.4, 40
_LABELS = (
    (timedelta(minutes=5), "5 min"), (timedelta(minutes=15), "15 min"), (timedelta(hours=1), "1 h"),
    (timedelta(hours=3), "3 h"), (timedelta(hours=6), "6 h"), (timedelta(hours=12), "12 h"),
    (timedelta(days=1), "1 d"), (timedelta(days=2), "2 d"), (timedelta(days=4), "4 d"), (timedelta(days=7), "7 d"),
    (timedelta(days=14), "14 d"), (timedelta(days=30), "30 d"), (timedelta(days=90), "90 d"),
    (timedelta(days=365), "1 y"), (timedelta(days=1460), "4 y"), (timedelta(days=5840), "16 y"),
)  # fmt: skip
_BETWEEN_LABELS = 44
_BEFORE_BREAK = 68  # there stands the word "broke"


@dataclass(frozen=True)
class Bubble:
    """A suspect on the strip."""

    suspect: Suspect
    x: float
    y: float


@dataclass(frozen=True)
class Bar:
    """A downtime or closure on the strip; its title stands beside its left end or before its right one."""

    interval: Interval
    x: float
    y: float
    width: float

    height = LANE - 8

    @property
    def words_width(self) -> float:
        """Return how much room its title takes, more or less: letters differ."""
        return LETTER * min(len(self.interval.title), LONGEST_TITLE) + 8

    @property
    def is_before(self) -> bool:
        """Answer whether its title stands before it, for want of room behind."""
        return self.x + self.width + self.words_width > WIDTH

    @property
    def words_x(self) -> float:
        """Return where its title begins, or ends where it stands before the bar."""
        return round(self.x - 4 if self.is_before else self.x + self.width + 4, 1)

    @property
    def middle(self) -> float:
        """Return the height of its title's middle."""
        return self.y + self.height / 2

    @property
    def span(self) -> tuple[float, float]:
        """Return from where to where it takes room."""
        begin, end = self.x, self.x + self.width
        return (begin - self.words_width, end) if self.is_before else (begin, end + self.words_width)


@dataclass(frozen=True)
class Drawing:
    """The whole strip."""

    axis: float
    height: float
    labels: list[tuple[float, str]]
    marks: str  # the path of all changes: one element, however many
    bubbles: list[Bubble]
    bars: list[Bar]

    width = WIDTH
    radius = RADIUS
    right = WIDTH - MARGIN

    @property
    def below(self) -> float:
        """Return where the words under the axis stand."""
        return self.axis + 18


def drawing(
    since: datetime, until: datetime, moments: Iterable[datetime], suspects: Iterable[tuple[Suspect, datetime]],
    intervals: Iterable[Interval],
) -> Drawing:  # fmt: skip
    """Return the strip from `since` on the left to the break on the right."""

    def x_of(at: datetime) -> float:
        return _x(since, until, at)

    bubbles, levels = [], 0
    for suspect, at in suspects:
        x = min(max(x_of(at), MARGIN), WIDTH - MARGIN)
        level = next(n for n in range(99) if all(abs(x - b.x) >= STEP or b.y != n for b in bubbles))
        levels = max(levels, level + 1)
        bubbles.append(Bubble(suspect, round(x, 1), level))
    axis = HEAD + STEP * max(levels, 1) + 6
    bubbles = [Bubble(one.suspect, one.x, axis - RADIUS - 6 - STEP * one.y) for one in bubbles]
    bars, lanes = _bars(intervals, x_of, axis + FOOT)
    marks = "".join(f"M{x} {axis - 4}v8" for x in sorted({round(x_of(at)) for at in moments}))
    return Drawing(axis, axis + FOOT + LANE * lanes, _labels(since, until), marks, bubbles, bars)


def _x(since: datetime, until: datetime, at: datetime) -> float:
    part = min(max((until - at) / (until - since), 0), 1)
    return MARGIN + (WIDTH - 2 * MARGIN) * (1 - sqrt(part))


def _labels(since: datetime, until: datetime) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    for length, label in _LABELS:
        if length > until - since:
            break
        x = _x(since, until, until - length)
        if x < WIDTH - MARGIN - _BEFORE_BREAK and (not found or found[-1][0] - x >= _BETWEEN_LABELS):
            found.append((round(x, 1), label))
    return found


def _bars(intervals: Iterable[Interval], x_of, top: float) -> tuple[list[Bar], int]:
    bars: list[Bar] = []
    taken: list[list[tuple[float, float]]] = []
    for one in reversed(list(intervals)):  # the nearest to the break first: those have room
        x, end = x_of(one.starts_at), x_of(one.ends_at)
        bar = Bar(one, round(min(x, WIDTH - MARGIN - NARROWEST), 1), 0, round(max(end - x, NARROWEST), 1))
        begin, end = bar.span
        free = (n for n, lane in enumerate(taken) if all(end < b or begin > e for b, e in lane))
        lane = next(free, len(taken))
        if lane == MOST_LANES:
            continue
        taken[lane:lane] = [[]] if lane == len(taken) else []
        taken[lane].append((begin, end))
        bars.append(Bar(one, bar.x, top + LANE * lane, bar.width))
    return bars, len(taken)
