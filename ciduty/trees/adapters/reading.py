"""Reads a tree status service of either generation, and gives back values. No rows, no decisions.

Standalone: https://github.com/mozilla-releng/treestatus (routes at the root). Lando: the same reads under
/api/treestatus/ (https://github.com/mozilla-conduit/lando). Of both only `/trees` tells the truth: the route of a
single tree is remembered for five minutes. `/trees/{tree}/logs` is not; it says when and by whom.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from urllib.parse import quote

from ciduty.bugzilla.cleaning import clean_line, clean_text
from ciduty.trees.adapters import http
from ciduty.trees.adapters.http import NotHere, Unavailable
from ciduty.trees.rules import LONGEST_REASON, is_name

STANDALONE, LANDO = "standalone", "lando"
PREFIX = "/api/treestatus"
#: Seconds for all questions of one poll.
POLL_WITHIN = 45
MOST_TREES = 1000
MOST_TAGS = 10
_MOST_NUMBER = 2**63 - 1
_WORD = 40


@dataclass(frozen=True)
class TreeTold:
    """One tree as the service tells it now; `category` is "" where this generation knows none."""

    name: str
    status: str
    reason: str
    motd: str
    tags: tuple[str, ...]
    log_id: int | None
    category: str


@dataclass(frozen=True)
class LogTold:
    """One entry of a tree's log; `at` is the service's own time, aware."""

    id: int
    at: datetime
    status: str
    reason: str
    tags: tuple[str, ...]
    by: str


@dataclass(frozen=True)
class Told:
    """All trees by name, and how this service speaks. `left_out` trees have names that cannot be used."""

    trees: dict[str, TreeTold]
    generation: str
    base: str
    left_out: int


class Reader:
    """The questions of one poll to the service at an address; `base` is where its routes stood last."""

    def __init__(self, address: str, base: str = "", seconds: float = POLL_WITHIN):
        self._address, self._ends = address.rstrip("/"), monotonic() + seconds
        bases = [""] if self._address.endswith(PREFIX) else ["", PREFIX]
        self._bases = sorted(bases, key=lambda one: one != base)

    def trees(self) -> Told:
        """Return every tree. Raises Unavailable: whatever is no whole answer is none."""
        first = None
        for base in self._bases:
            try:
                answer = self._get(f"{base}/trees").json("its trees")
            except NotHere as problem:
                first = first or problem
                continue
            self._bases = [base]
            return _told(answer, base, self._address + base)
        raise first

    def logs(self, name: str) -> list[LogTold]:
        """Return the newest five entries of a tree's log, the oldest first. Raises Unavailable."""
        answer = self._get(f"{self._bases[0]}/trees/{quote(name, safe='')}/logs").json("the log of a tree")
        entries = _result(answer, list, "the log of a tree")
        return sorted((_log(one) for one in entries), key=lambda one: one.id)

    def _get(self, path: str) -> http.Answer:
        left = self._ends - monotonic()
        if left < 0.1:
            raise Unavailable("Its answers took too long, all together")
        return http.get(self._address + path, within=min(http.ALL_WITHIN, left))


def _told(answer, base: str, where: str) -> Told:
    result = _result(answer, dict, "its trees")
    if len(result) > MOST_TREES:
        raise Unavailable(f"It tells of more than {MOST_TREES} trees")
    is_lando = any(isinstance(one, dict) and "category" in one for one in result.values())
    is_lando = is_lando or (not result and where.endswith(PREFIX))
    trees = {name: _tree(name, one) for name, one in result.items()}
    usable = {name: tree for name, tree in trees.items() if is_name(name)}
    return Told(usable, LANDO if is_lando else STANDALONE, base, len(trees) - len(usable))


def _result(answer, kind: type, what: str):
    result = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(result, kind):
        raise Unavailable(f"Its answer about {what} has not the shape of a tree status: check TREESTATUS_URL")
    return result


def _tree(name: str, told) -> TreeTold:
    if not isinstance(told, dict) or told.get("tree", name) != name or not _text(told, "status").strip():
        raise Unavailable("Its answer about its trees has not the shape of a tree status: check TREESTATUS_URL")
    return TreeTold(
        name=name,
        status=clean_line(_text(told, "status"), _WORD),
        reason=clean_text(_text(told, "reason"), LONGEST_REASON).strip(),
        motd=clean_text(_text(told, "message_of_the_day"), LONGEST_REASON).strip(),
        tags=_tags(told),
        log_id=_number(told.get("log_id")),
        category=clean_line(_text(told, "category"), _WORD),
    )


def _log(told) -> LogTold:
    if not isinstance(told, dict) or _number(told.get("id")) is None:
        raise Unavailable("Its answer about the log of a tree has not the shape of a tree status")
    return LogTold(
        id=told["id"],
        at=_moment(told.get("when")),
        status=clean_line(_text(told, "status"), _WORD),
        reason=clean_text(_text(told, "reason"), LONGEST_REASON).strip(),
        tags=_tags(told),
        by=clean_line(_text(told, "who"), 255),
    )


def _text(told: dict, name: str) -> str:
    value = told.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unavailable(f"Its answer has something other than words as {name}")
    return value


def _tags(told: dict) -> tuple[str, ...]:
    tags = told.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Unavailable("Its answer has something other than words as tags")
    return tuple(clean_line(tag, _WORD) for tag in tags[:MOST_TAGS])


def _number(value) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_NUMBER:
        raise Unavailable("Its answer has something other than a number as log_id")
    return value


def _moment(told) -> datetime:
    """Return a moment of either generation: microseconds and +00:00, or milliseconds and Z."""
    try:
        at = datetime.fromisoformat(told)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Unavailable("Its answer about the log of a tree names a moment that is none") from None
