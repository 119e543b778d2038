"""Whether a change is done already, still to be written, or crossed by somebody else (safety.md F2). Pure.

What `wants` and `seen` hold: `changes.py`.
"""

from dataclasses import dataclass

from ciduty.bugzilla.values import BugState, Flag
from ciduty.outbox import whiteboard
from ciduty.outbox.wanted import comment_with_ref

NEEDINFO = "needinfo"
#: What Bugzilla changes by itself along with what was asked. BMO clears needinfos with a comment or on closing.
_COMES_ALONG = {
    "comment": {"cc", "flagtypes.name"},
    "status": {"resolution", "is_confirmed", "cf_last_resolved", "flagtypes.name"},
    "flags": {"cc"},
    "assigned_to": {"cc"},
}


@dataclass(frozen=True)
class Applied:
    """It is done. `but`: what is not as wanted any more, because somebody changed it since; "" when all is."""

    but: str = ""


@dataclass(frozen=True)
class ToWrite:
    """It is still to be done, with this body of a PUT."""

    body: dict


@dataclass(frozen=True)
class Conflict:
    """Somebody else moved it since it was decided: a person decides. `why` tells field, old and new in a sentence."""

    why: str


def judge(wants: dict, seen: dict, op: str, read: BugState, refs_found: bool) -> Applied | ToWrite | Conflict:
    """Return what to do with a bug that was read just now (safety.md F2). `refs_found`: a comment of it holds our ref.

    Our ref, or our token with this op, proves the whole PUT: it is all or nothing. Then nothing is ever written again,
    even where somebody has changed something back since.
    """
    body = fields(wants, seen, op, read)
    marked = (refs_found and "comment" in wants) or (
        wants.get("token") and whiteboard.token(wants["token"], op) in read.whiteboard
    )
    if marked:
        return Applied(but=", ".join(sorted(body)))
    moved = _moved(wants, seen, read)
    if "comment" in wants:
        body["comment"] = {"body": comment_with_ref(wants["comment"], op)}
    if moved:
        return Conflict("; ".join(moved))
    return ToWrite(body) if body else Applied()


def expected_changes(body: dict, read: BugState) -> set[str]:
    """Return the fields that Bugzilla must report as changed after this PUT on the bug as it was read."""
    fields = {name for name in ("assigned_to", "whiteboard", "depends_on", "blocks") if name in body}
    fields |= {name for name in ("status", "resolution") if body.get(name) not in (None, getattr(read, name))}
    return fields | ({"flagtypes.name"} if "flags" in body else set())


def tolerated_changes(body: dict) -> set[str]:
    """Return the fields that Bugzilla may change beside those that were asked."""
    return set().union(*(_COMES_ALONG.get(name, ()) for name in body))


# --- what must be written ---------------------------------------------------------------------------------------------


def fields(wants: dict, seen: dict, op: str, read: BugState) -> dict:
    """Return the part of a PUT for what is not yet as wanted, without the comment."""
    body = {}
    if "assigned_to" in wants and wants["assigned_to"].lower() != read.assignee:
        body["assigned_to"] = wants["assigned_to"]
    asked = {name: wants[name] for name in ("status", "resolution") if name in wants}
    if any(getattr(read, name) != value for name, value in asked.items()):
        body |= asked
    flags = [write for flag in wants.get("flags", ()) if (write := _flag_write(flag, seen, read))]
    flags += _needinfo_writes(wants.get("needinfo", {}), read)
    if flags:
        body["flags"] = flags
    if "token" in wants:
        written = whiteboard.with_token(read.whiteboard, wants["token_kind"], wants["token"], op)
        if not whiteboard.same(written, read.whiteboard):
            body["whiteboard"] = written
    for name in ("depends_on", "blocks"):
        absent = [number for number in wants.get(name, ()) if number not in getattr(read, name)]
        if absent:
            body[name] = {"add": absent}
    return body


def _standing(name: str, read: BugState) -> list[Flag]:
    return [flag for flag in read.flags if flag.name == name]


def _holds(wanted: dict, read: BugState) -> bool:
    standing = _standing(wanted["name"], read)
    if wanted["status"] == "X":
        return not standing
    requestee = wanted.get("requestee", "").lower()
    return any(flag.status == wanted["status"] and requestee in ("", flag.requestee) for flag in standing)


def _flag_write(wanted: dict, seen: dict, read: BugState) -> dict | None:
    """Return the flag of a PUT: by number where it stands, so that the write fails if it was cleared meanwhile."""
    if _holds(wanted, read):
        return None
    value = {name: wanted[name] for name in ("status", "requestee") if wanted.get(name)}
    flag = _meant(wanted["name"], seen, read)
    return {"id": flag.id} | value if flag else {"name": wanted["name"], "new": True} | value


def _meant(name: str, seen: dict, read: BugState) -> Flag | None:
    """Return the flag that was seen, or the only one of its name."""
    standing, was = _standing(name, read), (seen.get("flags") or {}).get(name) or {}
    if was.get("id"):
        return next((flag for flag in standing if flag.id == was["id"]), None)
    return standing[0] if len(standing) == 1 else None


def _needinfo_writes(needinfo: dict, read: BugState) -> list[dict]:
    standing = _standing(NEEDINFO, read)
    cleared = [{"id": flag.id, "status": "X"} for flag in standing if flag.id in needinfo.get("clear", ())]
    of = needinfo.get("of", "")
    if not of or of.lower() in [flag.requestee for flag in standing]:
        return cleared
    return [*cleared, {"name": NEEDINFO, "status": "?", "requestee": of, "new": True}]


# --- what somebody else moved -----------------------------------------------------------------------------------------


def _moved(wants: dict, seen: dict, read: BugState) -> list[str]:
    """Return a sentence's part for each field that is neither as it was seen nor as it shall be."""
    moved = []
    if "assigned_to" in wants:
        moved.append(_field_moved("the assignee", seen.get("assigned_to"), read.assignee, wants["assigned_to"]))
    was = {name: seen.get(name) for name in ("status", "resolution")}
    if was["status"] is not None and was["resolution"] is None:
        was["resolution"] = ""  # an open bug has none; one that was closed meanwhile was closed by somebody else
    for name, value in was.items():
        if name in wants:
            moved.append(_field_moved(f"the {name}", value, getattr(read, name), wants[name]))
    moved += [_flag_moved(flag, seen, read) for flag in wants.get("flags", ()) if not _holds(flag, read)]
    return list(filter(None, moved))


def _field_moved(name: str, was: str | None, now: str, wanted: str) -> str:
    if was is None or now.lower() in (was.lower(), wanted.lower()):
        return ""
    return f"{name} was {was or 'empty'} when this was decided and is {now or 'empty'} now, not {wanted}"


def _flag_moved(wanted: dict, seen: dict, read: BugState) -> str:
    name, standing = wanted["name"], _standing(wanted["name"], read)
    flag = _meant(name, seen, read)
    if name not in (seen.get("flags") or {}):
        if len(standing) > 1:
            return f"the flag {name} stands {len(standing)} times in the bug, and it was not said which is meant"
        return ""
    was = (seen["flags"][name] or {}).get("status", "")
    now = flag.status if flag else ", ".join(one.status for one in standing)
    if now == was and (flag is not None) == bool(was):
        return ""
    if now == was:
        now = f"another {now}"  # cleared and asked anew: a new request, which nobody has decided on
    return f"the flag {name} was {was or 'not set'} when this was decided and is {now or 'not set'} now, not " + (
        "cleared" if wanted["status"] == "X" else wanted["status"]
    )
