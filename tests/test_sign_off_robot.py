"""A robot that opens every link of every mail and sends every form with every choice decides nothing; a person does."""

import re
from html.parser import HTMLParser
from itertools import product

import pytest

from ciduty import clock
from ciduty.outbox import as_sent
from ciduty.outbox.models import Mail
from downtimes import agreement, answering, asking_to_agree, reminders, rules, sign_off
from downtimes.models import Answer, Ask, Downtime, Item, ListUse, NoticeVersion
from downtimes.rules import Asked, Decision
from tests.cast import ApproverFactory, MailingListFactory, browser_of, every_row, planned_downtime

pytestmark = pytest.mark.django_db

OP, OP2, OP3, OP4 = "0123abcd", "1123abcd", "2123abcd", "3123abcd"
#: What tells a robot nothing: sessions are begun, and wrong codes are counted.
NO_DECISION = ["django_session", "people_failedsignin", "downtimes_ask"]


@pytest.fixture(autouse=True)
def mail_leaves(settings):
    """A mail server is configured; nothing is delivered."""
    settings.EMAIL_URL = "smtp://127.0.0.1:9"


def texts():
    """Return (recipient, text) of every mail, the oldest first."""
    return [(mail.recipient, as_sent.read(bytes(mail.message)).text) for mail in Mail.objects.order_by("pk")]


def links(text):
    """Return the path of every link to us in a text, less what ends a sentence."""
    return [path.rstrip(".,)") or "/" for path in re.findall(r"http://localhost(?::\d+)?(/\S*)", text)]


class Forms(HTMLParser):
    """The forms of a page: where each goes, and for each field the values that it may have."""

    def __init__(self, page):
        super().__init__()
        self.forms, self._select = [], None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        """Collect forms, fields and their choices."""
        attributes = dict(attributes)
        if tag == "form":
            self.forms.append((attributes.get("method", "get"), attributes.get("action", ""), {}))
        elif self.forms and tag in ("input", "textarea", "button", "select") and attributes.get("name"):
            values = self.forms[-1][2].setdefault(attributes["name"], [])
            values.append(attributes.get("value", ""))
            self._select = values if tag == "select" else None
        elif tag == "option" and self._select is not None:
            self._select.append(attributes.get("value", ""))


class Robot:
    """Opens links as a mail scanner does, and sends each form it finds, with each choice and each guess."""

    GUESSES = ("", "0", "000000", "123456", "999999")

    def __init__(self):
        self.client = browser_of(enforce_csrf_checks=True)
        self.sent = self.looked = 0

    def open(self, path):
        """Look in every way, then send what can be sent."""
        for method in ("head", "options", "get", "get"):
            answer = getattr(self.client, method)(path)
            self.looked += 1
        for method, action, fields in Forms(answer.content.decode()).forms:
            for filled in self._fillings(fields):
                getattr(self.client, method)(action or path, filled)
                self.sent += 1

    def _fillings(self, fields):
        """Yield the form filled in every way: with nothing but its hidden fields, too."""
        choices = {name: values for name, values in fields.items() if len(values) > 1}
        typed = [name for name, values in fields.items() if len(values) == 1 and name != "csrfmiddlewaretoken"]
        fixed = {name: values[0] for name, values in fields.items() if len(values) == 1}
        yield fixed
        for chosen in product(*([None, *values] for values in choices.values())):
            for guess in self.GUESSES:
                picked = {name: value for name, value in zip(choices, chosen, strict=True) if value is not None}
                yield fixed | picked | {name: fixed[name] or guess for name in typed}


@pytest.fixture
def downtime(duty):
    """A downtime with two workers and three pre-approvers, lists for copies, a version that was changed: every mail."""
    ApproverFactory(name="Anna", address="anna@example.com")
    ApproverFactory(name="Bert", address="bert@example.com")
    alternate = ApproverFactory(name="Alt", address="alt@example.com", is_pre_approver=False)
    ApproverFactory(name="Absent", absent_from=clock.now().date(), alternate=alternate)
    MailingListFactory(address="release@example.com", use=ListUse.COPY)
    MailingListFactory(address="infra-all@example.com", use=ListUse.COPY)
    return planned_downtime("one@example.com", "two@example.com")


def whole_life(downtime, duty):
    """Ask everybody, change the text, ask everybody anew, answer in every way, and remind."""
    for number, text in enumerate(("First firmware", "Second firmware")):
        Item.objects.filter(downtime=downtime).update(public_text=text)
        version = asking_to_agree.ask_workers(downtime, by=duty, op=f"{number:08}")
        for ask in version.asks.select_related("approver", "version__downtime"):
            answering.answer(ask, Decision.APPROVE, "", via="code")
        asking_to_agree.ask_pre_approvers(downtime, by=duty, op=f"{number:08}")
    asked = version.asks.filter(role=Asked.PRE_APPROVER).select_related("approver", "version__downtime")
    answer = answering.answer(asked.get(approver__name="Anna"), Decision.QUESTION, "Which hosts?", via="code")
    answering.settle(answer, "The core ones.", by=duty)
    answering.answer(asked.get(approver__name="Bert"), Decision.OBJECT, "Not this week", via="code")
    for hours in (23, 5, 1):
        clock.move(rules.latest_notice(downtime.starts_at) - clock.now() - hours * (reminders.HOUR))
        assert reminders.remind() > 0
    return version


