"""Reads commits and tags out of a repository of ours as git keeps them: whole bytes, their own offsets. No network.

Formats: https://git-scm.com/docs/git-cat-file#_batch_output and https://git-scm.com/docs/git-diff-tree (raw, -z)
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from changelog.sources.git import Repository
from changelog.sources.reading import Failure, moment_of_epoch

AT_ONCE = 50  # commits for one command: their list of files is bounded in size
_PERSON = re.compile(r"(.*?)\s*<[^<>\n]*>?\s*(-?\d{1,15})?(?:\s+([+-])(\d\d)(\d\d))?")


@dataclass(frozen=True)
class Object:
    """A commit or a tag: who made it when, in their own zone, and what they say. Moments are None where none is told.

    `files` is None where they are not known: at the edge of what was fetched.
    """

    id: str
    author: str
    authored_at: datetime | None
    at: datetime | None  # committed or tagged
    message: str
    files: tuple[str, ...] | None = ()


def commits(repository: Repository, ids: list[str]) -> Iterator[Object]:
    """Yield commits with their files, in the order in which they are named. Raises Failure."""
    edge = edge_of(repository)
    for start in range(0, len(ids), AT_ONCE):
        batch = ids[start : start + AT_ONCE]
        files = _files(repository, [one for one in batch if one not in edge])
        for found in objects(repository, batch):
            yield replace(found, files=None if found.id in edge else files.get(found.id, ()))


def edge_of(repository: Repository) -> set[str]:
    """Return the commits whose parents were not fetched: all of their files would look new."""
    try:
        return set((repository.folder / "shallow").read_text().split())
    except FileNotFoundError:
        return set()


def objects(repository: Repository, ids: Iterable[str]) -> Iterator[Object]:
    """Yield commits and tags as they are kept, without files. Raises Failure."""
    told = repository.run("cat-file", "--batch", told="".join(f"{one}\n" for one in ids).encode())
    place = 0
    while place < len(told):
        end = told.index(b"\n", place)
        header = told[place:end].decode(errors="replace").split()
        if len(header) != 3 or header[1] not in ("commit", "tag"):
            raise Failure("git does not hold a commit that it has named.")
        size = int(header[2])
        yield _object(header[0], header[1], told[end + 1 : end + 1 + size])
        place = end + 1 + size + 1


def _object(name: str, kind: str, body: bytes) -> Object:
    head, _, message = body.partition(b"\n\n")
    fields: dict[str, bytes] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        fields.setdefault(key.decode(errors="replace"), value)
    encoding = fields.get("encoding", b"utf-8").decode("ascii", "replace")
    author, authored_at = _person(fields.get("author", fields.get("tagger", b"")), encoding)
    _, at = _person(fields.get("committer", fields.get("tagger", b"")), encoding)
    message = message.partition(b"\n-----BEGIN PGP SIGNATURE-----")[0] if kind == "tag" else message
    return Object(name, author, authored_at, at, _decoded(message, encoding))


def _person(line: bytes, encoding: str) -> tuple[str, datetime | None]:
    found = _PERSON.match(_decoded(line[:2_000], encoding))
    if not found:
        return "", None
    name, seconds, sign, hours, minutes = found.groups()
    try:
        east = (int(hours) * 60 + int(minutes)) * (-1 if sign == "-" else 1) if sign else 0
        return name, moment_of_epoch(int(seconds), east) if seconds else None
    except (ValueError, OverflowError):
        return name, None


def _decoded(text: bytes, encoding: str) -> str:
    """Return a text of a commit: UTF-8, else as its commit says, else with a mark for what cannot be read."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return text.decode(encoding)
    except (LookupError, UnicodeError, ValueError):
        return text.decode("utf-8", "replace")


def _files(repository: Repository, ids: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the files that each commit touches, by commit; a merge touches none by itself."""
    if not ids:
        return {}
    options = ("--stdin", "-r", "-z", "--raw", "--root", "--no-renames", "--no-ext-diff")
    told = repository.run("diff-tree", *options, told="".join(f"{one}\n" for one in ids).encode())
    found: dict[str, list[str]] = {}
    names: list[str] = []
    parts = iter(told.split(b"\0"))
    for part in parts:
        if part.startswith(b":"):  # ":mode mode object object letter", and the name comes after it
            names.append(next(parts, b"").decode(errors="replace"))
        elif part:
            names = found.setdefault(part.decode(errors="replace").strip(), [])
    return {commit: tuple(touched) for commit, touched in found.items()}
