"""One poll: what the service tells becomes rows and history, and what it does not tell is never taken for open."""

import threading
from datetime import timedelta

import pytest
from django.db import Error as DatabaseTrouble
from django.db import transaction

from ciduty import clock, leases
from ciduty.trees import polling, showing, tasks, workflow
from ciduty.trees.models import Closure, Service, Tree, TreeEvent
from ciduty.trees.rules import Freshness, Standing
from ciduty.trees.sandbox import Sandbox, World, editing
from ciduty.works import WorkFailed
from tests.cast import A_MORNING, at_once
from tests.instruments.servers import wait_until
from tests.trees_stage import PREFIX, entry, standing, told, tree

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
PAGE = (500, "text/html", b"<!doctype html><title>Server Error</title>")


@pytest.fixture(autouse=True)
def morning():
    """The clock stands on a working morning."""
    clock.move(A_MORNING - clock.now())


@pytest.fixture
def service(settings):
    """A service that knows two open trees, and ciduty set to read it."""
    with standing() as stand:
        stand.say(told("autoland"), told("try"))
        settings.TREESTATUS_URL = stand.url
        yield stand


def polled(**expected):
    outcome = polling.poll()
    assert {name: getattr(outcome, name) for name in expected} == expected
    return outcome


def facts(name="autoland"):
    return next(one for one in showing.board(clock.now()).trees if one.name == name)


def history(name="autoland"):
    events = TreeEvent.objects.filter(tree__name=name)
    return [(one.from_status, one.to_status, one.source) for one in events.order_by("pk")]


def minutes_ago(minutes):
    return (A_MORNING - minutes * MINUTE).isoformat()


# --- what is told -----------------------------------------------------------------------------------------------------


def test_a_first_poll_learns_every_tree(service):
    polled(read=2, changed=2, problem="")
    assert {one.name: one.standing for one in showing.board(clock.now()).trees} == {
        "autoland": Standing.OPEN, "try": Standing.OPEN,
    }  # fmt: skip
    row = Service.objects.get()
    assert (row.generation, row.base, row.problem, row.failures) == ("standalone", "", "", 0)
    assert facts().since is None  # it was so before we looked, and nobody told since when
    polled(read=2, changed=0)
    assert history() == [("", "open", "seen")]


def test_a_closure_is_told_with_its_time_its_category_and_who(service):
    clock.move(-10 * MINUTE)
    polling.poll()
    clock.move(10 * MINUTE)
    service.say(
        told("autoland", "closed", "hg is down", ["infra"], 12), told("try"),
        autoland=[entry(12, minutes_ago(7), "closed", "hg is down", ["infra"], "sheriff@example.com")],
    )  # fmt: skip
    polled(changed=1)
    one = facts()
    assert (one.standing, one.category, one.reason, one.by) == (
        Standing.CLOSED, "infra", "hg is down", "sheriff@example.com",
    )  # fmt: skip
    assert one.since == A_MORNING - 7 * MINUTE
    assert one.is_open is False
    assert history() == [("", "open", "seen"), ("open", "closed", "told")]


def test_what_happened_between_two_polls_is_in_the_history(service):
    service.say(told("autoland", log_id=1), autoland=[entry(1, minutes_ago(60), "open", "Initial tree creation")])
    polling.poll()
    service.say(
        told("autoland", log_id=4),
        autoland=[
            entry(4, minutes_ago(1), "open"), entry(3, minutes_ago(2), "closed", "b", ["merges"]),
            entry(2, minutes_ago(3), "approval required"), entry(1, minutes_ago(60), "open"),
        ],
    )  # fmt: skip
    polling.poll()
    assert [to for _, to, _ in history()] == ["open", "approval required", "closed", "open"]
    assert facts().since == A_MORNING - MINUTE


def test_only_the_logs_of_trees_that_changed_are_asked_for(service):
    service.say(told("autoland", log_id=1), told("try", log_id=2), autoland=[], **{"try": []})
    polling.poll()
    service.asked.clear()
    service.say(told("autoland", log_id=1), told("try", "closed", "x", ["infra"], 3))
    polling.poll()
    assert service.asked == ["/trees", "/trees/try/logs"]


