"""Reads commits and releases of GitHub from where the cursor stands. How GitHub is asked: `github.py`.

Commits are followed by what they stand on, never by their dates: nobody's clock matters, and an old branch that is
merged today is found. The cursor holds the newest commit that was told ("head"), the date before which nothing is
news ("horizon") and, where a run ended early, the place to go on ("rest") and commits still to be fetched ("missing").
"""

from collections.abc import Iterable
from dataclasses import replace

from changelog.proposals import LandedAt, Proposal, of_commit
from changelog.sources.github import AT_ONCE, Client, Commit, Page, Release
from changelog.sources.reading import MOST_NAMES, Asked, NotThere, Piece, Told, moment, name_of, piece
from ciduty.bugzilla.cleaning import clean_line

MOST_PAGES = 10  # of a hundred each, in one run
#: Single commits that one run asks for: for their files, or because a merge brought them with an old date. Without a
#: token GitHub answers 60 questions an hour, with one 5,000.
MOST_SINGLE = 60
MOST_MISSING = 500
LONGEST_IDENTITY = 200
REWRITTEN = "Its history was rewritten: it is read on from there, and what had landed before stays on record."


def read_commits(asked: Asked) -> Told:
    """Return the commits that came since the last run, the oldest first. Raises Failure."""
    with Client(asked.address, asked.deadline) as client:
        return replace(_Walk(asked, client).told(), limited=client.spent)


class _Walk:
    """One run along the commits of a branch, from its newest one back."""

    def __init__(self, asked: Asked, client: Client):
        self.asked, self.client, self.cursor = asked, client, asked.cursor
        self.is_first = "head" not in self.cursor
        self.rest = self.cursor.get("rest")
        self.new: dict[str, Commit] = {}
        self.listed: dict[str, Commit] = {}
        self.head = self.etag = ""
        self.go_on_at = 0  # the page at which the next run goes on; 0 when the list was read far enough
        self.has_older = False  # whether the list goes on behind what was read
        self.singles = 0

    def told(self) -> Told:
        try:
            if not self._list():
                return Told(cursor=self.cursor)
        except NotThere:
            if not self.rest:
                raise
            return Told(cursor=_without(self.cursor, "rest"), goes_on=True)  # that history is gone: begin at its head
        if not self.head:  # a branch without a commit
            return Told(cursor=self.cursor)
        if self.go_on_at:
            missing = [] if self.is_first else sorted(self._ends())[:MOST_MISSING]
            rest = {"rest": {"sha": self.head, "page": self.go_on_at}, "missing": missing}
            return Told(self._pieces(), self.cursor | rest, goes_on=True)
        rewritten = not self.is_first and not self._has_met_head()
        missing = self._fetch_missing()
        cursor = {"head": self.head, "horizon": self._horizon(), "etag": self.etag}
        cursor |= {"missing": missing} if missing else {}
        note = REWRITTEN if rewritten else ""
        return Told(self._pieces(), cursor, goes_on=bool(missing or self.rest), note=note)

    # --- the list ---------------------------------------------------------------------------------------------------

    def _list(self) -> bool:
        """Read pages until nothing is missing any more; return False when GitHub says that nothing is new."""
        start, page = (self.rest["sha"], self.rest["page"]) if self.rest else (self.asked.branch, 1)
        etag = "" if self.rest or self.cursor.get("missing") else self.cursor.get("etag", "")
        for _ in range(MOST_PAGES):
            listed = self.client.commits(start, page, at_once=self._at_once(), etag=etag)
            if listed.unchanged:
                return False
            self.has_older = listed.has_next
            if not self.head and listed.items:
                # From here on by the commit itself: what is pushed meanwhile moves no page.
                start = self.head = self.rest["sha"] if self.rest else listed.items[0].sha
                self.etag = "" if self.rest else listed.etag
            if not self._take(listed.items):
                self.go_on_at = page
                return True
            if self._is_enough(listed):
                return True
            etag, page = "", page + 1
            if not self._has_time():
                break
        self.go_on_at = page
        return True

    def _at_once(self) -> int:
        return min(self.asked.first, AT_ONCE) if self.is_first else AT_ONCE

    def _take(self, commits: Iterable[Commit]) -> bool:
        """Take what is new of a page, and answer whether there was room for all of it."""
        for one in commits:
            self.listed[one.sha] = one
            if one.sha in self.asked.known or one.sha in self.new or self._is_old(one):
                continue
            if self.asked.filters.ask_for_files and one.files is None:
                if not self._may_ask_for_one():
                    return False
                one = self._single(one.sha)
            self.new[one.sha] = one
        return True

    def _is_enough(self, listed: Page) -> bool:
        if self.is_first or not listed.has_next or self._has_met_head() or not self._ends():
            return True
        return all(self._is_old(one) for one in listed.items)

    def _has_met_head(self) -> bool:
        head = self.cursor["head"]
        return head in self.listed or any(head in one.parents for one in self.new.values())

    def _is_old(self, one: Commit) -> bool:
        horizon = self.cursor.get("horizon")
        return bool(horizon) and one.committed_at < moment(horizon)

    def _horizon(self) -> str:
        """Return the date of the oldest commit that the first run saw, or "" where that was the very first one."""
        if not self.is_first:
            return self.cursor.get("horizon", "")
        return min(one.committed_at for one in self.listed.values()).isoformat() if self.has_older else ""

    # --- single commits ---------------------------------------------------------------------------------------------

    def _ends(self) -> set[str]:
        """Return what new commits stand on and nobody has told yet."""
        ends = {parent for one in self.new.values() for parent in one.parents} | set(self.cursor.get("missing", ()))
        return ends - self.new.keys() - self.listed.keys() - self.asked.known

    def _fetch_missing(self) -> list[str]:
        """Ask for what a merge brought with dates too old for the list; return what is left for the next run."""
        passed: set[str] = set()
        while not self.is_first and (ends := self._ends() - passed):
            if not self._may_ask_for_one():
                return sorted(ends)[:MOST_MISSING]
            sha = min(ends)
            passed.add(sha)
            try:
                one = self._single(sha)
            except NotThere:  # rewritten meanwhile
                continue
            if not self._is_old(one):
                self.new[sha] = one
        return []

    def _may_ask_for_one(self) -> bool:
        return self.singles < MOST_SINGLE and self._has_time()

    def _has_time(self) -> bool:
        return self.asked.deadline.allows_a_page() and self.client.spent is None

    def _single(self, sha: str) -> Commit:
        self.singles += 1
        return self.client.commit(sha)

    def _pieces(self) -> tuple[Piece, ...]:
        return tuple(_piece(self.asked, self.client, one) for one in reversed(self.new.values()))


