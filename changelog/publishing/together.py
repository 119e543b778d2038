"""Changes that are published as one: what the one takes over from its parts, and how that is undone."""

from datetime import datetime

from changelog.models import Change, Revision
from changelog.store import plain

#: What readers look for and a part may name.
GATHERED = ("bugs", "pools", "platforms", "repositories")


def gathered(lead: Change, parts: list[Change]) -> dict:
    """Return what the lead is found by when it stands for its parts too, as far as it differs."""
    everything = {
        name: list(dict.fromkeys(value for one in [lead, *parts] for value in getattr(one, name))) for name in GATHERED
    }
    return {name: values for name, values in everything.items() if values != getattr(lead, name)}


def remember(lead: Change, parts: list[Change], values: dict, by, at: datetime) -> None:
    """Write down how the lead reads alone, so that taking it back leaves each as it was. Nobody outside reads it."""
    before = {name: plain(getattr(lead, name)) for name in (*values, "by_hand")}
    after = {name: plain(value) for name, value in values.items()} | {"parts": [part.pk for part in parts]}
    Revision.objects.create(change=lead, at=at, by=by, is_public=False, before=before, after=after)


def apart(lead_id: int) -> dict:
    """Return what a lead read before it stood for others, less what a person corrected since; nothing for no lead."""
    written = Revision.objects.filter(change_id=lead_id, after__parts__isnull=False).order_by("-at", "-pk").first()
    if written is None:
        return {}
    now = Change.objects.get(pk=lead_id)
    same = [name for name in written.before if name != "by_hand" and getattr(now, name) == written.after.get(name)]
    corrected = set(now.by_hand) - set(written.before["by_hand"]) - set(same)
    by_hand = sorted({*written.before["by_hand"], *corrected})
    return {name: written.before[name] for name in same} | {"by_hand": by_hand}
