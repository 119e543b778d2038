"""What the desk shows of changes: what waits to be published, which sources are silent; the figure for the door."""

from datetime import datetime

from django.urls import reverse

from changelog.models import Change
from changelog.publishing import queue
from changelog.publishing.forms import SayForm
from changelog.sources import standing
from ciduty import access
from ciduty.desk.needs import Section
from ciduty.outbox import post

ROWS = 5


class Waiting(list):
    """The newest few that wait, with the form of one line beside them."""

    say: SayForm
    without_words: int


def section(person, at: datetime) -> list[Section]:
    """Return what waits to be published, and the sources that need somebody, at a moment. Four queries."""
    if not access.may_publish_changes(person):
        return []
    waiting = queue.waiting()
    rows = Waiting(_newest())
    rows.say = SayForm(initial={"op": post.new_op()}, auto_id="say_%s")
    rows.without_words = queue.without_words()[: queue.MOST_COUNTED].count()
    total = waiting[: queue.MOST_COUNTED].count() if len(rows) == ROWS else len(rows)
    template = "changelog/publishing/_needs.html"
    found = [Section("Changes to publish", template, rows, total, reverse("change_queue"))]
    flags = standing.flagged(at)
    if flags:
        more_at = reverse("change_sources")
        found.append(
            Section("Sources of changes", "changelog/publishing/_flags.html", flags[:ROWS], len(flags), more_at)
        )
    return found


def _newest() -> list[Change]:
    rows = queue.waiting().newest_first().select_related("source")
    return list(rows.only("summary", "repositories", "at", "source__name")[:ROWS])


def counts(at: datetime) -> list[tuple[str, int]]:
    """Return how many public changes today has, in UTC."""
    return [("changes in the log today", queue.published_on(at))]
