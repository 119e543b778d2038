"""The border to tree status services: both generations, both paths, and whatever is no whole answer is none."""

import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from ciduty.trees.adapters import http, reading
from ciduty.trees.adapters.http import Unavailable
from ciduty.trees.adapters.reading import LANDO, STANDALONE, Reader
from tests.trees_stage import PREFIX, entry, standing, told

JSON = "application/json"
PAGE = b"<!doctype html><title>Server Error</title>"


@pytest.fixture
def bare():
    with standing() as stand:
        yield stand


@pytest.fixture
def prefixed():
    with standing(PREFIX) as stand:
        yield stand


def refusal(stand, address=None):
    with pytest.raises(Unavailable) as raised:
        Reader(address or stand.url).trees()
    return str(raised.value)


def test_the_standalone_service_is_read_at_its_root(bare):
    bare.say(told("try", "closed", "backlog\nof jobs ✓", ["backlog"], 7, motd="Hello"), told("autoland"))
    answer = Reader(bare.url).trees()
    assert (answer.generation, answer.base, answer.left_out) == (STANDALONE, "", 0)
    assert answer.trees["try"] == reading.TreeTold("try", "closed", "backlog\nof jobs ✓", "Hello", ("backlog",), 7, "")
    assert (answer.trees["autoland"].log_id, answer.trees["autoland"].tags) == (None, ())
    assert bare.asked == ["/trees"]


@pytest.mark.parametrize("ending", ["", "/", PREFIX, PREFIX + "/"])
def test_lando_is_found_below_its_path_whichever_of_both_the_address_names(prefixed, ending):
    prefixed.say(told("autoland", category="development"))
    answer = Reader(prefixed.url + ending).trees()
    assert (answer.generation, answer.trees["autoland"].category) == (LANDO, "development")
    assert prefixed.asked[-1] == f"{PREFIX}/trees"


def test_a_standalone_service_below_a_path_is_known_by_what_it_says(prefixed):
    prefixed.say(told("autoland"))
    assert Reader(prefixed.url).trees().generation == STANDALONE


def test_where_it_stood_last_is_asked_first_and_the_other_where_it_moved(bare, prefixed):
    prefixed.say(told("autoland", category="try"))
    bare.say(told("autoland"))
    Reader(prefixed.url, base=PREFIX).trees()
    assert prefixed.asked == [f"{PREFIX}/trees"]
    assert Reader(bare.url, base=PREFIX).trees().base == ""
    assert bare.asked == [f"{PREFIX}/trees", "/trees"]


def test_the_memoized_route_of_a_single_tree_is_never_asked(bare):
    bare.say(told("try", log_id=2), **{"try": [entry(2, "2026-11-21T05:21:07.669989+00:00", "open")]})
    reader = Reader(bare.url)
    reader.trees(), reader.logs("try")
    assert bare.asked == ["/trees", "/trees/try/logs"]


@pytest.mark.parametrize(
    ("when", "micro"), [("2026-11-21T05:21:07.669989+00:00", 669989), ("2026-11-21T05:21:07.669Z", 669000),
                        ("2026-11-21T07:21:07.669+02:00", 669000), ("2026-11-21T05:21:07.669", 669000)],
)  # fmt: skip
def test_both_ways_of_writing_a_moment_are_understood(bare, when, micro):
    bare.say(told("try"), **{"try": [entry(9, when, "open"), entry(3, when, "closed", "x", ["infra"])]})
    reader = Reader(bare.url)
    reader.trees()
    older, newer = reader.logs("try")
    assert (older.id, newer.id, older.tags) == (3, 9, ("infra",))
    assert newer.at == datetime(2026, 11, 21, 5, 21, 7, micro, UTC)


@pytest.mark.parametrize(
    ("status", "kind", "body", "sentence"),
    [
        (500, "text/html", PAGE, "HTTP 500 and a web page"),
        (503, JSON, b'{"detail": "down"}', "HTTP 503"),
        (429, JSON, b"{}", "HTTP 429"),
        (200, "text/html", PAGE, "web page instead of data"),
        (200, JSON, b"", "no JSON, or was cut off"),
        (200, JSON, b'{"result": {"autoland": {"tree": "aut', "no JSON, or was cut off"),
        (200, JSON, b"[" * 100_000, "no JSON, or was cut off"),
        (200, JSON, b"\xff\xfe\x00", "no JSON, or was cut off"),
        (200, JSON, b"null", "not the shape"), (200, JSON, b"[]", "not the shape"),
        (200, JSON, b'{"autoland": {"status": "open"}}', "not the shape"),
        (200, JSON, b'{"result": []}', "not the shape"),
        (200, JSON, b'{"result": {"autoland": null}}', "not the shape"),
        (200, JSON, b'{"result": {"autoland": {}}}', "not the shape"),
        (200, JSON, b'{"result": {"autoland": {"status": ""}}}', "not the shape"),
        (200, JSON, b'{"result": {"autoland": {"status": "open", "tree": "try"}}}', "not the shape"),
        (200, JSON, b'{"result": {"autoland": {"status": true}}}', "other than words as status"),
        (200, JSON, b'{"result": {"autoland": {"status": "open", "reason": {}}}}', "other than words as reason"),
        (200, JSON, b'{"result": {"autoland": {"status": "open", "tags": "infra"}}}', "other than words as tags"),
        (200, JSON, b'{"result": {"autoland": {"status": "open", "tags": [1]}}}', "other than words as tags"),
        (200, JSON, b'{"result": {"autoland": {"status": "open", "log_id": "7"}}}', "other than a number"),
        (200, JSON, b'{"result": {"autoland": {"status": "open", "log_id": true}}}', "other than a number"),
        (200, JSON, b'{"result": {"autoland": {"status": "open", "log_id": 9223372036854775808}}}', "than a number"),
        (404, "text/html", PAGE, "check TREESTATUS_URL"), (301, JSON, b"", "check TREESTATUS_URL"),
    ],
)  # fmt: skip
def test_what_is_no_whole_answer_is_unavailable_with_a_sentence(bare, status, kind, body, sentence):
    bare.raw["/trees"] = (status, kind, body)
    said = refusal(bare)
    assert sentence in said
    assert said[0].isupper() and "\n" not in said and "127.0.0.1" not in said


