"""The cast and the stage of every test: people by role, their browsers, and a Bugzilla to play with. Tests nothing."""

import importlib
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import product

import factory
import pytest
from django.db import connection, connections
from django.test import Client
from django.urls import URLPattern, clear_url_caches, get_resolver, reverse

import ciduty.urls
from ciduty import clock
from ciduty.bugzilla import poll
from ciduty.bugzilla.models import Bug, BugText, Visibility
from ciduty.bugzilla.sandbox import Sandbox, World, seed
from ciduty.outbox.models import BugUpdate, Mail, TreeChange
from ciduty.outbox.rules import State
from ciduty.people.models import Approver, BugzillaLogin, Person
from ciduty.people.roles import Role
from downtimes.models import Answer, Downtime, Item, MailingList, Nomination, NoticeVersion
from loaners import checklists, lending
from loaners.models import Application, ListKind, LoanerRequest, Machine, MachineClass
from loaners.rules import OUT, MachineState, RequestState

#: A working day of the desk: Tuesday 3 March 2026, 11:00 in Bucharest.
A_MORNING = datetime(2026, 3, 3, 9, tzinfo=UTC)
LOAN = {"product": "Infrastructure & Operations", "component": "CIDuty: Loan Requests"}
ELSEWHERE = {"product": "mozilla.org", "component": "Server Operations"}
LONG_AGO = datetime(2026, 1, 5, 10, tzinfo=UTC)
ROLES = [role for role in Role if role != Role.PUBLIC]


class PersonFactory(factory.django.DjangoModelFactory):
    """Somebody of a role, named by it, who cannot sign in with a password."""

    class Meta:
        model = Person
        skip_postgeneration_save = True

    role = Role.DEVELOPER
    username = factory.LazyAttribute(lambda person: str(person.role))
    email = factory.LazyAttribute(lambda person: f"{person.username}@example.com")
    password = "!"


class BugzillaLoginFactory(factory.django.DjangoModelFactory):
    """A Bugzilla login of somebody, named like them."""

    class Meta:
        model = BugzillaLogin

    person = factory.SubFactory(PersonFactory)
    login = factory.LazyAttribute(lambda login: f"{login.person.username}@example.com")


class BugFactory(factory.django.DjangoModelFactory):
    """An open, public bug in a loan component, as the mirror keeps it, without its words."""

    class Meta:
        model = Bug

    id = factory.Sequence(lambda number: 1_400_000 + number)
    status = "NEW"
    visibility = Visibility.PUBLIC
    offered = factory.SelfAttribute("visibility")
    is_loaner_request = True
    created_at = changed_at = read_at = read_server_time = A_MORNING


class BugTextFactory(factory.django.DjangoModelFactory):
    """The words of a bug that the developer filed."""

    class Meta:
        model = BugText

    bug = factory.SubFactory(BugFactory)
    summary = "Loan a machine"
    creator = "developer@example.com"
    creator_name = "Developer"


class LoanerRequestFactory(factory.django.DjangoModelFactory):
    """A request that nobody answered. Its bug has no words unless a BugText is made for it."""

    class Meta:
        model = LoanerRequest

    bug = factory.SubFactory(BugFactory)
    opened_at = answer_by = A_MORNING


class MachineClassFactory(factory.django.DjangoModelFactory):
    """A class of machines that are lent; one that ships already is taken as it is."""

    class Meta:
        model = MachineClass
        django_get_or_create = ["name"]

    name = "t-w1064-ms"
    label = "Windows 10 on hardware"
    needs_group_switch = True


class ApplicationFactory(factory.django.DjangoModelFactory):
    """What somebody asked for on our page; nobody files its bug."""

    class Meta:
        model = Application

    person = factory.SubFactory(PersonFactory)
    key = factory.Sequence(lambda number: f"form {number}")
    machine_class = factory.SubFactory(MachineClassFactory)
    debugging_bug = 1399999
    why = "It fails on hardware only."
    until = factory.LazyAttribute(lambda application: application.asked_at.date() + timedelta(days=14))
    access = "RDP"
    time_zone = "Europe/Bucharest"
    asked_at = A_MORNING


