"""What exists of downtimes: planned (`planning.py`), and run (`running.py`)."""

from downtimes.models.planning import (
    Announcement,
    Answer,
    Ask,
    Downtime,
    DowntimeQuerySet,
    Item,
    ListUse,
    MailingList,
    Nomination,
    NoticeVersion,
    SyncState,
    Told,
)
from downtimes.models.running import CheckLink, Review, RunStep, RunTree

__all__ = [
    "Announcement", "Answer", "Ask", "CheckLink", "Downtime", "DowntimeQuerySet", "Item", "ListUse", "MailingList",
    "Nomination", "NoticeVersion", "Review", "RunStep", "RunTree", "SyncState", "Told",
]  # fmt: skip
