"""A file of machines: what it would change is shown first, what was shown is done, and every wrong file is told why."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty.people.roles import Role
from ciduty.record.models import Entry
from loaners import machine_import, machine_sheet, machines
from loaners.models import Machine
from loaners.rules import MachineState
from tests.cast import MachineClassFactory, MachineFactory, PersonFactory, at_once, request_with_words

pytestmark = pytest.mark.django_db

HEADER = "host,class,location,state,spare,tracking bug,notes\n"


@pytest.fixture(autouse=True)
def shipped_classes(db):
    for name in ("t-w1064-ms", "t-linux64-ms"):
        MachineClassFactory(name=name)


def upload(client, text, name="hosts.csv"):
    raw = text if isinstance(text, bytes) else text.encode()
    return client.post("/machines/import/", {"file": SimpleUploadedFile(name, raw, "text/csv")})


def words_of(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())).replace("&#x27;", "'")


def sealed_in(answer):
    return re.search(r'name="import" value="([^"]+)"', answer.content.decode())[1]


def confirm(client, answer):
    return client.post("/machines/import/confirm/", {"import": sealed_in(answer)}, follow=True)


def pool():
    return {machine.host: machine for machine in Machine.objects.select_related("machine_class")}


def planned(text):
    return machine_import.plan(machine_sheet.read(text))


def refusals(text):
    return {line.number: line.problem for line in planned(text).refused}


# --- preview and confirmation -----------------------------------------------------------------------------------------


def test_the_preview_shows_what_is_added_changed_left_and_refused_and_saves_nothing(clients):
    MachineFactory(host="old-1", location="mdc1", notes="fine")
    MachineFactory(host="old-2", state=MachineState.ON_LOAN)
    before = list(Machine.objects.values())
    answer = upload(
        clients[Role.DUTY],
        "host,class,location,state,notes\n"
        "new-1,t-linux64-ms,mdc2,,\n"
        "old-1,t-w1064-ms,mdc2,broken,fine\n"
        "old-2,t-w1064-ms,,,\n"
        "bad-1,t-nothing,,,\n",
    )
    assert answer.status_code == 200
    told = words_of(answer)
    assert "Nothing is saved yet." in told
    assert "1 to add, 1 to change, 1 left as it is, 1 refused." in told
    assert "location mdc1 → mdc2" in told and "state available → broken" in told
    assert "5 bad-1 There is no class “t-nothing”: the classes are" in told
    assert "new-1 state available, class t-linux64-ms, location mdc2" in told
    assert list(Machine.objects.values()) == before and not Entry.objects.exists()


def test_what_was_shown_is_done_and_recorded_with_the_name_of_the_file(clients, duty):
    MachineFactory(host="old-1", location="mdc1"), MachineFactory(host="old-2", state=MachineState.RETIRED)
    text = (
        HEADER
        + "new-1,t-linux64-ms,mdc2,broken,yes,77,two words\n"
        + "old-1,t-linux64-ms,mdc3,retired,,,\n"
        + "old-2,t-w1064-ms,,available,,,\n"
    )
    done = words_of(confirm(clients[Role.DUTY], upload(clients[Role.DUTY], text)))
    assert "hosts.csv is in the pool: 1 added, 2 changed, 0 left as they were, 0 refused." in done
    new, first, second = (pool()[host] for host in ("new-1", "old-1", "old-2"))
    assert (new.machine_class.name, new.location, new.state, new.is_spare) == ("t-linux64-ms", "mdc2", "broken", True)
    assert (new.tracking_bug, new.notes) == (77, "two words")
    assert (first.machine_class.name, first.location, first.state) == ("t-linux64-ms", "mdc3", "retired")
    assert second.state == "available"
    entries = Entry.objects.filter(about=first.about).order_by("pk")
    assert [(entry.verb, entry.sentence, entry.by) for entry in entries] == [
        ("changed", "Changed: class, location (import of hosts.csv)", duty),
        ("retire", "Retired: import of hosts.csv", duty),
    ]
    assert Entry.objects.get(about=new.about).sentence == "Added to the pool, broken (import of hosts.csv)"


@pytest.mark.parametrize(
    "happens", ["the machine is edited", "the machine is lent", "the new one is added", "a class goes"]
)
def test_where_the_pool_changed_meanwhile_nothing_is_done_and_the_new_preview_says_so(clients, duty, happens):
    machine = MachineFactory(host="old-1")
    MachineClassFactory(name="t-short-lived")
    text = HEADER + "old-1,t-w1064-ms,mdc9,broken,,,\nnew-1,t-short-lived,,,,,\n"
    shown = upload(clients[Role.DUTY], text)
    if happens == "the machine is edited":
        machines.change(machine, duty, {"location": "mdc2"})
    elif happens == "the machine is lent":
        machines.reserve(machine, request_with_words(), duty)
    elif happens == "the new one is added":
        machines.add(Machine(host="new-1", machine_class=machine.machine_class), duty)
    else:
        machine.machine_class.__class__.objects.filter(name="t-short-lived").delete()
    before = list(Machine.objects.values())
    answer = confirm(clients[Role.DUTY], shown)
    assert answer.status_code == 409
    assert "Nothing was saved: the pool changed after you were shown it." in words_of(answer)
    assert list(Machine.objects.values()) == before
    again = confirm(clients[Role.DUTY], answer)
    assert "hosts.csv is in the pool" in words_of(again)


def test_a_change_that_the_file_does_not_touch_is_no_hindrance(clients, duty):
    shown = upload(clients[Role.DUTY], HEADER + "new-1,t-w1064-ms,,,,,\n")
    MachineFactory(host="elsewhere")
    assert "1 added" in words_of(confirm(clients[Role.DUTY], shown))


def test_confirming_twice_is_one_import_and_the_second_is_told(clients):
    shown = upload(clients[Role.DUTY], HEADER + "new-1,t-w1064-ms,,,,,\n")
    confirm(clients[Role.DUTY], shown)
    second = words_of(confirm(clients[Role.DUTY], shown))
    assert "There is nothing to do: everything that could be read stands in the pool already." in second
    assert Entry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_who_confirm_the_same_file_at_once_one_imports_it_and_the_other_is_shown_anew():
    sheet, by = machine_sheet.read(HEADER + "new-1,t-w1064-ms,,,,,\nnew-2,t-w1064-ms,,,,,\n"), PersonFactory()

    def confirm_once():
        try:
            machine_import.do(sheet, shown, by, "hosts.csv")
        except machine_import.Outdated:
            return "outdated"
        return "done"

    for _ in range(4):
        Machine.objects.all().delete()
        shown, entries = machine_import.plan(sheet).fingerprint, Entry.objects.count()
        assert sorted(at_once([confirm_once] * 3)) == ["done", "outdated", "outdated"]
        assert (Machine.objects.count(), Entry.objects.count()) == (2, entries + 2)


@pytest.mark.parametrize("spoil", [lambda sealed: "", lambda sealed: sealed[:-2], lambda sealed: "x" + sealed])
def test_a_preview_that_is_not_whole_is_not_taken(clients, spoil):
    sealed = sealed_in(upload(clients[Role.DUTY], HEADER + "new-1,t-w1064-ms,,,,,\n"))
    answer = clients[Role.DUTY].post("/machines/import/confirm/", {"import": spoil(sealed)}, follow=True)
    assert "This preview is not whole, or not yours: choose the file again." in words_of(answer)
    assert not Machine.objects.exists()


def test_a_preview_that_another_person_was_shown_is_not_taken(clients):
    shown = upload(clients[Role.LEAD], HEADER + "new-1,t-w1064-ms,,,,,\n")
    assert "not yours" in words_of(confirm(clients[Role.DUTY], shown))
    assert not Machine.objects.exists()


def test_an_import_that_breaks_in_the_middle_leaves_nothing_behind(clients, monkeypatch):
    MachineFactory(host="old-1")
    shown = upload(clients[Role.DUTY], HEADER + "new-1,t-w1064-ms,,,,,\nold-1,t-w1064-ms,mdc9,,,,\n")

    def break_down(*args, **kwargs):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(machines, "change_locked", break_down)
    clients[Role.DUTY].raise_request_exception = False
    assert clients[Role.DUTY].post("/machines/import/confirm/", {"import": sealed_in(shown)}).status_code == 500
    assert set(pool()) == {"old-1"} and not Entry.objects.exists()


def test_the_list_that_was_downloaded_changes_nothing_when_it_is_imported_again(clients):
    awkward = ["=1+1", "'quoted", "a,b;c", 'he said "no"', "two\nlines", "-", "'=x", "ümlaut 🦊", "@x"]
    for state, notes in zip([*MachineState, *[MachineState.AVAILABLE] * 3], awkward, strict=True):
        MachineFactory(state=state, notes=notes, is_spare=notes == "-", tracking_bug=len(notes))
    file = clients[Role.DUTY].get("/machines/?format=csv").content
    told = words_of(upload(clients[Role.DUTY], file))
    assert f"0 to add, 0 to change, {len(awkward)} left as they are, 0 refused." in told


def test_a_column_that_is_not_there_changes_nothing_and_an_empty_cell_empties(clients):
    MachineFactory(host="old-1", location="mdc1", notes="fine", is_spare=True, tracking_bug=5)
    assert planned("class,host\nt-w1064-ms,old-1\n").same == 1
    [change] = planned(HEADER + "old-1,t-w1064-ms,,,yes,,\n").changed
    assert [(one.label, one.old, one.new) for one in change.differences] == [
        ("location", "mdc1", ""),
        ("tracking bug", "5", ""),
        ("notes", "fine", ""),
    ]


# --- lines that are refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (",t-w1064-ms,,,,,", "The host is empty"),
        ("t w1064,t-w1064-ms,,,,,", "The host “t w1064” has a space in it"),
        ("12345,t-w1064-ms,,,,,", "is no host"),
        ("x" * 121 + ",t-w1064-ms,,,,,", "is longer than 120 characters"),
        ("a1,,,,,,", "The class is empty"),
        ("a1,T-W1064-MS,,,,,", "There is no class “T-W1064-MS”"),
        ("a1,t-w1064-ms," + "y" * 61 + ",,,,", "The location has 61 characters"),
        ("a1,t-w1064-ms,,sleeping,,,", "“sleeping” is no state: the states are available, reserved, on loan"),
        ("a1,t-w1064-ms,,on loan,,,", "A new machine is available, broken or retired: “on loan” comes of a loan."),
        ("a1,t-w1064-ms,,,maybe,,", "does not say whether it is spare: write yes or no"),
        ("a1,t-w1064-ms,,,,many,", "“many” is no bug number"),
        ("a1,t-w1064-ms,,,,²,", "is no bug number"),
        ("a1,t-w1064-ms,,,,,=1+1", "The cell under notes begins like a formula ('=1+1')"),
        ("a1,t-w1064-ms,@SUM(A1),,,,", "The cell under location begins like a formula"),
        ("=cmd(),t-w1064-ms,,,,,", "The cell under host begins like a formula"),
        ("a1,t-w1064-ms,,,,," + "n" * 2001, "The notes have 2001 characters"),
        ("a1,t-w1064-ms", "It has 2 cells, and the first line names 7 columns."),
        ("a1,t-w1064-ms,,,,,,,surplus", "It has 9 cells, and the first line names 7 columns."),
    ],
)
def test_a_line_that_cannot_be_is_refused_with_its_number_and_the_reason(line, problem):
    told = planned(HEADER + "fine-1,t-w1064-ms,,,,,\n" + line + "\n")
    [refused] = told.refused
    assert refused.number == 3 and problem in refused.problem
    assert [change.machine.host for change in told.added] == ["fine-1"], "the other lines are not harmed"


def test_a_line_with_two_problems_tells_both():
    assert refusals(HEADER + "a b,t-w1064-ms,,,maybe,,\n")[2].count(":") == 2


def test_a_host_that_stands_there_twice_is_refused_each_time():
    told = refusals(HEADER + "a1,t-w1064-ms,,,,,\nb1,t-w1064-ms,,,,,\n A1 ,t-w1064-ms,,,,,\na1,t-linux64-ms,,,,,\n")
    assert set(told) == {2, 4, 5}
    assert all(problem == "a1 stands in lines 2, 4 and 5: keep the one that is right." for problem in told.values())


#: From -> to, as a file may move a machine. Everything else is refused or no move at all.
MOVES = {
    ("available", "broken"), ("available", "retired"), ("broken", "available"), ("broken", "retired"),
    ("retired", "available"),
}  # fmt: skip


@pytest.mark.parametrize("state", MachineState)
@pytest.mark.parametrize("wanted", MachineState)
def test_a_file_moves_a_machine_as_the_table_allows_and_never_out_of_a_loan(clients, state, wanted):
    MachineFactory(host="a1", state=state)
    shown = upload(clients[Role.DUTY], f"host,class,state,notes\na1,t-w1064-ms,{wanted.upper()},seen\n")
    if state == wanted or (state, wanted) in MOVES:
        confirm(clients[Role.DUTY], shown)
        assert (pool()["a1"].state, pool()["a1"].notes) == (wanted, "seen")
    else:
        assert "it stays as it is" in words_of(shown)
        assert "1 refused" in words_of(shown) and 'name="import"' not in shown.content.decode()


def test_the_class_of_a_machine_on_loan_stays_and_its_other_facts_change():
    MachineFactory(host="a1", state=MachineState.ON_LOAN)
    assert "its class changes when it is back" in refusals("host,class\na1,t-linux64-ms\n")[2]
    assert len(planned("host,class,notes\na1,t-w1064-ms,quiet\n").changed) == 1


# --- files that are refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("host,location\na1,mdc1\n", "The column “class” is missing: the first line names the columns"),
        ("name;kind\na1;x\n", "The columns “host” and “class” are missing: the first line names the columns, and it"),
        ("host,class,Host\na1,t-w1064-ms,b1\n", "The column “host” stands there twice"),
        (b"", "The file is empty"),
        ("\n\n , \n", "The file is empty"),
        (HEADER, "The file names its columns and no machine"),
        (HEADER + "\n ,,\n", "The file names its columns and no machine"),
        ((HEADER + "a1,t-w1064-ms,,,,,x\n").encode("utf-16"), "The file is UTF-16"),
        ((HEADER + "a1,t-w1064-ms,,,,,x\n").encode("utf-16-le"), "The file is UTF-16"),
        ((HEADER + "a1,t-w1064-ms,,,,,\nb1,t-w1064-ms,,,,,Zürich\n").encode("latin-1"), "Line 3 holds a character"),
        (b"PK\x03\x04 and so on", "This is a workbook"),
        (HEADER + 'a1,t-w1064-ms,,,,,"open\nb1,t-w1064-ms,,,,,\n', "Line 2 opens a quotation mark that is never clos"),
        (HEADER + 'a1,t-w1064-ms,,,,,"x" y\n', "Line 2 has something after a closing quotation mark"),
        (HEADER + 'a1,t-w1064-ms,,,,,"' + "x" * 140_000, "Line 2 opens a quotation mark that is never closed"),
        (HEADER + "".join(f"a{number},t-w1064-ms,,,,,\n" for number in range(5001)), "The file has 5001 lines"),
        (b"x" * 20_000_000, "The file has 20.0 MB, and a file may have 1 MB: import it in parts."),
    ],
    ids=range(16),
)
def test_a_file_that_cannot_be_used_is_told_why_by_the_field_and_nothing_is_saved(clients, raw, problem):
    answer = upload(clients[Role.DUTY], raw)
    assert answer.status_code == 422
    errors = re.search(r'<ul class="errorlist"[^>]*>(.*?)</ul>', answer.content.decode(), re.DOTALL)[1]
    assert problem in errors
    assert not Machine.objects.exists()


def test_no_file_at_all_is_asked_for(clients):
    answer = clients[Role.DUTY].post("/machines/import/", {})
    assert answer.status_code == 422 and "Choose a file: nothing was uploaded." in words_of(answer)


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("\ufeffhost,class,notes\r\na1,t-w1064-ms,fine\r\n", "commas"),
        ("host;class;notes\na1;t-w1064-ms;fine\n", "semicolons"),
        ("sep=;\nhost;class;notes\na1;t-w1064-ms;fine\n", "semicolons"),
        ("host\tclass\tnotes\na1\tt-w1064-ms\tfine\n", "tabs"),
        ('"Host","CLASS","Notes"\n"A1","t-w1064-ms","fine"\n', "commas"),
        ("host,class,notes,rack,rack\n\na1, t-w1064-ms ,fine,7,\n", "commas"),
        ("notes,class,host\nfine,t-w1064-ms,a1", "commas"),
        ("host,class,notes\ra1,t-w1064-ms,fine\r", "commas"),
        ("host,class,notes\na1,t-w1064-ms,fine,,,\n", "commas"),
    ],
)
def test_what_spreadsheets_write_is_read(clients, text, separator):
    shown = upload(clients[Role.DUTY], text)
    assert f"Read with {separator} between the cells." in words_of(shown)
    confirm(clients[Role.DUTY], shown)
    assert (set(pool()), pool()["a1"].notes) == ({"a1"}, "fine")


def test_columns_that_are_not_read_are_named(clients):
    told = words_of(upload(clients[Role.DUTY], "host,class,rack\na1,t-w1064-ms,7\n"))
    assert "These columns are not read: rack." in told


def test_a_refused_line_is_named_by_its_number_in_the_file_after_cells_of_several_lines():
    text = 'sep=,\nhost,class,notes\na1,t-w1064-ms,"one\ntwo\nthree"\n\nb b,t-w1064-ms,\n'
    assert set(refusals(text)) == {7}


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\u202egnirts"])
def test_hostile_text_in_a_file_stays_text(clients, text):
    doubled = text.replace('"', '""')
    shown = upload(
        clients[Role.DUTY], f'host,class,notes\n"{doubled}",t-w1064-ms,x\na1,"{doubled}",x\nb1,t-w1064-ms,"{doubled}"\n'
    )
    body = shown.content.decode()
    assert "<script>alert" not in body and "<img src=x" not in body and "\u202e" not in body


def test_hostile_names_of_columns_stay_text(clients):
    for text in ("host,class,\u202egnirts\na1,t-w1064-ms,x\n", "host,\u202egnirts\na1,x\n"):
        body = upload(clients[Role.DUTY], text).content.decode()
        assert "[U+202E]gnirts" in body or "[u+202e]gnirts" in body
        assert "\u202e" not in body


def test_a_large_file_asks_the_pool_as_often_as_a_small_one():
    def asked(count):
        sheet = machine_sheet.read(HEADER + "".join(f"a{number},t-w1064-ms,,,,,\n" for number in range(count)))
        with CaptureQueriesContext(connection) as queries:
            assert len(machine_import.plan(sheet).added) == count
        return len(queries)

    assert asked(5) == asked(2000) == 2


def test_the_largest_file_that_is_taken_can_be_confirmed(clients):
    noise = "".join(chr(33 + (number * 7919 + number // 91 * 104729) % 90) for number in range(1800))
    noise = re.sub(r'[",]', "x", noise)
    lines = [f"a{number},t-w1064-ms,,,,,n{noise[number:] + noise[:number]}" for number in range(500)]
    text = HEADER + "\n".join(lines)
    assert 900_000 < len(text) < machine_sheet.MOST_BYTES
    assert "500 added" in words_of(confirm(clients[Role.DUTY], upload(clients[Role.DUTY], text)))
