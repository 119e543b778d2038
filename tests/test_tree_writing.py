"""A change of trees reaches the service exactly once, and never undoes what a sheriff did meanwhile."""

import json
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser

from ciduty import clock
from ciduty.outbox import delivery, health, post, purposes, rows, tree_change, tree_writing, workflow
from ciduty.outbox.changes import Unwritable
from ciduty.outbox.models import TreeChange
from ciduty.outbox.purposes import Purpose, Stop
from ciduty.outbox.rules import State
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.trees.adapters import http
from ciduty.trees.adapters.reading import Reader
from ciduty.trees.adapters.writing import Refused, Writer
from ciduty.trees.sandbox import BOT_TOKEN, LANDO, Client, Fault, Sandbox, World, editing
from tests.cast import A_MORNING

pytestmark = pytest.mark.django_db

SHERIFF = "sheriff@example.com"
BOT = "ciduty-bot@example.com"
REASON = "Planned: new switches (Bug 1400123)"
MINUTE = timedelta(minutes=1)
PATCH = "^PATCH /trees$"


@pytest.fixture(autouse=True)
def morning():
    """The clock stands on a working morning."""
    clock.move(A_MORNING - clock.now())


@pytest.fixture
def heard(monkeypatch):
    """What the purpose of the tests was told."""
    told = []
    monkeypatch.setattr(purposes, "_registry", {})
    purposes.register(Purpose("tests: trees", "Trees", happened=lambda row: told.append((str(row), row.state))))
    return told


@pytest.fixture
def trees(settings, heard, monkeypatch):
    """A service that knows three trees, one of them never touched, and ciduty set to change them; it answers soon."""
    monkeypatch.setattr(http, "READ_WITHIN", 0.3)
    world = World()
    for name in ("autoland", "try", "mozilla-beta"):
        editing.create(world, SHERIFF, name)
    editing.update(world, SHERIFF, ["autoland", "mozilla-beta"], "open", "", [])
    with Sandbox(world) as sandbox:
        settings.TREESTATUS_URL, settings.TREESTATUS_WRITES = sandbox.url, "patch"
        settings.TREESTATUS_TOKEN = BOT_TOKEN
        yield sandbox
    world.close()


def closing(*names, **fields):
    wants = {"trees": list(names), "status": "closed", "reason": REASON, "tags": ["planned"], "remember": True}
    return wants | fields


def opening(*names):
    return {"each": [{"tree": name, "status": "open", "reason": "", "tags": []} for name in names]}


def seen_in(trees, *names):
    """Return how trees stand now, as a person sees them who decides."""
    told = Reader(trees.url).trees().trees
    return {name: {"status": told[name].status, "reason": told[name].reason, "log_id": told[name].log_id}
            for name in names}  # fmt: skip


def change(trees, wants, number=1, **fields):
    names = [one["tree"] for one in wants["each"]] if "each" in wants else wants["trees"]
    if "seen" not in fields:
        fields["seen"] = seen_in(trees, *names)
    trees.requests.clear()
    return post.tree_change(key=f"trees {number}", purpose="tests: trees", about="downtime 1", wants=wants, **fields)


def sheriff(trees, status="closed", reason="Bustage", tags=("checkin_test",), name="autoland", who=SHERIFF):
    editing.update(trees.world, who, [name], status, reason, list(tags), remember=True)


def deliver(row=None):
    tally = dict(delivery.deliver(delivery.TREES, seconds=20))
    if row is not None:
        row.refresh_from_db()
    return tally


def deliver_again(row):
    """Deliver when the row is due again."""
    clock.move(max((row.lease_until or row.next_try_at) - clock.now(), timedelta()) + timedelta(seconds=1))
    return deliver(row)


def closed_by_us(trees, *names):
    """Close trees for good measure and return what a person sees then."""
    row = change(trees, closing(*names), number=" ".join(names))
    assert deliver() == {"sent": 1}
    row.refresh_from_db()
    assert {name: one["did"] for name, one in row.found.items()} == dict.fromkeys(names, "done")
    return seen_in(trees, *names)


def writes(trees):
    return [(call.method, json.loads(call.body or "{}")) for call in trees.requests if call.method != "GET"]


def patches(trees):
    return [body for method, body in writes(trees) if method == "PATCH"]


def stands(trees, name="autoland"):
    tree = trees.world.tree(name)
    return tree["status"], tree["reason"], tree["tags"]


def log_of(trees, name="autoland"):
    return [(entry["status"], entry["reason"], entry["who"]) for entry in reversed(trees.world.logs(name))]


