"""What people enter: one line in under five seconds, the whole form, a correction. Sent twice it is one change."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from changelog import workflow
from changelog.models import Change, Revision
from changelog.publishing import entering, moments, one_line
from changelog.publishing.one_line import Place
from changelog.rules import State
from ciduty import clock
from ciduty.people.roles import Role
from ciduty.systems.models import named
from tests.cast import A_MORNING, at_once
from tests.test_changelog_publishing import CANARY, WORDS, private_bug, proposed, source_of

BUCHAREST = ZoneInfo("Europe/Bucharest")
AUTOLAND, TASKCLUSTER = Place(repository="autoland", kind="tree"), Place(system="taskcluster")
PLACES = {"autoland": AUTOLAND, "taskcluster": TASKCLUSTER, "gecko's hooks": Place(system="hooks")}
NOWHERE = Place()


@pytest.mark.parametrize(
    ("line", "place", "summary", "kind", "bugs"),
    [
        ("autoland: bumped image to 42, bug 1899999", AUTOLAND, "bumped image to 42, bug 1899999", "image", (1899999,)),
        ("  Autoland :closed  for\tbacklog ", AUTOLAND, "closed for backlog", "tree", ()),
        ("autoland: something else", AUTOLAND, "something else", "tree", ()),  # the place's own kind
        ("TASKCLUSTER: deployed 88.1", TASKCLUSTER, "deployed 88.1", "deploy", ()),
        ("gecko's hooks: restarted", Place(system="hooks"), "restarted", "service", ()),
        ("nowhere: bumped worker image", NOWHERE, "nowhere: bumped worker image", "image", ()),
        ("new rota for the weekend", NOWHERE, "new rota for the weekend", "process", ()),
        ("firmware of the switches in mdc1", NOWHERE, "firmware of the switches in mdc1", "hardware", ()),
        ("https://autoland: is an address", NOWHERE, "https://autoland: is an address", "", ()),
        ("autoland://x", NOWHERE, "autoland://x", "", ()),
        ("autoland:", NOWHERE, "autoland:", "", ()),
        (":", NOWHERE, ":", "", ()),
        ("it works now", NOWHERE, "it works now", "", ()),
        ("autoland: taskcluster: deployed", AUTOLAND, "taskcluster: deployed", "deploy", ()),
        ("imagine a racket of treetops", NOWHERE, "imagine a racket of treetops", "", ()),  # no whole words
    ],
)  # fmt: skip
def test_one_line_is_read(line, place, summary, kind, bugs):
    said = one_line.parse(line, PLACES)
    assert (said.place, said.summary, said.kind, said.bugs) == (place, summary, kind, bugs)


@pytest.mark.parametrize(
    ("day", "at", "zone", "expected"),
    [
        (date(2026, 3, 3), time(11, 0), BUCHAREST, "2026-03-03T11:00:00+02:00"),
        (date(2026, 7, 3), time(11, 0), BUCHAREST, "2026-07-03T11:00:00+03:00"),
        (date(2026, 3, 3), time(11, 0), UTC, "2026-03-03T11:00:00+00:00"),
        (date(2026, 3, 29), time(3, 30), BUCHAREST, "never, because the clocks go forward"),
        (date(2026, 10, 25), time(3, 30), BUCHAREST, "twice, because the clocks go back"),
        (date(2026, 10, 25), time(3, 30), UTC, "2026-10-25T03:30:00+00:00"),
        (date(1989, 12, 31), time(12), UTC, "before 1990"),
        (date(1990, 1, 1), time(0), UTC, "1990-01-01T00:00:00+00:00"),
        (date(9999, 12, 31), time(23, 59), ZoneInfo("America/Los_Angeles"), "outside the calendar"),
        (date(2027, 3, 4), time(9, 0), UTC, "2027-03-04T09:00:00+00:00"),  # 366 days ahead
        (date(2027, 3, 4), time(9, 1), UTC, "more than a year ahead"),
    ],
)
def test_a_moment_is_read_by_the_clock_of_its_zone(day, at, zone, expected):
    if expected[0].isdigit():
        assert moments.read(day, at, zone, A_MORNING).isoformat() == expected
    else:
        with pytest.raises(moments.NoMoment, match=expected):
            moments.read(day, at, zone, A_MORNING)


def test_a_moment_keeps_the_zone_that_it_was_told_with(settings):
    desk = settings.CIDUTY_CALENDAR
    assert list(moments.zones(desk)) == ["desk", "utc"]
    assert list(moments.zones(desk, datetime(2026, 3, 3, 9, tzinfo=BUCHAREST))) == ["desk", "utc"]
    told = datetime.fromisoformat("2026-03-03T09:00:00+05:45")
    assert moments.zones(desk, told)["told"][0] == "As it was told (UTC+0545)"
    assert moments.typed(told, moments.zones(desk, told)["told"][1]) == {
        "effective_on": date(2026, 3, 3),
        "effective_time": time(9, 0),
    }


# --- one line ---------------------------------------------------------------------------------------------------------


def words_of(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())).replace("&#x27;", "'")


def say(client, line, op="0123abcd", **further):
    return client.post("/changes/say/", {"line": line, "op": op} | further, follow=True)


@pytest.mark.django_db
def test_what_duty_says_is_public_at_once_and_can_be_undone(clients, duty):
    source_of("autoland", default_system=named("Taskcluster"))
    shown = words_of(say(clients[Role.DUTY], "autoland: bumped worker image to 42, bug 1899999"))
    assert "Published: bumped worker image to 42, bug 1899999 Undo" in shown
    change = Change.objects.public().get()
    assert (change.kind, change.bugs, change.repositories) == ("image", [1899999], ["autoland"])
    assert change.system.slug == "taskcluster" and change.author == str(duty) == str(change.published_by)
    assert abs(change.effective_at - clock.now()) < timedelta(minutes=1) and change.at == change.effective_at


@pytest.mark.django_db
def test_what_a_scheduler_says_waits_for_duty(clients, people):
    answer = say(clients[Role.SCHEDULER], "bumped worker image")
    assert "is proposed: somebody of CiDuty publishes it" in words_of(answer) and answer.status_code == 200
    change = Change.objects.waiting().get()
    assert change.proposed_by == people[Role.SCHEDULER] and not change.is_public


@pytest.mark.django_db
def test_sent_twice_it_is_one_and_other_words_in_the_same_form_are_not_lost(clients):
    say(clients[Role.DUTY], "bumped worker image")
    clock.move(timedelta(seconds=5))
    shown = words_of(say(clients[Role.DUTY], "bumped worker image"))
    assert "This was sent before: it is published." in shown
    assert (Change.objects.count(), Revision.objects.count()) == (1, 0)
    other = say(clients[Role.DUTY], "closed autoland")
    assert other.status_code == 422 and "This form was sent before, as “bumped worker image”" in words_of(other)
    assert 'value="closed autoland"' in other.content.decode() and 'value="0123abcd"' not in other.content.decode()
    say(clients[Role.LEAD], "closed autoland")  # another person's form of the same name is another form
    assert Change.objects.count() == 2


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time: only PostgreSQL can race")
@pytest.mark.django_db(transaction=True)
def test_sent_twice_at_the_same_moment_it_is_one(people):
    duty, at = people[Role.DUTY], clock.now()
    workflow.people_source()
    said = at_once([lambda: entering.say("bumped worker image", by=duty, op="0123abcd", at=at)] * 4)
    assert sorted(one.is_new for one in said) == [False, False, False, True]
    assert Change.objects.public().count() == 1 and not Revision.objects.exists()


@pytest.mark.django_db
def test_a_line_about_a_private_bug_is_kept_and_asks_for_words(clients):
    shown = words_of(say(clients[Role.DUTY], f"fixed bug {private_bug()}: {CANARY}"))
    assert "It was taken down, and not published: It names bug 1400123, which is not public" in shown
    assert Change.objects.waiting().count() == 1 and not Change.objects.public().exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ({"line": ""}, "Type what changed, as in"),
        ({"line": "x" * 301}, "It is 301 characters long, and 300 fit: shorten it."),
        ({"line": "left\u202eright"}, "cannot be seen (U+202E)"),
        ({"op": "nonsense"}, "This form is no longer whole"),
        ({"op": ""}, "This form is no longer whole"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_and_it_stays_there(clients, typed, problem):
    typed = {"line": "bumped worker image", "op": "0123abcd"} | typed
    answer = clients[Role.SCHEDULER].post("/changes/say/", typed)
    assert answer.status_code == 422 and problem in words_of(answer)
    assert not typed["line"] or f'value="{typed["line"]}"' in answer.content.decode()
    assert not Change.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.PUBLIC, Role.DEVELOPER, Role.MANAGER])
def test_nobody_else_says_or_adds_anything(clients, role):
    for address in ("/changes/say/", "/changes/add/"):
        for method in ("get", "post"):
            assert getattr(clients[role], method)(address, {"line": "x", "op": "0123abcd"}).status_code in (302, 403)
    assert not Change.objects.exists()


# --- the form ---------------------------------------------------------------------------------------------------------


A_CHANGE = {
    "op": "0123abcd", "system": "taskcluster", "kind": "image", "summary": "New worker image", "impact": "None",
    "pools": "gecko-t/win11-64-2009, gecko-t/t-linux", "platforms": ["windows"], "bugs": "bug 1899999, #1899998",
    "effective_on": "2026-03-03", "effective_time": "11:00", "zone": "desk", "reviewers": "One, Two",
    "links": "https://example.com/notes The notes\nhttps://example.com/", "public_summary": "",
}  # fmt: skip


def add(client, **typed):
    return client.post("/changes/add/", A_CHANGE | typed, follow=True)


@pytest.fixture
def taskcluster(db):
    """A system of the catalogue."""
    return named("Taskcluster")


def test_a_whole_change_is_added_and_published(clients, taskcluster):
    assert "Published: New worker image · None Undo" in words_of(add(clients[Role.DUTY]))
    change = Change.objects.public().get()
    assert (change.system, change.kind, change.bugs) == (taskcluster, "image", [1899999, 1899998])
    assert change.pools == ["gecko-t/win11-64-2009", "gecko-t/t-linux"] and "windows" in change.platforms
    assert change.effective_there.isoformat() == "2026-03-03T11:00:00+02:00" and change.at == A_MORNING
    assert change.reviewers == ["One", "Two"] and [link["title"] for link in change.links] == [
        "The notes",
        "example.com",
    ]
    assert "This was sent before" in words_of(add(clients[Role.DUTY])) and Change.objects.count() == 1


def test_it_may_be_proposed_only_and_others_can_do_no_more(clients, taskcluster):
    add(clients[Role.DUTY], propose="1")
    assert "is proposed" in words_of(add(clients[Role.SCHEDULER], op="00000000"))
    assert Change.objects.waiting().count() == 2 and not Change.objects.public().exists()


def test_without_a_moment_it_takes_effect_now(clients, taskcluster):
    add(clients[Role.DUTY], effective_on="", effective_time="")
    assert abs(Change.objects.get().effective_at - clock.now()) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ({"summary": ""}, "Write in one line what changed."),
        ({"summary": "x" * 301}, "It is 301 characters long"),
        ({"system": "nothing"}, "Select a valid choice"),
        ({"kind": "nothing"}, "Select a valid choice"),
        ({"platforms": ["beos"]}, "Select a valid choice"),
        ({"pools": "gecko-t/win11 <b>"}, "is no pool’s name"),
        ({"pools": " ".join(f"pool-{number}" for number in range(51))}, "51 pools are named, and 50 fit"),
        ({"bugs": "1899999 x"}, "“x” is no bug’s number"),
        ({"bugs": "99999999999"}, "is no bug’s number"),
        ({"bugs": "0"}, "is no bug’s number"),
        ({"effective_time": ""}, "Only half of it is there: enter the time as well"),
        ({"effective_on": ""}, "Only half of it is there: enter the date as well"),
        ({"effective_on": "yesterday"}, "Enter a valid date"),
        ({"effective_on": "2026-03-29", "effective_time": "03:30"}, "never, because the clocks go forward"),
        ({"zone": "mars"}, "Select a valid choice"),
        ({"links": "javascript:alert(1) Click"}, "is no address of a page"),
        ({"links": "https://["}, "is no address of a page"),
        ({"op": ""}, "This form is no longer whole"),
    ],
)
def test_what_is_wrong_with_a_field_is_said_and_nothing_typed_is_lost(clients, taskcluster, typed, problem):
    answer = add(clients[Role.DUTY], **typed)
    assert answer.status_code == 422 and problem in words_of(answer) and "Nothing was entered yet." in words_of(answer)
    shown = answer.content.decode()
    for name in ("summary", "impact", "reviewers"):
        assert not (A_CHANGE | typed)[name] or f'value="{(A_CHANGE | typed)[name]}"' in shown
    assert not Change.objects.exists()


def test_a_private_bug_in_the_form_asks_for_words_and_enters_nothing_before(clients, taskcluster):
    bug = private_bug()
    answer = add(clients[Role.DUTY], bugs=str(bug))
    assert answer.status_code == 422 and "It names bug 1400123, which is not public" in words_of(answer)
    assert not Change.objects.exists()
    add(clients[Role.DUTY], bugs=str(bug), public_summary=WORDS)
    assert Change.objects.public().get().public_summary == WORDS


# --- corrections ------------------------------------------------------------------------------------------------------


def fields_of(client, change):
    """Return what a browser would send for the form as it is shown."""
    html = client.get(f"/changes/{change.pk}/correct/").content.decode()
    form = html[html.index('<form method="post" class="form wide ask"') :]
    sent = {}
    for tag in re.findall(r"<input[^>]*>", form):
        found = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if found.get("type") in ("checkbox", "radio") and " checked" not in tag:
            continue
        if "name" in found and found["name"] not in ("line", "op"):
            sent.setdefault(found["name"], []).append(found.get("value", ""))
    for name, options in re.findall(r'<select name="(\w+)".*?>(.*?)</select>', form, re.DOTALL):
        sent[name] = re.findall(r'value="([^"]*)"\s+selected', options)
    for name, text in re.findall(r'<textarea name="(\w+)"[^>]*>\s*(.*?)</textarea>', form, re.DOTALL):
        sent[name] = [text]
    return sent


@pytest.fixture
def change(duty, taskcluster):
    """A public change with something in every field."""
    change = proposed(
        "Bump the worker image, bug 1899999", impact="None", pools=("gecko-t/win11",), platforms=("windows",),
        system="taskcluster", effective_at=datetime.fromisoformat("2026-03-03T09:30:45+05:45"),
    )  # fmt: skip
    workflow.publish(change, duty)
    return change


def correct(client, change, **typed):
    sent = {**fields_of(client, change), **typed}
    return client.post(f"/changes/{change.pk}/correct/", sent, follow=True)


def test_sent_as_it_is_shown_it_corrects_nothing(clients, change):
    before = Change.objects.values().get()
    answer = correct(clients[Role.DUTY], change)
    assert "Nothing was changed: it stood there so already." in words_of(answer)
    assert Change.objects.values().get() == before and not Revision.objects.exists()


def test_what_is_typed_otherwise_is_corrected_and_nothing_else(clients, change, duty):
    answer = correct(clients[Role.DUTY], change, impact="Tests wait", system="", because="It was worse")
    assert "It is corrected." in words_of(answer)
    change.refresh_from_db()
    assert (change.impact, change.system) == ("Tests wait", None)
    revision = Revision.objects.get()
    assert set(revision.after) == {"impact", "system_id"} and revision.is_public and revision.by == duty
    assert change.effective_there.isoformat() == "2026-03-03T09:30:45+05:45"


def test_when_it_took_effect_is_corrected_in_any_of_its_zones(clients, change):
    correct(clients[Role.DUTY], change, effective_time="10:00")
    change.refresh_from_db()
    assert change.effective_there.isoformat() == "2026-03-03T10:00:00+05:45"
    correct(clients[Role.DUTY], change, effective_time="10:00", zone="desk")
    change.refresh_from_db()
    assert change.effective_there.isoformat() == "2026-03-03T10:00:00+02:00"


def test_two_corrections_at_once_the_second_sees_the_first(clients, change, duty):
    client, sent = clients[Role.LEAD], fields_of(clients[Role.LEAD], change)
    workflow.correct(change, duty, change.revision, impact="By duty")
    answer = client.post(f"/changes/{change.pk}/correct/", sent | {"impact": "By the lead"})
    assert answer.status_code == 422 and "Somebody corrected it while you wrote" in words_of(answer)
    assert 'value="By the lead"' in answer.content.decode()
    again = re.search(r'name="seen_revision" value="(\d+)"', answer.content.decode())[1]
    client.post(f"/changes/{change.pk}/correct/", sent | {"impact": "By the lead", "seen_revision": again})
    change.refresh_from_db()
    assert change.impact == "By the lead" and Revision.objects.count() == 2


def test_former_words_are_hidden_on_request_and_a_proposal_has_no_public_history(clients, change):
    correct(clients[Role.DUTY], change, summary="A worker image", hide_former="on")
    assert not Revision.objects.get().is_public
    other = proposed(number=3)
    correct(clients[Role.DUTY], other, summary="Another", bugs="")
    assert (
        Change.objects.get(pk=other.pk).state == State.PROPOSED and not Revision.objects.filter(is_public=True).exists()
    )


def test_what_is_wrong_with_a_correction_is_said(clients, change):
    answer = correct(clients[Role.DUTY], change, bugs=f"{private_bug()}")
    assert answer.status_code == 422 and "which is not public" in words_of(answer)
    answer = correct(clients[Role.DUTY], change, summary="")
    assert answer.status_code == 422 and "Write in one line what changed." in words_of(answer)
    assert not Revision.objects.exists()
