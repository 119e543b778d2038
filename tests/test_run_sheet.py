"""The run sheet: what each person sees and may press at each moment, what refuses them, and the file that is saved."""

import base64
import re
from datetime import timedelta
from hashlib import sha256

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla.models import Bug, BugText, Visibility
from ciduty.outbox.models import BugUpdate, Incoming, Mail
from ciduty.people.models import BugzillaLogin
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.templatetags.ciduty import chip
from ciduty.trees.models import Tree
from ciduty.trees.rules import Standing
from downtimes import telling
from downtimes.models import CheckLink, Downtime, RunTree
from downtimes.rules import State
from downtimes.run import beginning, steering, topic, working
from downtimes.run.rules import Step, Word
from tests import downtime_stage, run_stage
from tests.cast import BugTextFactory, DowntimeFactory, browser_of, every_row
from tests.run_stage import BY_HAND, LINK, MINUTE

pytestmark = pytest.mark.django_db

OP = "0123abcd"
SECRET = "Canary words of a private bug"
LINK_TYPED = {"label": "Pending jobs", "address": "https://jobs.example.com/", "phase": "before", "is_used": "on"}


@pytest.fixture(autouse=True)
def morning():
    """The clock stands on a working morning."""
    run_stage.morning()


def raw(client, downtime, path="", status=200, **headers):
    """Return a page below the sheet as it comes."""
    answer = client.get(f"/downtimes/{downtime.pk}/run/{path}", headers=headers)
    assert answer.status_code == status
    return answer.content.decode()


def words_of(text):
    """Return what a page says, without its tags."""
    text = re.sub(r"<[^>]+>", " ", text.replace("&#x27;", "’").replace("&quot;", '"'))
    return re.sub(r"\s+", " ", text)


def seen(client, downtime, path=""):
    """Return what a person reads on a page below the sheet."""
    return words_of(raw(client, downtime, path))


def post(client, downtime, path, status=302, **typed):
    answer = client.post(f"/downtimes/{downtime.pk}/run/{path}/", typed)
    assert answer.status_code == status, words_of(answer.content.decode())[:2000]
    return answer.content.decode()


def next_of(client, downtime):
    """Return the sentence that the head says is next."""
    head = raw(client, downtime, **{"HX-Request": "true"})
    return re.search(r"<strong>Next:</strong> (.*?)</p>", head)[1]


def verbs_on(page):
    """Return the ends of the addresses that a page posts to."""
    found = re.findall(r'(?:form)?action="/downtimes/\d+/(run/[^"]+)/"', page)
    return {re.sub(r"\d+", "N", address) for address in found}


def reply_to(downtime, text="We release on that day.", mail=None, **fields):
    mail = mail or Mail.objects.filter(about=downtime.about, purpose=telling.ANNOUNCE).first()
    fields = {"kind": "reply", "sender": "objector@example.com", "subject": "Re: downtime", "text": text} | fields
    return Incoming.objects.create(mail=mail, sha256=text, received_at=clock.now(), **fields)


# --- the whole way ----------------------------------------------------------------------------------------------------


