"""`make bench`: the first mirror, an idle poll, the desk, the outbox and the change log, each beside its floor.

Quick in under three minutes; FULL=1 takes 20,000 bugs instead of 4,000, and 1,000,000 changes. ONLY=changes measures
the change log alone, ONLY=runs the run sheet.
"""

import os
import socket
import statistics
import sys
import time
from pathlib import Path

import requests

from bench import changes, loans, outbox, runs, stage

FULL = os.environ.get("FULL", "") not in {"", "0"}
BUGS = 20_000 if FULL else 4_000
#: What can be measured alone, without a sandbox.
ALONE = {
    "changes": (changes.measure, f"{changes.ALL:,} changes"),
    "runs": (runs.measure, f"{runs.ITEMS} items and {runs.TREES} trees"),
}


def main() -> int:
    """Run every measurement and print the table."""
    began = time.monotonic()
    if os.environ.get("ONLY") in ALONE:
        return _alone(*ALONE[os.environ["ONLY"]], began)
    with stage.own_database() as folder:
        path = Path(folder) / "sandbox.sqlite3"
        stage.fill(path, BUGS)
        with stage.sandbox(path, _free_port()) as address, stage.sink(_free_port(), folder) as mail_server:
            _configure(address, mail_server)
            rows = [*_first_mirror(address), *_mirror_at_a_real_pace(address), *_idle_poll(), *_desk()]
            rows += [*loans.measure(), *runs.measure(), *outbox.measure(), *changes.measure()]
    _print(rows, f"{BUGS} bugs", began)
    return 0


def _alone(measure, of: str, began: float) -> int:
    with stage.own_database():
        _configure("", "")
        _print(measure(), of, began)
    return 0


