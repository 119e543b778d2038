"""Which changes name a bug that is not public, and what is done when one turns private (design.md, decision 3).

Such a change waits until a person has worded it for that very bug; then those words alone are shown.
"""

from collections.abc import Collection, Iterable

from changelog import index
from changelog.models import BugOfChange, Change, SyncState
from ciduty.bugzilla.models import Bug, Visibility

AT_ONCE = 500


def not_public(bug_ids: Collection[int]) -> frozenset[int]:
    """Return those of these bugs whose words are not public, as far as the mirror knows them. One query."""
    if not bug_ids:
        return frozenset()
    private = Bug.objects.filter(pk__in=bug_ids).exclude(visibility=Visibility.PUBLIC)
    return frozenset(private.values_list("pk", flat=True))


def waits_for_words(bugs: Iterable[int], confirmed_for: Iterable[int], private: Collection[int]) -> bool:
    """Answer whether a change that names these bugs must not be public as it is worded now."""
    return bool(set(bugs) & set(private) - set(confirmed_for))


def follow() -> int:
    """Take from the public what names a bug that turned private since; returns how many were looked at."""
    state, _ = SyncState.objects.get_or_create(pk=1)
    newest, seen = state.stamp, 0
    while batch := list(Bug.objects.changed_since(newest).values_list("pk", "stamp")[:AT_ONCE]):
        # One answer of Bugzilla is one stamp: all of it is looked at, however few were asked for here.
        bugs = list(Bug.objects.filter(stamp__gt=newest, stamp__lte=batch[-1][1]).values_list("pk", flat=True))
        changes = BugOfChange.objects.filter(bug_id__in=bugs).values_list("change_id", flat=True)
        touched = list(Change.objects.filter(pk__in=set(changes)).values_list("pk", flat=True))
        for start in range(0, len(touched), AT_ONCE):
            with index.reindexing(touched[start : start + AT_ONCE], not_public):
                pass
        seen += len(touched)
        newest = batch[-1][1]
    if newest != state.stamp:
        SyncState.objects.filter(pk=1).update(stamp=newest)
    return seen
