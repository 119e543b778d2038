"""Who and what a Bugzilla knows: accounts, keys, groups, products, components and flag types. No bugs."""

import hashlib
import json
from dataclasses import dataclass

from ciduty.bugzilla.sandbox import errors, schema

#: What a flag type is when a product names it before anyone described it.
KNOWN_FLAG_TYPES = {
    "needs-treeclosure": ("Does this downtime need the trees closed?", False),
    "needinfo": ("Set this flag when the bug is in need of additional information", True),
}
NOBODY = "nobody@example.com"


@dataclass(frozen=True)
class Account:
    """One account as a viewer: who it is and which groups it is in."""

    id: int
    login: str
    real_name: str
    groups: frozenset[str]

    @property
    def is_anonymous(self) -> bool:
        """Say whether nobody is signed in."""
        return not self.id

    @property
    def may_edit(self) -> bool:
        """Say whether this account may edit every bug it sees."""
        return schema.EDITORS in self.groups

    @property
    def is_insider(self) -> bool:
        """Say whether this account sees private comments."""
        return schema.INSIDERS in self.groups


ANONYMOUS = Account(0, "", "", frozenset())


def account_of(db, login: str) -> Account:
    """Return the account with that login. Raises Refusal 51 when there is none."""
    row = db.execute("SELECT id, login, real_name FROM users WHERE login = ?", [str(login).strip()]).fetchone()
    if row is None:
        raise errors.no_such_user(str(login).strip())
    groups = db.execute("SELECT group_name FROM user_groups WHERE user_id = ?", [row["id"]])
    return Account(row["id"], row["login"], row["real_name"], frozenset(group[0] for group in groups))


def account_of_key(db, key: str) -> Account:
    """Return the account a key belongs to. Raises Refusal 306 for an unknown or revoked key."""
    row = db.execute(
        "SELECT revoked, login FROM api_keys JOIN users ON users.id = user_id WHERE key = ?", [key]
    ).fetchone()
    if row is None:
        raise errors.Refusal(306, "The API key you specified is invalid. Please check that you typed it correctly.")
    if row["revoked"]:
        raise errors.Refusal(306, "The API key you specified has been revoked by the user that created it.")
    return account_of(db, row["login"])


