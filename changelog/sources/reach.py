"""Where a source may lead: which addresses a lead may type, and which machines we connect to. Speaks to the resolver.

A source is an address that somebody typed: it must not lead to a cloud's metadata or into the house (safety.md 3).
"""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit, urlunsplit

from django.conf import settings

from changelog.models.sources import SourceKind
from changelog.sources.reading import Failure

#: Never, whatever the settings say: a cloud tells its keys there.
_METADATA = [ip_network("169.254.0.0/16"), ip_network("fe80::/10"), ip_network("fd00:ec2::254/128")]
#: Inside of these an IPv4 address is hidden: NAT64, 6to4.
_NAT64, _SIX_TO_FOUR = IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")
_SHARED = ip_network("100.64.0.0/10")  # between a provider and its customers: not public, yet not "private" either
_PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418}
_GIT_SCHEMES = ("https", "http", "ssh", "git")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_PATH = re.compile(r"[A-Za-z0-9._~/%+@:,=-]*")


class Unfit(ValueError):
    """This is no address that a source may have. `str()` is a sentence for a person."""


def may_lead_inside() -> bool:
    """Answer whether sources may stand on this machine and in private networks: in the demo, in tests, or as set."""
    return settings.CIDUTY_SOURCES_INSIDE or settings.DEMO or getattr(settings, "TESTING", False)


def address(typed: str, kind: str) -> str:
    """Return an address as it is kept, without a trailing slash. Raises Unfit; asks no network."""
    typed = typed.strip()
    schemes = _GIT_SCHEMES if kind == SourceKind.GIT else ("https", "http")
    if kind == SourceKind.GIT and may_lead_inside():
        schemes = (*schemes, "file")
    try:
        parts = urlsplit(typed)
        port = parts.port
    except ValueError:
        raise Unfit("This is no address: its host or its port cannot be read.") from None
    if parts.scheme not in schemes:
        raise Unfit(_wrong_scheme(typed, schemes))
    if parts.scheme == "file":
        return _file(parts)
    if parts.password or (parts.username and parts.scheme != "ssh"):
        raise Unfit("An address holds no user name and no password: everybody here reads it.")
    if parts.query or parts.fragment or not _PATH.fullmatch(parts.path) or ".." in parts.path.split("/"):
        raise Unfit("Write the repository’s address alone, without “?”, “#”, blanks or “..”.")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or host.startswith("-") or (parts.username or "x").startswith("-") or port == 0:
        raise Unfit("This address names no host: write it like https://github.com/owner/repository.")
    _refuse_literal(host)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def _wrong_scheme(typed: str, schemes) -> str:
    if re.fullmatch(r"[\w.-]+@[\w.-]+:\S+", typed):
        user_and_host, _, path = typed.partition(":")
        return f"Write it like ssh://{user_and_host}/{path}: this short form is not read."
    return f"An address begins with {', '.join(f'{scheme}://' for scheme in schemes)}; this one does not."


def _file(parts: SplitResult) -> str:
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or ".." in parts.path.split("/"):
        raise Unfit("Write a path of this machine like file:///srv/git/repository.git.")
    return f"file://{parts.path.rstrip('/')}"


def _refuse_literal(host: str) -> None:
    try:
        ip = ip_address(host)
    except ValueError:
        return
    why = why_not(ip)
    if why:
        raise Unfit(f"This address leads {why}: ciduty does not go there.")


def why_not(ip: IPv4Address | IPv6Address) -> str:
    """Return where an IP address leads that we do not go to, or "" for one that we may connect to."""
    ip = _inner(ip)
    if any(ip in network for network in _METADATA if network.version == ip.version):
        return "to a machine’s own metadata"
    if ip.is_multicast or ip.is_unspecified or (ip.is_reserved and not ip.is_loopback):
        return "to no single machine"
    inside = ip.is_private or ip.is_loopback or (ip.version == 4 and ip in _SHARED)
    if inside and not may_lead_inside():
        return "into a private network"
    return ""


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one carries, or the address itself."""
    if ip.version == 4:
        return ip
    if ip.ipv4_mapped:
        return ip.ipv4_mapped
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip in _SIX_TO_FOUR:
        return IPv4Address(int(ip) >> 80 & 0xFFFFFFFF)
    return ip


def machines_of(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host, each one fit to be connected to. Raises Failure.

    One unfit address among them refuses all: a name that leads here and there is no name of a public server.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Failure("The name of its host was not found.") from None
    addresses = list(dict.fromkeys(one[4][0] for one in found))
    for one in addresses:
        why = why_not(ip_address(one.partition("%")[0]))
        if why:
            raise Failure(f"Its host leads {why}: ciduty does not go there.")
    if not addresses:
        raise Failure("The name of its host was not found.")
    return addresses


def host_and_port(url: str) -> tuple[str, int]:
    """Return the host and the port of an address."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what must be the same for a token to go there."""
    return urlsplit(url).scheme, *host_and_port(url)
