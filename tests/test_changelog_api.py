"""The log for programs: what they read, in which shape, what they may tell with a key, and how they hear of errors."""

import json
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from changelog import workflow
from changelog.api import base, proposing, schema, throttle
from changelog.models import Backout, Change, Revision, Source
from changelog.models.sources import SourceKind
from changelog.public import filters
from changelog.rules import State
from ciduty import clock
from ciduty.people import tokens
from ciduty.people.models import TokenScope
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.systems.models import named
from tests.cast import at_once
from tests.public_log import BUCHAREST, DAY, HOUR, NOON, told, told_many

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def noon():
    """The clock stands on Wednesday 4 March 2026, 12:00 UTC; nobody was heard in the last minute."""
    clock.move(NOON - clock.now())
    throttle.forget()


def results(client, asked=""):
    answer = client.get(f"/api/changes/?{asked}")
    assert answer.status_code == 200, answer.content
    assert_fits(answer.json(), "/api/changes/", "get", 200)
    return answer.json()["results"]


def assert_fits(body, path, method, status):
    """Look whether an answer is what the schema promises."""
    document = schema.document()
    [shape] = document["paths"][path][method]["responses"][str(status)]["content"].values()
    Draft202012Validator(shape["schema"] | {"components": document["components"]}).validate(body)


