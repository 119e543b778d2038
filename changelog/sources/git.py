"""The border to `git` itself: fetches any repository into a bare one of ours, and reads commits and tags out of it.

Never a shell, never a hook, never a question on a terminal, never another user's settings; each command is bounded in
time and size. What is read when: `git_reading.py`.
"""

import os
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import urlsplit

from django.conf import settings

from changelog.sources import reach
from changelog.sources.reading import Deadline, Failure, NotThere, TooLarge

MOST_BYTES = 64 * 1024 * 1024  # of one command's output
#: A first fetch goes so deep: a repository of a million commits is not copied for the newest hundred.
DEPTH = 200
HEAD = "refs/ciduty/head"
READ = "refs/ciduty/read"  # keeps the last commit that was told, after its history was rewritten too
_ALWAYS = [
    "-c", "init.templateDir=", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never",
    "-c", "credential.helper=", "-c", "core.askPass=", "-c", "http.followRedirects=false", "-c", "gc.autoDetach=false",
    "-c", "core.fsmonitor=false", "-c", "http.lowSpeedLimit=100", "-c", "http.lowSpeedTime=20",
    "-c", "core.quotePath=false", "-c", "log.showSignature=false", "-c", "submodule.recurse=false",
    "-c", "fetch.recurseSubmodules=false", "-c", "fetch.writeCommitGraph=false",
]  # fmt: skip


@dataclass(frozen=True)
class Repository:
    """A bare repository of ours, and the address that it is fetched from."""

    folder: Path
    address: str
    deadline: Deadline

    @classmethod
    def at(cls, folder: Path, address: str, deadline: Deadline) -> "Repository":
        """Return the repository in a folder, made if it is not there. Raises Failure."""
        if address.startswith("-") or not address.startswith(("https://", "http://", "ssh://", "git://", "file://")):
            raise Failure("Its address is none that git is given here.")
        if not shutil.which("git"):
            raise Failure("The program git is not installed on this machine.")
        repository = cls(folder, address, deadline)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / "HEAD").exists():
            repository.run("init", "--quiet", "--bare", ".")
        repository.run("config", "remote.origin.url", address)
        return repository

    def fetch(self, *wanted: str, depth: int = 0) -> None:
        """Fetch references, without the contents of files where the server can leave them out. Raises Failure.

        `depth`: how many commits of each line, at the first time; 0 is whatever is missing.
        """
        for leftover in self.folder.glob("objects/pack/tmp_*"):
            leftover.unlink(missing_ok=True)  # of a run that was ended
        deep = [f"--depth={depth}"] if depth else []
        options = ["--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--filter=blob:none", *deep]
        self.run("fetch", *options, "origin", *wanted, pinned=self._pin())

    def _pin(self) -> list[str]:
        """Look where the address leads, and have git go there: a name must not change its mind in between."""
        if self.address.startswith("file://"):
            if not reach.may_lead_inside():
                raise Failure("It leads to a folder of this machine: ciduty does not go there.")
            return []
        host, port = reach.host_and_port(self.address)
        machines = ",".join(f"[{one}]" if ":" in one else one for one in reach.machines_of(host, port))
        return ["-c", f"http.curloptResolve={host}:{port}:{machines}"]

    def run(self, *arguments: str, told: bytes = b"", pinned: list[str] | None = None) -> bytes:
        """Run one command of git and return what it wrote. Raises Failure, and TooLarge for more than 64 MiB.

        What git writes to its error output comes from the server as well: it decides, and is never shown.
        """
        command = ["git", *_ALWAYS, *(pinned or []), *arguments]
        ended = threading.Event()
        with TemporaryFile() as errors, subprocess.Popen(
            command, cwd=self.folder, env=_environment(self.folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors, start_new_session=True,
        ) as process:  # fmt: skip
            timer = threading.Timer(self.deadline.left(), _end, (process, ended))
            timer.start()
            try:
                written = _talk(process, told)
            finally:
                timer.cancel()
                _end(process, None)
            code = process.wait()
            errors.seek(0)
            said = errors.read(20_000).decode(errors="replace").lower()
        if ended.is_set():
            raise Failure(f"It was not read to its end within {self.deadline.seconds:g} s.")
        if len(written) > MOST_BYTES:
            raise TooLarge(f"It told more than {MOST_BYTES >> 20} MiB in one go.")
        if code:
            raise _refusal(arguments[0], code, said)
        return written


def _talk(process: subprocess.Popen, told: bytes) -> bytes:
    try:
        process.stdin.write(told)  # a few kilobytes: less than a pipe holds
        process.stdin.close()
    except BrokenPipeError:
        pass  # it ended before it read: its exit code says why
    written = process.stdout.read(MOST_BYTES + 1)
    if len(written) <= MOST_BYTES:
        process.wait()
    return written


def _end(process: subprocess.Popen, ended: threading.Event | None) -> None:
    """End git and what it has started; nothing happens where it has ended."""
    if process.poll() is None:
        if ended is not None:
            ended.set()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _environment(folder: Path) -> dict[str, str]:
    schemes = "https:http:ssh:git" + (":file" if reach.may_lead_inside() else "")
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(settings.STATE_DIR / "git"),  # keys for ssh are put there by whoever runs ciduty
        "LC_ALL": "C.UTF-8",
        "GIT_DIR": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": schemes,
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout=10",
    }


#: What git's own sentences (in English: LC_ALL) and those of its servers mean; the first that fits.
_MEANINGS = [
    (("couldn't find remote ref", "no such ref"), NotThere, "It has no such branch: was it renamed?"),
    (
        ("not found", "does not appear to be a git repository", "does not exist", "404"),
        NotThere,
        "There is no git repository at its address, or it is private.",
    ),
    (("could not read username", "authentication failed", "permission denied", "403", "401"), Failure,
     "Its server wants to know who we are: ciduty reads public repositories."),
    (("could not resolve", "couldn't connect", "failed to connect", "connection refused", "unable to connect"), Failure,
     "No server answers at its address."),
    (("host key verification",), Failure, "Its server’s key is not known to ciduty’s ssh."),
    (("redirect", "returned error: 30", "unable to update url base"), Failure,
     "It sends us elsewhere: has the repository moved?"),
    (("timed out", "too slow", "low speed"), Failure, "Its server was silent for too long."),
]  # fmt: skip


def _refusal(verb: str, code: int, said: str) -> Failure:
    for signs, kind, sentence in _MEANINGS:
        if any(sign in said for sign in signs):
            return kind(sentence)
    return Failure(f"git {verb} failed (exit code {code}).")


def repository_name(address: str) -> str:
    """Return what stands for a repository in the identity of its tags: "owner/repository"."""
    return urlsplit(address).path.strip("/").removesuffix(".git")[-100:]
