"""What the API takes and gives, as OpenAPI 3.1 (`/api/schema/`) and as a page for people (`/api/docs/`)."""

from functools import lru_cache

from django.conf import settings
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from rest_framework.response import Response

from changelog.api.base import ApiView
from changelog.public.page import answer
from ciduty import __version__

_SETTINGS = {
    "TITLE": "ciduty: the change log",
    "DESCRIPTION": "What changed in CI. Reading needs no key; telling does. Errors are problem details (RFC 9457). "
    "Answers may be a minute old and carry an ETag: ask again with If-None-Match.",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "COMPONENT_SPLIT_REQUEST": False,
    "POSTPROCESSING_HOOKS": [],  # choices stay where they are used, without names of their own
    "APPEND_COMPONENTS": {
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "cdy_..., from /people/tokens/"}}
    },
}


class Schema(ApiView):
    """The schema itself."""

    schema = None

    def get(self, request):
        """Give the schema."""
        return Response(document(), content_type="application/vnd.oai.openapi+json")


@require_safe
def docs(request):
    """Show the same for people, without anything from elsewhere."""
    return answer(request, "changelog/public/api.html", {"api": document(), "operations": operations()})


@lru_cache(maxsize=1)
def document() -> dict:
    """Return the schema of all views for programs; made once by each process."""
    chosen = _SETTINGS | {"SERVERS": [{"url": settings.SITE_URL}]}
    with patched_settings(chosen):
        return SchemaGenerator().get_schema(request=None, public=True)


def operations() -> list[dict]:
    """Return each operation as the page shows it: method, path, what it is for, parameters, fields, answers."""
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": operation.get("summary", ""),
            "description": operation.get("description", ""),
            "parameters": operation.get("parameters", []),
            "fields": _fields_of(operation.get("requestBody")),
            "answers": sorted(operation["responses"]),
        }
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]


def _fields_of(body: dict | None) -> list[dict]:
    if not body:
        return []
    reference = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    shape = document()["components"]["schemas"][reference]
    required = set(shape.get("required", ()))
    return [
        {"name": name, "required": name in required, "description": field.get("description", ""), "type": _type(field)}
        for name, field in shape["properties"].items()
    ]


def _type(field: dict) -> str:
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    told = field.get("type", "")
    return f"list of {_type(field['items']) or 'objects'}" if told == "array" else field.get("format") or str(told)
