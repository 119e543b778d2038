"""Says whether a port of this machine can be listened on. Chooses none by itself."""

import errno
import socket

#: Where the search for free ports begins; the tests move it, so that two runs side by side do not meet.
FIRST = 8010


def why_not_listen(host: str, port: int) -> str:
    """Return why nobody can listen there ("is taken"), or nothing.

    To a browser `localhost` may mean ::1, where another program would answer in our place: look there too.
    """
    if port > 65535:
        return "does not exist"
    for address in (host, "::1") if host == "127.0.0.1" else (host,):
        try:
            family, *_, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, socket.SOCK_STREAM) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(where)
        except PermissionError:
            return "may not be opened by this account"
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                return "is taken"
            if address == host:  # a machine without IPv6 has no ::1, and needs none
                return f"cannot be opened on {host} ({problem.strerror})"
    return ""


def localhost_is_here() -> bool:
    """Answer whether the name `localhost`, which every printed address uses, leads to this machine."""
    try:
        return socket.gethostbyname("localhost").startswith("127.")
    except OSError:
        return False


def four_free() -> int:
    """Return a port that is free together with the three after it: the pages, both sandboxes, the mail sink."""
    for port in range(FIRST, 65500, 10):
        if not any(why_not_listen("127.0.0.1", port + offset) for offset in range(4)):
            return port
    return FIRST
