"""The border: every failure is one of six, in one clear line, and the key stands nowhere but in its request."""

import logging
import traceback
from datetime import UTC, datetime, timedelta

import pytest
import requests

from ciduty.bugzilla.client import Client
from ciduty.bugzilla.errors import Auth, NotVisible, Rejected, Throttled, Unavailable, Unknown
from ciduty.bugzilla.listing import Listing
from ciduty.bugzilla.sandbox import Fault, Sandbox, World
from ciduty.bugzilla.session import BorderSession

KEY = "k3y/with+signs&that=need%escaping-0123456789"
LOANS = ("Infrastructure & Operations", "CIDuty: Loan Requests")


@pytest.fixture(scope="module")
def world():
    world = World(":memory:")
    world.add_group("infra")
    world.add_flag_type("needs-treeclosure")
    world.add_user("bot@example.com", "Bot", key=KEY)
    world.add_user("developer@example.com", "Developer")
    world.add_user("nobody@example.com")
    world.add_product(LOANS[0], components=[LOANS[1], "CIDuty"], default_assignee="nobody@example.com")
    for number in range(30):
        world.add_bug(
            product=LOANS[0],
            component=LOANS[1],
            summary=f"Loan number {number}",
            creator="developer@example.com",
            groups=["infra"] if number == 7 else [],
        )
    return world


@pytest.fixture(scope="module", params=["5.3.3+", "5.2+"])
def server(request, world):
    with Sandbox(world, version=request.param) as sandbox:
        sandbox.key_in = "query" if request.param == "5.2+" else "header"
        yield sandbox


@pytest.fixture
def sandbox(server):
    server.faults.clear()
    server.requests.clear()
    yield server
    server.faults.clear()


def client_of(sandbox, key=KEY, **options):
    options = {"key_in": sandbox.key_in, "login": "bot@example.com"} | options
    return Client(sandbox.url, key, **options)


def impatient(sandbox, all_within=1.0, read_within=0.5):
    session = BorderSession(KEY, sandbox.key_in, all_within=all_within, read_within=read_within)
    return client_of(sandbox, session=session)


def failure_of(call, kind):
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    line = str(caught.value)
    assert line and "\n" not in line
    return caught.value


def test_the_key_is_proven_to_be_signed_in(sandbox):
    assert client_of(sandbox).signed_in_as() == "bot@example.com"


def test_no_key_fails_without_asking_anybody(sandbox):
    failure = failure_of(client_of(sandbox, key="").signed_in_as, Auth)
    assert "BUGZILLA_API_KEY is not set" in str(failure)
    assert not sandbox.requests


def test_a_bad_key_is_auth_after_one_call_that_carries_it(sandbox):
    failure = failure_of(client_of(sandbox, key="wrong" * 8).server_time, Auth) if sandbox.key_in == "query" else None
    failure = failure or failure_of(client_of(sandbox, key="wrong" * 8).signed_in_as, Auth)
    assert "BUGZILLA_API_KEY" in str(failure)
    assert len(sandbox.requests) <= 2


def test_a_server_that_ignores_the_header_is_noticed_although_it_answers_200(world):
    with Sandbox(world, version="5.2+") as old:
        failure = failure_of(Client(old.url, KEY, key_in="header", login="bot@example.com").signed_in_as, Auth)
    assert "BUGZILLA_KEY_IN=query" in str(failure)


def test_a_server_without_whoami_proves_the_sign_in_without_a_login_too(world):
    with Sandbox(world, version="5.2+") as old:
        assert Client(old.url, KEY, key_in="query").signed_in_as() == ""
        failure = failure_of(Client(old.url, KEY, key_in="header").signed_in_as, Auth)
        assert "BUGZILLA_KEY_IN=query" in str(failure)
        assert len(old.requests) == 4


def test_a_login_that_bugzilla_does_not_know_is_named(world):
    with Sandbox(world, version="5.2+") as old:
        failure = failure_of(
            Client(old.url, KEY, key_in="query", login="nobody@nowhere.example.com").signed_in_as, Auth
        )
    assert "nobody@nowhere.example.com" in str(failure)


