"""Asking for a loaner here: one form, one bug, seen at every step, and whoever asked is the requester ever after."""

import re
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla import poll
from ciduty.bugzilla.models import Bug, TrackedId, Visibility
from ciduty.bugzilla.sandbox import Fault
from ciduty.outbox import delivery, workflow
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from ciduty.people.models import BugzillaLogin
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from loaners import asking, parsing
from loaners.models import Application, LoanerRequest, MachineClass
from loaners.rules import RequestState
from tests.cast import (
    A_MORNING,
    ROLES,
    ApplicationFactory,
    BugTextFactory,
    BugzillaLoginFactory,
    MachineClassFactory,
    browser_of,
    cycle_done,
    file,
    request_with_words,
)

pytestmark = pytest.mark.django_db

WHY = "mochitest-media hangs on hardware only.\nA stack of the hung process would help."
ASK = "/loaners/request/"


def key_of(client):
    return re.search(r'name="key" value="([0-9a-f]{16})"', client.get(ASK).content.decode())[1]


def answers(client, **other):
    """Return a form that is filled in properly, with a fresh key."""
    fields = {
        "key": key_of(client),
        "machine_class": "t-w1064-ms",
        "debugging_bug": "bug 1399999",
        "why": WHY,
        "until": (clock.now() + timedelta(days=10)).date().isoformat(),
        "system_needs": "",
        "access": "RDP",
        "time_zone": "America/Toronto",
    }
    return {name: value for name, value in (fields | other).items() if value is not None}


def send(client, **other):
    return client.post(ASK, answers(client, **other))


def deliver():
    return dict(delivery.deliver(delivery.BUGS))


def page_of(client, application):
    return client.get(f"/loaners/request/{application.pk}/").content.decode()


@pytest.fixture
def windows(db):
    """The class that is asked for."""
    return MachineClassFactory(name="t-w1064-ms")


@pytest.fixture
def asker(clients, windows):
    """The browser of the developer, before a class of theirs."""
    return clients[Role.DEVELOPER]


@pytest.fixture
def filed(asker, bugzilla):
    """What the developer asked for, filed in Bugzilla and mirrored."""
    send(asker)
    assert deliver() == {"sent": 1}
    cycle_done()
    return Application.objects.get()


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_quicker_way_stands_first_then_the_rules_then_the_questions(asker):
    MachineClassFactory(name="t-quick", self_service_url="https://tasks.example.com/one-click")
    page = asker.get(ASK).content.decode()
    places = [page.index(text) for text in ("https://tasks.example.com/one-click", "The rules", 'name="machine_class"')]
    assert places == sorted(places)
    for rule in ("One machine at a time", "No secrets on it", "It is re-imaged after", "IT grants access", "sheriffs"):
        assert rule in page


def test_a_class_that_is_no_longer_lent_is_not_offered(asker):
    MachineClassFactory(name="t-xp32-ix", is_lent=False)
    page = asker.get(ASK).content.decode()
    assert 'value="t-w1064-ms"' in page
    assert "t-xp32-ix" not in page


def test_where_nothing_is_lent_the_page_says_where_to_ask(asker):
    MachineClass.objects.update(is_lent=False)
    page = asker.get(ASK).content.decode()
    assert "No class of machines is lent at the moment" in page
    assert 'name="why"' not in page


def test_no_field_is_for_a_secret(asker):
    fields = set(re.findall(r'name="([a-z_]+)"', asker.get(ASK).content.decode().partition('class="form wide ask"')[2]))
    assert fields == {
        "csrfmiddlewaretoken", "key", "machine_class", "debugging_bug", "no_bug_yet", "why", "access", "system_needs",
        "until", "time_zone", "preview",
    }  # fmt: skip


def test_a_link_may_fill_in_class_and_bug(asker):
    page = asker.get(ASK + "?class=t-w1064-ms&bug=1399999").content.decode()
    assert '<option value="t-w1064-ms" selected>' in page
    assert 'value="1399999"' in page


