"""The addresses of downtimes. Verbs are POST sub-paths; each name has its row in `ciduty/access.py`."""

from django.urls import include, path

from downtimes import (
    agreement_views,
    announcing_views,
    keeping_views,
    notice_views,
    public_views,
    requesting_views,
    review_views,
    window_views,
)

urlpatterns = [
    path("downtimes/", public_views.downtimes, name="downtimes"),
    path("downtimes/calendar.ics", public_views.downtimes_calendar, name="downtimes_calendar"),
    path("downtimes/request/", requesting_views.request_downtime, name="request_downtime"),
    path("downtimes/request/<int:nomination_id>/", requesting_views.nomination, name="nomination"),
    path(
        "downtimes/request/<int:nomination_id>/withdraw/",
        requesting_views.withdraw_nomination,
        name="withdraw_nomination",
    ),
    path("downtimes/review/", review_views.review_nominations, name="review_nominations"),
    path(
        "downtimes/review/<int:nomination_id>/accept/",
        review_views.decide,
        {"verb": "accept"},
        name="accept_nomination",
    ),
    path(
        "downtimes/review/<int:nomination_id>/defer/", review_views.decide, {"verb": "defer"}, name="defer_nomination"
    ),
    path(
        "downtimes/review/<int:nomination_id>/decline/",
        review_views.decide,
        {"verb": "decline"},
        name="decline_nomination",
    ),
    path("downtimes/new/", window_views.add_downtime, name="add_downtime"),
    path("downtimes/<int:downtime_id>/", public_views.downtime, name="downtime"),
    path("downtimes/<int:downtime_id>/plan/", window_views.plan_downtime, name="plan_downtime"),
    path("downtimes/<int:downtime_id>/edit/", window_views.edit_downtime, name="edit_downtime"),
    path("downtimes/<int:downtime_id>/confirm-duty/", window_views.confirm_duty, name="confirm_duty"),
    path("downtimes/<int:downtime_id>/items/<int:item_id>/", window_views.edit_item, name="edit_downtime_item"),
    path("downtimes/<int:downtime_id>/items/<int:item_id>/move/", window_views.move_item, name="move_downtime_item"),
    path(
        "downtimes/<int:downtime_id>/items/<int:item_id>/assign/", window_views.assign_item, name="assign_downtime_item"
    ),
    path(
        "downtimes/<int:downtime_id>/items/<int:item_id>/take-out/",
        window_views.take_out_item,
        name="take_out_downtime_item",
    ),
    path("downtimes/<int:downtime_id>/notice/", notice_views.downtime_notice, name="downtime_notice"),
    path("downtimes/lists/", keeping_views.lists_and_approvers, name="lists_and_approvers"),
    path("downtimes/lists/list/", keeping_views.keep_list, name="keep_list"),
    path("downtimes/lists/approver/", keeping_views.keep_approver, name="keep_approver"),
    path("downtimes/lists/link/", keeping_views.keep_check_link, name="keep_check_link"),
    path("downtimes/<int:downtime_id>/ask-workers/", agreement_views.ask_workers, name="ask_workers"),
    path("downtimes/<int:downtime_id>/ask-pre-approvers/", agreement_views.ask_pre_approvers, name="ask_pre_approvers"),
    path("downtimes/<int:downtime_id>/agreement/", agreement_views.downtime_agreement, name="downtime_agreement"),
    path(
        "downtimes/<int:downtime_id>/agreement/<int:answer_id>/settle/",
        agreement_views.settle_question,
        name="settle_question",
    ),
    path("downtimes/<int:downtime_id>/answer/", agreement_views.answer_about_downtime, name="answer_about_downtime"),
    path("downtimes/<int:downtime_id>/announce/", announcing_views.announce, name="announce_downtime"),
    path("downtimes/<int:downtime_id>/postpone/", announcing_views.postpone, name="postpone_downtime"),
    path("downtimes/<int:downtime_id>/cancel/", announcing_views.cancel, name="cancel_downtime"),
    path("downtimes/<int:downtime_id>/emergency/", announcing_views.ask_for_emergency, name="ask_for_emergency"),
    path(
        "downtimes/<int:downtime_id>/emergency/agree/", announcing_views.agree_to_emergency, name="agree_to_emergency"
    ),
    path("", include("downtimes.run.urls")),
    path("sign-off/<str:token>/", agreement_views.sign_off_page, name="sign_off"),
]
