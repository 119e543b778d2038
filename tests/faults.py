"""The stage of the fault suite (`make fault`): its size, its servers, its table. The faults stand in test_faults_*.py.

Tests marked `fault` run only when FAULTS names their size: `quick` (CI, about two minutes) or `full`. With SOAK=1 the
long ones run with ten seeds; what passed is written down, and a run that was broken off goes on where it was.
"""

import hashlib
import itertools
import json
import os
import signal
import textwrap
from pathlib import Path

import pytest

from tests.instruments.senders import Senders
from tests.instruments.servers import Postgres

ROOT = Path(__file__).resolve().parent.parent
SIZE = os.environ.get("FAULTS", "")
SOAK = os.environ.get("SOAK", "") not in ("", "0")
#: One line for each test that passed in a soak; a change of the product begins it anew.
SOAKED = ROOT / "var" / "fault-soak.jsonl"
#: What a test found out, on its report: (what, asked for, seen).
FIGURE = "fault figure"
WIDTHS = (44, 26, 66)  # characters of the table's columns


def sized(*, quick, full):
    """Return what fits the size of this run."""
    return quick if SIZE == "quick" else full


def seeds() -> list[int]:
    """Return the seeds of the long tests."""
    return list(range(1, 11)) if SOAK else [1]


def pytest_configure(config):
    """Make the marker known, and refuse a size that nobody knows."""
    config.addinivalue_line("markers", "fault: breaks real servers and processes; runs with FAULTS=quick or full")
    if SIZE not in ("", "quick", "full"):
        raise pytest.UsageError(f"FAULTS={SIZE}: give quick or full.")
    if SIZE:  # a run that is told to end tidies up, as after Ctrl-C
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    """Leave the fault suite out unless it is asked for, and out of a soak what has passed already."""
    done = _soaked() if SOAK else {}
    left_out = [
        item for item in items if item.get_closest_marker("fault") is not None and (not SIZE or item.nodeid in done)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_sessionfinish(session, exitstatus):
    """A soak of which everything has passed already is a success."""
    if SOAK and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and _soaked():
        session.exitstatus = pytest.ExitCode.OK


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.fixture
def figure(record_property):
    """Write a line of the table: what was broken, what was asked for, what was seen."""

    def write(what: str, asked: str, seen: str) -> None:
        record_property(FIGURE, [what, asked, seen])

    return write


def _figures(report) -> list[list[str]]:
    return [value for name, value in report.user_properties if name == FIGURE]


def pytest_runtest_logreport(report):
    """Write down what passed in a soak."""
    if SOAK and report.when == "call" and report.passed and _figures(report):
        SOAKED.parent.mkdir(exist_ok=True)
        line = {"product": _product(), "test": report.nodeid, "figures": _figures(report)}
        with SOAKED.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _soaked() -> dict[str, list[list[str]]]:
    lines = map(json.loads, SOAKED.read_text().splitlines()) if SOAKED.exists() else ()
    return {line["test"]: line["figures"] for line in lines if line["product"] == _product()}


def _product() -> str:
    """Return what tells this size of the suite on this version of the product from any other."""
    files = sorted([*ROOT.glob("ciduty/**/*.py"), *ROOT.glob("tests/instruments/*.py"), *ROOT.glob("tests/*fault*.py")])
    return f"{SIZE} {hashlib.sha256(b''.join(path.read_bytes() for path in files)).hexdigest()[:16]}"


def pytest_terminal_summary(terminalreporter):
    """Print the table."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    lines = list(_soaked().values()) if SOAK else [_figures(report) for report in reports if report.when == "call"]
    rows = [row for figures in lines for row in figures]
    if not rows:
        return
    terminalreporter.section("the fault suite")
    for row in [("what was done", "asked for", "seen"), *rows]:
        cells = [textwrap.wrap(text, width) for text, width in zip(row, WIDTHS, strict=True)]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            line = "  ".join(f"{part:<{width}}" for part, width in zip(parts, WIDTHS, strict=True))
            terminalreporter.line(line.rstrip())


# --- the servers ------------------------------------------------------------------------------------------------------

READY = "ciduty_ready"  # a migrated database, of which each test gets a copy


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """A PostgreSQL of the suite's own, with an empty, migrated database to copy."""
    with Postgres() as server:
        environment = {"DATABASE_URL": server.create(READY), "REDIS_URL": ""}
        with Senders(environment, tmp_path_factory.mktemp("ready") / "senders.log", lease=60) as senders:
            senders.run("migrate")
        yield server


@pytest.fixture
def database(postgres, request):
    """DATABASE_URL of a database of the test's own, empty and migrated."""
    name = "fault_" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    return postgres.create(name, template=READY)
