"""What the facts of a machine must look like, whether typed into the form or read from a file."""

import re

from ciduty.bugzilla.cleaning import clean_line, clean_text
from loaners.models import Machine
from loaners.rules import MachineState

#: A name as the name service takes it. It is the alias of the tracking bug too, which may not be a number alone.
_HOST = re.compile(r"(?=.*[a-z])[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_YES_NO = {"yes": True, "true": True, "1": True, "x": True, "no": False, "false": False, "0": False, "": False}
LONGEST_HOST = Machine._meta.get_field("host").max_length
LONGEST_LOCATION = Machine._meta.get_field("location").max_length
LONGEST_NOTES = 2000
#: No text that is read by its meaning has more; a sentence about it quotes less.
LONGEST_READ = 400
HIGHEST_BUG = 2**31 - 1


class Unfit(ValueError):
    """A text is no such fact. `str()` is a sentence for a person: what, why, what now."""


def host(text: str) -> str:
    """Return a host's name in lower case."""
    name = clean_line(text, LONGEST_READ).lower()
    if not name:
        raise Unfit("The host is empty: every machine has a name.")
    if len(name) > LONGEST_HOST:
        raise Unfit(f"The host “{name[:40]}…” is longer than {LONGEST_HOST} characters: write its short name.")
    if len(name.split()) > 1:
        raise Unfit(f"The host “{name[:60]}” has a space in it: a host’s name has none; write it without.")
    if not _HOST.fullmatch(name):
        raise Unfit(f"“{name[:60]}” is no host: use letters, digits, dots and hyphens, with a letter among them.")
    return name


def location(text: str) -> str:
    """Return a location on one line."""
    line = clean_line(text, LONGEST_LOCATION * 10)
    if len(line) > LONGEST_LOCATION:
        raise Unfit(f"The location has {len(line)} characters: write it in {LONGEST_LOCATION} at most.")
    return line


def notes(text: str) -> str:
    """Return notes as they may be stored."""
    kept = clean_text(text, LONGEST_NOTES * 10).strip()
    if len(kept) > LONGEST_NOTES:
        raise Unfit(f"The notes have {len(kept)} characters: keep to {LONGEST_NOTES}, and link to the rest.")
    return kept


def tracking_bug(text: str) -> int | None:
    """Return the number of a bug, None for an empty text."""
    typed = clean_line(text, LONGEST_READ)
    digits = typed.lower().removeprefix("bug").strip()
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:12]) <= HIGHEST_BUG):
        raise Unfit(f"“{typed[:40]}” is no bug number: write digits only, as in 1400123, or nothing.")
    return int(digits)


def is_spare(text: str) -> bool:
    """Return whether a text says yes."""
    typed = clean_line(text, LONGEST_READ)
    answer = _YES_NO.get(typed.lower())
    if answer is None:
        raise Unfit(f"“{typed[:40]}” does not say whether it is spare: write yes or no.")
    return answer


def state(text: str) -> MachineState | None:
    """Return a state by its name, None for an empty text."""
    name = clean_line(text, LONGEST_READ).lower()
    if not name:
        return None
    if name not in MachineState.values:
        raise Unfit(f"“{name[:40]}” is no state: the states are {', '.join(MachineState.values)}.")
    return MachineState(name)
