"""Runs the sandbox Bugzilla alone, in the foreground. What it answers stands in ciduty.bugzilla.sandbox."""

import signal
import threading
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from ciduty.bugzilla.sandbox import Sandbox, World
from ciduty.bugzilla.sandbox.seed import seed
from ciduty.sandboxes import ahead_by


class Command(BaseCommand):
    """Serve a Bugzilla to play with until it is told to stop."""

    help = "Run a sandbox Bugzilla: a small real server with invented people and loan requests."
    requires_system_checks = ()  # it needs neither the database nor the settings of ciduty

    def create_parser(self, prog_name, subcommand, **kwargs):
        """Let our --version, which Bugzilla to be, stand in for Django's own of that name."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser):
        """Take where to listen, where to keep its world, and which Bugzilla to be."""
        parser.add_argument("--port", type=int, default=8500, help="port to listen on (default 8500)")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--database", default=":memory:", help="SQLite file to keep its world in (default: none)")
        parser.add_argument("--clock", type=Path, help="file with the seconds that its clock is ahead (default: none)")
        parser.add_argument(
            "--version", dest="bugzilla_version", default="5.3.3+", help='be this Bugzilla: "5.3.3+", "5.2+"'
        )

    def handle(self, **options):
        """Serve until SIGINT or SIGTERM. Raises CommandError when the port is taken."""
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        world = World(options["database"])
        if options["clock"]:
            world.set_clock(ahead_by(options["clock"]))
        if world.is_empty():
            seed(world)
        sandbox = Sandbox(world, options["host"], options["port"], options["bugzilla_version"])
        try:
            sandbox.start()
        except OSError as problem:
            where = f"{options['host']}:{options['port']}"
            raise CommandError(
                f"The sandbox Bugzilla cannot listen on {where} ({problem.strerror}): choose another --port."
            ) from None
        self.stdout.write(f"Sandbox Bugzilla {options['bugzilla_version']}: {sandbox.url} - stop it with Ctrl-C")
        self.stdout.flush()
        stop.wait()
        sandbox.stop()
        world.close()
