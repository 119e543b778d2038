"""The catalogue: everybody who signs in reads it, a lead keeps it, slugs stay, and every change of it is on record."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changelog import of_systems, workflow
from changelog.proposals import Proposal
from ciduty import clock
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.systems import keeping, recent
from ciduty.systems.models import System, slug_of
from tests import public_log
from tests.cast import at_once

pytestmark = pytest.mark.django_db

LIST, ADD = "/systems/", "/systems/add/"
FACTS = {
    "title": "macOS signers", "serves": "signs builds", "owner": "RelEng", "channel": "#releng",
    "escalation": "Page RelEng, then the duty manager.", "runbook": "https://wiki.example.com/signers",
    "needs_coordination": "on", "is_active": "on",
}  # fmt: skip


@pytest.fixture(autouse=True)
def the_change_log_tells(monkeypatch):
    """Only this run's teller, as `AppConfig.ready()` registers it."""
    monkeypatch.setattr(recent, "_tellers", [])
    of_systems.register()


@pytest.fixture
def signers(lead):
    facts = FACTS | {"needs_coordination": True, "is_active": True}
    return keeping.enter("macos-signers", facts, by=lead)


def told(response):
    return re.sub(r"\s+", " ", response.content.decode().replace("&#x27;", "'").replace("&amp;", "&"))


def edited(client, system, **changes):
    """Save what the lead's form shows, with these changes; None leaves a box unticked."""
    page = client.get(f"/systems/{system.slug}/edit/").content.decode()
    seen = re.search(r'name="seen" value="(\w{16})"', page)[1]
    sent = FACTS | {"seen": seen} | changes
    return client.post(f"/systems/{system.slug}/edit/", {name: value for name, value in sent.items() if value})


def change_in(system, duty, days_ago=0, publish=True):
    at = clock.now() - timedelta(days=days_ago)
    number = workflow.Change.objects.count()
    told_of = Proposal(f"api:x:{number}", summary="Moved it", system=system.slug, effective_at=at)
    change = workflow.propose(told_of)
    if publish:
        workflow.publish(change, duty, impact="")
    return change


# --- reading ----------------------------------------------------------------------------------------------------------


def test_the_catalogue_begins_with_the_systems_of_old(clients):
    page = told(clients[Role.DEVELOPER].get(LIST))
    assert page.count('href="/systems/') >= 16
    assert "hg.mozilla.org" in page and "firefox source repos, build repos" in page


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER, Role.DUTY, Role.LEAD])
def test_everybody_who_signs_in_reads_all_of_it_and_a_stranger_nothing(clients, stranger, signers, role):
    page = told(clients[role].get("/systems/macos-signers/"))
    for fact in (
        "macOS signers",
        "signs builds",
        "RelEng",
        "#releng",
        "Page RelEng",
        "https://wiki.example.com/signers",
    ):
        assert fact in page
    assert ("Change this entry" in page) is (role == Role.LEAD)
    assert ("Add a system" in told(clients[role].get(LIST))) is (role == Role.LEAD)
    for address in (LIST, "/systems/macos-signers/"):
        assert stranger.get(address).headers["Location"].startswith("/sign-in/")


def test_systems_stand_in_the_navigation_of_who_signs_in_alone(clients, stranger):
    assert '<a href="/systems/">Systems</a>' in told(clients[Role.DEVELOPER].get("/loaners/"))
    assert "/systems/" not in told(stranger.get("/downtimes/"))


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("macos", True), ("SIGNERS", True), ("releng builds", True), ("#releng", True), ("macos-signers", True),
        ("hg.mozilla", False), ("macos windows", False), ("%", False), ("_acos", False), ("'\"<script>", False),
        ("\0", True), ("  ", True), ("Page RelEng", False),
    ],
)  # fmt: skip
def test_every_word_of_a_search_must_stand_there(clients, signers, q, found):
    page = clients[Role.DUTY].get(LIST, {"q": q})
    assert page.status_code == 200
    assert ("macOS signers" in told(page)) is found


def test_a_search_without_an_answer_says_so(clients):
    page = told(clients[Role.DUTY].get(LIST, {"q": "no such thing"}))
    assert "No system is like that" in page and "“no such thing”" in page


def test_retired_systems_come_last_and_are_marked(clients, signers):
    System.objects.filter(pk=signers.pk).update(is_active=False, title="A retired one")
    page = told(clients[Role.DUTY].get(LIST))
    assert page.index("tbpl.mozilla.org") < page.index("A retired one") < page.index("Not in use")


