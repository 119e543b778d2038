"""A downtime from announced to TREE OPEN while whoever presses, works or stores it is killed at each step.

It goes on where it stood; nothing is done twice, and nothing is left out. Real processes, PostgreSQL, HTTP and SMTP.
"""

import random
import time
from collections import Counter
from email import message_from_bytes, policy

import pytest

from ciduty.bugzilla.sandbox import Sandbox as Bugzilla
from ciduty.bugzilla.sandbox import World as BugzillaWorld
from ciduty.bugzilla.sandbox import seed as bugzilla_seed
from ciduty.trees.sandbox import BOT_TOKEN, World, editing
from ciduty.trees.sandbox import Sandbox as TreeStatus
from tests.cast import ELSEWHERE, file
from tests.faults import seeds, sized
from tests.instruments.mail_server import MailServer
from tests.instruments.run_presses import PRESSES
from tests.instruments.senders import Rows, Senders
from tests.instruments.servers import wait_until
from tests.test_faults_bugs import comments_of

pytestmark = pytest.mark.fault

#: How often whoever presses a button is killed, and with them somebody who works.
KILLS = sized(quick=1, full=8)
#: PostgreSQL is stopped hard at every so many steps.
RESTARTS_EVERY = sized(quick=4, full=1)
WORK = sized(quick=2, full=3)
TREES = ("autoland", "mozilla-central")
WORKERS = ("deliver_mail", "update_bugs", "change_trees", "read_trees")
LEASE = 1.0
LONGEST = 90  # seconds for one step


@pytest.fixture
def bugzilla():
    world = BugzillaWorld(":memory:")
    bugzilla_seed.people(world)
    bugzilla_seed.products(world)
    with Bugzilla(world) as sandbox:
        yield sandbox
    world.close()


@pytest.fixture
def trees():
    world = World(":memory:")
    with world.transaction():
        for name in TREES:
            editing.create(world, "sheriff@example.com", name)
            editing.update(world, "sheriff@example.com", [name], "open", "", [])
    with TreeStatus(world) as sandbox:
        yield sandbox
    world.close()


class Night:
    """One downtime, and everybody who may be killed. Use `with`."""

    def __init__(self, database, postgres, environment, log, dice):
        self.postgres, self.dice = postgres, dice
        self.senders = Senders(environment, log, lease=LEASE)
        self.workers: dict[str, int] = {}
        self.kills = self.restarts = 0
        self.mails, self.updates, self.changes = (
            Rows(database, table) for table in ("outbox_mail", "outbox_bugupdate", "outbox_treechange")
        )

    def __enter__(self):
        self.senders.__enter__()
        return self

    def __exit__(self, *problem):
        self.senders.__exit__(*problem)

    def employ(self) -> None:
        """Let all of them work."""
        for name in WORKERS:
            self.workers[name] = self._start(name)

    def _start(self, name: str) -> int:
        self.senders.start(name)
        return self.senders.running[-1]

    def press(self, name: str, number: int) -> None:
        """Press a button: killed at it, with others beside, until it took."""
        for _ in range(KILLS):
            presser = self._start(f"press {name}")
            time.sleep(self.dice.uniform(0, 0.08))
            self.senders.kill(presser)
            self._replace(self.dice.choice(WORKERS))
            self.kills += 2
        presser = self._start(f"press {name}")
        if number % RESTARTS_EVERY == 0:
            time.sleep(self.dice.uniform(0, 0.05))
            self.postgres.restart()
            self.restarts += 1
        wait_until(lambda: self.senders.run("took", name=name), f"{name} took", LONGEST, every=0.1)
        self.senders.kill(presser)

    def _replace(self, name: str) -> None:
        self.senders.kill(self.workers[name])
        self.workers[name] = self._start(name)

    def finish(self) -> None:
        """Wait until everything that was written down was said."""
        rows = (self.mails, self.updates, self.changes)
        wait_until(lambda: not any(one.under_way() for one in rows), "everything said", LONGEST, every=0.2)


def entries(world, tree):
    """Return who brought a tree into which state, in order."""
    return [(entry["status"], entry["who"]) for entry in reversed(world.logs(tree))]


@pytest.mark.parametrize("number", seeds())
def test_a_downtime_goes_on_where_it_stood_whoever_is_killed(
    postgres, database, bugzilla, trees, tmp_path, figure, number
):
    dice = random.Random(f"faults of a run {number}")
    bugs = [file(bugzilla, **ELSEWHERE) for _ in range(WORK)]
    with MailServer() as server:
        environment = {
            "DATABASE_URL": database, "REDIS_URL": "", "LOG_LEVEL": "ERROR", "EMAIL_URL": server.url,
            "BUGZILLA_URL": bugzilla.url, "BUGZILLA_API_KEY": bugzilla_seed.BOT_KEY,
            "TREESTATUS_URL": trees.url, "TREESTATUS_WRITES": "patch", "TREESTATUS_TOKEN": BOT_TOKEN,
        }  # fmt: skip
        with Night(database, postgres, environment, tmp_path / "senders.log", dice) as night:
            night.senders.run("announced_run", bugs=bugs)
            night.employ()
            for place, name in enumerate(PRESSES, start=1):
                night.press(name, place)
            night.finish()
            record = Counter(
                verb for (verb,) in night.mails.ask("SELECT verb FROM record_entry WHERE about LIKE 'downtime %%'")
            )
        letters = [message_from_bytes(taken.message, policy=policy.default) for taken in server.taken()]
    told = {name: [entry for entry in entries(trees.world, name) if "ciduty" in entry[1]] for name in TREES}
    opens = [letter for letter in letters if letter["Subject"].startswith("TREE OPEN")]
    firsts = {letter["To"]: letter["Message-ID"] for letter in reversed(letters)}
    comments = {bug: "\n".join(comments_of(bugzilla, bug)).count("landed-and-stuck") for bug in bugs}
    figure(
        f"whoever presses and somebody who works killed {night.kills} times over {len(PRESSES)} steps, PostgreSQL "
        f"stopped hard {night.restarts} times",
        "once each, in order",
        f"each tree closed and reopened once, {len({one['Message-ID'] for one in opens})} TREE OPEN to "
        f"{len(firsts)} lists and people in {len(opens)} copies, {sum(comments.values())} outcomes in {WORK} bugs "
        f"(seed {number})",
    )
    assert [[status for status, _ in of_tree] for of_tree in told.values()] == [["closed", "open"]] * len(TREES)
    assert {letter["In-Reply-To"] == firsts[letter["To"]] for letter in opens} == {True}
    assert len({letter["Message-ID"] for letter in opens}) == len({letter["To"] for letter in opens}) == 3
    assert set(comments.values()) == {1}
    assert [record[verb] for verb in ("begin", "finish", "start", "land")] == [1, 1, WORK, WORK]
