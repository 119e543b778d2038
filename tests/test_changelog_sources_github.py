"""GitHub as a source: paged, limited, broken, rewritten, an hour off; nothing is lost, half-written or told twice."""

import json
from datetime import timedelta

import pytest

from changelog.models import Change, SeenRevision, Source
from changelog.models.sources import SourceKind
from changelog.sources import breaker, collecting, github_reading, standing
from ciduty.record.models import Entry
from tests.cast import A_MORNING
from tests.instruments.stand_ins import GitHub, StandIn, Trouble

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
TOKEN = "ghp_a_token_of_the_tests"


@pytest.fixture
def github(settings):
    with GitHub(A_MORNING) as stand_in:
        settings.GITHUB_API_URL = stand_in.url
        settings.GITHUB_TOKEN = TOKEN
        settings.CIDUTY_COLLECT_SECONDS = 300
        yield stand_in


def source_of(name="repository", kind=SourceKind.GITHUB_COMMITS, **fields):
    return Source.objects.create(
        name=name, kind=kind, address=fields.pop("address", "https://github.com/owner/repository"), **fields
    )


def read(source, at=A_MORNING):
    """Read a source, and what is left of it, at a moment; return it."""
    Source.objects.filter(pk=source.pk).update(tried_at=None)
    for _ in range(20):
        collecting.collect_due(at)
        source.refresh_from_db()
        if not source.cursor.get("goes_on"):
            return source
    raise AssertionError("it never comes to an end")


def summaries():
    return list(Change.objects.order_by("at", "pk").values_list("summary", flat=True))


def revisions():
    return set(SeenRevision.objects.values_list("revision", flat=True))


# --- what is told -----------------------------------------------------------------------------------------------------


def test_a_commit_becomes_a_proposal_with_its_words_its_author_and_its_place(github):
    sha = github.commit("Bug 1500001 - Zwölf neue Läufer. r=reviewer\n\nWhy.", author="Ünal Author")
    source = read(source_of())
    [change] = Change.objects.all()
    assert (change.identity, change.state, change.author) == (f"git:{sha}", "proposed", "Ünal Author")
    assert change.summary == "Bug 1500001 - Zwölf neue Läufer. r=reviewer"
    assert (change.bugs, change.landed_at, change.authored_at) == ([1500001], A_MORNING, A_MORNING)
    [landing] = change.landings.all()
    assert landing.url == f"https://github.com/owner/repository/commit/{sha}"
    assert (source.problem, source.failures, source.read_at, source.heard_at) == ("", 0, A_MORNING, A_MORNING)


def test_the_first_run_tells_the_newest_hundred_and_no_later_one_tells_what_was_before(github):
    old = github.several(250)
    source = read(source_of())
    assert revisions() == set(old[150:])
    new = github.commit("New")
    read(source)
    assert revisions() == {*old[150:], new}


def test_every_page_is_read_and_each_commit_told_once(github):
    source = source_of()
    github.commit("First")
    read(source)
    new = github.several(250)
    asked = len(github.questions)
    read(source)
    assert set(new) < revisions()
    assert Change.objects.count() == 251
    later = [(question.asked.get("sha"), question.asked.get("page")) for question in github.questions[asked:]]
    # By the commit, not by the branch: whatever is pushed meanwhile, no page moves.
    assert later == [(None, None), (new[-1], "2"), (new[-1], "3")]


def test_what_a_run_has_no_room_for_the_next_one_tells(github, monkeypatch):
    monkeypatch.setattr(github_reading, "MOST_PAGES", 1)
    source = source_of()
    first = github.commit("First")
    read(source)
    new = github.several(230)
    Source.objects.update(tried_at=None)
    collecting.collect_due(A_MORNING)
    source.refresh_from_db()
    assert (source.cursor["goes_on"], source.cursor["head"]) == (True, first)
    assert Change.objects.count() == 101
    late = github.commit("Pushed meanwhile")  # moves no page: the run goes on from where it began
    read(source)
    assert revisions() == {first, *new, late}
    assert Change.objects.count() == 232


def test_nothing_new_is_one_question_with_the_tag_and_writes_nothing(github):
    github.several(3)
    source = read(source_of())
    before, asked = source.cursor, len(github.questions)
    read(source)
    [question] = github.questions[asked:]
    assert question.headers["if-none-match"] == before["etag"]
    assert source.cursor == before
    assert Change.objects.count() == 3


