"""Preparing, the second look, the hand-over with its two letters, extending: what blocks it and what is said."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from django.db import IntegrityError

from ciduty import clock
from ciduty.bugzilla.models import BugText, TrackedId, Visibility
from ciduty.outbox import as_sent, delivery, post
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.outbox.rules import State
from ciduty.people.models import Person
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from ciduty.working_time import Calendar
from loaners import checklists, lending, notices, reclaiming, reminders, workflow
from loaners.models import Checklist, Grant, ListKind, LoanerRequest, Machine, MachineClass, Step
from loaners.rules import MachineState, RequestState
from tests.cast import (
    ApplicationFactory,
    BugFactory,
    MachineClassFactory,
    MachineFactory,
    at_once,
    cycle_done,
    every_row,
    file,
    request_in,
)

pytestmark = pytest.mark.django_db

OP, ANOTHER_OP = "0a1b2c3d", "4e5f6a7b"
#: Tuesday 3 November 2026, 11:00 and 23:00 in Bucharest (UTC+2 in winter).
WORKING_HOURS = datetime(2026, 11, 3, 9, tzinfo=UTC)
NIGHT = datetime(2026, 11, 3, 21, tzinfo=UTC)
TODAY = date(2026, 11, 3)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
#: Invented, as a loan's way in may look like.
HOW_TO = "Connect to the VPN, then: ssh zanzibar@203.0.113.7"


@pytest.fixture(autouse=True)
def stage(settings):
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"
    clock.move(WORKING_HOURS - clock.now() + SECOND)


@pytest.fixture
def set_clock(monkeypatch):
    """Stand ciduty's clock still at a moment."""
    return lambda moment: monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.fixture
def preparing(people):
    """A request whose machine is prepared, and no step of it is done."""
    request = request_in(RequestState.PREPARING)
    request.steps.update(done_at=None, evidence="", checked_at=None)
    return request


def step(request, key):
    return request.steps.get(key=key)


def hand_over(request, by, until=TODAY + 14 * DAY, op=OP, how_to=HOW_TO):
    lending.hand_over(request, by=by, how_to=how_to, until=until, op=op)


def refused(act, match):
    """Expect a refusal in a sentence that changes nothing at all."""
    before = every_row()
    with pytest.raises(NotAllowed, match=match):
        act()
    assert every_row() == before


def text_of(mail):
    return as_sent.read(bytes(mail.message)).text


# --- choosing a machine -----------------------------------------------------------------------------------------------


def test_a_chosen_machine_is_reserved_and_its_steps_begin(people, duty):
    request, machine = request_in(RequestState.APPROVED), MachineFactory()
    lending.prepare(request, machine, by=duty)
    assert (request.state, request.machine, Machine.objects.get().state) == ("preparing", machine, "reserved")
    assert [one.position for one in request.steps.all()] == list(range(1, request.steps.count() + 1))
    assert not request.steps.exclude(done_at=None).exists()
    assert [entry.verb for entry in Entry.objects.filter(about=machine.about)] == ["reserve"]


def test_a_machine_that_is_not_free_is_not_chosen(people, duty):
    request, machine = request_in(RequestState.APPROVED), MachineFactory(state=MachineState.BROKEN)
    refused(lambda: lending.prepare(request, machine, by=duty), "is broken by now")


def test_two_loans_of_one_machine_are_refused_by_the_database_too(people):
    loan = request_in(RequestState.PREPARING)
    with pytest.raises(IntegrityError):
        request_in(RequestState.APPROVED, machine=None).__class__.objects.exclude(pk=loan.pk).update(
            state=RequestState.ACTIVE, machine=loan.machine
        )


def test_the_tracking_bug_hears_that_the_machine_is_loaned_and_waits_for_the_loan(people, duty):
    request, machine = request_in(RequestState.APPROVED), MachineFactory(tracking_bug=1300001)
    lending.prepare(request, machine, by=duty)
    update = BugUpdate.objects.get()
    assert (update.bug_id, update.about) == (1300001, request.about)
    assert update.wants == {
        "comment": f"Being loaned on bug {request.pk}.\n\nduty, CiDuty", "depends_on": [request.pk],
    }  # fmt: skip
    assert TrackedId.objects.get().bug_id == 1300001
    assert Entry.objects.get(about=request.about).caused == [str(update)]


