"""The queue and the verbs as duty clicks them: what is shown, what is refused and how; nothing typed is lost."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changelog import needs, store, workflow
from changelog.models import Change, Source
from changelog.models.asking import Question
from changelog.proposals import LandedAt, Proposal
from changelog.publishing import queue
from changelog.rules import State
from ciduty import clock
from ciduty.bugzilla.models import Visibility
from ciduty.people.roles import Role
from ciduty.systems.models import named
from tests.cast import A_MORNING, BugFactory, every_row
from tests.test_changelog_publishing import CANARY, WORDS, do, private_bug, proposed, source_of

pytestmark = pytest.mark.django_db

QUEUE = "/changes/queue/"
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def client(clients):
    """The browser of duty."""
    return clients[Role.DUTY]


def words_of(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())).replace("&#x27;", "'")


def page(client, query=""):
    return words_of(client.get(QUEUE + query))


def post(client, change, verb, follow=True, headers=None, **typed):
    typed = {"seen": Change.objects.get(pk=change.pk).revision, "next": QUEUE} | typed
    return client.post(f"/changes/{change.pk}/{verb}/", typed, follow=follow, **(headers or {}))


def pushed(number, push="88", repository="autoland", **facts):
    landing = LandedAt(repository, A_MORNING + timedelta(minutes=int(push)), push_id=push, pusher="sheriff")
    return proposed(f"Part {number}", number=number, landings=(landing,), source=source_of(repository), **facts)


# --- what the queue shows ---------------------------------------------------------------------------------------------


def test_proposals_stand_by_push_and_system_the_newest_first(client):
    named("Taskcluster")
    pushed(1, "70")
    pushed(2, "88")
    pushed(3, "88", system="taskcluster")
    pushed(4, "88")
    proposed("Without a push", number=500)
    shown = client.get(QUEUE).content.decode()
    heads = [words_of_html(head) for head in re.findall(r"<h2 id=\"push-.*?</h2>", shown, re.DOTALL)]
    assert heads == [
        "build-puppet 1",
        "autoland, push 88 2",
        "autoland, push 88 · Taskcluster 1",
        "autoland, push 70 1",
    ]
    assert shown.index("Part 4") < shown.index("Part 2")


def words_of_html(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


def test_a_row_says_what_was_read_and_folds_the_message_away(client):
    bug = private_bug()
    undone = proposed("Bump the image", number=1, identity="hg:1f864da71bab")
    proposed(
        f"Backed out changeset 1f864da71bab (bug {bug}) for failures r=reviewer", number=2, author="Somebody",
        pools=("gecko-t/win11-64",), message=f"Backed out changeset 1f864da71bab (bug {bug}) for failures\n\n{CANARY}",
        platforms=("windows",), files=("a", "b"),
    )  # fmt: skip
    shown = page(client)
    for words in (f"bug {bug} Not public", "gecko-t/win11-64", "windows", "backs out Bump the image", "2 files"):
        assert words in shown, words
    assert CANARY in shown and "Words for everybody, without what bug 1400123 says" in shown
    assert f"/changes/{undone.pk}/record/" in client.get(QUEUE).content.decode()


def test_filters_leave_out_what_is_not_asked_for_and_unknown_ones_are_said(client):
    named("Taskcluster")
    pushed(1, "70", kind="tree")
    pushed(2, "88", repository="mozilla-central", system="taskcluster", kind="image")
    source = Source.objects.get(name="autoland").pk
    assert "Part 1" in page(client, f"?source={source}") and "Part 2" not in page(client, f"?source={source}")
    assert "Part 2" in page(client, "?system=taskcluster") and "Part 1" not in page(client, "?system=taskcluster")
    assert "Part 1" in page(client, "?kind=tree") and "Part 2" not in page(client, "?kind=tree")
    shown = page(client, "?kind=nonsense&source=99999999999999999999&show=x")
    assert "There is no kind “nonsense”: it is left out." in shown and "Part 1" in shown
    assert "Nothing here. Show all" in page(client, "?kind=hardware")


def test_a_long_queue_is_paged_and_its_figure_is_bounded(client, monkeypatch):
    monkeypatch.setattr(queue, "PAGE", 3)
    monkeypatch.setattr(queue, "MOST_COUNTED", 6)
    changes = [proposed(f"Number {number:02d}", number=number) for number in range(1, 8)]
    assert "To publish more than 6" in page(client)
    seen, query = [], ""
    for _ in range(4):
        shown = client.get(QUEUE + query).content.decode()
        seen += dict.fromkeys(re.findall(r"Number \d\d", shown))
        found = re.search(r'href="(\?[^"]*after=[^"]+)"', shown)
        if found is None:
            break
        query = found[1].replace("&amp;", "&")
    assert seen == [f"Number {number:02d}" for number in range(7, 0, -1)]
    workflow.dismiss(changes[0], changes[0].proposed_by)
    assert "To publish 6 " in page(client)
    assert "The cursor is none of this log" in words_of(client.get(QUEUE + "?after=nonsense", follow=True))


def test_what_waits_for_words_and_what_is_held_stand_beside_the_queue(client, duty):
    rule = source_of("mozilla-central", publishes=True)
    for number in range(1, 8):
        proposed(f"Rule {number} for bug {private_bug(1400100 + number)}", number=number, source=rule)
    workflow.hold(proposed("Held thing", number=20), duty)
    shown = page(client)
    assert "Published, but they wait for words" in shown and "Rule 7" in shown and "Rule 2 " not in shown
    assert "Held thing" in shown and "Release it into the queue" in shown and "Everything is decided" in shown
    assert "Rule 1 " in page(client, "?show=words") and "Held thing" in page(client, "?show=held")
    assert "Nothing here." in page(client, "?show=dismissed")


def test_an_empty_queue_says_what_was_done_and_what_comes_next(client, duty):
    assert "Everything is decided. Nothing of today is in the log yet." in page(client)
    assert "No source is read by itself" in page(client)
    now = clock.now()
    source = source_of("relops-images", kind="git", tried_at=now, read_at=now)
    workflow.publish(proposed(effective_at=now, source=source), duty)
    shown = page(client)
    assert "The log has 1 change of today" in shown and "The next source, relops-images, is read" in shown


def queries_of(client, query=""):
    client.get(QUEUE + query)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(QUEUE + query).status_code == 200
    return len(captured)


def test_the_queue_asks_as_often_for_two_hundred_proposals_as_for_five(client, duty, monkeypatch):
    monkeypatch.setattr(queue, "PAGE", 500)
    bug = private_bug()
    rule = source_of("mozilla-central", publishes=True)
    for number in range(5):
        named(f"System {number}")

    def more(first, count):
        told = [
            Proposal(
                identity=f"git:{number:040x}", message=f"Part {number} bug {bug}\nBacked out changeset {number:012x}",
                landings=(LandedAt("autoland", A_MORNING, push_id=str(number % 7)),), system=f"system-{number % 5}",
            )
            for number in range(first, first + count)
        ]  # fmt: skip
        store.store(told, source=source_of("autoland"), at=clock.now())
        workflow.hold(proposed(number=first + 1000), duty)
        proposed(f"Rule for bug {bug}", number=first + 2000, source=rule)

    more(1, 5)
    few = queries_of(client)
    more(10, 195)
    assert queries_of(client) == few <= 22
    assert page(client).count("Part 1") > 50


# --- the verbs --------------------------------------------------------------------------------------------------------


def test_publishing_is_one_press_with_a_line_and_is_undone_by_another(client, duty):
    change = proposed()
    shown = words_of(post(client, change, "publish", impact="Builds wait", summary="New image"))
    assert "Published: New image · Builds wait Undo" in shown
    change.refresh_from_db()
    assert change.is_public and (change.summary, change.impact, change.published_by) == (
        "New image",
        "Builds wait",
        duty,
    )
    shown = words_of(post(client, change, "take-back"))
    assert "It waits in the queue again: New image" in shown
    assert Change.objects.waiting().get().impact == "Builds wait"


@pytest.mark.parametrize(
    ("verb", "said", "undo"),
    [
        ("dismiss", "Dismissed: Bump the worker image Undo", "reopen"),
        ("hold", "Held: nobody outside sees it", "release"),
    ],
)
def test_dismissing_and_holding_are_undone_too(client, verb, said, undo):
    change = proposed()
    answer = post(client, change, verb)
    assert said in words_of(answer) and f"/changes/{change.pk}/{undo}/" in answer.content.decode()
    post(client, change, undo)
    change.refresh_from_db()
    assert change.state == State.PROPOSED


def test_after_ten_minutes_no_undo_is_offered_and_one_that_is_pressed_says_why_not(client, duty):
    change = proposed()
    workflow.publish(change, duty)
    assert "Undo" in page(client, f"?did={change.pk}")
    clock.move(timedelta(minutes=10, seconds=5))
    assert "Undo" not in page(client, f"?did={change.pk}") and "Published: " in page(client, f"?did={change.pk}")
    assert "It has been public for more than 10 minutes" in words_of(post(client, change, "take-back"))
    change.refresh_from_db()
    assert change.is_public


def test_a_bug_that_is_not_public_asks_for_words_and_keeps_what_was_typed(client):
    change = proposed(f"Bug {private_bug()} - {CANARY}")
    answer = post(client, change, "publish", public_summary="", impact="Builds wait long")
    assert answer.status_code == 422
    assert "It names bug 1400123, which is not public: word it for everybody" in words_of(answer)
    assert 'value="Builds wait long"' in answer.content.decode()
    assert not Change.objects.public().exists()
    post(client, change, "publish", public_summary=WORDS, impact="Builds wait long")
    assert Change.objects.public().get().public_summary == WORDS


def test_what_a_rule_published_without_words_gets_them_by_the_same_button(client):
    change = proposed(f"Bug {private_bug()} - {CANARY}", source=source_of("autoland", publishes=True))
    assert "word it for everybody" in words_of(post(client, change, "publish", public_summary=" ", impact=""))
    shown = words_of(post(client, change, "publish", public_summary=WORDS, impact=""))
    assert f"Published: Bug {1400123} - {CANARY} Undo" in shown
    assert Change.objects.public().get().pk == change.pk


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ({"impact": "x" * 301}, "Impact: It is 301 characters long, and 300 fit"),
        ({"impact": "left\u202eright"}, "Impact: It holds a character that cannot be seen (U+202E)"),
        ({"summary": " "}, "A change needs at least one line that says what changed."),
        ({"seen": "x"}, "This form is no longer whole"),
        ({"seen": ""}, "This form is no longer whole"),
        ({"seen": "7"}, "It reads otherwise than what you saw"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_beside_it_and_it_stays_there(client, typed, problem):
    change = proposed()
    answer = post(client, change, "publish", **{"impact": "Builds wait"} | typed)
    assert answer.status_code == 422 and problem in words_of(answer)
    assert f'value="{typed.get("impact", "Builds wait")}"' in answer.content.decode()
    assert Change.objects.waiting().count() == 1


def test_what_was_typed_stays_even_where_the_row_is_on_no_page_that_is_shown(client, monkeypatch):
    monkeypatch.setattr(queue, "PAGE", 1)
    old = proposed("The old one", number=1)
    proposed("The new one", number=2)
    answer = post(client, old, "publish", impact="Builds wait", summary=" ")
    assert "A change needs at least one line" in words_of(answer) and 'value="Builds wait"' in answer.content.decode()


def test_pressed_twice_it_is_one_act_and_the_second_hears_how_it_stands(client, clients):
    change = proposed()
    post(client, change, "publish", impact="Builds wait")
    shown = words_of(
        post(clients[Role.LEAD], change, "publish", impact="Another line", summary="Bump the worker image")
    )
    assert "It is published by now: nothing was changed (publish)." in shown
    assert "You had typed: “Bump the worker image / Another line”" in shown or "You had typed: “Another line" in shown
    assert Change.objects.get().impact == "Builds wait"
    assert "It is published by now: nothing was changed (dismiss)." in words_of(post(client, change, "dismiss"))


def test_a_script_gets_the_row_taken_away_or_back_with_what_is_wrong(client):
    change = proposed()
    wrong = post(client, change, "publish", headers=HTMX, impact="Builds wait", summary=" ")
    assert wrong.status_code == 200 and wrong.content.decode().strip().startswith(
        f'<li class="proposal" id="c{change.pk}"'
    )
    assert "A change needs at least one line" in words_of(wrong) and 'value="Builds wait"' in wrong.content.decode()
    done = post(client, change, "publish", headers=HTMX, impact="Builds wait").content.decode()
    assert done.strip().startswith('<div id="said" role="status" hx-swap-oob="true">') and "Undo" in done
    assert f'id="c{change.pk}"' not in done
    again = words_of(post(client, change, "publish", headers=HTMX, impact="Other"))
    assert "It is published by now" in again and "You had typed: “Other”" in again


def test_the_filter_stays_after_an_act_and_nobody_is_sent_elsewhere(client):
    change = proposed(kind="image")
    answer = post(client, change, "dismiss", follow=False, next=f"{QUEUE}?kind=image&did=9&after=x&evil=1")
    assert answer.headers["Location"] == f"{QUEUE}?kind=image&did={change.pk}"
    for elsewhere in (
        "https://example.com/changes/queue/",
        "//example.com",
        "",
        "\x00",
        "/sign-out/",
        "http://[",
        "x" * 9000,
    ):
        answer = post(client, proposed(number=9), "dismiss", follow=False, next=elsewhere)
        assert answer.headers["Location"].startswith("/changes/queue/?did=")
        do("reopen", Change.objects.get(identity__endswith="9"), None)


def test_several_are_published_as_one_from_a_selection(client, duty):
    changes = [pushed(number) for number in (1, 2, 3)]
    chosen = [f"{one.pk}.{one.revision}" for one in changes[:2]]
    send = {"chosen": chosen, "summary": "New images", "impact": "None", "next": QUEUE}
    answer = client.post("/changes/publish-as-one/", send | {"summary": " "})
    assert answer.status_code == 422 and "Say in one line what they are together." in words_of(answer)
    assert answer.content.decode().count(" checked>") == 2 and 'value="None"' in answer.content.decode()
    shown = words_of(client.post("/changes/publish-as-one/", send, follow=True))
    assert "Published: New images · None Undo" in shown and "Part 3" in shown and "Part 1" not in shown
    again = client.post("/changes/publish-as-one/", send)
    assert again.status_code == 422 and "It is published by now" in words_of(again)
    lead = Change.objects.public().get()
    post(client, lead, "take-back")
    assert Change.objects.waiting().count() == 3


@pytest.mark.parametrize(
    "chosen", [[], ["1"], ["x.y", "0.0"], ["9999999999999999999.0", "8.0"], ["1.0"] * 300, ["-1.0"]]
)
def test_a_selection_that_holds_nothing_useful_is_refused_in_a_sentence(client, chosen):
    answer = client.post("/changes/publish-as-one/", {"chosen": chosen, "summary": "All of it"})
    assert answer.status_code == 422 and "can be published as one" in words_of(answer)


def test_more_than_a_hundred_are_never_published_as_one(client):
    told = [Proposal(identity=f"git:{number:040x}", message="One", authored_at=A_MORNING) for number in range(101)]
    store.store(told, source=source_of(), at=clock.now())
    send = {"chosen": [f"{pk}.0" for pk in Change.objects.values_list("pk", flat=True)], "summary": "All of it"}
    assert "101 chosen, and from 2 to 100" in words_of(client.post("/changes/publish-as-one/", send))
    assert Change.objects.waiting().count() == 101


@pytest.mark.parametrize("number", [0, 999_999, 2**63, 10**60])
def test_a_number_that_no_change_has_is_no_such_page(client, number):
    assert client.get(f"/changes/{number}/record/").status_code == 404
    assert client.get(f"/changes/{number}/correct/").status_code == 404
    for verb in ("publish", "take-back", "dismiss", "reopen", "hold", "release", "withdraw", "restore"):
        assert client.post(f"/changes/{number}/{verb}/", {"seen": 0}).status_code == 404
        assert client.get(f"/changes/{number}/{verb}/").status_code == 405


@pytest.mark.parametrize("role", [Role.PUBLIC, Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER])
def test_nobody_else_sees_a_proposal_or_acts_on_one(clients, role):
    change = proposed(CANARY)
    clients[role].get("/")
    before = every_row(leave_out=["django_session"])
    addresses = [QUEUE, f"/changes/{change.pk}/record/", f"/changes/{change.pk}/correct/"]
    addresses += [f"/changes/{change.pk}/{verb}/" for verb in ("publish", "dismiss", "hold")] + [
        "/changes/publish-as-one/"
    ]
    for address in addresses:
        for method in ("get", "post"):
            answer = getattr(clients[role], method)(address, {"seen": 0})
            assert answer.status_code in (302, 403) and CANARY not in answer.content.decode()
    assert every_row(leave_out=["django_session"]) == before


def test_hostile_words_run_nowhere(client):
    text = "<script>alert(1)</script>"
    change = proposed(
        text, author=text, pools=("<b>",), message=f"{text}\n{text}", links=((text, "javascript:alert(1)"),)
    )
    for address in (
        QUEUE,
        f"/changes/{change.pk}/record/",
        f"/changes/{change.pk}/correct/",
        f"{QUEUE}?did={change.pk}",
    ):
        shown = client.get(address).content.decode()
        assert "<script>alert" not in shown and "&lt;script&gt;alert" in shown and 'href="javascript' not in shown


# --- one change's own page --------------------------------------------------------------------------------------------


def test_its_own_page_says_everything_whatever_the_state(client, duty):
    bug = private_bug()
    change = pushed(1, message=f"Part 1 of bug {bug}\n\nThe whole {CANARY}", author="Somebody", reviewers=("reviewer",))
    workflow.publish(change, duty, public_summary=WORDS, impact="None")
    workflow.correct(change, duty, change.revision, kind="hardware", because="Wrong kind")
    question = Question.objects.create(query="bad=hg:1f86", since=A_MORNING, until=A_MORNING, asked_at=A_MORNING)
    change.verdicts.create(question=question, judged="ruled out", because="It landed later", by=duty, at=A_MORNING)
    shown = words_of(client.get(f"/changes/{change.pk}/record/"))
    for words in (
        "Published", "Everybody sees it", f"The whole {CANARY}", WORDS, "Somebody", "reviewer", "autoland", "push 88",
        "by sheriff", f"git:{1:040x}", "Published change", "kind: config hardware", "Wrong kind", "Ruled out",
        "It landed later", f"{bug} Not public", "Withdraw", "Take it back unseen", "Correct what it says",
    ):  # fmt: skip
        assert words in shown, words


def test_only_what_is_allowed_has_a_button(client, duty):
    change = proposed()
    record = f"/changes/{change.pk}/record/"

    def verbs():
        html = client.get(record).content.decode()
        return {
            name
            for name in (
                "Publish",
                "Dismiss",
                "Hold",
                "Withdraw",
                "Reopen",
                "Restore",
                "Release it into the queue",
                "Take it back unseen",
            )
            if f">{name}</button>" in html
        }

    assert verbs() == {"Publish", "Dismiss", "Hold"}
    workflow.dismiss(change, duty)
    assert verbs() == {"Reopen"}
    workflow.reopen(change, duty)
    workflow.publish(change, duty)
    assert verbs() == {"Hold", "Withdraw", "Take it back unseen"}
    workflow.withdraw(change, duty, "Another image")
    assert verbs() == {"Restore", "Hold"}
    workflow.hold(change, duty)
    assert verbs() == {"Release it into the queue"}


def test_withdrawing_asks_why_and_stays_on_the_page(client, duty):
    change = proposed()
    workflow.publish(change, duty)
    record = f"/changes/{change.pk}/record/"
    answer = post(client, change, "withdraw", next=record)
    assert answer.status_code == 422 and "Say why it is withdrawn" in words_of(answer)
    answer = post(client, change, "withdraw", next=record, because="x" * 301)
    assert answer.status_code == 422 and "301 characters" in words_of(answer) and "x" * 301 in answer.content.decode()
    answer = post(client, change, "withdraw", next=record, because="It was another image")
    assert answer.redirect_chain[-1][0] == record and "Because: It was another image" in words_of(answer)


# --- the desk ---------------------------------------------------------------------------------------------------------


def test_the_desk_shows_the_newest_few_with_the_one_line_and_sources_that_fail(client, duty):
    for number in range(1, 8):
        proposed(f"Number {number}", number=number)
    source_of("broken", kind="git", problem="It answers 500.", failures=5, tried_at=clock.now())
    shown = words_of(client.get("/"))
    assert "Changes to publish 7" in shown and "Number 7" in shown and "Number 2" not in shown
    assert "What changed?" in shown and "See all 7" in shown
    assert "Sources of changes 1" in shown and "It answers 500." in shown


def test_the_desk_asks_as_often_for_many_as_for_few(duty):
    def asked():
        at = clock.now()
        with CaptureQueriesContext(connection) as queries:
            needs.section(duty, at)
        return len(queries)

    for number in range(1, 6):
        proposed(number=number)
    few = asked()
    for number in range(6, 30):
        proposed(f"Bug {BugFactory(visibility=Visibility.STAFF).pk}", number=number, source=source_of(publishes=True))
    assert asked() == few <= 4


def test_the_front_door_counts_what_is_public(stranger, duty):
    workflow.publish(proposed("Known", effective_at=clock.now()), duty)
    workflow.hold(proposed(CANARY, number=2, effective_at=clock.now()), duty)
    door = stranger.get("/").content.decode()
    assert "<strong>1</strong>changes in the log today" in door and CANARY not in door
