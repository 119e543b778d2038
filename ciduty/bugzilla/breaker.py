"""The breaker of one address and key: after a rate limit or a bad key nobody calls again until one probe. No HTTP here.

A blocked address is blocked for an hour, and every further request renews the block (safety.md 1.3, F04, F05).
"""

import hashlib
import hmac
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from ciduty import clock
from ciduty.bugzilla.errors import Auth, BugzillaFailure, Throttled
from ciduty.bugzilla.models import Connection

FIRST_BLOCK = timedelta(minutes=65)  # Bugzilla's own block is 60 minutes; five more for clocks that differ
LONGEST_BLOCK = timedelta(hours=24)
PROBE_TAKES = timedelta(minutes=2)  # after that another process may probe: the first one died


def fingerprint(*parts: str) -> str:
    """Return what tells two keys apart without telling either: keyed with the installation's secret."""
    return hmac.new(settings.SECRET_KEY.encode(), "\0".join(parts).encode(), hashlib.sha256).hexdigest()


def current_connection() -> Connection:
    """Return the row of the configured address and key.

    A changed key has its own row, and with it a closed breaker; so has a key that is sent another way, or claimed for
    another login.
    """
    row, _ = Connection.objects.get_or_create(**_configured())
    return row


def known_connection() -> Connection:
    """Return the same for a page, which writes nothing: an unsaved row before the first poll."""
    return Connection.objects.filter(**_configured()).first() or Connection(**_configured())


def _configured() -> dict:
    key = fingerprint(settings.BUGZILLA_API_KEY, settings.BUGZILLA_KEY_IN, settings.BUGZILLA_LOGIN)
    return {"address": settings.BUGZILLA_URL, "key_fingerprint": key}


def block_length(blocks: int) -> timedelta:
    """Return how long the breaker stays open after this many blocks in a row: 65 minutes, doubled each time."""
    return min(FIRST_BLOCK * 2 ** min(blocks - 1, 10), LONGEST_BLOCK)


def blocked_line(row: Connection, at: datetime) -> str:
    """Return the sentence that says why nobody calls, or an empty one."""
    if row.blocked_until is None:
        return ""
    if at < row.blocked_until:
        return f"{row.blocked_why}; not asked again before {row.blocked_until:%Y-%m-%d %H:%M} UTC"
    return f"{row.blocked_why}; the next poll asks once, to see whether it is over"


class Breaker:
    """The gate before every call of a client (`client.Gate`)."""

    def __init__(self, row: Connection):
        self._pk = row.pk
        self._probing = False

    def ask(self) -> None:
        """Let the call through, or raise what blocked us. Past the block exactly one process may probe."""
        if self._probing:
            return
        row = Connection.objects.get(pk=self._pk)
        if row.blocked_until is None:
            return
        moment = clock.now()
        if moment >= row.blocked_until and self._claim_probe(moment):
            self._probing = True
            return
        failure = Throttled if row.blocked_kind == "throttled" else Auth
        raise failure(blocked_line(row, moment))

    def _claim_probe(self, moment: datetime) -> bool:
        nobody_probes = Q(probing_until=None) | Q(probing_until__lte=moment)
        claimed = Connection.objects.filter(nobody_probes, pk=self._pk, blocked_until__lte=moment)
        return bool(claimed.update(probing_until=moment + PROBE_TAKES))

    @transaction.atomic
    def failed(self, failure: BugzillaFailure, blocks_before: int = 0) -> None:
        """Open the breaker on a rate limit or a bad key; a bad key also voids what was proven of the sign-in.

        `blocks_before`: how often in a row it was blocked, where an answer to a stranger has closed it meanwhile.
        """
        if not isinstance(failure, (Auth, Throttled)):
            return
        row = Connection.objects.select_for_update().get(pk=self._pk)
        row.blocks = max(row.blocks, blocks_before) + 1
        row.blocked_kind = "throttled" if isinstance(failure, Throttled) else "auth"
        row.blocked_why = str(failure)[:300]
        row.blocked_until = clock.now() + block_length(row.blocks)
        row.probing_until = None
        if isinstance(failure, Auth):
            row.checked_at = None
        row.save(
            update_fields=["blocks", "blocked_kind", "blocked_why", "blocked_until", "probing_until", "checked_at"]
        )
        self._probing = False

    def answered(self) -> None:
        """Close the breaker after a probe that got its answer."""
        if self._probing:
            Connection.objects.filter(pk=self._pk).update(
                blocked_until=None, blocked_why="", blocked_kind="", blocks=0, probing_until=None
            )
            self._probing = False
