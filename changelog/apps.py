"""Registers the app."""

from django.apps import AppConfig


class ChangelogConfig(AppConfig):
    """What changed in CI."""

    name = "changelog"

    def ready(self):
        """Follow the mirror, collect with the tick, and say where the pages stand."""
        from changelog import closures, confidential, of_systems, tasks
        from changelog.before import posting
        from changelog.digests import sending
        from ciduty import works
        from ciduty.bugzilla import poll
        from ciduty.outbox import rows

        if confidential.follow not in poll.followers:
            poll.followers.append(confidential.follow)
        rows.link("change", lambda number: f"/changes/{number}/")
        posting.register()
        closures.register()
        of_systems.register()
        sending.register()
        works.register(works.Work("changes", tasks.collect_with_the_tick))
        works.register(works.Work("digests", tasks.send_digests_with_the_tick))
        rows.link("question", lambda number: f"/changes/before/?question={number}")
