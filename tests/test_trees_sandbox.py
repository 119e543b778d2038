"""The sandbox tree status beyond what was recorded: memory of several processes, rights, limits, store and clock."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from django.core.management import CommandError, call_command

from ciduty.sandboxes import ahead_by, real_utc
from ciduty.trees.sandbox import BOT_TOKEN, LANDO, STANDALONE, Client, Sandbox, World, editing, errors, rights
from ciduty.trees.sandbox.moments import stamp
from ciduty.trees.sandbox.seed import TREES, seed
from tests.instruments.servers import free_port, wait_until

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[1]
DUTY, SHERIFF = "duty@example.com", "sheriff@example.com"
BEARER = {"Authorization": f"Bearer {BOT_TOKEN}"}


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
def start(clock):
    """Start a sandbox with two trees, of one generation, as so many processes."""
    running = []

    def start(generation=STANDALONE, workers=1, **options):
        world = World(generation=generation, workers=workers)
        world.set_clock(clock)
        for name in ("autoland", "try"):
            editing.create(world, SHERIFF, name)
        running.append(Sandbox(world, **options).start())
        return running[-1]

    yield start
    for sandbox in running:
        sandbox.stop()
        sandbox.world.close()


def ask(sandbox, path, method="GET", **options):
    return requests.request(method, sandbox.url + path, timeout=5, allow_redirects=False, **options)


def close(sandbox, *names, who=SHERIFF, reason="Bug 1900003 - bustage", remember=True):
    editing.update(sandbox.world, who, list(names), "closed", reason, ["infra"], remember=remember)


def status_of_one(sandbox, name="autoland", prefix=""):
    return ask(sandbox, f"{prefix}/trees/{name}").json()["result"]["status"]


# --- memory -----------------------------------------------------------------------------------------------------------


def test_of_three_processes_two_go_on_telling_that_a_closed_tree_is_open(start):
    sandbox = start(workers=3)
    assert {status_of_one(sandbox) for _ in range(3)} == {"open"}

    close(sandbox, "autoland")

    assert sorted(status_of_one(sandbox) for _ in range(90)) == ["closed"] * 30 + ["open"] * 60
    assert {ask(sandbox, "/trees").json()["result"]["autoland"]["status"] for _ in range(3)} == {"closed"}


def test_a_single_tree_is_remembered_for_300_seconds_and_not_one_more(start, clock):
    sandbox = start(LANDO)
    where = "/api/treestatus"
    assert status_of_one(sandbox, prefix=where) == "open"
    editing.delete(sandbox.world, "autoland", forget=False)

    clock.at = NOW + timedelta(seconds=299)
    assert status_of_one(sandbox, prefix=where) == "open"
    clock.at = NOW + timedelta(seconds=300)
    assert ask(sandbox, where + "/trees/autoland").status_code == 404


def test_a_tree_that_did_not_exist_is_seen_as_soon_as_it_does(start):
    sandbox = start()
    assert ask(sandbox, "/trees/pine").status_code == 400

    editing.create(sandbox.world, SHERIFF, "pine")

    assert status_of_one(sandbox, "pine") == "open"


# --- rights and bodies ------------------------------------------------------------------------------------------------

CLOSE = {"trees": ["autoland"], "status": "closed", "reason": "x", "tags": []}
WRITES = [
    ("PATCH", "/trees", rights.UPDATE, CLOSE),
    ("PUT", "/trees/pine", rights.CREATE, {"tree": "pine", "status": "open", "reason": "", "message_of_the_day": ""}),
    ("DELETE", "/trees/try", rights.DELETE, None),
    ("PATCH", "/stack/1", rights.REVERT, {"reason": "y"}),
    ("PATCH", "/log/1", rights.UPDATE, {"reason": "y"}),
    ("DELETE", "/stack2/restore/1", rights.REVERT, None),
    ("DELETE", "/stack/2?revert=0", rights.REVERT, None),
]


@pytest.mark.parametrize(("method", "path", "scope", "body"), WRITES)
def test_each_write_needs_its_own_scope(start, method, path, scope, body):
    others = tuple(set(rights.EVERYTHING) - {scope})
    sandbox = start(tokens={"right": Client(DUTY, (scope,)), "wrong": Client(DUTY, others)})
    close(sandbox, "autoland")
    close(sandbox, "try")

    statuses = [
        ask(sandbox, path, method, json=body, headers={"Authorization": f"Bearer {token}"}).status_code
        for token in ("wrong", "nobody's", "right")
    ]

    assert statuses[:2] == [401, 401]
    assert statuses[2] in (200, 204)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"trees": ["try", 7]}, "7 is not of type 'string' - 'trees.1'"),
        ({"trees": ["try"], "remember": "yes"}, "'yes' is not of type 'boolean' - 'remember'"),
        ({"trees": ["try"], "tags": "planned"}, "'planned' is not of type 'array' - 'tags'"),
        ({"trees": ["try"], "status": True}, "True is not of type 'string' - 'status'"),
    ],
)
def test_a_body_of_another_shape_is_refused_in_the_words_of_the_real_one(start, body, detail):
    answer = ask(start(), "/trees", "PATCH", json=body, headers=BEARER)

    assert (answer.status_code, answer.json()["detail"]) == (400, detail)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/stack/2147483648", {"reason": "x"}),
        ("DELETE", "/stack2/discard/99999999999999999999", None),
        ("PATCH", "/log/2147483648", {"reason": "x"}),
    ],
)
def test_a_number_larger_than_the_column_breaks_the_real_service(start, method, path, body):
    answer = ask(start(), path, method, json=body, headers=BEARER)

    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")


@pytest.mark.parametrize(("body", "status"), [({}, 204), ({"reason": "x"}, 400)])
def test_a_log_entry_is_looked_for_only_when_something_is_to_be_written(start, body, status):
    """As upstream's `update_log` returns early; this one was read, not recorded."""
    assert ask(start(), "/log/4711", "PATCH", json=body, headers=BEARER).status_code == status


