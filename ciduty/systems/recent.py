"""How much has changed in each system lately: the change log tells, and registers here; no job is imported.

Registered in `AppConfig.ready()` of the job that knows. Without it the catalogue leaves the figures out.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from ciduty.systems.models import System

LATELY = timedelta(days=7)


@dataclass(frozen=True)
class Teller:
    """Who knows.

    `count` takes numbers of systems, a moment and a length of time before it, and returns how many public changes each
    of them had; `address_of` takes a system, with the moment and the length or without, and returns the page that lists
    its changes.
    """

    count: Callable[[Collection[int], datetime, timedelta], dict[int, int]]
    address_of: Callable[..., str]


@dataclass(frozen=True)
class Changes:
    """What changed in one system: how many changes lately, where those are read, and where all are."""

    count: int
    lately: str
    all: str


_tellers: list[Teller] = []


def register(teller: Teller) -> None:
    """Say who knows; to say it twice does no harm."""
    if teller not in _tellers:
        _tellers.append(teller)


def changes_of(systems: Collection[System], at: datetime) -> dict[int, Changes]:
    """Return what changed in these systems in the seven days up to a moment, by number; {} where nobody tells."""
    if not _tellers:
        return {}
    teller = _tellers[0]
    counts = teller.count([system.pk for system in systems], at, LATELY)
    return {
        system.pk: Changes(counts.get(system.pk, 0), teller.address_of(system, at, LATELY), teller.address_of(system))
        for system in systems
    }
