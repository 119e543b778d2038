"""The world in which the recorded exchanges took place, built in a sandbox from the recordings themselves.

Names and addresses of the recordings' people are read at run time and written nowhere.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from ciduty.bugzilla.sandbox import World

TRANSCRIPTS = Path(__file__).resolve().parents[2] / "shared" / "bugzilla" / "transcripts"
WHY_NOT_HERE = "the recorded exchanges (../shared/bugzilla/transcripts) are not beside this repository"
SERVERS = {"5.3.3": "5.3.3+", "5.2": "5.2+"}

OPERATIONS, LOANS = "Infrastructure & Operations", "CIDuty: Loan Requests"
#: Account of the recordings -> its groups besides editbugs; None: no editbugs either.
ROLES = {
    "admin": (),
    "dev": (),
    "ciduty": ("treeclosers",),
    "sheriff": ("treeclosers",),
    "it": ("infra",),
    "dev2": None,
    "newbie": None,
    "bot": ("treeclosers",),
    "infrabot": ("infra",),
    "manager": (),
    "revoked": (),
}
#: What the recordings show of bugs that were there before, only by leaving them out.
BEFORE = {
    "5.3.3": {8: {"status": "RESOLVED", "resolution": "FIXED"}},
    "5.2": {307: {"groups": ["infra"], "summary": "Private: PDU swap", "product": OPERATIONS}},
}
LONG_AGO = datetime(2026, 8, 1, tzinfo=UTC)


def recorded(server: str) -> list[dict]:
    """Return the exchanges of one server in the order they took place, each with its `file` name without ending."""
    exchanges = []
    for path in sorted((TRANSCRIPTS / f"bugzilla-{server}").glob("*.json")):
        exchanges.append(json.loads(path.read_text()) | {"file": path.stem})
    return exchanges


def moment(text: str) -> datetime:
    """Return a stamp as an aware moment."""
    return datetime.fromisoformat(text)


def happened_at(exchange: dict) -> datetime:
    """Return when the server answered: the time of the bug it changed, else its Date header."""
    body = exchange["response"]["body"]
    if (
        exchange["request"]["method"] == "PUT"
        and isinstance(body, dict)
        and any(b["changes"] for b in body.get("bugs", []))
    ):
        return moment(body["bugs"][0]["last_change_time"])
    return parsedate_to_datetime(exchange["response"]["headers"]["Date"])


def key(role: str) -> str:
    """Return the key that stands for `<KEY:role>`."""
    return f"{role}-".ljust(40, "k")


def with_keys(text: str) -> str:
    """Return a text of a recording with keys that work."""
    return re.sub(r"(?:<|%3C)KEY(?::|%3A)(\w+)(?:>|%3E)", lambda found: key(found[1]), text)


def build(server: str) -> World:
    """Return the world of one server as it was before the first recorded exchange."""
    exchanges = recorded(server)
    world = World(":memory:")
    _people(world, exchanges)
    world.add_flag_type("needs-treeclosure", requestable_by="editbugs", grantable_by="treeclosers")
    world.add_flag_type("needinfo", multiplicable=True)
    domain = _domain(exchanges)
    duty, network = f"ciduty@{domain}", f"it@{domain}"
    world.add_product("Release Engineering", ["General"], default_assignee=duty)
    components = [("CIDuty", duty), (LOANS, duty), ("NetOps", network), ("RelOps: Hardware", network)]
    world.add_product(OPERATIONS, components)
    world.add_product("mozilla.org", ["Server Operations"], default_assignee=network)
    services = ["Operations and Service Requests"]
    world.add_product("Taskcluster", services, flag_types=("needinfo",), default_assignee=duty)
    for bug_id, bug in sorted(_bugs_before(server, exchanges).items()):
        _seed(world, bug_id, bug, f"dev@{domain}")
    return world


def _domain(exchanges) -> str:
    login = next(e["request"]["params"][0][1] for e in exchanges if e["name"] == "valid_login-header-key")
    return login.split("@")[1]


def _people(world, exchanges):
    domain = _domain(exchanges)
    names = dict(_names([exchange["response"]["body"] for exchange in exchanges]))
    for role, groups in ROLES.items():
        login = f"{role}@{domain}"
        world.add_user(login, names.get(login, ""), key(role), groups or (), may_edit=groups is not None)
    world.revoke_key(key("revoked"))


def _names(body):
    """Yield pairs of login and name, from details and from the sentences of refusals."""
    if isinstance(body, list):
        for one in body:
            yield from _names(one)
    if isinstance(body, dict):
        if "real_name" in body:
            yield body["name"], body["real_name"]
        for real_name, login in re.findall(r"^(?:You asked )?([^<(]+) [(<](\S+@[^)>]+)[)>] ", body.get("message", "")):
            yield login, real_name
        for one in body.values():
            yield from _names(one)


def _bugs_before(server, exchanges) -> dict[int, dict]:
    """Collect what the answers tell of bugs older than the first one filed in the recordings."""
    first = next(e["response"]["body"]["id"] for e in exchanges if e["name"] == "create-loan")
    found: dict[int, dict] = {}
    for exchange in exchanges:
        body = exchange["response"]["body"]
        if (
            exchange["request"]["method"] != "GET"
            or not isinstance(body, dict)
            or not isinstance(body.get("bugs"), list)
        ):
            continue
        asked = dict(exchange["request"]["params"])
        for bug in body["bugs"]:
            if bug.get("id", first) < first:
                known = found.setdefault(bug["id"], {})
                known |= bug | {name: asked[name] for name in ("product", "component") if name in asked}
    for bug_id, bug in BEFORE[server].items():
        found.setdefault(bug_id, {}).update(bug)
    _fill(exchanges, found)
    return found


def _fill(exchanges, found):
    """Add closed bugs so that the second page of fifty starts where it did, and is full."""
    page = next(e for e in exchanges if e["name"] == "cap-50-limit-100-offset-50")["response"]["body"]["bugs"]
    start = page[0]["id"]
    missing = 50 - sum(1 for bug_id, bug in found.items() if bug_id < start and bug.get("product") == OPERATIONS)
    free = [bug_id for bug_id in range(15, start) if bug_id not in found][:missing]
    for bug_id in [*free, *range(start + 3, start + 60)]:
        found.setdefault(bug_id, {"product": OPERATIONS, "status": "RESOLVED", "resolution": "FIXED"})


def _seed(world, bug_id, bug, creator):
    product = bug.get("product", "mozilla.org")
    component = {OPERATIONS: "RelOps: Hardware", "Taskcluster": "Operations and Service Requests"}
    fields = {
        name: bug[name]
        for name in ("whiteboard", "groups", "status", "resolution", "priority", "keywords")
        if name in bug
    }
    at = moment(bug["last_change_time"]) if "last_change_time" in bug else LONG_AGO + timedelta(minutes=bug_id)
    world.add_bug(
        id=bug_id,
        at=at,
        product=product,
        component=bug.get("component") or component.get(product, "Server Operations"),
        summary=bug.get("summary", f"An older bug {bug_id}"),
        creator=bug.get("creator", creator),
        flags=[
            {name: flag[name] for name in ("name", "status", "requestee", "setter") if name in flag}
            for flag in bug.get("flags", ())
        ],
        **fields,
    )
