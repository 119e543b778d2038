"""What Bugzilla sends of a bug, its comments and its history: the keys, and which of them were asked for."""

import base64
import hashlib
import json
from itertools import groupby

from ciduty.bugzilla.sandbox import schema
from ciduty.bugzilla.sandbox.directory import Account

#: Fields sent as they are stored.
_PLAIN = (
    "id", "product", "component", "version", "summary", "status", "resolution", "whiteboard", "severity", "priority",
    "op_sys", "platform", "url", "target_milestone", "dupe_of", "deadline", "creation_time", "last_change_time",
)  # fmt: skip
_YES_NO = ("is_confirmed", "is_cc_accessible", "is_creator_accessible")


class Wanted:
    """Which fields a request wants: include_fields and exclude_fields, with Bugzilla's _default and _all.

    Unknown names are ignored. "parent.child" wants one key of a nested object (upstream's WebService/Util.pm).
    """

    def __init__(self, include: str = "", exclude: str = ""):
        included = {name.strip() for name in include.split(",") if name.strip()}
        self._excluded = {name.strip() for name in exclude.split(",") if name.strip()}
        self._everything = not included or bool(included & {"_default", "_all"})
        self._included = included

    def __call__(self, name: str, parent: str = "") -> bool:
        """Say whether a field is wanted."""
        full = f"{parent}.{name}" if parent else name
        if full in self._excluded:
            return False
        if full in self._included or self._everything:
            return True
        if parent:
            return parent in self._included
        return any(one.startswith(name + ".") for one in self._included)


def person(row, wanted: Wanted, parent: str, version_52: bool) -> dict:
    """Return the details of an account; 5.2 sends the address twice."""
    detail = {"id": row["id"], "name": row["login"], "real_name": row["real_name"]}
    if version_52:
        detail["email"] = row["login"]
    return {name: value for name, value in detail.items() if wanted(name, parent)}


def bugs(db, ids: list[int], viewer: Account, wanted: Wanted, version_52: bool) -> list[dict]:
    """Return bugs in the order of their numbers given, with the fields wanted that this viewer gets."""
    asked = json.dumps(ids)
    rows = {row["id"]: row for row in db.execute(f"SELECT * FROM bugs WHERE id IN ({_IDS})", [asked])}
    plain = [name for name in _PLAIN if wanted(name)]
    answers = {bug_id: {name: rows[bug_id][name] for name in plain} for bug_id in ids if bug_id in rows}
    for name in filter(wanted, _YES_NO):
        for bug_id, bug in answers.items():
            bug[name] = bool(rows[bug_id][name])
    if wanted("is_open"):
        for bug_id, bug in answers.items():
            bug["is_open"] = rows[bug_id]["status"] in schema.OPEN_STATUSES
    for name in filter(wanted, ("keywords", "see_also")):
        for bug_id, bug in answers.items():
            bug[name] = json.loads(rows[bug_id][name])
    _add_people(db, answers, rows, asked, wanted, version_52)
    _add_lists(db, answers, asked, wanted)
    _add_constants(answers, rows, viewer, wanted)
    return list(answers.values())


_IDS = "SELECT value FROM json_each(?)"


def _add_people(db, answers, rows, asked, wanted, version_52):
    if not (wanted("creator") or wanted("assigned_to") or wanted("cc")):
        return
    users = {row["id"]: row for row in db.execute("SELECT id, login, real_name FROM users")}
    for role in filter(wanted, ("creator", "assigned_to")):
        details = {}
        for bug_id, bug in answers.items():
            user = users[rows[bug_id][role]]
            if user["id"] not in details:
                details[user["id"]] = person(user, wanted, role, version_52)
            bug[role], bug[f"{role}_detail"] = user["login"], details[user["id"]]
    if wanted("cc"):
        for bug in answers.values():
            bug["cc"], bug["cc_detail"] = [], []
        for bug_id, user_id in db.execute(f"SELECT bug_id, user_id FROM cc WHERE bug_id IN ({_IDS})", [asked]):
            bug = answers[bug_id]
            bug["cc"].append(users[user_id]["login"])
            bug["cc_detail"].append(person(users[user_id], wanted, "cc", version_52))