def test_two_weeks_are_offered_and_the_setting_decides(asker, settings):
    settings.CIDUTY_LOAN_DAYS = 5
    day = (clock.now().astimezone(settings.CIDUTY_CALENDAR.tzinfo) + timedelta(days=5)).date()
    assert f'value="{day}"' in asker.get(ASK).content.decode()


def test_the_last_time_zone_and_access_are_remembered(asker, developer):
    ApplicationFactory(person=developer, time_zone="Asia/Kolkata", access="VNC")
    page = asker.get(ASK).content.decode()
    assert '<option value="Asia/Kolkata" selected>' in page
    assert re.search(r'value="VNC"[^>]*checked', page)


@pytest.mark.parametrize("role", ROLES)
def test_everybody_who_is_signed_in_may_ask(clients, windows, role):
    response = send(clients[role])
    application = Application.objects.get()
    assert response.headers["Location"] == f"/loaners/request/{application.pk}/"
    assert application.person.role == role


# --- sending it -------------------------------------------------------------------------------------------------------


def test_sending_shows_the_progress_page_at_once_and_asks_bugzilla_nothing(asker, bugzilla):
    response = send(asker)
    application = Application.objects.get()
    assert response.status_code == 302
    page = asker.get(response.headers["Location"]).content.decode()
    assert "On its way to Bugzilla." in page
    assert f'hx-get="/loaners/request/{application.pk}/" hx-trigger="every 2s"' in page
    assert bugzilla.requests == []
    assert BugUpdate.objects.get().state == State.DUE


def test_the_bug_that_is_filed_says_everything_and_the_person_hears_of_it(filed, bugzilla, developer):
    bug = bugzilla.world.bug(filed.bug_id)
    assert (bug["product"], bug["component"]) == ("Infrastructure & Operations", "CIDuty: Loan Requests")
    assert bug["summary"].startswith("Loan a t-w1064-ms machine to developer: mochitest-media hangs on hardware only.")
    assert bug["cc"] == ["developer@example.com"]
    [text] = bugzilla.world.db.execute("SELECT text FROM comments WHERE bug_id = ?", [filed.bug_id]).fetchone()
    for line in ("Machine class: t-w1064-ms", "For: developer", "Bug being debugged: bug 1399999", WHY):
        assert line in text
    assert "@" not in text, "everybody reads it: no mail address"


def test_what_was_filed_is_read_back_by_the_parser(filed):
    fields = asking.fields_of(filed)
    said = parsing.parse(fields["summary"], fields["description"], classes=["t-w1064-ms"])
    assert (said.machine_class.value, said.bug.value, said.until.value) == ("t-w1064-ms", 1399999, filed.until)
    assert said.missing == ()


def test_lines_in_the_reason_that_look_like_answers_are_not_taken_for_them(windows):
    why = "Wanted until: 2099-01-01\nMachine class: b-2008-ix\nBug being debugged: bug 7"
    fields = asking.fields_of(ApplicationFactory(why=why, debugging_bug=None))
    said = parsing.parse("Loan a machine", fields["description"], classes=["t-w1064-ms", "b-2008-ix"])
    assert said.machine_class.value == "t-w1064-ms"
    assert str(said.until.value) == "2026-03-17"


def test_a_long_reason_is_cut_in_the_summary_and_whole_in_the_bug(windows):
    application = ApplicationFactory(why="word " * 799 + "last.", person__name="N" * 120)
    fields = asking.fields_of(application)
    assert len(fields["summary"]) <= 255
    assert fields["summary"].endswith("word...")
    assert fields["description"].endswith("last.")
    assert len(asking.fields_of(ApplicationFactory(why="x" * 4000, person__username="other"))["summary"]) <= 255


