"""Machines: each moves as its table says, of two who want one at once one gets it, and the page says who has which."""

import csv
import re
from datetime import timedelta
from io import StringIO
from itertools import product

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock, csv_files
from ciduty.bugzilla.models import Visibility
from ciduty.demo import machines as demo_machines
from ciduty.outbox.rows import address_of
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from loaners import classes, machine_forms, machine_rows, machine_strip, machines
from loaners.models import Machine, MachineClass
from loaners.rules import MACHINE_MOVES, MachineState
from tests.cast import A_MORNING, MachineClassFactory, MachineFactory, PersonFactory, at_once, request_with_words

pytestmark = pytest.mark.django_db

#: What a machine's table promises, written out once more: verb, from where, to where.
PROMISED = {
    "reserve": ({"available"}, "reserved"),
    "lend": ({"reserved"}, "on loan"),
    "take back": ({"reserved", "on loan"}, "re-imaging"),
    "return to the pool": ({"re-imaging", "reserved", "broken"}, "available"),
    "mark broken": ({"available", "re-imaging"}, "broken"),
    "retire": ({"available", "broken"}, "retired"),
    "bring back": ({"retired"}, "available"),
}
OF_THE_LOAN = {"reserve": machines.reserve, "lend": machines.lend, "take back": machines.take_back}
PAIRS = list(product(MachineState, PROMISED))


def loan(machine=None, state="active", out=10, due=4, **words):
    """Return a request that has a machine: handed over so many days ago, due in so many."""
    request = request_with_words(**words)
    at = clock.now()
    request.machine = machine or MachineFactory(state=MachineState.ON_LOAN)
    request.handed_over_at, request.due_at = at - timedelta(days=out), at + timedelta(days=due)
    type(request).objects.filter(pk=request.pk).update(state=state)
    request.save(update_fields=["machine", "handed_over_at", "due_at"])
    request.refresh_from_db()
    return request


def kept(machine):
    return Machine.objects.values().get(pk=machine.pk)


def page(client, address="/machines/"):
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


# --- moves ------------------------------------------------------------------------------------------------------------


def test_the_table_is_what_was_promised():
    assert {verb: (set(MACHINE_MOVES.sources(verb)), MACHINE_MOVES.target(verb)) for verb in MACHINE_MOVES} == PROMISED


def do(verb, machine, request, by):
    if verb in OF_THE_LOAN:
        OF_THE_LOAN[verb](machine, request, by)
    else:
        machines.do_by_hand(verb, machine, by=by, reason="the fan is loud")


@pytest.mark.parametrize(("state", "verb"), PAIRS)
def test_a_machine_moves_as_the_table_says_and_in_no_other_way(state, verb, duty):
    machine, request = MachineFactory(state=state), request_with_words()
    before, (sources, target) = kept(machine), PROMISED[verb]
    if state in sources:
        do(verb, machine, request, duty)
        assert (machine.state, kept(machine)["state"]) == (target, target)
        assert machine.changed_at > A_MORNING, "since when it is so"
        entry = Entry.objects.get(about=machine.about)
        assert (entry.verb, entry.by, entry.after) == (verb, duty, {"state": target})
        assert (f"bug {request.pk}" in entry.sentence) is (verb in OF_THE_LOAN)
        assert ("the fan is loud" in entry.sentence) is (verb not in OF_THE_LOAN)
    else:
        with pytest.raises(NotAllowed) as refusal:
            do(verb, machine, request, duty)
        assert str(refusal.value).startswith(f"{machine.host} is {state} by now")
        assert kept(machine) == before
        assert not Entry.objects.exists()


def test_a_machine_is_marked_broken_only_with_a_reason(duty):
    machine = MachineFactory()
    with pytest.raises(NotAllowed, match="Say what is wrong with"):
        machines.mark_broken(machine, duty, "")
    assert kept(machine)["state"] == "available"


def test_what_a_loan_has_goes_back_to_the_pool_only_over_the_loan(duty):
    machine = MachineFactory(state=MachineState.RE_IMAGING)
    request = loan(machine, state="reclaiming")
    with pytest.raises(NotAllowed, match=f"The loan of bug {request.pk} still has {machine}"):
        machines.do_by_hand("return to the pool", machine, by=duty)
    machines.come_back(machine, request, duty)
    assert machine.state == "available"


