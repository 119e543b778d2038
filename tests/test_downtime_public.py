"""What everybody sees of downtimes: the words that were announced last, drawn and listed, and never a private one."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ciduty import clock
from ciduty.bugzilla.models import Bug, BugText, Visibility
from ciduty.people.roles import Role
from downtimes import showing, timeline, versions, windows
from downtimes.models import Downtime, Item, Told
from downtimes.rules import State
from downtimes.showing import Standing
from tests.announced import DAY, HOSTILE, HOUR, NOON, announced, announced_with, facts, tell
from tests.cast import BugTextFactory, DowntimeFactory, ItemFactory

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
any_case = hypothesis_settings(deadline=None, derandomize=True)
ADDRESSES = ("/downtimes/", "/downtimes/{}/", "/downtimes/calendar.ics")


@pytest.fixture(autouse=True)
def noon():
    """The clock stands on Wednesday 4 November 2026, 12:00 UTC."""
    clock.move(NOON - clock.now())


def page(client, address="/downtimes/"):
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def begin(downtime, at=NOON, **fields):
    """Let a downtime run since a moment, as its run sheet does."""
    fields = {"state": State.RUNNING, "begun_at": at} | fields
    Downtime.objects.filter(pk=downtime.pk).update(**fields)
    return downtime


def facts_of(downtime, at=None):
    return showing.public_facts(Downtime.objects.get(pk=downtime.pk), at or clock.now())


def sections(text):
    """Return the page's titles under each heading."""
    found = {}
    for part in re.split("<h2>", text)[1:]:
        heading = re.match(r"[^<]*", part)[0].strip()
        found[heading] = re.findall(r'<a href="/downtimes/\d+/">([^<]*)</a>', part)
    return found


# --- what is public ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_a_downtime_that_was_never_announced_is_known_to_nobody(clients, stranger, state):
    plan = ItemFactory(downtime=DowntimeFactory(title="Secret plan", state=state, starts_at=NOON, ends_at=NOON + DAY))
    assert stranger.get(f"/downtimes/{plan.downtime_id}/").status_code == 404
    assert clients[Role.LEAD].get(f"/downtimes/{plan.downtime_id}/").status_code == 404
    for address in ("/downtimes/", "/downtimes/calendar.ics", "/downtimes/?q=secret"):
        for client in (stranger, clients[Role.DEVELOPER]):
            assert "Secret plan" not in page(client, address)


def test_plans_are_listed_for_those_who_may_see_them_and_for_nobody_else(clients):
    DowntimeFactory(title="A plan")
    for role in Role:
        text = page(clients[role])
        sees = role in (Role.SCHEDULER, Role.MANAGER, Role.DUTY, Role.LEAD)
        assert ("A plan" in text) is sees, role
        assert ("Plan a downtime" in text) is (role in (Role.DUTY, Role.LEAD))


def test_what_was_announced_and_is_over_stands_among_the_plans_no_more(clients):
    announced(-9 * DAY, title="Over"), announced(title="To come")
    DowntimeFactory(title="Never announced", starts_at=NOON - DAY, ends_at=NOON - HOUR)
    plans = re.findall(r'/plan/">([^<]*)</a>', page(clients[Role.DUTY]))
    assert plans == ["Never announced", "To come"]


def test_a_downtime_is_shown_with_everything_that_was_announced(stranger):
    downtime = announced(
        title="Switches in mdc1", effect_on_releases="None.", how_to_object="Reply.", tracking_bug=1400042, items=2
    )
    text = page(stranger, f"/downtimes/{downtime.pk}/")
    for words in (
        "Switches in mdc1", "Fri 6 Nov 2026 12:00-14:00 UTC", "14:00-16:00 EET", "04:00-06:00 PST", "Hard close",
        "autoland, mozilla-central", "Landing.", "Try.", "None.", "Reply.", "bug 1400042", "2 h 00 min",
        "New firmware for the switches.", *(f"Bug {item.bug_id}" for item in downtime.items.all()),
    ):  # fmt: skip
        assert words in text, words


