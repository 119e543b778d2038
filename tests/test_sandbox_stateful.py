"""After any writes by several people, what the sandbox answers agrees with what was written, and hides what it must."""

from datetime import UTC, datetime, timedelta

import pytest
import requests
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from ciduty.bugzilla.sandbox import Fault, Sandbox, World

DUTY, DEVELOPER, VISITOR, BOT = (f"{name}@example.com" for name in ("duty", "developer", "visitor", "bot"))
WRITERS = st.sampled_from([DUTY, DEVELOPER, VISITOR])
BOARDS = st.sampled_from(["", "[loaner]", "[loaner:t-w1064-ms-042]", "[Downtime] ü 🦊", "100% _x_"])
#: The workflow as the servers tell it (field/bug/bug_status), without UNCONFIRMED and VERIFIED.
MOVES = {
    "NEW": {"ASSIGNED", "RESOLVED"},
    "ASSIGNED": {"NEW", "RESOLVED"},
    "REOPENED": {"NEW", "ASSIGNED", "RESOLVED"},
    "RESOLVED": {"NEW", "REOPENED"},
}
FLAG = "needs-treeclosure"


class Written:
    """What the model knows of one bug."""

    def __init__(self, creator, at):
        self.creator, self.changed_at, self.private = creator, at, False
        self.whiteboard, self.status, self.resolution, self.flag = "", "NEW", "", ""
        self.comments = [(creator, "", at)]
        self.history = []

    def seen_by(self, who):
        """Say whether somebody sees the bug: duty is in the group, the reporter always does."""
        return not self.private or who in (DUTY, self.creator)

    def editable_by(self, who):
        """Say whether somebody may edit its fields."""
        return who in (DUTY, DEVELOPER) or who == self.creator

    def log(self, who, at, **changes):
        """Write history, and move the time of the last change."""
        changed = {name.replace("__", "."): pair for name, pair in changes.items() if pair[0] != pair[1]}
        if changed:
            self.history.append((at, who, changed))
            self.changed_at = at


