"""What is found by filters and words, page by page: what a plain look at every change finds, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from changelog import find, index, store, walk, workflow
from changelog.find import Query
from changelog.models import Change
from changelog.proposals import LandedAt, Proposal
from changelog.rules import State
from ciduty.systems.models import named
from tests.public_log import DAY, HOUR, NOON, source, told

pytestmark = pytest.mark.django_db

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite reads every row")
KINDS, POOLS = ("config", "deploy", "image"), ("gecko-t/win11-64", "gecko-t/linux", "gecko-3/b-linux")
WORDS = ("zebra", "quagga", "okapi", "gnu")
#: From the same hour to nine years ago, crowded and sparse, and some in the same second.
AGES = [0, 0, 0, 1, 2, 30, 70, 71, 72, 500, 504, 2_000, 2_184, 2_185, 8_000, 8_736, 9_000, 20_000, 60_000, 80_000]


@pytest.fixture
def log():
    """Eighty changes of nine years, of three kinds, pools and authors, in two repositories and systems."""
    for title in ("Images", "Queues"):
        named(title)
    proposals = [_proposal(number, NOON - HOUR * AGES[number % 20] * (1 + number // 40)) for number in range(80)]
    store.store(proposals, source=source(), at=NOON, publishes=True)
    return list(Change.objects.select_related("system"))


def _proposal(number, at):
    words = [word for place, word in enumerate(WORDS) if number % (place + 2) == 0]
    tree = "autoland" if number % 3 else "mozilla-beta"
    return Proposal(
        identity=f"git:{number:040x}", summary=f"Told {' '.join(words)} by hand", kind=KINDS[number % 3],
        system="images" if number % 4 else "queues", author=f"Team {number % 5}", pools=(POOLS[number % 3],),
        bugs=(1_700_000 + number % 7,), platforms=("linux",) if number % 2 else ("windows", "macos"),
        landings=(LandedAt(tree, at),),
    )  # fmt: skip


def fits(change, query):
    """Answer whether a change fits, looking at it alone."""
    search = find.search_of(query.q)
    text = f" {index.searchable(f'{change.summary} {change.author}')} "
    return (
        change.is_public
        and (query.since is None or change.at >= query.since)
        and (query.until is None or change.at < query.until)
        and (query.system is None or change.system_id == query.system)
        and (not query.kind or change.kind == query.kind)
        and (not query.pool or query.pool.lower() in change.pools)
        and (not query.platform or query.platform in change.platforms)
        and (not query.repository or query.repository in change.repositories)
        and (not query.author or change.author.lower() == query.author.lower())
        and (query.bug is None or query.bug in change.bugs)
        and all(f" {piece} " in text for piece in search.wanted)
        and not any(f" {piece} " in text for piece in search.unwanted)
    )


def everything_found(query, size):
    """Return the numbers of all changes that are found, read page by page."""
    pages, cursor = [], ""
    while True:
        page = find.page(query, cursor, size)
        pages.append([change.pk for change in page.changes])
        cursor = page.next_cursor
        if not cursor:
            return [pk for one in pages for pk in one], pages


QUERIES = [
    Query(),
    Query(kind="image"),
    Query(pool="gecko-t/win11-64"),
    Query(pool="GECKO-T/WIN11-64"),
    Query(platform="macos"),
    Query(repository="mozilla-beta"),
    Query(author="team 3"),
    Query(bug=1_700_003),
    Query(kind="deploy", platform="linux", author="Team 1"),
    Query(kind="deploy", pool="gecko-3/b-linux"),  # never together
    Query(pool="nowhere"),
    Query(since=NOON - DAY),
    Query(until=NOON),
    Query(since=NOON - 400 * DAY, until=NOON - 20 * DAY),
    Query(kind="config", since=NOON - 4000 * DAY, until=NOON - 300 * DAY),
    Query(since=NOON - 2 * HOUR, until=NOON - HOUR, kind="image"),
    Query(q="zebra"),
    Query(q="zebra quagga"),
    Query(q="quagga okapi", kind="config"),
    Query(q='"zebra okapi"'),
    Query(q='"okapi zebra"'),
    Query(q="zebra -quagga"),
    Query(q='zebra -"quagga okapi"'),
    Query(q="unicorn"),
    Query(q="ZEBRA", until=NOON - 30 * DAY),
    Query(q="team zebra gnu", platform="windows"),
]


def test_what_is_found_is_what_a_look_at_every_change_finds_page_by_page(log):
    for query in QUERIES:
        wanted = sorted((one for one in log if fits(one, query)), key=lambda one: (one.at, one.pk), reverse=True)
        found, pages = everything_found(query, 7)
        assert found == [change.pk for change in wanted], query
        assert all(len(page) == 7 for page in pages[:-1]), query
        assert find.ids(query, "", 100) == (found, ""), query
        if len(found) > 3:
            pks, cursor = find.ids(query, "", 3)
            assert pks == found[:3] and find.ids(query, cursor, 100)[0] == found[3:], query


@pytest.mark.parametrize("query", [Query(q="-zebra"), Query(q="-zebra", kind="image"), Query(q='" -')])
def test_a_question_without_a_wanted_word_finds_nothing(log, query):
    assert not find.can_find(query) and find.page(query).changes == find.news(query) == []


def test_a_system_finds_its_own(log):
    queues = named("Queues")
    found, _ = everything_found(Query(system=queues.pk), 50)
    assert set(found) == {change.pk for change in log if change.system_id == queues.pk} != set()


@pytest.mark.parametrize("state", [State.PROPOSED, State.HELD])
def test_what_is_not_public_is_found_by_nothing(duty, state):
    change = told("Zebra", state=state, by=duty, pools=("secret/pool",), bugs=(1_700_001,), author="Team 1")
    for query in (Query(), Query(q="zebra"), Query(pool="secret/pool"), Query(bug=1_700_001), Query(author="Team 1")):
        assert find.page(query).changes == find.news(query) == find.ids(query, "", 9)[0] == []
    Change.objects.filter(pk=change.pk).update(state=State.PUBLISHED, is_public=True)
    assert find.page(Query(q="zebra")).changes == [change], "it is the state that hides it"


def test_a_part_is_found_by_its_whole_alone(duty):
    one, other = told("Zebra one", state=State.PROPOSED), told("Zebra two", state=State.PROPOSED, at=NOON - HOUR)
    whole = workflow.publish_as_one([one, other], duty, summary="Both zebras")
    assert [change.pk for change in find.page(Query(q="zebras")).changes] == [whole.pk]
    assert other.pk not in [change.pk for change in find.page(Query()).changes]


def test_changes_of_the_same_second_are_each_on_one_page():
    same = [told(f"Number {number}", kind="image") for number in range(9)]
    for query in (Query(), Query(kind="image"), Query(q="number")):
        assert everything_found(query, 2)[0] == [change.pk for change in reversed(same)]


def test_what_is_published_while_somebody_pages_neither_repeats_nor_hides_what_they_read():
    old = [told(f"Number {number}", at=NOON - HOUR * number) for number in range(6)]
    first = find.page(Query(), size=3)
    told("Brand new", at=NOON + HOUR)
    second = find.page(Query(), first.next_cursor, 3)
    assert [change.pk for change in first.changes + second.changes] == [change.pk for change in old]


@pytest.mark.parametrize(
    "cursor", ["x", "_", "2026-03-04_7", "2026-03-04T12:00:00.000000Z_", "2026-03-04T12:00:00.000000Z_-1",
               "2026-13-04T12:00:00.000000Z_1", "2026-03-04T12:00:00.000000Z_" + "9" * 19,
               "2026-03-04T12:00:00.000000Z_\u0663"],
)  # fmt: skip
def test_a_cursor_of_another_log_is_refused(cursor):
    with pytest.raises(find.BadCursor, match="begin at its first page again"):
        find.page(Query(), cursor)


@pytest.mark.parametrize("year", ["0001", "1969", "9999"])
def test_a_cursor_of_any_year_is_read(year):
    change = told(kind="image")
    found = find.page(Query(kind="image"), f"{year}-01-01T00:00:00.000000Z_1").changes
    assert found == ([change] if year == "9999" else [])


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("worker image", ("worker", "image"), ()),
        ('"worker image"', ("worker image",), ()),
        ("“worker image”", ("worker image",), ()),
        ("image -windows", ("image",), ("windows",)),
        ('image -"on windows"', ("image",), ("on windows",)),
        ("gecko-t/win11-64", ("gecko-t win11-64",), ()),
        ("Straße ＷＩＮ", ("strasse", "win"), ()),
        ('"never closed', ("never closed",), ()),
        ("- ' \" ( ) & | ! : * <-> \\", (), ()),
        ("or and not", ("or", "and", "not"), ()),
        ("a\0b", ("ab",), ()),
        ("x " * 100, ("x",) * 12, ()),
        ("", (), ()),
    ],
)
def test_a_search_is_read_as_people_write_it(text, wanted, unwanted):
    assert find.search_of(text) == find.Search(wanted, unwanted)


@hypothesis_settings(deadline=None, derandomize=True, max_examples=40)
@given(st.text(max_size=60), st.text(max_size=30))
def test_no_search_and_no_filter_breaks_the_question(words, name):
    find.page(Query(q=words, pool=name.replace("\0", "")))
    find.page(Query(q=words))


def test_a_word_with_an_operator_in_it_is_a_word():
    change = told("Run a:* & b | c !d <-> e or 'quoted'")
    assert find.page(Query(q="a:* & b | c")).changes == [change]
    assert find.page(Query(q="quoted")).changes == [change]
    assert find.page(Query(q="unicorn or quoted")).changes == []


@on_postgresql
def test_a_search_that_takes_too_long_is_given_up_with_advice(monkeypatch, transactional_db):
    told("Zebra")
    monkeypatch.setattr(walk, "LONGEST", timedelta(milliseconds=1))
    monkeypatch.setattr(walk, "STRETCHES", ())
    slow = "changelog_change.lookup @@ websearch_to_tsquery('english', %s) AND pg_sleep(0.2) IS NOT NULL"
    monkeypatch.setattr(walk, "condition", lambda terms, words, times=(): (slow, [words]))
    with pytest.raises(find.TooBroad, match="narrow it by time"):
        find.page(Query(q="zebra"))
    monkeypatch.undo()
    assert find.page(Query(q="zebra")).changes, "the limit ended with its question"


# --- the walk ---------------------------------------------------------------------------------------------------------


@hypothesis_settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
    st.none() | st.datetimes(datetime(1980, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_stretches_follow_each_other_without_a_gap_and_each_is_known_by_its_terms(newest, since):
    found = list(walk.stretches(newest, since))
    assert found[0][2] is None, "the first one is open towards what is newer"
    assert [ends for _, _, ends in found[1:]] == [begins for _, begins, _ in found[:-1]]
    oldest = found[-1][1]
    assert oldest is None or since >= oldest, "what is asked for lies within"
    for terms, begins, ends in found:
        if terms:
            last = ends - timedelta(microseconds=1) if ends else newest
            for at in (begins, begins + (last - begins) / 2, last):
                assert set(terms) & set(index.times(index.day_of(at)))


@on_postgresql
def test_one_statement_walks_back_and_another_reads_the_page(log):
    with CaptureQueriesContext(connection) as asked:
        find.page(Query(kind="image", until=NOON))
    assert len(asked) == 2
    assert asked[0]["sql"].count("UNION ALL") == len(walk.STRETCHES)


# --- the news ---------------------------------------------------------------------------------------------------------


def test_an_old_commit_that_is_published_late_is_the_newest_news(duty):
    new = told("New", when=NOON)
    old = told("Old", at=NOON - 900 * DAY, when=NOON + HOUR)
    assert find.page(Query()).changes == [new, old]
    assert find.news(Query()) == find.news(Query(repository="autoland")) == [old, new]


def test_news_beyond_the_last_thousand_are_filled_up_with_the_newest_changes(monkeypatch):
    monkeypatch.setattr(find, "NEWS", 2)
    first, second = told("One", kind="image"), told("Two", kind="image", at=NOON - HOUR)
    others = [told("Other", kind="config", when=NOON + DAY) for _ in range(3)]
    assert find.news(Query(kind="image")) == [first, second]
    assert find.news(Query(kind="config"), 2) == [others[2], others[1]]
    assert len(find.news(Query(kind="image"), 1)) == 1


def test_without_time_the_rest_of_the_question_stays():
    query = Query(since=NOON, until=NOON + DAY, kind="image", q="x")
    assert find.without_time(query) == replace(query, since=None, until=None)
