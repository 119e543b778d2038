"""Signing in and out, who is CiDuty, and what a lead may do to accounts."""

import threading
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection, connections

from ciduty import clock
from ciduty.people import throttle
from ciduty.people.forms import PersonForm
from ciduty.people.models import FailedSignIn, Person, ciduty_logins, logins_of
from ciduty.people.roles import CIDUTY_ROLES, Role
from tests.cast import BugzillaLoginFactory, PersonFactory, browser_of

pytestmark = pytest.mark.django_db

PASSWORD = "four words of duty"
WRONG = "This name and password do not go together, or the account is switched off."
TOO_MANY = "Too many attempts to sign in. Wait until "


@pytest.fixture
def account(duty):
    duty.set_password(PASSWORD)
    duty.save()
    return duty


@pytest.fixture
def own_moment(monkeypatch):
    """A moment that stands still."""
    moment = clock.now()
    monkeypatch.setattr(clock, "now", lambda: moment)
    return moment


def sign_in(name="duty", password=PASSWORD, client=None, **options):
    return (client or browser_of()).post("/sign-in/", {"username": name, "password": password}, **options)


def told(response):
    return response.content.decode().replace("&#x27;", "'")


def form_of(person, **changes):
    """Return what a browser sends when a lead opens this person's page, changes something and saves."""
    is_active = {"is_active": "on"} if person.is_active else {}
    logins = "\n".join(sorted(logins_of(person))) if person.pk else ""
    unchanged = {"username": person.username, "name": person.name, "email": person.email, "role": str(person.role)}
    sent = unchanged | is_active | {"bugzilla_logins": logins, "password": ""} | changes
    return {name: value for name, value in sent.items() if value is not None}


def save(clients, person, **changes):
    return clients[Role.LEAD].post(f"/people/{person.pk}/", form_of(person, **changes))


# --- signing in and out -----------------------------------------------------------------------------------------------


def test_name_and_password_sign_in_and_lead_to_the_desk(account):
    browser = browser_of()
    response = sign_in(client=browser)
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert "<h1>Desk</h1>" in told(browser.get("/"))


@pytest.mark.parametrize(
    ("name", "password"), [("duty", "not the password"), ("nobody here", PASSWORD), ("DUTY", PASSWORD)]
)
def test_a_wrong_name_or_password_is_one_and_the_same_sentence(account, name, password):
    response = sign_in(name, password)
    assert response.status_code == 200
    assert WRONG in told(response)
    assert PASSWORD not in told(response)


def test_an_account_that_is_switched_off_cannot_sign_in(account):
    account.is_active = False
    account.save()
    browser = browser_of()
    assert "do not go together" in told(sign_in(client=browser))
    assert browser.get("/loaners/").status_code == 302


def test_an_empty_form_says_what_is_missing(stranger):
    assert told(stranger.post("/sign-in/", {})).count("This field is required.") == 2


def test_signing_out_ends_the_session(clients):
    assert clients[Role.DUTY].post("/sign-out/").headers["Location"] == "/"
    assert clients[Role.DUTY].get("/loaners/").status_code == 302


def test_signing_in_changes_the_session_key(account):
    browser = browser_of()
    planted = browser.session.session_key  # made and set as a cookie by asking for it
    assert sign_in(client=browser).status_code == 302
    assert browser.session.session_key != planted
    assert not Session.objects.filter(pk=planted).exists()


# --- guessing passwords -----------------------------------------------------------------------------------------------


def test_after_ten_failures_from_one_address_even_the_right_password_waits(account, own_moment):
    for _ in range(10):
        assert WRONG in told(sign_in(password="a guess"))
    blocked = told(sign_in())
    assert f"{TOO_MANY}{own_moment + timedelta(minutes=16):%H:%M} UTC" in blocked
    assert WRONG not in blocked


def test_nine_failures_lock_nobody_out_and_a_success_forgets_them(account, own_moment):
    for _ in range(2):
        for _ in range(9):
            sign_in(password="a guess")
        assert sign_in().status_code == 302
    assert not FailedSignIn.objects.exists()


def test_the_wait_is_over_after_a_quarter_of_an_hour_and_waiting_attempts_do_not_prolong_it(account):
    for _ in range(10):
        sign_in(password="a guess")
    clock.move(timedelta(minutes=14, seconds=50))
    for _ in range(3):
        assert TOO_MANY in told(sign_in())
    clock.move(timedelta(seconds=11))
    assert sign_in().status_code == 302


def test_a_guesser_elsewhere_does_not_lock_the_account_out_at_its_own_address(account, own_moment):
    for _ in range(11):
        sign_in(password="a guess", REMOTE_ADDR="192.0.2.66")
    assert TOO_MANY in told(sign_in(REMOTE_ADDR="192.0.2.66"))
    assert sign_in(REMOTE_ADDR="192.0.2.1").status_code == 302


