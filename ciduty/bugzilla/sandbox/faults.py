"""Scripted faults: how a real Bugzilla, or what stands before it, goes wrong. Where they strike, server says."""

import json
import re
import threading
from dataclasses import dataclass
from datetime import timedelta

from ciduty.bugzilla.sandbox.errors import Refusal

KINDS = {
    "status", "delay", "drip", "cut", "html", "empty", "redirect", "poison", "bad_bug", "stale",
    "throttle", "applied_then_cut",
}  # fmt: skip
#: Answers in place of the real one.
INSTEAD = ("status", "html", "empty", "redirect", "throttle")
#: What a server says that has had enough of us (bugzilla.mozilla.org's page, in spirit).
TOO_MANY = (
    "<!DOCTYPE html><html><head><title>Too Many Requests</title></head><body><h1>Too Many Requests</h1></body></html>"
)
SOME_PAGE = (
    "<!DOCTYPE html><html><head><title>Sign in to the proxy</title></head><body><p>Please sign in.</p></body></html>"
)


class Fault:
    """One thing that goes wrong. `match` is searched in "METHOD /path?query"; without it every call under /rest is hit.

    kinds: status (status, body, content_type, headers) - delay (seconds) - drip (bytes_per_second, headers: true drips
    the header too) - cut (after_bytes of the body) - html (status, body) - empty - redirect (status, location) - poison
    (bug_id, status, code) - bad_bug (bug_id, patch, remove) - stale (seconds) - throttle (after) - applied_then_cut.
    """

    def __init__(self, kind: str, match: str | None = None, times: int | None = None, **details):
        if kind not in KINDS:
            raise ValueError(f"there is no fault {kind!r}: use one of {', '.join(sorted(KINDS))}")
        self.kind, self.match, self.times, self.details = kind, match, times, details
        self.calls = 0
        self._pattern = re.compile(match) if match else None

    def hits(self, request) -> bool:
        """Say whether a request is one this fault is meant for."""
        if self._pattern is None:
            return request.path == "/rest" or request.path.startswith("/rest/")
        return bool(self._pattern.search(request.target))

    def get(self, name: str, default=None):
        """Return one of the fault's details."""
        return self.details.get(name, default)

    def as_json(self) -> dict:
        """Return what `from_json` takes."""
        return {"kind": self.kind, "match": self.match, "times": self.times, **self.details}

    @classmethod
    def from_json(cls, written: dict) -> "Fault":
        """Return a fault from its JSON. Raises ValueError or TypeError when it makes no sense."""
        return cls(**written)


@dataclass
class Instead:
    """An answer that stands in for the real one."""

    status: int
    body: bytes
    content_type: str
    headers: dict


class Faults:
    """The faults of one sandbox, in the order they were added. Safe to use from several threads."""

    def __init__(self):
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Let something go wrong from now on."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Let everything go right again."""
        with self._lock:
            self._faults.clear()

    def __iter__(self):
        with self._lock:
            return iter(list(self._faults))

    def take(self, request, *kinds: str, when=lambda fault: True) -> Fault | None:
        """Return the first fault of these kinds that hits a request, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.kind in kinds and fault.times != 0 and fault.hits(request) and when(fault):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    # --- in place of the real answer --------------------------------------------------------------------------------

    def instead(self, request, refused) -> Instead | None:
        """Return an answer in place of the real one, or None. `refused` writes a Refusal as this version does."""
        fault = self.take(request, *INSTEAD, when=_is_due)
        if fault is None:
            return None
        headers = dict(fault.get("headers") or {})
        if fault.kind == "throttle":
            return _throttled(fault, refused)
        if fault.kind == "redirect":
            location = {"Location": fault.get("location", "https://example.com/")}
            return Instead(fault.get("status", 302), b"", "text/html; charset=UTF-8", location)
        if fault.kind == "empty":
            return Instead(fault.get("status", 200), b"", fault.get("content_type", "text/html"), headers)
        if fault.kind == "html":
            body = fault.get("body", SOME_PAGE)
            return Instead(
                fault.get("status", 200), _bytes(body), fault.get("content_type", "text/html; charset=UTF-8"), headers
            )
        body = fault.get("body", "Internal Server Error")
        kind = "application/json; charset=UTF-8" if isinstance(body, (dict, list)) else "text/plain; charset=UTF-8"
        return Instead(fault.get("status", 500), _bytes(body), fault.get("content_type", kind), headers)

    # --- in what is read --------------------------------------------------------------------------------------------

    def lag(self, request) -> timedelta | None:
        """Return how far the replica lags behind for a request, or None."""
        fault = self.take(request, "stale")
        return timedelta(seconds=fault.get("seconds", 60)) if fault else None

    def refuse_poison(self, request, bug_ids: list[int]) -> None:
        """Raise a Refusal when an answer would contain a poisonous bug."""
        fault = self.take(request, "poison", when=lambda one: one.get("bug_id") in bug_ids)
        if fault:
            status = fault.get("status", 500)
            raise Refusal(fault.get("code", 32000), fault.get("message", "An unexpected error occurred."), status)

    def damaged(self, request, bug_ids: list[int], bugs: list[dict]) -> list[dict]:
        """Return the bugs of an answer with their broken fields."""
        for fault in self:
            meant = fault.kind == "bad_bug" and fault.get("bug_id") in bug_ids
            if meant and self.take(request, "bad_bug", when=lambda one, fault=fault: one is fault):
                bug = bugs[bug_ids.index(fault.get("bug_id"))]
                bug.update(fault.get("patch") or {})
                for name in fault.get("remove") or []:
                    bug.pop(name, None)
        return bugs


def _is_due(fault: Fault) -> bool:
    if fault.kind != "throttle":
        return True
    fault.calls += 1
    return fault.calls > fault.get("after", 0)


def _throttled(fault: Fault, refused) -> Instead:
    """Answer 32000 once, then 429 for ever: so bugzilla.mozilla.org treats those who do not stop."""
    if fault.calls == fault.get("after", 0) + 1:
        refusal = Refusal(32000, "You have exceeded the rate limit. Please wait before trying again.")
        return Instead(400, json.dumps(refused(refusal)).encode(), "application/json; charset=UTF-8", {})
    return Instead(429, TOO_MANY.encode(), "text/html; charset=UTF-8", {})


def _bytes(body) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()
