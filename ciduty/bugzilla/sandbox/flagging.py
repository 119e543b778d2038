"""Flags of a bug: who may ask, grant and be asked, as upstream's Flag.pm has it. Other fields stand in editing."""

from ciduty.bugzilla.sandbox import directory, errors, stored
from ciduty.bugzilla.sandbox.directory import Account, account_of

_VERBS = {"+": "grant", "-": "deny", "X": "clear", "?": "request"}


def summaries(db, bug_id: int) -> list[str]:
    """Return the flags as history writes them: name, status and, in brackets, who is asked."""
    return [
        flag["name"] + flag["status"] + (f"({flag['requestee']})" if flag["requestee"] else "")
        for flag in db.execute(stored.FLAGS_OF_A_BUG, [bug_id])
    ]


def put(db, bug_id: int, setter: Account, flag: dict, when: str) -> int:
    """Put a new flag on a bug without asking for rights, and return its number."""
    type_id = db.execute("SELECT id FROM flag_types WHERE name = ?", [flag["name"]]).fetchone()
    if type_id is None:
        raise errors.no_such("flagtype", flag["name"])
    requestee = account_of(db, flag["requestee"]).id if flag.get("requestee") else None
    return _insert(db, bug_id, type_id[0], flag["status"], setter.id, requestee, when)


def change(
    db, bug_id: int, account: Account, asked: list[dict], when: str, version_52: bool, checked=True
) -> list[str]:
    """Set flags as a request asks, changed ones before new ones. Returns the logins to put on the CC list.

    Raises Refusal 51, 129, 130, 131, 132 or 32000. `version_52` decides how a refusal writes a person.
    """
    product = db.execute("SELECT product FROM bugs WHERE id = ?", [bug_id]).fetchone()[0]
    types = directory.flag_types_of(db, directory.product_named(db, product))
    current = [dict(flag) for flag in db.execute(stored.FLAGS_OF_A_BUG, [bug_id])]
    meant = [_meant(flag, types, current) for flag in asked]
    added = []
    for flag_type, existing, flag in sorted(meant, key=lambda one: one[1] is None):
        setting = _Setting(db, bug_id, account, flag_type, existing, when, version_52, checked)
        requestee = setting.set(flag)
        if requestee:
            added.append(requestee)
    return added


def _meant(flag: dict, types: list[dict], current: list[dict]) -> tuple[dict, dict | None, dict]:
    """Return the type, the existing flag or None, and the request. Raises Refusal 51 or 132."""
    if flag.get("id"):
        matches = [one for one in current if one["id"] == flag["id"]]
        if not matches:
            raise errors.Refusal(51, f"There is no flag with the id '{flag['id']}'.", 404)
        return next(one for one in types if one["id"] == matches[0]["type_id"]), matches[0], flag
    if flag.get("type_id"):
        found = [one for one in types if one["id"] == flag["type_id"]]
        if not found:
            raise errors.Refusal(51, f"There is no flagtype with the id '{flag['type_id']}'.", 404)
    else:
        found = [one for one in types if one["name"] == flag.get("name")]
        if not found:
            raise errors.no_such("flagtype", flag.get("name", ""))
    matches = [one for one in current if one["type_id"] == found[0]["id"]]
    if flag.get("new") or not matches:
        return found[0], None, flag
    if len(matches) > 1:
        value = flag.get("type_id") or flag.get("name")
        raise errors.Refusal(
            132, f"The flag '{value}' has been set multiple times. You must specify the id value to update the flag."
        )
    return found[0], matches[0], flag


