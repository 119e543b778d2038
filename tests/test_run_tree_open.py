"""TREE OPEN: generated from the outcomes, locked until all is verified, told to everyone who was told (R32 to R34)."""

from datetime import timedelta

import pytest
from django.db import connection

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox.models import BugUpdate, Mail, TreeChange
from ciduty.outbox.rules import UNDER_WAY
from ciduty.outbox.rules import State as MailState
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes import telling
from downtimes.models import Announcement, Downtime, Review, Told
from downtimes.rules import State
from downtimes.run import bug_words, finishing, next_step, ownership, reopening, sheet_core, steering, working
from downtimes.run.closing import BY_HAND, PATCH
from downtimes.run.rules import Step
from tests import downtime_stage, run_stage
from tests.cast import BugFactory, at_once
from tests.downtime_stage import op

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LANDED, ROLLED_BACK, NOT_DONE = "All switches answer.", "The new one did not boot.", "No time was left for it."


@pytest.fixture(autouse=True)
def somebody_listens(settings):
    """The clock stands on a working morning; mail and Bugzilla are configured, and nothing is delivered."""
    run_stage.morning()
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"


@pytest.fixture
def by_hand(settings):
    """Duty keeps the trees by hand."""
    with run_stage.trees_kept(settings, BY_HAND):
        yield


def outcome(item, state, by):
    """Let work end in a state, with public words."""
    verbs = {"landed": ["start", "land"], "rolled back": ["start", "roll back"], "not done": ["leave"]}[state]
    words = {"landed": LANDED, "rolled back": ROLLED_BACK, "not done": NOT_DONE}[state]
    for verb in verbs:
        working.do(item, verb, by=by, words=words)


def tell_bugs(downtime):
    """Tell every bug its outcome, as it is shown."""
    shown = {draft.item.pk: draft.op for draft in bug_words.drafts(downtime)}
    return bug_words.tell(downtime, by=downtime.duty, shown=shown)


def read(downtime):
    """Return what sends the letter as it is now."""
    return finishing.sha256_of(finishing.letter(downtime, clock.now()))


def finish(downtime):
    """Read the letter, and send it."""
    return finishing.finish(downtime, by=downtime.duty, shown_sha256=read(downtime))


def against(downtime):
    """Return why TREE OPEN is refused."""
    with pytest.raises(NotAllowed) as refused:
        finish(downtime)
    return str(refused.value)


def tree_open_mails():
    return Mail.objects.filter(batch__contains=f" {Told.TREE_OPEN} ").order_by("pk")


def three_outcomes(people):
    """Return a downtime of three pieces of work that ended in three ways, everything said and verified."""
    downtime = run_stage.begun(people, close="hard", tracking_bug=1400042)
    items = list(downtime.items.all())
    run_stage.close(downtime)
    for item, state in zip(items, ["landed", "rolled back", "not done"], strict=False):
        outcome(item, state, downtime.duty)
    clock.move(2 * HOUR)
    run_stage.reopen(downtime)
    steering.do_step(downtime, Step.SHERIFF_AGREES, "Sheriff", by=downtime.duty)
    tell_bugs(downtime)
    return run_stage.now(downtime)


@pytest.fixture
def three(people, by_hand, monkeypatch):
    """A downtime that ended in three ways, and may be told."""
    plan = downtime_stage.plan

    def with_three(*args, **fields):
        downtime = plan(*args, **fields)
        for number in range(2):
            downtime_stage.add_work(downtime, public_text=f"Cable {number + 2}.")
        return downtime

    monkeypatch.setattr(downtime_stage, "plan", with_three)
    return three_outcomes(people)


# --- to whom ----------------------------------------------------------------------------------------------------------


