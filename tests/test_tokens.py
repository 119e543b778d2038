"""Keys of programs: made by a lead, shown once, good for what their owner may do, and in no row, log or session."""

import hashlib
import json
import logging
import re
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock, logs
from ciduty.people import tokens
from ciduty.people.models import ApiToken
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from tests.cast import at_once, every_row

pytestmark = pytest.mark.django_db

KEYS, ADD = "/people/tokens/", "/people/tokens/add/"
MONTH = timedelta(days=30)
SECOND = timedelta(seconds=1)


@pytest.fixture
def at():
    return clock.now()


@pytest.fixture
def made(duty, lead, at):
    """A key of duty that may propose and publish: its row, and itself."""
    return tokens.make(duty, "deploy robot", ["propose", "publish"], at + MONTH, by=lead, at=at)


def typed(person, **other):
    return {"name": "deploy robot", "person": person.pk, "scopes": ["propose"], "days": "90"} | other


def key_on(response):
    return re.search(r"cdy_[A-Za-z0-9_-]{43}", response.content.decode())[0]


def told(response):
    return re.sub(r"\s+", " ", response.content.decode().replace("&#x27;", "'"))


# --- making one -------------------------------------------------------------------------------------------------------


def test_a_key_is_256_random_bits_and_only_its_hash_is_kept(made):
    token, key = made
    assert re.fullmatch(r"cdy_[A-Za-z0-9_-]{43}", key)
    assert token.sha256 == hashlib.sha256(key.encode()).hexdigest()
    assert token.starts_with == key[:8]
    assert key[4:] not in repr(every_row())
    assert token.sha256 in repr(every_row())


def test_no_two_keys_are_alike(duty, lead, at):
    keys = {tokens.make(duty, f"robot {number}", ["read"], at + MONTH, by=lead, at=at)[1] for number in range(50)}
    assert len({key[4:12] for key in keys}) == 50


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.DEVELOPER, {"read"}),
        (Role.MANAGER, {"read"}),
        (Role.SCHEDULER, {"read", "propose"}),
        (Role.DUTY, {"read", "propose", "publish"}),
        (Role.LEAD, {"read", "propose", "publish"}),
    ],
)
def test_a_key_may_nothing_that_its_owner_may_not(people, lead, at, role, may):
    given = set()
    for scope in ("read", "propose", "publish"):
        try:
            tokens.make(people[role], scope, [scope], at + MONTH, by=lead, at=at)
            given.add(scope)
        except NotAllowed as refusal:
            assert "may not do this themselves" in str(refusal)
    assert given == may


@pytest.mark.parametrize("after", [tokens.LONGEST_LIFE, SECOND])
def test_a_key_lives_from_a_moment_to_a_year(duty, lead, at, after):
    token, key = tokens.make(duty, "robot", ["read"], at + after, by=lead, at=at)
    assert tokens.holder_of(key, at) == token


@pytest.mark.parametrize("after", [tokens.LONGEST_LIFE + SECOND, timedelta(), -SECOND])
def test_a_key_that_lives_longer_than_a_year_or_is_over_already_is_refused(duty, lead, at, after):
    with pytest.raises(NotAllowed, match="365 days at most"):
        tokens.make(duty, "robot", ["read"], at + after, by=lead, at=at)


def test_nobody_who_may_not_sign_in_gets_a_key(duty, lead, at):
    duty.is_active = False
    duty.save()
    with pytest.raises(NotAllowed, match="may not sign in"):
        tokens.make(duty, "robot", ["read"], at + MONTH, by=lead, at=at)


def test_a_key_without_a_name_or_a_right_is_refused(duty, lead, at):
    for name, scopes in (("  ", ["read"]), ("robot", []), ("robot", ["everything"])):
        with pytest.raises(NotAllowed):
            tokens.make(duty, name, scopes, at + MONTH, by=lead, at=at)
    assert not ApiToken.objects.exists()


def test_making_and_revoking_stand_on_the_record_without_a_word_that_was_typed(made, lead):
    token, key = made
    tokens.revoke(token, lead)
    entries = Entry.objects.of(token.about)
    assert [(entry.verb, entry.by) for entry in entries] == [("make", lead), ("revoke", lead)]
    whole = json.dumps([[entry.sentence, entry.before, entry.after, entry.caused] for entry in entries])
    assert "it may propose, publish" in whole
    assert "deploy robot" not in whole and key[:8] not in whole


# --- using one --------------------------------------------------------------------------------------------------------


