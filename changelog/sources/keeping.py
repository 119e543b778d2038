"""Adding and changing sources, each change on the record. What may be typed: `forms.py`."""

from django.conf import settings
from django.db import IntegrityError, transaction

from changelog.models import Source
from changelog.models.sources import POLLED
from changelog.sources import standing
from ciduty.record import write
from ciduty.states import NotAllowed

#: What a lead says of a source, and how its record names it.
FACTS = {
    "name": "name",
    "kind": "kind",
    "address": "address",
    "branch": "branch",
    "team": "team",
    "is_active": "in use",
    "default_kind": "kind of its changes",
    "default_system": "system",
    "filters": "filters",
    "publishes": "publishes by rule",
    "rhythm_hours": "rhythm",
}
#: Another place: what is known of how far it was read means nothing there.
PLACE = ("kind", "address", "branch")
TAKEN = "Somebody saved a source of this name at this moment: look at the list, then save again."


def add(facts: dict, by) -> Source:
    """Add a source; it is read at once. Raises NotAllowed when another one took its name at the same moment."""
    try:
        with transaction.atomic():
            source = Source.objects.create(made_by=by, **facts)
            write.entry(source.about, "added", f"Added {source.about}, {source.get_kind_display()}.", by=by)
    except IntegrityError:
        raise NotAllowed(TAKEN) from None
    return source


def change(source: Source, facts: dict, by) -> list[str]:
    """Change a source that the caller has locked, and return the names of what differed. Raises NotAllowed.

    What was mended is tried at once; a new place is read from its beginning. What is on record stays there.
    """
    changed = [name for name in facts if getattr(source, name) != facts[name]]
    if not changed:
        return []
    for name in changed:
        setattr(source, name, facts[name])
    if set(changed) & set(PLACE):
        source.cursor, source.read_at, source.heard_at = {}, None, None
    source.problem, source.failures, source.blocked_until, source.tried_at = "", 0, None, None
    try:
        with transaction.atomic():
            source.save()
            names = ", ".join(FACTS[name] for name in changed)
            write.entry(source.about, "changed", f"Changed {source.about}: {names}.", by=by)
    except IntegrityError:
        raise NotAllowed(TAKEN) from None
    return [FACTS[name] for name in changed]


def has_token() -> bool:
    """Answer whether GitHub is asked with a token: 5,000 questions an hour instead of 60."""
    return bool(settings.GITHUB_TOKEN)


def want_read(source: Source, at) -> None:
    """Have a source read as soon as somebody looks, whatever it failed of. Raises NotAllowed where that would harm."""
    if source.kind not in POLLED:
        raise NotAllowed("Nobody reads it: it tells by itself.")
    if not source.is_active:
        raise NotAllowed("It is not in use: put it into use first.")
    if standing.is_limited(source, at):
        raise NotAllowed(f"Not read: {source.problem}")
    Source.objects.filter(pk=source.pk).update(tried_at=None, blocked_until=None)
