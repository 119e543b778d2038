"""What people say of changes in the answer to a question: confirmed, ruled out, open again. Kept, never changed.

The newest verdict on a change counts, in this question alone. Of two people at once both are kept.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from changelog import index
from changelog.before.asking import Asked
from changelog.models import Change, Question, Verdict
from changelog.models.asking import Judged
from ciduty import clock
from ciduty.bugzilla.cleaning import clean_line
from ciduty.people.models import Person
from ciduty.record import write
from ciduty.record.models import Entry
from ciduty.states import NotAllowed

JUDGED = "judged"
_SENTENCES = {
    Judged.CONFIRMED: "Confirmed that {change} broke it",
    Judged.RULED_OUT: "Ruled out that {change} broke it",
    Judged.OPEN: "Opened the question about {change} again",
}


@dataclass(frozen=True)
class ShownVerdict:
    """One verdict as everybody reads it."""

    change: int
    judged: Judged
    because: str
    by: str
    at: datetime

    @property
    def is_open(self) -> bool:
        """Answer whether it takes an earlier verdict back."""
        return self.judged == Judged.OPEN


def of_question(query: str) -> list[ShownVerdict]:
    """Return all verdicts in the answer to a question, the oldest first. One query, and one for the people."""
    told = Verdict.objects.filter(question__query=query).order_by("at", "pk")
    rows = list(told.values_list("change_id", "judged", "because", "by_id", "at"))
    people = Person.objects.in_bulk({row[3] for row in rows}) if rows else {}
    return [ShownVerdict(pk, Judged(judged), because, str(people[by]), at) for pk, judged, because, by, at in rows]


def newest(verdicts: list[ShownVerdict]) -> dict[int, ShownVerdict]:
    """Return the verdict that counts, by change."""
    return {one.change: one for one in verdicts}


@transaction.atomic
def question_of(asked: Asked, by) -> Question:
    """Return the row of a question, locked; it is written when somebody judges or posts its answer first."""
    at = clock.now()
    question, _ = Question.objects.get_or_create(
        query=asked.query, defaults={"since": asked.since, "until": asked.until, "asked_by": by, "asked_at": at}
    )
    return Question.objects.select_for_update().get(pk=question.pk)


@transaction.atomic
def judge(asked: Asked, change: Change, judged: Judged, *, by, because: str = "", op: str) -> None:
    """Write down what a person says of a change that came before it broke. `op` names the form: sent twice, it is one.

    Raises NotAllowed for a change that took effect after the break, and for "open again" where nothing is judged.
    """
    question = question_of(asked, by)
    if Entry.objects.filter(about=question.about, verb=JUDGED, by=by, after__op=op).exists():
        return
    change = Change.objects.public().filter(pk=change.pk).first()
    if change is None:
        raise NotAllowed("This change is not public any more: nothing can be said about it here.")
    if change.at > asked.until:
        raise NotAllowed(f"It came {change.at:%Y-%m-%d %H:%M} UTC, after it broke: it cannot be the cause.")
    before = Verdict.objects.filter(question=question, change=change).order_by("at", "pk").last()
    if judged == Judged.OPEN and (before is None or before.judged == Judged.OPEN):
        raise NotAllowed("Nobody has judged this change yet: it is open.")
    at = clock.now()
    if before is not None and at <= before.at:
        at = before.at + timedelta(microseconds=1)  # the newest counts, whatever the clock did between
    Verdict.objects.create(
        question=question, change=change, judged=judged, because=clean_line(because, 300), by=by, at=at
    )
    sentence = _SENTENCES[judged].format(change=change)
    write.entry(question.about, JUDGED, sentence, by=by, at=at, after={"op": op, "change": change.pk})
    write.entry(change.about, JUDGED, f"{sentence} ({question})", by=by, at=at)
    index.raise_version()
