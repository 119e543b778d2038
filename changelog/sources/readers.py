"""Which reader reads which kind of source. How each does it stands in its own module."""

from collections.abc import Callable

from django.conf import settings

from changelog.models import Source
from changelog.models.sources import SourceKind
from changelog.sources import git_reading, github_reading, mercurial
from changelog.sources.filters import Filters
from changelog.sources.reading import Asked, Deadline, Told

READERS: dict[str, Callable[[Asked], Told]] = {
    SourceKind.GITHUB_COMMITS: github_reading.read_commits,
    SourceKind.GITHUB_RELEASES: github_reading.read_releases,
    SourceKind.MERCURIAL: mercurial.read,
    SourceKind.GIT: git_reading.read,
}


def asked_of(source: Source, *, at, seconds: float, known: frozenset[str] = frozenset(), **further) -> Asked:
    """Return what the reader of a source is asked; from then on no row is looked at."""
    values = {"cursor": dict(source.cursor), "folder": settings.STATE_DIR / "git" / f"{source.pk}.git"} | further
    return Asked(
        name=source.name, kind=source.kind, address=source.address, branch=source.branch, at=at,
        filters=Filters.of(source.filters), deadline=Deadline(seconds), known=known, **values,
    )  # fmt: skip


def read(asked: Asked) -> Told:
    """Ask a source, in whatever thread. Raises Failure, and Limited where its host wants us to wait."""
    return READERS[asked.kind](asked)
