"""`/api/changes/`: the log for programs, and where they tell what changed; `/api/changes/<id>/`: one change."""

from http import HTTPStatus

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from changelog.api import asked, proposing, shapes
from changelog.api.base import ApiView
from changelog.models import Change, Landing, Source
from changelog.models.sources import SourceKind
from changelog.public import filters, listing, one
from changelog.public.shown import Landed, landed, shown
from changelog.rules import Kind, Platform
from ciduty.typed import MOST_ID

_ABOUT = {
    "since": "A day (`2026-03-05`, from midnight UTC) or a moment (`2026-03-05T14:00+02:00`); included.",
    "until": "A day, which is included, or a moment, which is not.",
    "system": "The slug of a system in the catalogue.",
    "kind": "What sort of change.",
    "pool": "A worker pool, whole: `gecko-t/win11-64`.",
    "platform": "What it runs on.",
    "repository": "A repository or tree, whole.",
    "author": "Who wrote it, whole.",
    "bug": "The number of a bug that it names.",
    "q": 'Words; `"two words"` side by side, `-not` this one.',
    "cursor": "Where the page before ended: use `next`.",
    "limit": f"How many, at most {asked.MOST}.",
}
_CHOICES = {"kind": Kind.values, "platform": Platform.values}
PARAMETERS = [
    OpenApiParameter(name, int if name in ("bug", "limit") else str, description=about, enum=_CHOICES.get(name))
    for name, about in _ABOUT.items()
]
PROBLEM = {(status, "application/problem+json"): shapes.ProblemShape for status in (400, 404)}
REFUSALS = {(status, "application/problem+json"): shapes.ProblemShape for status in (400, 401, 403, 409, 413, 415, 429)}


class Changes(ApiView):
    """The log, newest first; and the way in for programs."""

    @extend_schema(
        operation_id="list_changes", summary="What changed, newest first", parameters=PARAMETERS, auth=[],
        responses={200: shapes.PageShape, (400, "application/problem+json"): shapes.ProblemShape},
    )  # fmt: skip
    def get(self, request):
        """Give a page of changes and the address of the next one."""
        query = asked.query_of(request.GET)
        limit = asked.limit_of(request.GET)
        changes = Change.objects.select_related("system").defer("words", "terms", "files")
        page = asked.found(query, request.GET.get("cursor", ""), limit, changes)
        following = None
        if page.next_cursor:
            parts = [filters.canonical(query), f"limit={limit}", f"cursor={page.next_cursor}"]
            following = f"{settings.SITE_URL}{reverse('api_changes')}?{'&'.join(part for part in parts if part)}"
        return Response({"results": told(page.changes), "next": following})

    @extend_schema(
        operation_id="tell_change", summary="Tell what changed",
        description="With a key of `/people/tokens/` that may propose or publish. Told again with the same source and "
        "`external_id`, it is an edit of the same change, which keeps its state.",
        auth=[{"key": []}], request=proposing.Told,
        responses={200: proposing.Taken, 201: proposing.Taken} | REFUSALS,
    )  # fmt: skip
    def post(self, request):
        """Take one change, as proposed or published."""
        answer = proposing.take(request)
        status = HTTPStatus.CREATED if answer["created"] else HTTPStatus.OK
        return Response(answer, status=status, headers={"Location": answer["url"]})


class OneChange(ApiView):
    """One change with all that its page shows."""

    @extend_schema(
        operation_id="one_change", summary="One change", auth=[],
        responses={200: shapes.WholeChangeShape, (404, "application/problem+json"): shapes.ProblemShape},
    )  # fmt: skip
    def get(self, request, change_id: int):
        """Give one change; what is held or proposed is not there."""
        change = Change.objects.public().select_related("system").filter(pk=min(change_id, MOST_ID)).first()
        if change is None:
            raise Http404
        whole = one.everything(change)
        answer = shapes.ChangeShape().to_representation(
            (
                whole["one"], whole["landings"], [other.pk for other in whole["takes_back"]],
                [other.pk for other in whole["taken_back_by"]],
            )
        )  # fmt: skip
        answer["files"] = list(whole["one"].files)
        answer["parts"] = [part.one.summary for part in whole["parts"]]
        answer["corrections"] = shapes.CorrectionShape(whole["corrections"], many=True).data
        answer["verdicts"] = shapes.VerdictShape(whole["verdicts"], many=True).data
        return Response(answer)


class Sources(ApiView):
    """Where the log's changes come from."""

    @extend_schema(
        operation_id="list_sources", summary="Where changes come from", auth=[],
        responses={200: shapes.SourceShape(many=True)},
    )  # fmt: skip
    def get(self, request):
        """Give every repository whose history was imported, and every source that told of something public."""
        public = Change.objects.public().filter(source=OuterRef("pk"))
        rows = Source.objects.filter(Q(kind=SourceKind.IMPORT) | Exists(public)).order_by("name")
        return Response(shapes.SourceShape(rows, many=True).data)


def told(changes: list[Change]) -> list[dict]:
    """Return changes as programs see them, in order. Two queries, for their landings and backouts."""
    by_id = {change.pk: change for change in changes}
    landings: dict[int, list[Landed]] = {pk: [] for pk in by_id}
    for row in Landing.objects.filter(change__in=by_id) if by_id else ():
        landings[row.change_id].append(landed(by_id[row.change_id], row))
    backouts = listing.backouts_among(list(by_id))
    shape = shapes.ChangeShape()
    return [
        shape.to_representation(
            (
                shown(change), landings[change.pk], [undone for pk, undone in backouts if pk == change.pk],
                [pk for pk, undone in backouts if undone == change.pk],
            )
        )
        for change in changes
    ]  # fmt: skip
