"""A loan's whole life, as a newcomer clicks it: asked for, questioned, prepared, lent, reminded, extended, taken back.

The whole process tree runs as `make run` starts it; nothing is faked. The clock is moved from the demo's own bar.
"""

import email
import email.policy
import re
import time

import pytest

from tests.running_demo import become, faults_of_looks, looking_page, take, until_seen

pytestmark = pytest.mark.browser

CLASS = "t-linux64-ms"
WHY = "Crash in the compositor that no virtual machine shows"
QUESTION = "Which suite fails, and do you need a screen?"
REPLY = "mochitest-media-2, and no screen."
WAY_IN = "ssh loaner@ the host; the gateway is the usual one."
#: Within three minutes of `make run` (the issue); the demo is up when a test begins.
WITHIN = 180


@pytest.fixture(scope="module")
def demo(running_demo):
    return running_demo


def open_loan(page, demo, role, bug):
    become(page, demo, role)
    page.goto(f"{demo.home}/loaners/{bug}/")


def unfold(page, label):
    page.locator("details.deed:not([open]) > summary", has_text=re.compile(f"^{label}$")).click()


def state_of(page):
    return page.locator("#facts .state").first.inner_text()


def until_state(page, state, seconds=40):
    page.locator("#facts dd:first-of-type .state", has_text=re.compile(f"^{state}$")).wait_for(timeout=seconds * 1000)


def move_clock(page, *steps):
    for step in steps:
        page.locator(".demo").get_by_role("button", name=step, exact=True).click()
        page.get_by_text(f"The demo’s clock is {step} further.").wait_for()
        page.wait_for_load_state()


def ask(page, demo):
    """Ask for a loaner as the developer, and return the number of its bug."""
    become(page, demo, "developer")
    page.get_by_role("button", name="Ask for a loaner").click()
    page.get_by_label("Machine class").select_option(CLASS)
    page.get_by_label("There is no bug yet").check()
    page.get_by_label("Why is try, or an interactive task, not enough?").fill(WHY)
    page.get_by_label("Your time zone").select_option("Europe/Bucharest")
    again = page.get_by_label("I know, and need another machine nevertheless")
    if again.count():
        again.check()
    page.get_by_role("button", name="Send the request").click()
    page.get_by_role("button", name="Follow it on its page").click(timeout=40_000)
    page.wait_for_url(re.compile(r"/loaners/\d+/$"))
    return page.url.rstrip("/").rpartition("/")[2]


def do_every_step(page, proof):
    """Write down every step of the list as done; its second look is somebody else's."""
    while page.get_by_role("button", name=re.compile("^Done: ")).count():
        step = page.locator(".steps > li", has=page.get_by_role("button", name=re.compile("^Done: "))).first
        step.get_by_label("Proof").fill(proof)
        with page.expect_navigation():
            step.get_by_role("button", name=re.compile("^Done: ")).click()


def open_mail(page, demo, subject):
    """Open the newest mail with such a subject on the demo's page of mails."""
    link = page.get_by_role("link", name=re.compile(subject)).first
    for _ in range(40):
        page.goto(demo.home + "/demo/mail/")
        if link.count():
            break
        time.sleep(0.5)
    link.click()


def comments_of(page, demo, bug):
    page.goto(f"{demo.sandbox}/show_bug.cgi?id={bug}")
    return page.locator("body").inner_text()


