"""All that everybody may know of one change: its landings, parts, backouts, corrections and verdicts. Shows alone."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Q

from changelog import find, messages
from changelog.confidential import not_public
from changelog.models import Backout, Change, Landing, Revision, Verdict
from changelog.models.asking import Judged
from changelog.public.page import address_of
from changelog.public.shown import Landed, Shown, in_both, landed, shown
from changelog.rules import State
from ciduty.systems.models import System

#: What a page bears; who wants more asks the API.
MOST_PARTS, MOST_REVISIONS, MOST_VERDICTS = 100, 100, 200
LONGEST_VALUE = 600
_FIELDS = {
    "summary": "Summary", "impact": "Impact", "public_summary": "Public wording", "message": "Message", "kind": "Kind",
    "system_id": "System", "pools": "Pools", "platforms": "Platforms", "bugs": "Bugs", "author": "Author",
    "authored_at": "Written", "effective_at": "Took effect",
}  # fmt: skip
_TEXTS = ("summary", "impact", "public_summary", "message")


@dataclass(frozen=True)
class Part:
    """A change that was published as one with this one."""

    one: Shown
    landings: list[Landed]


@dataclass(frozen=True)
class Correction:
    """What stood there before, and after, by the name of the field."""

    at: datetime
    by: str
    because: str
    fields: list[tuple[str, str, str]]  # name, before, after

    @property
    def when(self) -> str:
        """Return when, in UTC and with its year."""
        return in_both(self.at.astimezone(UTC))


@dataclass(frozen=True)
class Judgement:
    """What a person said of it when something broke; the newest word on one question."""

    judged: str
    because: str
    by: str
    at: datetime
    question: str  # its address

    @property
    def when(self) -> str:
        """Return when, in UTC and with its year."""
        return in_both(self.at.astimezone(UTC))


def everything(change: Change) -> dict:
    """Return the parts of the page of a public change. At most eight queries, however much there is."""
    one = shown(change)
    parts = [] if one.is_worded else list(_parts(change))
    landings: dict[int, list[Landed]] = {}
    by_id = {part.pk: part for part in [change, *parts]}
    for row in Landing.objects.filter(change__in=by_id):
        landings.setdefault(row.change_id, []).append(landed(by_id[row.change_id], row))
    takes_back, taken_back_by, unknown = _backouts(change, list(by_id))
    return {
        "one": one,
        "times": _times(one),
        "published": in_both(one.published_at.astimezone(UTC)),
        "changed": in_both(one.changed_at.astimezone(UTC)) if one.changed_at > one.published_at else "",
        "landings": landings.get(change.pk, []),
        "parts": [Part(shown(part), landings.get(part.pk, [])) for part in parts],
        "takes_back": takes_back,
        "taken_back_by": taken_back_by,
        "takes_back_unknown": unknown,
        "corrections": [] if one.is_worded else corrections(change),
        "verdicts": verdicts(change),
    }


def _parts(change: Change):
    """The parts that a person published with it; one that names a bug which is not public is left out."""
    parts = change.parts.filter(state=State.PUBLISHED).select_related("system").order_by("at", "pk")
    return (part for part in parts[:MOST_PARTS] if not part.hidden_bugs)


def _times(one: Shown) -> list[tuple[str, str, str]]:
    """Return the moments that somebody told of, apart: what each is, for machines and for people, in its own zone."""
    told = [("Took effect", one.effective), ("Landed", one.landed), ("Written", one.authored)]
    if not any(at for _, at in told):
        told = [("Entered", one.at)]
    return [(name, at.isoformat(), in_both(at)) for name, at in told if at is not None]


def _backouts(change: Change, pks: list[int]) -> tuple[list[Shown], list[Shown], list[str]]:
    """Return what it takes back, what takes it back, and the revisions it names that lead to nothing public."""
    rows = list(
        Backout.objects.filter(Q(change__in=pks) | Q(undoes__in=pks))
        .order_by("pk")
        .values_list("change_id", "change__part_of", "undoes_id", "undoes__part_of", "revision")
    )
    # A part has no page of its own: its backout is its whole's.
    wanted = {part_of or pk for by, by_part, undone, undone_part, _ in rows for pk, part_of in
              ((by, by_part), (undone, undone_part)) if pk}  # fmt: skip
    others = find.listed().filter(pk__in=wanted - {change.pk}, is_public=True) if wanted else []
    known = {row.pk: shown(row) for row in others}
    takes_back = [known[undone_part or undone] for by, _, undone, undone_part, _ in rows
                  if by in pks and (undone_part or undone) in known]  # fmt: skip
    taken_back_by = [known[by_part or by] for by, by_part, undone, _, _ in rows
                     if undone in pks and (by_part or by) in known]  # fmt: skip
    unknown = [revision for by, _, undone, undone_part, revision in rows
               if by in pks and (undone_part or undone) not in known and undone not in pks]  # fmt: skip
    return _once(takes_back), _once(taken_back_by), [] if change.hidden_bugs else unknown


def _once(found: list[Shown]) -> list[Shown]:
    return list({one.pk: one for one in found}.values())


def corrections(change: Change) -> list[Correction]:
    """Return the corrections that everybody may see, the oldest first. At most three queries.

    One that names a bug which is not public, before or after, is left out: the change may name it no more.
    """
    rows = list(
        Revision.objects.filter(change=change, is_public=True)
        .select_related("by")
        .order_by("-at", "-pk")[:MOST_REVISIONS]
    )
    named = {row.pk: _bugs_named(row) for row in rows}
    private = not_public(frozenset().union(*named.values()))
    rows = [row for row in reversed(rows) if not named[row.pk] & private]
    systems = _systems(rows)
    return [
        Correction(
            at=row.at,
            by=str(row.by) if row.by else "its source",
            because=row.because,
            fields=[
                (_FIELDS[name], _value(name, row.before.get(name), systems), _value(name, row.after.get(name), systems))
                for name in _FIELDS
                if name in row.before or name in row.after
            ],
        )
        for row in rows
    ]


def _bugs_named(revision: Revision) -> frozenset[int]:
    bugs: set[int] = set(messages.read(revision.because).bugs)
    for values in (revision.before, revision.after):
        bugs.update(bug for bug in values.get("bugs") or () if isinstance(bug, int))
        for name in _TEXTS:
            bugs.update(messages.read(str(values.get(name) or "")).bugs)
    return frozenset(bugs)


def _systems(rows: list[Revision]) -> dict[int, str]:
    wanted = {values.get("system_id") for row in rows for values in (row.before, row.after)} - {None}
    return dict(System.objects.filter(pk__in=wanted).values_list("pk", "title")) if wanted else {}


def _value(name: str, value, systems: dict[int, str]) -> str:
    if value in (None, "", []):
        return ""
    if name == "system_id":
        return systems.get(value, "")
    if name.endswith("_at"):
        return in_both(datetime.fromisoformat(value))
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} …"


def verdicts(change: Change) -> list[Judgement]:
    """Return what people said of it, the newest word on each question, but for what was opened again. One query."""
    newest: dict[int, Verdict] = {}
    rows = Verdict.objects.filter(change=change).select_related("question", "by").order_by("-at", "-pk")
    for row in rows[:MOST_VERDICTS]:
        newest.setdefault(row.question_id, row)
    asked = address_of("before_it_broke") or "/changes/before/"
    return [
        Judgement(row.get_judged_display(), row.because, str(row.by), row.at, f"{asked}?{row.question.query}")
        for row in newest.values()
        if row.judged != Judged.OPEN
    ]
