"""Addresses of digests. Their tokens are kept out of every log (`ciduty/logs.py`)."""

from django.urls import path

from changelog.digests import views

urlpatterns = [
    path("", views.digests, name="digests"),
    path("confirm/<str:token>/", views.confirm_digest, name="confirm_digest"),
    path("leave/<str:token>/", views.leave_digest, name="leave_digest"),
]
