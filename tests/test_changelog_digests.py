"""Changes by mail: asked for, confirmed from the mailbox, told once, checked again before they leave, left at once."""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changelog import find, index, workflow
from changelog.confidential import not_public
from changelog.digests import letters, rules, sending, subscribing, tokens
from changelog.models import Change, Subscription
from changelog.proposals import Proposal
from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import as_sent, composing, delivery
from ciduty.outbox.models import Incoming, IncomingKind, Mail
from ciduty.outbox.rules import State
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.systems.models import System
from ciduty.working_time import Calendar
from tests.cast import BugFactory, at_once, browser_of, every_row
from tests.instruments.mail_server import Answer, MailServer

pytestmark = pytest.mark.django_db

ASK = "/changes/digests/"
READER = "reader@example.com"
#: Monday noon in Bucharest, which is two hours ahead of UTC: its 08:00 is 06:00.
MONDAY = datetime(2026, 3, 2, 10, tzinfo=UTC)
TUESDAY_AT_8 = datetime(2026, 3, 3, 6, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
CANARY = "canary-of-the-digests"


class Hands:
    """The hands of the clock: a test turns them."""

    def __init__(self, at):
        self.at = at


@pytest.fixture(autouse=True)
def mail_leaves(settings):
    """A mail server is configured, and nothing is delivered unless a test does."""
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    sending.register()


HANDS = Hands(MONDAY)


@pytest.fixture(autouse=True)
def time(monkeypatch):
    HANDS.at = MONDAY
    monkeypatch.setattr(clock, "now", lambda: HANDS.at)
    return HANDS


def proposed(summary="Moved the master", **facts):
    facts = {"kind": "config", "system": "hg-mozilla-org", "effective_at": clock.now()} | facts
    return workflow.propose(Proposal(f"api:test:{Change.objects.count()}", summary=summary, **facts))


def published(duty, summary="Moved the master", impact="", public_summary=None, **facts):
    change = proposed(summary, **facts)
    workflow.publish(change, duty, impact=impact, public_summary=public_summary)
    return change


def asked(address=READER, query="", rhythm="daily", op="00000001", from_address="192.0.2.1"):
    subscribing.ask(address, query, rhythm, op=op, from_address=from_address)


def links(mail, kind):
    return re.findall(rf"http://localhost:\d+(/changes/digests/{kind}/[\w-]{{43}}/)", text_of(mail))


def token_in(mail, kind):
    return links(mail, kind)[0].split("/")[-2]


def subscribed(address=READER, query="", rhythm="daily"):
    """Return a subscription that its owner confirmed with the link of their mail, a second ago."""
    op = f"{Mail.objects.count():08x}"
    asked(address, query, rhythm, op, f"192.0.2.{Mail.objects.count()}")
    subscription = subscribing.asked_with(token_in(Mail.objects.latest("pk"), "confirm"), clock.now())
    subscribing.confirm(subscription)
    HANDS.at += SECOND
    return subscription


def text_of(mail):
    return as_sent.read(bytes(mail.message)).text


def digests(**fields):
    return list(Mail.objects.filter(purpose=sending.DIGEST, **fields).order_by("pk"))


def newest_digest():
    return digests()[-1]


def told(response):
    return re.sub(r"\s+", " ", response.content.decode().replace("&#x27;", "'").replace("&amp;", "&"))


def csrf_field(page):
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())[1]


# --- when a digest is due ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weekly", "at", "slot"),
    [
        (False, "2026-03-03T06:00:00", "2026-03-03T06:00"),
        (False, "2026-03-03T05:59:59.999999", "2026-03-02T06:00"),
        (False, "2026-03-03T23:00:00", "2026-03-03T06:00"),
        (False, "2026-03-29T04:59:59", "2026-03-28T06:00"),  # the clocks go forward: an hour earlier
        (False, "2026-03-29T05:00:00", "2026-03-29T05:00"),
        (False, "2026-10-25T05:59:59", "2026-10-24T05:00"),  # and back
        (False, "2026-10-25T06:00:00", "2026-10-25T06:00"),
        (True, "2026-03-02T06:00:00", "2026-03-02T06:00"),
        (True, "2026-03-02T05:59:59", "2026-02-23T06:00"),
        (True, "2026-03-08T23:59:59", "2026-03-02T06:00"),
        (True, "2026-03-30T05:00:00", "2026-03-30T05:00"),  # the Monday after the clocks went forward
        (True, "2026-03-30T04:59:59", "2026-03-23T06:00"),
        (True, "2026-01-01T12:00:00", "2025-12-29T06:00"),
    ],
)
def test_a_digest_is_due_at_8_by_the_desks_clock(weekly, at, slot):
    desk = Calendar.parse("Europe/Bucharest", "09:00-17:00", "RO")
    at, slot = (datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (at, slot))
    assert rules.newest_slot(desk, weekly, at) == slot


@pytest.mark.parametrize(("at", "slot"), [(30, 29), (31, 30)])
def test_a_day_that_does_not_take_place_has_no_digest(at, slot):
    apia = Calendar.parse("Pacific/Apia", "09:00-17:00", "")  # there the 30th of December 2011 was left out
    at, slot = (datetime(2011, 12, day, hour, tzinfo=UTC) for day, hour in ((at, 12), (slot, 18)))
    assert rules.newest_slot(apia, False, at) == slot


