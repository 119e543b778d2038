"""Collecting: side by side, each source once, one that hangs delays nobody; what is cut off is done again."""

import socket
import threading
import time
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError

from changelog import tasks
from changelog.models import Change, SeenRevision, Source
from changelog.models.sources import SourceKind
from changelog.sources import collecting, http, reach, readers, standing
from changelog.sources.reading import Deadline, Failure, Told
from ciduty import environment, leases
from ciduty.models import Heartbeat
from ciduty.works import Work
from tests.cast import A_MORNING, at_once
from tests.instruments.stand_ins import Mercurial, Trouble

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def hg(settings):
    settings.CIDUTY_COLLECT_SECONDS = 300
    with Mercurial(A_MORNING) as stand_in:
        stand_in.push("Bug 1500001 - A change")
        yield stand_in


def source_of(hg, name="autoland", **fields):
    return Source.objects.create(name=name, kind=SourceKind.MERCURIAL, address=hg.url, **fields)


def again(source):
    source.refresh_from_db()
    return source


# --- whose turn it is -------------------------------------------------------------------------------------------------


def test_a_source_is_asked_every_five_minutes_and_not_a_second_sooner(hg):
    source_of(hg)
    assert str(collecting.collect_due(A_MORNING)) == "1 sources read, 1 new changes"
    assert str(collecting.collect_due(A_MORNING + 5 * MINUTE - timedelta(seconds=1))) == "nothing due"
    assert collecting.collect_due(A_MORNING + 5 * MINUTE).read == 1


def test_the_tick_leaves_what_is_not_late_to_the_worker(hg):
    source_of(hg)
    collecting.collect_due(A_MORNING)
    late = timedelta(seconds=30)
    due = A_MORNING + 5 * MINUTE + late
    assert collecting.due(due - timedelta(seconds=1), late) == []
    assert len(collecting.due(due, late)) == 1


def test_what_is_not_in_use_or_tells_by_itself_is_never_asked(hg):
    source_of(hg, is_active=False)
    Source.objects.create(name="api", kind=SourceKind.API)
    assert str(collecting.collect_due(A_MORNING)) == "nothing due"
    assert hg.questions == []


def test_a_clock_that_was_put_back_stops_no_source(hg):
    source_of(hg)
    collecting.collect_due(A_MORNING)
    assert collecting.collect_due(A_MORNING - HOUR).read == 1


def test_who_waited_longest_is_asked_first(hg):
    first, second, never = (source_of(hg, name) for name in ("first", "second", "never"))
    Source.objects.filter(pk=first.pk).update(tried_at=A_MORNING - 2 * HOUR)
    Source.objects.filter(pk=second.pk).update(tried_at=A_MORNING - HOUR)
    assert collecting.due(A_MORNING) == [never, first, second]


# --- side by side -----------------------------------------------------------------------------------------------------


def test_a_source_that_hangs_delays_no_other_and_is_given_up(hg, monkeypatch):
    monkeypatch.setattr(collecting, "ONE_WITHIN", 1)
    ended, end = [], collecting._end
    monkeypatch.setattr(collecting, "_end", lambda job, *rest: (ended.append(job.source.name), end(job, *rest)))
    with Mercurial(A_MORNING) as silent:
        silent.always = Trouble(hang=True)
        hanging = source_of(silent, "a hanging one")
        others = [source_of(hg, f"tree {number}") for number in range(6)]
        began = time.monotonic()
        tally = collecting.collect_due(A_MORNING)
        took = time.monotonic() - began
    assert (tally.read, tally.failed) == (6, 1)
    assert again(hanging).tried_at == A_MORNING and hanging.read_at is None
    assert set(ended[:-1]) == {other.name for other in others} and ended[-1] == hanging.name
    assert took < 5
    assert "had not finished" in hanging.problem or "silent" in hanging.problem


def test_a_server_that_drips_is_cut_off_in_time():
    listening = socket.create_server(("127.0.0.1", 0))

    def drip():
        line, _ = listening.accept()
        with line:
            line.recv(65_536)
            try:
                line.sendall(b"HTTP/1.1 200 OK\r\n")
                while True:  # a header that never ends: no read ever times out
                    line.sendall(b"x")
                    time.sleep(0.05)
            except OSError:
                return

    threading.Thread(target=drip, daemon=True).start()
    began = time.monotonic()
    with listening, http.Session(Deadline(0.6)) as session, pytest.raises(Failure, match="had not finished"):
        session.get(f"http://127.0.0.1:{listening.getsockname()[1]}/")
    assert 0.5 < time.monotonic() - began < 3


