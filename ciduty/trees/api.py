"""How trees stand, for programs: `GET /api/trees/`, the same facts as on the page. Errors are problem details."""

from http import HTTPStatus

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from ciduty.desk.context import moment_of
from ciduty.trees import showing
from ciduty.trees.rules import Category, Freshness, Standing
from ciduty.trees.showing import Board, TreeFacts

PROBLEM = "application/problem+json"
#: A program that asks more often learns nothing more: the service is asked once a minute at most.
AGE = 15  # seconds
NO_PARAMETERS = "This address takes no parameters: it tells of all trees at once."


class TreeSerializer(serializers.Serializer):
    """One tree. `is_open` is null where nobody can say: it is no yes."""

    name = serializers.CharField()
    url = serializers.SerializerMethodField()
    status = serializers.ChoiceField(Standing.values, source="standing")
    is_open = serializers.BooleanField(allow_null=True)
    since = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    category = serializers.ChoiceField([("", ""), *Category.choices])
    bugs = serializers.ListField(child=serializers.IntegerField())
    expected_end = serializers.DateTimeField(allow_null=True)
    message_of_the_day = serializers.CharField(source="motd", allow_blank=True)
    said_by_hand = serializers.BooleanField(source="by_hand")
    read_at = serializers.DateTimeField()

    def get_url(self, tree: TreeFacts) -> str:
        """Return the path of its page."""
        return reverse("tree", args=[tree.name])


class TreesSerializer(serializers.Serializer):
    """All trees, and how sure we are of them. `read_at` is when the service was last heard from."""

    at = serializers.DateTimeField()
    freshness = serializers.ChoiceField(Freshness.values, source="service.freshness")
    read_at = serializers.DateTimeField(source="service.read_at", allow_null=True)
    unavailable_since = serializers.DateTimeField(source="service.failing_since", allow_null=True)
    trees = TreeSerializer(many=True)


class _AlwaysJSON(BaseContentNegotiation):
    """Whatever a program says it accepts, it gets JSON; a browser that looks in sees it too."""

    def select_parser(self, request, parsers):
        return parsers[0]

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type


class Trees(APIView):
    """How every tree stands."""

    authentication_classes: list = []
    permission_classes = [AllowAny]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = _AlwaysJSON
    http_method_names = ["get", "head", "options"]

    @extend_schema(operation_id="trees", summary="How every tree stands", auth=[], responses={200: TreesSerializer})
    def get(self, request):
        """Give every tree, those that close often first."""
        if request.query_params:
            raise exceptions.ParseError(NO_PARAMETERS)
        board: Board = showing.board(moment_of(request._request))
        response = Response(TreesSerializer(board).data)
        response["Cache-Control"] = f"public, max-age={AGE}"
        return response

    def get_exception_handler(self):
        """Say what is wrong as problem details (RFC 9457)."""
        return _told


def _told(problem: Exception, context: dict) -> Response | None:
    if not isinstance(problem, exceptions.APIException):
        return None
    status = HTTPStatus(problem.status_code)
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": str(problem.detail)}
    return Response(body, status=status, content_type=PROBLEM)


trees = Trees.as_view()