class Writing(RuleBasedStateMachine):
    """People write over HTTP, each in a second of its own; the bot looks."""

    bugs = Bundle("bugs")

    def __init__(self):
        super().__init__()
        self.at = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
        self.model: dict[int, Written] = {}
        world = World(":memory:")
        world.set_clock(lambda: self.at)
        world.add_group("infra")
        world.add_flag_type(FLAG, requestable_by="editbugs", grantable_by="treeclosers")
        world.add_user(DUTY, groups=("infra", "treeclosers"))
        world.add_user(DEVELOPER)
        world.add_user(VISITOR, may_edit=False)
        world.add_user(BOT)
        world.add_product("Product", ["Component"])
        self.world, self.sandbox, self.session = world, Sandbox(world).start(), requests.Session()

    def teardown(self):
        """End the server."""
        self.session.close()
        self.sandbox.stop()
        self.world.close()

    def ask(self, who, method, path, body=None, **params):
        """Ask as somebody, and return status and answer."""
        key = {"X-BUGZILLA-API-KEY": self.world.key_of(who)}
        answer = self.session.request(method, self.sandbox.url + path, json=body, params=params, headers=key, timeout=5)
        return answer.status_code, answer.json()

    def change(self, who, bug, changes):
        """Let a second pass and change a bug; return the code of the refusal, or None."""
        self.at += timedelta(seconds=1)
        status, answer = self.ask(who, "PUT", f"/rest/bug/{bug}", changes)
        assert (status == 200) == ("error" not in answer)
        return answer.get("code")

    # --- writing ----------------------------------------------------------------------------------------------------

    @initialize(target=bugs, who=WRITERS)
    def file_first(self, who):
        return self.file(who)

    @rule(target=bugs, who=WRITERS)
    def file_another(self, who):
        return self.file(who)

    def file(self, who):
        self.at += timedelta(seconds=1)
        asked = {"product": "Product", "component": "Component", "version": "unspecified", "summary": "A bug"}
        status, answer = self.ask(who, "POST", "/rest/bug", asked)
        assert status == 200
        self.model[answer["id"]] = Written(who, self.stamp())
        return answer["id"]

    @rule(bug=bugs, who=WRITERS, text=BOARDS, status=st.sampled_from([None, *MOVES]))
    def write_whiteboard_and_status(self, bug, who, text, status):
        """Both or neither."""
        known = self.model[bug]
        changes = {"whiteboard": text}
        if status:
            changes |= {"status": status} | ({"resolution": "FIXED"} if status == "RESOLVED" else {})
        code = self.change(who, bug, changes)

        wanted = status or known.status
        if not known.seen_by(who):
            assert code == "102"
        elif wanted != known.status and wanted not in MOVES[known.status]:
            assert code == "123"
        elif not known.editable_by(who) and (text, wanted) != (known.whiteboard, known.status):
            assert code == "115"
        elif who == VISITOR and known.status != wanted and "RESOLVED" not in (known.status, wanted):
            assert code == "115", "a reporter may not move between open states"
        else:
            assert code is None
            resolution = "FIXED" if wanted == "RESOLVED" else ""
            was = (known.whiteboard, known.status, known.resolution)
            known.whiteboard, known.status, known.resolution = text, wanted, resolution
            known.log(
                who, self.stamp(), whiteboard=(was[0], text), status=(was[1], wanted), resolution=(was[2], resolution)
            )

    @rule(bug=bugs, who=WRITERS, status=st.sampled_from("?+-X"))
    def set_flag(self, bug, who, status):
        known = self.model[bug]
        code = self.change(who, bug, {"flags": [{"name": FLAG, "status": status}]})

        wanted = "" if status == "X" else status
        if not known.seen_by(who):
            assert code == "102"
        elif wanted == known.flag:
            assert code is None
        elif who == DUTY or (who == DEVELOPER and status in "?X"):
            assert code is None
            was, known.flag = known.flag, wanted
            written = [FLAG + value if value else "" for value in (was, wanted)]
            known.log(who, self.stamp(), flagtypes__name=tuple(written))
        else:
            assert code == "130"

    @rule(bug=bugs, who=WRITERS, text=st.sampled_from(["Hello", "Zeile 1\nZeile 2 🧯"]))
    def comment(self, bug, who, text):
        known = self.model[bug]
        self.at += timedelta(seconds=1)
        status, _ = self.ask(who, "POST", f"/rest/bug/{bug}/comment", {"comment": text})

        assert status == (201 if known.seen_by(who) else 401)
        if status == 201:
            known.comments.append((who, text, self.stamp()))
            known.changed_at = self.stamp()

    @rule(bug=bugs, private=st.booleans())
    def hide_or_publish(self, bug, private):
        known = self.model[bug]
        if private == known.private:
            return
        verb = "add" if private else "remove"
        assert self.change(DUTY, bug, {"groups": {verb: ["infra"]}}) is None
        known.private = private
        known.log(DUTY, self.stamp(), groups=("", "infra") if private else ("infra", ""))

    # --- looking ----------------------------------------------------------------------------------------------------

    def stamp(self):
        return self.at.strftime("%Y-%m-%dT%H:%M:%SZ")

    def visible(self, condition):
        return sorted(bug for bug, known in self.model.items() if known.seen_by(BOT) and condition(known))

    def found(self, **params):
        status, answer = self.ask(BOT, "GET", "/rest/bug", include_fields="id", **params)
        assert status == 200
        return [bug["id"] for bug in answer["bugs"]]

    @invariant()
    def searches_find_exactly_what_was_written(self):
        for value in "?+-":
            flagged = self.found(f1="flagtypes.name", o1="equals", v1=FLAG + value)
            assert flagged == self.visible(lambda known, value=value: known.flag == value)
        for text in ("[loaner", "[downtime]", "_x_"):
            assert self.found(whiteboard=text) == self.visible(
                lambda known, text=text: text in known.whiteboard.lower()
            )
        assert self.found(status=["NEW", "REOPENED"]) == self.visible(lambda known: known.status in ("NEW", "REOPENED"))
        since = (self.at - timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert self.found(last_change_time=since) == self.visible(lambda known: known.changed_at >= since)

    @rule(bug=bugs)
    def look_at_a_bug(self, bug):
        """The bug, its comments and its history are what was written, or are hidden."""
        known = self.model[bug]
        status, answer = self.ask(BOT, "GET", f"/rest/bug/{bug}")
        if not known.seen_by(BOT):
            assert (status, answer["code"]) == (401, "102")
            return
        one = answer["bugs"][0]
        assert (one["whiteboard"], one["status"], one["resolution"]) == (
            known.whiteboard,
            known.status,
            known.resolution,
        )
        assert [flag["status"] for flag in one["flags"]] == ([known.flag] if known.flag else [])
        assert (one["creator"], one["last_change_time"], one["groups"]) == (known.creator, known.changed_at, [])
        comments = self.ask(BOT, "GET", f"/rest/bug/{bug}/comment")[1]["bugs"][str(bug)]["comments"]
        assert [(each["creator"], each["text"], each["time"]) for each in comments] == known.comments
        history = self.ask(BOT, "GET", f"/rest/bug/{bug}/history")[1]["bugs"][0]["history"]
        assert [
            (
                entry["when"],
                entry["who"],
                {each["field_name"]: (each["removed"], each["added"]) for each in entry["changes"]},
            )
            for entry in history
        ] == known.history


TestWriting = Writing.TestCase
TestWriting.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a failure smaller would take minutes of HTTP
    suppress_health_check=[HealthCheck.too_slow],  # every step is real HTTP
)