def test_a_machine_that_broke_while_it_was_taken_back_stays_broken(duty):
    machine = MachineFactory(state=MachineState.RE_IMAGING)
    request = loan(machine, state="reclaiming")
    machines.do_by_hand("mark broken", machine, by=duty, reason="does not boot")
    machines.come_back(machine, request, duty)
    assert kept(machine)["state"] == "broken"


def test_a_machine_of_the_cloud_leaves_the_pool_when_its_loan_is_over(duty):
    cloud = MachineClassFactory(name="tst-linux64-ec2")
    assert cloud.is_cloud
    machine = MachineFactory(machine_class=cloud, state=MachineState.RE_IMAGING)
    machines.come_back(machine, loan(machine, state="reclaiming"), duty)
    assert machine.state == "retired"
    assert "Terminated: it was made for this loan" in Entry.objects.get(verb="retire").sentence


def reserve(pk, request, by):
    try:
        machines.reserve(Machine.objects.get(pk=pk), request, by)
    except NotAllowed as problem:
        return str(problem)
    return "got it"


@pytest.mark.django_db(transaction=True)
def test_of_many_who_reserve_a_machine_at_once_one_gets_it_and_the_others_are_told():
    by, requests = PersonFactory(), [request_with_words() for _ in range(4)]
    for _ in range(6):
        machine = MachineFactory()
        told = sorted(
            at_once([lambda request=request, pk=machine.pk: reserve(pk, request, by) for request in requests])
        )
        refusal = f"{machine.host} is reserved by now, so it was not changed (reserve): choose another one."
        assert told == sorted(["got it"] + [refusal] * 3)
        assert Entry.objects.filter(about=machine.about).count() == 1


def test_who_comes_second_is_told_for_which_loan_it_was_reserved(duty):
    machine = MachineFactory(state=MachineState.RESERVED)
    first = loan(machine, state="preparing")
    with pytest.raises(NotAllowed, match=f"is reserved for the loan of bug {first.pk} by now.*choose another one"):
        machines.reserve(machine, request_with_words(), duty)


# --- which one to lend ------------------------------------------------------------------------------------------------


def free(host, days, **fields):
    return MachineFactory(host=host, changed_at=A_MORNING - timedelta(days=days), **fields)


def test_a_spare_machine_is_suggested_before_one_of_ci_and_then_the_one_that_is_free_the_longest():
    free("young", 1), free("old", 30), free("spare-young", 2, is_spare=True), free("spare-old", 3, is_spare=True)
    free("elsewhere", 90, is_spare=True, machine_class=MachineClassFactory(name="t-linux64-ms"))
    for state in set(MachineState) - {MachineState.AVAILABLE}:
        free(f"is-{state[:2]}-{len(state)}", 99, is_spare=True, state=state)
    machine_class = MachineClassFactory()
    assert [machine.host for machine in machines.candidates(machine_class)] == [
        "spare-old",
        "spare-young",
        "old",
        "young",
    ]
    assert machines.suggest(machine_class).host == "spare-old"


def test_nothing_is_suggested_where_nothing_is_free():
    MachineFactory(state=MachineState.BROKEN)
    assert machines.suggest(MachineClassFactory()) is None


@pytest.mark.parametrize(
    ("of_ci", "of_spare", "is_spare", "sentence", "warns"),
    [
        (6, 1, True, "Spare, CI does not need it; free since Tue 03 Mar 2026 09:00 UTC; 6 others of its class stay", 0),
        (1, 0, True, "Spare, CI does not need it; free since Tue 03 Mar 2026 09:00 UTC; 1 other of its class stays", 0),
        (2, 0, False, "CI gives it up, for no spare one is free; free since Tue 03 Mar 2026 09:00 UTC; 2 others", 0),
        (2, 1, False, "Not spare, and a spare one is free; free since Tue 03 Mar 2026 09:00 UTC; 2 others", 0),
        (0, 1, True, "no others of its class stay in CI.", 0),
        (0, 0, False, "no others of its class stay in CI.", 1),
        (0, 0, True, "no others of its class stay in CI.", 1),
    ],
)
def test_a_suggestion_says_why_and_warns_of_the_last_free_one(of_ci, of_spare, is_spare, sentence, warns):
    for number in range(of_ci + of_spare):
        MachineFactory(is_spare=number >= of_ci)
    MachineFactory(state=MachineState.BROKEN)
    reason = machines.why_suggested(MachineFactory(is_spare=is_spare))
    assert sentence in reason.sentence
    assert bool(reason.warning) is bool(warns)
    assert not warns or "It is the last free machine of t-w1064-ms" in reason.warning


