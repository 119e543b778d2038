"""The catalogue’s pages. `add/` and the slugs of systems do not meet: no system may be called so (`forms.py`)."""

from django.urls import path

from ciduty.systems import views

urlpatterns = [
    path("", views.systems, name="systems"),
    path("add/", views.add_system, name="add_system"),
    path("<slug:slug>/", views.system, name="system"),
    path("<slug:slug>/edit/", views.edit_system, name="edit_system"),
]
