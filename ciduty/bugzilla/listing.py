"""Reads the list of a search to its true end, and past a row that spoils its page. What is searched for: `scope.py`.

Answers may be cut without a mark (max_search_results), so a short page is not the end; and one broken bug can make any
page that holds it fail (safety.md F09).
"""

from collections.abc import Iterator

from ciduty.bugzilla.client import Client
from ciduty.bugzilla.errors import Rejected, Unavailable

PAGE = 1000
#: No server cuts its answers shorter than this; a page with fewer rows is the last one.
LEAST_CAP = 20
MOST_RESTARTS = 3
#: More rows than this that cannot be listed are no bad bugs but a bad search or server.
MOST_LEFT_OUT = 5
MOST_SUSPECTS = 5000
#: How far behind the last listed id a broken last row is looked for.
BEHIND_THE_LAST = 200


class Listing:
    """One search, read page by page in the order of ids."""

    def __init__(self, client: Client, asked: dict, what: str):
        self._client, self._asked, self._what = client, asked, what
        self._gaps: list[tuple[int, int]] = []
        self._left_out = 0
        self._begin()

    def _begin(self) -> None:
        self._position, self._last, self._size = 0, None, PAGE
        self._before_gap = None

    def rows(self) -> Iterator[dict]:
        """Yield every row once or more, as `{id, last_change_time, product, component}`.

        Each page begins with the last row of the one before: were that row missing, a bug left the list meanwhile, and
        the list is read anew. Raises a BugzillaFailure when the server is unwell or the list does not stand still.
        """
        restarts = 0
        while True:
            try:
                page = self._page()
            except (Rejected, Unavailable) as failure:
                self._step_past(failure)
                continue
            overlap = 0 if self._last is None else 1
            if overlap and page and page[0]["id"] != self._last:
                restarts += 1
                if restarts > MOST_RESTARTS:
                    raise Unavailable(
                        f"the list of {self._what} changes faster than it can be read, or Bugzilla does not sort it",
                        reached=True,
                    )
                self._begin()
                continue
            fresh = page[overlap:]
            yield from fresh
            if not fresh or len(page) < min(LEAST_CAP, self._size):
                self._close_gap(None)
                return
            self._close_gap(fresh[0]["id"])
            self._position, self._last = self._position + len(fresh), fresh[-1]["id"]
            self._size = min(PAGE, self._size * 2)

    def suspects(self) -> set[int]:
        """Return the ids among which the rows that could not be listed must be.

        Raises Unavailable when these are too many to look through.
        """
        if sum(high - low for low, high in self._gaps) > MOST_SUSPECTS:
            raise Unavailable(
                f"a row of the list of {self._what} cannot be read, and its number cannot be told", reached=True
            )
        return {bug_id for low, high in self._gaps for bug_id in range(low + 1, high)}

    def _page(self) -> list[dict]:
        overlap = 0 if self._last is None else 1
        query = self._asked | {
            "include_fields": "id,last_change_time,product,component",
            "order": "bug_id",
            "limit": self._size + overlap,
            "offset": self._position - overlap,
        }
        return self._client.rows(query, self._what)

    def _step_past(self, failure: Rejected | Unavailable) -> None:
        """Ask for half a page; where one row alone fails, leave it out and remember where it stands."""
        if isinstance(failure, Unavailable) and not failure.reached:
            raise failure
        self._client.server_time()  # raises when it is not this page but the server that is unwell
        if self._size > 1:
            self._size //= 2
            return
        self._left_out += 1
        if self._left_out > MOST_LEFT_OUT:
            raise failure
        if self._before_gap is None:
            self._before_gap = self._last or 0
        self._position, self._last = self._position + 1, None

    def _close_gap(self, next_id: int | None) -> None:
        if self._before_gap is not None:
            self._gaps.append((self._before_gap, next_id or self._before_gap + BEHIND_THE_LAST))
            self._before_gap = None