def meanwhile(monkeypatch, act, before=(Writer, "patch")):
    """Let somebody act once, just before our client does something."""
    real, acts = getattr(*before), [act]

    def first(*args, **kwargs):
        if acts:
            acts.pop()()
        return real(*args, **kwargs)

    monkeypatch.setattr(*before, first)


# --- when all goes well -----------------------------------------------------------------------------------------------


def test_a_closure_is_one_patch_that_sheriffs_can_undo_and_finds_its_own_entries(trees, heard):
    row = change(trees, closing("autoland", "try"))
    assert deliver(row) == {"sent": 1}
    assert patches(trees) == [
        {"trees": ["autoland", "try"], "status": "closed", "reason": REASON, "tags": ["planned"], "remember": True}
    ]
    assert (row.state, row.uncertain_since, row.last_words) == (
        State.ACCEPTED, None, "The service shows it: autoland, try."
    )  # fmt: skip
    now = {name: trees.world.tree(name)["log_id"] for name in ("autoland", "try")}
    assert row.found == {name: {"did": "done", "log_id": log_id, "why": ""} for name, log_id in now.items()}
    assert stands(trees, "mozilla-beta") == ("open", "", [])
    [undo] = trees.world.stack()
    assert {one["last_state"]["current_log_id"] for one in undo["trees"]} == set(now.values())
    assert heard == [(f"tree change {row.pk}", State.ACCEPTED)]
    assert {call.path for call in trees.requests if call.method == "GET"} == {
        "/trees", "/trees/autoland/logs", "/trees/try/logs", "/__permissions__",
    }  # fmt: skip
    entry = Entry.objects.get(about="downtime 1")
    assert (entry.verb, entry.sentence) == ("tree accepted", f"Tree change {row.pk} was accepted (Trees)")


def test_the_token_goes_with_writes_alone_and_stands_nowhere(trees):
    row = change(trees, closing("autoland"))
    deliver(row)
    with_it = {(call.method, call.path) for call in trees.requests if BOT_TOKEN in json.dumps(call.headers)}
    assert with_it == {("PATCH", "/trees"), ("GET", "/__permissions__")}
    assert BOT_TOKEN not in json.dumps([row.wants, row.seen, row.found, row.last_words])


def test_each_tree_gets_back_what_it_had_in_one_patch_for_equal_wants_and_the_undoing_is_forgotten(trees):
    sheriff(trees, "approval required", "a=release", (), "mozilla-beta")
    seen = closed_by_us(trees, "autoland", "try", "mozilla-beta")
    wants = opening("autoland", "try")
    wants["each"].append({"tree": "mozilla-beta", "status": "approval required", "reason": "a=release", "tags": []})
    row = change(trees, wants, 2, seen=seen)
    assert deliver(row) == {"sent": 1}
    assert [(body["trees"], body["status"], "remember" in body) for body in patches(trees)] == [
        (["autoland", "try"], "open", False), (["mozilla-beta"], "approval required", False),
    ]  # fmt: skip
    assert [stands(trees, name)[:2] for name in seen] == [
        ("open", ""),
        ("open", ""),
        ("approval required", "a=release"),
    ]
    assert {one["did"] for one in row.found.values()} == {"done"}
    assert [one["who"] for one in trees.world.stack()] == [SHERIFF]
    assert (trees.requests[-1].method, trees.requests[-1].params) == ("DELETE", [("revert", "0")])


def test_the_undoing_stays_while_a_tree_stands_on_the_closure_and_its_failure_is_nobodys(trees):
    seen = closed_by_us(trees, "autoland", "try")
    first = change(trees, opening("autoland"), 2, seen=seen)
    deliver(first)
    assert len(trees.world.stack()) == 1
    second = change(trees, opening("try"), 3, seen=seen)
    trees.faults.add(Fault("html", match="^DELETE /stack"))
    assert deliver(second) == {"sent": 1}
    assert (second.state, len(trees.world.stack())) == (State.ACCEPTED, 1)


def test_a_message_of_the_day_is_written_once_and_somebody_elses_newer_one_is_left(trees):
    row = change(trees, {"trees": ["try"], "motd": "Slow today"}, seen={"try": {"motd": ""}})
    assert deliver(row) == {"sent": 1}
    assert patches(trees) == [{"trees": ["try"], "message_of_the_day": "Slow today"}]
    assert row.found == {"try": {"did": "done", "log_id": None, "why": ""}}
    again = change(trees, {"trees": ["try"], "motd": "Slow today"}, 2, seen={"try": {}})
    deliver(again)
    assert (patches(trees), again.found["try"]["did"]) == ([], "already")
    editing.update(trees.world, SHERIFF, ["try"], message_of_the_day="Merge day")
    gone = change(trees, {"trees": ["try"], "motd": ""}, 3, seen={"try": {"motd": "Slow today"}})
    deliver(gone)
    assert (gone.state, patches(trees)) == (State.FAILED, [])
    assert gone.found["try"]["why"] == "Somebody else wrote its message of the day: “Merge day”."
    with pytest.raises(Unwritable, match="one tree at a time"):
        change(trees, {"trees": ["try", "autoland"], "motd": "x"}, 4, seen={"try": {}, "autoland": {}})


