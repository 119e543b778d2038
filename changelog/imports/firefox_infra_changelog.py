"""Reads the files of firefox-infra-changelog, CiDuty's own log of 2018 and 2019, in each of the shapes it had.

One file for a repository, or one for all of them; entries by number, by revision, in a list; pushes with changesets in
them; Mercurial's own json-log. What is an entry is seen by what it says (https://github.com/mozilla-releng/
firefox-infra-changelog, its data/, git_files/, hg_files/ and changelog.json over time).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from changelog.imports.entries import (
    BadEntry,
    Entry,
    Repository,
    Unreadable,
    for_people,
    moment_of,
    repository_in,
    revision_of,
)  # fmt: skip

#: Files that hold several repositories, and whose own name is none.
_OF_SEVERAL = re.compile(r"(?:(?:git|hg|github)_?)?(?:changelog|repositories)$", re.IGNORECASE)
#: Their lists of sources, and what they call the two kinds of repository.
LIST_OF_SOURCES = "repositories.json"
_KINDS = {"github": True, "git": True, "mercurial": False, "hg": False}
_FILES = 50
#: No file of theirs nests deeper: what does is something else.
_DEEPEST = 6
#: What has one of these is an entry; else it holds entries.
_MESSAGE = ("message", "commitmessage", "desc")
#: How far a repository was read, not what changed in it.
_STANDING = {"lastchecked", "lastpushid", "version", "lastreleases", "lasttworeleases", "lasttworelease", "placeholder"}


def read(path: Path, label: str = "") -> Iterator[Entry | BadEntry]:
    """Yield the entries of one file, which is called `label` for people. Raises Unreadable when it is no such file."""
    name = "" if is_of_several(path) else path.stem
    found = _Reading(label or path.name)
    yield from found.walk(json_of(path), name, (), 0)
    if not found.is_history:
        raise Unreadable("it holds nothing that firefox-infra-changelog wrote")


def is_of_several(path: Path) -> bool:
    """Answer whether a file holds several repositories: then its own name is none."""
    return _OF_SEVERAL.match(path.stem) is not None


def json_of(path: Path):
    """Return what a JSON file holds; an empty file holds nothing. Raises Unreadable."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace").strip()
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError) as problem:
        line = f" in line {problem.lineno}" if isinstance(problem, json.JSONDecodeError) else ""
        raise Unreadable(f"it is no whole JSON{line}") from None


class _Reading:
    def __init__(self, file: str):
        self.file = file
        self.is_history = False

    def walk(self, told, name: str, path: tuple[str, ...], depth: int) -> Iterator[Entry | BadEntry]:
        """Yield the entries in a value; `name` is its repository, "" while nobody said, `path` how to find it."""
        if isinstance(told, dict):
            said = _plain(told)
            if not told or _STANDING & set(said):
                self.is_history = True
                return
            if isinstance(said.get("changesetcommits"), dict):
                yield from self._push(said, name, path)
            elif any(key in said for key in _MESSAGE) or isinstance(said.get("commit"), dict):
                yield self._entry(said, {}, name, path)
            elif "dateofpush" in said:
                yield BadEntry(self._where(path), "it is a push of which no changeset is told")
            elif "configuration" not in said and depth < _DEEPEST:
                for key, value in told.items():
                    if isinstance(value, (dict, list)):
                        yield from self.walk(value, _name_below(key, name), (*path, key), depth + 1)
        elif isinstance(told, list) and len(told) == 5 and all(isinstance(one, str) for one in told):
            author, _, date, url, message = told
            yield self._entry({"author": author, "date": date, "url": url, "message": message}, {}, name, path)
        elif isinstance(told, list) and depth < _DEEPEST:
            for number, value in enumerate(told, 1):
                yield from self.walk(value, name, (*path, str(number)), depth + 1)

    def _push(self, push: dict, name: str, path: tuple[str, ...]) -> Iterator[Entry | BadEntry]:
        self.is_history = True
        for key, changeset in push["changesetcommits"].items():
            if isinstance(changeset, dict):
                yield self._entry(_plain(changeset), push, name, (*path, key))
            else:
                yield BadEntry(self._where((*path, key)), "it is no changeset")

    def _entry(self, said: dict, push: dict, name: str, path: tuple[str, ...]) -> Entry | BadEntry:
        self.is_history = True
        try:
            return _entry(said, push, name, self._where(path))
        except Unreadable as problem:
            return BadEntry(self._where(path), str(problem))

    def _where(self, path: tuple[str, ...]) -> str:
        return f"{self.file}, entry {' / '.join(part.strip(': ')[:60] for part in path)}"


