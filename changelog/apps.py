"""Registers the app."""

from django.apps import AppConfig


class ChangelogConfig(AppConfig):
    """What changed in CI."""

    name = "changelog"
