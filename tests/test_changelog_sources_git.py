"""Any git repository as a source, read through git itself: real repositories in a temporary folder."""

import os
import subprocess
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from changelog.models import Change, SeenRevision, Source
from changelog.models.sources import SourceKind
from changelog.sources import collecting, git_reading
from changelog.sources.git import Repository
from changelog.sources.reading import Deadline, Failure
from tests.cast import A_MORNING

pytestmark = pytest.mark.django_db


class Work:
    """A repository that somebody works in."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.run("init", "--quiet", "--initial-branch=main")

    @property
    def address(self):
        return f"file://{self.folder}"

    def run(self, *arguments, told=None, **environment):
        variables = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8",
            "GIT_AUTHOR_NAME": "Author", "GIT_AUTHOR_EMAIL": "author@example.com",
            "GIT_COMMITTER_NAME": "Committer", "GIT_COMMITTER_EMAIL": "committer@example.com",
        }  # fmt: skip
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=variables | environment,
            input=told,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def commit(self, words="A change", *, file="README", at="2026-03-03T09:00:00+00:00", authored=None, **environment):
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{words} {at}")
        self.run("add", "--all")
        dates = {"GIT_AUTHOR_DATE": authored or at, "GIT_COMMITTER_DATE": at}
        self.run("commit", "--quiet", "--allow-empty-message", "-m", words, **dates | environment)
        return self.run("rev-parse", "HEAD")

    def many(self, count):
        """Add commits quickly, a second apart, that touch no file."""
        begin = int(A_MORNING.timestamp()) - count
        lines = [
            f"commit refs/heads/main\ncommitter C <c@example.com> {begin + number} +0000\n"
            f"data {len(f'Change {number}')}\nChange {number}\n"
            + ("from refs/heads/main^0\n" if number == 0 and self.has_commits() else "")
            for number in range(count)
        ]
        self.run("fast-import", "--quiet", told="\n".join(lines).encode())
        return self.run("rev-list", f"--max-count={count}", "main").split()

    def has_commits(self):
        return bool(list((self.folder / ".git" / "refs" / "heads").iterdir()))


@pytest.fixture
def work(tmp_path, settings):
    settings.STATE_DIR = tmp_path / "state"
    return Work(tmp_path / "repository")


def source_of(work, **fields):
    return Source.objects.create(name="repository", kind=SourceKind.GIT, address=work.address, **fields)


def read(source, at=A_MORNING):
    """Read a source, and what is left of it, at a moment; return it."""
    Source.objects.filter(pk=source.pk).update(tried_at=None, blocked_until=None)
    for _ in range(20):
        collecting.collect_due(at)
        source.refresh_from_db()
        if not source.cursor.get("goes_on"):
            return source
    raise AssertionError("it never comes to an end")


def revisions():
    return set(SeenRevision.objects.values_list("revision", flat=True))


def test_a_commit_keeps_its_words_its_names_and_the_zones_of_its_moments(work):
    sha = work.commit(
        "Bug 1500001 - Zwölf Läufer, 日本\n\nWhy.", file="infra/ünï.yml", GIT_AUTHOR_NAME="Ünal 日本",
        authored="2026-03-02T23:30:00+0545", at="2026-03-03T08:00:00-0330",
    )  # fmt: skip
    read(source_of(work), A_MORNING + timedelta(hours=5))
    [change] = Change.objects.all()
    assert (change.identity, change.author) == (f"git:{sha}", "Ünal 日本")
    assert (change.summary, change.files) == ("Bug 1500001 - Zwölf Läufer, 日本", ["infra/ünï.yml"])
    assert change.authored_there.isoformat() == "2026-03-02T23:30:00+05:45"
    assert change.landed_there.isoformat() == "2026-03-03T08:00:00-03:30"


def test_each_commit_is_told_once_and_nothing_new_tells_nothing(work):
    shas = {work.commit("First"), work.commit("Second")}
    source = read(source_of(work))
    cursor = source.cursor
    read(source)
    assert (source.cursor, revisions()) == (cursor, shas)
    shas.add(work.commit("Third"))
    read(source)
    assert (revisions(), Change.objects.count()) == (shas, 3)


def test_the_first_run_tells_the_newest_hundred_and_a_run_has_a_limit(work, monkeypatch):
    old = work.many(250)
    source = read(source_of(work))
    assert revisions() == set(old[:100])
    monkeypatch.setattr(git_reading, "MOST_AT_ONCE", 40)
    new = work.many(90)
    Source.objects.update(tried_at=None)
    collecting.collect_due(A_MORNING)
    source.refresh_from_db()
    assert (source.cursor["goes_on"], source.cursor["told"], len(revisions())) == (True, 40, 140)
    read(source)
    assert revisions() == {*old[:100], *new}


def test_rewritten_history_is_read_on_and_noted_and_what_landed_stays(work):
    first = work.commit("First")
    lost = work.commit("Lost by the push")
    source = read(source_of(work))
    work.run("reset", "--quiet", "--hard", first)
    new = work.commit("In its place")
    read(source)
    assert revisions() == {first, lost, new}
    assert Change.objects.count() == 3
    assert source.cursor["note"] == git_reading.REWRITTEN


def test_a_lost_folder_of_ours_is_fetched_again_and_nothing_is_told_twice(work, settings):
    work.many(120)
    source = read(source_of(work))
    for path in sorted((settings.STATE_DIR / "git").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    new = work.commit("After it", at="2026-03-03T09:01:00+00:00")
    read(source)
    assert Change.objects.count() == 101
    assert new in revisions() and "note" not in source.cursor


def test_at_the_edge_of_what_was_fetched_files_are_unknown_and_what_is_older_is_no_news(work, monkeypatch):
    monkeypatch.setattr(git_reading, "DEPTH", 3)
    main = [
        work.commit(f"Main {day}", file=f"folder/{day}", at=f"2026-02-{day:02}T09:00:00+00:00") for day in range(1, 9)
    ]
    source = read(source_of(work))
    assert revisions() == set(main[-3:])
    assert dict(Change.objects.values_list("summary", "files_count")) == {"Main 6": None, "Main 7": 1, "Main 8": 1}
    work.run("checkout", "--quiet", "-b", "old", main[1])
    new = work.commit("New on an old branch", at="2026-03-02T09:00:00+00:00")
    work.run("checkout", "--quiet", "main")
    dates = {"GIT_AUTHOR_DATE": "2026-03-03T09:00:00Z", "GIT_COMMITTER_DATE": "2026-03-03T09:00:00Z"}
    work.run("merge", "--quiet", "--no-ff", "-m", "Merge", "old", **dates)
    read(source)
    assert revisions() == {*main[-3:], new, work.run("rev-parse", "main")}


def test_a_branch_is_read_alone(work):
    first = work.commit("First")
    work.run("checkout", "--quiet", "-b", "stable")
    stable = work.commit("Stable")
    work.run("checkout", "--quiet", "main")
    work.commit("Main")
    read(source_of(work, branch="stable"))
    assert revisions() == {first, stable}


def test_a_branch_that_is_not_there_is_said_so(work):
    work.commit("First")
    source = read(source_of(work, branch="gone"))
    assert (source.problem, source.failures) == ("It has no such branch: was it renamed?", 1)


def test_folders_and_a_merge_are_told_apart(work):
    work.commit("Base")
    work.run("checkout", "--quiet", "-b", "branch")
    inside = work.commit("Inside", file="taskcluster/ci/config.yml")
    work.run("checkout", "--quiet", "main")
    work.commit("Outside", file="docs/taskcluster")
    dates = {"GIT_AUTHOR_DATE": "2026-03-03T09:00:00Z", "GIT_COMMITTER_DATE": "2026-03-03T09:00:00Z"}
    work.run("merge", "--quiet", "--no-ff", "-m", "Merge", "branch", **dates)
    read(source_of(work, filters={"folders": ["taskcluster"]}))
    assert [change.identity for change in Change.objects.all()] == [f"git:{inside}"]
    assert len(revisions()) == 4


def test_tags_alone_are_told_and_a_tag_that_moves_is_the_same_change(work):
    work.commit("First")
    work.run("tag", "v1.0")
    dates = {"GIT_COMMITTER_DATE": "2026-03-03T10:00:00+02:00"}
    work.run("tag", "-a", "v2.0", "-m", "What is new: bug 1500001", **dates)
    source = read(source_of(work, filters={"tags_only": True}))
    changes = {change.summary: change for change in Change.objects.all()}
    assert set(changes) == {"repository v1.0", "repository v2.0"}
    assert changes["repository v2.0"].bugs == [1500001]
    assert changes["repository v2.0"].effective_there.isoformat() == "2026-03-03T10:00:00+02:00"
    assert changes["repository v1.0"].message == ""
    work.commit("Second")
    work.run("tag", "--force", "v1.0")
    work.run("tag", "v3.0")
    read(source)
    assert Change.objects.count() == 3
    cursor = source.cursor
    read(source)
    assert (source.cursor, Change.objects.count()) == (cursor, 3)


def test_odd_commits_are_told_as_far_as_they_go(work):
    tree = work.run("write-tree")
    odd = [
        f"tree {tree}\nauthor  <> 0 +0000\ncommitter  <> 0 +0000\n\n".encode(),
        f"tree {tree}\nauthor J\xf6rg <j@example.com> 1772528400 +9999\n"
        "committer J <j@example.com> 1772528400 +0000\nencoding iso-8859-1\n\nGr\xfc\xdfe".encode("latin-1"),
        f"tree {tree}\nauthor Far <f@example.com> 99999999999999 +0000\n"
        "committer Far <f@example.com> 4102444800 -1200\n\nFrom the future".encode(),
        f"tree {tree}\nauthor Bad <b@example.com> 1772528400 +0000\ncommitter Bad <b@example.com> 1772528400 +0000\n\n"
        .encode() + b"Broken \xff\xfe bytes \xe2\x80\xae turned",
    ]  # fmt: skip
    parent = ""
    for body in odd:
        head, _, rest = body.partition(b"\n")
        body = head + (f"\nparent {parent}".encode() if parent else b"") + b"\n" + rest
        parent = work.run("hash-object", "-t", "commit", "-w", "--literally", "--stdin", told=body)
    work.run("update-ref", "refs/heads/main", parent)
    source = read(source_of(work))
    assert source.problem == ""
    told = dict(Change.objects.values_list("summary", "author"))
    assert len(told) == 4
    assert told["Grüße"] == "Jörg"
    assert set(Change.objects.exclude(author="Jörg").exclude(author="Bad").values_list("landed_at", flat=True)) == {
        A_MORNING
    }
    assert any(words.endswith(", without a message") for words in told)


def test_many_files_are_counted_and_do_not_break_it(work):
    lines = ["commit refs/heads/main\ncommitter C <c@example.com> 1772528400 +0000\ndata 4\nMany"]
    lines += [f"M 100644 inline folder/{number}\ndata 1\nx" for number in range(3_000)]
    work.run("fast-import", "--quiet", told="\n".join(lines).encode() + b"\n")
    read(source_of(work, filters={"files": ["folder/29*9"]}))
    [change] = Change.objects.all()
    assert change.files_count == 3_000
    assert len(change.files) == 50


def test_no_hook_and_no_setting_of_the_machine_is_run(work, settings, tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(f'[core]\n fsmonitor = "touch {mark}"\n sshCommand = touch {mark}\n')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (settings.STATE_DIR / "git").mkdir(parents=True)
    (settings.STATE_DIR / "git" / ".gitconfig").write_text('[url "file:///nowhere/"]\n insteadOf = "file:///"\n')
    work.commit("First")
    source = source_of(work)
    hooks = settings.STATE_DIR / "git" / f"{source.pk}.git" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("reference-transaction", "post-update", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (hooks / name).chmod(0o755)
    read(source)
    assert Change.objects.count() == 1
    assert not mark.exists()


@pytest.mark.parametrize("address", ["--upload-pack=touch /tmp/x", "-oProxyCommand=x", "ext::sh -c true", "/srv/git"])
def test_an_address_that_is_no_address_never_reaches_git(address, tmp_path):
    with pytest.raises(Failure, match="none that git is given"):
        Repository.at(tmp_path / "x.git", address, Deadline(5))
    assert not (tmp_path / "x.git").exists()


def test_a_folder_of_this_machine_is_refused_unless_it_is_allowed(work, settings):
    work.commit("First")
    source = source_of(work)
    settings.TESTING = False
    collecting.collect_due(A_MORNING)
    settings.TESTING = True
    source.refresh_from_db()
    assert source.problem == "It leads to a folder of this machine: ciduty does not go there."


def test_what_git_itself_says_is_never_shown(work, tmp_path):
    source = source_of(work)
    Source.objects.update(address=f"file://{tmp_path}/canary-of-an-error")
    read(source)
    assert source.problem == "There is no git repository at its address, or it is private."


def test_git_is_ended_when_its_time_is_up(work, settings, tmp_path):
    repository = Repository.at(tmp_path / "x.git", work.address, Deadline(30))
    began = datetime.now(UTC)
    slow = Repository(repository.folder, work.address, Deadline(0.3))
    with pytest.raises(Failure, match="not read to its end within 0.3 s"):
        slow.run("-c", "alias.wait=!sleep 20", "wait")
    assert datetime.now(UTC) - began < timedelta(seconds=5)


# --- over HTTP, as most are read --------------------------------------------------------------------------------------


class _Git(BaseHTTPRequestHandler):
    """git's own HTTP server, a program that is started for each question."""

    root, asked, moved_to = "", [], ""

    def log_message(self, *_):
        pass

    def do_GET(self):  # noqa: N802
        type(self).asked.append(self.path)
        if self.moved_to:
            self.send_response(301)
            self.send_header("Location", self.moved_to + self.path)
            self.end_headers()
            return
        parts, length = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
        variables = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": self.root, "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command, "PATH_INFO": parts.path, "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(length),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "HOME": self.root,
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }  # fmt: skip
        told = self.rfile.read(length)
        answer = subprocess.run(["git", "http-backend"], env=variables, input=told, capture_output=True).stdout
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815


