"""The poll: what it mirrors, notices and survives, and when the watermark moves (safety.md F1, F08 to F14)."""

from datetime import UTC, datetime, timedelta

import pytest

from ciduty import clock, leases
from ciduty.bugzilla import mirror, poll
from ciduty.bugzilla.models import Bug, BugEvent, BugText, Cycle, Quarantine, TrackedId, Visibility
from ciduty.bugzilla.sandbox import Fault
from ciduty.bugzilla.sandbox.seed import BOT_KEY
from tests.cast import ELSEWHERE, LONG_AGO, cycle_done, file

pytestmark = pytest.mark.django_db


def cycle_failed():
    cycle = poll.poll()
    assert cycle.outcome == "failed"
    assert cycle.problem
    return cycle


def test_bugs_of_the_components_are_mirrored_open_or_closed(bugzilla):
    open_bug = file(bugzilla)
    closed = file(bugzilla, status="RESOLVED", resolution="FIXED")
    file(bugzilla, **ELSEWHERE)
    cycle_done(read=2, changed=2)
    assert set(Bug.objects.values_list("pk", "is_open")) == {(open_bug, True), (closed, False)}


@pytest.mark.parametrize("status", ["?", "+", "-"])
def test_a_flagged_bug_of_any_product_is_mirrored(bugzilla, status):
    flagged = file(bugzilla, **ELSEWHERE, flags=[{"name": "needs-treeclosure", "status": status}])
    cycle_done(read=1)
    assert Bug.objects.get().pk == flagged
    assert Bug.objects.get().carries_flag


def test_a_tracked_id_is_mirrored_wherever_it_is(bugzilla):
    tracked = file(bugzilla, **ELSEWHERE)
    TrackedId.objects.create(bug_id=tracked, why="a test")
    cycle_done(read=1)


def test_a_flag_that_only_begins_alike_brings_nothing_in(bugzilla):
    bugzilla.world.add_flag_type("needs-treeclosure-review")
    bugzilla.world.add_product("Elsewhere", ["General"], flag_types=("needs-treeclosure-review",))
    file(
        bugzilla, product="Elsewhere", component="General", flags=[{"name": "needs-treeclosure-review", "status": "?"}]
    )
    cycle_done(read=0)
    assert not Bug.objects.exists()


def test_the_watermark_is_bugzillas_own_time_whatever_our_clock_says(bugzilla):
    bugzilla.world.set_clock(lambda: datetime(2031, 5, 1, 12, tzinfo=UTC))
    cycle_done()
    assert poll.current_source().watermark == datetime(2031, 5, 1, 12, tzinfo=UTC)


def test_the_search_overlaps_the_watermark_by_at_least_five_minutes(bugzilla):
    cycle_done()
    watermark = poll.current_source().watermark
    bugzilla.requests.clear()
    cycle_done()
    asked = [dict(call.params).get("last_change_time") for call in bugzilla.requests if "order" in dict(call.params)]
    assert asked
    assert all(watermark - datetime.fromisoformat(since) >= timedelta(minutes=5) for since in asked)


def test_a_second_poll_with_nothing_changed_makes_three_requests(bugzilla):
    for _ in range(40):
        file(bugzilla, status="RESOLVED", resolution="FIXED")
    cycle_done(read=40)
    bugzilla.requests.clear()
    cycle_done(read=0, changed=0, requests=3)
    assert [call.path for call in bugzilla.requests] == ["/rest/time", "/rest/bug", "/rest/bug"]


def test_active_and_flagged_bugs_are_read_again_on_every_poll(bugzilla):
    file(bugzilla)
    file(bugzilla, **ELSEWHERE, flags=[{"name": "needs-treeclosure", "status": "?"}])
    cycle_done(read=2, changed=2)
    cycle_done(read=2, changed=0, requests=4)


def test_everything_tracked_is_read_again_every_hour(bugzilla):
    file(bugzilla, status="RESOLVED", resolution="FIXED")
    cycle_done(read=1)
    cycle_done(read=0)
    clock.move(timedelta(hours=1, seconds=1))
    cycle_done(read=1)


