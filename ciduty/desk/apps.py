"""Registers the app."""

from django.apps import AppConfig


class DeskConfig(AppConfig):
    """The desk and the front door."""

    name = "ciduty.desk"
