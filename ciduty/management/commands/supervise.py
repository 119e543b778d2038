"""`manage.py supervise`: the whole product as one process tree. How children are kept is in ciduty/supervision.py."""

import fcntl
import http.client
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from ciduty import clock, ports
from ciduty.bugzilla.models import Source
from ciduty.demo import downtime, world
from ciduty.models import Lease
from ciduty.people.roles import CIDUTY_ROLES, Role
from ciduty.states import NotAllowed
from ciduty.supervision import Tree, last_lines

log = structlog.get_logger(__name__)

READY_WITHIN = 60  # seconds
MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]
CELERY = [sys.executable, "-m", "celery", "-A", "ciduty"]


class StopAsked(Exception):
    """Somebody pressed Ctrl-C or sent SIGTERM before everything was up."""


def refuse(problem: str) -> None:
    """End the start with one line."""
    raise SystemExit(f"ciduty cannot start: {problem}")


class Command(BaseCommand):
    """Start everything, say where it is, keep it running, end all of it on Ctrl-C."""

    help = "Run web, worker, beat and tick (in the demo also a sandbox Bugzilla and a mail sink) as one process tree."
    requires_system_checks = []

    def add_arguments(self, parser):
        """Take the address that the pages listen on."""
        parser.add_argument("--host", default="127.0.0.1", help="where the pages listen (default: this machine only)")

    def handle(self, **options):
        """Run until told to stop. Raises SystemExit with one line when it cannot start."""
        self.began = _began()
        self.host = options["host"]
        self.stops = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        lock = self._be_the_only_one()
        self._choose_ports()
        self._check_ports()
        folder = self._folder("log")
        self.tree = Tree(folder, self._say)
        try:
            self._run()
        except StopAsked:
            pass
        finally:
            self.tree.stop(in_a_hurry=lambda: self.stops > 1)
            lock.close()
        self._say("Stopped.")

    def _run(self) -> None:
        self._start_neighbours()
        self._prepare_database()
        since = clock.now()
        self._start_product()
        self._wait_for_the_page()
        if self.has_sandbox:
            self._wait_for_the_first_poll(since)
            self._load_the_downtime()
        self._say_where()
        while True:
            self._look_and_wait(0.2)

    # --- before anything starts -----------------------------------------------------------------------------------

    def _on_stop(self, number, frame) -> None:
        self.stops += 1

    def _be_the_only_one(self):
        path = settings.STATE_DIR / "supervise.lock"
        try:
            self._folder("")
            file = path.open("a+")
        except OSError:
            refuse(f"this account may not write to {settings.STATE_DIR}.")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            refuse(f"ciduty is already running from this folder (process {file.read().strip() or 'unknown'}).")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file

    def _folder(self, name: str) -> Path:
        folder = settings.STATE_DIR / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def _choose_ports(self) -> None:
        """Neighbours stand on the next three ports, unless the settings name real servers."""
        self.chosen = {"the pages": settings.PORT}
        if settings.DEMO and not settings.BUGZILLA_URL:
            self.chosen["the sandbox Bugzilla, PORT + 1"] = settings.PORT + 1
        if settings.DEMO and not settings.EMAIL_URL:
            self.chosen["the mail sink, PORT + 2"] = settings.PORT + 2
        if settings.DEMO and not settings.TREESTATUS_URL:
            self.chosen["the sandbox tree status, PORT + 3"] = settings.PORT + 3
        self.has_sandbox = settings.PORT + 1 in self.chosen.values()
        self.has_sink = settings.PORT + 2 in self.chosen.values()
        self.has_trees = settings.PORT + 3 in self.chosen.values()

    def _check_ports(self) -> None:
        if not ports.localhost_is_here():
            refuse("the name localhost does not lead to this machine; add the line '127.0.0.1 localhost' to /etc/hosts")
        for purpose, port in self.chosen.items():
            host = self.host if port == settings.PORT else "127.0.0.1"
            problem = ports.why_not_listen(host, port)
            if problem:
                another = f"choose another with PORT=, for example: make run PORT={ports.four_free()}"
                refuse(f"port {port} ({purpose}) {problem}; {another}")

    def _prepare_database(self) -> None:
        """Bring the tables up to date, load the demo world, take back leases that a killed tree left."""
        try:
            executor = MigrationExecutor(connection)
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                self._say("Preparing the database ...")
                call_command("migrate", interactive=False, verbosity=0)
            if settings.DEMO:
                world.load()
            elif world.is_here():
                where = "DATABASE_URL" if settings.DATABASE_URL else "CIDUTY_STATE_DIR"
                refuse(
                    "this database holds the demo world, whose passwords everybody knows; "
                    f"remove it, or name another with {where}."
                )
            if connection.vendor == "sqlite":  # nobody but this tree works on the embedded database
                Lease.objects.update(expires_at=clock.now())
        except world.NotEmpty as problem:
            refuse(f"{problem} Start without it: make run DEMO=0")
        except DatabaseError as problem:
            refuse(f"the database does not serve (DATABASE_URL): {str(problem).strip().splitlines()[0]}")
        finally:
            connections.close_all()

    # --- the children ---------------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        """Return the settings of the children: ours, and where their neighbours stand."""
        path = [str(settings.BASE_DIR), *filter(None, [os.environ.get("PYTHONPATH")])]  # we may be called from anywhere
        added = {"PORT": str(settings.PORT), "PYTHONPATH": os.pathsep.join(path)}
        if self.has_sandbox:
            from ciduty.bugzilla.sandbox.seed import BOT_KEY  # a real installation never loads the sandbox

            # Always the sandbox's own key: somebody's real key must not travel to a toy.
            added |= {"BUGZILLA_URL": f"http://localhost:{settings.PORT + 1}", "BUGZILLA_API_KEY": BOT_KEY}
            if not settings.CIDUTY_STAFF_GROUPS:
                added["CIDUTY_STAFF_GROUPS"] = "moco-specific"
        if self.has_sink:
            added["EMAIL_URL"] = f"smtp://localhost:{settings.PORT + 2}"
        if self.has_trees:
            from ciduty.trees.sandbox import BOT_TOKEN  # likewise, and it takes changes: closing is one press

            added |= {"TREESTATUS_URL": f"http://localhost:{settings.PORT + 3}"}
            added |= {"TREESTATUS_WRITES": "patch", "TREESTATUS_TOKEN": BOT_TOKEN}
        return os.environ | added

    def _start_neighbours(self) -> None:
        state = settings.STATE_DIR
        if self.has_sandbox:
            where = ["--port", str(settings.PORT + 1), "--database", str(state / "sandbox.sqlite3")]
            where += ["--clock", str(state / "sandbox-clock")]  # it follows the demo's
            self.tree.start("sandbox", [*MANAGE, "sandbox_bugzilla", *where], dict(os.environ))
        if self.has_sink:
            where = ["--port", str(settings.PORT + 2), "--folder", str(state / "mail")]
            self.tree.start("sink", [*MANAGE, "smtp_sink", *where], dict(os.environ))
        if self.has_trees:
            where = ["--port", str(settings.PORT + 3), "--database", str(state / "sandbox-trees.sqlite3")]
            where += ["--clock", str(state / "sandbox-clock")]
            self.tree.start("trees", [*MANAGE, "sandbox_treestatus", *where], dict(os.environ))

    def _start_product(self) -> None:
        environment = self._environment()
        address = f"[{self.host}]:{settings.PORT}" if ":" in self.host else f"{self.host}:{settings.PORT}"
        web = ["ciduty.wsgi:application", "--bind", address, "--no-control-socket", "--preload"]
        web += ["--worker-class", "gthread", "--workers", "2", "--threads", "4", "--graceful-timeout", "3"]
        worker = ["worker", "--pool=threads", "-c", "4", "-Q", "urgent,sync,mail", "-l", settings.LOG_LEVEL]
        worker += ["--without-gossip", "--without-mingle"]  # there is no second worker to greet
        self.tree.start("web", [sys.executable, "-m", "gunicorn", *web], environment)
        if self.has_sandbox:
            self._wait_for_port(settings.PORT + 1)  # or the first poll would count as a failure
        if self.has_trees:
            self._wait_for_port(settings.PORT + 3)
        self.tree.start("tick", [*MANAGE, "tick", "--every", "30"], environment)
        self.tree.start("worker", [*CELERY, *worker], environment)
        beat = ["beat", "-s", str(settings.STATE_DIR / "beat-schedule"), "-l", settings.LOG_LEVEL]
        self.tree.start("beat", [*CELERY, *beat], environment)

    # --- waiting --------------------------------------------------------------------------------------------------

    def _look_and_wait(self, seconds: float) -> None:
        if self.stops:
            raise StopAsked
        self.tree.look_after()
        time.sleep(seconds)

    def _wait_for_port(self, port: int) -> None:
        """Wait ten seconds at most: what does not come up is reported by the tree, and the rest starts without it."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                self._look_and_wait(0.05)
            else:
                return

    def _wait_for_the_page(self) -> None:
        until = time.monotonic() + READY_WITHIN
        web = self.tree.children["web"]
        answer = "nothing"
        while time.monotonic() < until and not web.gave_trouble:
            answer = self._answer_of_the_page()
            if answer == 200:
                return
            self._look_and_wait(0.05)
        lines = last_lines(web.log)
        refuse(f"the page does not answer (last answer: {answer}); the end of {web.log}:\n{lines}")

    def _wait_for_the_first_poll(self, since) -> None:
        """Wait a few seconds, so that whoever opens the demo finds a desk that is populated and fresh."""
        until = time.monotonic() + 5
        while time.monotonic() < until and not Source.objects.filter(last_done_at__gte=since).exists():
            self._look_and_wait(0.1)
        connections.close_all()

    def _load_the_downtime(self) -> None:
        """Have a downtime begin soon; its bugs come with the first poll, which may be a little late."""
        if not settings.DEMO:
            return
        logging.getLogger("kombu.connection").setLevel(logging.ERROR)  # a broker in a folder has no host: no news
        until = time.monotonic() + 10
        try:
            while not (is_there := downtime.load()) and time.monotonic() < until:
                self._look_and_wait(0.2)
            if not is_there:
                log.warning("The demo starts without its downtime: the bugs of it were not read yet.")
        except (NotAllowed, DatabaseError) as problem:  # the demo is worth starting without it
            log.warning("The demo’s downtime could not be loaded.", problem=str(problem))
        finally:
            connections.close_all()

    def _answer_of_the_page(self) -> int | str:
        """Return the status of `/`, asked as a browser would that came through SITE_URL."""
        site = urlsplit(settings.SITE_URL)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        page = http.client.HTTPConnection(host, settings.PORT, timeout=10)
        try:
            page.request("GET", "/", headers={"Host": site.netloc, "X-Forwarded-Proto": site.scheme})
            return page.getresponse().status
        except (OSError, http.client.HTTPException) as problem:
            return type(problem).__name__
        finally:
            page.close()

    # --- what is said ---------------------------------------------------------------------------------------------

    def _say(self, line: str) -> None:
        try:
            print(line, flush=True)
        except OSError:  # the terminal is gone; the children are still to be ended
            pass

    def _say_where(self) -> None:
        self._say(f"ciduty is ready:  {settings.SITE_URL}/        (in {time.monotonic() - self.began:.1f} s)")
        neighbours = []
        if self.has_sandbox:
            neighbours.append(f"Sandbox Bugzilla: http://localhost:{settings.PORT + 1}/")
        if self.has_trees:
            neighbours.append(f"Sandbox tree status: http://localhost:{settings.PORT + 3}/")
        if self.has_sink:
            folder = _short(settings.STATE_DIR / "mail")
            neighbours.append(f"Mail sink: localhost:{settings.PORT + 2}, mails in {folder}/")
        if neighbours:
            self._say("        ".join(neighbours))
        if settings.DEMO:
            roles = sorted((role for role in Role if role != Role.PUBLIC), key=lambda role: role not in CIDUTY_ROLES)
            names = ", ".join(role.value for role in roles)
            self._say(f"Sign in with one click on the page, or as {names} with the password {world.PASSWORD}")
        else:
            self._say("Add the first account: .venv/bin/python manage.py add_person NAME --role lead")
            if not settings.BUGZILLA_URL:
                self._say("Bugzilla is not configured: set BUGZILLA_URL and BUGZILLA_API_KEY (see .env.example).")
        if self.host not in {"127.0.0.1", "localhost", "::1"}:
            demo = ", and in the demo anybody who reaches it may sign in" if settings.DEMO else ""
            self._say(f"Careful: the pages listen beyond this machine, on {self.host}{demo}.")
        self._say("Ctrl-C stops everything.")


def _began() -> float:
    """Return when this process began, on the monotonic clock: Django's own start counts too."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # not Linux
        return time.monotonic()
    return time.monotonic() - age


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