# --- the classes that ship --------------------------------------------------------------------------------------------


def test_the_shipped_classes_say_which_are_cloud_which_switch_groups_and_which_have_self_service():
    shipped = {machine_class.name: machine_class for machine_class in MachineClass.objects.all()}
    assert len(shipped) == len(classes.SHIPPED) >= 8
    cloud = {name for name in shipped if shipped[name].is_cloud}
    assert cloud == {name for name in shipped if name.endswith("-ec2")}
    windows = {name for name in shipped if shipped[name].label.startswith("Windows")}
    assert {name for name in shipped if shipped[name].needs_group_switch} == windows != set()
    quick = {name: shipped[name].self_service_url for name in shipped if shipped[name].self_service_url}
    assert set(quick) == {"tst-linux32-ec2", "tst-linux64-ec2"}
    assert all(url.startswith("https://example.com/") for url in quick.values())


def test_a_table_that_holds_classes_already_is_left_alone():
    MachineClass.objects.exclude(name="t-w1064-ms").delete()
    assert classes.load(MachineClass) == 0
    MachineClass.objects.all().delete()
    assert classes.load(MachineClass) == len(classes.SHIPPED) == MachineClass.objects.count()


# --- the table on the page --------------------------------------------------------------------------------------------


def test_the_page_says_who_has_a_machine_and_until_when_and_marks_what_is_overdue(clients):
    late, fine, idle = loan(due=-1), loan(due=3), MachineFactory()
    rows = {
        host: re.sub(r"<[^>]+>", " ", row)
        for row in re.findall(r"<tr.*?</tr>", page(clients[Role.DUTY]).partition('id="table"')[2], re.DOTALL)
        for host in re.findall(r"t-w1064-ms-\d+", row)[:1]
    }
    assert f"bug {late.pk}" in rows[late.machine.host] and "Developer" in rows[late.machine.host]
    assert "Overdue" in rows[late.machine.host] and "Overdue" not in rows[fine.machine.host]
    assert f"{fine.due_at:%H:%M} UTC" in rows[fine.machine.host]
    assert "Available" in rows[idle.host] and "bug" not in rows[idle.host]
    assert f'href="/loaners/{late.pk}/"' in page(clients[Role.DUTY])


def test_a_loan_is_overdue_a_moment_after_it_was_due_and_not_before():
    request = loan()
    second = timedelta(seconds=1)
    moments = (request.due_at - second, request.due_at, request.due_at + second)
    assert [machine_rows.is_overdue(request, at) for at in moments] == [False, False, True]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("", {"here-1", "here-2", "there-1", "there-2"}),
        ("class=t-linux64-ms", {"there-1", "there-2"}),
        ("state=broken", {"here-2"}),
        ("state=on+loan", {"there-1", "there-2"}),
        ("state=overdue", {"there-2"}),
        ("q=MDC1", {"here-1"}),
        ("q=loud", {"here-2"}),
        ("q=there", {"there-1", "there-2"}),
        ("class=t-linux64-ms&q=-2", {"there-2"}),
        ("class=nix", set()),
        ("state=nonsense&page=zz", {"here-1", "here-2", "there-1", "there-2"}),
        ("q=%00%27%22%25", set()),
    ],
)
def test_the_table_shows_what_is_looked_for_and_the_file_the_same(clients, question, found):
    there = MachineClassFactory(name="t-linux64-ms")
    MachineFactory(host="here-1", location="mdc1")
    MachineFactory(host="here-2", state=MachineState.BROKEN, notes="The fan is loud")
    for number, due in ((1, 2), (2, -2)):
        loan(MachineFactory(host=f"there-{number}", machine_class=there, state=MachineState.ON_LOAN), due=due)
    shown = page(clients[Role.DUTY], f"/machines/?{question}").partition('id="table"')[2]
    assert set(re.findall(r">((?:here|there)-\d)<", shown)) == found
    assert {row["host"] for row in as_rows(clients[Role.DUTY].get(f"/machines/?{question}&format=csv"))} == found