def test_an_old_branch_that_is_merged_today_is_told_though_its_dates_are_old(github):
    old = github.commit("Base", at=A_MORNING - 200 * HOUR)
    for number in range(99):
        github.commit(f"Main {number}", at=A_MORNING - 190 * HOUR + number * HOUR)
    source = read(source_of())
    main = github.head
    branch = [github.commit("Branch 1", on=old, at=A_MORNING - 199 * HOUR)]
    branch.append(github.commit("Branch 2", at=A_MORNING - 198 * HOUR))
    for number in range(120):
        github.commit(
            f"Later {number}", on=main if number == 0 else None, at=A_MORNING - 80 * HOUR + timedelta(minutes=number)
        )
    merge = github.commit("Merge the branch", merges=branch[1])
    read(source)
    assert {*branch, merge} < revisions()
    assert source.problem == "" and "note" not in source.cursor


def test_rewritten_history_is_read_on_and_noted_and_what_landed_stays(github):
    kept = github.several(5)
    lost = github.commit("Lost by the push")
    source = read(source_of())
    github.commit("In its place", on=kept[-1])
    read(source, A_MORNING + HOUR)
    assert "Lost by the push" in summaries() and "In its place" in summaries()
    assert lost in revisions()
    [flag] = standing.flagged(A_MORNING + HOUR)
    assert (flag.sentence, flag.since) == (github_reading.REWRITTEN, A_MORNING + HOUR)
    assert Entry.objects.filter(about=source.about, verb="noted").count() == 1
    read(source, A_MORNING + 2 * HOUR)
    assert Entry.objects.filter(about=source.about, verb="noted").count() == 1
    read(source, A_MORNING + 25 * HOUR)
    assert [flag.sentence for flag in standing.flagged(A_MORNING + 25 * HOUR)] == [github_reading.REWRITTEN]
    assert standing.flagged(A_MORNING + timedelta(hours=25, seconds=1)) == []


def test_history_that_was_cut_back_tells_nothing_from_before_the_first_run(github):
    old = github.several(120)
    source = read(source_of())
    github.head = old[-6]
    new = github.commit("In the place of five")
    read(source)
    assert revisions() == {*old[20:], new}
    assert source.cursor["note"] == github_reading.REWRITTEN


def test_a_branch_that_was_put_back_is_noted_and_tells_nothing_new(github):
    first = github.commit("First")
    github.commit("Second")
    source = read(source_of())
    github.head = first
    read(source)
    assert source.cursor["note"] == github_reading.REWRITTEN
    assert source.cursor["head"] == first
    assert Change.objects.count() == 2


@pytest.mark.parametrize("off", [HOUR, -HOUR])
def test_a_server_whose_clock_is_an_hour_off_loses_and_doubles_nothing(github, off):
    github.at = A_MORNING + off
    first = github.commit("First")
    source = read(source_of())
    github.at = A_MORNING + off + timedelta(minutes=5)
    second = github.commit("Second")
    github.at = A_MORNING - off  # and now the clock is set right, and past it
    third = github.commit("Third")
    read(source, A_MORNING + timedelta(minutes=10))
    assert revisions() == {first, second, third}
    assert Change.objects.count() == 3


def test_a_commit_from_the_future_lands_when_we_read_it(github):
    github.commit("Sane", at=A_MORNING + 26 * HOUR)
    github.commit("Broken", at=A_MORNING + 26 * HOUR + timedelta(seconds=1))
    read(source_of())
    landed = dict(Change.objects.values_list("summary", "landed_at"))
    assert landed == {"Sane": A_MORNING + 26 * HOUR, "Broken": A_MORNING}


# --- files and filters ------------------------------------------------------------------------------------------------


def test_files_are_asked_for_only_where_the_filter_needs_them_and_once(github):
    inside = github.commit("Inside", files=["terraform/main.tf"])
    github.commit("Outside", files=["docs/terraform.md"])
    source = source_of(filters={"folders": ["terraform/"]})
    read(source)
    assert summaries() == ["Inside"]
    assert len(revisions()) == 2
    assert sum(f"/commits/{inside}" in path for path in github.paths()) == 1
    github.commit("Outside too", files=["README"])
    asked = len(github.questions)
    read(source)
    assert len(github.questions[asked:]) == 2