def test_a_good_key_is_its_row_with_its_owner(made, duty, at):
    token, key = made
    with CaptureQueriesContext(
        connection,
    ) as queries:
        holder = tokens.holder_of(key, at)
        assert (holder, holder.person, holder.scopes) == (token, duty, ["propose", "publish"])
    assert len(queries) == 2  # found; that it was used


@pytest.mark.parametrize(
    "wrong",
    [
        lambda key: "", lambda key: key[:-1], lambda key: key + "A", lambda key: key[4:], lambda key: key.lower(),
        lambda key: f"{key[:-1]}{'A' if key[-1] != 'A' else 'B'}", lambda key: key.replace("cdy_", "cdx_"),
        lambda key: f" {key}", lambda key: f"{key}\n", lambda key: "cdy_" + "\0" * 43, lambda key: "cdy_" + "é" * 43,
        lambda key: None, lambda key: hashlib.sha256(key.encode()).hexdigest(), lambda key: "x" * 1_000_000,
    ],
)  # fmt: skip
def test_anything_but_the_whole_key_is_nobodys(made, at, wrong):
    _, key = made
    assert tokens.holder_of(wrong(key), at) is None


def test_a_key_is_good_until_its_moment_and_not_from_it_on(made):
    token, key = made
    assert tokens.holder_of(key, token.expires_at - SECOND) == token
    assert tokens.holder_of(key, token.expires_at) is None
    assert tokens.why_dead(token, token.expires_at) == "expired"


def test_a_revoked_key_is_dead_at_once_and_stays_so(made, lead, at):
    token, key = made
    assert tokens.revoke(token, lead) is True
    assert tokens.holder_of(key, at) is None
    assert tokens.revoke(token, lead) is False
    assert Entry.objects.filter(about=token.about, verb="revoke").count() == 1


def test_a_key_dies_with_its_owners_account_and_lives_again_with_it(made, duty, at):
    _, key = made
    for is_active, found in ((False, False), (True, True)):
        duty.is_active = is_active
        duty.save()
        assert (tokens.holder_of(key, at) is not None) is found


def test_a_key_is_dead_while_its_owners_role_lacks_one_of_its_rights(made, duty, lead, at):
    _, key = made
    _, proposes_only = tokens.make(duty, "another robot", ["propose"], at + MONTH, by=lead, at=at)
    duty.role = Role.SCHEDULER  # may propose, not publish
    duty.save()
    assert tokens.holder_of(key, at) is None
    assert tokens.holder_of(proposes_only, at) is not None


def test_that_a_key_was_used_is_written_once_a_minute(made, at):
    token, key = made
    seen = []
    for after in (0, 30, 59, 60, 61, 121):
        tokens.holder_of(key, at + timedelta(seconds=after))
        seen.append(ApiToken.objects.get(pk=token.pk).last_used_at - at)
    assert [int(length.total_seconds()) for length in seen] == [0, 0, 0, 60, 60, 121]
    with CaptureQueriesContext(connection) as queries:
        tokens.holder_of(key, at + timedelta(seconds=122))
    assert len(queries) == 1


# --- the lead's pages -------------------------------------------------------------------------------------------------


def test_the_key_stands_on_the_page_that_answers_the_form_and_nowhere_else(clients, lead, duty, at):
    browser = clients[Role.LEAD]
    answer = browser.post(ADD, typed(duty))
    key = key_on(answer)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    assert tokens.holder_of(key, at).person == duty
    assert key not in repr(answer.headers) and key not in repr(answer.cookies)
    assert all(key not in repr(session.get_decoded()) for session in Session.objects.all())
    assert key[8:] not in repr(every_row())
    for page in (KEYS, ADD, f"/people/{duty.pk}/", "/people/"):
        assert key[8:] not in browser.get(page).content.decode()
    assert f"{key[:8]}…" in told(browser.get(KEYS))


