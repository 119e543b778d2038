"""Registers the app."""

from django.apps import AppConfig


class BugzillaConfig(AppConfig):
    """The border to Bugzilla, the mirror and the poll."""

    name = "ciduty.bugzilla"
