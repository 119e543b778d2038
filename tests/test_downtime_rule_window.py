"""R7 to R14, R16, R19, R20 and R37: what must hold of a window before anybody is asked, from both sides, by number.

Each gate is tried three times: as a pure question, on the plan's page, and by the verb that it stands before.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Bug, BugText, Visibility
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes import asking_to_agree, rules, windows
from downtimes.facts import facts_of
from downtimes.models import Downtime, Item
from downtimes.rules import Facts, ItemFacts, NominationState, Other, State, Votes, refusals
from tests.cast import BugTextFactory, DowntimeFactory, ItemFactory, MailingListFactory, NominationFactory

pytestmark = pytest.mark.django_db

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
#: A Saturday, in the desk's working hours on no day.
START = datetime(2026, 11, 7, 12, tzinfo=UTC)
ASK = "ask for agreement"
OP = "0123abcd"


@pytest.fixture(autouse=True)
def noon(settings):
    """The clock stands on Monday 2 November 2026, 12:00 UTC; a mail server is configured and never asked."""
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    clock.move(NOON - clock.now())


@pytest.fixture
def sound(people):
    """A window against which nothing stands: named, confirmed, with one piece of work by its bug's assignee."""
    duty = people[Role.DUTY]
    MailingListFactory()
    downtime = DowntimeFactory(
        made_by=duty, duty=duty, duty_confirmed_at=NOON, starts_at=START, ends_at=START + 2 * HOUR,
        urgency="routine", close="hard", trees=["autoland", "mozilla-central"],
    )  # fmt: skip
    work(downtime)
    return downtime


def work(downtime, **fields):
    bug = BugTextFactory(assignee="worker@example.com", bug__is_loaner_request=False).bug
    return ItemFactory(downtime=downtime, bug_id=bug.pk, **fields)


def against(downtime):
    return refusals(ASK, facts_of(Downtime.objects.get(pk=downtime.pk), clock.now()))


def plan(client, downtime):
    text = client.get(f"/downtimes/{downtime.pk}/plan/").content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def is_refused(downtime, client, sentence):
    """Try the verb, and look at the page: both say the sentence, and nobody is asked."""
    said = against(downtime)
    assert [one for one in said if sentence in one], said
    assert sentence in plan(client, downtime)
    with pytest.raises(NotAllowed, match=re.escape(sentence)):
        asking_to_agree.ask_workers(Downtime.objects.get(pk=downtime.pk), by=downtime.made_by, op=OP)
    now_there = Downtime.objects.get(pk=downtime.pk)
    assert (now_there.state, now_there.versions.count()) == (State.DRAFT, 0)


def is_asked(downtime, client):
    """Do the verb: nothing stands against it, on the page neither."""
    assert against(downtime) == []
    assert "Nothing stands against asking for agreement." in plan(client, downtime)
    version = asking_to_agree.ask_workers(Downtime.objects.get(pk=downtime.pk), by=downtime.made_by, op=OP)
    assert version.number == 1
    assert Downtime.objects.get(pk=downtime.pk).state == State.AGREEING


def change(downtime, by, **fields):
    row = Downtime.objects.get(pk=downtime.pk)
    windows.edit(row, fields, by=by, revision=row.revision)


def confirm(downtime, by):
    windows.confirm_duty(Downtime.objects.get(pk=downtime.pk), by=by)


def test_a_window_that_keeps_every_rule_is_asked_about(sound, clients):
    is_asked(sound, clients[Role.DUTY])


# --- R7: urgency ------------------------------------------------------------------------------------------------------


def test_r7_nobody_is_asked_before_the_urgency_is_weighed(sound, clients, duty):
    change(sound, duty, urgency="")
    is_refused(sound, clients[Role.DUTY], "Nobody said how urgent the work is: choose it.")
    change(sound, duty, urgency="soon")
    is_asked(sound, clients[Role.DUTY])


@pytest.mark.parametrize("urgency", rules.Urgency)
def test_r7_any_urgency_will_do_once_it_is_said(urgency):
    assert rules.URGENCY.refuses(Facts(at=NOON, urgency=urgency)) == ""
    assert rules.URGENCY.refuses(Facts(at=NOON)) != ""


# --- R8: what else shares the window ----------------------------------------------------------------------------------


def test_r8_a_window_without_work_is_not_asked_about(sound, clients, duty):
    item = sound.items.get()
    windows.take_out(item, by=duty)
    is_refused(sound, clients[Role.DUTY], "No work is planned in this window: accept at least one bug into it.")
    work(sound)
    is_asked(sound, clients[Role.DUTY])