def test_duty_runs_it_on_the_sheet_from_announced_to_tree_open_and_each_next_thing_is_said(clients, people):
    client = clients[Role.DUTY]
    downtime = downtime_stage.announced(people, sheriff="Sheriff of the day", tracking_bug=1400042)
    run_stage.accepted(downtime)
    asked = Mail.objects.exclude(purpose=telling.ANNOUNCE).filter(about=downtime.about).first()
    reply_to(downtime, "Quoted: your code for that page", mail=asked)
    reply_to(downtime)
    page = raw(client, downtime)
    assert "We release on that day." in page and "Quoted" not in page  # a letter to one person
    assert "begins in 2 d 23 h" in words_of(page) and "1 not read" in words_of(page)
    for refusal in ("It begins at 2026-03-06", "1 reply came in", "The sheriff was not told yet"):
        assert refusal in words_of(page)
    assert verbs_on(page) == {"run/step", "run/hold"}  # nothing to begin, close, start or send yet
    assert next_of(client, downtime) == "Read what came in on the lists."
    shown = re.search(r'name="shown" value="([0-9]+)"', page)[1]
    clock.move(MINUTE)
    reply_to(downtime, "No! Not on that day!")
    for _ in range(2):  # pressed twice
        post(client, downtime, "step", step="replies read", words="They are fine with it", shown=shown)
    page = raw(client, downtime)
    assert "1 not read" in words_of(page) and next_of(client, downtime) == "Read what came in on the lists."
    assert Entry.objects.filter(verb="replies read").count() == 1
    assert "read it, then say so" in post(client, downtime, "step", 422, step="replies read", words="All is well")
    shown = re.search(r'name="shown" value="([0-9]+)"', page)[1]
    post(client, downtime, "step", step="replies read", words="They are fine with it", shown=shown)
    assert next_of(client, downtime) == "Tell the sheriff."
    assert "sheriff’s name" in post(client, downtime, "step", 422, step="sheriff told", words="")
    post(client, downtime, "step", step="sheriff told", words="Sheriff of the day")
    post(client, downtime, "step", step="normal", words="")
    assert "Wait for the announced time" in next_of(client, downtime)
    clock.move(downtime.starts_at - clock.now() - 10 * MINUTE)
    assert "Touch base" in next_of(client, downtime)
    clock.move(10 * MINUTE + timedelta(seconds=1))
    assert "run/begin" in verbs_on(raw(client, downtime)) and "begin." in next_of(client, downtime)
    post(client, downtime, "begin")
    assert next_of(client, downtime) == "Close the trees."
    page = raw(client, downtime)
    assert "No work starts yet" in page and 'value="start"' not in page
    post(client, downtime, "close", op=OP)
    assert next_of(client, downtime) == f"1 piece of work waits: bug {downtime.items.get().bug_id} is next."
    item = downtime.items.get()
    post(client, downtime, f"items/{item.pk}", verb="start")
    assert "land it, or roll it back" in next_of(client, downtime)
    clock.move(70 * MINUTE)
    assert "10 min behind" in seen(client, downtime)
    post(client, downtime, f"items/{item.pk}", verb="land", words="All hosts answer.")
    assert "took 1 h 10 min" in seen(client, downtime) and "Look whether all is well" in next_of(client, downtime)
    assert "run/reopen" not in verbs_on(raw(client, downtime).partition("Close or reopen only some")[0])
    post(client, downtime, "step", step="checked", words="")
    assert "Reopen the trees" in next_of(client, downtime)
    post(client, downtime, "reopen", op=OP)
    assert "Ask the sheriff" in next_of(client, downtime) and "No work starts yet" not in seen(client, downtime)
    post(client, downtime, "step", step="sheriff agrees", words="Sheriff of the day")
    assert "Tell the bugs" in next_of(client, downtime)
    drafts = raw(client, downtime, "bugs/")
    assert "All hosts answer." in drafts and "landed-and-stuck" in drafts
    post(client, downtime, "bugs", **dict(re.findall(r'name="(op_\d+)" value="(\w+)"', drafts)))
    assert BugUpdate.objects.filter(about__startswith="nomination").exists()
    letter = raw(client, downtime, "tree-open/")
    assert "All hosts answer." in letter and "dev-planning@example.com" in letter
    post(client, downtime, "tree-open", shown=re.search(r'name="shown" value="(\w+)"', letter)[1])
    assert run_stage.now(downtime).state == State.DONE
    page = raw(client, downtime)
    assert "everybody was told TREE OPEN" in words_of(page) and "hx-get" not in page
    assert verbs_on(page) == set()


