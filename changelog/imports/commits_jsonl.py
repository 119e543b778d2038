"""Reads a history with one commit a line: {"sha", "author", "authored", "committed", "message", "files"}."""

import json
from collections.abc import Iterator
from pathlib import Path

from changelog.imports.entries import BadEntry, Entry, Unreadable, moment_of, revision_of

#: A line is one commit: the longest seen, with a message of a megabyte and 100,000 files, takes 9 MB.
LONGEST_LINE = 64 * 1024 * 1024
#: As many names of files as are kept; of the others the number is.
_FILES = 50


def read(path: Path, repository: str, base: str = "", label: str = "") -> Iterator[Entry | BadEntry]:
    """Yield the commits of a file, in its order, with one line in memory at a time.

    `base` is the address of the repository, `label` what the file is called for people.
    Raises Unreadable when the file is no such history.
    """
    with path.open("rb") as file:
        number, is_first = 0, True
        while line := file.readline(LONGEST_LINE):
            number += 1
            where = f"{label or path.name}, line {number}"
            if not line.endswith(b"\n") and len(line) == LONGEST_LINE:
                _skip_line(file)
                yield BadEntry(where, f"it is longer than {LONGEST_LINE >> 20} MB")
                continue
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace").strip()
            if not text:
                continue
            if is_first and not text.startswith("{"):
                raise Unreadable("its first line is no JSON object, and a history has one on each line")
            is_first = False
            try:
                yield _entry(text, where, repository, base)
            except Unreadable as problem:
                yield BadEntry(where, str(problem))
        if is_first:
            raise Unreadable("it is empty")


def _skip_line(file) -> None:
    while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass


def _entry(text: str, where: str, repository: str, base: str) -> Entry:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("it is no whole JSON object") from None
    if not isinstance(told, dict):
        raise Unreadable("it is no JSON object")
    is_git = "node" not in told
    revision = revision_of(told.get("sha") if is_git else told["node"], "", is_git=is_git)
    authored, committed = moment_of(told.get("authored")), moment_of(told.get("committed") or told.get("date"))
    if not (authored or committed):
        raise Unreadable("it names no moment")
    files = told.get("files") or []
    is_list = isinstance(files, list)
    return Entry(
        where=where,
        repository=repository,
        revision=revision,
        is_git=is_git,
        message=_text(told.get("message")),
        landed_at=committed or authored,
        authored_at=authored,
        author=_text(told.get("author")),
        url=_text(told.get("url")) or (f"{base}/commit/{revision}" if base else ""),
        files=tuple(map(_text, files[:_FILES])) if is_list else (),
        files_count=len(files) if is_list else None,
    )  # fmt: skip


def _text(value) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)[:1_000]