def test_two_changes_in_one_second_are_both_seen(bugzilla):
    bug = file(bugzilla, at=None)
    cycle_done()
    moment = datetime.now(UTC)
    bugzilla.world.update(bug, "duty@example.com", {"whiteboard": "[one]"}, at=moment)
    cycle_done()
    bugzilla.world.update(bug, "duty@example.com", {"whiteboard": "[two]"}, at=moment)
    cycle_done()
    assert BugText.objects.get().whiteboard == "[two]"


def test_a_stale_search_is_made_up_for_by_the_overlap(bugzilla):
    file(bugzilla, at=None)
    bugzilla.faults.add(Fault("stale", seconds=240))
    cycle_done(read=0)
    bugzilla.faults.clear()
    cycle_done(read=1)


def test_a_private_bug_that_the_bot_sees_keeps_no_words(bugzilla):
    hidden = file(bugzilla, "CANARY in the summary", groups=["infra-bot-sees"], whiteboard="CANARY")
    cycle_done(read=1)
    bug = Bug.objects.get(pk=hidden)
    assert (bug.visibility, bug.status, bug.created_at) == (Visibility.RESTRICTED, "NEW", LONG_AGO)
    assert not BugText.objects.exists()


def test_a_bug_of_staff_groups_keeps_its_words_for_staff(bugzilla):
    file(bugzilla, "For staff", groups=["moco-specific"])
    cycle_done()
    assert Bug.objects.get().visibility == Visibility.STAFF
    assert BugText.objects.get().summary == "For staff"


def test_a_staff_group_beside_another_group_is_restricted(bugzilla):
    file(bugzilla, groups=["moco-specific", "infra-bot-sees"])
    cycle_done()
    assert Bug.objects.get().visibility == Visibility.RESTRICTED


@pytest.mark.parametrize("group", ["infra", "infra-bot-sees"])
def test_an_active_bug_that_turns_private_loses_its_words_within_one_poll(bugzilla, group):
    bug = file(bugzilla, "Words that were public")
    cycle_done()
    assert BugText.objects.get().summary == "Words that were public"
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": [group]}})
    cycle_done(hidden=1)
    assert not BugText.objects.exists()
    assert Bug.objects.get().visibility == Visibility.RESTRICTED
    assert not BugEvent.objects.exclude(by="").exists()


def test_a_closed_bug_that_vanishes_loses_its_words_at_the_next_reconcile(bugzilla):
    bug = file(bugzilla, status="RESOLVED", resolution="FIXED")
    cycle_done()
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": ["infra"]}})
    cycle_done(hidden=0)
    assert BugText.objects.exists()
    clock.move(timedelta(hours=1, seconds=1))
    cycle_done(hidden=1)
    assert not BugText.objects.exists()


def test_a_hidden_bug_is_not_asked_singly_again(bugzilla):
    bug = file(bugzilla)
    cycle_done()
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": ["infra"]}})
    cycle_done(hidden=1)
    bugzilla.requests.clear()
    cycle_done()
    assert f"/rest/bug/{bug}" not in [call.path for call in bugzilla.requests]


def test_a_bug_that_turns_public_again_stays_vague_until_a_person_releases_it(bugzilla):
    bug = file(bugzilla, "Words")
    cycle_done()
    for change in ("add", "remove"):
        bugzilla.world.update(bug, "scheduler@example.com", {"groups": {change: ["infra"]}})
        cycle_done()
    row = Bug.objects.get()
    assert (row.offered, row.visibility) == (Visibility.PUBLIC, Visibility.RESTRICTED)
    assert not BugText.objects.exists()
    mirror.release(row)
    cycle_done()
    assert Bug.objects.get().visibility == Visibility.PUBLIC
    assert BugText.objects.get().summary == "Words"


def test_a_bug_that_a_person_marks_sensitive_has_no_words_until_a_person_releases_it(bugzilla):
    bug = file(bugzilla, "Words")
    cycle_done()
    mirror.hold_back(Bug.objects.get())
    assert not BugText.objects.exists()
    bugzilla.world.update(bug, "developer@example.com", {"whiteboard": "[more words]"})
    cycle_done()
    row = Bug.objects.get()
    assert (row.offered, row.visibility) == (Visibility.PUBLIC, Visibility.RESTRICTED)
    assert not BugText.objects.exists()
    mirror.release(row)
    cycle_done()
    assert BugText.objects.get().summary == "Words"


