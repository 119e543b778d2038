"""What jobs do when its time has come, with the database alone: the registry that the tick works through.

Each job registers its own in `AppConfig.ready()`; no job is imported here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


class WorkFailed(RuntimeError):
    """A work was due and could not be done; the message says why."""


@dataclass(frozen=True)
class Work:
    """One kind of due work: `do` takes how late it must be and returns what it did, in a few words."""

    name: str
    do: Callable[[timedelta], str]


#: Done after the poll and before what is said leaves, so that it leaves in the same tick.
of_jobs: list[Work] = []


def register(work: Work) -> None:
    """Have a work done with every tick; to register it twice does no harm."""
    if work not in of_jobs:
        of_jobs.append(work)