def test_four_are_asked_at_once_and_no_more_and_each_once(hg, monkeypatch):
    for number in range(8):
        source_of(hg, f"tree {number}")
    running, most, lock, four = set(), [], threading.Lock(), threading.Barrier(4)

    def read(asked):
        with lock:
            running.add(asked.name)
            most.append(len(running))
        four.wait(10)  # goes on only when four are here ...
        time.sleep(0.3)  # ... and long enough for a fifth to come
        with lock:
            running.remove(asked.name)
        return Told(cursor={"push": 1})

    monkeypatch.setattr(readers, "read", read)
    assert collecting.collect_due(A_MORNING).read == 8
    assert (max(most), len(most)) == (4, 8)


def test_a_round_that_has_no_time_left_leaves_the_rest_to_the_next(hg):
    source_of(hg)
    assert str(collecting.collect_due(A_MORNING, seconds=0.5)) == "nothing due"
    assert collecting.collect_due(A_MORNING).read == 1


def test_a_bug_of_ours_in_one_reader_stops_that_source_alone(hg, monkeypatch):
    broken, fine = source_of(hg, "broken"), source_of(hg, "fine")
    read = readers.read

    def breaks(asked):
        if asked.name == "broken":
            raise KeyError("a canary of the answer")
        return read(asked)

    monkeypatch.setattr(readers, "read", breaks)
    tally = collecting.collect_due(A_MORNING)
    assert (tally.read, tally.failed) == (1, 1)
    assert again(broken).problem == "ciduty itself broke down while reading it (KeyError): see its log."
    assert again(fine).problem == ""


def test_what_the_database_refuses_stops_that_source_alone(hg, monkeypatch):
    broken, fine = source_of(hg, "broken"), source_of(hg, "fine")
    see = collecting._see

    def refuse(source, pieces):
        if source.name == "broken":
            raise DatabaseError("value out of range")
        return see(source, pieces)

    monkeypatch.setattr(collecting, "_see", refuse)
    tally = collecting.collect_due(A_MORNING)
    assert (tally.read, tally.failed) == (1, 1)
    assert again(broken).failures == 1 and "DatabaseError" in broken.problem
    assert again(fine).read_at == A_MORNING


