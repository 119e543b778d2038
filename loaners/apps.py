"""Registers the app, and that it follows what Bugzilla says."""

from django.apps import AppConfig


class LoanersConfig(AppConfig):
    """Machines on loan."""

    name = "loaners"

    def ready(self):
        """Follow the mirror, and say what bugs are changed for."""
        from ciduty import works
        from ciduty.bugzilla import poll
        from ciduty.outbox import rows
        from loaners import agreeing, asking, sync, tasks, workflow

        if sync.follow not in poll.followers:
            poll.followers.append(sync.follow)
        workflow.register()
        agreeing.register()
        works.register(works.Work("reminders", tasks.remind_with_the_tick))
        asking.register()
        rows.link("loaner", lambda bug_id: f"/loaners/{bug_id}/")
        rows.link("machine", lambda machine_id: f"/machines/{machine_id}/")
