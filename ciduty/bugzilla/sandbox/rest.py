"""The REST API: from a request to an answer, with the ways in which 5.2 and 5.3 differ. Sockets stand in server."""

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from ciduty.bugzilla.sandbox import catalogue, editing, errors, filing, moments, search, shapes, stored
from ciduty.bugzilla.sandbox.directory import ANONYMOUS, Account, account_of_key
from ciduty.bugzilla.sandbox.errors import Refusal

KEY_HEADER = "x-bugzilla-api-key"
KEY_PARAMETERS = ("Bugzilla_api_key", "api_key")
FOR_BROWSERS = (
    "<!DOCTYPE html>\n<html><head><title>Bugzilla::REST::API</title></head><body><pre>{}</pre></body></html>\n"
)
TOO_LONG = (
    b"<html><head><title>414 Request-URI Too Long</title></head><body><h1>Request-URI Too Long</h1></body></html>"
)
LONGEST_URL_ON_52 = 8190  # bytes of a request line, Apache's default; 5.3 ran behind a server that takes more


@dataclass
class Request:
    """One request as it came from the socket. Header names are in small letters."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def target(self) -> str:
        """Return method, path and query: what a fault is matched against."""
        return f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")

    @property
    def params(self) -> list[tuple[str, str]]:
        """Return the query as pairs."""
        return parse_qsl(self.query, keep_blank_values=True)


@dataclass
class Answer:
    """One answer before it goes to the socket."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False


