"""The demo's downtime as two people run it in a browser: from the announcement to TREE OPEN, on one run sheet.

The whole process tree runs as `make run` starts it; nothing is faked. Only its clock is moved, as its bar does.
"""

import re
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from ciduty.demo.downtime import TITLE, WORK
from tests.running_demo import become, faults_of_looks, looking_page, take, until_seen
from tests.test_browser_downtimes import mail_to

pytestmark = pytest.mark.browser

LANDED, ROLLED_BACK = "Both switches came back within ten minutes.", "The replica was two hours behind."


@pytest.fixture(scope="module")
def demo(running_demo):
    return running_demo


def move_clock(demo, by):
    """Move the clock of the demo and of its sandboxes; the bar of the demo moves it by days alone."""
    with closing(sqlite3.connect(demo.state / "ciduty.sqlite3", timeout=20)) as database, database:
        seconds = int(by.total_seconds())
        if not database.execute("UPDATE ciduty_clock_offset SET seconds = seconds + ?", [seconds]).rowcount:
            database.execute("INSERT INTO ciduty_clock_offset (id, seconds) VALUES (1, ?)", [seconds])
        [ahead] = database.execute("SELECT seconds FROM ciduty_clock_offset").fetchone()
    (demo.state / "sandbox-clock").write_text(str(ahead))


def first_mails(demo):
    """Return the Message-ID of the announcement by whom it went to: it counts as sent before the demo began."""
    with closing(sqlite3.connect(demo.state / "ciduty.sqlite3", timeout=20)) as database:
        asked = "SELECT recipient, message_id FROM outbox_mail WHERE purpose = 'downtimes: announcement'"
        return dict(database.execute(asked).fetchall())


def sheet_of(browser, demo, role):
    """Return the run sheet in a browser of its own."""
    page = browser.new_context().new_page()
    become(page, demo, role)
    page.goto(f"{demo.home}/downtimes/1/run/")
    return page


def do_next(page, says):
    """Press what the head of the sheet says is next."""
    page.locator("#next-do", has_text=says).click()


def tick(page, button, words=""):
    """Do a step of the sheet."""
    form = page.locator("form.verb", has=page.get_by_role("button", name=button, exact=True))
    form.locator("input[name=words]").fill(words)
    form.get_by_role("button").click()


def until_every_tree_says(page, word):
    """Wait for both trees to say a word: the sheet refreshes itself."""
    page.wait_for_function(
        "word => [...document.querySelectorAll('#trees-now tbody tr')].every(row => row.innerText.includes(word))",
        arg=word,
        timeout=40_000,
    )


def until_trees_are_read(page):
    """Wait for a poll after the clock was moved: the sheet says from when its trees are."""
    page.wait_for_function(
        "() => /heard from \\d+ s ago/.test(document.querySelector('#trees').innerText)", timeout=40_000
    )


def look(browser, demo, *addresses):
    """Return what is wrong with the looks of pages."""
    page = looking_page(browser)
    become(page, demo, "lead")
    found = sum((faults_of_looks(page, demo.home + address) for address in addresses), [])
    page.context.close()
    return found


