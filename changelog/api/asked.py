"""What a program asks: the filters of the log, a cursor and a limit; anything else is refused, with its name."""

from http import HTTPStatus

from changelog import find
from changelog.api.problems import Refused
from changelog.public import filters

MOST = 200
_ALSO = ("cursor", "limit")


def query_of(params, also: tuple[str, ...] = _ALSO) -> find.Query:
    """Return the query of a request's parameters. Raises Refused."""
    unknown = sorted(set(params) - {*filters.NAMES, *also})
    query, problems = filters.read(params)
    problems |= {name: f"There is no parameter “{name[:60]}”." for name in unknown}
    if problems:
        known = ", ".join((*filters.NAMES, *also))
        raise Refused(HTTPStatus.BAD_REQUEST, f"The question cannot be answered. Parameters are {known}.", problems)
    return query


def limit_of(params) -> int:
    """Return how many changes a page shall have. Raises Refused."""
    told = params.get("limit", str(find.PAGE))
    if not (told.isascii() and told.isdigit() and 0 < int(told[:9]) <= MOST):
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            "The question cannot be answered.",
            {"limit": f"“{told[:20]}” is no number from 1 to {MOST}."},
        )
    return int(told)


def found(query: find.Query, cursor: str, limit: int, changes=None) -> find.Page:
    """Return a page of changes. Raises Refused for a cursor that is none, and for a question that takes too long."""
    try:
        return find.page(query, cursor, limit, changes)
    except find.BadCursor as trouble:
        raise Refused(HTTPStatus.BAD_REQUEST, "The question cannot be answered.", {"cursor": str(trouble)}) from None
    except find.TooBroad as trouble:
        raise Refused(HTTPStatus.BAD_REQUEST, str(trouble)) from None