# --- whole or not at all ----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["_see", "_cursor"])
def test_killed_in_the_middle_nothing_is_half_written_and_the_next_run_tells_all(hg, monkeypatch, step):
    source = source_of(hg)

    def die(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(collecting, step, die)
        with pytest.raises(Killed):
            collecting.collect_due(A_MORNING)
    assert (Change.objects.count(), SeenRevision.objects.count(), again(source).cursor) == (0, 0, {})
    collecting.collect_due(A_MORNING + 5 * MINUTE)
    assert (Change.objects.count(), SeenRevision.objects.count(), again(source).cursor["push"]) == (1, 1, 88001)


def test_a_collector_that_slept_past_its_lease_writes_nothing(hg):
    source = source_of(hg)
    job = collecting._begin(source, A_MORNING, 10, None)
    told = readers.read(job.asked)
    taken = leases.Lease.objects.filter(job=job.held.job)
    taken.update(fence=job.held.fence + 1)
    with pytest.raises(leases.LeaseLost):
        collecting._store(job, told, A_MORNING)
    assert Change.objects.count() == 0


@pytest.mark.parametrize(
    "changed", [{"address": "http://127.0.0.1:1/other"}, {"filters": {"keyword": "x"}}, {"is_active": False}]
)
def test_what_was_read_of_a_source_that_was_changed_meanwhile_is_dropped(hg, changed):
    source = source_of(hg)
    job = collecting._begin(source, A_MORNING, 10, None)
    told = readers.read(job.asked)
    Source.objects.update(**changed)
    with pytest.raises(leases.LeaseLost):
        collecting._store(job, told, A_MORNING)
    assert Change.objects.count() == 0


def test_a_source_that_another_collector_reads_is_left_to_it(hg):
    source = source_of(hg)
    held = leases.take(f"changes of {source.about}", MINUTE)
    assert collecting.collect_due(A_MORNING).read == 0
    held.release()
    assert collecting.collect_due(A_MORNING).read == 1


def test_a_source_that_was_read_between_the_list_and_its_turn_is_not_read_again(hg):
    source_of(hg)
    [listed] = collecting.due(A_MORNING)
    collecting.collect_due(A_MORNING)
    assert collecting._begin(listed, A_MORNING, 10, timedelta()) is None
    assert leases.take(f"changes of {listed.about}", MINUTE) is not None


@pytest.mark.django_db(transaction=True)
def test_two_collectors_at_once_are_one(hg):
    for number in range(3):
        hg.push(f"Bug 150000{number} - Another change")
    source_of(hg)
    hg.headers = {}
    tallies = at_once([lambda: collecting.collect_due(A_MORNING)] * 2)
    assert sorted(tally.read for tally in tallies) == [0, 1]
    assert (Change.objects.count(), SeenRevision.objects.count()) == (4, 4)
    assert len(hg.questions) == 2


def test_told_again_no_row_is_written_and_no_number_of_the_table_is_used_up(hg):
    source = source_of(hg)
    collecting.collect_due(A_MORNING)
    newest = SeenRevision.objects.latest("pk").pk
    for _ in range(3):
        Source.objects.update(cursor={"push": 88000, "tip": ""}, tried_at=None)
        collecting.collect(again(source))
    hg.push("Another")
    collecting.collect(again(source))
    assert SeenRevision.objects.latest("pk").pk == newest + 1


def test_reading_one_source_now_tells_what_came_of_it(hg):
    source = source_of(hg)
    assert collecting.collect(source).new == 1
    hg.always = Trouble(status=500)
    assert collecting.collect(again(source)).new == 0
    assert again(source).failures == 1


def test_a_source_may_publish_by_rule(hg):
    source_of(hg, publishes=True)
    collecting.collect_due(A_MORNING)
    [change] = Change.objects.all()
    assert (change.state, change.published_at, change.published_by) == ("published", A_MORNING, None)


# --- who needs somebody -----------------------------------------------------------------------------------------------


def said(at):
    return [flag.sentence for flag in standing.flagged(at)]


def tried(source, at):
    """Leave the source as one that was read well at a moment."""
    Source.objects.filter(pk=source.pk).update(read_at=at, tried_at=at)


def test_a_source_gone_quiet_is_flagged_one_second_past_its_rhythm(hg):
    source = source_of(hg, rhythm_hours=24)
    hg.at = A_MORNING
    collecting.collect_due(A_MORNING)
    heard = again(source).heard_at
    quiet = heard + timedelta(hours=24)
    tried(source, quiet)
    assert said(quiet) == []
    assert said(quiet + timedelta(seconds=1)) == ["It has been quiet for 24 h 00 min; something is expected every day."]
    assert standing.flagged(quiet + timedelta(seconds=1))[0].since == heard
    collecting.collect_due(quiet + HOUR)
    assert again(source).heard_at == heard
    hg.push("Back again")
    collecting.collect_due(quiet + 2 * HOUR)
    assert again(source).heard_at == quiet + 2 * HOUR
    assert said(quiet + 2 * HOUR) == []


def test_what_a_filter_drops_is_heard_all_the_same(hg):
    source = source_of(hg, rhythm_hours=1, filters={"keyword": "deploy:"})
    collecting.collect_due(A_MORNING)
    hg.push("Nothing of a deployment")
    collecting.collect_due(A_MORNING + 5 * MINUTE)
    assert again(source).heard_at == A_MORNING + 5 * MINUTE
    assert Change.objects.count() == 0


def test_a_source_without_a_rhythm_may_be_silent_and_one_that_never_told_is_flagged(hg):
    hg.reset()
    source_of(hg, "may be silent")
    source_of(hg, "should speak", rhythm_hours=48)
    collecting.collect_due(A_MORNING)
    at = A_MORNING + timedelta(hours=48)
    Source.objects.update(tried_at=at)
    assert said(at) == []
    assert said(at + timedelta(seconds=1)) == ["It has told nothing yet, and something is expected every 2 days."]


def test_a_source_that_tells_by_itself_has_a_rhythm_too(db):
    Source.objects.create(name="api", kind=SourceKind.API, rhythm_hours=1, heard_at=A_MORNING)
    assert said(A_MORNING + HOUR) == []
    assert len(said(A_MORNING + HOUR + timedelta(seconds=1))) == 1


def test_one_lost_answer_is_weather_and_a_second_one_in_a_row_is_flagged(hg):
    source = source_of(hg)
    collecting.collect_due(A_MORNING)
    hg.always = Trouble(status=503)
    collecting.collect_due(A_MORNING + 5 * MINUTE)
    assert said(A_MORNING + 5 * MINUTE) == []
    collecting.collect_due(A_MORNING + 6 * MINUTE)
    assert said(A_MORNING + 6 * MINUTE) == ["It could not be read: Its host answered HTTP 503."]
    Source.objects.update(is_active=False)
    assert said(A_MORNING + 6 * MINUTE) == []
    assert again(source).failures == 2


def test_a_source_that_nobody_asks_any_more_is_flagged(hg):
    source_of(hg)
    collecting.collect_due(A_MORNING)
    assert said(A_MORNING + 30 * MINUTE) == []
    assert said(A_MORNING + 30 * MINUTE + timedelta(seconds=1)) == [
        "Nobody has asked it for a while: are the worker and the tick running?"
    ]


def test_flags_cost_one_query_however_many_sources_there_are(hg, django_assert_num_queries):
    for number in range(20):
        source_of(hg, f"tree {number}", rhythm_hours=1, heard_at=A_MORNING)
    with django_assert_num_queries(1):
        assert len(standing.flagged(A_MORNING + 2 * HOUR)) == 20


# --- where a source may lead ------------------------------------------------------------------------------------------

INSIDE = [
    "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "::1", "fd12::1", "::ffff:10.0.0.1",
    "64:ff9b::a00:1", "2002:a00:1::",
]  # fmt: skip
NEVER = [
    "169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "0.0.0.0",
    "224.0.0.1", "::",
]  # fmt: skip
PUBLIC = ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


@pytest.mark.parametrize("ip", INSIDE)
def test_a_private_machine_is_reached_only_where_that_is_allowed(ip, settings):
    assert reach.why_not(reach.ip_address(ip)) == ""
    settings.TESTING = False
    assert reach.why_not(reach.ip_address(ip)) == "into a private network"
    settings.CIDUTY_SOURCES_INSIDE = True
    assert reach.why_not(reach.ip_address(ip)) == ""


@pytest.mark.parametrize("ip", NEVER)
def test_metadata_and_no_machines_are_never_reached(ip):
    assert reach.why_not(reach.ip_address(ip)) != ""


@pytest.mark.parametrize("ip", PUBLIC)
def test_a_public_machine_is_reached(ip, settings):
    settings.TESTING = False
    assert reach.why_not(reach.ip_address(ip)) == ""


def test_it_is_looked_where_the_connection_goes_not_only_what_was_typed(hg, settings):
    source = source_of(hg)
    Source.objects.update(address=hg.url.replace("127.0.0.1", "localhost"))
    settings.TESTING = False
    collecting.collect_due(A_MORNING)
    settings.TESTING = True
    assert again(source).problem == "Its host leads into a private network: ciduty does not go there."
    assert hg.questions == []


def test_a_name_that_leads_here_and_there_is_refused_whole(monkeypatch, settings):
    answers = [(2, 1, 6, "", (ip, 80)) for ip in ("93.184.215.14", "169.254.169.254")]
    monkeypatch.setattr(reach.socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(Failure, match="metadata"):
        reach.machines_of("two-faced.example.com", 80)


# --- who rings --------------------------------------------------------------------------------------------------------


def test_the_task_collects_and_shows_that_the_worker_is_alive(hg):
    source_of(hg)
    tasks.collect()
    assert (Change.objects.count(), Heartbeat.objects.filter(name="worker").count()) == (1, 1)


def test_the_tick_says_what_it_read(hg, monkeypatch, capsys):
    source_of(hg)
    monkeypatch.setattr("ciduty.management.commands.tick.WORKS", [Work("changes", tasks.collect_with_the_tick)])
    call_command("tick")
    call_command("tick")
    assert capsys.readouterr().out.splitlines() == ["changes: 1 sources read, 1 new changes", "changes: nothing due"]


# --- the token as a setting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["ghp with a blank", "ghp_ü", "ghp\nX-Header: 1"])
def test_a_token_that_no_header_carries_ends_the_start_and_is_not_repeated(monkeypatch, wrong):
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_right")
    assert environment.secret("GITHUB_TOKEN") == "ghp_right"
    monkeypatch.setenv("GITHUB_TOKEN", wrong)
    with pytest.raises(SystemExit) as ended:
        environment.secret("GITHUB_TOKEN")
    assert "GITHUB_TOKEN is '(not shown)'" in str(ended.value) and "ghp" not in str(ended.value)
