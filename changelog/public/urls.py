"""Addresses of everybody: the log, one change, the strip, the feeds and the file."""

from django.urls import path

from changelog.public import feeds, files, views

urlpatterns = [
    path("", views.changes, name="changes"),
    path("density/", views.density, name="changes_density"),
    path("feed.atom", feeds.atom, name="changes_atom"),
    path("feed.json", feeds.json_feed, name="changes_json_feed"),
    path("changes.csv", files.csv_file, name="changes_csv"),
    path("<int:change_id>/", views.change, name="change"),
]
