"""Addresses of the sources. Each name has its row in `ciduty/access.py`."""

from django.urls import path

from changelog.sources import views

urlpatterns = [
    path("", views.change_sources, name="change_sources"),
    path("add/", views.add_change_source, name="add_change_source"),
    path("<int:source_id>/", views.change_source, name="change_source"),
    path("<int:source_id>/edit/", views.edit_change_source, name="edit_change_source"),
    path("<int:source_id>/read/", views.read_change_source, name="read_change_source"),
]
