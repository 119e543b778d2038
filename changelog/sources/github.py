"""The border to GitHub's REST API: typed values out, Failure or Limited otherwise. What is read when: `github_walk.py`.

Nothing here writes. https://docs.github.com/en/rest/commits/commits and .../rest/releases/releases
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings

from changelog.sources import http, reach
from changelog.sources.reading import (
    Deadline,
    Failure,
    Limited,
    NotThere,
    making_sense,
    moment,
    revision,
    rows,
    text,
    whole_number,
)

AT_ONCE = 100  # the most that one page holds
#: A limit that names no end, and one that names a wrong one, are waited for within these bounds: GitHub's is an hour.
LEAST_WAIT, USUAL_WAIT, MOST_WAIT = timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=65)
VERSION = "2022-11-28"
_WEB = re.compile(r"/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")
_API = re.compile(r"(.*)/repos/([\w.-]+)/([\w.-]+)/?")


@dataclass(frozen=True)
class Repository:
    """A repository, as its address names it: `api` is where its API begins, `name` is "owner/repository"."""

    api: str
    name: str
    web: str  # where people look at it, or ""


@dataclass(frozen=True)
class Commit:
    """A commit. `files` is None where a list does not tell them; `is_whole` is False where there are more of them."""

    sha: str
    author: str
    authored_at: datetime
    committed_at: datetime
    message: str
    url: str
    parents: tuple[str, ...]
    files: tuple[str, ...] | None = None
    is_whole: bool = True


@dataclass(frozen=True)
class Release:
    """A release that was published; drafts are not told."""

    id: int
    tag: str
    name: str
    words: str
    author: str
    published_at: datetime
    url: str


@dataclass(frozen=True)
class Page:
    """One page of a list. `unchanged`: GitHub says that nothing is new since the tag that was sent along."""

    items: tuple
    has_next: bool
    etag: str
    unchanged: bool = False


def repository(address: str) -> Repository:
    """Return what an address names: a page of GitHub, of a GitHub Enterprise, or the API itself. Raises reach.Unfit."""
    parts = urlsplit(address)
    api = _API.fullmatch(parts.path)
    if api:
        return Repository(f"{parts.scheme}://{parts.netloc}{api[1]}", f"{api[2]}/{api[3]}", "")
    web = _WEB.fullmatch(parts.path)
    if not web:
        raise reach.Unfit("Name one repository: https://github.com/owner/repository.")
    name = f"{web[1]}/{web[2]}"
    if parts.netloc.lower() in ("github.com", "www.github.com"):
        return Repository(settings.GITHUB_API_URL, name, f"https://github.com/{name}")
    return Repository(f"{parts.scheme}://{parts.netloc}/api/v3", name, f"{parts.scheme}://{parts.netloc}/{name}")


class Client:
    """One repository of GitHub, within one deadline. Use `with`."""

    def __init__(self, address: str, deadline: Deadline):
        """Take the token along where it belongs: to the API that GITHUB_API_URL names."""
        try:
            self.repository = repository(address)
        except reach.Unfit as problem:
            raise Failure(str(problem)) from None
        home = reach.origin(settings.GITHUB_API_URL)
        self._session = http.Session(deadline, token=settings.GITHUB_TOKEN, token_home=home)
        #: Set when GitHub says with an answer that it was the last one for a while.
        self.spent: Limited | None = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session.__exit__()

    def commits(self, start: str, page: int, *, at_once: int = AT_ONCE, etag: str = "") -> Page:
        """Return one page of the commits that lead to a branch or a revision ("" is the default branch), newest first.

        https://docs.github.com/en/rest/commits/commits#list-commits
        """
        asked = {"per_page": at_once} | ({"sha": start} if start else {}) | ({"page": page} if page > 1 else {})
        return self._page("commits", asked, etag, commit)

    def releases(self, page: int, *, at_once: int = AT_ONCE, etag: str = "") -> Page:
        """Return one page of the releases, the newest first, without drafts.

        https://docs.github.com/en/rest/releases/releases#list-releases
        """
        asked = {"per_page": at_once} | ({"page": page} if page > 1 else {})
        return self._page("releases", asked, etag, release)

    def commit(self, sha: str) -> Commit:
        """Return one commit with its files.

        https://docs.github.com/en/rest/commits/commits#get-a-commit
        """
        answer = self._ask(f"commits/{sha}", {})
        with making_sense("a commit"):
            found = commit(answer.json("a commit"))
        if found.sha != sha:
            raise Failure("It answered with another commit than the one that was asked for.")
        return replace(found, is_whole=not answer.has_next_page())

    def _page(self, what: str, asked: dict, etag: str, read) -> Page:
        answer = self._ask(what, asked, {"If-None-Match": etag} if etag else {})
        if answer.status == 304:
            return Page((), False, etag, unchanged=True)
        with making_sense(what):
            items = tuple(item for item in map(read, rows(answer.json(what))) if item is not None)
            return Page(items, answer.has_next_page(), answer.headers.get("ETag", "")[:200])

    def _ask(self, path: str, asked: dict, headers: dict | None = None) -> http.Answer:
        url = f"{self.repository.api}/repos/{self.repository.name}/{path}"
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": VERSION} | (headers or {})
        answer = self._session.get(url, asked, headers)
        if answer.status == 200 or (answer.status == 304 and "If-None-Match" in headers):
            self._look_what_is_left(answer)
            return answer
        raise _refusal(answer)

    def _look_what_is_left(self, answer: http.Answer) -> None:
        if answer.headers.get("X-RateLimit-Remaining", "").strip() == "0":
            self.spent = Limited("GitHub answers no more of our questions for now.", wait_of(answer))


def _refusal(answer: http.Answer) -> Failure:
    status, left = answer.status, answer.headers.get("X-RateLimit-Remaining", "").strip()
    if status == 429 or (status == 403 and (left == "0" or "Retry-After" in answer.headers)):
        return Limited(f"GitHub limits our rate (HTTP {status}).", wait_of(answer))
    if status == 401:
        return Failure("GitHub does not accept GITHUB_TOKEN (HTTP 401): make a new one, or leave it out.")
    if status == 403:
        return Failure("GitHub does not let us read this repository (HTTP 403).")
    if status in (404, 422):
        return NotThere(f"GitHub shows no such repository or branch (HTTP {status}): was it renamed, is it private?")
    if status == 409:
        return Failure("The repository is empty (HTTP 409).")
    return Failure(f"GitHub answered HTTP {status}.")


def wait_of(answer: http.Answer) -> timedelta:
    """Return how long a limit lasts, by GitHub's own clock: ours may be another one."""
    wait, reset, here = answer.retry_after(), answer.headers.get("X-RateLimit-Reset", "").strip(), answer.date()
    if wait is None and reset.isascii() and reset.isdigit() and len(reset) < 12 and here is not None:
        wait = datetime.fromtimestamp(int(reset), UTC) - here
    return min(max(USUAL_WAIT if wait is None else wait, LEAST_WAIT), MOST_WAIT)