def test_r34_it_goes_to_all_who_were_told_as_an_answer_to_the_first_mail_each_of_them_got(people, by_hand):
    downtime = run_stage.closed(people, extra_groups=["mirrors@example.com"])
    first = {mail.recipient: mail for mail in Mail.objects.filter(batch__startswith="notice")}
    assert set(first) == {
        "dev-planning@example.com", "dev-tree-management@example.com", "all@example.com", "mirrors@example.com"
    }  # fmt: skip
    shown_end, ends_at = downtime.ends_at.isoformat(), downtime.ends_at + HOUR
    steering.extend(downtime, by=downtime.duty, because="A fan broke.", ends_at=ends_at, shown_end=shown_end)
    bounced = first.pop("all@example.com")
    Mail.objects.filter(recipient=bounced.recipient).update(state=MailState.FAILED)
    downtime_stage.MailingListFactory(name="new@", address="new@example.com")
    run_stage.reopen(run_stage.work(downtime))
    steering.do_step(downtime, Step.SHERIFF_AGREES, "Sheriff", by=downtime.duty)
    tell_bugs(downtime)
    downtime = run_stage.now(downtime)
    letter, sequence = finishing.letter(downtime, clock.now()), downtime.sequence
    done = finish(downtime)
    sent = {mail.recipient: mail for mail in tree_open_mails()}
    assert set(sent) == set(first), "who was told, and nobody else"
    for recipient, mail in sent.items():
        assert mail.in_reply_to == first[recipient].message_id
        assert f"In-Reply-To: {first[recipient].message_id}" in bytes(mail.message).decode()
        assert (mail.subject, mail.state) == ("TREE OPEN: Switches in mdc1", MailState.DUE)
        assert mail.mandatory == (recipient != "mirrors@example.com")
    assert done.announcements.get(kind=Told.TREE_OPEN).text == letter.body
    assert (done.state, done.sequence) == (State.DONE, sequence + 1)
    assert abs(done.open_at - clock.now()) < MINUTE
    assert Review.objects.filter(downtime=done).exists()
    entry = Entry.objects.of(done.about).filter(verb="finish").get()
    assert entry.caused == [str(mail) for mail in sent.values()]


def test_pressed_twice_it_is_told_once(people, by_hand):
    downtime = run_stage.agreed(people)
    tell_bugs(downtime)
    shown = read(downtime)
    for _ in range(2):
        finishing.finish(downtime, by=downtime.duty, shown_sha256=shown)
    assert tree_open_mails().count() == 3
    assert run_stage.now(downtime).announcements.filter(kind=Told.TREE_OPEN).count() == 1


def test_where_nobody_was_reached_it_ends_all_the_same_and_the_record_says_that_nobody_heard(people, by_hand):
    downtime = run_stage.agreed(people)
    tell_bugs(downtime)
    Mail.objects.update(state=MailState.FAILED)
    assert finish(downtime).state == State.DONE
    assert Entry.objects.of(downtime.about).filter(verb="nobody told").exists()


# --- what it waits for ------------------------------------------------------------------------------------------------


def test_r31_r32_r33_it_stays_locked_and_says_why_until_nothing_is_left(people, by_hand):
    downtime = run_stage.closed(people)
    number = downtime.items.get().bug_id
    closed, open_ones = "autoland is still closed by us: reopen it.", "No outcome is written down"
    sheriff, silent = "No sheriff has said", f"bug {number} was not told its outcome yet"
    refusal = against(downtime)
    assert closed in refusal and sheriff in refusal and open_ones in refusal and silent not in refusal
    run_stage.work(downtime)
    refusal = against(downtime)
    assert closed in refusal and silent in refusal and open_ones not in refusal
    run_stage.reopen(downtime)
    refusal = against(downtime)
    assert closed not in refusal and sheriff in refusal
    steering.do_step(downtime, Step.SHERIFF_AGREES, "Sheriff", by=downtime.duty)
    refusal = against(downtime)
    assert silent in refusal and sheriff not in refusal
    tell_bugs(downtime)
    assert not tree_open_mails().exists() and run_stage.now(downtime).state == State.RUNNING
    assert finish(run_stage.now(downtime)).state == State.DONE


