"""What everybody sees of a downtime that is run, and duty on the desk: the clock begins and ends none (decision 7)."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from icalendar import Calendar

from changelog import intervals
from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox.models import Incoming, IncomingKind, Mail
from ciduty.outbox.rules import State as MailState
from ciduty.people.roles import Role
from ciduty.trees import polling
from downtimes import calendar, needs, showing, timeline
from downtimes.models import Downtime, Told
from downtimes.rules import State
from downtimes.run import beginning, bug_words, finishing, outage, reviewing, steering, working
from downtimes.run.closing import BY_HAND
from downtimes.run.rules import Step
from downtimes.showing import Standing
from tests import downtime_stage, run_stage
from tests.announced import facts
from tests.cast import BugFactory, MailingListFactory
from tests.downtime_stage import op

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WORDS = "All switches answer."


@pytest.fixture(autouse=True)
def somebody_listens(settings):
    """The clock stands on a working morning; duty keeps the trees by hand; nothing is delivered."""
    run_stage.morning()
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"
    with run_stage.trees_kept(settings, BY_HAND):
        yield


def public(downtime):
    """Return what everybody may know of a downtime now."""
    return showing.public_facts(run_stage.now(downtime), clock.now())


def event_of(client, downtime):
    file = Calendar.from_ical(client.get("/downtimes/calendar.ics").content)
    [event] = [event for event in file.walk("VEVENT") if event["uid"] == calendar.uid_of(downtime.pk)]
    return event


def page(client, address="/downtimes/"):
    answer = client.get(address)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def headings(client):
    """Return under which heading of the list each downtime stands."""
    parts = re.split("<h2>", page(client))[1:]
    return {re.match(r"[^<]*", part)[0].strip(): re.findall(r'<h3><a href="[^"]*">([^<]*)', part) for part in parts}


def sentences():
    return [(need.sentence, need.late) for need in needs.needs_of(clock.now())]


def have_it():
    """Let every list have what it was told now."""
    Mail.objects.filter(state=MailState.DUE).update(state=MailState.ACCEPTED, accepted_at=clock.now())


def end(downtime):
    """Land the work, open the trees, say everything that has to be said, and send TREE OPEN."""
    for item in downtime.items.all():
        working.do(working.do(item, "start", by=downtime.duty), "land", by=downtime.duty, words=WORDS)
    run_stage.reopen(downtime)
    steering.do_step(downtime, Step.SHERIFF_AGREES, "Sheriff", by=downtime.duty)
    bug_words.tell(downtime, by=downtime.duty, shown={one.item.pk: one.op for one in bug_words.drafts(downtime)})
    letter = finishing.letter(run_stage.now(downtime), clock.now())
    return finishing.finish(downtime, by=downtime.duty, shown_sha256=finishing.sha256_of(letter))


def extend(downtime, ends_at, because="A fan broke."):
    shown_end = run_stage.now(downtime).ends_at.isoformat()
    return steering.extend(downtime, by=downtime.duty, because=because, ends_at=ends_at, shown_end=shown_end)


# --- its whole life ---------------------------------------------------------------------------------------------------


def test_from_announced_to_over_each_standing_is_told_by_people_and_by_no_clock(people, stranger):
    downtime = run_stage.ready(people)
    uid, seen = calendar.uid_of(downtime.pk), []

    def look(heading):
        event = event_of(stranger, downtime)
        assert str(event["uid"]) == uid
        assert headings(stranger)[heading] == ["Switches in mdc1"]
        told = (str(event["status"]), str(event["x-maintnote-status"]))
        seen.append((public(downtime).standing, *told, int(event["sequence"])))
        return page(stranger, f"/downtimes/{downtime.pk}/")

    assert "nobody has begun it yet" in look("Planned")
    beginning.begin(downtime, by=downtime.duty)
    run_stage.close(downtime)
    text = look("Running now")
    assert WORDS not in text and "landed" not in text
    clock.move(downtime.ends_at + DAY - clock.now())
    assert "It runs longer than planned." in look("Running now")
    extend(downtime, clock.now() + HOUR)
    assert "A fan broke." in look("Running now")
    working.do(downtime.items.get(), "start", by=downtime.duty)
    working.do(downtime.items.get(), "land", by=downtime.duty, words=WORDS)
    assert WORDS not in look("Running now"), "an outcome is told with TREE OPEN, not before"
    working.do(downtime.items.get(), "take back", by=downtime.duty)
    done = end(downtime)
    event = event_of(stranger, downtime)
    assert (event["dtstart"].dt, event["dtend"].dt) == tuple(
        moment.replace(microsecond=0) for moment in (done.begun_at, done.open_at)
    )
    assert "landed-and-stuck" in str(event["description"])
    text = page(stranger, f"/downtimes/{downtime.pk}/")
    assert "<strong>landed-and-stuck</strong>" in text and WORDS in text
    assert "<dt>Planned</dt>" in text and "<dt>Extended to</dt>" in text and "A fan broke." not in text
    seen.append((public(done).standing, str(event["status"]), str(event["x-maintnote-status"]), int(event["sequence"])))
    first = seen[0][3]
    assert seen == [
        (Standing.WAITING, "CONFIRMED", "CONFIRMED", first),
        (Standing.RUNNING, "CONFIRMED", "IN-PROCESS", first),
        (Standing.OVERDUE, "CONFIRMED", "IN-PROCESS", first),
        (Standing.RUNNING, "CONFIRMED", "IN-PROCESS", first + 1),
        (Standing.RUNNING, "CONFIRMED", "IN-PROCESS", first + 1),
        (Standing.DONE, "CONFIRMED", "COMPLETED", first + 2),
    ]
    clock.move(30 * DAY)
    assert public(done).standing == Standing.DONE


def test_on_hold_says_so_and_why_until_it_goes_ahead_and_then_that_its_time_passed(people, stranger):
    downtime = downtime_stage.announced(people)
    beginning.hold(downtime, by=downtime.duty, because="A chemspill is built.")
    assert public(downtime).standing == Standing.HELD
    text = page(stranger, f"/downtimes/{downtime.pk}/")
    assert "On hold" in text and "A chemspill is built." in text
    assert str(event_of(stranger, downtime)["x-maintnote-status"]) == "TENTATIVE"
    beginning.go_ahead(downtime, by=downtime.duty, because="It is out.")
    assert public(downtime).standing == Standing.PLANNED
    assert "chemspill" not in page(stranger, f"/downtimes/{downtime.pk}/")
    clock.move(downtime.ends_at + timedelta(seconds=5) - clock.now())
    assert public(downtime).standing == Standing.LAPSED
    assert "it was never begun: no tree was closed for it" in page(stranger, f"/downtimes/{downtime.pk}/")
    assert "Not run" in page(stranger)


def test_what_became_of_a_bug_that_turned_private_is_told_without_its_words(people, stranger):
    downtime = end(run_stage.closed(people))
    Bug.objects.update(visibility=Visibility.RESTRICTED)
    [item] = public(downtime).items
    assert (item.text, item.outcome, item.words) == ("", "landed-and-stuck", "")
    for address in ("/downtimes/", f"/downtimes/{downtime.pk}/", "/downtimes/calendar.ics", "/downtimes/?q=answer"):
        assert WORDS not in page(stranger, address) and "New firmware" not in page(stranger, address)


# --- an outage --------------------------------------------------------------------------------------------------------


@pytest.fixture
def outage_of_hg(people):
    """An outage that closes two trees, its end not known."""
    MailingListFactory(name="dev.planning", address="dev-planning@example.com")
    return outage.begin_outage(
        by=people[Role.DUTY], op=op(), trees=["autoland", "try"], category="infra", expected_end=None, text="Wait.",
        reason="hg.mozilla.org does not answer", bug=None,
    )  # fmt: skip


def test_an_outage_is_public_from_its_first_minute_and_nobody_knows_its_end(outage_of_hg, people, stranger):
    clock.move(30 * MINUTE)
    facts = public(outage_of_hg)
    assert (facts.standing, facts.ends_at, facts.is_outage) == (Standing.RUNNING, None, True)
    assert (facts.trees, facts.items, facts.planned_times) == (("autoland", "try"), (), [])
    assert headings(stranger)["Running now"] == ["hg.mozilla.org does not answer"]
    text = page(stranger, f"/downtimes/{outage_of_hg.pk}/")
    assert "since Tue 03 Mar 2026 09:00 UTC" in text and "autoland, try" in text and "The work" not in text
    event = event_of(stranger, outage_of_hg)
    assert "dtend" not in event and str(event["x-maintnote-status"]) == "IN-PROCESS"
    assert "<strong>1</strong>downtime running" in page(stranger, "/")
    assert "hg.mozilla.org does not answer" in page(stranger, "/downtimes/?q=hg")
    at = clock.now()
    [told] = [one for one in intervals.between(at - DAY, at, at) if one.kind == "outage"]
    assert (told.starts_at, told.ends_at, told.trees) == (outage_of_hg.begun_at, at, ("autoland", "try"))
    [bar] = timeline.drawing([facts], at).rows[0].bars
    assert bar.facts.pk == outage_of_hg.pk


def test_an_outage_that_names_a_bug_which_turned_private_loses_its_words(outage_of_hg, people, stranger):
    known = BugFactory(visibility=Visibility.PUBLIC, is_loaner_request=False).pk
    words = {"title": f"Canary of bug {known}", "reason": f"Canary of bug {known}"}
    Downtime.objects.filter(pk=outage_of_hg.pk).update(**words)
    outage_of_hg.run_trees.filter(name="try").update(left_at=clock.now(), left_because=f"Sheriff: canary {known}")
    addresses = ["/downtimes/", f"/downtimes/{outage_of_hg.pk}/", "/downtimes/calendar.ics"]
    because, ends_at = f"Canary {known} goes on.", clock.now() + HOUR
    steering.extend(outage_of_hg, by=outage_of_hg.duty, because=because, ends_at=ends_at, shown_end="")

    def told():
        at = clock.now()
        letter = finishing.letter(run_stage.now(outage_of_hg), at)
        [beside] = [one for one in intervals.between(at - DAY, at, at) if one.kind == "outage"]
        pages = [page(stranger, address) for address in addresses]
        return [*pages, letter.subject, letter.body, f"{beside}"]

    clock.move(MINUTE)
    assert all("canary" in text.lower() for text in told())
    Bug.objects.filter(pk=known).update(visibility=Visibility.RESTRICTED)
    assert not any("canary" in text.lower() for text in told())
    assert headings(stranger)["Running now"] == ["Unplanned outage"]
    assert "left as it is: The reason names a bug that is not public." in " ".join(told()[-2].split())


def test_an_outage_ends_with_tree_open_and_stands_among_the_past_ones(outage_of_hg, stranger):
    clock.move(MINUTE)
    done = end(outage_of_hg)
    text = done.announcements.get(kind=Told.TREE_OPEN).text
    assert "The outage is over: hg.mozilla.org does not answer" in text
    assert "Planned:" not in text and "* Done" not in text and "- try: open, verified" in text
    [mail] = Mail.objects.filter(batch=f"{done.about} {Told.TREE_OPEN} 2")
    assert mail.in_reply_to == Mail.objects.get(batch=f"{done.about} {Told.OUTAGE} 1").message_id
    assert public(done).standing == Standing.DONE and public(done).ends_at == done.open_at
    assert "(outage)" in page(stranger)


def test_an_outage_that_no_list_heard_of_is_shown_all_the_same(people, stranger):
    downtime = outage.begin_outage(
        by=people[Role.DUTY], op=op(), trees=["try"], category="infra", expected_end=clock.now() + HOUR, text="Wait.",
        reason="No list", bug=None,
    )  # fmt: skip
    assert not downtime.announcements.exists()
    assert public(downtime).told_at == downtime.told_first_at
    clock.move(2 * HOUR)
    assert public(downtime).standing == Standing.OVERDUE
    assert "downtime running, longer than planned" in page(stranger, "/")


# --- drawn, and beside changes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("standing", "ends_in", "until"),
    [
        (Standing.RUNNING, HOUR, HOUR),
        (Standing.OVERDUE, -HOUR, timedelta()),
        (Standing.RUNNING, None, timedelta()),
        (Standing.DONE, -HOUR, -HOUR),
        (Standing.LAPSED, -HOUR, -HOUR),
    ],
)
def test_what_runs_is_drawn_until_now_where_its_end_has_passed(standing, ends_in, until):
    at = clock.now()
    ends_at = at + ends_in if ends_in is not None else None
    told = facts(standing=standing, starts_at=at - 3 * HOUR, ends_at=ends_at)
    assert told.end_at(at) == at + until
    [bar] = timeline.drawing([told], at).rows[0].bars
    assert abs(bar.width - (3 * HOUR + until) / DAY * timeline.COLUMN) < 0.2


def test_beside_changes_it_stands_with_its_real_times_and_not_at_all_if_it_never_ran(people):
    downtime = run_stage.closed(people)
    clock.move(downtime.ends_at + HOUR - clock.now())
    at = clock.now()

    def told(at):
        found = intervals.between(downtime.starts_at - DAY, at, at)
        return [(one.starts_at, one.ends_at) for one in found if one.kind == "downtime"]

    assert told(at) == [(downtime.begun_at, at)]
    done = end(downtime)
    clock.move(DAY)
    assert told(clock.now()) == [(done.begun_at, done.open_at)]
    Downtime.objects.update(state=State.ANNOUNCED, begun_at=None, open_at=None)
    assert told(clock.now()) == []


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kept", ["begun", "not begun"])
def test_every_state_has_its_standing_whatever_the_hour(people, state, kept):
    downtime = downtime_stage.announced(people)
    begun_at = downtime.starts_at if kept == "begun" else None
    Downtime.objects.filter(pk=downtime.pk).update(state=state, begun_at=begun_at)
    for hours in (-1, 1, 9):
        at = downtime.starts_at + hours * HOUR
        told = showing.public_facts(run_stage.now(downtime), at)
        assert told.times and told.end_at(at) >= told.starts_at
        if state in (State.DRAFT, State.AGREEING, State.ANNOUNCED, State.CANCELLED) and begun_at is None:
            assert told.standing not in showing.RUNS | {Standing.DONE}, "nobody began it"
        if state == State.RUNNING and begun_at:
            assert told.standing == (Standing.OVERDUE if hours > 3 else Standing.RUNNING)


# --- the desk ---------------------------------------------------------------------------------------------------------


def test_the_desk_says_what_to_do_next_from_the_start_to_the_review(people, clients):
    downtime = run_stage.ready(people)
    number = downtime.items.get().bug_id
    assert sentences() == [("Begin it now.", True)]
    beginning.hold(downtime, by=downtime.duty, because="A chemspill.")
    have_it()
    assert sentences() == [("On hold: let it go ahead, postpone it or cancel it.", True)]
    beginning.go_ahead(downtime, by=downtime.duty, because="It is out.")
    have_it()
    beginning.begin(downtime, by=downtime.duty)
    run_stage.close(downtime)
    outcome = f"No outcome is written down for bug {number}: landed, rolled back or not done?"
    assert sentences() == [(f"TREE OPEN waits: {outcome}", False)]
    clock.move(downtime.ends_at + 9 * MINUTE + timedelta(seconds=5) - clock.now())
    overdue = "OVERDUE by 9 minutes: extend it, or end it."
    assert sentences() == [(f"{overdue} TREE OPEN waits: {outcome}", True)]
    run_stage.work(downtime)
    assert "autoland is still closed by us" in sentences()[0][0]
    desk = page(clients[Role.DUTY], "/")
    assert overdue in desk and f'href="/downtimes/{downtime.pk}/run/"' in desk
    run_stage.reopen(downtime)
    steering.do_step(downtime, Step.SHERIFF_AGREES, "Sheriff", by=downtime.duty)
    assert "was not told its outcome yet" in sentences()[0][0]
    bug_words.tell(downtime, by=downtime.duty, shown={one.item.pk: one.op for one in bug_words.drafts(downtime)})
    assert sentences()[0][0].endswith("Everything is as it must be: send TREE OPEN.")
    letter = finishing.letter(run_stage.now(downtime), clock.now())
    finishing.finish(downtime, by=downtime.duty, shown_sha256=finishing.sha256_of(letter))
    assert sentences() == []
    clock.move(3 * DAY)
    assert [sentence for sentence, _ in sentences()] == ["Review due: write down what was learned."]
    assert f'href="/downtimes/{downtime.pk}/review/"' in page(clients[Role.DUTY], "/")
    reviewing.write(downtime.review, by=downtime.duty, went_well="All.", to_do_better="", bugs=[])
    assert sentences() == []


def test_what_was_never_begun_stands_on_the_desk_for_a_week(people):
    downtime = run_stage.ready(people)
    clock.move(downtime.ends_at + timedelta(seconds=5) - clock.now())
    assert sentences() == [("It was never begun, and its time is over: postpone it, or cancel it.", True)]
    assert needs.needs_of(clock.now())[0].address == f"/downtimes/{downtime.pk}/plan/"
    clock.move(8 * DAY)
    assert sentences() == []


def test_r28_replies_that_nobody_read_stand_on_the_desk_until_somebody_says_so(people):
    downtime = downtime_stage.announced(people)
    run_stage.accepted(downtime)
    mail = Mail.objects.filter(about=downtime.about, state=MailState.ACCEPTED).first()
    for number in range(2):
        Incoming.objects.create(kind=IncomingKind.REPLY, mail=mail, received_at=clock.now(), sha256=f"{number:064}")
    assert sentences() == [("Unread replies (2): a reason against it may stand there.", True)]
    clock.move(MINUTE)
    steering.do_step(downtime, Step.REPLIES_READ, "", by=downtime.duty)
    assert sentences() == []
    clock.move(MINUTE)
    Incoming.objects.create(kind=IncomingKind.REPLY, mail=mail, received_at=clock.now(), sha256="f" * 64)
    assert [sentence[:18] for sentence, _ in sentences()] == ["Unread replies (1)"]


def test_the_most_overdue_comes_first_and_a_private_reason_of_a_tree_is_withheld(people, settings, clients):
    private = BugFactory(visibility=Visibility.RESTRICTED, is_loaner_request=False).pk
    with run_stage.trees_kept(settings, run_stage.PATCH) as sandbox:
        downtime = run_stage.worked(people, sandbox)
        run_stage.sheriff(sandbox, "autoland", reason=f"Bug {private} broke it")
        clock.move(DAY)
        run_stage.read()
        [(sentence, late)] = sentences()
        assert late and sentence.startswith("OVERDUE by ") and "autoland was closed for another reason" in sentence
        assert str(private) not in sentence
        earlier = outage.begin_outage(
            by=downtime.duty, op=op(), trees=["try"], category="infra", reason="hg", bug=None, text="Wait.",
            expected_end=clock.now() + MINUTE,
        )  # fmt: skip
        clock.move(HOUR)
        assert [need.downtime.pk for need in needs.needs_of(clock.now())] == [downtime.pk, earlier.pk]


def test_the_desk_asks_as_often_for_ten_that_run_as_for_one(people):
    def asked():
        at = clock.now()
        with CaptureQueriesContext(connection) as queries:
            found = needs.needs_of(at)
        return len(found), len(queries)

    for _ in range(10):
        outage.begin_outage(
            by=people[Role.DUTY], op=op(), trees=["try"], category="infra", reason="hg", bug=None, text="Wait.",
            expected_end=None,
        )  # fmt: skip
    ten = asked()
    Downtime.objects.exclude(pk=Downtime.objects.first().pk).delete()
    assert (ten[0], asked()) == (10, (1, ten[1]))


def test_trees_are_read_often_while_it_runs_however_late_it_is(people):
    downtime = run_stage.begun(people)
    assert polling.is_needed_often(downtime.ends_at + 30 * DAY)
    Downtime.objects.update(state=State.DONE)
    assert not polling.is_needed_often(downtime.ends_at + 30 * DAY)
