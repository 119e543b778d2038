"""The calendar file: one event for each public downtime, under one UID, that calendars can read and follow."""

import re
from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from icalendar import Calendar

from ciduty import clock
from ciduty.bugzilla.cleaning import clean_line, clean_text
from ciduty.bugzilla.models import Bug, Visibility
from downtimes import calendar
from downtimes.models import Downtime, Told
from downtimes.rules import State
from downtimes.showing import Standing
from tests.announced import DAY, HOSTILE, HOUR, NOON, announced, announced_with, facts, tell

pytestmark = pytest.mark.django_db

ADDRESS = "/downtimes/calendar.ics"
any_words = hypothesis_settings(deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def noon():
    """The clock stands on Wednesday 4 November 2026, 12:00 UTC."""
    clock.move(NOON - clock.now())


def read(client):
    answer = client.get(ADDRESS)
    assert answer.status_code == 200
    return Calendar.from_ical(answer.content)


def event_of(client, downtime):
    [event] = [event for event in read(client).walk("VEVENT") if event["uid"] == calendar.uid_of(downtime.pk)]
    return event


def test_an_empty_calendar_is_a_calendar(stranger):
    file = read(stranger)
    assert (str(file["version"]), str(file["method"])) == ("2.0", "PUBLISH")
    assert list(file.walk("VEVENT")) == []


def test_a_downtime_is_one_event_with_its_times_in_utc_and_its_public_words(stranger, settings):
    settings.SITE_URL = "https://ciduty.example.com"
    downtime = announced(title="Switches, in mdc1; again", tracking_bug=1400042)
    event = event_of(stranger, downtime)
    assert str(event["uid"]) == f"downtime-{downtime.pk}@ciduty.example.com"
    assert (event["dtstart"].dt, event["dtend"].dt) == (NOON + 2 * DAY, NOON + 2 * DAY + 2 * HOUR)
    assert event["dtstart"].dt.tzinfo is not None and event["dtstart"].to_ical() == b"20261106T120000Z"
    assert str(event["summary"]) == "Switches, in mdc1; again"
    for words in ("New firmware for the switches.", "Hard close", "autoland", "Landing.", "Try.", "1400042"):
        assert words in str(event["description"])
    assert event["last-modified"].dt == event["dtstamp"].dt == NOON
    assert str(event["url"]) == f"https://ciduty.example.com/downtimes/{downtime.pk}/"


@pytest.mark.parametrize(("close", "impact"), [("hard", "OUTAGE"), ("soft", "DEGRADED"), ("", None)])
def test_what_is_closed_is_told_as_the_impact(stranger, close, impact):
    event = event_of(stranger, announced(close=close))
    assert event.get("x-maintnote-impact") == impact
    assert event["x-maintnote-object-id"] == ["autoland", "mozilla-central"]


def status(client, downtime):
    event = event_of(client, downtime)
    assert str(event["x-maintnote-status"]) == str(event["status"])
    return str(event["status"]), int(event["sequence"]), str(event["uid"])


def test_one_uid_follows_a_downtime_through_its_life_and_every_change_has_a_higher_sequence(stranger):
    downtime = announced()
    uid = calendar.uid_of(downtime.pk)
    seen = [status(stranger, downtime)]
    tell(downtime, Told.POSTPONEMENT, NOON + HOUR, because="The part has not come.")
    seen.append(status(stranger, downtime))
    assert "The part has not come." in str(event_of(stranger, downtime)["description"])
    tell(downtime, Told.UPDATE, NOON + 2 * HOUR)
    seen.append(status(stranger, downtime))
    tell(downtime, Told.CANCELLATION, NOON + 3 * HOUR, because="x")
    seen.append(status(stranger, downtime))
    assert seen == [("CONFIRMED", 0, uid), ("TENTATIVE", 1, uid), ("CONFIRMED", 2, uid), ("CANCELLED", 3, uid)]
    assert event_of(stranger, downtime)["last-modified"].dt == NOON + 3 * HOUR


def test_while_a_change_is_being_agreed_it_is_tentative(stranger):
    downtime = announced()
    Downtime.objects.filter(pk=downtime.pk).update(state=State.AGREEING)
    assert status(stranger, downtime)[0] == "TENTATIVE"


@pytest.mark.parametrize(("starts_in", "told"), [(DAY, "CONFIRMED"), (-HOUR, "CONFIRMED"), (-9 * DAY, "TENTATIVE")])
def test_what_was_announced_stays_confirmed_until_its_time_passed_and_nobody_began_it(stranger, starts_in, told):
    assert status(stranger, announced(starts_in))[0] == told


def test_every_standing_has_its_status():
    assert set(calendar.STATUS) == set(Standing)
    assert {standing for standing in Standing if calendar.STATUS[standing] == "TENTATIVE"} == {
        Standing.HELD, Standing.CHANGING, Standing.POSTPONED, Standing.LAPSED
    }  # fmt: skip


# --- hostile and private words ----------------------------------------------------------------------------------------


@any_words
@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_is_typed_comes_back_from_the_file_as_it_was_cleaned(title, words):
    told = facts(
        title=clean_line(title, 1000), what_stops=clean_text(words, 1000).strip(), trees=(clean_line(title, 80),)
    )
    [event] = Calendar.from_ical(calendar.calendar([told])).walk("VEVENT")
    assert str(event["summary"]) == told.title
    assert str(event["description"]) == calendar.description(told)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_make_no_event_of_their_own_and_come_back_as_words(stranger, text):
    content = {
        "title": text[:110], "starts_at": (NOON + DAY).isoformat(), "ends_at": (NOON + DAY + HOUR).isoformat(),
        "items": [], "trees": [text, "a,b;c\\d"], "what_stops": f"{text}\nsecond line, with; signs\\",
    }  # fmt: skip
    downtime = announced_with(content)
    raw = stranger.get(ADDRESS).content
    [event] = Calendar.from_ical(raw).walk("VEVENT")
    assert str(event["uid"]) == calendar.uid_of(downtime.pk)
    assert "second line, with; signs\\" in str(event["description"])
    lines = raw.split(b"\r\n")
    assert lines.count(b"BEGIN:VEVENT") == lines.count(b"END:VEVENT") == 1
    assert raw.endswith(b"END:VCALENDAR\r\n")
    assert all(len(line) <= 75 for line in lines), "RFC 5545, 3.1"
    assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n)", raw)