def test_the_counts_by_class_and_state_lead_to_their_machines(clients):
    for state in (MachineState.AVAILABLE, MachineState.AVAILABLE, MachineState.BROKEN):
        MachineFactory(state=state)
    text = page(clients[Role.MANAGER])
    assert 'aria-label="2 available of t-w1064-ms">2</a>' in text
    address = re.search(r'href="(\?[^"]*)" aria-label="1 broken of t-w1064-ms"', text)[1].replace("&amp;", "&")
    assert page(clients[Role.MANAGER], "/machines/" + address.partition("#")[0]).count('<td class="summary">') == 1


def test_fifty_machines_stand_on_a_page_and_every_one_stands_on_some_page(clients):
    hosts = {MachineFactory().host for _ in range(101)}
    pages = [page(clients[Role.DUTY], f"/machines/?page={number}&q=t-w") for number in (1, 2, 3)]
    found = [set(re.findall(r">(t-w1064-ms-\d+)</a>", text)) for text in pages]
    assert [len(hosts_there) for hosts_there in found] == [50, 50, 1]
    assert set.union(*found) == hosts
    assert 'href="?q=t-w&amp;page=2#table" rel="next"' in pages[0]


def test_a_manager_reads_and_is_offered_no_verb(clients):
    machine = MachineFactory()
    for address in ("/machines/", f"/machines/{machine.pk}/"):
        for words in ("Add a machine", "Import a list", "Mark broken", "Change its facts"):
            assert words not in page(clients[Role.MANAGER], address)
    assert "Mark broken" in page(clients[Role.DUTY], f"/machines/{machine.pk}/")


def test_who_has_a_machine_is_told_only_as_far_as_the_bug_may_be_read(clients):
    staff = loan(bug__visibility=Visibility.STAFF, creator="staff@example.com", creator_name="Somebody of staff")
    hidden = loan(bug__visibility=Visibility.RESTRICTED, creator_name="Nobody’s business")
    addresses = ["/machines/", "/machines/?format=csv"] + [f"/machines/{one.machine_id}/" for one in (staff, hidden)]
    read = {role: "".join(page(clients[role], address) for address in addresses) for role in (Role.DUTY, Role.MANAGER)}
    assert "Somebody of staff" in read[Role.DUTY] and "Somebody of staff" not in read[Role.MANAGER]
    assert all("business" not in text and str(hidden.pk) in text for text in read.values())


@pytest.mark.parametrize("role", [Role.PUBLIC, Role.DEVELOPER, Role.SCHEDULER])
def test_nobody_else_sees_a_machine_or_who_has_it(clients, role):
    request = loan()
    for address in ("/machines/", "/machines/?format=csv", f"/machines/{request.machine_id}/"):
        answer = clients[role].get(address)
        assert answer.status_code == (302 if role == Role.PUBLIC else 403)
        assert request.machine.host not in answer.content.decode()


def queries(client, address):
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


def test_the_pages_ask_as_often_for_two_thousand_machines_as_for_five(clients):
    few = [loan(due=due) for due in (-2, 2)] + [loan(MachineFactory(state="re-imaging"), state="reclaiming")]
    addresses = ["/machines/", "/machines/?format=csv", f"/machines/{few[0].machine_id}/"]
    before = [queries(clients[Role.DUTY], address) for address in addresses]
    machine_class = MachineClassFactory()
    Machine.objects.bulk_create(
        Machine(host=f"z-{number}", machine_class=machine_class, changed_at=A_MORNING) for number in range(1950)
    )
    for number in range(45):
        loan(due=number - 20)
    assert [queries(clients[Role.DUTY], address) for address in addresses] == before
    assert before[0] <= 16


# --- the table as a file ----------------------------------------------------------------------------------------------


def as_rows(answer):
    return list(csv.DictReader(StringIO(answer.content.decode("utf-8-sig"))))