def test_the_list_is_in_order_running_planned_past_and_cancelled(stranger):
    begin(announced(-HOUR, title="Runs"))
    announced(-HOUR, title="Waits")
    announced(DAY, title="Tomorrow"), announced(2 * HOUR, title="Today")
    announced(-9 * DAY, title="Long ago"), announced(-3 * DAY, title="Past")
    tell(announced(5 * DAY, title="Called off"), Told.CANCELLATION, because="A chemspill.")
    found = sections(page(stranger))
    assert found["Running now"] == ["Runs"]
    assert found["Planned"] == ["Waits", "Today", "Tomorrow"]
    assert found["Past"] == ["Past", "Long ago"]
    assert found["Cancelled"] == ["Called off"]
    assert "A chemspill." in page(stranger)


@pytest.mark.parametrize(
    ("moment", "standing"),
    [
        (2 * DAY - SECOND, Standing.PLANNED),
        (2 * DAY, Standing.WAITING),
        (2 * DAY + 2 * HOUR - SECOND, Standing.WAITING),
        (2 * DAY + 2 * HOUR, Standing.LAPSED),
        (9 * DAY, Standing.LAPSED),
    ],
)
def test_the_clock_alone_begins_nothing(moment, standing):
    assert facts_of(announced(), NOON + moment).standing == standing


def test_without_any_downtime_the_page_says_so_and_how_to_ask_for_one(stranger):
    text = page(stranger)
    assert "No downtime is announced." in text
    assert "Does this need a downtime?" in text, "R36"
    assert 'href="/downtimes/request/"' in text
    assert "#ci" in text


# --- the words that were announced last -------------------------------------------------------------------------------


def test_r36_who_is_not_sure_finds_whom_to_ask(stranger, settings):
    settings.CIDUTY_CHANNEL, settings.CIDUTY_TEAM = "#somewhere", "Somebody"
    text = re.sub(r"\s+", " ", page(stranger))
    assert "If you are not sure, ask Somebody in #somewhere before you start" in text


def test_what_is_changed_after_the_announcement_is_not_shown_before_it_is_announced(stranger, duty):
    downtime = announced(title="As announced")
    fields = {
        "title": "Not agreed yet", "starts_at": NOON + 9 * DAY, "ends_at": NOON + 10 * DAY, "trees": ["try"],
        "what_stops": "Not agreed yet",
    }  # fmt: skip
    windows.edit(downtime, fields, by=duty, revision=0)
    item = downtime.items.get()
    windows.edit_item(item, {"public_text": "Not agreed yet"}, by=duty)
    for address in ADDRESSES:
        text = page(stranger, address.format(downtime.pk))
        assert "As announced" in text and "Not agreed yet" not in text
    assert facts_of(downtime).starts_at == NOON + 2 * DAY
    assert facts_of(downtime).items[0].text == "New firmware for the switches."
    tell(downtime, Told.UPDATE, NOON + HOUR)
    assert "Not agreed yet" in page(stranger, f"/downtimes/{downtime.pk}/")
    assert facts_of(downtime).starts_at == NOON + 9 * DAY


def test_while_a_change_is_being_agreed_the_page_says_so_and_shows_the_old_times(stranger):
    downtime = announced()
    Downtime.objects.filter(pk=downtime.pk).update(state=State.AGREEING)
    assert facts_of(downtime).standing == Standing.CHANGING
    text = page(stranger, f"/downtimes/{downtime.pk}/")
    assert "A change of it is being agreed: what stands here was announced last." in text
    assert "12:00-14:00 UTC" in text


def test_a_postponed_downtime_says_why_and_that_its_time_may_still_change(stranger):
    downtime = announced()
    Downtime.objects.filter(pk=downtime.pk).update(starts_at=NOON + 9 * DAY, ends_at=NOON + 9 * DAY + HOUR)
    tell(downtime, Told.POSTPONEMENT, NOON + HOUR, because="The part has not come.")
    facts = facts_of(downtime)
    assert (facts.standing, facts.starts_at) == (Standing.POSTPONED, NOON + 9 * DAY)
    text = page(stranger, f"/downtimes/{downtime.pk}/")
    assert "The part has not come." in text and "Its new time is not announced yet" in text
    assert sections(page(stranger))["Planned"] == ["Switches in mdc1"]
    tell(downtime, Told.UPDATE, NOON + 2 * HOUR)
    assert facts_of(downtime).standing == Standing.PLANNED
    assert "The part has not come." not in page(stranger, f"/downtimes/{downtime.pk}/")