@pytest.mark.parametrize(("status", "is_open"), [("RESOLVED", False), ("NEW", True)])
def test_a_tracking_bug_that_is_known_to_be_closed_is_reopened(status, is_open, people, duty):
    tracking = BugFactory(status=status, resolution="" if is_open else "FIXED", is_open=is_open)
    lending.prepare(request_in(RequestState.APPROVED), MachineFactory(tracking_bug=tracking.pk), by=duty)
    update = BugUpdate.objects.get()
    assert update.wants.get("status") == (None if is_open else "REOPENED")
    assert update.seen == ({} if is_open else {"status": "RESOLVED", "resolution": "FIXED"})


# --- the steps of a class ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "prepare", "reclaim"),
    [
        (
            {"name": "t-linux64-ms", "needs_group_switch": False},
            ["tracking bug", "quarantine", "clean secrets", "vpn", "access"],
            ["revoke", "re-image", "re-enable", "takes jobs"],
        ),
        (
            {"name": "t-w732-ix", "needs_group_switch": True},
            ["tracking bug", "quarantine", "group switch", "clean secrets", "vpn", "access"],
            ["revoke", "re-image", "group back", "re-enable", "takes jobs"],
        ),
        (
            {"name": "tst-linux64-ec2", "is_cloud": True},
            ["create", "clean secrets", "vpn", "access"],
            ["revoke", "terminate"],
        ),
        (
            {"name": "tst-w10-azure", "is_cloud": True, "needs_group_switch": True},
            ["create", "group switch", "clean secrets", "vpn", "access"],
            ["revoke", "terminate", "group back"],
        ),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_windows_switches_the_group_and_the_cloud_terminates_in_place_of_re_imaging(fields, prepare, reclaim):
    machine_class = MachineClass(**fields)
    assert [one["key"] for one in checklists.shipped_steps(machine_class, ListKind.PREPARE)] == prepare
    assert [one["key"] for one in checklists.shipped_steps(machine_class, ListKind.RECLAIM)] == reclaim


def test_every_step_links_the_runbook_of_its_class():
    machine_class = MachineClassFactory(name="t-x", runbook_url="https://example.com/runbook/")
    steps = checklists.shipped_steps(machine_class, ListKind.PREPARE)
    assert {one["runbook"] for one in steps} == {"https://example.com/runbook/"}
    assert [one["key"] for one in steps if one["second_look"]] == ["clean secrets"]


def test_a_loan_keeps_the_version_of_the_list_that_it_began_with(people, duty):
    first = request_in(RequestState.APPROVED)
    lending.prepare(first, MachineFactory(), by=duty)
    machine_class = first.machine.machine_class
    steps = checklists.shipped_steps(machine_class, ListKind.PREPARE)
    checklists.revise(machine_class, ListKind.PREPARE, [*steps, {"key": "photo", "text": "Take a photo"}], by=duty)
    second = request_in(RequestState.APPROVED)
    lending.prepare(second, MachineFactory(), by=duty)
    assert {one.checklist_version for one in first.steps.all()} == {1}
    assert {one.checklist_version for one in second.steps.all()} == {2}
    assert not first.steps.filter(key="photo").exists()
    assert second.steps.filter(key="photo").exists()
    assert list(Checklist.objects.order_by("version").values_list("version", "made_by")) == [(1, None), (2, duty.pk)]


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        (ListKind.PREPARE, lambda steps: [one for one in steps if one["key"] != "clean secrets"], "“clean secrets”"),
        (ListKind.PREPARE, lambda steps: [one | {"second_look": False} for one in steps], "needs a second look"),
        (ListKind.PREPARE, lambda steps: [*steps, steps[0]], "names a step twice"),
        (ListKind.RECLAIM, lambda steps: [one for one in steps if one["key"] != "revoke"], "“revoke”"),
        (ListKind.RECLAIM, lambda steps: [], "“revoke”"),
    ],
)
def test_no_list_does_without_cleaning_the_secrets_and_taking_the_access_away(kind, change, why):
    machine_class = MachineClassFactory()
    steps = checklists.shipped_steps(machine_class, kind)
    refused(lambda: checklists.revise(machine_class, kind, change(steps)), why)
    assert checklists.revise(machine_class, kind, steps).version == 1


