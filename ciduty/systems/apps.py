"""Registers the app."""

from django.apps import AppConfig


class SystemsConfig(AppConfig):
    """The catalogue of systems."""

    name = "ciduty.systems"
    label = "systems"
