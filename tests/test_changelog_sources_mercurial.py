"""Mercurial as a source: pushes in their order, in batches; a repository that was reset is noticed."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from changelog.models import Change, SeenRevision, Source
from changelog.models.sources import SourceKind
from changelog.sources import collecting, mercurial
from tests.cast import A_MORNING
from tests.instruments.stand_ins import Mercurial, Trouble

pytestmark = pytest.mark.django_db


@pytest.fixture
def hg():
    with Mercurial(A_MORNING) as stand_in:
        yield stand_in


def source_of(hg, name="autoland", **fields):
    return Source.objects.create(name=name, kind=SourceKind.MERCURIAL, address=hg.url, **fields)


def read(source, at=A_MORNING):
    """Read a source, and what is left of it, at a moment; return it."""
    Source.objects.filter(pk=source.pk).update(tried_at=None, blocked_until=None)
    for _ in range(20):
        collecting.collect_due(at)
        source.refresh_from_db()
        if not source.cursor.get("goes_on"):
            return source
    raise AssertionError("it never comes to an end")


def revisions(repository="autoland"):
    return set(SeenRevision.objects.filter(repository=repository).values_list("revision", flat=True))


def test_a_changeset_becomes_a_proposal_with_its_push(hg):
    # The shape is hg.mozilla.org's own: json-pushes?version=2&full=1.
    node = "1f864da71bab" + "0" * 28
    hg.pushes[88678] = {
        "changesets": [
            {"author": "Développeuse <developer@example.com>", "branch": "default", "node": node,
             "desc": "Bug 1561582 - tooltool.py now supports python 3 and 2 r=reviewer CLOSED TREE",
             "files": ["taskcluster/docker/a", "b"], "parents": ["a" * 40], "tags": []},
        ],
        "date": 1561657344, "user": "sheriff@example.com",
    }  # fmt: skip
    hg.last = 88678
    source = read(source_of(hg))
    [change] = Change.objects.all()
    assert (change.identity, change.author, change.bugs) == ("hg:1f864da71bab", "Développeuse", [1561582])
    assert (change.landed_at, change.push) == (datetime(2019, 6, 27, 17, 42, 24, tzinfo=UTC), "autoland 88678")
    [landing] = change.landings.all()
    assert (landing.pusher, landing.push_id, landing.revision) == ("sheriff", "88678", node)
    assert landing.url == f"{hg.url}/pushloghtml?changeset=1f864da71bab"
    assert (change.files_count, source.cursor["push"], source.cursor["tip"]) == (2, 88678, node)


def test_the_first_run_tells_the_newest_hundred_pushes(hg):
    nodes = [hg.push(f"Change {number}", f"Another {number}") for number in range(130)]
    read(source_of(hg))
    assert revisions() == {node for pair in nodes[30:] for node in pair}


def test_later_pushes_come_in_batches_of_a_hundred_and_nothing_new_is_one_question(hg):
    hg.push("First")
    source = read(source_of(hg))
    nodes = [node for number in range(250) for node in hg.push(f"Change {number}")]
    asked = len(hg.questions)
    read(source)
    assert set(nodes) < revisions()
    ranges = [(question.asked["startID"], question.asked["endID"]) for question in hg.questions[asked:]]
    assert ranges == [("88000", "88001"), ("88001", "88101"), ("88101", "88201"), ("88201", "88301")]
    asked, cursor = len(hg.questions), source.cursor
    read(source)
    assert (len(hg.questions) - asked, source.cursor) == (1, cursor)


def test_one_changeset_in_three_trees_is_one_change_with_three_landings(hg):
    hg.push("Bug 1500001 - A change")
    for name in ("autoland", "mozilla-central", "mozilla-beta"):
        read(source_of(hg, name))
    [change] = Change.objects.all()
    assert change.repositories == ["autoland", "mozilla-central", "mozilla-beta"]
    assert change.landings.count() == 3


@pytest.mark.parametrize("pushes", [0, 3, 150], ids=["empty", "shorter", "longer"])
def test_a_repository_that_was_reset_is_read_again_and_noted_and_nothing_is_taken_back(hg, pushes):
    hg.reset(first=100)
    before = hg.push("Before")
    source = read(source_of(hg))
    hg.reset()
    after = [node for number in range(pushes) for node in hg.push(f"After {number}")]
    read(source)
    assert source.cursor["note"] == mercurial.RESET
    # Where it is longer by now, it is read on from a hundred pushes before the one that was told last.
    assert revisions() == {*before, *after[max(0, 101 - 100) if pushes > 101 else 0 :]}
    assert source.cursor["push"] == pushes
    read(source)
    assert Change.objects.count() == len(revisions())


def test_pushes_too_large_for_one_answer_are_asked_for_in_smaller_batches(hg, monkeypatch):
    hg.push("First")
    source = read(source_of(hg))
    nodes = [node for number in range(60) for node in hg.push(f"Change {number}")]
    monkeypatch.setattr("changelog.sources.http.MOST_BYTES", 6_000)  # about twenty of them
    read(source)
    assert set(nodes) < revisions()
    assert source.problem == ""


def test_a_push_too_large_to_be_read_is_named_and_does_not_stop_those_after_it(hg, monkeypatch):
    hg.push("First")
    source = read(source_of(hg))
    hg.push(*[f"One of many {number}" for number in range(50)])
    after = hg.push("After it")
    monkeypatch.setattr("changelog.sources.http.MOST_BYTES", 6_000)
    read(source)
    assert set(after) < revisions()
    assert source.cursor["note"] == mercurial.SKIPPED.format(88002)
    monkeypatch.undo()
    read(source)
    assert source.cursor["note"] == mercurial.SKIPPED.format(88002)  # and no reset is seen in it


def test_filters_drop_changesets_and_their_revisions_stay_known(hg):
    kept = hg.push("Bug 1500001 - deploy: signing workers", files=["docs/a"])
    dropped = hg.push("Bug 1500002 - Speak of nothing", files=["docs/a"])
    source = source_of(hg, filters={"keyword": "deploy:"})
    read(source)
    assert list(Change.objects.values_list("identity", flat=True)) == [f"hg:{kept[0][:12]}"]
    assert revisions() == {*kept, *dropped}


@pytest.mark.parametrize("off", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_server_whose_clock_is_an_hour_off_loses_and_doubles_nothing(hg, off):
    hg.at = A_MORNING + off
    nodes = hg.push("First")
    source = read(source_of(hg))
    hg.at = A_MORNING - off
    nodes += hg.push("Second")
    read(source)
    assert (revisions(), Change.objects.count()) == (set(nodes), 2)


def test_a_limit_of_the_host_stops_every_source_there(hg):
    hg.push("First")
    one, two = source_of(hg), source_of(hg, "mozilla-central", is_active=True)
    Source.objects.filter(pk=two.pk).update(tried_at=A_MORNING)
    hg.troubles.append(Trouble(status=503, headers={"Retry-After": "600"}))
    collecting.collect_due(A_MORNING)
    until = A_MORNING + timedelta(minutes=10)
    assert set(Source.objects.values_list("blocked_until", flat=True)) == {until}
    one.refresh_from_db()
    assert one.problem == "Its host limits our rate (HTTP 503). Not asked again before 09:10 UTC."


GOOD = {"node": "a" * 40, "author": "A", "desc": "B", "files": []}
BROKEN = {
    "5xx": Trouble(status=500),
    "truncated": Trouble(cut=60),
    "empty": Trouble(instead=b""),
    "a web page": Trouble(instead=b"<html>Maintenance</html>"),
    "not there": Trouble(status=404),
    "version 1": Trouble(instead=json.dumps({"88002": {"changesets": [GOOD], "date": 1, "user": "x"}}).encode()),
    "an error": Trouble(instead=b'{"error": "unknown revision"}'),
    "no number": Trouble(instead=json.dumps({"lastpushid": "88002", "pushes": {}}).encode()),
    "no pushes": Trouble(instead=json.dumps({"lastpushid": 88002, "pushes": None}).encode()),
}


@pytest.mark.parametrize("trouble", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_is_one_sentence_and_moves_and_writes_nothing(hg, trouble):
    hg.push("First")
    source = read(source_of(hg))
    cursor = source.cursor
    hg.push("Second")
    hg.always = trouble
    read(source)
    assert (source.cursor, source.failures, Change.objects.count()) == (cursor, 1, 1)
    assert source.problem.endswith((".", "?")) and "unknown revision" not in source.problem
    hg.always = None
    read(source)
    assert (source.problem, Change.objects.count()) == ("", 2)


@pytest.mark.parametrize(
    "push",
    [
        {"changesets": [GOOD], "date": "yesterday", "user": "x"},
        {"changesets": [GOOD], "date": 10**30, "user": "x"},
        {"changesets": [GOOD | {"node": "../../etc"}], "date": 1, "user": "x"},
        {"changesets": [GOOD | {"desc": 5}], "date": 1, "user": "x"},
        {"changesets": "many", "date": 1, "user": "x"},
    ],
)
def test_a_push_of_another_shape_writes_nothing(hg, push):
    hg.push("First")
    source = read(source_of(hg))
    hg.last = 88002
    hg.pushes[88002] = push
    read(source)
    assert (source.failures, Change.objects.count(), source.cursor["push"]) == (1, 1, 88001)
    assert source.problem.startswith("Its answer about its pushes makes no sense")