def test_the_form_sent_twice_makes_one_key_and_says_so(clients, duty):
    first = clients[Role.LEAD].post(ADD, typed(duty))
    second = clients[Role.LEAD].post(ADD, typed(duty))
    assert (first.status_code, second.status_code) == (200, 422)
    assert "has a key called “deploy robot” already, and it was shown once" in told(second)
    assert 'value="deploy robot"' in told(second)
    assert ApiToken.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_forms_at_the_same_moment_make_one_key(duty, lead, at):
    def make():
        try:
            return tokens.make(duty, "deploy robot", ["read"], at + MONTH, by=lead, at=at)
        except NotAllowed as refusal:
            return str(refusal)

    refused = [answer for answer in at_once([make, make]) if isinstance(answer, str)]
    assert len(refused) == 1
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": ""}, "Name the program"),
        ({"name": "a\u200bb"}, "U+200B"),
        ({"name": "x" * 121}, "121 characters long"),
        ({"person": ""}, "Choose the person"),
        ({"person": "0"}, "may sign in: choose somebody"),
        ({"person": str(10**30)}, "may sign in: choose somebody"),
        ({"person": "\0"}, "Null characters are not allowed"),
        ({"scopes": []}, "Choose at least one thing"),
        ({"scopes": ["everything"]}, "There is no such right"),
        ({"scopes": ["publish"]}, "may not do this themselves"),
        ({"days": "366"}, "a key lives a year at most"),
        ({"days": ""}, "This field is required"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(clients, developer, wrong, sentence):
    answer = clients[Role.LEAD].post(ADD, typed(developer, scopes=["read"]) | wrong)
    assert answer.status_code == 422
    assert sentence in told(answer)
    assert wrong.get("name", "deploy robot")[:100] in told(answer)
    assert not ApiToken.objects.exists()


def test_a_lead_sees_which_keys_live_and_ends_one(clients, made, duty, at):
    token, key = made
    tokens.holder_of(key, at)
    page = told(clients[Role.LEAD].get(KEYS))
    assert "deploy robot" in page and "propose, publish" in page and f"{token.starts_with}…" in page
    answer = clients[Role.LEAD].post(f"{KEYS}{token.pk}/revoke/", follow=True)
    assert "does not work any more" in told(answer)
    assert "No program has a key" in told(answer) and "Keys that do not work any more (1)" in told(answer)
    assert tokens.holder_of(key, at) is None
    assert "was revoked before" in told(clients[Role.LEAD].post(f"{KEYS}{token.pk}/revoke/", follow=True))


def test_a_key_whose_owner_changed_is_shown_as_dead_with_the_reason(clients, made, duty):
    duty.role = Role.DEVELOPER
    duty.save()
    assert "its owner may not do this any more" in told(clients[Role.LEAD].get(KEYS))


def test_looking_revokes_nothing_and_unknown_keys_are_no_page(clients, made):
    token, _ = made
    assert clients[Role.LEAD].get(f"{KEYS}{token.pk}/revoke/").status_code == 405
    for number in (0, token.pk + 1, 2**63, 10**40):
        assert clients[Role.LEAD].post(f"{KEYS}{number}/revoke/").status_code == 404
    assert ApiToken.objects.get(pk=token.pk).revoked_at is None


def test_only_a_lead_comes_to_these_pages(clients, made):
    token, _ = made
    for role, status in ((Role.DEVELOPER, 403), (Role.DUTY, 403), (Role.MANAGER, 403), (Role.PUBLIC, 302)):
        assert clients[role].get(KEYS).status_code == status
        assert clients[role].get(ADD).status_code == status
        assert clients[role].post(f"{KEYS}{token.pk}/revoke/").status_code == status


def test_forty_keys_cost_as_many_queries_as_one(clients, people, lead, at):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            assert clients[Role.LEAD].get(KEYS).status_code == 200
        return len(queries)

    tokens.make(people[Role.DUTY], "robot", ["read"], at + MONTH, by=lead, at=at)
    cost()  # the session is opened
    before = cost()
    for number in range(40):
        owner = people[[Role.DUTY, Role.MANAGER][number % 2]]
        token, _ = tokens.make(owner, f"robot {number}", ["read"], at + MONTH, by=lead, at=at)
        if number % 3 == 0:
            tokens.revoke(token, lead)
    assert cost() == before


# --- logs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("around", ["{}", "Authorization: Bearer {}", "/api/changes/?key={}&x=1", '{{"key": "{}"}}'])
def test_no_log_line_holds_a_key_whole_or_cut(made, around):
    _, key = made
    for written in (key, key[:20]):
        line = logs.formatter().format(logging.makeLogRecord({"msg": around.format(written), "levelname": "INFO"}))
        assert written[4:] not in line
        assert "cdy_(key)" in line


def test_how_a_key_starts_may_be_logged(made):
    assert logs.without_tokens("cdy_Ab3x of the deploy robot") == "cdy_Ab3x of the deploy robot"


@pytest.mark.parametrize("slash", ["/", "%2F"])
@pytest.mark.parametrize("verb", ["confirm", "leave"])
def test_no_log_line_holds_the_token_of_a_digests_link(verb, slash):
    token = "A-b_" * 10
    line = logs.without_tokens(f"Not Found: {slash}changes{slash}digests{slash}{verb}{slash}{token}{slash}")
    assert token not in line and "(token)" in line
