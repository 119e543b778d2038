"""The self-hosted tree status (mozilla-releng/treestatus): from a request to an answer. Its page stands in pages."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from ciduty.trees.sandbox import bodies, editing, errors, rights, schema
from ciduty.trees.sandbox.bodies import Shape
from ciduty.trees.sandbox.exchange import HTML, PROBLEM, Answer, Request
from ciduty.trees.sandbox.rights import Client

UI = "/static/ui/index.html"
BROKEN = (
    "The server encountered an internal error and was unable to complete your request. Either the server is overloaded "
    "or there is an error in the application."
)
REDIRECTING = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n'
    f'<p>You should be redirected automatically to target URL: <a href="{UI}">{UI}</a>.  If not click the link.'
)
#: Sent with every answer.
HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-XSS-Protection": "1; mode=block",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self' https://firefox-ci-tc.services.mozilla.com "
        "https://treestatus.mozilla-releng.net"
    ),
    "Referrer-Policy": "strict-origin-when-cross-origin",
}


@dataclass(frozen=True)
class Asked:
    """A request that was understood: who asks, at which host, what the path names, the body, `revert` of the query."""

    client: Client | None
    host: str
    name: str
    body: dict | None
    revert: int

    @property
    def who(self) -> str:
        """The name that goes into the log."""
        return self.client.who if self.client else ""

    @property
    def number(self) -> int:
        """The number in the path."""
        return int(self.name)


@dataclass(frozen=True)
class Endpoint:
    """What answers one method: what it does, the shape of its body, the scope it needs, whether it wants `revert`."""

    act: Callable[[Asked], Answer]
    shape: Shape | None = None
    scope: str = ""
    reverts: bool = False


class Standalone:
    """The API of one sandbox. `tokens` leads from a bearer token to who holds it."""

    def __init__(self, world, tokens: dict[str, Client]):
        self.world, self.tokens = world, tokens
        change = Endpoint(self._update, bodies.UPDATE, rights.UPDATE)
        rewrite = Endpoint(self._rewrite_change, bodies.REWRITE, rights.REVERT)
        rewrite_log = Endpoint(self._rewrite_log, bodies.REWRITE, rights.UPDATE)
        take_off = Endpoint(self._take_off, scope=rights.REVERT, reverts=True)
        make = Endpoint(self._create, bodies.TREE, rights.CREATE)
        delete = Endpoint(self._delete, scope=rights.DELETE)
        delete_several = Endpoint(self._crash, bodies.SEVERAL, rights.DELETE)
        self._routes = [
            (r"/", {"GET": Endpoint(self._root)}),
            (r"/trees", {"GET": Endpoint(self._trees), "PATCH": change}),
            (r"/trees2", {"GET": Endpoint(self._trees2), "DELETE": delete_several}),
            (r"/trees/([^/]+)", {"GET": Endpoint(self._tree), "PUT": make, "DELETE": delete}),
            (r"/trees/([^/]+)/logs", {"GET": Endpoint(self._logs)}),
            (r"/trees/([^/]+)/logs_all", {"GET": Endpoint(self._logs_all)}),
            (r"/v0/trees", {"GET": Endpoint(self._v0_trees)}),
            (r"/v0/trees/([^/]+)", {"GET": Endpoint(self._v0_tree)}),
            (r"/stack", {"GET": Endpoint(self._stack)}),
            (r"/stack/(\d+)", {"PATCH": rewrite, "DELETE": take_off}),
            (r"/stack2/restore/(\d+)", {"DELETE": Endpoint(self._restore, scope=rights.REVERT)}),
            (r"/stack2/discard/(\d+)", {"DELETE": Endpoint(self._discard, scope=rights.REVERT)}),
            (r"/log/(\d+)", {"PATCH": rewrite_log}),
            (r"/__permissions__", {"GET": Endpoint(self._permissions)}),
            (r"/__version__", {"GET": Endpoint(self._version)}),
            (r"/__lbheartbeat__", {"GET": Endpoint(self._alive)}),
            (r"/__heartbeat__", {"GET": Endpoint(self._crash)}),
        ]

    def answer(self, request: Request) -> Answer:
        """Answer a request for the API; all of it or nothing. Call it under the world's lock."""
        try:
            answer = self._answer(request)
        except errors.Refusal as refusal:
            answer = _refused(refusal)
        except errors.Crash:
            answer = _problem(500, BROKEN)
        answer.headers = HEADERS | _cross_origin(request) | answer.headers
        answer.reason = HTTPStatus(answer.status).phrase.upper()
        return answer

    def _answer(self, request: Request) -> Answer:
        found, methods = self._route(request)
        allowed = {"Allow": ", ".join(["OPTIONS", *methods, *(["HEAD"] if "GET" in methods else [])])}
        if request.method == "OPTIONS":
            return Answer(200, b"", HTML, allowed)
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            answer = _problem(405, "The method is not allowed for the requested URL.")
            answer.headers = allowed
            return answer
        body = bodies.read(request, endpoint.shape) if endpoint.shape else None
        revert = bodies.revert_of(request) if endpoint.reverts else 0
        client = rights.client_of(request, self.tokens)
        if endpoint.scope and (client is None or endpoint.scope not in client.scopes):
            raise errors.not_permitted()
        host = request.headers.get("host", "localhost")
        return endpoint.act(Asked(client, host, "".join(found.groups()), body, revert))

    def _route(self, request: Request) -> tuple[re.Match, dict[str, Endpoint]]:
        for pattern, methods in self._routes:
            found = re.fullmatch(pattern, request.place)
            if found:
                return found, methods
        raise errors.Refusal(404, errors.NOT_FOUND)

    # --- reading ----------------------------------------------------------------------------------------------------

    def _trees(self, asked: Asked) -> Answer:
        return _result({tree["tree"]: _shown(tree) for tree in self.world.trees()})

    def _v0_trees(self, asked: Asked) -> Answer:
        return _json({tree["tree"]: _shown(tree) for tree in self.world.trees()})

    def _trees2(self, asked: Asked) -> Answer:
        return _result([_shown(tree) for tree in self.world.trees()])

    def _tree(self, asked: Asked) -> Answer:
        return _result(_shown(self._known(asked.name)))

    def _v0_tree(self, asked: Asked) -> Answer:
        return _json(_shown(self._known(asked.name)))

    def _known(self, name: str) -> dict:
        tree = self.world.memoized_tree(name)
        if tree is None:
            raise errors.no_such_tree(schema.STANDALONE, name)
        return tree

    def _logs(self, asked: Asked) -> Answer:
        return _result(self.world.logs(asked.name, schema.SHORT_LOG))

    def _logs_all(self, asked: Asked) -> Answer:
        return _result(self.world.logs(asked.name))

    def _stack(self, asked: Asked) -> Answer:
        return _result(self.world.stack())

    # --- writing ----------------------------------------------------------------------------------------------------

    def _update(self, asked: Asked) -> Answer:
        names = ("status", "reason", "tags", "message_of_the_day")
        given = {name: asked.body[name] for name in names if name in asked.body}
        remember = asked.body.get("remember") is True
        editing.update(self.world, asked.who, asked.body["trees"], remember=remember, **given)
        return Answer(204)

    def _create(self, asked: Asked) -> Answer:
        body = asked.body
        if body["tree"] != asked.name:
            raise errors.Refusal(400, "Tree names must match")
        editing.create(self.world, asked.who, asked.name, body["status"], body["reason"], body["message_of_the_day"])
        return Answer(204)

    def _delete(self, asked: Asked) -> Answer:
        editing.delete(self.world, asked.name)
        return Answer(204)

    def _take_off(self, asked: Asked) -> Answer:
        if asked.revert not in (0, 1):
            raise errors.Refusal(400, "Unexpected value for `revert`")
        editing.revert(self.world, asked.who, asked.number, restore=bool(asked.revert))
        return Answer(204)

    def _restore(self, asked: Asked) -> Answer:
        editing.revert(self.world, asked.who, asked.number, restore=True)
        return Answer(204)

    def _discard(self, asked: Asked) -> Answer:
        editing.revert(self.world, asked.who, asked.number, restore=False)
        return Answer(204)

    def _rewrite_change(self, asked: Asked) -> Answer:
        editing.update_change(self.world, asked.number, asked.body.get("reason"), asked.body.get("tags"))
        return Answer(200)

    def _rewrite_log(self, asked: Asked) -> Answer:
        reason, tags = asked.body.get("reason"), asked.body.get("tags")
        editing.update_log(self.world, asked.number, reason, tags)
        return Answer(204 if reason is None and tags is None else 200)

    # --- around -----------------------------------------------------------------------------------------------------

    def _root(self, asked: Asked) -> Answer:
        return Answer(302, REDIRECTING.encode(), HTML, {"Location": f"http://{asked.host}{UI}"})

    def _permissions(self, asked: Asked) -> Answer:
        told = {"description": "Permissions of a logged in user", "user_id": asked.who or None}
        told["permissions"] = list(asked.client.scopes) if asked.client else []
        return Answer(200, json.dumps(told).encode(), headers={"Cache-Control": "public, max-age=60"})

    def _version(self, asked: Asked) -> Answer:
        source = "https://github.com/mozilla-releng/treestatus"
        return _compact(200, {"build": "unknown", "commit": "unknown", "source": source, "version": "unknown"})

    def _alive(self, asked: Asked) -> Answer:
        return Answer(200, b"OK!", HTML, {"Cache-Control": "no-cache"})

    def _crash(self, asked: Asked) -> Answer:
        raise errors.Crash("the real service fails here, always")


