"""The rules of asking and reviewing by their number (domain.md, chapter 2): R1 to R6, R15, R17, R18, R35, trap c."""

import importlib
import re
from datetime import UTC, datetime, timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Bug, TrackedId, Visibility
from ciduty.outbox import changes, delivery
from ciduty.outbox.models import BugUpdate
from ciduty.people.roles import Role
from ciduty.states import NotAllowed
from ciduty.systems.models import System
from downtimes import flag_writes, requesting, review, review_rows
from downtimes.models import Nomination
from downtimes.rules import NominationState
from tests.cast import BugFactory, BugTextFactory, DowntimeFactory, NominationFactory, cycle_done, file

pytestmark = pytest.mark.django_db

FLAG = "needs-treeclosure"
ASK, QUEUE = "/downtimes/request/", "/downtimes/review/"
START = datetime(2026, 12, 1, 8, tzinfo=UTC)
#: Name -> what it serves, as the catalogue begins.
SYSTEMS_OF_OLD = importlib.import_module("ciduty.systems.migrations.0002_systems_of_old").SYSTEMS


def form(client, **other):
    key = re.search(r'name="key" value="([0-9a-f]{16})"', client.get(ASK).content.decode())[1]
    return {
        "key": key, "system": "hg.mozilla.org", "bug": "1400500", "public_text": "New firmware.", "steps": "Load it.",
        "minutes": "40", "rollback": "Load the old one.", "rollback_minutes": "20", "urgency": "routine",
    } | other  # fmt: skip


def ask(client, **other):
    return client.post(ASK, form(client, **other))


def text(response):
    return re.sub(r"\s+", " ", response.content.decode())


def page_of(client, nomination):
    return text(client.get(f"{ASK}{nomination.pk}/"))


def deliver():
    return dict(delivery.deliver(delivery.BUGS))


def work(bugzilla, **fields):
    number = bugzilla.world.db.execute("SELECT count(*) FROM bugs").fetchone()[0] + 1_400_600
    where = {"component": "RelOps: Hardware", "creator": "scheduler@example.com", "id": number}
    return file(bugzilla, "Firmware of the switches", **where | fields)


def flagged(**fields):
    """Return a nomination whose bug carries the flag, as the mirror read it."""
    nomination = NominationFactory(**fields)
    flag = {"id": 7, "name": FLAG, "status": "?", "set_at": "2026-03-03T09:00:00+00:00"}
    Bug.objects.filter(pk=nomination.bug_id).update(flags=[flag], carries_flag=True)
    return nomination


def later_poll():
    clock.move(timedelta(minutes=1))
    cycle_done()


@pytest.fixture
def it(clients):
    return clients[Role.SCHEDULER]


@pytest.fixture
def queue(clients):
    return clients[Role.DUTY]


# --- R1: every tree-closing downtime goes through CiDuty --------------------------------------------------------------


@pytest.mark.parametrize("system", [*(name for name, _ in SYSTEMS_OF_OLD), "a system that nobody has heard of"])
def test_r1_any_system_can_be_asked_for_and_comes_to_ciduty(it, queue, system):
    ask(it, system=system)
    assert Nomination.objects.get().system == system
    assert system in text(queue.get(QUEUE))


def test_r1_a_request_without_a_system_is_refused(it):
    assert ask(it, system="").status_code == 422
    assert not Nomination.objects.exists()


# --- R35: what needs a coordinated downtime is suggested; any other system may be typed -------------------------------


def suggested(client):
    offered = re.search(r'<datalist id="systems">(.*?)</datalist>', client.get(ASK).content.decode())[1]
    return re.findall(r'<option value="([^"]+)">([^<]*)</option>', offered)


def test_r35_the_16_systems_of_old_are_suggested_with_what_they_serve(it):
    assert len(SYSTEMS_OF_OLD) == 16
    assert sorted(suggested(it)) == sorted(SYSTEMS_OF_OLD)