class Rest:
    """The API of one Bugzilla. `faults` may change what is read."""

    def __init__(self, world, version: str, max_search_results: int, faults=None):
        self.world, self.version, self.most, self.faults = world, version, max_search_results, faults
        self.is_52 = version.startswith(("5.0", "5.2"))
        self.documentation = f"https://bugzilla.readthedocs.org/en/{'5.0' if self.is_52 else 'latest'}/api/"

    # --- the frame --------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """Answer a request whose path starts with /rest."""
        if self.is_52 and len(request.target) > LONGEST_URL_ON_52:
            return Answer(414, TOO_LONG, "text/html; charset=iso-8859-1", close=True)
        try:
            status, content = self._content(request)
        except Refusal as refusal:
            status, content = refusal.status, self.refused(refusal)
        return self._sent(request, status, content)

    def refused(self, refusal: Refusal) -> dict:
        """Return the body of a refusal."""
        code = refusal.code_on_52 if self.is_52 else str(refusal.code)
        return {"error": True, "code": code, "message": refusal.message, "documentation": self.documentation}

    def _sent(self, request: Request, status: int, content) -> Answer:
        try:
            body = json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # a lone surrogate goes over the wire escaped
            body = json.dumps(content).encode()
        tag = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode().rstrip("=")
        headers = {"ETag": tag, "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
        if request.method == "GET" and tag in re.split(
            r"[\s,]+", request.headers.get("if-none-match", "").replace('"', "")
        ):
            return Answer(304, b"", headers=headers)
        if self.is_52 and request.headers.get("accept", "").startswith("text/html"):
            page = FOR_BROWSERS.format(html.escape(json.dumps(content, indent=3)))
            return Answer(status, page.encode(), "text/html; charset=UTF-8", headers)
        return Answer(status, body, headers=headers)

    def _content(self, request: Request) -> tuple[int, object]:
        path = request.path.removeprefix("/rest")
        for method, pattern, function, status in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == request.method:
                call = _Call(self, request)
                parts = [unquote(part) if part is not None else None for part in found.groups()]
                with self.world.lock:
                    call.sign_in(exempt=function == "version")
                    return status, getattr(call, function)(*parts)
        raise errors.no_resource(request.method, path)


#: Method, path, what answers it, and the status of success (recorded: a new bug is 200, a new comment 201).
ROUTES = (
    ("GET", "/version", "version", 200),
    ("GET", "/time", "time", 200),
    ("GET", "/extensions", "extensions", 200),
    ("GET", "/whoami", "whoami", 200),
    ("GET", "/valid_login", "valid_login", 200),
    ("GET", "/user", "users", 200),
    ("GET", "/user/([^/]+)", "users", 200),
    ("GET", "/product", "products", 200),
    ("GET", "/product/([^/]+)", "products", 200),
    ("GET", "/flag_type/([^/]+)(?:/([^/]+))?", "flag_types", 200),
    ("GET", "/bug", "search", 200),
    ("POST", "/bug", "create", 200),
    ("GET", "/bug/([^/]+)", "bug", 200),
    ("PUT", "/bug/([^/]+)", "update", 200),
    ("GET", "/bug/([^/]+)/comment", "comments", 200),
    ("POST", "/bug/([^/]+)/comment", "comment", 201),
    ("GET", "/bug/([^/]+)/history", "history", 200),
)


class _Call:
    """One call of the API: who asks, with what, of which state of the world."""

    def __init__(self, rest: Rest, request: Request):
        self.rest, self.world, self.request = rest, rest.world, request
        self.viewer: Account = ANONYMOUS
        self.body = _body(request, rest.is_52)
        self.params = [(name, value) for name, value in request.params if name not in KEY_PARAMETERS]
        self.wanted = shapes.Wanted(",".join(self._all("include_fields")), ",".join(self._all("exclude_fields")))

    def sign_in(self, exempt: bool) -> None:
        """Find out who asks. 5.2 ignores the header: the caller is then anonymous. Raises Refusal 306."""
        keys = [value for name, value in self.request.params if name in KEY_PARAMETERS]
        keys += [str(self.body.pop(name)) for name in KEY_PARAMETERS if name in self.body]
        if not self.rest.is_52 and KEY_HEADER in self.request.headers:
            keys.insert(0, self.request.headers[KEY_HEADER])
        if keys and not exempt:
            self.viewer = account_of_key(self.world.db, keys[0])

    def _all(self, name: str) -> list[str]:
        return [value for key, value in self.params if key == name]

    def _need_sign_in(self):
        if self.viewer.is_anonymous:
            raise errors.not_signed_in()

    def _replica(self):
        """Return what searches, comments and history are read from: it may lag behind."""
        lag = self.rest.faults.lag(self.request) if self.rest.faults else None
        return self.world.as_of(self.world.clock() - lag) if lag else self.world.db

    # --- the server -------------------------------------------------------------------------------------------------

    def version(self):
        return {"version": self.rest.version}

    def time(self):
        now = self.world.now()
        answer = {"db_time": now, "web_time": now}
        if self.rest.is_52:
            answer |= {"web_time_utc": now, "tz_name": "UTC", "tz_short_name": "UTC", "tz_offset": "+0000"}
        return answer

    def extensions(self):
        return {"extensions": {}}

    # --- people and products ----------------------------------------------------------------------------------------

    def whoami(self):
        if self.rest.is_52:
            raise errors.no_resource("GET", "/whoami")
        self._need_sign_in()
        return {"id": self.viewer.id, "name": self.viewer.login, "real_name": self.viewer.real_name}

    def valid_login(self):
        logins = self._all("login")
        if not logins:
            raise errors.missing_argument("login")
        return {"result": self.viewer.login == logins[-1] and not self.viewer.is_anonymous}

    def users(self, name=None):
        numbers, names = self._all("ids"), self._all("names")
        if name is not None:
            (numbers if name.isdigit() else names).append(name)
        match = self._all("match")
        found = catalogue.users(self.world.db, self.viewer, names, numbers, match, self.wanted, self.rest.is_52)
        return {"users": found}

    def products(self, name=None):
        names, numbers = self._all("names"), self._all("ids")
        if name is not None:
            (numbers if name.isdigit() else names).append(name)
        return {"products": catalogue.products(self.world.db, names, numbers, self.wanted)}

    def flag_types(self, product, component=None):
        return catalogue.flag_types(self.world.db, self.viewer, product, component)

    # --- bugs -------------------------------------------------------------------------------------------------------

    def search(self):
        db = self._replica()
        parameters = [pair for pair in self.params if pair[0] not in ("include_fields", "exclude_fields")]
        ids = search.find(db, self.viewer, parameters, self.rest.most, self.world.now(), self.rest.is_52)
        return {"bugs": self._bugs(db, ids)}

    def bug(self, asked):
        bug_id = stored.visible_bug(self.world.db, self.viewer, asked)  # from the primary: never behind
        return {"bugs": self._bugs(self.world.db, [bug_id]), "faults": []}

    def _bugs(self, db, ids):
        if self.rest.faults:
            self.rest.faults.refuse_poison(self.request, ids)
        bugs = shapes.bugs(db, ids, self.viewer, self.wanted, self.rest.is_52)
        return self.rest.faults.damaged(self.request, ids, bugs) if self.rest.faults else bugs

    def create(self):
        self._need_sign_in()
        return {"id": filing.file(self.world, self.viewer, self.body, self.rest.is_52)}

    def update(self, asked):
        self._need_sign_in()
        ids = self.body.pop("ids", None) or [asked]
        if asked not in map(str, ids):
            ids = [asked, *ids]
        return {"bugs": editing.update(self.world, self.viewer, ids, self.body, self.rest.is_52)}

    def comments(self, asked):
        db, bug_id = self._part_of_a_bug(asked)
        found = shapes.comments(db, bug_id, self.viewer, self._since(), self.wanted, self.rest.is_52)
        return {"bugs": {str(bug_id): {"comments": found}}, "comments": {}}

    def history(self, asked):
        db, bug_id = self._part_of_a_bug(asked)
        alias = shapes.bugs(db, [bug_id], self.viewer, shapes.Wanted("alias"), self.rest.is_52)[0]["alias"]
        return {"bugs": [{"id": bug_id, "alias": alias, "history": shapes.history(db, bug_id, self._since())}]}

    def _part_of_a_bug(self, asked):
        db = self._replica()
        bug_id = stored.visible_bug(db, self.viewer, asked)
        if self.rest.faults:
            self.rest.faults.refuse_poison(self.request, [bug_id])
        return db, bug_id

    def _since(self) -> str | None:
        since = self._all("new_since")
        return moments.asked(since[-1], self.world.now()) if since else None

    def comment(self, asked):
        self._need_sign_in()
        text = self.body.get("comment")
        if not isinstance(text, str) or not text.strip():
            raise errors.missing_argument("comment")
        private = bool(self.body.get("is_private") or self.body.get("private"))
        return {"id": editing.add_comment(self.world, self.viewer, asked, text, private)}


def _body(request: Request, is_52: bool) -> dict:
    """Return the body of a writing request. Raises Refusal 32613 or 32000."""
    if request.method not in ("POST", "PUT"):
        return {}
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded" and is_52:
        return dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    if kind not in ("application/json", "application/json-rpc"):
        raise Refusal(
            32613,
            f"When using JSON-RPC over POST, you cannot send data as {kind}. Only application/json and "
            "application/json-rpc are allowed.",
        )
    try:
        body = json.loads(request.body or b"{}")
    except ValueError as problem:
        raise Refusal(32000, f"Could not parse the 'params' argument as valid JSON. Error: {problem} Value:") from None
    if not isinstance(body, dict):
        raise Refusal(32000, "The body of the request must be a JSON object.")
    return body