def test_f57_it_stays_locked_while_the_service_is_not_read_and_goes_on_when_it_is(people, settings):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        downtime = run_stage.agreed(people, sandbox)
        tell_bugs(downtime)
        clock.move(10 * MINUTE)
        refusal = against(downtime)
        assert "autoland is not verified since" in refusal and "mozilla-central is not verified since" in refusal
        run_stage.read()
        run_stage.sheriff(sandbox, "autoland")
        run_stage.read(MINUTE)
        assert "autoland" in against(downtime), "a sheriff closed it since"
        run_stage.sheriff(sandbox, "autoland", "open", "", ())
        run_stage.read(MINUTE)
        reopens = TreeChange.objects.filter(purpose=reopening.REOPEN)
        for state in UNDER_WAY:
            reopens.update(state=state)
            assert "change of autoland, mozilla-central is still on its way" in against(downtime), "it may still write"
        assert "still on its way" in next_step.next_of(sheet_core.core(downtime, downtime.duty, clock.now())).sentence
        reopens.update(state=MailState.ACCEPTED)
        assert finish(run_stage.now(downtime)).state == State.DONE


def test_what_does_not_run_has_no_tree_open(people, by_hand):
    downtime = run_stage.ready(people)
    assert against(downtime) == "This downtime is announced: TREE OPEN is told of one that runs."


def test_who_read_another_letter_reads_it_again(people, by_hand):
    downtime = run_stage.agreed(people)
    tell_bugs(downtime)
    shown = read(downtime)
    clock.move(MINUTE)
    assert read(downtime) == shown, "no moment that only passes by stands in it"
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    with pytest.raises(NotAllowed, match="The letter changed after you read it: nothing was sent"):
        finishing.finish(downtime, by=downtime.duty, shown_sha256=shown)
    assert not tree_open_mails().exists()


# --- what it says -----------------------------------------------------------------------------------------------------


def test_r34_it_says_what_was_done_and_what_was_not_word_for_word(three):
    first, second, third = three.items.all()
    letter = finishing.letter(three, clock.now())
    assert letter.subject == "TREE OPEN: Switches in mdc1"
    assert (
        letter.body
        == f"""\
TREE OPEN: the trees are open again since
Fri 6 Mar 2026 11:00 UTC (13:00 EET, 03:00 PST).

The downtime is over: Switches in mdc1

* The trees

- autoland: open, verified 2026-03-06 11:00 UTC
- mozilla-central: open, verified 2026-03-06 11:00 UTC

* Done (landed-and-stuck)

- Bug {first.bug_id}: New firmware for the switches.
  {LANDED}

* Rolled back

- Bug {second.bug_id}: Cable 2.
  {ROLLED_BACK}

* Not done

- Bug {third.bug_id}: Cable 3.
  {NOT_DONE}

* When it was

Planned:
  Fri 6 Mar 2026 09:00-12:00 UTC
  Fri 6 Mar 2026 11:00-14:00 EET
  Fri 6 Mar 2026 01:00-04:00 PST
Really:
  Fri 6 Mar 2026 09:00-11:00 UTC
  Fri 6 Mar 2026 11:00-13:00 EET
  Fri 6 Mar 2026 01:00-03:00 PST
  It lasted 2 hours.

Bug 1400042 tracks the whole of it.

Thank you for your patience. If anything does not work as it did before,
reply to this mail or tell us in #ci.

How it stands now: http://localhost:8000/downtimes/PK/

CiDuty, #ci""".replace("PK", str(Downtime.objects.get().pk))
    )


def test_every_line_fits_and_an_extension_stands_beside_the_plan(people, by_hand):
    downtime = run_stage.begun(people)
    shown_end, ends_at = downtime.ends_at.isoformat(), downtime.starts_at + 5 * HOUR
    steering.extend(downtime, by=downtime.duty, because="A fan.", ends_at=ends_at, shown_end=shown_end)
    item = downtime.items.get()
    working.do(item, "leave", by=downtime.duty, words="It was too much for one night. " * 9)
    body = finishing.letter(run_stage.now(downtime), clock.now()).body
    assert max(map(len, body.split("\n"))) <= 72
    assert "Planned:\n  Fri 6 Mar 2026 09:00-12:00 UTC\n" in body
    assert "Extended to:\n  Fri 6 Mar 2026 14:00 UTC (16:00 EET, 06:00 PST)\n" in body
    assert "- autoland: to be closed\n" in body, "read before it may be sent, it says how they stand"