@pytest.mark.parametrize("slug", ["no-such-system", "x" * 200])
def test_an_unknown_system_is_no_page(clients, slug):
    assert clients[Role.LEAD].get(f"/systems/{slug}/").status_code == 404
    assert clients[Role.LEAD].get(f"/systems/{slug}/edit/").status_code == 404


# --- what changed lately ----------------------------------------------------------------------------------------------


def test_public_changes_of_the_last_seven_days_are_counted_and_linked(clients, duty, signers):
    for days_ago in (0, 6, 7, 30):
        change_in(signers, duty, days_ago)
    first = (clock.now() - timedelta(days=6)).date()
    page = told(clients[Role.DUTY].get(LIST))
    assert f'href="/changes/?since={first}&system=macos-signers" aria-label="2 changes in macOS signers' in page
    page = told(clients[Role.DUTY].get("/systems/macos-signers/"))
    assert "2 changes in the last seven days" in page and 'href="/changes/?system=macos-signers"' in page


def test_nothing_counts_that_is_not_public_or_not_yet_true(clients, duty, signers):
    change_in(signers, duty, publish=False)
    workflow.hold(change_in(signers, duty), duty)
    change_in(signers, duty, days_ago=-2)
    page = told(clients[Role.DUTY].get("/systems/macos-signers/"))
    assert "Nothing in the last seven days" in page


def test_a_day_is_one_of_utc():
    system = System.objects.get(slug="hg-mozilla-org")
    late = datetime(2026, 3, 3, 23, 59, 59, tzinfo=UTC)
    for at, first in ((late, "2026-02-25"), (late + timedelta(seconds=1), "2026-02-26")):
        assert f"since={first}&" in of_systems.address_of(system, at, timedelta(days=7))


def test_without_a_change_log_the_figure_is_left_out(clients, signers, monkeypatch):
    monkeypatch.setattr(recent, "_tellers", [])
    assert "7 days" not in told(clients[Role.DUTY].get(LIST))
    assert "What changed in it" not in told(clients[Role.DUTY].get("/systems/macos-signers/"))


def test_a_hundred_systems_cost_as_many_queries_as_sixteen(clients, duty, signers):
    def cost(address):
        with CaptureQueriesContext(connection) as queries:
            assert clients[Role.DUTY].get(address).status_code == 200
        return len(queries)

    cost(LIST)  # the session is opened
    before = cost(LIST), cost("/systems/macos-signers/")
    System.objects.bulk_create(System(slug=f"s-{number}", title=f"S {number}") for number in range(100))
    for system in System.objects.filter(slug__startswith="s-")[:20]:
        change_in(system, duty)
    assert (cost(LIST), cost("/systems/macos-signers/")) == before


def test_of_more_systems_than_a_page_bears_it_says_so(clients):
    System.objects.bulk_create(System(slug=f"s-{number}", title=f"S {number}") for number in range(300))
    page = told(clients[Role.DUTY].get(LIST))
    assert page.count("<tr>") == 301 and "There are more: look for a name." in page


# --- keeping it -------------------------------------------------------------------------------------------------------


