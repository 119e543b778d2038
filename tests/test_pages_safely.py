"""Every page: hostile text stays text, nothing runs inline, headers protect, the cost stays, and errors can be read."""

import re
import subprocess
import sys
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock
from ciduty.bugzilla import poll
from ciduty.bugzilla.models import ActorKind, BugEvent, BugText, EventKind
from ciduty.bugzilla.sandbox import Fault
from ciduty.desk import views as desk_views
from ciduty.models import beat
from ciduty.people.models import BugzillaLogin
from ciduty.people.roles import Role
from downtimes import asking_to_agree, sign_off
from downtimes.models import Ask
from tests import downtime_stage
from tests.cast import (
    A_MORNING,
    AnswerFactory,
    ApplicationFactory,
    BugUpdateFactory,
    BugzillaLoginFactory,
    MachineFactory,
    MailFactory,
    NominationFactory,
    addresses_of_the_site,
    browser_of,
    request_with_words,
)

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent
#: Text that anybody may file in a bug. The database can hold all of it; what it cannot is tried through the border.
HOSTILE = [
    "<script>alert(1)</script>",
    "</title></h1></table></main><script src=//elsewhere.example.com></script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "<svg/onload=alert(1)>",
    "<!-- ",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "{{ settings.SECRET_KEY }}{% include 'base.html' %}",
    "javascript:alert(1)",
    "\u202egnirts siht daer\u2066",
    "z\u0351\u036b\u0343\u0363a\u0316\u0347" * 40,
    '=HYPERLINK("https://elsewhere.example.com")',
    "line one\r\nX-Injected: yes\r\n\r\n<html>",
    "\u2028\u2029",
    "\U0001f98a" * 80,
    "x" * 200_000,
]
#: What no database holds; Bugzilla can say it in JSON all the same.
UNSTORABLE = [
    "nul \x00 byte",
    "lone surrogate \ud800",
    "lone low \udfff one",
    "bell \x07 and escape \x1b[2J",
    "\ufffe\uffff",
]
LEADS_SOMEWHERE = {"href", "src", "action", "formaction", "hx-get", "hx-post", "data", "srcdoc", "xlink:href"}
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
#: The address of a page that stands in one mail to one person goes nowhere, not even to our own pages.
LETTERS_OWN = {"Referrer-Policy": "strict-origin"}
LETTERS = ("/changes/digests/confirm/", "/changes/digests/leave/")
#: The same for everybody, and fetched often: a cache may keep it for a minute.
CALENDAR = "/downtimes/calendar.ics"
LOG = re.compile(
    r"/changes/(\d+/|density/|feed\.\w+|changes\.csv|before/)?|/api/(changes/(\d+/|before/)?|changelog/|sources/|schema/|docs/)"
)


