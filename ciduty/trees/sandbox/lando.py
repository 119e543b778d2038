"""Tree status inside Lando (mozilla-conduit/lando): the read-only API, with its HTML where it sends HTML."""

import json
import re

from ciduty.trees.sandbox import errors, schema
from ciduty.trees.sandbox.exchange import HTML, PROBLEM, Answer, Request
from ciduty.trees.sandbox.moments import in_milliseconds

PREFIX = "/api/treestatus"
HTML_ERROR = (
    '\n<!doctype html>\n<html lang="en">\n<head>\n  <title>{title}</title>\n</head>\n<body>\n'
    "  <h1>{heading}</h1><p>{text}</p>\n</body>\n</html>\n"
)
NOT_FOUND = HTML_ERROR.format(
    title="Not Found", heading="Not Found", text="The requested resource was not found on this server."
)
SERVER_ERROR = HTML_ERROR.format(title="Server Error (500)", heading="Server Error (500)", text="")
#: Sent with every answer but that to a preflight.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PREFLIGHT = {
    "access-control-allow-headers": "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with",
    "access-control-allow-methods": "DELETE, GET, OPTIONS, PATCH, POST, PUT",
    "access-control-max-age": "86400",
}


class Lando:
    """The API of one sandbox. It asks nobody who they are, and nothing can be written over it."""

    def __init__(self, world):
        self.world = world
        self._routes = [
            (r"/trees", self._trees),
            (r"/trees2", self._trees2),
            (r"/trees/([^/]+)", self._tree),
            (r"/trees/([^/]+)/logs", self._logs),
            (r"/trees/([^/]+)/logs_all", self._logs_all),
            (r"/stack", self._stack),
        ]

    def answer(self, request: Request) -> Answer:
        """Answer a request for the API. Call it under the world's lock."""
        origin = {"access-control-allow-origin": "*"} if "origin" in request.headers else {}
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            return Answer(200, b"", HTML, {"Vary": "origin"} | origin | PREFLIGHT)
        try:
            answer = self._answer(request)
        except errors.Refusal as refusal:
            answer = _problem(refusal)
        answer.headers = {"Vary": "origin"} | HEADERS | origin | answer.headers
        return answer

    def _answer(self, request: Request) -> Answer:
        if request.place.startswith(PREFIX + "/"):
            for pattern, act in self._routes:
                found = re.fullmatch(PREFIX + pattern, request.place)
                if found and request.method != "GET":
                    return Answer(405, b"Method not allowed", HTML, {"Allow": "GET"})
                if found:
                    content = json.dumps({"result": act(*found.groups())}).encode()
                    return Answer(200, content, "application/json; charset=utf-8")
        return Answer(404, NOT_FOUND.encode(), HTML)

    def _trees(self):
        return {tree["tree"]: _shown(tree) for tree in self.world.trees()}

    def _trees2(self):
        return [_shown(tree) for tree in self.world.trees()]

    def _tree(self, name: str):
        tree = self.world.memoized_tree(name)
        if tree is None:
            raise errors.no_such_tree(schema.LANDO, name)
        return _shown(tree)

    def _logs(self, name: str):
        return [_entry(log) for log in self.world.logs(name, schema.SHORT_LOG)]

    def _logs_all(self, name: str):
        return [_entry(log) for log in self.world.logs(name)]

    def _stack(self):
        return [_change(change) for change in self.world.stack()]


def _shown(tree: dict) -> dict:
    names = ("category", "log_id", "message_of_the_day", "reason", "status", "tags", "tree")
    return {name: tree[name] for name in names}


def _entry(log: dict) -> dict:
    entry = {name: log[name] for name in ("id", "reason", "status", "tags", "tree", "when", "who")}
    return entry | {"when": in_milliseconds(log["when"])}


def _change(change: dict) -> dict:
    shown = {name: change[name] for name in ("id", "reason", "status", "trees", "when", "who")}
    rows = [{"id": row["id"], "last_state": row["last_state"], "tree": row["tree"]} for row in change["trees"]]
    return shown | {"trees": rows, "when": in_milliseconds(change["when"])}


def _problem(refusal: errors.Refusal) -> Answer:
    kind = f"https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/{refusal.status}"
    told = {"title": refusal.title, "status": refusal.status, "detail": refusal.detail, "type": kind}
    return Answer(refusal.status, json.dumps(told).encode(), PROBLEM)
