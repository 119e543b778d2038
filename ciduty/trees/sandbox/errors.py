"""Why tree status does not do as it is asked, in the words of each generation. Who refuses what stands with the rule.

Source: the recorded answers in treestatus/transcripts.
"""

from ciduty.trees.sandbox.schema import LANDO

NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try "
    "again."
)


class Refusal(Exception):
    """What is answered instead of doing it: HTTP status and words. Without a title it is the status's own name."""

    def __init__(self, status: int, detail: str | None, title: str | None = None):
        super().__init__(detail)
        self.status, self.detail, self.title = status, detail, title


class Crash(Exception):
    """Where the real service runs into a bug of its own and answers 500."""


def no_such_tree(generation: str, name: str) -> Refusal:
    """Return the refusal to show a tree that does not exist. Only Lando calls it a 404."""
    detail = f"No tree {name} found."
    return Refusal(404, detail, "The tree does not exist.") if generation == LANDO else Refusal(400, detail)


def no_such_tree_with_logs(generation: str, name: str) -> Refusal:
    """Return the refusal to show the logs of a tree that does not exist, or to delete it."""
    if generation == LANDO:
        return Refusal(404, f"Could not find the requested tree {name}.", f"No tree {name} found.")
    return Refusal(404, "No such tree")


def unknown_trees(generation: str, names: set[str]) -> Refusal:
    """Return the refusal to change several trees of which some do not exist, or one is named twice."""
    if generation == LANDO:
        title = f"Could not fetch the following trees: {', '.join(sorted(names))}"
        return Refusal(404, "Could not fetch all the requested trees.", title)
    listed = "{" + ", ".join(map(repr, sorted(names))) + "}" if names else "set()"
    return Refusal(404, f"Could not fetch the following trees: {listed}")


def no_such_change(generation: str) -> Refusal:
    """Return the refusal of an entry of the undo stack that does not exist (any more)."""
    return Refusal(404, "The change could not be found." if generation == LANDO else NOT_FOUND)


def no_such_log(generation: str, number: int) -> Refusal:
    """Return the refusal of a log entry that does not exist."""
    if generation == LANDO:
        return Refusal(404, f"The tree log does not exist for id {number}.", f"No tree log for id {number} found.")
    return Refusal(400, f"No tree log for id {number} found.")


def tree_exists(generation: str, name: str) -> Refusal:
    """Return the refusal to make a tree that is there already."""
    return Refusal(400, f"Tree {name} already exists." if generation == LANDO else "tree already exists")


def not_permitted() -> Refusal:
    """Return the one answer to no token, a wrong token and a token without the right: always 401."""
    return Refusal(401, "Invalid user permissions")
