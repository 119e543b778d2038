"""The socket side of the sandbox: one request to a connection, as its gunicorn. The rest: `ciduty.sandboxes`."""

from ciduty import sandboxes
from ciduty.trees.sandbox.exchange import Answer, Request
from ciduty.trees.sandbox.faults import Fault, Faults
from ciduty.trees.sandbox.lando import Lando
from ciduty.trees.sandbox.pages import SHERIFF, Pages
from ciduty.trees.sandbox.rights import Client, first_tokens
from ciduty.trees.sandbox.schema import LANDO
from ciduty.trees.sandbox.standalone import Standalone


class _Handler(sandboxes.Handler):
    longest_body = 1024 * 1024
    request_of, answer_of = Request, Answer
    too_large = Answer(413, b"Request Entity Too Large", "text/plain")
    broken = Answer(500, b"Internal Server Error", "text/plain; charset=utf-8")

    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = sandboxes.Handler.handle_request

    def answer(self, sandbox, request: Request) -> Answer:
        return sandbox.answer(request)

    def send(self, answer: Answer, cut: Fault | None = None):
        self.send_response_only(answer.status, answer.reason)
        self.send_header("Server", "sandbox")
        self.send_header("Date", self.date_time_string())
        self.send_header("Connection", "close")  # which also ends the loop that reads requests
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, str(value))
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        header = self.header_bytes()
        body = b"" if self.command == "HEAD" or answer.status == 204 else answer.body
        if cut:
            self.wfile.write(header + body[: cut.get("after_bytes", len(body) // 2)])
            self.hang_up()
            return
        self.wfile.write(header + body)


class Sandbox(sandboxes.Serving):
    """A tree status on a loopback port, in threads of this process. Use `with`, or `start` and `stop`.

    `tokens` leads from a bearer token to its Client (none given: BOT_TOKEN may do everything); `sheriff` is whom the
    page writes into the log.
    """

    handler, name = _Handler, "sandbox-treestatus"
    fault_of = staticmethod(Fault.from_json)

    def __init__(self, world, host="127.0.0.1", port=0, tokens: dict[str, Client] | None = None, sheriff=SHERIFF):
        super().__init__(host, port, Faults(world))
        self.world = world
        self.tokens = first_tokens() if tokens is None else tokens
        self.pages = Pages(world, sheriff)

    def answer(self, request: Request) -> Answer:
        """Answer a request for the API or a page, as things are or as a fault has them."""
        instead = self.faults.take(request, "status", "html", "empty", "redirect")
        if instead:
            return instead.answer()
        if self.pages.has(request):
            return self.pages.answer(request)
        stale = self.faults.take(request, "stale") if request.method in ("GET", "HEAD") else None
        world = stale.world_then if stale else self.world
        gone = {fault.get("tree") for fault in self.faults.take_all(request, "vanish")}
        front = Lando(world) if world.generation == LANDO else Standalone(world, self.tokens)
        with world.hiding(gone):
            world.next_worker()
            return front.answer(request)
