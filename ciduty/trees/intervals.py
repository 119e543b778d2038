"""When trees were closed, as everybody may know it: for jobs that set closures beside what else happened."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from ciduty.trees import confidential, stretches
from ciduty.trees.rules import category_label


@dataclass(frozen=True)
class ClosedInterval:
    """That one tree was closed. Moments are aware; `category` is as pages name it, `reason` as everybody may read it.

    `ends_at` is the moment of asking where the tree is closed still (`goes_on`); `url` is a path of this site.
    """

    tree: str
    category: str
    reason: str
    starts_at: datetime
    ends_at: datetime
    goes_on: bool
    url: str


def closures_between(since: datetime, until: datetime, at: datetime) -> list[ClosedInterval]:
    """Return the closures that overlap the time from `since` to `until`, both included, as known at `at`."""
    found = [one for one in stretches.between(since, until) if one.starts_at <= at]
    private = confidential.private_among(one.reason for one in found)
    return [
        ClosedInterval(
            tree=one.tree,
            category=category_label(one.category),
            reason=confidential.public(one.reason, private),
            starts_at=one.starts_at,
            ends_at=max(at, one.starts_at) if one.ends_at is None else one.ends_at,
            goes_on=one.ends_at is None,
            url=reverse("tree", args=[one.tree]),
        )
        for one in found
    ]
