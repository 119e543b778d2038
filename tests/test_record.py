"""The record is only ever added to, whoever tries otherwise; and a page shows it as a timeline."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.template.loader import render_to_string

from ciduty.people.roles import Role
from ciduty.record import guard, timeline, write
from ciduty.record.models import Entry
from downtimes import frozen
from tests.cast import A_MORNING, PersonFactory

pytestmark = pytest.mark.django_db

ABOUT = "loaner 1400123"


def raw(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


ATTEMPTS = {
    "update": lambda entry: Entry.objects.update(sentence="Nothing happened"),
    "save": lambda entry: entry.save(),
    "delete one": lambda entry: entry.delete(),
    "delete all": lambda entry: Entry.objects.all().delete(),
    "upsert": lambda entry: Entry.objects.bulk_create(
        [entry], update_conflicts=True, unique_fields=["id"], update_fields=["sentence"]
    ),
    "raw update": lambda entry: raw("UPDATE record_entry SET sentence = 'Nothing happened'"),
    "raw delete": lambda entry: raw("DELETE FROM record_entry"),
    "replace": lambda entry: raw("INSERT OR REPLACE INTO record_entry SELECT * FROM record_entry"),
    "truncate": lambda entry: raw("TRUNCATE record_entry"),
    "truncate with what hangs on it": lambda entry: raw("TRUNCATE people_person CASCADE"),
}


def refused(attempt, entry):
    """Answer whether the database refused, and for the reason that it should."""
    entry.sentence = "Nothing happened"
    try:
        with transaction.atomic():
            attempt(entry)
    except DatabaseError as problem:
        return any(refusal in str(problem) for refusal in (guard.REFUSAL, frozen.REFUSAL))
    return False


@pytest.mark.parametrize("name", ATTEMPTS)
def test_the_database_refuses_to_change_or_delete_an_entry(name):
    if name.startswith("truncate") and connection.vendor != "postgresql":
        pytest.skip("SQLite knows no TRUNCATE")
    if name == "replace" and connection.vendor != "sqlite":
        pytest.skip("only SQLite knows INSERT OR REPLACE")
    entry = write.entry(ABOUT, "answered", "Answered")
    connection.check_constraints()  # with checks still to come, PostgreSQL refuses TRUNCATE for that reason
    before = Entry.objects.values().get()
    assert refused(ATTEMPTS[name], entry)
    assert Entry.objects.values().get() == before


@pytest.mark.parametrize("turn", ["first", "second"])
@pytest.mark.django_db(transaction=True)
def test_the_guard_is_on_again_after_the_tests_have_emptied_the_tables(turn):
    """Emptying them lifts it; the second turn comes after the first one's."""
    assert Entry.objects.count() == 0
    entry = write.entry(ABOUT, "answered", "Answered")
    assert refused(ATTEMPTS["update"], entry)
    assert refused(ATTEMPTS["delete all"], entry)


@pytest.mark.django_db(transaction=True)
def test_undoing_the_migration_lifts_the_guard_and_doing_it_again_sets_it():
    entry = write.entry(ABOUT, "answered", "Answered")
    try:
        call_command("migrate", "record", "0001_entries", verbosity=0)
        assert not refused(ATTEMPTS["raw update"], entry)
        assert Entry.objects.get().sentence == "Nothing happened"
    finally:
        call_command("migrate", "record", verbosity=0)
    assert refused(ATTEMPTS["raw update"], entry)


def test_an_entry_goes_with_the_transaction_that_acted():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write.entry(ABOUT, "answered", "Answered")
        raise ZeroDivisionError
    assert Entry.objects.count() == 0


def test_a_sentence_is_cut_to_what_the_column_takes():
    assert write.entry(ABOUT, "answered", "x" * 600).sentence == "x" * 500


# --- the timeline -----------------------------------------------------------------------------------------------------


def test_a_timeline_says_who_did_what_oldest_first(duty, developer, django_assert_num_queries):
    write.entry(ABOUT, "accepted", "Mail 7 was accepted", at=A_MORNING.replace(minute=2))
    write.entry(ABOUT, "bounce", "Mail 7 came back", from_outside=True, at=A_MORNING.replace(minute=3))
    write.entry(ABOUT, "answered", "Answered", by=duty, on_behalf_of=developer, at=A_MORNING)
    write.entry("loaner 1400124", "answered", "Answered another", by=duty)
    with django_assert_num_queries(1):
        lines = timeline.timeline(ABOUT)
        assert [(line.who, line.on_behalf_of, line.verb, line.sentence) for line in lines] == [
            ("duty", "developer", "answered", "Answered"),
            ("ciduty", "", "accepted", "Mail 7 was accepted"),
            ("somebody outside", "", "bounce", "Mail 7 came back"),
        ]
    assert (lines[0].at, lines.left_out) == (A_MORNING, 0)


def test_a_long_timeline_leaves_the_oldest_out_and_says_how_many(django_assert_num_queries):
    for number in range(203):
        write.entry(ABOUT, "tried", f"Try {number}", at=A_MORNING)
    with django_assert_num_queries(1):
        lines = timeline.timeline(ABOUT)
    assert [line.sentence for line in lines] == [f"Try {number}" for number in range(3, 203)]
    assert lines.left_out == 3
    assert "3 earlier entries are not shown." in page(lines)
    lines.left_out = 1
    assert "1 earlier entry is not shown." in page(lines)


def test_nothing_done_is_an_empty_timeline():
    lines = timeline.timeline(ABOUT)
    assert (lines, lines.left_out) == ([], 0)
    assert "Nothing was done here yet." in page(lines)
    assert "<table" not in page(lines)


def test_a_timeline_is_a_table_that_shows_every_word_as_words():
    person = PersonFactory(role=Role.DUTY, name="<b>Duty</b>")
    write.entry(ABOUT, "answered", "Answered <script>", by=person, on_behalf_of=person, at=A_MORNING)
    shown = page(timeline.timeline(ABOUT))
    assert shown.count("<tr>") == 2
    assert "&lt;b&gt;Duty&lt;/b&gt; <span" in shown
    assert "on behalf of &lt;b&gt;Duty&lt;/b&gt;" in shown
    assert "Answered &lt;script&gt;" in shown
    assert 'datetime="2026-03-03T09:00:00Z"' in shown
    assert "not shown" not in shown


def page(lines):
    return render_to_string("record/_timeline.html", {"timeline": lines})