def test_the_file_tells_the_same_as_the_page_in_quotation_marks_and_utf8(clients):
    request = loan(MachineFactory(host="t-1", state="on loan", is_spare=True, tracking_bug=77, notes="läuft, „gut“"))
    answer = clients[Role.MANAGER].get("/machines/?format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="machines.csv"'
    [row] = as_rows(answer)
    assert (row["host"], row["class"], row["state"], row["spare"]) == ("t-1", "t-w1064-ms", "on loan", "yes")
    assert (row["tracking bug"], row["notes"], row["bug of the loan"]) == ("77", "läuft, „gut“", str(request.pk))
    assert (row["who has it"], row["due back"], row["overdue"]) == (
        "Developer",
        f"{request.due_at:%Y-%m-%d %H:%M} UTC",
        "no",
    )
    for line in answer.content.decode("utf-8-sig").splitlines():
        assert re.fullmatch(r'"[^"]*"(,"[^"]*")*', line)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "'=1", "''@x"])
def test_a_cell_that_a_spreadsheet_might_run_is_defused_and_read_back_as_it_was(clients, text):
    MachineFactory(notes=text)
    [row] = as_rows(clients[Role.DUTY].get("/machines/?format=csv"))
    assert row["notes"] == "'" + text
    assert csv_files.unguarded(row["notes"]) == text


@pytest.mark.parametrize("text", ["plain", "", "a=b", "'tis", "1-2", " =x"])
def test_a_harmless_cell_stays_as_it_is(text):
    assert csv_files.guarded(text) == csv_files.unguarded(text) == text


# --- one machine ------------------------------------------------------------------------------------------------------


def test_the_page_of_a_machine_tells_its_facts_its_loans_and_what_was_done(clients, duty):
    machine = MachineFactory(location="mdc1", tracking_bug=1400042, notes="second shelf")
    earlier = loan(machine, state="returned", creator_name="Earlier developer")
    machines.mark_broken(machine, duty, "no picture")
    text = page(clients[Role.MANAGER], f"/machines/{machine.pk}/")
    for told in ("mdc1", "bug 1400042", "second shelf", f"/loaners/{earlier.pk}/", "Earlier developer"):
        assert told in text
    assert "Marked broken: no picture" in text
    assert address_of(machine.about) == f"/machines/{machine.pk}/"


@pytest.mark.parametrize("state", MachineState)
def test_a_button_stands_there_exactly_where_the_verb_is_allowed(clients, state):
    machine = MachineFactory(state=state)
    text = page(clients[Role.DUTY], f"/machines/{machine.pk}/")
    labels = {"return to the pool": "Return to the pool", "mark broken": "Mark broken", "retire": "Retire"}
    for verb, label in (labels | {"bring back": "Bring back"}).items():
        assert (f">{label}</button>" in text) is (state in PROMISED[verb][0])


def test_a_button_that_a_loan_forbids_is_not_offered(clients):
    request = loan(MachineFactory(state="re-imaging"), state="reclaiming")
    text = page(clients[Role.DUTY], f"/machines/{request.machine_id}/")
    assert ">Return to the pool</button>" not in text
    assert ">Mark broken</button>" in text


def test_the_verbs_are_done_from_the_page_and_a_second_click_is_told(clients):
    machine = MachineFactory()
    address = f"/machines/{machine.pk}/mark-broken/"
    first = clients[Role.DUTY].post(address, {"reason": "no picture"}, follow=True).content.decode()
    assert f"{machine.host} is broken now." in first
    second = clients[Role.LEAD].post(address, {"reason": "no picture"}, follow=True).content.decode()
    assert f"{machine.host} is broken by now: it was not changed (mark broken)." in second
    for verb, state in (("return", "available"), ("retire", "retired"), ("bring-back", "available")):
        clients[Role.DUTY].post(f"/machines/{machine.pk}/{verb}/")
        assert kept(machine)["state"] == state
    assert Entry.objects.filter(about=machine.about).count() == 4


@pytest.mark.parametrize(
    ("reason", "problem"), [("", "Say what is wrong with it"), ("x" * 301, "longer than 300 characters")]
)
def test_a_reason_that_is_missing_or_too_long_is_asked_for_by_the_field(clients, reason, problem):
    machine = MachineFactory()
    answer = clients[Role.DUTY].post(f"/machines/{machine.pk}/mark-broken/", {"reason": reason})
    assert answer.status_code == 422
    text = answer.content.decode()
    assert problem in text and f'value="{reason}"' in text, "what was typed stays"
    assert kept(machine)["state"] == "available"


