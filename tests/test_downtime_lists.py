"""A lead keeps the lists that are told and the people who are asked; nobody else sees an address."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty.people.models import Approver
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes import keeping
from downtimes.models import ListUse, MailingList
from tests.cast import ApproverFactory, MailingListFactory, every_row

pytestmark = pytest.mark.django_db

PAGE = "/downtimes/lists/"
A_LIST = {"name": "dev.planning", "address": "dev-planning@example.com", "use": "announce", "mandatory": "on"}
A_LIST |= {"is_used": "on"}
SOMEBODY = {"name": "Anna", "address": "anna@example.com", "is_pre_approver": "on", "is_active": "on"}


@pytest.fixture
def client(clients):
    """The lead's browser."""
    return clients[Role.LEAD]


def keep_list(client, **typed):
    return client.post(f"{PAGE}list/", A_LIST | typed, follow=True)


def keep_approver(client, **typed):
    return client.post(f"{PAGE}approver/", SOMEBODY | typed, follow=True)


def words_of(response):
    return re.sub(r"\s+", " ", response.content.decode())


def test_a_list_is_added_and_changed_and_both_stand_in_the_record(client, lead):
    assert "Saved: dev.planning." in words_of(keep_list(client))
    row = MailingList.objects.get()
    assert (row.address, row.use, row.mandatory, row.is_used) == ("dev-planning@example.com", "announce", True, True)
    typed = {name: value for name, value in A_LIST.items() if name != "mandatory"} | {"id": row.pk, "name": "planning"}
    client.post(f"{PAGE}list/", typed)
    row.refresh_from_db()
    assert (row.name, row.mandatory, MailingList.objects.count()) == ("planning", False, 1)
    entries = Entry.objects.filter(about=keeping.LISTS).order_by("pk")
    assert [(entry.sentence, entry.by) for entry in entries] == [
        ("Added the list dev.planning", lead),
        ("Changed the list dev.planning: name, mandatory", lead),
    ]


def test_saving_what_stands_there_writes_nothing(client):
    keep_list(client)
    before = every_row(leave_out=["django_session"])
    keep_list(client, id=MailingList.objects.get().pk)
    assert every_row(leave_out=["django_session"]) == before


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ({"name": ""}, "Write the list’s name"),
        ({"address": ""}, "Write the address"),
        ({"address": "nobody"}, "This is no mail address: it needs exactly one @."),
        ({"address": "a@example.com,b@example.com"}, "a mail goes to one address only"),
        ({"address": "a@example.com\r\nBcc: b@example.com"}, "This is no mail address"),
        ({"use": "everything"}, "Select a valid choice"),
        ({"name": "x" * 81}, "at most 80 characters"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_and_nothing_typed_is_lost(client, typed, problem):
    answer = keep_list(client, **typed)
    assert answer.status_code == 422
    page = answer.content.decode().replace("&#x27;", "'")
    assert problem in page
    assert "Nothing was saved yet" in page
    kept = (A_LIST | typed)["name" if "address" in typed else "address"]
    assert kept in page
    assert not MailingList.objects.exists()


def test_an_address_stands_once_for_one_use_and_may_stand_for_another(client):
    keep_list(client)
    assert "stands in the list already" in words_of(keep_list(client, address="Dev-Planning@example.com"))
    assert keep_list(client, use="copy").status_code == 200
    assert MailingList.objects.count() == 2


def test_it_is_warned_while_nobody_must_be_told(client):
    assert "No list in use is marked as mandatory" in words_of(client.get(PAGE))
    MailingListFactory(mandatory=False)
    MailingListFactory(is_used=False)
    MailingListFactory(use=ListUse.COPY)
    assert "No list in use is marked as mandatory" in words_of(client.get(PAGE))
    keep_list(client)
    assert "No list in use is marked as mandatory" not in words_of(client.get(PAGE))


def test_it_is_warned_while_nobody_is_a_pre_approver(client):
    ApproverFactory(is_pre_approver=False)
    ApproverFactory(is_active=False)
    assert "Nobody is a pre-approver" in words_of(client.get(PAGE))
    keep_approver(client)
    assert "Nobody is a pre-approver" not in words_of(client.get(PAGE))


def test_an_approver_is_added_with_account_alternate_and_absence(client, developer):
    alternate = ApproverFactory(name="Alt")
    typed = {"person": developer.pk, "alternate": alternate.pk}
    typed |= {"absent_from": "2026-12-20", "absent_until": "2027-01-03"}
    keep_approver(client, **typed)
    row = Approver.objects.get(name="Anna")
    assert (row.person, row.alternate, row.is_pre_approver) == (developer, alternate, True)
    assert (str(row.absent_from), str(row.absent_until)) == ("2026-12-20", "2027-01-03")
    assert "absent from 2026-12-20 until 2027-01-03, Alt answers" in words_of(client.get(PAGE))
    keep_approver(client, id=row.pk)
    row.refresh_from_db()
    assert (row.person, row.alternate, row.absent_from) == (None, None, None)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ({"address": "Other@example.com"}, "Other has this address: one person is one row, and counts once."),
        ({"absent_until": "2026-12-20"}, "Write the first day of the absence, too."),
        ({"absent_from": "2026-12-20", "absent_until": "2026-12-19"}, "The absence ends before it begins"),
        ({"absent_from": "tomorrow"}, "Enter a valid date"),
        ({"person": "999999"}, "Select a valid choice"),
        ({"name": ""}, "Write the name"),
    ],
)
def test_what_is_wrong_with_an_approver_is_said(client, typed, problem):
    ApproverFactory(name="Other", address="other@example.com")
    answer = keep_approver(client, **typed)
    assert answer.status_code == 422
    assert problem in words_of(answer)
    assert Approver.objects.count() == 1