def _shown(tree: dict) -> dict:
    return {name: tree[name] for name in ("log_id", "message_of_the_day", "reason", "status", "tags", "tree")}


def _result(content) -> Answer:
    return _json({"result": content})


def _json(content, status: int = 200, content_type: str = "application/json") -> Answer:
    return Answer(status, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode(), content_type)


def _compact(status: int, content) -> Answer:
    return Answer(status, (json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n").encode())


def _problem(status: int, detail: str | None, title: str | None = None) -> Answer:
    title = title or HTTPStatus(status).phrase
    return _json({"detail": detail, "status": status, "title": title, "type": "about:blank"}, status, PROBLEM)


def _refused(refusal: errors.Refusal) -> Answer:
    if refusal.status == 401:
        title = f"401 Unauthorized: {refusal.detail}"
        about = {"instance": "about:blank", "type": "about:blank"}
        return _compact(401, {"detail": refusal.detail, "status": 401, "title": title, **about})
    return _problem(refusal.status, refusal.detail, refusal.title)


def _cross_origin(request: Request) -> dict[str, str]:
    """Return what flask-cors adds: any origin may read, and is named when it names itself."""
    origin = request.headers.get("origin")
    if origin is None:
        return {"Access-Control-Allow-Origin": "*"}
    headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
        headers["Access-Control-Allow-Methods"] = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
        asked = request.headers.get("access-control-request-headers", "")
        if asked:
            headers["Access-Control-Allow-Headers"] = ", ".join(sorted(one.strip() for one in asked.split(",")))
    return headers