def test_a_newcomer_lends_a_machine_extends_the_loan_from_the_mail_and_takes_it_back(demo, page):
    began = time.monotonic()
    bug = ask(page, demo)
    assert "waiting" in page.locator("#facts").inner_text()
    assert state_of(page) == "Requested"

    # --- a question stops the clock, and the answer starts it again
    open_loan(page, demo, "duty", bug)
    take(page, "loan-requested")
    unfold(page, "Ask the requester")
    page.get_by_label("Question to the requester").fill(QUESTION)
    page.get_by_role("button", name="Ask the requester").click()
    until_state(page, "Needs info")
    page.locator("#history", has_text="from the requester: the clock pauses").wait_for(timeout=40_000)
    open_loan(page, demo, "developer", bug)
    page.get_by_label("Your answer").fill(REPLY)
    page.get_by_role("button", name="Answer the question").click()
    until_state(page, "Requested")

    # --- approved, prepared, handed over
    open_loan(page, demo, "duty", bug)
    unfold(page, "Approve")
    page.get_by_role("button", name="Approve").click()
    until_state(page, "Approved")
    take(page, "loan-choose")
    assert "Suggested: t-linux64-ms" in page.locator("#now").inner_text()
    page.get_by_role("button", name="Reserve it").click()
    until_state(page, "Preparing")
    host = page.locator("#facts dd a", has_text=CLASS).inner_text()
    do_every_step(page, "seen in the console")
    take(page, "loan-preparing")
    unfold(page, "Hand it over")
    assert page.get_by_role("button", name="Hand it over").is_disabled(), "nobody has taken the second look"
    unfold(page, "Write down an access that you granted")
    page.get_by_label("What was granted").fill("VPN group vpn-releng-loan")
    page.get_by_role("button", name="Write it down").click()
    open_loan(page, demo, "lead", bug)
    page.get_by_role("button", name=re.compile("^I looked at it too")).click()
    page.get_by_label("How to reach it, for the private letter").fill(WAY_IN)
    page.get_by_role("button", name="Show what will be sent").last.click()
    preview = page.locator("#hand-over").inner_text()
    assert "Nothing was sent yet." in preview and f"{host} is yours until" in preview
    assert "developer@example.com" in preview and WAY_IN in preview
    take(page, "loan-hand-over")
    page.get_by_role("button", name="Hand it over").click()
    until_state(page, "Active")

    # --- the letter, a reminder, extended from the mail
    become(page, demo, "developer")
    open_mail(page, demo, f"Your loaner {host} is ready")
    assert WAY_IN in page.locator("pre.letter").inner_text()
    take(page, "demo-mail")
    move_clock(page, "a week", "three days", "a day", "a day")
    open_mail(page, demo, f"Your loaner {host} is due on")
    page.locator("pre.letter a").first.click()
    page.wait_for_url(f"**/loaners/{bug}/")
    assert "Due soon" in page.locator("#facts").inner_text()
    take(page, "loan-due-soon")
    page.get_by_role("button", name="Extend").click()
    until_seen(page, "extended once")
    assert "Due soon" not in page.locator("#facts").inner_text()

    # --- overdue, given back, taken back
    move_clock(page, "a week", "a week", "three days", "three days")
    open_mail(page, demo, f"Your loaner {host} is overdue")
    page.locator("pre.letter a").first.click()
    assert "Overdue" in page.locator("#facts").inner_text()
    page.get_by_role("button", name="Give the machine back").click()
    until_state(page, "Return requested")
    become(page, demo, "duty")
    page.get_by_role("heading", name="Given back, to be taken back").wait_for()
    take(page, "desk-with-loans")
    page.goto(f"{demo.home}/loaners/{bug}/")
    page.get_by_role("button", name="Begin to take it back").click()
    until_state(page, "Reclaiming")
    do_every_step(page, "job 4711 green")
    take(page, "loan-reclaiming")
    assert page.get_by_role("button", name="Finish the loan").is_disabled(), "the access still stands"
    page.get_by_label("How you saw that it is gone").fill("the group’s list without them")
    page.get_by_role("button", name=re.compile("^Taken away")).click()
    page.get_by_role("button", name="Finish the loan").click()
    until_state(page, "Returned")
    page.locator("#facts", has_text="RESOLVED FIXED").wait_for(timeout=40_000)
    assert page.locator(".disagreement").count() == 0
    take(page, "loan-returned")
    assert time.monotonic() - began < WITHIN

    # --- what others read
    said = comments_of(page, demo, bug)
    for words in (QUESTION, REPLY, "Your request is approved", f"{host} is yours until", "The loan now ends on",
                  f"{host} is given back", "every access that was granted for the loan was taken away"):  # fmt: skip
        assert words in said, words
    assert WAY_IN not in said and "RESOLVED" in said
    mails = [email.message_from_string(mail, policy=email.policy.default) for mail in demo.mails()]
    ours = [mail for mail in mails if f"(bug {bug})" in mail["Subject"]]
    told = [(mail["To"], mail["Subject"]) for mail in ours]
    assert len(set(told)) == len(told), "no text comes twice"
    subjects = " ".join(subject for _, subject in told)
    assert all(words in subjects for words in ("is ready", "is due on", "is overdue", "does not answer")), subjects
    assert {to for to, _ in told} == {"developer@example.com", "manager@example.com"}


def a_waiting_request(page, demo):
    """Return the number of a request of the sandbox's own that waits and names its class."""
    become(page, demo, "duty")
    page.goto(f"{demo.home}/loaners/?class=t-w1064-ms&state=requested")
    return page.locator("td.summary a.number").first.inner_text()


def test_what_somebody_types_stays_while_the_page_refreshes_itself(demo, page):
    bug = a_waiting_request(page, demo)
    page.goto(f"{demo.home}/loaners/{bug}/")
    field = page.get_by_label("Comment on the bug")
    field.fill("Half a sentence")
    with page.expect_response(re.compile(r"\?seen="), timeout=20_000):
        pass
    page.wait_for_timeout(300)
    assert field.input_value() == "Half a sentence"
    assert page.evaluate("document.activeElement.name") == "comment"


def test_a_loan_is_steered_by_keyboard_alone(demo, page):
    bug = a_waiting_request(page, demo)
    page.goto(f"{demo.home}/loaners/{bug}/")
    summary = page.locator("details.deed > summary", has_text=re.compile("^Ask the requester$"))
    for _ in range(60):
        page.keyboard.press("Tab")
        if summary.evaluate("e => e === document.activeElement"):
            break
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("Which suite?")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    until_state(page, "Needs info")


def test_a_loan_is_given_out_without_scripts(demo, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    bug = a_waiting_request(page, demo)
    page.goto(f"{demo.home}/loaners/{bug}/")
    unfold(page, "Approve")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("button", name="Reserve it").click()
    assert state_of(page) == "Preparing"
    page.get_by_label("Proof").first.fill("seen")
    page.get_by_role("button", name=re.compile("^Done: ")).first.click()
    assert "seen" in page.locator(".steps > li").first.inner_text()
    context.close()


def test_the_pages_of_loans_are_accessible_and_fit_the_screen(demo, browser):
    page = looking_page(browser)
    become(page, demo, "lead")
    page.goto(f"{demo.home}/loaners/?show=all")
    bugs = page.locator("td.summary a.number").all_inner_texts()
    loans = [f"/loaners/{bug}/" for bug in bugs[:6]]
    people = ["/loaners/person/1/", "/loaners/person/2/"]
    machines = ["/machines/", "/machines/1/", "/machines/import/", "/loaners/request/"]
    paths = [*loans, "/", "/loaners/?show=all&state=overdue", *people, *machines, "/demo/mail/"]
    assert sum((faults_of_looks(page, demo.home + path) for path in paths), []) == []
    page.context.close()