def test_a_key_that_is_no_longer_signed_in_hides_nothing(bugzilla):
    bug = file(bugzilla)
    cycle_done()
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": ["infra-bot-sees"]}})
    bugzilla.faults.add(
        Fault("status", match="/rest/bug/", status=401, body='{"error":true,"code":"102","message":"no"}')
    )
    bugzilla.faults.add(Fault("status", match=r"/rest/bug\?.*id=", status=200, body='{"bugs":[]}'))
    bugzilla.faults.add(Fault("status", match="whoami", status=400, body='{"error":true,"code":"306","message":"no"}'))
    assert "BUGZILLA_API_KEY" in cycle_failed().problem
    assert BugText.objects.exists()


def test_a_bug_that_moves_away_is_noticed_and_nothing_is_closed(bugzilla):
    bug = file(bugzilla)
    cycle_done()
    bugzilla.world.update(bug, "duty@example.com", ELSEWHERE)
    cycle_done(changed=1)
    row = Bug.objects.get()
    assert (row.moved_away, row.is_loaner_request, row.is_open) == (True, True, True)


def test_a_bug_that_loses_its_flag_is_noticed(bugzilla):
    bug = file(bugzilla, **ELSEWHERE, flags=[{"name": "needs-treeclosure", "status": "?"}])
    cycle_done()
    bugzilla.world.update(bug, "scheduler@example.com", {"flags": [{"name": "needs-treeclosure", "status": "X"}]})
    cycle_done()
    assert not Bug.objects.get().carries_flag


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "poison", "status": 400, "code": 100500},
        {"kind": "poison", "status": 500},
        {"kind": "bad_bug", "patch": {"status": None}},
        {"kind": "bad_bug", "patch": {"last_change_time": "yesterday"}},
        {"kind": "bad_bug", "patch": {"flags": {"not": "a list"}}},
        {"kind": "bad_bug", "patch": {"creation_time": "0001-01-01T00:00:00+14:00"}},
        {"kind": "bad_bug", "remove": ["groups"]},
        {"kind": "bad_bug", "remove": ["is_open"]},
    ],
)
def test_one_poison_bug_is_set_aside_alone(bugzilla, fault):
    bugs = [file(bugzilla, f"Loan {number}", status="RESOLVED", resolution="FIXED") for number in range(30)]
    poison = bugs[17]
    bugzilla.faults.add(Fault(bug_id=poison, match=r"id=|/rest/bug/\d", **fault))
    cycle_done(read=29, quarantined=1)
    assert set(Bug.objects.values_list("pk", flat=True)) == set(bugs) - {poison}
    assert Quarantine.objects.get().bug_id == poison
    assert poll.current_source().watermark


def test_a_bug_in_quarantine_is_tried_again_at_every_poll_until_it_can_be_read(bugzilla):
    poison = file(bugzilla)
    bugzilla.faults.add(Fault("bad_bug", bug_id=poison, remove=["groups"], match=r"id=|/rest/bug/\d"))
    cycle_done(quarantined=1)
    cycle_done(quarantined=1)
    assert Quarantine.objects.get().tries == 2
    bugzilla.faults.clear()
    cycle_done(quarantined=0, read=1)
    assert not Quarantine.objects.exists()


def test_a_bug_that_the_database_refuses_is_set_aside_alone(bugzilla, monkeypatch):
    bugs = [file(bugzilla, f"Loan {number}") for number in range(5)]
    write = mirror._write

    def refusing(rows, words, reading):
        write(rows, words, reading)
        if bugs[2] in [row.pk for row in rows]:
            raise ValueError("A string literal cannot contain NUL (0x00) characters.")

    monkeypatch.setattr(mirror, "_write", refusing)
    cycle_done(read=4, quarantined=1)
    assert set(Bug.objects.values_list("pk", flat=True)) == set(bugs) - {bugs[2]}


def test_hostile_text_is_cleaned_and_never_stops_a_cycle(bugzilla):
    hostile = {"summary": "nul \x00 bell \x07 surrogate \ud800 turned \u202e", "whiteboard": "w" * 200_000}
    bugzilla.faults.add(Fault("bad_bug", bug_id=file(bugzilla), patch=hostile))
    bugzilla.faults.add(Fault("bad_bug", bug_id=file(bugzilla), patch={"summary": "x" * 200_000}))
    cycle_done(read=2, quarantined=0)
    summaries = set(BugText.objects.values_list("summary", flat=True))
    assert "nul \ufffd bell \ufffd surrogate \ufffd turned [U+202E]" in summaries


