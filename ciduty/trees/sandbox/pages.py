"""The sandbox's page, on which a newcomer plays the sheriff, at the addresses of Lando's. Its HTML stands in markup.

As on Lando, every form is answered with a redirect, and what came of it stands on the page after it. Unlike there,
nobody signs in, and what was typed is not lost.
"""

import re
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, quote

from ciduty.trees.sandbox import editing, errors, lando, markup, schema
from ciduty.trees.sandbox.exchange import HTML, Answer, Request

SHERIFF = "sheriff@example.com"
HOME, NEW, STYLE_AT = "/treestatus/", "/treestatus/new_tree/", "/treestatus/sandbox.css"
STYLE = (Path(__file__).parent / "sandbox.css").read_bytes()
SAID = "treestatus-said"  # not Django's "messages": cookies know no ports, and ciduty stands on the same host
MOST_SAID = 100  # kept for pages that were never fetched
SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


@dataclass
class Said:
    """What came of a form: sentences for the next page, and what was typed when it was refused."""

    sentences: list[str]
    refused: bool = False
    typed: dict[str, list[str]] = field(default_factory=dict)


class Pages:
    """The pages of one sandbox. `sheriff` is the name that they write into the log."""

    def __init__(self, world, sheriff: str = SHERIFF):
        self.world, self.sheriff = world, sheriff
        self._said: dict[str, Said] = {}
        self._routes = [
            ("GET", r"/", lambda sent: _go(HOME)),
            ("GET", r"/static/ui/index\.html", lambda sent: _go(HOME)),
            ("GET", STYLE_AT, lambda sent: Answer(200, STYLE, "text/css; charset=utf-8", dict(SAFE))),
            ("GET", HOME, self._home),
            ("POST", HOME, self._update),
            ("GET", NEW, self._new),
            ("POST", NEW, self._create),
            ("POST", r"/treestatus/stack/(\d+)", self._change),
            ("POST", r"/treestatus/log/(\d+)", self._rewrite_log),
            ("GET", r"/treestatus/([^/]+)/logs", self._logs),
            ("POST", r"/treestatus/([^/]+)/delete", self._delete),
        ]

    def has(self, request: Request) -> bool:
        """Say whether a request is for a page. The standalone service answers / itself: it leads to its page."""
        if request.path == "/":
            return self.world.generation == schema.LANDO
        return request.path.startswith(("/treestatus/", "/static/"))

    def answer(self, request: Request) -> Answer:
        """Answer a request for a page."""
        for method, pattern, page in self._routes:
            found = re.fullmatch(pattern, request.place)
            if found and method == ("GET" if request.method == "HEAD" else request.method):
                return self._answer(request, page, found.groups())
        return _page(404, "Not here", markup.refused(["The sandbox has no such page."]))

    def _answer(self, request: Request, page, groups: tuple) -> Answer:
        said = self._said.pop(_cookie(request), None) if request.method == "GET" else None
        is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        text = request.body.decode(errors="replace") if is_form else ""
        sent = said.typed if said else parse_qs(text, keep_blank_values=True)
        try:
            with self.world.lock:
                answer = page(sent, *groups)
        except errors.Refusal as refusal:
            answer = self._say(HOME, Said([_sentence(refusal)], True, sent))
        except errors.Crash:
            return Answer(500, lando.SERVER_ERROR.encode(), HTML, dict(SAFE))
        if said and answer.content_type == HTML and answer.status == 200:
            shown = markup.refused(said.sentences) if said.refused else markup.done(said.sentences)
            answer.body = answer.body.replace(markup.PLACE_OF_WHAT_IS_SAID, shown.encode())
            answer.headers["Set-Cookie"] = f"{SAID}=; Max-Age=0; Path=/; SameSite=Lax"
        return answer

    def _say(self, where: str, said: Said) -> Answer:
        """Lead to a page and let it say something. The oldest are forgotten when nobody fetches them."""
        name = secrets.token_urlsafe(9)
        self._said[name] = said
        if len(self._said) > MOST_SAID:
            del self._said[next(iter(self._said))]
        answer = _go(where)
        answer.headers["Set-Cookie"] = f"{SAID}={name}; HttpOnly; Path=/; SameSite=Lax"
        return answer

    # --- showing ----------------------------------------------------------------------------------------------------

    def _home(self, sent) -> Answer:
        order = list(schema.TREE_CATEGORIES)
        trees = sorted(self.world.trees(), key=lambda tree: (order.index(tree["category"]), tree["tree"]))
        now = {tree["tree"]: tree["log_id"] for tree in trees}
        body = markup.trees_form(trees, sent) + markup.stack(self.world.stack(), now)
        return _page(200, "Trees", body)

    def _new(self, sent) -> Answer:
        return _page(200, "New tree", markup.new_tree_form(sent))

    def _logs(self, sent, name: str) -> Answer:
        logs = self.world.logs(name)
        return _page(200, f"History of {name}", markup.logs(logs) + markup.delete_form(name, quote(name, safe="")))

    # --- doing ------------------------------------------------------------------------------------------------------

    def _update(self, sent) -> Answer:
        names, status = sent.get("trees", []), _one(sent, "status")
        reason, category = _one(sent, "reason"), _one(sent, "reason_category")
        known = {tree["tree"] for tree in self.world.trees()}
        wrong = [f'There is no tree "{name}": choose among those on the page.' for name in names if name not in known]
        if not names:
            wrong.append("No tree was chosen: tick at least one.")
        if status not in schema.STATUSES:
            wrong.append(f'"{status}" is no status: choose open, closed or approval required.')
        wrong += _wrong_category(category)
        if status == schema.CLOSED and not reason:
            wrong.append("Closing needs a reason: developers read it when they cannot push.")
        if status == schema.CLOSED and not category:
            wrong.append("Closing needs a category: choose why it is closed.")
        if wrong:
            return self._say(HOME, Said(wrong, True, sent))
        editing.update(
            self.world,
            self.sheriff,
            list(dict.fromkeys(names)),
            status,
            reason,
            [category] if category else [],
            _one(sent, "message_of_the_day"),
            remember="remember" in sent,
        )
        return self._say(HOME, Said([f"Now {status}: {', '.join(names)}."]))

    def _change(self, sent, number: str) -> Answer:
        action, category = _one(sent, "action"), _one(sent, "reason_category")
        wrong = _wrong_category(category)
        if action not in ("restore", "discard", "update"):
            wrong.append(f'"{action}" is nothing that can be done with a change: use the buttons of the page.')
        if wrong:
            return self._say(HOME, Said(wrong, True))
        if action == "update":
            editing.update_change(self.world, int(number), _one(sent, "reason"), [category] if category else [])
            return self._say(HOME, Said([f"Change {number} has another reason now."]))
        editing.revert(self.world, self.sheriff, int(number), restore=action == "restore")
        done = "its trees are as they were before it" if action == "restore" else "its trees stay as they are"
        return self._say(HOME, Said([f"Change {number} is off the stack; {done}."]))

    def _rewrite_log(self, sent, number: str) -> Answer:
        category = _one(sent, "reason_category")
        wrong = _wrong_category(category)
        if wrong:
            return self._say(HOME, Said(wrong, True))
        editing.update_log(self.world, int(number), _one(sent, "reason"), [category] if category else [])
        return self._say(HOME, Said(["The entry of the log was rewritten."]))

    def _create(self, sent) -> Answer:
        name, category = _one(sent, "tree"), _one(sent, "category") or "other"
        wrong = []
        if not re.fullmatch(r"[\w.-]+", name) or len(name) > schema.LONGEST_NAME:
            longest = f"1 to {schema.LONGEST_NAME} letters, digits, dots, hyphens and underscores"
            wrong.append(f'"{name}" cannot be the name of a tree: use {longest}.')
        if category not in schema.TREE_CATEGORIES:
            wrong.append(f'There is no group "{category}": choose one of the list.')
        if wrong:
            return self._say(NEW, Said(wrong, True, sent))
        try:
            editing.create(self.world, self.sheriff, name, category=category)
        except errors.Refusal:
            return self._say(NEW, Said([f"The tree {name} is there already: choose another name."], True, sent))
        return self._say(HOME, Said([f"The tree {name} is there now, and open."]))

    def _delete(self, sent, name: str) -> Answer:
        editing.delete(self.world, name)
        return self._say(HOME, Said([f"The tree {name} is gone, with its history."]))


def _one(sent: dict[str, list[str]], name: str) -> str:
    return sent.get(name, [""])[-1].strip()


def _wrong_category(category: str) -> list[str]:
    if category and category not in schema.REASON_CATEGORIES:
        return [f'There is no category "{category}": choose one of the list.']
    return []


def _sentence(refusal: errors.Refusal) -> str:
    if refusal.detail == errors.NOT_FOUND:
        return "That change is no longer on the stack: somebody restored or discarded it."
    return refusal.detail or refusal.title or ""


def _cookie(request: Request) -> str:
    try:
        morsel = SimpleCookie(request.headers.get("cookie", "")).get(SAID)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _page(status: int, title: str, body: str) -> Answer:
    return Answer(status, markup.page(title, body).encode(), HTML, dict(SAFE))


def _go(where: str) -> Answer:
    return Answer(302, b"", HTML, SAFE | {"Location": where})