def test_r35_what_a_lead_marks_in_the_catalogue_is_suggested_and_what_is_not_is_not(it):
    System.objects.create(slug="signers", title="macOS signers", serves="signing", needs_coordination=True)
    System.objects.create(slug="wiki", title="The wiki", serves="reading")
    System.objects.filter(slug="cvs-mozilla-org").update(is_active=False)
    System.objects.filter(slug="hg-mozilla-org").update(needs_coordination=False)
    now = {name for name, _ in suggested(it)}
    assert now == {name for name, _ in SYSTEMS_OF_OLD} - {"cvs.mozilla.org", "hg.mozilla.org"} | {"macOS signers"}


# --- R2: by the flag --------------------------------------------------------------------------------------------------


def test_r2_a_flag_set_in_bugzilla_is_in_the_queue_within_one_poll_with_its_age(bugzilla, queue):
    bug = work(bugzilla)
    bugzilla.world.update(
        bug, "scheduler@example.com", {"flags": [{"name": FLAG, "status": "?"}]}, at=clock.now() - timedelta(days=5)
    )
    assert str(bug) not in text(queue.get(QUEUE))
    cycle_done()
    words = text(queue.get(QUEUE))
    assert str(bug) in words
    assert "5 d ago" in words
    assert "scheduler" in words


def test_r2_who_asks_here_has_the_flag_set_for_them(bugzilla, it):
    bug = work(bugzilla)
    ask(it, bug=str(bug))
    deliver()
    [flag] = bugzilla.world.bug(bug)["flags"]
    assert (flag["name"], flag["status"]) == (FLAG, "?")


# --- R3: the exact wording --------------------------------------------------------------------------------------------


def test_r3_a_nomination_without_its_wording_is_highlighted(queue):
    flagged(public_text="")
    words = text(queue.get(QUEUE))
    assert "Nobody has written it: ask for it." in words
    assert '<tr class="soon"' in words


def test_r3_a_nomination_with_its_wording_shows_it_and_is_not_highlighted(queue):
    flagged(public_text="New firmware for the switches.")
    words = text(queue.get(QUEUE))
    assert "New firmware for the switches." in words
    assert "Nobody has written it" not in words
    assert '<tr class="soon"' not in words


def test_r3_the_wording_is_put_into_the_bug_word_for_word(bugzilla, it):
    bug = work(bugzilla)
    wording = "Two lines,\nexactly  as they are."
    ask(it, bug=str(bug), public_text=wording)
    deliver()
    rows = bugzilla.world.db.execute("SELECT text FROM comments WHERE bug_id = ? ORDER BY id", [bug]).fetchall()
    assert wording in rows[-1][0]


def test_r3_asking_without_the_wording_is_refused(it):
    assert ask(it, public_text=" ").status_code == 422
    assert not Nomination.objects.exists()


# --- R4: components and flag are configuration ------------------------------------------------------------------------


def test_r4_the_flag_of_the_settings_is_the_one_that_is_looked_for_and_set(bugzilla, it, settings):
    settings.CIDUTY_TREECLOSURE_FLAG = "needinfo"
    bug = work(bugzilla)
    ask(it, bug=str(bug))
    deliver()
    assert [flag["name"] for flag in bugzilla.world.bug(bug)["flags"]] == ["needinfo"]
    theirs = work(bugzilla, flags=[{"name": FLAG, "status": "?"}])
    cycle_done()
    assert not Nomination.objects.filter(bug_id=theirs).exists()


def test_r4_a_bug_is_filed_in_a_component_of_the_settings_and_in_no_other(it, settings):
    settings.CIDUTY_COMPONENTS = (("Release Engineering", "General"), ("A", "B"))
    page = text(it.get(ASK))
    assert "Release Engineering :: General" in page
    fields = {"bug": "", "file_one": "on", "summary": "Firmware"}
    assert ask(it, **fields, component="Infrastructure & Operations :: CIDuty").status_code == 422
    ask(it, **fields, component="A :: B")
    new = BugUpdate.objects.get().wants["new"]
    assert (new["product"], new["component"]) == ("A", "B")


# --- R5: bugs that ciduty cannot see ----------------------------------------------------------------------------------