def problem(answer, status):
    """Return the problem details of an answer."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    said = answer.json()
    assert set(said) <= {"type", "title", "status", "detail", "problems"} and said["status"] == status
    return said


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_change_is_told_with_all_that_is_public_of_it(stranger, settings):
    settings.SITE_URL = "https://ciduty.example.com"
    system = named("Worker images", owner="RelOps")
    undone = told("Undone", at=NOON - HOUR)
    change = told(
        "Image 42", at=NOON.astimezone(BUCHAREST), kind="image", system=system.slug, author="Søren 张伟",
        pools=("gecko-t/win",), platforms=("windows",), bugs=(1899999,), message="Image 42\n\nr=somebody",
        reviewers=("somebody",), links=(("Plan", "https://example.com/plan"),), files=("a.yml",), impact="Wider.",
    )  # fmt: skip
    Backout.objects.create(change=change, revision="abcdef0", undoes=undone)
    first, second = results(stranger)
    landing = change.landings.get()
    assert first == {
        "id": change.pk, "url": f"https://ciduty.example.com/changes/{change.pk}/", "state": "published",
        "at": "2026-03-04T12:00:00Z", "at_is": "landed", "authored_at": None, "effective_at": None,
        "landed_at": "2026-03-04T14:00:00+02:00", "kind": "image", "summary": "Image 42", "impact": "Wider.",
        "system": {"slug": "worker-images", "title": "Worker images", "owner": "RelOps"}, "author": "Søren 张伟",
        "message": "Image 42\n\nr=somebody", "reviewers": ["somebody"], "pools": ["gecko-t/win"],
        "platforms": ["windows"], "repositories": ["autoland"], "bugs": [1899999], "files_count": 1,
        "links": [{"title": "Plan", "url": "https://example.com/plan"}], "revision": change.identity[4:],
        "landings": [{"repository": "autoland", "at": "2026-03-04T14:00:00+02:00", "pusher": "pusher",
                      "push_id": landing.push_id, "revision": landing.revision, "url": landing.url}],
        "takes_back": [undone.pk], "taken_back_by": [], "withdrawn_because": "",
        "published_at": "2026-03-04T12:00:00Z", "changed_at": "2026-03-04T12:00:00Z",
    }  # fmt: skip
    assert second["taken_back_by"] == [change.pk] and second["system"] is None


def test_one_change_is_told_with_its_files_parts_corrections_and_verdicts(stranger, duty):
    one, other = (told(f"Part {number}", state=State.PROPOSED) for number in (1, 2))
    whole = workflow.publish_as_one([one, other], duty, summary="Both parts")
    workflow.correct(whole, duty, whole.revision, impact="Slower.")
    body = stranger.get(f"/api/changes/{whole.pk}/").json()
    assert_fits(body, "/api/changes/{change_id}/", "get", 200)
    assert body["parts"] == ["Part 1"]
    assert [(one["before"], one["after"]) for one in body["corrections"]][-1] == ({"Impact": ""}, {"Impact": "Slower."})
    assert problem(stranger.get(f"/api/changes/{one.pk}/"), 404)["detail"].startswith("There is no such change")


def test_every_page_is_reached_by_the_address_of_the_next_one(stranger):
    told_many(7, kind="image")
    seen, address = [], "/api/changes/?limit=3&kind=image"
    while address:
        page = stranger.get(address).json()
        seen.append([one["summary"] for one in page["results"]])
        address = page["next"]
        assert address is None or "kind=image" in address
    assert [len(one) for one in seen] == [3, 3, 1]
    assert sum(seen, []) == [f"Number {number}" for number in range(7)]


@pytest.mark.parametrize("asked", ["kind=image", "pool=gecko-t/win", "author=team", "q=wide", "bug=1899999",
                                   "since=2026-03-04", "repository=autoland", "system=images", "platform=windows",
                                   "until=2026-03-04&since=2026-03-04T12:00Z"])  # fmt: skip
def test_every_filter_finds_its_own(stranger, asked):
    named("Images")
    told("A wide one", kind="image", pools=("gecko-t/win",), author="Team", bugs=(1899999,), system="images",
         platforms=("windows",))  # fmt: skip
    told("Narrow", at=NOON - DAY, repository="try", kind="config")
    assert [one["summary"] for one in results(stranger, asked)] == ["A wide one"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [("foo=1", "foo"), ("kind=zzz", "kind"), ("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"),
     ("limit=\u0663", "limit"), ("limit=" + "9" * 5000, "limit"), ("cursor=x", "cursor"), ("since=x", "since"),
     ("bug=x", "bug"), ("q=-x", "q"), ("kind=image&kind=config", "kind")],
)  # fmt: skip
def test_what_cannot_be_asked_is_a_problem_that_names_its_parameter(stranger, asked, field):
    said = problem(stranger.get("/api/changes/", QUERY_STRING=quote(asked, safe="=&-")), 400)
    assert [one["field"] for one in said["problems"]] == [field]


def test_two_hundred_at_once_are_given_and_no_more(stranger):
    for number in range(3):
        told(f"Number {number}")
    assert len(results(stranger, "limit=200")) == 3 and len(results(stranger, "limit=1")) == 1


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_another_method_is_a_problem_too(stranger, method):
    assert "not allowed" in problem(getattr(stranger, method)("/api/changes/"), 405)["detail"]


# --- Treeherder's shape -----------------------------------------------------------------------------------------------


def test_treeherders_shape_has_its_fields_its_order_and_its_dates(stranger, settings):
    settings.SITE_URL = "https://ciduty.example.com"
    system = named("Worker images", owner="RelOps")
    change = told(
        "Image 42", at=NOON.astimezone(BUCHAREST), system=system.slug, author="Team", files=("a.yml", "b.yml"),
        impact="Screens are wider.",
    )  # fmt: skip
    before = told("Older", at=NOON - HOUR, repository="", effective_at=NOON - HOUR, identity="said:1", kind="service")
    answer = stranger.get("/api/changelog/")
    assert answer.headers["Content-Type"] == "application/json"
    assert_fits(answer.json(), "/api/changelog/", "get", 200)
    older, newer = answer.json()
    assert list(newer) == [  # as ui/perfherder reads it and treeherder/webapp/api/serializers.py writes it
        "id", "remote_id", "date", "author", "message", "description", "owner", "project", "project_url", "type",
        "url", "files",
    ]  # fmt: skip
    assert newer == {
        "id": change.pk, "remote_id": change.identity[4:], "date": "2026-03-04T12:00:00", "author": "Team",
        "message": "Image 42", "description": "Screens are wider.", "owner": "RelOps", "project": "Worker images",
        "project_url": "https://ciduty.example.com/changes/?system=worker-images", "type": "commit",
        "url": f"https://ciduty.example.com/changes/{change.pk}/", "files": ["a.yml", "b.yml"],
    }  # fmt: skip
    assert (older["id"], older["remote_id"], older["type"]) == (before.pk, f"ciduty-{before.pk}", "service")
    assert older["description"] == "Older", "Perfherder shows the description: it is never empty"


@pytest.mark.parametrize(
    ("asked", "summaries"),
    [
        ("", ["Of 17 February", "Yesterday", "Now"]),
        ("startdate=2026-01-01", ["Old", "Of 17 February", "Yesterday", "Now"]),
        ("startdate=2026-03-03&enddate=2026-03-04", ["Yesterday"]),
        ("startdate=2026-03-03&enddate=2026-03-04T12:00:00", ["Yesterday", "Now"]),
        ("startdate=2026-03-04T12:00:00Z", ["Now"]),
        ("startdate=2026-03-03&kind=image&format=json", ["Now"]),
        ("startdate=2026-03-04&enddate=2026-03-03", []),
    ],
)
def test_startdate_and_enddate_mean_what_they_mean_there(stranger, asked, summaries):
    told("Old", at=NOON - 16 * DAY), told("Of 17 February", at=NOON - 15 * DAY)
    told("Yesterday", at=NOON - DAY), told("Now", kind="image")
    assert [one["message"] for one in stranger.get(f"/api/changelog/?{asked}").json()] == summaries


def test_a_date_that_is_none_is_a_problem_and_not_an_error_of_ours(stranger):
    said = problem(stranger.get("/api/changelog/?startdate=zz&enddate=2026-02-30"), 400)
    assert {one["field"] for one in said["problems"]} == {"startdate", "enddate"}


# --- the schema -------------------------------------------------------------------------------------------------------


def test_the_schema_is_openapi_3_1_and_holds_every_parameter(stranger, capfd):
    schema.document.cache_clear()
    document = json.loads(stranger.get("/api/schema/").content)
    assert capfd.readouterr().err == "", "nothing was left unresolved"
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1")
    told_of = {one["name"] for one in document["paths"]["/api/changes/"]["get"]["parameters"]}
    assert told_of == {*filters.NAMES, "cursor", "limit"}
    assert set(document["components"]["schemas"]["Told"]["required"]) == {"source", "external_id", "summary"}
    assert document["paths"]["/api/changes/"]["post"]["security"] == [{"key": []}]


def test_the_page_for_people_says_the_same_and_loads_nothing_from_elsewhere(stranger):
    text = stranger.get("/api/docs/").content.decode()
    for words in ("GET /api/changes/", "POST /api/changes/", "external_id", "since", "GET /api/changelog/"):
        assert words in text
    assert 'src="http' not in text and "cdn" not in text


# --- telling ----------------------------------------------------------------------------------------------------------

CHANGE = {"source": "deploys", "external_id": "run 42", "summary": "Image 42 is everywhere"}


@pytest.fixture
def key(people):
    """Return a maker of keys: of duty's, for one scope, unless told otherwise."""

    def make(scope=TokenScope.PUBLISH, role=Role.DUTY):
        at = clock.now()
        return tokens.make(people[role], f"{scope} of {role}", [scope], at + DAY, people[Role.LEAD], at)[1]

    return make


