"""Reads settings from the environment; a wrong value ends the start with one line. Holds no setting itself."""

import os
from urllib.parse import urlsplit


def stop(name: str, value: str, expected: str) -> None:
    """End the process with one line that names the variable, its value and what is expected.

    Pass the value only where it is no secret.
    """
    raise SystemExit(f"ciduty cannot start: {name} is {value!r}; expected {expected}.")


def text(name: str, default: str = "") -> str:
    """Return the variable, stripped; an empty one counts as unset."""
    return os.environ.get(name, "").strip() or default


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
