"""The change log as a newcomer clicks it, by keyboard alone: what broke the pool; then duty publishes; axe; phone.

The whole process tree runs as `make run` starts it; its demo repository is read by git, nothing is faked.
"""

import re
import time

import pytest

from tests.running_demo import become, faults_of_looks, looking_page, take, until_seen

pytestmark = pytest.mark.browser

POOL = "gecko-t/win11-64-2009"
#: Within three minutes of `make run` (the issue); the demo is up when a test begins.
WITHIN = 180


@pytest.fixture(scope="module")
def demo(running_demo):
    return running_demo


def bug_that_tells_of_it(page, demo):
    """Return the number of the demo's bug about the pool, as anybody finds it in the sandbox Bugzilla."""
    page.goto(demo.sandbox)
    return re.search(rf"(\d{{7}})\s[^\n]*{POOL}: no task", page.locator("body").inner_text())[1]


def press_until(page, key, focused, most=60):
    """Press a key until what has the focus answers to a JavaScript test."""
    for _ in range(most):
        page.keyboard.press(key)
        if page.evaluate(f"(e => {focused})(document.activeElement)"):
            return
    pytest.fail(f"{key} never came to: {focused}")


def test_a_newcomer_finds_what_broke_the_pool_by_keyboard_alone(demo, page):
    bug = bug_that_tells_of_it(page, demo)
    began = time.monotonic()
    page.goto(demo.home)
    press_until(page, "Tab", "e.textContent.includes('what changed before it')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/changes/before/**")
    press_until(page, "Tab", "e.name === 'bad'")
    page.keyboard.type(f"bug {bug}")
    press_until(page, "Tab", "e.name === 'pool'")
    page.keyboard.type(POOL)
    page.keyboard.press("Enter")
    until_seen(page, "Look here first")
    first = page.locator("h2:has-text('Look here first') ~ *").locator("text=New image").first.inner_text()
    assert f"New image with generic-worker 64.2 for {POOL}" in first
    said = page.locator("main").inner_text()
    assert "same pool" in said and "an image of that pool" in said
    take(page, "changes-before")
    press_until(page, "Tab", f"e.textContent.includes('generic-worker 64.2 for {POOL}')")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r".*/changes/\d+/$"))
    assert "Windows 11 tests run with generic-worker 64.2." in page.locator("main").inner_text()
    assert time.monotonic() - began < WITHIN


def test_duty_publishes_with_one_key_and_one_line(demo, page, browser):
    become(page, demo, "duty")
    page.goto(demo.home + "/changes/queue/")
    take(page, "changes-queue")
    page.keyboard.press("e")
    page.keyboard.type("Decision tasks start with the same versions every time.")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Undo").wait_for(timeout=40_000)
    stranger = browser.new_context().new_page()
    stranger.goto(demo.home + "/changes/?q=decision")
    assert "Decision tasks start with the same versions every time." in stranger.locator("main").inner_text()
    take(stranger, "changes-public")

    page.goto(demo.home + "/changes/queue/")
    page.get_by_label("What changed?").fill("autoland: bumped worker image to 42, bug 1899999")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Undo").wait_for(timeout=40_000)
    stranger.goto(demo.home + "/changes/?bug=1899999")
    assert "bumped worker image to 42" in stranger.locator("main").inner_text()
    stranger.context.close()


PAGES = {
    "public": (
        "/", "/changes/", "/changes/density/", "/changes/before/", "/changes/digests/", "/api/docs/", "/trees/",
        "ANSWER", "CHANGE",
    ),
    "duty": ("/changes/queue/", "/changes/add/", "/changes/sources/", "/systems/", "RECORD", "CORRECT", "JUDGE"),
    "lead": ("/changes/sources/add/", "/people/tokens/", "/people/tokens/add/", "/systems/add/"),
}  # fmt: skip


def test_the_pages_of_changes_are_accessible_and_fit_the_screen(demo, browser):
    page = looking_page(browser)
    page.goto(demo.home + f"/changes/?pool={POOL}")
    change = page.locator("a[href^='/changes/'][href$='/']").evaluate_all(
        r"links => links.map(a => a.getAttribute('href')).find(href => /^\/changes\/\d+\/$/.test(href))"
    )
    named = {
        "ANSWER": f"/changes/before/?bad=20+minutes+ago&pool={POOL}",
        "CHANGE": change,
        "RECORD": f"{change}record/",
        "CORRECT": f"{change}correct/",
        "JUDGE": f"/changes/before/judge/?bad=20+minutes+ago&pool={POOL}",
    }
    found = []
    for role, addresses in PAGES.items():
        if role != "public":
            become(page, demo, role)
        for address in addresses:
            found += faults_of_looks(page, demo.home + named.get(address, address))
    page.context.close()
    assert found == []
