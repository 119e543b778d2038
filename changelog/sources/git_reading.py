"""Reads the commits or the tags of any git repository from where the cursor stands. How git is run: `git.py`.

The cursor holds the newest commit that was told ("head") and its date; where a run ended early, the newest one at
that time ("towards") and how many of the way were told ("told"); of tags, every name with the object behind it.
"""

from datetime import UTC, datetime, timedelta

from changelog.proposals import LandedAt, Proposal, of_commit
from changelog.sources import git
from changelog.sources.git import DEPTH, HEAD, READ, Repository
from changelog.sources.git_objects import Object, commits, edge_of, objects
from changelog.sources.reading import (
    MOST_AT_ONCE,
    MOST_NAMES,
    Asked,
    Failure,
    Piece,
    Told,
    making_sense,
    moment,
    moment_of_epoch,
    name_of,
    piece,
    revision,
)
from ciduty.bugzilla.cleaning import clean_line

MOST_TAGS = 20_000
LONGEST_IDENTITY = 200
#: Where what was told last is gone, the time decides: the server's own dates, with so much room for clocks.
OVERLAP = timedelta(days=7)
REWRITTEN = "Its history was rewritten: it is read on from there, and what had landed before stays on record."


def read(asked: Asked) -> Told:
    """Return the commits, or the tags, that came since the last run, the oldest first. Raises Failure."""
    repository = Repository.at(asked.folder, asked.address, asked.deadline)
    return _tags(asked, repository) if asked.filters.tags_only else _commits(asked, repository)


# --- commits ----------------------------------------------------------------------------------------------------------


def _commits(asked: Asked, repository: Repository) -> Told:
    cursor, head = asked.cursor, asked.cursor.get("head", "")
    newest = _fetched(asked, repository, head)
    towards, already = cursor.get("towards", ""), cursor.get("told", 0)
    if not towards or not _holds(repository, towards):
        towards, already = newest, 0
    if towards == head:
        return Told(cursor=cursor)
    ids, note = _way(asked, repository, head, towards)
    batch = ids[already : already + MOST_AT_ONCE]
    pieces = tuple(_piece(asked, one) for one in commits(repository, batch))
    horizon = cursor.get("horizon", "")
    if not head and (len(ids) == asked.first or edge_of(repository)):
        horizon = min(one.at for one in pieces).isoformat()
    if horizon:  # a branch from before what was fetched at first brings its whole old history along: that is no news
        pieces = tuple(one for one in pieces if one.at >= moment(horizon))
    note = note if not already else ""
    if already + len(batch) < len(ids):
        going_on = {"towards": towards, "told": already + len(batch), "horizon": horizon}
        return Told(pieces, cursor | going_on, goes_on=True, note=note)
    date = max((one.at for one in pieces), default=asked.at).astimezone(UTC).isoformat()
    done = {"head": towards, "date": date, "horizon": horizon}
    return Told(pieces, done, goes_on=towards != newest, note=note)


def _fetched(asked: Asked, repository: Repository, head: str) -> str:
    """Fetch the branch, and return its newest commit."""
    if head and _holds(repository, head):
        repository.run("update-ref", READ, head)
    source = f"refs/heads/{asked.branch}" if asked.branch else "HEAD"
    repository.fetch(f"+{source}:{HEAD}", depth=0 if _holds(repository, HEAD) else DEPTH)
    with making_sense("its newest commit"):
        return revision(repository.run("rev-parse", "--verify", HEAD).decode().strip())


def _way(asked: Asked, repository: Repository, head: str, towards: str) -> tuple[list[str], str]:
    """Return the commits from what was told last to the newest one, the oldest first, and a note about the way."""
    if not head:
        return _list(repository, f"--max-count={asked.first}", towards), ""
    if _holds(repository, head):
        on_the_way = _list(repository, "--max-count=1", head, f"^{towards}") == []
        return _list(repository, towards, f"^{head}"), "" if on_the_way else REWRITTEN
    since = asked.cursor.get("date") or asked.at.isoformat()
    with making_sense("the cursor"):
        back = (moment(since) - OVERLAP).isoformat()
    ids = _list(repository, f"--since={back}", f"--max-count={MOST_AT_ONCE}", towards)
    return [one for one in ids if one not in asked.known], REWRITTEN