class DeliveryFactory(factory.django.DjangoModelFactory):
    """What mails and bug updates have in common: just written, and due unless another state is given."""

    class Meta:
        abstract = True

    key = factory.Sequence(lambda number: f"effect {number}")
    purpose = "outbox: check"
    about = "loaner 1400123"
    created_at = factory.LazyFunction(clock.now)
    due_since = next_try_at = factory.SelfAttribute("created_at")
    accepted_at = factory.LazyAttribute(lambda row: row.created_at if row.state == State.ACCEPTED else None)
    state = State.DUE


class MailFactory(DeliveryFactory):
    """A mail to the developer, as it would go over the wire."""

    class Meta:
        model = Mail

    recipient = "developer@example.com"
    subject = "Your loaner"
    message = factory.LazyAttribute(
        lambda mail: f"To: {mail.recipient}\r\nSubject: {mail.subject}\r\n\r\nIt is ready.\r\n".encode()
    )
    sha256 = "not looked at"
    message_id = factory.Sequence(lambda number: f"<{number}@ciduty.example.com>")


class BugUpdateFactory(DeliveryFactory):
    """A comment on a bug."""

    class Meta:
        model = BugUpdate

    op = factory.Sequence(lambda number: f"{number:08x}")
    bug_id = 1400123
    wants = factory.LazyFunction(lambda: {"comment": "Yours is ready."})


class TreeChangeFactory(DeliveryFactory):
    """A closure of autoland and try."""

    class Meta:
        model = TreeChange

    wants = factory.LazyFunction(
        lambda: {
            "trees": ["autoland", "try"], "status": "closed", "reason": "Tree closing window (Bug 1400123)",
            "tags": ["planned"], "remember": True,
        }
    )  # fmt: skip
    seen = factory.LazyFunction(lambda: dict.fromkeys(("autoland", "try"), {"status": "open", "log_id": 1}))


class MachineFactory(factory.django.DjangoModelFactory):
    """A free machine of the pool, which CI uses too."""

    class Meta:
        model = Machine

    machine_class = factory.SubFactory(MachineClassFactory)
    host = factory.Sequence(lambda number: f"t-w1064-ms-{number:03d}")
    changed_at = A_MORNING


#: What a new bug wants.
NEW_BUG = {"new": {**LOAN, "summary": "A new machine", "description": "It is needed."}}


def request_with_words(**words):
    """Return a developer's unanswered request; `bug__...` goes to its bug, the rest to its words."""
    return LoanerRequestFactory(bug=BugTextFactory(**words).bug)


def at_once(acts):
    """Do things in as many threads at the same moment, and return what they returned. Wants a transactional test."""
    barrier, returned = threading.Barrier(len(acts)), []

    def run(act):
        try:
            barrier.wait(timeout=10)
            returned.append(act())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return returned


#: Where the machine of a request is, by the request's own state.
MACHINE_WHILE = {
    RequestState.PREPARING: MachineState.RESERVED,
    RequestState.ACTIVE: MachineState.ON_LOAN,
    RequestState.RETURN_REQUESTED: MachineState.ON_LOAN,
    RequestState.RECLAIMING: MachineState.RE_IMAGING,
}


def request_in(state, *, machine=None, **fields):
    """Return the developer's request in a state, with the machine and the dates that go with it; `machine`: its fields.

    The steps that its next verb waits for are done, with proof, and looked at a second time.
    """
    if state in MACHINE_WHILE:
        fields["machine"] = MachineFactory(state=MACHINE_WHILE[state], **(machine or {}))
    if state in OUT or state == RequestState.RECLAIMING:
        at = clock.now()
        fields = {"handed_over_at": at, "due_at": lending.due_at_end_of(at.date() + timedelta(days=14))} | fields
    request = LoanerRequestFactory(bug=BugTextFactory().bug, state=state, **fields)
    kind = {RequestState.PREPARING: ListKind.PREPARE, RequestState.RECLAIMING: ListKind.RECLAIM}.get(state)
    if kind:
        checklists.begin(request, kind)
        request.steps.update(done_at=A_MORNING, evidence="seen")
        request.steps.filter(second_look=True).update(checked_at=A_MORNING)
    return request