def test_a_daily_digest_leaves_at_8_and_not_before_and_once(duty, time):
    subscribed()
    published(duty)
    for at, written in (
        (TUESDAY_AT_8 - SECOND, 0),
        (TUESDAY_AT_8, 1),
        (TUESDAY_AT_8, 0),
        (TUESDAY_AT_8 + 5 * SECOND, 0),
    ):
        time.at = at
        assert sending.send_due() == written
    time.at = TUESDAY_AT_8 + DAY
    assert sending.send_due() == 0  # nothing new, no mail
    assert len(digests()) == 1


def test_a_weekly_digest_leaves_on_mondays(duty, time):
    subscribed(rhythm="weekly")
    published(duty)
    for days in range(6):
        time.at = TUESDAY_AT_8 + days * DAY - SECOND
        assert sending.send_due() == 0
    time.at = TUESDAY_AT_8 + 6 * DAY
    assert sending.send_due() == 1
    assert newest_digest().subject == "CI changes of the week, Mon 9 Mar 2026: 1 published"


def test_a_worker_that_was_down_for_a_week_catches_up_with_one_mail(duty, time):
    subscribed()
    for day in range(7):
        time.at = MONDAY + day * DAY + SECOND
        published(duty, f"Change of day {day}")
    time.at = MONDAY + 7 * DAY
    assert (sending.send_due(), sending.send_due()) == (1, 0)
    text = text_of(newest_digest())
    assert all(f"Change of day {day}" in text for day in range(7))
    time.at += DAY
    assert sending.send_due() == 0


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_the_same_moment_write_one_mail(duty, time):
    subscribed()
    published(duty)
    time.at = TUESDAY_AT_8
    assert sum(at_once([sending.send_due] * 4)) == 1
    assert len(digests()) == 1


def test_each_publication_is_told_in_exactly_one_digest_whenever_it_came(duty, time):
    subscribed()
    moments = [MONDAY + SECOND, TUESDAY_AT_8 - rules.SETTLES, TUESDAY_AT_8 - rules.SETTLES + SECOND]
    moments += [TUESDAY_AT_8, TUESDAY_AT_8 + SECOND, TUESDAY_AT_8 + DAY - SECOND, TUESDAY_AT_8 + DAY]
    for number, at in enumerate([*moments, TUESDAY_AT_8 + 3 * DAY]):
        for slot in (TUESDAY_AT_8, TUESDAY_AT_8 + DAY, TUESDAY_AT_8 + 2 * DAY):
            if time.at < slot <= at:
                time.at = slot
                sending.send_due()
        time.at = at
        published(duty, f"Number {number}.")
        time.at += rules.SETTLES / 10
        sending.send_due()  # as every worker and every tick does, all day long
    texts = [text_of(mail) for mail in digests()]
    assert len(texts) == 3
    for number in range(len(moments)):
        assert sum(f"Number {number}." in text for text in texts) == 1


def test_how_far_a_reader_was_told_moves_with_the_mail_or_not_at_all(duty, time, monkeypatch):
    subscription = subscribed()
    published(duty)
    before = Subscription.objects.get(pk=subscription.pk).told_until
    time.at = TUESDAY_AT_8
    with monkeypatch.context() as broken:
        broken.setattr(sending.post, "_write", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sending.send_due()
    assert Subscription.objects.get(pk=subscription.pk).told_until == before
    assert sending.send_due() == 1
    assert Subscription.objects.get(pk=subscription.pk).told_until == TUESDAY_AT_8 - rules.SETTLES


def test_without_a_mail_server_readers_wait_and_are_told_all_of_it_later(duty, time, settings):
    subscribed()
    published(duty, "The first one")
    settings.EMAIL_URL, with_mail = "", settings.EMAIL_URL
    time.at = TUESDAY_AT_8
    assert sending.send_due() == 0
    settings.EMAIL_URL = with_mail
    published(duty, "The second one")
    time.at += DAY
    assert sending.send_due() == 1
    assert "The first one" in text_of(newest_digest()) and "The second one" in text_of(newest_digest())


# --- what it tells ----------------------------------------------------------------------------------------------------


def test_a_digest_reads_like_this(duty, time):
    subscribed()
    time.at = MONDAY + timedelta(hours=2, minutes=5)
    first = published(duty, "Moved hg to new hardware, bug 1899999", impact="Pushes may be slow for an hour.")
    time.at += timedelta(minutes=10)
    second = published(
        duty, "Bumped the worker image of Windows 10 on hardware to 42, which brings the newest graphics drivers",
        kind="image", system="",
    )  # fmt: skip
    time.at = TUESDAY_AT_8
    sending.send_due()
    mail = newest_digest()
    token = token_in(mail, "leave")
    assert mail.subject == "CI changes, Tue 3 Mar 2026: 2 published"
    site = re.search(r"http://localhost:\d+", text_of(mail))[0]
    assert (
        text_of(mail)
        == f"""\
2 changes were published
from Mon 2 Mar 10:00 to Tue 3 Mar 05:55 UTC.

Monday 2 March 2026
===================

hg.mozilla.org

  12:05  Pushes may be slow for an hour.
         Config: Moved hg to new hardware, bug 1899999
         {site}/changes/{first.pk}/

Other changes

  12:15  Image: Bumped the worker image of Windows 10 on hardware to 42,
         which brings the newest graphics drivers
         {site}/changes/{second.pk}/

________________________________________________________________________

Times are UTC. All of it, and what came before:
{site}/changes/

You get this every day at 08:00 (Europe/Bucharest)
when anything is new, because this address was confirmed for it.
To end it, open this page:
{site}/changes/digests/leave/{token}/

CiDuty, #ci
"""
    )


def test_lines_stand_by_day_the_newest_first_and_in_a_day_by_system(duty, time):
    subscribed()
    for summary, system, days in (
        ("AA.", "tbpl-mozilla-org", 0), ("BB.", "hg-mozilla-org", 0), ("CC.", "hg-mozilla-org", 3), ("DD.", "", 0),
        ("EE.", "hg-mozilla-org", 0),
    ):  # fmt: skip
        time.at += SECOND
        published(duty, summary, system=system, effective_at=clock.now() - days * DAY)
    time.at = TUESDAY_AT_8
    sending.send_due()
    wanted = ["Monday 2 March 2026", "hg.mozilla.org", "BB.", "EE.", "tbpl.mozilla.org", "AA.", "Other changes", "DD.",
              "Friday 27 February 2026", "hg.mozilla.org", "CC."]  # fmt: skip
    found = re.findall("|".join(sorted({re.escape(word) for word in wanted})), text_of(newest_digest()))
    assert found == wanted


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"AA", "BB", "CC"}), ("kind=image", {"BB"}), ("system=hg-mozilla-org", {"AA", "CC"}),
        ("pool=gecko-t%2Fwin10", {"CC"}), ("q=firmware", {"AA"}), ("kind=deploy", set()),
        ("system=hg-mozilla-org&q=firmware", {"AA"}),
    ],
)  # fmt: skip
def test_a_filter_finds_in_a_digest_what_it_finds_on_the_page(duty, time, query, found):
    subscribed(query=query)
    published(duty, "AA. firmware of the switches")
    published(duty, "BB.", kind="image", system="")
    published(duty, "CC.", pools=("gecko-t/win10",))
    time.at = TUESDAY_AT_8
    assert sending.send_due() == bool(found)
    assert {word for mail in digests() for word in re.findall(r"(AA|BB|CC)\.", text_of(mail))} == found
    if query and found:
        words = text_of(newest_digest())
        assert "Your choice: " in words and f"/changes/?{query}\n" in words


