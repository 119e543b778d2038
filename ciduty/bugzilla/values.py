"""What Bugzilla said, validated and cleaned: frozen values, made from raw dictionaries.

Storing them is `mirror.py`'s matter.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from ciduty.bugzilla.cleaning import clean_line, clean_text

LINE = 1000  # Bugzilla's summaries end at 255; anything longer is an oddity, kept readable
WHITEBOARD = 70_000  # Bugzilla takes a whiteboard that long
LOGIN = 255
MOST_ID = 2**31 - 1
YEARS = range(1970, 9000)  # not every zone can show a moment outside of them: one row would break a whole page

#: The fields we ask for, and no others: the default ones take five times as long (bugzilla/README.md).
BUG_FIELDS = (
    "id,summary,status,resolution,is_open,product,component,creator,creator_detail,assigned_to,assigned_to_detail,"
    "alias,whiteboard,groups,flags,creation_time,last_change_time"
)

#: What a write looks at before and after. The groups are not asked: who may read the words, the mirror decides.
STATE_FIELDS = "id,status,resolution,is_open,assigned_to,whiteboard,flags,depends_on,blocks,last_change_time"


class Malformed(ValueError):
    """An answer has not the shape that Bugzilla promises. The message names the field, never its content."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag on a bug. `set_at` is when its present status was set."""

    id: int
    name: str
    status: str
    setter: str
    requestee: str
    created_at: datetime
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug as it was read. Logins in lower case as Bugzilla compares them; moments aware and in UTC."""

    id: int
    summary: str
    status: str
    resolution: str
    is_open: bool
    product: str
    component: str
    creator: str
    creator_name: str
    assignee: str
    assignee_name: str
    alias: str
    whiteboard: str
    groups: tuple[str, ...]
    flags: tuple[Flag, ...]
    created_at: datetime
    changed_at: datetime
    original_sha256: str


@dataclass(frozen=True, slots=True)
class BugState:
    """What a write may change of a bug.

    `whiteboard` is exact to the character, because it is written back: clean it before it is shown or stored.
    """

    id: int
    status: str
    resolution: str
    is_open: bool
    assignee: str
    whiteboard: str
    flags: tuple[Flag, ...]
    depends_on: tuple[int, ...]
    blocks: tuple[int, ...]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Comment:
    """That somebody commented; the words are not asked for. The description is number 0."""

    id: int
    number: int
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of one entry of a bug's history."""

    field: str
    removed: str
    added: str
    by: str
    at: datetime


def moment(raw, field: str) -> datetime:
    """Return a time of Bugzilla's (`2026-11-21T04:05:47Z`) as an aware UTC moment."""
    if not isinstance(raw, str):
        raise Malformed(f"{field} is no time")
    try:
        value = datetime.fromisoformat(raw)
    except ValueError:
        raise Malformed(f"{field} is no time") from None
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)  # Bugzilla's REST times are UTC even where they do not say so
    if value.year not in YEARS:
        raise Malformed(f"{field} is no time")
    return value.astimezone(UTC)


def number(raw, field: str) -> int:
    """Return an identifier: a whole number from 1 that fits the database."""
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 < raw <= MOST_ID:
        raise Malformed(f"{field} is no number")
    return raw


def _string(raw: dict, field: str) -> str:
    value = raw.get(field, "")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"{field} is no text")
    return value


def _required(raw: dict, field: str) -> str:
    if not isinstance(raw.get(field), str) or not raw[field]:
        raise Malformed(f"{field} is missing")
    return raw[field]


def _login(raw: str) -> str:
    return clean_line(raw, LOGIN).lower()


def _strings(raw: dict, field: str) -> tuple[str, ...]:
    values = raw[field]
    if isinstance(values, str):
        values = [values]  # bugzilla.mozilla.org's alias is a string
    if values is None:
        values = []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Malformed(f"{field} is no list of texts")
    return tuple(clean_line(value, LOGIN) for value in values)


def _real_name(raw: dict, field: str) -> str:
    detail = raw.get(field)
    if not isinstance(detail, dict):
        return ""
    return clean_line(_string(detail, "real_name"), LOGIN)


def _flag(raw) -> Flag:
    if not isinstance(raw, dict):
        raise Malformed("a flag is no object")
    status = _required(raw, "status")
    if status not in {"?", "+", "-"}:
        raise Malformed("a flag's status is none of ?, +, -")
    return Flag(
        id=number(raw.get("id"), "a flag's id"),
        name=clean_line(_required(raw, "name"), LOGIN),
        status=status,
        setter=_login(_string(raw, "setter")),
        requestee=_login(_string(raw, "requestee")),
        created_at=moment(raw.get("creation_date"), "a flag's creation_date"),
        set_at=moment(raw.get("modification_date"), "a flag's modification_date"),
    )