def _print(rows: list, of: str, began: float) -> None:
    width = max(len(row[0]) for row in rows)
    for what, figure, beside in rows:
        print(f"{what:<{width}}  {figure:>12}  {beside}")
    print(
        f"\n{of}, {os.environ.get('DATABASE_URL', 'sqlite').partition(':')[0]}, {os.cpu_count()} cores, Python ",
        end="",
    )
    print(f"{sys.version.split()[0]}; the whole run took {time.monotonic() - began:.0f} s.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _configure(address: str, mail_server: str) -> None:
    from ciduty.bugzilla.sandbox import seed

    os.environ |= {
        "BUGZILLA_URL": address,
        "EMAIL_URL": mail_server,
        "BUGZILLA_API_KEY": seed.BOT_KEY,
        "CIDUTY_STAFF_GROUPS": "moco-specific",
        "DJANGO_SETTINGS_MODULE": "ciduty.settings",
        "BUGZILLA_POLL_SECONDS": "86400",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _first_mirror(address: str) -> list:
    from ciduty.bugzilla import tasks
    from ciduty.bugzilla.models import Bug, Cycle

    requests.delete(f"{address}/sandbox/requests", timeout=5)
    with stage.worker() as pid:
        # Rung until it is heard: a worker that has only just begun may not have bound its queue yet.
        stage.wait_until(lambda: Cycle.objects.exists() or _ring(tasks), "the worker", seconds=60, every=1)
        stage.wait_until(
            lambda: Cycle.objects.exclude(finished_at=None).exists(), "the first mirror", seconds=1500 if FULL else 120
        )
        memory = stage.peak_memory(pid)
    cycle = Cycle.objects.get()
    if cycle.problem:
        sys.exit(f"The first mirror failed: {cycle.problem}")
    ours = (cycle.finished_at - cycle.started_at).total_seconds()
    asked = requests.get(f"{address}/sandbox/requests", timeout=30).json()
    bare = min(_bare(address, asked) for _ in range(3))
    share = (ours - bare) / bare
    return [
        (f"first mirror of {Bug.objects.count()} bugs", f"{ours:.2f} s", f"{cycle.requests} requests"),
        ("  the bare HTTP answers to the same requests", f"{bare:.2f} s", "floor: best of three, one connection"),
        ("  our share beside them", f"{share:.0%}", "the sandbox answers some 40 times as fast as a real server"),
        ("worker's memory at its highest", f"{memory:.0f} MiB", "aim: under 200 MiB"),
    ]


def _ring(tasks) -> bool:
    tasks.poll_if_due.apply_async()
    return False


def _empty() -> None:
    """Empty the bench's own database; what refuses to be emptied is lifted around it."""
    from django.core.management import call_command
    from django.db import connection

    from ciduty import refusals

    for refusal in refusals.known:
        refusal.lift_from(connection)
    call_command("flush", interactive=False, verbosity=0)
    for refusal in refusals.known:
        refusal.set_on(connection)


def _mirror_at_a_real_pace(address: str) -> list:
    """Mirror again, with the sandbox as slow as the recorded Bugzilla was (docs/measured.md)."""
    from ciduty.bugzilla import poll

    # Seconds for 1,000 listed ids, for 200 whole bugs, for anything else.
    pace = {r"order=": 0.46, r"[?&]id=": 0.172, r"/rest/(?!bug\?)": 0.018}
    faults = [{"kind": "delay", "match": match, "seconds": seconds} for match, seconds in pace.items()]
    _empty()
    requests.delete(f"{address}/sandbox/requests", timeout=5)
    requests.post(f"{address}/sandbox/faults", json=faults, timeout=5).raise_for_status()
    cycle = poll.poll()
    ours = (cycle.finished_at - cycle.started_at).total_seconds()
    asked = requests.get(f"{address}/sandbox/requests", timeout=30).json()
    bare = _bare(address, asked)
    requests.delete(f"{address}/sandbox/faults", timeout=5)
    return [
        ("mirror from a server at a real one's pace", f"{ours:.2f} s", f"{cycle.requests} requests"),
        ("  the bare HTTP answers to the same requests", f"{bare:.2f} s", "floor"),
        ("  our share beside them", f"{(ours - bare) / bare:.0%}", "aim: under 30 %"),
    ]


def _bare(address: str, asked: list) -> float:
    from ciduty.bugzilla.sandbox import seed

    session = requests.Session()
    session.headers["X-BUGZILLA-API-KEY"] = seed.BOT_KEY
    began = time.perf_counter()
    for call in asked:
        if call["path"].startswith("/rest/"):
            session.get(address + call["path"], params=[tuple(pair) for pair in call["params"]], timeout=60).content  # noqa: B018
    return time.perf_counter() - began


def _idle_poll() -> list:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from ciduty.bugzilla import poll
    from ciduty.bugzilla.models import Bug

    again = -(-Bug.objects.active().count() // 200)
    with CaptureQueriesContext(connection) as queries:
        cycle = poll.poll()
    seconds = (cycle.finished_at - cycle.started_at).total_seconds()
    return [
        ("idle poll: requests", f"{cycle.requests}", f"{again} of them re-read active bugs; aim: 3 besides"),
        (
            "idle poll: queries",
            f"{len(queries)}",
            f"{cycle.read} bugs re-read in {seconds:.2f} s, {cycle.changed} changed",
        ),
    ]


def _desk() -> list:
    from django.conf import settings
    from django.http import HttpResponse
    from django.template import engines
    from django.test import Client, RequestFactory

    from ciduty.people.models import Person
    from ciduty.people.roles import Role
    from loaners.models import LoanerRequest

    settings.ALLOWED_HOSTS = ["*"]
    browser = Client()
    browser.force_login(Person.objects.create(username="bench", role=Role.DUTY))
    template = engines["django"].from_string(
        "<table>{% for row in rows %}<tr><td>{{ row.pk }}</td><td>{{ row.bug.text.summary }}</td>"
        "<td>{{ row.bug.text.creator_name }}</td>"
        "<td>{{ row.opened_at|date:'c' }}</td><td>{{ row.answer_by|date:'c' }}</td><td>{{ row.paused_since }}</td></tr>"
        "{% endfor %}</table>"
    )

    def bare_view(request):
        rows = LoanerRequest.objects.filter(answered_at=None, closed_at=None).select_related("bug", "bug__text")[:50]
        return HttpResponse(template.render({"rows": list(rows)}, request))

    bare_request = RequestFactory().get("/")
    desk = _median(lambda: browser.get("/"))
    fragment = _median(lambda: browser.get("/", headers={"HX-Request": "true"}))
    bare = _median(lambda: bare_view(bare_request))
    return [
        ("the desk, 50 rows", f"{desk:.1f} ms", f"{desk / bare:.1f} times the bare view; aim: under 3"),
        ("  its polled fragment", f"{fragment:.1f} ms", f"{fragment / bare:.1f} times"),
        ("  a bare view with as many rows", f"{bare:.1f} ms", "floor: one query, one template, no session, no frame"),
    ]


def _median(call, times: int = 60) -> float:
    for _ in range(5):
        call()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1000


if __name__ == "__main__":
    sys.exit(main())