def test_a_loan_without_the_step_of_the_secrets_is_never_handed_over(preparing, duty):
    """However it got there: an older list, a shell."""
    preparing.steps.all().delete()
    refused(lambda: hand_over(preparing, duty), "Still missing: The step “clean secrets”")


@pytest.mark.django_db(transaction=True)
def test_two_who_need_a_classs_first_list_at_once_get_the_same_one():
    for number in range(4):
        machine_class = MachineClassFactory(name=f"t-{number}")
        got = at_once([partial(checklists.current, machine_class, ListKind.PREPARE)] * 3)
        assert len(got) == 3
        assert len({one.pk for one in got}) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_who_revise_a_list_at_once_nobody_overwrites_the_other():
    for number in range(4):
        machine_class = MachineClassFactory(name=f"t-{number}")
        steps = checklists.shipped_steps(machine_class, ListKind.PREPARE)

        def revise(machine_class=machine_class, steps=steps):
            try:
                return checklists.revise(machine_class, ListKind.PREPARE, steps).version
            except NotAllowed as refusal:
                return str(refusal)

        outcomes = at_once([revise] * 2)
        versions = list(Checklist.objects.filter(machine_class=machine_class).values_list("version", flat=True))
        assert sorted(versions) == sorted(one for one in outcomes if isinstance(one, int))
        for words in outcomes:
            assert isinstance(words, int) or "Somebody else wrote version 1 of this list at the same moment" in words


# --- doing a step -----------------------------------------------------------------------------------------------------


def test_a_step_says_who_when_and_the_proof(preparing, duty):
    lending.do_step(step(preparing, "quarantine"), by=duty, evidence=" quarantined until 17 November\n")
    done = step(preparing, "quarantine")
    assert (done.done_by, done.evidence) == (duty, "quarantined until 17 November")
    assert timedelta(0) <= clock.now() - done.done_at < timedelta(minutes=1)
    entry = Entry.objects.get()
    assert (entry.about, entry.verb, entry.by) == (preparing.about, "step done", duty)
    assert "Quarantine the host" in entry.sentence


def test_a_step_pressed_twice_is_done_once_and_another_person_hears_who_did_it(preparing, duty, lead):
    lending.do_step(step(preparing, "vpn"), by=duty)
    before = every_row()
    lending.do_step(step(preparing, "vpn"), by=duty)
    assert every_row() == before
    refused(
        lambda: lending.do_step(step(preparing, "vpn"), by=lead), "This step was done already, by duty: Grant the VPN"
    )


def test_a_step_that_was_no_step_is_taken_back_with_its_second_look(preparing, duty, lead):
    lending.do_step(step(preparing, "clean secrets"), by=duty, evidence="listing")
    lending.check_step(step(preparing, "clean secrets"), by=lead, evidence="looked")
    lending.undo_step(step(preparing, "clean secrets"), by=lead)
    one = step(preparing, "clean secrets")
    assert (one.done_at, one.done_by, one.evidence) == (None, None, "")
    assert (one.checked_at, one.checked_by, one.check_evidence) == (None, None, "")
    assert [entry.verb for entry in Entry.objects.all()] == ["step done", "step checked", "step undone"]
    refused(lambda: lending.undo_step(one, by=lead), "This step is not done")


@pytest.mark.parametrize("state", [state for state in RequestState if state != RequestState.PREPARING])
@pytest.mark.parametrize("act", ["do_step", "check_step", "undo_step"])
def test_the_steps_of_preparing_are_closed_when_it_is_over(state, act, preparing, duty):
    LoanerRequest.objects.update(state=state)
    one = step(preparing, "vpn")
    refused(lambda: getattr(lending, act)(one, by=duty), f"The steps of this list are closed: the request is {state}")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_do_a_step_at_once_one_does_it(people, duty, lead):
    for _ in range(4):
        request = request_in(RequestState.PREPARING)
        request.steps.update(done_at=None)
        one = step(request, "vpn")

        def do(by, one=one):
            try:
                lending.do_step(one, by=by)
            except NotAllowed:
                return "told"
            return "done"

        assert sorted(at_once([partial(do, duty), partial(do, lead)])) == ["done", "told"]
        assert Entry.objects.filter(about=request.about, verb="step done").count() == 1