def _list(repository: Repository, *what: str) -> list[str]:
    # --reverse comes after --max-count in effect: the newest so many, the oldest of them first.
    return repository.run("rev-list", "--topo-order", "--reverse", *what, "--").decode().split()


def _holds(repository: Repository, name: str) -> bool:
    try:
        repository.run("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
    except Failure:
        repository.deadline.left()  # it was no answer of git's that time is up
        return False
    return True


def _piece(asked: Asked, one: Object) -> Piece:
    landing = LandedAt(asked.name, one.at or asked.at, revision=one.id, url=_web(asked.address, f"commit/{one.id}"))
    proposal = Proposal(
        of_commit(one.id),
        message=one.message,
        author=name_of(one.author),
        files=(one.files or ())[:MOST_NAMES],
        files_count=None if one.files is None else len(one.files),
        authored_at=one.authored_at,
    )
    return piece(asked, proposal, landing, is_whole=one.files is not None)


def _web(address: str, path: str) -> str:
    """Return where people look at it; only of GitHub do we know where that is."""
    if not address.startswith("https://github.com/"):
        return ""
    return f"{address.removesuffix('.git')}/{path}"


# --- tags -------------------------------------------------------------------------------------------------------------


def _tags(asked: Asked, repository: Repository) -> Told:
    repository.fetch("+refs/tags/*:refs/tags/*", depth=1)
    there = _names_of_tags(repository)
    known = asked.cursor.get("tags")
    new = [name for name, (object_id, _) in there.items() if known is None or known.get(name) != object_id]
    batch = new[-asked.first :] if known is None else new[:MOST_AT_ONCE]
    found = {one.id: one for one in objects(repository, [there[name][0] for name in batch])}
    pieces = tuple(_tag(asked, name, found[there[name][0]], there[name][1]) for name in batch)
    left = set() if known is None else set(new[MOST_AT_ONCE:])
    told = {name: object_id for name, (object_id, _) in there.items() if name not in left}
    return Told(pieces, {"tags": told}, goes_on=bool(left))


def _names_of_tags(repository: Repository) -> dict[str, tuple[str, datetime | None]]:
    """Return every tag of a commit, the oldest first, with its object and the date of the commit below it."""
    layout = "%(objectname) %(objecttype) %(*objecttype) %(*committerdate:unix) %(refname:lstrip=2)"
    lines = repository.run("for-each-ref", "--sort=creatordate", f"--format={layout}", "refs/tags")
    there = {}
    with making_sense("its tags"):
        for line in lines.decode(errors="replace").splitlines():
            object_id, kind, inner, date, name = line.split(" ", 4)
            if "commit" in (kind, inner):
                there[name] = object_id, moment_of_epoch(int(date)) if date else None
    if len(there) > MOST_TAGS:
        raise Failure(f"It has more than {MOST_TAGS:,} tags: read its commits instead.")
    return there


def _tag(asked: Asked, name: str, one: Object, below: datetime | None) -> Piece:
    """Return a tag; `below`: when the commit was made that it stands on, None where the tag is that commit itself."""
    tag, repository = clean_line(name, 80), git.repository_name(asked.address)
    at = one.at or below or asked.at
    proposal = Proposal(
        f"release:{repository}:{tag}"[:LONGEST_IDENTITY],
        message="" if below is None else one.message,  # a tag without words of its own is not a commit's
        summary=f"{repository.rpartition('/')[2] or asked.name} {tag}",
        author=name_of(one.author),
        effective_at=at,
    )
    return piece(
        asked, proposal, LandedAt(asked.name, at, revision=tag.lower(), url=_web(asked.address, f"tree/{tag}"))
    )
