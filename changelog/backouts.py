"""Ties what takes something back to what it takes back, whichever of both was told first."""

from collections.abc import Collection, Iterable

from django.db.models import Q
from django.db.models.functions import Left

from changelog.models import Backout, Change

#: As many digits of a revision at least are written in words.
SHORTEST = 7
_PARTS_AT_ONCE = 100  # SQLite takes no expression of a thousand parts


def tie(takes_back: Iterable[tuple[int, Iterable[str]]]) -> None:
    """Record what changes take back, by the change's number; what is not on record yet is tied when it comes."""
    backouts = [
        Backout(change_id=change, revision=revision)
        for change, revisions in takes_back
        for revision in dict.fromkeys(revisions)
    ]
    if not backouts:
        return
    found = _named_by({backout.revision for backout in backouts})
    for backout in backouts:
        undone = found.get(backout.revision)
        backout.undoes_id = undone if undone != backout.change_id else None
    Backout.objects.bulk_create(backouts, batch_size=500)


def tie_again(change_id: int, revisions: Collection[str]) -> None:
    """Record what a corrected change takes back now, and forget what it does not name any more."""
    there = set(Backout.objects.filter(change_id=change_id).values_list("revision", flat=True))
    if gone := there - set(revisions):
        Backout.objects.filter(change_id=change_id, revision__in=gone).delete()
    tie([(change_id, [revision for revision in revisions if revision not in there])])


def tie_waiting(changes: Iterable[Change]) -> None:
    """Tie backouts that were told before these changes to them."""
    mine: dict[str, list[Change]] = {}
    for change in changes:
        scheme, _, revision = change.identity.partition(":")
        if scheme in ("hg", "git"):
            mine.setdefault(revision[:SHORTEST], []).append(change)
    waiting = Backout.objects.filter(undoes=None).alias(head=Left("revision", SHORTEST)).filter(head__in=list(mine))
    for backout in waiting if mine else ():
        named = [
            change
            for change in mine[backout.revision[:SHORTEST]]
            if _names(backout.revision, change.identity) and change.pk != backout.change_id
        ]
        if len(named) == 1:
            Backout.objects.filter(pk=backout.pk).update(undoes=named[0])


def _names(revision: str, identity: str) -> bool:
    """Answer whether a revision, as it is written, is this change: hg's are known by their first twelve digits."""
    scheme, _, known = identity.partition(":")
    return known.startswith(revision) or (scheme == "hg" and revision.startswith(known))


def _named_by(revisions: set[str]) -> dict[str, int]:
    """Return the changes that these revisions name, by revision; one that names several is left out."""
    found: dict[str, set[int]] = {}
    ordered = sorted(revisions)
    for start in range(0, len(ordered), _PARTS_AT_ONCE):
        part = ordered[start : start + _PARTS_AT_ONCE]
        heads: dict[str, list[str]] = {}
        for revision in part:
            heads.setdefault(revision[:SHORTEST], []).append(revision)
        for pk, identity in Change.objects.filter(_one_of(part)).values_list("pk", "identity"):
            for revision in heads.get(identity.partition(":")[2][:SHORTEST], ()):
                if _names(revision, identity):
                    found.setdefault(revision, set()).add(pk)
    return {revision: pks.pop() for revision, pks in found.items() if len(pks) == 1}


def _one_of(revisions: list[str]) -> Q:
    """Return the condition that a change is named by one of these: written so that an index finds each."""
    asked = Q(identity__in=[f"hg:{revision[:12]}" for revision in revisions])
    for revision in revisions:
        for scheme in ("git", "hg") if len(revision) < 12 else ("git",):
            asked |= Q(identity__gte=f"{scheme}:{revision}", identity__lt=f"{scheme}:{revision}g")
    return asked