def test_without_the_log_the_moment_of_the_poll_must_do(service):
    polling.poll()
    service.say(told("autoland", "closed", "x", ["infra"], 12), told("try"))  # its log is a 404
    polled(changed=1, problem="")
    assert history()[-1] == ("open", "closed", "seen")
    assert timedelta() <= facts().since - A_MORNING < MINUTE


def test_a_log_that_runs_ahead_of_the_answer_is_left_to_the_next_poll(service):
    polling.poll()
    service.say(
        told("autoland", "closed", "x", ["infra"], 2),
        autoland=[entry(2, minutes_ago(2), "closed", "x", ["infra"]), entry(3, minutes_ago(1), "open")],
    )
    polling.poll()
    assert facts().standing == Standing.CLOSED
    assert history()[-1] == ("open", "closed", "told")
    service.say(told("autoland", log_id=3))
    polling.poll()
    assert history()[-1] == ("closed", "open", "told")


def test_a_closure_that_is_worded_anew_keeps_since_when_and_by_whom(service):
    said = [entry(2, minutes_ago(9), "closed", "x", ["infra"])]
    service.say(told("autoland", "closed", "x", ["infra"], 2), autoland=said)
    polling.poll()
    service.say(told("autoland", "closed", "x, still", ["infra"], 2), autoland=said)
    polled(changed=1)
    one = facts()
    assert (one.reason, one.since, one.by) == ("x, still", A_MORNING - 9 * MINUTE, "sheriff@example.com")
    assert history()[-1] == ("closed", "closed", "seen")


def test_a_second_closure_over_the_first_is_an_event_though_nothing_else_differs(service):
    service.say(told("autoland", "closed", "x", ["infra"], 2), autoland=[])
    polling.poll()
    service.say(told("autoland", "closed", "x", ["infra"], 3), autoland=[])
    polled(changed=1)
    assert Tree.objects.get(name="autoland").log_id == 3


def test_no_event_lies_ahead_of_us_nor_before_the_one_it_follows(service):
    polling.poll()
    service.say(
        told("autoland", log_id=3),
        autoland=[entry(2, minutes_ago(90), "closed", "x", ["infra"]), entry(3, minutes_ago(-60), "open")],
    )
    polling.poll()
    moments = list(TreeEvent.objects.filter(tree__name="autoland").order_by("pk").values_list("at", flat=True))
    assert moments == sorted(moments)
    assert moments[-1] <= clock.now()


def test_a_message_of_the_day_is_kept_without_an_event(service):
    polling.poll()
    service.say(told("autoland", motd="Be patient", category="development"), told("try"))
    polled(changed=0)
    assert (facts().motd, facts().kind) == ("Be patient", "Development")
    assert len(history()) == 1


# --- what is not told -------------------------------------------------------------------------------------------------


def test_a_tree_that_vanishes_is_gone_and_never_open(service):
    polling.poll()
    service.say(told("try"))
    polled(read=1, changed=1)
    one = facts()
    assert (one.standing, one.is_open) == (Standing.GONE, None)
    polled(changed=0)
    assert history() == [("", "open", "seen"), ("open", "gone", "seen")]


def test_a_tree_that_comes_back_stands_as_it_is_told(service):
    polling.poll()
    service.say(told("try"))
    polling.poll()
    service.say(told("autoland", "closed", "x", ["infra"]), told("try"))
    polling.poll()
    assert facts().standing == Standing.CLOSED
    assert history()[-1] == ("gone", "closed", "seen")


def test_an_unknown_status_is_neither_open_nor_closed(service):
    service.say(told("autoland", "no change", "just text"))
    polling.poll()
    one = facts()
    assert (one.standing, one.is_open, one.said) == (Standing.UNKNOWN, None, "no change")


def test_a_service_that_tells_of_no_tree_has_lost_them(service):
    polling.poll()
    service.say()
    polled(read=0, changed=2)
    assert {one.standing for one in showing.board(clock.now()).trees} == {Standing.GONE}


