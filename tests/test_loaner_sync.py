"""From a bug in Bugzilla to a request with its clock on the desk, and off it again."""

from datetime import UTC, datetime, timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla import poll
from ciduty.bugzilla.models import BugText
from ciduty.people.models import BugzillaLogin, Person
from ciduty.people.roles import Role
from loaners.models import LoanerRequest

pytestmark = pytest.mark.django_db

LOAN = {"product": "Infrastructure & Operations", "component": "CIDuty: Loan Requests"}
NEEDINFO = {"flags": [{"name": "needinfo", "status": "?", "requestee": "developer@example.com"}]}


class Time:
    """Moves ciduty's clock and Bugzilla's together; the latter is asked in the server's own threads."""

    moved = timedelta()

    @classmethod
    def move(cls, by):
        clock.move(by)
        cls.moved += by


@pytest.fixture
def monday(bugzilla):
    """Everybody's clock stands on Monday 2 November 2026, 10:00 in Bucharest."""
    moment = datetime(2026, 11, 2, 8, tzinfo=UTC)
    Time.moved = timedelta()
    Time.move(moment - clock.now() + timedelta(seconds=1))
    bugzilla.world.set_clock(lambda: datetime.now(UTC) + Time.moved)
    return moment


@pytest.fixture
def request_of_monday(bugzilla, monday, people):
    bug = bugzilla.world.add_bug(summary="Loan a machine", creator="developer@example.com", at=monday, **LOAN)
    poll.poll()
    return bug


def the_request():
    return LoanerRequest.objects.get()


def after(bugzilla, hours, act):
    Time.move(timedelta(hours=hours))
    act()
    poll.poll()
    return the_request()


def test_a_bug_in_a_loan_component_is_a_request_with_its_deadline(request_of_monday, monday):
    request = the_request()
    assert (request.pk, request.opened_at) == (request_of_monday, monday)
    assert request.answer_by == monday + timedelta(days=1)


def test_a_bug_in_another_component_is_none(bugzilla, people):
    bugzilla.world.add_bug(
        summary="x", creator="developer@example.com", product="Infrastructure & Operations", component="CIDuty"
    )
    poll.poll()
    assert not LoanerRequest.objects.exists()


@pytest.mark.parametrize(
    ("login", "stops"),
    [
        ("duty@example.com", True),
        ("lead@example.com", True),
        ("sheriff@example.com", False),
        ("developer@example.com", False),
        ("manager@example.com", False),
        ("bot@example.com", False),
    ],
)
def test_a_comment_stops_the_clock_when_it_is_cidutys(bugzilla, request_of_monday, login, stops):
    request = after(bugzilla, 1, lambda: bugzilla.world.comment(request_of_monday, login, "A word."))
    assert (request.answered_at is not None) == stops


def test_a_comment_in_the_second_of_the_filing_stops_the_clock_although_the_bug_carries_no_later_time(
    bugzilla, monday, people
):
    bug = bugzilla.world.add_bug(summary="Loan a machine", creator="developer@example.com", at=monday, **LOAN)
    bugzilla.world.comment(bug, "duty@example.com", "It is being prepared.", at=monday)
    Time.move(timedelta(minutes=1))
    poll.poll()
    assert the_request().answered_at == monday


def test_taking_the_bug_stops_the_clock(bugzilla, request_of_monday):
    request = after(
        bugzilla,
        1,
        lambda: bugzilla.world.update(request_of_monday, "duty@example.com", {"assigned_to": "duty@example.com"}),
    )
    assert request.answered_with == "assigned"


def test_a_question_back_by_ciduty_stops_the_clock(bugzilla, request_of_monday):
    request = after(bugzilla, 1, lambda: bugzilla.world.update(request_of_monday, "duty@example.com", NEEDINFO))
    assert request.answered_with == "needinfo set"


def test_a_question_back_by_somebody_else_pauses_it_and_the_answer_starts_it_again(bugzilla, request_of_monday, monday):
    request = after(bugzilla, 1, lambda: bugzilla.world.update(request_of_monday, "sheriff@example.com", NEEDINFO))
    assert request.answered_at is None
    assert request.paused_since is not None
    clear = {"flags": [{"name": "needinfo", "status": "X"}]}
    request = after(bugzilla, 2, lambda: bugzilla.world.update(request_of_monday, "developer@example.com", clear))
    assert request.paused_since is None
    pause = timedelta(hours=2)
    assert abs(request.answer_by - (monday + timedelta(days=1) + pause)) < timedelta(minutes=1)