def test_a_refused_begin_says_every_reason_and_begins_nothing(clients, people):
    downtime = downtime_stage.announced(people)
    answer = clients[Role.LEAD].post(f"/downtimes/{downtime.pk}/run/begin/", follow=True)
    said = words_of(answer.content.decode())
    for refusal in ("duty is the duty person of it", "The sheriff was not told", "Not every mandatory list"):
        assert refusal in said
    assert not RunTree.objects.exists() and run_stage.now(downtime).state == State.ANNOUNCED


def test_it_is_held_let_go_taken_over_and_extended_with_words_for_everybody(clients, people):
    downtime = run_stage.ready(people)
    client = clients[Role.LEAD]
    assert "Say why" in post(client, downtime, "hold", 422, because=" ")
    post(client, downtime, "hold", because="The release moved.")
    page = seen(client, downtime)
    assert "On hold" in page and "The release moved." in page and "It is on hold: let it go ahead" in page
    assert "run/hold" not in verbs_on(raw(client, downtime))
    post(client, downtime, "go-ahead", because="The release is out.")
    post(client, downtime, "take-over", words="duty is ill")
    downtime = run_stage.now(downtime)
    assert downtime.duty == people[Role.LEAD] and downtime.held_at is None
    assert "hand-over: duty is ill" in seen(client, downtime)
    beginning.begin(downtime, by=people[Role.LEAD])
    run_stage.close(run_stage.now(downtime))
    clock.move(downtime.ends_at - clock.now() + 9 * MINUTE + timedelta(seconds=1))
    page = raw(client, downtime)
    for words in (">OVERDUE<", "overdue by 9 min", "has not begun yet"):
        assert words in page, words
    shown = re.search(r'name="shown_end" value="([^"]+)"', page)[1]
    minutes = int(re.search(r'name="by_minutes" value="(\d+)"', page)[1])
    assert minutes > 9 and (downtime.ends_at + minutes * MINUTE).minute % 15 == 0
    typed = {"by_minutes": 60, "because": "A switch does not answer.", "shown_end": shown}
    refused = post(client, downtime, "extend", 422, **typed | {"shown_end": "2026-03-06T07:00:00+00:00"})
    assert "Somebody else moved its end" in refused and "A switch does not answer." in refused
    post(client, downtime, "extend", **typed)
    assert run_stage.now(downtime).ends_at == downtime.ends_at + 60 * MINUTE
    assert Mail.objects.filter(about=downtime.about, subject__contains="Extension").exists()
    assert "OVERDUE" not in seen(client, downtime)


# --- who sees what ----------------------------------------------------------------------------------------------------


def test_strangers_and_developers_see_no_sheet_and_planners_see_it_without_a_button(clients, people):
    downtime = run_stage.worked(people)
    reply_to(downtime, "Please wait.")
    for path in ("", "saved/"):
        raw(clients[Role.PUBLIC], downtime, path, 302)
        raw(clients[Role.DEVELOPER], downtime, path, 404)
    for role in (Role.SCHEDULER, Role.MANAGER):
        page = raw(clients[role], downtime)
        assert verbs_on(page) == set()
        assert "Please wait." in page and "objector@example.com" not in page
        assert "objector@example.com" not in raw(clients[role], downtime, "saved/")
        for path in ("bugs/", "tree-open/"):
            raw(clients[role], downtime, path, 403)
    assert "objector@example.com" in raw(clients[Role.DUTY], downtime)