def test_a_tree_that_stays_closed_is_named_with_the_reason(people, settings):
    with run_stage.trees_kept(settings, PATCH) as sandbox:
        run_stage.sheriff(sandbox, "mozilla-central")
        run_stage.read()
        downtime = run_stage.worked(people, sandbox, trees=["autoland", "mozilla-central", "try"])
        run_stage.sheriff(sandbox, "autoland", reason="bustage")
        run_stage.read(MINUTE)
        steering.do_step(downtime, Step.CHECKED, "All normal", by=downtime.duty)
        reopening.reopen(downtime, ["try"], by=downtime.duty, op=op())
        run_stage.settle()
        assert "autoland was closed for another reason meanwhile (bustage)" in against(downtime)
        because = "The sheriff looks at a bustage."
        ownership.leave(downtime, "autoland", by=downtime.duty, because=because)
        body = finishing.letter(run_stage.now(downtime), clock.now()).body
    assert "Not every tree is open: each is named below" in body
    assert f"- autoland: closed, left as it is: {because}\n" in body
    assert "- mozilla-central: closed, as it was before; not by us\n" in body
    assert "- try: open, verified 2026-03-06" in body
    assert "bustage)" not in body, "the sheriff's own words are not ours to send"


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_a_bug_that_turned_private_keeps_its_number_and_loses_every_word(three, visibility):
    first = three.items.first()
    Bug.objects.filter(pk=first.bug_id).update(visibility=visibility)
    body = finishing.letter(three, clock.now()).body
    assert f"- Bug {first.bug_id}\n" in body
    assert "New firmware" not in body and LANDED not in body and ROLLED_BACK in body


def test_a_letter_that_speaks_of_a_bug_which_turned_private_since_is_held(three):
    finish(three)
    mail = tree_open_mails().first()
    assert finishing.may_still_go(mail) is None
    known = BugFactory(visibility=Visibility.RESTRICTED, is_loaner_request=False).pk
    three.run_trees.update(left_because=f"Sheriff: bug {known}")
    assert finishing.may_still_go(mail) is None  # it says nothing of that
    Announcement.objects.filter(batch=mail.batch).update(
        text=Announcement.objects.get(batch=mail.batch).text + f"\nSheriff:\n  bug {known}"
    )
    assert "turned private" in finishing.may_still_go(mail).why
    three.run_trees.update(left_because="")
    Bug.objects.filter(pk=three.items.first().bug_id).update(visibility=Visibility.RESTRICTED)
    stop = finishing.may_still_go(mail)
    assert "turned private" in stop.why and not stop.for_good
    assert finishing.may_still_go(Mail.objects.filter(batch__startswith="notice").first()) is None


def test_all_that_is_left_of_it_are_rows_of_the_outbox(three):
    before = (Mail.objects.count(), BugUpdate.objects.count())
    assert dict(telling.told(three))
    finish(three)
    assert (Mail.objects.count() - before[0], BugUpdate.objects.count() - before[1]) == (3, 0)


def test_only_ciduty_sends_it(people, by_hand, clients):
    downtime = run_stage.agreed(people)
    tell_bugs(downtime)
    address = f"/downtimes/{downtime.pk}/run/tree-open/"
    assert clients[Role.DEVELOPER].post(address, {"shown": read(downtime)}).status_code == 403
    assert run_stage.now(downtime).state == State.RUNNING
    assert clients[Role.LEAD].post(address, {"shown": read(downtime)}).status_code == 302
    assert run_stage.now(downtime).state == State.DONE


# --- at the same moment -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time: only PostgreSQL can race")
@pytest.mark.django_db(transaction=True)
def test_two_who_press_at_the_same_moment_tell_the_bugs_and_everybody_once(people, by_hand):
    downtime = run_stage.agreed(people)
    shown = {draft.item.pk: draft.op for draft in bug_words.drafts(downtime)}
    told = at_once([lambda: bug_words.tell(downtime, by=downtime.duty, shown=shown)] * 3)
    assert sorted(map(len, told)) == [0, 0, 1]
    letter = read(downtime)
    done = at_once([lambda: finishing.finish(downtime, by=downtime.duty, shown_sha256=letter)] * 3)
    assert [one.state for one in done] == [State.DONE] * 3
    assert tree_open_mails().count() == 3 and Review.objects.count() == 1
