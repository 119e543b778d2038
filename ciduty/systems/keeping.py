"""Entering a system into the catalogue and changing one, each on the record. What may be typed: `forms.py`.

A slug stands in permalinks and feeds, so it is chosen once and stays.
"""

import hashlib
import json
from collections.abc import Callable

from django.db import IntegrityError, transaction

from ciduty.record import write
from ciduty.states import NotAllowed
from ciduty.systems.models import System

#: What a lead may change later; the slug is none of it.
FACTS = (
    "title", "serves", "owner", "channel", "escalation", "runbook", "needs_coordination", "is_active",
)  # fmt: skip
#: Called in the transaction that changed a system: whoever shows systems elsewhere registers in `AppConfig.ready()`.
followers: list[Callable[[], None]] = []
#: Our own pages have these addresses.
TAKEN_SLUGS = frozenset({"add"})


def enter(slug: str, facts: dict, *, by) -> System:
    """Enter a system. Raises NotAllowed when its slug is taken: the same form sent twice enters one."""
    try:
        with transaction.atomic():
            system = System.objects.create(slug=slug, **facts)
            write.entry(system.about, "added", f"Added {system.about} to the catalogue", by=by)
    except IntegrityError:
        raise NotAllowed(f"The catalogue has a system “{slug}” already: change that one.") from None
    return system


def change(system: System, facts: dict, seen: str, *, by) -> bool:
    """Change what is known of a system; returns whether anything differed.

    `seen` is the mark of what the form was made from. Raises NotAllowed when somebody changed it since.
    """
    with transaction.atomic():
        there = System.objects.select_for_update().get(pk=system.pk)
        differs = [name for name in FACTS if getattr(there, name) != facts[name]]
        if not differs:
            return False
        if mark(there) != seen:
            raise NotAllowed(
                f"Somebody changed {there.title} while you wrote. What you typed stands here: compare it with the "
                "system’s page, then save again."
            )
        System.objects.filter(pk=there.pk).update(**{name: facts[name] for name in differs})
        names = ", ".join(name.replace("_", " ") for name in differs)
        write.entry(there.about, "changed", f"Changed {there.about}: {names}", by=by)
        for follow in followers:
            follow()
    system.refresh_from_db()
    return True


def mark(system: System) -> str:
    """Return what tells one version of a system's facts from another."""
    facts = json.dumps([getattr(system, name) for name in FACTS])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]
