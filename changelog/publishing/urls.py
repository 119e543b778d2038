"""Addresses of the queue and the verbs of duty. Verbs are POST sub-paths."""

from django.urls import path

from changelog.publishing import entry_views, views

#: Verb -> the end of its address and the beginning of its name.
VERBS = {
    "take back": "take_back",
    "dismiss": "dismiss",
    "reopen": "reopen",
    "hold": "hold",
    "release": "release",
    "withdraw": "withdraw",
    "restore": "restore",
}

urlpatterns = [
    path("queue/", views.change_queue, name="change_queue"),
    path("say/", entry_views.say_change, name="say_change"),
    path("add/", entry_views.add_change, name="add_change"),
    path("publish-as-one/", views.publish_as_one, name="publish_changes_as_one"),
    path("<int:change_id>/record/", views.change_record, name="change_record"),
    path("<int:change_id>/correct/", entry_views.correct_change, name="correct_change"),
    path("<int:change_id>/publish/", views.publish_change, name="publish_change"),
    *(
        path(f"<int:change_id>/{name.replace('_', '-')}/", views.act, {"verb": verb}, name=f"{name}_change")
        for verb, name in VERBS.items()
    ),
]