def test_r8_work_that_waits_in_the_queue_is_named_on_the_plan_the_same_system_first(sound, clients, duty):
    NominationFactory(system="ftp.mozilla.org", bug_id=1500001)
    NominationFactory(system="hg.mozilla.org", bug_id=1500002)
    for number, fields in enumerate(
        ({"state": NominationState.DECLINED}, {"state": "deferred", "deferred_until": NOON.date() + timedelta(days=9)})
    ):
        NominationFactory(bug_id=1500010 + number, **fields)
    NominationFactory(bug_id=1500020, state="deferred", deferred_until=NOON.date())
    Item.objects.filter(downtime=sound).update(nomination=NominationFactory(state=NominationState.ACCEPTED))
    text = plan(clients[Role.DUTY], sound)
    assert "could ride along" in text
    assert [number for number in re.findall(r"bug (15000\d\d)", text)] == ["1500002", "1500020", "1500001"]
    assert "ride along" not in plan(clients[Role.MANAGER], sound), "only CiDuty decides about the queue"


def test_r8_work_that_does_not_fit_in_the_window_is_refused_and_what_just_fits_is_not(sound, clients, duty):
    windows.edit_item(sound.items.get(), {"minutes": 121}, by=duty)
    is_refused(sound, clients[Role.DUTY], "The work takes 121 minutes and the window is shorter: enter a later end.")
    windows.edit_item(sound.items.get(), {"minutes": 120}, by=duty)
    is_asked(sound, clients[Role.DUTY])


def test_r8_a_window_holds_a_hundred_items_and_not_one_more():
    item = ItemFacts(1, "x", False, True, "worker@example.com", "worker@example.com", 1, 1)
    assert rules.ITEMS.refuses(Facts(at=NOON, items=(item,) * 100)) == ""
    assert "101 items are planned and 100 is the most" in rules.ITEMS.refuses(Facts(at=NOON, items=(item,) * 101))


# --- R9, R10, R12, R14: what to weigh, and who is asked ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "busy"),
    [
        (datetime(2026, 11, 4, 18, tzinfo=UTC), True),  # Wednesday, 10:00 in California
        (datetime(2026, 11, 4, 13, tzinfo=UTC), False),  # 05:00 until 07:00
        (datetime(2026, 11, 4, 14, tzinfo=UTC), True),  # 06:00 until 08:00
        (datetime(2026, 11, 5, 3, tzinfo=UTC), False),  # 19:00 on
        (datetime(2026, 11, 7, 18, tzinfo=UTC), False),  # Saturday
    ],
)
def test_r9_a_window_in_office_hours_of_pacific_time_is_pointed_out_and_allowed(sound, clients, duty, start, busy):
    change(sound, duty, starts_at=start, ends_at=start + 2 * HOUR)
    confirm(sound, duty)
    assert ("office hours in Pacific time" in plan(clients[Role.DUTY], sound)) is busy
    is_asked(sound, clients[Role.DUTY])


def test_r10_the_plan_asks_for_the_effect_on_releases_and_no_list_hears_of_it_before_the_pre_approvers(
    sound, clients, duty
):
    assert "what it means for releases" in plan(clients[Role.DUTY], sound)
    change(sound, duty, effect_on_releases="None: no release is in flight.")
    assert "for releases" not in plan(clients[Role.DUTY], sound)
    facts = facts_of(sound, NOON)
    assert "No pre-approver was asked yet: ask them before any list hears of it." in refusals("announce", facts)
    agreed = replace(facts, pre_approvers=Votes(asked=1, approved=1))
    assert not [one for one in refusals("announce", agreed) if "pre-approver" in one]


def test_r12_nothing_is_announced_before_every_worker_agreed_to_the_time(sound):
    facts = replace(facts_of(sound, NOON), text_is_frozen=True, pre_approvers=Votes(asked=1, approved=1))
    waiting = replace(facts, workers=Votes(asked=2, approved=1, missing=("Worker",)))
    assert refusals("announce", waiting) == ["Not every worker has agreed yet: Worker."]
    assert refusals("announce", replace(facts, workers=Votes(asked=2, approved=2))) == []