# --- what the machine does not reach ---------------------------------------------------------------------------------

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


class Moving:
    """A clock that is moved by hand."""

    at = NOW

    def __call__(self):
        return self.at

    def pass_by(self, seconds):
        """Let time pass."""
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Moving()


@pytest.fixture
def sandbox(clock):
    world = World(":memory:")
    world.set_clock(clock)
    world.add_group("infra")
    world.add_user(DUTY, groups=("infra", "insiders"))
    world.add_user(DEVELOPER)
    world.add_user(VISITOR, may_edit=False)
    world.add_product("Product", ["Component"])
    with Sandbox(world) as running:
        yield running
    world.close()


@pytest.fixture
def bug(sandbox):
    return sandbox.world.add_bug(product="Product", component="Component", summary="A bug", creator=DEVELOPER)


@pytest.fixture
def ask(sandbox):
    """Ask as somebody, and return status and answer."""

    def ask(who, method, path, body=None, **params):
        key = {"X-BUGZILLA-API-KEY": sandbox.world.key_of(who)}
        answer = requests.request(method, sandbox.url + path, json=body, params=params, headers=key, timeout=5)
        return answer.status_code, answer.json()

    return ask


def test_private_comments_are_seen_by_insiders_only_and_keep_their_number(sandbox, bug, ask):
    ask(DUTY, "POST", f"/rest/bug/{bug}/comment", {"comment": "between us", "is_private": True})
    ask(DUTY, "POST", f"/rest/bug/{bug}/comment", {"comment": "for everybody"})

    def seen_by(who):
        comments = ask(who, "GET", f"/rest/bug/{bug}/comment")[1]["bugs"][str(bug)]["comments"]
        return [(comment["count"], comment["text"]) for comment in comments]

    assert seen_by(DUTY) == [(0, ""), (1, "between us"), (2, "for everybody")]
    assert seen_by(DEVELOPER) == [(0, ""), (2, "for everybody")]


def test_the_words_of_a_private_comment_find_nothing_for_others(bug, ask):
    ask(DUTY, "POST", f"/rest/bug/{bug}/comment", {"comment": "between us", "is_private": True})
    asked = {"f1": "longdesc", "o1": "substring", "v1": "between", "include_fields": "id"}

    assert ask(DUTY, "GET", "/rest/bug", **asked)[1]["bugs"] == [{"id": bug}]
    assert ask(DEVELOPER, "GET", "/rest/bug", **asked)[1]["bugs"] == []


