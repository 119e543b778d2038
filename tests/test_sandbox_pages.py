"""A newcomer plays the other side on the sandbox's pages: files, comments, sets flags; REST shows what was done."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
import requests

from ciduty.bugzilla.sandbox import Sandbox, World
from ciduty.bugzilla.sandbox.seed import LOANS, OPERATIONS, seed

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
NASTY = "<script>alert('1')</script> & \"quoted\" 🦊"


@pytest.fixture
def sandbox():
    world = World(":memory:")
    world.set_clock(lambda: NOW)
    seed(world)
    with Sandbox(world) as running:
        yield running
    world.close()


@pytest.fixture
def loan(sandbox):
    """Return a new public loan request."""
    return sandbox.world.add_bug(
        product=OPERATIONS, component=LOANS, summary="Loan a machine", creator="developer@example.com"
    )


@pytest.fixture
def do(sandbox):
    """Send a form of a bug's page, and return the page it leads to."""

    def send(bug_id, action, **fields):
        return requests.post(f"{sandbox.url}/show_bug.cgi?id={bug_id}", data={"action": action, **fields}, timeout=5)

    return send


class Document(HTMLParser):
    """What stands in a page: its tags with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text += text

    def all(self, tag):
        """Return the attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]


def get(sandbox, path):
    return requests.get(sandbox.url + path, timeout=5)


def seen_over_rest(sandbox, bug_id):
    key = {"X-BUGZILLA-API-KEY": sandbox.world.key_of("manager@example.com")}
    return requests.get(f"{sandbox.url}/rest/bug/{bug_id}", headers=key, timeout=5).json()["bugs"][0]


def test_the_first_page_lists_the_open_bugs_newest_first(sandbox):
    page = Document(get(sandbox, "/").text)
    numbers = [int(link["href"].split("=")[1]) for link in page.all("a") if "show_bug" in link["href"]][::2]

    filed = [sandbox.world.bug(number)["creation_time"] for number in numbers]
    assert filed == sorted(filed, reverse=True)
    assert all(not sandbox.world.bug(number)["resolution"] for number in numbers)
    assert len(numbers) == 20, "all seeded bugs but the one that is resolved"
    assert "Sandbox Bugzilla - play the other side" in page.text


def test_every_bug_is_listed_on_demand(sandbox):
    assert "reftest fuzz differs" not in get(sandbox, "/").text
    assert "reftest fuzz differs" in get(sandbox, "/?all=1").text


def test_the_form_to_file_a_bug_proposes_a_loan_by_a_developer(sandbox):
    chosen = [
        option["value"]
        for option in Document(get(sandbox, "/enter_bug.cgi").text).all("option")
        if "selected" in option
    ]

    assert chosen == [f'["{OPERATIONS}", "{LOANS}"]', "developer@example.com"]


def test_a_filed_bug_is_shown_and_is_there_over_rest(sandbox):
    fields = {"component": f'["{OPERATIONS}", "{LOANS}"]', "summary": NASTY, "description": "one\r\ntwo"}

    answer = requests.post(
        f"{sandbox.url}/enter_bug.cgi", data=fields | {"as": "developer2@example.com"}, allow_redirects=False, timeout=5
    )

    assert answer.status_code == 303
    number = int(answer.headers["Location"].removeprefix("/show_bug.cgi?id="))
    bug = seen_over_rest(sandbox, number)
    assert (bug["summary"], bug["creator"], bug["component"], bug["status"]) == (
        NASTY,
        "developer2@example.com",
        LOANS,
        "NEW",
    )
    assert NASTY in Document(get(sandbox, f"/show_bug.cgi?id={number}").text).text


def test_a_bug_without_a_summary_is_refused_on_a_clear_page(sandbox):
    fields = {"component": f'["{OPERATIONS}", "{LOANS}"]', "summary": " ", "as": "developer@example.com"}

    answer = requests.post(f"{sandbox.url}/enter_bug.cgi", data=fields, timeout=5)

    assert answer.status_code == 400
    assert "You must enter a summary for this bug." in answer.text


