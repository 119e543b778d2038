"""The sandbox tree status goes wrong on demand: each scripted fault strikes where it should, and only there."""

import time

import pytest
import requests

from ciduty.trees.sandbox import BOT_TOKEN, LANDO, Fault, Sandbox, World, editing

SHERIFF = "sheriff@example.com"


@pytest.fixture(params=["standalone", "lando"])
def sandbox(request):
    """A sandbox of each generation with two open trees."""
    world = World(generation=request.param)
    for name in ("autoland", "try"):
        editing.create(world, SHERIFF, name)
    with Sandbox(world) as running:
        yield running
    world.close()


@pytest.fixture
def ask(sandbox):
    """Ask for a path of this generation's API."""
    prefix = "/api/treestatus" if sandbox.world.generation == LANDO else ""
    return lambda path="/trees", method="GET", **options: requests.request(
        method, sandbox.url + prefix + path, timeout=5, allow_redirects=False, **options
    )


def close_autoland(sandbox):
    editing.update(sandbox.world, SHERIFF, ["autoland"], "closed", "bustage", ["infra"])


def test_a_page_of_html_stands_in_for_the_answer_as_often_as_was_said(sandbox, ask):
    sandbox.faults.add(Fault("html", times=2))

    answers = [ask() for _ in range(3)]

    assert [answer.status_code for answer in answers] == [500, 500, 200]
    assert [answer.headers["Content-Type"].split(";")[0] for answer in answers] == [
        "text/html",
        "text/html",
        "application/json",
    ]


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault("status", status=503, body={"detail": "down"}), 503, b'{"detail": "down"}'),
        (Fault("status", status=429, body="slow down"), 429, b"slow down"),
        (Fault("empty"), 200, b""),
        (Fault("redirect", location="https://example.com/sign-in"), 302, b""),
        (Fault("html", status=200, body="<p>Sign in</p>"), 200, b"<p>Sign in</p>"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_another_answer_stands_in_for_the_real_one(sandbox, ask, fault, status, body):
    sandbox.faults.add(fault)

    answer = ask()

    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers.get("Location") == fault.get("location")


def test_a_cut_answer_is_not_what_its_header_promised(sandbox, ask):
    sandbox.faults.add(Fault("cut", after_bytes=10))

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        ask()


@pytest.mark.parametrize("sandbox", ["standalone"], indirect=True)
def test_a_change_can_be_made_and_the_answer_lost(sandbox, ask):
    sandbox.faults.add(Fault("applied_then_cut", times=1))
    body = {"trees": ["autoland"], "status": "closed", "reason": "x", "tags": ["planned"], "remember": True}

    with pytest.raises(requests.ConnectionError):
        ask(method="PATCH", json=body, headers={"Authorization": f"Bearer {BOT_TOKEN}"})

    assert ask().json()["result"]["autoland"]["status"] == "closed"
    assert [recorded.status for recorded in sandbox.requests] == [0, 200]


def test_a_delayed_answer_comes_late_and_right(sandbox, ask):
    sandbox.faults.add(Fault("delay", seconds=0.2, times=1))
    began = time.monotonic()

    assert ask().status_code == 200
    assert time.monotonic() - began >= 0.2


def test_stale_reads_tell_what_was_true_when_the_fault_came(sandbox, ask):
    fault = sandbox.faults.add(Fault("stale", times=3))
    close_autoland(sandbox)

    seen = [ask(path).json()["result"] for path in ("/trees", "/trees/autoland", "/stack")]
    assert (seen[0]["autoland"]["status"], seen[1]["status"], seen[2]) == ("open", "open", [])
    assert fault.times == 0
    assert ask().json()["result"]["autoland"]["status"] == "closed"


def test_a_vanished_tree_is_unknown_and_comes_back_with_its_history(sandbox, ask):
    close_autoland(sandbox)
    before = ask().json()
    assert ask("/trees/autoland").status_code == 200

    sandbox.faults.add(Fault("vanish", tree="autoland"))

    assert set(ask().json()["result"]) == {"try"}
    unknown = 404 if sandbox.world.generation == LANDO else 400
    assert [ask(f"/trees/autoland{more}").status_code for more in ("", "/logs")] == [unknown, 404]
    sandbox.faults.clear()
    assert ask().json() == before


def test_several_trees_vanish_at_once(sandbox, ask):
    for name in ("autoland", "try"):
        sandbox.faults.add(Fault("vanish", tree=name))

    assert ask().json() == {"result": {}}
    assert 'value="autoland"' in requests.get(sandbox.url + "/treestatus/", timeout=5).text, "the page is not told"


def test_a_fault_strikes_only_what_it_matches_and_never_the_page(sandbox, ask):
    sandbox.faults.add(Fault("status", match=r"GET .*/stack"))
    assert [ask(path).status_code for path in ("/trees", "/stack")] == [200, 500]

    sandbox.faults.add(Fault("html"))
    assert ask().status_code == 500
    assert requests.get(sandbox.url + "/treestatus/", timeout=5).status_code == 200


def test_another_process_scripts_faults_and_takes_them_back(sandbox, ask):
    where = sandbox.url + "/sandbox/faults"
    told = requests.post(where, json=[{"kind": "empty"}, {"kind": "vanish", "tree": "try"}], timeout=5).json()

    assert told == [
        {"kind": "empty", "match": None, "times": None},
        {"kind": "vanish", "match": None, "times": None, "tree": "try"},
    ]
    assert ask().content == b""
    assert requests.delete(where, timeout=5).json() == []
    assert set(ask().json()["result"]) == {"autoland", "try"}


@pytest.mark.parametrize(
    "body", ["[{", '{"kind": "html"}', '[{"kind": "fire"}]', '[{"kind": "vanish"}]', '[{"kind": "html", "match": "("}]']
)
def test_a_fault_that_makes_no_sense_is_refused_and_nothing_goes_wrong(sandbox, ask, body):
    answer = requests.post(sandbox.url + "/sandbox/faults", data=body, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["error"]
    assert ask().status_code == 200


def test_a_stopped_sandbox_comes_back_at_the_same_address(sandbox, ask):
    sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        ask()

    sandbox.start()

    assert ask().status_code == 200