def test_r5_a_bug_that_ciduty_cannot_see_is_taken_by_its_number_with_the_ready_made_request(bugzilla, it, queue):
    bug = work(bugzilla, groups=["infra"])
    cycle_done()
    ask(it, bug=str(bug))
    nomination = Nomination.objects.get()
    assert "Moco specific" not in page_of(it, nomination), "nobody has looked yet"
    deliver()
    later_poll()
    assert not Bug.objects.filter(pk=bug).exists()
    words = page_of(it, nomination)
    assert "cannot see" in words
    assert "“infra only” to “Moco specific”" in words
    assert str(bug) in words
    assert "CiDuty cannot see this bug" in text(queue.get(QUEUE))


def test_r5_a_bug_that_is_known_to_be_hidden_is_not_written_to(it):
    bug = BugFactory(visibility=Visibility.RESTRICTED, not_visible_since=clock.now(), is_loaner_request=False)
    preview = text(it.post(ASK, form(it, bug=str(bug.pk)) | {"preview": "1"}))
    assert "nothing will be written to bug" in preview
    ask(it, bug=str(bug.pk))
    assert not BugUpdate.objects.exists()
    words = page_of(it, Nomination.objects.get())
    assert "Moco specific" in words
    assert "Bugzilla was told nothing" in words


def test_r5_a_bug_that_becomes_visible_loses_the_request(bugzilla, it, people, settings):
    bug = work(bugzilla, groups=["infra"])
    ask(it, bug=str(bug))
    deliver()
    later_poll()
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"remove": ["infra"], "add": ["moco-specific"]}})
    later_poll()
    words = page_of(it, Nomination.objects.get())
    assert Bug.objects.get(pk=bug).visibility == Visibility.STAFF
    assert "Moco specific" not in words


def test_r5_a_bug_that_was_known_to_be_hidden_gets_its_flag_once_it_is_seen(bugzilla, it):
    bug = work(bugzilla)
    TrackedId.objects.create(bug_id=bug, why="a test")
    cycle_done()
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"add": ["infra"]}})
    later_poll()
    ask(it, bug=str(bug))
    assert not BugUpdate.objects.exists()
    bugzilla.world.update(bug, "scheduler@example.com", {"groups": {"remove": ["infra"]}})
    later_poll()
    later_poll()
    assert deliver() == {"sent": 1}
    assert [flag["status"] for flag in bugzilla.world.bug(bug)["flags"]] == ["?"]


def test_r5_a_bug_that_everybody_sees_needs_no_request(bugzilla, it):
    bug = work(bugzilla)
    ask(it, bug=str(bug))
    deliver()
    later_poll()
    assert "Moco specific" not in page_of(it, Nomination.objects.get())


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_r5_of_a_bug_that_they_may_not_read_people_learn_no_more_than_its_number(it, queue, visibility):
    nomination = flagged()
    closed = {"visibility": visibility, "is_open": False}
    Bug.objects.filter(pk=nomination.bug_id).update(**closed)
    for part in ("Bugzilla says of the flag", "The bug is closed"):
        assert part not in page_of(it, nomination)
        assert part in page_of(queue, nomination)
    Bug.objects.filter(pk=nomination.bug_id).update(visibility=Visibility.PUBLIC)
    assert "Bugzilla says of the flag" in page_of(it, nomination)


@pytest.mark.parametrize("role", [Role.SCHEDULER, Role.MANAGER, Role.DUTY, Role.LEAD])
def test_r5_no_word_of_a_restricted_bug_stands_on_any_of_its_pages(clients, role):
    words = {"summary": "CANARY", "whiteboard": "CANARY", "alias": "CANARY", "assignee": "CANARY", "creator": "CANARY"}
    text_of = BugTextFactory(bug__visibility=Visibility.RESTRICTED, bug__is_loaner_request=False, **words)
    nomination = NominationFactory(bug_id=text_of.bug_id)
    paths = [ASK, QUEUE, f"{ASK}{nomination.pk}/"]
    paths += [f"{QUEUE}{nomination.pk}/{verb}/" for verb in ("accept", "defer", "decline")]
    for path in paths:
        response = clients[role].get(path)
        assert "CANARY" not in response.content.decode()
        assert "CANARY" not in str(response.headers)