# --- sheriffs ---------------------------------------------------------------------------------------------------------


def test_a_tree_that_a_sheriff_moved_since_it_was_seen_is_left_and_the_others_are_written(trees):
    row = change(trees, closing("autoland", "try"))
    sheriff(trees)
    assert deliver(row) == {"sent": 1}
    assert (stands(trees)[1], stands(trees, "try")[1]) == ("Bustage", REASON)
    assert [body["trees"] for body in patches(trees)] == [["try"]]
    assert (row.state, row.found["autoland"]["did"]) == (State.ACCEPTED, "not ours")
    assert row.found["autoland"]["why"] == (
        "Somebody changed it since it was seen; it reads closed: “Bustage” (checkin_test)."
    )
    assert row.last_words.startswith("The service shows it: try. Left alone: autoland. Somebody changed it")


def test_what_stands_there_already_is_not_written_again(trees):
    row = change(trees, closing("autoland"))
    editing.update(trees.world, SHERIFF, ["autoland"], "closed", REASON, ["planned"])
    assert deliver(row) == {"sent": 1}
    assert (row.state, writes(trees), row.found["autoland"]["did"]) == (State.ACCEPTED, [], "already")
    assert row.found["autoland"]["log_id"] == trees.world.tree("autoland")["log_id"]


@pytest.mark.parametrize(("status", "reason", "did", "state"), [
    ("closed", "Bustage", "not ours", State.FAILED),
    ("closed", REASON, "not ours", State.FAILED),  # their closure, if it says the same
    ("approval required", "", "not ours", State.FAILED),
    ("open", "All is well", "already", State.ACCEPTED),
])  # fmt: skip
def test_only_our_own_closure_is_reopened(trees, status, reason, did, state):
    seen = closed_by_us(trees, "autoland")
    sheriff(trees, status, reason)
    row = change(trees, opening("autoland"), 2, seen=seen)
    deliver(row)
    assert (row.state, row.found["autoland"]["did"], patches(trees)) == (state, did, [])
    assert stands(trees)[:2] == (status, reason)
    if state == State.FAILED:
        assert row.last_words.startswith("Nothing was written: Left alone: autoland. Somebody changed it since")


def test_a_closure_that_a_sheriff_worded_anew_since_it_was_seen_is_not_reopened(trees):
    seen = closed_by_us(trees, "autoland")
    [undo] = trees.world.stack()
    editing.update_change(trees.world, undo["id"], "Bustage on top: keep closed", ["checkin_test"])
    row = change(trees, opening("autoland"), 2, seen=seen)
    deliver(row)
    assert (row.state, patches(trees), stands(trees)[0]) == (State.FAILED, [], "closed")


def test_a_sheriff_who_closes_in_the_moment_before_our_reopening_gets_their_closure_back(trees, monkeypatch):
    seen = closed_by_us(trees, "autoland", "try")
    row = change(trees, opening("autoland", "try"), 2, seen=seen)
    meanwhile(monkeypatch, lambda: sheriff(trees))
    assert deliver(row) == {"sent": 1}
    assert stands(trees) == ("closed", "Bustage", ["checkin_test"])
    assert stands(trees, "try")[0] == "open"
    assert [entry[2] for entry in log_of(trees)[-4:]] == [BOT, SHERIFF, BOT, BOT]
    assert (row.state, row.uncertain_since, row.found["autoland"]["did"]) == (State.ACCEPTED, None, "not ours")
    assert row.found["autoland"]["why"] == (
        "Just before our change somebody made it closed: “Bustage” (checkin_test): it was put back."
    )
    assert SHERIFF not in json.dumps(row.found)


def test_a_closure_that_cannot_be_put_back_is_said(trees, monkeypatch):
    seen = closed_by_us(trees, "autoland")
    row = change(trees, opening("autoland"), 2, seen=seen)
    meanwhile(monkeypatch, lambda: sheriff(trees))
    refused = {"status": 400, "detail": "the service is being moved"}
    trees.faults.add(_Later("status", match=PATCH, status=400, body=refused, times=1).after(trees, 1))
    deliver(row)
    assert stands(trees)[0] == "open"
    assert "could not be put back (the service is being moved): do so by hand" in row.last_words