# --- adding and changing ----------------------------------------------------------------------------------------------


def typed(**fields):
    machine_class = MachineClassFactory()
    return {"host": "t-w1064-ms-900", "machine_class": machine_class.pk} | fields


def test_a_machine_is_added_available_and_recorded(clients, duty):
    fields = typed(
        host=" T-W1064-MS-900 ", location="mdc1", is_spare="on", tracking_bug="bug 1400042", notes="new\r\none"
    )
    answer = clients[Role.DUTY].post("/machines/add/", fields)
    machine = Machine.objects.get()
    assert answer.headers["Location"] == f"/machines/{machine.pk}/"
    assert (machine.host, machine.state, machine.location) == ("t-w1064-ms-900", "available", "mdc1")
    assert (machine.is_spare, machine.tracking_bug, machine.notes) == (True, 1400042, "new\none")
    entry = Entry.objects.get()
    assert (entry.about, entry.verb, entry.by) == (machine.about, "added", duty)
    assert entry.after["class"] == "t-w1064-ms" and "notes" not in entry.after


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"host": ""}, "Write the host: every machine has a name."),
        ({"host": "t w1064"}, "has a space in it"),
        ({"host": "1400123"}, "is no host"),
        ({"host": "-x"}, "is no host"),
        ({"host": "x" * 121}, "120"),
        ({"host": "tést"}, "is no host"),
        ({"host": "TAKEN-1"}, "taken-1 is in the pool already (broken)"),
        ({"machine_class": ""}, "Choose the class"),
        ({"machine_class": "99999"}, "This class is not there"),
        ({"location": "x" * 61}, "The location has 61 characters"),
        ({"tracking_bug": "many"}, "is no bug number"),
        ({"tracking_bug": "0"}, "is no bug number"),
        ({"tracking_bug": str(2**31)}, "is no bug number"),
        ({"tracking_bug": "9" * 6000}, "is no bug number"),
        ({"notes": "y" * 20_000}, "The notes have 20000 characters: keep to 2000"),
    ],
)
def test_what_cannot_be_is_said_by_its_field_and_nothing_is_saved(clients, fields, problem):
    MachineFactory(host="taken-1", state=MachineState.BROKEN)
    answer = clients[Role.DUTY].post("/machines/add/", typed(**{"notes": "typed words"} | fields))
    assert answer.status_code == 422
    text = answer.content.decode()
    assert problem in text
    assert "Nothing was saved yet" in text and fields.get("notes", "typed words") in text
    assert Machine.objects.count() == 1 and not Entry.objects.exists()


@pytest.mark.parametrize("text", ["nul \x00 byte", "turn \u202e around", "bell \x07", "\ufffe"])
def test_text_that_no_database_holds_stops_no_form(clients, text):
    answer = clients[Role.DUTY].post("/machines/add/", typed(notes=text, location=text))
    assert answer.status_code in (302, 422)
    assert not Machine.objects.filter(notes__contains="\u202e").exists()


def test_a_host_that_came_in_at_the_same_moment_is_refused_and_not_half_saved(duty):
    machine_class = MachineClassFactory()
    machines.add(Machine(host="twin", machine_class=machine_class), duty)
    with pytest.raises(NotAllowed, match="twin is in the pool already"):
        machines.add(Machine(host="twin", machine_class=machine_class), duty)
    other = MachineFactory(host="other")
    with pytest.raises(NotAllowed, match="twin is in the pool already"):
        machines.change(other, duty, {"host": "twin"})
    assert Entry.objects.count() == 1 and kept(other)["host"] == "other"


def form_of(client, machine):
    text = page(client, f"/machines/{machine.pk}/edit/")
    return typed(host=machine.host, seen=re.search(r'name="seen" value="(\w+)"', text)[1])