def test_a_login_listed_as_staff_answers_too(bugzilla, request_of_monday, settings):
    settings.CIDUTY_BUGZILLA_STAFF = frozenset({"sheriff@example.com"})
    assert after(
        bugzilla, 1, lambda: bugzilla.world.comment(request_of_monday, "sheriff@example.com", "Hi.")
    ).answered_at


def test_somebody_mapped_to_ciduty_later_has_answered_all_along(bugzilla, request_of_monday):
    request = after(bugzilla, 1, lambda: bugzilla.world.comment(request_of_monday, "sheriff@example.com", "Taking it."))
    assert request.answered_at is None
    person = Person.objects.create(username="sheriff", role=Role.DUTY)
    BugzillaLogin.objects.create(person=person, login="Sheriff@Example.com")
    request = after(bugzilla, 0, lambda: None)
    assert request.answered_with == "comment"


def test_a_closed_bug_waits_for_nobody_and_a_reopened_one_waits_again(bugzilla, request_of_monday):
    close = {"status": "RESOLVED", "resolution": "WONTFIX"}
    assert after(
        bugzilla, 1, lambda: bugzilla.world.update(request_of_monday, "developer@example.com", close)
    ).closed_at
    reopened = after(
        bugzilla, 1, lambda: bugzilla.world.update(request_of_monday, "developer@example.com", {"status": "REOPENED"})
    )
    assert reopened.closed_at is None
    assert reopened.answer_by is not None


def test_a_restricted_request_keeps_its_clock_without_words_or_names(bugzilla, monday, people):
    bug = bugzilla.world.add_bug(
        summary="x", creator="developer@example.com", at=monday, groups=["infra-bot-sees"], **LOAN
    )
    poll.poll()
    assert the_request().answer_by == monday + timedelta(days=1)
    assert not BugText.objects.exists()
    assert after(bugzilla, 1, lambda: bugzilla.world.comment(bug, "duty@example.com", "Hello.")).answered_at


def test_an_answer_outlives_the_bugs_turning_private(bugzilla, request_of_monday):
    answered = after(
        bugzilla, 1, lambda: bugzilla.world.comment(request_of_monday, "duty@example.com", "Hello.")
    ).answered_at
    private = {"groups": {"add": ["infra"]}}
    assert (
        after(
            bugzilla, 1, lambda: bugzilla.world.update(request_of_monday, "scheduler@example.com", private)
        ).answered_at
        == answered
    )


def test_a_bug_that_comes_from_another_component_is_counted_from_then(bugzilla, monday, people):
    elsewhere = {"product": LOAN["product"], "component": "CIDuty", "creator": "developer@example.com"}
    bug = bugzilla.world.add_bug(summary="Needs a machine", at=monday, **elsewhere)
    poll.poll()
    move = {"component": LOAN["component"]}
    request = after(bugzilla, 24, lambda: bugzilla.world.update(bug, "sheriff@example.com", move))
    assert timedelta(hours=24) <= request.opened_at - monday < timedelta(hours=24, minutes=1)
    assert request.answer_by > monday + timedelta(hours=47)


def test_a_request_that_went_astray_and_came_back_keeps_its_clock(bugzilla, request_of_monday, monday):
    for component in ("CIDuty", LOAN["component"]):
        move = {"component": component}
        request = after(
            bugzilla, 1, lambda move=move: bugzilla.world.update(request_of_monday, "sheriff@example.com", move)
        )
    assert request.opened_at == monday


def test_the_most_urgent_stands_first_and_those_that_wait_for_the_requester_last(bugzilla, monday, people):
    def ask(hours, **fields):
        return bugzilla.world.add_bug(
            summary="x", creator="developer@example.com", at=monday + timedelta(hours=hours), **(LOAN | fields)
        )

    late, new = ask(-48), ask(0)
    paused = ask(
        -72,
        flags=[
            {"name": "needinfo", "status": "?", "requestee": "developer@example.com", "setter": "sheriff@example.com"}
        ],
    )
    middle = ask(-20)
    poll.poll()
    order = list(LoanerRequest.objects.unanswered().most_urgent_first().values_list("pk", flat=True))
    assert order == [late, middle, new, paused]


def test_changed_working_hours_move_every_deadline(bugzilla, request_of_monday, settings, monday):
    from ciduty.working_time import Calendar

    settings.CIDUTY_CALENDAR = Calendar.parse("UTC+2", "00:00-12:00", "")
    poll.poll()
    # From 10:00: two hours on Monday, ten on Tuesday.
    assert the_request().answer_by == datetime(2026, 11, 3, 8, tzinfo=UTC)
