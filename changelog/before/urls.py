"""Addresses of what changed before this broke."""

from django.urls import path

from changelog.before import views

urlpatterns = [
    path("", views.before_it_broke, name="before_it_broke"),
    path("judge/", views.judge_answer, name="judge_answer"),
    path("judge/<int:change_id>/", views.judge_change, name="judge_change"),
    path("post/", views.post_answer_to_bug, name="post_answer_to_bug"),
]
