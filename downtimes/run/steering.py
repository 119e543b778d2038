"""What people do beside trees and work while a downtime is run: tick off steps, hand the run over, extend it."""

from datetime import UTC, datetime

from django.db import transaction

from ciduty import clock
from ciduty.record import write
from ciduty.states import NotAllowed
from ciduty.trees.models import Closure
from downtimes import change_events, telling
from downtimes.models import Downtime, RunStep, Told
from downtimes.rules import LONGEST, State
from downtimes.run import facts, locking, rules
from downtimes.run.rules import Step

ANNOUNCED, RUNNING = frozenset({State.ANNOUNCED}), frozenset({State.RUNNING})
LONGEST_WORDS = 300
#: When a step is done. What comes in on the lists is read before and while it runs (R28).
WHEN = {
    Step.NORMAL: ANNOUNCED,
    Step.TOUCHED_BASE: ANNOUNCED,
    Step.SHERIFF_TOLD: ANNOUNCED,
    Step.REPLIES_READ: ANNOUNCED | RUNNING,
    Step.CHECKED: RUNNING,
    Step.SHERIFF_AGREES: RUNNING,
}
#: What has to hold before: whether all is well is looked at after the work, the sheriff is asked about open trees.
ASKED_OF_THE_RULES = {Step.CHECKED: "check", Step.SHERIFF_AGREES: "sheriff agrees"}
#: Whose word it is stands by it (R29, R32).
BY_NAME = frozenset({Step.SHERIFF_TOLD, Step.SHERIFF_AGREES})


@transaction.atomic
def do_step(downtime: Downtime, step: Step, words: str = "", *, by, shown: int | None = None) -> RunStep:
    """Tick off a step of the run sheet, and return it; done anew it is written anew. `words`: with whom, what was seen.

    `shown`: the newest reply that the person saw, 0 where there was none; what came later stays unread. None: all.
    Raises NotAllowed before and after its time, for a sheriff without a name, and for the sheriff's word while a tree
    is not verified.
    """
    step, words = Step(step), words.strip()
    what = "this step is done while it runs" if WHEN[step] == RUNNING else "this step is done before it begins"
    downtime = locking.lock(downtime, WHEN[step], what, by=by)
    if step in BY_NAME and not words:
        raise NotAllowed("Write down the sheriff’s name: whose word it was is what counts.")
    if len(words) > LONGEST_WORDS:
        raise NotAllowed(f"That is {len(words)} characters long, and {LONGEST_WORDS} fit: shorten it.")
    at = clock.now()
    until = _read_until(downtime, shown, at) if step == Step.REPLIES_READ else at
    before = downtime.run_steps.filter(step=step, by=by, words=words).first()
    if before is not None and not _brings_news(downtime, before, until):
        return before
    if step in ASKED_OF_THE_RULES:
        against = rules.refusals(ASKED_OF_THE_RULES[step], facts.facts_of(downtime, at, by))
        if against:
            raise NotAllowed(" ".join(against))
    return _write(downtime, step, words, f"Ticked off: {step.label}", by, at, until)


def _read_until(downtime: Downtime, shown: int | None, at: datetime) -> datetime:
    """Return up to when replies were read by who saw none newer than `shown`: to now, unless others came since.

    Raises NotAllowed for who saw none of those that are there.
    """
    newest = facts.replies_to(downtime).first()
    if shown is None or newest is None or newest.pk == shown:
        return at
    seen = facts.replies_to(downtime).filter(pk=shown).first()
    if seen is None:
        raise NotAllowed("A reply came in after you opened the page: read it, then say so.")
    last = downtime.run_steps.filter(step=Step.REPLIES_READ).first()
    return max(seen.received_at, last.at) if last else seen.received_at


def _brings_news(downtime: Downtime, before: RunStep, until: datetime) -> bool:
    """Answer whether the same words once more say something new: replies that came in since, and were seen."""
    if before.step != Step.REPLIES_READ:
        return False
    return facts.replies_to(downtime).filter(received_at__gt=before.at, received_at__lte=until).exists()


