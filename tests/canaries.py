"""Words that can be told apart, one for each place of a bug of each kind, planted and looked for. Tests nothing."""

import hashlib
import logging
from contextlib import contextmanager
from datetime import timedelta

from ciduty import clock

#: How a bug is restricted, and how it comes to be so: the groups at first, the groups added later.
KINDS = {
    "seen by the bot": (["infra-bot-sees"], []),
    "turned private, seen by the bot": ([], ["infra-bot-sees"]),
    "turned private, hidden from the bot": ([], ["infra"]),
    "staff group and another": (["moco-specific"], ["infra-bot-sees"]),
    "staff": (["moco-specific"], []),
    "public": ([], []),
}
RESTRICTED = list(KINDS)[:4]
TURNED = list(KINDS)[1:4]
PLACES = [
    "summary", "description", "comment", "alias", "whiteboard", "creator", "creator's name", "assignee",
    "assignee's name", "requestee", "requestee's name", "commenter", "commenter's name",
]  # fmt: skip
#: What is written in comments is never asked for, not even of a public bug.
NEVER_READ = {"description", "comment"}
STATES = ["waiting", "answered", "closed"]


def canary(kind, place):
    """Return the word of one place of a bug of a kind."""
    return "CANARY-" + hashlib.sha256(f"{kind} {place}".encode()).hexdigest()[:20]


def login(kind, place):
    """Return the login of somebody who acts in a bug of a kind."""
    return f"{canary(kind, place)}@example.com"


def places_found(text, kind):
    """Return which planted words of a kind of bug stand in a text."""
    text = text.lower()
    return {place for place in PLACES if canary(kind, place).lower() in text}


def plant_people(world, kind):
    """Put those who act in bugs of a kind into Bugzilla."""
    for person in ("creator", "assignee", "requestee", "commenter"):
        world.add_user(login(kind, person), canary(kind, f"{person}'s name"))


def plant_one(world, kind, groups, state):
    """Put one bug with a word in every place into Bugzilla, and return its number."""
    bug = world.add_bug(
        product="Infrastructure & Operations",
        component="CIDuty: Loan Requests",
        summary=f"Loan a machine {canary(kind, 'summary')}",
        description=canary(kind, "description"),
        creator=login(kind, "creator"),
        assigned_to=login(kind, "assignee"),
        whiteboard=canary(kind, "whiteboard"),
        alias=f"{canary(kind, 'alias')}-{state}",
        groups=groups,
        flags=[
            {"name": "needinfo", "status": "?", "requestee": login(kind, "requestee")},
            {"name": "needs-treeclosure", "status": "?"},
        ],
        at=clock.now() - timedelta(days=5),
    )
    world.comment(bug, login(kind, "commenter"), canary(kind, "comment"), at=clock.now() - timedelta(days=4))
    if state == "answered":
        world.comment(bug, "duty@example.com", canary(kind, "comment"), at=clock.now() - timedelta(days=3))
    if state == "closed":
        world.update(
            bug, "duty@example.com", {"status": "RESOLVED", "resolution": "FIXED"}, at=clock.now() - timedelta(days=2)
        )
    return bug


@contextmanager
def every_logger_talks(caplog):
    """Let all loggers talk as much as they can; the settings keep that of templates quiet, whatever LOG_LEVEL says."""
    caplog.set_level(logging.DEBUG)  # first: it puts back what it found
    names = {"", *logging.root.manager.loggerDict} - {"django.template"}
    levels = {name: logging.getLogger(name).level for name in names}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield caplog
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
