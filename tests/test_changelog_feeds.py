"""Atom, JSON Feed and CSV: strict parsers take them with whatever anybody wrote, and they say what the page says."""

import csv
import io
import json
from datetime import UTC, datetime

import feedparser
import pytest
from lxml import etree

from changelog import find, workflow
from changelog.models import Change
from changelog.public import feeds, files
from changelog.rules import State
from ciduty import clock
from ciduty.csv_files import unguarded
from ciduty.systems.models import named
from tests.announced import HOSTILE as TYPED
from tests.public_log import BUCHAREST, DAY, DENVER, HOUR, KATHMANDU, NOON, told, told_many
from tests.test_pages_safely import HOSTILE

pytestmark = pytest.mark.django_db

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(autouse=True)
def noon():
    """The clock stands on Wednesday 4 March 2026, 12:00 UTC."""
    clock.move(NOON - clock.now())


def atom(client, asked=""):
    """Return the feed's root, once two strict parsers have taken it."""
    answer = client.get(f"/changes/feed.atom?{asked}")
    assert answer.status_code == 200
    parsed = feedparser.parse(answer.content)
    assert not parsed.bozo, parsed.get("bozo_exception")
    root = etree.fromstring(answer.content, etree.XMLParser(resolve_entities=False, huge_tree=False))
    assert len(parsed.entries) == len(root.findall(f"{ATOM}entry"))
    return root


def entries(client, asked=""):
    return [
        {child.tag.removeprefix(ATOM): child.text for child in entry}
        for entry in atom(client, asked).iter(f"{ATOM}entry")
    ]


def json_feed(client, asked=""):
    answer = client.get(f"/changes/feed.json?{asked}")
    assert answer.headers["Content-Type"] == "application/feed+json; charset=utf-8"
    return json.loads(answer.content)


def table(client, asked=""):
    answer = client.get(f"/changes/changes.csv?{asked}")
    assert answer.streaming
    text = b"".join(answer).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True)), answer.headers.get("Link")


def test_the_newest_news_come_first_and_an_entry_keeps_its_id_for_ever(stranger, duty, settings):
    settings.SITE_URL = "https://ciduty.example.com"
    new = told("New")
    old = told("Old", at=NOON - 900 * DAY, when=NOON + HOUR)
    for items in (entries(stranger), json_feed(stranger)["items"]):
        assert [item["title"] for item in items] == ["Old", "New"]
        assert [item["id"] for item in items] == [
            f"tag:ciduty.example.com,2026:change/{change.pk}" for change in (old, new)
        ]
    ids = [item["id"] for item in entries(stranger)]
    clock.move(2 * HOUR)
    workflow.correct(new, duty, new.revision, summary="New and better")
    corrected = entries(stranger)
    assert [item["id"] for item in corrected] == ids[::-1], "a correction is news, of the same entry"
    assert corrected[0]["title"] == "New and better"
    assert corrected[0]["published"].startswith("2026-03-04T12:00:00")
    assert corrected[0]["updated"] > corrected[0]["published"]
    assert atom(stranger).findtext(f"{ATOM}updated") == corrected[0]["updated"]


def test_a_feed_has_all_that_its_format_asks_for(stranger, settings):
    settings.SITE_URL = "https://ciduty.example.com"
    told("One", author="Images team")
    root, feed = atom(stranger, "kind=config"), json_feed(stranger, "kind=config")
    assert root.findtext(f"{ATOM}id") == "https://ciduty.example.com/changes/feed.atom?kind=config"
    assert {link.get("rel"): link.get("href") for link in root.findall(f"{ATOM}link")} == {
        "self": "https://ciduty.example.com/changes/feed.atom?kind=config",
        "alternate": "https://ciduty.example.com/changes/?kind=config",
    }
    assert root.findtext(f"{ATOM}title") == feed["title"] == "Changes of CI: kind config"
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["feed_url"] == "https://ciduty.example.com/changes/feed.json?kind=config"
    assert feed["home_page_url"] == "https://ciduty.example.com/changes/?kind=config"
    [item] = feed["items"]
    assert item["authors"] == [{"name": "Images team"}]
    assert datetime.fromisoformat(item["date_published"]) == NOON
    [entry] = atom(stranger).findall(f"{ATOM}entry")
    assert entry.find(f"{ATOM}link").get("href") == item["url"]
    assert entry.findtext(f"{ATOM}author/{ATOM}name") == "Images team"