def test_a_trailing_slash_does_not_matter(sandbox):
    client = Client(sandbox.url + "/", KEY, key_in=sandbox.key_in)
    assert 1 in client.bugs([1])


def test_the_server_time_is_aware_and_in_utc(sandbox):
    assert client_of(sandbox).server_time().utcoffset() == timedelta(0)


def test_hidden_bugs_are_absent_from_a_bulk_read_and_never_shift_the_others(sandbox):
    answer = client_of(sandbox).bugs([7, 8, 9, 99999])
    assert set(answer) == {7, 9}
    assert answer[9]["summary"] == "Loan number 8"


@pytest.mark.parametrize("bug_id", [8, 99999])
def test_a_single_read_of_a_hidden_or_missing_bug_is_not_visible(sandbox, bug_id):
    failure_of(lambda: client_of(sandbox).bug(bug_id), NotVisible)


def search_all(client):
    return [row["id"] for row in Listing(client, {"product": LOANS[0], "component": LOANS[1]}, "bugs").rows()]


def test_a_search_reads_to_the_end_although_the_server_cuts_without_a_mark(world):
    seen_by_bot = [number for number in range(1, 31) if number != 8]
    with Sandbox(world, max_search_results=21) as capped:
        assert search_all(Client(capped.url, KEY)) == seen_by_bot


def test_a_search_that_the_server_always_refuses_ends_after_a_few_tries(sandbox):
    client = client_of(sandbox)
    nonsense = Listing(client, {"f1": "nonsense", "o1": "equals", "v1": "x"}, "x")
    assert failure_of(lambda: list(nonsense.rows()), Rejected).code == 108
    assert len(sandbox.requests) < 50


@pytest.mark.parametrize("poison", [1, 2, 15, 29, 30])
def test_a_row_that_spoils_its_page_is_stepped_past_and_bracketed(sandbox, poison):
    sandbox.faults.add(Fault("poison", bug_id=poison, status=500))
    listing = Listing(client_of(sandbox), {"product": LOANS[0], "component": LOANS[1]}, "bugs")
    assert {row["id"] for row in listing.rows()} == set(range(1, 31)) - {8, poison}
    assert poison in listing.suspects()
    assert not listing.suspects() & (set(range(1, 31)) - {8, poison})


def test_a_list_that_loses_a_row_between_two_pages_is_read_anew(world, monkeypatch):
    monkeypatch.setattr("ciduty.bugzilla.listing.PAGE", 10)
    monkeypatch.setattr("ciduty.bugzilla.listing.LEAST_CAP", 1)
    with Sandbox(world) as sandbox:
        rows = Listing(Client(sandbox.url, KEY), {"product": LOANS[0], "component": LOANS[1]}, "bugs").rows()
        seen = [next(rows)["id"]]
        world.update(1, "bot@example.com", {"groups": {"add": ["infra"]}})
        seen += [row["id"] for row in rows]
        world.update(1, "bot@example.com", {"groups": {"remove": ["infra"]}})
    assert set(seen) == set(range(1, 31)) - {8}


def test_a_search_asks_with_limit_offset_and_order(sandbox):
    search_all(client_of(sandbox))
    searches = [dict(call.params) for call in sandbox.requests if call.path == "/rest/bug"]
    assert searches
    assert all(search["order"] == "bug_id" and search["limit"] and "offset" in search for search in searches)


