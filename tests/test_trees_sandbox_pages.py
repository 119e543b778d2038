"""A newcomer plays the sheriff on the sandbox tree status's page: closes, opens, undoes; the API shows what was done.

Only the last test needs a browser.
"""

import re
from datetime import UTC, datetime

import pytest
import requests

from ciduty.trees.sandbox import LANDO, Sandbox, World, editing
from ciduty.trees.sandbox.seed import seed
from tests.running_demo import violations

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
NASTY = "<script>alert('1')</script> & \"quoted\" 🦊"
HOME = "/treestatus/"


@pytest.fixture(params=["standalone", "lando"])
def sandbox(request):
    """A sandbox of each generation with its first trees."""
    world = World(generation=request.param)
    world.set_clock(lambda: NOW)
    seed(world)
    with Sandbox(world) as running:
        yield running
    world.close()


@pytest.fixture
def player(sandbox):
    """A browser that remembers cookies."""
    with requests.Session() as session:
        yield session


def press(player, sandbox, path=HOME, **fields):
    """Send a form, and return the page it leads to."""
    return player.post(sandbox.url + path, data=fields, timeout=5)


def close(player, sandbox, *names, **fields):
    whole = {"status": "closed", "reason": "Bug 1900003 - bustage", "reason_category": "infra", "remember": "on"}
    return press(player, sandbox, trees=list(names), **whole | fields)


def tree(sandbox, name="autoland"):
    return sandbox.world.tree(name)


def test_the_first_address_leads_to_the_page(sandbox, player):
    page = player.get(sandbox.url + "/", timeout=5)

    assert page.url == sandbox.url + HOME
    assert all(f'value="{name["tree"]}"' in page.text for name in sandbox.world.trees())
    assert "Tests fail after the last merge from mozilla-central" in page.text


def test_trees_are_closed_together_and_the_page_says_so_once(sandbox, player):
    page = close(player, sandbox, "autoland", "mozilla-central")

    assert "Now closed: autoland, mozilla-central." in page.text
    assert "Now closed" not in player.get(sandbox.url + HOME, timeout=5).text
    closed = tree(sandbox)
    assert (closed["status"], closed["reason"], closed["tags"], closed["who"]) == (
        "closed",
        "Bug 1900003 - bustage",
        ["infra"],
        "sheriff@example.com",
    )
    prefix = "/api/treestatus" if sandbox.world.generation == LANDO else ""
    (entry,) = requests.get(f"{sandbox.url}{prefix}/stack", timeout=5).json()["result"]
    assert {row["tree"] for row in entry["trees"]} == {"autoland", "mozilla-central"}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"reason": ""}, "Closing needs a reason"),
        ({"reason": "   "}, "Closing needs a reason"),
        ({"reason_category": ""}, "Closing needs a category"),
        ({"reason_category": "weather"}, 'There is no category "weather"'),
        ({"status": "on fire"}, '"on fire" is no status'),
        ({"trees": []}, "No tree was chosen"),
        ({"trees": ["autoland", "pine"]}, 'There is no tree "pine"'),
    ],
)
def test_what_is_missing_is_said_and_nothing_typed_is_lost(sandbox, player, fields, why):
    sent = {"trees": ["autoland"], "status": "closed", "reason": "typed reason", "reason_category": "infra"}
    page = press(player, sandbox, **sent | {"message_of_the_day": "typed message"} | fields)

    assert why.replace('"', "&quot;") in page.text
    assert tree(sandbox)["status"] == "open"
    assert 'value="typed message"' in page.text
    assert ('value="typed reason"' in page.text) == ("reason" not in fields)
    assert ('value="autoland" checked' in page.text) == (fields.get("trees") != [])


def test_what_was_said_is_forgotten_by_the_server_too(sandbox):
    fields = {"trees": "autoland", "status": "open"}
    answer = requests.post(sandbox.url + HOME, data=fields, allow_redirects=False, timeout=5)
    cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}

    texts = [requests.get(sandbox.url + HOME, headers=cookie, timeout=5).text for _ in range(2)]

    assert ["Now open: autoland." in text for text in texts] == [True, False]


def test_a_tree_is_opened_and_set_to_approval_required(sandbox, player):
    press(player, sandbox, trees="comm-central", status="open", reason="", reason_category="")
    press(player, sandbox, trees="autoland", status="approval required", reason="soft freeze", reason_category="")

    assert (tree(sandbox, "comm-central")["status"], tree(sandbox)["status"]) == ("open", "approval required")
    assert sandbox.world.stack() == [], "not remembered unless it is asked for"


def test_a_message_of_the_day_is_put_up_and_taken_away(sandbox, player):
    close(player, sandbox, "autoland", message_of_the_day="Merge day on Monday")
    assert tree(sandbox)["message_of_the_day"] == "Merge day on Monday"

    close(player, sandbox, "autoland")
    assert tree(sandbox)["message_of_the_day"] == ""


def test_a_remembered_change_is_restored_and_only_once(sandbox, player):
    close(player, sandbox, "autoland")
    number = sandbox.world.stack()[0]["id"]

    assert "as they were before it" in press(player, sandbox, f"/treestatus/stack/{number}", action="restore").text
    assert tree(sandbox)["status"] == "open"
    again = press(player, sandbox, f"/treestatus/stack/{number}", action="restore")
    assert "Nothing was changed" in again.text


