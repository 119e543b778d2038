"""Pages of the change log, room by room; what is public comes last, for it takes every number."""

from django.urls import include, path

from changelog.before.api import changes_before

urlpatterns = [
    path("changes/before/", include("changelog.before.urls")),
    path("changes/sources/", include("changelog.sources.urls")),
    path("changes/digests/", include("changelog.digests.urls")),
    path("changes/", include("changelog.publishing.urls")),
    path("api/changes/before/", changes_before, name="api_changes_before"),
    path("api/", include("changelog.api.urls")),
    path("changes/", include("changelog.public.urls")),
]
