"""The page behind the link in a mail: what it shows, what its code decides, and how little a link alone is worth."""

import io
import logging
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ciduty import clock, logs
from ciduty.outbox import as_sent
from ciduty.outbox.models import Mail
from ciduty.people import throttle
from ciduty.people.models import FailedSignIn
from ciduty.people.roles import Role
from ciduty.record.models import Actor, Entry
from downtimes import agreement, answering, asking_to_agree, sign_off
from downtimes.models import Answer, Ask, Downtime, Item
from downtimes.rules import Asked
from tests.cast import ApproverFactory, at_once, browser_of, every_row, planned_downtime

pytestmark = pytest.mark.django_db

OP, OP2 = "0123abcd", "1123abcd"
HIDDEN = "No draft belongs to this address"


@pytest.fixture(autouse=True)
def mail_leaves(settings):
    """A mail server is configured; nothing is delivered."""
    settings.EMAIL_URL = "smtp://127.0.0.1:9"


def opened(mail):
    """Return the path of the page and the code that stand in a mail."""
    text = as_sent.read(bytes(mail.message)).text
    [link] = re.findall(r"http://\S+(/sign-off/\S+/)", text)
    [code] = re.findall(r"Your code for that page: ([0-9]{6})\n", text)
    return link, code


def newest_mail():
    return Mail.objects.filter(purpose=agreement.AGREEMENT).latest("pk")


@pytest.fixture
def link(duty):
    """A worker without an account was asked; the path of their page and their code."""
    asking_to_agree.ask_workers(planned_downtime(), by=duty, op=OP)
    return opened(newest_mail())


def wrong(code):
    return f"{(int(code) + 1) % 10**6:06}"


def sent(client, path, **typed):
    return client.post(path, {"decision": "approve"} | typed, follow=True)


def sent_once(client, link):
    return client.post(link[0], {"decision": "approve", "code": link[1]})


# --- looking ----------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_whole_draft_and_makes_no_choice(link, stranger):
    path, _ = link
    page = stranger.get(path).content.decode()
    assert "You answer as <strong>worker@example.com</strong>" in page
    assert Ask.objects.get().version.body.splitlines()[0] in page
    assert "New firmware for the switches." in page
    assert page.count('type="radio"') == 3 and "checked" not in page
    assert 'name="code"' in page


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_looking_changes_nothing(link, stranger, method):
    before = every_row()
    for _ in range(10):
        getattr(stranger, method)(link[0])
    assert every_row() == before


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_other_methods_are_refused(link, stranger, method):
    assert getattr(stranger, method)(link[0]).status_code == 405


def test_no_search_engine_cache_or_referer_keeps_the_address(link, stranger):
    for answer in (stranger.get(link[0]), stranger.post(link[0], {}), sent_once(stranger, link)):
        assert answer.headers["Referrer-Policy"] == "strict-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "noindex" in answer.headers["X-Robots-Tag"]


def test_the_page_loads_nothing_from_elsewhere_and_names_its_own_address_nowhere(link, stranger):
    page = stranger.get(link[0]).content.decode()
    assert "token" not in re.sub(r"csrfmiddlewaretoken", "", page)
    assert link[0] not in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.partition('class="paper"')[0])


# --- deciding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", ["approve", "object", "question"])
def test_the_code_decides(link, stranger, decision):
    path, code = link
    page = sent(stranger, path, decision=decision, words="Is it so?", code=code)
    assert page.status_code == 200
    assert f"Your answer to version 1: {decision}" in page.content.decode()
    answer = Answer.objects.get()
    assert (answer.decision, answer.words, answer.via) == (decision, "Is it so?", "code")
    entry = Entry.objects.get(verb="answered")
    assert (entry.actor, entry.by) == (Actor.OUTSIDE, None)


def test_a_code_may_be_typed_in_two_halves(link, stranger):
    path, code = link
    sent(stranger, path, code=f" {code[:3]}-{code[3:]} ")
    assert Answer.objects.exists()


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "000000 or 1=1"])
def test_what_is_no_code_is_refused_and_counts_as_no_guess(link, stranger, code):
    answer = sent(stranger, link[0], code=code)
    assert answer.status_code == 422
    assert "Nothing was decided" in answer.content.decode()
    assert not Answer.objects.exists()
    assert Ask.objects.get().wrong_codes == 0


