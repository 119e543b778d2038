"""Erases the words of rows that are done when their bug has turned private. Which bugs are: `ciduty/bugzilla`."""

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox.models import BugUpdate, Incoming, Mail
from ciduty.outbox.rules import FINAL

ERASED = "(erased: the bug is restricted)"
#: Text of a change that says nothing of a bug but what the mirror keeps of a restricted one too. All other text goes.
_NO_WORDS = {"status", "resolution", "name"}  # of the bug, and of its flags


def follow() -> int:
    """Erase what must not be kept; called after every poll, safe to call twice. Returns how many rows it changed."""
    restricted = Bug.objects.filter(visibility=Visibility.RESTRICTED).values("pk")
    kept = {"bug_id__in": restricted, "state__in": FINAL, "erased_at": None}
    at = clock.now()
    erased = 0
    for update in BugUpdate.objects.filter(**kept):
        still_kept = BugUpdate.objects.filter(pk=update.pk, **kept)  # somebody may just have asked to try it again
        erased += still_kept.update(
            wants=without_words(update.wants), seen=without_words(update.seen), last_words="", erased_at=at
        )
    mails = Mail.objects.filter(**kept)  # whom it went to as well: who asked is a word of the bug
    erased += mails.update(message=b"", subject=ERASED, recipient=ERASED, last_words="", erased_at=at)
    # After their mails, and whenever those were erased: one may have come in at the very same moment.
    left_over = Incoming.objects.filter(mail__erased_at__isnull=False, erased_at=None)
    erased += left_over.update(subject=ERASED, text="", sender="", erased_at=at)
    return erased


def without_words(change: dict) -> dict:
    """Return what a change wanted or saw, with the text replaced that may say something of its bug or of people."""
    return {name: _bare(name, value) for name, value in change.items()}


def _bare(name: str, value):
    if isinstance(value, dict):
        return without_words(value)
    if isinstance(value, list):
        return [_bare(name, part) for part in value]
    return ERASED if isinstance(value, str) and name not in _NO_WORDS else value
