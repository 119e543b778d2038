"""Registers the app."""

from django.apps import AppConfig


class PeopleConfig(AppConfig):
    """People, their Bugzilla logins and their roles."""

    name = "ciduty.people"
