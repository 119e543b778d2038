"""What every reader of a history yields, and how moments and addresses are written. Pure: no file, no database."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from changelog.proposals import LandedAt, Proposal, of_changeset, of_commit

NO_MESSAGE = "(no message)"


class Unreadable(ValueError):
    """An entry, or a whole file, cannot be read. `str()` is the reason, as the end of a sentence."""


@dataclass(frozen=True)
class Entry:
    """One change as a file tells it. `where` names it for a person: "autoland.json, push 12, changeset 1"."""

    where: str
    repository: str
    revision: str  # in lower case: 12 or 40 hex digits
    is_git: bool
    message: str
    landed_at: datetime  # aware; as it is told, however odd
    authored_at: datetime | None = None
    author: str = ""
    pusher: str = ""
    push_id: str = ""
    url: str = ""
    files: tuple[str, ...] = ()
    files_count: int | None = None

    @property
    def identity(self) -> str:
        """What the change is in the world."""
        return of_commit(self.revision) if self.is_git else of_changeset(self.revision)

    def proposal(self, repository: str, landed_at: datetime) -> Proposal:
        """Return the change that it tells of: landed where its source is called so, at a moment that can be."""
        landing = LandedAt(
            repository,
            landed_at,
            pusher=self.pusher,
            push_id=self.push_id,
            revision=self.revision,
            url=self.url,
        )
        return Proposal(
            identity=self.identity,
            message=self.message,
            summary="" if self.message.strip() else NO_MESSAGE,
            author=self.author,
            authored_at=self.authored_at,
            files=self.files,
            files_count=self.files_count,
            links=((f"{repository} {self.revision[:12]}", self.url),) if self.url else (),
            landings=(landing,),
        )


@dataclass(frozen=True)
class BadEntry:
    """An entry that cannot be a change, and why."""

    where: str
    because: str


@dataclass
class Repository:
    """Where the entries of one repository come from: what the list of sources says of it."""

    name: str
    title: str = ""
    address: str = ""
    team: str = ""
    is_git: bool = True
    filters: dict = field(default_factory=dict)


# --- revisions and addresses -----------------------------------------------------------------------------------------

_CHANGESET = re.compile(r"[0-9a-f]{12}(?:[0-9a-f]{28})?")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_API_OF_GITHUB = re.compile(r"https://api\.github\.com/repos/([^/\s]+/[^/\s]+)/(?:git/)?commits?/([0-9a-fA-F]{7,40})$")
_IN_ADDRESS = re.compile(r"(?:[?&]changeset=|/(?:rev|commit|commits)/)([0-9a-fA-F]{12,40})$")
_REPOSITORY = re.compile(
    r"https?://(?:api\.github\.com/repos|github\.com)/[^/\s]+/([^/\s]+)/|https?://hg\.[^/\s]+/(\S+?)/push"
)


def revision_of(told, url: str, *, is_git: bool) -> str:
    """Return a revision: as it is told, else as the address ends. Raises Unreadable.

    A commit of git is known by all of its digits, a changeset of Mercurial by the first twelve.
    """
    named = _IN_ADDRESS.search(url)
    revision = str(told or (named[1] if named else "")).strip().lower()
    if not revision:
        raise Unreadable("it names no revision")
    if not (_COMMIT if is_git else _CHANGESET).fullmatch(revision):
        digits = "40 hex digits" if is_git else "12 or 40 hex digits"
        raise Unreadable(f"its revision {revision[:60]!r} is not {digits}")
    return revision


def for_people(url: str) -> str:
    """Return the address of the page of a commit where the API's was told; another one as it is. "" for none."""
    url = url.strip()
    if api := _API_OF_GITHUB.match(url):
        return f"https://github.com/{api[1]}/commit/{api[2].lower()}"
    return url if re.match(r"https?://\S+$", url) else ""


def repository_in(url: str) -> str:
    """Return the name of the repository in an address, or "": the last part of its path."""
    named = _REPOSITORY.match(url)
    return (named[1] or named[2].rpartition("/")[2]) if named else ""


# --- moments ---------------------------------------------------------------------------------------------------------

# git prints any zone that a commit claims, "+51800" too.
_WITH_ODD_ZONE = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)\s?[+-]\d[\d:]*$")
_ACROSS_A_DAY = timedelta(days=1)


def moment_of(told) -> datetime | None:
    """Return a moment as histories write it, aware; None where nobody told one. Raises Unreadable.

    ISO 8601, with a zone or without one (then UTC); Mercurial's [seconds, offset west of UTC in seconds]; "Mon, 29 Oct
    2018 10:00:00 GMT"; plain seconds.
    """
    if told in (None, "", []):
        return None
    try:
        if isinstance(told, (list, tuple)):
            seconds, west = told
            return datetime.fromtimestamp(float(seconds), UTC).astimezone(timezone(-timedelta(seconds=int(west))))
        if isinstance(told, (int, float)) and not isinstance(told, bool):
            return datetime.fromtimestamp(told, UTC)
        return _written(str(told).strip())
    except (ValueError, TypeError, OverflowError, OSError):
        raise Unreadable(f"its moment {str(told)[:60]!r} is none") from None


def _written(text: str) -> datetime:
    if text[:1].isalpha():
        moment = parsedate_to_datetime(text)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            odd = _WITH_ODD_ZONE.match(text)
            if odd is None:
                raise
            moment = datetime.fromisoformat(odd[1])
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    # Next to the ends of the calendar the same moment in UTC is no date any more.
    moment.astimezone(UTC)
    return moment
