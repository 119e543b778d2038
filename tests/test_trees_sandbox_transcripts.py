"""The sandbox tree status answers what two real services answered: every recorded exchange is replayed and compared."""

import itertools
import json
import re
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from ciduty.trees.sandbox import LANDO, STANDALONE, Client, Sandbox, World, editing, rights

TRANSCRIPTS = Path(__file__).resolve().parents[2] / "shared" / "treestatus" / "transcripts"
pytestmark = pytest.mark.skipif(
    not TRANSCRIPTS.is_dir(),
    reason="the recorded exchanges (../shared/treestatus/transcripts) are not beside this repository",
)

NOBODY_SIGNS_IN = "the sandbox's page asks nobody who they are: it has neither sessions nor CSRF tokens"
NO_ADMIN = "the sandbox has no Django admin; what it changes is done to the world before the next exchange"
OUR_PAGE = "Lando's page breaks when a tree on the stack is deleted; ours, on which newcomers play, does not"
#: Recorded, but not replayed: (generation, name) -> why.
NOT_REPLAYED = {
    (STANDALONE, "hawk-patch"): "its key and mac are blanked, and ciduty writes with a bearer token",
    (LANDO, "api-openapi"): "ciduty does not read the API's description",
    (LANDO, "api-docs"): "ciduty does not read the API's description",
    (LANDO, "form-post-no-csrf"): NOBODY_SIGNS_IN,
    (LANDO, "form-post-anonymous"): NOBODY_SIGNS_IN,
    (LANDO, "form-post-no-permission"): NOBODY_SIGNS_IN,
    (LANDO, "form-post-bearer"): NOBODY_SIGNS_IN,
    (LANDO, "form-post-phab-no-csrf"): NOBODY_SIGNS_IN,
    (LANDO, "form-dashboard-sheriff-after-delete"): OUR_PAGE,
    (LANDO, "form-dashboard-anonymous-after-delete"): OUR_PAGE,
    (LANDO, "admin-change-status"): NO_ADMIN,
    (LANDO, "admin-rename"): NO_ADMIN,
    (LANDO, "admin-delete"): NO_ADMIN,
}
#: Whoever wrote in the recordings; the roles behind their blanked tokens.
BOT, SHERIFF = "project/releng/ciduty-bot", "mozilla-auth0/ad|Mozilla-LDAP|sheriff/treestatus-frontend"
LANDO_BOT, LANDO_SHERIFF = "ciduty-bot@example.org", "sheriff@example.org"
TOKENS = {
    "<ciduty-token>": Client(BOT),
    "<sheriff-token>": Client(SHERIFF),
    "<readonly-token>": Client("project/releng/readonly-bot", ()),
    "<updateonly-token>": Client("project/releng/updateonly-bot", (rights.UPDATE,)),
}
WHEN = {STANDALONE: r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", LANDO: r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"}
PLANNED, INFRA = ["planned"], ["infra"]


def closed(world, who, names, reason, tags, remember=True):
    editing.update(world, who, names, "closed", reason, tags, remember=remember)


def opened(world, who, name):
    editing.update(world, who, [name], "open", "", [])


def make_first_trees(world, exchange):
    """Make the trees of the first list, in its order."""
    who = LANDO_BOT if world.generation == LANDO else BOT
    there = {tree["tree"] for tree in world.trees()}
    for name, tree in exchange["response"]["body"]["result"].items():
        if name not in there:
            editing.create(world, who, name, category=tree.get("category", "other"))


def close_without_and_with_reason(world):
    editing.update(world, LANDO_BOT, ["comm-central"], "closed", "", PLANNED)
    editing.update(world, LANDO_BOT, ["comm-central"], reason="just text")


def remember_pine(world, who, other):
    closed(world, who, ["pine", other], "both", PLANNED)
    closed(world, who, ["pine"], "only pine", PLANNED)


def make_oak(world):
    editing.revert(world, LANDO_BOT, 7, restore=True)
    editing.create(world, LANDO_BOT, "oak")


def rename_elm(world):
    editing.create(world, LANDO_BOT, "elm")
    editing.create(world, LANDO_BOT, "elm2")
    editing.delete(world, "elm")


