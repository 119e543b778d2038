"""`manage.py import_changes`: histories in every shape that was seen, twice without a trace, and broken ones."""

import json
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from changelog.imports import firefox_infra_changelog as fic
from changelog.imports.entries import BadEntry, Unreadable, for_people, moment_of, repository_in
from changelog.models import Change, Landing, Source
from ciduty.systems.models import System
from tests.cast import every_row

pytestmark = pytest.mark.django_db

SHA, OTHER_SHA = "a7e6d9609b7741673d5b629e5bc5428735b30030", "797fe7bb35b7594fddccea6c5778cd1a92e98301"


@pytest.fixture
def imported(capsys):
    """Return a function that imports, and tells how it ended, what it printed and what it complained of."""

    def run(path, *options):
        try:
            call_command("import_changes", str(path), *options)
            ended = ""
        except CommandError as problem:
            assert problem.returncode == 1 and "\n" not in str(problem)
            ended = str(problem)
        out, err = capsys.readouterr()
        return SimpleNamespace(ended=ended, out=out.splitlines(), err=err.splitlines())

    return run


def git_entry(sha=SHA, **fields):
    return {
        "sha": sha, "url": f"https://api.github.com/repos/mozilla-releng/build-puppet/commits/{sha}",
        "message": "8.5.0",
        "author": "A Développeur", "author_email": "developer@example.com", "date": "2019-06-27T02:53:58Z",
        "files": "This commit contains 2 files changed.",
    } | fields  # fmt: skip


def hg_push(
    *nodes, date="2019-06-27T17:42:24.000000", tree="integration/autoland", message="Bug 1561582 - Two pythons"
):
    commits = {
        str(number): {
            "url": f"https://hg.mozilla.org/{tree}/pushloghtml?changeset={node}", "commit_message": message,
            "commit_author": "A Developer <developer@example.com>",
            "files_changed": "This commit contains 12 files changed.",
        }
        for number, node in enumerate(nodes, 1)
    }  # fmt: skip
    return {"pusher": "sheriff@example.com", "date_of_push": date, "changeset_commits": commits}


SOURCES = {
    "Github": {
        "Build-Puppet": {
            "name": "Build Puppet", "url": "https://github.com/mozilla-releng/build-puppet", "team": "mozilla-releng/",
            "configuration": {"type": "tag", "folders-to-check": [" ", " "], "files-to-check": {
                "x": "https://raw.githubusercontent.com/mozilla-releng/build-puppet/master/modules/x/requirements.txt"}},
        },
        "signtool": {"name": "Signtool", "url": "https://github.com/mozilla-releng/signtool", "team": "mozilla-releng",
                     "configuration": {"type": "commit-keyword", "folders-to-check": ["terraform/"]}},
    },
    "Mercurial": {"autoland": {"name": "Autoland", "url": "https://hg.mozilla.org/integration/autoland/", "team": ""}},
}  # fmt: skip


