"""Redis, a worker or beat may fail in any way: pages go on, and everything is delivered once. The product as it runs.

Each fault has a product, a PostgreSQL database, a Redis and a mail server of its own. They run side by side, because
most of it is waiting: for the tick, and for the lease of a worker that was killed.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.faults import READY, sized
from tests.instruments.mail_server import MailServer, Script
from tests.instruments.product import ROOT, Browser, Click, Product
from tests.instruments.senders import Rows
from tests.instruments.servers import Redis, start

pytestmark = pytest.mark.fault

SLOWEST_PAGE = 3  # seconds
DELIVERED_WITHIN = 90  # seconds, even if Redis never returns
TAKEN_OVER_WITHIN = 120  # seconds after a worker was killed
#: How often everything is clicked while the broker is broken.
ROUNDS = sized(quick=4, full=12)
BROKER = sized(quick=["frozen"], full=["refused", "frozen", "flushed"])
#: What the buttons of these tests write, in the outbox's rows.
POSTED_HERE = "purpose = 'outbox: check'"
#: Longer than two of beat's pauses: whoever sends twice has done it by then.
TWO_BEATS_RUN_FOR = 40  # seconds


@dataclass
class Scene:
    """One product with its servers, and what came of its fault."""

    name: str
    product: Product
    redis: Redis
    server: MailServer
    rows: Rows
    clicks: list[Click] = field(default_factory=list)
    posted: int = 0
    delivered_after: float | None = None  # seconds from the last click or from the kill; None: not in time
    then_after: float | None = None  # seconds for one more mail, once Redis is back
    extra: list[subprocess.Popen] = field(default_factory=list)

    def browser(self) -> Browser:
        """Return the browser of somebody on duty who has signed in."""
        browser = Browser(self.product)
        browser.sign_in("duty")
        return browser

    def wait_for_delivery(self, seconds: float) -> float | None:
        """Wait until every mail that was written is accepted; return how many seconds it took, None if it did not."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.states() == {"accepted": self.posted}:
                return time.monotonic() - began
            time.sleep(0.1)
        return None

    def copies(self) -> list[int]:
        """Return how often each mail that was written came to the mail server."""
        came = [taken.message_id for taken in self.server.taken()]
        posted = self.rows.ask(f"SELECT message_id FROM {{table}} WHERE {POSTED_HERE}")
        return [came.count(message_id) for (message_id,) in posted]

    def states(self) -> dict[str, int]:
        """Return how many of the mails that were written here are in each state; the demo has some of its own."""
        return dict(self.rows.ask(f"SELECT state, count(*) FROM {{table}} WHERE {POSTED_HERE} GROUP BY state"))


def click_while_the_broker_is_broken(scene: Scene) -> None:
    browser = scene.browser()
    before, browser.clicks = browser.clicks, []
    assert [click.status for click in before] == [200] * len(before), before
    break_it = {"refused": scene.redis.refuse, "frozen": scene.redis.freeze, "flushed": scene.redis.flush}[scene.name]
    break_it()
    for _ in range(ROUNDS):
        browser.press("/sync/")
        browser.press("/outbox/check/")
        browser.open("/")
        browser.open("/outbox/")
        if scene.name == "flushed":
            scene.redis.flush()
    scene.clicks, scene.posted = list(browser.clicks), ROUNDS
    scene.delivered_after = scene.wait_for_delivery(DELIVERED_WITHIN)
    {"refused": scene.redis.start, "frozen": scene.redis.thaw, "flushed": scene.redis.flush}[scene.name]()
    browser.press("/outbox/check/")
    scene.posted += 1
    scene.then_after = scene.wait_for_delivery(DELIVERED_WITHIN)


def kill_the_worker_while_it_sends(scene: Scene) -> None:
    browser = scene.browser()
    scene.server.script.late_reply(30, times=2)  # so that the worker dies while the server thinks
    for _ in range(ROUNDS):
        browser.press("/outbox/check/")
    scene.posted = ROUNDS
    until = time.monotonic() + 30
    while not scene.server.taken() and time.monotonic() < until:
        time.sleep(0.01)
    scene.product.kill_worker()
    scene.delivered_after = scene.wait_for_delivery(TAKEN_OVER_WITHIN)


def run_two_beats_and_two_workers(scene: Scene) -> None:
    browser = scene.browser()
    began = time.monotonic()
    while time.monotonic() - began < TWO_BEATS_RUN_FOR:
        browser.press("/outbox/check/")
        scene.posted += 1
        time.sleep(1)
    scene.delivered_after = scene.wait_for_delivery(DELIVERED_WITHIN)
    time.sleep(16)  # one more tick of both beats
    scene.clicks = browser.clicks