def test_an_account_belongs_to_one_approver_and_nobody_is_their_own_alternate(client, developer):
    row = ApproverFactory(name="Other", person=developer)
    assert "This account belongs to Other" in words_of(keep_approver(client, person=developer.pk))
    answer = keep_approver(client, id=row.pk, alternate=row.pk)
    assert "Nobody is their own alternate" in words_of(answer)


def test_what_somebody_else_saved_at_the_same_moment_is_not_run_over(lead):
    MailingListFactory(address="a@example.com")
    with pytest.raises(NotAllowed, match="Somebody saved the same address"):
        keeping.keep_list(MailingList(), {"name": "x", "address": "a@example.com", "use": ListUse.ANNOUNCE}, by=lead)
    assert MailingList.objects.count() == 1 and not Entry.objects.exists()


@pytest.mark.parametrize("number", ["0", "77", "9" * 30, "x", "-1", "１"])
def test_a_row_that_is_not_there_is_no_such_page(client, number):
    assert keep_list(client, id=number).status_code == 404
    assert keep_approver(client, id=number).status_code == 404
    assert not MailingList.objects.exists()


def test_what_is_typed_runs_nowhere(client):
    keep_list(client, name="<script>alert(1)</script>")
    page = client.get(PAGE).content.decode()
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("role", [Role.PUBLIC, Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER, Role.DUTY])
def test_nobody_but_a_lead_sees_or_changes_an_address(clients, role):
    MailingListFactory(address="private-list@example.com")
    ApproverFactory(address="private-person@example.com")
    for address in (PAGE, f"{PAGE}list/", f"{PAGE}approver/"):
        for method in ("get", "post"):
            answer = getattr(clients[role], method)(address, A_LIST | {"id": ""})
            assert answer.status_code in (302, 403)
            assert "private-" not in answer.content.decode()
    assert MailingList.objects.count() == Approver.objects.count() == 1


def test_the_page_asks_the_database_as_often_for_twenty_rows_as_for_two(client):
    def queries(more):
        for _ in range(more):
            MailingListFactory()
            ApproverFactory()
        client.get(PAGE)
        with CaptureQueriesContext(connection) as captured:
            client.get(PAGE)
        return len(captured)

    few = queries(2)
    assert queries(18) == few
    assert few <= 15