def test_more_files_than_one_run_asks_for_wait_for_the_next(github, monkeypatch):
    monkeypatch.setattr(github_reading, "MOST_SINGLE", 4)
    new = github.several(10, files=["terraform/main.tf"])
    github.several(3, files=["README"])
    source = source_of(filters={"folders": ["terraform"]})
    collecting.collect_due(A_MORNING)
    assert len(revisions()) == 4
    read(source)
    assert Change.objects.count() == len(new)
    assert len(revisions()) == 13
    assert len([path for path in github.paths() if "/commits/" in path]) == 13


def test_a_release_is_a_change_and_an_edited_one_the_same_change(github):
    told = github.release("v1.0", "First words.")
    github.release("v2.0-draft", draft=True)
    source = source_of(kind=SourceKind.GITHUB_RELEASES)
    read(source)
    [change] = Change.objects.all()
    assert (change.identity, change.summary) == ("release:owner/repository:v1.0", "repository v1.0")
    assert change.links == [{"title": "Release v1.0", "url": told["html_url"]}]
    told["body"] = "Better words."
    read(source)
    change.refresh_from_db()
    assert change.message == "Better words."
    assert change.revisions.count() == 1


# --- limits -----------------------------------------------------------------------------------------------------------


def reset_at(at):
    return {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(at.timestamp()))}


@pytest.mark.parametrize("status", [403, 429])
def test_a_limit_stops_every_source_of_github_until_it_is_over(github, status):
    github.at = A_MORNING + HOUR  # its clock, and its moment: the wait between both counts
    github.troubles.append(Trouble(status=status, headers=reset_at(github.at + timedelta(minutes=30))))
    one, two = source_of("one"), source_of("two", kind=SourceKind.GITHUB_RELEASES)
    elsewhere = source_of("three", address="https://git.example.com/owner/repository")
    Source.objects.filter(pk__in=[two.pk, elsewhere.pk]).update(tried_at=A_MORNING - timedelta(seconds=1))
    collecting.collect_due(A_MORNING)
    for source in (one, two, elsewhere):
        source.refresh_from_db()
    over = A_MORNING + timedelta(minutes=30)
    assert (one.blocked_until, two.blocked_until, elsewhere.blocked_until) == (over, over, None)
    assert one.problem == two.problem == f"GitHub limits our rate (HTTP {status}). Not asked again before 09:30 UTC."
    Source.objects.filter(pk=elsewhere.pk).update(is_active=False)
    asked = len(github.questions)
    collecting.collect_due(over - timedelta(seconds=1))
    assert len(github.questions) == asked
    collecting.collect_due(over)
    one.refresh_from_db()
    assert (one.problem, one.blocked_until, len(github.questions)) == ("", None, asked + 2)


def test_an_answer_that_was_the_last_one_for_now_is_stored_and_nobody_asks_on(github):
    github.commit("Stored")
    github.headers = reset_at(A_MORNING + timedelta(minutes=20))
    source = read(source_of())
    assert summaries() == ["Stored"]
    assert source.blocked_until == A_MORNING + timedelta(minutes=20)
    assert source.problem.startswith("GitHub answers no more of our questions for now.")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "120"}, timedelta(minutes=2)),
        ({"Retry-After": "0"}, timedelta(minutes=1)),
        ({"Retry-After": "999999"}, timedelta(minutes=65)),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}, timedelta(minutes=65)),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, timedelta(minutes=5)),
    ],
)
def test_a_limit_is_waited_for_within_bounds(github, headers, wait):
    github.troubles.append(Trouble(status=403, headers=headers))
    source = source_of()
    collecting.collect_due(A_MORNING)
    source.refresh_from_db()
    assert source.blocked_until == A_MORNING + wait


# --- the token --------------------------------------------------------------------------------------------------------


def test_the_token_goes_to_github_in_the_header_alone(github):
    github.commit("A change")
    read(source_of())
    [question] = github.questions
    assert question.headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in json.dumps(question.asked) + question.path


def test_a_source_elsewhere_never_sees_the_token(github):
    with GitHub(A_MORNING) as other:
        other.commit("Elsewhere")
        read(source_of(address=f"{other.url}/repos/owner/repository"))
        assert summaries() == ["Elsewhere"]
        assert [question.headers.get("authorization") for question in other.questions] == [None]


def test_a_redirect_to_another_host_is_not_followed_and_the_token_stays_home(github):
    github.commit("A change")
    with GitHub(A_MORNING) as other:
        github.troubles.append(Trouble(status=301, headers={"Location": f"{other.url}/repos/owner/repository/commits"}))
        source = source_of()
        collecting.collect_due(A_MORNING)
        source.refresh_from_db()
        assert other.questions == []
    assert "another host" in source.problem


