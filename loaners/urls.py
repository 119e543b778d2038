"""Loaner requests."""

from django.urls import path

from loaners import views

urlpatterns = [
    path("", views.loaner_requests, name="loaner_requests"),
    path("<int:bug_id>/", views.loaner_request, name="loaner_request"),
]
