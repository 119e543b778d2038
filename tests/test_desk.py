"""The desk answers who waits, since when and how long we still have, and says honestly how old its data is."""

from datetime import UTC, datetime, timedelta

import pytest

from ciduty import bell, clock
from ciduty.bugzilla import poll
from ciduty.bugzilla.models import Source
from ciduty.bugzilla.sandbox import Fault
from ciduty.people.roles import Role

pytestmark = pytest.mark.django_db

LOAN = {
    "product": "Infrastructure & Operations",
    "component": "CIDuty: Loan Requests",
    "creator": "developer@example.com",
}


@pytest.fixture
def waiting(bugzilla, people):
    """One request of a minute ago, polled."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    bug = bugzilla.world.add_bug(summary="Loan a t-w1064-ms machine", at=at, **LOAN)
    poll.poll()
    return bug


@pytest.fixture
def duty_desk(clients):
    """Open the desk as duty and return its text."""

    def open_desk(**headers):
        return clients[Role.DUTY].get("/", headers=headers).content.decode()

    return open_desk


def test_the_desk_shows_who_waits_since_when_answer_by_and_time_left(waiting, duty_desk):
    page = duty_desk()
    assert "Loan a t-w1064-ms machine" in page
    assert f"show_bug.cgi?id={waiting}" in page
    assert "Developer" in page
    assert " left</td>" in page
    assert 'Waiting for an answer <span class="count">1</span>' in page


def test_an_empty_desk_says_so_kindly(bugzilla, people, duty_desk):
    poll.poll()
    assert "Nobody is waiting for an answer." in duty_desk()


def test_the_polled_fragment_is_the_list_without_the_frame(waiting, duty_desk):
    fragment = duty_desk(**{"HX-Request": "true"})
    assert "Loan a t-w1064-ms machine" in fragment
    assert "<html" not in fragment


def test_the_list_refreshes_itself_and_needs_no_script_to_be_read(waiting, duty_desk):
    page = duty_desk()
    assert 'hx-trigger="every 10s' in page
    assert page.index("Loan a t-w1064-ms machine") > page.index("hx-get")


def test_fresh_data_is_not_called_silent(waiting, duty_desk):
    assert "Bugzilla last heard from" in duty_desk()
    assert "Bugzilla is silent" not in duty_desk()


@pytest.mark.parametrize(("seconds", "silent"), [(895, False), (905, True)])
def test_the_desk_turns_red_after_three_silent_polls(waiting, duty_desk, settings, seconds, silent):
    settings.BUGZILLA_POLL_SECONDS = 300
    clock.move(timedelta(seconds=seconds))
    page = duty_desk()
    assert ("Bugzilla is silent" in page) == silent
    assert ('class="fresh silent"' in page) == silent


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("html"), "web page instead of data"),
        (Fault("empty"), "empty page"),
        (Fault("redirect", status=302, location="/x"), "redirect"),
        (Fault("status", status=429, body="slow down"), "limits our rate"),
        (Fault("status", status=400, body='{"error": true, "code": 306, "message": "no"}'), "check BUGZILLA_API_KEY"),
    ],
)
def test_the_desk_says_in_one_line_why_the_last_poll_failed(waiting, duty_desk, bugzilla, fault, says):
    bugzilla.faults.add(fault)
    poll.poll()
    page = duty_desk()
    assert says in page
    assert "Loan a t-w1064-ms machine" in page  # nothing earlier is lost


def test_without_a_bugzilla_the_desk_says_what_to_set(people, duty_desk, settings):
    settings.BUGZILLA_URL = ""
    assert "set BUGZILLA_URL and BUGZILLA_API_KEY" in duty_desk()


def test_sync_now_writes_the_wish_down_and_rings(
    waiting, clients, bugzilla, django_capture_on_commit_callbacks, monkeypatch
):
    rung = []
    monkeypatch.setattr(bell, "ring", lambda *task_and_queue: rung.append(task_and_queue))
    with django_capture_on_commit_callbacks(execute=True):
        answer = clients[Role.DUTY].post("/sync/", {"next": "/"}, follow=True)
    assert "Asked Bugzilla for news" in answer.content.decode()
    assert "Syncing" in answer.content.decode()
    assert rung == [("ciduty.bugzilla.tasks.poll_if_due", "sync")]
    assert poll.poll_if_due().outcome == "done"
    assert "Sync now" in clients[Role.DUTY].get("/").content.decode()


def test_sync_now_is_written_down_even_when_the_broker_is_dead(
    waiting, clients, django_capture_on_commit_callbacks, monkeypatch
):
    def dead(task, queue):
        raise ConnectionError("no broker")

    monkeypatch.setattr(bell, "ring", dead)
    with django_capture_on_commit_callbacks(execute=True):
        assert clients[Role.DUTY].post("/sync/").status_code == 302
    assert Source.objects.get().wanted_at is not None
    assert poll.poll_if_due().outcome == "done"


def test_sync_now_respects_the_breaker(waiting, clients, bugzilla):
    bugzilla.faults.add(Fault("status", status=429, body="slow down"))
    poll.poll()
    page = clients[Role.DUTY].post("/sync/", follow=True).content.decode()
    assert "Not synced" in page
    assert "not asked again before" in page
    assert Source.objects.get().wanted_at is None


def test_the_front_door_counts_without_names(waiting, stranger):
    page = stranger.get("/").content.decode()
    assert "<strong>1</strong>loaner request waiting for an answer" in page
    assert "t-w1064" not in page
    assert "Developer" not in page
    assert f"id={waiting}" not in page


def test_a_developer_sees_their_own_request_with_its_clock(waiting, clients):
    page = clients[Role.DEVELOPER].get("/", follow=True).content.decode()
    assert "Your loaner requests" in page
    assert "Loan a t-w1064-ms machine" in page
    assert "Answer by" in page


def test_the_page_of_a_request_lists_every_counted_interval(bugzilla, clients):
    monday = datetime(2026, 11, 2, 14, tzinfo=UTC)  # 16:00 in Bucharest
    bug = bugzilla.world.add_bug(summary="Loan", at=monday, **LOAN)
    wednesday = datetime(2026, 11, 4, 8, tzinfo=UTC)
    bugzilla.world.comment(bug, "duty@example.com", "Yours is ready.", at=wednesday)
    poll.poll()
    page = clients[Role.DUTY].get(f"/loaners/{bug}/").content.decode()
    assert "by a comment in Bugzilla, after 10 h 00 min of working time" in page
    for counted in ("1 h 00 min", "8 h 00 min"):
        assert f'<td class="numbers">{counted}</td>' in page


def test_an_answer_takes_the_request_off_the_desk(waiting, bugzilla, duty_desk):
    bugzilla.world.comment(waiting, "duty@example.com", "Yours is ready.")
    poll.poll()
    assert "Loan a t-w1064-ms machine" not in duty_desk()


def test_a_typo_in_the_components_shows_on_the_desk(bugzilla, people, duty_desk, settings):
    settings.CIDUTY_COMPONENTS = (("Infrastructure & Operations", "CIDutty"),)
    poll.poll()
    assert "CIDutty" in duty_desk()


def test_a_bug_that_was_set_aside_shows_on_the_desk(waiting, bugzilla, duty_desk):
    bugzilla.faults.add(Fault("bad_bug", bug_id=waiting, remove=["groups"]))
    poll.poll()
    assert "1 bug could not be read" in duty_desk()


def test_a_first_mirror_at_work_is_told(bugzilla, people, duty_desk):
    source = poll.current_source()
    source.cycles.create(started_at=clock.now())
    assert "Bugzilla is being read for the first time" in duty_desk()


def test_duty_marks_a_bug_sensitive_and_releases_it_again(waiting, clients):
    browser = clients[Role.DUTY]
    page = browser.get(f"/loaners/{waiting}/").content.decode()
    assert "Mark it sensitive" in page
    page = browser.post(f"/bugs/{waiting}/hold-back/", {"next": f"/loaners/{waiting}/"}, follow=True).content.decode()
    assert "is marked sensitive" in page
    assert "Loan a t-w1064-ms machine" not in page
    assert "Show its words again" in page
    browser.post(f"/bugs/{waiting}/release/")
    poll.poll()
    assert "Loan a t-w1064-ms machine" in browser.get(f"/loaners/{waiting}/").content.decode()