def test_a_redirect_within_github_is_followed(github):
    github.commit("A change")
    target = f"{github.url}/repos/owner/repository/commits?sha=main"
    github.troubles.append(Trouble(status=301, headers={"Location": target}))
    source = read(source_of(address="https://github.com/owner/old-name"))
    assert (summaries(), source.problem) == (["A change"], "")


def test_no_token_and_no_word_of_the_answer_is_in_the_log_or_the_row(github, caplog, capfd):
    github.troubles.append(Trouble(status=500, instead=b'{"message": "a canary of the answer"}'))
    source = source_of()
    collecting.collect_due(A_MORNING)
    source.refresh_from_db()
    said = capfd.readouterr()
    seen = caplog.text + said.out + said.err + source.problem
    assert source.problem == "GitHub answered HTTP 500."
    assert TOKEN not in seen and "canary" not in seen


# --- what breaks ------------------------------------------------------------------------------------------------------

BROKEN = {
    "5xx": Trouble(status=502, instead=b"<html>Bad Gateway</html>"),
    "truncated": Trouble(cut=200),
    "empty": Trouble(instead=b""),
    "a web page": Trouble(instead=b"<!doctype html><title>Unicorn</title>"),
    "a number": Trouble(instead=b"7"),
    "an object": Trouble(instead=b'{"message": "hello"}'),
    "wrong types": Trouble(instead=b'[{"sha": 5, "commit": []}]'),
    "no date": Trouble(instead=b'[{"sha": "' + b"a" * 40 + b'", "commit": {"message": "x", "author": {}}}]'),
    "a wrong sha": Trouble(instead=b'[{"sha": "main", "commit": {}}]'),
    "deep": Trouble(instead=b"[" * 200_000),
    "not found": Trouble(status=404, instead=b"{}"),
    "not allowed": Trouble(status=403, instead=b"{}"),
    "bad token": Trouble(status=401, instead=b"{}"),
    "a loop": Trouble(status=302, headers={"Location": "/repos/owner/repository/commits"}),
}


@pytest.mark.parametrize("trouble", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_is_one_sentence_and_moves_and_writes_nothing(github, trouble):
    source = source_of()
    github.commit("First")
    read(source)
    cursor = source.cursor
    github.commit("Second")
    github.always = trouble
    read(source, A_MORNING + HOUR)
    assert source.cursor == cursor
    assert (source.failures, Change.objects.count(), source.read_at) == (1, 1, A_MORNING)
    assert source.problem.endswith((".", "?")) and len(source.problem) < 200
    assert source.blocked_until == A_MORNING + HOUR + timedelta(minutes=1)
    github.always = None
    read(source, A_MORNING + 2 * HOUR)
    assert (source.problem, source.failures, Change.objects.count()) == ("", 0, 2)


def test_a_second_page_that_breaks_leaves_nothing_of_the_first(github):
    source = source_of()
    github.commit("First")
    read(source)
    github.several(150)
    github.troubles += [Trouble(), Trouble(status=503)]
    Source.objects.update(tried_at=None)
    collecting.collect_due(A_MORNING)
    assert Change.objects.count() == 1
    read(source, A_MORNING + HOUR)
    assert Change.objects.count() == 151


def test_a_failing_source_is_asked_less_and_less_often(github):
    github.always = Trouble(status=500)
    source = source_of()
    at, asked = A_MORNING, []
    for minute in range(121):
        at = A_MORNING + timedelta(minutes=minute)
        before = len(github.questions)
        collecting.collect_due(at)
        if len(github.questions) > before:
            asked.append(minute)
    assert asked == [0, 1, 3, 7, 15, 31, 61, 91]
    source.refresh_from_db()
    assert (source.failures, breaker.pause(source.failures)) == (8, timedelta(minutes=30))


def test_an_answer_without_an_end_is_cut_off(github, monkeypatch):
    monkeypatch.setattr("changelog.sources.http.MOST_BYTES", 1_000)
    github.several(20)
    source = source_of()
    collecting.collect_due(A_MORNING)
    source.refresh_from_db()
    assert source.problem.startswith("Its answer is larger than")


def test_nobody_listening_is_said_so(github):
    with StandIn(A_MORNING) as gone:
        address = f"{gone.url}/repos/owner/repository"
    source = source_of(address=address)
    collecting.collect_due(A_MORNING)
    source.refresh_from_db()
    assert source.problem == "No server answers at its address."