def test_bugzillas_own_refusal_is_rejected_with_its_code(sandbox):
    failure = failure_of(lambda: client_of(sandbox).rows({"f1": "nonsense", "o1": "equals", "v1": "x"}, "x"), Rejected)
    assert failure.code == 108


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (Fault("html"), Unavailable, "web page"),
        (Fault("html", status=404), Unavailable, "check BUGZILLA_URL"),
        (Fault("html", status=503), Unavailable, "503"),
        (Fault("empty"), Unavailable, "empty page"),
        (Fault("status", status=500, body="Internal Server Error", content_type="text/plain"), Unavailable, "500"),
        (Fault("status", status=200, body="[]", content_type="application/json"), Unavailable, "no list of bugs"),
        (Fault("status", status=200, body="null", content_type="application/json"), Unavailable, "makes no sense"),
        (Fault("status", status=200, body="{}", content_type="application/json"), Unavailable, "no list of bugs"),
        (Fault("status", status=200, body='{"bugs": {}}', content_type="application/json"), Unavailable, "no list"),
        (
            Fault("status", status=200, body='{"bugs": [{"id": "x"}, 3]}', content_type="application/json"),
            Unavailable,
            "no list",
        ),
        (
            Fault("status", status=200, body="[" * 100_000, content_type="application/json"),
            Unavailable,
            "makes no sense",
        ),
        (
            Fault("status", status=200, body='{"bugs": [' + "9" * 5000 + "]}", content_type="application/json"),
            Unavailable,
            "sense",
        ),
        (
            Fault("status", status=400, body='{"error": true}', content_type="application/json"),
            Unavailable,
            "makes no sense",
        ),
        (
            Fault("status", status=429, body="<h1>Slow down</h1>", content_type="text/html"),
            Throttled,
            "limits our rate",
        ),
        (
            Fault(
                "status",
                status=400,
                body='{"error": true, "code": 32000, "message": "limit"}',
                content_type="application/json",
            ),
            Throttled,
            "limits our rate",
        ),
        (
            Fault(
                "status",
                status=400,
                body='{"error": true, "code": "306", "message": "no"}',
                content_type="application/json",
            ),
            Auth,
            "BUGZILLA_API_KEY",
        ),
        (Fault("redirect", status=302, location="http://elsewhere.example.com/"), Unavailable, "redirect"),
        (Fault("redirect", status=308, location="/login"), Unavailable, "redirect"),
        (Fault("cut", after_bytes=40), Unavailable, "broke off"),
    ],
)
def test_every_kind_of_bad_answer_is_one_failure_in_one_line(sandbox, fault, kind, says):
    client = client_of(sandbox)
    client.bugs([1])  # connected: the fault meets the read itself
    sandbox.faults.add(fault)
    assert says in str(failure_of(lambda: client.bugs([1, 2]), kind))


def test_the_code_of_a_rate_limit_with_other_words_is_a_refusal_like_any_other(sandbox):
    body = '{"error": true, "code": 32000, "message": "The bug is in a state that has no name."}'
    sandbox.faults.add(Fault("status", status=400, body=body, content_type="application/json"))
    assert failure_of(lambda: client_of(sandbox).bugs([1]), Rejected).code == 32000


def test_a_redirect_is_never_followed(sandbox, world):
    client = client_of(sandbox)
    client.bugs([1])
    with Sandbox(world) as elsewhere:
        sandbox.faults.add(Fault("redirect", status=307, location=elsewhere.url + "/rest/bug"))
        failure_of(lambda: client.bugs([1]), Unavailable)
        assert not elsewhere.requests


def test_nobody_listening_is_told_as_unreachable():
    failure = failure_of(Client("http://127.0.0.1:9", KEY).server_time, Unavailable)
    assert "could not be reached" in str(failure)
    assert not failure.reached


def test_silence_ends_with_the_read_timeout(sandbox):
    client = impatient(sandbox)
    sandbox.faults.add(Fault("delay", seconds=3))
    assert "silent for 0.5 s" in str(failure_of(client.server_time, Unavailable))


@pytest.mark.parametrize("in_headers", [False, True])
def test_a_dripping_answer_ends_with_the_deadline_of_the_whole_call(sandbox, in_headers):
    client = impatient(sandbox, all_within=0.8)
    client.bugs([1])
    sandbox.faults.add(Fault("drip", bytes_per_second=20, headers=in_headers))
    began = datetime.now(UTC)
    assert "had not finished" in str(failure_of(lambda: client.bugs([1, 2, 3]), Unavailable))
    assert datetime.now(UTC) - began < timedelta(seconds=5)


def test_an_answer_over_the_size_limit_is_not_read_to_its_end(sandbox, monkeypatch):
    monkeypatch.setattr("ciduty.bugzilla.session.MOST_BYTES", 200_000)
    client = client_of(sandbox)
    client.bugs([1])
    sandbox.faults.add(Fault("status", status=200, body="x" * 1_000_000, content_type="application/json"))
    assert "larger than" in str(failure_of(lambda: client.bugs([1]), Unavailable))