@pytest.mark.django_db(transaction=True)
def test_no_step_is_taken_back_under_the_hands_of_who_hands_over(people, duty, lead):
    for number in range(6):
        request = request_in(RequestState.PREPARING)
        op = f"{number:08x}"

        def tell(act):
            try:
                act()
            except NotAllowed:
                return "told"
            return "done"

        read = LoanerRequest.objects.get(pk=request.pk)
        acts = [
            partial(tell, partial(hand_over, read, duty, op=op)),
            partial(tell, partial(lending.undo_step, step(request, "clean secrets"), by=lead)),
        ]
        assert sorted(at_once(acts)) == ["done", "told"]
        handed_over = LoanerRequest.objects.get(pk=request.pk).state == RequestState.ACTIVE
        assert handed_over == (checklists.missing(request, ListKind.PREPARE) == [])


# --- the second look --------------------------------------------------------------------------------------------------


@pytest.fixture
def cleaned(preparing, duty):
    """The step of the secrets, done by duty just now."""
    lending.do_step(step(preparing, "clean secrets"), by=duty, evidence="listing of /home")
    return step(preparing, "clean secrets")


def test_the_second_look_is_by_another_person(cleaned, lead):
    lending.check_step(cleaned, by=lead)
    cleaned.refresh_from_db()
    assert (cleaned.checked_by, cleaned.was_checked_alone) == (lead, False)
    assert Entry.objects.get(verb="step checked").sentence.startswith("Looked at a second time: Remove every key")


def test_the_second_look_alone_is_refused_in_working_hours_whatever_the_proof(cleaned, duty):
    clock.move(timedelta(hours=1))
    refused(lambda: lending.check_step(cleaned, by=duty, evidence="seen"), "in working hours somebody else takes")


#: When the desk is open and closed again: 09:00 to 17:00 in Bucharest, and never on a holiday.
EDGES = [
    (datetime(2026, 11, 3, 7, tzinfo=UTC) - SECOND, True),
    (datetime(2026, 11, 3, 7, tzinfo=UTC), False),
    (datetime(2026, 11, 3, 15, tzinfo=UTC) - SECOND, False),
    (datetime(2026, 11, 3, 15, tzinfo=UTC), True),
    (datetime(2026, 11, 7, 9, tzinfo=UTC), True),  # a Saturday
    (datetime(2026, 12, 1, 9, tzinfo=UTC), True),  # the national day
]


@pytest.mark.parametrize(("moment", "alone"), EDGES)
def test_alone_is_night_holiday_and_weekend(moment, alone, cleaned, duty, set_clock):
    Step.objects.update(done_at=moment - timedelta(hours=1))
    set_clock(moment)
    if alone:
        lending.check_step(cleaned, by=duty, evidence="seen")
        assert step(cleaned.request, "clean secrets").was_checked_alone
    else:
        refused(lambda: lending.check_step(cleaned, by=duty, evidence="seen"), "in working hours")


def test_alone_at_night_the_second_look_wants_a_proof_and_is_shown_as_such(cleaned, duty, set_clock):
    set_clock(NIGHT)
    for nothing in ("", " \n"):
        refused(lambda nothing=nothing: lending.check_step(cleaned, by=duty, evidence=nothing), "needs a proof")
    lending.check_step(cleaned, by=duty, evidence="no file of /etc/tokens is left")
    cleaned.refresh_from_db()
    assert cleaned.was_checked_alone
    assert cleaned.check_evidence == "no file of /etc/tokens is left"
    assert Entry.objects.get(verb="step checked").sentence.startswith("Looked at a second time, alone: ")


def test_alone_at_night_the_second_look_comes_later_than_the_first(preparing, duty, set_clock):
    set_clock(NIGHT)
    lending.do_step(step(preparing, "clean secrets"), by=duty, evidence="listing")
    one = step(preparing, "clean secrets")
    set_clock(NIGHT + lending.ALONE_AFTER - SECOND)
    refused(lambda: lending.check_step(one, by=duty, evidence="seen"), "look again after 21:10 UTC")
    set_clock(NIGHT + lending.ALONE_AFTER)
    lending.check_step(one, by=duty, evidence="seen")
    assert step(preparing, "clean secrets").was_checked_alone