# --- values -----------------------------------------------------------------------------------------------------------


def commit(raw: dict) -> Commit:
    """Return a commit. Raises what `making_sense` turns into a Failure."""
    inner = raw["commit"]
    files = raw.get("files")
    names = None if files is None else tuple(text(one["filename"]) for one in rows(files))
    return Commit(
        sha=revision(raw["sha"]),
        author=_author(inner.get("author"), raw.get("author")),
        authored_at=moment((inner.get("author") or inner["committer"])["date"]),
        committed_at=moment((inner.get("committer") or inner["author"])["date"]),
        message=text(inner["message"]),
        url=text(raw.get("html_url") or ""),
        parents=tuple(revision(one["sha"]) for one in rows(raw.get("parents", []))),
        files=names,
    )


def _author(told: dict | None, account: dict | None) -> str:
    return text((told or {}).get("name") or (account or {}).get("login") or "")


def release(raw: dict) -> Release | None:
    """Return a release, or None for a draft. Raises what `making_sense` turns into a Failure."""
    if raw.get("draft"):
        return None
    return Release(
        id=whole_number(raw["id"]),
        tag=text(raw["tag_name"]),
        name=text(raw.get("name") or ""),
        words=text(raw.get("body") or ""),
        author=_author(None, raw.get("author")),
        published_at=moment(raw.get("published_at") or raw["created_at"]),
        url=text(raw.get("html_url") or ""),
    )
