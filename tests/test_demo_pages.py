"""In the demo a newcomer reads the mails and moves the clock; outside it neither exists."""

from datetime import timedelta

import pytest

from ciduty import clock
from ciduty.demo import mails
from ciduty.management.commands import tick
from ciduty.outbox.models import Mail
from ciduty.outbox.rules import State
from ciduty.people.roles import Role
from ciduty.sandboxes import ahead_by, real_utc
from loaners.models import LoanerRequest
from loaners.rules import RequestState
from tests.cast import BugTextFactory, BugUpdateFactory, LoanerRequestFactory, MachineFactory, MailFactory

pytestmark = pytest.mark.django_db

FIRST = "20260303T090000.000000Z-developer@example.com.eml"
SECOND = "20260303T100000.000000Z-manager@example.com.eml"


@pytest.fixture
def kept(settings, tmp_path):
    """Two mails that the sink has kept."""
    settings.STATE_DIR = tmp_path
    mails.folder().mkdir()
    for name, to in ((FIRST, "developer@example.com"), (SECOND, "manager@example.com")):
        (mails.folder() / name).write_text(
            f"X-Envelope-To: {to}\nTo: {to}\nSubject: For {to}\nDate: Tue, 03 Mar 2026 09:00:00 +0000\n\n"
            "Open http://localhost:8000/loaners/1400123/ and <b>sign in</b>.\n"
        )
    return mails.folder()


@pytest.fixture
def active(settings):
    """A loan of the developer that is due in thirteen days."""
    settings.EMAIL_URL = ""
    at = clock.now()
    return LoanerRequestFactory(
        bug=BugTextFactory().bug,
        state=RequestState.ACTIVE,
        machine=MachineFactory(state="on loan"),
        handed_over_at=at,
        due_at=at + timedelta(days=13),
    )


def test_the_newest_mail_stands_first_and_its_links_work(demo, kept, clients):
    page = clients[Role.DEVELOPER].get("/demo/mail/").content.decode()
    assert 0 < page.index(SECOND) < page.index(FIRST)
    page = clients[Role.DEVELOPER].get(f"/demo/mail/{FIRST}/").content.decode()
    assert '<a href="http://localhost:8000/loaners/1400123/"' in page
    assert "<b>sign in" not in page
    assert "Tue 03 Mar 11:00" in clients[Role.DEVELOPER].get("/demo/mail/").content.decode()


def test_no_other_file_can_be_read(demo, kept, clients):
    (kept.parent / "secret_key").write_text("a secret")
    (kept / "secret.eml").write_text("a secret")
    for name in ("..%2Fsecret_key", "secret.eml", "../secret_key", "20260303T090000.000000Z-nobody@example.com.eml"):
        assert clients[Role.LEAD].get(f"/demo/mail/{name}/").status_code == 404


def test_no_mail_is_no_error(demo, settings, tmp_path, clients):
    settings.STATE_DIR = tmp_path
    assert "No mail yet." in clients[Role.DUTY].get("/demo/mail/").content.decode()


def test_the_bar_leads_to_the_mails_and_moves_the_clock_and_a_stranger_sees_neither(demo, clients):
    page = clients[Role.DUTY].get("/loaners/").content.decode()
    assert 'href="/demo/mail/"' in page and 'action="/demo/clock/"' in page
    assert "demo/mail" not in clients[Role.PUBLIC].get("/").content.decode()


def test_the_clock_moves_says_how_far_and_brings_the_reminders_that_are_due(demo, kept, active, clients):
    before = clock.now()
    answer = clients[Role.DUTY].post("/demo/clock/", {"by": "a week", "next": "/loaners/"}, follow=True)
    assert timedelta(days=7) <= clock.now() - before < timedelta(days=8)
    page = answer.content.decode()
    assert "The demo’s clock is a week further." in page and "it is 7 days ahead" in page
    assert not Mail.objects.exists()
    page = clients[Role.DUTY].post("/demo/clock/", {"by": "three days"}, follow=True).content.decode()
    page += clients[Role.DUTY].post("/demo/clock/", {"by": "a day"}, follow=True).content.decode()
    assert "1 reminder of loans went out" in page and "it is 11 days ahead" in page
    assert "is due on" in Mail.objects.get().subject
    assert clients[Role.DUTY].post("/demo/clock/", {"by": "a year"}).status_code == 404
    elsewhere = clients[Role.DUTY].post("/demo/clock/", {"by": "a day", "next": "https://elsewhere.example.com/"})
    assert elsewhere.headers["Location"] == "/"


def test_what_is_on_its_way_does_not_look_as_if_it_had_been_tried_for_days(demo, kept, clients):
    mail, update, held = MailFactory(), BugUpdateFactory(), MailFactory(state=State.HELD)
    clients[Role.DUTY].post("/demo/clock/", {"by": "a week"})
    for row in (mail, update):
        row.refresh_from_db()
        assert abs(clock.now() - row.due_since) < timedelta(minutes=1)
        assert row.next_try_at == row.due_since
    held.refresh_from_db()
    assert clock.now() - held.due_since > timedelta(days=6)


def test_the_sandbox_follows_the_clock(demo, kept, clients):
    sandbox = ahead_by(kept.parent / "sandbox-clock")
    assert abs(sandbox() - real_utc()) < timedelta(minutes=1)
    clients[Role.DUTY].post("/demo/clock/", {"by": "three days"})
    assert abs(sandbox() - clock.now()) < timedelta(minutes=1)
    (kept.parent / "sandbox-clock").write_text("nonsense")
    assert abs(sandbox() - real_utc()) < timedelta(minutes=1)


@pytest.mark.parametrize("address", ["/demo/mail/", f"/demo/mail/{FIRST}/"])
def test_outside_the_demo_nobody_reads_mails_or_moves_the_clock(demo, settings, kept, clients, address):
    settings.DEMO = False
    assert clients[Role.LEAD].get(address).status_code == 404
    before = clock.now()
    assert clients[Role.LEAD].post("/demo/clock/", {"by": "a week"}).status_code == 404
    assert clock.now() - before < timedelta(hours=1)


def test_the_tick_writes_the_reminders_that_are_due_before_mail_leaves(active):
    names = [work.name for work in tick.WORKS]
    assert names.index("reminders") < names.index("mail")
    [work] = [work for work in tick.WORKS if work.name == "reminders"]
    assert work.do(timedelta()) == "nothing due"
    LoanerRequest.objects.filter(pk=active.pk).update(due_at=clock.now())
    assert work.do(timedelta()) == "1 written"
    assert work.do(timedelta()) == "nothing due"
