"""The question, from words to moments: what broke, what was good before, where it broke; and its permalink.

A push, a bug or a moment is looked up here; what changed between is `answer.py`. Nothing here depends on who asks.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from urllib.parse import urlencode

from django.http import QueryDict

from changelog import messages
from changelog.before import moments, revisions
from changelog.before.revisions import Pushed
from changelog.before.suspects import span
from changelog.index import fold
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.systems.models import System
from ciduty.typed import MOST_BUG

LONGEST_WORDS = 300
DEFAULT_BACK = 24
#: How far back, in hours: from "just now" to two weeks, which is longer than anybody bisects by hand.
BACK = {1: "1 hour", 3: "3 hours", 6: "6 hours", 12: "12 hours", 24: "24 hours", 48: "2 days", 96: "4 days",
        168: "7 days", 336: "14 days"}  # fmt: skip
LONGEST_BACK = timedelta(hours=max(BACK))
#: One sentence for a bug that is not public and for one that nobody knows: it tells neither from the other.
NO_SUCH_BUG = "Nothing public is known of bug {}: give the moment at which it broke instead, like 2026-11-21 14:30 UTC."

_BUG = re.compile(r"bugs?[\s:#]*(\d{1,10})|https?://\S+[?&]id=(\d{1,10})(?:[&#]\S*)?|(\d{1,8})", re.IGNORECASE)
_PUSH = re.compile(
    r"(?:(?:rev|revision|push|changeset|commit|hg|git)[\s:]+)?([0-9a-f]{7,40})(?:\s+(?:in|on)\s+(.{1,200}))?",
    re.IGNORECASE,
)
_PUSH_ADDRESS = re.compile(
    r"https?://\S*?(?:/([\w.-]+)/(?:rev|commit|commits|changeset)/|[?&](?:revision|changeset)=)([0-9a-f]{7,40})\b\S*",
    re.IGNORECASE,
)
_HEX = re.compile(r"[0-9a-f]+", re.IGNORECASE)


class CannotTell(ValueError):
    """A question whose words name no single moment. `str()` is a sentence; `candidates` are what may be meant."""

    def __init__(self, sentence: str, candidates: tuple[str, ...] = ()):
        super().__init__(sentence)
        self.candidates = candidates


@dataclass(frozen=True)
class Point:
    """One moment, as it was named: by itself, by a push or by a bug."""

    at: datetime
    text: str  # as the permalink has it
    words: str  # for a reader
    pushed: Pushed | None = None
    elsewhere: tuple[Pushed, ...] = ()  # where the same revision landed too
    bug: int | None = None


@dataclass(frozen=True)
class Asked:
    """A question that can be answered: the time between, and where it broke."""

    bad: Point
    good: Point | None = None
    back: int = DEFAULT_BACK  # hours; without a good one
    pool: str = ""
    platform: str = ""
    system: System | None = None

    @property
    def since(self) -> datetime:
        """Return the last good moment: what came at it or before is not asked for."""
        return self.good.at if self.good else self.bad.at - timedelta(hours=self.back)

    @property
    def until(self) -> datetime:
        """Return the moment it broke, which belongs to the time that is asked for."""
        return self.bad.at

    @property
    def length(self) -> str:
        """Return how long the time between is, in words."""
        return span(self.until - self.since)

    @property
    def platforms(self) -> frozenset[str]:
        """Return the platform that was asked for, or those that the pool's name tells of."""
        told = [self.platform] if self.platform else messages.platforms_of([self.pool]) if self.pool else []
        return frozenset(fold(one) for one in told)

    @property
    def query(self) -> str:
        """Return the question as its permalink asks it, the same for the same question."""
        return query_of(**self._facts)

    @property
    def _facts(self) -> dict:
        return {
            "bad": self.bad.text,
            "good": self.good.text if self.good else "",
            "back": self.back,
            "pool": self.pool,
            "platform": self.platform,
            "system": self.system.slug if self.system else "",
        }

    def narrowed(self, **facts) -> str:
        """Return the permalink's query of the same question with other facts: `pool`, `platform`, `system`, `bad`."""
        return query_of(**(self._facts | facts))


#: What an address need not escape: moments and pools stay readable.
SAFE = ":/"