def test_a_postponed_downtime_that_is_agreed_anew_stays_postponed_until_it_is_announced():
    downtime = announced()
    tell(downtime, Told.POSTPONEMENT, NOON + HOUR, because="x")
    Downtime.objects.filter(pk=downtime.pk).update(state=State.AGREEING)
    assert facts_of(downtime).standing == Standing.POSTPONED


def test_a_cancelled_downtime_keeps_its_page(stranger):
    downtime = announced()
    tell(downtime, Told.CANCELLATION, because="A release is in flight.")
    text = page(stranger, f"/downtimes/{downtime.pk}/")
    assert "Cancelled" in text and "A release is in flight." in text


@pytest.mark.parametrize("agreed", [True, False])
def test_the_reason_for_an_emergency_is_public_like_its_notice_once_a_manager_agreed(stranger, people, agreed):
    manager = people[Role.MANAGER] if agreed else None
    downtime = announced(emergency_because="The disk fails.", emergency_by=manager)
    assert ("The disk fails." in page(stranger, f"/downtimes/{downtime.pk}/")) is agreed


def test_words_that_were_frozen_and_not_announced_are_shown_by_no_later_word_either(stranger, duty):
    downtime = announced(title="As announced")
    windows.edit(downtime, {"title": "Only agreed"}, by=duty, revision=0)
    versions.freeze(downtime, by=duty, at=NOON, answers_until=NOON)
    tell(downtime, Told.CANCELLATION, because="x")
    assert downtime.announcements.last().version.content["title"] == "Only agreed"
    text = everything(stranger, downtime)
    assert "As announced" in text and "Only agreed" not in text


def test_the_reason_beside_an_announcement_itself_is_not_shown(stranger):
    downtime = announced()
    tell(downtime, Told.UPDATE, because="Between us")
    assert "Between us" not in everything(stranger, downtime)


def test_a_downtime_counts_as_announced_by_its_own_row_alone(stranger):
    downtime = announced(title="Taken back")
    Downtime.objects.filter(pk=downtime.pk).update(told_first_at=None)
    assert stranger.get(f"/downtimes/{downtime.pk}/").status_code == 404
    for address in ("/downtimes/", "/downtimes/calendar.ics"):
        assert "Taken back" not in page(stranger, address)


def test_a_row_without_any_announced_words_shows_nothing(stranger):
    downtime = DowntimeFactory(told_first_at=NOON, state=State.ANNOUNCED, starts_at=NOON, ends_at=NOON + HOUR)
    assert stranger.get(f"/downtimes/{downtime.pk}/").status_code == 404
    assert downtime.title not in page(stranger)


# --- what must not be seen --------------------------------------------------------------------------------------------

CANARY = "CANARY-51c2"


def everything(client, downtime):
    return "".join(page(client, address.format(downtime.pk)) for address in (*ADDRESSES, "/downtimes/?q=canary"))


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_a_text_that_was_announced_while_the_bug_was_public_is_gone_when_the_bug_turns_private(stranger, visibility):
    downtime = announced(text=f"{CANARY} in the switches.")
    bug = downtime.items.get().bug_id
    assert CANARY in everything(stranger, downtime), "while it is public it is found"
    Bug.objects.filter(pk=bug).update(visibility=visibility)
    text = everything(stranger, downtime)
    assert CANARY not in text
    assert f"Bug {bug}" in text, "the number stays"
    Bug.objects.filter(pk=bug).update(visibility=Visibility.PUBLIC)
    assert CANARY in everything(stranger, downtime)


def test_past_and_cancelled_downtimes_lose_the_text_of_a_private_bug_too(stranger):
    past, cancelled = announced(-9 * DAY, text=CANARY), announced(text=CANARY)
    tell(cancelled, Told.CANCELLATION, because="x")
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    assert CANARY not in everything(stranger, past) + everything(stranger, cancelled)