def test_two_people_run_the_demos_downtime_to_tree_open(demo, browser):
    duty, lead = sheet_of(browser, demo, "duty"), sheet_of(browser, demo, "lead")
    assert TITLE in duty.locator("h1").inner_text() and "Announced" in duty.locator("h1").inner_text()
    assert "A merge to autoland may still be on its way" in duty.locator("#replies").inner_text()
    faults = look(browser, demo, "/downtimes/1/run/")
    for button, words in (("I read them", ""), ("I told the sheriff", "the sheriff on duty"), ("I looked", "")):
        tick(duty, button, words)
    take(duty, "run-before")

    move_clock(demo, timedelta(minutes=5))
    lead.reload()
    assert "Demo duty is the duty person of it" in lead.locator("#begin").inner_text()
    lead.locator("summary", has_text="Take the run over").click()
    lead.locator("form[action$='take-over/']").get_by_role("textbox").fill("Their shift is over.")
    lead.get_by_role("button", name="I run it from now on").click()
    do_next(lead, "Begin")
    do_next(lead, "Close the trees")
    until_every_tree_says(lead, "Closed by us")
    until_seen(duty, "Somebody went on")
    duty.reload()
    assert "Demo lead" in duty.locator(".facts").first.inner_text()
    until_every_tree_says(duty, "Closed by us")
    sheriff = duty.context.new_page()
    sheriff.goto(f"http://localhost:{int(demo.home.rpartition(':')[2]) + 3}/treestatus/")
    assert sheriff.get_by_text(f"Downtime: {TITLE}").count() >= 1
    take(lead, "run-closed")

    for page, work, outcome, words in (
        (duty, WORK[0], "Landed", LANDED), (lead, WORK[1], "Rolled back", ROLLED_BACK),
    ):  # fmt: skip
        page.reload()
        piece = page.locator("ol.pieces > li", has_text=work.public_text)
        piece.get_by_role("button", name=re.compile("^Start")).click()
        piece.locator("textarea").fill(words)
        piece.get_by_role("button", name=re.compile(f"^{outcome}")).click()
        page.locator(".outcome", has_text=words).wait_for()

    move_clock(demo, timedelta(hours=1))
    lead.reload()
    assert "past its planned end" in lead.locator("#live").inner_text()
    take(lead, "run-overdue")
    faults += look(browser, demo, "/downtimes/1/run/")
    lead.locator("#extend textarea").fill("We wait for the jobs of the last pushes.")
    lead.get_by_role("button", name="Extend it, and tell everybody").click()
    assert "past its planned end" not in lead.locator("#live").inner_text()

    tick(lead, "I checked")
    until_trees_are_read(lead)  # what was read an hour ago verifies nothing
    do_next(lead, "Reopen the trees")
    until_every_tree_says(lead, "Open")
    lead.reload()
    tick(lead, "The sheriff says so", "the sheriff on duty")
    lead.get_by_role("button", name="Read what is written, then send it").click()
    lead.get_by_role("button", name="Send to 2 bugs").click()
    lead.goto(f"{demo.home}/downtimes/1/run/tree-open/")
    take(lead, "run-tree-open")
    lead.get_by_role("button", name=re.compile("^Send TREE OPEN to")).click()
    assert "Done" in lead.locator("h1").inner_text()
    take(lead, "run-done")

    first = first_mails(demo)
    for address, message_id in first.items():
        told = mail_to(demo, address, f"TREE OPEN: {TITLE}")
        assert told["In-Reply-To"] == message_id
        text = " ".join(told.get_content().split())
        assert LANDED in text and ROLLED_BACK in text and "autoland: open, verified" in text
    extended = mail_to(demo, "dev-planning@example.com", "Extension")
    assert extended["In-Reply-To"] == first["dev-planning@example.com"]
    stranger = browser.new_context().new_page()
    stranger.goto(f"{demo.home}/downtimes/1/")
    assert LANDED in stranger.locator("main").inner_text()

    lead.goto(f"{demo.home}/downtimes/1/review/")
    lead.get_by_label("To do better").fill("Look at the replica a day before.")
    lead.get_by_role("button", name="Save the review").click()
    until_seen(lead, "The review is saved.")
    faults += look(browser, demo, "/downtimes/1/run/", "/downtimes/1/review/")
    for page in (duty, lead, stranger):
        page.context.close()
    assert faults == []


def test_an_outage_closes_trees_within_a_minute(demo, page, browser):
    become(page, demo, "duty")
    page.goto(demo.home + "/")
    page.get_by_role("button", name="Outage: close trees now").click()
    page.get_by_label("try", exact=True).check()
    page.get_by_label("Reason").fill("No worker takes tasks")
    page.get_by_role("button", name="Show the mail first").click()
    assert "Nothing was closed yet" in page.locator("main").inner_text()
    take(page, "outage-mail")
    page.get_by_role("button", name="Close the trees and tell everybody").click()
    page.wait_for_url("**/run/")
    until_every_tree_says(page, "Closed by us")
    assert "No worker takes tasks" in mail_to(demo, "dev-planning@example.com", "Outage").get_content()
    take(page, "outage-sheet")
    assert look(browser, demo, "/downtimes/outage/") == []