def test_a_robot_decides_nothing_and_in_the_same_run_a_person_signs(downtime, duty):
    asking_to_agree.ask_workers(downtime, by=duty, op=OP)
    [(_, mail_of_one), (_, mail_of_two)] = texts()
    before = every_row(leave_out=NO_DECISION)
    robot = Robot()
    for _, text in texts():
        for path in links(text):
            robot.open(path)
    assert robot.looked >= 8 and robot.sent >= 40
    assert every_row(leave_out=NO_DECISION) == before
    assert not Answer.objects.exists()

    # A robot that guessed locked the link: the person is asked anew, with a link and a code that nobody guessed at.
    assert all(map(sign_off.is_locked, Ask.objects.all())) or Ask.objects.filter(wrong_codes__gt=0).exists()
    Ask.objects.update(wrong_codes=sign_off.MOST_WRONG_CODES)
    asking_to_agree.ask_workers(downtime, by=duty, op=OP2)
    for address in ("one@example.com", "two@example.com"):
        text = [text for recipient, text in texts() if recipient == address][-1]
        [path] = [path for path in links(text) if "/sign-off/" in path]
        [code] = re.findall(r"Your code for that page: (\d{6})", text)
        person = browser_of(enforce_csrf_checks=True, REMOTE_ADDR="192.0.2.1")
        page = person.get(path).content.decode()
        [field] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        person.post(path, {"decision": "approve", "code": code, "csrfmiddlewaretoken": field})
    assert agreement.votes(NoticeVersion.objects.get(), Asked.WORKER) == rules.Votes(asked=2, approved=2)


def test_a_robot_that_types_no_code_leaves_the_link_whole(downtime, duty, monkeypatch):
    monkeypatch.setattr(Robot, "GUESSES", ("", "x"))
    asking_to_agree.ask_workers(downtime, by=duty, op=OP)
    before = every_row(leave_out=["django_session"])
    robot = Robot()
    for _, text in texts():
        for path in links(text):
            robot.open(path)
    assert robot.sent >= 16
    assert every_row(leave_out=["django_session"]) == before


def test_this_robot_decides_where_a_link_alone_does(downtime, duty, monkeypatch):
    asking_to_agree.ask_workers(downtime, by=duty, op=OP)
    monkeypatch.setattr(sign_off, "refuse_code", lambda *args, **kwargs: "")
    for _, text in texts():
        for path in links(text):
            Robot().open(path)
    assert Answer.objects.count() == 2


def test_across_the_mails_of_a_whole_downtime_a_token_stands_in_a_mail_to_exactly_one_person(downtime, duty):
    whole_life(downtime, duty)
    holders, purposes = {}, set()
    for mail in Mail.objects.all():
        raw = bytes(mail.message).decode()
        text = as_sent.read(bytes(mail.message)).text
        tokens = set(re.findall(r"/sign-off/([\w-]+)", raw + text))
        purposes.add(mail.purpose)
        assert (mail.purpose == agreement.AGREEMENT) == bool(tokens) == ("Your code for that page" in text)
        for token in tokens:
            holders.setdefault(token, []).append(mail.recipient)
        assert raw.count("\nTo: ") == 1 and "\nCc:" not in raw and "\nBcc:" not in raw
    assert len(holders) == Ask.objects.count() == 10  # two versions, two workers and three pre-approvers each
    assert all(len(recipients) == 1 for recipients in holders.values())
    lists = {"release@example.com", "infra-all@example.com"}
    assert lists.isdisjoint(recipient for recipients in holders.values() for recipient in recipients)
    assert purposes == {
        agreement.AGREEMENT, agreement.COPY, agreement.OUTDATED, agreement.REMINDER, agreement.RECEIPT,
        agreement.SETTLED,
    }  # fmt: skip
    for token in holders:
        [ask] = Ask.objects.filter(token_sha256=sign_off.hash_of_token(token)).select_related("approver")
        assert holders[token] == [ask.approver.address]


def test_no_page_of_duty_shows_a_link_that_answers(downtime, duty):
    whole_life(downtime, duty)
    browser = browser_of(duty)
    tokens = [
        token
        for mail in Mail.objects.filter(purpose=agreement.AGREEMENT)
        for token in re.findall(r"/sign-off/([\w-]+)", as_sent.read(bytes(mail.message)).text)
    ]
    assert tokens
    for address in (f"/downtimes/{downtime.pk}/agreement/", f"/downtimes/{downtime.pk}/notice/", "/outbox/"):
        page = browser.get(address).content.decode()
        assert not [token for token in tokens if token in page]
    assert Downtime.objects.get().state == "agreeing"
