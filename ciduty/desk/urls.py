"""The front door, the desk, the style guide and the health pages."""

from django.urls import path

from ciduty.desk import views

urlpatterns = [
    path("", views.front_door, name="front_door"),
    path("styleguide/", views.styleguide, name="styleguide"),
    path("livez", views.livez, name="livez"),
    path("readyz", views.readyz, name="readyz"),
    path("healthz", views.healthz, name="healthz"),
]