class Directory:
    """The seeding side of accounts, groups and products; `World` adds the store itself."""

    def add_user(self, login: str, real_name="", key=None, groups=(), may_edit=True) -> int:
        """Add an account, or groups and a key to the one there is, and return its number.

        Without a key it gets one made of its login, so that tests can sign in as anybody.
        """
        with self.transaction() as db:
            db.execute("INSERT INTO users (login, real_name) VALUES (?, ?) ON CONFLICT DO NOTHING", [login, real_name])
            user_id = db.execute("SELECT id FROM users WHERE login = ?", [login]).fetchone()[0]
            for group in (*groups, *((schema.EDITORS,) if may_edit else ())):
                self.add_group(group)
                db.execute("INSERT OR IGNORE INTO user_groups VALUES (?, ?)", [user_id, group])
            self.add_key(login, key or hashlib.sha1(login.encode(), usedforsecurity=False).hexdigest())
            return user_id

    def add_key(self, login: str, key: str) -> None:
        """Give an account one more API key."""
        with self.transaction() as db:
            user_id = account_of(db, login).id
            db.execute("INSERT OR IGNORE INTO api_keys (key, user_id) VALUES (?, ?)", [key, user_id])

    def revoke_key(self, key: str) -> None:
        """Revoke a key; Bugzilla keeps it and says so (306)."""
        with self.transaction() as db:
            db.execute("UPDATE api_keys SET revoked = 1 WHERE key = ?", [key])

    def key_of(self, login: str) -> str:
        """Return the key an account was given last. Raises KeyError when it has none that works."""
        with self.lock:
            row = self.db.execute(
                "SELECT key FROM api_keys JOIN users ON users.id = user_id WHERE login = ? AND NOT revoked "
                "ORDER BY api_keys.rowid DESC",
                [login],
            ).fetchone()
        if row is None:
            raise KeyError(login)
        return row[0]

    def logins(self) -> list[str]:
        """Return every login, in the order they were added."""
        with self.lock:
            return [row[0] for row in self.db.execute("SELECT login FROM users ORDER BY id")]

    def add_group(self, name: str) -> None:
        """Add a group to which bugs can be restricted."""
        with self.transaction() as db:
            db.execute("INSERT INTO groups (name) VALUES (?) ON CONFLICT DO NOTHING", [name])

    def group_names(self) -> list[str]:
        """Return the groups to which bugs can be restricted."""
        with self.lock:
            rows = self.db.execute("SELECT name FROM groups ORDER BY name")
            return [row[0] for row in rows if row[0] not in (schema.EDITORS, schema.INSIDERS)]

    def add_flag_type(
        self, name, requestable_by=None, grantable_by=None, multiplicable=False, requesteeble=True
    ) -> None:
        """Describe a flag type, perhaps anew. The groups say who may ask and who may grant; None means everybody."""
        with self.transaction() as db:
            for group in filter(None, (requestable_by, grantable_by)):
                self.add_group(group)
            description = KNOWN_FLAG_TYPES.get(name, (name, False))[0]
            db.execute(
                "INSERT INTO flag_types (name, description, request_group, grant_group, multiplicable, requesteeble) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET request_group = excluded.request_group, "
                "grant_group = excluded.grant_group, multiplicable = excluded.multiplicable, "
                "requesteeble = excluded.requesteeble",
                [name, description, requestable_by, grantable_by, multiplicable, requesteeble],
            )

    def add_product(
        self,
        name: str,
        components=(),
        flag_types=("needs-treeclosure", "needinfo"),
        default_assignee=None,
        versions=("unspecified",),
    ) -> None:
        """Add a product. A component is a name, or a pair of a name and the login of its default assignee."""
        with self.transaction() as db:
            for flag_type in flag_types:
                if not db.execute("SELECT 1 FROM flag_types WHERE name = ?", [flag_type]).fetchone():
                    multiplicable = KNOWN_FLAG_TYPES.get(flag_type, ("", False))[1]
                    self.add_flag_type(flag_type, multiplicable=multiplicable)
            db.execute(
                "INSERT INTO products (name, versions, flag_types) VALUES (?, ?, ?)",
                [name, json.dumps(list(versions)), json.dumps(list(flag_types))],
            )
            for component in components:
                component, assignee = (component, default_assignee) if isinstance(component, str) else component
                owner = account_of(db, assignee).id if assignee else self.add_user(NOBODY, may_edit=False)
                db.execute(
                    "INSERT INTO components (product, name, assignee) VALUES (?, ?, ?)", [name, component, owner]
                )


def product_named(db, name: str) -> dict | None:
    """Return a product with its versions and flag types, or None."""
    row = db.execute("SELECT * FROM products WHERE name = ?", [name]).fetchone()
    if row is None:
        return None
    return dict(row) | {"versions": json.loads(row["versions"]), "flag_types": json.loads(row["flag_types"])}


def component_named(db, product: str, name: str):
    """Return a component's row. Raises Refusal 51 when the product has none of that name."""
    row = db.execute("SELECT * FROM components WHERE product = ? AND name = ?", [product, name]).fetchone()
    if row is None:
        raise errors.no_such("component", name, product)
    return row


def flag_types_of(db, product: dict) -> list[dict]:
    """Return the flag types that apply to a product's bugs."""
    rows = {row["name"]: dict(row) for row in db.execute("SELECT * FROM flag_types")}
    return [rows[name] for name in product["flag_types"]]


def may_grant(account: Account, flag_type: dict) -> bool:
    """Say whether an account may set + and - (and be asked by name)."""
    return flag_type["grant_group"] is None or flag_type["grant_group"] in account.groups


def may_request(account: Account, flag_type: dict) -> bool:
    """Say whether an account may set ? and clear requests."""
    group = flag_type["request_group"]
    return group is None or group in account.groups or may_grant(account, flag_type)
