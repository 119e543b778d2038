"""Boolean charts (f1, o1, v1, n1, j1, OP and CP): one field, one operator, one value, and how they are joined."""

import re

from ciduty.bugzilla.sandbox import errors, moments
from ciduty.bugzilla.sandbox.directory import Account

#: Fields of the bug's own row -> expression.
_COLUMNS = {
    "bug_id": "b.id",
    "short_desc": "b.summary",
    "status_whiteboard": "b.whiteboard",
    "bug_status": "b.status",
    "resolution": "b.resolution",
    "product": "b.product",
    "component": "b.component",
    "version": "b.version",
    "priority": "b.priority",
    "bug_severity": "b.severity",
    "op_sys": "b.op_sys",
    "rep_platform": "b.platform",
    "bug_file_loc": "b.url",
    "target_milestone": "b.target_milestone",
    "keywords": "(SELECT coalesce(group_concat(value, ', '), '') FROM json_each(b.keywords))",
    "delta_ts": "b.last_change_time",
    "creation_ts": "b.creation_time",
    "assigned_to": "(SELECT login FROM users WHERE users.id = b.assigned_to)",
    "reporter": "(SELECT login FROM users WHERE users.id = b.creator)",
}
#: Fields with many values per bug -> where they stand, and the expression of one value.
_MANY = {
    "flagtypes.name": ("flags m JOIN flag_types t ON t.id = m.type_id WHERE m.bug_id = b.id", "t.name || m.status"),
    "requestees.login_name": ("flags m JOIN users u ON u.id = m.requestee WHERE m.bug_id = b.id", "u.login"),
    "setters.login_name": ("flags m JOIN users u ON u.id = m.setter WHERE m.bug_id = b.id", "u.login"),
    "cc": ("cc m JOIN users u ON u.id = m.user_id WHERE m.bug_id = b.id", "u.login"),
    "bug_group": ("bug_groups m WHERE m.bug_id = b.id", "m.name"),
    "alias": ("aliases m WHERE m.bug_id = b.id", "m.alias"),
    "longdesc": ("comments m WHERE m.bug_id = b.id", "m.text"),
    "dependson": ("dependencies m WHERE m.bug_id = b.id", "m.depends_on"),
    "blocked": ("dependencies m WHERE m.depends_on = b.id", "m.bug_id"),
}
_MOMENTS = ("delta_ts", "creation_ts")
_NUMBERS = ("bug_id", "dependson", "blocked")
_COMPARISONS = {"greaterthan": ">", "greaterthaneq": ">=", "lessthan": "<", "lessthaneq": "<="}
#: Operators that say what must not be -> the operator that finds it.
_OPPOSITES = {
    "notequals": "equals",
    "notsubstring": "substring",
    "nowordssubstr": "anywordssubstr",
    "isempty": "isnotempty",
}


def condition(field: str, operator: str, value: str, viewer: Account, now: str) -> tuple[str, list]:
    """Return a condition on `bugs b` with its arguments. Raises Refusal 108 (field) or -32000/68000 (operator)."""
    if field not in _COLUMNS and field not in _MANY:
        raise errors.Refusal(108, f'Can\'t use "{field}" as a field name.')
    opposite = _OPPOSITES.get(operator)
    if field in _MOMENTS:
        value = moments.asked(value, now) if value else value
    if field in _COLUMNS:
        sql, arguments = _compared(_COLUMNS[field], field, opposite or operator, value)
    else:
        where, expression = _MANY[field]
        if field == "longdesc" and not viewer.is_insider:
            where += " AND NOT m.is_private"
        sql, arguments = _compared(expression, field, opposite or operator, value)
        sql = f"EXISTS (SELECT 1 FROM {where} AND {sql})"
    return (f"NOT {sql}" if opposite else sql), arguments


def _compared(expression: str, field: str, operator: str, value: str) -> tuple[str, list]:
    number = field in _NUMBERS
    if operator == "equals":
        return (f"{expression} = ?", [_number(value)]) if number else (f"{expression} = ? COLLATE NOCASE", [value])
    if operator == "anyexact":
        values = [one.strip() for one in value.split(",")]
        places = ", ".join("?" * len(values))
        return f"{expression} IN ({places})", [_number(one) if number else one for one in values]
    if operator in _COMPARISONS:
        return f"{expression} {_COMPARISONS[operator]} ?", [_number(value) if number else value]
    if operator == "isnotempty":
        return f"({expression} <> '')", []
    if operator == "casesubstring":
        return f"instr({expression}, ?) > 0", [value]
    words = {
        "substring": [value],
        "allwordssubstr": value.split(),
        "anywordssubstr": re.split(r"[\s,]+", value.strip()),
    }.get(operator)
    if words is None:
        message = f'Bugzilla does not support the search type "{operator}".'
        raise errors.Refusal(-32000, message, code_on_52=68000)
    joined = " OR " if operator == "anywordssubstr" else " AND "
    # lower() knows ASCII only, which is all that Bugzilla's installations agree on
    return "(" + joined.join(f"instr(lower({expression}), lower(?)) > 0" for _ in words) + ")", words


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else -1


def read(asked: dict[str, str], viewer: Account, now: str) -> tuple[str, list] | None:
    """Return the condition of all charts of a request, or None when there are none.

    f1=OP opens a bracket joined by j1 and f9=CP closes it; n1 turns a row round; j_top=OR joins the outermost.
    """
    numbers = sorted(int(name[1:]) for name in asked if re.fullmatch(r"f\d+", name))
    arguments: list = []
    levels = [(asked.get("j_top", "AND"), False, [])]
    for number in numbers:
        field, negated = asked[f"f{number}"], asked.get(f"n{number}") == "1"
        if field == "OP":
            levels.append((asked.get(f"j{number}", "AND"), negated, []))
        elif field == "CP":
            if len(levels) > 1:
                _close(levels)
        else:
            operator, value = asked.get(f"o{number}"), asked.get(f"v{number}")
            if operator is None or (not value and operator not in ("isempty", "isnotempty")):
                continue  # as upstream: a row without operator or value is no row
            sql, values = condition(field, operator, value or "", viewer, now)
            levels[-1][2].append(f"NOT ({sql})" if negated else f"({sql})")
            arguments += values
    while len(levels) > 1:
        _close(levels)
    joined, _, conditions = levels[0]
    return (_join(joined, conditions), arguments) if conditions else None


def _close(levels: list) -> None:
    joined, negated, conditions = levels.pop()
    if conditions:
        sql = _join(joined, conditions)
        levels[-1][2].append(f"NOT {sql}" if negated else sql)


def _join(joined: str, conditions: list[str]) -> str:
    return "(" + (" OR " if joined.upper() == "OR" else " AND ").join(conditions) + ")"