def test_the_text_of_a_bug_that_nobody_mirrors_any_more_is_gone(stranger):
    downtime = announced(text=CANARY)
    BugText.objects.all().delete(), Bug.objects.all().delete()
    assert CANARY not in everything(stranger, downtime)


@pytest.mark.parametrize("now", Visibility)
def test_a_vague_text_that_was_confirmed_for_a_restricted_bug_stays_whatever_the_bug_becomes(stranger, now):
    downtime = announced(text="Vague work.", visibility=Visibility.RESTRICTED)
    Bug.objects.update(visibility=now)
    assert "Vague work." in everything(stranger, downtime)


def test_a_text_that_was_confirmed_for_staff_is_gone_when_the_bug_is_restricted(stranger):
    downtime = announced(text=CANARY, visibility=Visibility.STAFF)
    assert CANARY in everything(stranger, downtime)
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    assert CANARY not in everything(stranger, downtime)


def test_confirming_another_text_does_not_bring_back_the_one_that_was_announced(stranger, duty):
    downtime = announced(text=CANARY)
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    windows.edit_item(downtime.items.get(), {"public_text": "Vague."}, by=duty)
    assert downtime.items.get().confirmed_as == Visibility.RESTRICTED
    assert CANARY not in everything(stranger, downtime)


def test_confirming_the_announced_text_as_vague_enough_brings_it_back(stranger, duty):
    downtime = announced(text="Work in mdc1.")
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    assert "Work in mdc1." not in everything(stranger, downtime)
    windows.edit_item(downtime.items.get(), {}, by=duty, confirms=True)
    assert "Work in mdc1." in everything(stranger, downtime)


def test_a_text_that_nobody_stands_for_any_more_is_gone(stranger):
    downtime = announced(text="Vague work.", visibility=Visibility.RESTRICTED)
    Item.objects.update(confirmed_by=None)
    assert "Vague work." not in everything(stranger, downtime)


def test_the_text_of_work_that_was_taken_out_stays_only_while_its_bug_is_public(stranger):
    downtime = announced(text=CANARY, visibility=Visibility.PUBLIC)
    Item.objects.all().delete()
    assert CANARY in everything(stranger, downtime)
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    assert CANARY not in everything(stranger, downtime)


def test_no_word_of_the_mirror_stands_on_a_public_page_public_or_not(stranger):
    for visibility in Visibility:
        downtime = announced(visibility=visibility, tracking_bug=downtime_bug(visibility))
        BugText.objects.update(summary=CANARY, whiteboard=CANARY, alias=CANARY, assignee=f"{CANARY}@example.com")
        assert CANARY not in everything(stranger, downtime)


def downtime_bug(visibility):
    return BugTextFactory(bug__visibility=visibility, bug__is_loaner_request=False).pk


def test_names_of_workers_duty_and_groups_stand_on_no_public_page(stranger, duty):
    downtime = announced(duty=duty, sheriff="Sheriff Somebody", extra_groups=["group@example.com"])
    text = everything(stranger, downtime)
    for words in ("worker@example.com", "group@example.com", "Sheriff Somebody", "Steps"):
        assert words not in text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_shown_as_words(stranger, text):
    content = {
        "title": text[:110], "starts_at": (NOON + DAY).isoformat(), "ends_at": (NOON + DAY + HOUR).isoformat(),
        "items": [{"bug": 1400123, "text": text}], "trees": [text], "what_stops": text,
    }  # fmt: skip
    BugTextFactory(bug__id=1400123)
    downtime = announced_with(content)
    shown = "".join(page(stranger, address) for address in ("/downtimes/", f"/downtimes/{downtime.pk}/"))
    assert not re.search("<script>alert|<img src=x|\u202e|\x00|\ud800", shown)
    assert "7|add:7" in shown or "{{" not in text


