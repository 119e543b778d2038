"""The demo's git repository: a configuration of CI that a source reads as it would read a real one. Invented."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from django.conf import settings

#: git reads nothing of whoever runs the demo: no hooks, no identity, no settings.
_ENVIRONMENT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}
LONGEST = 60  # seconds for a hundred commits


@dataclass(frozen=True)
class Commit:
    """One commit: when it was written and landed, by whom (a team), where on earth, and what it says."""

    authored_at: datetime
    landed_at: datetime
    team: str
    offset: timedelta
    message: str
    files: tuple[str, ...]


def path() -> Path:
    """Return where the repository stands."""
    return settings.STATE_DIR / "demo" / "ci-configuration"


def make(commits: Iterable[Commit]) -> bool:
    """Make the repository anew from commits, the oldest first; returns False where there is no git."""
    git = shutil.which("git")
    if git is None:
        return False
    folder = path()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    for arguments, told in (
        (["init", "--quiet", "--bare", "--initial-branch=main"], b""),
        (["fast-import", "--quiet"], _stream(commits)),
    ):
        subprocess.run(
            [git, *arguments],
            cwd=folder,
            input=told,
            check=True,
            timeout=LONGEST,
            env=_ENVIRONMENT,
            capture_output=True,
        )
    return True


def _stream(commits: Iterable[Commit]) -> bytes:
    """Return the commits as `git fast-import` reads them."""
    lines: list[bytes] = []
    for number, commit in enumerate(commits, start=1):
        who = f"{commit.team} <{commit.team.lower().replace(' ', '-')}@example.com>"
        message, content = commit.message.encode(), f"{number}\n".encode()
        lines += [
            b"commit refs/heads/main",
            f"author {who} {_moment(commit.authored_at, commit.offset)}".encode(),
            f"committer {who} {_moment(commit.landed_at, commit.offset)}".encode(),
            f"data {len(message)}".encode(),
            message,
        ]
        for name in commit.files:
            lines += [f"M 100644 inline {name}".encode(), f"data {len(content)}".encode(), content]
    return b"\n".join([*lines, b"done", b""])


def _moment(at: datetime, offset: timedelta) -> str:
    return f"{int(at.timestamp())} {at.astimezone(timezone(offset)):%z}"