# --- R6: a bug that stands in -----------------------------------------------------------------------------------------


def test_r6_a_bug_that_stands_in_names_the_other_and_reminds_to_keep_both_in_step(bugzilla, it, queue):
    ask(it, bug="", file_one="on", summary="Firmware", stands_in_for="1400999")
    nomination = Nomination.objects.get()
    assert TrackedId.objects.get().bug_id == 1_400_999
    assert nomination.stands_in_for == 1_400_999
    deliver()
    words = page_of(it, nomination)
    assert f"Bug {Nomination.objects.get().bug_id} stands in for bug" in words
    assert "1400999" in words
    assert "keep both in step" in words
    assert "It stands in for bug 1400999: both must be kept in step." in text(queue.get(QUEUE))
    description = BugUpdate.objects.get().wants["new"]["description"]
    assert "It stands in for bug 1400999" in description


def test_r6_the_page_of_a_hidden_bug_offers_to_file_one_that_stands_in(it):
    bug = BugFactory(visibility=Visibility.RESTRICTED, not_visible_since=clock.now(), is_loaner_request=False)
    nomination = NominationFactory(bug_id=bug.pk)
    assert f"{ASK}?stands_in_for={bug.pk}" in page_of(it, nomination)
    assert f'value="{bug.pk}"' in text(it.get(f"{ASK}?stands_in_for={bug.pk}"))


def test_r6_the_restricted_one_is_followed_so_that_a_change_shows_to_ciduty(it, queue):
    ask(it, stands_in_for="1400999")
    assert set(TrackedId.objects.values_list("bug_id", flat=True)) == {1_400_500, 1_400_999}
    text_of = BugTextFactory(bug__id=1_400_999, bug__visibility=Visibility.RESTRICTED, summary="CANARY")
    BugFactory(id=1_400_500)
    words = page_of(queue, Nomination.objects.get())
    assert f"Bug {text_of.bug_id} changed last" in words
    assert "CANARY" not in words
    assert "changed last" not in page_of(it, Nomination.objects.get())


def test_r6_a_bug_that_stands_in_for_nothing_says_nothing_of_it(it):
    ask(it)
    assert "stands in" not in page_of(it, Nomination.objects.get())


# --- R15: every nomination is reviewed --------------------------------------------------------------------------------


def test_r15_every_flag_of_any_product_stands_in_the_queue_until_it_is_decided(bugzilla, queue, duty):
    places = [
        ("mozilla.org", "Server Operations"),
        ("Release Engineering", "General"),
        ("Infrastructure & Operations", "RelOps: Hardware"),
    ]
    bugs = [
        work(bugzilla, product=product, component=component, flags=[{"name": FLAG, "status": "?"}])
        for product, component in places
    ]
    cycle_done()
    assert all(str(bug) in text(queue.get(QUEUE)) for bug in bugs)
    accepted, declined, deferred = (Nomination.objects.get(bug_id=bug) for bug in bugs)
    review.accept(accepted, by=duty, title="Network", op="11111111")
    review.decline(declined, by=duty, because="No.", op="22222222")
    review.defer(deferred, by=duty, until=(clock.now() + timedelta(days=3)).date(), because="Later.", op="33333333")
    rows = text(queue.get(QUEUE))
    assert not any(str(bug) in rows for bug in bugs)


@pytest.mark.parametrize("because", ["", "  "])
def test_r15_a_refusal_or_deferral_without_a_reason_is_refused(duty, because):
    nomination = NominationFactory()
    with pytest.raises(NotAllowed, match="Say why"):
        review.decline(nomination, by=duty, because=because, op="0123abcd")
    with pytest.raises(NotAllowed, match="Say why"):
        review.defer(
            nomination, by=duty, until=(clock.now() + timedelta(days=3)).date(), because=because, op="0123abcd"
        )
    assert not BugUpdate.objects.exists()


def test_r15_whoever_asked_reads_the_decision_with_its_reason(it, duty):
    nomination = NominationFactory()
    review.decline(nomination, by=duty, because="It needs no closure.", op="0123abcd")
    words = page_of(it, nomination)
    assert "Declined" in words
    assert "It needs no closure." in words
    assert "It needs no closure." in BugUpdate.objects.get().wants["comment"]