@pytest.mark.parametrize(("count", "more"), [(100, ""), (101, "And 1 more:"), (350, "And 250 more:")])
def test_of_more_than_a_hundred_lines_the_rest_is_a_number_and_a_link(duty, time, count, more):
    subscribed(query="kind=config")
    published(duty, "Change 0.")
    pattern = Change.objects.get()
    copies = [Change(**{field.attname: getattr(pattern, field.attname) for field in Change._meta.concrete_fields})
              for _ in range(count - 1)]  # fmt: skip
    for number, copy in enumerate(copies, start=1):
        copy.pk, copy.identity, copy.at = None, f"api:copy:{number}", pattern.at - number * SECOND
        copy.summary, copy.effective_at = f"Change {number}.", copy.at
    Change.objects.bulk_create(copies)
    time.at = TUESDAY_AT_8
    sending.send_due()
    mail = newest_digest()
    assert mail.subject == f"CI changes, Tue 3 Mar 2026: {count} published"
    text = text_of(mail)
    assert len(re.findall(r"Config: Change \d+\.", text)) == 100
    assert "Change 0." in text and ("Change 100." in text) is False
    assert ("more:" in text) is bool(more) and more in text
    if more:
        assert re.search(rf"{more}\nhttp://localhost:\d+/changes/\?kind=config\n", text)


def test_beyond_what_is_counted_it_says_more_than(duty, time, monkeypatch):
    monkeypatch.setattr(rules, "MOST_COUNTED", 3)
    monkeypatch.setattr(rules, "MOST_LINES", 2)
    subscribed()
    for number in range(4):
        published(duty, f"Change {number}.")
    time.at = TUESDAY_AT_8
    sending.send_due()
    assert newest_digest().subject.endswith(": more than 3 published")
    assert "More than 3 changes were published" in text_of(newest_digest())
    assert "And more than 1 more:" in text_of(newest_digest())


def test_what_was_told_and_is_withdrawn_since_is_told_with_the_reason(duty, time):
    subscribed()
    change = published(duty, "Moved the master", impact="Pushes may be slow.")
    time.at = TUESDAY_AT_8
    sending.send_due()
    time.at += SECOND
    workflow.withdraw(change, duty, "It was another machine.")
    time.at = TUESDAY_AT_8 + DAY
    assert sending.send_due() == 1
    text = text_of(newest_digest())
    assert newest_digest().subject == "CI changes, Wed 4 Mar 2026: 1 withdrawn"
    assert "\nWithdrawn\n=========\n" in text and "Why it was withdrawn: It was another machine." in text
    time.at += SECOND
    workflow.restore(change, duty)
    time.at = TUESDAY_AT_8 + 2 * DAY
    assert sending.send_due() == 1
    assert "Published again" in text_of(newest_digest())
    time.at += DAY
    assert sending.send_due() == 0


def test_what_was_never_told_is_not_told_as_withdrawn(duty, time):
    before = published(duty, "Before the reader came")
    time.at += SECOND
    subscribed()
    time.at += SECOND
    between = published(duty, "Withdrawn before the digest")
    dismissed = proposed("Dismissed")
    time.at += SECOND
    workflow.withdraw(before, duty, "Wrong.")
    workflow.withdraw(between, duty, "Wrong.")
    workflow.dismiss(dismissed, duty)
    time.at = TUESDAY_AT_8
    assert sending.send_due() == 0


def test_withdrawn_and_restored_between_two_digests_is_no_news(duty, time):
    subscribed()
    change = published(duty)
    time.at = TUESDAY_AT_8
    sending.send_due()
    for act in (lambda: workflow.withdraw(change, duty, "Wrong."), lambda: workflow.restore(change, duty)):
        time.at += SECOND
        act()
    time.at = TUESDAY_AT_8 + DAY
    assert sending.send_due() == 0


