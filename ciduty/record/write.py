"""Adds to the history; nothing else writes it, and nothing at all changes it. Call it in the transaction that acts."""

from collections.abc import Iterable
from datetime import datetime

from ciduty import clock
from ciduty.record.models import Actor, Entry

SENTENCE = 500


def entry(
    about: str,
    verb: str,
    sentence: str,
    *,
    by=None,
    on_behalf_of=None,
    from_outside: bool = False,
    before: dict | None = None,
    after: dict | None = None,
    caused: Iterable = (),
    at: datetime | None = None,
) -> Entry:
    """Write that `by` did `verb` to `about`, and return the entry.

    `sentence` is ours alone: no word of a bug or of a mail from outside (safety.md F5). `by` is a person, or None for
    ciduty itself or, with `from_outside`, for somebody beyond it. `before` and `after` hold safe fields only. `caused`
    are the rows that were written because of it.
    """
    actor = Actor.PERSON if by else Actor.OUTSIDE if from_outside else Actor.CIDUTY
    return Entry.objects.create(
        at=at or clock.now(),
        about=about,
        verb=verb,
        sentence=sentence[:SENTENCE],
        actor=actor,
        by=by,
        on_behalf_of=on_behalf_of,
        before=before or {},
        after=after or {},
        caused=[str(row) for row in caused],
    )
