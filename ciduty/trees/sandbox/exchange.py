"""One request and one answer of HTTP, as the sandbox's parts hand them to each other. Sockets stand in server."""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

JSON, PROBLEM, HTML = "application/json", "application/problem+json", "text/html; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """What came in. `path` is as it was sent, `query` without the question mark, names of headers in small letters."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def place(self) -> str:
        """The path with its escapes undone, as the real services look it up."""
        return unquote(self.path)

    @property
    def params(self) -> list[tuple[str, str]]:
        """The parameters of the query, in order."""
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def target(self) -> str:
        """Method, path and query in one line: what a fault's `match` is searched in."""
        return f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")


@dataclass
class Answer:
    """What goes out. `reason` is the phrase behind the status; without one it is the usual one."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