def tell(client, key, scheme="Bearer", body=None, **fields):
    headers = {"Authorization": f"{scheme} {key}"} if key else {}
    content = body if body is not None else json.dumps(CHANGE | fields)
    return client.post("/api/changes/", content, content_type="application/json", headers=headers)


@pytest.mark.parametrize(
    ("scope", "role", "state"),
    [
        (TokenScope.PROPOSE, Role.DUTY, State.PROPOSED), (TokenScope.PROPOSE, Role.SCHEDULER, State.PROPOSED),
        (TokenScope.PUBLISH, Role.DUTY, State.PUBLISHED), (TokenScope.PUBLISH, Role.LEAD, State.PUBLISHED),
    ],
)  # fmt: skip
def test_a_key_proposes_or_publishes_as_it_may(stranger, key, people, scope, role, state):
    answer = tell(stranger, key(scope, role))
    assert answer.status_code == 201
    change = Change.objects.get()
    assert answer.json() == {"id": change.pk, "state": state, "created": True,
                             "url": f"http://localhost:8000/changes/{change.pk}/"}  # fmt: skip
    assert_fits(answer.json(), "/api/changes/", "post", 201)
    assert (change.state, change.identity) == (state, "api:deploys:run 42")
    assert (change.source.kind, change.source.made_by) == (SourceKind.API, people[role])
    assert (stranger.get(f"/changes/{change.pk}/").status_code == 200) is (state == State.PUBLISHED)
    entry = Entry.objects.get(about=change.about)
    assert entry.by == people[role] and "Image" not in entry.sentence


