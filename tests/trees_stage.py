"""A tiny tree status service to read from, of either generation, and trees as rows. Tests nothing.

It answers what it is told to answer: the sandbox (`ciduty/trees/sandbox/`) is true to the transcripts, this is not.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ciduty.trees.models import Tree
from tests.cast import A_MORNING

PREFIX = "/api/treestatus"


def told(name, status="open", reason="", tags=(), log_id=None, motd="", **more):
    """Return one tree as the standalone service writes it; `category=` makes it Lando's."""
    return {
        "tree": name, "status": status, "reason": reason, "tags": list(tags), "log_id": log_id,
        "message_of_the_day": motd,
    } | more  # fmt: skip


def entry(number, when, status, reason="", tags=(), who="sheriff@example.com"):
    """Return one entry of a log; `when` is text, as either generation writes it."""
    return {"id": number, "reason": reason, "status": status, "tags": list(tags), "tree": "x", "when": when, "who": who}


class Stand:
    """What the service answers: trees and logs by name, or for a path anything else (`raw`)."""

    def __init__(self, prefix=""):
        self.prefix, self.trees, self.logs, self.raw, self.asked = prefix, {}, {}, {}, []
        self.url = ""
        self.hold = None  # an event that answers wait for

    def say(self, *trees, **logs):
        """Let these be all trees, and these their logs (`mozilla_central=` for mozilla-central)."""
        self.trees = {tree["tree"]: tree for tree in trees}
        self.logs |= {name.replace("_", "-"): entries for name, entries in logs.items()}

    def answer(self, path):
        """Return status, content type and body."""
        self.asked.append(path)
        if self.hold is not None:
            self.hold.wait(10)
        if path in self.raw:
            return self.raw[path]
        inside = path.removeprefix(self.prefix) if path.startswith(self.prefix) else None
        if inside == "/trees":
            return 200, "application/json", json.dumps({"result": self.trees}).encode()
        if inside and inside.startswith("/trees/") and inside.endswith("/logs"):
            entries = self.logs.get(inside.split("/")[2])
            if entries is not None:
                return 200, "application/json", json.dumps({"result": entries}).encode()
        return 404, "text/html", b"<!doctype html><title>Not Found</title>"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, kind, body, *more = self.server.stand.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        headers = dict(more[0]) if more else {}
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass  # the other side had enough

    def log_message(self, *_):
        pass


@contextmanager
def standing(prefix=""):
    """Serve on a free port of loopback."""
    stand, server = Stand(prefix), ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.stand, server.daemon_threads = stand, True
    stand.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield stand
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def tree(name="autoland", status="open", **fields):
    """Return a tree that duty spoke of by hand."""
    return Tree.objects.create(name=name, status=status, read_at=fields.pop("read_at", A_MORNING), **fields)