def test_a_worker_moves_own_work_and_no_other_and_reads_no_other_that_turned_private(people, clients):
    downtime = run_stage.closed(people)
    private = {"public_text": SECRET, "steps": SECRET, "rollback": SECRET, "outcome_words": SECRET}
    other = downtime_stage.add_work(downtime, **private)
    type(other).objects.filter(pk=other.pk).update(worker="other@example.com")
    worker = BugzillaLogin.objects.get(login=downtime_stage.WORKER).person
    assert worker.role == Role.DEVELOPER  # who sees no plan, and no sheet but of their own work
    client, own = browser_of(worker), downtime.items.exclude(pk=other.pk).get()
    page = raw(client, downtime)
    assert f"items/{own.pk}/" in page and f"items/{other.pk}/" not in page
    assert verbs_on(page) == {"run/items/N"} and f"/downtimes/{downtime.pk}/plan/" not in page
    post(client, downtime, f"items/{own.pk}", verb="start")
    post(client, downtime, f"items/{other.pk}", 403, verb="start")
    assert set(downtime.items.values_list("pk", "state")) == {(own.pk, "under way"), (other.pk, "planned")}
    announced = downtime.versions.get().body
    assert own.public_text in announced and announced in raw(client, downtime, "saved/").replace("&#x27;", "'")
    Bug.objects.filter(pk__in=[own.bug_id, other.bug_id]).update(visibility=Visibility.RESTRICTED)
    for path in ("", "saved/"):
        page = raw(client, downtime, path)
        assert SECRET not in page and own.public_text in page and str(other.bug_id) in page
        assert SECRET in raw(clients[Role.SCHEDULER], downtime, path)
    assert "Its text is not repeated" in page and announced not in page.replace("&#x27;", "'")


def test_no_word_of_a_private_bug_stands_on_the_sheet(settings, clients, people):
    with run_stage.trees_kept(settings, LINK) as sandbox:
        downtime = run_stage.closed(people, sandbox)
        item = downtime.items.get()
        BugText.objects.filter(bug=item.bug_id).update(summary=SECRET)
        Bug.objects.filter(pk=item.bug_id).update(visibility=Visibility.RESTRICTED)
        private = BugTextFactory(bug__visibility=Visibility.RESTRICTED, bug__is_loaner_request=False).bug.pk
        run_stage.sheriff(sandbox, "autoland", reason=f"{SECRET} (bug {private})")
        run_stage.read(MINUTE)
        for role in (Role.SCHEDULER, Role.DUTY):
            for path in ("", "saved/"):
                page = raw(clients[role], downtime, path)
                assert SECRET not in page and str(private) not in page
                assert "names a bug that is not public" in page
        page = raw(clients[Role.SCHEDULER], downtime)
        assert str(item.bug_id) in page and downtime_stage.WORKER not in page
        assert downtime_stage.WORKER in raw(clients[Role.DUTY], downtime)


# --- trees ------------------------------------------------------------------------------------------------------------


def test_trees_are_closed_at_the_service_with_a_reason_to_copy_and_what_others_do_is_said(settings, clients, people):
    client = clients[Role.DUTY]
    with run_stage.trees_kept(settings, LINK) as sandbox:
        downtime = run_stage.begun(people, tracking_bug=1400042)
        page = raw(client, downtime)
        assert f'href="{sandbox.url}/treestatus/"' in page
        assert re.search(r'<textarea id="reason"[^>]*readonly>Downtime: Switches in mdc1 \(Bug 1400042\)<', page)
        post(client, downtime, "close", op=OP)
        assert "Close autoland, mozilla-central at the service" in next_of(client, downtime)
        run_stage.sheriff(sandbox, "autoland", reason="our switches")
        run_stage.close_there(downtime, downtime.run_trees.get(name="mozilla-central"), sandbox)
        run_stage.read(MINUTE)
        page = raw(client, downtime)
        assert "Closed for another reason: our switches." in page
        assert "run/trees/autoland/claim" in verbs_on(page) and "run/trees/mozilla-central/claim" not in verbs_on(page)
        post(client, downtime, "trees/autoland/claim")
        assert "ours, claimed by hand" in seen(client, downtime)
        run_stage.sheriff(sandbox, "mozilla-central", status="open", reason="", tags=())
        run_stage.read(MINUTE)
        assert "Look after mozilla-central" in next_of(client, downtime)
        assert "Say why" in post(client, downtime, "trees/mozilla-central/leave", 422, because="")
        refused = post(client, downtime, "trees/autoland/leave", 422, because="Sheriff said")
        assert "autoland is closed by us" in refused and 'value="Sheriff said"' in refused
        post(client, downtime, "trees/mozilla-central/leave", because="The sheriff keeps it open")
        assert "Left as it is" in seen(client, downtime)
        tried = Tree.objects.get(name="autoland").service.tried_at
        post(client, downtime, "look")
        assert Tree.objects.get(name="autoland").service.tried_at != tried
        sandbox.world.close()
        clock.move(10 * MINUTE)
        said = seen(client, downtime)
        assert "How the trees stand is not known now" in said and "not verified" in said


