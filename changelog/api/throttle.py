"""How often one key and one address may tell of changes. Counted in this process's memory alone: no cache to lose.

Each web process counts for itself, so that the site takes as many times as much as it has processes.
"""

import threading
import time
from collections import OrderedDict, deque
from datetime import timedelta

from rest_framework.exceptions import Throttled

WINDOW = timedelta(minutes=1)
#: A deploy that touches a hundred pools is told in one go; more is a loop that runs wild.
MOST_PER_TOKEN = 120
MOST_PER_ADDRESS = 240
#: Keys that are no keys: nobody types that many.
MOST_WRONG_KEYS = 20
#: So many are remembered; who was heard longest ago is forgotten first.
MOST_REMEMBERED = 10_000

_heard: OrderedDict[tuple[str, object], deque[float]] = OrderedDict()
_lock = threading.Lock()


def count(what: str, who, most: int) -> None:
    """Count one request of somebody. Raises Throttled, with the seconds to wait, when there were `most` in a minute."""
    now, window = time.monotonic(), WINDOW.total_seconds()
    with _lock:
        times = _heard.setdefault((what, who), deque())
        _heard.move_to_end((what, who))
        while times and times[0] <= now - window:
            times.popleft()
        if len(times) >= most:
            raise Throttled(wait=times[0] + window - now)
        times.append(now)
        while len(_heard) > MOST_REMEMBERED:
            _heard.popitem(last=False)


def is_full(what: str, who, most: int) -> float:
    """Return for how many seconds somebody has to wait, 0 when they need not. Counts nothing."""
    now, window = time.monotonic(), WINDOW.total_seconds()
    with _lock:
        recent = [at for at in _heard.get((what, who), ()) if at > now - window]
    return recent[0] + window - now if len(recent) >= most else 0.0


def forget() -> None:
    """Forget everything: for tests, which share one process."""
    with _lock:
        _heard.clear()