@pytest.fixture
def snapshot(tmp_path):
    """A folder as their tool left it: a list of sources, two trees that share a changeset,
    a repository without news."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    files = {
        "repositories": SOURCES,
        "autoland": {
            "0": {"last_push_id": 88678}, "1": hg_push("1f864da71bab", "98d0b1ff0c53"), "2": hg_push("7e05642566d0"),
        },
        "mozilla-central": {
            "0": {"last_push_id": 7},
            "1": hg_push("1f864da71bab", date="2019-06-28T01:00:00.000000", tree="mozilla-central"),
        },
        "build-puppet": {"0": {"last_checked": "2019-06-27T18:43:32.893267"}, "1": git_entry()},
        "signtool": {"0": {"last_checked": "2019-06-27T18:44:12.771291", "version": "4.0.1"}},
    }  # fmt: skip
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def jsonl(tmp_path, *lines, name="ci-config-2022-2024.jsonl"):
    path = tmp_path / name
    path.write_bytes(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))
    return path


def commit(sha=SHA, **fields):
    return {
        "sha": sha, "author": "A Developer (she/her)", "authored": "2024-12-20T13:47:46-08:00",
        "committed": "2024-12-21T09:16:34+01:00", "message": "Update pools (#242)", "files": ["pools.yml", "src/a.py"],
    } | fields  # fmt: skip


# --- a snapshot -------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_imported_change_by_change_and_landing_by_landing(imported, snapshot):
    told = imported(snapshot)
    assert told.ended == "" and told.err == []
    assert told.out == [
        "autoland: 3 new, 0 corrected, 3 landings, 0 unchanged.",
        "build-puppet: 1 new, 0 corrected, 1 landings, 0 unchanged.",
        "mozilla-central: 0 new, 0 corrected, 1 landings, 0 unchanged.",
        "signtool: 0 new, 0 corrected, 0 landings, 0 unchanged.",
        "Altogether: 4 new, 0 corrected, 5 landings, 0 unchanged.",
    ]
    change = Change.objects.get(identity="hg:1f864da71bab")
    assert (change.state, change.is_public, change.author, change.bugs) == ("published", True, "A Developer", [1561582])
    assert (change.landed_at, change.files_count) == (datetime(2019, 6, 27, 17, 42, 24, tzinfo=UTC), 12)
    assert change.repositories == ["autoland", "mozilla-central"]
    assert [landing.pusher for landing in change.landings.all()] == ["sheriff", "sheriff"]
    landing = Landing.objects.get(repository="mozilla-central")
    assert landing.url == "https://hg.mozilla.org/mozilla-central/pushloghtml?changeset=1f864da71bab"
    change = Change.objects.get(identity=f"git:{SHA}")
    assert (change.author, change.summary) == ("A Développeur", "8.5.0")
    assert change.authored_at == change.landed_at == datetime(2019, 6, 27, 2, 53, 58, tzinfo=UTC)
    assert change.links[0]["url"] == f"https://github.com/mozilla-releng/build-puppet/commit/{SHA}"


def test_the_list_of_sources_tells_what_each_source_is(imported, snapshot):
    imported(snapshot)
    puppet, signtool, autoland, central = (
        Source.objects.get(name=name) for name in ("build-puppet", "signtool", "autoland", "mozilla-central")
    )
    assert (puppet.kind, puppet.team, puppet.address) == (
        "import", "mozilla-releng", "https://github.com/mozilla-releng/build-puppet",
    )  # fmt: skip
    assert puppet.filters == {"files": ["modules/x/requirements.txt"], "tags_only": True}
    assert signtool.filters == {"folders": ["terraform/"], "keyword": "deploy:"}
    assert (puppet.default_system.title, puppet.default_system.owner) == ("Build Puppet", "mozilla-releng")
    assert (autoland.default_system.title, autoland.team, central.default_system) == ("Autoland", "", None)
    assert Change.objects.filter(system=puppet.default_system).count() == 1


def test_after_a_second_run_the_database_is_the_same(imported, snapshot, tmp_path):
    path = jsonl(tmp_path, commit(), commit(OTHER_SHA, authored="2100-01-01T00:00:00+14:00", committed="1969-12-31"))
    imported(snapshot), imported(path)
    before = every_row()
    again = imported(snapshot)
    assert again.out[-1] == "Altogether: 0 new, 0 corrected, 0 landings, 5 unchanged."
    assert imported(path).out[-1].startswith("Altogether: 0 new, 0 corrected, 0 landings, 2 unchanged")
    assert every_row() == before


def test_a_source_that_is_there_is_left_as_it_is(imported, snapshot):
    there = Source.objects.create(name="Build-Puppet", kind="github commits", filters={"keyword": "x"}, publishes=False)
    before = Source.objects.filter(pk=there.pk).values().get()
    imported(snapshot)
    assert Source.objects.filter(pk=there.pk).values().get() == before
    assert not System.objects.filter(title="Build Puppet").exists()
    assert Landing.objects.get(change__source=there).repository == "Build-Puppet"


def test_what_is_proposed_is_not_public(imported, snapshot):
    imported(snapshot, "--proposed")
    assert set(Change.objects.values_list("state", "is_public")) == {("proposed", False)}


# --- the shapes that their files had over time ------------------------------------------------------------------------

GITHUB = f"https://api.github.com/repos/mozilla-releng/ship-it/git/commits/{SHA}"
SHAPES = {
    "a list of five": {
        "Git: ": {"ship-it": {"0": ["A Developer", "developer@example.com", "2018-10-17T20:10:15Z", GITHUB, "Words"]}}
    },
    "keys with colons": {
        "ship-it": {
            "0": {
                "Name: ": "A Developer",
                "Email: ": "developer@example.com",
                "Date: ": "2018-10-17T20:10:15Z",
                "Url: ": GITHUB,
                "Message: ": "Words",
            }
        }
    },
    "by revision": {
        "ship-it": {
            SHA: {"Name: ": "A Developer", "Date: ": "2018-10-17T20:10:15Z", "URL: ": GITHUB, "Message: ": "Words"}
        }
    },
    "the author as a dict": {
        "0": {
            "sha": SHA,
            "url": GITHUB,
            "author_info": {"name": "A Developer", "email": "x", "date": "2018-10-17T20:10:15Z"},
            "commit_message": "Words",
        }
    },
    "a committer": {
        "1": {
            "sha": SHA,
            "url": GITHUB,
            "commiter_name": "A Developer",
            "commiter_email": None,
            "commit_message": "Words",
            "commit_date": "2018-10-17 20:10:15 ",
        }
    },
    "as GitHub's API answers": [
        {
            "sha": SHA,
            "html_url": f"https://github.com/mozilla-releng/ship-it/commit/{SHA}",
            "commit": {"author": {"name": "A Developer", "date": "2018-10-17T20:10:15Z"}, "message": "Words"},
            "author": {"login": "x"},
        }
    ],
    "under a kind": {
        "Github": {
            "other": {},
            "ship-it": {"7": git_entry(date="2018-10-17T20:10:15Z", message="Words", author="A Developer", url=GITHUB)},
        }
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_of_a_commit_is_read(shape, imported, tmp_path):
    path = tmp_path / "changelog.json"
    path.write_text(json.dumps(SHAPES[shape]))
    assert imported(path).ended == ""
    change = Change.objects.get()
    assert (change.identity, change.message, change.author) == (f"git:{SHA}", "Words", "A Developer")
    assert change.at == datetime(2018, 10, 17, 20, 10, 15, tzinfo=UTC)
    assert change.repositories == ["ship-it"]
    assert change.links[0]["url"] == f"https://github.com/mozilla-releng/ship-it/commit/{SHA}"


NODE = "1106b713fd95481862967b3612a33b3e1dc99efb"
HG_SHAPES = {
    "json-log": {
        "node": NODE,
        "changesets": [
            {
                "node": NODE,
                "date": [1542444395.0, -7200],
                "desc": "Words",
                "user": "A Developer <developer@example.com>",
                "pushdate": [1542447314, 0],
                "pushid": 73239,
            }
        ],
    },
    "a node": {
        "0": {
            "commiter_name": "A Developer <developer@example.com>",
            "commit_date": "2018-11-17 10:46:35",
            "commit_message": "Words",
            "node": NODE,
        }
    },
    "a sha that is a changeset": {
        "1": {
            "sha": NODE,
            "url": f"https://hg.mozilla.org/x/autoland/pushloghtml?changeset={NODE[:12]}",
            "commiter_name": "A Developer ",
            "commit_message": "Words",
            "commit_date": "2018-11-17 08:46:35",
        }
    },
    "pushes with file names": {
        "0": {"last_push_id": 1},
        "35330": {
            "changeset_number": "35330",
            "pusher": "x@example.com",
            "date_of_push": "2018-11-17 08:46:35",
            "changeset_commits": {
                "7": {
                    "url": f"https://hg.mozilla.org/x/autoland/pushloggerhtml?changeset={NODE[:12]}",
                    "commiter_name": "A Developer <x>",
                    "commit_message": "Words",
                    "files_changed": ["a", "b"],
                }
            },
        },
    },
    "seconds": {
        "Autoland": {
            "0": {"Name: ": "A Developer <x>", "Date: ": [1542444395.0, 0], "Message: ": "Words", "Node: ": NODE}
        }
    },
}


@pytest.mark.parametrize("shape", HG_SHAPES)
def test_each_shape_of_a_changeset_is_read(shape, imported, tmp_path):
    path = tmp_path / ("hg_changelog.json" if shape == "seconds" else "autoland.json")
    path.write_text(json.dumps(HG_SHAPES[shape]))
    assert imported(path).ended == ""
    change = Change.objects.get()
    assert (change.identity, change.message, change.author) == (f"hg:{NODE[:12]}", "Words", "A Developer")
    assert [name.lower() for name in change.repositories] == ["autoland"]
    if shape == "json-log":
        assert (change.authored_offset, change.landed_at.timestamp(), change.push) == (
            120,
            1542447314,
            "autoland 73239",
        )
    if shape == "pushes with file names":
        assert (change.files, change.files_count, change.push) == (["a", "b"], 2, "autoland 35330")


BROKEN = {
    "no revision": ({"1": git_entry(sha=None, url="")}, "entry 1: it names no revision."),
    "half a revision": ({"1": git_entry(sha="abc123")}, "entry 1: its revision 'abc123' is not 40 hex digits."),
    "no moment": ({"1": git_entry(date=None)}, "entry 1: it names no moment."),
    "a moment that is none": ({"1": git_entry(date="yesterday")}, "entry 1: its moment 'yesterday' is none."),
    "a push alone": (
        {"1": {"Pusher": "x", "Date Of Push": "2019-01-09 23:41:24"}},
        "entry 1: it is a push of which no changeset is told.",
    ),
    "a changeset alone": ({"4": {"commit_message": "x", "commiter_name": "y"}}, "entry 4: it names no moment."),
    "no changeset": (
        {"1": hg_push("1f864da71bab") | {"changeset_commits": {"3": 7}}},
        "entry 1 / 3: it is no changeset.",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_bad_entry_is_named_and_the_rest_goes_in(broken, imported, tmp_path):
    entries, says = BROKEN[broken]
    path = tmp_path / "build-puppet.json"
    path.write_text(json.dumps({"0": {"last_checked": "x"}} | entries | {"9": git_entry(OTHER_SHA)}))
    told = imported(path)
    assert told.err == [f"Left out: build-puppet.json, {says}"]
    assert told.ended == "Left out 1 of what it holds, as named above; the rest is in the log."
    assert list(Change.objects.values_list("identity", flat=True)) == [f"git:{OTHER_SHA}"]


def test_a_broken_file_beside_good_ones_is_named_by_its_place_in_the_folder(imported, snapshot, tmp_path):
    (snapshot / "hg_files").mkdir()
    (snapshot / "hg_files" / "beta.json").write_text('{"0": ')
    (snapshot / "package.json").write_text('{"name": "something else"}')
    (snapshot / "empty.json").write_text("")
    told = imported(snapshot)
    assert told.err == [
        "Left out: hg_files/beta.json: it is no whole JSON in line 1.",
        "Left out: package.json: it holds nothing that firefox-infra-changelog wrote.",
    ]
    assert str(tmp_path) not in " ".join(told.err + told.out)
    assert "Altogether: 4 new, 0 corrected, 5 landings, 0 unchanged." in told.out


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([SHA,
    "2019-06-27"]),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(
        st.sampled_from(["0", "1", "sha", "message", "desc", "date", "url", "commit", "author", "changeset_commits",
                         "date_of_push", "files", "Github", "configuration", "x"]), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(told=JSON)
def test_whatever_json_it_is_an_entry_is_good_or_named(told):
    for entry in fic._Reading("x.json").walk(told, "", (), 0):
        if isinstance(entry, BadEntry):
            assert entry.because
        else:
            assert (
                entry.proposal(entry.repository, entry.landed_at).identity.partition(":")[2]
                == entry.revision[: 12 if not entry.is_git else 40]
            )
    assert isinstance(fic.repositories(told), dict)


# --- one commit a line ------------------------------------------------------------------------------------------------


def test_commits_are_imported_line_by_line_in_their_own_zones(imported, tmp_path):
    told = imported(
        jsonl(tmp_path, commit(), commit(OTHER_SHA, authored="2024-01-01T00:00:00+05:45", message="Ünïcödé ✓"))
    )
    assert told.out[0] == "ci-config: 2 new, 0 corrected, 2 landings, 0 unchanged."
    change = Change.objects.get(identity=f"git:{SHA}")
    assert (change.author, change.files, change.files_count) == ("A Developer (she/her)", ["pools.yml", "src/a.py"], 2)
    assert (change.authored_offset, change.landed_offset) == (-480, 60)
    assert change.landed_there.isoformat() == "2024-12-21T09:16:34+01:00"
    assert Change.objects.get(identity=f"git:{OTHER_SHA}").authored_there.isoformat() == "2024-01-01T00:00:00+05:45"


def test_a_repository_may_be_named(imported, tmp_path):
    imported(jsonl(tmp_path, commit()), "--repository", "fxci-config")
    assert Landing.objects.get().repository == "fxci-config"


def test_the_address_of_a_source_on_github_leads_to_its_commits(imported, tmp_path):
    Source.objects.create(name="ci-config", kind="git", address="https://github.com/mozilla-releng/fxci-config/")
    imported(jsonl(tmp_path, commit()))
    assert Landing.objects.get().url == f"https://github.com/mozilla-releng/fxci-config/commit/{SHA}"


def numbered(number):
    return f"{number:040x}"


def test_a_hostile_history_goes_in_but_for_what_is_no_commit(imported, tmp_path):
    hard = [
        b"\xef\xbb\xbf" + json.dumps(commit(numbered(1))).encode() + b"\r\n", b"\n", b"  \r\n",
        commit(numbered(2), message=""), commit(numbered(3), message="a\0b\ud800 \u202e"),
        commit(numbered(4), message="x" * 1_000_000), commit(numbered(5), files=[f"f{n}" for n in range(100_000)]),
        commit(numbered(6), author=None, files=None), commit(numbered(6)), commit(numbered(7), message="a\r\nb\rc"),
        commit(numbered(8), message="Merge branch 'x'", parents=["a", "b"]),
        json.dumps(commit(numbered(9))).encode().replace(b"Update", b"Upd\xff\xfe") + b"\n",
        b'{"sha": "a", \n', b'["a"]\n', b"null\n", b"{" * 100_000 + b"\n", commit("xyz"), commit(SHA[:12]),
        commit(None),
        {"sha": numbered(10), "message": "no moment"}, commit(numbered(11), committed="soon"),
        json.dumps(commit(numbered(12))).encode()[:-9],
    ]  # fmt: skip
    told = imported(jsonl(tmp_path, *hard))
    assert told.out[0] == "ci-config: 9 new, 0 corrected, 9 landings, 0 unchanged, 1 told twice."
    assert [line.partition(", line ")[2] for line in told.err] == [
        "13: it is no whole JSON object.", "14: it is no JSON object.", "15: it is no JSON object.",
        "16: it is no whole JSON object.", "17: its revision 'xyz' is not 40 hex digits.",
        f"18: its revision '{SHA[:12]}' is not 40 hex digits.", "19: it names no revision.", "20: it names no moment.",
        "21: its moment 'soon' is none.", "22: it is no whole JSON object.",
    ]  # fmt: skip
    assert told.ended.startswith("Left out 10 of")
    by_number = {int(change.identity[4:], 16): change for change in Change.objects.all()}
    assert by_number[2].summary == "(no message)"
    assert by_number[3].message == "a\ufffdb\ufffd [U+202E]"
    assert len(by_number[4].message) == 10_000
    assert (len(by_number[5].files), by_number[5].files_count) == (50, 100_000)
    assert by_number[7].message == "a\nb\nc"


ODD = {
    "1970-01-01T00:00:00+00:00": None, "1901-01-01T00:00:00Z": None, "2100-01-01T00:00:00+00:00": None,
    "2024-12-21T09:16:34+14:00": 14 * 60, "2024-12-21T09:16:34-12:00": -12 * 60, "2024-12-21T09:16:34+05:45": 345,
    "2024-12-21T09:16:34+51800": 0, "2024-12-21T09:16:34": 0,
}  # fmt: skip


@pytest.mark.parametrize("moment", ODD)
def test_an_odd_moment_is_kept_or_the_neighbours_is_taken(moment, imported, tmp_path):
    told = imported(jsonl(tmp_path, commit(numbered(1)), commit(numbered(2), authored=moment, committed=moment)))
    landing = Landing.objects.get(change__identity=f"git:{numbered(2)}")
    change = landing.change
    if ODD[moment] is None:
        assert landing.there.isoformat() == "2024-12-21T09:16:34+01:00"
        assert change.authored_there.isoformat() == datetime.fromisoformat(moment).isoformat()
        assert ", 1 placed elsewhere in time, for their own moment cannot be." in told.out[0]
    else:
        assert landing.there.replace(tzinfo=None).isoformat() == "2024-12-21T09:16:34"
        assert landing.offset == ODD[moment]
    assert change.at == landing.at


def test_the_first_of_all_without_a_moment_that_can_be_is_left_out(imported, tmp_path):
    told = imported(jsonl(tmp_path, commit(authored="1970-01-01", committed="1970-01-01"), commit(OTHER_SHA)))
    says = "line 1: its moment 1970-01-01T00:00:00+00:00 cannot be, and no other is told."
    assert told.err == [f"Left out: ci-config-2022-2024.jsonl, {says}"]
    assert Change.objects.get().identity == f"git:{OTHER_SHA}"


def test_more_than_a_batch_goes_in_and_what_comes_twice_far_apart_counts_once(imported, tmp_path):
    lines = [commit(numbered(number), message=f"Change {number}") for number in range(600)]
    path = jsonl(tmp_path, *lines, commit(numbered(0), message="Otherwise"))
    assert imported(path).out[0] == "ci-config: 600 new, 0 corrected, 600 landings, 0 unchanged, 1 told twice."
    before = every_row()
    assert imported(path).out[0] == "ci-config: 0 new, 0 corrected, 0 landings, 600 unchanged, 1 told twice."
    assert every_row() == before


# --- what cannot be imported ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (None, [], "does not exist: name the file or the folder of a history."),
        ({}, [], "holds no file that ends in .json or .jsonl: nothing was imported."),
        ({"a.txt": ""}, [], "holds no file that ends in .json or .jsonl: nothing was imported."),
        ({"a.json": "{}"}, ["--format", "commits-jsonl"], "holds no file that ends in .jsonl: nothing was imported."),
        (
            {"repositories.json": "{}"},
            [],
            "is a list of repositories and no history: name the folder of the histories.",
        ),
        ({"a.json": "{"}, [], "a.json cannot be imported: it is no whole JSON in line 1."),
        ({"a.json": '{"a": 1}'}, [], "a.json cannot be imported: it holds nothing that firefox-infra-changelog wrote."),
        ({"a.json": "7"}, [], "a.json cannot be imported: it holds nothing that firefox-infra-changelog wrote."),
        ({"a.jsonl": ""}, [], "a.jsonl cannot be imported: it is empty."),
        ({"a.jsonl": "sha,author\n"}, [], "its first line is no JSON object, and a history has one on each line."),
        ({"a.jsonl": "\x1f\x8b\x08"}, [], "its first line is no JSON object, and a history has one on each line."),
        (
            {"a.json": "{}", "b.json": "{}"},
            ["--repository", "x"],
            "holds 2 files: --repository names the repository of one",
        ),
    ],
)
def test_what_cannot_be_imported_is_one_clear_line_and_leaves_nothing(content, options, says, imported, tmp_path):
    folder = tmp_path / "history"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
    told = imported(folder, *options)
    assert says in told.ended and told.err == [] and told.out == []
    assert not Source.objects.exists() and not Change.objects.exists()


def test_a_file_of_unknown_ending_wants_its_format_said(imported, tmp_path):
    path = jsonl(tmp_path, commit(), name="history.txt")
    assert "say --format firefox-infra-changelog or --format commits-jsonl." in imported(path).ended
    assert imported(path, "--format", "commits-jsonl").ended == ""
    assert Landing.objects.get().repository == "history"


# --- moments and addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        ("2019-06-27T17:42:24.000000", datetime(2019, 6, 27, 17, 42, 24, tzinfo=UTC)),
        ("2018-11-07 22:14:32 ", datetime(2018, 11, 7, 22, 14, 32, tzinfo=UTC)),
        ("Mon, 29 Oct 2018 10:00:00 GMT", datetime(2018, 10, 29, 10, tzinfo=UTC)),
        ([1542444395.0, -7200], datetime(2018, 11, 17, 10, 46, 35, tzinfo=timezone(timedelta(hours=2)))),
        (1542444395, datetime(2018, 11, 17, 8, 46, 35, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("", None), (None, None), ([], None),
    ],
)  # fmt: skip
def test_a_moment_is_read_as_histories_write_it(told, moment):
    assert moment_of(told) == moment
    if moment:
        assert moment_of(told).utcoffset() == moment.utcoffset()


@pytest.mark.parametrize(
    "told",
    ["soon", "2019-13-01", "Mon, 99 Oct 2018 10:00:00 GMT", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
     [1, 2, 3], ["a", "b"], [1e400, 0], [0, 10**9], 10**400, float("nan"), {"a": 1}, True],
)  # fmt: skip
def test_a_moment_that_is_none_says_so(told):
    with pytest.raises(Unreadable, match="is none"):
        moment_of(told)


@pytest.mark.parametrize(
    ("address", "page", "repository"),
    [
        (f"https://api.github.com/repos/a/b/commits/{SHA}", f"https://github.com/a/b/commit/{SHA}", "b"),
        (f"https://api.github.com/repos/a/b/git/commits/{SHA}", f"https://github.com/a/b/commit/{SHA}", "b"),
        (f"https://github.com/a/b/commit/{SHA}", f"https://github.com/a/b/commit/{SHA}", "b"),
        ("https://hg.mozilla.org/x/y/pushloghtml?changeset=1",
        "https://hg.mozilla.org/x/y/pushloghtml?changeset=1", "y"),
        ("javascript:alert(1)", "", ""), ("https://a b", "", ""), ("", "", ""),
    ],
)  # fmt: skip
def test_an_address_of_an_api_becomes_the_page_for_people(address, page, repository):
    assert (for_people(address), repository_in(page)) == (page, repository)
