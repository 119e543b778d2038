"""The project as an app: the clock's offset, the leases, template tags and the supervising command."""

from django.apps import AppConfig


class CidutyConfig(AppConfig):
    """What every job stands on."""

    name = "ciduty"
