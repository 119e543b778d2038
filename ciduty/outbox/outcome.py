"""What came of one try to send something: the verb of `rules.MOVES` that it leads to, and the server's words."""

from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True)
class Outcome:
    """What to do with the row.

    `server_is_out`: nothing else need be tried now. `changes`: further fields of the row. `after`: when to try again,
    instead of after the usual while.
    """

    verb: str
    words: str
    code: int | None = None
    server_is_out: bool = False
    changes: dict = field(default_factory=dict)
    after: timedelta | None = None