def test_facts_are_changed_and_what_changed_is_recorded_without_the_words_of_notes(clients, duty):
    machine = MachineFactory(location="mdc1", state=MachineState.BROKEN)
    fields = form_of(clients[Role.DUTY], machine) | {"location": "mdc2", "notes": "moved"}
    clients[Role.DUTY].post(f"/machines/{machine.pk}/edit/", fields)
    assert (kept(machine)["location"], kept(machine)["notes"], kept(machine)["state"]) == ("mdc2", "moved", "broken")
    assert kept(machine)["changed_at"] == A_MORNING, "since when it is broken"
    entry = Entry.objects.get()
    assert (entry.sentence, entry.before, entry.after) == (
        "Changed: location, notes",
        {"location": "mdc1"},
        {"location": "mdc2"},
    )
    again = clients[Role.DUTY].post(
        f"/machines/{machine.pk}/edit/",
        form_of(clients[Role.DUTY], machine) | {"location": "mdc2", "notes": "moved"},
        follow=True,
    )
    assert "Nothing was changed" in again.content.decode() and Entry.objects.count() == 1


def test_what_somebody_else_saved_meanwhile_is_not_run_over_unseen(clients):
    machine = MachineFactory()
    mine, theirs = (form_of(clients[role], machine) for role in (Role.DUTY, Role.LEAD))
    address = f"/machines/{machine.pk}/edit/"
    assert clients[Role.LEAD].post(address, theirs | {"notes": "theirs"}).status_code == 302
    answer = clients[Role.DUTY].post(address, mine | {"notes": "mine"})
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "Somebody changed this machine after you opened the page" in text and ">\nmine</textarea>" in text
    assert kept(machine)["notes"] == "theirs"
    seen = re.search(r'name="seen" value="(\w+)"', text)[1]
    assert clients[Role.DUTY].post(address, mine | {"notes": "mine", "seen": seen}).status_code == 302
    assert kept(machine)["notes"] == "mine"


@pytest.mark.parametrize("number", [0, 2**31, 2**63, 10**60])
def test_a_machine_that_is_not_there_is_no_such_page(clients, number):
    for verb in ("", "edit/"):
        assert clients[Role.LEAD].get(f"/machines/{number}/{verb}").status_code == 404
    assert clients[Role.LEAD].post(f"/machines/{number}/retire/").status_code == 404


def test_no_form_has_a_field_for_a_secret():
    forms = (machine_forms.MachineForm(machine=Machine()), machine_forms.ImportForm())
    names = {name for form in forms for name in form.fields}
    assert not {name for name in names if re.search("pass|secret|key|token|credential", name)}
    assert "Never a password, a key or a token" in forms[0].fields["notes"].help_text


# --- the strip --------------------------------------------------------------------------------------------------------


def strip(person):
    return machine_strip.strip(person, Machine.objects.all(), clock.now())


def test_the_strip_shows_what_is_out_the_longest_overdue_first_and_nothing_else(duty):
    assert strip(duty) is None
    MachineFactory(), MachineFactory(state=MachineState.BROKEN)
    loan(MachineFactory(host="soon", state="on loan"), due=3)
    loan(MachineFactory(host="late", state="on loan"), out=20, due=-6)
    MachineFactory(host="imaging", state="re-imaging", changed_at=clock.now() - timedelta(days=3))
    told = [(bar.held.machine.host, bar.words, [part.kind for part in bar.stretches]) for bar in strip(duty).bars]
    assert told == [
        ("late", "overdue by 6 days", ["on loan", "overdue"]),
        ("soon", "due in 2 days", ["on loan"]),
        ("imaging", "re-imaging for 3 days", ["re-imaging"]),
    ]


def test_a_bar_lies_where_its_time_lies(duty):
    loan(out=14, due=-7)
    drawn = strip(duty)
    lent, overdue = drawn.bars[0].stretches
    a_week = (drawn.right - drawn.left) / 7  # four weeks back, three ahead
    assert lent.x == pytest.approx(drawn.left + 2 * a_week, abs=0.2)
    assert lent.width == pytest.approx(a_week, abs=0.3)
    assert overdue.x == pytest.approx(drawn.left + 3 * a_week, abs=0.2)
    assert overdue.x + overdue.width == pytest.approx(drawn.now_x, abs=0.3)


def test_what_began_before_the_strip_and_ends_after_it_stays_within(duty):
    loan(out=300, due=200)
    drawn = strip(duty)
    [part] = drawn.bars[0].stretches
    assert (part.x, part.x + part.width) == (drawn.left, drawn.right)


