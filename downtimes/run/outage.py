"""An outage that closes trees without a plan: closed at once, told at once; from then on it runs as any downtime does.

What is typed: `outage_forms.py`. Verification, reopening and TREE OPEN are those of every run.
"""

import textwrap
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from ciduty import clock
from ciduty.people.models import Person
from ciduty.record import write
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from ciduty.trees import confidential
from ciduty.trees.rules import why_not_close
from downtimes import change_events, flag_writes, telling
from downtimes.models import Downtime, Told
from downtimes.rules import Close, Kind, State
from downtimes.run import before, closing, facts
from downtimes.run.rules import is_closed, named

BEGAN = "outage"
LONGEST_TITLE = 120
#: What everybody is asked to do; the mail says by itself which trees, since when, why and until when.
TEMPLATE = """\
This was not planned. We look into it now, and write again, as an answer to this mail, when the trees are open.

Please wait with your pushes until then. Jobs of earlier pushes may have to be started anew."""


def template_text() -> str:
    """Return the words of the notice that a person may change."""
    return TEMPLATE


@transaction.atomic
def begin_outage(
    *, by, op: str, trees: Sequence[str], category: str, reason: str, bug: int | None, expected_end: datetime | None,
    text: str,
) -> Downtime:  # fmt: skip
    """Close trees now, tell every list, and return the downtime that runs from now on. `op`: sent twice, it is one.

    Raises NotAllowed without trees, a reason and a category, for a tree that nobody knows, and for words that name a
    bug which is not public.
    """
    Person.objects.select_for_update().get(pk=by.pk)  # two clicks at once come in turn
    begun = Entry.objects.filter(verb=BEGAN, by=by, after__op=op, about__startswith="downtime ").first()
    if begun is not None:
        return Downtime.objects.get(pk=int(begun.about.partition(" ")[2]))
    at = clock.now()
    names = list(dict.fromkeys(trees))
    problem = why_not(names, category, reason, text, expected_end, at)
    if problem:
        raise NotAllowed(problem)
    downtime = drafted(by=by, at=at, trees=names, category=category, reason=reason, bug=bug, expected_end=expected_end)
    downtime.save()
    before.keep(downtime)
    mails = _tell(downtime, text, by=by, at=at)
    write.entry(
        downtime.about, BEGAN, f"Closed {named(names)} for an outage", by=by, at=at, caused=[str(one) for one in mails],
        after={"op": op, "trees": names, "category": category, "bug": bug},
    )  # fmt: skip
    closing.close(downtime, None, by=by, op=op)
    change_events.tell(downtime, at)
    downtime.refresh_from_db()
    return downtime


def why_not(
    names: Sequence[str], category: str, reason: str, text: str, expected_end: datetime | None, at: datetime
) -> str:
    """Return the sentence that refuses an outage, or ""."""
    if not names:
        return "Name at least one tree."
    problem = why_not_close(reason, category) or why_not_said(reason, text)
    if problem:
        return problem
    if expected_end is not None and expected_end <= at:
        return f"They cannot be expected to open at {expected_end:%Y-%m-%d %H:%M} UTC: that is over."
    readings = facts.readings_of(list(names), at, "")
    unknown = [name for name in names if not readings[name].status or readings[name].is_gone]
    if unknown:
        return f"No tree is called {named(unknown)}: {facts.service_problem(at) or 'look at its name.'}"
    return ""


def why_not_said(*texts: str) -> str:
    """Return the sentence that refuses words which everybody reads and which name a bug that is not public, or ""."""
    return confidential.why_not_said(texts)


def drafted(
    *, by, at: datetime, trees: list[str], category: str, reason: str, bug: int | None, expected_end: datetime | None
) -> Downtime:
    """Return the downtime that an outage would be, unsaved."""
    return Downtime(
        kind=Kind.UNPLANNED, state=State.RUNNING, close=Close.HARD, trees=trees, tracking_bug=bug, category=category,
        title=textwrap.shorten(reason, LONGEST_TITLE, placeholder=" ..."), reason=worded(reason, bug),
        starts_at=at, begun_at=at, ends_at=expected_end, told_first_at=at,
        duty=by, duty_confirmed_at=at, made_by=by, made_at=at,
    )  # fmt: skip


def worded(reason: str, bug: int | None) -> str:
    """Return a reason as the trees say it: with the number of its bug, unless that bug is not public."""
    return closing.worded(reason, None if confidential.private_among([], [bug]) else bug)


# --- what is said -----------------------------------------------------------------------------------------------------


def mail_of(downtime: Downtime, text: str, by) -> tuple[str, str]:
    """Return the subject and the text of the mail that tells of an outage."""
    return telling.subject_of(downtime, Told.OUTAGE), telling.text_of(Told.OUTAGE, _words(downtime, text, by))


def _tell(downtime: Downtime, text: str, *, by, at: datetime):
    words = _words(downtime, text, by)
    return telling.everyone(downtime, Told.OUTAGE, words, because=downtime.reason, by=by, at=at, also_new=True)


def _words(downtime: Downtime, text: str, by) -> dict:
    expected = flag_writes.in_three_zones(downtime.ends_at) if downtime.ends_at else ""
    readings = facts.readings_of(downtime.trees, downtime.begun_at, "")
    before = [name for name in downtime.trees if is_closed(readings[name].status)]
    return telling.words_of(
        downtime, downtime.reason, by, text=text, expected=expected, closed_before=before,
        trees=[name for name in downtime.trees if name not in before],
    )  # fmt: skip
