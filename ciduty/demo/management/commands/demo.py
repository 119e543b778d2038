"""`manage.py demo`: load the demo world into an empty database."""

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ciduty.demo import world


class Command(BaseCommand):
    """Load the demo world; refuse on a database with real data."""

    help = "Load the demo world into an empty database; refuses on a database with real data."

    def handle(self, *args, **options):
        """Load, or say why not."""
        try:
            loaded = world.load()
        except world.NotEmpty as problem:
            raise CommandError(str(problem)) from None
        except DatabaseError:
            raise CommandError("The database does not serve, or is not migrated: run manage.py migrate.") from None
        self.stdout.write("The demo world is loaded." if loaded else "The demo world was there already.")
