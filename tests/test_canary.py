"""The words of a restricted bug reach nobody: no page, header, log line, command's output or row of the database.

Words that can be told apart are planted in bugs of every kind; then everything that anybody can read is read. Left out
are the raw bytes of the database: SQLite keeps deleted rows in free pages and its write-ahead log, PostgreSQL until the
next vacuum, and reading those takes the rights of the server itself; and a query log, which a real installation has not
(the shipped PostgreSQL logs no failed statement either: design.md, decision 11).
"""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from ciduty import clock
from ciduty.bugzilla import breaker, poll
from ciduty.bugzilla.models import Bug, BugText, Quarantine, Visibility
from ciduty.bugzilla.sandbox import Fault
from ciduty.outbox import post
from ciduty.people.models import BugzillaLogin
from ciduty.people.roles import CIDUTY_ROLES, Role
from downtimes import frozen, review, windows
from downtimes.models import Nomination, NoticeVersion
from tests import announced
from tests.canaries import (
    KINDS,
    NEVER_READ,
    PLACES,
    RESTRICTED,
    STATES,
    TURNED,
    canary,
    every_logger_talks,
    login,
    places_found,
    plant_one,
    plant_people,
)
from tests.cast import DowntimeFactory, addresses_of_the_site, browser_of, every_row

pytestmark = pytest.mark.django_db

#: A version that people agreed to says who does the work, and nobody can change it: no page shows who had a bug that
#: is not public any more.
WHO_WORKED = {"assignee"}
#: Every way in which the lists of requests can be asked for; other lists are asked once, and once for all.
ASKED_IN_EVERY_WAY = ("/", "/loaners/")
#: Whose pages are read once more as the parts that a page fetches to renew itself.
ASKS_FOR_PARTS = (Role.PUBLIC, Role.DEVELOPER, Role.DUTY)
QUERIES = ["", *(f"?show={shown}" for shown in (*STATES, "all")), "?show=all&page=2", "?show=nonsense&page=x&next=/"]


@dataclass
class Swept:
    """Everything that was read, by who read it."""

    by: dict = field(default_factory=dict)

    def add(self, reader, text):
        self.by.setdefault(reader, []).append(text)

    def found(self, kind, readers=None):
        """Return which planted words of a kind of bug somebody of these readers met."""
        return places_found(
            "\n".join(text for who, texts in self.by.items() if readers is None or who in readers for text in texts),
            kind,
        )


def plant(world):
    """Put bugs of every kind and state into Bugzilla, and return their numbers by kind."""
    bugs = {}
    for kind, (groups, _) in KINDS.items():
        plant_people(world, kind)
        bugs[kind] = [plant_one(world, kind, groups, state) for state in STATES]
    return bugs


def announce_work_on(bugs, people):
    """Announce a downtime whose work is one bug of each kind, each with a text that a person typed for the public.

    Whoever has a bug that can be read is taken over as its worker, by the code itself.
    """
    duty = people[Role.DUTY]
    starts_at = clock.now() + timedelta(days=3)
    times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(hours=3)}
    downtime = DowntimeFactory(made_by=duty, duty=duty, close="hard", trees=["autoland"], **times)
    for kind, (bug, *_) in bugs.items():
        nomination = Nomination.objects.get(bug_id=bug)
        review.accept(nomination, by=duty, downtime=downtime, op=post.new_op(), words=typed(kind))
        item = downtime.items.get(bug_id=bug)
        words = {"public_text": typed(kind), "minutes": 10, "rollback_minutes": 10}
        windows.edit_item(item, words, by=duty)
    announced.tell(downtime, at=clock.now())
    return downtime


def typed(kind):
    """Return what a person typed for everybody about a bug of a kind: words to find for a public one, else vague."""
    return canary(kind, "public text") if kind == "public" else "Maintenance of a machine."


def turn_private(world, bugs):
    for kind in TURNED:
        for bug in bugs[kind]:
            world.update(bug, "scheduler@example.com", {"groups": {"add": KINDS[kind][1]}})


def poll_command(swept):
    out = StringIO()
    call_command("poll", stdout=out, stderr=out)
    swept.add("poll", out.getvalue())


