"""The values that a proposal becomes: cleaned, cut, and joined with what its words tell. Pure but for nothing stored.

`store.py` writes them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice

from changelog import messages, rules
from changelog.messages import Read
from changelog.models import Change, Source
from changelog.proposals import LandedAt, Proposal
from changelog.rules import Kind
from ciduty.bugzilla.cleaning import clean_line, clean_text

#: More bugs than this cannot stand in a message of the length that is kept. None of those may be left out: whether a
#: text may be shown to everybody is decided by all that it names.
MOST_BUGS_IN_WORDS = 2_000
_KINDS = frozenset(Kind.values)


class Unusable(ValueError):
    """This proposal cannot be a change. `str()` is a sentence for a person."""


def facts_of(proposal: Proposal, source: Source, systems: dict[str, int]) -> dict:
    """Return the stored values of what a proposal tells, cleaned and cut. Raises Unusable."""
    return facts_and_backouts(proposal, source, systems)[0]


def facts_and_backouts(proposal: Proposal, source: Source, systems: dict[str, int]) -> tuple[dict, tuple[str, ...]]:
    """Return the stored values of what a proposal tells, and the revisions that it takes back. Raises Unusable."""
    message = clean_text(proposal.message.strip(), rules.LONGEST_MESSAGE).strip()
    summary = _line(proposal.summary or message.partition("\n")[0], rules.LONGEST_SUMMARY)
    if not summary:
        raise Unusable(f"{proposal.identity[:80]} says nothing: a change needs at least one line.")
    # The whole of it is read, what is cut too: a backout of 400 changesets lists them to the end.
    read = messages.read(f"{summary}\n{proposal.message}" if proposal.summary else proposal.message)
    pools = _names([*proposal.pools, *read.pools], rules.MOST_POOLS)
    impact = _line(proposal.impact, rules.LONGEST_IMPACT)
    return {
        "summary": summary,
        "message": message,
        "impact": impact,
        "kind": _kind(proposal, read, source),
        "system_id": systems.get(proposal.system) or source.default_system_id,
        "author": messages.name_of(_line(proposal.author, rules.LONGEST_NAME)),
        "reviewers": _names([*proposal.reviewers, *read.reviewers], rules.MOST_LINKS),
        "bugs": _bugs(proposal, read, impact),
        "pools": pools,
        "platforms": list(
            dict.fromkeys(map(str, [*proposal.platforms, *read.platforms, *messages.platforms_of(proposal.pools)]))
        ),
        "links": _links(proposal),
        "files": _names(proposal.files, rules.MOST_FILES),
        "files_count": (len(proposal.files) or None) if proposal.files_count is None else proposal.files_count,
        **_moment("authored", proposal.authored_at),
        **_moment("effective", proposal.effective_at),
    }, read.takes_back  # fmt: skip


def _kind(proposal: Proposal, read: Read, source: Source) -> str:
    told = proposal.kind or read.kind
    return told if told in _KINDS else source.default_kind


def _bugs(proposal: Proposal, read: Read, impact: str) -> list[int]:
    named = [*proposal.bugs[: rules.MOST_BUGS], *read.bugs, *(messages.bugs_of(impact) if impact else ())]
    return [bug for bug in dict.fromkeys(named) if 0 < bug < 2**31][:MOST_BUGS_IN_WORDS]


def _links(proposal: Proposal) -> list[dict]:
    links = proposal.links[: rules.MOST_LINKS]
    return [{"title": _line(title, 120), "url": _line(url, 360)} for title, url in links]


def _names(values: Iterable[str], most: int) -> list[str]:
    cleaned = (_line(str(value), rules.LONGEST_NAME) for value in islice(values, most * 4))
    return [name for name in dict.fromkeys(cleaned) if name][:most]


def _line(text: str, most: int) -> str:
    """Clean a line as `clean_line` does, in a tenth of its time where there is nothing to clean."""
    if text.isascii() and text.isprintable() and len(text) <= most:
        return " ".join(text.split())
    return clean_line(text, most)


def _moment(name: str, at: datetime | None) -> dict:
    if at is not None and not 2 <= at.year <= 9998:
        at = None  # at the ends of the calendar the same moment is no date in another zone
    return {f"{name}_at": at and at.astimezone(UTC), f"{name}_offset": offset_of(at)}


def offset_of(at: datetime | None) -> int:
    """Return the minutes east of UTC that a moment was told with."""
    return 0 if at is None else int(at.utcoffset().total_seconds() // 60)


def landings_of(proposal: Proposal) -> list[dict]:
    """Return the stored values of a proposal's landings, one for each repository: what is told later counts."""
    landings = (landing_of(landing) for landing in proposal.landings)
    return list({landing["repository"]: landing for landing in landings}.values())


def landing_of(landing: LandedAt) -> dict:
    """Return the stored values of one landing."""
    return {
        "repository": _line(landing.repository, rules.LONGEST_NAME),
        "at": landing.at.astimezone(UTC),
        "offset": offset_of(landing.at),
        "pusher": _line(landing.pusher, rules.LONGEST_NAME).partition("@")[0],
        "push_id": _line(str(landing.push_id), 80),
        "revision": _line(landing.revision, 80).lower(),
        "url": _line(landing.url, 360),
    }


def is_sane(moment: datetime | None, at: datetime) -> bool:
    """Answer whether something may have happened then: not before 1990, and no more than a year after `at`."""
    return moment is not None and moment.year >= rules.EARLIEST_YEAR and moment <= at + rules.FURTHEST_AHEAD


def place(change: Change, landings: Iterable[dict], otherwise: datetime, at: datetime) -> None:
    """Set where and when a change landed, and the moment that it is sorted by.

    A moment that cannot be (`is_sane` at `at`) is kept as it was told, and decides nothing: 1970 and 2100 would be
    the first and the last page for ever.
    """
    landings = sorted(landings, key=lambda one: one["at"])
    change.repositories = list(dict.fromkeys(one["repository"] for one in landings))
    first = landings[0] if landings else None
    change.landed_at, change.landed_offset = (first["at"], first["offset"]) if first else (None, 0)
    change.push = (
        f"{first['repository']} {first['push_id']}"[: rules.LONGEST_NAME] if first and first["push_id"] else ""
    )
    told = (change.effective_at, change.landed_at, change.authored_at)
    change.at = next((moment for moment in told if is_sane(moment, at)), otherwise)