def test_a_sheriff_who_closes_in_the_moment_before_our_closure_is_named_in_words_and_ours_stands(trees, monkeypatch):
    row = change(trees, closing("autoland"))
    meanwhile(monkeypatch, lambda: sheriff(trees))
    deliver(row)
    assert (row.found["autoland"]["did"], stands(trees)[1]) == ("done", REASON)
    assert row.found["autoland"]["why"] == (
        "Just before, somebody made it closed: “Bustage” (checkin_test): ours stands on it."
    )
    theirs = row.found["autoland"]["log_id"] - 1
    assert row.found["autoland"]["below"] == {
        "status": "closed", "reason": "Bustage", "tags": ["checkin_test"], "log_id": theirs,
    }  # fmt: skip


def test_a_sheriff_who_acts_right_after_our_write_is_not_touched(trees, monkeypatch):
    seen = closed_by_us(trees, "autoland")
    row = change(trees, opening("autoland"), 2, seen=seen)
    meanwhile(monkeypatch, lambda: sheriff(trees), before=(Reader, "logs"))
    deliver(row)
    assert (row.state, stands(trees)[1], len(patches(trees))) == (State.ACCEPTED, "Bustage", 1)
    assert row.found["autoland"]["did"] == "done"
    assert row.found["autoland"]["why"] == "Since then somebody made it closed: “Bustage” (checkin_test)."


def test_what_a_sheriff_did_after_our_write_is_not_overwritten_with_what_one_did_before_it(trees, monkeypatch):
    seen = closed_by_us(trees, "autoland")
    row = change(trees, opening("autoland"), 2, seen=seen)
    meanwhile(monkeypatch, lambda: sheriff(trees))
    meanwhile(monkeypatch, lambda: sheriff(trees, reason="Worse"), before=(Reader, "logs"))
    deliver(row)
    assert (stands(trees)[1], len(patches(trees)), row.found["autoland"]["did"]) == ("Worse", 1, "not ours")
    assert row.found["autoland"]["why"].endswith("; since then it was made closed: “Worse” (checkin_test).")


def test_a_sheriffs_closure_that_a_sheriff_took_back_is_not_put_back_for_a_write_that_never_arrived(trees):
    seen = closed_by_us(trees, "autoland")
    row = change(trees, opening("autoland"), 2, seen=seen)
    claimed, _ = delivery.claim(TreeChange)
    TreeChange.objects.filter(pk=row.pk).update(uncertain_since=clock.now())
    sheriff(trees)
    sheriff(trees, "open", "", (), who="another-sheriff@example.com")
    clock.move(2 * MINUTE)
    assert deliver(claimed) == {"sent": 1}
    assert (stands(trees)[0], patches(trees), claimed.found["autoland"]["did"]) == ("open", [], "already")


# --- trees that are not there -----------------------------------------------------------------------------------------


def test_an_unknown_tree_is_left_out_and_the_others_are_written(trees):
    seen = seen_in(trees, "autoland") | {"elm": {"status": "open", "reason": "", "log_id": 3}}
    row = change(trees, closing("autoland", "elm"), seen=seen)
    assert deliver(row) == {"sent": 1}
    assert [body["trees"] for body in patches(trees)] == [["autoland"]]
    assert row.found["elm"] == {"did": "gone", "log_id": None, "why": "The service knows no tree of this name."}
    assert "Left alone: elm." in row.last_words
    alone = change(trees, closing("elm"), 2, seen=seen)
    deliver(alone)
    assert (alone.state, patches(trees)) == (State.FAILED, [])


def test_a_tree_that_vanishes_before_the_write_makes_the_service_refuse_it_all_and_a_person_decides(trees, monkeypatch):
    row = change(trees, closing("autoland", "try"))
    meanwhile(monkeypatch, lambda: editing.delete(trees.world, "try"))
    deliver(row)
    assert (row.state, row.last_code, row.uncertain_since, stands(trees)[0]) == (State.FAILED, 404, None, "open")
    assert row.last_words.startswith(
        "Nothing was written: the service refused it (Could not fetch the following trees: {'try'}); or look at"
    )


# --- what the service refuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [{}, {BOT_TOKEN: Client(BOT, ())}])
def test_a_token_that_is_not_taken_is_a_persons_matter_with_what_to_do(trees, tokens, duty):
    trees.tokens = tokens
    row = change(trees, closing("autoland"))
    deliver(row)
    assert (row.state, row.last_code, row.uncertain_since) == (State.FAILED, 401, None)
    assert row.last_words.startswith("Nothing was written: the service does not take TREESTATUS_TOKEN")
    trees.tokens = {BOT_TOKEN: Client(BOT)}
    workflow.try_again(row, duty)
    assert (deliver(row), row.state) == ({"sent": 1}, State.ACCEPTED)