def test_a_machine_that_came_back_late_shows_the_loan_the_delay_and_the_re_imaging(duty):
    machine = MachineFactory(state="re-imaging", changed_at=clock.now() - timedelta(days=2))
    loan(machine, state="reclaiming", out=20, due=-5)
    [bar] = strip(duty).bars
    assert [part.kind for part in bar.stretches] == ["on loan", "overdue", "re-imaging"]
    assert bar.stretches[1].end == bar.stretches[2].start == machine.changed_at
    assert not bar.held.is_overdue


def test_a_machine_that_came_back_early_was_on_loan_no_longer_than_that(duty):
    machine = MachineFactory(state="re-imaging", changed_at=clock.now() - timedelta(days=2))
    loan(machine, state="reclaiming", out=10, due=5)
    [bar] = strip(duty).bars
    assert [(part.kind, part.end) for part in bar.stretches][0] == ("on loan", machine.changed_at)
    assert [part.kind for part in bar.stretches] == ["on loan", "re-imaging"]


def test_the_drawing_has_a_title_a_description_and_a_table_that_says_the_same(clients):
    for number in range(machine_strip.BARS + 2):
        loan(due=number - 5)
    text = page(clients[Role.DUTY])
    drawing = re.search(r"<svg.*?</svg>", text, re.DOTALL)[0]
    description = re.search(r"<desc[^>]*>(.*?)</desc>", drawing, re.DOTALL)[1]
    table = re.search(r"The same as a table.*?</table>", text, re.DOTALL)[0]
    hosts = re.findall(r'class="host"[^>]*>([^<]+)<', drawing)
    assert len(hosts) == machine_strip.BARS
    for host, words in zip(hosts, re.findall(r'class="words[^>]*>([^<]+)<', drawing), strict=True):
        assert f"{host}: {words}." in description
        assert re.search(rf">{host}</a></th><td>{words}</td>", table)
    assert 'role="img" aria-labelledby="strip-title strip-desc"' in drawing
    assert "2 more are in the table below" in text
    assert "<script" not in drawing and "style=" not in drawing


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{% include 'base.html' %}", "\u2028"]
)
def test_hostile_text_changes_no_tag_of_any_page(clients, text):
    request = loan()
    addresses = [
        "/machines/",
        "/machines/?q=x",
        f"/machines/{request.machine_id}/",
        f"/machines/{request.machine_id}/edit/",
    ]

    def tags():
        return [re.findall(r"<[a-z!/]+", page(clients[Role.DUTY], address)) for address in addresses]

    Machine.objects.filter(pk=request.machine_id).update(notes="x", location="x")
    harmless = tags()
    Machine.objects.filter(pk=request.machine_id).update(host=text, notes=f"x{text}", location=f"x{text}"[:60])
    assert tags() == harmless


def test_no_page_looks_for_what_it_was_not_given_for_the_whole_page_would_stand_in_the_log(clients, caplog):
    lent, idle = loan().machine, MachineFactory()
    caplog.set_level("DEBUG", logger="django.template")
    for one in (lent, idle):
        for address in (
            "/machines/",
            "/machines/add/",
            "/machines/import/",
            f"/machines/{one.pk}/",
            f"/machines/{one.pk}/edit/",
        ):
            page(clients[Role.DUTY], address)
    clients[Role.DUTY].post(f"/machines/{idle.pk}/mark-broken/")
    clients[Role.DUTY].post("/machines/add/")
    file = SimpleUploadedFile("hosts.csv", b"host,class,notes\na1,t-w1064-ms,x\nb b,x,\n")
    clients[Role.DUTY].post("/machines/import/", {"file": file})
    assert [record.args for record in caplog.records if record.name == "django.template"] == []


# --- the demo ---------------------------------------------------------------------------------------------------------


def test_the_demos_pool_has_free_machines_of_several_classes_and_is_loaded_once():
    demo_machines.load()
    pool = Machine.objects.all()
    before = list(pool.values())
    assert {machine.machine_class.name for machine in pool if machine.state == "available"} >= {
        "t-w1064-ms",
        "t-linux64-ms",
        "t-mojave-r7",
    }
    assert {machine.state for machine in pool} >= {"available", "broken", "re-imaging", "retired"}
    assert machines.suggest(MachineClass.objects.get(name="t-w1064-ms")).is_spare
    demo_machines.load()
    assert list(pool.all().values()) == before
