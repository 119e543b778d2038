"""The answer to a question as everybody reads it: suspects with their reasons, what lay between, downtimes, verdicts.

The same for everybody. What is looked at: `candidates.py`; what is suspect: `suspects.py`; how it is drawn:
`timeline.py`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from changelog import find
from changelog.before import timeline, verdicts
from changelog.before.asking import Asked
from changelog.before.candidates import Between, broken, gather
from changelog.before.suspects import JUST_BEFORE, Candidate, Suspect, span, suspects
from changelog.before.verdicts import ShownVerdict
from changelog.find import Query
from changelog.intervals import Interval
from changelog.models.asking import Judged
from changelog.public import filters
from changelog.public.shown import Shown, shown
from changelog.rules import Platform

#: So many lines the answer's page bears; the log itself has the others.
LINES = 20
#: Trees are closed often; more than these are not read, and the strip draws them.
MOST_INTERVALS = 6
MOST_CHIPS = 4


@dataclass(frozen=True)
class Line:
    """One thing on the timeline: a change, or that a downtime began or ended. Its words are ready for the page."""

    at: datetime
    until: datetime
    title: str
    path: str
    kind: str
    where: str  # system and pools; trees of a downtime
    more: str = ""  # a second line
    mark: str = ""  # how the page colours it: "suspect", "closed"
    change: Shown | None = None
    interval: Interval | None = None
    suspect: Suspect | None = None
    verdict: ShownVerdict | None = None
    how: str = ""

    @property
    def before(self) -> str:
        """Return how long before the break it was."""
        return span(self.until - self.at)

    @property
    def moment(self) -> str:
        """Return when it was, in UTC, with its day."""
        return f"{self.at.astimezone(UTC):%a %-d %b %H:%M}"

    @property
    def head(self) -> SafeString:
        """Return its table row up to the end of its words; written by hand, for a page has dozens of them."""
        place = self.suspect.place if self.suspect else 0
        to = f'<a class="place" href="#suspect-{self.suspect.pk}" aria-label="Suspect {place}">' if place else ""
        link = f"{to}{place}</a> " if place else ""
        more = f'<span class="line">{escape(self.more)}</span> ' if self.more else ""
        return mark_safe(
            f'<tr class="{self.mark}"><td class="numbers">{self.before}</td><td class="numbers">{self.moment}</td>'
            f'<td class="summary">{link}<a href="{escape(self.path)}">{escape(self.title)}</a> {more}'
        )

    @property
    def tail(self) -> SafeString:
        """Return the rest of its table row."""
        return mark_safe(f'</td><td>{escape(self.kind)}</td><td class="detail">{escape(self.where)}</td></tr>')


@dataclass(frozen=True)
class Chip:
    """A narrower question: about one of the pools, platforms or systems that the changes between name."""

    label: str
    query: str


@dataclass(frozen=True)
class Answer:
    """What changed before it broke."""

    asked: Asked
    suspects: list[Line]
    confirmed: list[Line]
    lines: list[Line]
    intervals: tuple[Interval, ...]
    drawing: timeline.Drawing
    looked_at: int
    is_complete: bool
    narrower: list[Chip]
    said: list[tuple[ShownVerdict, Shown]]  # every verdict on what is still public, the newest first

    @property
    def path(self) -> str:
        """Return the permalink's path and query."""
        return f"{reverse('before_it_broke')}?{self.asked.query}"

    @property
    def url(self) -> str:
        """Return the permalink."""
        return settings.SITE_URL.rstrip("/") + self.path

    @property
    def log_query(self) -> str:
        """Return the filter of the log that shows everything between."""
        instant = timedelta(seconds=1)
        return filters.canonical(Query(since=self.asked.since, until=self.asked.until + instant))

    @property
    def nearest_intervals(self) -> list[tuple[Interval, str]]:
        """Return the downtimes and closures that ended last, and how each stood when it broke; the latest first."""
        latest = sorted(self.intervals, key=lambda one: (one.ends_at, one.starts_at), reverse=True)
        return [(one, in_words(one, self.asked)) for one in latest[:MOST_INTERVALS]]

    @property
    def more_intervals(self) -> int:
        """Return how many downtimes and closures are not among the nearest."""
        return max(0, len(self.intervals) - MOST_INTERVALS)

    @property
    def changes_shown(self) -> int:
        """Return how many changes stand in the table."""
        return sum(line.change is not None for line in self.lines)

    @property
    def more(self) -> int:
        """Return how many changes that were looked at do not stand in the table."""
        return self.looked_at - self.changes_shown