def test_only_ticked_trees_are_closed_and_reopened(clients, people):
    client, downtime = clients[Role.DUTY], run_stage.begun(people)
    post(client, downtime, "close", op=OP, trees=["autoland"])
    assert run_stage.words(downtime) == {"autoland": "closed", "mozilla-central": "to close"}
    post(client, downtime, "step", step="checked", words="")
    post(client, downtime, "reopen", op=OP, trees=["autoland"])
    assert run_stage.words(downtime)["autoland"] == "open"


# --- what refreshes itself --------------------------------------------------------------------------------------------


def test_the_head_and_the_trees_refresh_and_what_is_typed_stands_outside(clients, people):
    downtime, client = run_stage.closed(people), clients[Role.DUTY]
    page = raw(client, downtime)
    own = re.search(r'hx-get="/downtimes/\d+/run/(\?seen=\w+)" hx-trigger="every 10s"', page)[1]
    parts = raw(client, downtime, own, **{"HX-Request": "true"})
    assert parts.lstrip().startswith("<h1") and 'id="trees-now" hx-swap-oob="innerHTML"' in parts
    assert not re.search(r"<textarea|<select|<input (?!type=\"hidden\")", parts)
    assert "Somebody went on" not in parts
    working.do(downtime.items.get(), "start", by=people[Role.LEAD])
    parts = words_of(raw(client, downtime, own, **{"HX-Request": "true"}))
    assert f"Somebody went on: lead: Work on bug {downtime.items.get().bug_id} started." in parts


def _grown(downtime, items, trees):
    """Let a downtime have so many pieces of work and trees."""
    for number in range(downtime.items.count(), items):
        downtime_stage.add_work(downtime, position=number)
    names = [f"tree-{number}" for number in range(downtime.run_trees.count(), trees)]
    RunTree.objects.bulk_create(
        RunTree(downtime=downtime, name=name, position=place, asked_at=clock.now()) for place, name in enumerate(names)
    )


def test_the_sheet_asks_the_same_number_of_questions_however_much_is_in_it(clients, people):
    downtime, client = run_stage.begun(people, trees=["autoland"]), clients[Role.DUTY]

    def asked():
        counts = []
        for path, headers in (("", {}), ("", {"HX-Request": "true"}), ("saved/", {})):
            with CaptureQueriesContext(connection) as queries:
                raw(client, downtime, path, **headers)
            counts.append(len(queries))
        return counts

    asked()
    few = asked()
    _grown(downtime, 60, 40)
    for number in range(5):
        reply_to(downtime, f"Reply {number}")
    assert asked() == few
    assert few[0] <= 45 and few[1] <= 30, few


# --- bad forms --------------------------------------------------------------------------------------------------------