@pytest.mark.parametrize(
    "fault",
    [
        Fault("html"),
        Fault("empty"),
        Fault("status", status=500, body="Internal Server Error"),
        Fault("redirect", status=302, location="/maintenance"),
        Fault("cut", after_bytes=10),
    ],
)
def test_a_cycle_that_fails_says_why_keeps_everything_and_leaves_the_watermark(bugzilla, fault):
    file(bugzilla)
    cycle_done()
    before = poll.current_source().watermark
    bugzilla.faults.add(fault)
    cycle_failed()
    assert poll.current_source().watermark == before
    assert BugText.objects.exists()
    bugzilla.faults.clear()
    cycle_done()


def test_a_server_that_falls_over_in_the_middle_is_read_again_from_the_old_watermark(bugzilla):
    bugs = [file(bugzilla, f"Loan {number}", status="RESOLVED", resolution="FIXED") for number in range(260)]
    later = "|".join(map(str, bugs[200:]))
    bugzilla.faults.add(Fault("status", match=rf"(?:[?&]id=|/rest/bug/)(?:{later})\b", status=500, body="down"))
    assert "could not be read" in cycle_failed().problem
    assert Bug.objects.count() == 200
    assert poll.current_source().watermark is None
    bugzilla.faults.clear()
    cycle_done(read=260)


def test_more_results_than_the_server_gives_at_once_are_all_read(bugzilla):
    for _ in range(70):
        file(bugzilla, status="RESOLVED", resolution="FIXED")
    bugzilla.max_search_results = 50
    cycle_done(read=70)


def test_a_bulk_answer_that_is_cut_without_a_mark_is_asked_for_together_again(bugzilla):
    for _ in range(130):
        file(bugzilla, status="RESOLVED", resolution="FIXED")
    bugzilla.max_search_results = 50
    cycle = cycle_done(read=130)
    assert cycle.requests < 20


def test_a_bad_key_is_called_at_most_twice_in_ten_minutes(bugzilla, settings):
    settings.BUGZILLA_API_KEY = "wrong" * 8
    for _ in range(10):
        assert "BUGZILLA_API_KEY" in cycle_failed().problem
        clock.move(timedelta(minutes=1))
    assert len(bugzilla.requests) <= 2


def test_after_a_bad_key_one_probe_goes_out_after_65_minutes_and_the_block_doubles(bugzilla, settings):
    settings.BUGZILLA_API_KEY = "wrong" * 8
    cycle_failed()
    asked = len(bugzilla.requests)
    clock.move(timedelta(minutes=64))
    cycle_failed()
    assert len(bugzilla.requests) == asked
    clock.move(timedelta(minutes=2))
    cycle_failed()
    assert len(bugzilla.requests) == asked + 1
    clock.move(timedelta(minutes=129))
    cycle_failed()
    assert len(bugzilla.requests) == asked + 1
    clock.move(timedelta(minutes=2))
    cycle_failed()
    assert len(bugzilla.requests) == asked + 2


def test_a_changed_key_closes_the_breaker_at_once(bugzilla, settings):
    settings.BUGZILLA_API_KEY = "wrong" * 8
    cycle_failed()
    settings.BUGZILLA_API_KEY = BOT_KEY
    cycle_done()


def test_a_rate_limit_blocks_every_caller_and_a_probe_that_is_answered_ends_it(bugzilla):
    cycle_done()
    bugzilla.faults.add(Fault("status", status=429, body="<h1>slow down</h1>", content_type="text/html"))
    cycle_failed()
    asked = len(bugzilla.requests)
    assert "not asked again before" in cycle_failed().problem
    assert len(bugzilla.requests) == asked
    bugzilla.faults.clear()
    clock.move(timedelta(minutes=66))
    cycle_done()
    cycle_done()


def test_without_a_key_nothing_is_asked(bugzilla, settings):
    settings.BUGZILLA_API_KEY = ""
    assert "BUGZILLA_API_KEY is not set" in cycle_failed().problem
    assert not bugzilla.requests
    settings.BUGZILLA_API_KEY = BOT_KEY
    cycle_done()


