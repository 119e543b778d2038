"""The filters of the change log as they stand in an address: read, said in words, and written again as a permalink.

A day counts from midnight to midnight in UTC, and `until=2026-03-05` takes that day in; a moment in `until` is left
out. What cannot be read is said, never ignored. What is found: `changelog/find.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from changelog.find import LONGEST_SEARCH, Query, search_of
from changelog.rules import LONGEST_NAME, Kind, Platform
from ciduty.systems.models import System
from ciduty.typed import MOST_BUG

#: The names of the filters, in the order in which a permalink has them.
NAMES = ("since", "until", "system", "kind", "pool", "platform", "repository", "author", "bug", "q")
_CHOICES = {"kind": Kind, "platform": Platform}
_DAY = timedelta(days=1)
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_BUG = re.compile(r"(?:bug\s*)?#?\s*(\d{1,10})", re.IGNORECASE)
_HOW_TO_DATE = "write it like 2026-03-05 or 2026-03-05T14:00+02:00"


def read(params: Mapping[str, str]) -> tuple[Query, dict[str, str]]:
    """Return the query of an address's parameters, and what is wrong with them: a sentence by parameter.

    Takes a QueryDict or any mapping; parameters that are no filters are left alone. One query, for the system.
    """
    typed, problems = {}, {}
    for name in NAMES:
        values = params.getlist(name) if hasattr(params, "getlist") else [params.get(name) or ""]
        values = [" ".join(str(value).replace("\0", " ").split()) for value in values]
        if len(set(values)) > 1:
            problems[name] = f"“{name}” stands there {len(values)} times: give it once."
        elif values and values[0]:
            typed[name] = values[0]
    found = {}
    for name, text in typed.items():
        try:
            found |= _READERS[name](name, text)
        except ValueError as problem:
            problems[name] = str(problem)
    if found.get("since") and found.get("until") and found["since"] >= found["until"]:
        problems["until"] = f"It ends before it begins: nothing lies between {typed['since']} and {typed['until']}."
        del found["until"]
    return Query(**found), problems


def canonical(query: Query) -> str:
    """Return the permalink's query string: the same one for the same query, "" for everything. Mostly no query."""
    slug = query.system_slug or (query.system and slug_of(query.system)) or ""
    written = {
        "since": query.since and _written(query.since),
        "until": query.until and _written_end(query.until),
        "system": slug,
        **{name: getattr(query, name) for name in ("kind", "pool", "platform", "repository", "author", "bug", "q")},
    }
    return urlencode([(name, written[name]) for name in NAMES if written[name] not in ("", None)])


def slug_of(system: int) -> str:
    """Return the slug of a system by its number, or "" for none. One query."""
    return System.objects.filter(pk=system).values_list("slug", flat=True).first() or ""


def in_words(query: Query) -> str:
    """Return a query as words for people: "kind image, pool gecko-t/win10, since 2026-03-05", or "everything"."""
    return ", ".join(words for words, _ in parts(query)) or "everything"


def parts(query: Query) -> list[tuple[str, str]]:
    """Return each filter of a query in words, and the permalink's query string of the query without it."""
    said = {
        "system": query.system and f"system {query.system_slug or slug_of(query.system)}",
        **{name: f"{name} {getattr(query, name)}" for name in ("kind", "pool", "platform", "repository", "author")},
        "bug": f"bug {query.bug}",
        "q": f"words “{query.q}”",
        "since": query.since and f"since {_written(query.since)}",
        "until": query.until and f"until {_written_end(query.until)}",
    }
    given = [name for name in said if getattr(query, name) not in ("", None)]
    return [(said[name], canonical(_without(query, name))) for name in given]


def _without(query: Query, name: str) -> Query:
    return replace(query, **{name: getattr(Query(), name)}, **({"system_slug": ""} if name == "system" else {}))


def read_moment(text: str) -> tuple[datetime, bool]:
    """Return a moment and whether it was a whole day. Without a zone it is UTC. Raises ValueError with a sentence."""
    # A plus sign that nobody escaped comes out of an address as a blank.
    mended = re.sub(r"(T\d\d:?\d\d\S*) (\d\d:?\d\d)$", r"\1+\2", text)
    is_day = re.fullmatch(r"\d{4}-\d\d-\d\d", mended) is not None
    try:
        if not is_day and not re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:.+", mended):
            raise ValueError
        at = datetime.fromisoformat(mended)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"“{text[:60]}” is no date: {_HOW_TO_DATE}.") from None
    if not _EARLIEST <= at < _LATEST:
        raise ValueError(f"“{text[:60]}” is no date of this log: choose one between 1970 and 2199.")
    return at, is_day


def _read_since(name: str, text: str) -> dict:
    return {name: read_moment(text)[0]}


def _read_until(name: str, text: str) -> dict:
    at, is_day = read_moment(text)
    return {name: at + _DAY if is_day else at}


def _read_system(name: str, text: str) -> dict:
    system = System.objects.filter(slug=text.lower()[:80]).values_list("pk", "slug").first()
    if system is None:
        raise ValueError(f"The catalogue has no system “{text[:60]}”: choose one from the list.")
    return {"system": system[0], "system_slug": system[1]}


def _read_choice(name: str, text: str) -> dict:
    if text.lower() not in _CHOICES[name].values:
        raise ValueError(f"There is no {name} “{text[:60]}”: it is one of {', '.join(_CHOICES[name].values)}.")
    return {name: text.lower()}


def _read_name(name: str, text: str) -> dict:
    if len(text) > LONGEST_NAME:
        raise ValueError(f"It is {len(text):,} characters long, and no {name} has more than {LONGEST_NAME}.")
    return {name: text}


def _read_bug(name: str, text: str) -> dict:
    number = _BUG.fullmatch(text[:40])
    if number is None or not 0 < int(number[1]) <= MOST_BUG:
        raise ValueError(f"“{text[:60]}” is no bug’s number: write it like 1412345.")
    return {name: int(number[1])}


def _read_words(name: str, text: str) -> dict:
    if len(text) > LONGEST_SEARCH:
        raise ValueError(f"It is {len(text):,} characters long, and a search takes {LONGEST_SEARCH}: shorten it.")
    if not search_of(text).wanted:
        raise ValueError(f"“{text[:60]}” names no word to look for: give at least one word that must be there.")
    return {name: text}


_READERS = {
    "since": _read_since,
    "until": _read_until,
    "system": _read_system,
    "kind": _read_choice,
    "pool": _read_name,
    "platform": _read_choice,
    "repository": _read_name,
    "author": _read_name,
    "bug": _read_bug,
    "q": _read_words,
}


def _written(at: datetime) -> str:
    at = at.astimezone(UTC)
    if at.time() == datetime.min.time():
        return f"{at:%Y-%m-%d}"
    written = at.isoformat(timespec="auto").replace("+00:00", "Z")
    return written.replace(":00Z", "Z") if at.second == 0 and at.microsecond == 0 else written


def _written_end(at: datetime) -> str:
    at = at.astimezone(UTC)
    return _written(at - _DAY if at.time() == datetime.min.time() else at)
