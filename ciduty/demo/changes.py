"""The demo's change log: three weeks of CI, a pool that broke two hours ago, a queue that waits. All invented."""

import json
from datetime import datetime, timedelta
from pathlib import Path

from django.db.models import F

from changelog import store, workflow
from changelog.models import Change, Source
from changelog.models.sources import SourceKind
from changelog.proposals import LandedAt, Proposal, of_changeset
from changelog.rules import Kind, State
from changelog.sources import collecting
from ciduty import clock
from ciduty.demo.repository import Commit, make, path
from ciduty.people.models import Person
from ciduty.systems.models import System, named

SYSTEMS = (
    ("Worker images", "what every virtual worker boots from", "RelOps", "#relops"),
    ("Taskcluster", "queue, worker manager, hooks", "Taskcluster team", "#taskcluster"),
    ("CI configuration", "pools, grants, projects", "RelEng", "#firefox-ci"),
    ("Hardware pools", "machines in mdc1 and mdc2", "RelOps: Hardware", "#relops"),
)
_IMAGES, _TASKCLUSTER, _CONFIGURATION, _HARDWARE = (title for title, *_ in SYSTEMS)
_KINDS = {_IMAGES: Kind.IMAGE, _CONFIGURATION: Kind.CONFIG, _TASKCLUSTER: Kind.DEPLOY}
_TEAMS = {
    _IMAGES: {"team": "Images team", "offset": timedelta(hours=-8)},
    _CONFIGURATION: {"team": "Configuration team", "offset": timedelta(hours=2)},
    _TASKCLUSTER: {"team": "Taskcluster team", "offset": timedelta(0)},
}
_FILES = {
    _IMAGES: ("worker-images.yml", "worker-pools.yml"),
    _CONFIGURATION: ("grants.yml",),
    _TASKCLUSTER: ("worker-pools.yml",),
}
#: What landed in the demo’s repository and what people said, in minutes before it began; "" still waits for its line.
STORY = json.loads(Path(__file__).with_name("story.json").read_text())


def load() -> None:
    """Put the demo's changes into an empty log: what landed in the demo's repository, what people said, what waits."""
    if Change.objects.exists():
        return
    at = clock.now()
    systems = {title: _system(title, serves, owner, channel) for title, serves, owner, channel in SYSTEMS}
    duty = Person.objects.get(username="duty")
    _collect(at)
    _say(at, systems, duty)
    _land_in_three_trees(at, systems[_TASKCLUSTER])
    _publish(systems, duty)
    _hold(duty)
    # It was published when it happened, not just now: the last hours of the log look like any others.
    Change.objects.filter(state=State.PUBLISHED).update(published_at=F("at"), changed_at=F("at"))


def _system(title: str, serves: str, owner: str, channel: str) -> System:
    return named(title, serves=serves, owner=owner, channel=channel)


def _collect(at: datetime) -> None:
    """Make the repository and read it, as the collector goes on doing."""
    commits = [
        Commit(
            authored_at=_moment(at, told) - timedelta(minutes=35), landed_at=_moment(at, told),
            message="\n".join(told["message"]), files=_FILES[told["system"]], **_TEAMS[told["system"]],
        )
        for told in STORY["landed"]
    ]  # fmt: skip
    if not make(commits):
        return
    source = Source.objects.create(
        name="ci-configuration", kind=SourceKind.GIT, address=path().as_uri(), branch="main", team="RelEng",
        rhythm_hours=48, default_system=System.objects.get(title=_CONFIGURATION),
    )  # fmt: skip
    collecting.collect(source)


def _moment(at: datetime, told: dict) -> datetime:
    return at - timedelta(minutes=told["minutes_ago"])


def _say(at: datetime, systems: dict[str, System], duty: Person) -> None:
    told = (
        Proposal(
            identity=f"said:demo-{number}", summary=one["line"], kind=one["kind"], system=systems[one["system"]].slug,
            pools=(one["pool"],) if one["pool"] else (), author=str(duty), effective_at=_moment(at, one),
        )
        for number, one in enumerate(STORY["said"])
    )  # fmt: skip
    store.store(told, source=workflow.people_source(), at=at, publishes=True, by=duty)


def _land_in_three_trees(at: datetime, system: System) -> None:
    """One changeset in three trees: one change with three landings."""
    landed = at - timedelta(days=1, hours=2)
    trees = ("autoland", "mozilla-central", "mozilla-beta")
    for number, tree in enumerate(trees):
        source = Source.objects.create(name=tree, kind=SourceKind.IMPORT, default_system=system)
        landing = LandedAt(
            tree, landed + timedelta(hours=5 * number), "sheriff", str(88_000 + number), "5d0c2f9e1b7a4c63", ""
        )
        proposal = Proposal(
            identity=of_changeset("5d0c2f9e1b7a4c63"), message="Bug 1399303 - Run the wrench tests on Linux 24.04 too",
            author="Graphics team", authored_at=landed - timedelta(days=1), landings=(landing,), files_count=3,
        )  # fmt: skip
        store.store([proposal], source=source, at=at, publishes=True)


def _publish(systems: dict[str, System], duty: Person) -> None:
    for told in STORY["landed"]:
        change = Change.objects.filter(summary=told["message"][0], state=State.PROPOSED).first()
        if change is None:
            continue  # without git there is no repository to read
        system = systems[told["system"]]
        workflow.correct(change, duty, change.revision, kind=_KINDS[system.title], system_id=system.pk)
        if told["impact"]:
            workflow.publish(change, duty, impact=told["impact"])


def _hold(duty: Person) -> None:
    """One change that everybody would misread is held: nobody outside hears of it."""
    told = Proposal(
        identity="said:demo-held", summary="The keys of the imaging server are changed tonight", kind=Kind.PROCESS
    )
    workflow.hold(workflow.propose(told, by=duty, source=workflow.people_source()), duty)