def test_lando_takes_no_changes_and_a_person_is_told_to_do_it_there(settings, heard):
    world = World(generation=LANDO)
    editing.create(world, SHERIFF, "autoland")
    with Sandbox(world) as lando:
        settings.TREESTATUS_URL, settings.TREESTATUS_WRITES = lando.url, "patch"
        row = change(lando, closing("autoland"))
        deliver(row)
        assert (row.state, row.last_words, writes(lando)) == (State.FAILED, tree_change.READ_ONLY, [])
    world.close()


def test_what_one_group_wrote_before_another_was_refused_is_said(trees):
    seen = closed_by_us(trees, "autoland", "try")
    wants = opening("autoland", "try")
    wants["each"][1] |= {"status": "approval required"}
    row = change(trees, wants, 2, seen=seen)
    trees.faults.add(_Later("status", match=PATCH, status=400, body={"detail": "no"}).after(trees, 1))
    deliver(row)
    assert (row.state, row.last_words[:51]) == (State.FAILED, "Only autoland was written: the service refused it (")
    assert (row.found["autoland"]["did"], "try" in row.found) == ("done", False)


class _Later(Fault):
    """A fault that begins once so much was written."""

    def after(self, trees, writes):
        self.trees, self.writes = trees, writes
        return self

    def hits(self, request):
        written = [call for call in self.trees.requests if call.method == "PATCH"]
        return len(written) >= self.writes and super().hits(request)


# --- the table of faults ----------------------------------------------------------------------------------------------

AT_PATCH = {
    "applied, and nothing said": ("applied_then_cut", {}),
    "applied after we stopped waiting": ("delay", {"seconds": 0.5}),
    "a page with 500": ("html", {}),
    "a page with 200": ("html", {"status": 200}),
    "a 502 of a proxy": ("status", {"status": 502}),
    "too many requests": ("status", {"status": 429, "body": {"detail": "slow down"}}),
    "a redirect": ("redirect", {"location": "http://127.0.0.1:9/"}),
    "nothing at all": ("empty", {}),
}
ELSEWHERE = {
    "the trees: a page": ("html", {}, "^GET /trees$"),
    "the trees: cut": ("cut", {"after_bytes": 40}, "^GET /trees$"),
    "the trees: late": ("delay", {"seconds": 0.5}, "^GET /trees$"),
    "the trees: elsewhere": ("redirect", {}, "^GET /trees$"),
    "the log: a 500": ("status", {"status": 500}, "/logs$"),
    "who we are: a page": ("html", {}, "__permissions__"),
}


@pytest.mark.parametrize("fault", AT_PATCH)
def test_a_write_that_goes_wrong_is_done_exactly_once(trees, fault):
    name, details = AT_PATCH[fault]
    trees.faults.add(Fault(name, match=PATCH, times=1, **details))
    row = change(trees, closing("autoland"))
    tally = deliver(row)
    assert tally == {"retried": 1}
    assert row.state == State.UNKNOWN and row.uncertain_since is not None
    time.sleep(0.4 if name == "delay" else 0)  # a minute is never over in less than a second
    for _ in range(6):
        if row.state == State.ACCEPTED:
            break
        deliver_again(row)
    assert (row.state, row.uncertain_since, row.found["autoland"]["did"]) == (State.ACCEPTED, None, "done")
    assert [entry[:2] for entry in log_of(trees)] == [("open", ""), ("closed", REASON)]
    assert len(patches(trees)) == (1 if fault.startswith("applied") else 2)


@pytest.mark.parametrize("fault", ELSEWHERE)
def test_what_goes_wrong_around_the_write_puts_it_off_and_nothing_is_written_twice(trees, fault):
    name, details, match = ELSEWHERE[fault]
    row = change(trees, closing("autoland"))
    trees.faults.add(Fault(name, match=match, times=1, **details))
    deliver(row)
    time.sleep(0.4 if name == "delay" else 0)
    assert row.state == {"/logs$": State.UNKNOWN, "__permissions__": State.ACCEPTED}.get(match, State.RETRY)
    if row.state != State.ACCEPTED:
        assert deliver_again(row) == {"sent": 1}
    assert (row.state, len(patches(trees))) == (State.ACCEPTED, 1)