def bug(raw) -> Bug:
    """Return the bug of a raw answer asked with BUG_FIELDS. Raises Malformed, without a word of the text.

    `groups` and `flags` must be there: a bug whose groups were not said is not known to be public.
    """
    if not isinstance(raw, dict):
        raise Malformed("a bug is no object")
    if not isinstance(raw.get("groups"), list):
        raise Malformed("groups is missing")
    if not isinstance(raw.get("flags"), list):
        raise Malformed("flags is missing")
    if not isinstance(raw.get("is_open"), bool):
        raise Malformed("is_open is missing")
    words = [_string(raw, "summary"), _string(raw, "whiteboard")]
    return Bug(
        id=number(raw.get("id"), "id"),
        summary=clean_line(words[0], LINE),
        status=clean_line(_required(raw, "status"), 64),
        resolution=clean_line(_string(raw, "resolution"), 64),
        is_open=raw["is_open"],
        product=clean_line(_required(raw, "product"), LOGIN),
        component=clean_line(_required(raw, "component"), LOGIN),
        creator=_login(_string(raw, "creator")),
        creator_name=_real_name(raw, "creator_detail"),
        assignee=_login(_string(raw, "assigned_to")),
        assignee_name=_real_name(raw, "assigned_to_detail"),
        alias=", ".join(_strings(raw, "alias")) if raw.get("alias") else "",
        whiteboard=clean_text(words[1], WHITEBOARD),
        groups=_strings(raw, "groups"),
        flags=tuple(_flag(entry) for entry in raw["flags"]),
        created_at=moment(raw.get("creation_time"), "creation_time"),
        changed_at=moment(raw.get("last_change_time"), "last_change_time"),
        original_sha256=hashlib.sha256(json.dumps(words).encode()).hexdigest(),
    )


def bug_state(raw) -> BugState:
    """Return the state of a raw answer asked with STATE_FIELDS. Raises Malformed: what was not said is not guessed."""
    if not isinstance(raw, dict):
        raise Malformed("a bug is no object")
    if not isinstance(raw.get("is_open"), bool):
        raise Malformed("is_open is missing")
    if not isinstance(raw.get("flags"), list):
        raise Malformed("flags is missing")
    if not isinstance(raw.get("whiteboard", ""), str):  # a server may have whiteboards switched off
        raise Malformed("whiteboard is no text")
    return BugState(
        id=number(raw.get("id"), "id"),
        status=clean_line(_required(raw, "status"), 64),
        resolution=clean_line(_string(raw, "resolution"), 64),
        is_open=raw["is_open"],
        assignee=_login(_string(raw, "assigned_to")),
        whiteboard=raw.get("whiteboard", ""),
        flags=tuple(_flag(entry) for entry in raw["flags"]),
        depends_on=_numbers(raw, "depends_on"),
        blocks=_numbers(raw, "blocks"),
        changed_at=moment(raw.get("last_change_time"), "last_change_time"),
    )


def _numbers(raw: dict, field: str) -> tuple[int, ...]:
    values = raw.get(field)
    if not isinstance(values, list):
        raise Malformed(f"{field} is missing")
    return tuple(number(value, field) for value in values)


def comment_text(raw, place: int) -> tuple[int, str]:
    """Return the number of a comment within its bug (the description is 0) and its words, to look for a mark in."""
    if not isinstance(raw, dict) or not isinstance(raw.get("text"), str):
        raise Malformed("a comment has no text")
    count = raw.get("count", place)
    if isinstance(count, bool) or not isinstance(count, int):
        raise Malformed("a comment's count is no number")
    return count, raw["text"]


def comment(raw) -> Comment | None:
    """Return a comment, or None for a private one: those are dropped at the door (safety.md F1.9)."""
    if not isinstance(raw, dict):
        raise Malformed("a comment is no object")
    if raw.get("is_private") is not False:
        return None
    count = raw.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int):
        raise Malformed("a comment's count is no number")
    return Comment(
        id=number(raw.get("id"), "a comment's id"),
        number=count,
        by=_login(_string(raw, "creator")),
        at=moment(raw.get("creation_time") or raw.get("time"), "a comment's time"),
    )


def field_changes(raw) -> list[FieldChange]:
    """Return the changes of one entry of a bug's history."""
    if not isinstance(raw, dict) or not isinstance(raw.get("changes"), list):
        raise Malformed("a history entry has no changes")
    at = moment(raw.get("when"), "a history entry's when")
    by = _login(_string(raw, "who"))
    changes = []
    for change in raw["changes"]:
        if not isinstance(change, dict):
            raise Malformed("a change is no object")
        changes.append(
            FieldChange(
                field=clean_line(_string(change, "field_name"), 64),
                removed=clean_line(_string(change, "removed"), LINE),
                added=clean_line(_string(change, "added"), LINE),
                by=by,
                at=at,
            )
        )
    return changes
