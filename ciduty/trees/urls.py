"""The addresses of trees. Names of trees hold no slash, so that what is done by hand stands beside them."""

from django.urls import path

from ciduty.trees import api, views

urlpatterns = [
    path("trees/", views.trees, name="trees"),
    path("trees/by-hand/close/", views.close_tree_by_hand, name="close_tree_by_hand"),
    path("trees/by-hand/reopen/<int:closure_id>/", views.reopen_tree_by_hand, name="reopen_tree_by_hand"),
    path("trees/<str:name>/", views.tree, name="tree"),
    path("api/trees/", api.trees, name="api_trees"),
]
