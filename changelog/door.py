"""What the front door shows of the log: its newest changes, in the words that everybody may read."""

from datetime import datetime

from django.urls import reverse

from changelog import find
from changelog.public.shown import shown
from ciduty.desk.needs import Section

ROWS = 5


def section(at: datetime) -> Section | None:
    """Return the newest public changes, or None while there are none. One query."""
    newest = [shown(change) for change in find.page(find.Query(), size=ROWS).changes]
    if not newest:
        return None
    return Section("Latest changes in CI", "changelog/_door.html", newest, None, reverse("changes"))
