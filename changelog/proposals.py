"""What a source, a program or a person says has changed, before it is a row: values alone. `store.py` writes them."""

from dataclasses import dataclass, field, fields, replace
from datetime import datetime


@dataclass(frozen=True)
class LandedAt:
    """That a change reached a repository. `at` is aware and keeps the offset that it was told with."""

    repository: str
    at: datetime
    pusher: str = ""
    push_id: str = ""
    revision: str = ""
    url: str = ""

    def joined(self, later: "LandedAt") -> "LandedAt":
        """Return the later telling of the same landing, with what only this one says."""
        missing = {one.name: getattr(self, one.name) for one in fields(later) if getattr(later, one.name) == ""}
        if later.revision and self.revision.startswith(later.revision):
            missing["revision"] = self.revision  # 40 digits are more than the first 12 of them
        return replace(later, **missing)


@dataclass(frozen=True)
class Proposal:
    """One change as it is told. Moments are aware; None and empty mean that nobody said.

    `identity` is what the change is in the world, the same however often and by whomever it is told: `of_changeset`,
    `of_commit`, or the source's name and its own id. `message` is the whole text: what it says of bugs, reviewers,
    backouts and pools is read from it by `messages.read` and joined with what is given here.
    """

    identity: str
    message: str = ""
    summary: str = ""  # else the message's first line
    impact: str = ""
    author: str = ""
    kind: str = ""  # a Kind; else what the words tell, else the source's default
    system: str = ""  # a slug of the catalogue; else the source's default
    pools: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    bugs: tuple[int, ...] = ()
    reviewers: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()  # of (title, address)
    files: tuple[str, ...] = ()
    files_count: int | None = None
    authored_at: datetime | None = None
    effective_at: datetime | None = None
    landings: tuple[LandedAt, ...] = field(default=())

    def joined(self, later: "Proposal") -> "Proposal":
        """Return a later telling of the same change, with what only this one says, and with the landings of both."""
        missing = {one.name: getattr(self, one.name) for one in fields(later) if getattr(later, one.name) in _NOT_TOLD}
        landings = {landing.repository: landing for landing in self.landings}
        for landing in later.landings:
            earlier = landings.get(landing.repository)
            landings[landing.repository] = earlier.joined(landing) if earlier else landing
        return replace(later, **missing | {"landings": tuple(landings.values())})


_NOT_TOLD = ("", None, ())


def of_changeset(node: str) -> str:
    """Return the identity of a Mercurial changeset: the same in each tree, told by 12 digits or by 40."""
    return f"hg:{node.strip().lower()[:12]}"


def of_commit(sha: str) -> str:
    """Return the identity of a git commit: the same in each fork and mirror."""
    return f"git:{sha.strip().lower()[:40]}"
