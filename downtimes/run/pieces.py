"""The rows of the work as HTML, each written once and remembered: sixty of them are most of a run sheet's cost.

A row is made of nothing but its `WorkLine`, in which is only what its reader may know.
"""

from functools import lru_cache

from django.conf import settings
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from ciduty.working_time import Calendar
from downtimes.run.sheet_rows import WorkLine

#: Stands for the token of a form until it is known whose page it is; no text that can be stored holds it.
TOKEN = "\0"


def written(work: list[WorkLine], run: str, request) -> SafeString:
    """Return the rows of the work, with the forms of whoever asks. `run` is the address of the sheet."""
    rows = "".join(_row(one, run, settings.BUGZILLA_URL, settings.CIDUTY_CALENDAR) for one in work)
    return mark_safe(rows.replace(TOKEN, get_token(request)))


@lru_cache(maxsize=2000)
def _row(one: WorkLine, run: str, bugzilla_url: str, calendar: Calendar) -> str:
    """Return one row; its moments are written in the desk's zone, which is why the calendar is part of the key."""
    words = {"one": one, "run": run, "bugzilla_url": bugzilla_url, "token": TOKEN}
    return render_to_string("downtimes/run/_piece.html", words)
