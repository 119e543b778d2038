"""Registers the app."""

from django.apps import AppConfig


class TreesConfig(AppConfig):
    """Tree status."""

    name = "ciduty.trees"
    label = "trees"

    def ready(self):
        """Poll with the tick what the worker left lying."""
        from ciduty import works
        from ciduty.trees import tasks

        works.register(works.Work("trees", tasks.poll_with_the_tick))
