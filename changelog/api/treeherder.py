"""`/api/changelog/` in the very shape that Treeherder serves, so that Perfherder draws our changes in its graphs.

The shape is that of `ChangelogSerializer` in mozilla/treeherder, `treeherder/webapp/api/serializers.py`: a bare list,
the oldest first, dates in UTC without an offset, texts of at most 360 characters; fifteen days where nobody says since
when (`treeherder/changelog/changes.py`). What Perfherder shows of a change is its `description`.
"""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from http import HTTPStatus

from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from changelog import find
from changelog.api import shapes
from changelog.api.base import ApiView
from changelog.api.problems import Refused
from changelog.models import Change
from changelog.public import filters
from changelog.public.shown import Shown, shown
from ciduty.desk.context import moment_of

RECENTLY = timedelta(days=15)
#: A year of a busy log; Perfherder asks for a year at most. Of more, the newest are given.
MOST = 5_000
LONGEST = 360


class ChangelogShape(serializers.Serializer):
    """A change as Treeherder tells it."""

    id = serializers.IntegerField()
    remote_id = serializers.CharField()
    date = serializers.CharField(help_text="In UTC, without an offset.")
    author = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    owner = serializers.CharField(allow_blank=True)
    project = serializers.CharField(allow_blank=True)
    project_url = serializers.CharField(allow_blank=True)
    type = serializers.CharField()
    url = serializers.CharField()
    files = serializers.ListField(child=serializers.CharField())

    def to_representation(self, one: Shown) -> dict:
        """Return one change."""
        return {
            "id": one.pk,
            "remote_id": (one.revision or f"ciduty-{one.pk}")[:255],
            "date": one.at.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat(),
            "author": one.author[:100],
            "message": one.headline[:LONGEST],
            "description": _description(one),
            "owner": one.owner[:100],
            "project": (one.system or next(iter(one.repositories), ""))[:100],
            "project_url": _project_url(one),
            "type": _type(one),
            "url": one.url,
            "files": list(one.files),
        }


class Changelog(ApiView):
    """The log as Treeherder's own API tells its log."""

    @extend_schema(
        operation_id="changelog", summary="The log in Treeherder's shape, the oldest first", auth=[],
        parameters=[
            OpenApiParameter("startdate", str, description="A day or a moment, included; else fifteen days ago."),
            OpenApiParameter("enddate", str, description="A day, up to its midnight, or a moment; included."),
        ],
        responses={200: ChangelogShape(many=True), (400, "application/problem+json"): shapes.ProblemShape},
    )  # fmt: skip
    def get(self, request):
        """Give the changes of a stretch of time; the filters of the log narrow it too."""
        query = _query(request)
        try:
            pks, _ = find.ids(query, "", MOST)
        except find.TooBroad as trouble:
            raise Refused(HTTPStatus.BAD_REQUEST, str(trouble)) from None
        rows = Change.objects.select_related("system").defer("message", "words", "terms").filter(is_public=True)
        found = rows.filter(pk__in=pks).order_by("at", "pk")
        shape = ChangelogShape()
        return Response([shape.to_representation(shown(change)) for change in found.iterator(chunk_size=500)])


def _query(request) -> find.Query:
    """Return what is looked for. What Treeherder does not know it ignores; of ours, the filters count too."""
    narrowed = {name: request.GET.get(name, "") for name in filters.NAMES if name not in ("since", "until")}
    query, problems = filters.read(narrowed)
    moments = {}
    for name in ("startdate", "enddate"):
        try:
            moments[name] = filters.read_moment(request.GET[name].strip())[0] if request.GET.get(name) else None
        except ValueError as problem:
            problems[name] = str(problem)
    if problems:
        raise Refused(HTTPStatus.BAD_REQUEST, "The question cannot be answered.", problems)
    today = datetime.combine(moment_of(request).date(), time(), UTC)  # whole days: a cache can keep the answer
    until = moments["enddate"] and moments["enddate"] + timedelta(microseconds=1)  # Treeherder's end is included
    return replace(query, since=moments["startdate"] or today - RECENTLY, until=until)


def _description(one: Shown) -> str:
    said = f"Withdrawn: {one.because}" if one.is_withdrawn else one.impact or one.summary
    return said[:LONGEST]


def _project_url(one: Shown) -> str:
    asked_for = f"?system={one.system_slug}" if one.system_slug else ""
    return f"{settings.SITE_URL}{reverse('changes')}{asked_for}"


def _type(one: Shown) -> str:
    if one.revision.startswith("release:"):
        return "release"
    return "commit" if one.repositories else one.kind