def test_a_log_that_cannot_be_read_does_not_hold_a_closure_for_ever(trees):
    trees.faults.add(Fault("status", match="/logs$", status=500))
    row = change(trees, closing("autoland"))
    deliver(row)
    clock.move(tree_change.SHOWS_WITHIN)
    assert deliver(row) == {"sent": 1}
    assert row.found["autoland"]["log_id"] == trees.world.tree("autoland")["log_id"]
    assert len(patches(trees)) == 1


def test_a_write_that_the_service_took_and_does_not_show_is_never_written_again_unasked(trees, duty):
    stale = trees.faults.add(Fault("stale", match="^GET "))
    row = change(trees, closing("autoland"))
    assert deliver(row) == {"retried": 1}
    assert (row.state, row.last_words) == (State.UNKNOWN, tree_change.NOT_SHOWN)
    while row.state == State.UNKNOWN:
        deliver_again(row)
    assert (row.state, len(patches(trees))) == (State.FAILED, 1)
    assert row.last_words.startswith("The service took it and does not show it")
    stale.times = 0
    workflow.try_again(row, duty)
    assert deliver(row) == {"sent": 1}
    assert (row.found["autoland"]["did"], len(patches(trees))) == ("done", 1)


def test_what_the_service_said_it_took_and_did_not_is_written_anew_when_a_person_asks(trees, duty):
    trees.faults.add(Fault("empty", match=PATCH, status=204, times=1))
    row = change(trees, closing("autoland"))
    deliver(row)
    while row.state == State.UNKNOWN:
        deliver_again(row)
    assert (row.state, len(patches(trees))) == (State.FAILED, 1)
    workflow.try_again(row, duty)
    assert deliver(row) == {"sent": 1}
    assert (stands(trees)[0], len(patches(trees))) == ("closed", 2)


def test_a_service_that_is_away_is_asked_once_and_not_for_each_change(trees):
    changes = [change(trees, closing(name), name) for name in ("autoland", "try")]
    trees.stop()
    assert deliver() == {"retried": 1}
    trees.start()
    clock.move(2 * MINUTE)
    assert deliver() == {"sent": 2}
    assert {TreeChange.objects.get(pk=row.pk).state for row in changes} == {State.ACCEPTED}


def test_a_connection_that_never_came_about_leaves_no_doubt(trees, monkeypatch):
    row = change(trees, closing("autoland"))
    meanwhile(monkeypatch, trees.stop)
    assert deliver(row) == {"retried": 1}
    assert (row.state, row.uncertain_since) == (State.RETRY, None)
    trees.start()
    assert deliver_again(row) == {"sent": 1}


# --- senders that die -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrote", [True, False])
def test_a_sender_that_died_around_its_write_leaves_it_done_once(trees, wrote):
    row = change(trees, closing("autoland"))
    claimed, _ = delivery.claim(TreeChange)
    TreeChange.objects.filter(pk=row.pk).update(uncertain_since=clock.now())
    if wrote:
        wants = {name: value for name, value in row.wants.items() if name != "trees"}
        Writer(trees.url, "", BOT_TOKEN).patch(row.trees, **wants)
    assert deliver() == {}
    deliver_again(claimed)
    assert (claimed.state, len(patches(trees)), len(log_of(trees))) == (State.ACCEPTED, 1, 2)
    assert claimed.found["autoland"]["did"] == "done"


def test_a_sender_that_died_before_anything_leaves_a_row_that_is_taken_over(trees):
    row = change(trees, closing("autoland"))
    delivery.claim(TreeChange)
    clock.move(delivery.rules.LEASE)
    assert deliver(row) == {"sent": 1}
    assert (row.deaths, len(patches(trees))) == (1, 1)


def test_after_a_death_nothing_is_written_before_a_late_request_has_had_its_time(trees):
    row = change(trees, closing("autoland"))
    delivery.claim(TreeChange)
    TreeChange.objects.filter(pk=row.pk).update(uncertain_since=clock.now(), lease_until=clock.now())
    began = clock.now()
    while not patches(trees):
        deliver(row)
        clock.move(timedelta(seconds=5))
    assert tree_change.SETTLES_AFTER <= clock.now() - began < tree_change.SETTLES_AFTER + timedelta(seconds=30)


def test_a_reopening_whose_sender_died_before_it_put_a_closure_back_is_mended_by_the_next(trees):
    seen = closed_by_us(trees, "autoland")
    row = change(trees, opening("autoland"), 2, seen=seen)
    claimed, _ = delivery.claim(TreeChange)
    TreeChange.objects.filter(pk=row.pk).update(uncertain_since=clock.now())
    sheriff(trees)
    Writer(trees.url, "", BOT_TOKEN).patch(["autoland"], status="open", reason="", tags=[])
    deliver_again(claimed)
    assert (stands(trees)[:2], claimed.found["autoland"]["did"]) == (("closed", "Bustage"), "not ours")


