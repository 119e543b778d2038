"""The shapes that the standalone service asks of a body, and its words when one is wrong (connexion 2.9, jsonschema).

It looks at bodies before it looks at tokens.
"""

import json
from dataclasses import dataclass, field

from ciduty.trees.sandbox.errors import Refusal
from ciduty.trees.sandbox.exchange import JSON, Request

_KINDS = {"string": str, "boolean": bool, "array": list, "object": dict}


@dataclass(frozen=True)
class Shape:
    """An object with properties: name -> kind; arrays hold strings. Others are let through."""

    properties: dict[str, str]
    required: tuple[str, ...] = field(default=())


TREE = Shape(
    {"tree": "string", "status": "string", "reason": "string", "message_of_the_day": "string"},
    ("tree", "status", "reason", "message_of_the_day"),
)
UPDATE = Shape(
    {
        "trees": "array",
        "status": "string",
        "reason": "string",
        "message_of_the_day": "string",
        "tags": "array",
        "remember": "boolean",
    },
    ("trees",),
)
REWRITE = Shape({"reason": "string", "tags": "array"})
SEVERAL = Shape({"trees": "array"}, ("trees",))


def read(request: Request, shape: Shape) -> dict:
    """Return the body of a request. Raises Refusal 415 for another type, 400 for no JSON or another shape."""
    body = _parsed(request)
    _check(body, "object", "")
    for name in shape.required:
        if name not in body:
            raise Refusal(400, f"{name!r} is a required property")
    for name, kind in shape.properties.items():
        if name in body:
            _check(body[name], kind, name)
    for name, kind in shape.properties.items():
        for number, one in enumerate(body.get(name, []) if kind == "array" else []):
            _check(one, "string", f"{name}.{number}")
    return body


def _parsed(request: Request):
    content_type = request.headers.get("content-type", "")
    if not request.body:
        return None
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise Refusal(415, None, f"Invalid Content-type ({content_type}), expected JSON data")
    try:
        body = json.loads(request.body)
    except ValueError:  # UnicodeDecodeError is one
        body = None
    if body is None:
        raise Refusal(400, "Request body is not valid JSON")
    return body


def _check(value, kind: str, where: str) -> None:
    if not isinstance(value, _KINDS[kind]):
        raise Refusal(400, f"{value!r} is not of type {kind!r}" + (f" - {where!r}" if where else ""))


def revert_of(request: Request) -> int:
    """Return the number behind `revert`. Raises Refusal 400 when it is missing or none."""
    text = dict(request.params).get("revert")
    if text is None:
        raise Refusal(400, "Missing query parameter 'revert'")
    try:
        return int(text)
    except ValueError:
        raise Refusal(400, "Wrong type, expected 'integer' for query parameter 'revert'") from None
