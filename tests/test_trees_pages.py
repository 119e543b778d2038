"""What everybody reads of trees: now, since when, why, until when, and how sure that is; never a private bug's word."""

import html
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla.models import Bug, TrackedId, Visibility
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from ciduty.trees import confidential, polling, showing, workflow
from ciduty.trees.intervals import closures_between
from ciduty.trees.models import Closure, Service, Tree, TreeEvent
from ciduty.trees.rules import LATELY
from tests.cast import A_MORNING, BugFactory, PersonFactory, at_once, browser_of
from tests.trees_stage import standing, told, tree

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CLOSE = "/trees/by-hand/close/"
TYPED = {"op": "0a1b2c3d", "others": "autoland", "category": "infra", "reason": "hg does not answer", "expected": "2h"}
PRIVATE = 1666001
HOSTILE = '"><script>alert(1)</script>{{ 7 }}\u202e'


@pytest.fixture(autouse=True)
def morning():
    """The clock stands on a working morning."""
    clock.move(A_MORNING - clock.now())


@pytest.fixture
def service(settings):
    """A service that tells of nothing yet."""
    with standing() as stand:
        settings.TREESTATUS_URL = stand.url
        yield stand


@pytest.fixture
def private():
    """A bug that the mirror knows not to be public."""
    return BugFactory(pk=PRIVATE, visibility=Visibility.RESTRICTED, is_loaner_request=False)


