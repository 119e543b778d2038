"""What a change of trees wants: its shapes, and why one cannot be written. Pure; what stands there now decides later.

`wants` is one of
    {"trees": [names], "status": "closed", "reason": words, "tags": [categories], "remember": True}
    {"trees": [one name], "motd": words}
    {"each": [{"tree": name, "status": ..., "reason": ..., "tags": [...]}]}: give each tree back what it had
and `seen` what the person who decided saw: {name: {"status": ..., "reason": ..., "log_id": number or None}}, for a
message of the day {name: {"motd": words}}. What became of each tree is `found`: {name: {"did": one of the words below,
"log_id": the number of its log entry or None, "why": a sentence or ""}}; where ours stands on what somebody else made
of it in the moment before, "below" is that: {"status": ..., "reason": ..., "tags": [...], "log_id": number}.
"""

from dataclasses import dataclass

from ciduty.bugzilla.cleaning import clean_text
from ciduty.outbox.changes import Unwritable
from ciduty.trees import rules
from ciduty.trees.rules import LONGEST_REASON, Status

#: What became of a tree. `done` with no number, while its row is under way: the service took it and does not show it.
DONE, ALREADY, NOT_OURS, GONE = "done", "already", "not ours", "gone"
#: The service's column; a longer one is a 500 there.
LONGEST_NAME = 32
MOST_TAGS = 10


@dataclass(frozen=True)
class Want:
    """What one tree shall be; words as the service gives them back."""

    name: str
    status: str = ""
    reason: str = ""
    tags: tuple[str, ...] = ()
    motd: str | None = None
    remember: bool = False

    @property
    def is_motd(self) -> bool:
        """Answer whether only the message of the day is to change: the service logs none."""
        return self.motd is not None

    @property
    def closes(self) -> bool:
        """Answer whether nobody shall push any more."""
        return self.status == Status.CLOSED

    @property
    def change(self) -> dict:
        """Return it as the service takes it. Trees of equal changes go in one request."""
        if self.is_motd:
            return {"message_of_the_day": self.motd}
        change = {"status": self.status, "reason": self.reason, "tags": list(self.tags)}
        return change | ({"remember": True} if self.remember else {})

    @property
    def in_words(self) -> str:
        """Return what it shall be, for a page."""
        if self.is_motd:
            return f"message of the day: {self.motd or '(none)'}"
        return in_words(self.status, self.reason, self.tags)


def in_words(status: str, reason: str, tags=()) -> str:
    """Return how a tree stands in a few words: closed: “hg is down” (infra)."""
    words = f"{status}: “{reason}”" if reason else status
    return words + (f" ({', '.join(tags)})" if tags else "")


def wanted(wants: dict) -> list[Want]:
    """Return what each tree shall be, in order."""
    if "motd" in wants:
        return [Want(name, motd=_clean(wants["motd"])) for name in wants["trees"]]
    if "each" in wants:
        return [_of(one["tree"], one) for one in wants["each"]]
    return [_of(name, wants, remember=bool(wants.get("remember"))) for name in wants["trees"]]


def gives_back(wants: dict) -> bool:
    """Answer whether it takes a closure away: then somebody else's must not be lost with it."""
    return "each" in wants or ("motd" not in wants and wants["status"] != Status.CLOSED)


@dataclass(frozen=True)
class Shown:
    """One tree of a change on a page: how it stood, what it shall be, and what became of it."""

    name: str
    seen: str
    wanted: str
    did: str
    why: str


def shown(wants: dict, seen: dict, found: dict) -> list[Shown]:
    """Return the trees of a change for a page, in order."""
    return [_shown(want, seen.get(want.name, {}), found.get(want.name, {})) for want in wanted(wants)]


def _shown(want: Want, seen: dict, found: dict) -> Shown:
    was = in_words(seen.get("status") or "", seen.get("reason") or "")
    if want.is_motd:
        was = seen.get("motd", "")
    return Shown(want.name, was, want.in_words, found.get("did", ""), found.get("why", ""))


def check(wants: dict, seen: dict) -> None:
    """Raise Unwritable for what must not go out, or what the service would take and should not."""
    try:
        every = wanted(wants)
    except (KeyError, TypeError, AttributeError):
        raise Unwritable("A change of trees names its trees, and what they shall be") from None
    names = [want.name for want in every]
    if not names or len(set(names)) < len(names):
        raise Unwritable("A change of trees names each of its trees once")
    for want in every:
        problem = _problem(want) or ("" if want.name in seen else f"Nobody said how {want.name} stood when it was seen")
        if problem:
            raise Unwritable(problem)
    if "motd" in wants and len(names) > 1:
        raise Unwritable("The message of the day is changed one tree at a time")
    if "each" not in wants and every[0].closes:
        problem = rules.why_not_close(every[0].reason, rules.category_of(every[0].tags))
        if problem:
            raise Unwritable(problem)


def _problem(want: Want) -> str:
    if not rules.is_name(want.name) or len(want.name) > LONGEST_NAME:
        return f"{want.name[:LONGEST_NAME]!r} is no name of a tree"
    if not want.is_motd and want.status not in Status.values:
        return f"{want.status!r} is no status of a tree: use open, closed or approval required"
    if len(want.tags) > MOST_TAGS or not all(isinstance(tag, str) for tag in want.tags):
        return f"The categories of {want.name} are at most {MOST_TAGS} words"
    return ""


def _of(name: str, given: dict, remember: bool = False) -> Want:
    return Want(name, given["status"], _clean(given["reason"]), tuple(given["tags"]), remember=remember)


def _clean(words: str) -> str:
    return clean_text(words, LONGEST_REASON).strip()
