"""A downtime while it is run, for tests: begun, its trees closed, its work done, its trees open, each of three ways.

The ways: BY_HAND without a service, LINK where the test plays the human at Lando, PATCH at the standalone service.
"""

from contextlib import contextmanager
from datetime import timedelta

from ciduty import clock
from ciduty.outbox import delivery
from ciduty.outbox.models import Mail
from ciduty.outbox.rules import State as MailState
from ciduty.trees import polling
from ciduty.trees.models import Tree
from ciduty.trees.sandbox import BOT_TOKEN, LANDO, STANDALONE, Sandbox, World, editing
from downtimes.models import Downtime
from downtimes.rules import State
from downtimes.run import before, beginning, closing, facts, reopening, steering, working
from downtimes.run.closing import BY_HAND, LINK, PATCH
from downtimes.run.rules import MESSAGE, Step
from tests import downtime_stage
from tests.cast import A_MORNING
from tests.downtime_stage import op

WAYS = [BY_HAND, LINK, PATCH]
TREES = ["autoland", "mozilla-central"]
SHERIFF, HUMAN = "sheriff@example.com", "duty@example.com"
MINUTE = timedelta(minutes=1)


@contextmanager
def trees_kept(settings, way, names=(*TREES, "try")):
    """Keep trees this way, all of them open and read once; gives the sandbox service, or None by hand."""
    settings.TREESTATUS_URL, settings.TREESTATUS_WRITES, settings.TREESTATUS_TOKEN = "", "none", ""
    if way == BY_HAND:
        yield None
        return
    world = World(generation=LANDO if way == LINK else STANDALONE)
    for name in names:
        editing.create(world, SHERIFF, name)
    with Sandbox(world) as sandbox:
        settings.TREESTATUS_URL = sandbox.url
        if way == PATCH:
            settings.TREESTATUS_WRITES, settings.TREESTATUS_TOKEN = "patch", BOT_TOKEN
        read()
        yield sandbox
    world.close()


def morning():
    """Let it be a working morning."""
    clock.move(A_MORNING - clock.now())


def read(after=timedelta()):
    """Read the trees when so much time has passed; returns the outcome, None by hand."""
    clock.move(after)
    return polling.poll()


def sheriff(sandbox, name, status="closed", reason="bustage", tags=("checkin_test",), who=SHERIFF):
    """Let somebody change a tree in the service itself, and the next poll see it."""
    editing.update(sandbox.world, who, [name], status, reason, list(tags))


def accepted(downtime):
    """Let every list have the announcement."""
    Mail.objects.filter(batch__in=downtime.announcements.values("batch")).update(
        state=MailState.ACCEPTED, accepted_at=clock.now()
    )


def ready(people, **plans):
    """Return a downtime whose announced time has come, the sheriff told: nothing stands against beginning."""
    downtime = downtime_stage.announced(people, **plans)
    accepted(downtime)
    clock.move(downtime.starts_at - clock.now() + timedelta(seconds=1))
    read()
    steering.do_step(downtime, Step.SHERIFF_TOLD, "Sheriff", by=downtime.duty)
    return now(downtime)


def begun(people, quickly=False, **plans):
    """Return a downtime that runs, its trees still open. `quickly`: nobody agreed to it, and nobody was told."""
    if quickly:
        return _put_to_run(people, **plans)
    downtime = ready(people, **plans)
    return beginning.begin(downtime, by=downtime.duty)


def _put_to_run(people, **plans):
    read()
    downtime, at = downtime_stage.plan(people, **plans), clock.now()
    ends_at = at + timedelta(hours=3)
    Downtime.objects.filter(pk=downtime.pk).update(
        state=State.RUNNING, starts_at=at, begun_at=at, told_first_at=at, ends_at=ends_at, planned_end=ends_at,
        reason=closing.reason_of(downtime),
    )  # fmt: skip
    before.keep(downtime)
    return now(downtime)


def closed(people, sandbox=None, **plans):
    """Return a downtime that runs, its trees verified to be closed."""
    return close(begun(people, **plans), sandbox)


def worked(people, sandbox=None, **plans):
    """Return a downtime whose work has landed, its trees still closed."""
    return work(closed(people, sandbox, **plans))


def reopened(people, sandbox=None, **plans):
    """Return a downtime whose work has landed, its trees verified to be open again; the sheriff was not asked yet."""
    return reopen(worked(people, sandbox, **plans), sandbox)


def agreed(people, sandbox=None, **plans):
    """Return a downtime that the sheriff said is well: what its bugs are told is all that is missing for TREE OPEN."""
    downtime = reopened(people, sandbox, **plans)
    steering.do_step(downtime, Step.SHERIFF_AGREES, "Sheriff", by=downtime.duty)
    return now(downtime)


# --- the steps, for a downtime that is there --------------------------------------------------------------------------


def close(downtime, sandbox=None, names=None):
    """Close its trees, or those of these names, and read that they are; returns the downtime."""
    closing.close(downtime, names, by=downtime.duty, op=op())
    if closing.how() == LINK:
        for row in downtime.run_trees.filter(closed_at=None).exclude(asked_at=None):
            close_there(downtime, row, sandbox)
    settle()
    return now(downtime)


def close_there(downtime, row, sandbox):
    """Do what a person does at the service: close a tree in our words, or set the message of a soft close."""
    if row.only_message:
        editing.update(sandbox.world, HUMAN, [row.name], message_of_the_day=MESSAGE)
    elif Tree.objects.get(name=row.name).status != "closed":
        reason = closing.reason_of(downtime)
        editing.update(sandbox.world, HUMAN, [row.name], "closed", reason, [closing.category(downtime)])


def work(downtime):
    """Let every piece of its work start and land; returns the downtime."""
    for item in downtime.items.all():
        working.do(working.do(item, "start", by=downtime.duty), "land", by=downtime.duty)
    return now(downtime)


def reopen(downtime, sandbox=None, names=None):
    """Look whether all is well, reopen its trees, and read that they are open; returns the downtime."""
    steering.do_step(downtime, Step.CHECKED, "All normal", by=downtime.duty)
    reopening.reopen(downtime, names, by=downtime.duty, op=op())
    if closing.how() == LINK:
        for row in downtime.run_trees.filter(opened_at=None).exclude(reopen_asked_at=None):
            open_there(row, sandbox)
    settle()
    return now(downtime)


def open_there(row, sandbox):
    """Do what a person does at the service: open a tree as it was, or take our message away."""
    if row.only_message:
        editing.update(sandbox.world, HUMAN, [row.name], message_of_the_day=row.before["motd"])
    else:
        editing.update(sandbox.world, HUMAN, [row.name], row.before["status"], row.before["reason"], row.before["tags"])


def settle(rounds=3):
    """Let the outbox change trees and polls look at them, until nothing more follows from either."""
    for _ in range(rounds if closing.how() == PATCH else 1):
        if closing.how() == PATCH:
            delivery.deliver(delivery.TREES, seconds=10)
        read()


def now(downtime):
    """Return a downtime as it is now."""
    return Downtime.objects.get(pk=downtime.pk)


def words(downtime):
    """Return what the run sheet says of each tree now, by name."""
    return {tree.name: tree.word.value for tree in facts.trees_of(downtime, clock.now())}
