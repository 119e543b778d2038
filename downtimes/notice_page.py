"""What stands on the page of a notice: its mails as they will be sent, what stands against asking, its versions.

Decides nothing. What is typed: `notice_forms.py`; the mails: `notice_letters.py`; the versions: `versions.py`.
"""

from dataclasses import dataclass
from datetime import datetime

from ciduty.outbox import post
from downtimes import facts, notice_letters, rules, versions
from downtimes.asking_to_agree import may_be_asked
from downtimes.models import Downtime, NoticeVersion
from downtimes.rules import Asked

#: What a page bears; whoever wants the rest asks the database.
MOST_VERSIONS = 10
#: So many lines that stayed are shown around a change; of the others a gap.
AROUND = 2
GAP = "gap"
_HINTS = {
    "what_stops": "Nothing is said of what will not work.",
    "what_keeps_working": "Nothing is said of what keeps working: people will ask.",
    "effect_on_releases": "Nothing is said of the effect on releases: pre-approvers look for it first.",
}


@dataclass(frozen=True)
class Since:
    """What changed since an older version: line by line in the text, and as sentences beside it."""

    version: NoticeVersion
    was_answered: bool  # it is the newest one that people answered
    lines: list[versions.Line]
    beside: list[str]


@dataclass(frozen=True)
class Shown:
    """A frozen version, and what changed since the one before it and since the newest one that people answered."""

    version: NoticeVersion
    is_newest: bool
    is_current: bool
    answers: int
    since: list[Since]


# --- the mails --------------------------------------------------------------------------------------------------------


def preview(downtime: Downtime, wanted: str, at: datetime) -> dict:
    """Return the tabs of the preview, and the mail of the wanted one (the first for an unknown one)."""
    last = versions.newest(downtime)
    found = notice_letters.letters(downtime, last.number + 1 if last else 1, at)
    chosen = next((letter for letter in found if letter.key == wanted), found[0])
    return {"letters": found, "sheet": notice_letters.sheet(chosen, at), "hints": _hints(downtime)}


def _hints(downtime: Downtime) -> list[str]:
    return [sentence for name, sentence in _HINTS.items() if not getattr(downtime, name).strip()]


# --- asking -----------------------------------------------------------------------------------------------------------


def asking(downtime: Downtime, at: datetime) -> dict:
    """Return what stands against asking for agreement, and which of both buttons may be pressed."""
    seen = facts.facts_of(downtime, at)
    against_workers = rules.refusals("ask for agreement", seen)
    against_pre_approvers = rules.refusals("ask the pre-approvers", seen)
    return {
        "is_planned": may_be_asked(Asked.WORKER, downtime),
        "against_workers": against_workers,
        "against_pre_approvers": against_pre_approvers,
        "may_ask_workers": may_be_asked(Asked.WORKER, downtime) and not against_workers,
        "may_ask_pre_approvers": may_be_asked(Asked.PRE_APPROVER, downtime) and not against_pre_approvers,
        "latest_notice": rules.latest_notice(downtime.starts_at) if downtime.starts_at else None,
        "op_workers": post.new_op(),
        "op_pre_approvers": post.new_op(),
    }


# --- the versions -----------------------------------------------------------------------------------------------------


def history(downtime: Downtime) -> dict:
    """Return the frozen versions, the newest first, and what was changed since they were frozen."""
    found = list(downtime.versions.select_related("made_by").prefetch_related("answers").order_by("-number"))
    if not found:
        return {"versions": [], "left_out": 0, "since": []}
    content = versions.content_of(downtime)
    is_current = versions.hash_of(content) == found[0].sha256
    now = NoticeVersion(downtime=downtime, subject=content["subject"], body=content["body"], content=content)
    return {
        "versions": [_shown(place, found, is_current) for place in range(min(len(found), MOST_VERSIONS))],
        "left_out": max(0, len(found) - MOST_VERSIONS),
        "since": [] if is_current else _since(now, found),
    }


def _shown(place: int, found: list[NoticeVersion], is_current: bool) -> Shown:
    """Return one version; `found` is the newest first, so that what follows it is older."""
    version = found[place]
    return Shown(
        version=version,
        is_newest=place == 0,
        is_current=place == 0 and is_current,
        answers=len(version.answers.all()),
        since=_since(version, found[place + 1 :]),
    )


def _since(version: NoticeVersion, older: list[NoticeVersion]) -> list[Since]:
    """Return what changed since the one before, and since the newest that people answered where it is another one."""
    answered = next((one for one in older if one.answers.all()), None)
    compared = dict.fromkeys([*older[:1], *([answered] if answered else [])])
    return [
        Since(
            old,
            old == answered,
            _near_changes(versions.difference(old, version)),
            versions.beside_the_text(old, version),
        )
        for old in compared
    ]


def _near_changes(lines: list[versions.Line]) -> list[versions.Line]:
    """Return the changed lines with some around them, and a gap for every stretch that is left out."""
    changed = [place for place, line in enumerate(lines) if line.kind != versions.SAME]
    near = {place for at in changed for place in range(at - AROUND, at + AROUND + 1)}
    shown: list[versions.Line] = []
    for place, line in enumerate(lines):
        if place in near:
            shown.append(line)
        elif changed and (not shown or shown[-1].kind != GAP):
            shown.append(versions.Line(GAP, "…"))
    return shown
