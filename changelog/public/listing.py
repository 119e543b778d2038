"""One page of the log as it is read: days, their changes, what was backed out. Which changes: `changelog/find.py`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date
from itertools import groupby

from django.db import connection
from django.utils.safestring import SafeString

from changelog.models import Change
from changelog.public import markup
from changelog.public.shown import shown

_BACKOUTS = """
    SELECT backout.change_id, backout.undoes_id FROM changelog_backout AS backout
    JOIN changelog_change AS later ON later.id = backout.change_id AND later.is_public
    JOIN changelog_change AS earlier ON earlier.id = backout.undoes_id AND earlier.is_public
    WHERE backout.change_id IN ({places}) OR backout.undoes_id IN ({places}) ORDER BY backout.id
"""


@dataclass(frozen=True, slots=True)
class Day:
    """A day, in UTC, and its changes on this page, newest first, each as HTML."""

    day: date
    lines: list[SafeString]


def days(changes: Iterable[Change]) -> list[Day]:
    """Return changes, which are in order, by day. One query."""
    changes = list(changes)
    backouts = backouts_among([change.pk for change in changes])
    return [
        Day(day, [_line(change, backouts) for change in those])
        for day, those in groupby(changes, key=lambda change: change.at.astimezone(UTC).date())
    ]


def _line(change: Change, backouts: list[tuple[int, int]]) -> SafeString:
    taken_back_by = tuple(pk for pk, undone in backouts if undone == change.pk)
    takes_back = tuple(undone for pk, undone in backouts if pk == change.pk)
    return markup.line(shown(change), taken_back_by, takes_back)


def backouts_among(pks: list[int]) -> list[tuple[int, int]]:
    """Return which change takes back which, where one of them is among these and everybody may know of both.

    Written out: to put this query together took longer than to answer it, on every page.
    """
    if not pks:
        return []
    places = ", ".join(["%s"] * len(pks))
    with connection.cursor() as cursor:
        cursor.execute(_BACKOUTS.format(places=places), [*pks, *pks])
        return cursor.fetchall()
