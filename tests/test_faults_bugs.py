"""Each change of a bug is applied exactly once, however its write ends. Real senders, PostgreSQL and HTTP.

Every write goes through a proxy that lets almost none of them end well. A wait of minutes passes by moving the clock,
only while no sender is at work and no write is on its way: what arrives later than five minutes is not promised for.
"""

import random
import re
import time
from collections import Counter
from contextlib import closing

import psycopg2
import pytest
import requests

from ciduty.bugzilla.sandbox import Fault, Sandbox, World, seed
from tests.cast import file
from tests.faults import seeds, sized
from tests.instruments.proxy import NONE, Proxy, Trouble
from tests.instruments.senders import Rows, Senders

pytestmark = pytest.mark.fault

BUGS, EACH = sized(quick=(16, 2), full=(42, 6))
#: Of so many writes one ends well.
ONE_ENDS_WELL_OF = 10
SENDERS = 3
#: Seconds that a sender waits for an answer here; 20 in the product.
PATIENCE = 0.5
TOO_LATE = 2 * PATIENCE
#: Moves of the clock, in seconds: shorter and longer than the five minutes after which a write is given up for lost.
WAITS = (20, 70, 130, 310)
LONGEST = 420  # seconds for all of it
TABLE = "outbox_bugupdate"

#: Rows that are in somebody's hands or may be at once; of one bug only the first may go.
AT_WORK = """
SELECT count(*) FROM outbox_bugupdate AS row WHERE state = 'sending' OR (
    state IN ('due', 'retry', 'unknown')
    AND next_try_at <= clock_timestamp() + make_interval(secs => COALESCE((SELECT seconds FROM ciduty_clock_offset), 0))
    AND NOT EXISTS (
        SELECT 1 FROM outbox_bugupdate AS earlier WHERE earlier.bug_id = row.bug_id AND earlier.id < row.id
        AND earlier.state IN ('due', 'sending', 'retry', 'unknown')
    )
)
"""

PAGE = b"<!DOCTYPE html><html><title>Sign in to the proxy</title><p>Please sign in.</p></html>"
HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE)
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"
#: What goes wrong with a write -> what the proxy does to it and to its answer.
NEVER_APPLIED = {
    "cut on its way": (Trouble(cut_after=60), NONE),
    "its sender killed before": (Trouble(hold=True), NONE),
    "answered by HTML instead": (NONE, NONE),  # the sandbox itself does these two
    "answered 502 instead": (NONE, NONE),
}
APPLIED = {
    "its answer cut at once": (NONE, Trouble(cut_after=0)),
    "its answer cut in the middle": (NONE, Trouble(cut_after=230)),
    "its answer replaced by HTML": (NONE, Trouble(instead=HTML)),
    "its answer replaced by nothing": (NONE, Trouble(instead=EMPTY)),
    "its answer too late": (NONE, Trouble(delay=TOO_LATE)),
    "its sender killed after": (NONE, Trouble(hold=True)),
    "applied after its sender gave up": (NONE, NONE),  # the sandbox waits
}
BY_THE_SANDBOX = {
    "answered by HTML instead": {"kind": "html", "status": 502},
    "answered 502 instead": {"kind": "status", "status": 502},
    "applied after its sender gave up": {"kind": "delay", "seconds": TOO_LATE},
}


class Ambush:
    """Lets writes go wrong, one in this way, the next in another; and remembers how many in which."""

    def __init__(self, sandbox: Sandbox, proxy: Proxy, dice: random.Random):
        self._sandbox, self._dice = sandbox, dice
        self.struck: Counter[str] = Counter()
        self.changes: set[tuple[int, int]] = set()  # that were struck: bug, and how many comments it had before
        self._each_once = dice.sample(sorted(NEVER_APPLIED | APPLIED), len(NEVER_APPLIED | APPLIED))
        self.over_at = 0.0  # seconds of the monotonic clock at which no write can be on its way any more
        proxy.strike(b"PUT ", self._choose)

    def _choose(self, question: bytes) -> tuple[Trouble, Trouble]:
        self.over_at = time.monotonic() + TOO_LATE + 0.3
        if self._dice.randrange(ONE_ENDS_WELL_OF) == 0:
            return NONE, NONE
        # Each way once, in an order of the dice, before the dice alone decide: a short run strikes in all of them, too.
        how = self._each_once.pop() if self._each_once else self._dice.choice(sorted(NEVER_APPLIED | APPLIED))
        self.struck[how] += 1
        bug_id = int(re.match(rb"PUT /rest/bug/(\d+)", question)[1])
        self.changes.add((bug_id, len(comments_of(self._sandbox, bug_id))))
        if how in BY_THE_SANDBOX:
            self._sandbox.faults.add(Fault(match="^PUT ", times=1, **BY_THE_SANDBOX[how]))
        return (NEVER_APPLIED | APPLIED)[how]