def _write(
    downtime: Downtime, step: str, words: str, sentence: str, by, at: datetime, until: datetime | None = None
) -> RunStep:
    """Write down a step that was done at a moment, and the record of it. `until`: up to when replies were read."""
    done, _ = RunStep.objects.update_or_create(
        downtime=downtime, step=step, defaults={"words": words, "by": by, "at": until or at}
    )
    write.entry(downtime.about, step, sentence, by=by, at=at)
    return done


@transaction.atomic
def take_over(downtime: Downtime, *, by, words: str = "") -> Downtime:
    """Become its duty person, who is there until the end; whoever is it already stays it.

    `words` are what the last one said; they stand on the run sheet. Nothing that people agreed to is changed.
    """
    downtime = locking.lock(downtime, ANNOUNCED | RUNNING, "only one that was announced or runs is taken over", by=by)
    if downtime.duty_id == by.pk and downtime.duty_confirmed_at is not None:
        return downtime
    at, was = clock.now(), downtime.duty
    Downtime.objects.filter(pk=downtime.pk).update(duty=by, duty_confirmed_at=at, revision=downtime.revision + 1)
    sentence = f"Took the run over from {was or 'nobody'}"
    if words.strip():
        _write(downtime, rules.HANDED_OVER, words.strip()[:LONGEST_WORDS], sentence, by, at)
    else:
        downtime.run_steps.filter(step=rules.HANDED_OVER).delete()  # said to somebody else
        write.entry(downtime.about, rules.HANDED_OVER, sentence, by=by, at=at)
    downtime.refresh_from_db()
    return downtime


@transaction.atomic
def extend(downtime: Downtime, *, by, because: str, ends_at: datetime, shown_end: str) -> Downtime:
    """Let it take longer, and tell everyone who was told. `shown_end`: the end that the person saw, as ISO, or "".

    Sent twice it is extended once. Raises NotAllowed for an end that is over, earlier or too far away, and where
    somebody else extended it meanwhile.
    """
    downtime = locking.lock_running(downtime, by=by)
    if downtime.ends_at == ends_at:
        return downtime
    telling.want_reason(because, "extended", downtime)
    at = clock.now()
    against = _why_not_shown(downtime, shown_end) or _why_not_until(downtime, ends_at, at)
    if against:
        raise NotAllowed(against)
    before = downtime.ends_at
    words = telling.words_of(downtime, because, by, starts_at=downtime.starts_at, ends_at=ends_at)
    mails = telling.everyone(downtime, Told.EXTENSION, words, because=because, by=by, at=at)
    Downtime.objects.filter(pk=downtime.pk).update(
        ends_at=ends_at, planned_end=downtime.planned_end or before or ends_at, sequence=downtime.sequence + 1,
        revision=downtime.revision + 1,
    )  # fmt: skip
    Closure.objects.standing().filter(about=downtime.about).update(expected_end=ends_at)
    was = f" from {before:%Y-%m-%d %H:%M}" if before else ""
    sentence = f"Extended{was} to {ends_at:%Y-%m-%d %H:%M} UTC"
    write.entry(downtime.about, "extend", sentence, by=by, at=at, caused=mails)
    downtime.refresh_from_db()
    change_events.tell(downtime, at)
    return downtime


def _why_not_shown(downtime: Downtime, shown_end: str) -> str:
    """Return why somebody who saw this end may not decide about it, or ""; it was shown to the minute or closer."""
    try:
        shown = datetime.fromisoformat(shown_end) if shown_end else None
    except ValueError:
        return "This form is no longer whole: open the page again."
    if _minute(shown) == _minute(downtime.ends_at):
        return ""
    return "Somebody else moved its end meanwhile: look at it as it is now, then decide again."


def _minute(at: datetime | None) -> datetime | None:
    return at and (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).replace(second=0, microsecond=0)


def _why_not_until(downtime: Downtime, ends_at: datetime, at: datetime) -> str:
    if ends_at <= at:
        return f"{ends_at:%Y-%m-%d %H:%M} UTC is over already: enter an end that is still to come."
    if downtime.ends_at is not None and ends_at < downtime.ends_at:
        return f"It ends at {downtime.ends_at:%Y-%m-%d %H:%M} UTC already: TREE OPEN ends it earlier."
    latest = (downtime.begun_at or at) + LONGEST
    if ends_at > latest:
        return f"It lasts {LONGEST.days} days at the most, until {latest:%Y-%m-%d %H:%M} UTC: enter an earlier end."
    return ""