def test_a_feed_of_nothing_is_a_feed_and_the_same_each_time(stranger):
    assert entries(stranger) == json_feed(stranger)["items"] == table(stranger)[0] == []
    first = stranger.get("/changes/feed.atom").content
    clock.move(DAY)
    assert stranger.get("/changes/feed.atom").content == first


@pytest.mark.parametrize("asked", ["kind=image", "pool=gecko-t/win", "author=images team", "q=wide", "bug=1899999",
                                   "since=2026-03-04", "repository=autoland", "system=images"])  # fmt: skip
def test_every_filter_narrows_every_feed(stranger, asked):
    named("Images")
    told("A wide one", kind="image", pools=("gecko-t/win",), author="Images team", bugs=(1899999,), system="images")
    told("Narrow", at=NOON - DAY, repository="try", kind="config")
    assert [one["title"] for one in entries(stranger, asked)] == ["A wide one"]
    assert [one["title"] for one in json_feed(stranger, asked)["items"]] == ["A wide one"]
    assert [one["summary"] for one in table(stranger, asked)[0]] == ["A wide one"]


@pytest.mark.parametrize("name", ["feed.atom", "feed.json", "changes.csv"])
def test_a_wrong_filter_is_said_and_no_feed_pretends_to_be_empty(stranger, name):
    answer = stranger.get(f"/changes/{name}?kind=zzz&since=x")
    assert answer.status_code == 400 and "There is no kind “zzz”" in answer.content.decode()


def test_hostile_words_pass_every_feed_as_words(stranger):
    for number, text in enumerate([*HOSTILE, *TYPED]):
        told(f"{number} {text[:250]}", message=text, author=text[:150], impact=text[:250], pools=(text[:100],))
    # What an older ciduty may have let through: the border cleans once more.
    Change.objects.filter(summary__startswith="0 ").update(
        summary="a\x0bb\x1f\ufffe\u2028c", impact="\x85\ufdd0", author="\x08"
    )
    items, told_in_json, rows = entries(stranger), json_feed(stranger)["items"], table(stranger)[0]
    assert len(items) == len(told_in_json) == len(rows) == len(HOSTILE) + len(TYPED)
    assert "<script>" in told_in_json[-1]["title"] or "a\ufffdb" in told_in_json[-1]["title"]
    for row in rows:
        assert all(cell[:1] not in "=+-@\t\r" or cell == "" for cell in row.values())
    summaries = dict(Change.objects.values_list("pk", "summary"))
    assert all(unguarded(row["summary"]) == summaries[int(row["id"])] for row in rows)


def test_csv_goes_on_where_it_ends_and_streams_what_is_still_public(stranger, monkeypatch, duty):
    monkeypatch.setattr(files, "MOST", 4), monkeypatch.setattr(files, "AT_ONCE", 3)
    told_many(9, kind="image")
    seen, address = [], "kind=image"
    while address:
        rows, link = table(stranger, address)
        seen.append([row["summary"] for row in rows])
        address = link and link.partition("?")[2].partition(">")[0]
    assert [len(one) for one in seen] == [4, 4, 1]
    assert sum(seen, []) == [f"Number {number}" for number in range(9)]
    answer = stranger.get("/changes/changes.csv")
    workflow.hold(find.page(find.Query()).changes[0], duty)
    assert "Number 0" not in b"".join(answer).decode(), "it was held while the file was on its way"
    assert stranger.get("/changes/changes.csv?cursor=zz").status_code == 400


# --- landed in one zone, effective in another, edited twice, withdrawn ------------------------------------------------


