"""The addresses of a downtime that runs. Verbs are POST sub-paths; each name has its row in `ciduty/access.py`."""

from django.urls import path

from downtimes.run import item_views, outage_views, review_views, sheet_views, tree_views, verb_views

_RUN = "downtimes/<int:downtime_id>/run/"

urlpatterns = [
    path("downtimes/outage/", outage_views.add_outage, name="add_outage"),
    path(_RUN, sheet_views.run_downtime, name="run_downtime"),
    path(_RUN + "saved/", sheet_views.run_downtime_saved, name="run_downtime_saved"),
    path(_RUN + "begin/", verb_views.begin, name="begin_downtime"),
    path(_RUN + "hold/", verb_views.hold, name="hold_downtime"),
    path(_RUN + "go-ahead/", verb_views.go_ahead, name="release_downtime"),
    path(_RUN + "step/", verb_views.do_step, name="do_run_step"),
    path(_RUN + "take-over/", verb_views.take_over, name="take_over_downtime"),
    path(_RUN + "extend/", verb_views.extend, name="extend_downtime"),
    path(_RUN + "close/", tree_views.close, name="close_run_trees"),
    path(_RUN + "reopen/", tree_views.reopen, name="reopen_run_trees"),
    path(_RUN + "look/", tree_views.look, name="look_at_run_trees"),
    path(_RUN + "trees/<str:name>/claim/", tree_views.claim, name="claim_run_tree"),
    path(_RUN + "trees/<str:name>/leave/", tree_views.leave, name="leave_run_tree"),
    path(_RUN + "items/<int:item_id>/", item_views.do_item, name="do_run_item"),
    path(_RUN + "bugs/", item_views.tell_bugs, name="tell_run_bugs"),
    path(_RUN + "tree-open/", item_views.tree_open, name="tree_open"),
    path("downtimes/<int:downtime_id>/review/", review_views.review, name="review_downtime"),
]
