"""Which words of trees may be public: none that name a bug which is not (design.md, decision 3).

Reasons come from a service that everybody reads, and from forms; a bug may turn private after either.
"""

import re
from collections.abc import Iterable

from ciduty.bugzilla.models import Bug, Visibility
from ciduty.typed import MOST_BUG

#: Any run of digits may be the number of a bug, however it is spelled around it.
_DIGITS = re.compile(r"\d{1,10}")
#: What is written as a bug, and may be led to.
_AS_BUG = re.compile(r"\bbugs?\s*#?\s*(\d{4,8})\b|[?&]id=(\d{4,8})\b", re.IGNORECASE)
MOST_LINKS = 3
AT_ONCE = 500
#: Shown in place of words that name a bug which is not public.
WITHHELD = "The reason names a bug that is not public."
MESSAGE_WITHHELD = "The message names a bug that is not public."


def numbers_in(text: str) -> set[int]:
    """Return every number of a text that may be a bug's."""
    return {number for number in map(int, _DIGITS.findall(text)) if 0 < number <= MOST_BUG}


def bugs_in(text: str) -> tuple[int, ...]:
    """Return the bugs that a text writes of, in its order, the first three."""
    found = (int(first or second) for first, second in _AS_BUG.findall(text))
    return tuple(dict.fromkeys(found))[:MOST_LINKS]


def private_among(texts: Iterable[str], bugs: Iterable[int | None] = ()) -> frozenset[int]:
    """Return the bugs of these texts, and of these numbers, that the mirror knows not to be public.

    One query for each 500 numbers.
    """
    wanted = {number for text in set(texts) for number in numbers_in(text)} | {bug for bug in bugs if bug}
    ordered, private = sorted(wanted), set()
    for start in range(0, len(ordered), AT_ONCE):
        known = Bug.objects.filter(pk__in=ordered[start : start + AT_ONCE]).exclude(visibility=Visibility.PUBLIC)
        private |= set(known.values_list("pk", flat=True))
    return frozenset(private)


def why_not_said(texts: Iterable[str], own: Iterable[int] = ()) -> str:
    """Return the sentence that refuses words which everybody reads and which name a bug that is not public, or "".

    `own` are bugs that the words are about: their numbers are public.
    """
    texts = list(texts)
    found = {number for text in texts for number in numbers_in(text)} & private_among(texts) - set(own)
    if not found:
        return ""
    return (
        f"Bug {min(found)} is not public, and everybody reads this: say it without the number and without the bug’s "
        "words."
    )


def public(text: str, private: frozenset[int], instead: str = WITHHELD) -> str:
    """Return a text as everybody may read it: whole, or withheld whole; its other words may be the bug's."""
    return instead if numbers_in(text) & private else text
