"""How a bug changes: what Bug.update takes, refuses and writes, all or nothing. Flags stand in flagging."""

import copy
import json

from ciduty.bugzilla.sandbox import directory, errors, flagging, rights, schema, stored, writing
from ciduty.bugzilla.sandbox.directory import Account, account_of

#: Fields of one value, in the order history writes them -> Bugzilla's name of the field in a refusal.
PLAIN = {
    "product": "Product",
    "component": "Component",
    "version": "Version",
    "summary": "Summary",
    "whiteboard": "Whiteboard",
    "status": "Status",
    "resolution": "Resolution",
    "is_confirmed": "Ever confirmed",
    "dupe_of": "Duplicate of",
    "assigned_to": "Assignee",
    "severity": "Severity",
    "priority": "Priority",
    "op_sys": "OS",
    "platform": "Hardware",
    "url": "URL",
    "target_milestone": "Target Milestone",
    "deadline": "Deadline",
    "is_cc_accessible": "CC list accessible",
    "is_creator_accessible": "Reporter accessible",
}
#: Fields that hold several values, changed by {"add": [...], "remove": [...], "set": [...]}.
LISTS = ("keywords", "see_also", "alias", "depends_on", "blocks", "groups", "cc")


def update(world, account: Account, ids: list, changes: dict, version_52: bool) -> list[dict]:
    """Change bugs as PUT does, all or nothing, and return what Bugzilla answers of each."""
    with world.transaction() as db:
        bug_ids = [stored.visible_bug(db, account, asked) for asked in ids]
        when = world.now()
        answers = []
        for bug_id in bug_ids:
            changed = change(world, bug_id, account, changes, when, version_52=version_52)
            row = db.execute("SELECT last_change_time FROM bugs WHERE id = ?", [bug_id]).fetchone()
            alias = [value[0] for value in db.execute("SELECT alias FROM aliases WHERE bug_id = ?", [bug_id])]
            answers.append({"id": bug_id, "last_change_time": row[0], "changes": changed, "alias": alias})
        return answers


def add_comment(world, account: Account, asked, text: str, is_private: bool) -> int:
    """Comment on a bug as an account, and return the comment's number."""
    with world.transaction() as db:
        bug_id = stored.visible_bug(db, account, asked)
        writing.check_comment(text)
        if is_private and not account.is_insider:
            raise writing.not_an_insider()
        when = world.now()
        world.about_to_change(bug_id, when)
        return writing.write_comment(db, bug_id, account.id, when, text, is_private)


def change(world, bug_id: int, account: Account, changes: dict, when: str, *, version_52=False, checked=True) -> dict:
    """Change one bug, inside a transaction, and return {field: {"removed", "added"}}. Unknown fields are ignored."""
    world.about_to_change(bug_id, when)
    edit = _Edit(world, bug_id, account, when, checked)
    edit.read(changes)
    return edit.write(changes.get("flags") or [], version_52)


