"""Who may read a bug's words: the one place that decides it (design.md, decision 3). Pure."""

from collections.abc import Iterable

from ciduty.bugzilla.models import Visibility


def offered(groups: Iterable[str], staff_groups: Iterable[str]) -> Visibility:
    """Return what a successful full read allows: any group means not public; all of them staff groups means STAFF."""
    groups = set(groups)
    if not groups:
        return Visibility.PUBLIC
    return Visibility.STAFF if groups <= set(staff_groups) else Visibility.RESTRICTED


def decided(offer: Visibility, held_back: bool) -> Visibility:
    """Return how a bug is shown: what was restricted once stays so until a person releases it (safety.md F14)."""
    return Visibility.RESTRICTED if held_back else offer