def test_everything_that_is_told_is_kept(stranger, key):
    named("Worker images")
    answer = tell(
        stranger, key(), scheme="token", message="Image 42\n\nWhole text", kind="image", system="worker-images",
        pools=["gecko-t/win"], platforms=["windows"], bugs=[1899999], author="Deploy bot", impact="Slower.",
        links=[{"title": "Run", "url": "https://example.com/run"}], authored_at="2026-03-03T17:45:00+05:45",
        landed_at="2026-03-04T05:00:00-07:00", effective_at="2026-03-04T17:00:00+02:00",
    )  # fmt: skip
    assert answer.status_code == 201, answer.content
    [row] = results(stranger)
    assert (row["effective_at"], row["landed_at"], row["authored_at"]) == (
        "2026-03-04T17:00:00+02:00", "2026-03-04T05:00:00-07:00", "2026-03-03T17:45:00+05:45",
    )  # fmt: skip
    assert (row["system"]["slug"], row["kind"], row["author"], row["impact"]) == (
        "worker-images", "image", "Deploy bot", "Slower.",
    )  # fmt: skip
    assert (row["pools"], row["bugs"], row["links"]) == (
        ["gecko-t/win"], [1899999], [{"title": "Run", "url": "https://example.com/run"}],
    )  # fmt: skip
    assert [one["repository"] for one in row["landings"]] == ["deploys"]


def test_the_same_thing_told_again_is_one_change_and_other_words_are_an_edit(stranger, key):
    mine = key()
    first, again = tell(stranger, mine), tell(stranger, mine)
    assert (first.status_code, again.status_code, again.json()["created"]) == (201, 200, False)
    assert not Revision.objects.exists()
    edit = tell(stranger, mine, summary="Image 43 is everywhere")
    assert (edit.status_code, edit.json()["id"]) == (200, first.json()["id"])
    assert [one["summary"] for one in results(stranger)] == ["Image 43 is everywhere"]
    assert Revision.objects.get().before["summary"] == "Image 42 is everywhere"
    assert tell(stranger, mine, external_id="run 43").json()["id"] != first.json()["id"]
    assert tell(stranger, mine, source="other").json()["id"] != first.json()["id"]
    assert Change.objects.count() == 3 and Source.objects.count() == 2


def test_a_key_that_may_only_propose_changes_no_word_that_is_public(stranger, key, duty):
    proposing_key = key(TokenScope.PROPOSE, Role.SCHEDULER)
    tell(stranger, proposing_key)
    assert tell(stranger, proposing_key, summary="Still a proposal").status_code == 200
    change = Change.objects.get()
    workflow.publish(change, duty, impact="By hand.")
    assert tell(stranger, proposing_key, summary="Still a proposal").status_code == 200, "told twice is no edit"
    refused = tell(stranger, proposing_key, summary="Slipped in")
    assert "may only propose" in problem(refused, 409)["detail"]
    assert Change.objects.get().summary == "Still a proposal"
    assert tell(stranger, key(), summary="A correction").status_code == 200
    assert Change.objects.get().summary == "A correction"


@pytest.mark.parametrize(
    ("header", "status"),
    [(None, 401), ("Bearer", 401), ("Bearer cdy_" + "A" * 43, 401), ("Basic abc", 401), ("Bearer \u00e9", 401)],
)
def test_without_a_good_key_nothing_is_taken(stranger, header, status):
    headers = {"Authorization": header.encode().decode("latin-1")} if header else {}
    answer = stranger.post("/api/changes/", json.dumps(CHANGE), content_type="application/json", headers=headers)
    assert "cdy_" in problem(answer, status)["detail"]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert not Change.objects.exists() and not Source.objects.exists()


