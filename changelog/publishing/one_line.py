"""One line that somebody says: "autoland: bumped worker image to 42, bug 1899999". Pure; who publishes is elsewhere.

The habit keeps a log alive (Wikimedia's server admin log): five seconds, no form.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from changelog import messages
from changelog.rules import Kind

_PREFIX = re.compile(r"\s*([^:]{1,200}?)\s*:(?!//)\s*(\S.*)", re.DOTALL)
#: Words that tell the kind where the message's own rules leave it open; the first that is found decides.
_WORDS = (
    (Kind.IMAGE, r"images?|amis?"),
    (Kind.DOWNTIME, r"downtime|maintenance window"),
    (Kind.TREE, r"trees?|closed|reopened|backlog"),
    (Kind.HARDWARE, r"hardware|racks?|rack(?:ed)|disks?|firmware|moonshots?|chassis|switch(?:es)?|re-?imaged"),
    (Kind.DEPLOY, r"deploy(?:ed|s|ment)?|roll(?:ed)? out|released|upgrad(?:e|ed|es)|rolled back"),
    (Kind.SERVICE, r"restart(?:ed)?|outage|services?|load balancers?|certificates?|dns"),
    (Kind.PROCESS, r"rota|on call|process|policy|procedure|hand-?over"),
)
_KINDS = [(kind, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for kind, words in _WORDS]


@dataclass(frozen=True)
class Place:
    """What a name before the colon stands for: a system of the catalogue, a repository, or both."""

    system: str = ""  # a slug
    repository: str = ""
    kind: str = ""  # of what comes from there, unless the words tell otherwise


@dataclass(frozen=True)
class Said:
    """What one line says."""

    summary: str
    place: Place
    kind: str  # "" where nothing tells
    bugs: tuple[int, ...] = ()


def parse(line: str, places: Mapping[str, Place]) -> Said:
    """Return what a line says. `places`: by their names in lower case; another prefix belongs to the summary."""
    line = " ".join(line.split())
    prefix = _PREFIX.fullmatch(line)
    place = places.get(prefix[1].casefold()) if prefix else None
    summary = prefix[2] if place else line
    read = messages.read(line)
    return Said(
        summary, place or Place(), str(read.kind) or _kind_of(summary) or (place.kind if place else ""), read.bugs
    )


def _kind_of(summary: str) -> str:
    return next((str(kind) for kind, words in _KINDS if words.search(summary)), "")
