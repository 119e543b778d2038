"""What shall be true of a bug, as JSON in its row: the table of it, its preview, and the same done by hand. Pure.

`BugUpdate.wants`, at least one key; all keys of a row go into one PUT, so that one mark proves all of them:

| key                    | value                                    | what shall be true                              |
|------------------------|------------------------------------------|-------------------------------------------------|
| `comment`              | text                                     | it stands in the bug, its last line `ref <op>`  |
| `assigned_to`          | login                                    | the assignee                                    |
| `status`, `resolution` | `"RESOLVED"`, `"FIXED"`                  | the bug's                                       |
| `flags`                | `[{"name", "status", "requestee"}, ...]` | `?`, `+`, `-`, or `X`: cleared                  |
| `needinfo`             | `{"of": login}`                          | this person is asked; all others stay asked     |
| `needinfo`             | `{"clear": [numbers of flags]}`          | these are gone, and no other is touched         |
| `token`, `token_kind`  | `"downtime mdc1 08:00Z"`, `"downtime"`   | our token in the whiteboard; `""`: none of ours |
| `depends_on`, `blocks` | `[numbers of bugs]`                      | these are among them                            |
| `new`                  | its fields: product, component ...       | a bug was filed; beside it only the token       |

A requestee goes with `?` alone. Which needinfos are cleared, whoever decides it says by their numbers: a needinfo that
somebody set later asks something else. Two objects that write tokens into one bug need two kinds.

`BugUpdate.seen`, what was read when it was decided; a key that is missing, or not named here, is not compared:

| key                                   | value                                                    |
|---------------------------------------|----------------------------------------------------------|
| `assigned_to`, `status`, `resolution` | as it was                                                |
| `flags`                               | `{name: {"id": 7, "status": "?"}}`, or None: was not set |

Our token is ours alone and is never a conflict. A change with neither comment nor token leaves no mark: it is judged by
the state of the bug alone. What is refused: `wanted.py`. What is written: `judging.py`.
"""

import json
from typing import NamedTuple

from ciduty.bugzilla.cleaning import clean_text
from ciduty.bugzilla.values import WHITEBOARD, BugState, Flag
from ciduty.outbox import judging, whiteboard
from ciduty.outbox.judging import Applied, Conflict, ToWrite, judge
from ciduty.outbox.wanted import Unwritable, check, comment_with_ref, ref

__all__ = [
    "Applied", "Conflict", "Preview", "ToWrite", "Unwritable", "body_of_new_bug", "by_hand", "check",
    "comment_with_ref", "judge", "preview", "ref",
]  # fmt: skip

#: What stands for a whiteboard that was not looked at.
_SOME_WHITEBOARD = "(what stands there then)"
_LABELS = {"assigned_to": "Assignee", "depends_on": "Depends on", "blocks": "Blocks", "whiteboard": "Whiteboard"}


class Preview(NamedTuple):
    """A write as it will be sent: rows of (field, before, after), and the body of the PUT or POST."""

    rows: list[tuple[str, str, str]]
    body: dict

    @property
    def json(self) -> str:
        """Return the body as it goes over the wire, indented for a reader."""
        return json.dumps(self.body, indent=2)


def preview(wants: dict, before: BugState | dict, op: str, bug_id: int | None = None) -> Preview:
    """Return what a change does to a bug that is still as it was read (`before`: the state, or `seen`).

    It is worked out anew from what Bugzilla says at the moment of writing.
    """
    if "new" in wants:
        body = body_of_new_bug(wants, op)
        return Preview([(_label(name), "", _shown(value)) for name, value in body.items()], body)
    seen = before if isinstance(before, dict) else {}
    read = _state_as_seen(seen) if isinstance(before, dict) else before
    body = judging.fields(wants, seen, op, read)
    rows = [_row(name, value, read) for name, value in body.items() if name not in ("flags", "resolution", "status")]
    if "status" in body or "resolution" in body:
        now = {name: getattr(read, name) for name in ("status", "resolution")}
        rows.append(("Status", " ".join(now.values()).strip(), " ".join((now | _of(body, *now)).values()).strip()))
    standing = {flag.id: flag for flag in read.flags}
    rows += [_flag_row(flag, standing.get(flag.get("id"))) for flag in body.get("flags", ())]
    if "comment" in wants:
        body["comment"] = {"body": comment_with_ref(wants["comment"], op)}
        rows.append(("Comment", "", body["comment"]["body"]))
    return Preview(rows, body | ({"ids": [bug_id]} if bug_id and body else {}))