def _without(cursor: dict, name: str) -> dict:
    return {key: value for key, value in cursor.items() if key != name}


def _piece(asked: Asked, client: Client, one: Commit) -> Piece:
    web = client.repository.web
    landing = LandedAt(
        asked.name, one.committed_at, revision=one.sha, url=f"{web}/commit/{one.sha}" if web else one.url
    )
    is_whole = one.files is not None and one.is_whole
    proposal = Proposal(
        of_commit(one.sha),
        message=one.message,
        author=name_of(one.author),
        files=(one.files or ())[:MOST_NAMES],
        files_count=len(one.files) if is_whole else None,
        authored_at=one.authored_at,
    )
    return piece(asked, proposal, landing, is_whole=is_whole)


# --- releases ---------------------------------------------------------------------------------------------------------


def read_releases(asked: Asked) -> Told:
    """Return the releases of the newest pages; one that was edited is told again. Raises Failure."""
    with Client(asked.address, asked.deadline) as client:
        last, etag, found = asked.cursor.get("last", 0), asked.cursor.get("etag", ""), []
        for page in range(1, MOST_PAGES + 1):
            listed = client.releases(page, at_once=min(asked.first, AT_ONCE), etag=etag if page == 1 else "")
            if listed.unchanged:
                return Told(cursor=asked.cursor, limited=client.spent)
            etag = listed.etag if page == 1 else etag
            found += listed.items
            is_known = min((one.id for one in listed.items), default=0) <= last
            if not last or not listed.has_next or is_known:
                break
        cursor = {"last": max([last, *(one.id for one in found)]), "etag": etag}
        pieces = tuple(_release_piece(asked, client.repository.name, one) for one in reversed(found))
        return Told(pieces, cursor, limited=client.spent)


def _release_piece(asked: Asked, repository: str, one: Release) -> Piece:
    tag = clean_line(one.tag, 80)
    title = tag if one.name.strip() in ("", one.tag) else f"{tag}: {one.name}"
    proposal = Proposal(
        f"release:{repository}:{tag}"[:LONGEST_IDENTITY],
        message=one.words,
        summary=f"{repository.partition('/')[2]} {title}",
        author=name_of(one.author),
        links=((f"Release {tag}", one.url),) if one.url.startswith("https://") else (),
        effective_at=one.published_at,
    )
    return piece(asked, proposal, LandedAt(asked.name, one.published_at, revision=tag.lower(), url=one.url))
