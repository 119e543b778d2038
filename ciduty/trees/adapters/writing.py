"""Changes what a standalone tree status service says of its trees. No rows, no decisions: `ciduty/outbox` has both.

https://github.com/mozilla-releng/treestatus; Lando's service, which came after it, takes no changes over its API. A
write is answered with 204 and no number: what became of it is read afterwards (`reading.py`).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from ciduty.bugzilla.cleaning import clean_line
from ciduty.trees.adapters import http
from ciduty.trees.adapters.http import Unavailable

_DONE = 204
_MOST_WORDS = 200


class Refused(Exception):
    """The service said no, and nothing was changed. `str()` is its sentence, `status` its HTTP status."""

    def __init__(self, sentence: str, status: int):
        super().__init__(sentence)
        self.status = status


class NoRight(Refused):
    """It does not take the token, or the token may not do this: the service tells no difference."""


@dataclass(frozen=True)
class StackEntry:
    """One change that sheriffs can undo in their page: its number, and which log entry it made of each tree."""

    id: int
    log_ids: dict[str, int | None]


class Writer:
    """The changes of a service at an address; `base` is where its routes stand, as the reader found them."""

    def __init__(self, address: str, base: str, token: str):
        self._address, self._token = address.rstrip("/") + base, token

    def patch(self, trees: Iterable[str], **change) -> None:
        """Give trees what they shall be: all of them, or none.

        `change`: status, reason, tags (list), remember; or message_of_the_day alone. Raises Refused when nothing was
        changed, NotReached when nothing was sent, Unavailable when nobody knows.
        """
        self._write("PATCH", "/trees", {"trees": list(trees), **change})

    def stack(self) -> list[StackEntry]:
        """Return what sheriffs can undo. Raises Unavailable."""
        told = http.get(f"{self._address}/stack").json("its recent changes")
        try:
            return [_entry(one) for one in told["result"]]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Unavailable("Its answer about its recent changes has not the shape of a tree status") from None

    def discard(self, entry_id: int) -> None:
        """Take one entry from what can be undone; its trees stay as they are. Raises as `patch` does."""
        self._write("DELETE", f"/stack/{entry_id}?revert=0")

    def who(self) -> str:
        """Return the name under which the service writes our changes into its logs, "" where it tells none."""
        try:
            answer = http.ask("GET", f"{self._address}/__permissions__", token=self._token)
            name = answer.json("our rights")["user_id"]
        except (Unavailable, KeyError, TypeError):
            return ""
        return clean_line(name, 255) if isinstance(name, str) else ""

    def _write(self, method: str, path: str, body: dict | None = None) -> None:
        answer = http.ask(method, self._address + path, body=body, token=self._token)
        if answer.status == _DONE:
            return
        words = self._words_of(answer)
        if answer.status in (401, 403):
            raise NoRight(words or f"HTTP {answer.status}", answer.status)
        if 400 <= answer.status < 500 and words and answer.status not in (408, 429):
            raise Refused(words, answer.status)
        raise Unavailable(f"Asked for a change, it answered HTTP {answer.status}", answer.wait())

    def _words_of(self, answer: http.Answer) -> str:
        """Return why it refuses, "" for an answer that is not the service's own."""
        try:
            told = json.loads(answer.body)
            words = told.get("detail") or told.get("title")
        except (ValueError, RecursionError, AttributeError):
            return ""
        if not isinstance(words, str):
            return ""
        return clean_line(words.replace(self._token, "...") if self._token else words, _MOST_WORDS)


def _entry(told) -> StackEntry:
    return StackEntry(int(told["id"]), {row["tree"]: row["last_state"]["current_log_id"] for row in told["trees"]})