def test_the_key_goes_where_the_setting_says_and_nowhere_else(sandbox):
    client_of(sandbox).bugs([1])
    for call in sandbox.requests:
        in_query = [value for name, value in call.params if name == "Bugzilla_api_key"]
        in_header = [value for name, value in call.headers.items() if name.lower() == "x-bugzilla-api-key"]
        assert (in_query, in_header) == (([KEY], []) if sandbox.key_in == "query" else ([], [KEY]))


@pytest.mark.parametrize(
    "fault", [Fault("cut", after_bytes=5), Fault("html", status=500), Fault("redirect", status=302, location="/x")]
)
def test_no_message_log_or_traceback_holds_the_key(sandbox, fault, caplog):
    with caplog.at_level(logging.DEBUG):
        for name in ("urllib3", "urllib3.connectionpool", "bugzilla", "requests"):
            caplog.set_level(logging.DEBUG, logger=name)
        client = client_of(sandbox)
        client.bugs([1])
        sandbox.faults.add(fault)
        failure = failure_of(lambda: client.bugs([1]), Unavailable)
    assert failure.__cause__ is None and failure.__context__ is None
    escaped = requests.compat.quote(KEY, safe="")
    told = "".join(traceback.format_exception(failure)) + caplog.text + repr(client) + repr(client.session)
    assert "/rest/bug" in caplog.text  # the log was written, so its silence about the key means something
    assert KEY not in told and escaped not in told and requests.compat.quote(KEY) not in told