def query_of(
    *, bad: str, good: str = "", back: int = DEFAULT_BACK, pool: str = "", platform: str = "", system=""
) -> str:
    """Return the query of a question, in one order and without what is usual anyway."""
    told = {"bad": bad, "good": good, "back": "" if good or back == DEFAULT_BACK else back, "pool": pool}
    told |= {"platform": platform, "system": system}
    return urlencode([(name, value) for name, value in told.items() if value], safe=SAFE)


def written_again(params: QueryDict) -> str:
    """Return parameters as a permalink writes them: the same text for one that is a permalink already."""
    return urlencode([(name, value) for name, values in params.lists() for value in values], safe=SAFE)


def point(text: str, zone: tzinfo, at: datetime, *, may_be_bug: bool = True) -> Point:
    """Return the moment that words name: a moment, a push (its revision or its address), a bug. Raises CannotTell."""
    text = " ".join(text.split())
    address = _PUSH_ADDRESS.fullmatch(text)
    if address:
        return _push(address[2], address[1] or "", text, is_sure=False)
    bug = _BUG.fullmatch(text)
    if bug:
        number = int(bug[1] or bug[2] or bug[3])
        if not may_be_bug:
            raise CannotTell("A bug has no last good moment: give a push or a moment here.")
        return _bug(number)
    push = _PUSH.fullmatch(text)
    if push:
        return _push(push[1], push[2] or "", text, is_sure=True)
    try:
        moment = moments.read(text, zone, at)
    except moments.NoMoment as problem:
        raise CannotTell(str(problem)) from None
    if moment is None:
        raise CannotTell(_no_idea(text))
    return _moment(moment)


def _moment(at: datetime) -> Point:
    return Point(at, moments.written(at), f"{at.astimezone(UTC):%a %-d %b %Y %H:%M} UTC")


def _no_idea(text: str) -> str:
    if _HEX.fullmatch(text):
        how = f"has {len(text)} digits, and a revision has {revisions.SHORTEST} to {revisions.LONGEST}"
        return f"“{text[:60]}” {how}: give at least its first {revisions.SHORTEST}."
    return (
        f"“{text[:60]}” is no moment, push or bug: write it like 2026-11-21 14:30 UTC, like 1f864da71bab, "
        "or like bug 1899999."
    )


def _bug(number: int) -> Point:
    row = Bug.objects.filter(pk=number).values_list("visibility", "created_at").first() if number <= MOST_BUG else None
    if row is None or row[0] != Visibility.PUBLIC or row[1] is None:
        raise CannotTell(NO_SUCH_BUG.format(number))
    at = row[1].replace(microsecond=0)
    return Point(at, f"bug {number}", f"bug {number}, filed {at:%a %-d %b %Y %H:%M} UTC", bug=number)


def _push(digits: str, tree: str, text: str, *, is_sure: bool) -> Point:
    """Return a push by its revision. `is_sure`: a tree that was typed, not guessed from an address."""
    digits = digits.lower()
    found = revisions.find(digits)
    named = revisions.revisions_of(found)
    if len(named) > 1:
        raise CannotTell(
            f"{digits} names {len(named)} revisions: choose one, or give more of its digits.", tuple(named)
        )
    if not found:
        raise CannotTell(
            f"No push with the revision {digits} is known. {revisions.what_was_read()} Give the moment instead, like "
            "2026-11-21 14:30 UTC."
        )
    there = [one for one in found if tree and fold(one.repository) == fold(tree)]
    if tree and is_sure and not there:
        trees = ", ".join(one.repository for one in found)
        raise CannotTell(f"{digits} is not known in {tree}: it landed in {trees}.")
    chosen = (there or found)[0]
    text = chosen.revision[: revisions.NAMED_BY] + (f" in {chosen.repository}" if chosen is not found[0] else "")
    when = f"{chosen.at.astimezone(UTC):%a %-d %b %Y %H:%M} UTC"
    words = f"push {chosen.revision[: revisions.NAMED_BY]} to {chosen.repository}, {when}"
    return Point(chosen.at, text, words, chosen, tuple(one for one in found if one is not chosen))


def why_not(bad: Point, good: Point | None, at: datetime) -> dict[str, str]:
    """Return why these moments make no question, by field; nothing when they do. `at` is now."""
    if bad.at > at:
        return {"bad": f"{bad.words} is still to come: it is {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC now."}
    if good is None or good.at < bad.at:
        return {}
    if good.at == bad.at:
        return {"good": "Good and bad are the same moment: nothing can have changed between."}
    return {
        "good": f"The good one ({good.words}) is later than the bad one ({bad.words}): give an earlier one, or swap "
        "them."
    }
