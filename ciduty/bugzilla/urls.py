"""What a person may do to the mirror: ask for a poll, hold back or release a bug's words."""

from django.urls import path

from ciduty.bugzilla import views

urlpatterns = [
    path("sync/", views.sync_now, name="sync_now"),
    path("bugs/<int:bug_id>/hold-back/", views.hold_back_words, name="hold_back_words"),
    path("bugs/<int:bug_id>/release/", views.release_words, name="release_words"),
]