#: What happened in the recorded world without being recorded: before which exchange -> what.
UNRECORDED = {
    (STANDALONE, "stack-two-entries"): lambda w: [closed(w, BOT, ["try"], r, INFRA) for r in ("one", "two")],
    (STANDALONE, "stack2-discard"): lambda w: closed(w, BOT, ["try"], "three", INFRA),
    (STANDALONE, "logs-five"): lambda w: opened(w, BOT, "try"),
    (STANDALONE, "create-existing"): lambda w: opened(w, BOT, "autoland"),
    (STANDALONE, "tree-pine-before-delete"): lambda w: remember_pine(w, BOT, "mozilla-esr128"),
    (STANDALONE, "trailing-slash"): lambda w: opened(w, BOT, "try"),
    (LANDO, "trees-after-close"): lambda w: closed(
        w, LANDO_BOT, ["autoland", "mozilla-central", "try"], "TCW: hg.mozilla.org maintenance (Bug 1900001)", PLANNED
    ),
    (LANDO, "tree-after-stack-update"): lambda w: editing.update_change(w, 1, "TCW extended (Bug 1900001)", PLANNED),
    (LANDO, "trees-after-restore"): lambda w: editing.revert(w, LANDO_BOT, 1, restore=True),
    (LANDO, "tree-close-without-reason"): lambda w: closed(w, LANDO_BOT, ["comm-central"], None, PLANNED, False),
    (LANDO, "tree-reason-only"): close_without_and_with_reason,
    (LANDO, "tree-open-empty-reason"): lambda w: opened(w, LANDO_BOT, "comm-central"),
    (LANDO, "tree-approval-required"): lambda w: editing.update(
        w, LANDO_BOT, ["mozilla-beta", "mozilla-release"], "approval required", "a=release required", [], remember=True
    ),
    (LANDO, "tree-motd"): lambda w: editing.update(
        w, LANDO_BOT, ["mozilla-beta"], message_of_the_day="Merge day on Monday"
    ),
    (LANDO, "stack-after-discard"): lambda w: editing.revert(w, LANDO_BOT, 2, restore=False),
    (LANDO, "overwrite-1-stack"): lambda w: closed(
        w, LANDO_BOT, ["autoland", "mozilla-central"], "TCW network (Bug 1900002)", PLANNED
    ),
    (LANDO, "overwrite-2-stack"): lambda w: closed(
        w, LANDO_SHERIFF, ["autoland"], "Bug 1900003 - build bustage", ["checkin_compilation"]
    ),
    (LANDO, "overwrite-4-tree-after"): lambda w: editing.revert(w, LANDO_BOT, 3, restore=True),
    (LANDO, "overwrite-6-tree-end"): lambda w: editing.revert(w, LANDO_SHERIFF, 4, restore=True),
    (LANDO, "tree-open-empty-reason-after-closure"): lambda w: opened(w, LANDO_BOT, "autoland"),
    (LANDO, "tree-before-delete"): lambda w: remember_pine(w, LANDO_BOT, "try"),
    (LANDO, "tree-deleted"): lambda w: editing.delete(w, "pine"),
    (LANDO, "tree-oak"): make_oak,
    (LANDO, "tree-after-admin-status"): lambda w: editing.administer(
        w, "oak", status="closed", reason="set in the admin", message_of_the_day="motd by admin"
    ),
    (LANDO, "tree-after-orm-delete"): lambda w: editing.delete(w, "oak", forget=False),
    (LANDO, "rename-as-seen-old"): rename_elm,
    (LANDO, "final-trees"): lambda w: editing.delete(w, "elm2"),
}


def recorded(generation):
    """Return the exchanges of one service in the order they took place."""
    return [json.loads(path.read_text()) for path in sorted((TRANSCRIPTS / generation).glob("*.json"))]


