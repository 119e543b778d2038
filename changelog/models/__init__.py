"""What is stored of changes, of the sources they come from, of questions about them, and of who gets a digest."""

from changelog.models.asking import Question, Verdict
from changelog.models.changes import Backout, BugOfChange, Change, DayCount, Landing, PublicVersion, Revision
from changelog.models.digests import Subscription
from changelog.models.sources import SeenRevision, Source, SyncState

__all__ = [
    "Backout", "BugOfChange", "Change", "DayCount", "Landing", "PublicVersion", "Question", "Revision", "SeenRevision",
    "Source", "Subscription", "SyncState", "Verdict",
]  # fmt: skip
