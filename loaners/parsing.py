"""What a loaner request says, read from a bug's summary and description: never guessed, and what is missing is told.

Pure: text and the names of the machine classes in, values out; linear in the length of the text. What was asked for on
our own page is not read back from the bug: `wishes.py`.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

#: The questions of the form, as they stand in the description, one line each; the last one takes what is left.
MACHINE_CLASS = "Machine class"
PERSON = "For"
DEBUGGING = "Bug being debugged"
UNTIL = "Wanted until"
ACCESS = "Preferred access"
TIME_ZONE = "Time zone"
SYSTEM_NEEDS = "Operating system needs"
WHY = "Why try or an interactive task is not enough"

#: As Bugzilla bounds them; whatever stands beyond is not read.
LONGEST_SUMMARY = 255
LONGEST_DESCRIPTION = 65_535
#: No host, class or person is called by more.
LONGEST_WORD = 80
MOST_BUG = 2**31 - 1

_WORD = re.compile(r"[a-z0-9*?][a-z0-9*?_.-]*")
#: How classes and hosts have been called at Mozilla: t-w864-ix, tst-linux64-ec2, bld-lion-r5, b-2008-ix.
_LIKE_A_CLASS = re.compile(r"(?:t|b|tst|bld|talos|gecko|dev)-[a-z0-9-]*[a-z0-9]")
#: A bug, and whether another number follows: "bugs 1 and 2".
_BUG = re.compile(
    r"\b(?:bugs? ?#? ?|show_bug\.cgi\?id=)([0-9]{1,10})\b(?!-)((?:,| and| or| &) ?(?:bug )?#?[0-9]{1,10}\b(?!-))?"
)
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?![0-9])")
_UNTIL = re.compile(r"\b(?:until|till) (\S{1,30}(?: \S{1,20}){0,2})", re.IGNORECASE)
_LOAN_TO = re.compile(r"\b(?:loan|lend)\b.* to (\S+)$", re.IGNORECASE)
Value = TypeVar("Value")
#: What may follow "to" and is nobody.
_NOBODY = frozenset(
    "me us my our a an the be do see get run try use debug test fix find check look verify work reproduce bisect trace "
    "investigate profile confirm compare diagnose measure understand record capture help".split()
)


@dataclass(frozen=True)
class Found(Generic[Value]):
    """A value, and where it stands: "summary" or "description"."""

    value: Value
    where: str


@dataclass(frozen=True)
class Parsed:
    """What could be understood, and one sentence for each thing that could not."""

    machine_class: Found[str] | None = None
    person: Found[str] | None = None
    bug: Found[int] | None = None
    until: Found[date] | None = None
    missing: tuple[str, ...] = ()


def parse(summary: str, description: str | None = None, *, classes: Collection[str]) -> Parsed:
    """Read a request. `classes` are the names of those that are known; None: the description was not looked at."""
    line = " ".join(summary[: 4 * LONGEST_SUMMARY].split())
    labels = _labels(description or "")
    text = " ".join((description or "")[:LONGEST_DESCRIPTION].split())
    whole = "summary" if description is None else "bug"
    places = [("summary", line), ("description", text)]
    told: list[str] = []
    return Parsed(
        machine_class=_machine_class(labels, places, frozenset(classes), whole, told),
        person=_person(labels, line),
        bug=_bug(labels, places, whole, told),
        until=_until(labels, places, whole, told),
        missing=tuple(told),
    )


def classes_of(name: str, known: Collection[str]) -> set[str]:
    """Return which known classes a word names: a class, a host of one (t-w1064-ms-042), or a pattern (t-w1064-*)."""
    name = name.lower().partition(".")[0]
    stem = name.rstrip("*?").rstrip("-")
    host, _, number = stem.rpartition("-")
    for candidate in (name, stem, host if number.isdigit() else ""):
        if candidate in known:
            return {candidate}
    if "-" not in name or not re.search("[*?]", name):
        return set()
    return {one for one in known if fnmatchcase(one, name)}


def _labels(description: str) -> dict[str, str]:
    """Return the lines that answer a question of the form, up to the last question: beyond it people write freely."""
    found: dict[str, str] = {}
    for line in description[:LONGEST_DESCRIPTION].splitlines():
        label, colon, value = line.partition(":")
        label = label.strip().lower()
        if label == WHY.lower():
            break
        if colon and len(label) <= LONGEST_WORD:
            found.setdefault(label, value.strip())
    return found


def _machine_class(labels, places, known, whole, told) -> Found[str] | None:
    labelled = labels.get(MACHINE_CLASS.lower()) or labels.get("machine", "")
    strange: list[str] = []
    for where, text in [places[0], ("description", labelled), places[1]]:
        named: set[str] = set()
        for word in _WORD.findall(text.lower()):
            word = word.strip("._-")
            if len(word) > LONGEST_WORD:
                continue
            classes = classes_of(word, known)
            named |= classes
            if not classes and _LIKE_A_CLASS.fullmatch(word) and re.search("[0-9]", word):
                strange.append(word)
        if len(named) == 1:
            return Found(named.pop(), where)
        if named:
            told.append(f"The {where} names several machine classes: {', '.join(sorted(named)[:5])}.")
            return None
    if strange:
        told.append(f"The {whole} names “{strange[0]}”, which is no machine class that ciduty knows.")
    else:
        told.append(f"The {whole} does not say which machine class.")
    return None


def _person(labels, line) -> Found[str] | None:
    """Return for whom it is asked, where somebody is named; nobody need be: then it is who filed the bug."""
    before_colon = line[:LONGEST_SUMMARY].partition(": ")[0]
    named = _LOAN_TO.search(before_colon)
    if named:
        word = named[1].strip(".,;:!?()[]<>\"'")
        if word and word.lower() not in _NOBODY and len(word) <= LONGEST_WORD:
            return Found(word, "summary")
    labelled = labels.get(PERSON.lower(), "")
    return Found(labelled[:LONGEST_SUMMARY], "description") if labelled else None


def _bug(labels, places, whole, told) -> Found[int] | None:
    labelled = labels.get(DEBUGGING.lower())
    if labelled is not None:
        places = [("description", labelled if _BUG.search(labelled.lower()) else f"bug {labelled}"), places[0]]
    for where, text in places:
        found = list(_BUG.finditer(text.lower()))
        numbers = {int(one[1]) for one in found if 0 < int(one[1]) <= MOST_BUG}
        if len(numbers) > 1 or any(one[2] for one in found):
            told.append(f"The {where} names several bugs, and not which one is being debugged.")
            return None
        if numbers:
            return Found(numbers.pop(), where)
    told.append(f"The {whole} does not say which bug is being debugged.")
    return None


def _until(labels, places, whole, told) -> Found[date] | None:
    labelled = labels.get(UNTIL.lower()) or labels.get("until")
    if labelled:
        places = [("description", f"until {labelled[:LONGEST_WORD]}"), *places]
    unread = ""
    for where, text in places:
        for said in _UNTIL.finditer(text):
            day = _DAY.match(said[1])
            try:
                return Found(date(*map(int, day.groups())), where)
            except (AttributeError, ValueError):  # no date at all, or one like 31 February
                unread = unread or said[1].rstrip(".,;:!?")
    told.append(
        f"The {whole} says until “{unread}”, which is no date that ciduty understands."
        if unread
        else f"The {whole} does not say until when."
    )
    return None
