"""A tree of child processes: started, logged, restarted with back-off, ended together. Knows nothing of their work."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

#: Seconds between a child's end and its next start: doubled each time, and short again once it ran for a minute.
FIRST_PAUSE, LONGEST_PAUSE, STEADY_AFTER = 1, 30, 60
#: So many ends within so many seconds mean that it does not work at all: its own words are shown.
TOO_MANY_ENDS, WITHIN = 5, 30
#: Seconds between SIGTERM and SIGKILL.
PATIENCE = 5.0
LONGEST_LOG = 5_000_000  # bytes
SAY_ON_PARENTS_END = 1  # PR_SET_PDEATHSIG, linux/prctl.h

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def last_lines(path: Path, count: int = 10) -> str:
    """Return the last lines of a log, indented; empty when there are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join("    " + line for line in lines[-count:])


class Child:
    """One process in a group of its own, whose output goes to a log file."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path):
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.process: subprocess.Popen | None = None
        self.started_at = self.start_again_at = 0.0  # seconds of the monotonic clock
        self.pause = FIRST_PAUSE
        self.ends: list[float] = []
        self.gave_trouble = False
        if log.exists() and log.stat().st_size > LONGEST_LOG:
            log.write_bytes(b"")

    def start(self) -> None:
        """Start the process. It ends when this process does, even by SIGKILL (on Linux)."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=_end_with_parent if _libc else None,
            )
        self.started_at = time.monotonic()

    def has_ended(self) -> bool:
        """Answer whether the process itself ended; others of its group may be left."""
        return self.process is not None and self.process.poll() is not None

    def is_gone(self) -> bool:
        """Answer whether nothing is left of the process and its group."""
        if self.process is None:
            return True
        return self.has_ended() and not self.tell(0)

    def tell(self, number: int) -> bool:
        """Send a signal to the whole group; False when nobody is left in it."""
        if self.process is None:
            return False
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS says "permission" for a group of zombies
            return False
        return True

    def plan_restart(self, now: float) -> None:
        """Set the moment of the next start, and a longer pause for the time after."""
        if now - self.started_at >= STEADY_AFTER:
            self.pause = FIRST_PAUSE
        self.ends = [moment for moment in self.ends if now - moment <= WITHIN] + [now]
        self.start_again_at = now + self.pause
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        self.process = None


def _end_with_parent() -> None:
    _libc.prctl(SAY_ON_PARENTS_END, signal.SIGTERM)


class Tree:
    """The children, in the order of their start."""

    def __init__(self, folder: Path, say: Callable[[str], None]):
        self.folder, self.say = folder, say
        self.children: dict[str, Child] = {}

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> Child:
        """Start a child and look after it from now on."""
        child = self.children[name] = Child(name, command, environment, self.folder / f"{name}.log")
        child.start()
        return child

    def look_after(self) -> None:
        """Notice who ended, and start again whose pause is over. To be called a few times a second."""
        now = time.monotonic()
        for child in self.children.values():
            if child.process is None:
                if now >= child.start_again_at:
                    child.start()
            elif child.has_ended():
                self._ended(child, now)

    def _ended(self, child: Child, now: float) -> None:
        code = child.process.returncode
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        child.tell(signal.SIGKILL)  # what it left behind would hold its port
        child.plan_restart(now)
        pause = child.start_again_at - now
        self.say(f"{child.name} ended ({how}); it starts again in {pause:.0f} s. Its log: {child.log}")
        if len(child.ends) >= TOO_MANY_ENDS:
            child.ends, child.gave_trouble = [], True
            lines = last_lines(child.log)
            self.say(f"{child.name} ended {TOO_MANY_ENDS} times within {WITHIN} s; its last lines:\n{lines}")

    def stop(self, in_a_hurry: Callable[[], bool] = lambda: False) -> None:
        """End every process of every group: SIGTERM, and SIGKILL for what is left after five seconds or in a hurry."""
        for child in self.children.values():
            child.tell(signal.SIGTERM)
        self._wait_until_gone(PATIENCE, in_a_hurry)
        for child in self.children.values():
            child.tell(signal.SIGKILL)
        self._wait_until_gone(1.0, lambda: False)

    def _wait_until_gone(self, seconds: float, in_a_hurry: Callable[[], bool]) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not in_a_hurry():
            if all([child.is_gone() for child in self.children.values()]):  # a list: everyone who ended is reaped now
                return
            time.sleep(0.05)