def sweep_the_site(swept, clients, people, bugs, downtime):
    """Read every page in every way as everybody, the answers to every form too."""
    numbers = [bug for kind in bugs.values() for bug in kind] + [9_999_999]
    addresses = list(
        addresses_of_the_site(
            bug_id=numbers,
            person_id=[person.pk for person in people.values()],
            row_id=[1],
            machine_id=[1],
            application_id=[1],
            step_id=[1],
            grant_id=[1],
            mail_name=["20260303T090000.000000Z-developer@example.com.eml"],
            nomination_id=list(downtime.items.values_list("nomination", flat=True)),
            downtime_id=[downtime.pk],
            item_id=list(downtime.items.values_list("pk", flat=True)),
            answer_id=[1],
            token=["A" * 43],
        )
    )
    # A verb is tried on one bug of each kind, a page is read of each bug.
    tried = {of_a_kind[0] for of_a_kind in bugs.values()}
    left_out = tuple(f"/{part}/{number}/" for part in ("loaners", "bugs") for number in set(numbers) - tried)
    addresses = [address for address in addresses if address.count("/") == 3 or not address.startswith(left_out)]
    addresses.sort(key=lambda address: address.startswith("/sign-out"))  # signs out, so it comes last
    left_out = ("/demo/", "/hold-back/")  # the one signs somebody else in, the other takes the public words away
    for role, client in clients.items():
        for address in [*addresses, "/no/such/page/"]:
            for query in queries_of(address):
                for headers in ({}, {"hx-request": "true"}) if role in ASKS_FOR_PARTS else ({},):
                    read(swept, role, client.get(address + query, headers=headers))
    for role, client in clients.items():  # once everybody has read everything: some verbs take things away
        for address in addresses:
            if not any(part in address for part in left_out):
                answered = read(swept, role, client.post(address, {"next": "/loaners/?show=all"}))
                if answered.status_code == 302:
                    read(swept, role, client.get("/styleguide/"))  # with whatever message the form left behind


def queries_of(address):
    if address in ASKED_IN_EVERY_WAY:
        return QUERIES
    return [""] if any(part.isdigit() for part in address.split("/")) else ["", "?show=all"]


def read(swept, role, response):
    headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    swept.add(role, f"{response.status_code}\n{headers}\n{response.cookies.output()}\n{b''.join(response).decode()}")
    return response


@pytest.fixture
def everything_logged(caplog):
    with every_logger_talks(caplog):
        yield caplog


def test_djangos_templates_never_print_what_they_draw(settings):
    """A variable that is missing makes them log the page's whole context, words and all."""
    assert settings.LOGGING["loggers"]["django.template"] == {"level": "INFO"}
    assert not logging.getLogger("django.template").isEnabledFor(logging.DEBUG)


@pytest.fixture
def planted(bugzilla):
    return plant(bugzilla.world)


@pytest.fixture
def developer_of_the_public_bug(developer):
    BugzillaLogin.objects.create(person=developer, login=login("public", "creator"))
    return developer


def database():
    return str(every_row())


def test_the_bot_sees_the_words_and_the_database_held_those_that_were_public(bugzilla, planted):
    poll.poll()
    client = poll.new_client(breaker.current_connection())
    assert canary("seen by the bot", "summary") in client.bug(planted["seen by the bot"][0])["summary"]
    for kind in TURNED:
        assert places_found(database(), kind) == set(PLACES) - NEVER_READ - {"requestee's name", "commenter's name"}
    assert places_found(database(), "seen by the bot") == set()