def test_what_is_held_proposed_or_dismissed_is_in_no_digest(duty, time):
    subscribed()
    proposed(f"{CANARY} proposed")
    workflow.hold(published(duty, f"{CANARY} held"), duty)
    workflow.dismiss(proposed(f"{CANARY} dismissed"), duty)
    published(duty, "A public one")
    time.at = TUESDAY_AT_8
    sending.send_due()
    assert CANARY not in bytes(newest_digest().message).decode()
    assert "1 change was published" in text_of(newest_digest())


def test_of_a_change_with_a_bug_that_is_not_public_only_the_words_for_everybody_are_told(duty, time):
    subscribed()
    bug = BugFactory(visibility=Visibility.RESTRICTED)
    published(
        duty, f"{CANARY} bug {bug.pk}", public_summary="A repair of the signers", bugs=(bug.pk,),
        links=((CANARY, "https://example.com/canary"),), message=f"{CANARY} bug {bug.pk}",
    )  # fmt: skip
    time.at = TUESDAY_AT_8
    sending.send_due()
    text = text_of(newest_digest())
    assert "Config: A repair of the signers" in text
    assert CANARY not in text and str(bug.pk) not in text and "canary" not in text


def test_a_hundred_changes_cost_as_many_queries_as_one(duty, time):
    subscribed(query="kind=config")
    costs = []
    for day, count in enumerate((1, 30)):
        time.at = MONDAY + day * DAY + SECOND
        for number in range(count):
            published(duty, f"Change {number}.")
        time.at = TUESDAY_AT_8 + day * DAY
        with CaptureQueriesContext(connection) as queries:
            assert sending.send_due() == 1
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 24


def test_a_filter_that_cannot_be_read_any_more_stops_no_other_digest(duty, time):
    broken, _ = subscribed(query="kind=config"), subscribed("other@example.com")
    Subscription.objects.filter(pk=broken.pk).update(query="kind=of-another-version")
    published(duty)
    time.at = TUESDAY_AT_8
    assert sending.send_due() == 1
    assert newest_digest().recipient == "other@example.com"
    assert Subscription.objects.get(pk=broken.pk).told_until == MONDAY


# --- looked at again before it leaves ---------------------------------------------------------------------------------


@pytest.fixture
def server(settings):
    with MailServer() as server:
        settings.EMAIL_URL = server.url
        yield server


def left(server):
    """Deliver what is due, and return what the server has, each as (recipients, parsed mail)."""
    delivery.deliver(delivery.MAIL)
    taken = server.taken()
    return [(mail.recipients, message_from_bytes(mail.message, policy=policy.default)) for mail in taken]


def test_a_digest_leaves_to_one_recipient_with_a_button_that_ends_it(duty, time, server):
    subscribed()
    published(duty, "Bäume: " + "ein sehr langer Satz " * 12, impact="Nothing breaks. " * 15)
    time.at = TUESDAY_AT_8
    sending.send_due()
    [_, (recipients, mail)] = left(server)
    assert recipients == (READER,)
    page = re.search(r"http://localhost:\d+/changes/digests/leave/[\w-]{43}/", mail.get_content())[0]
    assert mail["List-Unsubscribe"] == f"<{page}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["To"] == READER and mail["Cc"] is None and mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    assert all(len(line) <= 72 or line.strip() == page for line in mail.get_content().splitlines())


def test_a_line_that_is_held_meanwhile_never_leaves_and_the_rest_does(duty, time, server):
    subscribed()
    change = published(duty, CANARY)
    published(duty, "The other one")
    time.at = TUESDAY_AT_8
    sending.send_due()
    assert CANARY in text_of(newest_digest())
    workflow.hold(change, duty)
    delivery.deliver(delivery.MAIL)
    mails = left(server)
    assert [CANARY in mail.as_string() for _, mail in mails] == [False, False]  # the question, and one digest
    assert "The other one" in mails[-1][1].get_content() and "1 change was published" in mails[-1][1].get_content()
    assert [mail.state for mail in digests()] == [State.CANCELLED, State.ACCEPTED]


def test_a_digest_of_which_nothing_is_left_does_not_leave(duty, time, server):
    subscribed()
    change = published(duty, CANARY)
    time.at = TUESDAY_AT_8
    sending.send_due()
    workflow.hold(change, duty)
    delivery.deliver(delivery.MAIL)
    assert len(left(server)) == 1  # the question
    assert [mail.state for mail in digests()] == [State.CANCELLED]


def test_a_correction_meanwhile_leaves_in_the_newest_words(duty, time, server):
    subscribed()
    change = published(duty, "Movd the master")
    time.at = TUESDAY_AT_8
    sending.send_due()
    for words in ("Moved the master", "Moved the other master"):
        workflow.correct(change, duty, change.revision, summary=words)
    delivery.deliver(delivery.MAIL)
    assert [text.count("Moved the other master") for text in (left(server)[-1][1].get_content(),)] == [1]
    assert len(server.taken()) == 2


def test_a_bug_that_turns_private_meanwhile_takes_its_line_along(duty, time, server):
    subscribed()
    bug = BugFactory()
    change = published(duty, CANARY, bugs=(bug.pk,))
    time.at = TUESDAY_AT_8
    sending.send_due()
    Bug.objects.filter(pk=bug.pk).update(visibility=Visibility.RESTRICTED)
    with index.reindexing([change.pk], not_public):
        pass
    delivery.deliver(delivery.MAIL)
    assert len(left(server)) == 1