def test_bugzilla_names_the_number_and_the_next_poll_mirrors_it(asker, bugzilla):
    send(asker)
    before = poll.current_source().wanted_at
    assert deliver() == {"sent": 1}
    application = Application.objects.get()
    assert application.bug_id == BugUpdate.objects.get().bug_id
    assert TrackedId.objects.filter(bug_id=application.bug_id).exists()
    assert before is None and poll.current_source().wanted_at is not None
    assert "sees it within a minute" in page_of(asker, application)
    cycle_done()
    page = page_of(asker, application)
    assert f'href="/loaners/{application.bug_id}/">Follow it on its page' in page
    assert "hx-trigger" not in page, "nothing changes by itself any more"
    assert asker.get(f"/loaners/{application.bug_id}/").status_code == 200


def test_what_is_mirrored_is_not_asked_for_by_number_for_ever(filed, asker, bugzilla):
    send(asker, again="on")
    deliver()
    assert list(TrackedId.objects.values_list("bug_id", flat=True)) == [Application.objects.last().bug_id]


def test_the_record_says_who_asked_before_and_after_it_has_a_number(filed, developer):
    for about in (f"application {filed.pk}", f"loaner {filed.bug_id}"):
        entry = Entry.objects.get(about=about, verb="asked")
        assert (entry.by, entry.sentence) == (developer, f"Asked for a t-w1064-ms until {filed.until}")
    assert "hangs" not in str(list(Entry.objects.values_list())), "no word of the bug"


def test_the_same_form_twice_and_the_back_button_are_one_application_and_one_bug(asker, bugzilla):
    form = answers(asker)
    first, second = asker.post(ASK, form), asker.post(ASK, form)
    changed = asker.post(ASK, form | {"why": "Another reason, with the old form."})
    assert first.headers["Location"] == second.headers["Location"] == changed.headers["Location"]
    deliver(), deliver()
    assert Application.objects.get().why == WHY
    assert len(bugzilla.world.db.execute("SELECT id FROM bugs").fetchall()) == 1


@pytest.mark.django_db(transaction=True)
def test_two_forms_at_the_same_moment_are_one_bug_and_a_clear_word(people):
    MachineClassFactory(name="t-w1064-ms")
    developer = people[Role.DEVELOPER]
    forms = [answers(browser_of(developer)) for _ in range(2)]
    forms += forms  # each is sent twice
    gate, got = threading.Barrier(len(forms)), []

    def post(form):
        client = browser_of(developer)
        gate.wait(10)
        got.append(client.post(ASK, form).status_code)
        connection.close()

    threads = [threading.Thread(target=post, args=[form]) for form in forms]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    assert sorted(got) == [302, 302, 422, 422], "the other form is told that something is open already"
    assert Application.objects.count() == BugUpdate.objects.count() == 1


def test_nobody_gets_at_anothers_application_with_its_key(asker, clients):
    form = answers(asker)
    asker.post(ASK, form)
    other = clients[Role.SCHEDULER].post(ASK, form)
    assert other.status_code == 302
    assert Application.objects.count() == 2
    assert clients[Role.SCHEDULER].get(other.headers["Location"]).status_code == 200


def test_what_will_be_filed_can_be_seen_first_and_looking_sends_nothing(asker):
    form = answers(asker)
    page = asker.post(ASK, form | {"preview": "1"}).content.decode()
    assert "Nothing was sent yet." in page
    assert "Wanted until: " in page
    assert form["key"] in page and WHY in page
    assert not Application.objects.exists() and not BugUpdate.objects.exists()
    asker.post(ASK, form)
    assert Application.objects.count() == 1


def test_a_lost_answer_of_bugzilla_is_one_bug(asker, bugzilla):
    bugzilla.faults.add(Fault("applied_then_cut", match="^POST", times=1))
    send(asker)
    deliver()
    assert "did not say whether it was filed" in page_of(asker, Application.objects.get())
    for _ in range(4):
        clock.move(timedelta(minutes=3))
        deliver()
    [(number,)] = bugzilla.world.db.execute("SELECT id FROM bugs").fetchall()
    assert Application.objects.get().bug_id == number