def text_of(answer):
    """Return a page's words without its markup."""
    assert answer.status_code in (200, 422), answer.status_code
    inside = re.sub(r"<svg.*?</svg>", "", answer.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", inside)).split())


def page(client, address="/trees/"):
    return text_of(client.get(address))


def closed(by, *names, **typed):
    """Close trees by hand, and return the closures."""
    given = {"reason": "hg does not answer", "category": "infra", "op": f"{Closure.objects.count():08x}"} | typed
    return workflow.close_by_hand(names or ["autoland"], by=by, **given)


def told_closed(name, *moments, category="infra", reason="x"):
    """Return a tree that was closed and opened in turn at these hours before now."""
    row = tree(name)
    for place, hours in enumerate(moments):
        to_status = "open" if place % 2 else "closed"
        TreeEvent.objects.create(
            tree=row, at=clock.now() - hours * HOUR, to_status=to_status, source="told",
            category="" if place % 2 else category, reason="" if place % 2 else reason,
        )  # fmt: skip
    if len(moments) % 2:
        Tree.objects.filter(pk=row.pk).update(status="closed", reason=reason, tags=[category])
    return row


# --- how sure it is ---------------------------------------------------------------------------------------------------


def test_an_empty_page_says_what_it_will_hold(stranger, service, settings):
    assert "They appear with the first answer" in page(stranger)
    polling.poll()
    assert "answers, and tells of none" in page(stranger)
    service.raw["/trees"] = (500, "text/html", b"<html>")
    Service.objects.all().delete()
    polling.poll()
    assert "has not answered yet" in page(stranger) and "Nothing was ever heard from it" in page(stranger)
    settings.TREESTATUS_URL = ""
    assert "follows no tree status service here" in page(stranger)


def test_what_is_fresh_is_shown_plainly(stranger, service):
    service.say(told("autoland", "closed", "hg is down", ["infra"], 2), told("try"), told("beta", "approval required"))
    polling.poll()
    words = page(stranger)
    assert "1 of 3 trees is closed : autoland." in words
    assert "Tree status last heard from 0 s ago" in words
    assert "Infrastructure related : hg is down" in words
    assert "Approval required" in words and "as last heard" not in words


@pytest.mark.parametrize(
    ("after", "breaks", "said"),
    [
        (11 * MINUTE, False, "Stale: tree status was last heard from 11 min ago"),
        (MINUTE, True, "Tree status is unavailable since Tue 03 Mar"),
    ],
)
def test_what_is_not_fresh_is_marked_on_every_page(stranger, service, after, breaks, said):
    service.say(told("autoland"), told("try", "closed", "x", ["infra"]))
    polling.poll()
    clock.move(after)
    if breaks:
        service.raw["/trees"] = (500, "text/html", b"<html>")
        polling.poll()
    for address in ("/trees/", "/trees/autoland/"):
        words = page(stranger, address)
        assert said in words.replace(" :", ":")
        assert "Open, as last heard" in words and "may be wrong by now" in words
    assert "as far as was last heard" in page(stranger)
    assert "HTTP 500" not in page(stranger)


def test_who_may_close_trees_reads_why_the_service_is_unavailable(clients, service):
    service.raw["/trees"] = (500, "text/html", b"<html>")
    polling.poll()
    assert "it answered HTTP 500 and a web page" in page(clients[Role.DUTY])


def test_a_tree_that_is_gone_or_in_an_unknown_state_is_nowhere_called_open(stranger, service):
    service.say(told("autoland"), told("try", "no change", "just text"))
    polling.poll()
    service.say(told("try", "no change", "just text"))
    polling.poll()
    words = page(stranger)
    assert "Gone from the service" in words and "Was it renamed or removed?" in words
    assert "The service calls it “no change”" in words
    assert "Nobody can say whether try, autoland are open" in words
    assert "Push with joy" not in words and "No tree is closed." not in words
    for name in ("autoland", "try"):
        assert not re.search(r"\bOpen\b", page(stranger, f"/trees/{name}/").partition("History")[0])


def test_names_that_cannot_be_shown_are_counted(stranger, service):
    service.say(told("autoland"), told("a/b"))
    polling.poll()
    assert "1 more has a name that cannot be shown" in page(stranger)


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_a_closed_tree_says_since_when_why_and_until_when(stranger, duty, settings):
    settings.BUGZILLA_URL = "https://bugzilla.example.com"
    closed(duty, bug=1400001, expected_end=clock.now() + 2 * HOUR)
    for address in ("/trees/", "/trees/autoland/"):
        words = page(stranger, address)
        assert "Infrastructure related : hg does not answer bug 1400001" in words
        assert "Tue 03 Mar 11:00" in words and "Tue 03 Mar 13:00" in words
        assert "overdue" not in words
    assert 'href="https://bugzilla.example.com/show_bug.cgi?id=1400001"' in stranger.get("/trees/").content.decode()
    clock.move(2 * HOUR + MINUTE)
    assert "overdue" in page(stranger) and "overdue" in page(stranger, "/trees/autoland/")


def test_without_an_expected_end_nobody_pretends_to_know(stranger, duty):
    closed(duty, expected_end=clock.now() + HOUR)
    closed(duty, reason="And the network")
    assert showing.board(clock.now()).trees[0].expected_end is None
    assert "Until not known" in page(stranger, "/trees/autoland/")


def test_trees_that_close_often_stand_first_and_those_that_are_gone_last(stranger):
    told_closed("a", 5, 4), told_closed("b", 9, 8, 7, 6), told_closed("c")
    told_closed("d", *range(40, 30, -1))
    Tree.objects.filter(name="d").update(gone_at=clock.now())
    told_closed("e", 24 * 31, 24 * 31 - 1, 24 * 32, 24 * 33)  # more than thirty days ago
    assert [one.name for one in showing.board(clock.now()).trees] == ["b", "a", "c", "e", "d"]


def test_hours_are_counted_by_category_of_the_last_thirty_days(stranger):
    told_closed("a", 30 * 24 + 2, 30 * 24 - 1.02, category="planned")  # 61 minutes of it lie within
    told_closed("b", 5, 2), told_closed("c", 1.5)
    words = page(stranger)
    table = words.partition("Category Closed Times")[2]
    assert table.startswith(" Infrastructure related 4 h 30 min 2 Planned closure 1 h 01 min 1 In all 5 h 31 min 3")
    drawn = stranger.get("/trees/").content.decode()
    assert drawn.count('<rect x="190"') == 2
    assert 'role="img" aria-label="For how long trees were closed in the last 30 days: Infrastructure' in drawn


def test_a_month_without_a_closure_is_said_warmly(stranger):
    tree()
    assert "Not a minute. No tree was closed in the last 30 days" in page(stranger)
    assert "Not a minute. autoland was not closed" in page(stranger, "/trees/autoland/")


def test_a_tree_has_its_history_newest_first_and_who_is_for_ciduty_alone(clients, stranger, service):
    service.say(told("autoland", "closed", "x", ["infra"], 1))
    service.logs["autoland"] = [
        {"id": 1, "reason": "x", "status": "closed", "tags": ["infra"], "tree": "autoland",
         "when": "2026-03-03T08:00:00Z", "who": "sheriff@example.com"},
    ]  # fmt: skip
    polling.poll()
    assert "By sheriff@example.com" in page(clients[Role.DUTY], "/trees/autoland/")
    assert "sheriff@example.com" not in stranger.get("/trees/autoland/").content.decode()
    service.say(told("autoland"))
    polling.poll()
    words = page(stranger, "/trees/autoland/")
    assert words.index("closed → to open") < words.index("told by the service")
    for client in (stranger, clients[Role.DEVELOPER], clients[Role.MANAGER]):
        assert "sheriff@example.com" not in client.get("/trees/autoland/").content.decode()
    assert "sheriff@example.com" in page(clients[Role.DUTY], "/trees/autoland/")


def test_a_long_history_is_paged(stranger):
    told_closed("autoland", *range(70, 0, -1))
    assert "Page 1 of 3" in page(stranger, "/trees/autoland/")
    assert "Page 3 of 3" in page(stranger, "/trees/autoland/?page=99")
    assert "Page 1 of 3" in page(stranger, "/trees/autoland/?page=x")


@pytest.mark.parametrize("name", ["nothing", "<b>", "..", "x" * 65, "a b", "%00", "autoland%0A"])
def test_a_tree_that_nobody_knows_is_no_page(stranger, name):
    tree()
    assert stranger.get(f"/trees/{name}/").status_code == 404


def test_hostile_words_of_a_service_stay_text(clients, stranger, service):
    service.say(
        told("autoland", "closed", HOSTILE, [HOSTILE, "infra"], motd=HOSTILE, category=HOSTILE), told("try", HOSTILE)
    )
    polling.poll()
    for client in (stranger, clients[Role.DUTY]):
        for address in ("/trees/", "/trees/autoland/", "/trees/try/"):
            source = client.get(address).content.decode()
            assert "<script>alert" not in source and "\u202e" not in source
            assert "{{ 7 }}" in source or "&lt;script" in source


def test_forty_trees_cost_as_many_queries_as_five(stranger, clients, duty):
    costs = []
    for first, last in ((0, 5), (5, 40)):
        with_closures(duty, range(first, last))
        costs.append([cost(client, address) for client in (stranger, clients[Role.DUTY]) for address in ADDRESSES])
    assert costs[0] == costs[1]
    assert max(costs[1]) <= 13


ADDRESSES = ("/trees/", "/trees/tree-1/", "/api/trees/")


def cost(client, address):
    client.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def with_closures(duty, numbers):
    for number in numbers:
        told_closed(f"tree-{number}", 5, 3, 1)
        Closure.objects.create(
            tree=Tree.objects.get(name=f"tree-{number}"), key=str(number), reason="x", category="infra", owner=duty,
            closed_at=clock.now(), bug_id=1400000 + number,
        )  # fmt: skip


# --- what is not public -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason",
    [
        f"bug {PRIVATE} is why", f"(b={PRIVATE})", f"#{PRIVATE}", f"show_bug.cgi?id={PRIVATE}", f"see {PRIVATE}.",
        f"bug 0{PRIVATE}", "bug \uff11\uff16\uff16\uff16\uff10\uff10\uff11",
    ],
)  # fmt: skip
def test_however_a_private_bug_is_spelled_the_reason_is_withheld_whole(private, reason):
    found = confidential.private_among([reason, "bug 1400001 and 5 hours"], [1400002, None])
    assert found == {PRIVATE}
    assert confidential.public(f"canary {reason}", found) == confidential.WITHHELD
    assert confidential.public(f"canary, bug 1{PRIVATE}", found) == f"canary, bug 1{PRIVATE}"


