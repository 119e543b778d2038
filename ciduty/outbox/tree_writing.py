"""The tree status service as the way out of the outbox: gives each row one try, and tells failures apart.

How trees are changed: `tree_change.py`.
"""

from datetime import timedelta

from django.conf import settings

from ciduty.outbox import tree_wants
from ciduty.outbox.changes import Unwritable
from ciduty.outbox.models import TreeChange
from ciduty.outbox.outcome import Outcome
from ciduty.outbox.tree_change import LOOKS_AGAIN, Change
from ciduty.trees.adapters.http import Unavailable

NOT_CONFIGURED = "Trees are not written to: set TREESTATUS_WRITES=patch, TREESTATUS_URL and TREESTATUS_TOKEN."
#: As far as a service that asks to be left alone is followed: trees are to be closed.
LONGEST_WAIT = timedelta(minutes=15)


def is_configured() -> bool:
    """Answer whether trees are changed by ciduty, and not by hand."""
    return settings.TREESTATUS_WRITES == "patch" and bool(settings.TREESTATUS_URL)


class Writer:
    """The service, for as long as rows are delivered. Each call has a connection of its own: nothing to close."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def send(self, row: TreeChange, holding) -> Outcome:
        """Bring one row a step further and say what came of it. Raises LeaseLost when the row was taken over."""
        try:
            tree_wants.check(row.wants, row.seen)
        except Unwritable as problem:
            return Outcome("park", f"Nothing was written: {problem}.")
        if not is_configured():
            return _later(row, NOT_CONFIGURED, LONGEST_WAIT)
        try:
            return Change(row, holding, settings.TREESTATUS_URL, settings.TREESTATUS_TOKEN).run()
        except Unavailable as failure:
            asked = min(failure.wait, LONGEST_WAIT)
            usual = LOOKS_AGAIN if row.uncertain_since else timedelta()
            return _later(row, f"{failure}.", max(asked, usual) or None)


def _later(row: TreeChange, words: str, after: timedelta | None) -> Outcome:
    """Return the outcome of a try that is to be made again. A row of unknown outcome stays unknown."""
    verb = "lose sight of" if row.uncertain_since else "put off"
    return Outcome(verb, words, after=after, server_is_out=True)
