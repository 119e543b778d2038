"""Registers the app, and that it follows what Bugzilla says."""

from django.apps import AppConfig


class DowntimesConfig(AppConfig):
    """Tree-closing downtimes."""

    name = "downtimes"

    def ready(self):
        """Follow the mirror, and say why bugs are changed and where its pages stand."""
        from django.urls import reverse

        from ciduty import works
        from ciduty.bugzilla import poll
        from ciduty.outbox import rows
        from ciduty.trees import polling
        from downtimes import (
            agreement,
            announcing,
            assigning,
            change_events,
            flag_writes,
            needs,
            requesting,
            sync,
            tasks,
            telling,
        )
        from downtimes.run import closing, finishing, reminding, reopening, verifying

        if sync.follow not in poll.followers:
            poll.followers.append(sync.follow)
        flag_writes.register()
        requesting.register()
        agreement.register()
        announcing.register()
        telling.register(finishing.may_still_go)
        assigning.register()
        change_events.register()
        closing.register()
        reopening.register()
        reminding.register()
        if verifying.follow not in polling.followers:
            polling.followers.append(verifying.follow)
        polling.needed_often(needs.has_a_window_near)
        works.register(works.Work("downtime reminders", tasks.remind_with_the_tick))
        rows.link("nomination", lambda number: reverse("nomination", args=[number]))
        rows.link("downtime", lambda number: reverse("plan_downtime", args=[number]))
