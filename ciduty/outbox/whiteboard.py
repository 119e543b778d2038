"""Our token in a bug's whiteboard: `[downtime 2026-12-01T08:00Z c7f3a1b2]`. Everything else there is other people's."""

import re


def token(words: str, op: str) -> str:
    """Return our token as it stands in the whiteboard."""
    return f"[{words} {op}]"


def with_token(whiteboard: str, kind: str, words: str, op: str) -> str:
    """Return the whiteboard with our token of this kind put in place, added, or (without words) taken away.

    Ours is `[<kind> ... <eight hex digits>]` with words between: `[downtime 20261201]` is somebody else's. Every other
    character stays as it is.
    """
    tokens = [token(words, op)] if words else []
    ours = re.compile(rf"\[{re.escape(kind)} [^\[\]\r\n]+ [0-9a-f]{{8}}\]")
    result = ours.sub(lambda _: tokens.pop() if tokens else "", whiteboard)
    if tokens:
        gap = " " if result and result[-1] != "]" and not result[-1].isspace() else ""
        result += gap + tokens.pop()
    return result


def same(one: str, other: str) -> bool:
    """Answer whether two whiteboards are the same for Bugzilla, which trims them and turns line ends."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()
