"""The sandbox answers what real Bugzilla servers answered: every recorded exchange is replayed and compared."""

import json
import re

import pytest
import requests

from ciduty.bugzilla.sandbox import Sandbox
from tests import sandbox_world

pytestmark = pytest.mark.skipif(not sandbox_world.TRANSCRIPTS.is_dir(), reason=sandbox_world.WHY_NOT_HERE)

#: Recorded, but not replayed: name -> why.
NOT_REPLAYED = {
    "comment-tag": "ciduty does not tag comments",
    "search-quicksearch": "ciduty does not use quicksearch; the sandbox refuses it instead of finding the wrong bugs",
    "cors-preflight": "ciduty is no browser",
    "field-bug_status": "ciduty does not ask for field values; the workflow in it is the sandbox's",
    "maintenance-get": "an outage: scripted with the fault `status` (503 with Retry-After) or `redirect`",
    "maintenance-put": "an outage: scripted with the fault `status` (503 with Retry-After) or `redirect`",
    "maintenance-version": "an outage: scripted with the fault `status`; the 302 is an artefact of the hosting",
    "database-down-get": "an outage: scripted with the fault `empty` (5.2) or `status` (5.3)",
    "database-down-put": "an outage: scripted with the fault `empty` (5.2) or `status` (5.3)",
}
#: Replayed, but compared in part: name -> why.
PARTLY = {
    "midair-5-history-shows-both": "servers cut 70,000 characters of history into pieces and draw their order by lot",
}
CAP = 50  # max_search_results while the exchanges named cap-50 were recorded
MOMENTS = {
    "last_change_time",
    "creation_time",
    "creation_date",
    "modification_date",
    "when",
    "time",
    "db_time",
    "web_time",
    "web_time_utc",
}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
#: Lists whose order the recorded servers draw by lot -> what to sort by.
UNORDERED = {
    "changes": lambda one: one["field_name"],
    "components": lambda one: one["name"],
    "bug": lambda one: one["id"],
    "values": str,
}