def test_that_a_write_goes_out_is_committed_before_it_goes(trees, monkeypatch):
    known, row = [], change(trees, closing("autoland"))
    meanwhile(monkeypatch, lambda: known.append(TreeChange.objects.get(pk=row.pk)))
    deliver()
    assert known[0].uncertain_since is not None
    assert known[0].lease_until - known[0].uncertain_since >= delivery.rules.LEASE


def test_the_lease_is_prolonged_before_each_call(trees, monkeypatch):
    seen = closed_by_us(trees, "autoland")
    renewed, renew = set(), delivery.Holding.renew
    monkeypatch.setattr(delivery.Holding, "renew", lambda held: (renewed.add(len(trees.requests)), renew(held)))
    change(trees, opening("autoland"), 2, seen=seen)
    deliver()
    with_the_commit = {number for number, call in enumerate(trees.requests) if call.method == "PATCH"}
    assert renewed | with_the_commit >= set(range(len(trees.requests)))


@pytest.mark.parametrize("guard", ["before each call", "with the commit"])
def test_a_sender_whose_row_was_taken_over_writes_nothing(trees, monkeypatch, guard):
    row = change(trees, closing("autoland"))
    read = Reader.trees

    def taken_over(reader):
        TreeChange.objects.filter(pk=row.pk).update(fence=99)
        return read(reader)

    monkeypatch.setattr(Reader, "trees", taken_over)
    if guard == "with the commit":
        monkeypatch.setattr(delivery.Holding, "renew", lambda holding: None)
    assert deliver() == {}
    assert patches(trees) == []


# --- order, and whether it may still go -------------------------------------------------------------------------------


def test_changes_of_one_tree_go_in_order_and_other_trees_do_not_wait(trees):
    first = change(trees, closing("autoland", "try"), 1)
    second = change(trees, opening("try"), 2)
    third = change(trees, closing("mozilla-beta"), 3)
    TreeChange.objects.filter(pk=first.pk).update(next_try_at=clock.now() + MINUTE)
    assert health.oldest_due(clock.now()) is not None
    deliver()
    assert [TreeChange.objects.get(pk=row.pk).state for row in (first, second, third)] == [
        State.DUE, State.DUE, State.ACCEPTED,
    ]  # fmt: skip
    assert health.oldest_due(clock.now()) is None
    clock.move(2 * MINUTE)
    deliver()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state, second.found["try"]["did"]) == (State.ACCEPTED, State.FAILED, "not ours")


def test_a_purpose_may_stop_a_change_at_its_last_moment(trees, monkeypatch):
    purposes.register(Purpose("tests: stop", "Stop", may_still_go=lambda row: Stop("The window was put off.")))
    row = change(trees, closing("autoland"))
    TreeChange.objects.filter(pk=row.pk).update(purpose="tests: stop")
    assert deliver(row) == {"held": 1}
    assert (row.state, row.last_words, trees.requests) == (State.HELD, "The window was put off.", [])


def test_a_write_that_was_lost_is_looked_for_though_it_may_not_go_any_more_and_not_written_again(trees):
    purposes.register(Purpose("tests: stop", "Stop", may_still_go=lambda row: Stop("The window was put off.")))
    for number, (fault, state) in enumerate([("applied_then_cut", State.ACCEPTED), ("html", State.HELD)]):
        trees.faults.add(Fault(fault, match=PATCH, times=1))
        row = change(trees, closing(["autoland", "try"][number]), number)
        deliver(row)
        TreeChange.objects.filter(pk=row.pk).update(purpose="tests: stop")
        while row.state == State.UNKNOWN:
            deliver_again(row)
        assert (row.state, len(patches(trees))) == (state, 1)
    assert row.last_words == "It may have been written or not: look at the trees. The window was put off."


def test_past_its_time_it_does_not_go(trees):
    row = change(trees, closing("autoland"), not_after=clock.now() + MINUTE)
    clock.move(2 * MINUTE)
    assert deliver(row) == {"cancelled": 1}
    assert (row.state, trees.requests) == (State.CANCELLED, [])


