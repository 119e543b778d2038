"""Writes an answer into a bug, through the outbox: the exact comment, looked at first. Public words alone.

Before it leaves, the outbox asks again: every change that is named is still public and says the same, and so is the bug
of the question; the bug that is told may still be written to.
"""

from hashlib import sha256

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string

from changelog.before import verdicts
from changelog.before.answer import Answer
from changelog.models import Change
from changelog.models.asking import Judged
from changelog.public.shown import Shown, shown
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import changes, post, purposes
from ciduty.outbox.models import BugUpdate
from ciduty.record import write
from ciduty.states import NotAllowed

PURPOSE = "changes: answer"
MOST_RULED_OUT = 5
RESTRICTED = "Bug {} is restricted: write it there by hand, so that nothing passes through here."


def wants(answer: Answer, by) -> dict:
    """Return what is wanted of the bug: one comment, signed."""
    return {"comment": comment(answer, by)}


def comment(answer: Answer, by) -> str:
    """Return the comment: the question, the suspects with their reasons, what was ruled out, the permalink."""
    words = {
        "answer": answer,
        "asked": answer.asked,
        "ruled_out": _ruled_out(answer),
        "downtimes": answer.nearest_intervals,
        "by": by,
        "team": settings.CIDUTY_TEAM,
    }
    text = render_to_string("changelog/before/comment.txt", words)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _ruled_out(answer: Answer) -> list[tuple[Shown, str]]:
    counting = verdicts.newest([said for said, _ in reversed(answer.said)])
    told = [(words, said) for said, words in answer.said if counting[said.change] is said]
    return [(words, said.because) for words, said in told if said.judged == Judged.RULED_OUT][:MOST_RULED_OUT]


def seen(answer: Answer, bug_id: int) -> dict:
    """Return what the comment stands on, for the look before it leaves: the words of each change it names."""
    named = [line.change for line in answer.suspects] + [words for words, _ in _ruled_out(answer)]
    return {
        "audience": _visibility(bug_id),
        "changes": {str(one.pk): digest(one) for one in named},
        "asked_bug": answer.asked.bad.bug,
    }


def digest(words: Shown) -> str:
    """Return what two looks at a change's public words have in common only if they are the same."""
    return sha256(words.headline.encode()).hexdigest()[:16]


def why_not(bug_id: int) -> str:
    """Return why a bug is not written to from here, as a sentence, or ""."""
    return RESTRICTED.format(bug_id) if _visibility(bug_id) == Visibility.RESTRICTED else ""


def _visibility(bug_id: int) -> str:
    """Return who may read a bug, "" for one that the mirror does not have: Bugzilla itself decides about that one."""
    return Bug.objects.filter(pk=bug_id).values_list("visibility", flat=True).first() or ""


@transaction.atomic
def post_to_bug(answer: Answer, bug_id: int, *, by, op: str) -> BugUpdate:
    """Write down the comment for a bug, and return its row. `op` names the form: sent twice, it is one comment.

    Raises NotAllowed for a restricted bug and for a form that did something else before, changes.Unwritable for what
    Bugzilla would not take.
    """
    question = verdicts.question_of(answer.asked, by)
    key = f"{question.about} to bug {bug_id} {op}"
    before = BugUpdate.objects.filter(op=op).first()
    if before is not None and before.key != key:
        raise NotAllowed("This form was sent before, for something else: load the page anew.")
    if before is not None:
        return before
    refusal = why_not(bug_id)
    if refusal:
        raise NotAllowed(refusal)
    row = post.bug_update(
        key=key, purpose=PURPOSE, about=question.about, bug_id=bug_id, wants=wants(answer, by),
        seen=seen(answer, bug_id), by=by, op=op,
    )  # fmt: skip
    write.entry(question.about, "posted", f"Posted the answer to bug {bug_id}", by=by, caused=[row])
    return row


def preview(answer: Answer, bug_id: int, *, by, op: str) -> changes.Preview:
    """Return the comment as it will be sent. Raises changes.Unwritable for what Bugzilla would not take."""
    wanted = wants(answer, by)
    changes.check(wanted)
    return changes.preview(wanted, seen(answer, bug_id), op, bug_id)


def register() -> None:
    """Make known why bugs are written to."""
    purposes.register(purposes.Purpose(PURPOSE, "What changed before it broke", may_still_go))


def may_still_go(row: BugUpdate) -> purposes.Stop | None:
    """Hold a comment that names what is not public any more, or goes to a bug that turned restricted."""
    if _visibility(row.bug_id) == Visibility.RESTRICTED:
        return purposes.Stop("The bug turned restricted meanwhile: look whether it may still be written to.")
    asked_bug = row.seen.get("asked_bug")
    if asked_bug is not None and _visibility(asked_bug) != Visibility.PUBLIC:
        return purposes.Stop("The bug that was asked about is not public any more: ask with a moment instead.")
    told = row.seen.get("changes", {})
    public = Change.objects.public().filter(pk__in=list(told)).select_related("system")
    now = {str(one.pk): digest(shown(one)) for one in public}
    if now != told:
        return purposes.Stop("A change that it names says something else by now, or is not public any more: ask again.")
    return None
