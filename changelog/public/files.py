"""The log as a CSV file: streamed, at most 5,000 changes at a time, with the way to the next ones in a header."""

import csv
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from changelog import find
from changelog.public import filters
from changelog.public.page import public
from changelog.public.shown import Shown, shown
from ciduty import csv_files

MOST = 5_000
AT_ONCE = 500
COLUMNS = (
    "id", "at", "took effect", "landed", "written", "state", "kind", "system", "summary", "impact", "pools",
    "platforms", "repositories", "author", "bugs", "withdrawn because", "published", "changed", "address",
)  # fmt: skip


@public
@require_safe
def csv_file(request):
    """Give the changes of a query as a file that a spreadsheet opens and does not run (safety.md C5)."""
    query, problems = filters.read(request.GET)
    try:
        pks, following = ([], "") if problems else find.ids(query, request.GET.get("cursor", ""), MOST)
    except (find.BadCursor, find.TooBroad) as trouble:
        problems = {"cursor": str(trouble)}
    if problems:
        return HttpResponse(
            "".join(f"{name}: {problem}\n" for name, problem in problems.items()),
            status=400,
            content_type="text/plain; charset=utf-8",
        )
    response = StreamingHttpResponse(_lines(pks), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="changes.csv"'
    if following:
        asked = filters.canonical(query)
        address = f"{settings.SITE_URL}{reverse('changes_csv')}?{asked}{'&' if asked else ''}cursor={following}"
        response.headers["Link"] = f'<{address}>; rel="next"'
    return response


class _Paper:
    """Takes what the csv module writes, and hands it on at once."""

    def write(self, text: str) -> str:
        return text


def _lines(pks: list[int]) -> Iterator[str]:
    writer = csv.writer(_Paper(), quoting=csv.QUOTE_ALL)
    yield "\ufeff" + writer.writerow(COLUMNS)  # Excel knows UTF-8 by this mark
    for start in range(0, len(pks), AT_ONCE):
        some = pks[start : start + AT_ONCE]
        # Asked again whether it is public: it may have been held while the file was on its way.
        rows = {change.pk: change for change in find.listed().filter(pk__in=some, is_public=True)}
        yield "".join(
            writer.writerow([csv_files.written(cell) for cell in _cells(shown(rows[pk]))]) for pk in some if pk in rows
        )


def _cells(one: Shown) -> tuple:
    moments = (one.at, one.effective, one.landed, one.authored)
    return (
        one.pk, *(at and at.isoformat() for at in moments), one.state, one.kind_label, one.system, one.summary,
        one.impact, " ".join(one.pools), ", ".join(one.platforms), " ".join(one.repositories), one.author,
        " ".join(map(str, one.bugs)), one.because, one.published_at, one.changed_at, one.url,
    )  # fmt: skip
