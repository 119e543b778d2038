"""Searching: from the parameters of a request to the numbers of bugs. Boolean charts stand in charts."""

import json

from ciduty.bugzilla.sandbox import charts, errors, moments, schema
from ciduty.bugzilla.sandbox.directory import Account
from ciduty.bugzilla.sandbox.stored import visible_to

#: Parameters that must equal one of their values -> column.
_ONE_OF = {
    "product": "product",
    "component": "component",
    "version": "version",
    "status": "status",
    "bug_status": "status",
    "resolution": "resolution",
    "priority": "priority",
    "severity": "severity",
    "bug_severity": "severity",
    "platform": "platform",
    "rep_platform": "platform",
    "op_sys": "op_sys",
    "target_milestone": "target_milestone",
}
#: Parameters searched by words -> field of a chart. `whiteboard_type` and the like say how, else all words, in part.
_WORDS = {
    "summary": "short_desc",
    "short_desc": "short_desc",
    "whiteboard": "status_whiteboard",
    "status_whiteboard": "status_whiteboard",
    "keywords": "keywords",
}
_PEOPLE = {"creator": "reporter", "reporter": "reporter", "assigned_to": "assigned_to", "cc": "cc"}
_SINCE = {
    "last_change_time": "delta_ts",
    "delta_ts": "delta_ts",
    "creation_time": "creation_ts",
    "creation_ts": "creation_ts",
}
#: What sorts. Anything else (delta_ts and last_change_time too!) is ignored without a word: recorded so.
_ORDERS = {
    "bug_id": "b.id",
    "changeddate": "b.last_change_time",
    "opendate": "b.creation_time",
    "product": "b.product",
    "component": "b.component",
    "bug_status": "b.status",
    "short_desc": "b.summary",
    "priority": "b.priority",
    "bug_severity": "b.severity",
}


#: Words for people that sort too, but not on 5.2.
_ORDERS_ON_53 = {"bug number": "b.id", "last changed": "b.last_change_time"}


def find(db, viewer: Account, parameters: list[tuple[str, str]], most: int, now: str, version_52: bool) -> list[int]:
    """Return the numbers of the bugs a search finds, at most `most`. Raises the refusals of bad values.

    Unknown parameters and unknown values are ignored or find nothing, without a word.
    """
    asked: dict[str, list[str]] = {}
    for name, value in parameters:
        asked.setdefault(name, []).append(value)
    if "quicksearch" in asked:
        raise errors.Refusal(32000, "This sandbox does not know quicksearch.")
    limit, offset = _page(asked, most)
    visible, arguments = visible_to(viewer)
    conditions = [visible]
    for sql, values in _conditions(asked, viewer, now):
        conditions.append(sql)
        arguments += values
    rows = db.execute(
        f"SELECT b.id FROM bugs b WHERE {' AND '.join(conditions)} "
        f"ORDER BY {_order(asked, version_52)} LIMIT ? OFFSET ?",
        [*arguments, limit, offset],
    )
    return [row[0] for row in rows]


def _page(asked: dict, most: int) -> tuple[int, int]:
    if "offset" in asked and "limit" not in asked:
        raise errors.missing_argument("limit", "Bug.search()")
    numbers = {}
    for name in ("limit", "offset"):
        text = asked.get(name, ["0"])[-1]
        if not text.isdigit():
            raise errors.Refusal(52, f"The {name} parameter must be a number, not '{text}'.")
        numbers[name] = int(text)
    if not numbers["limit"]:  # as upstream: limit=0 forgets the offset too
        return most, 0
    return min(numbers["limit"], most), min(numbers["offset"], 2**62)


def _order(asked: dict, version_52: bool) -> str:
    orders = _ORDERS if version_52 else _ORDERS | _ORDERS_ON_53
    found = []
    for term in ",".join(asked.get("order", [])).split(","):
        words = term.strip().lower()
        direction = ""
        for ending in (" desc", " asc"):
            if words.endswith(ending):
                words, direction = words.removesuffix(ending).strip(), ending
        if words in orders:
            found.append(orders[words] + direction)
    return ", ".join([*found, "b.id"])


def _conditions(asked: dict, viewer: Account, now: str):
    for name in ("id", "bug_id"):
        if name in asked:
            numbers = [int(text) for text in ",".join(asked[name]).split(",") if text.strip().isdigit()]
            yield "b.id IN (SELECT value FROM json_each(?))", [json.dumps([one for one in numbers if one < 2**63])]
    if "alias" in asked:
        aliases = json.dumps(",".join(asked["alias"]).split(","))
        yield "b.id IN (SELECT bug_id FROM aliases WHERE alias IN (SELECT value FROM json_each(?)))", [aliases]
    for name, column in _ONE_OF.items():
        if name in asked:
            yield f"b.{column} IN (SELECT value FROM json_each(?))", [json.dumps(_values(column, asked[name]))]
    for name, field in _WORDS.items():
        if any(value.strip() for value in asked.get(name, [])):
            how = asked.get(f"{name}_type", asked.get(f"{field}_type", ["allwordssubstr"]))[-1]
            yield charts.condition(field, how, " ".join(asked[name]), viewer, now)
    for name, field in _PEOPLE.items():
        if any(value.strip() for value in asked.get(name, [])):
            yield charts.condition(field, "anywordssubstr", " ".join(asked[name]), viewer, now)
    for name, field in _SINCE.items():
        if name in asked:
            yield charts.condition(field, "greaterthaneq", moments.asked(asked[name][-1], now), viewer, now)
    chart = charts.read({name: values[-1] for name, values in asked.items()}, viewer, now)
    if chart:
        yield chart


def _values(column: str, values: list[str]) -> list[str]:
    if column == "resolution":
        return ["" if value == "---" else value for value in values]
    if column == "status":
        closed = [status for status in schema.MOVES if status and status not in schema.OPEN_STATUSES]
        groups = {"__open__": schema.OPEN_STATUSES, "__closed__": closed}
        return [status for value in values for status in groups.get(value, (value,))]
    return values
