"""The sandbox's pages, where a newcomer plays the other side of a request. Their HTML stands in markup.

The player sees every bug; what the player does is done as an account, with that account's rights, as over REST.
"""

import json
from pathlib import Path
from urllib.parse import parse_qsl

from ciduty.bugzilla.sandbox import directory, editing, errors, filing, markup, schema, shapes
from ciduty.bugzilla.sandbox.errors import Refusal
from ciduty.bugzilla.sandbox.rest import Answer, Request
from ciduty.bugzilla.sandbox.stored import stored_bug

STYLE = (Path(__file__).parent / "sandbox.css").read_bytes()
MOST_BUGS = 500  # in a list; a person reads no more
HTML = "text/html; charset=UTF-8"
SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}
DUTY, DEVELOPER = "duty@example.com", "developer@example.com"


class Pages:
    """The pages of one sandbox."""

    def __init__(self, world, is_52: bool):
        self.world, self.is_52 = world, is_52

    def answer(self, request: Request) -> Answer:
        """Answer a request for a page."""
        if request.path == "/sandbox.css":
            return Answer(200, STYLE, "text/css; charset=UTF-8", dict(SAFE))
        routes = {
            ("GET", "/"): self._list,
            ("GET", "/index.cgi"): self._list,
            ("GET", "/enter_bug.cgi"): self._enter,
            ("POST", "/enter_bug.cgi"): self._file,
            ("GET", "/show_bug.cgi"): self._show,
            ("POST", "/show_bug.cgi"): self._change,
        }
        page = routes.get((request.method, request.path))
        asked = dict(request.params)
        sent = dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
        if page is None:
            return _page(404, "Not here", markup.error("The sandbox has no such page.", "/"))
        try:
            with self.world.lock:
                return page(asked, sent)
        except Refusal as refusal:
            back = f"/show_bug.cgi?id={asked['id']}" if request.method == "POST" and "id" in asked else "/"
            return _page(refusal.status, "That did not work", markup.error(refusal.message, back))

    # --- showing ----------------------------------------------------------------------------------------------------

    def _list(self, asked, sent):
        statuses = json.dumps(list(schema.MOVES if "all" in asked else schema.OPEN_STATUSES))
        rows = self.world.db.execute(
            "SELECT id FROM bugs WHERE status IN (SELECT value FROM json_each(?)) "
            "ORDER BY creation_time DESC, id DESC LIMIT ?",
            [statuses, MOST_BUGS],
        ).fetchall()
        bugs = [stored_bug(self.world.db, row[0]) for row in rows]
        title = "All bugs" if "all" in asked else "Open bugs"
        return _page(200, title, '<p><a href="/enter_bug.cgi">File a bug</a></p>' + markup.bug_list(bugs))

    def _enter(self, asked, sent):
        rows = self.world.db.execute("SELECT product, name FROM components ORDER BY id")
        components = [(json.dumps([row["product"], row["name"]]), f"{row['product']} / {row['name']}") for row in rows]
        chosen = next((value for value, text in components if "Loan" in text), "")
        people = self.world.logins()
        return _page(200, "File a bug", markup.enter_form(components, chosen, people, DEVELOPER))

    def _show(self, asked, sent):
        bug = self._bug(asked)
        db = self.world.db
        seer = directory.Account(-1, "", "", frozenset({schema.INSIDERS}))
        flag_types = directory.flag_types_of(db, directory.product_named(db, bug["product"]))
        body = (
            markup.bug_fields(bug)
            + "<h2>Do something</h2>"
            + markup.bug_forms(bug, flag_types, self.world.logins(), self.world.group_names(), DUTY)
            + markup.comments(shapes.comments(db, bug["id"], seer, None, shapes.Wanted(), self.is_52))
            + markup.history(shapes.history(db, bug["id"], None))
        )
        return _page(200, f"Bug {bug['id']}: {bug['summary']}", body)

    def _bug(self, asked: dict) -> dict:
        text = asked.get("id", "").strip()
        try:
            return stored_bug(self.world.db, int(text))
        except (ValueError, KeyError, OverflowError):
            raise errors.no_such_bug(text) from None

    # --- doing ------------------------------------------------------------------------------------------------------

    def _file(self, asked, sent):
        try:
            product, component = json.loads(sent.get("component", ""))
        except (ValueError, TypeError):
            raise errors.Refusal(105, "You must choose a component for this bug.") from None
        account = self.world.account(sent.get("as", ""))
        known = directory.product_named(self.world.db, product) or {"versions": [""]}
        fields = {"product": product, "component": component, "version": known["versions"][0]}
        fields |= {"summary": sent.get("summary", ""), "description": _lines(sent.get("description", ""))}
        return _go_to(filing.file(self.world, account, fields, self.is_52))

    def _change(self, asked, sent):
        bug = self._bug(asked)
        account = self.world.account(sent.get("as") or DUTY)
        action = sent.get("action")
        if action == "comment":
            if not sent.get("text", "").strip():
                raise errors.missing_argument("comment")
            editing.add_comment(self.world, account, bug["id"], _lines(sent["text"]), False)
        else:
            changes = self._changes(action, bug, sent)
            editing.update(self.world, account, [bug["id"]], changes, self.is_52)
        return _go_to(bug["id"])

    def _changes(self, action: str | None, bug: dict, sent: dict) -> dict:
        """Return what a form asks for, in the shape of REST. Raises Refusal when no form asks so."""
        if action == "flag":
            flag = {"status": sent.get("status", "")}
            if sent.get("flag_id", "").isdigit():
                flag["id"] = int(sent["flag_id"])
            else:
                flag |= {"name": sent.get("name", ""), "new": True}
            if sent.get("requestee") and flag["status"] == "?":
                flag["requestee"] = sent["requestee"]
            return {"flags": [flag]}
        if action == "assign":
            taker = sent.get("as") if sent.get("what") == "take" else sent.get("assigned_to")
            status = {"status": "ASSIGNED"} if bug["status"] in schema.OPEN_STATUSES else {}
            return {"assigned_to": taker or DUTY, **status}
        if action == "resolve":
            return {"status": "RESOLVED", "resolution": sent.get("resolution", "")}
        if action == "reopen":
            return {"status": "REOPENED"}
        if action == "whiteboard":
            return {"whiteboard": sent.get("whiteboard", "")}
        if action == "groups" and sent.get("what") == "public":
            return {"groups": {"remove": bug["groups"]}}
        if action == "groups":
            return {"groups": {"add": [sent.get("group", "")]}}
        raise errors.Refusal(32000, "The sandbox does not know what to do: use the buttons of the page.")


def _lines(text: str) -> str:
    """Return a form's text with the line ends of everybody else."""
    return text.replace("\r\n", "\n")


def _page(status: int, title: str, body: str) -> Answer:
    return Answer(status, markup.page(title, body).encode(), HTML, dict(SAFE))


def _go_to(bug_id: int) -> Answer:
    return Answer(303, b"", HTML, SAFE | {"Location": f"/show_bug.cgi?id={bug_id}"})