@pytest.mark.parametrize(
    "answer",
    [
        PAGE,
        (200, "application/json", b'{"result": {"autoland": {"tree": "autoland", "sta'),
        (200, "application/json", b"{}"),
        (200, "text/html", b"<html>"),
    ],
)
def test_what_is_no_answer_changes_no_tree_and_is_said(service, answer):
    polling.poll()
    before = Tree.objects.order_by("pk").values_list("status", "read_at", "gone_at")
    known = list(before)
    service.raw["/trees"] = answer
    outcome = polled(read=0, changed=0)
    assert outcome.problem
    assert list(before.all()) == known
    one = facts()
    assert (one.standing, one.is_sure, one.is_open) == (Standing.OPEN, False, None)
    assert showing.board(clock.now()).service.freshness == Freshness.UNAVAILABLE


def test_unavailable_since_is_the_first_failure_and_ends_with_an_answer(service):
    polling.poll()
    service.raw["/trees"] = PAGE
    polling.poll()
    first = Service.objects.get().failing_since
    clock.move(5 * MINUTE)
    polling.poll()
    row = Service.objects.get()
    assert (row.failing_since, row.failures) == (first, 2)
    assert timedelta(seconds=55) < row.blocked_until - clock.now() <= MINUTE
    del service.raw["/trees"]
    polling.poll()
    row = Service.objects.get()
    assert (row.failing_since, row.failures, row.problem, row.blocked_until) == (None, 0, "", None)


def test_what_was_not_read_for_ten_minutes_is_stale(service):
    polling.poll()
    clock.move(10 * MINUTE - timedelta(seconds=5))
    assert showing.board(clock.now()).service.freshness == Freshness.FRESH
    clock.move(timedelta(seconds=10))
    assert showing.board(clock.now()).service.freshness == Freshness.STALE
    assert (facts().is_sure, facts().is_open) == (False, None)


def test_trees_of_another_service_are_not_known_until_the_new_one_tells(service, settings):
    polling.poll()
    with standing(PREFIX) as other:
        settings.TREESTATUS_URL = other.url
        assert {one.standing for one in showing.board(clock.now()).trees} == {Standing.UNKNOWN}
        other.say(told("autoland", category="development"))
        polling.poll()
        assert (facts("autoland").standing, facts("try").standing) == (Standing.OPEN, Standing.GONE)
        settings.TREESTATUS_URL = ""
        assert facts("autoland").standing == Standing.UNKNOWN


def test_the_word_of_a_service_ends_what_was_said_by_hand(service, settings, duty):
    settings.TREESTATUS_URL = ""
    workflow.close_by_hand(["autoland"], reason="x", category="infra", by=duty, op="0000000a")
    settings.TREESTATUS_URL = service.url
    mine = Closure.objects.create(
        tree=tree("mozilla-beta", "closed"), key="b", reason="x", category="planned", closed_at=A_MORNING,
        about="downtime 7",
    )  # fmt: skip
    polling.poll()
    assert facts().standing == Standing.OPEN
    assert list(Closure.objects.standing()) == [mine]


# --- when -------------------------------------------------------------------------------------------------------------


def test_it_is_read_every_five_minutes_and_every_minute_while_something_is_closed(service):
    assert polling.poll_if_due() is not None
    for minutes, expected in ((4, False), (1, True)):
        clock.move(minutes * MINUTE)
        assert (polling.poll_if_due() is not None) is expected
    service.say(told("autoland", "closed", "x", ["infra"]), told("try"))
    clock.move(5 * MINUTE)
    polling.poll_if_due()
    clock.move(MINUTE - timedelta(seconds=5))
    assert polling.poll_if_due() is None
    clock.move(timedelta(seconds=6))
    assert polling.poll_if_due() is not None


def test_a_job_that_plans_something_has_it_read_every_minute(service, monkeypatch):
    monkeypatch.setattr(polling, "_askers", [])
    polling.poll()
    assert not polling.is_needed_often(clock.now())
    polling.needed_often(lambda at: at >= A_MORNING)
    assert polling.is_needed_often(clock.now())


