"""`manage.py add_person`: the first account of an empty installation, and any later one."""

import getpass
import os
import sys

from django.core.management.base import BaseCommand, CommandError

from ciduty.people.forms import PersonForm
from ciduty.people.roles import Role


class Command(BaseCommand):
    """Add a person; the password is asked for, or read from CIDUTY_PASSWORD."""

    help = "Add a person who can sign in. The password is asked for, or read from CIDUTY_PASSWORD."

    def add_arguments(self, parser):
        """Sign-in name, role and, if wanted, name, address and Bugzilla logins."""
        parser.add_argument("username")
        parser.add_argument("--role", default=Role.LEAD, choices=[role.value for role in Role if role != Role.PUBLIC])
        parser.add_argument("--name", default="")
        parser.add_argument("--email", default="")
        parser.add_argument("--bugzilla-login", action="append", default=[])

    def handle(self, *args, **options):
        """Check the input as the page does, and save."""
        password = os.environ.get("CIDUTY_PASSWORD")
        if not password and not sys.stdin.isatty():
            raise CommandError("There is no terminal to ask for the password: set CIDUTY_PASSWORD.")
        password = password or getpass.getpass("Password: ")
        form = PersonForm(
            {
                "username": options["username"],
                "name": options["name"],
                "email": options["email"],
                "role": options["role"],
                "is_active": True,
                "password": password,
                "bugzilla_logins": "\n".join(options["bugzilla_login"]),
            }
        )
        if not form.is_valid():
            raise CommandError(" ".join(f"{name}: {' '.join(problems)}" for name, problems in form.errors.items()))
        person = form.save()
        self.stdout.write(f"Added {person} as {person.get_role_display()}.")
