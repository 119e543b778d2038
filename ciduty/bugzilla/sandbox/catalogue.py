"""What Bugzilla sends about products, flag types and accounts. Bugs stand in shapes."""

import re

from ciduty.bugzilla.sandbox import directory, errors
from ciduty.bugzilla.sandbox.directory import Account
from ciduty.bugzilla.sandbox.shapes import Wanted


def products(db, names: list[str], ids: list[str], wanted: Wanted) -> list[dict]:
    """Return the products asked for; those that do not exist are absent without a word."""
    rows = db.execute("SELECT id, name FROM products ORDER BY id").fetchall()
    chosen = [row["name"] for row in rows if row["name"] in names or str(row["id"]) in ids]
    return [_product(db, directory.product_named(db, name), wanted) for name in chosen]


def _product(db, product: dict, wanted: Wanted) -> dict:
    answer = {
        "id": product["id"],
        "name": product["name"],
        "description": product["name"],
        "is_active": True,
        "default_milestone": "---",
        "has_unconfirmed": False,
        "classification": "Unclassified",
        "milestones": [{"id": product["id"], "name": "---", "sort_key": 0, "is_active": True}],
        "versions": [
            {"id": number, "name": version, "sort_key": 0, "is_active": True}
            for number, version in enumerate(product["versions"], start=1)
        ],
    }
    answer = {name: value for name, value in answer.items() if wanted(name)}
    if wanted("components"):
        rows = db.execute(
            "SELECT components.id, name, login FROM components JOIN users ON users.id = assignee WHERE product = ? "
            "ORDER BY name",
            [product["name"]],
        )
        flag_types = [_flag_type(db, one, number) for number, one in enumerate(directory.flag_types_of(db, product), 1)]
        answer["components"] = [_component(row, flag_types, wanted) for row in rows]
    return answer


def _component(row, flag_types: list[dict], wanted: Wanted) -> dict:
    answer = {
        "id": row["id"],
        "name": row["name"],
        "description": row["name"],
        "default_assigned_to": row["login"],
        "default_qa_contact": "",
        "sort_key": 0,
        "is_active": True,
        "flag_types": {"bug": flag_types, "attachment": []},
    }
    return {name: value for name, value in answer.items() if wanted(name, "components")}


def _flag_type(db, flag_type: dict, sort_key: int) -> dict:
    def group(name):
        return db.execute("SELECT id FROM groups WHERE name = ?", [name]).fetchone()[0] if name else None

    return {
        "id": flag_type["id"],
        "name": flag_type["name"],
        "description": flag_type["description"],
        "cc_list": "",
        "sort_key": sort_key,
        "is_active": True,
        "is_requestable": True,
        "is_requesteeble": bool(flag_type["requesteeble"]),
        "is_multiplicable": bool(flag_type["multiplicable"]),
        "grant_group": group(flag_type["grant_group"]),
        "request_group": group(flag_type["request_group"]),
    }


def flag_types(db, viewer: Account, product_name: str, component: str | None) -> dict:
    """Return the flag types of a product, and which values this viewer may set. Raises Refusal 51."""
    product = directory.product_named(db, product_name)
    if product is None:
        raise errors.no_such("product", product_name)
    if component is not None:
        directory.component_named(db, product_name, component)
    answers = []
    for flag_type in directory.flag_types_of(db, product):
        values = ["X"]
        values += ["?"] if directory.may_request(viewer, flag_type) else []
        values += ["+", "-"] if directory.may_grant(viewer, flag_type) else []
        answers.append(
            {
                "id": flag_type["id"],
                "name": flag_type["name"],
                "description": flag_type["description"],
                "type": "bug",
                "values": values,
                "is_active": True,
                "is_requesteeble": bool(flag_type["requesteeble"]),
                "is_multiplicable": bool(flag_type["multiplicable"]),
            }
        )
    return {"bug": answers, "attachment": []}


def users(
    db, viewer: Account, names: list[str], ids: list[str], match: list[str], wanted: Wanted, version_52
) -> list[dict]:
    """Return accounts; `can_login` only to those signed in, which proves a sign-in. Raises Refusal 50, 51, 505."""
    if not (names or ids or match):
        raise errors.Refusal(
            50, "The function User.get requires that you set one of the following parameters: ids, names, match"
        )
    if viewer.is_anonymous and (ids or match):
        what = "ids" if ids else "match"
        raise errors.Refusal(
            505, f'Logged-out users cannot use the "{what}" argument to this function to access any user information.'
        )
    found = {account.id: account for account in (directory.account_of(db, name) for name in names)}
    for row in db.execute("SELECT id, login, real_name FROM users ORDER BY id"):
        if str(row["id"]) in ids or any(_matches(one.lower(), row["login"], row["real_name"]) for one in match):
            found.setdefault(row["id"], directory.account_of(db, row["login"]))
    return [_user(viewer, account, wanted, version_52) for account in found.values()]


def _matches(asked: str, login: str, real_name: str) -> bool:
    """As upstream's User::match: wildcards, else a whole login, else a part of at least three characters."""
    if "*" in asked:
        wild = ".*".join(map(re.escape, asked.split("*")))
        return any(re.fullmatch(wild, name.lower()) for name in (login, real_name))
    return asked == login.lower() or len(asked) >= 3 and asked in f"{login}\n{real_name}".lower()


def _user(viewer: Account, account: Account, wanted: Wanted, version_52: bool) -> dict:
    answer = {"id": account.id, "name": account.login, "real_name": account.real_name}
    if not viewer.is_anonymous:
        answer |= {"can_login": True, "groups": []}
        if version_52:
            answer["email"] = account.login
        if viewer.id == account.id:
            groups = [
                {"id": number, "name": name, "description": name}
                for number, name in enumerate(sorted(account.groups), 1)
            ]
            answer |= {"groups": groups, "saved_searches": [], "saved_reports": []}
    return {name: value for name, value in answer.items() if wanted(name)}