BAD = [
    ("step", {}, 422), ("step", {"step": "begin"}, 422), ("step", {"step": "checked", "words": "x" * 301}, 422),
    ("hold", {}, 422), ("go-ahead", {}, 422), ("close", {}, 422), ("close", {"op": "'; DROP"}, 422),
    ("close", {"op": OP, "trees": ["no-such-tree"]}, 422), ("reopen", {"op": OP, "trees": "../x"}, 422),
    ("trees/no-such-tree/leave", {"because": "x"}, 404), ("trees/no-such-tree/claim", {}, 404),
    ("trees/autoland/leave", {"because": "x" * 301}, 422), ("items/999999", {"verb": "start"}, 404),
    ("items/99999999999999999999", {"verb": "start"}, 404), ("items/{item}", {}, 422),
    ("items/{item}", {"verb": "begin"}, 422), ("items/{item}", {"verb": "roll back", "words": " "}, 422),
    ("items/{item}", {"verb": "land", "words": "Too early."}, 422), ("extend", {}, 422),
    ("extend", {"by_minutes": "-5", "because": "x"}, 422), ("extend", {"by_minutes": "99999", "because": "x"}, 422),
    ("extend", {"by_minutes": "5", "because": "x", "shown_end": "2026-13-45T99:00Z"}, 422),
    ("extend", {"by_minutes": "5", "because": "x", "shown_end": "\0"}, 422), ("bugs", {}, 422),
    ("bugs", {"op_x": "1", "op_²": "1"}, 422), ("bugs", {"op_999": OP}, 422), ("tree-open", {}, 422),
    ("tree-open", {"shown": "0" * 64}, 422),
]  # fmt: skip


def test_what_our_page_did_not_send_changes_nothing_and_what_was_typed_stands_there_again(clients, people):
    downtime, client = run_stage.closed(people), clients[Role.DUTY]
    item = downtime.items.get()
    raw(client, downtime)
    before = every_row(leave_out=["django_session"])
    for path, typed, status in BAD:
        said = post(client, downtime, path.format(item=item.pk), status, **typed)
        if "Too early." in typed.values():
            assert f'href="#piece-{item.pk}"' in said and ">Too early.</textarea>" in said
    assert every_row(leave_out=["django_session"]) == before
    assert client.get("/downtimes/99999999999999999999/run/").status_code == 404
    elsewhere = downtime_stage.add_work(DowntimeFactory())
    post(client, downtime, f"items/{elsewhere.pk}", 404, verb="start")


# --- saved whole ------------------------------------------------------------------------------------------------------


