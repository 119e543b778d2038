"""What everybody may know of one change: values alone, made of a row without asking the database.

Every public page, feed and file, the answers and the digests take their words from here and from nowhere else. Where a
bug that a change names is not public, the words that a person typed for everybody are all there is (design.md,
decision 3): no message, link, file, revision or number of that bug.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings

from changelog.models import Change, Landing
from changelog.models.changes import in_zone
from changelog.rules import Kind, Platform

#: Columns that only one change's own page shows; where a query left them out, `shown` has nothing there.
LEFT_OUT = ("message", "files", "links", "reviewers")
_ADDRESS = re.compile(r"https?://[^\s<>\"']+", re.IGNORECASE)
_KINDS = {kind.value: kind.label for kind in Kind}
_PLATFORMS = {platform.value: platform.label for platform in Platform}


@dataclass(frozen=True, slots=True)
class Landed:
    """That it reached a repository. `at` keeps the zone that was told."""

    repository: str
    at: datetime
    pusher: str
    push_id: str
    revision: str
    url: str

    @property
    def when(self) -> str:
        """Return when, in its own zone and in UTC."""
        return in_both(self.at)

    @property
    def iso(self) -> str:
        """Return when for machines, in its own zone: a template's own filter would turn it to UTC."""
        return self.at.isoformat()

    @property
    def short(self) -> str:
        """Return the beginning of its revision, as people write it."""
        return self.revision[:12]


@dataclass(frozen=True, slots=True)
class Shown:
    """What everybody may know of a change. Moments are aware and keep the zone that they were told with, or None."""

    pk: int
    path: str
    at: datetime  # what it is sorted by
    at_is: str  # which moment that is: "took effect", "landed", "was written", "was entered"
    summary: str
    impact: str
    kind: str
    kind_label: str
    system: str  # a title, or ""
    system_slug: str
    owner: str  # of the system: a team
    author: str
    reviewers: tuple[str, ...]
    pools: tuple[str, ...]
    platforms: tuple[str, ...]
    bugs: tuple[int, ...]
    repositories: tuple[str, ...]
    links: tuple[tuple[str, str], ...]  # of (title, address)
    files: tuple[str, ...]
    files_count: int | None
    message: str
    revision: str  # of its changeset or commit, or its release; "" for others, and where its bug is not public
    authored: datetime | None
    landed: datetime | None
    effective: datetime | None
    published_at: datetime | None
    changed_at: datetime
    is_withdrawn: bool
    because: str  # why it was withdrawn
    is_worded: bool  # a person's words stand for all others: a bug that it names is not public

    @property
    def url(self) -> str:
        """Return its permalink."""
        return settings.SITE_URL + self.path

    @property
    def utc(self) -> datetime:
        """Return when it happened, in UTC."""
        return self.at.astimezone(UTC)

    @property
    def iso(self) -> str:
        """Return when it happened for machines, in its own zone."""
        return self.at.isoformat()

    @property
    def clock(self) -> str:
        """Return the time of its day, in UTC: `14:05`."""
        return f"{self.at.astimezone(UTC):%H:%M}"

    @property
    def there(self) -> str:
        """Return its time in its own zone, with the day where that is another one, or "" where its zone is UTC."""
        if not self.at.utcoffset():
            return ""
        day = "" if self.at.date() == self.at.astimezone(UTC).date() else f"{self.at:%d %b} "
        return f"{day}{self.at:%H:%M} {zone(self.at)}"

    @property
    def state(self) -> str:
        """Return its state in a word, as readers know it."""
        return "withdrawn" if self.is_withdrawn else "published"

    @property
    def headline(self) -> str:
        """Return one line that says what it is, and that it was withdrawn."""
        return f"Withdrawn: {self.summary}" if self.is_withdrawn else self.summary