def test_a_reason_that_names_a_private_bug_is_withheld_whole_from_everybody(clients, stranger, service, private):
    reason = f"Fixing the canary leak, bug {PRIVATE}"
    service.say(told("autoland", "closed", reason, ["infra"], motd=reason))
    polling.poll()
    now = clock.now()
    addresses = ("/trees/", "/trees/autoland/", "/api/trees/")
    shown = [client.get(one).content.decode() for client in (stranger, clients[Role.DUTY]) for one in addresses]
    shown.append(repr(closures_between(now - HOUR, now, now)))
    for text in shown:
        assert "canary" not in text and str(PRIVATE) not in text
        assert "names a bug that is not public" in text


def test_a_bug_that_turns_private_takes_its_reason_with_it(stranger, service):
    bug = BugFactory(pk=PRIVATE, visibility=Visibility.PUBLIC, is_loaner_request=False)
    service.say(told("autoland", "closed", f"canary, bug {PRIVATE}", ["infra"]))
    polling.poll()
    assert "canary" in page(stranger) and str(PRIVATE) in page(stranger)
    Bug.objects.filter(pk=bug.pk).update(visibility=Visibility.STAFF)
    assert "canary" not in page(stranger) and str(PRIVATE) not in page(stranger, "/trees/autoland/")


