"""How many changes each day, week or month holds, measured for an SVG; days are those of UTC.

It is drawn from the daily counts alone, whatever the log holds; how: `templates/changelog/public/_strip.html`.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Min, Sum
from django.db.models.functions import TruncMonth, TruncWeek

from changelog import index
from changelog.find import Query
from changelog.models import DayCount
from changelog.public.filters import canonical

DAY = timedelta(days=1)
#: How far each strip goes back, and what one of its bars holds.
SPANS = {"90": ("90 days", "day", 90), "365": ("a year", "week", 364), "all": ("all time", "month", None)}
#: A strip of everything begins with the first counted month, but never draws more bars than a screen has room for.
MOST_BARS = 600
# In the SVG's own units; the page scales them.
WIDTH, HEIGHT, HEAD, FOOT = 720, 84, 12, 13
_FACETS = ("kind", "system", "pool", "platform", "repository")


@dataclass(frozen=True, slots=True)
class Bar:
    """One day, week or month: from when until when (both included), how many, where it is drawn, where it leads."""

    begins: date
    ends: date
    count: int
    x: float
    y: float
    width: float
    height: float
    asked: str  # the query string that shows its changes

    @property
    def words(self) -> str:
        """Return what it is, for a tooltip and for those who hear it."""
        when = f"{self.begins.day} {self.begins:%b %Y}"
        if self.begins != self.ends:
            when = f"{when} to {self.ends.day} {self.ends:%b %Y}"
        return f"{when}: {self.count} change{'' if self.count == 1 else 's'}"


@dataclass(frozen=True)
class Strip:
    """The whole strip: its bars that hold anything, the marks below, which stretch is chosen, and its other lengths."""

    bars: list[Bar]
    labels: list[tuple[float, str]]
    chosen: tuple[float, float] | None  # from where, how wide
    most: int
    in_all: int
    words: str  # "day by day, 90 days"
    narrowed: bool  # counts only what the filter asks for
    cannot_narrow: bool  # the filter asks for more than the counts know
    spans: list[tuple[str, str, bool]]  # words, query string, whether it is this one
    first: date
    last: date

    width, height, base, head = WIDTH, HEIGHT, HEIGHT - FOOT, HEAD


def strip(query: Query, span: str, today: date) -> Strip:
    """Return the strip of a query: its span as asked for, else the shortest one that holds the time asked for.

    One query, two where it goes back to the beginning.
    """
    facet, can_narrow = _facet(query)
    span = span if span in SPANS else _fitting(query, today)
    said, unit, days = SPANS[span]
    first = _first_of(unit, today - DAY * (days - 1) if days else _earliest(facet, today))
    places = _places(unit, first, today)
    counts = _counts(facet, unit, places[0], today)
    most = max(counts.values(), default=0)
    column = WIDTH / len(places)
    ends = [following - DAY for following in places[1:]] + [max(today, places[-1])]
    bars = [
        _bar(query, begins, end, counts[begins], most, column * number, column)
        for number, (begins, end) in enumerate(zip(places, ends, strict=True))
        if counts.get(begins, 0) > 0
    ]
    return Strip(
        bars=bars,
        labels=_labels(unit, places, column),
        chosen=_chosen(query, places[0], ends[-1]),
        most=most,
        in_all=sum(counts.values()),
        words=f"{unit} by {unit}, {said}",
        narrowed=bool(facet),
        cannot_narrow=not can_narrow,
        spans=[(words, _with_span(query, name), name == span) for name, (words, _, _) in SPANS.items()],
        first=places[0],
        last=ends[-1],
    )


def _facet(query: Query) -> tuple[str, bool]:
    """Return the term that is counted for a query, "" for everything, and whether the counts can answer it."""
    given = [name for name in (*_FACETS, "author", "bug", "q") if getattr(query, name) not in ("", None)]
    if not given:
        return "", True
    if len(given) == 1 and given[0] in _FACETS:
        return index.term(given[0], getattr(query, given[0])), True
    return "", False


def _fitting(query: Query, today: date) -> str:
    if query.since is None:
        return "90" if query.until is None or today - query.until.date() < 60 * DAY else "all"
    back = today - index.day_of(query.since)
    return "90" if back < 90 * DAY else "365" if back < 364 * DAY else "all"


def _earliest(facet: str, today: date) -> date:
    return DayCount.objects.filter(facet=facet, count__gt=0).aggregate(first=Min("day"))["first"] or today


def _first_of(unit: str, day: date) -> date:
    if unit == "week":
        return day - DAY * day.weekday()
    return day.replace(day=1) if unit == "month" else day


def _places(unit: str, first: date, today: date) -> list[date]:
    """Return the first day of each bar, at least one and the newest ones if there are too many."""
    places = [first]
    while (following := _after(unit, places[-1])) <= today:
        places.append(following)
    return places[-MOST_BARS:]


def _after(unit: str, day: date) -> date:
    if unit == "month":
        return (day.replace(day=28) + 4 * DAY).replace(day=1)
    return day + DAY * (7 if unit == "week" else 1)


def _counts(facet: str, unit: str, first: date, today: date) -> dict[date, int]:
    rows = DayCount.objects.filter(facet=facet, day__gte=first, day__lte=today)
    if unit == "day":
        return dict(rows.values_list("day", "count"))
    place = TruncWeek("day") if unit == "week" else TruncMonth("day")
    return dict(rows.annotate(place=place).values_list("place").order_by("place").annotate(Sum("count")))


def _bar(query: Query, begins: date, ends: date, count: int, most: int, x: float, column: float) -> Bar:
    height = max(2.0, round((HEIGHT - FOOT - HEAD) * count / most, 1))
    since = datetime.combine(begins, time(), UTC)
    asked = canonical(replace(query, since=since, until=datetime.combine(ends, time(), UTC) + DAY))
    gap = 1 if column > 3 else 0.4
    return Bar(begins, ends, count, round(x, 2), HEIGHT - FOOT - height, round(column - gap, 2), height, asked)


def _labels(unit: str, places: list[date], column: float) -> list[tuple[float, str]]:
    """Return the marks below: the first of each month, or of each year, as far as they have room."""
    marks, free = [], 0.0
    for number, day in enumerate(places):
        x = round(column * number, 1)
        begins = day.month == 1 if unit == "month" else day.day <= (7 if unit == "week" else 1)
        if begins and x >= free and x <= WIDTH - 40:
            marks.append((x, f"{day:%Y}" if unit == "month" else f"{day:%b %Y}" if day.month == 1 else f"{day:%b}"))
            free = x + 44
    return marks


def _chosen(query: Query, first: date, last: date) -> tuple[float, float] | None:
    if query.since is None and query.until is None:
        return None
    begins, ends = (datetime.combine(day, time(), UTC) for day in (first, last + DAY))
    whole = (ends - begins).total_seconds()
    left = max((query.since or begins), begins)
    right = min((query.until or ends), ends)
    if left >= right:
        return None
    x = WIDTH * (left - begins).total_seconds() / whole
    return round(x, 1), round(max(WIDTH * (right - left).total_seconds() / whole, 2), 1)


def _with_span(query: Query, span: str) -> str:
    asked = canonical(query)
    return f"{asked}{'&' if asked else ''}span={span}"
