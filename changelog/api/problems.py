"""What a program is told when something is wrong: problem details (RFC 9457), never a page of HTML."""

from http import HTTPStatus

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

TYPE = "application/problem+json"
#: The same for what is held, proposed, withdrawn before it was public, or was never there.
NOT_HERE = "There is no such change, or it is not public."
_TRANSLATED = {Http404: exceptions.NotFound, PermissionDenied: exceptions.PermissionDenied}


class Refused(exceptions.APIException):
    """Something is wrong with a request. `problems`: a sentence by parameter or field."""

    def __init__(self, status: HTTPStatus, detail: str, problems: dict[str, str] | None = None):
        """Keep what is said; `detail` is a sentence for a person."""
        super().__init__(detail)
        self.status_code, self.problems = int(status), problems or {}


def told(problem: Exception, context: dict) -> Response | None:
    """Return the answer to what went wrong, or None for a bug of ours. Django REST framework's exception handler."""
    for kind, translated in _TRANSLATED.items():
        if isinstance(problem, kind):
            problem = translated(NOT_HERE if translated is exceptions.NotFound else None)
    if not isinstance(problem, exceptions.APIException):
        return None
    headers = {}
    if isinstance(problem, exceptions.Throttled) and problem.wait is not None:
        headers["Retry-After"] = str(max(1, round(problem.wait)))
    if problem.status_code == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="ciduty"'
    return Response(body(problem), status=problem.status_code, headers=headers, content_type=TYPE)


def body(problem: exceptions.APIException) -> dict:
    """Return problem details as they are sent."""
    said = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": _detail(problem),
    }
    problems = _by_field(problem)
    return said | ({"problems": problems} if problems else {})


def _detail(problem: exceptions.APIException) -> str:
    if isinstance(problem, exceptions.ValidationError):
        return "The change cannot be taken as it is: see what is said of each field."
    return str(problem.detail)


def _by_field(problem: exceptions.APIException) -> list[dict[str, str]]:
    if isinstance(problem, Refused):
        return [{"field": name, "detail": sentence} for name, sentence in problem.problems.items()]
    if isinstance(problem, exceptions.ValidationError):
        return [{"field": field, "detail": sentence} for field, sentence in _flat("", problem.detail)]
    return []


def _flat(field: str, detail):
    """Yield the sentences of nested errors with the path of the field: `links.0.url`."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            at = "" if name == "non_field_errors" else str(name)
            yield from _flat(f"{field}.{at}".strip("."), inner)
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flat(field, inner)
    else:
        yield field, str(detail)
