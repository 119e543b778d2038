"""What may happen to a change, and the numbers of the change log. Pure: values and the moment in, answers out.

Sources propose, a person publishes (domain.md 3, A1: automatic alone was noise, by hand alone it died).
"""

import re
from datetime import datetime, timedelta

from django.db.models import TextChoices

from ciduty.states import Moves

#: What was published by mistake can be taken back unseen for so long; later it is withdrawn, and that stays visible.
UNDO_WITHIN = timedelta(minutes=10)
#: A shared cache and a feed reader may be this old; what is held is gone from both soon after.
PUBLIC_AGE = 60  # seconds
#: What a summary takes: one line that fits a phone and a mail's subject.
LONGEST_SUMMARY = 300
LONGEST_IMPACT = 300
#: Longer messages are cut: the whole stands where the change landed.
LONGEST_MESSAGE = 10_000
LONGEST_NAME = 200
MOST_FILES = 50
MOST_BUGS = 50
MOST_LINKS = 20
MOST_POOLS = 50
#: What is published as one is read by one person first: more than that nobody has read.
MOST_AS_ONE = 100
#: No change of CI is older than version control at Mozilla or this far ahead: such a date is a broken clock.
EARLIEST_YEAR = 1990
FURTHEST_AHEAD = timedelta(days=366)


class Kind(TextChoices):
    """What sort of change it is."""

    CONFIG = "config", "Config"
    DEPLOY = "deploy", "Deploy"
    IMAGE = "image", "Image"
    HARDWARE = "hardware", "Hardware"
    TREE = "tree", "Tree"
    DOWNTIME = "downtime", "Downtime"
    SERVICE = "service", "Service"
    PROCESS = "process", "Process"


class State(TextChoices):
    """Who may know of a change."""

    PROPOSED = "proposed", "Proposed"
    PUBLISHED = "published", "Published"
    HELD = "held", "Held"
    WITHDRAWN = "withdrawn", "Withdrawn"


MOVES = Moves(
    {
        "publish": ([State.PROPOSED], State.PUBLISHED),
        "take back": ([State.PUBLISHED], State.PROPOSED),  # within UNDO_WITHIN: nobody need know
        "dismiss": ([State.PROPOSED], State.WITHDRAWN),  # nobody outside heard of it
        "reopen": ([State.WITHDRAWN], State.PROPOSED),  # what was dismissed
        # Gone from the public at once; what was withdrawn too, for its words still stand there.
        "hold": ([State.PROPOSED, State.PUBLISHED, State.WITHDRAWN], State.HELD),
        "release": ([State.HELD], State.PROPOSED),
        "withdraw": ([State.PUBLISHED], State.WITHDRAWN),  # stays on record, marked
        "restore": ([State.WITHDRAWN], State.PUBLISHED),  # what was withdrawn
    }
)


class Platform(TextChoices):
    """What a change runs on, as far as its words or its pools tell."""

    LINUX = "linux", "Linux"
    WINDOWS = "windows", "Windows"
    MACOS = "macos", "macOS"
    ANDROID = "android", "Android"


def why_not(verb: str, state: State, was_public_at: datetime | None, at: datetime) -> str:
    """Return the sentence that refuses a verb in this state at this moment, or "" when it is allowed.

    `was_public_at` is when the change was last published, or None where the public never heard of it.
    """
    if not MOVES.allow(verb, state):
        return f"It is {State(state).label.lower()} by now: nothing was changed ({verb})."
    if verb == "take back" and (was_public_at is None or at - was_public_at > UNDO_WITHIN):
        minutes = int(UNDO_WITHIN.total_seconds() // 60)
        return f"It has been public for more than {minutes} minutes: withdraw it, and say why."
    if verb == "reopen" and was_public_at is not None:
        return "It was public once: restore it instead, so that its history stays whole."
    if verb == "restore" and was_public_at is None:
        return "It was dismissed before anybody outside saw it: reopen it instead."
    if verb == "hold" and state == State.WITHDRAWN and was_public_at is None:
        return "It was dismissed before anybody outside saw it: there is nothing to hold."
    return ""


def why_not_word(state: State, was_public_at: datetime | None, waits: bool) -> str:
    """Return the sentence that refuses other words for everybody, or "". `waits`: it names a bug that is not public."""
    if state != State.PUBLISHED and not (state == State.WITHDRAWN and was_public_at is not None):
        return f"It is {State(state).label.lower()} by now: nothing was changed (word it)."
    return "" if waits else "It has its words already: correct it, if they are wrong."


def possible(state: State, was_public_at: datetime | None, at: datetime) -> list[str]:
    """Return the verbs that are allowed in this state at this moment, in the order of the table."""
    return [verb for verb in MOVES if not why_not(verb, state, was_public_at, at)]


def names(text: str, bug: int) -> bool:
    """Answer whether a text holds the number of a bug, however it is spelled around it."""
    return re.search(rf"(?<!\d)0*{bug}(?!\d)", text) is not None


def is_public(state: State, was_public: bool, is_part: bool, is_confidential: bool) -> bool:
    """Answer whether everybody may know of a change.

    What was withdrawn after it was public stays on record, marked. A part is shown with the change it belongs to. A
    change that names a bug which is not public waits until a person has worded it for that very bug.
    """
    shown = state == State.PUBLISHED or (state == State.WITHDRAWN and was_public)
    return shown and not is_part and not is_confidential
