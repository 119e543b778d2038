"""How a bug comes into the world: what Bug.create asks for, defaults and refuses. Later changes stand in editing."""

import json

from ciduty.bugzilla.sandbox import directory, errors, flagging, schema, writing
from ciduty.bugzilla.sandbox.directory import Account, account_of

#: What Bug.create takes; anything else is refused with 53 (bugzilla.mozilla.org's `type` too).
TAKEN = {
    "product", "component", "version", "summary", "description", "op_sys", "platform", "severity", "priority",
    "whiteboard", "url", "assigned_to", "cc", "groups", "keywords", "alias", "status", "target_milestone", "depends_on",
    "blocks", "flags", "deadline", "is_cc_accessible", "is_creator_accessible", "see_also", "comment_is_private",
}  # fmt: skip


def file(world, account: Account, asked: dict, version_52: bool) -> int:
    """File a bug as an account, with all of Bugzilla's refusals, and return its number."""
    for name in sorted(asked):
        if name not in TAKEN:
            raise errors.Refusal(53, f"{name} is not a valid parameter for the Bugzilla::Bug::create function.")
    with world.transaction() as db:
        product = _check(db, account, asked)
        when = world.now()
        fields = {key: asked[key] for key in asked if key not in ("flags", "assigned_to", "status")}
        if account.may_edit:  # others cannot choose them, and Bugzilla does not say so
            fields |= {key: asked[key] for key in ("assigned_to", "status") if asked.get(key)}
        for group in asked.get("groups", ()):
            if group not in account.groups or group == schema.EDITORS:
                raise errors.group_not_allowed(None, group, product["name"])
        bug_id = seed(world, account, fields, when, None)
        if asked.get("flags"):
            _first_flags(db, bug_id, account, asked["flags"], when, version_52)
        return bug_id


def _check(db, account: Account, asked: dict) -> dict:
    name = str(asked.get("product") or "").strip()
    if not name:
        raise errors.Refusal(
            106,
            "Either no products have been defined to enter bugs against or you have not been given access to any.",
            401,
        )
    product = directory.product_named(db, name)
    if product is None:
        raise errors.Refusal(
            106,
            f"Sorry, either the product {name} does not exist or you aren't authorized to enter a bug into it.",
            401,
        )
    component = str(asked.get("component") or "").strip()
    if not component:
        raise errors.Refusal(105, "You must choose a component for this bug.")
    directory.component_named(db, name, component)
    writing.check_summary(asked.get("summary"))
    if not asked.get("version"):
        raise errors.Refusal(50, "You must select/enter a version.")
    if asked["version"] not in product["versions"]:
        raise errors.no_such("version", asked["version"], name)
    for field in ("severity", "priority"):
        if field in asked:
            writing.check_choice(field, asked[field])
    status = asked.get("status")
    if status and account.may_edit and status not in schema.MOVES[""]:
        if status not in schema.MOVES:
            raise errors.no_such("Status", status)
        raise errors.Refusal(123, f"You are not allowed to file new bugs with the {status} status.")
    writing.check_comment(str(asked.get("description") or ""))
    if asked.get("comment_is_private") and not account.is_insider:
        raise writing.not_an_insider()
    return product


def _first_flags(db, bug_id: int, account: Account, flags: list, when: str, version_52: bool) -> None:
    requestees = flagging.change(db, bug_id, account, flags, when, version_52)
    if version_52:  # 5.3 neither puts who is asked on the CC list here nor writes history: recorded so
        for login in requestees:
            db.execute("INSERT OR IGNORE INTO cc VALUES (?, ?)", [bug_id, account_of(db, login).id])
            writing.log(db, bug_id, account.id, when, "cc", "", login)
        writing.log(db, bug_id, account.id, when, "flagtypes.name", "", ", ".join(flagging.summaries(db, bug_id)))


def seed(world, account: Account, fields: dict, when: str, bug_id: int | None) -> int:
    """Write a new bug without asking for rights, and return its number. `when` is a stamp."""
    with world.transaction() as db:
        component = directory.component_named(db, fields["product"], fields["component"])
        owner = account_of(db, fields["assigned_to"]).id if fields.get("assigned_to") else component["assignee"]
        status = fields.get("status") or "NEW"
        row = {
            "id": bug_id,
            "version": "unspecified",
            "creator": account.id,
            "assigned_to": owner,
            "status": status,
            "is_confirmed": status != "UNCONFIRMED",
            "keywords": json.dumps(_listed(fields.get("keywords"))),
            "see_also": json.dumps(_listed(fields.get("see_also"))),
            "creation_time": when,
            "last_change_time": when,
        }
        for name in _PLAIN:
            if name in fields:
                row[name] = fields[name]
        row["summary"] = writing.one_line(row["summary"])
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        bug_id = db.execute(f"INSERT INTO bugs ({columns}) VALUES ({places})", list(row.values())).lastrowid
        world.about_to_come(bug_id, when)
        _write_lists(world, db, bug_id, fields, when)
        private = bool(fields.get("comment_is_private"))
        writing.write_comment(db, bug_id, account.id, when, str(fields.get("description") or ""), private)
        return bug_id


_PLAIN = (
    "product", "component", "version", "summary", "resolution", "whiteboard", "severity", "priority", "op_sys",
    "platform", "url", "target_milestone", "deadline", "is_cc_accessible", "is_creator_accessible",
)  # fmt: skip


def _listed(value) -> list:
    return [] if value in (None, "") else [value] if isinstance(value, (str, int)) else list(value)


def _write_lists(world, db, bug_id: int, fields: dict, when: str) -> None:
    for login in _listed(fields.get("cc")):
        db.execute("INSERT OR IGNORE INTO cc VALUES (?, ?)", [bug_id, account_of(db, login).id])
    for group in _listed(fields.get("groups")):
        world.add_group(group)
        db.execute("INSERT INTO bug_groups VALUES (?, ?)", [bug_id, group])
    for alias in _listed(fields.get("alias")):
        writing.check_alias(db, bug_id, alias)
        db.execute("INSERT INTO aliases VALUES (?, ?)", [alias, bug_id])
    for other in _listed(fields.get("depends_on")):
        writing.link(world, bug_id, int(other), when)
    for other in _listed(fields.get("blocks")):
        writing.link(world, int(other), bug_id, when)
