"""The outbox: its tabs, one row, and what a person may do with it. Verbs are POST sub-paths."""

from django.urls import path

from ciduty.outbox import views

MAIL, BUG, TREE = {"kind": "mail"}, {"kind": "bug"}, {"kind": "tree"}

urlpatterns = [
    path("", views.outbox, name="outbox"),
    path("check/", views.check, name="outbox_check"),
    path("try-all-again/", views.try_all_again, name="outbox_try_all_again"),
    path("mail/<int:row_id>/", views.one, MAIL, name="outbox_mail"),
    path("mail/<int:row_id>/try-again/", views.try_again, MAIL, name="outbox_mail_try_again"),
    path("mail/<int:row_id>/hold/", views.hold, MAIL, name="outbox_mail_hold"),
    path("mail/<int:row_id>/cancel/", views.cancel, MAIL, name="outbox_mail_cancel"),
    path("mail/<int:row_id>/done/", views.done_by_hand, MAIL, name="outbox_mail_done"),
    path("bug/<int:row_id>/", views.one, BUG, name="outbox_bug"),
    path("bug/<int:row_id>/try-again/", views.try_again, BUG, name="outbox_bug_try_again"),
    path("bug/<int:row_id>/hold/", views.hold, BUG, name="outbox_bug_hold"),
    path("bug/<int:row_id>/cancel/", views.cancel, BUG, name="outbox_bug_cancel"),
    path("bug/<int:row_id>/done/", views.done_by_hand, BUG, name="outbox_bug_done"),
    path("tree/<int:row_id>/", views.one, TREE, name="outbox_tree"),
    path("tree/<int:row_id>/try-again/", views.try_again, TREE, name="outbox_tree_try_again"),
    path("tree/<int:row_id>/hold/", views.hold, TREE, name="outbox_tree_hold"),
    path("tree/<int:row_id>/cancel/", views.cancel, TREE, name="outbox_tree_cancel"),
    path("tree/<int:row_id>/done/", views.done_by_hand, TREE, name="outbox_tree_done"),
]
