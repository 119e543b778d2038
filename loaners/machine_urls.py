"""The pool of machines."""

from django.urls import path

from loaners import machine_views

urlpatterns = [
    path("", machine_views.machines_page, name="machines"),
    path("add/", machine_views.add_machine, name="add_machine"),
    path("import/", machine_views.import_machines, name="import_machines"),
    path("import/confirm/", machine_views.confirm_import, name="confirm_machine_import"),
    path("<int:machine_id>/", machine_views.machine, name="machine"),
    path("<int:machine_id>/edit/", machine_views.edit_machine, name="edit_machine"),
    path("<int:machine_id>/mark-broken/", machine_views.move, {"verb": "mark broken"}, name="machine_mark_broken"),
    path("<int:machine_id>/return/", machine_views.move, {"verb": "return to the pool"}, name="machine_return"),
    path("<int:machine_id>/retire/", machine_views.move, {"verb": "retire"}, name="machine_retire"),
    path("<int:machine_id>/bring-back/", machine_views.move, {"verb": "bring back"}, name="machine_bring_back"),
]