def test_another_person_needs_no_proof_at_night_and_no_waiting(cleaned, lead, set_clock):
    set_clock(NIGHT)
    Step.objects.update(done_at=NIGHT)
    lending.check_step(cleaned, by=lead)
    assert not step(cleaned.request, "clean secrets").was_checked_alone


def test_nobody_looks_a_second_time_at_what_nobody_did_or_a_third_time(preparing, duty, lead):
    one = step(preparing, "clean secrets")
    refused(lambda: lending.check_step(one, by=lead), "Nobody has done this step yet")
    lending.do_step(one, by=duty)
    lending.check_step(one, by=lead)
    before = every_row()
    lending.check_step(one, by=lead)
    assert every_row() == before
    third = Person.objects.create(username="second lead")
    refused(lambda: lending.check_step(one, by=third), "lead has looked at this step already")


# --- what blocks the hand-over ----------------------------------------------------------------------------------------


def test_every_step_that_is_missing_blocks_the_hand_over_and_is_named(people, duty):
    request = request_in(RequestState.PREPARING)
    assert request.steps.count() == 6
    for one in request.steps.all():
        Step.objects.filter(pk=one.pk).update(done_at=None)
        refused(lambda: hand_over(request, duty), "Still missing: " + re.escape(f"{one.text} (not done)."))  # noqa: B023
        Step.objects.filter(pk=one.pk).update(done_at=WORKING_HOURS)
    hand_over(request, duty)
    assert request.state == RequestState.ACTIVE


def test_secrets_that_nobody_looked_for_a_second_time_block_the_hand_over(people, duty):
    request = request_in(RequestState.PREPARING)
    request.steps.filter(key="clean secrets").update(checked_at=None)
    refused(lambda: hand_over(request, duty), "Remove every key.*done, and not looked at a second time")


@pytest.mark.parametrize(
    ("day", "why"),
    [
        (TODAY - DAY, "2026-11-02 is over already"),
        (TODAY, ""),
        (TODAY + lending.LONGEST, ""),
        (TODAY + lending.LONGEST + DAY, "2027-02-04 is too far ahead: a loan lasts 92 days at most, until 2027-02-03"),
    ],
)
def test_a_loan_ends_on_a_day_to_come_and_within_a_quarter(day, why, people, duty):
    request = request_in(RequestState.PREPARING)
    if why:
        refused(lambda: hand_over(request, duty, until=day), why)
    else:
        hand_over(request, duty, until=day)
        assert request.due_at.date() == day


def test_today_is_over_when_the_desk_has_closed(people):
    closes = datetime(2026, 11, 3, 15, tzinfo=UTC)
    assert lending.why_not_until(TODAY, closes - SECOND) == ""
    assert "2026-11-03 is over already" in lending.why_not_until(TODAY, closes)


def test_the_last_day_is_counted_at_the_desk_and_not_in_utc(people):
    after_midnight = datetime(2026, 11, 3, 23, tzinfo=UTC)  # 01:00 of the 4th
    assert lending.last_day(after_midnight) == date(2027, 2, 4)


@pytest.mark.parametrize(
    ("zone", "hours", "day", "due"),
    [
        ("Europe/Bucharest", "09:00-17:00", date(2026, 3, 27), datetime(2026, 3, 27, 15, tzinfo=UTC)),
        ("Europe/Bucharest", "09:00-17:00", date(2026, 3, 30), datetime(2026, 3, 30, 14, tzinfo=UTC)),
        ("Europe/Bucharest", "09:00-17:00", date(2026, 10, 24), datetime(2026, 10, 24, 14, tzinfo=UTC)),
        ("Europe/Bucharest", "09:00-17:00", date(2026, 10, 25), datetime(2026, 10, 25, 15, tzinfo=UTC)),
        ("UTC+2", "08:00-16:30", date(2026, 7, 1), datetime(2026, 7, 1, 14, 30, tzinfo=UTC)),
        ("UTC", "16:00-00:00", date(2026, 7, 1), datetime(2026, 7, 2, tzinfo=UTC)),
        ("UTC", "22:00-06:00", date(2026, 7, 1), datetime(2026, 7, 2, 6, tzinfo=UTC)),
    ],
)
def test_a_loan_is_due_when_the_desk_closes(settings, zone, hours, day, due):
    settings.CIDUTY_CALENDAR = Calendar.parse(zone, hours, "")
    assert lending.due_at_end_of(day) == due