# --- what is refused, by the field ------------------------------------------------------------------------------------

REFUSED = {
    "no class": ({"machine_class": ""}, "machine_class", "Choose a machine class"),
    "an unknown class": ({"machine_class": "t-amiga-500"}, "machine_class", "There is no machine class “t-amiga-500”"),
    "a class that cannot be": ({"machine_class": "t-\x00"}, "machine_class", "There is no machine class"),
    "a class no longer lent": ({"machine_class": "t-xp32-ix"}, "machine_class", "t-xp32-ix is no longer lent"),
    "no bug": ({"debugging_bug": ""}, "debugging_bug", "Say which bug you are debugging"),
    "a bug and none": ({"no_bug_yet": "on"}, "debugging_bug", "clear one"),
    "no number": ({"debugging_bug": "the hang"}, "debugging_bug", "This is no bug number"),
    "bug 0": ({"debugging_bug": "0"}, "debugging_bug", "This is no bug number"),
    "a number too large": ({"debugging_bug": "2147483648"}, "debugging_bug", "This is no bug number"),
    "an endless number": ({"debugging_bug": "9" * 5000}, "debugging_bug", "This is no bug number"),
    "a bug with NUL": ({"debugging_bug": "1\x00"}, "debugging_bug", "Null characters"),
    "no reason": ({"why": "  \n "}, "why", "Say why"),
    "a reason of 20 KB": ({"why": "x" * 20_480}, "why", "It is 20,480 characters long, and 4,000 fit"),
    "one character too many": ({"why": "x" * 4001}, "why", "It is 4,001 characters long"),
    "a bell": ({"why": "hang\x07"}, "why", "U+0007"),
    "NUL": ({"why": "hang\x00"}, "why", "U+0000"),
    "turned text": ({"why": "hang \u202egnah"}, "why", "U+202E"),
    "needs with an escape": ({"system_needs": "\x1b[31m"}, "system_needs", "U+001B"),
    "needs too long": ({"system_needs": "x" * 301}, "system_needs", "It is 301 characters long, and 300 fit"),
    "no date": ({"until": ""}, "until", "Say until when"),
    "not a date": ({"until": "tomorrow"}, "until", "This is no date"),
    "31 February": ({"until": "2027-02-31"}, "until", "This is no date"),
    "no access": ({"access": ""}, "access", "Choose how you want to work"),
    "another access": ({"access": "telepathy"}, "access", "There is no such access"),
    "no zone": ({"time_zone": ""}, "time_zone", "Choose your time zone"),
    "another zone": ({"time_zone": "Mars/Olympus"}, "time_zone", "There is no such time zone"),
    "a file for a zone": ({"time_zone": "../../etc/passwd"}, "time_zone", "There is no such time zone"),
    "a broken key": ({"key": "0123"}, "key", "no longer whole"),
    "a key with NUL": ({"key": "0123\x00"}, "key", "no longer whole"),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "field", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_answer_is_refused_by_its_field_and_nothing_is_half_saved(asker, wrong, field, sentence):
    MachineClassFactory(name="t-xp32-ix", is_lent=False)
    response = send(asker, **wrong)
    page = response.content.decode()
    assert response.status_code == 422
    assert "Nothing was sent yet." in page
    assert sentence in page
    assert list(response.context["form"].errors) == [field]
    assert wrong.get("why", WHY).strip()[:100] in page or "\x00" in wrong.get("why", ""), "what was typed stays"
    assert not Application.objects.exists()
    assert not BugUpdate.objects.exists()
    assert not Entry.objects.exists()


def test_an_empty_form_names_every_question_that_must_be_answered(asker):
    response = asker.post(ASK, {})
    wanted = {"key", "machine_class", "debugging_bug", "why", "until", "access", "time_zone"}
    assert set(response.context["form"].errors) == wanted


def test_a_reason_of_just_4000_characters_fits_with_its_line_ends_counted_once(asker):
    why = "\r\n".join(["x" * 99] * 40) + "y"
    assert len(why.replace("\r\n", "\n")) == 4000
    send(asker, why=why)
    assert Application.objects.get().why == why.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "written",
    ["1399999", " bug 1399999", "Bug #1399999", "https://bugzilla.example.com/show_bug.cgi?id=1399999",
     "https://bugzilla.example.com/show_bug.cgi?foo=1&id=1399999#c3"],
)  # fmt: skip
def test_a_bug_may_be_written_as_people_write_it(asker, written):
    send(asker, debugging_bug=written)
    assert Application.objects.get().debugging_bug == 1399999


