"""Measures the change log: import, and each page for 10,000 changes and for all of them, beside bare views.

Quick with 40,000 changes; FULL=1 with 1,000,000. What "bare" means stands in `bench/bare.py`.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import stage

FULL = os.environ.get("FULL", "") not in {"", "0"}
FEW, ALL = (10_000, 1_000_000) if FULL else (4_000, 40_000)
YEARS = 10
END = datetime(2026, 10, 1, tzinfo=UTC)
REPOSITORIES = ("ci-configuration", "worker-images", "taskcluster", "puppet")
#: A word that one change in five hundred holds: neither frequent nor rare.
MIDDLING, RARE = "sporadically", "unrepeatable"


def measure() -> list:
    """Return the rows of the table."""
    from django.db import connection

    with tempfile.TemporaryDirectory(prefix="ciduty-bench-") as folder:
        files = _histories(Path(folder))
        seconds_few, memory_few = _import(files[0])
        _settle(connection)
        few = _pages()
        seconds_all, memory_all = _import(files[1])
    _settle(connection)
    every = _pages()
    rate = (ALL - FEW) / seconds_all
    rows = [
        (f"import of {ALL - FEW:,} changes, a second", f"{rate:,.0f}", "aim: over 2,000"),
        ("  its memory at its highest", f"{memory_all:.0f} MiB", f"{memory_few:.0f} MiB for {FEW:,}; aim: flat"),
    ]
    floor = every.pop("bare")
    floor_few = few.pop("bare")
    trivial, conditional = every.pop("trivial"), every.pop("conditional")
    few.pop("trivial"), few.pop("conditional")
    for what, figure in every.items():
        grown = (figure / floor) / (few[what] / floor_few)
        rows.append(
            (what, f"{figure:.1f} ms", f"{figure / floor:.1f} times the bare view; {grown:.2f} of {FEW:,} changes")
        )
    rows += [
        (
            "  a bare view of 50 rows, same middleware",
            f"{floor:.1f} ms",
            "floor; aims: under 3 times, growing under 1.5 times",
        ),
        (
            "a conditional feed request",
            f"{conditional:.2f} ms",
            f"{conditional / trivial:.2f} of the trivial view; aim: 0.7",
        ),
        ("  a trivial view that reads one row", f"{trivial:.2f} ms", "floor"),
    ]
    return rows


# --- the world -------------------------------------------------------------------------------------------------------


def _histories(folder: Path) -> tuple[Path, Path]:
    """Write the changes as two histories of commits: the first few spread over all years, and the rest."""
    dice = random.Random(6)
    files = folder / "few.jsonl", folder / "rest.jsonl"
    with files[0].open("w") as few, files[1].open("w") as rest:
        for number in range(ALL):
            line = json.dumps(_commit(dice, number), ensure_ascii=False)
            (few if number % (ALL // FEW) == 0 else rest).write(line + "\n")
    return files


def _commit(dice: random.Random, number: int) -> dict:
    at = END - timedelta(seconds=int((ALL - number) * YEARS * 365 * 86400 / ALL))
    words = " ".join(f"word{int(5000 * dice.random() ** 3)}" for _ in range(10))
    pool = f"gecko-t/pool-{int(300 * dice.random() ** 2)}"
    message = f"Bug {1_100_000 + number // 3} - Update {words} r=reviewer{int(40 * dice.random())}"
    if dice.random() < 0.4:
        message += f"\n\ndeploy: {pool}"
    if number % 500 == 7:
        message += f"\n\nIt failed {MIDDLING}."
    if number in (ALL // 7, ALL // 2):
        message += f"\n\nAn {RARE} failure."
    zone = dice.choice(("+00:00", "+02:00", "-08:00"))
    moment = f"{at:%Y-%m-%dT%H:%M:%S}{zone}"
    return {
        "sha": f"{dice.getrandbits(160):040x}",
        "author": f"Team {int(200 * dice.random() ** 2)}",
        "authored": moment,
        "committed": moment,
        "message": message,
        "files": ["worker-pools.yml", "worker-images.yml"][: 1 + number % 2],
    }


def _import(path: Path) -> tuple[float, float]:
    """Import a history as `manage.py import_changes` does; return the seconds and the most memory in MiB."""
    command = [sys.executable, "manage.py", "import_changes", str(path), "--repository", REPOSITORIES[0]]
    with tempfile.TemporaryFile() as told:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told, cwd=stage.ROOT)
        _, status, used = os.wait4(process.pid, 0)  # of this very child: there were others before
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            raise SystemExit(f"The import failed: {told.read()[-2000:].decode()}")
        return time.perf_counter() - began, used.ru_maxrss / 1024


def _settle(connection) -> None:
    """Let PostgreSQL see what it holds, as its own autovacuum does after a while."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE changelog_change")
            cursor.execute("VACUUM ANALYZE changelog_landing")