def test_a_wrong_code_decides_nothing_and_what_was_typed_stays(link, stranger):
    path, code = link
    answer = sent(stranger, path, decision="object", words="Not this week", code=wrong(code))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "This is not the code of your mail" in page
    assert "Not this week" in page
    assert not Answer.objects.exists()
    assert Ask.objects.get().wrong_codes == 1


@pytest.mark.parametrize("typed", [{}, {"decision": "maybe"}, {"decision": "question"}])
def test_without_a_choice_or_without_the_question_itself_nothing_is_decided(link, stranger, typed):
    path, code = link
    assert stranger.post(path, {"code": code} | typed).status_code == 422
    assert not Answer.objects.exists()


def test_an_objection_needs_no_more_than_an_approval(link, stranger):
    sent(stranger, link[0], decision="object", code=link[1])
    assert Answer.objects.get().decision == "object"


def test_no_form_acts_without_its_cookie(link):
    client = browser_of(enforce_csrf_checks=True)
    assert client.post(link[0], {"decision": "approve", "code": link[1]}).status_code == 403
    assert not Answer.objects.exists()
    page = client.get(link[0]).content.decode()
    [field] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    client.post(link[0], {"decision": "approve", "code": link[1], "csrfmiddlewaretoken": field})
    assert Answer.objects.exists()


def test_the_same_answer_twice_is_one_and_another_one_changes_it(link, stranger):
    path, code = link
    sent(stranger, path, code=code)
    before = every_row()
    sent(stranger, path, code=code)
    assert every_row() == before
    sent(stranger, path, code=code, decision="object", words="The release moved")
    assert Answer.objects.get().decision == "object"
    assert Entry.objects.filter(verb="answered").count() == 2
    assert Mail.objects.filter(purpose=agreement.RECEIPT).count() == 2


def test_the_code_of_one_person_is_worth_nothing_on_the_page_of_another(duty, stranger):
    asking_to_agree.ask_workers(planned_downtime("one@example.com", "two@example.com"), by=duty, op=OP)
    (one, code_of_one), (two, _) = (opened(mail) for mail in Mail.objects.order_by("pk"))
    ask = Ask.objects.get(approver__address="two@example.com")
    Ask.objects.filter(pk=ask.pk).update(code_sha256=Ask.objects.exclude(pk=ask.pk).get().code_sha256)
    assert sent(stranger, two, code=code_of_one).status_code == 422
    assert sent(stranger, one, code=code_of_one).status_code == 200


# --- guessing ---------------------------------------------------------------------------------------------------------


def test_ten_wrong_codes_lock_the_link_even_for_the_right_one(link, stranger):
    path, code = link
    for number in range(1, sign_off.MOST_WRONG_CODES + 1):
        FailedSignIn.objects.all().delete()  # each from another address
        page = sent(stranger, path, code=wrong(code)).content.decode()
        assert ("takes no code any more" in page) == (number == sign_off.MOST_WRONG_CODES)
    assert "takes no code any more" in stranger.get(path).content.decode()
    sent(stranger, path, code=code)
    assert not Answer.objects.exists()


def test_nine_wrong_codes_do_not_lock_it(link, stranger):
    path, code = link
    Ask.objects.update(wrong_codes=sign_off.MOST_WRONG_CODES - 1)
    sent(stranger, path, code=code)
    assert Answer.objects.exists()


def test_a_locked_link_is_replaced_by_asking_anew_and_the_old_one_leads_nowhere(link, stranger, duty):
    Ask.objects.update(wrong_codes=sign_off.MOST_WRONG_CODES)
    asking_to_agree.ask_workers(Downtime.objects.get(), by=duty, op=OP2)
    path, code = opened(newest_mail())
    assert path != link[0]
    assert stranger.get(link[0]).status_code == 404
    sent(stranger, path, code=code)
    assert Answer.objects.exists()
    assert Ask.objects.count() == 1


