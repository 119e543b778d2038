"""What changed before this broke, for programs: `GET /api/changes/before/`, the same facts as on the page.

Errors are problem details (RFC 9457): 422 where the question names no moment, with a sentence for each parameter.
"""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import api_view, authentication_classes, permission_classes, renderer_classes
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from changelog.before import asking
from changelog.before.answer import Answer, Line, answer
from changelog.before.forms import QuestionForm
from changelog.rules import PUBLIC_AGE, Platform
from ciduty.desk.context import moment_of

PARAMETERS = {
    "bad": "What broke: a moment (`2026-11-21T14:30:00Z`), a push (a revision of hg or git, 7 to 40 digits, or its "
    "address), or a bug (`bug 1899999`).",
    "good": "When it was last good: a push or a moment.",
    "back": f"Without `good`: how many hours to look back, one of {', '.join(map(str, asking.BACK))}; else 24.",
    "zone": "The zone of moments that name none; else UTC.",
    "pool": "The pool that broke: `gecko-t/win11-64-2009`.",
    "platform": f"The platform that broke: {', '.join(Platform.values)}.",
    "system": "The system that broke, by its slug in the catalogue.",
}


class ReasonSerializer(serializers.Serializer):
    """One thing that speaks for a suspect, or against it."""

    words = serializers.CharField()
    speaks_against = serializers.BooleanField()


class VerdictSerializer(serializers.Serializer):
    """What a person said of a change in this question; the newest counts."""

    change = serializers.IntegerField()
    judged = serializers.ChoiceField(["confirmed", "ruled out", "open"])
    because = serializers.CharField(allow_blank=True)
    by = serializers.CharField()
    at = serializers.DateTimeField()


class ChangeBeforeSerializer(serializers.Serializer):
    """One change before the break. `at` is when it took effect where it broke, as far as is known, in UTC."""

    id = serializers.IntegerField(source="change.pk")
    url = serializers.URLField(source="change.url")
    at = serializers.DateTimeField()
    seconds_before = serializers.SerializerMethodField()
    summary = serializers.CharField(source="change.headline")
    impact = serializers.CharField(source="change.impact", allow_blank=True)
    kind = serializers.CharField(source="change.kind")
    system = serializers.CharField(source="change.system_slug", allow_blank=True)
    pools = serializers.ListField(source="change.pools", child=serializers.CharField())
    platforms = serializers.ListField(source="change.platforms", child=serializers.CharField())
    bugs = serializers.ListField(source="change.bugs", child=serializers.IntegerField())
    repositories = serializers.ListField(source="change.repositories", child=serializers.CharField())
    suspect = serializers.SerializerMethodField()
    reasons = serializers.SerializerMethodField()
    verdict = serializers.SerializerMethodField()

    def get_seconds_before(self, line: Line) -> int:
        """Return how long before the break it was."""
        return int((line.until - line.at).total_seconds())

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_suspect(self, line: Line) -> int | None:
        """Return its place among the suspects, from 1, or null."""
        return line.suspect.place if line.suspect else None

    def get_reasons(self, line: Line) -> list[dict]:
        """Return why it is suspect."""
        return ReasonSerializer(line.suspect.reasons, many=True).data if line.suspect else []

    def get_verdict(self, line: Line) -> dict | None:
        """Return the verdict that counts, or null."""
        return VerdictSerializer(line.verdict).data if line.verdict else None


class IntervalSerializer(serializers.Serializer):
    """A downtime or closure that overlaps the time."""

    title = serializers.CharField()
    kind = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    url = serializers.CharField(allow_blank=True)
    trees = serializers.ListField(child=serializers.CharField())


class AnswerSerializer(serializers.Serializer):
    """The answer: suspects first, then the changes nearest to the break, newest first."""

    url = serializers.URLField()
    since = serializers.DateTimeField(source="asked.since")
    until = serializers.DateTimeField(source="asked.until")
    broke = serializers.CharField(source="asked.bad.words")
    looked_at = serializers.IntegerField()
    is_complete = serializers.BooleanField()
    suspects = ChangeBeforeSerializer(many=True)
    changes = serializers.SerializerMethodField()
    intervals = IntervalSerializer(many=True)
    verdicts = serializers.SerializerMethodField()

    @extend_schema_field(ChangeBeforeSerializer(many=True))
    def get_changes(self, found: Answer) -> list[dict]:
        """Return at most 20 changes, the nearest to the break."""
        return ChangeBeforeSerializer([line for line in found.lines if line.change], many=True).data

    @extend_schema_field(VerdictSerializer(many=True))
    def get_verdicts(self, found: Answer) -> list[dict]:
        """Return every verdict that was ever given, the newest first."""
        return VerdictSerializer([said for said, _ in found.said], many=True).data


@extend_schema(
    operation_id="changes_before",
    summary="What changed before this broke?",
    parameters=[
        OpenApiParameter(name, OpenApiTypes.STR, required=name == "bad", description=words)
        for name, words in PARAMETERS.items()
    ],
    responses={200: AnswerSerializer, 422: OpenApiTypes.OBJECT},
)
@api_view(["GET", "HEAD"])
@authentication_classes([])
@permission_classes([AllowAny])
@renderer_classes([JSONRenderer])
def changes_before(request):
    """Answer which published changes came before something broke, and which are suspect, with the reasons."""
    at = moment_of(request._request)
    unknown = sorted(set(request.query_params) - set(PARAMETERS))
    form = QuestionForm(request.query_params, at=at)
    if unknown or not form.is_valid():
        return _problem(unknown, form)
    response = Response(AnswerSerializer(answer(form.asked, at)).data)
    response["Cache-Control"] = f"public, max-age={PUBLIC_AGE}"
    return response


def _problem(unknown: list[str], form: QuestionForm) -> Response:
    told = {name: [f"There is no parameter “{name[:60]}”: see /api/docs/."] for name in unknown}
    if not unknown:
        told = {name: [str(problem) for problem in problems] for name, problems in form.errors.items()}
    status = 400 if unknown else 422
    problem = {
        "type": "about:blank", "title": "This cannot be answered", "status": status,
        "detail": " ".join(words for problems in told.values() for words in problems), "errors": told,
    }  # fmt: skip
    if form.candidates:
        problem["candidates"] = list(form.candidates)
    return Response(problem, status=status, content_type="application/problem+json")
