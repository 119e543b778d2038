"""R19, R20, R21 of the process: every item in the notice, vague where it must be, and the boilerplate word for word."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Bug, BugText, Visibility
from ciduty.outbox import as_sent, composing
from downtimes import notice, versions
from downtimes.notice import TO_BE_CONFIRMED
from tests.cast import BugFactory, BugTextFactory, DowntimeFactory, ItemFactory

pytestmark = pytest.mark.django_db

START = datetime(2026, 12, 1, 14, tzinfo=UTC)
CANARY = "canary-7f3a9c"
#: The boilerplate of the process, as its page had it in 2012.
BOILERPLATE = """
* When can I push?

We pride ourselves on having the self-serve tools[1] to make
it easier to recover from build failures caused by a
downtime. However, we understand that some developers may
not be available to re-trigger failed runs after a downtime
is done, or may not want to incur that hassle. Some would
rather push early enough to receive all their results before
the downtime starts, others would rather wait until the
downtime is complete.

If you have LDAP access to Mozilla servers, which if you're
landing code you likely do, you can check the current
end-to-end times for your chosen development branch[2].
Compare your end-to-end time with the declared start of the
downtime in order to make an informed decision about whether
you really want to push _now_.

1. https://build.mozilla.org/buildapi/self-serve
2. https://build.mozilla.org/buildapi/reports/endtoend
"""


def window(**fields):
    """Return a window whose notice has everything."""
    fields = {
        "starts_at": START,
        "ends_at": START + timedelta(hours=2),
        "close": "hard",
        "trees": ["autoland"],
    } | fields
    return DowntimeFactory(**fields)


def received(downtime):
    """Return the text of the mail that a list would get."""
    draft = notice.draft(downtime)
    made = composing.compose(
        to="dev-planning@example.com", subject=draft.subject, text=draft.body,
        message_id=composing.new_message_id(), in_reply_to="", at=clock.now(),
    )  # fmt: skip
    return as_sent.read(made.message).text


def folded(text):
    return " ".join(text.split())


# --- R19 --------------------------------------------------------------------------------------------------------------


def test_r19_the_notice_lists_number_and_text_of_every_item_in_order():
    downtime = window()
    items = [ItemFactory(downtime=downtime, public_text=f"Work number {number}.") for number in range(3)]
    text = received(downtime)
    lines = [f"- Bug {item.bug_id}: Work number {number}." for number, item in enumerate(items)]
    assert re.findall("^- Bug .*$", text, re.MULTILINE) == lines


def test_r19_an_item_that_is_taken_out_stands_in_the_notice_no_more():
    item = ItemFactory(downtime=window())
    assert str(item.bug_id) in received(item.downtime)
    item.delete()
    assert str(item.bug_id) not in received(item.downtime)
    assert "(no work yet)" in received(item.downtime)


def test_r19_an_item_without_a_text_stands_in_the_notice_with_its_number():
    item = ItemFactory(downtime=window(), public_text=" ")
    assert f"- Bug {item.bug_id} {TO_BE_CONFIRMED}" in received(item.downtime)


def test_r19_a_text_of_several_lines_stays_one_item_with_its_lines():
    item = ItemFactory(downtime=window(), public_text="Firmware.\n\n  Then a reboot.\r\n* When can I push?")
    assert f"- Bug {item.bug_id}: Firmware.\n  Then a reboot.\n  * When can I push?\n" in received(item.downtime)


def test_r19_a_hundred_items_stand_there_all():
    downtime = window()
    items = [ItemFactory(downtime=downtime, public_text="x" * 200) for _ in range(100)]
    assert re.findall("^- Bug ([0-9]+):", received(downtime), re.MULTILINE) == [str(item.bug_id) for item in items]


# --- R20 --------------------------------------------------------------------------------------------------------------


def a_restricted_bug(visibility=Visibility.RESTRICTED):
    """Return a bug that is not public, with a canary in every word that a mirror could have kept of it."""
    words = ("summary", "whiteboard", "alias", "product", "component", "creator", "creator_name", "assignee")
    words = dict.fromkeys((*words, "assignee_name"), CANARY)
    return BugTextFactory(bug__visibility=visibility, bug__is_loaner_request=False, **words).bug


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_r20_a_restricted_bug_keeps_its_number_and_the_vague_text_that_a_person_confirmed(visibility):
    bug = a_restricted_bug(visibility)
    item = ItemFactory(downtime=window(), bug_id=bug.pk, public_text="Network work.", confirmed_as=visibility)
    assert f"- Bug {bug.pk}: Network work." in received(item.downtime)
    assert CANARY not in received(item.downtime)


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
@pytest.mark.parametrize(
    "confirmed", [{"confirmed_as": Visibility.PUBLIC}, {"confirmed_as": ""}, {"confirmed_by": None}, "the other"]
)
def test_r20_a_text_that_nobody_confirmed_for_a_bug_as_it_stands_now_is_not_said(visibility, confirmed):
    other = {Visibility.STAFF: Visibility.RESTRICTED, Visibility.RESTRICTED: Visibility.STAFF}
    confirmed = {"confirmed_as": other[visibility]} if confirmed == "the other" else confirmed
    bug = a_restricted_bug(visibility)
    fields = {"confirmed_as": visibility} | confirmed
    item = ItemFactory(downtime=window(), bug_id=bug.pk, public_text="The secret host.", **fields)
    assert f"- Bug {bug.pk} {TO_BE_CONFIRMED}" in received(item.downtime)
    assert "secret" not in received(item.downtime)
    assert "secret" not in str(versions.content_of(item.downtime))


def test_r20_a_bug_that_was_never_mirrored_counts_as_restricted():
    item = ItemFactory(downtime=window(), bug_id=999, public_text="The secret host.")
    assert f"- Bug 999 {TO_BE_CONFIRMED}" in received(item.downtime)


def test_r20_the_text_of_a_bug_that_turns_private_leaves_the_notice_and_comes_back_when_it_is_confirmed_so():
    item = ItemFactory(downtime=window(), public_text="The switches by the door.")
    assert "by the door" in received(item.downtime)
    Bug.objects.filter(pk=item.bug_id).update(visibility=Visibility.RESTRICTED)
    assert "by the door" not in received(item.downtime)
    item.confirmed_as = Visibility.RESTRICTED
    item.save()
    assert "by the door" in received(item.downtime)


def test_r20_no_word_of_a_bug_stands_in_its_notice_public_or_not():
    downtime = window()
    for visibility in Visibility:
        bug = a_restricted_bug(visibility)
        ItemFactory(downtime=downtime, bug_id=bug.pk, public_text="Vague.", confirmed_as=visibility)
    assert BugText.objects.filter(summary=CANARY).count() == 3
    assert CANARY not in received(downtime)
    assert CANARY not in str(versions.content_of(downtime))


def test_r20_the_number_of_a_tracking_bug_is_all_that_is_said_of_it():
    bug = a_restricted_bug()
    text = received(window(tracking_bug=bug.pk))
    assert f"Bug {bug.pk} tracks" in text
    assert CANARY not in text


# --- R21 --------------------------------------------------------------------------------------------------------------


def test_r21_the_received_notice_holds_the_whole_boilerplate_word_for_word():
    BugFactory()
    assert folded(BOILERPLATE) in folded(received(window()))


def test_r21_the_boilerplate_keeps_its_own_lines():
    assert BOILERPLATE.strip() in received(window())


def test_r21_its_two_links_are_settings(settings):
    settings.CIDUTY_SELF_SERVE_URL = "https://treeherder.example.com/again"
    settings.CIDUTY_END_TO_END_URL = "https://treeherder.example.com/how-long"
    lines = received(window()).split("\n")
    assert "1. https://treeherder.example.com/again" in lines
    assert "2. https://treeherder.example.com/how-long" in lines


def test_r21_the_boilerplate_stands_in_a_file_of_its_own():
    root = Path(__file__).resolve().parent.parent / "templates" / "downtimes" / "mail"
    assert "We pride ourselves" in (root / "_boilerplate.txt").read_text()
    assert "We pride ourselves" not in (root / "notice.txt").read_text()
