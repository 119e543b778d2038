"""`manage.py import_changes`: brings in a change history that is kept as files."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from changelog.imports.running import ENDINGS, CannotImport, Done, Import
from ciduty import clock


class Command(BaseCommand):
    """Import, say per repository what became of it, and exit 1 when anything was left out."""

    help = (
        "Import a change history: a folder or a file of firefox-infra-changelog, or one commit a line as JSON. What it "
        "holds was public already and is published, unless --proposed. Imported again, nothing is written."
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        """Take what is to be imported, and how."""
        parser.add_argument("path", type=Path, help="the folder or the file of the history")
        parser.add_argument("--format", choices=list(ENDINGS), default="", help="as the file names tell unless given")
        parser.add_argument("--repository", default="", help="what the repository of a single file is called")
        parser.add_argument("--proposed", action="store_true", help="propose what is new: a person publishes it")

    def handle(self, *args, **options):
        """Import, and print one line per repository. Raises CommandError with one line when anything was left out."""
        run = Import(clock.now(), not options["proposed"], complain=self.stderr.write, tell=self._tell)
        self.total = Done("Altogether")
        try:
            run.run(options["path"], options["format"], options["repository"])
        except CannotImport as problem:
            raise CommandError(str(problem)) from None
        except DatabaseError as problem:
            raise CommandError(f"The database does not serve ({_first_line(problem)}).") from None
        self._say(self.total)
        if run.left_out:
            raise CommandError(f"Left out {run.left_out:,} of what it holds, as named above; the rest is in the log.")

    def _tell(self, done: Done) -> None:
        self.total.add(done)
        self._say(done)

    def _say(self, done: Done) -> None:
        stored = done.stored
        line = (
            f"{done.name}: {stored.new:,} new, {stored.edited:,} corrected, {stored.landings:,} landings, "
            f"{stored.same:,} unchanged"
        )
        if done.told_twice:
            line += f", {done.told_twice:,} told twice"
        if done.beside:
            line += f", {done.beside:,} placed elsewhere in time, for their own moment cannot be"
        self.stdout.write(f"{line}.")


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