def test_a_digest_that_may_have_gone_out_before_is_not_written_anew(duty, time, server):
    subscribed()
    change = published(duty, CANARY)
    published(duty, "The other one")
    time.at = TUESDAY_AT_8
    sending.send_due()
    Mail.objects.filter(purpose=sending.DIGEST).update(**{"state": State.UNKNOWN})
    workflow.hold(change, duty)
    delivery.deliver(delivery.MAIL)
    [mail] = digests()
    assert (mail.state, mail.last_words) == (State.CANCELLED, sending.MAY_HAVE_GONE.why)


def test_what_a_person_cancels_is_not_written_anew(duty, time):
    subscribed()
    published(duty)
    time.at = TUESDAY_AT_8
    sending.send_due()
    from_the_desk = delivery.MAIL.model.objects.get(purpose=sending.DIGEST)
    browser_of(duty).post(f"/outbox/mail/{from_the_desk.pk}/cancel/")
    delivery.tell_purposes(Mail)
    assert [mail.state for mail in digests()] == [State.CANCELLED]


def test_one_who_left_meanwhile_gets_no_more(duty, time, server):
    subscription = subscribed()
    published(duty)
    time.at = TUESDAY_AT_8
    sending.send_due()
    subscribing.leave(subscription)
    delivery.deliver(delivery.MAIL)
    assert len(left(server)) == 1 and [mail.state for mail in digests()] == [State.CANCELLED]


def test_words_that_change_each_time_are_given_up_one_day(duty, time):
    subscribed()
    change = published(duty, "Change 0.")
    time.at = TUESDAY_AT_8
    sending.send_due()
    for number in range(1, rules.MOST_WRITINGS + 3):
        Change.objects.filter(pk=change.pk).update(summary=f"Change {number}.")
        mail = newest_digest()
        stop = sending.may_still_go(mail)
        Mail.objects.filter(pk=mail.pk).update(**{"state": State.CANCELLED, "last_words": stop.why})
        mail.refresh_from_db()
        sending.happened(mail)
        sending.happened(mail)  # told twice, written once
    assert len(digests()) == rules.MOST_WRITINGS


# --- an address that takes no mail ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "state"),
    [([550], "ended"), ([Answer(554, "no such user")], "ended"), ([451], "active"), ([], "active")],
)
def test_an_address_that_is_refused_for_good_gets_no_more_and_an_outage_ends_nothing(
    duty, time, server, answers, state
):
    subscription = subscribed()
    published(duty)
    delivery.deliver(delivery.MAIL)
    time.at = TUESDAY_AT_8
    sending.send_due()
    server.script.on("RCPT", *answers)
    delivery.deliver(delivery.MAIL)
    subscription.refresh_from_db()
    assert subscription.state == state
    if state == "ended":
        entry = Entry.objects.of(subscription.about).latest("pk")
        assert (entry.verb, READER in entry.sentence) == ("stop", False)


def test_a_digest_that_comes_back_ends_and_one_that_our_own_server_never_took_does_not(duty, time):
    came_back, outage = subscribed("gone@example.com"), subscribed("here@example.com")
    published(duty)
    time.at = TUESDAY_AT_8
    sending.send_due()
    mails = {mail.recipient: mail for mail in digests()}
    Incoming.objects.create(
        kind=IncomingKind.BOUNCE, mail=mails["gone@example.com"], sha256="not looked at", received_at=clock.now()
    )
    Mail.objects.filter(purpose=sending.DIGEST).update(**{"state": State.FAILED, "hook_owed": True, "last_code": None})
    delivery.tell_purposes(Mail)
    delivery.tell_purposes(Mail)
    states = [Subscription.objects.get(pk=one.pk).state for one in (came_back, outage)]
    assert states == ["ended", "active"]


# --- asking for one ---------------------------------------------------------------------------------------------------


def typed(page, **other):
    op = re.search(r'name="op" value="([0-9a-f]{8})"', page.content.decode())[1]
    query = re.search(r'name="query"(?: value="([^"]*)")?', page.content.decode())[1] or ""
    return {"op": op, "query": query.replace("&amp;", "&"), "address": READER, "rhythm": "daily"} | other


def test_a_stranger_asks_gets_a_link_and_is_told_from_then_on(stranger, duty, time):
    page = stranger.get(f"{ASK}?kind=image&system=hg-mozilla-org")
    assert "system hg-mozilla-org, kind image" in told(page)
    answer = stranger.post(ASK, typed(page, rhythm="weekly"))
    assert answer.status_code == 200
    assert f"A mail with a link goes to {READER}" in told(answer)
    [question] = Mail.objects.all()
    assert (question.recipient, question.purpose) == (READER, subscribing.CONFIRM)
    [link] = links(question, "confirm")
    assert "Do you want this digest?" in told(stranger.get(link))
    assert "Your digest is confirmed" in told(stranger.post(link))
    subscription = Subscription.objects.get()
    assert (subscription.state, subscription.query, subscription.rhythm) == (
        "active", "system=hg-mozilla-org&kind=image", "weekly",
    )  # fmt: skip
    assert subscription.told_until == MONDAY


def test_the_question_holds_no_word_that_a_stranger_typed():
    asked(query=f"author={CANARY}&q=buy+{CANARY}&pool={CANARY}")
    text = text_of(Mail.objects.get())
    assert CANARY not in text and "of a choice of changes, which the page below shows" in text
    assert all(len(line) <= 72 for line in text.splitlines() if "/confirm/" not in line)