def test_a_lead_enters_a_system_and_the_slug_is_made_of_its_name(clients, lead):
    answer = clients[Role.LEAD].post(ADD, FACTS | {"title": "signers.mac.example.com"})
    assert answer.headers["Location"] == "/systems/signers-mac-example-com/"
    system = System.objects.get(slug="signers-mac-example-com")
    assert (system.title, system.owner, system.needs_coordination) == ("signers.mac.example.com", "RelEng", True)
    entry = Entry.objects.get(about=system.about)
    assert (entry.verb, entry.by, entry.sentence) == ("added", lead, f"Added system {system.pk} to the catalogue")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("hg.mozilla.org", "hg-mozilla-org"), ("macOS signers", "macos-signers"), ("Tree (closed!)", "tree-closed"),
        ("é", "e"), ("日本", ""), ("---", ""), ("x" * 120, "x" * 80), ("a/b", "ab"), ("../..", ""),
    ],
)  # fmt: skip
def test_a_name_stands_in_addresses_as(name, slug):
    assert slug_of(name) == slug


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"title": ""}, "Write the name that people know the system by"),
        ({"title": "日本"}, "No letter or digit of it can stand in an address"),
        ({"title": "add"}, "A page of the catalogue has the address “add”"),
        ({"title": "hg mozilla org"}, "hg.mozilla.org has the address “hg-mozilla-org” already"),
        ({"slug": "HG.mozilla.org"}, "hg.mozilla.org has the address “hg-mozilla-org” already"),
        ({"title": "x" * 121}, "121 characters long"),
        ({"owner": "a\u202eb"}, "U+202E"),
        ({"runbook": "javascript:alert(1)"}, "address of a page"),
        ({"runbook": "ftp://files.example.com/"}, "begins with https:// or http://"),
        ({"runbook": "not an address"}, "address of a page"),
        ({"escalation": "x" * 4001}, "4,001 characters long"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(clients, wrong, sentence):
    before = System.objects.count()
    answer = clients[Role.LEAD].post(ADD, FACTS | wrong)
    assert answer.status_code == 422
    assert sentence in told(answer)
    kept = FACTS | wrong
    assert all(kept[name][:60] in told(answer) for name in ("title", "serves", "owner", "channel", "runbook"))
    assert System.objects.count() == before


def test_the_form_sent_twice_enters_one_system(clients):
    assert [clients[Role.LEAD].post(ADD, FACTS).status_code for _ in range(2)] == [302, 422]
    assert System.objects.filter(title="macOS signers").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_forms_at_the_same_moment_enter_one_system(lead):
    def enter():
        try:
            return keeping.enter("signers", {"title": "macOS signers"}, by=lead)
        except keeping.NotAllowed as refusal:
            return str(refusal)

    answers = at_once([enter, enter])
    assert len([answer for answer in answers if "has a system “signers” already" in str(answer)]) == 1
    assert System.objects.filter(slug="signers").count() == Entry.objects.filter(verb="added").count() == 1


def test_a_lead_changes_what_is_known_and_the_slug_stays(clients, signers, lead):
    answer = edited(clients[Role.LEAD], signers, title="Signers of macOS", needs_coordination=None, slug="other")
    assert answer.headers["Location"] == "/systems/macos-signers/"
    signers.refresh_from_db()
    assert (signers.slug, signers.title, signers.needs_coordination) == ("macos-signers", "Signers of macOS", False)
    entry = Entry.objects.filter(about=signers.about).latest("pk")
    assert (entry.by, entry.sentence) == (lead, f"Changed system {signers.pk}: title, needs coordination")
    assert "Signers of macOS" not in entry.sentence


def test_saving_what_stands_there_writes_nothing(clients, signers):
    entries = Entry.objects.count()
    assert edited(clients[Role.LEAD], signers).status_code == 302
    assert Entry.objects.count() == entries


def test_what_somebody_else_changed_meanwhile_is_not_overwritten_unseen(clients, signers, lead):
    page = clients[Role.LEAD].get("/systems/macos-signers/edit/").content.decode()
    seen = re.search(r'name="seen" value="(\w{16})"', page)[1]
    System.objects.filter(pk=signers.pk).update(owner="Another team")
    answer = clients[Role.LEAD].post("/systems/macos-signers/edit/", FACTS | {"seen": seen, "channel": "#typed"})
    assert answer.status_code == 422
    assert "Somebody changed macOS signers while you wrote" in told(answer)
    assert 'value="#typed"' in told(answer)
    signers.refresh_from_db()
    assert (signers.owner, signers.channel) == ("Another team", "#releng")
    seen = re.search(r'name="seen" value="(\w{16})"', answer.content.decode())[1]
    clients[Role.LEAD].post("/systems/macos-signers/edit/", FACTS | {"seen": seen, "channel": "#typed"})
    signers.refresh_from_db()
    assert (signers.owner, signers.channel) == ("RelEng", "#typed")


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER, Role.DUTY])
def test_nobody_but_a_lead_keeps_the_catalogue(clients, signers, role):
    for address in (ADD, "/systems/macos-signers/edit/"):
        assert clients[role].get(address).status_code == 403
        assert clients[role].post(address, FACTS | {"title": "Mine"}).status_code == 403
    assert not System.objects.filter(title="Mine").exists()


def test_hostile_words_of_an_entry_stay_text(clients, signers):
    hostile = '"><script>alert(1)</script>'
    System.objects.filter(pk=signers.pk).update(title=hostile, serves=hostile, escalation=hostile, owner=hostile)
    for address in (LIST, "/systems/macos-signers/", "/systems/macos-signers/edit/"):
        assert "<script>alert" not in clients[Role.LEAD].get(address).content.decode()


def test_a_system_that_is_called_otherwise_is_called_so_in_what_caches_keep(people, stranger):
    system = System.objects.create(slug="worker-images", title="Worker images")
    public_log.told("New image", system=system.slug)
    before = stranger.get("/changes/")
    facts = {name: getattr(system, name) for name in keeping.FACTS} | {"title": "Machine images"}
    keeping.change(system, facts, keeping.mark(system), by=people[Role.LEAD])
    again = stranger.get("/changes/", headers={"If-None-Match": before.headers["ETag"]})
    assert again.status_code == 200 and "Machine images" in again.content.decode()
