"""The window and its work: each change is checked, locked and recorded; nothing that was typed is lost."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox.models import BugUpdate
from ciduty.people.models import Approver
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes import mirrored, plan_page, rules, windows
from downtimes.models import Downtime, Item
from downtimes.rules import NominationState, State
from tests.cast import (
    BugTextFactory,
    DowntimeFactory,
    ItemFactory,
    NominationFactory,
    PersonFactory,
    at_once,
    every_row,
)

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
OP = "0123abcd"


@pytest.fixture
def noon():
    """The clock stands on Monday 2 November 2026, 12:00 UTC."""
    clock.move(datetime(2026, 11, 2, 12, tzinfo=UTC) - clock.now())


def kept(row):
    return type(row).objects.get(pk=row.pk)


def window(**fields):
    at = clock.now().replace(second=0, microsecond=0)
    return DowntimeFactory(**({"starts_at": at + 72 * HOUR, "ends_at": at + 74 * HOUR} | fields))


def typed(downtime, **fields):
    """Return what the browser sends for a window as it stands, with fields changed."""
    form = {
        "title": downtime.title, "zone": "utc", "starts_on": "", "starts_time": "", "starts_meant": "", "ends_on": "",
        "ends_time": "", "ends_meant": "", "urgency": "", "close": "", "trees": "", "tracking_bug": "", "sheriff": "",
        "duty": "", "separate_because": "", "extra_groups": "", "policy": "no objection", "quorum": "2",
        "revision": kept(downtime).revision,
    }  # fmt: skip
    return form | fields


def times(starts_on="2026-12-01", starts_time="14:00", ends_on="2026-12-01", ends_time="16:00", **fields):
    return {"starts_on": starts_on, "starts_time": starts_time, "ends_on": ends_on, "ends_time": ends_time} | fields


def save(client, downtime, **fields):
    return client.post(f"/downtimes/{downtime.pk}/edit/", typed(downtime, **fields))


def problems(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()).replace("&#x27;", "'"))


def page(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def numbers(downtime):
    return list(downtime.items.values_list("bug_id", flat=True))


# --- beginning --------------------------------------------------------------------------------------------------------


def test_a_plan_is_begun_with_a_title_and_leads_to_its_times(clients, duty):
    answer = clients[Role.DUTY].post("/downtimes/new/", {"title": " Switches  in mdc1 ", "op": OP})
    downtime = Downtime.objects.get()
    assert answer.headers["Location"] == f"/downtimes/{downtime.pk}/edit/"
    assert (downtime.title, downtime.state, downtime.made_by) == ("Switches in mdc1", State.DRAFT, duty)
    entry = Entry.objects.get(about=downtime.about)
    assert (entry.verb, entry.by) == ("created", duty)


def test_the_form_of_a_plan_sent_twice_makes_one(clients):
    addresses = {clients[Role.DUTY].post("/downtimes/new/", {"title": "X", "op": OP}).headers["Location"] for _ in "12"}
    assert len(addresses) == Downtime.objects.count() == 1


def test_two_plans_may_have_the_same_title(clients):
    for op in (OP, "89abcdef"):
        clients[Role.DUTY].post("/downtimes/new/", {"title": "X", "op": op})
    assert Downtime.objects.count() == 2


@pytest.mark.parametrize(("title", "problem"), [("", "Write a title"), ("  ", "Write a title"), ("x" * 121, "120")])
def test_a_plan_without_a_fitting_title_is_not_begun(clients, title, problem):
    answer = clients[Role.DUTY].post("/downtimes/new/", {"title": title, "op": OP})
    assert answer.status_code == 422
    assert problem in problems(answer)
    assert not Downtime.objects.exists()


# --- the form of the window -------------------------------------------------------------------------------------------


def test_a_window_is_typed_and_stands_on_its_plan(clients, duty, noon):
    downtime = DowntimeFactory()
    answer = save(
        clients[Role.DUTY], downtime, **times(zone="desk"), urgency="routine", close="hard",
        trees="autoland, mozilla-central  Autoland", tracking_bug="bug 1400042", sheriff="Sheriff of the day",
        duty=duty.pk, separate_because="Less risk", extra_groups="group@example.com, Other@example.com",
        title="Switches\tagain",
    )  # fmt: skip
    assert answer.headers["Location"] == f"/downtimes/{downtime.pk}/plan/"
    now_there = kept(downtime)
    assert now_there.starts_at == datetime(2026, 12, 1, 12, tzinfo=UTC)
    assert now_there.ends_at == datetime(2026, 12, 1, 14, tzinfo=UTC)
    assert now_there.trees == ["Autoland", "mozilla-central"]
    assert (now_there.tracking_bug, now_there.sheriff, now_there.duty) == (1400042, "Sheriff of the day", duty)
    assert now_there.extra_groups == ["group@example.com", "Other@example.com"]
    assert now_there.title == "Switches again"
    shown = problems(clients[Role.MANAGER].get(f"/downtimes/{downtime.pk}/plan/"))
    for words in ("12:00 UTC", "14:00 EET", "04:00 PST", "Hard close", "Routine", "bug 1400042", "Less risk"):
        assert words in shown


@pytest.mark.parametrize(("zone", "hour"), [("utc", 14), ("desk", 12), ("pacific", 22)])
def test_times_are_read_in_the_zone_that_was_chosen(clients, noon, zone, hour):
    downtime = DowntimeFactory()
    save(clients[Role.DUTY], downtime, **times(zone=zone))
    assert kept(downtime).starts_at == datetime(2026, 12, 1, hour, tzinfo=UTC)


def test_the_form_shows_what_it_was_given_and_saving_it_again_changes_nothing(clients, noon):
    downtime = window()
    client = clients[Role.DUTY]
    text = page(client, f"/downtimes/{downtime.pk}/edit/")
    fields = {
        name: re.search(rf'name="{name}" value="([^"]*)"', text)[1]
        for name in ("starts_on", "starts_time", "starts_meant", "ends_on", "ends_time", "ends_meant", "revision")
    }
    assert fields["starts_time"] == "14:00", "the desk's zone"
    before = every_row(leave_out=["django_session"])
    assert client.post(f"/downtimes/{downtime.pk}/edit/", typed(downtime, zone="desk", **fields)).status_code == 302
    assert every_row(leave_out=["django_session"]) == before


TOO_LONG = {"ends_on": "2026-12-04", "ends_time": "14:01"}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (times(ends_time="14:00"), "The window ends before it starts: enter an end after the start."),
        (times(ends_time="13:59"), "The window ends before it starts"),
        (times(**TOO_LONG), "The window is longer than 3 days: split it."),
        (times(starts_on="2026-11-02", starts_time="12:00"), "The window starts in the past"),
        (times(starts_on="2027-11-04", ends_on="2027-11-04"), "more than a year ahead"),
        (times(starts_on="0001-01-01", starts_time="00:00", zone="desk"), "outside the calendar"),
        (times(starts_on=""), "enter the date as well"),
        (times(ends_time=""), "enter the time as well"),
        (times(starts_on="tomorrow"), "Enter a valid date"),
        (times(zone="mars"), "not one of the available choices"),
        ({"trees": "autoland;;<b>"}, "“<b>” is no tree".replace("<", "&lt;").replace(">", "&gt;")),
        ({"trees": " ".join(f"tree{number}" for number in range(51))}, "51 trees are named and 50 is the most"),
        ({"tracking_bug": "many"}, "is no bug number"),
        ({"tracking_bug": "0"}, "is no bug number"),
        ({"tracking_bug": str(2**31)}, "is no bug number"),
        ({"extra_groups": "group@example.com nobody"}, "“nobody” is no mail address: it needs exactly one @."),
        ({"extra_groups": " ".join(f"g{number}@example.com" for number in range(21))}, "21 groups are named"),
        ({"policy": "quorum", "quorum": "3"}, "A quorum of 3 would never be reached: there are 2 pre-approvers."),
        ({"quorum": "0"}, "greater than or equal to 1"),
        ({"quorum": ""}, "This field is required"),
        ({"title": ""}, "Write a title"),
        ({"sheriff": "x" * 121}, "120"),
        ({"duty": "999999"}, "not one of the available choices"),
        ({"revision": ""}, "This form is no longer whole"),
        ({"separate_because": "x" * 5000}, "4000"),
    ],
)
def test_what_cannot_be_a_window_is_refused_with_a_sentence_and_nothing_is_lost(clients, noon, fields, problem):
    for number in range(2):
        Approver.objects.create(name=f"A {number}", address=f"a{number}@example.com", is_pre_approver=True)
    downtime, client = DowntimeFactory(), clients[Role.DUTY]
    before = every_row(leave_out=["django_session"])
    answer = save(client, downtime, **({"sheriff": "Typed with care"} | fields))
    assert answer.status_code == 422
    assert problem in problems(answer)
    assert "sheriff" in fields or "Typed with care" in answer.content.decode()
    assert every_row(leave_out=["django_session"]) == before


@pytest.mark.parametrize(
    "fields",
    [
        times(ends_time="14:01"),
        times(ends_on="2026-12-04", ends_time="14:00"),
        times(starts_on="2026-11-02", starts_time="12:01", ends_on="2026-11-02"),
        times(starts_on="2027-11-03", starts_time="12:00", ends_on="2027-11-03"),
        {"trees": " ".join(f"tree{number}" for number in range(50))},
        {"extra_groups": " ".join(f"g{number}@example.com" for number in range(20))},
        {"policy": "quorum", "quorum": "2"},
        {"policy": "all", "quorum": "99"},
        {"tracking_bug": str(2**31 - 1)},
    ],
)
def test_the_nearest_that_can_be_a_window_is_saved(clients, noon, fields):
    for number in range(2):
        Approver.objects.create(name=f"A {number}", address=f"a{number}@example.com", is_pre_approver=True)
    downtime = DowntimeFactory()
    assert save(clients[Role.DUTY], downtime, **fields).status_code == 302
    assert kept(downtime).revision == 1


def test_a_window_may_be_saved_half_and_its_plan_says_what_is_missing(clients, noon):
    downtime = DowntimeFactory()
    fields = {"starts_on": "2026-12-01", "starts_time": "14:00"}
    assert save(clients[Role.DUTY], downtime, **fields).status_code == 302
    shown = problems(clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/plan/"))
    assert "The window has no start or no end: enter both." in shown
    assert "No work is planned in this window" in shown


def test_a_window_that_runs_may_still_get_a_later_end(clients, noon):
    at = clock.now().replace(second=0, microsecond=0)
    downtime = DowntimeFactory(starts_at=at - HOUR, ends_at=at + HOUR, state=State.ANNOUNCED)
    fields = times("2026-11-02", f"{at - HOUR:%H:%M}", "2026-11-02", "15:00")
    assert save(clients[Role.DUTY], downtime, **fields).status_code == 302
    assert kept(downtime).ends_at == at.replace(hour=15, minute=0)


def test_a_time_that_exists_twice_is_asked_again_and_the_choice_is_kept(clients):
    clock.move(datetime(2026, 10, 1, 12, tzinfo=UTC) - clock.now())
    downtime, client = DowntimeFactory(), clients[Role.DUTY]
    fields = times("2026-10-25", "03:30", "2026-10-25", "08:00", zone="desk")
    asked = save(client, downtime, **fields)
    assert asked.status_code == 422
    assert "2026-10-25 03:30 exists twice" in problems(asked)
    text = asked.content.decode()
    choices = re.findall(r'type="radio" name="starts_meant" value="([^"]*)"', text)
    assert choices == ["2026-10-25T00:30Z", "2026-10-25T01:30Z"]
    assert not re.search(r'name="starts_meant"[^>]*checked', text), "none is chosen beforehand"
    assert save(client, downtime, **fields, starts_meant=choices[1]).status_code == 302
    assert kept(downtime).starts_at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert 'name="starts_meant" value="2026-10-25T01:30Z"' in page(client, f"/downtimes/{downtime.pk}/edit/")


def test_a_time_that_does_not_exist_is_asked_again(clients):
    clock.move(datetime(2027, 3, 1, 12, tzinfo=UTC) - clock.now())
    downtime = DowntimeFactory()
    fields = times("2027-03-28", "01:00", "2027-03-28", "03:30", zone="desk")
    asked = save(clients[Role.DUTY], downtime, **fields)
    assert "2027-03-28 03:30 does not exist" in problems(asked)
    choices = re.findall(r'type="radio" name="ends_meant" value="([^"]*)"', asked.content.decode())
    assert save(clients[Role.DUTY], downtime, **fields, ends_meant=choices[0]).status_code == 302
    assert kept(downtime).ends_at == datetime(2027, 3, 28, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["Switches\u202edcba", "Switches\x07", "<script>alert(1)</script>", "{{ 7|add:7 }}"])
def test_hostile_words_are_stored_harmless_and_shown_as_text(clients, text):
    downtime = DowntimeFactory()
    assert save(clients[Role.DUTY], downtime, title=text).status_code == 302
    assert not re.search("[\x07\u202e]", kept(downtime).title)
    shown = page(clients[Role.DUTY], f"/downtimes/{downtime.pk}/plan/")
    assert "<script>alert" not in shown and "\u202e" not in shown
    assert ("{{ 7|add:7 }}" in shown) is ("{{" in text)


# --- two at once ------------------------------------------------------------------------------------------------------


def test_who_saves_second_is_told_and_may_save_again_with_what_they_typed(clients, lead):
    downtime = window()
    opened = typed(downtime, title="Mine", sheriff="Mine")
    windows.edit(downtime, {"title": "Theirs"}, by=lead, revision=0)
    refused = clients[Role.DUTY].post(f"/downtimes/{downtime.pk}/edit/", opened)
    assert refused.status_code == 422
    assert "Somebody else changed this downtime after you opened the page" in problems(refused)
    assert 'value="Mine"' in refused.content.decode()
    assert kept(downtime).title == "Theirs"
    fresh = re.search(r'name="revision" value="(\d+)"', refused.content.decode())[1]
    assert clients[Role.DUTY].post(f"/downtimes/{downtime.pk}/edit/", opened | {"revision": fresh}).status_code == 302
    assert kept(downtime).title == "Mine"


def test_a_form_that_was_sent_twice_is_one_change(clients):
    downtime = window()
    form = typed(downtime, title="Once")
    answers = [clients[Role.DUTY].post(f"/downtimes/{downtime.pk}/edit/", form).status_code for _ in "12"]
    assert answers == [302, 302]
    assert kept(downtime).revision == 1
    assert Entry.objects.filter(about=downtime.about, verb="edited").count() == 1


def edit(downtime, by, title):
    try:
        windows.edit(Downtime.objects.get(pk=downtime.pk), {"title": title}, by=by, revision=downtime.revision)
    except windows.Outdated:
        return "told"
    return "saved"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_save_at_once_one_is_told():
    by = PersonFactory(role=Role.DUTY)
    for _ in range(6):
        downtime = DowntimeFactory(made_by=by)
        acts = [lambda title=title, row=downtime: edit(row, by, title) for title in ("One", "Two")]
        assert sorted(at_once(acts)) == ["saved", "told"]
        assert Entry.objects.filter(about=downtime.about, verb="edited").count() == kept(downtime).revision == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_windows_that_want_the_same_bug_at_once_one_gets_it():
    by = PersonFactory(role=Role.DUTY)
    for _ in range(6):
        nomination, both = NominationFactory(), [DowntimeFactory(made_by=by) for _ in "12"]

        def take(downtime, nomination=nomination):
            try:
                windows.add_item(downtime, nomination, by=by)
            except NotAllowed as refusal:
                return str(refusal)[:12]
            return "got it"

        at_once([lambda row=row: take(row) for row in both])
        assert Item.objects.filter(bug_id=nomination.bug_id).count() == 1


@pytest.mark.parametrize(
    ("fields", "stays"), [({"starts_at": None}, False), ({"ends_at": None}, False), ({"title": "Other"}, True)]
)
def test_a_manager_who_let_these_times_go_under_24_hours_agrees_anew_to_others(people, duty, fields, stays):
    manager = people[Role.MANAGER]
    downtime = window(emergency_because="The disk fails.", emergency_asked_by=duty, emergency_by=manager)
    windows.edit(downtime, fields, by=duty, revision=0)
    assert (kept(downtime).emergency_by == manager) is stays
    assert kept(downtime).emergency_because == "The disk fails."


def test_what_is_no_field_of_a_window_is_a_bug_of_ours(duty):
    with pytest.raises(ValueError, match="state"):
        windows.edit(DowntimeFactory(), {"state": "announced"}, by=duty, revision=0)


# --- the record -------------------------------------------------------------------------------------------------------


def test_the_record_tells_what_was_changed_with_times_and_without_texts(duty):
    downtime = window()
    fields = {"starts_at": downtime.starts_at + HOUR, "what_stops": "Secretly all", "trees": ["autoland"]}
    assert windows.edit(downtime, fields, by=duty, revision=0) is True
    entry = Entry.objects.get(about=downtime.about)
    assert entry.sentence == "Changed: start, trees, what will not work"
    assert entry.before == {"starts_at": (fields["starts_at"] - HOUR).isoformat(), "trees": []}
    assert entry.after == {"starts_at": fields["starts_at"].isoformat(), "trees": ["autoland"]}
    assert "Secretly" not in str((entry.sentence, entry.before, entry.after))


@pytest.mark.parametrize("state", State)
def test_a_window_is_changed_only_while_it_is_planned(duty, state):
    item, nomination = ItemFactory(downtime=window(state=state, duty=duty)), NominationFactory()
    acts = [
        lambda: windows.edit(item.downtime, {"title": "Other"}, by=duty, revision=0),
        lambda: windows.edit_item(item, {"minutes": 5}, by=duty),
        lambda: windows.move_item(item, "up", by=duty),
        lambda: windows.add_item(item.downtime, nomination, by=duty),
        lambda: windows.confirm_duty(item.downtime, by=duty),
        lambda: windows.take_out(item, by=duty),
    ]
    before = every_row()
    for act in acts:
        if state in rules.PLANNED:
            act()
        else:
            with pytest.raises(NotAllowed, match=f"is {state.label.lower()} by now, so nothing of it can be"):
                act()
    assert (every_row() == before) is (state not in rules.PLANNED)


def test_the_form_of_a_cancelled_window_says_so(clients):
    text = page(clients[Role.DUTY], f"/downtimes/{window(state=State.CANCELLED).pk}/edit/")
    assert "nothing of it can be changed any more" in text
    assert "Save the window" not in text


# --- the work ---------------------------------------------------------------------------------------------------------


def test_accepted_work_brings_its_wording_its_steps_and_its_assignee(duty):
    bug = BugTextFactory(assignee="Worker@Example.com").bug
    nomination = NominationFactory(
        bug_id=bug.pk, steps="Flash, reboot", minutes=40, rollback="Flash back", rollback_minutes=20
    )
    item = windows.add_item(downtime := window(), nomination, by=duty)
    assert (item.bug_id, item.nomination, item.worker) == (bug.pk, nomination, "worker@example.com")
    assert (item.steps, item.minutes, item.rollback, item.rollback_minutes) == ("Flash, reboot", 40, "Flash back", 20)
    assert item.public_text == nomination.public_text
    assert (item.confirmed_by, item.confirmed_as) == (nomination.text_by, Visibility.PUBLIC)
    assert kept(downtime).revision == 1
    assert windows.add_item(downtime, nomination, by=duty) == item, "twice is once"


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_the_wording_of_a_bug_that_is_not_public_is_confirmed_by_nobody_yet(duty, visibility):
    bug = BugTextFactory(bug__visibility=visibility, assignee="worker@example.com").bug
    item = windows.add_item(window(), NominationFactory(bug_id=bug.pk), by=duty)
    assert (item.confirmed_by, item.confirmed_as) == (None, "")
    assert item.worker == ("worker@example.com" if visibility == Visibility.STAFF else "")


def test_wording_that_nobody_typed_or_a_bug_that_was_never_read_is_confirmed_by_nobody(duty):
    for fields in ({"text_by": None, "asked_by": None}, {"public_text": " "}, {"bug_id": 1400999}):
        item = windows.add_item(window(), NominationFactory(**fields), by=duty)
        assert (item.confirmed_by, item.confirmed_as) == (None, "")


def test_a_bug_that_is_assigned_to_nobody_has_no_worker(duty):
    bug = BugTextFactory(assignee="nobody@example.com").bug
    assert windows.add_item(window(), NominationFactory(bug_id=bug.pk), by=duty).worker == ""


def test_a_bug_stands_in_one_window(duty):
    nomination, first = NominationFactory(), window(title="First")
    windows.add_item(first, nomination, by=duty)
    with pytest.raises(NotAllowed, match=f"Bug {nomination.bug_id} is planned in “First”: take it out there first"):
        windows.add_item(window(), nomination, by=duty)
    Downtime.objects.filter(pk=first.pk).update(**{"state": State.CANCELLED})
    assert windows.add_item(window(), nomination, by=duty)


def test_work_whose_bug_is_not_filed_yet_waits(duty):
    with pytest.raises(NotAllowed, match="has not filed the bug of this work yet"):
        windows.add_item(window(), NominationFactory(bug_id=None, key="form 1"), by=duty)


def test_the_hundredth_item_is_taken_and_the_next_refused_even_of_four_hundred(duty):
    downtime = window()
    items = [Item(downtime=downtime, bug_id=number, position=number) for number in range(1, rules.MOST_ITEMS)]
    Item.objects.bulk_create(items)
    windows.add_item(downtime, NominationFactory(), by=duty)
    for _ in range(3):
        with pytest.raises(NotAllowed, match="holds 100 items, the most there can be: choose another window"):
            windows.add_item(downtime, NominationFactory(), by=duty)
    assert downtime.items.count() == rules.MOST_ITEMS


def test_work_that_is_taken_out_waits_for_a_decision_again(clients, duty):
    nomination = NominationFactory(state=NominationState.ACCEPTED, flag_wanted="+")
    item = windows.add_item(downtime := window(), nomination, by=duty)
    address = f"/downtimes/{downtime.pk}/items/{item.pk}/take-out/"
    assert clients[Role.DUTY].post(address).headers["Location"] == f"/downtimes/{downtime.pk}/plan/#work"
    assert not Item.objects.exists()
    assert (kept(nomination).state, kept(nomination).flag_wanted) == (NominationState.REQUESTED, "")
    assert Entry.objects.filter(about=nomination.about, verb="take out", by=duty).count() == 1
    again = clients[Role.DUTY].post(address, follow=True)
    assert "This work was taken out of the window meanwhile." in problems(again)
    assert Entry.objects.filter(about=nomination.about, verb="take out").count() == 1


def told(nomination):
    """Return what the bug of a nomination is told, the newest first."""
    return [(row.purpose, row.wants) for row in BugUpdate.objects.filter(about=nomination.about).order_by("-pk")]


def test_a_bug_that_is_taken_out_is_asked_about_anew_in_bugzilla_and_loses_its_proposed_time(duty):
    nomination = NominationFactory(state=NominationState.ACCEPTED, flag_wanted="+")
    item = windows.add_item(window(), nomination, by=duty)
    windows.take_out(item, by=duty)
    [(purpose, wants)] = told(nomination)
    assert purpose == "downtimes: take out"
    assert wants["flags"] == [{"name": "needs-treeclosure", "status": "?"}]
    assert (wants["token"], wants["token_kind"]) == ("", "downtime")
    [row] = BugUpdate.objects.all()
    assert Entry.objects.get(about=nomination.about, verb="take out").caused == [str(row)]


def test_a_bug_that_ciduty_cannot_see_is_taken_out_and_told_nothing(duty):
    bug = BugTextFactory(bug__visibility=Visibility.RESTRICTED, bug__not_visible_since=clock.now()).bug
    nomination = NominationFactory(bug_id=bug.pk, state=NominationState.ACCEPTED)
    windows.take_out(windows.add_item(window(), nomination, by=duty), by=duty)
    assert kept(nomination).state == NominationState.REQUESTED
    assert told(nomination) == []
    assert "cannot see bug" in Entry.objects.filter(about=nomination.about).first().sentence


def test_r18_another_start_is_told_to_the_bugs_of_the_window_once(duty, noon):
    nomination = NominationFactory(state=NominationState.ACCEPTED)
    downtime = windows.add_item(window(), nomination, by=duty).downtime
    for moved in ("2026-12-01", "2026-12-01", "2026-12-02"):
        fields = {"starts_at": datetime.fromisoformat(f"{moved}T14:00+00:00"), "ends_at": None}
        windows.edit(downtime, fields, by=duty, revision=kept(downtime).revision)
    windows.edit(downtime, {"title": "Other"}, by=duty, revision=kept(downtime).revision)
    tokens = [wants["token"] for _, wants in told(nomination)]
    assert tokens == ["downtime 2026-12-02T14:00Z", "downtime 2026-12-01T14:00Z"]
    rows = [str(row) for row in BugUpdate.objects.order_by("pk")]
    caused = Entry.objects.filter(about=downtime.about, verb="edited").order_by("pk").values_list("caused", flat=True)
    assert list(caused) == [[rows[0]], [rows[1]], []]


def test_work_is_moved_up_and_down_and_stays_at_the_ends(clients):
    downtime = window()
    a, b, c = (ItemFactory(downtime=downtime, position=7) for _ in "abc")
    order = [a.bug_id, b.bug_id, c.bug_id]
    assert numbers(downtime) == order

    def press(item, direction):
        address = f"/downtimes/{downtime.pk}/items/{item.pk}/move/"
        return clients[Role.DUTY].post(address, {"direction": direction}, follow=True)

    press(c, "up")
    assert numbers(downtime) == [a.bug_id, c.bug_id, b.bug_id]
    press(a, "down")
    assert numbers(downtime) == [c.bug_id, a.bug_id, b.bug_id]
    revision = kept(downtime).revision
    press(c, "up"), press(b, "down")
    assert numbers(downtime) == [c.bug_id, a.bug_id, b.bug_id]
    assert kept(downtime).revision == revision
    assert "press Up or Down" in problems(press(a, "sideways"))


# --- one piece of work ------------------------------------------------------------------------------------------------


def typed_item(item, **fields):
    form = {name: getattr(item, name) or "" for name in windows.ITEM_FIELDS}
    form |= {"shown": windows.look_of(item), "shown_as": mirrored.visibility_of(item.bug_id)}
    return form | fields


def save_item(client, item, **fields):
    return client.post(f"/downtimes/{item.downtime_id}/items/{item.pk}/", typed_item(item, **fields))


def test_typing_the_public_text_confirms_it_for_the_bug_as_it_stands_now(clients, duty):
    bug = BugTextFactory(bug__visibility=Visibility.STAFF).bug
    item = ItemFactory(bug_id=bug.pk, confirmed_by=None, confirmed_as="")
    assert save_item(clients[Role.DUTY], item, public_text="Work on the network.").status_code == 302
    item = kept(item)
    assert (item.public_text, item.confirmed_by, item.confirmed_as) == ("Work on the network.", duty, "staff")


def test_saving_other_words_confirms_no_text_that_nobody_read(clients, duty):
    item = ItemFactory(confirmed_by=None, confirmed_as="")
    save_item(clients[Role.DUTY], item, minutes=5)
    assert (kept(item).minutes, kept(item).confirmed_by) == (5, None)
    save_item(clients[Role.DUTY], kept(item), confirms="on")
    assert (kept(item).confirmed_by, kept(item).confirmed_as) == (duty, "public")


def test_a_text_that_is_emptied_is_confirmed_by_nobody(clients):
    item = ItemFactory()
    save_item(clients[Role.DUTY], item, public_text="", confirms="on")
    assert (kept(item).public_text, kept(item).confirmed_by, kept(item).confirmed_as) == ("", None, "")


def test_a_bug_that_turned_private_while_the_page_was_open_is_read_again_first(clients, duty):
    item = ItemFactory(confirmed_by=None, confirmed_as="")
    opened = typed_item(item, public_text="All of it.")
    Bug.objects.filter(pk=item.bug_id).update(visibility=Visibility.RESTRICTED)
    refused = clients[Role.DUTY].post(f"/downtimes/{item.downtime_id}/items/{item.pk}/", opened)
    assert refused.status_code == 422
    assert f"Bug {item.bug_id} is restricted by now" in problems(refused)
    assert "All of it." in refused.content.decode()
    assert kept(item).confirmed_by is None
    assert 'name="shown_as" value="restricted"' in refused.content.decode()


def test_who_saves_the_same_work_second_is_told(clients, lead):
    item = ItemFactory()
    opened = typed_item(item, steps="Mine")
    windows.edit_item(item, {"steps": "Theirs"}, by=lead)
    address = f"/downtimes/{item.downtime_id}/items/{item.pk}/"
    refused = clients[Role.DUTY].post(address, opened)
    assert "Somebody else changed the work of bug" in problems(refused)
    assert kept(item).steps == "Theirs"
    fresh = re.search(r'name="shown" value="(\w+)"', refused.content.decode())[1]
    assert clients[Role.DUTY].post(address, opened | {"shown": fresh}).status_code == 302
    assert kept(item).steps == "Mine"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"worker": "nobody@example.com"}, "is Bugzilla’s word for nobody"),
        ({"worker": "two people"}, "A login has no blank in it"),
        ({"worker": "x" * 256}, "255"),
        ({"minutes": "0"}, "greater than or equal to 1"),
        ({"minutes": "4321"}, "less than or equal to 4320"),
        ({"rollback_minutes": "-1"}, "greater than or equal to 0"),
        ({"public_text": "x" * 1001}, "1000"),
        ({"shown": ""}, "This form is no longer whole"),
    ],
)
def test_what_cannot_be_work_is_refused_with_a_sentence_and_nothing_is_lost(clients, fields, problem):
    item = ItemFactory()
    answer = save_item(clients[Role.DUTY], item, **({"steps": "Typed with care"} | fields))
    assert answer.status_code == 422
    assert problem in problems(answer)
    assert "Typed with care" in answer.content.decode()
    assert kept(item).steps == ""


def test_a_login_is_kept_in_lower_case_as_bugzilla_compares_it(clients):
    item = ItemFactory()
    save_item(clients[Role.DUTY], item, worker="Worker2@Example.com", rollback_minutes="0")
    assert (kept(item).worker, kept(item).rollback_minutes) == ("worker2@example.com", 0)


# --- who reads what ---------------------------------------------------------------------------------------------------


def test_a_summary_is_shown_to_those_who_may_read_it_and_a_restricted_bug_only_by_its_number(clients):
    downtime = window()
    words = {
        Visibility.PUBLIC: "Everybody reads this",
        Visibility.STAFF: "Staff reads this",
        Visibility.RESTRICTED: "Left behind",
    }
    for visibility, summary in words.items():
        bug = BugTextFactory(bug__visibility=visibility, summary=summary, assignee=f"{visibility}-worker@example.com")
        ItemFactory(downtime=downtime, bug_id=bug.pk, worker=f"{visibility}-worker@example.com")
    shown = {role: page(clients[role], f"/downtimes/{downtime.pk}/plan/") for role in (Role.DUTY, Role.MANAGER)}
    for role, staff in ((Role.DUTY, True), (Role.MANAGER, False)):
        assert "Everybody reads this" in shown[role]
        assert ("Staff reads this" in shown[role]) is staff
        assert ("staff-worker@example.com" in shown[role]) is staff
        assert "Left behind" not in shown[role]
        assert all(str(number) in shown[role] for number in numbers(downtime))


def test_only_who_may_plan_is_offered_a_change(clients):
    downtime = ItemFactory(downtime=window()).downtime
    for role, may in ((Role.DUTY, True), (Role.LEAD, True), (Role.MANAGER, False), (Role.SCHEDULER, False)):
        text = page(clients[role], f"/downtimes/{downtime.pk}/plan/")
        for words in ("Change the window", "Take out</button>", f"/items/{downtime.items.get().pk}/"):
            assert (words in text) is may, (role, words)


@pytest.mark.parametrize("number", [0, 2**31, 2**63, 2**64, 10**60])
def test_a_number_that_no_downtime_has_is_no_such_page(clients, number):
    downtime = window()
    for address in ("plan/", "edit/", f"items/{ItemFactory().pk}/", "confirm-duty/", "items/1/move/"):
        method = clients[Role.LEAD].post if address.endswith(("duty/", "move/")) else clients[Role.LEAD].get
        assert method(f"/downtimes/{number}/{address}").status_code == 404
    assert clients[Role.LEAD].get(f"/downtimes/{downtime.pk}/items/{number}/").status_code == 404


def test_work_of_another_window_is_not_found_under_this_one(clients):
    mine, other = window(), ItemFactory(downtime=window())
    assert clients[Role.DUTY].get(f"/downtimes/{mine.pk}/items/{other.pk}/").status_code == 404
    clients[Role.DUTY].post(f"/downtimes/{mine.pk}/items/{other.pk}/take-out/")
    assert kept(other)


# --- how often the database is asked ----------------------------------------------------------------------------------


def queries(client, address):
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


def test_the_pages_ask_as_often_for_a_hundred_items_as_for_one(clients):
    downtime = ItemFactory(downtime=window()).downtime
    NominationFactory()
    item = downtime.items.get()
    tails = ("plan/", "edit/", f"items/{item.pk}/")
    before = {tail: queries(clients[Role.DUTY], f"/downtimes/{downtime.pk}/{tail}") for tail in tails}
    for number in range(99):
        ItemFactory(downtime=downtime, position=100 + number)
    for _ in range(20):
        NominationFactory()
        window()
    after = {tail: queries(clients[Role.DUTY], f"/downtimes/{downtime.pk}/{tail}") for tail in tails}
    assert after == before
    assert before["plan/"] <= 40 and before["edit/"] <= 12 and before[f"items/{item.pk}/"] <= 14


# --- the clock on the plan --------------------------------------------------------------------------------------------


def test_the_plan_shows_the_latest_moment_in_three_zones_and_the_time_left(clients, noon):
    downtime = DowntimeFactory(
        starts_at=datetime(2026, 11, 4, 13, tzinfo=UTC), ends_at=datetime(2026, 11, 4, 15, tzinfo=UTC)
    )
    shown = problems(clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/plan/"))
    for words in ("Tue 03 Nov 2026 13:00 UTC", "Tue 03 Nov 2026 15:00 EET", "Tue 03 Nov 2026 05:00 PST"):
        assert words in shown
    assert re.search(r"2[45] h \d\d min left", shown)
    clock.move(timedelta(hours=26))
    shown = problems(clients[Role.DUTY].get(f"/downtimes/{downtime.pk}/plan/"))
    assert "ago: postpone it, or ask a manager to agree to an emergency" in shown
    assert "It is too late for a start at 2026-11-04 13:00 UTC" in shown


def test_the_value_of_the_times_names_both_to_the_minute(noon):
    downtime = DowntimeFactory(starts_at=datetime(2026, 11, 4, 13, tzinfo=UTC))
    assert plan_page.times_value(downtime) == "2026-11-04T13:00Z/"
