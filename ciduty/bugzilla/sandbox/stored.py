"""One bug as it is stored, and who may see it. Nothing is written here."""

import json

from ciduty.bugzilla.sandbox import errors
from ciduty.bugzilla.sandbox.directory import Account


def stored_bug(db, bug_id: int) -> dict:
    """Return everything stored of a bug, people as logins. Raises KeyError when it does not exist."""
    row = db.execute("SELECT * FROM bugs WHERE id = ?", [bug_id]).fetchone()
    if row is None:
        raise KeyError(bug_id)

    def column(sql: str) -> list:
        return [value[0] for value in db.execute(sql, [bug_id])]

    bug = dict(row)
    for person in ("creator", "assigned_to"):
        bug[person] = db.execute("SELECT login FROM users WHERE id = ?", [row[person]]).fetchone()[0]
    for listed in ("keywords", "see_also"):
        bug[listed] = json.loads(row[listed])
    bug["cc"] = column("SELECT login FROM cc JOIN users ON users.id = user_id WHERE bug_id = ? ORDER BY login")
    bug["groups"] = column("SELECT name FROM bug_groups WHERE bug_id = ? ORDER BY name")
    bug["alias"] = column("SELECT alias FROM aliases WHERE bug_id = ? ORDER BY alias")
    bug["depends_on"] = column("SELECT depends_on FROM dependencies WHERE bug_id = ? ORDER BY 1")
    bug["blocks"] = column("SELECT bug_id FROM dependencies WHERE depends_on = ? ORDER BY 1")
    bug["flags"] = [dict(flag) for flag in db.execute(FLAGS_OF_A_BUG, [bug_id])]
    return bug


FLAGS_OF_A_BUG = """
SELECT flags.id, flags.type_id, flag_types.name, flags.status, setters.login AS setter, requestees.login AS requestee,
       flags.creation_date, flags.modification_date
FROM flags JOIN flag_types ON flag_types.id = flags.type_id JOIN users setters ON setters.id = flags.setter
LEFT JOIN users requestees ON requestees.id = flags.requestee WHERE flags.bug_id = ? ORDER BY flags.type_id, flags.id
"""


def visible_bug(db, viewer: Account, asked: str | int) -> int:
    """Return the number of the bug asked for by number or alias. Raises Refusal 100, 101 or 102 as Bugzilla does."""
    text = str(asked).strip()
    if text.isdigit():
        bug_id = int(text)
    else:
        row = db.execute("SELECT bug_id FROM aliases WHERE alias = ?", [text]).fetchone()
        if row is None:
            raise errors.no_such_alias(text)
        bug_id = row[0]
    if bug_id >= 2**63 or not db.execute("SELECT 1 FROM bugs WHERE id = ?", [bug_id]).fetchone():
        raise errors.no_such_bug(text)
    if not sees(db, viewer, bug_id):
        raise errors.bug_hidden(bug_id, viewer.is_anonymous)
    return bug_id


def sees(db, viewer: Account, bug_id: int) -> bool:
    """Say whether an account may see a bug."""
    where, arguments = visible_to(viewer)
    return bool(db.execute(f"SELECT 1 FROM bugs b WHERE b.id = ? AND {where}", [bug_id, *arguments]).fetchone())


def visible_to(viewer: Account) -> tuple[str, list]:
    """Return the condition on `bugs b` that leaves what an account may see, with its arguments.

    In all groups of the bug, or with a role on it: assignee, or creator or on its CC list where the bug allows it.
    """
    groups = json.dumps(sorted(viewer.groups))
    where = """(NOT EXISTS (
            SELECT 1 FROM bug_groups v WHERE v.bug_id = b.id AND v.name NOT IN (SELECT value FROM json_each(?)))
        OR b.assigned_to = ? OR (b.creator = ? AND b.is_creator_accessible)
        OR (b.is_cc_accessible AND EXISTS (SELECT 1 FROM cc v WHERE v.bug_id = b.id AND v.user_id = ?)))"""
    return where, [groups, viewer.id, viewer.id, viewer.id]
