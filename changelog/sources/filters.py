"""What of a source is noise: folders, files, a keyword, what machines write. Pure; the row keeps it as JSON.

Real lists needed every one of these (domain.md 3, A1): 162 rows for three days were read by nobody.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from changelog import messages


@dataclass(frozen=True)
class Filters:
    """What a change must have to be proposed. Empty: everything is."""

    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # whole paths, or patterns with * and ?
    keyword: str = ""  # stands somewhere in the message; case makes no difference
    drop_automatic: bool = False
    tags_only: bool = False  # of git: tags, not commits

    @classmethod
    def of(cls, stored: dict) -> "Filters":
        """Return the filters that a source's row keeps; what is not of the right shape there filters nothing."""
        return cls(
            folders=_names(stored.get("folders")),
            files=_names(stored.get("files")),
            keyword=str(stored.get("keyword") or ""),
            drop_automatic=stored.get("drop_automatic") is True,
            tags_only=stored.get("tags_only") is True,
        )

    def kept(self) -> dict:
        """Return what the row keeps: only what filters anything."""
        values = {
            "folders": list(self.folders), "files": list(self.files), "keyword": self.keyword,
            "drop_automatic": self.drop_automatic, "tags_only": self.tags_only,
        }  # fmt: skip
        return {name: value for name, value in values.items() if value}

    @property
    def ask_for_files(self) -> bool:
        """Answer whether the names of a change's files decide."""
        return bool(self.folders or self.files)

    def why_dropped(self, message: str, files: tuple[str, ...], files_are_known: bool = True) -> str:
        """Return why a change is not proposed, in a few words, or "" when it is.

        Where not all of its files are known, those that are may let it in and never keep it out.
        """
        if self.keyword and self.keyword.casefold() not in message.casefold():
            return f"without “{self.keyword}”"
        if self.ask_for_files and files_are_known and not any(map(self._is_watched, files)):
            return "in none of the folders and files"
        if self.drop_automatic and messages.read(message).is_automatic:
            return "written by a machine"
        return ""

    def _is_watched(self, path: str) -> bool:
        return any(_is_below(path, folder) for folder in self.folders) or any(
            fnmatchcase(path, pattern) for pattern in self.files
        )

    def in_words(self) -> list[str]:
        """Return what is kept, a line each, for a person; empty when everything is."""
        lines = []
        if self.tags_only:
            lines.append("tags only")
        if self.folders:
            lines.append("in the folders " + ", ".join(self.folders))
        if self.files:
            lines.append(("or the files " if self.folders else "in the files ") + ", ".join(self.files))
        if self.keyword:
            lines.append(f"with “{self.keyword}” in the message")
        if self.drop_automatic:
            lines.append("not written by a machine")
        return lines


def _names(values) -> tuple[str, ...]:
    if not isinstance(values, (list, tuple)):
        return ()
    return tuple(value for value in values if isinstance(value, str) and value)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.strip("/") + "/")
