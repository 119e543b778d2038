"""Public pages of the log are the same for everybody: no session, no cookie, an ETag of public things, early 304s."""

import re

import pytest
from django.conf import settings as project_settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from changelog import index, workflow
from changelog.models import Change
from changelog.public import page
from changelog.rules import PUBLIC_AGE, State
from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.people.roles import Role
from tests.cast import BugFactory
from tests.public_log import DAY, HOUR, NOON, told

pytestmark = pytest.mark.django_db

CONDITIONAL = "changelog.public.conditional.ConditionalMiddleware"
ADDRESSES = [
    "/changes/", "/changes/?kind=config", "/changes/{}/", "/changes/density/", "/changes/feed.atom",
    "/changes/feed.json", "/changes/changes.csv", "/api/changes/", "/api/changes/{}/", "/api/changelog/",
    "/api/schema/", "/api/docs/",
]  # fmt: skip


@pytest.fixture(autouse=True)
def noon(settings):
    """Wednesday 4 March 2026, 12:00 UTC; whoever asks again is answered right behind the guards of the connection."""
    clock.move(NOON - clock.now())
    if CONDITIONAL not in settings.MIDDLEWARE:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE[:2], CONDITIONAL, *settings.MIDDLEWARE[2:]]


@pytest.fixture
def change():
    return told("Move the pool")


def body(answer):
    return b"".join(answer) if answer.streaming else answer.content