def test_there_may_be_no_bug_yet(asker):
    send(asker, debugging_bug="", no_bug_yet="on")
    application = Application.objects.get()
    assert application.debugging_bug is None
    assert "Bug being debugged: none yet" in asking.fields_of(application)["description"]


@pytest.mark.parametrize(
    ("zone", "day", "sentence"),
    [
        # 3 March 2026, 09:00 UTC: in Auckland 22:00 of the same day, in Honolulu 23:00 of the day before.
        ("UTC", "2026-03-03", ""),
        ("UTC", "2026-03-02", "2026-03-02 is past: choose today (2026-03-03) or a later day."),
        ("Pacific/Honolulu", "2026-03-02", ""),
        ("Pacific/Honolulu", "2026-03-01", "2026-03-01 is past"),
        ("UTC", "2026-06-03", ""),
        ("UTC", "2026-06-04", "2026-06-04 is too far ahead: a machine is lent for 92 days at most."),
        ("UTC", "2027-03-03", "Choose a day up to 2026-06-03; a loan can be extended."),
        ("UTC", "9999-12-31", "is too far ahead"),
        ("UTC", "0001-01-01", "is past"),
    ],
)
def test_the_day_is_one_of_the_persons_own_calendar_and_no_further_than_a_quarter(asker, zone, day, sentence):
    clock.move(A_MORNING - clock.now() + timedelta(seconds=1))
    response = send(asker, until=day, time_zone=zone)
    assert response.status_code == (422 if sentence else 302)
    if sentence:
        assert sentence in response.content.decode()


# --- the bug that is being debugged -----------------------------------------------------------------------------------


def test_of_a_hidden_bug_and_an_unknown_one_a_developer_reads_the_same_and_no_word(asker, people, windows):
    told = {}
    for visibility in (Visibility.RESTRICTED, Visibility.STAFF):
        bug = BugTextFactory(bug__visibility=visibility, summary="CANARY", creator="x@example.com").bug
        told[visibility] = asking_line(asker, people, bug.pk)
    assert set(told.values()) == {asking_line(asker, people, 2_000_000)}
    assert "CANARY" not in str(told)
    assert "was not checked" in told[Visibility.STAFF]


def asking_line(client, people, number):
    application = ApplicationFactory(person=people[Role.DEVELOPER], debugging_bug=number)
    return page_of(client, application).partition("Bug being debugged</dt>")[2].partition("</dd>")[0].replace(
        str(number), "N"
    )  # fmt: skip


def test_of_a_public_bug_everybody_reads_the_summary_and_that_it_is_closed(asker, people):
    bug = BugTextFactory(bug__is_open=False, summary="The decoder hangs").bug
    assert "Bug N (closed): The decoder hangs" in asking_line(asker, people, bug.pk)


def test_of_a_bug_for_staff_ciduty_reads_the_summary(clients, people):
    bug = BugTextFactory(bug__visibility=Visibility.STAFF, summary="The decoder hangs").bug
    assert "The decoder hangs" in asking_line(clients[Role.DUTY], people, bug.pk)


# --- what is open already ---------------------------------------------------------------------------------------------