def every_row(leave_out=()):
    """Return every row of every table as the database holds it, by table: what a thief of the database would read."""
    rows = {}
    with connection.cursor() as cursor:
        for table in sorted(set(connection.introspection.table_names(cursor)) - set(leave_out)):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY 1")
            rows[table] = cursor.fetchall()
    return rows


def names_of_the_site(patterns=None):
    """Yield the name and the arguments' names of every address, None for one without a name."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.name, list(pattern.pattern.converters)
        else:
            yield from names_of_the_site(pattern.url_patterns)


#: Where a test does not say which: one of each, whether it is there or not.
ONE_OF_EACH = {
    "change_id": [1],
    "source_id": [1],
    "closure_id": [1],
    "token_id": [1],
    "slug": ["hg-mozilla-org"],
    "name": ["autoland"],
}


def addresses_of_the_site(**arguments):
    """Yield every address with every given value of its argument (`bug_id=[1400123]`); a new argument needs values."""
    arguments = ONE_OF_EACH | arguments
    for name, wanted in names_of_the_site():
        for values in product(*(arguments[argument] for argument in wanted)):
            yield reverse(name, args=values)


def browser_of(person=None, **options):
    """Return a browser that this person is signed in with; a stranger's without one."""
    client = Client(**options)
    if person is not None:
        client.force_login(person)
    return client


@pytest.fixture
def people(db):
    """One person of every role, each with the Bugzilla login role@example.com."""
    people = Person.objects.bulk_create([PersonFactory.build(role=role) for role in ROLES])
    BugzillaLogin.objects.bulk_create([BugzillaLoginFactory.build(person=person) for person in people])
    return {person.role: person for person in people}


class Browsers(Mapping):
    """A browser by role. Each is signed in when it is first asked for: most tests look with one or two of them."""

    def __init__(self, people):
        self._people, self._open = {Role.PUBLIC: None} | people, {}

    def __getitem__(self, role):
        if role not in self._open:
            self._open[role] = browser_of(self._people[role])
        return self._open[role]

    def __iter__(self):
        return iter(self._people)

    def __len__(self):
        return len(self._people)


@pytest.fixture
def clients(people):
    """One browser for every role; `public` is a stranger."""
    return Browsers(people)


@pytest.fixture
def duty(people):
    """The person on duty."""
    return people[Role.DUTY]


@pytest.fixture
def lead(people):
    """The lead."""
    return people[Role.LEAD]


@pytest.fixture
def developer(people):
    """A developer who asks for loaners."""
    return people[Role.DEVELOPER]


@pytest.fixture
def stranger():
    """The browser of somebody who is not signed in."""
    return browser_of()


@pytest.fixture
def demo(settings):
    """The site map of the demo: one-click sign-in exists."""
    settings.DEMO = True
    _read_the_site_map_again()
    yield
    settings.DEMO = False
    _read_the_site_map_again()


def _read_the_site_map_again():
    importlib.reload(ciduty.urls)
    clear_url_caches()


@pytest.fixture
def bugzilla(settings):
    """A running Bugzilla with the sandbox's people and products and no bugs; ciduty is set to poll it."""
    world = World(":memory:")
    seed.people(world)
    seed.products(world)
    with Sandbox(world) as sandbox:
        settings.BUGZILLA_URL = sandbox.url
        settings.BUGZILLA_API_KEY = seed.BOT_KEY
        settings.BUGZILLA_KEY_IN = "header"
        settings.BUGZILLA_LOGIN = ""
        settings.CIDUTY_STAFF_GROUPS = frozenset({"moco-specific"})
        settings.CIDUTY_BUGZILLA_STAFF = frozenset()
        yield sandbox
    world.close()


def file(bugzilla, summary="Loan a machine", **fields):
    """File a bug in the sandbox, a loan request of long ago unless told otherwise, and return its number."""
    fields = LOAN | {"creator": "developer@example.com", "at": LONG_AGO} | fields
    return bugzilla.world.add_bug(summary=summary, **fields)


def cycle_done(**expected):
    """Poll once, expect it to succeed with these figures, and return the cycle."""
    cycle = poll.poll()
    assert (cycle.outcome, cycle.problem) == ("done", "")
    assert {name: getattr(cycle, name) for name in expected} == expected
    return cycle


# --- downtimes --------------------------------------------------------------------------------------------------------