def test_r15_a_deferral_says_its_day_in_the_bug_and_leaves_the_flag(duty):
    day = (clock.now() + timedelta(days=3)).date()
    review.defer(NominationFactory(), by=duty, until=day, because="After the release.", op="0123abcd")
    wants = BugUpdate.objects.get().wants
    assert set(wants) == {"comment"}
    assert f"looked at again on {day}" in wants["comment"]


# --- R17: the flag of the decision ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "status"), [("accept", "+"), ("decline", "-")])
def test_r17_a_decision_sets_its_flag_with_one_write(bugzilla, duty, verb, status):
    bug = work(bugzilla, flags=[{"name": FLAG, "status": "?"}])
    cycle_done()
    nomination = Nomination.objects.get()
    if verb == "accept":
        review.accept(nomination, by=duty, title="Network", op="0123abcd")
    else:
        review.decline(nomination, by=duty, because="No.", op="0123abcd")
    assert deliver() == {"sent": 1}
    [flag] = bugzilla.world.bug(bug)["flags"]
    assert flag["status"] == status
    assert Nomination.objects.get().flag_wanted == status


def test_r17_a_flag_that_somebody_else_set_meanwhile_is_not_written_over(bugzilla, duty):
    bug = work(bugzilla, flags=[{"name": FLAG, "status": "?"}])
    cycle_done()
    review.accept(Nomination.objects.get(), by=duty, title="Network", op="0123abcd")
    bugzilla.world.update(bug, "sheriff@example.com", {"flags": [{"name": FLAG, "status": "-"}]})
    assert deliver() == {"parked": 1}
    [flag] = bugzilla.world.bug(bug)["flags"]
    assert flag["status"] == "-"


# --- R18: the proposed time in the whiteboard -------------------------------------------------------------------------


def accepted_into(start, duty, bugzilla, whiteboard=""):
    bug = work(bugzilla, flags=[{"name": FLAG, "status": "?"}], whiteboard=whiteboard)
    cycle_done()
    window = DowntimeFactory(starts_at=start)
    review.accept(Nomination.objects.get(), by=duty, downtime=window, op="0123abcd")
    deliver()
    return bug


def test_r18_the_proposed_time_stands_in_the_whiteboard_as_our_own_token(bugzilla, duty):
    bug = accepted_into(START, duty, bugzilla, "[theirs] [downtime]")
    board = bugzilla.world.bug(bug)["whiteboard"]
    assert board == "[theirs] [downtime][downtime 2026-12-01T08:00Z 0123abcd]", "what others wrote stays as it is"


def test_r18_the_comment_tells_the_time_in_three_zones(bugzilla, duty):
    accepted_into(START, duty, bugzilla)
    comment = BugUpdate.objects.get().wants["comment"]
    for part in ("2026-12-01 08:00 UTC", "01 Dec 10:00 EET", "01 Dec 00:00 PST"):
        assert part in comment


def test_r18_a_window_without_a_time_writes_no_token(bugzilla, duty):
    bug = accepted_into(None, duty, bugzilla, "[theirs]")
    assert bugzilla.world.bug(bug)["whiteboard"] == "[theirs]"


def test_r18_a_moved_window_replaces_our_token_and_no_other(bugzilla, duty):
    bug = accepted_into(START, duty, bugzilla, "[theirs]")
    moved = START + timedelta(days=1)
    nomination = Nomination.objects.get()
    flag_writes.tell(nomination, "reschedule", by=duty, op="abcd0123", starts_at=moved, comment="Moved by a day.")
    deliver()
    assert bugzilla.world.bug(bug)["whiteboard"] == "[theirs][downtime 2026-12-02T08:00Z abcd0123]"
    [flag] = bugzilla.world.bug(bug)["flags"]
    assert flag["status"] == "+"