def test_an_address_that_guesses_at_many_links_has_to_wait(duty, stranger):
    asking_to_agree.ask_workers(planned_downtime("one@example.com", "two@example.com"), by=duty, op=OP)
    (one, code_of_one), (two, code_of_two) = (opened(mail) for mail in Mail.objects.order_by("pk"))
    for path, code in [(one, code_of_one), (two, code_of_two)] * 5:
        sent(stranger, path, code=wrong(code))
    page = sent(stranger, one, code=code_of_one).content.decode()
    assert "Too many wrong codes came from where you are" in page
    sent(browser_of(REMOTE_ADDR="192.0.2.7"), one, code=code_of_one)
    assert Answer.objects.count() == 1
    clock.move(throttle.WINDOW + timedelta(seconds=1))
    sent(stranger, two, code=code_of_two)
    assert Answer.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_guesses_at_the_same_moment_are_counted_each(duty):
    asking_to_agree.ask_workers(planned_downtime(), by=duty, op=OP)
    path, code = opened(newest_mail())
    guesses = [
        lambda number=number: sent(browser_of(REMOTE_ADDR=f"192.0.2.{number}"), path, code=wrong(code))
        for number in range(4)
    ]
    at_once(guesses)
    assert Ask.objects.get().wrong_codes == 4


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_token_and_code_stand_in_one_mail_and_nowhere_else(link):
    path, code = link
    token = path.split("/")[2]
    assert len(token) == 43
    mail = newest_mail()
    Mail.objects.filter(pk=mail.pk).update(message=b"")
    rows = repr(every_row())
    assert token not in rows
    ask = Ask.objects.get()
    assert len(ask.code_sha256) == len(ask.token_sha256) == 64
    assert sign_off.hash_of_code("another token", code) != ask.code_sha256


def test_tokens_are_256_bits_and_no_two_are_the_same():
    tokens = {sign_off.new_token() for _ in range(200)}
    assert len(tokens) == 200 and {len(token) for token in tokens} == {43}
    assert all(re.fullmatch("[0-9]{6}", sign_off.new_code()) for _ in range(200))


@pytest.mark.parametrize("token", ["x", "a" * 43, "a" * 5000, "../../etc", "%00", "\N{SNOWMAN}" * 43])
def test_a_token_that_was_never_made_leads_nowhere_and_says_what_to_do(stranger, token):
    answer = stranger.get(f"/sign-off/{token}/") if "/" not in token else stranger.get("/sign-off/a.b/")
    assert answer.status_code == 404
    assert HIDDEN in answer.content.decode()
    assert stranger.post(f"/sign-off/{'b' * 43}/", {"decision": "approve", "code": "123456"}).status_code == 404


# --- in other states --------------------------------------------------------------------------------------------------


def test_an_older_version_is_gone_and_says_that_a_newer_draft_exists(link, stranger, duty):
    path, code = link
    Item.objects.update(public_text="Other firmware")
    asking_to_agree.ask_workers(Downtime.objects.get(), by=duty, op=OP2)
    for answer in (stranger.get(path), sent(stranger, path, code=code)):
        assert answer.status_code == 410
        assert "A newer draft exists" in answer.content.decode()
    assert not Answer.objects.exists()
    path, _ = opened(newest_mail())
    page = stranger.get(path).content.decode()
    assert "What changed since version 1" in page
    assert "Other firmware" in page and "<del>" in page and "<ins>" in page


def test_what_changed_is_counted_from_the_version_that_they_were_asked_about(duty, stranger):
    ApproverFactory(address="anna@example.com")
    downtime = planned_downtime()
    version = asking_to_agree.ask_workers(downtime, by=duty, op=OP)
    _everybody_agrees(version)
    asking_to_agree.ask_pre_approvers(downtime, by=duty, op=OP)
    for number, text in ((2, "Second firmware"), (3, "Third firmware")):
        Item.objects.update(public_text=text)
        version = asking_to_agree.ask_workers(downtime, by=duty, op=f"{number:08}")
        _everybody_agrees(version)
    asking_to_agree.ask_pre_approvers(downtime, by=duty, op=OP2)
    mail = newest_mail()
    assert mail.recipient == "anna@example.com"
    page = stranger.get(opened(mail)[0]).content.decode()
    assert "What changed since version 1" in page
    assert "New firmware" in page and "Second firmware" not in page


def _everybody_agrees(version):
    for ask in version.asks.select_related("version__downtime", "approver"):
        answering.answer(ask, "approve", "", via="code")