def test_a_closed_bug_is_settled_before_a_machine_is_handed_over_on_it(people, duty):
    request = request_in(RequestState.PREPARING)
    type(request.bug).objects.update(is_open=False)
    refused(lambda: hand_over(request, duty), "This bug is closed: reopen it in Bugzilla first")


@pytest.mark.parametrize("nothing", ["", " \n "])
def test_a_machine_is_not_handed_over_without_the_way_to_it(nothing, people, duty):
    request = request_in(RequestState.PREPARING)
    refused(lambda: hand_over(request, duty, how_to=nothing), "Say how to reach the machine")


# --- the hand-over ----------------------------------------------------------------------------------------------------


@pytest.fixture
def handed_over(people, duty):
    """A machine handed over on Tuesday 3 November until Tuesday 17 November."""
    request = request_in(RequestState.PREPARING)
    hand_over(request, duty)
    return request


def test_a_machine_handed_over_is_on_loan_and_its_due_date_begins(handed_over):
    assert (handed_over.state, Machine.objects.get().state) == ("active", "on loan")
    assert handed_over.due_at == datetime(2026, 11, 17, 15, tzinfo=UTC)
    assert timedelta(0) <= clock.now() - handed_over.handed_over_at < timedelta(minutes=1)
    [mail], [update] = Mail.objects.all(), BugUpdate.objects.all()
    assert (mail.state, update.state) == (State.DUE, State.DUE)
    assert mail.purpose == notices.LETTER
    assert Entry.objects.get(about=handed_over.about).caused == [str(update), str(mail)]


def test_the_letter_tells_the_way_and_the_public_comment_tells_none_of_it(handed_over):
    [mail], [update] = Mail.objects.all(), BugUpdate.objects.all()
    host = str(handed_over.machine)
    assert mail.recipient == "developer@example.com"
    assert HOW_TO in text_of(mail)
    for words in (text_of(mail), update.wants["comment"]):
        assert f"{host} is yours until Tuesday, 2026-11-17" in words
        assert f"http://localhost:8000/loaners/{handed_over.pk}/" in words
    for part in ("VPN", "ssh", "zanzibar", "203.0.113.7"):
        assert part not in update.wants["comment"]
        assert part not in str(Entry.objects.values_list())
    assert "went to you by mail" in update.wants["comment"]


def test_the_letter_goes_to_who_asked_here_and_not_to_the_bot_that_filed_the_bug(people, duty):
    request = request_in(RequestState.PREPARING)
    somebody = Person.objects.create(username="somebody", email="somebody@example.com")
    ApplicationFactory(person=somebody, bug_id=request.pk)
    hand_over(request, duty)
    assert Mail.objects.get().recipient == "somebody@example.com"


def test_where_nobodys_address_is_known_the_record_says_so_and_the_comment_promises_no_mail(people, duty):
    request = request_in(RequestState.PREPARING)
    BugText.objects.update(creator="somebody")
    hand_over(LoanerRequest.objects.get(), duty)
    assert not Mail.objects.exists()
    entry = Entry.objects.get(verb="nobody told")
    assert (entry.about, entry.by) == (request.about, duty)
    assert entry.sentence == "Nobody was told, because nobody’s mail address is known for who asked."
    comment = BugUpdate.objects.get().wants["comment"]
    assert "mail" not in comment
    assert "Ask us how to reach it" in comment
    assert LoanerRequest.objects.get().state == RequestState.ACTIVE


def test_a_restricted_bug_hears_nothing_and_the_letter_still_goes_to_who_asked_here(people, duty, developer):
    request = request_in(RequestState.PREPARING)
    ApplicationFactory(person=developer, bug_id=request.pk)
    type(request.bug).objects.update(visibility=Visibility.RESTRICTED)
    hand_over(LoanerRequest.objects.get(), duty)
    assert not BugUpdate.objects.exists()
    assert Entry.objects.get(verb="nobody told").sentence == (
        "Nobody was told, because the bug is restricted in Bugzilla."
    )
    before = every_row()
    hand_over(LoanerRequest.objects.get(), duty)  # the same form once more, which left no row of the bug
    assert every_row() == before
    assert HOW_TO in text_of(Mail.objects.get())