# --- looking for one --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("", ["Network", "Disks"]),
        ("DISKS", ["Disks"]),
        ("firmware", ["Network", "Disks"]),
        ("network landing", ["Network"]),
        ("network nothing", []),
        ("try2", ["Disks"]),
        ("%00'\"<", []),
        ("planned", []),
    ],
)
def test_past_downtimes_are_found_by_the_words_that_are_shown(stranger, question, found):
    announced(-9 * DAY, title="Disks", trees=["try2"])
    announced(-8 * DAY, title="Network")
    announced(2 * DAY, title="Firmware later")
    text = page(stranger, f"/downtimes/?q={question}")
    assert sections(text)["Past"] == found
    assert sections(text)["Planned"] == ["Firmware later"], "what comes is always shown"


def test_a_past_downtime_is_found_by_its_bugs_number(stranger):
    downtime = announced(-9 * DAY, title="Disks")
    assert sections(page(stranger, f"/downtimes/?q={downtime.items.get().bug_id}"))["Past"] == ["Disks"]


def test_nobody_learns_by_searching_what_a_private_bugs_text_was(stranger):
    announced(-9 * DAY, text="Something telling", title="Disks")
    assert sections(page(stranger, "/downtimes/?q=telling"))["Past"] == ["Disks"]
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    assert sections(page(stranger, "/downtimes/?q=telling"))["Past"] == []


def test_twenty_past_ones_stand_on_a_page_and_every_one_on_some_page(stranger):
    for number in range(41):
        announced(-9 * DAY - number * HOUR, title=f"Past {number}", items=0)
    pages = [sections(page(stranger, f"/downtimes/?page={number}"))["Past"] for number in (1, 2, 3)]
    assert [len(titles) for titles in pages] == [20, 20, 1]
    assert len({title for titles in pages for title in titles}) == 41
    assert len(sections(page(stranger, "/downtimes/?page=zz"))["Past"]) == 20


# --- drawn ------------------------------------------------------------------------------------------------------------


def drawing_of(*downtimes, at=NOON):
    return timeline.drawing([facts_of(one, at) for one in downtimes], at)


def test_two_weeks_are_drawn_from_monday_with_the_line_of_now():
    first, second = drawing_of().rows
    assert [f"{day:%a %d}" for day, _ in first.days + second.days] == [
        "Mon 02", "Tue 03", "Wed 04", "Thu 05", "Fri 06", "Sat 07", "Sun 08",
        "Mon 09", "Tue 10", "Wed 11", "Thu 12", "Fri 13", "Sat 14", "Sun 15",
    ]  # fmt: skip
    assert (first.now_x, second.now_x) == (250.0, None), "Wednesday noon: two and a half days of seven, 100 wide each"
    assert second.top == first.bottom


def test_a_bar_stands_where_its_hours_are_and_one_over_sunday_night_in_both_rows():
    friday, over_sunday = announced(2 * DAY), announced(4 * DAY + 6 * HOUR, 12 * HOUR)
    first, second = drawing_of(friday, over_sunday).rows
    assert [(bar.facts.pk, bar.x, bar.width) for bar in first.bars] == [
        (friday.pk, 450.0, 8.3),
        (over_sunday.pk, 675.0, 25.0),
    ]
    assert [(bar.facts.pk, bar.x, bar.width) for bar in second.bars] == [(over_sunday.pk, 0.0, 25.0)]


@pytest.mark.parametrize(
    ("starts_in", "drawn"),
    [
        (-2 * DAY - 14 * HOUR, False),  # ends on Monday 00:00
        (-2 * DAY - 14 * HOUR + SECOND, True),
        (11 * DAY + 12 * HOUR - SECOND, True),
        (11 * DAY + 12 * HOUR, False),  # starts when the two weeks are over
    ],
)
def test_what_lies_outside_of_the_two_weeks_is_not_drawn(starts_in, drawn):
    assert bool(drawing_of(announced(starts_in)).drawn) is drawn


def test_bars_at_the_same_time_stand_below_each_other_and_inside_of_the_row():
    found = drawing_of(*(announced(2 * DAY, title=f"At once {number}") for number in range(4)))
    row = found.rows[0]
    assert len({bar.y for bar in row.bars}) == 4
    assert all(row.top < bar.y and bar.y + bar.height <= row.bottom for bar in row.bars)
    assert all(0 <= bar.x and bar.x + bar.width <= timeline.WIDTH for bar in row.bars)