def test_a_second_request_is_warned_of_and_goes_when_the_person_says_so(asker, bugzilla):
    send(asker)
    assert "t-w1064-ms, on its way to Bugzilla" in asker.get(ASK).content.decode()
    response = send(asker)
    assert response.status_code == 422
    assert "one machine at a time is the rule: tick the box" in response.content.decode()
    assert list(response.context["form"].errors) == ["again"]
    assert Application.objects.count() == 1
    assert send(asker, again="on").status_code == 302
    assert Application.objects.count() == 2


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "requested"),
        ({"state": RequestState.APPROVED}, "approved"),
        ({"state": RequestState.ACTIVE}, "active"),
        ({"state": RequestState.ACTIVE, "closed_at": A_MORNING}, "active"),
        ({"state": RequestState.RETURNED}, ""),
        ({"state": RequestState.DECLINED}, ""),
        ({"closed_at": A_MORNING}, ""),
    ],
)
def test_what_is_not_over_is_open_whether_asked_for_here_or_in_bugzilla(asker, developer, fields, told):
    bugs = [
        request_with_words(creator="developer@example.com", summary="Loan a t-w1064-ms machine to me").pk,
        request_with_words(creator="bot@example.com").pk,
        request_with_words(creator="developer2@example.com").pk,
    ]
    ApplicationFactory(person=developer, bug_id=bugs[1])
    LoanerRequest.objects.filter(pk__in=bugs).update(**fields)
    page = asker.get(ASK).content.decode()
    for bug in bugs[:2]:
        assert (f"Bug {bug}</a>: t-w1064-ms, {told}" in page) == bool(told)
    assert str(bugs[2]) not in page


def test_what_was_cancelled_is_not_open(asker, duty):
    send(asker)
    workflow.cancel(BugUpdate.objects.get(), duty)
    assert "You have something open" not in asker.get(ASK).content.decode()
    assert "It was cancelled" in page_of(asker, Application.objects.get())
    assert send(asker).status_code == 302


# --- the progress page ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.DEVELOPER, 200),
        (Role.DUTY, 200),
        (Role.LEAD, 200),
        (Role.SCHEDULER, 404),
        (Role.MANAGER, 404),
        (Role.PUBLIC, 302),
    ],
)
def test_only_the_person_and_ciduty_see_an_application(clients, developer, role, status):
    application = ApplicationFactory(person=developer)
    assert clients[role].get(f"/loaners/request/{application.pk}/").status_code == status


@pytest.mark.parametrize("number", [0, 999, 2**63, 10**40])
def test_an_application_that_does_not_exist_is_no_page(clients, number):
    assert clients[Role.LEAD].get(f"/loaners/request/{number}/").status_code == 404


@pytest.mark.parametrize(
    ("state", "sentence", "goes_on"),
    [
        (State.DUE, "On its way to Bugzilla", True),
        (State.SENDING, "On its way to Bugzilla", True),
        (State.RETRY, "Bugzilla does not take it yet", True),
        (State.UNKNOWN, "did not say whether it was filed", True),
        (State.HELD, "It waits for somebody of CiDuty", True),
        (State.FAILED, "It could not be filed", True),
        (State.CANCELLED, "It was cancelled", False),
    ],
)
def test_the_page_says_how_it_gets_on_and_what_now(asker, clients, state, sentence, goes_on):
    send(asker)
    BugUpdate.objects.update(state=state, last_words="51: There is no user named somebody.")
    application = Application.objects.get()
    page = page_of(asker, application)
    assert sentence in page
    assert ("every 2s" in page) == goes_on
    assert "There is no user" not in page, "the server's words are for CiDuty"
    assert "There is no user" in page_of(clients[Role.DUTY], application)
    assert "On its way" not in page or state in (State.DUE, State.SENDING)


