"""What every view for programs has in common: JSON alone, no session, bounded bodies, errors as problem details."""

import json

from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from changelog.api import problems

#: What the longest change takes, with room for its escapes.
LARGEST_BODY = 100_000  # bytes


class TooLarge(exceptions.APIException):
    """The body is larger than any change."""

    status_code = 413
    default_detail = f"The body is larger than {LARGEST_BODY:,} bytes: shorten the message and link to the rest."


class JSONAlone(BaseParser):
    """Reads one JSON value of at most 100,000 bytes; what is nested a thousand deep is refused, not followed."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        """Return the value. Raises ParseError and TooLarge."""
        told = stream.read(LARGEST_BODY + 1)
        if len(told) > LARGEST_BODY:
            raise TooLarge
        try:
            return json.loads(told.decode("utf-8"), parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise exceptions.ParseError("The body is not JSON in UTF-8.") from None


def _refuse(constant: str):
    raise ValueError(constant)


class _AlwaysJSON(BaseContentNegotiation):
    """Whatever a program says it accepts, it gets JSON; a browser that looks in sees it too."""

    def select_parser(self, request, parsers):
        return next((one for one in parsers if request.content_type.startswith(one.media_type)), None)

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """A view for programs. GET is for everybody; who POSTs shows a token, which the view asks for itself."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = (JSONAlone,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = _AlwaysJSON

    def get_exception_handler(self):
        """Tell errors as problem details."""
        return problems.told
