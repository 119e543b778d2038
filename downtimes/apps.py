"""Registers the app."""

from django.apps import AppConfig


class DowntimesConfig(AppConfig):
    """Tree-closing downtimes."""

    name = "downtimes"
