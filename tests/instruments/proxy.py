"""A TCP proxy on loopback that delays, drips, cuts, holds, swallows, replaces or refuses. It knows no protocol.

What goes wrong is one `Trouble` for each direction. It counts for all that passes from then on, in open connections
too; or, with `strike`, only for questions that begin in a certain way, and for the answers to them.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.instruments.servers import free_port

AT_ONCE = 65_536  # bytes


@dataclass(frozen=True)
class Trouble:
    """What happens to the bytes of one direction. Nothing, unless told otherwise.

    `delay`: seconds before each piece. `bytes_per_second`: they drip. `cut_after`: so many bytes of a connection pass,
    then both sides are reset. `swallow`: they vanish, and the connection stays. `hold`: they are kept back until the
    connection ends, and `Proxy.held` is set. `instead`: these bytes go in their place, and the connection ends.
    """

    delay: float = 0
    bytes_per_second: float = 0
    cut_after: int | None = None
    swallow: bool = False
    hold: bool = False
    instead: bytes | None = None


NONE = Trouble()


class _Line:
    """One connection through the proxy: both sockets, and its own troubles when it was struck."""

    def __init__(self, client: socket.socket, server: socket.socket):
        self.client, self.server = client, server
        self.struck: dict[str, Trouble] = {}
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def cut(self) -> None:
        """End both sides; whoever reads one in another thread is woken."""
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


class Proxy:
    """Stands before the server of a port or of an address. Use `with`."""

    def __init__(self, target: int | str):
        self._target = target if isinstance(target, int) else urlsplit(target).port
        self.port = free_port()
        self.asking = self.answering = NONE
        self.held = threading.Event()
        self._begins, self._choose = b"", None
        self._listener: socket.socket | None = None
        self._lines: set[_Line] = set()
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        """Return host and port, for an address of any protocol."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Return the address that leads through the proxy, for HTTP."""
        return f"http://{self.host}"

    def __enter__(self):
        self.accept()
        return self

    def __exit__(self, *_):
        self.refuse()

    def accept(self) -> None:
        """Take connections, at first or again after `refuse`."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._take, args=(self._listener,), name="proxy", daemon=True).start()

    def refuse(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def strike(self, begins: bytes, choose: Callable[[bytes], tuple[Trouble, Trouble]]) -> None:
        """Let `choose` say, given the first piece of each question that begins so, what happens to it and its answer.

        Both count for the rest of that connection.
        """
        self._begins, self._choose = begins, choose

    def behave(self) -> None:
        """Let everything pass again."""
        self.asking = self.answering = NONE
        self._choose = None
        self.held.clear()

    def cut(self) -> None:
        """End every open connection on both sides."""
        with self._lock:
            lines, self._lines = self._lines, set()
        for line in lines:
            line.cut()

    def _take(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            line = _Line(client, server)
            with self._lock:
                self._lines.add(line)
            for passing in (self._ask, self._answer):
                threading.Thread(target=self._pass_on, args=(passing, line), name="proxy", daemon=True).start()

    def _pass_on(self, passing, line: _Line) -> None:
        with contextlib.suppress(OSError):
            passing(line)
        with self._lock:
            self._lines.discard(line)
        line.cut()

    def _ask(self, line: _Line) -> None:
        passed = 0
        while piece := line.client.recv(AT_ONCE):
            choose = self._choose
            if choose is not None and piece.startswith(self._begins):
                line.struck["asking"], line.struck["answering"] = choose(piece)
            trouble = line.struck.get("asking", self.asking)
            passed = self._let_through(piece, line.client, line.server, trouble, passed)

    def _answer(self, line: _Line) -> None:
        passed = 0
        while piece := line.server.recv(AT_ONCE):
            trouble = line.struck.get("answering", self.answering)
            passed = self._let_through(piece, line.server, line.client, trouble, passed)

    def _let_through(self, piece: bytes, source, drain, trouble: Trouble, passed: int) -> int:
        """Do to a piece what its trouble says, and return how many bytes have passed. Raises OSError at the end."""
        if trouble.hold:
            self.held.set()
            while source.recv(AT_ONCE):  # until whoever waits for it is gone
                pass
            raise OSError("held to the end")
        time.sleep(trouble.delay)
        if trouble.instead is not None:
            drain.sendall(trouble.instead)
            raise OSError("replaced")
        if trouble.swallow:
            return passed
        if trouble.cut_after is not None and passed + len(piece) >= trouble.cut_after:
            drain.sendall(piece[: max(0, trouble.cut_after - passed)])
            raise OSError("cut")
        if not trouble.bytes_per_second:
            drain.sendall(piece)
        else:
            for at in range(len(piece)):
                drain.sendall(piece[at : at + 1])
                time.sleep(1 / trouble.bytes_per_second)
        return passed + len(piece)
