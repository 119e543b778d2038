"""Who may write over the standalone service's API: bearer tokens and their scopes. Upstream's Hawk is not imitated."""

from dataclasses import dataclass

from ciduty.trees.sandbox.exchange import Request

_PREFIX = "project:releng:services/treestatus/"
UPDATE, CREATE, DELETE = _PREFIX + "trees/update", _PREFIX + "trees/create", _PREFIX + "trees/delete"
REVERT = _PREFIX + "recent_changes/revert"
EVERYTHING = (UPDATE, CREATE, DELETE, REVERT)

#: ciduty's own token in the sandbox. Worth nothing anywhere else.
BOT_TOKEN = "sandbox-tree-token-not-a-secret"


@dataclass(frozen=True)
class Client:
    """Whoever holds a token: the name written into logs, and the scopes."""

    who: str
    scopes: tuple[str, ...] = EVERYTHING


def first_tokens() -> dict[str, Client]:
    """Return the tokens that a sandbox knows unless it is given others: token -> client."""
    return {BOT_TOKEN: Client("ciduty-bot@example.com")}


def client_of(request: Request, tokens: dict[str, Client]) -> Client | None:
    """Return who sent a request, or None when its token is missing or unknown."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return tokens.get(token.strip()) if kind.lower() == "bearer" else None