def test_a_closure_for_a_bug_that_turned_private_keeps_its_words_and_loses_the_number(stranger, duty, private):
    closed(duty, bug=PRIVATE)
    for address in ("/trees/", "/trees/autoland/", "/api/trees/"):
        source = stranger.get(address).content.decode()
        assert str(PRIVATE) not in source and "hg does not answer" in source
    assert str(PRIVATE) not in Entry.objects.latest("pk").sentence


def test_a_reason_typed_by_hand_may_not_name_a_private_bug(clients, private):
    answer = clients[Role.DUTY].post(CLOSE, TYPED | {"reason": f"canary of bug {PRIVATE}"})
    assert answer.status_code == 422
    assert f"Bug {PRIVATE} is not public, and everybody reads the reason" in text_of(answer)
    assert not Closure.objects.exists()


def test_the_mirror_is_asked_to_learn_of_a_closures_bug_and_forgets_the_wish_once_it_knows(duty):
    closed(duty, bug=1400001)
    assert list(TrackedId.objects.values_list("bug_id", "why")) == [(1400001, workflow.TRACKED_BECAUSE)]
    BugFactory(pk=1400001)
    closed(duty, bug=1400001)
    assert not TrackedId.objects.exists()


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_duty_closes_trees_by_hand_and_it_is_marked_so(clients, stranger, duty):
    tree("try")
    answer = clients[Role.DUTY].post(CLOSE, TYPED | {"trees": "try", "bug": "bug 1400001"})
    assert answer.headers["Location"] == "/trees/"
    closures = Closure.objects.order_by("tree__name")
    assert [(one.tree.name, one.reason, one.category, one.bug_id, one.owner) for one in closures] == [
        (name, "hg does not answer", "infra", 1400001, duty) for name in ("autoland", "try")
    ]
    assert all(HOUR < one.expected_end - clock.now() <= 2 * HOUR for one in closures)
    words = page(stranger)
    assert "2 of 2 trees are closed" in words and "Closed by hand" in words and "Said by hand" in words
    entry = Entry.objects.filter(verb="closed").latest("pk")
    assert entry.by == duty and "hg does not answer" not in entry.sentence


def test_ending_one_closure_leaves_the_tree_closed_while_another_stands(clients, duty):
    [first] = closed(duty)
    [second] = closed(duty, reason="And the network", category="planned")
    clients[Role.DUTY].post(f"/trees/by-hand/reopen/{second.pk}/")
    row = Tree.objects.get()
    assert (row.status, row.reason, row.tags) == ("closed", "hg does not answer", ["infra"])
    answer = clients[Role.DUTY].post(f"/trees/by-hand/reopen/{first.pk}/", follow=True)
    assert "autoland is open." in text_of(answer)
    assert list(TreeEvent.objects.values_list("to_status", "category").order_by("pk")) == [
        ("closed", "infra"), ("closed", "planned"), ("closed", "infra"), ("open", ""),
    ]  # fmt: skip


def test_the_form_sent_twice_closes_once(clients):
    assert [clients[Role.DUTY].post(CLOSE, TYPED).status_code for _ in range(2)] == [302, 302]
    assert Closure.objects.count() == TreeEvent.objects.count() == Entry.objects.filter(verb="closed").count() == 1


