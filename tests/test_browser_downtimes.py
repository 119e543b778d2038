"""A downtime as five people click it: asked for, accepted, planned, agreed to, objected to, announced; an emergency.

The whole process tree runs as `make run` starts it; nothing is faked. The pre-approver has no account.
"""

import re
import time
from datetime import UTC, datetime, timedelta
from email import message_from_string, policy

import pytest

from tests.running_demo import become, faults_of_looks, looking_page, take, until_seen
from tests.test_downtime_rule_notice import BOILERPLATE

pytestmark = pytest.mark.browser

TITLE = "New load balancer for hg"
WORDING = "hg.mozilla.org moves to a new load balancer; pushes fail for some minutes."
#: Within three minutes of `make run` (the issue); the demo is up when a test begins.
WITHIN = 180


@pytest.fixture(scope="module")
def demo(running_demo):
    return running_demo


def ask(page, demo, summary="Replace the hg load balancer", wording=WORDING):
    """Ask for a downtime as IT, for a bug that is filed for it, and return the bug's number."""
    become(page, demo, "scheduler")
    page.goto(demo.home + "/downtimes/request/")
    page.get_by_label("Which system?").fill("hg.mozilla.org")
    page.get_by_label("There is none yet").check()
    page.get_by_label("Its summary").fill(summary)
    page.get_by_label("The exact wording").fill(wording)
    page.get_by_label("What is done, step by step").fill("Switch the address, check pushes.")
    page.get_by_label("Minutes when all goes well").fill("45")
    page.get_by_label("How is it rolled back?").fill("Switch it back.")
    page.get_by_label("Minutes to roll back").fill("10")
    page.get_by_label("Soon: within").check()
    page.get_by_role("button", name="Send the request").click()
    until_seen(page, "Bugzilla has it, as bug")
    return re.search(r"as bug (\d+)", page.locator("main").inner_text())[1]


def accept(page, demo, bug, title=TITLE):
    """Accept it as duty into a new window, as the preview shows it, and return the window's address."""
    become(page, demo, "duty")
    page.goto(demo.home + "/downtimes/review/")
    page.locator("tr", has=page.get_by_text(bug)).get_by_role("link", name="Accept").click(timeout=40_000)
    page.get_by_label("Into which window?").select_option(label="A new window")
    page.get_by_label("Title of the new window").fill(title)
    page.get_by_role("button", name="Show what will be written").click()
    assert "Nothing was sent yet." in page.locator("main").inner_text()
    page.get_by_role("button", name="Send", exact=True).click()
    until_seen(page, "Accepted.")
    page.goto(demo.home + "/downtimes/")
    page.get_by_role("link", name=title).first.click()
    return page.url


def plan(page, demo, bug, starts_in):
    """Enter the window, name the worker, give them the bug, and confirm being there."""
    plan_at = page.url
    starts_at = datetime.now(UTC) + starts_in
    page.get_by_role("button", name="Change the window").click()
    page.get_by_label("UTC", exact=True).check()
    for label, at in (("Start", starts_at), ("End", starts_at + timedelta(hours=2))):
        page.get_by_label(label, exact=True).fill(f"{at:%Y-%m-%d}")
    page.locator("input[name=starts_time]").fill(f"{starts_at:%H:%M}")
    page.locator("input[name=ends_time]").fill(f"{starts_at + timedelta(hours=2):%H:%M}")
    page.get_by_label("Urgency").select_option("soon")
    page.get_by_label("What is closed").select_option("hard")
    page.get_by_label("Trees").fill("autoland, mozilla-central")
    page.get_by_label("Duty person").select_option(label="Demo duty")
    page.get_by_label("Why it is separate").fill("It has a window of its own.")
    page.get_by_role("button", name="Save the window").click()
    page.get_by_role("link", name=f"Change bug {bug}").click()
    page.get_by_label("Worker").fill("scheduler@example.com")
    page.get_by_role("button", name="Save the work").click()
    page.get_by_role("button", name=f"Assign to worker: bug {bug}").click()
    page.get_by_role("button", name=re.compile("confirm|I am there", re.I)).click()
    for _ in range(60):
        page.goto(plan_at)
        if "not the assignee" not in page.locator("main").inner_text():
            return
        time.sleep(0.5)
    pytest.fail("The mirror never showed the new assignee.")


def mail_to(demo, address, subject="", seconds=40):
    """Return the newest mail to an address with such a subject, once it is in the sink."""
    for _ in range(seconds * 4):
        found = [message_from_string(text, policy=policy.default) for text in demo.mails()]
        found = [mail for mail in found if mail["To"] == address and subject.lower() in mail["Subject"].lower()]
        if found:
            return found[-1]
        time.sleep(0.25)
    raise AssertionError(f"No mail with {subject!r} came to {address}.")


def answer(context, mail, decision, words=""):
    """Open the link of a mail as somebody without an account, and answer with the code that the mail prints."""
    text = mail.get_content()
    page = context.new_page()
    page.goto(re.search(r"http://\S+/sign-off/\S+/", text)[0])
    page.get_by_role("radio", name=re.compile(decision)).check()
    if words:
        page.get_by_label("Your words").fill(words)
    page.get_by_label("Your code").fill(re.search(r"code for that page: (\d{6})", text)[1])
    take(page, f"sign-off-{decision.lower()}")
    page.get_by_role("button", name="Send my answer").click()
    page.wait_for_load_state()
    said = page.locator("main").inner_text()
    page.close()
    return said