@pytest.fixture
def edited_and_withdrawn(duty):
    """Written in Kathmandu, landed in Denver, effective in Bucharest; edited twice, then withdrawn."""
    change = told(
        "Image 41", at=NOON.astimezone(DENVER), authored_at=(NOON - DAY).astimezone(KATHMANDU), kind="image",
        effective_at=(NOON + 3 * HOUR).astimezone(BUCHAREST), author="Søren 张伟", files=("a.yml",),
    )  # fmt: skip
    for summary in ("Image 42", "Image 43"):
        workflow.correct(change, duty, change.revision, summary=summary)
    clock.move(HOUR)
    workflow.withdraw(change, duty, "It never ran.")
    return change


EFFECTIVE, LANDED, WRITTEN = "2026-03-04T17:00:00+02:00", "2026-03-04T05:00:00-07:00", "2026-03-03T17:45:00+05:45"


def test_it_is_right_on_its_page(stranger, edited_and_withdrawn):
    text = stranger.get(f"/changes/{edited_and_withdrawn.pk}/").content.decode()
    for words in (EFFECTIVE, LANDED, WRITTEN, "Image 41", "Image 42", "Image 43", "Withdrawn", "It never ran."):
        assert words in text, words


def test_it_is_right_in_atom_and_json_feed(stranger, edited_and_withdrawn):
    [entry], [item] = entries(stranger), json_feed(stranger)["items"]
    assert entry["title"] == item["title"] == "Withdrawn: Image 43"
    assert entry["updated"] == item["date_modified"] > item["date_published"]
    for text in (entry["summary"], item["content_text"]):
        for words in ("It never ran.", "Wed 4 Mar 2026 17:00 UTC+2 · 15:00 UTC", "Wed 4 Mar 2026 05:00 UTC-7",
                      "Tue 3 Mar 2026 17:45 UTC+5:45", "Søren 张伟"):  # fmt: skip
            assert words in text
    own = item["_ciduty"]
    assert (own["effective_at"], own["landed_at"], own["authored_at"]) == (EFFECTIVE, LANDED, WRITTEN)
    assert own["state"] == "withdrawn" and "withdrawn" in item["tags"]


def test_it_is_right_in_csv(stranger, edited_and_withdrawn):
    [row] = table(stranger)[0]
    assert (row["took effect"], row["landed"], row["written"], row["at"]) == (EFFECTIVE, LANDED, WRITTEN, EFFECTIVE)
    assert (row["summary"], row["state"], row["withdrawn because"]) == ("Image 43", "withdrawn", "It never ran.")
    assert (row["author"], row["changed"]) == ("Søren 张伟", "2026-03-04 13:00 UTC")


def test_it_is_right_in_treeherders_shape(stranger, edited_and_withdrawn):
    [row] = stranger.get("/api/changelog/?startdate=2026-03-04").json()
    assert (row["date"], row["message"]) == ("2026-03-04T15:00:00", "Withdrawn: Image 43")
    assert (row["description"], row["author"]) == ("Withdrawn: It never ran.", "Søren 张伟")
    assert datetime.fromisoformat(row["date"]).replace(tzinfo=UTC) == NOON + 3 * HOUR
    assert stranger.get("/api/changelog/?startdate=2026-03-04T15:01").json() == []


def test_it_is_right_in_the_api(stranger, edited_and_withdrawn):
    [row] = stranger.get("/api/changes/").json()["results"]
    assert (row["at"], row["effective_at"], row["landed_at"], row["authored_at"]) == (
        "2026-03-04T15:00:00Z", EFFECTIVE, LANDED, WRITTEN,
    )  # fmt: skip
    assert (row["state"], row["withdrawn_because"], row["summary"]) == ("withdrawn", "It never ran.", "Image 43")
    assert row["landings"][0]["at"] == LANDED
    whole = stranger.get(f"/api/changes/{row['id']}/").json()
    assert [one["before"]["Summary"] for one in whole["corrections"]] == ["Image 41", "Image 42"]
    assert whole["files"] == ["a.yml"]


def test_what_a_feed_says_of_a_withdrawn_change_without_a_reason_is_a_sentence(duty):
    change = told("Wrong", state=State.WITHDRAWN, by=duty)
    Change.objects.update(because="")
    assert feeds.told(feeds.shown(Change.objects.get(pk=change.pk)))[0] == "Withdrawn: it does not stand any more."