def test_new_since_leaves_out_the_second_it_names(clock, bug, ask):
    clock.pass_by(1)
    ask(DUTY, "PUT", f"/rest/bug/{bug}", {"whiteboard": "[x]", "comment": {"body": "Hello"}})

    def since(stamp):
        comments = ask(DUTY, "GET", f"/rest/bug/{bug}/comment", new_since=stamp)[1]["bugs"][str(bug)]["comments"]
        history = ask(DUTY, "GET", f"/rest/bug/{bug}/history", new_since=stamp)[1]["bugs"][0]["history"]
        return len(comments), len(history)

    assert since("2026-03-02T10:00:00Z") == (1, 1)
    assert since("2026-03-02T10:00:01Z") == (0, 0)


def test_a_changed_flag_keeps_its_number_and_first_day_and_tells_when_it_changed(clock, bug, ask):
    ask(DEVELOPER, "PUT", f"/rest/bug/{bug}", {"flags": [{"name": FLAG, "status": "?", "requestee": DUTY}]})
    asked = ask(DUTY, "GET", f"/rest/bug/{bug}")[1]["bugs"][0]["flags"][0]
    clock.pass_by(5)
    ask(DUTY, "PUT", f"/rest/bug/{bug}", {"flags": [{"id": asked["id"], "status": "+"}]})
    granted = ask(DUTY, "GET", f"/rest/bug/{bug}")[1]["bugs"][0]["flags"][0]

    assert (asked["setter"], asked["requestee"], asked["status"]) == (DEVELOPER, DUTY, "?")
    assert (granted["setter"], granted["status"], "requestee" in granted) == (DUTY, "+", False)
    assert (granted["id"], granted["creation_date"]) == (asked["id"], asked["creation_date"])
    assert granted["modification_date"] == "2026-03-02T10:00:05Z"


def test_who_may_not_edit_chooses_no_assignee_when_filing_and_is_not_told(sandbox, ask):
    asked = {
        "product": "Product",
        "component": "Component",
        "version": "unspecified",
        "summary": "x",
        "assigned_to": DUTY,
    }

    by_visitor, by_developer = (ask(who, "POST", "/rest/bug", asked)[1]["id"] for who in (VISITOR, DEVELOPER))

    assert sandbox.world.bug(by_visitor)["assigned_to"] == "nobody@example.com"
    assert sandbox.world.bug(by_developer)["assigned_to"] == DUTY


def test_an_alias_belongs_to_one_bug_and_finds_it(sandbox, bug, ask):
    other = sandbox.world.add_bug(product="Product", component="Component", summary="Another", creator=DUTY)
    assert ask(DUTY, "PUT", f"/rest/bug/{bug}", {"alias": {"add": ["b-2012-0042"]}})[0] == 200

    refused = ask(DUTY, "PUT", f"/rest/bug/{other}", {"alias": {"add": ["b-2012-0042"]}})

    assert (refused[0], refused[1]["code"]) == (400, "103")
    assert ask(DUTY, "GET", "/rest/bug/b-2012-0042")[1]["bugs"][0]["id"] == bug
    assert ask(DUTY, "GET", "/rest/bug", alias="b-2012-0042", include_fields="id")[1]["bugs"] == [{"id": bug}]


def test_a_group_the_bug_is_not_in_cannot_be_removed(bug, ask):
    status, answer = ask(DUTY, "PUT", f"/rest/bug/{bug}", {"groups": {"remove": ["infra"]}})

    assert (status, answer["code"]) == (401, "120")


def test_the_past_of_a_bug_is_taken_back_step_by_step(clock, sandbox, bug, ask):
    for number in range(3):
        clock.pass_by(10)
        ask(DUTY, "PUT", f"/rest/bug/{bug}", {"whiteboard": f"[{number}]"})

    boards = []
    for seconds in (25, 15, 5, 0):
        sandbox.faults.clear()
        sandbox.faults.add(Fault("stale", seconds=seconds))
        boards.append(ask(DUTY, "GET", "/rest/bug", id=bug)[1]["bugs"][0]["whiteboard"])

    assert boards == ["", "[0]", "[1]", "[2]"]