# --- the pages -------------------------------------------------------------------------------------------------------


def _pages() -> dict[str, float]:
    """Return the median of each page in milliseconds."""
    from django.conf import settings
    from django.test import Client, override_settings

    from changelog import find
    from changelog.models import Change

    settings.ALLOWED_HOSTS = ["*"]
    deep = Change.objects.public().filter(at__lt=END - timedelta(days=int(YEARS * 365 * 0.7))).newest_first().first()
    there = Change.objects.public().filter(at__lt=END - timedelta(days=400), kind="deploy").newest_first().first()
    pool, bug = there.pools[0], there.bugs[0]
    addresses = {
        "first page": "/changes/",
        "filter: kind": "/changes/?kind=deploy",
        "filter: pool": f"/changes/?pool={pool}",
        "filter: author": "/changes/?author=Team+150",
        "filter: bug": f"/changes/?bug={bug}",
        "filter: repository": f"/changes/?repository={REPOSITORIES[0]}",
        "filter: kind and pool and author": f"/changes/?kind=deploy&pool={pool}&author=Team+3",
        "filter: a month, nine years ago": "/changes/?since=2017-09-01&until=2017-10-01",
        "a page deep down": f"/changes/?cursor={find.cursor_of(deep)}",
        "a page deep down, filtered": f"/changes/?kind=deploy&cursor={find.cursor_of(deep)}",
        "search: frequent word": "/changes/?q=word1",
        "search: middling word": f"/changes/?q={MIDDLING}",
        "search: rare word": f"/changes/?q={RARE}",
        "search: miss": "/changes/?q=nowhere",
        "before": _permalink(f"/changes/before/?bad={there.at:%Y-%m-%dT%H:%M}Z&pool={pool}"),
        "api, first page": "/api/changes/",
        "feed, whole": "/changes/feed.atom",
    }
    browser = Client()
    figures = {what: _median(browser, address) for what, address in addresses.items()}
    tag = browser.get("/changes/feed.atom").headers["ETag"]
    figures["conditional"] = _median(browser, "/changes/feed.atom", status=304, headers={"If-None-Match": tag})
    middleware = [one for one in settings.MIDDLEWARE if "AccessMiddleware" not in one]  # the floor has no row there
    with override_settings(ROOT_URLCONF="bench.bare", MIDDLEWARE=middleware):
        bare = Client()
        figures["bare"], figures["trivial"] = _median(bare, "/fifty/"), _median(bare, "/one/")
    return figures


def _permalink(address: str) -> str:
    """Return where a question that somebody typed leads: that is what people keep and open."""
    from django.test import Client

    return Client().get(address).headers["Location"]


def _median(browser, address: str, status: int = 200, times: int = 40, **further) -> float:
    for _ in range(4):
        answer = browser.get(address, **further)
        if answer.status_code != status:
            raise SystemExit(f"{address} answered {answer.status_code}.")
        b"".join(answer) if answer.streaming else answer.content
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        answer = browser.get(address, **further)
        b"".join(answer) if answer.streaming else answer.content
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1000