def by_hand(update, address: str) -> str:
    """Return what a person does in Bugzilla instead, as text to copy; `address` is BUGZILLA_URL.

    Our ref is part of it: with it ciduty finds what was done by hand, too.
    """
    wants, address = update.wants, address.rstrip("/")
    if "new" in wants:
        fields = body_of_new_bug(wants, update.op)
        lines = [f"File a bug: {address}/enter_bug.cgi", ""]
        lines += [f"{_label(name)}: {_shown(value)}" for name, value in fields.items() if name != "description"]
        return "\n".join([*lines, "", "Description:", "", fields["description"]])
    lines = [f"Bug {update.bug_id}: {address}/show_bug.cgi?id={update.bug_id}", ""]
    if "status" in wants or "resolution" in wants:
        lines.append(f"Status: {' '.join(_of(wants, 'status', 'resolution').values())}")
    lines += [f"{_label(name)}: {_shown(wants[name])}" for name in ("assigned_to",) if name in wants]
    for flag in wants.get("flags", ()):
        status = "cleared" if flag["status"] == "X" else flag["status"]
        lines.append(f"Flag {flag['name']}: {status} {flag.get('requestee', '')}".rstrip())
    for verb, whom in wants.get(judging.NEEDINFO, {}).items():
        lines.append(f"Needinfo: {'ask' if verb == 'of' else 'clear the flags'} {_shown(whom)}")
    if "token" in wants:
        ours = f"[{wants['token_kind']} ... ]"
        token = whiteboard.token(wants["token"], update.op) if wants["token"] else ""
        lines.append(f"Whiteboard: put {token} in place of {ours}" if token else f"Whiteboard: take {ours} away")
    lines += [f"{_LABELS[name]}: add {_shown(wants[name])}" for name in ("depends_on", "blocks") if name in wants]
    if "comment" in wants:
        lines += ["", "Comment:", "", comment_with_ref(wants["comment"], update.op)]
    return "\n".join(lines)


def body_of_new_bug(wants: dict, op: str) -> dict:
    """Return the fields with which a bug is filed. Its mark is the description's last line: every server has those."""
    body = {"version": "unspecified"} | wants["new"]  # Bugzilla asks for a version, and every product has this one
    body["description"] = comment_with_ref(body["description"], op)
    if wants.get("token"):
        body["whiteboard"] = whiteboard.with_token(body.get("whiteboard", ""), wants["token_kind"], wants["token"], op)
    return body


def _state_as_seen(seen: dict) -> BugState:
    flags = [
        Flag(was.get("id", 0), name, was.get("status", ""), "", was.get("requestee", ""), None, None)
        for name, was in (seen.get("flags") or {}).items()
        if was
    ]
    return BugState(
        id=0, status=seen.get("status", ""), resolution=seen.get("resolution", ""), is_open=True,
        assignee=(seen.get("assigned_to") or "").lower(), whiteboard=seen.get("whiteboard", _SOME_WHITEBOARD),
        flags=tuple(flags), depends_on=(), blocks=(), changed_at=None,
    )  # fmt: skip


def _row(name: str, value, read: BugState) -> tuple[str, str, str]:
    if isinstance(value, dict):
        return _label(name), _shown(list(getattr(read, name))), f"and {_shown(value['add'])}"
    before = read.assignee if name == "assigned_to" else getattr(read, name)
    return _label(name), clean_text(before, WHITEBOARD), clean_text(value, WHITEBOARD)


def _flag_row(written: dict, standing: Flag | None) -> tuple[str, str, str]:
    name = standing.name if standing else written.get("name", "")
    after = "cleared" if written["status"] == "X" else f"{written['status']} {written.get('requestee', '')}".strip()
    before = f"{standing.status} {standing.requestee}".strip() if standing else "not set"
    return f"Flag {name}", before, after


def _of(fields: dict, *names: str) -> dict:
    return {name: fields[name] for name in names if fields.get(name)}


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def _shown(value) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return value if isinstance(value, str) else json.dumps(value)