@pytest.mark.parametrize(("ahead", "short"), [(48 * HOUR, False), (48 * HOUR - SECOND, True), (24 * HOUR, True)])
def test_r14_a_notice_of_little_more_than_a_day_is_pointed_out_and_allowed(sound, clients, duty, ahead, short):
    at = NOON + HOUR
    change(sound, duty, starts_at=at + ahead, ends_at=at + ahead + 2 * HOUR)
    confirm(sound, duty)
    clock.move(at - clock.now() - 30 * SECOND)
    text = plan(clients[Role.DUTY], sound)
    if ahead != 48 * HOUR - SECOND:  # half a minute of slack: the page's own clock runs on
        assert ("hardly more than the 24 hours" in text) is short
    assert against(sound) == []


@pytest.mark.parametrize(("ahead", "allowed"), [(24 * HOUR, True), (24 * HOUR - SECOND, False)])
def test_r14_less_than_24_hours_is_refused_and_exactly_so_much_is_not(ahead, allowed):
    facts = Facts(at=NOON, starts_at=NOON + ahead, ends_at=NOON + ahead + HOUR)
    assert (rules.NOTICE_AHEAD.refuses(facts) == "") is allowed


# --- R11, R37: other downtimes near it --------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["before", "after"])
def test_r11_another_downtime_within_24_hours_is_refused_until_somebody_says_why_r37(sound, clients, duty, side):
    gap = 24 * HOUR - SECOND
    start = START - gap - HOUR if side == "before" else START + 2 * HOUR + gap
    DowntimeFactory(title="The other one", starts_at=start, ends_at=start + HOUR)
    sentence = "The other one is less than 24 hours away: join them, or say why they are separate."
    is_refused(sound, clients[Role.DUTY], sentence)
    assert "Less than 24 hours from another downtime" in plan(clients[Role.DUTY], sound)
    change(sound, duty, separate_because="Two at once would risk both.")
    is_asked(sound, clients[Role.DUTY])
    assert "Two at once would risk both." in plan(clients[Role.DUTY], sound)


@pytest.mark.parametrize("side", ["before", "after"])
def test_r11_another_downtime_exactly_24_hours_away_is_far_enough(sound, clients, side):
    start = START - 25 * HOUR if side == "before" else START + 26 * HOUR
    DowntimeFactory(title="The other one", starts_at=start, ends_at=start + HOUR)
    assert "from another downtime" not in plan(clients[Role.DUTY], sound)
    is_asked(sound, clients[Role.DUTY])


@pytest.mark.parametrize("fields", [{"state": State.CANCELLED}, {"starts_at": None}, {"ends_at": None}])
def test_r11_a_cancelled_downtime_or_one_without_times_is_near_to_nothing(sound, clients, fields):
    DowntimeFactory(**({"starts_at": START, "ends_at": START + HOUR} | fields))
    is_asked(sound, clients[Role.DUTY])


def test_r37_blanks_are_no_reason():
    other = Other("Other", START, START + HOUR)
    facts = Facts(at=NOON, starts_at=START, ends_at=START + HOUR, others=(other,), separate_because="  \n")
    assert "say why they are separate" in rules.GAP_TO_OTHERS.refuses(facts)
    assert rules.GAP_TO_OTHERS.refuses(replace(facts, separate_because="x")) == ""


# --- R13: CiDuty is there ---------------------------------------------------------------------------------------------


def press(client, downtime, times=None):
    shown = f"{downtime.starts_at:%Y-%m-%dT%H:%MZ}/{downtime.ends_at:%Y-%m-%dT%H:%MZ}" if times is None else times
    answer = client.post(f"/downtimes/{downtime.pk}/confirm-duty/", {"times": shown}, follow=True)
    return re.sub(r"\s+", " ", answer.content.decode())


def test_r13_somebody_of_ciduty_is_named_and_confirms_being_there_for_the_whole_window(sound, clients, duty):
    change(sound, duty, duty=None)
    is_refused(sound, clients[Role.DUTY], "Nobody of CiDuty is named who is there for the whole window: name them.")
    change(sound, duty, duty=duty)
    is_refused(sound, clients[Role.DUTY], f"{duty} has not confirmed being there for the whole window.")
    assert "I am there for the whole window" in plan(clients[Role.DUTY], sound)
    assert "You confirmed that you are there" in press(clients[Role.DUTY], sound)
    is_asked(sound, clients[Role.DUTY])
    entry = Entry.objects.get(about=sound.about, verb="duty confirmed")
    assert (entry.by, entry.sentence) == (duty, "Confirmed being there from 2026-11-07 12:00 to 2026-11-07 14:00 UTC")


def test_r13_nobody_confirms_in_somebody_elses_place(sound, clients, duty):
    Downtime.objects.filter(pk=sound.pk).update(duty_confirmed_at=None)
    assert "I am there for the whole window" not in plan(clients[Role.LEAD], sound)
    assert f"Only {duty} can say that they are there for the whole window" in press(clients[Role.LEAD], sound)
    assert Downtime.objects.get(pk=sound.pk).duty_confirmed_at is None