def test_the_sign_in_is_proven_once_a_day(bugzilla):
    def proofs():
        return [call.path for call in bugzilla.requests].count("/rest/whoami")

    cycle_done()
    cycle_done()
    assert proofs() == 1
    clock.move(timedelta(hours=25))
    cycle_done()
    assert proofs() == 2


def test_a_component_or_flag_that_bugzilla_does_not_have_is_said(bugzilla, settings):
    settings.CIDUTY_COMPONENTS = (("Infrastructure & Operations", "CIDutty"),)
    settings.CIDUTY_TREECLOSURE_FLAG = "needs-treclosure"
    cycle_done()
    from ciduty.bugzilla.breaker import current_connection

    told = " ".join(current_connection().warnings)
    assert "CIDutty" in told and "needs-treclosure" in told


def test_components_that_all_do_not_exist_fail_the_cycle(bugzilla, settings):
    settings.CIDUTY_COMPONENTS = settings.CIDUTY_LOANER_COMPONENTS = (("Nowhere", "Nothing"),)
    assert "CIDUTY_COMPONENTS" in cycle_failed().problem


def test_a_wider_scope_is_read_from_its_beginning(bugzilla, settings):
    old = file(bugzilla, **{"product": "Taskcluster", "component": "Operations and Service Requests"})
    cycle_done(read=0)
    settings.CIDUTY_COMPONENTS = (*settings.CIDUTY_COMPONENTS, ("Taskcluster", "Operations and Service Requests"))
    cycle_done(read=1)
    assert Bug.objects.get().pk == old


def test_only_one_process_polls_at_a_time(bugzilla):
    held = leases.take("poll bugzilla", timedelta(minutes=2))
    assert poll.poll() is None
    held.release()
    cycle_done()


def test_a_cycle_that_slept_past_its_lease_writes_no_watermark(bugzilla, monkeypatch):
    cycle_done()
    before = poll.current_source().watermark

    def lose(self):
        raise leases.LeaseLost("taken over")

    monkeypatch.setattr(leases.Held, "renew", lose)
    with pytest.raises(leases.LeaseLost):
        poll.poll()
    assert poll.current_source().watermark == before


def test_a_poll_is_due_after_its_period_or_when_somebody_wants_it(bugzilla, settings):
    settings.BUGZILLA_POLL_SECONDS = 300
    assert poll.poll_if_due()
    assert poll.poll_if_due() is None
    poll.want_sync()
    assert poll.poll_if_due()
    assert poll.poll_if_due() is None
    clock.move(timedelta(seconds=299))
    assert poll.poll_if_due() is None
    clock.move(timedelta(seconds=2))
    assert poll.poll_if_due(late_by=timedelta(minutes=1)) is None
    assert poll.poll_if_due()


def test_old_cycles_are_forgotten(bugzilla):
    cycle_done()
    clock.move(timedelta(days=3))
    cycle_done()
    assert Cycle.objects.count() == 1


def test_a_conversation_is_kept_as_who_and_when(bugzilla):
    bug = file(bugzilla)
    bugzilla.world.comment(bug, "duty@example.com", "CANARY words", at=LONG_AGO + timedelta(hours=1))
    bugzilla.world.update(
        bug,
        "sheriff@example.com",
        {"flags": [{"name": "needinfo", "status": "?", "requestee": "developer@example.com"}]},
    )
    cycle_done()
    told = list(BugEvent.objects.values_list("kind", "by", "asks_requester"))
    assert ("comment", "duty@example.com", False) in told
    assert ("needinfo set", "sheriff@example.com", True) in told


def test_a_conversation_that_cannot_be_read_sets_only_its_bug_aside(bugzilla):
    first, second = file(bugzilla), file(bugzilla)
    for bug in (first, second):
        bugzilla.world.comment(bug, "duty@example.com", "Taking it.", at=LONG_AGO + timedelta(hours=1))
    bugzilla.faults.add(Fault("status", match=f"/rest/bug/{first}/comment", status=500, body="broken"))
    cycle_done(quarantined=1)
    assert set(BugEvent.objects.values_list("bug_id", flat=True)) == {second}
    assert Quarantine.objects.get().bug_id == first