@pytest.mark.parametrize("state", ["announced", "cancelled", "draft"])
def test_once_it_is_closed_an_approval_is_refused_and_an_objection_arrives(link, stranger, state):
    path, code = link
    Downtime.objects.update(state=state)
    assert "is still heard" in stranger.get(path).content.decode()
    refused = sent(stranger, path, code=code)
    assert refused.status_code == 409
    assert not Answer.objects.exists()
    sent(stranger, path, code=code, decision="object", words="The release moved")
    assert Entry.objects.filter(verb="objected late").exists()


def test_a_link_expires_when_the_window_begins(link, stranger):
    downtime = Downtime.objects.get()
    clock.move(downtime.starts_at - clock.now() + timedelta(seconds=2))
    assert sent(stranger, link[0], code=link[1]).status_code == 409
    assert not Answer.objects.exists()


# --- signed in --------------------------------------------------------------------------------------------------------


def test_the_very_person_needs_no_code_and_anybody_else_does(duty, developer, clients):
    ask = asking_to_agree.ask_workers(planned_downtime("developer@example.com"), by=duty, op=OP).asks.get()
    path, code = opened(newest_mail())
    page = clients[Role.LEAD].get(path).content.decode()
    assert 'name="code"' in page
    assert sent(clients[Role.LEAD], path).status_code == 422
    assert not Answer.objects.exists()
    page = clients[Role.DEVELOPER].get(path).content.decode()
    assert 'name="code"' not in page
    sent(clients[Role.DEVELOPER], path)
    assert Answer.objects.get(approver=ask.approver).via == "account"
    assert Entry.objects.get(verb="answered").by == developer


def test_an_alternate_reads_for_whom_they_answer(duty, stranger):
    worker = ApproverFactory(name="Worker", address="worker@example.com", is_pre_approver=False)
    alternate = ApproverFactory(name="Alt", is_pre_approver=False)
    ApproverFactory(name="Absent", alternate=alternate, absent_from=clock.now().date() - timedelta(days=1))
    downtime = planned_downtime()
    _everybody_agrees(asking_to_agree.ask_workers(downtime, by=duty, op=OP))
    asking_to_agree.ask_pre_approvers(downtime, by=duty, op=OP)
    path, code = opened(newest_mail())
    assert "<strong>Alt</strong> in place of Absent" in stranger.get(path).content.decode()
    sent(stranger, path, code=code)
    assert agreement.votes(downtime.versions.get(), Asked.PRE_APPROVER).approved == 1
    assert Entry.objects.filter(sentence="Alt for Absent approved version 1").exists()
    assert worker.asks.count() == 1


# --- the log ----------------------------------------------------------------------------------------------------------


def test_the_token_stands_in_no_line_of_the_log(link, stranger, duty):
    path, code = link
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(logs.formatter())
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        sent(stranger, path, code=wrong(code))
        browser_of(enforce_csrf_checks=True).post(path)
        stranger.put(path)
        Item.objects.update(public_text="Other firmware")
        asking_to_agree.ask_workers(Downtime.objects.get(), by=duty, op=OP2)
        stranger.get(path)
        logging.getLogger("django.request").warning("Gone: %s", f"http://testserver{path}?next={path}")
        stranger.get(path.replace("/sign-off/", "/sign-off/x"))
    finally:
        root.removeHandler(handler)
    assert "/sign-off/(token)" in lines.getvalue()
    assert path.split("/")[2] not in lines.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        "Not Found: /sign-off/SECRET/",
        'GET "/sign-off/SECRET/" 404',
        "next=%2Fsign-off%2FSECRET%2F&x=1",
        "http://localhost/sign-off/SECRET",
    ],
)
def test_a_token_is_taken_out_of_any_text(line):
    assert "SECRET" not in logs.without_tokens(line)
    assert logs.without_tokens("Sign-off is for /downtimes/5/") == "Sign-off is for /downtimes/5/"


# --- how often the database is asked ----------------------------------------------------------------------------------


def test_the_page_asks_the_database_a_bounded_number_of_times(link, stranger):
    stranger.get(link[0])
    with CaptureQueriesContext(connection) as captured:
        stranger.get(link[0])
    assert len(captured) <= 15
