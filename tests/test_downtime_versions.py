"""A version is what people agreed to: every part of it counts, its hash finds a changed letter, nobody changes it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from ciduty.bugzilla.models import Bug, Visibility
from ciduty.people.models import Person
from ciduty.people.roles import Role
from downtimes import versions
from downtimes.models import Downtime, ListUse, MailingList, NoticeVersion
from downtimes.versions import Line
from tests.cast import A_MORNING, DowntimeFactory, ItemFactory, MailingListFactory, PersonFactory, at_once

pytestmark = pytest.mark.django_db

START = datetime(2026, 12, 1, 14, tzinfo=UTC)


def window(**fields):
    """Return a window with one item and one list."""
    times = {"starts_at": START, "ends_at": START + timedelta(hours=2)}
    downtime = DowntimeFactory(**times | {"close": "hard", "trees": ["autoland"]} | fields)
    ItemFactory(downtime=downtime, bug_id=BUG, confirmed_as=Visibility.PUBLIC)
    MailingListFactory(address="dev-planning@example.com")
    Bug.objects.get_or_create(pk=BUG, defaults={"visibility": Visibility.PUBLIC})
    return downtime


BUG = 1500123


def freeze(downtime, at=A_MORNING):
    with transaction.atomic():
        locked = Downtime.objects.select_for_update().get(pk=downtime.pk)
        return versions.freeze(locked, by=downtime.made_by, at=at, answers_until=START - timedelta(hours=30))


# --- what counts ------------------------------------------------------------------------------------------------------


def test_a_version_holds_what_is_sent_to_whom_and_for_which_work():
    downtime = window(tracking_bug=1500001, extra_groups=["it@example.com"], what_stops="Pushes.")
    content = freeze(downtime).content
    body = content.pop("body")
    assert body == versions.newest(downtime).body
    assert content == {
        "subject": "[Downtime] Tue 1 Dec 2026 06:00-08:00 PST: Switches in mdc1",
        "recipients": ["dev-planning@example.com", "it@example.com"],
        "starts_at": "2026-12-01T14:00:00+00:00",
        "ends_at": "2026-12-01T16:00:00+00:00",
        "close": "hard",
        "trees": ["autoland"],
        "title": "Switches in mdc1",
        "tracking_bug": 1500001,
        "what_stops": "Pushes.",
        "what_keeps_working": "",
        "effect_on_releases": "",
        "how_to_object": "",
        "emergency_because": "",
        "items": [
            {
                "bug": BUG,
                "text": "New firmware for the switches.",
                "position": downtime.items.get().position,
                "worker": "worker@example.com",
                "minutes": 60,
                "rollback_minutes": 30,
            }
        ],
    }


#: What somebody may change of a window -> whether people must agree anew.
CHANGES = {
    "title": lambda row: row.update(title="Switches in mdc2"),
    "start": lambda row: row.update(starts_at=START - timedelta(minutes=1)),
    "end": lambda row: row.update(ends_at=START + timedelta(hours=3)),
    "hard or soft": lambda row: row.update(close="soft"),
    "trees": lambda row: row.update(trees=["autoland", "mozilla-central"]),
    "tracking bug": lambda row: row.update(tracking_bug=1500009),
    "what stops": lambda row: row.update(what_stops="Everything."),
    "what keeps working": lambda row: row.update(what_keeps_working="Everything."),
    "effect on releases": lambda row: row.update(effect_on_releases="None."),
    "how to object": lambda row: row.update(how_to_object="Shout."),
    "groups": lambda row: row.update(extra_groups=["it@example.com"]),
    "an emergency": lambda row: row.update(
        emergency_because="It burns.", emergency_by=Person.objects.get(role=Role.MANAGER)
    ),
    "text of an item": lambda row: row.get().items.update(public_text="Another firmware."),
    "worker of an item": lambda row: row.get().items.update(worker="other@example.com"),
    "minutes of an item": lambda row: row.get().items.update(minutes=61),
    "minutes to roll an item back": lambda row: row.get().items.update(rollback_minutes=31),
    "an item less": lambda row: row.get().items.all().delete(),
    "an item more": lambda row: ItemFactory(downtime=row.get()),
    "a list more": lambda row: MailingListFactory(),
    "a list less": lambda row: MailingList.objects.update(is_used=False),
    "a list's address": lambda row: MailingList.objects.update(address="other@example.com"),
    "a bug that turned private": lambda row: Bug.objects.filter(pk=BUG).update(visibility=Visibility.RESTRICTED),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_people_agreed_to_counts(what):
    PersonFactory(role=Role.MANAGER)
    downtime = window()
    version = freeze(downtime)
    assert versions.is_current(version)
    CHANGES[what](Downtime.objects.filter(pk=downtime.pk))
    assert not versions.is_current(version)


KEEPS = {
    "nothing": lambda row: None,
    "a plan's own notes": lambda row: row.update(separate_because="Less risk.", sheriff="Somebody"),
    "the policy": lambda row: row.update(policy="all", quorum=5),
    "the duty person": lambda row: row.update(duty_confirmed_at=A_MORNING, revision=8),
    "an emergency that nobody agreed to": lambda row: row.update(
        emergency_because="It burns.", emergency_asked_by=row.get().made_by
    ),
    "steps of an item": lambda row: row.get().items.update(steps="Turn it off and on."),
    "a list that is not used": lambda row: MailingListFactory(is_used=False),
}


@pytest.mark.parametrize("what", KEEPS)
def test_what_nobody_was_asked_about_changes_nothing(what):
    downtime = window()
    version = freeze(downtime)
    KEEPS[what](Downtime.objects.filter(pk=downtime.pk))
    assert versions.is_current(version)


def test_whether_a_version_is_current_is_read_anew_whatever_the_caller_holds():
    downtime = window()
    version = freeze(downtime)
    version.downtime.title = "Only in memory"
    assert versions.is_current(version)
    version.downtime.refresh_from_db()
    Downtime.objects.update(title="In the database")
    assert not versions.is_current(version)


def test_a_change_that_is_taken_back_makes_the_version_current_again():
    downtime = window()
    version = freeze(downtime)
    Downtime.objects.update(title="Another")
    Downtime.objects.update(title=downtime.title)
    assert versions.is_current(version)


def test_an_emergency_counts_with_its_reason_and_its_manager(people):
    downtime = window(emergency_because="It burns.", emergency_by=people[Role.MANAGER])
    version = freeze(downtime)
    assert version.content["emergency_because"] == "It burns."
    Downtime.objects.update(emergency_because="It smokes.")
    assert not versions.is_current(version)
    Downtime.objects.update(emergency_because="It burns.", emergency_by=people[Role.LEAD])
    assert not versions.is_current(version)


# --- the hash ---------------------------------------------------------------------------------------------------------


def test_the_hash_is_the_same_for_the_same_words_however_they_are_stored():
    assert versions.hash_of({"a": "é", "b": [1]}) == versions.hash_of({"b": [1], "a": "e\u0301"})
    assert versions.hash_of({"a": "é"}) != versions.hash_of({"a": "e"})
    assert versions.hash_of({"a": "1"}) != versions.hash_of({"a": 1})
    assert versions.hash_of({"a": ["1", "2"]}) != versions.hash_of({"a": ["2", "1"]})


def test_the_hash_is_a_sha256_of_canonical_json():
    assert versions.hash_of({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_version_hashes_to_its_own_hash_after_the_database_had_it():
    version = freeze(window(title="Ü 🦊 é", what_stops="a\tb"))
    version.refresh_from_db()
    assert versions.hash_of(version.content) == version.sha256


# --- freezing ---------------------------------------------------------------------------------------------------------


def test_the_same_words_are_frozen_once():
    downtime = window()
    first = freeze(downtime)
    again = freeze(downtime, at=A_MORNING + timedelta(hours=1))
    assert (again, again.made_at) == (first, A_MORNING)
    assert NoticeVersion.objects.count() == 1


def test_other_words_are_another_version_with_the_next_number():
    downtime = window()
    first = freeze(downtime)
    Downtime.objects.update(title="Another")
    second = freeze(downtime)
    assert (first.number, second.number) == (1, 2)
    assert versions.newest(downtime) == second
    assert first.sha256 != second.sha256


def test_words_that_were_said_two_versions_ago_are_a_version_of_their_own():
    downtime = window()
    first = freeze(downtime)
    Downtime.objects.update(title="Another")
    freeze(downtime)
    Downtime.objects.update(title=downtime.title)
    third = freeze(downtime)
    assert (third.number, third.sha256) == (3, first.sha256)


def test_nobody_was_asked_before_the_first_version():
    assert versions.newest(window()) is None


def test_each_downtime_counts_its_own_versions():
    freeze(window())
    other = DowntimeFactory(title="Another")
    assert freeze(other).number == 1


@pytest.mark.django_db(transaction=True)
def test_those_who_freeze_at_the_same_moment_freeze_one_version():
    downtime = window()
    assert {version.number for version in at_once([lambda: freeze(downtime)] * 5)} == {1}
    assert NoticeVersion.objects.count() == 1


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "a\u202eb", "a\uffffb", "\x1b[31m", "ü" * 300])
def test_hostile_words_are_frozen_as_they_are_sent(text):
    downtime = window()
    downtime.title = downtime.what_stops = text
    content = versions.content_of(downtime)
    made = NoticeVersion.objects.create(
        downtime=downtime, number=1, content=content, subject=content["subject"], body=content["body"],
        sha256=versions.hash_of(content), made_by=downtime.made_by, made_at=A_MORNING, answers_until=A_MORNING,
    )  # fmt: skip
    made.refresh_from_db()
    assert versions.hash_of(made.content) == made.sha256
    assert text not in str(content) or text.startswith("ü")


def test_copies_and_announcements_go_to_who_is_among_the_recipients_once():
    downtime = window(extra_groups=["dev-planning@example.com", "it@example.com"])
    MailingListFactory(address="release@example.com", use=ListUse.COPY)
    MailingListFactory(address="dev-planning@example.com", use=ListUse.COPY)
    assert versions.recipients_of(downtime) == ["dev-planning@example.com", "it@example.com", "release@example.com"]


# --- differences ------------------------------------------------------------------------------------------------------


def two_versions(change):
    downtime = window()
    first = freeze(downtime)
    change(Downtime.objects.filter(pk=downtime.pk))
    return first, freeze(downtime)


def test_a_difference_shows_what_stayed_what_is_new_and_what_is_gone():
    first, second = two_versions(CHANGES["text of an item"])
    lines = versions.difference(first, second)
    assert [line for line in lines if line.kind != "same"] == [
        Line("removed", f"- Bug {BUG}: New firmware for the switches."),
        Line("added", f"- Bug {BUG}: Another firmware."),
    ]
    assert "\n".join(line.text for line in lines if line.kind != "removed") == second.body
    assert "\n".join(line.text for line in lines if line.kind != "added") == first.body


def test_a_version_does_not_differ_from_itself():
    version = freeze(window())
    assert {line.kind for line in versions.difference(version, version)} == {"same"}
    assert versions.beside_the_text(version, version) == []


def test_what_the_text_does_not_show_is_said_in_sentences():
    def change(row):
        row.get().items.update(worker="other@example.com", minutes=90, rollback_minutes=None)
        MailingList.objects.update(address="all@example.com")

    first, second = two_versions(change)
    assert {line.kind for line in versions.difference(first, second)} == {"same"}
    assert versions.beside_the_text(first, second) == [
        "No longer told: dev-planning@example.com.",
        "Told as well: all@example.com.",
        f"Bug {BUG}, worker: worker@example.com, now other@example.com.",
        f"Bug {BUG}, minutes of work: 60, now 90.",
        f"Bug {BUG}, minutes to roll back: 30, now none.",
    ]


# --- the database's guard ---------------------------------------------------------------------------------------------


def raw(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


TABLE = "downtimes_noticeversion"
ATTEMPTS = {
    "save": lambda version: version.save(),
    "subject": lambda version: NoticeVersion.objects.update(subject="x"),
    "body": lambda version: NoticeVersion.objects.update(body="x"),
    "content": lambda version: NoticeVersion.objects.update(content={}),
    "hash": lambda version: NoticeVersion.objects.update(sha256="x"),
    "number": lambda version: NoticeVersion.objects.update(number=2),
    "moment": lambda version: NoticeVersion.objects.update(made_at=START),
    "maker": lambda version: NoticeVersion.objects.update(made_by=PersonFactory()),
    "downtime": lambda version: NoticeVersion.objects.update(downtime=DowntimeFactory()),
    "delete one": lambda version: version.delete(),
    "delete all": lambda version: NoticeVersion.objects.all().delete(),
    "delete its downtime": lambda version: version.downtime.delete(),
    "upsert": lambda version: NoticeVersion.objects.bulk_create(
        [version], update_conflicts=True, unique_fields=["id"], update_fields=["body"]
    ),
    "raw update": lambda version: raw(f"UPDATE {TABLE} SET body = 'x'"),
    "raw delete": lambda version: raw(f"DELETE FROM {TABLE}"),
    "replace": lambda version: raw(f"INSERT OR REPLACE INTO {TABLE} SELECT * FROM {TABLE}"),
    "truncate": lambda version: raw(f"TRUNCATE {TABLE} CASCADE"),
    "truncate with what hangs on it": lambda version: raw("TRUNCATE people_person CASCADE"),
}


def refused(attempt, version):
    """Answer whether the database refused, and for the reason that it should."""
    version.body = "x"
    try:
        with transaction.atomic():
            attempt(version)
    except DatabaseError as problem:
        return "never changed or deleted" in str(problem)
    return False


@pytest.mark.parametrize("name", ATTEMPTS)
def test_the_database_refuses_to_change_or_delete_a_frozen_version(name):
    if name.startswith("truncate") and connection.vendor != "postgresql":
        pytest.skip("SQLite knows no TRUNCATE")
    if name == "replace" and connection.vendor != "sqlite":
        pytest.skip("only SQLite knows INSERT OR REPLACE")
    version = freeze(window())
    connection.check_constraints()  # with checks still to come, PostgreSQL refuses TRUNCATE for that reason
    before = NoticeVersion.objects.values().get()
    assert refused(ATTEMPTS[name], version)
    assert NoticeVersion.objects.values().get() == before


def test_until_when_people_may_answer_can_be_moved():
    freeze(window())
    NoticeVersion.objects.update(answers_until=START)
    assert NoticeVersion.objects.get().answers_until == START


@pytest.mark.parametrize("turn", ["first", "second"])
@pytest.mark.django_db(transaction=True)
def test_the_guard_is_on_again_after_the_tests_have_emptied_the_tables(turn):
    """Emptying them lifts it; the second turn comes after the first one's."""
    assert NoticeVersion.objects.count() == 0
    version = freeze(window())
    assert refused(ATTEMPTS["body"], version)
    assert refused(ATTEMPTS["delete all"], version)


@pytest.mark.django_db(transaction=True)
def test_undoing_the_migration_lifts_the_guard_and_doing_it_again_sets_it():
    version = freeze(window())
    try:
        call_command("migrate", "downtimes", "0001_windows_notices_and_agreement", verbosity=0)
        assert not refused(ATTEMPTS["raw update"], version)
        assert NoticeVersion.objects.get().body == "x"
    finally:
        call_command("migrate", "downtimes", verbosity=0)
    assert refused(ATTEMPTS["raw update"], version)