def test_the_words_of_a_restricted_bug_reach_nobody(
    bugzilla, planted, clients, people, developer_of_the_public_bug, demo, everything_logged, capfd
):
    swept = Swept()
    poll_command(swept)
    downtime = announce_work_on(planted, people)
    turn_private(bugzilla.world, planted)
    clock.move(timedelta(minutes=61))  # those that were closed are noticed within the hour
    poll_command(swept)
    sweep_the_site(swept, clients, people, planted, downtime)
    swept.add("log", everything_logged.text)
    swept.add("output", "".join(capfd.readouterr()))
    swept.add("database", str(every_row(leave_out=[frozen.TABLE])))

    for kind in RESTRICTED:
        assert swept.found(kind) == set(), kind
        assert places_found(str(list(NoticeVersion.objects.values())), kind) <= WHO_WORKED
    assert set(
        Bug.objects.filter(pk__in=sum((planted[kind] for kind in RESTRICTED), [])).values_list("visibility", flat=True)
    ) == {Visibility.RESTRICTED}
    # The same sweep finds what was typed for everybody, what is public, and for CiDuty alone what is STAFF.
    for role in clients:
        assert typed("public") in "".join(swept.by[role]), role
    pages = {"summary", "creator's name", "assignee's name"}
    for role in (Role.DUTY, Role.LEAD, Role.MANAGER, Role.DEVELOPER):
        assert pages <= swept.found("public", {role}), role
    assert swept.found("public", {Role.PUBLIC}) == set()
    assert swept.found("public", {Role.SCHEDULER}) == {"summary", "assignee"}  # in the plan of the downtime
    for role in Role:
        assert (
            pages <= swept.found("staff", {role}) if role in CIDUTY_ROLES else swept.found("staff", {role}) == set()
        ), role
    assert {"summary", "whiteboard", "alias", "creator", "assignee", "requestee"} <= swept.found("staff", {"database"})
    for kind in ("public", "staff"):
        assert swept.found(kind, {"log", "output", "poll"}) == set()
        assert swept.found(kind) & NEVER_READ == set()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "bad_bug", "remove": ["groups"]},
        {"kind": "bad_bug", "patch": {"status": None}},
        {"kind": "bad_bug", "patch": {"flags": {"not": "a list"}}},
        {"kind": "poison", "status": 500},
        {"kind": "poison", "status": 400, "code": 100500},
    ],
)
def test_a_bug_that_cannot_be_read_is_not_known_to_be_public_and_is_shown_to_nobody(
    bugzilla, clients, people, demo, everything_logged, capfd, fault
):
    """It may have turned private: PUBLIC is what the last full read said (design.md, decision 3)."""
    kind = "turned private, seen by the bot"
    plant(bugzilla.world)
    poll.poll()
    waiting = (
        BugText.objects.filter(summary__contains=canary(kind, "summary"), bug__is_open=True).order_by("pk").first().bug
    )
    assert canary(kind, "summary") in clients[Role.DUTY].get(f"/loaners/{waiting.pk}/").content.decode()
    bugs = list(BugText.objects.filter(summary__contains=canary(kind, "summary")).values_list("pk", flat=True))
    for bug in bugs:
        bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": ["infra-bot-sees"]}})
        bugzilla.faults.add(Fault(bug_id=bug, match=r"id=|/rest/bug/\d", **fault))
    swept = Swept()
    poll_command(swept)
    assert set(Quarantine.objects.values_list("pk", flat=True)) == set(bugs)
    for role, client in clients.items():
        for address in ("/", "/loaners/?show=all", *(f"/loaners/{bug}/" for bug in bugs)):
            read(swept, role, client.get(address))
    swept.add("log", everything_logged.text)
    swept.add("output", "".join(capfd.readouterr()))
    swept.add("quarantine", str(list(Quarantine.objects.values_list())))
    assert swept.found(kind) == set()
    assert "summary" in swept.found("public", {Role.DUTY})

    bugzilla.faults.clear()  # it can be read again, and is restricted: now the words go
    poll_command(swept)
    assert places_found(database(), kind) == set()


def test_a_public_bug_that_could_not_be_read_for_a_while_has_its_words_back_by_itself(bugzilla, clients):
    bug = plant_one_public(bugzilla.world)
    poll.poll()
    fault = Fault("poison", bug_id=bug, status=500, match=r"id=|/rest/bug/\d")
    bugzilla.faults.add(fault)
    poll.poll()
    assert "its words stay in Bugzilla" in clients[Role.DUTY].get(f"/loaners/{bug}/").content.decode()
    bugzilla.faults.clear()
    poll.poll()
    page = clients[Role.DUTY].get(f"/loaners/{bug}/").content.decode()
    assert places_found(page, "public") >= {"summary", "creator's name", "assignee's name"}


def plant_one_public(world):
    plant_people(world, "public")
    return plant_one(world, "public", [], "waiting")


def test_released_words_come_back_only_after_a_person_of_ciduty_asked(bugzilla, planted, clients):
    kind = "turned private, hidden from the bot"
    bug = planted[kind][0]
    poll.poll()
    turn_private(bugzilla.world, planted)
    poll.poll()
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"remove": ["infra"]}})
    clock.move(timedelta(minutes=61))
    poll.poll()
    assert places_found(database(), kind) == set()
    for role in (Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER):
        assert clients[role].post(f"/bugs/{bug}/release/").status_code == 403
    assert browser_of().post(f"/bugs/{bug}/release/").headers["Location"].startswith("/sign-in/")
    poll.poll()
    assert places_found(database(), kind) == set()
    clients[Role.DUTY].post(f"/bugs/{bug}/release/")
    poll.poll()
    assert "summary" in places_found(clients[Role.DUTY].get(f"/loaners/{bug}/").content.decode(), kind)