class Replay:
    """One server's exchanges against a sandbox; remembers which of our numbers stands for which recorded one."""

    def __init__(self, server):
        self.exchanges = {one["file"]: one for one in sandbox_world.recorded(server)}
        self.numbers, self.tags, self.answers, self.at = {}, {}, {}, None
        world = sandbox_world.build(server)
        world.set_clock(lambda: self.at)
        with Sandbox(world, version=sandbox_world.SERVERS[server]) as sandbox, requests.Session() as session:
            for name, exchange in self.exchanges.items():
                if exchange["name"] not in NOT_REPLAYED:
                    self.at = sandbox_world.happened_at(exchange)
                    sandbox.rest.most = CAP if exchange["name"].startswith("cap-50") else 10_000
                    self.answers[name] = self._send(session, sandbox.url, exchange)

    def _send(self, session, address, exchange):
        asked = exchange["request"]
        url = address + "/" + asked["url"].split("/", 3)[3]
        headers = {
            name: value for name, value in asked["headers"].items() if name in ("Content-Type", "Accept", "Origin")
        }
        for name, value in asked["headers"].items():
            if name.lower() == "x-bugzilla-api-key":
                headers[name] = sandbox_world.with_keys(value)
        if "If-None-Match" in asked["headers"]:
            headers["If-None-Match"] = self.tags[asked["headers"]["If-None-Match"]]
        answer = session.request(
            asked["method"],
            sandbox_world.with_keys(url),
            headers=headers,
            data=_body(asked["body"]),
            allow_redirects=False,
        )
        tag = next((value for name, value in exchange["response"]["headers"].items() if name.lower() == "etag"), None)
        self.tags[tag] = answer.headers.get("ETag")
        return answer

    def compare(self, name):
        """Assert that our answer to one exchange is the recorded one."""
        theirs, ours = self.exchanges[name]["response"], self.answers[name]
        assert ours.status_code == theirs["status"], ours.text[:300]
        if theirs["body_kind"] != "json":
            assert ours.text.lstrip()[:1] == theirs["body"].lstrip()[:1]
            if theirs["status"] != 304:
                assert ours.headers["Content-Type"].split(";")[0] == _content_type(theirs)
            return
        body = ours.json()
        cut = re.match(r"bugs list cut from (\d+)", self.exchanges[name].get("trimmed", ""))
        if cut:
            if "cap-50" in name:
                assert len(body["bugs"]) == int(cut[1])
            body["bugs"] = body["bugs"][: len(theirs["body"]["bugs"])]
        if self.exchanges[name]["name"] in PARTLY:
            self._same_people(theirs["body"]["bugs"][0]["history"], body["bugs"][0]["history"], name)
            return
        asked = self.exchanges[name]["request"]
        comment = asked["method"] == "POST" and asked["path"].endswith("/comment")
        self._same(theirs["body"], body, name, "comments" if comment else "")

    def _same_people(self, theirs, ours, where):
        """Compare who changed something when, and in full what has not been cut into pieces."""
        assert [(one["when"], one["who"]) for one in ours] == [(one["when"], one["who"]) for one in theirs], where
        whole = [
            number
            for number, one in enumerate(theirs)
            if all(len(c["added"] + c["removed"]) < 255 for c in one["changes"])
        ]
        assert len(whole) == 2
        for number in whole:
            self._same(theirs[number], ours[number], f"{where}[{number}]")

    def _same(self, theirs, ours, where, field=""):
        assert type(ours) is type(theirs), f"{where}: {ours!r} instead of {theirs!r}"
        if isinstance(theirs, dict):
            assert ours.keys() == theirs.keys(), where
            for key in theirs:
                self._same(theirs[key], ours[key], f"{where}.{key}", key if key != "id" else f"{field}.id")
        elif isinstance(theirs, list):
            assert len(ours) == len(theirs), f"{where}: {ours!r} instead of {theirs!r}"
            order = UNORDERED.get(field) or (lambda one: 0)
            for number, (one, other) in enumerate(zip(sorted(theirs, key=order), sorted(ours, key=order), strict=True)):
                self._same(one, other, f"{where}[{number}]", field)
        elif field in MOMENTS:
            assert STAMP.fullmatch(ours), where
        elif field == "update_token":
            assert ours, where
        elif field in ("flags.id", "comments.id", "comment.id"):
            self._same_number(field, theirs, ours, where)
        elif field in ("request_group", "grant_group"):
            pass  # groups have other numbers; that there is one was compared by its type
        elif field == "message":
            self._same_message(theirs, ours, where)
        else:
            assert ours == theirs, f"{where}: {ours!r} instead of {theirs!r}"

    def _same_number(self, kind, theirs, ours, where):
        assert self.numbers.setdefault((kind, theirs), ours) == ours, where

    def _same_message(self, theirs, ours, where):
        if "as valid JSON" in theirs:  # what follows is the words of another language's parser
            theirs, ours = theirs.split("Error:")[0], ours.split("Error:")[0]
        flag = re.search(r"flag ID #(\d+)", theirs)
        if flag:
            mine = re.search(r"flag ID #(\d+)", ours)
            assert mine, ours
            self._same_number("flags.id", int(flag[1]), int(mine[1]), where)
            theirs, ours = theirs.replace(flag[0], ""), ours.replace(mine[0], "")
        assert ours == theirs, where


def _content_type(response):
    return next(value for name, value in response["headers"].items() if name.lower() == "content-type").split(";")[0]


def _body(recorded):
    """Return the bytes of a recorded body; long ones were cut and end in a run of one letter."""
    if recorded is None:
        return None
    if not isinstance(recorded, str):
        return json.dumps(recorded).encode()
    cut = re.fullmatch(r"<<(\d+) bytes: (.*?) \.\.\.>>", recorded, re.DOTALL)
    if not cut:
        return recorded.encode()
    start = cut[2]
    return (start + start[-1] * (int(cut[1]) - len(start) - 2) + '"}').encode()


def _names():
    if not sandbox_world.TRANSCRIPTS.is_dir():
        return []
    return [
        pytest.param(server, one["file"], id=f"{server}-{one['file']}")
        for server in sandbox_world.SERVERS
        for one in sandbox_world.recorded(server)
        if one["name"] not in NOT_REPLAYED
    ]


@pytest.fixture(scope="module")
def replays():
    """Replay each server's exchanges once."""
    return {server: Replay(server) for server in sandbox_world.SERVERS}


@pytest.mark.parametrize(("server", "name"), _names())
def test_a_recorded_exchange_is_answered_as_it_was(replays, server, name):
    replays[server].compare(name)


@pytest.mark.parametrize("server", sandbox_world.SERVERS)
def test_every_recorded_exchange_is_replayed_or_has_a_reason(replays, server):
    names = {one["name"] for one in replays[server].exchanges.values()}

    assert set(NOT_REPLAYED) <= names, "a reason for an exchange that does not exist"
    assert len(replays[server].answers) == sum(
        one["name"] not in NOT_REPLAYED for one in replays[server].exchanges.values()
    )
    assert len(replays[server].answers) > 150