def test_a_comment_is_written_as_whoever_was_chosen(sandbox, loan, do):
    page = do(loan, "comment", text=f"Here you are.\r\n{NASTY}", **{"as": "duty@example.com"})

    written = sandbox.world.db.execute("SELECT text, login FROM comments JOIN users ON users.id = user_id "
                                       "ORDER BY comments.id DESC LIMIT 1").fetchone()  # fmt: skip
    assert tuple(written) == (f"Here you are.\n{NASTY}", "duty@example.com")
    assert page.status_code == 200
    assert NASTY in Document(page.text).text


def test_duty_takes_a_bug_resolves_and_reopens_it(sandbox, loan, do):
    do(loan, "assign", what="take", **{"as": "duty@example.com"})
    taken = sandbox.world.bug(loan)
    do(loan, "resolve", resolution="FIXED", **{"as": "duty@example.com"})
    resolved = sandbox.world.bug(loan)
    page = do(loan, "reopen", **{"as": "developer@example.com"})

    assert (taken["status"], taken["assigned_to"]) == ("ASSIGNED", "duty@example.com")
    assert (resolved["status"], resolved["resolution"]) == ("RESOLVED", "FIXED")
    assert (sandbox.world.bug(loan)["status"], sandbox.world.bug(loan)["resolution"]) == ("REOPENED", "")
    assert page.text.index("Comments") < page.text.index("History")


def test_a_bug_is_assigned_to_somebody_else(sandbox, loan, do):
    do(loan, "assign", what="assign", assigned_to="lead@example.com", **{"as": "duty@example.com"})

    assert sandbox.world.bug(loan)["assigned_to"] == "lead@example.com"


def test_a_flag_goes_through_all_its_values(sandbox, loan, do):
    do(loan, "flag", name="needs-treeclosure", status="?", requestee="", **{"as": "scheduler@example.com"})
    flag = sandbox.world.bug(loan)["flags"][0]
    seen = [flag["status"]]
    for status in ("+", "-", "X"):
        do(loan, "flag", flag_id=flag["id"], status=status, **{"as": "sheriff@example.com"})
        seen.append([one["status"] for one in sandbox.world.bug(loan)["flags"]])

    assert seen == ["?", ["+"], ["-"], []]


def test_information_is_asked_of_the_reporter_and_cleared(sandbox, loan, do):
    page = Document(get(sandbox, f"/show_bug.cgi?id={loan}").text)
    assert {"value": "developer@example.com", "selected": None} in page.all("option"), "the reporter is proposed"

    do(loan, "flag", name="needinfo", status="?", requestee="developer@example.com", **{"as": "duty@example.com"})
    flag = sandbox.world.bug(loan)["flags"][0]
    assert (flag["status"], flag["requestee"], flag["setter"]) == ("?", "developer@example.com", "duty@example.com")

    do(loan, "flag", flag_id=flag["id"], status="X", **{"as": "developer@example.com"})
    assert sandbox.world.bug(loan)["flags"] == []


def test_a_bug_is_made_private_and_public_again(sandbox, loan, do):
    private = do(loan, "groups", what="private", group="infra", **{"as": "manager@example.com"})
    as_bot = {"X-BUGZILLA-API-KEY": sandbox.world.key_of("bot@example.com")}

    assert "Private to" in private.text
    assert sandbox.world.bug(loan)["groups"] == ["infra"]
    assert requests.get(f"{sandbox.url}/rest/bug/{loan}", headers=as_bot, timeout=5).status_code == 401

    do(loan, "groups", what="public", **{"as": "manager@example.com"})
    assert sandbox.world.bug(loan)["groups"] == []


