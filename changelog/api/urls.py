"""Addresses of programs."""

from django.urls import path

from changelog.api import schema, treeherder, views
from changelog.public.page import public

urlpatterns = [
    path("changes/", public(views.Changes.as_view()), name="api_changes"),
    path("changes/<int:change_id>/", public(views.OneChange.as_view()), name="api_change"),
    path("sources/", public(views.Sources.as_view()), name="api_sources"),
    path("changelog/", public(treeherder.Changelog.as_view(), daily=True), name="api_changelog"),
    path("schema/", public(schema.Schema.as_view()), name="api_schema"),
    path("docs/", public(schema.docs), name="api_docs"),
]
