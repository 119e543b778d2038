"""The pages of sources: what stands where, what may be typed, the look before saving, "Read now"."""

import pytest
from django.urls import reverse

from changelog.models import Change, SeenRevision, Source
from changelog.models.sources import SourceKind
from changelog.sources import collecting, forms, reach
from changelog.sources.filters import Filters
from ciduty import bell
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from tests.cast import A_MORNING
from tests.instruments.stand_ins import GitHub, Mercurial, Trouble

pytestmark = pytest.mark.django_db


@pytest.fixture
def rung(monkeypatch):
    """Collect what the bell was asked to ring for."""
    tasks = []
    monkeypatch.setattr(bell, "ring_after_commit", lambda task, queue: tasks.append((task, queue)))
    return tasks


@pytest.fixture
def hg():
    with Mercurial(A_MORNING) as stand_in:
        yield stand_in


def typed(address, /, **fields):
    return {
        "name": "autoland",
        "kind": "mercurial",
        "address": address,
        "default_kind": "config",
        "is_active": "on",
    } | fields


def source_of(**fields):
    values = {"name": "autoland", "kind": SourceKind.MERCURIAL, "address": "https://hg.example.com/autoland"}
    return Source.objects.create(**values | fields)


def text_of(answer):
    return " ".join(answer.content.decode().split())


# --- the list and one source ------------------------------------------------------------------------------------------


def test_without_sources_the_page_says_how_to_begin(clients):
    assert "Add the first one" in text_of(clients[Role.LEAD].get("/changes/sources/"))
    assert "A lead adds them" in text_of(clients[Role.DUTY].get("/changes/sources/"))


def test_those_that_need_somebody_come_first_and_say_why(clients):
    source_of(name="fine", read_at=A_MORNING, tried_at=None)
    source_of(name="failing", problem="Its host answered HTTP 500.", failures=2, tried_at=None)
    source_of(name="asleep", is_active=False)
    page = text_of(clients[Role.DUTY].get("/changes/sources/"))
    assert page.index("failing</a>") < page.index("fine</a>") < page.index("asleep</a>")
    assert "It could not be read: Its host answered HTTP 500." in page
    assert "1 source needs somebody" in page


def test_the_list_asks_as_often_for_thirty_as_for_one(clients, django_assert_max_num_queries):
    source_of()
    client = clients[Role.DUTY]
    client.get("/changes/sources/")
    for number in range(30):
        source_of(name=f"tree {number}", problem="It was silent.", failures=3)
    with django_assert_max_num_queries(8):
        assert client.get("/changes/sources/").status_code == 200


def test_one_source_shows_its_filters_in_words_its_counts_and_its_record(clients, hg):
    source = source_of(address=hg.url, filters={"folders": ["taskcluster/"], "keyword": "deploy:"}, rhythm_hours=48)
    hg.push("deploy: a thing")
    hg.push("Nothing of it")
    collecting.collect(source)
    page = text_of(clients[Role.DUTY].get(f"/changes/sources/{source.pk}/"))
    assert "in the folders taskcluster/<br>with “deploy:” in the message" in page
    assert "<strong>2</strong> revisions seen" in page and "<strong>1</strong> proposed" in page
    assert "something every 2 days" in page


@pytest.mark.parametrize("verb", ["", "edit/"])
def test_a_source_that_is_not_there_is_not_found(clients, verb):
    for number in (1, 2**63, 10**30):
        assert clients[Role.LEAD].get(f"/changes/sources/{number}/{verb}").status_code == 404


def test_a_name_that_is_markup_is_shown_as_it_is_written(clients):
    source = source_of(name="<b>autoland</b>", problem="x", failures=3)
    for address in ("/changes/sources/", f"/changes/sources/{source.pk}/", f"/changes/sources/{source.pk}/edit/"):
        page = clients[Role.LEAD].get(address).content.decode()
        assert "<b>autoland" not in page and "&lt;b&gt;autoland" in page


def test_github_without_a_token_is_said_so(clients, settings):
    source_of(kind=SourceKind.GITHUB_COMMITS, address="https://github.com/owner/repository")
    assert "set GITHUB_TOKEN" in text_of(clients[Role.DUTY].get("/changes/sources/"))
    settings.GITHUB_TOKEN = "ghp_canary"
    page = text_of(clients[Role.DUTY].get("/changes/sources/"))
    assert "set GITHUB_TOKEN" not in page and "ghp_canary" not in page


