"""The first journey, as a newcomer takes it in a browser: file a bug, see it wait, answer it, see the clock stop.

The whole process tree runs as `make run` starts it; nothing is faked.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ciduty import ports

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parent.parent
AXE = ROOT / "tests" / "vendor" / "axe.min.js"
SUMMARY = "Loan a t-w1064-ms machine to a newcomer: crash only on hardware"


class Demo:
    """A running demo: where its pages and its sandbox stand."""

    def __init__(self, port):
        self.home = f"http://localhost:{port}"
        self.sandbox = f"http://localhost:{port + 1}"


@pytest.fixture(scope="module")
def demo(browser, tmp_path_factory):
    port = ports.three_free()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CIDUTY_", "DATABASE_", "REDIS_"))
    }
    environment = kept | {
        "PORT": str(port),
        "CIDUTY_DEMO": "1",
        "CIDUTY_ENV_FILE": "",
        "CIDUTY_STATE_DIR": str(tmp_path_factory.mktemp("demo")),
    }
    command = [sys.executable, "manage.py", "supervise"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    told = []
    for line in process.stdout:
        told.append(line)
        if "Ctrl-C stops everything" in line:
            break
    else:
        pytest.fail("The demo did not start:\n" + "".join(told))
    yield Demo(port)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def become(page, demo, role):
    page.goto(demo.home + "/sign-in/")
    page.locator(f".demo button[value={role}]").click()


def until_seen(page, text, seconds=40):
    """Wait for the page's own refreshing to show a text; nothing is reloaded by hand."""
    page.get_by_text(text).first.wait_for(timeout=seconds * 1000)


def test_a_newcomer_files_a_bug_sees_it_wait_answers_it_and_sees_the_clock_stop(demo, page):
    began = time.monotonic()
    page.goto(demo.sandbox + "/enter_bug.cgi")
    page.get_by_label("Summary").fill(SUMMARY)
    page.get_by_label("Description").fill("Why: it never fails on try.")
    page.locator("main button[type=submit], main button").first.click()
    page.wait_for_url("**/show_bug.cgi?id=*")
    bug_page = page.url
    bug = bug_page.rpartition("=")[2]

    become(page, demo, "duty")
    page.locator(f"a[href='/loaners/{bug}/']").wait_for(timeout=40_000)
    row = page.locator("tr", has=page.locator(f"a[href='/loaners/{bug}/']"))
    assert "left" in row.inner_text()
    page.screenshot(path=_shot("desk-with-the-new-request"), full_page=True)

    row.get_by_text(SUMMARY).click()
    page.wait_for_url(f"**/loaners/{bug}/")
    assert "Answer by" in page.locator("main").inner_text()

    answering = page.context.new_page()
    answering.goto(bug_page)
    answering.locator("textarea").first.fill("t-w1064-ms-042 is being prepared for you.")
    answering.get_by_role("button", name="comment").first.click()
    answering.get_by_text("t-w1064-ms-042 is being prepared for you.").first.wait_for()
    answering.close()

    until_seen(page, "by a comment in Bugzilla")
    assert "Answered" in page.locator(".facts").inner_text()
    page.goto(demo.home + "/")
    assert page.locator(f"a[href='/loaners/{bug}/']").count() == 0
    assert time.monotonic() - began < 180


def _shot(name):
    folder = Path(os.environ.get("SCREENSHOTS", "") or os.environ["CIDUTY_STATE_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder / f"{name}.png")


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_are_accessible_and_fit_the_screen(demo, browser, scheme, width):
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 844}, bypass_csp=True)
    page = context.new_page()
    problems = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    become(page, demo, "lead")
    detail = page.locator("td.summary a:not(.number)").first.get_attribute("href")
    for path in ("/", detail, "/loaners/?show=all", "/people/", "/people/add/", "/styleguide/"):
        page.goto(demo.home + path)
        page.screenshot(path=_shot(f"{path.strip('/').split('/')[0] or 'desk'}-{scheme}-{width}"), full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is wider than the screen"
        page.add_script_tag(path=AXE)
        found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")["violations"]
        told = [f"{path}: {v['id']}: {node['target']} {node['failureSummary']}" for v in found for node in v["nodes"]]
        assert not told, "\n".join(told)
    assert not problems
    context.close()


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
