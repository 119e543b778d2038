"""What may be said of a tree, how sure we are of it, and how often the service is asked. Pure.

The words are treestatus's own (domain.md, A2). An unknown tree is neither open nor closed (safety.md F56).
"""

import re
from datetime import datetime, timedelta

from django.db.models import TextChoices

#: Every minute while something is planned or closed, else every five.
OFTEN, SELDOM = timedelta(minutes=1), timedelta(minutes=5)
#: Two of the slower polls did not come: what is known is old, and is said to be.
STALE_AFTER = timedelta(minutes=10)
#: A service that fails is asked less and less often, yet every five minutes at least: trees are closed meanwhile.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=5)
#: As far as we follow a service that asks us to wait.
LONGEST_WAIT = timedelta(hours=1)
#: A tree that was closed longer ago stays closed for good, as project branches do: nobody waits for it every minute.
CLOSED_FOR_GOOD = timedelta(days=7)
#: What pages draw and count.
LATELY = timedelta(days=30)

LONGEST_NAME = 64
LONGEST_REASON = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class Status(TextChoices):
    """What the service says of a tree."""

    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"
    APPROVAL = "approval required", "Approval required"


class Standing(TextChoices):
    """How a tree stands, as far as we know: its status, or that there is none to rely on."""

    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"
    APPROVAL = "approval required", "Approval required"
    UNKNOWN = "unknown", "Not known"
    GONE = "gone", "Gone from the service"


class Freshness(TextChoices):
    """How sure we are of what is known."""

    FRESH = "fresh", "Fresh"
    STALE = "stale", "Stale"
    UNAVAILABLE = "unavailable", "Unavailable"
    UNREAD = "unread", "Not read yet"
    BY_HAND = "by hand", "Said by hand"


#: What may be relied on; the rest is the last that was heard.
SURE = frozenset({Freshness.FRESH, Freshness.BY_HAND})


class Category(TextChoices):
    """Why a tree is closed, in treestatus's eight words."""

    BACKLOG = "backlog", "Job backlog"
    COMPILATION = "checkin_compilation", "Check-in compilation failure"
    TEST = "checkin_test", "Check-in test failure"
    PLANNED = "planned", "Planned closure"
    MERGES = "merges", "Merges"
    COVERAGE = "waiting_for_coverage", "Waiting for coverage"
    INFRA = "infra", "Infrastructure related"
    OTHER = "other", "Other"


NO_CATEGORY = "No category"


class TreeCategory(TextChoices):
    """What sort of tree it is, as Lando tells."""

    DEVELOPMENT = "development", "Development"
    STABILIZATION = "release_stabilization", "Release stabilization"
    TRY = "try", "Try"
    COMM = "comm_repos", "Comm repositories"
    OTHER = "other", "Other"


class Source(TextChoices):
    """How we know of an event."""

    TOLD = "told", "told by the service"  # with its own time
    SEEN = "seen", "seen by a poll"  # the time is ours: it happened since the poll before
    BY_HAND = "by hand", "said by hand"


#: What an event leads to when a tree is no longer in the service's answer.
GONE = "gone"


def standing_of(status: str, is_gone: bool = False, is_ours: bool = True) -> Standing:
    """Return how a tree stands that was last told as `status`. `is_ours`: told by what is configured now."""
    if not is_ours:
        return Standing.UNKNOWN
    if is_gone or status == GONE:
        return Standing.GONE
    return Standing(status) if status in Status.values else Standing.UNKNOWN


def is_open(standing: Standing) -> bool | None:
    """Answer whether one may push, with approval where it is required; None where nobody knows."""
    if standing in (Standing.OPEN, Standing.APPROVAL):
        return True
    return False if standing == Standing.CLOSED else None


def freshness_of(read_at: datetime | None, failures: int, at: datetime) -> Freshness:
    """Return how sure we are of what the service told last at `read_at`."""
    if failures:
        return Freshness.UNAVAILABLE
    if read_at is None:
        return Freshness.UNREAD
    # What lies ahead tells nothing either: then the clock was put back.
    return Freshness.FRESH if abs(at - read_at) <= STALE_AFTER else Freshness.STALE


def category_of(tags) -> str:
    """Return the category that a closure's tags name, or "": the service takes any words."""
    return next((tag for tag in tags if tag in Category.values), "")


def category_label(category: str) -> str:
    """Return how a category is called on pages."""
    return Category(category).label if category in Category.values else NO_CATEGORY


def is_name(name: str) -> bool:
    """Answer whether a tree may be called so: it stands in addresses, records and notices."""
    return len(name) <= LONGEST_NAME and _NAME.fullmatch(name) is not None


def why_not_close(reason: str, category: str) -> str:
    """Return the sentence that refuses a closure, or "": the service itself would take it without either."""
    if not reason.strip():
        return "Say why it is closed: everybody who cannot push reads it."
    if category not in Category.values:
        return "Choose a category: a closure needs a reason and a category."
    return ""


def pause(failures: int) -> timedelta:
    """Return how long a service rests after so many failures in a row: half a minute, doubled, at most five."""
    return min(FIRST_PAUSE * 2 ** min(max(failures - 1, 0), 10), LONGEST_PAUSE)


def is_due(
    tried_at: datetime | None, blocked_until: datetime | None, every: timedelta, at: datetime, late_by: timedelta
) -> bool:
    """Answer whether the service is asked now, where it is asked `every` so often."""
    if tried_at is None or tried_at > at:
        return True  # what lies ahead tells nothing: the clock was put back
    turn = max(tried_at + every, blocked_until or tried_at)
    return at >= turn + late_by