def test_a_closure_ended_twice_is_ended_once(clients, duty):
    [one] = closed(duty)
    for _ in range(2):
        clients[Role.DUTY].post(f"/trees/by-hand/reopen/{one.pk}/")
    assert Entry.objects.filter(verb="ended closure").count() == 1
    assert TreeEvent.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_form_sent_twice_at_the_same_moment_closes_once(duty):
    at_once([lambda: closed(duty, op="0000000a"), lambda: closed(duty, op="0000000a")])
    assert Closure.objects.count() == TreeEvent.objects.count() == Tree.objects.count() == 1


def test_nobody_ends_the_closure_of_somebody_else_but_a_lead(clients, people, lead):
    other = PersonFactory(role=Role.DUTY, username="duty2")
    [one] = closed(other)
    answer = clients[Role.DUTY].post(f"/trees/by-hand/reopen/{one.pk}/", follow=True)
    assert "duty2 closed it, and only they know whether it may open" in text_of(answer)
    assert "Reopen autoland" not in page(clients[Role.DUTY], "/trees/autoland/")
    assert Closure.objects.standing().count() == 1
    clients[Role.LEAD].post(f"/trees/by-hand/reopen/{one.pk}/")
    one.refresh_from_db()
    assert (one.ended_by, Tree.objects.get().status) == (lead, "open")


def test_what_a_downtime_closed_is_not_reopened_by_hand(clients, duty):
    [one] = closed(duty)
    Closure.objects.update(about="downtime 7")
    answer = clients[Role.DUTY].post(f"/trees/by-hand/reopen/{one.pk}/", follow=True)
    assert "It was closed for downtime 7: reopen it on the run sheet" in text_of(answer)
    assert Closure.objects.standing().exists()


def test_where_a_service_is_configured_nothing_is_said_by_hand(clients, duty, service):
    service.say(told("autoland"))
    polling.poll()
    assert "close and reopen trees there" in page(clients[Role.DUTY], CLOSE)
    answer = clients[Role.DUTY].post(CLOSE, TYPED)
    assert answer.status_code == 422 and "close and reopen trees there" in text_of(answer)
    assert 'value="hg does not answer"' in answer.content.decode()
    assert "Close trees by hand" not in page(clients[Role.DUTY])
    mine = Closure.objects.create(
        tree=Tree.objects.get(), key="x", reason="x", category="infra", owner=duty, closed_at=clock.now()
    )
    clients[Role.DUTY].post(f"/trees/by-hand/reopen/{mine.pk}/")
    assert Tree.objects.get().status == "open" and Closure.objects.standing().exists()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"others": ""}, "Name at least one tree."),
        ({"others": "auto/land"}, "“auto/land” is no name of a tree"),
        ({"others": "x" * 65}, "is no name of a tree"),
        ({"others": " ".join(f"t{n}" for n in range(101))}, "These are 101 trees, and 100 can be closed at once"),
        ({"category": ""}, "a closure needs a reason and a category"),
        ({"category": "weather"}, "none of the categories"),
        ({"reason": "  "}, "everybody who cannot push reads it"),
        ({"reason": "x" * 301}, "301 characters long"),
        ({"reason": "a\u202eb"}, "U+202E"),
        ({"bug": "seven"}, "This is no bug number"),
        ({"expected": "9y"}, "none of the times"),
        ({"op": ""}, "no longer whole"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(clients, wrong, sentence):
    answer = clients[Role.DUTY].post(CLOSE, TYPED | wrong)
    assert answer.status_code == 422
    assert sentence in text_of(answer)
    source = html.unescape(answer.content.decode())
    assert all((TYPED | wrong).get(name, "").strip()[:40] in source for name in ("others", "reason", "bug"))
    assert not Closure.objects.exists() and not Tree.objects.exists()


def test_an_unknown_tree_of_the_list_is_refused(clients):
    tree("try")
    answer = clients[Role.DUTY].post(CLOSE, TYPED | {"trees": "tyr", "others": ""})
    assert "“tyr” is no tree that is known here" in text_of(answer)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"reason": " "}, "Say why"), ({"category": "x"}, "Choose a category"), ({"names": []}, "at least one tree"),
        ({"names": ["a/b"]}, "no name of a tree"), ({"expected_end": A_MORNING - DAY}, "that is over"),
    ],
)  # fmt: skip
def test_the_rules_hold_without_the_form_too(duty, wrong, sentence):
    given = {"names": ["autoland"], "reason": "x", "category": "infra", "op": "0000000a", "by": duty} | wrong
    with pytest.raises(NotAllowed, match=sentence):
        workflow.close_by_hand(given.pop("names"), **given)
    assert not Closure.objects.exists()