_LISTS = {
    "groups": "SELECT bug_id, name FROM bug_groups WHERE bug_id IN ({ids}) ORDER BY name",
    "alias": "SELECT bug_id, alias FROM aliases WHERE bug_id IN ({ids}) ORDER BY alias",
    "depends_on": "SELECT bug_id, depends_on FROM dependencies WHERE bug_id IN ({ids}) ORDER BY 2",
    "blocks": "SELECT depends_on, bug_id FROM dependencies WHERE depends_on IN ({ids}) ORDER BY 2",
}
_FLAGS = """
SELECT flags.bug_id, flags.id, flags.type_id, flag_types.name, flags.status, setters.login AS setter,
       requestees.login AS requestee, flags.creation_date, flags.modification_date
FROM flags JOIN flag_types ON flag_types.id = flags.type_id JOIN users setters ON setters.id = flags.setter
LEFT JOIN users requestees ON requestees.id = flags.requestee
WHERE flags.bug_id IN ({ids}) ORDER BY flags.type_id, flags.id
"""


def _add_lists(db, answers, asked, wanted):
    for name, sql in _LISTS.items():
        if wanted(name):
            for bug in answers.values():
                bug[name] = []
            for bug_id, value in db.execute(sql.format(ids=_IDS), [asked]):
                answers[bug_id][name].append(value)
    if wanted("flags"):
        for bug in answers.values():
            bug["flags"] = []
        for row in db.execute(_FLAGS.format(ids=_IDS), [asked]):
            flag = dict(row)
            if flag["requestee"] is None:  # absent when nobody is asked, not null
                del flag["requestee"]
            answers[flag.pop("bug_id")]["flags"].append(flag)


def _add_constants(answers, rows, viewer, wanted):
    constants = {"classification": "Unclassified", "qa_contact": ""}
    if viewer.may_edit:  # the time-tracking group of the recorded servers
        constants |= {"estimated_time": 0, "remaining_time": 0, "actual_time": 0}
    constants = {name: value for name, value in constants.items() if wanted(name)}
    for bug_id, bug in answers.items():
        bug.update(constants)
        if not viewer.is_anonymous and wanted("update_token"):
            seen = f"{viewer.id}:{bug_id}:{rows[bug_id]['last_change_time']}".encode()
            bug["update_token"] = base64.urlsafe_b64encode(hashlib.sha256(seen).digest()).decode().rstrip("=")


def comments(db, bug_id: int, viewer: Account, since: str | None, wanted: Wanted, version_52: bool) -> list[dict]:
    """Return a bug's comments, oldest first, later than `since`; private ones only for insiders."""
    rows = db.execute(
        "SELECT comments.id, login, at, text, is_private FROM comments JOIN users ON users.id = user_id "
        "WHERE bug_id = ? ORDER BY at, comments.id",
        [bug_id],
    )
    answers = []
    for count, row in enumerate(rows):
        if (since and row["at"] <= since) or (row["is_private"] and not viewer.is_insider):
            continue
        comment = {
            "id": row["id"],
            "bug_id": bug_id,
            "count": count,
            "creator": row["login"],
            "time": row["at"],
            "creation_time": row["at"],
            "text": row["text"],
            "is_private": bool(row["is_private"]),
            "attachment_id": None,
            "tags": [],
        }
        if not version_52:
            comment["is_markdown"] = False
        answers.append({name: value for name, value in comment.items() if wanted(name)})
    return answers


def history(db, bug_id: int, since: str | None) -> list[dict]:
    """Return a bug's changes later than `since`: those of one person in one second, side by side, are one entry.

    Within an entry neighbours of the same field are joined with a blank (upstream's join_activity_entries), which
    writes "needs-treeclosure+ needs-treeclosure-" for two changes.
    """
    rows = db.execute(
        "SELECT login, at, field, removed, added FROM activity JOIN users ON users.id = user_id "
        "WHERE bug_id = ? ORDER BY at, activity.id",
        [bug_id],
    )
    later = [row for row in rows if not since or row["at"] > since]
    entries = []
    for (at, login), lines in groupby(later, key=lambda row: (row["at"], row["login"])):
        changes = []
        for row in lines:
            change = {"field_name": row["field"], "removed": row["removed"], "added": row["added"]}
            if changes and changes[-1]["field_name"] == row["field"]:
                last = changes.pop()
                change |= {side: _joined(row["field"], last[side], change[side]) for side in ("removed", "added")}
            changes.append(change)
        entries.append({"when": at, "who": login, "changes": changes})
    return entries


def _joined(field: str, current: str, new: str) -> str:
    if not current:
        return new
    if new[:1] in (",", " "):
        return current + new
    return current + (", " if field in ("depends_on", "blocks", "see_also") else " ") + new