def test_nothing_is_taken_from_the_environment(sandbox, monkeypatch, tmp_path):
    (tmp_path / ".bugzillarc").write_text("[DEFAULT]\napi_key = fromthefile\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert client_of(sandbox).bugs([1])
    assert all("fromthefile" not in str(call.params) + str(call.headers) for call in sandbox.requests)


def test_a_known_version_is_not_asked_again(sandbox):
    client = client_of(sandbox, version="5.3")
    client.bugs([1])
    assert [call.path for call in sandbox.requests] == ["/rest/bug"]


def test_comments_tell_who_and_when_without_private_ones(sandbox, world):
    world.comment(2, "developer@example.com", "any news?", at=datetime(2026, 11, 2, 8, tzinfo=UTC))
    world.comment(2, "bot@example.com", "hidden", is_private=True)
    comments = client_of(sandbox).comments(2)
    assert [(comment.number, comment.by) for comment in comments if comment.number == 1] == [
        (1, "developer@example.com")
    ]
    assert "bot@example.com" not in [comment.by for comment in comments]


def test_history_tells_each_changed_field(sandbox, world):
    world.update(3, "bot@example.com", {"status": "ASSIGNED", "assigned_to": "developer@example.com"})
    changes = client_of(sandbox).history(3)
    assert {(change.field, change.added) for change in changes} >= {("assigned_to", "developer@example.com")}


@pytest.fixture
def written(world):
    """A bug of its own for each test that writes."""
    return world.add_bug(product=LOANS[0], component="CIDuty", summary="To be changed", creator="developer@example.com")


def test_a_change_tells_what_it_changed(sandbox, written):
    changes = client_of(sandbox).update(written, {"whiteboard": "[ours]"})
    assert changes == {"whiteboard": {"removed": "", "added": "[ours]"}}


def test_a_new_bug_tells_its_number(sandbox, world):
    fields = {"product": LOANS[0], "component": "CIDuty", "summary": "New", "version": "unspecified"}
    assert world.bug(client_of(sandbox).create(fields))["summary"] == "New"


def test_a_refused_change_is_rejected_with_its_code(sandbox, written):
    failure = failure_of(lambda: client_of(sandbox).update(written, {"component": "Nope"}), Rejected)
    assert failure.code == 51


@pytest.mark.parametrize(
    "fault",
    [
        Fault("applied_then_cut", match="^PUT"),
        Fault("cut", after_bytes=20, match="^PUT"),
        Fault("html", status=502, match="^PUT"),
        Fault("html", match="^PUT"),
        Fault("empty", match="^PUT"),
        Fault("status", status=200, body="{}", match="^PUT"),
        Fault("status", status=200, body='{"bugs": []}', match="^PUT"),
        Fault("status", status=200, body='{"bugs": [{"id": 1, "changes": {}}]}', match="^PUT"),
        Fault("redirect", status=302, location="/elsewhere", match="^PUT"),
    ],
)
def test_a_change_whose_answer_proves_nothing_is_unknown_and_is_not_sent_again(sandbox, written, fault):
    client = client_of(sandbox)
    sandbox.faults.add(fault)
    failure_of(lambda: client.update(written, {"whiteboard": "[ours]"}), Unknown)
    assert [call.method for call in sandbox.requests].count("PUT") == 1


def test_a_change_that_cannot_have_arrived_is_unavailable():
    failure_of(lambda: Client("http://127.0.0.1:9", KEY, version="5.2").update(1, {"whiteboard": "x"}), Unavailable)


@pytest.mark.parametrize("code", ["-32000", 0, 100500, None])
def test_a_write_that_broke_down_in_the_server_is_unknown_and_no_refusal(sandbox, written, code):
    body = {"error": True, "code": code, "message": "mail could not be sent"}
    sandbox.faults.add(Fault("status", status=400, body=body, match="^PUT"))
    failure_of(lambda: client_of(sandbox).update(written, {"whiteboard": "x"}), Unknown)


def test_the_state_of_a_bug_is_exact_where_it_is_written_back(sandbox, world, written):
    other = world.add_bug(product=LOANS[0], component="CIDuty", summary="Other", creator="developer@example.com")
    board = "[a]  \u202e\x01 caf\u0065\u0301 [b]"
    world.update(written, "developer@example.com", {"depends_on": {"add": [other]}, "assigned_to": "bot@example.com",
                 "flags": [{"name": "needs-treeclosure", "status": "?"}], "whiteboard": board})  # fmt: skip
    state = client_of(sandbox).state_of(written)
    assert (state.whiteboard, state.depends_on, state.blocks, state.is_open) == (board, (other,), (), True)
    assert (state.assignee, state.status, state.resolution) == ("bot@example.com", "NEW", "")
    assert [(flag.name, flag.status) for flag in state.flags] == [("needs-treeclosure", "?")]
    assert client_of(sandbox).state_of(other).blocks == (written,)


@pytest.mark.parametrize("bug_id", [8, 99999])
def test_the_state_of_a_hidden_or_missing_bug_is_not_visible(sandbox, bug_id):
    failure_of(lambda: client_of(sandbox).state_of(bug_id), NotVisible)


@pytest.mark.parametrize(
    ("patch", "remove"),
    [
        ({"whiteboard": None}, []),
        ({"whiteboard": ["x"]}, []),
        ({"is_open": 1}, []),
        ({"depends_on": ["7"]}, []),
        ({"flags": [{"id": 1}]}, []),
        ({"id": 3}, []),
        ({}, ["flags"]),
        ({}, ["blocks"]),
        ({}, ["status"]),
        ({}, ["last_change_time"]),
    ],
)
def test_a_state_that_was_not_said_is_not_guessed(sandbox, patch, remove):
    sandbox.faults.add(Fault("bad_bug", bug_id=2, patch=patch, remove=remove))
    failure_of(lambda: client_of(sandbox).state_of(2), Unavailable)


LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_comment_of_ours_is_found_by_its_ref_and_by_nothing_like_it(sandbox, world, written):
    at = datetime(2026, 11, 3, 8, tzinfo=UTC)
    world.comment(written, "bot@example.com", "Done.\n\nref c7f3a1b2  ", at=at)
    client = client_of(sandbox)
    assert client.has_comment_with(written, "ref c7f3a1b2", LONG_AGO)
    assert client.has_comment_with(written, "ref c7f3a1b2", at - timedelta(seconds=1))
    assert not client.has_comment_with(written, "ref c7f3a1b2", at + timedelta(seconds=1))
    for other in ("ref c7f3a1b", "ref c7f3a1b23", "ref 7f3a1b2", "c7f3a1b3"):
        assert not client.has_comment_with(written, other, LONG_AGO)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"bugs": {}},
        {"bugs": {"1": {"comments": []}}},
        {"bugs": {"2": {"comments": [{"id": 1}]}}},
        {"bugs": {"2": {"comments": [{"id": 1, "text": None}]}}},
        {"bugs": {"2": {"comments": [{"id": 1, "text": "x", "count": "0"}]}}},
        {"bugs": {"2": {"comments": None}}},
        {"bugs": {"2": {"comments": ["ref c7f3a1b2"]}}},
    ],
)
def test_an_answer_without_comments_does_not_prove_that_ours_is_absent(sandbox, body):
    sandbox.faults.add(Fault("status", status=200, body=body, match="/comment"))
    failure_of(lambda: client_of(sandbox).has_comment_with(2, "ref c7f3a1b2", LONG_AGO), Unavailable)