def test_a_colleagues_mistakes_do_not_lock_the_office_out(account, own_moment):
    for _ in range(15):
        sign_in("developer", "a guess")
    assert sign_in().status_code == 302


def test_fifty_failures_from_one_address_block_it_whatever_the_name(account, own_moment):
    for number in range(49):
        sign_in(f"name {number}", "a guess")
    assert TOO_MANY not in told(sign_in("the last one", "a guess"))
    assert TOO_MANY in told(sign_in())


def test_the_case_of_a_name_is_no_way_round(account, own_moment):
    for _ in range(10):
        sign_in("Duty", "a guess")
    assert TOO_MANY in told(sign_in())


def test_failures_are_kept_without_names_or_addresses_and_not_for_long(account):
    sign_in("my password by mistake", "a guess", REMOTE_ADDR="192.0.2.66")
    kept = str(list(FailedSignIn.objects.values_list()))
    assert FailedSignIn.objects.count() == 1
    assert "mistake" not in kept and "192.0.2.66" not in kept
    clock.move(timedelta(minutes=16))
    sign_in("somebody", "a guess")
    assert FailedSignIn.objects.count() == 1


@pytest.mark.parametrize(
    ("behind_proxy", "told_by_header", "expected"),
    [
        (False, "203.0.113.9", "192.0.2.1"),
        (True, "203.0.113.9", "203.0.113.9"),
        (True, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (True, "", "192.0.2.1"),
        (True, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (True, "not:an:address", "not:an:address"),
    ],
)
def test_the_address_is_the_callers_and_cannot_be_chosen(rf, settings, behind_proxy, told_by_header, expected):
    settings.BEHIND_PROXY = behind_proxy
    request = rf.get("/", REMOTE_ADDR="192.0.2.1", headers={"x-forwarded-for": told_by_header})
    assert throttle.address_of(request) == expected


# --- whose word is CiDuty's -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [role for role in Role if role != Role.PUBLIC])
def test_the_logins_of_duty_and_lead_count_as_cidutys(settings, role):
    settings.CIDUTY_BUGZILLA_STAFF = frozenset()
    BugzillaLoginFactory(person__role=role, login="Some.Body@Example.com")
    assert ciduty_logins() == ({"some.body@example.com"} if role in CIDUTY_ROLES else set())


def test_the_login_of_somebody_who_left_no_longer_counts(people, settings):
    settings.CIDUTY_BUGZILLA_STAFF = frozenset()
    assert ciduty_logins() == {"duty@example.com", "lead@example.com"}
    Person.objects.filter(role=Role.DUTY).update(is_active=False)
    assert ciduty_logins() == {"lead@example.com"}


def test_logins_of_the_setting_count_without_an_account(settings):
    settings.CIDUTY_BUGZILLA_STAFF = frozenset({"relief@example.com"})
    assert ciduty_logins() == {"relief@example.com"}


# --- the lead's pages -------------------------------------------------------------------------------------------------


def test_a_lead_adds_somebody_who_can_then_sign_in(clients):
    new = Person(username="relief", name="Relief", email="relief@example.com", role=Role.DUTY)
    response = clients[Role.LEAD].post(
        "/people/add/", form_of(new, password=PASSWORD, bugzilla_logins="Relief@Example.com\n\n")
    )
    assert response.headers["Location"] == "/people/"
    assert "Added: Relief." in told(clients[Role.LEAD].get("/people/"))
    assert sign_in("relief").status_code == 302
    assert "relief@example.com" in ciduty_logins()


def test_a_lead_changes_role_and_logins(clients, developer):
    response = save(
        clients, developer, role="duty", bugzilla_logins="one@example.com\none@example.com\nTwo@example.com"
    )
    assert response.status_code == 302
    developer.refresh_from_db()
    assert developer.role == Role.DUTY
    assert logins_of(developer) == {"one@example.com", "two@example.com"}


def test_a_new_password_replaces_the_old_one_and_ends_the_sessions(clients, duty):
    assert save(clients, duty, password=PASSWORD).status_code == 302
    assert clients[Role.DUTY].get("/loaners/").status_code == 302
    assert sign_in().status_code == 302


def test_an_empty_password_keeps_the_present_one(clients, account):
    assert save(clients, account, name="Somebody else").status_code == 302
    assert sign_in().status_code == 302


def test_a_login_of_somebody_else_is_refused_by_name(clients, developer):
    response = save(clients, developer, bugzilla_logins="developer@example.com\nDUTY@example.com")
    assert response.status_code == 422
    assert "duty@example.com already belongs to duty. Take it from there first." in told(response)
    assert logins_of(developer) == {"developer@example.com"}


@pytest.mark.parametrize("login", ["two words@example.com", "a\tb@example.com", "x" * 256])
def test_what_is_no_bugzilla_login_is_refused(clients, developer, login):
    response = save(clients, developer, bugzilla_logins=login)
    assert response.status_code == 422
    assert "is no Bugzilla login: it has no spaces and at most 255 characters." in told(response)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"role": "public"}, "Select a valid choice. public is not one of the available choices."),
        ({"role": "root"}, "Select a valid choice. root is not one of the available choices."),
        ({"username": "duty"}, "is taken: choose another."),
        ({"username": ""}, "This field is required."),
        ({"email": "not an address"}, "Enter a valid email address."),
        ({"password": "short"}, "This password is too short. It must contain at least 10 characters."),
        ({"password": "1234567890"}, "This password is too common."),
        (
            {"username": "wanderer.of.the.north", "password": "wanderer.of.the.north"},
            "The password is too similar to the username.",
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_saved(clients, developer, change, sentence):
    before = Person.objects.filter(pk=developer.pk).values().get()
    response = save(clients, developer, **change)
    assert response.status_code == 422
    assert sentence in told(response)
    assert "Nothing was saved yet" in told(response)
    assert Person.objects.filter(pk=developer.pk).values().get() == before


def test_a_new_password_may_not_be_the_new_name(clients):
    new = Person(username="wanderer.of.the.north", email="", role=Role.DUTY)
    response = clients[Role.LEAD].post("/people/add/", form_of(new, password="wanderer.of.the.north"))
    assert "The password is too similar to the username." in told(response)
    assert not Person.objects.filter(username=new.username).exists()


@pytest.mark.parametrize("field", ["is_superuser", "is_staff", "groups", "user_permissions", "date_joined", "id"])
def test_a_field_that_is_not_on_the_form_is_not_taken(clients, developer, field):
    before = Person.objects.filter(pk=developer.pk).values().get()
    assert save(clients, developer, **{field: "1"}).status_code == 302
    assert Person.objects.filter(pk=developer.pk).values().get() == before


@pytest.mark.parametrize("change", [{"role": "duty"}, {"is_active": None}])
def test_the_last_lead_stays_one(clients, lead, change):
    PersonFactory(role=Role.LEAD, username="former lead", is_active=False)
    response = save(clients, lead, **change)
    assert response.status_code == 422
    assert "lead is the last lead who can sign in: make somebody else lead first." in told(response)
    lead.refresh_from_db()
    assert (lead.role, lead.is_active) == (Role.LEAD, True)


@pytest.mark.parametrize("change", [{"role": "duty"}, {"is_active": None}])
def test_one_lead_of_two_may_go(clients, lead, change):
    PersonFactory(role=Role.LEAD, username="second lead")
    assert save(clients, lead, **change).status_code == 302
    assert Person.objects.filter(role=Role.LEAD, is_active=True).get().username == "second lead"


def test_the_last_lead_may_change_everything_else(clients, lead):
    assert save(clients, lead, name="The lead").status_code == 302


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time: only PostgreSQL can race")
@pytest.mark.django_db(transaction=True)
def test_two_leads_cannot_take_each_others_role_at_the_same_moment(monkeypatch):
    leads = [PersonFactory(role=Role.LEAD, username=name) for name in ("one", "other")]
    both_were_checked = threading.Barrier(2)
    save_form = PersonForm.save

    def save_when_both_were_checked(form):
        try:
            both_were_checked.wait(timeout=1)
        except threading.BrokenBarrierError:
            pass  # the other one waits for our lock, as it should
        return save_form(form)

    def demote(lead, by):
        try:
            browser_of(by).post(f"/people/{lead.pk}/", form_of(lead, role="duty"))
        finally:
            connections.close_all()

    monkeypatch.setattr(PersonForm, "save", save_when_both_were_checked)
    threads = [threading.Thread(target=demote, args=pair) for pair in (leads, leads[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Person.objects.filter(role=Role.LEAD, is_active=True).count() == 1


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_first_account_is_made_by_command(monkeypatch, capsys):
    monkeypatch.setenv("CIDUTY_PASSWORD", PASSWORD)
    call_command("add_person", "first", "--name", "First", "--bugzilla-login", "first@example.com")
    assert capsys.readouterr().out == "Added First as Lead.\n"
    assert logins_of(Person.objects.get(username="first")) == {"first@example.com"}
    assert sign_in("first").status_code == 302


@pytest.mark.parametrize(
    ("password", "arguments", "sentence"),
    [
        ("short", ["first"], "password: This password is too short. It must contain at least 10 characters."),
        (PASSWORD, ["duty"], "username: The sign-in name duty is taken: choose another."),
        (PASSWORD, ["first", "--bugzilla-login", "duty@example.com"], "already belongs to duty"),
    ],
)
def test_the_command_refuses_what_the_page_refuses(people, monkeypatch, password, arguments, sentence):
    monkeypatch.setenv("CIDUTY_PASSWORD", password)
    with pytest.raises(CommandError, match=sentence.replace(".", r"\.")):
        call_command("add_person", *arguments)
    assert Person.objects.count() == len(people)


def test_the_command_takes_no_role_that_does_not_exist():
    with pytest.raises(CommandError, match="invalid choice: 'public'"):
        call_command("add_person", "first", "--role", "public")