def test_the_answer_is_the_same_whatever_is_known_of_an_address(stranger):
    subscribed()
    answers = []
    for address in (READER, "nobody@example.com", READER, READER, READER, READER):
        browser = browser_of(REMOTE_ADDR="192.0.2.77")
        answer = browser.post(ASK, typed(browser.get(ASK), address=address))
        answers.append((answer.status_code, told(answer).replace(address, "")))
    assert len({(code, re.sub(r"csrf\S+ value=\S+|\d\d:\d\d", "", text)) for code, text in answers}) == 1
    sent_to = list(Mail.objects.values_list("recipient", flat=True))
    assert sent_to.count(READER) == rules.MOST_PER_ADDRESS and sent_to.count("nobody@example.com") == 1


def test_one_who_is_subscribed_gets_the_same_question_as_anybody():
    subscribed()
    asked(op="10000001", from_address="192.0.2.9")
    asked("nobody@example.com", op="10000002", from_address="192.0.2.9")
    known, unknown = (re.sub(r"confirm/[\w-]{43}", "", text_of(mail)) for mail in Mail.objects.order_by("-pk")[:2])
    assert known == unknown


def test_an_address_gets_three_questions_a_day_whoever_asks_and_however_it_is_written(time):
    for number, address in enumerate([READER, READER.upper(), "Reader@Example.com", READER]):
        asked(address, op=f"{number:08x}", from_address=f"192.0.2.{number}")
    assert Mail.objects.count() == Subscription.objects.count() == 3
    time.at += DAY + SECOND
    asked(op="00000009")
    assert Mail.objects.count() == 4


def test_one_caller_asks_for_so_many_a_day_and_then_is_told_to_wait(stranger, time):
    for number in range(rules.MOST_PER_CALLER):
        last = typed(stranger.get(ASK), address=f"reader-{number}@example.com")
        assert stranger.post(ASK, last).status_code == 200
    assert stranger.post(ASK, last).status_code == 200  # the same form again
    assert stranger.post(ASK, typed(stranger.get(ASK), address="one.more@example.com")).status_code == 429
    refused = stranger.post(ASK, typed(stranger.get(ASK), address="one.more@example.com"))
    assert "wait until tomorrow" in told(refused) and "one.more@example.com" in told(refused)
    elsewhere = browser_of(REMOTE_ADDR="198.51.100.7")
    assert elsewhere.post(ASK, typed(elsewhere.get(ASK))).status_code == 200
    assert Mail.objects.count() == rules.MOST_PER_CALLER + 1
    time.at += DAY + SECOND
    assert stranger.post(ASK, typed(stranger.get(ASK), address="one.more@example.com")).status_code == 200


