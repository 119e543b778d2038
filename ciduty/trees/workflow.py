"""What duty does with trees where no service is configured: close them by hand, end a closure. Each on the record."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import transaction

from ciduty import access, clock
from ciduty.bugzilla.models import Bug, TrackedId
from ciduty.people.roles import Role
from ciduty.record import write
from ciduty.states import NotAllowed
from ciduty.trees import rules
from ciduty.trees.adapters import by_hand
from ciduty.trees.models import Closure, Tree

#: The mirror learns whether the bug of a closure is public.
TRACKED_BECAUSE = "a tree is closed for it"
A_SERVICE_SAYS = (
    "A tree status service is configured (TREESTATUS_URL), and its word counts: close and reopen trees there. The next "
    "poll shows it here."
)


def close_by_hand(
    names: Sequence[str], *, reason: str, category: str, bug: int | None = None, expected_end: datetime | None = None,
    by, op: str, about: str = "",
) -> list[Closure]:  # fmt: skip
    """Close trees, those that are not known yet too, and return the closures. The same form sent twice closes once.

    `about`: what they are closed for ("downtime 7"), which then ends them.

    Raises NotAllowed without a reason and a category, for a name that no tree has, and where a service is configured.
    """
    at = clock.now()
    _refuse_beside_a_service()
    problem = rules.why_not_close(reason, category) or _why_no_trees(names) or _why_not_until(expected_end, at)
    if problem:
        raise NotAllowed(problem)
    with transaction.atomic():
        closures = []
        for name in sorted(set(names)):
            Tree.objects.get_or_create(name=name, defaults={"status": "", "read_at": at})
            tree = Tree.objects.select_for_update().get(name=name)
            closure, is_new = Closure.objects.get_or_create(
                key=f"{op} {name}",
                defaults={
                    "tree": tree, "reason": reason, "category": category, "bug_id": bug, "owner": by,
                    "closed_at": at, "expected_end": expected_end, "about": about,
                },
            )  # fmt: skip
            closures.append(closure)
            if is_new:
                by_hand.settle(tree, str(by), at)
                label = rules.category_label(category)
                sentence = f"Closed {tree.about} by hand ({label}), as {closure}"
                write.entry(tree.about, "closed", sentence, by=by, at=at, after={"closure": closure.pk, "bug": bug})
        _follow(bug)
    return closures


def end_by_hand(closure: Closure, *, by) -> bool:
    """End a closure, and return whether its tree is open now: another one may still stand on it.

    Raises NotAllowed for somebody else's closure, one of a downtime, and where a service is configured. Ended twice it
    is ended once.
    """
    _refuse_beside_a_service()
    with transaction.atomic():
        tree = Tree.objects.select_for_update().get(pk=closure.tree_id)
        there = Closure.objects.select_related("owner").get(pk=closure.pk)
        problem = why_not_end(there.owner_id, str(there.owner or "ciduty"), there.about, by)
        if problem:
            raise NotAllowed(problem)
        if there.ended_at is None:
            at = clock.now()
            Closure.objects.filter(pk=there.pk).update(ended_at=at, ended_by=by)
            by_hand.settle(tree, str(by), at)
            write.entry(tree.about, "ended closure", f"Ended {there} of {tree.about}", by=by, at=at)
        tree.refresh_from_db()
    return tree.status == rules.Status.OPEN


def end_by_hand_for(about: str, names: Sequence[str], *, by) -> list[str]:
    """End what closes trees for a job, which looked whether all is well, and return the trees that are open now.

    A tree on which another closure stands stays closed. Raises NotAllowed where a service is configured.
    """
    _refuse_beside_a_service()
    at, opened = clock.now(), []
    with transaction.atomic():
        for tree in Tree.objects.select_for_update().filter(name__in=names).order_by("name"):
            ended = Closure.objects.standing().filter(tree=tree, about=about).update(ended_at=at, ended_by=by)
            if ended:
                by_hand.settle(tree, str(by), at)
                write.entry(tree.about, "ended closure", f"Ended what closed {tree.about} for {about}", by=by, at=at)
            tree.refresh_from_db()
            if tree.status == rules.Status.OPEN:
                opened.append(tree.name)
    return opened


def why_not_end(owner_id: int | None, owner: str, about: str, by) -> str:
    """Return the sentence that refuses to end a closure, or "": it is its owner's, or a lead's where they are away."""
    if about:
        return f"It was closed for {about}: reopen it on the run sheet, which looks first whether all is well."
    if not access.may_close_trees(by) or (owner_id != by.pk and access.role_of(by) != Role.LEAD):
        return f"{owner} closed it, and only they know whether it may open: ask them, or a lead. Nothing was changed."
    return ""


def _refuse_beside_a_service() -> None:
    if settings.TREESTATUS_URL:
        raise NotAllowed(A_SERVICE_SAYS)


def _why_no_trees(names: Sequence[str]) -> str:
    if not names:
        return "Name at least one tree."
    wrong = next((name for name in names if not rules.is_name(name)), None)
    return f"“{wrong}” is no name of a tree: they are made of letters, digits and . _ + -" if wrong is not None else ""


def _why_not_until(expected_end: datetime | None, at: datetime) -> str:
    if expected_end is not None and expected_end <= at:
        return f"It cannot be expected to open at {expected_end:%Y-%m-%d %H:%M} UTC: that is over."
    return ""


def _follow(bug: int | None) -> None:
    TrackedId.objects.filter(why=TRACKED_BECAUSE, bug_id__in=Bug.objects.values("pk")).delete()
    if bug and not Bug.objects.filter(pk=bug).exists():
        TrackedId.objects.get_or_create(bug_id=bug, defaults={"why": TRACKED_BECAUSE})
