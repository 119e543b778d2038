"""Reads settings from the environment; a wrong value ends the start with one line. Holds no setting itself."""

import os
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ciduty.outbox import addresses

#: How a mail server is spoken to -> its usual port: in clear, with STARTTLS, with TLS from the first byte.
MAIL_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
#: What is left of 64 octets before the @ when a bounce's return path is made of it (`outbox/composing.py`).
LONGEST_SENDER = 30
#: A Message-ID holds it, beside 35 characters of its own, in a column of 200.
LONGEST_SENDER_DOMAIN = 150
#: What the column of a service's address takes.
LONGEST_ADDRESS = 300


def stop(name: str, value: str, expected: str) -> None:
    """End the process with one line that names the variable, its value and what is expected.

    Pass the value only where it is no secret.
    """
    raise SystemExit(f"ciduty cannot start: {name} is {value!r}; expected {expected}.")


def text(name: str, default: str = "") -> str:
    """Return the variable, stripped; an empty one counts as unset."""
    return os.environ.get(name, "").strip() or default


def secret(name: str) -> str:
    """Return a token, or "" for none; one that no header can carry ends the start, and is never repeated."""
    value = text(name)
    if not re.fullmatch(r"[!-~]*", value):
        stop(name, "(not shown)", "a token of ASCII characters without blanks")
    return value


def switch(name: str, default: bool) -> bool:
    """Return a yes-or-no variable."""
    value = text(name).lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    return stop(name, value, "1 or 0")


def whole_number(name: str, default: int, least: int, most: int) -> int:
    """Return a whole number between `least` and `most`, both included."""
    value = text(name)
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        stop(name, value, f"a whole number from {least} to {most}")
    return int(value)


def names(name: str, default: tuple[str, ...] = (), separator: str = ";") -> tuple[str, ...]:
    """Return a list of names, separated by `separator`."""
    value = text(name)
    if not value:
        return default
    return tuple(part.strip() for part in value.split(separator) if part.strip())


def components(name: str, default: str) -> tuple[tuple[str, str], ...]:
    """Return pairs of Bugzilla product and component, written `Product::Component` and separated by `;`."""
    pairs = []
    for entry in names(name, tuple(default.split(";"))):
        product, colons, component = entry.partition("::")
        if not colons or not product.strip() or not component.strip():
            stop(name, entry, "Product::Component, several separated by ';'")
        pairs.append((product.strip(), component.strip()))
    return tuple(pairs)


def address(name: str, default: str = "") -> str:
    """Return a web address without its trailing slash; it must name a scheme and a host and hold no password."""
    value = text(name, default)
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_fine = None, False
    if not port_is_fine or parts.scheme not in {"http", "https"} or not parts.hostname:
        stop(name, value, "an address such as https://bugzilla.example.com")
    if parts.username or parts.password or parts.query or parts.fragment:
        stop(name, f"{parts.scheme}://{parts.hostname}", "an address without a user name, a password, '?' or '#'")
    return value.rstrip("/")


def choice(name: str, allowed: tuple[str, ...]) -> str:
    """Return one of the allowed words; the first is the default."""
    value = text(name, allowed[0])
    if value not in allowed:
        stop(name, value, "one of " + ", ".join(allowed))
    return value


def tree_status(url: str, writes: str, token: str) -> None:
    """End the start where trees are to be written, and it is not said where or with which token."""
    if len(url) > LONGEST_ADDRESS:
        stop("TREESTATUS_URL", f"{url[:60]}...", f"an address of at most {LONGEST_ADDRESS} characters")
    if writes == "none":
        return
    for name, value in (("TREESTATUS_URL", url), ("TREESTATUS_TOKEN", token)):
        if not value:
            stop("TREESTATUS_WRITES", writes, f"none, unless {name} is set too")


# --- mail ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MailAccount:
    """A mail server and how to sign in to it; without a user nobody signs in."""

    mode: str  # one of MAIL_PORTS
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)


def mail_account(url: str) -> MailAccount:
    """Take a mail server's address apart. Raises ValueError for a wrong one, and never repeats it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is no address") from None
    if parts.scheme not in MAIL_PORTS or not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9a-f:.]+", parts.hostname or ""):
        raise ValueError("it names no mail server")
    if parts.path not in ("", "/") or parts.query or parts.fragment or port == 0:
        raise ValueError("something stands after the server")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password) or not re.fullmatch("[ -~]*", user + password):
        raise ValueError("user and password belong together, in ASCII")
    return MailAccount(parts.scheme, parts.hostname, port or MAIL_PORTS[parts.scheme], user, password)


def mail_url(name: str) -> str:
    """Return a mail server's address, unchanged; `mail_account` takes it apart where it is needed."""
    value = text(name)
    try:
        if value:
            mail_account(value)
    except ValueError:
        scheme = re.match(r"[a-z+]{1,10}://", value)
        stop(
            name, f"{scheme[0]}..." if scheme else "(not shown)",
            "smtp://, smtps:// or smtp+tls://user:password@host:port, with %XX for special characters of the password",
        )  # fmt: skip
    return value


def sender(name: str, default: str) -> str:
    """Return the address that mail is sent from: one plain address, short enough for a return path made of it."""
    value = text(name, default)
    try:
        wire = addresses.on_the_wire(value)
    except addresses.NotAnAddress as problem:
        return stop(name, value, f"one plain address such as ciduty@example.com ({problem})")
    local_part, _, domain = wire.partition("@")
    if len(local_part) > LONGEST_SENDER or len(domain) > LONGEST_SENDER_DOMAIN:
        stop(name, value, f"at most {LONGEST_SENDER} characters before the @ and {LONGEST_SENDER_DOMAIN} after it")
    return wire