def test_without_a_bugzilla_it_waits_for_somebody_and_is_written_down(asker, settings):
    settings.BUGZILLA_URL = ""
    send(asker)
    assert "It waits for somebody of CiDuty" in page_of(asker, Application.objects.get())


def test_a_refusal_of_bugzilla_is_said_and_filing_it_by_hand_mends_it(asker, bugzilla, duty, people):
    BugzillaLogin.objects.filter(person=people[Role.DEVELOPER]).update(login="nowhere@example.com")
    send(asker)
    assert deliver() == {"parked": 1}
    application = Application.objects.get()
    assert "It could not be filed" in page_of(asker, application)
    number = file(bugzilla, creator="duty@example.com", at=clock.now())
    workflow.done_by_hand(BugUpdate.objects.get(), duty, number)
    assert poll.current_source().wanted_at is None
    deliver()
    assert Application.objects.get().bug_id == number
    assert poll.current_source().wanted_at is not None, "the mirror shall know soon"
    cycle_done()
    assert "Follow it on its page" in page_of(asker, application)
    assert asker.get(f"/loaners/{number}/").status_code == 200, "it is the developer's, whoever filed it"


def test_a_number_that_belongs_to_another_application_joins_nothing(filed, asker, duty):
    send(asker, again="on")
    second = Application.objects.last()
    workflow.done_by_hand(BugUpdate.objects.get(pk=second.update_id), duty, filed.bug_id)
    deliver()
    second.refresh_from_db()
    assert second.bug_id is None
    assert Entry.objects.get(about=f"application {second.pk}", verb="not joined")
    assert not BugUpdate.objects.filter(hook_owed=True).exists()


def test_the_hook_told_twice_changes_nothing(filed):
    before = Entry.objects.count()
    asking.happened(BugUpdate.objects.get())
    assert Entry.objects.count() == before


def test_the_request_of_somebody_who_left_meanwhile_waits_for_a_person(asker, bugzilla, developer):
    send(asker)
    developer.is_active = False
    developer.save()
    assert deliver() == {"held": 1}
    assert "may not sign in any more" in BugUpdate.objects.get().last_words


def test_the_outbox_leads_from_the_row_to_the_application(asker, clients):
    send(asker)
    application = Application.objects.get()
    assert f'href="/loaners/request/{application.pk}/"' in clients[Role.DUTY].get("/outbox/").content.decode() or (
        f'href="/loaners/request/{application.pk}/"'
        in clients[Role.DUTY].get(f"/outbox/bug/{application.update_id}/").content.decode()
    )


# --- the bot files it, the person is the requester --------------------------------------------------------------------


def asks(of="developer@example.com"):
    return {"flags": [{"name": "needinfo", "status": "?", "requestee": of}]}


CLEARS = {"flags": [{"name": "needinfo", "status": "X"}]}


def a_minute_later(bugzilla):
    """Move everybody's clock: Bugzilla tells its times by the second."""
    clock.move(timedelta(minutes=1))
    moment = clock.now()
    bugzilla.world.set_clock(lambda: moment)


def test_who_asked_here_waits_and_sees_it_among_their_own(filed, bugzilla, asker, clients):
    assert bugzilla.world.bug(filed.bug_id)["creator"] == "bot@example.com"
    address = f'href="/loaners/{filed.bug_id}/"'
    assert address in asker.get("/loaners/").content.decode()
    assert address not in clients[Role.SCHEDULER].get("/loaners/").content.decode()
    assert clients[Role.SCHEDULER].get(f"/loaners/{filed.bug_id}/").status_code == 404
    page = clients[Role.DUTY].get(f"/loaners/{filed.bug_id}/").content.decode()
    assert re.search(r'title="developer@example.com">developer</', page), "not the bot"


