"""Stand-ins for GitHub's and hg.mozilla.org's APIs on loopback: real HTTP, real paging, and troubles on demand.

Each keeps its own time, which may go wrong. Nothing here knows ciduty. Use `with`.
"""

import hashlib
import heapq
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Question:
    """What was asked: the path, the parameters, the headers by lower-case names."""

    path: str
    asked: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with one answer. Nothing of it: the answer is as it should be.

    `instead`: this body. `cut`: only so many bytes of the body, under a length that is right for them. `hang`: no
    answer before the stand-in ends. `only`: what the path must hold for the trouble to strike.
    """

    status: int = 0
    instead: bytes | None = None
    cut: int | None = None
    hang: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    only: str = ""


class StandIn:
    """A server with its own clock, that writes down every question."""

    def __init__(self, at: datetime):
        self.at = at  # its own time
        self.questions: list[Question] = []
        self.troubles: deque[Trouble] = deque()
        self.always: Trouble | None = None
        self.headers: dict[str, str] = {}  # with every answer
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def paths(self) -> list[str]:
        """Return what was asked for, without parameters."""
        return [question.path for question in self.questions]

    def answer(self, question: Question) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        raise NotImplementedError

    def trouble(self, question: Question) -> Trouble:
        """Return what goes wrong with this answer."""
        for trouble in list(self.troubles):
            if trouble.only in question.path:
                self.troubles.remove(trouble)
                return trouble
        return self.always or Trouble()


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):  # noqa: N802
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        question = Question(parts.path, dict(parse_qsl(parts.query)), headers)
        self.stand_in.questions.append(question)
        trouble = self.stand_in.trouble(question)
        if trouble.hang:
            self.stand_in.over.wait(30)
            self.close_connection = True
            return
        status, headers, body = self.stand_in.answer(question)
        status = trouble.status or status
        body = body if trouble.instead is None else trouble.instead
        body = body if trouble.cut is None else body[: trouble.cut]
        self.send_response_only(status)
        for name, value in (
            {"Date": _http(self.stand_in.at)} | self.stand_in.headers | headers | trouble.headers
        ).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 304:
            self.wfile.write(body)


def _http(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)


def _json(value, status=200, **headers) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"} | headers, json.dumps(value).encode()


# --- GitHub -----------------------------------------------------------------------------------------------------------


class GitHub(StandIn):
    """One repository, owner/repository, under /repos/: commits in the order of `git log`, releases, ETags."""

    def __init__(self, at: datetime):
        super().__init__(at)
        self.commits: dict[str, dict] = {}
        self.releases: list[dict] = []
        self.head = ""

    def commit(
        self, words="Bug 1500000 - A change. r=reviewer", *, on=None, merges="", at=None, files=(), author="Author"
    ):
        """Add a commit on a commit (the newest one unless told), make it the newest, and return its name."""
        parents = [one for one in (self.head if on is None else on, merges) if one]
        sha = hashlib.sha1(f"{len(self.commits)} {words}".encode()).hexdigest()
        at = at or self.at
        date = {"date": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        person = {"name": author, "email": "author@example.com"} | date
        self.commits[sha] = {
            "sha": sha,
            "commit": {"author": person, "committer": person, "message": words},
            "author": {"login": "author"},
            "html_url": f"https://github.com/owner/repository/commit/{sha}",
            "parents": [{"sha": parent} for parent in parents],
            "files": [{"filename": name} for name in files],
        }
        self.head = sha
        return sha

    def several(self, count: int, **fields) -> list[str]:
        """Add commits, a minute apart, and return them, the oldest first."""
        begin = fields.pop("at", self.at) - timedelta(minutes=count)
        return [
            self.commit(f"Change {number}", at=begin + timedelta(minutes=number), **fields) for number in range(count)
        ]

    def release(self, tag: str, words="What is new.", **fields) -> dict:
        """Publish a release, and return it as it is told."""
        date = self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told = {
            "id": 1000 + len(self.releases), "tag_name": tag, "name": tag, "body": words, "draft": False,
            "published_at": date, "created_at": date, "author": {"login": "releaser"},
            "html_url": f"https://github.com/owner/repository/releases/tag/{tag}",
        } | fields  # fmt: skip
        self.releases.insert(0, told)
        return told

    def answer(self, question):
        """Answer as GitHub does."""
        _, _, rest = question.path.partition("/repos/owner/repository/")
        if rest == "releases":
            return self._list(question, self.releases)
        if rest == "commits":
            start = self.commits.get(question.asked.get("sha", ""), {}).get("sha", self.head)
            named = question.asked.get("sha", "main")
            if named not in ("main", *self.commits):
                return _json({"message": "No commit found"}, 404)
            return self._list(question, [_without_files(self.commits[sha]) for sha in self._log(start)])
        if rest.startswith("commits/") and rest[8:] in self.commits:
            return _json(self.commits[rest[8:]])
        return _json({"message": "Not Found"}, 404)

    def _log(self, start: str) -> list[str]:
        """Return what leads to a commit, as `git log` does: by date, and no commit before the one that names it."""
        waiting, met, log = [], set(), []

        def meet(sha):
            if sha not in met:
                met.add(sha)
                date = datetime.fromisoformat(self.commits[sha]["commit"]["committer"]["date"])
                heapq.heappush(waiting, (-date.timestamp(), len(met), sha))

        if start:
            meet(start)
        while waiting:
            sha = heapq.heappop(waiting)[2]
            log.append(sha)
            for parent in self.commits[sha]["parents"]:
                meet(parent["sha"])
        return log

    def _list(self, question, rows):
        size, page = int(question.asked.get("per_page", 30)), int(question.asked.get("page", 1))
        shown = rows[(page - 1) * size : page * size]
        etag = f'W/"{hashlib.sha1(json.dumps([shown, len(rows)]).encode()).hexdigest()}"'
        if question.headers.get("if-none-match") == etag:
            return 304, {"ETag": etag}, b""
        headers = {"ETag": etag}
        if page * size < len(rows):
            headers["Link"] = f'<https://elsewhere.example.com/repositories/1?page={page + 1}>; rel="next"'
        return _json(shown, **headers)


def _without_files(commit: dict) -> dict:
    return {name: value for name, value in commit.items() if name != "files"}


# --- hg ---------------------------------------------------------------------------------------------------------------


class Mercurial(StandIn):
    """One repository with a pushlog, at the root of the server."""

    def __init__(self, at: datetime, first=88_000):
        super().__init__(at)
        self.pushes: dict[int, dict] = {}
        self.last = first

    def push(
        self, *words: str, user="developer@example.com", files=("taskcluster/ci/config.yml",), author=None
    ) -> list[str]:
        """Push changesets, and return their nodes."""
        self.last += 1
        changesets = [
            {
                "author": author or "Developer <developer@example.com>", "branch": "default", "desc": text,
                "files": list(files), "node": hashlib.sha1(f"{self.last} {text}".encode()).hexdigest(),
                "parents": [], "tags": [],
            }
            for text in words or ("Bug 1500000 - A change. r=reviewer",)
        ]  # fmt: skip
        date = int(self.at.timestamp()) - 100_000 + self.last % 100_000
        self.pushes[self.last] = {"changesets": changesets, "date": date, "user": user}
        return [one["node"] for one in changesets]

    def reset(self, first=0) -> None:
        """Begin a new repository in the place of this one."""
        self.pushes, self.last = {}, first

    def answer(self, question):
        """Answer as hgweb's pushlog does: without `full` a changeset is its node alone."""
        if question.path != "/json-pushes":
            return 404, {}, b"<html>no such page</html>"
        asked = question.asked
        start = int(asked.get("startID", self.last - 10))
        end = int(asked.get("endID", self.last))
        pushes = {str(number): push for number, push in self.pushes.items() if start < number <= end}
        if "full" not in asked:
            pushes = {
                number: push | {"changesets": [one["node"] for one in push["changesets"]]}
                for number, push in pushes.items()
            }
        return _json({"lastpushid": self.last, "pushes": pushes})