def test_a_dependency_is_written_on_both_sides(sandbox, bug, ask):
    other = sandbox.world.add_bug(product="Product", component="Component", summary="Another", creator=DUTY)

    ask(DUTY, "PUT", f"/rest/bug/{bug}", {"depends_on": {"add": [other]}})

    assert (sandbox.world.bug(bug)["depends_on"], sandbox.world.bug(other)["blocks"]) == ([other], [bug])
    change = ask(DUTY, "GET", f"/rest/bug/{other}/history")[1]["bugs"][0]["history"][0]["changes"][0]
    assert change == {"field_name": "blocks", "removed": "", "added": str(bug)}


def test_rows_of_a_chart_are_joined_by_or_in_brackets(sandbox, bug, ask):
    for board in ("[loaner]", "[downtime]", "[other]"):
        sandbox.world.add_bug(product="Product", component="Component", summary=board, creator=DUTY, whiteboard=board)
    asked = {"f1": "OP", "j1": "OR", "f4": "CP", "f5": "bug_id", "o5": "greaterthan", "v5": str(bug + 1)}
    for number, text in ((2, "[loaner"), (3, "[downtime")):
        asked |= {f"f{number}": "status_whiteboard", f"o{number}": "substring", f"v{number}": text}

    assert ask(DUTY, "GET", "/rest/bug", include_fields="id", **asked)[1]["bugs"] == [{"id": bug + 2}]
    negated = asked | {"n1": "1"}
    assert ask(DUTY, "GET", "/rest/bug", include_fields="id", **negated)[1]["bugs"] == [{"id": bug + 3}]


@pytest.mark.parametrize(
    ("operator", "value", "found"),
    [
        ("equals", "2", [2]), ("notequals", "2", [1, 3]), ("anyexact", "1, 3", [1, 3]), ("greaterthan", "2", [3]),
        ("greaterthaneq", "2", [2, 3]), ("lessthan", "2", [1]), ("lessthaneq", "2", [1, 2]),
    ],
)  # fmt: skip
def test_numbers_are_compared_as_numbers(sandbox, bug, ask, operator, value, found):
    for _ in range(2):
        sandbox.world.add_bug(product="Product", component="Component", summary="x", creator=DUTY)

    answer = ask(DUTY, "GET", "/rest/bug", f1="bug_id", o1=operator, v1=value, include_fields="id")[1]

    assert [one["id"] for one in answer["bugs"]] == found


def test_seeding_needs_no_rights_and_tells_the_same_story(sandbox, ask):
    world, day = sandbox.world, timedelta(days=1)
    number = world.add_bug(
        product="Product", component="Component", summary="Seeded", creator=VISITOR, at=NOW - 3 * day, id=4711,
        groups=("infra",), flags=[{"name": FLAG, "status": "+"}],
    )  # fmt: skip
    world.update(number, VISITOR, {"status": "RESOLVED", "resolution": "FIXED"}, at=NOW - day)
    world.comment(number, VISITOR, "Seeded too", at=NOW - 2 * day)

    one = ask(DUTY, "GET", "/rest/bug/4711")[1]["bugs"][0]

    assert (number, one["creation_time"], one["last_change_time"]) == (
        4711,
        "2026-02-27T10:00:00Z",
        "2026-03-01T10:00:00Z",
    )
    assert (one["status"], one["flags"][0]["status"], one["groups"]) == ("RESOLVED", "+", ["infra"])
    with pytest.raises(ValueError, match="has no zone"):
        world.comment(number, VISITOR, "x", at=NOW.replace(tzinfo=None))
    with pytest.raises(KeyError):
        world.bug(4712)


def test_the_version_is_told_even_to_a_bad_key(sandbox):
    key = {"X-BUGZILLA-API-KEY": "not a key"}

    assert requests.get(f"{sandbox.url}/rest/version", headers=key, timeout=5).status_code == 200
    assert requests.get(f"{sandbox.url}/rest/time", headers=key, timeout=5).json()["code"] == "306"