def test_being_signed_in_is_no_key(clients):
    assert tell(clients[Role.LEAD], None).status_code == 401


def test_a_key_that_was_revoked_ran_out_or_may_only_read_takes_nothing(stranger, key, people, lead):
    mine = key()
    tokens.revoke(people[Role.DUTY].tokens.get(), lead)
    assert tell(stranger, mine).status_code == 401
    reads = key(TokenScope.READ, Role.DEVELOPER)
    assert "neither propose nor publish" in problem(tell(stranger, reads), 403)["detail"]
    late = key(TokenScope.PROPOSE)
    clock.move(2 * DAY)
    assert tell(stranger, late).status_code == 401
    assert not Change.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"sumary": "A slip"}, "sumary"), ({"summary": ""}, "summary"), ({"summary": "x" * 301}, "summary"),
        ({"summary": None}, "summary"), ({"summary": ["x"]}, "summary"), ({"message": "x" * 10_001}, "message"),
        ({"impact": "x" * 301}, "impact"), ({"kind": "zzz"}, "kind"), ({"system": "nowhere"}, "system"),
        ({"pools": ["x"] * 51}, "pools"), ({"pools": "x"}, "pools"), ({"pools": ["x" * 201]}, "pools.0"),
        ({"platforms": ["beos"]}, "platforms.0"), ({"bugs": [0]}, "bugs.0"), ({"bugs": [2**31]}, "bugs.0"),
        ({"bugs": ["x"]}, "bugs.0"), ({"links": [{"url": "javascript:alert(1)"}]}, "links.0.url"),
        ({"links": [{"title": "x"}]}, "links.0.url"), ({"source": "a:b"}, "source"), ({"source": "x" * 61}, "source"),
        ({"external_id": "x" * 121}, "external_id"), ({"external_id": ""}, "external_id"),
        ({"external_id": "a\nb"}, "external_id"), ({"effective_at": "2026-03-04T12:00:00"}, "effective_at"),
        ({"effective_at": "soon"}, "effective_at"), ({"effective_at": 7}, "effective_at"),
        ({"landed_at": "1989-12-31T23:59:59Z"}, "landed_at"), ({"authored_at": "2027-03-06T12:00:00Z"}, "authored_at"),
        ({"authored_at": "0001-01-01T00:00:00+14:00"}, "authored_at"), ({"summary": "nul \x00"}, "summary"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_change_is_refused_by_the_name_of_its_field(stranger, key, fields, field):
    said = problem(tell(stranger, key(TokenScope.PROPOSE), **fields), 400)
    assert field in [one["field"] for one in said["problems"]], said
    assert not Change.objects.exists()


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", "7", '"x"', "[" * 50_000, '{"a":' * 10_000, '{"bugs": [NaN]}', b"\xff\xfe", '"\\ud800"',
     '{"bugs": [' + "9" * 5_000 + "]}"],
    ids=range(12),
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_a_problem_and_no_error_of_ours(stranger, key, body):
    problem(tell(stranger, key(TokenScope.PROPOSE), body=body), 400)


def test_a_body_may_be_so_long_and_no_longer(stranger, key):
    mine = key(TokenScope.PROPOSE)
    whole = json.dumps(CHANGE)
    assert tell(stranger, mine, body=whole + " " * (base.LARGEST_BODY - len(whole))).status_code == 201
    problem(tell(stranger, mine, body=whole + " " * (base.LARGEST_BODY - len(whole) + 1)), 413)


def test_another_kind_of_body_is_refused(stranger, key):
    headers = {"Authorization": f"Bearer {key()}"}
    answer = stranger.post(
        "/api/changes/", "summary=x", content_type="application/x-www-form-urlencoded", headers=headers
    )
    problem(answer, 415)


def test_the_name_of_a_source_that_is_read_otherwise_is_refused(stranger, key):
    told("From the tree", repository="autoland")
    assert "read in another way" in problem(tell(stranger, key(), source="autoland"), 409)["detail"]
    tell(stranger, key(TokenScope.PROPOSE))
    Source.objects.filter(name="deploys").update(is_active=False)
    assert "switched off" in problem(tell(stranger, key(TokenScope.PROPOSE, Role.LEAD), external_id="2"), 403)["detail"]


def test_no_two_sources_can_name_the_same_change():
    names = [(source, external) for source in ("a", "a b", "a/b") for external in ("c", "b:c", ":c")]
    shape = {"summary": "x", "message": "", "impact": "", "author": "", "pools": [], "platforms": [], "bugs": [],
             "links": []}  # fmt: skip
    identities = {
        proposing._proposal(shape | {"source": source, "external_id": external}).identity for source, external in names
    }
    assert len(identities) == len(names)


# --- how often --------------------------------------------------------------------------------------------------------


def test_a_key_may_tell_so_often_in_a_minute_and_no_cache_is_asked(stranger, key, monkeypatch, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    }
    monkeypatch.setattr(throttle, "MOST_PER_TOKEN", 3)
    mine, other = key(), key(TokenScope.PROPOSE, Role.SCHEDULER)
    assert [tell(stranger, mine).status_code for _ in range(4)] == [201, 200, 200, 429]
    refused = tell(stranger, mine)
    assert problem(refused, 429)["title"] == "Too Many Requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert tell(stranger, other).status_code in (200, 201), "another key is another program"


def test_wrong_keys_are_counted_by_address_whatever_a_caller_says_of_itself(stranger, monkeypatch, settings):
    monkeypatch.setattr(throttle, "MOST_WRONG_KEYS", 3)
    wrong = [
        stranger.post("/api/changes/", "{}", content_type="application/json",
                      headers={"Authorization": "Bearer x", "X-Forwarded-For": f"192.0.2.{number}"}).status_code
        for number in range(5)
    ]  # fmt: skip
    assert wrong == [401, 401, 401, 429, 429]
    throttle.forget()
    settings.BEHIND_PROXY = True
    behind = [
        stranger.post("/api/changes/", "{}", content_type="application/json",
                      headers={"X-Forwarded-For": f"{spoofed}, 192.0.2.7"}).status_code
        for spoofed in ("198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4")
    ]  # fmt: skip
    assert behind == [401, 401, 401, 429]


def test_the_window_moves_on_and_memory_stays_bounded(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(throttle.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(throttle, "MOST_REMEMBERED", 5)
    for _ in range(2):
        throttle.count("token", 1, 2)
    with pytest.raises(throttle.Throttled):
        throttle.count("token", 1, 2)
    now[0] += throttle.WINDOW.total_seconds() - 0.1
    with pytest.raises(throttle.Throttled):
        throttle.count("token", 1, 2)
    now[0] += 0.2
    throttle.count("token", 1, 2)
    for number in range(50):
        throttle.count("address", number, 2)
    assert len(throttle._heard) == 5


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one write at a time")
def test_the_same_change_told_twice_at_once_is_one(key, transactional_db):
    mine = key()
    answers = at_once([lambda: tell(Client(), mine).status_code] * 4)
    assert sorted(answers) == [200, 200, 200, 201] and Change.objects.count() == 1


def test_reading_is_not_counted(stranger, monkeypatch):
    monkeypatch.setattr(throttle, "MOST_PER_ADDRESS", 1)
    assert [stranger.get("/api/changes/").status_code for _ in range(4)] == [200] * 4


def test_sources_are_told_where_they_told_of_something_public_or_were_imported(client):
    told("Public", repository="autoland")
    Source.objects.create(name="empty-import", kind=SourceKind.IMPORT, team="RelEng")
    Source.objects.create(name="secret-partner-builds", kind=SourceKind.GIT, address="https://git.example.com/secret")
    told("Proposed", repository="held-back", state=State.PROPOSED)
    Source.objects.filter(name="held-back").update(kind=SourceKind.GIT)
    answer = client.get("/api/sources/")
    assert_fits(answer.json(), "/api/sources/", "get", 200)
    assert [(one["name"], one["kind"], one["team"]) for one in answer.json()] == [
        ("autoland", "import", ""), ("empty-import", "import", "RelEng"),
    ]  # fmt: skip
