"""The demo's pool of machines: spare ones, broken ones, one re-imaging. Who plays with it makes its loans."""

from datetime import timedelta

from ciduty import clock
from loaners.models import Machine, MachineClass
from loaners.rules import MachineState

#: Class, location, first number, how many.
POOL = (
    ("b-2008-ix", "scl3", 61, 2),
    ("t-linux64-ms", "mdc1", 1, 6),
    ("t-mojave-r7", "mdc1", 21, 4),
    ("t-w1064-ms", "mdc1", 40, 7),
    ("t-w732-ix", "scl3", 110, 3),
    ("t-yosemite-r7", "mdc2", 371, 3),
    ("tst-linux64-ec2", "us-west-2", 301, 3),
)
SPARE = {"t-w1064-ms-042", "t-linux64-ms-003", "t-mojave-r7-022"}
STATES = {
    "t-w1064-ms-046": (MachineState.BROKEN, "No picture over the console; ordered to be looked at in the rack."),
    "t-yosemite-r7-373": (MachineState.BROKEN, "Does not come up after a power cycle."),
    "t-linux64-ms-006": (MachineState.RE_IMAGING, "New image after a disk was changed."),
    "t-w732-ix-112": (MachineState.RETIRED, "Given to the office lab."),
}


def load() -> None:
    """Put the demo's machines into an empty pool; each has been as it is for some days, no two alike."""
    if Machine.objects.exists():
        return
    at, pool = clock.now(), []
    classes = {machine_class.name: machine_class for machine_class in MachineClass.objects.all()}
    for name, location, first, count in POOL:
        for number in range(first, first + count):
            host = f"{name}-{number:03d}"
            state, notes = STATES.get(host, (MachineState.AVAILABLE, ""))
            since = at - timedelta(days=1 + number % 17, hours=number % 5)
            pool.append(
                Machine(
                    host=host,
                    machine_class=classes[name],
                    location=location,
                    state=state,
                    notes=notes,
                    is_spare=host in SPARE,
                    changed_at=since,
                )
            )
    Machine.objects.bulk_create(pool)