def answer(asked: Asked, at: datetime) -> Answer:
    """Return the answer to a question, as known at `at`. The same number of queries however much changed between."""
    said = verdicts.of_question(asked.query)
    counting = {pk: one for pk, one in verdicts.newest(said).items() if not one.is_open}
    between = gather(asked, {pk: one.judged for pk, one in counting.items()}, at)
    found = suspects(between.candidates, broken(asked))
    first = [one for one in between.candidates if between.stands_at[one.pk] > asked.since][:LINES]
    words = _words([*(one.pk for one in first), *(one.pk for one in found), *(one.change for one in said)])
    by_pk = {one.pk: one for one in between.candidates}
    chosen = {one.pk: one for one in found}

    def line(candidate: Candidate) -> Line:
        pk = candidate.pk
        return _line(candidate, words[pk], between.stands_at[pk], asked.until, chosen.get(pk), counting.get(pk))

    suspected = [line(by_pk[one.pk]) for one in found if one.pk in words]
    lines = [line(one) for one in first if one.pk in words]
    return Answer(
        asked=asked, suspects=suspected, lines=_with_intervals(lines, between, asked),
        confirmed=[one for one in suspected if one.verdict and one.verdict.judged == Judged.CONFIRMED],
        intervals=between.intervals, looked_at=between.looked_at, is_complete=between.is_complete,
        drawing=timeline.drawing(
            asked.since, asked.until, between.stands_at.values(), [(one.suspect, one.at) for one in suspected],
            between.intervals,
        ),
        narrower=_narrower(asked, between.candidates, [*suspected, *lines]),
        said=[(one, words[one.change]) for one in reversed(said) if one.change in words],
    )  # fmt: skip


def _line(candidate: Candidate, words: Shown, at: datetime, until: datetime, suspect: Suspect | None, verdict) -> Line:
    return Line(
        at=at, until=until, title=words.headline, path=words.path, kind=words.kind_label, more=words.impact,
        where=" ".join([words.system, *words.pools]).strip() or ", ".join(words.repositories),
        mark="suspect" if suspect else "closed" if candidate.during else "",
        change=words, suspect=suspect, verdict=verdict, how=candidate.how,
    )  # fmt: skip


def _words(pks: Iterable[int]) -> dict[int, Shown]:
    rows = find.listed().filter(pk__in=set(pks), is_public=True)
    return {row.pk: shown(row) for row in rows}


def _with_intervals(lines: list[Line], between: Between, asked: Asked) -> list[Line]:
    """Put the beginnings and ends of downtimes among the changes, the newest first."""
    oldest = asked.since if between.looked_at <= LINES or not lines else lines[-1].at
    for one in sorted(between.intervals, key=lambda one: one.ends_at)[-LINES:]:
        for moment, what in ((one.starts_at, "began"), (one.ends_at, "ended")):
            if oldest <= moment <= asked.until:
                lines.append(_edge(one, what, moment, asked.until))
    return sorted(lines, key=lambda line: line.at, reverse=True)


def _edge(interval: Interval, what: str, at: datetime, until: datetime) -> Line:
    return Line(
        at=at, until=until, title=f"{interval.title} {what}", path=interval.url or "#between",
        kind=interval.kind.capitalize(), where=interval.words, mark="closed", interval=interval,
    )  # fmt: skip


def in_words(interval: Interval, asked: Asked) -> str:
    """Return how a downtime stood when it broke: running, or how long it was over."""
    if interval.ends_at > asked.until:
        return f"was running when it broke, since {span(asked.until - interval.starts_at)}"
    since_end = asked.until - interval.ends_at
    return f"ended {span(since_end)} before{', just before it broke' if since_end <= JUST_BEFORE else ''}"


def _narrower(asked: Asked, candidates: Iterable[Candidate], lines: Iterable[Line]) -> list[Chip]:
    """Return the questions that one click makes of this one, the most frequent first."""
    candidates, known = list(candidates), dict(Platform.choices)
    chips = []
    if not asked.pool:
        pools = Counter(pool for one in candidates for pool in one.pools).most_common(MOST_CHIPS)
        chips += [Chip(f"pool {name}", asked.narrowed(pool=name)) for name, _ in pools]
    if not asked.platform and not asked.pool:
        platforms = Counter(one for each in candidates for one in each.platforms).most_common(MOST_CHIPS)
        chips += [Chip(known[name], asked.narrowed(platform=name)) for name, _ in platforms if name in known]
    if asked.system is None:
        named = [(line.change.system, line.change.system_slug) for line in lines if line.change and line.change.system]
        systems = Counter(named).most_common(MOST_CHIPS)
        chips += [Chip(title, asked.narrowed(system=slug)) for (title, slug), _ in systems]
    return chips


def comparison(asked: Asked) -> list[tuple[str, str]]:
    """Return the same question about each other tree in which the bad push landed: (tree, query)."""
    text = asked.bad.text.partition(" in ")[0]
    there = {one.repository: f"{text} in {one.repository}" for one in asked.bad.elsewhere}
    return [(tree, asked.narrowed(bad=bad)) for tree, bad in there.items()]
