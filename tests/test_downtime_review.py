"""The flag queue: what waits is seen with its age and wording; what Bugzilla will hear is shown before it hears it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla.models import Bug, TrackedId, Visibility
from ciduty.outbox import delivery
from ciduty.outbox.models import BugUpdate
from ciduty.outbox.rules import State
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes import flag_writes, review
from downtimes.models import Downtime, Item, Nomination
from downtimes.rules import NominationState
from downtimes.rules import State as DowntimeState
from tests.cast import BugTextFactory, DowntimeFactory, NominationFactory, browser_of, cycle_done, every_row, file

pytestmark = pytest.mark.django_db

QUEUE = "/downtimes/review/"
FLAG = "needs-treeclosure"
OP = "0123abcd"
#: The mark of what was shown, where nothing was.
SHOWN = "0" * 16
START = datetime(2026, 12, 1, 8, tzinfo=UTC)
#: What each form is sent with, beside its op.
TYPED = {
    "accept": {"window": "new", "title": "Network in mdc1", "words": ""},
    "defer": {"because": "After the release."},
    "decline": {"because": "It needs no closure."},
}
VERBS = list(TYPED)
DECIDED = {"accept": NominationState.ACCEPTED, "defer": NominationState.DEFERRED, "decline": NominationState.DECLINED}


def address(nomination, verb):
    return f"{QUEUE}{nomination.pk}/{verb}/"


def in_days(days):
    return review.today(clock.now() + timedelta(days=days))


def looked_at(client, nomination, verb, *, op=OP, follow=True, **typed):
    """Look at what a decision writes; returns the answer and the fields that send it."""
    fields = {"op": op} | TYPED[verb] | ({"until": in_days(7)} if verb == "defer" else {}) | typed
    seen = client.post(address(nomination, verb), fields, follow=follow)
    shown = re.search(r'name="shown" value="([0-9a-f]{16})"', seen.content.decode())
    return seen, fields | {"send": "1", "shown": shown[1] if shown else SHOWN}


def sent(client, nomination, verb, *, send=True, follow=True, **typed):
    """Look at what a decision writes and, with `send`, send it; returns the last answer."""
    seen, fields = looked_at(client, nomination, verb, follow=follow, **typed)
    return client.post(address(nomination, verb), fields, follow=follow) if send else seen


def page(client, **query):
    return re.sub(r"\s+", " ", client.get(QUEUE, query).content.decode())


def now_there(nomination):
    return Nomination.objects.get(pk=nomination.pk)


def deliver():
    return dict(delivery.deliver(delivery.BUGS))


def flag(status, **other):
    return {"id": 7, "name": FLAG, "status": status, "set_at": "2026-03-03T09:00:00+00:00"} | other


def nominated(*flags, visibility=Visibility.PUBLIC, is_open=True, summary="Firmware", **fields):
    """Return a nomination whose bug the mirror has read just now, with these flags."""
    at = clock.now()
    words = BugTextFactory(
        bug__flags=list(flags), bug__carries_flag=bool(flags), bug__visibility=visibility, bug__is_open=is_open,
        bug__is_loaner_request=False, bug__read_at=at, summary=summary, creator="scheduler@example.com",
        flag_people={"7": ["setter@example.com", ""]},
    )  # fmt: skip
    return NominationFactory(bug_id=words.bug_id, **fields)


@pytest.fixture
def queue(clients):
    """The browser of duty."""
    return clients[Role.DUTY]


@pytest.fixture
def somebody_listens(settings):
    """Bugzilla is configured; nothing is delivered unless a test does it."""
    settings.BUGZILLA_URL = "http://127.0.0.1:9"


@pytest.fixture
def asked(bugzilla, people):
    """A bug that carries the flag, in Bugzilla and in the queue."""
    where = {"component": "RelOps: Hardware", "creator": "scheduler@example.com"}
    bug = file(bugzilla, "Firmware of the switches", **where, flags=[{"name": FLAG, "status": "?"}])
    cycle_done()
    return Nomination.objects.get(bug_id=bug)


# --- the queue --------------------------------------------------------------------------------------------------------


def test_the_queue_shows_age_who_asked_wording_system_urgency_and_number(queue, people):
    asked_at = clock.now() - timedelta(days=3)
    nomination = nominated(flag("?"), asked_at=asked_at, urgency="urgent", text_by=people[Role.SCHEDULER])
    words = page(queue)
    for part in (
        str(nomination.bug_id), "3 d ago", "scheduler", "New firmware for the switches.", "hg.mozilla.org",
        "Urgent: within days", "Firmware",
    ):  # fmt: skip
        assert part in words


def test_the_setter_of_the_flag_is_named_where_nobody_of_ours_asked(queue):
    nominated(flag("?"), asked_by=None, text_by=None)
    assert "setter@example.com" in page(queue)


def test_the_setter_in_a_restricted_bug_is_named_to_nobody(queue):
    nominated(flag("?"), asked_by=None, text_by=None, visibility=Visibility.RESTRICTED)
    assert "setter@example.com" not in page(queue)


@pytest.mark.parametrize("visibility", Visibility.values)
def test_a_summary_shows_where_it_may_be_read(queue, visibility):
    nomination = nominated(flag("?"), visibility=visibility, summary="CANARY")
    words = page(queue)
    assert str(nomination.bug_id) in words
    assert ("CANARY" in words) == (visibility != Visibility.RESTRICTED)
    form = queue.get(address(nomination, "accept")).content.decode()
    assert ("CANARY" in form) == (visibility != Visibility.RESTRICTED)


def test_what_waits_longest_stands_first(queue):
    at = clock.now()
    new, old = (NominationFactory(asked_at=at - timedelta(days=days)) for days in (1, 9))
    words = page(queue)
    assert words.index(str(old.bug_id)) < words.index(str(new.bug_id))


def test_the_decided_ones_stand_on_their_tabs(queue, duty):
    decided = {"decided_by": duty, "decided_at": clock.now()}
    accepted = NominationFactory(state="accepted", **decided)
    declined = NominationFactory(state="declined", because="It needs no closure.", **decided)
    gone = NominationFactory(state="withdrawn")
    assert all(str(one.bug_id) not in page(queue) for one in (accepted, declined, gone))
    assert str(accepted.bug_id) in page(queue, show="accepted")
    words = page(queue, show="declined")
    assert all(part in words for part in (str(declined.bug_id), str(gone.bug_id), "It needs no closure."))


def test_what_was_deferred_comes_back_by_itself_on_its_day_and_not_before(queue, duty):
    nomination = NominationFactory(state="deferred", deferred_until=in_days(7), decided_by=duty, decided_at=clock.now())
    assert str(nomination.bug_id) not in page(queue)
    assert str(nomination.bug_id) in page(queue, show="deferred")
    clock.move(timedelta(days=6))
    assert str(nomination.bug_id) not in page(queue)
    clock.move(timedelta(days=1))
    queue = browser_of(duty)  # a week later the session is over
    assert str(nomination.bug_id) in page(queue)
    assert str(nomination.bug_id) not in page(queue, show="deferred")


def test_a_closed_bug_and_a_bug_without_its_flag_stay_in_the_queue_and_say_so(queue):
    nominated(flag("?"), is_open=False)
    nominated()
    words = page(queue)
    assert "The bug is closed in Bugzilla." in words
    assert "Bugzilla says not set, and nobody has decided here" in words


def test_needs_reconfig_beside_it_is_warned_about_in_the_queue_and_before_a_decision(queue):
    nomination = nominated(flag("?"), flag("?", id=8, name="needs-reconfig"))
    warning = "needs-reconfig stands on this bug beside needs-treeclosure: one of the two must go."
    assert warning in page(queue)
    assert warning in queue.get(address(nomination, "accept")).content.decode()


def test_without_needs_reconfig_nothing_is_warned_about(queue):
    nominated(flag("?"))
    assert "needs-reconfig" not in page(queue)


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER])
def test_only_ciduty_sees_and_works_the_queue(clients, role):
    nomination = nominated(flag("?"))
    assert clients[role].get(QUEUE).status_code == 403
    for verb in VERBS:
        assert clients[role].get(address(nomination, verb)).status_code == 403
        assert sent(clients[role], nomination, verb).status_code == 403
    assert now_there(nomination).state == NominationState.REQUESTED


def test_a_stranger_is_sent_to_the_sign_in_page(stranger):
    nomination = nominated(flag("?"))
    for path in (QUEUE, *(address(nomination, verb) for verb in VERBS)):
        assert stranger.get(path).headers["Location"].startswith("/sign-in/")
        assert stranger.post(path, {"send": "1"}).status_code == 302
    assert now_there(nomination).state == NominationState.REQUESTED


def test_a_queue_of_many_costs_as_many_queries_as_one_of_few(queue, duty):
    def fill(count):
        for _ in range(count):
            nomination = nominated(flag("?"))
            flag_writes.tell(nomination, "nominate", by=duty, op=f"{nomination.pk:08x}", comment="x")
            drifted = nominated(flag("-"), state="accepted", flag_wanted="+", decided_at=clock.now(), decided_by=duty)
            Item.objects.create(downtime=DowntimeFactory(), nomination=drifted, bug_id=drifted.bug_id, position=1)

    def queries(show):
        with CaptureQueriesContext(connection) as caught:
            assert queue.get(QUEUE, {"show": show}).status_code == 200
        return len(caught)

    fill(2)
    few = [queries(show) for show in ("open", "accepted")]
    fill(20)
    assert [queries(show) for show in ("open", "accepted")] == few
    assert max(few) < 35


def test_the_queue_has_pages(queue):
    for number in range(51):
        NominationFactory(bug_id=1_500_000 + number)
    assert "Page 1 of 2, 51 nominations" in page(queue)
    assert "1500050" in page(queue, page=2)


def test_the_queue_refreshes_itself_without_its_frame(queue):
    nominated(flag("?"))
    part = queue.get(QUEUE, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "Firmware" in part


# --- two steps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_what_will_be_written_is_shown_first_and_looking_writes_nothing(queue, somebody_listens, verb):
    nomination = nominated(flag("?"))
    before = every_row(leave_out=["django_session"])
    assert queue.get(address(nomination, verb)).status_code == 200
    words = sent(queue, nomination, verb, send=False).content.decode()
    assert every_row(leave_out=["django_session"]) == before
    assert "Nothing was sent yet." in words
    assert f"ref {OP}" in words
    assert 'name="send"' in words
    assert (f"Flag {FLAG}" in words) == (verb != "defer"), "the flag stays while it is deferred"
    sent(queue, nomination, verb)
    assert BugUpdate.objects.get().op == OP, "as it was shown"
    assert now_there(nomination).state == DECIDED[verb]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("shown", ["", SHOWN])
def test_what_nobody_has_looked_at_is_not_sent(queue, somebody_listens, verb, shown):
    nomination = nominated(flag("?"))
    fields = {"op": OP, "send": "1", "shown": shown, "until": in_days(7)} | TYPED[verb]
    words = queue.post(address(nomination, verb), fields).content.decode()
    assert "It reads otherwise than what was shown before" in words
    assert now_there(nomination).state == NominationState.REQUESTED
    assert not BugUpdate.objects.exists()


def test_a_window_that_moved_between_the_two_steps_is_shown_again(queue, somebody_listens):
    nomination, window = nominated(flag("?")), DowntimeFactory(starts_at=START)
    _, fields = looked_at(queue, nomination, "accept", window=str(window.pk))
    Downtime.objects.update(starts_at=START + timedelta(hours=1))
    words = queue.post(address(nomination, "accept"), fields).content.decode()
    assert "09:00 UTC" in words
    assert "It reads otherwise" in words
    assert not window.items.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_the_form_alone_offers_no_way_to_send_it_unseen(queue, verb):
    assert 'name="send"' not in queue.get(address(nominated(flag("?")), verb)).content.decode()


@pytest.mark.parametrize("verb", VERBS)
def test_a_form_sent_twice_decides_once(queue, somebody_listens, verb):
    nomination = nominated(flag("?"))
    _, fields = looked_at(queue, nomination, verb)
    for _ in range(2):
        assert queue.post(address(nomination, verb), fields).status_code == 302
    assert BugUpdate.objects.count() == 1
    assert Entry.objects.filter(about=nomination.about, verb=verb).count() == 1
    assert Downtime.objects.count() == (1 if verb == "accept" else 0)
    assert Item.objects.count() == (1 if verb == "accept" else 0)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", ["accepted", "declined", "withdrawn"])
def test_what_is_decided_is_not_decided_again(queue, verb, state):
    nomination = nominated(flag("?"), state=state)
    assert f"is {state} by now" in queue.get(address(nomination, verb)).content.decode()
    for send in (False, True):
        words = sent(queue, nomination, verb, send=send).content.decode()
        assert f"is {state} by now" in words
        assert 'name="send"' not in words
    assert now_there(nomination).state == state
    assert not BugUpdate.objects.exists()
    assert not Downtime.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_nomination_whose_bug_has_no_number_yet_waits(queue, verb):
    nomination = NominationFactory(bug_id=None, key="form")
    words = queue.get(address(nomination, verb)).content.decode()
    assert "has not filed the bug" in words
    assert "Show what will be written" not in words
    words = sent(queue, nomination, verb).content.decode()
    assert "has not filed the bug" in words
    assert 'name="send"' not in words
    assert now_there(nomination).state == NominationState.REQUESTED
    assert f"{nomination.pk}/{verb}/" not in page(queue)


@pytest.mark.parametrize("verb", VERBS)
def test_somebody_who_decided_meanwhile_is_not_overruled(duty, somebody_listens, verb):
    shown = nominated(flag("?"))
    review.decline(now_there(shown), by=duty, because="No.", op="11111111")
    does = {
        "accept": lambda: review.accept(shown, by=duty, title="A window", op=OP),
        "defer": lambda: review.defer(shown, by=duty, until=in_days(2), because="Later.", op=OP),
        "decline": lambda: review.decline(shown, by=duty, because="Again.", op=OP),
    }
    with pytest.raises(NotAllowed, match="declined by now"):
        does[verb]()
    assert BugUpdate.objects.count() == 1


def test_somebody_who_deferred_it_meanwhile_is_not_overruled_unseen(duty, somebody_listens):
    shown = nominated(flag("?"))
    review.defer(now_there(shown), by=duty, until=in_days(2), because="Later.", op="11111111")
    with pytest.raises(NotAllowed, match="deferred by now"):
        review.decline(shown, by=duty, because="No.", op=OP)
    review.decline(now_there(shown), by=duty, because="No.", op=OP)
    assert now_there(shown).state == NominationState.DECLINED


def test_a_form_that_was_sent_for_something_else_is_refused(queue, somebody_listens):
    sent(queue, nominated(flag("?")), "decline")
    other = nominated(flag("?"))
    assert "was sent before, for something else" in sent(queue, other, "decline").content.decode()
    assert now_there(other).state == NominationState.REQUESTED


@pytest.mark.parametrize(
    ("verb", "typed", "problem"),
    [
        ("accept", {"window": ""}, "Choose a window"),
        ("accept", {"window": "99999"}, "not planned any more"),
        ("accept", {"title": "  "}, "Give the new window a title"),
        ("accept", {"title": "x" * 121}, "120 fit"),
        ("accept", {"words": "x" * 4001}, "4,000 fit"),
        ("decline", {"because": " "}, "Give the reason"),
        ("defer", {"because": ""}, "Give the reason"),
        ("defer", {"until": ""}, "Say until when"),
        ("defer", {"until": "soon"}, "This is no date"),
        ("decline", {"op": "zz"}, "no longer whole"),
    ],
)
def test_a_form_that_lacks_something_says_what(queue, verb, typed, problem):
    nomination = nominated(flag("?"))
    response = sent(queue, nomination, verb, **typed)
    assert response.status_code == 422
    assert problem in response.content.decode()
    assert now_there(nomination).state == NominationState.REQUESTED
    assert not Downtime.objects.exists()


@pytest.mark.parametrize(("days", "allowed"), [(0, False), (1, True), (366, True), (367, False)])
def test_a_nomination_is_deferred_to_a_day_to_come_and_within_a_year(queue, somebody_listens, days, allowed):
    nomination = nominated(flag("?"))
    day = review.today(clock.now()) + timedelta(days=days)
    assert sent(queue, nomination, "defer", until=day, follow=False).status_code == (302 if allowed else 422)
    assert (now_there(nomination).deferred_until == day) == allowed


# --- accepting --------------------------------------------------------------------------------------------------------


def test_accepting_into_a_new_window_writes_flag_and_comment_and_the_item(asked, queue, bugzilla, duty):
    words = sent(queue, asked, "accept", words="Bring a console cable.").content.decode()
    assert "on its way to Bugzilla" in words
    assert deliver() == {"sent": 1}
    nomination, downtime = now_there(asked), Downtime.objects.get()
    assert (nomination.state, nomination.flag_wanted, nomination.decided_by) == (DECIDED["accept"], "+", duty)
    assert downtime.title == "Network in mdc1"
    assert downtime.items.get().nomination == nomination
    bug = bugzilla.world.bug(asked.bug_id)
    assert [(one["name"], one["status"]) for one in bug["flags"]] == [(FLAG, "+")]
    assert bug["whiteboard"] == "", "the window has no time yet"
    [text] = comments(bugzilla, asked.bug_id)
    for part in ("Accepted for a tree-closing downtime", "Bring a console cable.", f"{duty}, CiDuty", f"ref {OP}"):
        assert part in text
    assert "Network in mdc1" not in text, "nobody hears of a window before it is announced"


def test_a_window_without_a_time_can_be_chosen_too_and_the_next_one_stands_first(queue):
    nomination = nominated(flag("?"))
    without, late, early = (
        DowntimeFactory(title=title, starts_at=start)
        for title, start in (("Some day", None), ("Late", START + timedelta(days=9)), ("Early", START))
    )
    DowntimeFactory(title="Over and done", state=DowntimeState.CANCELLED)
    words = queue.get(address(nomination, "accept")).content.decode()
    assert words.index("Early (2026-12-01 08:00 UTC") < words.index("Late (") < words.index("Some day (no time yet")
    assert "Over and done" not in words
    sent(queue, nomination, "accept", window=str(without.pk))
    assert without.items.count() == 1
    assert not (late.items.exists() or early.items.exists())


def test_a_window_that_was_cancelled_meanwhile_takes_no_work(duty, somebody_listens):
    nomination, gone = nominated(flag("?")), DowntimeFactory(state=DowntimeState.CANCELLED)
    with pytest.raises(NotAllowed, match="cancelled by now"):
        review.accept(nomination, by=duty, downtime=gone, op=OP)
    assert now_there(nomination).state == NominationState.REQUESTED


def test_what_could_ride_along_is_named_before_and_after(queue, somebody_listens):
    nomination = nominated(flag("?"))
    other = nominated(flag("?"), system="HG.mozilla.org")
    elsewhere = nominated(flag("?"), system="tbpl.mozilla.org")
    over = nominated(flag("-"), state="declined")
    form = re.sub(r"\s+", " ", queue.get(address(nomination, "accept")).content.decode())
    hint = form.partition("Also waiting for hg.mozilla.org:")[2].partition("</div>")[0]
    assert f"bug {other.bug_id}" in hint
    assert not any(str(one.bug_id) in hint for one in (elsewhere, over))
    words = sent(queue, nomination, "accept").content.decode()
    assert f"Also waiting for hg.mozilla.org: bug {other.bug_id}." in words


# --- restricted bugs, and no Bugzilla ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_into_a_restricted_bug_goes_no_word_that_was_typed(queue, somebody_listens, verb):
    nomination = nominated(flag("?"), visibility=Visibility.RESTRICTED)
    typed = {"words": "TYPED"} if verb == "accept" else {"because": "TYPED"}
    preview = sent(queue, nomination, verb, send=False, **typed).content.decode()
    assert "no typed word is written into it" in preview
    assert "TYPED" not in preview.partition('id="preview"')[2].partition("</section>")[0]
    sent(queue, nomination, verb, **typed)
    assert "TYPED" not in str(BugUpdate.objects.get().wants)
    assert now_there(nomination).because == "TYPED", "whoever asked reads it here"


@pytest.mark.parametrize("verb", VERBS)
def test_without_a_bugzilla_it_is_decided_and_said_that_the_write_is_held(queue, verb):
    nomination = nominated(flag("?"))
    words = sent(queue, nomination, verb).content.decode()
    assert "is held. Bugzilla is not configured" in words
    assert BugUpdate.objects.get().state == State.HELD
    assert now_there(nomination).state == DECIDED[verb]
    if verb != "decline":
        tab = {"accept": "accepted", "defer": "deferred"}[verb]
        assert "waits for somebody" in page(queue, show=tab)


# --- somebody else moves the flag -------------------------------------------------------------------------------------


def read_anew(bug_id, *flags):
    """Let the mirror have read a bug just now."""
    clock.move(timedelta(minutes=1))
    Bug.objects.filter(pk=bug_id).update(flags=list(flags), read_at=clock.now())


@pytest.mark.parametrize(
    ("wanted", "state", "there", "sentence"),
    [
        ("+", "accepted", "-", "Bugzilla says -, we say +."),
        ("+", "accepted", "?", "Bugzilla says ?, we say +."),
        ("+", "accepted", "", "Bugzilla says not set, we say +."),
        ("-", "declined", "+", "Bugzilla says +, we say -."),
        ("+", "accepted", "+", ""),
        ("-", "declined", "-", ""),
    ],
)
def test_a_flag_that_was_moved_in_bugzilla_shows_as_drift_on_every_tab(queue, duty, wanted, state, there, sentence):
    decided = {"decided_by": duty, "decided_at": clock.now() - timedelta(hours=1)}
    nominated(*([flag(there)] if there else []), state=state, flag_wanted=wanted, **decided)
    for show in ("open", "accepted", "declined", "deferred"):
        words = page(queue, show=show)
        assert ("Bugzilla and ciduty disagree" in words) == bool(sentence)
        assert sentence in words


def test_of_a_bug_that_ciduty_cannot_see_nobody_knows_whether_its_flag_was_moved(queue, duty):
    decided = {"decided_by": duty, "decided_at": clock.now()}
    nomination = nominated(flag("-"), state="accepted", flag_wanted="+", **decided)
    assert "disagree" in page(queue)
    Bug.objects.filter(pk=nomination.bug_id).update(not_visible_since=clock.now())
    assert "disagree" not in page(queue)


def test_while_our_own_word_is_on_its_way_or_not_read_yet_nothing_drifts(asked, queue, bugzilla):
    sent(queue, asked, "accept")
    assert "disagree" not in page(queue), "it is due"
    deliver()
    assert "disagree" not in page(queue), "it was not read since"
    clock.move(timedelta(minutes=1))
    cycle_done()
    assert "disagree" not in page(queue), "it agrees"
    bugzilla.world.update(asked.bug_id, "sheriff@example.com", {"flags": [{"name": FLAG, "status": "-"}]})
    clock.move(timedelta(minutes=1))
    cycle_done()
    assert "Bugzilla says -, we say +." in page(queue), "within one poll"
    assert now_there(asked).state == NominationState.ACCEPTED, "nothing happens by itself"


def test_a_request_whose_flag_waits_for_somebody_in_the_outbox_blames_nobody(queue):
    nomination = nominated()
    flag_writes.tell(nomination, "nominate", by=nomination.asked_by, op=OP, comment="Please.")
    words = page(queue)
    assert "nobody has decided here" not in words
    assert "What was to be written to the bug waits for somebody" in words


def test_a_write_is_held_when_somebody_moved_the_flag_since_it_was_decided(duty, somebody_listens):
    nomination = nominated(flag("?"))
    row = review.decline(nomination, by=duty, because="No.", op=OP)
    assert flag_writes.may_still_go(row) is None
    read_anew(nomination.bug_id, flag("+"))
    stop = flag_writes.may_still_go(row)
    assert "moved the flag needs-treeclosure from ? to +" in stop.why
    assert not stop.for_good
    read_anew(nomination.bug_id, flag("-"))
    assert flag_writes.may_still_go(row) is None, "it is as wanted"


def test_a_flag_that_was_moved_between_two_polls_is_a_conflict_that_waits_for_a_person(asked, queue, bugzilla):
    sent(queue, asked, "accept")
    bugzilla.world.update(asked.bug_id, "sheriff@example.com", {"flags": [{"name": FLAG, "status": "-"}]})
    assert deliver() == {"parked": 1}
    assert "Somebody else moved it" in BugUpdate.objects.get().last_words
    [there] = bugzilla.world.bug(asked.bug_id)["flags"]
    assert there["status"] == "-"
    assert "waits for somebody" in page(queue, show="accepted")


def test_a_write_is_dropped_when_the_nomination_was_decided_anew(duty, somebody_listens):
    nomination = nominated(flag("?"))
    row = review.defer(nomination, by=duty, until=in_days(2), because="Later.", op=OP)
    review.decline(nomination, by=duty, because="No.", op="abcd0123")
    stop = flag_writes.may_still_go(row)
    assert stop.for_good
    assert "declined by now" in stop.why


def test_what_was_written_for_staff_is_held_when_the_bug_turns_public(duty, somebody_listens):
    nomination = nominated(flag("?"), visibility=Visibility.STAFF)
    row = review.decline(nomination, by=duty, because="No.", op=OP)
    assert flag_writes.may_still_go(row) is None
    Bug.objects.filter(pk=nomination.bug_id).update(visibility=Visibility.PUBLIC)
    assert "written for staff only" in flag_writes.may_still_go(row).why


def test_a_decision_right_after_the_request_waits_for_it_and_is_no_conflict(queue, clients, bugzilla):
    where = {"component": "RelOps: Hardware", "creator": "scheduler@example.com"}
    bug = file(bugzilla, "Firmware of the switches", **where)
    TrackedId.objects.create(bug_id=bug, why="a test")
    cycle_done()
    assert Bug.objects.get(pk=bug).flags == []
    nomination = NominationFactory(bug_id=bug)
    flag_writes.tell(nomination, "nominate", by=nomination.asked_by, op="11111111", comment="Please.")
    sent(queue, nomination, "accept")
    assert deliver() == {"sent": 2}
    [there] = bugzilla.world.bug(bug)["flags"]
    assert there["status"] == "+"


def test_a_decision_is_made_on_the_flag_that_was_read_last_by_whomever_it_was_set(asked, bugzilla):
    flag_writes.tell(asked, "nominate", by=asked.asked_by, op="11111111", comment="Please.")
    deliver()
    bugzilla.world.update(asked.bug_id, "sheriff@example.com", {"flags": [{"name": FLAG, "status": "+"}]})
    assert flag_writes.seen_of(asked.bug_id)["flags"][FLAG]["status"] == "?", "what we said last"
    clock.move(timedelta(minutes=1))
    cycle_done()
    assert flag_writes.seen_of(asked.bug_id)["flags"][FLAG]["status"] == "+"


def comments(bugzilla, bug):
    rows = bugzilla.world.db.execute("SELECT text FROM comments WHERE bug_id = ? ORDER BY id", [bug]).fetchall()
    return [text for (text,) in rows[1:]]
