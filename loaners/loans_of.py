"""What one person has from CiDuty: loans, requests, access. For whoever looks after somebody who leaves the team."""

from datetime import datetime

from django.db.models import Q

from ciduty import access
from ciduty.people.models import Person, logins_of
from loaners import queue, requester, rules
from loaners.models import Grant
from loaners.rows import rows_for

MOST = 100


def person(whose: Person, reader: Person, at: datetime) -> dict:
    """Return a person's machines, open requests and access, and what is over, as the reader may see them."""
    theirs = requester.own(queue.visible(reader), whose)
    rows = [row for row in rows_for(reader, theirs.order_by("-opened_at", "-pk")[:MOST], at) if row.readable]
    grants = _grants(whose, [row.request.pk for row in rows]).select_related("request", "granted_by", "revoked_by")
    known = {row.request.pk for row in rows}
    shown = [one for one in grants[:MOST] if one.request_id in known or access.may_lend_machines(reader)]
    over = [row for row in rows if row.state in rules.OVER]
    return {
        "whose": whose,
        "is_own": whose == reader,
        "out": [row for row in rows if row.state in rules.HAS_MACHINE],
        "asked": [row for row in rows if row.state in rules.ASKED],
        "over": over,
        "standing_grants": [one for one in shown if one.revoked_at is None],
        "ended_grants": [one for one in shown if one.revoked_at is not None],
        "at": at,
        "lends": access.may_lend_machines(reader),
    }


def _grants(whose: Person, requests: list[int]):
    """Return the access of their loans, and what was granted in their name for somebody else's."""
    names = {whose.username, str(whose), whose.email, *logins_of(whose)} - {""}
    by_name = Q()
    for name in sorted(names):
        by_name |= Q(grantee__iexact=name)
    return Grant.objects.filter(Q(request__in=requests) | by_name)
