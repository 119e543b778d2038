"""The site map. Verbs are POST sub-paths; each name has its row in `ciduty/access.py`."""

from django.conf import settings
from django.urls import include, path

urlpatterns = [
    path("", include("ciduty.desk.urls")),
    path("", include("ciduty.people.urls")),
    path("", include("ciduty.bugzilla.urls")),
    path("outbox/", include("ciduty.outbox.urls")),
    path("loaners/", include("loaners.urls")),
    path("machines/", include("loaners.machine_urls")),
    path("", include("downtimes.urls")),
    path("", include("changelog.urls")),
    path("", include("ciduty.trees.urls")),
    path("systems/", include("ciduty.systems.urls")),
]

if settings.DEMO:
    urlpatterns.append(path("demo/", include("ciduty.demo.urls")))

handler403 = "ciduty.desk.views.forbidden"
handler404 = "ciduty.desk.views.not_found"
handler500 = "ciduty.desk.views.server_error"