def test_a_closure_without_a_reason_is_refused_by_the_database_too(duty):
    with pytest.raises(Exception, match="a_closure_says_why"):
        Closure.objects.create(tree=tree(), key="x", reason="", category="infra", closed_at=A_MORNING)


@pytest.mark.parametrize("role", [Role.PUBLIC, Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER])
def test_nobody_but_ciduty_closes_and_reopens(clients, people, role):
    [one] = closed(people[Role.DUTY])
    client = browser_of(people.get(role))
    for answer in (
        client.get(CLOSE), client.post(CLOSE, TYPED), client.post(f"/trees/by-hand/reopen/{one.pk}/"),
    ):  # fmt: skip
        assert answer.status_code == (302 if role == Role.PUBLIC else 403)
    assert Closure.objects.standing().count() == 1
    assert "Reopen" not in page(client, "/trees/autoland/") and "by hand for another" not in page(client)


@pytest.mark.parametrize("number", [0, 9, 2**63, 10**40])
def test_a_closure_that_there_is_not_is_no_page(clients, number):
    assert clients[Role.DUTY].post(f"/trees/by-hand/reopen/{number}/").status_code == 404


# --- for programs -----------------------------------------------------------------------------------------------------


def test_a_program_reads_the_same_facts(stranger, service):
    service.say(told("autoland", "closed", "hg is down, bug 1400001", ["infra"], 2), told("try"))
    polling.poll()
    answer = stranger.get("/api/trees/")
    assert answer.headers["Cache-Control"] == "public, max-age=15"
    said = answer.json()
    assert (said["freshness"], said["unavailable_since"]) == ("fresh", None)
    [autoland, other] = said["trees"]
    assert autoland | {"since": None, "read_at": None} == {
        "name": "autoland", "url": "/trees/autoland/", "status": "closed", "is_open": False, "since": None,
        "reason": "hg is down, bug 1400001", "category": "infra", "bugs": [1400001], "expected_end": None,
        "message_of_the_day": "", "said_by_hand": False, "read_at": None,
    }  # fmt: skip
    assert (other["status"], other["is_open"], other["since"]) == ("open", True, None)
    clock.move(HOUR)
    said = stranger.get("/api/trees/").json()
    assert (said["freshness"], [one["is_open"] for one in said["trees"]]) == ("stale", [None, None])


@pytest.mark.parametrize(("method", "query", "status"), [("get", "?tree=try", 400), ("post", "", 405)])
def test_a_program_that_asks_wrongly_is_told_so_as_problem_details(stranger, method, query, status):
    answer = getattr(stranger, method)(f"/api/trees/{query}", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status and answer.json()["detail"]


def test_a_browser_that_looks_in_sees_the_same(stranger):
    answer = stranger.get("/api/trees/", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")


# --- for other jobs ---------------------------------------------------------------------------------------------------


def test_closures_of_a_time_are_told_with_their_own_beginnings():
    told_closed("autoland", 30, 20, 3), told_closed("try", 26, 24, category="merges")
    now = clock.now()
    found = closures_between(now - 25 * HOUR, now, now)
    hours = [(one.tree, (now - one.starts_at) / HOUR, (now - one.ends_at) / HOUR, one.goes_on) for one in found]
    assert [(name, round(begin), round(end), on) for name, begin, end, on in hours] == [
        ("autoland", 30, 20, False), ("try", 26, 24, False), ("autoland", 3, 0, True),
    ]  # fmt: skip
    assert (found[1].category, found[1].url) == ("Merges", "/trees/try/")
    assert [one.tree for one in closures_between(now - 23 * HOUR, now - 10 * HOUR, now)] == ["autoland"]
    assert closures_between(now - 10 * HOUR, now - 5 * HOUR, now) == []


def test_what_lies_ahead_of_the_moment_is_not_told():
    told_closed("autoland", 3)
    now = clock.now()
    assert closures_between(now - DAY, now + DAY, now - 5 * HOUR) == []
    assert LATELY == timedelta(days=30)