@pytest.mark.parametrize("change_of", ["start", "end", "person"])
def test_r13_another_window_or_person_is_confirmed_anew(sound, clients, duty, lead, change_of):
    fields = {
        "start": {"starts_at": START - SECOND * 60},
        "end": {"ends_at": START + 2 * HOUR + SECOND * 60},
        "person": {"duty": lead},
    }[change_of]
    change(sound, duty, **fields)
    is_refused(sound, clients[Role.DUTY], "has not confirmed being there for the whole window.")


def test_r13_other_changes_leave_the_confirmation_alone(sound, duty):
    change(sound, duty, title="Another title", trees=["try"], close="soft", urgency="soon")
    assert Downtime.objects.get(pk=sound.pk).duty_confirmed_at == NOON


def test_r13_nobody_confirms_a_window_that_they_have_not_seen(sound, clients, duty):
    change(sound, duty, starts_at=START + HOUR)
    said = press(clients[Role.DUTY], sound)  # the page still showed the old start
    assert "The window was moved after you opened the page" in said
    assert Downtime.objects.get(pk=sound.pk).duty_confirmed_at is None
    assert "The window was moved" in press(clients[Role.DUTY], sound, times="")


def test_r13_a_window_that_is_moved_between_the_page_and_the_click_is_not_confirmed(sound, duty):
    change(sound, duty, starts_at=START + HOUR)
    with pytest.raises(NotAllowed, match="The window was moved after you opened the page"):
        windows.confirm_duty(sound, by=duty, times=(START, START + 2 * HOUR))
    windows.confirm_duty(sound, by=duty, times=(START + HOUR, START + 2 * HOUR))


def test_r13_a_window_without_times_or_person_cannot_be_confirmed(sound, clients, duty):
    change(sound, duty, starts_at=None)
    assert "The window has no start or no end yet" in press(clients[Role.DUTY], sound, "/2026-11-07T14:00Z")
    change(sound, duty, duty=None, starts_at=START)
    assert "Nobody is named as the duty person" in press(clients[Role.DUTY], sound)


def test_r13_confirmed_twice_is_confirmed_once(sound, clients, duty):
    change(sound, duty, ends_at=START + HOUR)
    row = Downtime.objects.get(pk=sound.pk)
    press(clients[Role.DUTY], row), press(clients[Role.DUTY], row)
    assert Entry.objects.filter(about=sound.about, verb="duty confirmed").count() == 1


def test_r13_a_window_outside_the_desks_hours_is_pointed_out(sound, clients, duty):
    assert "outside the desk’s working hours" in plan(clients[Role.DUTY], sound)
    tuesday = datetime(2026, 11, 10, 13, tzinfo=UTC)  # 15:00 in Bucharest
    change(sound, duty, starts_at=tuesday, ends_at=tuesday + 2 * HOUR)
    assert "outside the desk’s" not in plan(clients[Role.DUTY], sound)
    change(sound, duty, ends_at=tuesday + 2 * HOUR + SECOND * 120)
    assert "outside the desk’s" in plan(clients[Role.DUTY], sound)


# --- R16: the assignee does the work ----------------------------------------------------------------------------------


def test_r16_a_worker_who_is_not_the_assignee_is_refused(sound, clients, duty):
    item = sound.items.get()
    windows.edit_item(item, {"worker": "other@example.com"}, by=duty)
    sentence = f"The worker is not the assignee in Bugzilla: bug {item.bug_id}. Assign the bug to who really does it."
    is_refused(sound, clients[Role.DUTY], sentence)
    BugText.objects.filter(pk=item.bug_id).update(assignee="Other@Example.com")
    is_asked(sound, clients[Role.DUTY])


def test_r16_work_without_a_worker_is_refused(sound, clients, duty):
    item = sound.items.get()
    windows.edit_item(item, {"worker": ""}, by=duty)
    is_refused(sound, clients[Role.DUTY], f"Nobody is named who does the work of bug {item.bug_id}: enter the worker.")
    windows.edit_item(item, {"worker": "worker@example.com"}, by=duty)
    is_asked(sound, clients[Role.DUTY])


def test_r16_a_bug_that_is_given_to_somebody_else_stops_the_asking(sound, clients):
    BugText.objects.filter(pk=sound.items.get().bug_id).update(assignee="somebody@example.com")
    is_refused(sound, clients[Role.DUTY], "The worker is not the assignee in Bugzilla")


