"""Reads who acted when in the open requests that changed, and keeps it as events. What an event is: `events.py`."""

from collections.abc import Iterable

from django.db import transaction

from ciduty import leases
from ciduty.bugzilla import events, mirror, values
from ciduty.bugzilla.client import Client
from ciduty.bugzilla.errors import BugzillaFailure, Unavailable
from ciduty.bugzilla.models import Bug, BugEvent, Visibility
from ciduty.bugzilla.scope import OVERLAP

#: What of an event tells whether anything is new.
TOLD = ("kind", "at", "by", "by_kind", "asks_requester", "needinfo_of")


class Conversations:
    """The conversations of one cycle."""

    def __init__(
        self, client: Client, held: leases.Held, reading: mirror.Reading, roles: events.Roles, tally: mirror.Tally
    ):
        self._client, self._held, self._reading, self._roles, self._tally = client, held, reading, roles, tally

    def read(self, bugs: Iterable[values.Bug]) -> None:
        """Bring the events of these bugs up to date, as far as they are open requests that changed since.

        One that carries its time of filing is asked about too: Bugzilla counts in whole seconds, and who comments in
        the second of the filing leaves no later time. Raises a BugzillaFailure when the server is unwell; a
        conversation that cannot be read alone sets its bug aside.
        """
        requests = {bug.id: bug for bug in bugs if bug.is_open}
        for row in Bug.objects.filter(pk__in=requests, is_loaner_request=True):
            bug, read_at = requests[row.pk], row.conversation_read_at
            if read_at and bug.changed_at + OVERLAP < read_at <= self._reading.server_time:
                continue
            self._read_one(row, bug)

    def _read_one(self, row: Bug, bug: values.Bug) -> None:
        try:
            comments, history = self._client.comments(bug.id), self._client.history(bug.id)
        except BugzillaFailure as failure:
            if isinstance(failure, Unavailable) and not failure.reached:
                raise
            self._client.server_time()  # raises when the server is unwell rather than this bug
            problem = f"its conversation could not be read: {failure}"
            mirror.set_aside(bug.id, problem, self._reading.at, self._tally, was_read=True)
            return
        restricted = row.visibility == Visibility.RESTRICTED
        self._store(row, events.of_bug(bug, comments, history, self._roles, restricted))

    def _store(self, row: Bug, found: list[BugEvent]) -> None:
        with transaction.atomic():
            self._held.renew()
            before = list(row.events.values_list(*TOLD))
            if before != [tuple(getattr(event, name) for name in TOLD) for event in found]:
                row.events.all().delete()
                BugEvent.objects.bulk_create(found)
                row.stamp = mirror.next_stamp()
            row.conversation_read_at = self._reading.server_time
            row.save(update_fields=["conversation_read_at", "stamp"])
