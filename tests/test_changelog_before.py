"""What changed before this broke: the answer's page and its API, the same for everybody, of public facts alone."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changelog import index, store, workflow
from changelog.before import candidates, timeline, verdicts
from changelog.before.answer import answer
from changelog.before.forms import QuestionForm
from changelog.before.suspects import Suspect
from changelog.intervals import Interval
from changelog.models import Change, Source
from changelog.models.sources import SourceKind
from changelog.proposals import LandedAt, Proposal
from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.people.roles import Role
from ciduty.systems.models import named
from tests.announced import HOSTILE, ran
from tests.cast import BugFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 4, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PAGE, API = "/changes/before/", "/api/changes/before/"
NOON = "bad=2026-11-04T12:00:00Z"
WIN = "gecko-t/win11-64-2009"


@pytest.fixture(autouse=True)
def noon():
    """The clock stands on Wednesday 4 November 2026, 12:00 UTC."""
    clock.move(NOW - clock.now())


def source():
    return Source.objects.get_or_create(name="autoland", defaults={"kind": SourceKind.MERCURIAL})[0]


def put(summary, before=HOUR, *, name="", trees=(), publishes=True, **facts):
    """Store a change so long before noon: landed in trees, each so long before, or else in effect."""
    if trees:
        facts["landings"] = tuple(LandedAt(tree, NOW - ago, revision=name) for tree, ago in dict(trees).items())
    else:
        facts.setdefault("effective_at", NOW - before)
    identity = f"hg:{name}" if name else f"test:{Change.objects.count()}"
    proposal = Proposal(identity=identity, summary=summary, **facts)
    store.store([proposal], source=source(), at=NOW, publishes=publishes)
    return Change.objects.get(identity=identity)


def put_many(count, between=MINUTE, **facts):
    told = (
        Proposal(identity=f"many:{n}", summary=f"Change {n}", effective_at=NOW - between * n, **facts)
        for n in range(1, count + 1)
    )
    store.store(told, source=source(), at=NOW, publishes=True)


def asked(query=NOON):
    form = QuestionForm(dict(part.split("=", 1) for part in query.split("&")), at=NOW)
    assert form.is_valid(), form.errors
    return form.asked


def answered(query=NOON):
    return answer(asked(query), NOW)


def order(query=NOON):
    return [line.change.summary for line in answered(query).suspects]


def reasons(query=NOON, place=1):
    return [reason.words for reason in answered(query).suspects[place - 1].suspect.reasons]


def page(client, query=NOON):
    response = client.get(f"{PAGE}?{query}")
    assert response.status_code == 200, response.content.decode()[:300]
    return response.content.decode()


def lines(query=NOON):
    return [line.title for line in answered(query).lines]


# --- the answer -------------------------------------------------------------------------------------------------------


def test_the_answer_holds_what_took_effect_between_and_neither_edge_too_much():
    put("at the break", timedelta())
    put("just after", -timedelta(seconds=1))
    put("just within", DAY - timedelta(seconds=1))
    put("just too old", DAY)
    put("landed before, in effect after", effective_at=NOW + HOUR, trees={"autoland": 2 * HOUR})
    assert lines() == ["at the break", "just within"]


def test_a_deploy_of_the_pool_stands_first_with_its_reasons_on_the_page(stranger):
    put("Unrelated", 2 * MINUTE, platforms=("macos",))
    put("deploy: the new image", 12 * MINUTE, kind="image", pools=(WIN,), platforms=("windows",))
    query = f"{NOON}&pool={WIN}&platform=windows"
    assert order(query) == ["deploy: the new image"]
    text = page(stranger, query)
    first = text[text.index('<ol class="suspects">') : text.index("</ol>")]
    for words in ("same pool", "an image of that pool", "same platform", "took effect 12 minutes before"):
        assert f"<li>{words}</li>" in first, words
    assert "Unrelated" not in first and "Unrelated" in text
    assert "guess by a machine" in text and "Confirmed" not in text


def test_what_was_backed_out_later_is_suspect_and_what_was_backed_out_before_is_not():
    put("Break it", trees={"autoland": 5 * HOUR}, name="aaaaaaaaaaaa")
    put("Break it too", trees={"autoland": 4 * HOUR}, name="bbbbbbbbbbbb")
    put("Near", trees={"autoland": 5 * MINUTE}, name="cccccccccccc")
    for name, backs, ago in (("dddddddddddd", "aaaaaaaaaaaa", -HOUR), ("eeeeeeeeeeee", "bbbbbbbbbbbb", HOUR)):
        message = f"Backed out changeset {backs} for bustage"
        put(message, message=message, trees={"autoland": ago}, name=name)
    clock.move(2 * HOUR)
    found = answered()
    assert [line.change.summary for line in found.suspects][:2] == ["Break it", "Near"]
    assert "backed out later, 60 minutes after it broke" in [one.words for one in found.suspects[0].suspect.reasons]
    assert "Break it too" not in order()


def test_what_reached_the_broken_tree_in_between_counts_from_then():
    put("From autoland", trees={"autoland": 3 * DAY, "mozilla-central": HOUR}, name="aaaaaaaaaaaa")
    put("Not merged yet", trees={"autoland": 2 * HOUR, "mozilla-central": -HOUR}, name="bbbbbbbbbbbb")
    put("Long there", trees={"autoland": 5 * DAY, "mozilla-central": 4 * DAY}, name="cccccccccccc")
    put("The bad push", trees={"mozilla-central": timedelta()}, name="dddddddddddd")
    query = "bad=dddddddddddd"
    assert order(query) == ["The bad push", "From autoland"]
    assert set(reasons(query, 2)) == {"landed 60 minutes before", "same tree, mozilla-central"}
    assert lines(query) == ["The bad push", "From autoland", "Not merged yet"]


def test_good_and_bad_pushes_bound_the_answer_and_the_good_one_is_not_in_it():
    for name, ago in (("aaaaaaaaaaaa", 5 * HOUR), ("bbbbbbbbbbbb", 3 * HOUR), ("cccccccccccc", HOUR)):
        put(f"Push {name[0]}", trees={"autoland": ago}, name=name)
    assert lines("bad=cccccccccccc&good=aaaaaaaaaaaa") == ["Push c", "Push b"]


def test_a_bug_finds_the_change_that_names_it(stranger):
    bug = BugFactory(created_at=NOW - MINUTE)
    put("Near", 2 * MINUTE)
    put(f"Bug {bug.pk} - Try it", 5 * HOUR)
    assert order(f"bad=bug {bug.pk}")[0] == f"Bug {bug.pk} - Try it"
    assert f"bug {bug.pk}, filed Wed 4 Nov 2026 11:59 UTC" in page(stranger, f"bad=bug+{bug.pk}")


def test_a_downtime_that_ended_just_before_is_told_and_what_was_made_in_it_is_marked(stranger):
    ran(-3 * HOUR, 2 * HOUR + 40 * MINUTE, title="Switches in mdc1")
    put("In the downtime", HOUR)
    put("Outside", 5 * MINUTE)
    assert lines() == ["Outside", "Switches in mdc1 ended", "In the downtime", "Switches in mdc1 began"]
    assert reasons()[1] == "made during the downtime “Switches in mdc1”"
    text = page(stranger)
    assert re.search(r"Switches in mdc1</a>\s+<strong>ended 20 minutes before, just before it broke</strong>", text)


def test_the_change_that_tells_of_a_downtime_is_suspect_when_it_ended_just_before():
    downtime = ran(-3 * HOUR, 2 * HOUR + 40 * MINUTE, title="Switches in mdc1")
    put("Near", 10 * MINUTE)
    put("Downtime: Switches in mdc1", 3 * HOUR)
    Change.objects.filter(summary__startswith="Downtime").update(identity=f"ciduty:downtime:{downtime.pk}")
    assert order()[0] == "Downtime: Switches in mdc1"
    assert reasons()[0] == "ended 20 minutes before"


def test_more_than_can_be_looked_at_is_said_and_what_names_the_pool_is_never_lost(monkeypatch, stranger):
    monkeypatch.setattr(candidates, "MOST", 20)
    put("Old, of the pool", 20 * HOUR, pools=(WIN,))
    put_many(20)
    found = answered(f"{NOON}&pool={WIN}")
    assert (found.looked_at, found.is_complete) == (20, False)
    assert found.suspects[0].change.summary == "Old, of the pool"
    assert "There are more than 20" in page(stranger, f"{NOON}&pool={WIN}")
    Change.objects.get(summary="Change 20").delete()
    assert answered().is_complete


def test_of_many_closures_the_last_ones_are_told_and_the_others_counted(monkeypatch, stranger):
    closed = [Interval(f"Closed {n}", NOW - n * HOUR, NOW - n * HOUR + MINUTE, "closure") for n in range(1, 24)]
    monkeypatch.setattr(candidates.intervals, "_providers", {"trees": lambda since, until, at: closed})
    text = page(stranger)
    told = text[text.index('<ul class="closed">') :].partition("</ul>")[0]
    assert re.findall(r"Closed \d+", told) == [f"Closed {n}" for n in range(1, 7)]
    assert "and 17 more, earlier" in told
    assert "Closed 20 ended" in lines() and "Closed 21 ended" not in lines()


def test_nothing_between_is_said(stranger):
    text = page(stranger)
    assert "Nothing that is published changed in this time." in text
    assert "<svg" not in text


def test_narrower_questions_are_one_click(stranger):
    system = named("Windows workers")
    put("One", pools=(WIN,), system=system.slug)
    put("Two", platforms=("macos",))
    text = page(stranger)
    for query in (f"{NOON}&amp;pool={WIN}", f"{NOON}&amp;platform=macos", f"{NOON}&amp;system=windows-workers"):
        assert f'href="{PAGE}?{query}"' in text, query


# --- for everybody ----------------------------------------------------------------------------------------------------


def test_a_stranger_and_the_lead_get_the_same_bytes_and_no_session_is_asked(clients, stranger):
    put("One")
    with CaptureQueriesContext(connection) as asked_for:
        theirs = clients[Role.LEAD].get(f"{PAGE}?{NOON}")
    assert theirs.content == stranger.get(f"{PAGE}?{NOON}").content
    assert not [one for one in asked_for if "session" in one["sql"] or "people_person" in one["sql"]]
    assert not theirs.cookies and "Cookie" not in theirs.get("Vary", "")
    assert theirs["Cache-Control"] == "public, max-age=60"


def test_an_answer_that_says_the_same_is_not_sent_twice_and_a_downtime_makes_it_another(stranger):
    put("One")
    tag = stranger.get(f"{PAGE}?{NOON}")["ETag"]
    assert stranger.get(f"{PAGE}?{NOON}", headers={"If-None-Match": tag}).status_code == 304
    ran(-3 * HOUR)
    assert stranger.get(f"{PAGE}?{NOON}", headers={"If-None-Match": tag}).status_code == 200


CANARY = "CANARY-d41d8c"


@pytest.mark.parametrize("how", ["proposed", "held", "dismissed", "restricted", "published"])
def test_only_what_is_published_is_known_here(stranger, duty, how):
    bug = BugFactory()
    change = put(
        f"Bug {bug.pk} {CANARY}", name="aaaaaaaaaaaa", trees={f"{CANARY}-tree": HOUR}, impact=CANARY, author=CANARY,
        message=f"Bug {bug.pk} {CANARY}", pools=(f"{CANARY.lower()}-pool",), publishes=how != "proposed",
    )  # fmt: skip
    if how == "held":
        workflow.hold(change, duty)
    if how == "dismissed":
        Change.objects.filter(pk=change.pk).update(published_at=None, is_public=False)
    if how == "restricted":
        Bug.objects.filter(pk=bug.pk).update(visibility=Visibility.RESTRICTED)
        with index.reindexing([change.pk], lambda bugs: frozenset(bugs)):
            pass
    put("Another")
    said = ""
    for query in (NOON, f"{NOON}&pool={CANARY.lower()}-pool", f"{NOON}&back=336"):
        for place in (PAGE, API):
            response = stranger.get(f"{place}?{query}")
            assert response.status_code == 200
            said += response.content.decode().replace(f"pool={CANARY.lower()}-pool", "")
    said = re.sub(rf'(pool |value="){CANARY.lower()}-pool', "", said)  # what was asked is said again
    assert (CANARY.lower() in said.lower()) is (how == "published")
    assert (str(bug.pk) in said) is (how == "published")
    assert answered().looked_at == (2 if how == "published" else 1)


def test_hostile_words_are_shown_as_words(stranger):
    for number, words in enumerate(HOSTILE):
        put(f"{words} {number}", (number + 1) * MINUTE, pools=(words[:60],), author=words[:60])
    text = page(stranger)
    assert "<script>alert" not in text and "<img src=x" not in text and "\x00" not in text
    assert "{{ 7|add:7 }}" in text


def test_a_permalink_by_the_question_s_number_leads_on_and_nonsense_leads_nowhere(stranger, duty):
    question = verdicts.question_of(asked(), duty)
    assert stranger.get(f"{PAGE}?question={question.pk}")["Location"] == f"{PAGE}?{NOON}"
    for number in (question.pk + 1, 0, 2**63, "x", "²", "9" * 400):
        assert stranger.get(PAGE, {"question": number}).status_code == 404


# --- the API ----------------------------------------------------------------------------------------------------------


def test_the_api_tells_the_same_as_the_page(stranger):
    put("deploy: the new image", 12 * MINUTE, kind="image", pools=(WIN,))
    put("Near", MINUTE)
    ran(-3 * HOUR, title="Switches in mdc1")
    told = stranger.get(f"{API}?{NOON}&pool={WIN}").json()
    first = told["suspects"][0]
    assert (first["summary"], first["suspect"], first["seconds_before"]) == ("deploy: the new image", 1, 720)
    words = {one["words"] for one in first["reasons"] if not one["speaks_against"]}
    assert words == {"same pool", "an image of that pool", "same platform", "took effect 12 minutes before"}
    assert [one["summary"] for one in told["changes"]] == ["Near", "deploy: the new image"]
    assert told["intervals"][0]["title"] == "Switches in mdc1"
    assert (told["looked_at"], told["is_complete"], told["verdicts"]) == (2, True, [])
    assert told["url"].endswith(f"{PAGE}?{NOON}&pool={WIN}")


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("bad=rubbish", 422, "bad"),
        ("", 422, "bad"),
        (f"{NOON}&poool=x", 400, "poool"),
        ("bad=2030-01-01T00:00:00Z", 422, "bad"),
    ],
)
def test_the_api_says_what_is_wrong_as_problem_details(stranger, query, status, field):
    response = stranger.get(f"{API}?{query}")
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    problem = response.json()
    assert problem["status"] == status and list(problem["errors"]) == [field] and problem["detail"]


# --- the cost ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("few", "many", "most"), [(3, 18, 9), (25, 60, 14)])
def test_the_number_of_queries_does_not_grow_with_what_changed(monkeypatch, stranger, few, many, most):
    monkeypatch.setattr(candidates, "MOST", 20)  # where there are more, those that name the pool are asked for too
    system = named("Windows workers")
    counts = []
    for count in (few, many):
        Change.objects.all().delete()
        put_many(count, pools=(WIN,), system=system.slug)
        with CaptureQueriesContext(connection) as asked_for:
            page(stranger, f"{NOON}&pool={WIN}")
        counts.append(len(asked_for))
    assert counts[0] == counts[1] <= most


# --- the strip --------------------------------------------------------------------------------------------------------


def drawn(moments=(), suspects=(), intervals=(), back=DAY):
    return timeline.drawing(NOW - back, NOW, moments, suspects, intervals)


def test_the_break_is_on_the_right_and_the_nearest_has_the_most_room():
    places = [timeline._x(NOW - DAY, NOW, NOW - ago) for ago in (DAY, 12 * HOUR, HOUR, MINUTE, timedelta())]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (timeline.MARGIN, timeline.WIDTH - timeline.MARGIN)
    assert places[4] - places[2] > 100


def test_suspects_at_one_moment_stand_above_each_other():
    twins = [(Suspect(number, number, 10), NOW - HOUR) for number in range(1, 6)]
    bubbles = drawn(suspects=twins).bubbles
    assert len({bubble.y for bubble in bubbles}) == 5 and len({bubble.x for bubble in bubbles}) == 1
    assert all(bubble.y > timeline.RADIUS for bubble in bubbles)


@pytest.mark.parametrize("back", [HOUR, DAY, 14 * DAY, 9000 * DAY])
def test_labels_never_run_into_each_other(back):
    labels = drawn(back=back).labels
    assert labels and all(one[0] - other[0] >= 40 for one, other in zip(labels, labels[1:], strict=False))


def test_downtimes_side_by_side_take_lanes_and_no_more_than_three():
    same = [Interval(f"Downtime {number}", NOW - 2 * HOUR, NOW - HOUR, "downtime") for number in range(5)]
    assert len(drawn(intervals=same).bars) == timeline.MOST_LANES
    over_all = [Interval("Long", NOW - 9 * DAY, NOW + DAY, "downtime")]
    bar = drawn(intervals=over_all).bars[0]
    assert 0 <= bar.x and bar.x + bar.width <= timeline.WIDTH