# --- adding and changing ----------------------------------------------------------------------------------------------


def test_a_lead_adds_a_source_and_it_is_read_at_once(clients, lead, rung):
    lists = {"folders": "taskcluster/\n\n taskcluster/ \ntesting", "files": "*.yml"}
    fields = typed("https://hg.example.com/integration/autoland/", drop_automatic="on", rhythm_hours="24", **lists)
    answer = clients[Role.LEAD].post("/changes/sources/add/", fields)
    source = Source.objects.get()
    assert answer.url == reverse("change_source", args=[source.pk])
    assert source.address == "https://hg.example.com/integration/autoland"
    assert source.filters == {"folders": ["taskcluster/", "testing"], "files": ["*.yml"], "drop_automatic": True}
    assert (source.rhythm_hours, source.made_by, rung) == (24, lead, [("changelog.tasks.collect", "sync")])
    [entry] = Entry.objects.filter(about=source.about)
    assert (entry.verb, entry.by) == ("added", lead)
    assert "autoland" not in entry.sentence


def test_the_same_form_sent_twice_adds_one_source(clients, rung):
    for _ in range(2):
        clients[Role.LEAD].post("/changes/sources/add/", typed("https://hg.example.com/autoland"))
    assert Source.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "Write a name"),
        ({"name": "People"}, "ciduty itself uses the name"),
        ({"address": ""}, "Write the repository’s address."),
        ({"address": "ftp://hg.example.com/x"}, "An address begins with https://, http://"),
        ({"address": "https://user:secret@hg.example.com/x"}, "no user name and no password"),
        ({"address": "https://hg.example.com/x?y=1"}, "alone, without"),
        ({"address": "https://hg.example.com/../x"}, "alone, without"),
        ({"address": "https://hg.example.com:99999/x"}, "its port cannot be read"),
        ({"address": "http://169.254.169.254/latest"}, "own metadata"),
        ({"address": "http://[::ffff:169.254.169.254]/latest"}, "own metadata"),
        ({"address": "https://"}, "names no host"),
        ({"kind": "git", "address": "git@github.com:owner/repository.git"}, "ssh://git@github.com/owner/repository.git"),
        ({"kind": "git", "address": "-oProxyCommand=x"}, "An address begins with"),
        ({"kind": "git", "address": "ssh://-oProxyCommand=x/y"}, "names no host"),
        ({"kind": "github commits", "address": "https://github.com/owner"}, "Name one repository"),
        ({"kind": "people"}, "Select a valid choice"),
        ({"branch": "--upload-pack=x"}, "This is no branch"),
        ({"kind": "git", "branch": "a..b"}, "is no name of a branch"),
        ({"branch": "stable"}, "not read by branch"),
        ({"tags_only": "on"}, "Only a Git repository is read for its tags"),
        ({"folders": "/etc"}, "from the repository’s root on"),
        ({"files": "\n".join(f"f{number}" for number in range(51))}, "51 lines, and 50 fit"),
        ({"keyword": "k" * 81}, "81 characters long"),
        ({"rhythm_hours": "often"}, "whole number"),
        ({"rhythm_hours": "0"}, "greater than or equal to 1"),
        ({"name": "nul\0"}, "cannot be seen"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_said_and_what_was_typed_stays(clients, rung, fields, said):
    answer = clients[Role.LEAD].post(
        "/changes/sources/add/", typed("https://hg.example.com/autoland", team="A team", **fields)
    )
    page = text_of(answer)
    assert answer.status_code == 422
    assert said in page.replace("&#x27;", "'")
    assert 'value="A team"' in page
    assert (Source.objects.count(), rung) == (0, [])


def test_a_private_address_is_refused_outside_of_tests_and_demo(settings):
    settings.TESTING = False
    for typed_address in ("http://10.0.0.1/x", "http://[::1]/x", "http://127.0.0.1:8000/x"):
        with pytest.raises(reach.Unfit, match="private network"):
            reach.address(typed_address, SourceKind.MERCURIAL)
    with pytest.raises(reach.Unfit, match="begins with"):
        reach.address("file:///srv/git/x.git", SourceKind.GIT)


def test_a_changed_source_is_tried_at_once_and_its_record_names_what_differed(clients, lead, rung):
    source = source_of(
        problem="x", failures=5, blocked_until=A_MORNING, tried_at=A_MORNING, cursor={"push": 7, "tip": ""}
    )
    fields = typed(source.address, seen=forms.seen(source), rhythm_hours="12")
    assert clients[Role.LEAD].post(f"/changes/sources/{source.pk}/edit/", fields).status_code == 302
    source.refresh_from_db()
    assert (source.rhythm_hours, source.problem, source.failures, source.blocked_until) == (12, "", 0, None)
    assert source.cursor == {"push": 7, "tip": ""}
    assert Entry.objects.get(about=source.about).sentence == f"Changed {source.about}: rhythm."
    assert len(rung) == 1


def test_another_place_is_read_from_its_beginning(clients, rung):
    source = source_of(cursor={"push": 7, "tip": ""}, heard_at=A_MORNING)
    fields = typed("https://hg.example.com/another", seen=forms.seen(source))
    clients[Role.LEAD].post(f"/changes/sources/{source.pk}/edit/", fields)
    source.refresh_from_db()
    assert (source.cursor, source.heard_at) == ({}, None)


def test_nothing_changed_writes_nothing(clients, rung):
    source = source_of()
    clients[Role.LEAD].post(f"/changes/sources/{source.pk}/edit/", typed(source.address, seen=forms.seen(source)))
    assert (Entry.objects.filter(about=source.about).count(), rung) == (0, [])


def test_what_somebody_else_saved_meanwhile_is_not_run_over(clients, rung):
    source = source_of()
    fields = typed(source.address, seen=forms.seen(source), team="Mine")
    Source.objects.update(team="Theirs")
    answer = clients[Role.LEAD].post(f"/changes/sources/{source.pk}/edit/", fields)
    assert answer.status_code == 422 and "Somebody changed this source" in text_of(answer)
    assert Source.objects.get().team == "Theirs"
    source.refresh_from_db()
    clients[Role.LEAD].post(f"/changes/sources/{source.pk}/edit/", fields | {"seen": forms.seen(source)})
    assert Source.objects.get().team == "Mine"


def test_a_source_that_tells_by_itself_has_no_address_to_change(clients, rung):
    source = Source.objects.create(name="people", kind=SourceKind.PERSON)
    page = text_of(clients[Role.LEAD].get(f"/changes/sources/{source.pk}/edit/"))
    assert 'name="address"' not in page and 'name="name"' not in page
    fields = {"default_kind": "service", "is_active": "on", "seen": forms.seen(source), "rhythm_hours": "72"}
    clients[Role.LEAD].post(f"/changes/sources/{source.pk}/edit/", fields)
    source.refresh_from_db()
    assert (source.name, source.kind, source.default_kind, source.rhythm_hours) == ("people", "person", "service", 72)


# --- the look before saving -------------------------------------------------------------------------------------------


def test_a_trial_shows_what_would_be_kept_and_saves_nothing(clients, hg, rung):
    for number in range(8):
        hg.push(f"Bug 150000{number} - Nothing of it")
    for number in range(4):
        hg.push(f"deploy: <script>{number}</script>")
    page = text_of(clients[Role.LEAD].post("/changes/sources/add/", typed(hg.url, keyword="deploy:", **{"try": "1"})))
    assert "Of its last 10 changes the filters keep 4." in page
    assert "deploy: &lt;script&gt;3" in page and "<script>3" not in page
    assert page.count("without “deploy:”") == 6
    assert (Source.objects.count(), Change.objects.count(), SeenRevision.objects.count(), rung) == (0, 0, 0, [])


def test_a_trial_of_a_place_that_fails_says_so_and_keeps_what_was_typed(clients, hg):
    hg.always = Trouble(status=404)
    answer = clients[Role.LEAD].post("/changes/sources/add/", typed(hg.url, team="A team", **{"try": "1"}))
    page = text_of(answer)
    assert answer.status_code == 200
    assert "There is no json-pushes at its address" in page and 'value="A team"' in page


def test_a_trial_of_a_source_on_record_leaves_its_row_alone(clients, hg):
    source = source_of(address=hg.url, cursor={"push": 1, "tip": "x"}, failures=3, problem="x")
    hg.push("deploy: one")
    before = Source.objects.values().get()
    fields = typed(hg.url, keyword="deploy:", seen=forms.seen(source)) | {"try": "1"}
    page = text_of(clients[Role.LEAD].post(f"/changes/sources/{source.pk}/edit/", fields))
    assert "Of its last 1 change the filters keep 1." in page
    assert Source.objects.values().get() == before


def test_a_trial_of_github_asks_for_ten_commits_and_their_files(clients, settings):
    with GitHub(A_MORNING) as github:
        settings.GITHUB_API_URL = github.url
        github.several(30, files=["terraform/main.tf"])
        fields = typed(
            "https://github.com/owner/repository", kind="github commits", folders="terraform", **{"try": "1"}
        )
        page = text_of(clients[Role.LEAD].post("/changes/sources/add/", fields))
    assert "Of its last 10 changes the filters keep 10." in page
    assert len(github.questions) == 11


# --- "Read now" -------------------------------------------------------------------------------------------------------


def test_read_now_opens_a_breaker_and_rings(clients, rung):
    source = source_of(problem="Its host answered HTTP 500.", failures=4, blocked_until=A_MORNING, tried_at=A_MORNING)
    clients[Role.DUTY].post(f"/changes/sources/{source.pk}/read/")
    source.refresh_from_db()
    assert (source.tried_at, source.blocked_until, source.failures) == (None, None, 4)
    assert rung == [("changelog.tasks.collect", "sync")]


def test_read_now_respects_the_limit_of_a_host(clients, rung):
    far = A_MORNING.replace(year=2099)
    source = source_of(problem="GitHub limits our rate (HTTP 403).", failures=0, blocked_until=far, tried_at=A_MORNING)
    answer = clients[Role.DUTY].post(f"/changes/sources/{source.pk}/read/", follow=True)
    source.refresh_from_db()
    assert (source.blocked_until, rung) == (far, [])
    assert "Not read: GitHub limits our rate" in text_of(answer)


@pytest.mark.parametrize("fields", [{"is_active": False}, {"kind": SourceKind.API}])
def test_read_now_is_for_what_is_read(clients, rung, fields):
    source = source_of(tried_at=A_MORNING, **fields)
    clients[Role.DUTY].post(f"/changes/sources/{source.pk}/read/")
    source.refresh_from_db()
    assert (source.tried_at, rung) == (A_MORNING, [])


# --- who may ----------------------------------------------------------------------------------------------------------


def test_only_a_lead_keeps_sources_and_only_ciduty_sees_them(clients, stranger):
    source = source_of()
    seen = {role: clients[role].get("/changes/sources/").status_code for role in Role}
    kept = {role: clients[role].get(f"/changes/sources/{source.pk}/edit/").status_code for role in Role}
    assert {role for role, status in seen.items() if status == 200} == {Role.DUTY, Role.LEAD}
    assert {role for role, status in kept.items() if status == 200} == {Role.LEAD}
    assert stranger.post("/changes/sources/add/", typed("https://hg.example.com/x")).status_code == 302
    assert clients[Role.DUTY].post("/changes/sources/add/", typed("https://hg.example.com/x")).status_code == 403
    assert Source.objects.count() == 1


# --- filters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "message", "files", "known", "dropped"),
    [
        ({}, "anything", (), True, ""),
        ({"keyword": "deploy:"}, "DEPLOY: a", (), True, ""),
        ({"keyword": "deploy:"}, "a deployment", (), True, "without “deploy:”"),
        ({"folders": ["terraform/"]}, "x", ("terraform/a",), True, ""),
        (
            {"folders": ["terraform"]},
            "x",
            ("terraform-old/a", "b/terraform/a"),
            True,
            "in none of the folders and files",
        ),
        ({"folders": ["terraform"]}, "x", ("b",), False, ""),
        ({"folders": ["terraform"]}, "x", (), True, "in none of the folders and files"),
        ({"files": ["*.yml"]}, "x", ("a/b.yml",), True, ""),
        ({"files": ["a/b.yml"]}, "x", ("a/B.yml",), True, "in none of the folders and files"),
        ({"folders": ["x"], "files": ["b"]}, "x", ("b",), True, ""),
        ({"drop_automatic": True}, "No Bug, mozilla-central repo-update HSTS HPKP", (), True, "written by a machine"),
        ({"drop_automatic": True}, "Bug 1500001 - By hand", (), True, ""),
        ({"folders": "terraform", "keyword": None, "drop_automatic": "no"}, "x", (), True, ""),
    ],
)
def test_filters_keep_and_drop(filters, message, files, known, dropped):
    assert Filters.of(filters).why_dropped(message, files, known) == dropped
