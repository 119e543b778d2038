"""What everybody reads of the log: by day, by any question that an address can hold, one change, the strip."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from changelog import find, workflow
from changelog.find import Query
from changelog.models import Backout, Change, Question, Revision, Verdict
from changelog.public import density, filters
from changelog.rules import State
from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.systems.models import named
from tests.public_log import BUCHAREST, DAY, DENVER, HOUR, KATHMANDU, NOON, private_bug, told, told_many
from tests.test_pages_safely import HOSTILE, Page

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def noon():
    """The clock stands on Wednesday 4 March 2026, 12:00 UTC."""
    clock.move(NOON - clock.now())


def page(client, address="/changes/", status=200):
    answer = client.get(address)
    assert answer.status_code == status
    return unescape(answer.content.decode())


def listed(text):
    """Return the summaries of a page, by its days."""
    return {
        day: re.findall(r'class="what"><a href="/changes/\d+/">(.*?)</a>', part)
        for day, part in re.findall(r'<h2 class="day">(.*?)</h2>(.*?)</ol>', text, re.DOTALL)
    }


def found(client, asked):
    return [one for those in listed(page(client, f"/changes/?{asked}")).values() for one in those]


# --- by day -----------------------------------------------------------------------------------------------------------


def test_changes_stand_by_day_newest_first_and_a_day_is_one_of_utc(stranger):
    told("At midnight", at=NOON.replace(hour=0).astimezone(DENVER))
    told("A second before", at=(NOON.replace(hour=0) - timedelta(seconds=1)).astimezone(KATHMANDU))
    told("At noon")
    assert listed(page(stranger)) == {
        "Wednesday 4 March 2026": ["At noon", "At midnight"],
        "Tuesday 3 March 2026": ["A second before"],
    }


def test_a_line_says_when_where_what_it_meant_by_whom_and_for_which_bug(stranger, settings):
    settings.BUGZILLA_URL = "https://bugzilla.example.com"
    system = named("Worker images", owner="RelOps")
    told(
        "Windows image 42", at=NOON.astimezone(BUCHAREST), kind="image", system=system.slug, author="Images team",
        impact="Screens are wider.", pools=("gecko-t/win11 64",), platforms=("windows",), bugs=(1899999,),
    )  # fmt: skip
    line = re.search(r"<li>\n<time.*?</li>", page(stranger), re.DOTALL)[0]
    for words in (
        ">12:00 <", "14:00 UTC+2", "Windows image 42", "Screens are wider.", "Image", "?system=worker-images",
        "Worker images", "?pool=gecko-t%2Fwin11%2064", "Windows", "autoland", "Images team",
        'href="https://bugzilla.example.com/show_bug.cgi?id=1899999"',
    ):  # fmt: skip
        assert words in line, words


def test_a_zone_is_shown_where_it_differs_from_utc_with_its_day_where_that_differs_too(stranger):
    told("Plain")
    assert "UTC+" not in page(stranger).partition("<main")[2]
    told("Next day there", at=NOON.replace(hour=23).astimezone(KATHMANDU))
    assert "05 Mar 04:45 UTC+5:45" in page(stranger)


def test_a_backout_marks_both_and_one_that_nobody_may_know_of_marks_none(stranger, duty):
    undone, by = told("Undone", at=NOON - HOUR), told("Backs it out")
    tie = Backout.objects.create(change=by, revision="abcdef0", undoes=undone)
    text = page(stranger)
    assert f'class="state backed-out" href="/changes/{by.pk}/"' in text
    assert f'class="state backs-out" href="/changes/{undone.pk}/"' in text
    assert "Backed out" in page(stranger, f"/changes/{undone.pk}/")
    assert "Backs out" in page(stranger, f"/changes/{by.pk}/")
    held = told("Held", state=State.HELD, by=duty)
    Backout.objects.filter(pk=tie.pk).update(change=held)
    for address in ("/changes/", f"/changes/{undone.pk}/"):
        assert "Backed out" not in page(stranger, address)


def test_a_withdrawn_change_stays_marked_with_its_reason(stranger, duty):
    change = told("Wrong", state=State.WITHDRAWN, by=duty)
    for address in ("/changes/", f"/changes/{change.pk}/"):
        text = page(stranger, address)
        assert "Withdrawn" in text and "It was told twice." in text


def test_fifty_stand_on_a_page_and_each_on_one_page(stranger):
    told_many(101)
    pages, address = [], "/changes/?repository=autoland"
    while address:
        text = page(stranger, address)
        pages.append([one for those in listed(text).values() for one in those])
        following = re.search(r'rel="next" href="(\?[^"]*)"', text)
        address = following and f"/changes/{following[1]}"
    assert [len(one) for one in pages] == [50, 50, 1]
    assert sum(pages, []) == [f"Number {number}" for number in range(101)]


def test_a_wrong_cursor_is_said_and_the_page_stays(stranger):
    told("Here")
    assert "The cursor is none of this log" in page(stranger, "/changes/?cursor=zz")
    assert "That was the last page." in page(stranger, "/changes/?cursor=1999-01-01T00:00:00.000000Z_1")


def test_an_empty_log_and_an_empty_answer_say_which_they_are(stranger):
    assert "Nothing was published yet." in page(stranger)
    assert "No change is known that fits." in page(stranger, "/changes/?pool=nowhere")


# --- the question in the address --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    ["since=2026-03-04", "until=2026-03-04&since=2026-03-03", "system=images", "kind=image", "pool=gecko-t%2Fwin",
     "platform=windows", "repository=autoland", "author=Images+team", "bug=1899999", "q=wide+%22image+42%22",
     "since=2026-03-04T11:59Z&kind=image&q=-narrow+wide"],
)  # fmt: skip
def test_each_filter_finds_its_own_and_its_page_gives_the_same_address_again(stranger, asked):
    named("Images")
    told("A wide image 42", kind="image", system="images", pools=("gecko-t/win",), platforms=("windows",),
         author="Images team", bugs=(1899999,))  # fmt: skip
    told("Narrow", at=NOON - 9 * DAY, kind="config", repository="try", author="Somebody")
    assert found(stranger, asked) == ["A wide image 42"]
    canonical = filters.canonical(filters.read(QueryDict(asked))[0])
    assert f'/changes/?{canonical}">permalink' in page(stranger, f"/changes/?{asked}")
    assert found(stranger, canonical) == ["A wide image 42"]
    assert filters.canonical(filters.read(QueryDict(canonical))[0]) == canonical
    for other in ("feed.atom", "feed.json", "changes.csv"):
        assert f"/changes/{other}?{canonical}" in page(stranger, f"/changes/?{asked}")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("kind=zzz", "There is no kind “zzz”: it is one of config,"),
        ("platform=beos", "There is no platform “beos”"),
        ("system=nowhere", "The catalogue has no system “nowhere”"),
        ("since=yesterday", "“yesterday” is no date: write it like 2026-03-05"),
        ("since=2026-02-30", "“2026-02-30” is no date"),
        ("until=9999-12-31", "is no date of this log"),
        ("since=0001-01-01", "is no date of this log"),
        ("since=2026-03-05&until=2026-03-04", "It ends before it begins"),
        ("bug=12x", "“12x” is no bug’s number"),
        ("bug=99999999999", "is no bug’s number"),
        ("bug=0", "is no bug’s number"),
        ("pool=" + "p" * 201, "201 characters long"),
        ("q=" + "w" * 201, "a search takes 200"),
        ("kind=image&kind=config", "“kind” stands there 2 times"),
    ],
)
def test_what_a_filter_does_not_know_is_said_and_what_was_typed_stays(stranger, asked, said):
    told("Everything")
    text = page(stranger, f"/changes/?{asked}")
    assert said in text and listed(text) == {}
    name, _, typed = asked.rpartition("&")[2].partition("=")
    assert typed in text and f'href="#filter-{name}"' in text and f'id="filter-{name}"' in text


@pytest.mark.parametrize(
    ("asked", "query", "again"),
    [
        ("", Query(), ""),
        ("until=2026-03-04", Query(until=NOON.replace(hour=0) + DAY), "until=2026-03-04"),
        ("until=2026-03-04T12:00Z", Query(until=NOON), "until=2026-03-04T12%3A00Z"),
        ("since=2026-03-04T14:00%2B02:00", Query(since=NOON), "since=2026-03-04T12%3A00Z"),
        ("since=2026-03-04T14:00+02:00", Query(since=NOON), "since=2026-03-04T12%3A00Z"),
        ("since=2026-03-04T12:00", Query(since=NOON), "since=2026-03-04T12%3A00Z"),
        ("bug=bug%201899999&q=%20%20&kind=IMAGE", Query(bug=1899999, kind="image"), "kind=image&bug=1899999"),
        ("utm_source=mail&author=%20Images%20%20team%0A", Query(author="Images team"), "author=Images+team"),
        ("q=a%00b", Query(q="a b"), "q=a+b"),
    ],
)
def test_an_address_is_read_and_written_again_in_one_way(asked, query, again):
    assert filters.read(QueryDict(asked)) == (query, {})
    assert filters.canonical(query) == again


def test_a_question_is_said_in_words_and_each_part_can_be_taken_away(stranger):
    system = named("Images")
    query = Query(since=NOON.replace(hour=0), system=system.pk, kind="image", q="wide")
    assert filters.in_words(query) == "system images, kind image, words “wide”, since 2026-03-04"
    assert filters.in_words(Query()) == "everything"
    text = page(stranger, "/changes/?kind=image&q=wide")
    assert 'href="/changes/?q=wide" aria-label="Take away: kind image"' in text
    assert 'href="/changes/?kind=image" aria-label="Take away: words “wide”"' in text


def test_the_empty_fields_of_the_form_lead_to_the_short_address(stranger):
    answer = stranger.get("/changes/?q=&kind=image&pool=&since=")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/changes/?kind=image")
    assert stranger.get("/changes/?q=").headers["Location"] == "/changes/"


def test_a_search_for_only_unwanted_words_finds_nothing_and_says_what_it_needs(stranger):
    told("Everything")
    text = page(stranger, "/changes/?q=-image")
    assert "give at least one word that must be there" in text and listed(text) == {}


def test_a_search_that_takes_too_long_is_answered_with_advice(stranger, monkeypatch):
    def give_up(*_):
        raise find.TooBroad("Looking took longer than 2 seconds: narrow it by time.")

    monkeypatch.setattr(find, "page", give_up), monkeypatch.setattr(find, "news", give_up)
    monkeypatch.setattr(find, "ids", give_up)
    assert "narrow it by time" in page(stranger, "/changes/?q=x")
    for address in ("/changes/feed.atom?q=x", "/changes/feed.json?q=x", "/changes/changes.csv?q=x", "/api/changes/?q=x",
                    "/api/changelog/?q=x"):  # fmt: skip
        assert "narrow it by time" in page(stranger, address, 400)


# --- one change -------------------------------------------------------------------------------------------------------


def test_the_three_times_are_kept_apart_each_with_its_zone(stranger):
    change = told(
        "Effective later", at=NOON.astimezone(DENVER), authored_at=(NOON - DAY).astimezone(KATHMANDU),
        effective_at=(NOON + 3 * HOUR).astimezone(BUCHAREST),
    )  # fmt: skip
    text = page(stranger, f"/changes/{change.pk}/")
    for words in (
        "Wed 4 Mar 2026 17:00 UTC+2 · 15:00 UTC", "Wed 4 Mar 2026 05:00 UTC-7 · 12:00 UTC",
        "Tue 3 Mar 2026 17:45 UTC+5:45 · 12:00 UTC", 'datetime="2026-03-04T17:00:00+02:00"',
    ):  # fmt: skip
        assert words in text
    assert listed(page(stranger)) == {"Wednesday 4 March 2026": ["Effective later"]}
    assert ">15:00 <" in page(stranger), "it is sorted by when it took effect"


def test_the_page_of_a_change_shows_all_that_is_known_of_it(stranger, duty):
    change = told(
        "Windows image 42", author="Images team", message="Windows image 42\n\nThe whole text, r=somebody",
        reviewers=("somebody",), links=(("The plan", "https://example.com/plan"), ("bad", "javascript:alert(1)")),
        files=("a.yml", "b.yml"), impact="Screens are wider.",
    )  # fmt: skip
    question = Question.objects.create(query="bad=hg:1f86", since=NOON - DAY, until=NOON, asked_at=NOON)
    for judged, because in (("ruled out", "Not it."), ("confirmed", "It was.")):
        Verdict.objects.create(
            question=question, change=change, judged=judged, because=because, by=duty, at=clock.now()
        )
    other = Question.objects.create(query="bad=hg:2", since=NOON - DAY, until=NOON, asked_at=NOON)
    Verdict.objects.create(question=other, change=change, judged="confirmed", because="Gone.", by=duty, at=NOON)
    Verdict.objects.create(question=other, change=change, judged="open", by=duty, at=NOON + HOUR)
    text = page(stranger, f"/changes/{change.pk}/")
    for words in (
        "The whole text", "somebody", 'href="https://example.com/plan"', "a.yml", "Files (2)", "Screens are wider.",
        "Landed in", 'rel="noopener nofollow"', "pusher", "Confirmed", "It was.", str(duty), "?bad=hg:1f86",
        f"/changes/{change.pk}/",
    ):  # fmt: skip
        assert words in text, words
    for words in ("javascript:", "Not it.", "Gone."):
        assert words not in text


def test_changes_published_as_one_stand_on_one_page(stranger, duty):
    one, other = (told(f"Part {number}", state=State.PROPOSED, at=NOON + HOUR * number) for number in (1, 2))
    undone = told("Undone")
    Backout.objects.create(change=one, revision="abcdef0", undoes=undone)
    whole = workflow.publish_as_one([one, other], duty, summary="Both parts")
    text = page(stranger, f"/changes/{whole.pk}/")
    assert "Both parts" in text and "Part 1" in text and "1 more" in text
    assert "Undone" in text, "what a part backs out, the whole backs out"
    assert "Both parts" in page(stranger, f"/changes/{undone.pk}/")
    assert stranger.get(f"/changes/{one.pk}/").status_code == 404


def test_a_correction_shows_what_stood_there_before_and_after_when_and_by_whom(stranger, duty):
    change = told("Image 41")
    system = named("Images")
    workflow.correct(change, duty, change.revision, summary="Image 42", system_id=system.pk, bugs=[1899999],
                     because="A slip of the pen")  # fmt: skip
    text = page(stranger, f"/changes/{change.pk}/")
    for words in ("Image 41", "Image 42", "A slip of the pen", str(duty), "Images", "1899999", "before:", "after:"):
        assert words in text
    Revision.objects.update(is_public=False)
    assert "Image 41" not in page(stranger, f"/changes/{change.pk}/")


@pytest.mark.parametrize("number", [0, 2**31, 2**63, 2**64, 10**60])
def test_a_number_that_no_change_has_is_no_such_page(stranger, number):
    assert "There is no such change" in page(stranger, f"/changes/{number}/", 404)


# --- bugs that are not public -----------------------------------------------------------------------------------------


def test_of_a_change_whose_bug_is_not_public_the_typed_words_alone_are_shown(stranger, duty):
    bug = private_bug(1877777)
    change = told(
        "SECRET summary", state=State.PROPOSED, message="SECRET message", bugs=(bug, 1666666), files=("SECRET.yml",),
        links=(("SECRET link", "https://example.com/SECRET"),), reviewers=("SECRET-reviewer",),
    )  # fmt: skip
    workflow.publish(change, duty, impact="Slower.", public_summary="Work on a server")
    Change.objects.update(impact=f"Slower for bug {bug}.")  # as if it had turned private since
    workflow.correct(change, duty, Change.objects.get().revision, summary="SECRET second")
    for address in ("/changes/", f"/changes/{change.pk}/", "/changes/?q=server", "/changes/feed.atom",
                    "/changes/feed.json", "/changes/changes.csv", "/api/changes/", f"/api/changes/{change.pk}/",
                    "/api/changelog/"):  # fmt: skip
        answer = stranger.get(address)
        text = b"".join(answer).decode() if answer.streaming else answer.content.decode()
        assert "Work on a server" in text and "Slower for bug …." in text.replace("\\u2026", "…"), address
        assert "SECRET" not in text and str(bug) not in text and "example.com/" not in text, address
        if address.startswith("/api/changelog"):
            continue
        assert "1666666" in text, "the other bug is public"
    assert found(stranger, f"bug={bug}") == found(stranger, "q=secret") == []


def test_a_correction_that_names_a_bug_which_turned_private_is_gone_though_the_change_names_it_no_more(stranger, duty):
    change = told("Image for bug 1877777")
    workflow.correct(change, duty, change.revision, summary="Image 42", bugs=[])
    assert "1877777" in page(stranger, f"/changes/{change.pk}/")
    bug = private_bug(1877777)
    assert "1877777" not in page(stranger, f"/changes/{change.pk}/")
    Bug.objects.filter(pk=bug).update(visibility=Visibility.PUBLIC)
    assert "1877777" in page(stranger, f"/changes/{change.pk}/")


# --- the strip --------------------------------------------------------------------------------------------------------


def test_the_strip_counts_each_day_and_a_bar_leads_to_its_day(stranger):
    told("One"), told("Two"), told("Three", at=NOON - DAY, kind="image")
    told("Too old", at=NOON - 90 * DAY), told("Just in", at=NOON - 89 * DAY)
    text = page(stranger, "/changes/density/")
    assert re.findall(r"<title>(\d+ \w+ 2\d+: \d+ changes?)</title>", text) == [
        "5 Dec 2025: 1 change", "3 Mar 2026: 1 change", "4 Mar 2026: 2 changes",
    ]  # fmt: skip
    [address] = set(re.findall(r'<a href="/changes/\?([^"]*)"><title>4 Mar', text))
    assert found(stranger, address) == ["Two", "One"]
    assert "style=" not in text and "The same as a table" in text


def test_a_filter_that_the_counts_know_narrows_the_strip_and_another_is_said(stranger):
    told("One", kind="image", author="Team"), told("Two")
    assert density.strip(Query(kind="image"), "", NOON.date()).in_all == 1
    assert density.strip(Query(), "", NOON.date()).in_all == 2
    for query in (Query(author="Team"), Query(q="one"), Query(kind="image", repository="autoland")):
        strip = density.strip(query, "", NOON.date())
        assert (strip.in_all, strip.cannot_narrow) == (2, True)
    assert "The strip counts all changes" in page(stranger, "/changes/density/?q=one")
    kept = page(stranger, "/changes/density/?kind=image")
    assert "since=2026-03-04&until=2026-03-04&kind=image" in kept


@pytest.mark.parametrize(
    ("span", "first", "counts"),
    [("90", "2025-12-05", [1, 1]), ("365", "2025-03-03", [1, 1, 1]), ("all", "2017-12-01", [1, 1, 1, 1])],
)
def test_days_weeks_and_months_are_drawn_each_to_its_end(span, first, counts):
    for back in (0, 60, 300, 3_000):
        told("One", at=NOON - DAY * back)
    strip = density.strip(Query(), span, NOON.date())
    assert (str(strip.first), str(strip.last)) == (first, "2026-03-04")
    assert [bar.count for bar in strip.bars] == counts and strip.in_all == sum(counts)
    for bar in strip.bars:
        assert (
            0 <= bar.x and bar.x + bar.width <= density.WIDTH + 0.1 and 0 < bar.y and bar.y + bar.height <= strip.base
        )
        query, problems = filters.read(QueryDict(bar.asked))
        assert not problems and len(find.page(query).changes) == bar.count


@pytest.mark.parametrize(
    ("since", "until", "span"),
    [(None, None, "90"), (89, None, "90"), (91, None, "365"), (365, None, "all"), (None, 400, "all"), (None, 5, "90")],
)
def test_the_strip_is_as_long_as_the_time_that_is_asked_for(since, until, span):
    told("Long ago", at=NOON - 900 * DAY)
    query = Query(since=since and NOON - DAY * since, until=until and NOON - DAY * until)
    strip = density.strip(query, "", NOON.date())
    assert [here for _, _, here in strip.spans] == [name == span for name in density.SPANS]
    assert (strip.chosen is None) is (since is None and until is None)


def test_a_strip_of_nothing_says_so(stranger):
    assert "No change was counted from" in page(stranger, "/changes/density/")


# --- hostile words, and how often the database is asked ---------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_words_change_no_tag_of_any_page(stranger, duty, text):
    short = text[:190].strip() or "x"
    change = told("Plain", author="x", pools=("x",), impact="x", links=(("x", "https://example.com/"),), message="x\ny")
    workflow.correct(change, duty, change.revision, summary="y", because="x")
    addresses = ("/changes/", f"/changes/{change.pk}/")
    tags = [Page(stranger.get(address).content.decode()).tags for address in addresses]
    Change.objects.filter(pk=change.pk).update(
        summary=short, author=short, pools=[short], impact=short, message=f"{text[:9_000]}\n.", repositories=[short],
        links=[{"title": short, "url": "https://example.com/"}],
    )  # fmt: skip
    change.landings.update(repository=short, pusher=short, revision=short[:80], url="https://example.com/")
    Revision.objects.update(before={"summary": text[:9_000]}, because=short[:80])
    for address, plain in zip(addresses, tags, strict=True):
        shown = Page(stranger.get(address).content.decode())
        assert shown.inline == [] and shown.tags == plain
    typed = Page(stranger.get("/changes/", {"q": short, "pool": short, "since": short}).content.decode())
    assert typed.inline == []


def queries(client, address):
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


def test_the_pages_ask_as_often_for_fifty_changes_as_for_two(stranger, duty):
    first = told("One", kind="image")
    told("Two")
    addresses = ["/changes/", "/changes/?kind=image&q=one", "/changes/feed.atom", "/changes/feed.json", "/api/changes/",
                 f"/changes/{first.pk}/", "/changes/density/", "/changes/changes.csv", "/api/changelog/"]  # fmt: skip
    before = [queries(stranger, address) for address in addresses]
    for number in range(4):
        for change in told_many(12, kind="image", system=named(f"System {number}").slug, message="One"):
            Backout.objects.create(change=change, revision="abcdef0", undoes=first)
    workflow.correct(first, duty, first.revision, summary="One again")
    assert [queries(stranger, address) for address in addresses][:5] == before[:5]
    assert max(queries(stranger, address) for address in addresses) <= 11