def test_the_whiteboard_is_written(sandbox, loan, do):
    do(loan, "whiteboard", whiteboard='[loaner:"x"]', **{"as": "duty@example.com"})

    assert sandbox.world.bug(loan)["whiteboard"] == '[loaner:"x"]'
    values = [field.get("value") for field in Document(get(sandbox, f"/show_bug.cgi?id={loan}").text).all("input")]
    assert '[loaner:"x"]' in values


def test_who_has_no_right_is_told_so_and_nothing_changes(sandbox, loan, do):
    answer = do(loan, "whiteboard", whiteboard="[mine]", **{"as": "developer2@example.com"})

    assert answer.status_code == 401
    assert "only the assignee or reporter of the bug" in answer.text
    assert sandbox.world.bug(loan)["whiteboard"] == ""


@pytest.mark.parametrize("text", ["4711", "0", "nonsense", "", "9" * 40])
def test_an_unknown_bug_does_not_exist(sandbox, text):
    answer = get(sandbox, f"/show_bug.cgi?id={text}")

    assert answer.status_code == 404
    assert f"Bug #{text} does not exist." in answer.text


def test_nothing_of_a_bug_becomes_markup(sandbox):
    number = sandbox.world.add_bug(
        product=OPERATIONS, component=LOANS, summary=NASTY, creator="developer@example.com", description=NASTY,
        whiteboard=NASTY, flags=[{"name": "needinfo", "status": "?", "requestee": "duty@example.com"}],
    )  # fmt: skip
    sandbox.world.update(number, "duty@example.com", {"whiteboard": NASTY + NASTY})

    for path in ("/", f"/show_bug.cgi?id={number}", f"/show_bug.cgi?id={NASTY}"):
        answer = get(sandbox, path)
        assert "<script" not in answer.text, path
        assert "<script>" in Document(answer.text).text, path


@pytest.mark.parametrize("path", ["/", "/enter_bug.cgi", "/show_bug.cgi?id=1400100", "/nothing"])
def test_pages_need_no_script_and_every_field_has_a_label(sandbox, path):
    text = get(sandbox, path).text
    page = Document(text)

    assert not page.all("script") and not page.all("style")
    assert not [
        attributes for _, attributes in page.tags if any(name == "style" or name[:2] == "on" for name in attributes)
    ]
    assert page.all("html") == [{"lang": "en"}]
    for field in re.findall(r"<(?:select|textarea|input type=\"text\")[^>]*>", text):
        before = text[: text.index(field)]
        assert before.count("<label") == before.count("</label>") + 1, field


def test_the_style_stands_in_its_own_file_for_light_and_dark(sandbox):
    answer = get(sandbox, "/sandbox.css")

    assert answer.headers["Content-Type"] == "text/css; charset=UTF-8"
    assert "prefers-color-scheme: dark" in answer.text


def test_the_seeded_world_has_what_a_newcomer_needs(sandbox):
    world = sandbox.world
    numbers = [row[0] for row in world.db.execute("SELECT id FROM bugs ORDER BY id")]
    bugs = [world.bug(number) for number in numbers]
    flags = sorted(flag["name"] + flag["status"] for bug in bugs for flag in bug["flags"])
    loans = [bug for bug in bugs if bug["component"] in (LOANS, "Loan Requests")]

    assert flags == ["needinfo?", *["needs-treeclosure+"] * 3, *["needs-treeclosure?"] * 2]
    assert [bug["groups"] for bug in bugs if bug["groups"]] == [
        ["moco-specific"],
        ["infra-bot-sees"],
        ["infra-bot-sees"],
    ]
    assert {bug["status"] for bug in loans} == {"NEW", "ASSIGNED", "RESOLVED"}
    stamps = [datetime.fromisoformat(bug["creation_time"]) for bug in loans]
    assert min(NOW - at for at in stamps) < timedelta(minutes=10)
    assert any(timedelta(days=2) <= NOW - at < timedelta(days=3) for at in stamps)
    assert not world.account("bot@example.com").groups & {"infra"}
    assert world.account("bot@example.com").groups >= {"moco-specific", "infra-bot-sees"}