@contextmanager
def git_over_http(root, moved_to=""):
    """Serve the repositories below a folder; yields the address, and what was asked."""
    handler = type("Handler", (_Git,), {"root": str(root), "asked": [], "moved_to": moved_to})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
    finally:
        server.shutdown()
        server.server_close()


def test_a_repository_is_read_over_http_without_the_contents_of_its_files(work, settings):
    work.run("config", "uploadpack.allowFilter", "true")
    sha = work.commit("First", file="folder/large")
    with git_over_http(work.folder.parent) as (address, _):
        source = source_of(work)
        Source.objects.update(address=f"{address}/repository/.git".replace("127.0.0.1", "localhost"))
        read(source)
        second = work.commit("Second")
        read(source)
    assert (source.problem, revisions()) == ("", {sha, second})
    kept = Repository.at(settings.STATE_DIR / "git" / f"{source.pk}.git", work.address, Deadline(10))
    kinds = kept.run("cat-file", "--batch-check=%(objecttype)", "--batch-all-objects").decode().split()
    assert "commit" in kinds and "tree" in kinds and "blob" not in kinds


def test_git_follows_no_redirect_to_another_host(work):
    work.commit("First")
    with git_over_http(work.folder.parent) as (other, asked_there):
        with git_over_http(work.folder.parent, moved_to=other) as (address, asked_here):
            source = source_of(work)
            Source.objects.update(address=f"{address}/repository/.git")
            read(source)
    assert asked_here and asked_there == []
    assert source.problem == "It sends us elsewhere: has the repository moved?"


def test_git_is_not_started_towards_a_private_network(work, settings):
    work.commit("First")
    with git_over_http(work.folder.parent) as (address, asked):
        source = source_of(work)
        Source.objects.update(address=f"{address}/repository/.git")
        settings.TESTING = False
        collecting.collect_due(A_MORNING)
        settings.TESTING = True
    source.refresh_from_db()
    assert (source.problem, asked) == ("Its host leads into a private network: ciduty does not go there.", [])
