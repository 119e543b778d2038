"""Registers the app, and that it follows what Bugzilla says."""

from django.apps import AppConfig


class LoanersConfig(AppConfig):
    """Machines on loan."""

    name = "loaners"

    def ready(self):
        """Follow the mirror: called after every poll."""
        from ciduty.bugzilla import poll
        from loaners import sync

        if sync.follow not in poll.followers:
            poll.followers.append(sync.follow)
