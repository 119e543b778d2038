"""Registers the app, and that it forgets words of bugs that turned private."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Mail, bug updates and tree changes as rows."""

    name = "ciduty.outbox"
    label = "outbox"

    def ready(self):
        """Follow the mirror: called after every poll."""
        from ciduty.bugzilla import poll
        from ciduty.outbox import mail_check, sealing

        if sealing.follow not in poll.followers:
            poll.followers.append(sealing.follow)
        mail_check.register()