def test_r16_the_assignee_of_a_bug_that_nobody_may_read_is_taken_on_a_persons_word(sound, clients, duty):
    item = sound.items.get()
    Bug.objects.filter(pk=item.bug_id).update(visibility=Visibility.RESTRICTED)
    BugText.objects.filter(pk=item.bug_id).delete()
    windows.edit_item(item, {"worker": "trusted@example.com", "public_text": "Work on a server."}, by=duty)
    is_asked(sound, clients[Role.DUTY])


@pytest.mark.parametrize(
    ("worker", "assignee", "refused"),
    [
        ("a@example.com", "a@example.com", False),
        ("a@example.com", None, False),
        ("a@example.com", "b@example.com", True),
        ("", "a@example.com", True),
        ("", None, True),
    ],
)
def test_r16_as_a_question(worker, assignee, refused):
    item = ItemFacts(1, "x", False, True, worker, assignee, 1, 1)
    assert bool(rules.WORKER.refuses(Facts(at=NOON, items=(item,)))) is refused


# --- R19, R20: what the notice says of the work -----------------------------------------------------------------------


def test_r19_an_item_without_wording_is_refused(sound, clients, duty):
    item = sound.items.get()
    windows.edit_item(item, {"public_text": ""}, by=duty)
    is_refused(sound, clients[Role.DUTY], f"The notice says nothing of bug {item.bug_id}: enter its public text.")
    windows.edit_item(item, {"public_text": "New switches."}, by=duty)
    is_asked(sound, clients[Role.DUTY])


def test_r19_every_item_needs_its_own_wording_and_each_silent_one_is_named(sound, clients):
    silent = [work(sound, public_text=" ", minutes=1).bug_id for _ in "ab"]
    is_refused(sound, clients[Role.DUTY], f"The notice says nothing of bug {silent[0]}, bug {silent[1]}")


def test_r20_a_text_that_was_confirmed_for_a_public_bug_is_confirmed_anew_when_it_turns_private(sound, clients, duty):
    item = sound.items.get()
    sentence = f"Nobody confirmed the public text of bug {item.bug_id} as the bug stands now: read it and confirm it."
    for visibility in (Visibility.STAFF, Visibility.RESTRICTED, Visibility.PUBLIC):
        Bug.objects.filter(pk=item.bug_id).update(visibility=visibility)
        if visibility != Visibility.PUBLIC:
            is_refused(sound, clients[Role.DUTY], sentence)
    is_asked(sound, clients[Role.DUTY])


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_r20_a_vague_text_that_a_person_confirms_lets_a_private_bug_through_with_its_number(
    sound, clients, duty, visibility
):
    item = sound.items.get()
    Bug.objects.filter(pk=item.bug_id).update(visibility=visibility)
    windows.edit_item(item, {"public_text": "Security work."}, by=duty)
    is_asked(sound, clients[Role.DUTY])
    body = sound.versions.get().body
    assert f"Bug {item.bug_id}: Security work." in body


def test_r20_a_bug_that_was_never_read_counts_as_restricted(sound, clients, duty):
    item = ItemFactory(downtime=sound, bug_id=1999999, confirmed_as=Visibility.PUBLIC, minutes=1)
    is_refused(sound, clients[Role.DUTY], "Nobody confirmed the public text of bug 1999999 as the bug stands now")
    windows.edit_item(item, {}, by=duty, confirms=True)
    is_asked(sound, clients[Role.DUTY])


def test_r20_the_words_of_a_private_bug_stand_nowhere_on_the_plan_the_form_or_in_the_record(sound, clients, duty):
    canary = "CANARY-7f3a"
    bug = BugTextFactory(
        bug__visibility=Visibility.RESTRICTED, summary=canary, alias=canary, whiteboard=canary,
        assignee=f"{canary}@example.com", assignee_name=canary, creator_name=canary,
    ).bug  # fmt: skip
    nomination = NominationFactory(bug_id=bug.pk, state=NominationState.ACCEPTED)
    item = windows.add_item(sound, nomination, by=duty)
    windows.edit_item(item, {"public_text": "Vague."}, by=duty)
    for role in (Role.DUTY, Role.LEAD, Role.MANAGER):
        for address in (f"/downtimes/{sound.pk}/plan/", f"/downtimes/{sound.pk}/items/{item.pk}/", "/downtimes/"):
            assert canary not in clients[role].get(address).content.decode()
    assert canary not in str(list(Entry.objects.values()))
    assert canary not in str(list(Item.objects.values()))