def test_the_text_of_a_private_bug_is_gone_from_the_calendar_and_the_number_stays(stranger):
    downtime = announced(text="Something telling")
    assert "Something telling" in str(event_of(stranger, downtime)["description"])
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    words = str(event_of(stranger, downtime)["description"])
    assert "Something telling" not in words
    assert f"Bug {downtime.items.get().bug_id}" in words


# --- what caches may keep ---------------------------------------------------------------------------------------------


def test_the_file_may_be_kept_for_a_minute_and_is_the_same_for_everybody(stranger, clients):
    announced()
    answers = [stranger.get(ADDRESS), *(client.get(ADDRESS) for client in clients.values())]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"public, max-age=60"}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert not answers[0].cookies


def test_who_has_the_newest_file_is_sent_nothing_until_it_changes(stranger):
    downtime = announced()
    tag = stranger.get(ADDRESS).headers["ETag"]
    again = stranger.get(ADDRESS, headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    changed = stranger.get(ADDRESS, headers={"if-none-match": tag})
    assert changed.status_code == 200 and changed.headers["ETag"] != tag
    tell(downtime, Told.CANCELLATION, NOON + timedelta(hours=1), because="x")
    assert stranger.get(ADDRESS).headers["ETag"] != changed.headers["ETag"]


def test_two_looks_at_the_same_downtimes_are_the_same_bytes(stranger):
    for number in range(3):
        announced(DAY * number)
    assert stranger.get(ADDRESS).content == stranger.get(ADDRESS).content


def test_a_thousand_hours_of_the_clock_do_not_change_what_was_announced(stranger):
    downtime = announced(30 * DAY)
    event = event_of(stranger, downtime)
    assert event["dtstart"].dt.astimezone(UTC) - NOON == 30 * DAY