class Replay:
    """One service's exchanges against a sandbox of its generation."""

    def __init__(self, generation):
        self.generation, self.at = generation, None
        self.exchanges = {one["name"]: one for one in recorded(generation)}
        self.answers = {}
        microseconds = itertools.count(1)
        world = World(generation=generation)
        world.set_clock(lambda: self.at + timedelta(microseconds=next(microseconds)))
        with Sandbox(world, tokens=TOKENS, sheriff=LANDO_SHERIFF) as sandbox, requests.Session() as session:
            for name, exchange in self.exchanges.items():
                self.at = parsedate_to_datetime(exchange["response"]["headers"]["Date"])
                if name == "trees-list":
                    make_first_trees(world, exchange)
                UNRECORDED.get((generation, name), lambda world: None)(world)
                if (generation, name) not in NOT_REPLAYED:
                    self.answers[name] = self._send(session, sandbox.url, exchange["request"])

    def _send(self, session, address, asked):
        wanted = ("Authorization", "Content-Type", "Origin", "If-None-Match", "If-Modified-Since")
        headers = {
            name: value
            for name, value in asked["headers"].items()
            if name in wanted or name.startswith("Access-Control-")
        }
        body = asked["body"]
        if isinstance(body, (dict, list)):
            is_form = headers.get("Content-Type") == "application/x-www-form-urlencoded"
            body = urlencode(body, doseq=True) if is_form else json.dumps(body)
        url = address + asked["path"]
        return session.request(
            asked["method"], url, params=asked["params"], headers=headers, data=body, allow_redirects=False, timeout=5
        )

    def compare(self, name):
        """Assert that our answer to one exchange is the recorded one."""
        theirs, ours = self.exchanges[name]["response"], self.answers[name]
        assert (ours.status_code, ours.reason) == (theirs["status"], theirs["reason"]), ours.text[:300]
        if self.exchanges[name]["request"]["path"].startswith("/treestatus/"):
            self._compare_page(theirs, ours)
            return
        self._compare_headers(theirs["headers"], ours.headers)
        if isinstance(theirs["body"], (dict, list)):
            self._same(theirs["body"], ours.json(), name)
            assert self.generation == STANDALONE or list(ours.json()) == list(theirs["body"])
        else:
            assert ours.text == theirs["body"]

    def _compare_page(self, theirs, ours):
        """Compare what a client that sends forms sees. The page's own looks are ours."""
        assert ours.headers["Content-Type"] == theirs["headers"]["Content-Type"]
        assert ours.headers.get("Location") == theirs["headers"].get("Location")
        if theirs["status"] == 302:
            assert "HttpOnly; Path=/; SameSite=Lax" in theirs["headers"]["Set-Cookie"]
            assert ours.headers["Set-Cookie"].endswith("HttpOnly; Path=/; SameSite=Lax")
        if theirs["status"] >= 500:
            assert ours.text == theirs["body"]

    def _compare_headers(self, theirs, ours):
        left_out = {"date", "server", *(() if "Content-Length" in theirs else ("content-length",))}
        theirs = {name.lower(): _comparable(name, value) for name, value in theirs.items()}
        ours = {name.lower(): _comparable(name, value) for name, value in ours.items()}
        assert {n: v for n, v in ours.items() if n not in left_out} == {
            n: v for n, v in theirs.items() if n not in left_out
        }

    def _same(self, theirs, ours, where):
        assert type(ours) is type(theirs), f"{where}: {ours!r} instead of {theirs!r}"
        if isinstance(theirs, dict):
            assert list(ours) == list(theirs), where
            for key in theirs:
                if key == "when":
                    assert re.fullmatch(WHEN[self.generation], ours[key]), where
                    assert re.fullmatch(WHEN[self.generation], theirs[key]), where
                else:
                    self._same(theirs[key], ours[key], f"{where}.{key}")
        elif isinstance(theirs, list):
            assert len(ours) == len(theirs), f"{where}: {ours!r} instead of {theirs!r}"
            for number, (one, other) in enumerate(zip(theirs, ours, strict=True)):
                self._same(one, other, f"{where}[{number}]")
        else:
            assert ours == theirs, f"{where}: {ours!r} instead of {theirs!r}"


def _comparable(name, value):
    if name.lower() == "location":
        return urlsplit(value).path  # it ran at another address
    if name.lower() == "allow":
        return set(value.split(", "))  # upstream takes it from a set
    return value


def _names():
    if not TRANSCRIPTS.is_dir():
        return []
    return [
        pytest.param(generation, one["name"], id=f"{generation}-{one['name']}")
        for generation in (STANDALONE, LANDO)
        for one in recorded(generation)
        if (generation, one["name"]) not in NOT_REPLAYED
    ]


@pytest.fixture(scope="module")
def replays():
    """Replay each service's exchanges once."""
    return {generation: Replay(generation) for generation in (STANDALONE, LANDO)}


@pytest.mark.parametrize(("generation", "name"), _names())
def test_a_recorded_exchange_is_answered_as_it_was(replays, generation, name):
    replays[generation].compare(name)


@pytest.mark.parametrize(("generation", "most"), [(STANDALONE, 1), (LANDO, 12)])
def test_every_recorded_exchange_is_replayed_or_has_a_reason(replays, generation, most):
    exchanges, answers = replays[generation].exchanges, replays[generation].answers
    excepted = {name for where, name in NOT_REPLAYED if where == generation}

    assert excepted <= set(exchanges), "a reason for an exchange that does not exist"
    assert {name for where, name in UNRECORDED if where == generation} <= set(exchanges)
    assert set(answers) == set(exchanges) - excepted
    assert len(excepted) <= most