class Writers:
    """Senders of bug updates that are killed whenever a write is held up, and whose clock runs ahead. Use `with`."""

    def __init__(self, database: str, proxy: Proxy, log, dice: random.Random):
        self.database, self.proxy, self.dice = database, proxy, dice
        self.rows = Rows(database, TABLE)
        environment = {"DATABASE_URL": database, "REDIS_URL": "", "LOG_LEVEL": "ERROR"}
        environment |= {"BUGZILLA_URL": proxy.url, "BUGZILLA_API_KEY": seed.BOT_KEY}
        self.senders = Senders(environment, log, lease=60, patience=PATIENCE)
        self.kills = self.tried_again = 0

    def __enter__(self):
        self.senders.__enter__()
        return self

    def __exit__(self, *problem):
        self.senders.__exit__(*problem)

    def work(self, ambush: Ambush) -> None:
        """Let them work until nothing goes any more. Raises TimeoutError."""
        until = time.monotonic() + LONGEST
        self.senders.start("update_bugs", SENDERS)
        while self.rows.under_way() or self._try_parked_again():
            if time.monotonic() > until:
                raise TimeoutError(f"still under way after {LONGEST} s: {self.rows.states()}")
            if self.proxy.held.wait(0.1):
                self._kill_all()
            elif time.monotonic() > ambush.over_at:
                self._move_the_clock_when_quiet()

    def _try_parked_again(self) -> int:
        parked = self.senders.run("try_parked_again", kind="bug")
        self.tried_again += parked
        return parked

    def _kill_all(self) -> None:
        """Kill all of them, one of whom waits for a write, and let others take over at once what they held."""
        time.sleep(self.dice.uniform(0, 0.05))
        self.proxy.held.clear()
        self.kills += len(self.senders.running)
        self.senders.kill_all()
        self.rows.do("UPDATE {table} SET lease_until = created_at WHERE state = 'sending'")
        self.senders.start("update_bugs", SENDERS)

    def _move_the_clock_when_quiet(self) -> None:
        with closing(psycopg2.connect(self.database)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {TABLE} IN EXCLUSIVE MODE")
            cursor.execute(AT_WORK)
            if cursor.fetchone()[0] == 0:
                cursor.execute(
                    "INSERT INTO ciduty_clock_offset (id, seconds) VALUES (1, %s) ON CONFLICT (id)"
                    " DO UPDATE SET seconds = ciduty_clock_offset.seconds + excluded.seconds",
                    (self.dice.choice(WAITS),),
                )


@pytest.fixture
def sandbox():
    world = World(":memory:")
    seed.people(world)
    seed.products(world)
    with Sandbox(world) as sandbox:
        yield sandbox
    world.close()


def comments_of(sandbox: Sandbox, bug_id: int) -> list[str]:
    headers = {"X-BUGZILLA-API-KEY": seed.BOT_KEY}
    answer = requests.get(f"{sandbox.url}/rest/bug/{bug_id}/comment", headers=headers, timeout=10).json()
    return [comment["text"] for comment in answer["bugs"][str(bug_id)]["comments"]]


@pytest.mark.parametrize("number", seeds())
def test_each_change_is_applied_exactly_once_however_its_write_ends(database, sandbox, tmp_path, figure, number):
    dice = random.Random(f"faults of bugs {number}")
    bugs = [file(sandbox) for _ in range(BUGS)]
    with Proxy(sandbox.url) as proxy, Writers(database, proxy, tmp_path / "senders.log", dice) as writers:
        updates = writers.senders.run("post_comments", bug_ids=bugs, each=EACH, about="ambush")
        ambush = Ambush(sandbox, proxy, dice)
        writers.work(ambush)
        states = writers.rows.states()
        rows = writers.rows.ask("SELECT bug_id, op FROM {table}")
    comments = {bug_id: "\n".join(comments_of(sandbox, bug_id)) for bug_id in bugs}
    applied = Counter(comments[bug_id].count(f"ref {op}") for bug_id, op in rows)
    before = sum(ambush.struck[how] for how in NEVER_APPLIED)
    twice = sum(applied.values()) - applied[0] - applied[1]
    figure(
        f"{len(ambush.changes)} of {updates} changes of bugs, their writes cut, late, replaced or killed",
        "each applied exactly once",
        f"{applied[0]} lost, {twice} applied twice; {sum(ambush.struck.values())} writes struck, {before} of them "
        f"before they were applied; {writers.kills} senders killed; {writers.tried_again} parked and tried again by "
        f"hand (seed {number})",
    )
    assert states == {"accepted": updates}
    assert applied == {1: updates}
    assert sum(len(comments_of(sandbox, bug_id)) for bug_id in bugs) == updates + BUGS  # and nothing else was written
    assert set(ambush.struck) == set(NEVER_APPLIED | APPLIED)
    assert len(ambush.changes) >= updates * 0.8