def test_an_answer_that_breaks_off_is_unavailable(bare):
    whole = json.dumps({"result": {"autoland": told("autoland")}}).encode()
    bare.raw["/trees"] = (200, JSON, whole[:-5], {"Content-Length": str(len(whole))})
    bare.say(told("autoland"))
    assert "no JSON, or was cut off" in refusal(bare)


def test_a_redirect_is_not_followed(bare, prefixed):
    prefixed.say(told("autoland"))
    bare.raw["/trees"] = (302, "text/html", b"", {"Location": f"{prefixed.url}{PREFIX}/trees"})
    assert "HTTP 302" in refusal(bare)
    assert prefixed.asked == []


def test_an_answer_larger_than_its_limit_is_not_read_to_its_end(bare, monkeypatch):
    bare.say(told("autoland", reason="x" * 200))
    monkeypatch.setattr(http, "MOST_BYTES", 100)
    assert "larger than" in refusal(bare)


def test_more_trees_than_anybody_has_are_refused(bare, monkeypatch):
    monkeypatch.setattr(reading, "MOST_TREES", 2)
    bare.say(told("a"), told("b"))
    assert len(Reader(bare.url).trees().trees) == 2
    bare.say(told("a"), told("b"), told("c"))
    assert "more than 2 trees" in refusal(bare)


def test_nobody_at_the_address_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert refusal(None, f"http://127.0.0.1:{port}") == "No server answers at TREESTATUS_URL"


def test_a_server_that_speaks_no_tls_is_unavailable(bare):
    assert "TLS" in refusal(bare, bare.url.replace("http://", "https://"))


@pytest.mark.parametrize("part", ["the head", "the body"])
def test_a_server_that_drips_is_cut_off_when_its_time_is_up(monkeypatch, part):
    monkeypatch.setattr(http, "ALL_WITHIN", 0.4)
    stop = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    start = head if part == "the body" else b"HTTP/1.1 200 OK\r\nX-Slow: "

    def drip(listener):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(start)
            while not stop.wait(0.05):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        began = time.monotonic()
        said = refusal(None, f"http://127.0.0.1:{listener.getsockname()[1]}")
        took = time.monotonic() - began
        stop.set()
        thread.join(5)
    assert "had not finished its answer" in said
    assert took < 5  # dripped on, it would have gone on without end


def test_all_questions_of_a_poll_have_one_end(bare):
    bare.say(told("try"))
    reader = Reader(bare.url, seconds=0.05)
    with pytest.raises(Unavailable, match="too long, all together"):
        reader.trees()


def test_hostile_words_are_cleaned_and_hostile_names_left_out(bare):
    bare.say(
        told("autoland", "closed", "a\x00b\u202ec" + "x" * 5000, ["infra"]),
        told("../../etc"), told("a b"), told("<script>"), told("x" * 65),
    )  # fmt: skip
    answer = Reader(bare.url).trees()
    assert set(answer.trees) == {"autoland"}
    assert answer.left_out == 4
    reason = answer.trees["autoland"].reason
    assert reason.startswith("a\ufffdb[U+202E]c") and len(reason) == 1000


def test_a_log_in_a_wrong_shape_is_unavailable(bare):
    bare.say(told("try"))
    reader = Reader(bare.url)
    reader.trees()
    for entries in ([{}], [None], [entry(1, "yesterday", "open")], [entry(1, None, "open")], [entry(None, "x", "y")]):
        bare.say(told("try"), **{"try": entries})
        with pytest.raises(Unavailable):
            reader.logs("try")


def test_a_service_that_asks_us_to_wait_is_heard(bare):
    for said, wait in (("120", timedelta(minutes=2)), ("soon", timedelta()), ("-5", timedelta())):
        bare.raw["/trees"] = (503, JSON, b"{}", {"Retry-After": said})
        with pytest.raises(Unavailable) as raised:
            Reader(bare.url).trees()
        assert raised.value.wait == wait
