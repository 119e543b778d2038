"""Registers the app."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """The demo world."""

    name = "ciduty.demo"