def test_a_refused_change_leaves_nothing_behind(start):
    sandbox = start()

    with pytest.raises(errors.Crash):
        editing.update(sandbox.world, SHERIFF, ["autoland", "try"], "x" * 65, "y", [])

    assert [(tree["status"], tree["log_id"]) for tree in sandbox.world.trees()] == [("open", None)] * 2
    editing.update(sandbox.world, SHERIFF, ["autoland"], "x" * 64, "y", [])
    assert sandbox.world.tree("autoland")["status"] == "x" * 64


def test_changes_of_one_transaction_are_made_together_or_not_at_all(start):
    world = start().world

    with pytest.raises(RuntimeError, match="in the middle"), world.transaction():
        editing.update(world, SHERIFF, ["try"], "closed", "x", [], remember=True)
        raise RuntimeError("in the middle")

    assert (world.tree("try")["status"], world.stack(), world.logs("try")) == ("open", [], [])


def test_lando_refuses_to_close_without_a_tag_and_standalone_takes_an_empty_list(start):
    with pytest.raises(errors.Refusal, match="Tags are required"):
        editing.update(start(LANDO).world, SHERIFF, ["try"], "closed", "x", [])

    editing.update(start().world, SHERIFF, ["try"], "closed", "x", [])


def test_each_generation_answers_at_its_own_address_only(start):
    standalone, lando = start(), start(LANDO)

    assert ask(standalone, "/trees").status_code == ask(lando, "/api/treestatus/trees").status_code == 200
    assert ask(standalone, "/api/treestatus/trees").headers["Content-Type"] == "application/problem+json"
    assert ask(lando, "/trees").headers["Content-Type"] == "text/html; charset=utf-8"
    assert ask(lando, "/trees").status_code == ask(standalone, "/api/treestatus/trees").status_code == 404


