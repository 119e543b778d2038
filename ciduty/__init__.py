"""ciduty: case management for CI duty. The project package, and what all jobs stand on."""

from ciduty.celery import app as celery_app

__all__ = ["celery_app"]
__version__ = "0.1.0"