def test_a_remembered_change_is_discarded_and_its_trees_stay(sandbox, player):
    close(player, sandbox, "autoland")

    press(player, sandbox, f"/treestatus/stack/{sandbox.world.stack()[0]['id']}", action="discard")

    assert (tree(sandbox)["status"], sandbox.world.stack()) == ("closed", [])


def test_the_page_warns_that_restoring_overwrites_a_newer_closure(sandbox, player):
    close(player, sandbox, "autoland")
    assert "restoring overwrites" not in player.get(sandbox.url + HOME, timeout=5).text

    editing.update(sandbox.world, "duty@example.com", ["autoland"], "closed", "another", ["planned"])

    assert "restoring overwrites" in player.get(sandbox.url + HOME, timeout=5).text


def test_a_reason_is_rewritten_on_the_stack_and_in_the_log(sandbox, player):
    close(player, sandbox, "autoland")
    number, log_id = sandbox.world.stack()[0]["id"], tree(sandbox)["log_id"]

    press(player, sandbox, f"/treestatus/stack/{number}", action="update", reason="longer", reason_category="planned")
    assert (tree(sandbox)["reason"], tree(sandbox)["tags"]) == ("longer", ["planned"])

    press(player, sandbox, f"/treestatus/log/{log_id}", reason="longest", reason_category="other")
    state = sandbox.world.stack()[0]["trees"][0]["last_state"]
    assert (tree(sandbox)["reason"], state["current_reason"], state["current_tags"]) == (
        "longest",
        "longest",
        ["other"],
    )


def test_a_tree_is_made_shown_and_deleted(sandbox, player):
    assert "is there now" in press(player, sandbox, "/treestatus/new_tree/", tree="pine", category="try").text
    assert "is there already" in press(player, sandbox, "/treestatus/new_tree/", tree="pine", category="try").text
    refused = press(player, sandbox, "/treestatus/new_tree/", tree="pi/ne", category="try")
    assert 'value="pi/ne"' in refused.text

    close(player, sandbox, "pine")
    assert "Bug 1900003 - bustage" in player.get(sandbox.url + "/treestatus/pine/logs", timeout=5).text
    assert "is gone, with its history" in press(player, sandbox, "/treestatus/pine/delete").text
    assert tree(sandbox, "pine") is None
    assert "Its trees are gone." in player.get(sandbox.url + HOME, timeout=5).text


@pytest.mark.parametrize("length", [32, 33])
def test_a_name_of_32_letters_is_the_longest(sandbox, player, length):
    press(player, sandbox, "/treestatus/new_tree/", tree="a" * length, category="other")

    assert (tree(sandbox, "a" * length) is not None) == (length == 32)


def test_nothing_that_was_typed_becomes_markup(sandbox, player):
    editing.create(sandbox.world, NASTY[:8], "<b>", message_of_the_day=NASTY)
    close(player, sandbox, "autoland", reason=NASTY, message_of_the_day=NASTY)
    done = close(player, sandbox, "<b>")
    refused = close(player, sandbox, NASTY, "<b>", reason=NASTY, reason_category=NASTY)

    assert "Now closed: &lt;b&gt;" in done.text and "There is no tree &quot;&lt;script&gt;" in refused.text
    for path in (HOME, HOME, "/treestatus/autoland/logs", "/treestatus/%3Cb%3E/logs", f"/treestatus/{NASTY}/logs"):
        text = player.get(sandbox.url + path, timeout=5).text
        assert "<script" not in text and "<b>" not in text, path


@pytest.mark.parametrize("path", [HOME, "/treestatus/new_tree/", "/treestatus/autoland/logs", "/treestatus/nothing"])
def test_pages_need_no_script_and_every_field_has_a_label(sandbox, player, path):
    answer = player.get(sandbox.url + path, timeout=5)

    assert "default-src 'none'; style-src 'self'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<(script|style)|\s(style|on\w+)=", answer.text)
    assert '<html lang="en">' in answer.text
    for field in re.findall(r"<(?:select|input type=\"(?:text|checkbox)\")[^>]*>", answer.text):
        before = answer.text[: answer.text.index(field)]
        assert before.count("<label") == before.count("</label>") + 1, field


def test_a_doubled_form_is_one_more_entry_in_the_log_as_on_the_real_page(sandbox, player):
    before = len(sandbox.world.logs("autoland"))
    close(player, sandbox, "autoland", "autoland")

    assert len(sandbox.world.logs("autoland")) == before + 1


@pytest.mark.browser
@pytest.mark.parametrize("sandbox", ["standalone"], indirect=True)
def test_a_sheriff_closes_and_reopens_by_keyboard_and_axe_finds_nothing(sandbox, browser):
    context = browser.new_context(viewport={"width": 390, "height": 800}, bypass_csp=True)
    page = context.new_page()
    page.goto(sandbox.url + "/")
    page.get_by_label("autoland", exact=True).focus()
    page.keyboard.press("Space")
    page.get_by_label("Category").first.focus()
    page.keyboard.type("Infra")
    page.keyboard.press("Tab")
    page.keyboard.type("bustage")
    page.keyboard.press("Enter")
    page.get_by_text("Now closed: autoland.").wait_for()
    found = violations(page)
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    page.get_by_role("button", name="Restore change").focus()
    page.keyboard.press("Enter")
    page.get_by_text("its trees are as they were before it").wait_for()
    context.close()

    assert tree(sandbox)["status"] == "open"
    assert [log["reason"] for log in sandbox.world.logs("autoland", 2)] == ["", "bustage"]
    assert (found, wide) == ([], False)