def test_the_letter_of_a_machine_that_was_taken_back_before_it_left_does_not_go(handed_over, duty):
    mail = Mail.objects.get()
    assert reminders.letter_may_still_go(mail) is None
    reclaiming.reclaim(handed_over, by=duty)
    stop = reminders.letter_may_still_go(mail)
    assert (stop.why, stop.for_good) == ("The machine was taken back meanwhile.", True)


def test_a_letter_that_cannot_be_composed_fails_visibly_and_the_loan_stands(people, duty):
    request = request_in(RequestState.PREPARING)
    Person.objects.filter(username="developer").update(email="no address at all")
    hand_over(request, duty)
    mail = Mail.objects.get()
    assert (mail.state, request.state) == (State.FAILED, "active")
    assert "cannot be written to" in mail.last_words


def test_both_letters_leave_in_the_one_transaction_or_neither(people, duty, monkeypatch):
    request = request_in(RequestState.PREPARING)
    before = every_row()
    monkeypatch.setattr(post, "mail", lambda **words: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        hand_over(request, duty)
    assert every_row() == before


# --- extending --------------------------------------------------------------------------------------------------------


def extend(request, by, until, op=ANOTHER_OP):
    lending.extend(request, by=by, until=until, op=op)


@pytest.mark.parametrize("state", ["active", "return requested"])
def test_an_extended_loan_has_a_later_date_and_its_reminders_begin_anew(state, handed_over, developer):
    LoanerRequest.objects.update(state=state, reminded=1)
    request = LoanerRequest.objects.get()
    extend(request, developer, TODAY + 21 * DAY)
    assert (request.state, request.due_at) == ("active", datetime(2026, 11, 24, 15, tzinfo=UTC))
    assert (request.extensions, request.reminded) == (1, -1)
    comment = BugUpdate.objects.get(purpose="loaners: extend").wants["comment"]
    assert comment == "The loan now ends on Tuesday, 2026-11-24.\n\ndeveloper"
    extend(request, developer, TODAY + 28 * DAY, op="99999999")
    assert request.extensions == 2


@pytest.mark.parametrize(
    ("days", "why"),
    [
        (13, "The loan lasts until Tuesday, 2026-11-17 already: choose a later day"),
        (14, "The loan lasts until Tuesday, 2026-11-17 already: choose a later day"),
        (15, ""),
        (lending.LONGEST.days, ""),
        (lending.LONGEST.days + 1, "is too far ahead"),
        (-1, "is over already"),
    ],
)
def test_a_loan_is_extended_to_a_later_day_and_within_a_quarter_from_now(days, why, handed_over, developer):
    if why:
        refused(lambda: extend(handed_over, developer, TODAY + timedelta(days=days)), why)
    else:
        extend(handed_over, developer, TODAY + timedelta(days=days))
        assert handed_over.due_at.date() == TODAY + timedelta(days=days)


def test_a_loan_may_be_extended_again_when_the_quarter_has_moved_on(handed_over, developer):
    extend(handed_over, developer, TODAY + lending.LONGEST)
    clock.move(DAY)
    extend(handed_over, developer, TODAY + lending.LONGEST + DAY, op="99999999")
    assert handed_over.due_at.date() == TODAY + lending.LONGEST + DAY


@pytest.mark.parametrize(
    ("bug", "why"),
    [({"is_open": False}, "closed"), ({"visibility": Visibility.RESTRICTED}, "restricted")],
)
@pytest.mark.parametrize("verb", ["extend", "give back"])
def test_a_borrower_is_not_shut_out_by_what_became_of_the_bug(verb, bug, why, handed_over, developer):
    type(handed_over.bug).objects.update(**bug)
    request = LoanerRequest.objects.get()
    for _ in range(2):
        if verb == "extend":
            extend(request, developer, TODAY + 21 * DAY)
        else:
            lending.give_back(request, by=developer, op=ANOTHER_OP)
    assert request.state == ("active" if verb == "extend" else "return requested")
    assert BugUpdate.objects.exclude(purpose="loaners: hand over").count() == 0
    assert Entry.objects.get(verb="nobody told").sentence == f"Nobody was told, because the bug is {why} in Bugzilla."
    assert Entry.objects.filter(about=request.about, verb=verb).count() == 1


# --- access -----------------------------------------------------------------------------------------------------------


def grant(request, by, **fields):
    words = {"what": "VPN group vpn-releng-loan", "grantee": "developer", "reason": f"Loan on bug {request.pk}"}
    return lending.grant(request, by=by, **({"expires_at": NIGHT + 14 * DAY} | words | fields))


def test_a_grant_has_an_owner_a_reason_and_an_end_and_names_nobody_in_the_record(preparing, duty):
    given = grant(preparing, duty)
    assert (given.granted_by, given.reason, given.expires_at) == (duty, f"Loan on bug {preparing.pk}", NIGHT + 14 * DAY)
    entry = Entry.objects.get()
    assert (entry.verb, entry.by) == ("access granted", duty)
    assert entry.sentence == f"Access granted until Tuesday, 2026-11-17 (Grant {given.pk})"


def test_the_same_grant_again_is_the_one_that_stands(preparing, duty):
    given = grant(preparing, duty)
    before = every_row()
    assert grant(preparing, duty) == given
    assert every_row() == before
    assert grant(preparing, duty, grantee="lead") != given
    lending.revoke(given, by=duty, evidence="gone from the group")
    assert grant(preparing, duty) != given
    assert Grant.objects.count() == 3


@pytest.mark.parametrize("seconds", [-1, 0])
def test_a_grant_that_is_over_already_is_none(seconds, preparing, duty, set_clock):
    set_clock(NIGHT)
    refused(lambda: grant(preparing, duty, expires_at=NIGHT + seconds * SECOND), "choose a later end")


@pytest.mark.parametrize("state", RequestState)
def test_access_is_granted_only_while_a_machine_is_prepared_or_out(state, preparing, duty):
    shown = LoanerRequest.objects.get()
    LoanerRequest.objects.update(state=state)
    if state in ("preparing", "active", "return requested"):
        assert grant(shown, duty).pk
    else:
        refused(lambda: grant(shown, duty), "only while a machine is prepared or out")


@pytest.mark.parametrize("nothing", ["", "  "])
def test_access_is_taken_away_with_a_proof_once(nothing, preparing, duty, lead):
    given = grant(preparing, duty)
    refused(lambda: lending.revoke(given, by=duty, evidence=nothing), "Say how you saw that the access is gone")
    lending.revoke(given, by=duty, evidence=" gone from the group ")
    given.refresh_from_db()
    assert (given.revoked_by, given.evidence) == (duty, "gone from the group")
    before = every_row()
    lending.revoke(given, by=duty, evidence="twice")
    assert every_row() == before
    refused(lambda: lending.revoke(given, by=lead, evidence="seen"), "This access was taken away already, by duty")


# --- over the wire ----------------------------------------------------------------------------------------------------


def test_the_two_comments_of_a_hand_over_arrive_and_the_promise_is_kept(bugzilla, people, duty, developer):
    tracking = file(bugzilla, component="RelOps: Hardware", summary="t-w1064-ms-001 problem tracking")
    number = file(bugzilla, at=clock.now() - timedelta(hours=1))
    cycle_done(read=1)
    request = LoanerRequest.objects.get(pk=number)
    machine = MachineFactory(tracking_bug=tracking)
    LoanerRequest.objects.filter(pk=number).update(state=RequestState.APPROVED)
    lending.prepare(LoanerRequest.objects.get(pk=number), machine, by=duty)
    request.steps.update(done_at=WORKING_HOURS, checked_at=WORKING_HOURS)
    hand_over(LoanerRequest.objects.get(pk=number), duty)
    assert dict(delivery.deliver(delivery.BUGS)) == {"sent": 2}
    assert LoanerRequest.objects.get(pk=number).answered_at is not None
    assert bugzilla.world.bug(tracking)["depends_on"] == [number]
    cycle_done()
    request = LoanerRequest.objects.get(pk=number)
    assert (request.state, reclaiming.disagreement(request)) == ("active", "")
    assert workflow.why_not_answer(request) == ""