PLAYS = {name: click_while_the_broker_is_broken for name in BROKER} | {
    "worker killed": kill_the_worker_while_it_sends,
    "two beats": run_two_beats_and_two_workers,
}


def second_beat_and_worker(product: Product) -> list[subprocess.Popen]:
    """Start what the product runs once a second time."""
    log = (product.state / "second.log").open("wb")
    celery = [sys.executable, "-m", "celery", "-A", "ciduty"]
    beat = [*celery, "beat", "-s", str(product.state / "second-beat-schedule"), "-l", "WARNING"]
    worker = [*celery, "worker", "--pool=threads", "-c", "4", "-Q", "urgent,sync,mail", "-l", "WARNING"]
    worker += ["-n", "second@%h"]
    with log:
        return [start(command, env=product.environment, stdout=log, stderr=log, cwd=ROOT) for command in (beat, worker)]


@pytest.fixture(scope="module")
def scenes(postgres):
    """Every play, run side by side."""
    with ExitStack() as stack:
        scenes = [_scene(name, postgres, stack) for name in PLAYS]  # one after another: the start is hard work
        with ThreadPoolExecutor(len(scenes)) as pool:
            plays = {scene.name: pool.submit(PLAYS[scene.name], scene) for scene in scenes}
        yield {scene.name: (scene, plays[scene.name]) for scene in scenes}
        for scene in scenes:  # side by side, too: each takes some seconds to end
            scene.product.process.terminate()


def _scene(name: str, postgres, stack: ExitStack) -> Scene:
    """Start the servers and the product of a scene. In the main thread: they end with the one that started them."""
    database = postgres.create("fault_" + name.replace(" ", "_"), template=READY)
    redis, server = stack.enter_context(Redis()), stack.enter_context(MailServer(Script()))
    product = stack.enter_context(Product(database, redis.url, server.url))
    scene = Scene(name, product, redis, server, Rows(database, "outbox_mail"))
    if name == "two beats":
        scene.extra = second_beat_and_worker(product)
        for process in scene.extra:
            stack.callback(end, process)
    return scene


def end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def played(scenes, name: str) -> Scene:
    """Return a scene after its play; raises what went wrong in it."""
    scene, play = scenes[name]
    play.result()
    return scene


def said(seconds: float | None) -> str:
    return "not in time" if seconds is None else f"after {seconds:.0f} s"


@pytest.mark.parametrize("name", BROKER)
def test_pages_go_on_without_redis_and_everything_is_delivered(scenes, figure, name):
    scene = played(scenes, name)
    slowest = max(click.seconds for click in scene.clicks)
    failed = [click for click in scene.clicks if click.status != 200]
    figure(
        f"Redis {name} while {len(scene.clicks)} pages are clicked",
        f"0 fail, all under {SLOWEST_PAGE} s; mail within {DELIVERED_WITHIN} s",
        f"{len(failed)} failed, the slowest took {slowest:.2f} s; {ROUNDS} mails delivered "
        f"{said(scene.delivered_after)}; once it is back, the next mail {said(scene.then_after)}",
    )
    assert len(scene.clicks) == 4 * ROUNDS
    assert failed == []
    assert slowest < SLOWEST_PAGE
    assert scene.delivered_after is not None, scene.states()
    assert scene.then_after is not None, scene.states()
    assert scene.copies() == [1] * (ROUNDS + 1)


def test_a_killed_workers_mail_is_delivered_by_another(scenes, figure):
    scene = played(scenes, "worker killed")
    figure(
        f"the worker killed with {scene.posted} mails due",
        f"mail within {TAKEN_OVER_WITHIN} s",
        f"delivered {said(scene.delivered_after)}, {sum(scene.copies()) - scene.posted} copies",
    )
    assert "worker ended (SIGKILL)" in scene.product.said
    assert scene.delivered_after is not None, scene.states()
    assert min(scene.copies()) == 1
    assert scene.rows.ask("SELECT max(deaths) FROM {table}")[0][0] == 1


def test_two_beats_and_two_workers_send_nothing_twice(scenes, figure):
    scene = played(scenes, "two beats")
    assert [process.poll() for process in scene.extra] == [None, None]
    twice = [copies for copies in scene.copies() if copies > 1]
    figure(
        f"two beats and two workers, {scene.posted} mails",
        "0 twice, 0 lost",
        f"{len(twice)} twice, {scene.copies().count(0)} lost",
    )
    assert scene.posted >= 10
    assert scene.copies() == [1] * scene.posted