def test_a_replica_that_lags_is_told_by_the_time_of_the_bugs_last_change(sandbox, world, written):
    client = client_of(sandbox)
    world.comment(written, "bot@example.com", "Just now.")
    state = client.state_of(written)
    assert client.copy_shows(state)
    lag = sandbox.faults.add(Fault("stale", seconds=600))
    assert not client.copy_shows(state)  # the bug itself is newer than that
    lag.times = 0
    sandbox.faults.add(Fault("bad_bug", bug_id=written, patch={"last_change_time": "2026-01-01T00:00:00Z"}))
    assert not client.copy_shows(state)


@pytest.fixture
def filing():
    """A Bugzilla of its own, in which bugs are filed."""
    world = World(":memory:")
    world.add_user("bot@example.com", "Bot", key=KEY)
    world.add_user("developer@example.com", "Developer")
    world.add_product(LOANS[0], components=[LOANS[1], "CIDuty"])
    with Sandbox(world) as sandbox:
        sandbox.key_in = "header"
        yield sandbox
    world.close()


FILED_AT = datetime(2026, 11, 3, 8, tzinfo=UTC)
OUR_REF = "ref c7f3a1b2"


def file_with(sandbox, ref, component="CIDuty", creator="bot@example.com", at=FILED_AT):
    return sandbox.world.add_bug(
        product=LOANS[0], component=component, summary="New", creator=creator, description=f"Text\n\n{ref}", at=at
    )


@pytest.mark.parametrize("creator", ["", "bot@example.com"])
def test_a_bug_of_ours_is_found_by_the_ref_in_its_description(filing, creator):
    first, second = file_with(filing, OUR_REF), file_with(filing, OUR_REF)
    file_with(filing, OUR_REF, at=FILED_AT - timedelta(days=1))  # too long ago
    quoting = file_with(filing, "ref 99999999")
    filing.world.comment(quoting, "developer@example.com", f"see {OUR_REF}", at=FILED_AT)
    elsewhere = file_with(filing, OUR_REF, component=LOANS[1])
    foreign = file_with(filing, OUR_REF, creator="developer@example.com")
    found = client_of(filing).bugs_filed_with(OUR_REF, LOANS[0], "CIDuty", FILED_AT - timedelta(minutes=5), creator)
    assert found == ([first, second, elsewhere] if creator else [first, second, foreign])


def test_bugs_are_looked_through_to_the_end_although_the_server_cuts_without_a_mark(filing):
    numbers = [file_with(filing, OUR_REF if number == 24 else "no ref") for number in range(25)]
    with Sandbox(filing.world, max_search_results=10) as capped:
        since = FILED_AT - timedelta(minutes=5)
        assert Client(capped.url, KEY).bugs_filed_with(OUR_REF, LOANS[0], "CIDuty", since) == numbers[24:]


def test_too_many_new_bugs_to_look_through_are_not_taken_for_an_absence(filing, monkeypatch):
    monkeypatch.setattr("ciduty.bugzilla.client.MOST_CANDIDATES", 3)
    for _ in range(4):
        file_with(filing, "no ref")
    since = FILED_AT - timedelta(minutes=5)
    failure = failure_of(lambda: client_of(filing).bugs_filed_with(OUR_REF, LOANS[0], "CIDuty", since), Unavailable)
    assert "too many" in str(failure)
