"""The socket side of the sandbox: HTTP/1.1 with keep-alive, faults of the wire. The rest: `ciduty.sandboxes`."""

import time

from ciduty import sandboxes
from ciduty.bugzilla.sandbox.faults import Fault, Faults
from ciduty.bugzilla.sandbox.pages import Pages
from ciduty.bugzilla.sandbox.rest import Answer, Request, Rest


class _Handler(sandboxes.Handler):
    server_version, sys_version = "SandboxBugzilla", ""
    longest_body = 16 * 1024 * 1024
    request_of, answer_of = Request, Answer
    too_large = Answer(413, b"Request Entity Too Large", "text/plain", close=True)
    broken = Answer(500, b"Internal Server Error", "text/plain; charset=UTF-8")
    wire_faults = ("cut", "drip")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = sandboxes.Handler.handle_request

    def answer(self, sandbox, request: Request) -> Answer | None:
        instead = sandbox.faults.instead(request, sandbox.rest.refused)
        if instead:
            return Answer(instead.status, instead.body, instead.content_type, instead.headers)
        if request.path == "/rest" or request.path.startswith("/rest/"):
            return sandbox.rest.answer(request)
        return sandbox.pages.answer(request)

    def send(self, answer: Answer, cut: Fault | None = None, drip: Fault | None = None):
        header = self._header(answer)
        body = b"" if self.command == "HEAD" or answer.status in (204, 304) else answer.body
        if drip:
            self._drip(header, body, drip)
            return
        if cut:
            self.wfile.write(header + body[: cut.get("after_bytes", len(body) // 2)])
            self.hang_up()
            return
        self.wfile.write(header + body)

    def _header(self, answer: Answer) -> bytes:
        self.send_response_only(answer.status)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, str(value))
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        if answer.close or self.close_connection:
            self.send_header("Connection", "close")  # which also ends the loop that reads requests
        return self.header_bytes()

    def _drip(self, header: bytes, body: bytes, drip: Fault):
        slow = header + body if drip.get("headers") else body
        if not drip.get("headers"):
            self.wfile.write(header)
        pause = 1 / max(1, drip.get("bytes_per_second", 10))
        for at in range(len(slow)):
            self.wfile.write(slow[at : at + 1])
            time.sleep(pause)


class Sandbox(sandboxes.Serving):
    """A Bugzilla on a loopback port, in threads of this process. Use `with`, or `start` and `stop`."""

    handler, name = _Handler, "sandbox-bugzilla"
    fault_of = staticmethod(Fault.from_json)

    def __init__(self, world, host="127.0.0.1", port=0, version="5.3.3+", max_search_results=10_000):
        super().__init__(host, port, Faults())
        self.world = world
        self.rest = Rest(world, version, max_search_results, self.faults)
        self.pages = Pages(world, self.rest.is_52)