class Page(HTMLParser):
    """The tags of a page in order, and whatever in it could run or style inline."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.inline, self._inside = [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self._inside = tag if tag in ("script", "style") else None
        if tag == "style" or (tag == "script" and not (given.get("src") or "").startswith("/static/")):
            self.inline.append(tag)
        for name, value in attributes:
            runs = name in LEADS_SOMEWHERE and re.match(
                r"[\s\x00-\x20]*(javascript|data|vbscript):", value or "", re.IGNORECASE
            )
            if runs or name.startswith(("on", "hx-on")) or name == "style":
                self.inline.append(f"{tag} {name}={value}")

    def handle_data(self, data):
        if self._inside and data.strip():
            self.inline.append(f"{self._inside}: {data}")

    def handle_endtag(self, tag):
        self._inside = None


def page(client, address):
    return client.get(address).content.decode()


def events_of(request, count):
    BugEvent.objects.bulk_create(
        BugEvent(
            bug=request.bug, kind=EventKind.CLOSED, at=A_MORNING + timedelta(minutes=number), by_kind=ActorKind.OTHER
        )
        for number in range(count)
    )


# --- hostile text -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_words_of_a_bug_change_no_tag_of_any_page(clients, people, developer, text):
    request = request_with_words(assignee="somebody@example.com")
    addresses = ["/", "/loaners/", "/loaners/?show=all", f"/loaners/{request.pk}/"]
    readers = [clients[role] for role in (Role.DUTY, Role.DEVELOPER, Role.MANAGER)]

    def tags():
        pages = [Page(client.get(address, follow=True).content.decode()) for client in readers for address in addresses]
        assert [shown.inline for shown in pages] == [[]] * len(pages)
        return [shown.tags for shown in pages]

    harmless = tags()
    words = request.bug.text
    words.summary = words.creator_name = words.assignee_name = words.alias = words.whiteboard = text
    words.save()
    assert tags() == harmless


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_logins_and_names_of_people_change_no_tag_of_any_page(clients, developer, text):
    def tags():
        pages = [page(clients[Role.LEAD], address) for address in ("/people/", f"/people/{developer.pk}/")]
        pages += [
            page(clients[Role.DEVELOPER], address)
            for address in ("/loaners/", "/styleguide/", "/no/such/page/", "/people/")
        ]
        assert [Page(text).inline for text in pages] == [[]] * len(pages)
        return [Page(text).tags for text in pages]

    harmless = tags()
    developer.name = text[:120]
    developer.save()
    BugzillaLogin.objects.filter(person=developer).update(login=text[:255])
    assert tags() == harmless


@pytest.mark.parametrize("text", HOSTILE[:-1], ids=range(len(HOSTILE) - 1))
def test_hostile_questions_change_no_tag_of_any_page(clients, text):
    asked = [(Role.PUBLIC, address) for address in ("/", "/sign-in/", "/loaners/", "/no/such/page/")]
    asked += [(Role.DUTY, address) for address in ("/", "/loaners/", "/no/such/page/")]
    for role, address in asked:
        harmless = clients[role].get(address, {"show": "waiting", "page": "1", "next": "/"}, follow=True)
        hostile = clients[role].get(address, {"show": text, "page": text, "next": text}, follow=True)
        assert Page(hostile.content.decode()).tags == Page(harmless.content.decode()).tags
        assert Page(hostile.content.decode()).inline == []
    refused = clients[Role.PUBLIC].post("/sign-in/", {"username": text, "password": text, "next": text})
    assert Page(refused.content.decode()).inline == []


@pytest.mark.parametrize("text", UNSTORABLE + HOSTILE, ids=range(len(UNSTORABLE + HOSTILE)))
def test_hostile_text_comes_through_the_border_and_stops_no_page(bugzilla, clients, text):
    bug = bugzilla.world.add_bug(
        product="Infrastructure & Operations",
        component="CIDuty: Loan Requests",
        summary="Loan",
        creator="developer@example.com",
    )
    person = {"name": "developer@example.com", "real_name": text, "email": text, "id": 1}
    patch = {
        "summary": text,
        "whiteboard": text,
        "alias": [text],
        "creator_detail": person,
        "assigned_to_detail": person,
    }

    def tags():
        assert poll.poll().quarantined == 0
        answers = [
            clients[role].get(address, follow=True)
            for role in (Role.DUTY, Role.DEVELOPER, Role.MANAGER)
            for address in ("/", "/loaners/", f"/loaners/{bug}/")
        ]
        assert {answer.status_code for answer in answers} == {200}
        assert [Page(answer.content.decode()).inline for answer in answers] == [[]] * len(answers)
        return [Page(answer.content.decode()).tags for answer in answers]

    harmless = tags()
    bugzilla.faults.add(Fault("bad_bug", bug_id=bug, patch=patch))
    assert tags() == harmless
    assert BugText.objects.get().summary != "Loan"


def test_this_reader_of_pages_notices_what_runs_inline():
    for text in (
        "<script>alert(1)</script>", '<script src="//elsewhere.example.com/x.js"></script>', "<style>p {}</style>",
        '<p style="color: red">', '<p onclick="x()">', '<p hx-on:click="x()">', '<a href=" JavaScript:x()">',
    ):  # fmt: skip
        assert Page(text).inline, text
    assert Page('<script src="/static/x.js" defer></script><p class="on" hx-get="/">text</p>').inline == []


# --- headers ----------------------------------------------------------------------------------------------------------


def announced_and_asked(people):
    """Return, as arguments of addresses, an announced downtime and one that waits for answers, with a question."""
    told, asked = downtime_stage.announced(people), downtime_stage.plan(people, starts_in=timedelta(days=20))
    version = asking_to_agree.ask_workers(asked, by=people[Role.LEAD], op=downtime_stage.op())
    ask = version.asks.get()
    answer = AnswerFactory(version=version, approver=ask.approver)
    token = sign_off.new_token()
    Ask.objects.filter(pk=ask.pk).update(token_sha256=sign_off.hash_of_token(token))
    return {
        "downtime_id": [told.pk, asked.pk],
        "item_id": [asked.items.get().pk],
        "nomination_id": [NominationFactory().pk, asked.items.get().nomination_id],
        "answer_id": [answer.pk],
        "token": [token, "A" * 43],
    }


@pytest.fixture(scope="module")
def answers_read():
    return {}


@pytest.fixture
def every_answer(request, answers_read):
    """One answer of every address to every role, an unknown address and a refused form among them; asked for once."""
    if not answers_read:
        wanted = [request.getfixturevalue(name) for name in ("clients", "people", "demo")]
        answers_read.update(ask_everything(*wanted))
    return answers_read


def ask_everything(clients, people, demo):
    numbers = {"bug_id": [request_with_words().pk], "person_id": [people[Role.DUTY].pk]}
    numbers |= {"machine_id": [MachineFactory().pk], "step_id": [7], "grant_id": [7], "mail_name": ["none.eml"]}
    numbers["application_id"] = [ApplicationFactory(person=people[Role.DEVELOPER]).pk]
    numbers["row_id"] = list({MailFactory().pk, BugUpdateFactory().pk})
    numbers |= announced_and_asked(people)
    addresses = [*addresses_of_the_site(**numbers), "/no/such/page/"]
    return {
        (role, method, address): getattr(client, method)(address)
        for role, client in clients.items()
        for method in ("get", "post")
        for address in addresses
        if "/sign-out/" not in address or method == "get"
    }


def is_saved(asked, answer):
    """Answer whether it is a file to be kept, whose own strict policy stands in test_run_sheet.py."""
    return re.fullmatch(r"/downtimes/\d+/run/saved/", asked[2]) and answer.status_code == 200


def test_every_answer_carries_the_headers_that_protect(every_answer):
    for asked, answer in every_answer.items():
        if is_saved(asked, answer):
            continue
        signs_off = asked[2].startswith("/sign-off/") and answer.status_code in (200, 422)
        is_letter = signs_off or asked[2].startswith(LETTERS)
        for name, value in (EVERYWHERE | LETTERS_OWN if is_letter else EVERYWHERE).items():
            assert answer.headers.get(name) == value, (asked, name)
        rules = {rule.split()[0]: rule.split()[1:] for rule in answer.headers["Content-Security-Policy"].split(";")}
        assert rules["default-src"] == ["'self'"], asked
        assert rules["form-action"] == ["'self'"] and rules["base-uri"] == rules["object-src"] == rules[
            "frame-ancestors"
        ] == ["'none'"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert {source for name in rules for source in rules[name]} <= {"'self'", "'none'", "data:"}
        assert "script-src" not in rules, "default-src says it"


def test_no_cache_keeps_a_page_but_the_calendar_and_the_public_log(every_answer):
    kept = set()
    for asked, answer in every_answer.items():
        is_public = asked[2] == CALENDAR or LOG.fullmatch(asked[2])
        if asked[1] == "get" and is_public and answer.status_code == 200:
            assert answer.headers["Cache-Control"] == "public, max-age=60", asked
            assert "Cookie" not in answer.headers.get("Vary", "") and not answer.cookies, asked
            kept.add(asked[2])
        elif asked[1:] == ("get", "/api/trees/"):
            assert answer.headers["Cache-Control"] == "public, max-age=15"
        else:
            assert "no-store" in answer.headers["Cache-Control"], asked
    assert {CALENDAR, "/changes/", "/changes/feed.atom", "/api/changes/"} <= kept


def test_what_a_cache_keeps_is_the_same_for_everybody(every_answer):
    for (role, method, address), answer in every_answer.items():
        if method == "get" and LOG.fullmatch(address) and not answer.streaming:
            stranger = every_answer[Role.PUBLIC, "get", address]
            assert (answer.status_code, answer.content) == (stranger.status_code, stranger.content), (role, address)


def test_the_pages_of_downtimes_were_really_read(every_answer):
    read = {asked for asked, answer in every_answer.items() if answer.status_code == 200 and "get" in asked}
    pages = "\n".join(address for role, _, address in read if role == Role.DUTY)
    for part in ("/", "/plan/", "/notice/", "/agreement/", r"/items/\d+/", "/edit/"):
        assert re.search(rf"^/downtimes/\d+{part}$", pages, re.MULTILINE), part
    for address in (r"/sign-off/[\w-]+/", r"/downtimes/request/\d+/", r"/downtimes/review/\d+/decline/"):
        assert re.search(rf"^{address}$", pages, re.MULTILINE), address


def test_nothing_runs_or_styles_inline_on_any_page(every_answer):
    pages = [
        answer
        for asked, answer in every_answer.items()
        if answer.headers.get("Content-Type", "").startswith("text/html") and not is_saved(asked, answer)
    ]
    assert len(pages) > 50
    for answer in pages:
        assert Page(answer.content.decode()).inline == []


def test_cookies_are_kept_from_scripts_and_other_sites(people):
    browser = browser_of()
    people[Role.DUTY].set_password("four words of duty")
    people[Role.DUTY].save()
    browser.post("/sign-in/", {"username": "duty", "password": "four words of duty"})
    browser.get("/")
    assert len(browser.cookies) == 2
    for name, cookie in browser.cookies.items():
        assert cookie["samesite"] == "Lax"
        assert cookie["httponly"] or "csrf" in name


def test_over_https_cookies_and_policies_are_strict(tmp_path):
    """The settings of a real installation, read by a process of their own."""
    asked = [
        "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME",
        "SECURE_REFERRER_POLICY", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS", "DEBUG", "DEMO", "ALLOWED_HOSTS",
    ]  # fmt: skip
    told = subprocess.run(
        [sys.executable, "-c", f"from ciduty import settings; print([getattr(settings, name) for name in {asked}])"],
        env={"SITE_URL": "https://ciduty.example.com", "CIDUTY_ENV_FILE": "", "SECRET_KEY": "k" * 40, "PATH": ""}
        | {"CIDUTY_STATE_DIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    # Not "no-referrer": browsers then send "Origin: null" with every form, and the CSRF check refuses it.
    assert told.stdout.strip() == str(
        [
            True,
            True,
            "__Host-session",
            "__Host-csrf",
            "same-origin",
            True,
            31536000,
            False,
            False,
            ["ciduty.example.com"],
        ]
    )


# --- cost -------------------------------------------------------------------------------------------------------------


def queries(client, address, headers=None):
    client.get(address, headers=headers or {})  # sessions and content types are looked up once
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address, headers=headers or {}).status_code == 200
    return len(asked)


@pytest.mark.parametrize("headers", [{}, {"hx-request": "true"}], ids=["page", "part"])
@pytest.mark.parametrize(
    ("role", "address", "most"),
    [
        (Role.DUTY, "/", 21),
        (Role.DUTY, "/loaners/?show=all", 14),
        (Role.DEVELOPER, "/loaners/", 14),
        (Role.PUBLIC, "/", 10),
    ],
)
def test_a_page_asks_the_database_as_often_for_fifty_rows_as_for_five(clients, settings, role, address, most, headers):
    settings.BUGZILLA_URL = "http://127.0.0.1:9"
    for _ in range(5):
        request_with_words()
    few = queries(clients[role], address, headers)
    for _ in range(45):
        request_with_words()
    assert queries(clients[role], address, headers) == few <= most


def test_one_request_asks_as_often_for_fifty_events_as_for_five(clients, settings):
    settings.BUGZILLA_URL = "http://127.0.0.1:9"
    request = request_with_words()
    events_of(request, 5)
    few = queries(clients[Role.DUTY], f"/loaners/{request.pk}/")
    events_of(request, 45)
    assert queries(clients[Role.DUTY], f"/loaners/{request.pk}/") == few <= 28


def test_the_people_page_asks_as_often_for_fifty_people_as_for_five(clients):
    few = queries(clients[Role.LEAD], "/people/")
    for number in range(45):
        BugzillaLoginFactory(person__username=f"person {number}")
    assert queries(clients[Role.LEAD], "/people/") == few <= 6


@pytest.mark.parametrize("address", ["/livez", "/sign-in/", "/no/such/page/"])
def test_a_strangers_page_that_shows_nothing_asks_for_nothing_but_the_time(stranger, address):
    stranger.get(address)
    with CaptureQueriesContext(connection) as asked:
        stranger.get(address)
    assert len(asked) <= 1


# --- health -----------------------------------------------------------------------------------------------------------


def no_database(kind):
    """Return what makes every query fail, as it does when the database is down."""

    def refuse(execute, sql, params, many, context):
        raise kind("server closed the connection unexpectedly")

    return connection.execute_wrapper(refuse)


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_without_a_database_the_process_lives_and_is_not_ready(stranger, kind):
    assert stranger.get("/readyz").json() == {"ready": True}
    with no_database(kind):
        assert stranger.get("/livez").json() == {"alive": True}
        answer = stranger.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "why": "The database does not answer."}


def test_health_is_bad_until_the_first_poll_and_when_three_polls_are_missing(bugzilla, stranger, settings):
    settings.BUGZILLA_POLL_SECONDS = 300
    beat("tick")
    never = stranger.get("/healthz")
    assert (never.status_code, never.json()["bugzilla"]["seconds_since_last_poll"]) == (503, None)
    poll.poll()
    well = stranger.get("/healthz")
    assert well.status_code == 200
    assert well.json()["bugzilla"]["silent"] is False
    assert 0 <= well.json()["bugzilla"]["seconds_since_last_poll"] < 10
    clock.move(timedelta(seconds=890))
    beat("tick")
    assert stranger.get("/healthz").status_code == 200
    clock.move(timedelta(seconds=15))
    beat("tick")
    silent = stranger.get("/healthz")
    assert (silent.status_code, silent.json()["bugzilla"]["silent"]) == (503, True)


def test_without_an_address_of_bugzilla_health_says_silent(stranger):
    assert stranger.get("/healthz").json()["bugzilla"] == {
        "silent": True,
        "seconds_since_last_poll": None,
        "blocked": False,
    }


def test_a_block_shows_in_health_and_on_the_desk_and_sync_now_says_why(bugzilla, clients, settings):
    poll.poll()
    settings.BUGZILLA_API_KEY = "a key that is wrong"
    poll.poll()
    assert clients[Role.PUBLIC].get("/healthz").json()["bugzilla"]["blocked"] is True
    assert "Bugzilla does not accept the key" in page(clients[Role.DUTY], "/")
    clients[Role.DUTY].post("/sync/")
    told = page(clients[Role.DUTY], "/")
    assert "Not synced: Bugzilla does not accept the key" in told
    assert "a key that is wrong" not in told


# --- errors -----------------------------------------------------------------------------------------------------------


def test_what_breaks_is_said_without_a_detail_and_the_page_is_whole(clients, monkeypatch):
    def break_down(at):
        raise RuntimeError("a detail that is nobody's business")

    monkeypatch.setattr(desk_views.needs, "sections", break_down)
    clients[Role.DUTY].raise_request_exception = False
    answer = clients[Role.DUTY].get("/")
    text = answer.content.decode()
    assert answer.status_code == 500
    assert "<h1>Something broke here</h1>" in text and "tell CiDuty" in text
    assert "detail" not in text and "Traceback" not in text
    assert Page(text).inline == []


@pytest.mark.parametrize("role", [Role.PUBLIC, Role.DUTY])
def test_the_error_page_needs_no_database(clients, role):
    clients[role].raise_request_exception = False
    with no_database(OperationalError):
        answer = clients[role].get("/")
    assert answer.status_code == 500
    assert "<h1>Something broke here</h1>" in answer.content.decode()


def test_a_page_that_is_not_there_says_so_and_where_to_go(clients):
    stranger, duty = (page(clients[role], "/no/such/page/") for role in (Role.PUBLIC, Role.DUTY))
    for text in (stranger, duty):
        assert "<h1>There is no such page</h1>" in text
        assert '<a href="/">Back to the start</a>' in text
    assert "/sign-in/" in stranger
    assert "no/such/page" not in stranger


def test_a_page_for_others_says_whose_it_is(clients):
    answer = clients[Role.MANAGER].get("/people/")
    assert answer.status_code == 403
    assert "This page is not for your role" in answer.content.decode()
    assert "It is for: Lead. You are signed in as manager, with the role Manager." in answer.content.decode()


def test_a_form_without_its_token_says_what_to_do(duty):
    answer = browser_of(duty, enforce_csrf_checks=True).post("/sync/")
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()