class DowntimeFactory(factory.django.DjangoModelFactory):
    """A window that somebody of CiDuty began to plan, with nothing in it but its title."""

    class Meta:
        model = Downtime

    title = "Switches in mdc1"
    made_by = factory.LazyFunction(
        lambda: Person.objects.filter(role=Role.DUTY).first() or PersonFactory(role=Role.DUTY)
    )
    made_at = A_MORNING


class ItemFactory(factory.django.DjangoModelFactory):
    """A piece of work on a bug that the mirror knows as public, with a text that somebody confirmed."""

    class Meta:
        model = Item

    downtime = factory.SubFactory(DowntimeFactory)
    bug_id = factory.LazyFunction(lambda: BugTextFactory(bug__is_loaner_request=False, creator="it@example.com").pk)
    position = factory.Sequence(lambda number: number)
    public_text = "New firmware for the switches."
    confirmed_by = factory.SelfAttribute("downtime.made_by")
    confirmed_as = Visibility.PUBLIC
    worker = "worker@example.com"
    minutes = 60
    rollback_minutes = 30


class MailingListFactory(factory.django.DjangoModelFactory):
    """A list that must be told of every downtime."""

    class Meta:
        model = MailingList

    name = factory.Sequence(lambda number: f"dev.planning {number}")
    address = factory.Sequence(lambda number: f"dev-planning-{number}@example.com")


class NominationFactory(factory.django.DjangoModelFactory):
    """Work on a public bug that waits for a decision, with the wording that its requester typed."""

    class Meta:
        model = Nomination

    bug_id = factory.LazyFunction(lambda: BugTextFactory(bug__is_loaner_request=False, creator="it@example.com").pk)
    key = factory.LazyAttribute(lambda nomination: f"bug {nomination.bug_id}")
    system = "hg.mozilla.org"
    public_text = "New firmware for the switches."
    text_by = factory.LazyFunction(
        lambda: Person.objects.filter(role=Role.SCHEDULER).first() or PersonFactory(role=Role.SCHEDULER)
    )
    asked_by = factory.SelfAttribute("text_by")
    asked_at = A_MORNING


class ApproverFactory(factory.django.DjangoModelFactory):
    """A pre-approver without an account."""

    class Meta:
        model = Approver

    name = factory.Sequence(lambda number: f"Pre-approver {number}")
    address = factory.Sequence(lambda number: f"pre-approver-{number}@example.com")
    is_pre_approver = True


class NoticeVersionFactory(factory.django.DjangoModelFactory):
    """The first version of a notice, as nobody would draft it: no window and no work stand in it."""

    class Meta:
        model = NoticeVersion

    downtime = factory.SubFactory(DowntimeFactory)
    number = 1
    subject = "[Downtime] Switches in mdc1"
    body = "Trees are closed."
    content = factory.LazyFunction(lambda: {"subject": "", "body": "", "recipients": [], "items": []})
    sha256 = "not looked at"
    made_by = factory.SelfAttribute("downtime.made_by")
    made_at = answers_until = A_MORNING


class AnswerFactory(factory.django.DjangoModelFactory):
    """A question of a pre-approver that nobody answered."""

    class Meta:
        model = Answer

    version = factory.SubFactory(NoticeVersionFactory)
    approver = factory.SubFactory(ApproverFactory)
    decision = "question"
    words = "Which hosts?"
    via = "code"
    at = A_MORNING


def planned_downtime(*workers, starts_in=timedelta(days=4), items=True, **fields):
    """Return a downtime that nothing stands against asking for; its items are worked on by these Bugzilla logins."""
    fields.setdefault("starts_at", clock.now() + starts_in)
    fields.setdefault("ends_at", fields["starts_at"] + timedelta(hours=4))
    downtime = DowntimeFactory(urgency="routine", close="hard", trees=["autoland"], **fields)
    Downtime.objects.filter(pk=downtime.pk).update(duty=downtime.made_by, duty_confirmed_at=clock.now())
    for worker in (workers or ("worker@example.com",)) if items else ():
        item = ItemFactory(downtime=downtime, worker=worker)
        BugText.objects.filter(bug=item.bug_id).update(assignee=worker)
    downtime.refresh_from_db()
    return downtime
