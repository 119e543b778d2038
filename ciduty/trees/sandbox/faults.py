"""Scripted faults: how a real tree status, or what stands before it, goes wrong. Where they strike, server says."""

import json
import re
import threading
from collections.abc import Iterator

from ciduty.trees.sandbox.exchange import HTML, JSON, Answer, Request

KINDS = {"status", "html", "empty", "redirect", "delay", "cut", "applied_then_cut", "stale", "vanish"}
#: Answers in place of the real one.
INSTEAD = ("status", "html", "empty", "redirect")
#: What upstream's last pins answer to every fourth request, and what any proxy does: a page, not JSON.
SOME_PAGE = (
    '<!doctype html>\n<html lang="en">\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>\n'
    "<p>The server encountered an internal error and was unable to complete your request.</p>\n</html>\n"
)


class Fault:
    """One thing that goes wrong. `match` is searched in "METHOD /path?query"; without it every call of the API is hit.

    kinds: status (status, body, content_type) - html (status, body) - empty (status) - redirect (status, location) -
    delay (seconds) - cut (after_bytes of the body) - applied_then_cut - stale (reads tell what was true when the fault
    came) - vanish (tree: it is gone for reads and writes, while the fault lasts).
    """

    def __init__(self, kind: str, match: str | None = None, times: int | None = None, **details):
        if kind not in KINDS:
            raise ValueError(f"there is no fault {kind!r}: use one of {', '.join(sorted(KINDS))}")
        if kind == "vanish" and not isinstance(details.get("tree"), str):
            raise ValueError("the fault 'vanish' needs the name of a tree")
        self.kind, self.match, self.times, self.details = kind, match, times, details
        self.world_then = None  # of a stale one
        self._pattern = re.compile(match) if match else None

    def hits(self, request: Request) -> bool:
        """Say whether a request is one this fault is meant for."""
        if self._pattern is None:
            return not request.path.startswith(("/treestatus/", "/static/")) and request.path != "/"
        return bool(self._pattern.search(request.target))

    def get(self, name: str, default=None):
        """Return one of the fault's details."""
        return self.details.get(name, default)

    def as_json(self) -> dict:
        """Return what `from_json` takes."""
        return {"kind": self.kind, "match": self.match, "times": self.times, **self.details}

    @classmethod
    def from_json(cls, written: dict) -> "Fault":
        """Return a fault from its JSON. Raises ValueError, TypeError or re.error when it makes no sense."""
        return cls(**written)

    def answer(self) -> Answer:
        """Return the answer that this fault gives in place of the real one."""
        body = self.get("body", SOME_PAGE if self.kind == "html" else "Internal Server Error")
        if self.kind == "redirect":
            return Answer(
                self.get("status", 302), b"", HTML, {"Location": self.get("location", "https://example.com/")}
            )
        if self.kind == "empty":
            return Answer(self.get("status", 200), b"", self.get("content_type", JSON))
        if self.kind == "html":
            return Answer(self.get("status", 500), body.encode(), HTML)
        kind = "text/plain; charset=utf-8" if isinstance(body, str) else JSON
        written = body if isinstance(body, str) else json.dumps(body)
        return Answer(self.get("status", 500), written.encode(), self.get("content_type", kind))


class Faults:
    """The faults of one sandbox, in the order they were added. Safe to use from several threads."""

    def __init__(self, world):
        self._world = world
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Let something go wrong from now on."""
        if fault.kind == "stale":
            fault.world_then = self._world.copy()
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Let everything go right again."""
        with self._lock:
            self._faults.clear()

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter(list(self._faults))

    def take(self, request: Request, *kinds: str) -> Fault | None:
        """Return the first fault of these kinds that hits a request, and count it."""
        return next(iter(self._taken(request, kinds, most=1)), None)

    def take_all(self, request: Request, kind: str) -> list[Fault]:
        """Return every fault of a kind that hits a request, and count them."""
        return self._taken(request, (kind,), most=None)

    def _taken(self, request: Request, kinds: tuple[str, ...], most: int | None) -> list[Fault]:
        taken = []
        with self._lock:
            for fault in self._faults:
                if fault.kind in kinds and fault.times != 0 and fault.hits(request):
                    fault.times = None if fault.times is None else fault.times - 1
                    taken.append(fault)
                    if len(taken) == most:
                        break
        return taken