def test_the_form_sent_twice_is_one_mail(stranger):
    form = typed(stranger.get(ASK))
    assert told(stranger.post(ASK, form)) == told(stranger.post(ASK, form))
    assert Mail.objects.count() == Subscription.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_form_sent_twice_at_the_same_moment_is_one_mail():
    at_once([asked, asked])
    assert Mail.objects.count() == Subscription.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"address": ""}, "Write the address that the mails shall go to"),
        ({"address": "reader"}, "it needs exactly one @"),
        ({"address": "a@example.com,b@example.com"}, "a mail goes to one address only"),
        ({"address": "a@example.com\r\nBcc: b@example.com"}, "This is no mail address"),
        ({"address": "x" * 300 + "@example.com"}, "at most 254 characters"),
        ({"address": "a\0@example.com"}, "Null characters"),
        ({"rhythm": ""}, "Choose how often"),
        ({"rhythm": "hourly"}, "There is no such rhythm"),
        ({"query": "kind=nonsense"}, "This form is no longer whole"),
        ({"query": "system=no-such-system"}, "This form is no longer whole"),
        ({"query": "x" * 601}, "This form is no longer whole"),
        ({"op": "nonsense"}, "This form is no longer whole"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_sent(stranger, wrong, sentence):
    answer = stranger.post(ASK, typed(stranger.get(ASK)) | wrong)
    assert answer.status_code == 422
    assert sentence in told(answer)
    assert wrong.get("address", READER)[:40].split("\r")[0].split("\0")[0] in told(answer)
    assert not Mail.objects.exists() and not Subscription.objects.exists()


def test_a_filter_of_time_is_left_out_and_a_wrong_one_is_said(stranger):
    page = stranger.get(f"{ASK}?since=2026-03-01&kind=image")
    assert "the time that you chose is left out" in told(page)
    assert typed(page)["query"] == "kind=image"
    page = stranger.get(f"{ASK}?kind=nonsense&bug=x&cursor=anything")
    assert "There is no kind “nonsense”" in told(page) and "everything that is published" in told(page)
    assert typed(page)["query"] == ""


def test_without_a_mail_server_the_page_says_so_and_takes_nothing(stranger, settings):
    settings.EMAIL_URL = ""
    page = stranger.get(ASK)
    assert "No mail server is set up here" in told(page) and "disabled" in page.content.decode()
    assert stranger.post(ASK, typed(page)).status_code == 422
    assert not Subscription.objects.exists()


def test_hostile_filters_stay_text(stranger):
    page = stranger.get(ASK, {"author": '"><script>alert(1)</script>', "q": "{{ settings.SECRET_KEY }}"})
    assert page.status_code == 200 and "<script>alert" not in page.content.decode()
    answer = stranger.post(ASK, typed(page, address='"><script>alert(1)</script>@example.com'))
    assert answer.status_code == 422 and "<script>alert" not in answer.content.decode()


def test_another_site_cannot_ask_in_a_visitors_name():
    browser = browser_of(enforce_csrf_checks=True)
    assert browser.post(ASK, typed(browser.get(ASK))).status_code == 403
    assert not Mail.objects.exists()


# --- confirming -------------------------------------------------------------------------------------------------------


@pytest.fixture
def question():
    asked()
    return links(Mail.objects.get(), "confirm")[0]


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_to_open_the_link_changes_nothing(question, method):
    browser = browser_of(enforce_csrf_checks=True)
    before = every_row()
    for _ in range(3):
        getattr(browser, method)(question)
    assert every_row() == before


def test_only_the_button_of_the_page_confirms(question):
    browser = browser_of(enforce_csrf_checks=True)
    assert browser.post(question).status_code == 403
    assert Subscription.objects.get().state == "asked"
    page = browser.get(question)
    assert browser.post(question, {"csrfmiddlewaretoken": csrf_field(page)}).status_code == 200
    assert Subscription.objects.get().state == "active"


def test_confirming_twice_is_confirming_once(question, stranger, time):
    stranger.post(question)
    time.at += timedelta(hours=1)
    assert "Your digest is confirmed" in told(stranger.post(question))
    subscription = Subscription.objects.get()
    assert subscription.told_until == subscription.confirmed_at == MONDAY
    assert Entry.objects.filter(about=subscription.about, verb="confirm").count() == 1


@pytest.mark.parametrize(("after", "status"), [(rules.CONFIRM_WITHIN, 200), (rules.CONFIRM_WITHIN + SECOND, 404)])
def test_the_link_works_for_seven_days(question, stranger, time, after, status):
    time.at += after
    assert stranger.get(question).status_code == stranger.post(question).status_code == status
    assert (Subscription.objects.get().state == "active") is (status == 200)


def test_an_address_that_nobody_confirmed_is_forgotten(question, time):
    subscribed("other@example.com")
    time.at = MONDAY + rules.CONFIRM_WITHIN + DAY
    sending.send_due()
    assert Subscription.objects.count() == 2
    time.at += SECOND
    sending.send_due()
    assert [one.address for one in Subscription.objects.all()] == ["other@example.com"]


@pytest.mark.parametrize("kind", ["confirm", "leave"])
@pytest.mark.parametrize("token", ["A" * 43, "a", "%00", "%F0%9F%A6%8A", "x" * 2000])
def test_a_link_that_was_never_made_leads_nowhere(stranger, kind, token):
    for answer in (stranger.get(f"{ASK}{kind}/{token}/"), stranger.post(f"{ASK}{kind}/{token}/")):
        assert answer.status_code == 404
        assert "This link leads nowhere" in told(answer)


def test_another_rhythm_takes_the_place_of_the_first_and_nothing_is_lost_or_told_twice(duty, time):
    daily = subscribed(rhythm="daily")
    published(duty, "The first one")
    time.at += SECOND
    weekly = subscribed(rhythm="weekly")
    published(duty, "The second one")
    daily.refresh_from_db()
    assert daily.state == "ended"
    time.at = TUESDAY_AT_8
    assert sending.send_due() == 0
    time.at = TUESDAY_AT_8 + 6 * DAY
    assert sending.send_due() == 1
    text = text_of(newest_digest())
    assert "The first one" in text and "The second one" in text
    assert newest_digest().about == weekly.about


def test_another_filter_of_the_same_address_is_another_digest(duty, time):
    subscribed(query="kind=config")
    subscribed(query="kind=image")
    published(duty, "AA.")
    published(duty, "BB.", kind="image")
    time.at = TUESDAY_AT_8
    assert sending.send_due() == 2
    assert [re.findall(r"(AA|BB)\.", text_of(mail)) for mail in digests()] == [["AA"], ["BB"]]


# --- leaving ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def leave_page(duty, time):
    subscribed()
    published(duty)
    time.at = TUESDAY_AT_8
    sending.send_due()
    return links(newest_digest(), "leave")[0]


@pytest.mark.parametrize("method", ["get", "head", "options", "post"])
def test_to_open_the_leave_page_or_to_send_it_nothing_ends_nothing(leave_page, method):
    browser = browser_of(enforce_csrf_checks=True)
    before = every_row()
    for _ in range(2):
        getattr(browser, method)(leave_page)
    assert every_row() == before


@pytest.mark.parametrize("how", ["urlencoded", "multipart"])
def test_one_click_of_a_mail_program_ends_it_at_once(leave_page, how):
    program = browser_of(enforce_csrf_checks=True)
    body = {"List-Unsubscribe": "One-Click"}
    form = {"data": "List-Unsubscribe=One-Click", "content_type": "application/x-www-form-urlencoded"}
    answer = program.post(leave_page, **(form if how == "urlencoded" else {"data": body}))
    assert answer.status_code == 200  # RFC 8058: no redirect
    subscription = Subscription.objects.get()
    assert (subscription.state, subscription.address) == ("ended", "")
    assert program.post(leave_page, body).status_code == 200  # again: it has ended
    assert Entry.objects.filter(about=subscription.about, verb="leave").count() == 1


def test_a_person_sees_what_ends_before_it_does_and_can_ask_again(leave_page, stranger):
    assert "Do you want to end this digest?" in told(stranger.get(leave_page))
    assert READER in told(stranger.get(leave_page))
    answer = stranger.post(leave_page, {"leave": "1"})
    assert "This digest has ended" in told(answer) and READER not in told(answer)
    assert f'href="{ASK}"' in told(answer)
    assert READER not in repr(Subscription.objects.values())


def test_nothing_comes_any_more_once_one_has_left(leave_page, stranger, duty, time):
    stranger.post(leave_page, {"leave": "1"})
    published(duty, "The next one")
    time.at += DAY
    assert sending.send_due() == 0


def test_the_link_of_an_old_mail_ends_what_took_its_place(leave_page, stranger):
    subscribed(rhythm="weekly")
    subscribed("other@example.com")
    stranger.post(leave_page, {"leave": "1"})
    assert [one.address for one in Subscription.objects.filter(state="active")] == ["other@example.com"]


def test_the_links_of_two_readers_are_not_alike_and_change_when_one_asks_anew(duty, time):
    subscribed()
    subscribed("other@example.com")
    published(duty)
    time.at = TUESDAY_AT_8
    sending.send_due()
    first = [token_in(mail, "leave") for mail in digests()]
    subscribed(rhythm="weekly")
    time.at = TUESDAY_AT_8 + 6 * DAY - timedelta(hours=12)
    published(duty)
    time.at = TUESDAY_AT_8 + 6 * DAY
    sending.send_due()
    everybody = [token_in(mail, "leave") for mail in digests()]
    assert len({*everybody}) == 3 and everybody[:2] == first and len(everybody) == 4


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_a_thief_of_the_database_has_no_link_but_those_in_mails(leave_page, clients):
    mails = list(Mail.objects.all())
    secrets = [token_in(mails[0], "confirm"), leave_page.split("/")[-2]]
    assert all(len(token) == 43 for token in secrets)
    rows = repr(every_row(leave_out=["outbox_mail"]))
    assert not [token for token in secrets if token in rows]
    for mail in mails:
        page = clients[Role.DUTY].get(f"/outbox/mail/{mail.pk}/").content.decode()
        assert not [token for token in secrets if token in page] and "(token)" in page


@pytest.mark.parametrize("kind", ["confirm", "leave"])
def test_no_search_engine_cache_or_referer_keeps_a_link(leave_page, stranger, kind):
    link = links(Mail.objects.order_by("pk")[0], "confirm")[0] if kind == "confirm" else leave_page
    for answer in (stranger.get(link), stranger.post(link), stranger.get(f"{ASK}{kind}/{'A' * 43}/")):
        assert answer.headers["Referrer-Policy"] == "strict-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "noindex" in answer.headers["X-Robots-Tag"]
        assert link.split("/")[-2] not in answer.content.decode()


def test_a_rotated_key_leaves_every_link_good(leave_page, stranger, duty, time, settings):
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another key of at least 32 characters"
    settings.SECRET_KEY_FALLBACKS = [old]
    published(duty)
    time.at += DAY
    sending.send_due()
    assert links(newest_digest(), "leave") == [leave_page]
    settings.SECRET_KEY_FALLBACKS = []  # the old one was thrown away: new mails hold a link that works
    published(duty)
    time.at += DAY
    sending.send_due()
    [page] = links(newest_digest(), "leave")
    assert page != leave_page
    assert "This digest has ended" in told(stranger.post(page, {"leave": "1"}))


def test_the_end_of_a_digest_cannot_be_made_from_what_the_database_holds(question, settings):
    subscription = Subscription.objects.get()
    ours = tokens.leave_token_of(subscription)
    settings.SECRET_KEY = "a guess of at least 32 characters."
    assert tokens.leave_token(subscription.confirm_sha256) != ours
    with pytest.raises(LookupError):
        tokens.leave_token_of(subscription)


# --- the header -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "mailto:leave@example.com", "https://example.com/\r\nBcc: a@example.com", "https://example.com/> <x", "x",
        "https://example.com/a b", "https://example.com/,https://b.example.com/", "https://example.com/" + "x" * 500,
        "https://exämple.com/",
    ],
)  # fmt: skip
def test_only_the_address_of_a_page_becomes_a_header(address):
    words = {"to": READER, "subject": "x", "text": "x", "message_id": "<1@example.com>", "in_reply_to": ""}
    with pytest.raises(composing.Unsendable):
        composing.compose(**words, at=MONDAY, leave=address)


