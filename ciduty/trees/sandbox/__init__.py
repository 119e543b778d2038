"""A tree status to play with, true to recorded answers of two real services. Stands alone: no Django in it.

`World` holds the trees, `editing` changes them (as a sheriff does), `Sandbox` serves them on a loopback port, and a
`Fault` lets it go wrong. The generation is "standalone" (mozilla-releng/treestatus: paths on "/", with a write API) or
"lando" (mozilla-conduit/lando: paths under "/api/treestatus/", read only). People use its page, "/treestatus/".
"""

from ciduty.sandboxes import Recorded
from ciduty.trees.sandbox import editing
from ciduty.trees.sandbox.faults import Fault
from ciduty.trees.sandbox.rights import BOT_TOKEN, Client
from ciduty.trees.sandbox.schema import LANDO, STANDALONE
from ciduty.trees.sandbox.server import Sandbox
from ciduty.trees.sandbox.world import World

__all__ = ["BOT_TOKEN", "LANDO", "STANDALONE", "Client", "Fault", "Recorded", "Sandbox", "World", "editing"]