def test_the_sign_that_somebody_closed_since_is_the_log_id(start):
    sandbox = start()
    close(sandbox, "autoland", who=DUTY)
    ours = ask(sandbox, "/stack").json()["result"][0]["trees"][0]["last_state"]["current_log_id"]
    assert ask(sandbox, "/trees").json()["result"]["autoland"]["log_id"] == ours

    close(sandbox, "autoland", reason="Bug 1900004 - another bustage")
    assert ask(sandbox, "/trees").json()["result"]["autoland"]["log_id"] != ours


# --- store, clock, ledger ---------------------------------------------------------------------------------------------


def test_a_store_is_found_again_as_it_was_left(tmp_path):
    first = World(str(tmp_path / "trees.sqlite3"))
    seed(first)
    left = first.trees(), first.logs("autoland")
    first.close()

    again = World(str(tmp_path / "trees.sqlite3"))

    assert not again.is_empty()
    assert (again.trees(), again.logs("autoland")) == left
    again.close()


@pytest.mark.parametrize("generation", [STANDALONE, LANDO])
def test_the_first_world_has_what_a_newcomer_needs(clock, generation):
    world = World(generation=generation)
    world.set_clock(clock)
    seed(world)
    trees = {tree["tree"]: tree for tree in world.trees()}

    assert set(trees) == set(TREES)
    assert {tree["status"] for tree in trees.values()} == {"open", "closed", "approval required"}
    assert trees["autoland"]["status"] == trees["mozilla-central"]["status"] == "open"
    assert max(log["when"] for name in trees for log in world.logs(name)) == stamp(NOW - timedelta(minutes=40))
    assert world.now() == stamp(NOW)
    world.close()


def test_an_unknown_generation_is_refused():
    with pytest.raises(ValueError, match="'v3': use one of standalone, lando"):
        World(generation="v3")


def test_its_clock_follows_a_file(tmp_path):
    clock = ahead_by(tmp_path / "clock")
    assert abs(clock() - real_utc()) < timedelta(seconds=5)

    (tmp_path / "clock").write_text("3600")

    assert timedelta(minutes=59) < clock() - real_utc() < timedelta(minutes=61)


def test_every_request_stands_in_the_ledger_and_the_ledger_does_not(start):
    sandbox = start()
    ask(sandbox, "/trees?a=1")
    ask(sandbox, "/trees", "PATCH", json={"trees": []}, headers=BEARER)

    lines = ask(sandbox, "/sandbox/requests").json()

    assert [(one["method"], one["path"], one["params"], one["status"]) for one in lines] == [
        ("GET", "/trees", [["a", "1"]], 200),
        ("PATCH", "/trees", [], 404),
    ]
    assert lines[1]["body"] == '{"trees": []}'
    assert ask(sandbox, "/sandbox/requests", "DELETE").json() == []


def test_the_command_serves_until_it_is_told_to_stop(tmp_path):
    port = free_port()
    command = [sys.executable, "manage.py", "sandbox_treestatus", "--port", str(port), "--generation", "lando"]
    said = (tmp_path / "said").open("wb")
    process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, env=os.environ)
    try:
        wait_until(lambda: b"Ctrl-C" in (tmp_path / "said").read_bytes(), "the sandbox", 30)
        trees = requests.get(f"http://127.0.0.1:{port}/api/treestatus/trees", timeout=5).json()["result"]
    finally:
        process.send_signal(signal.SIGTERM)
        ended = process.wait(10)
        said.close()

    assert set(trees) == set(TREES)
    assert ended == 0


def test_the_command_says_in_a_sentence_that_its_port_is_taken(start, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the test's own process keeps its handlers

    with pytest.raises(CommandError, match=r"cannot listen on 127\.0\.0\.1:\d+ .*: choose another --port"):
        call_command("sandbox_treestatus", port=start().port)