@pytest.mark.parametrize(
    ("starts_in", "lasts", "place"),
    [
        (DAY, HOUR, "after"),
        (4 * DAY, HOUR, "before"),
        (-DAY, 3 * DAY, "after"),
        (-DAY, 5 * DAY - HOUR, "inside"),
    ],
)
def test_a_title_stands_beside_its_bar_and_never_leaves_the_drawing(starts_in, lasts, place):
    [bar] = drawing_of(announced(starts_in, lasts, title="x" * 32)).rows[0].bars
    assert bar.place == place
    first, last = {
        "after": (bar.words_x, bar.words_x + bar.words_width - 10),
        "before": (bar.words_x - bar.words_width + 10, bar.words_x),
        "inside": (bar.words_x, bar.words_x + bar.words_width - 10),
    }[place]
    assert 0 <= first < last <= timeline.WIDTH


@any_case
@given(st.lists(st.tuples(st.integers(-200, 300), st.integers(1, 72), st.integers(1, 120)), max_size=12))
def test_whatever_is_drawn_stays_inside_of_its_row_and_beside_the_others(windows_of):
    some = [
        facts(pk=number, title="x" * letters, starts_at=NOON + HOUR * begins, ends_at=NOON + HOUR * (begins + lasts))
        for number, (begins, lasts, letters) in enumerate(sorted(windows_of))
    ]
    found = timeline.drawing(some, NOON)
    for row in found.rows:
        for bar in row.bars:
            assert 0 <= bar.x and bar.x + bar.width <= timeline.WIDTH + 0.1
            assert row.top < bar.y and bar.y + bar.height <= row.bottom
            others = [one for one in row.bars if one.y == bar.y and one is not bar]
            assert all(one.x + one.width <= bar.x + 0.1 or bar.x + bar.width <= one.x + 0.1 for one in others)
    assert 0 <= found.left_out <= len(found.drawn)


def test_what_has_no_room_is_counted():
    found = drawing_of(*(announced(2 * DAY) for _ in range(7)))
    assert (len(found.rows[0].bars), found.left_out) == (4, 3)


def test_the_drawing_tells_its_titles_and_is_named_for_those_who_hear_it(stranger):
    downtime = announced(title="Switches & disks")
    svg = re.search(r"<svg.*?</svg>", page(stranger), re.DOTALL)[0]
    assert 'role="group" aria-label="Downtimes of this week and the next: Switches &amp; disks, planned, ' in svg
    assert "<title>Switches &amp; disks, planned: Fri 6 Nov 2026 12:00-14:00 UTC;" in svg
    assert f'<a href="/downtimes/{downtime.pk}/">' in svg
    assert svg.count('class="now"') == 1
    assert "style=" not in svg and "onload" not in svg


def test_a_drawing_of_nothing_says_none(stranger):
    assert "Downtimes of this week and the next: none." in page(stranger)


# --- how often the database is asked, and what caches may keep --------------------------------------------------------


def queries(client, address):
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


def test_the_public_pages_ask_as_often_for_sixty_downtimes_as_for_two(stranger):
    first = announced(items=2)
    announced(-9 * DAY)
    addresses = [address.format(first.pk) for address in ADDRESSES]
    before = [queries(stranger, address) for address in addresses]
    for number in range(58):
        announced(DAY * (number - 40), items=3)
    assert [queries(stranger, address) for address in addresses] == before
    assert max(before) <= 7


def test_the_pages_are_kept_by_no_cache_and_look_the_same_for_every_stranger(stranger, clients):
    downtime = announced()
    for address in ("/downtimes/", f"/downtimes/{downtime.pk}/"):
        answer = stranger.get(address)
        assert answer.headers["Cache-Control"] == "no-store"
        body = answer.content.decode().partition("<main")[2]
        assert clients[Role.DEVELOPER].get(address).content.decode().partition("<main")[2] == body


@pytest.mark.parametrize("number", [0, 2**31, 2**63, 2**64, 10**60])
def test_a_number_that_no_downtime_has_is_no_such_page(stranger, number):
    assert stranger.get(f"/downtimes/{number}/").status_code == 404
