import pytest, time, cProfile, pstats
from ciduty.people.roles import Role
from tests import run_stage
from tests.test_run_sheet import _grown, raw
pytestmark = pytest.mark.django_db

def test_time(clients, people):
    run_stage.morning()
    d = run_stage.begun(people, trees=["autoland"])
    _grown(d, 60, 40)
    from bench import runs, loans
    from django.http import HttpResponse
    from django.template import engines
    from django.test import RequestFactory
    c = clients[Role.DUTY]
    for row in loans.beside(c, f"/downtimes/{d.pk}/run/", "sheet", runs._bare, 100): print(row)
    prof = cProfile.Profile()
    prof.enable()
    for _ in range(10): raw(c, d)
    prof.disable()
    pstats.Stats(prof).sort_stats("cumulative").print_stats(60)
