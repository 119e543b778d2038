"""The notice says when, what and how long in words that anybody understands; its page shows it as it will be sent."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import as_sent, composing
from ciduty.outbox.models import Mail
from ciduty.people.models import Approver
from ciduty.people.roles import Role
from downtimes import notice, notice_letters, notice_times, notices, versions
from downtimes.models import Answer, Ask, Downtime, ListUse, NoticeVersion
from downtimes.rules import Asked, State
from tests.cast import BugTextFactory, DowntimeFactory, ItemFactory, MailingListFactory, every_row

pytestmark = pytest.mark.django_db

START = datetime(2026, 12, 1, 14, tzinfo=UTC)
PACIFIC = notice_times.PACIFIC
BUCHAREST = ZoneInfo("Europe/Bucharest")


def window(**fields):
    """Return a window with everything that a notice speaks of, without work."""
    fields = {"starts_at": START, "ends_at": START + timedelta(hours=2)} | fields
    return DowntimeFactory(**{"close": "hard", "trees": ["autoland", "mozilla-central"]} | fields)


def body(**fields):
    return notice.draft(window(**fields)).body


def composed(draft):
    """Return a draft as the mail of it reads."""
    made = composing.compose(
        to="dev-planning@example.com", subject=draft.subject, text=draft.body,
        message_id=composing.new_message_id(), in_reply_to="", at=START,
    )  # fmt: skip
    return made.subject, as_sent.read(made.message).text


# --- when -------------------------------------------------------------------------------------------------------------


def test_the_subject_says_when_in_pacific_time_and_what():
    assert notice.draft(window()).subject == "[Downtime] Tue 1 Dec 2026 06:00-08:00 PST: Switches in mdc1"


def test_the_window_stands_in_three_zones_with_their_abbreviations_and_its_length():
    assert (
        "* When\n\n"
        "  Tue 1 Dec 2026 14:00-16:00 UTC\n"
        "  Tue 1 Dec 2026 16:00-18:00 EET\n"
        "  Tue 1 Dec 2026 06:00-08:00 PST\n"
        "  It lasts 2 hours.\n"
    ) in body()


def test_a_desk_that_lives_in_utc_has_its_line_once(settings):
    settings.CIDUTY_CALENDAR = type(settings.CIDUTY_CALENDAR).parse("UTC", "09:00-17:00", "RO")
    assert body().count("UTC") == 1


@pytest.mark.parametrize(
    ("starts_at", "hours", "zone", "words"),
    [
        ("2026-12-01T14:00+00:00", 2, PACIFIC, "Tue 1 Dec 2026 06:00-08:00 PST"),
        ("2026-07-01T14:00+00:00", 2, PACIFIC, "Wed 1 Jul 2026 07:00-09:00 PDT"),
        ("2026-12-02T06:00+00:00", 4, PACIFIC, "Tue 1 Dec 2026 22:00 - Wed 2 Dec 2026 02:00 PST"),
        ("2026-12-31T22:00+00:00", 4, UTC, "Thu 31 Dec 2026 22:00 - Fri 1 Jan 2027 02:00 UTC"),
        # an hour twice, and an hour that is not there
        ("2026-11-01T07:30+00:00", 3, PACIFIC, "Sun 1 Nov 2026 00:30 PDT - 02:30 PST"),
        ("2026-11-01T08:30+00:00", 1, PACIFIC, "Sun 1 Nov 2026 01:30 PDT - 01:30 PST"),
        ("2027-03-14T09:30+00:00", 1, PACIFIC, "Sun 14 Mar 2027 01:30 PST - 03:30 PDT"),
        ("2026-10-24T20:00+00:00", 6, BUCHAREST, "Sat 24 Oct 2026 23:00 EEST - Sun 25 Oct 2026 04:00 EET"),
        ("2026-12-01T14:00+00:00", 2, ZoneInfo("Asia/Dubai"), "Tue 1 Dec 2026 18:00-20:00 UTC+04"),
    ],
)
def test_a_window_reads_right_in_every_zone(starts_at, hours, zone, words):
    starts_at = datetime.fromisoformat(starts_at)
    assert notice_times.span(starts_at, starts_at + timedelta(hours=hours), zone) == words


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(minutes=45), "45 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=1, minutes=1), "1 hour 1 minute"),
        (timedelta(hours=26, minutes=30), "26 hours 30 minutes"),
    ],
)
def test_how_long_it_lasts_is_said_in_real_hours(length, words):
    assert notice_times.length(START, START + length) == words


def test_a_draft_without_times_says_so_and_is_no_error():
    draft = notice.draft(window(starts_at=None, ends_at=None, close="", trees=[]))
    assert draft.subject == "[Downtime] (time not set yet): Switches in mdc1"
    assert "  (time not set yet)\n" in draft.body
    assert "(not chosen yet)" in draft.body
    assert "It lasts" not in draft.body


# --- what -------------------------------------------------------------------------------------------------------------


def folded(text):
    return " ".join(text.split())


def test_a_hard_close_says_that_the_named_trees_are_closed():
    text = folded(body())
    assert "Hard close: all the trees named here are closed" in text
    assert "Trees: autoland, mozilla-central" in text


def test_a_soft_close_says_that_autoland_is_closed_and_the_others_stay_open():
    text = folded(body(close="soft"))
    assert "Soft close: autoland is closed for the whole window. The other trees stay open" in text
    assert "Hard close" not in text


WRITTEN = {
    "what_stops": "* What will not work",
    "what_keeps_working": "* What keeps working",
    "effect_on_releases": "* Effect on releases",
    "how_to_object": "* How to object",
}


@pytest.mark.parametrize("field", WRITTEN)
def test_what_a_person_wrote_stands_under_its_heading(field):
    assert f"{WRITTEN[field]}\n\nFirst.\n\nSecond.\n" in body(**{field: "First.\n\nSecond.\n"})


@pytest.mark.parametrize("field", set(WRITTEN) - {"how_to_object"})
def test_a_heading_under_which_nothing_stands_is_left_out(field):
    assert WRITTEN[field] not in body(**{field: " \n"})


def test_how_to_object_is_said_even_if_nobody_wrote_it():
    assert "* How to object\n\nReply to this mail, or tell CiDuty in #ci, before" in body()
    assert "Reply to this mail" not in body(how_to_object="Write to duty.")


def test_an_emergency_prints_reason_and_manager(people):
    text = body(emergency_because="The disks are full.", emergency_by=people[Role.MANAGER])
    assert "* This is an emergency" in text
    assert "Reason: The disks are full.\nAgreed to by: manager\n" in text
    assert "24 hours" not in text


@pytest.mark.parametrize("half", ["reason", "manager"])
def test_half_an_emergency_is_none(people, half):
    whole = {"reason": {"emergency_because": "The disks are full."}, "manager": {"emergency_by": people[Role.MANAGER]}}
    assert "emergency" not in body(**whole[half], emergency_asked_by=people[Role.DUTY])


# --- the same words, clean words --------------------------------------------------------------------------------------


def test_the_same_window_gives_the_same_words(people):
    downtime = window(emergency_because="x", emergency_by=people[Role.MANAGER])
    ItemFactory(downtime=downtime)
    assert notice.draft(downtime) == notice.draft(Downtime.objects.get())


def test_no_line_is_longer_than_a_mail_shows_it():
    downtime = window(title="word " * 24, what_stops="word " * 200, trees=[f"tree-{number}" for number in range(50)])
    ItemFactory(downtime=downtime, public_text="word " * 100)
    assert max(map(len, notice.draft(downtime).body.split("\n"))) <= composing.WIDTH


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("safe\u202egpj.exe", "safe[U+202E]gpj.exe"),
        ("a\u2066b\u2069c", "a[U+2066]b[U+2069]c"),
        ("a\u200fb", "a[U+200F]b"),
        ("a\x1b[31mb", "a\ufffd[31mb"),
        ("a\0b", "a\ufffdb"),
        ("a\ud800b", "a\ufffdb"),
        ("a\u2028b", "a\n  b"),
        ("<b>&amp;{{ downtime.title }}", "<b>&amp;{{ downtime.title }}"),
    ],
)
def test_a_text_that_would_deceive_is_shown_for_what_it_is(typed, read):
    item = ItemFactory.build(downtime=window(), bug_id=BugTextFactory().pk, public_text=typed, confirmed_by=None)
    [said] = [said for said in [notice.SaidItem(item, notice._text_of(item, Visibility.PUBLIC))]]
    draft = notice.drafted(item.downtime, [said])
    assert f"- Bug {item.bug_id}: {read}\n" in draft.body
    assert composed(draft) == (draft.subject, draft.body + "\n")


def test_a_title_of_several_lines_cannot_add_a_header():
    draft = notice.draft(window(title="Switches\r\nBcc: all@example.com"))
    assert draft.subject.endswith(": Switches Bcc: all@example.com")
    assert composed(draft)[0] == draft.subject


def test_a_title_of_direction_marks_still_fits_into_a_subject():
    draft = notice.draft(window(title="\u202e" * 120))
    assert len(draft.subject) <= composing.LONGEST_SUBJECT
    assert composed(draft)[0] == draft.subject


@given(st.text(max_size=300), st.text(max_size=300))
@example_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_typed_the_mail_reads_as_the_draft(transactional_free_window, what_stops, text):
    downtime = transactional_free_window
    downtime.what_stops = what_stops
    item = ItemFactory.build(downtime=downtime, bug_id=1500123, public_text=text, confirmed_by=None)
    draft = notice.drafted(downtime, [notice.SaidItem(item, notice._text_of(item, Visibility.PUBLIC))])
    assert composed(draft) == (draft.subject, draft.body + "\n")


@pytest.fixture
def transactional_free_window():
    """A window that the examples change in memory alone."""
    return window()


# --- the page ---------------------------------------------------------------------------------------------------------

TYPED = {
    "title": "Switches in mdc1", "what_stops": "Pushes.", "what_keeps_working": "Try.", "effect_on_releases": "None.",
    "how_to_object": "", "policy": "no objection", "quorum": "2", "revision": "0",
}  # fmt: skip


@pytest.fixture
def page(clients):
    """Return the page of a window that duty looks at, after doing what is asked of it."""

    def look(downtime, typed=None, **headers):
        client, address = clients[Role.DUTY], f"/downtimes/{downtime.pk}/notice/"
        return client.get(address) if typed is None else client.post(address, TYPED | typed, headers=headers)

    return look


def text_of(response):
    return response.content.decode()


def test_the_page_shows_the_mail_as_it_will_be_sent(page):
    downtime = window()
    MailingListFactory(name="dev.planning", address="dev-planning@example.com")
    response = page(downtime)
    assert response.status_code == 200
    assert response.context["sheet"].text == composed(notice.draft(downtime))[1]
    assert "<dt>To</dt><dd>dev-planning@example.com</dd>" in text_of(response)
    assert "[Downtime] Tue 1 Dec 2026 06:00-08:00 PST: Switches in mdc1" in text_of(response)


def test_the_page_has_a_tab_for_every_list_group_and_those_who_are_asked(page):
    MailingListFactory(name="dev.planning")
    MailingListFactory(name="not used", is_used=False)
    MailingListFactory(name="release", use=ListUse.COPY)
    response = page(window(extra_groups=["it@example.com"]))
    labels = [letter.label for letter in response.context["letters"]]
    assert labels == ["dev.planning", "it@example.com", "Workers", "Pre-approvers", "release (copy)"]


def test_saving_keeps_the_words_and_says_who_changed_them(page, duty):
    downtime = window()
    response = page(downtime, {"what_stops": "Pushes\r\nand try."})
    assert (response.status_code, response.headers["Location"]) == (302, f"/downtimes/{downtime.pk}/notice/")
    downtime.refresh_from_db()
    assert (downtime.what_stops, downtime.revision) == ("Pushes\nand try.", 1)
    assert "The words are saved." in text_of(page(downtime))


def test_a_form_that_is_sent_twice_saves_once(page):
    downtime = window()
    for _ in range(2):
        assert page(downtime, {}).status_code == 302
    downtime.refresh_from_db()
    assert downtime.revision == 1


def test_somebody_who_saved_meanwhile_is_not_written_over_unasked(page):
    downtime = window()
    page(downtime, {"what_stops": "Theirs."})
    response = page(downtime, {"what_stops": "Mine."})
    assert response.status_code == 422
    assert "Somebody else changed this downtime" in text_of(response)
    assert "Mine." in text_of(response)
    downtime.refresh_from_db()
    assert downtime.what_stops == "Theirs."
    again = {"what_stops": "Mine.", "revision": response.context["form"]["revision"].value()}
    assert page(downtime, again).status_code == 302
    downtime.refresh_from_db()
    assert downtime.what_stops == "Mine."


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"title": " "}, "Write a title"),
        ({"title": "x" * 121}, "at most 120 characters"),
        ({"what_stops": "x" * 4001}, "at most 4000 characters"),
        ({"quorum": "0"}, "A quorum is one person at least."),
        ({"quorum": "100"}, "A quorum is 99 people at most."),
        ({"quorum": "many"}, "This is no number"),
        ({"policy": "never"}, "There is no such policy"),
        ({"revision": "x"}, "no longer whole"),
        ({"revision": ""}, "no longer whole"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(page, typed, sentence):
    downtime = window()
    response = page(downtime, {"effect_on_releases": "What I typed."} | typed)
    assert response.status_code == 422
    assert sentence in text_of(response)
    assert "What I typed." in text_of(response)
    downtime.refresh_from_db()
    assert downtime.revision == 0


def test_a_cancelled_downtime_keeps_its_words(page):
    downtime = window(state=State.CANCELLED)
    response = page(downtime, {})
    assert response.status_code == 422
    assert "nothing of it can be changed" in text_of(response)


def test_a_downtime_that_does_not_exist_is_no_such_page(clients):
    for number in (0, 2**31, 2**63, 10**40):
        assert clients[Role.DUTY].get(f"/downtimes/{number}/notice/").status_code == 404


def test_a_stranger_is_sent_to_sign_in_and_reads_nothing(stranger):
    downtime = window(title="Not for strangers")
    for response in (
        stranger.get(f"/downtimes/{downtime.pk}/notice/"),
        stranger.post(f"/downtimes/{downtime.pk}/notice/"),
    ):
        assert response.headers["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER])
def test_who_does_not_plan_downtimes_gets_no_draft(clients, role):
    assert clients[role].get(f"/downtimes/{window().pk}/notice/").status_code == 403


# --- the preview ------------------------------------------------------------------------------------------------------


def test_the_preview_shows_what_was_typed_and_saves_nothing(page):
    downtime = window()
    page(downtime)  # signs in
    before = every_row(leave_out=["django_session"])
    for headers in ({}, {"HX-Request": "true"}):
        response = page(downtime, {"preview": "", "what_stops": "Only typed."}, **headers)
        assert response.status_code == 200
        assert "Only typed." in response.context["sheet"].text
    assert every_row(leave_out=["django_session"]) == before


def test_a_script_gets_the_preview_alone(page):
    text = text_of(page(window(), {"preview": ""}, **{"HX-Request": "true"}))
    assert text.startswith("<h2>The mails, as they will be sent</h2>")
    assert "<form" not in text


def test_the_tab_that_is_asked_for_is_shown_and_stays(page):
    downtime = window()
    one = MailingListFactory(name="dev.planning")
    copy = MailingListFactory(name="release", use=ListUse.COPY)
    chosen = page(downtime, {"preview": f"list-{copy.pk}"})
    assert chosen.context["sheet"].letter.to == copy.address
    typing = page(downtime, {"preview": "", "shown": f"list-{copy.pk}"}, **{"HX-Request": "true"})
    assert typing.context["sheet"].letter.to == copy.address
    assert f'name="shown" value="list-{copy.pk}"' in text_of(typing)
    assert page(downtime, {"preview": "list-0"}).context["sheet"].letter.to == one.address


def test_what_is_not_in_order_is_left_out_of_the_preview_and_the_rest_is_shown(page):
    response = page(window(), {"preview": "", "title": "", "what_stops": "In order."}, **{"HX-Request": "true"})
    assert response.status_code == 200
    assert "What is not in order is left out" in text_of(response)
    assert "In order." in response.context["sheet"].text
    assert "Switches in mdc1" in response.context["sheet"].text


def test_the_preview_of_a_copy_says_that_it_is_a_draft_and_has_no_link_of_ours(page, settings, duty):
    """It reads word for word as the copy that really goes."""
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    downtime = window(what_stops="Pushes.", what_keeps_working="Try.", effect_on_releases="None.")
    copy = MailingListFactory(name="release", use=ListUse.COPY)
    shown = page(downtime, {"preview": f"list-{copy.pk}"}).context["sheet"]
    assert "copy of a draft" in shown.text
    assert settings.SITE_URL not in shown.text
    version = versions.freeze(downtime, by=duty, at=clock.now(), answers_until=START)
    mail = notices.copy(copy, version, by=duty)
    assert (shown.subject, shown.text) == (mail.subject, as_sent.read(mail.message).text)


@pytest.mark.parametrize("key", ["pre-approvers", "workers"])
def test_the_preview_of_a_question_holds_no_real_link_and_no_code(page, key):
    shown = page(window(), {"preview": key}).context["sheet"]
    assert notice_letters.THEIR_PAGE in shown.text
    assert notice_letters.THEIR_CODE in shown.text
    assert "/sign-off/" not in shown.text


MOMENT = re.compile(r"\w{3} \d+ \w{3} \d{4} \d\d:\d\d UTC \(.*?\)", re.DOTALL)


@pytest.mark.parametrize("title", ["Switches", "word " * 24])
@pytest.mark.parametrize(("key", "role"), [("workers", Asked.WORKER), ("pre-approvers", Asked.PRE_APPROVER)])
def test_the_preview_of_a_question_reads_as_the_mail_that_really_goes(page, settings, duty, key, role, title):
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    downtime = window(title=title, what_stops="Pushes.", what_keeps_working="Try.", effect_on_releases="None.")
    shown = page(downtime, {"preview": key, "title": title}).context["sheet"]
    somebody = Approver.objects.create(name="somebody", address="somebody@example.com")
    moments = {"asked_at": clock.now(), "expires_at": START}
    ask = Ask.objects.create(
        version=freeze(downtime), approver=somebody, role=role, token_sha256="x", code_sha256="x", **moments
    )
    mail = notices.question(ask, "token", "123456", by=duty)
    real = as_sent.read(mail.message).text
    real = real.replace(notices.sign_off_page("token"), notice_letters.THEIR_PAGE)
    real = real.replace("123456", notice_letters.THEIR_CODE)
    assert folded(MOMENT.sub("then", shown.text)) == folded(MOMENT.sub("then", real))
    assert shown.subject == mail.subject


def test_an_address_that_cannot_be_written_to_is_said_in_its_tab(page):
    response = page(window(extra_groups=["not an address"]), {"preview": "group-1"})
    assert "It cannot be sent:" in text_of(response)


def test_a_text_that_is_no_markup_is_shown_as_text(page):
    response = page(window(title="<script>alert(1)</script>", what_stops="</pre><img src=x>"))
    assert "<script>alert(1)" not in text_of(response)
    assert "</pre><img" not in text_of(response)


def test_no_word_of_a_restricted_bug_stands_on_the_page(page):
    downtime = window()
    words = {"summary": "canary-7f3a9c", "assignee": "canary-7f3a9c@example.com", "whiteboard": "canary-7f3a9c"}
    bug = BugTextFactory(bug__visibility=Visibility.RESTRICTED, bug__is_loaner_request=False, **words).bug
    ItemFactory(downtime=downtime, bug_id=bug.pk, public_text="Unconfirmed words.")
    text = text_of(page(downtime))
    assert f"Bug {bug.pk} {notice.TO_BE_CONFIRMED}" in text
    assert "canary" not in text
    assert "Unconfirmed words." not in text


# --- asking and versions ----------------------------------------------------------------------------------------------


def freeze(downtime, by=None):
    return versions.freeze(downtime, by=by or downtime.made_by, at=clock.now(), answers_until=START)


def answer(version, approver="pre-approver"):
    approver, _ = Approver.objects.get_or_create(name=approver, address=f"{approver}@example.com")
    Answer.objects.create(version=version, approver=approver, decision="approve", via="code", at=clock.now())


def a_sound_window(duty, **fields):
    """Return a window that stands before no gate, a week ahead."""
    starts_at = clock.now() + timedelta(days=7)
    times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(hours=2), "urgency": "soon"}
    downtime = window(**times | {"duty": duty, "duty_confirmed_at": clock.now()} | fields)
    item = ItemFactory(downtime=downtime, worker="worker@example.com")
    Bug.objects.get(pk=item.bug_id).text.__class__.objects.update(assignee="worker@example.com")
    MailingListFactory()
    return downtime


def test_the_workers_can_be_asked_once_nothing_stands_against_it(page, duty):
    downtime = a_sound_window(duty)
    text = text_of(page(downtime))
    assert f'action="/downtimes/{downtime.pk}/ask-workers/"' in text
    assert "The workers cannot be asked yet" not in text
    assert f'action="/downtimes/{downtime.pk}/ask-pre-approvers/"' not in text


def test_what_stands_against_asking_is_said_in_the_place_of_the_button(page, duty):
    downtime = a_sound_window(duty, urgency="")
    text = text_of(page(downtime))
    assert "Nobody said how urgent the work is: choose it." in text
    assert f'action="/downtimes/{downtime.pk}/ask-workers/"' not in text


def test_the_pre_approvers_can_be_asked_once_every_worker_agreed(page, lead, duty):
    downtime = a_sound_window(duty, state=State.AGREEING)
    version = freeze(downtime, lead)
    button = f'action="/downtimes/{downtime.pk}/ask-pre-approvers/"'
    worker = Approver.objects.create(name="worker", address="worker@example.com")
    Ask.objects.create(
        version=version, approver=worker, role=Asked.WORKER, token_sha256="x", code_sha256="x",
        asked_at=clock.now(), expires_at=downtime.starts_at,
    )  # fmt: skip
    assert button not in text_of(page(downtime))
    answer(version, "worker")
    assert button in text_of(page(downtime))
    Downtime.objects.update(state=State.DRAFT)
    assert button not in text_of(page(downtime))
    Downtime.objects.update(state=State.AGREEING, title="Changed since")
    assert button not in text_of(page(downtime))


def test_nobody_is_asked_about_a_cancelled_downtime(page, duty):
    text = text_of(page(a_sound_window(duty, state=State.CANCELLED)))
    assert "nobody is asked any more" in text
    assert "/ask-workers/" not in text


def test_a_page_without_versions_says_when_the_first_one_comes(page):
    assert "the first one is frozen when the workers are asked" in text_of(page(window()))


def test_a_version_shows_who_froze_it_and_that_it_is_what_would_be_sent(page, duty):
    downtime = window()
    freeze(downtime, duty)
    text = text_of(page(downtime))
    assert "Version 1, frozen by duty" in text
    assert "What would be sent now" in text
    assert "Changed since" not in text


def test_a_change_after_freezing_is_shown_against_the_version_that_people_answered(page):
    downtime = window(what_stops="Pushes.")
    answer(freeze(downtime))
    Downtime.objects.update(what_stops="Everything.")
    response = page(downtime)
    assert "What would be sent now is not what was frozen" in text_of(response)
    assert "<del>- Pushes.</del>" in text_of(response)
    assert "<ins>+ Everything.</ins>" in text_of(response)
    [since] = response.context["since"]
    assert (since.version.number, since.was_answered) == (1, True)


def test_a_version_is_compared_with_the_one_before_and_the_newest_that_people_answered(page):
    downtime = window()
    for number, words in enumerate(["one", "two", "three"], start=1):
        downtime.what_stops = words
        downtime.save()
        version = freeze(downtime)
        if number == 1:
            answer(version)
    response = page(downtime)
    newest, second, first = response.context["versions"]
    assert response.context["since"] == []
    assert [(since.version.number, since.was_answered) for since in newest.since] == [(2, False), (1, True)]
    assert [(since.version.number, since.was_answered) for since in second.since] == [(1, True)]
    assert first.since == []
    assert (newest.is_current, second.is_current, first.answers) == (True, False, 1)


def test_a_difference_shows_the_changes_with_some_lines_around_them_and_says_where_it_leaves_lines_out(page):
    downtime = window(what_stops="Pushes.")
    freeze(downtime)
    Downtime.objects.update(what_stops="Everything.")
    [since] = page(downtime).context["since"]
    assert [line.text for line in since.lines] == [
        "…", "* What will not work", "", "Pushes.", "Everything.", "", "* How to object", "…"
    ]  # fmt: skip


def test_a_difference_beside_the_text_is_said_in_words(page):
    downtime = window()
    freeze(downtime)
    MailingListFactory(address="all@example.com")
    text = text_of(page(downtime))
    assert "Told as well: all@example.com." in text
    assert "The text is the same." in text


def test_many_versions_leave_the_oldest_out_and_say_how_many(page):
    downtime = window()
    for number in range(12):
        downtime.what_stops = str(number)
        downtime.save()
        freeze(downtime)
    response = page(downtime)
    assert [one.version.number for one in response.context["versions"]] == list(range(12, 2, -1))
    assert "2 earlier versions are not shown." in text_of(response)


def test_looking_at_the_page_writes_nothing(clients, duty):
    downtime = a_sound_window(duty)
    freeze(downtime)
    clients[Role.DUTY].get("/")
    before = every_row(leave_out=["django_session"])
    for method in ("get", "head", "options"):
        getattr(clients[Role.DUTY], method)(f"/downtimes/{downtime.pk}/notice/")
    assert every_row(leave_out=["django_session"]) == before
    assert (Mail.objects.count(), NoticeVersion.objects.count()) == (0, 1)


def test_the_page_asks_the_database_as_often_for_a_long_notice_as_for_a_short_one(page, duty):
    def queries(downtime):
        page(downtime)
        with CaptureQueriesContext(connection) as asked:
            assert page(downtime).status_code == 200
        return len(asked)

    short, long = a_sound_window(duty), a_sound_window(duty, title="Long")
    freeze(short)
    for number in range(5):
        ItemFactory(downtime=long)
        MailingListFactory(use=ListUse.COPY)
        version = freeze(long)
        answer(version, f"approver{number}")
    assert queries(short) == queries(long) <= 40
