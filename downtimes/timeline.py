"""Two weeks of downtimes, this one and the next, measured for an SVG: a row of seven days each, days of UTC.

How it is drawn: `templates/downtimes/public/_timeline.html`. The lists beside it say the same in words.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from downtimes.showing import PublicFacts

DAYS_IN_ROW, ROWS = 7, 2
DAY = timedelta(days=1)
#: So many bars side by side a row bears; what is left out stands in the lists.
MOST_LANES = 4

# In the SVG's own units; the page scales them.
WIDTH, HEAD, LANE, FOOT = 700, 22, 26, 8
COLUMN = WIDTH / DAYS_IN_ROW
#: Half an hour would be a hair: every bar is at least as wide as a finger's tip.
NARROWEST = 8.0
#: The width of a letter in the drawing, and how many of a title it shows.
LETTER, LONGEST_TITLE = 7.0, 32


@dataclass(frozen=True)
class Bar:
    """The part of a downtime that falls in one row, and where it is drawn."""

    facts: PublicFacts
    x: float
    y: float
    width: float

    height = LANE - 6

    @property
    def words_width(self) -> float:
        """Return how much room its title takes, more or less: letters differ."""
        return LETTER * min(len(self.facts.title), LONGEST_TITLE) + 10

    @property
    def place(self) -> str:
        """Return where its title stands: "after" the bar, "before" it where that is too far to the right, "inside"."""
        if self.x + self.width + self.words_width <= WIDTH:
            return "after"
        return "before" if self.x >= self.words_width else "inside"

    @property
    def words_x(self) -> float:
        """Return where its title begins, or ends where it stands before the bar."""
        return round({"after": self.x + self.width + 5, "before": self.x - 5, "inside": self.x + 6}[self.place], 1)

    @property
    def middle(self) -> float:
        """Return the height of its title's middle."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Row:
    """Seven days: their beginnings with where they are drawn, the bars, the line of now (None in the other row)."""

    top: float
    height: float
    days: list[tuple[datetime, float]]
    bars: list[Bar]
    now_x: float | None

    width = WIDTH

    @property
    def bottom(self) -> float:
        """Return where the row ends."""
        return self.top + self.height


@dataclass(frozen=True)
class Drawing:
    """The whole drawing: its rows, what falls into it, and what had no room."""

    rows: list[Row]
    drawn: list[PublicFacts]
    left_out: int

    width = WIDTH
    column = COLUMN

    @property
    def height(self) -> float:
        """Return how high it is in all."""
        return self.rows[-1].bottom


def drawing(downtimes: Iterable[PublicFacts], at: datetime) -> Drawing:
    """Return this week and the next, from Monday to Monday, with what falls into them. Cancelled ones are drawn too.

    What runs is drawn to its planned end, or to now where that has passed.
    """
    today = at.astimezone(UTC).date()
    monday = datetime.combine(today - timedelta(days=today.weekday()), time(), UTC)
    end = monday + DAY * DAYS_IN_ROW * ROWS
    inside = [one for one in downtimes if one.starts_at < end and one.end_at(at) > monday]
    rows, top, shown = [], 0.0, set()
    for number in range(ROWS):
        begins = monday + DAY * DAYS_IN_ROW * number
        row = _row(inside, begins, top, at)
        rows.append(row)
        shown |= {bar.facts.pk for bar in row.bars}
        top = row.bottom
    return Drawing(rows, inside, len(inside) - len(shown))


def _row(downtimes: list[PublicFacts], begins: datetime, top: float, at: datetime) -> Row:
    ends = begins + DAY * DAYS_IN_ROW
    here = [one for one in downtimes if one.starts_at < ends and one.end_at(at) > begins]
    lanes: list[float] = []  # where the last bar of each lane ends, its words included
    bars = []
    for one in here:
        x = _x(max(one.starts_at, begins), begins)
        width = round(max(_x(min(one.end_at(at), ends), begins) - x, NARROWEST), 1)
        x = round(min(x, WIDTH - width), 1)
        bar = Bar(one, x, 0, width)
        lane = next((number for number, until in enumerate(lanes) if until <= _left_of(bar)), len(lanes))
        if lane == MOST_LANES:
            continue
        lanes[lane:] = [_right_of(bar), *lanes[lane + 1 :]]
        bars.append(Bar(one, x, top + HEAD + LANE * lane, width))
    height = HEAD + LANE * max(1, len(lanes)) + FOOT
    days = [(begins + DAY * number, round(COLUMN * number, 1)) for number in range(DAYS_IN_ROW)]
    now_x = _x(at, begins) if begins <= at < ends else None
    return Row(top, height, days, bars, now_x)


def _x(moment: datetime, begins: datetime) -> float:
    return round(WIDTH * ((moment - begins) / (DAY * DAYS_IN_ROW)), 1)


def _left_of(bar: Bar) -> float:
    return bar.x - bar.words_width if bar.place == "before" else bar.x


def _right_of(bar: Bar) -> float:
    end = bar.x + bar.width
    return end + bar.words_width if bar.place == "after" else end