def tag(client, address="/changes/feed.atom"):
    return client.get(address).headers["ETag"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_answer_is_the_same_for_a_stranger_and_the_lead_and_asks_for_no_session(clients, change, address):
    address = address.format(change.pk)
    stranger = clients[Role.PUBLIC].get(address)
    assert stranger.status_code == 200
    clients[Role.LEAD].get("/sign-in/")
    with CaptureQueriesContext(connection) as asked:
        lead = clients[Role.LEAD].get(address)
        assert body(lead) == body(stranger)
    assert not [one["sql"] for one in asked if "session" in one["sql"] or 'FROM "people_person"' in one["sql"]]
    for answer in (stranger, lead):
        assert not answer.cookies and "Cookie" not in answer.headers.get("Vary", "")
        assert answer.headers["Cache-Control"] == f"public, max-age={PUBLIC_AGE}"
    assert lead.headers["ETag"] == stranger.headers["ETag"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_head_gives_the_headers_alone_and_who_has_it_already_gets_nothing(stranger, change, address):
    address = address.format(change.pk)
    answer, head = stranger.get(address), stranger.head(address)
    assert body(head) == b"" and head.headers["ETag"] == answer.headers["ETag"]
    for known in (answer.headers["ETag"], f'"other", W/{answer.headers["ETag"]}'):
        for method in (stranger.get, stranger.head):
            again = method(address, headers={"If-None-Match": known})
            assert (again.status_code, body(again)) == (304, b"")
            assert again.headers["ETag"] == answer.headers["ETag"]
            assert again.headers["Cache-Control"] == answer.headers["Cache-Control"]
    assert stranger.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/changes/99/", 404), ("/api/changes/99/", 404), ("/api/changes/?x=1", 400), ("/changes/?q=", 302),
        ("/changes/feed.atom?kind=zzz", 400), ("/changes/changes.csv?cursor=x", 400),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_kept_by_nobody(stranger, address, status):
    answer = stranger.get(address)
    assert answer.status_code == status
    assert answer.headers["Cache-Control"] == "no-store" and "ETag" not in answer.headers


def test_a_held_change_and_none_at_all_are_the_same_answer(stranger, clients, duty):
    held = told("Held", state=State.HELD, by=duty)
    for form in ("/changes/{}/", "/api/changes/{}/"):
        answers = [
            client.get(form.format(number))
            for client in (stranger, clients[Role.LEAD])
            for number in (held.pk, held.pk + 1_000)
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.content for answer in answers}) == 1
        assert len({str(sorted(answer.headers.items())) for answer in answers}) == 1


# --- the tag ----------------------------------------------------------------------------------------------------------


def test_a_conditional_feed_request_costs_one_query_of_one_row(stranger, change):
    known = tag(stranger)
    with CaptureQueriesContext(connection) as asked:
        assert stranger.get("/changes/feed.atom", headers={"If-None-Match": known}).status_code == 304
    assert [one["sql"] for one in asked] == ["SELECT value FROM changelog_publicversion WHERE id = 1"]


@pytest.mark.parametrize(
    "act",
    [
        lambda change, duty: told("Another"),
        lambda change, duty: workflow.correct(change, duty, change.revision, impact="Slower."),
        lambda change, duty: workflow.hold(change, duty),
        lambda change, duty: workflow.withdraw(change, duty, "Wrong."),
        lambda change, duty: workflow.take_back(change, duty),
        lambda change, duty: index.raise_version(),
    ],
    ids=["published", "corrected", "held", "withdrawn", "taken back", "judged"],
)
def test_whatever_changes_for_the_public_changes_the_tag(stranger, change, duty, act):
    known = {address: tag(stranger, address) for address in ("/changes/", "/changes/feed.atom", "/api/changes/")}
    act(change, duty)
    for address, before in known.items():
        answer = stranger.get(address, headers={"If-None-Match": before})
        assert answer.status_code == 200 and answer.headers["ETag"] != before


def test_what_nobody_may_know_of_changes_no_tag(stranger, change, duty):
    proposed = told("Proposed", state=State.PROPOSED)
    known = {address: tag(stranger, address) for address in ("/changes/", "/changes/feed.atom", "/api/changes/")}
    other = told("Another", state=State.PROPOSED)
    workflow.correct(proposed, duty, proposed.revision, summary="Still proposed")
    workflow.hold(proposed, duty), workflow.release(proposed, duty), workflow.dismiss(proposed, duty)
    workflow.hold(other, duty)
    for address, before in known.items():
        assert stranger.get(address, headers={"If-None-Match": before}).status_code == 304


def test_a_bug_that_turns_private_changes_the_tag_and_the_answer(stranger):
    bug = BugFactory(id=1877777, visibility=Visibility.PUBLIC, is_loaner_request=False)
    change = told("Image for bug 1877777")
    known = tag(stranger)
    Bug.objects.filter(pk=bug.pk).update(visibility=Visibility.RESTRICTED)
    with index.reindexing([change.pk], lambda bugs: {1877777}):
        pass
    answer = stranger.get("/changes/feed.atom", headers={"If-None-Match": known})
    assert answer.status_code == 200 and b"1877777" not in answer.content


def test_each_question_has_its_own_tag_in_whatever_order_it_is_asked(stranger, change):
    tags = [
        tag(stranger, f"/changes/{asked}") for asked in ("", "?kind=image", "?kind=config", "feed.atom", "feed.json")
    ]
    assert len(set(tags)) == 5
    assert tag(stranger, "/changes/?kind=image&q=x") == tag(stranger, "/changes/?q=x&kind=image")


def test_another_program_and_other_settings_make_other_tags(stranger, change, settings, monkeypatch):
    known = tag(stranger)
    settings.BUGZILLA_URL = "https://elsewhere.example.com"
    other = tag(stranger)
    monkeypatch.setattr(page, "_program", lambda: "another")
    assert len({known, other, tag(stranger)}) == 3


def test_a_strip_of_yesterday_is_asked_anew_today_and_a_feed_is_not(stranger, change):
    strip, feed = tag(stranger, "/changes/density/"), tag(stranger)
    clock.move(HOUR)
    assert stranger.get("/changes/density/", headers={"If-None-Match": strip}).status_code == 304
    clock.move(DAY)
    assert stranger.get("/changes/density/", headers={"If-None-Match": strip}).status_code == 200
    assert stranger.get("/changes/feed.atom", headers={"If-None-Match": feed}).status_code == 304


# --- the early answer weakens nothing ---------------------------------------------------------------------------------


def test_a_wrong_host_is_refused_though_the_tag_is_right(stranger, change):
    answer = stranger.get(
        "/changes/feed.atom", headers={"If-None-Match": tag(stranger), "Host": "elsewhere.example.com"}
    )
    assert answer.status_code == 400


def test_plain_http_is_sent_on_to_https_though_the_tag_is_right(stranger, change, settings):
    known = tag(stranger)
    settings.SECURE_SSL_REDIRECT = True
    answer = Client().get("/changes/feed.atom", headers={"If-None-Match": known})
    assert answer.status_code == 301 and answer.headers["Location"].startswith("https://")


def test_a_tag_helps_nobody_to_another_page_or_to_a_post(clients, change):
    stranger = clients[Role.PUBLIC]
    known = tag(stranger)
    for address in ("/loaners/", "/changes/queue/", "/changes/feed.json", f"/changes/{change.pk}/"):
        answer = stranger.get(address, headers={"If-None-Match": known})
        assert answer.status_code in (200, 302), address
    assert stranger.post("/changes/feed.atom", headers={"If-None-Match": known}).status_code == 405
    workflow.hold(change, None)
    mine = Change.objects.get().pk
    assert stranger.get(f"/changes/{mine}/", headers={"If-None-Match": "*"}).status_code == 404


def test_the_tag_tells_nothing_of_how_it_is_made(stranger, change, settings):
    known = tag(stranger)
    assert re.fullmatch(r'"[0-9a-f]{32}"', known)
    settings.SECRET_KEY = "another-key-of-another-installation-12345"
    assert tag(stranger) != known, "who does not hold the key can make none"


def test_it_stands_behind_the_guards_of_the_connection_and_before_the_session():
    if CONDITIONAL not in project_settings.MIDDLEWARE:
        pytest.skip("not wired yet")
    place = project_settings.MIDDLEWARE.index
    assert place("django.middleware.security.SecurityMiddleware") < place(CONDITIONAL)
    assert place(CONDITIONAL) < place("django.contrib.sessions.middleware.SessionMiddleware")


def test_a_part_that_is_held_is_gone_from_its_wholes_page_for_those_who_ask_again_too(stranger, duty):
    one, other = (told(f"Part {number}", state=State.PROPOSED) for number in (1, 2))
    whole = workflow.publish_as_one([one, other], duty, summary="Both")
    address = f"/changes/{whole.pk}/"
    assert b"Part 1" in stranger.get(address).content
    known = tag(stranger, address)
    workflow.hold(one, duty)
    answer = stranger.get(address, headers={"If-None-Match": known})
    assert answer.status_code == 200 and b"Part 1" not in answer.content