def test_r18_a_window_that_gets_its_time_later_tells_its_bugs_once(bugzilla, duty):
    bug = accepted_into(None, duty, bugzilla)
    window = Nomination.objects.get().items.get().downtime
    assert flag_writes.tell_time(window, by=duty) == [], "there is nothing to tell yet"
    window.starts_at = START
    [row] = flag_writes.tell_time(window, by=duty)
    assert flag_writes.tell_time(window, by=duty) == []
    assert deliver() == {"sent": 1}
    assert bugzilla.world.bug(bug)["whiteboard"] == f"[downtime 2026-12-01T08:00Z {row.op}]"
    assert "2026-12-01 08:00 UTC" in row.wants["comment"]


def test_r18_a_window_that_loses_its_time_takes_the_token_away(bugzilla, duty):
    bug = accepted_into(START, duty, bugzilla, "[theirs]")
    window = Nomination.objects.get().items.get().downtime
    window.starts_at = None
    [row] = flag_writes.tell_time(window, by=duty)
    deliver()
    assert bugzilla.world.bug(bug)["whiteboard"] == "[theirs]"
    assert "not set any more" in row.wants["comment"]


def test_r18_of_two_moves_before_bugzilla_heard_of_any_the_last_alone_is_told(bugzilla, duty):
    accepted_into(START, duty, bugzilla)
    window = Nomination.objects.get().items.get().downtime
    rows = []
    for days in (1, 2):
        window.starts_at = START + timedelta(days=days)
        rows += flag_writes.tell_time(window, by=duty)
    assert deliver() == {"cancelled": 1, "sent": 1}
    assert "2026-12-03T08:00Z" in bugzilla.world.bug(Nomination.objects.get().bug_id)["whiteboard"]


def test_r18_a_bug_that_ciduty_cannot_see_is_told_no_time(duty):
    bug = BugFactory(visibility=Visibility.RESTRICTED, not_visible_since=clock.now(), is_loaner_request=False)
    nomination = NominationFactory(bug_id=bug.pk, state=NominationState.ACCEPTED)
    window = DowntimeFactory(starts_at=START)
    window.items.create(nomination=nomination, bug_id=bug.pk, position=1)
    assert flag_writes.tell_time(window, by=duty) == []


def test_r18_what_is_taken_out_of_its_window_loses_the_token_and_is_asked_for_again(bugzilla, duty):
    bug = accepted_into(START, duty, bugzilla, "[theirs]")
    later_poll()
    nomination = Nomination.objects.get()
    Nomination.objects.filter(pk=nomination.pk).update(state=NominationState.REQUESTED, flag_wanted="")
    flag_writes.tell(nomination, "take out", by=duty, op="abcd0123")
    assert deliver() == {"sent": 1}
    there = bugzilla.world.bug(bug)
    assert there["whiteboard"] == "[theirs]"
    assert [flag["status"] for flag in there["flags"]] == ["?"]


@pytest.mark.parametrize("hour", [0, 8, 23])
def test_r18_the_token_is_in_utc_whatever_the_zone_of_the_moment(hour):
    at = datetime(2026, 7, 1, hour, 30, tzinfo=UTC)
    elsewhere = at.astimezone(flag_writes.PACIFIC)
    assert flag_writes.token_words(elsewhere) == f"downtime 2026-07-01T{hour:02d}:30Z"
    changes.check({"token": flag_writes.token_words(elsewhere), "token_kind": flag_writes.TOKEN_KIND})


# --- trap c -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["needs-reconfig", "needinfo"])
def test_trap_c_needs_reconfig_on_the_same_bug_is_warned_about_and_nothing_else_is(queue, duty, name):
    flags = [{"id": 7, "name": FLAG, "status": "?"}, {"id": 8, "name": name, "status": "?"}]
    nomination = NominationFactory()
    Bug.objects.filter(pk=nomination.bug_id).update(flags=flags, carries_flag=True)
    [row] = review_rows.rows_for(duty, [nomination])
    assert bool(row.warnings) == (name == "needs-reconfig")


def test_a_token_of_a_form_is_nobody_elses(people):
    assert requesting.key_of(people[Role.DUTY], "0" * 16) != requesting.key_of(people[Role.LEAD], "0" * 16)
