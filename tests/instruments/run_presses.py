"""Whoever runs a downtime, as processes that are killed: each presses one button until it took, then waits for its end.

And what reads the trees meanwhile. Used by sender_process.py; tests nothing.
"""

import time
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import close_old_connections, connection

from ciduty import clock
from ciduty.outbox import delivery
from ciduty.people.models import Person
from ciduty.people.roles import Role
from ciduty.states import NotAllowed
from ciduty.trees import polling
from downtimes.models import Downtime
from downtimes.rules import ItemState, State
from downtimes.run import beginning, bug_words, closing, finishing, reopening, steering, working
from downtimes.run.rules import Step

#: Names of the forms: a button that is pressed again after a kill is the same form.
CLOSE, REOPEN = "c105e000", "0be70000"
SHERIFF = "Sheriff"


def duty() -> Person:
    """Return who runs it."""
    return Person.objects.get(role=Role.DUTY)


def _step(step: Step, words: str = ""):
    return lambda downtime: steering.do_step(downtime, step, words, by=duty())


def _work(verb: str):
    def press(downtime):
        for item in downtime.items.all():
            working.do(item, verb, by=duty())

    return press


def _tell_bugs(downtime):
    shown = {draft.item.pk: draft.op for draft in bug_words.drafts(downtime)}
    bug_words.tell(downtime, by=duty(), shown=shown)


def _tree_open(downtime):
    letter = finishing.letter(downtime, clock.now())
    finishing.finish(downtime, by=duty(), shown_sha256=finishing.sha256_of(letter))


#: In the order of the process: what is pressed, and when it is known to have taken.
PRESSES = {
    "tell the sheriff": (_step(Step.SHERIFF_TOLD, SHERIFF), lambda run: _ticked(run, Step.SHERIFF_TOLD)),
    "begin": (lambda run: beginning.begin(run, by=duty()), lambda run: run.state == State.RUNNING),
    "close": (
        lambda run: closing.close(run, None, by=duty(), op=CLOSE),
        lambda run: not run.run_trees.filter(closed_at=None).exists(),
    ),
    "start": (_work("start"), lambda run: _all_are(run, ItemState.UNDER_WAY)),
    "land": (_work("land"), lambda run: _all_are(run, ItemState.LANDED)),
    "check": (_step(Step.CHECKED), lambda run: _ticked(run, Step.CHECKED)),
    "reopen": (
        lambda run: reopening.reopen(run, None, by=duty(), op=REOPEN),
        lambda run: not run.run_trees.filter(opened_at=None).exists(),
    ),
    "hear the sheriff": (_step(Step.SHERIFF_AGREES, SHERIFF), lambda run: _ticked(run, Step.SHERIFF_AGREES)),
    "tell the bugs": (_tell_bugs, lambda run: not run.items.filter(update_id=None).exists()),
    "TREE OPEN": (_tree_open, lambda run: run.state == State.DONE),
}


def _ticked(run: Downtime, step: Step) -> bool:
    return run.run_steps.filter(step=step).exists()


def _all_are(run: Downtime, state: ItemState) -> bool:
    return not run.items.exclude(state=state).exists()


def _presser(press):
    def run() -> None:
        while True:
            try:
                press(Downtime.objects.get())
                break
            except (NotAllowed, DatabaseTrouble):
                close_old_connections()
                time.sleep(0.05)
        while True:
            time.sleep(60)

    return run


def read_trees() -> None:
    """Poll the tree status service as the product does, only more often."""
    while True:
        try:
            polling.poll()
        except DatabaseTrouble:
            time.sleep(0.2)
        close_old_connections()
        time.sleep(0.1)


SENDERS = {f"press {name}": _presser(press) for name, (press, _) in PRESSES.items()} | {"read_trees": read_trees}


# --- errands ----------------------------------------------------------------------------------------------------------


def announced_run(bugs: list[int]) -> None:
    """Make a downtime with this work that was announced in time and whose moment has come."""
    from tests import cast, downtime_stage  # factories, which the product's processes need not load

    people = {role: cast.PersonFactory(role=role) for role in (Role.DUTY, Role.LEAD)}
    downtime = downtime_stage.plan(people, timedelta(days=3), tracking_bug=bugs[0])
    downtime.items.all().delete()
    for bug in bugs:
        downtime_stage.add_work(downtime, bug_id=bug)
    version = downtime_stage.everybody_approves(downtime, people[Role.LEAD])
    downtime_stage.announcing.announce(downtime, by=people[Role.DUTY], version=version.number)
    delivery.deliver(delivery.MAIL)
    polling.poll()
    settings.TESTING = True  # this process alone may move the clock of all
    clock.move(timedelta(days=3, minutes=1))


def took(name: str) -> bool:
    """Answer whether a button took."""
    is_there = PRESSES[name][1](Downtime.objects.get())
    connection.close()
    return is_there


ERRANDS = {"announced_run": announced_run, "took": took}
