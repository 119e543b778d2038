"""The trees a sandbox starts with, with a little history, so that a newcomer finds something to close and to reopen."""

from datetime import timedelta

from ciduty.trees.sandbox import editing
from ciduty.trees.sandbox.pages import SHERIFF
from ciduty.trees.sandbox.schema import APPROVAL_REQUIRED, CLOSED, OPEN
from ciduty.trees.sandbox.world import World

TREES = {
    "autoland": "development",
    "mozilla-central": "development",
    "mozilla-beta": "release_stabilization",
    "mozilla-release": "release_stabilization",
    "mozilla-esr140": "release_stabilization",
    "try": "try",
    "comm-central": "comm_repos",
}
RELEASES = ("mozilla-beta", "mozilla-release", "mozilla-esr140")
MADE_AGO = timedelta(days=30)
#: How long ago, which trees, what they became, why, category.
HISTORY = (
    (timedelta(days=28), RELEASES, APPROVAL_REQUIRED, "a=release is required", ""),
    (timedelta(days=9, hours=5), ("autoland", "try"), CLOSED, "Tree closing window: database upgrade", "planned"),
    (timedelta(days=9, hours=2), ("autoland", "try"), OPEN, "", ""),
    (timedelta(days=3, hours=4), ("autoland",), CLOSED, "Windows builds fail to compile, backout is under way",
     "checkin_compilation"),
    (timedelta(days=3, hours=3), ("autoland",), OPEN, "", ""),
    (timedelta(days=1, hours=6), ("autoland", "mozilla-central"), CLOSED, "No Windows worker takes tasks", "infra"),
    (timedelta(days=1, hours=4), ("autoland", "mozilla-central"), OPEN, "", ""),
    (timedelta(minutes=40), ("comm-central",), CLOSED, "Tests fail after the last merge from mozilla-central",
     "checkin_test"),
)  # fmt: skip


def seed(world: World) -> None:
    """Put trees and their history into an empty world; every time is relative to the world's clock."""
    now = world.clock()
    with world.transaction():
        with world.at(now - MADE_AGO):
            for name, category in TREES.items():
                editing.create(world, SHERIFF, name, category=category)
        for ago, names, status, reason, category in HISTORY:
            with world.at(now - ago):
                editing.update(world, SHERIFF, list(names), status, reason, [category] if category else [])
        editing.administer(world, "try", message_of_the_day="The queues are long: please choose fewer tasks")