# --- posting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["TREESTATUS_URL", "TREESTATUS_WRITES"])
def test_where_trees_are_changed_by_hand_the_row_is_held_and_says_so(trees, settings, duty, missing):
    setattr(settings, missing, "none" if missing == "TREESTATUS_WRITES" else "")
    row = change(trees, closing("autoland"), seen={"autoland": {"status": "open", "reason": "", "log_id": 1}})
    assert (row.state, row.last_words) == (State.HELD, post.NO_TREES)
    assert workflow.why_not("try again", row, clock.now()) == post.NO_TREES
    assert not workflow.waiting_for_settings()
    settings.TREESTATUS_URL, settings.TREESTATUS_WRITES = trees.url, "patch"
    assert workflow.try_all_again(duty) == (1, 0)
    settings.TREESTATUS_WRITES = "none"
    deliver(row)
    assert (row.state, row.last_words) == (State.RETRY, tree_writing.NOT_CONFIGURED)


@pytest.mark.parametrize(("wants", "why"), [
    (closing("autoland", reason=" "), "Say why it is closed"),
    (closing("autoland", tags=["because"]), "Choose a category"),
    (closing("autoland", status="shut"), "'shut' is no status"),
    (closing("autoland", "autoland"), "names each of its trees once"),
    (closing(), "names each of its trees once"),
    (closing("a/b"), "'a/b' is no name of a tree"),
    (closing("try"), "Nobody said how try stood"),
    ({"trees": ["autoland"], "reason": "x"}, "names its trees, and what they shall be"),
])  # fmt: skip
def test_what_the_service_would_take_and_should_not_is_never_written_down(trees, wants, why):
    with pytest.raises(Unwritable, match=why):
        change(trees, wants, seen={"autoland": {"status": "open", "reason": "", "log_id": 1}, "a/b": {}})
    assert not TreeChange.objects.exists()


def test_the_same_key_twice_is_one_change(trees):
    first, second = change(trees, closing("autoland")), change(trees, closing("try"))
    assert (first.pk, second.wants["trees"]) == (second.pk, ["autoland"])


# --- the client against the recorded answers --------------------------------------------------------------------------


def test_the_client_tells_a_refusal_from_what_nobody_knows(trees):
    writer = Writer(trees.url, "", BOT_TOKEN)
    assert writer.who() == BOT
    with pytest.raises(Refused, match="must specify status, reason and tags"):
        writer.patch(["try"], message_of_the_day="x", remember=True)
    with pytest.raises(Refused, match="URL was not found"):
        writer.discard(99)
    trees.faults.add(Fault("status", match="^PATCH", times=1, status=400, body={"detail": f"bad {BOT_TOKEN}"}))
    with pytest.raises(Refused, match=r"^bad \.\.\.$"):
        writer.patch(["try"], status="open", reason="", tags=[])
    for body in ({"result": [{"id": 1}]}, {"result": 7}, [], {"result": [{"id": "x", "trees": []}]}):
        trees.faults.add(Fault("status", match="^GET /stack", times=1, status=200, body=body))
        with pytest.raises(http.Unavailable, match="not the shape"):
            writer.stack()


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_of_a_change_shows_what_was_seen_wanted_and_found_and_how_to_do_it_by_hand(trees, clients, duty):
    row = change(trees, closing("autoland", "try"))
    sheriff(trees, reason="<b>Bustage</b>")
    page = clients[Role.DUTY].get(f"/outbox/tree/{row.pk}/").content.decode()
    assert "to the trees autoland, try" in page and f"try: closed: “{REASON}” (planned)" in page
    assert "Change the trees where they are kept, then say so here." in page
    deliver()
    page = clients[Role.DUTY].get(f"/outbox/tree/{row.pk}/").content.decode()
    for words in ("What was changed", "not ours. Somebody changed it", "&lt;b&gt;Bustage", f"closed: “{REASON}”"):
        assert words in page
    assert "by-hand" not in page
    [said] = rows.messages_of("downtime 1", duty)
    assert (said.to, said.address) == ("to the trees autoland, try", f"/outbox/tree/{row.pk}/")
    [said] = rows.messages_of("downtime 1", AnonymousUser())
    assert (said.to, said.last_words, said.address) == ("to the trees autoland, try", "", "")
    assert f"/outbox/tree/{row.pk}/" in clients[Role.DUTY].get("/outbox/?show=left").content.decode()


def test_done_by_hand_ends_all_doubt_and_tells_the_purpose(trees, duty, heard):
    row = change(trees, closing("autoland"))
    TreeChange.objects.filter(pk=row.pk).update(state=State.UNKNOWN, uncertain_since=clock.now())
    row.refresh_from_db()
    workflow.done_by_hand(row, duty)
    deliver(row)
    assert (row.state, row.uncertain_since, row.found) == (State.ACCEPTED, None, {})
    assert heard == [(f"tree change {row.pk}", State.ACCEPTED)]
