"""Runs the sandbox tree status alone, in the foreground. What it answers stands in ciduty.trees.sandbox."""

import signal
import threading
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from ciduty.sandboxes import ahead_by
from ciduty.trees.sandbox import BOT_TOKEN, LANDO, STANDALONE, Sandbox, World
from ciduty.trees.sandbox.seed import seed


class Command(BaseCommand):
    """Serve a tree status to play with until it is told to stop."""

    help = "Run a sandbox tree status: a small real server with seven trees, and a page on which to play the sheriff."
    requires_system_checks = ()  # it needs neither the database nor the settings of ciduty

    def add_arguments(self, parser):
        """Take where to listen, where to keep its world, and which tree status to be."""
        parser.add_argument("--port", type=int, default=8503, help="port to listen on (default 8503)")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--database", default=":memory:", help="SQLite file to keep its world in (default: none)")
        parser.add_argument("--clock", type=Path, help="file with the seconds that its clock is ahead (default: none)")
        parser.add_argument(
            "--generation",
            choices=(STANDALONE, LANDO),
            default=STANDALONE,
            help="be the self-hosted service with a write API on / (default), or Lando's, read only",
        )
        parser.add_argument(
            "--workers", type=int, default=1, help="remember single trees as so many processes would (default 1)"
        )

    def handle(self, **options):
        """Serve until SIGINT or SIGTERM. Raises CommandError when the port is taken."""
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        world = World(options["database"], options["generation"], max(1, options["workers"]))
        if options["clock"]:
            world.set_clock(ahead_by(options["clock"]))
        if world.is_empty():
            seed(world)
        sandbox = Sandbox(world, options["host"], options["port"])
        try:
            sandbox.start()
        except OSError as problem:
            where = f"{options['host']}:{options['port']}"
            raise CommandError(
                f"The sandbox tree status cannot listen on {where} ({problem.strerror}): choose another --port."
            ) from None
        self.stdout.write(f"Sandbox tree status ({world.generation}): {sandbox.url} - stop it with Ctrl-C")
        if world.generation == STANDALONE:
            self.stdout.write(f"It takes changes with the header  Authorization: Bearer {BOT_TOKEN}")
        self.stdout.flush()
        stop.wait()
        sandbox.stop()
        world.close()
