"""Writes many new changes at once: through COPY on PostgreSQL, with Django's own means elsewhere. What: `store.py`.

COPY (https://www.postgresql.org/docs/15/sql-copy.html) spares the server a statement of 20,000 values, and takes the
first rows in while the next ones are still being made.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import connection, models

from changelog.models import BugOfChange, Change, Landing
from changelog.proposals import Proposal

_COLUMNS = tuple(one.attname for one in Change._meta.concrete_fields)
_LANDING = ("repository", "at", "offset", "pusher", "push_id", "revision", "url")
#: Characters that are handed to the server at once.
_PIECE = 64 * 1024


def made(**values) -> Change:
    """Return a change that is not stored yet: what Django's own constructor does, in a fourth of its time."""
    return Change(*[values[name] if name in values else default() for name, default in _DEFAULTS])


_DEFAULTS = tuple((one.attname, one.get_default) for one in Change._meta.concrete_fields)


def numbered(told: list[Proposal]) -> list[tuple[int | None, Proposal]]:
    """Return proposals with the numbers that their rows get, in the order in which they are to be written.

    On PostgreSQL that is one order for everybody: two who write the same changes at the same moment then wait for each
    other, and never in a circle. Numbers follow the order of telling. Elsewhere the database gives them itself.
    """
    if connection.vendor != "postgresql":
        return [(None, proposal) for proposal in told]
    with connection.cursor() as cursor:
        sequence = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
        cursor.execute(sequence, [Change._meta.db_table, len(told)])
        numbers = sorted(number for (number,) in cursor.fetchall())
    return sorted(zip(numbers, told, strict=True), key=lambda one: one[1].identity)


def insert(changes: Iterable[Change]) -> None:
    """Write new changes, which may still be made while the first ones are written. Raises IntegrityError."""
    if connection.vendor == "postgresql":
        _copy(Change, _COLUMNS, (tuple(map(one.__dict__.__getitem__, _COLUMNS)) for one in changes))
    else:
        Change.objects.bulk_create(changes)


def insert_what_belongs(changes: list[Change], landings: list[list[dict]]) -> None:
    """Write the landings of new changes, told as dicts, and the bugs that they name."""
    named = ((one.pk, bug) for one in changes for bug in one.bugs)
    if connection.vendor == "postgresql":
        _copy(Landing, ("change_id", *_LANDING), _landing_rows(changes, landings))
        _copy(BugOfChange, ("change_id", "bug_id"), named)
        return
    Landing.objects.bulk_create(
        Landing(**dict(zip(("change_id", *_LANDING), row, strict=True))) for row in _landing_rows(changes, landings)
    )
    BugOfChange.objects.bulk_create(BugOfChange(change_id=change, bug_id=bug) for change, bug in named)


def _landing_rows(changes: list[Change], landings: list[list[dict]]) -> Iterator[tuple]:
    for change, there in zip(changes, landings, strict=True):
        for landing in there:
            yield (change.pk, *(landing[name] for name in _LANDING))


class _Lines:
    """Rows as COPY reads them: a file that is written while it is read."""

    def __init__(self, writers, rows: Iterable[tuple]):
        self._writers, self._rows = writers, iter(rows)

    def read(self, size: int = _PIECE) -> str:
        """Return the next rows, whole; "" at the end."""
        lines, length = [], 0
        for row in self._rows:
            lines.append("\t".join([write(value) for write, value in zip(self._writers, row, strict=True)]) + "\n")
            length += len(lines[-1])
            if length >= size // 4:  # in bytes it may be four times as much
                break
        return "".join(lines)


def _copy(model: type[models.Model], names: tuple[str, ...], rows: Iterable[tuple]) -> None:
    columns = {one.attname: one for one in model._meta.concrete_fields}
    writers = [_writer(columns[name]) for name in names]
    quoted = ", ".join(connection.ops.quote_name(columns[name].column) for name in names)
    sql = f"COPY {connection.ops.quote_name(model._meta.db_table)} ({quoted}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors:
        cursor.copy_expert(sql, _Lines(writers, rows), _PIECE)


def _writer(column: models.Field):
    if isinstance(column, models.JSONField):
        return _as_json
    return _as_moment if isinstance(column, models.DateTimeField) else _as_text


_TO_ESCAPE = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def _as_text(value) -> str:
    if value is None:
        return "\\N"
    if value is True or value is False:
        return "t" if value else "f"
    value = str(value)
    if "\\" in value or "\n" in value or "\t" in value or "\r" in value:
        return value.translate(_TO_ESCAPE)
    return value


def _as_moment(value: datetime | None) -> str:
    return "\\N" if value is None else value.isoformat()


def _as_json(value) -> str:
    if not value:
        return "[]" if value == [] else "{}"
    written = json.dumps(value)
    return written.replace("\\", "\\\\") if "\\" in written else written
