"""The floors of the change log's pages: a view of 50 rows, and a trivial one that reads one row."""

from django.http import HttpResponse, JsonResponse
from django.template import engines
from django.urls import path

_ROWS = (
    "<table>{% for row in rows %}<tr><td>{{ row.at|date:'c' }}</td><td>{{ row.kind }}</td><td>{{ row.summary }}</td>"
    "<td>{{ row.impact }}</td><td>{{ row.author }}</td><td>{{ row.pools|join:', ' }}</td></tr>{% endfor %}</table>"
)


def fifty_rows(request):
    """Show the newest 50 changes: one query, one small template, no frame."""
    from changelog.models import Change

    rows = (
        Change.objects.filter(is_public=True)
        .order_by("-at", "-pk")
        .only("at", "kind", "summary", "impact", "author", "pools")
    )
    return HttpResponse(engines["django"].from_string(_ROWS).render({"rows": list(rows[:50])}))


def one_row(request):
    """Answer with one row that is read by its key."""
    from changelog.models import PublicVersion

    return JsonResponse({"version": PublicVersion.objects.get(pk=1).value})


urlpatterns = [path("fifty/", fifty_rows), path("one/", one_row)]
