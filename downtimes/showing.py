"""What the public sees of a downtime: the words that were announced last, and never a word of the plan or a bug.

An item whose bug is not public any more keeps its number and loses its text (design.md, decision 3). An outage was
never announced as a plan: it shows what its row says. Reads only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Prefetch, TextChoices

from ciduty.bugzilla.cleaning import clean_line, clean_text
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.trees import confidential
from downtimes import local_times, notice_times
from downtimes.models import Announcement, Downtime, Item, Told
from downtimes.rules import OUTCOMES, Close, Kind, State
from downtimes.run.rules import is_overdue

#: Longer than any form takes.
MOST = 20_000
#: The more private a bug is, the higher. A text that was confirmed for a bug serves for one that is less private.
_PRIVATE = {Visibility.PUBLIC: 0, Visibility.STAFF: 1, Visibility.RESTRICTED: 2}
TOLD = (Told.ANNOUNCEMENT, Told.UPDATE)
#: Whose reason stands beside the downtime until the next word.
_WITH_REASON = (Told.POSTPONEMENT, Told.CANCELLATION, Told.HOLD, Told.EXTENSION)


class Standing(TextChoices):
    """How a downtime stands for somebody who reads of it. The clock begins and ends none (design.md, decision 7)."""

    RUNNING = "running", "Running"
    OVERDUE = "overdue", "Running, longer than planned"
    PLANNED = "planned", "Planned"
    WAITING = "waiting", "Planned, not begun yet"
    HELD = "held", "On hold"
    CHANGING = "changing", "Planned, a change is being agreed"
    POSTPONED = "postponed", "Postponed"
    DONE = "done", "Over"
    LAPSED = "lapsed", "Not run"
    CANCELLED = "cancelled", "Cancelled"


RUNS = frozenset({Standing.RUNNING, Standing.OVERDUE})
#: It may still come.
AHEAD = frozenset({Standing.PLANNED, Standing.WAITING, Standing.HELD, Standing.CHANGING, Standing.POSTPONED})
PAST = frozenset({Standing.DONE, Standing.LAPSED})


@dataclass(frozen=True)
class PublicItem:
    """One piece of work: the bug's number, and what a person typed for the public, or "".

    Once it is over: its outcome, and what a person typed of that.
    """

    bug: int
    text: str
    outcome: str = ""
    words: str = ""


@dataclass(frozen=True)
class PublicFacts:
    """A downtime as everybody may know it. Texts are cleaned; pages escape them.

    `starts_at` and `ends_at` are the real ones as far as there are any; nobody may know the end of an outage.
    """

    pk: int
    standing: Standing
    title: str
    starts_at: datetime
    ends_at: datetime | None
    close: str
    trees: tuple[str, ...]
    tracking_bug: int | None
    items: tuple[PublicItem, ...]
    what_stops: str
    what_keeps_working: str
    effect_on_releases: str
    how_to_object: str
    emergency_because: str
    because: str  # why it was postponed, cancelled, put on hold or extended
    sequence: int
    first_told_at: datetime
    told_at: datetime  # the newest word to the lists
    planned: tuple[datetime, datetime] | None = None  # what was planned, once it is run
    extended_to: datetime | None = None
    reason: str = ""  # of an outage
    is_outage: bool = False

    @property
    def close_in_words(self) -> str:
        """Return what is closed, or "" where nobody said."""
        return Close(self.close).label if self.close in Close.values else ""

    @property
    def times(self) -> list[str]:
        """Return from when to when, in three zones; without an end, since when."""
        if self.ends_at is None:
            return [f"since {local}" for local in local_times.in_three_zones(self.starts_at, settings.CIDUTY_CALENDAR)]
        return notice_times.in_three_zones(self.starts_at, self.ends_at)

    @property
    def planned_times(self) -> list[str]:
        """Return from when to when it was planned, in three zones; nothing while that is what it is, or no plan was."""
        planned = notice_times.in_three_zones(*self.planned) if self.planned else []
        return planned if planned != self.times else []

    @property
    def length(self) -> timedelta | None:
        """Return how long it is meant to last, or lasted."""
        return self.ends_at - self.starts_at if self.ends_at else None

    def end_at(self, at: datetime) -> datetime:
        """Return until when it lasts, as far as is known at a moment: what runs has not ended before it."""
        if self.standing in RUNS:
            return max(self.ends_at or at, at, self.starts_at)
        return self.ends_at or self.starts_at

    @property
    def is_running(self) -> bool:
        """Answer whether it was begun and is not over."""
        return self.standing in (Standing.RUNNING, Standing.OVERDUE)

    @property
    def times_are_open(self) -> bool:
        """Answer whether its times may still become others."""
        return self.standing in (Standing.POSTPONED, Standing.CHANGING)

    def has_words(self, words: Iterable[str]) -> bool:
        """Answer whether each of the words, in lower case, stands in what is shown."""
        shown = [self.title, *self.trees, self.what_stops, self.what_keeps_working, self.effect_on_releases]
        shown += [self.because, self.emergency_because, self.reason]
        shown += [f"bug {item.bug} {item.text} {item.outcome} {item.words}" for item in self.items]
        text = "\n".join(shown).lower()
        return all(word in text for word in words)


def public_facts(downtime: Downtime, at: datetime) -> PublicFacts | None:
    """Return what everybody may know of one downtime, or None where nothing was announced."""
    return next(iter(all_public_facts(at, Downtime.objects.filter(pk=downtime.pk))), None)


def all_public_facts(at: datetime, downtimes=None) -> list[PublicFacts]:
    """Return what everybody may know of downtimes that were announced once, by their start. Five queries."""
    chosen = (Downtime.objects.all() if downtimes is None else downtimes).public()
    announcements = Announcement.objects.select_related("version").order_by("-pk")
    rows = list(chosen.prefetch_related(Prefetch("announcements", announcements), "items"))
    visibility = _visibility_of(rows)
    private = confidential.private_among(_typed(row) for row in rows)
    found = (_facts(row, at, visibility, private) for row in rows)
    return sorted((facts for facts in found if facts is not None), key=lambda facts: (facts.starts_at, facts.pk))


def _visibility_of(rows: list[Downtime]) -> dict[int, str]:
    bugs = {item["bug"] for row in rows for content in [_content_of(row)] if content for item in content["items"]}
    return dict(Bug.objects.filter(pk__in=bugs).values_list("pk", "visibility")) if bugs else {}


def _typed(row: Downtime) -> str:
    """Return the words of a downtime that no item stands for: what they name may have turned private since."""
    content = _content_of(row) or {"title": ""}
    newest = next(iter(row.announcements.all()), None)
    words = [content["title"], row.reason if row.kind == Kind.UNPLANNED else "", newest.because if newest else ""]
    return "\n".join([*words, *(item.outcome_words for item in row.items.all())])


def title_of(title: str, kind: str, private: frozenset[int]) -> str:
    """Return a title as everybody may read it now; one that names a bug which is not public is withheld whole."""
    return confidential.public(clean_line(title, MOST), private, Kind(kind).label)


def _announced(row: Downtime) -> Announcement | None:
    """Return the announcement whose words stand; `announcements` are fetched, the newest first."""
    return next((one for one in row.announcements.all() if one.kind in TOLD and one.version is not None), None)


def _content_of(row: Downtime) -> dict | None:
    """Return what everybody was told: the announced version; of an outage, which has none, its row."""
    if row.kind == Kind.UNPLANNED:
        fields = ("title", "close", "trees", "tracking_bug", "what_stops", "what_keeps_working", "effect_on_releases")
        return {"items": []} | {name: getattr(row, name) for name in fields}
    announced = _announced(row)
    return announced.version.content if announced else None


def _times(row: Downtime, content: dict) -> tuple[datetime, datetime] | None:
    """Return the window that was announced last, or None where none was."""
    if not content.get("starts_at") or not content.get("ends_at"):
        return None
    return datetime.fromisoformat(content["starts_at"]), datetime.fromisoformat(content["ends_at"])


def _facts(row: Downtime, at: datetime, visibility: dict[int, str], private: frozenset[int]) -> PublicFacts | None:
    content = _content_of(row)
    planned = _times(row, content) if content else None
    was_begun = row.begun_at is not None
    if content is None or (planned is None and not was_begun):
        return None
    newest = next(iter(row.announcements.all()), None)
    standing = _begun(row, at) if was_begun else _standing(row, newest, *planned, at)
    starts_at, ends_at = (row.begun_at, row.open_at or row.ends_at) if was_begun else planned
    if standing == Standing.POSTPONED and row.starts_at and row.ends_at:
        starts_at, ends_at = row.starts_at, row.ends_at  # the postponement named them to everyone who was told
    texts = {item.bug_id: item for item in row.items.all()}
    is_outage = row.kind == Kind.UNPLANNED
    return PublicFacts(
        pk=row.pk,
        standing=standing,
        title=title_of(content["title"], row.kind, private),
        starts_at=starts_at,
        ends_at=ends_at,
        planned=planned if was_begun else None,
        extended_to=row.ends_at if row.planned_end not in (None, row.ends_at) else None,
        reason=confidential.public(_words(row.reason), private) if is_outage else "",
        is_outage=is_outage,
        close=content.get("close", ""),
        trees=tuple(clean_line(tree, MOST) for tree in content.get("trees", [])),
        tracking_bug=content.get("tracking_bug"),
        items=tuple(_item(item, texts.get(item["bug"]), visibility, standing, private) for item in content["items"]),
        because=_because(newest, private - texts.keys()),
        sequence=row.sequence,
        first_told_at=row.told_first_at,
        told_at=newest.made_at if newest is not None else row.told_first_at,
        **{name: _words(content.get(name)) for name in (
            "what_stops", "what_keeps_working", "effect_on_releases", "how_to_object", "emergency_because"
        )},
    )  # fmt: skip


def _because(newest: Announcement | None, private: frozenset[int]) -> str:
    """Return the reason that stands beside it; numbers of its own work may stand in it."""
    if newest is None or newest.kind not in _WITH_REASON:
        return ""
    return confidential.public(_words(newest.because), private)


def _begun(row: Downtime, at: datetime) -> Standing:
    """Return how one stands that people began; only TREE OPEN ends it."""
    if row.state == State.DONE:
        return Standing.DONE
    return Standing.OVERDUE if is_overdue(row.ends_at, at) else Standing.RUNNING


def _standing(row: Downtime, newest: Announcement, starts_at: datetime, ends_at: datetime, at: datetime) -> Standing:
    if row.state == State.CANCELLED:
        return Standing.CANCELLED
    if row.state == State.DRAFT or newest.kind == Told.POSTPONEMENT:
        return Standing.POSTPONED
    if ends_at <= at:
        return Standing.LAPSED
    if row.state != State.ANNOUNCED:
        return Standing.CHANGING
    if row.held_at is not None:
        return Standing.HELD
    return Standing.WAITING if starts_at <= at else Standing.PLANNED


def _item(
    said: dict, item: Item | None, visibility: dict[int, str], standing: Standing, private: frozenset[int]
) -> PublicItem:
    """Return a piece of work with its words only while they may be read; a bug never mirrored counts as restricted."""
    text, now = _words(said.get("text")), visibility.get(said["bug"], Visibility.RESTRICTED)
    may_be_read = now == Visibility.PUBLIC or _is_for(item, text, now)
    is_over = standing == Standing.DONE and item is not None
    return PublicItem(
        said["bug"],
        text if may_be_read else "",
        outcome=OUTCOMES.get(item.state, "") if is_over else "",
        words=outcome_words(item, private) if is_over and may_be_read else "",
    )


def outcome_words(item: Item, private: frozenset[int]) -> str:
    """Return what a person typed of an outcome, unless it names another bug that is not public any more."""
    return confidential.public(_words(item.outcome_words), private - {item.bug_id}, "")


def _is_for(item: Item | None, text: str, now: str) -> bool:
    """Answer whether a person confirmed this very text for the bug at least as private as it is now."""
    if item is None or item.confirmed_by_id is None or _words(item.public_text) != text:
        return False
    return _PRIVATE.get(item.confirmed_as, -1) >= _PRIVATE[now]


def _words(text: str | None) -> str:
    return clean_text(text or "", MOST).strip()