class _Edit:
    """One person's change of one bug: what it was, what it shall be."""

    def __init__(self, world, bug_id: int, account: Account, when: str, checked: bool):
        self.world, self.db, self.account, self.when, self.checked = world, world.db, account, when, checked
        self.bug_id = bug_id
        self.before = stored.stored_bug(self.db, bug_id)
        self.after = copy.deepcopy(self.before)
        self.comment = None

    # --- what was asked ---------------------------------------------------------------------------------------------

    def read(self, changes: dict) -> None:
        """Work out what the bug shall be. Raises the refusals of values; rights come after, as upstream has it."""
        self._product(changes)
        for name in LISTS:
            if isinstance(changes.get(name), dict):
                self._list(name, changes[name])
        if isinstance(changes.get("alias"), (str, list)):
            wanted = changes["alias"]
            self._list("alias", {"set": [wanted] if isinstance(wanted, str) else wanted})
        self._comment(changes.get("comment"))
        self._status(changes)
        for name in ("severity", "priority"):
            if name in changes:
                writing.check_choice(name, changes[name])
        if "summary" in changes:
            writing.check_summary(changes["summary"])
            self.after["summary"] = writing.one_line(str(changes["summary"]))
        if "assigned_to" in changes:
            self._assign(changes["assigned_to"])
        if changes.get("reset_assigned_to"):
            self._assign(None)
        for name in ("whiteboard", "severity", "priority", "op_sys", "platform", "url", "target_milestone"):
            if name in changes:
                self.after[name] = str(changes[name] or "").strip()
        for name in ("is_cc_accessible", "is_creator_accessible"):
            if name in changes:
                self.after[name] = int(bool(changes[name]))
        if "deadline" in changes:
            self.after["deadline"] = changes["deadline"] or None

    def _product(self, changes: dict):
        name = str(changes.get("product", self.before["product"])).strip()
        product = directory.product_named(self.db, name)
        if product is None:
            raise errors.Refusal(
                106,
                f"Sorry, either the product {name} does not exist or you aren't authorized to enter a bug into it.",
                401,
            )
        component = str(changes.get("component", self.before["component"])).strip()
        directory.component_named(self.db, name, component)
        version = str(changes.get("version", self.before["version"])).strip()
        if version not in product["versions"]:
            raise errors.no_such("version", version, name)
        self.after |= {"product": name, "component": component, "version": version}

    def _list(self, name: str, asked: dict):
        values = list(self.before[name])
        if "set" in asked:
            values = []
        for value in [*(asked.get("add") or []), *(asked.get("set") or [])]:
            value = self._value(name, value)
            if value not in values:
                values.append(value)
        removed = [self._value(name, value, removing=True) for value in asked.get("remove") or []]
        self.after[name] = [value for value in values if value not in removed]

    def _value(self, name: str, value, removing=False):
        if name == "cc":
            return account_of(self.db, value).login
        if name in ("depends_on", "blocks"):
            other = stored.visible_bug(self.db, self.account, value) if self.checked else int(value)
            if other == self.bug_id:
                raise errors.Refusal(116, "You can't make a bug block itself or depend on itself.")
            return other
        if name == "alias" and not removing:
            writing.check_alias(self.db, self.bug_id, value)
        if name == "groups":
            known = value in self.world.group_names()
            allowed = value in self.before["groups"] if removing else not self.checked or value in self.account.groups
            if not known or not allowed:
                raise errors.group_not_allowed(self.bug_id, value, self.before["product"], removing)
        return value

    def _comment(self, asked):
        if asked is None:
            return
        if not isinstance(asked, dict):
            raise errors.Refusal(32000, "The comment parameter must be an object.")
        text = str(asked.get("body") or asked.get("comment") or "")
        if not text.strip():
            return
        writing.check_comment(text)
        private = bool(asked.get("is_private"))
        if private and self.checked and not self.account.is_insider:
            raise writing.not_an_insider()
        self.comment = (text, private)

    def _status(self, changes: dict):
        before, status = self.before["status"], changes.get("status", self.before["status"])
        resolution, dupe_of = changes.get("resolution"), changes.get("dupe_of")
        if dupe_of:
            dupe_of = stored.visible_bug(self.db, self.account, dupe_of) if self.checked else int(dupe_of)
            resolution, status = "DUPLICATE", status if status not in schema.OPEN_STATUSES else "RESOLVED"
        if status not in schema.MOVES or not status:
            raise errors.no_such("Status", status)
        if status != before and status not in schema.MOVES[before]:
            raise errors.Refusal(123, f"You are not allowed to change the bug status from {before} to {status}.")
        self.after["status"] = status
        if status in schema.OPEN_STATUSES:
            if resolution and "status" not in changes:
                raise errors.Refusal(122, "You cannot set a resolution for open bugs.")
            self.after |= {"resolution": "", "dupe_of": None, "is_confirmed": int(status != "UNCONFIRMED")}
            return
        if resolution is None:
            resolution = self.before["resolution"]
        if not resolution:
            raise errors.Refusal(121, f"A valid resolution is required to mark bugs as {status}.")
        if resolution not in schema.RESOLUTIONS:
            raise errors.no_such("Resolution", resolution)
        if resolution == "DUPLICATE" and not (dupe_of or self.before["dupe_of"]):
            raise errors.Refusal(119, "You must specify a bug id to mark this bug as a duplicate of.")
        self.after["resolution"] = resolution
        self.after["dupe_of"] = (dupe_of or self.before["dupe_of"]) if resolution == "DUPLICATE" else None

    def _assign(self, login):
        if login is None:
            owner = directory.component_named(self.db, self.after["product"], self.after["component"])["assignee"]
            login = self.db.execute("SELECT login FROM users WHERE id = ?", [owner]).fetchone()[0]
        if not str(login).strip():
            raise errors.Refusal(50, "To reassign a bug, you must provide an address for the new assignee.")
        self.after["assigned_to"] = account_of(self.db, login).login

    # --- writing it -------------------------------------------------------------------------------------------------

    def write(self, flags: list, version_52: bool) -> dict:
        """Write the change with its history, and return {field: {"removed", "added"}}."""
        changed = {}
        for name, label in PLAIN.items():
            if self.after[name] != self.before[name]:
                if self.checked:
                    rights.check(self.account, self.before, name, label, self.after[name])
                changed[name] = (writing.text_of(self.before[name]), writing.text_of(self.after[name]))
        self._write_row(changed)
        # Flags first: the requestee must see the bug as it was, and whoever is asked joins the CC list.
        changed |= self._write_flags(flags, version_52)
        for name in LISTS:
            changed |= self._write_list(name)
        for field, (removed, added) in changed.items():
            writing.log(self.db, self.bug_id, self.account.id, self.when, field, removed, added)
        if self.comment:
            writing.write_comment(self.db, self.bug_id, self.account.id, self.when, *self.comment)
        if changed:
            writing.touch(self.db, self.bug_id, self.when)
        return {field: {"removed": removed, "added": added} for field, (removed, added) in changed.items()}

    def _write_row(self, changed: dict):
        values = {name: self.after[name] for name in changed}
        if "assigned_to" in values:
            values["assigned_to"] = account_of(self.db, values["assigned_to"]).id
        if values:
            columns = ", ".join(f"{name} = ?" for name in values)
            self.db.execute(f"UPDATE bugs SET {columns} WHERE id = ?", [*values.values(), self.bug_id])

    def _write_flags(self, flags: list, version_52: bool) -> dict:
        before = flagging.summaries(self.db, self.bug_id)
        if "product" in self.after and self.after["product"] != self.before["product"]:
            flagging.drop_foreign(self.db, self.bug_id)
        if flags:
            asked = flagging.change(self.db, self.bug_id, self.account, flags, self.when, version_52, self.checked)
            self.after["cc"] += [login for login in asked if login not in self.after["cc"]]
        removed, added = writing.difference(before, flagging.summaries(self.db, self.bug_id))
        return {"flagtypes.name": (", ".join(removed), ", ".join(added))} if removed or added else {}

    def _write_list(self, name: str) -> dict:
        removed, added = writing.difference(self.before[name], self.after[name])
        if not removed and not added:
            return {}
        if name in ("keywords", "see_also"):
            values = json.dumps(sorted(self.after[name]))
            self.db.execute(f"UPDATE bugs SET {name} = ? WHERE id = ?", [values, self.bug_id])
        elif name in ("depends_on", "blocks"):
            self._write_links(name, removed, added)
        else:
            self._write_members(name, removed, added)
        return {name: (", ".join(map(str, removed)), ", ".join(map(str, added)))}

    def _write_members(self, name: str, removed: list, added: list):
        table, column = {"cc": ("cc", "user_id"), "groups": ("bug_groups", "name"), "alias": ("aliases", "alias")}[name]

        def stored_value(value):
            return account_of(self.db, value).id if name == "cc" else value

        for value in removed:
            where = f"bug_id = ? AND {column} = ?"
            self.db.execute(f"DELETE FROM {table} WHERE {where}", [self.bug_id, stored_value(value)])
        for value in added:
            row = [self.bug_id, stored_value(value)]
            self.db.execute(f"INSERT INTO {table} (bug_id, {column}) VALUES (?, ?)", row)

    def _write_links(self, name: str, removed: list, added: list):
        mirror = "blocks" if name == "depends_on" else "depends_on"
        for other, (was, is_now) in [
            *((one, (self.bug_id, "")) for one in removed),
            *((one, ("", self.bug_id)) for one in added),
        ]:
            waiting, needed = (self.bug_id, other) if name == "depends_on" else (other, self.bug_id)
            if was:
                self.db.execute("DELETE FROM dependencies WHERE bug_id = ? AND depends_on = ?", [waiting, needed])
            else:
                writing.link(self.world, waiting, needed, self.when)
            writing.log(self.db, other, self.account.id, self.when, mirror, str(was), str(is_now))
            writing.touch(self.db, other, self.when)
