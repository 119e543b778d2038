"""The demo world: one click signs in, only in the demo and as its own people; it is loaded only where nothing is."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import NoReverseMatch, reverse

from ciduty import clock, ports
from ciduty.bugzilla.models import Bug
from ciduty.bugzilla.sandbox import seed
from ciduty.demo import downtime, world
from ciduty.management.commands import supervise
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.people.models import Person, ciduty_logins
from ciduty.people.roles import Role
from ciduty.trees.sandbox import BOT_TOKEN
from downtimes import rules
from downtimes.facts import facts_of
from downtimes.models import CheckLink, Downtime
from downtimes.run import facts as run_facts
from downtimes.run import rules as run_rules
from tests.cast import PersonFactory, browser_of, cycle_done, every_row

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent
ROLES = [role for role in Role if role != Role.PUBLIC]


def click(role, client=None):
    return (client or browser_of()).post("/demo/sign-in/", {"role": role})


@pytest.mark.parametrize("role", ROLES)
def test_one_click_signs_in_as_any_role(people, demo, role):
    browser = browser_of()
    assert click(role, browser).headers["Location"] == "/"
    assert browser.get("/loaners/").context["role"] == role


def test_public_signs_out(clients, demo):
    assert click("public", clients[Role.LEAD]).status_code == 302
    assert clients[Role.LEAD].get("/loaners/").status_code == 302


def test_the_page_offers_every_role_in_the_demo_and_none_outside(people, demo, settings, stranger):
    page = stranger.get("/sign-in/").content.decode()
    assert all(f"Sign in as {role}</button>" in page for role in ROLES)
    settings.DEMO = False
    assert "Sign in as" not in stranger.get("/sign-in/").content.decode()


def test_outside_the_demo_there_is_no_such_address(people):
    with pytest.raises(NoReverseMatch):
        reverse("demo_sign_in")
    browser = browser_of()
    assert click("lead", browser).status_code == 404
    assert browser.get("/loaners/").status_code == 302


def test_outside_the_demo_the_view_refuses_even_where_the_site_map_has_it(people, demo, settings):
    settings.DEMO = False
    browser = browser_of()
    assert click("lead", browser).status_code == 404
    assert browser.get("/loaners/").status_code == 302


@pytest.mark.parametrize("name", ["somebody", "", "LEAD", "no such person"])
def test_one_click_signs_nobody_in_but_the_demos_own_people(people, demo, name):
    PersonFactory(username="somebody", role=Role.LEAD)
    browser = browser_of()
    assert click(name, browser).status_code == 404
    assert browser.get("/loaners/").status_code == 302


def test_an_account_that_is_named_like_a_role_but_is_none_is_not_the_demos(demo):
    PersonFactory(username="developer", role=Role.LEAD)
    assert click("developer").status_code == 404


def test_somebody_who_is_switched_off_stays_out_of_the_demo_too(people, demo):
    Person.objects.filter(role=Role.LEAD).update(is_active=False)
    assert click("lead").status_code == 404


def test_the_demo_world_holds_one_person_of_every_role_with_login_and_password(capsys):
    call_command("demo")
    assert capsys.readouterr().out == "The demo world is loaded.\n"
    assert set(Person.objects.values_list("username", "role")) == {(role, role) for role in ROLES}
    assert {"duty@example.com", "lead@example.com"} <= ciduty_logins()
    assert browser_of().post("/sign-in/", {"username": "duty", "password": world.PASSWORD}).status_code == 302


def test_loading_it_twice_changes_nothing(capsys):
    call_command("demo")
    before = every_row()
    call_command("demo")
    assert capsys.readouterr().out.endswith("The demo world was there already.\n")
    assert every_row() == before


def test_it_refuses_where_real_people_are():
    PersonFactory(username="somebody")
    before = every_row()
    with pytest.raises(CommandError, match="This database has people of its own"):
        call_command("demo")
    assert every_row() == before


def test_whoever_was_added_in_the_demo_does_not_lock_it(db):
    world.load()
    PersonFactory(username="newcomer")
    assert world.load() is False
    assert world.is_here()


def test_the_demo_world_is_never_served_as_a_real_installation(tmp_path):
    environment = os.environ | {"CIDUTY_STATE_DIR": str(tmp_path), "DATABASE_URL": "", "REDIS_URL": ""}
    for command in ("migrate", "demo"):
        subprocess.run(
            [sys.executable, "manage.py", command], cwd=ROOT, env=environment, check=True, capture_output=True
        )
    command = [sys.executable, "manage.py", "supervise"]
    started = subprocess.run(
        command,
        cwd=ROOT,
        env=environment | {"CIDUTY_DEMO": "0", "PORT": str(ports.four_free())},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert started.returncode == 1
    assert "whose passwords everybody knows" in started.stdout + started.stderr


# --- its downtime -----------------------------------------------------------------------------------------------------


@pytest.fixture
def world_and_bugs(bugzilla):
    """The demo world, and the bugs that the sandbox starts with, read once."""
    seed.bugs(bugzilla.world, bugzilla.world.clock())
    world.load()
    cycle_done()
    return bugzilla


def test_a_downtime_begins_soon_that_was_announced_by_the_rules(world_and_bugs, settings):
    before = clock.now()
    assert downtime.load() is True
    assert clock.now() - before < timedelta(minutes=1)  # the clock stands where it stood

    [planned] = Downtime.objects.all()
    assert timedelta(minutes=2) < planned.starts_at - clock.now() <= timedelta(minutes=4)
    assert (planned.state, planned.close, planned.trees) == ("announced", "hard", ["autoland", "mozilla-central"])
    assert [item.worker for item in planned.items.all()] == ["scheduler@example.com", "lead@example.com"]
    assert rules.refusals("begin", facts_of(planned, planned.starts_at)) == []
    duty = Person.objects.get(username="duty")
    unread = run_rules.refusals("begin", run_facts.facts_of(planned, planned.starts_at, duty))
    assert [sentence.split(":")[0] for sentence in unread][0] == "1 reply came in on the lists that nobody has read"
    assert set(planned.run_steps.all()) == set() and CheckLink.objects.filter(phase="after").exists()
    about = [planned.about, *(item.nomination.about for item in planned.items.all())]
    for model in (Mail, BugUpdate):
        assert set(model.objects.filter(about__in=about).values_list("state", flat=True)) == {"accepted"}
    assert clock.now() - Mail.objects.filter(mandatory=True).first().accepted_at > rules.NOTICE

    everything = every_row(leave_out=["sqlite_sequence"])
    assert downtime.load() is True
    assert every_row(leave_out=["sqlite_sequence"]) == everything


def test_the_downtime_waits_for_its_bugs_and_for_the_demos_people(world_and_bugs):
    Person.objects.filter(username="scheduler").update(username="somebody")
    assert downtime.load() is False
    Person.objects.filter(username="somebody").update(username="scheduler")
    Bug.objects.filter(text__summary=downtime.WORK[0].summary).update(visibility="restricted")
    assert downtime.load() is False
    assert not Downtime.objects.exists()


def test_a_real_installation_never_gets_the_token_of_the_sandbox(settings, monkeypatch):
    command = supervise.Command()
    command.has_sandbox, command.has_sink, command.has_trees = False, False, True
    assert command._environment()["TREESTATUS_TOKEN"] == BOT_TOKEN
    monkeypatch.setenv("TREESTATUS_TOKEN", "somebody's")
    command.has_trees = False
    assert command._environment()["TREESTATUS_TOKEN"] == "somebody's"
    assert command._environment().get("TREESTATUS_WRITES", "none") == "none"