def test_what_has_been_closed_for_a_week_is_waited_for_no_more(service):
    service.say(
        told("pine", "closed", "retired", ["other"], 1),
        pine=[entry(1, (A_MORNING - timedelta(days=7)).isoformat(), "closed", "retired", ["other"])],
    )
    polling.poll()
    assert not polling.is_needed_often(clock.now())
    assert polling.is_needed_often(A_MORNING - MINUTE)


def test_a_service_that_asks_us_to_wait_is_left_alone_for_so_long(service):
    service.raw["/trees"] = (429, "application/json", b"{}", {"Retry-After": "600"})
    polling.poll()
    clock.move(10 * MINUTE - timedelta(seconds=5))
    assert polling.poll_if_due() is None
    clock.move(timedelta(seconds=6))
    assert polling.poll_if_due() is not None


def test_the_tick_says_what_came_of_it_and_fails_where_nothing_came(service, settings):
    assert tasks.poll_with_the_tick(timedelta()) == "2 read, 2 changed"
    assert tasks.poll_with_the_tick(timedelta()) == "not due"
    clock.move(6 * MINUTE)
    service.raw["/trees"] = PAGE
    with pytest.raises(WorkFailed, match="HTTP 500"):
        tasks.poll_with_the_tick(timedelta())
    settings.TREESTATUS_URL = ""
    assert "not configured" in tasks.poll_with_the_tick(timedelta())


def test_nothing_is_polled_where_nothing_is_configured(settings):
    settings.TREESTATUS_URL = ""
    assert polling.poll() is None and polling.poll_if_due() is None
    assert not Service.objects.exists()


def test_a_poll_whose_lease_was_taken_over_writes_nothing(service, monkeypatch):
    polling.poll()
    service.say(told("autoland", "closed", "x", ["infra"]), told("try"))

    def taken_over(*_):
        clock.move(3 * MINUTE)
        assert leases.take("poll trees", polling.LEASE)
        return {}

    monkeypatch.setattr(polling, "_logs", taken_over)
    assert polling.poll() is None
    assert Tree.objects.get(name="autoland").status == "open"


@pytest.mark.django_db(transaction=True)
def test_two_polls_at_once_ask_once_and_write_once(service):
    service.hold = threading.Event()

    def second():
        wait_until(lambda: service.asked, "the first poll asks")
        outcome = polling.poll()
        service.hold.set()
        return outcome

    outcomes = at_once([polling.poll, second])
    assert [one for one in outcomes if one is not None] == [polling.Outcome(2, 2)]
    assert service.asked == ["/trees"]
    assert TreeEvent.objects.count() == 2


# --- the history ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["change", "delete"])
def test_the_database_refuses_to_change_what_became_of_a_tree(service, act):
    polling.poll()
    events = TreeEvent.objects.filter(tree__name="autoland")
    with pytest.raises(DatabaseTrouble, match="append-only"), transaction.atomic():
        events.update(to_status="closed") if act == "change" else events._raw_delete("default")
    assert history() == [("", "open", "seen")]


# --- beside the sandbox, which is true to the transcripts -------------------------------------------------------------


@pytest.mark.parametrize("generation", ["standalone", "lando"])
def test_a_sheriff_closes_and_reopens_on_the_sandbox_and_we_see_it(settings, generation):
    world = World(":memory:", generation=generation)
    world.set_clock(clock.now)
    for name in ("try", "autoland"):
        editing.create(world, "sheriff@example.com", name)
    with Sandbox(world) as sandbox:
        settings.TREESTATUS_URL = sandbox.url
        polled(read=2, problem="")
        assert Service.objects.get().generation == generation
        editing.update(world, "sheriff@example.com", ["autoland"], "closed", "hg is down", ["infra"])
        polled(changed=1)
        assert (facts().standing, facts().category, facts().reason) == (Standing.CLOSED, "infra", "hg is down")
        assert (history()[-1], facts().by) == (("open", "closed", "told"), "sheriff@example.com")
        editing.update(world, "sheriff@example.com", ["autoland"], "open", "", [])
        editing.delete(world, "try")
        polled(read=1, changed=2)
        assert (facts().standing, facts("try").standing) == (Standing.OPEN, Standing.GONE)
    world.close()
    assert polling.poll().problem == "No server answers at TREESTATUS_URL"
