"""The outbox shows everything said or about to be said, why it does not leave, what to do; and no restricted word."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla.models import Visibility
from ciduty.outbox import as_sent, composing, post, rows, sealing, tabs
from ciduty.outbox.models import BugUpdate, Incoming, IncomingKind, Mail
from ciduty.outbox.rules import MOVES, Priority, State
from ciduty.people.roles import CIDUTY_ROLES, Role
from ciduty.record.models import Entry
from tests.cast import NEW_BUG, ROLES, BugFactory, BugUpdateFactory, MailFactory, TreeChangeFactory
from tests.test_pages_safely import HOSTILE, Page

pytestmark = pytest.mark.django_db

TAB_OF = {
    "needs": {State.HELD, State.FAILED},
    "way": {State.DUE, State.SENDING, State.RETRY, State.UNKNOWN},
    "left": {State.ACCEPTED},
    "cancelled": {State.CANCELLED},
}
EVERY_TAB = [*TAB_OF, "incoming", "nobody"]
VERBS = {"try-again": "try again", "hold": "hold", "cancel": "cancel", "done": "done by hand"}
CANARY = "CANARY-4f0c"


@pytest.fixture(autouse=True)
def configured(settings):
    settings.EMAIL_URL, settings.BUGZILLA_URL = "smtp://127.0.0.1:9", "http://127.0.0.1:9"
    settings.TREESTATUS_URL, settings.TREESTATUS_WRITES = "http://127.0.0.1:9", "patch"


@pytest.fixture
def look(clients):
    """Open a page as duty, or as somebody else, and return its text."""

    def look(address="/outbox/", role=Role.DUTY, **headers):
        answer = clients[role].get(address, headers=headers)
        assert answer.status_code == 200
        return answer.content.decode()

    return look


def addresses_in(page):
    """Return the rows on a page of the list, from the first to the last."""
    return list(dict.fromkeys(re.findall(r'<td class="summary"><a href="(/outbox/\w+/\d+/)"', page)))


def address_of(row):
    return f"/outbox/{row.kind}/{row.pk}/"


def came_in(number=1, **fields):
    given = {"kind": IncomingKind.REPLY, "sender": "developer@example.com", "subject": "Thank you", "text": "It works."}
    return Incoming.objects.create(**given | {"sha256": str(number), "received_at": clock.now()} | fields)


# --- the tabs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", [MailFactory, BugUpdateFactory, TreeChangeFactory])
@pytest.mark.parametrize("state", State)
def test_every_state_stands_on_its_tab_and_on_no_other(look, factory, state):
    address = address_of(factory(state=state))
    assert {tab for tab in TAB_OF if address in look(f"/outbox/?show={tab}")} == {
        tab for tab, states in TAB_OF.items() if state in states
    }


def test_what_needs_somebody_is_shown_first_and_every_tab_says_how_much_stands_on_it(look):
    MailFactory(state=State.FAILED)
    for _ in range(2):
        BugUpdateFactory(state=State.HELD)
    for _ in range(4):
        MailFactory(state=State.RETRY)
    came_in()
    post.nobody_told("loaner 1400123", "its borrower has left.")
    page = look()
    assert 'href="?show=needs" aria-current="true">Needs you <span class="need">3</span>' in page
    for name, label, count in (
        ("way", "On its way", 4), ("left", "Left", 0), ("cancelled", "Cancelled", 0), ("incoming", "Came in", 1),
        ("nobody", "Nobody told", 1),
    ):  # fmt: skip
        assert f'href="?show={name}">{label} <span class="count">{count}</span>' in page


def test_an_outbox_that_needs_nobody_says_so(look):
    MailFactory(state=State.ACCEPTED)
    assert "<strong>Nothing needs you.</strong>Everything that was to be said has left" in look()


@pytest.mark.parametrize("tab", EVERY_TAB[1:])
def test_an_empty_tab_says_that_it_is_empty(look, tab):
    assert '<div class="scroll empty"><strong>N' in look(f"/outbox/?show={tab}")


def test_the_most_urgent_stands_first_among_what_needs_somebody(look):
    at = clock.now()
    old = MailFactory(state=State.FAILED, created_at=at - timedelta(hours=2))
    new = BugUpdateFactory(state=State.HELD, created_at=at)
    urgent = MailFactory(state=State.HELD, created_at=at - timedelta(days=1), priority=Priority.URGENT)
    bulk = BugUpdateFactory(state=State.FAILED, created_at=at, priority=Priority.BULK)
    assert addresses_in(look()) == [address_of(row) for row in (urgent, new, old, bulk)]


def test_what_goes_next_stands_first_among_what_is_on_its_way(look):
    at = clock.now()
    later = MailFactory(state=State.RETRY, next_try_at=at + timedelta(minutes=5))
    sooner = BugUpdateFactory(next_try_at=at)
    urgent = MailFactory(next_try_at=at + timedelta(minutes=9), priority=Priority.URGENT)
    assert addresses_in(look("/outbox/?show=way")) == [address_of(row) for row in (urgent, sooner, later)]


def test_two_tables_make_one_list_whose_pages_hold_every_row_once_the_newest_first(look):
    at = clock.now()
    made = []
    for number in range(65):  # also several of the same moment
        made.append(MailFactory(state=State.ACCEPTED, accepted_at=at - timedelta(minutes=number // 3)))
        made.append(BugUpdateFactory(state=State.ACCEPTED, accepted_at=at - timedelta(minutes=number // 2, seconds=5)))
    pages = [addresses_in(look(f"/outbox/?show=left&page={number}")) for number in (1, 2, 3)]
    assert [len(page) for page in pages] == [50, 50, 30]
    seen = [address for page in pages for address in page]
    assert sorted(seen) == sorted(address_of(row) for row in made)
    accepted_at = {address_of(row): row.accepted_at for row in made}
    moments = [accepted_at[address] for address in seen]
    assert moments == sorted(moments, reverse=True)
    assert 'rel="next">Next page' in look("/outbox/?show=left")
    assert 'rel="prev">Page before' in look("/outbox/?show=left&page=3")


@pytest.mark.parametrize("asked", ["0", "-1", "99999999999999999999", "x", "", "1.5", "\u0663"])
def test_a_page_that_is_not_there_is_another_one(look, asked):
    MailFactory(state=State.ACCEPTED)
    assert len(addresses_in(look(f"/outbox/?show=left&page={asked}"))) == 1
    came_in()
    assert "Thank you" in look(f"/outbox/?show=incoming&page={asked}")


def test_a_row_that_left_between_two_questions_is_no_error():
    MailFactory(state=State.ACCEPTED)
    assert [len(tabs.page("left", "1", count).rows) for count in (0, 1, 7)] == [1, 1, 1]


def test_a_row_without_the_moment_when_it_ended_breaks_no_list(look):
    row = MailFactory(state=State.ACCEPTED, accepted_at=None)
    assert addresses_in(look("/outbox/?show=left")) == [address_of(row)]


def test_a_row_says_what_it_is_to_whom_about_what_and_why_it_does_not_leave(look, monkeypatch):
    monkeypatch.setitem(rows._links, "loaner", lambda number: f"/loaners/{number}/")
    MailFactory(state=State.FAILED, last_words="550 5.1.1 no such user", subject="Your loaner is ready")
    BugUpdateFactory(state=State.HELD, about="printer 42", last_words="the assignee was moved")
    page = look()
    for said in (
        "Check that mail leaves</a>", "to developer@example.com", "Your loaner is ready", "550 5.1.1 no such user",
        '<a href="/loaners/1400123/">loaner 1400123</a>', ">printer 42</td>", "the assignee was moved", "bug 1400123",
    ):  # fmt: skip
        assert said in page, said


def test_an_object_of_which_no_page_is_known_is_named_without_a_link(monkeypatch):
    monkeypatch.setattr(rows, "_links", {})
    rows.link("loaner", lambda number: f"/loaners/{number}/")
    assert rows.address_of("loaner 1400123") == "/loaners/1400123/"
    assert [rows.address_of(about) for about in ("machine 42", "loaner", "", "loaner ")] == [""] * 4


def test_what_came_in_stands_there_with_what_it_answers(look):
    mail = MailFactory(state=State.FAILED)
    came_in(1, kind=IncomingKind.BOUNCE, mail=mail, sender="MAILER-DAEMON@example.com", subject="Undelivered")
    came_in(2, kind=IncomingKind.OTHER, sender="somebody@example.com", subject="What is this?")
    page = look("/outbox/?show=incoming")
    for said in ("Bounce", "MAILER-DAEMON@example.com", "Undelivered", f'href="{address_of(mail)}">mail {mail.pk}</a>'):
        assert said in page, said
    assert "Other mail" in page and "What is this?" in page and "nothing of ours" in page
    assert "Undelivered" in look(address_of(mail))
    assert "What is this?" not in look(address_of(mail))


def test_whom_nobody_told_stands_there_with_the_reason(look, duty):
    post.nobody_told("loaner 1400123", "its borrower has left.", by=duty)
    Entry.objects.create(at=clock.now(), about="loaner 1", verb="answered", sentence="Something else", actor="ciduty")
    page = look("/outbox/?show=nobody")
    assert "Nobody was told, because its borrower has left." in page
    assert "Something else" not in page


@pytest.mark.parametrize("tab", [*TAB_OF, "nobody"])
def test_the_list_refreshes_itself_and_needs_no_script_to_be_read(look, tab):
    assert 'hx-trigger="every 10s"' in look(f"/outbox/?show={tab}")
    part = look(f"/outbox/?show={tab}", **{"HX-Request": "true"})
    assert "<html" not in part and 'class="tabs"' in part


@pytest.mark.parametrize("state", [State.DUE, State.ACCEPTED])
def test_the_page_of_one_refreshes_itself_and_not_what_is_typed_there(look, state):
    row = BugUpdateFactory(state=state)
    part = look(address_of(row), **{"HX-Request": "true"})
    assert "<html" not in part and "by-hand" not in part
    assert ('id="by-hand"' in look(address_of(row))) == (state == State.DUE)


def test_the_page_says_in_red_when_something_due_does_not_leave(look):
    assert '<div class="fresh silent">' in look()
    assert "The tick is silent" in look()
    MailFactory(created_at=clock.now() - timedelta(minutes=6))
    assert "the oldest has waited for 6 min" in look()


def test_the_page_says_when_mail_is_not_configured(look, settings):
    settings.EMAIL_URL = ""
    assert "<strong>Mail is not configured:</strong> set EMAIL_URL." in look()


# --- one row ----------------------------------------------------------------------------------------------------------


def test_the_page_of_a_mail_shows_it_as_it_goes_over_the_wire(look, duty):
    row = post.mail(
        key="a", purpose="outbox: check", about="loaner 1400123", to="developer@example.com", by=duty,
        subject="Mașina ta este gata", text="Bună,\n\n  the machine is ready — take it.\n",
        in_reply_to="<a@example.com>",
    )  # fmt: skip
    page = look(address_of(row))
    assert "<dt>Subject</dt><dd>Mașina ta este gata</dd>" in page
    assert "Bună,\n\n  the machine is ready — take it." in page
    assert "<dt>In-Reply-To</dt><dd>&lt;a@example.com&gt;</dd>" in page
    assert row.message_id.strip("<>") in page
    assert '<input readonly value="developer@example.com">' in page
    assert "The mail, as it will be sent" in page


def test_a_mail_that_was_never_composed_says_so_and_offers_no_second_try(look, clients):
    row = post.mail(key="a", purpose="outbox: check", about="a 1", to="a@b@c", subject="A note", text="Text.")
    assert row.state == State.FAILED
    page = look(address_of(row))
    assert "It was never composed: there is nothing to send." in page
    assert f'{address_of(row)}try-again/"' not in page
    assert f'{address_of(row)}cancel/"' in page


def test_the_page_of_a_bug_update_shows_what_changes_and_how_to_do_it_by_hand(look):
    row = BugUpdateFactory(state=State.HELD, wants={"comment": "Yours is ready.", "assigned_to": "duty@example.com"})
    page = look(address_of(row))
    assert "<dt>Assignee</dt>" in page and "duty@example.com" in page
    assert f"ref {row.op}" in page
    assert "Bug 1400123: http://127.0.0.1:9/show_bug.cgi?id=1400123" in page
    assert 'name="bug_id"' not in page
    assert "It was done by hand" in page


def test_the_page_of_a_new_bug_asks_for_its_number(look, clients):
    row = BugUpdateFactory(state=State.HELD, bug_id=None, wants=NEW_BUG)
    assert "It was filed as bug <input" in look(address_of(row))
    for number in ("", "no", "-1", "0", "12345678901234567890", "١٢"):
        answer = clients[Role.DUTY].post(f"{address_of(row)}done/", {"bug_id": number}, follow=True)
        assert "needs the number of the bug that was filed" in answer.content.decode()
    clients[Role.DUTY].post(f"{address_of(row)}done/", {"bug_id": " 1400123 "})
    row.refresh_from_db()
    assert (row.state, row.bug_id) == (State.ACCEPTED, 1400123)


@pytest.mark.parametrize("kind", ["mail", "bug"])
def test_a_row_that_is_not_there_is_no_such_page(clients, kind):
    assert clients[Role.DUTY].get(f"/outbox/{kind}/1/").status_code == 404
    for verb in VERBS:
        assert clients[Role.DUTY].post(f"/outbox/{kind}/1/{verb}/").status_code == 404


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\r\n\r\n", b"\xff\xfe\x00", b"Subject: =?utf-8?q?=ff?=\r\n\r\nText",
        b"Subject: =?no-such?b?!!?=\r\n\r\nText",
        b"Content-Type: text/plain; charset=no-such\r\n\r\n\xff", b"Content-Type: text/html\r\n\r\n<b>",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nText\r\n--x--", b"To: a\r\n b\r\n\r\n",
        b"no header",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!", b"Subject: =?utf-8?b?\r\n\r\n",
    ],
)  # fmt: skip
def test_whatever_stands_in_a_stored_mail_its_page_opens(look, message):
    assert isinstance(as_sent.read(message).text, str)
    look(address_of(MailFactory(message=message)))


def test_a_composed_mail_is_read_back_as_it_was_meant():
    composed = composing.compose(
        to="developer@example.com",
        subject="Ä",
        text="Ä\nb",
        message_id="<a@example.com>",
        in_reply_to="",
        at=clock.now(),
    )
    read = as_sent.read(composed.message)
    assert dict(read.headers)["Subject"] == "Ä"
    assert read.text == "Ä\nb\n"


# --- the buttons ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", [MailFactory, BugUpdateFactory, TreeChangeFactory])
@pytest.mark.parametrize("state", State)
def test_a_page_offers_what_the_table_allows_and_each_button_does_it_or_says_why_not(clients, look, factory, state):
    for path, verb in VERBS.items():
        row = factory(state=state)
        action = f"{address_of(row)}{path}/"
        assert (f'action="{action}"' in look(address_of(row))) == MOVES.allow(verb, state)
        answer = clients[Role.DUTY].post(action, follow=True)
        row.refresh_from_db()
        note = re.search(r'<div class="note (\w+)" role="status"><p>(.*?)</p>', answer.content.decode())
        assert answer.redirect_chain[-1][0] == address_of(row)
        if MOVES.allow(verb, state):
            assert (row.state, note[1]) == (MOVES.target(verb), "success")
        else:
            assert (row.state, note[1]) == (state, "warning")
            assert "being sent right now" in note[2] or "it was not changed" in note[2]


@pytest.mark.parametrize("path", VERBS)
def test_a_double_click_does_it_once(clients, path):
    row = MailFactory(state=State.RETRY)
    first, second = (clients[Role.DUTY].post(f"{address_of(row)}{path}/", follow=True) for _ in range(2))
    assert 'class="note success"' in first.content.decode()
    assert "it was not changed" in second.content.decode()
    assert Entry.objects.count() == 1


def test_a_verb_of_the_list_leads_back_to_its_tab_and_nowhere_else(clients):
    def sent_to(show):
        answer = clients[Role.DUTY].post(f"{address_of(MailFactory())}hold/", {"show": show})
        return re.sub(r"\d+", "N", answer.headers["Location"])

    assert sent_to("way") == "/outbox/?show=way"
    assert {sent_to(show) for show in ("https://elsewhere.example.com/", "//x", "incoming", "")} == {"/outbox/mail/N/"}


@pytest.mark.parametrize("role", [Role.PUBLIC, *(set(ROLES) - CIDUTY_ROLES)])
@pytest.mark.parametrize("path", VERBS)
def test_nobody_but_ciduty_steers_the_outbox(clients, role, path):
    row = MailFactory(state=State.HELD)
    assert clients[role].post(f"{address_of(row)}{path}/").status_code in (302, 403)
    row.refresh_from_db()
    assert (row.state, Entry.objects.count()) == (State.HELD, 0)


def test_a_bug_that_may_be_filed_already_is_filed_again_by_its_own_button_alone(clients, look):
    row = BugUpdateFactory(state=State.UNKNOWN, bug_id=None, wants=NEW_BUG, uncertain_since=clock.now())
    page = look("/outbox/?show=way")
    assert "File it again</button>" in page and "Try again</button>" not in page
    assert '<input type="hidden" name="again" value="1">' in page
    answer = clients[Role.DUTY].post(f"{address_of(row)}try-again/", follow=True)
    assert "Nobody knows whether" in answer.content.decode()
    clients[Role.DUTY].post(f"{address_of(row)}try-again/", {"again": "1"})
    row.refresh_from_db()
    assert (row.state, row.uncertain_since) == (State.DUE, None)


def test_what_was_held_for_want_of_a_setting_goes_at_one_press(clients, look, settings):
    held = [MailFactory(state=State.HELD, last_words=post.NO_MAIL) for _ in range(3)]
    MailFactory(state=State.HELD, last_words="duty held it.")
    assert "Try all 3 again" in look()
    settings.EMAIL_URL = ""
    assert "Try all" not in look()
    answer = clients[Role.DUTY].post("/outbox/try-all-again/", follow=True)
    assert "Nothing waits for a setting that is there now" in answer.content.decode()
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    answer = clients[Role.DUTY].post("/outbox/try-all-again/", follow=True)
    assert "3 that waited for a setting go out now." in answer.content.decode()
    assert set(Mail.objects.filter(pk__in=[row.pk for row in held]).values_list("state", flat=True)) == {State.DUE}
    assert "Try all" not in look()


def test_a_check_mail_goes_to_who_asks(clients, duty):
    page = clients[Role.DUTY].post("/outbox/check/", follow=True).content.decode()
    row = Mail.objects.get()
    assert (row.recipient, row.by, row.state, row.priority) == (duty.email, duty, State.DUE, Priority.URGENT)
    assert "A check mail goes to duty@example.com" in page
    assert "/outbox/" in as_sent.read(row.message).text


def test_a_check_mail_without_a_mail_server_says_why_it_did_not_leave(clients, settings):
    settings.EMAIL_URL = ""
    page = clients[Role.DUTY].post("/outbox/check/", follow=True).content.decode()
    assert "The check mail is written down and did not leave. Mail is not configured" in page
    assert Mail.objects.get().state == State.HELD


def test_somebody_without_a_mail_address_is_told_so(clients, duty):
    duty.email = ""
    duty.save()
    page = clients[Role.DUTY].post("/outbox/check/", follow=True).content.decode()
    assert "Your account has no mail address" in page
    assert not Mail.objects.exists()


# --- words that nobody may read ---------------------------------------------------------------------------------------


def plant(visibility, number):
    """Write canaries into everything that can be said about one bug, in every state; returns the rows."""
    bug = BugFactory(id=number, visibility=visibility)
    planted = []
    for state in State:
        planted.append(
            MailFactory(
                state=state,
                bug_id=bug.pk,
                about=f"loaner {number}",
                last_words=CANARY,
                subject=CANARY,
                recipient=f"{CANARY}@example.com",
                message=f"Subject: {CANARY}\r\n\r\n{CANARY}".encode(),
            )  # fmt: skip
        )
        wants = {"comment": CANARY, "assigned_to": f"{CANARY}@example.com"}
        planted.append(
            BugUpdateFactory(state=state, bug_id=bug.pk, about=f"loaner {number}", last_words=CANARY, wants=wants)
        )
    for mail in [row for row in planted if row.kind == "mail"]:
        came_in(f"{number} {mail.pk}", mail=mail, sender=f"{CANARY}@example.com", subject=CANARY, text=CANARY)
    return planted


def every_page(look, planted, role):
    addresses = ["/", *(f"/outbox/?show={tab}" for tab in EVERY_TAB), *map(address_of, planted)]
    return {address: look(address, role) for address in addresses}


@pytest.mark.parametrize("role", sorted(CIDUTY_ROLES))
def test_the_words_of_a_bug_that_is_restricted_now_are_shown_to_nobody(look, role):
    planted = plant(Visibility.RESTRICTED, 1400123)
    pages = every_page(look, planted, role)
    assert [address for address, page in pages.items() if CANARY in page] == []
    assert all("shown to nobody" in pages[address_of(row)] for row in planted)
    assert "shown to nobody" in pages["/outbox/?show=needs"] and "shown to nobody" in pages["/outbox/?show=incoming"]


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.PUBLIC])
def test_the_words_of_other_bugs_are_shown_to_ciduty(look, visibility):
    planted = plant(visibility, 1400123)
    pages = every_page(look, planted, Role.DUTY)
    assert [row for row in planted if CANARY not in pages[address_of(row)]] == []
    assert all(CANARY in pages[f"/outbox/?show={tab}"] for tab in [*TAB_OF, "incoming"])


def test_a_row_on_a_list_is_hidden_by_its_own_bug_and_not_by_its_neighbours(look):
    BugFactory(id=1400124, visibility=Visibility.RESTRICTED)
    MailFactory(state=State.FAILED, bug_id=1400124, subject=CANARY)
    MailFactory(state=State.FAILED, bug_id=None, subject="Said to everybody")
    page = look()
    assert CANARY not in page and "Said to everybody" in page


def test_no_button_of_a_restricted_row_says_its_words(clients):
    for row in plant(Visibility.RESTRICTED, 1400123):
        for path in VERBS:
            answer = clients[Role.DUTY].post(f"{address_of(row)}{path}/", follow=True)
            assert CANARY not in answer.content.decode()
    assert CANARY not in str(list(Entry.objects.values()))


def test_words_that_were_erased_are_gone_and_the_page_says_when(look, clients):
    mail = MailFactory(state=State.FAILED, bug_id=1400123)
    update = BugUpdateFactory(state=State.FAILED)
    bug = BugFactory(id=1400123, visibility=Visibility.RESTRICTED)
    sealing.follow()
    bug.visibility = Visibility.PUBLIC
    bug.save()
    for row in (mail, update):
        page = look(address_of(row))
        assert "Its words were erased when its bug was restricted" in page
        assert "try-again/" not in page and "readonly" not in page
        answer = clients[Role.DUTY].post(f"{address_of(row)}try-again/", follow=True)
        assert "its words were erased" in answer.content.decode()


@pytest.mark.parametrize("text", HOSTILE[:-1], ids=range(len(HOSTILE) - 1))
def test_hostile_words_change_no_tag_of_any_page(look, text):
    mail, update = MailFactory(state=State.FAILED), BugUpdateFactory(state=State.HELD)
    reply = came_in(mail=mail)
    addresses = ["/outbox/", "/outbox/?show=incoming", address_of(mail), address_of(update)]

    def tags():
        pages = [Page(look(address)) for address in addresses]
        assert [page.inline for page in pages] == [[]] * len(pages)
        return [page.tags for page in pages]

    Mail.objects.update(last_words="550")
    BugUpdate.objects.update(last_words="550")
    harmless = tags()
    wire = b"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode()
    Mail.objects.update(last_words=text[:500], subject=text[:200], recipient=text[:320], message=wire)
    BugUpdate.objects.update(last_words=text[:500], wants={"comment": text})
    Incoming.objects.filter(pk=reply.pk).update(sender=text[:320], subject=text[:200], text=text)
    assert [[tag for tag in page if tag != "dt"] for page in map(_without_headers, tags())] == [
        [tag for tag in page if tag != "dt"] for page in map(_without_headers, harmless)
    ]


def _without_headers(tags):
    return [tag for tag in tags if tag != "dd"]  # the stored mail's headers were given anew


# --- what an object's own page shows ----------------------------------------------------------------------------------


def test_an_object_shows_what_was_said_about_it_the_newest_first(duty):
    at = clock.now()
    old = MailFactory(created_at=at - timedelta(hours=1), state=State.ACCEPTED)
    new = BugUpdateFactory(created_at=at, state=State.FAILED, last_words="no")
    MailFactory(about="loaner 14001234")
    shown = rows.messages_of("loaner 1400123", duty)
    assert [one.row for one in shown] == [new, old]
    assert [one.address for one in shown] == [address_of(new), address_of(old)]
    assert [one.last_words for one in shown] == ["no", ""]


@pytest.mark.parametrize("role", set(ROLES) - CIDUTY_ROLES)
def test_others_see_that_something_was_said_and_neither_to_whom_nor_its_words(people, role):
    BugFactory(id=1400123)
    MailFactory(last_words=CANARY, subject=CANARY, recipient=f"{CANARY}@example.com", bug_id=1400123)
    BugUpdateFactory(last_words=CANARY)
    for one in rows.messages_of("loaner 1400123", people[role]):
        assert one.label == "Check that mail leaves"
        assert CANARY not in one.to + one.subject + one.last_words
        assert (one.address, one.buttons) == ("", ())


@pytest.mark.parametrize("role", ROLES)
def test_the_words_about_a_restricted_bug_stand_on_no_page_of_an_object(people, role):
    plant(Visibility.RESTRICTED, 1400123)
    shown = rows.messages_of("loaner 1400123", people[role])
    assert len(shown) == 2 * len(State)
    assert not any(CANARY in one.to + one.subject + one.last_words for one in shown)


# --- cost -------------------------------------------------------------------------------------------------------------


def queries(client, address):
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


def fill(count):
    for state in State:
        for _ in range(count):
            mail = MailFactory(state=state, bug_id=1400123, last_words=post.NO_MAIL)
            BugUpdateFactory(state=state)
            TreeChangeFactory(state=state)
    for number in range(count):
        came_in(Incoming.objects.count(), mail=mail)
        post.nobody_told(f"loaner {number}", "its borrower has left.")


@pytest.mark.parametrize("tab", EVERY_TAB)
def test_a_tab_asks_the_database_as_often_for_fifty_rows_as_for_five(clients, tab):
    BugFactory(id=1400123)
    fill(3)
    few = queries(clients[Role.DUTY], f"/outbox/?show={tab}")
    fill(20)
    assert queries(clients[Role.DUTY], f"/outbox/?show={tab}") == few <= 23


@pytest.mark.parametrize("factory", [MailFactory, BugUpdateFactory])
def test_the_page_of_one_asks_as_often_with_fifty_replies_as_with_none(clients, factory):
    row = factory(bug_id=1400123)
    came_in("first", mail=row if row.kind == "mail" else None)
    few = queries(clients[Role.DUTY], address_of(row))
    for number in range(49):
        came_in(number, mail=row if row.kind == "mail" else None)
    assert queries(clients[Role.DUTY], address_of(row)) == few <= 11


def test_the_messages_of_an_object_ask_as_often_for_fifty_as_for_two(duty):
    def asked():
        with CaptureQueriesContext(connection) as queries:
            rows.messages_of("loaner 1400123", duty)
        return len(queries)

    MailFactory(bug_id=1400123)
    BugUpdateFactory()
    TreeChangeFactory()
    few = asked()
    for _ in range(16):
        MailFactory(bug_id=1400123)
        BugUpdateFactory()
        TreeChangeFactory()
    assert asked() == few <= 5


def test_no_list_reads_the_bytes_of_a_mail(clients, duty):
    MailFactory(state=State.FAILED, last_words=post.NO_MAIL)
    with CaptureQueriesContext(connection) as asked:
        clients[Role.DUTY].get("/outbox/")
        rows.messages_of("loaner 1400123", duty)
    assert not [query["sql"] for query in asked if '"outbox_mail"."message",' in query["sql"]]


def test_a_link_that_lets_its_one_reader_answer_is_not_shown_to_those_who_see_the_outbox(clients, settings):
    token = "k" * 43
    row = post.mail(
        key="asks", purpose="test", about="downtime 1", to="pre-approver@example.com", subject="Objections?",
        text=f"Open this page:\n\nhttp://localhost:8000/sign-off/{token}/\n\nYour code: 123456",
    )  # fmt: skip
    assert token in bytes(row.message).decode()
    page = clients[Role.LEAD].get(f"/outbox/mail/{row.pk}/").content.decode()
    assert "Objections?" in page and "/sign-off/" in page
    assert token not in page
