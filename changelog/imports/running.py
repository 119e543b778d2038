"""Brings a history that is kept as files into the log: where it stands, in which shape, and what becomes of it.

Told again, nothing is written. A bad entry is named and left out, and the rest goes in.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, groupby
from pathlib import Path

from changelog import store
from changelog.facts import is_sane
from changelog.imports import commits_jsonl
from changelog.imports import firefox_infra_changelog as fic
from changelog.imports.entries import BadEntry, Entry, Repository, Unreadable
from changelog.models import Source
from changelog.models.sources import SourceKind
from changelog.proposals import Proposal
from changelog.rules import LONGEST_NAME
from ciduty.bugzilla.cleaning import clean_line
from ciduty.systems.models import named

JSONL = "commits-jsonl"
#: The formats that can be read, and how their files end.
ENDINGS = {"firefox-infra-changelog": ".json", JSONL: ".jsonl"}
LIST_OF_SOURCES = fic.LIST_OF_SOURCES


class CannotImport(Exception):
    """There is nothing that can be imported. `str()` is one line for a person."""


@dataclass
class Done:
    """What became of the entries of one repository."""

    name: str
    stored: store.Stored = field(default_factory=store.Stored)
    told_twice: int = 0
    beside: int = 0  # entries whose own moment cannot be

    def add(self, other: "Done") -> None:
        """Take another repository's figures in."""
        self.stored.add(other.stored)
        self.told_twice += other.told_twice
        self.beside += other.beside


@dataclass
class Import:
    """One run. `complain` takes one line for each entry that is left out; `tell` one `Done` per repository."""

    at: datetime
    publishes: bool
    complain: Callable[[str], None]
    tell: Callable[[Done], None]
    left_out: int = 0

    def run(self, path: Path, format_: str = "", repository: str = "") -> None:
        """Bring in everything under `path`. Raises CannotImport where that is nothing."""
        files = _files(path, format_)
        if repository and len(files) > 1:
            raise CannotImport(f"{path} holds {len(files)} files: --repository names the repository of one alone.")
        lists = [file for file in files if file.name == LIST_OF_SOURCES]
        histories = [file for file in files if file.name != LIST_OF_SOURCES]
        if not histories:
            raise CannotImport(f"{path} is a list of repositories and no history: name the folder of the histories.")
        self._known: dict[str, Repository] = {}
        self._path = path
        with closing(_Seen()) as self._seen:
            for file in lists:
                with self._named(file, is_only=False):
                    self._known |= fic.repositories(fic.json_of(file))
            for file in histories:
                with self._named(file, is_only=len(histories) == 1):
                    self._one_file(file, (format_ or _format(file)) == JSONL, repository)

    @contextmanager
    def _named(self, file: Path, *, is_only: bool) -> Iterator[None]:
        """Go on without a file that cannot be read, and name it; raise CannotImport where there is no other."""
        try:
            yield
        except (Unreadable, OSError) as problem:
            because = problem.strerror if isinstance(problem, OSError) else str(problem)
            if is_only:
                raise CannotImport(f"{file} cannot be imported: {because}.") from None
            self._leave_out(self._label(file), because)

    def _label(self, file: Path) -> str:
        """Return what a file is called for people: its place in the folder, and never more of this machine."""
        return file.name if file == self._path else str(file.relative_to(self._path))

    def _one_file(self, file: Path, is_jsonl: bool, repository: str) -> None:
        """Bring one file in, repository by repository as they stand in it. Raises Unreadable, OSError."""
        name = repository or (_name(file) if is_jsonl else "" if fic.is_of_several(file) else file.stem)
        if is_jsonl:
            entries = commits_jsonl.read(file, name, _base(name), self._label(file))
        else:
            entries = fic.read(file, self._label(file))
        good = self._good(entries)
        first = next(good, None)  # what is no history at all is refused here, before a source is entered
        if first is None:
            if name:  # nothing changed there, and it is a source all the same
                self._write(name, ())
            return
        for told, group in groupby(chain([first], good), key=lambda entry: repository or entry.repository):
            self._write(told, group)

    def _good(self, entries: Iterable[Entry | BadEntry]) -> Iterator[Entry]:
        for entry in entries:
            if isinstance(entry, BadEntry):
                self._leave_out(entry.where, entry.because)
            else:
                yield entry

    def _write(self, repository: str, entries: Iterable[Entry]) -> None:
        source = _source(repository, self._known)
        done = Done(source.name)
        proposals = self._proposals(source.name, entries, done)
        done.stored = store.store(
            proposals, source=source, at=self.at, publishes=self.publishes, refused=self._refuse
        )  # fmt: skip
        self.tell(done)

    def _proposals(self, repository: str, entries: Iterable[Entry], done: Done) -> Iterator[Proposal]:
        """Yield what entries tell, each once, at a moment that can be.

        A broken clock says 1970 or 2100: then it landed when it was written, else with the entry before it.
        """
        before: datetime | None = None
        for entry in entries:
            if not self._seen.is_new(repository, entry.identity):
                done.told_twice += 1
                continue
            moments = (entry.landed_at, entry.authored_at, before)
            before = next((moment for moment in moments if is_sane(moment, self.at)), None)
            if before is None:
                self._leave_out(
                    entry.where, f"its moment {entry.landed_at.isoformat()} cannot be, and no other is told"
                )
                continue
            done.beside += before is not entry.landed_at
            yield entry.proposal(repository, before)

    def _refuse(self, proposal: Proposal, problem: store.Unusable) -> None:
        self._leave_out(proposal.identity, str(problem).rstrip("."))

    def _leave_out(self, where: str, because: str) -> None:
        self.left_out += 1
        self.complain(f"Left out: {clean_line(where, 200)}: {clean_line(because, 200)}.")