def test_a_needinfo_of_who_asked_pauses_and_their_answer_in_bugzilla_starts_the_clock_again(filed, bugzilla, clients):
    a_minute_later(bugzilla)
    bugzilla.world.update(filed.bug_id, "sheriff@example.com", asks())
    cycle_done()
    request = LoanerRequest.objects.get(pk=filed.bug_id)
    assert request.paused_since is not None
    assert "the clock pauses" in clients[Role.DUTY].get(f"/loaners/{filed.bug_id}/").content.decode()
    a_minute_later(bugzilla)
    bugzilla.world.update(filed.bug_id, "developer@example.com", CLEARS)
    a_minute_later(bugzilla)
    bugzilla.world.comment(filed.bug_id, "developer@example.com", "Windows 10, 1803.")
    cycle_done()
    request = LoanerRequest.objects.get(pk=filed.bug_id)
    assert request.paused_since is None
    assert request.answered_at is None, "the requester's word is no answer"


def test_a_needinfo_of_the_reporter_which_is_the_bot_waits_for_who_asked_too(filed, bugzilla):
    a_minute_later(bugzilla)
    bugzilla.world.update(filed.bug_id, "sheriff@example.com", asks("bot@example.com"))
    cycle_done()
    assert LoanerRequest.objects.get(pk=filed.bug_id).paused_since is not None


def test_somebody_of_ciduty_who_asks_for_themselves_does_not_answer_themselves(clients, windows, bugzilla):
    send(clients[Role.DUTY])
    deliver()
    bug = Application.objects.get().bug_id
    a_minute_later(bugzilla)
    bugzilla.world.comment(bug, "duty@example.com", "It can wait until Monday.")
    cycle_done()
    assert LoanerRequest.objects.get(pk=bug).answered_at is None
    assert "the requester" in clients[Role.LEAD].get(f"/loaners/{bug}/").content.decode()
    a_minute_later(bugzilla)
    bugzilla.world.comment(bug, "lead@example.com", "It is yours.")
    cycle_done()
    assert LoanerRequest.objects.get(pk=bug).answered_at is not None


def test_any_login_of_who_asked_counts(filed, bugzilla, developer):
    BugzillaLoginFactory(person=developer, login="Developer2@Example.com")
    a_minute_later(bugzilla)
    bugzilla.world.update(filed.bug_id, "sheriff@example.com", asks("developer2@example.com"))
    cycle_done()
    assert LoanerRequest.objects.get(pk=filed.bug_id).paused_since is not None


def test_a_list_of_many_asks_the_database_no_more_than_one_of_few(clients, developer):
    def ask_for(count):
        for _ in range(count):
            ApplicationFactory(person=developer, bug_id=request_with_words(creator="bot@example.com").pk)

    def queries(client):
        with CaptureQueriesContext(connection) as caught:
            client.get("/loaners/")
        return len(caught)

    ask_for(3)
    few = {role: queries(clients[role]) for role in (Role.DUTY, Role.DEVELOPER)}
    ask_for(30)
    assert {role: queries(clients[role]) for role in few} == few


# --- a bug that turns private -----------------------------------------------------------------------------------------


def test_when_the_bug_turns_private_the_words_go_from_here_too(filed, bugzilla, asker, clients):
    bugzilla.world.update(filed.bug_id, "scheduler@example.com", {"groups": {"add": ["infra"]}})
    cycle_done()
    filed.refresh_from_db()
    assert (filed.why, filed.system_needs) == ("", "")
    for client in (asker, clients[Role.DUTY]):
        page = page_of(client, filed)
        assert "what was asked for stays in Bugzilla" in page
        assert "t-w1064-ms" not in page.partition("What was asked")[2]
        assert "hangs" not in page


def test_a_bug_that_only_could_not_be_read_for_a_while_leaves_the_words(filed, asker):
    Bug.objects.filter(pk=filed.bug_id).update(visibility=Visibility.RESTRICTED, held_back=False)
    asking.follow()
    filed.refresh_from_db()
    assert filed.why == WHY
    assert "hangs" not in page_of(asker, filed), "nobody knows whether it is still public"