class _Setting:
    """One flag being set by one person."""

    def __init__(self, db, bug_id, account, flag_type, existing, when, version_52, checked):
        self.db, self.bug_id, self.account, self.type = db, bug_id, account, flag_type
        self.existing, self.when, self.version_52, self.checked = existing, when, version_52, checked

    def set(self, flag: dict) -> str | None:
        """Set it, and return the login of somebody newly asked."""
        status = flag.get("status") or ""
        before = self.existing["status"] if self.existing else ""
        asked_before = self.existing["requestee"] if self.existing else None
        if self.existing is None:
            if status == "X":
                return None
            self._refuse_second()
        if status not in _VERBS:
            where = f" for flag ID #{self.existing['id']}" if self.existing else ""
            raise errors.Refusal(129, f"The flag status {status}{where} is invalid.")
        # Bugzilla forgets who was asked when a request is set again without a requestee.
        requestee = account_of(self.db, flag["requestee"]) if status == "?" and flag.get("requestee") else None
        login = requestee.login if requestee else None
        if requestee and login != asked_before:
            self._check_requestee(requestee)
        if (status, login) == (before, asked_before):
            return None
        self._check_setter(status, before)
        self._write(status, before, requestee)
        return login if login != asked_before else None

    def _refuse_second(self):
        same = "SELECT 1 FROM flags WHERE bug_id = ? AND type_id = ?"
        if not self.type["multiplicable"] and self.db.execute(same, [self.bug_id, self.type["id"]]).fetchone():
            raise errors.Refusal(32000, f"You cannot have several {self.type['name']} flags for this bug.")

    def _check_requestee(self, requestee: Account):
        if not self.checked:
            return
        name = self.type["name"]
        if not self.type["requesteeble"]:
            raise errors.Refusal(131, f"You can't ask a specific person for {name}.")
        person = requestee.login
        if requestee.real_name:
            left, right = "<>" if self.version_52 else "()"
            person = f"{requestee.real_name} {left}{requestee.login}{right}"
        if not stored.sees(self.db, requestee, self.bug_id):
            raise errors.Refusal(
                32000,
                f"You asked {person} for {name} on bug {self.bug_id}, but that bug has been restricted to users in "
                "certain groups, and the user you asked isn't in all the groups to which the bug has been restricted. "
                "Please choose someone else to ask, or make the bug accessible to users on its CC: list and add that "
                "user to the list.",
            )
        if not directory.may_grant(requestee, self.type):
            raise errors.Refusal(
                32000,
                f"{person} does not have permission to set the {name} flag. Please select a user who is a member of "
                f"the {self.type['grant_group']} group.",
            )

    def _check_setter(self, status: str, before: str):
        allowed = (
            not self.checked
            or status == before
            or (status == "X" and self.existing and self.existing["setter"] == self.account.login)
            or (status in "X?" and directory.may_request(self.account, self.type))
            or directory.may_grant(self.account, self.type)
        )
        if not allowed:
            what = self.type["name"] + (before if status == "X" else "")
            raise errors.Refusal(
                130,
                f"You tried to {_VERBS[status]} {what}. Only a user with the required permissions may make this "
                "change.",
            )

    def _write(self, status: str, before: str, requestee: Account | None):
        requestee_id = requestee.id if requestee else None
        if self.existing is None:
            _insert(self.db, self.bug_id, self.type["id"], status, self.account.id, requestee_id, self.when)
        elif status == "X":
            self.db.execute("DELETE FROM flags WHERE id = ?", [self.existing["id"]])
        else:
            setter = (
                account_of(self.db, self.existing["setter"]).id if (status, before) == ("?", "?") else self.account.id
            )
            self.db.execute(
                "UPDATE flags SET status = ?, setter = ?, requestee = ?, modification_date = ? WHERE id = ?",
                [status, setter, requestee_id, self.when, self.existing["id"]],
            )


def _insert(db, bug_id, type_id, status, setter_id, requestee_id, when) -> int:
    return db.execute(
        "INSERT INTO flags (bug_id, type_id, status, setter, requestee, creation_date, modification_date) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [bug_id, type_id, status, setter_id, requestee_id, when, when],
    ).lastrowid


def drop_foreign(db, bug_id: int) -> None:
    """Remove the flags that do not exist in the product the bug was moved to."""
    product = db.execute("SELECT product FROM bugs WHERE id = ?", [bug_id]).fetchone()[0]
    kept = {flag_type["id"] for flag_type in directory.flag_types_of(db, directory.product_named(db, product))}
    for flag in db.execute(stored.FLAGS_OF_A_BUG, [bug_id]).fetchall():
        if flag["type_id"] not in kept:
            db.execute("DELETE FROM flags WHERE id = ?", [flag["id"]])