def _plain(told: dict) -> dict:
    """Return a dict by the letters of its keys: "Message: ", "commit_message" and "Date Of Push" as they were meant."""
    return {re.sub(r"[^a-z]", "", str(key).lower()): value for key, value in told.items()}


def _name_below(key: str, name: str) -> str:
    """Return the repository below a key: entries are numbered or called by their revision, repositories by name."""
    key = key.strip(": ")
    is_number = re.fullmatch(r"\d+|[0-9a-f]{12,40}", key) is not None
    is_heading = key.lower() in _KINDS or key.lower() == "changesets"
    return name if name or is_number or is_heading else key


def _entry(said: dict, push: dict, name: str, where: str) -> Entry:
    if isinstance(said.get("commit"), dict):  # as GitHub's API answers it
        said = _plain(said["commit"]) | {"sha": said.get("sha"), "url": said.get("htmlurl") or said.get("url")}
    who = said.get("authorinfo") or said.get("author")
    who = _plain(who) if isinstance(who, dict) else {"name": who}
    url = for_people(_first(said, "url", "commiturl"))
    told = _first(said, "sha", "node")
    is_git = bool(said.get("sha")) and "changeset=" not in url if told else "changeset=" not in url
    authored = moment_of(who.get("date") or said.get("date") or said.get("commitdate"))
    pushed = moment_of(push.get("dateofpush") or said.get("pushdate"))
    if not (authored or pushed):
        raise Unreadable("it names no moment")
    repository = name or repository_in(url)
    if not repository:
        raise Unreadable("it names no repository")
    files, count = _files(said)
    return Entry(
        where=where,
        repository=repository,
        revision=revision_of(told, url, is_git=is_git),
        is_git=is_git,
        message=_first(said, *_MESSAGE),
        landed_at=pushed or authored,
        authored_at=authored,
        author=_text(who.get("name")) or _first(said, "commitauthor", "commitername", "name", "user"),
        pusher=_text(push.get("pusher")),
        push_id=_text(push.get("changesetnumber") or said.get("pushid")),
        url=url,
        files=files,
        files_count=count,
    )


def _files(said: dict) -> tuple[tuple[str, ...], int | None]:
    """Return the names of some files, and how many there are: a list, or "This commit contains 2 files changed."."""
    told = said.get("files") if "files" in said else said.get("fileschanged")
    if isinstance(told, list):
        return tuple(map(_text, told[:_FILES])), len(told)
    count = re.search(r"\d{1,9}", told) if isinstance(told, str) else None
    return (), int(count[0]) if count else None


def _first(said: dict, *keys: str) -> str:
    return next((text for key in keys if (text := _text(said.get(key)))), "")


def _text(value) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, (dict, list)) else str(value)


# --- the list of sources ---------------------------------------------------------------------------------------------


def repositories(told) -> dict[str, Repository]:
    """Return what a repositories.json says of each repository, by its name in lower case. Bad parts are left out."""
    found = {}
    for kind, listed in told.items() if isinstance(told, dict) else ():
        is_git = _KINDS.get(str(kind).lower())
        for name, said in listed.items() if is_git is not None and isinstance(listed, dict) else ():
            if isinstance(said, dict):
                found[name.lower()] = Repository(
                    name,
                    title=_text(said.get("name")).strip(),
                    address=for_people(_text(said.get("url"))).rstrip("/"),
                    team=_text(said.get("team")).strip(" /"),
                    is_git=is_git,
                    filters=_filters(said.get("configuration")),
                )
    return found


def _filters(configuration) -> dict:
    """Return their filters as ours: folders and files to look at, a word of the message, releases only."""
    if not isinstance(configuration, dict):
        return {}
    kind, files = _text(configuration.get("type")).strip(), configuration.get("files-to-check") or ()
    named = configuration.get("files-we-care-about") or ()
    files = [str(address).partition("/master/")[2] for address in files.values()] if isinstance(files, dict) else files
    filters = {
        "folders": _cleaned(configuration.get("folders-to-check")),
        "files": _cleaned([*files, *named] if isinstance(named, (list, tuple)) else files),
        "keyword": "deploy:" if kind == "commit-keyword" else "",
        "tags_only": kind == "tag",
    }
    return {name: value for name, value in filters.items() if value}


def _cleaned(values) -> list[str]:
    texts = (_text(value).strip() for value in values) if isinstance(values, (list, tuple)) else ()
    return list(dict.fromkeys(text for text in texts if text))