def test_no_other_mail_has_the_header():
    asked()
    assert b"List-Unsubscribe" not in bytes(Mail.objects.get().message)


def test_hostile_words_of_a_change_are_lines_of_a_mail_and_nothing_else(duty, time):
    subscribed()
    published(duty, "Subject: x \u202e{{ settings.SECRET_KEY }} <b>", impact="-- \u2028 From nobody {% now 'Y' %}")
    time.at = TUESDAY_AT_8
    sending.send_due()
    mail = message_from_bytes(bytes(newest_digest().message), policy=policy.default)
    assert mail["Subject"] == "CI changes, Tue 3 Mar 2026: 1 published"
    text = mail.get_content()
    assert "{{ settings.SECRET_KEY }} <b>" in text and "{% now 'Y' %}" in text and "\u202e" not in text


def test_a_system_with_a_long_name_stays_within_72_columns(duty, time):
    System.objects.create(slug="long", title="A system " * 13)
    subscribed(query="system=long")
    published(duty, system="long")
    time.at = TUESDAY_AT_8
    sending.send_due()
    assert max(len(line) for line in text_of(newest_digest()).splitlines() if "http" not in line) <= 72


def test_a_digest_is_found_with_the_words_of_the_page(duty):
    published(duty, "Firmware")
    assert [change.summary for change in find.page(find.Query(q="firmware")).changes] == ["Firmware"]
    assert letters.rhythm_in_words("weekly") == "every Monday at 08:00 (Europe/Bucharest)"