def shown(change: Change) -> Shown:
    """Return what everybody may know of a public change. No query; wants `system` selected."""
    worded = bool(change.hidden_bugs)
    hidden = frozenset(change.hidden_bugs)
    there = {} if worded else change.__dict__  # what the query left out is not asked for
    system = change.system
    at, at_is = _moment(change)
    return Shown(
        pk=change.pk,
        path=f"/changes/{change.pk}/",
        at=at,
        at_is=at_is,
        summary=without_numbers(change.public_summary, hidden) if worded else change.summary,
        impact=without_numbers(change.impact, hidden) if worded else change.impact,
        kind=change.kind,
        kind_label=_KINDS.get(change.kind, change.kind),
        system=system.title if system else "",
        system_slug=system.slug if system else "",
        owner=system.owner if system else "",
        author=change.author,
        reviewers=tuple(there.get("reviewers", ())),
        pools=tuple(change.pools),
        platforms=tuple(_PLATFORMS.get(name, name) for name in change.platforms),
        bugs=tuple(bug for bug in change.bugs if bug not in hidden),
        repositories=tuple(change.repositories),
        links=tuple((one["title"], one["url"]) for one in there.get("links", ()) if _ADDRESS.fullmatch(one["url"])),
        files=tuple(there.get("files", ())),
        files_count=None if worded else there.get("files_count"),
        message=there.get("message", ""),
        revision="" if worded else revision_of(change.identity),
        authored=in_zone(change.authored_at, change.authored_offset),
        landed=in_zone(change.landed_at, change.landed_offset),
        effective=in_zone(change.effective_at, change.effective_offset),
        published_at=change.published_at,
        changed_at=change.changed_at,
        is_withdrawn=change.is_withdrawn,
        because=without_numbers(change.because, hidden) if change.is_withdrawn else "",
        is_worded=worded,
    )


def landed(change: Change, landing: Landing) -> Landed:
    """Return what everybody may know of a landing of a public change; where a bug is not public, no way leads to it."""
    told = {"pusher": "", "push_id": "", "revision": "", "url": ""}
    if not change.hidden_bugs:
        told = {name: getattr(landing, name) for name in told}
        told["url"] = told["url"] if _ADDRESS.fullmatch(told["url"]) else ""
    return Landed(repository=landing.repository, at=landing.there, **told)


def revision_of(identity: str) -> str:
    """Return what the world outside knows a change by: its changeset, its commit or `release:...`, else ""."""
    scheme, _, name = identity.partition(":")
    return name if scheme in ("hg", "git") else identity if scheme == "release" else ""


def zone(at: datetime) -> str:
    """Return the zone of a moment as people write it: `UTC`, `UTC+2`, `UTC-3:30`."""
    minutes = int(at.utcoffset().total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    written = f"{hours}:{rest:02d}" if rest else f"{hours}"
    return f"UTC{'-' if minutes < 0 else '+'}{written}" if minutes else "UTC"


def in_both(at: datetime) -> str:
    """Write a moment in its own zone, and in UTC beside it: `Thu 5 Mar 2026 14:05 UTC+2 · 12:05 UTC`."""
    own = f"{at:%a} {at.day} {at:%b %Y %H:%M} {zone(at)}"
    utc = at.astimezone(UTC)
    if not at.utcoffset():
        return own
    return f"{own} · {'' if utc.date() == at.date() else f'{utc:%a} {utc.day} {utc:%b} '}{utc:%H:%M} UTC"


def without_numbers(text: str, bugs: frozenset[int]) -> str:
    """Return a text without the numbers of these bugs: a person typed one where it must not stand."""
    for bug in bugs:
        text = re.sub(rf"(?<!\d){bug}(?!\d)", "…", text)
    return text


def _moment(change: Change) -> tuple[datetime, str]:
    if change.effective_at is not None:
        return in_zone(change.effective_at, change.effective_offset), "took effect"
    if change.landed_at is not None:
        return in_zone(change.landed_at, change.landed_offset), "landed"
    if change.authored_at is not None:
        return in_zone(change.authored_at, change.authored_offset), "was written"
    return change.at.astimezone(UTC), "was entered"
