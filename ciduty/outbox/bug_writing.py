"""Bugzilla as the way out of the outbox: connects, gives each row to whoever writes it, and tells failures apart.

How a bug is changed: `bug_change.py`; how one is filed: `bug_filing.py`.
"""

from datetime import timedelta

from django.conf import settings

from ciduty import clock
from ciduty.bugzilla import breaker, poll
from ciduty.bugzilla.client import Client
from ciduty.bugzilla.errors import Auth, BugzillaFailure, NotVisible, Rejected, Throttled, Unavailable, Unknown
from ciduty.outbox import changes
from ciduty.outbox.bug_attempt import LOOKS_AFTER, LOOKS_AGAIN, for_a_person, later, not_visible
from ciduty.outbox.bug_change import Change
from ciduty.outbox.bug_filing import Filing
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.outcome import Outcome

NOT_CONFIGURED = "Bugzilla is not configured: set BUGZILLA_URL and BUGZILLA_API_KEY."
#: While Bugzilla blocks us: a look at the breaker, which asks nobody, costs nothing.
LONGEST_WAIT = timedelta(minutes=15)


class Gate(breaker.Breaker):
    """The breaker; before each call it prolongs the lease of the row in hand, so that no call outlasts it."""

    holding = None

    def ask(self) -> None:
        """Let the call through. Raises LeaseLost when the row was taken over: nothing may be written any more."""
        if self.holding is not None:
            self.holding.renew()
        super().ask()


class Writer:
    """Bugzilla, for as long as rows are delivered. Connects when the first one comes."""

    def __init__(self):
        self._client: Client | None = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._client is not None:
            self._client.session.close()

    def send(self, row: BugUpdate, holding) -> Outcome:
        """Bring one row a step further and say what came of it. Raises LeaseLost when the row was taken over."""
        try:
            changes.check(row.wants)
        except changes.Unwritable as problem:
            return for_a_person(row, str(problem))
        if not settings.BUGZILLA_URL or not settings.BUGZILLA_API_KEY:
            return later(row, NOT_CONFIGURED, LONGEST_WAIT, server_is_out=True)
        self._connect(holding)
        kind = Filing if row.files_a_bug else Change
        try:
            outcome = kind(row, holding, self._client, self._connection.login or settings.BUGZILLA_LOGIN).run()
        except BugzillaFailure as failure:
            outcome = self._failed(row, failure)
        return outcome

    def _connect(self, holding) -> None:
        if self._client is None:
            self._connection = breaker.current_connection()
            self._gate = Gate(self._connection)
            self._client = poll.new_client(self._connection, self._gate)
        self._gate.holding = holding

    def _failed(self, row: BugUpdate, failure: BugzillaFailure) -> Outcome:
        """Return what to do with a row whose try ended so; whether it is uncertain, it tells itself."""
        if isinstance(failure, NotVisible):
            try:
                self._client.signed_in_as()  # raises when it is not the bug but the key
            except BugzillaFailure as another:
                failure = another
            else:
                return not_visible(row, failure)
        if isinstance(failure, (Auth, Throttled)):
            return later(row, str(failure), self._block(), server_is_out=True)
        if isinstance(failure, Rejected):
            return later(row, str(failure), code=failure.code)
        after = LOOKS_AFTER[0] if isinstance(failure, Unknown) else None
        return later(row, str(failure), after, server_is_out=self._server_is_out(failure))

    def _block(self) -> timedelta:
        self._connection.refresh_from_db()
        until = self._connection.blocked_until
        left = until - clock.now() if until else LOOKS_AGAIN
        return min(max(left, LOOKS_AGAIN), LONGEST_WAIT)

    def _server_is_out(self, failure: BugzillaFailure) -> bool:
        """Answer whether it is more than this bug that cannot be read."""
        if isinstance(failure, Unavailable) and not failure.reached:
            return True
        try:
            self._client.server_time()
        except BugzillaFailure:
            return True
        return False
