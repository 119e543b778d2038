"""The first journey, as a newcomer takes it in a browser: file a bug, see it wait, answer it, see the clock stop.

The whole process tree runs as `make run` starts it; nothing is faked.
"""

import time

import pytest

from tests.running_demo import become, faults_of_looks, looking_page, take, until_seen

pytestmark = pytest.mark.browser

ANSWER = "t-w1064-ms-042 is being prepared for you."
SUMMARY = "Loan a t-w1064-ms machine to a newcomer: crash only on hardware"


@pytest.fixture(scope="module")
def demo(running_demo):
    return running_demo


def file_a_bug(page, demo, summary=SUMMARY):
    """File a bug in the sandbox as the developer, and return its number."""
    page.goto(demo.sandbox + "/enter_bug.cgi")
    page.get_by_label("Summary").fill(summary)
    page.get_by_label("Description").fill("Why: it never fails on try.")
    page.locator("main button[type=submit], main button").first.click()
    page.wait_for_url("**/show_bug.cgi?id=*")
    return page.url.rpartition("=")[2]


def test_a_newcomer_files_a_bug_sees_it_wait_answers_it_and_sees_the_clock_stop(demo, page):
    began = time.monotonic()
    bug = file_a_bug(page, demo)
    become(page, demo, "duty")
    page.locator(f"a[href='/loaners/{bug}/']").wait_for(timeout=40_000)
    row = page.locator("tr", has=page.locator(f"a[href='/loaners/{bug}/']"))
    assert "left" in row.inner_text()
    take(page, "desk-with-the-new-request")

    row.get_by_text(SUMMARY).click()
    page.wait_for_url(f"**/loaners/{bug}/")
    assert "Answer by" in page.locator("main").inner_text()
    page.get_by_role("button", name="Answer", exact=True).click()
    page.get_by_label("Comment on the bug").fill(ANSWER)
    page.get_by_role("button", name="Show what will be sent").click()
    assert "Nothing was sent yet." in page.locator("#answer").inner_text()
    take(page, "answer-as-it-will-be-sent")
    page.get_by_role("button", name="Send the answer").click()

    until_seen(page, "Demo duty from here, with a comment")
    assert "Answered" in page.locator("#facts").inner_text()
    take(page, "answered-from-here")
    bugzilla = page.context.new_page()
    bugzilla.goto(f"{demo.sandbox}/show_bug.cgi?id={bug}")
    assert bugzilla.get_by_text(ANSWER).count() == 1
    bugzilla.close()
    page.goto(demo.home + "/")
    assert page.locator(f"a[href='/loaners/{bug}/']").count() == 0
    assert time.monotonic() - began < 180


def test_an_answer_given_in_bugzilla_itself_stops_the_clock_too(demo, page):
    bug = file_a_bug(page, demo, "Loan a t-linux64-ms machine to a newcomer")
    page.goto(f"{demo.sandbox}/show_bug.cgi?id={bug}")  # anew: who has just filed it would comment as the developer
    page.locator("textarea").first.fill(ANSWER)
    with page.expect_navigation():
        page.get_by_role("button", name="comment").first.click()
    become(page, demo, "duty")
    page.goto(demo.home + "/loaners/?show=answered")
    page.locator(f"td.summary a[href='/loaners/{bug}/']").wait_for(timeout=40_000)
    page.locator(f"td.summary a[href='/loaners/{bug}/']").click()
    until_seen(page, "by a comment in Bugzilla")


def test_a_check_mail_leaves_and_the_outbox_says_when(demo, page):
    become(page, demo, "duty")
    page.goto(demo.home + "/outbox/")
    page.get_by_role("button", name="check mail").click()
    until_seen(page, "Check that mail leaves")
    page.goto(demo.home + "/outbox/?show=left")
    until_seen(page, "Check that mail leaves")
    wanted = ("To: duty@example.com", "Auto-Submitted: auto-generated")
    assert [mail for mail in demo.mails() if all(words in mail for words in wanted)]


@pytest.mark.parametrize("role", ["public", "developer", "scheduler", "manager", "duty", "lead"])
def test_one_click_signs_in_as_each_role(demo, page, role):
    become(page, demo, role)
    assert page.locator(".demo button[aria-pressed=true]").inner_text() == role
    heading = {"public": "CiDuty, the people on CI duty", "duty": "Desk", "lead": "Desk", "manager": "Loaner requests"}
    assert page.locator("h1").inner_text() == heading.get(role, "Your loaner requests")


def test_sync_now_brings_news_without_a_reload(demo, page):
    become(page, demo, "duty")
    page.get_by_role("button", name="Sync now").click()
    until_seen(page, "Asked Bugzilla for news")
    until_seen(page, "Sync now")


def test_pages_are_accessible_and_fit_the_screen(demo, browser):
    page = looking_page(browser)
    become(page, demo, "lead")
    detail = page.locator("td.summary a:not(.number)").first.get_attribute("href")
    lists = ["/", detail, "/loaners/?show=all", "/outbox/", "/outbox/?show=left"]
    paths = [*lists, "/people/", "/people/add/", "/styleguide/"]
    assert sum((faults_of_looks(page, demo.home + path) for path in paths), []) == []
    page.context.close()


def test_the_pages_work_without_scripts(demo, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    become(page, demo, "duty")
    page.locator("td.summary a:not(.number)").first.click()
    assert page.locator("h2", has_text="The clock").count() == 1
    page.goto(demo.home + "/")
    page.get_by_role("button", name="Sync now").click()
    assert "Asked Bugzilla for news" in page.locator("main").inner_text()
    context.close()