def ask_workers(page, plan_at):
    page.goto(plan_at.replace("/plan/", "/notice/"))
    page.get_by_role("button", name="Ask the workers").click()
    until_seen(page, "The workers are asked about version")


def ask_pre_approvers(page, plan_at):
    page.goto(plan_at.replace("/plan/", "/agreement/"))
    page.get_by_role("button", name="Ask the pre-approvers").first.click()
    until_seen(page, "The pre-approvers are asked about version")


def test_five_people_bring_a_downtime_from_the_request_to_the_announcement(demo, page, browser):
    began = time.monotonic()
    bug = ask(page, demo)
    plan_at = accept(page, demo, bug)
    plan(page, demo, bug, timedelta(days=3))
    take(page, "downtime-plan")
    outside = browser.new_context()  # nobody is signed in there

    ask_workers(page, plan_at)
    assert "version 1" in answer(outside, mail_to(demo, "scheduler@example.com", "Please agree"), "Approve")
    ask_pre_approvers(page, plan_at)
    said = answer(outside, mail_to(demo, "pre-approver@example.com", "version 1"), "Object", "A release ships then.")
    assert "Your answer to version 1: object" in said
    page.goto(plan_at)
    assert "Demo pre-approver objected" in page.locator("main").inner_text()
    take(page, "downtime-objected")

    page.goto(plan_at.replace("/plan/", "/notice/"))
    page.get_by_label("Effect on releases").fill("None: the release of that day ships before it.")
    page.get_by_role("button", name="Save the words").click()
    ask_workers(page, plan_at)
    answer(outside, mail_to(demo, "scheduler@example.com", "version 2"), "Approve")
    ask_pre_approvers(page, plan_at)
    answer(outside, mail_to(demo, "pre-approver@example.com", "version 2"), "Approve")
    answer(outside, mail_to(demo, "manager@example.com", "version 2"), "Approve")
    page.goto(plan_at)
    page.get_by_role("button", name="Announce version 2").click()
    until_seen(page, "Announced:")
    assert time.monotonic() - began < WITHIN

    sent = mail_to(demo, "dev-planning@example.com", TITLE)
    assert WORDING.split(";")[0] in " ".join(sent.get_content().split())
    assert " ".join(BOILERPLATE.split()) in " ".join(sent.get_content().split())
    assert "/sign-off/" not in sent.get_content()
    copy = mail_to(demo, "release@example.com", "version 2")
    assert "/sign-off/" not in copy.get_content() and "code for that page" not in copy.get_content()
    for _ in range(60):
        page.goto(plan_at)
        if "all 2 accepted" in page.locator("main").inner_text():
            break
        time.sleep(0.5)
    take(page, "downtime-announced")
    assert "all 2 accepted" in page.locator("main").inner_text()

    stranger = outside.new_page()
    stranger.goto(demo.home + "/downtimes/")
    stranger.get_by_role("link", name=TITLE).first.click()
    shown = stranger.locator("main").inner_text()
    assert WORDING in shown and "scheduler@example.com" not in shown
    take(stranger, "downtime-public")
    outside.close()


def test_an_emergency_goes_with_a_reason_and_a_manager(demo, page, browser):
    bug = ask(page, demo, "Replace a failing disk of hg", "A disk of hg.mozilla.org is replaced.")
    plan_at = accept(page, demo, bug, "Failing disk of hg")
    plan(page, demo, bug, timedelta(hours=6))
    assert "earliest lawful start" in page.locator("main").inner_text()
    page.locator("summary", has_text="It cannot wait for 24 hours").click()
    page.get_by_label("Why it cannot wait for 24 hours").fill("The second disk fails too.")
    page.get_by_role("button", name="Ask a manager").click()
    until_seen(page, "waits for a manager")
    become(page, demo, "manager")
    page.goto(plan_at)
    page.get_by_role("button", name="Agree to the emergency").click()
    until_seen(page, "You agreed")
    become(page, demo, "duty")
    outside = browser.new_context()
    ask_workers(page, plan_at)
    answer(outside, mail_to(demo, "scheduler@example.com", "Failing disk"), "Approve")
    ask_pre_approvers(page, plan_at)
    answer(outside, mail_to(demo, "pre-approver@example.com", "Failing disk"), "Approve")
    page.goto(plan_at)
    page.get_by_role("button", name="Announce version").click()
    until_seen(page, "Announced:")
    text = " ".join(mail_to(demo, "dev-planning@example.com", "Failing disk").get_content().split())
    assert "The second disk fails too." in text and "Demo manager" in text
    take(page, "downtime-emergency")
    outside.close()


def test_the_pages_of_downtimes_are_accessible_and_fit_the_screen(demo, browser):
    page = looking_page(browser)
    become(page, demo, "lead")
    names = ("", "1/", "1/plan/", "1/edit/", "1/notice/", "1/agreement/", "request/", "review/", "lists/", "new/")
    found = sum((faults_of_looks(page, f"{demo.home}/downtimes/{name}") for name in names), [])
    page.context.close()
    assert found == []
