"""Stretches of time that everybody may know of, downtimes and closures, told by apps that nobody here imports.

Each app registers a provider in its `AppConfig.ready()`. It tells public facts only.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Interval:
    """One public stretch of time. Moments are aware; `url` is a path of this site; `words` are one line.

    `identity` is that of the change which tells of the same (`ciduty:downtime:17`), or "".
    """

    title: str
    starts_at: datetime
    ends_at: datetime
    kind: str  # as pages name it: "downtime", "closure"
    url: str = ""
    words: str = ""
    trees: tuple[str, ...] = ()
    identity: str = ""


Provider = Callable[[datetime, datetime, datetime], Iterable[Interval]]

_providers: dict[str, Provider] = {}


def register(name: str, provider: Provider) -> None:
    """Make a provider known: it gets since, until and now. Raises ValueError when its name means another one."""
    if _providers.get(name, provider) != provider:
        raise ValueError(f"two providers of intervals are called {name!r}")
    _providers[name] = provider


def between(since: datetime, until: datetime, at: datetime) -> list[Interval]:
    """Return what overlaps the time from `since` to `until`, both included, as known at `at`; by their starts."""
    told = [one for provider in _providers.values() for one in provider(since, until, at)]
    overlapping = (one for one in told if one.starts_at <= until and one.ends_at >= since)
    return sorted(overlapping, key=lambda one: (one.starts_at, one.ends_at, one.title))
