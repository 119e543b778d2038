"""Reminders come at their moments, once each, never with the same text twice, and never for a loan that went on."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Bug, BugText, Visibility
from ciduty.outbox import as_sent, delivery
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.outbox.rules import Priority, State
from ciduty.people.models import Person
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.working_time import Calendar
from loaners import lending, notices, reclaiming, reminders, rules
from loaners.models import LoanerRequest
from loaners.rules import RequestState
from tests.cast import ApplicationFactory, MachineFactory, PersonFactory, at_once, request_in

pytestmark = pytest.mark.django_db

DESK = Calendar.parse("Europe/Bucharest", "09:00-17:00", "RO")
OP = "0a1b2c3d"
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
#: Tuesday 17 November 2026, 17:00 in Bucharest: nothing changes the clock around it.
DUE = datetime(2026, 11, 17, 15, tzinfo=UTC)
BEGAN = DUE - 14 * DAY
LADDER = [DUE - 3 * DAY, DUE, DUE + 3 * DAY, DUE + 10 * DAY, DUE + 17 * DAY]


@pytest.fixture(autouse=True)
def configured(settings):
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"


@pytest.fixture
def at(monkeypatch):
    """Let it be a moment, exactly, and remind; returns how many mails that wrote."""

    def it_is(moment):
        monkeypatch.setattr(clock, "now", lambda: moment)
        return reminders.remind()

    return it_is


@pytest.fixture
def loan(people):
    """A loan of a fortnight until DUE."""
    return request_in(RequestState.ACTIVE, handed_over_at=BEGAN, due_at=DUE)


def mails(purpose=notices.REMINDER):
    """Return (subject, text in one line, recipient) of every mail for a purpose, the oldest first."""
    rows = Mail.objects.filter(purpose=purpose).order_by("pk")
    return [(row.subject, " ".join(as_sent.read(bytes(row.message)).text.split()), row.recipient) for row in rows]


def accept_all():
    """Let the mail server have taken everything."""
    Mail.objects.filter(state=State.DUE).update(state=State.ACCEPTED, accepted_at=clock.now())


# --- at their moments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(LADDER)))
def test_a_reminder_comes_at_its_moment_and_not_a_second_before(number, loan, at):
    moment = LADDER[number]
    LoanerRequest.objects.update(reminded=number - 1)
    assert at(moment - SECOND) == 0
    assert at(moment) == 1
    assert at(moment + SECOND) == 0
    assert len(mails()) == 1


def test_the_ladder_is_three_days_ahead_the_day_three_days_after_and_then_every_week():
    assert [rules.reminder_at(DESK, DUE, number) for number in range(len(LADDER))] == LADDER
    counted = [(moment + edge * SECOND) for moment in LADDER for edge in (-1, 0)]
    assert [rules.reminders_due(DESK, DUE, moment) for moment in counted] == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


@pytest.mark.parametrize(
    ("due", "ladder"),
    [
        # Summer time begins on Sunday 29 March 2026: 17:00 in Bucharest is 15:00 UTC before it and 14:00 after.
        (
            datetime(2026, 3, 30, 14, tzinfo=UTC),
            ["03-27 15:00", "03-30 14:00", "04-02 14:00", "04-09 14:00"],
        ),
        (
            datetime(2026, 3, 20, 15, tzinfo=UTC),
            ["03-17 15:00", "03-20 15:00", "03-23 15:00", "03-30 14:00"],
        ),
        # It ends on Sunday 25 October 2026.
        (
            datetime(2026, 10, 26, 15, tzinfo=UTC),
            ["10-23 14:00", "10-26 15:00", "10-29 15:00", "11-05 15:00"],
        ),
        (
            datetime(2026, 10, 23, 14, tzinfo=UTC),
            ["10-20 14:00", "10-23 14:00", "10-26 15:00", "11-02 15:00"],
        ),
    ],
)
def test_a_change_of_summer_time_moves_no_reminder_on_the_desks_wall(due, ladder, people, at):
    request_in(RequestState.ACTIVE, handed_over_at=due - 20 * DAY, due_at=due)
    for number, wanted in enumerate(ladder):
        moment = datetime.strptime(f"2026-{wanted}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        assert (at(moment - SECOND), len(mails())) == (0, number)
        at(moment)
        assert len(mails()) == number + 1


def test_an_hour_of_the_desk_that_the_clock_skips_still_has_its_reminder():
    """A desk that closes at 03:30 on the night of the change: the reminder comes, and later ones are no hour off."""
    desk = Calendar.parse("Europe/Bucharest", "19:00-03:30", "")
    due = datetime(2026, 4, 1, 0, 30, tzinfo=UTC)
    moments = [rules.reminder_at(desk, due, number) for number in range(4)]
    assert moments == sorted(moments)
    assert moments[0] == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # 04:30, there is no 03:30
    assert moments[2] == datetime(2026, 4, 4, 0, 30, tzinfo=UTC)


def test_reminders_come_one_at_a_time_however_often_somebody_looks(loan, at):
    written = [at(BEGAN + hours * HOUR) for hours in range(0, 17 * 24 + 1, 3)]
    assert sum(written) == 3 + 1  # the third one is the manager's too
    assert len(mails()) == 3
    assert Mail.objects.values_list("priority", flat=True).filter(purpose=notices.REMINDER)[0] == Priority.BULK


# --- which loans ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", RequestState)
def test_only_a_borrower_who_has_the_machine_is_reminded(state, people, at):
    dates = {"handed_over_at": BEGAN, "due_at": DUE} if state not in ("requested", "needs info", "approved") else {}
    request_in(state, **dates)
    assert at(DUE) == (1 if state == "active" else 0)


def test_every_loan_has_its_own(people, at):
    for _ in range(3):
        request_in(RequestState.ACTIVE, handed_over_at=BEGAN, due_at=DUE)
    assert at(DUE) == 3
    assert len({subject for subject, _, _ in mails()}) == 3


def test_a_short_loan_is_not_told_of_the_days_before_it_began(people, duty, at):
    request = request_in(RequestState.PREPARING)
    at(DUE - 2 * DAY)
    lending.hand_over(request, by=duty, how_to="ssh", until=DUE.date(), op=OP)
    assert (at(DUE - 2 * DAY), at(DUE - SECOND), mails()) == (0, 0, [])
    assert at(DUE) == 1


def test_a_loan_extended_by_less_than_three_days_is_next_reminded_on_its_day(loan, developer, at):
    at(DUE)
    lending.extend(loan, by=developer, until=DUE.date() + 2 * DAY, op=OP)
    assert (at(DUE + HOUR), at(DUE + 2 * DAY - SECOND)) == (0, 0)
    assert at(DUE + 2 * DAY) == 1


def test_looking_for_reminders_asks_no_more_for_many_loans_that_wait(people, at, django_assert_num_queries):
    for _ in range(12):
        request_in(RequestState.ACTIVE, handed_over_at=BEGAN, due_at=DUE)
    at(DUE - 3 * DAY)
    with django_assert_num_queries(1):
        at(DUE - SECOND)


# --- never the same text twice ----------------------------------------------------------------------------------------


def test_no_two_reminders_of_a_loan_say_the_same(loan, at):
    for number in range(9):
        at(rules.reminder_at(DESK, DUE, number))
        accept_all()
    subjects, texts, recipients = zip(*mails(), strict=True)
    assert len(set(subjects)) == len(set(texts)) == 9
    assert set(recipients) == {"developer@example.com"}
    managers = mails(notices.MANAGER)
    assert len({text for _, text, _ in managers}) == len(managers) == 7


def test_the_words_are_true_of_what_was_sent(loan, at):
    for moment in LADDER[:4]:
        at(moment)
        accept_all()
    (soon, soon_text, _), (today, today_text, _), (over, over_text, _), (again, again_text, _) = mails()
    host, day = str(loan.machine), "Tuesday, 2026-11-17"
    assert soon == f"Your loaner {host} is due on {day} (bug {loan.pk})"
    assert f"Your loan of {host} ends on {day}." in soon_text
    assert today == f"Your loaner {host} is due back now (bug {loan.pk})"
    assert f"lasts until {day}, and its time is up" in today_text
    assert over == f"Your loaner {host} is overdue (bug {loan.pk})"
    assert "A manager gets a mail about this loan, too." in over_text
    assert again == f"Your loaner {host} is overdue, reminder 2 (bug {loan.pk})"
    assert "This is overdue reminder number 2; one comes every week." in again_text
    assert all(f"http://localhost:8000/loaners/{loan.pk}/" in text for _, text, _ in mails())


def test_a_reminder_after_an_extension_names_the_new_day(loan, developer, at):
    at(DUE)
    lending.extend(loan, by=developer, until=DUE.date() + 14 * DAY, op=OP)
    assert at(DUE + 14 * DAY) == 1
    (_, first, _), (_, second, _) = mails()
    assert "2026-11-17" in first
    assert "2026-12-01" in second
    assert "2026-11-17" not in second


# --- the manager ------------------------------------------------------------------------------------------------------


def test_the_manager_is_told_after_two_that_had_no_answer(loan, at):
    at(LADDER[0])
    at(LADDER[1])
    assert mails(notices.MANAGER) == []
    assert at(LADDER[2]) == 2
    [(subject, text, recipient)] = mails(notices.MANAGER)
    assert recipient == "manager@example.com"
    assert subject == f"Loaner {loan.machine} is overdue and its borrower does not answer (bug {loan.pk})"
    assert "2 reminders had no answer" in text
    assert f"{loan.machine} was lent to developer and was due back on Tuesday, 2026-11-17" in text


def test_an_extension_is_an_answer_and_the_count_begins_anew(loan, developer, at):
    at(LADDER[0])
    at(LADDER[1])
    lending.extend(loan, by=developer, until=DUE.date() + 14 * DAY, op=OP)
    for moment in LADDER[:2]:
        at(moment + 14 * DAY)
    assert mails(notices.MANAGER) == []
    at(LADDER[2] + 14 * DAY)
    assert len(mails(notices.MANAGER)) == 1


def test_every_manager_who_is_here_is_told_and_nobody_else(loan, at):
    PersonFactory(role=Role.MANAGER, username="second manager", email="manager2@example.com")
    PersonFactory(role=Role.MANAGER, username="gone manager", email="gone@example.com", is_active=False)
    PersonFactory(role=Role.MANAGER, username="unreachable manager", email="")
    for moment in LADDER[:3]:
        at(moment)
    assert sorted(recipient for _, _, recipient in mails(notices.MANAGER)) == [
        "manager2@example.com", "manager@example.com",
    ]  # fmt: skip


def test_where_no_manager_can_be_told_the_record_says_so_and_the_reminder_does_not_lie(loan, at):
    Person.objects.filter(role=Role.MANAGER).update(email="")
    for moment in LADDER[:3]:
        at(moment)
    assert Entry.objects.get().sentence == "Nobody was told, because no manager’s mail address is known."
    assert "manager" not in mails()[-1][1]


def test_where_the_borrower_cannot_be_told_the_record_says_so_and_the_manager_hears_it(loan, at):
    BugText.objects.update(creator="somebody")
    for moment in LADDER[:3]:
        at(moment)
    assert mails() == []
    assert Entry.objects.filter(verb="nobody told").count() == 3
    [(_, text, _)] = mails(notices.MANAGER)
    assert "No mail address is known for its borrower, so that no reminder could go out." in text


# --- what happened meanwhile ------------------------------------------------------------------------------------------


def may_go():
    return {row.purpose: reminders.may_still_go(row) is None for row in Mail.objects.all()}


def back(loan, by, how):
    {
        "give back": lambda: lending.give_back(loan, by=by, op=OP),
        "extend": lambda: lending.extend(loan, by=by, until=DUE.date() + 14 * DAY, op=OP),
        "reclaim": lambda: reclaiming.reclaim(loan, by=by),
    }[how]()


@pytest.mark.parametrize("how", ["give back", "extend", "reclaim"])
def test_a_reminder_of_a_loan_that_went_on_is_cancelled_in_the_outbox(how, loan, duty, at, settings):
    settings.BUGZILLA_URL = ""  # only mails are looked at
    for moment in LADDER[:3]:
        at(moment)
        if moment != LADDER[2]:
            accept_all()
    assert may_go() == {notices.REMINDER: True, notices.MANAGER: True}
    back(loan, duty, how)
    assert dict(delivery.deliver(delivery.MAIL)) == {"cancelled": 2}
    for row in Mail.objects.filter(state=State.CANCELLED):
        assert row.purpose in (notices.REMINDER, notices.MANAGER)
    assert Mail.objects.filter(state=State.CANCELLED).count() == 2


def test_a_reminder_of_an_earlier_loan_on_the_same_bug_is_none_of_the_next(loan, at):
    at(DUE)
    assert may_go() == {notices.REMINDER: True}
    LoanerRequest.objects.update(handed_over_at=BEGAN + DAY, reminded=-1)
    assert may_go() == {notices.REMINDER: False}
    assert at(DUE) == 1


def test_a_reminder_that_could_not_leave_before_the_next_is_due_never_leaves(loan, at):
    at(LADDER[1])
    assert Mail.objects.get().not_after == LADDER[2]


# --- when nobody looked ----------------------------------------------------------------------------------------------


def test_after_two_weeks_without_a_look_there_is_one_reminder_and_not_five(loan, at):
    assert at(DUE + 14 * DAY) == 1
    [(subject, text, _)] = mails()
    assert subject == f"Your loaner {loan.machine} is overdue (bug {loan.pk})"
    assert "reminder number" not in text
    assert mails(notices.MANAGER) == []  # nobody left two unanswered
    assert at(DUE + 17 * DAY) == 1
    assert at(DUE + 24 * DAY) == 2
    assert "2 reminders had no answer" in mails(notices.MANAGER)[0][1]
    assert "overdue reminder number 2" in mails()[1][1]
    assert "overdue reminder number 3" in mails()[2][1]


@pytest.mark.django_db(transaction=True)
def test_two_who_look_at_once_write_each_reminder_once(people):
    for _ in range(4):
        now = clock.now()
        loans = [request_in(RequestState.ACTIVE, handed_over_at=now - 14 * DAY, due_at=now - HOUR) for _ in range(3)]
        written = at_once([reminders.remind] * 3)
        assert sum(written) == 3
        for one in loans:
            assert Mail.objects.filter(about=one.about).count() == 1
        LoanerRequest.objects.update(state=RequestState.RETURNED)


@pytest.mark.django_db(transaction=True)
def test_who_extends_while_somebody_looks_gets_no_reminder_of_the_old_day(people, developer):
    for number in range(6):
        now = clock.now()
        loan = request_in(RequestState.ACTIVE, handed_over_at=now - 14 * DAY, due_at=now - HOUR)
        op, later = f"{number:08x}", now.date() + 7 * DAY
        at_once([reminders.remind, partial(lending.extend, loan, by=developer, until=later, op=op)])
        kept = LoanerRequest.objects.get(pk=loan.pk)
        assert (kept.due_at, kept.extensions, kept.reminded) == (lending.due_at_end_of(later), 1, -1)
        for row in Mail.objects.filter(about=loan.about):
            assert reminders.may_still_go(row) is not None
        LoanerRequest.objects.update(state=RequestState.RETURNED)


# --- no word of the bug -----------------------------------------------------------------------------------------------

#: Words of a bug, as they must stand in no letter.
CANARY = "Zanzibar"


@pytest.mark.parametrize("visibility", Visibility)
def test_no_letter_holds_a_word_of_the_bug_whoever_may_read_it(visibility, people, duty, developer, at):
    request = request_in(RequestState.PREPARING)
    BugText.objects.update(
        summary=f"{CANARY} crash", whiteboard=CANARY, alias=CANARY, creator_name=CANARY, assignee_name=CANARY,
        assignee=f"{CANARY}@example.com",
    )  # fmt: skip
    Bug.objects.update(visibility=visibility)
    ApplicationFactory(person=developer, bug_id=request.pk, why=CANARY, system_needs=CANARY)
    at(BEGAN)
    lending.hand_over(LoanerRequest.objects.get(), by=duty, how_to="ssh host", until=DUE.date(), op=OP)
    for moment in LADDER[:4]:
        at(moment)
        accept_all()
    reclaiming.reclaim(LoanerRequest.objects.get(), by=duty)
    letters = mails(notices.LETTER) + mails() + mails(notices.MANAGER)
    assert len(letters) == 1 + 4 + 2
    told = [*letters, *BugUpdate.objects.values_list("wants", flat=True), *Entry.objects.values_list("sentence")]
    assert CANARY not in str(told)
    for _, text, _ in letters:
        assert str(request.pk) in text
        assert str(request.machine) in text


@pytest.mark.parametrize("visibility", Visibility)
def test_a_manager_reads_who_borrowed_it_only_where_everybody_does(visibility, people, developer, at):
    request = request_in(RequestState.ACTIVE, handed_over_at=BEGAN, due_at=DUE)
    ApplicationFactory(person=developer, bug_id=request.pk)
    Bug.objects.update(visibility=visibility)
    for moment in LADDER[:3]:
        at(moment)
    [(_, text, _)] = mails(notices.MANAGER)
    assert ("developer" in text) == (visibility == Visibility.PUBLIC)


def test_a_bug_that_turns_restricted_while_the_loan_runs_stops_no_reminder_to_who_asked_here(loan, developer, at):
    ApplicationFactory(person=developer, bug_id=loan.pk)
    at(LADDER[0])
    Bug.objects.update(visibility=Visibility.RESTRICTED, held_back=True)
    BugText.objects.all().delete()
    assert at(LADDER[1]) == 1
    assert may_go() == {notices.REMINDER: True}


def test_no_letter_asks_for_a_secret_or_has_a_place_for_one(people, duty, at):
    request = request_in(RequestState.PREPARING, machine={"host": MachineFactory.build().host})
    at(BEGAN)
    lending.hand_over(request, by=duty, how_to="Ask in #ci.", until=DUE.date(), op=OP)
    [(_, text, _)] = mails(notices.LETTER)
    assert "Passwords never stand in a mail or in the bug." in text
