"""Loaner requests."""

from django.urls import path

from loaners import agreeing, asking_views, loan_views, views

urlpatterns = [
    path("", views.loaner_requests, name="loaner_requests"),
    path("request/", asking_views.request_loaner, name="request_loaner"),
    path("request/<int:application_id>/", asking_views.loaner_application, name="loaner_application"),
    path("<int:bug_id>/", views.loaner_request, name="loaner_request"),
    path("<int:bug_id>/answer/", loan_views.answer, name="answer_loaner_request"),
    path("<int:bug_id>/approve/", loan_views.move, {"verb": "approve"}, name="approve_loan"),
    path("<int:bug_id>/ask/", loan_views.move, {"verb": "ask for information"}, name="ask_about_loan"),
    path("<int:bug_id>/hear-back/", loan_views.move, {"verb": "hear back"}, name="answer_question"),
    path("<int:bug_id>/decline/", loan_views.move, {"verb": "decline"}, name="decline_loan"),
    path("<int:bug_id>/cancel/", loan_views.move, {"verb": "cancel"}, name="cancel_loan"),
    path("<int:bug_id>/prepare/", loan_views.move, {"verb": "prepare"}, name="prepare_loan"),
    path("<int:bug_id>/hand-over/", loan_views.move, {"verb": "hand over"}, name="hand_over_loan"),
    path("<int:bug_id>/extend/", loan_views.move, {"verb": "extend"}, name="extend_loan"),
    path("<int:bug_id>/give-back/", loan_views.move, {"verb": "give back"}, name="give_back_loan"),
    path("<int:bug_id>/reclaim/", loan_views.move, {"verb": "reclaim"}, name="reclaim_loan"),
    path("<int:bug_id>/finish/", loan_views.move, {"verb": "finish"}, name="finish_loan"),
    path("<int:bug_id>/steps/<int:step_id>/done/", loan_views.do_step, name="do_loan_step"),
    path("<int:bug_id>/steps/<int:step_id>/check/", loan_views.check_step, name="check_loan_step"),
    path("<int:bug_id>/steps/<int:step_id>/undo/", loan_views.undo_step, name="undo_loan_step"),
    path("<int:bug_id>/grant/", loan_views.grant_access, name="grant_access"),
    path("<int:bug_id>/grants/<int:grant_id>/revoke/", loan_views.revoke_access, name="revoke_access"),
    path("<int:bug_id>/reopen-bug/", loan_views.settle, {"verb": agreeing.REOPEN}, name="reopen_loan_bug"),
    path("<int:bug_id>/resolve-bug/", loan_views.settle, {"verb": agreeing.RESOLVE}, name="resolve_loan_bug"),
    path("person/<int:person_id>/", loan_views.of_person, name="loans_of_person"),
]
