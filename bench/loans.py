"""Measures the queue with 500 open requests and the pool with 2,000 machines, each beside a bare view."""

import statistics
import time
from datetime import timedelta

REQUESTS, MACHINES, SHOWN = 500, 2000, 50


def measure() -> list:
    """Return the rows of the table."""
    from django.test import Client

    from ciduty.people.models import Person

    _fill()
    browser = Client()
    browser.force_login(Person.objects.create(username="bench loans", role="duty"))
    return [
        *beside(browser, "/loaners/?show=all", f"the queue, {REQUESTS} open requests", _bare_requests),
        *beside(browser, "/machines/", f"the pool, {MACHINES} machines", _bare_machines),
    ]


def _fill() -> None:
    from ciduty import clock
    from ciduty.bugzilla.models import Bug, BugText
    from loaners.models import LoanerRequest, Machine, MachineClass

    at = clock.now()
    kind, _ = MachineClass.objects.get_or_create(name="t-linux64-ms", defaults={"label": "Linux, Moonshot"})
    numbers = range(9_000_000, 9_000_000 + REQUESTS)
    facts = {"status": "NEW", "visibility": "public", "offered": "public", "is_loaner_request": True}
    Bug.objects.bulk_create(Bug(id=number, created_at=at, changed_at=at, read_at=at, **facts) for number in numbers)
    BugText.objects.bulk_create(
        BugText(bug_id=number, summary=f"Loan a {kind} machine: {number}", creator="developer@example.com")
        for number in numbers
    )
    LoanerRequest.objects.bulk_create(
        LoanerRequest(bug_id=number, opened_at=at - timedelta(hours=number % 40), answer_by=at) for number in numbers
    )
    Machine.objects.bulk_create(
        Machine(host=f"bench-{number:05d}", machine_class=kind, changed_at=at) for number in range(MACHINES)
    )


def _bare_requests():
    from loaners.models import LoanerRequest

    return [(one.pk, one.bug.text.summary, one.opened_at) for one in _rows(LoanerRequest, "bug", "bug__text")]


def _bare_machines():
    from loaners.models import Machine

    return [(one.host, one.machine_class.name, one.changed_at) for one in _rows(Machine, "machine_class")]


def _rows(model, *related):
    return model.objects.select_related(*related).order_by("pk")[:SHOWN]


def beside(browser, address: str, what: str, bare, rows: int = SHOWN) -> list:
    """Return the rows of the table for one page: its time and queries, and a bare view of as many rows as its floor."""
    from django.db import connection
    from django.http import HttpResponse
    from django.template import engines
    from django.test import RequestFactory
    from django.test.utils import CaptureQueriesContext

    template = engines["django"].from_string(
        "<table>{% for a, b, at in rows %}<tr><td>{{ a }}</td><td>{{ b }}</td><td>{{ at|moment }}</td></tr>{% endfor %}"
    )
    request = RequestFactory().get("/")
    ours = _median(lambda: browser.get(address))
    floor = _median(lambda: HttpResponse(template.render({"rows": bare()}, request)))
    with CaptureQueriesContext(connection) as queries:
        if browser.get(address).status_code != 200:
            raise SystemExit(f"{address} did not answer.")
    return [
        (what, f"{ours:.1f} ms", f"{ours / floor:.1f} times the bare view; aim: under 3; {len(queries)} queries"),
        (f"  a bare view, {rows} rows of them", f"{floor:.1f} ms", "floor: one query, one template"),
    ]


def _median(call, times: int = 30) -> float:
    for _ in range(3):
        call()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1000
