"""Why something is said: apps register a purpose with its two hooks, and rows name it. No app is imported here."""

from collections.abc import Callable
from dataclasses import dataclass

from ciduty.outbox.models import Delivery


@dataclass(frozen=True)
class Stop:
    """A row must not go now: it is held for a person, or, `for_good`, cancelled. `why` is a sentence."""

    why: str
    for_good: bool = False


def _always(row: Delivery) -> Stop | None:
    return None


def _nothing(row: Delivery) -> None:
    pass


@dataclass(frozen=True)
class Purpose:
    """What a row is for.

    `may_still_go` is asked inside the claiming transaction, at each try; it only reads. `happened` is called when the
    row was accepted, failed, bounced or was cancelled, until it succeeds; it must be safe to call twice.
    """

    name: str  # in rows: "loaners: answer"
    label: str  # on pages: "Answer to a loaner request"
    may_still_go: Callable[[Delivery], Stop | None] = _always
    happened: Callable[[Delivery], None] = _nothing


_registry: dict[str, Purpose] = {}


def register(purpose: Purpose) -> None:
    """Make a purpose known; called from `AppConfig.ready()`. Raises ValueError when its name means something else."""
    if _registry.get(purpose.name, purpose) != purpose:
        raise ValueError(f"two purposes are called {purpose.name!r}")
    _registry[purpose.name] = purpose


def named(name: str) -> Purpose | None:
    """Return a purpose by its name, or None for one that no app of this version knows."""
    return _registry.get(name)


def label_of(row: Delivery) -> str:
    """Return what a row is for, for a reader."""
    purpose = named(row.purpose)
    return purpose.label if purpose else row.purpose