def test_the_saved_sheet_is_whole_without_the_network(settings, clients, people):
    with run_stage.trees_kept(settings, LINK):
        downtime = run_stage.begun(people, tracking_bug=1400042, sheriff="Sheriff of the day")
        downtime.items.update(steps="Stop it.\nMove it.", rollback="Move it back.")
        CheckLink.objects.create(label="Pending", address="https://jobs.example.com/", phase="before")
        CheckLink.objects.create(label="Treeherder", address="https://trees.example.com/", phase="after")
        reply_to(downtime, "Mind the release.")
        answer = clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/run/saved/")
        page = answer.content.decode()
        assert answer.headers["Content-Disposition"].startswith("attachment; ")
        shown = clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/run/saved/?print")
        assert shown.headers["Content-Disposition"].startswith("inline; ")
    item = downtime.items.get()
    for words in (
        "Fri 6 Mar 2026 09:00-12:00 UTC", "01:00-04:00 PST", "11:00-14:00 EET", "autoland", "mozilla-central",
        "Downtime: Switches in mdc1 (Bug 1400042)", "planned", "/treestatus/", f"Bug {item.bug_id}", item.public_text,
        "Stop it.\nMove it.", "Move it back.", "duty@example.com", "Sheriff of the day", downtime_stage.WORKER,
        "https://jobs.example.com/", "https://trees.example.com/", "Mind the release.", "What is closed",
        "landed <span", "TREE OPEN sent", "not done, at",
    ):  # fmt: skip
        assert words in page, words
    assert not re.search(r"\b(href|src|action)=|<form|<script|<link", page)
    policy = answer.headers["Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    mark = base64.b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{mark}'" in policy and "default-src 'none'" in policy and "unsafe" not in policy


# --- the topic --------------------------------------------------------------------------------------------------------


def test_the_topic_says_who_is_on_duty_what_is_closed_and_no_private_bug(settings, clients, people):
    line = lambda: topic.topic_line(clock.now())  # noqa: E731
    assert line() == "On duty: CiDuty | No tree is closed | Questions? Ask here, in #ci"
    downtime = run_stage.closed(people, tracking_bug=1400042)
    assert line() == (
        "On duty: duty | Trees closed: autoland, mozilla-central (bug 1400042, until 12:00 UTC) | "
        "Questions? Ask here, in #ci"
    )
    page = raw(clients[Role.DUTY], downtime)
    assert re.search(r'<textarea id="topic"[^>]*readonly>On duty: duty', page) and 'data-copy="#topic"' in page
    BugTextFactory(bug__id=1400042, bug__visibility=Visibility.RESTRICTED, bug__is_loaner_request=False)
    assert "Trees closed: autoland, mozilla-central (until 12:00 UTC)" in line() and "1400042" not in line()
    settings.TREESTATUS_URL = "http://127.0.0.1:9"
    assert "(as last heard)" in line()
    Tree.objects.update(status="open")
    assert "Tree status is not known now" in line()


# --- the links --------------------------------------------------------------------------------------------------------


def test_a_lead_keeps_the_links_that_the_sheet_leads_to(clients, people):
    lead, address = clients[Role.LEAD], "/downtimes/lists/link/"
    assert clients[Role.DUTY].post(address, LINK_TYPED).status_code == 403
    for bad in (
        {"address": "javascript:alert(1)"},
        {"address": "ftp://jobs.example.com/"},
        {"label": ""},
        {"phase": "x"},
    ):
        assert lead.post(address, LINK_TYPED | bad).status_code == 422
    assert lead.post(address, LINK_TYPED | {"id": "999"}).status_code == 404
    assert not CheckLink.objects.exists()
    assert lead.post(address, LINK_TYPED | {"what_is_normal": "under 2,000"}).status_code == 302
    assert "stands there already" in lead.post(address, LINK_TYPED).content.decode()
    downtime = downtime_stage.announced(people)
    page = raw(clients[Role.DUTY], downtime)
    assert 'href="https://jobs.example.com/"' in page and "under 2,000" in page
    row = CheckLink.objects.get()
    typed = {name: value for name, value in LINK_TYPED.items() if name != "is_used"}
    assert lead.post(address, typed | {"id": row.pk}).status_code == 302
    assert "jobs.example.com" not in raw(clients[Role.DUTY], downtime)


def test_a_plan_and_an_outage_have_a_sheet_too(clients, people):
    plan = downtime_stage.plan(people)
    assert "It is not announced yet" in seen(clients[Role.DUTY], plan)
    assert verbs_on(raw(clients[Role.DUTY], plan)) == set()
    outage = Downtime.objects.create(
        kind="unplanned", state="running", title="Outage", reason="Network down", category="infra", trees=["autoland"],
        duty=people[Role.DUTY], starts_at=clock.now(), begun_at=clock.now(), made_by=people[Role.DUTY],
        made_at=clock.now(),
    )  # fmt: skip
    RunTree.objects.create(downtime=outage, name="autoland", position=1, before={"status": "open"})
    page = seen(clients[Role.DUTY], outage)
    assert "nobody knows yet when it ends" in page and "Network down" in page and "Next: Close the trees." in page
    assert steering.do_step(outage, Step.CHECKED, by=people[Role.DUTY]) and BY_HAND
    seen(clients[Role.DUTY], outage, "saved/")


def test_a_word_of_one_list_never_stands_for_that_of_another():
    closed = [chip(word) for word in (Standing.CLOSED, Word.CLOSED, Standing.CLOSED)]
    assert [one[one.index(">") + 1 : one.index("</")] for one in closed] == ["Closed", "Closed by us", "Closed"]
