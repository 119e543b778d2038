"""Registers the app."""

from django.apps import AppConfig


class RecordConfig(AppConfig):
    """The append-only history of every object."""

    name = "ciduty.record"
    label = "record"