# --- what is to be read ----------------------------------------------------------------------------------------------


def _files(path: Path, format_: str) -> list[Path]:
    """Return the files of a history, in the order of their names. Raises CannotImport."""
    if not path.exists():
        raise CannotImport(f"{path} does not exist: name the file or the folder of a history.")
    if path.is_file():
        return [path]
    endings = [ENDINGS[format_]] if format_ else list(ENDINGS.values())
    found = sorted(file for ending in endings for file in path.rglob(f"*{ending}") if file.is_file())
    files = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not files:
        raise CannotImport(f"{path} holds no file that ends in {' or '.join(endings)}: nothing was imported.")
    return files


def _format(file: Path) -> str:
    for format_, ending in ENDINGS.items():
        if file.suffix.lower() == ending:
            return format_
    raise CannotImport(f"{file} does not tell its format by its name: say --format {' or --format '.join(ENDINGS)}.")


def _name(file: Path) -> str:
    """Return the repository that a file's name tells: `fxci-config-2022-2024.jsonl` is fxci-config."""
    return re.sub(r"(?:[-_.](?:19|20)\d\d(?:-\d\d){0,2}){1,2}$", "", file.stem) or file.stem


# --- sources ---------------------------------------------------------------------------------------------------------


def _there(name: str) -> Source | None:
    return Source.objects.filter(name__iexact=clean_line(name, LONGEST_NAME)).order_by("pk").first()


def _base(name: str) -> str:
    """Return the address under which GitHub shows the commits of a source, where it is one of GitHub's."""
    there = _there(name)
    return there.address.rstrip("/") if there and there.address.startswith("https://github.com/") else ""


def _source(name: str, known: dict[str, Repository]) -> Source:
    """Return the source of a repository, entered where there is none. One that is there is left as it is."""
    there = _there(name)
    if there is not None:
        return there
    said = known.get(name.lower(), Repository(name))
    return Source.objects.create(
        name=clean_line(name, LONGEST_NAME) or "(no name)",
        kind=SourceKind.IMPORT,
        address=clean_line(said.address, 360),
        team=clean_line(said.team, 120),
        default_system=named(clean_line(said.title, 120), owner=clean_line(said.team, 120)) if said.title else None,
        filters=said.filters,
    )


class _Seen:
    """What was told already in this run: on disk where there is much of it, so that memory stays flat."""

    def __init__(self):
        self._table = sqlite3.connect("", isolation_level=None)  # a file of SQLite's own, gone when it is closed
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("CREATE TABLE seen (what TEXT PRIMARY KEY) WITHOUT ROWID")

    def is_new(self, repository: str, identity: str) -> bool:
        """Answer whether nobody asked this before."""
        added = self._table.execute("INSERT OR IGNORE INTO seen VALUES (?)", [f"{repository} {identity}"])
        return added.rowcount == 1

    def close(self) -> None:
        """Forget all of it."""
        self._table.close()
