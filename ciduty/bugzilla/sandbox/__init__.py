"""A Bugzilla to play with, true to recorded answers of real 5.2 and 5.3 servers. Stands alone: no Django in it."""

from ciduty.bugzilla.sandbox.faults import Fault
from ciduty.bugzilla.sandbox.server import Sandbox
from ciduty.bugzilla.sandbox.world import World
from ciduty.sandboxes import Recorded

__all__ = ["Fault", "Recorded", "Sandbox", "World"]
