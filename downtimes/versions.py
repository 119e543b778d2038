"""The notice as people agreed to it: what belongs to a version, its hash, its freezing, what two of them differ in.

How the text is drafted: `notice.py`. That the database refuses to change a version: `frozen.py`.
"""

import difflib
import hashlib
import json
import unicodedata
from datetime import UTC, datetime
from typing import NamedTuple

from ciduty.bugzilla.cleaning import clean_line, clean_text
from ciduty.bugzilla.models import Visibility
from downtimes import mirrored, notice
from downtimes.models import Downtime, MailingList, NoticeVersion, Told

#: Longer than any form takes: nothing is cut, and what no database could store is replaced.
MOST = 100_000
SAME, ADDED, REMOVED = "same", "added", "removed"


class Line(NamedTuple):
    """One line of a difference; `kind` is same, added or removed."""

    kind: str
    text: str


# --- what people agree to ---------------------------------------------------------------------------------------------


def content_of(downtime: Downtime) -> dict:
    """Return everything that people agree to, as JSON: what would be sent now, to whom, and for which work.

    Texts are as the notice says them: an item whose text is not confirmed as its bug stands now has none.
    """
    items = notice.items_as_said(downtime)
    draft = notice.drafted(downtime, items)
    return {
        "subject": draft.subject,
        "body": draft.body,
        "recipients": recipients_of(downtime),
        "starts_at": _in_utc(downtime.starts_at),
        "ends_at": _in_utc(downtime.ends_at),
        "close": downtime.close,
        "trees": [_line(tree) for tree in downtime.trees],
        "title": _line(downtime.title),
        "tracking_bug": downtime.tracking_bug,
        "what_stops": clean_text(downtime.what_stops, MOST),
        "what_keeps_working": clean_text(downtime.what_keeps_working, MOST),
        "effect_on_releases": clean_text(downtime.effect_on_releases, MOST),
        "how_to_object": clean_text(downtime.how_to_object, MOST),
        "emergency_because": clean_text(downtime.emergency_because, MOST) if notice.is_emergency(downtime) else "",
        "items": [
            {
                "bug": said.item.bug_id,
                "text": said.text,
                "position": said.item.position,
                "worker": _line(said.item.worker),
                "minutes": said.item.minutes,
                "rollback_minutes": said.item.rollback_minutes,
            }
            for said in items
        ],
    }


def recipients_of(downtime: Downtime) -> list[str]:
    """Return every address that hears of the downtime: all lists in use and the groups added by hand, sorted."""
    lists = MailingList.objects.filter(is_used=True).values_list("address", flat=True)
    return sorted({_line(address) for address in [*lists, *downtime.extra_groups]})


def hash_of(content: dict) -> str:
    """Return the SHA-256 of a content, as 64 hexadecimal digits: the same for the same words, however stored."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(unicodedata.normalize("NFC", canonical).encode()).hexdigest()


def is_current(version: NoticeVersion) -> bool:
    """Answer whether what would be sent now is this version, word for word. Reads the downtime anew."""
    downtime = Downtime.objects.select_related("emergency_by").get(pk=version.downtime_id)
    return hash_of(content_of(downtime)) == version.sha256


# --- freezing ---------------------------------------------------------------------------------------------------------


def newest(downtime: Downtime) -> NoticeVersion | None:
    """Return the newest version, or None while nobody was asked."""
    return downtime.versions.order_by("-number").first()


def freeze(downtime: Downtime, *, by, at: datetime, answers_until: datetime) -> NoticeVersion:
    """Freeze what would be sent now, and return it; where the newest version says the same, that one is returned.

    One that was told and then postponed is not: what people agreed to before that was taken back, though the times may
    be the same again.
    Call it in a transaction that holds the downtime's row (`select_for_update`): numbers are given one by one.
    """
    content = content_of(downtime)
    sha256, last = hash_of(content), newest(downtime)
    if last is not None and last.sha256 == sha256 and not _was_postponed(last):
        return last
    return NoticeVersion.objects.create(
        downtime=downtime,
        number=last.number + 1 if last else 1,
        subject=content["subject"],
        body=content["body"],
        content=content,
        sha256=sha256,
        made_by=by,
        made_at=at,
        answers_until=answers_until,
    )


def _was_postponed(version: NoticeVersion) -> bool:
    return version.announcements.filter(kind=Told.POSTPONEMENT).exists()


# --- what changed -----------------------------------------------------------------------------------------------------


def difference(old: NoticeVersion, new: NoticeVersion) -> list[Line]:
    """Return the text of both versions line by line: what stayed, what is new, what is gone."""
    before, after = old.body.split("\n"), new.body.split("\n")
    lines = []
    for kind, start, end, begins, ends in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += [Line(SAME, text) for text in before[start:end]]
        else:
            lines += [Line(REMOVED, text) for text in before[start:end]]
            lines += [Line(ADDED, text) for text in after[begins:ends]]
    return lines


def beside_the_text(old: NoticeVersion, new: NoticeVersion) -> list[str]:
    """Return as sentences what changed between two versions that their text does not show: who is told, the work."""
    was, now = old.content, new.content
    sentences = []
    if gone := sorted(set(was["recipients"]) - set(now["recipients"])):
        sentences.append(f"No longer told: {', '.join(gone)}.")
    if come := sorted(set(now["recipients"]) - set(was["recipients"])):
        sentences.append(f"Told as well: {', '.join(come)}.")
    before = {item["bug"]: item for item in was["items"]}
    for item in now["items"]:
        if item["bug"] in before:
            sentences += _worker_of(before[item["bug"]], item) + _changes_of(before[item["bug"]], item)
    return sentences


def _worker_of(before: dict, after: dict) -> list[str]:
    """Say that others do the work; who has a bug is a word of it, so names are for public ones alone."""
    if before["worker"] == after["worker"]:
        return []
    if mirrored.visibility_of(after["bug"]) != Visibility.PUBLIC:
        return [f"Bug {after['bug']}: somebody else is named as worker, or nobody any more."]
    return [f"Bug {after['bug']}, worker: {_shown(before['worker'])}, now {_shown(after['worker'])}."]


def _changes_of(before: dict, after: dict) -> list[str]:
    labels = {"minutes": "minutes of work", "rollback_minutes": "minutes to roll back"}
    return [
        f"Bug {after['bug']}, {label}: {_shown(before[name])}, now {_shown(after[name])}."
        for name, label in labels.items()
        if before[name] != after[name]
    ]


def _shown(value) -> str:
    return "none" if value in (None, "") else str(value)


def _line(text: str) -> str:
    return clean_line(text, MOST)


def _in_utc(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
