"""The sandbox goes wrong on demand: each scripted fault strikes where it should, as often as it should, only there."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from ciduty.bugzilla.sandbox import Fault, Sandbox, World
from ciduty.bugzilla.sandbox.seed import BOT_KEY
from ciduty.sandboxes import real_utc

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[1]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.at = NOW

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sandbox(clock):
    world = World(":memory:")
    world.set_clock(clock)
    world.add_user("duty@example.com", "Duty")
    world.add_product("Product", ["Component"])
    for number in range(1, 4):
        world.add_bug(product="Product", component="Component", summary=f"Bug {number}", creator="duty@example.com",
                      at=NOW - timedelta(days=1))  # fmt: skip
    with Sandbox(world) as running:
        yield running
    world.close()


@pytest.fixture
def client(sandbox):
    """Ask the sandbox as duty, with a path behind its address."""
    session = requests.Session()
    session.headers["X-BUGZILLA-API-KEY"] = sandbox.world.key_of("duty@example.com")

    def ask(method, path, **options):
        return session.request(method, sandbox.url + path, timeout=5, allow_redirects=False, **options)

    return ask


def test_a_status_is_answered_as_often_as_was_said_and_then_no_more(sandbox, client):
    sandbox.faults.add(Fault("status", times=2, status=503, body="<h1>Down</h1>", headers={"Retry-After": "3600"}))

    first, second, third = (client("GET", "/rest/bug/1") for _ in range(3))

    assert [first.status_code, second.status_code, third.status_code] == [503, 503, 200]
    assert (first.text, first.headers["Retry-After"]) == ("<h1>Down</h1>", "3600")


def test_a_fault_strikes_only_what_its_expression_matches(sandbox, client):
    sandbox.faults.add(Fault("status", match=r"^GET /rest/bug\?.*limit=7", status=500))

    assert client("GET", "/rest/bug?limit=7").status_code == 500
    assert client("GET", "/rest/bug?limit=8").status_code == 200
    assert client("PUT", "/rest/bug/1", json={}).status_code == 200


def test_a_fault_without_an_expression_leaves_the_pages_for_people_alone(sandbox, client):
    sandbox.faults.add(Fault("status", status=500))

    assert client("GET", "/").status_code == 200
    assert client("GET", "/rest/version").status_code == 500


def test_a_page_an_empty_answer_and_a_redirect_stand_in_for_data(sandbox, client):
    sandbox.faults.add(Fault("html", times=1))
    sandbox.faults.add(Fault("empty", times=1))
    sandbox.faults.add(Fault("redirect", times=1, status=307, location="https://login.example.com/"))

    page, empty, redirect = (client("GET", "/rest/bug/1") for _ in range(3))

    assert (page.status_code, page.headers["Content-Type"].split(";")[0], page.text[:9]) == (
        200,
        "text/html",
        "<!DOCTYPE",
    )
    assert (empty.status_code, empty.content) == (200, b"")
    assert (redirect.status_code, redirect.headers["Location"]) == (307, "https://login.example.com/")


def test_a_delay_comes_before_the_answer(sandbox, client):
    sandbox.faults.add(Fault("delay", times=1, seconds=0.3))

    started = time.monotonic()
    assert client("GET", "/rest/version").status_code == 200

    assert time.monotonic() - started >= 0.3


def test_an_answer_that_drips_comes_letter_by_letter(sandbox, client):
    sandbox.faults.add(Fault("drip", times=1, bytes_per_second=100))

    started = time.monotonic()
    answer = client("GET", "/rest/version")

    assert answer.json() == {"version": "5.3.3+"}
    assert time.monotonic() - started >= 0.15  # 21 bytes at 100 a second


def test_the_header_drips_too_when_asked(sandbox):
    sandbox.faults.add(Fault("drip", times=1, bytes_per_second=200, headers=True))
    with socket.create_connection((sandbox.host, sandbox.port), timeout=5) as connection:
        connection.sendall(b"GET /rest/version HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        time.sleep(0.1)

        assert 0 < len(connection.recv(65536)) < 60  # a whole header is longer


def test_a_cut_answer_ends_in_the_middle(sandbox, client):
    sandbox.faults.add(Fault("cut", times=1, after_bytes=5))

    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        client("GET", "/rest/bug/1")
    assert client("GET", "/rest/bug/1").status_code == 200


def test_a_poisonous_bug_spoils_every_answer_that_would_hold_it(sandbox, client):
    sandbox.faults.add(Fault("poison", bug_id=2, status=500, code=-32000))

    assert [client("GET", f"/rest/bug?id={ids}").status_code for ids in ("1,2,3", "1,3", "2")] == [500, 200, 500]
    assert [client("GET", f"/rest/bug/2{part}").status_code for part in ("", "/comment", "/history")] == [500] * 3
    assert client("GET", "/rest/bug/1").status_code == 200


def test_a_bad_bug_appears_with_broken_fields_among_good_ones(sandbox, client):
    sandbox.faults.add(Fault("bad_bug", bug_id=2, patch={"status": 7, "flags": None}, remove=["groups"]))

    one, two, _three = client("GET", "/rest/bug?id=1,2,3").json()["bugs"]

    assert (two["status"], two["flags"], "groups" in two) == (7, None, False)
    assert (one["status"], one["flags"], one["groups"]) == ("NEW", [], [])


def test_a_stale_replica_shows_the_past_and_the_primary_the_present(sandbox, client, clock):
    client("PUT", "/rest/bug/1", json={"whiteboard": "[new]", "comment": {"body": "Hello"}})
    sandbox.faults.add(Fault("stale", seconds=60))

    assert client("GET", "/rest/bug?id=1").json()["bugs"][0]["whiteboard"] == ""
    assert len(client("GET", "/rest/bug/1/comment").json()["bugs"]["1"]["comments"]) == 1
    assert client("GET", "/rest/bug/1/history").json()["bugs"][0]["history"] == []
    assert client("GET", "/rest/bug/1").json()["bugs"][0]["whiteboard"] == "[new]"

    clock.at += timedelta(seconds=60)

    assert client("GET", "/rest/bug?id=1").json()["bugs"][0]["whiteboard"] == "[new]"
    assert len(client("GET", "/rest/bug/1/comment").json()["bugs"]["1"]["comments"]) == 2
    assert len(client("GET", "/rest/bug/1/history").json()["bugs"][0]["history"]) == 1


def test_a_stale_replica_does_not_know_a_bug_filed_a_moment_ago(sandbox, client):
    asked = {"product": "Product", "component": "Component", "version": "unspecified", "summary": "Just now"}
    number = client("POST", "/rest/bug", json=asked).json()["id"]
    sandbox.faults.add(Fault("stale", seconds=5))

    assert [bug["id"] for bug in client("GET", "/rest/bug?product=Product&include_fields=id").json()["bugs"]] == [
        1,
        2,
        3,
    ]
    assert client("GET", f"/rest/bug/{number}").status_code == 200


def test_a_throttle_warns_once_and_then_blocks_until_it_is_cleared(sandbox, client):
    sandbox.faults.add(Fault("throttle", after=2))

    answers = [client("GET", "/rest/bug/1") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 400, 429, 429]
    assert answers[2].json()["code"] == "32000"
    assert answers[3].text.startswith("<!DOCTYPE html>")
    sandbox.faults.clear()
    assert client("GET", "/rest/bug/1").status_code == 200


def test_a_write_can_be_applied_without_an_answer(sandbox, client):
    sandbox.faults.add(Fault("applied_then_cut", match="^PUT ", times=1))

    with pytest.raises(requests.ConnectionError):
        client("PUT", "/rest/bug/1", json={"whiteboard": "[written]"})

    assert sandbox.world.bug(1)["whiteboard"] == "[written]"
    assert sandbox.requests[-1].status == 0


def test_an_unknown_kind_of_fault_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="there is no fault 'nonsense'"):
        Fault("nonsense")


def test_another_process_scripts_the_faults_and_reads_the_ledger(sandbox, client):
    posted = client("POST", "/sandbox/faults", json=[{"kind": "status", "match": "whoami", "status": 418}])

    assert posted.json() == [{"kind": "status", "match": "whoami", "times": None, "status": 418}]
    assert client("GET", "/rest/whoami").status_code == 418
    assert client("DELETE", "/sandbox/faults").json() == []
    assert client("GET", "/rest/whoami").status_code == 200
    assert [(one["path"], one["status"]) for one in client("GET", "/sandbox/requests").json()] == [
        ("/rest/whoami", 418),
        ("/rest/whoami", 200),
    ]
    assert client("DELETE", "/sandbox/requests").json() == []
    assert client("POST", "/sandbox/faults", json=[{"kind": "nonsense"}]).status_code == 400


def test_the_ledger_holds_what_was_asked(sandbox, client):
    client("PUT", "/rest/bug/1?a=b&a=c", json={"whiteboard": "x"})

    asked = sandbox.requests[-1]

    assert (asked.method, asked.path, asked.params, asked.status) == (
        "PUT",
        "/rest/bug/1",
        [("a", "b"), ("a", "c")],
        200,
    )
    assert (asked.body, asked.headers["content-type"]) == (b'{"whiteboard": "x"}', "application/json")
    assert abs(real_utc() - asked.at) < timedelta(seconds=30)


def test_a_stopped_sandbox_cuts_its_connections_and_comes_back_at_the_same_address(sandbox, client):
    assert client("GET", "/rest/version").status_code == 200
    address = sandbox.url

    sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        client("GET", "/rest/version")
    sandbox.start()

    assert sandbox.url == address
    assert client("GET", "/rest/version").status_code == 200


def test_a_connection_is_kept_for_the_next_question(sandbox):
    with socket.create_connection((sandbox.host, sandbox.port), timeout=5) as connection:
        for _ in range(3):
            connection.sendall(b"GET /rest/version HTTP/1.1\r\nHost: sandbox\r\n\r\n")
            assert b"200 OK" in connection.recv(65536)


def test_nothing_that_was_asked_is_printed(sandbox, client, capfd):
    client("GET", "/rest/bug?Bugzilla_api_key=secret-key-in-the-address&id=1")
    client("POST", "/rest/bug/1/comment", json={"comment": "secret words"})
    client("PUT", "/rest/bug/1", json={"flags": "secret that makes no sense"})

    printed = "".join(capfd.readouterr())

    assert "secret" not in printed
    assert "sandbox: " in printed, "the last one is no sensible request, and the sandbox says where it failed"


# --- the command -----------------------------------------------------------------------------------------------------


def _command(*arguments):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "manage.py", "sandbox_bugzilla", *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_its_seeded_world_and_ends_cleanly(tmp_path, number):
    process = _command("--port", "0", "--database", str(tmp_path / "world.sqlite"), "--version", "5.2+")
    try:
        address = re.search(r"http://\S+", process.stdout.readline())[0]
        assert requests.get(f"{address}/rest/version", timeout=5).json() == {"version": "5.2+"}
        signed_in = requests.get(
            f"{address}/rest/valid_login?login=bot@example.com&Bugzilla_api_key={BOT_KEY}", timeout=5
        )
        assert signed_in.json() == {"result": True}
    finally:
        process.send_signal(number)
        _, complaints = process.communicate(timeout=10)
    assert (process.returncode, complaints) == (0, "")


def test_the_command_says_in_one_line_that_its_port_is_taken(sandbox):
    process = _command("--port", str(sandbox.port))
    _, complaints = process.communicate(timeout=20)

    assert process.returncode == 1
    assert complaints.strip() == (
        f"CommandError: The sandbox Bugzilla cannot listen on 127.0.0.1:{sandbox.port} (Address already in use): "
        "choose another --port."
    )


def test_a_world_in_a_file_is_kept_and_not_seeded_twice(tmp_path):
    path = str(tmp_path / "world.sqlite")
    first = World(path)
    first.add_user("duty@example.com")
    first.close()

    second = World(path)

    assert not second.is_empty()
    assert second.logins() == ["duty@example.com"]
    second.close()
